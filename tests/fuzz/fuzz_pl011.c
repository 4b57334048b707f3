/*
 * Any accesses, any input, any stinginess of the wire: no sanitizer trips, the
 * interrupt line follows MIS, flags fit each other, and no more comes out than
 * the guest wrote.
 *
 * Input: records of four bytes - what, an offset or a count, two of value.
 */
#include <belfry/pl011.h>

#include <assert.h>
#include <string.h>

#define RECORD  4
#define UARTDR  0x000
#define UARTFR  0x018
#define UARTMIS 0x040

#define FR_BUSY 0x08
#define FR_RXFE 0x10
#define FR_TXFF 0x20
#define FR_RXFF 0x40
#define FR_TXFE 0x80

struct bench {
	size_t room;
	u64 written, sent;
	bool level;
};

static size_t bench_send(void *ctx, const u8 *buf, size_t len)
{
	struct bench *b = ctx;
	size_t n = MIN(len, b->room);

	assert(len > 0 && len <= 32);
	b->room -= n;
	b->sent += n;
	return n;
}

static void bench_ready(void *ctx)
{
}

static void bench_irq(void *ctx, u32 intid, bool level)
{
	struct bench *b = ctx;

	assert(level != b->level);
	b->level = level;
}

static void check(struct pl011 *u, const struct bench *b)
{
	u64 fr = pl011_mmio.read(u, UARTFR, 4);

	assert(!!(fr & FR_BUSY) == !(fr & FR_TXFE));
	assert(!(fr & FR_TXFE) || !(fr & FR_TXFF));
	assert(!(fr & FR_RXFE) || !(fr & FR_RXFF));
	assert(b->level == !!pl011_mmio.read(u, UARTMIS, 4));
	assert(b->sent <= b->written);
}

static void guest_write(struct pl011 *u, struct bench *b, u64 off, u32 size,
			u64 val)
{
	b->written += off == UARTDR;
	pl011_mmio.write(u, off, size, val);
}

/* The low three bits of @rec[0] choose; bits 3 and up are size and lane. */
static void step(struct pl011 *u, struct bench *b, const u8 *rec)
{
	u64 off = rec[1] % 0x13 * 4, val = rec[2] | (u64)rec[3] << 8;
	u32 size = 1u << (rec[0] >> 3 & 3), lane = rec[0] >> 5 & 3;
	u8 buf[256];

	memset(buf, rec[2], sizeof(buf));
	switch (rec[0] & 7) {
	case 0:
		pl011_mmio.read(u, rec[1] * 4u + lane, size);
		break;
	case 1:
		guest_write(u, b, off, 4, val);
		break;
	case 2:
		guest_write(u, b, rec[1] * 4u + lane, size, val);
		break;
	case 3:
		assert(pl011_port(u).receive(u, buf, rec[1]) <= rec[1]);
		break;
	case 4:
		b->room = rec[1];
		pl011_port(u).tx_ready(u);
		break;
	case 5:
		pl011_port(u).brk(u);
		break;
	case 6:
		pl011_mmio.read(u, UARTDR, 4);
		break;
	default:
		if (rec[1] == 0)
			pl011_reset(u);
		break;
	}
	check(u, b);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct bench b = { .room = 0 };
	const struct irq_line irq = { bench_irq, &b, 33 };
	const struct chars_wire wire = { bench_send, bench_ready, &b };
	struct pl011 *u = pl011_create(&irq, &wire);

	if (!u)
		return 0;
	for (; size >= RECORD; data += RECORD, size -= RECORD)
		step(u, &b, data);
	pl011_destroy(u);
	return 0;
}
