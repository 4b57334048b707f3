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
	QUEUE,
};

static struct {
	enum kind kind;
	u32 id; /* QUEUE */
} behind[FDS_MAX];
static u32 next_id;

int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_open(const char *path, int flags, ...);
int __real_ioctl(int fd, unsigned long request, ...);
int __real_open(const char *path, int flags, ...);

void vfio_kernel_reset(void)
{
	vfio_kernel = (struct vfio_kernel) {
		.fail_with = EIO,
		.hw_type = 2,
		.invalidated = -1,
		.ranges = 3,
	};
	memset(behind, 0, sizeof(behind));
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
	if (++vfio_kernel.calls != vfio_kernel.fail_at)
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
	const char *name; /* NULL: the last; "": what the kernel fills in */
	u8 off, len;
};

#define OUT(off, len)        \
	{                    \
		"", off, len \
	}

/* linux/iommufd.h and linux/vfio.h of Linux 7.3: number, size, and where all
 * that may be other than zero is. */
static const struct request {
	unsigned long nr;
	enum kind kind;
	const char *name;
	u32 size;
	struct field field[9];
} requests[] = {
	{ 0x3b80, IOMMU, "DESTROY", 8, { { "id", 4, 4 } } },
	{ 0x3b81, IOMMU, "IOAS_ALLOC", 12, { OUT(8, 4) } },
	{ 0x3b82,
	  IOMMU,
	  "IOAS_ALLOW_IOVAS",
	  24,
	  { { "ioas", 4, 4 }, { "nr", 8, 4 }, OUT(16, 8) } },
	{ 0x3b84,
	  IOMMU,
	  "IOAS_IOVA_RANGES",
	  32,
	  { { "ioas", 4, 4 }, { "nr", 8, 4 }, OUT(16, 8), OUT(24, 8) } },
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
	    OUT(16, 4),
	    { "type", 24, 4 },
	    { "len", 28, 4 },
	    OUT(32, 8) } },
	{ 0x3b8a,
	  IOMMU,
	  "GET_HW_INFO",
	  40,
	  { { "dev", 8, 4 },
	    { "len", 12, 4 },
	    OUT(16, 8),
	    OUT(24, 4),
	    OUT(28, 1),
	    OUT(32, 8) } },
	{ 0x3b8d,
	  IOMMU,
	  "HWPT_INVALIDATE",
	  32,
	  { { "hwpt", 4, 4 },
	    OUT(8, 8),
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
	    OUT(20, 4) } },
	{ 0x3b91,
	  IOMMU,
	  "VDEVICE_ALLOC",
	  24,
	  { { "viommu", 4, 4 },
	    { "dev", 8, 4 },
	    OUT(12, 4),
	    { "id", 16, 8 } } },
	{ 0x3b93,
	  IOMMU,
	  "VEVENTQ_ALLOC",
	  32,
	  { { "viommu", 8, 4 },
	    { "type", 12, 4 },
	    { "depth", 16, 4 },
	    OUT(20, 4),
	    OUT(24, 4) } },
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

/* The size is right, and what has no name is zero. */
static void check_layout(const struct request *r, const u8 *arg)
{
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

static void add_words(char *text, size_t *len, const u64 *words, u64 nr)
{
	add(text, len, ":");
	for (u64 i = 0; i < nr; i++)
		add(text, len, " 0x%llx", (unsigned long long)words[i]);
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
	static const u32 smmu[] = { 1,          0,          0x0d44101b,
				    0x02730010, 0x00000022, 0x00001414,
				    0x00000044, 0x00000074, 0x43b,
				    0x3 };

	ck_assert_uint_eq(get(arg, 12, 4), sizeof(smmu));
	if (vfio_kernel.hw_type == 2)
		memcpy((void *)(uintptr_t)get(arg, 16, 8), smmu, sizeof(smmu));
	put(arg, 24, 4, vfio_kernel.hw_type);
	put(arg, 28, 1, 20);
	put(arg, 32, 8, 8);
}

static void put_queue(u8 *arg)
{
	int fd = new_fd(QUEUE, "fake-events", 0);

	behind[fd].id = next_id;
	put(arg, 20, 4, next_id++);
	put(arg, 24, 4, (u64)fd);
}

/* Not while its queue is open. */
static int destroy(u32 id)
{
	for (int fd = 0; fd < FDS_MAX; fd++)
		if (behind[fd].kind == QUEUE && behind[fd].id == id &&
		    fcntl(fd, F_GETFD) >= 0) {
			errno = EBUSY;
			return -1;
		}
	return 0;
}

static int iommu_answer(unsigned long nr, u8 *arg)
{
	switch (nr) {
	case 0x3b80:
		return destroy((u32)get(arg, 4, 4));
	case 0x3b81:
		put(arg, 8, 4, next_id++);
		break;
	case 0x3b84:
		put_ranges(arg);
		errno = EMSGSIZE;
		return vfio_kernel.ranges > 64 ? -1 : 0;
	case 0x3b89:
		put(arg, 16, 4, next_id++);
		break;
	case 0x3b8a:
		put_hw(arg);
		break;
	case 0x3b90:
		put(arg, 20, 4, next_id++);
		break;
	case 0x3b91:
		put(arg, 12, 4, next_id++);
		break;
	case 0x3b93:
		put_queue(arg);
		break;
	}
	return 0;
}

static int iommu_ioctl(unsigned long nr, u8 *arg)
{
	const struct request *r = find(nr, IOMMU);
	char text[KERNEL_LINE] = "";
	size_t len = 0;
	int failed;

	check_layout(r, arg);
	add_fields(r, arg, text, &len);
	add_data(nr, arg, text, &len);
	failed = call("%s%s", r->name, text);
	if (nr == 0x3b8d && vfio_kernel.invalidated >= 0)
		put(arg, 24, 4, (u64)vfio_kernel.invalidated);
	return failed ? -1 : iommu_answer(nr, arg);
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
		return iommu_ioctl(request, arg);
	default:
		return __real_ioctl(fd, request, arg);
	}
}

int __wrap_open(const char *path, int flags, ...)
{
	if (!strcmp(path, "/dev/iommu"))
		return call("open %s 0x%x", path, flags)
			       ? -1
			       : new_fd(IOMMU, "fake-iommu", 0);
	ck_assert(!(flags & O_CREAT));
	return __real_open(path, flags);
}
