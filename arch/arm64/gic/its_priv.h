/*
 * What the files of the ITS share.
 *
 * its.c is registers and the queue, its_cmd.c what a command does, its_table.c
 * which ids the guest's tables have, eventmap.c what is mapped.
 *
 * Every function here is called with its->lock held.
 */
#ifndef BELFRY_ITS_PRIV_H
#define BELFRY_ITS_PRIV_H

#include <belfry/its.h>
#include <belfry/lock.h>

#include "eventmap.h"
#include "its_regs.h"

#define ITS_DEVS      65536
#define ITS_COLLS     65536
#define ITS_BITS      16 /* of DeviceIDs and EventIDs */
#define ITS_LPI_FIRST 8192

enum its_table { ITS_DEV_TABLE, ITS_COLL_TABLE, ITS_TABLES };

struct its {
	struct lock lock;
	struct its_setup setup;
	struct guest_faults faults;

	bool enabled;
	u64 cbaser, cwriter, creadr;
	u64 baser[ITS_TABLES]; /* without what is read-only */
	u32 last_error;

	u8 dev_bits[ITS_DEVS];      /* of EventIDs; 0: not mapped */
	u16 coll_target[ITS_COLLS]; /* the CPU + 1; 0: not mapped */
	bool devs_written, colls_written;
	struct eventmap events; /* by device and event */

	bool batch; /* the sink's begin was called */
	u32 spent;  /* work of this turn, in commands */
};

#define ITS_TARGETS_MAX 0xfffe

static inline u32 event_key(u32 dev, u32 event)
{
	return dev << ITS_BITS | event;
}

/* its.c */
void its_lock(struct its *its);
void its_unlock(struct its *its);
void its_enable(struct its *its, bool on);
void its_reset_locked(struct its *its);
u64 its_queue_size(const struct its *its);
bool its_commands_left(const struct its *its);
void its_emit(struct its *its, const struct its_op *op);

/* its_table.c: is there such an id? Of those that are to be mapped, the first
 * level is asked, too. */
bool its_table_covers(const struct its *its, enum its_table t, u32 id);
bool its_table_has(const struct its *its, enum its_table t, u32 id);

/* its_cmd.c */
/* Where the event goes: fills in lpi, coll and cpu. 0, or what is wrong. */
u32 its_find(struct its *its, struct its_op *op);
/* Map, and tell the sink. That a device or a collection is one there is, the
 * caller has checked; of an event: 0, or what is wrong. */
void its_map_dev(struct its *its, u32 dev, u32 bits);
void its_map_coll(struct its *its, u32 coll, u32 cpu);
u32 its_map_event(struct its *its, u32 dev, u32 event, u32 lpi, u32 coll);
void its_cmd_run(struct its *its, const struct its_cmd *c);

#endif
