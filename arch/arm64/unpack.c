#include "unpack.h"
#include "image_file.h"

#include <errno.h>
#include <stdlib.h>

#define CHUNK (64 * KIB)

int unpack_no_memory(struct err *e)
{
	return err_set(e, -ENOMEM, "no memory to decompress with");
}

int unpack_corrupt(struct err *e, const char *why)
{
	return err_set(e, -EBADMSG, "the compressed data is damaged (%s)", why);
}

int unpack_too_long(const struct unpack *u, struct err *e)
{
	return err_set(e, -EFBIG,
		       "decompresses to more than the %lu bytes it has room "
		       "for",
		       u->out_len);
}

/* A step moved nothing: either side has run dry, or the codec is lost. */
static int stuck(const struct unpack *u, struct err *e)
{
	if (u->out_pos == u->out_len)
		return unpack_too_long(u, e);
	if (u->in_pos == u->in_len)
		return err_set(e, -EBADMSG,
			       "the compressed data ends too early; the file "
			       "is truncated");
	return unpack_corrupt(e, "no progress");
}

/* Step until the stream ends, or until there is as much as was asked for. */
static int run(struct unpack *u, const struct unpack_source *src, u8 *chunk,
	       struct err *e)
{
	u64 read = 0;

	u->in = chunk;
	for (;;) {
		size_t in_pos;
		u64 out_pos;
		int r;

		if (u->in_pos == u->in_len) {
			u->in_len = MIN(CHUNK, src->len - read);
			u->in_pos = 0;
			if (image_file_read(src->fd, src->stop, chunk,
					    u->in_len, src->off + read, e))
				return e->code;
			read += u->in_len;
		}

		in_pos = u->in_pos;
		out_pos = u->out_pos;
		r = src->codec->step(u, e);
		if (r < 0)
			return r;
		if (!u->whole && (r == UNPACK_END || u->out_pos == u->out_len))
			return 0;
		if (r == UNPACK_END)
			break;
		if (u->in_pos == in_pos && u->out_pos == out_pos)
			return stuck(u, e);
	}

	if (u->in_pos != u->in_len || read != src->len)
		return err_set(e, -EBADMSG,
			       "something follows the compressed kernel; "
			       "remove it (an appended device tree?)");
	return 0;
}

static int unpack(struct unpack *u, const struct unpack_source *src,
		  struct err *e)
{
	u8 *chunk = malloc(CHUNK);
	int r;

	if (!chunk)
		return unpack_no_memory(e);
	r = src->codec->init(u, e);
	if (!r) {
		r = run(u, src, chunk, e);
		src->codec->fini(u);
	}
	free(chunk);
	return r;
}

int unpack_head(const struct unpack_source *src, void *buf, u64 len, u64 *got,
		struct err *e)
{
	struct unpack u = { .out = buf, .out_len = len };
	int r = unpack(&u, src, e);

	*got = u.out_pos;
	return r;
}

int unpack_all(const struct unpack_source *src, void *buf, u64 len, u64 *got,
	       struct err *e)
{
	struct unpack u = { .whole = true, .out = buf, .out_len = len };
	int r = unpack(&u, src, e);

	*got = u.out_pos;
	return r;
}
