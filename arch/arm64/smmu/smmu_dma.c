/*
 * Accesses of emulated devices: unprivileged, of data.
 *
 * What is wrong is looked at again by the next access; what is right is kept
 * until a command says otherwise.
 *
 * IHI 0070G, 3.3, 3.4, 7.3 and 15.
 */
#include "smmu_priv.h"

struct access {
	struct stream *st;
	u64 addr;
	bool write;
};

/* Where it goes, and how many bytes go there in one piece. */
struct target {
	u64 addr, len;
};

/* Memory that remembers where it was asked last. */
struct watched {
	const struct dma *mem;
	u64 last;
};

void smmu_forget(struct smmu *s, const struct tlb_scope *scope)
{
	for (u32 i = 0; i < s->streams; i++)
		tlb_forget(&s->stream[i]->tlb, scope);
}

static struct smmu_record record_of(const struct stream *st, u8 event)
{
	return (struct smmu_record) { .word = { event | FIELD_PREP(EVENT_0_SID,
								   st->sid) } };
}

/* The stream is not set up right. */
static bool bad_setup(const struct access *a, u8 event, u64 fetch)
{
	struct smmu *s = a->st->smmu;
	struct smmu_record r = record_of(a->st, event);

	if (event == F_STE_FETCH || event == F_CD_FETCH)
		r.word[3] = fetch & EVENT_3_FETCH;
	if (event != C_BAD_STREAMID || (s->cr2 & CR2_RECINVSID))
		smmu_record(s, &r);
	return false;
}

/* The access itself is refused. @fetch: of a descriptor that is not there. */
static bool bad_access(const struct access *a, u8 event, u64 fetch)
{
	struct smmu_record r = record_of(a->st, event);
	bool walk = event == F_WALK_EABT;

	r.word[1] = FIELD_PREP(EVENT_1_CLASS,
			       walk ? EVENT_CLASS_TT : EVENT_CLASS_IN);
	if (!a->write)
		r.word[1] |= EVENT_1_RNW;
	r.word[2] = a->addr;
	if (walk)
		r.word[3] = fetch & EVENT_3_FETCH;
	smmu_record(a->st->smmu, &r);
	return false;
}

static const struct ste_plan *find_plan(struct stream *st)
{
	if (!st->ste_known) {
		st->ste = smmu_plan_of(st->smmu, st->sid);
		st->ste_known = !st->ste.event;
	}
	return &st->ste;
}

/* NULL, and an event, if there is none that is right. */
static const struct cd_plan *find_cd(const struct access *a)
{
	struct stream *st = a->st;
	u64 at = st->ste.to.ste[0] & STE_0_S1CTXPTR;
	struct cd cd;

	if (st->cd_known)
		return &st->cd;
	if (!smmu_load(st->smmu, at, cd.word, ARRAY_SIZE(cd.word))) {
		bad_setup(a, F_CD_FETCH, at);
		return NULL;
	}
	st->cd_known = cd_plan(&cd, &st->smmu->offer, &st->cd);
	if (st->cd_known)
		return &st->cd;
	bad_setup(a, C_BAD_CD, 0);
	return NULL;
}

static void *map_watched(void *ctx, u64 addr, u64 *len, bool write)
{
	struct watched *w = ctx;

	w->last = addr;
	return dma_map(w->mem, addr, len, write);
}

static u8 event_of(enum walk_fault fault)
{
	static const u8 events[] = {
		[WALK_TRANSLATION] = F_TRANSLATION,
		[WALK_ADDRESS_SIZE] = F_ADDR_SIZE,
		[WALK_ACCESS_FLAG] = F_ACCESS,
		[WALK_PERMISSION] = F_PERMISSION,
		[WALK_EXTERNAL] = F_WALK_EABT,
	};

	return events[fault];
}

/* Into the cache; NULL, and perhaps an event, if the access may not be. What
 * was walked for a read may be clean, so nothing is known of writes. */
static const struct tlb_entry *walk_for(const struct access *a,
					const struct cd_plan *cd, u64 va)
{
	struct smmu *s = a->st->smmu;
	struct watched mem = { .mem = &s->setup.dma };
	struct dma dma = { .map = map_watched, .ctx = &mem };
	struct walk w = walk(&dma, &cd->regime, va,
			     WALK_USER | (a->write ? WALK_WRITE : 0));
	u64 inside = BIT(w.shift) - 1;
	struct tlb_entry e = { .va = va & ~inside,
			       .pa = w.pa & ~inside,
			       .size = BIT(w.shift),
			       .asid = cd->asid,
			       .read = w.may & WALK_MAY_USER(WALK_MAY_READ),
			       .write = a->write };

	s->counters.walks++;
	if (w.fault) {
		if (cd->record || w.fault == WALK_EXTERNAL)
			bad_access(a, event_of(w.fault), mem.last);
		return NULL;
	}
	tlb_add(&a->st->tlb, &e);
	return tlb_find(&a->st->tlb, va, cd->asid, a->write);
}

static bool stage1(const struct access *a, struct target *t)
{
	const struct cd_plan *cd = find_cd(a);
	const struct tlb_entry *e;
	u64 va = a->addr;

	if (!cd)
		return false;
	if (cd->regime.half[va >> 55 & 1].tbi)
		va = tlb_address(va);
	e = tlb_find(&a->st->tlb, va, cd->asid, a->write);
	if (!e)
		e = walk_for(a, cd, va);
	if (!e)
		return false;
	t->addr = e->pa + (va - e->va);
	t->len = e->size - (va - e->va);
	return true;
}

/* Switched off, it does not record that an address is too large. */
static bool bypass(const struct access *a, struct target *t)
{
	struct smmu *s = a->st->smmu;

	*t = (struct target) { a->addr, BIT(s->offer.oas) - a->addr };
	if (!(a->addr >> s->offer.oas))
		return true;
	if (s->cr0 & CR0_SMMUEN)
		bad_access(a, F_ADDR_SIZE, 0);
	return false;
}

static bool translate(const struct access *a, struct target *t)
{
	const struct ste_plan *p = find_plan(a->st);

	switch (p->to.kind) {
	case SMMU_STAGE1:
		return stage1(a, t);
	case SMMU_BYPASS:
		return bypass(a, t);
	default:
		if (p->event)
			bad_setup(a, p->event, p->fetch);
		return false;
	}
}

static bool translate_locked(struct stream *st, u64 addr, bool write,
			     struct target *t)
{
	struct access a = { st, addr, write };
	bool ok;

	lock_take(&st->smmu->lock);
	ok = translate(&a, t);
	lock_drop(&st->smmu->lock);
	return ok;
}

static void *map_stream(void *ctx, u64 addr, u64 *len, bool write)
{
	struct stream *st = ctx;
	struct target t;

	if (!translate_locked(st, addr, write, &t))
		return NULL;
	*len = MIN(*len, t.len);
	return dma_map(&st->smmu->setup.dma, t.addr, len, write);
}

static struct stream *emulated(struct smmu *s, u32 sid)
{
	struct stream *st;

	lock_take(&s->lock);
	st = smmu_find(s, sid);
	lock_drop(&s->lock);
	assert(st && !st->passed);
	return st;
}

struct dma smmu_dma(struct smmu *s, u32 sid)
{
	return (struct dma) { .map = map_stream,
			      .ctx = emulated(s, sid),
			      .translates = true };
}

bool smmu_translate(struct smmu *s, u32 sid, u64 addr, u64 *to)
{
	struct target t;

	if (!translate_locked(emulated(s, sid), addr, true, &t))
		return false;
	*to = t.addr;
	return true;
}
