#include "smmu_queue.h"

#include "smmu_regs.h"

static u32 bits(const struct queue *q)
{
	return (u32)MIN(FIELD_GET(Q_BASE_LOG2SIZE, q->base), q->max_bits);
}

u32 queue_size(const struct queue *q)
{
	return 1u << bits(q);
}

u32 queue_position(const struct queue *q, u32 reg)
{
	return reg & (2 * queue_size(q) - 1);
}

u32 queue_used(const struct queue *q)
{
	return queue_position(q, q->prod - q->cons);
}

u32 queue_next(const struct queue *q, u32 position)
{
	return queue_position(q, position + 1);
}

/* A queue is aligned to its size. */
u64 queue_entry(const struct queue *q, u32 position)
{
	u64 base = ALIGN_DOWN(q->base & Q_BASE_ADDR,
			      (u64)queue_size(q) * q->entry);

	return base + (u64)(position & (queue_size(q) - 1)) * q->entry;
}
