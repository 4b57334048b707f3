/*
 * Stage 1 walks: every granule and size of address, every fault at every level,
 * permissions as the manual's tables have them, what hardware updates, and
 * random maps made by a builder of tables.
 */
#include "unit.h"

#include <belfry/walk.h>

#include <string.h>

#define RAM      0x80000000ull
#define RAM_SIZE (8 * MIB)

/* Descriptors, D8.3 */
#define BLOCK   1ull
#define TABLE   3ull
#define PAGE    3ull
#define AP_USER (1ull << 6)
#define AP_RO   (1ull << 7)
#define AF      (1ull << 10)
#define DBM     (1ull << 51)
#define PXN     (1ull << 53)
#define UXN     (1ull << 54)
#define T_PXN   (1ull << 59)
#define T_UXN   (1ull << 60)
#define T_PRIV  (1ull << 61)
#define T_RO    (1ull << 62)
/* Attributes that have no say in where it goes. */
#define NOISE  (3ull << 55 | 1ull << 52 | 1ull << 11 | 1ull << 5)

#define R      WALK_MAY_READ
#define W      WALK_MAY_WRITE
#define X      WALK_MAY_EXEC
#define U(may) WALK_MAY_USER(may)

struct bench {
	struct gmem mem;
	struct dma dma;
	u64 *ram;
	u64 used; /* bytes of it the builder has given away */
	struct walk_regime r;
	/* While hardware updates a descriptor, so many others do it first. */
	u32 races;
	u64 race_bit;
};

/* Memory that somebody else writes to just before we do. */
static void *map(void *ctx, u64 addr, u64 *len, bool write)
{
	struct bench *b = ctx;
	u64 *at = gmem_span(&b->mem, addr, len);

	if (at && write && b->races) {
		b->races--;
		*at ^= b->race_bit;
	}
	return at;
}

static void init(struct bench *b, u32 shift, u32 bits, u32 oas)
{
	memset(b, 0, sizeof(*b));
	b->ram = aligned_alloc(64 * KIB, RAM_SIZE);
	ck_assert_ptr_nonnull(b->ram);
	memset(b->ram, 0, RAM_SIZE);
	ck_assert(!gmem_add(&b->mem, RAM, RAM_SIZE, b->ram));
	b->dma = (struct dma) { .map = map, .ctx = b };
	for (u32 i = 0; i < 2; i++)
		b->r.half[i] = (struct walk_half) { .on = true,
						    .shift = (u8)shift,
						    .bits = (u8)bits };
	b->r.oas = (u8)oas;
	ck_assert(walk_regime_ok(&b->r));
}

static void fini(struct bench *b)
{
	free(b->ram);
}

/* --- the builder of tables --------------------------------------------- */

/* Entries in a table, by granule; what one entry maps, by level. */
static u64 entries(u32 shift)
{
	return (1ull << shift) / 8;
}

static u64 entry_size(u32 shift, int level)
{
	u64 size = 1ull << shift;

	for (int l = 3; l > level; l--)
		size *= entries(shift);
	return size;
}

/* The level of the table that holds all of an address of @bits. */
static int top_level(u32 shift, u32 bits)
{
	int level = 3;

	while (entry_size(shift, level) * entries(shift) < 1ull << bits)
		level--;
	return level;
}

static u64 take(struct bench *b, u64 size)
{
	u64 at = ALIGN_UP(b->used, size);

	ck_assert_uint_le(at + size, RAM_SIZE);
	b->used = at + size;
	return RAM + at;
}

static u64 *desc_at(struct bench *b, u64 table, u64 i)
{
	return b->ram + (table - RAM) / 8 + i;
}

/* Give both halves an empty table each. */
static void start(struct bench *b)
{
	for (u32 i = 0; i < 2; i++) {
		u32 shift = b->r.half[i].shift;

		b->r.half[i].table = take(b, 1ull << shift);
	}
}

/* The entry of @level for @va, with tables above it made as needed, and
 * @above's bits set in each of these. */
static u64 *entry_for(struct bench *b, u64 va, int level, u64 above)
{
	const struct walk_half *h = &b->r.half[va >> 63];
	u64 in = va & ((1ull << h->bits) - 1), table = h->table;

	for (int l = top_level(h->shift, h->bits);; l++) {
		u64 *d = desc_at(b, table,
				 in / entry_size(h->shift, l) %
					 entries(h->shift));

		if (l == level)
			return d;
		if (!*d)
			*d = take(b, 1ull << h->shift) | TABLE;
		ck_assert_uint_eq(*d & 3, 3);
		*d |= above;
		table = *d & GENMASK(47, h->shift);
	}
}

/* An address as a leaf has it, of 64 KiB granules or with DS. */
static u64 leaf_pa(const struct bench *b, u64 pa)
{
	if (b->r.half[0].shift != 16 && b->r.ds)
		return (pa & GENMASK(49, 0)) | (pa >> 50) << 8;
	if (b->r.half[0].shift != 16)
		return pa;
	return (pa & GENMASK(47, 0)) | (pa >> 48) << 12;
}

static void map_leaf(struct bench *b, u64 va, int level, u64 pa, u64 attrs)
{
	*entry_for(b, va, level, 0) =
		leaf_pa(b, pa) | attrs | (level == 3 ? PAGE : BLOCK);
}

static struct walk go(struct bench *b, u64 va, u32 access)
{
	return walk(&b->dma, &b->r, va, access);
}

static void expect(struct bench *b, u64 va, u32 access, u32 fault, int level)
{
	struct walk w = go(b, va, access);

	ck_assert_msg(w.fault == fault && w.level == level,
		      "%#llx: fault %d at level %d", (unsigned long long)va,
		      w.fault, w.level);
}

static void expect_pa(struct bench *b, u64 va, u64 pa, u32 shift)
{
	struct walk w = go(b, va, 0);

	ck_assert_msg(!w.fault && w.pa == pa && w.shift == shift,
		      "%#llx: fault %d at level %d, %#llx by %u",
		      (unsigned long long)va, w.fault, w.level,
		      (unsigned long long)w.pa, w.shift);
}

/* --- shapes ------------------------------------------------------------ */

static const struct {
	u32 shift, bits, oas;
	bool ok;
} regimes[] = {
	{ 12, 48, 48, true },  { 12, 25, 32, true },  { 12, 16, 48, true },
	{ 14, 48, 44, true },  { 14, 16, 48, true },  { 16, 48, 48, true },
	{ 16, 52, 52, true },  { 16, 17, 36, true },  { 12, 48, 52, true },
	{ 12, 49, 48, false }, { 12, 15, 48, false }, { 14, 49, 48, false },
	{ 16, 53, 52, false }, { 16, 16, 52, false }, { 13, 48, 48, false },
	{ 0, 48, 48, false },  { 12, 48, 31, false }, { 12, 48, 53, false },
	{ 12, 0, 48, false },  { 12, 64, 48, false },
};

START_TEST(settings)
{
	for (size_t i = 0; i < ARRAY_SIZE(regimes); i++)
		for (u32 n = 0; n < 2; n++) {
			struct walk_regime r = { .oas = (u8)regimes[i].oas };

			r.half[n] = (struct walk_half) {
				.on = true,
				.shift = (u8)regimes[i].shift,
				.bits = (u8)regimes[i].bits
			};
			ck_assert_msg(walk_regime_ok(&r) == regimes[i].ok,
				      "%zu", i);
			/* A half that is off may hold anything. */
			r.half[n].on = false;
			r.oas = 48;
			ck_assert(walk_regime_ok(&r));
			r.hd = true;
			ck_assert(!walk_regime_ok(&r));
			r.ha = true;
			ck_assert(walk_regime_ok(&r));
		}
}
END_TEST

/* Where a walk begins, and how many entries that table has. */
static const struct {
	u32 shift, bits;
	int level;
	u32 entries;
} shapes[] = {
	{ 12, 48, 0, 512 },  { 12, 47, 0, 256 },  { 12, 40, 0, 2 },
	{ 12, 39, 1, 512 },  { 12, 36, 1, 64 },   { 12, 31, 1, 2 },
	{ 12, 30, 2, 512 },  { 12, 25, 2, 16 },   { 12, 21, 3, 512 },
	{ 12, 16, 3, 16 },   { 14, 48, 0, 2 },    { 14, 47, 1, 2048 },
	{ 14, 42, 1, 64 },   { 14, 36, 2, 2048 }, { 14, 26, 2, 2 },
	{ 14, 25, 3, 2048 }, { 14, 16, 3, 4 },    { 16, 52, 1, 1024 },
	{ 16, 48, 1, 64 },   { 16, 43, 1, 2 },    { 16, 42, 2, 8192 },
	{ 16, 30, 2, 2 },    { 16, 29, 3, 8192 }, { 16, 17, 3, 2 },
};

/*
 * The first and the last page of each half, by tables made by hand: the first
 * table stands as near to another as its size allows, so its low bits count.
 */
static void try_shape(size_t i, bool upper, bool last)
{
	u32 shift = shapes[i].shift;
	int level = shapes[i].level;
	u64 size = MAX(shapes[i].entries * 8, 64u);
	u64 n = last ? shapes[i].entries - 1 : 0;
	u64 va = upper ? ~0ull << shapes[i].bits : 0;
	struct bench b;
	u64 *d;

	init(&b, shift, shapes[i].bits, 48);
	b.r.half[upper].table = RAM + size;
	if (last)
		va |= ((1ull << shapes[i].bits) - 1) & ~((1ull << shift) - 1);
	d = desc_at(&b, RAM + size, n);
	b.used = 2 * size;
	for (; level < 3; level++) {
		u64 table = take(&b, 1ull << shift);

		*d = table | TABLE;
		d = desc_at(&b, table, last ? entries(shift) - 1 : 0);
	}
	*d = 0x123456780000 | PAGE | AF;
	expect_pa(&b, va + 0x123, 0x123456780123, shift);
	expect(&b, va ^ 1ull << shift, 0, WALK_TRANSLATION, 3);
	/* The least bits of a TTBR are no address. */
	b.r.half[upper].table += 0x38;
	expect_pa(&b, va, 0x123456780000, shift);
	b.r.half[!upper].on = false;
	expect_pa(&b, va, 0x123456780000, shift);
	b.r.half[upper].on = false;
	expect(&b, va, 0, WALK_TRANSLATION, 0);
	fini(&b);
}

START_TEST(geometry)
{
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++)
		for (u32 n = 0; n < 4; n++)
			try_shape(i, n & 1, n & 2);
}
END_TEST

/* Addresses beyond what TnSZ says, with and without a top byte. */
START_TEST(range)
{
	static const struct {
		u64 va;
		bool plain, tbi;
	} rows[] = {
		{ 0x0000000000001000, true, true },
		{ 0x0000007fffffffff, true, true },
		{ 0x0000008000000000, false, false },
		{ 0x0040000000000000, false, false },
		{ 0x0100000000001000, false, true },
		{ 0xff00000000001000, false, true },
		{ 0x007fffffffffffff, false, false },
		{ 0xffffff8000000000, true, true },
		{ 0xffffff7fffffffff, false, false },
		{ 0xffbfffffffffffff, false, false },
		{ 0x00ffff8000000000, false, true },
		{ 0xfeffffffffffffff, false, true },
		{ 0x0080000000000000, false, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (u32 tbi = 0; tbi < 2; tbi++) {
			bool ok = tbi ? rows[i].tbi : rows[i].plain;
			struct bench b;

			init(&b, 12, 39, 48);
			start(&b);
			/* All of each half is mapped, in blocks of 1 GiB. */
			for (u32 n = 0; n < 512; n++)
				*desc_at(&b, b.r.half[0].table, n) =
					*desc_at(&b, b.r.half[1].table, n) =
						(u64)n << 30 | AF | BLOCK;
			b.r.half[0].tbi = b.r.half[1].tbi = tbi;
			if (ok)
				expect_pa(&b, rows[i].va,
					  rows[i].va & 0x7fffffffff, 30);
			else
				expect(&b, rows[i].va, 0, WALK_TRANSLATION, 0);
			fini(&b);
		}
}
END_TEST

/* Leaves at each level: where they may be, and what they map. */
static const struct {
	u32 shift, oas;
	int level;
	u32 size; /* 0: a block may not be there */
} leaves[] = {
	{ 12, 48, 0, 0 },  { 12, 48, 1, 30 }, { 12, 48, 2, 21 },
	{ 12, 48, 3, 12 }, { 12, 52, 0, 0 },  { 14, 48, 0, 0 },
	{ 14, 48, 1, 0 },  { 14, 48, 2, 25 }, { 14, 48, 3, 14 },
	{ 14, 52, 1, 0 },  { 16, 48, 1, 0 },  { 16, 48, 2, 29 },
	{ 16, 48, 3, 16 }, { 16, 52, 1, 42 }, { 16, 52, 2, 29 },
	{ 16, 52, 3, 16 },
};

START_TEST(leaf_levels)
{
	for (size_t i = 0; i < ARRAY_SIZE(leaves); i++) {
		int level = leaves[i].level;
		u32 size = leaves[i].size;
		u64 va = 0x7b6c00000000, pa = 0xedcba9876543;
		struct bench b;

		init(&b, leaves[i].shift, 48, leaves[i].oas);
		start(&b);
		if (size) {
			pa &= GENMASK(47, size);
			va &= GENMASK(47, size);
			if (leaves[i].shift == 16 && leaves[i].oas == 52)
				pa |= 0xaull << 48;
		}
		map_leaf(&b, va, level, size ? pa : 0, AF | NOISE);
		if (!size) {
			expect(&b, va, 0, WALK_TRANSLATION, level);
			fini(&b);
			continue;
		}
		expect_pa(&b, va, pa, size);
		expect_pa(&b, va + (1ull << size) - 1, pa + (1ull << size) - 1,
			  size);
		/* Bits of the address below the leaf's size are not its. */
		if (level < 3 && leaves[i].shift != 16) {
			*entry_for(&b, va, level, 0) |= 1ull << (size - 1);
			expect_pa(&b, va, pa, size);
		}
		/* Neighbours are not mapped. */
		expect(&b, va + (1ull << size), 0, WALK_TRANSLATION, level);
		/* A page whose descriptor says block. */
		if (level == 3) {
			*entry_for(&b, va, 3, 0) ^= 2;
			expect(&b, va, 0, WALK_TRANSLATION, 3);
		}
		/* Not valid, whatever else it says. */
		*entry_for(&b, va, level, 0) &= ~1ull;
		expect(&b, va, 0, WALK_TRANSLATION, level);
		fini(&b);
	}
}
END_TEST

/* --- faults ------------------------------------------------------------ */

static const u32 sizes[] = { 32, 36, 40, 42, 44 };

/* An address beyond IPS: of the first table, of a table, of a leaf. */
START_TEST(address_size)
{
	static const u32 shifts[] = { 12, 14, 16 };

	for (size_t s = 0; s < ARRAY_SIZE(shifts); s++)
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			int top = top_level(shifts[s], 48);
			u64 beyond = 1ull << sizes[i];
			struct bench b;

			init(&b, shifts[s], 48, sizes[i]);
			start(&b);
			for (int level = top; level < 3; level++) {
				*entry_for(&b, 0, level, 0) = beyond | TABLE;
				expect(&b, 0, 0, WALK_ADDRESS_SIZE, level);
				*entry_for(&b, 0, level, 0) = 0;
			}
			map_leaf(&b, 0, 3, beyond - 0x10000, AF);
			expect_pa(&b, 0, beyond - 0x10000, shifts[s]);
			map_leaf(&b, 0, 3, beyond, AF);
			expect(&b, 0, 0, WALK_ADDRESS_SIZE, 3);
			/* Before the flag, which is before permission. */
			map_leaf(&b, 0, 3, beyond, 0);
			expect(&b, 0, 0, WALK_ADDRESS_SIZE, 3);
			map_leaf(&b, 1ull << 40, 2, 1ull << 47, AF);
			expect(&b, 1ull << 40, 0, WALK_ADDRESS_SIZE, 2);
			b.r.half[0].table = beyond;
			expect(&b, 0, 0, WALK_ADDRESS_SIZE, 0);
			fini(&b);
		}
}
END_TEST

/* 52 bits out, and those a descriptor does not have without. */
START_TEST(wide)
{
	struct bench b;

	init(&b, 16, 52, 52);
	start(&b);
	map_leaf(&b, 0xf000000000000, 3, 0xf123456780000, AF);
	expect_pa(&b, 0xf000000000000, 0xf123456780000, 16);
	b.r.oas = 51;
	expect(&b, 0xf000000000000, 0, WALK_ADDRESS_SIZE, 3);
	b.r.oas = 48;
	expect_pa(&b, 0xf000000000000, 0x123456780000, 16);
	fini(&b);
}
END_TEST

/* With DS, D8.3: where leaves may be, and the bits that an address has there.
 */
static const struct {
	u32 shift, bits;
	int level;
	u32 size; /* 0: a block may not be there */
} ds_leaves[] = {
	{ 12, 52, -1, 0 }, { 12, 52, 0, 39 }, { 12, 52, 1, 30 },
	{ 12, 52, 3, 12 }, { 12, 48, 0, 39 }, { 12, 48, 3, 12 },
	{ 14, 52, 0, 0 },  { 14, 52, 1, 36 }, { 14, 52, 2, 25 },
	{ 14, 52, 3, 14 }, { 16, 52, 3, 16 },
};

static void try_ds(size_t i, bool upper)
{
	u32 bits = ds_leaves[i].bits, size = ds_leaves[i].size;
	u64 pa = 0xf5cba98765000, va = 0xa7b6c12345000;
	struct bench b;
	struct walk w;

	init(&b, ds_leaves[i].shift, 48, 52);
	b.r.ds = true;
	for (u32 n = 0; n < 2; n++) {
		b.r.half[n].bits = (u8)bits;
		b.r.half[n].sh = 2;
	}
	ck_assert(walk_regime_ok(&b.r));
	start(&b);
	va &= GENMASK(bits - 1, MAX(size, 12u));
	va |= upper ? ~0ull << bits : 0;
	if (!size) {
		map_leaf(&b, va, ds_leaves[i].level, 0, AF);
		expect(&b, va, 0, WALK_TRANSLATION, ds_leaves[i].level);
		fini(&b);
		return;
	}
	pa &= ~((1ull << size) - 1);
	map_leaf(&b, va, ds_leaves[i].level, pa, AF);
	expect_pa(&b, va, pa, size);
	w = go(&b, va, 0);
	ck_assert_uint_eq(w.sh, ds_leaves[i].shift == 16 ? 0 : 2);
	b.r.oas = 48;
	if (ds_leaves[i].shift != 16)
		expect(&b, va, 0, WALK_ADDRESS_SIZE, ds_leaves[i].level);
	fini(&b);
}

START_TEST(ds)
{
	for (size_t i = 0; i < ARRAY_SIZE(ds_leaves); i++)
		for (u32 upper = 0; upper < 2; upper++)
			try_ds(i, upper);
}
END_TEST

START_TEST(the_level_before_0)
{
	struct bench b;

	init(&b, 12, 48, 52);
	b.r.half[0].bits = 52;
	ck_assert(!walk_regime_ok(&b.r));
	b.r.ds = true;
	ck_assert(walk_regime_ok(&b.r));
	b.r.half[0].bits = 53;
	ck_assert(!walk_regime_ok(&b.r));
	b.r.half[0].bits = 52;
	start(&b);
	expect(&b, 0, 0, WALK_TRANSLATION, -1);
	/* A table's address has the high bits, too. */
	*desc_at(&b, b.r.half[0].table, 0) = 1ull << 49 | TABLE;
	expect(&b, 0, 0, WALK_EXTERNAL, 0);
	b.r.oas = 48;
	expect(&b, 0, 0, WALK_ADDRESS_SIZE, -1);
	*desc_at(&b, b.r.half[0].table, 0) = 3ull << 8 | TABLE;
	expect(&b, 0, 0, WALK_ADDRESS_SIZE, -1);
	fini(&b);
}
END_TEST

START_TEST(external)
{
	struct bench b;

	init(&b, 12, 48, 48);
	start(&b);
	for (int level = 0; level < 3; level++) {
		*entry_for(&b, 0, level, 0) = 0x1000 | TABLE;
		expect(&b, 0, 0, WALK_EXTERNAL, level + 1);
		*entry_for(&b, 0, level, 0) = 0;
		entry_for(&b, 0, level + 1, 0);
	}
	b.r.half[0].table = 0;
	expect(&b, 0, 0, WALK_EXTERNAL, 0);
	/* The last entry of memory, and the one behind. */
	b.r.half[0].table = RAM + RAM_SIZE - 0x1000;
	expect(&b, 511ull << 39, 0, WALK_TRANSLATION, 0);
	b.r.half[0].table = RAM + RAM_SIZE;
	expect(&b, 0, 0, WALK_EXTERNAL, 0);
	fini(&b);
}
END_TEST

START_TEST(access_flag)
{
	struct bench b;

	init(&b, 12, 48, 48);
	start(&b);
	map_leaf(&b, 0x1000, 3, 0x5000, AP_RO);
	map_leaf(&b, 0x200000, 2, 0x200000, 0);
	map_leaf(&b, 0x40000000, 1, 0x40000000, 0);
	expect(&b, 0x1000, 0, WALK_ACCESS_FLAG, 3);
	expect(&b, 0x1000, WALK_WRITE, WALK_ACCESS_FLAG, 3);
	expect(&b, 0x200000, 0, WALK_ACCESS_FLAG, 2);
	expect(&b, 0x40000000, 0, WALK_ACCESS_FLAG, 1);
	b.r.no_af = true;
	expect(&b, 0x200000, 0, WALK_OK, 2);
	ck_assert_uint_eq(*entry_for(&b, 0x200000, 2, 0), 0x200000 | BLOCK);
	expect(&b, 0x1000, WALK_WRITE, WALK_PERMISSION, 3);
	ck_assert_uint_eq(*entry_for(&b, 0x1000, 3, 0), 0x5000 | AP_RO | PAGE);
	fini(&b);
}
END_TEST

/* --- permissions ------------------------------------------------------- */

/* Leaf attributes, and what may be done: the tables of D8.4. */
static const struct {
	u64 attrs;
	u32 may, may_wxn;
} perms[] = {
	{ 0, R | W | X | U(X), R | W | U(X) },
	{ UXN, R | W | X, R | W },
	{ PXN, R | W | U(X), R | W | U(X) },
	{ UXN | PXN, R | W, R | W },
	{ AP_USER, R | W | U(R | W | X), R | W | U(R | W) },
	{ AP_USER | UXN, R | W | U(R | W), R | W | U(R | W) },
	{ AP_USER | PXN, R | W | U(R | W | X), R | W | U(R | W) },
	{ AP_USER | UXN | PXN, R | W | U(R | W), R | W | U(R | W) },
	{ AP_RO, R | X | U(X), R | X | U(X) },
	{ AP_RO | UXN, R | X, R | X },
	{ AP_RO | PXN, R | U(X), R | U(X) },
	{ AP_RO | UXN | PXN, R, R },
	{ AP_RO | AP_USER, R | X | U(R | X), R | X | U(R | X) },
	{ AP_RO | AP_USER | UXN, R | X | U(R), R | X | U(R) },
	{ AP_RO | AP_USER | PXN, R | U(R | X), R | U(R | X) },
	{ AP_RO | AP_USER | UXN | PXN, R | U(R), R | U(R) },
};

/* Each access is allowed if, and only if, its bit is there. */
static void try_accesses(struct bench *b, u64 va, u32 may)
{
	static const struct {
		u32 access, need;
	} ways[] = {
		{ 0, R },
		{ WALK_WRITE, W },
		{ WALK_EXEC, X },
		{ WALK_USER, U(R) },
		{ WALK_USER | WALK_WRITE, U(W) },
		{ WALK_USER | WALK_EXEC, U(X) },
	};

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		struct walk w = go(b, va, ways[i].access);
		bool ok = may & ways[i].need;

		ck_assert_msg(w.fault == (ok ? WALK_OK : WALK_PERMISSION),
			      "access %u of %#x: %d", ways[i].access, may,
			      w.fault);
		ck_assert_msg(!ok || w.may == may, "may %#x, not %#x", w.may,
			      may);
	}
}

START_TEST(permissions)
{
	for (size_t i = 0; i < ARRAY_SIZE(perms); i++) {
		struct bench b;

		init(&b, 12, 48, 48);
		start(&b);
		map_leaf(&b, 0x1000, 3, 0x5000, perms[i].attrs | AF | NOISE);
		try_accesses(&b, 0x1000, perms[i].may);
		b.r.wxn = true;
		try_accesses(&b, 0x1000, perms[i].may_wxn);
		b.r.wxn = false;
		/* What users read, a privileged program neither reads nor
		 * writes. */
		b.r.pan = true;
		try_accesses(&b, 0x1000,
			     perms[i].attrs & AP_USER
				     ? perms[i].may & ~(u32)(R | W)
				     : perms[i].may);
		fini(&b);
	}
}
END_TEST

/* What one table above says, of a leaf that allows all there is. */
static const struct {
	u64 table, leaf;
	u32 may;
} inherited[] = {
	{ 0, AP_USER, R | W | U(R | W | X) },
	{ T_RO, AP_USER, R | X | U(R | X) },
	{ T_PRIV, AP_USER, R | W | X | U(X) },
	{ T_RO | T_PRIV, AP_USER, R | X | U(X) },
	{ T_UXN, AP_USER, R | W | U(R | W) },
	{ T_PXN, AP_USER | AP_RO, R | U(R | X) },
	{ T_UXN | T_PXN, AP_RO, R },
	{ T_RO | T_PRIV | T_UXN | T_PXN, AP_USER, R },
};

START_TEST(inheritance)
{
	for (size_t i = 0; i < ARRAY_SIZE(inherited); i++)
		for (int level = 0; level < 3; level++) {
			struct bench b;

			init(&b, 12, 48, 48);
			start(&b);
			map_leaf(&b, 0x1000, 3, 0x5000, inherited[i].leaf | AF);
			*entry_for(&b, 0x1000, level, 0) |= inherited[i].table;
			try_accesses(&b, 0x1000, inherited[i].may);
			b.r.half[1].flat = true;
			try_accesses(&b, 0x1000, inherited[i].may);
			b.r.half[0].flat = true;
			try_accesses(&b, 0x1000,
				     inherited[i].leaf & AP_RO
					     ? inherited[i].leaf & AP_USER
						       ? R | X | U(R | X)
						       : R | X | U(X)
					     : R | W | U(R | W | X));
			fini(&b);
		}
}
END_TEST

START_TEST(attributes)
{
	for (u64 n = 0; n < 32; n++) {
		struct bench b;
		struct walk w;

		init(&b, 12, 48, 48);
		start(&b);
		map_leaf(&b, 0x1000, 3, 0x5000,
			 AF | n % 8 << 2 | n / 8 << 8 | NOISE);
		w = go(&b, 0x1000, 0);
		ck_assert_uint_eq(w.attr, n % 8);
		ck_assert_uint_eq(w.sh, n / 8);
		ck_assert_uint_eq(w.pa, 0x5000);
		fini(&b);
	}
}
END_TEST

/* --- hardware's updates ------------------------------------------------ */

static const struct {
	bool hd;
	u64 table, before;
	u32 access, fault;
	u64 after;
} updates[] = {
	{ false, 0, 0, 0, WALK_OK, AF },
	{ false, 0, AF, 0, WALK_OK, AF },
	{ false, 0, 0, WALK_WRITE, WALK_OK, AF },
	{ false, 0, AP_RO, WALK_WRITE, WALK_PERMISSION, AP_RO },
	{ false, 0, AP_RO | DBM, WALK_WRITE, WALK_PERMISSION, AP_RO | DBM },
	{ true, 0, AP_RO, WALK_WRITE, WALK_PERMISSION, AP_RO },
	{ true, 0, AP_RO | DBM, 0, WALK_OK, AP_RO | DBM | AF },
	{ true, 0, AP_RO | DBM, WALK_WRITE, WALK_OK, DBM | AF },
	{ true, 0, AP_RO | DBM | AF, WALK_WRITE, WALK_OK, DBM | AF },
	{ true, 0, DBM | AF, WALK_WRITE, WALK_OK, DBM | AF },
	{ true, 0, AP_RO | DBM | AF, WALK_WRITE | WALK_USER, WALK_PERMISSION,
	  AP_RO | DBM | AF },
	{ true, T_RO, AP_RO | DBM | AF, WALK_WRITE, WALK_PERMISSION,
	  AP_RO | DBM | AF },
	{ true, 0, AP_RO | DBM | AF | PXN, WALK_EXEC, WALK_PERMISSION,
	  AP_RO | DBM | AF | PXN },
};

START_TEST(hardware_updates)
{
	for (size_t i = 0; i < ARRAY_SIZE(updates); i++) {
		struct bench b;

		init(&b, 12, 48, 48);
		start(&b);
		b.r.ha = true;
		b.r.hd = updates[i].hd;
		map_leaf(&b, 0x1000, 3, 0x5000, updates[i].before);
		*entry_for(&b, 0x1000, 2, 0) |= updates[i].table;
		expect(&b, 0x1000, updates[i].access, updates[i].fault, 3);
		ck_assert_msg(*entry_for(&b, 0x1000, 3, 0) ==
				      (updates[i].after | 0x5000 | PAGE),
			      "%zu", i);
		fini(&b);
	}
}
END_TEST

/* What another CPU writes in between is not lost, and counts. */
START_TEST(races)
{
	struct bench b;
	struct walk w;

	init(&b, 12, 48, 48);
	start(&b);
	b.r.ha = true;
	map_leaf(&b, 0x1000, 3, 0x5000, 0);
	b.races = 1;
	b.race_bit = 0x10000;
	w = go(&b, 0x1000, 0);
	ck_assert_uint_eq(w.fault, WALK_OK);
	ck_assert_uint_eq(w.pa, 0x15000);
	ck_assert_uint_eq(*entry_for(&b, 0x1000, 3, 0), 0x15000 | AF | PAGE);
	/* Unmapped in between. */
	map_leaf(&b, 0x1000, 3, 0x5000, 0);
	b.races = 1;
	b.race_bit = 1;
	expect(&b, 0x1000, 0, WALK_TRANSLATION, 3);
	ck_assert_uint_eq(*entry_for(&b, 0x1000, 3, 0), 0x5002);
	/* Who never stops gets a fault in the end. */
	map_leaf(&b, 0x1000, 3, 0x5000, 0);
	b.races = 1000;
	b.race_bit = 0x10000;
	expect(&b, 0x1000, 0, WALK_ACCESS_FLAG, 3);
	ck_assert_uint_gt(b.races, 900);
	fini(&b);
}
END_TEST

static void *map_read_only(void *ctx, u64 addr, u64 *len, bool write)
{
	return write ? NULL : map(ctx, addr, len, write);
}

START_TEST(read_only_tables)
{
	struct bench b;

	init(&b, 12, 48, 48);
	start(&b);
	b.r.ha = true;
	map_leaf(&b, 0x1000, 3, 0x5000, 0);
	map_leaf(&b, 0x2000, 3, 0x5000, AF);
	b.dma.map = map_read_only;
	expect(&b, 0x1000, 0, WALK_EXTERNAL, 3);
	expect(&b, 0x2000, 0, WALK_OK, 3);
	fini(&b);
}
END_TEST

START_TEST(fault_status)
{
	static const struct {
		enum walk_fault fault;
		s8 level;
		u32 fsc;
	} rows[] = {
		{ WALK_ADDRESS_SIZE, 0, 0x00 },  { WALK_ADDRESS_SIZE, 3, 0x03 },
		{ WALK_TRANSLATION, 0, 0x04 },   { WALK_TRANSLATION, 3, 0x07 },
		{ WALK_ACCESS_FLAG, 1, 0x09 },   { WALK_ACCESS_FLAG, 3, 0x0b },
		{ WALK_PERMISSION, 1, 0x0d },    { WALK_PERMISSION, 3, 0x0f },
		{ WALK_EXTERNAL, 0, 0x14 },      { WALK_EXTERNAL, 3, 0x17 },
		{ WALK_ADDRESS_SIZE, -1, 0x29 }, { WALK_TRANSLATION, -1, 0x2b },
		{ WALK_EXTERNAL, -1, 0x13 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct walk w = { .fault = rows[i].fault,
				  .level = rows[i].level };

		ck_assert_uint_eq(walk_fsc(&w), rows[i].fsc);
	}
}
END_TEST

/* --- any map ----------------------------------------------------------- */

static u64 seed;

static u64 dice(u64 sides)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (seed >> 10) % sides;
}

#define MAPPED 60

struct mapped {
	u64 va, pa, size;
	u32 shift, may;
};

static bool is_free(const struct mapped *m, u32 nr, u64 va, u64 size)
{
	for (u32 i = 0; i < nr; i++)
		if (va - m[i].va < m[i].size || m[i].va - va < size)
			return false;
	return true;
}

static u32 fill(struct bench *b, struct mapped *m)
{
	const struct walk_half *h = b->r.half;
	int top = top_level(h->shift, h->bits);
	u32 nr = 0;

	for (u32 n = 0; n < MAPPED; n++) {
		int least = MAX(top, h->shift == 12 ? 1 : 2);
		int any = 3 - (int)dice(3), level = MAX(any, least);
		u32 p;
		u64 size = entry_size(h->shift, level), va, pa, in;

		if (size >= 1ull << h->bits)
			continue;
		/* In clusters, so that tables are shared. */
		in = dice(2) ? dice(1ull << h->bits) : dice(16) * size;
		va = (in & ((1ull << h->bits) - 1) & ~(size - 1)) |
		     (dice(2) ? ~0ull << h->bits : 0);
		if (!is_free(m, nr, va, size))
			continue;
		pa = dice(1ull << 44) & ~(size - 1);
		p = (u32)dice(ARRAY_SIZE(perms));
		map_leaf(b, va, level, pa, perms[p].attrs | AF);
		m[nr++] = (struct mapped) { va, pa, size,
					    (u32)__builtin_ctzll(size),
					    perms[p].may };
	}
	return nr;
}

static void probe(struct bench *b, const struct mapped *m, u32 nr, u64 va)
{
	struct walk w = go(b, va, 0);

	for (u32 i = 0; i < nr; i++)
		if (va - m[i].va < m[i].size) {
			if (w.fault || w.pa != m[i].pa + (va - m[i].va) ||
			    w.shift != m[i].shift || w.may != m[i].may)
				ck_abort_msg("%#llx", (unsigned long long)va);
			return;
		}
	if (w.fault != WALK_TRANSLATION)
		ck_abort_msg("%#llx is mapped", (unsigned long long)va);
}

static void any_map(u32 shift, u32 bits)
{
	struct mapped m[MAPPED];
	struct bench b;
	u32 nr;

	init(&b, shift, bits, 48);
	start(&b);
	nr = fill(&b, m);
	for (u32 n = 0; n < 2000; n++) {
		const struct mapped *at = &m[dice(nr)];

		probe(&b, m, nr, at->va + dice(at->size));
		probe(&b, m, nr, at->va - 1);
		probe(&b, m, nr, at->va + at->size);
		probe(&b, m, nr, dice(1ull << bits));
		probe(&b, m, nr, dice(2) << 63 | dice(~0ull));
	}
	fini(&b);
}

START_TEST(any_maps)
{
	static const struct {
		u32 shift, bits;
	} kinds[] = { { 12, 48 }, { 12, 39 }, { 12, 33 }, { 12, 25 },
		      { 14, 48 }, { 14, 47 }, { 14, 36 }, { 14, 30 },
		      { 16, 48 }, { 16, 42 }, { 16, 31 }, { 16, 52 } };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		for (u64 n = 1; n <= 4; n++) {
			seed = n;
			any_map(kinds[i].shift, kinds[i].bits);
		}
}
END_TEST

UNIT_MAIN("walk", settings, geometry, range, leaf_levels, address_size, wide,
	  ds, the_level_before_0, external, access_flag, permissions,
	  inheritance, attributes, hardware_updates, races, read_only_tables,
	  fault_status, any_maps)
