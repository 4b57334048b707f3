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
#include <belfry/image.h>
#include <belfry/memmap.h>

struct plan {
	const struct config *cfg; /* borrowed */
	struct image image;
	struct initrd initrd;                 /* size 0: none */
	struct disk disks[CONFIG_DRIVES_MAX]; /* of the drives, by index */
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

/* Decide what goes where, on a host that offers these two, or does not. */
MUST_CHECK int plan_place(struct plan *p, bool pmu, bool steal_time,
			  struct err *e);

/* The tree of a placed plan; the caller adds seeds. */
void plan_devtree(const struct plan *p, struct devtree *d);

#endif
