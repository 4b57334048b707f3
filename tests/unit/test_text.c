/*
 * Numbers with units, edit distance, cutting: accepted, refused, boundaries.
 */
#include "unit.h"

#include <belfry/text.h>

#include <errno.h>
#include <string.h>

START_TEST(decimals)
{
	static const struct {
		const char *s;
		u64 unit;
		int ret;
		u64 value;
	} rows[] = {
		{ "0", 1, 0, 0 },
		{ "007", 1, 0, 7 },
		{ "18446744073709551615", 1, 0, UINT64_MAX },
		{ "18446744073709551616", 1, -ERANGE, 0 },
		{ "18446744073709551615", 2, -ERANGE, 0 },
		{ "18446744073709551615.5", 2, -ERANGE, 0 },
		{ "1.5", 1000, 0, 1500 },
		{ "1.500000000000000000000000000", 1000, 0, 1500 },
		{ "1.0005", 1000, -EDOM, 0 },
		{ "0.000000001", 1000000000, 0, 1 },
		{ "0.0000000001", 10000000000, -EDOM, 0 },
		{ "0.99999999999999999999999", 1, -EDOM, 0 },
		{ "2.0", 1, 0, 2 },
		{ "2.5", 1, -EDOM, 0 },
		{ "", 1, -EINVAL, 0 },
		{ ".5", 1000, -EINVAL, 0 },
		{ "1.", 1000, -EINVAL, 0 },
		{ "1.x", 1000, -EINVAL, 0 },
		{ "1.5x", 1000, -EINVAL, 0 },
		{ "1.5.5", 1000, -EINVAL, 0 },
		{ "+1", 1, -EINVAL, 0 },
		{ "-1", 1, -EINVAL, 0 },
		{ " 1", 1, -EINVAL, 0 },
		{ "1 ", 1, -EINVAL, 0 },
		{ "1e3", 1, -EINVAL, 0 },
		{ "0x10", 1, -EINVAL, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		u64 v = 0;
		int ret = text_decimal(rows[i].s, strlen(rows[i].s),
				       rows[i].unit, &v);

		ck_assert_msg(ret == rows[i].ret, "\"%s\": %d", rows[i].s, ret);
		if (!ret)
			ck_assert_uint_eq(v, rows[i].value);
	}
}
END_TEST

START_TEST(decimals_stop_at_len)
{
	u64 v;

	ck_assert_int_eq(text_decimal("123", 2, 1, &v), 0);
	ck_assert_uint_eq(v, 12);
	ck_assert_int_eq(text_decimal("1.55", 3, 10, &v), 0);
	ck_assert_uint_eq(v, 15);
}
END_TEST

START_TEST(sizes)
{
	static const struct {
		const char *s;
		int ret;
		u64 value;
	} rows[] = {
		{ "512", 0, 512 },
		{ "1K", 0, KIB },
		{ "512M", 0, 512 * MIB },
		{ "512m", 0, 512 * MIB },
		{ "4G", 0, 4 * GIB },
		{ "1.5G", 0, GIB + GIB / 2 },
		{ "1T", 0, 1024 * GIB },
		{ "16777215T", 0, 16777215ull << 40 },
		{ "16777216T", -ERANGE, 0 },
		{ "0.1K", -EDOM, 0 },
		{ "", -EINVAL, 0 },
		{ "M", -EINVAL, 0 },
		{ "512MB", -EINVAL, 0 },
		{ "512 M", -EINVAL, 0 },
		{ "512X", -EINVAL, 0 },
		{ "512 ", -EINVAL, 0 },
		{ "-1M", -EINVAL, 0 },
		{ "M512", -EINVAL, 0 },
		{ "1\v", -EINVAL, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		u64 v = 0;
		int ret = text_size(rows[i].s, &v);

		ck_assert_msg(ret == rows[i].ret, "\"%s\": %d", rows[i].s, ret);
		if (!ret)
			ck_assert_uint_eq(v, rows[i].value);
	}
}
END_TEST

START_TEST(sizes_print_as_they_read)
{
	static const struct {
		u64 bytes;
		const char *s;
	} rows[] = {
		{ 0, "0" },
		{ 1, "1" },
		{ 1023, "1023" },
		{ 1024, "1K" },
		{ 2 * MIB, "2M" },
		{ GIB + GIB / 2, "1536M" },
		{ 1024 * GIB, "1T" },
		{ 1ull << 60, "1048576T" },
		{ UINT64_MAX, "18446744073709551615" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char buf[TEXT_SIZE_MAX];
		u64 back;

		text_print_size(buf, rows[i].bytes);
		ck_assert_str_eq(buf, rows[i].s);
		ck_assert_int_eq(text_size(buf, &back), 0);
		ck_assert_uint_eq(back, rows[i].bytes);
	}
}
END_TEST

START_TEST(distances)
{
	char long_name[80];

	ck_assert_uint_eq(text_distance("", ""), 0);
	ck_assert_uint_eq(text_distance("", "abc"), 3);
	ck_assert_uint_eq(text_distance("abc", ""), 3);
	ck_assert_uint_eq(text_distance("kernel", "kernel"), 0);
	ck_assert_uint_eq(text_distance("kernal", "kernel"), 1);
	ck_assert_uint_eq(text_distance("kernl", "kernel"), 1);
	ck_assert_uint_eq(text_distance("kkernel", "kernel"), 1);
	ck_assert_uint_eq(text_distance("kitten", "sitting"), 3);
	memset(long_name, 'a', sizeof(long_name));
	long_name[63] = '\0';
	ck_assert_uint_eq(text_distance(long_name, "a"), 62);
	ck_assert_uint_eq(text_distance("", long_name), 63);
	long_name[63] = 'a';
	long_name[64] = '\0';
	ck_assert_uint_eq(text_distance(long_name, "a"), SIZE_MAX);
	ck_assert_uint_eq(text_distance("a", long_name), SIZE_MAX);
}
END_TEST

static const char *nearest(const char *word)
{
	static const char *const known[] = { "kernel", "initrd", "memory",
					     "memory-backing", "sve" };
	struct text_nearest n = { .word = word };

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		text_nearest_try(&n, known[i]);
	return n.best ? n.best : "";
}

START_TEST(nearest_word)
{
	ck_assert_str_eq(nearest("kernal"), "kernel");
	ck_assert_str_eq(nearest("mem"), "memory");
	ck_assert_str_eq(nearest("memory_backing"), "memory-backing");
	ck_assert_str_eq(nearest("smp"), "");
	ck_assert_str_eq(nearest(""), "");
	ck_assert_str_eq(nearest("drives"), "");
}
END_TEST

START_TEST(nearest_is_the_first_of_the_best)
{
	struct text_nearest n = { .word = "cpu" };

	text_nearest_try(&n, "gpu2");
	ck_assert_str_eq(n.best, "gpu2");
	text_nearest_try(&n, "cpus");
	text_nearest_try(&n, "cpum");
	text_nearest_try(&n, "gpus");
	ck_assert_str_eq(n.best, "cpus");
}
END_TEST

START_TEST(cuts)
{
	ck_assert_uint_eq(text_cut("abc", 5), 3);
	ck_assert_uint_eq(text_cut("abc", 3), 3);
	ck_assert_uint_eq(text_cut("abc", 2), 2);
	ck_assert_uint_eq(text_cut("a\xc3\xa9", 2), 1);
	ck_assert_uint_eq(text_cut("a\xc3\xa9", 3), 3);
	ck_assert_uint_eq(text_cut("\x80\x80\x80", 1), 0);
}
END_TEST

START_TEST(owned)
{
	char *a = text_copy("abcdef", 3);
	char *b = text_format("%s-%d", a, 7);

	ck_assert_str_eq(a, "abc");
	ck_assert_str_eq(b, "abc-7");
	free(a);
	free(b);
}
END_TEST

UNIT_MAIN("text", decimals, decimals_stop_at_len, sizes,
	  sizes_print_as_they_read, distances, nearest_word,
	  nearest_is_the_first_of_the_best, cuts, owned)
