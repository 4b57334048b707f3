#include <belfry/console.h>

#include <belfry/escape.h>
#include <belfry/log.h>

#include "console_out.h"
#include "pty.h"
#include "wire_end.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define IN_LEN 256 /* a read */

struct console {
	struct console_setup setup;
	struct console_out *output;
	struct wire_end *uart;
	struct wire_end *hvc; /* NULL, unless it is here, too, */
	struct pty *pty;      /* or that has it */
	u32 draining;         /* parts that have not answered */

	struct wire_end *input; /* where it goes */

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
	if (wire_end_room(c->input) >= IN_LEN && !c->in_op.busy &&
	    !c->in_wait_op.busy && c->setup.in >= 0)
		read_input(c);
}

static void give_input(struct console *c)
{
	wire_end_give(c->input, c->in, c->in_len);
	c->in_len = 0;
}

static void send_break(struct console *c)
{
	give_input(c); /* what came before it */
	if (!wire_end_break(c->input))
		log_info("hvc0 has no break: Magic SysRq is Ctrl-O there");
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
		send_break(c);
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
	struct console *c = ctx;

	if (!--c->draining)
		tell(c, CONSOLE_DRAINED);
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

/* hvc0's end, wherever that is. False and a message on failure. */
static bool make_hvc(struct console *c, struct err *e)
{
	switch (c->setup.hvc) {
	case HVC_STDIO:
		c->hvc = make_end(c, 1, e);
		c->input = c->hvc;
		return c->hvc;
	case HVC_PTY:
		c->pty = pty_create(c->setup.loop, drained, c, e);
		return c->pty;
	case HVC_OFF:
		break;
	}
	return true;
}

struct console *console_create(const struct console_setup *s, struct err *e)
{
	struct console *c = calloc(1, sizeof(*c));

	if (!c) {
		err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	c->setup = *s;
	c->in_op = (struct loop_op) { .done = in_done,
				      .ctx = c,
				      .seeks = loop_seeks(c->setup.in) };
	c->in_wait_op = (struct loop_op) { .done = in_ready, .ctx = c };
	c->output = console_out_create(s, s->hvc == HVC_STDIO ? 2 : 1, drained,
				       c, e);
	if (!c->output)
		goto out;
	c->uart = c->input = make_end(c, 0, e);
	if (!c->uart || !make_hvc(c, e))
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
	pty_destroy(c->pty);
	wire_end_destroy(c->hvc);
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
	console_resize(c);
	if (c->setup.in >= 0)
		read_input(c);
}

struct chars_wire console_hvc_wire(struct console *c)
{
	return c->pty ? pty_wire(c->pty) : wire_end_wire(c->hvc);
}

void console_hvc_start(struct console *c, struct chars_port hvc)
{
	if (c->pty)
		pty_start(c->pty, hvc);
	else
		wire_end_start(c->hvc, hvc);
}

/* Where output goes a screen is, if anywhere. */
void console_resize(struct console *c)
{
	struct winsize size;

	if (!ioctl(c->setup.out, TIOCGWINSZ, &size) ||
	    !ioctl(c->setup.in, TIOCGWINSZ, &size))
		wire_end_resize(c->input, size.ws_col, size.ws_row);
}

/* The devices first: they may have characters that we were not told of. Each
 * part answers once, also if it is asked again before that. */
void console_drain(struct console *c)
{
	c->draining = 1 + (c->pty != NULL);
	wire_end_flush(c->uart);
	if (c->hvc)
		wire_end_flush(c->hvc);
	if (c->pty)
		pty_drain(c->pty);
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
	u64 hvc_out = 0, hvc_in = 0;

	wire_end_traffic(c->uart, out, in);
	if (c->hvc)
		wire_end_traffic(c->hvc, &hvc_out, &hvc_in);
	*out += hvc_out;
	*in += hvc_in;
}
