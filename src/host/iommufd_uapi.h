/*
 * What we use of the kernel's linux/iommufd.h, in its own words. Debian 12 has
 * no such header, and Debian 13's is older than the events of a vIOMMU (Linux
 * 6.15). Never together with the kernel's.
 *
 * The kernel takes a structure of any size it ever had: what it does not know
 * must be zero, what we do not know it takes for zero. So these can stay as
 * they are while the kernel's grow.
 */
#ifndef BELFRY_HOST_IOMMUFD_UAPI_H
#define BELFRY_HOST_IOMMUFD_UAPI_H

#include <belfry/base.h>

#include <assert.h>
#include <linux/ioctl.h>

/* @request is number @nr, and its argument has @size bytes. */
#define IOMMUFD_IS(request, nr, type, bytes)                           \
	static_assert((request) == (nr) && sizeof(type) == (bytes) &&  \
			      _Alignof(type) <= 8 && (bytes) % 4 == 0, \
		      #request " is the kernel's")

#define IOMMU_DESTROY          _IO(';', 0x80)
#define IOMMU_IOAS_ALLOC       _IO(';', 0x81)
#define IOMMU_IOAS_ALLOW_IOVAS _IO(';', 0x82)
#define IOMMU_IOAS_IOVA_RANGES _IO(';', 0x84)
#define IOMMU_IOAS_MAP         _IO(';', 0x85)
#define IOMMU_IOAS_UNMAP       _IO(';', 0x86)
#define IOMMU_OPTION           _IO(';', 0x87)
#define IOMMU_HWPT_ALLOC       _IO(';', 0x89)
#define IOMMU_GET_HW_INFO      _IO(';', 0x8a)
#define IOMMU_HWPT_INVALIDATE  _IO(';', 0x8d)
#define IOMMU_IOAS_MAP_FILE    _IO(';', 0x8f)
#define IOMMU_VIOMMU_ALLOC     _IO(';', 0x90)
#define IOMMU_VDEVICE_ALLOC    _IO(';', 0x91)
#define IOMMU_VEVENTQ_ALLOC    _IO(';', 0x93)

/* How it takes addresses. */
static inline u64 uapi_address(const void *p)
{
	return (u64)(uintptr_t)p;
}

struct iommu_destroy {
	u32 size;
	u32 id;
};
IOMMUFD_IS(IOMMU_DESTROY, 0x3b80, struct iommu_destroy, 8);

/* --- address spaces --- */

struct iommu_ioas_alloc {
	u32 size;
	u32 flags;
	u32 out_ioas_id;
};
IOMMUFD_IS(IOMMU_IOAS_ALLOC, 0x3b81, struct iommu_ioas_alloc, 12);

struct iommu_iova_range {
	u64 start;
	u64 last;
};
static_assert(sizeof(struct iommu_iova_range) == 16, "the kernel's");

struct iommu_ioas_allow_iovas {
	u32 size;
	u32 ioas_id;
	u32 num_iovas;
	u32 reserved;
	u64 allowed_iovas;
};
IOMMUFD_IS(IOMMU_IOAS_ALLOW_IOVAS, 0x3b82, struct iommu_ioas_allow_iovas, 24);

struct iommu_ioas_iova_ranges {
	u32 size;
	u32 ioas_id;
	u32 num_iovas;
	u32 reserved;
	u64 allowed_iovas;
	u64 out_iova_alignment;
};
IOMMUFD_IS(IOMMU_IOAS_IOVA_RANGES, 0x3b84, struct iommu_ioas_iova_ranges, 32);

enum {
	IOMMU_IOAS_MAP_FIXED_IOVA = 1,
	IOMMU_IOAS_MAP_WRITEABLE = 2,
	IOMMU_IOAS_MAP_READABLE = 4,
};

struct iommu_ioas_map {
	u32 size;
	u32 flags;
	u32 ioas_id;
	u32 reserved;
	u64 user_va;
	u64 length;
	u64 iova;
};
IOMMUFD_IS(IOMMU_IOAS_MAP, 0x3b85, struct iommu_ioas_map, 40);

/* Linux 6.13. */
struct iommu_ioas_map_file {
	u32 size;
	u32 flags;
	u32 ioas_id;
	int fd;
	u64 start;
	u64 length;
	u64 iova;
};
IOMMUFD_IS(IOMMU_IOAS_MAP_FILE, 0x3b8f, struct iommu_ioas_map_file, 40);

struct iommu_ioas_unmap {
	u32 size;
	u32 ioas_id;
	u64 iova;
	u64 length;
};
IOMMUFD_IS(IOMMU_IOAS_UNMAP, 0x3b86, struct iommu_ioas_unmap, 24);

enum {
	IOMMU_OPTION_RLIMIT_MODE = 0,
	IOMMU_OPTION_HUGE_PAGES = 1,
};

enum {
	IOMMU_OPTION_OP_SET = 0,
	IOMMU_OPTION_OP_GET = 1,
};

struct iommu_option {
	u32 size;
	u32 option_id;
	u16 op;
	u16 reserved;
	u32 object_id;
	u64 val64;
};
IOMMUFD_IS(IOMMU_OPTION, 0x3b87, struct iommu_option, 24);

/* --- page tables --- */

enum {
	IOMMU_HWPT_ALLOC_NEST_PARENT = 1,
};

enum {
	IOMMU_HWPT_DATA_NONE = 0,
	IOMMU_HWPT_DATA_ARM_SMMUV3 = 2,
};

struct iommu_hwpt_alloc {
	u32 size;
	u32 flags;
	u32 dev_id;
	u32 pt_id;
	u32 out_hwpt_id;
	u32 reserved;
	u32 data_type;
	u32 data_len;
	u64 data_uptr;
	u32 fault_id;
	u32 reserved2;
};
IOMMUFD_IS(IOMMU_HWPT_ALLOC, 0x3b89, struct iommu_hwpt_alloc, 48);

/* Little-endian: the first two of the eight words of a guest's STE. */
struct iommu_hwpt_arm_smmuv3 {
	u64 ste[2];
};
static_assert(sizeof(struct iommu_hwpt_arm_smmuv3) == 16, "the kernel's");

/* Older kernels know no PASIDs: a reserved word is in their place, and zero. */
struct iommu_hw_info {
	u32 size;
	u32 flags;
	u32 dev_id;
	u32 data_len;
	u64 data_uptr;
	u32 out_data_type;
	u8 out_max_pasid_log2;
	u8 reserved[3];
	u64 out_capabilities;
};
IOMMUFD_IS(IOMMU_GET_HW_INFO, 0x3b8a, struct iommu_hw_info, 40);

enum {
	IOMMU_HW_INFO_TYPE_ARM_SMMUV3 = 2,
};

struct iommu_hw_info_arm_smmuv3 {
	u32 flags;
	u32 reserved;
	u32 idr[6];
	u32 iidr;
	u32 aidr;
};
static_assert(sizeof(struct iommu_hw_info_arm_smmuv3) == 40, "the kernel's");

enum {
	IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3 = 1,
};

struct iommu_hwpt_invalidate {
	u32 size;
	u32 hwpt_id;
	u64 data_uptr;
	u32 data_type;
	u32 entry_len;
	u32 entry_num;
	u32 reserved;
};
IOMMUFD_IS(IOMMU_HWPT_INVALIDATE, 0x3b8d, struct iommu_hwpt_invalidate, 32);

/* --- vIOMMU: Linux 6.13; its events 6.15 --- */

enum {
	IOMMU_VIOMMU_TYPE_ARM_SMMUV3 = 1,
};

/* Newer kernels have data for other types behind it. */
struct iommu_viommu_alloc {
	u32 size;
	u32 flags;
	u32 type;
	u32 dev_id;
	u32 hwpt_id;
	u32 out_viommu_id;
};
IOMMUFD_IS(IOMMU_VIOMMU_ALLOC, 0x3b90, struct iommu_viommu_alloc, 24);

struct iommu_vdevice_alloc {
	u32 size;
	u32 viommu_id;
	u32 dev_id;
	u32 out_vdevice_id;
	u64 virt_id;
};
IOMMUFD_IS(IOMMU_VDEVICE_ALLOC, 0x3b91, struct iommu_vdevice_alloc, 24);

enum {
	IOMMU_VEVENTQ_TYPE_ARM_SMMUV3 = 1,
};

struct iommu_veventq_alloc {
	u32 size;
	u32 flags;
	u32 viommu_id;
	u32 type;
	u32 veventq_depth;
	u32 out_veventq_id;
	u32 out_veventq_fd;
	u32 reserved;
};
IOMMUFD_IS(IOMMU_VEVENTQ_ALLOC, 0x3b93, struct iommu_veventq_alloc, 32);

enum {
	IOMMU_VEVENTQ_FLAG_LOST_EVENTS = 1,
};

/* What is read: this, then the record; after one with LOST_EVENTS none. */
struct iommufd_vevent_header {
	u32 flags;
	u32 sequence;
};
static_assert(sizeof(struct iommufd_vevent_header) == 8, "the kernel's");

/* Little-endian: an event record of the SMMU's, IHI 0070, 7.3. */
struct iommu_vevent_arm_smmuv3 {
	u64 evt[4];
};
static_assert(sizeof(struct iommu_vevent_arm_smmuv3) == 32, "the kernel's");

#endif
