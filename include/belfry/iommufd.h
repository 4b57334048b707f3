/*
 * iommufd: what lets devices reach the guest's memory, and a guest program its
 * SMMU. Address spaces (IOAS), page tables on them (HWPT), and the guest's view
 * of the SMMU: vIOMMU, vDEVICEs, a queue of events.
 *
 * One function per call of the kernel's; no policy, no threads, no memory of
 * what was made. Objects are numbers that belong to one descriptor and go with
 * it; a device is the number that vfio_bind gave it. What another object is
 * made of cannot be destroyed before that.
 * Whatever returns -errno with @e has set a message there that says what the
 * operator can do. It names the call; the caller puts the device before it.
 * STEs, commands and event records are little-endian, as the SMMU has them.
 *
 * Linux 6.15 Documentation/userspace-api/iommufd.rst. Arm IHI 0070.
 */
#ifndef BELFRY_IOMMUFD_H
#define BELFRY_IOMMUFD_H

#include <belfry/base.h>
#include <belfry/err.h>

/* Open /dev/iommu. An owned descriptor or -errno. */
MUST_CHECK int iommufd_open(struct err *e);

/* Is @fd one that somebody has opened? 0, or -errno and a message. */
MUST_CHECK int iommufd_check_fd(int fd, struct err *e);

/*
 * Destroy any object. 0 or -errno: -EBUSY while another needs it, or a device
 * has it attached. The caller must not need this to work: closing the
 * descriptor, and those of devices and queues, frees everything.
 */
MUST_CHECK int iommufd_destroy(int iommufd, u32 id);

/*
 * Whose limit (ulimit -l) the memory counts against that devices can reach:
 * the user's, which all the user's programs share (the default), or this
 * process's alone. Only with CAP_SYS_RESOURCE, and before anything is made.
 */
MUST_CHECK int iommufd_count_per_process(int iommufd, bool on, struct err *e);

/* --- address spaces --- */

MUST_CHECK int iommufd_ioas_alloc(int iommufd, u32 *ioas, struct err *e);

/* May pages of the SMMU's be larger than the CPU's? They may unless this says
 * otherwise, before the first page table is made on @ioas. */
MUST_CHECK int iommufd_ioas_huge_pages(int iommufd, u32 ioas, bool on,
				       struct err *e);

/*
 * [iova, iova + len) is @host from now on, to be read and written by whatever
 * is attached. All of it is taken from the host and locked: at once if there is
 * a page table on @ioas, or else when one is made, which then can fail for it.
 * Page-aligned.
 */
MUST_CHECK int iommufd_map(int iommufd, u32 ioas, u64 iova, void *host, u64 len,
			   struct err *e);

/*
 * The same of bytes @off and up of a memfd, whoever has it mapped.
 * -EOPNOTSUPP: this kernel (before 6.13) cannot; iommufd_map can.
 */
MUST_CHECK int iommufd_map_file(int iommufd, u32 ioas, u64 iova, int file,
				u64 off, u64 len, struct err *e);

/* Whole mappings only: the range may hold several, but cut none. -ENOENT if
 * there is none. */
MUST_CHECK int iommufd_unmap(int iommufd, u32 ioas, u64 iova, u64 len,
			     struct err *e);

struct iova_range {
	u64 start, last; /* inclusive: the last may be the end of all */
};

/*
 * Where @ioas can have memory: the address space less what is reserved for the
 * devices attached to it so far (an MSI window, say) or beyond what their
 * SMMUs can translate. Ascending; multiples of @align.
 */
#define IOVA_RANGES_MAX 64
struct iova_ranges {
	u32 nr;
	u64 align;
	struct iova_range range[IOVA_RANGES_MAX];
};

MUST_CHECK int iommufd_ioas_ranges(int iommufd, u32 ioas, struct iova_ranges *r,
				   struct err *e);

/* Nothing may be reserved in these, instead of those named before: attaching a
 * device fails that would. Each has two bytes or more. */
MUST_CHECK int iommufd_ioas_keep(int iommufd, u32 ioas,
				 const struct iova_range *ranges, u32 nr,
				 struct err *e);

/* --- page tables --- */

/* The SMMU's table for @ioas, made for the SMMU of @device: stage 2, to nest
 * in, or whatever serves to translate alone. */
MUST_CHECK int iommufd_hwpt_alloc(int iommufd, u32 device, u32 ioas,
				  bool nest_parent, u32 *hwpt, struct err *e);

/*
 * What a guest's STE asks for: words 0 and 1, with no bit set that the kernel
 * does not let a guest set; V clear is a stream that aborts. -EIO: it has such
 * a bit, or asks for what cannot be had.
 */
MUST_CHECK int iommufd_hwpt_alloc_nested(int iommufd, u32 device, u32 viommu,
					 const u64 ste[static 2], u32 *hwpt,
					 struct err *e);

/* What the SMMU of @device can do, raw: the kernel's iommufd.h says which
 * fields may be believed. */
struct iommufd_hw {
	bool smmuv3; /* the rest is zero otherwise */
	u32 flags;   /* IOMMUFD_HW_* */
	u32 idr[6], iidr, aidr;
	u64 capabilities; /* IOMMUFD_HW_CAP_* */
	u32 pasid_bits;
};

/* Each TLBI and CFGI with its SYNC must be sent twice (erratum T264-SMMU-3). */
#define IOMMUFD_HW_REPEAT_TLBI_CFGI BIT(0)
/* The device has no ATS that can be used. Older kernels do not tell. */
#define IOMMUFD_HW_CAP_NO_ATS BIT(3)

MUST_CHECK int iommufd_get_hw(int iommufd, u32 device, struct iommufd_hw *hw,
			      struct err *e);

/* --- a guest's SMMU --- */

/* On the SMMU of @device, nesting in @hwpt. */
MUST_CHECK int iommufd_viommu_alloc(int iommufd, u32 device, u32 hwpt,
				    u32 *viommu, struct err *e);

/*
 * @device is the guest's stream @stream. Needed before a table is attached that
 * translates, and for events. Destroy it before the device is closed, or its
 * number is lost for this iommufd. -EEXIST: device or stream has one.
 */
MUST_CHECK int iommufd_vdevice_alloc(int iommufd, u32 viommu, u32 device,
				     u64 stream, u32 *vdevice, struct err *e);

struct iommufd_command {
	u64 word[2];
};

/*
 * Carry out a guest's TLBI_NH_*, TLBI_NSNH_ALL, CFGI_CD*, ATC_INV, in order,
 * with streams by the guest's numbers; nothing else, SYNC neither. *@nr: how
 * many there are, 1 to 2^19; then, how many the kernel went past. 0 if all
 * were carried out. -EIO: number *@nr is one that it refuses. Those before it
 * are valid, but need not have been carried out (Linux 7.3 loses up to 62 of
 * them): send them again. -ENOMEM: none was.
 */
MUST_CHECK int iommufd_invalidate(int iommufd, u32 viommu,
				  const struct iommufd_command *commands,
				  u32 *nr);

struct iommufd_events {
	int fd; /* owned; readable when there are any */
	u32 id;
};

/* What goes wrong in the streams of @viommu, @depth events at most. One queue
 * for each. */
MUST_CHECK int iommufd_events_alloc(int iommufd, u32 viommu, u32 depth,
				    struct iommufd_events *q, struct err *e);
/* Close it, then destroy it: the other way round does not go. */
void iommufd_events_free(int iommufd, struct iommufd_events *q);

struct iommufd_event {
	u32 sequence;  /* one more than the last if none was lost between; wraps
			  to 0 after 2^31 - 1 */
	bool lost;     /* some were lost from here on: there is no @record */
	u64 record[4]; /* the guest's stream in it; IHI 0070, 7.3 */
};

/* Bytes of one event, at most. */
#define IOMMUFD_EVENT_MAX 40

/* What is there, @len bytes at most and no event in part: the number of bytes,
 * 0 when there is nothing (it never waits), or -errno. One read(2), which the
 * loop can do as well. */
MUST_CHECK int iommufd_events_read(const struct iommufd_events *q, void *buf,
				   size_t len);

/* The event at *@at of what was read, and on to the next; false at the end. */
bool iommufd_events_next(const void *buf, size_t len, size_t *at,
			 struct iommufd_event *event);

/* The ioctls of what is called while a guest runs, for the sandbox: nested
 * tables, vDEVICEs, invalidations, iommufd_destroy. Ends with 0. */
extern const unsigned long iommufd_requests[];

#endif
