#include "console_out.h"

#include <belfry/log.h>
#include <belfry/watch.h>

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* How long one console waits for another to end its line: a guest under load
 * may be so slow, a prompt does not end. */
#define LINE_NS 200000000

struct source {
	struct wire_end *end;
	struct watch *watch; /* owned; each has lines of its own */
};

struct console_out {
	struct loop *loop;
	int out, file; /* -1: none, or no more */
	void (*event)(void *ctx, enum console_event event);
	void *event_ctx;
	void (*drained)(void *ctx);
	void *drained_ctx;

	struct source source[CONSOLE_OUT_SOURCES];
	u32 nr;
	u32 turn;               /* whose burst was the last */
	bool in_line;           /* and it did not end its line */
	struct loop_op line_op; /* another waits for that */

	u8 burst[CONSOLE_OUT_BURST]; /* being written */
	size_t burst_len, burst_done;
	struct loop_op out_op, out_wait_op, file_op;
	bool draining;
};

/* --- reading along --- */

static bool hung(const struct console_out *o)
{
	for (u32 i = 0; i < o->nr; i++)
		if (watch_hung(o->source[i].watch))
			return true;
	return false;
}

bool console_out_expected(const struct console_out *o)
{
	for (u32 i = 0; i < o->nr; i++)
		if (watch_expected(o->source[i].watch))
			return true;
	return false;
}

bool console_out_panicked(const struct console_out *o)
{
	for (u32 i = 0; i < o->nr; i++)
		if (watch_panicked(o->source[i].watch))
			return true;
	return false;
}

static void watch_burst(struct console_out *o)
{
	bool was_expected = console_out_expected(o), was_hung = hung(o);

	watch_feed(o->source[o->turn].watch, o->burst, o->burst_len);
	if (!was_expected && console_out_expected(o))
		o->event(o->event_ctx, CONSOLE_EXPECTED);
	if (!was_hung && hung(o))
		o->event(o->event_ctx, CONSOLE_HUNG);
}

/* --- writing --- */

static bool others_wait(const struct console_out *o, u32 but)
{
	for (u32 i = 0; i < o->nr; i++)
		if (i != but && wire_end_waits(o->source[i].end))
			return true;
	return false;
}

static bool take_from(struct console_out *o, u32 i)
{
	o->burst_done = 0;
	o->burst_len = wire_end_take(o->source[i].end, o->burst,
				     sizeof(o->burst), others_wait(o, i));
	if (!o->burst_len)
		return false;
	o->turn = i;
	o->in_line = o->burst[o->burst_len - 1] != '\n';
	if (!o->in_line && o->line_op.busy)
		loop_cancel(o->loop, &o->line_op);
	return true;
}

/* Others have waited long enough, or need not any more. */
static void line_done(struct loop_op *op, int result)
{
	struct console_out *o = op->ctx;

	if (!result)
		o->in_line = false;
	console_out_due(o);
}

/* The next burst, of the source whose turn it is; false if there is none, or
 * not yet. */
static bool take_burst(struct console_out *o)
{
	bool held = o->in_line && !o->draining && others_wait(o, o->turn);

	if (held && !o->line_op.busy)
		loop_timer(o->loop, &o->line_op, LINE_NS);
	if (o->in_line && take_from(o, o->turn))
		return true;
	for (u32 i = 1; !held && i <= o->nr; i++)
		if (take_from(o, (o->turn + i) % o->nr))
			return true;
	return false;
}

static void write_out(struct console_out *o)
{
	loop_write(o->loop, &o->out_op, o->out, o->burst + o->burst_done,
		   o->burst_len - o->burst_done);
}

static void write_file(struct console_out *o)
{
	loop_write(o->loop, &o->file_op, o->file, o->burst + o->burst_done,
		   o->burst_len - o->burst_done);
}

static bool writing(const struct console_out *o)
{
	return o->out_op.busy || o->out_wait_op.busy || o->file_op.busy;
}

/* Begin the next burst, if none is under way and there is something. */
void console_out_due(struct console_out *o)
{
	do {
		if (writing(o))
			return;
		if (!take_burst(o))
			break;
		if (o->out >= 0)
			write_out(o);
		else if (o->file >= 0)
			write_file(o);
		/* Last: what is seen may end in console_drain. */
		watch_burst(o);
		/* With nobody to write to, a guest that never pauses would keep
		 * the loop here, and timers and signals waiting. */
		if (!writing(o) && !o->draining)
			wire_end_again(o->source[o->turn].end);
	} while (o->draining);
	if (o->draining && !writing(o)) {
		o->draining = false;
		o->drained(o->drained_ctx);
	}
}

/* True while a partial write goes on. */
static bool go_on(struct console_out *o, int result)
{
	o->burst_done += result > 0 ? (size_t)result : 0;
	return result == -EINTR ||
	       (result >= 0 && o->burst_done < o->burst_len);
}

/* Others may have made our descriptors non-blocking: a shell's, say. */
static void out_ready(struct loop_op *op, int result)
{
	write_out(op->ctx);
}

static void out_done(struct loop_op *op, int result)
{
	struct console_out *o = op->ctx;

	if (go_on(o, result)) {
		write_out(o);
		return;
	}
	if (result == -EAGAIN) {
		loop_poll(o->loop, &o->out_wait_op, o->out, POLLOUT);
		return;
	}
	/* Whoever read it is gone: the guest need not know. */
	if (result < 0)
		o->out = -1;
	o->burst_done = 0;
	if (o->file >= 0)
		write_file(o);
	else
		console_out_due(o);
}

static void file_done(struct loop_op *op, int result)
{
	struct console_out *o = op->ctx;

	if (go_on(o, result)) {
		write_file(o);
		return;
	}
	if (result < 0) {
		log_error(
			"console: cannot write the console file: %s; it ends here",
			strerror(-result));
		o->file = -1;
	}
	console_out_due(o);
}

/* --- the whole --- */

struct console_out *console_out_create(const struct console_setup *s, u32 nr,
				       void (*drained)(void *ctx), void *ctx,
				       struct err *e)
{
	struct console_out *o = calloc(1, sizeof(*o));

	assert(nr <= CONSOLE_OUT_SOURCES);
	if (!o) {
		err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	o->loop = s->loop;
	o->out = s->out;
	o->file = s->file;
	o->event = s->event;
	o->event_ctx = s->ctx;
	o->drained = drained;
	o->drained_ctx = ctx;
	o->out_op = (struct loop_op) { .done = out_done,
				       .ctx = o,
				       .seeks = loop_seeks(o->out) };
	o->out_wait_op = (struct loop_op) { .done = out_ready, .ctx = o };
	o->file_op = (struct loop_op) { .done = file_done, .ctx = o };
	o->line_op = (struct loop_op) { .done = line_done, .ctx = o };
	for (; o->nr < nr; o->nr++) {
		struct source *from = &o->source[o->nr];

		from->watch = watch_create(s->expect, e);
		if (!from->watch) {
			console_out_destroy(o);
			return NULL;
		}
	}
	return o;
}

void console_out_destroy(struct console_out *o)
{
	if (!o)
		return;
	for (u32 i = 0; i < o->nr; i++)
		watch_destroy(o->source[i].watch);
	free(o);
}

void console_out_attach(struct console_out *o, u32 i, struct wire_end *end)
{
	o->source[i].end = end;
}

void console_out_drain(struct console_out *o)
{
	o->draining = true;
	console_out_due(o);
}

void console_out_restart(struct console_out *o)
{
	for (u32 i = 0; i < o->nr; i++)
		watch_restart(o->source[i].watch);
}
