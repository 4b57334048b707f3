/*
 * What the files of the SMMU share.
 *
 * smmu.c makes it and knows its streams; smmu_offer.c is what is offered,
 * smmu_bank.c registers, smmu_ste.c what a stream table says, smmu_cmdq.c
 * commands, smmu_eventq.c events and errors, smmu_queue.c what both queues have
 * in common; smmu_dma.c is translation in software, smmu_cd.c what a context
 * descriptor says of it, smmu_tlb.c what is kept.
 *
 * Every function here that is given a struct smmu or one of its streams is
 * called with its lock held; the others are pure.
 */
#ifndef BELFRY_SMMU_PRIV_H
#define BELFRY_SMMU_PRIV_H

#include <belfry/lock.h>
#include <belfry/log.h>
#include <belfry/smmu.h>
#include <belfry/walk.h>

#include "smmu_queue.h"
#include "smmu_regs.h"
#include "smmu_tlb.h"

/* Commands in one turn, so that no CPU is away for long. */
#define SMMU_TURN 256

/* Queues have up to so many entries, as powers of two: Linux puts up to 64
 * commands in at once. */
#define SMMU_CMDQ_BITS   10
#define SMMU_EVENTQ_BITS 9

/* What the guest is offered. */
struct offer {
	u32 idr[6];
	u32 oas;       /* bits of an output address */
	bool s1stalld; /* the SMMU below could stall: it is told not to */
};

/* What an STE says, or why there is none: @event is what a transaction then
 * records, @fetch the address that F_STE_FETCH has. */
struct ste_plan {
	struct smmu_plan to;
	u8 event;
	u64 fetch;
};

/* What a context descriptor says. */
struct cd_plan {
	struct walk_regime regime;
	u16 asid;
	bool record; /* faults of translation, CD.R */
};

/* An interrupt's message, as SMMU_*_IRQ_CFG0 to 2 have it. */
struct irq_cfg {
	u64 addr;    /* 0: there is none */
	u32 word[2]; /* its data; its attributes, which change nothing here */
};

struct stream {
	struct smmu *smmu;
	u32 sid;
	bool passed;
	/* Of a passed-through device: what the backend took last. */
	struct smmu_plan told;
	/* Of an emulated one: what was fetched, and is right. */
	bool ste_known, cd_known;
	struct ste_plan ste;
	struct cd_plan cd;
	struct tlb tlb;
};

struct smmu {
	struct lock lock;
	struct smmu_setup setup;
	struct offer offer;
	struct guest_faults faults;
	struct smmu_counters counters;

	struct stream *stream[SMMU_STREAMS_MAX];
	u32 streams, passed; /* how many, and of those */

	u32 cr0, cr1, cr2, gbpa, irq_ctrl, gerror, gerrorn;
	struct irq_cfg gerror_irq, eventq_irq;
	u64 strtab_base;
	u32 strtab_cfg;
	struct queue cmdq, eventq;
	u32 cmdq_error; /* CERROR_*, the last */

	u32 spent; /* work of this turn, in commands */
	/* Collected for the backend, and the position of each in the queue. */
	struct smmu_cmd batch[SMMU_TURN];
	u32 batch_at[SMMU_TURN];
	u32 batched;
	/* CMD_SYNCs that are to tell of themselves, and how many of the batch
	 * are before each. */
	struct smmu_cmd sync[SMMU_TURN];
	u32 sync_behind[SMMU_TURN];
	u32 syncs;
};

/* smmu.c */
struct stream *smmu_find(struct smmu *s, u32 sid);
/* What becomes of a stream may have changed. Of an emulated device's, what was
 * fetched is forgotten; of another's, the backend is told. True if there was
 * something new to tell. */
bool smmu_settle(struct stream *st);
void smmu_settle_all(struct smmu *s);
/* Words of guest memory, each read at once and only once, so that none is seen
 * half written. @addr is a multiple of all they are, a power of two. */
MUST_CHECK bool smmu_load(const struct smmu *s, u64 addr, u64 *to, u32 words);

/* smmu_offer.c: -EINVAL and @e if the SMMU below will not do. */
MUST_CHECK int offer_make(struct offer *o, const u32 *host, u32 addr_bits,
			  struct err *e);
/* Bits of an address, as IDR5.OAS and CD.IPS have them. */
u32 offer_address_bits(u64 encoded);

/* smmu_ste.c */
struct ste_plan ste_plan(const struct ste *ste, const struct offer *o);
/* By the registers and the stream table. */
struct ste_plan smmu_plan_of(struct smmu *s, u32 sid);

/* smmu_cd.c: false if @cd is ILLEGAL. */
MUST_CHECK bool cd_plan(const struct cd *cd, const struct offer *o,
			struct cd_plan *p);

/* smmu_cmdq.c: one turn's share of commands; true if some are left. */
bool smmu_turn(struct smmu *s);

/* smmu_eventq.c */
/* Of a physical address those bits that are one. */
u64 smmu_output_address(const struct smmu *s, u64 addr);
void smmu_pulse(const struct irq_line *line);
/* A message; @abort is the error if no memory is there. */
void smmu_send(struct smmu *s, u64 addr, u32 data, u32 abort);
bool smmu_error_active(const struct smmu *s, u32 error);
void smmu_error(struct smmu *s, u32 error);
void smmu_record(struct smmu *s, const struct smmu_record *r);

/* smmu_dma.c */
void smmu_forget(struct smmu *s, const struct tlb_scope *scope);

#endif
