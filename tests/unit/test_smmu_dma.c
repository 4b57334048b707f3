/*
 * Emulated devices behind the SMMU: where their accesses go, every fault with
 * its record, what commands make of what was kept, and what is written back.
 */
#include "unit.h"

#include "fakes/smmu_stand.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

/* Descriptors of VMSAv8-64 */
#define TABLE 3ull
#define PAGE  3ull
#define BLOCK 1ull
#define USER  (1ull << 6)
#define RO    (1ull << 7)
#define AF    (1ull << 10)
#define DBM   (1ull << 51)
#define USUAL (PAGE | USER | AF)

/* A context descriptor: 39 bits by 4 KiB, TTB1 off, 40 bits out. */
#define CD_0(asid)                                                       \
	(25 | 1ull << 30 | 1ull << 31 | 2ull << 32 | 1ull << 41 | CD_R | \
	 1ull << 46 | (u64)(asid) << 48)
#define CD_R    (1ull << 45)
#define CD_HA   (1ull << 43)
#define CD_HD   (1ull << 42)
#define CD_TBI0 (1ull << 38)
#define CD_AFFD (1ull << 35)

/* Three levels of tables that map 2 MiB at VA; what each page is, is free. */
#define L1 STAND_FREE
#define L2 (STAND_FREE + 0x1000)
#define L3 (STAND_FREE + 0x2000)
#define VA 0x1234400000ull
#define PA (STAND_RAM + 0xe0000) /* pages for data, to the end */

/* Fields of a record's word 1 */
#define RNW      (1ull << 35)
#define CLASS_TT (1ull << 40)
#define CLASS_IN (2ull << 40)

static void hush(void)
{
	int fd = open("/dev/null", O_WRONLY);

	dup2(fd, STDERR_FILENO);
	close(fd);
}

static void set_page(struct smmu_stand *b, u32 i, u64 desc)
{
	*stand_word(b, L3 + i * 8) = desc;
}

/* Stage 1 for SID_E by these tables, and page 0 there. */
static void translating(struct smmu_stand *b, const u32 *host)
{
	stand_init(b, host);
	stand_ste(b, SID_E, STE_S1(STAND_CD), 0);
	*stand_word(b, STAND_CD) = CD_0(1);
	*stand_word(b, STAND_CD + 8) = L1;
	*stand_word(b, L1 + (VA >> 30 & 0x1ff) * 8) = L2 | TABLE;
	*stand_word(b, L2 + (VA >> 21 & 0x1ff) * 8) = L3 | TABLE;
	set_page(b, 0, PA | USUAL);
	stand_boot(b);
}

/* Where the first byte at @addr is, in guest memory; 0: nowhere. */
static u64 where(struct smmu_stand *b, u32 sid, u64 addr, u64 len, bool write,
		 u64 *got)
{
	struct dma d = smmu_dma(b->smmu, sid);
	u8 *p;

	*got = len;
	p = dma_map(&d, addr, got, write);
	return p ? (u64)(p - b->ram) + STAND_RAM : 0;
}

static u64 reads(struct smmu_stand *b, u64 addr)
{
	u64 got;

	return where(b, SID_E, addr, 1, false, &got);
}

static u64 writes(struct smmu_stand *b, u64 addr)
{
	u64 got;

	return where(b, SID_E, addr, 1, true, &got);
}

static void expect_event(struct smmu_stand *b, const u64 want[4])
{
	u64 record[4];

	stand_event(b, record);
	for (u32 i = 0; i < 4; i++)
		ck_assert_msg(record[i] == want[i], "word %u: %#llx not %#llx",
			      i, (unsigned long long)record[i],
			      (unsigned long long)want[i]);
}

static void expect_no_event(struct smmu_stand *b)
{
	const u64 none[4] = { 0 };

	expect_event(b, none);
	ck_assert_uint_eq(smmu_counters(b->smmu).events_lost, 0);
}

/* --- without translation ----------------------------------------------- */

static const struct {
	u32 cr0;
	u32 gbpa;
	u64 ste;
	u64 addr;
	bool ok;
	u64 event[4];
} plain[] = {
	/* Switched off. */
	{ EVENTQEN, GBPA_PASS, 0, PA, true, { 0 } },
	{ EVENTQEN, GBPA_ABORT_, STE_PASS, PA, false, { 0 } },
	{ EVENTQEN, GBPA_PASS, 0, 1ull << 40, false, { 0 } },
	/* On: the STE says. */
	{ ALL_ON, GBPA_ABORT_, STE_PASS, PA, true, { 0 } },
	{ ALL_ON, GBPA_PASS, STE_ABORT, PA, false, { 0 } },
	{ ALL_ON, GBPA_PASS, STE_PASS, 0x1000, false, { 0 } },
	{ ALL_ON, GBPA_PASS, STE_PASS, 0xffffffffff, false, { 0 } },
	{ ALL_ON,
	  GBPA_PASS,
	  STE_PASS,
	  1ull << 40,
	  false,
	  { 0x11 | SID_FIELD(SID_E), CLASS_IN | RNW, 1ull << 40, 0 } },
	{ ALL_ON,
	  GBPA_PASS,
	  STE_PASS,
	  ~0ull,
	  false,
	  { 0x11 | SID_FIELD(SID_E), CLASS_IN | RNW, ~0ull, 0 } },
	{ ALL_ON, GBPA_PASS, 0, PA, false, { 0x04 | SID_FIELD(SID_E) } },
};

START_TEST(not_translated)
{
	for (size_t i = 0; i < ARRAY_SIZE(plain); i++) {
		struct smmu_stand b;

		stand_init(&b, NULL);
		stand_ste(&b, SID_E, plain[i].ste, 0);
		stand_boot(&b);
		wr(&b, S_CR0, 0);
		wr(&b, S_GBPA, plain[i].gbpa);
		wr(&b, S_CR0, plain[i].cr0);
		ck_assert_msg(reads(&b, plain[i].addr) ==
				      (plain[i].ok ? plain[i].addr : 0),
			      "%zu", i);
		expect_event(&b, plain[i].event);
		expect_no_event(&b);
		stand_fini(&b);
	}
}
END_TEST

/* All there is in one piece, and not beyond it. */
START_TEST(not_cut)
{
	struct smmu_stand b;
	u64 got;

	stand_init(&b, NULL);
	ck_assert_uint_eq(where(&b, SID_E, PA, 0x20000, true, &got), PA);
	ck_assert_uint_eq(got, 0x20000);
	ck_assert_uint_eq(where(&b, SID_E, PA, 0x40000, true, &got), PA);
	ck_assert_uint_eq(got, 0x20000);
	stand_fini(&b);
}
END_TEST

/* --- with it ----------------------------------------------------------- */

/* Pages here and there, read and written across. */
START_TEST(translated)
{
	u8 out[0x3000], in[0x3000];
	struct smmu_stand b;
	struct dma d;
	u64 got;

	translating(&b, NULL);
	for (u32 i = 0; i < 4; i++)
		set_page(&b, i, (PA + 0x10000 - i * 0x3000) | USUAL);
	for (u32 i = 0; i < sizeof(out); i++)
		out[i] = (u8)(i * 7 + (i >> 8));
	d = smmu_dma(b.smmu, SID_E);
	ck_assert(!dma_write(&d, VA + 0x800, out, sizeof(out)));
	ck_assert(!memcmp(stand_word(&b, PA + 0x10800), out, 0x800));
	ck_assert(!memcmp(stand_word(&b, PA + 0xd000), out + 0x800, 0x1000));
	ck_assert(!memcmp(stand_word(&b, PA + 0x7000), out + 0x2800, 0x800));
	ck_assert(!dma_read(&d, VA + 0x800, in, sizeof(in)));
	ck_assert(!memcmp(in, out, sizeof(in)));
	ck_assert_uint_eq(where(&b, SID_E, VA + 0x1ff8, 64, false, &got),
			  PA + 0xdff8);
	ck_assert_uint_eq(got, 8);
	/* Each page walked for once to write and so for no reads. */
	ck_assert_uint_eq(smmu_counters(b.smmu).walks, 4);
	/* What goes beyond is told once. */
	ck_assert(dma_read(&d, VA + 0x3ff0, in, 0x20));
	expect_event(&b, (const u64[]) { 0x10 | SID_FIELD(SID_E),
					 CLASS_IN | RNW, VA + 0x4000, 0 });
	expect_no_event(&b);
	stand_fini(&b);
}
END_TEST

/* A block is one piece, as far as there is memory. */
START_TEST(blocks)
{
	struct smmu_stand b;
	u64 got;

	translating(&b, NULL);
	*stand_word(&b, L2 + (VA >> 21 & 0x1ff) * 8) =
		STAND_RAM | BLOCK | USER | AF;
	ck_assert_uint_eq(where(&b, SID_E, VA + 0xf0000, MIB, true, &got),
			  STAND_RAM + 0xf0000);
	ck_assert_uint_eq(got, 0x10000);
	ck_assert_uint_eq(where(&b, SID_E, VA + 0x10, 16, true, &got),
			  STAND_RAM + 0x10);
	ck_assert_uint_eq(smmu_counters(b.smmu).walks, 1);
	/* No memory behind it: the device's own bad luck. */
	ck_assert_uint_eq(reads(&b, VA + 0x100000), 0);
	expect_no_event(&b);
	stand_fini(&b);
}
END_TEST

/* The other half, and a top byte. */
START_TEST(halves)
{
	struct smmu_stand b;

	translating(&b, NULL);
	*stand_word(&b, STAND_CD) = CD_0(1) | CD_TBI0;
	ck_assert_uint_eq(reads(&b, VA | 0xabull << 56), PA);
	ck_assert_uint_eq(reads(&b, VA), PA);
	ck_assert_uint_eq(smmu_counters(b.smmu).walks, 1);
	expect_no_event(&b);
	/* Forgotten by any of its names. */
	set_page(&b, 0, (PA + 0x1000) | USUAL);
	stand_run(&b, TLBI_NH_VA(1), VA | 0xcdull << 56);
	ck_assert_uint_eq(reads(&b, VA | 1ull << 56), PA + 0x1000);
	/* TTB1, 4 KiB by 39 bits. */
	*stand_word(&b, STAND_CD) = 25ull << 16 | 2ull << 22 | 1ull << 14 |
				    (CD_0(1) & ~0x4000003full);
	*stand_word(&b, STAND_CD + 16) = L1;
	stand_run(&b, CFGI_CD(SID_E), 0);
	ck_assert_uint_eq(reads(&b, 0xffffff8000000000 | VA), PA + 0x1000);
	ck_assert_uint_eq(reads(&b, VA | 1ull << 40), 0);
	expect_event(&b, (const u64[]) { 0x10 | SID_FIELD(SID_E),
					 CLASS_IN | RNW, VA | 1ull << 40, 0 });
	stand_fini(&b);
}
END_TEST

/* --- faults ------------------------------------------------------------ */

static const struct {
	const char *what;
	u64 set_at, set; /* a word of memory */
	u64 addr;
	bool write;
	u64 event[4]; /* word 0 without the StreamID */
	bool always;  /* recorded with CD.R clear, too */
} faults[] = {
	{ "not mapped",
	  L3 + 8,
	  0,
	  VA + 0x1008,
	  false,
	  { 0x10, CLASS_IN | RNW, VA + 0x1008, 0 },
	  false },
	{ "not mapped, to write",
	  L3 + 8,
	  0,
	  VA + 0x1008,
	  true,
	  { 0x10, CLASS_IN, VA + 0x1008, 0 },
	  false },
	{ "no table",
	  L2 + (VA >> 21 & 0x1ff) * 8,
	  0,
	  VA,
	  false,
	  { 0x10, CLASS_IN | RNW, VA, 0 },
	  false },
	{ "out of range",
	  L3,
	  PA | USUAL,
	  VA | 1ull << 39,
	  false,
	  { 0x10, CLASS_IN | RNW, VA | 1ull << 39, 0 },
	  false },
	{ "a top byte",
	  L3,
	  PA | USUAL,
	  VA | 1ull << 60,
	  false,
	  { 0x10, CLASS_IN | RNW, VA | 1ull << 60, 0 },
	  false },
	{ "a half that is off",
	  L3,
	  PA | USUAL,
	  ~0ull,
	  true,
	  { 0x10, CLASS_IN, ~0ull, 0 },
	  false },
	{ "a page too far",
	  L3,
	  1ull << 40 | USUAL,
	  VA,
	  false,
	  { 0x11, CLASS_IN | RNW, VA, 0 },
	  false },
	{ "a table too far",
	  L2 + (VA >> 21 & 0x1ff) * 8,
	  1ull << 40 | TABLE,
	  VA,
	  true,
	  { 0x11, CLASS_IN, VA, 0 },
	  false },
	{ "never used",
	  L3,
	  PA | PAGE | USER,
	  VA,
	  false,
	  { 0x12, CLASS_IN | RNW, VA, 0 },
	  false },
	{ "read only",
	  L3,
	  PA | USUAL | RO,
	  VA + 0xfff,
	  true,
	  { 0x13, CLASS_IN, VA + 0xfff, 0 },
	  false },
	{ "not for users",
	  L3,
	  PA | PAGE | AF,
	  VA,
	  false,
	  { 0x13, CLASS_IN | RNW, VA, 0 },
	  false },
	{ "a table that is nowhere",
	  L2 + (VA >> 21 & 0x1ff) * 8,
	  0x30000000 | TABLE,
	  VA + 0x5678,
	  true,
	  { 0x0b, CLASS_TT, VA + 0x5678, 0x30000028 },
	  true },
	{ "a first table that is nowhere",
	  STAND_CD + 8,
	  0x30000000,
	  VA,
	  false,
	  { 0x0b, CLASS_TT | RNW, VA, 0x30000000 + (VA >> 30) * 8 },
	  true },
	{ "a descriptor that is not valid",
	  STAND_CD,
	  0,
	  VA,
	  false,
	  { 0x0a, 0, 0, 0 },
	  true },
	{ "a descriptor that is nowhere",
	  STAND_STRTAB + SID_E * 64,
	  STE_S1(0x30000040),
	  VA,
	  false,
	  { 0x09, 0, 0, 0x30000040 },
	  true },
	{ "an STE that is not valid",
	  STAND_STRTAB + SID_E * 64,
	  0,
	  VA,
	  false,
	  { 0x04, 0, 0, 0 },
	  true },
};

START_TEST(faulting)
{
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		u64 want[4];
		struct smmu_stand b;

		translating(&b, NULL);
		*stand_word(&b, faults[i].set_at) = faults[i].set;
		memcpy(want, faults[i].event, sizeof(want));
		want[0] |= SID_FIELD(SID_E);
		/* As often as it is tried: nothing wrong is kept. */
		for (u32 n = 0; n < 2; n++) {
			ck_assert_msg(!(faults[i].write
						? writes(&b, faults[i].addr)
						: reads(&b, faults[i].addr)),
				      "%s", faults[i].what);
			expect_event(&b, want);
		}
		expect_no_event(&b);
		/* Not to be recorded. */
		*stand_word(&b, STAND_CD) &= ~CD_R;
		stand_run(&b, CFGI_CD_ALL(SID_E), 0);
		if (faults[i].write)
			writes(&b, faults[i].addr);
		else
			reads(&b, faults[i].addr);
		if (faults[i].always)
			expect_event(&b, want);
		expect_no_event(&b);
		stand_fini(&b);
	}
}
END_TEST

/* What is wrong and put right is right without a command. */
START_TEST(put_right)
{
	struct smmu_stand b;
	u64 record[4];

	translating(&b, NULL);
	stand_ste(&b, SID_E, 0, 0);
	*stand_word(&b, STAND_CD) = 0;
	set_page(&b, 0, 0);
	ck_assert_uint_eq(reads(&b, VA), 0);
	stand_ste(&b, SID_E, STE_S1(STAND_CD), 0);
	ck_assert_uint_eq(reads(&b, VA), 0);
	*stand_word(&b, STAND_CD) = CD_0(1);
	ck_assert_uint_eq(reads(&b, VA), 0);
	set_page(&b, 0, PA | USUAL);
	ck_assert_uint_eq(reads(&b, VA), PA);
	for (u32 i = 0; i < 3; i++) {
		static const u8 ids[] = { 0x04, 0x0a, 0x10 };

		stand_event(&b, record);
		ck_assert_uint_eq(record[0] & 0xff, ids[i]);
	}
	expect_no_event(&b);
	stand_fini(&b);
}
END_TEST

/* --- what is kept ------------------------------------------------------ */

/* Which commands make one forget the page at VA + 0x8000, of ASID 1. */
static const struct {
	u64 word0, word1;
	bool forgets;
} commands[] = {
	{ TLBI_NH_ALL, 0, true },
	{ TLBI_NSNH_ALL, 0, true },
	{ TLBI_NH_ASID(1), 0, true },
	{ TLBI_NH_ASID(2), 0, false },
	{ TLBI_NH_VA(1), VA + 0x8000, true },
	{ TLBI_NH_VA(1), VA + 0x8000 + 1, true }, /* leaf */
	{ TLBI_NH_VA(1), VA + 0x7000, false },
	{ TLBI_NH_VA(1), VA + 0x9000, false },
	/* It might have been a global one. */
	{ TLBI_NH_VA(2), VA + 0x8000, true },
	{ TLBI_NH_VAA, VA + 0x8000, true },
	{ TLBI_NH_VAA, VA, false },
	/* (NUM + 1) << SCALE granules, 4.4.1.1: of 4 KiB */
	{ TLBI_NH_VAA | 7ull << 12, VA | 1 << 10, false },
	{ TLBI_NH_VAA | 8ull << 12, VA | 1 << 10, true },
	{ TLBI_NH_VAA | 1ull << 12, (VA + 0x9000) | 1 << 10, false },
	{ TLBI_NH_VAA | 3ull << 20, VA | 1 << 10, false },
	{ TLBI_NH_VAA | 4ull << 20, VA | 1 << 10, true },
	{ TLBI_NH_VAA | 2ull << 12 | 1ull << 20, (VA + 0x3000) | 1 << 10,
	  true },
	{ TLBI_NH_VAA | 1ull << 12 | 1ull << 20, (VA + 0x3000) | 1 << 10,
	  false },
	/* Of 16 and 64 KiB */
	{ TLBI_NH_VAA | 1ull << 12, VA | 2 << 10, false },
	{ TLBI_NH_VAA | 2ull << 12, VA | 2 << 10, true },
	{ TLBI_NH_VAA, VA | 3 << 10 | 3 << 8, true },
	{ TLBI_NH_VAA, (VA + 0x10000) | 3 << 10 | 3 << 8, false },
	/* To the end of all addresses, and not round it. */
	{ TLBI_NH_VAA | 31ull << 12 | 39ull << 20, 3 << 10, true },
	{ TLBI_NH_VAA | 31ull << 12 | 63ull << 20, 3 << 10, true },
	{ TLBI_NH_VAA | 31ull << 12 | 63ull << 20, 0xfff0000000000000 | 3 << 10,
	  false },
	{ CFGI_CD(SID_E), 0, false },
	{ CFGI_STE(SID_E), 0, false },
	{ SYNC, 0, false },
	{ 0x02 | SID_FIELD(SID_E), VA + 0x8000, false },
};

START_TEST(kept)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		struct smmu_stand b;

		translating(&b, NULL);
		set_page(&b, 8, PA | USUAL);
		ck_assert_uint_eq(reads(&b, VA + 0x8000), PA);
		set_page(&b, 8, (PA + 0x1000) | USUAL);
		ck_assert_uint_eq(reads(&b, VA + 0x8000), PA);
		stand_run(&b, commands[i].word0, commands[i].word1);
		ck_assert_msg(reads(&b, VA + 0x8000) ==
				      PA + (commands[i].forgets ? 0x1000 : 0),
			      "%zu", i);
		stand_fini(&b);
	}
}
END_TEST

/* What is kept of tables is their ASID's. */
START_TEST(asids)
{
	struct smmu_stand b;

	translating(&b, NULL);
	ck_assert_uint_eq(reads(&b, VA), PA);
	set_page(&b, 0, (PA + 0x1000) | USUAL);
	*stand_word(&b, STAND_CD) = CD_0(2);
	ck_assert_uint_eq(reads(&b, VA), PA);
	stand_run(&b, CFGI_CD(SID_E), 0);
	ck_assert_uint_eq(reads(&b, VA), PA + 0x1000);
	*stand_word(&b, STAND_CD) = CD_0(1);
	stand_run(&b, CFGI_CD_ALL(SID_E), 0);
	ck_assert_uint_eq(reads(&b, VA), PA);
	stand_fini(&b);
}
END_TEST

/* And what is kept of an STE is that until it is told. */
START_TEST(stes)
{
	static const u64 tell[][2] = {
		{ CFGI_STE(SID_E), 0 },
		{ CFGI_STE(SID_E), 1 },
		{ CFGI_RANGE(0), 31 },
		{ CFGI_RANGE(SID_E + 3), 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(tell); i++) {
		struct smmu_stand b;

		translating(&b, NULL);
		ck_assert_uint_eq(reads(&b, VA), PA);
		stand_ste(&b, SID_E, STE_PASS, 0);
		ck_assert_uint_eq(reads(&b, VA), PA);
		stand_run(&b, CFGI_STE(SID_E + 1), 0);
		stand_run(&b, CFGI_CD(SID_E), 0);
		ck_assert_uint_eq(reads(&b, VA), PA);
		stand_run(&b, tell[i][0], tell[i][1]);
		/* A range of 4 from 24 has it, too. */
		ck_assert_uint_eq(reads(&b, PA), PA);
		/* As does switching off and on. */
		stand_ste(&b, SID_E, STE_ABORT, 0);
		ck_assert_uint_eq(reads(&b, PA), PA);
		wr(&b, S_CR0, CMDQEN | EVENTQEN);
		wr(&b, S_CR0, ALL_ON);
		ck_assert_uint_eq(reads(&b, PA), 0);
		stand_fini(&b);
	}
}
END_TEST

/* Two streams by the same tables: each has its own, commands are for both. */
START_TEST(two_streams)
{
	struct smmu_stand b;
	struct err e;
	u64 got;

	translating(&b, stand_host);
	ck_assert(!smmu_add(b.smmu, 0x20, false, &e));
	stand_ste(&b, 0x20, STE_S1(STAND_CD), 0);
	ck_assert_uint_eq(reads(&b, VA), PA);
	set_page(&b, 0, (PA + 0x1000) | USUAL);
	ck_assert_uint_eq(where(&b, 0x20, VA, 1, false, &got), PA + 0x1000);
	set_page(&b, 0, (PA + 0x2000) | USUAL);
	ck_assert_uint_eq(reads(&b, VA), PA);
	stand_run(&b, TLBI_NH_VA(1), VA);
	ck_assert_uint_eq(reads(&b, VA), PA + 0x2000);
	ck_assert_uint_eq(where(&b, 0x20, VA, 1, false, &got), PA + 0x2000);
	/* The backend was told, too. */
	ck_assert_uint_eq(b.invs, 1);
	stand_fini(&b);
}
END_TEST

/* More pages than are kept. */
START_TEST(many_pages)
{
	struct smmu_stand b;
	u32 wrong = 0;

	translating(&b, NULL);
	for (u32 i = 0; i < 256; i++)
		set_page(&b, i, (PA + i % 32 * 0x1000) | USUAL);
	for (u32 round = 0; round < 3; round++)
		for (u32 i = 0; i < 256; i++)
			wrong += reads(&b, VA + i * 0x1000 + i) !=
				 PA + i % 32 * 0x1000 + i;
	ck_assert_uint_eq(wrong, 0);
	ck_assert_uint_ge(smmu_counters(b.smmu).walks, 256);
	stand_fini(&b);
}
END_TEST

START_TEST(reset)
{
	struct smmu_stand b;

	translating(&b, NULL);
	ck_assert_uint_eq(reads(&b, VA), PA);
	smmu_reset(b.smmu);
	ck_assert_uint_eq(reads(&b, PA), PA);
	set_page(&b, 0, (PA + 0x1000) | USUAL);
	stand_boot(&b);
	ck_assert_uint_eq(reads(&b, VA), PA + 0x1000);
	stand_fini(&b);
}
END_TEST

/* --- what is written back ---------------------------------------------- */

START_TEST(access_flag)
{
	struct smmu_stand b;

	translating(&b, NULL);
	*stand_word(&b, STAND_CD) = CD_0(1) | CD_AFFD;
	set_page(&b, 0, PA | PAGE | USER);
	ck_assert_uint_eq(reads(&b, VA), PA);
	ck_assert_uint_eq(*stand_word(&b, L3), PA | PAGE | USER);
	*stand_word(&b, STAND_CD) = CD_0(1) | CD_HA;
	stand_run(&b, CFGI_CD(SID_E), 0);
	stand_run(&b, TLBI_NH_ALL, 0);
	ck_assert_uint_eq(reads(&b, VA), PA);
	ck_assert_uint_eq(*stand_word(&b, L3), PA | USUAL);
	/* An access that is refused leaves no trace. */
	set_page(&b, 1, PA | PAGE | USER | RO);
	ck_assert_uint_eq(writes(&b, VA + 0x1000), 0);
	ck_assert_uint_eq(*stand_word(&b, L3 + 8), PA | PAGE | USER | RO);
	stand_fini(&b);
}
END_TEST

/* A page that was read may be clean when it is written. */
START_TEST(dirty_state)
{
	u64 clean = PA | USUAL | RO | DBM;
	struct smmu_stand b;

	translating(&b, NULL);
	*stand_word(&b, STAND_CD) = CD_0(1) | CD_HA | CD_HD;
	set_page(&b, 0, clean);
	ck_assert_uint_eq(reads(&b, VA), PA);
	ck_assert_uint_eq(*stand_word(&b, L3), clean);
	ck_assert_uint_eq(writes(&b, VA), PA);
	ck_assert_uint_eq(*stand_word(&b, L3), clean & ~RO);
	ck_assert_uint_eq(smmu_counters(b.smmu).walks, 2);
	ck_assert_uint_eq(writes(&b, VA), PA);
	ck_assert_uint_eq(smmu_counters(b.smmu).walks, 2);
	stand_fini(&b);
}
END_TEST

/* The SMMU below cannot, so it is not offered. */
START_TEST(no_updates)
{
	struct smmu_stand b;

	translating(&b, stand_host);
	*stand_word(&b, STAND_CD) = CD_0(1) | CD_HA;
	ck_assert_uint_eq(reads(&b, VA), 0);
	expect_event(&b, (const u64[]) { 0x0a | SID_FIELD(SID_E), 0, 0, 0 });
	stand_fini(&b);
}
END_TEST

/* --- messages ---------------------------------------------------------- */

/* A doorbell is no memory. */
START_TEST(messages)
{
	struct smmu_stand b;
	u64 to;

	translating(&b, NULL);
	set_page(&b, 5, 0x08000000 | USUAL);
	ck_assert(smmu_translate(b.smmu, SID_E, VA + 0x5040, &to));
	ck_assert_uint_eq(to, 0x08000040);
	set_page(&b, 6, 0x08000000 | USUAL | RO);
	ck_assert(!smmu_translate(b.smmu, SID_E, VA + 0x6040, &to));
	expect_event(&b, (const u64[]) { 0x13 | SID_FIELD(SID_E), CLASS_IN,
					 VA + 0x6040, 0 });
	wr(&b, S_CR0, 0);
	ck_assert(smmu_translate(b.smmu, SID_E, 0x08000040, &to));
	ck_assert_uint_eq(to, 0x08000040);
	wr(&b, S_GBPA, GBPA_ABORT_);
	ck_assert(!smmu_translate(b.smmu, SID_E, 0x08000040, &to));
	stand_fini(&b);
}
END_TEST

/* --- threads ----------------------------------------------------------- */

#define ROUNDS 3000

/* A device that reads and writes all the time. */
static void *device(void *arg)
{
	struct smmu_stand *b = arg;
	struct dma d = smmu_dma(b->smmu, SID_E);
	u64 wrong = 0;

	for (u32 i = 0; i < ROUNDS; i++) {
		u64 len = 8, at = i % 16;
		u8 *p = dma_map(&d, VA + at * 0x1000, &len, i % 3 == 0);

		wrong += p != b->ram + (PA - STAND_RAM) + at * 0x1000;
	}
	return (void *)(uintptr_t)wrong;
}

START_TEST(threads)
{
	struct smmu_stand b;
	pthread_t t[2];
	void *wrong;

	hush();
	translating(&b, stand_host);
	for (u32 i = 0; i < 16; i++)
		set_page(&b, i, (PA + i * 0x1000) | USUAL);
	for (u32 i = 0; i < ARRAY_SIZE(t); i++)
		ck_assert(!pthread_create(&t[i], NULL, device, &b));
	for (u32 i = 0; i < ROUNDS; i++) {
		stand_put(&b, TLBI_NH_VA(1), VA + i % 16 * 0x1000);
		stand_put(&b, i % 8 ? SYNC : CFGI_STE(SID_E), 0);
		stand_ring(&b);
	}
	for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
		ck_assert(!pthread_join(t[i], &wrong));
		ck_assert_ptr_null(wrong);
	}
	ck_assert_uint_eq(rd(&b, S_CMDQ_CONS), b.prod);
	expect_no_event(&b);
	stand_fini(&b);
}
END_TEST

UNIT_MAIN("smmu_dma", not_translated, not_cut, translated, blocks, halves,
	  faulting, put_right, kept, asids, stes, two_streams, many_pages,
	  reset, access_flag, dirty_state, no_updates, messages, threads)
