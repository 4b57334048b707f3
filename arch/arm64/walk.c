/*
 * Stage 1 translation tables.
 *
 * The permissions of a leaf are computed in full and then asked, so that a
 * caller can keep them. Other CPUs may change tables at any time: what was read
 * counts, and hardware's updates are made only to what was read.
 *
 * Arm DDI 0487J, D8.
 */
#include <belfry/walk.h>

#include <assert.h>

/* The levels are 0 .. 3, and -1 with 52 bits by 4 KiB. */
#define LEVEL_LAST 3

/* A descriptor, D8.3 */
#define DESC_VALID   BIT(0)
#define DESC_TABLE   BIT(1) /* at level 3: page; else this, or a block */
#define DESC_ATTR    GENMASK(4, 2)
#define DESC_AP_USER BIT(6)
#define DESC_AP_RO   BIT(7)
#define DESC_SH      GENMASK(9, 8)
#define DESC_AF      BIT(10)
#define DESC_PA_TOP  GENMASK(15, 12) /* with 64 KiB and 52 bits: PA[51:48] */
#define DESC_PA_TOP2 GENMASK(9, 8)   /* with DS: PA[51:50] */
#define DESC_DBM     BIT(51)
#define DESC_PXN     BIT(53)
#define DESC_UXN     BIT(54)
/* What a table says of all that is below it. */
#define DESC_TABLE_PXN  BIT(59)
#define DESC_TABLE_UXN  BIT(60)
#define DESC_TABLE_PRIV BIT(61) /* APTable: no access for users */
#define DESC_TABLE_RO   BIT(62)

/* A leaf that somebody changes all the time while hardware would update it is
 * tried so often. */
#define TRIES 8

/* Where a walk is. */
struct at {
	const struct walk_regime *r;
	const struct walk_half *h;
	u64 va;
	int level;
	u64 table;
	u64 above; /* what tables said so far */
};

static struct walk fail(enum walk_fault fault, int level)
{
	return (struct walk) { .fault = fault, .level = (s8)level };
}

/* Bits of an address that one level stands for. */
static u32 stride(const struct walk_half *h)
{
	return h->shift - 3u;
}

/* Of what an entry at @level maps. */
static u32 level_shift(const struct walk_half *h, int level)
{
	return h->shift + (u32)(LEVEL_LAST - level) * stride(h);
}

static int first_level(const struct walk_half *h)
{
	u32 bits = h->bits - h->shift;

	return LEVEL_LAST + 1 - (int)((bits + stride(h) - 1) / stride(h));
}

/* FEAT_LPA2's descriptors; 64 KiB knows its own way to 52 bits. */
static bool lpa2(const struct walk_regime *r, const struct walk_half *h)
{
	return r->ds && h->shift != 16;
}

/* Bits in and out that this granule has. */
static u32 bits_max(const struct walk_regime *r, const struct walk_half *h)
{
	return h->shift == 16 || r->ds ? 52 : 48;
}

static bool half_ok(const struct walk_regime *r, const struct walk_half *h)
{
	if (!h->on)
		return true;
	if (h->shift != 12 && h->shift != 14 && h->shift != 16)
		return false;
	return h->bits >= MAX(16, h->shift + 1) && h->bits <= bits_max(r, h);
}

bool walk_regime_ok(const struct walk_regime *r)
{
	return half_ok(r, &r->half[0]) && half_ok(r, &r->half[1]) &&
	       r->oas >= 32 && r->oas <= 52 && (r->ha || !r->hd);
}

/* All bits above the input's say which half it is, but for a top byte. */
static bool in_range(const struct walk_half *h, u64 va)
{
	u64 top = GENMASK(h->tbi ? 55 : 63, h->bits);

	return (va & BIT(55)) ? (va & top) == top : !(va & top);
}

static u32 oas(const struct at *a)
{
	return MIN(a->r->oas, bits_max(a->r, a->h));
}

/* An address in a descriptor that is a multiple of 1 << shift. */
static u64 desc_pa(const struct at *a, u64 desc, u32 shift)
{
	u64 pa = desc & GENMASK(47, shift);

	if (lpa2(a->r, a->h))
		return (desc & GENMASK(49, shift)) |
		       FIELD_GET(DESC_PA_TOP2, desc) << 50;
	if (oas(a) > 48)
		pa |= FIELD_GET(DESC_PA_TOP, desc) << 48;
	return pa;
}

static u64 desc_addr(const struct at *a)
{
	u32 top = MIN(level_shift(a->h, a->level) + stride(a->h), a->h->bits);
	u64 index =
		(a->va & GENMASK(top - 1, 0)) >> level_shift(a->h, a->level);

	return a->table + index * sizeof(u64);
}

/* A first table is aligned to its size, but to no less than 64 bytes. */
static u64 first_table(const struct walk_half *h)
{
	u32 bits = h->bits - level_shift(h, first_level(h)) + 3;

	return h->table & ~(BIT(MAX(bits, 6u)) - 1);
}

/* Levels at which a leaf may be: one more with 4 KiB, and one with 52 bits. */
static bool leaf_level(const struct at *a)
{
	bool wide = lpa2(a->r, a->h) || (a->h->shift == 16 && oas(a) > 48);

	return a->level >= 2 - (a->h->shift == 12) - wide;
}

static bool is_table(const struct at *a, u64 desc)
{
	return a->level < LEVEL_LAST && (desc & DESC_TABLE);
}

/* The permissions of a leaf, with what tables above took away. */
static u8 permissions(const struct at *a, u64 desc)
{
	const struct walk_regime *r = a->r;
	bool ro = desc & DESC_AP_RO, user = desc & DESC_AP_USER;
	u32 priv_may = WALK_MAY_READ | WALK_MAY_WRITE | WALK_MAY_EXEC;
	u32 user_may = priv_may;

	/* What is only clean may be written. */
	if (r->hd && (desc & DESC_DBM))
		ro = false;
	if (ro || (a->above & DESC_TABLE_RO)) {
		priv_may &= ~(u32)WALK_MAY_WRITE;
		user_may &= ~(u32)WALK_MAY_WRITE;
	}
	if (!user || (a->above & DESC_TABLE_PRIV))
		user_may = WALK_MAY_EXEC;
	/* A kernel does not run what users write. */
	if ((desc & DESC_PXN) || (a->above & DESC_TABLE_PXN) ||
	    (user_may & WALK_MAY_WRITE) ||
	    (r->wxn && (priv_may & WALK_MAY_WRITE)))
		priv_may &= ~(u32)WALK_MAY_EXEC;
	if ((desc & DESC_UXN) || (a->above & DESC_TABLE_UXN) ||
	    (r->wxn && (user_may & WALK_MAY_WRITE)))
		user_may &= ~(u32)WALK_MAY_EXEC;
	if (r->pan && (user_may & WALK_MAY_READ))
		priv_may &= WALK_MAY_EXEC;
	return (u8)(priv_may | WALK_MAY_USER(user_may));
}

static bool allowed(u8 may, u32 access)
{
	u32 need = access & WALK_EXEC    ? WALK_MAY_EXEC
		   : access & WALK_WRITE ? WALK_MAY_WRITE
					 : WALK_MAY_READ;

	return may & (access & WALK_USER ? WALK_MAY_USER(need) : need);
}

/* What hardware makes of the descriptor of a leaf that is used. */
static u64 updated(const struct walk_regime *r, u64 desc, u32 access)
{
	if (r->ha)
		desc |= DESC_AF;
	if (r->hd && (desc & DESC_DBM) && (access & WALK_WRITE))
		desc &= ~DESC_AP_RO;
	return desc;
}

/* Write it, if it is still what was read. */
static bool update(u64 *where, u64 from, u64 to)
{
	from = htole64(from);
	return __atomic_compare_exchange_n(where, &from, htole64(to), false,
					   __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static struct walk leaf(const struct at *a, u64 desc, u32 access)
{
	u32 shift = level_shift(a->h, a->level);
	struct walk w = {
		.level = (s8)a->level,
		.pa = desc_pa(a, desc, shift) | (a->va & GENMASK(shift - 1, 0)),
		.shift = (u8)shift,
		.may = permissions(a, desc),
		.attr = (u8)FIELD_GET(DESC_ATTR, desc),
		.sh = lpa2(a->r, a->h) ? a->h->sh
				       : (u8)FIELD_GET(DESC_SH, desc),
	};

	if (w.pa >> oas(a))
		return fail(WALK_ADDRESS_SIZE, a->level);
	if (!(desc & DESC_AF) && !a->r->ha && !a->r->no_af)
		return fail(WALK_ACCESS_FLAG, a->level);
	if (!allowed(w.may, access))
		return fail(WALK_PERMISSION, a->level);
	return w;
}

/* Hardware has changed a descriptor, or has nothing to change. */
static struct walk use_leaf(const struct at *a, const struct dma *mem, u64 desc,
			    u32 access, bool *again)
{
	struct walk w = leaf(a, desc, access);
	u64 to = updated(a->r, desc, access);
	u64 *where;

	if (w.fault || to == desc)
		return w;
	where = dma_piece(mem, desc_addr(a), sizeof(*where), true);
	if (!where)
		return fail(WALK_EXTERNAL, a->level);
	*again = !update(where, desc, to);
	return w;
}

static struct walk walk_once(const struct dma *mem, struct at a, u32 access,
			     bool *again)
{
	for (;; a.level++) {
		const u64 *where =
			dma_piece(mem, desc_addr(&a), sizeof(*where), false);
		u64 desc;

		if (!where)
			return fail(WALK_EXTERNAL, a.level);
		desc = le64toh(__atomic_load_n(where, __ATOMIC_RELAXED));
		if (!(desc & DESC_VALID))
			return fail(WALK_TRANSLATION, a.level);
		if (!is_table(&a, desc)) {
			if (!leaf_level(&a) ||
			    (a.level == LEVEL_LAST && !(desc & DESC_TABLE)))
				return fail(WALK_TRANSLATION, a.level);
			return use_leaf(&a, mem, desc, access, again);
		}
		a.table = desc_pa(&a, desc, a.h->shift);
		if (a.table >> oas(&a))
			return fail(WALK_ADDRESS_SIZE, a.level);
		if (!a.h->flat)
			a.above |= desc;
	}
}

struct walk walk(const struct dma *mem, const struct walk_regime *r, u64 va,
		 u32 access)
{
	const struct walk_half *h = &r->half[va >> 55 & 1];
	struct at a = { .r = r, .h = h, .va = va };

	if (!h->on || !in_range(h, va))
		return fail(WALK_TRANSLATION, 0);
	a.level = first_level(h);
	a.table = first_table(h);
	if (a.table >> oas(&a))
		return fail(WALK_ADDRESS_SIZE, 0);
	for (u32 i = 0; i < TRIES; i++) {
		bool again = false;
		struct walk w = walk_once(mem, a, access, &again);

		if (!again)
			return w;
	}
	return fail(WALK_ACCESS_FLAG, LEVEL_LAST);
}

u32 walk_fsc(const struct walk *w)
{
	static const u8 base[] = {
		[WALK_ADDRESS_SIZE] = 0x00, [WALK_TRANSLATION] = 0x04,
		[WALK_ACCESS_FLAG] = 0x08,  [WALK_PERMISSION] = 0x0c,
		[WALK_EXTERNAL] = 0x14,
	};

	/* Only these there are at level -1, and not in the row. */
	static const u8 minus_one[] = {
		[WALK_ADDRESS_SIZE] = 0x29,
		[WALK_TRANSLATION] = 0x2b,
		[WALK_EXTERNAL] = 0x13,
	};

	assert(w->fault != WALK_OK);
	return w->level < 0 ? minus_one[w->fault]
			    : base[w->fault] + (u32)w->level;
}
