/*
 * What a device may do to memory: the only way from an address that a driver
 * gave it to bytes.
 *
 * Behind it is plain guest memory, where bus addresses are guest-physical, or
 * an IOMMU's translation; to a device both are alike. Never keep a pointer
 * beyond the request it was asked for.
 */
#ifndef BELFRY_DMA_H
#define BELFRY_DMA_H

#include <belfry/base.h>
#include <belfry/gmem.h>

struct dma {
	/*
	 * The bytes at bus address @addr: returns where they are, and in *@len
	 * how many of the *@len wanted (not 0) lie there in one piece, 1 or
	 * more. NULL if the device may not read (@write: write) the first of
	 * them. Any thread.
	 */
	void *(*map)(void *ctx, u64 addr, u64 *len, bool write);
	void *ctx;
	/* Bus addresses can be other than guest-physical ones, so a driver
	 * must get them from its platform; to know that costs it time. */
	bool translates;
};

/* Guest memory as it is. @mem is borrowed. */
struct dma dma_plain(struct gmem *mem);

static inline void *dma_map(const struct dma *d, u64 addr, u64 *len, bool write)
{
	return d->map(d->ctx, addr, len, write);
}

/* All @len bytes in one piece, or NULL. What does not cross a multiple of its
 * own size, a power of two up to 4 KiB, always is in one. */
void *dma_piece(const struct dma *d, u64 addr, u64 len, bool write);

/* Copy out of, or into, memory. -EFAULT where the device has no access; some
 * of it may have been copied then. */
MUST_CHECK int dma_read(const struct dma *d, u64 addr, void *buf, u64 len);
MUST_CHECK int dma_write(const struct dma *d, u64 addr, const void *buf,
			 u64 len);

#endif
