/*
 * A guest on paper: its files opened and recognised, its memory laid out, its
 * device tree described. All that can be known of a configuration without
 * KVM, so that `check` and `fdt` find what a run would.
 */
#ifndef BELFRY_PLAN_H
#define BELFRY_PLAN_H

#include <belfry/base.h>
#include <belfry/config.h>
#include <belfry/devtree.h>
#include <belfry/disk.h>
#include <belfry/err.h>
#include <belfry/hostpci.h>
#include <belfry/image.h>
#include <belfry/memmap.h>

/* A device that is passed through. */
#define PLAN_NO_SMMU UINT32_MAX
struct plan_vfio {
	struct hostpci host; /* as sysfs tells */
	u32 space;           /* equal for those that share an ITS of the host */
	u32 smmu;            /* of the guest's that it is behind */
	u32 intid; /* the SPI that its pin is wired to; 0: it has none */
	/* The guest is to map the MSI window for it as it is: told to. Who
	 * finds out that it must sets this; the tree has room. */
	bool rmr;
};

struct plan {
	const struct config *cfg; /* borrowed */
	struct image image;
	struct initrd initrd;                     /* size 0: none */
	struct disk disks[CONFIG_DRIVES_MAX];     /* of the drives, by index */
	const char *sys;                          /* borrowed: where sysfs is */
	struct plan_vfio vfios[CONFIG_VFIOS_MAX]; /* by index */
	u32 smmus;                                /* of the guest's */
	u64 mem64_size; /* of PCI's window above 4 GiB */
	bool pmu;
	struct memmap map;
	struct image_layout layout;
	size_t fdt_size; /* bytes set aside for the device tree */
};

/* Add to @f the networks of @c that a run here would be refused, as far as can
 * be told without opening them. */
void plan_check_nets(const struct config *c, struct faults *f);

/*
 * Open the files @c names, and look what they are; drives are locked from here
 * on. Adds to @f what is wrong with each; then false, and nothing is left open.
 * plan_close is harmless on that, and twice.
 */
MUST_CHECK bool plan_open(struct plan *p, const struct config *c,
			  struct faults *f);
void plan_close(struct plan *p);

/*
 * Look in sysfs at @sys ("/sys"), which must stay, for what is passed through;
 * after plan_open, whatever that said. Adds to @f what this host lacks, or does
 * not let go; then false. Opens no device.
 */
MUST_CHECK bool plan_find(struct plan *p, const char *sys, struct faults *f);

/* Decide what goes where, on a host that offers these two, or does not. */
MUST_CHECK int plan_place(struct plan *p, bool pmu, bool steal_time,
			  struct err *e);

/* The tree of a placed plan; the caller adds seeds. */
void plan_devtree(const struct plan *p, struct devtree *d);

/* Of that, which functions are behind which SMMU, and have which pin. */
void plan_streams(const struct plan *p, struct devtree *d);

#endif
