/*
 * The guest's interrupt controller, whoever's it is: KVM's, KVM's with an ITS
 * of ours in front of it, or all ours. To the rest of the machine they look the
 * same: lines, pins and messages.
 */
#ifndef BELFRY_IRQCHIP_H
#define BELFRY_IRQCHIP_H

#include <belfry/config.h>
#include <belfry/gmem.h>
#include <belfry/irq.h>
#include <belfry/kvm.h>
#include <belfry/loop.h>
#include <belfry/memmap.h>
#include <belfry/mmio.h>

#include "vcpus.h"

struct irqchip;

/* Nothing yet but what KVM is to be told of it. All are borrowed, @mem may
 * still be empty. NULL only if memory is short. */
struct irqchip *irqchip_create(const struct config *cfg,
			       const struct memmap *map, struct gmem *mem);
void irqchip_destroy(struct irqchip *c);

/* Fill in what of @s is about it, before kvm_create. */
void irqchip_setup(struct irqchip *c, struct kvm_setup *s);

/* There is a VM, with memory: put what is ours on the bus. All borrowed;
 * @hidden_its is where the map's is, if it has one, in ours. -errno and a
 * message. */
MUST_CHECK int irqchip_start(struct irqchip *c, struct kvm *k,
			     struct mmio_bus *bus, struct loop *l,
			     void *hidden_its, struct err *e);
/* For vcpus_setup. */
bool irqchip_sysreg(void *irqchip, u32 cpu, u32 reg, bool write, u64 *val);
/* There are vCPU threads, which it may have to stop or wake. */
void irqchip_run(struct irqchip *c, struct vcpus *v);

/* What the guest did wrong with what is ours of it. */
u64 irqchip_faults(const struct irqchip *c);

/* As at power-on, after kvm_reset. */
void irqchip_reset(struct irqchip *c);

struct irq_line irqchip_line(struct irqchip *c, u32 intid);
struct msi_sink irqchip_msi(struct irqchip *c);
struct irq_pins irqchip_pins(struct irqchip *c);

#endif
