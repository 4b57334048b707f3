/*
 * Between an SMMU of the guest's and the host's: what its streams have for a
 * table, its invalidations, and the events of the hardware. Arm IHI 0070.
 */
#include "lent_priv.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

/* CFGI_CD, CFGI_CD_ALL, 4.3.3 and 4.3.4; event records, 7.3. */
#define CMD_OPCODE  GENMASK(7, 0)
#define CFGI_CD     0x05
#define CFGI_CD_ALL 0x06
#define STREAMID    GENMASK(63, 32)
#define EVENT_ID    GENMASK(7, 0)
/* F_TRANSLATION, F_ADDR_SIZE, F_ACCESS, F_PERMISSION */
#define EVENT_FIRST 0x10
#define EVENT_LAST  0x13
#define EVENT_RNW   BIT(35)

/* Events that are taken at once. */
#define EVENTS_TURN 64

/* Invalidations of one call. */
#define BATCH 256

static u32 streamid(u64 word0)
{
	return (u32)FIELD_GET(STREAMID, word0);
}

/* --- tables of streams --- */

/* What it has instead of what it had, which is not needed then. @own: @table is
 * its alone. */
static int switch_to(struct loan *d, u32 table, bool own, struct err *e)
{
	int err = vfio_attach(&d->vfio, table, e);

	if (err)
		return err;
	d->attached = true;
	lent_drop(d->space->iommufd, &d->table);
	d->table = own ? table : 0;
	return 0;
}

static int translate(struct loan *d, const struct smmu_plan *plan,
		     struct err *e)
{
	u32 table = 0;
	int err = lent_table(d->nest, d->vfio.id, plan->ste[0], plan->ste[1],
			     &table, e);

	if (err)
		return lent_refused(d, e);
	err = switch_to(d, table, true, e);
	if (err)
		lent_drop(d->space->iommufd, &table);
	return err;
}

int lent_follow(struct loan *d, const struct smmu_plan *plan, struct err *e)
{
	int err;

	if (plan->kind == SMMU_STAGE1)
		err = translate(d, plan, e);
	else
		err = switch_to(d,
				plan->kind == SMMU_BYPASS ? d->nest->bypass
							  : d->nest->abort,
				false, e);
	if (!err)
		d->now = *plan;
	return err;
}

/* What the guest meant cannot be had: nothing must pass. */
static void stop(struct loan *d)
{
	static const struct smmu_plan nothing = { .kind = SMMU_ABORT };
	struct err e;

	if (!lent_follow(d, &nothing, &e))
		return;
	guest_fault(&d->faults, "stream %#x is detached: %s", d->at.sid, e.msg);
	if (!d->attached)
		return;
	if (vfio_detach(&d->vfio, &e)) {
		guest_fault(&d->faults, "stream %#x stays as it was: %s",
			    d->at.sid, e.msg);
		return;
	}
	d->attached = false;
	lent_drop(d->space->iommufd, &d->table);
}

static bool has(const struct loan *d, const struct smmu_plan *plan)
{
	return d->attached && d->now.kind == plan->kind &&
	       (plan->kind != SMMU_STAGE1 || (d->now.ste[0] == plan->ste[0] &&
					      d->now.ste[1] == plan->ste[1]));
}

static struct loan *find_stream(const struct below *b, u32 sid)
{
	for (u32 i = 0; i < b->lent->nr; i++) {
		struct loan *d = &b->lent->loan[i];

		if (d->nest && d->nest->below == b && d->at.sid == sid)
			return d;
	}
	return NULL;
}

/*
 * What it has, it is not given again: the kernel compares STEs, and for an
 * equal one sends no CFGI_STE. What a CFGI_STE of the guest's is to make the
 * hardware forget besides the STE are context descriptors, and for those the
 * SMMU sends CFGI_CD_ALL.
 */
static bool attach(void *ctx, u32 sid, const struct smmu_plan *plan)
{
	struct loan *d = find_stream(ctx, sid);
	struct err e;

	assert(d);
	if (has(d, plan) || !lent_follow(d, plan, &e))
		return true;
	guest_fault(&d->faults, "stream %#x aborts: %s", sid, e.msg);
	stop(d);
	return false;
}

/* --- invalidations --- */

/* How many were carried out before one that was not: refused, or the host has
 * @failed. */
static u32 send(const struct nest *n, const struct iommufd_command *list,
		u32 nr, bool *failed)
{
	u32 times = n->below->hw.flags & IOMMUFD_HW_REPEAT_TLBI_CFGI ? 2 : 1;

	while (nr && times--) {
		u32 done = nr;
		int err = iommufd_invalidate(n->space->iommufd, n->viommu, list,
					     &done);

		if (!err)
			continue;
		*failed = err != -EIO;
		if (*failed)
			guest_fault(&n->below->faults,
				    "IOMMU_HWPT_INVALIDATE: %s",
				    strerror(-err));
		return done;
	}
	return nr;
}

/* Those before one that is refused may have been left, too: they go again. If
 * they are refused now, none counts. */
static u32 carry_out(const struct nest *n, const struct iommufd_command *list,
		     u32 nr, bool *failed)
{
	u32 done = send(n, list, nr, failed);

	return done == nr || send(n, list, done, failed) == done ? done : 0;
}

/* Translations are cached for all; a context descriptor is its stream's. What
 * is nobody's, the kernel may refuse. */
static bool concerns(const struct nest *n, const struct smmu_cmd *c)
{
	u64 opcode = FIELD_GET(CMD_OPCODE, c->word[0]);
	const struct loan *d;

	if (opcode != CFGI_CD && opcode != CFGI_CD_ALL)
		return true;
	d = find_stream(n->below, streamid(c->word[0]));
	return !d || d->nest == n;
}

static u32 tell(const struct nest *n, const struct smmu_cmd *cmds, u32 nr,
		bool *failed)
{
	struct iommufd_command list[BATCH];
	u32 from[BATCH], len = 0, done;

	for (u32 i = 0; i < nr; i++) {
		if (!concerns(n, &cmds[i]))
			continue;
		list[len] = (struct iommufd_command) {
			{ htole64(cmds[i].word[0]), htole64(cmds[i].word[1]) }
		};
		from[len++] = i;
	}
	done = carry_out(n, list, len, failed);
	return done < len ? from[done] : nr;
}

/* Behind what one does not do, others need not go. */
static u32 tell_all(const struct below *b, const struct smmu_cmd *cmds, u32 nr,
		    bool *failed)
{
	struct lent *l = b->lent;

	for (u32 i = 0; i < l->nests; i++)
		if (l->nest[i].below == b)
			nr = tell(&l->nest[i], cmds, nr, failed);
	return nr;
}

static u32 invalidate(void *ctx, const struct smmu_cmd *cmds, u32 nr,
		      bool *failed)
{
	u32 done = 0;

	while (done < nr) {
		u32 part = MIN(nr - done, BATCH);
		u32 n = tell_all(ctx, cmds + done, part, failed);

		done += n;
		if (n < part)
			break;
	}
	return done;
}

const u32 *lent_idrs(const struct lent *l, u32 smmu)
{
	for (u32 i = 0; i < l->belows; i++)
		if (l->below[i].number == smmu)
			return l->below[i].hw.idr;
	return NULL;
}

struct smmu_backend lent_backend(struct lent *l, u32 smmu)
{
	struct below *b = lent_below(l, smmu);

	assert(b);
	return (struct smmu_backend) { .attach = attach,
				       .invalidate = invalidate,
				       .ctx = b };
}

/* --- events --- */

/* Numbers have 31 bits. */
#define SEQUENCE GENMASK(30, 0)

/* Each has a number, and so does each that is lost; that some were is told by
 * the number of the last of them, or by a gap. */
static u32 count_lost(struct nest *n, const struct iommufd_event *ev)
{
	u32 lost = ((ev->sequence - n->next) & (u32)SEQUENCE) + ev->lost;

	n->next = ev->sequence + 1;
	return lost;
}

static bool is_message(const struct below *b, const u64 record[static 4])
{
	u64 id = FIELD_GET(EVENT_ID, record[0]);

	return id >= EVENT_FIRST && id <= EVENT_LAST &&
	       !(record[1] & EVENT_RNW) &&
	       record[2] == b->lent->setup.translater;
}

u64 lent_lost(const struct lent *l, u32 i)
{
	assert(i < l->nr);
	return l->loan[i].lost;
}

static void pass_on(struct nest *n, const struct iommufd_event *ev)
{
	struct below *b = n->below;
	u32 lost = count_lost(n, ev);
	struct loan *d;
	u64 record[4];

	if (lost) {
		guest_fault(&b->faults, "%u events of the hardware are lost",
			    lost);
		smmu_events_lost(b->smmu, lost);
	}
	if (ev->lost)
		return;
	for (u32 i = 0; i < ARRAY_SIZE(record); i++)
		record[i] = le64toh(ev->record[i]);
	d = find_stream(b, streamid(record[0]));
	if (d && is_message(b, record))
		d->lost++;
	smmu_event(b->smmu, streamid(record[0]), record);
}

static void wait_for_events(struct nest *n)
{
	loop_poll(n->below->lent->setup.loop, &n->op, n->events.fd, POLLIN);
}

/* One turn's share; if there are more, the next wait is short. */
static void take_events(struct nest *n)
{
	u8 buf[EVENTS_TURN * IOMMUFD_EVENT_MAX];
	int len = iommufd_events_read(&n->events, buf, sizeof(buf));
	struct iommufd_event ev;
	size_t at = 0;

	if (len < 0) {
		log_warn("smmu: no more events of the hardware: %s",
			 strerror(-len));
		return;
	}
	while (iommufd_events_next(buf, (size_t)len, &at, &ev))
		pass_on(n, &ev);
	wait_for_events(n);
}

static void events_ready(struct loop_op *op, int result)
{
	if (loop_failed(result))
		return;
	if (result > 0)
		take_events(op->ctx);
	else
		wait_for_events(op->ctx);
}

void lent_start(struct lent *l, u32 smmu, struct smmu *s)
{
	struct below *b = lent_below(l, smmu);

	assert(b);
	b->smmu = s;
	for (u32 i = 0; i < l->nests; i++) {
		struct nest *n = &l->nest[i];

		if (n->below != b)
			continue;
		n->op = (struct loop_op) { .done = events_ready, .ctx = n };
		wait_for_events(n);
	}
}
