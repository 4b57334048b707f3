/*
 * PL011 UART, revision r1p5 (32-byte FIFOs). Arm DDI 0183G.
 *
 * Both FIFOs, their trigger levels, receive timeout, loopback with the modem
 * signals, breaks from outside, all interrupts that follow from these. DMA,
 * IrDA, baud rate, word format and a break sent by the guest are registers
 * without effect: a character is eight bits and takes no time. Outside of
 * loopback CTS, DSR and DCD are always asserted, RI never is.
 *
 * Where characters go and come from is the owner's affair: two callbacks and
 * two calls, each moving as many bytes as the other side has room for, so
 * neither side ever drops a character or waits.
 *
 * It comes up as firmware would leave it - enabled, 8n1, FIFOs on, 115200 baud
 * of PL011_CLOCK_HZ - because no firmware runs before the kernel, and Linux'
 * earlycon writes to a UART that somebody else has enabled.
 */
#ifndef BELFRY_PL011_H
#define BELFRY_PL011_H

#include <belfry/base.h>
#include <belfry/irq.h>
#include <belfry/log.h>
#include <belfry/lock.h>
#include <belfry/mmio.h>
#include <belfry/regbank.h>

#define PL011_SIZE 0x1000
/* UARTCLK: what the device tree says of the clock must say this. */
#define PL011_CLOCK_HZ 24000000

/* Both are called with the UART's lock held: they must not call back. */
struct pl011_wire {
	/* Take up to @len characters the guest sent; returns how many. If
	 * fewer, the owner calls pl011_tx_ready() once it has room again. On
	 * the thread of a vCPU or of pl011_tx_ready(). */
	size_t (*send)(void *ctx, const u8 *buf, size_t len);
	/* The guest made room for input after pl011_receive() took too little.
	 * On the thread of a vCPU or of pl011_reset(). */
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

/* The table behind it, for regbank_lint() in tests. */
extern const struct regbank pl011_bank;

/* Any thread: the owner has room for output again. */
void pl011_tx_ready(struct pl011 *u);

/* Any thread: input for the guest. Returns how many bytes fitted; if fewer
 * than @len, wire->receive_ready is called when it is worth trying again: when
 * the FIFO has fallen below its trigger level, not for each byte. */
size_t pl011_receive(struct pl011 *u, const u8 *buf, size_t len);

/* Any thread: a serial break (BE in the data register). Takes its place in the
 * FIFO even if that is full; lost if the receiver is off. */
void pl011_break(struct pl011 *u);

/* As at power-on; drops what is in the FIFOs. No vCPU runs. */
void pl011_reset(struct pl011 *u);

#endif
