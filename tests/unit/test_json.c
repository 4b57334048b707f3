/*
 * The tree keeps what was written and where; faults of syntax have a place.
 */
#include "unit.h"

#include <belfry/json.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static struct json_node *parse(const char *text)
{
	struct json_node *root = NULL;
	struct err e = { 0 };

	ck_assert_msg(json_parse(text, strlen(text), "t", &root, &e) == 0,
		      "%s: %s", text, e.msg);
	return root;
}

static void assert_at(const struct json_place *at, unsigned line,
		      unsigned column)
{
	ck_assert_uint_eq(at->line, line);
	ck_assert_uint_eq(at->column, column);
}

START_TEST(places)
{
	struct json_node *root = parse("\n {\"a\": 1,\n\t\"\xc3\xa9\":\"x\","
				       "\"b\"  : [ true,null] }\n");
	struct json_node *n = root->child;

	ck_assert_int_eq(root->kind, JSON_IS_OBJECT);
	assert_at(&root->at, 2, 2);
	ck_assert_ptr_null(root->next);

	ck_assert_str_eq(n->key, "a");
	ck_assert_int_eq(n->kind, JSON_IS_NUMBER);
	assert_at(&n->key_at, 2, 3);
	assert_at(&n->at, 2, 8);

	n = n->next;
	ck_assert_str_eq(n->key, "\xc3\xa9");
	ck_assert_int_eq(n->kind, JSON_IS_STRING);
	ck_assert_str_eq(n->text, "x");
	assert_at(&n->key_at, 3, 2);
	assert_at(&n->at, 3, 6);

	n = n->next;
	ck_assert_int_eq(n->kind, JSON_IS_ARRAY);
	ck_assert_ptr_null(n->text);
	assert_at(&n->key_at, 3, 10);
	assert_at(&n->at, 3, 17);
	ck_assert_int_eq(n->child->kind, JSON_IS_BOOLEAN);
	ck_assert_ptr_null(n->child->key);
	assert_at(&n->child->at, 3, 19);
	ck_assert_int_eq(n->child->next->kind, JSON_IS_NULL);
	ck_assert_str_eq(n->child->next->text, "null");
	ck_assert_ptr_null(n->child->next->next);
	ck_assert_ptr_null(n->next);
	json_free(root);
}
END_TEST

START_TEST(equal_keys_are_kept)
{
	struct json_node *root = parse("{\"a\":1,\"\\u0061\":2}");

	ck_assert_str_eq(root->child->key, "a");
	ck_assert_str_eq(root->child->text, "1");
	ck_assert_str_eq(root->child->next->key, "a");
	ck_assert_str_eq(root->child->next->text, "2");
	json_free(root);
}
END_TEST

START_TEST(scalars_as_written)
{
	static const struct {
		const char *text;
		enum json_kind kind;
		const char *value;
	} rows[] = {
		{ "123456789012345678901234567890", JSON_IS_NUMBER,
		  "123456789012345678901234567890" },
		{ "-0.10e+5", JSON_IS_NUMBER, "-0.10e+5" },
		{ "true", JSON_IS_BOOLEAN, "true" },
		{ " false ", JSON_IS_BOOLEAN, "false" },
		{ "\"\"", JSON_IS_STRING, "" },
		{ "\"a\\\"b\\\\\"", JSON_IS_STRING, "a\"b\\" },
		{ "\"\\u00e9\\n,]}\"", JSON_IS_STRING, "\xc3\xa9\n,]}" },
		{ "\"\\ud83d\\ude00\"", JSON_IS_STRING, "\xf0\x9f\x98\x80" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct json_node *n = parse(rows[i].text);

		ck_assert_int_eq(n->kind, rows[i].kind);
		ck_assert_str_eq(n->text, rows[i].value);
		json_free(n);
	}
}
END_TEST

START_TEST(empty_containers)
{
	struct json_node *n = parse("[{},[ ],{\"a\":{}}]");

	ck_assert_ptr_null(n->child->child);
	ck_assert_ptr_null(n->child->next->child);
	ck_assert_int_eq(n->child->next->next->child->kind, JSON_IS_OBJECT);
	json_free(n);
}
END_TEST

START_TEST(syntax_faults)
{
	static const struct {
		const char *text, *msg;
	} rows[] = {
		{ "", "t:1:1: a value is missing before the end of the file" },
		{ "{\n", "t:2:1: a \"key\" or '}' expected near end of file" },
		{ "{\"a\":1,}", "t:1:8: a \"key\" or '}' expected near '}'" },
		{ "{\"a\":1\n \"b\":2}",
		  "t:2:2: ',' or '}' expected near '\"b\"'" },
		{ "[1 2]", "t:1:4: ',' or ']' expected near '2'" },
		{ "{\"a\" 1}", "t:1:6: ':' expected near '1'" },
		{ "{\n // no\n}", "t:2:2: a \"key\" or '}' expected near '/'" },
		{ "{\"a\": b}", "t:1:7: invalid token near 'b'" },
		{ "{\"\xc3\xa9\": b}", "t:1:7: invalid token near 'b'" },
		{ "{\"a\": nul}", "t:1:7: invalid token near 'nul'" },
		{ "{\"a\": \"x\ny\"}", "t:1:7: unexpected newline near '\"x'" },
		{ "{\"a\":\"abc",
		  "t:1:6: premature end of input near '\"abc'" },
		{ "{\"a\": \"\\u0000\"}",
		  "t:1:7: \\u0000 is not allowed near '\"\\u0000\"'" },
		{ "{\"a\":1} x", "t:1:9: end of file expected near 'x'" },
		{ "\xef\xbb\xbf{}",
		  "t:1:1: a byte order mark; save the file without it" },
		{ "{\"\xc3\xa9\":\"\xff\"}",
		  "t:1:7: unable to decode byte 0xff near '\"'" },
		{ "{\"a string over twenty long\" 1}",
		  "t:1:30: ':' expected near '1'" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *text = rows[i].text;
		struct json_node *root;
		struct err e;

		ck_assert_int_eq(json_parse(text, strlen(text), "t", &root, &e),
				 -EINVAL);
		ck_assert_str_eq(e.msg, rows[i].msg);
	}
}
END_TEST

START_TEST(nul_bytes)
{
	static const struct {
		const char *text;
		size_t len;
		const char *place;
	} rows[] = {
		{ "{}\n\0", 4, "t:2:1: a NUL byte" },
		{ "{\"\0\":1}", 7, "t:1:3: a NUL byte" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct json_node *root;
		struct err e;

		ck_assert_int_eq(json_parse(rows[i].text, rows[i].len, "t",
					    &root, &e),
				 -EINVAL);
		ck_assert_ptr_nonnull(strstr(e.msg, rows[i].place));
	}
}
END_TEST

static char *nested(size_t depth)
{
	char *text = malloc(2 * depth + 1);

	memset(text, '[', depth);
	memset(text + depth, ']', depth);
	text[2 * depth] = '\0';
	return text;
}

START_TEST(depth_is_bounded)
{
	char *deep = nested(2048), *deeper = nested(2049);
	struct json_node *root;
	struct err e;

	json_free(parse(deep));
	ck_assert_int_eq(json_parse(deeper, 2 * 2049, "t", &root, &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.msg, "depth"));
	free(deep);
	free(deeper);
}
END_TEST

/* A pipe that already holds @text, at its end of file behind it. */
static int pipe_with(const char *text)
{
	int fd[2];

	ck_assert_int_eq(pipe(fd), 0);
	ck_assert_int_eq(write(fd[1], text, strlen(text)),
			 (ssize_t)strlen(text));
	close(fd[1]);
	return fd[0];
}

START_TEST(reads_pipes)
{
	struct json_node *root;
	struct err e;
	int fd = pipe_with("{\"a\": 1}\n");

	ck_assert_int_eq(json_read(fd, "t", &root, &e), 0);
	ck_assert_str_eq(root->child->key, "a");
	json_free(root);
	close(fd);
}
END_TEST

START_TEST(read_faults)
{
	struct json_node *root;
	struct err e;
	int fd = open("/", O_RDONLY | O_CLOEXEC);

	ck_assert_int_eq(json_read(fd, "t", &root, &e), -EISDIR);
	ck_assert_str_eq(e.msg, "t: cannot read: Is a directory");
	close(fd);

	fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(json_read(fd, "t", &root, &e), -EFBIG);
	ck_assert_str_eq(e.msg, "t: more than 1 MiB: not a configuration");
	close(fd);
}
END_TEST

UNIT_MAIN("json", places, equal_keys_are_kept, scalars_as_written,
	  empty_containers, syntax_faults, nul_bytes, depth_is_bounded,
	  reads_pipes, read_faults)
