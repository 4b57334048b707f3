/*
 * PL011 UART. Arm DDI 0183G.
 *
 * Both FIFOs, their trigger levels, receive timeout, loopback, all interrupts
 * that a line without modem wires can raise; DMA and baud rate are registers
 * without effect. Where characters go and come from is the owner's affair: two
 * callbacks and two calls, each moving as many bytes as the other side has
 * room for, so neither side ever drops a character or waits.
 */
#ifndef BELFRY_PL011_H
#define BELFRY_PL011_H

#include <belfry/base.h>
#include <belfry/irq.h>
#include <belfry/log.h>
#include <belfry/lock.h>
#include <belfry/mmio.h>

#define PL011_SIZE 0x1000

/* Called with the UART's lock held, on a vCPU thread: must not call back. */
struct pl011_wire {
	/* Take up to @len characters the guest sent; returns how many. If fewer,
	 * the owner calls pl011_tx_ready() once it has room again. */
	size_t (*send)(void *ctx, const u8 *buf, size_t len);
	/* The guest made room for input after pl011_receive() took too little. */
	void (*receive_ready)(void *ctx);
	void *ctx;
};

struct pl011;

/* @irq and @wire are copied. Owned by the caller until pl011_destroy.
 * NULL only if memory is short. */
struct pl011 *pl011_create(const struct irq_line *irq,
			   const struct pl011_wire *wire);
void pl011_destroy(struct pl011 *u);

/* For mmio_bus_add; dev is the struct pl011. */
extern const struct mmio_ops pl011_mmio;

/* Any thread: the owner has room for output again. */
void pl011_tx_ready(struct pl011 *u);

/* Any thread: input for the guest. Returns how many bytes fitted; if fewer
 * than @len, wire->receive_ready is called when there is room. */
size_t pl011_receive(struct pl011 *u, const u8 *buf, size_t len);

/* Any thread: a serial break (BE in the data register). */
void pl011_break(struct pl011 *u);

/* As at power-on; drops what is in the FIFOs. No vCPU runs. */
void pl011_reset(struct pl011 *u);

#endif
