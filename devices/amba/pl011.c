/*
 * PL011 UART.
 *
 * Every change, from the guest or from outside, ends in settle(): move what
 * can move, then let interrupts, line and owner know. What the guest sends is
 * on the wire before its write returns, so BUSY never keeps it polling unless
 * the owner's side is full.
 *
 * One lock, held throughout; accesses come on vCPU threads, the other calls on
 * any. Callbacks are made with it held.
 *
 * Arm DDI 0183G.
 */
#include <belfry/pl011.h>

#include <assert.h>
#include <stdlib.h>

#include "pl011_regs.h"

#define FIFO_DEPTH 32
/* Room for breaks beyond what the guest sees as full. */
#define FIFO_SLOTS 64

struct fifo {
	u16 slot[FIFO_SLOTS];
	u32 head, len;
};

/* All that a reset resets. */
struct uart_regs {
	struct fifo rx, tx;
	u64 rsr, ilpr, ibrd, fbrd, lcr_h, cr, ifls, imsc, ris, dmacr;
	bool rx_high; /* the receive FIFO is at its trigger level or above */
};

struct pl011 {
	struct lock lock;
	struct irq_line irq;
	struct chars_wire wire;
	struct guest_faults faults;
	struct uart_regs r;
	bool level;   /* of the line */
	bool starved; /* the owner holds input that did not fit */
};

/*
 * As firmware that prints would leave it, for guests that print before they
 * have a driver; but with the receiver off, so that no input is taken before
 * there is one. 24 MHz / (16 * 115200) = 13 + 1/64.
 */
static const struct uart_regs power_on = {
	.ibrd = 13,
	.fbrd = 1,
	.lcr_h = LCR_H_WLEN_8 | LCR_H_FEN,
	.cr = CR_UARTEN | CR_TXE,
	.ifls = FIELD_PREP(IFLS_RX, IFLS_HALF) | FIELD_PREP(IFLS_TX, IFLS_HALF),
};

/* The modem outputs, and the inputs they are wired to in loopback: 3.3.8. */
static const struct {
	u64 out, in, irq;
} modem[] = {
	{ CR_RTS, FR_CTS, INT_CTS },
	{ CR_DTR, FR_DSR, INT_DSR },
	{ CR_OUT1, FR_DCD, INT_DCD },
	{ CR_OUT2, FR_RI, INT_RI },
};

static void fifo_push(struct fifo *f, u32 entry)
{
	assert(f->len < FIFO_SLOTS);
	f->slot[(f->head + f->len++) % FIFO_SLOTS] = (u16)entry;
}

static u32 fifo_at(const struct fifo *f, u32 i)
{
	return f->slot[(f->head + i) % FIFO_SLOTS];
}

static void fifo_drop(struct fifo *f, u32 n)
{
	assert(n <= f->len);
	f->head = (f->head + n) % FIFO_SLOTS;
	f->len -= n;
}

static u32 fifo_pop(struct fifo *f)
{
	u32 entry = fifo_at(f, 0);

	fifo_drop(f, 1);
	return entry;
}

/* Without FEN each FIFO is one holding register: 2.4.3. */
static u32 depth(const struct uart_regs *r)
{
	return r->lcr_h & LCR_H_FEN ? FIFO_DEPTH : 1;
}

static u32 room(const struct uart_regs *r, const struct fifo *f)
{
	return depth(r) > f->len ? depth(r) - f->len : 0;
}

/* 3.3.9. The reserved settings act as the highest level. */
static u32 level_of(u64 setting)
{
	static const u8 level[] = { 4, 8, 16, 24, 28, 28, 28, 28 };

	return level[setting];
}

/* The receive interrupt is due at so many characters or more. */
static u32 rx_trigger(const struct uart_regs *r)
{
	return r->lcr_h & LCR_H_FEN ? level_of(FIELD_GET(IFLS_RX, r->ifls)) : 1;
}

/* The transmit interrupt is due at so many characters or fewer. */
static u32 tx_trigger(const struct uart_regs *r)
{
	return r->lcr_h & LCR_H_FEN ? level_of(FIELD_GET(IFLS_TX, r->ifls)) : 0;
}

static u64 modem_inputs(const struct uart_regs *r)
{
	u64 in = 0;

	if (!(r->cr & CR_LBE))
		return FR_CTS | FR_DSR | FR_DCD;
	for (size_t i = 0; i < ARRAY_SIZE(modem); i++)
		if (r->cr & modem[i].out)
			in |= modem[i].in;
	return in;
}

static bool tx_on(const struct uart_regs *r)
{
	return (r->cr & CR_UARTEN) && (r->cr & CR_TXE) &&
	       (!(r->cr & CR_CTSEN) || (modem_inputs(r) & FR_CTS));
}

static bool rx_on(const struct uart_regs *r)
{
	return (r->cr & CR_UARTEN) && (r->cr & CR_RXE);
}

/* Does the receiver listen to the outside? */
static bool rx_open(const struct uart_regs *r)
{
	return rx_on(r) && !(r->cr & CR_LBE);
}

/*
 * The line has gone quiet. The timeout of 32 bit periods (2.8.4) has passed at
 * once, since characters take no time.
 */
static void rx_quiet(struct uart_regs *r)
{
	if (r->rx.len)
		r->ris |= INT_RT;
}

/* Characters the receiver has no room for wait: loopback does not overrun. */
static u32 loop_back(struct uart_regs *r)
{
	u32 n = 0;

	for (; r->tx.len && (!rx_on(r) || room(r, &r->rx)); n++) {
		u32 c = fifo_pop(&r->tx);

		if (rx_on(r))
			fifo_push(&r->rx, c);
	}
	if (n)
		rx_quiet(r);
	return n;
}

static u32 send(struct pl011 *u)
{
	struct fifo *tx = &u->r.tx;
	u8 buf[FIFO_DEPTH];
	size_t n;

	for (u32 i = 0; i < tx->len; i++)
		buf[i] = (u8)fifo_at(tx, i);
	n = u->wire.send(u->wire.ctx, buf, tx->len);
	fifo_drop(tx, (u32)n);
	return (u32)n;
}

/*
 * 2.8.3: the transmit interrupt is one of a transition. It comes when
 * characters leave and no more than the trigger level are left, so that a
 * driver which sends a few and waits is woken too; unmasking it alone raises
 * nothing.
 */
static void settle_tx(struct pl011 *u)
{
	struct uart_regs *r = &u->r;
	u32 moved = 0;

	if (r->tx.len && tx_on(r))
		moved = r->cr & CR_LBE ? loop_back(r) : send(u);
	if (r->tx.len > tx_trigger(r))
		r->ris &= ~INT_TX;
	else if (moved)
		r->ris |= INT_TX;
}

/*
 * 2.8.2: reaching the trigger level raises, falling below it clears. The mask
 * of the timeout also enables it: 3.3.11.
 */
static void settle_rx(struct uart_regs *r)
{
	bool high = r->rx.len >= rx_trigger(r);

	if (!high)
		r->ris &= ~INT_RX;
	else if (!r->rx_high)
		r->ris |= INT_RX;
	r->rx_high = high;
	if (!r->rx.len || !(r->imsc & INT_RT))
		r->ris &= ~INT_RT;
}

static void settle(struct pl011 *u)
{
	struct uart_regs *r = &u->r;
	bool level;

	settle_tx(u);
	settle_rx(r);

	level = r->ris & r->imsc;
	if (level != u->level) {
		u->level = level;
		irq_line_set(&u->irq, level);
	}
	/* Where RTS flow control would ask for more: 2.6.1. */
	if (u->starved && rx_open(r) && !r->rx_high) {
		u->starved = false;
		u->wire.receive_ready(u->wire.ctx);
	}
}

static u64 dr_read(void *dev, u32 i)
{
	struct pl011 *u = dev;
	u32 entry;

	if (!u->r.rx.len)
		return 0;
	entry = fifo_pop(&u->r.rx);
	u->r.rsr = FIELD_GET(DR_STATUS, entry);
	rx_quiet(&u->r);
	settle(u);
	return entry;
}

static void dr_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct pl011 *u = dev;

	if (!(mask & DR_DATA))
		return;
	if (room(&u->r, &u->r.tx))
		fifo_push(&u->r.tx, (u8)val);
	else
		guest_fault(&u->faults, "character lost: transmit FIFO full");
}

static u64 rsr_read(void *dev, u32 i)
{
	struct pl011 *u = dev;

	return u->r.rsr;
}

/* UARTECR: any value clears. */
static void ecr_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct pl011 *u = dev;

	u->r.rsr = 0;
}

static u64 fr_read(void *dev, u32 i)
{
	const struct uart_regs *r = &((struct pl011 *)dev)->r;

	return modem_inputs(r) | (r->tx.len ? FR_BUSY : FR_TXFE) |
	       (r->rx.len ? 0 : FR_RXFE) | (room(r, &r->tx) ? 0 : FR_TXFF) |
	       (room(r, &r->rx) ? 0 : FR_RXFF);
}

/* Registers that only keep what was written. */
#define PLAIN_READ(reg)                         \
	static u64 reg##_read(void *dev, u32 i) \
	{                                       \
		struct pl011 *u = dev;          \
                                                \
		return u->r.reg;                \
	}
#define PLAIN(reg, bits)                                             \
	PLAIN_READ(reg)                                              \
	static void reg##_write(void *dev, u32 i, u64 val, u64 mask) \
	{                                                            \
		struct pl011 *u = dev;                               \
                                                                     \
		u->r.reg = reg_merge(u->r.reg, val, mask) & (bits);  \
	}

PLAIN(ilpr, ILPR_BITS)
PLAIN(ibrd, IBRD_BITS)
PLAIN(fbrd, FBRD_BITS)
PLAIN(ifls, IFLS_BITS)
PLAIN(dmacr, DMACR_BITS)
PLAIN_READ(lcr_h)
PLAIN_READ(cr)
PLAIN_READ(imsc)
PLAIN_READ(ris)

/*
 * 3.3.8 has the transmit FIFO flushed by clearing FEN while the UART is off.
 * While it is on, characters under way still arrive, and nothing is ever
 * dropped on the receiving side.
 */
static void lcr_h_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct pl011 *u = dev;
	u64 before = u->r.lcr_h;

	u->r.lcr_h = reg_merge(before, val, mask) & LCR_H_BITS;
	if ((before & ~u->r.lcr_h & LCR_H_FEN) && !tx_on(&u->r))
		u->r.tx.len = 0;
}

static void cr_write(void *dev, u32 n, u64 val, u64 mask)
{
	struct pl011 *u = dev;
	u64 before = modem_inputs(&u->r), changed;

	u->r.cr = reg_merge(u->r.cr, val, mask) & CR_BITS;
	changed = before ^ modem_inputs(&u->r);
	for (size_t i = 0; i < ARRAY_SIZE(modem); i++)
		if (changed & modem[i].in)
			u->r.ris |= modem[i].irq;
}

static void imsc_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct pl011 *u = dev;
	u64 before = u->r.imsc;

	u->r.imsc = reg_merge(before, val, mask) & INT_BITS;
	if (!(before & INT_RT))
		rx_quiet(&u->r);
}

static u64 mis_read(void *dev, u32 i)
{
	struct pl011 *u = dev;

	return u->r.ris & u->r.imsc;
}

static void icr_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct pl011 *u = dev;

	u->r.ris &= ~val;
}

/* 3.3.15 and on: part 0x011, designer 0x41, r1p5; then the PrimeCell mark. */
static u64 id_read(void *dev, u32 i)
{
	static const u8 id[] = {
		0x11, 0x10, 0x34, 0x00, 0x0d, 0xf0, 0x05, 0xb1
	};

	return id[i];
}

/* Drivers use bytes, halfwords and words, all at the register's own offset. */
#define ANY (REG_8 | REG_16 | REG_32)

static const struct reg regs[] = {
	{ "UARTDR", UARTDR, 1, 4, ANY, dr_read, dr_write },
	{ "UARTRSR", UARTRSR, 1, 4, ANY, rsr_read, ecr_write },
	{ "UARTFR", UARTFR, 1, 4, ANY, fr_read, NULL },
	{ "UARTILPR", UARTILPR, 1, 4, ANY, ilpr_read, ilpr_write },
	{ "UARTIBRD", UARTIBRD, 1, 4, ANY, ibrd_read, ibrd_write },
	{ "UARTFBRD", UARTFBRD, 1, 4, ANY, fbrd_read, fbrd_write },
	{ "UARTLCR_H", UARTLCR_H, 1, 4, ANY, lcr_h_read, lcr_h_write },
	{ "UARTCR", UARTCR, 1, 4, ANY, cr_read, cr_write },
	{ "UARTIFLS", UARTIFLS, 1, 4, ANY, ifls_read, ifls_write },
	{ "UARTIMSC", UARTIMSC, 1, 4, ANY, imsc_read, imsc_write },
	{ "UARTRIS", UARTRIS, 1, 4, ANY, ris_read, NULL },
	{ "UARTMIS", UARTMIS, 1, 4, ANY, mis_read, NULL },
	{ "UARTICR", UARTICR, 1, 4, ANY, NULL, icr_write },
	{ "UARTDMACR", UARTDMACR, 1, 4, ANY, dmacr_read, dmacr_write },
	{ "UARTPeriphID", UARTPERIPHID0, 8, 4, ANY, id_read, NULL },
};

const struct regbank pl011_bank = { "the registers", regs, ARRAY_SIZE(regs),
				    PL011_SIZE };

static u64 bank_read(void *dev, u64 off, u32 size)
{
	struct pl011 *u = dev;
	u64 val;

	lock_take(&u->lock);
	val = regbank_read(&pl011_bank, u, off, size, &u->faults);
	lock_drop(&u->lock);
	return val;
}

static void bank_write(void *dev, u64 off, u32 size, u64 val)
{
	struct pl011 *u = dev;

	lock_take(&u->lock);
	regbank_write(&pl011_bank, u, off, size, val, &u->faults);
	settle(u);
	lock_drop(&u->lock);
}

const struct mmio_ops pl011_mmio = { bank_read, bank_write };

static void port_tx_ready(void *dev)
{
	struct pl011 *u = dev;

	lock_take(&u->lock);
	settle(u);
	lock_drop(&u->lock);
}

static size_t port_receive(void *dev, const u8 *buf, size_t len)
{
	struct pl011 *u = dev;
	size_t n;

	lock_take(&u->lock);
	n = rx_open(&u->r) ? MIN(len, room(&u->r, &u->r.rx)) : 0;
	for (size_t i = 0; i < n; i++)
		fifo_push(&u->r.rx, buf[i]);
	if (n)
		rx_quiet(&u->r);
	u->starved = n < len;
	settle(u);
	lock_drop(&u->lock);
	return n;
}

static void port_break(void *dev)
{
	struct pl011 *u = dev;

	lock_take(&u->lock);
	if (rx_open(&u->r) && u->r.rx.len < FIFO_SLOTS) {
		fifo_push(&u->r.rx, DR_BE);
		u->r.ris |= INT_BE;
		rx_quiet(&u->r);
		settle(u);
	}
	lock_drop(&u->lock);
}

struct chars_port pl011_port(struct pl011 *u)
{
	return (struct chars_port) { .tx_ready = port_tx_ready,
				     .receive = port_receive,
				     .brk = port_break,
				     .dev = u };
}

void pl011_reset(struct pl011 *u)
{
	lock_take(&u->lock);
	u->r = power_on;
	settle(u);
	lock_drop(&u->lock);
}

struct pl011 *pl011_create(const struct irq_line *irq,
			   const struct chars_wire *wire)
{
	struct pl011 *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	u->lock = LOCK_INIT;
	u->irq = *irq;
	u->wire = *wire;
	u->faults.who = "pl011";
	u->r = power_on;
	return u;
}

void pl011_destroy(struct pl011 *u)
{
	free(u);
}
