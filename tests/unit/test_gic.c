/*
 * GICv3: every register, the life of an interrupt of each kind, priorities,
 * routing, LPIs and their tables. That all this holds together under any
 * sequence is test_gic_model.c's.
 */
#include "unit.h"

#include "fakes/gic_world.h"
#include "fakes/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Faults are meant where this is called. */
static void hush(void)
{
	int fd = open("/dev/null", O_WRONLY);

	dup2(fd, STDERR_FILENO);
	close(fd);
}

START_TEST(tables)
{
	ck_assert_int_eq(regbank_lint(&gicd_bank), -1);
	ck_assert_int_eq(regbank_lint(&gicr_bank), -1);
}
END_TEST

/* --- making one -------------------------------------------------------- */

static void nothing(void *ctx, u32 cpu, u32 out)
{
}

static const u32 some_affinities[] = { 0, 1, 0x100, 0x01000000, 2, 3, 4, 5 };
static const u32 twins[] = { 3, 1, 2, 1 };

static const struct {
	u32 cpus, intid_limit, lpi_bits, gicr[2];
	const u32 *affinity;
	const char *complaint; /* NULL: none */
} setups[] = {
	{ 1, 64, 0, { 1 }, some_affinities, NULL },
	{ 8, 1024, 16, { 3, 5 }, some_affinities, NULL },
	{ 8, 96, 14, { 0, 8 }, some_affinities, NULL },
	{ 0, 64, 0, { 0 }, some_affinities, "0 CPUs" },
	{ 513, 64, 0, { 513 }, some_affinities, "513 CPUs" },
	{ 1, 32, 0, { 1 }, some_affinities, "32 wired" },
	{ 1, 65, 0, { 1 }, some_affinities, "65 wired" },
	{ 1, 1056, 0, { 1 }, some_affinities, "1056 wired" },
	{ 1, 64, 13, { 1 }, some_affinities, "13 bits" },
	{ 1, 64, 17, { 1 }, some_affinities, "17 bits" },
	{ 2, 64, 0, { 1 }, some_affinities, "room for 1 " },
	{ 2, 64, 0, { 2, 1 }, some_affinities, "room for 3 " },
	{ 2, 64, 0, { ~0u, 3 }, some_affinities, "room for" },
	{ 4, 64, 0, { 4 }, twins, "affinity 0x1" },
};

START_TEST(create)
{
	for (size_t i = 0; i < ARRAY_SIZE(setups); i++) {
		struct gic_setup s = {
			.cpus = setups[i].cpus,
			.affinity = setups[i].affinity,
			.intid_limit = setups[i].intid_limit,
			.lpi_bits = setups[i].lpi_bits,
			.gicr_cpus = { setups[i].gicr[0], setups[i].gicr[1] },
			.output = nothing,
		};
		struct err e = { 0 };
		struct gic *g = gic_create(&s, &e);

		ck_assert_msg(!g == !!setups[i].complaint, "%zu: %s", i, e.msg);
		if (setups[i].complaint) {
			ck_assert_int_eq(e.code, -EINVAL);
			ck_assert_msg(strstr(e.msg, setups[i].complaint),
				      "%zu: %s", i, e.msg);
		}
		gic_destroy(g);
	}
}
END_TEST

/* Wherever memory ends, nothing is left behind (the sanitizer looks). */
START_TEST(create_short_of_memory)
{
	struct gic_setup s = {
		.cpus = 3,
		.affinity = some_affinities,
		.intid_limit = 96,
		.lpi_bits = 14,
		.gicr_cpus = { 3 },
		.output = nothing,
	};
	struct gic *g = NULL;
	int n;

	for (n = 1; !g; n++) {
		struct err e = { 0 };

		memory_ends_at(n);
		g = gic_create(&s, &e);
		memory_ends_at(0);
		ck_assert(g || e.code == -ENOMEM);
	}
	/* The GIC, the LPIs, three sets of each CPU. */
	ck_assert_int_eq(n - 1, 12);
	gic_destroy(g);
}
END_TEST

/* --- registers --------------------------------------------------------- */

struct word {
	u32 off;
	u32 reset, bits; /* bits that keep what is written */
};

/* With INTIDs up to 95 and LPIs of 16 bits. */
static const struct word gicd_words[] = {
	{ D_CTLR, 0x50, 3 },
	{ D_TYPER, 0x057b0002, 0 },
	{ D_IIDR, 0x4200043b, 0 },
	{ D_TYPER2, 0, 0 },
	{ 0x010, 0, 0 }, /* GICD_STATUSR */
	{ D_SETSPI, 0, 0 },
	{ D_CLRSPI, 0, 0 },
	{ 0x050, 0, 0 }, /* GICD_SETSPI_SR */
	{ D_IGROUPR, 0, 0 },
	{ D_IGROUPR + 4, ~0u, ~0u },
	{ D_IGROUPR + 8, ~0u, ~0u },
	{ D_IGROUPR + 12, 0, 0 },
	{ D_IGROUPR + 0x7c, 0, 0 },
	{ D_ISENABLER, 0, 0 },
	{ D_ISENABLER + 12, 0, 0 },
	{ D_ISPENDR, 0, 0 },
	{ D_ISACTIVER, 0, 0 },
	{ D_IPRIORITYR, 0, 0 },
	{ D_IPRIORITYR + 28, 0, 0 },
	{ D_IPRIORITYR + 32, 0, 0xf8f8f8f8 },
	{ D_IPRIORITYR + 92, 0, 0xf8f8f8f8 },
	{ D_IPRIORITYR + 96, 0, 0 },
	{ 0x7f8, 0, 0 }, /* INTID 1016 */
	{ 0x7fc, 0, 0 },
	{ 0x800, 0, 0 }, /* GICD_ITARGETSR */
	{ 0xbfc, 0, 0 },
	{ D_ICFGR, 0, 0 },
	{ D_ICFGR + 4, 0, 0 },
	{ D_ICFGR + 8, 0, 0xaaaaaaaa },
	{ D_ICFGR + 20, 0, 0xaaaaaaaa },
	{ D_ICFGR + 24, 0, 0 },
	{ 0xd04, 0, 0 }, /* GICD_IGRPMODR */
	{ 0xe08, 0, 0 }, /* GICD_NSACR */
	{ 0xf00, 0, 0 }, /* GICD_SGIR */
	{ 0xf10, 0, 0 }, /* GICD_CPENDSGIR */
	{ D_IROUTER, 0, 0 },
	{ D_IROUTER + 8 * 31, 0, 0 },
	{ D_IROUTER + 8 * 32, 0, 0x80ffffff },
	{ D_IROUTER + 8 * 32 + 4, 0, 0xff },
	{ D_IROUTER + 8 * 95, 0, 0x80ffffff },
	{ D_IROUTER + 8 * 96, 0, 0 },
	{ D_IROUTER + 8 * 1019, 0, 0 },
	{ D_IROUTER + 8 * 1020, 0, 0 },
	{ D_PIDR2, 0x3b, 0 },
	{ 0xfffc, 0, 0 },
};

static const struct word gicr_words[] = {
	{ R_CTLR, 0x6, 0x03000001 },
	{ R_IIDR, 0x4200043b, 0 },
	{ R_TYPER, 0x131, 0 }, /* CPU 1, last of its region */
	{ R_TYPER + 4, 1, 0 },
	{ 0x010, 0, 0 }, /* GICR_STATUSR */
	{ R_WAKER, 6, 6 },
	{ 0x040, 0, 0 }, /* GICR_SETLPIR */
	{ 0x048, 0, 0 },
	{ R_INVLPIR, 0, 0 },
	{ R_INVALLR, 0, 0 },
	{ R_SYNCR, 0, 0 },
	{ R_PIDR2, 0x3b, 0 },
	{ R_SGI + D_IGROUPR, ~0u, ~0u },
	{ R_SGI + D_IGROUPR + 4, 0, 0 },
	{ R_SGI + D_IPRIORITYR, 0, 0xf8f8f8f8 },
	{ R_SGI + D_IPRIORITYR + 28, 0, 0xf8f8f8f8 },
	{ R_SGI + D_IPRIORITYR + 32, 0, 0 },
	{ R_SGI + D_ICFGR, 0xaaaaaaaa, 0 },
	{ R_SGI + D_ICFGR + 4, 0, 0xaaaaaaaa },
	{ R_SGI + D_ICFGR + 8, 0, 0 },
	{ R_SGI + 0xd00, 0, 0 }, /* GICR_IGRPMODR0 */
	{ R_SGI + 0xe00, 0, 0 }, /* GICR_NSACR */
	{ R_SGI + 0xfffc, 0, 0 },
};

/* While LPIs are disabled. */
static const struct word gicr_table_words[] = {
	{ R_PROPBASER, 0, 0xffffff9f },
	{ R_PROPBASER + 4, 0, 0x070fffff },
	{ R_PENDBASER, 0, 0xffff0f80 },
	{ R_PENDBASER + 4, 0, 0x070fffff },
};

static void try_word(u64 (*get)(struct gic_world *, u32),
		     void (*set)(struct gic_world *, u32, u64),
		     const struct word *word)
{
	struct gic_world w;
	u32 off = word->off, keep = word->reset & ~word->bits;

	world_init(&w, 4, 96, 16);
	ck_assert_msg(get(&w, off) == word->reset, "%#x: %#x", off,
		      (u32)get(&w, off));
	set(&w, off, ~0u);
	ck_assert_msg(get(&w, off) == (keep | word->bits), "%#x: %#x", off,
		      (u32)get(&w, off));
	set(&w, off, 0);
	ck_assert_msg(get(&w, off) == keep, "%#x: %#x", off, (u32)get(&w, off));
	world_fini(&w);
}

static u64 gicr_of_1(struct gic_world *w, u32 off)
{
	return gicr(w, 1, off);
}

static void gicr_set_of_1(struct gic_world *w, u32 off, u64 val)
{
	gicr_set(w, 1, off, val);
}

START_TEST(registers)
{
	/* No memory is where all ones point. */
	hush();
	for (size_t i = 0; i < ARRAY_SIZE(gicd_words); i++)
		try_word(gicd, gicd_set, &gicd_words[i]);
	for (size_t i = 0; i < ARRAY_SIZE(gicr_words); i++)
		try_word(gicr_of_1, gicr_set_of_1, &gicr_words[i]);
	for (size_t i = 0; i < ARRAY_SIZE(gicr_table_words); i++)
		try_word(gicr_of_1, gicr_set_of_1, &gicr_table_words[i]);
}
END_TEST

/* Pairs that set and clear; each bit on its own, and none of a neighbour. */
START_TEST(set_and_clear)
{
	static const u32 pairs[][2] = { { D_ISENABLER, D_ICENABLER },
					{ D_ISPENDR, D_ICPENDR },
					{ D_ISACTIVER, D_ICACTIVER } };
	struct gic_world w;

	world_init(&w, 1, 1024, 0);
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		for (u32 n = 1; n < 32; n++) {
			u32 set = pairs[i][0] + 4 * n;
			u32 clear = pairs[i][1] + 4 * n;
			u32 all = n == 31 ? 0x0fffffff : ~0u;

			gicd_set(&w, set, 0x80000001);
			ck_assert_uint_eq(gicd(&w, set), 0x80000001 & all);
			gicd_set(&w, set, ~0u);
			ck_assert_uint_eq(gicd(&w, set), all);
			ck_assert_uint_eq(gicd(&w, clear), all);
			gicd_set(&w, clear, 0x00f00001);
			ck_assert_uint_eq(gicd(&w, set), 0xff0ffffe & all);
			gicd_set(&w, clear, ~0u);
			ck_assert_uint_eq(gicd(&w, set), 0);
		}
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		u32 set = R_SGI + pairs[i][0], clear = R_SGI + pairs[i][1];

		gicr_set(&w, 0, set, 0x80010001);
		ck_assert_uint_eq(gicr(&w, 0, clear), 0x80010001);
		gicr_set(&w, 0, clear, 0x10001);
		ck_assert_uint_eq(gicr(&w, 0, set), 0x80000000);
		gicr_set(&w, 0, set + 4, ~0u);
		ck_assert_uint_eq(gicr(&w, 0, set + 4), 0);
	}
	world_fini(&w);
}
END_TEST

START_TEST(identity)
{
	static const struct {
		u32 cpus, limit, lpi_bits, typer;
	} rows[] = {
		{ 1, 64, 0, 0x05490001 },
		{ 1, 1024, 0, 0x0549001f },
		{ 16, 96, 14, 0x056b0002 },
		{ 512, 992, 16, 0x057b001e },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		u32 cpus = rows[i].cpus, plpis = rows[i].lpi_bits ? 1 : 0;
		struct gic_world w;

		world_init(&w, cpus, rows[i].limit, rows[i].lpi_bits);
		ck_assert_uint_eq(gicd(&w, D_TYPER), rows[i].typer);
		for (u32 c = 0; c < cpus; c++) {
			bool last = c + 1 == cpus || c + 1 == (cpus + 1) / 2;
			u64 typer = gicr64(&w, c, R_TYPER);

			ck_assert_uint_eq(typer >> 32, world_affinity(c));
			ck_assert_uint_eq((u32)typer,
					  c << 8 | 0x20 | (last ? 0x10 : 0) |
						  plpis);
			ck_assert_uint_eq(gicr(&w, c, R_CTLR), 6 * plpis);
		}
		world_fini(&w);
	}
}
END_TEST

/* Without LPIs nothing of them is there. */
START_TEST(no_lpis)
{
	static const u32 offs[] = { R_CTLR, R_PROPBASER, R_PENDBASER };
	struct gic_world w;

	world_init(&w, 2, 64, 0);
	for (size_t i = 0; i < ARRAY_SIZE(offs); i++) {
		gicr_set(&w, 0, offs[i], 0x1000001);
		ck_assert_uint_eq(gicr(&w, 0, offs[i]), i ? 0 : 0x1000000);
	}
	gicr_set(&w, 0, R_INVLPIR, 8192);
	gicr_set(&w, 0, R_INVALLR, 0);
	gic_lpi_inv(w.gic, 8192);
	gic_lpi_inv_all(w.gic);
	ck_assert(!gic_lpi_set(w.gic, 0, 8192));
	gic_lpi_clear(w.gic, 0, 8192);
	gic_lpi_move(w.gic, 0, 1, 8192);
	gic_lpi_move_all(w.gic, 0, 1);
	ck_assert_uint_eq(w.told, 0);
	world_fini(&w);
}
END_TEST

/* A value that stays, and the sizes it can be written by. */
static const struct {
	u32 off, val, sizes;
} dist_sizes[] = {
	{ D_CTLR, 0x53, 4 },
	{ D_ISENABLER + 4, 2, 4 },
	{ D_IPRIORITYR + 32, 8, 1 | 4 },
	{ D_ICFGR + 8, 2, 4 },
	{ D_IROUTER + 8 * 32, 2, 4 | 8 },
};

static void try_size(u32 off, u32 val, u32 size, bool ok)
{
	struct gic_world w;
	u64 before;

	world_init(&w, 1, 64, 0);
	before = gicd(&w, off);
	gicd_mmio.write(w.gic, off, size, val);
	ck_assert_msg(gicd(&w, off) == (ok ? val : before), "%#x by %u", off,
		      size);
	gicd_set(&w, off, val);
	ck_assert_msg(gicd_mmio.read(w.gic, off, size) == (ok ? val : 0),
		      "%#x by %u", off, size);
	world_fini(&w);
}

START_TEST(access_sizes)
{
	struct gic_world w;

	hush();
	for (size_t i = 0; i < ARRAY_SIZE(dist_sizes); i++)
		for (u32 size = 1; size <= 8; size *= 2)
			try_size(dist_sizes[i].off, dist_sizes[i].val, size,
				 dist_sizes[i].sizes & size);
	world_init(&w, 1, 64, 0);
	gicd_set8(&w, D_IPRIORITYR + 33, 0xa8);
	ck_assert_uint_eq(gicd(&w, D_IPRIORITYR + 32), 0xa800);
	ck_assert_uint_eq(gicd_mmio.read(w.gic, D_IPRIORITYR + 33, 1), 0xa8);
	/* Behind the last redistributor, and across its registers. */
	ck_assert_uint_eq(gicr_mmio.read(gicr_region(w.gic, 0), GICR_SIZE, 4),
			  0);
	gicr_mmio.write(gicr_region(w.gic, 0), GICR_SIZE + R_WAKER, 4, 0);
	ck_assert_uint_eq(gicr(&w, 0, R_WAKER), 6);
	ck_assert_uint_eq(gicr_mmio.read(gicr_region(w.gic, 3), 0, 4), 0);
	ck_assert_uint_eq(gicr_mmio.read(gicr_region(w.gic, 0), 2, 4), 0);
	ck_assert_uint_eq(gic_faults(w.gic), 4);
	world_fini(&w);
}
END_TEST

enum { RO = 1, WO = 2, RW = 3 };

static const struct {
	u32 reg, kind;
	u64 reset, ones, zeros; /* read back, if it can be */
} sysregs[] = {
	{ PMR, RW, 0, 0xf8, 0 },
	{ IAR0, RO, SPURIOUS, 0, 0 },
	{ EOIR0, WO, 0, 0, 0 },
	{ HPPIR0, RO, SPURIOUS, 0, 0 },
	{ BPR0, RW, 2, 7, 2 },
	{ AP0R0, RW, 0, ~0u, 0 },
	{ AP1R0, RW, 0, ~0u, 0 },
	{ DIR, WO, 0, 0, 0 },
	{ RPR, RO, 0xff, 0, 0 },
	{ SGI1R, WO, 0, 0, 0 },
	{ ASGI1R, WO, 0, 0, 0 },
	{ SGI0R, WO, 0, 0, 0 },
	{ IAR1, RO, SPURIOUS, 0, 0 },
	{ EOIR1, WO, 0, 0, 0 },
	{ HPPIR1, RO, SPURIOUS, 0, 0 },
	{ BPR1, RW, 3, 7, 3 },
	{ CTLR, RW, 0x48400, 0x48403, 0x48400 },
	{ SRE, RW, 7, 7, 7 },
	{ IGRPEN0, RW, 0, 1, 0 },
	{ IGRPEN1, RW, 0, 1, 0 },
	/* With five bits of priority there are no more of these. */
	{ AP0R0 + 1, 0, 0, 0, 0 },
	{ AP1R0 + 1, 0, 0, 0, 0 },
	{ AP1R0 + 3, 0, 0, 0, 0 },
	{ S(3, 0, 12, 9, 5), 0, 0, 0, 0 },  /* ICC_NMIAR1_EL1 */
	{ S(3, 4, 12, 9, 5), 0, 0, 0, 0 },  /* ICC_SRE_EL2 */
	{ S(3, 6, 12, 12, 5), 0, 0, 0, 0 }, /* ICC_SRE_EL3 */
	{ S(3, 0, 12, 12, 8), 0, 0, 0, 0 },
	{ S(3, 0, 1, 0, 0), 0, 0, 0, 0 }, /* SCTLR_EL1 */
	{ S(2, 0, 12, 12, 0), 0, 0, 0, 0 },
	{ ~0u, 0, 0, 0, 0 },
};

START_TEST(system_registers)
{
	struct gic_world w;

	world_init(&w, 2, 64, 0);
	for (size_t i = 0; i < ARRAY_SIZE(sysregs); i++) {
		u32 reg = sysregs[i].reg, kind = sysregs[i].kind;
		u64 val = 0;

		ck_assert(gic_sysreg_read(w.gic, 1, reg, &val) ==
			  !!(kind & RO));
		ck_assert_msg(val == sysregs[i].reset, "%#x: %#x", reg,
			      (u32)val);
		ck_assert(gic_sysreg_write(w.gic, 1, reg, ~0ull) ==
			  !!(kind & WO));
		if (kind != RW)
			continue;
		ck_assert_uint_eq(icc(&w, 1, reg), sysregs[i].ones);
		icc_set(&w, 1, reg, 0);
		ck_assert_uint_eq(icc(&w, 1, reg), sysregs[i].zeros);
		ck_assert_uint_eq(icc(&w, 0, reg), sysregs[i].reset);
	}
	world_fini(&w);
}
END_TEST

/* --- the life of an interrupt ------------------------------------------ */

/* Two CPUs, all on; SPI 40 to CPU 0. */
static void bench_init(struct gic_world *w)
{
	world_init(w, 2, 96, 16);
	world_boot(w);
	gicd_set(w, D_ISENABLER + 4, ~0u);
	gicd_set(w, D_ISENABLER + 8, ~0u);
	for (u32 i = 0; i < 2; i++)
		gicr_set(w, i, R_SGI + D_ISENABLER, ~0u);
}

static u32 spi_bit(struct gic_world *w, u32 block, u32 intid)
{
	return (u32)gicd(w, block + intid / 32 * 4) >> intid % 32 & 1;
}

static void set_edge(struct gic_world *w, u32 intid)
{
	u32 off = D_ICFGR + intid / 16 * 4;

	gicd_set(w, off, gicd(w, off) | 2u << intid % 16 * 2);
}

START_TEST(level_spi)
{
	struct gic_world w;

	bench_init(&w);
	gic_spi_set(w.gic, 40, true);
	ck_assert_uint_eq(w.out[0], GIC_OUT_IRQ);
	ck_assert_uint_eq(w.out[1], 0);
	ck_assert(spi_bit(&w, D_ISPENDR, 40));
	/* Gone before it was taken: as if never. */
	gic_spi_set(w.gic, 40, false);
	ck_assert_uint_eq(w.out[0], 0);
	ck_assert_uint_eq(icc(&w, 0, IAR1), SPURIOUS);

	gic_spi_set(w.gic, 40, true);
	gic_spi_set(w.gic, 40, true);
	ck_assert_uint_eq(icc(&w, 0, HPPIR1), 40);
	ck_assert_uint_eq(icc(&w, 0, IAR1), 40);
	ck_assert_uint_eq(w.out[0], 0);
	ck_assert(spi_bit(&w, D_ISACTIVER, 40));
	ck_assert(spi_bit(&w, D_ISPENDR, 40)); /* active and pending */
	ck_assert_uint_eq(icc(&w, 0, IAR1), SPURIOUS);
	icc_set(&w, 0, EOIR1, 40);
	ck_assert_uint_eq(w.out[0], GIC_OUT_IRQ); /* and again */
	ck_assert_uint_eq(icc(&w, 0, IAR1), 40);
	gic_spi_set(w.gic, 40, false);
	icc_set(&w, 0, EOIR1, 40);
	ck_assert_uint_eq(w.out[0], 0);
	ck_assert(!spi_bit(&w, D_ISACTIVER, 40));

	/* What software set pending goes with the acknowledgement, or by
	 * software; what the wire holds does not. */
	gicd_set(&w, D_ISPENDR + 4, 1u << 8);
	ck_assert_uint_eq(icc(&w, 0, IAR1), 40);
	ck_assert(!spi_bit(&w, D_ISPENDR, 40));
	icc_set(&w, 0, EOIR1, 40);
	gicd_set(&w, D_ISPENDR + 4, 1u << 8);
	gicd_set(&w, D_ICPENDR + 4, 1u << 8);
	ck_assert_uint_eq(w.out[0], 0);
	gic_spi_set(w.gic, 40, true);
	gicd_set(&w, D_ICPENDR + 4, 1u << 8);
	ck_assert_uint_eq(w.out[0], GIC_OUT_IRQ);
	world_fini(&w);
}
END_TEST

/* A wire that falls when its interrupt is ended does not interrupt again; what
 * is not active is not ended, nor is a wire that is low or a CPU's own. */
START_TEST(level_ended)
{
	for (u32 split = 0; split < 2; split++) {
		struct gic_world w;
		u32 reg = split ? DIR : EOIR1;

		bench_init(&w);
		w.falls = true;
		icc_set(&w, 0, CTLR, 2 * split);
		gic_spi_set(w.gic, 40, true);
		if (split)
			icc_set(&w, 0, DIR, 40);
		ck_assert_uint_eq(icc(&w, 0, IAR1), 40);
		if (split)
			icc_set(&w, 0, EOIR1, 40);
		ck_assert_uint_eq(w.ends, 0);
		icc_set(&w, 0, reg, 40);
		ck_assert(w.ends == 1 && w.ended == 40);
		ck_assert_uint_eq(w.out[0], 0);
		ck_assert(!spi_bit(&w, D_ISPENDR, 40));

		gic_spi_set(w.gic, 40, true);
		ck_assert_uint_eq(icc(&w, 0, IAR1), 40);
		gic_spi_set(w.gic, 40, false);
		icc_set(&w, 0, EOIR1, 40);
		icc_set(&w, 0, DIR, 40);
		gic_ppi_set(w.gic, 0, 27, true);
		ck_assert_uint_eq(icc(&w, 0, IAR1), 27);
		icc_set(&w, 0, EOIR1, 27);
		icc_set(&w, 0, DIR, 27);
		ck_assert_uint_eq(w.ends, 1);
		ck_assert_uint_eq(w.out[0], GIC_OUT_IRQ);
		world_fini(&w);
	}
}
END_TEST

/* Nobody has it fall: it comes again, whichever CPU ended it. */
START_TEST(level_ended_high)
{
	struct gic_world w;

	bench_init(&w);
	gic_spi_set(w.gic, 40, true);
	for (u32 n = 1; n <= 3; n++) {
		ck_assert_uint_eq(icc(&w, 0, IAR1), 40);
		icc_set(&w, 0, EOIR1, 40);
		ck_assert(w.ends == n && w.out[0] == GIC_OUT_IRQ);
	}
	world_fini(&w);
}
END_TEST

START_TEST(edge_spi)
{
	struct gic_world w;

	bench_init(&w);
	set_edge(&w, 40);
	gic_spi_set(w.gic, 40, true);
	gic_spi_set(w.gic, 40, false);
	ck_assert_uint_eq(w.out[0], GIC_OUT_IRQ);
	ck_assert_uint_eq(icc(&w, 0, IAR1), 40);
	ck_assert(!spi_bit(&w, D_ISPENDR, 40));
	/* One more edge while it is active. */
	gic_spi_set(w.gic, 40, true);
	gic_spi_set(w.gic, 40, true);
	ck_assert(spi_bit(&w, D_ISPENDR, 40));
	ck_assert_uint_eq(w.out[0], 0);
	icc_set(&w, 0, EOIR1, 40);
	ck_assert_uint_eq(icc(&w, 0, IAR1), 40);
	icc_set(&w, 0, EOIR1, 40);
	/* A wire that stays up is no edge. */
	ck_assert_uint_eq(w.out[0], 0);
	gic_spi_set(w.gic, 40, true);
	ck_assert_uint_eq(w.out[0], 0);
	world_fini(&w);
}
END_TEST

/* INTIDs that are not there, or of another kind, are taken for nothing. */
START_TEST(wires_of_nothing)
{
	static const u32 not_spis[] = { 0,    15,   16,   31,   96, 1019,
					1020, 1023, 1024, 8192, ~0u };
	static const u32 not_ppis[] = { 0, 15, 32, 96, 8192, ~0u };
	struct gic_world w;

	bench_init(&w);
	for (size_t i = 0; i < ARRAY_SIZE(not_spis); i++)
		gic_spi_set(w.gic, not_spis[i], true);
	for (size_t i = 0; i < ARRAY_SIZE(not_ppis); i++)
		gic_ppi_set(w.gic, 1, not_ppis[i], true);
	gic_ppi_set(w.gic, 2, 27, true);
	ck_assert_uint_eq(w.told, 0);
	gicd_set(&w, D_SETSPI, 31);
	gicd_set(&w, D_SETSPI, 96);
	gicd_set(&w, D_SETSPI, 8191);
	ck_assert_uint_eq(w.told, 0);
	world_fini(&w);
}
END_TEST

START_TEST(ppi)
{
	struct gic_world w;

	bench_init(&w);
	gic_ppi_set(w.gic, 1, 27, true);
	ck_assert_uint_eq(w.out[0], 0);
	ck_assert_uint_eq(w.out[1], GIC_OUT_IRQ);
	ck_assert_uint_eq(icc(&w, 0, IAR1), SPURIOUS);
	ck_assert_uint_eq(icc(&w, 1, IAR1), 27);
	ck_assert_uint_eq(gicr(&w, 1, R_SGI + D_ISACTIVER), 1u << 27);
	ck_assert_uint_eq(gicr(&w, 0, R_SGI + D_ISACTIVER), 0);
	icc_set(&w, 1, EOIR1, 27);
	ck_assert_uint_eq(w.out[1], GIC_OUT_IRQ);
	gicr_set(&w, 1, R_SGI + D_ICENABLER, 1u << 27);
	ck_assert_uint_eq(w.out[1], 0);
	gic_ppi_set(w.gic, 1, 27, false);

	/* Edge-triggered, if the guest will have it so. */
	gicr_set(&w, 1, R_SGI + D_ISENABLER, 1u << 27);
	gicr_set(&w, 1, R_SGI + D_ICFGR + 4, 2u << 2 * 11);
	gic_ppi_set(w.gic, 1, 27, true);
	gic_ppi_set(w.gic, 1, 27, false);
	ck_assert_uint_eq(icc(&w, 1, IAR1), 27);
	world_fini(&w);
}
END_TEST

START_TEST(spi_line_capability)
{
	struct gic_world w;
	struct irq_line line;

	bench_init(&w);
	line = gic_irq_line(w.gic, 95);
	irq_line_set(&line, true);
	ck_assert_uint_eq(icc(&w, 0, IAR1), 95);
	world_fini(&w);
}
END_TEST

START_TEST(messages)
{
	struct gic_world w;

	bench_init(&w);
	/* Level: held until it is taken back. */
	gicd_set(&w, D_SETSPI, 50);
	ck_assert_uint_eq(icc(&w, 0, IAR1), 50);
	icc_set(&w, 0, EOIR1, 50);
	ck_assert_uint_eq(w.out[0], GIC_OUT_IRQ);
	gicd_set(&w, D_ICPENDR + 4, ~0u);
	ck_assert_uint_eq(w.out[0], GIC_OUT_IRQ);
	gicd_set(&w, D_CLRSPI, 50);
	ck_assert_uint_eq(w.out[0], 0);
	/* Edge: once. */
	set_edge(&w, 51);
	gicd_mmio.write(w.gic, D_SETSPI, 2, 51);
	ck_assert_uint_eq(icc(&w, 0, IAR1), 51);
	icc_set(&w, 0, EOIR1, 51);
	ck_assert_uint_eq(w.out[0], 0);
	gicd_mmio.write(w.gic, D_SETSPI, 2, 51);
	gicd_mmio.write(w.gic, D_CLRSPI, 2, 51);
	ck_assert_uint_eq(w.out[0], 0);
	/* The wire and the message are one level. */
	gicd_set(&w, D_SETSPI, 50);
	gic_spi_set(w.gic, 50, true);
	gicd_set(&w, D_CLRSPI, 50);
	ck_assert_uint_eq(w.out[0], GIC_OUT_IRQ);
	world_fini(&w);
}
END_TEST

/* --- the CPU interface ------------------------------------------------- */

static void set_prio(struct gic_world *w, u32 intid, u32 prio)
{
	gicd_set8(w, D_IPRIORITYR + intid, prio);
}

START_TEST(most_urgent_first)
{
	static const u32 order[] = { 3, 33, 27, 60, 8192, 95 };
	static const u32 prio[] = { 0x10, 0x10, 0x18, 0x20, 0x28, 0xf0 };
	struct gic_world w;

	bench_init(&w);
	gicr_set8(&w, 0, R_SGI + D_IPRIORITYR + 3, 0x10);
	gicr_set8(&w, 0, R_SGI + D_IPRIORITYR + 27, 0x18);
	set_prio(&w, 33, 0x10);
	set_prio(&w, 60, 0x20);
	set_prio(&w, 95, 0xf0);
	*world_config(&w, 8192) = 0x29;
	gic_lpi_inv(w.gic, 8192);
	gic_spi_set(w.gic, 95, true);
	gic_spi_set(w.gic, 60, true);
	ck_assert(gic_lpi_set(w.gic, 0, 8192));
	gic_ppi_set(w.gic, 0, 27, true);
	gic_spi_set(w.gic, 33, true);
	icc_set(&w, 0, SGI1R, 3ull << 24 | 1);
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		ck_assert_uint_eq(w.out[0], GIC_OUT_IRQ);
		ck_assert_uint_eq(icc(&w, 0, HPPIR1), order[i]);
		ck_assert_uint_eq(icc(&w, 0, IAR1), order[i]);
		ck_assert_uint_eq(icc(&w, 0, RPR), prio[i]);
		ck_assert_uint_eq(icc(&w, 0, AP1R0), 1u << prio[i] / 8);
		/* One is enough at a time. */
		ck_assert_uint_eq(icc(&w, 0, IAR1), SPURIOUS);
		gic_spi_set(w.gic, order[i], false);
		gic_ppi_set(w.gic, 0, order[i], false);
		icc_set(&w, 0, EOIR1, order[i]);
		ck_assert_uint_eq(icc(&w, 0, RPR), 0xff);
	}
	ck_assert_uint_eq(w.out[0], 0);
	world_fini(&w);
}
END_TEST

/* The table of 4.8: does 'b' interrupt 'a', at each binary point? */
static const struct {
	u32 group, bpr, a, b;
	bool preempts;
} points[] = {
	{ 1, 3, 0x28, 0x20, true },
	{ 1, 3, 0x28, 0x28, false },
	{ 1, 3, 0x20, 0x28, false },
	{ 1, 4, 0x28, 0x20, false },
	{ 1, 4, 0x30, 0x28, true },
	{ 1, 5, 0x38, 0x20, false },
	{ 1, 5, 0x40, 0x38, true },
	{ 1, 6, 0x78, 0x40, false },
	{ 1, 6, 0x80, 0x78, true },
	{ 1, 7, 0xf0, 0x80, false },
	{ 1, 7, 0x80, 0x78, true },
	{ 0, 2, 0x28, 0x20, true },
	{ 0, 2, 0x28, 0x28, false },
	{ 0, 3, 0x28, 0x20, false },
	{ 0, 3, 0x30, 0x28, true },
	{ 0, 6, 0xf0, 0x80, false },
	{ 0, 6, 0x80, 0x78, true },
	{ 0, 7, 0xf0, 0x00, false },
	{ 0, 7, 0x80, 0x00, false },
	/* Below what there is, it is the least there is. */
	{ 1, 0, 0x28, 0x20, true },
	{ 0, 0, 0x28, 0x20, true },
};

START_TEST(preemption)
{
	for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
		bool g1 = points[i].group;
		struct gic_world w;

		bench_init(&w);
		icc_set(&w, 0, g1 ? BPR1 : BPR0, points[i].bpr);
		/* The other point is of no account. */
		icc_set(&w, 0, g1 ? BPR0 : BPR1, 7);
		if (!g1)
			gicd_set(&w, D_IGROUPR + 4, 0);
		set_prio(&w, 40, points[i].a);
		set_prio(&w, 41, points[i].b);
		gic_spi_set(w.gic, 40, true);
		ck_assert_uint_eq(w.out[0], g1 ? GIC_OUT_IRQ : GIC_OUT_FIQ);
		ck_assert_uint_eq(icc(&w, 0, g1 ? IAR1 : IAR0), 40);
		gic_spi_set(w.gic, 41, true);
		ck_assert_msg(!!w.out[0] == points[i].preempts, "%zu", i);
		ck_assert_uint_eq(icc(&w, 0, g1 ? HPPIR1 : HPPIR0), 41);
		if (points[i].preempts) {
			ck_assert_uint_eq(icc(&w, 0, g1 ? IAR1 : IAR0), 41);
			icc_set(&w, 0, g1 ? EOIR1 : EOIR0, 41);
		}
		icc_set(&w, 0, g1 ? EOIR1 : EOIR0, 40);
		ck_assert_uint_eq(icc(&w, 0, RPR), 0xff);
		world_fini(&w);
	}
}
END_TEST

START_TEST(common_binary_point)
{
	static const u32 seen[8] = { 3, 3, 3, 4, 5, 6, 7, 7 };
	struct gic_world w;

	bench_init(&w);
	icc_set(&w, 0, BPR1, 3);
	icc_set(&w, 0, CTLR, 1);
	for (u32 bpr = 0; bpr < 8; bpr++) {
		icc_set(&w, 0, BPR0, bpr);
		ck_assert_uint_eq(icc(&w, 0, BPR1), seen[bpr]);
		icc_set(&w, 0, BPR1, 5); /* ignored */
		ck_assert_uint_eq(icc(&w, 0, BPR1), seen[bpr]);
	}
	icc_set(&w, 0, BPR0, 2);
	set_prio(&w, 40, 0x28);
	set_prio(&w, 41, 0x28);
	gic_spi_set(w.gic, 40, true);
	ck_assert_uint_eq(icc(&w, 0, IAR1), 40);
	gic_spi_set(w.gic, 41, true);
	ck_assert_uint_eq(w.out[0], 0);
	icc_set(&w, 0, BPR0, 3);
	ck_assert_uint_eq(w.out[0], GIC_OUT_IRQ);
	icc_set(&w, 0, CTLR, 0);
	ck_assert_uint_eq(icc(&w, 0, BPR1), 3);
	ck_assert_uint_eq(w.out[0], 0);
	world_fini(&w);
}
END_TEST

START_TEST(priority_mask)
{
	struct gic_world w;

	bench_init(&w);
	set_prio(&w, 40, 0xa7); /* five bits of it */
	ck_assert_uint_eq(gicd_mmio.read(w.gic, D_IPRIORITYR + 40, 1), 0xa0);
	gic_spi_set(w.gic, 40, true);
	icc_set(&w, 0, PMR, 0xa7);
	ck_assert_uint_eq(w.out[0], 0);
	ck_assert_uint_eq(icc(&w, 0, IAR1), SPURIOUS);
	ck_assert_uint_eq(icc(&w, 0, HPPIR1), 40); /* the mask is no matter */
	icc_set(&w, 0, PMR, 0xa8);
	ck_assert_uint_eq(w.out[0], GIC_OUT_IRQ);
	icc_set(&w, 0, PMR, 0);
	ck_assert_uint_eq(w.out[0], 0);
	/* The least urgent there is, is never let through. */
	set_prio(&w, 40, 0xf8);
	icc_set(&w, 0, PMR, 0xff);
	ck_assert_uint_eq(w.out[0], 0);
	set_prio(&w, 40, 0xf0);
	ck_assert_uint_eq(w.out[0], GIC_OUT_IRQ);
	world_fini(&w);
}
END_TEST

START_TEST(groups)
{
	struct gic_world w;

	bench_init(&w);
	gicd_set(&w, D_IGROUPR + 4, ~(1u << 8)); /* 40 is in group 0 */
	set_prio(&w, 40, 0x80);
	set_prio(&w, 41, 0x88);
	gic_spi_set(w.gic, 40, true);
	gic_spi_set(w.gic, 41, true);
	ck_assert_uint_eq(w.out[0], GIC_OUT_FIQ);
	ck_assert_uint_eq(icc(&w, 0, HPPIR0), 40);
	ck_assert_uint_eq(icc(&w, 0, HPPIR1), SPURIOUS);
	ck_assert_uint_eq(icc(&w, 0, IAR1), SPURIOUS);
	/* Each of two switches takes a group out of the way of the other. */
	icc_set(&w, 0, IGRPEN0, 0);
	ck_assert_uint_eq(w.out[0], GIC_OUT_IRQ);
	ck_assert_uint_eq(icc(&w, 0, HPPIR1), 41);
	icc_set(&w, 0, IGRPEN0, 1);
	gicd_set(&w, D_CTLR, 2);
	ck_assert_uint_eq(w.out[0], GIC_OUT_IRQ);
	gicd_set(&w, D_CTLR, 1);
	ck_assert_uint_eq(w.out[0], GIC_OUT_FIQ);
	icc_set(&w, 0, IGRPEN0, 0);
	ck_assert_uint_eq(w.out[0], 0);
	icc_set(&w, 0, IGRPEN0, 1);
	gicd_set(&w, D_CTLR, 3);

	ck_assert_uint_eq(icc(&w, 0, IAR0), 40);
	ck_assert_uint_eq(icc(&w, 0, AP0R0), 1u << 16);
	ck_assert_uint_eq(icc(&w, 0, AP1R0), 0);
	ck_assert_uint_eq(w.out[0], 0);
	gic_spi_set(w.gic, 40, false);
	/* The end of a group 1 interrupt is not what was begun. */
	icc_set(&w, 0, EOIR1, 40);
	ck_assert_uint_eq(icc(&w, 0, RPR), 0x80);
	icc_set(&w, 0, EOIR0, 40);
	ck_assert_uint_eq(icc(&w, 0, RPR), 0xff);
	ck_assert_uint_eq(w.out[0], GIC_OUT_IRQ);
	/* At the same priority the lower INTID is first, whatever its group. */
	set_prio(&w, 41, 0x80);
	gic_spi_set(w.gic, 40, true);
	ck_assert_uint_eq(w.out[0], GIC_OUT_FIQ);
	gicd_set(&w, D_IGROUPR + 4, ~(1u << 9));
	ck_assert_uint_eq(w.out[0], GIC_OUT_IRQ);
	/* A private interrupt changes group, too. */
	gic_spi_set(w.gic, 40, false);
	gic_spi_set(w.gic, 41, false);
	gic_ppi_set(w.gic, 0, 20, true);
	ck_assert_uint_eq(w.out[0], GIC_OUT_IRQ);
	gicr_set(&w, 0, R_SGI + D_IGROUPR, 0);
	ck_assert_uint_eq(w.out[0], GIC_OUT_FIQ);
	icc_set(&w, 0, IGRPEN0, 0);
	ck_assert_uint_eq(w.out[0], 0);
	world_fini(&w);
}
END_TEST

/* Active priorities of both groups: which one an end drops. */
START_TEST(ends)
{
	static const struct {
		u32 ap0, ap1;
		u32 eoi;
		u32 ap0_then, ap1_then;
	} rows[] = {
		{ 0x00, 0x00, EOIR1, 0x00, 0x00 },
		{ 0x00, 0x30, EOIR1, 0x00, 0x20 },
		{ 0x00, 0x30, EOIR0, 0x00, 0x30 },
		{ 0x40, 0x30, EOIR1, 0x40, 0x20 },
		{ 0x40, 0x30, EOIR0, 0x40, 0x30 },
		{ 0x10, 0x30, EOIR0, 0x00, 0x30 },
		{ 0x10, 0x30, EOIR1, 0x10, 0x30 },
		{ 0x08, 0x30, EOIR1, 0x08, 0x30 },
		{ 0x80000000, 0, EOIR0, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct gic_world w;
		bool dropped;

		bench_init(&w);
		gicd_set(&w, D_ISACTIVER + 4, 1u << 8);
		icc_set(&w, 0, AP0R0, rows[i].ap0);
		icc_set(&w, 0, AP1R0, rows[i].ap1);
		icc_set(&w, 0, rows[i].eoi, 1020); /* special: no matter */
		icc_set(&w, 0, rows[i].eoi, SPURIOUS);
		icc_set(&w, 0, rows[i].eoi, 4000);
		icc_set(&w, 0, rows[i].eoi, 40);
		ck_assert_uint_eq(icc(&w, 0, AP0R0), rows[i].ap0_then);
		ck_assert_uint_eq(icc(&w, 0, AP1R0), rows[i].ap1_then);
		dropped = rows[i].ap0 != rows[i].ap0_then ||
			  rows[i].ap1 != rows[i].ap1_then;
		ck_assert(spi_bit(&w, D_ISACTIVER, 40) == !dropped);
		world_fini(&w);
	}
}
END_TEST

START_TEST(split_end)
{
	struct gic_world w;

	bench_init(&w);
	icc_set(&w, 0, CTLR, 2);
	gic_spi_set(w.gic, 40, true);
	ck_assert_uint_eq(icc(&w, 0, IAR1), 40);
	gic_spi_set(w.gic, 40, false);
	icc_set(&w, 0, EOIR1, 40);
	ck_assert_uint_eq(icc(&w, 0, RPR), 0xff);
	ck_assert(spi_bit(&w, D_ISACTIVER, 40));
	gic_spi_set(w.gic, 40, true);
	ck_assert_uint_eq(w.out[0], 0);
	/* By another CPU, and only where the mode is on. */
	icc_set(&w, 1, DIR, 40);
	ck_assert(spi_bit(&w, D_ISACTIVER, 40));
	icc_set(&w, 1, CTLR, 2);
	icc_set(&w, 1, DIR, 40);
	ck_assert(!spi_bit(&w, D_ISACTIVER, 40));
	ck_assert_uint_eq(w.out[0], GIC_OUT_IRQ);
	icc_set(&w, 0, DIR, SPURIOUS);
	icc_set(&w, 0, DIR, 8192);
	icc_set(&w, 0, DIR, 0xffffff);
	/* A PPI is the CPU's own. */
	gicr_set(&w, 0, R_SGI + D_ISACTIVER, 1u << 27);
	icc_set(&w, 1, DIR, 27);
	ck_assert_uint_eq(gicr(&w, 0, R_SGI + D_ISACTIVER), 1u << 27);
	icc_set(&w, 0, DIR, 27);
	ck_assert_uint_eq(gicr(&w, 0, R_SGI + D_ISACTIVER), 0);
	world_fini(&w);
}
END_TEST

/* --- SGIs -------------------------------------------------------------- */

#define SGI(intid, aff3, aff2, aff1, rs, list)                     \
	((u64)(aff3) << 48 | (u64)(rs) << 44 | (u64)(aff2) << 32 | \
	 (u64)(intid) << 24 | (u64)(aff1) << 16 | (list))

static u32 sgi_pending(struct gic_world *w, u32 cpu)
{
	return (u32)gicr(w, cpu, R_SGI + D_ISPENDR) & 0xffff;
}

/* CPU i of 40 is Aff1 i / 16, Aff0 i % 16. */
static const struct {
	u64 val;
	u64 cpus; /* from CPU 5 */
} sgis[] = {
	{ SGI(4, 0, 0, 0, 0, 0x0001), 1ull << 0 },
	{ SGI(4, 0, 0, 0, 0, 0x0020), 1ull << 5 },
	{ SGI(4, 0, 0, 0, 0, 0xffff), 0xffff },
	{ SGI(4, 0, 0, 1, 0, 0x8001), 0x80010000 },
	{ SGI(4, 0, 0, 2, 0, 0xffff), 0xffull << 32 },
	{ SGI(4, 0, 0, 3, 0, 0xffff), 0 },
	{ SGI(4, 0, 1, 0, 0, 0xffff), 0 },
	{ SGI(4, 1, 0, 0, 0, 0xffff), 0 },
	{ SGI(4, 0, 0, 0, 1, 0xffff), 0 }, /* Aff0 16 to 31 */
	{ SGI(4, 0, 0, 0, 0, 0), 0 },
	{ 1ull << 40 | 4u << 24, 0xffffffffffull & ~(1ull << 5) },
	{ 1ull << 40 | SGI(4, 9, 9, 9, 9, 3), 0xffffffffffull & ~(1ull << 5) },
};

START_TEST(sgi_targets)
{
	for (size_t i = 0; i < ARRAY_SIZE(sgis); i++) {
		struct gic_world w;

		world_init(&w, 40, 64, 0);
		world_boot(&w);
		icc_set(&w, 5, SGI1R, sgis[i].val);
		for (u32 c = 0; c < 40; c++)
			ck_assert_msg(sgi_pending(&w, c) ==
					      (sgis[i].cpus >> c & 1) << 4,
				      "%zu: CPU %u", i, c);
		world_fini(&w);
	}
}
END_TEST

/* Range selectors reach what a list of 16 does not; Aff3 and Aff2 as well. */
START_TEST(sgi_ranges)
{
	static const u32 affinity[] = { 0x00000003, 0x000000ff, 0x12345617 };
	static const struct {
		u64 val;
		u32 cpus;
	} rows[] = {
		{ SGI(1, 0, 0, 0, 0, 8), 1 },
		{ SGI(1, 0, 0, 0, 15, 0x8000), 2 },
		{ SGI(1, 0, 0, 0, 15, 0x7fff), 0 },
		{ SGI(1, 0x12, 0x34, 0x56, 1, 0x80), 4 },
		{ SGI(1, 0x12, 0x34, 0x56, 0, 0x80), 0 },
		{ SGI(1, 0x12, 0x35, 0x56, 1, 0x80), 0 },
	};
	struct gic_setup s = {
		.cpus = 3,
		.affinity = affinity,
		.intid_limit = 64,
		.gicr_cpus = { 3 },
		.output = nothing,
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e;
		struct gic_world w = { .gic = gic_create(&s, &e), .cpus = 5 };

		ck_assert_ptr_nonnull(w.gic);
		icc_set(&w, 0, SGI1R, rows[i].val);
		for (u32 c = 0; c < 3; c++)
			ck_assert_msg(!!sgi_pending(&w, c) ==
					      (rows[i].cpus >> c & 1),
				      "%zu: CPU %u", i, c);
		gic_destroy(w.gic);
	}
}
END_TEST

/* Which request makes SGIs of which group pending. */
START_TEST(sgi_groups)
{
	static const struct {
		u32 reg;
		bool group0, group1;
	} rows[] = { { SGI1R, true, true },
		     { ASGI1R, true, false },
		     { SGI0R, true, false } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (u32 group = 0; group < 2; group++) {
			struct gic_world w;
			bool comes = group ? rows[i].group1 : rows[i].group0;

			world_init(&w, 2, 64, 0);
			gicr_set(&w, 1, R_SGI + D_IGROUPR, group << 7);
			icc_set(&w, 0, rows[i].reg, SGI(7, 0, 0, 0, 0, 2));
			ck_assert_uint_eq(sgi_pending(&w, 1), comes << 7);
			world_fini(&w);
		}
}
END_TEST

START_TEST(sgi_taken)
{
	struct gic_world w;

	bench_init(&w);
	icc_set(&w, 0, SGI1R, SGI(9, 0, 0, 0, 0, 3));
	for (u32 c = 0; c < 2; c++) {
		ck_assert_uint_eq(w.out[c], GIC_OUT_IRQ);
		ck_assert_uint_eq(icc(&w, c, IAR1), 9);
		/* Again while it is active: once more. */
		icc_set(&w, c, SGI1R, SGI(9, 0, 0, 0, 0, 1 << c));
		icc_set(&w, c, EOIR1, 9);
		ck_assert_uint_eq(icc(&w, c, IAR1), 9);
		icc_set(&w, c, EOIR1, 9);
		ck_assert_uint_eq(w.out[c], 0);
	}
	world_fini(&w);
}
END_TEST

/* --- routing ----------------------------------------------------------- */

static void route(struct gic_world *w, u32 intid, u64 to)
{
	gicd_set64(w, D_IROUTER + 8 * intid, to);
}

START_TEST(routes)
{
	struct gic_world w;

	world_init(&w, 40, 64, 0);
	world_boot(&w);
	gicd_set(&w, D_ISENABLER + 4, ~0u);
	gic_spi_set(w.gic, 40, true);
	for (u32 c = 0; c < 40; c++) {
		route(&w, 40, world_affinity(c));
		for (u32 i = 0; i < 40; i++)
			ck_assert_uint_eq(w.out[i], i == c ? GIC_OUT_IRQ : 0);
	}
	/* To nobody: it waits, and is not lost. */
	route(&w, 40, 1ull << 32);
	ck_assert_uint_eq(w.out[39], 0);
	ck_assert(spi_bit(&w, D_ISPENDR, 40));
	/* In halves. */
	gicd_set(&w, D_IROUTER + 8 * 40 + 4, 0);
	ck_assert_uint_eq(w.out[0], GIC_OUT_IRQ);
	gicd_set(&w, D_IROUTER + 8 * 40, world_affinity(17));
	ck_assert_uint_eq(w.out[17], GIC_OUT_IRQ);
	/* Its state goes with it, not to a neighbour. */
	ck_assert_uint_eq(icc(&w, 17, IAR1), 40);
	route(&w, 40, 0);
	ck_assert_uint_eq(w.out[0], 0);
	icc_set(&w, 17, EOIR1, 40);
	ck_assert_uint_eq(w.out[0], GIC_OUT_IRQ);
	world_fini(&w);
}
END_TEST

static u32 who(struct gic_world *w)
{
	u32 m = 0;

	for (u32 i = 0; i < w->cpus; i++)
		m |= (w->out[i] ? 1u : 0) << i;
	return m;
}

START_TEST(one_of_n)
{
	struct gic_world w;

	world_init(&w, 4, 96, 0);
	world_boot(&w);
	gicd_set(&w, D_ISENABLER + 4, ~0u);
	for (u32 i = 40; i < 48; i++)
		route(&w, i, ROUTE_ANY);
	/* Exactly one has it; who is busy has no second. */
	gic_spi_set(w.gic, 40, true);
	ck_assert_uint_eq(who(&w), 1);
	gic_spi_set(w.gic, 41, true);
	ck_assert_uint_eq(who(&w), 3);
	gic_spi_set(w.gic, 42, true);
	gic_spi_set(w.gic, 43, true);
	ck_assert_uint_eq(who(&w), 15);
	ck_assert_uint_eq(icc(&w, 2, IAR1), 42);
	ck_assert_uint_eq(icc(&w, 1, IAR1), 41);
	ck_assert_uint_eq(icc(&w, 0, IAR1), 40);
	ck_assert_uint_eq(icc(&w, 3, IAR1), 43);
	/* All are busy, so somebody gets it nevertheless. */
	gic_spi_set(w.gic, 44, true);
	for (u32 i = 0; i < 4; i++) {
		ck_assert_uint_eq(w.out[i], 0);
		gic_spi_set(w.gic, 40 + i, false);
		icc_set(&w, i, EOIR1, 40 + i);
	}
	ck_assert_uint_eq(who(&w), 1);
	gic_spi_set(w.gic, 44, false);
	/* One after the other, but not who has something else to do. */
	gic_spi_set(w.gic, 45, true);
	ck_assert_uint_eq(who(&w), 1);
	gic_spi_set(w.gic, 45, false);
	gicr_set(&w, 1, R_SGI + D_ISENABLER, 1);
	icc_set(&w, 0, SGI1R, 2);
	ck_assert_uint_eq(icc(&w, 1, IAR1), 0);
	gic_spi_set(w.gic, 46, true);
	ck_assert_uint_eq(who(&w), 4);
	icc_set(&w, 1, EOIR1, 0);
	gic_spi_set(w.gic, 46, false);
	gic_spi_set(w.gic, 46, true);
	ck_assert_uint_eq(who(&w), 8);
	world_fini(&w);
}
END_TEST

/* One that no longer takes part hands on what it has; nobody: it waits. */
START_TEST(one_of_n_leaving)
{
	struct gic_world w;

	world_init(&w, 4, 96, 0);
	world_boot(&w);
	gicd_set(&w, D_ISENABLER + 4, ~0u);
	gicd_set(&w, D_IGROUPR + 4, ~(1u << 9)); /* 41: group 0 */
	route(&w, 40, ROUTE_ANY);
	route(&w, 41, ROUTE_ANY);
	gicr_set(&w, 0, R_CTLR, 1u << 25);
	gic_spi_set(w.gic, 40, true);
	ck_assert_uint_eq(who(&w), 2);
	icc_set(&w, 1, IGRPEN1, 0);
	ck_assert_uint_eq(who(&w), 4);
	gicr_set(&w, 2, R_WAKER, 2);
	ck_assert_uint_eq(who(&w), 8);
	gicr_set(&w, 3, R_CTLR, 1u << 25);
	ck_assert_uint_eq(who(&w), 0);
	ck_assert_uint_eq(icc(&w, 3, HPPIR1), SPURIOUS);
	/* Group 0 is another matter. */
	gicr_set(&w, 1, R_CTLR, 1u << 24);
	gic_spi_set(w.gic, 41, true);
	ck_assert_uint_eq(who(&w), 1);
	ck_assert_uint_eq(w.out[0], GIC_OUT_FIQ);
	gicr_set(&w, 0, R_CTLR, 3u << 24);
	ck_assert_uint_eq(who(&w), 8);
	/* Back again: what waits comes. */
	gicr_set(&w, 2, R_WAKER, 0);
	ck_assert_uint_eq(who(&w), 12);
	ck_assert_uint_eq(icc(&w, 2, IAR1), 40);
	/* It was for one only. */
	gicr_set(&w, 3, R_CTLR, 0);
	ck_assert_uint_eq(icc(&w, 3, IAR1), SPURIOUS);
	world_fini(&w);
}
END_TEST

START_TEST(asleep)
{
	struct gic_world w;

	bench_init(&w);
	gicr_set(&w, 0, R_WAKER, 2);
	ck_assert_uint_eq(gicr(&w, 0, R_WAKER), 6);
	icc_set(&w, 0, IGRPEN1, 0);
	gic_spi_set(w.gic, 40, true);
	ck_assert_uint_eq(w.out[0], GIC_OUT_WAKE);
	ck_assert_uint_eq(icc(&w, 0, IAR1), SPURIOUS);
	ck_assert_uint_eq(icc(&w, 0, HPPIR1), SPURIOUS);
	gicd_set(&w, D_CTLR, 0);
	ck_assert_uint_eq(w.out[0], 0);
	gicd_set(&w, D_CTLR, 3);
	gicr_set(&w, 0, R_WAKER, 0);
	ck_assert_uint_eq(w.out[0], 0);
	icc_set(&w, 0, IGRPEN1, 1);
	ck_assert_uint_eq(w.out[0], GIC_OUT_IRQ);
	world_fini(&w);
}
END_TEST

/* --- LPIs -------------------------------------------------------------- */

static void lpi_config(struct gic_world *w, u32 intid, u8 config)
{
	*world_config(w, intid) = config;
	gic_lpi_inv(w->gic, intid);
}

START_TEST(lpi)
{
	struct gic_world w;

	bench_init(&w);
	/* Not enabled in the table: pending, but not signalled. */
	ck_assert(gic_lpi_set(w.gic, 0, 8200));
	ck_assert_uint_eq(w.out[0], 0);
	lpi_config(&w, 8200, 0xa1);
	ck_assert_uint_eq(w.out[0], GIC_OUT_IRQ);
	ck_assert_uint_eq(icc(&w, 0, IAR1), 8200);
	ck_assert_uint_eq(icc(&w, 0, RPR), 0xa0);
	/* Never active, so the next can be pending at once. */
	ck_assert(gic_lpi_set(w.gic, 0, 8200));
	ck_assert_uint_eq(w.out[0], 0);
	icc_set(&w, 0, EOIR1, 8200);
	ck_assert_uint_eq(icc(&w, 0, IAR1), 8200);
	icc_set(&w, 0, EOIR1, 8200);

	gic_lpi_set(w.gic, 0, 8200);
	gic_lpi_clear(w.gic, 0, 8200);
	ck_assert_uint_eq(w.out[0], 0);
	/* Group 1, always. */
	gic_lpi_set(w.gic, 0, 8200);
	gicd_set(&w, D_CTLR, 1);
	ck_assert_uint_eq(w.out[0], 0);
	gicd_set(&w, D_CTLR, 2);
	ck_assert_uint_eq(w.out[0], GIC_OUT_IRQ);
	/* The first and the last; none beside them. */
	ck_assert(gic_lpi_set(w.gic, 0, 8192));
	ck_assert(gic_lpi_set(w.gic, 0, 65535));
	ck_assert(!gic_lpi_set(w.gic, 0, 8191));
	ck_assert(!gic_lpi_set(w.gic, 0, 65536));
	ck_assert(!gic_lpi_set(w.gic, 0, 0));
	ck_assert(!gic_lpi_set(w.gic, 0, ~0u));
	world_fini(&w);
}
END_TEST

/* What the cache holds counts until the guest says otherwise. */
START_TEST(lpi_configuration)
{
	struct gic_world w;

	bench_init(&w);
	lpi_config(&w, 8200, 0xa1);
	gic_lpi_set(w.gic, 0, 8200);
	gic_lpi_set(w.gic, 1, 8200);
	*world_config(&w, 8200) = 0x50;
	ck_assert_uint_eq(w.out[0], GIC_OUT_IRQ);
	gicr_set(&w, 1, R_INVLPIR, 8201);
	gicr_set(&w, 1, R_INVLPIR, 8191);
	gicr_set(&w, 1, R_INVLPIR, ~0u);
	gicr_set(&w, 1, R_INVLPIR + 4, 8200);
	ck_assert_uint_eq(w.out[0], GIC_OUT_IRQ);
	gicr_set64(&w, 1, R_INVLPIR, 8200);
	ck_assert_uint_eq(w.out[0], 0);
	ck_assert_uint_eq(w.out[1], 0);
	*world_config(&w, 8200) = 0x51;
	gicr_set(&w, 0, R_INVALLR, 0);
	ck_assert_uint_eq(w.out[1], GIC_OUT_IRQ);
	ck_assert_uint_eq(icc(&w, 1, IAR1), 8200);
	ck_assert_uint_eq(icc(&w, 1, RPR), 0x50);
	*world_config(&w, 8200) = 0;
	gic_lpi_inv_all(w.gic);
	ck_assert_uint_eq(w.out[0], 0);
	/* One that has LPIs disabled says nothing. */
	*world_config(&w, 8200) = 0x51;
	gicr_set(&w, 1, R_CTLR, 0);
	gicr_set(&w, 1, R_INVLPIR, 8200);
	gicr_set(&w, 1, R_INVALLR, 0);
	ck_assert_uint_eq(w.out[0], 0);
	gicr_set(&w, 0, R_INVLPIR, 8200);
	ck_assert_uint_eq(w.out[0], GIC_OUT_IRQ);
	world_fini(&w);
}
END_TEST

START_TEST(lpi_tables)
{
	struct gic_world w;

	world_init(&w, 2, 64, 16);
	/* As an earlier life left them. */
	*world_config(&w, 8192) = 0x81;
	*world_config(&w, 65535) = 0x91;
	w.ram[WORLD_PENDING(0) - WORLD_RAM + 8192 / 8] = 1;
	w.ram[WORLD_PENDING(0) - WORLD_RAM + 65535 / 8] = 0x80;
	w.ram[WORLD_PENDING(0) - WORLD_RAM] = 0xff;
	world_boot(&w);
	ck_assert_uint_eq(icc(&w, 0, IAR1), 8192);
	icc_set(&w, 0, EOIR1, 8192);
	ck_assert_uint_eq(w.out[0], GIC_OUT_IRQ);
	/* The addresses stay while the tables are in use. */
	gicr_set64(&w, 0, R_PENDBASER, 0);
	gicr_set64(&w, 0, R_PROPBASER, 0);
	ck_assert_uint_eq(gicr64(&w, 0, R_PENDBASER), WORLD_PENDING(0));
	ck_assert_uint_eq(gicr64(&w, 0, R_PROPBASER), WORLD_CONFIG | 15);
	/* Disabled, what is pending goes back. */
	gicr_set(&w, 0, R_CTLR, 0);
	ck_assert_uint_eq(gicr(&w, 0, R_CTLR), 6);
	ck_assert_uint_eq(w.out[0], 0);
	ck_assert(!gic_lpi_set(w.gic, 0, 8192));
	ck_assert(!world_pending(&w, 0, 8192));
	ck_assert(world_pending(&w, 0, 65535));
	ck_assert_uint_eq(w.ram[WORLD_PENDING(0) - WORLD_RAM], 0xff);
	/* A table that is said to be zero is not read; once. */
	gicr_set64(&w, 0, R_PENDBASER, WORLD_PENDING(0) | 1ull << 62);
	ck_assert_uint_eq(gicr64(&w, 0, R_PENDBASER), WORLD_PENDING(0));
	gicr_set(&w, 0, R_CTLR, 1);
	ck_assert_uint_eq(w.out[0], 0);
	gic_lpi_set(w.gic, 0, 65535);
	gicr_set(&w, 0, R_CTLR, 0);
	gicr_set(&w, 0, R_CTLR, 1);
	ck_assert_uint_eq(icc(&w, 0, IAR1), 65535);
	world_fini(&w);
}
END_TEST

/* PROPBASER's IDbits say how many LPIs a redistributor has, up to what is. */
START_TEST(lpi_bits)
{
	static const struct {
		u32 idbits, last;
	} rows[] = {
		{ 0, 0 },      { 12, 0 },     { 13, 16383 },
		{ 14, 32767 }, { 15, 32767 }, { 31, 32767 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct gic_world w;
		u32 last = rows[i].last;

		world_init(&w, 1, 64, 15);
		gicr_set64(&w, 0, R_PROPBASER, WORLD_CONFIG | rows[i].idbits);
		gicr_set64(&w, 0, R_PENDBASER, WORLD_PENDING(0));
		gicr_set(&w, 0, R_CTLR, 1);
		ck_assert(gic_lpi_set(w.gic, 0, 8192) == !!last);
		ck_assert(gic_lpi_set(w.gic, 0, last) == !!last);
		ck_assert(!gic_lpi_set(w.gic, 0, last + 1));
		gicr_set(&w, 0, R_CTLR, 0);
		ck_assert(world_pending(&w, 0, 8192) == !!last);
		world_fini(&w);
	}
}
END_TEST

/* Tables where there is no memory, or where it ends: disabled, not pending. */
START_TEST(lpi_no_memory)
{
	static const u64 at[] = { 0, WORLD_RAM + WORLD_RAM_SIZE - 0x1000,
				  GENMASK(51, 16) };

	hush();
	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		struct gic_world w;

		world_init(&w, 1, 64, 16);
		memset(w.ram, 0xa1, WORLD_RAM_SIZE);
		gicr_set64(&w, 0, R_PROPBASER, at[i] | 15);
		gicr_set64(&w, 0, R_PENDBASER, at[i]);
		world_boot(&w);
		gicr_set(&w, 0, R_CTLR, 0);
		gicr_set64(&w, 0, R_PROPBASER, at[i] | 15);
		gicr_set64(&w, 0, R_PENDBASER, at[i] & ~0xffffull);
		gicr_set(&w, 0, R_CTLR, 1);
		ck_assert_uint_eq(w.out[0], 0);
		ck_assert(gic_lpi_set(w.gic, 0, 8192));
		ck_assert(gic_lpi_set(w.gic, 0, 65000));
		gicr_set(&w, 0, R_INVLPIR, 65000);
		gicr_set(&w, 0, R_INVALLR, 0);
		ck_assert_uint_eq(w.out[0], 0);
		gicr_set(&w, 0, R_CTLR, 0);
		world_fini(&w);
	}
}
END_TEST

START_TEST(lpi_moves)
{
	struct gic_world w;

	bench_init(&w);
	for (u32 i = 8192; i < 8300; i++)
		*world_config(&w, i) = 0xa1;
	gic_lpi_inv_all(w.gic);
	/* What is not pending does not become so by moving. */
	gic_lpi_move(w.gic, 0, 1, 8200);
	ck_assert_uint_eq(w.out[1], 0);
	gic_lpi_set(w.gic, 0, 8200);
	gic_lpi_move(w.gic, 0, 0, 8200);
	ck_assert_uint_eq(w.out[0], GIC_OUT_IRQ);
	gic_lpi_move(w.gic, 0, 1, 8200);
	ck_assert_uint_eq(w.out[0], 0);
	ck_assert_uint_eq(w.out[1], GIC_OUT_IRQ);

	for (u32 i = 8201; i < 8300; i++)
		gic_lpi_set(w.gic, 0, i);
	gic_lpi_move_all(w.gic, 0, 0);
	ck_assert_uint_eq(w.out[0], GIC_OUT_IRQ);
	gic_lpi_move_all(w.gic, 0, 1);
	ck_assert_uint_eq(w.out[0], 0);
	for (u32 i = 8200; i < 8300; i++) {
		ck_assert_uint_eq(icc(&w, 1, IAR1), i);
		icc_set(&w, 1, EOIR1, i);
	}
	ck_assert_uint_eq(w.out[1], 0);
	/* To one that takes none: lost. From one: nothing. */
	gicr_set(&w, 1, R_CTLR, 0);
	gic_lpi_set(w.gic, 0, 8200);
	gic_lpi_move(w.gic, 0, 1, 8200);
	ck_assert_uint_eq(w.out[0], 0);
	gic_lpi_set(w.gic, 0, 8200);
	gic_lpi_move_all(w.gic, 1, 0);
	ck_assert_uint_eq(w.out[0], GIC_OUT_IRQ);
	gic_lpi_move_all(w.gic, 0, 1);
	ck_assert_uint_eq(w.out[0], 0);
	world_fini(&w);
}
END_TEST

/* Redistributors may have different numbers of LPIs. */
START_TEST(lpis_that_do_not_fit)
{
	struct gic_world w;

	bench_init(&w);
	*world_config(&w, 8200) = *world_config(&w, 20000) = 0xa1;
	gicr_set(&w, 1, R_CTLR, 0);
	gicr_set64(&w, 1, R_PROPBASER, WORLD_CONFIG | 13);
	gicr_set(&w, 1, R_CTLR, 1);
	/* The table of priorities is of who was enabled last. */
	gicr_set(&w, 0, R_CTLR, 0);
	gicr_set(&w, 0, R_CTLR, 1);
	gic_lpi_inv_all(w.gic);
	ck_assert(!gic_lpi_set(w.gic, 1, 20000));
	ck_assert(gic_lpi_set(w.gic, 0, 20000));
	ck_assert_uint_eq(w.out[0], GIC_OUT_IRQ);
	gic_lpi_move_all(w.gic, 0, 1);
	ck_assert_uint_eq(w.out[0], 0);
	ck_assert_uint_eq(w.out[1], 0);
	ck_assert(gic_lpi_set(w.gic, 0, 20000));
	ck_assert(gic_lpi_set(w.gic, 0, 8200));
	gic_lpi_move_all(w.gic, 0, 1);
	ck_assert_uint_eq(w.out[1], GIC_OUT_IRQ);
	ck_assert_uint_eq(icc(&w, 1, IAR1), 8200);
	ck_assert_uint_eq(w.out[1], 0);
	world_fini(&w);
}
END_TEST

/* --- reset ------------------------------------------------------------- */

/* Words of the guest's that tell one state from another. */
static void snapshot(struct gic_world *w, u32 *to)
{
	for (u32 off = 0; off < 0x8000; off += 4)
		*to++ = (u32)gicd(w, off);
	for (u32 off = 0; off < 0x11000; off += 4)
		*to++ = (u32)gicr(w, 1, off);
	for (size_t i = 0; i < ARRAY_SIZE(sysregs); i++)
		if (sysregs[i].kind == RW)
			*to++ = (u32)icc(w, 1, sysregs[i].reg);
}

START_TEST(reset)
{
	static u32 fresh[0x8000], after[0x8000];
	struct gic_world w;

	world_init(&w, 2, 96, 16);
	snapshot(&w, fresh);
	memset(w.ram, 0xff, WORLD_RAM_SIZE);
	world_boot(&w);
	for (u32 off = 0; off < 0x8000; off += 4)
		if (off != D_CTLR)
			gicd_set(&w, off, 0x01010101u << off / 4 % 8);
	for (u32 off = 0x10000; off < 0x11000; off += 4)
		gicr_set(&w, 1, off, 0x01010101u << off / 4 % 8);
	gicd_set(&w, D_SETSPI, 40);
	for (size_t i = 0; i < ARRAY_SIZE(sysregs); i++)
		if (sysregs[i].kind == RW)
			icc_set(&w, 1, sysregs[i].reg, ~0u);
	gic_reset(w.gic);
	snapshot(&w, after);
	ck_assert_mem_eq(fresh, after, sizeof(fresh));
	ck_assert_uint_eq(w.out[0], 0);
	ck_assert_uint_eq(w.out[1], 0);
	world_boot(&w);
	ck_assert(!gic_lpi_set(w.gic, 0, 8191));
	/* Wires are the devices'. */
	gic_spi_set(w.gic, 50, true);
	gic_reset(w.gic);
	world_boot(&w);
	gicd_set(&w, D_ISENABLER + 4, ~0u);
	ck_assert(spi_bit(&w, D_ISPENDR, 50));
	world_fini(&w);
}
END_TEST

/* --- state --------------------------------------------------------------- */

/* With something in every field. */
static void live(struct gic_world *w)
{
	bench_init(w);
	for (u32 i = 8192; i < 8300; i++)
		*world_config(w, i) = 0xa1;
	gicr_set(w, 1, R_CTLR, 3u << 24 | LPIS_ON);
	gicr_set(w, 1, R_WAKER, 2);
	route(w, 40, 1);
	route(w, 41, ROUTE_ANY | 1ull << 32);
	set_edge(w, 42);
	gicd_set(w, D_IGROUPR + 4, 0xffff00ff);
	gicd_set8(w, D_IPRIORITYR + 40, 0x50);
	gicd_set(w, D_SETSPI, 44);
	for (u32 i = 40; i < 44; i++)
		gic_spi_set(w->gic, i, true);
	gic_ppi_set(w->gic, 1, 20, true);
	for (u32 i = 8192; i < 8300; i += 3)
		gic_lpi_set(w->gic, i % 2, i);
	icc_set(w, 0, BPR0, 4);
	icc_set(w, 0, BPR1, 5);
	icc_set(w, 0, CTLR, 2);
	/* One is taken, and a more urgent one waits. */
	for (u32 i = 41; i < 48; i++)
		gicd_set8(w, D_IPRIORITYR + i, 0x60);
	ck_assert_uint_eq(icc(w, 0, IAR0), 41);
	gic_ppi_set(w->gic, 0, 21, true);
}

START_TEST(state_moves)
{
	static u32 before[0x8000], after[0x8000];
	struct gic_world w;
	u32 out[2];

	live(&w);
	snapshot(&w, before);
	memcpy(out, w.out, sizeof(out));
	ck_assert_uint_ne(out[0], 0);
	ck_assert_uint_ne(out[1], 0);
	world_move(&w);
	snapshot(&w, after);
	ck_assert_mem_eq(before, after, sizeof(before));
	ck_assert_mem_eq(out, w.out, sizeof(out));
	world_fini(&w);
}
END_TEST

/* Any byte changed: it is refused, and nothing has changed; or it is a state
 * that is the same once loaded. */
static bool try_change(struct gic_world *w, const u8 *bad, u8 *back,
		       const u8 *before, size_t size)
{
	u32 out[2] = { w->out[0], w->out[1] };
	struct err e = { 0 };
	int err = gic_restore(w->gic, bad, size, &e);

	gic_save(w->gic, back);
	if (err && (err != -EINVAL || memcmp(out, w->out, sizeof(out))))
		ck_abort_msg("outputs changed");
	if (memcmp(back, err ? before : bad, size))
		ck_abort_msg("%s is not the same", err ? "before" : "it");
	return !err;
}

START_TEST(state_changed)
{
	u32 refused = 0, taken = 0;
	struct gic_world w;
	u8 *good, *bad;
	size_t size;

	world_init(&w, 2, 96, 14);
	world_boot(&w);
	gicd_set(&w, D_ISENABLER + 4, ~0u);
	gic_spi_set(w.gic, 40, true);
	gic_lpi_set(w.gic, 1, 8200);
	size = gic_state_size(w.gic);
	good = malloc(3 * size);
	ck_assert_ptr_nonnull(good);
	bad = good + size;
	gic_save(w.gic, good);
	for (size_t i = 0; i < size; i++) {
		memcpy(bad, good, size);
		bad[i] ^= (u8)(1u << i % 8);
		if (!try_change(&w, bad, bad + size, good, size)) {
			refused++;
			continue;
		}
		taken++;
		ck_assert(try_change(&w, good, bad + size, good, size));
	}
	ck_assert_uint_gt(refused, 1000);
	ck_assert_uint_gt(taken, 1000);
	free(good);
	world_fini(&w);
}
END_TEST

/* Changes to what is all off, of 2 CPUs, INTIDs to 95 and LPIs of 14 bits. */
static const struct {
	size_t at;
	u8 val;
	bool ok;
} changes[] = {
	{ offsetof(struct gic_state, version), 2, false },
	{ offsetof(struct gic_state, cpus), 3, false },
	{ offsetof(struct gic_state, intid_limit), 64, false },
	{ offsetof(struct gic_state, lpi_bits), 15, false },
	{ offsetof(struct gic_state, ctlr), 3, true },
	{ offsetof(struct gic_state, ctlr), 4, false },
	{ offsetof(struct gic_state, route[63]), 1, true },
	{ offsetof(struct gic_state, route[64]), 1, false },
	{ offsetof(struct gic_state, prio[63]), 8, true },
	{ offsetof(struct gic_state, prio[63]), 4, false },
	{ offsetof(struct gic_state, prio[64]), 8, false },
	{ offsetof(struct gic_state, bank[1].held), 1, true },
	{ offsetof(struct gic_state, bank[2].held), 1, false },
	{ offsetof(struct gic_state, zero), 1, false },
#define CPU(field) \
	(sizeof(struct gic_state) + offsetof(struct gic_cpu_state, field))
	{ CPU(ctlr), 1, true },
	{ CPU(ctlr), 2, false },
	{ CPU(asleep), 0, true },
	{ CPU(asleep), 2, false },
	{ CPU(bank.edge), 0, false }, /* SGIs */
	{ CPU(bank.edge) + 3, 0x80, true },
	{ CPU(prio[31]), 0xff, false },
	{ CPU(pmr), 0xf8, true },
	{ CPU(pmr), 0xff, false },
	{ CPU(bpr[0]), 1, false },
	{ CPU(bpr[1]), 2, false },
	{ CPU(bpr[1]), 7, true },
	{ CPU(igrpen[1]), 2, false },
	{ CPU(icc_ctlr), 4, false },
	{ CPU(zero), 1, false },
#undef CPU
#define LPI(i) \
	(sizeof(struct gic_state) + 2 * sizeof(struct gic_cpu_state) + (i))
	{ LPI(0), 0xa0, true },
	{ LPI(8191), 0xa1, false },
	/* Pending where LPIs are disabled. */
	{ LPI(8192), 1, false },
	{ LPI(8192 + 2 * 1024 - 1), 1, false },
#undef LPI
};

START_TEST(state_refused)
{
	struct gic_world w;
	u8 *good, *bad;
	size_t size;

	world_init(&w, 2, 96, 14);
	size = gic_state_size(w.gic);
	good = malloc(2 * size);
	ck_assert_ptr_nonnull(good);
	bad = good + size;
	gic_save(w.gic, good);
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		struct err e;

		memcpy(bad, good, size);
		bad[changes[i].at] = changes[i].val;
		ck_assert_msg(!gic_restore(w.gic, bad, size, &e) ==
				      changes[i].ok,
			      "%zu", i);
	}
	free(good);
	world_fini(&w);
}
END_TEST

START_TEST(state_of_another)
{
	static const struct {
		u32 cpus, limit, lpi_bits;
		bool ok;
	} rows[] = { { 2, 96, 14, true },  { 3, 96, 14, false },
		     { 1, 96, 14, false }, { 2, 64, 14, false },
		     { 2, 96, 15, false }, { 2, 96, 0, false } };
	struct gic_world from;
	size_t size;
	u8 *state;

	world_init(&from, 2, 96, 14);
	size = gic_state_size(from.gic);
	state = malloc(size + 1);
	ck_assert_ptr_nonnull(state);
	gic_save(from.gic, state);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct gic_world w;
		struct err e;
		int err;

		world_init(&w, rows[i].cpus, rows[i].limit, rows[i].lpi_bits);
		ck_assert(!gic_restore(w.gic, state, size, &e) == rows[i].ok);
		ck_assert(gic_restore(w.gic, state, size - 1, &e));
		ck_assert(gic_restore(w.gic, state, size + 1, &e));
		ck_assert(gic_restore(w.gic, state, 0, &e));
		memory_ends_at(1);
		err = gic_restore(w.gic, state, size, &e);
		memory_ends_at(0);
		ck_assert_int_eq(err, -ENOMEM);
		world_fini(&w);
	}
	free(state);
	world_fini(&from);
}
END_TEST

/* 512 CPUs: each has its own. */
START_TEST(many_cpus)
{
	struct gic_world w;

	world_init(&w, 512, 1024, 14);
	gicd_set(&w, D_CTLR, 3);
	gicd_set(&w, D_ISENABLER + 4, ~0u);
	for (u32 i = 0; i < 512; i++) {
		gicr_set(&w, i, R_WAKER, 0);
		gicr_set(&w, i, R_SGI + D_ISENABLER, ~0u);
		icc_set(&w, i, PMR, 0xf0);
		icc_set(&w, i, IGRPEN1, 1);
	}
	icc_set(&w, 100, SGI1R, 1ull << 40);
	for (u32 i = 0; i < 512; i++)
		ck_assert_uint_eq(w.out[i], i == 100 ? 0 : GIC_OUT_IRQ);
	for (u32 i = 0; i < 512; i++)
		ck_assert_uint_eq(icc(&w, i, IAR1), i == 100 ? SPURIOUS : 0);
	route(&w, 40, world_affinity(511));
	gicd_set8(&w, D_IPRIORITYR + 40, 0x08);
	gicr_set8(&w, 511, R_SGI + D_IPRIORITYR, 0x80);
	icc_set(&w, 511, EOIR1, 0);
	gic_spi_set(w.gic, 40, true);
	ck_assert_uint_eq(icc(&w, 511, IAR1), 40);
	world_fini(&w);
}
END_TEST

UNIT_MAIN("gic", tables, create, create_short_of_memory, registers,
	  set_and_clear, identity, no_lpis, access_sizes, system_registers,
	  level_spi, level_ended, level_ended_high, edge_spi, wires_of_nothing,
	  ppi, spi_line_capability, messages, most_urgent_first, preemption,
	  common_binary_point, priority_mask, groups, ends, split_end,
	  sgi_targets, sgi_ranges, sgi_groups, sgi_taken, routes, one_of_n,
	  one_of_n_leaving, asleep, lpi, lpi_configuration, lpi_tables,
	  lpi_bits, lpi_no_memory, lpi_moves, lpis_that_do_not_fit, reset,
	  state_moves, state_changed, state_refused, state_of_another,
	  many_cpus)
