/*
 * Register banks: from an access (offset, size) to one register's handler.
 *
 * No state of its own and no locks; the device holds its own around the call.
 */
#include <belfry/regbank.h>

#include <inttypes.h>

/* Which bits of which register an access covers. */
struct lane {
	const struct reg *reg; /* NULL: reserved space */
	u32 i;                 /* of reg->count */
	u32 shift;             /* of the access within the register */
	u64 mask;              /* the register's bits it covers */
};

static bool is_size(u32 size)
{
	return size == 1 || size == 2 || size == 4 || size == 8;
}

static u32 reg_end(const struct reg *r)
{
	return r->off + (u32)r->count * r->size;
}

/* The first row that ends above @off, whether it begins below or above it. */
static const struct reg *first_above(const struct regbank *b, u32 off)
{
	size_t lo = 0, hi = b->nr;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (reg_end(&b->regs[mid]) > off)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo < b->nr ? &b->regs[lo] : NULL;
}

static bool resolve(const struct regbank *b, u64 at, u32 size, struct lane *l)
{
	const struct reg *r;
	u32 off = (u32)at;

	*l = (struct lane) { 0 };
	if (!is_size(size) || at % size || !range_fits(at, size, b->len))
		return false;

	r = first_above(b, off);
	if (!r || r->off >= off + size)
		return true;
	/* Also refuses what runs into a register: it is larger than that. */
	if (!(r->access & size))
		return false;

	l->reg = r;
	l->i = (off - r->off) / r->size;
	l->shift = (off - r->off) % r->size * 8;
	l->mask = GENMASK(8 * size - 1, 0) << l->shift;
	return true;
}

u64 regbank_read(const struct regbank *b, void *dev, u64 off, u32 size,
		 struct guest_faults *f)
{
	struct lane l;

	if (!resolve(b, off, size, &l))
		guest_fault(f, "read of %u bytes at %#" PRIx64 " of %s", size,
			    off, b->of);
	else if (l.reg && l.reg->read)
		return (l.reg->read(dev, l.i) & l.mask) >> l.shift;
	return 0;
}

void regbank_write(const struct regbank *b, void *dev, u64 off, u32 size,
		   u64 val, struct guest_faults *f)
{
	struct lane l;

	if (!resolve(b, off, size, &l))
		guest_fault(f, "write of %u bytes at %#" PRIx64 " of %s", size,
			    off, b->of);
	else if (l.reg && l.reg->write)
		l.reg->write(dev, l.i, val << l.shift & l.mask, l.mask);
}

/* A register takes no access larger than itself, and takes some. */
static bool access_ok(const struct reg *r)
{
	return r->access && r->access < 2 * r->size;
}

int regbank_lint(const struct regbank *b)
{
	u32 end = 0;

	for (size_t i = 0; i < b->nr; i++) {
		const struct reg *r = &b->regs[i];

		if (!r->name || !r->count || !is_size(r->size) ||
		    r->off % r->size || r->off < end || !access_ok(r) ||
		    !range_fits(r->off, (u64)r->count * r->size, b->len))
			return (int)i;
		end = reg_end(r);
	}
	return -1;
}
