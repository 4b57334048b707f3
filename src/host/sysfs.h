/*
 * Small files of sysfs: attributes and links.
 */
#ifndef BELFRY_HOST_SYSFS_H
#define BELFRY_HOST_SYSFS_H

#include <belfry/base.h>

/* The contents of a file whose name @fmt makes, cut to @len - 1 bytes; and as
 * text, without the newline at the end. Bytes read, or -errno. */
PRINTF_LIKE(3, 4)
MUST_CHECK int sysfs_bytes(void *buf, size_t len, const char *fmt, ...);
PRINTF_LIKE(3, 4)
MUST_CHECK int sysfs_text(char *buf, size_t len, const char *fmt, ...);

/* The last part of what a link leads to; "" if there is no such link. */
PRINTF_LIKE(3, 4) void sysfs_link(char *buf, size_t len, const char *fmt, ...);

PRINTF_LIKE(1, 2) bool sysfs_has(const char *fmt, ...);

#endif
