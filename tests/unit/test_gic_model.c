/*
 * GICv3 against a model of it that keeps every interrupt in a structure of its
 * own and looks at all of them for each question: long sequences of random
 * accesses and inputs, after each of which both have to say the same.
 */
#include "unit.h"

#include "fakes/gic_world.h"

#include <string.h>

#define CPUS  4
#define LIMIT 96
/* LPIs that are used: the first and the last of those there are. */
#define LPIS     80
#define LPI_BITS 14

static u64 seed;

static u32 dice(u32 sides)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(seed >> 33) % sides;
}

static bool coin(void)
{
	return dice(2);
}

/* Asked so often that Check's own, which writes down each, would take most of
 * the time. */
#define SAME(a, b)                                                   \
	do {                                                         \
		u64 a_ = (a), b_ = (b);                              \
		if (a_ != b_)                                        \
			ck_abort_msg("%s is %#llx, %s is %#llx", #a, \
				     (unsigned long long)a_, #b,     \
				     (unsigned long long)b_);        \
	} while (0)

/* --- the model --------------------------------------------------------- */

struct irq {
	bool group1, enabled, latch, wire, held, active, edge;
	u32 prio;
	u64 route;
};

struct cpu {
	struct irq irq[32];
	bool lpi[LPIS]; /* while they are off: in the table */
	bool lpis_on, asleep, on[2];
	u32 pmr, bpr[2];
	bool common, split;
	bool running[2][256]; /* by group priority */
};

struct model {
	struct irq spi[LIMIT]; /* by INTID */
	struct cpu cpu[CPUS];
	bool group_on[2];
	u8 config[LPIS]; /* as the GIC has read it */
};

static u32 lpi_intid(u32 i)
{
	return i < LPIS / 2 ? 8192 + i : 16384 - LPIS + i;
}

static u32 lpi_index(u32 intid)
{
	return intid < 8192 + LPIS / 2 ? intid - 8192 : intid + LPIS - 16384;
}

static struct irq *irq_of(struct model *m, u32 cpu, u32 intid)
{
	return intid < 32 ? &m->cpu[cpu].irq[intid] : &m->spi[intid];
}

static bool is_pending(const struct irq *q)
{
	return q->latch || (!q->edge && (q->wire || q->held));
}

/* Is there such an interrupt for this CPU, if it is of an enabled group? */
static bool waits(struct model *m, u32 cpu, u32 intid, u32 *prio, u32 *group)
{
	struct cpu *c = &m->cpu[cpu];
	struct irq *q;

	if (intid >= 8192) {
		u8 config = m->config[lpi_index(intid)];

		*prio = config & 0xf8;
		*group = 1;
		return c->lpis_on && c->lpi[lpi_index(intid)] && (config & 1);
	}
	q = irq_of(m, cpu, intid);
	*prio = q->prio;
	*group = q->group1;
	return q->enabled && !q->active && is_pending(q) &&
	       (intid < 32 || q->route == world_affinity(cpu));
}

struct winner {
	u32 intid, prio, group;
};

static void compete(struct model *m, u32 cpu, u32 intid, bool asleep,
		    struct winner *best)
{
	u32 prio, group;

	if (!waits(m, cpu, intid, &prio, &group) || !m->group_on[group] ||
	    (!asleep && !m->cpu[cpu].on[group]))
		return;
	if (best->intid == SPURIOUS || prio < best->prio)
		*best = (struct winner) { intid, prio, group };
}

static struct winner most_urgent(struct model *m, u32 cpu, bool asleep)
{
	struct winner best = { SPURIOUS, 0x100, 9 };

	for (u32 i = 0; i < LIMIT; i++)
		compete(m, cpu, i, asleep, &best);
	for (u32 i = 0; i < LPIS; i++)
		compete(m, cpu, lpi_intid(i), asleep, &best);
	return best;
}

/* The table of 4.8, row by row: how many low bits are subpriority. */
static u32 group_prio(const struct cpu *c, u32 prio, u32 group)
{
	u32 bits = group == 1 && !c->common ? c->bpr[1] : c->bpr[0] + 1;

	return prio / (1u << bits) * (1u << bits);
}

static u32 running(const struct cpu *c, u32 *group)
{
	for (u32 prio = 0; prio < 256; prio++)
		for (*group = 0; *group < 2; ++*group)
			if (c->running[*group][prio])
				return prio;
	return 0xff;
}

static bool interrupts(struct model *m, u32 cpu, struct winner *best)
{
	struct cpu *c = &m->cpu[cpu];
	u32 group;

	if (c->asleep)
		return false;
	*best = most_urgent(m, cpu, false);
	return best->intid != SPURIOUS && best->prio < c->pmr &&
	       group_prio(c, best->prio, best->group) < running(c, &group);
}

static u32 m_output(struct model *m, u32 cpu)
{
	struct winner best;

	if (m->cpu[cpu].asleep)
		return most_urgent(m, cpu, true).intid == SPURIOUS
			       ? 0
			       : GIC_OUT_WAKE;
	if (!interrupts(m, cpu, &best))
		return 0;
	return best.group ? GIC_OUT_IRQ : GIC_OUT_FIQ;
}

static u32 m_acknowledge(struct model *m, u32 cpu, u32 group)
{
	struct cpu *c = &m->cpu[cpu];
	struct winner best;
	struct irq *q;

	if (!interrupts(m, cpu, &best) || best.group != group)
		return SPURIOUS;
	c->running[group][group_prio(c, best.prio, group)] = true;
	if (best.intid >= 8192) {
		c->lpi[lpi_index(best.intid)] = false;
		return best.intid;
	}
	q = irq_of(m, cpu, best.intid);
	q->active = true;
	q->latch = false;
	return best.intid;
}

static void m_end(struct model *m, u32 cpu, u32 group, u32 intid)
{
	struct cpu *c = &m->cpu[cpu];
	u32 which, prio = running(c, &which);

	if (prio == 0xff || which != group || intid == SPURIOUS)
		return;
	c->running[group][prio] = false;
	if (!c->split && intid < LIMIT)
		irq_of(m, cpu, intid)->active = false;
}

static void m_reset(struct model *m)
{
	memset(m, 0, sizeof(*m));
	for (u32 i = 32; i < LIMIT; i++)
		m->spi[i].group1 = true;
	for (u32 c = 0; c < CPUS; c++) {
		m->cpu[c].asleep = true;
		m->cpu[c].bpr[0] = 2;
		m->cpu[c].bpr[1] = 3;
		for (u32 i = 0; i < 32; i++) {
			m->cpu[c].irq[i].group1 = true;
			m->cpu[c].irq[i].edge = i < 16;
		}
	}
}

/* --- both at once ------------------------------------------------------ */

struct pair {
	struct gic_world w;
	struct model m;
	u32 taken[CPUS]; /* the INTID last acknowledged */
};

/* The word of a block of bits that holds an interrupt: read, write. */
static u32 bits(struct pair *p, u32 block, u32 cpu, u32 intid)
{
	return intid < 32 ? (u32)gicr(&p->w, cpu, R_SGI + block)
			  : (u32)gicd(&p->w, block + intid / 32 * 4);
}

static void set_bits(struct pair *p, u32 block, u32 cpu, u32 intid, u32 val)
{
	if (intid < 32)
		gicr_set(&p->w, cpu, R_SGI + block, val);
	else
		gicd_set(&p->w, block + intid / 32 * 4, val);
}

static void do_bits(struct pair *p)
{
	static const u32 blocks[] = { D_ISENABLER, D_ISENABLER, D_ISENABLER,
				      D_ICENABLER, D_ISPENDR,   D_ICPENDR,
				      D_ISACTIVER, D_ICACTIVER };
	u32 block = blocks[dice(ARRAY_SIZE(blocks))], cpu = dice(CPUS);
	u32 first = dice(LIMIT / 32) * 32, val = 1u << dice(32);

	val |= coin() ? 1u << dice(32) : 0;
	set_bits(p, block, cpu, first, val);
	for (u32 i = 0; i < 32; i++) {
		struct irq *q = irq_of(&p->m, cpu, first + i);

		if (!(val >> i & 1))
			continue;
		if (block == D_ISENABLER || block == D_ICENABLER)
			q->enabled = block == D_ISENABLER;
		else if (block == D_ISPENDR || block == D_ICPENDR)
			q->latch = block == D_ISPENDR;
		else
			q->active = block == D_ISACTIVER;
	}
}

static void do_group(struct pair *p)
{
	u32 cpu = dice(CPUS), intid = dice(LIMIT);
	u32 word = bits(p, D_IGROUPR, cpu, intid) ^ 1u << intid % 32;

	set_bits(p, D_IGROUPR, cpu, intid, word);
	irq_of(&p->m, cpu, intid)->group1 ^= 1;
}

/* Few different ones, so that many are the same. */
static u32 some_prio(void)
{
	return coin() ? dice(4) * 0x48 : dice(256);
}

static void do_prio(struct pair *p)
{
	u32 cpu = dice(CPUS), intid = dice(LIMIT), prio = some_prio();

	if (intid < 32)
		gicr_set8(&p->w, cpu, R_SGI + D_IPRIORITYR + intid, prio);
	else
		gicd_set8(&p->w, D_IPRIORITYR + intid, prio);
	irq_of(&p->m, cpu, intid)->prio = prio & 0xf8;
}

static void do_config(struct pair *p)
{
	u32 cpu = dice(CPUS), intid = 16 + dice(LIMIT - 16);
	u32 off = D_ICFGR + intid / 16 * 4, flip = 2u << intid % 16 * 2;

	if (intid < 32)
		gicr_set(&p->w, cpu, R_SGI + off,
			 gicr(&p->w, cpu, R_SGI + off) ^ flip);
	else
		gicd_set(&p->w, off, gicd(&p->w, off) ^ flip);
	irq_of(&p->m, cpu, intid)->edge ^= 1;
}

static void do_route(struct pair *p)
{
	u32 intid = 32 + dice(LIMIT - 32);
	u64 to = dice(8) ? world_affinity(dice(CPUS)) : 1ull << 33;

	gicd_set64(&p->w, D_IROUTER + 8 * intid, to);
	p->m.spi[intid].route = to;
}

static void do_wire(struct pair *p)
{
	u32 cpu = dice(CPUS), intid = 16 + dice(LIMIT - 16);
	struct irq *q = irq_of(&p->m, cpu, intid);
	bool level = coin();

	if (intid < 32)
		gic_ppi_set(p->w.gic, cpu, intid, level);
	else
		gic_spi_set(p->w.gic, intid, level);
	if (q->edge && level && !q->wire)
		q->latch = true;
	q->wire = level;
}

static void do_message(struct pair *p)
{
	u32 intid = 32 + dice(LIMIT - 32);
	bool set = coin();

	gicd_set(&p->w, set ? D_SETSPI : D_CLRSPI, intid);
	if (p->m.spi[intid].edge)
		p->m.spi[intid].latch = set;
	else
		p->m.spi[intid].held = set;
}

static void do_sgi(struct pair *p)
{
	static const u32 regs[] = { SGI1R, SGI1R, ASGI1R, SGI0R };
	u32 from = dice(CPUS), intid = dice(16), list = dice(16);
	u32 reg = regs[dice(ARRAY_SIZE(regs))];
	bool others = !dice(4);

	icc_set(&p->w, from, reg, (u64)intid << 24 | (u64)others << 40 | list);
	for (u32 c = 0; c < CPUS; c++) {
		struct irq *q = &p->m.cpu[c].irq[intid];

		if ((others ? c != from : list >> c & 1) &&
		    (reg == SGI1R || !q->group1))
			q->latch = true;
	}
}

static void do_switches(struct pair *p)
{
	u32 cpu = dice(CPUS), on = dice(4);
	struct cpu *c = &p->m.cpu[cpu];

	switch (dice(6)) {
	case 0:
		gicd_set(&p->w, D_CTLR, dice(4) ? on = 3 : on);
		p->m.group_on[0] = on & 1;
		p->m.group_on[1] = on & 2;
		break;
	case 1:
	case 2:
		icc_set(&p->w, cpu, IGRPEN0, on & 1);
		icc_set(&p->w, cpu, IGRPEN1, on & 2 ? 1 : 0);
		c->on[0] = on & 1;
		c->on[1] = on & 2;
		break;
	case 3:
		c->asleep = !dice(4);
		gicr_set(&p->w, cpu, R_WAKER, c->asleep ? 2 : 0);
		break;
	default:
		icc_set(&p->w, cpu, CTLR, on);
		c->common = on & 1;
		c->split = on & 2;
		break;
	}
}

static void do_masks(struct pair *p)
{
	u32 cpu = dice(CPUS), val = dice(256);
	struct cpu *c = &p->m.cpu[cpu];

	switch (dice(3)) {
	case 0:
		val = coin() ? 0xff : val;
		icc_set(&p->w, cpu, PMR, val);
		c->pmr = val & 0xf8;
		break;
	case 1:
		icc_set(&p->w, cpu, BPR0, val);
		c->bpr[0] = MAX(val & 7, 2);
		break;
	default:
		icc_set(&p->w, cpu, BPR1, val);
		if (!c->common)
			c->bpr[1] = MAX(val & 7, 3);
		break;
	}
}

static void do_acknowledge(struct pair *p)
{
	u32 cpu = dice(CPUS), group = dice(2);
	u32 want = m_acknowledge(&p->m, cpu, group);

	SAME(icc(&p->w, cpu, group ? IAR1 : IAR0), want);
	if (want != SPURIOUS)
		p->taken[cpu] = want;
}

static void do_end(struct pair *p)
{
	u32 cpu = dice(CPUS), group = dice(2);
	u32 intid = dice(4) ? p->taken[cpu] : dice(LIMIT);

	icc_set(&p->w, cpu, group ? EOIR1 : EOIR0, intid);
	m_end(&p->m, cpu, group, intid);
}

static void do_deactivate(struct pair *p)
{
	u32 cpu = dice(CPUS), intid = coin() ? p->taken[cpu] : dice(LIMIT);

	icc_set(&p->w, cpu, DIR, intid);
	if (p->m.cpu[cpu].split && intid < LIMIT)
		irq_of(&p->m, cpu, intid)->active = false;
}

static void do_lpi(struct pair *p)
{
	u32 a = dice(CPUS), b = dice(CPUS), i = dice(LPIS);
	struct cpu *from = &p->m.cpu[a], *to = &p->m.cpu[b];
	bool was = from->lpis_on && from->lpi[i];

	switch (dice(4)) {
	case 0:
	case 1:
		ck_assert(gic_lpi_set(p->w.gic, a, lpi_intid(i)) ==
			  from->lpis_on);
		from->lpi[i] |= from->lpis_on;
		break;
	case 2:
		gic_lpi_clear(p->w.gic, a, lpi_intid(i));
		from->lpi[i] &= !from->lpis_on;
		break;
	default:
		gic_lpi_move(p->w.gic, a, b, lpi_intid(i));
		from->lpi[i] &= !from->lpis_on;
		to->lpi[i] |= was && to->lpis_on;
		break;
	}
}

static void do_lpi_all(struct pair *p)
{
	u32 a = dice(CPUS), b = dice(CPUS);
	struct cpu *from = &p->m.cpu[a], *to = &p->m.cpu[b];

	gic_lpi_move_all(p->w.gic, a, b);
	if (a == b || !from->lpis_on)
		return;
	for (u32 i = 0; i < LPIS; i++) {
		to->lpi[i] |= from->lpi[i] && to->lpis_on;
		from->lpi[i] = false;
	}
}

static void do_lpi_config(struct pair *p)
{
	u32 i = dice(LPIS), cpu = dice(CPUS);
	bool seen = true;

	*world_config(&p->w, lpi_intid(i)) =
		(u8)((some_prio() & 0xfc) | (dice(4) ? 1 : 0));
	switch (dice(4)) {
	case 0:
		gicr_set(&p->w, cpu, R_INVLPIR, lpi_intid(i));
		seen = p->m.cpu[cpu].lpis_on;
		break;
	case 1:
		/* Without an invalidation: the old one counts. */
		seen = false;
		break;
	default:
		gic_lpi_inv(p->w.gic, lpi_intid(i));
		break;
	}
	if (seen)
		p->m.config[i] = *world_config(&p->w, lpi_intid(i));
}

static void read_config(struct pair *p)
{
	for (u32 i = 0; i < LPIS; i++)
		p->m.config[i] = *world_config(&p->w, lpi_intid(i));
}

static void do_lpi_switch(struct pair *p)
{
	u32 cpu = dice(CPUS);
	struct cpu *c = &p->m.cpu[cpu];

	if (coin()) {
		gic_lpi_inv_all(p->w.gic);
		read_config(p);
		return;
	}
	c->lpis_on ^= 1;
	gicr_set(&p->w, cpu, R_CTLR, c->lpis_on);
	if (c->lpis_on)
		read_config(p);
	/* Off and on again, what is pending is as it was. */
	for (u32 i = 0; i < LPIS && !c->lpis_on; i++)
		ck_assert(world_pending(&p->w, cpu, lpi_intid(i)) == c->lpi[i]);
}

/* While LPIs are off, the guest may change what is pending. */
static void do_lpi_table(struct pair *p)
{
	u32 cpu = dice(CPUS), i = dice(LPIS), intid = lpi_intid(i);
	struct cpu *c = &p->m.cpu[cpu];

	if (c->lpis_on)
		return;
	p->w.ram[WORLD_PENDING(cpu) - WORLD_RAM + intid / 8] ^=
		(u8)(1 << intid % 8);
	c->lpi[i] ^= 1;
}

static void do_move(struct pair *p)
{
	if (!dice(16))
		world_move(&p->w);
}

static void (*const things[])(struct pair *p) = {
	do_bits,        do_bits,        do_bits,        do_group,
	do_prio,        do_config,      do_route,       do_wire,
	do_wire,        do_wire,        do_message,     do_sgi,
	do_sgi,         do_switches,    do_masks,       do_acknowledge,
	do_acknowledge, do_acknowledge, do_acknowledge, do_end,
	do_end,         do_end,         do_deactivate,  do_lpi,
	do_lpi,         do_lpi,         do_lpi_all,     do_lpi_config,
	do_lpi_switch,  do_lpi_table,   do_move,
};

static void compare_cpu(struct pair *p, u32 cpu)
{
	struct winner best = { SPURIOUS, 0, 9 };
	u32 which;

	if (!p->m.cpu[cpu].asleep)
		best = most_urgent(&p->m, cpu, false);
	SAME(p->w.out[cpu], m_output(&p->m, cpu));
	SAME(icc(&p->w, cpu, HPPIR0), best.group == 0 ? best.intid : SPURIOUS);
	SAME(icc(&p->w, cpu, HPPIR1), best.group == 1 ? best.intid : SPURIOUS);
	SAME(icc(&p->w, cpu, RPR), running(&p->m.cpu[cpu], &which));
}

static void compare_irq(struct pair *p, u32 cpu, u32 intid)
{
	struct irq *q = irq_of(&p->m, cpu, intid);
	u32 bit = intid % 32;

	SAME(bits(p, D_IGROUPR, cpu, intid) >> bit & 1, q->group1);
	SAME(bits(p, D_ISENABLER, cpu, intid) >> bit & 1, q->enabled);
	SAME(bits(p, D_ISPENDR, cpu, intid) >> bit & 1, is_pending(q));
	SAME(bits(p, D_ISACTIVER, cpu, intid) >> bit & 1, q->active);
}

static void walk(u64 start, u32 steps)
{
	static struct pair p;

	seed = start;
	world_init(&p.w, CPUS, LIMIT, LPI_BITS);
	m_reset(&p.m);
	world_boot(&p.w);
	p.m.group_on[0] = p.m.group_on[1] = true;
	for (u32 c = 0; c < CPUS; c++) {
		p.m.cpu[c].asleep = false;
		p.m.cpu[c].lpis_on = true;
		p.m.cpu[c].on[0] = p.m.cpu[c].on[1] = true;
		p.m.cpu[c].pmr = 0xf8;
		p.taken[c] = SPURIOUS;
	}
	for (u32 n = 0; n < steps; n++) {
		things[dice(ARRAY_SIZE(things))](&p);
		for (u32 c = 0; c < CPUS; c++)
			compare_cpu(&p, c);
		for (u32 i = 0; i < LIMIT && n % 64 == 0; i++)
			compare_irq(&p, dice(CPUS), i);
	}
	world_fini(&p.w);
}

START_TEST(any_sequence)
{
	for (u64 start = 1; start <= 30; start++)
		walk(start, 4000);
}
END_TEST

/* One SPI for 1 of N and nothing else: while it waits exactly one of those
 * that take part is interrupted. */
static void check_one(struct gic_world *w, const bool *takes, bool waiting)
{
	u32 told = 0, may = 0;

	for (u32 c = 0; c < CPUS; c++) {
		may += takes[c];
		told += w->out[c] == GIC_OUT_IRQ;
		ck_assert(w->out[c] != GIC_OUT_IRQ || takes[c]);
	}
	SAME(told, waiting && may ? 1 : 0);
}

START_TEST(one_of_n)
{
	bool on[CPUS], dpg[CPUS] = { 0 }, asleep[CPUS] = { 0 }, takes[CPUS];
	bool waiting = false;
	struct gic_world w;

	seed = 99;
	world_init(&w, CPUS, LIMIT, 0);
	world_boot(&w);
	memset(on, 1, sizeof(on));
	gicd_set(&w, D_ISENABLER + 4, ~0u);
	gicd_set64(&w, D_IROUTER + 8 * 40, ROUTE_ANY);
	for (u32 n = 0; n < 20000; n++) {
		u32 c = dice(CPUS);

		switch (dice(4)) {
		case 0:
			waiting = coin();
			gic_spi_set(w.gic, 40, waiting);
			break;
		case 1:
			on[c] = coin();
			icc_set(&w, c, IGRPEN1, on[c]);
			break;
		case 2:
			dpg[c] = coin();
			gicr_set(&w, c, R_CTLR, dpg[c] ? 1u << 25 : 0);
			break;
		default:
			asleep[c] = coin();
			gicr_set(&w, c, R_WAKER, asleep[c] ? 2 : 0);
			break;
		}
		for (u32 i = 0; i < CPUS; i++)
			takes[i] = on[i] && !dpg[i] && !asleep[i];
		check_one(&w, takes, waiting);
	}
	world_fini(&w);
}
END_TEST

UNIT_MAIN("gic model", any_sequence, one_of_n)
