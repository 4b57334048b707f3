/*
 * What the stream table says: every STE by its fields, linear tables and those
 * of two levels at every edge, and what the backend is told of it.
 */
#include "unit.h"

#include "smmu_priv.h"

#include "fakes/smmu_stand.h"

#include <string.h>

#define S1STALLD   (1ull << 27)
#define ATTRIBUTES 0xfcull /* S1CIR, S1COR, S1CSH */

/* --- one entry --------------------------------------------------------- */

static const struct offer plain = { .oas = 40 };
static const struct offer stalling = { .oas = 40, .s1stalld = true };

/* A plan by Config, 5.2, of an STE with nothing else in it. */
static const struct {
	enum smmu_kind kind;
	u64 config;
	u8 event;
} by_config[8] = {
	{ SMMU_ABORT, 0, 0 }, { SMMU_ABORT, 0, 0 },  { SMMU_ABORT, 0, 0 },
	{ SMMU_ABORT, 0, 0 }, { SMMU_BYPASS, 4, 0 }, { SMMU_STAGE1, 5, 0 },
	{ SMMU_ABORT, 0, 4 }, { SMMU_ABORT, 0, 4 },
};

static void expect(const struct ste *ste, const struct offer *o,
		   const struct ste_plan *want)
{
	struct ste_plan p = ste_plan(ste, o);

	ck_assert_uint_eq(p.to.kind, want->to.kind);
	ck_assert_msg(p.to.ste[0] == want->to.ste[0], "%#llx: %#llx",
		      (unsigned long long)ste->word[0],
		      (unsigned long long)p.to.ste[0]);
	ck_assert_msg(p.to.ste[1] == want->to.ste[1], "%#llx: %#llx",
		      (unsigned long long)ste->word[1],
		      (unsigned long long)p.to.ste[1]);
	ck_assert_uint_eq(p.event, want->event);
}

static struct ste_plan bad(void)
{
	return (struct ste_plan) { .to = { SMMU_ABORT, { STE_ABORT } },
				   .event = C_BAD_STE };
}

/* Every Config, with every other bit of every word set alone, and all of
 * them; not valid, with all. */
static struct ste_plan wanted(const struct ste *ste, const struct offer *o)
{
	u32 config = ste->word[0] >> 1 & 7;
	struct ste_plan p = { .to = { by_config[config].kind,
				      { STE_V |
					STE_CFG(by_config[config].config) } },
			      .event = by_config[config].event };
	u64 context = ste->word[0] & GENMASK(55, 6);

	if (!(ste->word[0] & STE_V))
		return bad();
	if (p.to.kind != SMMU_STAGE1)
		return p;
	if (context >> 40 || (ste->word[1] & S1STALLD))
		return bad();
	p.to.ste[0] |= context;
	p.to.ste[1] =
		(ste->word[1] & ATTRIBUTES) | (o->s1stalld ? S1STALLD : 0);
	return p;
}

static void check(struct ste *ste)
{
	struct ste_plan want = wanted(ste, &plain);

	expect(ste, &plain, &want);
	want = wanted(ste, &stalling);
	expect(ste, &stalling, &want);
}

START_TEST(every_bit)
{
	for (u32 config = 0; config < 8; config++)
		for (u32 bit = 0; bit < 512; bit++) {
			struct ste ste = { { STE_V | STE_CFG(config) } };

			if (bit >= 1 && bit <= 3)
				continue;
			ste.word[bit / 64] ^= 1ull << bit % 64;
			check(&ste);
			/* All but this. */
			for (u32 w = 0; w < 8; w++)
				ste.word[w] = ~ste.word[w];
			ste.word[0] = (ste.word[0] & ~0xeull) | STE_CFG(config);
			check(&ste);
		}
}
END_TEST

/* The words that a kernel gets, written out once. */
START_TEST(words)
{
	static const struct {
		u64 word0, word1;
		struct ste_plan want;
	} rows[] = {
		{ 0, 0, { { SMMU_ABORT, { 1, 0 } }, 4, 0 } },
		{ ~1ull, ~0ull, { { SMMU_ABORT, { 1, 0 } }, 4, 0 } },
		{ 0x1, 0, { { SMMU_ABORT, { 1, 0 } }, 0, 0 } },
		{ 0x9, ~0ull, { { SMMU_BYPASS, { 9, 0 } }, 0, 0 } },
		{ 0xb | 0x41234500,
		  0xa4,
		  { { SMMU_STAGE1, { 0x4123450b, 0xa4 } }, 0, 0 } },
		/* Substreams, ATS, StreamWorld, and the rest: not offered, so
		 * ignored, and not passed on. */
		{ 0xb | 0x40000000 | 0x30 | 0xf8ull << 56,
		  0xfffffffff7ffff03,
		  { { SMMU_STAGE1, { 0x4000000b, 0 } }, 0, 0 } },
		{ 0xb | 0xffffffffc0,
		  0,
		  { { SMMU_STAGE1, { 0xffffffffcb, 0 } }, 0, 0 } },
		/* Beyond OAS. */
		{ 0xb | 1ull << 40, 0, { { SMMU_ABORT, { 1, 0 } }, 4, 0 } },
		{ 0xb | 1ull << 55, 0, { { SMMU_ABORT, { 1, 0 } }, 4, 0 } },
		{ 0xb | 1ull << 56, 0, { { SMMU_STAGE1, { 0xb, 0 } }, 0, 0 } },
		{ 0xb, S1STALLD, { { SMMU_ABORT, { 1, 0 } }, 4, 0 } },
		{ 0xd, 0, { { SMMU_ABORT, { 1, 0 } }, 4, 0 } },
		{ 0xf, 0, { { SMMU_ABORT, { 1, 0 } }, 4, 0 } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ste ste = { { rows[i].word0, rows[i].word1 } };

		expect(&ste, &plain, &rows[i].want);
	}
}
END_TEST

/* --- tables ------------------------------------------------------------ */

/* What becomes of @sid's device, by an access: 0: none of these. */
static u64 event_of(struct smmu_stand *b, u32 sid, u64 *fetch)
{
	struct dma d = smmu_dma(b->smmu, sid);
	u64 record[4], len = 1;

	(void)dma_map(&d, STAND_RAM, &len, false);
	stand_event(b, record);
	if (record[0])
		ck_assert_uint_eq(record[0] >> 32, sid);
	*fetch = record[3];
	return record[0] & 0xff;
}

static void table(struct smmu_stand *b, u64 base, u32 cfg)
{
	wr(b, S_CR0, EVENTQEN);
	wr64(b, S_STRTAB_BASE, base);
	wr(b, S_STRTAB_BASE_CFG, cfg);
	wr(b, S_CR0, ALL_ON);
}

#define BASE (STAND_RAM + 0x80000)

static const struct {
	u32 sid, log2size;
	u64 base, at; /* the STE is here; 0: there is none */
} linear[] = {
	{ 0, 0, BASE, BASE },
	{ 1, 0, BASE, 0 },
	{ 1, 1, BASE, BASE + 0x40 },
	{ 2, 1, BASE, 0 },
	{ 255, 8, BASE, BASE + 0x3fc0 },
	{ 256, 8, BASE, 0 },
	/* A table is aligned to its size. */
	{ 3, 8, BASE + 0x3fc0, BASE + 0xc0 },
	{ 3, 8, BASE + 0x4000, BASE + 0x40c0 },
	{ 0, 0, BASE + 0x40, BASE + 0x40 },
	/* As it was written, though there are no more than 16 bits. */
	{ 3, 13, BASE, BASE + 0xc0 },
	{ 0x1fff, 13, BASE, BASE + 0x7ffc0 },
	/* SPLIT is none of a linear one's business, and FMT 2 and 3 are it. */
	{ 5, 8 | 31 << 6, BASE, BASE + 0x140 },
	{ 5, 8 | 2 << 16, BASE, BASE + 0x140 },
	{ 5, 8 | 3 << 16, BASE, BASE + 0x140 },
};

START_TEST(linear_tables)
{
	for (size_t i = 0; i < ARRAY_SIZE(linear); i++) {
		struct smmu_stand b;
		struct err e;
		u64 fetch;

		stand_init(&b, NULL);
		if (linear[i].sid != SID_E)
			ck_assert(!smmu_add(b.smmu, linear[i].sid, false, &e));
		stand_boot(&b);
		if (linear[i].at)
			*stand_word(&b, linear[i].at) = STE_PASS;
		table(&b, linear[i].base, linear[i].log2size);
		ck_assert_msg(event_of(&b, linear[i].sid, &fetch) ==
				      (linear[i].at ? 0 : C_BAD_STREAMID),
			      "%zu", i);
		/* And it is that one. */
		if (linear[i].at) {
			*stand_word(&b, linear[i].at) = 0;
			stand_run(&b, CFGI_STE(linear[i].sid), 0);
			ck_assert_uint_eq(event_of(&b, linear[i].sid, &fetch),
					  C_BAD_STE);
		}
		stand_fini(&b);
	}
}
END_TEST

/* LOG2SIZE so large that a table of that size is at 0, where no memory is. */
START_TEST(huge_tables)
{
	for (u32 log2size = 25; log2size < 64; log2size++) {
		struct smmu_stand b;
		u64 fetch;

		stand_init(&b, NULL);
		stand_boot(&b);
		table(&b, BASE, log2size);
		ck_assert_uint_eq(event_of(&b, SID_E, &fetch), F_STE_FETCH);
		ck_assert_uint_eq(fetch,
				  (log2size > 57
					   ? 0
					   : BASE & ~GENMASK(log2size + 5, 0)) +
					  SID_E * 64);
		table(&b, BASE, log2size | 1 << 16);
		ck_assert_uint_eq(event_of(&b, SID_E, &fetch),
				  log2size > 33 ? F_STE_FETCH : C_BAD_STREAMID);
		stand_fini(&b);
	}
}
END_TEST

#define L2 (STAND_RAM + 0xa0000)

static const struct {
	u32 sid, log2size, split;
	u64 base, l1; /* the descriptor is here */
	u64 desc;
	u64 at; /* the STE is here; 0: there is none */
} two_level[] = {
	{ 0, 8, 6, BASE, BASE, L2 | 7, L2 },
	{ 63, 8, 6, BASE, BASE, L2 | 7, L2 + 0xfc0 },
	{ 64, 8, 6, BASE, BASE + 8, L2 | 7, L2 },
	{ 255, 8, 6, BASE, BASE + 0x18, L2 | 7, L2 + 0xfc0 },
	{ 256, 8, 6, BASE, BASE, L2 | 7, 0 },
	{ 0xffff, 16, 6, BASE, BASE + 0x1ff8, L2 | 7, L2 + 0xfc0 },
	{ 0xffff, 16, 8, BASE, BASE + 0x7f8, L2 | 9, L2 + 0x3fc0 },
	{ 0xffff, 16, 10, BASE, BASE + 0x1f8, L2 | 11, L2 + 0xffc0 },
	/* LOG2SIZE says more than there is. */
	{ 0xffff, 20, 10, BASE, BASE + 0x1f8, L2 | 11, L2 + 0xffc0 },
	/* Reserved splits are 6. */
	{ 64, 8, 0, BASE, BASE + 8, L2 | 7, L2 },
	{ 64, 8, 7, BASE, BASE + 8, L2 | 7, L2 },
	{ 64, 8, 31, BASE, BASE + 8, L2 | 7, L2 },
	/* Spans: none, reserved, beyond the split, of every size. */
	{ 3, 8, 6, BASE, BASE, L2 | 0, 0 },
	{ 0, 8, 6, BASE, BASE, L2 | 8, 0 },
	{ 0, 8, 8, BASE, BASE, L2 | 10, 0 },
	{ 0, 10, 10, BASE, BASE, L2 | 12, 0 },
	{ 0, 10, 10, BASE, BASE, L2 | 31, 0 },
	{ 0, 8, 6, BASE, BASE, L2 | 1, L2 },
	{ 1, 8, 6, BASE, BASE, L2 | 1, 0 },
	{ 1, 8, 6, BASE, BASE, L2 | 2, L2 + 0x40 },
	{ 2, 8, 6, BASE, BASE, L2 | 2, 0 },
	{ 3, 8, 6, BASE, BASE, L2 | 3, L2 + 0xc0 },
	{ 4, 8, 6, BASE, BASE, L2 | 3, 0 },
	{ 31, 8, 6, BASE, BASE, L2 | 6, L2 + 0x7c0 },
	{ 32, 8, 6, BASE, BASE, L2 | 6, 0 },
	{ 68, 8, 6, BASE, BASE + 8, L2 | 3, 0 },
	/* The second level is aligned to its size; other bits do not count. */
	{ 1, 8, 6, BASE, BASE, L2 | 0x40 | 1ull << 63 | 1ull << 5 | 2,
	  L2 + 0x40 },
	{ 0, 8, 6, BASE, BASE, L2 | 0x40 | 1, L2 + 0x40 },
	{ 1, 8, 6, BASE, BASE, L2 | 0xfc0 | 7, L2 + 0x40 },
	/* And the first, to no less than 64 bytes. */
	{ 64, 8, 6, BASE + 0x40, BASE + 0x48, L2 | 7, L2 },
	{ 64, 10, 6, BASE + 0x40, BASE + 8, L2 | 7, L2 },
	{ 3, 3, 6, BASE + 0x40, BASE + 0x40, L2 | 7, L2 + 0xc0 },
	{ 8, 3, 6, BASE, BASE, L2 | 7, 0 },
};

START_TEST(two_level_tables)
{
	for (size_t i = 0; i < ARRAY_SIZE(two_level); i++) {
		u32 sid = two_level[i].sid;
		struct smmu_stand b;
		struct err e;
		u64 fetch;

		stand_init(&b, NULL);
		if (sid != SID_E)
			ck_assert(!smmu_add(b.smmu, sid, false, &e));
		stand_boot(&b);
		*stand_word(&b, two_level[i].l1) = two_level[i].desc;
		if (two_level[i].at)
			*stand_word(&b, two_level[i].at) = STE_PASS;
		table(&b, two_level[i].base,
		      two_level[i].log2size | two_level[i].split << 6 |
			      1 << 16);
		ck_assert_msg(event_of(&b, sid, &fetch) ==
				      (two_level[i].at ? 0 : C_BAD_STREAMID),
			      "%zu", i);
		if (two_level[i].at) {
			*stand_word(&b, two_level[i].at) = 0;
			stand_run(&b, CFGI_STE(sid), 0);
			ck_assert_uint_eq(event_of(&b, sid, &fetch), C_BAD_STE);
		}
		stand_fini(&b);
	}
}
END_TEST

/* Where no memory is, and what is said of it. */
START_TEST(fetches)
{
	static const struct {
		u64 base, desc, fetch;
	} rows[] = {
		/* Linear. */
		{ STAND_RAM + STAND_RAM_SIZE, 0,
		  STAND_RAM + STAND_RAM_SIZE + SID_E * 64 },
		{ 0, 0, SID_E * 64 },
		{ 0xfffffffff0000, 0, 0xfffffffff0000 + SID_E * 64 },
		/* A descriptor, then an STE. */
		{ 0x30000000 | 1, 0, 0x30000000 },
		{ BASE | 1, 0x30000007, 0x30000000 + SID_E * 64 },
		{ BASE | 1, 0xfffffff0000007, 0xfffffff0000000 + SID_E * 64 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bool two = rows[i].base & 1;
		struct smmu_stand b;
		u64 fetch;

		stand_init(&b, NULL);
		stand_boot(&b);
		*stand_word(&b, BASE) = rows[i].desc;
		table(&b, rows[i].base & ~1ull, 8 | 6 << 6 | (u32)two << 16);
		ck_assert_uint_eq(event_of(&b, SID_E, &fetch), F_STE_FETCH);
		ck_assert_msg(fetch == rows[i].fetch, "%zu: %#llx", i,
			      (unsigned long long)fetch);
		stand_fini(&b);
	}
}
END_TEST

/* A StreamID that is none is only told of if it is to be. */
START_TEST(recorded_or_not)
{
	struct smmu_stand b;
	u64 fetch;

	stand_init(&b, NULL);
	stand_boot(&b);
	table(&b, BASE, 2);
	ck_assert_uint_eq(event_of(&b, SID_E, &fetch), C_BAD_STREAMID);
	wr(&b, S_CR0, EVENTQEN);
	wr(&b, S_CR2, 0);
	wr(&b, S_CR0, ALL_ON);
	ck_assert_uint_eq(event_of(&b, SID_E, &fetch), 0);
	/* Nor if it is to abort. */
	table(&b, BASE, 8);
	*stand_word(&b, BASE + SID_E * 64) = STE_ABORT;
	ck_assert_uint_eq(event_of(&b, SID_E, &fetch), 0);
	ck_assert_uint_eq(smmu_counters(b.smmu).events, 1);
	ck_assert_uint_eq(smmu_counters(b.smmu).events_lost, 0);
	stand_fini(&b);
}
END_TEST

/* --- what the backend is told ------------------------------------------ */

static void expect_attach(struct smmu_stand *b, u32 i, u32 sid,
			  enum smmu_kind kind, u64 ste0, u64 ste1)
{
	ck_assert_uint_lt(i, b->attaches);
	ck_assert_uint_eq(b->attached[i].sid, sid);
	ck_assert_uint_eq(b->attached[i].plan.kind, kind);
	ck_assert_uint_eq(b->attached[i].plan.ste[0], ste0);
	ck_assert_uint_eq(b->attached[i].plan.ste[1], ste1);
}

START_TEST(switched_on)
{
	struct smmu_stand b;

	stand_init(&b, stand_host);
	stand_ste(&b, SID_A, STE_S1(STAND_CD), 0xa4);
	/* An STE that is not right aborts, and nobody says so. */
	stand_ste(&b, SID_B, STE_V | STE_CFG(6), 0);
	b.attaches = 0;
	stand_boot(&b);
	ck_assert_uint_eq(b.attaches, 2);
	expect_attach(&b, 0, SID_A, SMMU_STAGE1, STE_S1(STAND_CD), 0xa4);
	expect_attach(&b, 1, SID_B, SMMU_ABORT, STE_ABORT, 0);
	ck_assert_uint_eq(rd(&b, S_EVENTQ_PROD), 0);
	/* GBPA does not count now. */
	wr(&b, S_GBPA, GBPA_ABORT_);
	ck_assert_uint_eq(b.attaches, 2);
	wr(&b, S_CR0, 0);
	ck_assert_uint_eq(b.attaches, 3);
	expect_attach(&b, 2, SID_A, SMMU_ABORT, STE_ABORT, 0);
	wr(&b, S_GBPA, GBPA_PASS);
	ck_assert_uint_eq(b.attaches, 5);
	expect_attach(&b, 4, SID_B, SMMU_BYPASS, STE_PASS, 0);
	stand_fini(&b);
}
END_TEST

/* An SMMU below that could stall is told not to. */
START_TEST(never_stalls)
{
	u32 host[6];
	struct smmu_stand b;

	memcpy(host, stand_host, sizeof(host));
	host[0] &= ~(3u << 24);
	stand_init(&b, host);
	stand_ste(&b, SID_A, STE_S1(STAND_CD), 0);
	b.attaches = 0;
	stand_boot(&b);
	expect_attach(&b, 0, SID_A, SMMU_STAGE1, STE_S1(STAND_CD), S1STALLD);
	stand_fini(&b);
}
END_TEST

/* A stream that is added later is what its STE says at once. */
START_TEST(added_later)
{
	struct smmu_stand b;
	struct err e;

	stand_init(&b, stand_host);
	stand_ste(&b, 0x21, STE_S1(STAND_CD), 0);
	stand_boot(&b);
	b.attaches = 0;
	ck_assert(!smmu_add(b.smmu, 0x21, true, &e));
	ck_assert(!smmu_add(b.smmu, 0x22, true, &e));
	ck_assert_uint_eq(b.attaches, 2);
	expect_attach(&b, 0, 0x21, SMMU_STAGE1, STE_S1(STAND_CD), 0);
	expect_attach(&b, 1, 0x22, SMMU_ABORT, STE_ABORT, 0);
	stand_fini(&b);
}
END_TEST

/* A plan that the host refuses is told again when the guest asks. */
START_TEST(refused)
{
	struct smmu_stand b;

	stand_init(&b, stand_host);
	stand_ste(&b, SID_A, STE_S1(STAND_CD), 0);
	b.refuse_attach = true;
	b.attaches = 0;
	stand_boot(&b);
	ck_assert_uint_eq(b.attaches, 2);
	stand_run(&b, CFGI_STE(SID_A), 0);
	ck_assert_uint_eq(b.attaches, 3);
	expect_attach(&b, 2, SID_A, SMMU_STAGE1, STE_S1(STAND_CD), 0);
	b.refuse_attach = false;
	stand_run(&b, CFGI_STE(SID_A), 0);
	ck_assert_uint_eq(b.attaches, 4);
	stand_run(&b, CFGI_STE(SID_A), 0);
	ck_assert_uint_eq(b.attaches, 4);
	ck_assert_uint_eq(rd(&b, S_GERROR), 0);
	stand_fini(&b);
}
END_TEST

UNIT_MAIN("smmu_ste", every_bit, words, linear_tables, huge_tables,
	  two_level_tables, fetches, recorded_or_not, switched_on, never_stalls,
	  added_later, refused)
