/*
 * The device tree a guest gets: what the machine holds, in the words of the
 * kernel's bindings. Pure: the same input, the same bytes.
 */
#ifndef BELFRY_DEVTREE_H
#define BELFRY_DEVTREE_H

#include <belfry/base.h>
#include <belfry/err.h>
#include <belfry/memmap.h>

#define DEVTREE_RNG_SEED 32

struct devtree {
	const struct memmap *map;
	u32 cpus;
	bool pmu;
	const char *cmdline;
	gpa_t initrd, initrd_end; /* equal: none */
	u64 kaslr_seed;
	u8 rng_seed[DEVTREE_RNG_SEED];
};

/* Bytes that surely hold the tree of a machine with @cpus vCPUs. */
size_t devtree_size(const struct devtree *d);

/*
 * Write the tree into @buf of @size bytes. Returns its length, or what
 * dt_finish says.
 */
MUST_CHECK int devtree_write(const struct devtree *d, void *buf, size_t size,
			     struct err *e);

#endif
