/*
 * Translations of one stream that were walked for, until a command forgets
 * them. Whether one is global is not known, so each is its ASID's when it is
 * looked for, and everybody's when its address is forgotten.
 */
#ifndef BELFRY_SMMU_TLB_H
#define BELFRY_SMMU_TLB_H

#include <belfry/base.h>

#define TLB_ENTRIES 32

struct tlb_entry {
	u64 va, pa; /* of its first byte */
	u64 size;   /* a power of two; 0: there is none */
	u16 asid;
	bool read, write; /* may be; as far as was asked */
};

/* All zero, it is empty. */
struct tlb {
	struct tlb_entry entry[TLB_ENTRIES];
	u32 next; /* to be replaced */
};

/* What is to be forgotten: from @first to @last, and only of @asid. */
struct tlb_scope {
	u64 first, last;
	bool by_asid;
	u16 asid;
};

#define TLB_ALL ((struct tlb_scope) { .last = ~0ull })

/* One that may be used so, or NULL. */
const struct tlb_entry *tlb_find(const struct tlb *t, u64 va, u16 asid,
				 bool write);
void tlb_add(struct tlb *t, const struct tlb_entry *e);
void tlb_forget(struct tlb *t, const struct tlb_scope *scope);

/* An address without a top byte of its own. */
u64 tlb_address(u64 va);

#endif
