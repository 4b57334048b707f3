/*
 * The split virtqueue, as a device sees it.
 *
 * Every access to the rings asks the dma capability anew, at most for the
 * length of one call: behind an IOMMU the driver may move or unmap them while
 * the queue is live, and then a pointer kept from virtq_start would reach
 * memory that the device may no longer touch. For plain memory that is a
 * compare and an addition per access.
 *
 * The driver runs beside us, on processors that order memory weakly: each
 * barrier below says what it orders, and pairs with one of the driver's.
 *
 * VIRTIO 1.2, 2.7.
 */
#include <belfry/virtqueue.h>

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A descriptor, 2.7.5, little-endian as all of the ring. */
struct desc {
	u64 addr;
	u32 len;
	u16 flags, next;
};
static_assert(sizeof(struct desc) == 16, "VIRTIO 1.2, 2.7.5");

#define DESC_F_NEXT     BIT(0)
#define DESC_F_WRITE    BIT(1)
#define DESC_F_INDIRECT BIT(2)

#define CHAIN_LEN_MAX   BIT(32) /* bytes, 2.7.5 */

struct used_elem {
	u32 id, len;
};
static_assert(sizeof(struct used_elem) == 8, "VIRTIO 1.2, 2.7.8");

/* Offsets in the driver's area, 2.7.6, and the device's, 2.7.8: the ring is
 * followed by the index at which the other side wants to be told. */
#define RING_FLAGS         0
#define RING_IDX           2
#define RING_ENTRIES       4

#define AVAIL_NO_INTERRUPT BIT(0) /* flags of the driver's area */
#define USED_NO_NOTIFY     BIT(0) /* flags of the device's */

static u64 avail_entry(const struct virtq *q, u32 i)
{
	return q->driver + RING_ENTRIES + i * sizeof(u16);
}

static u64 used_entry(const struct virtq *q, u32 i)
{
	return q->device + RING_ENTRIES + i * sizeof(struct used_elem);
}

static u64 used_event(const struct virtq *q)
{
	return avail_entry(q, q->size);
}

static u64 avail_event(const struct virtq *q)
{
	return used_entry(q, q->size);
}

void virtq_break(struct virtq *q, const char *fmt, ...)
{
	char why[160];
	va_list ap;

	if (q->broken)
		return;
	q->broken = true;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	guest_fault(q->faults, "queue broken: %s", why);
}

/* An area of @len bytes at @addr, as 2.7 wants it aligned. */
static void check_area(struct virtq *q, const char *name, u64 addr, u64 len,
		       u32 align)
{
	if (!IS_ALIGNED(addr, align) || addr + len < addr)
		virtq_break(q, "%s cannot be at %#" PRIx64, name, addr);
}

void virtq_start(struct virtq *q)
{
	assert(q->size && q->size <= VIRTQ_SIZE_MAX &&
	       !(q->size & (q->size - 1)));
	q->avail_next = 0;
	q->avail_seen = 0;
	q->used_next = 0;
	q->used_shown = 0;
	q->taken = 0;
	q->broken = false;
	check_area(q, "descriptor table", q->desc,
		   q->size * sizeof(struct desc), 16);
	check_area(q, "available ring", q->driver,
		   RING_ENTRIES + (q->size + 1) * sizeof(u16), 2);
	check_area(q, "used ring", q->device,
		   RING_ENTRIES + q->size * sizeof(struct used_elem) +
			   sizeof(u16),
		   4);
}

/* A 16-bit field of a ring, or NULL and the queue is broken. */
static u16 *field(struct virtq *q, u64 addr, bool write)
{
	u16 *p = dma_piece(q->dma, addr, sizeof(*p), write);

	if (!p)
		virtq_break(q, "no memory at %#" PRIx64 " of a ring", addr);
	return p;
}

static bool load(struct virtq *q, u64 addr, u16 *val)
{
	const u16 *p = field(q, addr, false);

	if (p)
		*val = le16toh(__atomic_load_n(p, __ATOMIC_RELAXED));
	return p;
}

static bool store(struct virtq *q, u64 addr, u16 val)
{
	u16 *p = field(q, addr, true);

	if (p)
		__atomic_store_n(p, htole16(val), __ATOMIC_RELAXED);
	return p;
}

/* --- from the driver to the device --- */

/*
 * Descriptors as they lie in memory, the queue's or an indirect table's, and
 * those of them that were mapped last.
 */
struct table {
	u64 addr;
	u32 nr;
	bool indirect;
	const u8 *at; /* descriptors @first to @first + @here */
	u32 first, here;
};

/* Copy descriptor @i. Nothing aligns an indirect table, so one of its
 * descriptors may lie in two pieces. */
static bool table_read(const struct virtq *q, struct table *t, u32 i,
		       struct desc *d)
{
	u64 addr = t->addr + i * sizeof(*d);

	if (i - t->first >= t->here) {
		u64 len = (t->nr - i) * sizeof(*d);

		t->at = dma_map(q->dma, addr, &len, false);
		t->first = i;
		t->here = t->at ? (u32)(len / sizeof(*d)) : 0;
	}
	if (!t->here)
		return !dma_read(q->dma, addr, d, sizeof(*d));
	memcpy(d, t->at + (i - t->first) * sizeof(*d), sizeof(*d));
	/* The copy is what counts: the compiler must not look again. */
	__asm__("" : "+m"(*d));
	return true;
}

/* Go on in the table that @d refers to, 2.7.5.3. WRITE means nothing there. */
static bool table_enter(struct virtq *q, struct table *t, const struct desc *d)
{
	u64 addr = le64toh(d->addr);
	u32 len = le32toh(d->len);

	if (!q->indirect)
		virtq_break(q, "an indirect table, which was not agreed on");
	else if (t->indirect)
		virtq_break(q, "an indirect table within another");
	else if (le16toh(d->flags) & DESC_F_NEXT)
		virtq_break(q, "an indirect table that does not end a chain");
	else if (!len || len % sizeof(*d) || len / sizeof(*d) > q->size ||
		 addr + len < addr)
		virtq_break(q, "an indirect table of %u bytes at %#" PRIx64,
			    len, addr);
	*t = (struct table) {
		.addr = addr,
		.nr = len / (u32)sizeof(*d),
		.indirect = true,
	};
	return !q->broken;
}

/* Append the pieces of a buffer. */
static bool chain_map(struct virtq *q, struct virtq_chain *c, u64 addr, u64 len,
		      bool write)
{
	for (u64 here; len; addr += here, len -= here) {
		u32 nr = c->out_nr + c->in_nr;

		if (nr == c->iov_max) {
			virtq_break(q, "a chain of more than %u pieces", nr);
			return false;
		}
		here = len;
		c->iov[nr].iov_base = dma_map(q->dma, addr, &here, write);
		c->iov[nr].iov_len = here;
		if (!c->iov[nr].iov_base) {
			virtq_break(q, "no memory at %#" PRIx64 " to %s", addr,
				    write ? "write" : "read");
			return false;
		}
		++*(write ? &c->in_nr : &c->out_nr);
	}
	return true;
}

static bool chain_add(struct virtq *q, struct virtq_chain *c,
		      const struct desc *d)
{
	bool write = le16toh(d->flags) & DESC_F_WRITE;
	u64 addr = le64toh(d->addr);
	u32 len = le32toh(d->len);

	if (!write && c->in_nr)
		virtq_break(q, "a readable buffer after a writable one");
	else if (addr + len < addr)
		virtq_break(q, "a buffer of %u bytes at %#" PRIx64, len, addr);
	else if (c->out_len + c->in_len + len > CHAIN_LEN_MAX)
		virtq_break(q, "a chain of more than 4 GiB");
	if (q->broken)
		return false;
	*(write ? &c->in_len : &c->out_len) += len;
	return chain_map(q, c, addr, len, write);
}

/*
 * Follow the chain from descriptor @i of the queue. It ends after as many
 * buffers as the queue has descriptors, which no loop passes; the one
 * descriptor that refers to a table is none of them.
 */
static bool chain_walk(struct virtq *q, struct virtq_chain *c, u32 i)
{
	struct table t = { .addr = q->desc, .nr = q->size };
	u32 left = q->size;
	struct desc d;

	for (;;) {
		if (i >= t.nr || !table_read(q, &t, i, &d)) {
			virtq_break(q, "descriptor %u, of %u at %#" PRIx64, i,
				    t.nr, t.addr);
			return false;
		}
		if (le16toh(d.flags) & DESC_F_INDIRECT) {
			if (!table_enter(q, &t, &d))
				return false;
			i = 0;
			continue;
		}
		if (!left--) {
			virtq_break(q, "a chain of more than %u descriptors",
				    q->size);
			return false;
		}
		if (!chain_add(q, c, &d))
			return false;
		if (!(le16toh(d.flags) & DESC_F_NEXT))
			return true;
		i = le16toh(d.next);
	}
}

/*
 * How far has the driver come? What it wrote before it moved its index,
 * entries and descriptors, is read after the index: pairs with the barrier of
 * 2.7.13.3.
 */
static bool look(struct virtq *q)
{
	const u16 *p = field(q, q->driver + RING_IDX, false);
	u16 idx;

	if (!p)
		return false;
	idx = le16toh(__atomic_load_n(p, __ATOMIC_ACQUIRE));
	/* Each chain that it offers, or that we have, takes a descriptor. */
	if ((u16)(idx - q->avail_next) > q->size - q->taken) {
		virtq_break(q, "available index %u, after %u and %u in use",
			    idx, q->avail_next, q->taken);
		return false;
	}
	q->avail_seen = idx;
	return true;
}

int virtq_pop(struct virtq *q, struct virtq_chain *c)
{
	if (q->broken || (q->avail_next == q->avail_seen && !look(q)))
		return -EPROTO;
	if (q->avail_next == q->avail_seen)
		return 0;

	c->out_nr = c->in_nr = 0;
	c->out_len = c->in_len = 0;
	if (!load(q, avail_entry(q, q->avail_next & (q->size - 1)), &c->head) ||
	    !chain_walk(q, c, c->head))
		return -EPROTO;
	q->avail_next++;
	q->taken++;
	return 1;
}

void virtq_unpop(struct virtq *q, u32 nr)
{
	assert(nr <= q->taken);
	q->avail_next -= (u16)nr;
	q->taken -= nr;
}

/* --- from the device to the driver --- */

void virtq_push(struct virtq *q, u16 head, u32 written)
{
	const struct used_elem elem = { htole32(head), htole32(written) };

	assert(q->taken);
	q->taken--;
	if (q->broken)
		return;
	/* Of 8 bytes at an odd multiple of 4: may lie in two pieces. */
	if (dma_write(q->dma, used_entry(q, q->used_next & (q->size - 1)),
		      &elem, sizeof(elem)))
		virtq_break(q, "no memory for the used ring at %#" PRIx64,
			    q->device);
	q->used_next++;
}

/* Does the driver want to be told that the used index went from @old to
 * @new? 2.7.7 and, for the event index, 2.7.10. */
static bool wants_interrupt(struct virtq *q, u16 old, u16 new)
{
	u16 said;

	if (!load(q, q->event_idx ? used_event(q) : q->driver + RING_FLAGS,
		  &said))
		return false;
	if (q->event_idx) /* was the index @said passed? It may have wrapped */
		return (u16)(new - said - 1) < (u16)(new - old);
	return !(said & AVAIL_NO_INTERRUPT);
}

bool virtq_show(struct virtq *q)
{
	u16 old = q->used_shown, new = q->used_next, *idx;

	if (q->broken || old == new)
		return false;
	idx = field(q, q->device + RING_IDX, true);
	if (!idx)
		return false;
	/* Buffers and used entries are written before the index is. */
	__atomic_store_n(idx, htole16(new), __ATOMIC_RELEASE);
	q->used_shown = new;
	/*
	 * The index must be out before we read what the driver wants, as the
	 * driver says what it wants before it reads the index again: of two
	 * that write one thing and then read the other's, one sees the other.
	 * Only a full barrier orders a write before a read.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return wants_interrupt(q, old, new);
}

/*
 * With an event index there is nothing to do: the driver has passed the index
 * it was last asked to notify at, or else notifies once more.
 */
void virtq_quiet(struct virtq *q)
{
	if (!q->broken && !q->event_idx)
		store(q, q->device + RING_FLAGS, USED_NO_NOTIFY);
}

bool virtq_listen(struct virtq *q)
{
	u16 idx;

	if (q->broken ||
	    !(q->event_idx ? store(q, avail_event(q), q->avail_seen)
			   : store(q, q->device + RING_FLAGS, 0)))
		return false;
	/* The same as in virtq_show: what we asked for must be out before we
	 * look for what came before the driver could see it. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return load(q, q->driver + RING_IDX, &idx) && idx != q->avail_seen;
}

/* --- bytes of a chain --- */

/* The part of @v that @off, counted from its start, leaves; @off becomes what
 * it skips of the next. */
static struct iovec after(struct iovec v, u64 *off)
{
	size_t skip = (size_t)MIN(*off, v.iov_len);

	*off -= skip;
	return (struct iovec) { (u8 *)v.iov_base + skip, v.iov_len - skip };
}

size_t virtq_chain_read(const struct virtq_chain *c, u64 off, void *buf,
			size_t len)
{
	size_t done = 0;

	for (u32 i = 0; i < c->out_nr && done < len; i++) {
		struct iovec v = after(c->iov[i], &off);
		size_t n = MIN(v.iov_len, len - done);

		memcpy((u8 *)buf + done, v.iov_base, n);
		done += n;
	}
	return done;
}

size_t virtq_chain_write(const struct virtq_chain *c, u64 off, const void *buf,
			 size_t len)
{
	size_t done = 0;

	for (u32 i = 0; i < c->in_nr && done < len; i++) {
		struct iovec v = after(c->iov[c->out_nr + i], &off);
		size_t n = MIN(v.iov_len, len - done);

		memcpy(v.iov_base, (const u8 *)buf + done, n);
		done += n;
	}
	return done;
}
