/*
 * Who answers at which guest-physical address.
 *
 * Filled while the machine is built, read-only while the guest runs, so a
 * lookup takes no lock. Handlers run on the vCPU thread that made the access
 * and take their device's own lock.
 */
#ifndef BELFRY_MMIO_H
#define BELFRY_MMIO_H

#include <belfry/base.h>
#include <belfry/err.h>
#include <belfry/log.h>

#define MMIO_REGIONS_MAX 64

struct mmio_ops {
	/* [@off, @off + @size) is within the region; @size is 1, 2, 4 or 8.
	 * Nothing is said of alignment. @val is 0 above @size bytes. */
	u64 (*read)(void *dev, u64 off, u32 size);
	void (*write)(void *dev, u64 off, u32 size, u64 val);
};

struct mmio_region {
	const char *name; /* for messages; borrowed */
	gpa_t start;
	u64 len;
	const struct mmio_ops *ops; /* borrowed, as is @dev */
	void *dev;
};

struct mmio_bus {
	struct mmio_region regions[MMIO_REGIONS_MAX]; /* ascending by start */
	size_t nr;
	struct guest_faults faults; /* accesses nobody answers */
};

void mmio_bus_init(struct mmio_bus *b);

/*
 * Add a region; *@r is copied. -EINVAL if it is empty or wraps, -EEXIST if it
 * overlaps one that is there (@e names both), -ENOSPC if the table is full.
 */
MUST_CHECK int mmio_bus_add(struct mmio_bus *b, const struct mmio_region *r,
			    struct err *e);

/*
 * One guest access. An access that no region wholly contains is counted as a
 * fault and reads as 0, is ignored as a write. A read returns only the low
 * @size bytes, whatever the handler said. @size is 1, 2, 4 or 8.
 */
u64 mmio_read(struct mmio_bus *b, gpa_t addr, u32 size);
void mmio_write(struct mmio_bus *b, gpa_t addr, u32 size, u64 val);

#endif
