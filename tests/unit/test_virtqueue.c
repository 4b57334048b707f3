/*
 * The device's side of a virtqueue against rings written by hand: by a driver
 * that keeps the rules, and by drivers that break one each.
 */
#include "unit.h"

#include <belfry/virtqueue.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE    4096u
#define RAM     0x40000000ull
#define RAM_LEN (64 * PAGE)
#define RAM_END (RAM + RAM_LEN)

/* The areas of a queue of up to 1024, and where buffers may be. */
#define DESC  RAM
#define AVAIL (RAM + 4 * PAGE)
#define USED  (RAM + 6 * PAGE)
#define TABLE (RAM + 10 * PAGE)
#define DATA  (RAM + 16 * PAGE)
/* From here on there is memory without end; nobody looks at it. */
#define ENDLESS   BIT(40)

#define NEXT      1
#define WRITE     2
#define INDIRECT  4

#define PIECES    64

#define NO_NOTIFY 1 /* used ring's flags */
#define NO_INTR   1 /* available ring's */

struct desc {
	u64 addr;
	u32 len;
	u16 flags, next;
};

struct bench {
	u8 *ram;
	struct gmem mem;
	struct dma plain, dma;
	struct guest_faults faults;
	struct virtq q;
	struct iovec iov[PIECES];
	struct virtq_chain c;
	bool pages;   /* the dma translates page by page */
	u64 hole;     /* a page that it does not know; 0: none */
	u64 readonly; /* a page that is not to be written; 0: none */
	u16 avail;    /* the driver's index */
	int said;     /* what went to standard error */
};

/* In loops of many thousands: an assertion of Check's is a system call. */
static void must(bool ok, const char *what)
{
	if (!ok)
		ck_abort_msg("%s", what);
}
#define MUST(ok) must(ok, #ok)

/* Bus pages are memory's, in pairs the other way round: no two are in one
 * piece. */
static void *bench_map(void *ctx, u64 addr, u64 *len, bool write)
{
	struct bench *b = ctx;
	u64 page = addr & ~(PAGE - 1ull);

	MUST(*len > 0);
	if ((b->hole && page == b->hole) ||
	    (write && b->readonly && page == b->readonly))
		return NULL;
	if (addr >= ENDLESS)
		return b->ram;
	if (b->pages) {
		*len = MIN(*len, PAGE - addr % PAGE);
		addr ^= PAGE;
	}
	return b->plain.map(b->plain.ctx, addr, len, write);
}

/* Where the driver finds what it means by @addr. */
static void *ram(struct bench *b, u64 addr)
{
	return b->ram + ((b->pages ? addr ^ PAGE : addr) - RAM);
}

static u16 *ram16(struct bench *b, u64 addr)
{
	return ram(b, addr);
}

static u32 *ram32(struct bench *b, u64 addr)
{
	return ram(b, addr);
}

static struct bench *bench_init(u32 size)
{
	struct bench *b = calloc(1, sizeof(*b));

	ck_assert_ptr_nonnull(b);
	b->ram = aligned_alloc(PAGE, RAM_LEN);
	ck_assert_ptr_nonnull(b->ram);
	memset(b->ram, 0, RAM_LEN);
	ck_assert_int_eq(gmem_add(&b->mem, RAM, RAM_LEN, b->ram), 0);
	b->plain = dma_plain(&b->mem);
	b->dma = (struct dma) { .map = bench_map, .ctx = b };
	b->faults.who = "queue";
	b->said = -1;
	b->c = (struct virtq_chain) { .iov = b->iov, .iov_max = PIECES };
	b->q = (struct virtq) {
		.size = size,
		.desc = DESC,
		.driver = AVAIL,
		.device = USED,
		.indirect = true,
		.dma = &b->dma,
		.faults = &b->faults,
	};
	virtq_start(&b->q);
	return b;
}

/* No fault was made that the test did not ask about. */
static void bench_fini(struct bench *b)
{
	ck_assert_uint_eq(b->faults.count, 0);
	if (b->said >= 0)
		close(b->said);
	free(b->ram);
	free(b);
}

/* A bench whose standard error is kept, for broken(). */
static struct bench *bench_init_heard(u32 size)
{
	struct bench *b = bench_init(size);

	b->said = memfd_create("said", MFD_CLOEXEC);
	ck_assert_int_ge(b->said, 0);
	ck_assert_int_ge(dup2(b->said, STDERR_FILENO), 0);
	return b;
}

/* The queue broke once, for a reason that has the words @why, and stays so. */
static void broken(struct bench *b, const char *why)
{
	char said[512] = "";

	ck_assert_int_ge(pread(b->said, said, sizeof(said) - 1, 0), 0);
	ck_assert_msg(strstr(said, why), "\"%s\", not \"%s\"", said, why);
	ck_assert_uint_eq(b->faults.count, 1);
	ck_assert(b->q.broken);
	ck_assert_int_eq(virtq_pop(&b->q, &b->c), -EPROTO);
	ck_assert(!virtq_listen(&b->q));
	ck_assert(!virtq_show(&b->q));
	virtq_quiet(&b->q);
	ck_assert_uint_eq(b->faults.count, 1);
	b->faults.count = 0;
}

static void put_desc(struct bench *b, u64 table, u32 i, struct desc d)
{
	u64 addr = table + i * sizeof(d);
	const u8 *from = (const void *)&d;

	d = (struct desc) { htole64(d.addr), htole32(d.len), htole16(d.flags),
			    htole16(d.next) };
	for (size_t at = 0; at < sizeof(d); at++)
		*(u8 *)ram(b, addr + at) = from[at];
}

/* The entry alone; show_avail() lets the device see it. */
static void put_avail(struct bench *b, u16 head)
{
	*ram16(b, AVAIL + 4 + b->avail++ % b->q.size * 2u) = htole16(head);
}

static void show_avail(struct bench *b)
{
	__atomic_store_n(ram16(b, AVAIL + 2), htole16(b->avail),
			 __ATOMIC_SEQ_CST);
}

static void offer(struct bench *b, u16 head)
{
	put_avail(b, head);
	show_avail(b);
}

static u16 used_idx(struct bench *b)
{
	return le16toh(*ram16(b, USED + 2));
}

static u32 used_word(struct bench *b, u32 i, u32 word)
{
	return le32toh(*ram32(b, USED + 4 + 8 * i + 4 * word));
}

static void set_used_event(struct bench *b, u16 at)
{
	*ram16(b, AVAIL + 4 + 2 * b->q.size) = htole16(at);
}

static u16 avail_event(struct bench *b)
{
	return le16toh(*ram16(b, USED + 4 + 8 * b->q.size));
}

/* Offer the chain at @head, and take it. */
static int pop_one(struct bench *b, u16 head)
{
	offer(b, head);
	return virtq_pop(&b->q, &b->c);
}

static void is_piece(struct bench *b, u32 i, u64 addr, u64 len)
{
	ck_assert_ptr_eq(b->iov[i].iov_base, ram(b, addr));
	ck_assert_uint_eq(b->iov[i].iov_len, len);
}

/* --- what a driver may do --- */

START_TEST(there_and_back)
{
	struct bench *b = bench_init(8);

	ck_assert_int_eq(virtq_pop(&b->q, &b->c), 0);
	put_desc(b, DESC, 3, (struct desc) { DATA, 16, NEXT, 7 });
	put_desc(b, DESC, 7, (struct desc) { DATA + 64, 32, NEXT, 0 });
	put_desc(b, DESC, 0, (struct desc) { DATA + 128, 64, WRITE, 5 });
	put_avail(b, 3);
	ck_assert_int_eq(virtq_pop(&b->q, &b->c), 0);
	show_avail(b);

	ck_assert_int_eq(virtq_pop(&b->q, &b->c), 1);
	ck_assert_uint_eq(b->c.head, 3);
	ck_assert_uint_eq(b->c.out_nr, 2);
	ck_assert_uint_eq(b->c.in_nr, 1);
	ck_assert_uint_eq(b->c.out_len, 48);
	ck_assert_uint_eq(b->c.in_len, 64);
	is_piece(b, 0, DATA, 16);
	is_piece(b, 1, DATA + 64, 32);
	is_piece(b, 2, DATA + 128, 64);
	ck_assert_int_eq(virtq_pop(&b->q, &b->c), 0);

	virtq_push(&b->q, 3, 60);
	ck_assert_uint_eq(used_idx(b), 0);
	ck_assert(virtq_show(&b->q));
	ck_assert_uint_eq(used_idx(b), 1);
	ck_assert_uint_eq(used_word(b, 0, 0), 3);
	ck_assert_uint_eq(used_word(b, 0, 1), 60);
	ck_assert(!virtq_show(&b->q)); /* nothing new */
	bench_fini(b);
}
END_TEST

/* Unusual, and allowed. */
START_TEST(chains_that_are_taken)
{
	static const struct {
		struct {
			u32 out_nr, in_nr;
			u64 out_len, in_len;
		} want;
		struct desc d[8], t[8];
	} rows[] = {
		/* Nothing at all, nothing but empty ones, and empty ones that
		 * are nowhere. */
		{ .want = { 0, 0, 0, 0 }, .d = { { DATA, 0, 0, 0 } } },
		{ .want = { 0, 0, 0, 0 },
		  .d = { { DATA, 0, NEXT, 1 }, { DATA, 0, WRITE, 0 } } },
		{ .want = { 1, 0, 3, 0 },
		  .d = { { ~0ull, 0, NEXT, 1 },
			 { DATA, 3, NEXT, 2 },
			 { 0, 0, 0, 0 } } },
		/* The first and the last bytes of memory. */
		{ .want = { 1, 1, 1, 1 },
		  .d = { { RAM, 1, NEXT, 1 }, { RAM_END - 1, 1, WRITE, 0 } } },
		/* All the descriptors there are. */
		{ .want = { 3, 5, 3, 5 },
		  .d = { { DATA, 1, NEXT, 7 },
			 { DATA, 1, WRITE, 0 },
			 { DATA, 1, NEXT | WRITE, 1 },
			 { DATA, 1, NEXT | WRITE, 2 },
			 { DATA, 1, NEXT | WRITE, 3 },
			 { DATA, 1, NEXT | WRITE, 4 },
			 { DATA, 1, NEXT, 5 },
			 { DATA, 1, NEXT, 6 } } },
		/* As many bytes as the specification lets a chain have. */
		{ .want = { 1, 1, ~0u, 1 },
		  .d = { { ENDLESS, ~0u, NEXT, 1 },
			 { ENDLESS, 1, WRITE, 0 } } },
		/* Flags and indexes that mean nothing. */
		{ .want = { 1, 0, 1, 0 }, .d = { { DATA, 1, 0xfff8, 99 } } },
		/* A table: of one, with the flag that is to be ignored, of as
		 * many as the queue has, behind others. */
		{ .want = { 0, 1, 0, 5 },
		  .d = { { TABLE, 16, INDIRECT, 99 } },
		  .t = { { DATA, 5, WRITE, 0 } } },
		{ .want = { 1, 0, 5, 0 },
		  .d = { { TABLE, 16, INDIRECT | WRITE, 0 } },
		  .t = { { DATA, 5, 0, 0 } } },
		{ .want = { 8, 0, 8, 0 },
		  .d = { { TABLE, 128, INDIRECT, 0 } },
		  .t = { { DATA, 1, NEXT, 2 },
			 { DATA, 1, NEXT, 4 },
			 { DATA, 1, NEXT, 3 },
			 { DATA, 1, NEXT, 1 },
			 { DATA, 1, NEXT, 5 },
			 { DATA, 1, NEXT, 6 },
			 { DATA, 1, NEXT, 7 },
			 { DATA, 1, 0, 0 } } },
		{ .want = { 1, 3, 1, 14 },
		  .d = { { DATA, 1, NEXT, 2 },
			 { 0, 0, 0, 0 },
			 { DATA, 2, NEXT | WRITE, 3 },
			 { TABLE, 48, INDIRECT, 0 } },
		  .t = { { DATA, 4, NEXT | WRITE, 2 },
			 { 0, 0, 0, 0 },
			 { DATA, 8, WRITE, 1 } } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bench *b = bench_init(8);

		for (u32 k = 0; k < 8; k++) {
			put_desc(b, DESC, k, rows[i].d[k]);
			put_desc(b, TABLE, k, rows[i].t[k]);
		}
		ck_assert_msg(pop_one(b, 0) == 1, "row %zu", i);
		ck_assert_msg(b->c.out_nr == rows[i].want.out_nr &&
				      b->c.in_nr == rows[i].want.in_nr &&
				      b->c.out_len == rows[i].want.out_len &&
				      b->c.in_len == rows[i].want.in_len,
			      "row %zu", i);
		bench_fini(b);
	}
}
END_TEST

/* No alignment is asked of a table. */
START_TEST(tables_anywhere)
{
	for (u64 at = TABLE + PAGE - 40; at < TABLE + PAGE + 8; at++) {
		for (int pages = 0; pages < 2; pages++) {
			struct bench *b = bench_init(8);

			b->pages = pages;
			put_desc(b, DESC, 0,
				 (struct desc) { at, 48, INDIRECT, 0 });
			put_desc(b, at, 0, (struct desc) { DATA, 1, NEXT, 1 });
			put_desc(b, at, 1,
				 (struct desc) { DATA + 1, 2, NEXT, 2 });
			put_desc(b, at, 2,
				 (struct desc) { DATA + 3, 3, WRITE, 0 });
			ck_assert_int_eq(pop_one(b, 0), 1);
			ck_assert_uint_eq(b->c.out_nr, 2);
			is_piece(b, 0, DATA, 1);
			is_piece(b, 1, DATA + 1, 2);
			is_piece(b, 2, DATA + 3, 3);
			bench_fini(b);
		}
	}
}
END_TEST

START_TEST(a_buffer_in_pieces)
{
	struct bench *b = bench_init(8);

	b->pages = true;
	put_desc(b, DESC, 0,
		 (struct desc) { DATA + PAGE - 1, PAGE + 2, NEXT, 1 });
	put_desc(b, DESC, 1,
		 (struct desc) { DATA + 4 * PAGE, 2 * PAGE, WRITE, 0 });
	ck_assert_int_eq(pop_one(b, 0), 1);
	ck_assert_uint_eq(b->c.out_nr, 3);
	ck_assert_uint_eq(b->c.in_nr, 2);
	ck_assert_uint_eq(b->c.out_len, PAGE + 2);
	ck_assert_uint_eq(b->c.in_len, 2 * PAGE);
	is_piece(b, 0, DATA + PAGE - 1, 1);
	is_piece(b, 1, DATA + PAGE, PAGE);
	is_piece(b, 2, DATA + 2 * PAGE, 1);
	is_piece(b, 3, DATA + 4 * PAGE, PAGE);
	is_piece(b, 4, DATA + 5 * PAGE, PAGE);
	bench_fini(b);
}
END_TEST

/* The largest queue: its rings take several pages, one entry two of them. */
START_TEST(rings_in_pieces)
{
	struct bench *b = bench_init(VIRTQ_SIZE_MAX);

	b->pages = true;
	for (u32 i = 0; i < 3 * VIRTQ_SIZE_MAX; i++) {
		u16 head = (u16)(i * 7 % VIRTQ_SIZE_MAX);

		put_desc(b, DESC, head, (struct desc) { DATA + i, 9, 0, 0 });
		ck_assert_int_eq(pop_one(b, head), 1);
		ck_assert_uint_eq(b->c.head, head);
		is_piece(b, 0, DATA + i, 9);
		virtq_push(&b->q, head, i + 70000);
		ck_assert(virtq_show(&b->q));
		ck_assert_uint_eq(used_idx(b), i + 1);
		ck_assert_uint_eq(used_word(b, i % VIRTQ_SIZE_MAX, 0), head);
		ck_assert_uint_eq(used_word(b, i % VIRTQ_SIZE_MAX, 1),
				  i + 70000);
	}
	bench_fini(b);
}
END_TEST

START_TEST(a_queue_of_one)
{
	struct bench *b = bench_init(1);

	put_desc(b, DESC, 0, (struct desc) { DATA, 4, 0, 0 });
	for (u32 i = 0; i < 70000; i++) {
		MUST(pop_one(b, 0) == 1);
		MUST(virtq_pop(&b->q, &b->c) == 0);
		virtq_push(&b->q, 0, i);
		MUST(virtq_show(&b->q));
		MUST(used_idx(b) == (u16)(i + 1));
		MUST(used_word(b, 0, 1) == i);
	}
	bench_fini(b);
}
END_TEST

/* --- what breaks a queue --- */

START_TEST(chains_that_break)
{
	static const struct {
		const char *why;
		struct desc d[8], t[8];
		u16 head;
		u32 iov_max;
		bool no_indirect;
	} rows[] = {
		{ .why = "descriptor 8, of 8", .head = 8 },
		{ .why = "descriptor 65535, of 8", .head = 0xffff },
		{ .why = "descriptor 8, of 8", .d = { { DATA, 1, NEXT, 8 } } },
		/* Loops, and those that fill no iovec. */
		{ .why = "more than 8 desc", .d = { { DATA, 1, NEXT, 0 } } },
		{ .why = "more than 8 desc",
		  .d = { { DATA, 1, NEXT, 1 }, { DATA, 1, NEXT, 0 } } },
		{ .why = "more than 8 desc", .d = { { DATA, 0, NEXT, 0 } } },
		{ .why = "more than 8 desc",
		  .d = { { TABLE, 32, INDIRECT, 0 } },
		  .t = { { DATA, 0, NEXT, 1 }, { DATA, 0, NEXT, 0 } } },
		{ .why = "more than 8 desc",
		  .d = { { DATA, 1, NEXT, 1 }, { TABLE, 128, INDIRECT, 0 } },
		  .t = { { DATA, 1, NEXT, 1 },
			 { DATA, 1, NEXT, 2 },
			 { DATA, 1, NEXT, 3 },
			 { DATA, 1, NEXT, 4 },
			 { DATA, 1, NEXT, 5 },
			 { DATA, 1, NEXT, 6 },
			 { DATA, 1, NEXT, 7 },
			 { DATA, 1, 0, 0 } } },
		/* More than the device has room for. */
		{ .why = "more than 1 pieces",
		  .d = { { DATA, 1, NEXT, 1 }, { DATA, 1, WRITE, 0 } },
		  .iov_max = 1 },
		/* Not memory. */
		{ .why = "buffer of 1 bytes", .d = { { ~0ull, 1, 0, 0 } } },
		{ .why = "buffer of 8 bytes", .d = { { ~0ull - 3, 8, 0, 0 } } },
		{ .why = "buffer of 4294967295",
		  .d = { { ~0ull - 1, ~0u, WRITE, 0 } } },
		{ .why = "to read", .d = { { 0, 1, 0, 0 } } },
		{ .why = "to read", .d = { { RAM - 1, 1, 0, 0 } } },
		{ .why = "to read", .d = { { RAM_END, 1, 0, 0 } } },
		{ .why = "to read", .d = { { RAM_END - 1, 2, 0, 0 } } },
		{ .why = "to read", .d = { { RAM, RAM_LEN + 1, 0, 0 } } },
		{ .why = "to write", .d = { { RAM_END, 1, WRITE, 0 } } },
		{ .why = "to write",
		  .d = { { DATA, 1, NEXT, 1 }, { RAM_END - 1, 2, WRITE, 0 } } },
		/* Order and length. */
		{ .why = "readable buffer after",
		  .d = { { DATA, 1, NEXT | WRITE, 1 }, { DATA, 1, 0, 0 } } },
		{ .why = "readable buffer after",
		  .d = { { DATA, 1, NEXT | WRITE, 1 },
			 { TABLE, 16, INDIRECT, 0 } },
		  .t = { { DATA, 1, 0, 0 } } },
		{ .why = "more than 4 GiB",
		  .d = { { ENDLESS, ~0u, NEXT, 1 }, { ENDLESS, 2, 0, 0 } } },
		{ .why = "more than 4 GiB",
		  .d = { { ENDLESS, ~0u, NEXT, 1 },
			 { ENDLESS, 2, WRITE, 0 } } },
		/* Indirect tables. */
		{ .why = "not agreed on",
		  .d = { { TABLE, 16, INDIRECT, 0 } },
		  .no_indirect = true },
		{ .why = "does not end a chain",
		  .d = { { TABLE, 16, INDIRECT | NEXT, 1 },
			 { DATA, 1, 0, 0 } } },
		{ .why = "table of 0 bytes",
		  .d = { { TABLE, 0, INDIRECT, 0 } } },
		{ .why = "table of 8 bytes",
		  .d = { { TABLE, 8, INDIRECT, 0 } } },
		{ .why = "table of 17 bytes",
		  .d = { { TABLE, 17, INDIRECT, 0 } } },
		{ .why = "table of 144 bytes",
		  .d = { { TABLE, 144, INDIRECT, 0 } } },
		{ .why = "table of 4294967280",
		  .d = { { TABLE, ~15u, INDIRECT, 0 } } },
		{ .why = "table of 32 bytes",
		  .d = { { ~15ull, 32, INDIRECT, 0 } } },
		{ .why = "within another",
		  .d = { { TABLE, 16, INDIRECT, 0 } },
		  .t = { { TABLE, 16, INDIRECT, 0 } } },
		{ .why = "within another",
		  .d = { { DESC, 16, INDIRECT, 0 } } }, /* itself */
		{ .why = "descriptor 0, of 1",
		  .d = { { RAM_END, 16, INDIRECT, 0 } } },
		{ .why = "descriptor 0, of 1",
		  .d = { { RAM_END - 8, 16, INDIRECT, 0 } } },
		{ .why = "descriptor 2, of 2",
		  .d = { { TABLE, 32, INDIRECT, 0 } },
		  .t = { { DATA, 1, NEXT, 2 },
			 { 0, 0, 0, 0 },
			 { DATA, 1, 0, 0 } } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bench *b = bench_init_heard(8);

		b->q.indirect = !rows[i].no_indirect;
		if (rows[i].iov_max)
			b->c.iov_max = rows[i].iov_max;
		for (u32 k = 0; k < 8; k++) {
			put_desc(b, DESC, k, rows[i].d[k]);
			put_desc(b, TABLE, k, rows[i].t[k]);
		}
		ck_assert_msg(pop_one(b, rows[i].head) == -EPROTO,
			      "row %zu: %s", i, rows[i].why);
		broken(b, rows[i].why);
		bench_fini(b);
	}
}
END_TEST

START_TEST(pieces_do_not_overflow_either)
{
	struct bench *b = bench_init_heard(8);

	b->pages = true;
	b->c.iov_max = 2;
	put_desc(b, DESC, 0, (struct desc) { DATA + PAGE - 1, PAGE + 2, 0, 0 });
	ck_assert_int_eq(pop_one(b, 0), -EPROTO);
	broken(b, "more than 2 pieces");
	bench_fini(b);
}
END_TEST

/* The driver's index: what it was, how many chains we have, what it becomes. */
START_TEST(indexes_that_break)
{
	static const struct {
		u16 begin;
		u32 taken;
		u16 jump;
		bool breaks;
	} rows[] = {
		{ 0, 0, 8, false },     { 0, 0, 9, true },
		{ 0, 0, 0xffff, true }, { 0, 0, 0x8000, true },
		{ 5, 1, 7, false },     { 5, 1, 8, true },
		{ 0, 8, 0, false },     { 0, 8, 1, true },
		{ 0, 3, 0xffff, true }, { 0xfffc, 0, 8, false },
		{ 0xfffc, 0, 9, true }, { 0xfffc, 2, 6, false },
		{ 0xffff, 2, 7, true }, { 0xffff, 8, 0, false },
		{ 0xffff, 8, 1, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bench *b = bench_init_heard(8);
		int want = rows[i].breaks ? -EPROTO : rows[i].jump != 0;

		for (u32 k = 0; k < rows[i].begin; k++) {
			ck_assert_int_eq(pop_one(b, 0), 1);
			virtq_push(&b->q, 0, 0);
		}
		for (u32 k = 0; k < rows[i].taken; k++)
			ck_assert_int_eq(pop_one(b, 0), 1);
		b->avail += rows[i].jump;
		show_avail(b);
		ck_assert_msg(virtq_pop(&b->q, &b->c) == want, "row %zu", i);
		if (rows[i].breaks)
			broken(b, "available index");
		bench_fini(b);
	}
}
END_TEST

START_TEST(areas_that_break)
{
	static const struct {
		const char *why;
		u64 desc, driver, device;
	} rows[] = {
		{ NULL, DESC + 16, AVAIL + 2, USED + 4 },
		{ "descriptor table", DESC + 8, AVAIL, USED },
		{ "descriptor table", DESC + 1, AVAIL, USED },
		{ "descriptor table", -64ull, AVAIL, USED },
		{ "available ring", DESC, AVAIL + 1, USED },
		{ "available ring", DESC, -20ull, USED },
		{ "used ring", DESC, AVAIL, USED + 2 },
		{ "used ring", DESC, AVAIL, USED + 1 },
		{ "used ring", DESC, AVAIL, -68ull },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bench *b = bench_init_heard(8);

		b->q.desc = rows[i].desc;
		b->q.driver = rows[i].driver;
		b->q.device = rows[i].device;
		virtq_start(&b->q);
		if (rows[i].why)
			broken(b, rows[i].why);
		bench_fini(b);
	}
}
END_TEST

/* A page of the rings vanishes, or turns read-only, while the queue is live:
 * what needs it then breaks. Of 1024, for areas of more than a page. */
START_TEST(rings_that_vanish)
{
	enum what { POP, PUSH, SHOW, LISTEN, QUIET };
	static const struct {
		const char *why;
		u64 page;
		enum what what;
		bool event_idx, readonly;
	} rows[] = {
		{ "of a ring", AVAIL, POP, false, false },
		{ "descriptor 0, of 1024", DESC, POP, false, false },
		{ "for the used ring", USED, PUSH, false, false },
		{ "for the used ring", USED, PUSH, false, true },
		{ "of a ring", USED, SHOW, false, true },
		{ "of a ring", AVAIL, SHOW, false, false },
		{ "of a ring", AVAIL, SHOW, true, false },
		{ "of a ring", USED, LISTEN, false, true },
		{ "of a ring", USED + 2 * PAGE, LISTEN, true, true },
		{ "of a ring", AVAIL, LISTEN, true, false },
		{ "of a ring", USED, QUIET, false, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bench *b = bench_init_heard(VIRTQ_SIZE_MAX);
		u64 *gone = rows[i].readonly ? &b->readonly : &b->hole;

		b->q.event_idx = rows[i].event_idx;
		put_desc(b, DESC, 0, (struct desc) { DATA, 1, WRITE, 0 });
		ck_assert_int_eq(pop_one(b, 0), 1);
		offer(b, 0);
		if (rows[i].what == SHOW)
			virtq_push(&b->q, 0, 1);
		*gone = rows[i].page;
		switch (rows[i].what) {
		case POP:
			ck_assert_int_eq(virtq_pop(&b->q, &b->c), -EPROTO);
			break;
		case PUSH:
			virtq_push(&b->q, 0, 1);
			break;
		case SHOW:
			ck_assert(!virtq_show(&b->q));
			break;
		case LISTEN:
			ck_assert(!virtq_listen(&b->q));
			break;
		case QUIET:
			virtq_quiet(&b->q);
			break;
		}
		ck_assert_msg(b->q.broken, "row %zu", i);
		broken(b, rows[i].why);
		bench_fini(b);
	}
}
END_TEST

START_TEST(a_buffer_not_to_be_written)
{
	struct bench *b = bench_init_heard(8);

	b->readonly = DATA;
	put_desc(b, DESC, 0, (struct desc) { DATA, 1, 0, 0 });
	ck_assert_int_eq(pop_one(b, 0), 1);
	put_desc(b, DESC, 1, (struct desc) { DATA, 1, WRITE, 0 });
	ck_assert_int_eq(pop_one(b, 1), -EPROTO);
	broken(b, "to write");
	bench_fini(b);
}
END_TEST

START_TEST(broken_by_the_device)
{
	struct bench *b = bench_init_heard(8);

	ck_assert_int_eq(pop_one(b, 0), 1);
	ck_assert_int_eq(pop_one(b, 0), 1);
	virtq_push(&b->q, 0, 0);
	virtq_break(&b->q, "a request of type %d", 77);
	virtq_break(&b->q, "something else");
	virtq_push(&b->q, 5, 7); /* what is under way may end, unseen */
	broken(b, "a request of type 77");
	ck_assert_uint_eq(used_idx(b), 0);
	ck_assert_uint_eq(used_word(b, 1, 0), 0);

	/* Until the driver begins anew. */
	b->avail = 0;
	show_avail(b);
	virtq_start(&b->q);
	ck_assert_int_eq(pop_one(b, 0), 1);
	bench_fini(b);
}
END_TEST

/* --- who wants to be told what --- */

START_TEST(flags_of_both_sides)
{
	struct bench *b = bench_init(8);

	ck_assert_int_eq(pop_one(b, 0), 1);
	*ram16(b, AVAIL) = htole16(NO_INTR);
	virtq_push(&b->q, 0, 0);
	ck_assert(!virtq_show(&b->q));
	ck_assert_uint_eq(used_idx(b), 1);
	*ram16(b, AVAIL) = 0;
	ck_assert(!virtq_show(&b->q));
	ck_assert_int_eq(pop_one(b, 0), 1);
	virtq_push(&b->q, 0, 0);
	ck_assert(virtq_show(&b->q));

	virtq_quiet(&b->q);
	ck_assert_uint_eq(*ram16(b, USED), htole16(NO_NOTIFY));
	ck_assert(!virtq_listen(&b->q));
	ck_assert_uint_eq(*ram16(b, USED), 0);
	virtq_quiet(&b->q);
	offer(b, 0);
	ck_assert(virtq_listen(&b->q));
	ck_assert_int_eq(virtq_pop(&b->q, &b->c), 1);
	ck_assert(!virtq_listen(&b->q));
	bench_fini(b);
}
END_TEST

/* With an event index, flags mean nothing. */
START_TEST(events_without_flags)
{
	struct bench *b = bench_init(8);

	b->q.event_idx = true;
	*ram16(b, AVAIL) = htole16(NO_INTR);
	ck_assert_int_eq(pop_one(b, 0), 1);
	virtq_push(&b->q, 0, 0);
	ck_assert(virtq_show(&b->q));
	virtq_quiet(&b->q);
	ck_assert_uint_eq(*ram16(b, USED), 0);
	ck_assert_uint_eq(avail_event(b), 0);
	ck_assert(!virtq_listen(&b->q));
	ck_assert_uint_eq(avail_event(b), 1);
	ck_assert_uint_eq(*ram16(b, USED), 0);
	bench_fini(b);
}
END_TEST

/* Take @n chains and give them back, to be shown. */
static void pass(struct bench *b, u32 n)
{
	for (u32 i = 0; i < n; i++) {
		MUST(pop_one(b, 0) == 1);
		virtq_push(&b->q, 0, 0);
	}
}

/* Is @at one of the @n indexes from @from on? 2.7.7.2, word for word. */
static bool passes(u16 from, u32 n, u16 at)
{
	for (u32 i = 0; i < n; i++)
		if ((u16)(from + i) == at)
			return true;
	return false;
}

/* Batches of all sizes, over all 65536 indexes and beyond, with the driver's
 * index before, within and behind each. */
START_TEST(used_events_wrap)
{
	struct bench *b = bench_init(8);
	u32 yes = 0, no = 0;

	b->q.event_idx = true;
	for (u32 at = 0, n = 1; at < 150000; at += n, n = n % 8 + 1) {
		static const int near[] = { -0x8000, -9, -2, -1, 0,     1,
					    2,       7,  8,  9,  0x7fff };
		u16 event = (u16)(at + near[at % 11]);
		bool want = passes((u16)at, n, event);

		set_used_event(b, event);
		pass(b, n);
		if (virtq_show(&b->q) != want)
			ck_abort_msg("%u chains from %u on, event %u", n, at,
				     event);
		yes += want;
		no += !want;
	}
	ck_assert_uint_gt(yes, 1000);
	ck_assert_uint_gt(no, 1000);
	bench_fini(b);
}
END_TEST

START_TEST(avail_events_wrap)
{
	struct bench *b = bench_init(8);

	b->q.event_idx = true;
	for (u32 at = 1; at < 70000; at++) {
		pass(b, 1);
		MUST(!virtq_listen(&b->q));
		MUST(avail_event(b) == (u16)at);
		if (at % 1000)
			continue;
		offer(b, 0);
		ck_assert(virtq_listen(&b->q)); /* it came before that */
		ck_assert_int_eq(virtq_pop(&b->q, &b->c), 1);
		virtq_push(&b->q, 0, 0);
		ck_assert(!virtq_listen(&b->q));
		at++;
	}
	bench_fini(b);
}
END_TEST

/* --- undone --- */

START_TEST(undone_chains_come_again)
{
	struct bench *b = bench_init(8);

	b->q.event_idx = true;
	for (u16 i = 0; i < 8; i++)
		put_desc(b, DESC, i, (struct desc) { DATA + i, 1, 0, 0 });
	/* The indexes wrap in the middle of it. */
	for (u32 i = 0; i < 0xfffe; i++)
		pass(b, 1);
	for (u16 i = 0; i < 5; i++)
		offer(b, i);
	for (int round = 0; round < 3; round++) {
		for (u16 i = 0; i < 5; i++) {
			ck_assert_int_eq(virtq_pop(&b->q, &b->c), 1);
			ck_assert_uint_eq(b->c.head, i);
			is_piece(b, 0, DATA + i, 1);
		}
		ck_assert_int_eq(virtq_pop(&b->q, &b->c), 0);
		virtq_unpop(&b->q, 5);
	}
	virtq_unpop(&b->q, 0);
	ck_assert_uint_eq(b->q.taken, 0);

	/* Only the last two, with one that was pushed long since. */
	ck_assert_int_eq(virtq_pop(&b->q, &b->c), 1);
	virtq_push(&b->q, 0, 0);
	for (u16 i = 1; i < 5; i++)
		ck_assert_int_eq(virtq_pop(&b->q, &b->c), 1);
	virtq_unpop(&b->q, 2);
	ck_assert_int_eq(virtq_pop(&b->q, &b->c), 1);
	ck_assert_uint_eq(b->c.head, 3);
	ck_assert_uint_eq(b->q.taken, 3);
	bench_fini(b);
}
END_TEST

/* A device that waits for more than there is must not be told of what it
 * knows, and must be told of what comes. */
START_TEST(undone_chains_are_no_news)
{
	for (int event_idx = 0; event_idx < 2; event_idx++) {
		struct bench *b = bench_init(8);

		b->q.event_idx = event_idx;
		ck_assert_int_eq(pop_one(b, 0), 1);
		ck_assert_int_eq(pop_one(b, 0), 1);
		ck_assert_int_eq(virtq_pop(&b->q, &b->c), 0);
		virtq_unpop(&b->q, 2);
		ck_assert(!virtq_listen(&b->q));
		if (event_idx)
			ck_assert_uint_eq(avail_event(b), 2);
		offer(b, 0);
		ck_assert(virtq_listen(&b->q));
		for (int i = 0; i < 3; i++)
			ck_assert_int_eq(virtq_pop(&b->q, &b->c), 1);
		ck_assert_int_eq(virtq_pop(&b->q, &b->c), 0);
		ck_assert(!virtq_listen(&b->q));

		/* Nor is what was seen and left. */
		put_avail(b, 0);
		put_avail(b, 0);
		ck_assert_int_eq(pop_one(b, 0), 1);
		ck_assert(!virtq_listen(&b->q));
		if (event_idx)
			ck_assert_uint_eq(avail_event(b), 6);
		bench_fini(b);
	}
}
END_TEST

/* --- bytes of a chain --- */

START_TEST(bytes_of_a_chain)
{
	static const struct {
		u64 off;
		size_t len, want;
	} rows[] = {
		{ 0, 10, 10 }, { 0, 0, 0 },     { 0, 3, 3 },  { 0, 4, 4 },
		{ 2, 4, 4 },   { 3, 1, 1 },     { 3, 7, 7 },  { 4, 6, 6 },
		{ 9, 1, 1 },   { 9, 5, 1 },     { 10, 1, 0 }, { 11, 1, 0 },
		{ 0, 16, 10 }, { ~0ull, 1, 0 }, { 1, 16, 9 },
	};
	/* 3, 0, 1 and 6 bytes, twice. */
	char out[] = "abc-d-efghij", in[] = "...-.-......";
	struct iovec iov[] = {
		{ out, 3 }, { out, 0 }, { out + 4, 1 }, { out + 6, 6 },
		{ in, 3 },  { in, 0 },  { in + 4, 1 },  { in + 6, 6 },
	};
	const struct virtq_chain c = { .iov = iov, .out_nr = 4, .in_nr = 4 };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		static const char all[] = "abcdefghij";
		char buf[16] = "", want[13] = "...-.-......";
		size_t n = rows[i].want;

		ck_assert_uint_eq(virtq_chain_read(&c, rows[i].off, buf,
						   rows[i].len),
				  n);
		ck_assert_msg(!n || !memcmp(buf, all + rows[i].off, n),
			      "row %zu", i);
		ck_assert_int_eq(buf[n], 0);

		strcpy(in, want);
		ck_assert_uint_eq(virtq_chain_write(&c, rows[i].off,
						    "0123456789abcdef",
						    rows[i].len),
				  n);
		for (u64 k = rows[i].off; k < rows[i].off + n; k++)
			want[k + (k > 2) + (k > 3)] =
				(char)('0' + k - rows[i].off);
		ck_assert_str_eq(in, want);
	}
}
END_TEST

/* --- both sides at once --- */

#define RACE_CHAINS 100000u

struct race {
	struct bench *b;
	_Atomic bool kick, intr;
	u32 slept;
};

/* Sleep until told. Looking all the time comes closest to both at once. */
static void wait_told(_Atomic bool *told)
{
	while (!*told)
		sched_yield();
	*told = false;
}

/* The device: sleeps whenever there is nothing, until it is kicked. */
static void *device(void *ctx)
{
	struct race *r = ctx;
	struct virtq *q = &r->b->q;
	u32 next = 0;

	while (next < RACE_CHAINS) {
		int popped = virtq_pop(q, &r->b->c);

		MUST(popped >= 0);
		if (popped) {
			u32 got;

			MUST(virtq_chain_read(&r->b->c, 0, &got, 4) == 4);
			MUST(got == next);
			next++;
			virtq_push(q, r->b->c.head, got);
			if (next % 3 == 0 && virtq_show(q))
				r->intr = true;
			continue;
		}
		if (virtq_show(q))
			r->intr = true;
		if (virtq_listen(q))
			continue;
		r->slept++;
		wait_told(&r->kick);
		virtq_quiet(q);
	}
	if (virtq_show(q))
		r->intr = true;
	return NULL;
}

static u16 get_le(struct bench *b, u64 addr)
{
	return le16toh(__atomic_load_n(ram16(b, addr), __ATOMIC_ACQUIRE));
}

static void set_le(struct bench *b, u64 addr, u16 val)
{
	__atomic_store_n(ram16(b, addr), htole16(val), __ATOMIC_RELAXED);
}

/* The driver's side of the events, 2.7.13.4 and 2.7.14. */
static bool wants_kick(struct bench *b, u16 old)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!b->q.event_idx)
		return !(get_le(b, USED) & NO_NOTIFY);
	return (u16)(b->avail - get_le(b, USED + 4 + 8 * b->q.size) - 1) <
	       (u16)(b->avail - old);
}

static void driver(struct race *r)
{
	struct bench *b = r->b;
	u32 added = 0, done = 0, size = b->q.size;

	while (done < RACE_CHAINS) {
		u16 old = b->avail;

		while (added < RACE_CHAINS && added - done < size &&
		       (added == done || added % 5 != done % 7)) {
			u32 i = added % size;

			*ram32(b, DATA + 4 * i) = added++;
			put_desc(b, DESC, i,
				 (struct desc) { DATA + 4 * i, 4, 0, 0 });
			put_avail(b, (u16)i);
		}
		if (b->avail != old) {
			__atomic_thread_fence(__ATOMIC_RELEASE);
			set_le(b, AVAIL + 2, b->avail);
			if (wants_kick(b, old))
				r->kick = true;
		}
		while (done != added && get_le(b, USED + 2) != (u16)done) {
			MUST(used_word(b, done % size, 1) == done);
			done++;
		}
		if (done == added)
			continue;
		/* Something is with the device: sleep until it is not. */
		if (b->q.event_idx)
			set_le(b, AVAIL + 4 + 2 * size, (u16)done);
		else
			set_le(b, AVAIL, 0);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (get_le(b, USED + 2) == (u16)done)
			wait_told(&r->intr);
		if (!b->q.event_idx)
			set_le(b, AVAIL, NO_INTR);
	}
}

/* Each sleeps whenever it has nothing to do: one notification lost, and both
 * sleep until the test's time is over. */
START_TEST(nobody_sleeps_for_ever)
{
	for (int event_idx = 0; event_idx < 2; event_idx++) {
		struct race r = {
			.b = bench_init(8),
		};
		pthread_t t;

		r.b->q.event_idx = event_idx;
		ck_assert_int_eq(pthread_create(&t, NULL, device, &r), 0);
		driver(&r);
		pthread_join(t, NULL);
		ck_assert_uint_gt(r.slept, 0);
		bench_fini(r.b);
	}
}
END_TEST

UNIT_MAIN("virtqueue", there_and_back, chains_that_are_taken, tables_anywhere,
	  a_buffer_in_pieces, rings_in_pieces, a_queue_of_one,
	  chains_that_break, pieces_do_not_overflow_either, indexes_that_break,
	  areas_that_break, rings_that_vanish, a_buffer_not_to_be_written,
	  broken_by_the_device, flags_of_both_sides, events_without_flags,
	  used_events_wrap, avail_events_wrap, undone_chains_come_again,
	  undone_chains_are_no_news, bytes_of_a_chain, nobody_sleeps_for_ever)
