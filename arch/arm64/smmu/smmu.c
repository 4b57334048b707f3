/*
 * The SMMU as a whole: how it is made, and its streams.
 */
#include "smmu_priv.h"

#include <errno.h>
#include <stdlib.h>

struct stream *smmu_find(struct smmu *s, u32 sid)
{
	for (u32 i = 0; i < s->streams; i++)
		if (s->stream[i]->sid == sid)
			return s->stream[i];
	return NULL;
}

static bool same_plan(const struct smmu_plan *a, const struct smmu_plan *b)
{
	return a->kind == b->kind && a->ste[0] == b->ste[0] &&
	       a->ste[1] == b->ste[1];
}

/* Of a passed-through device's stream. A plan that is all 0 is none. */
static bool tell(struct stream *st)
{
	struct smmu *s = st->smmu;
	const struct smmu_backend *b = &s->setup.backend;
	struct smmu_plan to = smmu_plan_of(s, st->sid).to;

	if (same_plan(&st->told, &to))
		return false;
	s->counters.attaches++;
	st->told =
		b->attach(b->ctx, st->sid, &to) ? to : (struct smmu_plan) { 0 };
	return true;
}

bool smmu_settle(struct stream *st)
{
	st->ste_known = st->cd_known = false;
	return st->passed && tell(st);
}

void smmu_settle_all(struct smmu *s)
{
	for (u32 i = 0; i < s->streams; i++)
		smmu_settle(s->stream[i]);
}

bool smmu_load(const struct smmu *s, u64 addr, u64 *to, u32 words)
{
	const u64 *from =
		dma_piece(&s->setup.dma, addr, words * sizeof(*to), false);

	if (!from)
		return false;
	for (u32 i = 0; i < words; i++)
		to[i] = le64toh(__atomic_load_n(&from[i], __ATOMIC_RELAXED));
	return true;
}

static struct stream *new_stream(struct smmu *s, u32 sid, bool passed)
{
	struct stream *st = calloc(1, sizeof(*st));

	if (!st)
		return NULL;
	st->smmu = s;
	st->sid = sid;
	st->passed = passed;
	s->stream[s->streams++] = st;
	s->passed += passed;
	smmu_settle(st);
	return st;
}

static int add(struct smmu *s, u32 sid, bool passed, struct err *e)
{
	if (sid >> SMMU_SID_BITS)
		return err_set(e, -EINVAL,
			       "SMMU: StreamID %#x has more than %d bits", sid,
			       SMMU_SID_BITS);
	if (smmu_find(s, sid))
		return err_set(e, -EEXIST, "SMMU: StreamID %#x is taken", sid);
	if (s->streams == SMMU_STREAMS_MAX)
		return err_set(e, -ENOSPC, "SMMU: more than %d streams",
			       SMMU_STREAMS_MAX);
	if (!new_stream(s, sid, passed))
		return err_set(e, -ENOMEM, "SMMU: out of memory");
	return 0;
}

int smmu_add(struct smmu *s, u32 sid, bool passed, struct err *e)
{
	int err;

	assert(!passed || s->setup.backend.attach);
	lock_take(&s->lock);
	err = add(s, sid, passed, e);
	lock_drop(&s->lock);
	return err;
}

bool smmu_run(struct smmu *s)
{
	bool left;

	lock_take(&s->lock);
	left = smmu_turn(s);
	lock_drop(&s->lock);
	return left;
}

struct smmu_counters smmu_counters(struct smmu *s)
{
	struct smmu_counters c;

	lock_take(&s->lock);
	c = s->counters;
	c.faults = s->faults.count;
	lock_drop(&s->lock);
	return c;
}

static void reset(struct smmu *s)
{
	s->cr0 = s->cr1 = s->cr2 = s->gbpa = s->irq_ctrl = 0;
	s->gerror = s->gerrorn = s->cmdq_error = 0;
	s->gerror_irq = s->eventq_irq = (struct irq_cfg) { 0 };
	s->strtab_base = s->strtab_cfg = 0;
	s->cmdq = (struct queue) { .max_bits = SMMU_CMDQ_BITS,
				   .entry = sizeof(struct smmu_cmd) };
	s->eventq = (struct queue) { .max_bits = SMMU_EVENTQ_BITS,
				     .entry = sizeof(struct smmu_record) };
}

void smmu_reset(struct smmu *s)
{
	lock_take(&s->lock);
	reset(s);
	smmu_settle_all(s);
	smmu_forget(s, &TLB_ALL);
	lock_drop(&s->lock);
}

struct smmu *smmu_create(const struct smmu_setup *setup, struct err *e)
{
	struct smmu *s = calloc(1, sizeof(*s));

	assert(!setup->host ||
	       (setup->backend.attach && setup->backend.invalidate));
	if (!s) {
		err_set(e, -ENOMEM, "SMMU: out of memory");
		return NULL;
	}
	if (offer_make(&s->offer, setup->host, setup->addr_bits, e)) {
		free(s);
		return NULL;
	}
	s->lock = LOCK_INIT;
	s->setup = *setup;
	s->setup.host = NULL;
	s->faults.who = "smmu";
	reset(s);
	return s;
}

void smmu_destroy(struct smmu *s)
{
	if (!s)
		return;
	for (u32 i = 0; i < s->streams; i++)
		free(s->stream[i]);
	free(s);
}
