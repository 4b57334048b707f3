/*
 * PL011 UART, revision r1p5 (32-byte FIFOs). Arm DDI 0183G.
 *
 * Both FIFOs, their trigger levels, receive timeout, loopback with the modem
 * signals, breaks from outside, all interrupts that follow from these. DMA,
 * IrDA, baud rate, word format and a break sent by the guest are registers
 * without effect: a character is eight bits and takes no time. Outside of
 * loopback CTS, DSR and DCD are always asserted, RI never is.
 *
 * Where characters go and come from is the owner's affair, who has the other
 * end of a wire.
 *
 * It comes up as firmware would leave it - enabled, 8n1, FIFOs on, 115200 baud
 * of PL011_CLOCK_HZ - because no firmware runs before the kernel, and Linux'
 * earlycon writes to a UART that somebody else has enabled.
 */
#ifndef BELFRY_PL011_H
#define BELFRY_PL011_H

#include <belfry/base.h>
#include <belfry/chars.h>
#include <belfry/irq.h>
#include <belfry/log.h>
#include <belfry/lock.h>
#include <belfry/mmio.h>
#include <belfry/regbank.h>

#define PL011_SIZE 0x1000
/* UARTCLK: what the device tree says of the clock must say this. */
#define PL011_CLOCK_HZ 24000000

struct pl011;

/* @irq and @wire are copied. Owned by the caller until pl011_destroy.
 * NULL only if memory is short. */
struct pl011 *pl011_create(const struct irq_line *irq,
			   const struct chars_wire *wire);
void pl011_destroy(struct pl011 *u);

/* For mmio_bus_add; dev is the struct pl011. */
extern const struct mmio_ops pl011_mmio;

/* The table behind it, for regbank_lint() in tests. */
extern const struct regbank pl011_bank;

/*
 * The UART's end of the wire, for any thread. It is ready to receive again
 * when the FIFO has fallen below its trigger level, not for each byte. A break
 * (BE in the data register) takes its place in the FIFO even if that is full;
 * it is lost if the receiver is off.
 */
struct chars_port pl011_port(struct pl011 *u);

/* As at power-on; drops what is in the FIFOs. No vCPU runs. */
void pl011_reset(struct pl011 *u);

#endif
