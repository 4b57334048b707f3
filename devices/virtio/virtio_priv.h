/* What virtio.c (the life of a device) and virtio_pci.c (what its driver
 * sees) share. */
#ifndef BELFRY_VIRTIO_PRIV_H
#define BELFRY_VIRTIO_PRIV_H

#include <belfry/lock.h>
#include <belfry/regbank.h>
#include <belfry/virtio.h>

/* device_status, 2.1. */
#define STATUS_ACKNOWLEDGE 1
#define STATUS_DRIVER      2
#define STATUS_DRIVER_OK   4
#define STATUS_FEATURES_OK 8
#define STATUS_NEEDS_RESET 64
#define STATUS_FAILED      128

#define NO_VECTOR          0xffff

/* ISR status, 4.1.4.5. */
#define ISR_QUEUE  1
#define ISR_CONFIG 2

/* What a driver says of a queue. */
struct queue_setup {
	u16 size;
	bool enabled;
	u64 desc, driver, device;
};

struct queue {
	struct queue_setup set; /* under the lock */
	_Atomic u16 vector;
	struct virtq ring; /* the loop's */
	/* The driver's notifications: from KVM, or from a vCPU thread. */
	int kick_fd;
	struct loop_op kick_op;
	struct virtio *all;
};

/* Where a device is between the threads. */
enum phase {
	PHASE_STOPPED,
	PHASE_STARTING, /* DRIVER_OK is set; the loop does not know yet */
	PHASE_RUNNING,
	PHASE_STOPPING, /* ops->stop was called and not answered */
};

struct virtio {
	struct virtio_setup setup;
	struct pci_function function;
	u32 config_cap; /* of the configuration access capability */
	struct guest_faults faults;
	struct loop_event sync; /* tells the loop to look at the phase */

	struct lock lock; /* a device's; guards what follows */
	enum phase phase;
	bool resetting;       /* a reset was asked for and is not done */
	_Atomic bool cut_off; /* from memory, until then */
	u8 status, isr, generation;
	u32 device_select, driver_select, queue_select;
	u64 offered, accepted;
	bool excess; /* a feature bit beyond 63 was accepted */
	_Atomic u16 config_vector;
	gpa_t bells;  /* where notifications are attached; 0: nowhere */
	gpa_t notify; /* where the notification area is; 0: nowhere */
	u8 config[VIRTIO_CONFIG_MAX], writable[VIRTIO_CONFIG_MAX];

	/* The loop's. */
	bool live; /* queues may be used */
	void (*reset_done)(void *ctx);
	void *reset_ctx;

	struct queue queues[];
};

/* virtio_pci.c: the PCI side of a device whose setup is filled in. */
MUST_CHECK int virtio_pci_init(struct virtio *v, struct err *e);
/* Registers as after a reset. The lock is held. */
void virtio_pci_reset(struct virtio *v);

/* virtio.c, the lock held: ring by doorbell where the notification area is. */
void virtio_attach(struct virtio *v);
void virtio_detach(struct virtio *v);
/* The driver, or the machine, wants status 0. The lock is held. */
void virtio_begin_reset(struct virtio *v);

extern const struct regbank virtio_common; /* for regbank_lint */

#endif
