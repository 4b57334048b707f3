/*
 * The guest's console: between a UART on vCPU threads and the operator's
 * standard input and output on the event loop.
 *
 * Output is collected for a moment and written in one piece, so a chatty guest
 * costs a system call per burst, not per character; a reader that is slow
 * slows the guest down through the UART's flow control, one that is gone is
 * forgotten. Nothing is dropped in between.
 */
#ifndef BELFRY_CONSOLE_H
#define BELFRY_CONSOLE_H

#include <belfry/base.h>
#include <belfry/chars.h>
#include <belfry/err.h>
#include <belfry/loop.h>
#include <belfry/watch.h>

enum console_event {
	CONSOLE_EXPECTED, /* the expected text was written */
	CONSOLE_HUNG,     /* a kernel panic ended in a spin */
	CONSOLE_QUIT,     /* the operator wants out */
	CONSOLE_STATUS,   /* the operator wants to know */
	CONSOLE_DRAINED,  /* console_drain is done */
};

struct console_setup {
	struct loop *loop;  /* borrowed, as are the descriptors */
	int in, out, file;  /* -1: none */
	const char *expect; /* or NULL */
	/* Called on the loop's thread. */
	void (*event)(void *ctx, enum console_event event);
	void *ctx;
};

struct console;

/* NULL and a message on failure, nothing left behind. */
struct console *console_create(const struct console_setup *s, struct err *e);
void console_destroy(struct console *c);

/* What the UART is made with, then the UART itself: input goes there. */
struct chars_wire console_wire(struct console *c);
void console_start(struct console *c, struct chars_port uart);

/* No vCPU runs any more: write what is left, then CONSOLE_DRAINED. */
void console_drain(struct console *c);
/* The guest starts anew: forget the last boot's unfinished line and panic. */
void console_restart(struct console *c);

bool console_panicked(const struct console *c);
bool console_expected(const struct console *c);
/* Bytes written by, and read by, the guest so far. */
void console_traffic(struct console *c, u64 *out, u64 *in);

#endif
