/*
 * PL011: registers, FIFOs and their trigger levels, flow control both ways,
 * loopback, what Linux' driver does, and a model that random operations are
 * compared with.
 */
#include "unit.h"

#include <belfry/pl011.h>

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

/* DDI 0183G, table 3-1. */
#define DR       0x000
#define RSR      0x004
#define FR       0x018
#define ILPR     0x020
#define IBRD     0x024
#define FBRD     0x028
#define LCR_H    0x02c
#define CR       0x030
#define IFLS     0x034
#define IMSC     0x038
#define RIS      0x03c
#define MIS      0x040
#define ICR      0x044
#define DMACR    0x048
#define ID       0xfe0

#define FR_MODEM 0x107
#define FR_CTS   0x001
#define FR_BUSY  0x008
#define FR_RXFE  0x010
#define FR_TXFF  0x020
#define FR_RXFF  0x040
#define FR_TXFE  0x080
/* A line that is always ready: CTS, DSR, DCD. */
#define FR_LINE  0x007
#define FR_IDLE  (FR_LINE | FR_TXFE | FR_RXFE)

#define INT_RX   0x010
#define INT_TX   0x020
#define INT_RT   0x040
#define INT_BE   0x200

#define FEN      0x10
#define LCR_8N1  0x60
#define CR_ON    0x301 /* UARTEN, TXE, RXE */
#define CR_RESET 0x101 /* without RXE */
#define CR_LBE   0x080
#define CR_RTS   0x800

#define OUT_MAX  4096

struct bench {
	struct pl011 *u;
	struct chars_port port;
	u8 out[OUT_MAX]; /* what the wire took */
	size_t out_len;
	size_t room; /* how much more it takes */
	u32 sends, readies, changes;
	bool level;
};

static size_t bench_send(void *ctx, const u8 *buf, size_t len)
{
	struct bench *b = ctx;
	size_t n = MIN(len, b->room);

	ck_assert_uint_gt(len, 0);
	ck_assert_uint_le(b->out_len + n, OUT_MAX);
	memcpy(b->out + b->out_len, buf, n);
	b->out_len += n;
	b->room -= n;
	b->sends++;
	return n;
}

static void bench_ready(void *ctx)
{
	((struct bench *)ctx)->readies++;
}

static void bench_irq(void *ctx, u32 intid, bool level)
{
	struct bench *b = ctx;

	ck_assert_uint_eq(intid, 33);
	ck_assert(level != b->level);
	b->level = level;
	b->changes++;
}

static struct bench *bench_init(void)
{
	struct bench *b = calloc(1, sizeof(*b));
	const struct irq_line irq = { bench_irq, b, 33 };
	const struct chars_wire wire = { bench_send, bench_ready, b };

	ck_assert_ptr_nonnull(b);
	b->room = ~(size_t)0;
	b->u = pl011_create(&irq, &wire);
	ck_assert_ptr_nonnull(b->u);
	b->port = pl011_port(b->u);
	ck_assert_ptr_eq(b->port.dev, b->u);
	/* The receiver is off at first. */
	pl011_mmio.write(b->u, CR, 4, CR_ON);
	return b;
}

static void bench_fini(struct bench *b)
{
	pl011_destroy(b->u);
	free(b);
}

static u32 rd(struct bench *b, u32 off)
{
	return (u32)pl011_mmio.read(b->u, off, 4);
}

static void wr(struct bench *b, u32 off, u32 val)
{
	pl011_mmio.write(b->u, off, 4, val);
}

/* The guest writes @n characters, counting up from @c. */
static void put(struct bench *b, u32 c, u32 n)
{
	for (u32 i = 0; i < n; i++)
		wr(b, DR, (c + i) & 0xff);
}

/* From outside come up to @n characters, counting up from @c. */
static size_t feed(struct bench *b, u32 c, size_t n)
{
	u8 buf[256];

	for (size_t i = 0; i < n; i++)
		buf[i] = (u8)(c + i);
	return b->port.receive(b->port.dev, buf, n);
}

/* Faults are meant where this is called. */
static void hush(void)
{
	int fd = open("/dev/null", O_WRONLY);

	dup2(fd, STDERR_FILENO);
	close(fd);
}

/* IFLS settings (3.3.9), in characters of 32. */
static const u32 levels[8] = { 4, 8, 16, 24, 28, 28, 28, 28 };

START_TEST(table)
{
	ck_assert_int_eq(regbank_lint(&pl011_bank), -1);
}
END_TEST

static const struct {
	u32 off, reset, bits; /* bits that keep what is written */
} regs[] = {
	{ RSR, 0, 0 },
	{ FR, FR_IDLE, 0 },
	{ ILPR, 0, 0xff },
	{ IBRD, 13, 0xffff },
	{ FBRD, 1, 0x3f },
	{ LCR_H, LCR_8N1 | FEN, 0xff },
	{ CR, CR_RESET, 0xff87 },
	{ IFLS, 0x12, 0x3f },
	{ IMSC, 0, 0x7ff },
	{ RIS, 0, 0 },
	{ MIS, 0, 0 },
	{ ICR, 0, 0 },
	{ DMACR, 0, 0x7 },
	{ 0x008, 0, 0 },
	{ 0x01c, 0, 0 },
	{ 0x04c, 0, 0 },
	{ 0x080, 0, 0 },
	{ 0xfdc, 0, 0 },
	{ ID + 0x00, 0x11, 0 },
	{ ID + 0x04, 0x10, 0 },
	{ ID + 0x08, 0x34, 0 },
	{ ID + 0x0c, 0x00, 0 },
	{ ID + 0x10, 0x0d, 0 },
	{ ID + 0x14, 0xf0, 0 },
	{ ID + 0x18, 0x05, 0 },
	{ ID + 0x1c, 0xb1, 0 },
};

START_TEST(registers)
{
	for (size_t i = 0; i < ARRAY_SIZE(regs); i++) {
		struct bench *b = bench_init();
		u32 off = regs[i].off, keep = regs[i].reset & ~regs[i].bits;

		pl011_reset(b->u);
		ck_assert_msg(rd(b, off) == regs[i].reset, "%#x: %#x", off,
			      rd(b, off));
		wr(b, off, ~0u);
		ck_assert_msg(rd(b, off) == (keep | regs[i].bits), "%#x: %#x",
			      off, rd(b, off));
		wr(b, off, 0);
		ck_assert_msg(rd(b, off) == keep, "%#x: %#x", off, rd(b, off));
		bench_fini(b);
	}
}
END_TEST

START_TEST(register_sizes)
{
	struct bench *b = bench_init();

	hush();
	for (size_t i = 0; i < ARRAY_SIZE(regs); i++) {
		u32 off = regs[i].off, val = rd(b, off);

		ck_assert_uint_eq(pl011_mmio.read(b->u, off, 1), val & 0xff);
		ck_assert_uint_eq(pl011_mmio.read(b->u, off + 1, 1),
				  val >> 8 & 0xff);
		ck_assert_uint_eq(pl011_mmio.read(b->u, off, 2), val);
		ck_assert_uint_eq(pl011_mmio.read(b->u, off + 1, 2), 0);
		ck_assert_uint_eq(pl011_mmio.read(b->u, off + 2, 4), 0);
	}
	pl011_mmio.write(b->u, IBRD, 2, 0x1234);
	pl011_mmio.write(b->u, IBRD + 1, 1, 0xab);
	ck_assert_uint_eq(rd(b, IBRD), 0xab34);
	pl011_mmio.write(b->u, IBRD, 8, 0);
	ck_assert_uint_eq(pl011_mmio.read(b->u, IBRD, 8), 0);
	pl011_mmio.write(b->u, IBRD + 2, 4, 0);
	ck_assert_uint_eq(rd(b, IBRD), 0xab34);

	/* Earlycon writes bytes, Linux' driver halfwords. */
	pl011_mmio.write(b->u, DR, 1, 'a');
	pl011_mmio.write(b->u, DR, 2, 'b');
	pl011_mmio.write(b->u, DR + 1, 1, 'c');
	pl011_mmio.write(b->u, DR + 2, 2, 'd');
	ck_assert_uint_eq(b->out_len, 2);
	ck_assert_mem_eq(b->out, "ab", 2);
	feed(b, 'x', 2);
	ck_assert_uint_eq(pl011_mmio.read(b->u, DR, 1), 'x');
	ck_assert_uint_eq(pl011_mmio.read(b->u, DR, 2), 'y');
	bench_fini(b);
}
END_TEST

START_TEST(receive_levels)
{
	for (u32 s = 0; s < 8; s++) {
		struct bench *b = bench_init();
		u32 level = levels[s];

		wr(b, IFLS, s << 3);
		for (u32 n = 1; n <= 32; n++) {
			ck_assert_uint_eq(feed(b, n, 1), 1);
			ck_assert_uint_eq(rd(b, RIS), n >= level ? INT_RX : 0);
		}
		ck_assert_uint_eq(feed(b, 33, 1), 0);
		ck_assert_uint_eq(rd(b, FR), FR_LINE | FR_TXFE | FR_RXFF);
		for (u32 n = 31; n + 1 > 0; n--) {
			ck_assert_uint_eq(rd(b, DR), 32 - n);
			ck_assert_uint_eq(rd(b, RIS), n >= level ? INT_RX : 0);
			ck_assert_uint_eq(rd(b, FR), FR_LINE | FR_TXFE |
							     (n ? 0 : FR_RXFE));
		}
		ck_assert_uint_eq(rd(b, DR), 0);
		bench_fini(b);
	}
}
END_TEST

START_TEST(receive_interrupt_is_a_transition)
{
	struct bench *b = bench_init();

	feed(b, 0, 16);
	ck_assert_uint_eq(rd(b, RIS), INT_RX);
	wr(b, ICR, INT_RX);
	ck_assert_uint_eq(rd(b, RIS), 0);
	feed(b, 16, 1);
	ck_assert_uint_eq(rd(b, RIS), 0);
	rd(b, DR);
	rd(b, DR);
	feed(b, 17, 1);
	ck_assert_uint_eq(rd(b, RIS), INT_RX);

	/* Moving the level past what is there is a transition, too. */
	wr(b, IFLS, 3 << 3);
	ck_assert_uint_eq(rd(b, RIS), 0);
	wr(b, IFLS, 2 << 3);
	ck_assert_uint_eq(rd(b, RIS), INT_RX);
	bench_fini(b);
}
END_TEST

START_TEST(receive_timeout)
{
	struct bench *b = bench_init();

	feed(b, 0, 1);
	ck_assert_uint_eq(rd(b, RIS), 0); /* its mask enables it */
	wr(b, IMSC, INT_RT);
	ck_assert_uint_eq(rd(b, MIS), INT_RT);
	ck_assert(b->level);
	wr(b, ICR, INT_RT);
	ck_assert(!b->level);
	wr(b, IMSC, INT_RT | INT_TX);
	ck_assert(!b->level);
	feed(b, 1, 2);
	ck_assert(b->level);
	wr(b, ICR, INT_RT);
	rd(b, DR); /* what is left still wants to be read */
	ck_assert(b->level);
	wr(b, IMSC, 0);
	ck_assert_uint_eq(rd(b, RIS), 0);
	wr(b, IMSC, INT_RT);
	ck_assert(b->level);
	rd(b, DR);
	ck_assert(b->level);
	rd(b, DR);
	ck_assert(!b->level);
	ck_assert_uint_eq(rd(b, RIS), 0);
	bench_fini(b);
}
END_TEST

START_TEST(one_line_change_per_batch)
{
	struct bench *b = bench_init();

	wr(b, IMSC, INT_RX | INT_RT);
	feed(b, 0, 20);
	feed(b, 20, 12);
	while (!(rd(b, FR) & FR_RXFE))
		rd(b, DR);
	ck_assert_uint_eq(b->changes, 2);
	bench_fini(b);
}
END_TEST

START_TEST(transmit_levels)
{
	for (u32 s = 0; s < 8; s++) {
		struct bench *b = bench_init();
		u32 level = levels[s];

		wr(b, IFLS, s);
		b->room = 0;
		put(b, 0, 32);
		ck_assert_uint_eq(rd(b, RIS), 0);
		ck_assert_uint_eq(rd(b, FR),
				  FR_LINE | FR_RXFE | FR_BUSY | FR_TXFF);
		for (u32 n = 31; n + 1 > 0; n--) {
			b->room = 1;
			b->port.tx_ready(b->port.dev);
			ck_assert_uint_eq(rd(b, RIS), n <= level ? INT_TX : 0);
			ck_assert_uint_eq(rd(b, FR),
					  FR_LINE | FR_RXFE |
						  (n ? FR_BUSY : FR_TXFE));
		}
		for (u32 n = 1; n <= 32; n++) {
			put(b, 32 + n - 1, 1);
			ck_assert_uint_eq(rd(b, RIS), n <= level ? INT_TX : 0);
		}
		b->room = 32;
		b->port.tx_ready(b->port.dev);
		ck_assert_uint_eq(b->out_len, 64);
		for (u32 n = 0; n < 64; n++)
			ck_assert_uint_eq(b->out[n], n);
		bench_fini(b);
	}
}
END_TEST

START_TEST(transmit_interrupt_is_a_transition)
{
	struct bench *b = bench_init();

	wr(b, IMSC, INT_TX);
	ck_assert(!b->level); /* empty, but nothing has left */
	b->port.tx_ready(b->port.dev);
	ck_assert(!b->level);
	put(b, 'a', 1); /* left at once */
	ck_assert(b->level);
	wr(b, ICR, INT_TX);
	ck_assert(!b->level);
	b->port.tx_ready(b->port.dev);
	ck_assert(!b->level);
	b->room = 0;
	put(b, 'b', 1);
	ck_assert(!b->level);
	b->room = 1;
	b->port.tx_ready(b->port.dev);
	ck_assert(b->level);
	ck_assert_uint_eq(b->out_len, 2);
	bench_fini(b);
}
END_TEST

START_TEST(transmit_overflow)
{
	struct bench *b = bench_init();

	hush();
	b->room = 0;
	put(b, 0, 40);
	b->room = 100;
	b->port.tx_ready(b->port.dev);
	ck_assert_uint_eq(b->out_len, 32);
	for (u32 n = 0; n < 32; n++)
		ck_assert_uint_eq(b->out[n], n);
	bench_fini(b);
}
END_TEST

/* The wire takes @step at a time; nothing is lost, whatever @step. */
START_TEST(transmit_flow)
{
	for (u32 step = 1; step <= 40; step++) {
		struct bench *b = bench_init();
		u32 sent = 0;

		b->room = 0;
		while (b->out_len < 500) {
			while (sent < 500 && !(rd(b, FR) & FR_TXFF))
				put(b, sent++, 1);
			b->room = step;
			b->port.tx_ready(b->port.dev);
		}
		for (u32 n = 0; n < 500; n++)
			ck_assert_uint_eq(b->out[n], n & 0xff);
		ck_assert_uint_eq(rd(b, FR), FR_IDLE);
		bench_fini(b);
	}
}
END_TEST

START_TEST(receive_flow)
{
	struct bench *b = bench_init();
	u32 want = 0;
	size_t fed = feed(b, 0, 200);

	ck_assert_uint_eq(fed, 32);
	ck_assert_uint_eq(feed(b, (u32)fed, 200 - fed), 0);
	for (u32 i = 0; i < 16; i++)
		ck_assert_uint_eq(rd(b, DR), want++);
	ck_assert_uint_eq(b->readies, 0); /* still at the trigger level */
	ck_assert_uint_eq(rd(b, DR), want++);
	ck_assert_uint_eq(b->readies, 1);
	rd(b, DR), want++;
	ck_assert_uint_eq(b->readies, 1); /* once */

	while (want < 200) {
		if (b->readies) {
			b->readies = 0;
			fed += feed(b, (u32)fed, 200 - fed);
		}
		ck_assert(!(rd(b, FR) & FR_RXFE));
		ck_assert_uint_eq(rd(b, DR), want++);
	}
	ck_assert_uint_eq(b->readies, 0); /* nothing was left over */
	ck_assert_uint_eq(rd(b, FR), FR_IDLE);
	bench_fini(b);
}
END_TEST

START_TEST(character_mode)
{
	struct bench *b = bench_init();

	wr(b, LCR_H, LCR_8N1);
	ck_assert_uint_eq(feed(b, 'a', 3), 1);
	ck_assert_uint_eq(rd(b, RIS), INT_RX);
	ck_assert_uint_eq(rd(b, FR), FR_LINE | FR_TXFE | FR_RXFF);
	ck_assert_uint_eq(rd(b, DR), 'a');
	ck_assert_uint_eq(rd(b, RIS), 0);
	ck_assert_uint_eq(b->readies, 1);

	b->room = 0;
	put(b, 'x', 1);
	ck_assert_uint_eq(rd(b, FR), FR_LINE | FR_RXFE | FR_BUSY | FR_TXFF);
	ck_assert_uint_eq(rd(b, RIS), 0);
	b->room = 1;
	b->port.tx_ready(b->port.dev);
	ck_assert_uint_eq(rd(b, RIS), INT_TX);
	ck_assert_uint_eq(rd(b, FR), FR_IDLE);
	bench_fini(b);
}
END_TEST

START_TEST(fifo_enable_keeps_characters)
{
	struct bench *b = bench_init();

	feed(b, 0, 20);
	b->room = 0;
	put(b, 0, 20);
	wr(b, LCR_H, LCR_8N1);
	ck_assert_uint_eq(rd(b, FR), FR_LINE | FR_BUSY | FR_TXFF | FR_RXFF);
	ck_assert_uint_eq(feed(b, 20, 1), 0);
	for (u32 i = 0; i < 20; i++)
		ck_assert_uint_eq(rd(b, DR), i);
	ck_assert_uint_eq(b->readies, 1);
	b->room = 20;
	wr(b, LCR_H, LCR_8N1 | FEN);
	ck_assert_uint_eq(b->out_len, 20);
	ck_assert_uint_eq(feed(b, 0, 100), 32);
	bench_fini(b);
}
END_TEST

/* 3.3.8: the way to throw away what has not been sent. */
START_TEST(fifo_flush)
{
	struct bench *b = bench_init();

	wr(b, CR, 0);
	put(b, 0, 5);
	ck_assert_uint_eq(rd(b, FR), FR_LINE | FR_RXFE | FR_BUSY);
	wr(b, LCR_H, LCR_8N1 | FEN);
	ck_assert_uint_eq(rd(b, FR), FR_LINE | FR_RXFE | FR_BUSY);
	wr(b, LCR_H, LCR_8N1);
	ck_assert_uint_eq(rd(b, FR), FR_IDLE);
	put(b, 'k', 1);
	wr(b, LCR_H, LCR_8N1); /* already off: no flush */
	wr(b, CR, CR_ON);
	ck_assert_uint_eq(b->out_len, 1);
	ck_assert_uint_eq(b->out[0], 'k');
	bench_fini(b);
}
END_TEST

START_TEST(transmitter_off)
{
	static const u32 off[] = { 0, 0x300, 0x201, 0x001 };

	for (size_t i = 0; i < ARRAY_SIZE(off); i++) {
		struct bench *b = bench_init();

		wr(b, CR, off[i]);
		put(b, 0, 32);
		b->port.tx_ready(b->port.dev);
		ck_assert_uint_eq(b->sends, 0);
		ck_assert_uint_eq(rd(b, FR),
				  FR_LINE | FR_RXFE | FR_BUSY | FR_TXFF);
		wr(b, CR, CR_ON);
		ck_assert_uint_eq(b->out_len, 32);
		ck_assert_uint_eq(b->sends, 1);
		ck_assert_uint_eq(rd(b, RIS), INT_TX);
		bench_fini(b);
	}
}
END_TEST

START_TEST(receiver_off)
{
	static const u32 off[] = { 0, 0x300, 0x101, CR_ON | CR_LBE };

	for (size_t i = 0; i < ARRAY_SIZE(off); i++) {
		struct bench *b = bench_init();

		feed(b, 'a', 1);
		wr(b, CR, off[i]);
		ck_assert_uint_eq(feed(b, 'b', 1), 0);
		b->port.brk(b->port.dev);
		ck_assert_uint_eq(b->readies, 0);
		wr(b, CR, CR_ON);
		ck_assert_uint_eq(b->readies, 1);
		ck_assert_uint_eq(rd(b, RIS) & INT_BE, 0);
		ck_assert_uint_eq(rd(b, DR), 'a');
		ck_assert(rd(b, FR) & FR_RXFE);
		bench_fini(b);
	}
}
END_TEST

START_TEST(breaks)
{
	struct bench *b = bench_init();

	wr(b, IMSC, INT_BE);
	feed(b, 'a', 1);
	b->port.brk(b->port.dev);
	feed(b, 'b', 1);
	ck_assert(b->level);
	ck_assert_uint_eq(rd(b, DR), 'a');
	ck_assert_uint_eq(rd(b, RSR), 0);
	ck_assert_uint_eq(rd(b, DR), 0x400);
	ck_assert_uint_eq(rd(b, RSR), 4);
	wr(b, RSR, 0);
	ck_assert_uint_eq(rd(b, RSR), 0);
	wr(b, ICR, INT_BE);
	ck_assert(!b->level);
	ck_assert_uint_eq(rd(b, DR), 'b');

	/* A full FIFO, and an operator with a heavy finger. */
	feed(b, 0, 32);
	for (u32 i = 0; i < 1000; i++)
		b->port.brk(b->port.dev);
	for (u32 i = 0; i < 32; i++)
		ck_assert_uint_eq(rd(b, DR), i);
	for (u32 i = 0; i < 32; i++)
		ck_assert_uint_eq(rd(b, DR), 0x400);
	ck_assert_uint_eq(rd(b, RSR), 4);
	ck_assert(rd(b, FR) & FR_RXFE);
	bench_fini(b);
}
END_TEST

START_TEST(loopback)
{
	struct bench *b = bench_init();

	wr(b, CR, CR_ON | CR_LBE);
	wr(b, ICR, 0x7ff);
	put(b, 0, 16);
	ck_assert_uint_eq(rd(b, RIS), INT_RX | INT_TX);
	put(b, 16, 32); /* 16 loop, 16 wait */
	ck_assert_uint_eq(rd(b, FR), FR_BUSY | FR_RXFF);
	for (u32 i = 0; i < 48; i++)
		ck_assert_uint_eq(rd(b, DR), i);
	ck_assert_uint_eq(rd(b, FR), FR_TXFE | FR_RXFE);
	ck_assert_uint_eq(b->sends, 0);

	/* Receiver off: what is sent is gone. */
	wr(b, CR, (CR_ON & ~0x200u) | CR_LBE);
	put(b, 0, 5);
	ck_assert_uint_eq(rd(b, FR), FR_TXFE | FR_RXFE);
	bench_fini(b);
}
END_TEST

START_TEST(loopback_modem)
{
	/* Output in CR, input in FR, interrupt in RIS. */
	static const u32 wires[][3] = {
		{ 0x0800, 0x001, 2 }, /* RTS to CTS */
		{ 0x0400, 0x002, 8 }, /* DTR to DSR */
		{ 0x1000, 0x004, 4 }, /* Out1 to DCD */
		{ 0x2000, 0x100, 1 }, /* Out2 to RI */
	};
	struct bench *b = bench_init();

	wr(b, CR, CR_ON | 0x3c00);
	ck_assert_uint_eq(rd(b, FR) & FR_MODEM, FR_LINE);
	wr(b, CR, CR_ON | CR_LBE);
	ck_assert_uint_eq(rd(b, FR) & FR_MODEM, 0);
	ck_assert_uint_eq(rd(b, RIS), 0xe);
	for (size_t i = 0; i < ARRAY_SIZE(wires); i++) {
		wr(b, ICR, 0x7ff);
		wr(b, CR, CR_ON | CR_LBE | wires[i][0]);
		ck_assert_uint_eq(rd(b, FR) & FR_MODEM, wires[i][1]);
		ck_assert_uint_eq(rd(b, RIS), wires[i][2]);
		wr(b, CR, CR_ON | CR_LBE);
		ck_assert_uint_eq(rd(b, FR) & FR_MODEM, 0);
	}

	/* CTS flow control; on the outside CTS is always there. */
	wr(b, CR, CR_ON | CR_LBE | 0x8000);
	put(b, 'a', 1);
	ck_assert_uint_eq(rd(b, FR), FR_BUSY | FR_RXFE);
	wr(b, CR, CR_ON | CR_LBE | 0x8000 | CR_RTS);
	ck_assert_uint_eq(rd(b, DR), 'a');
	wr(b, CR, CR_ON | 0x8000);
	put(b, 'b', 1);
	ck_assert_uint_eq(b->out_len, 1);
	bench_fini(b);
}
END_TEST

START_TEST(interrupt_mask_and_clear)
{
	struct bench *b = bench_init();

	put(b, 'a', 1);
	b->port.brk(b->port.dev);
	ck_assert_uint_eq(rd(b, RIS), INT_TX | INT_BE);
	ck_assert_uint_eq(rd(b, MIS), 0);
	ck_assert_uint_eq(b->changes, 0);
	wr(b, IMSC, INT_BE);
	ck_assert_uint_eq(rd(b, MIS), INT_BE);
	wr(b, IMSC, INT_BE | INT_TX);
	wr(b, ICR, INT_BE);
	ck_assert_uint_eq(rd(b, RIS), INT_TX);
	ck_assert_uint_eq(b->changes, 1);
	wr(b, ICR, 0);
	ck_assert(b->level);
	wr(b, ICR, INT_TX);
	ck_assert(!b->level);
	ck_assert_uint_eq(b->changes, 2);
	bench_fini(b);
}
END_TEST

START_TEST(reset)
{
	struct bench *b = bench_init();

	wr(b, IMSC, 0x7ff);
	wr(b, IFLS, 0);
	b->room = 0;
	put(b, 0, 10);
	feed(b, 0, 100);
	b->port.brk(b->port.dev);
	ck_assert(b->level);
	b->room = 10;
	pl011_reset(b->u);
	ck_assert(!b->level);
	ck_assert_uint_eq(b->out_len, 0);
	for (size_t i = 0; i < ARRAY_SIZE(regs); i++)
		ck_assert_uint_eq(rd(b, regs[i].off), regs[i].reset);
	ck_assert_uint_eq(b->readies, 0);
	ck_assert_uint_eq(feed(b, 0, 1), 0);
	wr(b, CR, CR_ON);
	ck_assert_uint_eq(b->readies, 1);
	bench_fini(b);
}
END_TEST

/*
 * Linux' driver, access by access: earlycon, probe, console write, opening,
 * start_tx and the interrupt handler. None of its loops may turn twice for
 * nothing.
 */
static u32 linux_console(struct bench *b, const char *s)
{
	u32 polls = 0, cr = rd(b, CR);

	wr(b, CR, (cr & ~0x8000u) | 0x101);
	for (; *s; s++) {
		while (rd(b, FR) & FR_TXFF)
			polls++;
		wr(b, DR, (u8)*s);
	}
	while (rd(b, FR) & FR_BUSY)
		polls++;
	wr(b, CR, cr);
	return polls;
}

static void linux_open(struct bench *b)
{
	wr(b, ICR, 0x7d0);
	wr(b, IMSC, INT_RT | INT_RX);
	wr(b, IMSC, 0);
	wr(b, IFLS, 0x12);
	wr(b, CR, (rd(b, CR) & 0xc00) | CR_ON);
	wr(b, ICR, INT_RT | INT_RX);
	for (u32 i = 0; i < 64 && !(rd(b, FR) & FR_RXFE); i++)
		rd(b, DR);
	wr(b, IMSC, INT_RT | INT_RX);
}

/* One run of the handler, with @left characters to send: how many remain. */
static u32 linux_interrupt(struct bench *b, u32 im, u32 left, u32 *got)
{
	u32 status, pass = 256;

	while ((status = rd(b, RIS) & im) && pass--) {
		wr(b, ICR, status & ~(INT_TX | INT_RT | INT_RX));
		if (status & (INT_RT | INT_RX))
			while (!(rd(b, FR) & FR_RXFE))
				*got += rd(b, DR) <= 0xff;
		if (!(status & INT_TX))
			continue;
		for (u32 i = 0; i < 16 && left; i++, left--)
			wr(b, DR, 'i');
		if (!left) {
			im &= ~(u32)INT_TX;
			wr(b, IMSC, im);
		}
	}
	ck_assert_uint_gt(pass, 0);
	return left;
}

START_TEST(linux_driver)
{
	struct bench *b = bench_init();
	u32 got = 0, left = 400, im = INT_RT | INT_RX;

	wr(b, DR, 'e'); /* earlycon writes to a UART nobody has set up */
	ck_assert_uint_eq(rd(b, FR) & FR_BUSY, 0);
	wr(b, IMSC, 0);
	wr(b, ICR, 0xffff);
	ck_assert_uint_eq(linux_console(b, "Linux version 7.3\r\n"), 0);
	linux_open(b);
	ck_assert(!b->level);
	ck_assert_uint_eq(b->out_len, 20);

	/* start_tx: as much as fits, then by interrupt. */
	b->room = 10;
	while (left && !(rd(b, FR) & FR_TXFF)) {
		wr(b, DR, 's');
		left--;
	}
	ck_assert_uint_eq(left, 400 - 10 - 32);
	im |= INT_TX;
	wr(b, IMSC, im);
	ck_assert(!b->level);
	while (left) {
		b->room = 20;
		b->port.tx_ready(b->port.dev);
		if (b->level)
			left = linux_interrupt(b, im, left, &got);
	}
	b->room = 100;
	b->port.tx_ready(b->port.dev);
	ck_assert_uint_eq(b->out_len, 20 + 400);
	ck_assert(!b->level);

	feed(b, 0, 3);
	ck_assert(b->level);
	linux_interrupt(b, INT_RT | INT_RX, 0, &got);
	feed(b, 0, 32);
	linux_interrupt(b, INT_RT | INT_RX, 0, &got);
	ck_assert_uint_eq(got, 35);
	ck_assert(!b->level);
	bench_fini(b);
}
END_TEST

/*
 * The model: queues as flat arrays, one character moved at a time, levels as
 * fractions; every visible bit derived from them after each operation.
 */
struct queue {
	u32 c[128];
	u32 n;
};

struct model {
	struct queue rx, tx;
	u32 lcr, cr, ifls, imsc, ris, rsr;
	u8 out[OUT_MAX];
	size_t out_len;
	u32 room;
	u32 readies;
	bool want;  /* the owner has more */
	bool above; /* receive FIFO at the level, last time we looked */
};

static u32 q_take(struct queue *q)
{
	u32 c = q->c[0];

	q->n--;
	memmove(q->c, q->c + 1, q->n * sizeof(*q->c));
	return c;
}

static u32 m_size(const struct model *m)
{
	return m->lcr & FEN ? 32 : 1;
}

/* n eighths of the FIFO, as the setting's name has it. */
static u32 m_level(u32 setting)
{
	static const u32 eighths[] = { 1, 2, 4, 6, 7, 7, 7, 7 };

	return 32 * eighths[setting & 7] / 8;
}

static u32 m_modem(const struct model *m)
{
	u32 fr = 0;

	if (!(m->cr & CR_LBE))
		return 0x007;
	if (m->cr & 0x0800)
		fr |= 0x001;
	if (m->cr & 0x0400)
		fr |= 0x002;
	if (m->cr & 0x1000)
		fr |= 0x004;
	if (m->cr & 0x2000)
		fr |= 0x100;
	return fr;
}

static bool m_sending(const struct model *m)
{
	if ((m->cr & 0x101) != 0x101)
		return false;
	return !(m->cr & 0x8000) || (m_modem(m) & FR_CTS);
}

/* Move one character out of the transmitter, if anything takes it. */
static bool m_move(struct model *m)
{
	bool listening = (m->cr & 0x201) == 0x201;

	if (!m->tx.n || !m_sending(m))
		return false;
	if (!(m->cr & CR_LBE)) {
		if (!m->room)
			return false;
		m->room--;
		m->out[m->out_len++] = (u8)q_take(&m->tx);
		return true;
	}
	if (listening && m->rx.n >= m_size(m))
		return false;
	if (listening) {
		m->rx.c[m->rx.n++] = m->tx.c[0];
		m->ris |= INT_RT;
	}
	q_take(&m->tx);
	return true;
}

/* What follows from the last operation. */
static void m_follow(struct model *m)
{
	u32 rx_level = m->lcr & FEN ? m_level(m->ifls >> 3) : 1;
	u32 tx_level = m->lcr & FEN ? m_level(m->ifls) : 0;
	bool moved = false, above;

	while (m_move(m))
		moved = true;
	if (moved)
		m->ris |= INT_TX;
	if (m->tx.n > tx_level)
		m->ris &= ~(u32)INT_TX;

	above = m->rx.n >= rx_level;
	if (above && !m->above)
		m->ris |= INT_RX;
	if (!above)
		m->ris &= ~(u32)INT_RX;
	m->above = above;
	if (!m->rx.n || !(m->imsc & INT_RT))
		m->ris &= ~(u32)INT_RT;

	if (m->want && !above && (m->cr & 0x281) == 0x201) {
		m->want = false;
		m->readies++;
	}
}

static u32 m_flags(const struct model *m)
{
	u32 fr = m_modem(m);

	fr |= m->tx.n ? FR_BUSY : FR_TXFE;
	fr |= m->tx.n >= m_size(m) ? FR_TXFF : 0;
	fr |= m->rx.n ? 0 : FR_RXFE;
	fr |= m->rx.n >= m_size(m) ? FR_RXFF : 0;
	return fr;
}

static void m_control(struct model *m, u32 val)
{
	static const u32 ints[9] = { [0] = 2, [1] = 8, [2] = 4, [8] = 1 };
	u32 before = m_modem(m), changed;

	m->cr = val & 0xff87;
	changed = before ^ m_modem(m);
	for (u32 bit = 0; bit < 9; bit++)
		if (changed & 1u << bit)
			m->ris |= ints[bit];
}

static void m_line(struct model *m, u32 val)
{
	bool off = (m->lcr & FEN) && !(val & FEN);

	if (off) {
		m->lcr = val & 0xff;
		if (!m_sending(m))
			m->tx.n = 0;
	}
	m->lcr = val & 0xff;
}

static void m_write(struct model *m, u32 off, u32 val)
{
	switch (off) {
	case DR:
		if (m->tx.n < m_size(m))
			m->tx.c[m->tx.n++] = val & 0xff;
		break;
	case RSR:
		m->rsr = 0;
		break;
	case LCR_H:
		m_line(m, val);
		break;
	case CR:
		m_control(m, val);
		break;
	case IFLS:
		m->ifls = val & 0x3f;
		break;
	case IMSC:
		if (!(m->imsc & INT_RT) && (val & INT_RT) && m->rx.n)
			m->ris |= INT_RT;
		m->imsc = val & 0x7ff;
		break;
	case ICR:
		m->ris &= ~val;
		break;
	default:
		break;
	}
	m_follow(m);
}

static u32 m_read_dr(struct model *m)
{
	u32 c;

	if (!m->rx.n)
		return 0;
	c = q_take(&m->rx);
	m->rsr = c >> 8;
	m->ris |= m->rx.n ? INT_RT : 0;
	m_follow(m);
	return c;
}

static size_t m_receive(struct model *m, u32 c, size_t n)
{
	size_t took = 0;

	while (took < n && (m->cr & 0x281) == 0x201 && m->rx.n < m_size(m)) {
		m->rx.c[m->rx.n++] = (c + (u32)took++) & 0xff;
		m->ris |= INT_RT;
	}
	m->want = took < n;
	m_follow(m);
	return took;
}

static void m_break(struct model *m)
{
	if ((m->cr & 0x281) != 0x201 || m->rx.n >= 64)
		return;
	m->rx.c[m->rx.n++] = 0x400;
	m->ris |= INT_BE | INT_RT;
	m_follow(m);
}

static void compare(struct bench *b, struct model *m, u32 step)
{
	ck_assert_msg(rd(b, RIS) == m->ris, "step %u: RIS %#x, model %#x", step,
		      rd(b, RIS), m->ris);
	ck_assert_msg(rd(b, FR) == m_flags(m), "step %u: FR %#x, model %#x",
		      step, rd(b, FR), m_flags(m));
	ck_assert_uint_eq(rd(b, MIS), m->ris & m->imsc);
	ck_assert(b->level == !!(m->ris & m->imsc));
	ck_assert_uint_eq(rd(b, RSR), m->rsr);
	ck_assert_uint_eq(b->readies, m->readies);
	ck_assert_uint_eq(b->out_len, m->out_len);
	ck_assert_mem_eq(b->out, m->out, m->out_len);
	b->out_len = 0;
	m->out_len = 0;
}

/* Mostly sensible values, so that characters do flow. */
static u32 some_value(u32 off, u32 r)
{
	if (off == CR)
		return r & 3 ? CR_ON | (r & 0x8000) | (r & 0x3c00)
			     : CR_ON ^ (r >> 3 & 0xffff);
	if (off == LCR_H)
		return r & 3 ? LCR_8N1 | FEN : r >> 2;
	return r >> 2;
}

static void one_step(struct bench *b, struct model *m, u32 r)
{
	static const u32 offs[] = { DR,    DR, DR,   DR,   DR,  DR, RSR,
				    LCR_H, CR, IFLS, IMSC, ICR, FR, 0x80 };
	u32 arg = r >> 8, off = offs[arg % ARRAY_SIZE(offs)], val;
	size_t took;

	switch (r & 7) {
	case 0:
	case 1:
		for (u32 n = arg % 40; n + 1 > 0; n--)
			ck_assert_uint_eq(rd(b, DR), m_read_dr(m));
		break;
	case 2:
		took = m_receive(m, arg, arg % 50);
		ck_assert_uint_eq(feed(b, arg, arg % 50), took);
		break;
	case 3:
		b->room = m->room = arg % 3 ? arg % 50 : 0;
		b->port.tx_ready(b->port.dev);
		m_follow(m);
		break;
	case 4:
		if (arg % 4 == 0) {
			b->port.brk(b->port.dev);
			m_break(m);
		}
		break;
	default:
		val = some_value(off, arg >> 4);
		for (u32 n = off == DR ? arg % 12 : 0; n + 1 > 0; n--) {
			wr(b, off, val);
			m_write(m, off, val);
		}
		break;
	}
}

START_TEST(model)
{
	struct bench *b = bench_init();
	struct model *m = calloc(1, sizeof(*m));
	u64 seed = 1;

	ck_assert_ptr_nonnull(m);
	hush();
	*m = (struct model) { .lcr = LCR_8N1 | FEN, .cr = CR_ON, .ifls = 0x12 };
	b->room = 0;
	for (u32 step = 0; step < 200000; step++) {
		seed = seed * 6364136223846793005 + 1442695040888963407;
		one_step(b, m, (u32)(seed >> 32));
		compare(b, m, step);
	}
	free(m);
	bench_fini(b);
}
END_TEST

/* One thread types, another reads and answers, a third takes the output. */
#define TYPED 50000

struct pipe_end {
	struct pl011 *u;
	struct chars_port port;
	_Atomic u32 ready, level;
	_Atomic size_t room;
	u8 out[TYPED];
	size_t out_len;
	_Atomic bool done;
};

static size_t pipe_send(void *ctx, const u8 *buf, size_t len)
{
	struct pipe_end *p = ctx;
	size_t room = p->room; /* once: the taker writes it */
	size_t n = MIN(len, room);

	n = MIN(n, TYPED - p->out_len);
	memcpy(p->out + p->out_len, buf, n);
	p->out_len += n;
	p->room -= n;
	return n;
}

static void pipe_ready(void *ctx)
{
	((struct pipe_end *)ctx)->ready++;
}

static void pipe_irq(void *ctx, u32 intid, bool level)
{
	((struct pipe_end *)ctx)->level = level;
}

static void *typist(void *ctx)
{
	struct pipe_end *p = ctx;
	u32 sent = 0;

	while (sent < TYPED) {
		u8 buf[100];
		size_t n = MIN(sizeof(buf), TYPED - sent);
		u32 ready = p->ready;

		for (size_t i = 0; i < n; i++)
			buf[i] = (u8)((sent + i) * 7);
		n = p->port.receive(p->port.dev, buf, n);
		sent += (u32)n;
		/* A call for more must come after every short one. */
		while (n < sizeof(buf) && sent < TYPED && p->ready == ready)
			sched_yield();
	}
	return NULL;
}

static void *taker(void *ctx)
{
	struct pipe_end *p = ctx;

	while (!p->done) {
		p->room = 5;
		p->port.tx_ready(p->port.dev);
		sched_yield();
	}
	return NULL;
}

START_TEST(threads)
{
	struct pipe_end *p = calloc(1, sizeof(*p));
	const struct irq_line irq = { pipe_irq, p, 33 };
	const struct chars_wire wire = { pipe_send, pipe_ready, p };
	pthread_t t[2];
	u32 got = 0;

	ck_assert_ptr_nonnull(p);
	p->u = pl011_create(&irq, &wire);
	ck_assert_ptr_nonnull(p->u);
	p->port = pl011_port(p->u);
	pl011_mmio.write(p->u, CR, 4, CR_ON);
	pl011_mmio.write(p->u, IMSC, 4, INT_RX | INT_RT);
	ck_assert_int_eq(pthread_create(&t[0], NULL, typist, p), 0);
	ck_assert_int_eq(pthread_create(&t[1], NULL, taker, p), 0);
	while (got < TYPED) {
		while (!p->level) /* no interrupt may be missing */
			sched_yield();
		while (!(pl011_mmio.read(p->u, FR, 4) & FR_RXFE)) {
			u64 c = pl011_mmio.read(p->u, DR, 4);

			ck_assert_uint_eq(c, (u8)(got++ * 7));
			while (pl011_mmio.read(p->u, FR, 4) & FR_TXFF)
				sched_yield();
			pl011_mmio.write(p->u, DR, 4, c);
		}
	}
	while (pl011_mmio.read(p->u, FR, 4) & FR_BUSY)
		sched_yield();
	p->done = true;
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	ck_assert_uint_eq(p->out_len, TYPED);
	for (u32 i = 0; i < TYPED; i++)
		ck_assert_uint_eq(p->out[i], (u8)(i * 7));
	pl011_destroy(p->u);
	free(p);
}
END_TEST

UNIT_MAIN("pl011", table, registers, register_sizes, receive_levels,
	  receive_interrupt_is_a_transition, receive_timeout,
	  one_line_change_per_batch, transmit_levels,
	  transmit_interrupt_is_a_transition, transmit_overflow, transmit_flow,
	  receive_flow, character_mode, fifo_enable_keeps_characters,
	  fifo_flush, transmitter_off, receiver_off, breaks, loopback,
	  loopback_modem, interrupt_mask_and_clear, reset, linux_driver, model,
	  threads)
