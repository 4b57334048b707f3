/*
 * The virtio block device, over a disk and the loop's file requests.
 * VIRTIO 1.2, 5.2.
 */
#ifndef BELFRY_BLK_H
#define BELFRY_BLK_H

#include <belfry/base.h>
#include <belfry/disk.h>
#include <belfry/err.h>
#include <belfry/virtio.h>

#define BLK_SERIAL_MAX 20
#define BLK_QUEUES_MAX 16

struct blk_setup {
	const char *name;   /* for messages; borrowed */
	struct disk *disk;  /* borrowed */
	u32 queues;         /* 1..BLK_QUEUES_MAX */
	const char *serial; /* up to BLK_SERIAL_MAX bytes, or NULL */
	bool discard;       /* offer discard and write-zeroes-with-unmap */
	struct virtio_caps caps;
};

struct blk;

/* NULL and a message on failure. */
struct blk *blk_create(const struct blk_setup *s, struct err *e);
void blk_destroy(struct blk *b);

struct virtio *blk_virtio(struct blk *b);

/* Requests the host failed, so far. */
u64 blk_errors(const struct blk *b);

#endif
