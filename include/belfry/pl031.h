/*
 * PL031 real-time clock. Arm DDI 0224C.
 *
 * Seconds come from the clock it is handed, so tests turn time themselves. The
 * alarm is one absolute deadline, which the owner turns into a timer.
 */
#ifndef BELFRY_PL031_H
#define BELFRY_PL031_H

#include <belfry/base.h>
#include <belfry/irq.h>
#include <belfry/log.h>
#include <belfry/lock.h>
#include <belfry/mmio.h>

#define PL031_SIZE 0x1000

struct pl031_world {
	/* Nanoseconds since the epoch, UTC. */
	u64 (*now)(void *ctx);
	/* Call pl031_alarm() at this time (as now() tells it), instead of any
	 * earlier request; 0: never. Called with the lock held, on a vCPU thread. */
	void (*wake_at)(void *ctx, u64 when);
	void *ctx;
};

struct pl031;

struct pl031 *pl031_create(const struct irq_line *irq,
			   const struct pl031_world *world);
void pl031_destroy(struct pl031 *d);
extern const struct mmio_ops pl031_mmio;

/* Any thread; early calls are harmless. */
void pl031_alarm(struct pl031 *d);

/* As at power-on. The offset between guest and host time is kept: it is
 * battery-backed. No vCPU runs. */
void pl031_reset(struct pl031 *d);

#endif
