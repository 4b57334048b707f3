/*
 * BARs of hardware: mapped once, and shown to the guest where it puts them, in
 * whole pages of the host's. What a page cannot say, and what shares one with
 * the MSI-X table, is answered access by access.
 */
#include "vfio_priv.h"

#include <unistd.h>

static u64 page_size(void)
{
	return (u64)sysconf(_SC_PAGESIZE);
}

static void add_piece(struct vfio_bar *b, u64 from, u64 to)
{
	if (from < to && b->nr < BAR_PIECES_MAX)
		b->piece[b->nr++] =
			(struct bar_piece) { .off = from, .len = to - from };
}

/* What is left of a piece without the pages of @h. */
static void cut(struct vfio_bar *b, u32 i, const struct bar_hole *h)
{
	u64 page = page_size();
	u64 from = b->piece[i].off, to = from + b->piece[i].len;
	u64 gap = ALIGN_DOWN(h->off, page);
	u64 gap_end = ALIGN_UP(h->off + h->len, page);

	if (gap >= to || gap_end <= from)
		return;
	b->piece[i].len = gap > from ? gap - from : 0;
	add_piece(b, gap_end, to);
}

static void make_pieces(struct vfio_bar *b, const struct bar_hole *holes,
			u32 nr)
{
	u64 page = page_size();

	for (u32 i = 0; i < b->region.areas; i++) {
		u64 off = b->region.area[i].off;
		u64 len = b->region.area[i].size;

		if (b->host[i])
			add_piece(b, off, ALIGN_DOWN(off + len, page));
	}
	for (u32 i = 0; i < nr; i++)
		for (u32 j = 0, n = b->nr; j < n; j++)
			cut(b, j, &holes[i]);
}

/* Whole pages: of a BAR that is smaller the kernel gives the page, if nobody
 * else is on it. */
static u64 mapped_len(const struct vfio_bar *b, u32 area)
{
	return ALIGN_UP(b->region.area[area].size, page_size());
}

static int map(struct vfio_bar *b, const struct vfio_device *dev, struct err *e)
{
	int err = 0;

	for (u32 i = 0; !err && i < b->region.areas; i++)
		if (IS_ALIGNED(b->region.area[i].off, page_size()))
			err = vfio_map(dev, &b->region, b->region.area[i].off,
				       mapped_len(b, i), &b->host[i], e);
	return err;
}

int vfio_bar_map(struct vfio_bar *b, const struct vfio_device *dev,
		 const struct bar_hole *holes, u32 nr, const struct windows *w,
		 struct err *e)
{
	int err = map(b, dev, e);

	if (err)
		return err;
	make_pieces(b, holes, nr);
	for (u32 i = 0; i < b->nr; i++)
		b->piece[i].window = w->open(w->ctx);
	return 0;
}

void vfio_bar_unmap(struct vfio_bar *b)
{
	for (u32 i = 0; i < b->region.areas; i++) {
		if (b->host[i])
			vfio_unmap(b->host[i], mapped_len(b, i));
		b->host[i] = NULL;
	}
}

void *vfio_bar_at(const struct vfio_bar *b, u64 off, u64 len)
{
	for (u32 i = 0; i < b->region.areas; i++) {
		u64 from = b->region.area[i].off;

		if (b->host[i] && off >= from &&
		    range_fits(off - from, len, b->region.area[i].size))
			return (char *)b->host[i] + (off - from);
	}
	return NULL;
}

/* Where the host refuses, as where the guest puts one BAR upon another, we
 * answer. */
void vfio_bar_move(struct vfio_bar *b, gpa_t at, const struct windows *w)
{
	for (u32 i = 0; i < b->nr; i++) {
		struct bar_piece *p = &b->piece[i];

		if (p->shown)
			w->hide(w->ctx, p->window);
		p->shown = at && p->len && IS_ALIGNED(at, page_size()) &&
			   !w->show(w->ctx, p->window, at + p->off, p->len,
				    vfio_bar_at(b, p->off, p->len));
	}
}
