/*
 * The guest's SMMUs: in front of devices that the host lends, and of emulated
 * ones if the configuration says so.
 */
#ifndef BELFRY_SMMUS_H
#define BELFRY_SMMUS_H

#include <belfry/gmem.h>
#include <belfry/irq.h>
#include <belfry/loop.h>
#include <belfry/mmio.h>
#include <belfry/plan.h>
#include <belfry/smmu.h>

#include "irqchip.h"
#include "lent.h"

struct smmus;

struct smmus_setup {
	const struct plan *plan;
	struct lent *lent; /* NULL: nothing is */
	struct gmem *mem;
	struct irqchip *irqchip;
	struct mmio_bus *bus;
	struct loop *loop;
};

/* As many as the plan has, on the bus, with their streams. What *@s points to
 * is borrowed. NULL and a message on failure. */
struct smmus *smmus_create(const struct smmus_setup *s, struct err *e);
/* The loop is gone. */
void smmus_destroy(struct smmus *s);

/* As at power-on. No vCPU runs, and devices have been reset. */
void smmus_reset(struct smmus *s);

/* What the emulated device at @bdf reaches, and its messages, if that is
 * through one of these SMMUs: @dma and @msi become that. */
void smmus_front(struct smmus *s, u32 bdf, struct dma *dma,
		 struct msi_sink *msi);

/* Of all. */
struct smmu_counters smmus_counters(struct smmus *s);

#endif
