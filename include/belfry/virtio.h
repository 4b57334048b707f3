/*
 * A virtio device on PCI, modern only: identification, feature negotiation,
 * status, queues, notifications, interrupts. What kind of device it is, a
 * struct virtio_ops says.
 *
 * Registers are the vCPU threads', under the device's lock; queues are the
 * event loop's. DRIVER_OK and reset go from the one to the other: a reset
 * shows as done (status 0) only once the loop has stopped using the queues.
 *
 * VIRTIO 1.2, chapters 2 and 3, 4.1 (PCI), 6 (reserved feature bits).
 */
#ifndef BELFRY_VIRTIO_H
#define BELFRY_VIRTIO_H

#include <belfry/base.h>
#include <belfry/dma.h>
#include <belfry/err.h>
#include <belfry/irq.h>
#include <belfry/loop.h>
#include <belfry/pci.h>
#include <belfry/virtqueue.h>

/* Device types, chapter 5. */
enum virtio_type {
	VIRTIO_NET = 1,
	VIRTIO_BLK = 2,
	VIRTIO_CONSOLE = 3,
	VIRTIO_RNG = 4,
};

/* Feature bits of the transport, chapter 6; it offers these itself, the last
 * where a driver cannot do without it. */
#define VIRTIO_F_INDIRECT_DESC   BIT(28)
#define VIRTIO_F_EVENT_IDX       BIT(29)
#define VIRTIO_F_VERSION_1       BIT(32)
#define VIRTIO_F_ACCESS_PLATFORM BIT(33)

#define VIRTIO_QUEUES_MAX                                   \
	33 /* 16 pairs of a network device, one for control \
	    */
#define VIRTIO_CONFIG_MAX 256

struct virtio;

/* What a kind of device does; on the loop's thread unless it says otherwise. */
struct virtio_ops {
	enum virtio_type type;
	u32 class_code; /* PCI's, 24 bits */
	/* DRIVER_OK: @features were agreed, queues can be used. */
	void (*start)(void *dev, u64 features);
	/* The driver says queue @i has something new. Also called for every
	 * enabled queue after start, or once the bus may be mastered. */
	void (*kick)(void *dev, u32 i);
	/* Stop using the queues and guest memory, then call virtio_stopped,
	 * from here or later. No kick comes after it. */
	void (*stop)(void *dev);
	/* The driver wrote @val over @len bytes at @off of the configuration;
	 * those of its bits that it may write are changed already. A vCPU's
	 * thread, the device's lock held. May be NULL. */
	void (*config_written)(void *dev, u32 off, u32 len, u64 val);
};

/* What every device is given of the world; pointers are borrowed, contents
 * copied. */
struct virtio_caps {
	struct loop *loop;
	struct dma dma;
	struct msi_sink msi;
	struct doorbells doorbells;
};

struct virtio_setup {
	const char *name; /* for messages, "drive 1"; borrowed */
	const struct virtio_ops *ops;
	void *dev;
	u64 features; /* the device type's own, offered */
	u32 queues;
	u16 queue_size; /* most descriptors a queue may have */
	u32 config_len; /* bytes of device configuration */
	struct virtio_caps caps;
};

/* NULL and a message on failure. Put virtio_function() on a bus next. */
struct virtio *virtio_create(const struct virtio_setup *s, struct err *e);
/* The guest is gone for good, and the loop: nothing is called back. */
void virtio_destroy(struct virtio *v);

struct pci_function *virtio_function(struct virtio *v);

/*
 * Begin a device reset from outside, no vCPU running: as if the driver had
 * written 0, and the PCI side as at power-on too where the host is reset. The
 * loop's thread; @done is called on it once nothing of the device touches guest
 * memory any more, at once if there is nothing to wait for.
 */
void virtio_reset(struct virtio *v, void (*done)(void *ctx), void *ctx);

/* --- for the device, on the loop's thread --- */

/*
 * Queue @i, or NULL if the driver has not enabled it, the device is not running
 * or may not master the bus. Ask at each event: mastering can be taken away at
 * any time, and all that was to be done with the queue is off then.
 */
struct virtq *virtio_queue(struct virtio *v, u32 i);

/* Show what was pushed to queue @i and interrupt if that is wanted. Where a
 * queue has broken, this is what tells the driver: DEVICE_NEEDS_RESET. Call it
 * at the end of each batch. */
void virtio_show(struct virtio *v, u32 i);

/* The answer to ops->stop. */
void virtio_stopped(struct virtio *v);

/* The device cannot go on until it is reset (2.1.2). The host's reasons are
 * the caller's to log. */
void virtio_needs_reset(struct virtio *v);

/* Replace bytes of the device configuration before the guest runs, or while
 * it does: then the driver is told (2.5). Any thread, but not within
 * config_written. */
void virtio_config_set(struct virtio *v, u32 off, const void *bytes, u32 len);
/* Bits of the configuration that the driver may write (default: none). */
void virtio_config_writable(struct virtio *v, u32 off, u32 len);

/* What the driver did wrong. */
u64 virtio_faults(const struct virtio *v);

#endif
