#include <belfry/dma.h>

#include <errno.h>
#include <string.h>

static void *map_plain(void *ctx, u64 addr, u64 *len, bool write)
{
	return gmem_span(ctx, addr, len);
}

struct dma dma_plain(struct gmem *mem)
{
	return (struct dma) { .map = map_plain, .ctx = mem };
}

void *dma_piece(const struct dma *d, u64 addr, u64 len, bool write)
{
	u64 got = len;
	void *p = dma_map(d, addr, &got, write);

	return got == len ? p : NULL;
}

/* The piece at @addr, or NULL; what is left begins behind it. */
static void *next_piece(const struct dma *d, u64 addr, u64 len, bool write,
			u64 *got)
{
	*got = len;
	return addr + len - 1 < addr ? NULL : dma_map(d, addr, got, write);
}

int dma_read(const struct dma *d, u64 addr, void *buf, u64 len)
{
	u8 *to = buf;

	for (u64 got; len; addr += got, to += got, len -= got) {
		const void *from = next_piece(d, addr, len, false, &got);

		if (!from)
			return -EFAULT;
		memcpy(to, from, got);
	}
	return 0;
}

int dma_write(const struct dma *d, u64 addr, const void *buf, u64 len)
{
	const u8 *from = buf;

	for (u64 got; len; addr += got, from += got, len -= got) {
		void *to = next_piece(d, addr, len, true, &got);

		if (!to)
			return -EFAULT;
		memcpy(to, from, got);
	}
	return 0;
}
