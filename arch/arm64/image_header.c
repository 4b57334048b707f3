/* The arm64 Image header (booting.rst) and the PE/COFF one it doubles as. */
#include "image_header.h"

#include <errno.h>
#include <string.h>

#define TEXT_OFFSET 8
#define IMAGE_SIZE  16
#define FLAGS       24
#define MAGIC       56
#define HEADER_SIZE 64

/* Microsoft PE format: the file header follows the signature. */
#define DOS_PE_OFFSET     60
#define PE_SECTIONS       6
#define PE_OPTIONAL_SIZE  20
#define PE_SIZE           24
#define SECTION_SIZE      40
#define SECTION_RAW_SIZE  16
#define SECTION_RAW_START 20

bool image_head_has(const struct image_head *head, u64 off, const void *bytes,
		    u64 len)
{
	return range_fits(off, len, head->len) &&
	       !memcmp(head->at + off, bytes, len);
}

static u64 little_endian(const struct image_head *head, u64 off, u32 size)
{
	u64 val = 0;

	if (range_fits(off, size, head->len))
		memcpy(&val, head->at + off, size);
	return le64toh(val);
}

u32 image_head_u16(const struct image_head *head, u64 off)
{
	return (u32)little_endian(head, off, 2);
}

u32 image_head_u32(const struct image_head *head, u64 off)
{
	return (u32)little_endian(head, off, 4);
}

u64 image_head_u64(const struct image_head *head, u64 off)
{
	return little_endian(head, off, 8);
}

/*
 * Where the last PE section ends in the file. Behind it is at most a
 * signature, before it the whole Image up to its bss: the only way to see
 * that a raw Image was cut short. 0 if it is no PE file.
 */
static int pe_read(const struct image_head *head, u64 *bytes, struct err *e)
{
	u64 pe = image_head_u32(head, DOS_PE_OFFSET);
	u64 table = pe + PE_SIZE + image_head_u16(head, pe + PE_OPTIONAL_SIZE);
	u64 len = image_head_u16(head, pe + PE_SECTIONS) * SECTION_SIZE;

	*bytes = 0;
	if (!image_head_has(head, 0, "MZ", 2))
		return 0;
	if (!image_head_has(head, pe, "PE\0\0", 4) ||
	    !range_fits(table, len, head->len))
		return err_set(e, -ENOEXEC,
			       "is an arm64 kernel whose EFI header is damaged "
			       "or truncated; copy it again");

	for (u64 s = table; s < table + len; s += SECTION_SIZE) {
		u64 start = image_head_u32(head, s + SECTION_RAW_START);
		u64 size = image_head_u32(head, s + SECTION_RAW_SIZE);

		*bytes = MAX(*bytes, start + size);
	}
	return 0;
}

int image_header_read(const struct image_head *head, struct image_header *h,
		      u64 *bytes, struct err *e)
{
	if (!image_head_has(head, MAGIC, "ARM\x64", 4) ||
	    head->len < HEADER_SIZE)
		return image_stranger(head, e);
	if (pe_read(head, bytes, e))
		return e->code;

	*h = (struct image_header) {
		.text_offset = image_head_u64(head, TEXT_OFFSET),
		.image_size = image_head_u64(head, IMAGE_SIZE),
		.flags = image_head_u64(head, FLAGS),
	};
	if (h->flags & IMAGE_FLAG_BE)
		return err_set(e, -ENOEXEC,
			       "is a big-endian arm64 kernel; use one built "
			       "without CONFIG_CPU_BIG_ENDIAN");
	return 0;
}
