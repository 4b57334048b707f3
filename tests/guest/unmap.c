/*
 * A device whose doorbell is ours to map, and to take away: by the guest's own
 * VFIO, with an 82576 (igb), which can be told to send any of its interrupts.
 * And a transfer to an address that is not mapped at all.
 *
 * Needs iomem=relaxed, as the doorbell's page is mapped from /dev/mem, and a
 * kernel that says in words what an SMMU reports, as Linux 6.13 on.
 */
#include "guest.h"
#include "pci.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define DOORBELL   0xfeed0000 /* where the device is to see it */
#define NOWHERE    0xdead0000 /* where nothing is mapped */
#define TRANSLATER 0x40       /* of an ITS, in the page of its second frame */
#define ITS_FRAME  (64 * KIB)

/* Registers of the 82576. Datasheet, 8.8, 8.10 and 8.12. */
#define TCTL          0x0400
#define TCTL_EN       BIT(1)
#define GPIE          0x1514
#define GPIE_MSIX     BIT(4)
#define EICS          0x1520
#define EIMS          0x1524
#define EIAC          0x152c
#define EICR          0x1580
#define TDBAL         0xe000
#define TDLEN         0xe008
#define TDT           0xe018
#define TXDCTL        0xe028
#define TXDCTL_ENABLE BIT(25)

struct lent {
	char place[32];
	int container, group, fd, event;
	volatile u8 *regs;
	volatile u32 *table;
	void *doorbell; /* the page, in our memory */
	u64 page;
};

/* --- how it comes to us --- */

static bool open_group(struct lent *l)
{
	char path[128], *real;

	pci_path(l->place, "iommu_group", path, sizeof(path));
	real = realpath(path, NULL);
	if (!real)
		return wrong("%s is behind no IOMMU", l->place);
	snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(real, '/') + 1);
	free(real);
	if (!appears(path))
		return false;
	l->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	l->group = open(path, O_RDWR | O_CLOEXEC);
	if (l->container < 0 || l->group < 0 ||
	    ioctl(l->group, VFIO_GROUP_SET_CONTAINER, &l->container) ||
	    ioctl(l->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		return wrong("%s: %s", path, strerror(errno));
	l->fd = ioctl(l->group, VFIO_GROUP_GET_DEVICE_FD, l->place);
	return l->fd >= 0 || wrong("%s: %s", l->place, strerror(errno));
}

static void *map_bar(struct lent *l, u32 bar)
{
	struct vfio_region_info r = { .argsz = sizeof(r), .index = bar };
	void *at = MAP_FAILED;

	if (!ioctl(l->fd, VFIO_DEVICE_GET_REGION_INFO, &r))
		at = mmap(NULL, r.size, PROT_READ | PROT_WRITE, MAP_SHARED,
			  l->fd, (off_t)r.offset);
	if (at == MAP_FAILED)
		wrong("BAR %u: %s", bar, strerror(errno));
	return at == MAP_FAILED ? NULL : at;
}

/* It may read and write memory. */
static bool let_work(struct lent *l)
{
	struct vfio_region_info r = { .argsz = sizeof(r),
				      .index = VFIO_PCI_CONFIG_REGION_INDEX };
	u16 command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	return (!ioctl(l->fd, VFIO_DEVICE_GET_REGION_INFO, &r) &&
		pwrite(l->fd, &command, sizeof(command),
		       (off_t)r.offset + PCI_COMMAND) == sizeof(command)) ||
	       wrong("its command register: %s", strerror(errno));
}

static bool arm(struct lent *l)
{
	struct {
		struct vfio_irq_set head;
		int event;
	} s = { .head = { .argsz = sizeof(s),
			  .flags = VFIO_IRQ_SET_DATA_EVENTFD |
				   VFIO_IRQ_SET_ACTION_TRIGGER,
			  .index = VFIO_PCI_MSIX_IRQ_INDEX,
			  .count = 1 } };

	l->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	s.event = l->event;
	return !ioctl(l->fd, VFIO_DEVICE_SET_IRQS, &s) ||
	       wrong("its interrupt: %s", strerror(errno));
}

/* --- the doorbell --- */

/* The guest's ITS, by its device tree, with two cells for an address. */
static u64 find_its(void)
{
	u64 base = 0;
	glob_t g;
	int fd;

	if (glob("/proc/device-tree/intc*/*its*/reg", 0, NULL, &g) &&
	    glob("/proc/device-tree/interrupt-controller*/msi-controller*/reg",
		 0, NULL, &g))
		return 0;
	fd = open(g.gl_pathv[0], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, &base, sizeof(base)) != sizeof(base))
		base = 0;
	close(fd);
	globfree(&g);
	return be64toh(base);
}

static bool find_doorbell(struct lent *l)
{
	int fd = open("/dev/mem", O_RDWR | O_SYNC | O_CLOEXEC);
	u64 its = find_its();

	l->page = (u64)sysconf(_SC_PAGESIZE);
	l->doorbell = fd < 0 || !its
			      ? MAP_FAILED
			      : mmap(NULL, l->page, PROT_READ | PROT_WRITE,
				     MAP_SHARED, fd, (off_t)(its + ITS_FRAME));
	if (fd >= 0)
		close(fd);
	say("unmap: the ITS is at %llx", (unsigned long long)its);
	return l->doorbell != MAP_FAILED ||
	       wrong("the doorbell's page: %s", strerror(errno));
}

static bool map_doorbell(struct lent *l)
{
	struct vfio_iommu_type1_dma_map m = {
		.argsz = sizeof(m),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)l->doorbell,
		.iova = DOORBELL,
		.size = l->page,
	};

	return !ioctl(l->container, VFIO_IOMMU_MAP_DMA, &m) ||
	       wrong("map: %s", strerror(errno));
}

static bool unmap_doorbell(struct lent *l)
{
	struct vfio_iommu_type1_dma_unmap m = { .argsz = sizeof(m),
						.iova = DOORBELL,
						.size = l->page };

	return (!ioctl(l->container, VFIO_IOMMU_UNMAP_DMA, &m) &&
		m.size == l->page) ||
	       wrong("unmap: %s", strerror(errno));
}

/* The kernel armed the vector with a doorbell of its own; this one is ours. */
static void use_doorbell(struct lent *l)
{
	l->table[3] = PCI_MSIX_ENTRY_CTRL_MASKBIT;
	l->table[0] = DOORBELL + TRANSLATER;
	l->table[1] = 0;
	l->table[3] = 0;
}

/* --- the device --- */

static void write_reg(struct lent *l, u32 reg, u32 val)
{
	*(volatile u32 *)(l->regs + reg) = val;
}

static bool rings(struct lent *l, int ms)
{
	struct pollfd p = { .fd = l->event, .events = POLLIN };
	u64 n;

	write_reg(l, EICR, 1);
	write_reg(l, EIAC, 1);
	write_reg(l, GPIE, GPIE_MSIX);
	write_reg(l, EIMS, 1);
	write_reg(l, EICS, 1);
	return poll(&p, 1, ms) == 1 && read(l->event, &n, sizeof(n)) > 0;
}

/* It is to read what to send from where nothing is. */
static void read_nowhere(struct lent *l)
{
	write_reg(l, TDBAL, NOWHERE);
	write_reg(l, TDLEN, 128);
	write_reg(l, TXDCTL, TXDCTL_ENABLE);
	write_reg(l, TCTL, TCTL_EN);
	write_reg(l, TDT, 1);
}

/* The kernel has read from the SMMU's event queue what its device did. */
static bool faulted(struct lent *l, u64 iova)
{
	char want[64];
	bool ok = false;

	snprintf(want, sizeof(want), "sid: 0x%x ssid: 0x0 iova: 0x%llx",
		 pci_stream(l->place), (unsigned long long)iova);
	for (int ms = 0; !ok && ms < 10000; ms += 100) {
		ok = kernel_said("event: F_TRANSLATION") && kernel_said(want);
		usleep(100000);
	}
	return ok || wrong("no F_TRANSLATION of %s", want);
}

/* --- the test --- */

static bool prepare(struct lent *l)
{
	struct msix m;

	if (!pci_of_make(0x8086, 0x10c9, l->place, sizeof(l->place)))
		return wrong("there is no 82576");
	if (!pci_lend(l->place) || !pci_msix(l->place, &m) || !open_group(l) ||
	    !let_work(l) || !arm(l) || !find_doorbell(l))
		return false;
	l->regs = map_bar(l, 0);
	l->table = map_bar(l, m.bar);
	if (!l->regs || !l->table)
		return false;
	l->table += m.offset / sizeof(*l->table);
	return true;
}

bool test_unmap(const char *arg)
{
	struct lent l = { 0 };

	if (!prepare(&l))
		return false;
	if (!rings(&l, 5000))
		return wrong("no interrupt by the kernel's own doorbell");
	use_doorbell(&l);
	if (!map_doorbell(&l))
		return false;
	if (!rings(&l, 5000))
		return wrong("no interrupt by the doorbell that is mapped");
	if (!unmap_doorbell(&l))
		return false;
	if (rings(&l, 2000))
		return wrong("an interrupt by one that is not mapped");
	if (!faulted(&l, DOORBELL + TRANSLATER) || !map_doorbell(&l))
		return false;
	if (!rings(&l, 5000))
		return wrong("no interrupt once it is mapped again");
	read_nowhere(&l);
	return faulted(&l, NOWHERE);
}
