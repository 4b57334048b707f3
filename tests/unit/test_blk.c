/*
 * The block device as a driver meets it: the real loop, and files without a
 * name. What the kernel would rarely do (less than asked, an I/O error, slowly)
 * it does here when told to: the loop's requests to files pass by us (ld
 * --wrap).
 */
#include "fakes/driver.h"
#include "unit.h"

#include <belfry/blk.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/loop.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512u

enum { IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8, DISCARD = 11, ZEROES = 13 };
enum { OK, IOERR, UNSUPP, UNTOUCHED = 0xaa };

#define F_SIZE_MAX BIT(1)
#define F_SEG_MAX  BIT(2)
#define F_RO       BIT(5)
#define F_BLK_SIZE BIT(6)
#define F_FLUSH    BIT(9)
#define F_TOPOLOGY BIT(10)
#define F_MQ       BIT(12)
#define F_DISCARD  BIT(13)
#define F_ZEROES   BIT(14)
#define F_ALWAYS   (F_SEG_MAX | F_BLK_SIZE | F_FLUSH | F_TOPOLOGY)

/* --- the kernel, as told --- */

#define CALLS_MAX 64
#define HELD_MAX  8

static struct {
	/* For the test to set. Calls that this is done to: the first few. */
	int fail, fail_with;
	int shorten; /* by half, to whole sectors */
	int hold;    /* until release */

	/* What was asked for. */
	struct call {
		char what; /* r, w, s, a */
		u64 off, len;
		u32 nr;
		int mode;
		bool dsync;
	} call[CALLS_MAX];
	u32 calls, held_nr;

	struct {
		struct loop *loop;
		struct loop_op *op;
	} held[HELD_MAX];

	struct failing {
		struct loop_op op;
		struct loop_op *theirs;
		int result;
	} failing[CALLS_MAX];
} kernel;

static void kernel_reset(void)
{
	memset(&kernel, 0, sizeof(kernel));
}

static void noted(struct call c)
{
	if (kernel.calls < CALLS_MAX)
		kernel.call[kernel.calls] = c;
	kernel.calls++;
}

static void failed(struct loop_op *op, int result)
{
	struct failing *f = op->ctx;

	f->theirs->busy = false;
	f->theirs->done(f->theirs, f->result);
}

/* Done later, with this. */
static void done_later(struct loop *l, struct loop_op *op, int result)
{
	for (size_t i = 0; i < CALLS_MAX; i++) {
		struct failing *f = &kernel.failing[i];

		if (f->op.busy)
			continue;
		op->busy = true;
		*f = (struct failing) { .op = { .done = failed, .ctx = f },
					.theirs = op,
					.result = result };
		loop_timer(l, &f->op, 1);
		return;
	}
	ck_abort_msg("too many at once");
}

static bool intercepted(struct loop *l, struct loop_op *op)
{
	if (kernel.hold > 0) {
		kernel.hold--;
		op->busy = true;
		ck_assert_uint_lt(kernel.held_nr, HELD_MAX);
		kernel.held[kernel.held_nr].loop = l;
		kernel.held[kernel.held_nr++].op = op;
		return true;
	}
	if (kernel.fail > 0) {
		kernel.fail--;
		done_later(l, op, kernel.fail_with);
		return true;
	}
	return false;
}

static void release_all(int result)
{
	while (kernel.held_nr) {
		kernel.held_nr--;
		done_later(kernel.held[kernel.held_nr].loop,
			   kernel.held[kernel.held_nr].op, result);
	}
}

static u64 total(const struct iovec *iov, u32 nr)
{
	u64 len = 0;

	for (u32 i = 0; i < nr; i++)
		len += iov[i].iov_len;
	return len;
}

/* One that is to be done by half. Lives as long as the test: the loop borrows
 * it. */
static const struct iovec *half(const struct iovec *iov, u32 *nr)
{
	static struct iovec some[1024];
	u64 left = total(iov, *nr) / 2 / SECTOR * SECTOR;

	if (!left || kernel.shorten <= 0)
		return iov;
	kernel.shorten--;
	for (*nr = 0; left; left -= some[(*nr)++].iov_len) {
		some[*nr] = iov[*nr];
		some[*nr].iov_len = MIN(left, iov[*nr].iov_len);
	}
	return some;
}

void __real_loop_file_readv(struct loop *l, struct loop_op *op,
			    struct loop_file f, const struct iovec *iov, u32 nr,
			    u64 off);
void __wrap_loop_file_readv(struct loop *l, struct loop_op *op,
			    struct loop_file f, const struct iovec *iov, u32 nr,
			    u64 off);
void __wrap_loop_file_readv(struct loop *l, struct loop_op *op,
			    struct loop_file f, const struct iovec *iov, u32 nr,
			    u64 off)
{
	noted((struct call) { 'r', off, total(iov, nr), nr, 0, false });
	if (intercepted(l, op))
		return;
	iov = half(iov, &nr);
	__real_loop_file_readv(l, op, f, iov, nr, off);
}

void __real_loop_file_writev(struct loop *l, struct loop_op *op,
			     struct loop_file f, const struct iovec *iov,
			     u32 nr, u64 off, bool dsync);
void __wrap_loop_file_writev(struct loop *l, struct loop_op *op,
			     struct loop_file f, const struct iovec *iov,
			     u32 nr, u64 off, bool dsync);
void __wrap_loop_file_writev(struct loop *l, struct loop_op *op,
			     struct loop_file f, const struct iovec *iov,
			     u32 nr, u64 off, bool dsync)
{
	noted((struct call) { 'w', off, total(iov, nr), nr, 0, dsync });
	if (intercepted(l, op))
		return;
	iov = half(iov, &nr);
	__real_loop_file_writev(l, op, f, iov, nr, off, dsync);
}

void __real_loop_file_sync(struct loop *l, struct loop_op *op,
			   struct loop_file f);
void __wrap_loop_file_sync(struct loop *l, struct loop_op *op,
			   struct loop_file f);
void __wrap_loop_file_sync(struct loop *l, struct loop_op *op,
			   struct loop_file f)
{
	noted((struct call) { 's', 0, 0, 0, 0, false });
	if (!intercepted(l, op))
		__real_loop_file_sync(l, op, f);
}

void __real_loop_file_allocate(struct loop *l, struct loop_op *op,
			       struct loop_file f, int mode, u64 off, u64 len);
void __wrap_loop_file_allocate(struct loop *l, struct loop_op *op,
			       struct loop_file f, int mode, u64 off, u64 len);
void __wrap_loop_file_allocate(struct loop *l, struct loop_op *op,
			       struct loop_file f, int mode, u64 off, u64 len)
{
	noted((struct call) { 'a', off, len, 0, mode, false });
	if (!intercepted(l, op))
		__real_loop_file_allocate(l, op, f, mode, off, len);
}

/* Memory: the how many'th allocation from now fails; 0: none. */
static int no_memory_at;

static bool no_memory(void)
{
	return no_memory_at && !--no_memory_at;
}

void *__real_calloc(size_t nr, size_t size);
void *__wrap_calloc(size_t nr, size_t size);
void *__wrap_calloc(size_t nr, size_t size)
{
	return no_memory() ? NULL : __real_calloc(nr, size);
}

void *__real_aligned_alloc(size_t align, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size)
{
	return no_memory() ? NULL : __real_aligned_alloc(align, size);
}

/* What another thread may do at any time: no queue is to be had any more. */
static bool no_queue;

struct virtq *__real_virtio_queue(struct virtio *v, u32 i);
struct virtq *__wrap_virtio_queue(struct virtio *v, u32 i);
struct virtq *__wrap_virtio_queue(struct virtio *v, u32 i)
{
	return no_queue ? NULL : __real_virtio_queue(v, i);
}

/* --- files --- */

static int new_file(u64 size)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static int new_memory_file(u64 size)
{
	int fd = memfd_create("disk", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	return fd;
}

/* Every place has its own contents. */
static void pattern(u8 *buf, u64 len, u64 at)
{
	for (u64 i = 0; i < len; i++)
		buf[i] = (u8)((at + i) * 7 + (at + i) / SECTOR * 13 + 1);
}

static void fill(int fd, u64 size)
{
	static u8 buf[64 * KIB];

	for (u64 at = 0; at < size; at += sizeof(buf)) {
		size_t n = MIN(sizeof(buf), size - at);

		pattern(buf, n, at);
		ck_assert_int_eq(pwrite(fd, buf, n, (off_t)at), n);
	}
}

static u64 blocks_used(int fd)
{
	struct stat st;

	ck_assert_int_eq(fsync(fd), 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	return (u64)st.st_blocks * 512;
}

static bool is_zero(int fd, u64 from, u64 len)
{
	static u8 buf[64 * KIB];

	for (u64 n; len; from += n, len -= n) {
		n = MIN(sizeof(buf), len);
		ck_assert_int_eq(pread(fd, buf, n, (off_t)from), n);
		for (u64 i = 0; i < n; i++)
			if (buf[i])
				return false;
	}
	return true;
}

static bool is_pattern(int fd, u64 from, u64 len)
{
	static u8 buf[64 * KIB], want[64 * KIB];

	for (u64 n; len; from += n, len -= n) {
		n = MIN(sizeof(buf), len);
		ck_assert_int_eq(pread(fd, buf, n, (off_t)from), n);
		pattern(want, n, from);
		if (memcmp(buf, want, n))
			return false;
	}
	return true;
}

/* --- a guest with one disk --- */

struct spec {
	int fd;
	const char *path; /* instead */
	bool readonly, direct, discard, scattered, floods, paged;
	u32 queues; /* 0: 1 */
	const char *serial;
	u64 without; /* features the driver does not accept */
	u32 size;    /* of queues; 0: 256 */
};

#define DATA_LEN (4 * MIB)

struct guest {
	struct world *w;
	struct disk *disk;
	struct blk *blk;
	struct driver *d;
	struct driver_queue *q; /* the first */
	gpa_t header, status, data;
	u32 written; /* by the last request, as the device says */
};

static void bind(struct guest *g, const struct spec *s)
{
	driver_bind(g->d, ~s->without, MAX(s->queues, 1),
		    s->size ? s->size : 256);
	g->q = &g->d->queues[0];
}

/* A guest that has another request whenever the device looks for one. */
static struct flood {
	struct dma dma;
	gpa_t idx_at; /* of the available ring; 0: not yet */
	const struct virtq *queue;
	u64 looks;
} flood;

static void *flood_map(void *ctx, u64 addr, u64 *len, bool write)
{
	u16 *p = dma_map(&flood.dma, addr, len, write);

	if (p && addr == flood.idx_at) {
		*p = htole16((u16)(flood.queue->avail_next + 1));
		flood.looks++;
	}
	return p;
}

/* An IOMMU, with small pages. */
static struct dma behind_pages;

static void *paged_map(void *ctx, u64 addr, u64 *len, bool write)
{
	*len = MIN(*len, 4 * KIB - addr % (4 * KIB));
	return dma_map(&behind_pages, addr, len, write);
}

static struct blk_setup setup_of(struct guest *g, const struct spec *s)
{
	return (struct blk_setup) {
		.name = "drive 1",
		.disk = g->disk,
		.queues = MAX(s->queues, 1),
		.serial = s->serial,
		.discard = s->discard,
		.caps = g->w->caps,
	};
}

static void open_disk(struct guest *g, const struct spec *s)
{
	struct err e = { 0 };
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", s->fd);
	g->disk = malloc(sizeof(*g->disk));
	ck_assert_ptr_nonnull(g->disk);
	ck_assert_msg(disk_open(g->disk, s->path ? s->path : path, s->readonly,
				s->direct, &e) == 0,
		      "%s", e.msg);
}

static struct guest guest_begin(struct spec s)
{
	struct guest g = { .w = world_create(s.scattered) };
	struct blk_setup b;
	struct err e = { 0 };

	kernel_reset();
	open_disk(&g, &s);
	if (s.floods) {
		flood.dma = g.w->caps.dma;
		g.w->caps.dma = (struct dma) { .map = flood_map };
	}
	if (s.paged) {
		behind_pages = g.w->caps.dma;
		g.w->caps.dma =
			(struct dma) { .map = paged_map, .translates = true };
	}
	b = setup_of(&g, &s);
	g.blk = blk_create(&b, &e);
	ck_assert_msg(g.blk, "%s", e.msg);
	g.d = driver_create(g.w, blk_virtio(g.blk));
	g.header = world_alloc(g.w, 64);
	g.status = world_alloc(g.w, 64);
	g.data = world_alloc(g.w, DATA_LEN);
	bind(&g, &s);
	return g;
}

static void guest_end(struct guest *g)
{
	world_end(g->w);
	blk_destroy(g->blk);
	disk_close(g->disk);
	free(g->disk);
	driver_destroy(g->d);
	world_destroy(g->w);
}

static void put_header(struct guest *g, gpa_t at, u32 type, u64 sector)
{
	struct {
		u32 type, reserved;
		u64 sector;
	} h = { htole32(type), 0xdeadbeef, htole64(sector) };

	world_put(g->w, at, &h, sizeof(h));
}

static void put_status(struct guest *g, gpa_t at)
{
	u8 untouched = UNTOUCHED;

	world_put(g->w, at, &untouched, 1);
}

static u8 get_status(struct guest *g, gpa_t at)
{
	u8 status;

	world_get(g->w, at, &status, 1);
	return status;
}

/* A request with @len bytes of data, the way a kernel lays it out. */
static u16 add(struct guest *g, struct driver_queue *q, u32 type, u64 sector,
	       gpa_t data, u32 len, gpa_t header)
{
	struct buffer h = { header, 16 }, s = { header + 16, 1 };
	struct buffer d = { data, len };
	bool in = type == IN || type == GET_ID;

	put_header(g, header, type, sector);
	put_status(g, header + 16);
	return driver_add(q, (struct buffer[]) { h, d }, 1 + (len && !in),
			  len && in ? (struct buffer[]) { d, s } : &s,
			  1 + (len && in));
}

static u8 request_at(struct guest *g, u32 type, u64 sector, gpa_t data, u32 len)
{
	u16 head = add(g, g->q, type, sector, data, len, g->header);

	driver_kick(g->q);
	ck_assert_uint_eq(driver_wait(g->q, &g->written), head);
	return get_status(g, g->header + 16);
}

static u8 request(struct guest *g, u32 type, u64 sector, u32 len)
{
	return request_at(g, type, sector, g->data, len);
}

static u8 *buffer(u64 len)
{
	u8 *buf = malloc(len ? len : 1);

	ck_assert_ptr_nonnull(buf);
	return buf;
}

/* What the guest is to write there; whether it read what is there. */
static void put_pattern(struct guest *g, gpa_t data, u64 len, u64 at)
{
	u8 *buf = buffer(len);

	pattern(buf, len, at);
	world_put(g->w, data, buf, len);
	free(buf);
}

static bool got_pattern(struct guest *g, gpa_t data, u64 len, u64 at)
{
	u8 *buf = buffer(len), *want = buffer(len);
	bool same;

	world_get(g->w, data, buf, len);
	pattern(want, len, at);
	same = !memcmp(buf, want, len);
	free(buf);
	free(want);
	return same;
}

static void put_range(struct guest *g, u64 sector, u32 nr, u32 flags)
{
	struct {
		u64 sector;
		u32 nr, flags;
	} r = { htole64(sector), htole32(nr), htole32(flags) };

	world_put(g->w, g->data, &r, sizeof(r));
}

static u8 range(struct guest *g, u32 type, u64 sector, u32 nr, u32 flags)
{
	put_range(g, sector, nr, flags);
	return request(g, type, 0, 16);
}

static u64 config(struct guest *g, u32 off, u32 size)
{
	u64 val = 0;

	driver_config(g->d, off, &val, size);
	return le64toh(val);
}

/* Still working, whatever came before. */
static void check_works(struct guest *g)
{
	ck_assert_uint_eq(request(g, IN, 0, SECTOR), OK);
	ck_assert_uint_eq(g->written, SECTOR + 1);
}

/* --- what it says it is --- */

START_TEST(features)
{
	static const struct {
		struct spec s;
		u64 features;
	} cases[] = {
		{ { .queues = 1 }, F_ALWAYS | F_ZEROES },
		{ { .queues = 4 }, F_ALWAYS | F_ZEROES | F_MQ },
		{ { .discard = true }, F_ALWAYS | F_ZEROES | F_DISCARD },
		{ { .readonly = true }, F_ALWAYS | F_RO },
		{ { .paged = true }, F_ALWAYS | F_ZEROES | F_SIZE_MAX },
		{ { .readonly = true, .discard = true, .queues = 16 },
		  F_ALWAYS | F_RO | F_MQ },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct spec s = cases[i].s;
		struct guest g;

		s.fd = new_file(MIB);
		g = guest_begin(s);
		ck_assert_uint_eq(g.d->offered & 0xffffff, cases[i].features);
		ck_assert_uint_eq(driver_read(g.d, NUM_QUEUES, 2),
				  MAX(s.queues, 1));
		/* A block device of virtio's, mass storage. */
		ck_assert_uint_eq(driver_pci_read(g.d, 0, 4), 0x10421af4);
		ck_assert_uint_eq(driver_pci_read(g.d, 8, 4) >> 8, 0x018000);
		guest_end(&g);
		close(s.fd);
	}
}
END_TEST

START_TEST(configuration)
{
	struct spec s = { .fd = new_file(3 * MIB + 512),
			  .queues = 3,
			  .discard = true };
	struct guest g = guest_begin(s);
	u32 per_block = g.disk->physical_block / 512;
	const struct {
		u32 off, size;
		u64 val;
	} fields[] = {
		{ 0, 8, 6145 },
		{ 8, 4, 0 },
		{ 12, 4, 254 },
		{ 16, 4, 0 },
		{ 20, 4, 512 },
		{ 24, 1, (u64)__builtin_ctz(per_block) },
		{ 25, 1, 0 },
		{ 26, 2, per_block },
		{ 28, 4, 0 },
		{ 32, 1, 0 },
		{ 34, 2, 3 },
		{ 36, 4, GIB / 512 },
		{ 40, 4, 1 },
		{ 44, 4, g.disk->discard_block / 512 },
		{ 48, 4, GIB / 512 },
		{ 52, 4, 1 },
		{ 56, 4, 1 },
		/* There is no more. */
		{ 60, 4, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		ck_assert_msg(config(&g, fields[i].off, fields[i].size) ==
				      fields[i].val,
			      "configuration at %u", fields[i].off);
	guest_end(&g);

	s.fd = new_file(MIB);
	s.discard = false;
	g = guest_begin(s);
	ck_assert_uint_eq(config(&g, 36, 8), 0);
	ck_assert_uint_eq(config(&g, 48, 4), GIB / 512);
	ck_assert_uint_eq(config(&g, 56, 4), 0);
	/* None of it is the driver's to write. */
	world_write(g.w, driver_at(g.d, DEVICE_CFG, 0), 4, 0);
	world_write(g.w, driver_at(g.d, DEVICE_CFG, 32), 1, 1);
	ck_assert_uint_eq(config(&g, 0, 8), MIB / 512);
	ck_assert_uint_eq(config(&g, 32, 1), 0);
	guest_end(&g);
}
END_TEST

START_TEST(serial_numbers)
{
	static const struct {
		const char *serial;
		u32 len, written;
	} cases[] = {
		{ NULL, 20, 21 },
		{ "a", 20, 21 },
		{ "01234567890123456789", 20, 21 },
		{ "0123456789012345678", 20, 21 },
		{ "01234567890123456789", 10, 11 },
		{ "01234567890123456789", 30, 20 },
		{ "01234567890123456789", 0, 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct spec s = { .fd = new_file(0),
				  .serial = cases[i].serial };
		struct guest g = guest_begin(s);
		char serial[20] = "", want[32], got[32];

		if (s.serial)
			memcpy(serial, s.serial, strlen(s.serial));
		memset(want, 'x', sizeof(want));
		world_put(g.w, g.data, want, sizeof(want));
		memcpy(want, serial, MIN(cases[i].len, sizeof(serial)));
		ck_assert_uint_eq(request(&g, GET_ID, 0, cases[i].len), OK);
		ck_assert_uint_eq(g.written, cases[i].written);
		world_get(g.w, g.data, got, sizeof(got));
		ck_assert_mem_eq(got, want, sizeof(got));
		guest_end(&g);
		close(s.fd);
	}
}
END_TEST

/* --- reading and writing --- */

static void check_reads_and_writes(struct spec s, u64 size)
{
	static const struct {
		u64 sector;
		u32 len;
	} cases[] = {
		{ 0, 512 },     { 1, 512 },    { 7, 4096 },
		{ 8, 4096 },    { 8, 65536 },  { 100, 1 * MIB + 512 },
		{ 0, 2 * MIB }, { 4095, 512 }, { 4096 - 8, 4096 },
	};
	struct guest g;

	s.fd = new_file(size);
	fill(s.fd, size);
	g = guest_begin(s);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		u64 at = cases[i].sector * SECTOR;
		u32 len = cases[i].len;

		ck_assert_uint_eq(request(&g, IN, cases[i].sector, len), OK);
		ck_assert_uint_eq(g.written, len + 1);
		ck_assert(got_pattern(&g, g.data, len, at));

		put_pattern(&g, g.data, len, at + 5);
		ck_assert_uint_eq(request(&g, OUT, cases[i].sector, len), OK);
		ck_assert_uint_eq(g.written, 1);
		ck_assert(!is_pattern(s.fd, at, len));
		ck_assert(is_pattern(s.fd, 0, at));
		ck_assert(is_pattern(s.fd, at + len, size - at - len));

		put_pattern(&g, g.data, len, at);
		ck_assert_uint_eq(request(&g, OUT, cases[i].sector, len), OK);
		ck_assert(is_pattern(s.fd, 0, size));
	}
	ck_assert_uint_eq(blk_errors(g.blk), 0);
	ck_assert_uint_eq(virtio_faults(blk_virtio(g.blk)), 0);
	guest_end(&g);
	close(s.fd);
}

START_TEST(reads_and_writes)
{
	for (int how = 0; how < 8; how++)
		check_reads_and_writes(
			(struct spec) {
				.scattered = how & 1,
				.direct = how & 2,
				.without = how & 4 ? VIRTIO_F_EVENT_IDX : 0,
			},
			2 * MIB);
}
END_TEST

/*
 * A request's bytes, cut at @cuts: first what the device reads, then what it
 * writes, each cut as the list says, the last piece being the rest.
 */
#define PIECES_MAX 64

static u32 cut(struct buffer *b, gpa_t at, u32 len, const u32 *cuts)
{
	u32 nr = 0;

	for (; *cuts; at += *cuts, len -= *cuts, cuts++)
		b[nr++] = (struct buffer) { at, *cuts };
	b[nr++] = (struct buffer) { at, len };
	return nr;
}

START_TEST(any_layout)
{
	/* Of a request of three sectors: header 16, data 1536, status 1. */
	static const struct {
		u32 out[PIECES_MAX], in[PIECES_MAX];
	} reads[] = {
		{ { 0 }, { 1536 } },
		{ { 0 }, { 0 } },
		{ { 1, 14 }, { 512, 512, 512 } },
		{ { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 },
		  { 1, 511, 600, 423 } },
		{ { 8 }, { 1535 } },
		{ { 15 }, { 1, 1 } },
	}, writes[] = {
		{ { 16 }, { 0 } },
		{ { 0 }, { 0 } },
		{ { 1, 14, 2 }, { 0 } },
		{ { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 },
		  { 0 } },
		{ { 528, 512 }, { 0 } },
		{ { 8, 1543 }, { 0 } },
	};
	struct buffer out[PIECES_MAX], in[PIECES_MAX];
	int fd = new_file(MIB);

	fill(fd, MIB);
	for (int how = 0; how < 8; how++) {
		struct guest g = guest_begin((struct spec) {
			.fd = fd, .scattered = how & 1, .direct = how & 4 });
		/* Across a page's end. */
		gpa_t a = g.data + 4096 - 700, b = g.data + MIB - 700;

		g.q->indirect = how & 2;
		for (size_t i = 0; i < ARRAY_SIZE(reads); i++) {
			u32 outs = cut(out, a, 16, reads[i].out);
			u32 ins = cut(in, b, 1537, reads[i].in);

			put_header(&g, a, IN, 3);
			put_pattern(&g, b, 1536, 1);
			put_status(&g, b + 1536);
			ck_assert_uint_eq(driver_request(g.q, out, outs, in,
							 ins),
					  1537);
			ck_assert_uint_eq(get_status(&g, b + 1536), OK);
			ck_assert(got_pattern(&g, b, 1536, 3 * SECTOR));
		}
		for (size_t i = 0; i < ARRAY_SIZE(writes); i++) {
			u32 outs = cut(out, a, 1552, writes[i].out);
			u32 ins = cut(in, b, 1, writes[i].in);
			u64 at = (i + 9) * SECTOR;

			put_header(&g, a, OUT, i + 9);
			put_pattern(&g, a + 16, 1536, at + 11);
			put_status(&g, b);
			ck_assert_uint_eq(driver_request(g.q, out, outs, in,
							 ins),
					  1);
			ck_assert_uint_eq(get_status(&g, b), OK);
			ck_assert(!is_pattern(fd, at, 1536));
			put_pattern(&g, a + 16, 1536, at);
			driver_request(g.q, out, outs, in, ins);
			ck_assert(is_pattern(fd, 0, MIB));
		}
		ck_assert_uint_eq(blk_errors(g.blk), 0);
		guest_end(&g);
	}
	close(fd);
}
END_TEST

/* As many segments as were offered, and one more that a queue can hold. */
START_TEST(many_segments)
{
	int fd = new_file(MIB);

	for (int how = 0; how < 4; how++) {
		struct guest g = guest_begin((struct spec) {
			.fd = fd, .scattered = how & 1, .direct = how & 2 });
		struct buffer piece[256];

		g.q->indirect = true;
		put_header(&g, g.header, OUT, 0);
		put_status(&g, g.status);
		piece[0] = (struct buffer) { g.header, 16 };
		/* Backwards, and each across pages. */
		for (u32 i = 0; i < 254; i++) {
			gpa_t at = g.data + (254 - i) * 8192 - 512;

			piece[1 + i] = (struct buffer) { at, 1024 };
			put_pattern(&g, at, 1024, i * 1024);
		}
		piece[255] = (struct buffer) { g.status, 1 };
		ck_assert_uint_eq(driver_request(g.q, piece, 255, &piece[255],
						 1),
				  1);
		ck_assert_uint_eq(get_status(&g, g.status), OK);
		ck_assert(is_pattern(fd, 0, 254 * 1024));
		ck_assert(is_zero(fd, 254 * 1024, KIB));
		ck_assert_int_eq(ftruncate(fd, 0), 0);
		ck_assert_int_eq(ftruncate(fd, MIB), 0);
		guest_end(&g);
	}
	close(fd);
}
END_TEST

START_TEST(ranges)
{
	static const struct {
		u64 sector;
		u32 len;
		u8 status;
	} cases[] = {
		{ 2047, 512, OK },
		{ 2047, 1024, IOERR },
		{ 2048, 512, IOERR },
		{ 2048, 0, OK },
		{ 2049, 0, IOERR },
		{ 0, 0, OK },
		{ 0, 1 * MIB, OK },
		{ 0, 1 * MIB + 512, IOERR },
		{ 1, 1 * MIB, IOERR },
		{ 0, 1, IOERR },
		{ 0, 511, IOERR },
		{ 0, 513, IOERR },
		{ 2047, 511, IOERR },
		{ 1ull << 55, 512, IOERR },
		{ (1ull << 55) - 1, 512, IOERR },
		{ (1ull << 63) + 1, 512, IOERR },
		{ ~0ull, 512, IOERR },
		{ ~0ull, 1024, IOERR },
		{ ~0ull, 0, IOERR },
		{ ~0ull - 2047, 1 * MIB, IOERR },
	};
	int fd = new_file(MIB);
	struct guest g = guest_begin((struct spec) { .fd = fd });
	u64 bad = 0;

	fill(fd, MIB);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		u32 len = cases[i].len;
		u8 status = cases[i].status;

		ck_assert_uint_eq(request(&g, IN, cases[i].sector, len),
				  status);
		ck_assert_uint_eq(g.written, status == OK ? len + 1
					     : len        ? 0
							  : 1);
		put_pattern(&g, g.data, len, cases[i].sector * SECTOR);
		ck_assert_uint_eq(request(&g, OUT, cases[i].sector, len),
				  status);
		bad += 2 * (status != OK);
		ck_assert_uint_eq(virtio_faults(blk_virtio(g.blk)), bad);
	}
	ck_assert(is_pattern(fd, 0, MIB));
	ck_assert_uint_eq(blk_errors(g.blk), 0);
	guest_end(&g);
}
END_TEST

/* Of what is not offered nothing is done. */
START_TEST(unknown_types)
{
	static const u32 types[] = { 2,  3,  5,  6,          7,         9,
				     10, 11, 12, 14,         15,        16,
				     17, 26, 27, 0x80000000, 0xffffffff };
	struct guest g = guest_begin((struct spec) { .fd = new_file(MIB) });

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		ck_assert_uint_eq(request(&g, types[i], 0, 0), UNSUPP);
		ck_assert_uint_eq(g.written, 1);
		ck_assert_uint_eq(request(&g, types[i], 0, 512), UNSUPP);
	}
	ck_assert_uint_eq(kernel.calls, 0);
	check_works(&g);
	guest_end(&g);
}
END_TEST

static bool needs_reset(void *ctx)
{
	return driver_status(ctx) & DEVICE_NEEDS_RESET;
}

START_TEST(malformed_requests)
{
	static const struct {
		u32 out, in;
	} cases[] = { { 16, 0 }, { 528, 0 }, { 15, 1 }, { 1, 513 },
		      { 0, 1 },  { 0, 513 }, { 8, 0 } };
	struct spec s = { .fd = new_file(MIB) };
	struct guest g = guest_begin(s);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct buffer out = { g.header, cases[i].out };
		struct buffer in = { g.data, cases[i].in };
		u32 before = driver_messages(g.d, 0);

		put_header(&g, g.header, IN, 0);
		driver_add(g.q, &out, out.len != 0, &in, in.len != 0);
		driver_kick(g.q);
		world_wait(g.w, needs_reset, g.d);
		ck_assert_uint_eq(driver_messages(g.d, 0), before + 1);
		ck_assert_uint_eq(virtio_faults(blk_virtio(g.blk)), i + 1);
		/* It is dead, and says so once. */
		add(&g, g.q, IN, 0, g.data, 512, g.header);
		driver_notify(g.q);
		world_pass(g.w, 5);
		ck_assert_uint_eq(get_status(&g, g.header + 16), UNTOUCHED);
		ck_assert_uint_eq(driver_messages(g.d, 0), before + 1);
		bind(&g, &s);
		check_works(&g);
	}
	ck_assert_uint_eq(kernel.calls, ARRAY_SIZE(cases));
	guest_end(&g);
}
END_TEST

/* What is under way when a queue breaks does not come back through it. */
START_TEST(a_queue_that_breaks_in_flight)
{
	struct spec s = { .fd = new_file(MIB) };
	struct guest g = guest_begin(s);
	struct buffer in = { g.status, 1 };

	kernel.hold = 1;
	add(&g, g.q, IN, 0, g.data, 512, g.header);
	driver_kick(g.q);
	world_pass(g.w, 2);
	ck_assert_uint_eq(kernel.held_nr, 1);
	driver_add(g.q, NULL, 0, &in, 1);
	driver_notify(g.q);
	world_wait(g.w, needs_reset, g.d);
	release_all(512);
	world_pass(g.w, 5);
	bind(&g, &s);
	check_works(&g);
	guest_end(&g);
}
END_TEST

/* The driver's used_event, behind its available ring, is in no memory. */
START_TEST(a_queue_that_breaks_when_shown)
{
	struct spec s = { .fd = new_file(MIB), .size = 16 };
	struct guest g = guest_begin(s);
	struct driver_queue q = *g.q;
	gpa_t end = WORLD_RAM + WORLD_RAM_LEN;

	driver_reset(g.d);
	ck_assert(driver_negotiate(g.d, ~0ull));
	*g.q = q;
	g.q->avail = end - (4 + 2 * 16);
	driver_write(g.d, CONFIG_MSIX_VECTOR, 2, 0);
	driver_write(g.d, QUEUE_SELECT, 2, 0);
	driver_write(g.d, QUEUE_SIZE, 2, 16);
	driver_write(g.d, QUEUE_DESC, 8, g.q->desc);
	driver_write(g.d, QUEUE_DRIVER, 8, g.q->avail);
	driver_write(g.d, QUEUE_DEVICE, 8, g.q->used);
	driver_write(g.d, QUEUE_ENABLE, 2, 1);
	driver_start(g.d);
	put_header(&g, g.header, GET_ID, 0);
	driver_put_desc(g.q, 0, g.header, 16, 1, 1);
	driver_put_desc(g.q, 1, g.data, 21, 2, 0);
	driver_put_avail(g.q, 0);
	driver_notify(g.q);
	world_wait(g.w, needs_reset, g.d);
	bind(&g, &s);
	check_works(&g);
	guest_end(&g);
}
END_TEST

START_TEST(read_only)
{
	int fd = new_file(MIB);
	struct guest g;

	fill(fd, MIB);
	g = guest_begin((struct spec) {
		.fd = fd, .readonly = true, .discard = true, .serial = "s" });
	ck_assert_uint_eq(request(&g, OUT, 0, 512), IOERR);
	ck_assert_uint_eq(g.written, 1);
	ck_assert_uint_eq(request(&g, OUT, 0, 0), IOERR);
	ck_assert_uint_eq(range(&g, DISCARD, 0, 8, 0), UNSUPP);
	ck_assert_uint_eq(range(&g, ZEROES, 0, 8, 0), UNSUPP);
	ck_assert_uint_eq(kernel.calls, 0);
	ck_assert_uint_eq(request(&g, IN, 8, 4096), OK);
	ck_assert(got_pattern(&g, g.data, 4096, 4096));
	ck_assert_uint_eq(request(&g, FLUSH, 0, 0), OK);
	ck_assert_uint_eq(request(&g, GET_ID, 0, 20), OK);
	ck_assert(is_pattern(fd, 0, MIB));
	guest_end(&g);
}
END_TEST

/* --- stable storage --- */

static void check_call(u32 i, char what, bool dsync)
{
	ck_assert_uint_lt(i, kernel.calls);
	ck_assert_int_eq(kernel.call[i].what, what);
	ck_assert_int_eq(kernel.call[i].dsync, dsync);
}

START_TEST(a_driver_that_flushes)
{
	struct guest g = guest_begin((struct spec) { .fd = new_file(MIB) });

	ck_assert_uint_eq(request(&g, OUT, 0, 512), OK);
	ck_assert_uint_eq(request(&g, FLUSH, 0, 0), OK);
	ck_assert_uint_eq(g.written, 1);
	ck_assert_uint_eq(range(&g, ZEROES, 0, 8, 0), OK);
	check_call(0, 'w', false);
	check_call(1, 's', false);
	check_call(2, 'a', false);
	ck_assert_uint_eq(kernel.calls, 3);
	guest_end(&g);
}
END_TEST

/* It deduces that what is done is stable (5.2.5.1). */
START_TEST(a_driver_that_does_not)
{
	int fd = new_memory_file(MIB);
	struct guest g = guest_begin(
		(struct spec) { .fd = new_file(MIB), .without = F_FLUSH });

	ck_assert_uint_eq(request(&g, OUT, 0, 512), OK);
	ck_assert_uint_eq(range(&g, ZEROES, 0, 8, 0), OK);
	ck_assert_uint_eq(request(&g, FLUSH, 0, 0), UNSUPP);
	check_call(0, 'w', true);
	check_call(1, 'a', false);
	check_call(2, 's', false);
	ck_assert_uint_eq(kernel.calls, 3);
	guest_end(&g);

	/* Zeroes that are written are no different. */
	g = guest_begin((struct spec) { .fd = fd, .without = F_FLUSH });
	kernel.fail = 1;
	kernel.fail_with = -EOPNOTSUPP;
	ck_assert_uint_eq(range(&g, ZEROES, 0, 8, 0), OK);
	check_call(0, 'a', false);
	check_call(1, 'w', true);
	guest_end(&g);
}
END_TEST

/* --- discard and zeroes --- */

#define UNMAP   1
#define PUNCHED (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define ZEROED  (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE)

START_TEST(discard_and_zeroes)
{
	static const struct {
		bool discard; /* as the operator has it */
		u32 type;
		u64 sector;
		u32 nr, flags;
		u8 status;
		int mode; /* what the host is asked for; 0: nothing */
	} cases[] = {
		{ true, DISCARD, 8, 1000, 0, OK, PUNCHED },
		{ true, DISCARD, 0, 2048, 0, OK, PUNCHED },
		{ true, DISCARD, 2047, 1, 0, OK, PUNCHED },
		{ true, DISCARD, 8, 0, 0, OK, 0 },
		{ true, DISCARD, 2047, 2, 0, IOERR, 0 },
		{ true, DISCARD, 2048, 1, 0, IOERR, 0 },
		{ true, DISCARD, ~0ull, 1, 0, IOERR, 0 },
		{ true, DISCARD, ~0ull, 0xffffffff, 0, IOERR, 0 },
		{ true, DISCARD, 0, 0xffffffff, 0, IOERR, 0 },
		{ true, DISCARD, 8, 8, UNMAP, UNSUPP, 0 },
		{ true, DISCARD, 8, 8, 2, UNSUPP, 0 },
		{ false, DISCARD, 8, 8, 0, UNSUPP, 0 },
		{ true, ZEROES, 8, 1000, 0, OK, ZEROED },
		{ true, ZEROES, 8, 1000, UNMAP, OK, PUNCHED },
		{ true, ZEROES, 3, 5, UNMAP, OK, PUNCHED },
		{ true, ZEROES, 0, 2048, 0, OK, ZEROED },
		{ true, ZEROES, 8, 8, 2, UNSUPP, 0 },
		{ true, ZEROES, 8, 8, 0x80000001, UNSUPP, 0 },
		{ true, ZEROES, 2047, 2, 0, IOERR, 0 },
		{ true, ZEROES, ~0ull, 1, UNMAP, IOERR, 0 },
		{ false, ZEROES, 8, 1000, 0, OK, ZEROED },
		/* The operator would have nothing freed. */
		{ false, ZEROES, 8, 1000, UNMAP, OK, ZEROED },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int fd = new_file(MIB);
		u64 at = cases[i].sector * SECTOR;
		u64 len = (u64)cases[i].nr * SECTOR;
		bool done = cases[i].mode;
		struct guest g;

		fill(fd, MIB);
		g = guest_begin((struct spec) { .fd = fd,
						.discard = cases[i].discard });
		ck_assert_uint_eq(range(&g, cases[i].type, cases[i].sector,
					cases[i].nr, cases[i].flags),
				  cases[i].status);
		ck_assert_uint_eq(g.written, 1);
		ck_assert_uint_eq(kernel.calls, done);
		if (done) {
			ck_assert_int_eq(kernel.call[0].mode, cases[i].mode);
			ck_assert(is_zero(fd, at, len));
			ck_assert(is_pattern(fd, 0, at));
			ck_assert(is_pattern(fd, at + len, MIB - at - len));
			if (len > 64 * KIB)
				ck_assert(cases[i].mode == PUNCHED
						  ? blocks_used(fd) < MIB
						  : blocks_used(fd) >= MIB);
		} else {
			ck_assert(is_pattern(fd, 0, MIB));
		}
		guest_end(&g);
		close(fd);
	}
}
END_TEST

/* Longer than one, at a sector that counts for nothing: both unlike what was
 * offered. */
START_TEST(several_ranges)
{
	static const u32 lens[] = { 0, 1, 15, 17, 32, 48, 4096 };
	struct guest g = guest_begin(
		(struct spec) { .fd = new_file(MIB), .discard = true });

	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		put_range(&g, 0, 8, 0);
		ck_assert_uint_eq(request(&g, DISCARD, 0, lens[i]), IOERR);
		ck_assert_uint_eq(request(&g, ZEROES, 0, lens[i]), IOERR);
	}
	ck_assert_uint_eq(kernel.calls, 0);
	guest_end(&g);
}
END_TEST

/* On a disk that has as much. */
START_TEST(as_large_a_range_as_was_offered)
{
	static const struct {
		u32 nr;
		u8 status;
	} cases[] = { { GIB / 512, OK },
		      { GIB / 512 + 1, IOERR },
		      { 2 * GIB / 512, IOERR } };
	struct guest g = guest_begin(
		(struct spec) { .fd = new_file(4 * GIB), .discard = true });

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		u32 nr = cases[i].nr;
		u8 status = cases[i].status;

		ck_assert_uint_eq(range(&g, DISCARD, 8, nr, 0), status);
		ck_assert_uint_eq(range(&g, ZEROES, 8, nr, UNMAP), status);
	}
	guest_end(&g);
}
END_TEST

/* A host that can less and less. The last is what tmpfs does of itself. */
START_TEST(hosts_that_cannot)
{
	int fd = new_file(MIB);
	struct guest g =
		guest_begin((struct spec) { .fd = fd, .discard = true });

	fill(fd, MIB);
	kernel.fail_with = -EOPNOTSUPP;
	kernel.fail = 1;
	ck_assert_uint_eq(range(&g, DISCARD, 0, 2048, 0), OK);
	ck_assert_uint_eq(kernel.calls, 1);
	ck_assert(is_pattern(fd, 0, MIB));

	kernel.fail = 1;
	ck_assert_uint_eq(range(&g, ZEROES, 8, 1000, UNMAP), OK);
	ck_assert_uint_eq(kernel.calls, 3);
	ck_assert_int_eq(kernel.call[1].mode, PUNCHED);
	ck_assert_int_eq(kernel.call[2].mode, ZEROED);
	ck_assert(is_zero(fd, 4096, 512000));

	fill(fd, MIB);
	kernel.fail = 2;
	ck_assert_uint_eq(range(&g, ZEROES, 8, 1000, UNMAP), OK);
	ck_assert_uint_eq(kernel.calls, 6);
	check_call(5, 'w', false);
	ck_assert(is_zero(fd, 4096, 512000));
	ck_assert(is_pattern(fd, 0, 4096));
	ck_assert(is_pattern(fd, 516096, MIB - 516096));

	kernel.fail = 1;
	kernel.fail_with = -EIO;
	ck_assert_uint_eq(range(&g, DISCARD, 0, 8, 0), IOERR);
	kernel.fail = 1;
	ck_assert_uint_eq(range(&g, ZEROES, 0, 8, 0), IOERR);
	ck_assert_uint_eq(blk_errors(g.blk), 2);
	guest_end(&g);
}
END_TEST

/* More than one call can take, and less than asked done by each. */
START_TEST(zeroes_that_are_written)
{
	u64 size = 20 * MIB;
	int fd = new_memory_file(size);

	for (int how = 0; how < 4; how++) {
		struct guest g = guest_begin(
			(struct spec) { .fd = fd, .direct = how & 1 });

		fill(fd, size);
		kernel.shorten = how & 2 ? 3 : 0;
		ck_assert_uint_eq(range(&g, ZEROES, 7, 40960 - 8, 0), OK);
		ck_assert(is_pattern(fd, 0, 7 * SECTOR));
		ck_assert(is_zero(fd, 7 * SECTOR, size - 8 * SECTOR));
		ck_assert(is_pattern(fd, size - SECTOR, SECTOR));
		guest_end(&g);
	}
}
END_TEST

/* --- what the host does not do --- */

/* Each of @times calls does half of what is left. */
static void check_halves(struct guest *g, int fd, gpa_t data, int times)
{
	u32 len = 128 * KIB + 512;

	kernel.shorten = times;
	ck_assert_uint_eq(request_at(g, IN, 3, data, len), OK);
	ck_assert_uint_eq(g->written, len + 1);
	ck_assert(got_pattern(g, data, len, 3 * SECTOR));
	ck_assert_int_eq(kernel.shorten, 0);

	put_pattern(g, data, len, 99);
	kernel.shorten = times;
	ck_assert_uint_eq(request_at(g, OUT, 3, data, len), OK);
	ck_assert_uint_eq(request_at(g, IN, 3, data, len), OK);
	ck_assert(got_pattern(g, data, len, 99));

	put_pattern(g, data, len, 3 * SECTOR);
	kernel.shorten = times;
	ck_assert_uint_eq(request_at(g, OUT, 3, data, len), OK);
	ck_assert(is_pattern(fd, 0, MIB));
}

START_TEST(less_than_asked)
{
	for (int how = 0; how < 8; how++) {
		int fd = new_file(MIB);
		struct guest g;

		fill(fd, MIB);
		g = guest_begin((struct spec) {
			.fd = fd, .scattered = how & 1, .direct = how & 2 });
		for (int times = 1; times < 8; times++)
			check_halves(&g, fd, g.data + (how & 4), times);
		ck_assert_uint_eq(blk_errors(g.blk), 0);
		guest_end(&g);
		close(fd);
	}
}
END_TEST

START_TEST(host_errors)
{
	static const struct {
		u32 type;
		int result;
		u8 status;
		u32 errors;
	} cases[] = {
		{ IN, -EIO, IOERR, 1 },
		{ OUT, -EIO, IOERR, 1 },
		{ OUT, -ENOSPC, IOERR, 1 },
		{ FLUSH, -EIO, IOERR, 1 },
		{ FLUSH, -ENOSPC, IOERR, 1 },
		{ IN, 0, IOERR, 1 },
		{ OUT, 0, IOERR, 1 },
		{ IN, -ECANCELED, IOERR, 1 },
		/* These are begun again. */
		{ IN, -EINTR, OK, 0 },
		{ OUT, -EAGAIN, OK, 0 },
		{ FLUSH, -EINTR, OK, 0 },
		{ ZEROES, -EINTR, OK, 0 },
		{ ZEROES, -EIO, IOERR, 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int fd = new_file(MIB);
		struct guest g;
		u32 len = cases[i].type == FLUSH ? 0 : 4096;

		fill(fd, MIB);
		g = guest_begin((struct spec) { .fd = fd });
		put_pattern(&g, g.data, 4096, 0);
		kernel.fail = 1;
		kernel.fail_with = cases[i].result;
		if (cases[i].type == ZEROES)
			ck_assert_uint_eq(range(&g, ZEROES, 0, 8, 0),
					  cases[i].status);
		else
			ck_assert_uint_eq(request(&g, cases[i].type, 0, len),
					  cases[i].status);
		ck_assert_uint_eq(g.written, cases[i].type != IN     ? 1
					     : cases[i].status == OK ? len + 1
								     : 0);
		ck_assert_uint_eq(blk_errors(g.blk), cases[i].errors);
		ck_assert_uint_eq(virtio_faults(blk_virtio(g.blk)), 0);
		check_works(&g);
		ck_assert_uint_eq(blk_errors(g.blk), cases[i].errors);
		guest_end(&g);
		close(fd);
	}
}
END_TEST

/* Standard error goes there meanwhile. */
static int catch_log(void)
{
	int to = new_memory_file(0), before = dup(STDERR_FILENO);

	ck_assert_int_ge(before, 0);
	ck_assert_int_ge(dup2(to, STDERR_FILENO), 0);
	close(to);
	return before;
}

/* How many lines say @what. */
static int lines_logged(int before, const char *what)
{
	static char log[64 * KIB];
	ssize_t n = pread(STDERR_FILENO, log, sizeof(log) - 1, 0);
	int lines = 0;

	ck_assert_int_ge(n, 0);
	log[n] = '\0';
	for (char *at = log; (at = strstr(at, what)); at++)
		lines++;
	dup2(before, STDERR_FILENO);
	close(before);
	return lines;
}

/* No guest fills the operator's log. */
START_TEST(errors_are_told_but_not_for_ever)
{
	struct guest g = guest_begin((struct spec) { .fd = new_file(MIB) });
	int before = catch_log();

	for (int i = 0; i < 100; i++) {
		kernel.fail = 1;
		kernel.fail_with = -ENOSPC;
		ck_assert_uint_eq(request(&g, OUT, 8, 4096), IOERR);
	}
	ck_assert_int_eq(lines_logged(before,
				      "warning: drive 1: write of 4096 bytes "
				      "at 4096: No space left on device"),
			 8 + 3);
	ck_assert_uint_eq(blk_errors(g.blk), 100);
	check_works(&g);
	guest_end(&g);
}
END_TEST

START_TEST(a_file_that_got_shorter)
{
	/* Half of it is there: half is not enough. */
	static const u32 sectors[] = { 1024, 508 };

	for (int i = 0; i < 4; i++) {
		int fd = new_file(MIB), before;
		struct guest g;

		fill(fd, MIB);
		g = guest_begin((struct spec) { .fd = fd, .direct = i % 2 });
		ck_assert_int_eq(ftruncate(fd, 256 * KIB), 0);
		before = catch_log();
		ck_assert_uint_eq(request(&g, IN, sectors[i / 2], 4096), IOERR);
		ck_assert_uint_eq(g.written, 0);
		/* It is measured then, and not only in a second. */
		ck_assert_int_eq(lines_logged(before,
					      "the disk ends before: "
					      "an I/O error for the guest\n"
					      "belfry: drive 1: "
					      "has 262144 bytes now"),
				 1);
		ck_assert_uint_eq(blk_errors(g.blk), 1);
		ck_assert_uint_eq(config(&g, 0, 8), 512);
		ck_assert_uint_eq(driver_messages(g.d, 0), 1);
		ck_assert_uint_eq(request(&g, IN, 504, 4096), OK);
		ck_assert(got_pattern(&g, g.data, 4096, 504 * SECTOR));
		guest_end(&g);
		close(fd);
	}
}
END_TEST

START_TEST(a_file_that_may_not_grow)
{
	struct rlimit limit = { 64 * KIB, 64 * KIB };
	struct guest g = guest_begin((struct spec) { .fd = new_file(MIB) });

	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_uint_eq(request(&g, OUT, 256, 4096), IOERR);
	/* Some of it fits. */
	ck_assert_uint_eq(request(&g, OUT, 124, 4096), IOERR);
	ck_assert_uint_eq(blk_errors(g.blk), 2);
	ck_assert_uint_eq(request(&g, OUT, 120, 4096), OK);
	guest_end(&g);
}
END_TEST

/* Where we may mount. */
START_TEST(a_full_file_system)
{
	struct guest g;
	int dir, fd;

	if (unshare(CLONE_NEWNS) ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", "/mnt", "tmpfs", 0, "size=128k"))
		return;
	dir = open("/mnt", O_RDONLY | O_DIRECTORY);
	fd = openat(dir, ".", O_TMPFILE | O_RDWR, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, MIB), 0);
	g = guest_begin((struct spec) { .fd = fd });
	put_pattern(&g, g.data, 256 * KIB, 0);
	ck_assert_uint_eq(request(&g, OUT, 0, 64 * KIB), OK);
	ck_assert_uint_eq(request(&g, OUT, 128, 256 * KIB), IOERR);
	ck_assert_uint_eq(blk_errors(g.blk), 1);
	ck_assert_uint_eq(request(&g, IN, 0, 64 * KIB), OK);
	ck_assert(got_pattern(&g, g.data, 64 * KIB, 0));
	guest_end(&g);
}
END_TEST

/* --- batches, interrupts, notifications --- */

struct batch {
	struct guest *g;
	struct driver_queue *q;
	u32 left;
	u8 worst;
	gpa_t header[256];
	gpa_t of[VIRTQ_SIZE_MAX]; /* by head */
};

static bool batch_done(void *ctx)
{
	struct batch *b = ctx;
	u32 written;
	u16 head;

	while (driver_used(b->q, &head, &written)) {
		b->worst = MAX(b->worst, get_status(b->g, b->of[head] + 16));
		b->left--;
	}
	return !b->left;
}

static void batch_init(struct batch *b, struct guest *g, struct driver_queue *q)
{
	*b = (struct batch) { .g = g, .q = q };
	for (u32 i = 0; i < 256; i++)
		b->header[i] = world_alloc(g->w, 64);
}

/* @nr requests of a page each, at one go: how often were we asked to tell, and
 * told? */
static void batch(struct batch *b, u32 type, u32 nr)
{
	for (u32 i = 0; i < nr; i++) {
		u16 head = add(b->g, b->q, type, i * 8, b->g->data + i * 4096,
			       type == GET_ID ? 20 : 4096, b->header[i]);

		b->of[head] = b->header[i];
	}
	b->left = nr;
	b->worst = OK;
	ck_assert(driver_kick(b->q));
	world_wait(b->g->w, batch_done, b);
	ck_assert_uint_eq(b->worst, OK);
}

START_TEST(one_interrupt_for_a_batch)
{
	int fd = new_file(2 * MIB);

	fill(fd, 2 * MIB);
	for (int how = 0; how < 4; how++) {
		struct guest g = guest_begin((struct spec) {
			.fd = fd,
			.without = how & 1 ? VIRTIO_F_EVENT_IDX : 0 });
		struct batch b;

		batch_init(&b, &g, g.q);
		g.q->indirect = how & 2;
		/* In the cache, so that reading does not wait. */
		batch(&b, IN, 32);
		for (u32 i = 0; i < 5; i++) {
			u32 before = driver_messages(g.d, 1);

			batch(&b, IN, 32);
			world_pass(g.w, 2);
			ck_assert_uint_eq(driver_messages(g.d, 1), before + 1);
		}
		for (u32 i = 0; i < 32; i++)
			ck_assert(got_pattern(&g, g.data + i * 4096, 4096,
					      i * 4096));
		guest_end(&g);
	}
	close(fd);
}
END_TEST

/* Every descriptor a request; then requests that are done at once, as many as
 * a turn takes, and the device must still be listening after it. */
START_TEST(a_full_queue)
{
	int fd = new_file(2 * MIB);

	fill(fd, 2 * MIB);
	for (int how = 0; how < 4; how++) {
		struct guest g = guest_begin((struct spec) {
			.fd = fd,
			.without = how & 1 ? VIRTIO_F_EVENT_IDX : 0,
			.scattered = how & 2 });
		struct batch b;

		batch_init(&b, &g, g.q);
		g.q->indirect = true;
		for (int i = 0; i < 3; i++) {
			batch(&b, IN, 256);
			batch(&b, OUT, 256);
			batch(&b, GET_ID, 256);
			batch(&b, GET_ID, 255);
		}
		ck_assert_uint_eq(virtio_faults(blk_virtio(g.blk)), 0);
		ck_assert_uint_eq(blk_errors(g.blk), 0);
		ck_assert(is_zero(fd, 0, 0));
		guest_end(&g);
	}
	close(fd);
}
END_TEST

/* The loop goes on with everything else, as it does while time passes here. */
START_TEST(a_flood_of_requests)
{
	struct spec s = { .fd = new_file(MIB), .floods = true };
	struct guest g = guest_begin(s);
	u64 looks;

	check_works(&g);
	put_header(&g, g.header, GET_ID, 0);
	/* Each entry of the ring says 0. */
	driver_put_desc(g.q, 0, g.header, 16, 1, 1);
	driver_put_desc(g.q, 1, g.data, 21, 2, 0);
	flood.queue = virtio_queue(blk_virtio(g.blk), 0);
	flood.idx_at = g.q->avail + 2;
	driver_notify(g.q);
	world_pass(g.w, 20);
	looks = flood.looks;
	world_pass(g.w, 20);
	ck_assert_uint_gt(flood.looks, looks);
	ck_assert_uint_eq(virtio_faults(blk_virtio(g.blk)), 0);
	flood.idx_at = 0;
	bind(&g, &s);
	check_works(&g);
	guest_end(&g);
}
END_TEST

START_TEST(several_queues)
{
	int fd = new_file(2 * MIB);
	struct batch b[BLK_QUEUES_MAX];
	struct guest g;

	fill(fd, 2 * MIB);
	g = guest_begin((struct spec) { .fd = fd, .queues = 16, .size = 64 });
	for (u32 i = 0; i < 16; i++) {
		batch_init(&b[i], &g, &g.d->queues[i]);
		b[i].q->indirect = true;
		batch(&b[i], IN, 64);
	}
	/* All at once, and each tells of its own. */
	for (u32 i = 0; i < 16; i++) {
		b[i].of[add(&g, b[i].q, IN, i * 8, g.data + i * 4096, 4096,
			    b[i].header[0])] = b[i].header[0];
		b[i].left = 1;
		driver_kick(b[i].q);
	}
	for (u32 i = 0; i < 16; i++) {
		world_wait(g.w, batch_done, &b[i]);
		ck_assert_uint_eq(b[i].worst, OK);
		ck_assert(got_pattern(&g, g.data + i * 4096, 4096, i * 4096));
		ck_assert_uint_ge(driver_messages(g.d, i + 1), 2);
	}
	ck_assert_uint_eq(g.w->lost, 0);
	guest_end(&g);

	/* A driver may leave some of them out. */
	g = guest_begin((struct spec) { .fd = fd, .queues = 4 });
	ck_assert(driver_negotiate(g.d, ~0ull));
	g.q = driver_queue_setup(g.d, 2, 16, 3);
	driver_start(g.d);
	check_works(&g);
	guest_end(&g);
}
END_TEST

/* --- reset --- */

/* While something is with the kernel, a reset is not done; after it, nothing
 * touches memory. */
static void check_reset_in_flight(struct spec s, u32 type, int result)
{
	struct guest g = guest_begin(s);
	gpa_t odd = g.data + 1; /* goes through the bounce buffer if direct */
	u8 before[512];

	memset(before, 0x77, sizeof(before));
	world_put(g.w, odd, before, sizeof(before));
	kernel.hold = 3;
	if (type == ZEROES)
		put_range(&g, 0, 8, 0);
	for (u32 i = 0; i < 3; i++)
		add(&g, g.q, type, 0, type == ZEROES ? g.data : odd,
		    type == ZEROES  ? 16
		    : type == FLUSH ? 0
				    : 512,
		    g.header + (i ? KIB * 8 + 64 * i : 0));
	driver_kick(g.q);
	world_pass(g.w, 3);
	ck_assert_uint_eq(kernel.held_nr,
			  s.direct && (type == IN || type == OUT) ? 1 : 3);

	driver_write(g.d, DEVICE_STATUS, 1, 0);
	world_pass(g.w, 5);
	ck_assert_uint_ne(driver_status(g.d), 0);
	release_all(result);
	/* What it begins again or goes on with now would be wrong. */
	kernel.calls = 0;
	driver_reset(g.d);
	ck_assert_uint_eq(driver_status(g.d), 0);
	g.w->no_memory = true;
	world_pass(g.w, 5);
	g.w->no_memory = false;
	ck_assert_uint_eq(kernel.calls, 0);
	ck_assert_uint_eq(get_status(&g, g.header + 16), UNTOUCHED);

	kernel.hold = 0;
	bind(&g, &s);
	check_works(&g);
	ck_assert_uint_eq(request_at(&g, IN, 0, odd, 512), OK);
	guest_end(&g);
}

START_TEST(reset_in_flight)
{
	static const struct {
		u32 type;
		int result;
	} cases[] = {
		{ IN, 512 },        { IN, 256 },      { IN, 0 },
		{ IN, -EIO },       { IN, -EINTR },   { OUT, 512 },
		{ OUT, 256 },       { OUT, -EAGAIN }, { FLUSH, 0 },
		{ FLUSH, -EINTR },  { ZEROES, 0 },    { ZEROES, -EOPNOTSUPP },
		{ ZEROES, -EINTR },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (int how = 0; how < 4; how++)
			check_reset_in_flight(
				(struct spec) { .fd = new_file(MIB),
						.direct = how & 1,
						.without =
							how & 2 ? F_FLUSH : 0 },
				how & 2 && cases[i].type == FLUSH
					? OUT
					: cases[i].type,
				cases[i].result);
}
END_TEST

static void note_done(void *ctx)
{
	*(bool *)ctx = true;
}

/* The machine's, no driver asking; and a device that has nothing to do. */
START_TEST(reset_from_outside)
{
	struct spec s = { .fd = new_file(MIB), .queues = 2 };
	struct guest g = guest_begin(s);
	bool done = false;

	check_works(&g);
	kernel.hold = 1;
	add(&g, g.q, IN, 0, g.data, 512, g.header);
	driver_kick(g.q);
	world_pass(g.w, 2);
	virtio_reset(blk_virtio(g.blk), note_done, &done);
	world_pass(g.w, 5);
	ck_assert(!done);
	release_all(512);
	world_pass(g.w, 5);
	ck_assert(done);

	done = false;
	virtio_reset(blk_virtio(g.blk), note_done, &done);
	ck_assert(done);
	bind(&g, &s);
	check_works(&g);
	driver_reset(g.d);
	driver_reset(g.d);
	bind(&g, &s);
	check_works(&g);
	guest_end(&g);
}
END_TEST

/* --- bus mastering --- */

/* Taken away while the kernel has a request, whose end is told to nobody. */
static void check_cut_off(struct spec s, u32 type, int result)
{
	struct guest g = guest_begin(s);

	if (type == OUT)
		put_pattern(&g, g.data, 1024, 0);
	if (type == ZEROES)
		put_range(&g, 64, 2, 0);
	kernel.hold = 2;
	for (u32 i = 0; i < 2; i++)
		add(&g, g.q, type, 0, g.data,
		    type == ZEROES  ? 16
		    : type == FLUSH ? 0
				    : 1024,
		    g.header + 64 * i);
	driver_kick(g.q);
	world_pass(g.w, 2);
	ck_assert_uint_eq(kernel.held_nr, 2);
	driver_pci_write(g.d, 0x04, 2, 0x0002);
	g.w->no_memory = true;
	release_all(result);
	kernel.calls = kernel.hold = 0;
	world_pass(g.w, 5);
	driver_pci_write(g.d, 0x04, 2, 0x0006);
	driver_kick(g.q);
	world_pass(g.w, 5);
	ck_assert_uint_eq(kernel.calls, 0);

	g.w->no_memory = false;
	driver_reset(g.d);
	bind(&g, &s);
	check_works(&g);
	guest_end(&g);
}

START_TEST(mastering_switched_off)
{
	static const struct {
		u32 type;
		int result;
	} cases[] = {
		{ IN, 1024 },   { IN, 512 },       { IN, -EIO },
		{ IN, -EINTR }, { OUT, 1024 },     { OUT, 512 },
		{ FLUSH, 0 },   { FLUSH, -EINTR }, { ZEROES, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check_cut_off((struct spec) { .fd = new_file(MIB) },
			      cases[i].type, cases[i].result);
}
END_TEST

/* Taken away between a kick and what it leads to. */
START_TEST(mastering_switched_off_at_a_kick)
{
	struct spec s = { .fd = new_file(MIB) };
	struct guest g = guest_begin(s);

	check_works(&g);
	kernel.hold = 1;
	add(&g, g.q, IN, 0, g.data, 512, g.header);
	driver_kick(g.q);
	world_pass(g.w, 2);
	ck_assert_uint_eq(kernel.held_nr, 1);
	no_queue = g.w->no_memory = true;
	driver_notify(g.q);
	release_all(512);
	world_pass(g.w, 5);
	no_queue = g.w->no_memory = false;
	driver_reset(g.d);
	bind(&g, &s);
	check_works(&g);
	guest_end(&g);
}
END_TEST

/* One that waits for the bounce buffer meanwhile is not begun: its memory may
 * be another's. */
START_TEST(mastering_switched_off_while_one_waits)
{
	struct spec s = { .fd = new_file(MIB), .direct = true };
	struct guest g = guest_begin(s);

	kernel.hold = 1;
	for (u32 i = 0; i < 3; i++)
		add(&g, g.q, OUT, 64 * i, g.data + 4096 * i + 1, 4096,
		    g.header + 64 * i);
	driver_kick(g.q);
	world_pass(g.w, 2);
	ck_assert_uint_eq(kernel.held_nr, 1);
	driver_pci_write(g.d, 0x04, 2, 0x0002);
	kernel.calls = kernel.hold = 0;
	release_all(4096);
	world_pass(g.w, 5);
	ck_assert_uint_eq(kernel.calls, 0);
	driver_pci_write(g.d, 0x04, 2, 0x0006);
	driver_reset(g.d);
	bind(&g, &s);
	check_works(&g);
	guest_end(&g);
}
END_TEST

/* --- size --- */

struct expected {
	struct guest *g;
	u64 capacity;
	u32 messages;
};

static bool has_capacity(void *ctx)
{
	struct expected *x = ctx;

	return config(x->g, 0, 8) == x->capacity &&
	       driver_messages(x->g->d, 0) == x->messages;
}

START_TEST(resized)
{
	static const struct {
		u64 size, capacity;
	} steps[] = {
		{ 2 * MIB, 4096 }, { 1000, 1 }, { 0, 0 }, { 1 * GIB, 2097152 }
	};
	int fd = new_file(MIB), before = catch_log();
	struct guest g = guest_begin((struct spec) { .fd = fd });
	struct expected x = { .g = &g };
	u8 generation = (u8)driver_read(g.d, CONFIG_GENERATION, 1);

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		u64 capacity = steps[i].capacity;

		ck_assert_int_eq(ftruncate(fd, (off_t)steps[i].size), 0);
		x.capacity = capacity;
		x.messages++;
		world_wait(g.w, has_capacity, &x);
		ck_assert_uint_ne(driver_read(g.d, CONFIG_GENERATION, 1),
				  generation);
		generation = (u8)driver_read(g.d, CONFIG_GENERATION, 1);
		ck_assert_uint_eq(request(&g, IN, capacity, 512), IOERR);
		if (capacity)
			ck_assert_uint_eq(request(&g, OUT, capacity - 1, 512),
					  OK);
	}
	ck_assert_int_eq(lines_logged(before, "drive 1: has "), 4);
	/* Nothing changes, nothing is said. */
	world_pass(g.w, 1100);
	ck_assert_uint_eq(driver_messages(g.d, 0), 4);
	guest_end(&g);
}
END_TEST

/* Behind an IOMMU each page that a segment touches may lie elsewhere. All that
 * a driver may ask for must be possible. */
START_TEST(the_largest_in_pages)
{
	int fd = new_file(DATA_LEN);
	struct guest g = guest_begin((struct spec) { .fd = fd, .paged = true });
	u32 size = (u32)config(&g, 8, 4), nr = (u32)config(&g, 12, 4);
	gpa_t header = world_alloc(g.w, 8 * KIB) + 4 * KIB - 8;
	struct buffer data[256] = { { header, 16 } };
	struct buffer status = { g.status, 1 };
	u64 len = (u64)size * nr;

	/* A segment can be a page of any guest's. */
	ck_assert_uint_ge(size, 64 * KIB);
	ck_assert_uint_ge(nr, 32);
	ck_assert_uint_le(len, DATA_LEN - SECTOR);
	for (u32 i = 0; i < nr; i++)
		data[1 + i] = (struct buffer) { g.data + SECTOR + (u64)i * size,
						size };
	put_pattern(&g, g.data + SECTOR, len, 0);
	put_header(&g, header, OUT, 0);
	put_status(&g, g.status);
	driver_add(g.q, data, 1 + nr, &status, 1);
	driver_kick(g.q);
	driver_wait(g.q, &g.written);
	ck_assert_uint_eq(get_status(&g, g.status), OK);
	ck_assert(is_pattern(fd, 0, len));
	check_works(&g);
	guest_end(&g);
	close(fd);
}
END_TEST

/* --- past the page cache --- */

START_TEST(memory_that_the_disk_cannot_reach)
{
	static const struct {
		u32 off, len;
		u32 calls;
	} cases[] = {
		{ 0, 4096, 1 },
		{ 1, 4096, 1 },
		{ 511, 512, 1 },
		{ 3, 256 * KIB, 1 },
		{ 3, 256 * KIB + 512, 2 },
		{ 3, 1 * MIB, 4 },
	};
	u64 size = 2 * MIB;
	int fd = new_file(size);

	fill(fd, size);
	for (int how = 0; how < 2; how++) {
		struct guest g = guest_begin((struct spec) {
			.fd = fd, .direct = true, .scattered = how });

		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			gpa_t at = g.data + cases[i].off;
			u32 len = cases[i].len;

			kernel.calls = 0;
			ck_assert_uint_eq(request_at(&g, IN, 8, at, len), OK);
			ck_assert_uint_eq(kernel.calls, cases[i].calls);
			ck_assert(got_pattern(&g, at, len, 4096));
			put_pattern(&g, at, len, 77);
			ck_assert_uint_eq(request_at(&g, OUT, 8, at, len), OK);
			ck_assert_uint_eq(request_at(&g, IN, 8, at, len), OK);
			ck_assert(got_pattern(&g, at, len, 77));
			put_pattern(&g, at, len, 4096);
			ck_assert_uint_eq(request_at(&g, OUT, 8, at, len), OK);
			ck_assert(is_pattern(fd, 0, size));
		}
		guest_end(&g);
	}
}
END_TEST

/* There is one buffer for all of them, and one of them fails. */
START_TEST(many_that_the_disk_cannot_reach)
{
	int fd = new_file(2 * MIB);
	struct guest g;
	u8 worst = OK;
	u32 bad = 0;

	fill(fd, 2 * MIB);
	g = guest_begin((struct spec) { .fd = fd, .direct = true });
	kernel.fail = 1;
	kernel.fail_with = -EIO;
	for (u32 i = 0; i < 40; i++)
		add(&g, g.q, IN, i * 8, g.data + i * 8192 + i, 4096,
		    g.data + 2 * MIB + i * 64);
	driver_kick(g.q);
	for (u32 i = 0; i < 40; i++)
		driver_wait(g.q, &g.written);
	for (u32 i = 0; i < 40; i++) {
		worst = get_status(&g, g.data + 2 * MIB + i * 64 + 16);
		bad += worst == IOERR;
		if (worst == OK)
			ck_assert(got_pattern(&g, g.data + i * 8192 + i, 4096,
					      i * 4096));
	}
	ck_assert_uint_eq(bad, 1);
	ck_assert_uint_eq(kernel.calls, 40);
	guest_end(&g);
}
END_TEST

/* A loop device, or -1: not root, or a container. */
static int new_loop_device(int fd, u32 block, char *path, size_t size)
{
	struct loop_config c = { .fd = (u32)fd,
				 .block_size = block,
				 .info.lo_flags = LO_FLAGS_AUTOCLEAR };
	int ctl = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int n = ctl < 0 ? -1 : ioctl(ctl, LOOP_CTL_GET_FREE);
	int dev;

	if (ctl >= 0)
		close(ctl);
	if (n < 0)
		return -1;
	snprintf(path, size, "/dev/loop%d", n);
	dev = open(path, O_RDWR | O_CLOEXEC);
	if (dev < 0 || !ioctl(dev, LOOP_CONFIGURE, &c))
		return dev;
	close(dev);
	return -1;
}

START_TEST(a_block_device)
{
	for (int direct = 0; direct < 2; direct++) {
		int fd = new_file(2 * MIB), dev;
		struct expected x;
		struct guest g;
		char path[32];

		fill(fd, 2 * MIB);
		dev = new_loop_device(fd, 4096, path, sizeof(path));
		if (dev < 0)
			return;
		g = guest_begin((struct spec) {
			.path = path, .direct = direct, .discard = true });
		ck_assert_uint_eq(config(&g, 0, 8), 4096);
		ck_assert_uint_eq(config(&g, 20, 4), 4096);
		ck_assert_uint_eq(request(&g, IN, 8, 65536), OK);
		ck_assert(got_pattern(&g, g.data, 65536, 4096));
		/* Less than a block is no favour that this device does. */
		ck_assert_uint_eq(request(&g, IN, 1, 512), direct ? IOERR : OK);
		ck_assert_uint_eq(blk_errors(g.blk), 0);
		ck_assert_uint_eq(range(&g, ZEROES, 8, 800, 0), OK);
		ck_assert_uint_eq(range(&g, ZEROES, 1000, 800, UNMAP), OK);
		ck_assert_uint_eq(range(&g, DISCARD, 2000, 800, 0), OK);
		ck_assert_uint_eq(request(&g, FLUSH, 0, 0), OK);
		ck_assert(is_zero(fd, 4096, 409600));
		ck_assert(is_zero(fd, 512000, 409600));
		ck_assert(is_pattern(fd, 0, 4096));
		ck_assert(is_pattern(fd, 921600, 1024000 - 921600));

		ck_assert_int_eq(ftruncate(fd, 4 * MIB), 0);
		ck_assert_int_eq(ioctl(dev, LOOP_SET_CAPACITY), 0);
		x = (struct expected) { &g, 8192, 1 };
		world_wait(g.w, has_capacity, &x);
		guest_end(&g);
		close(dev);
		close(fd);
	}
}
END_TEST

/* --- creation --- */

static int open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	ck_assert_ptr_nonnull(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* Whatever is not to be had, nothing is left behind. */
START_TEST(creation_fails_completely)
{
	struct spec s = { .fd = new_file(MIB), .direct = true, .queues = 4 };
	struct guest g = { .w = world_create(false) };
	struct blk_setup b;
	struct loop_file f;
	struct err e = { 0 };
	int before, at;

	open_disk(&g, &s);
	b = setup_of(&g, &s);
	before = open_descriptors();
	for (at = 1; !g.blk; at++) {
		no_memory_at = at;
		e = (struct err) { 0 };
		g.blk = blk_create(&b, &e);
		if (no_memory_at)
			break;
		ck_assert_ptr_null(g.blk);
		ck_assert_int_eq(e.code, -ENOMEM);
		ck_assert_msg(strstr(e.msg, "memory"), "%s", e.msg);
		ck_assert_uint_eq(g.w->lines, 0);
		ck_assert_int_eq(open_descriptors(), before);
	}
	/* The device, four queues, the buffer, and what virtio takes. */
	ck_assert_int_ge(at, 7);
	ck_assert_ptr_nonnull(g.blk);
	no_memory_at = 0;
	blk_destroy(g.blk);
	ck_assert_uint_eq(g.w->lines, 0);

	/* One file was added; now the table fills up. */
	for (u32 i = 1; i < LOOP_FILES_MAX; i++)
		ck_assert_int_eq(loop_file_add(g.w->caps.loop, &f, s.fd, &e),
				 0);
	e = (struct err) { 0 };
	ck_assert_ptr_null(blk_create(&b, &e));
	ck_assert_int_eq(e.code, -ENFILE);
	ck_assert_msg(strstr(e.msg, "drive 1: "), "%s", e.msg);
	ck_assert_uint_eq(g.w->lines, 0);
	world_end(g.w);
	world_destroy(g.w);
	disk_close(g.disk);
	free(g.disk);
	blk_destroy(NULL);
}
END_TEST

UNIT_MAIN("blk", features, configuration, serial_numbers, reads_and_writes,
	  any_layout, many_segments, ranges, unknown_types, malformed_requests,
	  a_queue_that_breaks_in_flight, a_queue_that_breaks_when_shown,
	  read_only, a_driver_that_flushes, a_driver_that_does_not,
	  discard_and_zeroes, several_ranges, as_large_a_range_as_was_offered,
	  hosts_that_cannot, zeroes_that_are_written, less_than_asked,
	  host_errors, errors_are_told_but_not_for_ever,
	  a_file_that_got_shorter, the_largest_in_pages,
	  a_file_that_may_not_grow, a_full_file_system,
	  one_interrupt_for_a_batch, a_full_queue, a_flood_of_requests,
	  several_queues, reset_in_flight, reset_from_outside,
	  mastering_switched_off, mastering_switched_off_at_a_kick,
	  mastering_switched_off_while_one_waits, resized,
	  memory_that_the_disk_cannot_reach, many_that_the_disk_cannot_reach,
	  a_block_device, creation_fails_completely)
