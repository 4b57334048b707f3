/*
 * Which ids the guest's tables have room for.
 *
 * IHI 0069H, 5.2: a table is flat, or has a first level of which each entry
 * names a page of the second.
 */
#include "its_priv.h"

static u64 page_size(u64 baser)
{
	return 4 * KIB << 2 * FIELD_GET(GITS_BASER_PAGE, baser);
}

static u64 table_size(u64 baser)
{
	return (FIELD_GET(GITS_BASER_PAGES, baser) + 1) * page_size(baser);
}

/* A page that is not there in full is none of ours: the low bits are not
 * looked at. */
static u64 table_base(u64 baser)
{
	u64 pa = ALIGN_DOWN(baser & GITS_BASER_PA, page_size(baser));

	if (FIELD_GET(GITS_BASER_PAGE, baser) == GITS_BASER_PAGE_64K)
		pa |= FIELD_GET(GITS_BASER_PA_TOP, baser) << 48;
	return pa;
}

/* How many ids an entry of the first level stands for. */
static u64 ids_per_page(u64 baser)
{
	return page_size(baser) / ITS_ENTRY_SIZE;
}

bool its_table_covers(const struct its *its, enum its_table t, u32 id)
{
	u64 baser = its->baser[t], ids;

	if (!(baser & GITS_BASER_VALID) || id >> ITS_BITS)
		return false;
	if (baser & GITS_BASER_INDIRECT)
		ids = table_size(baser) / sizeof(u64) * ids_per_page(baser);
	else
		ids = table_size(baser) / ITS_ENTRY_SIZE;
	return id < ids;
}

bool its_table_has(const struct its *its, enum its_table t, u32 id)
{
	u64 baser = its->baser[t], entry;

	if (!its_table_covers(its, t, id))
		return false;
	if (!(baser & GITS_BASER_INDIRECT))
		return true;
	if (dma_read(&its->setup.dma,
		     table_base(baser) +
			     id / ids_per_page(baser) * sizeof(entry),
		     &entry, sizeof(entry)))
		return false;
	return le64toh(entry) & ITS_L1_VALID;
}
