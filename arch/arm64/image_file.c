#include "image_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int file_check(int fd, u64 *size, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st))
		return err_set(e, -errno, "%s", strerror(errno));
	if (S_ISDIR(st.st_mode))
		return err_set(e, -EISDIR, "is a directory; name a file in it");
	if (!S_ISREG(st.st_mode))
		return err_set(e, -ESPIPE,
			       "is a pipe or a device; every guest reset reads "
			       "it again, so copy it to a file first");
	if (!st.st_size)
		return err_set(e, -ENODATA, "is empty");
	*size = (u64)st.st_size;
	return 0;
}

int image_file_open(const char *path, u64 *size, struct err *e)
{
	/* A FIFO nobody writes to would make open wait for ever. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return err_set(e, -errno, "%s", strerror(errno));
	if (file_check(fd, size, e)) {
		close(fd);
		return e->code;
	}
	return fd;
}

int image_file_read(int fd, const bool *stop, void *buf, u64 len, u64 off,
		    struct err *e)
{
	u64 done = 0;

	while (done < len) {
		ssize_t n;

		if (stop && __atomic_load_n(stop, __ATOMIC_RELAXED))
			return err_set(e, -ECANCELED, "not read to its end");
		n = pread(fd, (u8 *)buf + done, MIN(len - done, MIB),
			  (off_t)(off + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, -errno, "read: %s", strerror(errno));
		if (!n)
			return err_set(e, -EIO,
				       "ended at byte %lu while being read; "
				       "it was cut short after it was opened",
				       (off + done));
		done += (u64)n;
	}
	return 0;
}
