/*
 * What is between the functions of one space and an SMMU of the guest's: stage
 * 2, a view of the host's SMMU, and the tables that need nothing of the guest.
 *
 * Linux 6.15 drivers/iommu/arm/arm-smmu-v3/arm-smmu-v3-iommufd.c: a view is of
 * one SMMU of the host's, and so is the stage 2 that it nests in.
 */
#include "lent_priv.h"

#include <errno.h>
#include <string.h>

/* STE, 5.2: a stream that aborts, and one that stage 2 alone translates. */
#define STE_V      BIT(0)
#define STE_ABORT  STE_V
#define STE_BYPASS (STE_V | 4 << 1)

/* Events that may wait for us. */
#define EVENTS_WAIT 256

/* --- messages --- */

/* Of a call of iommufd's, which does not know the function. */
int lent_refused(const struct loan *d, struct err *e)
{
	struct err was;

	err_prefix(e, "device %s", d->vfio.name);
	if (e->code != -EOPNOTSUPP && e->code != -ENOTTY)
		return e->code;
	was = *e;
	return err_set(
		e, was.code,
		"%s; `belfry doctor %s` looks closer; with \"smmu\": \"off\" it works without",
		was.msg, d->vfio.name);
}

static int no_smmuv3(const struct loan *d, struct err *e)
{
	return err_set(
		e, -ENOTSUP,
		"device %s: what translates for it on this host is no SMMUv3, so no guest's SMMU can be in front of it: \"smmu\": \"off\"",
		d->vfio.name);
}

static int other_smmu(const struct loan *d, const struct loan *o, struct err *e)
{
	return err_set(
		e, -EINVAL,
		"device %s: this host's SMMU in front of it is another kind than that of device %s, and the guest has one for both: lend one of them, or both with \"smmu\": \"off\"",
		d->vfio.name, o->vfio.name);
}

/* --- making --- */

static bool same_hw(const struct iommufd_hw *a, const struct iommufd_hw *b)
{
	return !memcmp(a->idr, b->idr, sizeof(a->idr)) && a->iidr == b->iidr &&
	       a->aidr == b->aidr && a->flags == b->flags;
}

static const struct loan *first_behind(const struct lent *l,
				       const struct below *b)
{
	const struct loan *d = l->loan;

	while (!d->nest || d->nest->below != b)
		d++;
	return d;
}

struct below *lent_below(struct lent *l, u32 number)
{
	for (u32 i = 0; i < l->belows; i++)
		if (l->below[i].number == number)
			return &l->below[i];
	return NULL;
}

/* The guest's SMMU that @d is to be behind, if that is one like the host's. */
static struct below *take_below(struct lent *l, struct loan *d, struct err *e)
{
	struct below *b = lent_below(l, d->at.smmu);
	struct iommufd_hw hw;

	if (iommufd_get_hw(d->space->iommufd, d->vfio.id, &hw, e)) {
		lent_refused(d, e);
		return NULL;
	}
	if (!hw.smmuv3) {
		no_smmuv3(d, e);
		return NULL;
	}
	if (!b) {
		b = &l->below[l->belows++];
		*b = (struct below) { .lent = l,
				      .number = d->at.smmu,
				      .hw = hw,
				      .faults.who = "smmu" };
	} else if (!same_hw(&b->hw, &hw)) {
		other_smmu(d, first_behind(l, b), e);
		return NULL;
	}
	return b;
}

int lent_table(const struct nest *n, u32 device, u64 word0, u64 word1,
	       u32 *table, struct err *e)
{
	const u64 ste[2] = { htole64(word0), htole64(word1) };

	return iommufd_hwpt_alloc_nested(n->space->iommufd, device, n->viommu,
					 ste, table, e);
}

static int fill_nest(struct nest *n, u32 device, struct err *e)
{
	int fd = n->space->iommufd;
	int err = iommufd_hwpt_alloc(fd, device, n->space->ioas, true,
				     &n->stage2, e);

	if (!err)
		err = iommufd_viommu_alloc(fd, device, n->stage2, &n->viommu,
					   e);
	if (!err)
		err = lent_table(n, device, STE_ABORT, 0, &n->abort, e);
	if (!err)
		err = lent_table(n, device, STE_BYPASS, 0, &n->bypass, e);
	if (!err)
		err = iommufd_events_alloc(fd, n->viommu, EVENTS_WAIT,
					   &n->events, e);
	return err;
}

static struct nest *find_nest(struct lent *l, const struct space *sp,
			      const struct below *b)
{
	for (u32 i = 0; i < l->nests; i++)
		if (l->nest[i].space == sp && l->nest[i].below == b)
			return &l->nest[i];
	return NULL;
}

static struct nest *take_nest(struct lent *l, struct loan *d, struct err *e)
{
	struct below *b = take_below(l, d, e);
	struct nest *n = b ? find_nest(l, d->space, b) : NULL;

	if (!b || n)
		return n;
	n = &l->nest[l->nests++];
	*n = (struct nest) { .space = d->space, .below = b, .events.fd = -1 };
	if (!fill_nest(n, d->vfio.id, e))
		return n;
	lent_refused(d, e);
	return NULL;
}

void lent_nest_close(struct nest *n)
{
	lent_drop(n->space->iommufd, &n->bypass);
	lent_drop(n->space->iommufd, &n->abort);
	iommufd_events_free(n->space->iommufd, &n->events);
}

void lent_nest_drop(struct nest *n)
{
	lent_drop(n->space->iommufd, &n->viommu);
	lent_drop(n->space->iommufd, &n->stage2);
}

int lent_nest(struct lent *l, struct loan *d, struct err *e)
{
	static const struct smmu_plan all = { .kind = SMMU_BYPASS };
	struct nest *n;

	n = take_nest(l, d, e);
	if (!n)
		return e->code;
	d->nest = n;
	if (iommufd_vdevice_alloc(n->space->iommufd, n->viommu, d->vfio.id,
				  d->at.sid, &d->vdevice, e))
		return lent_refused(d, e);
	return lent_follow(d, &all, e);
}
