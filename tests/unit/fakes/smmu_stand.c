#include "smmu_stand.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* As the emulated SMMU of the lab says of itself, and every bit that we are not
 * to believe. */
const u32 stand_host[6] = {
	0x0d44101b, 0x02730010, 0, 0x00001414, 0, 0x00000074
};

static bool attach(void *ctx, u32 sid, const struct smmu_plan *plan)
{
	struct smmu_stand *b = ctx;

	b->attached[b->attaches % STAND_TOLD].sid = sid;
	b->attached[b->attaches % STAND_TOLD].plan = *plan;
	b->attaches++;
	return !b->refuse_attach;
}

static u32 invalidate(void *ctx, const struct smmu_cmd *cmds, u32 nr,
		      bool *failed)
{
	struct smmu_stand *b = ctx;
	u32 done = MIN(nr, b->refuse);

	ck_assert_uint_gt(nr, 0);
	ck_assert(!*failed);
	*failed = b->fail;
	b->sizes[b->batches++ % STAND_TOLD] = nr;
	if (b->watch)
		b->watched = *stand_word(b, b->watch);
	for (u32 i = 0; i < done; i++)
		b->inv[b->invs++ % STAND_TOLD] = cmds[i];
	return done;
}

/* A wire goes up and down again at once. */
static void wire(struct smmu_stand *b, u32 i, u32 *edges, bool level)
{
	if (b->level[i] == level)
		ck_abort_msg("wire %u is not pulsed", i);
	b->level[i] = level;
	*edges += level;
}

static void set_event(void *ctx, u32 intid, bool level)
{
	struct smmu_stand *b = ctx;

	ck_assert_uint_eq(intid, 40);
	wire(b, 0, &b->events, level);
}

static void set_gerror(void *ctx, u32 intid, bool level)
{
	struct smmu_stand *b = ctx;

	ck_assert_uint_eq(intid, 41);
	wire(b, 1, &b->gerrors, level);
}

static void set_sync(void *ctx, u32 intid, bool level)
{
	struct smmu_stand *b = ctx;

	ck_assert_uint_eq(intid, 42);
	wire(b, 2, &b->syncs, level);
}

static void more(void *ctx)
{
	((struct smmu_stand *)ctx)->asked++;
}

void stand_init(struct smmu_stand *b, const u32 *host)
{
	struct smmu_setup s = {
		.host = host,
		.addr_bits = 40,
		.dma = dma_plain(&b->mem),
		.event = { set_event, b, 40 },
		.gerror = { set_gerror, b, 41 },
		.sync = { set_sync, b, 42 },
		.more = more,
		.ctx = b,
	};
	struct err e;

	memset(b, 0, sizeof(*b));
	b->refuse = ~0u;
	b->ram = aligned_alloc(64 * KIB, STAND_RAM_SIZE);
	ck_assert_ptr_nonnull(b->ram);
	memset(b->ram, 0, STAND_RAM_SIZE);
	ck_assert(!gmem_add(&b->mem, STAND_RAM, STAND_RAM_SIZE, b->ram));
	if (host)
		s.backend = (struct smmu_backend) { attach, invalidate, b };
	b->smmu = smmu_create(&s, &e);
	ck_assert_ptr_nonnull(b->smmu);
	ck_assert(!smmu_add(b->smmu, SID_E, false, &e));
	if (!host)
		return;
	ck_assert(!smmu_add(b->smmu, SID_A, true, &e));
	ck_assert(!smmu_add(b->smmu, SID_B, true, &e));
}

void stand_fini(struct smmu_stand *b)
{
	for (u32 i = 0; i < ARRAY_SIZE(b->level); i++)
		ck_assert(!b->level[i]);
	smmu_destroy(b->smmu);
	free(b->ram);
}

u64 rd(struct smmu_stand *b, u32 off)
{
	return smmu_mmio.read(b->smmu, off, 4);
}

u64 rd64(struct smmu_stand *b, u32 off)
{
	return smmu_mmio.read(b->smmu, off, 8);
}

void wr(struct smmu_stand *b, u32 off, u32 val)
{
	smmu_mmio.write(b->smmu, off, 4, val);
}

void wr64(struct smmu_stand *b, u32 off, u64 val)
{
	smmu_mmio.write(b->smmu, off, 8, val);
}

void stand_boot(struct smmu_stand *b)
{
	wr64(b, S_STRTAB_BASE, STAND_STRTAB);
	wr(b, S_STRTAB_BASE_CFG, 8);
	wr64(b, S_CMDQ_BASE, STAND_CMDQ | 6);
	wr64(b, S_EVENTQ_BASE, STAND_EVENTQ | 3);
	wr(b, S_IRQ_CTRL, 5);
	wr(b, S_CR2, RECINVSID);
	wr(b, S_CR0, ALL_ON);
	ck_assert_uint_eq(rd(b, S_CR0ACK), ALL_ON);
}

u64 *stand_word(struct smmu_stand *b, u64 addr)
{
	/* Not asserted: an assertion that holds costs a system call. */
	if (addr % 8 || !range_fits(addr - STAND_RAM, 8, STAND_RAM_SIZE))
		ck_abort_msg("no word of memory at %#llx",
			     (unsigned long long)addr);
	return (u64 *)(void *)(b->ram + (addr - STAND_RAM));
}

void stand_ste(struct smmu_stand *b, u32 sid, u64 word0, u64 word1)
{
	*stand_word(b, STAND_STRTAB + sid * 64) = word0;
	*stand_word(b, STAND_STRTAB + sid * 64 + 8) = word1;
}

void stand_put(struct smmu_stand *b, u64 word0, u64 word1)
{
	u64 at = STAND_CMDQ + b->prod % STAND_CMDS * 16;

	*stand_word(b, at) = word0;
	*stand_word(b, at + 8) = word1;
	b->prod = (b->prod + 1) % (2 * STAND_CMDS);
}

void stand_ring(struct smmu_stand *b)
{
	wr(b, S_CMDQ_PROD, b->prod);
}

void stand_run(struct smmu_stand *b, u64 word0, u64 word1)
{
	stand_put(b, word0, word1);
	stand_ring(b);
	ck_assert_uint_eq(rd(b, S_CMDQ_CONS) & 0xfffff, b->prod);
}

void stand_event(struct smmu_stand *b, u64 record[4])
{
	u32 prod = (u32)rd(b, S_EVENTQ_PROD), cons = (u32)rd(b, S_EVENTQ_CONS);
	u32 at = cons & (2 * STAND_EVENTS - 1);

	memset(record, 0, 4 * sizeof(*record));
	if (at == (prod & (2 * STAND_EVENTS - 1)))
		return;
	memcpy(record, stand_word(b, STAND_EVENTQ + at % STAND_EVENTS * 32),
	       32);
	at = (at + 1) % (2 * STAND_EVENTS);
	/* The overflow is acknowledged, too. */
	wr(b, S_EVENTQ_CONS, at | (prod & 1u << 31));
}
