/*
 * Any register accesses, any commands, tables of any shape, any records from
 * below and any accesses of devices: no sanitizer trips, what reaches the
 * backend is what an SMMU that nests takes, the queue gets to its end or stops
 * with an error, and a device gets at memory only.
 *
 * Input: one byte that says what is below, then records of twelve bytes - what,
 * four small numbers that choose things at the edges of what there is, a spare
 * one, a place (two), a value (four).
 */
#include <belfry/gmem.h>
#include <belfry/smmu.h>

#include <assert.h>
#include <string.h>

#define RECORD      12
#define RAM         0x40000000ull
#define RAM_SIZE    (256 * KIB)

#define CR0         0x20
#define STRTAB_BASE 0x80
#define STRTAB_CFG  0x88
#define CMDQ_BASE   0x90
#define CMDQ_PROD   0x98
#define CMDQ_CONS   0x9c
#define EVENTQ_BASE 0xa0
#define EVENTQ_PROD 0x100a8
#define EVENTQ_CONS 0x100ac
#define IRQ_CTRL    0x50
#define GERROR      0x60
#define GERRORN     0x64
#define ERROR_MSI   0x68
#define EVENT_MSI   0xb0

/* Where boot() puts things; a record may put them elsewhere. */
#define STRTAB RAM
#define CMDQ   (RAM + 0x8000)
#define EVENTQ (RAM + 0x9000)
#define CDS    (RAM + 0xa000)
#define TABLES (RAM + 0x10000)

struct bench {
	struct smmu *smmu;
	struct gmem mem;
	_Alignas(64) u8 ram[RAM_SIZE];
	const u32 *host;
	u32 refuse;
	u64 told, invalidated, batches, reported;
	bool asked, wire[3];
};

struct record {
	u8 what, a, b, c, d, spare;
	u16 at;
	u32 val;
};
static_assert(sizeof(struct record) == RECORD, "as read");

static const u32 hosts[][6] = {
	{ 0x0d44101b, 0x02730010, 0, 0x1414, 0, 0x74 },
	/* All there may be; as little. */
	{ ~(3u << 21 | 3u << 24), ~0u, ~0u, ~0u, ~0u, ~0u },
	{ 2u << 2 | 1u << 24, 0, 0, 0, 0, 1u << 4 },
};

/* The last two are emulated devices'. */
static const u32 sids[] = { 0, 1, 8, 63, 64, 255, 0xffff, 7, 9 };
#define PASSED 7u

static bool is_passed(u64 sid)
{
	for (u32 i = 0; i < PASSED; i++)
		if (sids[i] == sid)
			return true;
	return false;
}

static bool attach(void *ctx, u32 sid, const struct smmu_plan *plan)
{
	struct bench *b = ctx;
	static const u64 config[] = {
		[SMMU_ABORT] = 0, [SMMU_BYPASS] = 4, [SMMU_STAGE1] = 5
	};
	u64 context = GENMASK(39, 6), attributes = 0xfc | 1u << 27;

	b->told++;
	assert(is_passed(sid));
	assert(plan->kind <= SMMU_STAGE1);
	assert((plan->ste[0] & 0xf) == (config[plan->kind] << 1 | 1));
	if (plan->kind != SMMU_STAGE1)
		context = attributes = 0;
	assert(!(plan->ste[0] & ~(context | 0xf)));
	assert(!(plan->ste[1] & ~attributes));
	return b->refuse != 1;
}

/* What Linux takes of an address and a range. */
static void check_range(const struct bench *b, u64 w0, u64 w1)
{
	bool ds = (b->host[5] >> 7 & 1) && (b->host[5] >> 10 & 3);
	u64 num_scale = w0 & (GENMASK(16, 12) | GENMASK(25, 20));
	u64 tg = w1 >> 10 & 3, ttl = w1 >> 8 & 3;

	if (!(b->host[3] >> 10 & 1))
		assert(!tg);
	if (!tg)
		assert(!num_scale && !ttl);
	else
		assert(num_scale || ttl);
	if (!ds)
		assert(!(w0 & BIT(25)) && !(tg == 2 && ttl == 1));
	assert(!(w1 & ~(GENMASK(63, 12) | GENMASK(11, 8) | 1)));
}

static void check_cmd(const struct bench *b, const struct smmu_cmd *c)
{
	u64 w0 = c->word[0], w1 = c->word[1];
	u64 asid = b->host[0] >> 12 & 1 ? GENMASK(63, 48) : GENMASK(55, 48);
	u64 range = GENMASK(16, 12) | GENMASK(25, 20);

	switch (w0 & 0xff) {
	case 0x05:
	case 0x06:
		assert(is_passed(w0 >> 32) && !(w0 & 0xffffff00));
		assert(!(w1 & ~((w0 & 0xff) == 0x05 ? 1ull : 0)));
		break;
	case 0x10:
	case 0x30:
		assert(!(w0 & ~0xffull) && !w1);
		break;
	case 0x11:
		assert(!(w0 & ~(0xff | asid)) && !w1);
		break;
	case 0x12:
		assert(!(w0 & ~(0xff | asid | range)));
		check_range(b, w0, w1);
		break;
	case 0x13:
		assert(!(w0 & ~(0xff | range)));
		check_range(b, w0, w1);
		break;
	default:
		assert(0);
	}
}

static u32 invalidate(void *ctx, const struct smmu_cmd *cmds, u32 nr,
		      bool *failed)
{
	struct bench *b = ctx;
	u32 done = MIN(nr, b->refuse);

	assert(nr);
	for (u32 i = 0; i < nr; i++)
		check_cmd(b, &cmds[i]);
	b->batches++;
	b->invalidated += done;
	return done;
}

static void set_wire(void *ctx, u32 intid, bool level)
{
	struct bench *b = ctx;

	assert(b->wire[intid] != level);
	b->wire[intid] = level;
}

static void more(void *ctx)
{
	((struct bench *)ctx)->asked = true;
}

static u64 rd(struct bench *b, u32 off)
{
	return smmu_mmio.read(b->smmu, off, 4);
}

static void wr(struct bench *b, u32 off, u32 val)
{
	smmu_mmio.write(b->smmu, off, 4, val);
}

static void wr64(struct bench *b, u32 off, u64 val)
{
	smmu_mmio.write(b->smmu, off, 8, val);
}

static void poke(struct bench *b, u64 addr, u64 val)
{
	if (addr >= RAM && range_fits(addr - RAM, 8, RAM_SIZE))
		memcpy(b->ram + (addr - RAM), &val, 8);
}

/* All that was put in the queue is done at some time, or it stops. */
static void drain(struct bench *b)
{
	u32 turns = 0;

	while (smmu_run(b->smmu))
		assert(++turns < 8192);
	b->asked = false;
}

static u64 edge(u8 i)
{
	static const u64 ids[] = { 0,          1,          7,
				   8,          9,          63,
				   64,         255,        256,
				   0xffff,     0x10000,    ~0u,
				   1ull << 39, 1ull << 40, 0xffff800000000000,
				   ~0ull };

	return ids[i % ARRAY_SIZE(ids)];
}

/* Where things are, and near it. */
static u64 place(const struct record *r)
{
	static const u64 places[] = { STRTAB,          CMDQ,
				      EVENTQ,          CDS,
				      TABLES,          TABLES + 0x1000,
				      TABLES + 0x2000, RAM + RAM_SIZE };

	return places[r->d % ARRAY_SIZE(places)] + (r->at & ~7u) % 0x4000;
}

/* The opcodes there are, mostly, and in the fields what each of them reads, or
 * a place where a message goes. */
static void command(struct bench *b, const struct record *r)
{
	static const u8 ops[] = { 1,    2,    3,    4,    5,    6,
				  0x10, 0x11, 0x12, 0x13, 0x30, 0x46 };
	u64 op = r->what & 0x40 ? r->spare : ops[r->spare % ARRAY_SIZE(ops)];
	u64 at = rd(b, CMDQ_PROD) % 64;
	u64 w0 = op | edge(r->a) << 32 | (u64)r->val << 8;
	u64 w1 = (edge(r->b) & ~0xfffull) | (r->at & 0xfff);

	if (!(r->what & 0x80))
		w0 &= ~0xfff00ull;
	if (r->what & 0x20)
		w1 = place(r) | (r->at & 7);
	poke(b, CMDQ + at * 16, w0);
	poke(b, CMDQ + at * 16 + 8, w1);
	wr(b, CMDQ_PROD, (u32)(rd(b, CMDQ_PROD) + 1) % 128);
}

/* An STE that is nearly right, or anything. */
static void ste(struct bench *b, const struct record *r)
{
	u64 at = STRTAB + sids[r->a % ARRAY_SIZE(sids)] % 256 * 64;
	u64 cd = CDS + r->b % 8 * 64;

	if (r->what & 0x80)
		cd = edge(r->b) << 6;
	poke(b, at, (r->spare & 0xf) | cd);
	poke(b, at + 8, r->val);
}

static void descriptor(struct bench *b, const struct record *r)
{
	u64 at = CDS + r->b % 8 * 64;
	u64 word = 1ull << 31 | 1ull << 41 | 1ull << 46 | 25 | 1ull << 30 |
		   5ull << 32 | (u64)r->spare << 48;

	word ^= r->what & 0x80 ? (u64)r->val << (r->a & 31) : r->val & 0x3f;
	poke(b, at, word);
	poke(b, at + 8, TABLES + r->c % 4 * 0x1000);
	poke(b, at + 16, r->what & 0x40 ? edge(r->d) : TABLES);
}

/* Of tables, which are each other's. */
static void entry(struct bench *b, const struct record *r)
{
	u64 at = TABLES + r->a % 4 * 0x1000 + (r->at & 0x1ff) * 8;
	u64 desc = (r->what & 0x80 ? RAM : TABLES) + r->b % 32 * 0x1000;

	poke(b, at,
	     desc | (r->val & 0xfff) | ((u64)(r->val >> 12) & 0xfff) << 48);
}

/* One that is allowed goes to memory, each time to the same. */
static void access(struct bench *b, const struct record *r)
{
	struct dma d = smmu_dma(b->smmu, sids[PASSED + r->a % 2]);
	u64 addr = r->what & 0x80 ? edge(r->b) + r->val
				  : (u64)(r->val & 0x7fffffffff);
	u64 want = 1 + r->at % 0x3000, got = want, again = want, to;
	bool write = r->what & 0x40;
	u8 *p = dma_map(&d, addr, &got, write);

	if (!p)
		return;
	assert(got && got <= want);
	assert(p >= b->ram && range_fits((u64)(p - b->ram), got, RAM_SIZE));
	assert(dma_map(&d, addr, &again, write) == p && again == got);
	if (write)
		assert(smmu_translate(b->smmu, sids[PASSED + r->a % 2], addr,
				      &to) &&
		       to == RAM + (u64)(p - b->ram));
}

static void event(struct bench *b, const struct record *r)
{
	u64 words[4] = { r->spare | edge(r->b) << 32 | (u64)r->val << 8,
			 (u64)r->val << (r->c & 63), edge(r->d), r->val };

	b->reported++;
	smmu_event(b->smmu, (u32)edge(r->a), words);
}

static void reg(struct bench *b, const struct record *r)
{
	static const u32 offs[] = {
		CR0,         STRTAB_BASE, STRTAB_CFG,  CMDQ_BASE,
		CMDQ_PROD,   CMDQ_CONS,   EVENTQ_BASE, EVENTQ_PROD,
		EVENTQ_CONS, GERROR,      GERRORN,     0x28,
		0x2c,        0x44,        IRQ_CTRL,    STRTAB_BASE + 4
	};
	u32 off = r->what & 0x40 ? r->at | (u32)(r->a & 1) << 16
				 : offs[r->at % ARRAY_SIZE(offs)];
	u32 size = 1u << (r->spare & 3);
	u64 val = r->val | (u64)r->b << 32 | (u64)r->c << 48;

	if (r->what & 0x80)
		smmu_mmio.write(b->smmu, off, size,
				val & GENMASK(8 * size - 1, 0));
	else
		smmu_mmio.read(b->smmu, off, size);
}

/* Queues and tables somewhere, of any size; everything on. */
static void move(struct bench *b, const struct record *r)
{
	wr(b, CR0, 0);
	if (r->what & 0x80) {
		wr64(b, CMDQ_BASE, place(r) | (r->a & 31));
		wr64(b, EVENTQ_BASE, place(r) | (r->b & 31));
	} else {
		wr64(b, STRTAB_BASE, place(r));
		wr(b, STRTAB_CFG, r->val & 0x307ff);
	}
	wr(b, CR0, 0xd);
}

/* Messages of events or errors, somewhere. */
static void aim(struct bench *b, const struct record *r)
{
	u32 cfg = r->what & 0x80 ? ERROR_MSI : EVENT_MSI;

	wr(b, IRQ_CTRL, 0);
	wr64(b, cfg, r->what & 0x40 ? edge(r->b) : place(r) | (r->at & 7));
	wr(b, cfg + 8, r->val);
	wr(b, IRQ_CTRL, r->c);
}

/* As it was in the beginning, but for what is in memory. */
static void boot(struct bench *b)
{
	wr(b, CR0, 0);
	wr64(b, STRTAB_BASE, STRTAB);
	wr(b, STRTAB_CFG, 8);
	wr64(b, CMDQ_BASE, CMDQ | 6);
	wr(b, CMDQ_PROD, 0);
	wr(b, CMDQ_CONS, 0);
	wr64(b, EVENTQ_BASE, EVENTQ | 4);
	wr(b, GERRORN, (u32)rd(b, GERROR));
	wr(b, 0x2c, 2);
	wr(b, IRQ_CTRL, 5);
	wr(b, CR0, 0xd);
}

static void step(struct bench *b, const struct record *r)
{
	static void (*const steps[])(struct bench * b,
				     const struct record *r) = {
		command, command, ste,   descriptor, entry,
		access,  access,  event, reg,        move,
	};
	u32 what = r->what & 0xf;

	if (what < ARRAY_SIZE(steps))
		steps[what](b, r);
	else if (what == 10)
		b->refuse = r->a & 1 ? r->val % 8 : ~0u;
	else if (what == 11)
		wr(b, GERRORN, (u32)rd(b, GERROR));
	else if (what == 12)
		wr(b, EVENTQ_CONS, (u32)rd(b, EVENTQ_PROD));
	else if (what == 13 && r->at == 0xffff)
		smmu_reset(b->smmu);
	else if (what == 13)
		boot(b);
	else if (what == 14)
		aim(b, r);
	else
		drain(b);
}

static void check(struct bench *b)
{
	struct smmu_counters c = smmu_counters(b->smmu);

	assert(c.attaches == b->told && c.batches == b->batches);
	assert(c.invalidations == b->invalidated);
	assert(c.events + c.events_lost >= b->reported);
	for (u32 i = 0; i < ARRAY_SIZE(b->wire); i++)
		assert(!b->wire[i]);
}

static bool create(struct bench *b, u8 which)
{
	struct smmu_setup s = {
		.addr_bits = 40,
		.dma = dma_plain(&b->mem),
		.event = { set_wire, b, 0 },
		.gerror = { set_wire, b, 1 },
		.sync = { set_wire, b, 2 },
		.more = more,
		.ctx = b,
	};
	struct err e;
	int bad = 0;

	if (which % 4 < ARRAY_SIZE(hosts)) {
		s.host = b->host = hosts[which % 4];
		s.backend = (struct smmu_backend) { attach, invalidate, b };
	}
	b->smmu = smmu_create(&s, &e);
	if (!b->smmu)
		return false;
	for (u32 i = 0; i < ARRAY_SIZE(sids); i++)
		if (i >= PASSED || b->host)
			bad |= smmu_add(b->smmu, sids[i], i < PASSED, &e);
	return !bad;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct bench b;

	memset(&b, 0, sizeof(b));
	b.refuse = ~0u;
	if (!size || gmem_add(&b.mem, RAM, RAM_SIZE, b.ram))
		return 0;
	if (create(&b, data[0])) {
		boot(&b);
		for (data++, size--; size >= RECORD;
		     data += RECORD, size -= RECORD) {
			struct record r;

			memcpy(&r, data, sizeof(r));
			step(&b, &r);
			check(&b);
		}
		drain(&b);
	}
	smmu_destroy(b.smmu);
	return 0;
}
