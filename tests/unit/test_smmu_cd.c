/*
 * What a context descriptor says: every field with every value that matters,
 * for every offer that it depends on; and the cache of translations.
 */
#include "unit.h"

#include "smmu_priv.h"

#include <string.h>

/* 5.4 */
#define V       (1ull << 31)
#define AA64    (1ull << 41)
#define A       (1ull << 46)
#define S       (1ull << 44)
#define R       (1ull << 45)
#define HA      (1ull << 43)
#define HD      (1ull << 42)
#define EPD0    (1ull << 14)
#define EPD1    (1ull << 30)
#define ENDI    (1ull << 15)
#define T0SZ(n) ((u64)(n))
#define TG0(n)  ((u64)(n) << 6)
#define T1SZ(n) ((u64)(n) << 16)
#define TG1(n)  ((u64)(n) << 22)
#define IPS(n)  ((u64)(n) << 32)
#define ASID(n) ((u64)(n) << 48)
#define DS      (1ull << 58) /* word 2 */

/* One that is right: T0SZ 16 with 4 KiB, TTB1 off, 48 bits out. */
#define GOOD (V | AA64 | A | T0SZ(16) | EPD1 | IPS(5))

/* Offers: IDR5 of granules, DS and VAX. */
#define G4K   0x10u
#define G16K  0x20u
#define G64K  0x40u
#define O_DS  0x80u
#define O_VAX 0x400u

static struct offer offering(u32 idr0, u32 idr5, u32 oas)
{
	return (struct offer) { .idr = { [0] = idr0, [3] = 4, [5] = idr5 },
				.oas = oas };
}

static struct offer usual(void)
{
	return offering(1u << 12, G4K | G16K | G64K, 48);
}

static bool plan(const struct offer *o, u64 word0, u64 word1, u64 word2,
		 struct cd_plan *p)
{
	struct cd cd = { { word0, word1, word2 } };

	return cd_plan(&cd, o, p);
}

/* --- word 0, bit by bit ------------------------------------------------ */

/* Bits of word 0 that a good descriptor may have the other way, and that may
 * not: 5.4.2. The rest is attributes of accesses, which are ignored here. */
static const struct {
	u64 word0;
	bool ok;
} flips[] = {
	{ V, false },
	{ AA64, false },
	{ A, false },
	{ S, false },
	{ ENDI, false },
	{ R, true },
	{ HA, false },
	{ HD, false },
	{ HA | HD, false },
	{ 1ull << 35, true },        /* AFFD */
	{ 1ull << 36, true },        /* WXN */
	{ 1ull << 37, true },        /* UWXN */
	{ 1ull << 38, true },        /* TBI0 */
	{ 1ull << 39, true },        /* TBI1 */
	{ 1ull << 40, true },        /* PAN */
	{ 1ull << 47, true },        /* ASET */
	{ 0x3f00, true },            /* IR0, OR0, SH0 */
	{ 0x3f000000, true },        /* IR1, OR1, SH1 */
	{ T1SZ(63) | TG1(3), true }, /* of a half that is off */
	{ ASID(0xffff), true },
	/* Both halves off: nothing is said of tables. */
	{ EPD0, true },
	{ EPD0 | ENDI, true },
	{ EPD0 | T0SZ(63) | TG0(3), true },
	{ EPD0 | EPD1, false }, /* TG1 is not a granule */
};

START_TEST(one_by_one)
{
	struct offer o = usual();
	struct cd_plan p;

	for (size_t i = 0; i < ARRAY_SIZE(flips); i++)
		ck_assert_msg(plan(&o, GOOD ^ flips[i].word0, 0, 0, &p) ==
				      flips[i].ok,
			      "%zu", i);
}
END_TEST

/* What is decoded, field by field. */
START_TEST(decoded)
{
	struct offer o = offering(1u << 12 | 2u << 6, G4K | G16K | G64K, 48);
	struct cd_plan p;
	u64 both = V | AA64 | A | IPS(2) | T0SZ(25) | TG0(2) | 3ull << 12 |
		   T1SZ(30) | TG1(3) | 2ull << 28;

	ck_assert(plan(&o, both, 0x1234567000ull | 2, 0x7654321000ull, &p));
	ck_assert(p.regime.half[0].on && p.regime.half[1].on);
	ck_assert_uint_eq(p.regime.half[0].shift, 14);
	ck_assert_uint_eq(p.regime.half[0].bits, 39);
	ck_assert_uint_eq(p.regime.half[0].sh, 3);
	ck_assert_uint_eq(p.regime.half[0].table, 0x1234567000ull);
	ck_assert(p.regime.half[0].flat && !p.regime.half[1].flat);
	ck_assert_uint_eq(p.regime.half[1].shift, 16);
	ck_assert_uint_eq(p.regime.half[1].bits, 34);
	ck_assert_uint_eq(p.regime.half[1].sh, 2);
	ck_assert_uint_eq(p.regime.half[1].table, 0x7654321000ull);
	ck_assert_uint_eq(p.regime.oas, 40);
	ck_assert(!p.regime.half[0].tbi && !p.regime.half[1].tbi);
	ck_assert(!p.regime.ha && !p.regime.hd && !p.regime.no_af);
	ck_assert(!p.regime.wxn && !p.regime.pan && !p.regime.ds && !p.record);
	ck_assert_uint_eq(p.asid, 0);

	ck_assert(
		plan(&o, both | HA | 1ull << 38 | R | ASID(0xabcd), 0, 2, &p));
	ck_assert(p.regime.half[0].tbi && !p.regime.half[1].tbi);
	ck_assert(!p.regime.half[0].flat && p.regime.half[1].flat);
	ck_assert(p.regime.ha && !p.regime.hd && p.record);
	ck_assert_uint_eq(p.asid, 0xabcd);
	ck_assert(plan(&o, both | HA | HD | 1ull << 39 | 1ull << 35, 0, 0, &p));
	ck_assert(!p.regime.half[0].tbi && p.regime.half[1].tbi);
	ck_assert(p.regime.ha && p.regime.hd && p.regime.no_af);
	/* HD alone is neither. */
	ck_assert(plan(&o, both | HD | 1ull << 36 | 1ull << 40, 0, 0, &p));
	ck_assert(!p.regime.ha && !p.regime.hd);
	ck_assert(p.regime.wxn && p.regime.pan);
	/* Without HAD the bit is nobody's. */
	o.idr[3] = 0;
	ck_assert(plan(&o, both, 2, 2, &p));
	ck_assert(!p.regime.half[0].flat && !p.regime.half[1].flat);
}
END_TEST

START_TEST(updates)
{
	for (u32 httu = 0; httu < 4; httu++) {
		struct offer o = offering(httu << 6, G4K, 48);
		struct cd_plan p;

		ck_assert(plan(&o, GOOD, 0, 0, &p));
		ck_assert(plan(&o, GOOD | HA, 0, 0, &p) == (httu >= 1));
		ck_assert(plan(&o, GOOD | HD, 0, 0, &p) == (httu >= 2));
		ck_assert(plan(&o, GOOD | HA | HD, 0, 0, &p) == (httu >= 2));
	}
}
END_TEST

START_TEST(asids)
{
	struct offer wide = offering(1u << 12, G4K, 48);
	struct offer narrow = offering(0, G4K, 48);
	struct cd_plan p;

	for (u32 bit = 0; bit < 16; bit++) {
		ck_assert(plan(&wide, GOOD | ASID(1u << bit), 0, 0, &p));
		ck_assert_uint_eq(p.asid, 1u << bit);
		ck_assert(plan(&narrow, GOOD | ASID(1u << bit), 0, 0, &p) ==
			  (bit < 8));
	}
}
END_TEST

/* --- sizes ------------------------------------------------------------- */

/* Granules by TG0 and TG1; 0: reserved. */
static const u8 granules[2][4] = { { 12, 16, 14, 0 }, { 0, 14, 12, 16 } };

static bool granule_there(u32 idr5, u8 shift)
{
	return (shift == 12 && (idr5 & G4K)) ||
	       (shift == 14 && (idr5 & G16K)) || (shift == 16 && (idr5 & G64K));
}

/* Every TnSZ, TGn and DS of both halves, with every offer. */
static u32 check_size(u32 idr5, u32 half, u32 tg, u32 tsz, bool ds)
{
	struct offer o = offering(0, idr5, 48);
	u64 fields = (T0SZ(tsz) | TG0(tg)) << (half ? 16 : 0);
	u64 word0 = V | AA64 | A | IPS(5) | fields | (half ? EPD0 : EPD1);
	u8 shift = granules[half][tg];
	bool wide = (idr5 & O_VAX) && (shift == 16 || (ds && (idr5 & O_DS)));
	bool want = granule_there(idr5, shift) && tsz <= 39 &&
		    tsz >= (wide ? 12 : 16);
	struct cd_plan p;

	if (plan(&o, word0, 0, ds ? DS : 0, &p) != want)
		return 1;
	if (!want)
		return 0;
	return p.regime.half[half].shift != shift ||
	       p.regime.half[half].bits != 64 - tsz ||
	       p.regime.ds != (ds && (idr5 & O_DS)) ||
	       !walk_regime_ok(&p.regime);
}

START_TEST(sizes)
{
	u32 wrong = 0;

	for (u32 offer = 0; offer < 32; offer++) {
		u32 idr5 = (offer & 7) * G4K | (offer & 8 ? O_DS : 0) |
			   (offer & 16 ? O_VAX : 0);

		/* Not an offer: 52 bits of nothing. */
		if ((idr5 & O_DS) && !(idr5 & O_VAX))
			continue;
		for (u32 tg = 0; tg < 8; tg++)
			for (u32 tsz = 0; tsz < 64; tsz++)
				for (u32 ds = 0; ds < 2; ds++)
					wrong += check_size(idr5, tg / 4,
							    tg % 4, tsz, ds);
	}
	ck_assert_uint_eq(wrong, 0);
}
END_TEST

/* Output sizes, capped by what is offered, and tables beyond them. */
START_TEST(outputs)
{
	static const u8 ips[] = { 32, 36, 40, 42, 44, 48, 52, 52 };
	static const u8 oas[] = { 32, 36, 40, 42, 44, 48, 52 };

	for (u32 i = 0; i < ARRAY_SIZE(ips); i++)
		for (u32 j = 0; j < ARRAY_SIZE(oas); j++) {
			struct offer o =
				offering(0, G4K | G64K | O_DS | O_VAX, oas[j]);
			u64 word = (GOOD & ~IPS(7)) | IPS(i);
			u32 bits = MIN(ips[i], oas[j]);
			struct cd_plan p;

			for (u32 bit = 6; bit < 52; bit++) {
				u64 table = 1ull << bit;
				/* 4 KiB has 48 bits without DS. */
				bool narrow = bit < MIN(bits, 48u);
				bool wide = bit < bits;

				ck_assert(plan(&o, word, table, 0, &p) ==
					  narrow);
				ck_assert(!narrow || p.regime.oas == bits);
				ck_assert(plan(&o, word, table, DS, &p) ==
					  wide);
				ck_assert(plan(&o, word | TG0(1), table, 0,
					       &p) == wide);
				/* A half that is off has no table. */
				ck_assert(plan(&o, word, 0, table, &p));
			}
		}
}
END_TEST

/* --- the cache --------------------------------------------------------- */

static struct tlb_entry entry(u64 va, u64 size, u16 asid, bool read, bool write)
{
	return (struct tlb_entry) { .va = va,
				    .pa = va + 0x1000000,
				    .size = size,
				    .asid = asid,
				    .read = read,
				    .write = write };
}

START_TEST(found)
{
	struct tlb_entry r = entry(0x10000, 0x4000, 1, true, false);
	struct tlb_entry w = entry(0x20000, 0x1000, 1, false, true);
	struct tlb t = { 0 };

	ck_assert_ptr_null(tlb_find(&t, 0, 0, false));
	ck_assert_ptr_null(tlb_find(&t, 0, 0, true));
	tlb_add(&t, &r);
	tlb_add(&t, &w);
	ck_assert_ptr_null(tlb_find(&t, 0xffff, 1, false));
	ck_assert_ptr_eq(tlb_find(&t, 0x10000, 1, false), &t.entry[0]);
	ck_assert_ptr_eq(tlb_find(&t, 0x13fff, 1, false), &t.entry[0]);
	ck_assert_ptr_null(tlb_find(&t, 0x14000, 1, false));
	ck_assert_ptr_null(tlb_find(&t, 0x10000, 2, false));
	ck_assert_ptr_null(tlb_find(&t, 0x10000, 1, true));
	ck_assert_ptr_eq(tlb_find(&t, 0x20800, 1, true), &t.entry[1]);
	ck_assert_ptr_null(tlb_find(&t, 0x20800, 1, false));
}
END_TEST

/* The oldest gives way. */
START_TEST(replaced)
{
	struct tlb t = { 0 };

	for (u64 i = 0; i < TLB_ENTRIES + 2; i++) {
		struct tlb_entry e = entry(i << 12, 0x1000, 0, true, true);

		tlb_add(&t, &e);
	}
	ck_assert_ptr_null(tlb_find(&t, 0, 0, false));
	ck_assert_ptr_null(tlb_find(&t, 0x1000, 0, false));
	for (u64 i = 2; i < TLB_ENTRIES + 2; i++)
		ck_assert_uint_eq(tlb_find(&t, i << 12, 0, false)->va, i << 12);
}
END_TEST

static const struct {
	struct tlb_scope scope;
	bool forgotten;
} scopes[] = {
	/* Of an entry from 0x10000 to 0x13fff, of ASID 5. */
	{ { .last = ~0ull }, true },
	{ { 0, ~0ull, true, 5 }, true },
	{ { 0, ~0ull, true, 6 }, false },
	{ { 0, 0xffff, false, 0 }, false },
	{ { 0, 0x10000, false, 0 }, true },
	{ { 0x10000, 0x10fff, false, 0 }, true },
	{ { 0x12000, 0x12fff, false, 0 }, true },
	{ { 0x13fff, 0x13fff, false, 0 }, true },
	{ { 0x14000, 0x14fff, false, 0 }, false },
	{ { 0x14000, ~0ull, false, 0 }, false },
	{ { 0, ~0ull, false, 6 }, true },
};

START_TEST(forgotten)
{
	for (size_t i = 0; i < ARRAY_SIZE(scopes); i++) {
		struct tlb_entry e = entry(0x10000, 0x4000, 5, true, false);
		struct tlb_entry top = entry(~0xfffull, 0x1000, 5, true, false);
		struct tlb t = { 0 };

		tlb_add(&t, &e);
		tlb_add(&t, &top);
		tlb_forget(&t, &scopes[i].scope);
		ck_assert_msg(!tlb_find(&t, 0x10000, 5, false) ==
				      scopes[i].forgotten,
			      "%zu", i);
		ck_assert_msg(!tlb_find(&t, ~0ull, 5, false) ==
				      (scopes[i].scope.last == ~0ull &&
				       (!scopes[i].scope.by_asid ||
					scopes[i].scope.asid == 5)),
			      "%zu", i);
	}
}
END_TEST

START_TEST(addresses)
{
	ck_assert_uint_eq(tlb_address(0x123), 0x123);
	ck_assert_uint_eq(tlb_address(0xab00000000000123), 0x123);
	ck_assert_uint_eq(tlb_address(0xab80000000000123), 0xff80000000000123);
	ck_assert_uint_eq(tlb_address(~0ull), ~0ull);
	ck_assert_uint_eq(tlb_address(0x007fffffffffffff), 0x007fffffffffffff);
}
END_TEST

UNIT_MAIN("smmu_cd", one_by_one, decoded, updates, asids, sizes, outputs, found,
	  replaced, forgotten, addresses)
