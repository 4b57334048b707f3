#include "levels.h"

#include <belfry/memmap.h>

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* All pins that are on it signal one eventfd and are unmasked by the other:
 * nobody knows which of them raised it. */
struct wire {
	struct irq_line line;
	struct loop_event raise;
	int ended; /* -1: it is not there */
};

struct levels {
	struct kvm *kvm;
	struct gic *gic;
	struct loop *loop;
	/* Does not change while the guest runs. */
	struct wire wire[INTX_WIRES];
};

struct levels *levels_create(struct kvm *k, struct gic *gic, struct loop *loop)
{
	struct levels *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->kvm = k;
	l->gic = gic;
	l->loop = loop;
	for (u32 i = 0; i < INTX_WIRES; i++)
		l->wire[i].raise.fd = l->wire[i].ended = -1;
	return l;
}

void levels_destroy(struct levels *l)
{
	if (!l)
		return;
	for (u32 i = 0; i < INTX_WIRES; i++) {
		loop_event_fini(&l->wire[i].raise);
		if (l->wire[i].ended >= 0)
			close(l->wire[i].ended);
	}
	free(l);
}

static void raised(void *ctx)
{
	struct wire *w = ctx;

	irq_line_set(&w->line, true);
}

bool levels_ended(struct levels *l, u32 intid)
{
	u32 i = intid - INTID_INTX;
	u64 one = 1;

	if (i >= INTX_WIRES || l->wire[i].ended < 0)
		return false;
	/* Can fail only at 2^64 - 1 that nobody has seen. */
	return write(l->wire[i].ended, &one, sizeof(one)) > 0;
}

static void drop(void *ctx, u32 intid)
{
	struct levels *l = ctx;

	irq_line_set(&l->wire[intid - INTID_INTX].line, false);
	levels_ended(l, intid);
}

static int make(struct levels *l, struct wire *w, u32 intid, struct err *e)
{
	int err;

	w->line = l->gic ? gic_irq_line(l->gic, intid)
			 : kvm_irq_line(l->kvm, intid);
	w->ended = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->ended < 0)
		return err_set(e, -errno, "eventfd: %s", strerror(errno));
	err = loop_event_init(&w->raise, l->loop, raised, w, e);
	return err || l->gic ? err : kvm_irq_ended(l->kvm, intid, w->ended, e);
}

static int open_pin(void *ctx, u32 intid, struct irq_pin *pin, struct err *e)
{
	struct levels *l = ctx;
	struct wire *w = &l->wire[intid - INTID_INTX];
	int err = 0;

	assert(intid - INTID_INTX < INTX_WIRES);
	if (w->ended < 0)
		err = make(l, w, intid, e);
	*pin = (struct irq_pin) {
		.raise = w->raise.fd,
		.ended = w->ended,
		.intid = intid,
		.drop = drop,
		.ctx = l,
	};
	return err;
}

struct irq_pins levels_pins(struct levels *l)
{
	return (struct irq_pins) { .open = open_pin, .ctx = l };
}
