/*
 * SMMUv3: which memory a device reaches, as the guest's tables say.
 * Arm IHI 0070G.
 *
 * Registers, command queue, event queue and stream table of one SMMU that
 * translates stage 1 only. The work is done elsewhere: for passed-through
 * devices by a backend, which hands what an STE says to the SMMU of the host
 * and lets that walk the guest's own tables; for emulated devices here, by a
 * walk in software of the same tables. A guest cannot tell them apart but in
 * one way: CMD_SYNC does not wait for what an emulated device has under way, a
 * disk's reads say. A driver that takes memory back before its device returned
 * it, or was reset, may find it written later.
 *
 * What is offered (smmu_offer.c has the table): VMSAv8-64, linear and two-level
 * stream tables, StreamIDs of 16 bits; granules, sizes and ranges as the host's
 * SMMU has them; interrupts by messages to memory. Not there: stage 2,
 * substreams (PASID), ATS and PRI, stalls and wake-up events. What is not
 * offered is illegal, as the architecture says, so CERROR_ATC_INV_SYNC and
 * F_STREAM_DISABLED never come from here.
 *
 * Every function may be called on any thread. One lock, below a device's and
 * above a GIC's.
 */
#ifndef BELFRY_SMMU_H
#define BELFRY_SMMU_H

#include <belfry/base.h>
#include <belfry/dma.h>
#include <belfry/err.h>
#include <belfry/irq.h>
#include <belfry/mmio.h>
#include <belfry/regbank.h>

/* Pages 0 and 1. */
#define SMMU_SIZE        (128 * KIB)

#define SMMU_SID_BITS    16
#define SMMU_STREAMS_MAX 256

/* What becomes of a stream. */
enum smmu_kind {
	SMMU_ABORT,
	SMMU_BYPASS,
	SMMU_STAGE1, /* translated by the tables that the STE points to */
};

/* @ste is words 0 and 1 of an STE that says so, with no field set that an SMMU
 * which nests would refuse. */
struct smmu_plan {
	enum smmu_kind kind;
	u64 ste[2];
};

/* A command for the SMMU below: CFGI_CD and CFGI_CD_ALL of streams that are the
 * backend's, TLBI_NH_* and TLBI_NSNH_ALL, nothing set in them but their fields.
 * Whoever sends them on puts in its own VMID and StreamID. */
struct smmu_cmd {
	u64 word[2];
};

/*
 * Who does it for passed-through devices. Called with the SMMU's lock held, so
 * must not call back, on the thread that wrote a register or called smmu_run,
 * smmu_add or smmu_reset. What errata of the host ask for is its affair.
 */
struct smmu_backend {
	/* From now on, and until told otherwise. If the host refuses, the
	 * stream is to abort and the operator to know: false, and it is tried
	 * again when the guest next says something of that stream. */
	bool (*attach)(void *ctx, u32 sid, const struct smmu_plan *plan);
	/* Do all, and wait for them: how many were done before one was not.
	 * That one is the guest's error, and illegal; or @failed, which is
	 * false before, says that the host could not, and that the guest is to
	 * try it again. */
	u32 (*invalidate)(void *ctx, const struct smmu_cmd *cmds, u32 nr,
			  bool *failed);
	void *ctx;
};

struct smmu_setup {
	/* IDR0 .. IDR5 of the SMMU below; NULL: there are only emulated
	 * devices. */
	const u32 *host;
	u32 addr_bits; /* of a guest-physical address: 32 .. 52 */
	struct dma dma;
	/* Pulsed, as for interrupts that are triggered by edges: the event
	 * queue is no longer empty; a global error is there; a CMD_SYNC that
	 * asked for it, and for no message instead, is done. One without set is
	 * not there. */
	struct irq_line event, gerror, sync;
	struct smmu_backend backend; /* may be empty if @host is NULL */
	/* Commands are left after one turn's share of work: somebody is to call
	 * smmu_run soon, after this has returned. With the lock held. */
	void (*more)(void *ctx);
	void *ctx;
};

struct smmu;

/* *@s is copied, and what @host points to. NULL and @e if the SMMU below cannot
 * do what a guest needs, or if memory is short. Owned by the caller until
 * smmu_destroy. */
struct smmu *smmu_create(const struct smmu_setup *s, struct err *e);
void smmu_destroy(struct smmu *s);

/* As at power-on: all streams bypass. No CPU runs. */
void smmu_reset(struct smmu *s);

/* For mmio_bus_add; SMMU_SIZE bytes, dev is the struct smmu. */
extern const struct mmio_ops smmu_mmio;

/* The table behind it, for regbank_lint() in tests. */
extern const struct regbank smmu_bank;

/*
 * There is a stream of StreamID @sid from now on; if it is @passed through, the
 * backend is told at once what becomes of it. -EINVAL, -EEXIST, -ENOSPC or
 * -ENOMEM and @e. No stream but those added is anyone's.
 */
MUST_CHECK int smmu_add(struct smmu *s, u32 sid, bool passed, struct err *e);

/* One turn's share of commands. True if some are left. */
bool smmu_run(struct smmu *s);

/*
 * A record of the SMMU below, of a stream that was added, goes to the guest's
 * event queue under that StreamID. Of what a guest without the features above
 * cannot know it is lost, and if the queue is full.
 */
void smmu_event(struct smmu *s, u32 sid, const u64 record[4]);

/* So many records of the SMMU below are lost before they came to us. The guest
 * learns it as if its queue had been full. */
void smmu_events_lost(struct smmu *s, u32 nr);

/* What an emulated device of stream @sid, which was added, does to memory.
 * Valid while @s lives; faults go to the event queue. */
struct dma smmu_dma(struct smmu *s, u32 sid);

/* Where a write of such a device to @addr goes, memory or not: its messages'.
 * False, and an event, if nowhere. */
MUST_CHECK bool smmu_translate(struct smmu *s, u32 sid, u64 addr, u64 *to);

/* Since it was made. */
struct smmu_counters {
	u64 commands;      /* executed */
	u64 batches;       /* calls of invalidate */
	u64 invalidations; /* commands in them */
	u64 attaches;      /* calls of attach */
	u64 walks;         /* of tables, in software */
	u64 events;        /* put into the guest's queue */
	u64 events_lost;
	u64 faults; /* what the guest did wrong */
};

struct smmu_counters smmu_counters(struct smmu *s);

#endif
