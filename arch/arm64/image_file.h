/* Private to the loader: regular files, read at a place. */
#ifndef BELFRY_IMAGE_FILE_H
#define BELFRY_IMAGE_FILE_H

#include <belfry/base.h>
#include <belfry/err.h>

/* Returns an owned descriptor and the file's @size, never 0; -errno and a
 * message (without the path) for anything but a regular file. */
MUST_CHECK int image_file_open(const char *path, u64 *size, struct err *e);

/* Read exactly [off, off + len) into @buf. -ECANCELED once *@stop is set, if
 * there is one; it is looked at before each MiB. */
MUST_CHECK int image_file_read(int fd, const bool *stop, void *buf, u64 len,
			       u64 off, struct err *e);

#endif
