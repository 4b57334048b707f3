/*
 * A guest that does anything to three functions' configuration spaces and BARs
 * while their devices fire: a device hears only of accesses within its BARs, is
 * told where they are whenever that changes, no message comes that is not due,
 * and no line is used that is closed.
 *
 * Input: records of eight bytes - what, which, an offset (two), a value (four).
 */
#include <belfry/pci.h>

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define RECORD     8
#define ECAM       0x3f000000ull
#define MEM32      0x10000000ull
#define MEM32_SIZE 0x2f000000ull
#define MEM64      0x8000000000ull
#define MEM64_SIZE (64 * GIB)

#define FUNCTIONS  3
#define LINES      128
#define COMMAND    0x04
#define BAR0       0x10
#define MSE        BIT(1)
#define BME        BIT(2)
#define MSIX_MASK  BIT(14)
#define MSIX_ON    BIT(15)

struct shape {
	u64 size; /* 0: none */
	bool mem64, prefetch;
};

static const struct kind {
	u32 devfn;
	struct shape bars[PCI_BARS];
	u32 vectors, msix_bar;
	u64 table, pba;
} kinds[FUNCTIONS] = {
	{ .devfn = PCI_DEVFN(0, 0),
	  .bars = { { 16, false, false },
		    { 4 * KIB, false, true },
		    { MIB, true, true } },
	  .vectors = 3,
	  .msix_bar = 1,
	  .pba = 0x800 },
	{ .devfn = PCI_DEVFN(0, 1),
	  .bars = { { 8 * GIB, true, true }, { 0 }, { 64 * KIB, true, false } },
	  .vectors = 66,
	  .msix_bar = 2,
	  .table = 0x8008,
	  .pba = 0x4000 },
	{ .devfn = PCI_DEVFN(31, 7),
	  .bars = { { BIT(62), true, false },
		    { 0 },
		    { 0 },
		    { 0 },
		    { 0 },
		    { 256 * MIB, false, false } } },
};

struct message {
	u32 devid, data;
	u64 addr;
};

struct device {
	struct bench *bench;
	const struct kind *kind;
	struct pci_function f;
	u32 msix_cap, first_line;
	gpa_t at[PCI_BARS]; /* what it was told */
	/* Its pending bits as last seen, if the guest could. */
	bool seen;
	u64 pending[2];
};

/* All lines are one eventfd: it is counted what comes, and known whence. */
struct bench {
	struct mmio_bus bus;
	struct pci_host *host;
	struct device devices[FUNCTIONS];
	int fd;
	u32 opened, closed;
	bool aimed[LINES];
	struct message to[LINES];
	bool aims_fail, unmapped;
	struct message sent; /* the last by hand */
	/* Since the operation began. */
	u32 accesses, moves, aims, sends;
};

static bool sink_send(void *ctx, u32 devid, u64 addr, u32 data)
{
	struct bench *b = ctx;

	b->sent = (struct message) { devid, data, addr };
	b->sends++;
	return !b->unmapped;
}

static int sink_open(void *ctx, struct msi_line *l, struct err *e)
{
	struct bench *b = ctx;

	assert(b->opened < LINES);
	*l = (struct msi_line) { .fd = b->fd, .id = b->opened++ };
	return 0;
}

static void sink_close(void *ctx, struct msi_line *l)
{
	struct bench *b = ctx;

	b->closed += l->fd >= 0;
	l->fd = -1;
}

static int sink_aim(void *ctx, struct msi_line *l, u32 devid, u64 addr,
		    u32 data)
{
	struct bench *b = ctx;

	assert(l->fd == b->fd && l->id < b->opened);
	assert(addr % 4 == 0);
	b->aims++;
	b->aimed[l->id] = !b->aims_fail;
	b->to[l->id] = (struct message) { devid, data, addr };
	return b->aims_fail ? -EINVAL : 0;
}

static void check_access(struct device *d, u32 bar, u64 off, u32 size)
{
	assert(bar < PCI_BARS && d->kind->bars[bar].size);
	assert(size == 1 || size == 2 || size == 4 || size == 8);
	assert(off % size == 0);
	assert(range_fits(off, size, d->kind->bars[bar].size));
	assert(d->at[bar]);
	d->bench->accesses++;
}

static u64 bar_read(void *dev, u32 bar, u64 off, u32 size)
{
	check_access(dev, bar, off, size);
	return ~0ull;
}

static void bar_write(void *dev, u32 bar, u64 off, u32 size, u64 val)
{
	check_access(dev, bar, off, size);
}

static void bar_moved(void *dev, u32 bar, gpa_t at)
{
	struct device *d = dev;

	assert(bar < PCI_BARS && d->kind->bars[bar].size && d->at[bar] != at);
	d->at[bar] = at;
	d->bench->moves++;
}

static void config_used(void *dev, u32 off, u32 len)
{
	assert(len == 1 || len == 2 || len == 4);
	assert(off % len == 0 && off + len <= PCI_CONFIG_SIZE);
}

static const struct pci_ops device_ops = {
	.bar_read = bar_read,
	.bar_write = bar_write,
	.bar_moved = bar_moved,
	.config_read = config_used,
	.config_written = config_used,
};

static void device_init(struct device *d, const struct kind *k, struct bench *b)
{
	const struct pci_ids ids = { 1, 2, 3, 4, 5, 6 };
	const struct msi_sink sink = { .send = sink_send,
				       .open = sink_open,
				       .close = sink_close,
				       .aim = sink_aim,
				       .ctx = b };
	struct err e;
	int err = 0;

	*d = (struct device) {
		.bench = b,
		.kind = k,
		.first_line = b->opened,
	};
	pci_function_init(&d->f, "fuzz", &ids, &device_ops, d);
	for (u32 i = 0; i < PCI_BARS; i++)
		if (k->bars[i].size)
			pci_add_bar(&d->f, i, k->bars[i].size, k->bars[i].mem64,
				    k->bars[i].prefetch);
	/* Eight bytes of it, then MSI-X. */
	d->msix_cap = pci_add_cap(&d->f, 9, "\5abc", "\0\377\0", 3) + 8;
	if (k->vectors)
		err = pci_add_msix(&d->f, k->vectors, k->msix_bar, k->table,
				   k->pba, &sink, &e);
	assert(!err);
	err = pci_host_add(b->host, &d->f, k->devfn, &e);
	assert(!err);
}

static bool bench_init(struct bench *b)
{
	const struct pci_windows w = { .ecam = ECAM,
				       .mem32 = MEM32,
				       .mem32_size = MEM32_SIZE,
				       .mem64 = MEM64,
				       .mem64_size = MEM64_SIZE };
	struct err e;

	*b = (struct bench) {
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	if (b->fd < 0)
		return false;
	mmio_bus_init(&b->bus);
	b->host = pci_host_create(&w, &b->bus, &e);
	if (!b->host) {
		close(b->fd);
		return false;
	}
	for (u32 i = 0; i < FUNCTIONS; i++)
		device_init(&b->devices[i], &kinds[i], b);
	return true;
}

static void bench_fini(struct bench *b)
{
	for (u32 i = 0; i < FUNCTIONS; i++)
		pci_function_fini(&b->devices[i].f);
	assert(b->opened == b->closed);
	pci_host_destroy(b->host);
	close(b->fd);
}

static u32 config(struct device *d, u32 off)
{
	return (u32)mmio_read(&d->bench->bus,
			      ECAM + (u64)d->kind->devfn * PCI_ECAM_FUNCTION +
				      off,
			      4);
}

/* Where the register says that BAR @i is, and whether it would answer there. */
static gpa_t place(struct device *d, u32 i, bool *answers)
{
	const struct shape *s = &d->kind->bars[i];
	gpa_t at = config(d, BAR0 + 4 * i) & ~0xfull;

	if (s->mem64)
		at |= (u64)config(d, BAR0 + 4 * i + 4) << 32;
	assert(at % s->size == 0);
	*answers =
		(config(d, COMMAND) & MSE) &&
		((at >= MEM32 && range_fits(at - MEM32, s->size, MEM32_SIZE)) ||
		 (at >= MEM64 && range_fits(at - MEM64, s->size, MEM64_SIZE)));
	return at;
}

static void check_bars(struct bench *b)
{
	for (u32 i = 0; i < FUNCTIONS; i++) {
		struct device *d = &b->devices[i];

		for (u32 j = 0; j < PCI_BARS; j++) {
			bool answers;
			gpa_t at;

			if (!d->kind->bars[j].size)
				continue;
			at = place(d, j, &answers);
			assert(d->at[j] == (answers ? at : 0));
			assert(d->f.bars[j].at == d->at[j]);
		}
	}
}

/* Is @d's BAR @i somewhere, and no other in the same place? */
static bool alone(struct device *d, u32 i)
{
	u64 start = d->at[i], len = d->kind->bars[i].size;

	for (u32 j = 0; j < FUNCTIONS; j++) {
		struct device *o = &d->bench->devices[j];

		for (u32 k = 0; k < PCI_BARS; k++)
			if (o->at[k] && (o != d || k != i) &&
			    o->at[k] < start + len &&
			    start < o->at[k] + o->kind->bars[k].size)
				return false;
	}
	return start != 0;
}

/* Messages that came by lines since it was last asked. */
static u64 rung(struct bench *b)
{
	u64 times;

	return read(b->fd, &times, sizeof(times)) < 0 ? 0 : times;
}

static gpa_t entry_of(struct device *d, u32 v)
{
	return d->at[d->kind->msix_bar] + d->kind->table + v * 16;
}

/* May vector @v's message be sent now? */
static bool is_open(struct device *d, u32 v)
{
	u32 control = config(d, d->msix_cap) >> 16;

	return (control & MSIX_ON) && !(control & MSIX_MASK) &&
	       (config(d, COMMAND) & BME) &&
	       !mmio_read(&d->bench->bus, entry_of(d, v) + 12, 4);
}

static u64 pending(struct device *d, u32 word)
{
	return mmio_read(&d->bench->bus,
			 d->at[d->kind->msix_bar] + d->kind->pba + word * 8, 8);
}

static bool is_pending(struct device *d, u32 v)
{
	return pending(d, v / 64) & BIT(v % 64);
}

/* What must come of vector @v by what the guest sees of it. */
static void fire_known(struct device *d, u32 v)
{
	struct bench *b = d->bench;
	u32 line = d->first_line + v;
	struct message m = {
		.devid = d->kind->devfn,
		.addr = mmio_read(&b->bus, entry_of(d, v), 8),
		.data = (u32)mmio_read(&b->bus, entry_of(d, v) + 8, 4),
	};
	bool open = is_open(d, v), was = is_pending(d, v);
	const struct message *got;

	assert(!(open && was));
	pci_msix_fire(&d->f, v);
	assert(is_pending(d, v) == (was || (pci_msix_enabled(&d->f) && !open)));
	if (!open)
		return;
	got = b->sends ? &b->sent : &b->to[line];
	assert(b->sends || b->aimed[line]);
	assert(got->devid == m.devid && got->addr == m.addr &&
	       got->data == m.data);
}

static void fire(struct device *d, u32 v)
{
	u64 came;

	assert(rung(d->bench) == 0);
	if (v < d->kind->vectors && alone(d, d->kind->msix_bar))
		fire_known(d, v);
	else
		pci_msix_fire(&d->f, v);
	came = d->bench->sends + rung(d->bench);
	assert(came <= 1 && (v < d->kind->vectors || !came));
	d->bench->sends = 0;
	d->seen = false;
}

/* Bits that went since they were last seen: each for a message that may be
 * sent. None came but by firing. */
static u32 count_gone(struct device *d, const u64 now[2])
{
	u32 n = 0;

	for (u32 i = 0; i < 2; i++)
		assert(!(now[i] & ~d->pending[i]));
	for (u32 v = 0; v < d->kind->vectors; v++) {
		if (!((d->pending[v / 64] ^ now[v / 64]) & BIT(v % 64)))
			continue;
		assert(is_open(d, v));
		n++;
	}
	return n;
}

/* Every message that came is for a bit that went. */
static void check_messages(struct bench *b)
{
	u64 came = b->sends + rung(b);
	bool all = true;

	for (u32 i = 0; i < FUNCTIONS; i++) {
		struct device *d = &b->devices[i];
		u32 control = config(d, d->msix_cap) >> 16;
		u64 now[2];

		if (!d->kind->vectors)
			continue;
		assert(pci_msix_enabled(&d->f) == !!(control & MSIX_ON));
		if (!alone(d, d->kind->msix_bar)) {
			all = d->seen = false;
			continue;
		}
		now[0] = pending(d, 0);
		now[1] = d->kind->vectors > 64 ? pending(d, 1) : 0;
		if (d->seen)
			came -= count_gone(d, now);
		else
			all = false;
		assert(came <= b->opened);
		d->seen = true;
		memcpy(d->pending, now, sizeof(now));
	}
	assert(!all || !came);
}

/* Where an access of a record goes. */
static gpa_t target(struct bench *b, u32 which, u32 off, u32 val)
{
	struct device *d = &b->devices[which % FUNCTIONS];
	u32 bar = which / FUNCTIONS % PCI_BARS;

	if (which >= 250)
		return MEM64 + (u64)val * 16;
	if (which >= 240)
		return MEM32 + val % MEM32_SIZE;
	return d->at[bar] + off;
}

static bool within(u64 off, u64 start, u64 len)
{
	return off >= start && off - start < len;
}

/* Is it the device that an access at @off of BAR @bar must go to? */
static bool reaches(struct device *d, u32 bar, u32 off, u32 size)
{
	const struct kind *k = d->kind;

	return alone(d, bar) && off % size == 0 &&
	       range_fits(off, size, k->bars[bar].size) &&
	       !(k->vectors && bar == k->msix_bar &&
		 (within(off, k->table, k->vectors * 16ull) ||
		  within(off, k->pba, (k->vectors + 63) / 64 * 8ull)));
}

static void bar_access(struct bench *b, const u8 *rec, u32 off, u32 size,
		       u64 val)
{
	u32 which = rec[1], bar = which / FUNCTIONS % PCI_BARS;
	gpa_t at = target(b, which, off, (u32)val);
	bool must = which < 240 &&
		    reaches(&b->devices[which % FUNCTIONS], bar, off, size);

	if (rec[0] & 1)
		mmio_write(&b->bus, at, size, val);
	else
		mmio_read(&b->bus, at, size);
	assert(b->accesses == 1 || !must);
}

/* Put a BAR where it is likely to answer. */
static void put_bar(struct bench *b, u32 which, u32 val)
{
	const struct kind *k = &kinds[which % FUNCTIONS];
	u32 bar = which / FUNCTIONS % PCI_BARS;
	gpa_t reg = ECAM + k->devfn * PCI_ECAM_FUNCTION + BAR0 + 4 * bar;
	bool high = k->bars[bar].mem64 && (val & 1);
	gpa_t at = high ? MEM64 + (u64)val * 4096 : val % (MEM32 + MEM32_SIZE);

	mmio_write(&b->bus, reg, 4, (u32)at);
	if (k->bars[bar].mem64)
		mmio_write(&b->bus, reg + 4, 4, at >> 32);
}

static void other(struct bench *b, u32 what)
{
	if (what == 0)
		pci_host_reset(b->host); /* all BARs go, so nothing is seen */
	else if (what < 64)
		b->aims_fail = what & 1;
	else
		b->unmapped = what & 1;
}

/* The low three bits of @rec[0] choose; the next two are the size. */
static void step(struct bench *b, const u8 *rec)
{
	u32 which = rec[1], off = rec[2] | (u32)rec[3] << 8;
	u32 val = rec[4] | (u32)rec[5] << 8 | (u32)rec[6] << 16 |
		  (u32)rec[7] << 24;
	u32 size = 1u << (rec[0] >> 3 & 3);
	gpa_t ecam =
		ECAM + (u64)kinds[which % FUNCTIONS].devfn * PCI_ECAM_FUNCTION;
	u64 wide = val | (u64)val << 32;

	switch (rec[0] & 7) {
	case 0:
		mmio_read(&b->bus, ecam + off % PCI_ECAM_FUNCTION, size);
		break;
	case 1:
		mmio_write(&b->bus, ecam + off % PCI_ECAM_FUNCTION, size, wide);
		break;
	case 2:
	case 3:
		bar_access(b, rec, off, size, wide);
		break;
	case 4:
		put_bar(b, which, val);
		break;
	case 5:
		fire(&b->devices[which % FUNCTIONS], off % 70);
		break;
	case 6: /* any function, there or not */
		mmio_write(&b->bus, ECAM + (off << 4 | which % 16u), size,
			   wide);
		break;
	default:
		other(b, which);
		break;
	}
}

/* However wild, an operation costs no more than the functions have. */
static void check_work(struct bench *b)
{
	assert(b->accesses <= 1);
	assert(b->moves <= FUNCTIONS * PCI_BARS);
	assert(b->aims <= b->opened);
	b->accesses = b->moves = b->aims = b->sends = 0;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct bench b;

	if (!bench_init(&b))
		return 0;
	for (; size >= RECORD; data += RECORD, size -= RECORD) {
		step(&b, data);
		check_bars(&b);
		check_messages(&b);
		check_work(&b);
	}
	bench_fini(&b);
	return 0;
}
