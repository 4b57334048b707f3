/*
 * The virtio block device: requests go from a queue to the loop and back, and
 * the data straight between guest memory and the disk.
 *
 * All of it is the loop's thread's. A request is a slot of its queue's, taken
 * when it is popped and given back when it is pushed; there are as many as
 * descriptors, so there is one for each chain. What a turn of the loop
 * completes is shown to the driver at the turn's end, by one interrupt.
 *
 * Caches are the host's, so writes are volatile until flushed, as 5.2.6.2 has
 * it; to a driver that cannot flush they are done when they are stable.
 * VIRTIO_BLK_F_CONFIG_WCE is not offered.
 *
 * VIRTIO 1.2, 5.2.
 */
#include <belfry/blk.h>

#include <errno.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blk_wire.h"

#define CLASS_STORAGE 0x018000 /* mass storage, of no other kind */

#define SECTOR        512u
#define PAGE          4096u
#define QUEUE_SIZE    256u
/* Data descriptors of a request: one is the header's, one the status's. */
#define SEG_MAX (QUEUE_SIZE - 2)
/* Pieces of memory in a request: as many as the kernel takes in one call.
 * Behind an IOMMU each page that a segment touches can be one; a driver is told
 * there of segments that are smaller, but hold a page of any guest's, and of as
 * many as fit with two pieces of a header and one of a status. */
#define PIECES         1024u
#define SIZE_MAX_PAGED (64 * KIB)
#define SEG_MAX_PAGED  ((PIECES - 3) / (SIZE_MAX_PAGED / PAGE + 1))
/* Of one discard or one write of zeroes; a multiple of any block size. */
#define RANGE_SECTORS (u32)(GIB / SECTOR)
#define BOUNCE_LEN    (256 * KIB)
#define LOOK_NS       1000000000ull
/* How many errors are logged one by one before only powers of two are. */
#define ERRORS_TOLD 8

struct request {
	struct loop_op op;
	struct blk_queue *queue;
	struct request *next; /* of those not used, or of those that wait */
	u8 *status;           /* in guest memory */
	u32 type;
	int mode; /* of fallocate */
	u16 head;
	u64 in_len; /* bytes that the driver reads, the status not counted */
	/* What is left to do: bytes of the disk, and of memory. */
	u64 off, left;
	struct iovec *iov;
	u32 iovs;
	struct iovec piece[PIECES];
};

struct blk_queue {
	struct blk *blk;
	u32 index;
	struct virtq *ring;   /* NULL: not to be used */
	struct request *slot; /* QUEUE_SIZE of them */
	struct request *free; /* the last used first: it is in the cache */
	u32 fresh;            /* slots from here on were never touched */
	bool more;            /* there may be more to pop than a turn allows */
	struct loop_task turn_end;
};

struct blk {
	const char *name;
	struct disk *disk;
	struct loop *loop;
	struct loop_file file;
	struct virtio *virtio;
	u64 features;   /* agreed */
	bool through;   /* writes are to be stable when they are done */
	bool discard;   /* space may be freed */
	bool told;      /* that the host frees none */
	bool stopping;  /* virtio_stopped is owed */
	u32 busy;       /* slots in use */
	u64 capacity;   /* sectors */
	u64 block_mask; /* bits that no sector number may have */
	u64 align_mask; /* bits that no address of data may have */
	u64 errors;
	struct loop_op look_op;
	u8 serial[BLK_SERIAL_MAX];

	/* What O_DIRECT cannot reach in guest memory goes through @bounce, one
	 * request at a time. @rest of what is in it is still to be moved. */
	u8 *bounce;
	struct iovec rest;
	struct request *bouncing, *waiting, **waiting_last;

	u32 queues_nr;
	struct blk_queue queues[];
};

static const u8 zeroes[PAGE] __attribute__((aligned(PAGE)));

/* --- slots --- */

static struct request *slot_free(struct blk_queue *q)
{
	if (q->free || q->fresh == QUEUE_SIZE)
		return q->free;
	return &q->slot[q->fresh];
}

static void slot_take(struct request *r)
{
	struct blk_queue *q = r->queue;

	if (r == q->free)
		q->free = r->next;
	else
		q->fresh++;
	q->blk->busy++;
}

static void stopped(struct blk *b)
{
	if (!b->stopping || b->busy || b->look_op.busy)
		return;
	b->stopping = false;
	virtio_stopped(b->virtio);
}

static void bounce_next(struct blk *b);

static void slot_give(struct request *r)
{
	struct blk_queue *q = r->queue;
	struct blk *b = q->blk;

	if (r == b->bouncing)
		bounce_next(b);
	r->next = q->free;
	q->free = r;
	b->busy--;
	stopped(b);
}

/* Nobody waits for it after a reset, or when the device may not master the bus
 * any more, and its memory is no longer ours. */
static bool abandoned(struct request *r)
{
	struct blk_queue *q = r->queue;

	if (q->ring && virtio_queue(q->blk->virtio, q->index))
		return false;
	slot_give(r);
	return true;
}

/* --- the size --- */

static u64 sectors(const struct disk *d)
{
	return d->size / d->logical_block * (d->logical_block / SECTOR);
}

static void set_capacity(struct blk *b)
{
	u64 val = htole64(sectors(b->disk));

	b->capacity = sectors(b->disk);
	virtio_config_set(b->virtio,
			  offsetof(struct virtio_blk_config, capacity), &val,
			  sizeof(val));
}

static void measure(struct blk *b)
{
	if (!disk_measure(b->disk) || sectors(b->disk) == b->capacity)
		return;
	set_capacity(b);
	log_info("%s: has %" PRIu64 " bytes now", b->name,
		 b->capacity * SECTOR);
}

/* --- the end of a request --- */

static void show_at_turn_end(struct blk_queue *q)
{
	loop_defer(q->blk->loop, &q->turn_end);
}

/* Done, the first @got bytes of what the driver reads being good. */
static void finish(struct request *r, enum virtio_blk_status status, u64 got)
{
	struct blk_queue *q = r->queue;

	*r->status = (u8)status;
	virtq_push(q->ring, r->head,
		   (u32)MIN(got + (got == r->in_len), UINT32_MAX));
	show_at_turn_end(q);
	slot_give(r);
}

static void done_well(struct request *r)
{
	finish(r, VIRTIO_BLK_S_OK, r->type == VIRTIO_BLK_T_IN ? r->in_len : 0);
}

static const char *request_name(u32 type);

/* @err of the host's, or 0: there was nothing where there should be data. */
static void host_failed(struct request *r, int err)
{
	struct blk *b = r->queue->blk;
	u64 n = ++b->errors;
	char where[64] = "";

	if (r->left)
		snprintf(where, sizeof(where),
			 " of %" PRIu64 " bytes at %" PRIu64, r->left, r->off);
	if (n <= ERRORS_TOLD || !(n & (n - 1)))
		log_warn("%s: %s%s: %s: an I/O error for the guest%s", b->name,
			 request_name(r->type), where,
			 err ? strerror(-err) : "the disk ends before",
			 n > ERRORS_TOLD ? " (again, often)" : "");
	if (!err)
		measure(b);
	finish(r, VIRTIO_BLK_S_IOERR, 0);
}

static void bad_request(struct request *r, u64 sector, u64 len)
{
	guest_fault(r->queue->ring->faults,
		    "%s of %" PRIu64 " bytes at sector %" PRIu64 " of %" PRIu64,
		    request_name(r->type), len, sector,
		    r->queue->blk->capacity);
	finish(r, VIRTIO_BLK_S_IOERR, 0);
}

/* --- memory of a request --- */

static void skip(struct request *r, u64 len)
{
	while (r->iovs && len >= r->iov->iov_len) {
		len -= r->iov->iov_len;
		r->iov++;
		r->iovs--;
	}
	if (len) {
		r->iov->iov_base = (u8 *)r->iov->iov_base + len;
		r->iov->iov_len -= len;
	}
}

/* Move @len bytes, which must be there, and skip them. */
static void gather(struct request *r, void *buf, u64 len)
{
	for (u64 n; len; len -= n, buf = (u8 *)buf + n) {
		n = MIN(len, r->iov->iov_len);
		memcpy(buf, r->iov->iov_base, n);
		skip(r, n);
	}
}

static void scatter(struct request *r, const void *buf, u64 len)
{
	for (u64 n; len; len -= n, buf = (const u8 *)buf + n) {
		n = MIN(len, r->iov->iov_len);
		memcpy(r->iov->iov_base, buf, n);
		skip(r, n);
	}
}

static bool aligned(const struct request *r, u64 mask)
{
	u64 bits = 0;

	for (u32 i = 0; i < r->iovs; i++)
		bits |= (uintptr_t)r->iov[i].iov_base | r->iov[i].iov_len;
	return !(bits & mask);
}

static void fill_with_zeroes(struct request *r)
{
	u64 left = r->left;

	r->iov = r->piece;
	for (r->iovs = 0; left && r->iovs < PIECES; r->iovs++) {
		u64 n = MIN(left, sizeof(zeroes));

		/* Nobody writes there, whatever an iovec's type says. */
		r->piece[r->iovs] =
			(struct iovec) { (void *)(uintptr_t)zeroes, n };
		left -= n;
	}
}

/* --- reads and writes --- */

static bool on_disk(const struct blk *b, u64 sector, u64 nr)
{
	return range_fits(sector, nr, b->capacity) &&
	       !((sector | nr) & b->block_mask);
}

static void submit(struct request *r)
{
	struct blk *b = r->queue->blk;
	const struct iovec *iov = r->iov;
	u32 nr = r->iovs;

	if (r == b->bouncing) {
		iov = &b->rest;
		nr = 1;
	}
	if (r->type == VIRTIO_BLK_T_IN)
		loop_file_readv(b->loop, &r->op, b->file, iov, nr, r->off);
	else
		loop_file_writev(b->loop, &r->op, b->file, iov, nr, r->off,
				 b->through);
}

static void bounce_fill(struct blk *b, struct request *r)
{
	u64 n = MIN(r->left, BOUNCE_LEN);

	if (r->type == VIRTIO_BLK_T_OUT)
		gather(r, b->bounce, n);
	b->rest = (struct iovec) { b->bounce, n };
}

static struct request *bounce_waiting(struct blk *b)
{
	struct request *r = b->waiting;

	if (r)
		b->waiting = r->next;
	if (!b->waiting)
		b->waiting_last = &b->waiting;
	return r;
}

/* The memory of those that wait may no longer be ours, either. */
static void bounce_next(struct blk *b)
{
	struct request *r;

	b->bouncing = NULL;
	do
		r = bounce_waiting(b);
	while (r && abandoned(r));
	if (!r)
		return;
	b->bouncing = r;
	bounce_fill(b, r);
	submit(r);
}

static void bounce(struct blk *b, struct request *r)
{
	r->next = NULL;
	*b->waiting_last = r;
	b->waiting_last = &r->next;
	if (!b->bouncing)
		bounce_next(b);
}

static void bounced(struct blk *b, struct request *r, u64 n)
{
	b->rest.iov_base = (u8 *)b->rest.iov_base + n;
	b->rest.iov_len -= n;
	if (b->rest.iov_len)
		return;
	if (r->type == VIRTIO_BLK_T_IN)
		scatter(r, b->bounce,
			(u64)((u8 *)b->rest.iov_base - b->bounce));
	bounce_fill(b, r);
}

/* @n bytes were moved. */
static void advance(struct request *r, u64 n)
{
	struct blk *b = r->queue->blk;

	r->off += n;
	r->left -= n;
	if (r == b->bouncing)
		bounced(b, r, n);
	else if (r->left)
		skip(r, n);
	if (r->left && r->type == VIRTIO_BLK_T_WRITE_ZEROES && !r->iovs)
		fill_with_zeroes(r);
}

static bool interrupted(int result)
{
	return result == -EINTR || result == -EAGAIN;
}

static void rw_done(struct loop_op *op, int result)
{
	struct request *r = container_of(op, struct request, op);

	if (abandoned(r))
		return;
	if (result <= 0 && !interrupted(result)) {
		host_failed(r, result);
		return;
	}
	if (result > 0)
		advance(r, (u32)result);
	/* The kernel may do less than it was asked to. */
	if (r->left)
		submit(r);
	else
		done_well(r);
}

static void rw(struct request *r, u64 sector)
{
	struct blk *b = r->queue->blk;

	if (r->left % SECTOR || !on_disk(b, sector, r->left / SECTOR)) {
		bad_request(r, sector, r->left);
		return;
	}
	if (!r->left) {
		done_well(r);
		return;
	}
	r->off = sector * SECTOR;
	r->op.done = rw_done;
	if (b->align_mask && !aligned(r, b->align_mask))
		bounce(b, r);
	else
		submit(r);
}

/* --- flush --- */

static void sync_begin(struct request *r);

static void sync_done(struct loop_op *op, int result)
{
	struct request *r = container_of(op, struct request, op);

	if (abandoned(r))
		return;
	if (interrupted(result))
		sync_begin(r);
	else if (result < 0)
		host_failed(r, result);
	else
		done_well(r);
}

static void sync_begin(struct request *r)
{
	struct blk *b = r->queue->blk;

	r->op.done = sync_done;
	loop_file_sync(b->loop, &r->op, b->file);
}

static void flush(struct request *r, u64 sector)
{
	r->off = r->left = 0;
	sync_begin(r);
}

/* --- the serial number --- */

static void get_id(struct request *r, u64 sector)
{
	u64 n = MIN(r->left, BLK_SERIAL_MAX);

	scatter(r, r->queue->blk->serial, n);
	finish(r, VIRTIO_BLK_S_OK, n);
}

/* --- discard and write zeroes --- */

static void allocate_begin(struct request *r, int mode);

/*
 * A discard is a hint. Zeroes must be zeroes, so there is another way where
 * the host cannot make a hole, and yet another where it cannot make a range
 * read as zeroes.
 */
static void cannot_allocate(struct request *r)
{
	struct blk *b = r->queue->blk;

	if (r->type == VIRTIO_BLK_T_DISCARD) {
		if (!b->told)
			log_warn(
				"%s: discard: what the disk is on cannot free space; nothing is freed",
				b->name);
		b->told = true;
		done_well(r);
	} else if (r->mode & FALLOC_FL_PUNCH_HOLE) {
		allocate_begin(r, FALLOC_FL_ZERO_RANGE);
	} else {
		fill_with_zeroes(r);
		r->op.done = rw_done;
		submit(r);
	}
}

static void allocate_done(struct loop_op *op, int result)
{
	struct request *r = container_of(op, struct request, op);

	if (abandoned(r))
		return;
	if (interrupted(result))
		allocate_begin(r, r->mode);
	else if (result == -EOPNOTSUPP)
		cannot_allocate(r);
	else if (result < 0)
		host_failed(r, result);
	else if (r->queue->blk->through)
		sync_begin(r);
	else
		done_well(r);
}

static void allocate_begin(struct request *r, int mode)
{
	struct blk *b = r->queue->blk;

	r->mode = mode;
	r->op.done = allocate_done;
	loop_file_allocate(b->loop, &r->op, b->file, mode | FALLOC_FL_KEEP_SIZE,
			   r->off, r->left);
}

/* One range: more are not offered. */
static void range(struct request *r, u64 sector)
{
	struct blk *b = r->queue->blk;
	bool discard = r->type == VIRTIO_BLK_T_DISCARD;
	struct virtio_blk_range g;
	u32 flags, nr;

	if (r->left != sizeof(g)) {
		bad_request(r, sector, r->left);
		return;
	}
	gather(r, &g, sizeof(g));
	flags = le32toh(g.flags);
	nr = le32toh(g.num_sectors);
	sector = le64toh(g.sector);
	if (flags & ~(discard ? 0 : VIRTIO_BLK_RANGE_UNMAP)) {
		finish(r, VIRTIO_BLK_S_UNSUPP, 0);
		return;
	}
	if (nr > RANGE_SECTORS || !on_disk(b, sector, nr)) {
		bad_request(r, sector, (u64)nr * SECTOR);
		return;
	}
	if (!nr) {
		done_well(r);
		return;
	}
	r->off = sector * SECTOR;
	r->left = (u64)nr * SECTOR;
	allocate_begin(r, discard || (flags && b->discard)
				  ? FALLOC_FL_PUNCH_HOLE
				  : FALLOC_FL_ZERO_RANGE);
}

/* --- the beginning of a request --- */

static const struct kind {
	const char *name;
	void (*begin)(struct request *r, u64 sector);
	u64 needs; /* features agreed */
	bool in;   /* the driver reads data, instead of giving some */
	bool writes;
} kinds[] = {
	[VIRTIO_BLK_T_IN] = { "read", rw, .in = true },
	[VIRTIO_BLK_T_OUT] = { "write", rw, .writes = true },
	[VIRTIO_BLK_T_FLUSH] = { "flush", flush, .needs = VIRTIO_BLK_F_FLUSH },
	[VIRTIO_BLK_T_GET_ID] = { "serial number", get_id, .in = true },
	[VIRTIO_BLK_T_DISCARD] = { "discard", range,
				   .needs = VIRTIO_BLK_F_DISCARD,
				   .writes = true },
	[VIRTIO_BLK_T_WRITE_ZEROES] = { "write of zeroes", range,
					.needs = VIRTIO_BLK_F_WRITE_ZEROES,
					.writes = true },
};

static const char *request_name(u32 type)
{
	return kinds[type].name;
}

static const struct kind *kind_of(const struct blk *b, u32 type)
{
	if (type >= ARRAY_SIZE(kinds) || !kinds[type].begin ||
	    kinds[type].needs & ~b->features)
		return NULL;
	return &kinds[type];
}

/* A header at the beginning and a status byte at the end, however buffers
 * divide them (2.7.4). @r's memory becomes the data. */
static void begin(struct request *r, const struct virtq_chain *c)
{
	struct iovec *last = &r->piece[c->out_nr + c->in_nr - 1];
	struct blk *b = r->queue->blk;
	struct virtio_blk_header h;
	const struct kind *k;

	last->iov_len--;
	r->status = (u8 *)last->iov_base + last->iov_len;
	r->in_len = c->in_len - 1;
	r->head = c->head;
	r->iov = r->piece;
	r->iovs = c->out_nr;
	gather(r, &h, sizeof(h));
	r->type = le32toh(h.type);
	k = kind_of(b, r->type);
	if (!k) {
		finish(r, VIRTIO_BLK_S_UNSUPP, 0);
		return;
	}
	if (k->writes && b->disk->readonly) {
		finish(r, VIRTIO_BLK_S_IOERR, 0);
		return;
	}
	r->left = c->out_len - sizeof(h);
	if (k->in) {
		r->iov = &r->piece[c->out_nr];
		r->iovs = c->in_nr - !last->iov_len;
		r->left = r->in_len;
	}
	k->begin(r, le64toh(h.sector));
}

/* Take one chain: 1, 0 if there is none, -EPROTO if the queue is broken. */
static int pop(struct blk_queue *q)
{
	struct request *r = slot_free(q);
	struct virtq_chain c = { .iov_max = PIECES };
	int got;

	if (!r)
		return 0;
	c.iov = r->piece;
	got = virtq_pop(q->ring, &c);
	if (got > 0 &&
	    (c.out_len < sizeof(struct virtio_blk_header) || !c.in_len)) {
		virtq_break(q->ring,
			    "a request without a header or a status byte");
		got = -EPROTO;
	}
	if (got <= 0)
		return got;
	r->queue = q;
	slot_take(r);
	begin(r, &c);
	return 1;
}

/*
 * Take what is there, and what comes meanwhile, but no more in one turn than a
 * queue can hold: requests that fail at once could keep us here for ever.
 */
static void pop_all(struct blk_queue *q)
{
	u32 left = QUEUE_SIZE;
	int got;

	virtq_quiet(q->ring);
	do {
		got = pop(q);
		if (!got && virtq_listen(q->ring)) {
			virtq_quiet(q->ring);
			got = 1;
		}
	} while (got > 0 && --left);
	q->more = got > 0;
	if (q->more || q->ring->broken)
		show_at_turn_end(q);
}

static void turn_end(void *ctx)
{
	struct blk_queue *q = ctx;

	if (!q->ring || !virtio_queue(q->blk->virtio, q->index))
		return;
	if (q->more)
		pop_all(q);
	virtio_show(q->blk->virtio, q->index);
}

static void kick(void *dev, u32 i)
{
	struct blk *b = dev;
	struct blk_queue *q = &b->queues[i];

	/* A vCPU may have taken mastering away since the kick was let in. */
	q->ring = virtio_queue(b->virtio, i);
	if (q->ring)
		pop_all(q);
}

/* --- the device --- */

/* Nothing tells us when a file or device is resized, but a request that finds
 * its end. */
static void look(struct loop_op *op, int result)
{
	struct blk *b = op->ctx;

	if (b->stopping) {
		stopped(b);
		return;
	}
	measure(b);
	loop_timer(b->loop, op, LOOK_NS);
}

static void start(void *dev, u64 features)
{
	struct blk *b = dev;

	b->features = features;
	b->through = !(features & VIRTIO_BLK_F_FLUSH);
	loop_timer(b->loop, &b->look_op, LOOK_NS);
}

/* What is with the kernel is waited for, as it uses guest memory. */
static void stop(void *dev)
{
	struct blk *b = dev;
	struct request *r = b->waiting;

	b->stopping = true;
	for (u32 i = 0; i < b->queues_nr; i++)
		b->queues[i].ring = NULL;
	b->waiting = NULL;
	b->waiting_last = &b->waiting;
	while (r) {
		struct request *next = r->next;

		slot_give(r);
		r = next;
	}
	loop_cancel(b->loop, &b->look_op);
	stopped(b);
}

static const struct virtio_ops ops = {
	.type = VIRTIO_BLK,
	.class_code = CLASS_STORAGE,
	.start = start,
	.kick = kick,
	.stop = stop,
};

static u64 features(const struct blk_setup *s)
{
	u64 bits = VIRTIO_BLK_F_SEG_MAX | VIRTIO_BLK_F_BLK_SIZE |
		   VIRTIO_BLK_F_FLUSH | VIRTIO_BLK_F_TOPOLOGY;

	if (s->caps.dma.translates)
		bits |= VIRTIO_BLK_F_SIZE_MAX;
	if (s->queues > 1)
		bits |= VIRTIO_BLK_F_MQ;
	if (s->disk->readonly)
		return bits | VIRTIO_BLK_F_RO;
	return bits | VIRTIO_BLK_F_WRITE_ZEROES |
	       (s->discard ? VIRTIO_BLK_F_DISCARD : 0);
}

static void set_config(struct blk *b, const struct blk_setup *s)
{
	const struct disk *d = s->disk;
	u32 blocks = d->physical_block / d->logical_block;
	struct virtio_blk_config c = {
		.seg_max = htole32(SEG_MAX),
		.blk_size = htole32(d->logical_block),
		.physical_block_exp = (u8)__builtin_ctz(blocks),
		.min_io_size = htole16((u16)MIN(blocks, UINT16_MAX)),
		.num_queues = htole16((u16)s->queues),
	};

	if (s->caps.dma.translates) {
		c.size_max = htole32(SIZE_MAX_PAGED);
		c.seg_max = htole32(SEG_MAX_PAGED);
	}
	if (s->discard && !d->readonly) {
		c.max_discard_sectors = htole32(RANGE_SECTORS);
		c.max_discard_seg = htole32(1);
		c.discard_sector_alignment = htole32(d->discard_block / SECTOR);
		c.write_zeroes_may_unmap = 1;
	}
	if (!d->readonly) {
		c.max_write_zeroes_sectors = htole32(RANGE_SECTORS);
		c.max_write_zeroes_seg = htole32(1);
	}
	virtio_config_set(b->virtio, 0, &c, VIRTIO_BLK_CONFIG_LEN);
	set_capacity(b);
}

static void queue_init(struct blk *b, u32 i)
{
	struct blk_queue *q = &b->queues[i];

	q->blk = b;
	q->index = i;
	q->turn_end = (struct loop_task) { .call = turn_end, .ctx = q };
}

static bool allocate(struct blk *b)
{
	const struct disk *d = b->disk;

	for (u32 i = 0; i < b->queues_nr; i++) {
		/* Large, so not touched before it is used. */
		b->queues[i].slot = calloc(QUEUE_SIZE, sizeof(struct request));
		if (!b->queues[i].slot)
			return false;
	}
	if (!d->direct)
		return true;
	b->align_mask = d->align - 1;
	b->block_mask = d->logical_block / SECTOR - 1;
	b->bounce = aligned_alloc(MAX(PAGE, d->align), BOUNCE_LEN);
	return b->bounce;
}

static struct blk *new_blk(const struct blk_setup *s)
{
	struct blk *b =
		calloc(1, sizeof(*b) + s->queues * sizeof(b->queues[0]));

	if (!b)
		return NULL;
	b->name = s->name;
	b->disk = s->disk;
	b->loop = s->caps.loop;
	b->discard = s->discard;
	b->look_op = (struct loop_op) { .done = look, .ctx = b };
	b->waiting_last = &b->waiting;
	if (s->serial)
		memcpy(b->serial, s->serial,
		       strnlen(s->serial, BLK_SERIAL_MAX));
	b->queues_nr = s->queues;
	for (u32 i = 0; i < b->queues_nr; i++)
		queue_init(b, i);
	return b;
}

struct blk *blk_create(const struct blk_setup *s, struct err *e)
{
	struct blk *b = new_blk(s);
	struct virtio_setup v = {
		.name = s->name,
		.ops = &ops,
		.dev = b,
		.features = features(s),
		.queues = s->queues,
		.queue_size = QUEUE_SIZE,
		.config_len = VIRTIO_BLK_CONFIG_LEN,
		.caps = s->caps,
	};

	assert(s->queues >= 1 && s->queues <= BLK_QUEUES_MAX);
	if (!b || !allocate(b)) {
		err_set(e, -ENOMEM, "%s: out of memory", s->name);
		goto out;
	}
	b->virtio = virtio_create(&v, e);
	if (!b->virtio)
		goto out;
	/* The loop last: it keeps what it was given. */
	if (loop_file_add(b->loop, &b->file, b->disk->fd, e)) {
		err_prefix(e, "%s", s->name);
		goto out;
	}
	set_config(b, s);
	return b;

out:
	blk_destroy(b);
	return NULL;
}

void blk_destroy(struct blk *b)
{
	if (!b)
		return;
	virtio_destroy(b->virtio);
	for (u32 i = 0; i < b->queues_nr; i++)
		free(b->queues[i].slot);
	free(b->bounce);
	free(b);
}

struct virtio *blk_virtio(struct blk *b)
{
	return b->virtio;
}

u64 blk_errors(const struct blk *b)
{
	return b->errors;
}
