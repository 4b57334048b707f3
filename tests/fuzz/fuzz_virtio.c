/*
 * Any accesses to a virtio device's BAR and configuration space, any rings,
 * and a loop that comes by at any time: the device is only ever kicked, and
 * only ever reaches memory, between its start and its stop; it sends nothing
 * without mastering the bus; no doorbell is left behind; and after a reset it
 * works as if nothing had been.
 *
 * Input: a byte of setup, then records of eight: what, a small number, two
 * bytes of place and four of value.
 */
#include <belfry/virtio.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECORD     8
#define PAGE       4096u
#define RAM        0x40000000ull
#define RAM_LEN    (8 * PAGE)
#define ECAM       0x3f000000ull
#define MEM32      0x10000000ull
#define MEM32_LEN  0x100000ull
#define QUEUES     2
#define QUEUE_SIZE 16
#define CONFIG_LEN 12
#define BELLS      QUEUES

/* Where the driver's own bring-up puts the areas of a queue, and buffers. */
#define AREA(i)  (RAM + 2 * PAGE * (i))
#define DESC(i)  AREA(i)
#define AVAIL(i) (AREA(i) + 0x400)
#define USED(i)  (AREA(i) + 0x800)
#define DATA     (RAM + 6 * PAGE)

/* In the BAR, as this device has it; what else is there will be found. */
#define NOTIFY     0x1000
#define MSIX_TABLE 0x2000
#define BAR_LEN    0x4000

enum state { STOPPED, RUNNING, STOPPING };

struct bench {
	u8 *ram;
	struct gmem mem;
	struct mmio_bus bus;
	struct pci_host *host;
	struct virtio *v;
	bool pages;

	enum state state;
	u16 held[QUEUES][QUEUE_SIZE];
	u32 holds[QUEUES];
	bool hold;

	u32 bells, resets;
	gpa_t bell[BELLS];
	u16 avail[QUEUES]; /* the driver's indexes */
};

/* --- the loop, which runs when it is told to --- */

static struct {
	struct loop_op *op[QUEUES];
	int fd[QUEUES];
	u32 nr;
	struct loop_event *event;
	bool fired;
} loop;

void loop_watch(struct loop *l, struct loop_op *op, int fd, u32 events)
{
	assert(!op->busy && loop.nr < QUEUES && events == POLLIN);
	op->busy = true;
	loop.op[loop.nr] = op;
	loop.fd[loop.nr++] = fd;
}

int loop_event_init(struct loop_event *v, struct loop *l,
		    void (*fired)(void *ctx), void *ctx, struct err *e)
{
	*v = (struct loop_event) { .fd = -1, .fired = fired, .ctx = ctx };
	loop.event = v;
	return 0;
}

void loop_event_fini(struct loop_event *v)
{
	loop.event = NULL;
}

void loop_event_fire(struct loop_event *v)
{
	assert(v == loop.event);
	loop.fired = true;
}

static void turn(void)
{
	u64 n;

	if (loop.fired) {
		loop.fired = false;
		loop.event->fired(loop.event->ctx);
	}
	for (u32 i = 0; i < loop.nr; i++)
		if (read(loop.fd[i], &n, sizeof(n)) == sizeof(n))
			loop.op[i]->done(loop.op[i], POLLIN);
}

/* --- the world --- */

static void *bench_map(void *ctx, u64 addr, u64 *len, bool write)
{
	struct bench *b = ctx;

	assert(*len && b->state != STOPPED);
	if (b->pages)
		*len = MIN(*len, PAGE - addr % PAGE);
	return gmem_span(&b->mem, addr, len);
}

/* Lines that cannot be aimed at odd data; what is written to others is lost,
 * for what /dev/null takes is a message, too. */
static int sink_open(void *ctx, struct msi_line *l, struct err *e)
{
	l->fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	return l->fd < 0 ? -errno : 0;
}

static void sink_close(void *ctx, struct msi_line *l)
{
	close(l->fd);
}

static int sink_aim(void *ctx, struct msi_line *l, u32 devid, u64 addr,
		    u32 data)
{
	return data & 1 ? -ENOSPC : 0;
}

static bool sink_send(void *ctx, u32 devid, u64 addr, u32 data)
{
	struct bench *b = ctx;

	assert(pci_bus_master(virtio_function(b->v)));
	assert(pci_msix_enabled(virtio_function(b->v)));
	return true;
}

static int bell_attach(void *ctx, gpa_t at, int fd)
{
	struct bench *b = ctx;

	assert(at >= MEM32 && at < MEM32 + MEM32_LEN && b->bells < BELLS);
	b->bell[b->bells++] = at;
	return 0;
}

/* It is there: attaching never failed. */
static void bell_detach(void *ctx, gpa_t at, int fd)
{
	struct bench *b = ctx;
	u32 i = 0;

	while (i < b->bells && b->bell[i] != at)
		i++;
	assert(i < b->bells);
	b->bell[i] = b->bell[--b->bells];
}

/* --- the device: gives back what it takes, at once or later --- */

static void dev_start(void *dev, u64 features)
{
	struct bench *b = dev;

	assert(b->state == STOPPED && (features & VIRTIO_F_VERSION_1));
	b->state = RUNNING;
	memset(b->holds, 0, sizeof(b->holds));
}

static void dev_kick(void *dev, u32 i)
{
	struct bench *b = dev;
	struct virtq *q = virtio_queue(b->v, i);
	struct iovec iov[QUEUE_SIZE + 4];
	struct virtq_chain c = { .iov = iov, .iov_max = ARRAY_SIZE(iov) };
	u32 left = 1000; /* buffers may lie in the rings */

	assert(b->state == RUNNING && q);
	assert(pci_bus_master(virtio_function(b->v)));
	do {
		virtq_quiet(q);
		while (left-- && virtq_pop(q, &c) > 0) {
			u8 buf[32];
			size_t n = virtq_chain_read(&c, 0, buf, sizeof(buf));

			n = virtq_chain_write(&c, 0, buf, n);
			if (b->hold && b->holds[i] < QUEUE_SIZE)
				b->held[i][b->holds[i]++] = c.head;
			else
				virtq_push(q, c.head, (u32)n);
		}
	} while (left < 1000 && virtq_listen(q));
	virtio_show(b->v, i);
}

static void dev_stop(void *dev)
{
	struct bench *b = dev;

	assert(b->state == RUNNING);
	b->state = STOPPING;
}

static const struct virtio_ops dev_ops = {
	.type = VIRTIO_RNG,
	.start = dev_start,
	.kick = dev_kick,
	.stop = dev_stop,
};

static void let_go(struct bench *b, u32 i)
{
	struct virtq *q = virtio_queue(b->v, i);

	assert(!q || b->state == RUNNING);
	for (; q && b->holds[i]; b->holds[i]--)
		virtq_push(q, b->held[i][b->holds[i] - 1], 0);
	virtio_show(b->v, i);
}

static void answer_stop(struct bench *b)
{
	if (b->state != STOPPING)
		return;
	b->state = STOPPED;
	virtio_stopped(b->v);
}

static void reset_done(void *ctx)
{
	struct bench *b = ctx;

	assert(b->state == STOPPED);
	b->resets++;
}

/* --- the driver --- */

static gpa_t bar(struct bench *b)
{
	return mmio_read(&b->bus, ECAM + 0x10, 4) & ~0xfull;
}

static void reg(struct bench *b, u32 off, u32 size, u64 val)
{
	mmio_write(&b->bus, bar(b) + off, size, val);
}

static void put(struct bench *b, u64 at, u32 len, u64 val)
{
	val = htole64(val);
	assert(!gmem_write(&b->mem, at, &val, len));
}

/* The device as a kernel finds it. */
static void place(struct bench *b)
{
	mmio_write(&b->bus, ECAM + 0x10, 4, MEM32);
	mmio_write(&b->bus, ECAM + 0x04, 2, 6);
}

/* VIRTIO 1.2, 3.1.1; the status of a device that is not reset yet is not 0. */
static void bind(struct bench *b, u64 features)
{
	place(b);
	reg(b, 0x14, 1, 0);
	turn();
	answer_stop(b);
	reg(b, 0x14, 1, 3);
	for (u32 i = 0; i < 2; i++) {
		reg(b, 0x08, 4, i);
		reg(b, 0x0c, 4, (u32)(features >> (32 * i)));
	}
	reg(b, 0x14, 1, 11);
	for (u32 i = 0; i < QUEUES; i++) {
		memset(b->ram + (AREA(i) - RAM), 0, 2 * PAGE);
		b->avail[i] = 0;
		reg(b, 0x16, 2, i);
		reg(b, 0x20, 8, DESC(i));
		reg(b, 0x28, 8, AVAIL(i));
		reg(b, 0x30, 8, USED(i));
		reg(b, 0x1a, 2, i + 1);
		reg(b, 0x1c, 2, 1);
	}
	reg(b, 0x14, 1, 15);
}

/* A chain of one buffer, which tells the device whether it can be written. */
static void offer(struct bench *b, u32 i, u32 where, u32 len, u16 flags)
{
	u32 at = b->avail[i] % QUEUE_SIZE;

	put(b, DESC(i) + 16 * at, 8, RAM + where);
	put(b, DESC(i) + 16 * at + 8, 8,
	    len | (u64)flags << 32 | (u64)(where & 15) << 48);
	put(b, AVAIL(i) + 4 + 2 * at, 2, at);
	put(b, AVAIL(i) + 2, 2, ++b->avail[i]);
	reg(b, NOTIFY + 4 * i, 2, i);
}

static void enable_msix(struct bench *b, u32 data)
{
	for (u32 i = 0; i <= QUEUES; i++) {
		reg(b, MSIX_TABLE + 16 * i, 8, 0x08000040);
		reg(b, MSIX_TABLE + 16 * i + 8, 4, data + i);
		reg(b, MSIX_TABLE + 16 * i + 12, 4, data >> 8 & 1);
	}
	for (u32 cap = mmio_read(&b->bus, ECAM + 0x34, 1) & 0xff; cap;
	     cap = mmio_read(&b->bus, ECAM + cap + 1, 1) & 0xff)
		if (mmio_read(&b->bus, ECAM + cap, 1) == 0x11)
			mmio_write(&b->bus, ECAM + cap + 2, 2, 0x8000);
}

static void device_acts(struct bench *b, u8 what, u32 val)
{
	switch (what % 6) {
	case 0:
		answer_stop(b);
		break;
	case 1:
		let_go(b, val % QUEUES);
		break;
	case 2:
		virtio_config_set(b->v, val % CONFIG_LEN, &val, 1);
		break;
	case 3:
		if (b->state == RUNNING)
			virtio_needs_reset(b->v);
		break;
	case 4:
		b->hold = val & 1;
		break;
	default:
		virtio_reset(b->v, reset_done, b);
		if (val & 1)
			pci_host_reset(b->host);
		break;
	}
}

/* Doorbells are where the notification area is, or nowhere. */
static void check_bells(const struct bench *b)
{
	gpa_t at = virtio_function(b->v)->bars[0].at;

	for (u32 i = 0; i < b->bells; i++)
		assert(at && b->bell[i] >= at + NOTIFY &&
		       b->bell[i] < at + NOTIFY + 4 * QUEUES);
	assert(b->bells == 0 || b->bells == QUEUES);
}

static void step(struct bench *b, const u8 *rec)
{
	u32 off = rec[2] | (u32)rec[3] << 8, size = 1u << (rec[1] & 3);
	u64 val = rec[4] | (u64)rec[5] << 8 | (u64)rec[6] << 16 |
		  (u64)rec[7] << 24;

	switch (rec[0] % 10) {
	case 0:
		reg(b, off % 0x40, size, val);
		break;
	case 1:
		reg(b, off % BAR_LEN, size, val << (rec[1] & 0x20));
		break;
	case 2:
		mmio_read(&b->bus, bar(b) + off % BAR_LEN, size);
		break;
	case 3:
		mmio_write(&b->bus, ECAM + off % 0x200, size, val);
		break;
	case 4:
		mmio_read(&b->bus, ECAM + off % 0x200, size);
		break;
	case 5:
		put(b, RAM + off % (RAM_LEN - 8), size, val);
		break;
	case 6:
		turn();
		break;
	case 7:
		device_acts(b, rec[1], (u32)val);
		break;
	case 8:
		if (rec[1] & 1)
			enable_msix(b, (u32)val);
		else
			bind(b, VIRTIO_F_VERSION_1 | val);
		break;
	default:
		offer(b, rec[1] % QUEUES, off % (RAM_LEN + 8), rec[4] * 64u,
		      rec[5] & 7);
		break;
	}
	for (u32 i = 0; i < QUEUES; i++)
		assert(!virtio_queue(b->v, i) || b->state == RUNNING);
	check_bells(b);
}

/* Whatever was: reset from outside, bind, and have a chain served. */
static void works_again(struct bench *b)
{
	u32 resets = b->resets;
	u64 used, written;

	virtio_reset(b->v, reset_done, b);
	answer_stop(b);
	assert(b->resets == resets + 1);
	pci_host_reset(b->host);
	assert(b->bells == 0);
	turn();
	assert(b->state == STOPPED);

	b->hold = false;
	bind(b, VIRTIO_F_VERSION_1);
	turn();
	assert(b->state == RUNNING && b->bells == QUEUES);
	offer(b, 1, DATA - RAM, 64, 2);
	turn();
	assert(!gmem_read(&b->mem, USED(1), &used, sizeof(used)));
	assert(!gmem_read(&b->mem, USED(1) + 8, &written, 4));
	assert(le64toh(used) >> 16 == 1);
}

static bool bench_init(struct bench *b)
{
	const struct pci_windows windows = {
		.ecam = ECAM,
		.mem32 = MEM32,
		.mem32_size = MEM32_LEN,
	};
	const struct virtio_setup setup = {
		.name = "fuzz",
		.ops = &dev_ops,
		.dev = b,
		.features = BIT(3),
		.queues = QUEUES,
		.queue_size = QUEUE_SIZE,
		.config_len = CONFIG_LEN,
		.caps = {
			.dma = { .map = bench_map, .ctx = b, .translates = true },
			.msi = { .send = sink_send,
				 .open = sink_open,
				 .close = sink_close,
				 .aim = sink_aim,
				 .ctx = b },
			.doorbells = { bell_attach, bell_detach, b },
		},
	};
	struct err e = { 0 };

	memset(&loop, 0, sizeof(loop));
	b->ram = calloc(1, RAM_LEN);
	if (!b->ram || gmem_add(&b->mem, RAM, RAM_LEN, b->ram))
		return false;
	mmio_bus_init(&b->bus);
	b->host = pci_host_create(&windows, &b->bus, &e);
	b->v = b->host ? virtio_create(&setup, &e) : NULL;
	if (!b->v || pci_host_add(b->host, virtio_function(b->v), 0, &e))
		return false;
	virtio_config_writable(b->v, 4, 4);
	return true;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct bench *b = calloc(1, sizeof(*b));

	if (b && size && bench_init(b)) {
		b->pages = data[0] & 1;
		b->hold = data[0] & 2;
		for (data++, size--; size >= RECORD;
		     data += RECORD, size -= RECORD)
			step(b, data);
		works_again(b);
	}
	if (b) {
		virtio_destroy(b->v);
		pci_host_destroy(b->host);
		assert(b->bells == 0);
		free(b->ram);
	}
	free(b);
	return 0;
}
