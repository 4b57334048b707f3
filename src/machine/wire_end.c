#include "wire_end.h"

#include <belfry/lock.h>

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* What may wait for a guest that does not read: enough for the operator to get
 * out with Ctrl-A x all the same. */
#define IN_LEN 4096

/* Long enough to collect a burst, too short for a person to notice. */
#define COLLECT_NS 2000000

/* A driver that opens the receiver empties it first, to begin afresh: input
 * that waited for the opening comes after that. */
#define OPENING_NS 50000000

struct wire_end {
	struct wire_end_setup setup;
	struct chars_port port;

	/* Between the device's threads and the loop: what the guest wrote. */
	struct lock lock;
	u8 *ring;
	u32 head, tail;    /* free-running; head is written, tail read */
	bool device_waits; /* it was told there is no room */
	u64 sent;

	/* Loop's thread only, from here on. */
	int timer_fd; /* runs out when a burst is due */
	u64 timer_count;
	struct loop_op timer_op;

	u8 in[IN_LEN];
	size_t in_len, in_done;
	struct loop_event ready; /* the device can take input again */
	bool closed;             /* it took none of the last */
	struct loop_op opening_op;
	u64 received;
	u16 columns, rows; /* as the device was told */
};

static void arm_timer(struct wire_end *w, u64 ns)
{
	struct itimerspec t = { .it_value.tv_nsec = (long)ns };

	timerfd_settime(w->timer_fd, 0, &t, NULL);
}

/* --- from the device --- */

/* On any thread, perhaps under the device's lock. */
static size_t wire_send(void *ctx, const u8 *buf, size_t len)
{
	struct wire_end *w = ctx;
	u32 size = w->setup.out_len, held, n;

	lock_take(&w->lock);
	held = w->head - w->tail;
	n = (u32)MIN(len, (size_t)(size - held));
	for (u32 i = 0; i < n; i++)
		w->ring[w->head++ & (size - 1)] = buf[i];
	w->sent += n;
	w->device_waits |= n < len;
	lock_drop(&w->lock);

	if (held == 0 && n > 0)
		arm_timer(w, COLLECT_NS);
	else if (held < size / 2 && held + n >= size / 2)
		arm_timer(w, 1);
	return n;
}

static void wait_for_timer(struct wire_end *w)
{
	loop_read(w->setup.loop, &w->timer_op, w->timer_fd, &w->timer_count,
		  sizeof(w->timer_count));
}

static void timer_done(struct loop_op *op, int result)
{
	struct wire_end *w = op->ctx;

	if (loop_failed(result))
		return;
	wait_for_timer(w);
	w->setup.due(w->setup.ctx);
}

void wire_end_again(struct wire_end *w)
{
	arm_timer(w, 1);
}

size_t wire_end_take(struct wire_end *w, u8 *buf, size_t len, bool lines)
{
	const u8 *last;
	bool tell;
	size_t n;

	lock_take(&w->lock);
	n = MIN(len, (size_t)(w->head - w->tail));
	for (size_t i = 0; i < n; i++)
		buf[i] = w->ring[(w->tail + i) & (w->setup.out_len - 1)];
	last = lines ? memrchr(buf, '\n', n) : NULL;
	if (last)
		n = (size_t)(last + 1 - buf);
	w->tail += (u32)n;
	tell = w->device_waits && n;
	w->device_waits &= !tell;
	lock_drop(&w->lock);

	if (tell)
		w->port.tx_ready(w->port.dev);
	return n;
}

bool wire_end_waits(struct wire_end *w)
{
	bool waits;

	lock_take(&w->lock);
	waits = w->head != w->tail;
	lock_drop(&w->lock);
	return waits;
}

void wire_end_flush(struct wire_end *w)
{
	w->port.tx_ready(w->port.dev);
}

/* --- to the device --- */

/* Give it what it takes. */
static void push(struct wire_end *w)
{
	size_t n = w->port.receive(w->port.dev, w->in + w->in_done,
				   w->in_len - w->in_done);

	w->closed = !n && w->in_done < w->in_len;
	w->in_done += n;
	w->received += n;
	w->setup.taken(w->setup.ctx);
}

size_t wire_end_room(const struct wire_end *w)
{
	return IN_LEN - (w->in_len - w->in_done);
}

void wire_end_give(struct wire_end *w, const u8 *buf, size_t len)
{
	bool waits = w->in_done < w->in_len;

	assert(len <= wire_end_room(w));
	w->in_len -= w->in_done;
	memmove(w->in, w->in + w->in_done, w->in_len);
	w->in_done = 0;
	memcpy(w->in + w->in_len, buf, len);
	w->in_len += len;
	/* If some waited before, the device will say when it has room. */
	if (!waits && len)
		push(w);
}

static void opening_done(struct loop_op *op, int result)
{
	push(op->ctx);
}

static void ready_fired(void *ctx)
{
	struct wire_end *w = ctx;

	if (!w->closed)
		push(w);
	else if (!w->opening_op.busy)
		loop_timer(w->setup.loop, &w->opening_op, OPENING_NS);
}

/* On any thread, perhaps under the device's lock. */
static void wire_receive_ready(void *ctx)
{
	struct wire_end *w = ctx;

	loop_event_fire(&w->ready);
}

bool wire_end_break(struct wire_end *w)
{
	if (!w->port.brk)
		return false;
	w->port.brk(w->port.dev);
	return true;
}

void wire_end_resize(struct wire_end *w, u16 columns, u16 rows)
{
	if (!w->port.resize || (columns == w->columns && rows == w->rows))
		return;
	w->columns = columns;
	w->rows = rows;
	w->port.resize(w->port.dev, columns, rows);
}

/* --- the whole --- */

struct chars_wire wire_end_wire(struct wire_end *w)
{
	return (struct chars_wire) { .send = wire_send,
				     .receive_ready = wire_receive_ready,
				     .ctx = w };
}

struct wire_end *wire_end_create(const struct wire_end_setup *s, struct err *e)
{
	struct wire_end *w = calloc(1, sizeof(*w));

	assert(s->out_len && !(s->out_len & (s->out_len - 1)));
	if (!w) {
		err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	w->setup = *s;
	w->lock = LOCK_INIT;
	w->ready.fd = -1;
	w->timer_op = (struct loop_op) { .done = timer_done, .ctx = w };
	w->opening_op = (struct loop_op) { .done = opening_done, .ctx = w };
	w->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	if (w->timer_fd < 0) {
		err_set(e, -errno, "timerfd: %s", strerror(errno));
		goto out;
	}
	w->ring = malloc(s->out_len);
	if (!w->ring) {
		err_set(e, -ENOMEM, "out of memory");
		goto out;
	}
	if (!loop_event_init(&w->ready, s->loop, ready_fired, w, e))
		return w;
out:
	wire_end_destroy(w);
	return NULL;
}

void wire_end_destroy(struct wire_end *w)
{
	if (!w)
		return;
	loop_event_fini(&w->ready);
	free(w->ring);
	if (w->timer_fd >= 0)
		close(w->timer_fd);
	free(w);
}

void wire_end_start(struct wire_end *w, struct chars_port port)
{
	w->port = port;
	wait_for_timer(w);
}

void wire_end_traffic(struct wire_end *w, u64 *out, u64 *in)
{
	lock_take(&w->lock);
	*out = w->sent;
	lock_drop(&w->lock);
	*in = w->received;
}
