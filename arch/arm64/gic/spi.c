/*
 * Which CPU an SPI goes to.
 *
 * An SPI that is ready stands in one CPU's set, so that a CPU finds what is for
 * it without looking at what is not. One that is for 1 of N stands with the CPU
 * chosen when it became ready; it stays there unless that one stops taking
 * part.
 *
 * IHI 0069H, chapter 3.
 */
#include "gic_priv.h"

#include "gic_regs.h"

static u16 place_of(const struct gic_cpu *c, u32 group)
{
	return (u16)(2 * c->index + group);
}

static struct gic_cpu *cpu_of(struct gic *g, u16 place)
{
	return &g->cpu[place / 2];
}

bool spi_init(struct gic_cpu *c)
{
	const u8 *prio = c->gic->spis.prio;

	return !prioset_init(&c->spi[0], prio, GIC_SPIS) &&
	       !prioset_init(&c->spi[1], prio, GIC_SPIS);
}

void spi_fini(struct gic_cpu *c)
{
	prioset_fini(&c->spi[0]);
	prioset_fini(&c->spi[1]);
}

/* The next that is at leisure, or else the next that takes part. */
static struct gic_cpu *choose(struct gic *g, u32 group)
{
	struct gic_cpu *second = NULL;

	for (u32 n = 0; n < g->setup.cpus; n++) {
		u32 i = (g->spis.rotor + n) % g->setup.cpus;
		struct gic_cpu *c = &g->cpu[i];

		if (!icc_takes_any(c, group))
			continue;
		if (icc_idle(c)) {
			g->spis.rotor = i + 1;
			return c;
		}
		second = second ? second : c;
	}
	return second;
}

static struct gic_cpu *target(struct gic *g, u32 spi, u32 group)
{
	u64 route = g->spis.route[spi],
	    aff3 = FIELD_GET(GICD_IROUTER_AFF3, route);
	u16 place = g->spis.place[spi];

	if (!(route & GICD_IROUTER_ANY))
		return gic_cpu_at(g, (u32)(aff3 << 24 |
					   (route & GICD_IROUTER_AFF)));
	if (place != GIC_NOWHERE && icc_takes_any(cpu_of(g, place), group))
		return cpu_of(g, place);
	return choose(g, group);
}

void spi_take_out(struct gic *g, u32 spi)
{
	u16 *place = &g->spis.place[spi];

	if (*place == GIC_NOWHERE)
		return;
	prioset_drop(&cpu_of(g, *place)->spi[*place & 1], spi);
	gic_touch(cpu_of(g, *place));
	*place = GIC_NOWHERE;
}

static void put_in(struct gic *g, u32 spi, struct gic_cpu *c, u32 group)
{
	g->spis.place[spi] = place_of(c, group);
	prioset_put(&c->spi[group], spi);
	gic_touch(c);
}

static void review(struct gic *g, u32 spi, bool ready, u32 group)
{
	struct gic_cpu *c = ready ? target(g, spi, group) : NULL;
	u16 place = c ? place_of(c, group) : GIC_NOWHERE;

	if (place == g->spis.place[spi])
		return;
	spi_take_out(g, spi);
	if (c)
		put_in(g, spi, c, group);
}

void spi_review(struct gic *g, u32 bank, u32 bits)
{
	const struct irq_bank *b = &g->spis.bank[bank];
	u32 ready = bank_ready(b);

	for (; bits; bits &= bits - 1) {
		u32 i = (u32)__builtin_ctz(bits);

		review(g, bank * 32 + i, ready >> i & 1, b->group >> i & 1);
	}
}

static u32 any_of(const struct gic *g, u32 bank)
{
	const u64 *route = g->spis.route + bank * 32;
	u32 ready = bank_ready(&g->spis.bank[bank]), any = 0;

	for (; ready; ready &= ready - 1)
		if (route[__builtin_ctz(ready)] & GICD_IROUTER_ANY)
			any |= ready & -ready;
	return any;
}

void spi_review_any(struct gic *g)
{
	for (u32 i = 0; i < GIC_BANKS; i++)
		spi_review(g, i, any_of(g, i));
}

/* 988 SPIs fill all banks but a few bits of the last. */
static u32 existing(const struct gic *g, u32 bank)
{
	u32 first = GIC_SPI_FIRST + bank * 32;

	if (first >= g->setup.intid_limit)
		return 0;
	return first + 32 > GIC_SPI_END ? (u32)BIT(GIC_SPI_END - first) - 1
					: ~0u;
}

void spi_reset(struct gic *g)
{
	struct spis *s = &g->spis;

	s->ctlr = 0;
	s->rotor = 0;
	for (u32 i = 0; i < GIC_SPIS; i++) {
		spi_take_out(g, i);
		s->prio[i] = 0;
		s->route[i] = 0;
	}
	for (u32 i = 0; i < GIC_BANKS; i++)
		s->bank[i] = (struct irq_bank) { .exists = existing(g, i),
						 .group = existing(g, i),
						 .line = s->bank[i].line };
}
