/*
 * The distributor's registers: everything about SPIs.
 *
 * IHI 0069H, 12.8 and 12.9.
 */
#include "gic_priv.h"

#include "gic_regs.h"

static u64 ctlr_read(void *dev, u32 i)
{
	const struct gic *g = dev;

	return g->spis.ctlr | GICD_CTLR_ARE | GICD_CTLR_DS;
}

static void ctlr_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct gic *g = dev;

	g->spis.ctlr = (u32)reg_merge(g->spis.ctlr, val, mask) & GICD_CTLR_GRPS;
	gic_touch_all(g);
}

static u64 typer_read(void *dev, u32 i)
{
	const struct gic_setup *s = &((const struct gic *)dev)->setup;
	u32 intid_bits = s->lpi_bits ? s->lpi_bits : 10;

	return FIELD_PREP(GICD_TYPER_ITLINES, s->intid_limit / 32 - 1) |
	       FIELD_PREP(GICD_TYPER_IDBITS, intid_bits - 1) |
	       (s->lpi_bits ? GICD_TYPER_LPIS : 0) | GICD_TYPER_MBIS |
	       GICD_TYPER_A3V | GICD_TYPER_RSS;
}

static u64 iidr_read(void *dev, u32 i)
{
	return GIC_IIDR;
}

static u64 pidr2_read(void *dev, u32 i)
{
	return GIC_PIDR2;
}

static void message(struct gic *g, u64 val, bool set)
{
	u32 intid = (u32)FIELD_GET(GICD_SPI_INTID, val), bit;
	struct irq_bank *b;

	if (intid < GIC_SPI_FIRST)
		return;
	b = gic_irq(g, NULL, intid, &bit);
	if (!b)
		return;
	bank_message(b, bit, set);
	gic_irq_changed(g, NULL, intid);
}

static void setspi_write(void *dev, u32 i, u64 val, u64 mask)
{
	message(dev, val, true);
}

static void clrspi_write(void *dev, u32 i, u64 val, u64 mask)
{
	message(dev, val, false);
}

/*
 * In the registers of so many bits an interrupt, bank 0 is the redistributors';
 * here it is reserved. NULL there.
 */
static struct irq_bank *bank_of(struct gic *g, u32 i)
{
	return i ? &g->spis.bank[i - 1] : NULL;
}

static u64 bits_read(void *dev, u32 i)
{
	struct irq_bank *b = bank_of(dev, i % 32);

	return b ? bank_read(b, i / 32) : 0;
}

static void bits_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct irq_bank *b = bank_of(dev, i % 32);

	if (b)
		spi_review(dev, i % 32 - 1, bank_write(b, i / 32, (u32)val));
}

static u64 prio_read(void *dev, u32 i)
{
	struct gic *g = dev;

	return bank_of(g, i / 8) ? bank_prio_read(g->spis.prio + 4 * (i - 8))
				 : 0;
}

static void prio_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct gic *g = dev;
	struct irq_bank *b = bank_of(g, i / 8);
	u32 bits = 0xfu << i % 8 * 4;

	if (!b || !(b->exists & bits))
		return;
	for (u32 n = 0; n < 4; n++)
		spi_take_out(g, 4 * (i - 8) + n);
	bank_prio_write(g->spis.prio + 4 * (i - 8), (u32)val, (u32)mask);
	spi_review(g, i / 8 - 1, bits);
}

static u64 config_read(void *dev, u32 i)
{
	struct irq_bank *b = bank_of(dev, i / 2);

	return b ? bank_config_read(b, i % 2) : 0;
}

static void config_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct irq_bank *b = bank_of(dev, i / 2);

	if (!b)
		return;
	bank_config_write(b, i % 2, (u32)val);
	spi_review(dev, i / 2 - 1, b->exists);
}

static u64 route_read(void *dev, u32 i)
{
	const struct gic *g = dev;

	return g->spis.route[i];
}

static void route_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct gic *g = dev;
	u32 bit = (u32)BIT(i % 32);

	if (!(g->spis.bank[i / 32].exists & bit))
		return;
	g->spis.route[i] =
		reg_merge(g->spis.route[i], val, mask) & GICD_IROUTER_BITS;
	spi_review(g, i / 32, bit);
}

static const struct reg regs[] = {
	{ "GICD_CTLR", GICD_CTLR, 1, 4, REG_32, ctlr_read, ctlr_write },
	{ "GICD_TYPER", GICD_TYPER, 1, 4, REG_32, typer_read, NULL },
	{ "GICD_IIDR", GICD_IIDR, 1, 4, REG_32, iidr_read, NULL },
	{ "GICD_SETSPI_NSR", GICD_SETSPI_NSR, 1, 4, REG_16 | REG_32, NULL,
	  setspi_write },
	{ "GICD_CLRSPI_NSR", GICD_CLRSPI_NSR, 1, 4, REG_16 | REG_32, NULL,
	  clrspi_write },
	{ "GICD_IGROUPR and on", GICD_IGROUPR, BANK_REGS * 32, 4, REG_32,
	  bits_read, bits_write },
	{ "GICD_IPRIORITYR", GICD_IPRIORITYR, 255, 4, REG_8 | REG_32, prio_read,
	  prio_write },
	{ "GICD_ICFGR", GICD_ICFGR, 64, 4, REG_32, config_read, config_write },
	{ "GICD_IROUTER", GICD_IROUTER32, GIC_SPI_END - GIC_SPI_FIRST, 8,
	  REG_32 | REG_64, route_read, route_write },
	{ "GICD_PIDR2", GICD_PIDR2, 1, 4, REG_32, pidr2_read, NULL },
};

const struct regbank gicd_bank = { "the distributor", regs, ARRAY_SIZE(regs),
				   GICD_SIZE };

static u64 dist_read(void *dev, u64 off, u32 size)
{
	struct gic *g = dev;
	u64 val;

	gic_lock(g);
	val = regbank_read(&gicd_bank, g, off, size, &g->faults);
	gic_unlock(g);
	return val;
}

static void dist_write(void *dev, u64 off, u32 size, u64 val)
{
	struct gic *g = dev;

	gic_lock(g);
	regbank_write(&gicd_bank, g, off, size, val, &g->faults);
	gic_unlock(g);
}

const struct mmio_ops gicd_mmio = { dist_read, dist_write };
