/*
 * Work to be measured, as in tasks.c, of a device that is the host's own: an
 * 82576 (igb). Its interrupts, with its stock driver, at the moment that we
 * have it send one; and taking memory away from it, by pages of 4 KiB and by 2
 * MiB of which each page was mapped as one. What is taken away is mapped before
 * the task begins.
 *
 * The one needs iomem=relaxed, the other a kernel with iommufd and VFIO's
 * character devices.
 */
#include "guest.h"
#include "pci.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "iommufd_uapi.h"
#include "vfio_uapi.h"

static char place[32];

static bool find_igb(void)
{
	return pci_of_make(0x8086, 0x10c9, place, sizeof(place)) ||
	       wrong("there is no 82576");
}

static bool nothing(long count)
{
	return true;
}

/* --- interrupts --- */

/* Registers of the 82576. Datasheet, 8.8. */
#define EICS    0x1520
#define EITR(i) (0x1680 + 4 * (i))

static volatile u8 *regs;

/* Vector 1 is the first one for packets; none is to wait for its time. */
static bool ring(long count)
{
	for (long i = 0; i < count; i++) {
		*(volatile u32 *)(regs + EITR(1)) = 0;
		*(volatile u32 *)(regs + EICS) = BIT(1);
	}
	return true;
}

static bool map_regs(void)
{
	char path[128];
	int fd;

	pci_path(place, "resource0", path, sizeof(path));
	fd = open(path, O_RDWR | O_SYNC | O_CLOEXEC);
	regs = mmap(NULL, 16 * KIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return regs != MAP_FAILED ||
	       wrong("%s: %s; is there iomem=relaxed?", path, strerror(errno));
}

bool test_ring(const char *arg)
{
	return find_igb() && map_regs() && card_up() &&
	       run_task("nothing", nothing, 1, "eth0*") && ring(64) &&
	       run_task("ring", ring, 8192, "eth0*");
}

/* --- memory --- */

#define PAGE  (4 * KIB)
#define LARGE (2 * MIB)
/* Not where a large page begins, whose table would go with it; every second
 * 2 MiB are ours. */
#define FIRST        (4 * GIB + PAGE)
#define AT(i, size)  (FIRST + (u64)(i) * (size))
#define LARGE_STRIDE (2 * LARGE)

static int iommufd;
static u32 ioas;
static u8 *memory; /* LARGE bytes, each page of which is the same one */

/* So no two are neighbours, which could be mapped as something larger. */
static bool make_memory(void)
{
	int fd = memfd_create("page", MFD_CLOEXEC);
	void *at;
	bool ok;

	memory = mmap(NULL, LARGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0);
	ok = memory != MAP_FAILED && !ftruncate(fd, PAGE);
	for (u64 i = 0; ok && i < LARGE; i += PAGE) {
		at = mmap(memory + i, PAGE, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_FIXED, fd, 0);
		ok = at != MAP_FAILED;
	}
	close(fd);
	return ok || wrong("memory: %s", strerror(errno));
}

static int open_cdev(void)
{
	char pattern[128], path[128];
	int fd = -1;
	glob_t g;

	snprintf(pattern, sizeof(pattern),
		 "/sys/bus/pci/devices/%s/vfio-dev/vfio*", place);
	if (!glob(pattern, 0, NULL, &g)) {
		snprintf(path, sizeof(path), "/dev/vfio/devices/%s",
			 strrchr(g.gl_pathv[0], '/') + 1);
		fd = open(path, O_RDWR | O_CLOEXEC);
	}
	globfree(&g);
	return fd;
}

static bool attach(void)
{
	struct cdev_bind bind = { .argsz = sizeof(bind) };
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	struct cdev_attach attach = { .argsz = sizeof(attach) };
	int fd;

	iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	fd = open_cdev();
	bind.iommufd = iommufd;
	if (ioctl(fd, CDEV_BIND, &bind) ||
	    ioctl(iommufd, IOMMU_IOAS_ALLOC, &alloc))
		return wrong("iommufd: %s", strerror(errno));
	ioas = alloc.out_ioas_id;
	attach.pt_id = ioas;
	return !ioctl(fd, CDEV_ATTACH, &attach) ||
	       wrong("attach: %s", strerror(errno));
}

static bool map(long count, u64 stride, u64 size)
{
	struct iommu_ioas_map m = {
		.size = sizeof(m),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_WRITEABLE |
			 IOMMU_IOAS_MAP_READABLE,
		.ioas_id = ioas,
		.user_va = uapi_address(memory),
		.length = size,
	};

	for (long i = 0; i < count; i++) {
		m.iova = AT(i, stride);
		if (ioctl(iommufd, IOMMU_IOAS_MAP, &m))
			return wrong("map: %s", strerror(errno));
	}
	return true;
}

static bool map_4k(long count)
{
	return map(count, PAGE, PAGE);
}

static bool map_2m(long count)
{
	return map(count, LARGE_STRIDE, LARGE);
}

static bool unmap(long count, u64 stride, u64 size)
{
	struct iommu_ioas_unmap u = { .size = sizeof(u), .ioas_id = ioas };

	for (long i = 0; i < count; i++) {
		u.iova = AT(i, stride);
		u.length = size;
		if (ioctl(iommufd, IOMMU_IOAS_UNMAP, &u) || u.length != size)
			return wrong("unmap: %s", strerror(errno));
	}
	return true;
}

static bool unmap_4k(long count)
{
	return unmap(count, PAGE, PAGE);
}

static bool unmap_2m(long count)
{
	return unmap(count, LARGE_STRIDE, LARGE);
}

bool test_unmaps(const char *arg)
{
	static const struct {
		const char *name;
		bool (*prepare)(long count), (*run)(long count);
		long count;
	} tasks[] = {
		{ "nothing", nothing, nothing, 1 },
		{ "unmap-4k", map_4k, unmap_4k, 1000 },
		{ "unmap-2m", map_2m, unmap_2m, 16 },
	};
	bool ok = make_memory() && find_igb() && pci_lend(place) && attach();

	for (size_t i = 0; ok && i < ARRAY_SIZE(tasks); i++)
		/* The first time, caches are filled. */
		ok = tasks[i].prepare(4) && tasks[i].run(4) &&
		     tasks[i].prepare(tasks[i].count) &&
		     run_task(tasks[i].name, tasks[i].run, tasks[i].count,
			      "vfio*");
	return ok;
}
