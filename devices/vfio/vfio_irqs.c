/*
 * A function's MSI-X vectors. The kernel is asked for one when the guest first
 * writes an address into its entry, which drivers do before they let the device
 * interrupt; from then on the doorbell keeps the physical entry as the guest
 * wants it, and what it sends comes to the vector's line.
 */
#include "vfio_priv.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* --- lines --- */

/* The physical message has been through all translation when it comes to the
 * line, and it was for the ITS: that is all its address is good for. */
static int aim(void *ctx, struct msi_line *l, u32 devid, u64 addr, u32 data)
{
	struct vfio_irqs *q = ctx;

	(void)addr;
	return q->msi.aim(q->msi.ctx, l, devid, q->bell.translater, data);
}

static void rest(void *ctx, struct msi_line *l)
{
	struct vfio_irqs *q = ctx;

	q->msi.rest(q->msi.ctx, l);
}

static int open_line(void *ctx, struct msi_line *l, struct err *e)
{
	struct vfio_irqs *q = ctx;

	return q->msi.open(q->msi.ctx, l, e);
}

static void close_line(void *ctx, struct msi_line *l)
{
	struct vfio_irqs *q = ctx;

	q->msi.close(q->msi.ctx, l);
}

struct msi_sink vfio_irqs_sink(struct vfio_irqs *q)
{
	return (struct msi_sink) {
		.open = open_line,
		.close = close_line,
		.aim = aim,
		.rest = rest,
		.ctx = q,
	};
}

/* --- vectors --- */

/* @kept: the entry of vector @v took what was written. */
static void look_at(struct vfio_irqs *q, u32 v, bool kept)
{
	if (!kept)
		guest_fault(
			&q->refused,
			"vector %u: the device does not keep the address 0x%llx in its MSI-X table",
			v, (unsigned long long)q->vectors[v].wanted);
}

/* What the hardware is to do with vector @v; while it sleeps it is only noted.
 */
static void set(struct vfio_irqs *q, u32 v, bool open, u64 addr)
{
	struct doorbell_vector *d = &q->vectors[v];

	if (q->asleep) {
		d->open = open;
		d->wanted = addr;
		return;
	}
	look_at(q, v, doorbell_set(&q->bell, d, open, addr));
}

/* The kernel has just written its own message there. */
static void again(struct vfio_irqs *q, u32 v)
{
	look_at(q, v, doorbell_again(&q->bell, &q->vectors[v]));
}

/* It has just been armed. What is wanted of it is known. */
static void look(struct vfio_irqs *q, u32 v)
{
	struct doorbell_vector *d = &q->vectors[v];

	if (!doorbell_armed(&q->bell, d))
		guest_fault(
			&q->refused,
			"vector %u: the host maps its ITS at 0x%llx, the guest's is at 0x%llx: no message can arrive",
			v, (unsigned long long)d->kernel,
			(unsigned long long)q->bell.translater);
	again(q, v);
}

static int trigger(struct vfio_irqs *q, u32 v, struct err *e)
{
	int fds[VFIO_VECTORS_MAX];

	if (q->any || q->resizable)
		return vfio_irq_trigger(q->dev, VFIO_MSIX, v, &q->fds[v], 1, e);
	/* Room for all must be had with the first. */
	for (u32 i = 0; i < q->nr; i++)
		fds[i] = i == v ? q->fds[v] : -1;
	return vfio_irq_trigger(q->dev, VFIO_MSIX, 0, fds, q->nr, e);
}

static void arm(struct vfio_irqs *q, u32 v)
{
	struct err e;

	if (trigger(q, v, &e)) {
		guest_fault(&q->refused, "vector %u: %s", v, e.msg);
		return;
	}
	q->any = true;
	look(q, v);
}

bool vfio_irqs_vector(struct vfio_irqs *q, u32 v, int fd, bool open, u64 addr)
{
	bool masks = q->vectors[v].entry;

	lock_take(&q->lock);
	q->fds[v] = fd;
	set(q, v, open, addr);
	if (q->on && addr && !q->asleep && !q->vectors[v].armed)
		arm(q, v);
	lock_drop(&q->lock);
	return masks;
}

/* If they are off. The kernel masks each in the device first, so that must not
 * sleep; one that does not wake is the kernel's to wake, when it is closed. */
static void disarm(struct vfio_irqs *q)
{
	struct err e;

	if (q->on || !q->any || q->asleep)
		return;
	if (vfio_irq_disable(q->dev, VFIO_MSIX, &e))
		guest_fault(&q->refused, "%s", e.msg);
	for (u32 i = 0; i < q->nr; i++)
		doorbell_disarmed(&q->vectors[i]);
	q->any = false;
}

void vfio_irqs_enable(struct vfio_irqs *q, bool on)
{
	lock_take(&q->lock);
	q->on = on;
	disarm(q);
	lock_drop(&q->lock);
}

/* Without a table to mask in, what came meanwhile is in the lines. */
static u64 held(const struct vfio_irqs *q, u32 first)
{
	u64 bits = 0;

	for (u32 i = first; i < MIN(first + 64, q->nr); i++) {
		struct pollfd p = { .fd = q->fds[i], .events = POLLIN };

		if (q->vectors[i].armed && !q->vectors[i].open &&
		    poll(&p, 1, 0) == 1)
			bits |= BIT(i - first);
	}
	return bits;
}

u64 vfio_irqs_pending(struct vfio_irqs *q, u32 first)
{
	u64 bits = 0;

	lock_take(&q->lock);
	if (!q->vectors[first].entry)
		bits = held(q, first);
	else if (!q->asleep &&
		 vfio_read(q->dev, q->pba, q->pba_at + first / 8, 8, &bits))
		bits = 0;
	lock_drop(&q->lock);
	return bits;
}

void vfio_irqs_sleep(struct vfio_irqs *q, bool asleep)
{
	lock_take(&q->lock);
	q->asleep = asleep;
	disarm(q);
	for (u32 i = 0; !asleep && i < q->nr; i++) {
		struct doorbell_vector *d = &q->vectors[i];

		if (q->on && d->wanted && !d->armed)
			arm(q, i);
		again(q, i);
	}
	lock_drop(&q->lock);
}

/* --- the whole --- */

/*
 * Have the kernel arm a vector, once, to see where it maps the ITS: only it
 * knows. Nothing of the guest's is on the device yet.
 */
static int try(struct vfio_irqs *q, bool *ours, struct err *e)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int err;

	if (fd < 0)
		return err_set(e, -errno, "eventfd: %s", strerror(errno));
	err = vfio_irq_trigger(q->dev, VFIO_MSIX, 0, &fd, 1, e);
	if (!err) {
		*ours = doorbell_armed(&q->bell, &q->vectors[0]);
		doorbell_disarmed(&q->vectors[0]);
		err = vfio_irq_disable(q->dev, VFIO_MSIX, e);
	}
	close(fd);
	return err;
}

static int settle_mode(struct vfio_irqs *q, const struct vfio_pci_setup *s,
		       struct err *e)
{
	bool ours = false;
	const char *why =
		"its MSI-X table shares a page with other devices and cannot be mapped";

	if (q->bell.mode != DOORBELL_MODE_DIRECT)
		return 0;
	if (q->vectors[0].entry) {
		if (try(q, &ours, e))
			return e->code;
		why = "the host maps its ITS elsewhere than at the start of its MSI window";
	}
	q->bell.strays = 0;
	if (ours)
		return 0;
	if (s->strict)
		return err_set(
			e, -ENOTSUP,
			"doorbell \"direct\" cannot be had for it: %s; \"auto\" takes what can",
			why);
	q->bell.mode = DOORBELL_MODE_RMR;
	return 0;
}

int vfio_irqs_init(struct vfio_irqs *q, const struct vfio_pci_setup *s, u32 nr,
		   volatile u8 *table, const struct vfio_region *pba,
		   u64 pba_at, struct err *e)
{
	struct vfio_irq have;
	int err;

	*q = (struct vfio_irqs) {
		.dev = s->dev,
		.name = s->name,
		.msi = s->msi,
		.lock = LOCK_INIT,
		.bell = { .mode = s->mode, .translater = s->translater },
		.nr = nr,
		.pba = pba,
		.pba_at = pba_at,
		.refused = { .who = s->name },
	};
	err = vfio_get_irq(s->dev, VFIO_MSIX, &have, e);
	if (err)
		return err;
	if (have.count < nr)
		return err_set(e, -ENOTSUP,
			       "the host's VFIO offers %u of its %u vectors",
			       have.count, nr);
	q->resizable = have.resizable;
	q->vectors = calloc(nr, sizeof(*q->vectors));
	q->fds = calloc(nr, sizeof(*q->fds));
	if (!q->vectors || !q->fds)
		return err_set(e, -ENOMEM, "out of memory");
	for (u32 i = 0; i < nr; i++) {
		q->fds[i] = -1;
		if (table)
			q->vectors[i].entry =
				table + (size_t)i * DOORBELL_ENTRY;
	}
	return settle_mode(q, s, e);
}

void vfio_irqs_fini(struct vfio_irqs *q)
{
	free(q->vectors);
	free(q->fds);
	q->vectors = NULL;
	q->fds = NULL;
	q->nr = 0;
}
