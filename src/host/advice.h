/*
 * Calls of the kernel's, and messages about those that it refused: what was
 * asked, what it said, and what the operator can do about it.
 */
#ifndef BELFRY_HOST_ADVICE_H
#define BELFRY_HOST_ADVICE_H

#include <belfry/err.h>

/* ioctl(2), with its result or -errno. */
MUST_CHECK int kernel_ask(int fd, unsigned long request, void *arg);

/* What can be done when a call fails with @err. A table of these ends with a
 * row of zeroes. */
struct advice {
	int err; /* an errno */
	const char *text;
};

/*
 * Set @e to "WHAT: what strerror says", with ": TEXT" after it if @table (NULL:
 * none) has a row for @code; @fmt makes WHAT. Returns @code, which is -errno.
 */
PRINTF_LIKE(4, 5)
int advise(struct err *e, int code, const struct advice *table, const char *fmt,
	   ...);

#endif
