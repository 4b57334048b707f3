/*
 * What the events of devices are mapped to, by DeviceID and EventID.
 *
 * A crit-bit tree in memory that is allocated once: looking up, adding and
 * removing take no more than 32 steps, whatever keys a guest chooses, and it
 * is in order, so the events of one device are found one after the other.
 *
 * No lock: the owner's.
 */
#ifndef BELFRY_GIC_EVENTMAP_H
#define BELFRY_GIC_EVENTMAP_H

#include <belfry/base.h>

struct mapping {
	u32 key;
	u32 lpi; /* INTID */
	u32 coll;
};

struct eventmap_branch {
	u32 child[2]; /* those whose key has @bit clear, and set */
	u32 bit;
};

struct eventmap {
	u32 nr, max;
	u32 root;
	struct mapping *leaves;
	struct eventmap_branch *branches;
	/* Those never used begin at these; those given back are chained. */
	u32 fresh_leaf, fresh_branch;
	u32 free_leaf, free_branch;
};

/* Empty, with room for @max. -ENOMEM */
MUST_CHECK int eventmap_init(struct eventmap *m, u32 max);
/* Also of a map that is all zero. */
void eventmap_fini(struct eventmap *m);
void eventmap_clear(struct eventmap *m);

/* NULL if there is none. */
struct mapping *eventmap_find(const struct eventmap *m, u32 key);
/* The first at @key or behind it; NULL if there is none. */
struct mapping *eventmap_next(const struct eventmap *m, u32 key);
/* One that is not there yet, with only its key set. NULL if the map is full. */
struct mapping *eventmap_add(struct eventmap *m, u32 key);
/* One that is there. */
void eventmap_remove(struct eventmap *m, u32 key);

#endif
