/*
 * The network device: frames go between a TAP's descriptors and the guest's
 * own buffers, in one system call each and without a copy in between.
 *
 * Every queue is a flow. Something happens (the driver kicks, the TAP becomes
 * readable or writable), the flow is due, and once the events at hand are all
 * seen it takes steps, a frame each, until there is nothing to do or it had
 * its share; then the driver is shown what was done and interrupted once.
 *
 * A TAP's frame cannot be looked at before it is read, and it is cut to what
 * it is read into. So a frame is read into the guest's buffers, as many as the
 * frames before it needed, and behind them into a buffer of ours. A frame that
 * reaches that needs more than was taken: it is put together in our buffer and
 * copied once there is enough. It waits as long as the driver may add buffers,
 * and is dropped where that would not help: a frame is to have one buffer
 * (without VIRTIO_NET_F_MRG_RXBUF), or the queue is full of what is too little.
 *
 * While the driver offers no buffers frames stay in the TAP, which drops what
 * comes when it is full.
 *
 * There is no filter (VIRTIO_NET_F_CTRL_RX): a TAP gives all that reaches it,
 * and a driver that knows so filters itself.
 *
 * The link is down while the interface is. That is looked at when the driver
 * starts and when the TAP refuses a frame; that it is up again is an event of
 * the TAP's. So it costs nothing, and a driver that sends nothing is not told
 * that it could not.
 *
 * All of this is the event loop's thread. VIRTIO 1.2, 5.1.
 */
#include <belfry/net.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

/* Feature bits, 5.1.3. */
#define F_CSUM                BIT(0)
#define F_GUEST_CSUM          BIT(1)
#define F_CTRL_GUEST_OFFLOADS BIT(2)
#define F_MTU                 BIT(3)
#define F_MAC                 BIT(5)
#define F_GUEST_TSO4          BIT(7)
#define F_GUEST_TSO6          BIT(8)
#define F_GUEST_ECN           BIT(9)
#define F_GUEST_UFO           BIT(10)
#define F_HOST_TSO4           BIT(11)
#define F_HOST_TSO6           BIT(12)
#define F_HOST_ECN            BIT(13)
#define F_HOST_UFO            BIT(14)
#define F_MRG_RXBUF           BIT(15)
#define F_STATUS              BIT(16)
#define F_CTRL_VQ             BIT(17)
#define F_MQ                  BIT(22)
#define F_GUEST_USO4          BIT(54)
#define F_GUEST_USO6          BIT(55)
#define F_HOST_USO            BIT(56)

/* Device configuration, 5.1.4, as far as its features are offered. */
struct config {
	u8 mac[6];
	u16 status, max_virtqueue_pairs, mtu;
};
static_assert(sizeof(struct config) == 12, "VIRTIO 1.2, 5.1.4");

#define S_LINK_UP 1

/* In front of every frame, 5.1.6; the TAP's own. */
struct header {
	u8 flags, gso_type;
	u16 hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};
static_assert(sizeof(struct header) == TAP_HEADER_LEN, "VIRTIO 1.2, 5.1.6");

/* A frame and its header. More than 64 KiB, with Ethernet's header and a VLAN
 * tag, a TAP does not have. */
#define FRAME_MIN  (sizeof(struct header) + 14)
#define FRAME_MAX  (64 * KIB + 64)

#define QUEUE_SIZE 256

/* What readv and writev take at once; a chain of a whole queue is less, also
 * if an IOMMU scatters it. */
#define IOVS 1024

/* A flow's share, in bytes, and what a step counts for at least. */
#define SHARE    (512 * KIB)
#define STEP_MIN (8 * KIB)

/* Frames that may wait for a driver that is gone: queues are 1000 long. */
#define STALE_MAX 4096

struct flow {
	struct net *net;
	u32 index; /* of the virtqueue */
	int fd;
	bool on;
	/* > 0: what it cost, go on; 0: not before something happens; -errno:
	 * the queue has broken. */
	int (*step)(struct flow *f, struct virtq *q);
	struct loop_task task;
	struct loop_op op; /* receiver: waits for a frame; sender: for room */
};

struct receiver {
	struct flow flow;
	bool lost;  /* the TAP gives no more */
	u32 expect; /* as much as frames take lately */
	u32 kept;   /* bytes of a frame in @frame that waits for buffers */
	u8 frame[FRAME_MAX];
};

struct pair {
	struct receiver rx;
	struct flow tx;
};

/* Buffers taken from a receive queue. */
struct space {
	u32 nr, iovs;
	u64 len;
	bool all; /* the driver has no more for now */
	struct {
		u16 head;
		u64 len;
	} buffer[QUEUE_SIZE];
};

struct net {
	struct virtio *virtio;
	struct loop *loop;
	struct tap *tap;
	const char *name;
	u64 features; /* agreed */
	u32 pairs;    /* attached to the interface: those in use */
	bool up;      /* as the driver sees it */
	u64 dropped;
	struct loop_op link; /* waits for the interface to be up */
	struct flow ctrl;
	struct space space;
	struct iovec iov[IOVS];
	struct pair pair[];
};

/* --- offloads --- */

/* What of the TAP's is which features, if the driver has them all. */
static const struct {
	u32 tap;
	u64 host, guest;
} offloads[] = {
	{ TAP_CSUM, F_CSUM, F_GUEST_CSUM },
	{ TAP_TSO4, F_HOST_TSO4, F_GUEST_TSO4 },
	{ TAP_TSO6, F_HOST_TSO6, F_GUEST_TSO6 },
	{ TAP_TSO_ECN, F_HOST_ECN, F_GUEST_ECN },
	{ TAP_UFO, F_HOST_UFO, F_GUEST_UFO },
	{ TAP_USO, F_HOST_USO, F_GUEST_USO4 | F_GUEST_USO6 },
};

static u64 guest_offloads(void)
{
	u64 all = 0;

	for (size_t i = 0; i < ARRAY_SIZE(offloads); i++)
		all |= offloads[i].guest;
	return all;
}

static u32 tap_offloads(u64 guest)
{
	u32 tap = 0;

	for (size_t i = 0; i < ARRAY_SIZE(offloads); i++)
		if ((guest & offloads[i].guest) == offloads[i].guest)
			tap |= offloads[i].tap;
	return tap;
}

static u64 offered(const struct net_setup *s)
{
	u64 f = F_MAC | F_STATUS | F_MRG_RXBUF;

	for (size_t i = 0; s->offload && i < ARRAY_SIZE(offloads); i++)
		if (s->tap->offloads & offloads[i].tap)
			f |= offloads[i].host | offloads[i].guest;
	if (f & F_GUEST_CSUM)
		f |= F_CTRL_VQ | F_CTRL_GUEST_OFFLOADS;
	if (s->tap->queues > 1)
		f |= F_CTRL_VQ | F_MQ;
	return s->mtu ? f | F_MTU : f;
}

/* --- flows --- */

static void flow_run(void *ctx)
{
	struct flow *f = ctx;
	struct virtio *v = f->net->virtio;
	struct virtq *q = f->on ? virtio_queue(v, f->index) : NULL;
	int left = SHARE, cost;

	if (!q)
		return;
	virtq_quiet(q);
	do {
		cost = f->step(f, q);
		left -= MAX(cost, (int)STEP_MIN);
	} while (cost > 0 && left > 0);
	if (cost > 0)
		loop_defer(f->net->loop, &f->task);
	virtio_show(v, f->index);
}

static void flow_wake(struct flow *f)
{
	if (f->on)
		loop_defer(f->net->loop, &f->task);
}

/* The driver offers nothing: for a step to return. */
static int flow_idle(struct virtq *q)
{
	if (!virtq_listen(q))
		return 0;
	virtq_quiet(q);
	return 1;
}

/* --- the link --- */

static void set_link(struct net *n, bool up)
{
	u16 status = htole16(up ? S_LINK_UP : 0);

	n->up = up;
	virtio_config_set(n->virtio, offsetof(struct config, status), &status,
			  sizeof(status));
}

static void check_link(struct net *n)
{
	bool up = tap_is_up(n->tap);

	if (up != n->up)
		set_link(n, up);
	if (!up && !n->link.busy)
		loop_poll(n->loop, &n->link, n->tap->fds[0], POLLOUT);
}

/* --- receiving --- */

static bool mergeable(const struct net *n)
{
	return n->features & F_MRG_RXBUF;
}

/* Take buffers for @want bytes, or what there is; -EPROTO if one is not fit. */
static int take_space(struct net *n, struct virtq *q, u32 want)
{
	struct space *s = &n->space;

	s->nr = s->iovs = 0;
	s->len = 0;
	s->all = false;
	do {
		/* The last iovec is for our own buffer. */
		struct virtq_chain c = { .iov = n->iov + s->iovs,
					 .iov_max = IOVS - 1 - s->iovs };
		int got = virtq_pop(q, &c);

		if (got <= 0) {
			s->all = true;
			return got;
		}
		if (c.out_nr || c.in_len < sizeof(struct header)) {
			virtq_break(
				q,
				"a receive buffer of %llu bytes, %llu more to read",
				(unsigned long long)c.in_len,
				(unsigned long long)c.out_len);
			return -EPROTO;
		}
		s->buffer[s->nr].head = c.head;
		s->buffer[s->nr++].len = c.in_len;
		s->iovs += c.in_nr;
		s->len += c.in_len;
	} while (mergeable(n) && s->len < want && s->nr < QUEUE_SIZE &&
		 s->iovs <= IOVS / 2);
	return 0;
}

/* A frame of @len bytes is in the space taken: hand over what it fills. */
static void give_frame(struct net *n, struct virtq *q, u32 len)
{
	const struct space *s = &n->space;
	struct virtq_chain all = { .iov = n->iov, .in_nr = s->iovs };
	u32 nr = 0, left;
	u16 num_buffers;

	for (u64 room = 0; room < len; nr++)
		room += s->buffer[nr].len;
	virtq_unpop(q, s->nr - nr);

	num_buffers = htole16((u16)nr);
	virtq_chain_write(&all, offsetof(struct header, num_buffers),
			  &num_buffers, sizeof(num_buffers));
	/* A TAP says which checksums it knows to be good, asked or not. */
	if (!(n->features & F_GUEST_CSUM))
		virtq_chain_write(&all, offsetof(struct header, flags), "", 1);

	left = len;
	for (u32 i = 0; i < nr; i++) {
		u32 here = (u32)MIN(left, s->buffer[i].len);

		virtq_push(q, s->buffer[i].head, here);
		left -= here;
	}
}

/* What was taken does not do. */
static int receive_short(struct receiver *rx, struct virtq *q)
{
	struct net *n = rx->flow.net;
	const struct space *s = &n->space;
	int cost = (int)rx->kept;

	if (s->all && s->nr < q->size) {
		/* Before it is put back: what we look for comes after it. */
		cost = flow_idle(q);
	} else {
		rx->kept = 0;
		n->dropped++;
	}
	virtq_unpop(q, s->nr);
	return cost;
}

static int receive_kept(struct receiver *rx, struct virtq *q)
{
	struct net *n = rx->flow.net;
	struct virtq_chain all = { .iov = n->iov, .in_nr = n->space.iovs };
	u32 len = rx->kept;

	virtq_chain_write(&all, 0, rx->frame, len);
	rx->kept = 0;
	give_frame(n, q, len);
	return (int)len;
}

/* The frame, whose end is in our buffer, does not fit what was taken. */
static void keep_frame(struct receiver *rx, struct virtq *q, u32 len)
{
	struct net *n = rx->flow.net;
	struct virtq_chain all = { .iov = n->iov, .out_nr = n->space.iovs };

	virtq_chain_read(&all, 0, rx->frame, n->space.len);
	virtq_unpop(q, n->space.nr);
	rx->kept = len;
}

/* Mostly because the interface was removed. */
static void receive_lost(struct receiver *rx, ssize_t result)
{
	struct net *n = rx->flow.net;

	log_warn("%s: interface %s gives no more frames: %s", n->name,
		 n->tap->name, result < 0 ? strerror(errno) : "end of file");
	rx->lost = true;
	loop_cancel(n->loop, &rx->flow.op);
	check_link(n);
}

/* There was no frame: be told of the next. Only now, because one who waits is
 * woken by each frame, also while it is at work on those before. */
static void receive_wait(struct receiver *rx)
{
	struct flow *f = &rx->flow;

	if (!f->op.busy)
		loop_poll(f->net->loop, &f->op, f->fd, POLLIN);
}

/* The kernel had a frame whose kind no header can express (tun_put_user), and
 * dropped it; the next may be as good as any. */
static int receive_bad(struct net *n)
{
	n->dropped++;
	return 1;
}

static int receive_frame(struct receiver *rx, struct virtq *q)
{
	struct net *n = rx->flow.net;
	struct space *s = &n->space;
	size_t room = MIN(s->len, FRAME_MAX);
	ssize_t len;

	n->iov[s->iovs] = (struct iovec) { rx->frame + room, FRAME_MAX - room };
	len = readv(rx->flow.fd, n->iov, (int)s->iovs + (room < FRAME_MAX));
	if (len < (ssize_t)sizeof(struct header)) {
		virtq_unpop(q, s->nr);
		if (len < 0 && errno == EINVAL)
			return receive_bad(n);
		if (len < 0 && errno == EAGAIN)
			receive_wait(rx);
		else
			receive_lost(rx, len);
		return 0;
	}
	rx->expect = MAX((u32)len, rx->expect - rx->expect / 16);
	if ((size_t)len <= s->len)
		give_frame(n, q, (u32)len);
	else
		keep_frame(rx, q, (u32)len);
	return (int)len;
}

static int receive_step(struct flow *f, struct virtq *q)
{
	struct receiver *rx = container_of(f, struct receiver, flow);
	u32 want = rx->kept ? rx->kept : rx->expect;
	int err = rx->lost ? 0 : take_space(f->net, q, want);

	if (rx->lost || err)
		return err;
	if (f->net->space.len < MAX(rx->kept, 1u))
		return receive_short(rx, q);
	return rx->kept ? receive_kept(rx, q) : receive_frame(rx, q);
}

/* --- sending --- */

/* 0: it is sent, or dropped; -EAGAIN: it has to wait. */
static int send_frame(struct flow *f, struct virtq *q,
		      const struct virtq_chain *c)
{
	struct net *n = f->net;

	if (c->out_len < FRAME_MIN || c->out_len > FRAME_MAX) {
		guest_fault(q->faults, "a frame of %llu bytes with its header",
			    (unsigned long long)c->out_len);
		n->dropped++;
		return 0;
	}
	if (writev(f->fd, c->iov, (int)c->out_nr) >= 0)
		return 0;
	if (errno == EAGAIN)
		return -EAGAIN;
	n->dropped++;
	if (errno == EIO && n->up)
		check_link(n);
	return 0;
}

static int send_step(struct flow *f, struct virtq *q)
{
	struct net *n = f->net;
	struct virtq_chain c = { .iov = n->iov, .iov_max = IOVS };
	int got = f->op.busy ? 0 : virtq_pop(q, &c);

	if (f->op.busy || got < 0)
		return got;
	if (!got)
		return flow_idle(q);
	if (c.in_nr) {
		virtq_break(q, "a frame to send, to be written to");
		return -EPROTO;
	}
	if (send_frame(f, q, &c)) {
		virtq_unpop(q, 1);
		loop_poll(n->loop, &f->op, f->fd, POLLOUT);
		return 0;
	}
	virtq_push(q, c.head, 0);
	return 1 + (int)MIN(c.out_len, FRAME_MAX);
}

/* --- pairs --- */

static void pair_on(struct pair *p)
{
	if (p->tx.on)
		return;
	p->rx.flow.on = p->tx.on = true;
	p->rx.lost = false;
	p->rx.kept = p->rx.expect = 0;
	flow_wake(&p->rx.flow);
	flow_wake(&p->tx);
}

static void pair_off(struct pair *p)
{
	p->rx.flow.on = p->tx.on = false;
	loop_cancel(p->tx.net->loop, &p->rx.flow.op);
}

static int attach_pairs(struct net *n, u32 nr)
{
	int err = 0;

	while (!err && n->pairs < nr) {
		err = tap_set_queue(n->tap, n->pairs, true);
		n->pairs += !err;
	}
	while (!err && n->pairs > nr) {
		err = tap_set_queue(n->tap, n->pairs - 1, false);
		n->pairs -= !err;
	}
	return err;
}

/* Use the first @nr pairs, or as many as before where that fails. */
static int set_pairs(struct net *n, u32 nr)
{
	u32 before = n->pairs;
	int err = attach_pairs(n, nr);

	if (err && attach_pairs(n, MIN(before, n->pairs)))
		log_warn("%s: interface %s keeps %u queues", n->name,
			 n->tap->name, n->pairs);
	for (u32 i = 0; i < n->tap->queues; i++)
		if (i < n->pairs)
			pair_on(&n->pair[i]);
		else
			pair_off(&n->pair[i]);
	return err;
}

/* --- commands, 5.1.6.5 --- */

/* The first byte of a command chooses the class, the second the command. */
#define CTRL_MQ                 4
#define CTRL_MQ_VQ_PAIRS_SET    0
#define CTRL_GUEST_OFFLOADS     5
#define CTRL_GUEST_OFFLOADS_SET 0

#define CTRL_OK                 0
#define CTRL_ERR                1

union ctrl_data {
	u16 pairs;
	u64 offloads;
};

static int command_pairs(struct net *n, const union ctrl_data *d)
{
	u32 nr = le16toh(d->pairs);

	return nr && nr <= n->tap->queues ? set_pairs(n, nr) : -EINVAL;
}

static int command_offloads(struct net *n, const union ctrl_data *d)
{
	u64 set = le64toh(d->offloads);

	if (set & ~(n->features & guest_offloads()))
		return -EINVAL;
	return tap_set_offloads(n->tap, tap_offloads(set));
}

static const struct {
	u8 class, command, len;
	u64 feature;
	int (*run)(struct net *n, const union ctrl_data *d);
} commands[] = {
	{ CTRL_MQ, CTRL_MQ_VQ_PAIRS_SET, sizeof(u16), F_MQ, command_pairs },
	{ CTRL_GUEST_OFFLOADS, CTRL_GUEST_OFFLOADS_SET, sizeof(u64),
	  F_CTRL_GUEST_OFFLOADS, command_offloads },
};

static u8 run_command(struct net *n, const struct virtq_chain *c)
{
	union ctrl_data data = { .offloads = 0 };
	u8 which[2];

	virtq_chain_read(c, 0, which, sizeof(which));
	virtq_chain_read(c, sizeof(which), &data, sizeof(data));
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (which[0] == commands[i].class &&
		    which[1] == commands[i].command &&
		    c->out_len == sizeof(which) + commands[i].len &&
		    (n->features & commands[i].feature))
			return commands[i].run(n, &data) ? CTRL_ERR : CTRL_OK;
	return CTRL_ERR;
}

static int ctrl_step(struct flow *f, struct virtq *q)
{
	struct net *n = f->net;
	struct virtq_chain c = { .iov = n->iov, .iov_max = IOVS };
	int got = virtq_pop(q, &c);
	u8 ack;

	if (got <= 0)
		return got ? got : flow_idle(q);
	if (c.out_len < 2 || !c.in_len) {
		virtq_break(q, "a command of %llu bytes, %llu for the answer",
			    (unsigned long long)c.out_len,
			    (unsigned long long)c.in_len);
		return -EPROTO;
	}
	ack = run_command(n, &c);
	virtq_chain_write(&c, 0, &ack, sizeof(ack));
	virtq_push(q, c.head, sizeof(ack));
	return 1;
}

/* --- start and stop --- */

static void flow_ready(struct loop_op *op, int result)
{
	flow_wake(container_of(op, struct flow, op));
}

static void link_ready(struct loop_op *op, int result)
{
	struct net *n = container_of(op, struct net, link);

	if (result > 0 && (result & POLLOUT))
		check_link(n);
}

/* What came for a driver before this one: it may be of a form that this one
 * did not agree to. */
static void drop_stale(struct net *n)
{
	struct header h;
	struct iovec v = { &h, sizeof(h) };

	for (u32 i = 0; i < STALE_MAX; i++)
		if (readv(n->tap->fds[0], &v, 1) <= 0)
			return;
}

static void net_start(void *dev, u64 features)
{
	struct net *n = dev;
	int err = tap_set_offloads(n->tap, tap_offloads(features));

	n->features = features;
	n->ctrl.index = 2 * (features & F_MQ ? n->tap->queues : 1);
	n->ctrl.on = features & F_CTRL_VQ;
	drop_stale(n);
	if (!err)
		err = set_pairs(n, 1);
	if (err) {
		log_warn("%s: interface %s: %s", n->name, n->tap->name,
			 strerror(-err));
		virtio_needs_reset(n->virtio);
	}
	check_link(n);
}

static void net_kick(void *dev, u32 i)
{
	struct net *n = dev;

	if (i == n->ctrl.index)
		flow_wake(&n->ctrl);
	else if (i < 2 * n->tap->queues)
		flow_wake(i % 2 ? &n->pair[i / 2].tx : &n->pair[i / 2].rx.flow);
}

/* What is still asked of the loop is only about the TAP, and finds the flows
 * off, or on again: nothing to wait for. */
static void net_stop(void *dev)
{
	struct net *n = dev;

	n->ctrl.on = false;
	for (u32 i = 0; i < n->tap->queues; i++)
		pair_off(&n->pair[i]);
	virtio_stopped(n->virtio);
}

static const struct virtio_ops ops = {
	.type = VIRTIO_NET,
	.class_code = 0x020000, /* network controller, Ethernet */
	.start = net_start,
	.kick = net_kick,
	.stop = net_stop,
};

/* --- the whole --- */

static void flow_init(struct flow *f, struct net *n, u32 index,
		      int (*step)(struct flow *f, struct virtq *q),
		      void (*ready)(struct loop_op *op, int result))
{
	f->net = n;
	f->index = index;
	f->fd = ready ? n->tap->fds[index / 2] : -1;
	f->step = step;
	f->task = (struct loop_task) { .call = flow_run, .ctx = f };
	f->op = (struct loop_op) { .done = ready };
}

static void init(struct net *n, const struct net_setup *s)
{
	n->loop = s->caps.loop;
	n->tap = s->tap;
	n->name = s->name;
	n->pairs = s->tap->queues;
	n->link = (struct loop_op) { .done = link_ready };
	flow_init(&n->ctrl, n, 2 * s->tap->queues, ctrl_step, NULL);
	for (u32 i = 0; i < s->tap->queues; i++) {
		flow_init(&n->pair[i].rx.flow, n, 2 * i, receive_step,
			  flow_ready);
		flow_init(&n->pair[i].tx, n, 2 * i + 1, send_step, flow_ready);
	}
}

struct net *net_create(const struct net_setup *s, struct err *e)
{
	struct net *n =
		calloc(1, sizeof(*n) + s->tap->queues * sizeof(n->pair[0]));
	struct config c = {
		.max_virtqueue_pairs = htole16((u16)s->tap->queues),
		.mtu = htole16(s->mtu),
	};
	struct virtio_setup v = {
		.name = s->name,
		.ops = &ops,
		.dev = n,
		.features = offered(s),
		.queues = 2 * s->tap->queues + 1,
		.queue_size = QUEUE_SIZE,
		.config_len = sizeof(c),
		.caps = s->caps,
	};

	if (!n) {
		err_set(e, -ENOMEM, "%s: out of memory", s->name);
		return NULL;
	}
	init(n, s);
	n->virtio = virtio_create(&v, e);
	if (!n->virtio) {
		free(n);
		return NULL;
	}
	memcpy(c.mac, s->mac, sizeof(c.mac));
	virtio_config_set(n->virtio, 0, &c, sizeof(c));
	set_link(n, tap_is_up(n->tap));
	return n;
}

void net_destroy(struct net *n)
{
	if (!n)
		return;
	virtio_destroy(n->virtio);
	free(n);
}

struct virtio *net_virtio(struct net *n)
{
	return n->virtio;
}

u64 net_dropped(const struct net *n)
{
	return n->dropped;
}
