/*
 * An error a person will read: a code for the program, a sentence for the
 * operator. Filled where the fault is known best, prefixed on the way up.
 */
#ifndef BELFRY_ERR_H
#define BELFRY_ERR_H

#include <belfry/base.h>

#define ERR_MSG_MAX 512

struct err {
	int code;              /* -errno; 0 while nothing went wrong */
	char msg[ERR_MSG_MAX]; /* one line, no newline; says what to do */
};

/*
 * Set @e and return @code, so that `return err_set(...)` reads as one thought.
 * @code is negative. A message too long is cut. Any thread; @e is the caller's.
 */
PRINTF_LIKE(3, 4)
int err_set(struct err *e, int code, const char *fmt, ...);

/* Put "prefix: " before the message of a set @e; returns its code. */
PRINTF_LIKE(2, 3)
int err_prefix(struct err *e, const char *fmt, ...);

#endif
