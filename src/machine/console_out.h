/*
 * What the guest's consoles write, on its way to standard output and the
 * console file: burst by burst, and read along.
 *
 * A reader that is slow slows the guest down, one that is gone is forgotten.
 * Of two consoles each burst is written whole, as far as its last line's end
 * while the other waits; a line that has begun ends first, unless it pauses.
 * All on the loop's thread.
 */
#ifndef BELFRY_CONSOLE_OUT_H
#define BELFRY_CONSOLE_OUT_H

#include <belfry/console.h>

#include "wire_end.h"

/* What one write takes at most; an end need hold no more. */
#define CONSOLE_OUT_BURST 4096

/* Consoles, at most. */
#define CONSOLE_OUT_SOURCES 2

struct console_out;

/* For @nr consoles. Tells @s of what it sees, and calls @drained with @ctx when
 * console_out_drain is done. NULL and a message on failure. */
struct console_out *console_out_create(const struct console_setup *s, u32 nr,
				       void (*drained)(void *ctx), void *ctx,
				       struct err *e);
void console_out_destroy(struct console_out *o);

/* Write what console @i sends to @end (borrowed). All of them, first. */
void console_out_attach(struct console_out *o, u32 i, struct wire_end *end);

/* Something waits at an end. */
void console_out_due(struct console_out *o);

/* No vCPU runs: until nothing waits and all is written. */
void console_out_drain(struct console_out *o);
/* The guest starts anew: forget unfinished lines and a panic. */
void console_out_restart(struct console_out *o);

bool console_out_expected(const struct console_out *o);
bool console_out_panicked(const struct console_out *o);

#endif
