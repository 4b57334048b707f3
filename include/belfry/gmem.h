/*
 * Guest memory: the only way from a guest-physical address to bytes.
 *
 * Maps nothing itself; it is given mappings. The guest may change its memory
 * at any time: copy once with gmem_read, then decide on the copy. Thread-safe
 * once filled.
 *
 * A range that spans two regions is refused, even where they touch: memory
 * that is contiguous for the guest is added as one region.
 */
#ifndef BELFRY_GMEM_H
#define BELFRY_GMEM_H

#include <belfry/base.h>

#define GMEM_REGIONS_MAX 4

struct gmem_region {
	gpa_t start;
	u64 len;
	void *host; /* borrowed: outlives the gmem */
};

/* Zeroed, it is empty. */
struct gmem {
	struct gmem_region regions[GMEM_REGIONS_MAX];
	size_t nr;
};

/* -EINVAL if empty, wrapping or overlapping; -ENOSPC if there are too many. */
MUST_CHECK int gmem_add(struct gmem *m, gpa_t start, u64 len, void *host);

/*
 * The bytes [addr, addr + len), or NULL if they are not all in one region.
 * What lies there may change under the reader; see gmem_read.
 */
void *gmem_slice(const struct gmem *m, gpa_t addr, u64 len);

/* The bytes from @addr on, and in *@len how many of the *@len wanted are there;
 * NULL if not even the first is. */
void *gmem_span(const struct gmem *m, gpa_t addr, u64 *len);

/* Copy out of, or into, the guest. -EFAULT (nothing copied) where gmem_slice
 * says NULL. */
MUST_CHECK int gmem_read(const struct gmem *m, gpa_t addr, void *buf, u64 len);
MUST_CHECK int gmem_write(const struct gmem *m, gpa_t addr, const void *buf,
			  u64 len);

#endif
