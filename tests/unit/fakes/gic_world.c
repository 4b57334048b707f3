#include "gic_world.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

u32 world_affinity(u32 i)
{
	return (i / 16) << 8 | i % 16;
}

static void output(void *ctx, u32 cpu, u32 out)
{
	struct gic_world *w = ctx;

	if (cpu >= w->cpus || out == w->out[cpu])
		ck_abort_msg("output of CPU %u is %u again", cpu, out);
	w->out[cpu] = out;
	w->told++;
}

static bool ended(void *ctx, u32 intid)
{
	struct gic_world *w = ctx;

	w->ended = intid;
	w->ends++;
	return w->falls;
}

static struct gic *make(struct gic_world *w)
{
	u32 affinity[GIC_CPUS_MAX];
	struct gic_setup s = {
		.cpus = w->cpus,
		.affinity = affinity,
		.intid_limit = w->intid_limit,
		.lpi_bits = w->lpi_bits,
		.gicr_cpus = { (w->cpus + 1) / 2, w->cpus / 2 },
		.dma = dma_plain(&w->mem),
		.output = output,
		.ended = ended,
		.ctx = w,
	};
	struct err e;
	struct gic *g;

	for (u32 i = 0; i < w->cpus; i++)
		affinity[i] = world_affinity(i);
	g = gic_create(&s, &e);
	if (!g)
		ck_abort_msg("%s", e.msg);
	return g;
}

void world_init(struct gic_world *w, u32 cpus, u32 intid_limit, u32 lpi_bits)
{
	memset(w, 0, sizeof(*w));
	w->cpus = cpus;
	w->intid_limit = intid_limit;
	w->lpi_bits = lpi_bits;
	w->ram = calloc(1, WORLD_RAM_SIZE);
	ck_assert_ptr_nonnull(w->ram);
	ck_assert(!gmem_add(&w->mem, WORLD_RAM, WORLD_RAM_SIZE, w->ram));
	w->gic = make(w);
}

void world_boot(struct gic_world *w)
{
	u32 bits = (u32)(gicd(w, D_TYPER) >> 19 & 31);

	gicd_set(w, D_CTLR, 3);
	for (u32 i = 0; i < w->cpus; i++) {
		gicr_set64(w, i, R_PROPBASER, WORLD_CONFIG | bits);
		gicr_set64(w, i, R_PENDBASER, WORLD_PENDING(i));
		gicr_set(w, i, R_CTLR, LPIS_ON);
		gicr_set(w, i, R_WAKER, 0);
		icc_set(w, i, PMR, 0xff);
		icc_set(w, i, IGRPEN0, 1);
		icc_set(w, i, IGRPEN1, 1);
	}
}

void world_move(struct gic_world *w)
{
	size_t size = gic_state_size(w->gic);
	void *state = malloc(size);
	struct err e;

	if (!state)
		ck_abort_msg("out of memory");
	gic_save(w->gic, state);
	gic_destroy(w->gic);
	memset(w->out, 0, sizeof(w->out));
	w->gic = make(w);
	if (gic_restore(w->gic, state, size, &e))
		ck_abort_msg("%s", e.msg);
	free(state);
}

void world_fini(struct gic_world *w)
{
	gic_destroy(w->gic);
	free(w->ram);
}

u64 gicd(struct gic_world *w, u32 off)
{
	return gicd_mmio.read(w->gic, off, 4);
}

void gicd_set(struct gic_world *w, u32 off, u64 val)
{
	gicd_mmio.write(w->gic, off, 4, val);
}

void gicd_set8(struct gic_world *w, u32 off, u64 val)
{
	gicd_mmio.write(w->gic, off, 1, val);
}

void gicd_set64(struct gic_world *w, u32 off, u64 val)
{
	gicd_mmio.write(w->gic, off, 8, val);
}

/* The region of a CPU's redistributor, and in *@off where in it. */
static void *region(struct gic_world *w, u32 cpu, u64 *off)
{
	u32 first = (w->cpus + 1) / 2, in = cpu < first ? cpu : cpu - first;

	*off += in * GICR_SIZE;
	return gicr_region(w->gic, cpu >= first);
}

static u64 redist(struct gic_world *w, u32 cpu, u64 off, u32 size)
{
	void *dev = region(w, cpu, &off);

	return gicr_mmio.read(dev, off, size);
}

static void redist_set(struct gic_world *w, u32 cpu, u64 off, u32 size, u64 val)
{
	void *dev = region(w, cpu, &off);

	gicr_mmio.write(dev, off, size, val);
}

u64 gicr(struct gic_world *w, u32 cpu, u32 off)
{
	return redist(w, cpu, off, 4);
}

u64 gicr64(struct gic_world *w, u32 cpu, u32 off)
{
	return redist(w, cpu, off, 8);
}

void gicr_set(struct gic_world *w, u32 cpu, u32 off, u64 val)
{
	redist_set(w, cpu, off, 4, val);
}

void gicr_set8(struct gic_world *w, u32 cpu, u32 off, u64 val)
{
	redist_set(w, cpu, off, 1, val);
}

void gicr_set64(struct gic_world *w, u32 cpu, u32 off, u64 val)
{
	redist_set(w, cpu, off, 8, val);
}

u64 icc(struct gic_world *w, u32 cpu, u32 reg)
{
	u64 val = ~0ull;

	if (!gic_sysreg_read(w->gic, cpu, reg, &val))
		ck_abort_msg("no register %#x to read", reg);
	return val;
}

void icc_set(struct gic_world *w, u32 cpu, u32 reg, u64 val)
{
	if (!gic_sysreg_write(w->gic, cpu, reg, val))
		ck_abort_msg("no register %#x to write", reg);
}

u8 *world_config(struct gic_world *w, u32 intid)
{
	return w->ram + (WORLD_CONFIG - WORLD_RAM) + (intid - GIC_LPI_FIRST);
}

bool world_pending(struct gic_world *w, u32 cpu, u32 intid)
{
	return w->ram[WORLD_PENDING(cpu) - WORLD_RAM + intid / 8] >> intid % 8 &
	       1;
}
