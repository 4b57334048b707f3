/*
 * The master of a pseudo-terminal can be read and written at any time, but it
 * must not be written while nobody has the slave open: what opens a terminal
 * often empties it first, to begin afresh. POLLHUP says that nobody has; that
 * somebody opened it again is an event of the slave's file, and of no poll.
 */
#include "pty.h"

#include <belfry/log.h>

#include "wire_end.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* What may wait for somebody to open it: the messages of a whole boot, or a
 * kernel that writes them here would not get through it alone. */
#define KEPT_LEN  (64 * KIB)
#define WRITE_LEN 4096
#define READ_LEN  1024

/* Who opens it has set it up, and emptied it, by then: nothing is written
 * before. */
#define OPENING_NS 50000000

struct pty {
	struct loop *loop;
	struct wire_end *end;
	void (*drained)(void *ctx);
	void *ctx;
	int fd; /* the master, not blocking */
	char name[32];

	int opens_fd; /* tells of each time the slave is opened */
	u8 opens[16 * sizeof(struct inotify_event)]; /* only that they are */
	struct loop_op opens_op, opening_op;

	u8 out[WRITE_LEN];
	size_t out_len, out_done;
	struct loop_op out_wait_op, out_op;
	bool draining;

	u8 in[READ_LEN];
	struct loop_op in_wait_op, in_op;
};

/* --- output --- */

/* Nothing to write, or nobody to write it to. */
static void rest(struct pty *p)
{
	if (!p->draining)
		return;
	p->draining = false;
	p->drained(p->ctx);
}

static void write_on(struct pty *p)
{
	if (p->out_wait_op.busy || p->out_op.busy || p->opening_op.busy)
		return;
	if (p->out_done == p->out_len) {
		p->out_len = wire_end_take(p->end, p->out, WRITE_LEN, false);
		p->out_done = 0;
	}
	if (p->out_len)
		loop_poll(p->loop, &p->out_wait_op, p->fd, POLLOUT);
	else
		rest(p);
}

static void out_ready(struct loop_op *op, int result)
{
	struct pty *p = op->ctx;

	if (result < 0 || (result & POLLHUP))
		rest(p);
	else
		loop_write(p->loop, &p->out_op, p->fd, p->out + p->out_done,
			   p->out_len - p->out_done);
}

static void out_done(struct loop_op *op, int result)
{
	struct pty *p = op->ctx;

	if (loop_failed(result)) {
		rest(p);
		return;
	}
	p->out_done += result > 0 ? (size_t)result : 0;
	write_on(p);
}

/* --- input --- */

static void read_on(struct pty *p)
{
	if (p->in_wait_op.busy || p->in_op.busy ||
	    wire_end_room(p->end) < READ_LEN)
		return;
	loop_poll(p->loop, &p->in_wait_op, p->fd, POLLIN);
}

/* Also if nobody has it open any more: they may have written before. */
static void in_ready(struct loop_op *op, int result)
{
	struct pty *p = op->ctx;

	loop_read(p->loop, &p->in_op, p->fd, p->in, READ_LEN);
}

/* It fails when all was read of who has closed it. */
static void in_done(struct loop_op *op, int result)
{
	struct pty *p = op->ctx;

	if (result > 0)
		wire_end_give(p->end, p->in, (size_t)result);
	if (result && !loop_failed(result))
		read_on(p);
}

/* --- somebody opens it --- */

static void take_size(struct pty *p)
{
	struct winsize size;

	if (!ioctl(p->fd, TIOCGWINSZ, &size))
		wire_end_resize(p->end, size.ws_col, size.ws_row);
}

static void opening_done(struct loop_op *op, int result)
{
	struct pty *p = op->ctx;

	take_size(p);
	read_on(p);
	write_on(p);
}

static void wait_for_opens(struct pty *p)
{
	loop_read(p->loop, &p->opens_op, p->opens_fd, p->opens,
		  sizeof(p->opens));
}

static void opens_done(struct loop_op *op, int result)
{
	struct pty *p = op->ctx;

	if (loop_failed(result))
		return;
	wait_for_opens(p);
	if (!p->opening_op.busy)
		loop_timer(p->loop, &p->opening_op, OPENING_NS);
}

/* --- the whole --- */

static void end_due(void *ctx)
{
	write_on(ctx);
}

static void end_taken(void *ctx)
{
	read_on(ctx);
}

/* A slave that no terminal program has set up passes every byte as it is. */
static int set_raw(int slave)
{
	struct termios t;

	if (tcgetattr(slave, &t))
		return -errno;
	cfmakeraw(&t);
	return tcsetattr(slave, TCSANOW, &t) ? -errno : 0;
}

/* Opened and closed, from where on there is POLLHUP. */
static int open_slave(struct pty *p, struct err *e)
{
	int fd = open(p->name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	int err = fd < 0 ? -errno : set_raw(fd);

	if (fd >= 0)
		close(fd);
	return err ? err_set(e, err, "hvc: open %s: %s", p->name,
			     strerror(-err))
		   : 0;
}

static int open_both(struct pty *p, struct err *e)
{
	p->fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (p->fd < 0 || grantpt(p->fd) || unlockpt(p->fd) ||
	    ptsname_r(p->fd, p->name, sizeof(p->name)))
		return err_set(
			e, -errno,
			"hvc: pseudo-terminal: %s: is devpts mounted on /dev/pts?",
			strerror(errno));
	return open_slave(p, e);
}

static int watch_opens(struct pty *p, struct err *e)
{
	p->opens_fd = inotify_init1(IN_CLOEXEC);
	if (p->opens_fd < 0)
		return err_set(
			e, -errno,
			"hvc: inotify: %s: raise sysctl fs.inotify.max_user_instances",
			strerror(errno));
	if (inotify_add_watch(p->opens_fd, p->name, IN_OPEN) < 0)
		return err_set(e, -errno, "hvc: inotify: %s: %s", p->name,
			       strerror(errno));
	return 0;
}

static void init(struct pty *p)
{
	p->fd = -1;
	p->opens_fd = -1;
	p->opens_op = (struct loop_op) { .done = opens_done, .ctx = p };
	p->opening_op = (struct loop_op) { .done = opening_done, .ctx = p };
	p->out_wait_op = (struct loop_op) { .done = out_ready, .ctx = p };
	p->out_op = (struct loop_op) { .done = out_done, .ctx = p };
	p->in_wait_op = (struct loop_op) { .done = in_ready, .ctx = p };
	p->in_op = (struct loop_op) { .done = in_done, .ctx = p };
}

struct pty *pty_create(struct loop *loop, void (*drained)(void *ctx), void *ctx,
		       struct err *e)
{
	struct pty *p = calloc(1, sizeof(*p));
	struct wire_end_setup s = {
		.loop = loop,
		.out_len = KEPT_LEN,
		.due = end_due,
		.taken = end_taken,
		.ctx = p,
	};

	if (!p) {
		err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	init(p);
	p->loop = loop;
	p->drained = drained;
	p->ctx = ctx;
	if (open_both(p, e) || watch_opens(p, e))
		goto out;
	p->end = wire_end_create(&s, e);
	if (p->end)
		return p;
out:
	pty_destroy(p);
	return NULL;
}

void pty_destroy(struct pty *p)
{
	if (!p)
		return;
	wire_end_destroy(p->end);
	if (p->opens_fd >= 0)
		close(p->opens_fd);
	if (p->fd >= 0)
		close(p->fd);
	free(p);
}

struct chars_wire pty_wire(struct pty *p)
{
	return wire_end_wire(p->end);
}

void pty_start(struct pty *p, struct chars_port port)
{
	log_info("hvc0 is %s", p->name);
	wire_end_start(p->end, port);
	wait_for_opens(p);
	read_on(p);
	write_on(p);
}

void pty_drain(struct pty *p)
{
	p->draining = true;
	wire_end_flush(p->end);
	write_on(p);
}
