#include <belfry/vrng.h>

#include <belfry/log.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define QUEUE_SIZE 64
/* Behind an IOMMU a buffer may be in several pieces. */
#define PIECES 256
/* Bytes in one go: what takes the host a fraction of a millisecond. A driver
 * may ask for gigabytes. */
#define TURN (64 * KIB)

struct vrng {
	const char *name;
	struct loop *loop;
	struct loop_task go_on;
	struct virtio *virtio;
	bool failed; /* until the driver resets it */
};

/* Up to @len random bytes: how many, or -errno if there is not one. */
static s64 fill_piece(u8 *to, u64 len)
{
	u64 done = 0;

	while (done < len) {
		ssize_t n = getrandom(to + done, len - done, 0);

		if (n < 0 && errno != EINTR)
			return done ? (s64)done : -errno;
		done += n > 0 ? (u64)n : 0;
	}
	return (s64)done;
}

/* The same for the writable part of a chain, which may have none. */
static s64 fill(const struct virtq_chain *c, u64 len)
{
	s64 done = 0;

	for (u32 i = 0; i < c->in_nr && (u64)done < len; i++) {
		const struct iovec *v = &c->iov[c->out_nr + i];
		s64 n = fill_piece(v->iov_base,
				   MIN(v->iov_len, len - (u64)done));

		if (n < 0)
			return done ? done : n;
		done += n;
	}
	return done;
}

/*
 * A buffer, for which @left bytes of the turn are left: if that is less than
 * it holds it gets no more, as 5.4.6.2 allows. 0 if there is none; what it
 * costs the turn comes off @left.
 */
static int serve_one(struct vrng *r, struct virtq *q, u64 *left)
{
	struct iovec iov[PIECES];
	struct virtq_chain c = { .iov = iov, .iov_max = PIECES };
	int got = virtq_pop(q, &c);
	s64 n;

	if (got <= 0)
		return got;
	n = fill(&c, *left);
	if (n < 0) {
		log_error("%s: getrandom: %s: it stands still until a reset",
			  r->name, strerror((int)-n));
		r->failed = true;
		virtio_needs_reset(r->virtio);
		return (int)n;
	}
	*left -= (u64)n;
	virtq_push(q, c.head, (u32)n);
	return got;
}

static void serve(void *dev)
{
	struct vrng *r = dev;
	struct virtq *q = virtio_queue(r->virtio, 0);
	u64 left = TURN;
	int got = 1;

	if (!q || r->failed)
		return;
	/* Buffers without a writable byte cost nothing: count, too. */
	for (u32 i = 0; got > 0 && left && i < q->size; i++)
		got = serve_one(r, q, &left);
	if (got > 0 || (got == 0 && virtq_listen(q)))
		loop_defer(r->loop, &r->go_on);
	virtio_show(r->virtio, 0);
}

static void start(void *dev, u64 features)
{
	struct vrng *r = dev;

	r->failed = false;
}

static void kick(void *dev, u32 i)
{
	serve(dev);
}

static void stop(void *dev)
{
	struct vrng *r = dev;

	virtio_stopped(r->virtio);
}

static const struct virtio_ops ops = {
	.type = VIRTIO_RNG,
	.class_code = 0xff0000, /* fits no class */
	.start = start,
	.kick = kick,
	.stop = stop,
};

struct vrng *vrng_create(const char *name, const struct virtio_caps *caps,
			 struct err *e)
{
	struct vrng *r = calloc(1, sizeof(*r));
	struct virtio_setup v = {
		.name = name,
		.ops = &ops,
		.dev = r,
		.queues = 1,
		.queue_size = QUEUE_SIZE,
		.caps = *caps,
	};

	if (!r) {
		err_set(e, -ENOMEM, "%s: out of memory", name);
		return NULL;
	}
	r->name = name;
	r->loop = caps->loop;
	r->go_on = (struct loop_task) { .call = serve, .ctx = r };
	r->virtio = virtio_create(&v, e);
	if (!r->virtio) {
		free(r);
		return NULL;
	}
	return r;
}

void vrng_destroy(struct vrng *r)
{
	if (!r)
		return;
	virtio_destroy(r->virtio);
	free(r);
}

struct virtio *vrng_virtio(struct vrng *r)
{
	return r->virtio;
}
