#include "driver.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define LIMIT_NS 10000000000ull
#define TICK_NS  1000000ull

static u64 now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000000000 + (u64)t.tv_nsec;
}

/* --- memory --- */

/* Where scattered, every other bus page is the one before it in memory. */
static void *cpu_map(void *ctx, u64 addr, u64 *len, bool write)
{
	struct world *w = ctx;

	if (w->scattered) {
		*len = MIN(*len, WORLD_PAGE - addr % WORLD_PAGE);
		addr ^= WORLD_PAGE;
	}
	return gmem_span(&w->mem, addr, len);
}

static void *device_map(void *ctx, u64 addr, u64 *len, bool write)
{
	struct world *w = ctx;

	ck_assert_msg(!w->no_memory, "a device touches memory at %#llx",
		      (unsigned long long)addr);
	ck_assert_uint_gt(*len, 0);
	return cpu_map(w, addr, len, write);
}

gpa_t world_alloc(struct world *w, u64 len)
{
	gpa_t at = ALIGN_UP(w->ram_used, len < WORLD_PAGE ? 64 : WORLD_PAGE);

	ck_assert_uint_le(len, WORLD_RAM + WORLD_RAM_LEN - at);
	w->ram_used = at + len;
	return at;
}

void world_put(struct world *w, gpa_t addr, const void *bytes, u64 len)
{
	ck_assert_int_eq(dma_write(&w->cpu, addr, bytes, len), 0);
}

void world_get(struct world *w, gpa_t addr, void *bytes, u64 len)
{
	ck_assert_int_eq(dma_read(&w->cpu, addr, bytes, len), 0);
}

/* Fields that the device looks at meanwhile: whole, and in order with what is
 * written before and read after. */
static u16 *field(struct world *w, gpa_t addr)
{
	u16 *p = dma_piece(&w->cpu, addr, sizeof(*p), true);

	ck_assert_ptr_nonnull(p);
	return p;
}

static void put16(struct world *w, gpa_t addr, u16 val)
{
	__atomic_store_n(field(w, addr), htole16(val), __ATOMIC_RELEASE);
}

static u16 get16(struct world *w, gpa_t addr)
{
	return le16toh(__atomic_load_n(field(w, addr), __ATOMIC_ACQUIRE));
}

/* --- interrupts --- */

static bool deliver(struct world *w, u32 devid, u64 addr, u32 data, u64 times)
{
	if (devid >= PCI_FUNCTIONS_MAX || addr != WORLD_ITS ||
	    data >= WORLD_MESSAGES) {
		w->lost += (u32)times;
		return false;
	}
	w->messages[devid][data] += (u32)times;
	return true;
}

static bool sink_send(void *ctx, u32 devid, u64 addr, u32 data)
{
	struct world *w = ctx;

	if (w->caps.loop)
		loop_stop(w->caps.loop);
	return deliver(w, devid, addr, data, 1);
}

/* Count what was written to a line. */
static void drain(struct world *w, struct world_line *l)
{
	u64 times;

	if (l->fd < 0 || read(l->fd, &times, sizeof(times)) < 0)
		return;
	ck_assert_msg(l->aimed, "a line was used that is not aimed");
	deliver(w, l->devid, l->addr, l->data, times);
}

static void line_watch(struct world_line *l)
{
	loop_watch(l->world->caps.loop, &l->op, l->fd, POLLIN);
}

static void line_written(struct loop_op *op, int result)
{
	struct world_line *l = op->ctx;

	if (l->fd < 0)
		return;
	if (!op->busy)
		line_watch(l);
	drain(l->world, l);
	loop_stop(l->world->caps.loop);
}

static int sink_open(void *ctx, struct msi_line *line, struct err *e)
{
	struct world *w = ctx;

	for (u32 i = 0; i < WORLD_LINES; i++) {
		struct world_line *l = &w->line[i];

		if (l->fd >= 0 || l->op.busy)
			continue;
		l->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (l->fd < 0)
			return err_set(e, -errno, "eventfd: %s",
				       strerror(errno));
		l->aimed = false;
		line_watch(l);
		w->lines++;
		*line = (struct msi_line) { l->fd, i };
		return 0;
	}
	return err_set(e, -ENOSPC, "no more message lines");
}

static void sink_close(void *ctx, struct msi_line *line)
{
	struct world *w = ctx;

	if (line->fd < 0)
		return;
	ck_assert_int_eq(w->line[line->id].fd, line->fd);
	close(line->fd);
	w->line[line->id].fd = -1;
	w->lines--;
	line->fd = -1;
}

static int sink_aim(void *ctx, struct msi_line *line, u32 devid, u64 addr,
		    u32 data)
{
	struct world *w = ctx;
	struct world_line *l = &w->line[line->id];

	ck_assert_int_ge(line->fd, 0);
	ck_assert_int_eq(l->fd, line->fd);
	drain(w, l);
	l->aimed = !w->no_aim;
	l->devid = devid;
	l->addr = addr;
	l->data = data;
	return w->no_aim ? -ENOSPC : 0;
}

/* --- doorbells --- */

static int bell_attach(void *ctx, gpa_t at, int fd)
{
	struct world *w = ctx;

	if (w->no_bells || w->bells == WORLD_BELLS)
		return -ENOSPC;
	for (u32 i = 0; i < w->bells; i++)
		ck_assert_msg(w->bell[i].at != at, "a second doorbell at %#llx",
			      (unsigned long long)at);
	w->bell[w->bells].at = at;
	w->bell[w->bells++].fd = fd;
	return 0;
}

/* One that is not attached is left alone: there may have been no room. */
static void bell_detach(void *ctx, gpa_t at, int fd)
{
	struct world *w = ctx;

	for (u32 i = 0; i < w->bells; i++)
		if (w->bell[i].at == at && w->bell[i].fd == fd)
			w->bell[i--] = w->bell[--w->bells];
}

u64 world_read(struct world *w, gpa_t addr, u32 size)
{
	return mmio_read(&w->bus, addr, size);
}

void world_write(struct world *w, gpa_t addr, u32 size, u64 val)
{
	u64 one = 1;

	for (u32 i = 0; i < w->bells; i++) {
		if (w->bell[i].at != addr)
			continue;
		ck_assert_int_eq(write(w->bell[i].fd, &one, sizeof(one)),
				 sizeof(one));
		w->rung++;
		return;
	}
	mmio_write(&w->bus, addr, size, val);
}

/* --- time --- */

static void tick_done(struct loop_op *op, int result)
{
	loop_stop(((struct world *)op->ctx)->caps.loop);
}

/* Run the loop until there is a message, or for a moment. */
static void run(struct world *w)
{
	struct err e = { 0 };

	if (!w->tick.busy)
		loop_timer(w->caps.loop, &w->tick, TICK_NS);
	ck_assert_msg(loop_run(w->caps.loop, &e) == 0, "%s", e.msg);
}

void world_wait(struct world *w, bool (*until)(void *ctx), void *ctx)
{
	u64 begun = now_ns();

	while (!until(ctx)) {
		ck_assert_msg(now_ns() - begun < LIMIT_NS,
			      "waited in vain for a device");
		run(w);
	}
}

void world_pass(struct world *w, u32 ms)
{
	u64 begun = now_ns();

	while (now_ns() - begun < ms * 1000000ull)
		run(w);
}

/* --- the world --- */

struct world *world_create(bool scattered)
{
	struct world *w = calloc(1, sizeof(*w));
	struct err e = { 0 };

	ck_assert_ptr_nonnull(w);
	w->scattered = scattered;
	w->ram = mmap(NULL, WORLD_RAM_LEN, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(w->ram, MAP_FAILED);
	ck_assert_int_eq(gmem_add(&w->mem, WORLD_RAM, WORLD_RAM_LEN, w->ram),
			 0);
	w->ram_used = WORLD_RAM;
	w->cpu = (struct dma) { .map = cpu_map, .ctx = w };

	for (u32 i = 0; i < WORLD_LINES; i++) {
		w->line[i].world = w;
		w->line[i].fd = -1;
		w->line[i].op = (struct loop_op) { .done = line_written,
						   .ctx = &w->line[i] };
	}
	w->tick = (struct loop_op) { .done = tick_done, .ctx = w };
	w->windows = (struct pci_windows) {
		.ecam = 0x3f000000,
		.mem32 = 0x10000000,
		.mem32_size = 0x10000000,
		.mem64 = 0x8000000000,
		.mem64_size = 0x40000000,
	};
	w->mem32_used = w->windows.mem32;
	w->mem64_used = w->windows.mem64;
	mmio_bus_init(&w->bus);
	w->host = pci_host_create(&w->windows, &w->bus, &e);
	ck_assert_msg(w->host, "%s", e.msg);

	w->caps = (struct virtio_caps) {
		.loop = loop_create(&e),
		.dma = { .map = device_map, .ctx = w, .translates = scattered },
		.msi = { .send = sink_send,
			 .open = sink_open,
			 .close = sink_close,
			 .aim = sink_aim,
			 .ctx = w },
		.doorbells = { bell_attach, bell_detach, w },
	};
	ck_assert_msg(w->caps.loop, "%s", e.msg);
	return w;
}

void world_end(struct world *w)
{
	loop_destroy(w->caps.loop);
	w->caps.loop = NULL;
}

void world_destroy(struct world *w)
{
	ck_assert_ptr_null(w->caps.loop);
	ck_assert_msg(!w->lines && !w->bells,
		      "a device left %u message lines and %u doorbells behind",
		      w->lines, w->bells);
	pci_host_destroy(w->host);
	munmap(w->ram, WORLD_RAM_LEN);
	free(w);
}

/* --- what a kernel does before any driver --- */

/* PCI Local Bus 3.0, 6.1. */
#define PCI_COMMAND  0x04
#define PCI_BAR      0x10
#define PCI_CAP_LIST 0x34
#define COMMAND_ON   0x0006 /* memory, bus master */
#define CAP_MSIX     0x11
#define CAP_VENDOR   0x09

static gpa_t pci_at(const struct driver *d, u32 off)
{
	return d->world->windows.ecam + d->devfn * PCI_ECAM_FUNCTION + off;
}

u32 driver_pci_read(struct driver *d, u32 off, u32 size)
{
	return (u32)world_read(d->world, pci_at(d, off), size);
}

void driver_pci_write(struct driver *d, u32 off, u32 size, u32 val)
{
	world_write(d->world, pci_at(d, off), size, val);
}

/* Size BAR @i and give it a place; returns how many registers it takes. */
static u32 place_bar(struct driver *d, u32 i)
{
	u32 reg = PCI_BAR + 4 * i, low, width;
	gpa_t *used;
	u64 size;

	driver_pci_write(d, reg, 4, ~0u);
	low = driver_pci_read(d, reg, 4);
	if (!low)
		return 1;
	width = low & 4 ? 2 : 1;
	size = low & ~0xfu;
	if (width == 2) {
		driver_pci_write(d, reg + 4, 4, ~0u);
		size |= (u64)driver_pci_read(d, reg + 4, 4) << 32;
	} else {
		size |= ~0ull << 32;
	}
	size = -size;

	used = width == 2 ? &d->world->mem64_used : &d->world->mem32_used;
	d->bars[i] = ALIGN_UP(*used, size);
	*used = d->bars[i] + size;
	driver_pci_write(d, reg, 4, (u32)d->bars[i]);
	if (width == 2)
		driver_pci_write(d, reg + 4, 4, (u32)(d->bars[i] >> 32));
	return width;
}

static void found_msix(struct driver *d, u32 cap)
{
	u32 table = driver_pci_read(d, cap + 4, 4),
	    pba = driver_pci_read(d, cap + 8, 4);

	d->msix_cap = cap;
	d->vectors = (driver_pci_read(d, cap + 2, 2) & 0x7ff) + 1;
	d->msix_table = d->bars[table & 7] + (table & ~7u);
	d->msix_pba = d->bars[pba & 7] + (pba & ~7u);
}

static void found_part(struct driver *d, u32 cap)
{
	u32 type = driver_pci_read(d, cap + 3, 1);

	/* The first of a type is the one to use, 4.1.4.1; others are not ours
	 * to understand. */
	if (type == 0 || type >= PARTS || d->part[type].cap)
		return;
	d->part[type].cap = cap;
	d->part[type].bar = driver_pci_read(d, cap + 4, 1);
	d->part[type].off = driver_pci_read(d, cap + 8, 4);
	d->part[type].len = driver_pci_read(d, cap + 12, 4);
	if (type == NOTIFY_CFG)
		d->notify_multiplier = driver_pci_read(d, cap + 16, 4);
}

static void walk_caps(struct driver *d)
{
	u32 cap = driver_pci_read(d, PCI_CAP_LIST, 1), left = 48;

	for (; cap; cap = driver_pci_read(d, cap + 1, 1)) {
		u32 id = driver_pci_read(d, cap, 1);

		ck_assert_msg(left-- && cap % 4 == 0,
			      "the list of capabilities has no end");
		if (id == CAP_MSIX)
			found_msix(d, cap);
		else if (id == CAP_VENDOR)
			found_part(d, cap);
	}
}

static void enable_msix(struct driver *d)
{
	for (u32 v = 0; v < d->vectors; v++) {
		gpa_t entry = d->msix_table + 16 * v;

		world_write(d->world, entry, 4, (u32)WORLD_ITS);
		world_write(d->world, entry + 4, 4, WORLD_ITS >> 32);
		world_write(d->world, entry + 8, 4, v);
		world_write(d->world, entry + 12, 4, 0);
	}
	driver_pci_write(d, d->msix_cap + 2, 2, 0x8000);
}

struct driver *driver_create(struct world *w, struct virtio *v)
{
	struct driver *d = calloc(1, sizeof(*d));
	struct err e = { 0 };

	ck_assert_ptr_nonnull(d);
	d->world = w;
	d->virtio = v;
	d->devfn = PCI_DEVFN(++w->devices, 0);
	ck_assert_msg(pci_host_add(w->host, virtio_function(v), d->devfn, &e) ==
			      0,
		      "%s", e.msg);
	for (u32 i = 0; i < PCI_BARS;)
		i += place_bar(d, i);
	driver_pci_write(d, PCI_COMMAND, 2, COMMAND_ON);
	walk_caps(d);
	if (d->msix_cap)
		enable_msix(d);
	return d;
}

void driver_destroy(struct driver *d)
{
	free(d);
}

u32 driver_messages(struct driver *d, u32 v)
{
	struct world *w = d->world;

	ck_assert_uint_lt(v, WORLD_MESSAGES);
	for (u32 i = 0; i < WORLD_LINES; i++)
		drain(w, &w->line[i]);
	return w->messages[d->devfn][v];
}

/* --- registers --- */

gpa_t driver_at(const struct driver *d, enum driver_part part, u64 off)
{
	ck_assert_msg(d->part[part].cap, "no capability for structure %d",
		      part);
	return d->bars[d->part[part].bar] + d->part[part].off + off;
}

u64 driver_read(struct driver *d, u32 off, u32 size)
{
	return world_read(d->world, driver_at(d, COMMON_CFG, off), size);
}

void driver_write(struct driver *d, u32 off, u32 size, u64 val)
{
	world_write(d->world, driver_at(d, COMMON_CFG, off), size, val);
}

u8 driver_status(struct driver *d)
{
	return (u8)driver_read(d, DEVICE_STATUS, 1);
}

void driver_config(struct driver *d, u32 off, void *bytes, u32 len)
{
	u64 before;

	do {
		before = driver_read(d, CONFIG_GENERATION, 1);
		for (u32 i = 0; i < len; i++)
			((u8 *)bytes)[i] = (u8)world_read(
				d->world, driver_at(d, DEVICE_CFG, off + i), 1);
	} while (before != driver_read(d, CONFIG_GENERATION, 1));
}

/* --- from reset to a running device --- */

static bool is_reset(void *ctx)
{
	return driver_status(ctx) == 0;
}

void driver_reset(struct driver *d)
{
	driver_write(d, DEVICE_STATUS, 1, 0);
	world_wait(d->world, is_reset, d);
	memset(d->queues, 0, sizeof(d->queues));
	d->features = 0;
}

static void add_status(struct driver *d, u8 bits)
{
	driver_write(d, DEVICE_STATUS, 1, driver_status(d) | bits);
}

static u64 read_offered(struct driver *d)
{
	u64 bits = 0;

	for (u32 half = 0; half < 2; half++) {
		driver_write(d, DEVICE_FEATURE_SELECT, 4, half);
		bits |= driver_read(d, DEVICE_FEATURE, 4) << (32 * half);
	}
	return bits;
}

bool driver_negotiate(struct driver *d, u64 features)
{
	driver_reset(d);
	add_status(d, ACKNOWLEDGE);
	add_status(d, DRIVER);
	d->offered = read_offered(d);
	d->features = d->offered & features;
	for (u32 half = 0; half < 2; half++) {
		driver_write(d, DRIVER_FEATURE_SELECT, 4, half);
		driver_write(d, DRIVER_FEATURE, 4,
			     (u32)(d->features >> (32 * half)));
	}
	add_status(d, FEATURES_OK);
	return driver_status(d) & FEATURES_OK;
}

static u64 used_event(const struct driver_queue *q)
{
	return q->avail + 4 + 2 * q->size;
}

static u64 avail_event(const struct driver_queue *q)
{
	return q->used + 4 + 8 * q->size;
}

struct driver_queue *driver_queue_setup(struct driver *d, u32 i, u32 size,
					u16 vector)
{
	struct world *w = d->world;
	struct driver_queue *q = &d->queues[i];

	ck_assert_uint_le(size, VIRTQ_SIZE_MAX);
	*q = (struct driver_queue) {
		.driver = d,
		.index = i,
		.size = size,
		.desc = world_alloc(w, 16 * size),
		.avail = world_alloc(w, 6 + 2 * size),
		.used = world_alloc(w, 6 + 8 * size),
		.event_idx = d->features & VIRTIO_F_EVENT_IDX,
		.free = size,
	};
	for (u32 k = 0; k < size; k++)
		q->next[k] = (u16)(k + 1);

	driver_write(d, QUEUE_SELECT, 2, i);
	ck_assert_uint_ge(driver_read(d, QUEUE_SIZE, 2), size);
	driver_write(d, QUEUE_SIZE, 2, size);
	driver_write(d, QUEUE_DESC, 8, q->desc);
	driver_write(d, QUEUE_DRIVER, 8, q->avail);
	driver_write(d, QUEUE_DEVICE, 8, q->used);
	driver_write(d, QUEUE_MSIX_VECTOR, 2, vector);
	ck_assert_uint_eq(driver_read(d, QUEUE_MSIX_VECTOR, 2), vector);
	q->notify = driver_at(d, NOTIFY_CFG,
			      driver_read(d, QUEUE_NOTIFY_OFF, 2) *
				      d->notify_multiplier);
	driver_write(d, QUEUE_ENABLE, 2, 1);
	return q;
}

void driver_start(struct driver *d)
{
	add_status(d, DRIVER_OK);
}

void driver_bind(struct driver *d, u64 features, u32 queues, u32 size)
{
	ck_assert(driver_negotiate(d, features));
	ck_assert_uint_ge(driver_read(d, NUM_QUEUES, 2), queues);
	driver_write(d, CONFIG_MSIX_VECTOR, 2, 0);
	for (u32 i = 0; i < queues; i++)
		driver_queue_setup(d, i, size, (u16)(i + 1));
	driver_start(d);
}

/* --- queues --- */

#define DESC_NEXT     1
#define DESC_WRITE    2
#define DESC_INDIRECT 4

static void put_desc(struct world *w, u64 at, u64 addr, u32 len, u16 flags,
		     u16 next)
{
	struct {
		u64 addr;
		u32 len;
		u16 flags, next;
	} d = { htole64(addr), htole32(len), htole16(flags), htole16(next) };

	world_put(w, at, &d, sizeof(d));
}

void driver_put_desc(struct driver_queue *q, u32 i, u64 addr, u32 len,
		     u16 flags, u16 next)
{
	put_desc(q->driver->world, q->desc + 16 * i, addr, len, flags, next);
}

/* The index moves once the entry and what it stands for are there, 2.7.13. */
void driver_put_avail(struct driver_queue *q, u16 head)
{
	struct world *w = q->driver->world;

	put16(w, q->avail + 4 + 2 * (q->avail_idx % q->size), head);
	put16(w, q->avail + 2, ++q->avail_idx);
}

static u16 take_desc(struct driver_queue *q)
{
	u16 i = q->free_first;

	ck_assert_msg(q->free, "no room in the queue for another chain");
	q->free--;
	q->free_first = q->next[i];
	return i;
}

/* Buffer @i of @outs and then @ins, as a descriptor at @at. */
static void put_buffer(struct world *w, u64 at, const struct buffer *b,
		       bool write, bool last, u16 next)
{
	put_desc(w, at, b->addr, b->len,
		 (write ? DESC_WRITE : 0) | (last ? 0 : DESC_NEXT),
		 last ? 0 : next);
}

static u16 add_direct(struct driver_queue *q, const struct buffer *out,
		      u32 outs, const struct buffer *in, u32 ins)
{
	u16 head = q->free_first;

	ck_assert_msg(q->free >= outs + ins,
		      "no room in the queue for another chain");
	for (u32 i = 0; i < outs + ins; i++) {
		u64 at = q->desc + 16 * take_desc(q);

		put_buffer(q->driver->world, at,
			   i < outs ? &out[i] : &in[i - outs], i >= outs,
			   i == outs + ins - 1, q->free_first);
	}
	q->chain[head] = (u16)(outs + ins);
	return head;
}

static u16 add_indirect(struct driver_queue *q, const struct buffer *out,
			u32 outs, const struct buffer *in, u32 ins)
{
	struct world *w = q->driver->world;
	u16 head = take_desc(q);
	struct buffer *t = &q->table[head];
	u32 len = 16 * (outs + ins);

	if (t->len < len)
		*t = (struct buffer) { world_alloc(w, len), len };
	for (u32 i = 0; i < outs + ins; i++)
		put_buffer(w, t->addr + 16 * i,
			   i < outs ? &out[i] : &in[i - outs], i >= outs,
			   i == outs + ins - 1, (u16)(i + 1));
	driver_put_desc(q, head, t->addr, len, DESC_INDIRECT, 0);
	q->chain[head] = 1;
	return head;
}

u16 driver_add(struct driver_queue *q, const struct buffer *out, u32 outs,
	       const struct buffer *in, u32 ins)
{
	u16 head;

	ck_assert_uint_gt(outs + ins, 0);
	head = q->indirect ? add_indirect(q, out, outs, in, ins)
			   : add_direct(q, out, outs, in, ins);
	driver_put_avail(q, head);
	return head;
}

void driver_notify(struct driver_queue *q)
{
	q->kicked = q->avail_idx;
	world_write(q->driver->world, q->notify, 2, q->index);
}

bool driver_kick(struct driver_queue *q)
{
	struct world *w = q->driver->world;
	u16 added = (u16)(q->avail_idx - q->kicked), event;
	bool wanted;

	/* What the device wants is read after it could see what we added. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	event = get16(w, avail_event(q));
	wanted = q->event_idx ? (u16)(q->avail_idx - event - 1) < added
			      : !(get16(w, q->used) & 1);
	q->kicked = q->avail_idx;
	if (wanted && added)
		driver_notify(q);
	return wanted && added;
}

void driver_want_interrupts(struct driver_queue *q, bool want)
{
	struct world *w = q->driver->world;

	q->quiet = !want;
	if (q->event_idx) /* the next index, or the last to come round */
		put16(w, used_event(q), (u16)(q->used_idx - !want));
	else
		put16(w, q->avail, !want);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Descriptors were taken in the order of the list, so that it still links
 * those of a chain. */
static void give_back(struct driver_queue *q, u16 head)
{
	u16 last = head;

	for (u32 left = q->chain[head]; left > 1; left--)
		last = q->next[last];
	q->next[last] = q->free_first;
	q->free_first = head;
	q->free += q->chain[head];
	q->chain[head] = 0;
}

bool driver_used(struct driver_queue *q, u16 *head, u32 *written)
{
	struct world *w = q->driver->world;
	u32 elem[2];

	if (get16(w, q->used + 2) == q->used_idx)
		return false;
	world_get(w, q->used + 4 + 8 * (q->used_idx % q->size), elem,
		  sizeof(elem));
	*written = le32toh(elem[1]);
	*head = (u16)le32toh(elem[0]);
	ck_assert_msg(le32toh(elem[0]) < q->size && q->chain[*head],
		      "the device gives back chain %u, which it does not have",
		      le32toh(elem[0]));
	give_back(q, *head);
	q->used_idx++;
	if (q->event_idx && !q->quiet)
		driver_want_interrupts(q, true);
	return true;
}

static bool has_used(void *ctx)
{
	const struct driver_queue *q = ctx;

	return get16(q->driver->world, q->used + 2) != q->used_idx;
}

u16 driver_wait(struct driver_queue *q, u32 *written)
{
	u16 head = 0;

	world_wait(q->driver->world, has_used, q);
	ck_assert(driver_used(q, &head, written));
	return head;
}

u32 driver_request(struct driver_queue *q, const struct buffer *out, u32 outs,
		   const struct buffer *in, u32 ins)
{
	u16 head = driver_add(q, out, outs, in, ins);
	u32 written = 0;

	driver_kick(q);
	ck_assert_uint_eq(driver_wait(q, &written), head);
	return written;
}
