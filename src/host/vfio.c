/*
 * VFIO devices: found, opened, bound, attached, reset. Most of what goes wrong
 * before the guest runs is for the operator to put right, so a failure looks at
 * the host and says what it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "sysfs.h"
#include "vfio_call.h"

#define CDEVS "/dev/vfio/devices"
#define PATH  64

const unsigned long vfio_requests[] = { CDEV_ATTACH,
					CDEV_DETACH,
					VFIO_DEVICE_SET_IRQS,
					VFIO_DEVICE_RESET,
					VFIO_DEVICE_PCI_HOT_RESET,
					0 };

/* --- finding --- */

/* How to give it to vfio-pci, as the end of a message that says @why. */
static int take_it(const struct hostpci *h, const char *sys, const char *why,
		   struct err *e)
{
	char unbind[96] = "";
	bool loaded = sysfs_has("%s/bus/pci/drivers/vfio-pci", sys);

	if (*h->driver)
		snprintf(unbind, sizeof(unbind),
			 "; echo %s >/sys/bus/pci/drivers/%s/unbind", h->name,
			 h->driver);
	return err_set(
		e, -ENODEV,
		"device %s: %s: as root, `%secho vfio-pci >/sys/bus/pci/devices/%s/driver_override%s; echo %s >/sys/bus/pci/drivers_probe`",
		h->name, why, loaded ? "" : "modprobe vfio-pci; ", h->name,
		unbind, h->name);
}

/* So it is while a driver that lends it is unbound, until nobody uses it; and
 * afterwards. The kernel shows no difference. */
static bool was_lent(const struct hostpci *h, const char *sys)
{
	char driver[32];

	return sysfs_text(driver, sizeof(driver),
			  "%s/bus/pci/devices/%s/driver_override", sys,
			  h->name) > 0 &&
	       strstr(driver, "vfio") &&
	       sysfs_has("%s/bus/pci/drivers/%s", sys, driver);
}

static int not_lent(const struct hostpci *h, const char *sys, struct err *e)
{
	char why[80];

	if (!*h->driver && was_lent(h, sys))
		return err_set(
			e, -ENODEV,
			"device %s: its driver was unbound; while a guest still uses it, this host waits for that to end. After that, as root, `echo %s >/sys/bus/pci/drivers_probe`",
			h->name, h->name);
	if (!*h->driver)
		return take_it(h, sys, "no driver lends it to guests", e);
	snprintf(why, sizeof(why), "this host uses it (driver %s)", h->driver);
	return take_it(h, sys, why, e);
}

/* What keeps @h from being opened, other than rights; 0 if nothing does. */
static int check(const struct hostpci *h, const char *sys, struct err *e)
{
	bool vfio = *h->cdev || strstr(h->driver, "vfio");

	if (h->class >> 16 == 6)
		return err_set(
			e, -EINVAL,
			"device %s: a bridge; name the functions behind it that the guest is to have",
			h->name);
	if (!strncmp(h->cdev, "noiommu", 7) || h->group < 0)
		return err_set(
			e, -ENODEV,
			"device %s: no IOMMU translates for it, so a guest could reach all of this host's memory by it: the firmware must tell of an SMMU in front of it, and the kernel have CONFIG_ARM_SMMU_V3",
			h->name);
	if (!vfio)
		return not_lent(h, sys, e);
	if (!h->has_cdev)
		return err_set(
			e, -ENOTSUP,
			"device %s: this host's kernel lends it by VFIO's old way only: it takes Linux 6.6 or newer with CONFIG_VFIO_DEVICE_CDEV",
			h->name);
	return 0;
}

static int find(struct hostpci *h, const char *sys, const char *name,
		char path[static PATH], struct err *e)
{
	int err = hostpci_look(h, sys, name, e);

	if (!err)
		err = check(h, sys, e);
	if (!err)
		snprintf(path, PATH, CDEVS "/%s", h->cdev);
	return err;
}

static int not_opened(const char *name, const char *path, int err,
		      struct err *e)
{
	switch (err) {
	case -EACCES:
	case -EPERM:
		return err_set(
			e, err,
			"device %s: no right to open it: as root, `chown %u %s`",
			name, getuid(), path);
	case -ENOENT:
		return err_set(
			e, err,
			"device %s: there is no %s: udev makes it; in a container pass it in",
			name, path);
	default:
		return err_set(e, err, "device %s: %s: %s", name, path,
			       strerror(-err));
	}
}

static void init(struct vfio_device *d, const char *sys, const char *name)
{
	*d = (struct vfio_device) { .fd = -1, .sys = sys };
	snprintf(d->name, sizeof(d->name), "%s", name);
}

int vfio_open(struct vfio_device *d, const char *sys, const char *name,
	      struct err *e)
{
	struct hostpci h;
	char path[PATH];
	int err;

	init(d, sys, name);
	err = find(&h, sys, name, path, e);
	if (err)
		return err;
	d->fd = open(path, O_RDWR | O_CLOEXEC);
	return d->fd < 0 ? not_opened(name, path, -errno, e) : 0;
}

int vfio_adopt(struct vfio_device *d, const char *sys, const char *name, int fd,
	       struct err *e)
{
	int err = vfio_check_fd(sys, name, fd, e);

	init(d, sys, name);
	if (!err)
		d->fd = fd;
	return err;
}

/* --- only looking --- */

/* Is @fd the character device that sysfs has for @h? */
static bool is_of(int fd, const struct hostpci *h, const char *sys)
{
	char is[24], other[24];
	struct stat st;

	if (fstat(fd, &st) || !S_ISCHR(st.st_mode))
		return false;
	snprintf(is, sizeof(is), "%u:%u", major(st.st_rdev), minor(st.st_rdev));
	return sysfs_text(other, sizeof(other),
			  "%s/bus/pci/devices/%s/vfio-dev/%s/dev", sys, h->name,
			  h->cdev) > 0 &&
	       !strcmp(is, other);
}

int vfio_check_fd(const char *sys, const char *name, int fd, struct err *e)
{
	struct hostpci h;
	char path[PATH];
	int err = find(&h, sys, name, path, e);

	if (!err && !is_of(fd, &h, sys))
		err = err_set(
			e, -EINVAL,
			"device %s: descriptor %d is not one of %s: whoever starts Belfry opens that, to read and write",
			name, fd, path);
	if (!err && (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDWR)
		err = err_set(
			e, -EINVAL,
			"device %s: descriptor %d is not open to both read and write: whoever starts Belfry opens %s so",
			name, fd, path);
	return err;
}

int vfio_check(const char *sys, const char *name, struct err *e)
{
	struct hostpci h;
	char path[PATH];
	int err = find(&h, sys, name, path, e);

	if (!err && access(path, R_OK | W_OK))
		err = not_opened(name, path, -errno, e);
	return err;
}

void vfio_close(struct vfio_device *d)
{
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
}

/* --- binding --- */

/* EPERM is said of a group that another has, and of an interrupt controller
 * that cannot tell devices apart. */
static int not_permitted(const struct vfio_device *d, int err, struct err *e)
{
	char who[HOSTPCI_NAME], driver[32];
	struct hostpci h;

	if (!hostpci_look(&h, d->sys, d->name, e) &&
	    hostpci_held_by(&h, d->sys, who, driver))
		return err_set(
			e, err,
			"device %s: the IOMMU cannot tell it from %s, which this host uses (driver %s): give vfio-pci all of /sys/kernel/iommu_groups/%d/devices, or none",
			d->name, who, driver, h.group);
	return err_set(
		e, err,
		"device %s: another program has a part of its IOMMU group, or its interrupts cannot be kept apart from others' (GICv2m; for a guest that is trusted iommufd's parameter allow_unsafe_interrupts=1 allows it)",
		d->name);
}

static int in_use(const struct vfio_device *d, int err, struct err *e)
{
	struct hostpci h;
	struct err none;
	bool known = !hostpci_look(&h, d->sys, d->name, &none) && *h.cdev;

	return err_set(e, err,
		       "device %s: another program uses it (`fuser " CDEVS
		       "/%s` names it): end that",
		       d->name, known ? h.cdev : "*");
}

int vfio_bind(struct vfio_device *d, int iommufd, struct err *e)
{
	static const struct advice advice[] = {
		{ EBUSY,
		  "another program uses it by its group (`fuser /dev/vfio/*` names it): end that" },
		{ EACCES,
		  "a virtual function whose physical one is lent too: that takes a token, which Belfry has not; give the physical one a driver of the host's" },
		{ EAGAIN, "it is being reset: try again" },
		{ 0 }
	};
	struct cdev_bind a = { .argsz = sizeof(a), .iommufd = iommufd };
	int err = kernel_ask(d->fd, CDEV_BIND, &a);

	if (err == -EPERM)
		return not_permitted(d, err, e);
	if (err == -EINVAL)
		return in_use(d, err, e);
	if (err)
		return vfio_refused(d, err, advice, "VFIO_DEVICE_BIND_IOMMUFD",
				    e);
	d->id = a.out_devid;
	return 0;
}

int vfio_attach(struct vfio_device *d, u32 table, struct err *e)
{
	static const struct advice advice[] = {
		{ EADDRINUSE,
		  "the guest has memory where this host reserves addresses for it (reserved_regions of its IOMMU group)" },
		{ EBUSY, "it, or one of its IOMMU group, is being reset" },
		{ ENOMEM,
		  "devices need all of a guest's memory locked: raise `ulimit -l`, or give the guest less" },
		{ EINVAL,
		  "it is behind another SMMU than the page table's, or others of its IOMMU group have another table" },
		{ 0 }
	};
	struct cdev_attach a = { .argsz = sizeof(a), .pt_id = table };
	int err = kernel_ask(d->fd, CDEV_ATTACH, &a);

	return err ? vfio_refused(d, err, advice,
				  "VFIO_DEVICE_ATTACH_IOMMUFD_PT", e)
		   : 0;
}

int vfio_detach(struct vfio_device *d, struct err *e)
{
	struct cdev_detach a = { .argsz = sizeof(a) };
	int err = kernel_ask(d->fd, CDEV_DETACH, &a);

	return err ? vfio_refused(d, err, NULL, "VFIO_DEVICE_DETACH_IOMMUFD_PT",
				  e)
		   : 0;
}

/* Newer kernels have more to say, for those with room for it. */
int vfio_get_info(const struct vfio_device *d, struct vfio_info *i,
		  struct err *e)
{
	struct vfio_device_info a = { .argsz = sizeof(a) };
	int err = kernel_ask(d->fd, VFIO_DEVICE_GET_INFO, &a);

	if (err)
		return vfio_refused(d, err, NULL, "VFIO_DEVICE_GET_INFO", e);
	*i = (struct vfio_info) {
		.regions = a.num_regions,
		.irqs = a.num_irqs,
		.pci = a.flags & VFIO_DEVICE_FLAGS_PCI,
		.reset = a.flags & VFIO_DEVICE_FLAGS_RESET,
	};
	return 0;
}

/* --- reset --- */

int vfio_reset(const struct vfio_device *d, struct err *e)
{
	static const char none[] =
		"it cannot be reset alone (its reset_method in sysfs is empty)";
	static const struct advice advice[] = {
		{ EINVAL, none },
		{ ENOTTY, none },
		{ EAGAIN, "this host does something else with it: try again" },
		{ 0 }
	};
	int err = kernel_ask(d->fd, VFIO_DEVICE_RESET, NULL);

	return err ? vfio_refused(d, err, advice, "VFIO_DEVICE_RESET", e) : 0;
}

static const struct advice bus_advice[] = {
	{ ENODEV, "the bus that it is on cannot be reset" },
	{ ENOSPC, "there are more functions on its bus than Belfry can name" },
	{ EINVAL,
	  "other functions on its bus are not the guest's; vfio-pci must have them all, and the guest too" },
	{ EAGAIN, "this host does something else on its bus: try again" },
	{ 0 }
};

int vfio_get_neighbours(const struct vfio_device *d, struct vfio_neighbours *n,
			struct err *e)
{
	union {
		struct vfio_pci_hot_reset_info h;
		u8 room[sizeof(struct vfio_pci_hot_reset_info) +
			sizeof(struct vfio_pci_dependent_device) *
				VFIO_NEIGHBOURS_MAX];
	} a = { .h.argsz = sizeof(a.room) };
	int err = kernel_ask(d->fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, &a);

	if (err)
		return vfio_refused(d, err, bus_advice,
				    "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO", e);
	n->ours = a.h.flags & HOT_RESET_DEV_ID_OWNED;
	n->nr = MIN(a.h.count, VFIO_NEIGHBOURS_MAX);
	for (u32 i = 0; i < n->nr; i++) {
		const struct vfio_pci_dependent_device *one = &a.h.devices[i];

		snprintf(n->one[i].name, HOSTPCI_NAME, "%04x:%02x:%02x.%x",
			 one->segment, one->bus, one->devfn >> 3,
			 one->devfn & 7);
		n->one[i].ours = a.h.flags & HOT_RESET_DEV_ID &&
				 one->group_id != DEVID_NOT_OWNED;
	}
	return 0;
}

int vfio_hot_reset(const struct vfio_device *d, struct err *e)
{
	struct vfio_pci_hot_reset a = { .argsz = sizeof(a) };
	int err = kernel_ask(d->fd, VFIO_DEVICE_PCI_HOT_RESET, &a);

	return err ? vfio_refused(d, err, bus_advice,
				  "VFIO_DEVICE_PCI_HOT_RESET", e)
		   : 0;
}
