/*
 * The console between a real UART, driven by a guest that is a thread, perhaps
 * a second device, and pipes or terminals: nothing lost, nothing out of order,
 * nobody kept waiting for nothing.
 */
#include "unit.h"

#include <belfry/console.h>
#include <belfry/lock.h>
#include <belfry/pl011.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

/* Arm DDI 0183G, 3.2 and 3.3. */
#define DR    0x00
#define FR    0x18
#define CR    0x30
#define DR_BE BIT(10)
#define RXFE  BIT(4)
#define TXFF  BIT(5)

#define MS    1000000ull

/* hvc0, as far as the console knows it: a port of the loop's thread. */
struct hvc {
	struct chars_wire wire;
	const u8 *says; /* what it sends, as it is asked for more */
	size_t len, said;
	bool endless; /* and begins afresh then */
	u8 *got;      /* @room bytes: what it takes */
	size_t room, got_len;
	bool starved;
	u16 columns, rows;
	u32 resizes;
};

struct bench {
	struct loop *loop;
	struct console *console;
	struct pl011 *uart;
	int in, out;         /* our ends of its pipes; -1: none */
	int its_in, its_out; /* its ends */
	int events[CONSOLE_DRAINED + 1];
	bool stop_at_event; /* the first one; else at CONSOLE_DRAINED */
	bool drain_at_event;
	struct hvc hvc;

	/* The guest. */
	void (*guest)(struct bench *b);
	pthread_t thread;
	struct loop_event off; /* it has ended */
	atomic_bool quit;
	u8 *data;
	size_t len;
	atomic_size_t done; /* of data, written or read */
	atomic_int full;    /* times the UART had no room */
};

static void pause_ns(u64 ns)
{
	nanosleep(&(struct timespec) { .tv_nsec = (long)ns }, NULL);
}

static void no_irq(void *ctx, u32 intid, bool level)
{
	(void)ctx;
	(void)intid;
	(void)level;
}

static void on_event(void *ctx, enum console_event event)
{
	struct bench *b = ctx;

	b->events[event]++;
	if (event == CONSOLE_DRAINED || b->stop_at_event)
		loop_stop(b->loop);
	else if (b->drain_at_event)
		console_drain(b->console);
}

static void on_guest_off(void *ctx)
{
	struct bench *b = ctx;

	console_drain(b->console);
}

enum {
	NO_IN = 1,
	NO_OUT = 2,
};

/* --- hvc0 --- */

/* Sixteen at a time, as Linux does. */
static void hvc_tx_ready(void *dev)
{
	struct hvc *h = dev;
	size_t len, n;

	do {
		len = MIN(h->len - h->said, (size_t)16);
		n = len ? h->wire.send(h->wire.ctx, h->says + h->said, len) : 0;
		h->said += n;
		if (h->endless && h->said == h->len)
			h->said = 0;
	} while (len && n == len);
}

static size_t hvc_receive(void *dev, const u8 *buf, size_t len)
{
	struct hvc *h = dev;
	size_t n = MIN(len, h->room - h->got_len);

	if (n)
		memcpy(h->got + h->got_len, buf, n);
	h->got_len += n;
	h->starved = n < len;
	return n;
}

static void hvc_resize(void *dev, u16 columns, u16 rows)
{
	struct hvc *h = dev;

	h->columns = columns;
	h->rows = rows;
	h->resizes++;
}

static void hvc_says(struct bench *b, const void *bytes, size_t len)
{
	b->hvc.says = bytes;
	b->hvc.len = len;
	b->hvc.said = 0;
	hvc_tx_ready(&b->hvc);
}

static void hvc_text(struct bench *b, const char *text)
{
	hvc_says(b, text, strlen(text));
}

/* It takes up to @room bytes from now on. */
static void hvc_takes(struct bench *b, u8 *got, size_t room)
{
	b->hvc.got = got;
	b->hvc.room = room;
	b->hvc.got_len = 0;
	if (b->hvc.starved)
		b->hvc.wire.receive_ready(b->hvc.wire.ctx);
}

static void bench_start(struct bench *b)
{
	const struct chars_port port = { .tx_ready = hvc_tx_ready,
					 .receive = hvc_receive,
					 .resize = hvc_resize,
					 .dev = &b->hvc };

	if (b->hvc.wire.send)
		console_hvc_start(b->console, port);
	console_start(b->console, pl011_port(b->uart));
}

static struct bench *bench_init_hvc(int without, int file, const char *expect,
				    enum config_hvc hvc)
{
	struct bench *b = calloc(1, sizeof(*b));
	const struct irq_line irq = { .set = no_irq };
	struct chars_wire wire;
	struct err e = { 0 };
	int in[2] = { -1, -1 }, out[2] = { -1, -1 };

	ck_assert_ptr_nonnull(b);
	signal(SIGPIPE, SIG_IGN);
	b->loop = loop_create(&e);
	ck_assert_msg(b->loop, "%s", e.msg);
	if (!(without & NO_IN))
		ck_assert_int_eq(pipe(in), 0);
	/* A small pipe is soon full. */
	if (!(without & NO_OUT)) {
		ck_assert_int_eq(pipe(out), 0);
		ck_assert_int_gt(fcntl(out[0], F_SETPIPE_SZ, 4096), 0);
	}
	b->its_in = in[0];
	b->in = in[1];
	b->out = out[0];
	b->its_out = out[1];
	b->console = console_create(&(struct console_setup) { .loop = b->loop,
							      .in = b->its_in,
							      .out = b->its_out,
							      .file = file,
							      .expect = expect,
							      .hvc = hvc,
							      .event = on_event,
							      .ctx = b },
				    &e);
	ck_assert_msg(b->console, "%s", e.msg);
	wire = console_wire(b->console);
	b->uart = pl011_create(&irq, &wire);
	ck_assert_ptr_nonnull(b->uart);
	ck_assert_int_eq(loop_event_init(&b->off, b->loop, on_guest_off, b, &e),
			 0);
	/* UARTEN, TXE, RXE: a driver has opened it. */
	pl011_mmio.write(b->uart, CR, 4, 0x301);
	if (hvc != HVC_OFF)
		b->hvc.wire = console_hvc_wire(b->console);
	return b;
}

static struct bench *bench_init(int without, int file, const char *expect)
{
	return bench_init_hvc(without, file, expect, HVC_OFF);
}

static void *guest_main(void *arg)
{
	struct bench *b = arg;

	b->guest(b);
	loop_event_fire(&b->off);
	return NULL;
}

/* Run until drained, with @guest, if any, on a thread of its own. */
static void bench_run(struct bench *b, void (*guest)(struct bench *b))
{
	struct err e = { 0 };

	b->guest = guest;
	bench_start(b);
	if (guest)
		ck_assert_int_eq(pthread_create(&b->thread, NULL, guest_main,
						b),
				 0);
	ck_assert_msg(!loop_run(b->loop, &e), "%s", e.msg);
	if (guest)
		pthread_join(b->thread, NULL);
}

static void close_if(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void bench_fini(struct bench *b)
{
	loop_event_fini(&b->off);
	loop_destroy(b->loop);
	pl011_destroy(b->uart);
	console_destroy(b->console);
	close_if(&b->in);
	close_if(&b->out);
	close_if(&b->its_in);
	close_if(&b->its_out);
	free(b->data);
	free(b);
}

/* Bytes that repeat nowhere near: what is lost or moved shows. */
static void fill(struct bench *b, size_t len)
{
	u32 x = 12345;

	b->len = len;
	b->data = malloc(len);
	ck_assert_ptr_nonnull(b->data);
	for (size_t i = 0; i < len; i++) {
		x = x * 1664525 + 1013904223;
		b->data[i] = (u8)(x >> 24);
	}
}

/* --- guests --- */

/* As Linux' console does: wait for room, write a character. */
static void send_byte(struct bench *b, u8 byte)
{
	while (pl011_mmio.read(b->uart, FR, 4) & TXFF) {
		b->full++;
		pause_ns(10000);
	}
	pl011_mmio.write(b->uart, DR, 4, byte);
	b->done++;
}

static void guest_writes(struct bench *b)
{
	for (size_t i = 0; i < b->len; i++)
		send_byte(b, b->data[i]);
}

/* Bursts of 1 to 256 bytes, with time between some of them to be written. */
static void guest_writes_bursts(struct bench *b)
{
	u32 x = 1;

	for (size_t i = 0, burst; i < b->len; i += burst) {
		x = x * 1664525 + 1013904223;
		burst = MIN((size_t)(x >> 24) + 1, b->len - i);
		for (size_t j = 0; j < burst; j++)
			send_byte(b, b->data[i + j]);
		if (x >> 8 & 1)
			pause_ns(x >> 12);
	}
}

static void guest_says(struct bench *b, const char *text)
{
	for (const char *c = text; *c; c++)
		send_byte(b, (u8)*c);
}

/* Reads b->len bytes into b->data, one now and then. */
static void guest_reads(struct bench *b)
{
	while (b->done < b->len && !b->quit) {
		if (pl011_mmio.read(b->uart, FR, 4) & RXFE) {
			pause_ns(20000);
			continue;
		}
		b->data[b->done] = (u8)pl011_mmio.read(b->uart, DR, 4);
		b->done++;
	}
}

/* --- readers and writers at the other end --- */

struct reader {
	int fd;
	size_t at_once; /* bytes a read */
	u64 between;    /* nanoseconds */
	u8 *got;
	size_t len;
	size_t reads;
	pthread_t thread;
};

static void *reader_main(void *arg)
{
	struct reader *r = arg;
	ssize_t n;

	for (;;) {
		r->got = realloc(r->got, r->len + r->at_once + 1);
		n = read(r->fd, r->got + r->len, r->at_once);
		if (n <= 0)
			return NULL;
		r->len += (size_t)n;
		r->reads++;
		if (r->between)
			pause_ns(r->between);
	}
}

static void reader_start(struct reader *r, int fd)
{
	r->fd = fd;
	ck_assert_int_eq(pthread_create(&r->thread, NULL, reader_main, r), 0);
}

/* After the console has written all of it; ends the console's pipe. */
static void reader_finish(struct reader *r, struct bench *b)
{
	close_if(&b->its_out);
	pthread_join(r->thread, NULL);
	r->got[r->len] = '\0';
}

static void check_got(const struct reader *r, const struct bench *b)
{
	ck_assert_uint_eq(r->len, b->len);
	ck_assert_mem_eq(r->got, b->data, b->len);
}

static u64 cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (u64)t.tv_sec * 1000000000 + (u64)t.tv_nsec;
}

static void stop_loop(struct loop_op *op, int result)
{
	(void)result;
	loop_stop(op->ctx);
}

/* Run the loop for @ns; how much of that was work. */
static u64 work_during(struct bench *b, u64 ns)
{
	struct loop_op timer = { .done = stop_loop, .ctx = b->loop };
	struct err e = { 0 };
	u64 before = cpu_ns();

	loop_timer(b->loop, &timer, ns);
	ck_assert_int_eq(loop_run(b->loop, &e), 0);
	return cpu_ns() - before;
}

/* --- output --- */

START_TEST(output_is_complete_and_in_order)
{
	struct bench *b = bench_init(0, -1, NULL);
	struct reader r = { .at_once = 3000 };
	u64 out, in;

	fill(b, 200000);
	reader_start(&r, b->out);
	bench_run(b, guest_writes_bursts);
	console_traffic(b->console, &out, &in);
	ck_assert_uint_eq(out, 200000);
	ck_assert_uint_eq(in, 0);
	reader_finish(&r, b);
	check_got(&r, b);
	free(r.got);
	bench_fini(b);
}
END_TEST

START_TEST(a_slow_reader_slows_the_guest)
{
	struct bench *b = bench_init(0, -1, NULL);
	struct reader r = { .at_once = 100, .between = MS };

	fill(b, 60000);
	reader_start(&r, b->out);
	bench_run(b, guest_writes);
	ck_assert_int_gt(b->full, 0);
	reader_finish(&r, b);
	check_got(&r, b);
	free(r.got);
	bench_fini(b);
}
END_TEST

/* Pipe, burst, ring and FIFO: what is under way when nobody reads at all. */
START_TEST(no_reader_stops_the_guest)
{
	struct bench *b = bench_init(0, -1, NULL);
	struct reader r = { .at_once = 4096 };
	struct err e = { 0 };
	size_t done;

	fill(b, 60000);
	b->guest = guest_writes;
	bench_start(b);
	ck_assert_int_eq(pthread_create(&b->thread, NULL, guest_main, b), 0);
	ck_assert_uint_lt(work_during(b, 300 * MS), 150 * MS);
	done = b->done;
	ck_assert_uint_le(done, 3 * 4096 + 32);
	ck_assert_uint_lt(work_during(b, 100 * MS), 80 * MS);
	ck_assert_uint_eq(b->done, done);

	reader_start(&r, b->out);
	ck_assert_int_eq(loop_run(b->loop, &e), 0);
	pthread_join(b->thread, NULL);
	reader_finish(&r, b);
	check_got(&r, b);
	free(r.got);
	bench_fini(b);
}
END_TEST

START_TEST(a_full_pipe_that_does_not_block)
{
	struct bench *b = bench_init(0, -1, NULL);
	struct reader r = { .at_once = 4096 };
	struct err e = { 0 };

	fill(b, 20000);
	ck_assert_int_eq(fcntl(b->its_out, F_SETFL, O_NONBLOCK), 0);
	b->guest = guest_writes;
	bench_start(b);
	ck_assert_int_eq(pthread_create(&b->thread, NULL, guest_main, b), 0);
	ck_assert_uint_lt(work_during(b, 300 * MS), 150 * MS);
	reader_start(&r, b->out);
	ck_assert_int_eq(loop_run(b->loop, &e), 0);
	pthread_join(b->thread, NULL);
	reader_finish(&r, b);
	check_got(&r, b);
	free(r.got);
	bench_fini(b);
}
END_TEST

START_TEST(a_reader_that_is_gone)
{
	struct bench *b = bench_init(0, -1, NULL);

	fill(b, 60000);
	close_if(&b->out);
	bench_run(b, guest_writes);
	ck_assert_uint_eq(b->done, b->len);
	ck_assert_int_eq(b->events[CONSOLE_DRAINED], 1);
	bench_fini(b);
}
END_TEST

START_TEST(nobody_to_write_to)
{
	struct bench *b = bench_init(NO_IN | NO_OUT, -1, NULL);

	fill(b, 60000);
	bench_run(b, guest_writes);
	ck_assert_int_eq(b->events[CONSOLE_DRAINED], 1);
	bench_fini(b);
}
END_TEST

/* A read of a pipe in packet mode is one write of the console's. */
START_TEST(a_burst_is_one_write)
{
	struct bench *b = bench_init(0, -1, NULL);
	struct reader r = { .at_once = 4096 };

	ck_assert_int_eq(fcntl(b->its_out, F_SETFL, O_DIRECT), 0);
	fill(b, 20000);
	reader_start(&r, b->out);
	bench_run(b, guest_writes);
	reader_finish(&r, b);
	check_got(&r, b);
	ck_assert_uint_lt(r.reads, b->len / 10);
	free(r.got);
	bench_fini(b);
}
END_TEST

static void guest_prompts(struct bench *b)
{
	guest_says(b, "login: ");
	while (!b->quit)
		pause_ns(MS);
}

/* A person waits for what is less than a burst. */
START_TEST(little_is_written_soon)
{
	struct bench *b = bench_init(0, -1, NULL);
	char got[16] = "";

	b->guest = guest_prompts;
	bench_start(b);
	ck_assert_int_eq(pthread_create(&b->thread, NULL, guest_main, b), 0);
	work_during(b, 300 * MS);
	ck_assert_int_eq(fcntl(b->out, F_SETFL, O_NONBLOCK), 0);
	ck_assert_int_eq(read(b->out, got, sizeof(got) - 1), 7);
	ck_assert_str_eq(got, "login: ");
	b->quit = true;
	pthread_join(b->thread, NULL);
	bench_fini(b);
}
END_TEST

/* --- the console file --- */

static void check_file(FILE *f, const struct bench *b)
{
	u8 *got = malloc(b->len + 1);

	ck_assert_ptr_nonnull(got);
	ck_assert_int_eq(pread(fileno(f), got, b->len + 1, 0), b->len);
	ck_assert_mem_eq(got, b->data, b->len);
	free(got);
}

START_TEST(a_file_and_a_reader)
{
	FILE *f = tmpfile();
	struct bench *b = bench_init(0, fileno(f), NULL);
	struct reader r = { .at_once = 777 };

	fill(b, 60000);
	reader_start(&r, b->out);
	bench_run(b, guest_writes_bursts);
	reader_finish(&r, b);
	check_got(&r, b);
	check_file(f, b);
	free(r.got);
	bench_fini(b);
	fclose(f);
}
END_TEST

START_TEST(a_file_alone)
{
	FILE *f = tmpfile();
	struct bench *b = bench_init(NO_IN | NO_OUT, fileno(f), NULL);

	fill(b, 60000);
	bench_run(b, guest_writes);
	check_file(f, b);
	bench_fini(b);
	fclose(f);
}
END_TEST

/* The reader goes in the middle of it: the file has it all. */
static void guest_outlives_reader(struct bench *b)
{
	for (size_t i = 0; i < b->len; i++) {
		if (i == b->len / 2)
			close_if(&b->out);
		send_byte(b, b->data[i]);
	}
}

START_TEST(a_file_that_outlives_the_reader)
{
	FILE *f = tmpfile();
	struct bench *b = bench_init(0, fileno(f), NULL);

	fill(b, 6000);
	bench_run(b, guest_outlives_reader);
	check_file(f, b);
	bench_fini(b);
	fclose(f);
}
END_TEST

/* Standard error, into a file, while @b runs. */
static void run_capturing(struct bench *b, void (*guest)(struct bench *b),
			  char *said, size_t size)
{
	FILE *f = tmpfile();
	int saved = dup(STDERR_FILENO);
	ssize_t n;

	dup2(fileno(f), STDERR_FILENO);
	bench_run(b, guest);
	dup2(saved, STDERR_FILENO);
	close(saved);
	n = pread(fileno(f), said, size - 1, 0);
	said[MAX(n, 0)] = '\0';
	fclose(f);
}

START_TEST(a_file_that_cannot_be_written)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct bench *b = bench_init(0, full, NULL);
	struct reader r = { .at_once = 4096 };
	char said[1024], *first;

	ck_assert_int_ge(full, 0);
	fill(b, 60000);
	reader_start(&r, b->out);
	run_capturing(b, guest_writes, said, sizeof(said));
	reader_finish(&r, b);
	check_got(&r, b);
	/* Said, and said once. */
	first = strstr(said, "console file: No space left on device");
	ck_assert_msg(first, "%s", said);
	ck_assert_msg(!strstr(first + 1, "console file"), "%s", said);
	free(r.got);
	bench_fini(b);
	close(full);
}
END_TEST

/* --- input --- */

START_TEST(input_is_paced)
{
	struct bench *b = bench_init(NO_OUT, -1, NULL);
	u8 *sent;
	u64 out, in;

	fill(b, 20000);
	/* Ctrl-A is the operator's. */
	for (size_t i = 0; i < b->len; i++)
		b->data[i] |= 2;
	sent = malloc(b->len);
	ck_assert_ptr_nonnull(sent);
	memcpy(sent, b->data, b->len);
	memset(b->data, 0, b->len);
	ck_assert_int_eq(write(b->in, sent, b->len), b->len);
	close_if(&b->in);
	bench_run(b, guest_reads);
	ck_assert_uint_eq(b->done, b->len);
	ck_assert_mem_eq(b->data, sent, b->len);
	console_traffic(b->console, &out, &in);
	ck_assert_uint_eq(in, b->len);
	free(sent);
	bench_fini(b);
}
END_TEST

/* A guest that never opens its UART for input loses none of it. */
START_TEST(input_waits_for_the_guest)
{
	struct bench *b = bench_init(NO_OUT, -1, NULL);

	fill(b, 5);
	pl011_mmio.write(b->uart, CR, 4, 0x101);
	bench_start(b);
	ck_assert_int_eq(write(b->in, "hello", 5), 5);
	work_during(b, 50 * MS);
	ck_assert(pl011_mmio.read(b->uart, FR, 4) & RXFE);
	pl011_mmio.write(b->uart, CR, 4, 0x301);
	b->guest = guest_reads;
	ck_assert_int_eq(pthread_create(&b->thread, NULL, guest_main, b), 0);
	work_during(b, 300 * MS);
	b->quit = true;
	pthread_join(b->thread, NULL);
	ck_assert_uint_eq(b->done, 5);
	ck_assert_mem_eq(b->data, "hello", 5);
	bench_fini(b);
}
END_TEST

START_TEST(the_end_of_input_costs_nothing)
{
	struct bench *b = bench_init(NO_OUT, -1, NULL);

	close_if(&b->in);
	bench_start(b);
	ck_assert_uint_lt(work_during(b, 300 * MS), 50 * MS);
	bench_fini(b);
}
END_TEST

/* Reading a directory fails at once, each time one asks. */
START_TEST(input_that_fails_costs_nothing)
{
	struct bench *b = bench_init(NO_OUT, -1, NULL);
	int dir = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ck_assert_int_eq(dup2(dir, b->its_in), b->its_in);
	close(dir);
	bench_start(b);
	ck_assert_uint_lt(work_during(b, 300 * MS), 50 * MS);
	bench_fini(b);
}
END_TEST

/* Whoever started us may have left it so, and may share it. */
static void check_nonblocking_input(struct bench *b)
{
	fill(b, 2);
	ck_assert_int_eq(fcntl(b->its_in, F_SETFL, O_NONBLOCK), 0);
	bench_start(b);
	ck_assert_uint_lt(work_during(b, 300 * MS), 50 * MS);
	ck_assert_int_eq(write(b->in, "hi", 2), 2);
	work_during(b, 50 * MS);
	guest_reads(b);
	ck_assert_mem_eq(b->data, "hi", 2);
	bench_fini(b);
}

START_TEST(a_pipe_that_does_not_block)
{
	check_nonblocking_input(bench_init(NO_OUT, -1, NULL));
}
END_TEST

/* A pseudo-terminal in the place of the pipe that input comes from. */
START_TEST(a_terminal_that_does_not_block)
{
	struct bench *b = bench_init(NO_OUT, -1, NULL);
	int master, slave;
	struct termios t;

	ck_assert_int_eq(openpty(&master, &slave, NULL, NULL, NULL), 0);
	ck_assert_int_eq(dup2(master, b->in), b->in);
	ck_assert_int_eq(dup2(slave, b->its_in), b->its_in);
	close(master);
	close(slave);
	ck_assert_int_eq(tcgetattr(b->its_in, &t), 0);
	cfmakeraw(&t);
	ck_assert_int_eq(tcsetattr(b->its_in, TCSANOW, &t), 0);
	check_nonblocking_input(b);
}
END_TEST

/* A guest that does not read is when one wants out most. */
START_TEST(escapes_past_a_deaf_guest)
{
	struct bench *b = bench_init(NO_OUT, -1, NULL);

	bench_start(b);
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(write(b->in, "q", 1), 1);
		work_during(b, MS);
	}
	ck_assert_int_eq(write(b->in, "\1x", 2), 2);
	work_during(b, 50 * MS);
	ck_assert_int_eq(b->events[CONSOLE_QUIT], 1);
	bench_fini(b);
}
END_TEST

static void guest_reads_three(struct bench *b)
{
	b->len = 3;
	guest_reads(b);
	/* What should not come has had its time. */
	pause_ns(50 * MS);
}

START_TEST(escapes)
{
	struct bench *b = bench_init(NO_OUT, -1, NULL);
	char said[1024];

	fill(b, 3);
	memset(b->data, 0, 3);
	ck_assert_int_eq(write(b->in, "a\1cb\1\1\1h\1x", 10), 10);
	run_capturing(b, guest_reads_three, said, sizeof(said));
	ck_assert_mem_eq(b->data, "ab\1", 3);
	ck_assert(pl011_mmio.read(b->uart, FR, 4) & RXFE);
	ck_assert_int_eq(b->events[CONSOLE_STATUS], 1);
	ck_assert_int_eq(b->events[CONSOLE_QUIT], 1);
	ck_assert_msg(strstr(said, "Ctrl-A x"), "%s", said);
	bench_fini(b);
}
END_TEST

START_TEST(a_break)
{
	struct bench *b = bench_init(NO_OUT, -1, NULL);

	bench_start(b);
	ck_assert_int_eq(write(b->in, "\1b", 2), 2);
	work_during(b, 100 * MS);
	ck_assert(!(pl011_mmio.read(b->uart, FR, 4) & RXFE));
	ck_assert_uint_eq(pl011_mmio.read(b->uart, DR, 4) & DR_BE, DR_BE);
	ck_assert(pl011_mmio.read(b->uart, FR, 4) & RXFE);

	/* In its place. */
	ck_assert_int_eq(write(b->in, "p\1bq", 4), 4);
	work_during(b, 100 * MS);
	ck_assert_uint_eq(pl011_mmio.read(b->uart, DR, 4), 'p');
	ck_assert_uint_eq(pl011_mmio.read(b->uart, DR, 4) & DR_BE, DR_BE);
	ck_assert_uint_eq(pl011_mmio.read(b->uart, DR, 4), 'q');
	bench_fini(b);
}
END_TEST

/* --- reading along, ending, starting anew --- */

static void guest_says_expected(struct bench *b)
{
	guest_says(b, "one\ntwo: ");
	while (!b->quit)
		pause_ns(MS);
}

START_TEST(expected_text)
{
	struct bench *b = bench_init(NO_OUT, -1, "^two:");

	b->stop_at_event = true;
	b->guest = guest_says_expected;
	bench_start(b);
	ck_assert(!console_expected(b->console));
	ck_assert_int_eq(pthread_create(&b->thread, NULL, guest_main, b), 0);
	work_during(b, 10000 * MS);
	b->quit = true;
	pthread_join(b->thread, NULL);
	ck_assert_int_eq(b->events[CONSOLE_EXPECTED], 1);
	ck_assert(console_expected(b->console));
	ck_assert(!console_panicked(b->console));
	bench_fini(b);
}
END_TEST

static void guest_panics(struct bench *b)
{
	guest_says(b,
		   "[    1.0] Kernel panic - not syncing: x\r\n"
		   "[    1.0] ---[ end Kernel panic - not syncing: x ]---\r\n");
}

START_TEST(a_panic)
{
	struct bench *b = bench_init(NO_OUT, -1, NULL);

	bench_run(b, guest_panics);
	ck_assert_int_eq(b->events[CONSOLE_HUNG], 1);
	ck_assert(console_panicked(b->console));
	console_restart(b->console);
	ck_assert(!console_panicked(b->console));
	bench_fini(b);
}
END_TEST

/* What ends a run drains the console: with what ended it, and once. */
START_TEST(expected_text_is_written_too)
{
	struct bench *b = bench_init(0, -1, "^two:");
	struct reader r = { .at_once = 4096 };
	struct err e = { 0 };

	b->drain_at_event = true;
	b->guest = guest_says_expected;
	reader_start(&r, b->out);
	bench_start(b);
	ck_assert_int_eq(pthread_create(&b->thread, NULL, guest_main, b), 0);
	ck_assert_int_eq(loop_run(b->loop, &e), 0);
	b->quit = true;
	pthread_join(b->thread, NULL);
	ck_assert_int_eq(b->events[CONSOLE_DRAINED], 1);
	reader_finish(&r, b);
	ck_assert_str_eq((char *)r.got, "one\ntwo: ");
	free(r.got);
	bench_fini(b);
}
END_TEST

START_TEST(draining_nothing)
{
	struct bench *b = bench_init(0, -1, NULL);

	bench_start(b);
	console_drain(b->console);
	ck_assert_int_eq(b->events[CONSOLE_DRAINED], 1);
	bench_fini(b);
}
END_TEST

/* --- hvc0 on standard input and output --- */

/* So long one console waits for the other's line to end, and no longer. */
#define LONG_PAUSE (300 * MS)

/* The UART's characters are ASCII, hvc0's are not. */
static size_t pick(const struct reader *r, u8 bit7, u8 *to)
{
	size_t n = 0;

	for (size_t i = 0; i < r->len; i++)
		if ((r->got[i] & 0x80) == bit7)
			to[n++] = r->got[i];
	return n;
}

static void check_both(struct bench *b, const struct reader *r, const u8 *says,
		       size_t len)
{
	u8 *got = malloc(r->len + 1);

	ck_assert_ptr_nonnull(got);
	ck_assert_uint_eq(r->len, b->len + len);
	ck_assert_uint_eq(pick(r, 0, got), b->len);
	ck_assert_mem_eq(got, b->data, b->len);
	ck_assert_uint_eq(pick(r, 0x80, got), len);
	ck_assert_mem_eq(got, says, len);
	free(got);
}

START_TEST(both_are_complete_and_in_order)
{
	FILE *f = tmpfile();
	struct bench *b = bench_init_hvc(0, fileno(f), NULL, HVC_STDIO);
	struct reader r = { .at_once = 3000 };
	static u8 says[50000];
	u64 out, in;

	fill(b, 50000);
	for (size_t i = 0; i < b->len; i++) {
		says[i] = (u8)((b->data[i] ^ 0x5a) | 0x80);
		b->data[i] &= 0x7f;
	}
	reader_start(&r, b->out);
	hvc_says(b, says, sizeof(says));
	bench_run(b, guest_writes_bursts);
	console_traffic(b->console, &out, &in);
	ck_assert_uint_eq(out, 100000);
	ck_assert_uint_eq(in, 0);
	reader_finish(&r, b);
	check_both(b, &r, says, sizeof(says));
	free(b->data);
	b->data = r.got;
	b->len = r.len;
	check_file(f, b);
	bench_fini(b);
	fclose(f);
}
END_TEST

START_TEST(lines_are_not_torn)
{
	struct bench *b = bench_init_hvc(0, -1, NULL, HVC_STDIO);
	char got[64] = "";

	bench_start(b);
	guest_says(b, "the UART's\nprompt: ");
	hvc_text(b, "hvc0's\nown: ");
	work_during(b, LONG_PAUSE);
	ck_assert_int_gt(read(b->out, got, sizeof(got) - 1), 0);
	ck_assert_str_eq(got, "hvc0's\nthe UART's\nown: prompt: ");
	bench_fini(b);
}
END_TEST

/* One by one as the guest has them, with a burst gone out in between. */
START_TEST(a_line_ends_before_another_begins)
{
	struct bench *b = bench_init_hvc(0, -1, NULL, HVC_STDIO);
	char got[64] = "";

	bench_start(b);
	guest_says(b, "the UA");
	work_during(b, 10 * MS);
	hvc_text(b, "hvc0's\n");
	work_during(b, 10 * MS);
	guest_says(b, "RT's\n");
	work_during(b, 10 * MS);
	ck_assert_int_gt(read(b->out, got, sizeof(got) - 1), 0);
	ck_assert_str_eq(got, "the UART's\nhvc0's\n");
	bench_fini(b);
}
END_TEST

/* One that never ends its line has its turn, and no more. */
START_TEST(a_line_without_end)
{
	struct bench *b = bench_init_hvc(NO_OUT, -1, "^two:", HVC_STDIO);

	bench_start(b);
	b->hvc.endless = true;
	hvc_text(b, "no end ");
	guest_says(b, "\ntwo:");
	for (int i = 0; i < 50 && !console_expected(b->console); i++)
		work_during(b, 100 * MS);
	ck_assert(console_expected(b->console));
	bench_fini(b);
}
END_TEST

/* It is hvc0's, whether that takes it or not, and waits. */
START_TEST(input_is_for_hvc0)
{
	struct bench *b = bench_init_hvc(NO_OUT, -1, NULL, HVC_STDIO);
	u8 got[16] = "";
	u64 out, in;

	bench_start(b);
	ck_assert_int_eq(write(b->in, "hello\1\1", 7), 7);
	work_during(b, 100 * MS);
	ck_assert(pl011_mmio.read(b->uart, FR, 4) & RXFE);
	/* What opens it empties it first. */
	hvc_takes(b, got, 3);
	work_during(b, 10 * MS);
	ck_assert_uint_eq(b->hvc.got_len, 0);
	work_during(b, 200 * MS);
	ck_assert_uint_eq(b->hvc.got_len, 3);
	ck_assert_mem_eq(got, "hel", 3);
	hvc_takes(b, got, sizeof(got));
	work_during(b, 200 * MS);
	ck_assert_uint_eq(b->hvc.got_len, 3);
	ck_assert_mem_eq(got, "lo\1", 3);
	console_traffic(b->console, &out, &in);
	ck_assert_uint_eq(in, 6);
	bench_fini(b);
}
END_TEST

START_TEST(much_input_for_hvc0)
{
	struct bench *b = bench_init_hvc(NO_OUT, -1, NULL, HVC_STDIO);
	u8 *got = malloc(20000);
	size_t done = 0;

	ck_assert_ptr_nonnull(got);
	fill(b, 20000);
	for (size_t i = 0; i < b->len; i++)
		b->data[i] |= 2;
	ck_assert_int_eq(write(b->in, b->data, b->len), b->len);
	bench_start(b);
	while (done < b->len) {
		hvc_takes(b, got + done, MIN(b->len - done, (size_t)777));
		work_during(b, 20 * MS);
		done += b->hvc.got_len;
	}
	ck_assert_mem_eq(got, b->data, b->len);
	free(got);
	bench_fini(b);
}
END_TEST

START_TEST(no_break_for_hvc0)
{
	struct bench *b = bench_init_hvc(NO_OUT, -1, NULL, HVC_STDIO);
	char said[256];
	FILE *f = tmpfile();
	int saved = dup(STDERR_FILENO);
	ssize_t n;

	bench_start(b);
	dup2(fileno(f), STDERR_FILENO);
	ck_assert_int_eq(write(b->in, "\1b", 2), 2);
	work_during(b, 50 * MS);
	dup2(saved, STDERR_FILENO);
	n = pread(fileno(f), said, sizeof(said) - 1, 0);
	said[MAX(n, 0)] = '\0';
	ck_assert_msg(strstr(said, "hvc0 has no break"), "%s", said);
	ck_assert(pl011_mmio.read(b->uart, FR, 4) & RXFE);
	bench_fini(b);
}
END_TEST

/* Half a line of the one and half of the other are no line. */
START_TEST(expected_text_of_either)
{
	struct bench *b = bench_init_hvc(NO_OUT, -1, "^two:", HVC_STDIO);

	bench_start(b);
	guest_says(b, "tw");
	work_during(b, LONG_PAUSE);
	hvc_text(b, "o: no");
	work_during(b, LONG_PAUSE);
	ck_assert(!console_expected(b->console));
	hvc_text(b, "\ntwo");
	work_during(b, LONG_PAUSE);
	guest_says(b, ":");
	hvc_text(b, " no\n");
	work_during(b, LONG_PAUSE);
	ck_assert_int_eq(b->events[CONSOLE_EXPECTED], 0);
	hvc_text(b, "two:\n");
	work_during(b, LONG_PAUSE);
	ck_assert_int_eq(b->events[CONSOLE_EXPECTED], 1);
	bench_fini(b);

	b = bench_init_hvc(NO_OUT, -1, "^two:", HVC_STDIO);
	bench_start(b);
	hvc_text(b, "one\ntwo:");
	work_during(b, 20 * MS);
	ck_assert_int_eq(b->events[CONSOLE_EXPECTED], 1);
	ck_assert(console_expected(b->console));
	bench_fini(b);
}
END_TEST

START_TEST(a_panic_on_either)
{
	struct bench *b = bench_init_hvc(NO_OUT, -1, NULL, HVC_STDIO);

	bench_start(b);
	hvc_text(b, "Kernel panic - not syncing: x\n");
	guest_says(b, "Kernel panic -");
	work_during(b, 20 * MS);
	ck_assert(console_panicked(b->console));
	ck_assert_int_eq(b->events[CONSOLE_HUNG], 0);
	console_restart(b->console);
	ck_assert(!console_panicked(b->console));
	guest_says(b, " not syncing: x\n");
	work_during(b, 20 * MS);
	ck_assert(!console_panicked(b->console));
	guest_panics(b);
	work_during(b, 20 * MS);
	hvc_text(b, "Kernel panic - not syncing: x\n"
		    "---[ end Kernel panic - not syncing: x ]---\n");
	work_during(b, 20 * MS);
	ck_assert_int_eq(b->events[CONSOLE_HUNG], 1);
	bench_fini(b);
}
END_TEST

/* A device may not have told us of what it has: it is asked. */
START_TEST(draining_both)
{
	struct bench *b = bench_init_hvc(0, -1, NULL, HVC_STDIO);
	struct reader r = { .at_once = 100 };
	static u8 says[20000];

	fill(b, 32);
	for (size_t i = 0; i < b->len; i++)
		b->data[i] &= 0x7f;
	memset(says, 0xee, sizeof(says));
	b->hvc.says = says;
	b->hvc.len = sizeof(says);
	reader_start(&r, b->out);
	bench_run(b, guest_writes);
	ck_assert_int_eq(b->events[CONSOLE_DRAINED], 1);
	reader_finish(&r, b);
	check_both(b, &r, says, sizeof(says));
	free(r.got);
	bench_fini(b);
}
END_TEST

/* Asked for while one is under way, it is one. */
START_TEST(draining_twice)
{
	struct bench *b = bench_init_hvc(0, -1, NULL, HVC_STDIO);
	struct reader r = { .at_once = 100 };

	bench_start(b);
	hvc_text(b, "last words");
	reader_start(&r, b->out);
	console_drain(b->console);
	console_drain(b->console);
	work_during(b, 50 * MS);
	ck_assert_int_eq(b->events[CONSOLE_DRAINED], 1);
	console_drain(b->console);
	ck_assert_int_eq(b->events[CONSOLE_DRAINED], 2);
	reader_finish(&r, b);
	ck_assert_str_eq((char *)r.got, "last words");
	free(r.got);
	bench_fini(b);
}
END_TEST

START_TEST(the_size_of_the_terminal)
{
	struct bench *b = bench_init_hvc(0, -1, NULL, HVC_STDIO);
	struct winsize size = { .ws_col = 80, .ws_row = 25 };
	int master, slave;

	ck_assert_int_eq(openpty(&master, &slave, NULL, NULL, &size), 0);
	ck_assert_int_eq(dup2(slave, b->its_out), b->its_out);
	bench_start(b);
	ck_assert_uint_eq(b->hvc.columns, 80);
	ck_assert_uint_eq(b->hvc.rows, 25);
	console_resize(b->console);
	ck_assert_uint_eq(b->hvc.resizes, 1);
	size.ws_col = 132;
	ck_assert_int_eq(ioctl(master, TIOCSWINSZ, &size), 0);
	console_resize(b->console);
	ck_assert_uint_eq(b->hvc.resizes, 2);
	ck_assert_uint_eq(b->hvc.columns, 132);
	bench_fini(b);

	/* No terminal, no size; and none for a UART. */
	b = bench_init_hvc(0, -1, NULL, HVC_STDIO);
	bench_start(b);
	ck_assert_uint_eq(b->hvc.resizes, 0);
	bench_fini(b);
	b = bench_init(0, -1, NULL);
	ck_assert_int_eq(dup2(slave, b->its_out), b->its_out);
	bench_start(b);
	bench_fini(b);
}
END_TEST

/* --- hvc0 on a pseudo-terminal --- */

/* Start, and find out which. */
static void start_pty(struct bench *b, char *name, size_t size)
{
	FILE *f = tmpfile();
	int saved = dup(STDERR_FILENO);
	char said[256], *at;
	ssize_t n;

	dup2(fileno(f), STDERR_FILENO);
	bench_start(b);
	dup2(saved, STDERR_FILENO);
	close(saved);
	n = pread(fileno(f), said, sizeof(said) - 1, 0);
	said[MAX(n, 0)] = '\0';
	fclose(f);
	at = strstr(said, "hvc0 is ");
	ck_assert_msg(at, "%s", said);
	snprintf(name, size, "%s", at + strlen("hvc0 is "));
	name[strcspn(name, "\n")] = '\0';
}

static int open_pty(const char *name)
{
	int fd = open(name, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	ck_assert_msg(fd >= 0, "%s: %s", name, strerror(errno));
	return fd;
}

/* Read what there is, run the console, again, until it stays quiet. */
static size_t read_pty(struct bench *b, int fd, u8 *to, size_t len, u64 quiet)
{
	size_t done = 0;
	u64 empty = 0;

	while (done < len && empty < quiet) {
		ssize_t n = read(fd, to + done, len - done);

		done += n > 0 ? (size_t)n : 0;
		empty = n > 0 ? 0 : empty + MS;
		work_during(b, MS);
	}
	return done;
}

START_TEST(a_pty_nobody_opens)
{
	struct bench *b = bench_init_hvc(0, -1, NULL, HVC_PTY);
	struct reader r = { .at_once = 4096 };
	static u8 says[200000];
	char name[64];

	start_pty(b, name, sizeof(name));
	hvc_says(b, says, sizeof(says));
	ck_assert_uint_lt(work_during(b, 300 * MS), 100 * MS);
	/* A boot's messages, and the guest waits. */
	ck_assert_uint_ge(b->hvc.said, 64 * 1024);
	ck_assert_uint_le(b->hvc.said, 80 * 1024);
	ck_assert_uint_lt(work_during(b, 300 * MS), 20 * MS);
	/* The UART is standard output's all the same. */
	reader_start(&r, b->out);
	guest_says(b, "login: ");
	work_during(b, 50 * MS);
	ck_assert_int_eq(write(b->in, "\1c\1x", 4), 4);
	work_during(b, 50 * MS);
	ck_assert_int_eq(b->events[CONSOLE_QUIT], 1);
	ck_assert_int_eq(b->events[CONSOLE_STATUS], 1);
	/* Nobody will read it now. */
	console_drain(b->console);
	work_during(b, 50 * MS);
	ck_assert_int_eq(b->events[CONSOLE_DRAINED], 1);
	reader_finish(&r, b);
	ck_assert_str_eq((char *)r.got, "login: ");
	free(r.got);
	bench_fini(b);
}
END_TEST

/* What was sent before is there, and stays though the opener begins afresh. */
START_TEST(a_pty_that_is_opened)
{
	struct bench *b = bench_init_hvc(NO_OUT, -1, NULL, HVC_PTY);
	struct termios t;
	char name[64];
	u8 got[64] = "";
	int fd;

	start_pty(b, name, sizeof(name));
	hvc_text(b, "Debian GNU/Linux\r\n");
	work_during(b, 50 * MS);
	fd = open_pty(name);
	ck_assert_int_eq(tcgetattr(fd, &t), 0);
	ck_assert_uint_eq(t.c_lflag & (ECHO | ICANON | ISIG), 0);
	ck_assert_uint_eq(t.c_oflag & OPOST, 0);
	hvc_text(b, "login: ");
	work_during(b, 5 * MS);
	ck_assert_int_eq(tcsetattr(fd, TCSAFLUSH, &t), 0);
	ck_assert_uint_eq(read_pty(b, fd, got, sizeof(got), 200 * MS), 25);
	ck_assert_str_eq((char *)got, "Debian GNU/Linux\r\nlogin: ");
	hvc_text(b, "Password: ");
	ck_assert_uint_eq(read_pty(b, fd, got, sizeof(got), 100 * MS), 10);
	ck_assert_uint_lt(work_during(b, 300 * MS), 20 * MS);
	close(fd);
	ck_assert_uint_lt(work_during(b, 300 * MS), 20 * MS);
	bench_fini(b);
}
END_TEST

/* Opened and closed again and again, in the middle of everything. */
START_TEST(a_pty_that_is_opened_often)
{
	struct bench *b = bench_init_hvc(NO_OUT, -1, NULL, HVC_PTY);
	u8 *got = malloc(300000);
	char name[64];
	size_t done = 0;
	u32 x = 1;

	ck_assert_ptr_nonnull(got);
	fill(b, 300000);
	start_pty(b, name, sizeof(name));
	hvc_says(b, b->data, b->len);
	for (int fd; done < b->len; close(fd)) {
		x = x * 1664525 + 1013904223;
		fd = open_pty(name);
		if (x & BIT(20))
			work_during(b, (x >> 24) * MS / 2);
		done += read_pty(b, fd, got + done,
				 MIN(b->len - done, (size_t)(x >> 8) % 30000),
				 (x >> 26) * MS);
		if (x & BIT(21))
			work_during(b, (x >> 28) * MS);
	}
	ck_assert_mem_eq(got, b->data, b->len);
	ck_assert_uint_eq(b->hvc.said, b->len);
	free(got);
	bench_fini(b);
}
END_TEST

/* It comes through whole also if who typed it is gone already. */
START_TEST(input_from_a_pty)
{
	struct bench *b = bench_init_hvc(NO_OUT, -1, NULL, HVC_PTY);
	u8 got[64] = "", more[64] = "";
	char name[64];
	int fd;

	start_pty(b, name, sizeof(name));
	hvc_takes(b, got, sizeof(got));
	fd = open_pty(name);
	ck_assert_int_eq(write(fd, "one\1x", 5), 5);
	close(fd);
	work_during(b, 200 * MS);
	ck_assert_uint_eq(b->hvc.got_len, 5);
	ck_assert_mem_eq(got, "one\1x", 5);
	ck_assert_int_eq(b->events[CONSOLE_QUIT], 0);
	/* In the place of that which was closed. */
	fd = open_pty(name);
	work_during(b, 200 * MS);
	ck_assert_int_eq(write(fd, "two", 3), 3);
	work_during(b, 50 * MS);
	ck_assert_uint_eq(b->hvc.got_len, 8);
	/* A guest that does not take it has it wait. */
	hvc_takes(b, NULL, 0);
	ck_assert_int_eq(write(fd, "three", 5), 5);
	close(fd);
	work_during(b, 200 * MS);
	hvc_takes(b, more, sizeof(more));
	work_during(b, 200 * MS);
	ck_assert_uint_eq(b->hvc.got_len, 5);
	ck_assert_mem_eq(more, "three", 5);
	/* What the operator types is the UART's. */
	ck_assert_int_eq(write(b->in, "q", 1), 1);
	work_during(b, 50 * MS);
	ck_assert_uint_eq(pl011_mmio.read(b->uart, DR, 4), 'q');
	bench_fini(b);
}
END_TEST

START_TEST(much_input_from_a_pty)
{
	struct bench *b = bench_init_hvc(NO_OUT, -1, NULL, HVC_PTY);
	u8 *got = malloc(60000);
	size_t sent = 0, done = 0;
	char name[64];
	int fd = -1;

	ck_assert_ptr_nonnull(got);
	fill(b, 60000);
	start_pty(b, name, sizeof(name));
	while (done < b->len) {
		size_t len = MIN(b->len - sent, (size_t)5000);
		ssize_t n;

		if (fd < 0)
			fd = open_pty(name);
		n = len ? write(fd, b->data + sent, len) : 0;
		sent += n > 0 ? (size_t)n : 0;
		if (done % 3 == 0)
			close_if(&fd);
		hvc_takes(b, got + done, MIN(b->len - done, (size_t)2222));
		work_during(b, 20 * MS);
		done += b->hvc.got_len;
	}
	ck_assert_mem_eq(got, b->data, b->len);
	close_if(&fd);
	free(got);
	bench_fini(b);
}
END_TEST

/* With somebody there, a drain is done when all is written. */
START_TEST(draining_a_pty)
{
	struct bench *b = bench_init_hvc(NO_OUT, -1, NULL, HVC_PTY);
	static u8 says[100000], got[100000];
	char name[64];
	size_t done;
	int fd;

	memset(says, 0xee, sizeof(says));
	start_pty(b, name, sizeof(name));
	fd = open_pty(name);
	work_during(b, 100 * MS);
	b->hvc.says = says;
	b->hvc.len = sizeof(says);
	console_drain(b->console);
	work_during(b, 100 * MS);
	ck_assert_int_eq(b->events[CONSOLE_DRAINED], 0);
	done = read_pty(b, fd, got, sizeof(got), 300 * MS);
	ck_assert_uint_eq(done, sizeof(got));
	ck_assert_mem_eq(got, says, done);
	ck_assert_int_eq(b->events[CONSOLE_DRAINED], 1);

	/* Or nobody is there any more; the next boot goes on. */
	hvc_says(b, says, sizeof(says));
	console_drain(b->console);
	work_during(b, 100 * MS);
	ck_assert_int_eq(b->events[CONSOLE_DRAINED], 1);
	close(fd);
	work_during(b, 100 * MS);
	ck_assert_int_eq(b->events[CONSOLE_DRAINED], 2);
	fd = open_pty(name);
	done = read_pty(b, fd, got, sizeof(got), 300 * MS);
	ck_assert_uint_eq(done, sizeof(got));
	close(fd);
	bench_fini(b);
}
END_TEST

START_TEST(the_size_of_a_pty)
{
	struct bench *b = bench_init_hvc(NO_OUT, -1, NULL, HVC_PTY);
	struct winsize size = { .ws_col = 100, .ws_row = 40 };
	char name[64];
	int fd;

	start_pty(b, name, sizeof(name));
	fd = open_pty(name);
	work_during(b, 200 * MS);
	ck_assert_uint_eq(b->hvc.resizes, 0);
	ck_assert_int_eq(ioctl(fd, TIOCSWINSZ, &size), 0);
	close(open_pty(name));
	work_during(b, 200 * MS);
	ck_assert_uint_eq(b->hvc.columns, 100);
	ck_assert_uint_eq(b->hvc.rows, 40);
	close(fd);
	close(open_pty(name));
	work_during(b, 200 * MS);
	ck_assert_uint_eq(b->hvc.resizes, 1);
	bench_fini(b);
}
END_TEST

static int descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	ck_assert_ptr_nonnull(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

START_TEST(an_expression_that_does_not_compile)
{
	struct err e = { 0 };
	struct loop *l = loop_create(&e);
	struct console_setup s = { .loop = l,
				   .in = -1,
				   .out = -1,
				   .file = -1,
				   .expect = "(",
				   .event = on_event };
	int before = descriptors();

	ck_assert_ptr_null(console_create(&s, &e));
	ck_assert_int_eq(e.code, -EINVAL);
	ck_assert_int_eq(descriptors(), before);
	loop_destroy(l);
	console_destroy(NULL);
}
END_TEST

/* Every descriptor it needs may be the one too many. */
START_TEST(too_few_descriptors)
{
	static const enum config_hvc hvcs[] = { HVC_OFF, HVC_STDIO, HVC_PTY };
	struct err e = { 0 };
	struct loop *l = loop_create(&e);
	struct console_setup s = {
		.loop = l, .in = -1, .out = -1, .file = -1, .event = on_event
	};
	struct console *c = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(hvcs); i++) {
		int before = descriptors(), next = dup(0), failed = 0;
		struct rlimit old, few;

		close(next);
		s.hvc = hvcs[i];
		ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
		few = old;
		for (few.rlim_cur = (rlim_t)next;; few.rlim_cur++) {
			setrlimit(RLIMIT_NOFILE, &few);
			c = console_create(&s, &e);
			setrlimit(RLIMIT_NOFILE, &old);
			if (c)
				break;
			ck_assert_int_eq(e.code, -EMFILE);
			ck_assert_msg(strstr(e.msg, "Too many open files"),
				      "%s", e.msg);
			ck_assert_int_eq(descriptors(), before);
			failed++;
		}
		ck_assert_int_ge(failed, 2);
		console_destroy(c);
		ck_assert_int_eq(descriptors(), before);
	}
	loop_destroy(l);
}
END_TEST

UNIT_MAIN("console", output_is_complete_and_in_order,
	  a_slow_reader_slows_the_guest, no_reader_stops_the_guest,
	  a_full_pipe_that_does_not_block, a_reader_that_is_gone,
	  nobody_to_write_to, a_burst_is_one_write, little_is_written_soon,
	  a_file_and_a_reader, a_file_alone, a_file_that_outlives_the_reader,
	  a_file_that_cannot_be_written, input_is_paced,
	  input_waits_for_the_guest, the_end_of_input_costs_nothing,
	  input_that_fails_costs_nothing, a_pipe_that_does_not_block,
	  a_terminal_that_does_not_block, escapes_past_a_deaf_guest, escapes,
	  a_break, expected_text, expected_text_is_written_too, a_panic,
	  draining_nothing, both_are_complete_and_in_order, lines_are_not_torn,
	  a_line_ends_before_another_begins, a_line_without_end,
	  input_is_for_hvc0, much_input_for_hvc0, no_break_for_hvc0,
	  expected_text_of_either, a_panic_on_either, draining_both,
	  draining_twice, the_size_of_the_terminal, a_pty_nobody_opens,
	  a_pty_that_is_opened, a_pty_that_is_opened_often, input_from_a_pty,
	  much_input_from_a_pty, draining_a_pty, the_size_of_a_pty,
	  an_expression_that_does_not_compile, too_few_descriptors)
