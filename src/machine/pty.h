/*
 * A pseudo-terminal with a device at one end and, now and then, somebody's
 * terminal program at the other.
 *
 * What the device sends while nobody has it open waits, and so does the device
 * once there is no more room; whoever opens it gets all of it. What a terminal
 * program left unread when it closed is for the next one, too. All on the
 * loop's thread.
 */
#ifndef BELFRY_PTY_H
#define BELFRY_PTY_H

#include <belfry/chars.h>
#include <belfry/err.h>
#include <belfry/loop.h>

struct pty;

/* @drained is called with @ctx when pty_drain is done. NULL and a message on
 * failure, nothing left behind. */
struct pty *pty_create(struct loop *loop, void (*drained)(void *ctx), void *ctx,
		       struct err *e);
void pty_destroy(struct pty *p);

/* What the device is made with, then the device itself. */
struct chars_wire pty_wire(struct pty *p);
void pty_start(struct pty *p, struct chars_port port);

/* "/dev/pts/5" */
const char *pty_name(const struct pty *p);

/* The device will send no more for now: until all is written, or nobody is
 * there to read it. */
void pty_drain(struct pty *p);

#endif
