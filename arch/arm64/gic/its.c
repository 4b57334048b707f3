/*
 * The ITS' registers, its command queue, and messages.
 *
 * Commands run on the thread that makes CWRITER differ from CREADR, up to one
 * turn's share; its_run takes the rest. So when CREADR says that a command is
 * done, it is.
 *
 * IHI 0069H, 5.2, 12.18 and 12.19.
 */
#include "its_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Commands in one turn, so that no CPU is away for long: some 100 us. */
#define TURN 256

void its_lock(struct its *its)
{
	lock_take(&its->lock);
}

void its_unlock(struct its *its)
{
	const struct its_sink *s = &its->setup.sink;

	if (its->batch && s->end)
		s->end(s->ctx);
	its->batch = false;
	lock_drop(&its->lock);
}

void its_emit(struct its *its, const struct its_op *op)
{
	const struct its_sink *s = &its->setup.sink;

	if (!its->batch && s->begin)
		s->begin(s->ctx);
	its->batch = true;
	s->op(s->ctx, op);
}

static void emit_kind(struct its *its, enum its_op_kind kind)
{
	struct its_op op = { .kind = kind };

	its_emit(its, &op);
}

void its_enable(struct its *its, bool on)
{
	if (on == its->enabled)
		return;
	its->enabled = on;
	emit_kind(its, on ? ITS_OP_ENABLE : ITS_OP_DISABLE);
}

u64 its_queue_size(const struct its *its)
{
	return (FIELD_GET(GITS_CBASER_SIZE, its->cbaser) + 1) * 4 * KIB;
}

bool its_commands_left(const struct its *its)
{
	return its->enabled && (its->cbaser & GITS_CBASER_VALID) &&
	       its->creadr != its->cwriter;
}

/* The guest may rewrite its own: ours is a copy. */
static void step(struct its *its)
{
	u64 at = (its->cbaser & GITS_CBASER_PA) + its->creadr;
	struct its_cmd c;

	its->creadr = (its->creadr + sizeof(c)) % its_queue_size(its);
	its->spent++;
	if (dma_read(&its->setup.dma, at, &c, sizeof(c))) {
		guest_fault(&its->faults, "no memory for commands at %#" PRIx64,
			    at);
		return;
	}
	for (u32 i = 0; i < ARRAY_SIZE(c.word); i++)
		c.word[i] = le64toh(c.word[i]);
	its_cmd_run(its, &c);
}

static bool turn(struct its *its)
{
	for (its->spent = 0; its_commands_left(its) && its->spent < TURN;)
		step(its);
	return its_commands_left(its);
}

static void run_or_ask(struct its *its)
{
	if (turn(its))
		its->setup.more(its->setup.ctx);
}

bool its_run(struct its *its)
{
	bool left;

	its_lock(its);
	left = turn(its);
	its_unlock(its);
	return left;
}

/* Nothing is ever under way when a register is read. */
static u64 ctlr_read(void *dev, u32 i)
{
	const struct its *its = dev;

	return its->enabled ? GITS_CTLR_ENABLED : GITS_CTLR_QUIESCENT;
}

static void ctlr_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct its *its = dev;

	its_enable(its, val & GITS_CTLR_ENABLED);
	run_or_ask(its);
}

static u64 iidr_read(void *dev, u32 i)
{
	return ITS_IIDR;
}

static u64 pidr2_read(void *dev, u32 i)
{
	return ITS_PIDR2;
}

static u64 typer_read(void *dev, u32 i)
{
	return GITS_TYPER_PHYSICAL |
	       FIELD_PREP(GITS_TYPER_ITT_ENTRY, ITS_ENTRY_SIZE - 1) |
	       FIELD_PREP(GITS_TYPER_IDBITS, ITS_BITS - 1) |
	       FIELD_PREP(GITS_TYPER_DEVBITS, ITS_BITS - 1);
}

static u64 cbaser_read(void *dev, u32 i)
{
	return ((const struct its *)dev)->cbaser;
}

/* A new queue is empty. */
static void cbaser_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct its *its = dev;

	if (its->enabled)
		return;
	its->cbaser = reg_merge(its->cbaser, val, mask) & GITS_CBASER_BITS;
	its->creadr = its->cwriter = 0;
}

static u64 cwriter_read(void *dev, u32 i)
{
	return ((const struct its *)dev)->cwriter;
}

static void cwriter_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct its *its = dev;
	u64 to = reg_merge(its->cwriter, val, mask) & GITS_CMD_OFFSET;

	if (to >= its_queue_size(its)) {
		guest_fault(&its->faults,
			    "GITS_CWRITER beyond the queue: %#" PRIx64, to);
		return;
	}
	its->cwriter = to;
	run_or_ask(its);
}

static u64 creadr_read(void *dev, u32 i)
{
	return ((const struct its *)dev)->creadr;
}

static u64 baser_read(void *dev, u32 i)
{
	static const u8 type[ITS_TABLES] = { GITS_TYPE_DEVICES,
					     GITS_TYPE_COLLECTIONS };
	const struct its *its = dev;

	if (i >= ITS_TABLES)
		return 0;
	return its->baser[i] | FIELD_PREP(GITS_BASER_TYPE, type[i]) |
	       FIELD_PREP(GITS_BASER_ENTRY, ITS_ENTRY_SIZE - 1);
}

/* Memory that was never written to costs nothing, and is to stay so. */
static void forget_devices(struct its *its)
{
	if (its->devs_written)
		memset(its->dev_bits, 0, sizeof(its->dev_bits));
	its->devs_written = false;
	eventmap_clear(&its->events);
	emit_kind(its, ITS_OP_FORGET_DEVICES);
}

static void forget_collections(struct its *its)
{
	if (its->colls_written)
		memset(its->coll_target, 0, sizeof(its->coll_target));
	its->colls_written = false;
	emit_kind(its, ITS_OP_FORGET_COLLECTIONS);
}

/* A table that a guest only puts back where it was, after a sleep, still holds
 * what it held. The reserved size of pages is the largest. */
static void baser_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct its *its = dev;
	u64 old, new;

	if (its->enabled || i >= ITS_TABLES)
		return;
	old = its->baser[i];
	new = reg_merge(old, val, mask) & GITS_BASER_BITS;
	if (FIELD_GET(GITS_BASER_PAGE, new) > GITS_BASER_PAGE_64K)
		new ^= FIELD_PREP(GITS_BASER_PAGE, 1);
	its->baser[i] = new;
	if (!(old & GITS_BASER_VALID) || !((old ^ new) & GITS_BASER_PLACE))
		return;
	if (i == ITS_DEV_TABLE)
		forget_devices(its);
	else
		forget_collections(its);
}

#define WIDE (REG_32 | REG_64)

static const struct reg regs[] = {
	{ "GITS_CTLR", GITS_CTLR, 1, 4, REG_32, ctlr_read, ctlr_write },
	{ "GITS_IIDR", GITS_IIDR, 1, 4, REG_32, iidr_read, NULL },
	{ "GITS_TYPER", GITS_TYPER, 1, 8, WIDE, typer_read, NULL },
	{ "GITS_CBASER", GITS_CBASER, 1, 8, WIDE, cbaser_read, cbaser_write },
	{ "GITS_CWRITER", GITS_CWRITER, 1, 8, WIDE, cwriter_read,
	  cwriter_write },
	{ "GITS_CREADR", GITS_CREADR, 1, 8, WIDE, creadr_read, NULL },
	{ "GITS_BASER", GITS_BASER, 8, 8, WIDE, baser_read, baser_write },
	{ "GITS_PIDR2", GITS_PIDR2, 1, 4, REG_32, pidr2_read, NULL },
};

const struct regbank its_bank = { "the registers", regs, ARRAY_SIZE(regs),
				  GITS_CONTROL_SIZE };

/* Nothing in the translation frame can be read. */
static u64 its_read(void *dev, u64 off, u32 size)
{
	struct its *its = dev;
	u64 val;

	if (off >= GITS_CONTROL_SIZE)
		return 0;
	its_lock(its);
	val = regbank_read(&its_bank, its, off, size, &its->faults);
	its_unlock(its);
	return val;
}

/* A CPU that writes to GITS_TRANSLATER has no DeviceID. */
static void its_write(void *dev, u64 off, u32 size, u64 val)
{
	struct its *its = dev;

	its_lock(its);
	regbank_write(&its_bank, its, off, size, val, &its->faults);
	its_unlock(its);
}

const struct mmio_ops its_mmio = { its_read, its_write };

static bool translate(struct its *its, struct its_op *op)
{
	return its->enabled && !its_find(its, op) && op->cpu != ITS_NO_CPU;
}

bool its_translate(struct its *its, u32 dev, u32 event, u32 *lpi, u32 *cpu)
{
	struct its_op op = { .kind = ITS_OP_INT, .dev = dev, .event = event };
	bool there;

	its_lock(its);
	there = translate(its, &op);
	its_unlock(its);
	*lpi = op.lpi;
	*cpu = op.cpu;
	return there;
}

bool its_send(struct its *its, u32 dev, u32 event)
{
	struct its_op op = { .kind = ITS_OP_INT, .dev = dev, .event = event };
	bool there;

	its_lock(its);
	there = translate(its, &op);
	if (there)
		its_emit(its, &op);
	its_unlock(its);
	if (!there)
		guest_fault(&its->faults,
			    "a message of device %#x, event %#x, is lost", dev,
			    event);
	return there;
}

u32 its_last_error(struct its *its)
{
	u32 error;

	its_lock(its);
	error = its->last_error;
	its_unlock(its);
	return error;
}

void its_reset_locked(struct its *its)
{
	its_enable(its, false);
	its->cbaser = its->cwriter = its->creadr = 0;
	memset(its->baser, 0, sizeof(its->baser));
	its->last_error = 0;
	forget_devices(its);
	forget_collections(its);
}

void its_reset(struct its *its)
{
	its_lock(its);
	its_reset_locked(its);
	its_unlock(its);
}

static bool setup_ok(const struct its_setup *s, struct err *e)
{
	if (!s->cpus || s->cpus > ITS_TARGETS_MAX)
		err_set(e, -EINVAL, "ITS: %u CPUs: it takes 1 to %u", s->cpus,
			ITS_TARGETS_MAX);
	else if (s->lpi_bits < 14 || s->lpi_bits > 16)
		err_set(e, -EINVAL, "ITS: LPIs of %u bits: they have 14 to 16",
			s->lpi_bits);
	else
		return true;
	return false;
}

struct its *its_create(const struct its_setup *s, struct err *e)
{
	struct its *its;

	if (!setup_ok(s, e))
		return NULL;
	its = calloc(1, sizeof(*its));
	if (!its || eventmap_init(&its->events,
				  (u32)BIT(s->lpi_bits) - ITS_LPI_FIRST)) {
		err_set(e, -ENOMEM, "ITS: out of memory");
		free(its);
		return NULL;
	}
	its->lock = LOCK_INIT;
	its->setup = *s;
	its->faults.who = "its";
	return its;
}

void its_destroy(struct its *its)
{
	if (!its)
		return;
	eventmap_fini(&its->events);
	free(its);
}

u64 its_faults(const struct its *its)
{
	return its->faults.count;
}
