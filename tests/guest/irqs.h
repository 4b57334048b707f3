/*
 * Interrupts as the guest's kernel counts them.
 */
#ifndef BELFRY_TESTS_IRQS_H
#define BELFRY_TESTS_IRQS_H

#include <belfry/base.h>

#define ANY_CPU  (-1)
#define PATIENCE 60 /* seconds: a host may be emulated, and busy */

/* Some of them, by their numbers in /proc/irq. */
struct irqs {
	size_t nr;
	int irq[256];
};

/* Those whose handler's name matches @pattern, as the shell's do: the UART's
 * is "uart-pl011", a virtio device's are "virtio2-input.0" and so on. */
struct irqs irqs_find(const char *pattern);
/* Those of the first virtio device that has @driver, as @vectors matches them;
 * none without such a device. Other
 * drivers' are found by @vectors alone. */
struct irqs irqs_of_driver(const char *driver, const char *vectors);

/* How often it came, or they did, to CPU @cpu or ANY_CPU. */
u64 irq_count(int irq, int cpu);
u64 irqs_count(const struct irqs *s, int cpu);
/* Wait, but not for ever, until they have come @n times more. */
bool irqs_come(const struct irqs *s, int cpu, u64 n);
/* Changes when a handler finds nothing to do. */
u64 irqs_unhandled(const struct irqs *s);

/* Send interrupt @irq to @cpu; false, with errno, if it is not to be sent
 * elsewhere, as those of a disk's queues. */
bool irq_send(int irq, int cpu);
/* Is it sent to @cpu now? */
bool irq_goes_to(int irq, int cpu);

#endif
