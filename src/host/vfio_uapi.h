/*
 * linux/vfio.h, and what Debian 12's (Linux 6.1) has not: character devices,
 * which came with 6.6. Names are ours, since newer headers have the kernel's,
 * and one of the structures longer.
 */
#ifndef BELFRY_HOST_VFIO_UAPI_H
#define BELFRY_HOST_VFIO_UAPI_H

#include <belfry/base.h>

#include <assert.h>
#include <linux/vfio.h>

/* @request is number @nr, and its argument has @bytes. */
#define VFIO_IS(request, nr, type, bytes)                             \
	static_assert((request) == (nr) && sizeof(type) == (bytes) && \
			      _Alignof(type) <= 8,                    \
		      #request " is the kernel's")

/* VFIO_DEVICE_BIND_IOMMUFD; since 6.17 a token for SR-IOV may follow. */
#define CDEV_BIND _IO(VFIO_TYPE, VFIO_BASE + 18)
struct cdev_bind {
	u32 argsz;
	u32 flags;
	int iommufd;
	u32 out_devid;
};
VFIO_IS(CDEV_BIND, 0x3b76, struct cdev_bind, 16);

/* VFIO_DEVICE_ATTACH_IOMMUFD_PT; a PASID may follow, if a flag says so. */
#define CDEV_ATTACH _IO(VFIO_TYPE, VFIO_BASE + 19)
struct cdev_attach {
	u32 argsz;
	u32 flags;
	u32 pt_id;
};
VFIO_IS(CDEV_ATTACH, 0x3b77, struct cdev_attach, 12);

/* VFIO_DEVICE_DETACH_IOMMUFD_PT, likewise. */
#define CDEV_DETACH _IO(VFIO_TYPE, VFIO_BASE + 20)
struct cdev_detach {
	u32 argsz;
	u32 flags;
};
VFIO_IS(CDEV_DETACH, 0x3b78, struct cdev_detach, 8);

/* For struct vfio_pci_hot_reset_info: group_id is an iommufd's number then, or
 * one of these. */
#define HOT_RESET_DEV_ID       BIT(0)
#define HOT_RESET_DEV_ID_OWNED BIT(1)
#define DEVID_NOT_OWNED        (~0u)

/* What the header has; the first may have grown. */
static_assert(VFIO_DEVICE_GET_INFO == 0x3b6b &&
		      offsetof(struct vfio_device_info, num_irqs) == 12,
	      "the kernel's");
VFIO_IS(VFIO_DEVICE_GET_REGION_INFO, 0x3b6c, struct vfio_region_info, 32);
VFIO_IS(VFIO_DEVICE_GET_IRQ_INFO, 0x3b6d, struct vfio_irq_info, 16);
VFIO_IS(VFIO_DEVICE_SET_IRQS, 0x3b6e, struct vfio_irq_set, 20);
static_assert(VFIO_DEVICE_RESET == 0x3b6f, "the kernel's");
VFIO_IS(VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, 0x3b70,
	struct vfio_pci_hot_reset_info, 12);
VFIO_IS(VFIO_DEVICE_PCI_HOT_RESET, 0x3b71, struct vfio_pci_hot_reset, 12);
static_assert(sizeof(struct vfio_pci_dependent_device) == 8, "the kernel's");

#endif
