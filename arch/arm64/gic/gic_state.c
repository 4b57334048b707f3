/*
 * A GIC as data, and back.
 *
 * What is loaded is cut to what registers can hold; if what is then saved is
 * not what was given, it was no state of such a GIC.
 */
#include "gic_priv.h"

#include "gic_regs.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* There is no big-endian host; fields are copied as they are. */
static_assert(__BYTE_ORDER == __LITTLE_ENDIAN, "state is little endian");
static_assert(sizeof(struct gic_bank_state) == 28, "no holes");
static_assert(sizeof(struct gic_cpu_state) == 120, "no holes");
static_assert(sizeof(struct gic_state) == 9832, "no holes");

static size_t state_size(u32 cpus, u32 lpis)
{
	return sizeof(struct gic_state) + cpus * sizeof(struct gic_cpu_state) +
	       lpis + cpus * (lpis / 64) * sizeof(u64);
}

size_t gic_state_size(const struct gic *g)
{
	return state_size(g->setup.cpus, g->lpis);
}

/* The parts behind the first. */
static struct gic_cpu_state *cpu_states(void *state)
{
	return (struct gic_cpu_state *)((struct gic_state *)state + 1);
}

static u8 *lpi_prios(const struct gic *g, void *state)
{
	return (u8 *)(cpu_states(state) + g->setup.cpus);
}

static u8 *lpi_pending(const struct gic *g, void *state, u32 cpu)
{
	return lpi_prios(g, state) + g->lpis + cpu * (g->lpis / 8);
}

static struct gic_bank_state bank_save(const struct irq_bank *b)
{
	return (struct gic_bank_state) {
		.group = b->group,
		.enabled = b->enabled,
		.latch = b->latch,
		.line = b->line,
		.held = b->held,
		.active = b->active,
		.edge = b->edge,
	};
}

/* @fixed are edge-triggered for ever. */
static void bank_load(struct irq_bank *b, const struct gic_bank_state *s,
		      u32 fixed)
{
	u32 exists = b->exists;

	*b = (struct irq_bank) {
		.exists = exists,
		.group = s->group & exists,
		.enabled = s->enabled & exists,
		.latch = s->latch & exists,
		.line = s->line & exists,
		.held = s->held & exists,
		.active = s->active & exists,
		.edge = (s->edge & exists) | fixed,
	};
}

static void cpu_save(const struct gic_cpu *c, struct gic_cpu_state *s)
{
	const struct icc *icc = &c->icc;

	*s = (struct gic_cpu_state) {
		.propbaser = c->propbaser,
		.pendbaser = c->pendbaser,
		.ctlr = c->ctlr,
		.asleep = c->asleep,
		.bank = bank_save(&c->bank),
		.pmr = icc->pmr,
		.icc_ctlr = icc->ctlr,
		.bpr = { icc->bpr[0], icc->bpr[1] },
		.igrpen = { icc->on[0], icc->on[1] },
		.apr = { icc->apr[0], icc->apr[1] },
	};
	memcpy(s->prio, c->prio, sizeof(s->prio));
}

static void prio_load(u8 *to, const u8 *from, u32 nr)
{
	for (u32 i = 0; i < nr; i++)
		to[i] = from[i] & GIC_PRIO_MASK;
}

static void cpu_load(struct gic_cpu *c, const struct gic_cpu_state *s)
{
	bool lpis = c->gic->lpis;
	u64 pendbaser = GICR_PENDBASER_BITS | GICR_PENDBASER_PTZ;

	c->propbaser = lpis ? s->propbaser & GICR_PROPBASER_BITS : 0;
	c->pendbaser = lpis ? s->pendbaser & pendbaser : 0;
	c->ctlr = s->ctlr & (GICR_CTLR_DPGS | (lpis ? GICR_CTLR_LPIS : 0));
	c->asleep = s->asleep & 1;
	bank_load(&c->bank, &s->bank, 0xffff);
	prio_load(c->prio, s->prio, GIC_PRIVATE);
	icc_load(&c->icc, s);
	c->lpis = c->ctlr & GICR_CTLR_LPIS ? lpi_count(c) : 0;
}

static void lpis_save(const struct gic *g, void *to)
{
	memcpy(lpi_prios(g, to), g->lpi_prio, g->lpis);
	for (u32 i = 0; i < g->setup.cpus; i++)
		memcpy(lpi_pending(g, to, i), g->cpu[i].lpi.member,
		       g->lpis / 8);
}

/* A redistributor has none pending that it does not take. */
static void lpis_load(struct gic *g, void *from)
{
	const u8 *prio = lpi_prios(g, from);

	for (u32 i = 0; i < g->lpis; i++)
		g->lpi_prio[i] = prio[i] == PRIO_NEVER
					 ? PRIO_NEVER
					 : prio[i] & GIC_PRIO_MASK;
	for (u32 i = 0; i < g->setup.cpus; i++) {
		struct gic_cpu *c = &g->cpu[i];

		memcpy(c->lpi.member, lpi_pending(g, from, i), c->lpis / 8);
		prioset_review_all(&c->lpi);
	}
}

static void save(const struct gic *g, void *to)
{
	const struct spis *spis = &g->spis;
	struct gic_state *s = to;

	*s = (struct gic_state) {
		.version = GIC_STATE_VERSION,
		.cpus = g->setup.cpus,
		.intid_limit = g->setup.intid_limit,
		.lpi_bits = g->setup.lpi_bits,
		.ctlr = spis->ctlr,
		.lpi_table_len = g->lpi_table_len,
		.lpi_table = g->lpi_table,
	};
	for (u32 i = 0; i < GIC_BANKS; i++)
		s->bank[i] = bank_save(&spis->bank[i]);
	memcpy(s->route, spis->route, sizeof(s->route));
	memcpy(s->prio, spis->prio, sizeof(s->prio));
	for (u32 i = 0; i < g->setup.cpus; i++)
		cpu_save(&g->cpu[i], &cpu_states(to)[i]);
	if (g->lpis)
		lpis_save(g, to);
}

static void spis_load(struct gic *g, const struct gic_state *s)
{
	struct spis *spis = &g->spis;

	spis->ctlr = s->ctlr & GICD_CTLR_GRPS;
	for (u32 i = 0; i < GIC_BANKS; i++)
		bank_load(&spis->bank[i], &s->bank[i], 0);
	for (u32 i = 0; i < GIC_SPIS; i++) {
		bool there = spis->bank[i / 32].exists >> i % 32 & 1;

		spis->route[i] = there ? s->route[i] & GICD_IROUTER_BITS : 0;
		spis->prio[i] = there ? s->prio[i] & GIC_PRIO_MASK : 0;
	}
}

/* After a reset, so no SPI is in a set yet, and all CPUs are looked at. */
static void load(struct gic *g, void *from)
{
	const struct gic_state *s = from;

	spis_load(g, s);
	g->lpi_table = s->lpi_table & GICR_PROPBASER_PA;
	g->lpi_table_len = MIN(s->lpi_table_len, g->lpis);
	for (u32 i = 0; i < g->setup.cpus; i++)
		cpu_load(&g->cpu[i], &cpu_states(from)[i]);
	if (g->lpis)
		lpis_load(g, from);
	for (u32 i = 0; i < GIC_BANKS; i++)
		spi_review(g, i, g->spis.bank[i].exists);
}

void gic_save(struct gic *g, void *to)
{
	gic_lock(g);
	save(g, to);
	gic_unlock(g);
}

/* @given is our copy, and @back as large. */
static bool try_load(struct gic *g, void *given, void *back, size_t size)
{
	gic_reset_locked(g);
	load(g, given);
	save(g, back);
	return !memcmp(given, back, size);
}

int gic_restore(struct gic *g, const void *from, size_t len, struct err *e)
{
	size_t size = gic_state_size(g);
	u8 *given = calloc(3, size), *back = given + size, *old = back + size;
	bool ok = len == size;

	if (!given)
		return err_set(e, -ENOMEM, "GIC: out of memory");
	memcpy(given, from, MIN(len, size));
	gic_lock(g);
	save(g, old);
	if (ok && !try_load(g, given, back, size)) {
		gic_reset_locked(g);
		load(g, old);
		ok = false;
	}
	gic_unlock(g);
	free(given);
	return ok ? 0
		  : err_set(e, -EINVAL,
			    "GIC: what was saved is no state of this one");
}
