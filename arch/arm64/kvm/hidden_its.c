/*
 * The kernel's ITS behind one of our own: what a guest's commands ask for,
 * checked and kept by ours, is done over again here, so that messages become
 * interrupts in the kernel, by irqfd and, where the host has GICv4, without it.
 *
 * The guest is not told of this ITS. It lies in memory that the guest's CPUs
 * have, but that it is not told of for its use, either, and that its devices
 * cannot reach: what the guest does there reaches only that memory, never the
 * ITS. Its tables lie there for their addresses' sake; the kernel keeps what is
 * mapped in its own memory, looks only whether an entry's page is there and,
 * lately, clears one it drops. The queue is filled, and read by the kernel,
 * while no vCPU runs, which the kernel wants for any access to an ITS'
 * registers.
 *
 * IHI 0069H, 5.3 (commands) and 12.19; Documentation/virt/kvm/devices/
 * arm-vgic-its.rst.
 */
#include "vm.h"

#include <belfry/log.h>

#include <errno.h>
#include <string.h>

/* Where the parts are, from the ITS' base on. */
#define FRAMES         ITS_SIZE
#define TABLE_SIZE     (512 * KIB) /* 65536 entries of 8 bytes, of any kind */
#define QUEUE_SIZE     (64 * KIB)
#define DEVICES_AT     FRAMES
#define COLLECTIONS_AT (DEVICES_AT + TABLE_SIZE)
#define QUEUE_AT       (COLLECTIONS_AT + TABLE_SIZE)
static_assert(QUEUE_AT + QUEUE_SIZE <= KVM_HIDDEN_ITS_SIZE, "it all fits");

#define GITS_CTLR       0x0000
#define GITS_CBASER     0x0080
#define GITS_CWRITER    0x0088
#define GITS_BASER_DEV  0x0100
#define GITS_BASER_COLL 0x0108

#define VALID           BIT(63)
#define BASER_64K       FIELD_PREP(GENMASK(9, 8), 2)
#define BASER_PAGES     (TABLE_SIZE / (64 * KIB) - 1)
#define CBASER_PAGES    (QUEUE_SIZE / (4 * KIB) - 1)

#define COMMAND_SIZE    32
#define COMMANDS        (QUEUE_SIZE / COMMAND_SIZE)

static int reg_write(struct kvm *k, u64 reg, u64 val)
{
	return kvm_attr_set(k->its_fd, KVM_DEV_ARM_VGIC_GRP_ITS_REGS, reg,
			    &val);
}

/* --- commands --- */

struct command {
	u64 word[COMMAND_SIZE / sizeof(u64)];
};

static struct command command(u32 opcode, const struct its_op *op)
{
	return (struct command) { { opcode | (u64)op->dev << 32, op->event } };
}

/* Of a target: its processor number. */
static u64 target(u32 cpu)
{
	return (u64)cpu << 16;
}

/* What the kernel's ITS is to do for @op; false if it is no command. */
static bool encode(const struct kvm *k, const struct its_op *op,
		   struct command *c)
{
	switch (op->kind) {
	case ITS_OP_MAPD:
		*c = command(0x08, op);
		if (op->bits) {
			c->word[1] = op->bits - 1;
			/* Entries are never read, so all events of all devices
			 * may share theirs with the devices. */
			c->word[2] = VALID | (k->setup.its + DEVICES_AT);
		}
		return true;
	case ITS_OP_MAPC:
		*c = command(0x09, op);
		c->word[2] = op->coll;
		if (op->cpu != ITS_NO_CPU)
			c->word[2] |= VALID | target(op->cpu);
		return true;
	case ITS_OP_MAPTI:
		*c = command(0x0a, op);
		c->word[1] |= (u64)op->lpi << 32;
		c->word[2] = op->coll;
		return true;
	case ITS_OP_MOVI:
		*c = command(0x01, op);
		c->word[2] = op->coll;
		return true;
	case ITS_OP_MOVALL:
		*c = command(0x0e, op);
		c->word[2] = target(op->cpu);
		c->word[3] = target(op->to);
		return true;
	case ITS_OP_DISCARD:
		*c = command(0x0f, op);
		return true;
	case ITS_OP_CLEAR:
		*c = command(0x04, op);
		return true;
	case ITS_OP_INV:
		*c = command(0x0c, op);
		return true;
	case ITS_OP_INT:
		*c = command(0x03, op);
		return true;
	case ITS_OP_INVALL:
		*c = command(0x0d, op);
		c->word[2] = op->coll;
		return true;
	case ITS_OP_ENABLE:
	case ITS_OP_DISABLE:
	case ITS_OP_FORGET_DEVICES:
	case ITS_OP_FORGET_COLLECTIONS:
		break;
	}
	return false;
}

/* --- registers; no vCPU runs --- */

static u64 baser(const struct kvm *k, u32 at)
{
	return VALID | BASER_64K | BASER_PAGES | (k->setup.its + at);
}

/* Taking a table away is what makes the kernel forget what was mapped by it. */
static int forget(struct kvm *k, u64 reg, u32 at)
{
	int err = reg_write(k, GITS_CTLR, 0);

	if (!err)
		err = reg_write(k, reg, 0);
	if (!err)
		err = reg_write(k, reg, baser(k, at));
	if (!err && k->hidden.enabled)
		err = reg_write(k, GITS_CTLR, 1);
	return err;
}

static int enable(struct kvm *k, bool on)
{
	k->hidden.enabled = on;
	return reg_write(k, GITS_CTLR, on);
}

int hidden_its_reset(struct kvm *k)
{
	int err;

	k->hidden.enabled = false;
	k->hidden.at = k->hidden.done = 0;
	err = reg_write(k, GITS_CTLR, 0);
	if (!err)
		err = reg_write(k, GITS_BASER_DEV, baser(k, DEVICES_AT));
	if (!err)
		err = reg_write(k, GITS_BASER_COLL, baser(k, COLLECTIONS_AT));
	return err ? err
		   : reg_write(k, GITS_CBASER,
			       VALID | CBASER_PAGES |
				       (k->setup.its + QUEUE_AT));
}

/* --- the sink --- */

/* Once it is broken the guest's interrupts are, too: the operator must know,
 * and need not be told again. */
static void failed(struct kvm *k, int err)
{
	if (!k->hidden.broken)
		log_error(
			"ITS: the kernel refuses its part of it: %s; the guest may lose interrupts",
			strerror(-err));
	k->hidden.broken = true;
}

static void note(struct kvm *k, int err)
{
	if (err)
		failed(k, err);
}

/* vCPUs are stopped once for a batch, when its first operation comes. */
static void stop(struct kvm *k)
{
	if (!k->hidden.stopped)
		k->setup.stop(k->setup.stop_ctx, true);
	k->hidden.stopped = true;
}

/* Let the kernel do what is in the queue. */
static void flush(struct kvm *k)
{
	if (k->hidden.at == k->hidden.done)
		return;
	k->hidden.done = k->hidden.at;
	note(k, reg_write(k, GITS_CWRITER, k->hidden.at * COMMAND_SIZE));
}

/* The kernel never reads what was done: the queue is full one before that. */
static void append(struct kvm *k, const struct command *c)
{
	u8 *queue = (u8 *)k->hidden.host + QUEUE_AT;
	u32 next = (k->hidden.at + 1) % COMMANDS;

	if (next == k->hidden.done)
		flush(k);
	for (size_t i = 0; i < ARRAY_SIZE(c->word); i++) {
		u64 le = htole64(c->word[i]);

		memcpy(queue + k->hidden.at * COMMAND_SIZE + i * sizeof(le),
		       &le, sizeof(le));
	}
	k->hidden.at = next;
	k->hidden.commands++;
}

static void sink_op(void *ctx, const struct its_op *op)
{
	struct kvm *k = ctx;
	struct command c;

	stop(k);
	if (encode(k, op, &c)) {
		append(k, &c);
		return;
	}
	flush(k);
	if (op->kind == ITS_OP_FORGET_DEVICES)
		note(k, forget(k, GITS_BASER_DEV, DEVICES_AT));
	else if (op->kind == ITS_OP_FORGET_COLLECTIONS)
		note(k, forget(k, GITS_BASER_COLL, COLLECTIONS_AT));
	else
		note(k, enable(k, op->kind == ITS_OP_ENABLE));
}

static void sink_end(void *ctx)
{
	struct kvm *k = ctx;

	if (!k->hidden.stopped)
		return;
	flush(k);
	k->hidden.stopped = false;
	k->hidden.batches++;
	k->setup.stop(k->setup.stop_ctx, false);
}

struct its_sink kvm_its_sink(struct kvm *k, void *host)
{
	k->hidden.host = host;
	return (struct its_sink) { .op = sink_op, .end = sink_end, .ctx = k };
}

void kvm_its_counts(const struct kvm *k, u64 *commands, u64 *batches)
{
	*commands = k->hidden.commands;
	*batches = k->hidden.batches;
}
