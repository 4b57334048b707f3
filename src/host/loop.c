#include <belfry/loop.h>

#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

/* Operations between two submissions; more are submitted on the way. */
#define ENTRIES 64
/* Operations done between two looks. The kernel keeps what is beyond, too,
 * but at a price. */
#define COMPLETIONS 512

struct loop {
	struct io_uring ring;
	bool stop;
	int err;                    /* why the kernel takes no more */
	struct io_uring_sqe untold; /* what it does not take */
	u32 files;
	struct loop_task *due, **due_last;
};

/* What the ring may do once enabled; everything else fails with -EACCES. */
static int restrict_ring(struct io_uring *ring)
{
	static const u8 allowed[] = {
		IORING_OP_READ,     IORING_OP_WRITE,        IORING_OP_TIMEOUT,
		IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL, IORING_OP_READV,
		IORING_OP_WRITEV,   IORING_OP_FSYNC,        IORING_OP_FALLOCATE,
	};
	struct io_uring_restriction r[ARRAY_SIZE(allowed) + 2] = {
		{ .opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED,
		  .sqe_flags = IOSQE_FIXED_FILE },
		{ .opcode = IORING_RESTRICTION_REGISTER_OP,
		  .register_op = IORING_REGISTER_FILES_UPDATE },
	};
	int err;

	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++) {
		r[i + 2].opcode = IORING_RESTRICTION_SQE_OP;
		r[i + 2].sqe_op = allowed[i];
	}
	err = io_uring_register_files_sparse(ring, LOOP_FILES_MAX);
	if (!err)
		err = io_uring_register_restrictions(ring, r, ARRAY_SIZE(r));
	return err ? err : io_uring_enable_rings(ring);
}

static int ring_error(int err, struct err *e)
{
	switch (err) {
	case -ENOSYS:
		return err_set(
			e, err,
			"io_uring: this host's kernel was built without it (CONFIG_IO_URING); Belfry needs Linux 5.19 or newer with it");
	case -EPERM:
	case -EACCES:
		return err_set(
			e, err,
			"io_uring: forbidden on this host: set sysctl kernel.io_uring_disabled=0, or allow it in the container's seccomp profile");
	case -ENOMEM:
		return err_set(
			e, err,
			"io_uring: not enough locked memory: raise `ulimit -l`");
	default:
		return err_set(e, err, "io_uring: %s", strerror(-err));
	}
}

/* The best the kernel knows; older ones refuse flags they do not. */
static int ring_init(struct io_uring *ring)
{
	static const unsigned flags[] = {
		IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER |
			IORING_SETUP_DEFER_TASKRUN,
		IORING_SETUP_R_DISABLED,
	};
	int err = -EINVAL;

	for (size_t i = 0; err == -EINVAL && i < ARRAY_SIZE(flags); i++) {
		struct io_uring_params p = {
			.flags = flags[i] | IORING_SETUP_CQSIZE,
			.cq_entries = COMPLETIONS,
		};

		err = io_uring_queue_init_params(ENTRIES, ring, &p);
	}
	return err;
}

struct loop *loop_create(struct err *e)
{
	struct loop *l = calloc(1, sizeof(*l));
	int err;

	if (!l) {
		err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	l->due_last = &l->due;
	err = ring_init(&l->ring);
	if (err) {
		ring_error(err, e);
		goto out_free;
	}
	err = restrict_ring(&l->ring);
	if (err) {
		ring_error(err, e);
		goto out_ring;
	}
	return l;

out_ring:
	io_uring_queue_exit(&l->ring);
out_free:
	free(l);
	return NULL;
}

void loop_destroy(struct loop *l)
{
	if (!l)
		return;
	io_uring_queue_exit(&l->ring);
	free(l);
}

/* A free submission entry; the ring is emptied into the kernel if full. Where
 * that fails, for want of memory, an operation is lost, and the loop with it:
 * but in loop_run, whose callers can unwind. */
static struct io_uring_sqe *entry(struct loop *l)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&l->ring);
	int err;

	if (sqe)
		return sqe;
	err = io_uring_submit(&l->ring);
	sqe = io_uring_get_sqe(&l->ring);
	if (sqe)
		return sqe;
	l->err = err < 0 ? err : -EAGAIN;
	return &l->untold;
}

static struct io_uring_sqe *start(struct loop *l, struct loop_op *op)
{
	assert(!op->busy);
	op->busy = true;
	return entry(l);
}

bool loop_seeks(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISREG(st.st_mode);
}

/* Where it is to be done; -1: wherever the descriptor is. */
static u64 position(struct loop_op *op, int fd)
{
	op->fd = fd;
	op->at = op->seeks ? lseek(fd, 0, SEEK_CUR) : -1;
	return (u64)op->at;
}

/* From where it was. */
static void move(const struct loop_op *op, int done)
{
	if (op->seeks && op->at >= 0 && done > 0)
		lseek(op->fd, op->at + done, SEEK_SET);
}

void loop_read(struct loop *l, struct loop_op *op, int fd, void *buf,
	       size_t len)
{
	struct io_uring_sqe *sqe = start(l, op);

	io_uring_prep_read(sqe, fd, buf, (unsigned)len, position(op, fd));
	io_uring_sqe_set_data(sqe, op);
}

void loop_write(struct loop *l, struct loop_op *op, int fd, const void *buf,
		size_t len)
{
	struct io_uring_sqe *sqe = start(l, op);

	io_uring_prep_write(sqe, fd, buf, (unsigned)len, position(op, fd));
	io_uring_sqe_set_data(sqe, op);
}

void loop_poll(struct loop *l, struct loop_op *op, int fd, u32 events)
{
	struct io_uring_sqe *sqe = start(l, op);

	io_uring_prep_poll_add(sqe, fd, events);
	io_uring_sqe_set_data(sqe, op);
}

void loop_watch(struct loop *l, struct loop_op *op, int fd, u32 events)
{
	struct io_uring_sqe *sqe = start(l, op);

	io_uring_prep_poll_multishot(sqe, fd, events);
	io_uring_sqe_set_data(sqe, op);
}

int loop_file_add(struct loop *l, struct loop_file *f, int fd, struct err *e)
{
	int n;

	if (l->files == LOOP_FILES_MAX)
		return err_set(e, -ENFILE, "more than %d files for devices",
			       LOOP_FILES_MAX);
	n = io_uring_register_files_update(&l->ring, l->files, &fd, 1);
	if (n < 0)
		return err_set(e, n, "io_uring: register a file: %s",
			       strerror(-n));
	f->index = l->files++;
	return 0;
}

/* After the preparation, which clears both. */
static void finish_file(struct io_uring_sqe *sqe, struct loop_op *op)
{
	io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	io_uring_sqe_set_data(sqe, op);
}

void loop_file_readv(struct loop *l, struct loop_op *op, struct loop_file f,
		     const struct iovec *iov, u32 nr, u64 off)
{
	struct io_uring_sqe *sqe = start(l, op);

	/* One piece, as most are, spares the kernel a copy of the iovec. */
	if (nr == 1)
		io_uring_prep_read(sqe, (int)f.index, iov->iov_base,
				   (unsigned)iov->iov_len, off);
	else
		io_uring_prep_readv(sqe, (int)f.index, iov, nr, off);
	finish_file(sqe, op);
}

void loop_file_writev(struct loop *l, struct loop_op *op, struct loop_file f,
		      const struct iovec *iov, u32 nr, u64 off, bool dsync)
{
	struct io_uring_sqe *sqe = start(l, op);

	if (nr == 1)
		io_uring_prep_write(sqe, (int)f.index, iov->iov_base,
				    (unsigned)iov->iov_len, off);
	else
		io_uring_prep_writev(sqe, (int)f.index, iov, nr, off);
	sqe->rw_flags = dsync ? RWF_DSYNC : 0;
	finish_file(sqe, op);
}

void loop_file_sync(struct loop *l, struct loop_op *op, struct loop_file f)
{
	struct io_uring_sqe *sqe = start(l, op);

	io_uring_prep_fsync(sqe, (int)f.index, IORING_FSYNC_DATASYNC);
	finish_file(sqe, op);
}

void loop_file_allocate(struct loop *l, struct loop_op *op, struct loop_file f,
			int mode, u64 off, u64 len)
{
	struct io_uring_sqe *sqe = start(l, op);

	io_uring_prep_fallocate(sqe, (int)f.index, mode, (off_t)off,
				(off_t)len);
	finish_file(sqe, op);
}

void loop_defer(struct loop *l, struct loop_task *t)
{
	if (t->due)
		return;
	t->due = true;
	t->next = NULL;
	*l->due_last = t;
	l->due_last = &t->next;
}

/* What these defer in turn waits for the next round. */
static void run_deferred(struct loop *l)
{
	struct loop_task *t = l->due;

	l->due = NULL;
	l->due_last = &l->due;
	while (t) {
		struct loop_task *next = t->next;

		t->due = false;
		t->call(t->ctx);
		t = next;
	}
}

void loop_timer(struct loop *l, struct loop_op *op, u64 ns)
{
	struct io_uring_sqe *sqe = start(l, op);
	static_assert(sizeof(op->when) == sizeof(struct __kernel_timespec),
		      "io_uring reads it as one");

	op->when.sec = (s64)(ns / 1000000000);
	op->when.nsec = (s64)(ns % 1000000000);
	io_uring_prep_timeout(sqe, (void *)&op->when, 0, 0);
	io_uring_sqe_set_data(sqe, op);
}

void loop_cancel(struct loop *l, struct loop_op *op)
{
	struct io_uring_sqe *sqe;

	if (!op->busy)
		return;
	sqe = entry(l);
	io_uring_prep_cancel(sqe, op, 0);
	io_uring_sqe_set_data(sqe, NULL);
}

static void complete(struct io_uring_cqe *cqe)
{
	struct loop_op *op = io_uring_cqe_get_data(cqe);
	int result = cqe->res;

	if (!op)
		return; /* a cancellation's own result */
	op->busy = cqe->flags & IORING_CQE_F_MORE;
	move(op, result);
	op->done(op, result == -ETIME ? 0 : result);
}

int loop_run(struct loop *l, struct err *e)
{
	struct io_uring_cqe *cqe;

	for (l->stop = false; !l->stop && !l->err;) {
		/* What was deferred by what was deferred must not wait; nor
		 * must completions, which a submission alone does not fetch. */
		int err = l->due ? io_uring_submit_and_get_events(&l->ring)
				 : io_uring_submit_and_wait(&l->ring, 1);

		/* -EBUSY: completions must be fetched first. */
		if (err < 0 && err != -EINTR && err != -EAGAIN && err != -EBUSY)
			return err_set(e, err, "io_uring: %s", strerror(-err));
		while (!io_uring_peek_cqe(&l->ring, &cqe)) {
			complete(cqe);
			io_uring_cqe_seen(&l->ring, cqe);
		}
		run_deferred(l);
	}
	return !l->err ? 0
		       : err_set(e, l->err,
				 "io_uring: the kernel takes no more operations: %s",
				 strerror(-l->err));
}

void loop_stop(struct loop *l)
{
	l->stop = true;
}

static void event_done(struct loop_op *op, int result)
{
	struct loop_event *v = container_of(op, struct loop_event, op);

	if (loop_failed(result))
		return;
	loop_read(v->loop, &v->op, v->fd, &v->count, sizeof(v->count));
	if (result > 0)
		v->fired(v->ctx);
}

int loop_event_init(struct loop_event *v, struct loop *l,
		    void (*fired)(void *ctx), void *ctx, struct err *e)
{
	*v = (struct loop_event) {
		.op.done = event_done, .loop = l, .fired = fired, .ctx = ctx
	};
	v->fd = eventfd(0, EFD_CLOEXEC);
	if (v->fd < 0)
		return err_set(e, -errno, "eventfd: %s", strerror(errno));
	loop_read(l, &v->op, v->fd, &v->count, sizeof(v->count));
	return 0;
}

void loop_event_fini(struct loop_event *v)
{
	if (v->fd >= 0)
		close(v->fd);
	v->fd = -1;
}

void loop_event_fire(struct loop_event *v)
{
	u64 one = 1;

	/* Can fail only at 2^64 - 1 unseen events. */
	if (write(v->fd, &one, sizeof(one)) < 0)
		return;
}
