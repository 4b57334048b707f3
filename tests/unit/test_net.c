/*
 * The network device on a real bus and loop, at the other end of a TAP that is
 * a pair of sockets here: packets keep their bounds in it, as frames do, and a
 * read that is too short cuts them. What a socket has no call for is recorded.
 * test_tap.c has the device on an interface of the kernel's.
 */
#include "unit.h"

#include "fakes/driver.h"

#include <belfry/net.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <sys/uio.h>
#include <unistd.h>

#define F(n)    BIT(n)
#define ALL     (~0ull)
#define NO_MRG  (~F(15))
#define NO_MQ   (~F(22))
#define HEADER  12
#define LARGEST (64 * 1024)

/* --- the interface --- */

static struct {
	u32 offloads, offloads_set;
	int offloads_error;
	bool attached[TAP_QUEUES_MAX];
	u32 fail_attach; /* this queue cannot be */
	bool down;
} iface;

int tap_set_offloads(struct tap *t, u32 offloads)
{
	iface.offloads_set++;
	iface.offloads = offloads;
	return iface.offloads_error;
}

int tap_set_queue(struct tap *t, u32 queue, bool attached)
{
	if (attached == iface.attached[queue])
		return -EINVAL;
	if (attached && queue == iface.fail_attach)
		return -E2BIG;
	iface.attached[queue] = attached;
	return 0;
}

bool tap_is_up(const struct tap *t)
{
	return !iface.down;
}

/* --- a device and what is around it --- */

struct post {
	gpa_t addr;
	u32 len;
};

struct bench {
	struct world *w;
	struct tap tap;
	int far[TAP_QUEUES_MAX]; /* the host's end of each queue */
	struct net *net;
	struct driver *d;
	struct post post[VIRTIO_QUEUES_MAX][256]; /* by head */
	gpa_t out, command; /* to send from, and commands */
};

struct shape {
	u32 queues;
	u32 offloads; /* of the interface */
	bool offload, scattered;
	u16 mtu;
};

static const struct shape plain = { .queues = 1,
				    .offload = true,
				    .offloads = 63 };

static void open_wire(struct bench *b, u32 queues)
{
	for (u32 i = 0; i < queues; i++) {
		int fd[2], size = 4 << 20;

		ck_assert_int_eq(socketpair(AF_UNIX,
					    SOCK_SEQPACKET | SOCK_NONBLOCK, 0,
					    fd),
				 0);
		setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
		b->tap.fds[i] = fd[0];
		b->far[i] = fd[1];
		iface.attached[i] = true;
	}
	b->tap.queues = queues;
	strcpy(b->tap.name, "tap7");
}

static struct bench *bench_create(const struct shape *s)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct net_setup n = {
		.name = "net 0",
		.mac = { 2, 1, 2, 3, 4, 5 },
		.mtu = s->mtu,
		.offload = s->offload,
	};
	struct err e = { 0 };

	ck_assert_ptr_nonnull(b);
	signal(SIGPIPE, SIG_IGN);
	iface.fail_attach = TAP_QUEUES_MAX;
	open_wire(b, s->queues);
	b->tap.offloads = s->offloads;
	b->w = world_create(s->scattered);
	n.tap = &b->tap;
	n.caps = b->w->caps;
	b->net = net_create(&n, &e);
	ck_assert_msg(b->net, "%s", e.msg);
	b->d = driver_create(b->w, net_virtio(b->net));
	b->out = world_alloc(b->w, 2 * LARGEST);
	b->command = world_alloc(b->w, 4096);
	return b;
}

static void bench_destroy(struct bench *b)
{
	world_end(b->w);
	net_destroy(b->net);
	driver_destroy(b->d);
	world_destroy(b->w);
	for (u32 i = 0; i < b->tap.queues; i++) {
		close(b->tap.fds[i]);
		if (b->far[i] >= 0)
			close(b->far[i]);
	}
	free(b);
}

/* With all queues a driver would have, control included. What comes before the
 * device has started is for nobody. */
static void bind_all(struct bench *b, u64 features, u32 size)
{
	bool mq = b->tap.queues > 1 && (features & F(22));

	driver_bind(b->d, features, 2 * (mq ? b->tap.queues : 1) + 1, size);
	world_pass(b->w, 2);
}

static struct driver_queue *rx(struct bench *b, u32 pair)
{
	return &b->d->queues[2 * pair];
}

static struct driver_queue *tx(struct bench *b, u32 pair)
{
	return &b->d->queues[2 * pair + 1];
}

/* Frame @seed: a header that says nothing and bytes that say which it is. */
static void fill(u8 *frame, u32 len, u32 seed)
{
	memset(frame, 0, HEADER);
	for (u32 i = HEADER; i < len; i++)
		frame[i] = (u8)(seed + i + (i >> 8) * 7);
}

static void check(const u8 *frame, u32 len, u32 seed)
{
	static u8 want[2 * LARGEST];

	fill(want, len, seed);
	ck_assert_msg(!memcmp(frame + HEADER, want + HEADER, len - HEADER),
		      "frame %u of %u bytes differs", seed, len);
}

static void host_sends(struct bench *b, u32 pair, u32 len, u32 seed)
{
	static u8 frame[2 * LARGEST];

	fill(frame, len, seed);
	ck_assert_int_eq(write(b->far[pair], frame, len), len);
}

static bool readable(void *ctx)
{
	struct pollfd p = { .fd = *(int *)ctx, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static void host_gets(struct bench *b, u32 pair, u32 len, u32 seed)
{
	static u8 frame[2 * LARGEST];

	world_wait(b->w, readable, &b->far[pair]);
	ck_assert_int_eq(read(b->far[pair], frame, sizeof(frame)), len);
	check(frame, len, seed);
}

static bool host_has_none(struct bench *b, u32 pair)
{
	return !readable(&b->far[pair]);
}

/* A buffer for frames; @pieces descriptors. */
static void post(struct bench *b, u32 pair, gpa_t addr, u32 len, u32 pieces)
{
	struct driver_queue *q = rx(b, pair);
	struct buffer in[8];
	u16 head;

	for (u32 i = 0; i < pieces; i++)
		in[i] = (struct buffer) {
			addr + len / pieces * i,
			i + 1 < pieces ? len / pieces : len - len / pieces * i,
		};
	head = driver_add(q, NULL, 0, in, pieces);
	b->post[2 * pair][head] = (struct post) { addr, len };
}

static void post_many(struct bench *b, u32 pair, u32 len, u32 nr)
{
	for (u32 i = 0; i < nr; i++)
		post(b, pair, world_alloc(b->w, len), len, 1);
	driver_kick(rx(b, pair));
}

/* The next frame the guest gets, put together; *@buffers it came in. Buffers
 * are offered again if @again. */
static u32 guest_gets(struct bench *b, u32 pair, u8 *frame, u32 *buffers,
		      bool again)
{
	u32 len = 0, nr = 1;

	for (u32 i = 0; i < nr; i++) {
		u32 here;
		u16 head = driver_wait(rx(b, pair), &here);
		struct post p = b->post[2 * pair][head];

		ck_assert_uint_le(here, p.len);
		ck_assert_uint_le(len + here, 2 * LARGEST);
		world_get(b->w, p.addr, frame + len, here);
		len += here;
		if (i == 0) {
			ck_assert_uint_ge(here, HEADER);
			nr = frame[10] | frame[11] << 8;
		}
		if (i + 1 < nr)
			ck_assert_uint_eq(here, p.len);
		if (again)
			post(b, pair, p.addr, p.len, 1);
	}
	if (buffers)
		*buffers = nr;
	return len;
}

static void guest_gets_this(struct bench *b, u32 pair, u32 len, u32 seed,
			    u32 buffers)
{
	static u8 frame[2 * LARGEST];
	u32 nr;

	ck_assert_uint_eq(guest_gets(b, pair, frame, &nr, false), len);
	check(frame, len, seed);
	ck_assert_uint_eq(nr, buffers);
}

static u32 nothing_used(struct driver_queue *q)
{
	u32 written;
	u16 head;

	world_pass(q->driver->world, 20);
	return !driver_used(q, &head, &written);
}

/* --- what is offered --- */

#define BASE   (F(5) | F(15) | F(16))
#define CSUM   (F(0) | F(1) | F(2) | F(17))
#define TSO    (F(7) | F(8) | F(9) | F(11) | F(12) | F(13))
#define UFO    (F(10) | F(14))
#define USO    (F(54) | F(55) | F(56))
#define DEVICE (GENMASK(63, 50) | GENMASK(23, 0)) /* a device type's */

START_TEST(offers)
{
	static const struct {
		struct shape shape;
		u64 features;
	} rows[] = {
		{ { 1, 0, true, false, 0 }, BASE },
		{ { 1, 63, false, false, 0 }, BASE },
		{ { 1, 1, true, false, 0 }, BASE | CSUM },
		{ { 1, 15, true, false, 0 }, BASE | CSUM | TSO },
		{ { 1, 31, true, false, 0 }, BASE | CSUM | TSO | UFO },
		{ { 1, 63, true, false, 9000 },
		  BASE | CSUM | TSO | UFO | USO | F(3) },
		{ { 2, 0, true, false, 0 }, BASE | F(17) | F(22) },
		{ { 16, 63, false, false, 68 }, BASE | F(3) | F(17) | F(22) },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bench *b = bench_create(&rows[i].shape);
		u8 c[12];

		ck_assert(driver_negotiate(b->d, ALL));
		ck_assert_uint_eq(b->d->offered & DEVICE, rows[i].features);
		ck_assert_uint_eq(driver_read(b->d, NUM_QUEUES, 2),
				  2 * rows[i].shape.queues + 1);
		driver_config(b->d, 0, c, sizeof(c));
		ck_assert(!memcmp(c, "\2\1\2\3\4\5\1\0", 8));
		ck_assert_uint_eq(c[8], rows[i].shape.queues);
		ck_assert_uint_eq(c[9], 0);
		ck_assert_uint_eq(c[10] | c[11] << 8, rows[i].shape.mtu);
		bench_destroy(b);
	}
}
END_TEST

/* What the driver agreed to is what the interface may do. */
START_TEST(agrees)
{
	static const struct {
		u64 features;
		u32 tap;
	} rows[] = {
		{ ALL, 63 },
		{ F(32), 0 },
		{ F(32) | F(1), TAP_CSUM },
		{ F(32) | F(0) | F(11), 0 },
		{ F(32) | F(1) | F(7) | F(9),
		  TAP_CSUM | TAP_TSO4 | TAP_TSO_ECN },
		{ F(32) | F(1) | F(8) | F(10), TAP_CSUM | TAP_TSO6 | TAP_UFO },
		{ F(32) | F(1) | F(54), TAP_CSUM },
		{ F(32) | F(1) | F(54) | F(55), TAP_CSUM | TAP_USO },
	};
	struct bench *b = bench_create(&plain);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		u32 before = iface.offloads_set;

		driver_bind(b->d, rows[i].features, 2, 16);
		world_pass(b->w, 5);
		ck_assert_uint_eq(iface.offloads_set, before + 1);
		ck_assert_uint_eq(iface.offloads, rows[i].tap);
	}

	/* One that cannot be told is not used. */
	iface.offloads_error = -EBADFD;
	driver_bind(b->d, ALL, 2, 16);
	world_pass(b->w, 5);
	ck_assert(driver_status(b->d) & DEVICE_NEEDS_RESET);
	bench_destroy(b);
}
END_TEST

/* --- sending --- */

static const u32 sizes[] = {
	26, 27, 72, 1023, 1024, 1025, 1526, 4096, 9030, 32767, 65535, 65562,
};

/* Where a driver may cut a frame: each time the length of all but the last. */
static const u32 cuts[][6] = {
	{ 0 }, { 12 }, { 1 }, { 10, 2 }, { 12, 14 }, { 3, 5, 7, 1, 8, 1 },
};

static void guest_sends(struct bench *b, u32 pair, u32 len, u32 seed,
			const u32 *cut)
{
	static u8 frame[2 * LARGEST];
	struct buffer out[7];
	u32 nr = 0, at = 0;

	fill(frame, len, seed);
	world_put(b->w, b->out, frame, len);
	for (; nr < 6 && cut && cut[nr] && at + cut[nr] < len; nr++) {
		out[nr] = (struct buffer) { b->out + at, cut[nr] };
		at += cut[nr];
	}
	out[nr++] = (struct buffer) { b->out + at, len - at };
	driver_add(tx(b, pair), out, nr, NULL, 0);
	driver_kick(tx(b, pair));
}

static void send_all(struct bench *b, bool indirect)
{
	u32 seed = 0, written;

	tx(b, 0)->indirect = indirect;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		for (size_t k = 0; k < ARRAY_SIZE(cuts); k++) {
			guest_sends(b, 0, sizes[i], ++seed, cuts[k]);
			host_gets(b, 0, sizes[i], seed);
			driver_wait(tx(b, 0), &written);
			ck_assert_uint_eq(written, 0);
		}
}

START_TEST(sends)
{
	struct shape s = plain;

	for (u32 i = 0; i < 8; i++) {
		struct bench *b;

		s.scattered = i & 1;
		b = bench_create(&s);
		bind_all(b, i & 2 ? ALL : ~VIRTIO_F_EVENT_IDX, 64);
		send_all(b, i & 4);
		ck_assert_uint_eq(net_dropped(b->net), 0);
		ck_assert_uint_eq(virtio_faults(net_virtio(b->net)), 0);
		bench_destroy(b);
	}
}
END_TEST

/* The header is the TAP's business. */
START_TEST(sends_headers)
{
	struct bench *b = bench_create(&plain);
	u8 frame[80], got[100];
	struct buffer out = { b->out, sizeof(frame) };

	bind_all(b, ALL, 16);
	fill(frame, sizeof(frame), 1);
	for (u8 i = 0; i < HEADER; i++)
		frame[i] = (u8)(0x81 + i);
	world_put(b->w, b->out, frame, sizeof(frame));
	driver_request(tx(b, 0), &out, 1, NULL, 0);
	ck_assert_int_eq(read(b->far[0], got, sizeof(got)), sizeof(frame));
	ck_assert(!memcmp(frame, got, sizeof(frame)));
	bench_destroy(b);
}
END_TEST

START_TEST(refuses_frames)
{
	static const u32 bad[] = { 1, 11, 12, 13, 25, 65601, 100000 };
	struct bench *b = bench_create(&plain);
	struct buffer none = { b->out, 0 };
	u32 written;

	bind_all(b, ALL, 16);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		guest_sends(b, 0, bad[i], 1, NULL);
		driver_wait(tx(b, 0), &written);
		ck_assert_uint_eq(net_dropped(b->net), i + 1);
		ck_assert_uint_eq(virtio_faults(net_virtio(b->net)), i + 1);
	}
	/* Nothing at all, and something in the same breath. */
	driver_add(tx(b, 0), &none, 1, NULL, 0);
	guest_sends(b, 0, 100, 2, NULL);
	host_gets(b, 0, 100, 2);
	driver_wait(tx(b, 0), &written);
	driver_wait(tx(b, 0), &written);
	guest_sends(b, 0, 65600, 3, NULL);
	host_gets(b, 0, 65600, 3);
	ck_assert_uint_eq(net_dropped(b->net), ARRAY_SIZE(bad) + 1);
	bench_destroy(b);
}
END_TEST

/* Fill the host's end until the device has to wait; how many frames fit. */
static u32 stuff(struct bench *b, u32 pair, u32 len)
{
	u32 sent = 0, written;
	u16 head;

	do {
		guest_sends(b, pair, len, sent++, NULL);
		world_pass(b->w, 2);
	} while (driver_used(tx(b, pair), &head, &written));
	return sent;
}

START_TEST(waits_for_room)
{
	struct bench *b = bench_create(&plain);
	u32 sent, written;

	bind_all(b, ALL, 64);
	sent = stuff(b, 0, 60000);
	ck_assert(nothing_used(tx(b, 0)));
	for (u32 i = 0; i < sent; i++)
		host_gets(b, 0, 60000, i);
	driver_wait(tx(b, 0), &written);
	ck_assert(host_has_none(b, 0));
	ck_assert_uint_eq(net_dropped(b->net), 0);
	guest_sends(b, 0, 60, 1, NULL);
	host_gets(b, 0, 60, 1);
	bench_destroy(b);
}
END_TEST

/* --- receiving --- */

/* How many buffers of @len a frame takes. */
static u32 takes(u32 frame, u32 len)
{
	return (frame + len - 1) / len;
}

START_TEST(receives_merged)
{
	static const u32 lens[] = { 12, 60, 1536, 4096, 70000 };
	static u8 frame[2 * LARGEST];
	struct shape s = plain;

	for (u32 i = 0; i < 4 * ARRAY_SIZE(lens); i++) {
		u32 len = lens[i / 4];
		struct bench *b;

		s.scattered = i & 1;
		b = bench_create(&s);
		bind_all(b, i & 2 ? ALL : ~VIRTIO_F_EVENT_IDX, 128);
		post_many(b, 0, len, 100);
		for (u32 k = 0; k < 2 * ARRAY_SIZE(sizes); k++) {
			u32 size = sizes[k / 2], nr;

			if (takes(size, len) > 100)
				continue;
			host_sends(b, 0, size, k);
			ck_assert_uint_eq(guest_gets(b, 0, frame, &nr, true),
					  size);
			check(frame, size, k);
			ck_assert_uint_eq(nr, takes(size, len));
			driver_kick(rx(b, 0));
		}
		ck_assert_uint_eq(net_dropped(b->net), 0);
		ck_assert_uint_eq(virtio_faults(net_virtio(b->net)), 0);
		bench_destroy(b);
	}
}
END_TEST

/* One chain for a frame, in as many descriptors as the driver likes. What is
 * larger is dropped, and no harm done to what follows. */
START_TEST(receives_unmerged)
{
	for (u32 pieces = 1; pieces <= 7; pieces += 3) {
		struct bench *b = bench_create(&plain);

		bind_all(b, NO_MRG, 128);
		for (u32 i = 0; i < ARRAY_SIZE(sizes); i++) {
			u32 size = sizes[i];

			post(b, 0, world_alloc(b->w, size), size, pieces);
			driver_kick(rx(b, 0));
			host_sends(b, 0, size + 1, 1000 + i);
			host_sends(b, 0, size, i);
			guest_gets_this(b, 0, size, i, 1);
			ck_assert_uint_eq(net_dropped(b->net), i + 1);

			post(b, 0, world_alloc(b->w, size + 1), size + 1,
			     pieces);
			driver_kick(rx(b, 0));
			host_sends(b, 0, size, i);
			guest_gets_this(b, 0, size, i, 1);
		}
		bench_destroy(b);
	}
}
END_TEST

/* A frame that needs more than there is waits, and is whole in the end. */
START_TEST(waits_for_buffers)
{
	struct bench *b = bench_create(&plain);
	u32 nr = takes(60000, 1000);

	bind_all(b, ALL, 64);
	host_sends(b, 0, 60000, 1);
	host_sends(b, 0, 500, 2);
	for (u32 i = 0; i < nr; i++) {
		ck_assert(nothing_used(rx(b, 0)));
		post_many(b, 0, 1000, 1);
	}
	guest_gets_this(b, 0, 60000, 1, nr);
	ck_assert(nothing_used(rx(b, 0)));
	post_many(b, 0, 1000, 1);
	guest_gets_this(b, 0, 500, 2, 1);
	ck_assert_uint_eq(net_dropped(b->net), 0);
	bench_destroy(b);
}
END_TEST

/* Where all that the queue can hold is too little there is no use waiting. */
START_TEST(gives_up)
{
	struct bench *b = bench_create(&plain);

	bind_all(b, ALL, 16);
	post_many(b, 0, 1000, 15);
	host_sends(b, 0, 16001, 1);
	host_sends(b, 0, 16000, 2);
	ck_assert(nothing_used(rx(b, 0)));
	ck_assert_uint_eq(net_dropped(b->net), 0);
	post_many(b, 0, 1000, 1);
	guest_gets_this(b, 0, 16000, 2, 16);
	ck_assert_uint_eq(net_dropped(b->net), 1);
	bench_destroy(b);
}
END_TEST

static u64 cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (u64)t.tv_sec * 1000 + (u64)t.tv_nsec / 1000000;
}

/* Without buffers frames stay where they are, and nobody turns in circles. */
START_TEST(leaves_frames)
{
	struct bench *b = bench_create(&plain);
	u64 begun;

	bind_all(b, ALL, 16);
	for (u32 i = 0; i < 8; i++)
		host_sends(b, 0, 100 + i, i);
	world_pass(b->w, 5);
	begun = cpu_ms();
	world_pass(b->w, 500);
	ck_assert_uint_lt(cpu_ms() - begun, 250);
	for (u32 i = 8; i < 10; i++)
		host_sends(b, 0, 100 + i, i);
	world_pass(b->w, 5);
	ck_assert(readable(&b->tap.fds[0]));
	ck_assert(nothing_used(rx(b, 0)));

	post_many(b, 0, 1536, 10);
	for (u32 i = 0; i < 10; i++)
		guest_gets_this(b, 0, 100 + i, i, 1);
	ck_assert_uint_eq(net_dropped(b->net), 0);
	bench_destroy(b);
}
END_TEST

/* Frames come, and their buffers may not be touched: they stay, too. */
START_TEST(leaves_frames_without_mastering)
{
	struct bench *b = bench_create(&plain);

	bind_all(b, ALL, 16);
	post_many(b, 0, 1536, 2);
	host_sends(b, 0, 100, 1);
	guest_gets_this(b, 0, 100, 1, 1);
	driver_pci_write(b->d, 0x04, 2, 0x0002);
	b->w->no_memory = true;
	host_sends(b, 0, 101, 2);
	world_pass(b->w, 5);
	ck_assert(readable(&b->tap.fds[0]));
	driver_pci_write(b->d, 0x04, 2, 0x0006);
	world_pass(b->w, 5);
	ck_assert(readable(&b->tap.fds[0]));
	ck_assert_uint_eq(net_dropped(b->net), 0);
	bench_destroy(b);
}
END_TEST

/* Of the header two bytes are the device's, and flags where the driver does
 * not know checksums. */
START_TEST(receives_headers)
{
	for (int csum = 0; csum < 2; csum++) {
		struct bench *b = bench_create(&plain);
		u8 sent[80], got[2 * 80];

		bind_all(b, csum ? ALL : ~F(1), 16);
		post_many(b, 0, 80, 1);
		fill(sent, sizeof(sent), 1);
		memset(sent, 0xee, HEADER);
		ck_assert_int_eq(write(b->far[0], sent, sizeof(sent)),
				 sizeof(sent));
		ck_assert_uint_eq(guest_gets(b, 0, got, NULL, false), 80);
		sent[0] = csum ? 0xee : 0;
		sent[10] = 1;
		sent[11] = 0;
		ck_assert(!memcmp(sent, got, sizeof(sent)));
		bench_destroy(b);
	}
}
END_TEST

/* --- interrupts and shares --- */

START_TEST(interrupts_once)
{
	struct bench *b = bench_create(&plain);
	u32 written;

	bind_all(b, ~VIRTIO_F_EVENT_IDX, 64);
	post_many(b, 0, 1536, 60);
	world_pass(b->w, 10);
	ck_assert_uint_eq(driver_messages(b->d, 1), 0);
	for (u32 i = 0; i < 40; i++)
		host_sends(b, 0, 100, i);
	for (u32 i = 0; i < 40; i++)
		guest_gets_this(b, 0, 100, i, 1);
	world_pass(b->w, 10);
	ck_assert_uint_eq(driver_messages(b->d, 1), 1);

	for (u32 i = 0; i < 40; i++) {
		struct buffer out = { b->out, 100 };

		driver_add(tx(b, 0), &out, 1, NULL, 0);
	}
	driver_kick(tx(b, 0));
	for (u32 i = 0; i < 40; i++)
		driver_wait(tx(b, 0), &written);
	world_pass(b->w, 10);
	ck_assert_uint_eq(driver_messages(b->d, 2), 1);
	bench_destroy(b);
}
END_TEST

/* Sixty-four small frames are a share; others may come between. */
START_TEST(takes_turns)
{
	struct bench *b = bench_create(&plain);
	u32 written;

	bind_all(b, ~VIRTIO_F_EVENT_IDX, 256);
	for (u32 i = 0; i < 200; i++) {
		struct buffer out = { b->out, 100 };

		driver_add(tx(b, 0), &out, 1, NULL, 0);
	}
	driver_kick(tx(b, 0));
	for (u32 i = 0; i < 200; i++)
		driver_wait(tx(b, 0), &written);
	world_pass(b->w, 10);
	ck_assert_uint_eq(driver_messages(b->d, 2), 4);

	post_many(b, 0, 1536, 250);
	for (u32 i = 0; i < 129; i++)
		host_sends(b, 0, 100, i);
	for (u32 i = 0; i < 129; i++)
		guest_gets_this(b, 0, 100, i, 1);
	world_pass(b->w, 10);
	ck_assert_uint_eq(driver_messages(b->d, 1), 3);
	bench_destroy(b);
}
END_TEST

/* While the driver keeps the device busy it need not tell it. */
START_TEST(wants_no_kicks)
{
	for (int event_idx = 0; event_idx < 2; event_idx++) {
		struct bench *b = bench_create(&plain);

		bind_all(b, event_idx ? ALL : ~VIRTIO_F_EVENT_IDX, 64);
		post_many(b, 0, 1536, 20);
		host_sends(b, 0, 100, 0);
		guest_gets_this(b, 0, 100, 0, 1);
		for (u32 i = 1; i < 20; i++) {
			post(b, 0, world_alloc(b->w, 1536), 1536, 1);
			ck_assert(!driver_kick(rx(b, 0)));
			host_sends(b, 0, 100, i);
			guest_gets_this(b, 0, 100, i, 1);
		}
		bench_destroy(b);
	}
}
END_TEST

/* --- commands --- */

static int command(struct bench *b, u32 queue, const void *bytes, u32 len)
{
	struct buffer out[2] = { { b->command, 2 },
				 { b->command + 2, len - 2 } };
	struct buffer in = { b->command + 2048, 1 };
	u8 ack = 0xff;

	world_put(b->w, b->command, bytes, len);
	world_put(b->w, in.addr, &ack, 1);
	ck_assert_uint_eq(driver_request(&b->d->queues[queue], out,
					 len > 2 ? 2 : 1, &in, 1),
			  1);
	world_get(b->w, in.addr, &ack, 1);
	return ack;
}

static int set_pairs(struct bench *b, u16 nr)
{
	u8 c[4] = { 4, 0, (u8)nr, (u8)(nr >> 8) };

	return command(b, 2 * b->tap.queues, c, sizeof(c));
}

START_TEST(commands)
{
	static const struct {
		u8 bytes[16];
		u32 len;
		u64 features;
		int ack;
		u32 tap; /* after it; 99: untouched */
	} rows[] = {
		{ { 5, 0, 0x82, 1 },
		  10,
		  ALL,
		  0,
		  TAP_CSUM | TAP_TSO4 | TAP_TSO6 },
		{ { 5, 0, 0 }, 10, ALL, 0, 0 },
		{ { 5, 0, 2 }, 10, ALL, 0, TAP_CSUM },
		{ { 5, 0, 2, 0, 0, 0, 0, 0, 0xc0 },
		  10,
		  ALL,
		  0,
		  TAP_CSUM | TAP_USO },
		{ { 5, 0, 2, 0, 0, 0, 0, 0, 0x40 }, 10, ALL, 0, TAP_CSUM },
		/* Not agreed; not an offload; not a length; not a command. */
		{ { 5, 0, 0x82, 1 }, 10, ~F(8), 1, 99 },
		{ { 5, 0, 1 }, 10, ALL, 1, 99 },
		{ { 5, 0, 2, 0, 0, 0, 0, 0, 0, 0x80 }, 10, ALL, 1, 99 },
		{ { 5, 0, 2 }, 9, ALL, 1, 99 },
		{ { 5, 0, 2 }, 11, ALL, 1, 99 },
		{ { 5, 0 }, 2, ALL, 1, 99 },
		{ { 5, 1, 2 }, 10, ALL, 1, 99 },
		{ { 5, 0, 2 }, 10, ~F(2), 1, 99 },
		{ { 4, 0, 1 }, 4, ALL, 0, 99 },
		{ { 4, 0, 2 }, 4, ALL, 0, 99 },
		{ { 4, 0, 3 }, 4, ALL, 0, 99 },
		{ { 4, 0, 0 }, 4, ALL, 1, 99 },
		{ { 4, 0, 4 }, 4, ALL, 1, 99 },
		{ { 4, 0, 1, 1 }, 4, ALL, 1, 99 },
		{ { 4, 0, 1 }, 3, ALL, 1, 99 },
		{ { 4, 0, 1 }, 5, ALL, 1, 99 },
		{ { 4, 1, 1 }, 4, ALL, 1, 99 },
		{ { 4, 0, 1 }, 4, NO_MQ, 1, 99 },
		{ { 0, 0, 1 }, 3, ALL, 1, 99 },
		{ { 1, 1, 2, 2, 2, 2, 2, 2 }, 8, ALL, 1, 99 },
		{ { 255, 255 }, 2, ALL, 1, 99 },
	};
	struct shape s = plain;
	struct bench *b;

	s.queues = 3;
	b = bench_create(&s);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		u32 queue = rows[i].features & F(22) ? 6 : 2;

		bind_all(b, rows[i].features, 16);
		world_pass(b->w, 5);
		iface.offloads = 99;
		ck_assert_msg(command(b, queue, rows[i].bytes, rows[i].len) ==
				      rows[i].ack,
			      "row %zu", i);
		ck_assert_msg(iface.offloads == rows[i].tap, "row %zu", i);
	}

	bind_all(b, ALL, 16);
	iface.offloads_error = -EINVAL;
	ck_assert_int_eq(command(b, 6, rows[0].bytes, 10), 1);
	ck_assert(!(driver_status(b->d) & DEVICE_NEEDS_RESET));
	bench_destroy(b);
}
END_TEST

/* --- several pairs --- */

static void want_attached(u32 nr, u32 queues)
{
	for (u32 i = 0; i < queues; i++)
		ck_assert_msg(iface.attached[i] == (i < nr), "queue %u", i);
}

START_TEST(uses_pairs)
{
	struct shape s = plain;
	struct bench *b;

	s.queues = 4;
	b = bench_create(&s);
	for (int round = 0; round < 2; round++) {
		bind_all(b, ALL, 64);
		for (u32 i = 0; i < 4; i++)
			post_many(b, i, 1536, 20);
		world_pass(b->w, 5);
		want_attached(1, 4);

		/* One that is not in use neither sends nor receives. */
		host_sends(b, 1, 100, 1);
		guest_sends(b, 1, 100, 2, NULL);
		ck_assert(nothing_used(rx(b, 1)) && nothing_used(tx(b, 1)));

		ck_assert_int_eq(set_pairs(b, 4), 0);
		want_attached(4, 4);
		guest_gets_this(b, 1, 100, 1, 1);
		host_gets(b, 1, 100, 2);
		for (u32 i = 0; i < 4; i++) {
			host_sends(b, i, 200, 10 + i);
			guest_gets_this(b, i, 200, 10 + i, 1);
			guest_sends(b, i, 200, 20 + i, NULL);
			host_gets(b, i, 200, 20 + i);
		}

		ck_assert_int_eq(set_pairs(b, 2), 0);
		want_attached(2, 4);
		host_sends(b, 3, 100, 3);
		host_sends(b, 1, 100, 4);
		guest_gets_this(b, 1, 100, 4, 1);
		ck_assert(nothing_used(rx(b, 3)));

		/* On and off before the loop has seen the first of it. */
		for (u16 i = 0; i < 8; i++)
			ck_assert_int_eq(set_pairs(b, i % 2 ? 4 : 1), 0);
		guest_gets_this(b, 3, 100, 3, 1);
	}
	bench_destroy(b);
}
END_TEST

/* All or as before. */
START_TEST(keeps_pairs)
{
	struct shape s = plain;
	struct bench *b;

	s.queues = 4;
	b = bench_create(&s);
	bind_all(b, ALL, 64);
	ck_assert_int_eq(set_pairs(b, 2), 0);
	iface.fail_attach = 3;
	ck_assert_int_eq(set_pairs(b, 4), 1);
	want_attached(2, 4);
	ck_assert_int_eq(set_pairs(b, 3), 0);
	want_attached(3, 4);
	bench_destroy(b);
}
END_TEST

/* A pair that waits for room goes and comes again before its wait is over. */
START_TEST(waits_across_commands)
{
	struct shape s = plain;
	struct bench *b;
	u8 c[2][4] = { { 4, 0, 1 }, { 4, 0, 2 } };
	struct driver_queue *q;
	u32 sent, written;

	s.queues = 2;
	b = bench_create(&s);
	bind_all(b, ALL, 64);
	ck_assert_int_eq(set_pairs(b, 2), 0);
	post_many(b, 1, 1536, 1);
	sent = stuff(b, 1, 60000);

	q = &b->d->queues[4];
	for (u32 i = 0; i < 2; i++) {
		struct buffer out = { b->command + 16 * i, 4 };
		struct buffer in = { b->command + 64 + i, 1 };

		world_put(b->w, out.addr, c[i], 4);
		driver_add(q, &out, 1, &in, 1);
	}
	driver_kick(q);
	driver_wait(q, &written);
	driver_wait(q, &written);
	ck_assert(nothing_used(tx(b, 1)));
	for (u32 i = 0; i < sent; i++)
		host_gets(b, 1, 60000, i);
	driver_wait(tx(b, 1), &written);
	host_sends(b, 1, 100, 1);
	guest_gets_this(b, 1, 100, 1, 1);
	bench_destroy(b);
}
END_TEST

/* --- drivers that do what they must not --- */

START_TEST(breaks)
{
	/* Lengths to read and to write, offered to a queue. */
	static const struct {
		u32 queue, out, in;
		u64 features;
	} rows[] = {
		{ 0, 0, 11, ALL },  { 0, 0, 1, NO_MRG }, { 0, 20, 1536, ALL },
		{ 0, 100, 0, ALL }, { 1, 100, 1, ALL },  { 1, 0, 100, ALL },
		{ 2, 1, 1, ALL },   { 2, 10, 0, ALL },   { 2, 0, 1, ALL },
	};
	struct bench *b = bench_create(&plain);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct buffer out = { b->out, rows[i].out };
		struct buffer in = { b->out + 4096, rows[i].in };
		u64 faults = virtio_faults(net_virtio(b->net));

		bind_all(b, rows[i].features, 16);
		host_sends(b, 0, 100, 1);
		driver_add(&b->d->queues[rows[i].queue], &out, !!rows[i].out,
			   &in, !!rows[i].in);
		driver_kick(&b->d->queues[rows[i].queue]);
		world_pass(b->w, 10);
		ck_assert_msg(driver_status(b->d) & DEVICE_NEEDS_RESET,
			      "row %zu", i);
		ck_assert_uint_eq(virtio_faults(net_virtio(b->net)),
				  faults + 1);
		/* Other queues go on. */
		if (rows[i].queue != 1) {
			guest_sends(b, 0, 100, 2, NULL);
			host_gets(b, 0, 100, 2);
		}
	}

	/* And afterwards all is well. */
	bind_all(b, ALL, 16);
	post_many(b, 0, 1536, 4);
	world_pass(b->w, 5);
	host_sends(b, 0, 100, 3);
	guest_gets_this(b, 0, 100, 3, 1);
	bench_destroy(b);
}
END_TEST

/* A good buffer and one that is none, for one frame. */
START_TEST(breaks_between)
{
	struct bench *b = bench_create(&plain);

	bind_all(b, ALL, 16);
	post_many(b, 0, 1536, 2);
	driver_put_desc(rx(b, 0), 9, 0x1234, 4096, 2, 0);
	driver_put_avail(rx(b, 0), 9);
	host_sends(b, 0, 9000, 1);
	world_pass(b->w, 10);
	ck_assert(driver_status(b->d) & DEVICE_NEEDS_RESET);
	driver_reset(b->d);
	bench_destroy(b);
}
END_TEST

/* --- the end, and the beginning again --- */

static void empty(int fd)
{
	static u8 frame[2 * LARGEST];

	while (read(fd, frame, sizeof(frame)) > 0)
		;
}

START_TEST(resets_under_load)
{
	struct shape s = plain;
	struct bench *b;

	s.queues = 2;
	b = bench_create(&s);
	for (u32 round = 0; round < 6; round++) {
		bind_all(b, ALL, 64);
		ck_assert_int_eq(set_pairs(b, 2), 0);
		/* Waiting for room, for buffers in the middle of a frame, and
		 * for nothing; or with all of it still to come. */
		stuff(b, 1, 60000);
		post_many(b, 0, 1536, round % 3);
		host_sends(b, 0, 9000, 1);
		if (round % 2)
			world_pass(b->w, 5);
		driver_kick(rx(b, 0));
		driver_reset(b->d);

		b->w->no_memory = true;
		host_sends(b, 0, 9000, 2);
		host_sends(b, 1, 100, 2);
		world_pass(b->w, 20);
		b->w->no_memory = false;
		empty(b->far[1]);
	}

	/* What came meanwhile was for nobody. */
	bind_all(b, ALL, 64);
	want_attached(1, 2);
	world_pass(b->w, 5);
	post_many(b, 0, 1536, 4);
	host_sends(b, 0, 100, 3);
	guest_gets_this(b, 0, 100, 3, 1);
	bench_destroy(b);
}
END_TEST

static u16 link_status(struct bench *b)
{
	u8 status[2];

	driver_config(b->d, 6, status, sizeof(status));
	return (u16)(status[0] | status[1] << 8);
}

static bool link_up(void *ctx)
{
	return link_status(ctx);
}

START_TEST(tells_of_the_link)
{
	struct bench *b = bench_create(&plain);
	u64 begun;

	/* No room in the socket stands for an interface that is down. */
	ck_assert_uint_eq(link_status(b), 1);
	iface.down = true;
	while (write(b->tap.fds[0], "", 1) > 0)
		;
	bind_all(b, ALL, 16);
	world_pass(b->w, 5);
	ck_assert_uint_eq(link_status(b), 0);
	ck_assert_uint_eq(driver_messages(b->d, 0), 1);
	begun = cpu_ms();
	world_pass(b->w, 500);
	ck_assert_uint_lt(cpu_ms() - begun, 250);

	iface.down = false;
	empty(b->far[0]);
	world_wait(b->w, link_up, b);
	world_pass(b->w, 5);
	ck_assert_uint_eq(driver_messages(b->d, 0), 2);
	bench_destroy(b);
}
END_TEST

/* The other end is gone: frames to send are dropped, and that is all. */
START_TEST(outlives_the_interface)
{
	struct bench *b = bench_create(&plain);
	u32 written;
	u64 begun;

	bind_all(b, ALL, 16);
	post_many(b, 0, 1536, 8);
	host_sends(b, 0, 100, 1);
	guest_gets_this(b, 0, 100, 1, 1);
	close(b->far[0]);
	b->far[0] = -1;
	ck_assert(nothing_used(rx(b, 0)));
	begun = cpu_ms();
	guest_sends(b, 0, 100, 2, NULL);
	driver_wait(tx(b, 0), &written);
	ck_assert_uint_eq(net_dropped(b->net), 1);
	world_pass(b->w, 500);
	ck_assert_uint_lt(cpu_ms() - begun, 250);
	ck_assert(!(driver_status(b->d) & DEVICE_NEEDS_RESET));
	driver_reset(b->d);
	bench_destroy(b);
}
END_TEST

/* --- all at once --- */

static u32 next_random(u32 *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

static u32 some_size(u32 *state)
{
	u32 most = next_random(state) % 8 ? 2000 : LARGEST;

	return 26 + next_random(state) % (most - 26);
}

struct traffic {
	struct bench *b;
	u32 random;
	u32 to_guest, guest_got; /* frames */
	u32 size[1024];          /* by frame, modulo */
};

static void traffic_to_guest(struct traffic *t)
{
	u32 size = some_size(&t->random);

	if (t->to_guest - t->guest_got >= 8)
		return;
	t->size[t->to_guest % 1024] = size;
	host_sends(t->b, 0, size, t->to_guest++);
}

static void traffic_at_guest(struct traffic *t)
{
	static u8 frame[2 * LARGEST];
	u32 size = t->size[t->guest_got % 1024];

	if (t->guest_got == t->to_guest)
		return;
	ck_assert_uint_eq(guest_gets(t->b, 0, frame, NULL, true), size);
	check(frame, size, t->guest_got++);
	driver_kick(rx(t->b, 0));
}

static void traffic_to_host(struct traffic *t)
{
	u32 size = some_size(&t->random), seed = next_random(&t->random);
	u32 written;

	tx(t->b, 0)->indirect = next_random(&t->random) % 2;
	guest_sends(t->b, 0, size, seed,
		    cuts[next_random(&t->random) % ARRAY_SIZE(cuts)]);
	host_gets(t->b, 0, size, seed);
	driver_wait(tx(t->b, 0), &written);
}

START_TEST(carries_all)
{
	for (u32 i = 0; i < 4; i++) {
		struct shape s = plain;
		struct traffic t = { .random = i };

		s.scattered = i & 1;
		t.b = bench_create(&s);
		bind_all(t.b, i & 2 ? ALL : ~VIRTIO_F_EVENT_IDX, 128);
		for (u32 k = 0; k < 128; k++)
			post(t.b, 0, world_alloc(t.b->w, 12 + 16 * k),
			     12 + 16 * k, 1);
		driver_kick(rx(t.b, 0));
		for (u32 k = 0; k < 600; k++) {
			u32 what = next_random(&t.random) % 3;

			if (what == 0)
				traffic_to_guest(&t);
			else if (what == 1)
				traffic_at_guest(&t);
			else
				traffic_to_host(&t);
		}
		while (t.guest_got < t.to_guest)
			traffic_at_guest(&t);
		ck_assert_uint_gt(t.guest_got, 100);
		ck_assert_uint_eq(net_dropped(t.b->net), 0);
		ck_assert_uint_eq(virtio_faults(net_virtio(t.b->net)), 0);
		bench_destroy(t.b);
	}
}
END_TEST

/* As tun_put_user does with one whose kind no header can express. */
static bool spoil;

ssize_t __real_readv(int fd, const struct iovec *iov, int nr);
ssize_t __wrap_readv(int fd, const struct iovec *iov, int nr);
ssize_t __wrap_readv(int fd, const struct iovec *iov, int nr)
{
	ssize_t got = __real_readv(fd, iov, nr);

	if (!spoil || got <= 0)
		return got;
	spoil = false;
	errno = EINVAL;
	return -1;
}

START_TEST(a_frame_that_cannot_be_had)
{
	struct bench *b = bench_create(&plain);

	bind_all(b, ALL, 16);
	post_many(b, 0, 1536, 8);
	spoil = true;
	host_sends(b, 0, 100, 1);
	for (u32 i = 2; i < 5; i++) {
		host_sends(b, 0, 100, i);
		guest_gets_this(b, 0, 100, i, 1);
	}
	ck_assert(!spoil);
	ck_assert_uint_eq(net_dropped(b->net), 1);
	driver_reset(b->d);
	bench_destroy(b);
}
END_TEST

UNIT_MAIN("net", offers, a_frame_that_cannot_be_had, agrees, sends,
	  sends_headers, refuses_frames, waits_for_room, receives_merged,
	  receives_unmerged, waits_for_buffers, gives_up, leaves_frames,
	  leaves_frames_without_mastering, receives_headers, interrupts_once,
	  takes_turns, wants_no_kicks, commands, uses_pairs, keeps_pairs,
	  waits_across_commands, breaks, breaks_between, resets_under_load,
	  tells_of_the_link, outlives_the_interface, carries_all)
