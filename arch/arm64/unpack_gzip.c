#include "unpack.h"

#include <stdlib.h>
/* For an input pointer to const. */
#define ZLIB_CONST
#include <zlib.h>

/* zlib's 32 KiB window, and its way to ask for gzip with header and CRC. */
#define WINDOW_BITS (MAX_WBITS + 16)

/* zlib counts in unsigned int. */
#define PIECE_MAX GIB

static int gzip_init(struct unpack *u, struct err *e)
{
	z_stream *z = calloc(1, sizeof(*z));

	if (!z)
		return unpack_no_memory(e);
	if (inflateInit2(z, WINDOW_BITS) != Z_OK) {
		free(z);
		return unpack_no_memory(e);
	}
	u->state = z;
	return 0;
}

static int gzip_step(struct unpack *u, struct err *e)
{
	z_stream *z = u->state;
	uInt in = (uInt)(u->in_len - u->in_pos);
	uInt out = (uInt)MIN(PIECE_MAX, u->out_len - u->out_pos);
	int r;

	z->next_in = u->in + u->in_pos;
	z->avail_in = in;
	z->next_out = u->out + u->out_pos;
	z->avail_out = out;
	r = inflate(z, Z_NO_FLUSH);
	u->in_pos += in - z->avail_in;
	u->out_pos += out - z->avail_out;

	switch (r) {
	case Z_STREAM_END:
		return UNPACK_END;
	case Z_OK:
	case Z_BUF_ERROR:
		return UNPACK_MORE;
	case Z_MEM_ERROR:
		return unpack_no_memory(e);
	default:
		return unpack_corrupt(e, z->msg ? z->msg : "not gzip");
	}
}

static void gzip_fini(struct unpack *u)
{
	inflateEnd(u->state);
	free(u->state);
}

const struct unpack_codec unpack_gzip = { gzip_init, gzip_step, gzip_fini };
