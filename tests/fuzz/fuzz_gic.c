/*
 * Any accesses of CPUs, any inputs, any contents of the tables in memory: no
 * sanitizer trips, no output is told twice, and what is told is there to be
 * taken.
 *
 * Input: records of eight bytes - what, which CPU, an offset or a number (two),
 * a value (four). A short one at the end is left out.
 */
#include <belfry/gic.h>

#include <assert.h>
#include <string.h>

#define RECORD             8
#define CPUS               3
#define RAM                0x40000000ull
#define RAM_SIZE           (256 * KIB)
#define SPURIOUS           1023

#define ICC(crn, crm, op2) GIC_SYSREG(3, 0, crn, crm, op2)
#define HPPIR0             ICC(12, 8, 2)
#define HPPIR1             ICC(12, 12, 2)

struct bench {
	struct gic *gic;
	struct gmem mem;
	u8 ram[RAM_SIZE];
	u32 out[CPUS];
};

struct record {
	u8 what, cpu;
	u16 at;
	u32 val;
};

static void output(void *ctx, u32 cpu, u32 out)
{
	struct bench *b = ctx;

	assert(cpu < CPUS && out != b->out[cpu]);
	assert(out == 0 || out == GIC_OUT_IRQ || out == GIC_OUT_FIQ ||
	       out == GIC_OUT_WAKE);
	b->out[cpu] = out;
}

static void check(struct bench *b, u32 cpu)
{
	u64 hppir0, hppir1;

	assert(gic_sysreg_read(b->gic, cpu, HPPIR0, &hppir0));
	assert(gic_sysreg_read(b->gic, cpu, HPPIR1, &hppir1));
	assert(hppir0 == SPURIOUS || hppir1 == SPURIOUS);
	assert(b->out[cpu] != GIC_OUT_FIQ || hppir0 != SPURIOUS);
	assert(b->out[cpu] != GIC_OUT_IRQ || hppir1 != SPURIOUS);
	assert(b->out[cpu] != GIC_OUT_WAKE || hppir0 == hppir1);
}

static void access(const struct mmio_ops *ops, void *dev, u64 off,
		   const struct record *r)
{
	/* Mostly whole words, and any size at any place. */
	u32 size = r->what & 0x40 ? 1u << (r->cpu >> 4 & 3) : 4;
	u64 val = r->val | (u64)r->val << 32;

	if (!(r->what & 0x40))
		off &= ~3ull;
	if (r->what & 0x80)
		ops->write(dev, off, size, val & GENMASK(8 * size - 1, 0));
	else
		ops->read(dev, off, size);
}

static void sysreg(struct bench *b, u32 cpu, const struct record *r)
{
	/* Those of CRn 12 and CRm 8 to 12 are where something is. */
	u32 reg =
		r->what & 0x40 ? r->at : ICC(12, 8 + r->at / 8 % 5, r->at % 8);
	u64 val;

	if (r->at == 0x100)
		reg = ICC(4, 6, 0);
	if (r->what & 0x80)
		(void)!gic_sysreg_write(b->gic, cpu, reg,
					r->val | (u64)r->cpu << 40);
	else if (gic_sysreg_read(b->gic, cpu, reg, &val))
		assert(val <= ~0u);
}

static void lpi(struct bench *b, u32 cpu, const struct record *r)
{
	u32 other = r->cpu / 16 % CPUS, intid = r->at;

	switch (r->what >> 5) {
	case 0:
	case 1:
		gic_lpi_set(b->gic, cpu, intid);
		break;
	case 2:
		gic_lpi_clear(b->gic, cpu, intid);
		break;
	case 3:
		gic_lpi_move(b->gic, cpu, other, intid);
		break;
	case 4:
		gic_lpi_move_all(b->gic, cpu, other);
		break;
	case 5:
		gic_lpi_inv_all(b->gic);
		break;
	default:
		gic_lpi_inv(b->gic, intid);
		break;
	}
}

/* Be what another could have been; or refuse, and be as before. */
static void restore(struct bench *b, const struct record *r)
{
	static u64 state[4096], before[4096];
	size_t size = gic_state_size(b->gic);
	struct err e;

	assert(size <= sizeof(state));
	gic_save(b->gic, before);
	memcpy(state, before, size);
	((u8 *)state)[r->at % size] ^= (u8)r->val;
	((u8 *)state)[r->val / 256 % size] = r->cpu;
	if (gic_restore(b->gic, state, size, &e)) {
		gic_save(b->gic, state);
		assert(!memcmp(state, before, size));
	}
}

static void step(struct bench *b, const struct record *r)
{
	u32 cpu = r->cpu % CPUS;

	switch (r->what & 7) {
	case 0:
		access(&gicd_mmio, b->gic, r->at, r);
		break;
	case 1:
		/* Either frame of it, from where it is dense. */
		access(&gicr_mmio, gicr_region(b->gic, 0),
		       cpu * GICR_SIZE + (r->at & 0x8000 ? 0x10000 : 0) +
			       (r->at & 0x7fff),
		       r);
		break;
	case 2:
	case 3:
		sysreg(b, cpu, r);
		break;
	case 4:
		lpi(b, cpu, r);
		break;
	case 5:
		gic_spi_set(b->gic, r->at, r->what & 0x80);
		break;
	case 6:
		gic_ppi_set(b->gic, cpu, r->at, r->what & 0x80);
		break;
	default:
		if (r->what & 0x80)
			restore(b, r);
		else
			memset(b->ram + r->at, (int)r->val, 64);
		if (r->at == 0xffff)
			gic_reset(b->gic);
		break;
	}
}

/* Up to the point where most of what follows does something. */
static void boot(struct bench *b)
{
	gicd_mmio.write(b->gic, 0, 4, 3);
	gicd_mmio.write(b->gic, 0x104, 4, ~0u);
	for (u32 i = 0; i < CPUS; i++) {
		void *dev = gicr_region(b->gic, 0);
		u64 frame = i * GICR_SIZE;

		gicr_mmio.write(dev, frame + 0x70, 8, RAM | 13);
		gicr_mmio.write(dev, frame + 0x78, 8, RAM + 0x10000);
		gicr_mmio.write(dev, frame + 0x14, 4, 0);
		gicr_mmio.write(dev, frame + 0x10100, 4, ~0u);
		assert(gic_sysreg_write(b->gic, i, ICC(4, 6, 0), 0xff));
		assert(gic_sysreg_write(b->gic, i, ICC(12, 12, 6), 1));
		assert(gic_sysreg_write(b->gic, i, ICC(12, 12, 7), 1));
	}
}

static struct gic *create(struct bench *b)
{
	static const u32 affinity[CPUS] = { 0, 1, 0x10203 };
	struct gic_setup s = {
		.cpus = CPUS,
		.affinity = affinity,
		.intid_limit = 96,
		.lpi_bits = 14,
		.gicr_cpus = { CPUS },
		.dma = dma_plain(&b->mem),
		.output = output,
		.ctx = b,
	};
	struct err e;

	return gic_create(&s, &e);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct bench b;

	memset(&b, 0, sizeof(b));
	if (gmem_add(&b.mem, RAM, RAM_SIZE, b.ram))
		return 0;
	b.gic = create(&b);
	if (!b.gic)
		return 0;
	boot(&b);
	for (; size >= RECORD; data += RECORD, size -= RECORD) {
		struct record r;

		memcpy(&r, data, sizeof(r));
		step(&b, &r);
		for (u32 i = 0; i < CPUS; i++)
			check(&b, i);
	}
	gic_destroy(b.gic);
	return 0;
}
