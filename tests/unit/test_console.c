/*
 * The console between a real UART, driven by a guest that is a thread, and
 * pipes: nothing lost, nothing out of order, nobody kept waiting for nothing.
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

struct bench {
	struct loop *loop;
	struct console *console;
	struct pl011 *uart;
	int in, out;         /* our ends of its pipes; -1: none */
	int its_in, its_out; /* its ends */
	int events[CONSOLE_DRAINED + 1];
	bool stop_at_event; /* the first one; else at CONSOLE_DRAINED */
	bool drain_at_event;

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

static struct bench *bench_init(int without, int file, const char *expect)
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
	return b;
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
	console_start(b->console, pl011_port(b->uart));
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
	console_start(b->console, pl011_port(b->uart));
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
	console_start(b->console, pl011_port(b->uart));
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
	console_start(b->console, pl011_port(b->uart));
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
	console_start(b->console, pl011_port(b->uart));
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
	console_start(b->console, pl011_port(b->uart));
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
	console_start(b->console, pl011_port(b->uart));
	ck_assert_uint_lt(work_during(b, 300 * MS), 50 * MS);
	bench_fini(b);
}
END_TEST

/* Whoever started us may have left it so, and may share it. */
static void check_nonblocking_input(struct bench *b)
{
	fill(b, 2);
	ck_assert_int_eq(fcntl(b->its_in, F_SETFL, O_NONBLOCK), 0);
	console_start(b->console, pl011_port(b->uart));
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

	console_start(b->console, pl011_port(b->uart));
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

	console_start(b->console, pl011_port(b->uart));
	ck_assert_int_eq(write(b->in, "\1b", 2), 2);
	work_during(b, 100 * MS);
	ck_assert(!(pl011_mmio.read(b->uart, FR, 4) & RXFE));
	ck_assert_uint_eq(pl011_mmio.read(b->uart, DR, 4) & DR_BE, DR_BE);
	ck_assert(pl011_mmio.read(b->uart, FR, 4) & RXFE);
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
	console_start(b->console, pl011_port(b->uart));
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
	console_start(b->console, pl011_port(b->uart));
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

	console_start(b->console, pl011_port(b->uart));
	console_drain(b->console);
	ck_assert_int_eq(b->events[CONSOLE_DRAINED], 1);
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
	  draining_nothing, an_expression_that_does_not_compile)
