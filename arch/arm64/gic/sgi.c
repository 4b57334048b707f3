/*
 * Software-generated interrupts: from ICC_SGI*R_EL1 to the CPUs they name.
 *
 * IHI 0069H, 12.2.
 */
#include "gic_priv.h"

#include "gic_regs.h"

static void pend(struct gic_cpu *to, u32 intid, bool group1)
{
	u32 bit = (u32)BIT(intid);

	if ((to->bank.group & bit) && !group1)
		return;
	to->bank.latch |= bit;
	gic_touch(to);
}

static void pend_others(struct gic_cpu *c, u32 intid, bool group1)
{
	struct gic *g = c->gic;

	for (u32 i = 0; i < g->setup.cpus; i++)
		if (&g->cpu[i] != c)
			pend(&g->cpu[i], intid, group1);
}

void sgi_send(struct gic_cpu *c, u64 val, bool group1)
{
	u32 intid = (u32)FIELD_GET(ICC_SGIR_INTID, val);
	u64 cluster = FIELD_GET(ICC_SGIR_AFF3, val) << 24 |
		      FIELD_GET(ICC_SGIR_AFF2, val) << 16 |
		      FIELD_GET(ICC_SGIR_AFF1, val) << 8 |
		      FIELD_GET(ICC_SGIR_RS, val) << 4;

	if (val & ICC_SGIR_OTHERS) {
		pend_others(c, intid, group1);
		return;
	}
	for (u64 m = val & ICC_SGIR_TARGETS; m; m &= m - 1) {
		u32 aff0 = (u32)__builtin_ctzll(m);
		struct gic_cpu *to = gic_cpu_at(c->gic, (u32)cluster | aff0);

		if (to)
			pend(to, intid, group1);
	}
}
