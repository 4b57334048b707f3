/*
 * ITS: registers, the queue, every command with what is right and wrong of it,
 * tables of one and two levels, and with a GIC behind it. That its maps hold
 * under any sequence is the last test's.
 */
#include "unit.h"

#include <belfry/its.h>

#include "fakes/gic_world.h"
#include "fakes/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* 12.18 */
#define I_CTLR       0x0000
#define I_IIDR       0x0004
#define I_TYPER      0x0008
#define I_CBASER     0x0080
#define I_CWRITER    0x0088
#define I_CREADR     0x0090
#define I_BASER0     0x0100
#define I_BASER1     0x0108
#define I_PIDR2      0xffe8
#define I_TRANSLATER 0x10040

#define VALID        (1ull << 63)
#define INDIRECT     (1ull << 62)
#define PAGE_16K     (1ull << 8)
#define PAGE_64K     (2ull << 8)
#define QUIESCENT    0x80000000

/* Commands, 5.3: opcode, device, then words 1 to 3. */
struct words {
	u64 w[4];
};
#define EVENT_CMD(op, dev, event, w2)                             \
	{                                                         \
		{                                                 \
			(op) | (u64)(dev) << 32, (event), (w2), 0 \
		}                                                 \
	}
#define MAPD(dev, size, v) EVENT_CMD(8, dev, (size)-1, (v) ? VALID : 0)
#define MAPC(coll, cpu, v) \
	EVENT_CMD(9, 0, 0, (coll) | (u64)(cpu) << 16 | ((v) ? VALID : 0))
#define MAPTI(dev, event, lpi, coll) \
	EVENT_CMD(0xa, dev, (event) | (u64)(lpi) << 32, coll)
#define MAPI(dev, event, coll) EVENT_CMD(0xb, dev, event, coll)
#define MOVI(dev, event, coll) EVENT_CMD(1, dev, event, coll)
#define INT(dev, event)        EVENT_CMD(3, dev, event, 0)
#define CLEAR(dev, event)      EVENT_CMD(4, dev, event, 0)
#define SYNC(cpu)              EVENT_CMD(5, 0, 0, (u64)(cpu) << 16)
#define INV(dev, event)        EVENT_CMD(0xc, dev, event, 0)
#define INVALL(coll)           EVENT_CMD(0xd, 0, 0, coll)
#define MOVALL(from, to)                                           \
	{                                                          \
		{                                                  \
			0xe, 0, (u64)(from) << 16, (u64)(to) << 16 \
		}                                                  \
	}
#define DISCARD(dev, event) EVENT_CMD(0xf, dev, event, 0)

#define QUEUE               (WORLD_RAM + 0x200000)
#define QUEUE_SIZE          0x2000
#define DEV_TABLE           (WORLD_RAM + 0x210000)
#define COLL_TABLE          (WORLD_RAM + 0x220000)
#define CPUS                4

#define OPS_MAX             64

/* An ITS whose sink writes down what it is told; or one of the GIC's. */
struct bench {
	struct gic_world w;
	struct its *its;
	struct its_op ops[OPS_MAX];
	u32 nr; /* ops, ever */
	u32 begun, ended, asked;
	u32 at; /* where the guest writes its next command */
	bool user;
};

static void hush(void)
{
	int fd = open("/dev/null", O_WRONLY);

	dup2(fd, STDERR_FILENO);
	close(fd);
}

static void sink_begin(void *ctx)
{
	struct bench *b = ctx;

	ck_assert_uint_eq(b->begun, b->ended);
	b->begun++;
}

static void sink_op(void *ctx, const struct its_op *op)
{
	struct bench *b = ctx;

	ck_assert_uint_eq(b->begun, b->ended + 1);
	b->ops[b->nr++ % OPS_MAX] = *op;
}

static void sink_end(void *ctx)
{
	struct bench *b = ctx;

	b->ended++;
	ck_assert_uint_eq(b->begun, b->ended);
}

static void more(void *ctx)
{
	struct bench *b = ctx;

	if (b)
		b->asked++;
}

static struct its *make(struct bench *b, struct its_sink sink)
{
	struct its_setup s = {
		.cpus = CPUS,
		.lpi_bits = 14,
		.dma = dma_plain(&b->w.mem),
		.sink = sink,
		.more = more,
		.ctx = b,
	};
	struct err e;
	struct its *its = its_create(&s, &e);

	ck_assert_ptr_nonnull(its);
	return its;
}

static void create(struct bench *b, bool with_gic)
{
	struct its_sink sink = { sink_begin, sink_op, sink_end, b };

	memset(b, 0, sizeof(*b));
	world_init(&b->w, CPUS, 64, 14);
	b->user = with_gic;
	if (with_gic)
		sink = gic_its_sink(b->w.gic);
	b->its = make(b, sink);
}

static void fini(struct bench *b)
{
	its_destroy(b->its);
	world_fini(&b->w);
}

static u64 reg(struct bench *b, u32 off)
{
	return its_mmio.read(b->its, off, 8);
}

static void set_reg(struct bench *b, u32 off, u64 val)
{
	its_mmio.write(b->its, off, 8, val);
}

static void set_ctlr(struct bench *b, u32 val)
{
	its_mmio.write(b->its, I_CTLR, 4, val);
}

/* Tables for 512 devices and as many collections, a queue, on. */
static void boot(struct bench *b)
{
	u32 before = b->nr;

	set_reg(b, I_BASER0, VALID | DEV_TABLE);
	set_reg(b, I_BASER1, VALID | COLL_TABLE);
	set_reg(b, I_CBASER, VALID | QUEUE | (QUEUE_SIZE / 0x1000 - 1));
	set_ctlr(b, 1);
	/* Tables where none were make nobody forget. */
	ck_assert_uint_eq(b->nr - before, b->user ? 0 : 1);
	b->nr = b->begun = b->ended = 0;
	b->at = 0;
}

static void put(struct bench *b, const struct words *c)
{
	memcpy(b->w.ram + (QUEUE - WORLD_RAM) + b->at, c, sizeof(*c));
	b->at = (b->at + 32) % QUEUE_SIZE;
}

static void ring(struct bench *b)
{
	set_reg(b, I_CWRITER, b->at);
}

/* One command, done. */
static void run(struct bench *b, struct words c)
{
	put(b, &c);
	ring(b);
	ck_assert_uint_eq(reg(b, I_CREADR), b->at);
}
#define RUN(b, ...) run(b, (struct words)__VA_ARGS__)

START_TEST(lint)
{
	ck_assert_int_eq(regbank_lint(&its_bank), -1);
}
END_TEST

static const struct {
	u32 cpus, lpi_bits;
	const char *complaint;
} setups[] = {
	{ 1, 14, NULL },      { 512, 16, NULL },
	{ 0, 14, "0 CPUs" },  { 65535, 14, "65535 CPUs" },
	{ 1, 13, "13 bits" }, { 1, 17, "17 bits" },
	{ 1, 0, "0 bits" },
};

START_TEST(making)
{
	struct bench b = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(setups); i++) {
		struct its_setup s = {
			.cpus = setups[i].cpus,
			.lpi_bits = setups[i].lpi_bits,
			.sink = { sink_begin, sink_op, sink_end, &b },
		};
		struct err e = { 0 };
		struct its *its = its_create(&s, &e);

		ck_assert_msg(!its == !!setups[i].complaint, "%zu", i);
		ck_assert(its || strstr(e.msg, setups[i].complaint));
		ck_assert(its || e.code == -EINVAL);
		its_destroy(its);
	}
}
END_TEST

START_TEST(making_short_of_memory)
{
	struct its_setup s = { .cpus = 1, .lpi_bits = 14 };
	struct its *its = NULL;
	int n;

	for (n = 1; !its; n++) {
		struct err e = { 0 };

		memory_ends_at(n);
		its = its_create(&s, &e);
		memory_ends_at(0);
		ck_assert(its || e.code == -ENOMEM);
	}
	/* The ITS, leaves, branches. */
	ck_assert_int_eq(n - 1, 4);
	its_destroy(its);
}
END_TEST

/* --- registers --------------------------------------------------------- */

static const struct {
	u32 off;
	u64 reset, bits; /* bits that keep what is written */
} regs[] = {
	{ 0x0010, 0, 0 }, /* GITS_MPAMIDR */
	{ 0x0040, 0, 0 }, /* GITS_STATUSR */
	{ I_TYPER, 0x1ef71, 0 },
	{ I_CBASER, 0, 0xb8effffffffffcff },
	{ I_CREADR, 0, 0 },
	{ I_BASER0, 0x0107000000000000, 0xf8e0fffffffffeff },
	{ I_BASER1, 0x0407000000000000, 0xf8e0fffffffffeff },
	{ 0x0110, 0, 0 }, /* GITS_BASER2 */
	{ 0x0138, 0, 0 },
	{ 0x0180, 0, 0 },
};

START_TEST(registers)
{
	for (size_t i = 0; i < ARRAY_SIZE(regs); i++) {
		struct bench b;
		u32 off = regs[i].off;
		u64 keep = regs[i].reset & ~regs[i].bits;

		create(&b, false);
		ck_assert_msg(reg(&b, off) == regs[i].reset, "%#x: %#llx", off,
			      (unsigned long long)reg(&b, off));
		set_reg(&b, off, ~0ull);
		ck_assert_msg(reg(&b, off) == (keep | regs[i].bits),
			      "%#x: %#llx", off,
			      (unsigned long long)reg(&b, off));
		set_reg(&b, off, 0);
		ck_assert_msg(reg(&b, off) == keep, "%#x", off);
		/* In halves. */
		its_mmio.write(b.its, off + 4, 4, ~0u);
		ck_assert_uint_eq(reg(&b, off),
				  keep | (regs[i].bits & ~0ull << 32));
		ck_assert_uint_eq(its_mmio.read(b.its, off, 4), (u32)keep);
		fini(&b);
	}
}
END_TEST

START_TEST(control)
{
	struct bench b;

	hush();
	create(&b, false);
	ck_assert_uint_eq(its_mmio.read(b.its, I_IIDR, 4), 0x4200043b);
	ck_assert_uint_eq(its_mmio.read(b.its, I_PIDR2, 4), 0x3b);
	ck_assert_uint_eq(its_mmio.read(b.its, I_CTLR, 4), QUIESCENT);
	set_ctlr(&b, ~0u);
	ck_assert_uint_eq(its_mmio.read(b.its, I_CTLR, 4), 1);
	ck_assert_uint_eq(b.nr, 1);
	ck_assert_uint_eq(b.ops[0].kind, ITS_OP_ENABLE);
	set_ctlr(&b, 1);
	ck_assert_uint_eq(b.nr, 1);
	set_ctlr(&b, 0);
	ck_assert_uint_eq(its_mmio.read(b.its, I_CTLR, 4), QUIESCENT);
	ck_assert_uint_eq(b.ops[1].kind, ITS_OP_DISABLE);
	/* Sizes that are not taken. */
	its_mmio.write(b.its, I_CTLR, 1, 1);
	its_mmio.write(b.its, I_CTLR, 8, 1);
	its_mmio.write(b.its, I_CBASER, 2, 0xffff);
	ck_assert_uint_eq(b.nr, 2);
	ck_assert_uint_eq(reg(&b, I_CBASER), 0);
	/* A CPU's message has no DeviceID; nothing there is readable. */
	its_mmio.write(b.its, I_TRANSLATER, 4, 0);
	ck_assert_uint_eq(its_mmio.read(b.its, I_TRANSLATER, 4), 0);
	ck_assert_uint_eq(b.nr, 2);
	ck_assert_uint_eq(b.begun, 2);
	ck_assert_uint_eq(b.ended, 2);
	fini(&b);
}
END_TEST

/* What the ITS works with stays where it is. */
START_TEST(read_only_while_on)
{
	static const u32 offs[] = { I_CBASER, I_BASER0, I_BASER1 };
	struct bench b;

	create(&b, false);
	boot(&b);
	for (size_t i = 0; i < ARRAY_SIZE(offs); i++) {
		u64 was = reg(&b, offs[i]);

		set_reg(&b, offs[i], 0);
		ck_assert_uint_eq(reg(&b, offs[i]), was);
	}
	ck_assert_uint_eq(b.nr, 0);
	fini(&b);
}
END_TEST

/* The reserved size of pages is the largest. */
START_TEST(page_sizes)
{
	struct bench b;

	create(&b, false);
	for (u64 size = 0; size < 4; size++) {
		set_reg(&b, I_BASER0, size << 8);
		ck_assert_uint_eq(reg(&b, I_BASER0) >> 8 & 3, MIN(size, 2u));
	}
	fini(&b);
}
END_TEST

/* --- the queue --------------------------------------------------------- */

START_TEST(queue)
{
	struct bench b;

	hush();
	create(&b, false);
	boot(&b);
	/* Round it more than once, three at a time. */
	for (u32 n = 0; n < 1000; n++) {
		u32 before = b.nr;

		for (u32 i = 0; i < 3; i++)
			put(&b, &(struct words)MAPC(n % 512, i, true));
		ring(&b);
		ck_assert_uint_eq(reg(&b, I_CREADR), b.at);
		ck_assert_uint_eq(reg(&b, I_CWRITER), b.at);
		ck_assert_uint_eq(b.nr - before, 3);
		ck_assert_uint_eq(b.ended, n + 1);
		ck_assert_uint_eq(b.ops[(b.nr - 1) % OPS_MAX].coll, n % 512);
		ck_assert_uint_eq(b.ops[(b.nr - 1) % OPS_MAX].cpu, 2);
	}
	/* Beyond its end, and the retry bit. */
	set_reg(&b, I_CWRITER, QUEUE_SIZE);
	ck_assert_uint_eq(reg(&b, I_CWRITER), b.at);
	set_reg(&b, I_CWRITER, b.at | 1);
	ck_assert_uint_eq(reg(&b, I_CWRITER), b.at);
	ck_assert_uint_eq(b.nr, 3000);
	/* Off: commands wait. On: they run. */
	set_ctlr(&b, 0);
	put(&b, &(struct words)MAPC(1, 1, true));
	ring(&b);
	ck_assert_uint_ne(reg(&b, I_CREADR), b.at);
	ck_assert_uint_eq(b.nr, 3001);
	set_ctlr(&b, 1);
	ck_assert_uint_eq(reg(&b, I_CREADR), b.at);
	ck_assert_uint_eq(b.nr, 3003);
	/* A new queue is empty. */
	set_ctlr(&b, 0);
	set_reg(&b, I_CBASER, VALID | QUEUE);
	ck_assert_uint_eq(reg(&b, I_CREADR), 0);
	ck_assert_uint_eq(reg(&b, I_CWRITER), 0);
	/* One that is not valid is none. */
	set_reg(&b, I_CBASER, QUEUE);
	set_ctlr(&b, 1);
	set_reg(&b, I_CWRITER, 32);
	ck_assert_uint_eq(reg(&b, I_CREADR), 0);
	fini(&b);
}
END_TEST

/* A queue where no memory is: its commands are nothing, and it does not hang.
 */
START_TEST(queue_without_memory)
{
	struct bench b;

	hush();
	create(&b, false);
	set_reg(&b, I_CBASER, VALID | 0x1000);
	set_ctlr(&b, 1);
	set_reg(&b, I_CWRITER, 64);
	ck_assert_uint_eq(reg(&b, I_CREADR), 64);
	ck_assert_uint_eq(b.nr, 1);
	ck_assert_uint_eq(its_last_error(b.its), 0);
	fini(&b);
}
END_TEST

/* No more than a turn's share of work at once; the rest is asked for. */
START_TEST(shares)
{
	static const struct {
		struct words cmd;
		u32 most; /* how many of them are in a turn */
	} rows[] = {
		{ SYNC(0), 256 },
		{ MAPC(1, 1, true), 256 },
		{ INVALL(1), 4 },
		{ MOVALL(0, 1), 4 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bench b;
		u32 last = QUEUE_SIZE - 32, done, turns = 0;

		create(&b, false);
		set_reg(&b, I_BASER1, VALID | COLL_TABLE);
		set_reg(&b, I_CBASER, VALID | QUEUE | 1);
		set_ctlr(&b, 1);
		RUN(&b, MAPC(1, 1, true));
		while (b.at != 0)
			put(&b, &rows[i].cmd);
		b.asked = 0;
		set_reg(&b, I_CWRITER, last);
		done = (u32)reg(&b, I_CREADR) / 32 - 1;
		ck_assert_uint_eq(done, MIN(rows[i].most, last / 32 - 1));
		ck_assert_uint_eq(b.asked, done * 32 + 32 != last);
		do
			turns++;
		while (its_run(b.its));
		ck_assert_uint_eq(reg(&b, I_CREADR), last);
		ck_assert_uint_le(turns, QUEUE_SIZE / 32 / done + 1);
		ck_assert(!its_run(b.its));
		fini(&b);
	}
}
END_TEST

/* A device with many events takes its time to go. */
START_TEST(turn_of_unmapping)
{
	struct bench b;

	create(&b, false);
	boot(&b);
	RUN(&b, MAPD(1, 16, true));
	for (u32 i = 0; i < 300; i++)
		RUN(&b, MAPTI(1, i, 8192 + i, 0));
	put(&b, &(struct words)MAPD(1, 16, false));
	put(&b, &(struct words)SYNC(0));
	ring(&b);
	ck_assert_uint_eq(b.asked, 1);
	ck_assert_uint_ne(reg(&b, I_CREADR), b.at);
	ck_assert(!its_run(b.its));
	fini(&b);
}
END_TEST

/* --- commands ---------------------------------------------------------- */

#define NO ITS_NO_CPU
/* In the place of a kind: nothing comes of it. */
#define NONE 99

/*
 * Before each row, devices 8 (events of 5 bits) and 9 (16 bits) are mapped, and
 * events 3, 4 and 5 of device 8 to LPIs 8200, 8201 and 8202 in collections 1, 2
 * and 7; 1 and 2 are at CPU 1 and 2, 7 is nowhere.
 */
static const struct {
	const char *what;
	struct words cmd;
	u32 error;
	struct its_op op;
} rows[] = {
	{ "new device",
	  MAPD(100, 1, true),
	  0,
	  { ITS_OP_MAPD, 100, 0, 1, 0, 0, 0, 0 } },
	{ "mapped device",
	  MAPD(8, 4, true),
	  0,
	  { ITS_OP_MAPD, 8, 0, 4, 0, 0, 0, 0 } },
	{ "unmap", MAPD(8, 5, false), 0, { ITS_OP_MAPD, 8, 0, 0, 0, 0, 0, 0 } },
	{ "unmap nothing",
	  MAPD(10, 1, false),
	  0,
	  { ITS_OP_MAPD, 10, 0, 0, 0, 0, 0, 0 } },
	{ "unmap, any size",
	  MAPD(8, 32, false),
	  0,
	  { ITS_OP_MAPD, 8, 0, 0, 0, 0, 0, 0 } },
	{ "last device",
	  MAPD(511, 16, true),
	  0,
	  { ITS_OP_MAPD, 511, 0, 16, 0, 0, 0, 0 } },
	{ "device beyond", MAPD(512, 1, true), 0x010801, { .kind = NONE } },
	{ "device beyond", MAPD(512, 1, false), 0x010801, { .kind = NONE } },
	{ "device of 17 bits",
	  MAPD(0x10008, 1, true),
	  0x010801,
	  { .kind = NONE } },
	{ "device of 32 bits", MAPD(~0u, 1, true), 0x010801, { .kind = NONE } },
	{ "17 bits of events", MAPD(8, 17, true), 0x010802, { .kind = NONE } },
	{ "32 bits of events", MAPD(8, 32, true), 0x010802, { .kind = NONE } },

	{ "new collection",
	  MAPC(5, 3, true),
	  0,
	  { ITS_OP_MAPC, 0, 0, 0, 0, 5, 3, 0 } },
	{ "another target",
	  MAPC(1, 0, true),
	  0,
	  { ITS_OP_MAPC, 0, 0, 0, 0, 1, 0, 0 } },
	{ "unmap",
	  MAPC(1, 0, false),
	  0,
	  { ITS_OP_MAPC, 0, 0, 0, 0, 1, NO, 0 } },
	{ "unmap, any CPU",
	  MAPC(1, 99, false),
	  0,
	  { ITS_OP_MAPC, 0, 0, 0, 0, 1, NO, 0 } },
	{ "unmap nothing",
	  MAPC(6, 0, false),
	  0,
	  { ITS_OP_MAPC, 0, 0, 0, 0, 6, NO, 0 } },
	{ "last collection",
	  MAPC(511, 0, true),
	  0,
	  { ITS_OP_MAPC, 0, 0, 0, 0, 511, 0, 0 } },
	{ "no such CPU", MAPC(5, 4, true), 0x010902, { .kind = NONE } },
	{ "an address",
	  MAPC(5, 0x80010000 >> 4, true),
	  0x010902,
	  { .kind = NONE } },
	{ "CPU of 33 bits",
	  MAPC(5, 1ull << 32, true),
	  0x010902,
	  { .kind = NONE } },
	{ "beyond", MAPC(512, 0, true), 0x010903, { .kind = NONE } },
	{ "beyond", MAPC(65535, 0, false), 0x010903, { .kind = NONE } },

	{ "new event",
	  MAPTI(8, 0, 8192, 1),
	  0,
	  { ITS_OP_MAPTI, 8, 0, 0, 8192, 1, 1, 0 } },
	{ "last event, last LPI",
	  MAPTI(8, 31, 16383, 2),
	  0,
	  { ITS_OP_MAPTI, 8, 31, 0, 16383, 2, 2, 0 } },
	{ "of another device",
	  MAPTI(9, 3, 8200, 1),
	  0,
	  { ITS_OP_MAPTI, 9, 3, 0, 8200, 1, 1, 0 } },
	{ "to nowhere yet",
	  MAPTI(8, 6, 8300, 7),
	  0,
	  { ITS_OP_MAPTI, 8, 6, 0, 8300, 7, NO, 0 } },
	{ "mapped event", MAPTI(8, 3, 8300, 2), 0, { .kind = NONE } },
	{ "device beyond", MAPTI(512, 0, 8192, 1), 0x010a01, { .kind = NONE } },
	{ "beyond", MAPTI(8, 0, 8192, 512), 0x010a03, { .kind = NONE } },
	{ "no device", MAPTI(10, 0, 8192, 1), 0x010a04, { .kind = NONE } },
	{ "event beyond", MAPTI(8, 32, 8192, 1), 0x010a05, { .kind = NONE } },
	{ "event of 32 bits",
	  MAPTI(9, ~0u, 8192, 1),
	  0x010a05,
	  { .kind = NONE } },
	{ "no LPI", MAPTI(8, 0, 8191, 1), 0x010a06, { .kind = NONE } },
	{ "an SPI", MAPTI(8, 0, 40, 1), 0x010a06, { .kind = NONE } },
	{ "LPI beyond", MAPTI(8, 0, 16384, 1), 0x010a06, { .kind = NONE } },
	{ "LPI of 32 bits", MAPTI(8, 0, ~0u, 1), 0x010a06, { .kind = NONE } },

	{ "the same number",
	  MAPI(9, 8192, 1),
	  0,
	  { ITS_OP_MAPTI, 9, 8192, 0, 8192, 1, 1, 0 } },
	{ "last",
	  MAPI(9, 16383, 1),
	  0,
	  { ITS_OP_MAPTI, 9, 16383, 0, 16383, 1, 1, 0 } },
	{ "no LPI", MAPI(8, 0, 1), 0x010b06, { .kind = NONE } },
	{ "LPI beyond", MAPI(9, 16384, 1), 0x010b06, { .kind = NONE } },
	{ "event beyond", MAPI(8, 8192, 1), 0x010b05, { .kind = NONE } },

	{ "move", MOVI(8, 3, 2), 0, { ITS_OP_MOVI, 8, 3, 0, 8200, 2, 1, 2 } },
	{ "to where it is",
	  MOVI(8, 3, 1),
	  0,
	  { ITS_OP_MOVI, 8, 3, 0, 8200, 1, 1, 1 } },
	{ "device beyond", MOVI(512, 3, 2), 0x010101, { .kind = NONE } },
	{ "beyond", MOVI(8, 3, 512), 0x010103, { .kind = NONE } },
	{ "no device", MOVI(10, 3, 2), 0x010104, { .kind = NONE } },
	{ "event beyond", MOVI(8, 32, 2), 0x010105, { .kind = NONE } },
	{ "no event", MOVI(8, 0, 2), 0x010107, { .kind = NONE } },
	{ "to nowhere", MOVI(8, 3, 7), 0x010109, { .kind = NONE } },
	{ "from nowhere", MOVI(8, 5, 1), 0x010109, { .kind = NONE } },

	{ "move all", MOVALL(1, 3), 0, { ITS_OP_MOVALL, 0, 0, 0, 0, 0, 1, 3 } },
	{ "to itself",
	  MOVALL(1, 1),
	  0,
	  { ITS_OP_MOVALL, 0, 0, 0, 0, 0, 1, 1 } },
	{ "from no CPU", MOVALL(4, 0), 0x010e01, { .kind = NONE } },
	{ "to no CPU", MOVALL(0, 4), 0x010e01, { .kind = NONE } },
	{ "CPU of 33 bits", MOVALL(0, 1ull << 32), 0x010e01, { .kind = NONE } },

	{ "raise", INT(8, 3), 0, { ITS_OP_INT, 8, 3, 0, 8200, 1, 1, 0 } },
	{ "device beyond", INT(512, 3), 0x010301, { .kind = NONE } },
	{ "no device", INT(10, 3), 0x010304, { .kind = NONE } },
	{ "event beyond", INT(8, 32), 0x010305, { .kind = NONE } },
	{ "no event", INT(8, 0), 0x010307, { .kind = NONE } },
	{ "to nowhere", INT(8, 5), 0x010307, { .kind = NONE } },

	{ "clear", CLEAR(8, 4), 0, { ITS_OP_CLEAR, 8, 4, 0, 8201, 2, 2, 0 } },
	{ "nowhere",
	  CLEAR(8, 5),
	  0,
	  { ITS_OP_CLEAR, 8, 5, 0, 8202, 7, NO, 0 } },
	{ "device beyond", CLEAR(65535, 3), 0x010501, { .kind = NONE } },
	{ "no device", CLEAR(10, 3), 0x010504, { .kind = NONE } },
	{ "event beyond", CLEAR(8, 32), 0x010505, { .kind = NONE } },
	{ "no event", CLEAR(8, 0), 0x010507, { .kind = NONE } },

	{ "discard",
	  DISCARD(8, 4),
	  0,
	  { ITS_OP_DISCARD, 8, 4, 0, 8201, 2, 2, 0 } },
	{ "nowhere",
	  DISCARD(8, 5),
	  0,
	  { ITS_OP_DISCARD, 8, 5, 0, 8202, 7, NO, 0 } },
	{ "device beyond", DISCARD(512, 3), 0x010f01, { .kind = NONE } },
	{ "no device", DISCARD(10, 3), 0x010f04, { .kind = NONE } },
	{ "event beyond", DISCARD(8, 32), 0x010f05, { .kind = NONE } },
	{ "no event", DISCARD(8, 0), 0x010f07, { .kind = NONE } },

	{ "invalidate", INV(8, 3), 0, { ITS_OP_INV, 8, 3, 0, 8200, 1, 1, 0 } },
	{ "nowhere", INV(8, 5), 0, { ITS_OP_INV, 8, 5, 0, 8202, 7, NO, 0 } },
	{ "device beyond", INV(512, 3), 0x010c01, { .kind = NONE } },
	{ "no device", INV(10, 3), 0x010c04, { .kind = NONE } },
	{ "event beyond", INV(8, 32), 0x010c05, { .kind = NONE } },
	{ "no event", INV(8, 0), 0x010c07, { .kind = NONE } },

	{ "invalidate all",
	  INVALL(2),
	  0,
	  { ITS_OP_INVALL, 0, 0, 0, 0, 2, 2, 0 } },
	{ "beyond", INVALL(512), 0x010d03, { .kind = NONE } },
	{ "nowhere", INVALL(7), 0x010d09, { .kind = NONE } },

	{ "synchronise", SYNC(1), 0, { .kind = NONE } },
	{ "with no CPU", SYNC(99), 0, { .kind = NONE } },

	{ "command 0",
	  { { 0, 0, 0, 0 } },
	  ITS_UNKNOWN_COMMAND,
	  { .kind = NONE } },
	{ "command 2",
	  { { 2, 0, 0, 0 } },
	  ITS_UNKNOWN_COMMAND,
	  { .kind = NONE } },
	{ "a virtual one",
	  { { 0x2a, 0, 0, 0 } },
	  ITS_UNKNOWN_COMMAND,
	  { .kind = NONE } },
	{ "command 255",
	  { { ~0ull, ~0ull, ~0ull, ~0ull } },
	  ITS_UNKNOWN_COMMAND,
	  { .kind = NONE } },
};

static void map_some(struct bench *b)
{
	RUN(b, MAPC(1, 1, true));
	RUN(b, MAPC(2, 2, true));
	RUN(b, MAPD(8, 5, true));
	RUN(b, MAPD(9, 16, true));
	RUN(b, MAPTI(8, 3, 8200, 1));
	RUN(b, MAPTI(8, 4, 8201, 2));
	RUN(b, MAPTI(8, 5, 8202, 7));
	ck_assert_uint_eq(its_last_error(b->its), 0);
	b->nr = 0;
}

START_TEST(commands)
{
	hush();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bool none = rows[i].op.kind == NONE;
		struct bench b;

		create(&b, false);
		boot(&b);
		map_some(&b);
		run(&b, rows[i].cmd);
		ck_assert_msg(its_last_error(b.its) == rows[i].error,
			      "%zu, %s: %#x", i, rows[i].what,
			      its_last_error(b.its));
		ck_assert_msg(its_faults(b.its) == !!rows[i].error, "%zu, %s",
			      i, rows[i].what);
		ck_assert_msg(b.nr == !none, "%zu, %s", i, rows[i].what);
		ck_assert_msg(none || !memcmp(&b.ops[0], &rows[i].op,
					      sizeof(b.ops[0])),
			      "%zu, %s", i, rows[i].what);
		fini(&b);
	}
}
END_TEST

/* Where events 3 and 4 of device 8 go, after. */
static const struct {
	const char *what;
	struct words cmd;
	u32 lpi3, cpu3, lpi4;
} afterwards[] = {
	{ "nothing", SYNC(0), 8200, 1, 8201 },
	{ "device again", MAPD(8, 5, true), 0, 0, 0 },
	{ "device gone", MAPD(8, 5, false), 0, 0, 0 },
	{ "another gone", MAPD(9, 5, false), 8200, 1, 8201 },
	{ "too large", MAPD(8, 17, true), 8200, 1, 8201 },
	{ "collection elsewhere", MAPC(1, 3, true), 8200, 3, 8201 },
	{ "collection gone", MAPC(1, 0, false), 0, 0, 8201 },
	{ "mapped twice", MAPTI(8, 3, 8300, 2), 8200, 1, 8201 },
	{ "moved", MOVI(8, 3, 2), 8200, 2, 8201 },
	{ "moved to nowhere", MOVI(8, 3, 7), 8200, 1, 8201 },
	{ "discarded", DISCARD(8, 3), 0, 0, 8201 },
	{ "cleared", CLEAR(8, 3), 8200, 1, 8201 },
	{ "moved all", MOVALL(1, 2), 8200, 1, 8201 },
};

static void check_route(struct bench *b, const char *what, u32 event, u32 lpi,
			u32 cpu)
{
	u32 lpi_is, cpu_is, before = b->nr;
	bool there = its_translate(b->its, 8, event, &lpi_is, &cpu_is);

	ck_assert_msg(there == !!lpi, "%s: event %u", what, event);
	ck_assert_msg(!there || lpi_is == lpi, "%s: LPI %u", what, lpi_is);
	ck_assert_msg(!there || !cpu || cpu_is == cpu, "%s: CPU %u", what,
		      cpu_is);
	ck_assert(its_send(b->its, 8, event) == there);
	ck_assert_uint_eq(b->nr - before, there);
	if (there) {
		const struct its_op *op = &b->ops[before % OPS_MAX];

		ck_assert_uint_eq(op->kind, ITS_OP_INT);
		ck_assert_uint_eq(op->lpi, lpi_is);
		ck_assert_uint_eq(op->cpu, cpu_is);
	}
}

START_TEST(messages)
{
	u32 lpi, cpu;

	hush();
	for (size_t i = 0; i < ARRAY_SIZE(afterwards); i++) {
		struct bench b;

		create(&b, false);
		boot(&b);
		map_some(&b);
		run(&b, afterwards[i].cmd);
		check_route(&b, afterwards[i].what, 3, afterwards[i].lpi3,
			    afterwards[i].cpu3);
		check_route(&b, afterwards[i].what, 4, afterwards[i].lpi4, 2);
		check_route(&b, afterwards[i].what, 5, 0, 0);
		check_route(&b, afterwards[i].what, 32, 0, 0);
		ck_assert(!its_translate(b.its, 9, 3, &lpi, &cpu));
		ck_assert(!its_translate(b.its, 512, 3, &lpi, &cpu));
		ck_assert(!its_translate(b.its, ~0u, ~0u, &lpi, &cpu));
		set_ctlr(&b, 0);
		check_route(&b, "off", 3, 0, 0);
		set_ctlr(&b, 1);
		check_route(&b, "on", 3, afterwards[i].lpi3,
			    afterwards[i].cpu3);
		fini(&b);
	}
}
END_TEST

/* As many events as LPIs, 8192 of 14 bits, and not one more. */
START_TEST(full)
{
	struct bench b;

	hush();
	create(&b, false);
	boot(&b);
	RUN(&b, MAPC(0, 0, true));
	RUN(&b, MAPD(9, 16, true));
	RUN(&b, MAPD(8, 16, true));
	for (u32 i = 0; i < 8192; i++)
		RUN(&b, MAPTI(9, i, 8192, 0));
	ck_assert_uint_eq(its_last_error(b.its), 0);
	RUN(&b, MAPTI(8, 7, 8193, 0));
	ck_assert_uint_eq(its_last_error(b.its), 0x010a05);
	RUN(&b, DISCARD(9, 17));
	RUN(&b, MAPTI(8, 7, 8193, 0));
	ck_assert(its_send(b.its, 8, 7));
	ck_assert(!its_send(b.its, 9, 17));
	ck_assert(its_send(b.its, 9, 18));
	RUN(&b, MAPD(9, 16, false));
	while (its_run(b.its))
		;
	for (u32 i = 0; i < 8191; i++)
		RUN(&b, MAPTI(8, 8 + i, 8193, 0));
	ck_assert(its_send(b.its, 8, 8 + 8190));
	/* A new table has room for all again. */
	set_ctlr(&b, 0);
	set_reg(&b, I_BASER0, VALID | COLL_TABLE);
	set_ctlr(&b, 1);
	RUN(&b, MAPD(9, 16, true));
	for (u32 i = 0; i < 8192; i++)
		RUN(&b, MAPTI(9, i, 8192, 0));
	ck_assert(its_send(b.its, 9, 8191));
	fini(&b);
}
END_TEST

/* --- tables ------------------------------------------------------------ */

/* Ids that are there, and are not, by size; in tables of eight-byte entries. */
static const struct {
	u64 baser;
	u32 last; /* 0: none */
} sizes[] = {
	{ 0, 0 },
	{ VALID, 511 },
	{ VALID | 1, 1023 },
	{ VALID | 255, 65535 },
	{ VALID | PAGE_16K, 2047 },
	{ VALID | PAGE_16K | 1, 4095 },
	{ VALID | PAGE_64K, 8191 },
	{ VALID | PAGE_64K | 7, 65535 },
	{ VALID | PAGE_64K | 255, 65535 },
};

START_TEST(flat_tables)
{
	hush();
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct bench b;
		u32 last = sizes[i].last;

		create(&b, false);
		boot(&b);
		set_ctlr(&b, 0);
		set_reg(&b, I_BASER0, DEV_TABLE | sizes[i].baser);
		set_reg(&b, I_BASER1, COLL_TABLE | sizes[i].baser);
		set_ctlr(&b, 1);
		b.nr = 0;
		RUN(&b, MAPD(last, 1, true));
		RUN(&b, MAPC(last, 1, true));
		ck_assert_uint_eq(b.nr, last ? 2 : 0);
		RUN(&b, MAPD(last + 1, 1, true));
		ck_assert_uint_eq(its_last_error(b.its), 0x010801);
		if (last < 65535) {
			RUN(&b, MAPC(last + 1, 1, true));
			ck_assert_uint_eq(its_last_error(b.its), 0x010903);
		}
		ck_assert_uint_eq(b.nr, last ? 2 : 0);
		fini(&b);
	}
}
END_TEST

/* Two levels: what an entry of the first says, page by page. */
static const struct {
	u64 page;
	u32 ids; /* in a page */
} levels[] = { { 0, 512 }, { PAGE_16K, 2048 }, { PAGE_64K, 8192 } };

static void set_l1(struct bench *b, u64 table, u32 entry, u64 val)
{
	memcpy(b->w.ram + (table - WORLD_RAM) + 8 * entry, &val, 8);
}

START_TEST(two_levels)
{
	hush();
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		u32 ids = levels[i].ids, end = MIN(ids * 512, 65536);
		struct bench b;

		create(&b, false);
		boot(&b);
		set_ctlr(&b, 0);
		set_reg(&b, I_BASER0,
			DEV_TABLE | VALID | INDIRECT | levels[i].page);
		set_reg(&b, I_BASER1,
			COLL_TABLE | VALID | INDIRECT | levels[i].page);
		set_ctlr(&b, 1);
		b.nr = 0;
		RUN(&b, MAPD(0, 1, true));
		ck_assert_uint_eq(its_last_error(b.its), 0x010801);
		RUN(&b, MAPC(0, 1, true));
		ck_assert_uint_eq(its_last_error(b.its), 0x010903);
		set_l1(&b, DEV_TABLE, 1, VALID | WORLD_RAM);
		set_l1(&b, DEV_TABLE, 2, ~VALID);
		set_l1(&b, DEV_TABLE, (end - 1) / ids, VALID);
		set_l1(&b, COLL_TABLE, 3, VALID);
		RUN(&b, MAPD(ids - 1, 1, true));
		RUN(&b, MAPD(2 * ids, 1, true));
		RUN(&b, MAPC(4 * ids, 1, true));
		ck_assert_uint_eq(b.nr, 0);
		RUN(&b, MAPD(ids, 1, true));
		RUN(&b, MAPD(2 * ids - 1, 1, true));
		RUN(&b, MAPD(end - 1, 1, true));
		RUN(&b, MAPC(3 * ids, 1, true));
		ck_assert_uint_eq(b.nr, 4);
		/* What is mapped stays so, whatever the table says later. */
		set_l1(&b, DEV_TABLE, 1, 0);
		RUN(&b, MAPTI(ids, 0, 8192, 3 * ids));
		ck_assert(its_send(b.its, ids, 0));
		RUN(&b, MAPD(ids, 1, false));
		ck_assert_uint_eq(its_last_error(b.its), 0x010801);
		fini(&b);
	}
}
END_TEST

/* A first level where no memory is has no entries. */
START_TEST(first_level_without_memory)
{
	struct bench b;

	hush();
	create(&b, false);
	boot(&b);
	set_ctlr(&b, 0);
	memset(b.w.ram, 0xff, WORLD_RAM_SIZE);
	/* Bits 15:12 are PA[51:48]. */
	set_reg(&b, I_BASER0, VALID | INDIRECT | PAGE_64K | WORLD_RAM | 0x1000);
	set_reg(&b, I_BASER1, VALID | INDIRECT);
	set_ctlr(&b, 1);
	b.nr = 0;
	RUN(&b, MAPD(0, 1, true));
	RUN(&b, MAPC(0, 1, true));
	ck_assert_uint_eq(b.nr, 0);
	set_ctlr(&b, 0);
	/* Those of 16 KiB have the bits below as zero. */
	set_reg(&b, I_BASER0, VALID | INDIRECT | PAGE_64K | WORLD_RAM);
	set_reg(&b, I_BASER1, VALID | INDIRECT | PAGE_16K | WORLD_RAM | 0x3000);
	set_ctlr(&b, 1);
	memset(b.w.ram + 0x3000, 0, 8);
	b.nr = 0;
	RUN(&b, MAPD(0, 1, true));
	RUN(&b, MAPC(0, 1, true));
	ck_assert_uint_eq(b.nr, 2);
	fini(&b);
}
END_TEST

/* Writes to a GITS_BASER while the ITS is off, and if what was mapped stays. */
static const struct {
	u64 baser;
	bool stays;
} rewrites[] = {
	{ VALID | DEV_TABLE, true },
	{ VALID | DEV_TABLE | 7ull << 59 | 3 << 10, true },
	{ VALID | DEV_TABLE | 1, false },
	{ VALID | DEV_TABLE | PAGE_16K, false },
	{ VALID | DEV_TABLE | INDIRECT, false },
	{ VALID | (DEV_TABLE + 0x1000), false },
	{ DEV_TABLE, false },
	{ 0, false },
};

START_TEST(moved_tables)
{
	hush();
	for (u32 i = 0; i < 2 * ARRAY_SIZE(rewrites); i++) {
		u64 to = rewrites[i / 2].baser;
		bool stays = rewrites[i / 2].stays, colls = i % 2;
		u32 off = colls ? I_BASER1 : I_BASER0;
		struct bench b;

		create(&b, false);
		boot(&b);
		map_some(&b);
		set_ctlr(&b, 0);
		set_reg(&b, off, VALID | (colls ? COLL_TABLE : DEV_TABLE));
		ck_assert_uint_eq(b.nr, 1);
		if (to && colls)
			to += COLL_TABLE - DEV_TABLE;
		set_reg(&b, off, to);
		ck_assert_msg(b.nr == (stays ? 1 : 2), "%u", i);
		if (!stays)
			ck_assert_uint_eq(b.ops[1].kind,
					  colls ? ITS_OP_FORGET_COLLECTIONS
						: ITS_OP_FORGET_DEVICES);
		/* As it was, but perhaps empty. */
		set_reg(&b, off, VALID | (colls ? COLL_TABLE : DEV_TABLE));
		set_ctlr(&b, 1);
		ck_assert_msg(its_send(b.its, 8, 3) == stays, "%u", i);
		/* Devices are gone, or not. */
		RUN(&b, MAPTI(8, 9, 8209, 1));
		ck_assert_uint_eq(its_last_error(b.its),
				  stays || colls ? 0 : 0x010a04);
		/* Events survive collections. */
		RUN(&b, MAPC(1, 3, true));
		ck_assert(its_send(b.its, 8, 3) == (stays || colls));
		fini(&b);
	}
}
END_TEST

START_TEST(reset)
{
	struct bench b;

	hush();
	create(&b, false);
	boot(&b);
	map_some(&b);
	RUN(&b, INT(99, 0));
	b.nr = 0;
	its_reset(b.its);
	ck_assert_uint_eq(b.nr, 3);
	ck_assert_uint_eq(b.ops[0].kind, ITS_OP_DISABLE);
	ck_assert_uint_eq(b.ops[1].kind, ITS_OP_FORGET_DEVICES);
	ck_assert_uint_eq(b.ops[2].kind, ITS_OP_FORGET_COLLECTIONS);
	ck_assert_uint_eq(its_mmio.read(b.its, I_CTLR, 4), QUIESCENT);
	ck_assert_uint_eq(its_last_error(b.its), 0);
	for (size_t i = 0; i < ARRAY_SIZE(regs); i++)
		ck_assert_uint_eq(reg(&b, regs[i].off), regs[i].reset);
	ck_assert_uint_eq(reg(&b, I_CWRITER), 0);
	boot(&b);
	ck_assert(!its_send(b.its, 8, 3));
	fini(&b);
}
END_TEST

/* --- with a GIC -------------------------------------------------------- */

START_TEST(user)
{
	struct bench b;

	hush();
	create(&b, true);
	for (u32 i = 8192; i < 8300; i++)
		*world_config(&b.w, i) = 0xa1;
	world_boot(&b.w);
	boot(&b);
	map_some(&b);
	/* A message, and a command. */
	ck_assert(its_send(b.its, 8, 3));
	ck_assert_uint_eq(icc(&b.w, 1, IAR1), 8200);
	icc_set(&b.w, 1, EOIR1, 8200);
	RUN(&b, INT(8, 3));
	ck_assert_uint_eq(b.w.out[1], GIC_OUT_IRQ);
	/* It moves when it is pending, and later ones go there. */
	RUN(&b, MOVI(8, 3, 2));
	ck_assert_uint_eq(b.w.out[1], 0);
	ck_assert_uint_eq(icc(&b.w, 2, IAR1), 8200);
	icc_set(&b.w, 2, EOIR1, 8200);
	ck_assert(its_send(b.its, 8, 3));
	ck_assert(its_send(b.its, 8, 4));
	ck_assert_uint_eq(b.w.out[2], GIC_OUT_IRQ);
	RUN(&b, CLEAR(8, 3));
	ck_assert_uint_eq(icc(&b.w, 2, HPPIR1), 8201);
	RUN(&b, DISCARD(8, 4));
	ck_assert_uint_eq(b.w.out[2], 0);
	/* Configuration is read when the guest says so. */
	its_send(b.its, 8, 3);
	*world_config(&b.w, 8200) = 0;
	ck_assert_uint_eq(b.w.out[2], GIC_OUT_IRQ);
	RUN(&b, INV(8, 3));
	ck_assert_uint_eq(b.w.out[2], 0);
	*world_config(&b.w, 8200) = 0xa1;
	RUN(&b, INVALL(1));
	ck_assert_uint_eq(b.w.out[2], GIC_OUT_IRQ);
	RUN(&b, MOVALL(2, 3));
	ck_assert_uint_eq(b.w.out[2], 0);
	ck_assert_uint_eq(icc(&b.w, 3, IAR1), 8200);
	/* To nowhere: nothing happens at any CPU. */
	RUN(&b, CLEAR(8, 5));
	RUN(&b, DISCARD(8, 5));
	fini(&b);
}
END_TEST

/* --- behind another ---------------------------------------------------- */

/*
 * A second ITS that does over again what the first tells its sink, by commands
 * of its own in memory of its own: as `split` has the kernel's.
 */
#define HIDDEN_QUEUE 0x0ull
#define HIDDEN_DEVS  0x100000ull
#define HIDDEN_COLLS 0x180000ull
#define HIDDEN_SIZE  0x200000ull
#define FLAT_64K     (VALID | PAGE_64K | 7)

struct hidden {
	struct its *its;
	struct gmem mem;
	u8 *ram;
	u32 at;
	bool on;
};

static void nothing(void *ctx, const struct its_op *op)
{
}

static void hidden_reg(struct hidden *h, u32 off, u32 size, u64 val)
{
	its_mmio.write(h->its, off, size, val);
}

static void hidden_run(struct hidden *h)
{
	hidden_reg(h, I_CWRITER, 8, h->at);
	while (its_run(h->its))
		;
	ck_assert_uint_eq(its_mmio.read(h->its, I_CREADR, 8), h->at);
	ck_assert_uint_eq(its_last_error(h->its), 0);
}

static void hidden_put(struct hidden *h, struct words c)
{
	memcpy(h->ram + HIDDEN_QUEUE + h->at, &c, sizeof(c));
	h->at = (h->at + 32) % 0x10000;
	if (h->at % 0x400 == 0)
		hidden_run(h);
}
#define PUT(h, ...) hidden_put(h, (struct words)__VA_ARGS__)

/* A table that was away for a moment is empty. */
static void hidden_forget(struct hidden *h, u32 off, u64 table)
{
	hidden_run(h);
	hidden_reg(h, I_CTLR, 4, 0);
	hidden_reg(h, off, 8, 0);
	hidden_reg(h, off, 8, table | FLAT_64K);
	hidden_reg(h, I_CTLR, 4, 1);
}

static void hidden_op(void *ctx, const struct its_op *op)
{
	bool cpu = op->cpu != ITS_NO_CPU;
	struct hidden *h = ctx;

	switch (op->kind) {
	case ITS_OP_ENABLE:
	case ITS_OP_DISABLE:
		h->on = op->kind == ITS_OP_ENABLE;
		break;
	case ITS_OP_FORGET_DEVICES:
		hidden_forget(h, I_BASER0, HIDDEN_DEVS);
		break;
	case ITS_OP_FORGET_COLLECTIONS:
		hidden_forget(h, I_BASER1, HIDDEN_COLLS);
		break;
	case ITS_OP_MAPD:
		PUT(h, MAPD(op->dev, op->bits ? op->bits : 1, op->bits));
		break;
	case ITS_OP_MAPC:
		PUT(h, MAPC(op->coll, cpu ? op->cpu : 0, cpu));
		break;
	case ITS_OP_MAPTI:
		PUT(h, MAPTI(op->dev, op->event, op->lpi, op->coll));
		break;
	case ITS_OP_MOVI:
		PUT(h, MOVI(op->dev, op->event, op->coll));
		break;
	case ITS_OP_MOVALL:
		PUT(h, MOVALL(op->cpu, op->to));
		break;
	case ITS_OP_DISCARD:
		PUT(h, DISCARD(op->dev, op->event));
		break;
	case ITS_OP_CLEAR:
		PUT(h, CLEAR(op->dev, op->event));
		break;
	case ITS_OP_INV:
		PUT(h, INV(op->dev, op->event));
		break;
	case ITS_OP_INT:
		PUT(h, INT(op->dev, op->event));
		break;
	case ITS_OP_INVALL:
		PUT(h, INVALL(op->coll));
		break;
	}
}

static void hidden_end(void *ctx)
{
	hidden_run(ctx);
}

static void hidden_init(struct hidden *h)
{
	struct its_setup s = {
		.cpus = CPUS,
		.lpi_bits = 14,
		.dma = dma_plain(&h->mem),
		.sink = { .op = nothing },
	};
	struct err e;

	s.more = more;
	memset(h, 0, sizeof(*h));
	h->ram = calloc(1, HIDDEN_SIZE);
	ck_assert_ptr_nonnull(h->ram);
	ck_assert(!gmem_add(&h->mem, 0, HIDDEN_SIZE, h->ram));
	h->its = its_create(&s, &e);
	ck_assert_ptr_nonnull(h->its);
	hidden_reg(h, I_BASER0, 8, HIDDEN_DEVS | FLAT_64K);
	hidden_reg(h, I_BASER1, 8, HIDDEN_COLLS | FLAT_64K);
	hidden_reg(h, I_CBASER, 8, VALID | HIDDEN_QUEUE | 15);
	hidden_reg(h, I_CTLR, 4, 1);
}

static void hidden_fini(struct hidden *h)
{
	its_destroy(h->its);
	free(h->ram);
}

/* --- any sequence ------------------------------------------------------ */

/* The maps as plain arrays, of a few ids at the edges of what there is. */
#define M_DEVS   5
#define M_EVENTS 6
#define M_COLLS  4

static const u32 m_dev[M_DEVS] = { 0, 8, 511, 512, 65535 };
static const u32 m_event[M_EVENTS] = { 0, 1, 31, 32, 65535, 65536 };
static const u32 m_coll[M_COLLS] = { 0, 7, 511, 512 };

struct m_event {
	u32 lpi; /* 0: not mapped */
	u32 coll;
};

struct model {
	u32 bits[M_DEVS];
	struct m_event event[M_DEVS][M_EVENTS];
	u32 cpu[M_COLLS]; /* ITS_NO_CPU */
	bool on;
};

static u64 seed;

static u32 dice(u32 sides)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(seed >> 33) % sides;
}

static bool m_dev_ok(const struct model *m, u32 d, u32 e)
{
	return m_dev[d] < 512 && m->bits[d] && m_event[e] < 1ull << m->bits[d];
}

static bool m_mapped(const struct model *m, u32 d, u32 e)
{
	return m_dev_ok(m, d, e) && m->event[d][e].lpi;
}

static void m_check(struct its *its, const struct model *m, bool on)
{
	for (u32 d = 0; d < M_DEVS; d++)
		for (u32 e = 0; e < M_EVENTS; e++) {
			const struct m_event *ev = &m->event[d][e];
			u32 lpi, cpu;
			bool want = on && m_mapped(m, d, e) &&
				    m->cpu[ev->coll] != ITS_NO_CPU;

			if (its_translate(its, m_dev[d], m_event[e], &lpi,
					  &cpu) != want)
				ck_abort_msg("device %u, event %u", m_dev[d],
					     m_event[e]);
			if (want && (lpi != ev->lpi || cpu != m->cpu[ev->coll]))
				ck_abort_msg("device %u, event %u: %u at %u",
					     m_dev[d], m_event[e], lpi, cpu);
		}
}

static void m_mapd(struct bench *b, struct model *m, u32 d)
{
	u32 bits = 1 + dice(18);
	bool valid = dice(3);

	RUN(b, MAPD(m_dev[d], bits, valid));
	if (m_dev[d] >= 512 || (valid && bits > 16))
		return;
	m->bits[d] = valid ? bits : 0;
	memset(m->event[d], 0, sizeof(m->event[d]));
}

static void m_step(struct bench *b, struct model *m)
{
	u32 d = dice(M_DEVS), e = dice(M_EVENTS), c = dice(M_COLLS);
	u32 lpi = 8190 + dice(10), cpu = dice(CPUS + 1);
	struct m_event *ev = &m->event[d][e];
	bool valid = dice(4), mapped = m_mapped(m, d, e);

	switch (dice(8)) {
	case 0:
		if (!dice(4))
			m_mapd(b, m, d);
		break;
	case 1:
		RUN(b, MAPC(m_coll[c], cpu, valid));
		if (m_coll[c] < 512 && (cpu < CPUS || !valid))
			m->cpu[c] = valid ? cpu : ITS_NO_CPU;
		break;
	case 2:
	case 3:
	case 4:
		RUN(b, MAPTI(m_dev[d], m_event[e], lpi, m_coll[c]));
		if (m_dev_ok(m, d, e) && !mapped && lpi >= 8192 &&
		    m_coll[c] < 512)
			*ev = (struct m_event) { lpi, c };
		break;
	case 5:
		RUN(b, MOVI(m_dev[d], m_event[e], m_coll[c]));
		if (mapped && m_coll[c] < 512 && m->cpu[c] != ITS_NO_CPU &&
		    m->cpu[ev->coll] != ITS_NO_CPU)
			ev->coll = c;
		break;
	case 6:
		RUN(b, DISCARD(m_dev[d], m_event[e]));
		if (mapped)
			ev->lpi = 0;
		break;
	default:
		m->on = dice(8);
		set_ctlr(b, m->on);
		break;
	}
}

/* Another ITS takes over, and what is behind it hears of all anew. */
static void m_move(struct bench *b, struct its_sink sink)
{
	size_t size = its_state_size(b->its);
	void *state = malloc(size);
	struct err e;

	ck_assert_ptr_nonnull(state);
	its_save(b->its, state);
	its_destroy(b->its);
	b->its = make(b, sink);
	if (its_restore(b->its, state, size, &e))
		ck_abort_msg("%s", e.msg);
	free(state);
}

START_TEST(any_sequence)
{
	struct model m = { .on = true };
	struct hidden h;
	struct its_sink sink = { .op = hidden_op,
				 .end = hidden_end,
				 .ctx = &h };
	struct bench b;

	hush();
	seed = 1;
	create(&b, false);
	its_destroy(b.its);
	hidden_init(&h);
	b.user = true;
	b.its = make(&b, sink);
	boot(&b);
	for (u32 c = 0; c < M_COLLS; c++)
		m.cpu[c] = ITS_NO_CPU;
	for (u32 n = 0; n < 20000; n++) {
		if (!m.on)
			set_ctlr(&b, m.on = true);
		m_step(&b, &m);
		if (!dice(50))
			m_move(&b, sink);
		m_check(b.its, &m, m.on);
		m_check(h.its, &m, true);
		ck_assert(h.on == m.on);
	}
	hidden_fini(&h);
	fini(&b);
}
END_TEST

/* --- state ------------------------------------------------------------- */

/* Any bit changed: it is refused, and nothing has changed; or it is a state
 * that is the same once loaded. */
static bool try_change(struct bench *b, const u8 *bad, u8 *back,
		       const u8 *before, size_t size)
{
	struct err e = { 0 };
	int err = its_restore(b->its, bad, size, &e);

	if (its_state_size(b->its) != size)
		ck_abort_msg("another size");
	its_save(b->its, back);
	if (err && err != -EINVAL)
		ck_abort_msg("%s", e.msg);
	if (memcmp(back, err ? before : bad, size))
		ck_abort_msg("%s is not the same", err ? "before" : "it");
	return !err;
}

START_TEST(state_changed)
{
	u32 refused = 0, taken = 0;
	struct bench b;
	size_t size;
	u8 *good, *bad;

	create(&b, false);
	boot(&b);
	map_some(&b);
	size = its_state_size(b.its);
	good = malloc(3 * size);
	ck_assert_ptr_nonnull(good);
	bad = good + size;
	its_save(b.its, good);
	for (size_t i = 0; i < 8 * size; i++) {
		memcpy(bad, good, size);
		bad[i / 8] ^= (u8)(1u << i % 8);
		if (!try_change(&b, bad, bad + size, good, size)) {
			refused++;
			continue;
		}
		taken++;
		if (!try_change(&b, good, bad + size, good, size))
			ck_abort_msg("not as it was, after bit %zu", i);
	}
	ck_assert_uint_gt(refused, 500);
	ck_assert_uint_gt(taken, 50);
	free(good);
	fini(&b);
}
END_TEST

/* Changes to the state map_some() makes: two devices, two collections, three
 * events. */
#define HEAD(field) offsetof(struct its_state, field)
#define DEV(i, field)                                                    \
	(sizeof(struct its_state) + (i) * sizeof(struct its_dev_state) + \
	 offsetof(struct its_dev_state, field))
#define COLL(i, field)                                       \
	(DEV(2, dev) + (i) * sizeof(struct its_coll_state) + \
	 offsetof(struct its_coll_state, field))
#define EVENT(i, field)                                         \
	(COLL(2, coll) + (i) * sizeof(struct its_event_state) + \
	 offsetof(struct its_event_state, field))

static const struct {
	size_t at;
	u8 val;
	bool ok;
} changes[] = {
	{ HEAD(version), 2, false },
	{ HEAD(cpus), CPUS + 1, false },
	{ HEAD(lpi_bits), 15, false },
	{ HEAD(enabled), 0, true },
	{ HEAD(enabled), 2, false },
	{ HEAD(cbaser) + 1, 1, false }, /* bits 9:8 */
	{ HEAD(cbaser) + 7, 0, true },
	{ HEAD(cwriter), 0x20, true },
	{ HEAD(cwriter), 0x21, false },
	{ HEAD(cwriter) + 1, 0x20, false },
	{ HEAD(creadr), 0x10, false },
	{ HEAD(creadr) + 1, 0x20, false },
	{ HEAD(baser[0]), 1, true },
	{ HEAD(baser[0]) + 1, 3, false }, /* pages of a size there is not */
	{ HEAD(baser[0]) + 7, 0, false }, /* no table, but devices */
	{ HEAD(baser[1]) + 6, 7, false },
	{ HEAD(last_error), 1, true },
	{ HEAD(devs), 1, false },
	{ HEAD(devs), 3, false },
	{ HEAD(devs) + 3, 0x80, false },
	{ HEAD(colls), 3, false },
	{ HEAD(events), 4, false },
	{ HEAD(events) + 3, 1, false },
	{ DEV(1, dev), 10, true },
	{ DEV(1, dev), 8, false },     /* twice */
	{ DEV(1, dev), 7, false },     /* not ascending */
	{ DEV(1, dev) + 1, 2, false }, /* beyond the table */
	{ DEV(1, dev) + 2, 1, false },
	{ DEV(1, bits), 1, true },
	{ DEV(1, bits), 0, false },
	{ DEV(1, bits), 17, false },
	{ DEV(0, bits), 2, false }, /* events 4 and 5 are beyond */
	{ COLL(1, coll), 3, true },
	{ COLL(1, coll) + 1, 2, false },
	{ COLL(1, cpu), CPUS - 1, true },
	{ COLL(1, cpu), CPUS, false },
	{ EVENT(2, event), 31, true },
	{ EVENT(2, event), 32, false },
	{ EVENT(2, event), 4, false },   /* twice */
	{ EVENT(2, dev), 7, false },     /* not mapped */
	{ EVENT(2, lpi) + 1, 0, false }, /* no LPI */
	{ EVENT(2, lpi) + 1, 0x40, false },
	{ EVENT(2, coll), 9, true },
	{ EVENT(2, coll) + 1, 2, true }, /* in a table that is gone */
	{ EVENT(2, coll) + 2, 1, false },
};

START_TEST(state_refused)
{
	u8 good[512], bad[512];
	struct bench b;
	size_t size;

	create(&b, false);
	boot(&b);
	map_some(&b);
	size = its_state_size(b.its);
	ck_assert_uint_eq(size, EVENT(3, dev));
	its_save(b.its, good);
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		struct err e;

		memcpy(bad, good, size);
		bad[changes[i].at] = changes[i].val;
		ck_assert_msg(!its_restore(b.its, bad, size, &e) ==
				      changes[i].ok,
			      "%zu", i);
		/* Whatever it has been, it can be this again. */
		ck_assert(!its_restore(b.its, good, size, &e));
	}
	fini(&b);
}
END_TEST

START_TEST(state_of_another)
{
	static const struct {
		u32 cpus, lpi_bits;
		bool ok;
	} others[] = { { CPUS, 14, true },
		       { CPUS - 1, 14, false },
		       { CPUS, 15, false } };
	struct bench b;
	u8 state[1024];
	size_t size;

	create(&b, false);
	boot(&b);
	map_some(&b);
	size = its_state_size(b.its);
	ck_assert_uint_lt(size, sizeof(state));
	its_save(b.its, state);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		struct its_setup s = { .cpus = others[i].cpus,
				       .lpi_bits = others[i].lpi_bits,
				       .sink = { .op = nothing } };
		struct err e;
		struct its *its = its_create(&s, &e);
		int err;

		ck_assert_ptr_nonnull(its);
		ck_assert(!its_restore(its, state, size, &e) == others[i].ok);
		ck_assert(its_restore(its, state, size - 1, &e));
		ck_assert(its_restore(its, state, size + 1, &e));
		ck_assert(its_restore(its, state, 8, &e));
		memory_ends_at(1);
		err = its_restore(its, state, size, &e);
		memory_ends_at(0);
		ck_assert_int_eq(err, -ENOMEM);
		its_destroy(its);
	}
	fini(&b);
}
END_TEST

/* Events whose collections are gone with their table are still mapped. */
START_TEST(state_without_collections)
{
	struct bench b;
	u8 state[512];
	struct err e;
	size_t size;

	create(&b, false);
	boot(&b);
	map_some(&b);
	set_ctlr(&b, 0);
	set_reg(&b, I_BASER1, 0);
	size = its_state_size(b.its);
	ck_assert_uint_le(size, sizeof(state));
	its_save(b.its, state);
	/* One that is refused leaves all of it. */
	state[0] ^= 1;
	ck_assert_int_eq(its_restore(b.its, state, size, &e), -EINVAL);
	ck_assert_uint_eq(its_state_size(b.its), size);
	state[0] ^= 1;
	ck_assert(!its_restore(b.its, state, size, &e));
	set_reg(&b, I_BASER1, VALID | COLL_TABLE);
	set_ctlr(&b, 1);
	RUN(&b, MAPC(1, 2, true));
	check_route(&b, "again", 3, 8200, 2);
	fini(&b);
}
END_TEST

/* Commands that were left are left, and somebody is told. */
START_TEST(state_with_commands)
{
	struct bench b;
	u8 state[1024];
	struct err e;
	size_t size;

	create(&b, false);
	boot(&b);
	put(&b, &(struct words)MAPC(1, 1, true));
	while (b.at < QUEUE_SIZE - 64)
		put(&b, &(struct words)INVALL(1));
	put(&b, &(struct words)MAPC(3, 3, true));
	ring(&b);
	ck_assert_uint_eq(b.asked, 1);
	size = its_state_size(b.its);
	ck_assert_uint_le(size, sizeof(state));
	its_save(b.its, state);
	its_reset(b.its);
	ck_assert(!its_restore(b.its, state, size, &e));
	ck_assert_uint_eq(b.asked, 2);
	while (its_run(b.its))
		;
	ck_assert_uint_eq(reg(&b, I_CREADR), QUEUE_SIZE - 32);
	ck_assert_uint_eq(b.ops[(b.nr - 1) % OPS_MAX].coll, 3);
	fini(&b);
}
END_TEST

UNIT_MAIN("its", lint, making, making_short_of_memory, registers, control,
	  read_only_while_on, page_sizes, queue, queue_without_memory, shares,
	  turn_of_unmapping, commands, messages, full, flat_tables, two_levels,
	  first_level_without_memory, moved_tables, reset, user, any_sequence,
	  state_changed, state_refused, state_of_another,
	  state_without_collections, state_with_commands)
