/*
 * The MMIO bus: a sorted array, searched by halving.
 *
 * Handlers are called without any lock of the bus: there is none, since
 * regions are added only before the first vCPU runs.
 */
#include <belfry/mmio.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

void mmio_bus_init(struct mmio_bus *b)
{
	*b = (struct mmio_bus) { .faults.who = "mmio" };
}

/* How many regions start at or below @addr. */
static size_t count_to(const struct mmio_bus *b, gpa_t addr)
{
	size_t lo = 0, hi = b->nr;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (b->regions[mid].start <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Inclusive, so that a region may end with the address space. */
static gpa_t last_of(const struct mmio_region *r)
{
	return r->start + r->len - 1;
}

static int overlap(const struct mmio_region *a, const struct mmio_region *b,
		   struct err *e)
{
	return err_set(e, -EEXIST,
		       "%s at %#" PRIx64 "..%#" PRIx64
		       " overlaps %s at %#" PRIx64 "..%#" PRIx64,
		       a->name, a->start, last_of(a), b->name, b->start,
		       last_of(b));
}

int mmio_bus_add(struct mmio_bus *b, const struct mmio_region *r, struct err *e)
{
	size_t at = count_to(b, r->start);
	struct mmio_region *slot = &b->regions[at];

	if (!r->len || last_of(r) < r->start)
		return err_set(e, -EINVAL,
			       "%s: %#" PRIx64 " bytes at %#" PRIx64
			       " are not a range of addresses",
			       r->name, r->len, r->start);
	if (at > 0 && last_of(slot - 1) >= r->start)
		return overlap(r, slot - 1, e);
	if (at < b->nr && slot->start <= last_of(r))
		return overlap(r, slot, e);
	if (b->nr == MMIO_REGIONS_MAX)
		return err_set(e, -ENOSPC, "%s: more than %d MMIO regions",
			       r->name, MMIO_REGIONS_MAX);

	memmove(slot + 1, slot, (b->nr - at) * sizeof(*slot));
	*slot = *r;
	b->nr++;
	return 0;
}

/* The region that wholly contains the access, or NULL. */
static const struct mmio_region *region_of(const struct mmio_bus *b, gpa_t addr,
					   u32 size)
{
	size_t n = count_to(b, addr);
	const struct mmio_region *r;

	if (!n)
		return NULL;
	r = &b->regions[n - 1];
	return range_fits(addr - r->start, size, r->len) ? r : NULL;
}

static u64 low_bytes(u64 val, u32 size)
{
	return val & GENMASK(8 * size - 1, 0);
}

u64 mmio_read(struct mmio_bus *b, gpa_t addr, u32 size)
{
	const struct mmio_region *r = region_of(b, addr, size);

	if (!r) {
		guest_fault(&b->faults,
			    "read of %u bytes at %#" PRIx64 ": nothing there",
			    size, addr);
		return 0;
	}
	return low_bytes(r->ops->read(r->dev, addr - r->start, size), size);
}

void mmio_write(struct mmio_bus *b, gpa_t addr, u32 size, u64 val)
{
	const struct mmio_region *r = region_of(b, addr, size);

	if (!r) {
		guest_fault(&b->faults,
			    "write of %u bytes at %#" PRIx64 ": nothing there",
			    size, addr);
		return;
	}
	r->ops->write(r->dev, addr - r->start, size, low_bytes(val, size));
}
