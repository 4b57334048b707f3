/*
 * Kernels: opened and recognised by their first bytes, then loaded whole.
 *
 * A raw Image is one small read to open and goes from the file to guest memory
 * without another copy. The formats differ only in where the payload lies and
 * which codec it goes through.
 */
#include <belfry/image.h>
#include "image_file.h"
#include "image_header.h"
#include "unpack.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* What booting.rst says of kernels before 3.17, which leave image_size 0. */
#define OLD_TEXT_OFFSET 0x80000

/* drivers/firmware/efi/libstub/zboot-header.S */
#define ZBOOT_MAGIC    4
#define ZBOOT_OFFSET   8
#define ZBOOT_LEN      12
#define ZBOOT_TYPE     24
#define ZBOOT_TYPE_MAX 32

/* NULL: not compressed. */
static const struct unpack_codec *const codecs[] = {
	[IMAGE_RAW] = NULL,
	[IMAGE_GZIP] = &unpack_gzip,
	[IMAGE_ZSTD] = &unpack_zstd,
	[IMAGE_ZBOOT_GZIP] = &unpack_gzip,
	[IMAGE_ZBOOT_ZSTD] = &unpack_zstd,
};

/* The names Linux has used; zstd once went by its level. */
static const struct {
	const char *name;
	enum image_format format;
} zboot_types[] = {
	{ "gzip", IMAGE_ZBOOT_GZIP },
	{ "zstd", IMAGE_ZBOOT_ZSTD },
	{ "zstd22", IMAGE_ZBOOT_ZSTD },
};

static int zboot_type(struct image *im, const struct image_head *head,
		      struct err *e)
{
	char type[ZBOOT_TYPE_MAX + 1] = { 0 };

	memcpy(type, head->at + ZBOOT_TYPE, ZBOOT_TYPE_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(zboot_types); i++)
		if (!strcmp(type, zboot_types[i].name)) {
			im->format = zboot_types[i].format;
			return 0;
		}
	for (char *c = type; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	return err_set(e, -ENOEXEC,
		       "is an EFI zboot kernel compressed with '%s'; only gzip "
		       "and zstd are supported: use the Image it was made from",
		       type);
}

static int zboot_read(struct image *im, const struct image_head *head,
		      struct err *e)
{
	im->payload_off = image_head_u32(head, ZBOOT_OFFSET);
	im->payload_len = image_head_u32(head, ZBOOT_LEN);
	if (!range_fits(im->payload_off, im->payload_len, im->file_size))
		return err_set(e, -ENOEXEC,
			       "is a truncated EFI zboot kernel: %lu bytes of "
			       "at least %lu; copy it again",
			       im->file_size,
			       im->payload_off + im->payload_len);
	return zboot_type(im, head, e);
}

/* Find the payload and its format. What is none of them passes as raw, for
 * the check of the Image header to refuse. */
static int find_payload(struct image *im, const struct image_head *head,
			struct err *e)
{
	im->payload_len = im->file_size;
	if (image_head_has(head, 0, "MZ", 2) &&
	    image_head_has(head, ZBOOT_MAGIC, "zimg", 4))
		return zboot_read(im, head, e);
	if (image_head_has(head, 0, "\x1f\x8b\x08", 3))
		im->format = IMAGE_GZIP;
	else if (image_head_has(head, 0, "\x28\xb5\x2f\xfd", 4))
		im->format = IMAGE_ZSTD;
	return 0;
}

static struct unpack_source payload(const struct image *im)
{
	return (struct unpack_source) {
		.fd = im->fd,
		.stop = im->stop,
		.off = im->payload_off,
		.len = im->payload_len,
		.codec = codecs[im->format],
	};
}

/* The Image's own first bytes; @head holds the file's and is replaced. */
static int unpack_to_head(const struct image *im, struct image_head *head,
			  struct err *e)
{
	struct unpack_source src = payload(im);

	return unpack_head(&src, head->at, sizeof(head->at), &head->len, e);
}

static int check_length(struct image *im, struct err *e)
{
	if (im->format == IMAGE_RAW && !im->bytes)
		im->bytes = im->file_size;
	if (im->format == IMAGE_RAW && im->bytes > im->file_size)
		return err_set(e, -ENOEXEC,
			       "is a truncated arm64 kernel: %lu bytes of "
			       "%lu; copy it again",
			       im->file_size, im->bytes);
	if (im->header.image_size && im->bytes > im->header.image_size)
		return err_set(e, -ENOEXEC,
			       "is %lu bytes long but says it takes only %lu "
			       "bytes of memory; it is damaged, or something "
			       "was appended to it",
			       im->bytes, im->header.image_size);
	return 0;
}

/* booting.rst wants what follows such a kernel left free, as much as can be.
 * Its bss was never larger than the rest. */
static int assume_old_size(struct image *im, struct err *e)
{
	if (codecs[im->format])
		return err_set(e, -ENOEXEC,
			       "holds a kernel older than Linux 3.17, which "
			       "does not say how much memory it needs; "
			       "decompress it first");
	im->header.text_offset = OLD_TEXT_OFFSET;
	im->header.image_size = 2 * im->bytes;
	return 0;
}

static int examine(struct image *im, struct err *e)
{
	struct image_head head = { .len = MIN(IMAGE_HEAD_MAX, im->file_size) };

	if (image_file_read(im->fd, NULL, head.at, head.len, 0, e) ||
	    find_payload(im, &head, e))
		return e->code;

	if (codecs[im->format] && unpack_to_head(im, &head, e))
		return e->code;
	if (image_header_read(&head, &im->header, &im->bytes, e) ||
	    check_length(im, e))
		return codecs[im->format] ? err_prefix(e, "when decompressed")
					  : e->code;
	return im->header.image_size ? 0 : assume_old_size(im, e);
}

int image_open(struct image *im, const char *path, struct err *e)
{
	*im = (struct image) { .path = path, .fd = -1 };

	im->fd = image_file_open(path, &im->file_size, e);
	if (im->fd < 0)
		return err_prefix(e, "%s", path);
	if (examine(im, e)) {
		image_close(im);
		return err_prefix(e, "%s", path);
	}
	return 0;
}

void image_close(struct image *im)
{
	if (im->fd >= 0)
		close(im->fd);
	im->fd = -1;
}

static int load_packed(const struct image *im, void *to, u64 limit,
		       struct err *e)
{
	struct unpack_source src = payload(im);
	u64 got;

	if (unpack_all(&src, to, limit, &got, e))
		return e->code;
	if (got < im->bytes)
		return err_set(e, -EBADMSG,
			       "holds a truncated arm64 kernel: %lu bytes of "
			       "%lu",
			       got, im->bytes);
	return 0;
}

static int load_raw(const struct image *im, void *to, u64 limit, struct err *e)
{
	if (im->bytes > limit)
		return err_set(e, -EFBIG,
			       "is %lu bytes long, with room for %lu",
			       im->bytes, limit);
	return image_file_read(im->fd, im->stop, to, im->bytes, 0, e);
}

int image_load(const struct image *im, const struct gmem *mem, gpa_t at,
	       u64 limit, struct err *e)
{
	void *to = gmem_slice(mem, at, limit);
	int r;

	if (!to)
		return err_set(e, -EFAULT,
			       "%s: no guest memory for %lu bytes at %#lx",
			       im->path, limit, at);
	r = codecs[im->format] ? load_packed(im, to, limit, e)
			       : load_raw(im, to, limit, e);
	return r ? err_prefix(e, "%s", im->path) : 0;
}
