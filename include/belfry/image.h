/*
 * What is loaded into guest memory before the first instruction: an arm64
 * Image (raw, gzip, zstd, or EFI zboot with one of the two), an initrd, a
 * device tree, and where each goes.
 *
 * Files are opened once and read with pread only, so a guest reset loads again
 * from what is open. The operator's files are not trusted: every length is
 * checked against the file and against guest memory. Messages begin with the
 * file's path. No vCPU may run during a load: a decompressor reads back what
 * it wrote.
 *
 * Linux Documentation/arch/arm64/booting.rst; the zboot header is that of
 * drivers/firmware/efi/libstub/zboot-header.S.
 */
#ifndef BELFRY_IMAGE_H
#define BELFRY_IMAGE_H

#include <belfry/base.h>
#include <belfry/err.h>
#include <belfry/gmem.h>

/* The fields of an arm64 Image header that matter. */
struct image_header {
	u64 text_offset; /* from a 2 MiB boundary */
	u64 image_size;  /* bytes of memory the kernel needs from there, bss
			  * too; never 0 once opened */
	u64 flags;       /* IMAGE_FLAG_* */
};

#define IMAGE_FLAG_BE        BIT(0)
#define IMAGE_FLAG_PAGE_SIZE GENMASK(2, 1) /* 1: 4K, 2: 16K, 3: 64K, 0: ? */

enum image_format {
	IMAGE_RAW,
	IMAGE_GZIP,
	IMAGE_ZSTD,
	IMAGE_ZBOOT_GZIP,
	IMAGE_ZBOOT_ZSTD,
};

/* An opened kernel, checked as far as its first bytes tell. */
struct image {
	const char *path; /* borrowed, for messages */
	int fd;           /* owned */
	/* For the caller to set, NULL at first: once it is true, which a signal
	 * handler may make it, a load ends with -ECANCELED. Borrowed. */
	const bool *stop;
	u64 file_size;
	enum image_format format;
	u64 payload_off,
		payload_len; /* of the (compressed) Image in the file */
	u64 bytes; /* of the Image outside its bss; 0: only unpacking tells */
	struct image_header header;
};

/*
 * Open and recognise a kernel; reads the Image header, through the
 * decompressor if need be. -errno and a message that says what the file is
 * instead (a directory, an x86 bzImage, a truncated or big-endian Image, ...)
 * and what to do. Leaves nothing open on failure. @path outlives @im.
 */
MUST_CHECK int image_open(struct image *im, const char *path, struct err *e);
void image_close(struct image *im);

/*
 * Put the Image at @at, decompressing if need be, in at most @limit bytes
 * (what image_place gave the kernel). Zeroes nothing: the kernel clears its
 * own bss, and a decompressor may leave anything there. Repeatable. -errno if
 * the file is truncated, corrupt or too long.
 */
MUST_CHECK int image_load(const struct image *im, const struct gmem *mem,
			  gpa_t at, u64 limit, struct err *e);

/* An opened initrd: whatever its format, it is the guest's to unpack. */
struct initrd {
	const char *path; /* borrowed, for messages */
	int fd;           /* owned */
	const bool *stop; /* as an image's */
	u64 size;
};

/* -errno and a message if it is not a regular file or has nothing in it. */
MUST_CHECK int initrd_open(struct initrd *rd, const char *path, struct err *e);
void initrd_close(struct initrd *rd);

/* Put all of it at @at. Repeatable. -errno if the file has become shorter. */
MUST_CHECK int initrd_load(const struct initrd *rd, const struct gmem *mem,
			   gpa_t at, struct err *e);

/* Where everything goes in one RAM region. Half-open; 0,0 where absent. */
struct image_layout {
	gpa_t kernel, kernel_end; /* kernel = entry point */
	gpa_t initrd, initrd_end;
	gpa_t fdt, fdt_end;
};

/*
 * Decide where things go. Pure. RAM is [ram, ram + ram_size), ram 2 MiB
 * aligned, its end below 2^52. A size of 0 means absent; @fdt_size may be an
 * upper bound.
 *
 * The kernel goes as low as it may, the device tree right behind it, the
 * initrd behind that, each on 64 KiB of its own (the largest guest page: a
 * page is never shared by two). So all that is loaded sits in the fewest 2 MiB
 * blocks; each block touched costs a fault and a cleared huge page. Where the
 * kernel leaves less than 124 MiB, the two go into the middle of that instead
 * (image_place.c says why). Nothing lies within text_offset..image_size, where
 * the kernel's bss and first page tables are.
 *
 * -ENOSPC if it does not fit, saying how much memory would do; -E2BIG if the
 * device tree or the initrd is larger than the kernel can take.
 */
MUST_CHECK int image_place(const struct image_header *h, u64 initrd_size,
			   u64 fdt_size, gpa_t ram, u64 ram_size,
			   struct image_layout *out, struct err *e);

#endif
