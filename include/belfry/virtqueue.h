/*
 * A split virtqueue, the device's side of it: takes chains of buffers out of
 * the available ring, puts them into the used ring, and tells when the driver
 * wants to be told.
 *
 * Nothing read from the ring is trusted; what breaks the specification breaks
 * the queue (virtq_pop says so, once, and from then on), never us. One thread
 * at a time: the event loop's.
 *
 * VIRTIO 1.2, 2.6 and 2.7, with VIRTIO_F_INDIRECT_DESC and VIRTIO_F_EVENT_IDX.
 */
#ifndef BELFRY_VIRTQUEUE_H
#define BELFRY_VIRTQUEUE_H

#include <belfry/base.h>
#include <belfry/dma.h>
#include <belfry/log.h>

#include <sys/uio.h>

#define VIRTQ_SIZE_MAX 1024 /* descriptors; the specification allows 32768 */

struct virtq {
	/* What the driver set up (4.1.4.3); fixed while the queue is live. */
	u32 size; /* descriptors: a power of two up to VIRTQ_SIZE_MAX */
	u64 desc, driver, device; /* bus addresses of the three areas */
	bool event_idx, indirect; /* negotiated */

	const struct dma *dma;       /* borrowed, as is the next */
	struct guest_faults *faults; /* counts what the driver did wrong */

	/* The device's own state; zero at the start. */
	u16 avail_next; /* next entry of the available ring to look at */
	u16 avail_seen; /* the driver's index when last read */
	u16 used_next;  /* next entry of the used ring to fill */
	u16 used_shown; /* used index that the driver has been shown */
	u32 taken;      /* chains popped and not pushed */
	bool broken;
};

/* A chain: first what the device reads, then what it writes. */
struct virtq_chain {
	struct iovec *iov; /* the caller's, @iov_max of them */
	u32 iov_max;
	u16 head;            /* of the chain: virtq_push takes it */
	u32 out_nr, in_nr;   /* iovecs to read from, and after them to write */
	u64 out_len, in_len; /* bytes in these */
};

/* Make a queue live with what the driver set up, its own state as new. */
void virtq_start(struct virtq *q);

/*
 * The next chain. 1 and the chain, 0 if there is none, or -EPROTO if the queue
 * is (now) broken: a bad index or address, a loop, a chain longer than the
 * queue or the iovecs given, indirect within indirect, readable after
 * writable. Empty buffers are left out. The iovecs point into guest memory,
 * whose bytes may change at any time; nothing keeps a driver from offering the
 * same head twice.
 */
MUST_CHECK int virtq_pop(struct virtq *q, struct virtq_chain *c);

/* Undo the last @nr virtq_pop since which nothing was pushed: the same chains
 * come again. */
void virtq_unpop(struct virtq *q, u32 nr);

/* Hand a chain back, @written bytes of its writable part filled. The driver
 * sees it, and those before it, after virtq_show. */
void virtq_push(struct virtq *q, u16 head, u32 written);

/* Show what was pushed; true if the driver wants an interrupt for it. */
MUST_CHECK bool virtq_show(struct virtq *q);

/* Ask the driver not to notify: we are looking anyway. A hint. */
void virtq_quiet(struct virtq *q);

/* Ask it to notify again. True if it has offered something since virtq_pop
 * last found nothing: look again, no notification may come for that. What was
 * seen and left, or undone, does not count. */
MUST_CHECK bool virtq_listen(struct virtq *q);

/* The queue is broken for a reason that only the device knows. */
PRINTF_LIKE(2, 3) void virtq_break(struct virtq *q, const char *fmt, ...);

/*
 * A chain's bytes as a stream, for headers: copy up to @len bytes from the
 * readable part at @off, or to the writable part at @off. Returns how many
 * there were.
 */
size_t virtq_chain_read(const struct virtq_chain *c, u64 off, void *buf,
			size_t len);
size_t virtq_chain_write(const struct virtq_chain *c, u64 off, const void *buf,
			 size_t len);

#endif
