/*
 * The redistributors' registers: a CPU's private interrupts, its sleep, and
 * where the tables of LPIs are.
 *
 * IHI 0069H, 12.10 and 12.11.
 */
#include "gic_priv.h"

#include "gic_regs.h"

#include <inttypes.h>

static u64 ctlr_read(void *dev, u32 i)
{
	const struct gic_cpu *c = dev;

	return c->ctlr | (c->gic->lpis ? GICR_CTLR_CES | GICR_CTLR_IR : 0);
}

static void ctlr_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct gic_cpu *c = dev;
	u32 may = GICR_CTLR_DPGS | (c->gic->lpis ? GICR_CTLR_LPIS : 0);
	u32 old = c->ctlr;

	c->ctlr = (u32)reg_merge(old, val, mask) & may;
	if (c->ctlr & ~old & GICR_CTLR_LPIS)
		lpi_enable(c);
	else if (old & ~c->ctlr & GICR_CTLR_LPIS)
		lpi_disable(c);
	if ((old ^ c->ctlr) & GICR_CTLR_DPGS)
		spi_review_any(c->gic);
	gic_touch(c);
}

static u64 iidr_read(void *dev, u32 i)
{
	return GIC_IIDR;
}

static u64 pidr2_read(void *dev, u32 i)
{
	return GIC_PIDR2;
}

static u64 typer_read(void *dev, u32 i)
{
	const struct gic_cpu *c = dev;

	return FIELD_PREP(GICR_TYPER_AFF, c->affinity) |
	       FIELD_PREP(GICR_TYPER_CPU, c->index) | GICR_TYPER_DPGS |
	       (c->last ? GICR_TYPER_LAST : 0) |
	       (c->gic->lpis ? GICR_TYPER_PLPIS : 0);
}

static u64 waker_read(void *dev, u32 i)
{
	const struct gic_cpu *c = dev;

	return c->asleep
		       ? GICR_WAKER_PROCESSOR_SLEEP | GICR_WAKER_CHILDREN_ASLEEP
		       : 0;
}

static void waker_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct gic_cpu *c = dev;

	c->asleep = val & GICR_WAKER_PROCESSOR_SLEEP;
	spi_review_any(c->gic);
	gic_touch(c);
}

/* 5.1: where the tables are does not change while they are in use. */
static void set_table(const struct gic_cpu *c, u64 *reg, u64 bits, u64 val,
		      u64 mask)
{
	if (c->gic->lpis && !(c->ctlr & GICR_CTLR_LPIS))
		*reg = reg_merge(*reg, val, mask) & bits;
}

static u64 propbaser_read(void *dev, u32 i)
{
	return ((const struct gic_cpu *)dev)->propbaser;
}

static void propbaser_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct gic_cpu *c = dev;

	set_table(c, &c->propbaser, GICR_PROPBASER_BITS, val, mask);
}

/* PTZ reads as zero, but says something when LPIs are enabled. */
static u64 pendbaser_read(void *dev, u32 i)
{
	return ((const struct gic_cpu *)dev)->pendbaser & GICR_PENDBASER_BITS;
}

static void pendbaser_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct gic_cpu *c = dev;

	set_table(c, &c->pendbaser, GICR_PENDBASER_BITS | GICR_PENDBASER_PTZ,
		  val, mask);
}

static void invlpir_write(void *dev, u32 i, u64 val, u64 mask)
{
	if (mask & GICR_INVLPIR_INTID)
		lpi_inv(dev, (u32)FIELD_GET(GICR_INVLPIR_INTID, val));
}

static void invallr_write(void *dev, u32 i, u64 val, u64 mask)
{
	lpi_inv_all(dev);
}

/* Of each block of 32 words only the first is there. */
static u64 bits_read(void *dev, u32 i)
{
	const struct gic_cpu *c = dev;

	return i % 32 ? 0 : bank_read(&c->bank, i / 32);
}

static void bits_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct gic_cpu *c = dev;

	if (i % 32)
		return;
	bank_write(&c->bank, i / 32, (u32)val);
	gic_touch(c);
}

static u64 prio_read(void *dev, u32 i)
{
	const struct gic_cpu *c = dev;

	return bank_prio_read(c->prio + 4 * i);
}

static void prio_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct gic_cpu *c = dev;

	bank_prio_write(c->prio + 4 * i, (u32)val, (u32)mask);
	gic_touch(c);
}

static u64 config_read(void *dev, u32 i)
{
	return bank_config_read(&((const struct gic_cpu *)dev)->bank, i);
}

/* SGIs are edge-triggered for ever. */
static void config_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct gic_cpu *c = dev;

	if (i == 0)
		return;
	bank_config_write(&c->bank, i, (u32)val);
	gic_touch(c);
}

static const struct reg regs[] = {
	{ "GICR_CTLR", GICR_CTLR, 1, 4, REG_32, ctlr_read, ctlr_write },
	{ "GICR_IIDR", GICR_IIDR, 1, 4, REG_32, iidr_read, NULL },
	{ "GICR_TYPER", GICR_TYPER, 1, 8, REG_32 | REG_64, typer_read, NULL },
	{ "GICR_WAKER", GICR_WAKER, 1, 4, REG_32, waker_read, waker_write },
	{ "GICR_PROPBASER", GICR_PROPBASER, 1, 8, REG_32 | REG_64,
	  propbaser_read, propbaser_write },
	{ "GICR_PENDBASER", GICR_PENDBASER, 1, 8, REG_32 | REG_64,
	  pendbaser_read, pendbaser_write },
	{ "GICR_INVLPIR", GICR_INVLPIR, 1, 8, REG_32 | REG_64, NULL,
	  invlpir_write },
	{ "GICR_INVALLR", GICR_INVALLR, 1, 8, REG_32 | REG_64, NULL,
	  invallr_write },
	/* Nothing is ever under way. */
	{ "GICR_SYNCR", GICR_SYNCR, 1, 4, REG_32, NULL, NULL },
	{ "GICR_PIDR2", GICR_PIDR2, 1, 4, REG_32, pidr2_read, NULL },
	{ "GICR_IGROUPR0 and on", GICR_IGROUPR0, BANK_REGS * 32, 4, REG_32,
	  bits_read, bits_write },
	{ "GICR_IPRIORITYR", GICR_IPRIORITYR, 8, 4, REG_8 | REG_32, prio_read,
	  prio_write },
	{ "GICR_ICFGR0", GICR_ICFGR0, 2, 4, REG_32, config_read, config_write },
};

const struct regbank gicr_bank = { "a redistributor", regs, ARRAY_SIZE(regs),
				   GICR_SIZE };

/* The CPU whose frames are at *@off of the region, *@off within them. */
static struct gic_cpu *cpu_at(const struct gicr_region *r, u64 *off)
{
	u64 i = *off / GICR_SIZE;

	*off %= GICR_SIZE;
	if (i < r->cpus)
		return &r->gic->cpu[r->first + i];
	guest_fault(&r->gic->faults, "no redistributor has number %" PRIu64, i);
	return NULL;
}

static u64 redist_read(void *dev, u64 off, u32 size)
{
	struct gic *g = ((struct gicr_region *)dev)->gic;
	struct gic_cpu *c = cpu_at(dev, &off);
	u64 val;

	if (!c)
		return 0;
	gic_lock(g);
	val = regbank_read(&gicr_bank, c, off, size, &g->faults);
	gic_unlock(g);
	return val;
}

static void redist_write(void *dev, u64 off, u32 size, u64 val)
{
	struct gic *g = ((struct gicr_region *)dev)->gic;
	struct gic_cpu *c = cpu_at(dev, &off);

	if (!c)
		return;
	gic_lock(g);
	regbank_write(&gicr_bank, c, off, size, val, &g->faults);
	gic_unlock(g);
}

const struct mmio_ops gicr_mmio = { redist_read, redist_write };

/* PPIs are level-sensitive until a guest says otherwise. */
void gicr_reset(struct gic_cpu *c)
{
	c->asleep = true;
	c->ctlr = 0;
	c->propbaser = 0;
	c->pendbaser = 0;
	c->bank = (struct irq_bank) { .exists = ~0u,
				      .group = ~0u,
				      .edge = 0xffff,
				      .line = c->bank.line };
	for (u32 i = 0; i < GIC_PRIVATE; i++)
		c->prio[i] = 0;
}
