/*
 * GICv3: distributor, redistributors and CPU interfaces. Arm IHI 0069H.
 *
 * One security state (GICD_CTLR.DS is 1), affinity routing always on, system
 * registers always on. Group 0 is signalled as FIQ, group 1 as IRQ. Five of the
 * eight bits of a priority are there, and all five preempt. SPIs may be routed
 * to one CPU or 1 of N, and come by wire or by GICD_SETSPI_NSR. LPIs have one
 * configuration table for all redistributors; their number is fixed at the
 * start and so is the memory they take. Not there: GICv2's registers, the
 * extended INTIDs of GICv3.1, NMIs, virtual LPIs, GICR_SETLPIR.
 *
 * It begins as a guest without firmware needs it, and as KVM's does: interrupts
 * are in group 1; everything is off.
 *
 * Who runs the CPUs traps their accesses and calls gicd_mmio, gicr_mmio,
 * gic_sysreg_read and _write; it is told by gic_setup.output what goes to a
 * CPU.
 *
 * Every function below may be called on any thread. One lock; accesses of a CPU
 * to its own private interrupts are most of the traffic, so the finer one, if
 * it is ever needed, is one per redistributor below that of the distributor.
 */
#ifndef BELFRY_GIC_H
#define BELFRY_GIC_H

#include <belfry/base.h>
#include <belfry/dma.h>
#include <belfry/err.h>
#include <belfry/irq.h>
#include <belfry/its.h>
#include <belfry/mmio.h>
#include <belfry/regbank.h>

#define GIC_CPUS_MAX         512
#define GIC_GICR_REGIONS_MAX 4

#define GICD_SIZE            (64 * KIB)
#define GICR_SIZE            (128 * KIB) /* of each CPU */

/* INTIDs, IHI 0069H, 2.2. */
#define GIC_PPI_FIRST 16
#define GIC_SPI_FIRST 32
#define GIC_SPI_END   1020
#define GIC_LPI_FIRST 8192

/* What goes to a CPU, ored. Of the first two there is never more than one. */
#define GIC_OUT_IRQ BIT(0)
#define GIC_OUT_FIQ BIT(1)
/* WakeRequest (chapter 11): an interrupt waits for a CPU that the guest has
 * put to sleep in GICR_WAKER. */
#define GIC_OUT_WAKE BIT(2)

struct gic_setup {
	u32 cpus;            /* 1 .. GIC_CPUS_MAX */
	const u32 *affinity; /* of each, as Aff3.2.1.0; no two are the same */
	u32 intid_limit;     /* wired INTIDs below this exist: 64, 96 .. 1024 */
	u32 lpi_bits;        /* LPIs' INTIDs have so many bits, 14 .. 16; or 0:
				no LPIs */
	/* Regions of redistributors, one after the other: how many CPUs' each
	 * holds. In sum, all. */
	u32 gicr_cpus[GIC_GICR_REGIONS_MAX];
	/* To the tables of LPIs. */
	struct dma dma;
	/* @out is what goes to @cpu from now on, and is not what went there
	 * before; 0 before the first call. With the lock held: it must not call
	 * back. */
	void (*output)(void *ctx, u32 cpu, u32 out);
	/* A CPU has ended SPI @intid while its wire was high: true if that is
	 * low from now on. NULL: wires know nothing of it. As output. */
	bool (*ended)(void *ctx, u32 intid);
	void *ctx;
};

struct gic;

/* *@s and what it points to are copied. NULL and @e if it asks for what cannot
 * be, or if memory is short. Owned by the caller until gic_destroy. */
struct gic *gic_create(const struct gic_setup *s, struct err *e);
void gic_destroy(struct gic *g);

/* What the guest did wrong since it was made. */
u64 gic_faults(const struct gic *g);

/* As at power-on, but wires have the levels they have. No CPU runs. */
void gic_reset(struct gic *g);

/* For mmio_bus_add: GICD_SIZE bytes, dev is the struct gic; and of a region as
 * many times GICR_SIZE as it has CPUs, dev is gicr_region(). */
extern const struct mmio_ops gicd_mmio, gicr_mmio;
void *gicr_region(struct gic *g, u32 region);

/* The tables behind them, for regbank_lint() in tests. */
extern const struct regbank gicd_bank, gicr_bank;

/*
 * An access by CPU @cpu to a register of its interface, ICC_*_EL1, chapter
 * 12.2. @reg is bits [20:5] of the MRS or MSR instruction. False if there is no
 * such register, or not this way round; the instruction is undefined then.
 */
#define GIC_SYSREG(op0, op1, crn, crm, op2) \
	((op0) << 14 | (op1) << 11 | (crn) << 7 | (crm) << 3 | (op2))
MUST_CHECK bool gic_sysreg_read(struct gic *g, u32 cpu, u32 reg, u64 *val);
MUST_CHECK bool gic_sysreg_write(struct gic *g, u32 cpu, u32 reg, u64 val);

/* The wire of an SPI, or of a PPI of one CPU, has this level. Idempotent.
 * Falls on deaf ears if there is no such interrupt. */
void gic_spi_set(struct gic *g, u32 intid, bool level);
void gic_ppi_set(struct gic *g, u32 cpu, u32 intid, bool level);

/* An SPI as a device's line. Valid while @g lives. */
struct irq_line gic_irq_line(struct gic *g, u32 intid);

/*
 * What an ITS does to LPIs, at CPUs that there are. A redistributor that has
 * LPIs disabled, or has none of this INTID, takes nothing: gic_lpi_set is false
 * then.
 */
bool gic_lpi_set(struct gic *g, u32 cpu, u32 intid);
void gic_lpi_clear(struct gic *g, u32 cpu, u32 intid);
/* If it is pending at @from, it is at @to instead; all that are. */
void gic_lpi_move(struct gic *g, u32 from, u32 to, u32 intid);
void gic_lpi_move_all(struct gic *g, u32 from, u32 to);
/* Read the configuration of one, or of all, from memory again. */
void gic_lpi_inv(struct gic *g, u32 intid);
void gic_lpi_inv_all(struct gic *g);

/*
 * All there is to know of a GIC, for a snapshot: this and what follows it, in
 * little-endian fields without holes, so its bytes may be kept. What the LPI
 * tables in memory hold is memory's.
 *
 *	struct gic_state
 *	struct gic_cpu_state	for each CPU
 *	u8 lpi_prio[n]		of each LPI, n = (1 << lpi_bits) - 8192 if there
 *				are any: as its configuration was read, 0xff if
 *				it is disabled
 *	u64 lpi_pending[n / 64]	for each CPU
 */
#define GIC_STATE_VERSION 1

/* 32 wired interrupts, a bit each, as in the registers of these names. */
struct gic_bank_state {
	u32 group, enabled;
	u32 latch; /* pending by an edge, or by software */
	u32 line;  /* the level of the wire */
	u32 held;  /* by GICD_SETSPI_NSR, if level-sensitive */
	u32 active;
	u32 edge;
};

struct gic_cpu_state {
	u64 propbaser, pendbaser; /* with PTZ */
	u32 ctlr, asleep;         /* GICR_CTLR, GICR_WAKER */
	struct gic_bank_state bank;
	u8 prio[32];
	u32 pmr, icc_ctlr, bpr[2], igrpen[2], apr[2];
	u32 zero;
};

struct gic_state {
	u32 version, cpus, intid_limit, lpi_bits; /* as it was made */
	u32 ctlr;
	u32 lpi_table_len; /* LPIs in the table read last, and where it is */
	u64 lpi_table;
	u64 route[992]; /* of each SPI, from 0; those not there are 0 */
	struct gic_bank_state bank[31];
	u8 prio[992];
	u32 zero;
};

/* How many bytes, and they. @to has room for so many, aligned for u64. No CPU
 * runs. */
size_t gic_state_size(const struct gic *g);
void gic_save(struct gic *g, void *to);

/*
 * Be as @g was when @len bytes of @from were saved of it, or of one made alike.
 * -EINVAL and @e if no such GIC can be in that state, or -ENOMEM; nothing has
 * changed then. No CPU runs. 1-of-N SPIs that wait may go to another CPU.
 */
MUST_CHECK int gic_restore(struct gic *g, const void *from, size_t len,
			   struct err *e);

/* All of it as the sink of an ITS of as many CPUs. Valid while @g lives. */
struct its_sink gic_its_sink(struct gic *g);

#endif
