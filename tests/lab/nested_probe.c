/*
 * nested_probe DEVICE: can a guest behind this lab host have its own SMMU?
 *
 * Takes the steps that lead to a nested SMMUv3 on the VFIO character device
 * DEVICE, and stops with status 1 at the first that the kernel refuses. It uses
 * the kernel's interface only, so that it judges the lab and not our code.
 *
 * Linux Documentation/userspace-api/iommufd.rst.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/iommufd.h>
#include <linux/vfio.h>

struct probe {
	int iommu;
	int device;
	uint32_t device_id;
	uint32_t ioas_id;
	uint32_t parent_id; /* the stage 2 that guests nest in */
	uint32_t viommu_id;
};

static int open_iommu(struct probe *p)
{
	p->iommu = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	return p->iommu;
}

static int bind_device(struct probe *p)
{
	struct vfio_device_bind_iommufd bind = {
		.argsz = sizeof(bind),
		.iommufd = p->iommu,
	};
	int ret = ioctl(p->device, VFIO_DEVICE_BIND_IOMMUFD, &bind);

	p->device_id = bind.out_devid;
	return ret;
}

static int find_smmu(struct probe *p)
{
	struct iommu_hw_info_arm_smmuv3 smmu = { 0 };
	struct iommu_hw_info info = {
		.size = sizeof(info),
		.dev_id = p->device_id,
		.data_len = sizeof(smmu),
		.data_uptr = (uintptr_t)&smmu,
	};

	if (ioctl(p->iommu, IOMMU_GET_HW_INFO, &info))
		return -1;
	if (info.out_data_type == IOMMU_HW_INFO_TYPE_ARM_SMMUV3)
		return 0;
	errno = ENODEV;
	return -1;
}

static int alloc_ioas(struct probe *p)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
	int ret = ioctl(p->iommu, IOMMU_IOAS_ALLOC, &alloc);

	p->ioas_id = alloc.out_ioas_id;
	return ret;
}

static int alloc_parent(struct probe *p)
{
	struct iommu_hwpt_alloc alloc = {
		.size = sizeof(alloc),
		.flags = IOMMU_HWPT_ALLOC_NEST_PARENT,
		.dev_id = p->device_id,
		.pt_id = p->ioas_id,
	};
	int ret = ioctl(p->iommu, IOMMU_HWPT_ALLOC, &alloc);

	p->parent_id = alloc.out_hwpt_id;
	return ret;
}

static int attach(struct probe *p)
{
	struct vfio_device_attach_iommufd_pt at = {
		.argsz = sizeof(at),
		.pt_id = p->parent_id,
	};

	return ioctl(p->device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &at);
}

static int alloc_viommu(struct probe *p)
{
	struct iommu_viommu_alloc alloc = {
		.size = sizeof(alloc),
		.type = IOMMU_VIOMMU_TYPE_ARM_SMMUV3,
		.dev_id = p->device_id,
		.hwpt_id = p->parent_id,
	};
	int ret = ioctl(p->iommu, IOMMU_VIOMMU_ALLOC, &alloc);

	p->viommu_id = alloc.out_viommu_id;
	return ret;
}

static int alloc_events(struct probe *p)
{
	struct iommu_veventq_alloc alloc = {
		.size = sizeof(alloc),
		.viommu_id = p->viommu_id,
		.type = IOMMU_VEVENTQ_TYPE_ARM_SMMUV3,
		.veventq_depth = 16,
	};

	return ioctl(p->iommu, IOMMU_VEVENTQ_ALLOC, &alloc);
}

static const struct {
	const char *name;
	int (*take)(struct probe *p);
} steps[] = {
	{ "open /dev/iommu", open_iommu },
	{ "VFIO_DEVICE_BIND_IOMMUFD", bind_device },
	{ "IOMMU_GET_HW_INFO", find_smmu },
	{ "IOMMU_IOAS_ALLOC", alloc_ioas },
	{ "IOMMU_HWPT_ALLOC", alloc_parent },
	{ "VFIO_DEVICE_ATTACH_IOMMUFD_PT", attach },
	{ "IOMMU_VIOMMU_ALLOC", alloc_viommu },
	{ "IOMMU_VEVENTQ_ALLOC", alloc_events },
};

int main(int argc, char **argv)
{
	struct probe p = { 0 };

	if (argc != 2) {
		fprintf(stderr,
			"usage: nested_probe /dev/vfio/devices/vfioN\n");
		return 2;
	}
	p.device = open(argv[1], O_RDWR | O_CLOEXEC);
	if (p.device < 0) {
		fprintf(stderr, "open %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (steps[i].take(&p) < 0) {
			fprintf(stderr, "%s: %s\n", steps[i].name,
				strerror(errno));
			return 1;
		}
		printf("%s\n", steps[i].name);
	}
	return 0;
}
