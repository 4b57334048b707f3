/*
 * The guest's devices on PCI, as one thing to make, reset and take down.
 */
#ifndef BELFRY_DEVICES_H
#define BELFRY_DEVICES_H

#include <belfry/chars.h>
#include <belfry/machine.h>
#include <belfry/mmio.h>
#include <belfry/plan.h>
#include <belfry/virtio.h>
#include <belfry/window.h>

#include "lent.h"
#include "smmus.h"

struct devices_setup {
	struct plan *plan;    /* borrowed; drives are open */
	struct mmio_bus *bus; /* borrowed */
	struct virtio_caps caps;
	struct chars_wire hvc; /* what hvc0 is made with, if there is one */
	struct smmus *smmus;   /* NULL: there are none */
	struct lent *lent;     /* NULL: nothing is */
	struct irq_pins pins;  /* for those */
	struct windows windows;
};

struct devices;

/* All that the plan names, on a bus. NULL and a message on failure, nothing
 * left behind. */
struct devices *devices_create(const struct devices_setup *s, struct err *e);
/* After the vCPU threads and the loop have ended. */
void devices_destroy(struct devices *d);

/* The other end of hvc0's wire, if there is one. */
bool devices_hvc(struct devices *d, struct chars_port *port);

/*
 * Everything as at power-on, no vCPU running. The loop's thread; @done is
 * called on it once no device touches guest memory any more, perhaps at once.
 */
void devices_reset(struct devices *d, void (*done)(void *ctx), void *ctx);

/* What drivers did wrong, so far. */
u64 devices_faults(const struct devices *d);

/* What became of device vfio[@i]; vectors are the caller's to free. And all of
 * them as lines of the log. */
struct machine_vfio devices_vfio(const struct devices *d, u32 i);
void devices_log_vfio(const struct devices *d);

/* What devices lost, so far; and a line of the log for each that did. The
 * loop's thread. */
struct machine_losses devices_losses(const struct devices *d);
void devices_log_losses(const struct devices *d);

#endif
