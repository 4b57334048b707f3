/*
 * The entropy device, as a driver uses and abuses it, over a host whose
 * getrandom the test can make slow, short or broken.
 */
#include "unit.h"

#include "fakes/driver.h"

#include <belfry/vrng.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define TURN (64 * KIB)

/* What the host does. */
static struct {
	size_t most;   /* bytes of one call; 0: all */
	u32 interrupt; /* so many calls are interrupted first */
	u64 good;      /* bytes until it fails */
	int err;       /* as this */
	u64 given;     /* bytes so far */
	u32 calls;
} host;

ssize_t __real_getrandom(void *buf, size_t len, unsigned flags);
ssize_t __wrap_getrandom(void *buf, size_t len, unsigned flags);

ssize_t __wrap_getrandom(void *buf, size_t len, unsigned flags)
{
	ssize_t n;

	ck_assert_uint_gt(len, 0);
	ck_assert_uint_eq(flags, 0);
	host.calls++;
	if (host.interrupt) {
		host.interrupt--;
		errno = EINTR;
		return -1;
	}
	if (host.err && !host.good) {
		errno = host.err;
		return -1;
	}
	if (host.most)
		len = MIN(len, host.most);
	if (host.err)
		len = MIN(len, host.good);
	n = __real_getrandom(buf, len, flags);
	host.given += (u64)n;
	host.good -= host.err ? (u64)n : 0;
	return n;
}

struct bench {
	struct world *w;
	struct vrng *r;
	struct driver *d;
	struct driver_queue *q;
};

static void bench_init(struct bench *b, bool scattered, u64 features)
{
	struct err e = { 0 };

	memset(&host, 0, sizeof(host));
	b->w = world_create(scattered);
	b->r = vrng_create("rng", &b->w->caps, &e);
	ck_assert_msg(b->r, "%s", e.msg);
	b->d = driver_create(b->w, vrng_virtio(b->r));
	driver_bind(b->d, features, 1, 64);
	b->q = &b->d->queues[0];
}

static void bench_fini(struct bench *b)
{
	world_end(b->w);
	vrng_destroy(b->r);
	driver_destroy(b->d);
	world_destroy(b->w);
}

/* Bytes of [addr, addr + len) that are not 0, of which there should be all
 * but one in 256. */
static u64 nonzero(struct bench *b, gpa_t addr, u64 len)
{
	u64 n = 0;
	u8 *got = malloc(len);

	ck_assert_ptr_nonnull(got);
	world_get(b->w, addr, got, len);
	for (u64 i = 0; i < len; i++)
		n += got[i] != 0;
	free(got);
	return n;
}

/* That many bytes were filled, not one more. */
static void check_filled(struct bench *b, const struct buffer *buf, u64 filled)
{
	u64 n = nonzero(b, buf->addr, filled);

	if (filled >= 1024)
		ck_assert_uint_gt(n, filled - filled / 64);
	if (filled < buf->len)
		ck_assert_uint_eq(nonzero(b, buf->addr + filled,
					  buf->len - filled),
				  0);
}

START_TEST(identity)
{
	struct bench b;

	bench_init(&b, false, ~0ull);
	ck_assert_uint_eq(driver_pci_read(b.d, 0, 4), 0x10441af4);
	ck_assert_uint_eq(driver_read(b.d, NUM_QUEUES, 2), 1);
	ck_assert_uint_eq(b.d->offered & GENMASK(23, 0), 0);
	ck_assert_uint_eq(b.d->part[DEVICE_CFG].cap, 0);
	bench_fini(&b);
}
END_TEST

static void check_lengths(bool scattered, u64 features)
{
	static const u32 lengths[] = { 1,    2,     16,    63,    64,     4096,
				       5000, 65535, 65536, 65537, 1000000 };
	struct bench b;

	bench_init(&b, scattered, features);
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct buffer in = { world_alloc(b.w, lengths[i]), lengths[i] };
		u32 n = driver_request(b.q, NULL, 0, &in, 1);

		ck_assert_uint_eq(n, MIN(lengths[i], TURN));
		check_filled(&b, &in, n);
	}
	ck_assert_uint_eq(driver_status(b.d) & DEVICE_NEEDS_RESET, 0);
	bench_fini(&b);
}

START_TEST(lengths)
{
	check_lengths(false, ~0ull);
	check_lengths(false, ~VIRTIO_F_EVENT_IDX);
	check_lengths(true, ~0ull);
}
END_TEST

/* All 256 values, about as often as each other. */
START_TEST(all_values)
{
	struct bench b;
	struct buffer in;
	u32 count[256] = { 0 };
	static u8 got[TURN], again[TURN];

	bench_init(&b, false, ~0ull);
	in = (struct buffer) { world_alloc(b.w, TURN), TURN };
	ck_assert_uint_eq(driver_request(b.q, NULL, 0, &in, 1), TURN);
	world_get(b.w, in.addr, got, TURN);
	for (u32 i = 0; i < TURN; i++)
		count[got[i]]++;
	for (u32 i = 0; i < 256; i++) {
		ck_assert_uint_gt(count[i], 128);
		ck_assert_uint_lt(count[i], 512);
	}
	ck_assert_uint_eq(driver_request(b.q, NULL, 0, &in, 1), TURN);
	world_get(b.w, in.addr, again, TURN);
	ck_assert(memcmp(got, again, TURN));
	bench_fini(&b);
}
END_TEST

/* Readable buffers are a driver's mistake, which costs nobody but it. */
START_TEST(pieces)
{
	struct bench b;
	struct buffer out, in[3];

	bench_init(&b, false, ~0ull);
	out = (struct buffer) { world_alloc(b.w, 2000), 2000 };
	for (u32 i = 0; i < 3; i++)
		in[i] = (struct buffer) { world_alloc(b.w, 2000), 1000 };
	ck_assert_uint_eq(driver_request(b.q, NULL, 0, in, 3), 3000);
	for (u32 i = 0; i < 3; i++) {
		check_filled(&b, &in[i], 1000);
		ck_assert_uint_eq(nonzero(&b, in[i].addr + 1000, 1000), 0);
	}
	ck_assert_uint_eq(driver_request(b.q, &out, 1, in, 1), 1000);
	ck_assert_uint_eq(driver_request(b.q, &out, 1, NULL, 0), 0);
	ck_assert_uint_eq(nonzero(&b, out.addr, 2000), 0);
	b.q->indirect = true;
	ck_assert_uint_eq(driver_request(b.q, NULL, 0, in, 3), 3000);
	bench_fini(&b);
}
END_TEST

/* Something else that the loop has to do, each time round. */
struct bystander {
	struct loop *loop;
	struct loop_task task;
	u64 given, most;
};

static void bystander_call(void *ctx)
{
	struct bystander *s = ctx;

	s->most = MAX(s->most, host.given - s->given);
	s->given = host.given;
	loop_defer(s->loop, &s->task);
}

static void fill_queue(struct bench *b, u32 len)
{
	struct buffer in = { world_alloc(b->w, len), len };

	for (u32 i = 0; i < b->q->size; i++)
		driver_add(b->q, NULL, 0, &in, 1);
}

/* However much is asked for, the loop comes round. */
static void check_fair(u32 len, u64 features, u64 sum)
{
	struct bench b;
	struct bystander s = { .given = 0 };
	u32 n;

	bench_init(&b, false, features);
	s.loop = b.w->caps.loop;
	s.task = (struct loop_task) { .call = bystander_call, .ctx = &s };
	loop_defer(s.loop, &s.task);
	fill_queue(&b, len);
	driver_kick(b.q);
	for (u32 i = 0; i < b.q->size; i++) {
		driver_wait(b.q, &n);
		ck_assert_uint_ge(n, 1);
		ck_assert_uint_le(n, len);
		sum -= n;
	}
	ck_assert_uint_eq(sum, 0);
	/* A kick's turn and a deferred one may be in one round. */
	ck_assert_uint_le(s.most, 2 * TURN);
	bench_fini(&b);
}

START_TEST(a_greedy_driver)
{
	check_fair(1 * MIB, ~0ull, 64 * TURN);
	check_fair(1 * MIB, ~VIRTIO_F_EVENT_IDX, 64 * TURN);
	/* 64 KiB do not divide by 24 KiB: every third gets what is left. */
	check_fair(24 * KIB, ~0ull, 64 * 24 * KIB - 21 * 8 * KIB);
	check_fair(64, ~0ull, 64 * 64);
}
END_TEST

START_TEST(nothing_after_a_reset)
{
	struct bench b;
	struct buffer in;

	bench_init(&b, false, ~0ull);
	fill_queue(&b, 1 * MIB);
	driver_kick(b.q);
	world_pass(b.w, 1);
	driver_reset(b.d);
	b.w->no_memory = true;
	world_pass(b.w, 20);
	b.w->no_memory = false;
	driver_bind(b.d, ~0ull, 1, 64);
	in = (struct buffer) { world_alloc(b.w, 64), 64 };
	ck_assert_uint_eq(driver_request(b.q, NULL, 0, &in, 1), 64);
	bench_fini(&b);
}
END_TEST

START_TEST(a_host_that_gives_little)
{
	struct bench b;
	struct buffer in[2];

	bench_init(&b, false, ~0ull);
	host.most = 7;
	host.interrupt = 3;
	for (u32 i = 0; i < 2; i++)
		in[i] = (struct buffer) { world_alloc(b.w, 3000), 3000 };
	ck_assert_uint_eq(driver_request(b.q, NULL, 0, in, 2), 6000);
	check_filled(&b, &in[0], 3000);
	check_filled(&b, &in[1], 3000);
	ck_assert_uint_eq(host.calls, 3 + 2 * (3000 / 7 + 1));
	bench_fini(&b);
}
END_TEST

static bool needs_reset(void *ctx)
{
	return driver_status(ctx) & DEVICE_NEEDS_RESET;
}

/* Standard error into a file, and back. */
static int capture(FILE *f)
{
	int saved = dup(STDERR_FILENO);

	dup2(fileno(f), STDERR_FILENO);
	return saved;
}

static void release(FILE *f, int saved, char *said, size_t size)
{
	ssize_t n;

	dup2(saved, STDERR_FILENO);
	close(saved);
	n = pread(fileno(f), said, size - 1, 0);
	said[MAX(n, 0)] = '\0';
	fclose(f);
}

/* What it gave before counts; then it stands still, and says so once. */
START_TEST(a_host_that_fails)
{
	struct bench b;
	struct buffer in;
	FILE *f = tmpfile();
	char said[1024], *first;
	u32 n;
	u16 head;
	int saved;

	bench_init(&b, false, ~0ull);
	in = (struct buffer) { world_alloc(b.w, 100), 100 };
	host.err = ENOSYS;
	host.good = 150;
	ck_assert_uint_eq(driver_request(b.q, NULL, 0, &in, 1), 100);
	ck_assert_uint_eq(driver_request(b.q, NULL, 0, &in, 1), 50);
	saved = capture(f);
	driver_add(b.q, NULL, 0, &in, 1);
	driver_notify(b.q);
	world_wait(b.w, needs_reset, b.d);
	for (u32 i = 0; i < 10; i++) {
		driver_add(b.q, NULL, 0, &in, 1);
		driver_notify(b.q);
		world_pass(b.w, 2);
	}
	release(f, saved, said, sizeof(said));
	ck_assert(!driver_used(b.q, &head, &n));
	first = strstr(said, "rng: getrandom: Function not implemented");
	ck_assert_msg(first, "%s", said);
	ck_assert_msg(!strstr(first + 1, "rng: "), "%s", said);

	host.err = 0;
	driver_reset(b.d);
	driver_bind(b.d, ~0ull, 1, 64);
	ck_assert_uint_eq(driver_request(b.q, NULL, 0, &in, 1), 100);
	bench_fini(&b);
}
END_TEST

START_TEST(a_broken_queue)
{
	struct bench b;
	struct buffer bad = { 0x1000, 64 };

	bench_init(&b, false, ~0ull);
	driver_add(b.q, NULL, 0, &bad, 1);
	driver_kick(b.q);
	world_wait(b.w, needs_reset, b.d);
	ck_assert_uint_eq(virtio_faults(vrng_virtio(b.r)), 1);
	ck_assert_uint_eq(host.calls, 0);
	bench_fini(&b);
}
END_TEST

UNIT_MAIN("vrng", identity, lengths, all_values, pieces, a_greedy_driver,
	  nothing_after_a_reset, a_host_that_gives_little, a_host_that_fails,
	  a_broken_queue)
