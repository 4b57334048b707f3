/*
 * iommufd: page tables and what makes a guest's SMMU.
 */
#include <belfry/iommufd.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "advice.h"
#include "iommufd_uapi.h"

const unsigned long iommufd_requests[] = { IOMMU_HWPT_ALLOC,
					   IOMMU_VDEVICE_ALLOC,
					   IOMMU_HWPT_INVALIDATE, IOMMU_DESTROY,
					   0 };

/* --- page tables --- */

static const struct advice hwpt_advice[] = {
	{ EOPNOTSUPP,
	  "the SMMU or the kernel cannot nest: it takes one with both stages, and Linux 6.15 or newer with CONFIG_ARM_SMMU_V3_IOMMUFD" },
	{ ENOMEM,
	  "devices need all of a guest's memory locked: raise `ulimit -l`, or give the guest less" },
	{ EADDRINUSE,
	  "the guest has memory at addresses that the SMMU has not, or in smaller pages than its own" },
	{ 0 }
};

int iommufd_hwpt_alloc(int iommufd, u32 device, u32 ioas, bool nest_parent,
		       u32 *hwpt, struct err *e)
{
	struct iommu_hwpt_alloc a = {
		.size = sizeof(a),
		.flags = nest_parent ? IOMMU_HWPT_ALLOC_NEST_PARENT : 0,
		.dev_id = device,
		.pt_id = ioas,
		.data_type = IOMMU_HWPT_DATA_NONE,
	};
	int err = kernel_ask(iommufd, IOMMU_HWPT_ALLOC, &a);

	if (err)
		return advise(e, err, hwpt_advice, "IOMMU_HWPT_ALLOC: %s",
			      nest_parent ? "stage 2" : "a page table");
	*hwpt = a.out_hwpt_id;
	return 0;
}

int iommufd_hwpt_alloc_nested(int iommufd, u32 device, u32 viommu,
			      const u64 ste[static 2], u32 *hwpt, struct err *e)
{
	static const struct advice advice[] = {
		{ EIO, "the guest asks for what this host does not offer it" },
		{ 0 }
	};
	struct iommu_hwpt_arm_smmuv3 data = { .ste = { ste[0], ste[1] } };
	struct iommu_hwpt_alloc a = {
		.size = sizeof(a),
		.dev_id = device,
		.pt_id = viommu,
		.data_type = IOMMU_HWPT_DATA_ARM_SMMUV3,
		.data_len = sizeof(data),
		.data_uptr = uapi_address(&data),
	};
	int err = kernel_ask(iommufd, IOMMU_HWPT_ALLOC, &a);

	if (err)
		return advise(e, err, advice,
			      "IOMMU_HWPT_ALLOC: STE 0x%llx 0x%llx",
			      (unsigned long long)ste[0],
			      (unsigned long long)ste[1]);
	*hwpt = a.out_hwpt_id;
	return 0;
}

int iommufd_get_hw(int iommufd, u32 device, struct iommufd_hw *hw,
		   struct err *e)
{
	struct iommu_hw_info_arm_smmuv3 smmu = { 0 };
	struct iommu_hw_info a = {
		.size = sizeof(a),
		.dev_id = device,
		.data_len = sizeof(smmu),
		.data_uptr = uapi_address(&smmu),
	};
	int err = kernel_ask(iommufd, IOMMU_GET_HW_INFO, &a);

	*hw = (struct iommufd_hw) { .smmuv3 = false };
	if (err)
		return advise(e, err, NULL, "IOMMU_GET_HW_INFO");
	if (a.out_data_type != IOMMU_HW_INFO_TYPE_ARM_SMMUV3)
		return 0;
	hw->smmuv3 = true;
	hw->flags = smmu.flags;
	memcpy(hw->idr, smmu.idr, sizeof(hw->idr));
	hw->iidr = smmu.iidr;
	hw->aidr = smmu.aidr;
	hw->capabilities = a.out_capabilities;
	hw->pasid_bits = a.out_max_pasid_log2;
	return 0;
}

/* --- a guest's SMMU --- */

#define TOO_OLD "this host's kernel is too old: it takes Linux 6.15"

int iommufd_viommu_alloc(int iommufd, u32 device, u32 hwpt, u32 *viommu,
			 struct err *e)
{
	static const struct advice advice[] = {
		{ ENOTTY, TOO_OLD },
		{ EOPNOTSUPP,
		  "no guest can have this SMMU: the kernel needs CONFIG_ARM_SMMU_V3_IOMMUFD, and the SMMU either S2FWB or the firmware's word (CANWBS in the IORT) that all its devices do is coherent" },
		{ 0 }
	};
	struct iommu_viommu_alloc a = {
		.size = sizeof(a),
		.type = IOMMU_VIOMMU_TYPE_ARM_SMMUV3,
		.dev_id = device,
		.hwpt_id = hwpt,
	};
	int err = kernel_ask(iommufd, IOMMU_VIOMMU_ALLOC, &a);

	if (err)
		return advise(e, err, advice, "IOMMU_VIOMMU_ALLOC");
	*viommu = a.out_viommu_id;
	return 0;
}

int iommufd_vdevice_alloc(int iommufd, u32 viommu, u32 device, u64 stream,
			  u32 *vdevice, struct err *e)
{
	static const struct advice advice[] = {
		{ ENOTTY, TOO_OLD },
		{ EINVAL, "it is not behind the same SMMU of this host" },
		{ EOPNOTSUPP,
		  "the SMMU knows it by more than one stream, as what is behind a bridge to conventional PCI; it cannot be behind a guest's SMMU" },
		{ 0 }
	};
	struct iommu_vdevice_alloc a = {
		.size = sizeof(a),
		.viommu_id = viommu,
		.dev_id = device,
		.virt_id = stream,
	};
	int err = kernel_ask(iommufd, IOMMU_VDEVICE_ALLOC, &a);

	if (err)
		return advise(e, err, advice,
			      "IOMMU_VDEVICE_ALLOC: stream 0x%llx",
			      (unsigned long long)stream);
	*vdevice = a.out_vdevice_id;
	return 0;
}

/*
 * No error leaves all of them done, so then a count that is still what it was
 * says nothing: some failures do not get as far as to change it (ENOMEM).
 */
int iommufd_invalidate(int iommufd, u32 viommu,
		       const struct iommufd_command *commands, u32 *nr)
{
	struct iommu_hwpt_invalidate a = {
		.size = sizeof(a),
		.hwpt_id = viommu,
		.data_uptr = uapi_address(commands),
		.data_type = IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
		.entry_len = sizeof(*commands),
		.entry_num = *nr,
	};
	int err = kernel_ask(iommufd, IOMMU_HWPT_INVALIDATE, &a);

	if (err)
		*nr = a.entry_num < *nr ? a.entry_num : 0;
	return err;
}

int iommufd_events_alloc(int iommufd, u32 viommu, u32 depth,
			 struct iommufd_events *q, struct err *e)
{
	static const struct advice advice[] = { { ENOTTY, TOO_OLD }, { 0 } };
	struct iommu_veventq_alloc a = {
		.size = sizeof(a),
		.viommu_id = viommu,
		.type = IOMMU_VEVENTQ_TYPE_ARM_SMMUV3,
		.veventq_depth = depth,
	};
	int err = kernel_ask(iommufd, IOMMU_VEVENTQ_ALLOC, &a);

	*q = (struct iommufd_events) { .fd = -1 };
	if (err)
		return advise(e, err, advice, "IOMMU_VEVENTQ_ALLOC");
	q->fd = (int)a.out_veventq_fd;
	q->id = a.out_veventq_id;
	return 0;
}

void iommufd_events_free(int iommufd, struct iommufd_events *q)
{
	if (q->fd < 0)
		return;
	close(q->fd);
	q->fd = -1;
	/* It goes with its vIOMMU's iommufd at the latest. */
	if (iommufd_destroy(iommufd, q->id))
		return;
}

int iommufd_events_read(const struct iommufd_events *q, void *buf, size_t len)
{
	ssize_t n = read(q->fd, buf, len);

	return n < 0 ? -errno : (int)n;
}

static_assert(sizeof(struct iommufd_vevent_header) +
			      sizeof(struct iommu_vevent_arm_smmuv3) ==
		      IOMMUFD_EVENT_MAX,
	      "the largest");

bool iommufd_events_next(const void *buf, size_t len, size_t *at,
			 struct iommufd_event *event)
{
	const u8 *p = (const u8 *)buf + *at;
	struct iommufd_vevent_header h;
	size_t left = len - *at;

	if (left < sizeof(h))
		return false;
	memcpy(&h, p, sizeof(h));
	*event = (struct iommufd_event) {
		.sequence = h.sequence,
		.lost = h.flags & IOMMU_VEVENTQ_FLAG_LOST_EVENTS,
	};
	*at += sizeof(h);
	if (event->lost)
		return true;
	if (left - sizeof(h) < sizeof(event->record))
		return false;
	memcpy(event->record, p + sizeof(h), sizeof(event->record));
	*at += sizeof(event->record);
	return true;
}
