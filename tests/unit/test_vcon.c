/*
 * The virtio console between a driver and a wire that takes as much as the
 * test lets it: nothing lost, nothing twice, nobody told in vain.
 */
#include "unit.h"

#include "fakes/driver.h"

#include <belfry/vcon.h>

#include <string.h>

/* VIRTIO 1.2, 5.3.2 to 5.3.4. */
#define RX            0
#define TX            1
#define F_SIZE        BIT(0)
#define F_MULTIPORT   BIT(1)
#define F_EMERG_WRITE BIT(2)
#define COLS          0
#define ROWS          2
#define EMERG_WR      8

#define OUT_MAX       (256 * KIB)
#define ENDLESS       (~(size_t)0)

struct bench {
	struct world *w;
	struct vcon *c;
	struct driver *d;
	struct driver_queue *rx, *tx;
	struct chars_port port;
	u8 out[OUT_MAX]; /* what the wire took */
	size_t out_len;
	size_t room; /* how much more it takes */
	u32 sends, readies;
};

static size_t wire_send(void *ctx, const u8 *buf, size_t len)
{
	struct bench *b = ctx;
	size_t n = MIN(len, b->room);

	ck_assert_uint_gt(len, 0);
	ck_assert_uint_le(b->out_len + n, OUT_MAX);
	memcpy(b->out + b->out_len, buf, n);
	b->out_len += n;
	if (b->room != ENDLESS)
		b->room -= n;
	b->sends++;
	return n;
}

static void wire_ready(void *ctx)
{
	((struct bench *)ctx)->readies++;
}

/* A console that has no driver yet. */
static struct bench *bench_init(bool scattered)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct vcon_setup s = { .name = "hvc",
				.wire = { wire_send, wire_ready, b } };
	struct err e = { 0 };

	ck_assert_ptr_nonnull(b);
	b->room = ENDLESS;
	b->w = world_create(scattered);
	s.caps = b->w->caps;
	b->c = vcon_create(&s, &e);
	ck_assert_msg(b->c, "%s", e.msg);
	b->port = vcon_port(b->c);
	b->d = driver_create(b->w, vcon_virtio(b->c));
	return b;
}

static void bench_bind(struct bench *b, u64 features)
{
	driver_bind(b->d, features, 2, 64);
	b->rx = &b->d->queues[RX];
	b->tx = &b->d->queues[TX];
}

static struct bench *bench_bound(void)
{
	struct bench *b = bench_init(false);

	bench_bind(b, ~0ull);
	return b;
}

static void bench_fini(struct bench *b)
{
	world_end(b->w);
	vcon_destroy(b->c);
	driver_destroy(b->d);
	world_destroy(b->w);
	free(b);
}

static struct buffer text_buffer(struct bench *b, const char *text)
{
	u32 len = (u32)strlen(text);
	struct buffer buf = { world_alloc(b->w, len), len };

	world_put(b->w, buf.addr, text, len);
	return buf;
}

/* Offer text in the transmit queue. */
static void offer(struct bench *b, const char *text)
{
	struct buffer buf = text_buffer(b, text);

	driver_add(b->tx, &buf, 1, NULL, 0);
}

static void check_out(struct bench *b, const char *text)
{
	ck_assert_uint_eq(b->out_len, strlen(text));
	ck_assert_mem_eq(b->out, text, b->out_len);
}

/* Chains that came back from a queue. */
static u32 count_used(struct driver_queue *q)
{
	u32 n = 0, written;
	u16 head;

	for (; driver_used(q, &head, &written); n++)
		if (q->index == TX)
			ck_assert_uint_eq(written, 0);
	return n;
}

static bool needs_reset(void *ctx)
{
	return driver_status(ctx) & DEVICE_NEEDS_RESET;
}

START_TEST(identity)
{
	struct bench *b = bench_init(false);

	ck_assert_uint_eq(driver_pci_read(b->d, 0, 4), 0x10431af4);
	ck_assert_uint_eq(driver_read(b->d, NUM_QUEUES, 2), 2);
	ck_assert(driver_negotiate(b->d, ~0ull));
	ck_assert_uint_eq(b->d->offered & GENMASK(23, 0),
			  F_SIZE | F_EMERG_WRITE);
	ck_assert_uint_eq(b->d->part[DEVICE_CFG].len, 12);
	bench_fini(b);
}
END_TEST

/* --- output --- */

static void check_output(bool scattered, u64 features, bool indirect)
{
	static const u32 lengths[] = { 1,   2,   15,   16,   255,
				       256, 257, 4096, 9000, 20000 };
	struct bench *b = bench_init(scattered);
	size_t at = 0;

	bench_bind(b, features);
	b->tx->indirect = indirect;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		u32 half = lengths[i] / 2, rest = lengths[i] - half;
		struct buffer buf[2] = { { world_alloc(b->w, half), half },
					 { world_alloc(b->w, rest), rest } };
		u8 *text = malloc(lengths[i]);

		ck_assert_ptr_nonnull(text);
		for (u32 k = 0; k < lengths[i]; k++)
			text[k] = (u8)(k * 7 + k / 256 + i);
		world_put(b->w, buf[0].addr, text, half);
		world_put(b->w, buf[1].addr, text + half, rest);
		ck_assert_uint_eq(driver_request(b->tx, buf, 2, NULL, 0), 0);
		ck_assert_uint_eq(b->out_len, at + lengths[i]);
		ck_assert_mem_eq(b->out + at, text, lengths[i]);
		at = b->out_len;
		free(text);
	}
	bench_fini(b);
}

START_TEST(output)
{
	check_output(false, ~0ull, false);
	check_output(false, ~VIRTIO_F_EVENT_IDX, false);
	check_output(false, ~0ull, true);
	check_output(true, ~0ull, false);
}
END_TEST

/* What the wire does not take stays where it is. */
START_TEST(output_waits_for_the_wire)
{
	struct bench *b = bench_bound();

	b->room = 5;
	offer(b, "one ");
	offer(b, "two ");
	offer(b, "three");
	driver_kick(b->tx);
	world_pass(b->w, 5);
	check_out(b, "one t");
	ck_assert_uint_eq(count_used(b->tx), 1);

	b->room = 2;
	b->port.tx_ready(b->port.dev);
	check_out(b, "one two");
	ck_assert_uint_eq(count_used(b->tx), 0);

	b->room = 1;
	b->port.tx_ready(b->port.dev);
	check_out(b, "one two ");
	ck_assert_uint_eq(count_used(b->tx), 1);

	/* Another notification while it waits changes nothing. */
	offer(b, "!");
	driver_notify(b->tx);
	world_pass(b->w, 5);
	check_out(b, "one two ");

	b->room = ENDLESS;
	b->port.tx_ready(b->port.dev);
	check_out(b, "one two three!");
	ck_assert_uint_eq(count_used(b->tx), 2);

	/* It listens again. */
	offer(b, "?");
	ck_assert(driver_kick(b->tx));
	world_pass(b->w, 5);
	check_out(b, "one two three!?");
	bench_fini(b);
}
END_TEST

/* Chains of any shape, a wire of any width: one stream. */
static void check_stream(bool scattered, u64 features)
{
	struct bench *b = bench_init(scattered);
	u32 x = 1, offered = 0;
	u8 *text = malloc(OUT_MAX);
	gpa_t at = world_alloc(b->w, OUT_MAX);

	ck_assert_ptr_nonnull(text);
	for (u32 i = 0; i < OUT_MAX; i++) {
		x = x * 1664525 + 1013904223;
		text[i] = (u8)(x >> 24);
	}
	world_put(b->w, at, text, OUT_MAX);
	bench_bind(b, features);
	b->room = 0;
	while (b->out_len < OUT_MAX) {
		struct buffer buf[3];
		u32 nr = 0;

		x = x * 1664525 + 1013904223;
		for (; b->tx->free >= 3 && nr < 3 && offered < OUT_MAX; nr++) {
			u32 len = MIN((x >> (8 * nr)) % 700 + 1,
				      (u32)OUT_MAX - offered);

			buf[nr] = (struct buffer) { at + offered, len };
			offered += len;
		}
		if (nr)
			driver_add(b->tx, buf, nr, NULL, 0);
		if (x & BIT(20))
			driver_kick(b->tx);
		if ((x & GENMASK(25, 21)) == 0)
			world_pass(b->w, 1);
		b->room = (x >> 22) % 1000;
		b->port.tx_ready(b->port.dev);
		count_used(b->tx);
	}
	ck_assert_mem_eq(b->out, text, OUT_MAX);
	b->room = ENDLESS;
	b->port.tx_ready(b->port.dev);
	ck_assert_uint_eq(b->out_len, OUT_MAX);
	count_used(b->tx);
	ck_assert_uint_eq(b->tx->free, b->tx->size);
	free(text);
	bench_fini(b);
}

START_TEST(output_is_one_stream)
{
	check_stream(false, ~0ull);
	check_stream(false, ~VIRTIO_F_EVENT_IDX);
	check_stream(true, ~0ull);
}
END_TEST

/* A driver's mistakes that hurt nobody: nothing to send, something to fill. */
START_TEST(odd_output)
{
	struct bench *b = bench_bound();
	struct buffer in = { world_alloc(b->w, 64), 64 };
	struct buffer none = { in.addr, 0 };
	struct buffer out = text_buffer(b, "x");
	u8 got[64], zero[64] = { 0 };

	ck_assert_uint_eq(driver_request(b->tx, &none, 1, NULL, 0), 0);
	ck_assert_uint_eq(driver_request(b->tx, &out, 1, &in, 1), 0);
	ck_assert_uint_eq(driver_request(b->tx, NULL, 0, &in, 1), 0);
	for (u32 i = 0; i < 64; i++)
		driver_add(b->tx, &none, 1, NULL, 0);
	driver_kick(b->tx);
	world_pass(b->w, 5);
	ck_assert_uint_eq(count_used(b->tx), 64);
	world_get(b->w, in.addr, got, sizeof(got));
	ck_assert_mem_eq(got, zero, sizeof(got));
	check_out(b, "x");
	bench_fini(b);
}
END_TEST

START_TEST(a_broken_queue)
{
	struct bench *b = bench_bound();
	struct buffer bad = { 0x1000, 64 };

	offer(b, "before");
	driver_add(b->tx, &bad, 1, NULL, 0);
	offer(b, "after");
	driver_kick(b->tx);
	world_wait(b->w, needs_reset, b->d);
	check_out(b, "before");
	ck_assert_uint_eq(b->port.receive(b->port.dev, (const u8 *)"x", 1), 0);
	b->port.tx_ready(b->port.dev);
	check_out(b, "before");
	bench_fini(b);
}
END_TEST

/* --- input --- */

static size_t give(struct bench *b, const char *text)
{
	return b->port.receive(b->port.dev, (const u8 *)text, strlen(text));
}

/* Post a buffer for input; its address. */
static gpa_t post(struct bench *b, u32 len)
{
	struct buffer buf = { world_alloc(b->w, len), len };

	driver_add(b->rx, NULL, 0, &buf, 1);
	return buf.addr;
}

/* The next buffer with input has this in it. */
static void check_in(struct bench *b, gpa_t at, const char *text)
{
	char got[64] = "";
	u32 written;
	u16 head;

	ck_assert(driver_used(b->rx, &head, &written));
	ck_assert_uint_eq(written, strlen(text));
	world_get(b->w, at, got, written);
	ck_assert_mem_eq(got, text, written);
}

START_TEST(input)
{
	struct bench *b = bench_bound();
	gpa_t at[3] = { post(b, 10), post(b, 4), post(b, 4) };
	u32 before;

	driver_kick(b->rx);
	world_pass(b->w, 5);
	before = driver_messages(b->d, 1 + RX);
	ck_assert_uint_eq(give(b, "hello"), 5);
	ck_assert_uint_eq(driver_messages(b->d, 1 + RX), before + 1);
	check_in(b, at[0], "hello");
	ck_assert_uint_eq(give(b, "abcdefgh"), 8);
	check_in(b, at[1], "abcd");
	check_in(b, at[2], "efgh");
	/* Nobody was kept waiting, and nobody is told. */
	post(b, 4);
	driver_notify(b->rx);
	world_pass(b->w, 5);
	ck_assert_uint_eq(b->readies, 0);
	ck_assert_uint_eq(b->port.receive(b->port.dev, NULL, 0), 0);
	driver_notify(b->rx);
	world_pass(b->w, 5);
	ck_assert_uint_eq(b->readies, 0);
	bench_fini(b);
}
END_TEST

static void check_input_waits(u64 features)
{
	struct bench *b = bench_init(false);
	gpa_t at[2];

	bench_bind(b, features);
	at[0] = post(b, 4);
	driver_kick(b->rx);
	world_pass(b->w, 5);
	ck_assert_uint_eq(give(b, "abcdef"), 4);
	check_in(b, at[0], "abcd");
	ck_assert_uint_eq(give(b, "ef"), 0);
	ck_assert_uint_eq(b->readies, 0);
	at[0] = post(b, 1);
	ck_assert(driver_kick(b->rx));
	world_pass(b->w, 5);
	driver_notify(b->rx);
	world_pass(b->w, 5);
	ck_assert_uint_eq(b->readies, 1);
	ck_assert_uint_eq(give(b, "ef"), 1);
	check_in(b, at[0], "e");
	at[0] = post(b, 1);
	at[1] = post(b, 1);
	driver_kick(b->rx);
	world_pass(b->w, 5);
	ck_assert_uint_eq(b->readies, 2);
	ck_assert_uint_eq(give(b, "f"), 1);
	check_in(b, at[0], "f");
	ck_assert_uint_eq(give(b, "g"), 1);
	check_in(b, at[1], "g");
	bench_fini(b);
}

START_TEST(input_waits_for_buffers)
{
	check_input_waits(~0ull);
	check_input_waits(~VIRTIO_F_EVENT_IDX);
}
END_TEST

START_TEST(input_waits_for_a_driver)
{
	struct bench *b = bench_init(false);
	gpa_t at;

	ck_assert_uint_eq(give(b, "hello"), 0);
	world_pass(b->w, 5);
	ck_assert_uint_eq(b->readies, 0);
	ck_assert(driver_negotiate(b->d, ~0ull));
	b->rx = driver_queue_setup(b->d, RX, 16, 1);
	at = post(b, 16);
	driver_start(b->d);
	world_pass(b->w, 5);
	ck_assert_uint_eq(b->readies, 1);
	ck_assert_uint_eq(give(b, "hello"), 5);
	check_in(b, at, "hello");
	/* It has no transmit queue, which is its own affair. */
	b->port.tx_ready(b->port.dev);
	bench_fini(b);
}
END_TEST

START_TEST(a_buffer_without_room)
{
	struct bench *b = bench_bound();
	struct buffer out = text_buffer(b, "x");

	driver_add(b->rx, &out, 1, NULL, 0);
	driver_kick(b->rx);
	world_pass(b->w, 5);
	ck_assert_uint_eq(give(b, "hello"), 0);
	ck_assert(needs_reset(b->d));
	ck_assert_uint_eq(virtio_faults(vcon_virtio(b->c)), 1);
	bench_fini(b);
}
END_TEST

/* --- reset --- */

START_TEST(a_reset_in_between)
{
	struct bench *b = bench_bound();
	gpa_t at;

	b->room = 3;
	offer(b, "lost: never sent");
	driver_kick(b->tx);
	world_pass(b->w, 5);
	check_out(b, "los");
	ck_assert_uint_eq(give(b, "held"), 0);
	driver_reset(b->d);
	b->w->no_memory = true;
	b->room = ENDLESS;
	b->port.tx_ready(b->port.dev);
	ck_assert_uint_eq(give(b, "held"), 0);
	world_pass(b->w, 5);
	b->w->no_memory = false;

	bench_bind(b, ~0ull);
	offer(b, "t and found");
	driver_kick(b->tx);
	at = post(b, 8);
	driver_kick(b->rx);
	world_pass(b->w, 5);
	check_out(b, "lost and found");
	ck_assert_uint_ge(b->readies, 1);
	ck_assert_uint_eq(give(b, "held"), 4);
	check_in(b, at, "held");
	bench_fini(b);
}
END_TEST

/* --- size and emergency --- */

static void check_size(struct bench *b, u16 columns, u16 rows)
{
	u16 got[2];

	driver_config(b->d, COLS, got, sizeof(got));
	ck_assert_uint_eq(le16toh(got[0]), columns);
	ck_assert_uint_eq(le16toh(got[1]), rows);
}

START_TEST(the_size_of_the_terminal)
{
	struct bench *b = bench_init(false);
	u64 generation;

	check_size(b, 0, 0);
	b->port.resize(b->port.dev, 80, 25);
	check_size(b, 80, 25);
	bench_bind(b, ~0ull);
	world_pass(b->w, 5);
	ck_assert_uint_eq(driver_messages(b->d, 0), 0);
	generation = driver_read(b->d, CONFIG_GENERATION, 1);
	b->port.resize(b->port.dev, 0x1234, 0x5678);
	ck_assert_uint_eq(driver_messages(b->d, 0), 1);
	ck_assert_uint_ne(driver_read(b->d, CONFIG_GENERATION, 1), generation);
	check_size(b, 0x1234, 0x5678);
	/* Nothing but the emergency write is the driver's. */
	world_write(b->w, driver_at(b->d, DEVICE_CFG, COLS), 4, 0);
	check_size(b, 0x1234, 0x5678);
	bench_fini(b);
}
END_TEST

static void emergency(struct bench *b, u32 off, u32 size, u64 val)
{
	world_write(b->w, driver_at(b->d, DEVICE_CFG, off), size, val);
}

START_TEST(emergency_writes)
{
	struct bench *b = bench_init(false);

	emergency(b, EMERG_WR, 4, 'a');
	emergency(b, EMERG_WR, 1, 'b');
	emergency(b, EMERG_WR, 2, 0x6163);
	emergency(b, EMERG_WR, 4, 0xdeadbe64);
	check_out(b, "abcd");
	/* Beside it, and beyond. */
	emergency(b, EMERG_WR + 1, 1, 'x');
	emergency(b, EMERG_WR + 2, 2, 'x');
	emergency(b, EMERG_WR - 4, 4, 'x');
	emergency(b, EMERG_WR, 8, 'x');
	emergency(b, EMERG_WR + 4, 4, 'x');
	check_out(b, "abcd");

	/* Past a queue that is stuck. */
	bench_bind(b, 0 | VIRTIO_F_VERSION_1);
	b->room = 2;
	offer(b, "12345");
	driver_kick(b->tx);
	world_pass(b->w, 5);
	emergency(b, EMERG_WR, 4, '!');
	check_out(b, "abcd12");
	b->room = 1;
	emergency(b, EMERG_WR, 4, '?');
	b->room = ENDLESS;
	b->port.tx_ready(b->port.dev);
	check_out(b, "abcd12?345");
	bench_fini(b);
}
END_TEST

UNIT_MAIN("vcon", identity, output, output_waits_for_the_wire,
	  output_is_one_stream, odd_output, a_broken_queue, input,
	  input_waits_for_buffers, input_waits_for_a_driver,
	  a_buffer_without_room, a_reset_in_between, the_size_of_the_terminal,
	  emergency_writes)
