/*
 * What a command does.
 *
 * Each is checked in full before anything changes: the device, its event, the
 * rest. What is right changes the maps and goes to the sink.
 *
 * IHI 0069H, 5.3.
 */
#include "its_priv.h"

#include <inttypes.h>

/* The last byte of an error; the one before it tells commands apart. */
enum {
	DEVICE_OOR = 1,
	SIZE_OOR = 2, /* MAPD's ITT; of MAPC it is the processor */
	COLLECTION_OOR = 3,
	UNMAPPED_DEVICE = 4,
	ID_OOR = 5,
	PHYSICALID_OOR = 6,
	UNMAPPED_INTERRUPT = 7,
	UNMAPPED_COLLECTION = 9,
	MOVALL_PROCNUM_OOR = 1,
};

/* The work of commands that look at all LPIs, in ordinary ones. */
#define ALL_LPIS_COST 64

static u32 cmd_dev(const struct its_cmd *c)
{
	return (u32)FIELD_GET(CMD_0_DEV, c->word[0]);
}

static u32 cmd_event(const struct its_cmd *c)
{
	return (u32)FIELD_GET(CMD_1_EVENT, c->word[1]);
}

static u32 cmd_coll(const struct its_cmd *c)
{
	return (u32)FIELD_GET(CMD_2_COLL, c->word[2]);
}

/* Of one event. */
static struct its_op op_of(const struct its_cmd *c, enum its_op_kind kind)
{
	return (struct its_op) { .kind = kind,
				 .dev = cmd_dev(c),
				 .event = cmd_event(c) };
}

static u32 coll_cpu(const struct its *its, u32 coll)
{
	u16 target = its->coll_target[coll];

	return target ? target - 1u : ITS_NO_CPU;
}

/* A device that is mapped, and one of its events. */
static u32 check_event(const struct its *its, u32 dev, u32 event)
{
	if (!its_table_covers(its, ITS_DEV_TABLE, dev))
		return DEVICE_OOR;
	if (!its->dev_bits[dev])
		return UNMAPPED_DEVICE;
	return (u64)event >> its->dev_bits[dev] ? ID_OOR : 0;
}

u32 its_find(struct its *its, struct its_op *op)
{
	u32 bad = check_event(its, op->dev, op->event);
	const struct mapping *m;

	if (bad)
		return bad;
	m = eventmap_find(&its->events, event_key(op->dev, op->event));
	if (!m)
		return UNMAPPED_INTERRUPT;
	op->lpi = m->lpi;
	op->coll = m->coll;
	op->cpu = coll_cpu(its, m->coll);
	return 0;
}

static void forget_events(struct its *its, u32 dev)
{
	u32 first = event_key(dev, 0);
	const struct mapping *m;

	while ((m = eventmap_next(&its->events, first)) &&
	       m->key >> ITS_BITS == dev) {
		eventmap_remove(&its->events, m->key);
		its->spent++;
	}
}

void its_map_dev(struct its *its, u32 dev, u32 bits)
{
	struct its_op op = { .kind = ITS_OP_MAPD, .dev = dev, .bits = bits };

	forget_events(its, dev);
	its->dev_bits[dev] = (u8)bits;
	its->devs_written = true;
	its_emit(its, &op);
}

static u32 mapd(struct its *its, const struct its_cmd *c)
{
	bool valid = c->word[2] & CMD_2_VALID;
	u32 bits = (u32)FIELD_GET(CMD_1_SIZE, c->word[1]) + 1;

	if (!its_table_has(its, ITS_DEV_TABLE, cmd_dev(c)))
		return DEVICE_OOR;
	if (valid && bits > ITS_BITS)
		return SIZE_OOR;
	its_map_dev(its, cmd_dev(c), valid ? bits : 0);
	return 0;
}

void its_map_coll(struct its *its, u32 coll, u32 cpu)
{
	struct its_op op = { .kind = ITS_OP_MAPC, .coll = coll, .cpu = cpu };

	its->coll_target[coll] = cpu == ITS_NO_CPU ? 0 : (u16)(cpu + 1);
	its->colls_written = true;
	its_emit(its, &op);
}

static u32 mapc(struct its *its, const struct its_cmd *c)
{
	u64 target = FIELD_GET(CMD_2_TARGET, c->word[2]);
	bool valid = c->word[2] & CMD_2_VALID;

	if (valid && target >= its->setup.cpus)
		return SIZE_OOR;
	if (!its_table_has(its, ITS_COLL_TABLE, cmd_coll(c)))
		return COLLECTION_OOR;
	its_map_coll(its, cmd_coll(c), valid ? (u32)target : ITS_NO_CPU);
	return 0;
}

/* There is room for every LPI once; who maps some twice may run out of it. */
u32 its_map_event(struct its *its, u32 dev, u32 event, u32 lpi, u32 coll)
{
	struct its_op op = { .kind = ITS_OP_MAPTI,
			     .dev = dev,
			     .event = event,
			     .lpi = lpi,
			     .coll = coll,
			     .cpu = coll_cpu(its, coll) };
	u32 bad = check_event(its, dev, event), key = event_key(dev, event);
	struct mapping *m;

	if (bad)
		return bad;
	if (lpi < ITS_LPI_FIRST || lpi >> its->setup.lpi_bits)
		return PHYSICALID_OOR;
	if (eventmap_find(&its->events, key))
		return 0;
	m = eventmap_add(&its->events, key);
	if (!m)
		return ID_OOR;
	m->lpi = lpi;
	m->coll = coll;
	its_emit(its, &op);
	return 0;
}

static u32 map_event(struct its *its, const struct its_cmd *c, u32 lpi)
{
	u32 bad = check_event(its, cmd_dev(c), cmd_event(c));

	if (bad)
		return bad;
	if (!its_table_covers(its, ITS_COLL_TABLE, cmd_coll(c)))
		return COLLECTION_OOR;
	return its_map_event(its, cmd_dev(c), cmd_event(c), lpi, cmd_coll(c));
}

static u32 mapti(struct its *its, const struct its_cmd *c)
{
	return map_event(its, c, (u32)FIELD_GET(CMD_1_LPI, c->word[1]));
}

static u32 mapi(struct its *its, const struct its_cmd *c)
{
	return map_event(its, c, cmd_event(c));
}

static u32 movi(struct its *its, const struct its_cmd *c)
{
	struct its_op op = op_of(c, ITS_OP_MOVI);
	u32 bad = its_find(its, &op);

	op.coll = cmd_coll(c);
	if (bad)
		return bad;
	if (!its_table_covers(its, ITS_COLL_TABLE, op.coll))
		return COLLECTION_OOR;
	op.to = coll_cpu(its, op.coll);
	if (op.cpu == ITS_NO_CPU || op.to == ITS_NO_CPU)
		return UNMAPPED_COLLECTION;
	eventmap_find(&its->events, event_key(op.dev, op.event))->coll =
		op.coll;
	its_emit(its, &op);
	return 0;
}

static u32 movall(struct its *its, const struct its_cmd *c)
{
	u64 from = FIELD_GET(CMD_2_TARGET, c->word[2]);
	u64 to = FIELD_GET(CMD_3_TARGET, c->word[3]);
	struct its_op op = { .kind = ITS_OP_MOVALL,
			     .cpu = (u32)from,
			     .to = (u32)to };

	if (from >= its->setup.cpus || to >= its->setup.cpus)
		return MOVALL_PROCNUM_OOR;
	its->spent += ALL_LPIS_COST;
	its_emit(its, &op);
	return 0;
}

/* Of one event, whatever it is mapped to. */
static u32 event_op(struct its *its, const struct its_cmd *c,
		    enum its_op_kind kind)
{
	struct its_op op = op_of(c, kind);
	u32 bad = its_find(its, &op);

	if (bad)
		return bad;
	its_emit(its, &op);
	return 0;
}

static u32 discard(struct its *its, const struct its_cmd *c)
{
	u32 bad = event_op(its, c, ITS_OP_DISCARD);

	if (!bad)
		eventmap_remove(&its->events,
				event_key(cmd_dev(c), cmd_event(c)));
	return bad;
}

static u32 clear(struct its *its, const struct its_cmd *c)
{
	return event_op(its, c, ITS_OP_CLEAR);
}

static u32 inv(struct its *its, const struct its_cmd *c)
{
	return event_op(its, c, ITS_OP_INV);
}

static u32 interrupt(struct its *its, const struct its_cmd *c)
{
	struct its_op op = op_of(c, ITS_OP_INT);
	u32 bad = its_find(its, &op);

	if (!bad && op.cpu == ITS_NO_CPU)
		bad = UNMAPPED_INTERRUPT;
	if (bad)
		return bad;
	its_emit(its, &op);
	return 0;
}

static u32 invall(struct its *its, const struct its_cmd *c)
{
	struct its_op op = { .kind = ITS_OP_INVALL, .coll = cmd_coll(c) };

	if (!its_table_covers(its, ITS_COLL_TABLE, op.coll))
		return COLLECTION_OOR;
	op.cpu = coll_cpu(its, op.coll);
	if (op.cpu == ITS_NO_CPU)
		return UNMAPPED_COLLECTION;
	its->spent += ALL_LPIS_COST;
	its_emit(its, &op);
	return 0;
}

/* A command is done before the next one begins. */
static u32 sync(struct its *its, const struct its_cmd *c)
{
	return 0;
}

static const struct command {
	u8 opcode;
	u8 number; /* in its errors: the opcode, most of the time */
	const char *name;
	u32 (*run)(struct its *its, const struct its_cmd *c);
} commands[] = {
	{ CMD_MOVI, 0x01, "MOVI", movi },
	{ CMD_INT, 0x03, "INT", interrupt },
	{ CMD_CLEAR, 0x05, "CLEAR", clear },
	{ CMD_SYNC, 0x05, "SYNC", sync },
	{ CMD_MAPD, 0x08, "MAPD", mapd },
	{ CMD_MAPC, 0x09, "MAPC", mapc },
	{ CMD_MAPTI, 0x0a, "MAPTI", mapti },
	{ CMD_MAPI, 0x0b, "MAPI", mapi },
	{ CMD_INV, 0x0c, "INV", inv },
	{ CMD_INVALL, 0x0d, "INVALL", invall },
	{ CMD_MOVALL, 0x0e, "MOVALL", movall },
	{ CMD_DISCARD, 0x0f, "DISCARD", discard },
};

static const struct command *find_command(u64 opcode)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (commands[i].opcode == opcode)
			return &commands[i];
	return NULL;
}

void its_cmd_run(struct its *its, const struct its_cmd *c)
{
	u64 opcode = FIELD_GET(CMD_0_OPCODE, c->word[0]);
	const struct command *cmd = find_command(opcode);
	u32 bad;

	if (!cmd) {
		its->last_error = ITS_UNKNOWN_COMMAND;
		guest_fault(&its->faults, "no command %#" PRIx64, opcode);
		return;
	}
	bad = cmd->run(its, c);
	if (!bad)
		return;
	its->last_error = 0x010000u | (u32)cmd->number << 8 | bad;
	guest_fault(&its->faults,
		    "%s of device %#x, event %#x, collection %#x: error %#x",
		    cmd->name, cmd_dev(c), cmd_event(c), cmd_coll(c),
		    its->last_error);
}
