/*
 * The event queue, global errors, and how the guest is told: by wires, and by
 * messages if it gave an address. A message is a store to memory; where none
 * is, an interrupt controller's doorbell included, it is aborted.
 *
 * IHI 0070G, 7.2 to 7.5 and 3.18.
 */
#include "smmu_priv.h"

#include <inttypes.h>

/* The SMMU's interrupts are edges. */
void smmu_pulse(const struct irq_line *line)
{
	if (!line->set)
		return;
	irq_line_set(line, true);
	irq_line_set(line, false);
}

u64 smmu_output_address(const struct smmu *s, u64 addr)
{
	return addr & GENMASK(s->offer.oas - 1, 0);
}

/* Who sees it sees what came before it. */
void smmu_send(struct smmu *s, u64 addr, u32 data, u32 abort)
{
	u32 *to;

	addr = smmu_output_address(s, addr);
	to = dma_piece(&s->setup.dma, addr, sizeof(*to), true);
	if (to) {
		__atomic_store_n(to, htole32(data), __ATOMIC_RELEASE);
		return;
	}
	guest_fault(&s->faults, "no memory for a message at %#" PRIx64, addr);
	smmu_error(s, abort);
}

/* By the wire, whether there is a message or not: 3.18.2. */
static void notify(struct smmu *s, const struct irq_line *wire,
		   const struct irq_cfg *cfg, u32 abort)
{
	if (cfg->addr)
		smmu_send(s, cfg->addr, cfg->word[0], abort);
	smmu_pulse(wire);
}

bool smmu_error_active(const struct smmu *s, u32 error)
{
	return (s->gerror ^ s->gerrorn) & error;
}

/* Of a message that was to tell of an error no message tells, nor a wire. */
void smmu_error(struct smmu *s, u32 error)
{
	if (smmu_error_active(s, error))
		return;
	s->gerror ^= error;
	if ((s->irq_ctrl & IRQ_CTRL_GERROR) && error != GERROR_MSI_GERROR_ABT)
		notify(s, &s->setup.gerror, &s->gerror_irq,
		       GERROR_MSI_GERROR_ABT);
}

/* Unless the guest has yet to learn of the last time. */
static void overflow(struct queue *q)
{
	if (!((q->prod ^ q->cons) & EVENTQ_OVFLG))
		q->prod ^= (u32)EVENTQ_OVFLG;
}

static bool store(struct smmu *s, const struct smmu_record *r)
{
	u64 at = queue_entry(&s->eventq, s->eventq.prod);
	u64 *to = dma_piece(&s->setup.dma, at, sizeof(*r), true);

	if (!to) {
		guest_fault(&s->faults, "no memory for events at %#" PRIx64,
			    at);
		smmu_error(s, GERROR_EVENTQ_ABT);
		return false;
	}
	for (u32 i = 0; i < ARRAY_SIZE(r->word); i++)
		__atomic_store_n(&to[i], htole64(r->word[i]), __ATOMIC_RELAXED);
	return true;
}

static bool accepts(const struct smmu *s)
{
	return (s->cr0 & CR0_EVENTQEN) &&
	       !smmu_error_active(s, GERROR_EVENTQ_ABT);
}

static bool put(struct smmu *s, const struct smmu_record *r)
{
	struct queue *q = &s->eventq;
	u32 used = queue_used(q);

	if (!accepts(s))
		return false;
	if (used >= queue_size(q)) {
		overflow(q);
		return false;
	}
	if (!store(s, r))
		return false;
	q->prod = (q->prod & (u32)EVENTQ_OVFLG) | queue_next(q, q->prod);
	if (!used && (s->irq_ctrl & IRQ_CTRL_EVENTQ))
		notify(s, &s->setup.event, &s->eventq_irq,
		       GERROR_MSI_EVENTQ_ABT);
	return true;
}

void smmu_record(struct smmu *s, const struct smmu_record *r)
{
	if (put(s, r))
		s->counters.events++;
	else
		s->counters.events_lost++;
}

#define ACCESS (EVENT_1_PNU | EVENT_1_IND | EVENT_1_RNW | EVENT_1_CLASS)

/* What a guest may see of a record from below: those events that come of what
 * is its own, by the fields they have. */
static const struct shown {
	u8 id;
	u64 field[3]; /* of words 0 to 2 */
} shown[] = {
	{ C_BAD_STE, { 0 } },
	{ F_STREAM_DISABLED, { 0 } },
	{ C_BAD_SUBSTREAMID, { EVENT_0_SSID } },
	{ C_BAD_CD, { 0 } },
	{ F_TRANSLATION, { 0, ACCESS, ~0ull } },
	{ F_ADDR_SIZE, { 0, ACCESS, ~0ull } },
	{ F_ACCESS, { 0, ACCESS, ~0ull } },
	{ F_PERMISSION, { 0, ACCESS, ~0ull } },
};

static const struct shown *find_shown(u64 id)
{
	for (size_t i = 0; i < ARRAY_SIZE(shown); i++)
		if (shown[i].id == id)
			return &shown[i];
	return NULL;
}

/* A fault of stage 2 is the host's affair. */
static bool show(const u64 from[4], u32 sid, struct smmu_record *to)
{
	const struct shown *e = find_shown(FIELD_GET(EVENT_0_ID, from[0]));

	if (!e || (e->field[1] && (from[1] & EVENT_1_S2)))
		return false;
	*to = (struct smmu_record) { 0 };
	for (u32 i = 0; i < ARRAY_SIZE(e->field); i++)
		to->word[i] = from[i] & e->field[i];
	to->word[0] |= e->id | FIELD_PREP(EVENT_0_SID, sid);
	return true;
}

void smmu_event(struct smmu *s, u32 sid, const u64 record[4])
{
	struct smmu_record r;

	lock_take(&s->lock);
	if (smmu_find(s, sid) && show(record, sid, &r))
		smmu_record(s, &r);
	else
		s->counters.events_lost++;
	lock_drop(&s->lock);
}

/* A queue that takes no events does not overflow either. */
void smmu_events_lost(struct smmu *s, u32 nr)
{
	lock_take(&s->lock);
	s->counters.events_lost += nr;
	if (accepts(s))
		overflow(&s->eventq);
	lock_drop(&s->lock);
}
