/*
 * What is loaded into guest memory before the first instruction: an arm64
 * Image (raw, gzip or EFI zboot with gzip or zstd), an initrd, a device tree,
 * and where each goes.
 *
 * Linux Documentation/arch/arm64/booting.rst and the zboot header of
 * drivers/firmware/efi/libstub. The operator's files are not trusted: every
 * length is checked against the file and against guest memory.
 */
#ifndef BELFRY_IMAGE_H
#define BELFRY_IMAGE_H

#include <belfry/base.h>
#include <belfry/err.h>
#include <belfry/gmem.h>

/* The fields of an arm64 Image header that matter. */
struct image_header {
	u64 text_offset; /* from a 2 MiB boundary */
	u64 image_size;	 /* bytes of memory the kernel needs from there, bss too */
	u64 flags;
};

enum image_format {
	IMAGE_RAW,
	IMAGE_GZIP,
	IMAGE_ZBOOT_GZIP,
	IMAGE_ZBOOT_ZSTD,
};

/* An opened kernel, checked as far as its first bytes tell. */
struct image {
	int fd; /* owned */
	u64 file_size;
	enum image_format format;
	u64 payload_off, payload_len; /* of the (compressed) Image in the file */
	struct image_header header;
};

/* Where everything goes in one RAM region. Half-open; 0,0 where absent. */
struct image_layout {
	gpa_t kernel, kernel_end; /* kernel = entry point */
	gpa_t initrd, initrd_end;
	gpa_t fdt, fdt_end;
};

/*
 * Open and recognise a kernel; reads the Image header, through the
 * decompressor if need be. -errno and a message that says what the file is
 * instead (a directory, an x86 bzImage, a truncated or big-endian Image, ...)
 * and what to do. Leaves nothing open on failure.
 */
MUST_CHECK int image_open(struct image *im, const char *path, struct err *e);
void image_close(struct image *im);

/*
 * Decide where things go. Pure. RAM is [ram, ram + ram_size), ram 2 MiB
 * aligned. The kernel goes as low as its text_offset and alignment allow, the
 * initrd and the device tree as high as fits but within the first 1 GiB
 * window the kernel can map early (booting.rst), never overlapping image_size.
 * -ENOSPC, naming what does not fit and how much memory would.
 */
MUST_CHECK int image_place(const struct image_header *h, u64 initrd_size,
			   u64 fdt_size, gpa_t ram, u64 ram_size,
			   struct image_layout *out, struct err *e);

/*
 * Put the Image at @at, decompressing if need be, and zero nothing else: the
 * kernel clears its own bss. Repeatable (a reset loads again). -errno if the
 * file is truncated, corrupt or longer than @limit bytes.
 */
MUST_CHECK int image_load(const struct image *im, const struct gmem *mem,
			  gpa_t at, u64 limit, struct err *e);

#endif
