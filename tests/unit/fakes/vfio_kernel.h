/*
 * The kernel's side of iommufd and VFIO, as the unit tests of our side see it:
 * ioctl, open, close, mmap, pread and pwrite of the program under test end here
 * (ld --wrap), are written down, answered, and fail when told to.
 *
 * Structures are read byte by byte, by a table that is written after the
 * kernel's headers and not after ours. There is one, as there is one kernel.
 * Descriptors are real, so what leaks shows in /proc.
 */
#ifndef BELFRY_TESTS_VFIO_KERNEL_H
#define BELFRY_TESTS_VFIO_KERNEL_H

#include <belfry/base.h>

#define KERNEL_LINES   256
#define KERNEL_LINE    256

#define KERNEL_REGIONS 8
#define KERNEL_IRQS    5

/* A device, where the one that the kernel has does not do. */
struct vfio_kernel_device {
	u32 flags; /* VFIO_DEVICE_GET_INFO: 1 can be reset, 2 PCI */
	struct {
		u64 size;
		u64 mapped; /* so much of it, from its beginning, */
		u64 again;  /* and from here to its end; 0: no more */
	} region[KERNEL_REGIONS];
	struct {
		u32 count, flags;
		bool unknown; /* VFIO_DEVICE_GET_IRQ_INFO refuses it */
	} irq[KERNEL_IRQS];
	/* VFIO_DEVICE_SET_IRQS, VFIO_DEVICE_RESET and a write to config space
	 * were done. */
	void (*set_irqs)(u32 index, u32 start, const int *fds, u32 nr);
	void (*reset)(void);
	void (*config_written)(u32 off);
};

struct vfio_kernel {
	/* To be set before a call. */
	const struct vfio_kernel_device *device; /* NULL: its own */
	bool untold_reads; /* of regions are not written down */
	int fail_at;       /* the how many'th call does, from 1 */
	int fail_for;      /* and so many are they; 1 */
	int fail_with;     /* errno */
	/* IOMMU_GET_HW_INFO says so; IDR0 is another for the device of that
	 * number. */
	u32 hw_type, hw_flags, hw_other;
	/* IOMMU_HWPT_INVALIDATE: how many it says it did, -1: what it was told
	 */
	int invalidated;
	/* And word 0 of a command that it refuses; 0: none. */
	u64 refuse;
	/* IOMMU_IOAS_IOVA_RANGES: there are so many, 0x1000 bytes each 0x10000.
	 */
	u32 ranges;
	/*
	 * VFIO_DEVICE_GET_REGION_INFO of BAR 2: it can be mapped, and these
	 * bytes come after the structure, if there is room for @caps_needed.
	 */
	const void *caps;
	u32 caps_len, caps_needed;
	/* VFIO_DEVICE_SET_IRQS: its result if it does not fail. */
	int irqs_result;
	/* VFIO_DEVICE_GET_PCI_HOT_RESET_INFO: 0001:02:1f.6 and so on. Of the
	 * iommufd: its own numbers, 0 for "so to say", -1 for no. */
	u32 neighbours;
	u32 devid[3];
	/* Closing is written down, too, but is no call that fails. */
	bool tell_close;
	/* pread and pwrite stop short of their end by so much. */
	u32 cut;

	/* What came of it. */
	int calls;                            /* so far */
	char failed[KERNEL_LINE];             /* the one that did */
	char line[KERNEL_LINES][KERNEL_LINE]; /* every call, as text */
	int lines;
	int queue_fd; /* of the last IOMMU_VEVENTQ_ALLOC; -1: none yet */
	/* Where regions were mapped last. */
	struct {
		void *at;
		size_t len;
	} mapped[KERNEL_REGIONS];
};

extern struct vfio_kernel vfio_kernel;

/* A new kernel: an SMMUv3, nothing fails, nothing written down. */
void vfio_kernel_reset(void);
/* Forget what was written down. */
void vfio_kernel_forget(void);
/* Descriptors this process has, plus mappings of devices. */
int vfio_kernel_held(void);

/* Objects that were made and not destroyed. */
int vfio_kernel_objects(void);
/* What is attached to the device of that descriptor; 0: nothing. */
u32 vfio_kernel_attached(int device);

/* What is in a region of that device's, to be unmapped. */
void *vfio_kernel_region(int device, u32 region, size_t len);

/* The lines written down from *@at on are those listed up to NULL. */
void vfio_kernel_expect(int *at, ...);
/* And there are no more. */
void vfio_kernel_expect_end(int at);

#endif
