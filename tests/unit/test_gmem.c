/* Guest memory: which ranges exist, and that nothing else is touched. */
#include "unit.h"

#include <belfry/gmem.h>

#include <errno.h>
#include <string.h>

#define START 0x40000000ull
#define LEN   0x1000ull

static u8 ram[2][LEN];

/* One region at START, another one page further up. */
static struct gmem two_regions(void)
{
	struct gmem m = { 0 };

	memset(ram, 0xaa, sizeof(ram));
	ck_assert_int_eq(gmem_add(&m, START, LEN, ram[0]), 0);
	ck_assert_int_eq(gmem_add(&m, START + 2 * LEN, LEN, ram[1]), 0);
	return m;
}

START_TEST(regions_that_are_refused)
{
	static const struct {
		gpa_t start;
		u64 len;
	} bad[] = {
		{ 0, 0 },                 /* empty */
		{ ~0ull, 2 },             /* wraps */
		{ ~0ull, 1 },             /* its end wraps */
		{ 1, ~0ull },             /* wraps by one */
		{ START, 1 },             /* the first byte */
		{ START + LEN - 1, 1 },   /* the last byte */
		{ START - 1, 2 },         /* from below */
		{ START - 1, LEN + 2 },   /* all around */
		{ START + LEN, LEN + 1 }, /* into the second region */
		{ 0, ~0ull },             /* everything */
	};
	struct gmem m = two_regions();

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_msg(gmem_add(&m, bad[i].start, bad[i].len, ram) ==
				      -EINVAL,
			      "row %zu", i);
	ck_assert_uint_eq(m.nr, 2);
}
END_TEST

START_TEST(the_table_fills_up)
{
	struct gmem m = { 0 };

	for (u64 i = 0; i < GMEM_REGIONS_MAX; i++)
		ck_assert_int_eq(gmem_add(&m, i * LEN, LEN, ram), 0);
	ck_assert_int_eq(gmem_add(&m, GMEM_REGIONS_MAX * LEN, LEN, ram),
			 -ENOSPC);
	ck_assert_uint_eq(m.nr, GMEM_REGIONS_MAX);
}
END_TEST

START_TEST(slices_at_the_edges)
{
	static const struct {
		gpa_t addr;
		u64 len;
		u8 *want;
	} rows[] = {
		{ START, LEN, ram[0] },
		{ START, 1, ram[0] },
		{ START + LEN - 1, 1, ram[0] + LEN - 1 },
		{ START + 2 * LEN, LEN, ram[1] },
		{ START + 2 * LEN + 8, 8, ram[1] + 8 },
		{ START - 1, 1, NULL },
		{ START - 1, 2, NULL },
		{ START, LEN + 1, NULL },
		{ START + LEN - 1, 2, NULL },
		{ START + LEN, LEN, NULL },
		{ START + LEN, 2 * LEN, NULL },
		{ START, 3 * LEN, NULL },
		{ START + 3 * LEN, 1, NULL },
		{ START + 1, ~0ull, NULL },
		{ ~0ull, 1, NULL },
		{ ~0ull, ~0ull, NULL },
		{ 0, ~0ull, NULL },
	};
	struct gmem m = two_regions();

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		ck_assert_msg(gmem_slice(&m, rows[i].addr, rows[i].len) ==
				      (void *)rows[i].want,
			      "row %zu", i);
}
END_TEST

START_TEST(regions_that_touch_stay_apart)
{
	struct gmem m = two_regions();

	ck_assert_int_eq(gmem_add(&m, START + LEN, LEN, ram[0]), 0);
	ck_assert_ptr_nonnull(gmem_slice(&m, START + LEN, LEN));
	ck_assert_ptr_null(gmem_slice(&m, START + LEN - 1, 2));
}
END_TEST

START_TEST(what_is_written_is_read)
{
	struct gmem m = two_regions();
	u8 got[4] = { 0 };

	ck_assert_int_eq(gmem_write(&m, START + LEN - 4, "abcd", 4), 0);
	ck_assert_int_eq(gmem_read(&m, START + LEN - 4, got, 4), 0);
	ck_assert_mem_eq(got, "abcd", 4);
	ck_assert_mem_eq(ram[0] + LEN - 4, "abcd", 4);
	ck_assert_uint_eq(ram[0][LEN - 5], 0xaa);
}
END_TEST

START_TEST(a_refused_copy_copies_nothing)
{
	struct gmem m = two_regions();
	u8 got[4] = { 1, 2, 3, 4 };

	ck_assert_int_eq(gmem_write(&m, START + LEN - 2, "abcd", 4), -EFAULT);
	ck_assert_uint_eq(ram[0][LEN - 2], 0xaa);
	ck_assert_int_eq(gmem_read(&m, START + LEN - 2, got, 4), -EFAULT);
	ck_assert_mem_eq(got, "\1\2\3\4", 4);
}
END_TEST

UNIT_MAIN("gmem", regions_that_are_refused, the_table_fills_up,
	  slices_at_the_edges, regions_that_touch_stay_apart,
	  what_is_written_is_read, a_refused_copy_copies_nothing)
