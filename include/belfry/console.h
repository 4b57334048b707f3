/*
 * The guest's consoles, a UART and perhaps hvc0: between devices on vCPU
 * threads and the operator's standard input and output on the event loop.
 *
 * Output is collected for a moment and written in one piece, so a chatty guest
 * costs a system call per burst, not per character; a reader that is slow
 * slows the guest down through the device's flow control, one that is gone is
 * forgotten. Nothing is dropped in between.
 *
 * With hvc0 on standard input and output, input is for hvc0, and waits for it
 * to open as it does for a UART; both write to the output and the console
 * file, line by line where lines do not pause, and what is looked for is looked
 * for in the lines of each.
 */
#ifndef BELFRY_CONSOLE_H
#define BELFRY_CONSOLE_H

#include <belfry/base.h>
#include <belfry/chars.h>
#include <belfry/config.h>
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
	enum config_hvc hvc;
	/* Called on the loop's thread. */
	void (*event)(void *ctx, enum console_event event);
	void *ctx;
};

struct console;

/* NULL and a message on failure, nothing left behind. */
struct console *console_create(const struct console_setup *s, struct err *e);
void console_destroy(struct console *c);

/* What the UART is made with, then the UART itself. */
struct chars_wire console_wire(struct console *c);
void console_start(struct console *c, struct chars_port uart);

/* The same for hvc0, unless it is off; before console_start. */
struct chars_wire console_hvc_wire(struct console *c);
void console_hvc_start(struct console *c, struct chars_port hvc);

/* The operator's terminal may have changed its size. */
void console_resize(struct console *c);

/* No vCPU runs any more: write what is left, then CONSOLE_DRAINED. */
void console_drain(struct console *c);
/* The guest starts anew: forget the last boot's unfinished line and panic. */
void console_restart(struct console *c);

bool console_panicked(const struct console *c);
bool console_expected(const struct console *c);
/* Bytes written by, and read by, the guest so far. */
void console_traffic(struct console *c, u64 *out, u64 *in);

#endif
