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

/* Functions [rid, rid + count) of PCI are streams [stream, stream + count) of
 * an SMMU, by its index. */
struct devtree_streams {
	u32 rid, count, smmu, stream;
};

/* 32 functions that are behind another SMMU than what lies between them. */
#define DEVTREE_STREAMS_MAX 65
#define DEVTREE_RMRS_MAX    32

/* The function @rid interrupts by INTA as SPI @intid. */
#define DEVTREE_PINS_MAX 32
struct devtree_pin {
	u32 rid, intid;
};

struct devtree {
	const struct memmap *map;
	u32 cpus;
	bool pmu;
	const char *cmdline;
	gpa_t initrd, initrd_end; /* equal: none */
	/* No two with the same RID. A function in none of these is behind no
	 * SMMU. */
	struct devtree_streams streams[DEVTREE_STREAMS_MAX];
	u32 streams_nr;
	/* RIDs of functions behind an SMMU for which the guest is to map the
	 * MSI window as it is. */
	u32 rmr[DEVTREE_RMRS_MAX];
	u32 rmrs;
	struct devtree_pin pin[DEVTREE_PINS_MAX];
	u32 pins;
	u64 kaslr_seed;
	u8 rng_seed[DEVTREE_RNG_SEED];
};

/* Bytes that surely hold the tree, whatever seeds, initrd and rmr are. */
size_t devtree_size(const struct devtree *d);

/*
 * Write the tree into @buf of @size bytes. Returns its length, or what
 * dt_finish says.
 */
MUST_CHECK int devtree_write(const struct devtree *d, void *buf, size_t size,
			     struct err *e);

#endif
