/*
 * Characters between a device (a UART, a console) and whoever is at its other
 * end, as a pair of capabilities. Each side moves as many bytes as the other
 * has room for, so neither drops a character or waits.
 */
#ifndef BELFRY_CHARS_H
#define BELFRY_CHARS_H

#include <belfry/base.h>

/* What the device is given. Called on any thread, with the device's own lock
 * held: neither may call back into it. */
struct chars_wire {
	/* Take up to @len characters the guest sent; returns how many. If
	 * fewer, the owner calls the device's tx_ready once it has room. */
	size_t (*send)(void *ctx, const u8 *buf, size_t len);
	/* The guest made room for input after the device's receive took too
	 * little. */
	void (*receive_ready)(void *ctx);
	void *ctx;
};

/* What the device gives: on any thread, unless the device says otherwise. */
struct chars_port {
	/* The owner of the wire has room for output again. */
	void (*tx_ready)(void *dev);
	/* Input for the guest: returns how many bytes fitted; if fewer than
	 * @len, receive_ready is called when it is worth trying again. */
	size_t (*receive)(void *dev, const u8 *buf, size_t len);
	/* The serial line breaks. NULL where there is no such line. */
	void (*brk)(void *dev);
	/* The terminal at the other end has this size; 0, 0: unknown. NULL
	 * where the guest has no way to know. */
	void (*resize)(void *dev, u16 columns, u16 rows);
	void *dev;
};

#endif
