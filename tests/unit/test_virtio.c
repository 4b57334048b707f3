/*
 * The PCI transport by the book, under a small device that gives back what it
 * is given. VIRTIO 1.2, 2, 3.1 and 4.1.
 */
#include "unit.h"

#include "fakes/driver.h"

#include <belfry/regbank.h>

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "virtio_priv.h"

#define QUEUES     3
#define SIZE       128 /* most descriptors of a queue */
#define CONFIG_LEN 24
#define TOY_BITS   (BIT(0) | BIT(5) | BIT(40))
#define ALL_BITS                                                  \
	(TOY_BITS | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | \
	 VIRTIO_F_VERSION_1)
#define CONFIG_VECTOR 0

/* The device, and what was asked of it. */
struct toy {
	struct virtio *v;
	u64 features;
	bool running;
	u32 starts, stops, kicks[QUEUES];
	struct {
		u32 calls, off, len;
		u64 val;
	} written;

	/* For the test to set. */
	bool hold; /* keep what is popped */
	bool late; /* leave ops->stop unanswered */
	u32 held;  /* chains of queue 0 that it keeps */
	u16 head[SIZE];
};

static void toy_start(void *dev, u64 features)
{
	struct toy *t = dev;

	ck_assert(!t->running);
	t->running = true;
	t->features = features;
	t->starts++;
}

/* Copy what is readable to what is writable. */
static void toy_answer(struct virtq *q, const struct virtq_chain *c)
{
	u8 buf[64];
	size_t n = virtq_chain_read(c, 0, buf, sizeof(buf));

	virtq_push(q, c->head, (u32)virtq_chain_write(c, 0, buf, n));
}

static void toy_take(struct toy *t, struct virtq *q)
{
	struct iovec iov[8];
	struct virtq_chain c = { .iov = iov, .iov_max = ARRAY_SIZE(iov) };

	while (virtq_pop(q, &c) > 0) {
		if (t->hold)
			t->head[t->held++ % SIZE] = c.head;
		else
			toy_answer(q, &c);
	}
}

static void toy_kick(void *dev, u32 i)
{
	struct toy *t = dev;
	struct virtq *q = virtio_queue(t->v, i);

	ck_assert(t->running);
	ck_assert_ptr_nonnull(q);
	t->kicks[i]++;
	do {
		virtq_quiet(q);
		toy_take(t, q);
	} while (virtq_listen(q));
	virtio_show(t->v, i);
}

static void toy_stop(void *dev)
{
	struct toy *t = dev;

	ck_assert(t->running);
	t->running = false;
	t->stops++;
	if (!t->late)
		virtio_stopped(t->v);
}

static void toy_config_written(void *dev, u32 off, u32 len, u64 val)
{
	struct toy *t = dev;

	t->written.calls++;
	t->written.off = off;
	t->written.len = len;
	t->written.val = val;
}

static const struct virtio_ops toy_ops = {
	.type = VIRTIO_RNG,
	.class_code = 0x123456,
	.start = toy_start,
	.kick = toy_kick,
	.stop = toy_stop,
	.config_written = toy_config_written,
};

struct bench {
	struct world *w;
	struct toy toy;
	struct virtio *v;
	struct driver *d;
	struct buffer out, in;
};

static struct virtio_setup toy_setup(struct bench *b)
{
	return (struct virtio_setup) {
		.name = "toy",
		.ops = &toy_ops,
		.dev = &b->toy,
		.features = TOY_BITS,
		.queues = QUEUES,
		.queue_size = SIZE,
		.config_len = CONFIG_LEN,
		.caps = b->w->caps,
	};
}

/* A device on the bus, as a driver finds it. */
static void bench_init_in(struct bench *b, struct world *w)
{
	struct virtio_setup s;
	struct err e = { 0 };

	*b = (struct bench) { .w = w };
	s = toy_setup(b);
	b->v = b->toy.v = virtio_create(&s, &e);
	ck_assert_msg(b->v, "%s", e.msg);
	b->d = driver_create(b->w, b->v);
	b->out = (struct buffer) { world_alloc(b->w, 64), 40 };
	b->in = (struct buffer) { world_alloc(b->w, 64), 64 };
}

static void bench_init(struct bench *b)
{
	bench_init_in(b, world_create(false));
}

/* And one that runs. */
static void bench_init_bound(struct bench *b)
{
	bench_init(b);
	driver_bind(b->d, ~0ull, QUEUES, 16);
	world_pass(b->w, 1);
	ck_assert(b->toy.running);
}

static void bench_fini(struct bench *b)
{
	world_end(b->w);
	virtio_destroy(b->v);
	driver_destroy(b->d);
	world_destroy(b->w);
}

/* Faults are meant here; their words would only hide real ones. */
static void hush(void)
{
	int fd = open("/dev/null", O_WRONLY);

	dup2(fd, STDERR_FILENO);
	close(fd);
}

/* The device serves queue @i. */
static void works(struct bench *b, u32 i)
{
	ck_assert_uint_eq(driver_request(&b->d->queues[i], &b->out, 1, &b->in,
					 1),
			  40);
}

/* A chain is added to queue @i and told, and nothing comes of it. */
static void idle(struct bench *b, u32 i)
{
	u32 kicks = b->toy.kicks[i];
	u32 written;
	u16 head;

	driver_add(&b->d->queues[i], &b->out, 1, &b->in, 1);
	driver_notify(&b->d->queues[i]);
	world_pass(b->w, 3);
	ck_assert_uint_eq(b->toy.kicks[i], kicks);
	ck_assert(!driver_used(&b->d->queues[i], &head, &written));
}

/* --- what a driver finds --- */

START_TEST(identity)
{
	static const struct {
		u32 off, size, want;
	} rows[] = {
		{ 0x00, 2, 0x1af4 }, { 0x02, 2, 0x1040 + VIRTIO_RNG },
		{ 0x08, 1, 1 },      { 0x09, 1, 0x56 },
		{ 0x0a, 2, 0x1234 }, { 0x2c, 2, 0x1af4 },
		{ 0x0e, 1, 0 },      { 0x3d, 1, 0 },
	};
	struct bench b;

	bench_init(&b);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		ck_assert_msg(driver_pci_read(b.d, rows[i].off, rows[i].size) ==
				      rows[i].want,
			      "%#x: %#x", rows[i].off,
			      driver_pci_read(b.d, rows[i].off, rows[i].size));
	/* 4.1.2.1: not one that a transitional device has. */
	ck_assert_uint_ge(driver_pci_read(b.d, 0x2e, 2), 0x40);
	bench_fini(&b);
}
END_TEST

/* A part of a BAR that something is in. */
struct extent {
	u32 bar;
	u64 off, len;
};

static bool apart(const struct extent *a, const struct extent *b)
{
	return a->bar != b->bar || a->off >= b->off + b->len ||
	       b->off >= a->off + a->len;
}

/* 4.1.4: where each structure may be, and how long it is at least. */
START_TEST(capabilities)
{
	static const struct {
		u32 align, cap_len;
		u64 len;
	} want[PARTS] = {
		[COMMON_CFG] = { 4, 16, 56 },
		[NOTIFY_CFG] = { 2, 20, 2 },
		[ISR_CFG] = { 1, 16, 1 },
		[DEVICE_CFG] = { 4, 16, CONFIG_LEN },
	};
	struct extent all[PARTS + 2];
	u32 table, pba, nr = 0;
	struct bench b;

	bench_init(&b);
	for (u32 i = COMMON_CFG; i <= DEVICE_CFG; i++) {
		u32 cap = b.d->part[i].cap;

		ck_assert_msg(cap, "structure %u is not there", i);
		ck_assert_uint_eq(driver_pci_read(b.d, cap, 1), 0x09);
		ck_assert_uint_eq(driver_pci_read(b.d, cap + 2, 1),
				  want[i].cap_len);
		ck_assert_uint_eq(b.d->part[i].off % want[i].align, 0);
		ck_assert_uint_ge(b.d->part[i].len, want[i].len);
		all[nr++] =
			(struct extent) { b.d->part[i].bar, b.d->part[i].off,
					  b.d->part[i].len };
	}
	/* 4.1.4.4.1, without VIRTIO_F_NOTIFICATION_DATA. */
	ck_assert_uint_eq(b.d->notify_multiplier & (b.d->notify_multiplier - 1),
			  0);
	ck_assert_uint_ge(b.d->part[NOTIFY_CFG].len,
			  (QUEUES - 1) * b.d->notify_multiplier + 2);
	/* 4.1.4.9. */
	ck_assert_uint_ne(b.d->part[PCI_CFG].cap, 0);
	ck_assert_uint_eq(driver_pci_read(b.d, b.d->part[PCI_CFG].cap + 2, 1),
			  20);

	ck_assert_uint_eq(b.d->vectors, QUEUES + 1);
	table = driver_pci_read(b.d, b.d->msix_cap + 4, 4);
	pba = driver_pci_read(b.d, b.d->msix_cap + 8, 4);
	all[nr++] =
		(struct extent) { table & 7, table & ~7u, 16 * (QUEUES + 1) };
	all[nr++] = (struct extent) { pba & 7, pba & ~7u, 8 };
	for (u32 i = 0; i < nr; i++)
		for (u32 k = 0; k < i; k++)
			ck_assert_msg(apart(&all[i], &all[k]),
				      "structures %u and %u overlap", k, i);
	bench_fini(&b);
}
END_TEST

/* No structure for a configuration that is not there. */
START_TEST(no_configuration)
{
	struct bench b = { .w = world_create(false) };
	struct virtio_setup s = toy_setup(&b);
	struct err e = { 0 };

	s.config_len = 0;
	b.v = b.toy.v = virtio_create(&s, &e);
	ck_assert_ptr_nonnull(b.v);
	b.d = driver_create(b.w, b.v);
	ck_assert_uint_eq(b.d->part[DEVICE_CFG].cap, 0);
	bench_fini(&b);
}
END_TEST

/* --- registers --- */

START_TEST(table)
{
	ck_assert_int_eq(regbank_lint(&virtio_common), -1);
}
END_TEST

/* The common configuration as a driver meets it: its value after reset, a
 * value to write, and what is there then. Queue 0 is selected. */
static const struct {
	const char *name;
	u32 off, size;
	u64 reset, write, then;
} common[] = {
	{ "device_feature_select", 0x00, 4, 0, 0xdeadbeef, 0xdeadbeef },
	{ "device_feature", 0x04, 4, (u32)ALL_BITS, 0, (u32)ALL_BITS },
	{ "driver_feature_select", 0x08, 4, 0, 1, 1 },
	{ "driver_feature", 0x0c, 4, 0, 0xdeadbeef, 0xdeadbeef },
	{ "config_msix_vector", 0x10, 2, 0xffff, 2, 2 },
	{ "num_queues", 0x12, 2, QUEUES, 7, QUEUES },
	{ "device_status", 0x14, 1, 0, 3, 3 },
	{ "config_generation", 0x15, 1, 0, 9, 0 },
	{ "queue_select", 0x16, 2, 0, 0xbeef, 0xbeef },
	{ "queue_size", 0x18, 2, SIZE, 16, 16 },
	{ "queue_msix_vector", 0x1a, 2, 0xffff, 3, 3 },
	{ "queue_enable", 0x1c, 2, 0, 1, 1 },
	{ "queue_notify_off", 0x1e, 2, 0, 5, 0 },
	{ "queue_desc", 0x20, 8, 0, 0x123456789abcdef0, 0x123456789abcdef0 },
	{ "queue_driver", 0x28, 8, 0, 0x23456789abcdef01, 0x23456789abcdef01 },
	{ "queue_device", 0x30, 8, 0, 0x3456789abcdef012, 0x3456789abcdef012 },
	{ "queue_notify_data", 0x38, 2, 0, 1, 0 },
	{ "queue_reset", 0x3a, 2, 0, 1, 0 },
};

START_TEST(registers)
{
	struct bench b;

	bench_init(&b);
	for (size_t i = 0; i < ARRAY_SIZE(common); i++) {
		ck_assert_uint_eq(common[i].off % common[i].size, 0);
		ck_assert_msg(driver_read(b.d, common[i].off, common[i].size) ==
				      common[i].reset,
			      "%s after reset", common[i].name);
		driver_write(b.d, common[i].off, common[i].size,
			     common[i].write);
		ck_assert_msg(driver_read(b.d, common[i].off, common[i].size) ==
				      common[i].then,
			      "%s after a write", common[i].name);
		driver_write(b.d, DEVICE_STATUS, 1, 0);
		ck_assert_uint_eq(driver_status(b.d), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(common); i++)
		ck_assert_msg(driver_read(b.d, common[i].off, common[i].size) ==
				      common[i].reset,
			      "%s after reset", common[i].name);
	ck_assert_uint_eq(virtio_faults(b.v), 0);
	bench_fini(&b);
}
END_TEST

/* 4.1.3.1: fields are accessed at their own width, of 64 bits by halves too. */
START_TEST(access_sizes)
{
	struct bench b;
	u64 faults = 0;

	hush();
	bench_init(&b);
	for (size_t i = 0; i < ARRAY_SIZE(common); i++) {
		for (u32 size = 1; size <= 8; size *= 2) {
			u32 own = common[i].size;

			if (size == own || (own == 8 && size == 4) ||
			    common[i].off % size)
				continue;
			ck_assert_msg(driver_read(b.d, common[i].off, size) ==
					      0,
				      "%s, %u bytes", common[i].name, size);
			driver_write(b.d, common[i].off, size, ~0ull);
			ck_assert_uint_eq(virtio_faults(b.v), faults += 2);
			ck_assert_msg(driver_read(b.d, common[i].off, own) ==
					      common[i].reset,
				      "%s, written with %u bytes",
				      common[i].name, size);
		}
	}
	for (u32 off = QUEUE_DESC; off <= QUEUE_DEVICE; off += 8) {
		driver_write(b.d, off, 4, 0x11111111);
		ck_assert_uint_eq(driver_read(b.d, off, 8), 0x11111111);
		driver_write(b.d, off + 4, 4, 0x22222222);
		ck_assert_uint_eq(driver_read(b.d, off, 8), 0x2222222211111111);
		ck_assert_uint_eq(driver_read(b.d, off + 4, 4), 0x22222222);
	}
	ck_assert_uint_eq(virtio_faults(b.v), faults);
	bench_fini(&b);
}
END_TEST

/* --- features and status --- */

static void accept(struct driver *d, u32 select, u32 bits)
{
	driver_write(d, DRIVER_FEATURE_SELECT, 4, select);
	driver_write(d, DRIVER_FEATURE, 4, bits);
}

START_TEST(feature_halves)
{
	static const struct {
		u32 select, want;
	} rows[] = {
		{ 0, (u32)ALL_BITS },
		{ 1, ALL_BITS >> 32 },
		{ 2, 0 },
		{ 3, 0 },
		{ 32, 0 },
		{ ~0u, 0 },
	};
	struct bench b;

	bench_init(&b);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		driver_write(b.d, DEVICE_FEATURE_SELECT, 4, rows[i].select);
		ck_assert_msg(driver_read(b.d, DEVICE_FEATURE, 4) ==
				      rows[i].want,
			      "row %zu", i);
	}
	/* Each half is kept by itself, and can be taken back. */
	accept(b.d, 0, 0x21);
	accept(b.d, 1, 0x101);
	accept(b.d, 0, 0x20);
	ck_assert_uint_eq(driver_read(b.d, DRIVER_FEATURE, 4), 0x20);
	driver_write(b.d, DRIVER_FEATURE_SELECT, 4, 1);
	ck_assert_uint_eq(driver_read(b.d, DRIVER_FEATURE, 4), 0x101);
	driver_write(b.d, DRIVER_FEATURE_SELECT, 4, 2);
	ck_assert_uint_eq(driver_read(b.d, DRIVER_FEATURE, 4), 0);
	bench_fini(&b);
}
END_TEST

START_TEST(features_agreed_on)
{
	static const struct {
		u64 accept;
		u32 beyond; /* bits from 64 on */
		bool good;
	} rows[] = {
		{ VIRTIO_F_VERSION_1, 0, true },
		{ ALL_BITS, 0, true },
		{ VIRTIO_F_VERSION_1 | BIT(5), 0, true },
		{ 0, 0, false },
		{ TOY_BITS, 0, false },
		{ ALL_BITS & ~VIRTIO_F_VERSION_1, 0, false },
		{ VIRTIO_F_VERSION_1 | BIT(1), 0, false },
		{ VIRTIO_F_VERSION_1 | BIT(34), 0, false }, /* packed */
		{ VIRTIO_F_VERSION_1 | BIT(63), 0, false },
		{ ~0ull, 0, false },
		{ VIRTIO_F_VERSION_1, 1, false },
	};

	hush();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bench b;

		bench_init(&b);
		driver_write(b.d, DEVICE_STATUS, 1, ACKNOWLEDGE | DRIVER);
		accept(b.d, 0, (u32)rows[i].accept);
		accept(b.d, 1, (u32)(rows[i].accept >> 32));
		accept(b.d, 2, rows[i].beyond);
		driver_write(b.d, DEVICE_STATUS, 1,
			     ACKNOWLEDGE | DRIVER | FEATURES_OK);
		ck_assert_msg(driver_status(b.d) ==
				      (ACKNOWLEDGE | DRIVER |
				       (rows[i].good ? FEATURES_OK : 0)),
			      "row %zu", i);
		ck_assert_uint_eq(virtio_faults(b.v), !rows[i].good);

		/* Only then does it start, and with just these. */
		driver_write(b.d, DEVICE_STATUS, 1,
			     ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
		world_pass(b.w, 2);
		ck_assert_uint_eq(b.toy.starts, rows[i].good);
		ck_assert(!(driver_status(b.d) & DRIVER_OK) == !rows[i].good);
		if (rows[i].good)
			ck_assert_uint_eq(b.toy.features, rows[i].accept);
		bench_fini(&b);
	}
}
END_TEST

/* Drivers that ask their platform for addresses take longer: only those that
 * must do. */
START_TEST(addresses_of_the_platform)
{
	for (int scattered = 0; scattered < 2; scattered++) {
		struct bench b;

		bench_init_in(&b, world_create(scattered));
		driver_write(b.d, DEVICE_FEATURE_SELECT, 4, 1);
		ck_assert_uint_eq(driver_read(b.d, DEVICE_FEATURE, 4) &
					  (VIRTIO_F_ACCESS_PLATFORM >> 32),
				  scattered ? VIRTIO_F_ACCESS_PLATFORM >> 32
					    : 0);
		bench_fini(&b);
	}
}
END_TEST

/* A device that refused once may be asked again. */
START_TEST(features_asked_again)
{
	struct bench b;

	hush();
	bench_init(&b);
	ck_assert(!driver_negotiate(b.d, 0));
	accept(b.d, 1, VIRTIO_F_VERSION_1 >> 32);
	driver_write(b.d, DEVICE_STATUS, 1, ACKNOWLEDGE | DRIVER | FEATURES_OK);
	ck_assert_uint_eq(driver_status(b.d),
			  ACKNOWLEDGE | DRIVER | FEATURES_OK);

	/* What is agreed on stays so. */
	accept(b.d, 0, BIT(5));
	ck_assert_uint_eq(driver_read(b.d, DRIVER_FEATURE, 4), 0);
	driver_start(b.d);
	world_pass(b.w, 2);
	ck_assert_uint_eq(b.toy.features, VIRTIO_F_VERSION_1);
	bench_fini(&b);
}
END_TEST

START_TEST(status_bits)
{
	struct bench b;

	bench_init_bound(&b);
	ck_assert_uint_eq(driver_status(b.d),
			  ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
	/* Not the driver's to set; and none is its to clear. */
	driver_write(b.d, DEVICE_STATUS, 1, DEVICE_NEEDS_RESET);
	ck_assert_uint_eq(driver_status(b.d),
			  ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
	/* Nor does saying it again start the device again. */
	driver_write(b.d, DEVICE_STATUS, 1,
		     ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
	world_pass(b.w, 2);
	ck_assert_uint_eq(b.toy.starts, 1);
	driver_write(b.d, DEVICE_STATUS, 1, FAILED);
	ck_assert_uint_eq(driver_status(b.d), ACKNOWLEDGE | DRIVER |
						      FEATURES_OK | DRIVER_OK |
						      FAILED);
	driver_reset(b.d);
	bench_fini(&b);
}
END_TEST

/* --- queues --- */

START_TEST(queue_sizes)
{
	static const struct {
		u32 write, then;
	} rows[] = {
		{ 1, 1 },           { 2, 2 },         { 64, 64 },
		{ SIZE, SIZE },     { 0, SIZE },      { 3, SIZE },
		{ SIZE - 1, SIZE }, { 255, SIZE },    { 2 * SIZE, SIZE },
		{ 0x8000, SIZE },   { 0xffff, SIZE },
	};
	struct bench b;
	u64 faults = 0;

	hush();
	bench_init(&b);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		driver_write(b.d, QUEUE_SIZE, 2, SIZE);
		driver_write(b.d, QUEUE_SIZE, 2, rows[i].write);
		ck_assert_msg(driver_read(b.d, QUEUE_SIZE, 2) == rows[i].then,
			      "%u descriptors", rows[i].write);
		faults += rows[i].write != rows[i].then;
		ck_assert_uint_eq(virtio_faults(b.v), faults);
	}
	bench_fini(&b);
}
END_TEST

START_TEST(queues_apart)
{
	struct bench b;

	bench_init(&b);
	for (u32 i = 0; i < QUEUES; i++) {
		driver_write(b.d, QUEUE_SELECT, 2, i);
		driver_write(b.d, QUEUE_SIZE, 2, 1u << i);
		driver_write(b.d, QUEUE_DESC, 8, 16 * (i + 1));
		driver_write(b.d, QUEUE_MSIX_VECTOR, 2, i + 1);
		if (i != 1)
			driver_write(b.d, QUEUE_ENABLE, 2, 1);
	}
	for (u32 i = 0; i < QUEUES; i++) {
		driver_write(b.d, QUEUE_SELECT, 2, i);
		ck_assert_uint_eq(driver_read(b.d, QUEUE_SIZE, 2), 1u << i);
		ck_assert_uint_eq(driver_read(b.d, QUEUE_DESC, 8),
				  16 * (i + 1));
		ck_assert_uint_eq(driver_read(b.d, QUEUE_MSIX_VECTOR, 2),
				  i + 1);
		ck_assert_uint_eq(driver_read(b.d, QUEUE_ENABLE, 2), i != 1);
		ck_assert_uint_eq(driver_read(b.d, QUEUE_NOTIFY_OFF, 2), i);
	}
	bench_fini(&b);
}
END_TEST

/* 4.1.5.1.3: a size of 0 says that a queue is not there. */
START_TEST(queues_that_are_not_there)
{
	static const u32 selects[] = { QUEUES, QUEUES + 1, 0x7fff, 0xffff };
	struct bench b;

	hush();
	bench_init(&b);
	for (size_t i = 0; i < ARRAY_SIZE(selects); i++) {
		driver_write(b.d, QUEUE_SELECT, 2, selects[i]);
		for (u32 off = QUEUE_SIZE; off < QUEUE_DESC; off += 2) {
			u64 none = off == QUEUE_MSIX_VECTOR ? 0xffff : 0;

			ck_assert_uint_eq(driver_read(b.d, off, 2), none);
			driver_write(b.d, off, 2, 1);
			ck_assert_uint_eq(driver_read(b.d, off, 2), none);
		}
		for (u32 off = QUEUE_DESC; off <= QUEUE_DEVICE; off += 8) {
			driver_write(b.d, off, 8, ~0ull);
			ck_assert_uint_eq(driver_read(b.d, off, 8), 0);
		}
	}
	bench_fini(&b);
}
END_TEST

/* A queue is set up before it is enabled, and enabled before DRIVER_OK; it is
 * not disabled but by reset. */
START_TEST(queues_set_up_in_time)
{
	struct bench b;

	hush();
	bench_init(&b);
	ck_assert(driver_negotiate(b.d, ~0ull));
	driver_queue_setup(b.d, 0, 16, 1);
	for (u32 i = 0; i < 2; i++) { /* before DRIVER_OK, and after it */
		u64 desc = driver_read(b.d, QUEUE_DESC, 8);

		driver_write(b.d, QUEUE_ENABLE, 2, 0);
		driver_write(b.d, QUEUE_ENABLE, 2, 2);
		driver_write(b.d, QUEUE_SIZE, 2, 32);
		driver_write(b.d, QUEUE_DESC, 8, 0x1000);
		ck_assert_uint_eq(virtio_faults(b.v), 4 * (i + 1));
		ck_assert_uint_eq(driver_read(b.d, QUEUE_ENABLE, 2), 1);
		ck_assert_uint_eq(driver_read(b.d, QUEUE_SIZE, 2), 16);
		ck_assert_uint_eq(driver_read(b.d, QUEUE_DESC, 8), desc);
		driver_start(b.d);
		world_pass(b.w, 2);
	}
	works(&b, 0);

	/* Queue 1 comes too late. */
	driver_write(b.d, QUEUE_SELECT, 2, 1);
	driver_write(b.d, QUEUE_ENABLE, 2, 1);
	driver_write(b.d, QUEUE_DRIVER, 8, 0x1000);
	ck_assert_uint_eq(driver_read(b.d, QUEUE_ENABLE, 2), 0);
	ck_assert_uint_eq(driver_read(b.d, QUEUE_DRIVER, 8), 0);
	ck_assert_ptr_null(virtio_queue(b.v, 1));
	bench_fini(&b);
}
END_TEST

/* A write of anything but 1 does not enable. */
START_TEST(queue_enable_values)
{
	static const u16 vals[] = { 0, 2, 0xffff };
	struct bench b;

	hush();
	bench_init(&b);
	for (size_t i = 0; i < ARRAY_SIZE(vals); i++) {
		driver_write(b.d, QUEUE_ENABLE, 2, vals[i]);
		ck_assert_uint_eq(driver_read(b.d, QUEUE_ENABLE, 2), 0);
	}
	driver_write(b.d, QUEUE_ENABLE, 2, 1);
	ck_assert_uint_eq(driver_read(b.d, QUEUE_ENABLE, 2), 1);
	bench_fini(&b);
}
END_TEST

/* --- notifications --- */

START_TEST(notifications)
{
	for (int no_bells = 0; no_bells < 2; no_bells++) {
		struct bench b;

		bench_init(&b);
		b.w->no_bells = no_bells;
		ck_assert(driver_negotiate(b.d, ~0ull));
		driver_queue_setup(b.d, 0, 16, 1);
		driver_queue_setup(b.d, 2, 16, 3);

		/* Not before it runs; and then once for each that is. */
		driver_add(&b.d->queues[0], &b.out, 1, &b.in, 1);
		driver_notify(&b.d->queues[0]);
		world_pass(b.w, 2);
		ck_assert_uint_eq(b.toy.kicks[0], 0);
		driver_start(b.d);
		world_pass(b.w, 2);
		ck_assert_uint_ge(b.toy.kicks[0], 1);
		ck_assert_uint_eq(b.toy.kicks[1], 0);
		ck_assert_uint_ge(b.toy.kicks[2], 1);
		ck_assert_uint_eq(b.w->bells, no_bells ? 0 : QUEUES);

		/* Each queue by its own address, whatever is written. */
		b.toy.kicks[0] = b.toy.kicks[2] = 0;
		world_write(b.w, b.d->queues[2].notify, 2, 0xffff);
		world_pass(b.w, 2);
		ck_assert_uint_eq(b.toy.kicks[0], 0);
		ck_assert_uint_eq(b.toy.kicks[2], 1);
		ck_assert_uint_eq(b.w->rung, !no_bells);
		works(&b, 2);
		bench_fini(&b);
	}
}
END_TEST

/* Of a queue that is not enabled, of none, of half a queue. */
START_TEST(notifications_of_nothing)
{
	static const u64 offs[] = { 4, 4 * QUEUES, 0xff8 };
	struct bench b;

	hush();
	bench_init(&b);
	b.w->no_bells = true;
	driver_bind(b.d, ~0ull, 1, 16);
	world_pass(b.w, 2);
	b.toy.kicks[0] = 0;
	for (size_t i = 0; i < ARRAY_SIZE(offs); i++)
		for (u32 size = 1; size <= offs[i] % 16; size *= 2)
			world_write(b.w, driver_at(b.d, NOTIFY_CFG, offs[i]),
				    size, 0);
	world_write(b.w, driver_at(b.d, NOTIFY_CFG, 1), 1, 0);
	world_write(b.w, driver_at(b.d, NOTIFY_CFG, 2), 2, 0);
	world_pass(b.w, 2);
	for (u32 i = 0; i < QUEUES; i++)
		ck_assert_uint_eq(b.toy.kicks[i], 0);
	ck_assert_uint_gt(virtio_faults(b.v), 0);
	ck_assert_uint_eq(world_read(b.w, driver_at(b.d, NOTIFY_CFG, 0), 2), 0);
	works(&b, 0);
	bench_fini(&b);
}
END_TEST

/* --- interrupts --- */

static u8 read_isr(struct bench *b)
{
	return (u8)world_read(b->w, driver_at(b->d, ISR_CFG, 0), 1);
}

START_TEST(vectors)
{
	static const struct {
		u16 write, then;
	} rows[] = {
		{ 0, 0 },           { QUEUES, QUEUES }, { QUEUES + 1, 0xffff },
		{ 0x100, 0xffff },  { 0x8000, 0xffff }, { 0xfffe, 0xffff },
		{ 0xffff, 0xffff }, { 1, 1 },
	};
	static const u32 regs[] = { CONFIG_MSIX_VECTOR, QUEUE_MSIX_VECTOR };
	struct bench b;

	bench_init(&b);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(regs); k++) {
			driver_write(b.d, regs[k], 2, rows[i].write);
			ck_assert_msg(driver_read(b.d, regs[k], 2) ==
					      rows[i].then,
				      "vector %#x", rows[i].write);
		}
	}
	bench_fini(&b);
}
END_TEST

START_TEST(messages)
{
	for (int no_aim = 0; no_aim < 2; no_aim++) {
		u8 byte = 1;
		struct bench b;

		bench_init(&b);
		b.w->no_aim = no_aim;
		/* Aims anew: masks the function, changes data, and back. */
		for (u32 v = 0; v < b.d->vectors; v++)
			world_write(b.w, b.d->msix_table + 16 * v + 8, 4,
				    v + 10);
		driver_bind(b.d, ~0ull, QUEUES, 16);
		world_pass(b.w, 2);

		works(&b, 1);
		ck_assert_uint_eq(driver_messages(b.d, 12), 1);
		works(&b, 0);
		works(&b, 0);
		ck_assert_uint_eq(driver_messages(b.d, 11), 2);
		virtio_config_set(b.v, 0, &byte, 1);
		ck_assert_uint_eq(driver_messages(b.d, 10), 1);

		/* Another vector, one for two, and none, while it runs. */
		driver_write(b.d, QUEUE_SELECT, 2, 1);
		driver_write(b.d, QUEUE_MSIX_VECTOR, 2, 1);
		driver_write(b.d, CONFIG_MSIX_VECTOR, 2, 1);
		works(&b, 1);
		virtio_config_set(b.v, 0, &byte, 1);
		ck_assert_uint_eq(driver_messages(b.d, 11), 4);
		driver_write(b.d, QUEUE_MSIX_VECTOR, 2, 0xffff);
		driver_write(b.d, CONFIG_MSIX_VECTOR, 2, 0xffff);
		works(&b, 1);
		virtio_config_set(b.v, 0, &byte, 1);
		ck_assert_uint_eq(driver_messages(b.d, 10), 1);
		ck_assert_uint_eq(driver_messages(b.d, 11), 4);
		ck_assert_uint_eq(driver_messages(b.d, 12), 1);
		ck_assert_uint_eq(driver_messages(b.d, 13), 0);
		ck_assert_uint_eq(b.w->lost, 0);
		bench_fini(&b);
	}
}
END_TEST

/* What a ring may hold is what was agreed on. */
START_TEST(indirect_chains)
{
	struct bench b;

	hush();
	bench_init_bound(&b);
	b.d->queues[0].indirect = true;
	works(&b, 0);
	driver_bind(b.d, ~VIRTIO_F_INDIRECT_DESC, QUEUES, 16);
	works(&b, 0);
	b.d->queues[0].indirect = true;
	driver_add(&b.d->queues[0], &b.out, 1, &b.in, 1);
	driver_notify(&b.d->queues[0]);
	world_pass(b.w, 3);
	ck_assert(driver_status(b.d) & DEVICE_NEEDS_RESET);
	bench_fini(&b);
}
END_TEST

START_TEST(unwanted_interrupts)
{
	for (int event_idx = 0; event_idx < 2; event_idx++) {
		struct bench b;

		bench_init(&b);
		driver_bind(b.d, event_idx ? ~0ull : ~VIRTIO_F_EVENT_IDX, 1,
			    16);
		driver_want_interrupts(&b.d->queues[0], false);
		for (int i = 0; i < 20; i++)
			works(&b, 0);
		ck_assert_uint_eq(driver_messages(b.d, 1), 0);
		driver_want_interrupts(&b.d->queues[0], true);
		works(&b, 0);
		ck_assert_uint_eq(driver_messages(b.d, 1), 1);
		bench_fini(&b);
	}
}
END_TEST

/* Without MSI-X the status byte says what the interrupt was for (4.1.4.5). */
START_TEST(isr_status)
{
	u8 byte = 1;
	struct bench b;

	bench_init_bound(&b);
	driver_pci_write(b.d, b.d->msix_cap + 2, 2, 0);
	works(&b, 0);
	ck_assert_uint_eq(read_isr(&b), 1);
	ck_assert_uint_eq(read_isr(&b), 0);
	virtio_config_set(b.v, 0, &byte, 1);
	ck_assert_uint_eq(read_isr(&b), 2);
	works(&b, 1);
	virtio_config_set(b.v, 0, &byte, 1);
	world_write(b.w, driver_at(b.d, ISR_CFG, 0), 1, 0);
	ck_assert_uint_eq(read_isr(&b), 3);
	ck_assert_uint_eq(read_isr(&b), 0);
	virtio_needs_reset(b.v);
	driver_reset(b.d);
	ck_assert_uint_eq(read_isr(&b), 0);
	for (u32 v = 0; v < b.d->vectors; v++)
		ck_assert_uint_eq(driver_messages(b.d, v), 0);
	bench_fini(&b);
}
END_TEST

/* With MSI-X it still says that the configuration changed, and only that. */
START_TEST(isr_status_with_msix)
{
	u8 byte = 1;
	struct bench b;

	bench_init_bound(&b);
	works(&b, 0);
	ck_assert_uint_eq(read_isr(&b), 0);
	virtio_config_set(b.v, 0, &byte, 1);
	ck_assert_uint_eq(driver_messages(b.d, CONFIG_VECTOR), 1);
	ck_assert_uint_eq(read_isr(&b), 2);
	ck_assert_uint_eq(read_isr(&b), 0);
	bench_fini(&b);
}
END_TEST

/* --- the device's configuration --- */

static u64 cfg_read(struct bench *b, u64 off, u32 size)
{
	return world_read(b->w, driver_at(b->d, DEVICE_CFG, off), size);
}

static void cfg_write(struct bench *b, u64 off, u32 size, u64 val)
{
	world_write(b->w, driver_at(b->d, DEVICE_CFG, off), size, val);
}

START_TEST(configuration)
{
	static const u8 bytes[CONFIG_LEN] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };
	struct bench b;
	u8 got[CONFIG_LEN];
	u64 before;

	bench_init(&b);
	virtio_config_set(b.v, 0, bytes, sizeof(bytes));
	virtio_config_writable(b.v, 10, 3);
	ck_assert_uint_eq(cfg_read(&b, 0, 8), 0x0807060504030201);
	ck_assert_uint_eq(cfg_read(&b, 4, 4), 0x08070605);
	ck_assert_uint_eq(cfg_read(&b, 2, 2), 0x0403);
	ck_assert_uint_eq(cfg_read(&b, 8, 1), 9);
	driver_config(b.d, 0, got, sizeof(got));
	ck_assert_mem_eq(got, bytes, sizeof(got));
	/* It ends where it ends. */
	ck_assert_uint_eq(cfg_read(&b, CONFIG_LEN, 1), 0);
	ck_assert_uint_eq(cfg_read(&b, CONFIG_LEN, 8), 0);
	ck_assert_uint_eq(cfg_read(&b, VIRTIO_CONFIG_MAX + 8, 8), 0);
	ck_assert_uint_eq(cfg_read(&b, 0x7f8, 8), 0);
	cfg_write(&b, CONFIG_LEN, 8, ~0ull);
	ck_assert_uint_eq(b.toy.written.calls, 0);

	/* The driver's bytes can be written, in passing too; others cannot. */
	cfg_write(&b, 0, 4, ~0u);
	ck_assert_uint_eq(cfg_read(&b, 0, 4), 0x04030201);
	cfg_write(&b, 8, 8, 0xf7f6f5f4f3f2f1f0);
	ck_assert_uint_eq(cfg_read(&b, 8, 8), 0x000000f4f3f20009);
	ck_assert_uint_eq(b.toy.written.calls, 2);
	ck_assert_uint_eq(b.toy.written.off, 8);
	ck_assert_uint_eq(b.toy.written.len, 8);
	ck_assert_uint_eq(b.toy.written.val, 0xf7f6f5f4f3f2f1f0);

	/* 2.5.1: a change can be seen in the generation, and what the driver
	 * reads or writes is none. */
	before = driver_read(b.d, CONFIG_GENERATION, 1);
	cfg_write(&b, 10, 1, 1);
	cfg_read(&b, 10, 1);
	ck_assert_uint_eq(driver_read(b.d, CONFIG_GENERATION, 1), before);
	virtio_config_set(b.v, 0, "x", 1);
	ck_assert_uint_ne(driver_read(b.d, CONFIG_GENERATION, 1), before);
	ck_assert_uint_eq(cfg_read(&b, 0, 1), 'x');
	/* Nobody was told of anything: no driver is there. */
	ck_assert_uint_eq(driver_messages(b.d, CONFIG_VECTOR), 0);
	ck_assert_uint_eq(read_isr(&b), 0);
	bench_fini(&b);
}
END_TEST

static void *read_torn(void *ctx)
{
	struct bench *b = ctx;
	u8 got[CONFIG_LEN] = { 0 };

	while (got[0] < 100) {
		driver_config(b->d, 0, got, sizeof(got));
		for (u32 i = 1; i < sizeof(got); i++)
			ck_assert_uint_eq(got[i], got[0]);
	}
	return NULL;
}

/* Nobody sees half a change who looks at the generation. */
START_TEST(configuration_whole)
{
	pthread_t vcpu;
	struct bench b;
	u8 bytes[CONFIG_LEN];

	bench_init_bound(&b);
	ck_assert_int_eq(pthread_create(&vcpu, NULL, read_torn, &b), 0);
	for (u8 i = 0; i <= 100; i++) {
		memset(bytes, i, sizeof(bytes));
		virtio_config_set(b.v, 0, bytes, sizeof(bytes));
		world_pass(b.w, 1);
	}
	pthread_join(vcpu, NULL);
	ck_assert_uint_eq(driver_messages(b.d, CONFIG_VECTOR), 101);
	bench_fini(&b);
}
END_TEST

/* --- the window in configuration space, 4.1.4.9 --- */

static void open_window(struct bench *b, u32 bar, u32 off, u32 len)
{
	u32 cap = b->d->part[PCI_CFG].cap;

	driver_pci_write(b->d, cap + 4, 1, bar);
	driver_pci_write(b->d, cap + 8, 4, off);
	driver_pci_write(b->d, cap + 12, 4, len);
}

START_TEST(window)
{
	struct bench b;
	u32 data, status, notify;

	bench_init_bound(&b);
	data = b.d->part[PCI_CFG].cap + 16;
	status = (u32)b.d->part[COMMON_CFG].off + DEVICE_STATUS;
	notify = (u32)b.d->part[NOTIFY_CFG].off;

	open_window(&b, 0, (u32)b.d->part[COMMON_CFG].off + NUM_QUEUES, 2);
	ck_assert_uint_eq(driver_pci_read(b.d, data, 2), QUEUES);
	open_window(&b, 0, status, 1);
	ck_assert_uint_eq(driver_pci_read(b.d, data, 1),
			  ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
	driver_pci_write(b.d, data, 1, FAILED);
	ck_assert(driver_status(b.d) & FAILED);
	driver_write(b.d, DEVICE_FEATURE_SELECT, 4, 0);
	open_window(&b, 0, (u32)b.d->part[COMMON_CFG].off + DEVICE_FEATURE, 4);
	ck_assert_uint_eq(driver_pci_read(b.d, data, 4), (u32)ALL_BITS);

	/* Notifications by it reach the queue, too. */
	b.toy.kicks[0] = b.toy.kicks[1] = 0;
	open_window(&b, 0, notify + 4, 2);
	driver_pci_write(b.d, data, 2, 1);
	world_pass(b.w, 2);
	ck_assert_uint_eq(b.toy.kicks[0], 0);
	ck_assert_uint_eq(b.toy.kicks[1], 1);

	/* And no address of memory is needed for it. */
	driver_pci_write(b.d, 0x04, 2, 0);
	open_window(&b, 0, status, 1);
	ck_assert(driver_pci_read(b.d, data, 1) & FAILED);
	bench_fini(&b);
}
END_TEST

START_TEST(window_onto_nothing)
{
	static const struct {
		u32 bar, off, len;
	} rows[] = {
		{ 1, 0x14, 1 },       { 5, 0x14, 1 },       { 0xff, 0x14, 1 },
		{ 0, 0x14, 0 },       { 0, 0x14, 3 },       { 0, 0x14, 8 },
		{ 0, 0x14, ~0u },     { 0, 0x13, 2 },       { 0, 0x15, 4 },
		{ 0, 0xffffffff, 1 }, { 0, 0xfffffffc, 4 }, { 0, 0x4000, 4 },
		{ 0, 0x3ffe, 4 },     { 0, 0x80000000, 4 },
	};
	struct bench b;
	u32 data;

	hush();
	bench_init_bound(&b);
	data = b.d->part[PCI_CFG].cap + 16;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		open_window(&b, rows[i].bar, rows[i].off, rows[i].len);
		driver_pci_read(b.d, data, 4);
		driver_pci_write(b.d, data, 4, 0);
		driver_pci_write(b.d, data, 1, 0);
		ck_assert_msg(driver_status(b.d) & DRIVER_OK, "row %zu", i);
	}
	/* Nor does it show what is not at a multiple of its length. */
	virtio_config_set(b.v, 0, "abcd", 4);
	open_window(&b, 0, (u32)b.d->part[DEVICE_CFG].off + 1, 2);
	ck_assert_uint_eq(driver_pci_read(b.d, data, 2), 0);
	open_window(&b, 0, (u32)b.d->part[DEVICE_CFG].off + 2, 2);
	ck_assert_uint_eq(driver_pci_read(b.d, data, 2), 'c' | 'd' << 8);
	world_pass(b.w, 2);
	works(&b, 0);
	bench_fini(&b);
}
END_TEST

/* --- reset --- */

START_TEST(reset_forgets)
{
	struct bench b;

	bench_init_bound(&b);
	works(&b, 0);
	driver_write(b.d, QUEUE_SELECT, 2, 2);
	driver_write(b.d, DEVICE_FEATURE_SELECT, 4, 1);
	driver_reset(b.d);
	ck_assert_uint_eq(b.toy.stops, 1);
	for (size_t i = 0; i < ARRAY_SIZE(common); i++)
		ck_assert_msg(driver_read(b.d, common[i].off, common[i].size) ==
				      common[i].reset,
			      "%s after reset", common[i].name);
	for (u32 i = 0; i < QUEUES; i++) {
		driver_write(b.d, QUEUE_SELECT, 2, i);
		ck_assert_uint_eq(driver_read(b.d, QUEUE_ENABLE, 2), 0);
		ck_assert_uint_eq(driver_read(b.d, QUEUE_SIZE, 2), SIZE);
		ck_assert_uint_eq(driver_read(b.d, QUEUE_DESC, 8), 0);
	}
	/* And the next driver finds a device that works. */
	for (int i = 0; i < 3; i++) {
		driver_bind(b.d, ~0ull, QUEUES, 1u << i);
		if (i)
			works(&b, 1);
		driver_reset(b.d);
	}
	bench_fini(&b);
}
END_TEST

static bool holds_two(void *ctx)
{
	return ((struct toy *)ctx)->held == 2;
}

/* Status is 0 once the device has let go of memory, and not before. */
START_TEST(reset_waits_for_requests)
{
	struct bench b;
	struct virtq *q;

	bench_init(&b);
	b.toy.hold = b.toy.late = true;
	driver_bind(b.d, ~0ull, 1, 16);
	driver_add(&b.d->queues[0], &b.out, 1, &b.in, 1);
	driver_add(&b.d->queues[0], &b.out, 1, &b.in, 1);
	driver_kick(&b.d->queues[0]);
	world_wait(b.w, holds_two, &b.toy);
	q = virtio_queue(b.v, 0);

	driver_write(b.d, DEVICE_STATUS, 1, 0);
	ck_assert_uint_ne(driver_status(b.d), 0);
	world_pass(b.w, 3);
	ck_assert_uint_eq(b.toy.stops, 1);
	ck_assert_uint_ne(driver_status(b.d), 0);
	ck_assert_ptr_null(virtio_queue(b.v, 0));

	/* Neither does it listen meanwhile, nor start again. */
	driver_notify(&b.d->queues[0]);
	driver_write(b.d, DEVICE_STATUS, 1, 0);
	driver_write(b.d, DEVICE_STATUS, 1, ACKNOWLEDGE | DRIVER);
	driver_write(b.d, DEVICE_STATUS, 1,
		     ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
	world_pass(b.w, 3);
	ck_assert_uint_eq(b.toy.starts, 1);
	ck_assert_uint_eq(b.toy.stops, 1);

	/* What is under way may end, for nobody to see. */
	virtq_push(q, b.toy.head[0], 0);
	virtio_show(b.v, 0);
	virtio_needs_reset(b.v);
	ck_assert_uint_ne(driver_status(b.d), 0);
	ck_assert_uint_eq(driver_messages(b.d, 0), 0);
	ck_assert_uint_eq(driver_messages(b.d, 1), 0);

	virtio_stopped(b.v);
	ck_assert_uint_eq(driver_status(b.d), 0);
	b.w->no_memory = true;
	world_write(b.w, b.d->queues[0].notify, 2, 0);
	virtio_show(b.v, 0);
	world_pass(b.w, 3);
	ck_assert_uint_eq(driver_messages(b.d, 1), 0);

	b.w->no_memory = b.toy.hold = b.toy.late = false;
	driver_bind(b.d, ~0ull, 1, 16);
	works(&b, 0);
	ck_assert_uint_eq(b.toy.starts, 2);
	bench_fini(&b);
}
END_TEST

/* Before the loop has even heard of it. */
START_TEST(reset_before_the_start)
{
	struct bench b;

	bench_init(&b);
	driver_write(b.d, DEVICE_STATUS, 1, ACKNOWLEDGE | DRIVER);
	driver_write(b.d, DEVICE_STATUS, 1, 0);
	ck_assert_uint_eq(driver_status(b.d), 0); /* nothing to wait for */
	for (int i = 0; i < 3; i++) {
		driver_bind(b.d, ~0ull, 1, 16);
		driver_reset(b.d);
		ck_assert_uint_eq(b.toy.starts, b.toy.stops);
		ck_assert(!b.toy.running);
	}
	driver_bind(b.d, ~0ull, 1, 16);
	works(&b, 0);
	bench_fini(&b);
}
END_TEST

static void count(void *ctx)
{
	++*(u32 *)ctx;
}

/* The machine resets, while its processors stand still. */
START_TEST(reset_from_outside)
{
	u32 done = 0;
	struct bench b;

	bench_init(&b);
	virtio_reset(b.v, count, &done);
	ck_assert_uint_eq(done, 1);

	/* DRIVER_OK, and the loop did not see it. */
	driver_bind(b.d, ~0ull, 1, 16);
	virtio_reset(b.v, count, &done);
	ck_assert_uint_eq(done, 2);
	ck_assert_uint_eq(driver_status(b.d), 0);
	world_pass(b.w, 2);
	ck_assert_uint_eq(b.toy.starts, 0);

	driver_bind(b.d, ~0ull, 1, 16);
	works(&b, 0);
	virtio_reset(b.v, count, &done);
	ck_assert_uint_eq(done, 3);
	ck_assert_uint_eq(driver_status(b.d), 0);

	/* The next is the driver's alone. */
	driver_bind(b.d, ~0ull, 1, 16);
	works(&b, 0);
	driver_reset(b.d);
	ck_assert_uint_eq(done, 3);

	/* Requests are under way. */
	b.toy.late = true;
	driver_bind(b.d, ~0ull, 1, 16);
	works(&b, 0);
	virtio_reset(b.v, count, &done);
	world_pass(b.w, 2);
	ck_assert_uint_eq(done, 3);
	virtio_stopped(b.v);
	ck_assert_uint_eq(done, 4);

	/* The driver had begun it. */
	driver_bind(b.d, ~0ull, 1, 16);
	works(&b, 0);
	driver_write(b.d, DEVICE_STATUS, 1, 0);
	world_pass(b.w, 2);
	virtio_reset(b.v, count, &done);
	ck_assert_uint_eq(done, 4);
	virtio_stopped(b.v);
	ck_assert_uint_eq(done, 5);
	ck_assert_uint_eq(driver_status(b.d), 0);
	ck_assert_uint_eq(b.toy.starts, b.toy.stops);

	/* The bus side is the host's to reset. */
	pci_host_reset(b.w->host);
	ck_assert_uint_eq(driver_pci_read(b.d, 0x04, 2), 0);
	ck_assert_uint_eq(b.w->bells, 0);
	bench_fini(&b);
}
END_TEST

/* --- what goes wrong --- */

START_TEST(a_broken_queue)
{
	struct bench b;

	hush();
	bench_init_bound(&b);
	works(&b, 0);
	driver_put_avail(&b.d->queues[1], 999);
	driver_notify(&b.d->queues[1]);
	world_pass(b.w, 3);
	ck_assert_uint_eq(driver_status(b.d), ACKNOWLEDGE | DRIVER |
						      FEATURES_OK | DRIVER_OK |
						      DEVICE_NEEDS_RESET);
	ck_assert_uint_eq(driver_messages(b.d, CONFIG_VECTOR), 1);
	ck_assert_uint_eq(virtio_faults(b.v), 1);
	/* It is said once. */
	driver_notify(&b.d->queues[1]);
	world_pass(b.w, 3);
	ck_assert_uint_eq(driver_messages(b.d, CONFIG_VECTOR), 1);
	ck_assert_uint_eq(driver_messages(b.d, 2), 0);
	/* And a driver cannot clear it but so. */
	driver_write(b.d, DEVICE_STATUS, 1, 1);
	ck_assert(driver_status(b.d) & DEVICE_NEEDS_RESET);
	driver_reset(b.d);
	driver_bind(b.d, ~0ull, QUEUES, 16);
	works(&b, 1);
	bench_fini(&b);
}
END_TEST

/* Areas that no queue can have, all the way. */
START_TEST(misplaced_queues)
{
	static const struct {
		u32 reg;
		u64 at;
	} rows[] = {
		{ QUEUE_DESC, WORLD_RAM + 8 },
		{ QUEUE_DRIVER, WORLD_RAM + 1 },
		{ QUEUE_DEVICE, WORLD_RAM + 2 },
		{ QUEUE_DRIVER, 0 },
		{ QUEUE_DRIVER, ~1ull },
		{ QUEUE_DESC, ~15ull },
	};

	hush();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bench b;

		bench_init(&b);
		ck_assert(driver_negotiate(b.d, ~0ull));
		driver_write(b.d, CONFIG_MSIX_VECTOR, 2, 0);
		driver_write(b.d, QUEUE_SIZE, 2, 16);
		driver_write(b.d, QUEUE_DESC, 8, world_alloc(b.w, 256));
		driver_write(b.d, QUEUE_DRIVER, 8, world_alloc(b.w, 256));
		driver_write(b.d, QUEUE_DEVICE, 8, world_alloc(b.w, 256));
		driver_write(b.d, rows[i].reg, 8, rows[i].at);
		driver_write(b.d, QUEUE_ENABLE, 2, 1);
		driver_start(b.d);
		world_pass(b.w, 3);
		ck_assert_msg(driver_status(b.d) & DEVICE_NEEDS_RESET,
			      "row %zu", i);
		ck_assert_uint_eq(driver_messages(b.d, CONFIG_VECTOR), 1);
		driver_bind(b.d, ~0ull, 1, 16);
		works(&b, 0);
		bench_fini(&b);
	}
}
END_TEST

START_TEST(the_device_gives_up)
{
	struct bench b;

	bench_init(&b);
	virtio_needs_reset(b.v); /* to whom? */
	ck_assert_uint_eq(driver_status(b.d), 0);
	driver_bind(b.d, ~0ull, 1, 16);
	works(&b, 0);
	virtio_needs_reset(b.v);
	virtio_needs_reset(b.v);
	ck_assert(driver_status(b.d) & DEVICE_NEEDS_RESET);
	ck_assert_uint_eq(driver_messages(b.d, CONFIG_VECTOR), 1);
	ck_assert_uint_eq(virtio_faults(b.v), 0);
	driver_reset(b.d);
	driver_bind(b.d, ~0ull, 1, 16);
	works(&b, 0);
	bench_fini(&b);
}
END_TEST

/* Its BAR, its memory and its mastering are taken away from a device that
 * runs. */
static void move_bar(struct bench *b, gpa_t at)
{
	driver_pci_write(b->d, 0x10, 4, (u32)at);
	b->d->bars[0] = at;
	for (u32 i = 0; i < QUEUES; i++)
		b->d->queues[i].notify = driver_at(b->d, NOTIFY_CFG, 4 * i);
}

START_TEST(a_bar_that_moves)
{
	for (int no_bells = 0; no_bells < 2; no_bells++) {
		struct bench b;
		gpa_t old, old_notify;

		hush();
		bench_init(&b);
		b.w->no_bells = no_bells;
		driver_bind(b.d, ~0ull, QUEUES, 16);
		works(&b, 0);
		old = driver_at(b.d, COMMON_CFG, DEVICE_STATUS);
		old_notify = b.d->queues[1].notify;

		move_bar(&b, b.w->windows.mem32 + 0x100000);
		ck_assert_uint_eq(world_read(b.w, old, 1), 0xff);
		ck_assert_uint_eq(driver_status(b.d) & DRIVER_OK, DRIVER_OK);
		ck_assert_uint_eq(b.w->bells, no_bells ? 0 : QUEUES);
		b.w->rung = 0;
		works(&b, 1);
		ck_assert_uint_eq(b.w->rung, !no_bells);
		b.toy.kicks[1] = 0;
		world_write(b.w, old_notify, 2, 1);
		world_pass(b.w, 2);
		ck_assert_uint_eq(b.toy.kicks[1], 0);

		/* Out of the windows, out of reach; and back again. */
		move_bar(&b, 0x08000000);
		ck_assert_uint_eq(driver_status(b.d), 0);
		ck_assert_uint_eq(b.w->bells, 0);
		move_bar(&b, b.w->windows.mem32);
		ck_assert_uint_eq(b.w->bells, no_bells ? 0 : QUEUES);
		works(&b, 2);
		bench_fini(&b);
	}
}
END_TEST

START_TEST(memory_switched_off)
{
	struct bench b;

	hush();
	bench_init_bound(&b);
	driver_pci_write(b.d, 0x04, 2, 0x0004);
	ck_assert_uint_eq(b.w->bells, 0);
	ck_assert_uint_eq(driver_status(b.d), 0xff);
	world_pass(b.w, 2);
	idle(&b, 0);
	driver_pci_write(b.d, 0x04, 2, 0x0006);
	ck_assert_uint_eq(b.w->bells, QUEUES);
	ck_assert(driver_status(b.d) & DRIVER_OK);
	driver_notify(&b.d->queues[0]);
	ck_assert_uint_eq(driver_wait(&b.d->queues[0], &(u32) { 0 }), 0);
	bench_fini(&b);
}
END_TEST

/* Without mastering the bus the device neither looks nor interrupts. */
START_TEST(mastering_switched_off)
{
	u8 byte = 1;
	struct bench b;

	bench_init_bound(&b);
	works(&b, 0);
	driver_pci_write(b.d, 0x04, 2, 0x0002);
	b.w->no_memory = true;
	driver_add(&b.d->queues[0], &b.out, 1, &b.in, 1);
	driver_notify(&b.d->queues[0]);
	virtio_config_set(b.v, 0, &byte, 1);
	world_pass(b.w, 3);
	ck_assert_uint_eq(driver_messages(b.d, CONFIG_VECTOR), 0);
	ck_assert_uint_eq(driver_messages(b.d, 1), 1);

	/* Who has it back may be somebody else, and is to reset it. */
	driver_pci_write(b.d, 0x04, 2, 0x0006);
	ck_assert_uint_eq(driver_messages(b.d, CONFIG_VECTOR), 1);
	driver_notify(&b.d->queues[0]);
	world_pass(b.w, 3);
	ck_assert_uint_eq(driver_messages(b.d, 1), 1);
	b.w->no_memory = false;
	driver_reset(b.d);
	driver_bind(b.d, ~0ull, QUEUES, 16);
	works(&b, 0);
	bench_fini(&b);
}
END_TEST

/* Nor does it at an event of its own, such as the end of a request. */
START_TEST(mastering_switched_off_in_flight)
{
	struct virtq *q;
	struct bench b;

	bench_init_bound(&b);
	b.toy.hold = true;
	for (u32 i = 0; i < 2; i++)
		driver_add(&b.d->queues[0], &b.out, 1, &b.in, 1);
	driver_notify(&b.d->queues[0]);
	world_pass(b.w, 2);
	ck_assert_uint_eq(b.toy.held, 2);
	q = virtio_queue(b.v, 0);
	virtq_push(q, b.toy.head[0], 7);
	driver_pci_write(b.d, 0x04, 2, 0x0002);
	b.w->no_memory = true;
	ck_assert_ptr_null(virtio_queue(b.v, 0));
	virtio_show(b.v, 0);
	world_pass(b.w, 3);
	ck_assert_uint_eq(driver_messages(b.d, 1), 0);
	ck_assert_uint_eq(b.toy.kicks[0], 2); /* one was at the start */

	driver_pci_write(b.d, 0x04, 2, 0x0006);
	ck_assert_ptr_null(virtio_queue(b.v, 0));
	virtio_show(b.v, 0);
	world_pass(b.w, 3);
	ck_assert_uint_eq(driver_messages(b.d, 1), 0);
	ck_assert_uint_eq(b.toy.kicks[0], 2);
	bench_fini(&b);
}
END_TEST

/* DRIVER_OK before mastering is switched on, as some firmware does it. */
START_TEST(mastering_switched_on_late)
{
	struct bench b;

	bench_init(&b);
	driver_pci_write(b.d, 0x04, 2, 0x0002);
	ck_assert(driver_negotiate(b.d, ~0ull));
	driver_queue_setup(b.d, 0, 16, 1);
	driver_start(b.d);
	driver_add(&b.d->queues[0], &b.out, 1, &b.in, 1);
	driver_notify(&b.d->queues[0]);
	world_pass(b.w, 3);
	ck_assert_uint_eq(b.toy.kicks[0], 0);
	driver_pci_write(b.d, 0x04, 2, 0x0006);
	driver_wait(&b.d->queues[0], &(u32) { 0 });
	bench_fini(&b);
}
END_TEST

/* --- hostile drivers --- */

static u32 random_word(u64 *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (u32)(*seed >> 33);
}

/* Anything, anywhere in the BAR and the window, and the device lives. */
START_TEST(writes_at_random)
{
	u64 seed = 1;
	struct bench b;

	hush();
	bench_init(&b);
	for (u32 i = 0; i < 20000; i++) {
		static const u64 areas[] = { 0, 0x400, 0x800, 0x1000 };
		u32 size = 1u << random_word(&seed) % 4;
		u64 off = areas[random_word(&seed) % 4] +
			  random_word(&seed) % 0x40 / size * size;
		u64 val = random_word(&seed) % 2 ? random_word(&seed)
						 : random_word(&seed) % 16;

		if (random_word(&seed) % 8 == 0) {
			open_window(&b, 0, (u32)off, size);
			driver_pci_write(b.d, b.d->part[PCI_CFG].cap + 16, 4,
					 (u32)val);
		} else {
			world_write(b.w, b.d->bars[0] + off, size, val);
			world_read(b.w, b.d->bars[0] + off, size);
		}
		if (i % 500 == 0)
			world_pass(b.w, 1);
	}
	ck_assert_uint_gt(virtio_faults(b.v), 0);
	driver_bind(b.d, ~0ull, QUEUES, 16);
	works(&b, 0);
	works(&b, 2);
	bench_fini(&b);
}
END_TEST

struct vcpu {
	struct bench *b;
	_Atomic bool done;
};

/* What driver_reset does, by a thread that the loop is not. */
static void spin_reset(struct driver *d)
{
	driver_write(d, DEVICE_STATUS, 1, 0);
	while (driver_status(d))
		usleep(10);
}

static void *start_and_reset(void *ctx)
{
	struct vcpu *t = ctx;
	struct driver *d = t->b->d;

	for (u32 i = 0; i < 1000; i++) {
		struct driver_queue *q = &d->queues[0];

		spin_reset(d);
		driver_write(d, DEVICE_STATUS, 1, ACKNOWLEDGE | DRIVER);
		accept(d, 1, VIRTIO_F_VERSION_1 >> 32);
		driver_write(d, DEVICE_STATUS, 1,
			     ACKNOWLEDGE | DRIVER | FEATURES_OK);
		driver_queue_setup(d, 0, 16, 1);
		driver_start(d);
		driver_add(q, &t->b->out, 1, &t->b->in, 1);
		driver_notify(q);
		if (i % 3 == 0)
			usleep(i % 200);
	}
	spin_reset(d);
	t->done = true;
	return NULL;
}

static bool is_done(void *ctx)
{
	return ((struct vcpu *)ctx)->done;
}

/* A vCPU starts and resets the device as fast as it can, the loop runs it. */
START_TEST(starts_and_resets)
{
	struct bench b;
	struct vcpu t = { .b = &b };
	pthread_t vcpu;

	bench_init(&b);
	b.w->no_bells = true; /* the world's own are for one thread */
	ck_assert_int_eq(pthread_create(&vcpu, NULL, start_and_reset, &t), 0);
	world_wait(b.w, is_done, &t);
	pthread_join(vcpu, NULL);
	ck_assert(!b.toy.running);
	ck_assert_uint_gt(b.toy.starts, 0);
	ck_assert_uint_eq(b.toy.starts, b.toy.stops);
	driver_bind(b.d, ~0ull, 1, 16);
	works(&b, 0);
	bench_fini(&b);
}
END_TEST

/* --- creation --- */

/* The highest descriptor there is, and how many there are. */
static int descriptors(int *highest)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	int nr = 0;

	ck_assert_ptr_nonnull(dir);
	*highest = 0;
	while ((entry = readdir(dir))) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] == '.' || fd == dirfd(dir))
			continue;
		*highest = MAX(*highest, fd);
		nr++;
	}
	closedir(dir);
	return nr;
}

/* Descriptors run out at each point in turn. */
START_TEST(creation_that_fails)
{
	struct bench b = { .w = world_create(false) };
	struct virtio_setup s = toy_setup(&b);
	struct rlimit limit;
	int before, after, highest, failed = 0;

	getrlimit(RLIMIT_NOFILE, &limit);
	while (descriptors(&highest) <= highest) /* no gaps */
		ck_assert_int_ge(dup(STDIN_FILENO), 0);
	before = descriptors(&highest);
	for (rlim_t n = (rlim_t)before; !b.v; n++) {
		struct err e = { 0 };

		limit.rlim_cur = n;
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
		b.v = virtio_create(&s, &e);
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
		if (b.v)
			break;
		failed++;
		ck_assert_int_lt(e.code, 0);
		ck_assert_msg(strstr(e.msg, "eventfd"), "%s", e.msg);
		after = descriptors(&highest);
		ck_assert_int_eq(after, before);
		ck_assert_uint_eq(b.w->lines, 0);
	}
	/* A line for each vector, a doorbell for each queue, and one to wake
	 * the loop. */
	ck_assert_int_eq(failed, QUEUES + 1 + QUEUES + 1);
	b.toy.v = b.v;
	b.d = driver_create(b.w, b.v);
	b.out = (struct buffer) { world_alloc(b.w, 64), 40 };
	b.in = (struct buffer) { world_alloc(b.w, 64), 64 };
	driver_bind(b.d, ~0ull, QUEUES, 16);
	works(&b, 0);
	bench_fini(&b);
}
END_TEST

UNIT_MAIN("virtio", identity, capabilities, no_configuration, table, registers,
	  access_sizes, feature_halves, features_agreed_on,
	  addresses_of_the_platform, features_asked_again, status_bits,
	  queue_sizes, queues_apart, queues_that_are_not_there,
	  queues_set_up_in_time, queue_enable_values, notifications,
	  notifications_of_nothing, vectors, messages, indirect_chains,
	  unwanted_interrupts, isr_status, isr_status_with_msix, configuration,
	  configuration_whole, window, window_onto_nothing, reset_forgets,
	  reset_waits_for_requests, reset_before_the_start, reset_from_outside,
	  a_broken_queue, misplaced_queues, the_device_gives_up,
	  a_bar_that_moves, memory_switched_off, mastering_switched_off,
	  mastering_switched_off_in_flight, mastering_switched_on_late,
	  writes_at_random, starts_and_resets, creation_that_fails)
