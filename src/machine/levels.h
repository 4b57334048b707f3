/*
 * The wires of lent functions' pins: SPIs, each an event of the loop's that
 * raises it, which fall when the guest has ended them. What is under way when a
 * wire is dropped still raises it: the guest then finds nothing to do, and ends
 * it.
 */
#ifndef BELFRY_LEVELS_H
#define BELFRY_LEVELS_H

#include <belfry/gic.h>
#include <belfry/irq.h>
#include <belfry/kvm.h>
#include <belfry/loop.h>

struct levels;

/* @gic: ours, NULL: KVM's is it. All are borrowed. NULL only if memory is
 * short. */
struct levels *levels_create(struct kvm *k, struct gic *gic, struct loop *l);
/* Nobody has a pin any more, no vCPU runs, and the loop is gone. */
void levels_destroy(struct levels *l);

/* On SPIs INTID_INTX to INTID_INTX + INTX_WIRES - 1. Valid while @l lives. */
struct irq_pins levels_pins(struct levels *l);

/* For gic_setup: is it one of these? Then it has fallen. */
bool levels_ended(struct levels *l, u32 intid);

#endif
