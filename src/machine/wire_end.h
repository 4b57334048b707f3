/*
 * Our end of a device's wire: what the device sent waits here until it is
 * written, what it shall receive until it takes it. Who finds no room waits,
 * and is told when there is some; nothing is dropped.
 *
 * A burst is announced a moment after it began, so that a chatty guest costs a
 * system call per burst, not per character.
 *
 * All of it on the loop's thread, except what the device calls.
 */
#ifndef BELFRY_WIRE_END_H
#define BELFRY_WIRE_END_H

#include <belfry/base.h>
#include <belfry/chars.h>
#include <belfry/err.h>
#include <belfry/loop.h>

struct wire_end_setup {
	struct loop *loop; /* borrowed */
	u32 out_len;       /* a power of two: what may wait to be written */
	void (*due)(void *ctx);   /* there is something to take */
	void (*taken)(void *ctx); /* there is more room for input */
	void *ctx;
};

struct wire_end;

/* NULL and a message on failure, nothing left behind. */
struct wire_end *wire_end_create(const struct wire_end_setup *s, struct err *e);
void wire_end_destroy(struct wire_end *w);

/* What the device is made with, then the device itself. */
struct chars_wire wire_end_wire(struct wire_end *w);
void wire_end_start(struct wire_end *w, struct chars_port port);

/* Take up to @len of the characters that wait. @lines: and if a line ends
 * among them, none of what follows. */
size_t wire_end_take(struct wire_end *w, u8 *buf, size_t len, bool lines);
bool wire_end_waits(struct wire_end *w);
/* Announce what waits once more, on the loop's next round. */
void wire_end_again(struct wire_end *w);
/* Have the device send what it was not asked for yet. No vCPU runs. */
void wire_end_flush(struct wire_end *w);

/* Input for the device, and how much of it there is room for. */
size_t wire_end_room(const struct wire_end *w);
void wire_end_give(struct wire_end *w, const u8 *buf, size_t len);

/* False if the device knows no break. */
bool wire_end_break(struct wire_end *w);
/* The device is told if it cares, and if this is new: a guest may have been
 * told otherwise by its user. */
void wire_end_resize(struct wire_end *w, u16 columns, u16 rows);

/* Characters the device sent, and took, so far. */
void wire_end_traffic(struct wire_end *w, u64 *out, u64 *in);

#endif
