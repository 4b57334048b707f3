/*
 * The command queue.
 *
 * Invalidations for the backend are collected and go down together: before a
 * stream is attached anew, and when the turn ends. Only then are CMD_SYNCs
 * among them told of, and only then does a guest see a new position, so neither
 * is ahead of what is done. If an invalidation is not done, the queue is where
 * that one is; what ran behind it does no harm and runs again.
 *
 * IHI 0070G, 4 and 7.1.
 */
#include "smmu_priv.h"

#include <inttypes.h>

/* The work of telling the backend of a stream, in commands. */
#define ATTACH_COST 16

static bool stopped(const struct smmu *s)
{
	return smmu_error_active(s, GERROR_CMDQ);
}

/* The queue stays at @at until the guest acknowledges. */
static void stop(struct smmu *s, u32 at, u32 error, const char *why)
{
	s->cmdq.cons = at;
	s->cmdq_error = error;
	guest_fault(&s->faults, "the command at %#" PRIx64 " %s",
		    queue_entry(&s->cmdq, at), why);
	smmu_error(s, GERROR_CMDQ);
}

/* By a message, or else by the wire. Not by both, as 4.7.3 would have it: who
 * names an address looks there, and to pulse the wire is dear. */
static void signal_sync(struct smmu *s, const struct smmu_cmd *c)
{
	u64 addr = c->word[1] & SYNC_1_MSIADDR;

	if (addr)
		smmu_send(s, addr, (u32)FIELD_GET(SYNC_0_MSIDATA, c->word[0]),
			  GERROR_MSI_CMDQ_ABT);
	else
		smmu_pulse(&s->setup.sync);
}

/* Of what was collected, so much was done. */
static void signal_syncs(struct smmu *s, u32 done)
{
	for (u32 i = 0; i < s->syncs && s->sync_behind[i] <= done; i++)
		signal_sync(s, &s->sync[i]);
	s->syncs = 0;
}

/* How many of the commands that were collected were done. */
static u32 invalidate(struct smmu *s, u32 nr, bool *failed)
{
	const struct smmu_backend *b = &s->setup.backend;
	u32 done;

	if (!nr)
		return 0;
	s->counters.batches++;
	done = b->invalidate(b->ctx, s->batch, nr, failed);
	done = MIN(done, nr);
	s->counters.invalidations += done;
	return done;
}

/* False if a command was refused. Linux skips an illegal one; one that could
 * not be read it tries again, which is what a host that fails needs. */
static bool flush(struct smmu *s)
{
	bool failed = false;
	u32 nr = s->batched, done = invalidate(s, nr, &failed);

	s->batched = 0;
	signal_syncs(s, done);
	if (done < nr && failed)
		stop(s, s->batch_at[done], CERROR_ABT, "failed in the host");
	else if (done < nr)
		stop(s, s->batch_at[done], CERROR_ILL,
		     "was refused by the host");
	return !stopped(s);
}

/* A batch has room for all of a turn: what adds more than one spends as many,
 * and begins with nothing. */
static_assert(SMMU_STREAMS_MAX <= SMMU_TURN, "one command for all of them");

static void collect(struct smmu *s, u64 word0, u64 word1)
{
	if (!s->passed)
		return;
	assert(s->batched < SMMU_TURN);
	s->batch[s->batched] = (struct smmu_cmd) { { word0, word1 } };
	s->batch_at[s->batched++] = s->cmdq.cons;
}

static u32 cmd_sid(const struct smmu_cmd *c)
{
	return (u32)FIELD_GET(CMD_0_SID, c->word[0]);
}

static void collect_cd_all(struct smmu *s, u32 sid)
{
	collect(s, CMD_CFGI_CD_ALL | FIELD_PREP(CMD_0_SID, sid), 0);
}

/* STEs of @first to @last. One that says what it said may still lead to other
 * context descriptors. */
static u32 new_stes(struct smmu *s, u32 first, u32 last)
{
	if (!flush(s))
		return CERROR_NONE;
	for (u32 i = 0; i < s->streams; i++) {
		struct stream *st = s->stream[i];

		if (st->sid < first || st->sid > last)
			continue;
		s->spent++;
		if (smmu_settle(st))
			s->spent += ATTACH_COST;
		else if (st->passed && st->told.kind == SMMU_STAGE1)
			collect_cd_all(s, st->sid);
	}
	return CERROR_NONE;
}

static u32 cfgi_ste(struct smmu *s, const struct smmu_cmd *c)
{
	return new_stes(s, cmd_sid(c), cmd_sid(c));
}

static u32 cfgi_ste_range(struct smmu *s, const struct smmu_cmd *c)
{
	u32 rest = (u32)((BIT(FIELD_GET(CFGI_1_RANGE, c->word[1])) << 1) - 1);

	return new_stes(s, cmd_sid(c) & ~rest, cmd_sid(c) | rest);
}

/* Of a stream that is nobody's there are none. */
static struct stream *forget_cds(struct smmu *s, const struct smmu_cmd *c)
{
	struct stream *st = smmu_find(s, cmd_sid(c));

	if (st)
		st->cd_known = false;
	return st && st->passed ? st : NULL;
}

/* There are no substreams: whichever is named, it is the one. */
static u32 cfgi_cd(struct smmu *s, const struct smmu_cmd *c)
{
	struct stream *st = forget_cds(s, c);

	if (st)
		collect(s, CMD_CFGI_CD | FIELD_PREP(CMD_0_SID, st->sid),
			c->word[1] & CFGI_1_LEAF);
	return CERROR_NONE;
}

static u32 cfgi_cd_all(struct smmu *s, const struct smmu_cmd *c)
{
	struct stream *st = forget_cds(s, c);

	if (st)
		collect_cd_all(s, st->sid);
	return CERROR_NONE;
}

/* NH_ALL and NSNH_ALL: without stage 2 there is one VMID. */
static u32 tlbi_all(struct smmu *s, const struct smmu_cmd *c)
{
	smmu_forget(s, &TLB_ALL);
	collect(s, c->word[0] & CMD_0_OPCODE, 0);
	return CERROR_NONE;
}

static u64 asid_field(const struct smmu *s, const struct smmu_cmd *c)
{
	u64 field = c->word[0] & TLBI_0_ASID;

	return s->offer.idr[0] & IDR0_ASID16 ? field : field & ~TLBI_0_ASID_TOP;
}

static u32 tlbi_asid(struct smmu *s, const struct smmu_cmd *c)
{
	u64 asid = asid_field(s, c);
	struct tlb_scope scope = TLB_ALL;

	scope.by_asid = true;
	scope.asid = (u16)FIELD_GET(TLBI_0_ASID, asid);
	smmu_forget(s, &scope);
	collect(s, (c->word[0] & CMD_0_OPCODE) | asid, 0);
	return CERROR_NONE;
}

/* Leaves of @c the fields of a range, if it is one. False if they are the
 * combination that is reserved, 4.4.1.1. */
static bool range_fields(const struct offer *o, struct smmu_cmd *c)
{
	bool ds = o->idr[5] & IDR5_DS;
	u64 tg = FIELD_GET(TLBI_1_TG, c->word[1]);

	if (!(o->idr[3] & IDR3_RIL) || !tg) {
		c->word[0] &= ~(TLBI_0_NUM | TLBI_0_SCALE);
		c->word[1] &= ~(TLBI_1_TG | TLBI_1_TTL);
		return true;
	}
	if (!ds)
		c->word[0] &= ~TLBI_0_SCALE_TOP;
	/* A level that 16 KiB has only with DS. */
	if (!ds && tg == 2 && FIELD_GET(TLBI_1_TTL, c->word[1]) == 1)
		c->word[1] &= ~TLBI_1_TTL;
	return (c->word[0] & (TLBI_0_NUM | TLBI_0_SCALE)) ||
	       (c->word[1] & TLBI_1_TTL);
}

static struct tlb_scope range_scope(const struct smmu_cmd *c)
{
	u64 tg = FIELD_GET(TLBI_1_TG, c->word[1]);
	u64 scale = MIN(FIELD_GET(TLBI_0_SCALE, c->word[0]), 39);
	u64 num = FIELD_GET(TLBI_0_NUM, c->word[0]) + 1;
	u64 size = tg ? num << scale << (10 + 2 * tg) : 4 * KIB;
	u64 first = tlb_address(c->word[1] & TLBI_1_ADDR);
	u64 last = first + size - 1;

	return (struct tlb_scope) { .first = first,
				    .last = last < first ? ~0ull : last };
}

static u32 tlbi_address(struct smmu *s, const struct smmu_cmd *c, u64 asid)
{
	struct smmu_cmd to = *c;
	struct tlb_scope scope;

	if (!range_fields(&s->offer, &to))
		return CERROR_ILL;
	scope = range_scope(&to);
	smmu_forget(s, &scope);
	collect(s,
		(to.word[0] & (CMD_0_OPCODE | TLBI_0_NUM | TLBI_0_SCALE)) |
			asid,
		to.word[1] &
			(TLBI_1_LEAF | TLBI_1_TTL | TLBI_1_TG | TLBI_1_ADDR));
	return CERROR_NONE;
}

/* Of all ASIDs, since global ones are of none. */
static u32 tlbi_va(struct smmu *s, const struct smmu_cmd *c)
{
	return tlbi_address(s, c, asid_field(s, c));
}

static u32 tlbi_vaa(struct smmu *s, const struct smmu_cmd *c)
{
	return tlbi_address(s, c, 0);
}

/* What is fetched, is fetched when it is needed. */
static u32 prefetch(struct smmu *s, const struct smmu_cmd *c)
{
	return CERROR_NONE;
}

static u32 sync(struct smmu *s, const struct smmu_cmd *c)
{
	u64 signal = FIELD_GET(SYNC_0_CS, c->word[0]);

	if (signal == SYNC_CS_RESERVED)
		return CERROR_ILL;
	if (signal == SYNC_CS_IRQ) {
		assert(s->syncs < SMMU_TURN);
		s->sync_behind[s->syncs] = s->batched;
		s->sync[s->syncs++] = *c;
	}
	return CERROR_NONE;
}

static const struct command {
	u8 opcode;
	bool stream; /* has a StreamID, which may be a secure one's */
	u32 (*run)(struct smmu *s, const struct smmu_cmd *c);
} commands[] = {
	{ CMD_PREFETCH_CONFIG, true, prefetch },
	{ CMD_PREFETCH_ADDR, true, prefetch },
	{ CMD_CFGI_STE, true, cfgi_ste },
	{ CMD_CFGI_STE_RANGE, true, cfgi_ste_range },
	{ CMD_CFGI_CD, true, cfgi_cd },
	{ CMD_CFGI_CD_ALL, true, cfgi_cd_all },
	{ CMD_TLBI_NH_ALL, false, tlbi_all },
	{ CMD_TLBI_NH_ASID, false, tlbi_asid },
	{ CMD_TLBI_NH_VA, false, tlbi_va },
	{ CMD_TLBI_NH_VAA, false, tlbi_vaa },
	{ CMD_TLBI_NSNH_ALL, false, tlbi_all },
	{ CMD_SYNC, false, sync },
};

/* What is not in the table is illegal, and so is what is secure. */
static u32 execute(struct smmu *s, const struct smmu_cmd *c)
{
	u64 opcode = FIELD_GET(CMD_0_OPCODE, c->word[0]);

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (commands[i].opcode != opcode)
			continue;
		if (commands[i].stream && (c->word[0] & CMD_0_SSEC))
			return CERROR_ILL;
		return commands[i].run(s, c);
	}
	return CERROR_ILL;
}

/* The guest may rewrite its own: ours is a copy. */
static void step(struct smmu *s)
{
	u32 at = queue_position(&s->cmdq, s->cmdq.cons), error = CERROR_ABT;
	struct smmu_cmd c;

	s->spent++;
	s->counters.commands++;
	if (smmu_load(s, queue_entry(&s->cmdq, at), c.word, 2))
		error = execute(s, &c);
	/* One before it that is refused was wrong first. */
	if (error && flush(s))
		stop(s, at, error,
		     error == CERROR_ABT ? "is where no memory is"
					 : "is illegal");
	if (!stopped(s))
		s->cmdq.cons = queue_next(&s->cmdq, at);
}

static bool commands_left(const struct smmu *s)
{
	u32 used = queue_used(&s->cmdq);

	return (s->cr0 & CR0_CMDQEN) && !stopped(s) && used &&
	       used <= queue_size(&s->cmdq);
}

bool smmu_turn(struct smmu *s)
{
	for (s->spent = 0; commands_left(s) && s->spent < SMMU_TURN;)
		step(s);
	flush(s);
	return commands_left(s);
}
