/*
 * A GIC with CPUs that do nothing by themselves, and memory: what the tests of
 * the GIC and of the ITS stand on. Registers by their offsets in IHI 0069H,
 * chapter 12, written down here a second time.
 */
#ifndef BELFRY_TESTS_GIC_WORLD_H
#define BELFRY_TESTS_GIC_WORLD_H

#include <belfry/gic.h>

enum {
	D_CTLR = 0x0000,
	D_TYPER = 0x0004,
	D_IIDR = 0x0008,
	D_TYPER2 = 0x000c,
	D_SETSPI = 0x0040,
	D_CLRSPI = 0x0048,
	D_IGROUPR = 0x0080,
	D_ISENABLER = 0x0100,
	D_ICENABLER = 0x0180,
	D_ISPENDR = 0x0200,
	D_ICPENDR = 0x0280,
	D_ISACTIVER = 0x0300,
	D_ICACTIVER = 0x0380,
	D_IPRIORITYR = 0x0400,
	D_ICFGR = 0x0c00,
	D_IROUTER = 0x6000,
	D_PIDR2 = 0xffe8,

	R_CTLR = 0x0000,
	R_IIDR = 0x0004,
	R_TYPER = 0x0008,
	R_WAKER = 0x0014,
	R_PROPBASER = 0x0070,
	R_PENDBASER = 0x0078,
	R_INVLPIR = 0x00a0,
	R_INVALLR = 0x00b0,
	R_SYNCR = 0x00c0,
	R_PIDR2 = 0xffe8,
	/* The offsets that SGI_base has in common with the distributor. */
	R_SGI = 0x10000,
};

#define ROUTE_ANY (1ull << 31)
#define LPIS_ON   1u

#define S(op0, op1, crn, crm, op2) \
	((op0) << 14 | (op1) << 11 | (crn) << 7 | (crm) << 3 | (op2))
enum {
	PMR = S(3, 0, 4, 6, 0),
	IAR0 = S(3, 0, 12, 8, 0),
	EOIR0 = S(3, 0, 12, 8, 1),
	HPPIR0 = S(3, 0, 12, 8, 2),
	BPR0 = S(3, 0, 12, 8, 3),
	AP0R0 = S(3, 0, 12, 8, 4),
	AP1R0 = S(3, 0, 12, 9, 0),
	DIR = S(3, 0, 12, 11, 1),
	RPR = S(3, 0, 12, 11, 3),
	SGI1R = S(3, 0, 12, 11, 5),
	ASGI1R = S(3, 0, 12, 11, 6),
	SGI0R = S(3, 0, 12, 11, 7),
	IAR1 = S(3, 0, 12, 12, 0),
	EOIR1 = S(3, 0, 12, 12, 1),
	HPPIR1 = S(3, 0, 12, 12, 2),
	BPR1 = S(3, 0, 12, 12, 3),
	CTLR = S(3, 0, 12, 12, 4),
	SRE = S(3, 0, 12, 12, 5),
	IGRPEN0 = S(3, 0, 12, 12, 6),
	IGRPEN1 = S(3, 0, 12, 12, 7),
};

#define SPURIOUS       1023

#define WORLD_RAM      0x40000000ull
#define WORLD_RAM_SIZE (4 * MIB)
/* Where the guest keeps its LPI tables: that of configuration, and of what is
 * pending at each CPU. */
#define WORLD_CONFIG       WORLD_RAM
#define WORLD_PENDING(cpu) (WORLD_RAM + 0x100000 + (cpu)*0x10000ull)

struct gic_world {
	struct gic *gic;
	struct gmem mem;
	u8 *ram;
	u32 cpus, intid_limit, lpi_bits;
	u32 out[GIC_CPUS_MAX];
	u64 told; /* how often an output changed */
	/* SPIs that were ended with their wires high: the last one, how many,
	 * and whether such a wire falls. */
	u32 ended, ends;
	bool falls;
};

/* Where CPU @i stands: 16 to a cluster. */
u32 world_affinity(u32 i);
/* All off, as it comes; ends the program if it does not. */
void world_init(struct gic_world *w, u32 cpus, u32 intid_limit, u32 lpi_bits);
/* And now as an operating system would have it: awake, both groups on, all
 * priorities let through, LPIs on if there are any. */
void world_boot(struct gic_world *w);
/* The GIC is another one now, with the same state. */
void world_move(struct gic_world *w);
void world_fini(struct gic_world *w);

u64 gicd(struct gic_world *w, u32 off);
void gicd_set(struct gic_world *w, u32 off, u64 val);
void gicd_set8(struct gic_world *w, u32 off, u64 val);
void gicd_set64(struct gic_world *w, u32 off, u64 val);
u64 gicr(struct gic_world *w, u32 cpu, u32 off);
u64 gicr64(struct gic_world *w, u32 cpu, u32 off);
void gicr_set(struct gic_world *w, u32 cpu, u32 off, u64 val);
void gicr_set8(struct gic_world *w, u32 cpu, u32 off, u64 val);
void gicr_set64(struct gic_world *w, u32 cpu, u32 off, u64 val);
/* Fail the test if the register is not there. */
u64 icc(struct gic_world *w, u32 cpu, u32 reg);
void icc_set(struct gic_world *w, u32 cpu, u32 reg, u64 val);

/* The byte of an LPI in the configuration table; its bit in a pending table. */
u8 *world_config(struct gic_world *w, u32 intid);
bool world_pending(struct gic_world *w, u32 cpu, u32 intid);

#endif
