/*
 * PL031 against a clock the test turns itself.
 */
#include "unit.h"

#include <belfry/pl031.h>

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#define NS    1000000000ull
#define START 1700000000ull /* seconds */

/* DDI 0224C, table 3-1. */
#define DR   0x000
#define MR   0x004
#define LR   0x008
#define CR   0x00c
#define IMSC 0x010
#define RIS  0x014
#define MIS  0x018
#define ICR  0x01c
#define ID   0xfe0

struct bench {
	struct pl031 *d;
	u64 now; /* nanoseconds */
	u64 wake;
	u32 wakes;
	bool level;
	u32 changes;
};

static u64 bench_now(void *ctx)
{
	return ((struct bench *)ctx)->now;
}

static void bench_wake(void *ctx, u64 when)
{
	struct bench *b = ctx;

	b->wake = when;
	b->wakes++;
}

static void bench_irq(void *ctx, u32 intid, bool level)
{
	struct bench *b = ctx;

	ck_assert_uint_eq(intid, 34);
	b->level = level;
	b->changes++;
}

/* On the heap, so that it may be used from threads and after fork. */
static struct bench *bench_init(void)
{
	struct bench *b = calloc(1, sizeof(*b));
	const struct irq_line irq = { bench_irq, b, 34 };
	const struct pl031_world world = { bench_now, bench_wake, b };

	ck_assert_ptr_nonnull(b);
	b->now = START * NS + 700000000;
	b->d = pl031_create(&irq, &world);
	ck_assert_ptr_nonnull(b->d);
	return b;
}

static void bench_fini(struct bench *b)
{
	pl031_destroy(b->d);
	free(b);
}

static u32 rd(struct bench *b, u32 off)
{
	return (u32)pl031_mmio.read(b->d, off, 4);
}

static void wr(struct bench *b, u32 off, u32 val)
{
	pl031_mmio.write(b->d, off, 4, val);
}

/* Let @ns pass; the owner's timer rings when it is due. */
static void pass(struct bench *b, u64 ns)
{
	b->now += ns;
	if (b->wake && b->now >= b->wake) {
		b->wake = 0;
		pl031_alarm(b->d);
	}
}

START_TEST(table)
{
	ck_assert_int_eq(regbank_lint(&pl031_bank), -1);
}
END_TEST

START_TEST(registers)
{
	static const struct {
		u32 off;
		u32 reset;
		u32 written; /* read back after ~0 was written */
	} cases[] = {
		{ DR, START, START },
		{ MR, 0, ~0u },
		{ CR, 1, 1 },
		{ IMSC, 0, 1 },
		{ RIS, 0, 0 },
		{ MIS, 0, 0 },
		{ ICR, 0, 0 },
		{ 0x020, 0, 0 },
		{ 0x080, 0, 0 },
		{ 0xfdc, 0, 0 },
		{ ID + 0x00, 0x31, 0x31 },
		{ ID + 0x04, 0x10, 0x10 },
		{ ID + 0x08, 0x04, 0x04 },
		{ ID + 0x0c, 0x00, 0x00 },
		{ ID + 0x10, 0x0d, 0x0d },
		{ ID + 0x14, 0xf0, 0xf0 },
		{ ID + 0x18, 0x05, 0x05 },
		{ ID + 0x1c, 0xb1, 0xb1 },
	};
	struct bench *b = bench_init();

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		ck_assert_msg(rd(b, cases[i].off) == cases[i].reset, "%#x: %#x",
			      cases[i].off, rd(b, cases[i].off));
		wr(b, cases[i].off, ~0u);
		ck_assert_msg(rd(b, cases[i].off) == cases[i].written,
			      "%#x: %#x", cases[i].off, rd(b, cases[i].off));
	}
	ck_assert_uint_eq(rd(b, LR), 0);
	wr(b, LR, ~0u);
	ck_assert_uint_eq(rd(b, LR), ~0u);
	ck_assert_uint_eq(rd(b, DR), ~0u);
	bench_fini(b);
}
END_TEST

/* Faults are meant here; their words would only hide real ones. */
static void hush(void)
{
	int fd = open("/dev/null", O_WRONLY);

	dup2(fd, STDERR_FILENO);
	close(fd);
}

START_TEST(sizes)
{
	static const u32 bad[][2] = { { MR, 1 }, { MR, 2 },     { MR, 8 },
				      { DR, 8 }, { MR + 2, 4 }, { ID, 1 } };
	struct bench *b = bench_init();

	hush();
	wr(b, MR, 0x12345678);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_assert_uint_eq(pl031_mmio.read(b->d, bad[i][0], bad[i][1]),
				  0);
		pl031_mmio.write(b->d, bad[i][0], bad[i][1], 0);
		ck_assert_uint_eq(rd(b, MR), 0x12345678);
	}
	bench_fini(b);
}
END_TEST

START_TEST(time_runs)
{
	struct bench *b = bench_init();

	pass(b, 299999999);
	ck_assert_uint_eq(rd(b, DR), START);
	pass(b, 1);
	ck_assert_uint_eq(rd(b, DR), START + 1);
	wr(b, LR, 1000);
	ck_assert_uint_eq(rd(b, DR), 1000);
	ck_assert_uint_eq(rd(b, LR), 1000);
	pass(b, 5 * NS);
	ck_assert_uint_eq(rd(b, DR), 1005);
	ck_assert_uint_eq(rd(b, LR), 1000);
	wr(b, CR, 0); /* cannot be stopped, nor set back by starting it */
	wr(b, CR, 1);
	pass(b, NS);
	ck_assert_uint_eq(rd(b, DR), 1006);
	bench_fini(b);
}
END_TEST

START_TEST(time_wraps)
{
	struct bench *b = bench_init();

	b->now = (1ull << 32) * NS - 1; /* 2106-02-07 06:28:15 */
	ck_assert_uint_eq(rd(b, DR), ~0u);
	pass(b, 1);
	ck_assert_uint_eq(rd(b, DR), 0);

	/* An alarm on the far side of the guest's own wrap. */
	wr(b, LR, ~0u - 1);
	wr(b, MR, 3);
	wr(b, IMSC, 1);
	ck_assert_uint_eq(b->wake, b->now + 5 * NS);
	pass(b, 5 * NS - 1);
	ck_assert(!b->level);
	pass(b, 1);
	ck_assert_uint_eq(rd(b, DR), 3);
	ck_assert(b->level);
	bench_fini(b);
}
END_TEST

START_TEST(alarm_rings_once)
{
	struct bench *b = bench_init();

	wr(b, MR, START + 2);
	wr(b, IMSC, 1);
	ck_assert_uint_eq(b->wake, (START + 2) * NS);
	pl031_alarm(b->d); /* early: asks again */
	ck_assert_uint_eq(b->wakes, 2);
	ck_assert_uint_eq(b->wake, (START + 2) * NS);
	ck_assert_uint_eq(rd(b, RIS), 0);

	pass(b, 1300000000);
	ck_assert(b->level);
	ck_assert_uint_eq(rd(b, RIS), 1);
	ck_assert_uint_eq(rd(b, MIS), 1);
	wr(b, ICR, 0);
	ck_assert(b->level);
	wr(b, ICR, 1);
	ck_assert(!b->level);
	ck_assert_uint_eq(rd(b, RIS), 0);

	/* Still the same second, and later: quiet. */
	pl031_alarm(b->d);
	pass(b, 10 * NS);
	pl031_alarm(b->d);
	ck_assert_uint_eq(rd(b, RIS), 0);
	ck_assert_uint_eq(b->changes, 2);
	bench_fini(b);
}
END_TEST

START_TEST(alarm_now_and_past)
{
	struct bench *b = bench_init();

	wr(b, IMSC, 1);
	wr(b, MR, START);
	ck_assert(b->level);
	ck_assert_uint_eq(b->wake, 0);
	wr(b, ICR, 1);

	wr(b, MR, START - 1); /* comes round in 2^32 - 1 seconds */
	ck_assert(!b->level);
	ck_assert_uint_eq(b->wake, (START + 0xffffffffull) * NS);
	wr(b, MR, START); /* instead of the earlier request */
	ck_assert_uint_eq(b->wake, 0);
	bench_fini(b);
}
END_TEST

START_TEST(mask)
{
	struct bench *b = bench_init();

	wr(b, MR, START + 1);
	pass(b, NS);
	ck_assert_uint_eq(rd(b, RIS), 1);
	ck_assert_uint_eq(rd(b, MIS), 0);
	ck_assert(!b->level);
	wr(b, IMSC, 1);
	ck_assert_uint_eq(rd(b, MIS), 1);
	ck_assert(b->level);
	wr(b, IMSC, 0xfffffffe);
	ck_assert(!b->level);
	ck_assert_uint_eq(rd(b, RIS), 1);
	ck_assert_uint_eq(b->changes, 2);
	bench_fini(b);
}
END_TEST

START_TEST(load_rearms)
{
	struct bench *b = bench_init();

	wr(b, IMSC, 1);
	wr(b, MR, 5000);
	wr(b, LR, 4990);
	ck_assert_uint_eq(b->wake, (START + 10) * NS);
	wr(b, LR, 5000);
	ck_assert(b->level);
	ck_assert_uint_eq(b->wake, 0);
	bench_fini(b);
}
END_TEST

/* The deadline is a host time: a step forward rings, one back waits. */
START_TEST(host_clock_steps)
{
	struct bench *b = bench_init();

	wr(b, IMSC, 1);
	wr(b, MR, START + 100);
	b->now -= 50 * NS;
	pl031_alarm(b->d);
	ck_assert(!b->level);
	ck_assert_uint_eq(rd(b, DR), START - 50);
	pass(b, 3600 * NS);
	ck_assert(b->level);
	bench_fini(b);
}
END_TEST

START_TEST(reset_keeps_time)
{
	struct bench *b = bench_init();

	pl031_reset(b->d);
	ck_assert_uint_eq(b->wakes + b->changes, 0);

	wr(b, LR, 1000);
	wr(b, MR, 1001);
	wr(b, IMSC, 1);
	pass(b, NS);
	ck_assert(b->level);
	wr(b, MR, 1010);
	pl031_reset(b->d);
	ck_assert(!b->level);
	ck_assert_uint_eq(b->wake, 0);
	ck_assert_uint_eq(rd(b, DR), 1001);
	ck_assert_uint_eq(rd(b, MR), 0);
	ck_assert_uint_eq(rd(b, LR), 0);
	ck_assert_uint_eq(rd(b, IMSC), 0);
	ck_assert_uint_eq(rd(b, RIS), 0);
	pass(b, 100 * NS);
	pl031_alarm(b->d);
	ck_assert_uint_eq(rd(b, RIS), 0);
	bench_fini(b);
}
END_TEST

static void *ring_often(void *ctx)
{
	for (int i = 0; i < 20000; i++)
		pl031_alarm(ctx);
	return NULL;
}

START_TEST(threads)
{
	struct bench *b = bench_init();
	pthread_t owner;

	ck_assert_int_eq(pthread_create(&owner, NULL, ring_often, b->d), 0);
	wr(b, IMSC, 1);
	for (u32 i = 0; i < 20000; i++) {
		wr(b, MR, START + i % 3);
		wr(b, ICR, 1);
	}
	pthread_join(owner, NULL);
	ck_assert(!b->level);
	bench_fini(b);
}
END_TEST

UNIT_MAIN("pl031", table, registers, sizes, time_runs, time_wraps,
	  alarm_rings_once, alarm_now_and_past, mask, load_rearms,
	  host_clock_steps, reset_keeps_time, threads)
