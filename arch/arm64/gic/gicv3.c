/*
 * The GIC as a whole: making it, its inputs, and telling the CPUs.
 *
 * Arm IHI 0069H.
 */
#include "gic_priv.h"

#include "gic_regs.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

void gic_touch(struct gic_cpu *c)
{
	c->gic->touched[c->index / 64] |= BIT(c->index % 64);
}

void gic_touch_all(struct gic *g)
{
	for (u32 i = 0; i < g->setup.cpus; i++)
		gic_touch(&g->cpu[i]);
}

void gic_lock(struct gic *g)
{
	lock_take(&g->lock);
}

static void tell(struct gic_cpu *c)
{
	const struct gic_setup *s = &c->gic->setup;
	u32 out = icc_output(c);

	if (out == c->out)
		return;
	c->out = out;
	s->output(s->ctx, c->index, out);
}

void gic_unlock(struct gic *g)
{
	for (u32 w = 0; w < ARRAY_SIZE(g->touched); w++) {
		for (u64 m = g->touched[w]; m; m &= m - 1)
			tell(&g->cpu[w * 64 + (u32)__builtin_ctzll(m)]);
		g->touched[w] = 0;
	}
	lock_drop(&g->lock);
}

/* The first place in by_affinity whose CPU's is @affinity or more. */
static u32 affinity_place(const struct gic *g, u32 affinity, u32 nr)
{
	u32 lo = 0, hi = nr;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;

		if (g->cpu[g->by_affinity[mid]].affinity < affinity)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct gic_cpu *gic_cpu_at(struct gic *g, u32 affinity)
{
	u32 at = affinity_place(g, affinity, g->setup.cpus);
	struct gic_cpu *c;

	if (at == g->setup.cpus)
		return NULL;
	c = &g->cpu[g->by_affinity[at]];
	return c->affinity == affinity ? c : NULL;
}

struct irq_bank *gic_irq(struct gic *g, struct gic_cpu *c, u32 intid, u32 *bit)
{
	struct irq_bank *b = NULL;

	*bit = (u32)BIT(intid % 32);
	if (intid < GIC_PRIVATE)
		b = &c->bank;
	else if (intid < GIC_SPI_END)
		b = &g->spis.bank[(intid - GIC_SPI_FIRST) / 32];
	return b && (b->exists & *bit) ? b : NULL;
}

void gic_irq_changed(struct gic *g, struct gic_cpu *c, u32 intid)
{
	if (intid < GIC_PRIVATE)
		gic_touch(c);
	else
		spi_review(g, (intid - GIC_SPI_FIRST) / 32,
			   (u32)BIT(intid % 32));
}

static void wire(struct gic *g, struct gic_cpu *c, u32 intid, bool level)
{
	struct irq_bank *b;
	u32 bit;

	gic_lock(g);
	b = gic_irq(g, c, intid, &bit);
	if (b) {
		bank_line(b, bit, level);
		gic_irq_changed(g, c, intid);
	}
	gic_unlock(g);
}

void gic_spi_set(struct gic *g, u32 intid, bool level)
{
	if (intid >= GIC_SPI_FIRST)
		wire(g, NULL, intid, level);
}

void gic_ppi_set(struct gic *g, u32 cpu, u32 intid, bool level)
{
	if (cpu < g->setup.cpus && intid >= GIC_PPI_FIRST &&
	    intid < GIC_SPI_FIRST)
		wire(g, &g->cpu[cpu], intid, level);
}

static void line_set(void *ctx, u32 intid, bool level)
{
	gic_spi_set(ctx, intid, level);
}

struct irq_line gic_irq_line(struct gic *g, u32 intid)
{
	return (struct irq_line) { .set = line_set, .ctx = g, .intid = intid };
}

void *gicr_region(struct gic *g, u32 region)
{
	assert(region < GIC_GICR_REGIONS_MAX);
	return &g->region[region];
}

static bool numbers_ok(const struct gic_setup *s, struct err *e)
{
	if (!s->cpus || s->cpus > GIC_CPUS_MAX)
		err_set(e, -EINVAL, "GIC: %u CPUs: it takes 1 to %u", s->cpus,
			GIC_CPUS_MAX);
	else if (s->intid_limit < 64 || s->intid_limit > 1024 ||
		 s->intid_limit % 32)
		err_set(e, -EINVAL,
			"GIC: %u wired interrupts: they are 64, 96 .. 1024",
			s->intid_limit);
	else if (s->lpi_bits && (s->lpi_bits < 14 || s->lpi_bits > 16))
		err_set(e, -EINVAL, "GIC: LPIs of %u bits: they have 14 to 16",
			s->lpi_bits);
	else
		return true;
	return false;
}

/* Which CPUs are in which region. */
static bool fill_regions(struct gic *g, struct err *e)
{
	u64 first = 0;

	for (u32 r = 0; r < GIC_GICR_REGIONS_MAX; r++)
		first += g->setup.gicr_cpus[r];
	if (first != g->setup.cpus) {
		err_set(e, -EINVAL,
			"GIC: room for %" PRIu64 " redistributors, for %u CPUs",
			first, g->setup.cpus);
		return false;
	}
	first = 0;
	for (u32 r = 0; r < GIC_GICR_REGIONS_MAX; r++) {
		u32 n = g->setup.gicr_cpus[r];

		g->region[r] = (struct gicr_region) { g, (u32)first, n };
		first += n;
		if (n)
			g->cpu[first - 1].last = true;
	}
	return true;
}

static bool fill_affinities(struct gic *g, struct err *e)
{
	for (u32 i = 0; i < g->setup.cpus; i++) {
		u32 affinity = g->setup.affinity[i];
		u32 at = affinity_place(g, affinity, i);

		if (at < i && g->cpu[g->by_affinity[at]].affinity == affinity) {
			err_set(e, -EINVAL, "GIC: two CPUs of affinity %#x",
				affinity);
			return false;
		}
		for (u32 n = i; n > at; n--)
			g->by_affinity[n] = g->by_affinity[n - 1];
		g->by_affinity[at] = (u16)i;
		g->cpu[i].affinity = affinity;
	}
	g->setup.affinity = NULL;
	return true;
}

static bool fill_cpus(struct gic *g, struct err *e)
{
	bool ok = lpi_init(g);

	for (u32 i = 0; i < GIC_SPIS; i++)
		g->spis.place[i] = GIC_NOWHERE;
	for (u32 i = 0; ok && i < g->setup.cpus; i++) {
		g->cpu[i].gic = g;
		g->cpu[i].index = i;
		ok = spi_init(&g->cpu[i]);
	}
	if (!ok)
		err_set(e, -ENOMEM, "GIC: out of memory");
	return ok;
}

void gic_reset_locked(struct gic *g)
{
	spi_reset(g);
	lpi_reset(g);
	for (u32 i = 0; i < g->setup.cpus; i++) {
		gicr_reset(&g->cpu[i]);
		icc_reset(&g->cpu[i]);
	}
	gic_touch_all(g);
}

void gic_reset(struct gic *g)
{
	gic_lock(g);
	gic_reset_locked(g);
	gic_unlock(g);
}

struct gic *gic_create(const struct gic_setup *s, struct err *e)
{
	struct gic *g;

	if (!numbers_ok(s, e))
		return NULL;
	g = calloc(1, sizeof(*g) + s->cpus * sizeof(g->cpu[0]));
	if (!g) {
		err_set(e, -ENOMEM, "GIC: out of memory");
		return NULL;
	}
	g->lock = LOCK_INIT;
	g->setup = *s;
	g->faults.who = "gic";
	if (!fill_regions(g, e) || !fill_affinities(g, e) || !fill_cpus(g, e)) {
		gic_destroy(g);
		return NULL;
	}
	gic_reset(g);
	return g;
}

void gic_destroy(struct gic *g)
{
	if (!g)
		return;
	for (u32 i = 0; i < g->setup.cpus; i++)
		spi_fini(&g->cpu[i]);
	lpi_fini(g);
	free(g);
}

u64 gic_faults(const struct gic *g)
{
	return g->faults.count;
}
