#include <belfry/disk.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#define SECTOR 512u
#define PAGE   4096u
/* Some network file systems call a megabyte a block. */
#define PHYSICAL_BLOCK_MAX (64 * KIB)

/*
 * The bytes that QEMU (block/file-posix.c) locks for reading: each says what
 * the one who holds it does, or will not have others do.
 */
#define QEMU_WRITES            101
#define QEMU_LETS_NOBODY_WRITE 201

#define LOCK_STEPS             100
#define LOCK_STEP_NS           10000000

static int cannot_open(const struct disk *d, const char *path, int err,
		       struct err *e)
{
	switch (err) {
	case EBUSY:
		return err_set(
			e, -err,
			"%s: in use on this host: mounted, part of another device, or another guest's; release it first",
			path);
	case EACCES:
	case EPERM:
	case EROFS:
		return err_set(
			e, -err, "%s: %s%s", path, strerror(err),
			d->readonly
				? ""
				: "; a guest that only reads it can have it as readonly");
	case EINVAL:
		if (d->direct)
			return err_set(
				e, -err,
				"%s: direct: its file system has no O_DIRECT; leave `direct` out",
				path);
		break;
	}
	return err_set(e, -err, "%s: %s", path, strerror(err));
}

static int cannot_lock(const struct disk *d, const char *path, int err,
		       struct err *e)
{
	if (err != EAGAIN && err != EACCES)
		return err_set(
			e, -err,
			"%s: cannot be locked (%s), so nothing would keep two guests from writing it: put it on a file system that has locks",
			path, strerror(err));
	if (d->readonly)
		return err_set(
			e, -EBUSY,
			"%s: locked by another guest or program that writes it (`lsof %s` names it)",
			path, path);
	return err_set(
		e, -EBUSY,
		"%s: locked by another guest or program (`lsof %s` names it); only guests that all have it as readonly can share a disk",
		path, path);
}

/*
 * A lock of the open file, not of the process: it conflicts with one that we
 * ourselves took for another drive, and closing that does not drop this.
 */
static bool lock(int fd, int cmd, struct flock *l)
{
	l->l_whence = SEEK_SET;
	return !fcntl(fd, cmd, l);
}

/*
 * A writer locks all there is. A reader must get along with QEMU's readers, so
 * it takes the one byte that keeps writers out and looks at the one by which
 * they show; in this order, or two could miss each other. 0 or -errno.
 */
static int try_lock(const struct disk *d)
{
	struct flock all = { .l_type = F_WRLCK };
	struct flock ours = { .l_type = F_RDLCK,
			      .l_start = QEMU_LETS_NOBODY_WRITE,
			      .l_len = 1 };
	struct flock theirs = { .l_type = F_WRLCK,
				.l_start = QEMU_WRITES,
				.l_len = 1 };

	if (!d->readonly)
		return lock(d->fd, F_OFD_SETLK, &all) ? 0 : -errno;
	if (!lock(d->fd, F_OFD_SETLK, &ours) ||
	    !lock(d->fd, F_OFD_GETLK, &theirs))
		return -errno;
	return theirs.l_type == F_UNLCK ? 0 : -EAGAIN;
}

/*
 * The kernel takes an io_uring down some time after the process is gone, and
 * holds its files until then: a guest that is begun again would find itself.
 */
static int lock_disk(const struct disk *d, const char *path, struct err *e)
{
	const struct timespec step = { .tv_nsec = LOCK_STEP_NS };
	int err = try_lock(d);

	for (int i = 0; i < LOCK_STEPS && (err == -EAGAIN || err == -EACCES);
	     i++) {
		nanosleep(&step, NULL);
		err = try_lock(d);
	}
	return err ? cannot_lock(d, path, -err, e) : 0;
}

/* One number of the request queue behind a device, or behind the device that
 * it is a partition of; 0 if there is none. */
static u32 queue_number(dev_t dev, const char *name)
{
	static const char *const places[] = { "", "../" };
	unsigned n = 0;

	for (size_t i = 0; !n && i < ARRAY_SIZE(places); i++) {
		char path[96];
		FILE *f;

		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%squeue/%s",
			 major(dev), minor(dev), places[i], name);
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fscanf(f, "%u", &n) != 1)
			n = 0;
		fclose(f);
	}
	return n;
}

static int device_blocks(struct disk *d, const char *path, dev_t dev,
			 struct err *e)
{
	int logical, write_protected;
	unsigned physical;

	if (ioctl(d->fd, BLKSSZGET, &logical) ||
	    ioctl(d->fd, BLKPBSZGET, &physical) ||
	    ioctl(d->fd, BLKROGET, &write_protected))
		return err_set(e, -errno, "%s: block sizes: %s", path,
			       strerror(errno));
	/* Opening it to write works all the same. */
	if (write_protected && !d->readonly)
		return cannot_open(d, path, EROFS, e);
	d->logical_block = (u32)logical;
	d->physical_block = MAX(physical, d->logical_block);
	d->discard_block = queue_number(dev, "discard_granularity");
	return 0;
}

static void file_blocks(struct disk *d, u64 block)
{
	d->logical_block = SECTOR;
	if (block < SECTOR || block > PHYSICAL_BLOCK_MAX ||
	    (block & (block - 1)))
		block = PAGE;
	d->physical_block = (u32)block;
	d->discard_block = (u32)block;
}

/* The smallest block that can be read past the page cache; 0: none. What is
 * not there to be read cannot fail either, so an empty file says 512. */
static u32 try_direct(int fd)
{
	u8 *buf = aligned_alloc(PAGE, 2 * PAGE);
	u32 n = SECTOR;

	if (!buf)
		return 0;
	while (n <= PAGE && pread(fd, buf + n, n, n) < 0)
		n *= 2;
	free(buf);
	return n <= PAGE ? n : 0;
}

/* Linux 6.1 tells, for most file systems. */
static int direct_blocks(struct disk *d, const char *path, struct err *e)
{
	struct statx s;
	u32 offset, memory;

	if (!statx(d->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &s) &&
	    s.stx_mask & STATX_DIOALIGN) {
		offset = s.stx_dio_offset_align;
		memory = s.stx_dio_mem_align;
	} else {
		offset = memory = try_direct(d->fd);
	}
	if (!offset)
		return cannot_open(d, path, EINVAL, e);
	d->align = MAX(offset, memory);
	d->logical_block = MAX(d->logical_block, offset);
	d->physical_block = MAX(d->physical_block, d->logical_block);
	return 0;
}

static int measure_all(struct disk *d, const char *path, const struct stat *st,
		       struct err *e)
{
	int err = 0;

	if (d->block_device)
		err = device_blocks(d, path, st->st_rdev, e);
	else
		file_blocks(d, (u64)st->st_blksize);
	d->align = 1;
	if (!err && d->direct)
		err = direct_blocks(d, path, e);
	if (err)
		return err;
	d->discard_block = MAX(d->discard_block, d->logical_block);
	if (!disk_measure(d))
		return err_set(e, -errno, "%s: size: %s", path,
			       strerror(errno));
	if (d->size % d->logical_block)
		return err_set(
			e, -EINVAL,
			"%s has %" PRIu64
			" bytes, no whole number of sectors of %u; `truncate -s %%%u %s` adds what is missing",
			path, d->size, d->logical_block, d->logical_block,
			path);
	return 0;
}

/* Of a device O_EXCL keeps out what else on this host would write it, and is
 * refused while something does. */
static int open_flags(const struct disk *d)
{
	int flags = O_CLOEXEC | (d->readonly ? O_RDONLY : O_RDWR);

	if (d->direct)
		flags |= O_DIRECT;
	if (d->block_device && !d->readonly)
		flags |= O_EXCL;
	return flags;
}

/* What QEMU makes, and newcomers bring: a guest would see the format. */
static int check_raw(const struct disk *d, const char *path, struct err *e)
{
	_Alignas(PAGE) char head[PAGE];

	if (pread(d->fd, head, sizeof(head), 0) < 4 ||
	    memcmp(head, "QFI\xfb", 4) != 0)
		return 0;
	return err_set(
		e, -EINVAL,
		"%s: a qcow2 image, and a drive is raw: make it one (`qemu-img convert -O raw %s %s.raw`)",
		path, path, path);
}

int disk_open(struct disk *d, const char *path, bool readonly, bool direct,
	      struct err *e)
{
	struct stat st;
	int err;

	*d = (struct disk) { .fd = -1, .readonly = readonly, .direct = direct };
	/* Before it is opened: opening a pipe waits, and others do worse. */
	if (stat(path, &st))
		return cannot_open(d, path, errno, e);
	if (S_ISDIR(st.st_mode))
		return err_set(
			e, -EISDIR,
			"%s: a directory; a disk is a file or a block device",
			path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_set(e, -EINVAL,
			       "%s: neither a file nor a block device", path);
	d->block_device = S_ISBLK(st.st_mode);
	d->fd = open(path, open_flags(d));
	if (d->fd < 0)
		return cannot_open(d, path, errno, e);
	err = lock_disk(d, path, e);
	if (!err)
		err = measure_all(d, path, &st, e);
	if (!err)
		err = check_raw(d, path, e);
	if (err)
		disk_close(d);
	return err;
}

void disk_close(struct disk *d)
{
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
}

/* Works for files and devices, and asks a network's server again. */
bool disk_measure(struct disk *d)
{
	off_t end = lseek(d->fd, 0, SEEK_END);

	if (end < 0)
		return false;
	d->size = (u64)end;
	return true;
}
