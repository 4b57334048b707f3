/* Files people give as a kernel that are none, and what to do about each. */
#include "image_header.h"

#include <errno.h>

#define USE_ARM64 "use an arm64 Image or a distribution's arm64 vmlinuz"

/* The first row that fits names the file. */
static const struct {
	u32 off;
	u32 len;
	const char *magic;
	const char *what;
	const char *advice;
} strangers[] = {
	{ 0x202, 4, "HdrS", "an x86 kernel (bzImage)", USE_ARM64 },
	{ 56, 4, "RSC\x05", "a RISC-V kernel", USE_ARM64 },
	{ 56, 4, "\xcd\x23\x82\x81", "a LoongArch kernel", USE_ARM64 },
	{ 36, 4, "\x18\x28\x6f\x01", "a 32-bit Arm kernel (zImage)",
	  USE_ARM64 },
	{ 0, 2, "MZ", "an EFI program without an arm64 kernel's header",
	  "for a unified kernel image, use the kernel it was made from "
	  "(objcopy -O binary -j .linux)" },
	{ 0, 4, "\177ELF", "an ELF file (vmlinux?)",
	  "use arch/arm64/boot/Image of the same build (make Image), or make "
	  "one with: objcopy -O binary" },
	{ 0, 4, "\x27\x05\x19\x56", "a U-Boot image (uImage)",
	  "use the Image it was made from (dumpimage extracts it)" },
	{ 0, 4, "\xd0\x0d\xfe\xed", "a device tree or a FIT image",
	  "use the Image itself" },
	{ 0, 8, "ANDROID!", "an Android boot image",
	  "use the kernel in it (unpack_bootimg extracts it)" },
	{ 0, 3, "\x1f\x8b\x08", "a gzip file", "unpack it: gunzip" },
	{ 0, 4, "\x28\xb5\x2f\xfd", "a zstd file", "unpack it: unzstd" },
	{ 0, 3, "BZh", "a bzip2 file", "unpack it: bunzip2" },
	{ 0, 6, "\3757zXZ", "an xz file", "unpack it: unxz" },
	{ 0, 4, "\x04\x22\x4d\x18", "an lz4 file", "unpack it: unlz4" },
	{ 0, 4, "\x02\x21\x4c\x18", "an lz4 file", "unpack it: unlz4" },
	{ 0, 4, "\x89LZO", "an lzop file", "unpack it: lzop -d" },
	{ 0, 3, "\x5d\0\0", "an lzma file", "unpack it: unlzma" },
	{ 0, 5, "07070", "an initramfs (cpio archive)",
	  "that is for --initrd; " USE_ARM64 },
	{ 0, 8, "!<arch>\n", "a package or ar archive",
	  "unpack it (dpkg-deb -x) and use the vmlinuz in its boot directory" },
};

int image_stranger(const struct image_head *head, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(strangers); i++)
		if (image_head_has(head, strangers[i].off, strangers[i].magic,
				   strangers[i].len))
			return err_set(e, -ENOEXEC,
				       "is %s, not an arm64 kernel; %s",
				       strangers[i].what, strangers[i].advice);
	return err_set(e, -ENOEXEC, "is not an arm64 kernel; " USE_ARM64);
}
