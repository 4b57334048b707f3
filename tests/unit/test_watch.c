/*
 * Reading along: the same verdict however the output is cut into pieces.
 */
#include "unit.h"

#include <belfry/watch.h>

#include <errno.h>
#include <string.h>

static void feed(struct watch *w, const char *text)
{
	watch_feed(w, (const u8 *)text, strlen(text));
}

static struct watch *watch_for(const char *expect)
{
	struct err e = { 0 };
	struct watch *w = watch_create(expect, &e);

	ck_assert_msg(w, "%s", e.msg);
	return w;
}

/* Whether @expect comes in @text, whole, byte by byte, and cut once anywhere.
 */
static bool comes(const char *expect, const char *text, bool by_bytes,
		  size_t cut)
{
	struct watch *w = watch_for(expect);
	size_t len = strlen(text);
	bool seen;

	if (by_bytes) {
		for (size_t i = 0; i < len; i++)
			watch_feed(w, (const u8 *)text + i, 1);
	} else {
		watch_feed(w, (const u8 *)text, cut);
		watch_feed(w, (const u8 *)text + cut, len - cut);
	}
	seen = watch_expected(w);
	watch_destroy(w);
	return seen;
}

START_TEST(expected_texts)
{
	static const struct {
		const char *expect, *text;
		bool seen;
	} rows[] = {
		{ "login:", "host login: ", true },
		{ "login:", "a\nhost login: ", true },
		{ "login:", "log\nin:", false }, /* not across lines */
		{ "login:", "LOGIN:\n", false },
		{ "log(in|out)$", "login\n", true },
		{ "login$", "login\r\n", true },
		{ "login$", "login\r\r\n", true },
		{ "login$", "login", false }, /* the line has not ended */
		{ "login$", "login: \n", false },
		{ "^ok$", "ok\n", true },
		{ "^ok$", "x\nok\r\nx", true },
		{ "^ok$", "not ok\n", false },
		{ "^ok", "ok", true },
		{ "^ok", "not ok", false },
		{ "^$", "\n", true },
		{ "^$", "x", false },
		{ "# $", "root@host:~# ", false },
		{ "# $", "root@host:~# \n", true },
		{ "~# ", "root@host:~# ", true },
		{ "b.*e", "a\nb cd e\n", true },
		{ "b.*e", "a\nb cd\ne\n", false },
		{ "x{3}", "xx\nxxx", true },
		{ "[[:digit:]]+ s", "up 12 s", true },
		{ "caf\xc3\xa9", "le caf\xc3\xa9\n", true },
		{ "", "", false }, /* nothing came */
		{ "", "x", true },
		{ NULL, "x\n", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *expect = rows[i].expect, *text = rows[i].text;

		ck_assert_msg(comes(expect, text, true, 0) == rows[i].seen,
			      "row %zu, by bytes", i);
		for (size_t cut = 0; cut <= strlen(text); cut++)
			ck_assert_msg(comes(expect, text, false, cut) ==
					      rows[i].seen,
				      "row %zu, cut at %zu", i, cut);
	}
}
END_TEST

/* Once seen it stays so, whatever follows. */
START_TEST(expected_for_good)
{
	struct watch *w = watch_for("^ok$");

	feed(w, "ok\n");
	ck_assert(watch_expected(w));
	feed(w, "not ok\n");
	watch_restart(w);
	feed(w, "no");
	ck_assert(watch_expected(w));
	watch_destroy(w);
}
END_TEST

START_TEST(nul_bytes_are_bytes)
{
	struct watch *w = watch_for("b.d");

	watch_feed(w, (const u8 *)"a\0bcd", 5);
	ck_assert(watch_expected(w));
	watch_destroy(w);
}
END_TEST

/* A line of @before dots, the text, @after dots; no newline. */
static bool seen_in_long_line(size_t before, size_t after, size_t piece)
{
	static const char text[] = "needle";
	size_t len = before + strlen(text) + after;
	char *line = malloc(len);
	struct watch *w = watch_for(text);
	bool seen;

	ck_assert_ptr_nonnull(line);
	memset(line, '.', len);
	memcpy(line + before, text, strlen(text));
	for (size_t at = 0; at < len; at += piece)
		watch_feed(w, (u8 *)line + at, MIN(piece, len - at));
	seen = watch_expected(w);
	watch_destroy(w);
	free(line);
	return seen;
}

START_TEST(long_lines)
{
	static const size_t pieces[] = { 1, 7, 512, 1024, 1 << 20 };

	for (size_t p = 0; p < ARRAY_SIZE(pieces); p++)
		for (size_t before = 0; before < 2200; before++)
			ck_assert_msg(seen_in_long_line(before, 1100,
							pieces[p]),
				      "at %zu, in pieces of %zu", before,
				      pieces[p]);
}
END_TEST

#define PANIC "Kernel panic - not syncing"

START_TEST(panics)
{
	static const struct {
		const char *text;
		bool panicked, hung;
	} rows[] = {
		{ PANIC ": VFS: Unable to mount\n", true, false },
		{ "[    1.234567] " PANIC ": x\r\n", true, false },
		{ "[    1.234567] [    T1] " PANIC ": x\r\n", true, false },
		{ "[    1.234567][    T1] " PANIC ": x\r\n", true, false },
		{ "[12345.678901][ T4321] " PANIC ": x\r\n", true, false },
		/* Behind what a program left unfinished. */
		{ "login: [    1.2] " PANIC ": x\n", true, false },
		{ "half a line[    2.9] " PANIC ": x\n[    3.0] ---[ end " PANIC
		  ": x ]---\n",
		  true, true },
		{ PANIC, false, false }, /* the line may yet go on */
		{ "# echo '" PANIC "'\n", false, false },
		{ "[x] y " PANIC "\n", false, false },
		{ "[" PANIC "\n", false, false },
		{ " " PANIC "\n", false, false },
		{ "Kernel panic\n - not syncing\n", false, false },
		{ PANIC ": x\nRebooting in 1 seconds..\n", true, false },
		{ PANIC ": x\n---[ end " PANIC ": x ]---\n", true, true },
		{ "[    1.2] " PANIC ": x\r\n[    1.2] trace\r\n"
		  "[    1.3] ---[ end " PANIC ": x ]---\r\n",
		  true, true },
		/* Its end alone was told by no kernel. */
		{ "---[ end " PANIC ": x ]---\n", false, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *text = rows[i].text;
		size_t len = strlen(text);

		for (size_t cut = 0; cut <= len; cut++) {
			struct watch *w = watch_for(NULL);

			watch_feed(w, (const u8 *)text, cut);
			watch_feed(w, (const u8 *)text + cut, len - cut);
			ck_assert_msg(watch_panicked(w) == rows[i].panicked,
				      "row %zu, cut at %zu", i, cut);
			ck_assert_msg(watch_hung(w) == rows[i].hung,
				      "row %zu, cut at %zu", i, cut);
			watch_destroy(w);
		}
	}
}
END_TEST

/* Of a line too long to keep, what is kept does not begin it. */
START_TEST(the_tail_of_a_line_is_not_its_start)
{
	static const char text[] = "login:" PANIC;
	struct watch *w = watch_for("^login:");
	u8 x[512];

	memset(x, 'x', sizeof(x));
	watch_feed(w, x, sizeof(x));
	watch_feed(w, (const u8 *)text, strlen(text));
	watch_feed(w, x, sizeof(x));
	watch_feed(w, (const u8 *)"\nlogin", 6);
	ck_assert(!watch_expected(w));
	ck_assert(!watch_panicked(w));
	watch_feed(w, (const u8 *)":", 1);
	ck_assert(watch_expected(w));
	watch_destroy(w);
}
END_TEST

START_TEST(a_restart_forgets_the_last_boot)
{
	struct watch *w = watch_for("half line");

	feed(w, PANIC ": x\n---[ end " PANIC ": x ]---\n");
	feed(w, "half");
	ck_assert(watch_panicked(w));
	ck_assert(watch_hung(w));
	watch_restart(w);
	ck_assert(!watch_panicked(w));
	ck_assert(!watch_hung(w));
	feed(w, " line\n");
	ck_assert(!watch_expected(w));
	feed(w, "half line");
	ck_assert(watch_expected(w));
	watch_destroy(w);
}
END_TEST

START_TEST(expressions_that_do_not_compile)
{
	static const char *const bad[] = { "(", "a[", "x{2,1}", "\\" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err e = { 0 };

		ck_assert_ptr_null(watch_create(bad[i], &e));
		ck_assert_int_eq(e.code, -EINVAL);
		ck_assert_msg(strstr(e.msg, "expect") && strstr(e.msg, bad[i]),
			      "%s", e.msg);
	}
	watch_destroy(NULL);
}
END_TEST

UNIT_MAIN("watch", expected_texts, expected_for_good, nul_bytes_are_bytes,
	  long_lines, the_tail_of_a_line_is_not_its_start, panics, a_restart_forgets_the_last_boot,
	  expressions_that_do_not_compile)
