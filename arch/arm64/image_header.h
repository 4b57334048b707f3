/* Private to the loader: what the first bytes of a file tell. */
#ifndef BELFRY_IMAGE_HEADER_H
#define BELFRY_IMAGE_HEADER_H

#include <belfry/image.h>

/* Enough for the arm64 header, the PE section table and all we recognise. */
#define IMAGE_HEAD_MAX 1024

struct image_head {
	u8 at[IMAGE_HEAD_MAX];
	u64 len;
};

/* True if @len bytes of the head from @off on are those at @bytes. */
bool image_head_has(const struct image_head *head, u64 off, const void *bytes,
		    u64 len);

/* Little-endian fields; 0 beyond the end of the head. */
u32 image_head_u16(const struct image_head *head, u64 off);
u32 image_head_u32(const struct image_head *head, u64 off);
u64 image_head_u64(const struct image_head *head, u64 off);

/*
 * Read an arm64 Image header. *@bytes is how much of a file the PE sections
 * make up, 0 if it has none. -ENOEXEC and what it is instead, or
 * what is wrong with it.
 */
MUST_CHECK int image_header_read(const struct image_head *head,
				 struct image_header *h, u64 *bytes,
				 struct err *e);

/* Say what the head is the beginning of; returns -ENOEXEC. */
int image_stranger(const struct image_head *head, struct err *e);

#endif
