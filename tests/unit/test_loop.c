/*
 * The event loop against real descriptors, and against kernels that forbid it.
 */
#include "unit.h"

#include <belfry/loop.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <pthread.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
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

/* Where the kernel does not move that, as it does not here, for it is told a
 * position: the loop does, and from where it was. */
START_TEST(files_that_the_loop_seeks)
{
	struct loop *l = new_loop();
	struct probe p = probe_init(l);
	FILE *f = tmpfile();
	char got[8] = "";
	int pipe_fds[2];

	p.op.ctx = &p;
	ck_assert_ptr_nonnull(f);
	ck_assert(!pipe(pipe_fds));
	ck_assert(loop_seeks(fileno(f)) && !loop_seeks(pipe_fds[0]));
	ck_assert(!loop_seeks(-1));
	ck_assert_int_eq(write(fileno(f), "ab", 2), 2);
	p.op.seeks = true;
	for (int i = 1; i < 3; i++) {
		p.calls = 0;
		loop_write(l, &p.op, fileno(f), &"abcdef"[2 * i], 2);
		run(l);
		ck_assert_int_eq(p.result, 2);
		ck_assert_int_eq(lseek(fileno(f), 0, SEEK_CUR), 2 + 2 * i);
	}
	ck_assert_int_eq(pread(fileno(f), got, 7, 0), 6);
	ck_assert_str_eq(got, "abcdef");
	lseek(fileno(f), 0, SEEK_SET);
	for (int i = 0; i < 4; i++) {
		p.calls = 0;
		loop_read(l, &p.op, fileno(f), got, 2);
		run(l);
		ck_assert_int_eq(p.result, i < 3 ? 2 : 0);
		ck_assert(i == 3 || !memcmp(got, &"abcdef"[2 * i], 2));
	}
	close(pipe_fds[0]);
	close(pipe_fds[1]);
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
	size_t i;

	p.op.ctx = &p;
	for (i = 0; i < ARRAY_SIZE(others); i++) {
		loop_read(l, &p.op, AT_FDCWD, path, 0);
		sqes[i].opcode = others[i];
		p.calls = 0;
		run(l);
		ck_assert_msg(p.result == -EACCES, "operation %u: %d",
			      others[i], p.result);
	}
	/* Nor flags: a chain of operations, or one that is done elsewhere. */
	for (u8 flag = IOSQE_IO_DRAIN; flag <= IOSQE_BUFFER_SELECT;
	     flag = (u8)(flag << 1)) {
		loop_read(l, &p.op, STDIN_FILENO, path, 0);
		sqes[i++].flags = flag;
		p.calls = 0;
		run(l);
		ck_assert_msg(p.result == -EACCES, "flag %u: %d", flag,
			      p.result);
	}
	/* And its own are not refused. */
	loop_read(l, &p.op, STDIN_FILENO, path, 0);
	p.calls = 0;
	run(l);
	ck_assert_int_ne(p.result, -EACCES);
	loop_destroy(l);
}
END_TEST

/* --- files for devices --- */

static int new_file(const char *contents)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, contents, strlen(contents)),
			 strlen(contents));
	return fd;
}

static struct loop_file add_file(struct loop *l, int fd)
{
	struct err e = { 0 };
	struct loop_file f;

	ck_assert_msg(loop_file_add(l, &f, fd, &e) == 0, "%s", e.msg);
	return f;
}

/* The result of what was just started. */
static int result_of(struct loop *l, struct probe *p)
{
	p->calls = 0;
	run(l);
	ck_assert_int_eq(p->calls, 1);
	ck_assert(!p->op.busy);
	return p->result;
}

START_TEST(files_at_an_offset)
{
	static const struct {
		u32 pieces;
		u64 off;
		int result;
		const char *got;
	} reads[] = {
		{ 1, 0, 4, "0123" },      { 1, 5, 4, "5678" },
		{ 3, 0, 9, "012345678" }, { 3, 1, 9, "123456789" },
		{ 1, 8, 2, "89" },        { 3, 4, 6, "456789" },
		{ 1, 10, 0, "" },         { 3, 1ull << 40, 0, "" },
	};
	struct loop *l = new_loop();
	struct probe p = probe_init(l);
	int fd = new_file("0123456789");
	struct loop_file f = add_file(l, fd);

	p.op.ctx = &p;
	for (size_t i = 0; i < ARRAY_SIZE(reads); i++) {
		char got[10] = "";
		struct iovec v[] = { { got, 4 },
				     { got + 4, 3 },
				     { got + 7, 2 } };

		loop_file_readv(l, &p.op, f, v, reads[i].pieces, reads[i].off);
		ck_assert(p.op.busy);
		ck_assert_int_eq(result_of(l, &p), reads[i].result);
		ck_assert_str_eq(got, reads[i].got);
	}
	/* The position is the descriptor's and nobody moves it. */
	ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 10);
	loop_destroy(l);
}
END_TEST

START_TEST(files_are_written)
{
	struct loop *l = new_loop();
	struct io_uring_sqe *sqes = submission_entries();
	struct probe p = probe_init(l);
	int fd = new_file("0123456789");
	struct loop_file f = add_file(l, fd);
	char ab[] = "ab", cde[] = "cde", got[16] = "";
	struct iovec v[] = { { ab, 2 }, { cde, 3 } };

	p.op.ctx = &p;
	for (u32 i = 0; i < 4; i++) {
		bool dsync = i & 1;
		u32 pieces = 1 + i / 2;

		loop_file_writev(l, &p.op, f, v, pieces, 2 + i, dsync);
		ck_assert_int_eq(sqes[i].rw_flags, dsync ? RWF_DSYNC : 0);
		ck_assert_int_eq(result_of(l, &p), pieces == 1 ? 2 : 5);
	}
	ck_assert_int_eq(pread(fd, got, sizeof(got), 0), 10);
	ck_assert_str_eq(got, "01aaaabcde");

	/* A disk grows by no more than is written. */
	loop_file_writev(l, &p.op, f, v, 2, 8, true);
	ck_assert_int_eq(result_of(l, &p), 5);
	ck_assert_int_eq(lseek(fd, 0, SEEK_END), 13);
	loop_destroy(l);
}
END_TEST

static u64 bytes_used(int fd)
{
	struct stat st;

	ck_assert_int_eq(fsync(fd), 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	return (u64)st.st_blocks * 512;
}

START_TEST(files_are_synced_and_freed)
{
	static char full[MIB];
	struct loop *l = new_loop();
	struct probe p = probe_init(l);
	int fd = new_file("");
	struct loop_file f = add_file(l, fd);
	char got[2] = "";

	p.op.ctx = &p;
	memset(full, 'x', sizeof(full));
	ck_assert_int_eq(pwrite(fd, full, sizeof(full), 0), sizeof(full));
	loop_file_sync(l, &p.op, f);
	ck_assert_int_eq(result_of(l, &p), 0);
	ck_assert_uint_ge(bytes_used(fd), MIB);

	loop_file_allocate(l, &p.op, f,
			   FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			   256 * KIB, 512 * KIB);
	ck_assert_int_eq(result_of(l, &p), 0);
	ck_assert_uint_le(bytes_used(fd), 640 * KIB);
	ck_assert_int_eq(pread(fd, got, 2, 256 * KIB - 1), 2);
	ck_assert_int_eq(got[0], 'x');
	ck_assert_int_eq(got[1], 0);
	ck_assert_int_eq(pread(fd, got, 2, 768 * KIB - 1), 2);
	ck_assert_int_eq(got[0], 0);
	ck_assert_int_eq(got[1], 'x');
	loop_destroy(l);
}
END_TEST

START_TEST(failures_of_files_are_results)
{
	struct loop *l = new_loop();
	struct probe p = probe_init(l);
	char path[32], buf[8] = "";
	struct iovec v = { buf, sizeof(buf) };
	struct loop_file none = { LOOP_FILES_MAX - 1 };
	struct loop_file pipe_end, readable;
	int fd[2], file = new_file("01234567");

	p.op.ctx = &p;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	readable = add_file(l, open(path, O_RDONLY));
	ck_assert_int_eq(pipe(fd), 0);
	pipe_end = add_file(l, fd[0]);

	loop_file_writev(l, &p.op, readable, &v, 1, 0, false);
	ck_assert_int_eq(result_of(l, &p), -EBADF);
	loop_file_allocate(l, &p.op, readable, 0, 0, 8);
	ck_assert_int_eq(result_of(l, &p), -EBADF);
	loop_file_allocate(l, &p.op, add_file(l, file), 0x4000, 0, 8);
	ck_assert_int_eq(result_of(l, &p), -EOPNOTSUPP);
	loop_file_sync(l, &p.op, pipe_end);
	ck_assert_int_eq(result_of(l, &p), -EINVAL);
	loop_file_readv(l, &p.op, none, &v, 1, 0);
	ck_assert_int_eq(result_of(l, &p), -EBADF);
	loop_file_readv(l, &p.op, readable, &v, 1, 0);
	ck_assert_int_eq(result_of(l, &p), 8);
	loop_destroy(l);
}
END_TEST

/* Each keeps its own, whatever becomes of the descriptor. */
START_TEST(as_many_files_as_there_is_room)
{
	struct loop *l = new_loop();
	struct loop_file f[LOOP_FILES_MAX], more;
	struct probe p = probe_init(l);
	struct err e = { 0 };

	p.op.ctx = &p;
	ck_assert_int_eq(loop_file_add(l, &more, 9999, &e), -EBADF);
	ck_assert_msg(strstr(e.msg, "register a file"), "%s", e.msg);
	for (int i = 0; i < LOOP_FILES_MAX; i++) {
		char name[2] = { (char)(' ' + i), 0 };
		int fd = new_file(name);

		f[i] = add_file(l, fd);
		close(fd);
	}
	ck_assert_int_eq(loop_file_add(l, &more, STDIN_FILENO, &e), -ENFILE);
	ck_assert_msg(strstr(e.msg, "64"), "%s", e.msg);
	for (int i = 0; i < LOOP_FILES_MAX; i++) {
		char got;
		struct iovec v = { &got, 1 };

		loop_file_readv(l, &p.op, f[i], &v, 1, 0);
		ck_assert_int_eq(result_of(l, &p), 1);
		ck_assert_int_eq(got, ' ' + i);
	}
	loop_destroy(l);
}
END_TEST

/* --- watches --- */

struct watching {
	struct loop_op op;
	struct loop *loop;
	int events[8];
	u32 calls;
};

static void watched(struct loop_op *op, int result)
{
	struct watching *w = op->ctx;

	ck_assert_uint_lt(w->calls, ARRAY_SIZE(w->events));
	w->events[w->calls++] = result;
	loop_stop(w->loop);
}

static void watch_init(struct watching *w, struct loop *l)
{
	*w = (struct watching) { .op = { .done = watched, .ctx = w },
				 .loop = l };
}

START_TEST(a_watch_stays)
{
	struct loop *l = new_loop();
	struct watching w;
	int fd = eventfd(0, EFD_NONBLOCK);
	u64 one = 1;

	watch_init(&w, l);
	loop_watch(l, &w.op, fd, POLLIN);
	/* Nobody reads, and each write is an event all the same. */
	for (u32 i = 0; i < 5; i++) {
		ck_assert_int_eq(write(fd, &one, sizeof(one)), sizeof(one));
		run(l);
		ck_assert_uint_eq(w.calls, i + 1);
		ck_assert_int_eq(w.events[i], POLLIN);
		ck_assert(w.op.busy);
	}
	loop_cancel(l, &w.op);
	run(l);
	ck_assert_uint_eq(w.calls, 6);
	ck_assert_int_eq(w.events[5], -ECANCELED);
	ck_assert(!w.op.busy);

	/* It can be begun again, and finds what is there. */
	loop_watch(l, &w.op, fd, POLLIN);
	run(l);
	ck_assert_int_eq(w.events[6], POLLIN);
	loop_destroy(l);
}
END_TEST

START_TEST(a_watch_is_of_the_events_asked_for)
{
	struct loop *l = new_loop();
	struct probe t = probe_init(l);
	struct watching w;
	int fd[2];

	t.op.ctx = &t;
	watch_init(&w, l);
	ck_assert_int_eq(pipe(fd), 0);
	loop_watch(l, &w.op, fd[0], POLLIN);
	loop_timer(l, &t.op, 5000000);
	run(l);
	ck_assert_uint_eq(w.calls, 0);
	ck_assert_int_eq(write(fd[1], "x", 1), 1);
	run(l);
	ck_assert_uint_eq(w.calls, 1);
	ck_assert_int_eq(w.events[0], POLLIN);
	close(fd[1]);
	run(l);
	ck_assert_uint_eq(w.calls, 2);
	ck_assert(w.events[1] & POLLHUP);
	loop_destroy(l);

	l = new_loop();
	watch_init(&w, l);
	loop_watch(l, &w.op, -1, POLLIN);
	run(l);
	ck_assert_int_eq(w.events[0], -EBADF);
	ck_assert(!w.op.busy);
	loop_destroy(l);
}
END_TEST

/* --- what is put off to a batch's end --- */

#define BATCH 8

/* Operations that are done together, and a task that each asks for. */
struct batch {
	struct loop *loop;
	struct loop_op op[BATCH];
	int fd[BATCH];
	char buf[BATCH];
	u32 done, called, done_when_called;
	struct loop_task task;
};

static void batch_op_done(struct loop_op *op, int result)
{
	struct batch *b = op->ctx;

	ck_assert_int_eq(result, 1);
	b->done++;
	loop_defer(b->loop, &b->task);
	ck_assert(b->task.due);
}

static void batch_called(void *ctx)
{
	struct batch *b = ctx;

	ck_assert(!b->task.due);
	b->called++;
	b->done_when_called = b->done;
	loop_stop(b->loop);
}

START_TEST(a_task_at_the_end_of_a_batch)
{
	struct batch b = { .loop = new_loop() };

	b.task = (struct loop_task) { .call = batch_called, .ctx = &b };
	for (int round = 0; round < 2; round++) {
		b.done = b.called = 0;
		for (int i = 0; i < BATCH; i++) {
			int fd = new_file("x");

			ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
			b.op[i] = (struct loop_op) { .done = batch_op_done,
						     .ctx = &b };
			loop_read(b.loop, &b.op[i], fd, &b.buf[i], 1);
		}
		/* What is in the cache is read at once, so all are at hand. */
		run(b.loop);
		ck_assert_uint_eq(b.called, 1);
		ck_assert_uint_eq(b.done_when_called, BATCH);
	}
	loop_destroy(b.loop);
}
END_TEST

#define TRACE_MAX 16

struct step {
	struct loop_task task;
	struct loop *loop;
	struct step *then; /* defer that */
	char name, *trace;
	int times; /* defer itself */
};

static void step_called(void *ctx)
{
	struct step *s = ctx;
	size_t n = strlen(s->trace);

	ck_assert(!s->task.due);
	if (n < TRACE_MAX)
		s->trace[n] = s->name;
	if (s->then)
		loop_defer(s->loop, &s->then->task);
	if (s->times && s->times--)
		loop_defer(s->loop, &s->task);
	if (s->name == '.')
		loop_stop(s->loop);
}

static struct step step(struct loop *l, char name, char *trace)
{
	return (struct step) { .task.call = step_called,
			       .loop = l,
			       .name = name,
			       .trace = trace };
}

/* In the order asked for, each once; what they ask for comes after all of
 * them, and nothing else need happen for that. */
START_TEST(tasks_in_order)
{
	char trace[TRACE_MAX + 1] = "";
	struct loop *l = new_loop();
	struct step a = step(l, 'a', trace), b = step(l, 'b', trace);
	struct step c = step(l, 'c', trace), end = step(l, '.', trace);

	a.task.ctx = &a;
	b.task.ctx = &b;
	c.task.ctx = &c;
	end.task.ctx = &end;
	a.times = 2;
	b.then = &c;
	c.then = &end;
	loop_defer(l, &b.task);
	loop_defer(l, &a.task);
	loop_defer(l, &b.task);
	run(l);
	ck_assert_str_eq(trace, "baca.a");
	loop_destroy(l);
}
END_TEST

/* One that always asks for itself keeps nobody else out. */
START_TEST(tasks_do_not_starve_others)
{
	char trace[TRACE_MAX + 1] = "";
	struct loop *l = new_loop();
	struct step a = step(l, 'a', trace);
	struct probe t = probe_init(l);

	a.task.ctx = &a;
	a.times = INT_MAX;
	t.op.ctx = &t;
	loop_defer(l, &a.task);
	loop_timer(l, &t.op, 0);
	run(l);
	ck_assert_int_eq(t.calls, 1);
	ck_assert_int_gt(a.times, 0);
	loop_destroy(l);
}
END_TEST

/* libcheck gives each test a process: the filter ends with it. */
static void make_fail(int call, int with)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);

	ck_assert_ptr_nonnull(ctx);
	ck_assert_int_eq(seccomp_rule_add(ctx, SCMP_ACT_ERRNO((u32)with), call,
					  0),
			 0);
	ck_assert_int_eq(seccomp_load(ctx), 0);
	seccomp_release(ctx);
}

static void check_refusal(int with, const char *says)
{
	struct err e = { 0 };

	make_fail(SCMP_SYS(io_uring_setup), with);
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

/* What does not fit the ring cannot be told to anybody but who runs it. */
START_TEST(a_kernel_that_takes_nothing)
{
	static struct probe p[1000];
	struct err e = { 0 };
	struct loop *l = loop_create(&e);

	ck_assert_msg(l, "%s", e.msg);
	make_fail(SCMP_SYS(io_uring_enter), EAGAIN);
	for (size_t i = 0; i < ARRAY_SIZE(p); i++) {
		p[i].op = (struct loop_op) { .done = probe_done, .ctx = &p[i] };
		loop_timer(l, &p[i].op, 0);
	}
	ck_assert_int_eq(loop_run(l, &e), -EAGAIN);
	ck_assert_msg(strstr(e.msg, "takes no more operations"), "%s", e.msg);
	loop_destroy(l);
}
END_TEST

UNIT_MAIN("loop", reads_and_writes, polls, failures_are_results,
	  files_are_written_in_order, files_that_the_loop_seeks,
	  deferred_once_and_in_order, deferred_without_end, a_timer_waits,
	  cancelled_operations, more_than_fit_the_ring,
	  events_from_another_thread, an_idle_loop_costs_nothing,
	  files_at_an_offset, files_are_written, files_are_synced_and_freed,
	  failures_of_files_are_results, as_many_files_as_there_is_room,
	  a_watch_stays, a_watch_is_of_the_events_asked_for,
	  a_task_at_the_end_of_a_batch, tasks_in_order,
	  tasks_do_not_starve_others, the_kernel_refuses_other_operations,
	  a_kernel_without_io_uring, a_host_that_forbids_io_uring,
	  too_little_locked_memory, a_kernel_without_the_flags,
	  a_kernel_that_takes_nothing)
