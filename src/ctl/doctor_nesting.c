/*
 * Can guests have an SMMU of their own? What the SMMU offers is not in sysfs,
 * and whether the kernel lends it depends on the firmware's words about the
 * device, so the kernel is asked with a device, as a run would.
 */
#include <belfry/iommufd.h>
#include <belfry/vfio.h>

#include <errno.h>
#include <unistd.h>

#include "doctor.h"

#define MADE_MAX 3

struct asked {
	int iommufd;
	u32 device;
	u32 made[MADE_MAX], nr; /* objects, each made of the one before */
};

static int keep(struct asked *a, int err, u32 id)
{
	if (!err)
		a->made[a->nr++] = id;
	return err;
}

static int make_parent(struct asked *a, struct err *e)
{
	u32 ioas = 0, hwpt = 0;
	int err = iommufd_ioas_alloc(a->iommufd, &ioas, e);

	if (keep(a, err, ioas))
		return err;
	err = iommufd_hwpt_alloc(a->iommufd, a->device, ioas, true, &hwpt, e);
	return keep(a, err, hwpt);
}

static int make_smmu(struct asked *a, struct err *e)
{
	struct iommufd_hw hw;
	u32 viommu = 0;
	int err = iommufd_get_hw(a->iommufd, a->device, &hw, e);

	if (err)
		return err;
	if (!hw.smmuv3)
		return err_set(e, -ENODEV,
			       "what translates for it is no SMMUv3");
	err = make_parent(a, e);
	if (err)
		return err;
	err = iommufd_viommu_alloc(a->iommufd, a->device, a->made[a->nr - 1],
				   &viommu, e);
	return keep(a, err, viommu);
}

/* What cannot be destroyed goes with the descriptor. */
static void give_back(struct asked *a)
{
	while (a->nr)
		(void)!iommufd_destroy(a->iommufd, a->made[--a->nr]);
}

enum doctor_nesting doctor_ask_smmu(const char *sys, const char *name,
				    struct err *e)
{
	enum doctor_nesting told = NESTING_BUSY;
	struct asked a = { .iommufd = iommufd_open(e) };
	struct vfio_device d = { .fd = -1 };

	if (a.iommufd < 0)
		return NESTING_NOT_ASKED;
	if (!vfio_open(&d, sys, name, e) && !vfio_bind(&d, a.iommufd, e)) {
		a.device = d.id;
		told = make_smmu(&a, e) ? NESTING_REFUSED : NESTING_USABLE;
		give_back(&a);
	}
	vfio_close(&d);
	close(a.iommufd);
	return told;
}
