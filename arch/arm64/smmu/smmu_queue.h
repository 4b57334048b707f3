/*
 * A queue in guest memory: 1 << n entries, and two positions, where its
 * producer and its consumer are. Above the index in a position is one bit more,
 * which changes whenever the index begins anew, so that a full queue is not an
 * empty one. IHI 0070G, 3.5.1.
 */
#ifndef BELFRY_SMMU_QUEUE_H
#define BELFRY_SMMU_QUEUE_H

#include <belfry/base.h>

struct queue {
	u64 base;       /* SMMU_*Q_BASE, as written */
	u32 prod, cons; /* as written, with what else is in the registers */
	u8 max_bits;    /* n may be so many */
	u8 entry;       /* bytes of one */
};

/* Entries it has room for, and that are in it. A guest may write positions that
 * are no queue's: more are in it then than it has room for. */
u32 queue_size(const struct queue *q);
u32 queue_used(const struct queue *q);

/* Of a register's bits those that are a position. */
u32 queue_position(const struct queue *q, u32 reg);
u32 queue_next(const struct queue *q, u32 position);

/* Where the entry is; a multiple of its size. */
u64 queue_entry(const struct queue *q, u32 position);

#endif
