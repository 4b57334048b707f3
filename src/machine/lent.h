/*
 * The host's PCI functions that the guest has: opened, bound, and reaching the
 * guest's memory. A function is behind an SMMU of the guest's or behind none,
 * and a guest's SMMU is a view of the host's: tables, invalidations and events
 * go through iommufd from the one to the other.
 *
 * Functions of one space share an iommufd and the guest's memory in it. Those
 * of one SMMU that are in several spaces have a view of the host's SMMU in
 * each.
 *
 * What is called of the kernel while the guest runs, for the sandbox:
 *
 *	lent_backend	ioctl: iommufd_requests, vfio_requests; on vCPU threads
 *			and the loop's, wherever the SMMU calls its backend
 *	lent_start	read: events; on the loop's thread
 *	lent_destroy	ioctl: iommufd_requests, vfio_requests; close; on the
 *			loop's thread
 */
#ifndef BELFRY_LENT_H
#define BELFRY_LENT_H

#include <belfry/base.h>
#include <belfry/err.h>
#include <belfry/loop.h>
#include <belfry/smmu.h>
#include <belfry/vfio.h>

#define LENT_DEVICES_MAX 32
#define LENT_NO_SMMU     UINT32_MAX

struct lent_device {
	const char *host;  /* as hostpci_name makes it */
	const char *place; /* where the operator asked for it */
	int fd, iommufd;   /* opened by others, then lent's; 0: not. All in a
			      space have one iommufd. */
	u32 sid;           /* the guest's StreamID: its bus, device, function */
	u32 space;         /* any number */
	/* Which of the guest's, or LENT_NO_SMMU. A table is attached to all of
	 * an IOMMU group, and the kernel asks each for a stream of the guest's:
	 * behind one it must be alone in its group. */
	u32 smmu;
};

struct lent_setup {
	const char *sys; /* "/sys" */
	const struct lent_device *devices;
	u32 nr;
	/* All of guest memory. @ram_fd: the memfd that it is, or -1. */
	gpa_t ram;
	u64 ram_size;
	void *ram_host;
	int ram_fd;
	gpa_t translater; /* the guest's GITS_TRANSLATER */
	struct loop *loop;
};

struct lent;

/*
 * All of them are opened, bound and attached, and reach all of guest memory: an
 * SMMU of the guest's lets everything pass as yet. What *@s points to is
 * borrowed, except @s->devices itself. NULL and @e, nothing left behind.
 */
struct lent *lent_create(const struct lent_setup *s, struct err *e);

/* No vCPU and no loop runs, and what was made of lent_vfio and lent_backend is
 * gone. Functions are detached before anything else. */
void lent_destroy(struct lent *l);

/* Of @s->devices[@i]; borrowed. */
struct vfio_device *lent_vfio(struct lent *l, u32 i);

/*
 * Interrupts of its that an SMMU of the guest's has stopped at the address that
 * the host's kernel gave them, because the guest's was not in the device then.
 * Any thread.
 */
u64 lent_lost(const struct lent *l, u32 i);

/* IDR0 to IDR5 of the host's SMMU behind the guest's @smmu; NULL if no function
 * is behind that. */
const u32 *lent_idrs(const struct lent *l, u32 smmu);

/* For smmu_setup of the guest's @smmu, which some function is behind. */
struct smmu_backend lent_backend(struct lent *l, u32 smmu);

/* From now on what goes wrong in the streams of @smmu goes to @s, which must
 * outlive the loop; on the loop's thread. Once. */
void lent_start(struct lent *l, u32 smmu, struct smmu *s);

#endif
