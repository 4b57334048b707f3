/*
 * Kernels and initrds from files: every format loads, everything else is
 * refused by name, and no cut, flipped byte, failing read or failing
 * allocation gets through. All files are made here, in memory.
 */
#include "unit.h"

#include <belfry/image.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <zlib.h>
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#if defined(__SANITIZE_ADDRESS__)
#define OWN_HEAP 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define OWN_HEAP 0
#endif
#endif
#ifndef OWN_HEAP
#define OWN_HEAP 1
#endif

/* --- The world, with faults ---------------------------------------------- */

/* Check runs every test in a process of its own, so each starts from zero. */
static struct {
	u64 calls;      /* of pread */
	u64 fail_at;    /* this call (from 1) fails with @error; 0: none */
	int error;      /* 0: end of file */
	bool only_once; /* the next call works again */
	size_t piece;   /* at most so much at once; 0: all */
	size_t largest; /* asked for in one call */
	bool stop;      /* set by the next call, as a signal's handler would */
} disk;

ssize_t pread(int fd, void *buf, size_t len, off_t off)
{
	disk.calls++;
	disk.stop = true;
	disk.largest = MAX(disk.largest, len);
	if (disk.fail_at && (disk.only_once ? disk.calls == disk.fail_at
					    : disk.calls >= disk.fail_at)) {
		errno = disk.error;
		return disk.error ? -1 : 0;
	}
	if (disk.piece)
		len = MIN(len, disk.piece);
	return syscall(SYS_pread64, fd, buf, len, off);
}

#if OWN_HEAP
static struct {
	bool watched;
	u64 calls;
	u64 fail_at;
	u64 live;  /* blocks */
	u64 bytes; /* ever asked for */
} heap;

void *__libc_malloc(size_t len);
void *__libc_calloc(size_t nr, size_t len);
void __libc_free(void *p);

static bool heap_refuses(size_t len)
{
	if (!heap.watched)
		return false;
	if (++heap.calls == heap.fail_at)
		return true;
	heap.live++;
	heap.bytes += len;
	return false;
}

void *malloc(size_t len)
{
	return heap_refuses(len) ? NULL : __libc_malloc(len);
}

void *calloc(size_t nr, size_t len)
{
	return heap_refuses(nr * len) ? NULL : __libc_calloc(nr, len);
}

void free(void *p)
{
	if (heap.watched && p)
		heap.live--;
	__libc_free(p);
}

/* Check allocates too: count only between these. */
static void heap_watch(bool on)
{
	heap.watched = on;
}
#else
static void heap_watch(bool on)
{
}
#endif

/* --- Files --------------------------------------------------------------- */

struct blob {
	u8 *data;
	size_t len;
};

/* Zeroed. Blobs live as long as the process, and stay in sight of a leak
 * checker, which then sees only what the loader leaks. */
static struct blob blob_new(size_t len)
{
	static struct kept {
		struct kept *next;
		u8 data[];
	} * all;
	struct kept *k = calloc(1, sizeof(*k) + len + 1);

	ck_assert_ptr_nonnull(k);
	k->next = all;
	all = k;
	return (struct blob) { k->data, len };
}

static struct blob blob_cat(struct blob a, const void *data, size_t len)
{
	struct blob b = blob_new(a.len + len);

	memcpy(b.data, a.data, a.len);
	memcpy(b.data + a.len, data, len);
	return b;
}

/* The path of a file with these bytes, good while the process lives. */
static const char *file_of(const void *data, size_t len, int *fd)
{
	static char path[64];

	*fd = memfd_create("image", MFD_CLOEXEC);
	ck_assert_int_ge(*fd, 0);
	ck_assert_int_eq(write(*fd, data, len), (ssize_t)len);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", *fd);
	return path;
}

static void put(struct blob b, size_t off, u64 val, size_t size)
{
	val = htole64(val);
	memcpy(b.data + off, &val, size);
}

#define HEADER_LEN 0x200
#define BODY_LEN   0x600
#define IMAGE_LEN  (HEADER_LEN + BODY_LEN)
#define IMAGE_SIZE 0x3000 /* with bss */

/* An Image without a PE header; noise that compresses to about a half. */
static struct blob plain_image(void)
{
	struct blob b = blob_new(IMAGE_LEN);
	u32 noise = 1;

	for (size_t i = 64; i < b.len; i++) {
		noise = noise * 1103515245 + 12345;
		b.data[i] = "belfry!?arm64+-*"[noise >> 28];
	}
	put(b, 0, 0x14000010, 4);
	put(b, 16, IMAGE_SIZE, 8);
	put(b, 24, 10, 8);
	memcpy(b.data + 56, "ARM\x64", 4);
	return b;
}

#define PE 64

/* The same with one: two sections that end where the file does. */
static struct blob pe_image(void)
{
	struct blob b = plain_image();
	const size_t opt = 0xa0, table = PE + 24 + opt;

	memcpy(b.data, "MZ", 2);
	put(b, 60, PE, 4);
	memset(b.data + PE, 0, 24 + opt + 80);
	memcpy(b.data + PE, "PE\0\0\x64\xaa\2\0", 8);
	put(b, PE + 20, opt, 2);
	put(b, table + 16, 0x300, 4);
	put(b, table + 20, HEADER_LEN, 4);
	put(b, table + 40 + 16, BODY_LEN - 0x300, 4);
	put(b, table + 40 + 20, HEADER_LEN + 0x300, 4);
	return b;
}

static struct blob signed_image(void)
{
	return blob_cat(pe_image(), "signature", 9);
}

/* With a file name of @name bytes in its header. */
static struct blob gzip_named(struct blob in, size_t name)
{
	struct blob out = blob_new(in.len + name + 256);
	struct blob text = blob_new(name);
	gz_header header = { .name = name ? text.data : NULL };
	z_stream z = { .next_in = in.data,
		       .avail_in = (uInt)in.len,
		       .next_out = out.data,
		       .avail_out = (uInt)out.len };

	ck_assert_int_eq(deflateInit2(&z, 9, Z_DEFLATED, MAX_WBITS + 16, 8,
				      Z_DEFAULT_STRATEGY),
			 Z_OK);
	memset(text.data, 'n', name);
	ck_assert_int_eq(deflateSetHeader(&z, &header), Z_OK);
	ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
	out.len = z.total_out;
	deflateEnd(&z);
	return out;
}

static struct blob gzip(struct blob in)
{
	return gzip_named(in, 0);
}

/* As zstd does from a pipe: the length is not in the header, so the window is
 * what the level asks for: 2^27 for Linux's zstd22. */
static struct blob zstd_window(struct blob in, int log)
{
	struct blob out = blob_new(in.len + 256);
	ZSTD_CCtx *c = ZSTD_createCCtx();
	ZSTD_inBuffer from = { in.data, in.len, 0 };
	ZSTD_outBuffer to = { out.data, out.len, 0 };

	ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
	ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, log);
	ZSTD_CCtx_setParameter(c, ZSTD_c_hashLog, 10);
	ZSTD_CCtx_setParameter(c, ZSTD_c_chainLog, 10);
	ck_assert(!ZSTD_isError(
		ZSTD_compressStream2(c, &to, &from, ZSTD_e_continue)));
	ck_assert_uint_eq(ZSTD_compressStream2(c, &to, &from, ZSTD_e_end), 0);
	ZSTD_freeCCtx(c);
	out.len = to.pos;
	return out;
}

static struct blob zstd(struct blob in)
{
	return zstd_window(in, 17);
}

/* As zstd does from a file: the length is in the header. */
static struct blob sized_zstd(struct blob in)
{
	struct blob out = blob_new(in.len + 256);
	size_t n = ZSTD_compress(out.data, out.len, in.data, in.len, 3);

	ck_assert(!ZSTD_isError(n));
	out.len = n;
	return out;
}

#define ZBOOT_HEADER 0x80

static struct blob zboot(struct blob payload, const char *type)
{
	struct blob head = blob_new(ZBOOT_HEADER);
	struct blob b;

	memcpy(head.data, "MZ\0\0zimg", 8);
	put(head, 8, ZBOOT_HEADER, 4);
	put(head, 12, payload.len, 4);
	memcpy(head.data + 24, type, strlen(type));
	put(head, 56, 0x818223cd, 4);
	put(head, 60, 64, 4);
	b = blob_cat(head, payload.data, payload.len);
	return blob_cat(b, "the EFI stub that follows", 25);
}

static struct blob zboot_gzip(struct blob in)
{
	return zboot(gzip(in), "gzip");
}

static struct blob zboot_zstd(struct blob in)
{
	return zboot(zstd(in), "zstd");
}

static struct blob zboot_zstd22(struct blob in)
{
	return zboot(zstd(in), "zstd22");
}

static struct blob as_is(struct blob in)
{
	return in;
}

static const struct {
	const char *name;
	struct blob (*pack)(struct blob image);
	enum image_format format;
} formats[] = {
	{ "raw", as_is, IMAGE_RAW },
	{ "gzip", gzip, IMAGE_GZIP },
	{ "zstd", zstd, IMAGE_ZSTD },
	{ "zstd with its size", sized_zstd, IMAGE_ZSTD },
	{ "zboot gzip", zboot_gzip, IMAGE_ZBOOT_GZIP },
	{ "zboot zstd", zboot_zstd, IMAGE_ZBOOT_ZSTD },
	{ "zboot zstd22", zboot_zstd22, IMAGE_ZBOOT_ZSTD },
};

/* --- What is done to them ------------------------------------------------ */

#define RAM 0x40000000ull

static u8 ram[64 * KIB];

static struct gmem guest(void)
{
	struct gmem m = { 0 };

	memset(ram, 0x5a, sizeof(ram));
	ck_assert_int_eq(gmem_add(&m, RAM, sizeof(ram), ram), 0);
	return m;
}

static int fds_open(void)
{
	int nr = 0;

	for (int fd = 0; fd < 256; fd++)
		nr += fcntl(fd, F_GETFD) >= 0;
	return nr;
}

/* Open and load @file at RAM; whatever happens, nothing is left open. */
static int boot(struct blob file, u64 limit, struct err *e)
{
	struct gmem m = guest();
	struct image im;
	int fd, before, left = 0, r;
	const char *path = file_of(file.data, file.len, &fd);

	*e = (struct err) { 0 };
	before = fds_open();
	heap_watch(true);
	r = image_open(&im, path, e);
	if (!r)
		r = image_load(&im, &m, RAM, limit, e);
	else
		left = fds_open() - before;
	image_close(&im);
	heap_watch(false);
	ck_assert_int_eq(r, e->code);
	ck_assert_int_eq(left, 0);
	ck_assert_int_eq(fds_open(), before);
	close(fd);
	return r;
}

static void refused(struct blob file, int code, const char *say)
{
	struct err e;

	ck_assert_int_eq(boot(file, IMAGE_SIZE, &e), code);
	ck_assert_msg(strstr(e.msg, say), "\"%s\" is not in \"%s\"", say,
		      e.msg);
	ck_assert_msg(!strncmp(e.msg, "/proc/self/fd/", 14), "%s", e.msg);
}

/* --- What loads ---------------------------------------------------------- */

START_TEST(every_format_loads_and_loads_again)
{
	struct blob image = pe_image();

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct blob file = formats[i].pack(image);
		struct gmem m = guest();
		struct image im;
		struct err e = { 0 };
		int fd;

		ck_assert_msg(!image_open(&im,
					  file_of(file.data, file.len, &fd),
					  &e),
			      "%s: %s", formats[i].name, e.msg);
		ck_assert_int_eq(im.format, formats[i].format);
		ck_assert_uint_eq(im.header.image_size, IMAGE_SIZE);
		ck_assert_uint_eq(im.header.flags, 10);
		ck_assert_uint_eq(im.bytes, IMAGE_LEN);
		for (int again = 0; again < 2; again++) {
			memset(ram, 0x5a, sizeof(ram));
			ck_assert_msg(!image_load(&im, &m, RAM + 8, IMAGE_SIZE,
						  &e),
				      "%s: %s", formats[i].name, e.msg);
			ck_assert_mem_eq(ram + 8, image.data, image.len);
			ck_assert_uint_eq(ram[7], 0x5a);
			ck_assert_uint_eq(ram[8 + IMAGE_SIZE], 0x5a);
		}
		image_close(&im);
		close(fd);
	}
}
END_TEST

/* A second close must not hit whoever has the number by then. */
START_TEST(closing_twice_is_harmless)
{
	struct blob b = pe_image();
	struct image im;
	struct initrd rd;
	struct err e;
	int before, fd;
	const char *path = file_of(b.data, b.len, &fd);

	before = fds_open();
	ck_assert_int_eq(image_open(&im, path, &e), 0);
	image_close(&im);
	ck_assert_int_eq(fds_open(), before);
	ck_assert_int_ge(dup(fd), 0);
	image_close(&im);
	ck_assert_int_eq(fds_open(), before + 1);

	ck_assert_int_eq(initrd_open(&rd, path, &e), 0);
	initrd_close(&rd);
	ck_assert_int_eq(fds_open(), before + 1);
	ck_assert_int_ge(dup(fd), 0);
	initrd_close(&rd);
	ck_assert_int_eq(fds_open(), before + 2);
}
END_TEST

START_TEST(a_raw_kernel_costs_two_reads)
{
	struct blob file = pe_image();
	struct gmem m = guest();
	struct image im;
	struct err e;
	int fd;

	ck_assert_int_eq(image_open(&im, file_of(file.data, file.len, &fd), &e),
			 0);
	ck_assert_uint_eq(disk.calls, 1);
	ck_assert_uint_le(disk.largest, 1024);
	ck_assert_int_eq(image_load(&im, &m, RAM, IMAGE_SIZE, &e), 0);
	ck_assert_uint_eq(disk.calls, 2);
	image_close(&im);
}
END_TEST

START_TEST(a_signature_behind_the_image_is_not_loaded)
{
	struct err e;

	ck_assert_int_eq(boot(signed_image(), IMAGE_SIZE, &e), 0);
	ck_assert_mem_eq(ram, pe_image().data, IMAGE_LEN);
	ck_assert_uint_eq(ram[IMAGE_LEN], 0x5a);
}
END_TEST

START_TEST(without_pe_sections_the_file_is_the_image)
{
	struct blob b[] = { plain_image(), pe_image() };

	put(b[1], PE + 6, 0, 2);
	for (size_t i = 0; i < ARRAY_SIZE(b); i++) {
		struct err e;

		ck_assert_int_eq(boot(b[i], IMAGE_SIZE, &e), 0);
		ck_assert_mem_eq(ram, b[i].data, IMAGE_LEN);

		put(b[i], 16, IMAGE_LEN, 8);
		ck_assert_int_eq(boot(b[i], IMAGE_SIZE, &e), 0);
		refused(blob_cat(b[i], "+", 1), -ENOEXEC, "was appended");
	}
}
END_TEST

START_TEST(pe_headers_that_are_refused)
{
	static const struct {
		size_t off;
		u64 val;
		size_t size;
	} rows[] = {
		{ 60, 0, 4 },           /* no offset */
		{ 60, 1022, 4 },        /* cut off by what is read */
		{ 60, 0xffffffff, 4 },  /* beyond the file */
		{ PE, 0, 4 },           /* no signature */
		{ PE + 6, 0xffff, 2 },  /* more sections than are read */
		{ PE + 20, 0xffff, 2 }, /* the table is elsewhere */
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct blob b = pe_image();

		put(b, rows[i].off, rows[i].val, rows[i].size);
		refused(b, -ENOEXEC, "EFI header");
		refused(gzip(b), -ENOEXEC, "EFI header");
	}
}
END_TEST

START_TEST(kernels_before_3_17)
{
	struct blob b = plain_image();
	struct image im;
	struct err e;
	int fd;

	put(b, 8, 0x0000080000000000, 8); /* big-endian: not to be believed */
	put(b, 16, 0, 8);
	ck_assert_int_eq(image_open(&im, file_of(b.data, b.len, &fd), &e), 0);
	ck_assert_uint_eq(im.header.text_offset, 0x80000);
	ck_assert_uint_ge(im.header.image_size, 2 * IMAGE_LEN);
	image_close(&im);

	refused(gzip(b), -ENOEXEC, "decompress it first");
}
END_TEST

/* --- What does not ------------------------------------------------------- */

START_TEST(strangers_are_named)
{
	static const struct {
		size_t off;
		const char *bytes;
		size_t len;
		const char *name;
	} rows[] = {
		{ 0x202, "HdrS", 4, "x86 kernel (bzImage)" },
		{ 56, "RSC\5", 4, "RISC-V" },
		{ 56, "\xcd\x23\x82\x81", 4, "LoongArch" },
		{ 0x24, "\x18\x28\x6f\x01", 4, "zImage" },
		{ 0, "MZ", 2, "unified kernel image" },
		{ 0, "\177ELF", 4, "make Image" },
		{ 0, "\x27\x05\x19\x56", 4, "uImage" },
		{ 0, "\xd0\x0d\xfe\xed", 4, "FIT image" },
		{ 0, "ANDROID!", 8, "Android" },
		{ 0, "BZh9", 4, "bunzip2" },
		{ 0,
		  "\xfd"
		  "7zXZ",
		  6, "unxz" },
		{ 0, "\x04\x22\x4d\x18", 4, "unlz4" },
		{ 0, "\x02\x21\x4c\x18", 4, "unlz4" },
		{ 0, "\x89LZO", 4, "lzop" },
		{ 0, "\x5d\0\0", 3, "unlzma" },
		{ 0, "070701", 6, "--initrd" },
		{ 0, "!<arch>\n", 8, "dpkg-deb" },
		{ 0, "", 0, "is not an arm64 kernel" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct blob b = blob_new(1024);

		memcpy(b.data + rows[i].off, rows[i].bytes, rows[i].len);
		refused(b, -ENOEXEC, rows[i].name);
		/* And from inside, too. */
		refused(gzip(b), -ENOEXEC, rows[i].name);
		refused(gzip(b), -ENOEXEC, "when decompressed: ");
	}
	refused(gzip(gzip(pe_image())), -ENOEXEC, "gunzip");
	refused(gzip(zstd(pe_image())), -ENOEXEC, "unzstd");
	refused(zstd_window(pe_image(), 28), -ENOEXEC, "--long");
}
END_TEST

START_TEST(headers_that_are_refused)
{
	struct blob b = pe_image();

	put(b, 24, 11, 8);
	refused(b, -ENOEXEC, "big-endian");

	b = pe_image();
	put(b, 16, IMAGE_LEN - 1, 8);
	refused(b, -ENOEXEC, "damaged");
	refused(gzip(b), -ENOEXEC, "damaged");
	put(b, 16, IMAGE_LEN, 8);
	ck_assert_int_eq(boot(b, IMAGE_SIZE, &(struct err) { 0 }), 0);

	b = plain_image();
	b.len = 63;
	refused(b, -ENOEXEC, "is not an arm64 kernel");
	b.len = 64;
	ck_assert_int_eq(boot(b, IMAGE_SIZE, &(struct err) { 0 }), 0);

	b = plain_image();
	put(b, 16, IMAGE_LEN - 1, 8);
	refused(b, -ENOEXEC, "was appended");
}
END_TEST

START_TEST(zboot_headers_that_are_refused)
{
	struct blob b = zboot(gzip(pe_image()), "xzkern");

	refused(b, -ENOEXEC, "'xzkern'");
	b = zboot(gzip(pe_image()), "gzip\x1b[2J");
	refused(b, -ENOEXEC, "'gzip?[2J'");
	b = zboot(gzip(pe_image()), "a name that fills the field whole");
	refused(b, -ENOEXEC, "'a name that fills the field whol'");

	b = zboot_gzip(pe_image());
	put(b, 8, 0xffffffff, 4);
	refused(b, -ENOEXEC, "truncated EFI zboot");
	b = zboot_gzip(pe_image());
	put(b, 12, b.len - ZBOOT_HEADER + 1, 4);
	refused(b, -ENOEXEC, "truncated EFI zboot");
	b = zboot_gzip(pe_image());
	put(b, 12, 0, 4);
	refused(b, -EBADMSG, "truncated");
	b = zboot(zstd(pe_image()), "gzip");
	refused(b, -EBADMSG, "damaged");
	b = zboot(gzip(pe_image()), "zstd");
	refused(b, -EBADMSG, "damaged");
}
END_TEST

START_TEST(trailing_data_is_refused)
{
	struct blob image = pe_image(), b;

	refused(blob_cat(gzip(image), "\0", 1), -EBADMSG, "follows");
	refused(blob_cat(zstd(image), "\0", 1), -EBADMSG, "follows");
	refused(zboot(blob_cat(zstd(image), "12", 2), "zstd"), -EBADMSG,
		"follows");
	b = gzip(image);
	refused(blob_cat(b, b.data, b.len), -EBADMSG, "follows");

	/* The compressed data ends exactly where a read of it does. */
	b = gzip_named(image, 64 * KIB - b.len - 1);
	ck_assert_uint_eq(b.len, 64 * KIB);
	ck_assert_int_eq(boot(b, IMAGE_SIZE, &(struct err) { 0 }), 0);
	refused(blob_cat(b, "+", 1), -EBADMSG, "follows");
}
END_TEST

/* The compressed file is whole, what is in it is not. */
START_TEST(a_cut_image_inside)
{
	struct blob b = pe_image();

	b.len--;
	refused(gzip(b), -EBADMSG, "truncated");
	refused(zboot_zstd(b), -EBADMSG, "truncated");
	b.len = 59;
	refused(gzip(b), -ENOEXEC, "when decompressed");
	b.len = 0;
	refused(gzip(b), -ENOEXEC, "when decompressed");
}
END_TEST

START_TEST(every_truncation_is_noticed)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct blob b = formats[i].pack(pe_image());
		size_t len = b.len;

		/* Only the stub is missing: nobody needs it. */
		if (b.data[4] == 'z')
			len -= 25;
		for (b.len = 0; b.len < len; b.len++) {
			struct err e;
			int r = boot(b, IMAGE_SIZE, &e);

			ck_assert_msg(r < 0, "%s cut at %zu", formats[i].name,
				      b.len);
			if (formats[i].format == IMAGE_RAW)
				ck_assert_msg(r == (b.len ? -ENOEXEC
							  : -ENODATA),
					      "%zu: %s", b.len, e.msg);
		}
		ck_assert_int_eq(boot(b, IMAGE_SIZE, &(struct err) { 0 }), 0);
	}
}
END_TEST

/* Whatever byte is damaged in a compressed file: refused, or it did not
 * matter. */
START_TEST(every_damaged_byte_is_noticed)
{
	struct blob image = pe_image();
	struct blob files[] = { gzip(image), zstd(image), zboot_gzip(image),
				zboot_zstd(image) };

	for (size_t f = 0; f < ARRAY_SIZE(files); f++)
		for (size_t i = 0; i < files[f].len; i++) {
			struct err e;

			files[f].data[i] ^= 0x10;
			if (!boot(files[f], IMAGE_SIZE, &e))
				ck_assert_mem_eq(ram, image.data, image.len);
			files[f].data[i] ^= 0x10;
		}
}
END_TEST

START_TEST(the_limit_is_kept)
{
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct blob b = formats[i].pack(pe_image());

		for (u64 limit = 0; limit < IMAGE_LEN; limit += 7) {
			ck_assert_msg(boot(b, limit, &e) == -EFBIG,
				      "%s limit %lu: %s", formats[i].name,
				      limit, e.msg);
			for (u64 at = limit; at < 2 * IMAGE_LEN; at++)
				if (ram[at] != 0x5a)
					ck_abort_msg("%s: wrote at %lu of %lu",
						     formats[i].name, at,
						     limit);
		}
		ck_assert_msg(!boot(b, IMAGE_LEN, &e), "%s", e.msg);
		ck_assert_int_eq(boot(b, sizeof(ram) + 1, &e), -EFAULT);
	}
}
END_TEST

/* More output than one call of zlib or zstd makes, and than one buffer holds
 * of input. */
static struct blob large_image(void)
{
	const size_t len = 3 * MIB;
	struct blob b = blob_cat(plain_image(), blob_new(len).data, len);
	u32 noise = 1;

	for (size_t i = IMAGE_LEN; i < b.len; i++) {
		noise = noise * 1103515245 + 12345;
		b.data[i] = (u8)(noise >> 24) & 0x3f;
	}
	put(b, 16, b.len, 8);
	return b;
}

START_TEST(a_larger_kernel)
{
	struct blob b = large_image();
	struct gmem m = { 0 };
	u8 *to = blob_new(b.len).data;

	ck_assert_int_eq(gmem_add(&m, RAM, b.len, to), 0);
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct blob big = b, file;
		struct image im;
		struct err e = { 0 };
		int fd;

		file = (formats[i].pack == gzip || formats[i].pack == as_is)
			       ? formats[i].pack(big)
			       : sized_zstd(big);
		memset(to, 0, b.len);
		ck_assert_int_eq(image_open(&im,
					    file_of(file.data, file.len, &fd),
					    &e),
				 0);
		ck_assert_msg(!image_load(&im, &m, RAM, b.len, &e), "%s",
			      e.msg);
		ck_assert_mem_eq(to, b.data, b.len);
		image_close(&im);
	}
}
END_TEST

/* --- Faults -------------------------------------------------------------- */

/* Fail each read in turn, until the run gets by without the fault. */
static void sweep_reads(struct blob file, int error)
{
	struct err e;
	int r;

	for (u64 n = 1;; n++) {
		memset(&disk, 0, sizeof(disk));
		disk.fail_at = n;
		disk.error = error;
		disk.piece = 512;
		r = boot(file, IMAGE_SIZE, &e);
		if (disk.calls < n)
			break;
		ck_assert_int_eq(r, error ? -error : -EIO);
	}
	ck_assert_int_eq(r, 0);
}

START_TEST(a_failing_read_is_an_error)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		sweep_reads(formats[i].pack(pe_image()), EIO);
		sweep_reads(formats[i].pack(pe_image()), 0);
	}
}
END_TEST

START_TEST(short_and_interrupted_reads_are_not)
{
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		for (u64 n = 1; n < 4; n++) {
			memset(&disk, 0, sizeof(disk));
			disk.fail_at = n;
			disk.only_once = true;
			disk.error = EINTR;
			disk.piece = 1;
			ck_assert_msg(!boot(formats[i].pack(pe_image()),
					    IMAGE_SIZE, &e),
				      "%s: %s", formats[i].name, e.msg);
			ck_assert_mem_eq(ram, pe_image().data, IMAGE_LEN);
		}
}
END_TEST

/* Of three MiB, however they are packed, more than one piece is read. */
START_TEST(a_load_that_is_stopped)
{
	struct blob b = large_image();
	struct gmem m = { 0 };

	ck_assert_int_eq(gmem_add(&m, RAM, b.len, blob_new(b.len).data), 0);
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct blob file = formats[i].pack(b);
		struct image im;
		struct err e = { 0 };
		int fd;

		ck_assert_int_eq(image_open(&im,
					    file_of(file.data, file.len, &fd),
					    &e),
				 0);
		im.stop = &disk.stop;
		disk.stop = false;
		disk.calls = 0;
		ck_assert_int_eq(image_load(&im, &m, RAM, b.len, &e),
				 -ECANCELED);
		ck_assert_uint_eq(disk.calls, 1);
		image_close(&im);
	}
}
END_TEST

START_TEST(an_initrd_that_is_stopped)
{
	struct blob b = large_image();
	struct gmem m = { 0 };
	struct initrd rd;
	struct err e = { 0 };
	int fd;

	ck_assert_int_eq(gmem_add(&m, RAM, b.len, blob_new(b.len).data), 0);
	ck_assert_int_eq(initrd_open(&rd, file_of(b.data, b.len, &fd), &e), 0);
	rd.stop = &disk.stop;
	disk.stop = false;
	ck_assert_int_eq(initrd_load(&rd, &m, RAM, &e), -ECANCELED);
	ck_assert_uint_eq(disk.calls, 1);
	initrd_close(&rd);
}
END_TEST

START_TEST(a_kernel_cut_while_open)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct blob b = formats[i].pack(pe_image());
		struct gmem m = guest();
		struct image im;
		struct err e = { 0 };
		int fd;

		ck_assert_int_eq(image_open(&im, file_of(b.data, b.len, &fd),
					    &e),
				 0);
		ck_assert_int_eq(ftruncate(fd, (off_t)b.len / 2), 0);
		ck_assert_int_eq(image_load(&im, &m, RAM, IMAGE_SIZE, &e),
				 -EIO);
		ck_assert_msg(strstr(e.msg, "cut short"), "%s", e.msg);
		image_close(&im);
	}
}
END_TEST

#if OWN_HEAP
START_TEST(a_failing_allocation_is_an_error)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct blob b = formats[i].pack(pe_image());

		for (u64 n = 1;; n++) {
			struct err e;
			int r;

			memset(&heap, 0, sizeof(heap));
			heap.fail_at = n;
			r = boot(b, IMAGE_SIZE, &e);
			ck_assert_uint_eq(heap.live, 0);
			if (heap.calls < n) {
				ck_assert_int_eq(r, 0);
				break;
			}
			ck_assert_msg(r == -ENOMEM, "%s: allocation %lu: %d %s",
				      formats[i].name, n, r, e.msg);
		}
	}
}
END_TEST

/* Not the window of 128 MiB that this file asks for. */
START_TEST(loading_needs_little_memory)
{
	struct blob b = zboot(zstd_window(pe_image(), 27), "zstd22");
	struct gmem m = guest();
	struct image im;
	struct err e;
	int fd, r;

	ck_assert_int_eq(image_open(&im, file_of(b.data, b.len, &fd), &e), 0);
	heap_watch(true);
	r = image_load(&im, &m, RAM, IMAGE_SIZE, &e);
	heap_watch(false);
	ck_assert_int_eq(r, 0);
	ck_assert_mem_eq(ram, pe_image().data, IMAGE_LEN);
	ck_assert_uint_eq(heap.live, 0);
	ck_assert_uint_lt(heap.bytes, 512 * KIB);
	image_close(&im);
}
END_TEST
#endif

/* --- What is no file, and initrds ---------------------------------------- */

static void not_a_file(const char *path, int code, const char *say)
{
	struct image im;
	struct initrd rd;
	struct err e = { 0 };

	ck_assert_int_eq(image_open(&im, path, &e), code);
	ck_assert_msg(strstr(e.msg, say), "%s", e.msg);
	ck_assert_msg(!strncmp(e.msg, path, strlen(path)), "%s", e.msg);
	image_close(&im);

	e = (struct err) { 0 };
	ck_assert_int_eq(initrd_open(&rd, path, &e), code);
	ck_assert_msg(strstr(e.msg, say), "%s", e.msg);
	ck_assert_msg(!strncmp(e.msg, path, strlen(path)), "%s", e.msg);
	initrd_close(&rd);
}

START_TEST(only_regular_files_with_something_in_them)
{
	char dir[] = "/tmp/test_image.XXXXXX";
	char path[64];
	int fd;

	not_a_file("/nonexistent/vmlinuz", -ENOENT, "No such file");
	not_a_file("/", -EISDIR, "is a directory");
	not_a_file("/dev/null", -ESPIPE, "a device");
	not_a_file(file_of("", 0, &fd), -ENODATA, "is empty");

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/fifo", dir);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	not_a_file(path, -ESPIPE, "a pipe");
	unlink(path);
	rmdir(dir);
}
END_TEST

START_TEST(an_initrd_loads_and_loads_again)
{
	struct gmem m = guest();
	struct initrd rd;
	struct err e = { 0 };
	int fd;

	ck_assert_int_eq(initrd_open(&rd, file_of("070701", 6, &fd), &e), 0);
	ck_assert_uint_eq(rd.size, 6);
	disk.piece = 4;
	for (int again = 0; again < 2; again++) {
		memset(ram, 0x5a, sizeof(ram));
		ck_assert_int_eq(initrd_load(&rd, &m, RAM + 16, &e), 0);
		ck_assert_mem_eq(ram + 15,
				 "\x5a"
				 "070701\x5a",
				 8);
	}

	ck_assert_int_eq(initrd_load(&rd, &m, RAM + sizeof(ram) - 5, &e),
			 -EFAULT);
	ck_assert_msg(strstr(e.msg, "no guest memory"), "%s", e.msg);
	ck_assert_int_eq(ftruncate(fd, 5), 0);
	ck_assert_int_eq(initrd_load(&rd, &m, RAM, &e), -EIO);
	ck_assert_msg(strstr(e.msg, "ended at byte 5"), "%s", e.msg);
	disk.fail_at = 1;
	disk.error = EIO;
	ck_assert_int_eq(initrd_load(&rd, &m, RAM, &e), -EIO);
	ck_assert_msg(strstr(e.msg, "Input/output error"), "%s", e.msg);
	initrd_close(&rd);
}
END_TEST

UNIT_MAIN("image", every_format_loads_and_loads_again,
	  closing_twice_is_harmless, a_raw_kernel_costs_two_reads,
	  a_signature_behind_the_image_is_not_loaded,
	  without_pe_sections_the_file_is_the_image,
	  pe_headers_that_are_refused, kernels_before_3_17, strangers_are_named,
	  headers_that_are_refused, zboot_headers_that_are_refused,
	  trailing_data_is_refused, a_cut_image_inside,
	  every_truncation_is_noticed, every_damaged_byte_is_noticed,
	  the_limit_is_kept, a_larger_kernel, a_failing_read_is_an_error,
	  short_and_interrupted_reads_are_not, a_load_that_is_stopped,
	  an_initrd_that_is_stopped, a_kernel_cut_while_open,
#if OWN_HEAP
	  a_failing_allocation_is_an_error, loading_needs_little_memory,
#endif
	  only_regular_files_with_something_in_them,
	  an_initrd_loads_and_loads_again)
