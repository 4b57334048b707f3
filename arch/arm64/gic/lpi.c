/*
 * LPIs: their configuration, and which are pending where.
 *
 * Both are in tables that the guest keeps in its memory. They are read when a
 * redistributor enables LPIs, and configuration again when the guest says it
 * has changed; what counts is what was read. Pending LPIs go back to the table
 * when LPIs are disabled.
 *
 * IHI 0069H, 5.1.
 */
#include "gic_priv.h"

#include "gic_regs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Both tables begin with INTIDs below GIC_LPI_FIRST; that of configuration
 * leaves them out. */
#define PENDING_SKIP (GIC_LPI_FIRST / 8)

bool lpi_init(struct gic *g)
{
	if (!g->setup.lpi_bits)
		return true;
	g->lpis = (u32)BIT(g->setup.lpi_bits) - GIC_LPI_FIRST;
	g->lpi_prio = malloc(2 * g->lpis);
	if (!g->lpi_prio)
		return false;
	g->lpi_scratch = g->lpi_prio + g->lpis;
	for (u32 i = 0; i < g->setup.cpus; i++)
		if (prioset_init(&g->cpu[i].lpi, g->lpi_prio, g->lpis))
			return false;
	return true;
}

void lpi_fini(struct gic *g)
{
	for (u32 i = 0; i < g->setup.cpus; i++)
		prioset_fini(&g->cpu[i].lpi);
	free(g->lpi_prio);
}

void lpi_reset(struct gic *g)
{
	if (!g->lpis)
		return;
	g->lpi_table = 0;
	g->lpi_table_len = 0;
	memset(g->lpi_prio, PRIO_NEVER, g->lpis);
	for (u32 i = 0; i < g->setup.cpus; i++) {
		g->cpu[i].lpis = 0;
		prioset_clear(&g->cpu[i].lpi);
	}
}

static u8 prio_of(u8 config)
{
	return config & LPI_CONFIG_ENABLE ? config & GIC_PRIO_MASK : PRIO_NEVER;
}

/* What cannot be read is disabled. */
static void read_config(struct gic *g, u32 first, u32 nr)
{
	if (!dma_read(&g->setup.dma, g->lpi_table + first, g->lpi_scratch, nr))
		return;
	guest_fault(&g->faults,
		    "no memory for the LPI configuration table at %#" PRIx64,
		    g->lpi_table);
	memset(g->lpi_scratch, 0, nr);
}

static void configure_one(struct gic *g, u32 lpi)
{
	u8 prio;

	if (lpi >= g->lpi_table_len)
		return;
	read_config(g, lpi, 1);
	prio = prio_of(g->lpi_scratch[0]);
	if (prio == g->lpi_prio[lpi])
		return;
	g->lpi_prio[lpi] = prio;
	for (u32 i = 0; i < g->setup.cpus; i++) {
		struct gic_cpu *c = &g->cpu[i];

		if (!prioset_has(&c->lpi, lpi))
			continue;
		prioset_review(&c->lpi, lpi);
		gic_touch(c);
	}
}

static void configure_all(struct gic *g)
{
	bool changed = false;

	read_config(g, 0, g->lpi_table_len);
	for (u32 i = 0; i < g->lpi_table_len; i++) {
		u8 prio = prio_of(g->lpi_scratch[i]);

		changed |= prio != g->lpi_prio[i];
		g->lpi_prio[i] = prio;
	}
	if (!changed)
		return;
	for (u32 i = 0; i < g->setup.cpus; i++)
		prioset_review_all(&g->cpu[i].lpi);
	gic_touch_all(g);
}

static u64 pending_table(const struct gic_cpu *c)
{
	return (c->pendbaser & GICR_PENDBASER_PA) + PENDING_SKIP;
}

static void load_pending(struct gic_cpu *c)
{
	u64 *member = c->lpi.member;
	u32 len = c->lpis / 8;

	if (dma_read(&c->gic->setup.dma, pending_table(c), member, len)) {
		guest_fault(&c->gic->faults,
			    "no memory for the LPI pending table at %#" PRIx64,
			    pending_table(c));
		memset(member, 0, len);
	}
	for (u32 i = 0; i < c->lpis / 64; i++)
		member[i] = le64toh(member[i]);
	prioset_review_all(&c->lpi);
}

static void store_pending(struct gic_cpu *c)
{
	u64 *member = c->lpi.member;

	for (u32 i = 0; i < c->lpis / 64; i++)
		member[i] = htole64(member[i]);
	if (dma_write(&c->gic->setup.dma, pending_table(c), member,
		      c->lpis / 8))
		guest_fault(&c->gic->faults,
			    "no memory for the LPI pending table at %#" PRIx64,
			    pending_table(c));
}

u32 lpi_count(const struct gic_cpu *c)
{
	u32 bits = (u32)FIELD_GET(GICR_PROPBASER_IDBITS, c->propbaser) + 1;

	bits = MIN(bits, c->gic->setup.lpi_bits);
	return bits < 14 ? 0 : (u32)BIT(bits) - GIC_LPI_FIRST;
}

void lpi_enable(struct gic_cpu *c)
{
	struct gic *g = c->gic;

	c->lpis = lpi_count(c);
	g->lpi_table = c->propbaser & GICR_PROPBASER_PA;
	g->lpi_table_len = c->lpis;
	configure_all(g);
	if (!(c->pendbaser & GICR_PENDBASER_PTZ))
		load_pending(c);
	/* It was a promise for this once. */
	c->pendbaser &= ~GICR_PENDBASER_PTZ;
}

void lpi_disable(struct gic_cpu *c)
{
	store_pending(c);
	prioset_clear(&c->lpi);
	c->lpis = 0;
}

void lpi_inv(struct gic_cpu *c, u32 intid)
{
	if (c->lpis && intid >= GIC_LPI_FIRST)
		configure_one(c->gic, intid - GIC_LPI_FIRST);
}

void lpi_inv_all(struct gic_cpu *c)
{
	if (c->lpis)
		configure_all(c->gic);
}

static bool takes(const struct gic_cpu *c, u32 intid)
{
	return intid >= GIC_LPI_FIRST && intid - GIC_LPI_FIRST < c->lpis;
}

static bool set(struct gic_cpu *c, u32 intid)
{
	if (!takes(c, intid))
		return false;
	prioset_put(&c->lpi, intid - GIC_LPI_FIRST);
	gic_touch(c);
	return true;
}

/* Was it pending? */
static bool clear(struct gic_cpu *c, u32 intid)
{
	if (!takes(c, intid) || !prioset_has(&c->lpi, intid - GIC_LPI_FIRST))
		return false;
	prioset_drop(&c->lpi, intid - GIC_LPI_FIRST);
	gic_touch(c);
	return true;
}

bool gic_lpi_set(struct gic *g, u32 cpu, u32 intid)
{
	bool taken;

	gic_lock(g);
	taken = set(&g->cpu[cpu], intid);
	gic_unlock(g);
	return taken;
}

void gic_lpi_clear(struct gic *g, u32 cpu, u32 intid)
{
	gic_lock(g);
	clear(&g->cpu[cpu], intid);
	gic_unlock(g);
}

void gic_lpi_move(struct gic *g, u32 from, u32 to, u32 intid)
{
	gic_lock(g);
	if (clear(&g->cpu[from], intid))
		set(&g->cpu[to], intid);
	gic_unlock(g);
}

static void move_all(struct gic_cpu *from, struct gic_cpu *to)
{
	prioset_move_all(&from->lpi, &to->lpi, to->lpis);
	gic_touch(from);
	gic_touch(to);
}

void gic_lpi_move_all(struct gic *g, u32 from, u32 to)
{
	gic_lock(g);
	if (from != to && g->cpu[from].lpis)
		move_all(&g->cpu[from], &g->cpu[to]);
	gic_unlock(g);
}

void gic_lpi_inv(struct gic *g, u32 intid)
{
	gic_lock(g);
	if (intid >= GIC_LPI_FIRST)
		configure_one(g, intid - GIC_LPI_FIRST);
	gic_unlock(g);
}

void gic_lpi_inv_all(struct gic *g)
{
	gic_lock(g);
	configure_all(g);
	gic_unlock(g);
}
