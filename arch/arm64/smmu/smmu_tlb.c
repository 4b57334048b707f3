#include "smmu_tlb.h"

const struct tlb_entry *tlb_find(const struct tlb *t, u64 va, u16 asid,
				 bool write)
{
	for (u32 i = 0; i < TLB_ENTRIES; i++) {
		const struct tlb_entry *e = &t->entry[i];

		if (va - e->va < e->size && e->asid == asid &&
		    (write ? e->write : e->read))
			return e;
	}
	return NULL;
}

void tlb_add(struct tlb *t, const struct tlb_entry *e)
{
	t->entry[t->next] = *e;
	t->next = (t->next + 1) % TLB_ENTRIES;
}

static bool in_scope(const struct tlb_entry *e, const struct tlb_scope *s)
{
	if (s->by_asid && e->asid != s->asid)
		return false;
	return e->va <= s->last && e->va + (e->size - 1) >= s->first;
}

void tlb_forget(struct tlb *t, const struct tlb_scope *scope)
{
	for (u32 i = 0; i < TLB_ENTRIES; i++)
		if (t->entry[i].size && in_scope(&t->entry[i], scope))
			t->entry[i].size = 0;
}

u64 tlb_address(u64 va)
{
	return (va & BIT(55)) ? va | GENMASK(63, 56) : va & GENMASK(55, 0);
}
