/* Writing a device tree: what goes in can be read, and failures are kept. */
#include "unit.h"

#include <belfry/dt.h>

#include <errno.h>
#include <libfdt.h>
#include <string.h>

static int small_tree(void *buf, size_t size, struct err *e)
{
	struct dt t;

	dt_begin(&t, buf, size);
	dt_str(&t, "model", "test");
	dt_node(&t, "cpu@%x", 0x1f0fu);
	dt_empty(&t, "empty");
	dt_strs(&t, "list", "a\0bc");
	dt_bytes(&t, "bytes", "\1\2\3", 3);
	dt_u32(&t, "u32", 1, 0x80000002, 3);
	dt_u64(&t, "u64", 0x123456789abcdef0, 5);
	dt_node(&t, "inner");
	dt_node_end(&t);
	dt_node_end(&t);
	return dt_finish(&t, e);
}

static void check_bytes(const void *fdt, int node, const char *name,
			const void *want, int want_len)
{
	int len;
	const void *got = fdt_getprop(fdt, node, name, &len);

	ck_assert_msg(got && len == want_len, "%s: length %d", name, len);
	ck_assert_mem_eq(got, want, (size_t)want_len);
}

START_TEST(every_kind_of_property)
{
	char buf[1024];
	struct err e = { 0 };
	int len = small_tree(buf, sizeof(buf), &e);
	int node;

	ck_assert_int_gt(len, 0);
	ck_assert_int_eq(fdt_check_full(buf, (size_t)len), 0);
	ck_assert_int_eq((int)fdt_totalsize(buf), len);
	check_bytes(buf, 0, "model", "test", 5);
	node = fdt_path_offset(buf, "/cpu@1f0f");
	ck_assert_int_gt(node, 0);
	check_bytes(buf, node, "empty", "", 0);
	check_bytes(buf, node, "list", "a\0bc", 5);
	check_bytes(buf, node, "bytes", "\1\2\3", 3);
	check_bytes(buf, node, "u32", "\0\0\0\1\x80\0\0\2\0\0\0\3", 12);
	check_bytes(buf, node, "u64",
		    "\x12\x34\x56\x78\x9a\xbc\xde\xf0\0\0\0\0\0\0\0\5", 16);
	ck_assert_int_gt(fdt_path_offset(buf, "/cpu@1f0f/inner"), node);
}
END_TEST

/* Each buffer is exactly as large as said: a sanitizer sees what goes over. */
START_TEST(every_size_that_is_too_small)
{
	char buf[1024];
	struct err e = { 0 };
	size_t needed = (size_t)small_tree(buf, sizeof(buf), &e);
	int fitted = 0;

	for (size_t size = sizeof(struct fdt_header); size < sizeof(buf);
	     size++) {
		char *exact = calloc(1, size);
		int len;

		ck_assert_ptr_nonnull(exact);
		e = (struct err) { 0 };
		len = small_tree(exact, size, &e);
		if (len < 0) {
			ck_assert_int_eq(len, -ENOSPC);
			ck_assert_int_eq(e.code, -ENOSPC);
			ck_assert_int_eq(fitted, 0);
			ck_assert_ptr_nonnull(strstr(e.msg, "device tree: "));
		} else {
			ck_assert_uint_eq((size_t)len, needed);
			fitted++;
		}
		free(exact);
	}
	ck_assert_int_gt(fitted, 0);
}
END_TEST

UNIT_MAIN("dt", every_kind_of_property, every_size_that_is_too_small)
