/*
 * The command queue: every opcode, what reaches the backend and how, positions
 * and their wrap, messages, errors and how they are acknowledged, turns.
 */
#include "unit.h"

#include "fakes/smmu_stand.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define SSEC   (1ull << 10)
#define ILL    (1ull << 24)
#define ABT    (2ull << 24)
#define SIZE   STAND_CMDS
#define TURN   256
#define NOBODY 0x30u /* a stream that was not added */

static void hush(void)
{
	int fd = open("/dev/null", O_WRONLY);

	dup2(fd, STDERR_FILENO);
	close(fd);
}

/* The queue stopped at position @at. */
static void expect_stop(struct smmu_stand *b, u32 at, u64 error)
{
	ck_assert_uint_eq(rd(b, S_CMDQ_CONS), at | error);
	ck_assert_uint_eq((rd(b, S_GERROR) ^ rd(b, S_GERRORN)), CMDQ_ERR);
}

static void acknowledge(struct smmu_stand *b)
{
	wr(b, S_GERRORN, (u32)rd(b, S_GERROR));
}

/* --- opcodes ----------------------------------------------------------- */

/* What there is; everything else is illegal: 4.1.1. */
static const u8 legal[] = { 0x01, 0x02, 0x03, 0x04, 0x05, 0x06,
			    0x10, 0x11, 0x12, 0x13, 0x30, 0x46 };

START_TEST(opcodes)
{
	struct smmu_stand b;

	hush();
	stand_init(&b, stand_host);
	stand_boot(&b);
	for (u32 op = 0; op < 256; op++) {
		u32 at = b.prod, errors = b.gerrors;

		stand_put(&b, op, 0);
		stand_ring(&b);
		if (memchr(legal, (int)op, sizeof(legal))) {
			ck_assert_msg((rd(&b, S_CMDQ_CONS) & 0xfffff) == b.prod,
				      "%#x", op);
			ck_assert_uint_eq(b.gerrors, errors);
			continue;
		}
		expect_stop(&b, at, ILL);
		ck_assert_uint_eq(b.gerrors, errors + 1);
		/* The guest puts something else there. */
		b.prod = at;
		stand_put(&b, SYNC, 0);
		acknowledge(&b);
		ck_assert_uint_eq(rd(&b, S_CMDQ_CONS) & 0xfffff, b.prod);
	}
	stand_fini(&b);
}
END_TEST

/* Fields that make a command illegal, or do not. */
static const struct {
	u64 word0, word1;
	bool ill;
} rows[] = {
	/* A secure stream, where there is a StreamID. */
	{ 0x01 | SSEC, 0, true },
	{ 0x02 | SSEC, 0, true },
	{ CFGI_STE(SID_A) | SSEC, 0, true },
	{ CFGI_RANGE(0) | SSEC, 31, true },
	{ CFGI_CD(SID_A) | SSEC, 0, true },
	{ CFGI_CD_ALL(SID_A) | SSEC, 0, true },
	{ TLBI_NH_ALL | SSEC, 0, false },
	/* Signals. */
	{ SYNC, 0, false },
	{ SYNC_IRQ, ~0ull, false },
	{ SYNC_MSI(~0u), STAND_FREE, false },
	{ SYNC_SEV, 0, false },
	{ SYNC | 3ull << 12, 0, true },
	/* Parameters out of range, and reserved fields: no effect. */
	{ 0x01 | 1ull << 11 | SID_FIELD(~0u), 0, false },
	{ 0x02 | 0xffffffff00000ull, ~0ull, false },
	{ CFGI_STE(~0u), 1, false },
	{ CFGI_CD(~0u) | 0xfffff000, 1, false },
	{ TLBI_NH_VA(~0u) | 0xffffull << 32, ~0xfffull | 1, false },
	/* A range of nothing, 4.4.1.1: reserved. */
	{ TLBI_NH_VA(0), 1ull << 10, true },
	{ TLBI_NH_VAA, 2ull << 10, true },
	{ TLBI_NH_VAA, 3ull << 10, true },
	{ TLBI_NH_VAA, 1ull << 10 | 1ull << 8, false },
	{ TLBI_NH_VAA | 1ull << 12, 1ull << 10, false },
	{ TLBI_NH_VAA | 1ull << 20, 1ull << 10, false },
	/* Level 1 of 16 KiB is no level without DS. */
	{ TLBI_NH_VAA, 2ull << 10 | 1ull << 8, true },
	{ TLBI_NH_VAA, 2ull << 10 | 2ull << 8, false },
	{ TLBI_NH_VAA | 1ull << 12, 2ull << 10 | 1ull << 8, false },
	/* And without DS, SCALE has five bits. */
	{ TLBI_NH_VAA | 1ull << 25, 1ull << 10, true },
	/* Fields of a range that is none. */
	{ TLBI_NH_VAA | 31ull << 12 | 63ull << 20, 3ull << 8, false },
};

START_TEST(fields)
{
	hush();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct smmu_stand b;

		stand_init(&b, stand_host);
		stand_boot(&b);
		stand_put(&b, rows[i].word0, rows[i].word1);
		stand_ring(&b);
		ck_assert_msg(rd(&b, S_CMDQ_CONS) == (rows[i].ill ? ILL : 1),
			      "%zu", i);
		stand_fini(&b);
	}
}
END_TEST

/* --- what reaches the backend ------------------------------------------ */

static const struct {
	u64 in[2];
	bool goes;
	u64 out[2];
} passed[] = {
	{ { TLBI_NH_ALL, 0 }, true, { TLBI_NH_ALL, 0 } },
	{ { TLBI_NH_ALL | ~0xffull, ~0ull }, true, { TLBI_NH_ALL, 0 } },
	{ { TLBI_NSNH_ALL | ~0xffull, ~0ull }, true, { TLBI_NSNH_ALL, 0 } },
	{ { TLBI_NH_ASID(0xabcd), 0 }, true, { TLBI_NH_ASID(0xabcd), 0 } },
	{ { TLBI_NH_ASID(0xabcd) | 0xffffffffff00, ~0ull },
	  true,
	  { TLBI_NH_ASID(0xabcd), 0 } },
	{ { TLBI_NH_VA(7), 0xffff123456789000 | 1 },
	  true,
	  { TLBI_NH_VA(7), 0xffff123456789000 | 1 } },
	/* Without TG there is no range. */
	{ { TLBI_NH_VA(7) | 0xffffffffff00, 0x1fff },
	  true,
	  { TLBI_NH_VA(7) | 0x1f << 12 | 0x1f << 20, 0x1f01 } },
	{ { TLBI_NH_VA(7) | 0xffffffffff00, 0x13ff },
	  true,
	  { TLBI_NH_VA(7), 0x1001 } },
	{ { TLBI_NH_VAA | ~0xffull, 0x5000 }, true, { TLBI_NH_VAA, 0x5000 } },
	{ { TLBI_NH_VAA | 3ull << 12 | 5ull << 20, 0x5000 | 2 << 10 | 1 << 8 },
	  true,
	  { TLBI_NH_VAA | 3ull << 12 | 5ull << 20, 0x5000 | 2 << 10 } },
	{ { CFGI_CD(SID_A), 1 }, true, { CFGI_CD(SID_A), 1 } },
	/* There is one context descriptor, whatever it is called. */
	{ { CFGI_CD(SID_B) | 0xfffff800, ~0ull }, true, { CFGI_CD(SID_B), 1 } },
	{ { CFGI_CD_ALL(SID_A) | 0xfffff800, ~0ull },
	  true,
	  { CFGI_CD_ALL(SID_A), 0 } },
	/* Not a stream of the backend's, or of anybody's. */
	{ { CFGI_CD(SID_E), 0 }, false, { 0 } },
	{ { CFGI_CD_ALL(SID_E), 0 }, false, { 0 } },
	{ { CFGI_CD(NOBODY), 0 }, false, { 0 } },
	{ { CFGI_CD_ALL(0x10000 | SID_A), 0 }, false, { 0 } },
	/* Ours alone. */
	{ { 0x01 | SID_FIELD(SID_A), 0 }, false, { 0 } },
	{ { SYNC_IRQ, ~0ull }, false, { 0 } },
};

START_TEST(passing_on)
{
	struct smmu_stand b;

	hush();
	stand_init(&b, stand_host);
	stand_boot(&b);
	for (size_t i = 0; i < ARRAY_SIZE(passed); i++) {
		b.invs = 0;
		stand_run(&b, passed[i].in[0], passed[i].in[1]);
		ck_assert_msg(b.invs == passed[i].goes, "%zu", i);
		if (!b.invs)
			continue;
		ck_assert_msg(b.inv[0].word[0] == passed[i].out[0],
			      "%zu: %#llx", i,
			      (unsigned long long)b.inv[0].word[0]);
		ck_assert_msg(b.inv[0].word[1] == passed[i].out[1],
			      "%zu: %#llx", i,
			      (unsigned long long)b.inv[0].word[1]);
	}
	stand_fini(&b);
}
END_TEST

/* What the SMMU below has not is not sent to it. */
START_TEST(passing_on_less)
{
	u32 host[6];
	struct smmu_stand b;

	memcpy(host, stand_host, sizeof(host));
	host[0] &= ~(1u << 12);
	host[3] = 0;
	stand_init(&b, host);
	stand_boot(&b);
	stand_run(&b, TLBI_NH_ASID(0xabcd), 0);
	ck_assert_uint_eq(b.inv[0].word[0], TLBI_NH_ASID(0xcd));
	stand_run(&b, TLBI_NH_VA(0xabcd) | 3 << 12 | 5 << 20, 0x5f01);
	ck_assert_uint_eq(b.inv[1].word[0], TLBI_NH_VA(0xcd));
	ck_assert_uint_eq(b.inv[1].word[1], 0x5001);
	/* No range, so none of nothing. */
	stand_run(&b, TLBI_NH_VAA, 1 << 10);
	ck_assert_uint_eq(b.inv[2].word[1], 0);
	stand_fini(&b);
}
END_TEST

/* With DS a range may be longer, and 16 KiB has a level 1; but the host's is
 * not to be believed. */
START_TEST(passing_on_no_more)
{
	u32 host[6];
	struct smmu_stand b;

	memcpy(host, stand_host, sizeof(host));
	host[5] |= 1 << 7 | 1 << 10;
	stand_init(&b, host);
	stand_boot(&b);
	stand_run(&b, TLBI_NH_VAA | 33ull << 20, 1 << 10);
	ck_assert_uint_eq(b.inv[0].word[0], TLBI_NH_VAA | 1ull << 20);
	stand_run(&b, TLBI_NH_VAA | 1 << 12, 2 << 10 | 1 << 8);
	ck_assert_uint_eq(b.inv[1].word[1], 2 << 10);
	stand_fini(&b);
}
END_TEST

/* One call for all that is rung for at once, CMD_SYNCs or not. */
START_TEST(batches)
{
	struct smmu_stand b;

	stand_init(&b, stand_host);
	stand_boot(&b);
	for (u32 i = 0; i < 3; i++)
		stand_put(&b, TLBI_NH_VA(i), i << 12);
	stand_put(&b, SYNC, 0);
	stand_put(&b, SYNC, 0);
	stand_put(&b, TLBI_NH_ALL, 0);
	stand_put(&b, SYNC_IRQ, 0);
	stand_put(&b, TLBI_NH_ASID(1), 0);
	stand_put(&b, TLBI_NH_ASID(2), 0);
	ck_assert_uint_eq(b.batches, 0);
	stand_ring(&b);
	ck_assert_uint_eq(b.batches, 1);
	ck_assert_uint_eq(b.sizes[0], 6);
	for (u32 i = 0; i < 3; i++)
		ck_assert_uint_eq(b.inv[i].word[0], TLBI_NH_VA(i));
	ck_assert_uint_eq(b.syncs, 1);
	ck_assert_uint_eq(smmu_counters(b.smmu).commands, 9);
	ck_assert_uint_eq(smmu_counters(b.smmu).batches, 1);
	ck_assert_uint_eq(smmu_counters(b.smmu).invalidations, 6);
	stand_fini(&b);
}
END_TEST

/* Without passed-through devices there is nobody to tell. */
START_TEST(nobody_below)
{
	struct smmu_stand b;

	stand_init(&b, NULL);
	stand_boot(&b);
	stand_run(&b, TLBI_NH_ALL, 0);
	stand_run(&b, CFGI_RANGE(0), 31);
	stand_run(&b, SYNC_IRQ, 0);
	ck_assert_uint_eq(b.syncs, 1);
	ck_assert_uint_eq(smmu_counters(b.smmu).batches, 0);
	stand_fini(&b);
}
END_TEST

/* --- stream table entries ---------------------------------------------- */

/* Which of the two streams a command is about. */
static const struct {
	u64 word0, word1;
	bool a, b;
} stes[] = {
	{ CFGI_STE(SID_A), 0, true, false },
	{ CFGI_STE(SID_A), 1, true, false },
	{ CFGI_STE(SID_B), 0, false, true },
	{ CFGI_STE(SID_E), 0, false, false },
	{ CFGI_STE(0x10000 | SID_A), 0, false, false },
	/* Range: of 2 StreamIDs and more, aligned to its size. */
	{ CFGI_RANGE(SID_A), 0, true, false },
	{ CFGI_RANGE(SID_A + 1), 0, true, false },
	{ CFGI_RANGE(SID_A + 2), 0, false, false },
	{ CFGI_RANGE(SID_A - 1), 0, false, false },
	{ CFGI_RANGE(0), 2, false, false },
	{ CFGI_RANGE(0), 3, true, false },
	{ CFGI_RANGE(15), 3, true, false },
	{ CFGI_RANGE(16), 3, false, true },
	{ CFGI_RANGE(31), 4, true, true },
	{ CFGI_RANGE(0), 15, true, true },
	{ CFGI_RANGE(0x10000), 15, false, false },
	{ CFGI_RANGE(0x10000), 16, true, true },
	{ CFGI_RANGE(0x80000000), 30, false, false },
	{ CFGI_RANGE(0x80000000), 31, true, true },
	{ CFGI_RANGE(~0u), ~0ull, true, true },
};

START_TEST(new_stes)
{
	for (size_t i = 0; i < ARRAY_SIZE(stes); i++) {
		struct smmu_stand b;
		u32 nr = stes[i].a + stes[i].b;

		stand_init(&b, stand_host);
		stand_boot(&b);
		stand_ste(&b, SID_A, STE_PASS, 0);
		stand_ste(&b, SID_B, STE_PASS, 0);
		b.attaches = 0;
		stand_run(&b, stes[i].word0, stes[i].word1);
		ck_assert_msg(b.attaches == nr, "%zu: %u", i, b.attaches);
		if (stes[i].a)
			ck_assert_uint_eq(b.attached[0].sid, SID_A);
		if (stes[i].b)
			ck_assert_uint_eq(b.attached[nr - 1].sid, SID_B);
		/* Nothing is new the second time. */
		stand_run(&b, stes[i].word0, stes[i].word1);
		ck_assert_uint_eq(b.attaches, nr);
		ck_assert_uint_eq(b.batches, 0);
		stand_fini(&b);
	}
}
END_TEST

/* An STE that is what it was may have other context descriptors behind it. And
 * what came before goes down before. */
START_TEST(same_ste)
{
	struct smmu_stand b;

	stand_init(&b, stand_host);
	stand_ste(&b, SID_A, STE_S1(STAND_CD), 0);
	stand_boot(&b);
	b.attaches = 0;
	stand_put(&b, TLBI_NH_ALL, 0);
	stand_put(&b, CFGI_STE(SID_A), 0);
	stand_put(&b, CFGI_RANGE(0), 31);
	stand_put(&b, SYNC, 0);
	stand_ring(&b);
	ck_assert_uint_eq(b.attaches, 0);
	ck_assert_uint_eq(b.batches, 3);
	ck_assert_uint_eq(b.inv[0].word[0], TLBI_NH_ALL);
	ck_assert_uint_eq(b.inv[1].word[0], CFGI_CD_ALL(SID_A));
	ck_assert_uint_eq(b.inv[2].word[0], CFGI_CD_ALL(SID_A));
	/* Attributes and address are what it says, too. */
	stand_ste(&b, SID_A, STE_S1(STAND_CD), 4);
	stand_run(&b, CFGI_STE(SID_A), 0);
	ck_assert_uint_eq(b.attaches, 1);
	stand_ste(&b, SID_A, STE_S1(STAND_CD + 64), 4);
	stand_run(&b, CFGI_STE(SID_A), 0);
	ck_assert_uint_eq(b.attaches, 2);
	ck_assert_uint_eq(b.invs, 3);
	stand_fini(&b);
}
END_TEST

/* While it is off, an STE says nothing. */
START_TEST(stes_while_off)
{
	struct smmu_stand b;

	stand_init(&b, stand_host);
	stand_boot(&b);
	wr(&b, S_CR0, CMDQEN);
	stand_ste(&b, SID_A, STE_S1(STAND_CD), 0);
	b.attaches = 0;
	stand_run(&b, CFGI_RANGE(0), 31);
	ck_assert_uint_eq(b.attaches, 0);
	stand_fini(&b);
}
END_TEST

/* --- messages ---------------------------------------------------------- */

/* Where messages go: an even word, and an odd one. */
#define HERE  STAND_FREE
#define THERE (STAND_RAM + STAND_RAM_SIZE - 4)

static u32 word_at(struct smmu_stand *b, u64 addr)
{
	u64 word = *stand_word(b, ALIGN_DOWN(addr, 8));

	return (u32)(addr & 4 ? word >> 32 : word);
}

static const struct {
	u64 word0, word1, at; /* at: of the message; 0: none */
	u32 syncs, error;
} messages[] = {
	{ SYNC_MSI(0x89abcdef), HERE, HERE, 0, 0 },
	{ SYNC_MSI(0x89abcdef), HERE + 4, HERE + 4, 0, 0 },
	{ SYNC_MSI(1), THERE, THERE, 0, 0 },
	/* Attributes, and bits around the address, are nothing. */
	{ SYNC_MSI(~0u) | 0xfc00000, HERE, HERE, 0, 0 },
	{ SYNC_MSI(7), HERE | 3 | 0xffull << 56, HERE, 0, 0 },
	/* What is above OAS is cut off, but is not 0. */
	{ SYNC_MSI(7), HERE | 0xffffull << 40, HERE, 0, 0 },
	{ SYNC_MSI(7), 1ull << 55, 0, 0, MSI_CMDQ },
	{ SYNC_MSI(7), 1ull << 40, 0, 0, MSI_CMDQ },
	/* Where no memory is. */
	{ SYNC_MSI(7), 4, 0, 0, MSI_CMDQ },
	{ SYNC_MSI(7), STAND_RAM - 4, 0, 0, MSI_CMDQ },
	{ SYNC_MSI(7), THERE + 4, 0, 0, MSI_CMDQ },
	{ SYNC_MSI(7), 0xfffffffffc, 0, 0, MSI_CMDQ },
	/* By wire, or not at all. */
	{ SYNC_MSI(7), 0, 0, 1, 0 },
	{ SYNC_MSI(7), 3 | 0xffull << 56, 0, 1, 0 },
	{ SYNC | 7ull << 32, HERE, 0, 0, 0 },
	{ SYNC | 7ull << 32, 4, 0, 0, 0 },
	{ SYNC_SEV | 7ull << 32, HERE, 0, 0, 0 },
};

START_TEST(signals)
{
	hush();
	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		u64 at = messages[i].at;
		struct smmu_stand b;
		u32 other = 0;

		stand_init(&b, stand_host);
		stand_boot(&b);
		stand_run(&b, messages[i].word0, messages[i].word1);
		ck_assert_msg(b.syncs == messages[i].syncs, "%zu", i);
		ck_assert_msg(rd(&b, S_GERROR) == messages[i].error, "%zu", i);
		ck_assert_uint_eq(b.gerrors, messages[i].error != 0);
		if (at)
			ck_assert_msg(word_at(&b, at) ==
					      messages[i].word0 >> 32,
				      "%zu: %#x", i, word_at(&b, at));
		/* And nothing anywhere else. */
		for (u64 a = STAND_FREE; a <= THERE; a += 4)
			other += a != at && word_at(&b, a);
		ck_assert_msg(!other, "%zu", i);
		stand_fini(&b);
	}
}
END_TEST

/* SYNC 1; TLBI, SYNC 2 and 3; TLBI twice, SYNC 4; a wire; TLBI; SYNC 5. Each
 * TLBI is refused in turn, or none is. */
static const struct {
	u32 at, told, syncs; /* where it stops; the last that is told */
} after[] = {
	{ 1, 1, 0 },
	{ 4, 3, 0 },
	{ 5, 3, 0 },
	{ 8, 4, 1 },
};

static void put_syncs(struct smmu_stand *b)
{
	stand_put(b, SYNC_MSI(1), HERE);
	stand_put(b, TLBI_NH_ASID(0), 0);
	stand_put(b, SYNC_MSI(2), HERE);
	stand_put(b, SYNC_MSI(3), HERE);
	stand_put(b, TLBI_NH_ASID(1), 0);
	stand_put(b, TLBI_NH_ASID(2), 0);
	stand_put(b, SYNC_MSI(4), HERE);
	stand_put(b, SYNC_IRQ, 0);
	stand_put(b, TLBI_NH_ASID(3), 0);
	stand_put(b, SYNC_MSI(5), HERE);
}

/* None is told before all before it is done, nor if that was refused; those
 * before the refused one are. What is done is done once. */
START_TEST(signals_after)
{
	hush();
	for (u32 bad = 0; bad < ARRAY_SIZE(after); bad++) {
		struct smmu_stand b;

		stand_init(&b, stand_host);
		stand_boot(&b);
		put_syncs(&b);
		b.refuse = bad;
		b.watch = HERE;
		b.watched = ~0ull;
		stand_ring(&b);
		expect_stop(&b, after[bad].at, ILL);
		ck_assert_uint_eq(b.watched, 0);
		ck_assert_uint_eq(b.batches, 1);
		ck_assert_uint_eq(word_at(&b, HERE), after[bad].told);
		ck_assert_uint_eq(b.syncs, after[bad].syncs);
		b.refuse = ~0u;
		acknowledge(&b);
		ck_assert_uint_eq(b.watched, after[bad].told);
		ck_assert_uint_eq(b.batches, 2);
		ck_assert_uint_eq(b.invs, 4);
		for (u32 i = 0; i < b.invs; i++)
			ck_assert_uint_eq(b.inv[i].word[0], TLBI_NH_ASID(i));
		ck_assert_uint_eq(word_at(&b, HERE), 5);
		ck_assert_uint_eq(b.syncs, 1);
		ck_assert_uint_eq(rd(&b, S_CMDQ_CONS) & 0xfffff, b.prod);
		stand_fini(&b);
	}
}
END_TEST

/* They go before an STE behind them is looked at, and before an error. */
START_TEST(signals_before)
{
	struct smmu_stand b;

	hush();
	stand_init(&b, stand_host);
	stand_boot(&b);
	stand_ste(&b, SID_A, STE_PASS, 0);
	b.attaches = 0;
	b.refuse = 1;
	stand_put(&b, TLBI_NH_ASID(0), 0);
	stand_put(&b, SYNC_MSI(1), HERE);
	stand_put(&b, TLBI_NH_ASID(1), 0);
	stand_put(&b, SYNC_MSI(2), HERE);
	stand_put(&b, CFGI_STE(SID_A), 0);
	stand_put(&b, SYNC_MSI(3), HERE);
	stand_put(&b, 0, 0);
	stand_put(&b, SYNC_MSI(4), HERE);
	stand_ring(&b);
	expect_stop(&b, 2, ILL);
	ck_assert_uint_eq(word_at(&b, HERE), 1);
	ck_assert_uint_eq(b.attaches, 0);
	b.refuse = ~0u;
	acknowledge(&b);
	expect_stop(&b, 6, ILL);
	ck_assert_uint_eq(word_at(&b, HERE), 3);
	ck_assert_uint_eq(b.attaches, 1);
	stand_fini(&b);
}
END_TEST

/* An abort does not stop the queue, nor later messages; it is told once until
 * it is acknowledged. */
START_TEST(aborted_signals)
{
	struct smmu_stand b;

	hush();
	stand_init(&b, stand_host);
	stand_boot(&b);
	stand_run(&b, SYNC_MSI(1), 4);
	stand_run(&b, SYNC_MSI(2), 4);
	stand_run(&b, SYNC_MSI(3), HERE);
	ck_assert_uint_eq(word_at(&b, HERE), 3);
	ck_assert_uint_eq(rd(&b, S_GERROR), MSI_CMDQ);
	ck_assert_uint_eq(b.gerrors, 1);
	acknowledge(&b);
	ck_assert_uint_eq(rd(&b, S_GERRORN), MSI_CMDQ);
	stand_run(&b, SYNC_MSI(4), 4);
	ck_assert_uint_eq(rd(&b, S_GERROR), 0);
	ck_assert_uint_eq(b.gerrors, 2);
	stand_fini(&b);
}
END_TEST

/* --- refusals ---------------------------------------------------------- */

/* Each of a batch in turn: the queue is where it is, and nothing behind it
 * counts; acknowledged, it goes on from there. */
START_TEST(refused)
{
	hush();
	for (u32 bad = 0; bad < 4; bad++) {
		struct smmu_stand b;

		stand_init(&b, stand_host);
		stand_boot(&b);
		stand_put(&b, SYNC, 0);
		for (u32 i = 0; i < 4; i++)
			stand_put(&b, TLBI_NH_ASID(i), 0);
		stand_put(&b, SYNC_IRQ, 0);
		stand_put(&b, TLBI_NH_ALL, 0);
		b.refuse = bad;
		stand_ring(&b);
		expect_stop(&b, 1 + bad, ILL);
		ck_assert_uint_eq(b.gerrors, 1);
		ck_assert_uint_eq(b.syncs, 0);
		ck_assert_uint_eq(b.invs, bad);
		ck_assert_uint_eq(smmu_counters(b.smmu).invalidations, bad);
		/* Nothing moves it now but the guest. */
		stand_ring(&b);
		ck_assert(!smmu_run(b.smmu));
		expect_stop(&b, 1 + bad, ILL);
		ck_assert_uint_eq(b.batches, 1);
		b.refuse = ~0u;
		acknowledge(&b);
		ck_assert_uint_eq(rd(&b, S_CMDQ_CONS) & 0xfffff, b.prod);
		ck_assert_uint_eq(b.syncs, 1);
		ck_assert_uint_eq(b.invs, 5);
		for (u32 i = 0; i < 4; i++)
			ck_assert_uint_eq(b.inv[i].word[0], TLBI_NH_ASID(i));
		ck_assert_uint_eq(b.gerrors, 1);
		stand_fini(&b);
	}
}
END_TEST

/* The guest is told to try it again, and not that it is illegal: Linux would
 * skip that. */
START_TEST(failed_by_the_host)
{
	struct smmu_stand b;

	hush();
	stand_init(&b, stand_host);
	stand_boot(&b);
	stand_put(&b, TLBI_NH_ASID(1), 0);
	stand_put(&b, TLBI_NH_ASID(2), 0);
	stand_put(&b, SYNC_IRQ, 0);
	b.refuse = 1;
	b.fail = true;
	stand_ring(&b);
	expect_stop(&b, 1, ABT);
	ck_assert_uint_eq(b.syncs, 0);
	b.refuse = ~0u;
	b.fail = false;
	acknowledge(&b);
	ck_assert_uint_eq(rd(&b, S_CMDQ_CONS) & 0xfffff, b.prod);
	ck_assert_uint_eq(b.invs, 2);
	ck_assert_uint_eq(b.inv[1].word[0], TLBI_NH_ASID(2));
	ck_assert_uint_eq(b.syncs, 1);
	stand_fini(&b);
}
END_TEST

/* Two things wrong: the first one is told. */
START_TEST(refused_before_illegal)
{
	struct smmu_stand b;

	hush();
	stand_init(&b, stand_host);
	stand_boot(&b);
	b.refuse = 1;
	stand_put(&b, TLBI_NH_ASID(1), 0);
	stand_put(&b, TLBI_NH_ASID(2), 0);
	stand_put(&b, 0x40, 0);
	stand_ring(&b);
	expect_stop(&b, 1, ILL);
	ck_assert_uint_eq(b.gerrors, 1);
	b.refuse = ~0u;
	acknowledge(&b);
	/* What is legal before it was done. */
	expect_stop(&b, 2, ILL);
	ck_assert_uint_eq(b.gerrors, 2);
	ck_assert_uint_eq(b.invs, 2);
	stand_fini(&b);
}
END_TEST

/* Of the last turn's end, of an STE's, of one for many streams. */
START_TEST(refused_elsewhere)
{
	struct smmu_stand b;

	hush();
	stand_init(&b, stand_host);
	stand_ste(&b, SID_A, STE_S1(STAND_CD), 0);
	stand_ste(&b, SID_B, STE_S1(STAND_CD), 0);
	stand_boot(&b);
	b.refuse = 0;
	stand_put(&b, TLBI_NH_ALL, 0);
	stand_ring(&b);
	expect_stop(&b, 0, ILL);
	/* An STE behind it is not looked at. */
	stand_ste(&b, SID_A, STE_PASS, 0);
	stand_put(&b, CFGI_STE(SID_A), 0);
	stand_ring(&b);
	b.attaches = 0;
	acknowledge(&b);
	expect_stop(&b, 0, ILL);
	ck_assert_uint_eq(b.attaches, 0);
	b.refuse = ~0u;
	acknowledge(&b);
	ck_assert_uint_eq(b.attaches, 1);
	/* Of two streams' descriptors, the second's. */
	stand_ste(&b, SID_A, STE_S1(STAND_CD), 0);
	stand_run(&b, CFGI_STE(SID_A), 0);
	b.refuse = 1;
	stand_put(&b, CFGI_RANGE(0), 31);
	stand_ring(&b);
	expect_stop(&b, 3, ILL);
	stand_fini(&b);
}
END_TEST

START_TEST(no_memory)
{
	struct smmu_stand b;

	hush();
	stand_init(&b, stand_host);
	stand_boot(&b);
	wr(&b, S_CR0, SMMUEN | EVENTQEN);
	/* The last command there is memory for, and one more. */
	wr64(&b, S_CMDQ_BASE, STAND_RAM + STAND_RAM_SIZE - 0x400 + 0x400);
	wr64(&b, S_CMDQ_BASE, (STAND_RAM + STAND_RAM_SIZE) | 6);
	wr(&b, S_CR0, ALL_ON);
	wr(&b, S_CMDQ_PROD, 1);
	expect_stop(&b, 0, ABT);
	ck_assert_uint_eq(b.gerrors, 1);
	acknowledge(&b);
	expect_stop(&b, 0, ABT);
	ck_assert_uint_eq(b.gerrors, 2);
	/* Switched off and on it is still to be acknowledged. */
	wr(&b, S_CR0, 0);
	wr64(&b, S_CMDQ_BASE, STAND_CMDQ | 6);
	wr(&b, S_CR0, ALL_ON);
	expect_stop(&b, 0, ABT);
	*stand_word(&b, STAND_CMDQ) = SYNC;
	acknowledge(&b);
	ck_assert_uint_eq(rd(&b, S_CMDQ_CONS) & 0xfffff, 1);
	stand_fini(&b);
}
END_TEST

/* An error that is not there is acknowledged: the queue waits until it is taken
 * back. */
START_TEST(wrong_acknowledgement)
{
	struct smmu_stand b;

	stand_init(&b, stand_host);
	stand_boot(&b);
	wr(&b, S_GERRORN, CMDQ_ERR);
	ck_assert_uint_eq(rd(&b, S_GERRORN), CMDQ_ERR);
	stand_put(&b, SYNC, 0);
	stand_ring(&b);
	ck_assert_uint_eq(rd(&b, S_CMDQ_CONS), 0);
	wr(&b, S_GERRORN, 0);
	ck_assert_uint_eq(rd(&b, S_CMDQ_CONS), 1);
	ck_assert_uint_eq(b.gerrors, 0);
	stand_fini(&b);
}
END_TEST

/* Only if it is asked for. */
START_TEST(wires_off)
{
	struct smmu_stand b;

	hush();
	stand_init(&b, stand_host);
	stand_boot(&b);
	wr(&b, S_IRQ_CTRL, 4);
	stand_put(&b, 0, 0);
	stand_ring(&b);
	expect_stop(&b, 0, ILL);
	ck_assert_uint_eq(b.gerrors, 0);
	/* A wire that is switched on tells only what comes then. */
	wr(&b, S_IRQ_CTRL, 1);
	ck_assert_uint_eq(b.gerrors, 0);
	acknowledge(&b);
	ck_assert_uint_eq(b.gerrors, 1);
	stand_fini(&b);
}
END_TEST

/* --- positions --------------------------------------------------------- */

/* Queues of every size, round them more than twice, by steps of some sizes. */
static void go_round(struct smmu_stand *b, u32 bits, u32 by)
{
	u32 size = 1u << MIN(bits, 10), mask = 2 * size - 1, prod = 0;

	wr64(b, S_CMDQ_BASE, STAND_FREE | bits);
	wr(b, S_CR0, CMDQEN);
	for (u32 done = 0; done <= 5 * size; done += by) {
		u32 invs = b->invs;

		for (u32 i = 0; i < by; i++) {
			u64 at = ALIGN_DOWN(STAND_FREE, MAX(size * 16, 32u)) +
				 prod % size * 16;

			*stand_word(b, at) = TLBI_NH_ASID(prod);
			*stand_word(b, at + 8) = 0;
			prod = (prod + 1) & mask;
		}
		wr(b, S_CMDQ_PROD, prod);
		while (smmu_run(b->smmu))
			;
		ck_assert_uint_eq(rd(b, S_CMDQ_CONS), prod);
		ck_assert_uint_eq(b->invs - invs, by);
		ck_assert_uint_eq(b->inv[(b->invs - 1) % STAND_TOLD].word[0],
				  TLBI_NH_ASID((prod - 1) & mask));
	}
}

START_TEST(wrapping)
{
	for (u32 bits = 0; bits <= 11; bits++) {
		u32 size = 1u << MIN(bits, 10);
		u32 steps[] = { 1, size / 3 + 1, size - size / 4, size };

		for (u32 i = 0; i < ARRAY_SIZE(steps); i++) {
			struct smmu_stand b;

			stand_init(&b, stand_host);
			go_round(&b, bits, steps[i]);
			stand_fini(&b);
		}
	}
}
END_TEST

/* Bits above the wrap flag are no part of a position. */
START_TEST(high_bits)
{
	struct smmu_stand b;

	stand_init(&b, stand_host);
	stand_boot(&b);
	stand_put(&b, SYNC, 0);
	wr(&b, S_CMDQ_PROD, 0xfff80 | b.prod);
	ck_assert_uint_eq(rd(&b, S_CMDQ_CONS), 1);
	ck_assert_uint_eq(smmu_counters(b.smmu).commands, 1);
	wr(&b, S_CR0, 0);
	wr(&b, S_CMDQ_CONS, 0xfff82);
	ck_assert_uint_eq(rd(&b, S_CMDQ_CONS), 2);
	stand_fini(&b);
}
END_TEST

/* Positions that are no queue's: more in it than it has room for. */
START_TEST(inconsistent)
{
	struct smmu_stand b;

	hush();
	for (u32 prod = 0; prod < 2 * SIZE; prod++) {
		stand_init(&b, stand_host);
		stand_boot(&b);
		for (u32 i = 0; i < SIZE; i++)
			*stand_word(&b, STAND_CMDQ + i * 16) = SYNC;
		wr(&b, S_CMDQ_PROD, prod);
		ck_assert_uint_eq(rd(&b, S_CMDQ_CONS), prod <= SIZE ? prod : 0);
		ck_assert_uint_eq(rd(&b, S_GERROR), 0);
		stand_fini(&b);
	}
}
END_TEST

/* Off: commands wait. On: they run. */
START_TEST(off_and_on)
{
	struct smmu_stand b;

	stand_init(&b, stand_host);
	stand_boot(&b);
	wr(&b, S_CR0, SMMUEN);
	stand_put(&b, TLBI_NH_ALL, 0);
	stand_put(&b, SYNC_IRQ, 0);
	stand_ring(&b);
	ck_assert(!smmu_run(b.smmu));
	ck_assert_uint_eq(rd(&b, S_CMDQ_CONS), 0);
	ck_assert_uint_eq(b.batches, 0);
	wr(&b, S_CR0, CMDQEN);
	ck_assert_uint_eq(rd(&b, S_CMDQ_CONS), 2);
	ck_assert_uint_eq(b.syncs, 1);
	stand_fini(&b);
}
END_TEST

/* --- turns ------------------------------------------------------------- */

static void fill(struct smmu_stand *b, u64 word0, u64 word1)
{
	wr64(b, S_CMDQ_BASE, STAND_FREE | 10);
	for (u32 i = 0; i < 1024; i++) {
		u64 at = ALIGN_DOWN(STAND_FREE, 0x4000) + i * 16;

		*stand_word(b, at) = word0;
		*stand_word(b, at + 8) = word1;
	}
	wr(b, S_CMDQ_PROD, 1024);
}

START_TEST(turns)
{
	struct smmu_stand b;

	stand_init(&b, stand_host);
	fill(&b, TLBI_NH_ALL, 0);
	wr(&b, S_CR0, CMDQEN);
	/* What is told is done: the batch went down before anyone looks. */
	ck_assert_uint_eq(rd(&b, S_CMDQ_CONS), TURN);
	ck_assert_uint_eq(b.invs, TURN);
	ck_assert_uint_eq(b.asked, 1);
	ck_assert(smmu_run(b.smmu));
	ck_assert(smmu_run(b.smmu));
	ck_assert_uint_eq(rd(&b, S_CMDQ_CONS), 3 * TURN);
	ck_assert_uint_eq(b.asked, 1);
	/* Somebody who rings asks again. */
	ck_assert(!smmu_run(b.smmu));
	ck_assert_uint_eq(rd(&b, S_CMDQ_CONS), 1024);
	ck_assert_uint_eq(b.batches, 4);
	stand_fini(&b);
}
END_TEST

/* As many as a turn takes. */
START_TEST(many_signals)
{
	struct smmu_stand b;

	stand_init(&b, stand_host);
	fill(&b, SYNC_IRQ, 0);
	wr(&b, S_CR0, CMDQEN);
	ck_assert_uint_eq(rd(&b, S_CMDQ_CONS), TURN);
	ck_assert_uint_eq(b.syncs, TURN);
	while (smmu_run(b.smmu))
		;
	ck_assert_uint_eq(b.syncs, 1024);
	ck_assert_uint_eq(b.batches, 0);
	stand_fini(&b);
}
END_TEST

/* A new STE is more work than a command. */
START_TEST(dear_commands)
{
	struct smmu_stand b;
	u32 done;

	stand_init(&b, stand_host);
	wr64(&b, S_STRTAB_BASE, STAND_STRTAB);
	wr(&b, S_STRTAB_BASE_CFG, 8);
	wr(&b, S_CR0, SMMUEN);
	fill(&b, CFGI_RANGE(0), 31);
	/* Nothing is new: three streams are looked at each time. */
	wr(&b, S_CR0, SMMUEN | CMDQEN);
	ck_assert_uint_eq(rd(&b, S_CMDQ_CONS), TURN / 4);
	stand_ste(&b, SID_A, STE_PASS, 0);
	done = (u32)rd(&b, S_CMDQ_CONS);
	ck_assert(smmu_run(b.smmu));
	ck_assert_uint_eq(rd(&b, S_CMDQ_CONS), done + TURN / 4 - 4);
	stand_fini(&b);
}
END_TEST

/* As many streams as there can be, named by one command, and as much before it
 * and behind it as a turn takes. */
START_TEST(full_batches)
{
	struct smmu_stand b;
	struct err e;

	for (u32 before = 0; before < SIZE; before++) {
		int bad = 0;

		stand_init(&b, stand_host);
		for (u32 i = 3; i < SMMU_STREAMS_MAX; i++)
			bad |= smmu_add(b.smmu, 0x100 + i, true, &e);
		ck_assert_int_eq(bad, 0);
		for (u32 i = 0; i < 0x200; i++)
			stand_ste(&b, i, STE_S1(STAND_CD), 0);
		stand_boot(&b);
		wr(&b, S_CR0, 0);
		wr(&b, S_STRTAB_BASE_CFG, 9);
		wr(&b, S_CR0, ALL_ON);
		for (u32 i = 0; i < SIZE; i++)
			if (i == before)
				stand_put(&b, CFGI_RANGE(0), 31);
			else
				stand_put(&b, TLBI_NH_ASID(i), 0);
		stand_ring(&b);
		while (smmu_run(b.smmu))
			;
		ck_assert_uint_eq(rd(&b, S_CMDQ_CONS), b.prod);
		ck_assert_uint_eq(b.invs, SMMU_STREAMS_MAX - 1 + SIZE - 1);
		for (u32 i = 0; i < b.batches; i++)
			ck_assert_uint_le(b.sizes[i], TURN);
		if (before)
			ck_assert_uint_eq(b.sizes[0], before);
		stand_fini(&b);
	}
}
END_TEST

UNIT_MAIN("smmu_cmdq", opcodes, fields, passing_on, passing_on_less,
	  passing_on_no_more, batches, nobody_below, new_stes, same_ste,
	  stes_while_off, signals, signals_after, signals_before,
	  aborted_signals, refused, failed_by_the_host, refused_before_illegal,
	  refused_elsewhere, no_memory, wrong_acknowledgement, wires_off,
	  wrapping, high_bits, inconsistent, off_and_on, turns, many_signals,
	  dear_commands, full_batches)
