/*
 * A PCI function that VFIO lends: bound to an iommufd, its regions and
 * interrupts.
 *
 * One function per call of the kernel's; no policy, no threads. Whatever
 * returns -errno with @e has set a message there that names the device and says
 * what the operator can do.
 *
 * Linux 6.6 Documentation/driver-api/vfio.rst, "VFIO Device cdev".
 */
#ifndef BELFRY_VFIO_H
#define BELFRY_VFIO_H

#include <belfry/base.h>
#include <belfry/err.h>
#include <belfry/hostpci.h>

struct vfio_device {
	int fd; /* owned; -1: closed */
	u32 id; /* as iommufd calls it, from vfio_bind on */
	char name[HOSTPCI_NAME];
	const char *sys; /* borrowed: where messages look for reasons */
};

/*
 * Open the function @name (hostpci_name) of the host whose sysfs is at @sys
 * ("/sys"), which must stay. It can do nothing before it is bound. -errno and a
 * message: no such function, a bridge, no IOMMU for it, who has it and how to
 * take it from there, a kernel without CONFIG_VFIO_DEVICE_CDEV, no right to it.
 */
MUST_CHECK int vfio_open(struct vfio_device *d, const char *sys,
			 const char *name, struct err *e);

/* The same with @fd, its character device that somebody has opened, who may
 * have a right that we have not. @d owns it if all is well. -EINVAL and a
 * message: that is something else. */
MUST_CHECK int vfio_adopt(struct vfio_device *d, const char *sys,
			  const char *name, int fd, struct err *e);

/* Would they refuse? Opens nothing; the message that they would give. */
MUST_CHECK int vfio_check(const char *sys, const char *name, struct err *e);
MUST_CHECK int vfio_check_fd(const char *sys, const char *name, int fd,
			     struct err *e);

/* Unbinds it and takes its interrupts away; all of what was made for it by
 * iommufd, a vDEVICE say, must have been destroyed before. */
void vfio_close(struct vfio_device *d);

/*
 * Give it to @iommufd, from where it goes when it is closed; once. All of an
 * IOMMU group go to the same. The kernel resets it if it can.
 */
MUST_CHECK int vfio_bind(struct vfio_device *d, int iommufd, struct err *e);

/*
 * What it reaches from now on is what @table says: a page table, or an address
 * space, which then gets one made for it. Instead of what was there before, if
 * so, with nothing in between. All of an IOMMU group must have the same.
 */
MUST_CHECK int vfio_attach(struct vfio_device *d, u32 table, struct err *e);
/* And now it reaches nothing. */
MUST_CHECK int vfio_detach(struct vfio_device *d, struct err *e);

struct vfio_info {
	u32 regions, irqs; /* indexes below these exist */
	bool pci;
	bool reset; /* vfio_reset can do it */
};

MUST_CHECK int vfio_get_info(const struct vfio_device *d, struct vfio_info *i,
			     struct err *e);

/* --- regions --- */

enum {
	VFIO_BAR0 = 0, /* and so on; the second half of a 64-bit BAR is empty */
	VFIO_ROM = 6,
	VFIO_CONFIG = 7,
};

#define VFIO_AREAS_MAX 16

struct vfio_region {
	u64 size; /* 0: there is none */
	u64 at;   /* its first byte in the descriptor */
	bool readable, writable;
	/* What of it can be mapped; one area, unless the kernel says other. */
	u32 areas;
	struct {
		u64 off, size;
	} area[VFIO_AREAS_MAX];
	/* An MSI-X table in such an area can be mapped with the rest. By
	 * vfio_read and vfio_write it cannot be reached in any case. */
	bool msix_mappable;
};

MUST_CHECK int vfio_get_region(const struct vfio_device *d, u32 index,
			       struct vfio_region *r, struct err *e);

/*
 * @width (1, 2, 4, 8) bytes at @off, little-endian. Config space is what VFIO
 * makes of it: BARs, MSI and a few more are virtual there. 0 or -errno, for
 * what lies outside, and -EIO for a BAR while the device decodes no memory;
 * then all bits read as set, as they do where nobody answers.
 */
MUST_CHECK int vfio_read(const struct vfio_device *d,
			 const struct vfio_region *r, u64 off, u32 width,
			 u64 *val);
MUST_CHECK int vfio_write(const struct vfio_device *d,
			  const struct vfio_region *r, u64 off, u32 width,
			  u64 val);

/*
 * Map [off, off + len) of what areas offer, whole pages; for vfio_unmap. While
 * the device decodes no memory, is reset or asleep, touching it is SIGBUS.
 */
MUST_CHECK int vfio_map(const struct vfio_device *d,
			const struct vfio_region *r, u64 off, u64 len,
			void **at, struct err *e);
void vfio_unmap(void *at, u64 len);

/* --- interrupts --- */

enum {
	VFIO_INTX = 0,
	VFIO_MSI = 1,
	VFIO_MSIX = 2,
	VFIO_ERR = 3, /* an error that the device may not survive (AER) */
	VFIO_REQ = 4, /* the host wants it back */
};

struct vfio_irq {
	u32 count;       /* of vectors; 0: none of this kind */
	bool eventfd;    /* can be signalled by one */
	bool maskable;   /* vfio_intx_mask */
	bool automasked; /* masks itself when it comes */
	bool resizable;  /* more vectors can be had while some are in use */
};

MUST_CHECK int vfio_get_irq(const struct vfio_device *d, u32 index,
			    struct vfio_irq *q, struct err *e);

/* PCIe 6.0, 7.7.2.2: the largest table of MSI-X. */
#define VFIO_VECTORS_MAX 2048

/*
 * From now on interrupts @first to @first + @nr - 1 signal @fds[], which are
 * eventfds, or -1 for none. The first ones switch this kind on for the device,
 * and the others off must have been before. The kernel writes each vector's
 * message into the device at that (unless it is -1), with an address in what is
 * attached: nothing attached, no vectors. If one fails, all of these are
 * without. -ENOSPC: the host has not so many to give.
 */
MUST_CHECK int vfio_irq_trigger(const struct vfio_device *d, u32 index,
				u32 first, const int *fds, u32 nr,
				struct err *e);

/* Switch this kind off. -EINVAL if it is, or there is none of it. */
MUST_CHECK int vfio_irq_disable(const struct vfio_device *d, u32 index,
				struct err *e);

/* INTx, while it has a trigger. 0 or -errno. Unmasking by a signal of @fd (-1:
 * no longer) is done by the kernel: KVM's irqfd can resample by it. */
MUST_CHECK int vfio_intx_mask(const struct vfio_device *d);
MUST_CHECK int vfio_intx_unmask(const struct vfio_device *d);
MUST_CHECK int vfio_intx_unmask_by(const struct vfio_device *d, int fd,
				   struct err *e);

/* --- reset --- */

/* Of the function alone. The kernel saves and restores config space and what
 * MSI-X entries held when it last wrote them. */
MUST_CHECK int vfio_reset(const struct vfio_device *d, struct err *e);

#define VFIO_NEIGHBOURS_MAX 256

/* Who is reset with it if the whole bus or slot is; itself too. */
struct vfio_neighbours {
	bool ours; /* all are: vfio_hot_reset can do it */
	u32 nr;
	struct {
		char name[HOSTPCI_NAME];
		bool ours;
	} one[VFIO_NEIGHBOURS_MAX];
};

/* -ENODEV: bus and slot cannot be reset either. */
MUST_CHECK int vfio_get_neighbours(const struct vfio_device *d,
				   struct vfio_neighbours *n, struct err *e);
MUST_CHECK int vfio_hot_reset(const struct vfio_device *d, struct err *e);

/* The ioctls of what is called while a guest runs, for the sandbox: attaching
 * and detaching, interrupts, resets. Ends with 0. */
extern const unsigned long vfio_requests[];

#endif
