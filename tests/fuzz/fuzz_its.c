/*
 * Any register accesses, any commands, any tables, with a GIC behind: no
 * sanitizer trips, what reaches the sink is what its contract says, and the
 * queue gets to its end.
 *
 * Input: records of twelve bytes - what, four small numbers that choose ids at
 * the edges of what there is, a spare one, a place (two), a value (four).
 */
#include <belfry/gic.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define RECORD     12
#define CPUS       3
#define LPI_BITS   14
#define RAM        0x40000000ull
#define RAM_SIZE   (256 * KIB)
#define QUEUE_SIZE 0x2000

#define VALID      (1ull << 63)
#define CTLR       0x00
#define CBASER     0x80
#define CWRITER    0x88
#define CREADR     0x90
#define BASER      0x100

struct bench {
	struct gic *gic;
	struct its *its;
	struct its_sink gic_sink;
	struct gmem mem;
	u8 ram[RAM_SIZE];
	bool batch, asked;
	u32 ints, restores;
};

struct record {
	u8 what, dev, event, coll, cpu, spare;
	u16 at;
	u32 val;
};
static_assert(sizeof(struct record) == RECORD, "as read");

static void output(void *ctx, u32 cpu, u32 out)
{
}

static void more(void *ctx)
{
	((struct bench *)ctx)->asked = true;
}

static void begin(void *ctx)
{
	struct bench *b = ctx;

	assert(!b->batch);
	b->batch = true;
}

static void end(void *ctx)
{
	struct bench *b = ctx;

	assert(b->batch);
	b->batch = false;
}

/* What each kind has, and if its CPU may be none. */
static const struct {
	bool lpi, cpu, or_none, to;
} contract[] = {
	[ITS_OP_MAPC] = { .cpu = true, .or_none = true },
	[ITS_OP_MAPTI] = { .lpi = true, .cpu = true, .or_none = true },
	[ITS_OP_MOVI] = { .lpi = true, .cpu = true, .to = true },
	[ITS_OP_MOVALL] = { .cpu = true, .to = true },
	[ITS_OP_DISCARD] = { .lpi = true, .cpu = true, .or_none = true },
	[ITS_OP_CLEAR] = { .lpi = true, .cpu = true, .or_none = true },
	[ITS_OP_INV] = { .lpi = true, .cpu = true, .or_none = true },
	[ITS_OP_INT] = { .lpi = true, .cpu = true },
	[ITS_OP_INVALL] = { .cpu = true },
};

static void check_op(const struct its_op *o)
{
	assert(o->kind < ARRAY_SIZE(contract));
	assert(o->dev < 65536 && o->event < 65536 && o->coll < 65536);
	assert(o->bits <= 16);
	assert(contract[o->kind].lpi ? o->lpi >= 8192 && !(o->lpi >> LPI_BITS)
				     : !o->lpi);
	if (!contract[o->kind].or_none || o->cpu != ITS_NO_CPU)
		assert(o->cpu < (contract[o->kind].cpu ? CPUS : 1));
	assert(o->to < (contract[o->kind].to ? CPUS : 1));
}

static void op(void *ctx, const struct its_op *op)
{
	struct bench *b = ctx;

	assert(b->batch);
	check_op(op);
	b->ints += op->kind == ITS_OP_INT;
	b->gic_sink.op(b->gic_sink.ctx, op);
}

static u64 rd(struct bench *b, u32 off)
{
	return its_mmio.read(b->its, off, 8);
}

static void wr(struct bench *b, u32 off, u64 val)
{
	its_mmio.write(b->its, off, off == CTLR ? 4 : 8, val);
}

/* All that was put in the queue is done at some time. */
static void drain(struct bench *b)
{
	u32 turns = 0;

	while (its_run(b->its))
		assert(++turns < 40000);
	b->asked = false;
}

static u32 edge(u8 i)
{
	static const u32 ids[] = { 0,     1,     2,     8,    31,    32,
				   511,   512,   8191,  8192, 16383, 16384,
				   32767, 65535, 65536, ~0u };

	return ids[i % ARRAY_SIZE(ids)];
}

static void put(struct bench *b, const u64 *words)
{
	u64 at = rd(b, CWRITER);
	u64 base = (rd(b, CBASER) & GENMASK(51, 12)) - RAM;

	if (range_fits(base + at, 32, RAM_SIZE) && base < RAM_SIZE)
		memcpy(b->ram + base + at, words, 32);
	wr(b, CWRITER, (at + 32) % QUEUE_SIZE);
}

/* The opcodes there are, mostly, and in the fields what each of them reads. */
static void command(struct bench *b, const struct record *r)
{
	u64 v = r->what & 0x80 ? 0 : VALID;
	u64 opcode = r->what & 0x40 ? r->spare : r->spare & 0xf;
	u64 words[4] = {
		opcode | (u64)edge(r->dev) << 32,
		opcode == 8 ? r->val & 0x1f
			    : edge(r->event) | (u64)(8190 + r->val) << 32,
		edge(r->coll) % 65536 | (u64)r->cpu << 16 | v,
		(u64)(r->val & 7) << 16,
	};

	put(b, words);
}

static void access(struct bench *b, const struct record *r)
{
	static const u32 offs[] = {
		CTLR,    CBASER, CWRITER, CREADR,       BASER,      BASER + 8,
		0x10040, 8,      4,       BASER + 0x10, CBASER + 4, BASER + 4
	};
	u32 off = r->what & 0x40 ? r->at : offs[r->at % ARRAY_SIZE(offs)];
	u32 size = 1u << (r->spare & 3);
	u64 val = r->val | (u64)r->cpu << 56 | (u64)r->coll << 40;

	if (r->what & 0x80)
		its_mmio.write(b->its, off, size,
			       val & GENMASK(8 * size - 1, 0));
	else
		its_mmio.read(b->its, off, size);
}

/* A table or a queue somewhere in memory, of any shape. */
static void place(struct bench *b, const struct record *r)
{
	u64 at = RAM + (u64)r->cpu % 60 * 0x1000, shape = r->val & 0x3ff;

	wr(b, CTLR, 0);
	if (r->what & 0x80)
		wr(b, CBASER, VALID | at | 1);
	else
		wr(b, BASER + (r->dev & 1) * 8,
		   at | shape | (u64)(r->event & 3) << 62);
	wr(b, CTLR, 1);
}

static void message(struct bench *b, const struct record *r)
{
	u32 dev = edge(r->dev), event = edge(r->event), lpi, cpu;
	bool there = its_translate(b->its, dev, event, &lpi, &cpu);
	u32 before = b->ints;

	assert(its_send(b->its, dev, event) == there);
	assert(b->ints - before == there);
}

/* Be what another could have been; or refuse, and be as before. */
static void restore(struct bench *b, const struct record *r)
{
	size_t size = its_state_size(b->its);
	u8 *state = malloc(2 * size);
	struct err e;

	if (!state)
		return;
	b->restores++;
	its_save(b->its, state);
	memcpy(state + size, state, size);
	state[r->at % size] ^= r->spare;
	state[r->val % size] ^= r->cpu;
	if (its_restore(b->its, state, size, &e)) {
		assert(its_state_size(b->its) == size);
		its_save(b->its, state);
		assert(!memcmp(state, state + size, size));
	}
	free(state);
}

static void step(struct bench *b, const struct record *r)
{
	switch (r->what & 7) {
	case 0:
	case 1:
	case 2:
		command(b, r);
		break;
	case 3:
		access(b, r);
		break;
	case 4:
		place(b, r);
		break;
	case 5:
		message(b, r);
		break;
	case 6:
		memset(b->ram + r->at, r->spare, 64);
		break;
	default:
		/* They look at all ids there are, so few. */
		if ((r->what & 0x80) && b->restores < 2)
			restore(b, r);
		else if (r->at == 0xffff)
			its_reset(b->its);
		drain(b);
		break;
	}
	assert(!b->batch);
	assert(rd(b, CREADR) <= ((rd(b, CBASER) & 0xff) + 1) * 0x1000);
}

static struct gic *create_gic(struct bench *b)
{
	static const u32 affinity[CPUS] = { 0, 1, 2 };
	struct gic_setup s = {
		.cpus = CPUS,
		.affinity = affinity,
		.intid_limit = 64,
		.lpi_bits = LPI_BITS,
		.gicr_cpus = { CPUS },
		.dma = dma_plain(&b->mem),
		.output = output,
	};
	struct err e;

	return gic_create(&s, &e);
}

static struct its *create_its(struct bench *b)
{
	struct its_setup s = {
		.cpus = CPUS,
		.lpi_bits = LPI_BITS,
		.dma = dma_plain(&b->mem),
		.sink = { begin, op, end, b },
		.more = more,
		.ctx = b,
	};
	struct err e;

	return its_create(&s, &e);
}

/* LPIs at the first two CPUs, tables, a queue. */
static void boot(struct bench *b)
{
	for (u32 i = 0; i < CPUS - 1; i++) {
		void *dev = gicr_region(b->gic, 0);

		gicr_mmio.write(dev, i * GICR_SIZE + 0x70, 8, RAM | 13);
		gicr_mmio.write(dev, i * GICR_SIZE + 0x78, 8, RAM + 0x10000);
		gicr_mmio.write(dev, i * GICR_SIZE, 4, 1);
	}
	wr(b, BASER, VALID | (RAM + 0x20000));
	wr(b, BASER + 8, VALID | (RAM + 0x28000));
	wr(b, CBASER, VALID | (RAM + 0x30000) | 1);
	wr(b, CTLR, 1);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct bench b;

	memset(&b, 0, sizeof(b));
	if (gmem_add(&b.mem, RAM, RAM_SIZE, b.ram))
		return 0;
	b.gic = create_gic(&b);
	if (!b.gic)
		return 0;
	b.gic_sink = gic_its_sink(b.gic);
	b.its = create_its(&b);
	if (b.its) {
		boot(&b);
		for (; size >= RECORD; data += RECORD, size -= RECORD) {
			struct record r;

			memcpy(&r, data, sizeof(r));
			step(&b, &r);
		}
		drain(&b);
	}
	its_destroy(b.its);
	gic_destroy(b.gic);
	return 0;
}
