/*
 * The ways a device interrupts and is rung, as capabilities it is handed.
 *
 * A device cannot tell which interrupt controller or hypervisor is behind
 * them; whoever assembles the machine decides.
 */
#ifndef BELFRY_IRQ_H
#define BELFRY_IRQ_H

#include <belfry/base.h>
#include <belfry/err.h>

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

/*
 * The wire of hardware's pin, level-sensitive. A write to @raise raises it; the
 * guest having ended the interrupt, it has fallen, and @ended is written to:
 * who still wants it raises it again. Others may be on it. Eventfds, of whoever
 * made it.
 */
struct irq_pin {
	int raise, ended;
	u32 intid;
	/* As if the guest had ended it. Any thread. */
	void (*drop)(void *ctx, u32 intid);
	void *ctx;
};

struct irq_pins {
	/* One on SPI @intid, before the guest runs. -errno and a message. */
	int (*open)(void *ctx, u32 intid, struct irq_pin *pin, struct err *e);
	void *ctx;
};

/* A message of a device's that whoever writes to @fd sends. */
struct msi_line {
	int fd; /* an eventfd, owned by the sink; -1: not open */
	u32 id; /* the sink's own */
};

/* Message-signalled interrupts: writes of @data to @addr by @devid, which is
 * the DeviceID that the ITS sees (IHI 0069, 5.1). */
struct msi_sink {
	/* One message, now. False if no such interrupt is mapped: it is lost.
	 * Any thread. */
	bool (*send)(void *ctx, u32 devid, u64 addr, u32 data);
	/* Open a line, before the guest runs: -errno and a message if there
	 * are no more. Closing takes one that is not open, too. */
	int (*open)(void *ctx, struct msi_line *l, struct err *e);
	void (*close)(void *ctx, struct msi_line *l);
	/* What the line sends from now on. Any thread, one at a time for a
	 * line; -errno if the host refuses, and the line sends nothing. A host
	 * that has hardware deliver it looks where to only now. */
	int (*aim)(void *ctx, struct msi_line *l, u32 devid, u64 addr,
		   u32 data);
	/* It sends nothing until it is aimed again; what comes meanwhile is
	 * sent then, or lost. As aim. */
	void (*rest)(void *ctx, struct msi_line *l);
	/* A line would only lead back to this process: who can send, does. */
	bool direct;
	void *ctx;
};

static inline bool msi_sink_send(const struct msi_sink *s, u32 devid, u64 addr,
				 u32 data)
{
	return s->send(s->ctx, devid, addr, data);
}

/*
 * Guest writes that become events without a thread of ours: from attach to
 * detach a write of any size at @at is not seen as MMIO but counts @fd up.
 * Any thread. -errno if the host has no room; writes then go on arriving as
 * MMIO.
 */
struct doorbells {
	int (*attach)(void *ctx, gpa_t at, int fd);
	void (*detach)(void *ctx, gpa_t at, int fd);
	void *ctx;
};

#endif
