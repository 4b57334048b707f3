#include <belfry/console.h>

#include <belfry/escape.h>

#include "console_out.h"
#include "wire_end.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IN_LEN 256 /* a read */

struct console {
	struct console_setup setup;
	struct console_out *output;
	struct wire_end *uart;

	bool armed;     /* Ctrl-A was seen */
	u8 raw[IN_LEN]; /* as the operator typed it */
	u8 in[IN_LEN];  /* the guest's part of that */
	size_t in_len;
	struct loop_op in_op, in_wait_op;
};

static void tell(struct console *c, enum console_event event)
{
	c->setup.event(c->setup.ctx, event);
}

/* --- input --- */

static void read_input(struct console *c)
{
	loop_read(c->setup.loop, &c->in_op, c->setup.in, c->raw,
		  sizeof(c->raw));
}

/* For as long as what comes can wait if the guest does not take it. */
static void read_on(struct console *c)
{
	if (wire_end_room(c->uart) >= IN_LEN && !c->in_op.busy &&
	    !c->in_wait_op.busy && c->setup.in >= 0)
		read_input(c);
}

static void give_input(struct console *c)
{
	wire_end_give(c->uart, c->in, c->in_len);
	c->in_len = 0;
}

static void take_byte(struct console *c, u8 byte)
{
	switch (escape_feed(&c->armed, byte)) {
	case ESCAPE_PASS:
		c->in[c->in_len++] = byte;
		break;
	case ESCAPE_QUIT:
		tell(c, CONSOLE_QUIT);
		break;
	case ESCAPE_STATUS:
		tell(c, CONSOLE_STATUS);
		break;
	case ESCAPE_HELP:
		if (write(STDERR_FILENO, escape_help, strlen(escape_help)) < 0)
			break;
		break;
	case ESCAPE_BREAK:
		wire_end_break(c->uart);
		break;
	case ESCAPE_NONE:
		break;
	}
}

static void in_ready(struct loop_op *op, int result)
{
	read_input(op->ctx);
}

/* End of file and errors alike: there will be no more input, and no asking. */
static void in_done(struct loop_op *op, int result)
{
	struct console *c = op->ctx;

	if (result == -EINTR) {
		read_input(c);
		return;
	}
	if (result == -EAGAIN) {
		loop_poll(c->setup.loop, &c->in_wait_op, c->setup.in, POLLIN);
		return;
	}
	if (result <= 0) {
		c->setup.in = -1;
		return;
	}
	for (int i = 0; i < result; i++)
		take_byte(c, c->raw[i]);
	give_input(c);
	read_on(c);
}

/* --- the whole --- */

static void drained(void *ctx)
{
	tell(ctx, CONSOLE_DRAINED);
}

static void end_due(void *ctx)
{
	struct console *c = ctx;

	console_out_due(c->output);
}

static void end_taken(void *ctx)
{
	read_on(ctx);
}

/* The end of a console whose output goes to standard output. */
static struct wire_end *make_end(struct console *c, u32 i, struct err *e)
{
	struct wire_end_setup s = {
		.loop = c->setup.loop,
		.out_len = CONSOLE_OUT_BURST,
		.due = end_due,
		.taken = end_taken,
		.ctx = c,
	};
	struct wire_end *w = wire_end_create(&s, e);

	console_out_attach(c->output, i, w);
	return w;
}

struct console *console_create(const struct console_setup *s, struct err *e)
{
	struct console *c = calloc(1, sizeof(*c));

	if (!c) {
		err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	c->setup = *s;
	c->in_op = (struct loop_op) { .done = in_done, .ctx = c };
	c->in_wait_op = (struct loop_op) { .done = in_ready, .ctx = c };
	c->output = console_out_create(s, 1, drained, c, e);
	if (!c->output)
		goto out;
	c->uart = make_end(c, 0, e);
	if (!c->uart)
		goto out;
	return c;
out:
	console_destroy(c);
	return NULL;
}

void console_destroy(struct console *c)
{
	if (!c)
		return;
	wire_end_destroy(c->uart);
	console_out_destroy(c->output);
	free(c);
}

struct chars_wire console_wire(struct console *c)
{
	return wire_end_wire(c->uart);
}

void console_start(struct console *c, struct chars_port uart)
{
	wire_end_start(c->uart, uart);
	if (c->setup.in >= 0)
		read_input(c);
}

void console_drain(struct console *c)
{
	console_out_drain(c->output);
}

void console_restart(struct console *c)
{
	console_out_restart(c->output);
}

bool console_panicked(const struct console *c)
{
	return console_out_panicked(c->output);
}

bool console_expected(const struct console *c)
{
	return console_out_expected(c->output);
}

void console_traffic(struct console *c, u64 *out, u64 *in)
{
	wire_end_traffic(c->uart, out, in);
}
