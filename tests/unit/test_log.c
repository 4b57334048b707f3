/*
 * Log lines: one write each, prefixed, cut, and never more than a guest may.
 */
#include "unit.h"

#include <belfry/log.h>

#include <string.h>
#include <unistd.h>

/* Standard error, for a while, into a pipe. */
struct capture {
	int saved, out;
};

static void capture_begin(struct capture *c)
{
	int fd[2];

	ck_assert_int_eq(pipe(fd), 0);
	c->saved = dup(STDERR_FILENO);
	c->out = fd[0];
	dup2(fd[1], STDERR_FILENO);
	close(fd[1]);
}

static void capture_end(struct capture *c, char *buf, size_t size)
{
	size_t len = 0;
	ssize_t n;

	dup2(c->saved, STDERR_FILENO);
	close(c->saved);
	while ((n = read(c->out, buf + len, size - 1 - len)) > 0)
		len += (size_t)n;
	buf[len] = '\0';
	close(c->out);
}

START_TEST(prefixes)
{
	struct capture c;
	char said[256];

	capture_begin(&c);
	log_error("a %d", 1);
	log_warn("b");
	log_info("c");
	capture_end(&c, said, sizeof(said));
	ck_assert_str_eq(said, "belfry: error: a 1\n"
			       "belfry: warning: b\n"
			       "belfry: c\n");
}
END_TEST

START_TEST(long_lines_are_cut)
{
	struct capture c;
	char text[4000], said[4000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	capture_begin(&c);
	log_info("%s", text);
	capture_end(&c, said, sizeof(said));
	ck_assert_uint_lt(strlen(said), 1025);
	ck_assert_uint_gt(strlen(said), 1000);
	ck_assert_int_eq(said[strlen(said) - 1], '\n');
}
END_TEST

START_TEST(guest_faults_are_limited)
{
	struct guest_faults f = { .who = "pl011" };
	struct capture c;
	char said[4000];
	size_t lines = 0;

	capture_begin(&c);
	for (int i = 1; i <= 100; i++)
		guest_fault(&f, "access %d", i);
	capture_end(&c, said, sizeof(said));
	ck_assert_uint_eq(f.count, 100);
	for (const char *p = said; (p = strchr(p, '\n')); p++)
		lines++;
	/* 1..8, 16, 32 and 64. */
	ck_assert_uint_eq(lines, 11);
	ck_assert_ptr_nonnull(strstr(said, "belfry: guest: pl011: access 8\n"));
	ck_assert_ptr_nonnull(strstr(said, "often): pl011: access 64\n"));
	ck_assert_ptr_null(strstr(said, "access 9\n"));
}
END_TEST

UNIT_MAIN("log", prefixes, long_lines_are_cut, guest_faults_are_limited)
