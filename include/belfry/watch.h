/*
 * Reading along with the console: has the expected text come, has the kernel
 * panicked? Works line by line, and on the unfinished line too, because
 * prompts end without a newline.
 */
#ifndef BELFRY_WATCH_H
#define BELFRY_WATCH_H

#include <belfry/base.h>
#include <belfry/err.h>

struct watch;

/* @expect is a POSIX extended regular expression, or NULL. -EINVAL with the
 * reason if it does not compile. An owned watch, or NULL. */
struct watch *watch_create(const char *expect, struct err *e);
void watch_destroy(struct watch *w);

/* More of the console's output, in any pieces. */
void watch_feed(struct watch *w, const u8 *buf, size_t len);
/* A reset: the unfinished line, and a panic, are the last boot's. */
void watch_restart(struct watch *w);

/* What has been seen so far. */
bool watch_expected(const struct watch *w); /* the expected text */
bool watch_panicked(const struct watch *w); /* the first line of a panic */
bool watch_hung(const struct watch *w);     /* its last: the guest only spins */

#endif
