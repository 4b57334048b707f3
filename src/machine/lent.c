/*
 * Lent functions: how they come to reach guest memory, and how all of it goes
 * again. What is made of another goes before that.
 */
#include "lent_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* What cannot be destroyed goes when the descriptors are closed: an event queue
 * that the kernel still polls for us, say, and what that needs. */
void lent_drop(int iommufd, u32 *id)
{
	u32 gone = *id;

	*id = 0;
	if (gone && iommufd_destroy(iommufd, gone))
		return;
}

/* --- spaces --- */

/* A memfd is mapped by the kernel's own view of it, which is quicker and knows
 * of its huge pages; before Linux 6.13 it cannot. */
static int map_ram(const struct lent_setup *s, const struct space *sp,
		   struct err *e)
{
	int err = -EOPNOTSUPP;

	if (s->ram_fd >= 0)
		err = iommufd_map_file(sp->iommufd, sp->ioas, s->ram, s->ram_fd,
				       0, s->ram_size, e);
	if (err != -EOPNOTSUPP)
		return err;
	return iommufd_map(sp->iommufd, sp->ioas, s->ram, s->ram_host,
			   s->ram_size, e);
}

static int fill_space(struct lent *l, struct space *sp, struct err *e)
{
	int err = iommufd_ioas_alloc(sp->iommufd, &sp->ioas, e);

	return err ? err : map_ram(&l->setup, sp, e);
}

/* The space that @at is in, with an iommufd. */
static struct space *open_space(struct lent *l, const struct lent_device *at,
				struct err *e)
{
	struct space *sp = l->space;

	while (sp < l->space + l->spaces && sp->number != at->space)
		sp++;
	if (sp < l->space + l->spaces)
		return sp;
	*sp = (struct space) {
		.number = at->space,
		.iommufd = at->iommufd ? at->iommufd : iommufd_open(e),
	};
	if (sp->iommufd < 0)
		return NULL;
	l->spaces++;
	return sp;
}

/* --- functions --- */

static int open_loan(struct lent *l, struct loan *d, struct err *e)
{
	const char *sys = l->setup.sys;

	return d->at.fd ? vfio_adopt(&d->vfio, sys, d->at.host, d->at.fd, e)
			: vfio_open(&d->vfio, sys, d->at.host, e);
}

static int bind_loan(struct lent *l, struct loan *d, struct err *e)
{
	d->space = open_space(l, &d->at, e);
	return d->space ? vfio_bind(&d->vfio, d->space->iommufd, e) : e->code;
}

/* To the address space itself: the kernel finds or makes a page table that the
 * function's IOMMU can use. */
static int attach_loan(struct lent *l, struct loan *d, struct err *e)
{
	int err;

	if (d->at.smmu != LENT_NO_SMMU)
		return lent_nest(l, d, e);
	err = vfio_attach(&d->vfio, d->space->ioas, e);
	d->attached = !err;
	return err;
}

static int for_each(struct lent *l,
		    int (*step)(struct lent *l, struct loan *d, struct err *e),
		    struct err *e)
{
	for (u32 i = 0; i < l->nr; i++)
		if (step(l, &l->loan[i], e))
			return err_prefix(e, "%s", l->loan[i].at.place);
	return 0;
}

/* --- all of them --- */

/* Opening does nothing to a function, so all are before one is bound, which may
 * reset it. */
static int build(struct lent *l, struct err *e)
{
	int err = for_each(l, open_loan, e);

	if (!err)
		err = for_each(l, bind_loan, e);
	for (u32 i = 0; !err && i < l->spaces; i++)
		err = fill_space(l, &l->space[i], e);
	return err ? err : for_each(l, attach_loan, e);
}

struct lent *lent_create(const struct lent_setup *s, struct err *e)
{
	struct lent *l = calloc(1, sizeof(*l));

	assert(s->nr <= LENT_DEVICES_MAX);
	if (!l) {
		err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	l->setup = *s;
	l->setup.devices = NULL;
	for (l->nr = 0; l->nr < s->nr; l->nr++)
		l->loan[l->nr] = (struct loan) { .at = s->devices[l->nr],
						 .vfio.fd = -1,
						 .faults.who = "smmu" };
	if (!build(l, e))
		return l;
	lent_destroy(l);
	return NULL;
}

static void detach(struct loan *d)
{
	struct err e;

	if (d->attached && vfio_detach(&d->vfio, &e))
		log_warn("%s", e.msg);
	if (d->nest)
		lent_drop(d->space->iommufd, &d->table);
}

void lent_destroy(struct lent *l)
{
	if (!l)
		return;
	for (u32 i = 0; i < l->nr; i++)
		detach(&l->loan[i]);
	for (u32 i = 0; i < l->nests; i++)
		lent_nest_close(&l->nest[i]);
	for (u32 i = 0; i < l->nr; i++)
		if (l->loan[i].nest)
			lent_drop(l->loan[i].space->iommufd,
				  &l->loan[i].vdevice);
	for (u32 i = 0; i < l->nests; i++)
		lent_nest_drop(&l->nest[i]);
	for (u32 i = 0; i < l->spaces; i++)
		lent_drop(l->space[i].iommufd, &l->space[i].ioas);
	for (u32 i = 0; i < l->nr; i++)
		vfio_close(&l->loan[i].vfio);
	for (u32 i = 0; i < l->spaces; i++)
		close(l->space[i].iommufd);
	free(l);
}

struct vfio_device *lent_vfio(struct lent *l, u32 i)
{
	assert(i < l->nr);
	return &l->loan[i].vfio;
}
