/*
 * iommufd, against a kernel that writes down what it is asked: every call's
 * number, size and content, what comes of the answers, and that every one may
 * fail without a trace.
 */
#include "fakes/vfio_kernel.h"
#include "unit.h"

#include <belfry/iommufd.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static u8 memory[4096];

static int open_iommufd(void)
{
	struct err e = { 0 };
	int fd;

	vfio_kernel_reset();
	fd = iommufd_open(&e);
	ck_assert_msg(fd >= 0, "%s", e.msg);
	return fd;
}

static void says(const struct err *e, int code, const char *call,
		 const char *advice)
{
	ck_assert_int_eq(e->code, code);
	ck_assert_msg(strstr(e->msg, call), "not \"%s\": %s", call, e->msg);
	ck_assert_msg(strstr(e->msg, advice), "not \"%s\": %s", advice, e->msg);
}

START_TEST(opening)
{
	static const struct {
		int with;
		const char *says;
	} rows[] = {
		{ ENOENT, "CONFIG_IOMMUFD" }, { ENODEV, "`modprobe iommufd`" },
		{ EACCES, "`chmod 666" },     { EPERM, "no right" },
		{ EMFILE, "Too many open" },
	};
	int held = vfio_kernel_held(), at = 0;
	struct err e = { 0 };

	close(open_iommufd());
	vfio_kernel_expect(&at, "open /dev/iommu 0x80002", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		vfio_kernel_reset();
		vfio_kernel.fail_at = 1;
		vfio_kernel.fail_with = rows[i].with;
		ck_assert_int_eq(iommufd_open(&e), -rows[i].with);
		says(&e, -rows[i].with, "/dev/iommu: ", rows[i].says);
	}
	ck_assert_int_eq(vfio_kernel_held(), held);
}
END_TEST

START_TEST(opened_by_others)
{
	int fd = open_iommufd(), at = 1;
	struct err e = { 0 };

	ck_assert_int_eq(iommufd_check_fd(fd, &e), 0);
	vfio_kernel_expect(&at, "OPTION option 0x0 op 0x1 object 0x0 val 0x0",
			   NULL);
	vfio_kernel.fail_at = at + 1;
	vfio_kernel.fail_with = ENOTTY;
	ck_assert_int_eq(iommufd_check_fd(fd, &e), -ENOTTY);
	says(&e, -ENOTTY, "descriptor ", "is not one of /dev/iommu (");
	close(fd);
}
END_TEST

/* --- what is asked --- */

START_TEST(address_spaces)
{
	static const struct iova_range keep[] = { { 0x40000000, 0x4fffffff },
						  { 0x8000000, 0x80fffff } };
	char map[KERNEL_LINE];
	struct iova_ranges r;
	int fd = open_iommufd(), at = 1;
	struct err e = { 0 };
	u32 ioas = 0;

	ck_assert_int_eq(iommufd_count_per_process(fd, true, &e), 0);
	ck_assert_int_eq(iommufd_ioas_alloc(fd, &ioas, &e), 0);
	ck_assert_uint_eq(ioas, 1);
	ck_assert_int_eq(iommufd_ioas_huge_pages(fd, 7, true, &e), 0);
	ck_assert_int_eq(iommufd_ioas_huge_pages(fd, 7, false, &e), 0);
	ck_assert_int_eq(iommufd_map(fd, 7, 0x1234567890000, memory, 4096, &e),
			 0);
	ck_assert_int_eq(iommufd_map_file(fd, 7, 0x40000000, 9, 0x2000,
					  0x123450000, &e),
			 0);
	ck_assert_int_eq(iommufd_unmap(fd, 7, 0x40000000, 0x123450000, &e), 0);
	ck_assert_int_eq(iommufd_ioas_keep(fd, 7, keep, 2, &e), 0);
	ck_assert_int_eq(iommufd_ioas_ranges(fd, 7, &r, &e), 0);

	vfio_kernel_expect(&at, "OPTION option 0x0 op 0x0 object 0x0 val 0x1",
			   "IOAS_ALLOC",
			   "OPTION option 0x1 op 0x0 object 0x7 val 0x1",
			   "OPTION option 0x1 op 0x0 object 0x7 val 0x0", NULL);
	snprintf(
		map, sizeof(map),
		"IOAS_MAP flags 0x7 ioas 0x7 va 0x%llx len 0x1000 iova 0x1234567890000",
		(unsigned long long)(uintptr_t)memory);
	vfio_kernel_expect(
		&at, map,
		"IOAS_MAP_FILE flags 0x7 ioas 0x7 fd 0x9 start 0x2000 len 0x123450000 iova 0x40000000",
		"IOAS_UNMAP ioas 0x7 iova 0x40000000 len 0x123450000",
		"IOAS_ALLOW_IOVAS ioas 0x7 nr 0x2: 0x40000000 0x4fffffff 0x8000000 0x80fffff",
		"IOAS_IOVA_RANGES ioas 0x7 nr 0x40", NULL);
	vfio_kernel_expect_end(at);

	ck_assert_uint_eq(r.nr, 3);
	ck_assert_uint_eq(r.align, 4096);
	ck_assert_uint_eq(r.range[2].start, 0x20000);
	ck_assert_uint_eq(r.range[2].last, 0x20fff);
	close(fd);
}
END_TEST

START_TEST(page_tables)
{
	static const u64 ste[2] = { 0x123456789000000b, 0xd4 };
	int fd = open_iommufd(), at = 1;
	u32 s2 = 0, plain = 0, s1 = 0;
	struct err e = { 0 };

	ck_assert_int_eq(iommufd_hwpt_alloc(fd, 5, 6, true, &s2, &e), 0);
	ck_assert_int_eq(iommufd_hwpt_alloc(fd, 5, 6, false, &plain, &e), 0);
	ck_assert_int_eq(iommufd_hwpt_alloc_nested(fd, 5, 7, ste, &s1, &e), 0);
	ck_assert(s2 == 1 && plain == 2 && s1 == 3);
	ck_assert_int_eq(iommufd_destroy(fd, s1), 0);
	vfio_kernel_expect(
		&at, "HWPT_ALLOC flags 0x1 dev 0x5 pt 0x6 type 0x0 len 0x0:",
		"HWPT_ALLOC flags 0x0 dev 0x5 pt 0x6 type 0x0 len 0x0:",
		"HWPT_ALLOC flags 0x0 dev 0x5 pt 0x7 type 0x2 len 0x10: 0x123456789000000b 0xd4",
		"DESTROY id 0x3", NULL);
	vfio_kernel_expect_end(at);
	close(fd);
}
END_TEST

START_TEST(hardware)
{
	int fd = open_iommufd(), at = 1;
	struct err e = { 0 };
	struct iommufd_hw hw;

	memset(&hw, 0xff, sizeof(hw));
	ck_assert_int_eq(iommufd_get_hw(fd, 5, &hw, &e), 0);
	ck_assert(hw.smmuv3);
	ck_assert_uint_eq(hw.flags, IOMMUFD_HW_REPEAT_TLBI_CFGI);
	ck_assert_uint_eq(hw.idr[0], 0x0d44101b);
	ck_assert_uint_eq(hw.idr[1], 0x02730010);
	ck_assert_uint_eq(hw.idr[5], 0x74);
	ck_assert_uint_eq(hw.iidr, 0x43b);
	ck_assert_uint_eq(hw.aidr, 3);
	ck_assert_uint_eq(hw.capabilities, IOMMUFD_HW_CAP_NO_ATS);
	ck_assert_uint_eq(hw.pasid_bits, 20);

	vfio_kernel.hw_type = 1;
	memset(&hw, 0xff, sizeof(hw));
	ck_assert_int_eq(iommufd_get_hw(fd, 5, &hw, &e), 0);
	ck_assert(!hw.smmuv3 && !hw.flags && !hw.idr[0] && !hw.capabilities);
	vfio_kernel_expect(&at, "GET_HW_INFO dev 0x5 len 0x28",
			   "GET_HW_INFO dev 0x5 len 0x28", NULL);
	vfio_kernel_expect_end(at);
	close(fd);
}
END_TEST

START_TEST(a_guests_smmu)
{
	int fd = open_iommufd(), at = 1, held = vfio_kernel_held();
	u32 viommu = 0, vdevice = 0;
	struct err e = { 0 };
	struct iommufd_events q;

	ck_assert_int_eq(iommufd_viommu_alloc(fd, 5, 6, &viommu, &e), 0);
	ck_assert_int_eq(iommufd_vdevice_alloc(fd, viommu, 5, 0x100000008,
					       &vdevice, &e),
			 0);
	ck_assert_int_eq(iommufd_events_alloc(fd, viommu, 256, &q, &e), 0);
	ck_assert(viommu == 1 && vdevice == 2 && q.id == 3);
	ck_assert(fcntl(q.fd, F_GETFD) & FD_CLOEXEC);
	/* The other way round it would be in use: vfio_kernel says so. */
	ck_assert_int_eq(iommufd_destroy(fd, q.id), -EBUSY);
	iommufd_events_free(fd, &q);
	iommufd_events_free(fd, &q);
	vfio_kernel_expect(&at, "VIOMMU_ALLOC type 0x1 dev 0x5 hwpt 0x6",
			   "VDEVICE_ALLOC viommu 0x1 dev 0x5 id 0x100000008",
			   "VEVENTQ_ALLOC viommu 0x1 type 0x1 depth 0x100",
			   "DESTROY id 0x3", "DESTROY id 0x3", NULL);
	vfio_kernel_expect_end(at);
	ck_assert_int_eq(vfio_kernel_held(), held);
	close(fd);
}
END_TEST

static const struct iommufd_command commands[] = {
	{ { 0x10, 0 } },
	{ { 0x800000005, 1 } },
	{ { 0x12, 0xfeed0001 } },
};

static int invalidate(int fd, u32 *nr)
{
	*nr = ARRAY_SIZE(commands);
	return iommufd_invalidate(fd, 7, commands, nr);
}

START_TEST(invalidates)
{
	int fd = open_iommufd(), at = 1;
	u32 nr;

	ck_assert_int_eq(invalidate(fd, &nr), 0);
	ck_assert_uint_eq(nr, 3);
	vfio_kernel_expect(
		&at,
		"HWPT_INVALIDATE hwpt 0x7 type 0x1 each 0x10 nr 0x3: 0x10 0x0 0x800000005 0x1 0x12 0xfeed0001",
		NULL);
	vfio_kernel_expect_end(at);

	/* What the kernel says of a bad one is believed; but not "all", which
	 * is what it says when it did not get that far. */
	for (int done = 0; done <= 3; done++) {
		vfio_kernel_forget();
		vfio_kernel.fail_at = 1;
		vfio_kernel.invalidated = done;
		ck_assert_int_eq(invalidate(fd, &nr), -EIO);
		ck_assert_uint_eq(nr, done == 3 ? 0 : (u32)done);
	}
	vfio_kernel_forget();
	vfio_kernel.invalidated = -1;
	vfio_kernel.fail_with = ENOMEM;
	ck_assert_int_eq(invalidate(fd, &nr), -ENOMEM);
	ck_assert_uint_eq(nr, 0);
	close(fd);
}
END_TEST

/* --- events --- */

/* As the kernel writes them: flags, sequence, and a record if none was lost. */
static size_t put_event(u8 *buf, size_t at, u32 flags, u32 sequence)
{
	u64 record[4] = { 0x810, sequence, 0x8000040, 3 };

	memcpy(buf + at, &flags, 4);
	memcpy(buf + at + 4, &sequence, 4);
	if (flags & 1)
		return at + 8;
	memcpy(buf + at + 8, record, sizeof(record));
	return at + 40;
}

START_TEST(reads_events)
{
	int fd = open_iommufd(), at = 1;
	size_t len = 0, pos = 0, end;
	struct err e = { 0 };
	struct iommufd_events q;
	struct iommufd_event ev;
	u8 bytes[256], got[256];
	int n;

	len = put_event(bytes, len, 0, 0x7fffffff);
	len = put_event(bytes, len, 0, 2);
	end = put_event(bytes, len, 1, 5);
	ck_assert_uint_eq(end, 88);
	ck_assert_int_eq(iommufd_events_alloc(fd, 1, 16, &q, &e), 0);
	ck_assert_int_eq(iommufd_events_read(&q, got, sizeof(got)), 0);
	ck_assert_int_eq(pwrite(q.fd, bytes, end, 0), end);
	n = iommufd_events_read(&q, got, sizeof(got));
	ck_assert_int_eq(n, end);

	ck_assert(iommufd_events_next(got, (size_t)n, &pos, &ev));
	ck_assert(!ev.lost && ev.sequence == 0x7fffffff);
	ck_assert(iommufd_events_next(got, (size_t)n, &pos, &ev));
	ck_assert(!ev.lost && ev.sequence == 2);
	ck_assert_uint_eq(ev.record[0], 0x810);
	ck_assert_uint_eq(ev.record[1], 2);
	ck_assert_uint_eq(ev.record[3], 3);
	ck_assert(iommufd_events_next(got, (size_t)n, &pos, &ev));
	ck_assert(ev.lost && ev.sequence == 5 && !ev.record[0]);
	ck_assert(!iommufd_events_next(got, (size_t)n, &pos, &ev));

	close(q.fd);
	ck_assert_int_eq(iommufd_events_read(&q, got, sizeof(got)), -EBADF);
	iommufd_events_free(fd, &q);
	vfio_kernel_expect(&at, "VEVENTQ_ALLOC viommu 0x1 type 0x1 depth 0x10",
			   NULL);
	close(fd);
}
END_TEST

/* The kernel cuts none; nor does this look behind the end if it should. */
START_TEST(events_that_are_cut)
{
	struct iommufd_event ev;
	u8 bytes[80];
	size_t len = put_event(bytes, 0, 0, 1);

	len = put_event(bytes, len, 0, 2);
	for (size_t cut = 0; cut < len; cut++) {
		u8 *copy = malloc(cut + 1);
		size_t at = 0;
		u32 nr = 0;

		memcpy(copy, bytes, cut);
		while (iommufd_events_next(copy, cut, &at, &ev))
			nr++;
		ck_assert_uint_eq(nr, cut / 40);
		ck_assert_uint_le(at, cut);
		free(copy);
	}
}
END_TEST

/* --- what is said --- */

static const u64 no_ste[2];
static const struct iova_range no_range;

static int refused_count(int fd, struct err *e)
{
	return iommufd_count_per_process(fd, true, e);
}

static int refused_map(int fd, struct err *e)
{
	return iommufd_map(fd, 1, 0x8000000, memory, 4096, e);
}

static int refused_map_file(int fd, struct err *e)
{
	return iommufd_map_file(fd, 1, 0x8000000, 5, 0, 4096, e);
}

static int refused_unmap(int fd, struct err *e)
{
	return iommufd_unmap(fd, 1, 0x8000000, 4096, e);
}

static int refused_keep(int fd, struct err *e)
{
	return iommufd_ioas_keep(fd, 1, &no_range, 1, e);
}

static int refused_huge(int fd, struct err *e)
{
	return iommufd_ioas_huge_pages(fd, 1, false, e);
}

static int refused_ranges(int fd, struct err *e)
{
	struct iova_ranges r;

	return iommufd_ioas_ranges(fd, 1, &r, e);
}

static u32 untouched = 99;

static int refused_ioas(int fd, struct err *e)
{
	return iommufd_ioas_alloc(fd, &untouched, e);
}

static int refused_parent(int fd, struct err *e)
{
	return iommufd_hwpt_alloc(fd, 1, 2, true, &untouched, e);
}

static int refused_nested(int fd, struct err *e)
{
	return iommufd_hwpt_alloc_nested(fd, 1, 2, no_ste, &untouched, e);
}

static int refused_hw(int fd, struct err *e)
{
	struct iommufd_hw hw;
	int err = iommufd_get_hw(fd, 1, &hw, e);

	ck_assert(!hw.smmuv3 && !hw.idr[0]);
	return err;
}

static int refused_viommu(int fd, struct err *e)
{
	return iommufd_viommu_alloc(fd, 1, 2, &untouched, e);
}

static int refused_vdevice(int fd, struct err *e)
{
	return iommufd_vdevice_alloc(fd, 1, 2, 8, &untouched, e);
}

static int refused_events(int fd, struct err *e)
{
	struct iommufd_events q;
	int err = iommufd_events_alloc(fd, 1, 16, &q, e);

	ck_assert_int_eq(q.fd, -1);
	iommufd_events_free(fd, &q);
	return err;
}

static const struct {
	int (*call)(int fd, struct err *e);
	int with;
	const char *names, *says;
} refusals[] = {
	{ refused_count, EPERM, "IOMMU_OPTION: ", "CAP_SYS_RESOURCE" },
	{ refused_count, EBUSY, "IOMMU_OPTION: ", "busy" },
	{ refused_ioas, ENOMEM, "IOMMU_IOAS_ALLOC: ", "memory" },
	{ refused_huge, ENOENT, "IOMMU_OPTION: huge pages: ", "No such" },
	{ refused_map, ENOMEM,
	  "IOMMU_IOAS_MAP: 0x1000 bytes at 0x8000000: ", "`ulimit -l`" },
	{ refused_map, EINVAL, "IOMMU_IOAS_MAP: ", "reserved_regions" },
	{ refused_map, EEXIST, "IOMMU_IOAS_MAP: ", "exists" },
	{ refused_map_file, ENOMEM, "IOMMU_IOAS_MAP_FILE: ", "`ulimit -l`" },
	{ refused_unmap, ENOENT, "IOMMU_IOAS_UNMAP: 0x1000 bytes at 0x8000000",
	  "No such" },
	{ refused_keep, EADDRINUSE,
	  "IOMMU_IOAS_ALLOW_IOVAS: ", "reserved_regions" },
	{ refused_ranges, ENOENT, "IOMMU_IOAS_IOVA_RANGES: ", "No such" },
	{ refused_parent, EOPNOTSUPP,
	  "IOMMU_HWPT_ALLOC: stage 2: ", "CONFIG_ARM_SMMU_V3_IOMMUFD" },
	{ refused_parent, ENOMEM,
	  "IOMMU_HWPT_ALLOC: stage 2: ", "`ulimit -l`" },
	{ refused_parent, EADDRINUSE,
	  "IOMMU_HWPT_ALLOC: stage 2: ", "addresses that the SMMU has not" },
	{ refused_nested, EIO,
	  "IOMMU_HWPT_ALLOC: STE 0x0 0x0: ", "does not offer" },
	{ refused_hw, EOPNOTSUPP, "IOMMU_GET_HW_INFO: ", "not supported" },
	{ refused_viommu, EOPNOTSUPP, "IOMMU_VIOMMU_ALLOC: ", "CANWBS" },
	{ refused_viommu, ENOTTY, "IOMMU_VIOMMU_ALLOC: ", "Linux 6.15" },
	{ refused_vdevice, ENOTTY, "IOMMU_VDEVICE_ALLOC: ", "Linux 6.15" },
	{ refused_vdevice, EINVAL,
	  "IOMMU_VDEVICE_ALLOC: stream 0x8: ", "same SMMU" },
	{ refused_vdevice, EOPNOTSUPP,
	  "IOMMU_VDEVICE_ALLOC: ", "more than one stream" },
	{ refused_events, ENOTTY, "IOMMU_VEVENTQ_ALLOC: ", "Linux 6.15" },
	{ refused_events, EMFILE, "IOMMU_VEVENTQ_ALLOC: ", "open files" },
};

START_TEST(refusals_say_what_to_do)
{
	int fd = open_iommufd(), held = vfio_kernel_held();

	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		struct err e = { 0 };

		vfio_kernel_forget();
		vfio_kernel.fail_at = 1;
		vfio_kernel.fail_with = refusals[i].with;
		ck_assert_int_eq(refusals[i].call(fd, &e), -refusals[i].with);
		says(&e, -refusals[i].with, refusals[i].names,
		     refusals[i].says);
		ck_assert_int_eq(vfio_kernel.lines, 1);
		ck_assert_int_eq(vfio_kernel_held(), held);
		ck_assert_uint_eq(untouched, 99);
	}
	close(fd);
}
END_TEST

/* Mapping by address is what to try then, and only then. */
START_TEST(a_kernel_that_maps_no_files)
{
	int fd = open_iommufd();
	struct err e = { 0 };

	vfio_kernel_forget();
	vfio_kernel.fail_at = 1;
	vfio_kernel.fail_with = ENOTTY;
	ck_assert_int_eq(refused_map_file(fd, &e), -EOPNOTSUPP);
	says(&e, -EOPNOTSUPP, "IOMMU_IOAS_MAP_FILE: ", "not supported");
	close(fd);
}
END_TEST

START_TEST(a_host_with_many_reserved_regions)
{
	int fd = open_iommufd();
	struct err e = { 0 };
	struct iova_ranges r;

	vfio_kernel.ranges = IOVA_RANGES_MAX;
	ck_assert_int_eq(iommufd_ioas_ranges(fd, 1, &r, &e), 0);
	ck_assert_uint_eq(r.nr, IOVA_RANGES_MAX);
	vfio_kernel.ranges++;
	ck_assert_int_eq(iommufd_ioas_ranges(fd, 1, &r, &e), -EMSGSIZE);
	says(&e, -EMSGSIZE, "IOMMU_IOAS_IOVA_RANGES: ", "more regions");
	close(fd);
}
END_TEST

/* For the sandbox: HWPT_ALLOC, VDEVICE_ALLOC, HWPT_INVALIDATE, DESTROY. */
START_TEST(names_its_requests)
{
	static const unsigned long want[] = { 0x3b89, 0x3b91, 0x3b8d, 0x3b80,
					      0 };

	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		ck_assert_uint_eq(iommufd_requests[i], want[i]);
}
END_TEST

UNIT_MAIN("iommufd", opening, opened_by_others, address_spaces, page_tables,
	  hardware, a_guests_smmu, invalidates, reads_events,
	  events_that_are_cut, refusals_say_what_to_do,
	  a_kernel_that_maps_no_files, a_host_with_many_reserved_regions,
	  names_its_requests)
