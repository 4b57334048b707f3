/*
 * ITS: turns a device's message, DeviceID and EventID, into an LPI at a CPU.
 * Arm IHI 0069H, chapter 5, 12.18 and 12.19.
 *
 * One ITS for both uses: `user`, where LPIs go to our own redistributors, and
 * `split`, where what a guest's commands ask for is done over again by a kernel
 * ITS that the guest does not know. Behind a sink they look the same.
 *
 * What is mapped is kept here, never in the guest's memory: as many events as
 * there are LPIs, so a guest runs out of these first. The guest's tables only
 * say which ids there are: by their size, and by the entries of a first level,
 * looked at when something is mapped. A table that is moved is a new one.
 *
 * A command that is wrong is left out, counted and logged with the
 * architecture's error; the queue never stalls, as 5.3 allows, so
 * CREADR.Stalled and CWRITER.Retry are always 0. Mapping an event that is
 * mapped changes nothing. Both are what KVM's ITS does. DeviceIDs, EventIDs and
 * collections have 16 bits, collections are in memory (HCC is 0), and a target
 * is a processor number (PTA is 0). There are no virtual LPIs.
 *
 * Every function may be called on any thread. One lock, above a GIC's.
 */
#ifndef BELFRY_ITS_H
#define BELFRY_ITS_H

#include <belfry/base.h>
#include <belfry/dma.h>
#include <belfry/err.h>
#include <belfry/mmio.h>
#include <belfry/regbank.h>

/* The control frame, and the translation frame with GITS_TRANSLATER in it. */
#define ITS_SIZE       (128 * KIB)
#define ITS_TRANSLATER 0x10040

/* In the place of a CPU: there is none. */
#define ITS_NO_CPU (~0u)

enum its_op_kind {
	ITS_OP_ENABLE,             /* messages are translated from now on */
	ITS_OP_DISABLE,            /* are lost; what is mapped stays */
	ITS_OP_FORGET_DEVICES,     /* no device is mapped, nor an event */
	ITS_OP_FORGET_COLLECTIONS, /* no collection is mapped */
	/* The commands of 5.3, when they are right. */
	ITS_OP_MAPD,    /* dev, bits: of its EventIDs, 1 .. 16; 0: unmapped.
			   Its events are gone, either way. */
	ITS_OP_MAPC,    /* coll, cpu: its target, or ITS_NO_CPU: unmapped */
	ITS_OP_MAPTI,   /* dev, event, lpi, coll; also of a MAPI */
	ITS_OP_MOVI,    /* dev, event, lpi, coll: the new one; cpu, to */
	ITS_OP_MOVALL,  /* cpu, to */
	ITS_OP_DISCARD, /* this and the next three: dev, event, lpi, cpu */
	ITS_OP_CLEAR,
	ITS_OP_INV,
	ITS_OP_INT,    /* and a message */
	ITS_OP_INVALL, /* coll, cpu */
};

/* Something to be done. Fields not named above are 0. @cpu is ITS_NO_CPU if the
 * event's collection is not mapped; never in a MOVI or an INT. */
struct its_op {
	enum its_op_kind kind;
	u32 dev, event, bits;
	u32 lpi; /* INTID */
	u32 coll;
	u32 cpu, to;
};

/*
 * Who does it. Operations come in batches between begin and end, either of
 * which may be NULL; all with the ITS' lock held, on the thread that wrote a
 * register, sent a message or called its_run. They cannot fail: what a host
 * refuses is the sink's to tell the operator.
 */
struct its_sink {
	void (*begin)(void *ctx);
	void (*op)(void *ctx, const struct its_op *op);
	void (*end)(void *ctx);
	void *ctx;
};

struct its_setup {
	u32 cpus;     /* targets: processor numbers below this */
	u32 lpi_bits; /* LPIs' INTIDs have so many bits, 14 .. 16 */
	struct dma dma;
	struct its_sink sink;
	/* Commands are left after one turn's share of work: somebody is to call
	 * its_run soon, after this has returned. With the lock held. */
	void (*more)(void *ctx);
	void *ctx;
};

struct its;

/* *@s is copied. NULL and @e if it asks for what cannot be, or if memory is
 * short. Owned by the caller until its_destroy. */
struct its *its_create(const struct its_setup *s, struct err *e);
void its_destroy(struct its *its);

/* What the guest did wrong since it was made. */
u64 its_faults(const struct its *its);

/* As at power-on; the sink is told to forget. No CPU runs. */
void its_reset(struct its *its);

/* For mmio_bus_add; ITS_SIZE bytes, dev is the struct its. */
extern const struct mmio_ops its_mmio;

/* The table behind it, for regbank_lint() in tests. */
extern const struct regbank its_bank;

/* One turn's share of commands. True if some are left. */
bool its_run(struct its *its);

/* Where a message goes. False if nowhere, or if the ITS is disabled. */
bool its_translate(struct its *its, u32 dev, u32 event, u32 *lpi, u32 *cpu);

/* A message: the sink gets an ITS_OP_INT. False if it goes nowhere. */
bool its_send(struct its *its, u32 dev, u32 event);

/*
 * All there is to know of an ITS, for a snapshot: this and what follows it, in
 * little-endian fields without holes, so its bytes may be kept.
 *
 *	struct its_state
 *	struct its_dev_state	for each device mapped, ascending
 *	struct its_coll_state	for each collection mapped, ascending
 *	struct its_event_state	for each event mapped, ascending
 */
#define ITS_STATE_VERSION 1

struct its_dev_state {
	u32 dev, bits;
};

struct its_coll_state {
	u32 coll, cpu;
};

struct its_event_state {
	u32 dev, event, lpi, coll;
};

struct its_state {
	u32 version, cpus, lpi_bits; /* as it was made */
	u32 enabled;
	u64 cbaser, cwriter, creadr;
	u64 baser[2]; /* of devices, of collections; without what is fixed */
	u32 last_error;
	u32 devs, colls, events; /* how many follow */
};

/* How many bytes, and they. @to has room for so many, aligned for u64. Nothing
 * is changed between the two: no CPU runs, no command is left to its_run. */
size_t its_state_size(struct its *its);
void its_save(struct its *its, void *to);

/*
 * Be as @its was when @len bytes of @from were saved of it, or of one made
 * alike; the sink is told to forget and then of all that is mapped. -EINVAL and
 * @e if no such ITS can be in that state, or -ENOMEM; nothing has changed then,
 * though the sink may have been told of it anew. First levels of tables are not
 * looked at. No CPU runs; if commands are left, setup.more is called.
 */
MUST_CHECK int its_restore(struct its *its, const void *from, size_t len,
			   struct err *e);

/* The error of the last command that was left out, as chapter 5 numbers them
 * (0x010801: MAPD_DEVICE_OOR), or ITS_UNKNOWN_COMMAND; 0: there was none since
 * the reset. */
#define ITS_UNKNOWN_COMMAND 0x010000
u32 its_last_error(struct its *its);

#endif
