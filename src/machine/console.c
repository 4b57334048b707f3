#include <belfry/console.h>

#include <belfry/escape.h>
#include <belfry/lock.h>
#include <belfry/log.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define OUT_LEN 4096 /* a power of two */
#define IN_LEN  256  /* a read */
/* What may wait for a guest that does not read, before input is read no more:
 * enough for the operator to get out with Ctrl-A x all the same. */
#define IN_KEPT 4096

/* Long enough to collect a burst, too short for a person to notice. */
#define COLLECT_NS 2000000

/* A driver that opens the receiver empties it first, to begin afresh: input
 * that waited for the opening comes after that. */
#define OPENING_NS 50000000

struct console {
	struct console_setup setup;
	struct watch *watch;
	struct chars_port uart;

	/* Between the vCPU threads and the loop: a ring of what the guest
	 * wrote. */
	struct lock lock;
	u8 ring[OUT_LEN];
	u32 head, tail;  /* free-running; head is written, tail read */
	bool uart_waits; /* it was told there is no room */
	u64 out_bytes;

	/* Loop's thread only, from here on. */
	int timer_fd; /* runs out when a burst should be written */
	u64 timer_count;
	struct loop_op timer_op;

	u8 burst[OUT_LEN]; /* being written */
	size_t burst_len, burst_done;
	struct loop_op out_op, out_wait_op, file_op;
	bool draining;

	bool armed; /* Ctrl-A was seen */
	u8 in_raw[IN_LEN], in[IN_KEPT];
	size_t in_len, in_done;
	struct loop_op in_op, in_wait_op;
	struct loop_event room; /* the UART can take input again */
	bool closed;            /* it took none of the last */
	struct loop_op opening_op;
	u64 in_bytes;
};

static void arm_timer(struct console *c, u64 ns)
{
	struct itimerspec t = { .it_value.tv_nsec = (long)ns };

	timerfd_settime(c->timer_fd, 0, &t, NULL);
}

/* --- output --- */

/* On a vCPU thread, under the UART's lock. */
static size_t wire_send(void *ctx, const u8 *buf, size_t len)
{
	struct console *c = ctx;
	u32 held, n;

	lock_take(&c->lock);
	held = c->head - c->tail;
	n = (u32)MIN(len, (size_t)(OUT_LEN - held));
	for (u32 i = 0; i < n; i++)
		c->ring[c->head++ % OUT_LEN] = buf[i];
	c->out_bytes += n;
	c->uart_waits |= n < len;
	lock_drop(&c->lock);

	if (held == 0 && n > 0)
		arm_timer(c, COLLECT_NS);
	else if (held < OUT_LEN / 2 && held + n >= OUT_LEN / 2)
		arm_timer(c, 1);
	return n;
}

/* Move the ring's content to the burst; true if the UART waited for that. */
static bool take_burst(struct console *c)
{
	bool waits;

	lock_take(&c->lock);
	c->burst_len = 0;
	c->burst_done = 0;
	while (c->tail != c->head)
		c->burst[c->burst_len++] = c->ring[c->tail++ % OUT_LEN];
	waits = c->uart_waits;
	c->uart_waits = false;
	lock_drop(&c->lock);
	return waits;
}

static void tell(struct console *c, enum console_event event)
{
	c->setup.event(c->setup.ctx, event);
}

static void watch_burst(struct console *c)
{
	bool expected = watch_expected(c->watch);
	bool hung = watch_hung(c->watch);

	watch_feed(c->watch, c->burst, c->burst_len);
	if (!expected && watch_expected(c->watch))
		tell(c, CONSOLE_EXPECTED);
	if (!hung && watch_hung(c->watch))
		tell(c, CONSOLE_HUNG);
}

static void write_out(struct console *c)
{
	loop_write(c->setup.loop, &c->out_op, c->setup.out,
		   c->burst + c->burst_done, c->burst_len - c->burst_done);
}

static void write_file(struct console *c)
{
	loop_write(c->setup.loop, &c->file_op, c->setup.file,
		   c->burst + c->burst_done, c->burst_len - c->burst_done);
}

static bool writing(const struct console *c)
{
	return c->out_op.busy || c->out_wait_op.busy || c->file_op.busy;
}

/* Begin the next burst, if none is under way and there is something. */
static void next_burst(struct console *c)
{
	do {
		if (writing(c))
			return;
		if (take_burst(c))
			c->uart.tx_ready(c->uart.dev);
		if (!c->burst_len)
			break;
		if (c->setup.out >= 0)
			write_out(c);
		else if (c->setup.file >= 0)
			write_file(c);
		/* Last: what is seen may end in console_drain. */
		watch_burst(c);
		/* With nobody to write to, a guest that never pauses would keep
		 * the loop here, and timers and signals waiting. */
		if (!writing(c) && !c->draining)
			arm_timer(c, 1);
	} while (c->draining);
	if (c->draining && !writing(c)) {
		c->draining = false;
		tell(c, CONSOLE_DRAINED);
	}
}

/* True while a partial write goes on. */
static bool go_on(struct console *c, int result)
{
	c->burst_done += result > 0 ? (size_t)result : 0;
	return result == -EINTR ||
	       (result >= 0 && c->burst_done < c->burst_len);
}

/* Others may have made our descriptors non-blocking: a shell's, say. */
static void out_ready(struct loop_op *op, int result)
{
	write_out(op->ctx);
}

static void out_done(struct loop_op *op, int result)
{
	struct console *c = op->ctx;

	if (go_on(c, result)) {
		write_out(c);
		return;
	}
	if (result == -EAGAIN) {
		loop_poll(c->setup.loop, &c->out_wait_op, c->setup.out,
			  POLLOUT);
		return;
	}
	/* Whoever read it is gone: the guest need not know. */
	if (result < 0)
		c->setup.out = -1;
	c->burst_done = 0;
	if (c->setup.file >= 0)
		write_file(c);
	else
		next_burst(c);
}

static void file_done(struct loop_op *op, int result)
{
	struct console *c = op->ctx;

	if (go_on(c, result)) {
		write_file(c);
		return;
	}
	if (result < 0) {
		log_error(
			"console: cannot write the console file: %s; it ends here",
			strerror(-result));
		c->setup.file = -1;
	}
	next_burst(c);
}

static void wait_for_timer(struct console *c)
{
	loop_read(c->setup.loop, &c->timer_op, c->timer_fd, &c->timer_count,
		  sizeof(c->timer_count));
}

static void timer_done(struct loop_op *op, int result)
{
	struct console *c = op->ctx;

	if (loop_failed(result))
		return;
	wait_for_timer(c);
	next_burst(c);
}

/* --- input --- */

static void read_input(struct console *c)
{
	loop_read(c->setup.loop, &c->in_op, c->setup.in, c->in_raw,
		  sizeof(c->in_raw));
}

/* For as long as what comes can wait here if the UART does not take it. */
static void read_on(struct console *c)
{
	if (c->in_len - c->in_done <= IN_KEPT - IN_LEN && !c->in_op.busy &&
	    !c->in_wait_op.busy && c->setup.in >= 0)
		read_input(c);
}

/* Give the UART what it takes. */
static void push_input(struct console *c)
{
	size_t n = c->uart.receive(c->uart.dev, c->in + c->in_done,
				   c->in_len - c->in_done);

	c->closed = !n && c->in_done < c->in_len;
	c->in_done += n;
	c->in_bytes += n;
	read_on(c);
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
		if (c->uart.brk)
			c->uart.brk(c->uart.dev);
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
	bool waits;

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
	waits = c->in_done < c->in_len;
	c->in_len -= c->in_done;
	memmove(c->in, c->in + c->in_done, c->in_len);
	c->in_done = 0;
	for (int i = 0; i < result; i++)
		take_byte(c, c->in_raw[i]);
	/* If some waited before, the UART will say when it has room. */
	if (waits)
		read_on(c);
	else
		push_input(c);
}

static void opening_done(struct loop_op *op, int result)
{
	push_input(op->ctx);
}

static void room_fired(void *ctx)
{
	struct console *c = ctx;

	if (!c->closed)
		push_input(c);
	else if (!c->opening_op.busy)
		loop_timer(c->setup.loop, &c->opening_op, OPENING_NS);
}

/* On a vCPU thread, under the UART's lock. */
static void wire_receive_ready(void *ctx)
{
	struct console *c = ctx;

	loop_event_fire(&c->room);
}

/* --- the whole --- */

struct chars_wire console_wire(struct console *c)
{
	return (struct chars_wire) { .send = wire_send,
				     .receive_ready = wire_receive_ready,
				     .ctx = c };
}

struct console *console_create(const struct console_setup *s, struct err *e)
{
	struct console *c = calloc(1, sizeof(*c));

	if (!c) {
		err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	c->setup = *s;
	c->lock = LOCK_INIT;
	c->room.fd = -1;
	c->timer_op = (struct loop_op) { .done = timer_done, .ctx = c };
	c->out_op = (struct loop_op) { .done = out_done, .ctx = c };
	c->file_op = (struct loop_op) { .done = file_done, .ctx = c };
	c->in_op = (struct loop_op) { .done = in_done, .ctx = c };
	c->in_wait_op = (struct loop_op) { .done = in_ready, .ctx = c };
	c->out_wait_op = (struct loop_op) { .done = out_ready, .ctx = c };
	c->opening_op = (struct loop_op) { .done = opening_done, .ctx = c };
	c->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	if (c->timer_fd < 0) {
		err_set(e, -errno, "timerfd: %s", strerror(errno));
		goto out;
	}
	c->watch = watch_create(s->expect, e);
	if (!c->watch || loop_event_init(&c->room, s->loop, room_fired, c, e))
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
	loop_event_fini(&c->room);
	watch_destroy(c->watch);
	if (c->timer_fd >= 0)
		close(c->timer_fd);
	free(c);
}

void console_start(struct console *c, struct chars_port uart)
{
	c->uart = uart;
	wait_for_timer(c);
	if (c->setup.in >= 0)
		read_input(c);
}

void console_drain(struct console *c)
{
	c->draining = true;
	next_burst(c);
}

void console_restart(struct console *c)
{
	watch_restart(c->watch);
}

bool console_panicked(const struct console *c)
{
	return watch_panicked(c->watch);
}

bool console_expected(const struct console *c)
{
	return watch_expected(c->watch);
}

void console_traffic(struct console *c, u64 *out, u64 *in)
{
	lock_take(&c->lock);
	*out = c->out_bytes;
	lock_drop(&c->lock);
	*in = c->in_bytes;
}
