/*
 * The event loop: one io_uring, one thread, completions as calls.
 *
 * An operation is a struct its owner keeps until it is done; the loop
 * allocates nothing while it runs. All calls are the loop's thread's, except
 * loop_event_fire. The ring takes only the operations offered here: the kernel
 * refuses others, so it is no way round the sandbox.
 */
#ifndef BELFRY_LOOP_H
#define BELFRY_LOOP_H

#include <belfry/base.h>
#include <belfry/err.h>

#include <errno.h>
#include <sys/uio.h>

struct loop;

/*
 * One thing asked of the kernel. @done is called once, from loop_run, with
 * what the system call would have returned (-errno on failure, -ECANCELED
 * after loop_cancel); it may start the operation again. Zero all but @done,
 * @ctx and @seeks before first use.
 */
struct loop_op {
	void (*done)(struct loop_op *op, int result);
	void *ctx;
	bool seeks; /* of loop_seeks, for what the operation reads or writes */
	bool busy;  /* started and not done; read-only for the owner */
	struct {
		s64 sec;
		s64 nsec;
	} when;
	int fd;
	s64 at;
};

/* Did a wait fail for good? One that was interrupted is begun again. */
static inline bool loop_failed(int result)
{
	return result < 0 && result != -EINTR && result != -EAGAIN;
}

/*
 * An owned loop, or NULL and a message: io_uring may be missing or forbidden,
 * and the message says how to allow it.
 */
struct loop *loop_create(struct err *e);
/* Operations still busy are dropped without their @done. */
void loop_destroy(struct loop *l);

/*
 * Is @fd a file that is read and written at a position of its own? The kernel
 * does not move that where a write ends later than the call, as in a file of
 * 9p's; with op->seeks the loop does.
 */
bool loop_seeks(int fd);

/* Start an operation, which must not be busy. @buf is borrowed until done;
 * reads and writes are at the descriptor's own position. */
void loop_read(struct loop *l, struct loop_op *op, int fd, void *buf,
	       size_t len);
void loop_write(struct loop *l, struct loop_op *op, int fd, const void *buf,
		size_t len);
/* Done once @fd has one of @events (poll(2)), with those it has: for
 * descriptors that others made non-blocking, whose reads and writes end with
 * -EAGAIN. */
void loop_poll(struct loop *l, struct loop_op *op, int fd, u32 events);
/*
 * Done again and again: each time @fd comes to have one of @events, with those
 * it has. Stays busy until a last call with a negative result, which is
 * -ECANCELED after loop_cancel. Of an eventfd each write is one event: it need
 * not be read.
 */
void loop_watch(struct loop *l, struct loop_op *op, int fd, u32 events);
/* Done once, @ns from now, with 0. */
void loop_timer(struct loop *l, struct loop_op *op, u64 ns);
/* A busy operation will be done soon, with -ECANCELED if not with its result.
 */
void loop_cancel(struct loop *l, struct loop_op *op);

/*
 * Files that requests for devices go to. Registered with the ring once, so
 * that the kernel looks each up for nothing; @fd stays the caller's. Before
 * the thread is confined. -errno and a message if the table is full.
 */
#define LOOP_FILES_MAX 64
struct loop_file {
	u32 index;
};
MUST_CHECK int loop_file_add(struct loop *l, struct loop_file *f, int fd,
			     struct err *e);

/* At offset @off. The iovecs are borrowed until done, too. @dsync: done once
 * it is on stable storage. */
void loop_file_readv(struct loop *l, struct loop_op *op, struct loop_file f,
		     const struct iovec *iov, u32 nr, u64 off);
void loop_file_writev(struct loop *l, struct loop_op *op, struct loop_file f,
		      const struct iovec *iov, u32 nr, u64 off, bool dsync);
/* fdatasync(2), fallocate(2). */
void loop_file_sync(struct loop *l, struct loop_op *op, struct loop_file f);
void loop_file_allocate(struct loop *l, struct loop_op *op, struct loop_file f,
			int mode, u64 off, u64 len);

/*
 * Something to do once the completions at hand have all been called: to show
 * a batch at its end, say. Zero all but @call and @ctx before first use.
 */
struct loop_task {
	void (*call)(void *ctx);
	void *ctx;
	bool due; /* read-only for the owner */
	struct loop_task *next;
};
/* Nothing if it is due already. */
void loop_defer(struct loop *l, struct loop_task *t);

/* Run until loop_stop. Returns -errno if the ring itself fails. */
MUST_CHECK int loop_run(struct loop *l, struct err *e);
/* Make loop_run return after the completions at hand. */
void loop_stop(struct loop *l);

/* How other threads reach the loop: an eventfd and a call. */
struct loop_event {
	struct loop_op op;
	struct loop *loop;
	int fd;
	u64 count;
	void (*fired)(void *ctx);
	void *ctx;
};

/* -errno if there is no descriptor left. @fired runs on the loop's thread. */
MUST_CHECK int loop_event_init(struct loop_event *v, struct loop *l,
			       void (*fired)(void *ctx), void *ctx,
			       struct err *e);
void loop_event_fini(struct loop_event *v);
/* Any thread, any time, never waits. Several at once may be one call. */
void loop_event_fire(struct loop_event *v);

#endif
