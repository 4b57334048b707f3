/*
 * Private to the loader: a compressed range of a file into memory.
 *
 * Input passes through one small buffer; output goes straight to where it is
 * wanted, which is also where a decompressor looks back, so an 80 MiB window
 * costs nothing outside guest memory. All working memory is freed on return.
 */
#ifndef BELFRY_UNPACK_H
#define BELFRY_UNPACK_H

#include <belfry/base.h>
#include <belfry/err.h>

struct unpack_source {
	int fd;
	const bool *stop; /* as of image_file_read */
	u64 off, len;
	const struct unpack_codec *codec;
};

extern const struct unpack_codec unpack_gzip; /* RFC 1952 */
extern const struct unpack_codec unpack_zstd; /* RFC 8878 */

/* The first @len bytes, or all if there are fewer; *@got says how many. */
MUST_CHECK int unpack_head(const struct unpack_source *src, void *buf, u64 len,
			   u64 *got, struct err *e);

/*
 * Everything. -EFBIG if it is more than @len bytes, -EBADMSG if it is cut
 * short, corrupt (its checksum is looked at) or followed by something else.
 */
MUST_CHECK int unpack_all(const struct unpack_source *src, void *buf, u64 len,
			  u64 *got, struct err *e);

/* For the codecs. */
struct unpack {
	bool whole; /* the output must hold all there is */
	const u8 *in;
	size_t in_pos, in_len;
	u8 *out;
	u64 out_pos, out_len;
	void *state; /* the codec's own */
};

/*
 * What unpack.c asks of a decompressor. Steps move in_pos and out_pos on;
 * one that can move neither leaves both and returns UNPACK_MORE.
 */
struct unpack_codec {
	int (*init)(struct unpack *u, struct err *e);
	int (*step)(struct unpack *u, struct err *e); /* -errno, or: */
	void (*fini)(struct unpack *u);
};

#define UNPACK_MORE 0
#define UNPACK_END  1

/* The codec's sentences that both use. */
int unpack_no_memory(struct err *e);
int unpack_corrupt(struct err *e, const char *why);
int unpack_too_long(const struct unpack *u, struct err *e);

#endif
