/*
 * The virtio console.
 *
 * The wire takes characters out of the transmit queue as it has room: of the
 * chain that it stopped in, the device knows how much is sent, and the chain
 * itself is undone, so that nothing is held between two calls.
 *
 * VIRTIO 1.2, 5.3.
 */
#include <belfry/vcon.h>

#include <stdlib.h>

/* Feature bits, 5.3.3. */
#define F_SIZE        BIT(0)
#define F_EMERG_WRITE BIT(2)

/* 5.3.4, little-endian. */
struct config {
	u16 cols, rows;
	u32 max_nr_ports; /* not ours: F_MULTIPORT */
	u32 emerg_wr;
};
static_assert(sizeof(struct config) == 12, "VIRTIO 1.2, 5.3.4");

/* Queues, 5.3.2. */
enum { RECEIVE, TRANSMIT, QUEUES };

#define QUEUE_SIZE 64
/* Behind an IOMMU a buffer may be in several pieces. */
#define PIECES 256

struct vcon {
	struct virtio *virtio;
	struct loop *loop;
	struct chars_wire wire;
	struct guest_faults faults;
	struct loop_task go_on;
	u64 sent;     /* of the chain that is next */
	bool starved; /* the wire holds input that did not fit */
};

/* --- from the guest --- */

/* True once the wire has all of the chain. */
static bool send(struct vcon *c, const struct virtq_chain *chain)
{
	u8 buf[256];
	size_t len, n;

	while ((len = virtq_chain_read(chain, c->sent, buf, sizeof(buf)))) {
		n = c->wire.send(c->wire.ctx, buf, len);
		c->sent += n;
		if (n < len)
			return false;
	}
	return true;
}

/* As virtq_pop; 0 also if the wire has no room, and then it will say when. */
static int transmit_one(struct vcon *c, struct virtq *q, bool *full)
{
	struct iovec iov[PIECES];
	struct virtq_chain chain = { .iov = iov, .iov_max = PIECES };
	int got = virtq_pop(q, &chain);

	if (got <= 0)
		return got;
	*full = !send(c, &chain);
	if (*full) {
		virtq_unpop(q, 1);
		return 0;
	}
	c->sent = 0;
	virtq_push(q, chain.head, 0);
	return got;
}

/* A turn has an end, though chains may be empty and come as fast as they go. */
static void transmit(void *dev)
{
	struct vcon *c = dev;
	struct virtq *q = virtio_queue(c->virtio, TRANSMIT);
	bool full = false;
	int got = 1;

	if (!q)
		return;
	for (u32 i = 0; got > 0 && i < q->size; i++)
		got = transmit_one(c, q, &full);
	if (got > 0 || (got == 0 && !full && virtq_listen(q)))
		loop_defer(c->loop, &c->go_on);
	virtio_show(c->virtio, TRANSMIT);
}

/* --- to the guest --- */

/* Fill one buffer: how many bytes, or 0 if there is none. */
static size_t receive_one(struct virtq *q, const u8 *buf, size_t len)
{
	struct iovec iov[PIECES];
	struct virtq_chain chain = { .iov = iov, .iov_max = PIECES };
	size_t n;

	if (virtq_pop(q, &chain) <= 0)
		return 0;
	n = virtq_chain_write(&chain, 0, buf, len);
	if (!n)
		virtq_break(q, "a buffer for input without room for any");
	virtq_push(q, chain.head, (u32)n);
	return n;
}

static size_t receive(struct vcon *c, struct virtq *q, const u8 *buf,
		      size_t len)
{
	size_t done = 0, n;

	do {
		n = receive_one(q, buf + done, len - done);
		done += n;
	} while (done < len && (n || virtq_listen(q)));
	virtio_show(c->virtio, RECEIVE);
	return done;
}

static size_t port_receive(void *dev, const u8 *buf, size_t len)
{
	struct vcon *c = dev;
	struct virtq *q = virtio_queue(c->virtio, RECEIVE);
	size_t done = q && len ? receive(c, q, buf, len) : 0;

	c->starved = done < len;
	return done;
}

/* --- the port --- */

static void port_resize(void *dev, u16 columns, u16 rows)
{
	struct vcon *c = dev;
	u16 size[] = { htole16(columns), htole16(rows) };

	virtio_config_set(c->virtio, offsetof(struct config, cols), size,
			  sizeof(size));
}

struct chars_port vcon_port(struct vcon *c)
{
	return (struct chars_port) { .tx_ready = transmit,
				     .receive = port_receive,
				     .resize = port_resize,
				     .dev = c };
}

/* --- the device --- */

static void start(void *dev, u64 features)
{
	struct vcon *c = dev;

	c->sent = 0;
}

static void kick(void *dev, u32 i)
{
	struct vcon *c = dev;

	if (i == TRANSMIT) {
		transmit(c);
	} else if (c->starved) {
		c->starved = false;
		c->wire.receive_ready(c->wire.ctx);
	}
}

static void stop(void *dev)
{
	struct vcon *c = dev;

	virtio_stopped(c->virtio);
}

/* A vCPU's thread. The lower byte is the character, 5.3.5.1. */
static void config_written(void *dev, u32 off, u32 len, u64 val)
{
	struct vcon *c = dev;
	u8 byte = (u8)val;

	if (off == offsetof(struct config, emerg_wr) &&
	    !c->wire.send(c->wire.ctx, &byte, 1))
		guest_fault(&c->faults, "emergency write lost: no room");
}

static const struct virtio_ops ops = {
	.type = VIRTIO_CONSOLE,
	.class_code = 0x078000, /* communication controller, other */
	.start = start,
	.kick = kick,
	.stop = stop,
	.config_written = config_written,
};

struct vcon *vcon_create(const struct vcon_setup *s, struct err *e)
{
	struct vcon *c = calloc(1, sizeof(*c));
	struct virtio_setup v = {
		.name = s->name,
		.ops = &ops,
		.dev = c,
		.features = F_SIZE | F_EMERG_WRITE,
		.queues = QUEUES,
		.queue_size = QUEUE_SIZE,
		.config_len = sizeof(struct config),
		.caps = s->caps,
	};

	if (!c) {
		err_set(e, -ENOMEM, "%s: out of memory", s->name);
		return NULL;
	}
	c->loop = s->caps.loop;
	c->wire = s->wire;
	c->faults.who = s->name;
	c->go_on = (struct loop_task) { .call = transmit, .ctx = c };
	c->virtio = virtio_create(&v, e);
	if (!c->virtio) {
		free(c);
		return NULL;
	}
	virtio_config_writable(c->virtio, offsetof(struct config, emerg_wr),
			       sizeof(u32));
	return c;
}

void vcon_destroy(struct vcon *c)
{
	if (!c)
		return;
	virtio_destroy(c->virtio);
	free(c);
}

struct virtio *vcon_virtio(struct vcon *c)
{
	return c->virtio;
}
