/*
 * A file or block device that backs a guest's disk: opened, locked, measured.
 * The requests themselves go through the loop.
 */
#ifndef BELFRY_DISK_H
#define BELFRY_DISK_H

#include <belfry/base.h>
#include <belfry/err.h>

struct disk {
	int fd;   /* owned; -1: closed */
	u64 size; /* bytes, as last looked */
	bool block_device;
	bool readonly, direct;
	/* Powers of two. What the device underneath does best (block devices),
	 * or 512 and the file system's block. With O_DIRECT memory, offset and
	 * length must be multiples of @align; @logical_block then is one that
	 * offset and length can be. Without, @align is 1. */
	u32 logical_block, physical_block, align;
	u32 discard_block; /* space is freed in multiples of it */
};

/*
 * Open @path, which must be there. -errno and a message that says what to do:
 * it is a directory, the size is no multiple of @logical_block, O_DIRECT is
 * not possible there, another Belfry (or QEMU, or whoever locks it with fcntl)
 * uses it. One writer, or any number of readers: the lock is held until
 * disk_close, and until a loop that the descriptor was added to is gone, which
 * may be a moment after its process; so a lock is waited for, for a second.
 */
MUST_CHECK int disk_open(struct disk *d, const char *path, bool readonly,
			 bool direct, struct err *e);
void disk_close(struct disk *d);

/* Look at the size again: lseek(2), no more. False if it cannot be told (@size
 * is then kept). */
bool disk_measure(struct disk *d);

#endif
