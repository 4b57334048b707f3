#include "vfio_kernel.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define FDS_MAX 1024

struct vfio_kernel vfio_kernel;

enum kind {
	NOT_OURS,
	IOMMU,
	DEVICE,
	QUEUE,
};

static struct {
	enum kind kind;
	u32 id;    /* QUEUE: its own; DEVICE: what is attached */
	int owner; /* DEVICE: the iommufd */
} behind[FDS_MAX];

#define IDS_MAX 4096

/* What was made, by its number. Tests of single calls name others, too: of
 * those nothing is known. */
static struct {
	int owner; /* the iommufd; 0: it is not there */
	u32 needs; /* what it is made of */
	bool device;
} object[IDS_MAX];
static u32 next_id;

int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_open(const char *path, int flags, ...);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off);
ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t off);
ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t off);
int __wrap_close(int fd);
int __real_close(int fd);
int __real_ioctl(int fd, unsigned long request, ...);
int __real_open(const char *path, int flags, ...);
void *__real_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off);
ssize_t __real_pread(int fd, void *buf, size_t len, off_t off);
ssize_t __real_pwrite(int fd, const void *buf, size_t len, off_t off);

void vfio_kernel_reset(void)
{
	vfio_kernel = (struct vfio_kernel) {
		.fail_with = EIO,
		.fail_for = 1,
		.hw_type = 2,
		.hw_flags = 1,
		.queue_fd = -1,
		.invalidated = -1,
		.ranges = 3,
		.neighbours = 3,
		.devid = { 5, 0, 7 },
	};
	memset(behind, 0, sizeof(behind));
	memset(object, 0, sizeof(object));
	next_id = 1;
}

void vfio_kernel_forget(void)
{
	memset(vfio_kernel.line, 0, sizeof(vfio_kernel.line));
	vfio_kernel.lines = vfio_kernel.calls = 0;
	vfio_kernel.failed[0] = '\0';
}

int vfio_kernel_held(void)
{
	DIR *d = opendir("/proc/self/fd");
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	int n = 0;

	ck_assert(d && maps);
	while (readdir(d))
		n++;
	while (fgets(line, sizeof(line), maps))
		n += strstr(line, "fake-device") != NULL;
	closedir(d);
	fclose(maps);
	return n;
}

void vfio_kernel_expect(int *at, ...)
{
	const char *want;
	va_list ap;

	va_start(ap, at);
	while ((want = va_arg(ap, const char *))) {
		ck_assert_str_eq(vfio_kernel.line[*at], want);
		(*at)++;
	}
	va_end(ap);
}

void vfio_kernel_expect_end(int at)
{
	ck_assert_msg(at == vfio_kernel.lines, "unexpected: %s",
		      vfio_kernel.line[at]);
}

/* Write a call down; -1 with errno set if it is the one to fail. */
PRINTF_LIKE(1, 2) static int call(const char *fmt, ...)
{
	char *line = vfio_kernel.line[vfio_kernel.lines];
	va_list ap;
	int len;

	ck_assert_int_lt(vfio_kernel.lines, KERNEL_LINES - 1);
	vfio_kernel.lines++;
	va_start(ap, fmt);
	len = vsnprintf(line, KERNEL_LINE, fmt, ap);
	va_end(ap);
	ck_assert_int_lt(len, KERNEL_LINE);
	if (vfio_kernel.untold_reads && !strncmp(fmt, "pread", 5))
		vfio_kernel.lines--;
	vfio_kernel.calls++;
	if (!vfio_kernel.fail_at || vfio_kernel.calls < vfio_kernel.fail_at ||
	    vfio_kernel.calls >= vfio_kernel.fail_at + vfio_kernel.fail_for)
		return 0;
	memcpy(vfio_kernel.failed, line, KERNEL_LINE);
	errno = vfio_kernel.fail_with;
	return -1;
}

static int new_fd(enum kind kind, const char *name, off_t size)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_lt(fd, FDS_MAX);
	ck_assert_int_eq(ftruncate(fd, size), 0);
	behind[fd].kind = kind;
	return fd;
}

/* --- what requests look like --- */

struct field {
	const char *name; /* NULL: the last; OUT: what the kernel fills in */
	u8 off, len;
};

#define OUT ""

/* linux/iommufd.h and linux/vfio.h of Linux 7.3: number, size (0: it varies),
 * and where all that may be other than zero is. */
static const struct request {
	unsigned long nr;
	enum kind kind;
	const char *name;
	u32 size;
	struct field field[9];
} requests[] = {
	{ 0x3b80, IOMMU, "DESTROY", 8, { { "id", 4, 4 } } },
	{ 0x3b81, IOMMU, "IOAS_ALLOC", 12, { { OUT, 8, 4 } } },
	{ 0x3b82,
	  IOMMU,
	  "IOAS_ALLOW_IOVAS",
	  24,
	  { { "ioas", 4, 4 }, { "nr", 8, 4 }, { OUT, 16, 8 } } },
	{ 0x3b84,
	  IOMMU,
	  "IOAS_IOVA_RANGES",
	  32,
	  { { "ioas", 4, 4 },
	    { "nr", 8, 4 },
	    { OUT, 16, 8 },
	    { OUT, 24, 8 } } },
	{ 0x3b85,
	  IOMMU,
	  "IOAS_MAP",
	  40,
	  { { "flags", 4, 4 },
	    { "ioas", 8, 4 },
	    { "va", 16, 8 },
	    { "len", 24, 8 },
	    { "iova", 32, 8 } } },
	{ 0x3b86,
	  IOMMU,
	  "IOAS_UNMAP",
	  24,
	  { { "ioas", 4, 4 }, { "iova", 8, 8 }, { "len", 16, 8 } } },
	{ 0x3b87,
	  IOMMU,
	  "OPTION",
	  24,
	  { { "option", 4, 4 },
	    { "op", 8, 2 },
	    { "object", 12, 4 },
	    { "val", 16, 8 } } },
	{ 0x3b89,
	  IOMMU,
	  "HWPT_ALLOC",
	  48,
	  { { "flags", 4, 4 },
	    { "dev", 8, 4 },
	    { "pt", 12, 4 },
	    { OUT, 16, 4 },
	    { "type", 24, 4 },
	    { "len", 28, 4 },
	    { OUT, 32, 8 } } },
	{ 0x3b8a,
	  IOMMU,
	  "GET_HW_INFO",
	  40,
	  { { "dev", 8, 4 },
	    { "len", 12, 4 },
	    { OUT, 16, 8 },
	    { OUT, 24, 4 },
	    { OUT, 28, 1 },
	    { OUT, 32, 8 } } },
	{ 0x3b8d,
	  IOMMU,
	  "HWPT_INVALIDATE",
	  32,
	  { { "hwpt", 4, 4 },
	    { OUT, 8, 8 },
	    { "type", 16, 4 },
	    { "each", 20, 4 },
	    { "nr", 24, 4 } } },
	{ 0x3b8f,
	  IOMMU,
	  "IOAS_MAP_FILE",
	  40,
	  { { "flags", 4, 4 },
	    { "ioas", 8, 4 },
	    { "fd", 12, 4 },
	    { "start", 16, 8 },
	    { "len", 24, 8 },
	    { "iova", 32, 8 } } },
	{ 0x3b90,
	  IOMMU,
	  "VIOMMU_ALLOC",
	  24,
	  { { "type", 8, 4 },
	    { "dev", 12, 4 },
	    { "hwpt", 16, 4 },
	    { OUT, 20, 4 } } },
	{ 0x3b91,
	  IOMMU,
	  "VDEVICE_ALLOC",
	  24,
	  { { "viommu", 4, 4 },
	    { "dev", 8, 4 },
	    { OUT, 12, 4 },
	    { "id", 16, 8 } } },
	{ 0x3b93,
	  IOMMU,
	  "VEVENTQ_ALLOC",
	  32,
	  { { "viommu", 8, 4 },
	    { "type", 12, 4 },
	    { "depth", 16, 4 },
	    { OUT, 20, 4 },
	    { OUT, 24, 4 } } },
	{ 0x3b6b, DEVICE, "GET_INFO", 0, { { NULL, 0, 0 } } },
	{ 0x3b6c, DEVICE, "GET_REGION_INFO", 0, { { "index", 8, 4 } } },
	{ 0x3b6d, DEVICE, "GET_IRQ_INFO", 16, { { "index", 8, 4 } } },
	{ 0x3b6e,
	  DEVICE,
	  "SET_IRQS",
	  0,
	  { { "flags", 4, 4 },
	    { "index", 8, 4 },
	    { "start", 12, 4 },
	    { "count", 16, 4 } } },
	{ 0x3b6f, DEVICE, "RESET", 0, { { NULL, 0, 0 } } },
	{ 0x3b70, DEVICE, "GET_PCI_HOT_RESET_INFO", 0, { { NULL, 0, 0 } } },
	{ 0x3b71, DEVICE, "PCI_HOT_RESET", 12, { { NULL, 0, 0 } } },
	{ 0x3b76,
	  DEVICE,
	  "BIND_IOMMUFD",
	  16,
	  { { "iommufd", 8, 4 }, { OUT, 12, 4 } } },
	{ 0x3b77, DEVICE, "ATTACH_IOMMUFD_PT", 12, { { "pt", 8, 4 } } },
	{ 0x3b78, DEVICE, "DETACH_IOMMUFD_PT", 8, { { NULL, 0, 0 } } },
};

static const struct request *find(unsigned long nr, enum kind kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		if (requests[i].nr == nr && requests[i].kind == kind)
			return &requests[i];
	ck_abort_msg("ioctl 0x%lx", nr);
}

static u64 get(const u8 *arg, u32 off, u32 len)
{
	u64 val = 0;

	memcpy(&val, arg + off, len);
	return val;
}

static void put(u8 *arg, u32 off, u32 len, u64 val)
{
	memcpy(arg + off, &val, len);
}

static const void *pointer(const u8 *arg, u32 off)
{
	return (const void *)(uintptr_t)get(arg, off, 8);
}

static bool known(const struct request *r, u32 off)
{
	for (const struct field *f = r->field; f->name; f++)
		if (off >= f->off && off < f->off + f->len)
			return true;
	return false;
}

/* The size is right, and what has no name is zero. Sizes that vary are looked
 * at where they are used. */
static void check_layout(const struct request *r, const u8 *arg)
{
	if (r->size)
		ck_assert_uint_eq(get(arg, 0, 4), r->size);
	for (u32 off = 4; off < r->size; off++)
		ck_assert_msg(known(r, off) || !arg[off], "%s: byte %u",
			      r->name, off);
}

PRINTF_LIKE(3, 4)
static void add(char *text, size_t *len, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	*len += (size_t)vsnprintf(text + *len, KERNEL_LINE - *len, fmt, ap);
	va_end(ap);
	ck_assert_uint_lt(*len, KERNEL_LINE);
}

static void add_fields(const struct request *r, const u8 *arg, char *text,
		       size_t *len)
{
	for (const struct field *f = r->field; f->name; f++)
		if (*f->name)
			add(text, len, " %s 0x%llx", f->name,
			    (unsigned long long)get(arg, f->off, f->len));
}

/* --- iommufd --- */

/* Of long lists only the beginning has room in a line. */
#define WORDS_TOLD 16

static void add_words(char *text, size_t *len, const u64 *words, u64 nr)
{
	add(text, len, ":");
	for (u64 i = 0; i < nr && i < WORDS_TOLD; i++)
		add(text, len, " 0x%llx", (unsigned long long)words[i]);
	if (nr > WORDS_TOLD)
		add(text, len, " ...");
}

/* What is behind pointers. */
static void add_data(unsigned long nr, const u8 *arg, char *text, size_t *len)
{
	switch (nr) {
	case 0x3b82:
		add_words(text, len, pointer(arg, 16), 2 * get(arg, 8, 4));
		break;
	case 0x3b89:
		add_words(text, len, pointer(arg, 32), get(arg, 28, 4) / 8);
		break;
	case 0x3b8d:
		add_words(text, len, pointer(arg, 8), 2 * get(arg, 24, 4));
		break;
	}
}

static void put_ranges(u8 *arg)
{
	u64 *range = (u64 *)(uintptr_t)get(arg, 16, 8);

	for (u64 i = 0; i < vfio_kernel.ranges && i < get(arg, 8, 4); i++) {
		range[2 * i] = i * 0x10000;
		range[2 * i + 1] = i * 0x10000 + 0xfff;
	}
	put(arg, 8, 4, vfio_kernel.ranges);
	put(arg, 24, 8, 4096);
}

static void put_hw(u8 *arg)
{
	u32 smmu[] = { vfio_kernel.hw_flags,
		       0,
		       0x0d44101b,
		       0x02730010,
		       0x00000022,
		       0x00001414,
		       0x00000044,
		       0x00000074,
		       0x43b,
		       0x3 };

	if (vfio_kernel.hw_other && get(arg, 8, 4) == vfio_kernel.hw_other)
		smmu[2] ^= 1 << 12;
	ck_assert_uint_eq(get(arg, 12, 4), sizeof(smmu));
	if (vfio_kernel.hw_type == 2)
		memcpy((void *)(uintptr_t)get(arg, 16, 8), smmu, sizeof(smmu));
	put(arg, 24, 4, vfio_kernel.hw_type);
	put(arg, 28, 1, 20);
	put(arg, 32, 8, 8);
}

static void made(int fd, u8 *arg, u32 off, u32 needs)
{
	ck_assert_uint_lt(next_id, IDS_MAX);
	object[next_id].owner = fd;
	object[next_id].needs = needs;
	put(arg, off, 4, next_id++);
}

static void put_queue(int fd, u8 *arg)
{
	int queue = new_fd(QUEUE, "fake-events", 0);

	behind[queue].id = next_id;
	vfio_kernel.queue_fd = queue;
	made(fd, arg, 20, (u32)get(arg, 8, 4));
	put(arg, 24, 4, (u64)queue);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* Numbers are those of one iommufd. */
static void check_owner(int fd, u32 id)
{
	if (id < IDS_MAX && object[id].owner)
		ck_assert_int_eq(object[id].owner, fd);
}

static bool in_use(u32 id)
{
	for (int fd = 0; fd < FDS_MAX; fd++)
		if (behind[fd].kind != NOT_OURS && behind[fd].id == id &&
		    is_open(fd))
			return true;
	for (u32 i = 1; i < next_id; i++)
		if (object[i].owner && object[i].needs == id)
			return true;
	return false;
}

/* Not while its queue is open, a device has it, or another is made of it. */
static int destroy(int fd, u32 id)
{
	check_owner(fd, id);
	if (in_use(id)) {
		errno = EBUSY;
		return -1;
	}
	if (id < IDS_MAX)
		object[id].owner = 0;
	return 0;
}

int vfio_kernel_objects(void)
{
	int n = 0;

	for (u32 i = 1; i < next_id; i++)
		n += object[i].owner && !object[i].device;
	return n;
}

u32 vfio_kernel_attached(int device)
{
	return behind[device].id;
}

/* What it is made of, and the device that it is made for, if any. */
static void check_owners(int fd, const u8 *arg, u32 needs, u32 device)
{
	check_owner(fd, (u32)get(arg, needs, 4));
	if (device)
		check_owner(fd, (u32)get(arg, device, 4));
}

static int iommu_answer(int fd, unsigned long nr, u8 *arg)
{
	switch (nr) {
	case 0x3b80:
		return destroy(fd, (u32)get(arg, 4, 4));
	case 0x3b81:
		made(fd, arg, 8, 0);
		break;
	case 0x3b84:
		put_ranges(arg);
		errno = EMSGSIZE;
		return vfio_kernel.ranges > 64 ? -1 : 0;
	case 0x3b89:
		check_owners(fd, arg, 12, 8);
		made(fd, arg, 16, (u32)get(arg, 12, 4));
		break;
	case 0x3b8a:
		check_owners(fd, arg, 8, 0);
		put_hw(arg);
		break;
	case 0x3b90:
		check_owners(fd, arg, 16, 12);
		made(fd, arg, 20, (u32)get(arg, 16, 4));
		break;
	case 0x3b91:
		check_owners(fd, arg, 4, 8);
		made(fd, arg, 12, (u32)get(arg, 4, 4));
		break;
	case 0x3b93:
		check_owners(fd, arg, 8, 0);
		put_queue(fd, arg);
		break;
	}
	return 0;
}

/* How many commands come before the one that is refused. */
static u64 before_refused(const u8 *arg)
{
	const u64 *word = pointer(arg, 8);
	u64 nr = get(arg, 24, 4);

	for (u64 i = 0; vfio_kernel.refuse && i < nr; i++)
		if (word[2 * i] == vfio_kernel.refuse)
			return i;
	return nr;
}

static int invalidate(int fd, u8 *arg, int failed)
{
	u64 nr = get(arg, 24, 4), done = before_refused(arg);

	check_owners(fd, arg, 4, 0);
	if (vfio_kernel.invalidated >= 0)
		put(arg, 24, 4, (u64)vfio_kernel.invalidated);
	if (failed || done == nr)
		return failed;
	put(arg, 24, 4, done);
	errno = EIO;
	return -1;
}

static int iommu_ioctl(int fd, unsigned long nr, u8 *arg)
{
	const struct request *r = find(nr, IOMMU);
	char text[KERNEL_LINE] = "";
	size_t len = 0;
	int failed;

	check_layout(r, arg);
	add_fields(r, arg, text, &len);
	add_data(nr, arg, text, &len);
	failed = call("%s%s", r->name, text);
	if (nr == 0x3b8d)
		return invalidate(fd, arg, failed);
	return failed ? -1 : iommu_answer(fd, nr, arg);
}

/* --- VFIO --- */

#define REGION_SHIFT 40
#define BAR_SIZE     0x4000

/* Areas are said if they are not all. */
static void region_of(u8 *arg, u64 index)
{
	u64 size = vfio_kernel.device->region[index].size;
	u64 mapped = vfio_kernel.device->region[index].mapped;
	u64 again = vfio_kernel.device->region[index].again;
	u32 words = again ? 12 : 8;
	const u32 area[] = {
		1 | 1 << 16, 0, again ? 2 : 1,       0, 0, 0, (u32)mapped, 0,
		(u32)again,  0, (u32)(size - again), 0,
	};

	ck_assert_uint_lt(index, KERNEL_REGIONS);
	put(arg, 16, 8, size);
	put(arg, 4, 4, size ? mapped ? 7 : 3 : 0);
	if (!mapped || mapped == size)
		return;
	put(arg, 4, 4, 15);
	put(arg, 12, 4, 32);
	put(arg, 0, 4, MAX(get(arg, 0, 4), 32 + 4 * words));
	memcpy(arg + 32, area, 4ull * words);
}

/* BAR 0 cannot be mapped, 2 can, 4 has the MSI-X table and can; config. */
static void region_info(u8 *arg)
{
	static const u32 msix_mappable[] = { 3 | 1 << 16, 0 };
	u64 index = get(arg, 8, 4);
	const void *caps = index == 4 ? msix_mappable : vfio_kernel.caps;
	u32 len = index == 4 ? sizeof(msix_mappable) : vfio_kernel.caps_len;
	u32 needed = 32 + MAX(len, index == 4 ? 0 : vfio_kernel.caps_needed);

	put(arg, 24, 8, index << REGION_SHIFT);
	if (vfio_kernel.device) {
		region_of(arg, index);
		return;
	}
	if (index == 7 || (index < 6 && !(index & 1))) {
		put(arg, 16, 8, index == 7 ? 4096 : BAR_SIZE);
		put(arg, 4, 4, index == 2 || index == 4 ? 7 : 3);
	}
	if (index != 4 && (index != 2 || !vfio_kernel.caps))
		return;
	put(arg, 4, 4, 15);
	if (get(arg, 0, 4) < needed) {
		put(arg, 0, 4, needed);
		return;
	}
	put(arg, 12, 4, 32);
	memcpy(arg + 32, caps, len);
}

/* One INTx, no MSI, 10 of MSI-X. */
static int irq_info(u8 *arg)
{
	static const u32 count[] = { 1, 0, 10, 1, 1 };
	static const u32 flags[] = { 7, 9, 1, 9, 9 };
	const struct vfio_kernel_device *d = vfio_kernel.device;
	u64 index = get(arg, 8, 4);

	ck_assert_uint_lt(index, KERNEL_IRQS);
	put(arg, 4, 4, d ? d->irq[index].flags : flags[index]);
	put(arg, 12, 4, d ? d->irq[index].count : count[index]);
	if (!d || !d->irq[index].unknown)
		return 0;
	errno = EINVAL;
	return -1;
}

static int hot_reset_info(u8 *arg)
{
	u32 room = (u32)(get(arg, 0, 4) - 12) / 8, flags = 3;

	put(arg, 8, 4, vfio_kernel.neighbours);
	if (vfio_kernel.neighbours > room) {
		errno = ENOSPC;
		return -1;
	}
	for (u32 i = 0; i < vfio_kernel.neighbours; i++) {
		u32 at = 12 + 8 * i, devid = vfio_kernel.devid[i % 3];

		if (devid == ~0u)
			flags = 1;
		put(arg, at, 4, devid);
		put(arg, at + 4, 2, 1);
		put(arg, at + 6, 1, 2);
		put(arg, at + 7, 1, 0xfd + i);
	}
	put(arg, 4, 4, flags);
	return 0;
}

/* What is attached is of the same iommufd, and is there. */
static int attached(int fd, u32 id)
{
	check_owner(behind[fd].owner, id);
	behind[fd].id = id;
	return 0;
}

/* Bit 0 of the flags: without data. */
static int set_irqs(const u8 *arg)
{
	const struct vfio_kernel_device *d = vfio_kernel.device;
	u32 nr = get(arg, 4, 4) & 4 ? (u32)get(arg, 16, 4) : 0;
	int fds[2048];

	ck_assert_uint_le(nr, ARRAY_SIZE(fds));
	memcpy(fds, arg + 20, nr * sizeof(*fds));
	if (d && d->set_irqs && !vfio_kernel.irqs_result)
		d->set_irqs((u32)get(arg, 8, 4), (u32)get(arg, 12, 4), fds, nr);
	return vfio_kernel.irqs_result;
}

static int reset(void)
{
	if (call("RESET"))
		return -1;
	if (vfio_kernel.device && vfio_kernel.device->reset)
		vfio_kernel.device->reset();
	return 0;
}

static int device_answer(int fd, unsigned long nr, u8 *arg)
{
	switch (nr) {
	case 0x3b6b:
		ck_assert_uint_ge(get(arg, 0, 4), 20);
		put(arg, 4, 4,
		    vfio_kernel.device ? vfio_kernel.device->flags : 3);
		put(arg, 8, 4, 9);
		put(arg, 12, 4, 5);
		break;
	case 0x3b6c:
		ck_assert_uint_ge(get(arg, 0, 4), 32);
		region_info(arg);
		break;
	case 0x3b6d:
		return irq_info(arg);
	case 0x3b6e:
		return set_irqs(arg);
	case 0x3b70:
		return hot_reset_info(arg);
	case 0x3b76:
		behind[fd].owner = (int)get(arg, 8, 4);
		object[next_id].device = true;
		made(behind[fd].owner, arg, 12, 0);
		break;
	case 0x3b77:
		return attached(fd, (u32)get(arg, 8, 4));
	case 0x3b78:
		return attached(fd, 0);
	}
	return 0;
}

/* One eventfd for each vector, if there are any: bit 2 of the flags. */
static void add_fds(const u8 *arg, char *text, size_t *len)
{
	bool fds = get(arg, 4, 4) & 4;
	u64 nr = fds ? get(arg, 16, 4) : 0;

	ck_assert_uint_eq(get(arg, 0, 4), 20 + 4 * nr);
	for (u64 i = 0; i < nr; i++)
		add(text, len, "%s %d", i ? "" : ":",
		    (int)get(arg, (u32)(20 + 4 * i), 4));
}

static int device_ioctl(int fd, unsigned long nr, u8 *arg)
{
	const struct request *r = find(nr, DEVICE);
	char text[KERNEL_LINE] = "";
	size_t len = 0;

	if (nr == 0x3b6f)
		return reset();
	check_layout(r, arg);
	add_fields(r, arg, text, &len);
	if (nr == 0x3b6e)
		add_fds(arg, text, &len);
	return call("%s%s", r->name, text) ? -1 : device_answer(fd, nr, arg);
}

/* --- what ld --wrap leads here --- */

static enum kind kind_of(int fd)
{
	return fd >= 0 && fd < FDS_MAX ? behind[fd].kind : NOT_OURS;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	switch (kind_of(fd)) {
	case IOMMU:
		return iommu_ioctl(fd, request, arg);
	case DEVICE:
		return device_ioctl(fd, request, arg);
	default:
		return __real_ioctl(fd, request, arg);
	}
}

int __wrap_open(const char *path, int flags, ...)
{
	static const char devices[] = "/dev/vfio/devices/";
	bool iommu = !strcmp(path, "/dev/iommu");
	va_list ap;
	int mode;

	if (!iommu && strncmp(path, devices, sizeof(devices) - 1) != 0) {
		/* Looked at only if a file is made. */
		va_start(ap, flags);
		mode = va_arg(ap, int);
		va_end(ap);
		return __real_open(path, flags, mode);
	}
	if (call("open %s 0x%x", path, flags))
		return -1;
	return iommu ? new_fd(IOMMU, "fake-iommu", 0)
		     : new_fd(DEVICE, "fake-device", 9ll << REGION_SHIFT);
}

/* "of 4 at 0x10", for region 4. */
static const char *place(off_t off)
{
	static char text[48];

	snprintf(text, sizeof(text), "of %llu at 0x%llx",
		 (unsigned long long)off >> REGION_SHIFT,
		 (unsigned long long)off & (BIT(REGION_SHIFT) - 1));
	return text;
}

void *vfio_kernel_region(int device, u32 region, size_t len)
{
	void *at = __real_mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED,
			       device, (off_t)region << REGION_SHIFT);

	ck_assert_ptr_ne(at, MAP_FAILED);
	return at;
}

void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off)
{
	u32 region = (u32)((u64)off >> REGION_SHIFT);
	void *p;

	if (kind_of(fd) != DEVICE)
		return __real_mmap(at, len, prot, flags, fd, off);
	if (call("mmap %s len 0x%zx prot %d flags %d", place(off), len, prot,
		 flags))
		return MAP_FAILED;
	p = __real_mmap(at, len, prot, flags, fd, off);
	ck_assert_uint_lt(region, KERNEL_REGIONS);
	vfio_kernel.mapped[region].at = p;
	vfio_kernel.mapped[region].len = len;
	return p;
}

ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t off)
{
	if (kind_of(fd) != DEVICE)
		return __real_pread(fd, buf, len, off);
	if (call("pread %s len %zu", place(off), len))
		return -1;
	return __real_pread(fd, buf, len - vfio_kernel.cut, off);
}

ssize_t __wrap_pwrite(int fd, const void *buf, size_t len, off_t off)
{
	const struct vfio_kernel_device *d = vfio_kernel.device;
	ssize_t done;

	if (kind_of(fd) != DEVICE)
		return __real_pwrite(fd, buf, len, off);
	if (call("pwrite %s len %zu", place(off), len))
		return -1;
	done = __real_pwrite(fd, buf, len - vfio_kernel.cut, off);
	if (d && d->config_written && (u64)off >> REGION_SHIFT == 7)
		d->config_written((u32)off);
	return done;
}

int __wrap_close(int fd)
{
	static const char *const names[] = {
		[IOMMU] = "iommu", [DEVICE] = "device", [QUEUE] = "queue"
	};
	enum kind kind = kind_of(fd);

	/* It cannot fail. */
	if (vfio_kernel.tell_close && kind != NOT_OURS && is_open(fd)) {
		snprintf(vfio_kernel.line[vfio_kernel.lines++], KERNEL_LINE,
			 "close %s", names[kind]);
		ck_assert_int_lt(vfio_kernel.lines, KERNEL_LINES);
	}
	if (kind != NOT_OURS)
		behind[fd].kind = NOT_OURS;
	return __real_close(fd);
}
