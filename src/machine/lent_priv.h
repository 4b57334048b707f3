/*
 * What the files of lent share: lent.c has the functions, lent_nest.c makes
 * what is between them and an SMMU of the guest's, lent_smmu.c is what that
 * does.
 *
 * Objects of iommufd's are numbers from 1; 0: there is none.
 */
#ifndef BELFRY_LENT_PRIV_H
#define BELFRY_LENT_PRIV_H

#include "lent.h"

#include <belfry/iommufd.h>
#include <belfry/log.h>

struct space {
	u32 number;
	int iommufd; /* -1: closed */
	u32 ioas;    /* guest memory */
};

/* An SMMU of the guest's, and the one of the host's that it is. */
struct below {
	struct lent *lent;
	u32 number;
	struct iommufd_hw hw;
	struct smmu *smmu; /* where events go; the loop's thread */
	struct guest_faults faults;
};

/* What functions of one space have behind one SMMU of the guest's. */
struct nest {
	struct space *space;
	struct below *below;
	u32 stage2, viommu;
	u32 abort, bypass; /* tables that any stream may have */
	struct iommufd_events events;
	/* The loop's thread. */
	struct loop_op op;
	u32 next; /* the number that the next event should have */
};

struct loan {
	struct lent_device at; /* of the strings only @place */
	struct vfio_device vfio;
	struct space *space;
	bool attached;

	/* Behind an SMMU of the guest's; under its lock. */
	struct nest *nest; /* NULL: it is behind none */
	u32 vdevice;
	u32 table; /* made of the guest's STE, and attached */
	struct smmu_plan now;
	struct guest_faults faults;
	_Atomic u64 lost; /* messages */
};

struct lent {
	struct lent_setup setup; /* without @devices */
	u32 nr, spaces, belows, nests;
	struct loan loan[LENT_DEVICES_MAX];
	/* No more of each than of those. */
	struct space space[LENT_DEVICES_MAX];
	struct below below[LENT_DEVICES_MAX];
	struct nest nest[LENT_DEVICES_MAX];
};

/* lent.c: destroy an object, if there is one. */
void lent_drop(int iommufd, u32 *id);

/* lent_nest.c: put it behind its SMMU of the guest's, where it reaches all of
 * guest memory. -errno and a message; what was made goes with the rest. */
MUST_CHECK int lent_nest(struct lent *l, struct loan *d, struct err *e);
/* What goes before the vDEVICEs, and after them. */
void lent_nest_close(struct nest *n);
void lent_nest_drop(struct nest *n);
/* NULL if nothing is behind that SMMU of the guest's. */
struct below *lent_below(struct lent *l, u32 number);
/* Of an STE's words. */
MUST_CHECK int lent_table(const struct nest *n, u32 device, u64 word0,
			  u64 word1, u32 *table, struct err *e);
/* A call of iommufd's failed, which does not know for which function, nor what
 * else the operator can do; its code. */
int lent_refused(const struct loan *d, struct err *e);

/* lent_smmu.c: it has what @plan says, or what it had, and a message. */
MUST_CHECK int lent_follow(struct loan *d, const struct smmu_plan *plan,
			   struct err *e);

#endif
