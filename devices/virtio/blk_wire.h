/* What a block device and its driver say to each other. VIRTIO 1.2, 5.2; all
 * of it little-endian. */
#ifndef BELFRY_BLK_WIRE_H
#define BELFRY_BLK_WIRE_H

#include <belfry/base.h>

#include <assert.h>

/* Feature bits, 5.2.3. */
#define VIRTIO_BLK_F_SIZE_MAX     BIT(1)
#define VIRTIO_BLK_F_SEG_MAX      BIT(2)
#define VIRTIO_BLK_F_RO           BIT(5)
#define VIRTIO_BLK_F_BLK_SIZE     BIT(6)
#define VIRTIO_BLK_F_FLUSH        BIT(9)
#define VIRTIO_BLK_F_TOPOLOGY     BIT(10)
#define VIRTIO_BLK_F_MQ           BIT(12)
#define VIRTIO_BLK_F_DISCARD      BIT(13)
#define VIRTIO_BLK_F_WRITE_ZEROES BIT(14)

/* 5.2.4, up to what belongs to features not offered. */
struct virtio_blk_config {
	u64 capacity; /* sectors of 512 bytes, as are all below */
	u32 size_max, seg_max;
	u8 geometry[4];
	u32 blk_size; /* bytes */
	u8 physical_block_exp, alignment_offset;
	u16 min_io_size; /* blocks, as is the next */
	u32 opt_io_size;
	u8 writeback, unused0;
	u16 num_queues;
	u32 max_discard_sectors, max_discard_seg, discard_sector_alignment;
	u32 max_write_zeroes_sectors, max_write_zeroes_seg;
	u8 write_zeroes_may_unmap, unused1[3];
};
#define VIRTIO_BLK_CONFIG_LEN 60
static_assert(offsetof(struct virtio_blk_config, unused1) + 3 ==
		      VIRTIO_BLK_CONFIG_LEN,
	      "VIRTIO 1.2, 5.2.4; C pads only the end");

/* A request begins with this, 5.2.6; the data follows, then a byte of
 * status. */
struct virtio_blk_header {
	u32 type, reserved;
	u64 sector;
};
static_assert(sizeof(struct virtio_blk_header) == 16, "VIRTIO 1.2, 5.2.6");

enum virtio_blk_type {
	VIRTIO_BLK_T_IN = 0,
	VIRTIO_BLK_T_OUT = 1,
	VIRTIO_BLK_T_FLUSH = 4,
	VIRTIO_BLK_T_GET_ID = 8,
	VIRTIO_BLK_T_DISCARD = 11,
	VIRTIO_BLK_T_WRITE_ZEROES = 13,
};

enum virtio_blk_status {
	VIRTIO_BLK_S_OK = 0,
	VIRTIO_BLK_S_IOERR = 1,
	VIRTIO_BLK_S_UNSUPP = 2,
};

/* struct virtio_blk_discard_write_zeroes: the data of these two. */
struct virtio_blk_range {
	u64 sector;
	u32 num_sectors, flags;
};
static_assert(sizeof(struct virtio_blk_range) == 16, "VIRTIO 1.2, 5.2.6");

#define VIRTIO_BLK_RANGE_UNMAP BIT(0)

#endif
