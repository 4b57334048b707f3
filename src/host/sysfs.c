#include "sysfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Also what is too long is no name of a file. */
static void make_path(char path[static PATH_MAX], const char *fmt, va_list ap)
{
	if (vsnprintf(path, PATH_MAX, fmt, ap) >= PATH_MAX)
		path[0] = '\0';
}

static int read_all(const char *path, u8 *buf, size_t len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t have = 0;
	ssize_t n;
	int err;

	if (fd < 0)
		return -errno;
	while ((n = read(fd, buf + have, len - have)) > 0)
		have += (size_t)n;
	err = n < 0 ? -errno : 0;
	close(fd);
	return err ? err : (int)have;
}

int sysfs_bytes(void *buf, size_t len, const char *fmt, ...)
{
	char path[PATH_MAX];
	va_list ap;

	va_start(ap, fmt);
	make_path(path, fmt, ap);
	va_end(ap);
	return read_all(path, buf, len);
}

int sysfs_text(char *buf, size_t len, const char *fmt, ...)
{
	char path[PATH_MAX];
	va_list ap;
	int n;

	va_start(ap, fmt);
	make_path(path, fmt, ap);
	va_end(ap);
	n = read_all(path, (u8 *)buf, len - 1);
	buf[n < 0 ? 0 : n] = '\0';
	if (n > 0 && buf[n - 1] == '\n')
		buf[--n] = '\0';
	return n;
}

void sysfs_link(char *buf, size_t len, const char *fmt, ...)
{
	char path[PATH_MAX], target[PATH_MAX];
	const char *last = "", *slash;
	va_list ap;
	ssize_t n;

	va_start(ap, fmt);
	make_path(path, fmt, ap);
	va_end(ap);
	n = readlink(path, target, sizeof(target) - 1);
	if (n > 0) {
		target[n] = '\0';
		slash = strrchr(target, '/');
		last = slash ? slash + 1 : target;
	}
	snprintf(buf, len, "%s", last);
}

bool sysfs_has(const char *fmt, ...)
{
	char path[PATH_MAX];
	va_list ap;

	va_start(ap, fmt);
	make_path(path, fmt, ap);
	va_end(ap);
	return !access(path, F_OK);
}
