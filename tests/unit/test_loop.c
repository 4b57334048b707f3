/*
 * The event loop against real descriptors, and against kernels that forbid it.
 */
#include "unit.h"

#include <belfry/loop.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <pthread.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* One operation, and what became of it. */
struct probe {
	struct loop_op op;
	struct loop *loop;
	int result;
	int calls;
	int stop_after; /* calls; 0: never */
};

static void probe_done(struct loop_op *op, int result)
{
	struct probe *p = op->ctx;

	ck_assert(!op->busy);
	p->result = result;
	if (++p->calls == p->stop_after)
		loop_stop(p->loop);
}

static struct probe probe_init(struct loop *l)
{
	return (struct probe) { .op = { .done = probe_done },
				.loop = l,
				.stop_after = 1 };
}

static struct loop *new_loop(void)
{
	struct err e = { 0 };
	struct loop *l = loop_create(&e);

	ck_assert_msg(l, "%s", e.msg);
	return l;
}

static void run(struct loop *l)
{
	struct err e = { 0 };

	ck_assert_msg(loop_run(l, &e) == 0, "%s", e.msg);
}

static u64 now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000000000 + (u64)t.tv_nsec;
}

/* A task that notes when it is called, and may defer itself again. */
struct chore {
	struct loop_task task;
	struct loop *loop;
	u32 *clock;
	u32 called, at;
	bool again;
};

static void chore_call(void *ctx)
{
	struct chore *c = ctx;

	c->called++;
	c->at = ++*c->clock;
	if (c->again)
		loop_defer(c->loop, &c->task);
}

START_TEST(deferred_once_and_in_order)
{
	struct loop *l = new_loop();
	struct probe p = probe_init(l);
	struct chore c[3];
	u32 clock = 0;

	p.op.ctx = &p;
	for (u32 i = 0; i < 3; i++) {
		c[i] = (struct chore) { .task = { .call = chore_call,
						  .ctx = &c[i] },
					.loop = l,
					.clock = &clock };
		loop_defer(l, &c[i].task);
		loop_defer(l, &c[0].task);
	}
	loop_timer(l, &p.op, 1000000);
	run(l);
	for (u32 i = 0; i < 3; i++) {
		ck_assert_uint_eq(c[i].called, 1);
		ck_assert_uint_eq(c[i].at, i + 1);
	}
	loop_destroy(l);
}
END_TEST

/* Who always has more to do gets its turn, and so does everybody else. */
START_TEST(deferred_without_end)
{
	struct loop *l = new_loop();
	struct probe p = probe_init(l), e = probe_init(l);
	u32 clock = 0;
	struct chore c = { .loop = l, .clock = &clock, .again = true };
	int fd[2];
	char got;

	c.task = (struct loop_task) { .call = chore_call, .ctx = &c };
	p.op.ctx = &p;
	e.op.ctx = &e;
	ck_assert_int_eq(pipe(fd), 0);
	loop_defer(l, &c.task);
	loop_timer(l, &p.op, 20000000);
	run(l);
	ck_assert_uint_gt(c.called, 1);
	loop_read(l, &e.op, fd[0], &got, 1);
	ck_assert_int_eq(write(fd[1], "x", 1), 1);
	run(l);
	ck_assert_int_eq(e.result, 1);
	loop_destroy(l);
}
END_TEST

/* For a descriptor that gives -EAGAIN where others would wait. */
START_TEST(polls)
{
	struct loop *l = new_loop();
	struct probe p = probe_init(l), w = probe_init(l);
	int fd[2];

	p.op.ctx = &p;
	w.op.ctx = &w;
	w.stop_after = 0;
	ck_assert_int_eq(pipe(fd), 0);
	loop_poll(l, &p.op, fd[0], POLLIN);
	loop_write(l, &w.op, fd[1], "x", 1);
	run(l);
	ck_assert_int_eq(w.calls, 1);
	ck_assert_int_eq(p.calls, 1);
	ck_assert_int_eq(p.result, POLLIN);

	p.calls = 0;
	loop_poll(l, &p.op, fd[1], POLLOUT);
	run(l);
	ck_assert_int_eq(p.result, POLLOUT);
	loop_destroy(l);
}
END_TEST

START_TEST(reads_and_writes)
{
	struct loop *l = new_loop();
	struct probe w = probe_init(l), r = probe_init(l);
	char got[16] = "";
	int fd[2];

	w.op.ctx = &w;
	r.op.ctx = &r;
	w.stop_after = 0;
	ck_assert_int_eq(pipe(fd), 0);
	loop_read(l, &r.op, fd[0], got, sizeof(got));
	ck_assert(r.op.busy);
	loop_write(l, &w.op, fd[1], "hello", 5);
	run(l);
	ck_assert_int_eq(w.calls, 1);
	ck_assert_int_eq(w.result, 5);
	ck_assert_int_eq(r.calls, 1);
	ck_assert_int_eq(r.result, 5);
	ck_assert_str_eq(got, "hello");

	/* End of file, and again from inside nothing: a second use. */
	close(fd[1]);
	r.calls = 0;
	loop_read(l, &r.op, fd[0], got, sizeof(got));
	run(l);
	ck_assert_int_eq(r.result, 0);
	close(fd[0]);
	loop_destroy(l);
}
END_TEST

START_TEST(failures_are_results)
{
	struct loop *l = new_loop();
	struct probe p = probe_init(l);
	char buf[4];

	p.op.ctx = &p;
	loop_read(l, &p.op, -1, buf, sizeof(buf));
	run(l);
	ck_assert_int_eq(p.result, -EBADF);
	loop_destroy(l);
}
END_TEST

/* A file's own position, so that two writes follow each other. */
START_TEST(files_are_written_in_order)
{
	struct loop *l = new_loop();
	struct probe p = probe_init(l);
	FILE *f = tmpfile();
	char got[8] = "";

	p.op.ctx = &p;
	ck_assert_ptr_nonnull(f);
	for (int i = 0; i < 3; i++) {
		p.calls = 0;
		loop_write(l, &p.op, fileno(f), &"abcdef"[2 * i], 2);
		run(l);
		ck_assert_int_eq(p.result, 2);
	}
	ck_assert_int_eq(pread(fileno(f), got, 7, 0), 6);
	ck_assert_str_eq(got, "abcdef");
	fclose(f);
	loop_destroy(l);
}
END_TEST

START_TEST(a_timer_waits)
{
	struct loop *l = new_loop();
	struct probe p = probe_init(l);
	u64 start = now_ns();

	p.op.ctx = &p;
	loop_timer(l, &p.op, 30000000);
	run(l);
	ck_assert_int_eq(p.result, 0);
	ck_assert_uint_ge(now_ns() - start, 30000000);

	/* More than a second is seconds and a rest. */
	p.calls = 0;
	loop_timer(l, &p.op, 3600000000007ull);
	ck_assert_int_eq(p.op.when.sec, 3600);
	ck_assert_int_eq(p.op.when.nsec, 7);
	loop_destroy(l);
}
END_TEST

START_TEST(cancelled_operations)
{
	struct loop *l = new_loop();
	struct probe r = probe_init(l), t = probe_init(l);
	char buf[4];
	int fd[2];

	r.op.ctx = &r;
	t.op.ctx = &t;
	r.stop_after = t.stop_after = 0;
	ck_assert_int_eq(pipe(fd), 0);
	loop_read(l, &r.op, fd[0], buf, sizeof(buf));
	loop_timer(l, &t.op, 3600000000000ull);
	loop_cancel(l, &r.op);
	loop_cancel(l, &t.op);
	r.stop_after = 1;
	run(l);
	if (t.op.busy) {
		t.stop_after = 1;
		run(l);
	}
	ck_assert_int_eq(r.result, -ECANCELED);
	ck_assert_int_eq(t.result, -ECANCELED);
	ck_assert(!r.op.busy);

	/* Of what is not busy, nothing: no call, nothing to wait for. */
	loop_cancel(l, &r.op);
	t.calls = 0;
	t.stop_after = 1;
	loop_timer(l, &t.op, 1000000);
	run(l);
	ck_assert_int_eq(r.calls, 1);
	loop_destroy(l);
}
END_TEST

/* More than the ring has entries for, none lost. */
#define MANY 100

START_TEST(more_than_fit_the_ring)
{
	struct loop *l = new_loop();
	struct probe p[MANY];
	int left = MANY;

	for (int i = 0; i < MANY; i++) {
		p[i] = probe_init(l);
		p[i].op.ctx = &p[i];
		loop_timer(l, &p[i].op, 1000000);
	}
	while (left) {
		run(l);
		left = 0;
		for (int i = 0; i < MANY; i++)
			left += p[i].op.busy;
	}
	for (int i = 0; i < MANY; i++)
		ck_assert_int_eq(p[i].calls, 1);
	loop_destroy(l);
}
END_TEST

#define FIRES 10000

struct firing {
	struct loop_event event;
	struct loop *loop;
	_Atomic int fired;
	int seen;
};

static void *fire(void *arg)
{
	struct firing *f = arg;

	for (int i = 0; i < FIRES; i++) {
		f->fired++;
		loop_event_fire(&f->event);
	}
	return NULL;
}

/* What was true before the last fire is seen by a call after it. */
static void on_fired(void *ctx)
{
	struct firing *f = ctx;

	f->seen = f->fired;
	if (f->seen == FIRES)
		loop_stop(f->loop);
}

START_TEST(events_from_another_thread)
{
	struct firing f = { .loop = new_loop() };
	struct err e = { 0 };
	pthread_t t;

	ck_assert_int_eq(loop_event_init(&f.event, f.loop, on_fired, &f, &e),
			 0);
	ck_assert_int_eq(pthread_create(&t, NULL, fire, &f), 0);
	run(f.loop);
	ck_assert_int_eq(f.seen, FIRES);
	pthread_join(t, NULL);
	loop_event_fini(&f.event);
	loop_event_fini(&f.event);
	loop_destroy(f.loop);
}
END_TEST

START_TEST(an_idle_loop_costs_nothing)
{
	struct loop *l = new_loop();
	struct probe p = probe_init(l);
	struct timespec before, after;

	p.op.ctx = &p;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	loop_timer(l, &p.op, 200000000);
	run(l);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	ck_assert_int_lt((after.tv_sec - before.tv_sec) * 1000000000 +
				 after.tv_nsec - before.tv_nsec,
			 50000000);
	loop_destroy(l);
}
END_TEST

/* Where this process has its ring's submission entries. */
static struct io_uring_sqe *submission_entries(void)
{
	char line[256];
	unsigned long long start = 0;
	FILE *maps = fopen("/proc/self/maps", "r");

	ck_assert_ptr_nonnull(maps);
	while (fgets(line, sizeof(line), maps)) {
		unsigned long long at, end, off;

		if (strstr(line, "[io_uring]") &&
		    sscanf(line, "%llx-%llx %*s %llx", &at, &end, &off) == 3 &&
		    off == IORING_OFF_SQES)
			start = at;
	}
	fclose(maps);
	ck_assert_uint_ne(start, 0);
	return (struct io_uring_sqe *)(uintptr_t)start;
}

/*
 * The entry that the loop wrote is changed into something else before the
 * kernel sees it: what an attacker with our memory would do.
 */
START_TEST(the_kernel_refuses_other_operations)
{
	static const u8 others[] = { IORING_OP_OPENAT,   IORING_OP_CLOSE,
				     IORING_OP_SENDMSG,  IORING_OP_CONNECT,
				     IORING_OP_UNLINKAT, IORING_OP_POLL_REMOVE,
				     IORING_OP_RECVMSG,  IORING_OP_NOP };
	struct loop *l = new_loop();
	struct io_uring_sqe *sqes = submission_entries();
	struct probe p = probe_init(l);
	char path[] = "/dev/null";

	p.op.ctx = &p;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		loop_read(l, &p.op, AT_FDCWD, path, 0);
		sqes[i].opcode = others[i];
		p.calls = 0;
		run(l);
		ck_assert_msg(p.result == -EACCES, "operation %u: %d",
			      others[i], p.result);
	}
	/* And its own are not refused. */
	loop_read(l, &p.op, STDIN_FILENO, path, 0);
	p.calls = 0;
	run(l);
	ck_assert_int_ne(p.result, -EACCES);
	loop_destroy(l);
}
END_TEST

/* libcheck gives each test a process: the filter ends with it. */
static void make_io_uring_fail(int with)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);

	ck_assert_ptr_nonnull(ctx);
	ck_assert_int_eq(seccomp_rule_add(ctx, SCMP_ACT_ERRNO((u32)with),
					  SCMP_SYS(io_uring_setup), 0),
			 0);
	ck_assert_int_eq(seccomp_load(ctx), 0);
	seccomp_release(ctx);
}

static void check_refusal(int with, const char *says)
{
	struct err e = { 0 };

	make_io_uring_fail(with);
	ck_assert_ptr_null(loop_create(&e));
	ck_assert_int_eq(e.code, -with);
	ck_assert_msg(strstr(e.msg, "io_uring") && strstr(e.msg, says), "%s",
		      e.msg);
}

START_TEST(a_kernel_without_io_uring)
{
	check_refusal(ENOSYS, "CONFIG_IO_URING");
}
END_TEST

START_TEST(a_host_that_forbids_io_uring)
{
	check_refusal(EPERM, "kernel.io_uring_disabled=0");
}
END_TEST

START_TEST(too_little_locked_memory)
{
	check_refusal(ENOMEM, "ulimit -l");
}
END_TEST

START_TEST(a_kernel_without_the_flags)
{
	check_refusal(EINVAL, "Invalid argument");
}
END_TEST

UNIT_MAIN("loop", reads_and_writes, polls, failures_are_results,
	  files_are_written_in_order, deferred_once_and_in_order,
	  deferred_without_end, a_timer_waits, cancelled_operations,
	  more_than_fit_the_ring, events_from_another_thread,
	  an_idle_loop_costs_nothing, the_kernel_refuses_other_operations,
	  a_kernel_without_io_uring, a_host_that_forbids_io_uring,
	  too_little_locked_memory, a_kernel_without_the_flags)
