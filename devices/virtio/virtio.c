/*
 * The life of a virtio device: started by its driver, run by the event loop,
 * stopped by either, and how its queues are rung and interrupt.
 *
 * A vCPU thread only writes down what the driver wants and wakes the loop;
 * the loop alone goes from one phase to the next, so that a device never sees
 * its queues change under it.
 */
#include "virtio_priv.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* --- doorbells --- */

static gpa_t bell_at(gpa_t area, u32 i)
{
	return area + 4 * i;
}

void virtio_detach(struct virtio *v)
{
	const struct doorbells *d = &v->setup.caps.doorbells;

	for (u32 i = 0; v->bells && i < v->setup.queues; i++)
		d->detach(d->ctx, bell_at(v->bells, i), v->queues[i].kick_fd);
	v->bells = 0;
}

/*
 * They stay until the area moves: a driver that starts the device again finds
 * them. Where the host has no room, notifications come as MMIO.
 */
void virtio_attach(struct virtio *v)
{
	const struct doorbells *d = &v->setup.caps.doorbells;

	if (v->bells == v->notify)
		return;
	virtio_detach(v);
	v->bells = v->notify;
	for (u32 i = 0; v->bells && i < v->setup.queues; i++)
		(void)d->attach(d->ctx, bell_at(v->bells, i),
				v->queues[i].kick_fd);
}

static void wait_for_kicks(struct virtio *v, struct queue *q)
{
	loop_watch(v->setup.caps.loop, &q->kick_op, q->kick_fd, POLLIN);
}

static void kick(struct virtio *v, u32 i)
{
	if (virtio_queue(v, i))
		v->setup.ops->kick(v->setup.dev, i);
}

static void kicked(struct loop_op *op, int result)
{
	struct queue *q = op->ctx;
	struct virtio *v = q->all;

	if (!op->busy && result != -ECANCELED)
		wait_for_kicks(v, q);
	if (result > 0)
		kick(v, (u32)(q - v->queues));
}

static void kick_all(struct virtio *v)
{
	for (u32 i = 0; i < v->setup.queues; i++)
		kick(v, i);
}

/* --- start and stop, on the loop's thread --- */

static void start_queue(struct virtio *v, struct queue *q)
{
	q->ring = (struct virtq) {
		.size = q->set.size,
		.desc = q->set.desc,
		.driver = q->set.driver,
		.device = q->set.device,
		.event_idx = v->accepted & VIRTIO_F_EVENT_IDX,
		.indirect = v->accepted & VIRTIO_F_INDIRECT_DESC,
		.dma = &v->setup.caps.dma,
		.faults = &v->faults,
	};
	virtq_start(&q->ring);
}

/* The lock is held. */
static void finish_reset(struct virtio *v)
{
	v->phase = PHASE_STOPPED;
	v->resetting = false;
	v->cut_off = false;
	virtio_pci_reset(v);
}

static void tell_reset_done(struct virtio *v)
{
	void (*done)(void *ctx) = v->reset_done;

	v->reset_done = NULL;
	if (done)
		done(v->reset_ctx);
}

enum step { STEP_NONE, STEP_START, STEP_STOP, STEP_RESET };

static enum step next_step(const struct virtio *v)
{
	if (v->resetting && v->phase == PHASE_RUNNING)
		return STEP_STOP;
	if (v->resetting && v->phase != PHASE_STOPPING)
		return STEP_RESET;
	return v->phase == PHASE_STARTING ? STEP_START : STEP_NONE;
}

/* The lock is held. */
static void take_step(struct virtio *v, enum step step)
{
	switch (step) {
	case STEP_START:
		for (u32 i = 0; i < v->setup.queues; i++)
			start_queue(v, &v->queues[i]);
		v->phase = PHASE_RUNNING;
		virtio_attach(v);
		break;
	case STEP_STOP:
		v->phase = PHASE_STOPPING;
		break;
	case STEP_RESET:
		finish_reset(v);
		break;
	case STEP_NONE:
		break;
	}
}

/* Something was written down, or bus mastering switched on. */
static void sync_fired(void *ctx)
{
	struct virtio *v = ctx;
	u64 features;
	enum step step;

	lock_take(&v->lock);
	step = next_step(v);
	take_step(v, step);
	features = v->accepted;
	lock_drop(&v->lock);

	if (step == STEP_START) {
		v->live = true;
		v->setup.ops->start(v->setup.dev, features);
	} else if (step == STEP_STOP) {
		v->live = false;
		v->setup.ops->stop(v->setup.dev);
	} else if (step == STEP_RESET) {
		tell_reset_done(v);
	}
	kick_all(v);
}

void virtio_stopped(struct virtio *v)
{
	lock_take(&v->lock);
	finish_reset(v);
	lock_drop(&v->lock);
	tell_reset_done(v);
}

void virtio_begin_reset(struct virtio *v)
{
	if (v->phase == PHASE_STOPPED) {
		finish_reset(v);
		return;
	}
	v->resetting = true;
	loop_event_fire(&v->sync);
}

void virtio_reset(struct virtio *v, void (*done)(void *ctx), void *ctx)
{
	v->reset_done = done;
	v->reset_ctx = ctx;
	lock_take(&v->lock);
	v->resetting = true;
	lock_drop(&v->lock);
	sync_fired(v);
}

/* --- for the device --- */

/* Without mastering the bus it cannot look (PCI 3.0, 6.2.2). */
struct virtq *virtio_queue(struct virtio *v, u32 i)
{
	bool usable = v->live && v->queues[i].set.enabled && !v->cut_off &&
		      pci_bus_master(&v->function);

	return usable ? &v->queues[i].ring : NULL;
}

/* By message, or else by a bit of the ISR status, which says in either case
 * that the configuration changed (4.1.4.5.1). */
static void interrupt(struct virtio *v, u16 vector, u8 isr)
{
	bool msix = pci_msix_enabled(&v->function);

	if (!msix || isr == ISR_CONFIG) {
		lock_take(&v->lock);
		v->isr |= isr;
		lock_drop(&v->lock);
	}
	if (msix && vector != NO_VECTOR)
		pci_msix_fire(&v->function, vector);
}

/* The configuration, or the status, has changed. */
static void config_interrupt(struct virtio *v)
{
	interrupt(v, v->config_vector, ISR_CONFIG);
}

void virtio_show(struct virtio *v, u32 i)
{
	struct virtq *q = virtio_queue(v, i);

	if (!q)
		return;
	if (!q->broken && virtq_show(q))
		interrupt(v, v->queues[i].vector, ISR_QUEUE);
	/* It may have been before, or be since. */
	if (q->broken)
		virtio_needs_reset(v);
}

void virtio_needs_reset(struct virtio *v)
{
	bool tell;

	lock_take(&v->lock);
	tell = (v->status & STATUS_DRIVER_OK) &&
	       !(v->status & STATUS_NEEDS_RESET) && !v->resetting;
	if (tell)
		v->status |= STATUS_NEEDS_RESET;
	lock_drop(&v->lock);
	if (tell)
		config_interrupt(v);
}

void virtio_config_set(struct virtio *v, u32 off, const void *bytes, u32 len)
{
	bool tell;

	lock_take(&v->lock);
	memcpy(v->config + off, bytes, len);
	v->generation++;
	tell = v->status & STATUS_DRIVER_OK;
	lock_drop(&v->lock);
	if (tell)
		config_interrupt(v);
}

void virtio_config_writable(struct virtio *v, u32 off, u32 len)
{
	memset(v->writable + off, 0xff, len);
}

u64 virtio_faults(const struct virtio *v)
{
	return v->faults.count;
}

/* --- the whole --- */

static int open_queues(struct virtio *v, struct err *e)
{
	for (u32 i = 0; i < v->setup.queues; i++) {
		struct queue *q = &v->queues[i];

		q->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (q->kick_fd < 0)
			return err_set(
				e, -errno,
				"%s: eventfd: %s: raise `ulimit -n`, or give the devices fewer queues",
				v->setup.name, strerror(errno));
	}
	return 0;
}

struct virtio *virtio_create(const struct virtio_setup *s, struct err *e)
{
	struct virtio *v =
		calloc(1, sizeof(*v) + s->queues * sizeof(v->queues[0]));

	if (!v) {
		err_set(e, -ENOMEM, "%s: out of memory", s->name);
		return NULL;
	}
	v->setup = *s;
	v->lock = LOCK_INIT;
	v->faults.who = s->name;
	v->sync.fd = -1;
	for (u32 i = 0; i < s->queues; i++) {
		v->queues[i].all = v;
		v->queues[i].kick_fd = -1;
		v->queues[i].kick_op =
			(struct loop_op) { .done = kicked,
					   .ctx = &v->queues[i] };
	}
	/* The loop last: it would keep what it was given. */
	if (virtio_pci_init(v, e) || open_queues(v, e) ||
	    loop_event_init(&v->sync, s->caps.loop, sync_fired, v, e)) {
		virtio_destroy(v);
		return NULL;
	}
	for (u32 i = 0; i < s->queues; i++)
		wait_for_kicks(v, &v->queues[i]);
	return v;
}

void virtio_destroy(struct virtio *v)
{
	if (!v)
		return;
	virtio_detach(v);
	pci_function_fini(&v->function);
	for (u32 i = 0; i < v->setup.queues; i++)
		if (v->queues[i].kick_fd >= 0)
			close(v->queues[i].kick_fd);
	loop_event_fini(&v->sync);
	free(v);
}

struct pci_function *virtio_function(struct virtio *v)
{
	return &v->function;
}
