/*
 * A set of interrupts that knows its most urgent member.
 *
 * Ids count from 0; the priority of each, lower being more urgent, stands in
 * an array of the owner's. Above the members lie two levels of summary, the
 * best priority of each 64 ids and of each 64 of these, so that every call but
 * the last three looks at no more than a few dozen entries, however many ids
 * there are and however many are in.
 *
 * No lock: the owner's.
 */
#ifndef BELFRY_GIC_PRIOSET_H
#define BELFRY_GIC_PRIOSET_H

#include <belfry/base.h>

/* The priority of what is never found, though it may be in. */
#define PRIO_NEVER      0xff
#define PRIOSET_IDS_MAX 65536

struct prioset {
	const u8 *prio;
	u32 words, blocks;
	u64 *member;
	u8 *word_best;  /* of the 64 ids of one word of @member */
	u8 *block_best; /* of 64 words */
};

/* Empty, for ids below @nr, 1 to PRIOSET_IDS_MAX. @prio is borrowed. -ENOMEM */
MUST_CHECK int prioset_init(struct prioset *s, const u8 *prio, u32 nr);
/* Also of a set that is all zero. */
void prioset_fini(struct prioset *s);

bool prioset_has(const struct prioset *s, u32 id);
void prioset_put(struct prioset *s, u32 id);
void prioset_drop(struct prioset *s, u32 id);

/* @id has another priority now; it need not be in. */
void prioset_review(struct prioset *s, u32 id);

/* The best priority, and in *@id who has it: the lowest id of several.
 * PRIO_NEVER if there is none, and *@id is as it was. */
u8 prioset_best(const struct prioset *s, u32 *id);

/* Any number of ids have another priority now. */
void prioset_review_all(struct prioset *s);

/* Nobody is in. */
void prioset_clear(struct prioset *s);

/* Move the members of @from, of the same size and priorities, to @to: those below
 * @limit, a multiple of 64. The others are lost. */
void prioset_move_all(struct prioset *from, struct prioset *to, u32 limit);

#endif
