/*
 * PL031 real-time clock. Arm DDI 0224C.
 *
 * Seconds come from the clock it is handed, so tests turn time themselves; the
 * guest sets its own offset from it. The alarm is one absolute deadline, which
 * the owner turns into a timer. The clock runs from the start, as a
 * battery-backed one does, and cannot be stopped.
 */
#ifndef BELFRY_PL031_H
#define BELFRY_PL031_H

#include <belfry/base.h>
#include <belfry/irq.h>
#include <belfry/log.h>
#include <belfry/lock.h>
#include <belfry/mmio.h>
#include <belfry/regbank.h>

#define PL031_SIZE 0x1000

/* Both are called with the clock's lock held and must not call back. */
struct pl031_world {
	/* Nanoseconds since the epoch, UTC. May step, either way. */
	u64 (*now)(void *ctx);
	/* Call pl031_alarm() at this time (as now() tells it), instead of any
	 * earlier request; 0: never. On the thread of a vCPU, or of
	 * pl031_alarm() or pl031_reset(). */
	void (*wake_at)(void *ctx, u64 when);
	void *ctx;
};

struct pl031;

/* @irq and @world are copied. Owned by the caller until pl031_destroy.
 * NULL only if memory is short. */
struct pl031 *pl031_create(const struct irq_line *irq,
			   const struct pl031_world *world);
void pl031_destroy(struct pl031 *d);

/* For mmio_bus_add; dev is the struct pl031. */
extern const struct mmio_ops pl031_mmio;

/* The table behind it, for regbank_lint() in tests. */
extern const struct regbank pl031_bank;

/* Any thread. An early call is harmless: the clock asks to be woken again. */
void pl031_alarm(struct pl031 *d);

/* As at power-on, without an alarm. The offset between guest and host time is
 * kept: it is battery-backed. No vCPU runs. */
void pl031_reset(struct pl031 *d);

#endif
