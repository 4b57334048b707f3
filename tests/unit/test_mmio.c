/*
 * The MMIO bus: who is added, who answers, what becomes of the rest.
 */
#include "unit.h"

#include <belfry/mmio.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct last {
	u64 off, val;
	u32 size;
	u32 calls;
};

static u64 last_read(void *dev, u64 off, u32 size)
{
	struct last *l = dev;

	l->off = off;
	l->size = size;
	l->calls++;
	return 0x8877665544332211;
}

static void last_write(void *dev, u64 off, u32 size, u64 val)
{
	struct last *l = dev;

	l->off = off;
	l->size = size;
	l->val = val;
	l->calls++;
}

static const struct mmio_ops ops = { last_read, last_write };

static int add(struct mmio_bus *b, const char *name, gpa_t start, u64 len,
	       struct last *l, struct err *e)
{
	struct mmio_region r = { name, start, len, &ops, l };

	return mmio_bus_add(b, &r, e);
}

/* Faults are meant here; their words would only hide real ones. */
static void hush(void)
{
	int fd = open("/dev/null", O_WRONLY);

	dup2(fd, STDERR_FILENO);
	close(fd);
}

START_TEST(adds_and_refusals)
{
	static const struct {
		const char *name;
		gpa_t start;
		u64 len;
		int ret;
		const char *says;
	} cases[] = {
		{ "b", 0x2000, 0x1000, 0, NULL },
		{ "a", 0x1000, 0x1000, 0, NULL },
		{ "d", 0x4000, 0x1000, 0, NULL },
		{ "top", -0x1000ull, 0x1000, 0, NULL },
		{ "empty", 0, 0, -EINVAL, "empty" },
		{ "empty", 0x9000, 0, -EINVAL, "empty" },
		{ "wraps", -0x1000ull, 0x1001, -EINVAL, "wraps" },
		{ "same", 0x2000, 0x1000, -EEXIST, "overlaps b" },
		{ "inside", 0x2800, 1, -EEXIST, "overlaps b" },
		{ "tail", 0x2fff, 0x1001, -EEXIST, "overlaps b" },
		{ "head", 0x3fff, 2, -EEXIST, "overlaps d" },
		{ "over", 0x3000, 0x8000, -EEXIST, "overlaps d" },
		{ "all", 0, ~0ull, -EEXIST, "overlaps a" },
		{ "c", 0x3000, 0x1000, 0, NULL },
	};
	struct mmio_bus b;
	struct last l;
	size_t nr = 0;

	mmio_bus_init(&b);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err e = { 0 };

		ck_assert_msg(add(&b, cases[i].name, cases[i].start,
				  cases[i].len, &l, &e) == cases[i].ret,
			      "%s: %d %s", cases[i].name, e.code, e.msg);
		nr += !cases[i].ret;
		ck_assert_uint_eq(b.nr, nr);
		if (!cases[i].ret)
			continue;
		ck_assert_int_eq(e.code, cases[i].ret);
		ck_assert_ptr_nonnull(strstr(e.msg, cases[i].says));
		ck_assert_ptr_nonnull(strstr(e.msg, cases[i].name));
	}
	for (size_t i = 1; i < b.nr; i++)
		ck_assert_uint_lt(b.regions[i - 1].start, b.regions[i].start);
}
END_TEST

START_TEST(table_full)
{
	struct mmio_bus b;
	struct err e = { 0 };
	struct last l;

	mmio_bus_init(&b);
	/* Downwards, so that every insertion moves all the others. */
	for (u64 i = MMIO_REGIONS_MAX; i > 0; i--)
		ck_assert_int_eq(add(&b, "r", i * 16, 16, &l, &e), 0);
	ck_assert_int_eq(add(&b, "more", 0x10000, 16, &l, &e), -ENOSPC);
	ck_assert_int_eq(add(&b, "more", 0, 16, &l, &e), -ENOSPC);
	ck_assert_uint_eq(b.nr, MMIO_REGIONS_MAX);
}
END_TEST

START_TEST(who_answers)
{
	static const gpa_t starts[] = { 0x1000, 0x2000, 0x8000, -0x10ull };
	struct last l[4] = { 0 };
	struct mmio_bus b;
	struct err e;

	mmio_bus_init(&b);
	for (size_t i = 0; i < 4; i++)
		ck_assert_int_eq(add(&b, "r", starts[i], 0x10, &l[i], &e), 0);
	for (size_t i = 0; i < 4; i++)
		for (u32 off = 0; off < 0x10; off++) {
			u32 calls = l[i].calls;

			ck_assert_uint_eq(mmio_read(&b, starts[i] + off, 1),
					  0x11);
			ck_assert_uint_eq(l[i].off, off);
			ck_assert_uint_eq(l[i].size, 1);
			mmio_write(&b, starts[i] + off, 1, off);
			ck_assert_uint_eq(l[i].val, off);
			ck_assert_uint_eq(l[i].calls, calls + 2);
		}
	ck_assert_uint_eq(b.faults.count, 0);
}
END_TEST

START_TEST(values_fit_their_size)
{
	struct mmio_bus b;
	struct last l = { 0 };
	struct err e;

	mmio_bus_init(&b);
	ck_assert_int_eq(add(&b, "r", 0, 8, &l, &e), 0);
	ck_assert_uint_eq(mmio_read(&b, 0, 1), 0x11);
	ck_assert_uint_eq(mmio_read(&b, 0, 2), 0x2211);
	ck_assert_uint_eq(mmio_read(&b, 0, 4), 0x44332211);
	ck_assert_uint_eq(mmio_read(&b, 0, 8), 0x8877665544332211);
	mmio_write(&b, 0, 2, 0x123456);
	ck_assert_uint_eq(l.val, 0x3456);
	mmio_write(&b, 0, 8, ~0ull);
	ck_assert_uint_eq(l.val, ~0ull);
}
END_TEST

START_TEST(nobody_answers)
{
	static const struct {
		gpa_t addr;
		u32 size;
	} misses[] = {
		{ 0, 4 },      { 0xfff, 1 },  { 0xffc, 8 }, { 0x100c, 8 },
		{ 0x100f, 2 }, { 0x1010, 1 }, { ~0ull, 1 }, { ~0ull - 3, 8 },
	};
	struct mmio_bus b;
	struct last l = { 0 };
	struct err e;
	u64 faults = 0;

	hush();
	mmio_bus_init(&b);
	ck_assert_uint_eq(mmio_read(&b, 0x1000, 4), 0);
	ck_assert_uint_eq(b.faults.count, ++faults);
	ck_assert_int_eq(add(&b, "r", 0x1000, 0x10, &l, &e), 0);
	for (size_t i = 0; i < ARRAY_SIZE(misses); i++) {
		ck_assert_uint_eq(mmio_read(&b, misses[i].addr, misses[i].size),
				  0);
		mmio_write(&b, misses[i].addr, misses[i].size, 1);
		faults += 2;
		ck_assert_uint_eq(b.faults.count, faults);
	}
	ck_assert_uint_eq(l.calls, 0);
}
END_TEST

UNIT_MAIN("mmio", adds_and_refusals, table_full, who_answers,
	  values_fit_their_size, nobody_answers)
