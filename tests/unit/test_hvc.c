/*
 * hvc0 all the way: a driver, the virtio console, the console, and pipes.
 */
#include "unit.h"

#include "fakes/driver.h"

#include <belfry/console.h>
#include <belfry/vcon.h>

#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define RX     0
#define TX     1
#define BUFFER 64

struct bench {
	struct world *w;
	struct console *console;
	struct vcon *hvc;
	struct driver *d;
	int in, out; /* our ends of the console's pipes */
	int its_in, its_out;
	u32 drained;
	bool reset;
	gpa_t buffers[16]; /* for input */
};

/* The UART, which has nothing to say here. */
static void uart_tx_ready(void *dev)
{
	(void)dev;
}

static size_t uart_receive(void *dev, const u8 *buf, size_t len)
{
	(void)dev;
	(void)buf;
	ck_assert_msg(len == 0, "input for the UART");
	return 0;
}

static void on_event(void *ctx, enum console_event event)
{
	struct bench *b = ctx;

	ck_assert_int_eq(event, CONSOLE_DRAINED);
	b->drained++;
}

static void bench_init(struct bench *b)
{
	const struct chars_port uart = { .tx_ready = uart_tx_ready,
					 .receive = uart_receive };
	struct err e = { 0 };
	int in[2], out[2];

	*b = (struct bench) { .w = world_create(false) };
	ck_assert_int_eq(pipe(in), 0);
	ck_assert_int_eq(pipe(out), 0);
	ck_assert_int_eq(fcntl(out[0], F_SETFL, O_NONBLOCK), 0);
	b->its_in = in[0];
	b->in = in[1];
	b->out = out[0];
	b->its_out = out[1];
	b->console = console_create(
		&(struct console_setup) { .loop = b->w->caps.loop,
					  .in = b->its_in,
					  .out = b->its_out,
					  .file = -1,
					  .hvc = HVC_STDIO,
					  .event = on_event,
					  .ctx = b },
		&e);
	ck_assert_msg(b->console, "%s", e.msg);
	b->hvc = vcon_create(&(struct vcon_setup) { .name = "hvc",
						    .wire = console_hvc_wire(
							    b->console),
						    .caps = b->w->caps },
			     &e);
	ck_assert_msg(b->hvc, "%s", e.msg);
	console_hvc_start(b->console, vcon_port(b->hvc));
	console_start(b->console, uart);
	b->d = driver_create(b->w, vcon_virtio(b->hvc));
}

static void bench_fini(struct bench *b)
{
	world_end(b->w);
	vcon_destroy(b->hvc);
	console_destroy(b->console);
	driver_destroy(b->d);
	world_destroy(b->w);
	close(b->in);
	close(b->out);
	close(b->its_in);
	close(b->its_out);
}

/* As a driver opens it: buffers for input first. */
static void bench_bind(struct bench *b)
{
	driver_bind(b->d, ~0ull, 2, 16);
	for (u32 i = 0; i < 16; i++) {
		struct buffer in = { world_alloc(b->w, BUFFER), BUFFER };

		b->buffers[driver_add(&b->d->queues[RX], NULL, 0, &in, 1)] =
			in.addr;
	}
	driver_kick(&b->d->queues[RX]);
}

/* What the driver has received, its buffers posted anew. */
static size_t take_input(struct bench *b, u8 *to)
{
	struct driver_queue *q = &b->d->queues[RX];
	size_t done = 0;
	u32 written;
	u16 head;

	while (driver_used(q, &head, &written)) {
		struct buffer in = { b->buffers[head], BUFFER };

		world_get(b->w, in.addr, to + done, written);
		done += written;
		b->buffers[driver_add(q, NULL, 0, &in, 1)] = in.addr;
	}
	driver_kick(q);
	return done;
}

static void check_read(struct bench *b, const char *text)
{
	char got[256] = "";

	world_pass(b->w, 50);
	ck_assert_int_gt(read(b->out, got, sizeof(got) - 1), 0);
	ck_assert_str_eq(got, text);
}

static void offer(struct bench *b, const char *text)
{
	struct buffer out = { world_alloc(b->w, strlen(text)),
			      (u32)strlen(text) };

	world_put(b->w, out.addr, text, out.len);
	driver_add(&b->d->queues[TX], &out, 1, NULL, 0);
}

START_TEST(much_both_ways)
{
	static u8 sent[100000], got[100000], typed[20000], taken[20000];
	struct bench b;
	struct buffer out;
	size_t got_len = 0, taken_len = 0, typed_len = 0;
	u32 offered = 0, back;
	u16 head;

	bench_init(&b);
	ck_assert_int_eq(getrandom(sent, sizeof(sent), 0), sizeof(sent));
	ck_assert_int_eq(getrandom(typed, sizeof(typed), 0), sizeof(typed));
	for (size_t i = 0; i < sizeof(typed); i++)
		typed[i] |= 2; /* no Ctrl-A */
	out.addr = world_alloc(b.w, sizeof(sent));
	world_put(b.w, out.addr, sent, sizeof(sent));
	bench_bind(&b);
	while (got_len < sizeof(got) || taken_len < sizeof(taken)) {
		struct driver_queue *q = &b.d->queues[TX];
		ssize_t n;

		while (driver_used(q, &head, &back))
			continue;
		while (q->free && offered < sizeof(sent)) {
			out.len = MIN((u32)sizeof(sent) - offered, 777u);
			driver_add(q, &out, 1, NULL, 0);
			out.addr += out.len;
			offered += out.len;
		}
		driver_kick(q);
		if (typed_len < sizeof(typed)) {
			n = write(b.in, typed + typed_len, 1000);
			typed_len += n > 0 ? (size_t)n : 0;
		}
		world_pass(b.w, 1);
		n = read(b.out, got + got_len, sizeof(got) - got_len);
		got_len += n > 0 ? (size_t)n : 0;
		taken_len += take_input(&b, taken + taken_len);
	}
	ck_assert_mem_eq(got, sent, sizeof(sent));
	ck_assert_mem_eq(taken, typed, sizeof(typed));
	bench_fini(&b);
}
END_TEST

static void on_reset(void *ctx)
{
	((struct bench *)ctx)->reset = true;
}

/* What the last boot offered and did not even tell of is written; what was
 * typed since is the next one's. */
START_TEST(from_boot_to_boot)
{
	struct bench b;
	u8 got[64];

	bench_init(&b);
	ck_assert_int_eq(write(b.in, "root\n", 5), 5);
	world_pass(b.w, 20);
	bench_bind(&b);
	offer(&b, "login: ");
	driver_kick(&b.d->queues[TX]);
	check_read(&b, "login: ");
	world_pass(b.w, 100);
	ck_assert_uint_eq(take_input(&b, got), 5);
	ck_assert_mem_eq(got, "root\n", 5);

	offer(&b, "reboot: ");
	offer(&b, "Restarting system\n");
	console_drain(b.console);
	check_read(&b, "reboot: Restarting system\n");
	ck_assert_uint_eq(b.drained, 1);
	virtio_reset(vcon_virtio(b.hvc), on_reset, &b);
	world_pass(b.w, 5);
	ck_assert(b.reset);
	console_restart(b.console);
	b.w->no_memory = true;
	ck_assert_int_eq(write(b.in, "again\n", 6), 6);
	world_pass(b.w, 100);
	b.w->no_memory = false;

	bench_bind(&b);
	world_pass(b.w, 100);
	ck_assert_uint_eq(take_input(&b, got), 6);
	ck_assert_mem_eq(got, "again\n", 6);
	offer(&b, "login: ");
	driver_kick(&b.d->queues[TX]);
	check_read(&b, "login: ");
	bench_fini(&b);
}
END_TEST

UNIT_MAIN("hvc", much_both_ways, from_boot_to_boot)
