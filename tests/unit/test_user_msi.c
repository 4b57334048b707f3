/*
 * Messages that the event loop carries to an ITS of ours: a real loop, and a
 * real ITS whose sink writes down what interrupts there are.
 */
#include "unit.h"

#include "user_msi.h"

#include "fakes/memory.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define RAM        0x40000000ull
#define RAM_SIZE   MIB
#define QUEUE      RAM
#define DEVICES    (RAM + 0x10000)
#define COLLS      (RAM + 0x20000)

#define TRANSLATER (0x8080000ull + ITS_TRANSLATER)

/* Devices 0, 8 and 9 have events 0 to EVENTS - 1 each, all mapped. */
#define EVENTS 200

#define VALID  (1ull << 63)

/* Room runs out for what is enlarged, too. */
static bool no_room;
void *__real_reallocarray(void *old, size_t nr, size_t size);
void *__wrap_reallocarray(void *old, size_t nr, size_t size);

void *__wrap_reallocarray(void *old, size_t nr, size_t size)
{
	return no_room ? NULL : __real_reallocarray(old, nr, size);
}

/* An interrupt; what the last one of a test is. */
struct sent {
	u32 dev, event;
};
#define LAST_EVENT (EVENTS - 1)

struct bench {
	struct loop *loop;
	struct its *its;
	struct user_msi *msi;
	struct msi_sink sink;
	struct gmem mem;
	u64 *ram;
	u32 commands; /* in the queue */
	struct msi_line last;
	/* What came, but for the last. */
	struct sent sent[2 * EVENTS];
	u32 nr, awaited;
	u32 count[2]; /* of events 0 and 1, of any device */
	bool mixed;   /* one came of another device */
};

static void sink_op(void *ctx, const struct its_op *op)
{
	struct bench *b = ctx;

	if (op->kind != ITS_OP_INT)
		return;
	if (op->dev == 9 && op->event == LAST_EVENT) {
		loop_stop(b->loop);
		return;
	}
	b->sent[b->nr++ % ARRAY_SIZE(b->sent)] =
		(struct sent) { op->dev, op->event };
	if (op->event < 2) {
		b->count[op->event]++;
		b->mixed |= op->dev != 8 + op->event;
	}
	if (b->nr == b->awaited)
		loop_stop(b->loop);
}

static void sink_end(void *ctx)
{
	(void)ctx;
}

/* IHI 0069H, 5.3: words 0 to 2. */
static void command(struct bench *b, u64 w0, u64 w1, u64 w2)
{
	u64 *c = b->ram + 4 * b->commands++;

	c[0] = htole64(w0);
	c[1] = htole64(w1);
	c[2] = htole64(w2);
}

/* As a driver does it: 12.18 for the registers. */
static void boot_its(struct bench *b)
{
	static const u64 devs[] = { 0, 8, 9 };
	const u64 coll = 0;

	its_mmio.write(b->its, 0x100, 8, VALID | DEVICES);
	its_mmio.write(b->its, 0x108, 8, VALID | COLLS);
	its_mmio.write(b->its, 0x80, 8, VALID | QUEUE | (16 - 1));
	its_mmio.write(b->its, 0, 4, 1);
	command(b, 0x9, 0, VALID | coll); /* MAPC, to CPU 0 */
	for (size_t i = 0; i < ARRAY_SIZE(devs); i++) {
		u64 dev = devs[i];

		command(b, 0x8 | dev << 32, 8 - 1, VALID); /* MAPD, 8 bits */
		for (u64 event = 0; event < EVENTS; event++) {
			u64 lpi = 8192 + dev * EVENTS + event;

			command(b, 0xa | dev << 32, event | lpi << 32, coll);
		}
	}
	its_mmio.write(b->its, 0x88, 8, b->commands * 32);
	while (its_run(b->its))
		;
	ck_assert_uint_eq(its_mmio.read(b->its, 0x90, 8), b->commands * 32);
	ck_assert_uint_eq(its_last_error(b->its), 0);
}

static void more(void *ctx)
{
	(void)ctx;
}

static void open_line(struct bench *b, struct msi_line *l)
{
	struct err e = { 0 };

	ck_assert_msg(!b->sink.open(b->sink.ctx, l, &e), "%s", e.msg);
	ck_assert_int_ge(l->fd, 0);
}

static void aim(struct bench *b, struct msi_line *l, u32 dev, u32 event)
{
	ck_assert_int_eq(b->sink.aim(b->sink.ctx, l, dev, TRANSLATER, event),
			 0);
}

static void close_line(struct bench *b, struct msi_line *l)
{
	b->sink.close(b->sink.ctx, l);
	ck_assert_int_eq(l->fd, -1);
}

static void fire(const struct msi_line *l)
{
	const u64 one = 1;

	ck_assert_int_eq(write(l->fd, &one, sizeof(one)), sizeof(one));
}

static void hush(void)
{
	int fd = open("/dev/null", O_WRONLY);

	dup2(fd, STDERR_FILENO);
	close(fd);
}

static struct bench *init(void)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct its_setup s = {
		.cpus = 1,
		.lpi_bits = 14,
		.sink = { NULL, sink_op, sink_end, b },
		.more = more,
	};
	struct err e = { 0 };

	ck_assert_ptr_nonnull(b);
	b->ram = calloc(1, RAM_SIZE);
	ck_assert_ptr_nonnull(b->ram);
	ck_assert(!gmem_add(&b->mem, RAM, RAM_SIZE, b->ram));
	s.dma = dma_plain(&b->mem);
	b->its = its_create(&s, &e);
	ck_assert_msg(b->its, "%s", e.msg);
	boot_its(b);
	b->loop = loop_create(&e);
	ck_assert_msg(b->loop, "%s", e.msg);
	b->msi = user_msi_create(b->loop, b->its, TRANSLATER);
	ck_assert_ptr_nonnull(b->msi);
	b->sink = user_msi_sink(b->msi);
	open_line(b, &b->last);
	aim(b, &b->last, 9, LAST_EVENT);
	return b;
}

/* As a machine is taken down. */
static void fini(struct bench *b)
{
	loop_destroy(b->loop);
	close_line(b, &b->last);
	user_msi_destroy(b->msi);
	its_destroy(b->its);
	free(b->ram);
	free(b);
}

static void run(struct bench *b)
{
	struct err e = { 0 };

	ck_assert_msg(!loop_run(b->loop, &e), "%s", e.msg);
}

/* Until @nr have come; and the last, twice, since some may be overtaken in one
 * round of the loop. What else there is comes with these. */
static void settle(struct bench *b, u32 nr)
{
	b->awaited = nr;
	if (b->nr < nr)
		run(b);
	for (int i = 0; i < 2; i++) {
		fire(&b->last);
		run(b);
	}
}

/* These came since, and no others. */
static void expect_sent(struct bench *b, u32 nr, const struct sent *want)
{
	settle(b, nr);
	ck_assert_uint_eq(b->nr, nr);
	for (u32 i = 0; i < nr; i++) {
		ck_assert_uint_eq(b->sent[i].dev, want[i].dev);
		ck_assert_uint_eq(b->sent[i].event, want[i].event);
	}
	b->nr = 0;
}

static void expect_one(struct bench *b, u32 dev, u32 event)
{
	expect_sent(b, 1, &(struct sent) { dev, event });
}

static void expect_none(struct bench *b)
{
	expect_sent(b, 0, NULL);
}

START_TEST(messages)
{
	struct bench *b = init();
	struct msi_line l[2];

	open_line(b, &l[0]);
	open_line(b, &l[1]);
	ck_assert_int_ne(l[0].fd, l[1].fd);
	aim(b, &l[0], 8, 5);
	aim(b, &l[1], 9, 6);
	expect_none(b);
	fire(&l[0]);
	expect_one(b, 8, 5);
	fire(&l[1]);
	expect_one(b, 9, 6);
	/* Again, and several at once, which are one. */
	for (int i = 0; i < 3; i++) {
		fire(&l[0]);
		fire(&l[0]);
		expect_one(b, 8, 5);
	}
	/* What it is aimed at when it is seen. */
	fire(&l[0]);
	aim(b, &l[0], 9, 7);
	expect_one(b, 9, 7);
	fire(&l[1]);
	expect_one(b, 9, 6);
	for (int i = 0; i < 2; i++)
		close_line(b, &l[i]);
	fini(b);
}
END_TEST

/* What goes nowhere, by a line or at once; where it is aimed rightly after
 * that, it does go. */
START_TEST(lost_messages)
{
	static const struct {
		u32 dev;
		u64 addr;
		u32 data;
		bool arrives;
	} rows[] = {
		{ 8, TRANSLATER, 5, true },
		{ 9, TRANSLATER, 0, true },
		/* Not the ITS' doorbell. */
		{ 8, TRANSLATER + 4, 5, false },
		{ 8, TRANSLATER - ITS_TRANSLATER, 5, false },
		{ 8, TRANSLATER | 1ull << 32, 5, false },
		{ 8, 0, 5, false },
		/* Not mapped. */
		{ 8, TRANSLATER, EVENTS, false },
		{ 8, TRANSLATER, ~0u, false },
		{ 10, TRANSLATER, 5, false },
		{ ~0u, TRANSLATER, 5, false },
	};
	struct bench *b = init();
	struct msi_line l;

	hush();
	open_line(b, &l);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		ck_assert_int_eq(b->sink.aim(b->sink.ctx, &l, rows[i].dev,
					     rows[i].addr, rows[i].data),
				 0);
		fire(&l);
		settle(b, rows[i].arrives);
		ck_assert_msg(b->nr == rows[i].arrives, "row %zu", i);
		ck_assert_msg(msi_sink_send(&b->sink, rows[i].dev, rows[i].addr,
					    rows[i].data) == rows[i].arrives,
			      "row %zu", i);
		ck_assert_uint_eq(b->nr, 2 * rows[i].arrives);
		b->nr = 0;
		aim(b, &l, 8, 1);
		fire(&l);
		expect_one(b, 8, 1);
	}
	close_line(b, &l);
	fini(b);
}
END_TEST

/* What nobody has aimed is not at 0 either. */
START_TEST(not_aimed)
{
	struct bench *b = init();
	struct user_msi *at_0 = user_msi_create(b->loop, b->its, 0);
	struct msi_sink sink = user_msi_sink(at_0);
	struct err e = { 0 };
	struct msi_line l;

	ck_assert_int_eq(sink.open(sink.ctx, &l, &e), 0);
	fire(&l);
	expect_none(b);
	ck_assert_int_eq(sink.aim(sink.ctx, &l, 0, 0, 0), 0);
	fire(&l);
	expect_one(b, 0, 0);
	sink.rest(sink.ctx, &l);
	fire(&l);
	expect_none(b);
	ck_assert_int_eq(sink.aim(sink.ctx, &l, 0, 0, 0), 0);
	fire(&l);
	expect_one(b, 0, 0);
	sink.close(sink.ctx, &l);
	loop_destroy(b->loop);
	b->loop = NULL;
	user_msi_destroy(at_0);
	fini(b);
}
END_TEST

/* More than the loop takes at a time, each with a message of its own. */
START_TEST(many_lines)
{
	struct bench *b = init();
	struct msi_line l[EVENTS];
	u32 came[EVENTS] = { 0 };

	for (u32 i = 0; i < EVENTS; i++) {
		open_line(b, &l[i]);
		aim(b, &l[i], 8, i);
	}
	for (u32 round = 1; round <= 3; round++) {
		for (u32 i = EVENTS; i-- > 0;)
			fire(&l[i]);
		settle(b, EVENTS);
		ck_assert_uint_eq(b->nr, EVENTS);
		for (u32 i = 0; i < EVENTS; i++) {
			ck_assert_uint_eq(b->sent[i].dev, 8);
			came[b->sent[i].event]++;
		}
		for (u32 i = 0; i < EVENTS; i++)
			ck_assert_uint_eq(came[i], round);
		b->nr = 0;
	}
	for (u32 i = 0; i < EVENTS; i++)
		close_line(b, &l[i]);
	fini(b);
}
END_TEST

START_TEST(closing)
{
	struct bench *b = init();
	struct msi_line l[2], never = { .fd = -1 };

	for (int i = 0; i < 2; i++) {
		open_line(b, &l[i]);
		aim(b, &l[i], 8, (u32)i);
	}
	expect_none(b);
	close_line(b, &l[0]);
	close_line(b, &l[0]);
	close_line(b, &never);
	fire(&l[1]);
	expect_one(b, 8, 1);
	/* Opened again it is another one: aimed at nothing. */
	open_line(b, &l[0]);
	fire(&l[0]);
	expect_none(b);
	aim(b, &l[0], 9, 3);
	fire(&l[0]);
	fire(&l[1]);
	settle(b, 2);
	ck_assert_uint_eq(b->nr, 2);
	for (int i = 0; i < 2; i++)
		close_line(b, &l[i]);
	fini(b);
}
END_TEST

static int descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	ck_assert_ptr_nonnull(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* Whatever is under way: a loop that has never run, or has just seen some. */
START_TEST(a_loop_that_is_gone)
{
	int held = descriptors();

	for (int ran = 0; ran < 2; ran++) {
		struct bench *b = init();
		struct msi_line l[3];

		for (u32 i = 0; i < 3; i++) {
			open_line(b, &l[i]);
			aim(b, &l[i], 8, i);
		}
		if (ran)
			expect_none(b);
		fire(&l[0]);
		close_line(b, &l[0]);
		fire(&l[1]);
		loop_destroy(b->loop);
		b->loop = NULL;
		fire(&l[2]);
		close_line(b, &l[1]);
		close_line(b, &l[2]);
		ck_assert_uint_eq(b->nr, 0);
		fini(b);
		ck_assert_int_eq(descriptors(), held);
	}
	user_msi_destroy(NULL);
}
END_TEST

START_TEST(lines_have_an_end)
{
	struct bench *b = init();
	struct msi_line l[100];
	struct rlimit old, few;
	struct err e = { 0 };
	int err = 0, n;

	getrlimit(RLIMIT_NOFILE, &old);
	few = (struct rlimit) { 50, old.rlim_max };
	setrlimit(RLIMIT_NOFILE, &few);
	for (n = 0; !err && n < 100; n++) {
		l[n].fd = 0;
		err = b->sink.open(b->sink.ctx, &l[n], &e);
	}
	setrlimit(RLIMIT_NOFILE, &old);
	ck_assert_int_eq(err, -EMFILE);
	ck_assert_int_eq(e.code, -EMFILE);
	ck_assert(e.msg[0]);
	n--;
	ck_assert_int_eq(l[n].fd, -1);
	close_line(b, &l[n]);
	/* Those before it, and one after it, are none the worse. */
	open_line(b, &l[n]);
	for (int i = 0; i <= n; i++) {
		aim(b, &l[i], 8, (u32)i);
		fire(&l[i]);
		expect_one(b, 8, (u32)i);
	}
	for (int i = 0; i <= n; i++)
		close_line(b, &l[i]);
	fini(b);
}
END_TEST

/* The table of lines, or a line, is what there is no memory for. */
START_TEST(short_of_memory)
{
	struct bench *b = init();
	int held = descriptors();
	struct user_msi *none;
	struct msi_line l;

	memory_ends_at(1);
	none = user_msi_create(b->loop, b->its, TRANSLATER);
	memory_ends_at(0);
	ck_assert_ptr_null(none);
	for (int line = 0; line < 2; line++) {
		struct err e = { 0 };
		int err;

		l.fd = 0;
		no_room = !line;
		memory_ends_at(line);
		err = b->sink.open(b->sink.ctx, &l, &e);
		memory_ends_at(0);
		no_room = false;
		ck_assert_int_eq(err, -ENOMEM);
		ck_assert_int_eq(e.code, -ENOMEM);
		ck_assert(e.msg[0]);
		ck_assert_int_eq(l.fd, -1);
		ck_assert_int_eq(descriptors(), held);
	}
	open_line(b, &l);
	aim(b, &l, 8, 1);
	fire(&l);
	expect_one(b, 8, 1);
	close_line(b, &l);
	fini(b);
}
END_TEST

/* --- threads --- */

#define ROUNDS 2000

struct aimer {
	struct bench *b;
	struct msi_line line;
};

/* A vCPU whose driver changes its mind. */
static void *aim_and_fire(void *arg)
{
	struct aimer *a = arg;

	for (u32 i = 0; i < ROUNDS; i++) {
		aim(a->b, &a->line, 8 + i % 2, i % 2);
		fire(&a->line);
	}
	fire(&a->b->last);
	return NULL;
}

/* Never half of the one and half of the other. */
START_TEST(aimed_by_another_thread)
{
	struct bench *b = init();
	struct aimer a = { .b = b };
	pthread_t t;

	open_line(b, &a.line);
	ck_assert_int_eq(pthread_create(&t, NULL, aim_and_fire, &a), 0);
	run(b);
	pthread_join(t, NULL);
	settle(b, 1);
	ck_assert(!b->mixed);
	ck_assert_uint_eq(b->count[0] + b->count[1], b->nr);
	close_line(b, &a.line);
	fini(b);
}
END_TEST

UNIT_MAIN("user_msi", messages, lost_messages, not_aimed, many_lines, closing,
	  a_loop_that_is_gone, lines_have_an_end, short_of_memory,
	  aimed_by_another_thread)
