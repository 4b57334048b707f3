/*
 * PL031 real-time clock.
 *
 * The time is the host's plus an offset, both in whole seconds and 32 bits
 * wide, so it wraps in 2106 as the hardware does. A match is a moment, not a
 * state: setting MR to a second that has passed arms the alarm for the next
 * time round, 136 years on.
 *
 * One lock; accesses come on vCPU threads, pl031_alarm() on the owner's.
 *
 * Arm DDI 0224C.
 */
#include <belfry/pl031.h>

#include <stdlib.h>

#include "pl031_regs.h"

#define NS_PER_S 1000000000ull

struct pl031 {
	struct lock lock;
	struct irq_line irq;
	struct pl031_world world;
	struct guest_faults faults;
	u32 offset;   /* guest's seconds minus the host's */
	u64 deadline; /* host time of the match, 0: none */
	u32 mr, lr;
	bool mask, raw;
	bool level; /* of the line */
};

static u64 host_seconds(struct pl031 *d)
{
	return d->world.now(d->world.ctx) / NS_PER_S;
}

static void update_line(struct pl031 *d)
{
	bool level = d->raw && d->mask;

	if (level == d->level)
		return;
	d->level = level;
	irq_line_set(&d->irq, level);
}

static void set_deadline(struct pl031 *d, u64 when)
{
	if (when == d->deadline)
		return;
	d->deadline = when;
	d->world.wake_at(d->world.ctx, when);
}

static void ring(struct pl031 *d)
{
	d->raw = true;
	update_line(d);
}

/* MR or the offset changed: when does the time equal MR next? */
static void rearm(struct pl031 *d)
{
	u64 host = host_seconds(d);
	u32 left = d->mr - (u32)(host + d->offset);

	set_deadline(d, left ? (host + left) * NS_PER_S : 0);
	if (!left)
		ring(d);
}

static u64 dr_read(void *dev, u32 i)
{
	struct pl031 *d = dev;

	return (u32)(host_seconds(d) + d->offset);
}

static u64 mr_read(void *dev, u32 i)
{
	struct pl031 *d = dev;

	return d->mr;
}

static void mr_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct pl031 *d = dev;

	d->mr = (u32)val;
	rearm(d);
}

static u64 lr_read(void *dev, u32 i)
{
	struct pl031 *d = dev;

	return d->lr;
}

/* The offset is of whole seconds: 2.2.4 adds it to the running counter. */
static void lr_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct pl031 *d = dev;

	d->lr = (u32)val;
	d->offset = (u32)(val - host_seconds(d));
	rearm(d);
}

/*
 * Writes are ignored: 3.3.4 has a write to a running clock set it to zero, and
 * Linux writes the enable bit at every probe.
 */
static u64 cr_read(void *dev, u32 i)
{
	return RTCCR_START;
}

static u64 imsc_read(void *dev, u32 i)
{
	struct pl031 *d = dev;

	return d->mask ? RTCINTR : 0;
}

static void imsc_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct pl031 *d = dev;

	d->mask = val & RTCINTR;
	update_line(d);
}

static u64 ris_read(void *dev, u32 i)
{
	struct pl031 *d = dev;

	return d->raw ? RTCINTR : 0;
}

static u64 mis_read(void *dev, u32 i)
{
	struct pl031 *d = dev;

	return d->raw && d->mask ? RTCINTR : 0;
}

static void icr_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct pl031 *d = dev;

	if (val & RTCINTR)
		d->raw = false;
	update_line(d);
}

/* 3.4 and 3.5: part 0x031, designer 0x41, r1p3; then the PrimeCell mark. */
static u64 id_read(void *dev, u32 i)
{
	static const u8 id[] = {
		0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1
	};

	return id[i];
}

static const struct reg regs[] = {
	{ "RTCDR", RTCDR, 1, 4, REG_32, dr_read, NULL },
	{ "RTCMR", RTCMR, 1, 4, REG_32, mr_read, mr_write },
	{ "RTCLR", RTCLR, 1, 4, REG_32, lr_read, lr_write },
	{ "RTCCR", RTCCR, 1, 4, REG_32, cr_read, NULL },
	{ "RTCIMSC", RTCIMSC, 1, 4, REG_32, imsc_read, imsc_write },
	{ "RTCRIS", RTCRIS, 1, 4, REG_32, ris_read, NULL },
	{ "RTCMIS", RTCMIS, 1, 4, REG_32, mis_read, NULL },
	{ "RTCICR", RTCICR, 1, 4, REG_32, NULL, icr_write },
	{ "RTCPeriphID", RTCPERIPHID0, 8, 4, REG_32, id_read, NULL },
};

const struct regbank pl031_bank = { "the registers", regs, ARRAY_SIZE(regs),
				    PL031_SIZE };

static u64 bank_read(void *dev, u64 off, u32 size)
{
	struct pl031 *d = dev;
	u64 val;

	lock_take(&d->lock);
	val = regbank_read(&pl031_bank, d, off, size, &d->faults);
	lock_drop(&d->lock);
	return val;
}

static void bank_write(void *dev, u64 off, u32 size, u64 val)
{
	struct pl031 *d = dev;

	lock_take(&d->lock);
	regbank_write(&pl031_bank, d, off, size, val, &d->faults);
	lock_drop(&d->lock);
}

const struct mmio_ops pl031_mmio = { bank_read, bank_write };

void pl031_alarm(struct pl031 *d)
{
	lock_take(&d->lock);
	if (d->deadline && d->world.now(d->world.ctx) >= d->deadline) {
		d->deadline = 0;
		ring(d);
	} else if (d->deadline) {
		d->world.wake_at(d->world.ctx, d->deadline);
	}
	lock_drop(&d->lock);
}

void pl031_reset(struct pl031 *d)
{
	lock_take(&d->lock);
	d->mr = 0;
	d->lr = 0;
	d->mask = false;
	d->raw = false;
	set_deadline(d, 0);
	update_line(d);
	lock_drop(&d->lock);
}

struct pl031 *pl031_create(const struct irq_line *irq,
			   const struct pl031_world *world)
{
	struct pl031 *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->lock = LOCK_INIT;
	d->irq = *irq;
	d->world = *world;
	d->faults.who = "pl031";
	return d;
}

void pl031_destroy(struct pl031 *d)
{
	free(d);
}
