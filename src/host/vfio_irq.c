/*
 * VFIO devices: their interrupts.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "vfio_call.h"

static const struct advice irq_advice[] = {
	{ EINVAL,
	  "the device has no such vectors, or interrupts of another kind are on" },
	{ ENOSPC, "the host has not so many vectors to give" },
	{ ENOMEM, "the host has no memory for its vectors" },
	{ 0 }
};

int vfio_get_irq(const struct vfio_device *d, u32 index, struct vfio_irq *q,
		 struct err *e)
{
	struct vfio_irq_info a = { .argsz = sizeof(a), .index = index };
	int err = kernel_ask(d->fd, VFIO_DEVICE_GET_IRQ_INFO, &a);

	if (err)
		return vfio_refused(d, err, NULL, "VFIO_DEVICE_GET_IRQ_INFO",
				    e);
	*q = (struct vfio_irq) {
		.count = a.count,
		.eventfd = a.flags & VFIO_IRQ_INFO_EVENTFD,
		.maskable = a.flags & VFIO_IRQ_INFO_MASKABLE,
		.automasked = a.flags & VFIO_IRQ_INFO_AUTOMASKED,
		.resizable = !(a.flags & VFIO_IRQ_INFO_NORESIZE),
	};
	return 0;
}

/* A positive result is how many vectors there would have been. */
static int set(const struct vfio_device *d, struct vfio_irq_set *a)
{
	int ret = kernel_ask(d->fd, VFIO_DEVICE_SET_IRQS, a);

	return ret > 0 ? -ENOSPC : ret;
}

static int set_fds(const struct vfio_device *d, u32 action, u32 index,
		   u32 first, const int *fds, u32 nr, struct err *e)
{
	union {
		struct vfio_irq_set h;
		u8 room[sizeof(struct vfio_irq_set) +
			sizeof(*fds) * VFIO_VECTORS_MAX];
	} a = {
		.h = {
			.argsz = (u32)(sizeof(a.h) + nr * sizeof(*fds)),
			.flags = VFIO_IRQ_SET_DATA_EVENTFD | action,
			.index = index,
			.start = first,
			.count = nr,
		},
	};
	int err;

	assert(nr && nr <= VFIO_VECTORS_MAX);
	memcpy(a.h.data, fds, nr * sizeof(*fds));
	err = set(d, &a.h);
	return err ? vfio_refused(d, err, irq_advice, "VFIO_DEVICE_SET_IRQS", e)
		   : 0;
}

int vfio_irq_trigger(const struct vfio_device *d, u32 index, u32 first,
		     const int *fds, u32 nr, struct err *e)
{
	return set_fds(d, VFIO_IRQ_SET_ACTION_TRIGGER, index, first, fds, nr,
		       e);
}

static int set_none(const struct vfio_device *d, u32 action, u32 index, u32 nr)
{
	struct vfio_irq_set a = {
		.argsz = sizeof(a),
		.flags = VFIO_IRQ_SET_DATA_NONE | action,
		.index = index,
		.count = nr,
	};

	return set(d, &a);
}

int vfio_irq_disable(const struct vfio_device *d, u32 index, struct err *e)
{
	int err = set_none(d, VFIO_IRQ_SET_ACTION_TRIGGER, index, 0);

	return err ? vfio_refused(d, err, NULL,
				  "VFIO_DEVICE_SET_IRQS: switching off", e)
		   : 0;
}

int vfio_intx_mask(const struct vfio_device *d)
{
	return set_none(d, VFIO_IRQ_SET_ACTION_MASK, VFIO_INTX, 1);
}

int vfio_intx_unmask(const struct vfio_device *d)
{
	return set_none(d, VFIO_IRQ_SET_ACTION_UNMASK, VFIO_INTX, 1);
}

int vfio_intx_unmask_by(const struct vfio_device *d, int fd, struct err *e)
{
	return set_fds(d, VFIO_IRQ_SET_ACTION_UNMASK, VFIO_INTX, 0, &fd, 1, e);
}
