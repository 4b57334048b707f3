/*
 * The CPU interfaces: which interrupt is taken next, and the registers to take
 * it and be done with it.
 *
 * A priority is cut to its group priority by the binary point of its group;
 * an interrupt is signalled if it is above the mask and its group priority
 * above all that are active. Active group priorities are bits of ICC_AP0R0 and
 * ICC_AP1R0, most urgent lowest. LPIs are never active, but their priorities
 * are.
 *
 * IHI 0069H, 4.8 and 12.2.
 */
#include "gic_priv.h"

#include "gic_regs.h"

#define IDLE_PRIORITY 0xff
/* With five bits of priority the point is to the right of them, not lower. */
#define BPR0_MIN (GIC_PRIO_SHIFT - 1)
#define BPR1_MIN GIC_PRIO_SHIFT

/* The most urgent of those pending that may be signalled. */
struct pick {
	u32 intid;
	u8 prio;
	u32 group;
};

static void consider(struct pick *p, u32 intid, u8 prio, u32 group)
{
	if (prio < p->prio || (prio == p->prio && intid < p->intid))
		*p = (struct pick) { intid, prio, group };
}

static void consider_private(struct pick *p, const struct gic_cpu *c,
			     u32 groups)
{
	const struct irq_bank *b = &c->bank;
	u32 m = bank_ready(b);

	if (!(groups & GICD_CTLR_GRP0))
		m &= b->group;
	if (!(groups & GICD_CTLR_GRP1))
		m &= ~b->group;
	for (; m; m &= m - 1) {
		u32 i = (u32)__builtin_ctz(m);

		consider(p, i, c->prio[i], b->group >> i & 1);
	}
}

static void consider_set(struct pick *p, const struct prioset *s, u32 first,
			 u32 group)
{
	u32 id = 0;
	u8 prio = prioset_best(s, &id);

	if (prio != PRIO_NEVER)
		consider(p, first + id, prio, group);
}

/* @groups as in GICD_CTLR. */
static struct pick pick(const struct gic_cpu *c, u32 groups)
{
	struct pick p = { GIC_SPURIOUS, IDLE_PRIORITY, 0 };

	consider_private(&p, c, groups);
	if (groups & GICD_CTLR_GRP0)
		consider_set(&p, &c->spi[0], GIC_SPI_FIRST, 0);
	if (!(groups & GICD_CTLR_GRP1))
		return p;
	consider_set(&p, &c->spi[1], GIC_SPI_FIRST, 1);
	if (c->lpis)
		consider_set(&p, &c->lpi, GIC_LPI_FIRST, 1);
	return p;
}

static u32 groups_on(const struct gic_cpu *c)
{
	u32 on = (c->icc.on[0] ? GICD_CTLR_GRP0 : 0) |
		 (c->icc.on[1] ? GICD_CTLR_GRP1 : 0);

	return c->asleep ? 0 : on & c->gic->spis.ctlr;
}

/* ICC_BPR1 when it is only a view of ICC_BPR0. */
static u32 common_bpr1(const struct icc *icc)
{
	return MIN(icc->bpr[0] + 1, 7);
}

static u8 group_priority(const struct icc *icc, u8 prio, u32 group)
{
	u32 point = group && !(icc->ctlr & ICC_CTLR_CBPR) ? icc->bpr[1]
							  : icc->bpr[0] + 1u;

	return (u8)(prio & 0xff << point);
}

static u8 running_priority(const struct icc *icc)
{
	u32 active = icc->apr[0] | icc->apr[1];

	if (!active)
		return IDLE_PRIORITY;
	return (u8)(__builtin_ctz(active) << GIC_PRIO_SHIFT);
}

static bool signalled(const struct icc *icc, const struct pick *p)
{
	return p->prio < icc->pmr &&
	       group_priority(icc, p->prio, p->group) < running_priority(icc);
}

u32 icc_output(const struct gic_cpu *c)
{
	struct pick p;

	if (c->asleep) {
		p = pick(c, c->gic->spis.ctlr);
		return p.intid == GIC_SPURIOUS ? 0 : GIC_OUT_WAKE;
	}
	p = pick(c, groups_on(c));
	if (!signalled(&c->icc, &p))
		return 0;
	return p.group ? GIC_OUT_IRQ : GIC_OUT_FIQ;
}

bool icc_takes_any(const struct gic_cpu *c, u32 group)
{
	return !c->asleep && c->icc.on[group] &&
	       !(c->ctlr & (group ? GICR_CTLR_DPG1 : GICR_CTLR_DPG0));
}

bool icc_idle(const struct gic_cpu *c)
{
	return !(c->icc.apr[0] | c->icc.apr[1]) &&
	       pick(c, groups_on(c)).intid == GIC_SPURIOUS;
}

static void activate(struct gic_cpu *c, u32 intid)
{
	u32 bit;
	struct irq_bank *b = gic_irq(c->gic, c, intid, &bit);

	if (!b) {
		prioset_drop(&c->lpi, intid - GIC_LPI_FIRST);
		return;
	}
	b->latch &= ~bit;
	b->active |= bit;
	gic_irq_changed(c->gic, c, intid);
}

static u64 acknowledge(struct gic_cpu *c, u32 group)
{
	struct icc *icc = &c->icc;
	struct pick p = pick(c, groups_on(c));

	if (p.group != group || !signalled(icc, &p))
		return GIC_SPURIOUS;
	icc->apr[group] |=
		(u32)BIT(group_priority(icc, p.prio, group) >> GIC_PRIO_SHIFT);
	activate(c, p.intid);
	gic_touch(c);
	return p.intid;
}

/* Before a CPU looks at it again. */
static bool falls(const struct gic *g, const struct irq_bank *b, u32 bit,
		  u32 intid)
{
	return g->setup.ended && intid >= GIC_SPI_FIRST &&
	       b->line & b->active & bit && g->setup.ended(g->setup.ctx, intid);
}

static void deactivate(struct gic_cpu *c, u32 intid)
{
	u32 bit;
	struct irq_bank *b = gic_irq(c->gic, c, intid, &bit);

	if (!b)
		return;
	if (falls(c->gic, b, bit, intid))
		bank_line(b, bit, false);
	b->active &= ~bit;
	gic_irq_changed(c->gic, c, intid);
}

/*
 * The priority dropped is the most urgent active one. If that is of the other
 * group, or if there is none, the guest has lost count and nothing happens.
 */
static void end(struct gic_cpu *c, u32 group, u64 val)
{
	u32 intid = (u32)FIELD_GET(ICC_INTID, val);
	struct icc *icc = &c->icc;
	u32 mine = icc->apr[group], other = icc->apr[!group];
	u32 lowest = mine & -mine;

	if ((intid >= GIC_SPI_END && intid < GIC_LPI_FIRST) || !mine ||
	    (other & (lowest - 1)) || (group && (other & lowest)))
		return;
	icc->apr[group] = mine & ~lowest;
	if (!(icc->ctlr & ICC_CTLR_EOIMODE))
		deactivate(c, intid);
	gic_touch(c);
}

static u64 highest(const struct gic_cpu *c, u32 group)
{
	struct pick p = pick(c, groups_on(c));

	return p.group == group ? p.intid : GIC_SPURIOUS;
}

static u64 iar0_read(struct gic_cpu *c)
{
	return acknowledge(c, 0);
}

static u64 iar1_read(struct gic_cpu *c)
{
	return acknowledge(c, 1);
}

static void eoir0_write(struct gic_cpu *c, u64 val)
{
	end(c, 0, val);
}

static void eoir1_write(struct gic_cpu *c, u64 val)
{
	end(c, 1, val);
}

static u64 hppir0_read(struct gic_cpu *c)
{
	return highest(c, 0);
}

static u64 hppir1_read(struct gic_cpu *c)
{
	return highest(c, 1);
}

/* Without EOImode, ICC_EOIR has done it already. */
static void dir_write(struct gic_cpu *c, u64 val)
{
	if (c->icc.ctlr & ICC_CTLR_EOIMODE)
		deactivate(c, (u32)FIELD_GET(ICC_INTID, val));
}

static u64 rpr_read(struct gic_cpu *c)
{
	return running_priority(&c->icc);
}

static u64 pmr_read(struct gic_cpu *c)
{
	return c->icc.pmr;
}

static void pmr_write(struct gic_cpu *c, u64 val)
{
	c->icc.pmr = val & GIC_PRIO_MASK;
	gic_touch(c);
}

static u64 bpr0_read(struct gic_cpu *c)
{
	return c->icc.bpr[0];
}

static void bpr0_write(struct gic_cpu *c, u64 val)
{
	c->icc.bpr[0] = (u8)MAX(val & ICC_BPR_BITS, BPR0_MIN);
	gic_touch(c);
}

static u64 bpr1_read(struct gic_cpu *c)
{
	const struct icc *icc = &c->icc;

	return icc->ctlr & ICC_CTLR_CBPR ? common_bpr1(icc) : icc->bpr[1];
}

static void bpr1_write(struct gic_cpu *c, u64 val)
{
	if (c->icc.ctlr & ICC_CTLR_CBPR)
		return;
	c->icc.bpr[1] = (u8)MAX(val & ICC_BPR_BITS, BPR1_MIN);
	gic_touch(c);
}

static u64 ap0r0_read(struct gic_cpu *c)
{
	return c->icc.apr[0];
}

static void ap0r0_write(struct gic_cpu *c, u64 val)
{
	c->icc.apr[0] = (u32)val;
	gic_touch(c);
}

static u64 ap1r0_read(struct gic_cpu *c)
{
	return c->icc.apr[1];
}

static void ap1r0_write(struct gic_cpu *c, u64 val)
{
	c->icc.apr[1] = (u32)val;
	gic_touch(c);
}

/* INTIDs of 16 bits: ICC_CTLR_EL1.IDbits is 0. */
static u64 ctlr_read(struct gic_cpu *c)
{
	return c->icc.ctlr |
	       FIELD_PREP(ICC_CTLR_PRIBITS, 8 - GIC_PRIO_SHIFT - 1) |
	       ICC_CTLR_A3V | ICC_CTLR_RSS;
}

static void ctlr_write(struct gic_cpu *c, u64 val)
{
	c->icc.ctlr = (u32)(val & ICC_CTLR_BITS);
	gic_touch(c);
}

static u64 sre_read(struct gic_cpu *c)
{
	return ICC_SRE_VALUE;
}

static void sre_write(struct gic_cpu *c, u64 val)
{
}

static void turn(struct gic_cpu *c, u32 group, bool on)
{
	if (c->icc.on[group] == on)
		return;
	c->icc.on[group] = on;
	spi_review_any(c->gic);
	gic_touch(c);
}

static u64 igrpen0_read(struct gic_cpu *c)
{
	return c->icc.on[0];
}

static void igrpen0_write(struct gic_cpu *c, u64 val)
{
	turn(c, 0, val & 1);
}

static u64 igrpen1_read(struct gic_cpu *c)
{
	return c->icc.on[1];
}

static void igrpen1_write(struct gic_cpu *c, u64 val)
{
	turn(c, 1, val & 1);
}

static void sgi1r_write(struct gic_cpu *c, u64 val)
{
	sgi_send(c, val, true);
}

/* With one security state ICC_ASGI1R_EL1 has no other side to talk to, and
 * is another ICC_SGI0R_EL1. */
static void sgi0r_write(struct gic_cpu *c, u64 val)
{
	sgi_send(c, val, false);
}

static const struct icc_reg {
	u32 reg;
	u64 (*read)(struct gic_cpu *c);
	void (*write)(struct gic_cpu *c, u64 val);
} regs[] = {
	{ ICC_PMR_EL1, pmr_read, pmr_write },
	{ ICC_IAR0_EL1, iar0_read, NULL },
	{ ICC_EOIR0_EL1, NULL, eoir0_write },
	{ ICC_HPPIR0_EL1, hppir0_read, NULL },
	{ ICC_BPR0_EL1, bpr0_read, bpr0_write },
	{ ICC_AP0R0_EL1, ap0r0_read, ap0r0_write },
	{ ICC_AP1R0_EL1, ap1r0_read, ap1r0_write },
	{ ICC_DIR_EL1, NULL, dir_write },
	{ ICC_RPR_EL1, rpr_read, NULL },
	{ ICC_SGI1R_EL1, NULL, sgi1r_write },
	{ ICC_ASGI1R_EL1, NULL, sgi0r_write },
	{ ICC_SGI0R_EL1, NULL, sgi0r_write },
	{ ICC_IAR1_EL1, iar1_read, NULL },
	{ ICC_EOIR1_EL1, NULL, eoir1_write },
	{ ICC_HPPIR1_EL1, hppir1_read, NULL },
	{ ICC_BPR1_EL1, bpr1_read, bpr1_write },
	{ ICC_CTLR_EL1, ctlr_read, ctlr_write },
	{ ICC_SRE_EL1, sre_read, sre_write },
	{ ICC_IGRPEN0_EL1, igrpen0_read, igrpen0_write },
	{ ICC_IGRPEN1_EL1, igrpen1_read, igrpen1_write },
};

static const struct icc_reg *find(u32 reg)
{
	for (size_t i = 0; i < ARRAY_SIZE(regs); i++)
		if (regs[i].reg == reg)
			return &regs[i];
	return NULL;
}

bool gic_sysreg_read(struct gic *g, u32 cpu, u32 reg, u64 *val)
{
	const struct icc_reg *r = find(reg);

	if (!r || !r->read)
		return false;
	gic_lock(g);
	*val = r->read(&g->cpu[cpu]);
	gic_unlock(g);
	return true;
}

bool gic_sysreg_write(struct gic *g, u32 cpu, u32 reg, u64 val)
{
	const struct icc_reg *r = find(reg);

	if (!r || !r->write)
		return false;
	gic_lock(g);
	r->write(&g->cpu[cpu], val);
	gic_unlock(g);
	return true;
}

void icc_reset(struct gic_cpu *c)
{
	c->icc = (struct icc) { .bpr = { BPR0_MIN, BPR1_MIN } };
}

void icc_load(struct icc *icc, const struct gic_cpu_state *s)
{
	*icc = (struct icc) {
		.pmr = s->pmr & GIC_PRIO_MASK,
		.ctlr = (u32)(s->icc_ctlr & ICC_CTLR_BITS),
		.bpr = { (u8)MAX(s->bpr[0] & ICC_BPR_BITS, BPR0_MIN),
			 (u8)MAX(s->bpr[1] & ICC_BPR_BITS, BPR1_MIN) },
		.on = { s->igrpen[0] & 1, s->igrpen[1] & 1 },
		.apr = { s->apr[0], s->apr[1] },
	};
}
