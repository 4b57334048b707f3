/*
 * The console, seen from the guest's programs.
 */
#include "guest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* The next line without its end; false at "quit". */
static bool next_line(char *buf, size_t size)
{
	if (!fgets(buf, (int)size, stdin))
		return wrong("no more input: %s", strerror(errno));
	buf[strcspn(buf, "\n")] = '\0';
	return strcmp(buf, "quit");
}

bool test_echo(const char *arg)
{
	char line[256];

	say("echo: ready");
	while (next_line(line, sizeof(line)))
		say("got '%s'", line);
	return true;
}

/* Bytes of the lines, and a sum that knows their order. */
bool test_count(const char *arg)
{
	unsigned lines = 0, bytes = 0, sum = 0;
	struct termios t;
	char line[256];

	if (tcgetattr(STDIN_FILENO, &t))
		return wrong("tcgetattr: %s", strerror(errno));
	t.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(STDIN_FILENO, TCSANOW, &t);
	say("count: ready");
	while (next_line(line, sizeof(line))) {
		lines++;
		for (char *c = line; *c; c++, bytes++)
			sum = sum * 31 + (u8)*c;
	}
	say("count: %u lines, %u bytes, sum %08x", lines, bytes, sum);
	return true;
}

/* Each line is 62 characters, and two that end it on a terminal. */
bool test_spew(const char *arg)
{
	int lines = atoi(arg);

	for (int i = 1; i <= lines; i++)
		printf("spew %04d %052llu\n", i,
		       (unsigned long long)i * 0x9e3779b97f4a7c15ull);
	return true;
}
