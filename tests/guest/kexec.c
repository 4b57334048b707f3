/*
 * The kernel, started again by itself: without a reset, so with interrupt
 * controllers and devices as the one before left them.
 */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/kexec.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KERNEL   "/dev/vda" /* an Image, and perhaps zeros */
#define INITRD   "/dev/vdb"

#define CHOSEN   "/proc/device-tree/chosen/"
#define PAGE_MAX (64 * KIB)
#define BLOCK    (2 * MIB)

/* What an Image begins with. Linux, arm64/booting.rst. */
struct header {
	u32 code[2];
	u64 text_offset, image_size;
};

/* What runs first, as the kernel wants to find x0, the device tree's address,
 * and x1 to x3. */
struct stub {
	u32 code[6];
	u64 fdt, kernel;
};

static const u32 stub_code[] = {
	0x580000c0, /* ldr x0, fdt */
	0x580000e4, /* ldr x4, kernel */
	0xaa1f03e1, /* mov x1, xzr */
	0xaa1f03e2, /* mov x2, xzr */
	0xaa1f03e3, /* mov x3, xzr */
	0xd61f0080, /* br x4 */
};

static u64 tree_number(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	u64 n = 0;

	if (fd < 0 || read(fd, &n, sizeof(n)) != sizeof(n))
		wrong("%s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return be64toh(n);
}

/* Where memory begins. */
static u64 memory_start(void)
{
	u64 start = 0;
	glob_t g;

	if (!glob("/proc/device-tree/memory@*/reg", 0, NULL, &g))
		start = tree_number(g.gl_pathv[0]);
	globfree(&g);
	return start;
}

/* A part of the next kernel's memory: the first @size bytes of a file, or all
 * if that is 0. The buffer is zero from there on to the end of a page. */
static bool read_part(struct kexec_segment *s, const char *path, size_t size,
		      u64 at)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t got = 0, max = 128 * MIB;
	ssize_t n = 1;
	u8 *buf = calloc(1, max);

	while (fd >= 0 && buf && n > 0 && (!size || got < size)) {
		n = read(fd, buf + got, (size ? size : max - PAGE_MAX) - got);
		got += (size_t)MAX(n, 0);
	}
	if (fd >= 0)
		close(fd);
	*s = (struct kexec_segment) { .buf = buf,
				      .bufsz = got,
				      .mem = (void *)(uintptr_t)at,
				      .memsz = ALIGN_UP(got, PAGE_MAX) };
	return (got && (!size || got == size)) ||
	       wrong("%s: %s", path, strerror(errno));
}

static bool read_kernel(struct kexec_segment *s)
{
	u64 start = memory_start();
	const struct header *h;

	if (!appears(KERNEL) || !read_part(s, KERNEL, 0, start))
		return false;
	h = s->buf;
	s->mem = (void *)(uintptr_t)(start + le64toh(h->text_offset));
	s->memsz = ALIGN_UP(MAX(s->bufsz, le64toh(h->image_size)), PAGE_MAX);
	return true;
}

/* Where this kernel had it. */
static bool read_initrd(struct kexec_segment *s)
{
	u64 start = tree_number(CHOSEN "linux,initrd-start");
	u64 end = tree_number(CHOSEN "linux,initrd-end");

	return appears(INITRD) && read_part(s, INITRD, end - start, start);
}

/* The next kernel's is this one's, with one time less to go. */
static bool read_tree(struct kexec_segment *s, u64 at)
{
	static const char word[] = "belfry.test=kexec,";
	char *digit;

	if (!read_part(s, "/sys/firmware/fdt", 0, at))
		return false;
	digit = memmem(s->buf, s->bufsz, word, strlen(word));
	if (!digit)
		return wrong("the device tree does not say what to do");
	digit[strlen(word)]--;
	return true;
}

static void make_stub(struct kexec_segment *s, u64 fdt, u64 kernel, u64 at)
{
	static struct stub stub;

	memcpy(stub.code, stub_code, sizeof(stub.code));
	stub.fdt = fdt;
	stub.kernel = kernel;
	*s = (struct kexec_segment) { .buf = &stub,
				      .bufsz = sizeof(stub),
				      .mem = (void *)(uintptr_t)at,
				      .memsz = PAGE_MAX };
}

static u64 place(const struct kexec_segment *s)
{
	return (uintptr_t)s->mem;
}

static bool again(void)
{
	struct kexec_segment s[4];
	u64 at;

	if (!read_kernel(&s[0]) || !read_initrd(&s[1]))
		return false;
	at = ALIGN_UP(MAX(place(&s[0]) + s[0].memsz, place(&s[1]) + s[1].memsz),
		      BLOCK);
	if (!read_tree(&s[2], at))
		return false;
	make_stub(&s[3], at, place(&s[0]), at + BLOCK);
	if (syscall(SYS_kexec_load, place(&s[3]), ARRAY_SIZE(s), s,
		    KEXEC_ARCH_AARCH64))
		return wrong("kexec_load: %s", strerror(errno));
	say("kexec: the kernel, again");
	syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2,
		LINUX_REBOOT_CMD_KEXEC, NULL);
	return wrong("kexec: %s", strerror(errno));
}

/* N times, N being one digit; the last kernel's interrupts come, and so do
 * those of its disks, on as many CPUs as there were. "N,TEST": that all of them
 * run first. */
bool test_kexec(const char *arg)
{
	struct kexec_segment s;
	char first[64];

	if (arg[0] && arg[1] == ',') {
		snprintf(first, sizeof(first), "%s", arg + 2);
		if (!run_test(first))
			return false;
	}
	if (*arg > '0')
		return again();
	if (sysconf(_SC_NPROCESSORS_ONLN) != sysconf(_SC_NPROCESSORS_CONF))
		return wrong("a CPU did not come");
	return test_interrupts("") && appears(KERNEL) &&
	       read_part(&s, KERNEL, 0, 0) && appears(INITRD) &&
	       read_part(&s, INITRD, 0, 0);
}
