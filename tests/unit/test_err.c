/*
 * Errors: codes come back, sentences are prefixed, nothing overflows.
 */
#include "unit.h"

#include <belfry/err.h>

#include <errno.h>
#include <string.h>

START_TEST(set)
{
	struct err e;

	ck_assert_int_eq(err_set(&e, -ENOENT, "open %s: %d", "x", 7), -ENOENT);
	ck_assert_int_eq(e.code, -ENOENT);
	ck_assert_str_eq(e.msg, "open x: 7");
}
END_TEST

START_TEST(prefix)
{
	struct err e;

	err_set(&e, -EIO, "no answer");
	ck_assert_int_eq(err_prefix(&e, "device %d", 3), -EIO);
	ck_assert_int_eq(err_prefix(&e, "machine"), -EIO);
	ck_assert_str_eq(e.msg, "machine: device 3: no answer");
}
END_TEST

START_TEST(too_long_is_cut)
{
	struct err e;
	char text[2 * ERR_MSG_MAX];

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	err_set(&e, -EIO, "%s", text);
	ck_assert_uint_eq(strlen(e.msg), ERR_MSG_MAX - 1);

	err_prefix(&e, "p");
	ck_assert_uint_eq(strlen(e.msg), ERR_MSG_MAX - 1);
	ck_assert_int_eq(strncmp(e.msg, "p: aaa", 6), 0);

	err_prefix(&e, "%s", text);
	ck_assert_uint_eq(strlen(e.msg), ERR_MSG_MAX - 1);
	ck_assert_ptr_null(strchr(e.msg, 'p'));
}
END_TEST

UNIT_MAIN("err", set, prefix, too_long_is_cut)
