/*
 * Any memory that a driver may show a block device, and any way the kernel may
 * answer: nothing reaches beyond guest memory (the sanitizer's to say) or
 * beyond the disk, a disk that is read-only is not written, O_DIRECT gets what
 * is aligned, every chain comes back once, and a device that was stopped uses
 * nothing. Transport and loop are stood in for here.
 *
 * Input: four bytes of setup, 32 of the kernel's answers, and memory from
 * address 0: a queue of 8 descriptors, its rings, and what they refer to.
 */
#include <belfry/blk.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define ANSWERS     32
#define MEMORY      (16 * KIB)
#define QUEUE_SIZE  8
#define AVAIL       0x80
#define USED        0xc0
#define SECTORS_MAX 64
#define OPS_MAX     64
#define ROUNDS      200

/* Bits of the first byte. */
#define READONLY  0x01
#define DIRECT    0x02
#define DISCARDS  0x04
#define EVENT_IDX 0x08
#define INDIRECT  0x10
#define STOPS     0x20 /* in the midst of it */

struct virtio {
	struct virtio_setup setup;
	struct guest_faults faults;
	struct virtq queue;
	bool live;
	u32 stopped;
};

struct pending {
	struct loop_op *op;
	u64 len; /* what could be done */
	bool timer;
};

/* What this side of the device remembers. */
static struct bench {
	struct virtio virtio;
	struct disk disk;
	struct pending pending[OPS_MAX];
	u32 pending_nr;
	struct loop_task *due;
	const u8 *answers;
	u32 answered;
	bool halved;
} bench;

/* --- the transport --- */

struct virtio *virtio_create(const struct virtio_setup *s, struct err *e)
{
	bench.virtio.setup = *s;
	bench.virtio.faults.who = "fuzz";
	return &bench.virtio;
}

void virtio_destroy(struct virtio *v)
{
}

struct virtq *virtio_queue(struct virtio *v, u32 i)
{
	return v->live && i == 0 ? &v->queue : NULL;
}

void virtio_show(struct virtio *v, u32 i)
{
	assert(v->live);
	(void)!virtq_show(&v->queue);
}

void virtio_stopped(struct virtio *v)
{
	assert(!v->live);
	v->stopped++;
}

void virtio_config_set(struct virtio *v, u32 off, const void *bytes, u32 len)
{
	assert(range_fits(off, len, v->setup.config_len));
}

/* --- the loop --- */

static void start_op(struct loop_op *op, u64 len, bool timer)
{
	assert(!op->busy && bench.pending_nr < OPS_MAX);
	op->busy = true;
	bench.pending[bench.pending_nr++] = (struct pending) { op, len, timer };
}

int loop_file_add(struct loop *l, struct loop_file *f, int fd, struct err *e)
{
	f->index = 7;
	return 0;
}

/* Where and how much; memory is touched as the kernel would. */
static u64 check_transfer(const struct iovec *iov, u32 nr, u64 off, bool write)
{
	u64 len = 0, bits = off;

	assert(nr && nr <= 1024);
	for (u32 i = 0; i < nr; i++) {
		u8 *p = iov[i].iov_base;
		u8 sum = 0;

		assert(iov[i].iov_len);
		for (size_t k = 0; k < iov[i].iov_len; k++) {
			if (write)
				sum ^= p[k];
			else
				p[k] = sum++;
		}
		bits |= (uintptr_t)p | iov[i].iov_len;
		len += iov[i].iov_len;
	}
	assert(len && range_fits(off, len, bench.disk.size));
	/* What the kernel did by half may go on anywhere, and fails there. */
	assert(!bench.disk.direct || bench.halved ||
	       !(bits & (bench.disk.align - 1)));
	return len;
}

void loop_file_readv(struct loop *l, struct loop_op *op, struct loop_file f,
		     const struct iovec *iov, u32 nr, u64 off)
{
	assert(f.index == 7);
	start_op(op, check_transfer(iov, nr, off, false), false);
}

void loop_file_writev(struct loop *l, struct loop_op *op, struct loop_file f,
		      const struct iovec *iov, u32 nr, u64 off, bool dsync)
{
	assert(f.index == 7 && !bench.disk.readonly);
	start_op(op, check_transfer(iov, nr, off, true), false);
}

void loop_file_sync(struct loop *l, struct loop_op *op, struct loop_file f)
{
	start_op(op, 0, false);
}

void loop_file_allocate(struct loop *l, struct loop_op *op, struct loop_file f,
			int mode, u64 off, u64 len)
{
	assert(!bench.disk.readonly && len);
	assert(range_fits(off, len, bench.disk.size));
	start_op(op, 0, false);
}

void loop_timer(struct loop *l, struct loop_op *op, u64 ns)
{
	start_op(op, 0, true);
}

void loop_cancel(struct loop *l, struct loop_op *op)
{
}

void loop_defer(struct loop *l, struct loop_task *t)
{
	if (t->due)
		return;
	assert(!bench.due); /* there is one queue */
	t->due = true;
	bench.due = t;
}

bool disk_measure(struct disk *d)
{
	return true;
}

/* --- what happens --- */

static u8 next_answer(void)
{
	return bench.answered < ANSWERS ? bench.answers[bench.answered++] : 0;
}

static int result_of(const struct pending *p)
{
	u8 answer = next_answer();

	if (p->timer)
		return 0;
	switch (answer & 7) {
	case 1:
		return -5; /* EIO */
	case 2:
		return -4; /* EINTR */
	case 3:
		return -95; /* EOPNOTSUPP */
	case 4:
		return 0;
	case 5:
		bench.halved = true;
		return p->len ? (int)(1 + (p->len - 1) * answer / 256) : 0;
	default:
		return (int)p->len;
	}
}

static void complete_one(void)
{
	u32 i = next_answer() % bench.pending_nr;
	struct pending p = bench.pending[i];
	int result = result_of(&p);

	bench.pending[i] = bench.pending[--bench.pending_nr];
	p.op->busy = false;
	p.op->done(p.op, result);
}

static void run_due(void)
{
	struct loop_task *t = bench.due;

	bench.due = NULL;
	if (!t)
		return;
	t->due = false;
	t->call(t->ctx);
}

/* Until only the look at the disk's size is left to wait for. */
static void settle(u32 rounds)
{
	while (rounds-- && (bench.due || bench.pending_nr > 1)) {
		if (bench.pending_nr)
			complete_one();
		run_due();
	}
}

static void start(struct dma *dma, u8 flags, u8 without)
{
	struct virtio *v = &bench.virtio;

	v->queue = (struct virtq) {
		.size = QUEUE_SIZE,
		.driver = AVAIL,
		.device = USED,
		.event_idx = flags & EVENT_IDX,
		.indirect = flags & INDIRECT,
		.dma = dma,
		.faults = &v->faults,
	};
	virtq_start(&v->queue);
	v->live = true;
	v->setup.ops->start(v->setup.dev,
			    v->setup.features & ~((u64)without << 8));
	v->setup.ops->kick(v->setup.dev, 0);
}

static void stop(void)
{
	struct virtio *v = &bench.virtio;

	v->live = false;
	v->stopped = 0;
	v->setup.ops->stop(v->setup.dev);
	for (u32 i = 0; !v->stopped && i < ROUNDS; i++)
		complete_one();
	assert(v->stopped == 1 && !bench.pending_nr);
	run_due();
	assert(!bench.due);
}

static void run(const struct blk_setup *s, struct dma *dma, const u8 *how)
{
	struct err e = { 0 };
	struct blk *b = blk_create(s, &e);

	assert(b);
	start(dma, how[0], how[1]);
	if (how[0] & STOPS) {
		settle(how[3] % 8);
		stop();
		start(dma, how[0], how[1]);
	}
	settle(ROUNDS);
	assert(!bench.due && bench.pending_nr == 1);
	assert(bench.virtio.queue.broken || !bench.virtio.queue.taken);
	stop();
	blk_destroy(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct gmem mem = { .nr = 0 };
	struct dma dma = dma_plain(&mem);
	u8 *ram;

	if (size < 4 + ANSWERS || size > 4 + ANSWERS + MEMORY)
		return 0;
	ram = aligned_alloc(4096, MEMORY);
	assert(ram && !gmem_add(&mem, 0, MEMORY, ram));
	memset(ram, 0, MEMORY);
	bench = (struct bench) {
		.disk = { .fd = -1,
			  .size = (data[2] % SECTORS_MAX) * 512,
			  .readonly = data[0] & READONLY,
			  .direct = data[0] & DIRECT,
			  .logical_block = 512,
			  .physical_block = 4096,
			  .align = data[0] & DIRECT ? 512 : 1,
			  .discard_block = 4096 },
		.answers = data + 4,
	};
	memcpy(ram, data + 4 + ANSWERS, size - 4 - ANSWERS);
	run(&(struct blk_setup) { .name = "fuzz",
				  .disk = &bench.disk,
				  .queues = 1,
				  .serial = "serial",
				  .discard = data[0] & DISCARDS,
				  .caps = { .dma = dma } },
	    &dma, data);
	free(ram);
	return 0;
}
