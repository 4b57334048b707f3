/* The initrd: opened, measured, copied. */
#include <belfry/image.h>
#include "image_file.h"

#include <errno.h>
#include <unistd.h>

int initrd_open(struct initrd *rd, const char *path, struct err *e)
{
	*rd = (struct initrd) { .path = path, .fd = -1 };

	rd->fd = image_file_open(path, &rd->size, e);
	if (rd->fd < 0)
		return err_prefix(e, "%s", path);
	return 0;
}

void initrd_close(struct initrd *rd)
{
	if (rd->fd >= 0)
		close(rd->fd);
	rd->fd = -1;
}

int initrd_load(const struct initrd *rd, const struct gmem *mem, gpa_t at,
		struct err *e)
{
	void *to = gmem_slice(mem, at, rd->size);

	if (!to)
		return err_set(e, -EFAULT,
			       "%s: no guest memory for %lu bytes at %#lx",
			       rd->path, rd->size, at);
	if (image_file_read(rd->fd, rd->stop, to, rd->size, 0, e))
		return err_prefix(e, "%s", rd->path);
	return 0;
}
