/*
 * The two ways a device interrupts, as capabilities it is handed.
 *
 * A device cannot tell which interrupt controller is behind them; whoever
 * assembles the machine decides.
 */
#ifndef BELFRY_IRQ_H
#define BELFRY_IRQ_H

#include <belfry/base.h>

/* A wired, level-sensitive interrupt. */
struct irq_line {
	void (*set)(void *ctx, u32 intid, bool level);
	void *ctx;
	u32 intid; /* GIC INTID, 32 and up for an SPI */
};

/* Any thread; the caller may hold its device lock. Idempotent. */
static inline void irq_line_set(const struct irq_line *l, bool level)
{
	l->set(l->ctx, l->intid, level);
}

/* Message-signalled interrupts: a write of @data to @addr by @devid. */
struct msi_sink {
	/* False if no such interrupt is mapped: the message is lost. */
	bool (*send)(void *ctx, u32 devid, u64 addr, u32 data);
	void *ctx;
};

/* Any thread. @devid is the DeviceID the ITS sees (IHI 0069, 5.1). */
static inline bool msi_sink_send(const struct msi_sink *s, u32 devid, u64 addr,
				 u32 data)
{
	return s->send(s->ctx, devid, addr, data);
}

#endif
