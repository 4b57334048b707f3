/*
 * iommufd: the descriptor, objects, address spaces. The kernel's errors are few
 * and mean another thing for each call; the tables say which.
 */
#include <belfry/iommufd.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "advice.h"
#include "iommufd_uapi.h"

#define DEVICE "/dev/iommu"

int iommufd_open(struct err *e)
{
	static const char none[] =
		"this host's kernel has no iommufd: it takes Linux 6.15 or newer with CONFIG_IOMMUFD, perhaps `modprobe iommufd`, and in a container pass the device in";
	static const char no_right[] =
		"no right to open it: `chmod 666 " DEVICE
		"` is safe, since it gives nobody a device";
	static const struct advice advice[] = {
		{ ENOENT, none },     { ENODEV, none },    { ENXIO, none },
		{ EACCES, no_right }, { EPERM, no_right }, { 0 }
	};
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC);

	return fd < 0 ? advise(e, -errno, advice, DEVICE) : fd;
}

int iommufd_check_fd(int fd, struct err *e)
{
	struct iommu_option a = {
		.size = sizeof(a),
		.option_id = IOMMU_OPTION_RLIMIT_MODE,
		.op = IOMMU_OPTION_OP_GET,
	};
	int err = kernel_ask(fd, IOMMU_OPTION, &a);

	return err ? err_set(e, err,
			     "descriptor %d is not one of " DEVICE
			     " (%s): whoever starts Belfry opens that",
			     fd, strerror(-err))
		   : 0;
}

int iommufd_destroy(int iommufd, u32 id)
{
	struct iommu_destroy a = { .size = sizeof(a), .id = id };

	return kernel_ask(iommufd, IOMMU_DESTROY, &a);
}

int iommufd_count_per_process(int iommufd, bool on, struct err *e)
{
	static const struct advice advice[] = {
		{ EPERM,
		  "only with CAP_SYS_RESOURCE; without, memory counts against the limit (`ulimit -l`) that all programs of a user share" },
		{ 0 }
	};
	struct iommu_option a = {
		.size = sizeof(a),
		.option_id = IOMMU_OPTION_RLIMIT_MODE,
		.op = IOMMU_OPTION_OP_SET,
		.val64 = on,
	};
	int err = kernel_ask(iommufd, IOMMU_OPTION, &a);

	return err ? advise(e, err, advice,
			    "IOMMU_OPTION: memory counted per process")
		   : 0;
}

/* --- address spaces --- */

int iommufd_ioas_alloc(int iommufd, u32 *ioas, struct err *e)
{
	struct iommu_ioas_alloc a = { .size = sizeof(a) };
	int err = kernel_ask(iommufd, IOMMU_IOAS_ALLOC, &a);

	if (err)
		return advise(e, err, NULL, "IOMMU_IOAS_ALLOC");
	*ioas = a.out_ioas_id;
	return 0;
}

int iommufd_ioas_huge_pages(int iommufd, u32 ioas, bool on, struct err *e)
{
	struct iommu_option a = {
		.size = sizeof(a),
		.option_id = IOMMU_OPTION_HUGE_PAGES,
		.op = IOMMU_OPTION_OP_SET,
		.object_id = ioas,
		.val64 = on,
	};
	int err = kernel_ask(iommufd, IOMMU_OPTION, &a);

	return err ? advise(e, err, NULL, "IOMMU_OPTION: huge pages") : 0;
}

#define EVERYTHING                                             \
	(IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | \
	 IOMMU_IOAS_MAP_WRITEABLE)

static const struct advice map_advice[] = {
	{ ENOMEM,
	  "devices need all of a guest's memory locked: raise `ulimit -l` (and the user's limit of locked memory, which all programs of a user share), or give the guest less" },
	{ EINVAL,
	  "not whole pages, a file that is no memfd, or addresses that this host reserves (/sys/kernel/iommu_groups/*/reserved_regions) or its SMMU has not" },
	{ 0 }
};

static int not_mapped(int err, const char *call, u64 iova, u64 len,
		      struct err *e)
{
	return advise(e, err, map_advice, "%s: 0x%llx bytes at 0x%llx", call,
		      (unsigned long long)len, (unsigned long long)iova);
}

int iommufd_map(int iommufd, u32 ioas, u64 iova, void *host, u64 len,
		struct err *e)
{
	struct iommu_ioas_map a = {
		.size = sizeof(a),
		.flags = EVERYTHING,
		.ioas_id = ioas,
		.user_va = uapi_address(host),
		.length = len,
		.iova = iova,
	};
	int err = kernel_ask(iommufd, IOMMU_IOAS_MAP, &a);

	return err ? not_mapped(err, "IOMMU_IOAS_MAP", iova, len, e) : 0;
}

int iommufd_map_file(int iommufd, u32 ioas, u64 iova, int file, u64 off,
		     u64 len, struct err *e)
{
	struct iommu_ioas_map_file a = {
		.size = sizeof(a),
		.flags = EVERYTHING,
		.ioas_id = ioas,
		.fd = file,
		.start = off,
		.length = len,
		.iova = iova,
	};
	int err = kernel_ask(iommufd, IOMMU_IOAS_MAP_FILE, &a);

	if (err == -ENOTTY)
		err = -EOPNOTSUPP;
	return err ? not_mapped(err, "IOMMU_IOAS_MAP_FILE", iova, len, e) : 0;
}

int iommufd_unmap(int iommufd, u32 ioas, u64 iova, u64 len, struct err *e)
{
	struct iommu_ioas_unmap a = {
		.size = sizeof(a),
		.ioas_id = ioas,
		.iova = iova,
		.length = len,
	};
	int err = kernel_ask(iommufd, IOMMU_IOAS_UNMAP, &a);

	return err ? not_mapped(err, "IOMMU_IOAS_UNMAP", iova, len, e) : 0;
}

static_assert(sizeof(struct iova_range) == sizeof(struct iommu_iova_range) &&
		      offsetof(struct iova_range, last) ==
			      offsetof(struct iommu_iova_range, last),
	      "the kernel reads and writes them");

int iommufd_ioas_ranges(int iommufd, u32 ioas, struct iova_ranges *r,
			struct err *e)
{
	static const struct advice advice[] = {
		{ EMSGSIZE,
		  "this host reserves more regions than Belfry has room for" },
		{ 0 }
	};
	struct iommu_ioas_iova_ranges a = {
		.size = sizeof(a),
		.ioas_id = ioas,
		.num_iovas = IOVA_RANGES_MAX,
		.allowed_iovas = uapi_address(r->range),
	};
	int err = kernel_ask(iommufd, IOMMU_IOAS_IOVA_RANGES, &a);

	if (err)
		return advise(e, err, advice, "IOMMU_IOAS_IOVA_RANGES");
	r->nr = a.num_iovas;
	r->align = a.out_iova_alignment;
	return 0;
}

int iommufd_ioas_keep(int iommufd, u32 ioas, const struct iova_range *ranges,
		      u32 nr, struct err *e)
{
	static const struct advice advice[] = {
		{ EADDRINUSE,
		  "the guest has memory where this host reserves addresses (/sys/kernel/iommu_groups/*/reserved_regions)" },
		{ 0 }
	};
	struct iommu_ioas_allow_iovas a = {
		.size = sizeof(a),
		.ioas_id = ioas,
		.num_iovas = nr,
		.allowed_iovas = uapi_address(ranges),
	};
	int err = kernel_ask(iommufd, IOMMU_IOAS_ALLOW_IOVAS, &a);

	return err ? advise(e, err, advice, "IOMMU_IOAS_ALLOW_IOVAS") : 0;
}
