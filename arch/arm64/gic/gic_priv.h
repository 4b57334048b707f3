/*
 * What the files of the GIC share.
 *
 * gicd.c and gicr.c are registers, spi.c says which CPU an SPI goes to, lpi.c
 * holds LPIs, cpuif.c is what a CPU does with its interrupts, and gicv3.c
 * makes all of it and tells the CPUs.
 *
 * Every function here is called with gic->lock held. What changes what goes to
 * a CPU calls gic_touch; gic_unlock looks at the CPUs touched.
 */
#ifndef BELFRY_GIC_PRIV_H
#define BELFRY_GIC_PRIV_H

#include <belfry/gic.h>
#include <belfry/lock.h>

#include "prioset.h"

#define GIC_PRIVATE  32 /* SGIs and PPIs */
#define GIC_BANKS    31 /* of 32 SPIs, the last not full */
#define GIC_SPIS     (GIC_BANKS * 32)
#define GIC_SPURIOUS 1023

/* The bits of a priority there are. */
#define GIC_PRIO_MASK  0xf8
#define GIC_PRIO_SHIFT 3

/* No CPU; an SPI that is nowhere. */
#define GIC_NOWHERE 0xffff

/* 32 wired interrupts, a bit each. */
struct irq_bank {
	u32 exists;
	u32 group;
	u32 enabled;
	u32 latch; /* pending whatever the wire says */
	u32 line;  /* of the wire */
	u32 held;  /* as if by the wire: GICD_SETSPI_NSR */
	u32 active;
	u32 edge;
};

/* The distributor's part; SPIs count from 0 here. */
struct spis {
	u32 ctlr;
	struct irq_bank bank[GIC_BANKS];
	u8 prio[GIC_SPIS];
	u64 route[GIC_SPIS]; /* GICD_IROUTER */
	/* Which CPU's set it is in: twice the CPU, plus its group; or
	 * GIC_NOWHERE. It is in one if it is ready, and somebody takes it. */
	u16 place[GIC_SPIS];
	u32 rotor; /* where the search for one of N begins */
};

/* A CPU interface. */
struct icc {
	u8 pmr, bpr[2];
	bool on[2]; /* ICC_IGRPEN */
	u32 ctlr;
	u32 apr[2]; /* active priorities, a bit for each */
};

struct gic_cpu {
	struct gic *gic;
	u32 affinity;
	u32 index;
	bool last; /* of its region */

	bool asleep; /* GICR_WAKER */
	u32 ctlr;
	u64 propbaser, pendbaser;
	struct irq_bank bank;
	u8 prio[GIC_PRIVATE];
	struct prioset spi[2]; /* those ready and routed here, by group */
	struct prioset lpi;    /* those pending */
	u32 lpis;              /* how many it takes; 0: disabled */
	struct icc icc;

	u32 out; /* what goes to it */
};

struct gicr_region {
	struct gic *gic;
	u32 first, cpus;
};

struct gic {
	struct lock lock;
	struct gic_setup setup;
	struct guest_faults faults;
	struct gicr_region region[GIC_GICR_REGIONS_MAX];
	struct spis spis;
	u32 lpis; /* how many there are */
	/*
	 * The one configuration table: where it is and how many LPIs it has,
	 * as the redistributor said that enabled them last, and the priorities
	 * in it when it was read. A disabled LPI has PRIO_NEVER.
	 */
	gpa_t lpi_table;
	u32 lpi_table_len;
	u8 *lpi_prio, *lpi_scratch;
	u64 touched[GIC_CPUS_MAX / 64];
	u16 by_affinity[GIC_CPUS_MAX]; /* ascending */
	struct gic_cpu cpu[];
};

/* gicv3.c */
void gic_reset_locked(struct gic *g);
void gic_lock(struct gic *g);
void gic_unlock(struct gic *g);
void gic_touch(struct gic_cpu *c);
void gic_touch_all(struct gic *g);
/* NULL if there is none. */
struct gic_cpu *gic_cpu_at(struct gic *g, u32 affinity);
/* The wired interrupt, or NULL; an SPI needs no @c. */
struct irq_bank *gic_irq(struct gic *g, struct gic_cpu *c, u32 intid, u32 *bit);
/* The state of a wired interrupt of that INTID changed. */
void gic_irq_changed(struct gic *g, struct gic_cpu *c, u32 intid);

/* bank.c: interrupts and their registers, 32 at a time; pure */
enum bank_reg {
	BANK_IGROUPR,
	BANK_ISENABLER,
	BANK_ICENABLER,
	BANK_ISPENDR,
	BANK_ICPENDR,
	BANK_ISACTIVER,
	BANK_ICACTIVER,
	BANK_REGS
};
u32 bank_pending(const struct irq_bank *b);
/* Those a CPU could take: pending, enabled and not active. */
u32 bank_ready(const struct irq_bank *b);
u32 bank_read(const struct irq_bank *b, enum bank_reg reg);
/* Returns those that are, or were, ready and changed. */
u32 bank_write(struct irq_bank *b, enum bank_reg reg, u32 val);
/* ICFGR, the lower or upper 16. */
u32 bank_config_read(const struct irq_bank *b, u32 half);
void bank_config_write(struct irq_bank *b, u32 half, u32 val);
void bank_line(struct irq_bank *b, u32 bit, bool level);
void bank_message(struct irq_bank *b, u32 bit, bool set);
/* IPRIORITYR, four priorities to a word. */
u32 bank_prio_read(const u8 *prio);
void bank_prio_write(u8 *prio, u32 val, u32 mask);

/* spi.c */
bool spi_init(struct gic_cpu *c);
void spi_fini(struct gic_cpu *c);
void spi_reset(struct gic *g);
/* These, of 32 in a bank, may belong elsewhere now. */
void spi_review(struct gic *g, u32 bank, u32 bits);
/* Those that are for 1 of N may: CPUs changed. */
void spi_review_any(struct gic *g);
/* Out of its set, to change what that depends on; spi_review puts it back. */
void spi_take_out(struct gic *g, u32 spi);

/* lpi.c */
bool lpi_init(struct gic *g);
void lpi_fini(struct gic *g);
void lpi_reset(struct gic *g);
void lpi_enable(struct gic_cpu *c);
/* How many LPIs PROPBASER says there are, of those there are. */
u32 lpi_count(const struct gic_cpu *c);
void lpi_disable(struct gic_cpu *c);
/* Read one again if the redistributor has LPIs enabled, or all. */
void lpi_inv(struct gic_cpu *c, u32 intid);
void lpi_inv_all(struct gic_cpu *c);

/* cpuif.c */
void icc_reset(struct gic_cpu *c);
/* As in @s, cut to what registers can hold. */
void icc_load(struct icc *icc, const struct gic_cpu_state *s);
/* Does it take part in 1 of N? Is it at leisure? */
bool icc_takes_any(const struct gic_cpu *c, u32 group);
bool icc_idle(const struct gic_cpu *c);
u32 icc_output(const struct gic_cpu *c);

/* sgi.c: the request in @val, of group 1 SGIs too or of group 0 only. */
void sgi_send(struct gic_cpu *c, u64 val, bool group1);

/* gicr.c */
void gicr_reset(struct gic_cpu *c);

#endif
