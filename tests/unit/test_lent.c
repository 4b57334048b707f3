/*
 * Lent devices, against a kernel that writes down what it is asked: what is
 * asked for each kind of device and in which order, what a guest's SMMU makes
 * of it, and that whatever fails leaves nothing behind.
 */
#include "fakes/memory.h"
#include "fakes/smmu_stand.h"
#include "fakes/sysfs_tree.h"
#include "fakes/vfio_kernel.h"
#include "unit.h"

#include <belfry/iommufd.h>
#include <belfry/loop.h>

#include "lent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RAM      0x40000000ull
#define RAM_SIZE 0x200000ull

static const char *const names[] = { "0000:01:00.0", "0000:02:00.0",
				     "0000:03:00.0", "0000:04:00.0" };
static const char *const places[] = { "vm.json:1: vfio[0]",
				      "vm.json:2: vfio[1]",
				      "vm.json:3: vfio[2]",
				      "vm.json:4: vfio[3]" };

/* Device i has the guest's stream 8 * (i + 1). */
struct bench {
	struct lent_device device[ARRAY_SIZE(names)];
	struct lent_setup s;
	struct lent *l;
	struct err e;
	int held;
};

#define DOORBELL 0x8090040

static u8 memory[4096];

static void hush(void)
{
	int fd = open("/dev/null", O_WRONLY);

	dup2(fd, STDERR_FILENO);
	close(fd);
}

/* A host that lends all of them, each in a group of its own. */
static void new_host(void)
{
	vfio_kernel_reset();
	tree_init();
	tree_put("bus/pci/drivers/vfio-pci/bind", "");
	for (u32 i = 0; i < ARRAY_SIZE(names); i++) {
		char cdev[] = { 'v', 'f', 'i', 'o', (char)('0' + i), '\0' };

		tree_function("", names[i], (int)(3 + i), "vfio-pci");
		tree_lend(names[i], cdev);
	}
	vfio_kernel.tell_close = true;
}

static void bench_init(struct bench *b)
{
	new_host();
	*b = (struct bench) { .s = { .sys = tree(),
				     .devices = b->device,
				     .ram = RAM,
				     .ram_size = RAM_SIZE,
				     .ram_host = memory,
				     .ram_fd = -1,
				     .translater = DOORBELL } };
	b->held = vfio_kernel_held();
}

static void bench_fini(struct bench *b)
{
	lent_destroy(b->l);
	ck_assert_int_eq(vfio_kernel_held(), b->held);
	tree_fini();
}

static u32 sid(u32 i)
{
	return 8 * (i + 1);
}

static void add(struct bench *b, u32 space, u32 smmu)
{
	u32 i = b->s.nr++;

	b->device[i] = (struct lent_device) { .host = names[i],
					      .place = places[i],
					      .sid = sid(i),
					      .space = space,
					      .smmu = smmu };
}

static void create(struct bench *b)
{
	b->l = lent_create(&b->s, &b->e);
	ck_assert_msg(b->l != NULL, "%s", b->e.msg);
}

static u32 attached(struct bench *b, u32 i)
{
	return vfio_kernel_attached(lent_vfio(b->l, i)->fd);
}

/* Which iommufd it goes to is a number of the moment; that all are of the same
 * is what the kernel looks after. */
static void expect_bind(int *at)
{
	static const char bind[] = "BIND_IOMMUFD iommufd ";

	ck_assert_msg(!strncmp(vfio_kernel.line[*at], bind, sizeof(bind) - 1),
		      "%s", vfio_kernel.line[*at]);
	(*at)++;
}

static void says(const struct err *e, const char *what)
{
	ck_assert_msg(strstr(e->msg, what), "not \"%s\": %s", what, e->msg);
}

/* --- what is asked, and how it goes again --- */

START_TEST(one_behind_an_smmu)
{
	struct bench b;
	int at = 0;
	char map[KERNEL_LINE];

	bench_init(&b);
	b.s.ram_fd = 77;
	add(&b, 5, 0);
	create(&b);
	snprintf(
		map, sizeof(map),
		"IOAS_MAP_FILE flags 0x7 ioas 0x2 fd 0x4d start 0x0 len 0x200000 iova 0x40000000");
	vfio_kernel_expect(&at, "open /dev/vfio/devices/vfio0 0x80002",
			   "open /dev/iommu 0x80002", NULL);
	expect_bind(&at);
	vfio_kernel_expect(
		&at, "IOAS_ALLOC", map, "GET_HW_INFO dev 0x1 len 0x28",
		"HWPT_ALLOC flags 0x1 dev 0x1 pt 0x2 type 0x0 len 0x0:",
		"VIOMMU_ALLOC type 0x1 dev 0x1 hwpt 0x3",
		"HWPT_ALLOC flags 0x0 dev 0x1 pt 0x4 type 0x2 len 0x10: 0x1 0x0",
		"HWPT_ALLOC flags 0x0 dev 0x1 pt 0x4 type 0x2 len 0x10: 0x9 0x0",
		"VEVENTQ_ALLOC viommu 0x4 type 0x1 depth 0x100",
		"VDEVICE_ALLOC viommu 0x4 dev 0x1 id 0x8",
		"ATTACH_IOMMUFD_PT pt 0x6", NULL);
	vfio_kernel_expect_end(at);
	ck_assert_uint_eq(attached(&b, 0), 6);
	ck_assert_str_eq(lent_vfio(b.l, 0)->name, names[0]);
	ck_assert_uint_eq(lent_vfio(b.l, 0)->id, 1);
	ck_assert_uint_eq(lent_idrs(b.l, 0)[0], 0x0d44101b);
	ck_assert_uint_eq(lent_idrs(b.l, 0)[5], 0x74);
	ck_assert_ptr_null(lent_idrs(b.l, 1));

	lent_destroy(b.l);
	b.l = NULL;
	vfio_kernel_expect(&at, "DETACH_IOMMUFD_PT", "DESTROY id 0x6",
			   "DESTROY id 0x5", "close queue", "DESTROY id 0x7",
			   "DESTROY id 0x8", "DESTROY id 0x4", "DESTROY id 0x3",
			   "DESTROY id 0x2", "close device", "close iommu",
			   NULL);
	vfio_kernel_expect_end(at);
	ck_assert_int_eq(vfio_kernel_objects(), 0);
	bench_fini(&b);
}
END_TEST

START_TEST(one_behind_none)
{
	char map[KERNEL_LINE];
	struct bench b;
	int at = 0;

	bench_init(&b);
	add(&b, 0, LENT_NO_SMMU);
	create(&b);
	snprintf(
		map, sizeof(map),
		"IOAS_MAP flags 0x7 ioas 0x2 va 0x%llx len 0x200000 iova 0x40000000",
		(unsigned long long)(uintptr_t)memory);
	vfio_kernel_expect(&at, "open /dev/vfio/devices/vfio0 0x80002",
			   "open /dev/iommu 0x80002", NULL);
	expect_bind(&at);
	vfio_kernel_expect(&at, "IOAS_ALLOC", map, "ATTACH_IOMMUFD_PT pt 0x2",
			   NULL);
	vfio_kernel_expect_end(at);
	ck_assert_ptr_null(lent_idrs(b.l, 0));
	lent_destroy(b.l);
	b.l = NULL;
	vfio_kernel_expect(&at, "DETACH_IOMMUFD_PT", "DESTROY id 0x2",
			   "close device", "close iommu", NULL);
	vfio_kernel_expect_end(at);
	ck_assert_int_eq(vfio_kernel_objects(), 0);
	bench_fini(&b);
}
END_TEST

START_TEST(none_at_all)
{
	struct bench b;

	bench_init(&b);
	create(&b);
	vfio_kernel_expect_end(0);
	bench_fini(&b);
	lent_destroy(NULL);
}
END_TEST

/* A kernel that cannot map a file maps the memory. */
START_TEST(older_kernels)
{
	static const int with[] = { EOPNOTSUPP, ENOTTY };
	struct bench b;

	for (size_t i = 0; i < ARRAY_SIZE(with); i++) {
		bench_init(&b);
		b.s.ram_fd = 77;
		add(&b, 0, LENT_NO_SMMU);
		vfio_kernel.fail_at = 5;
		vfio_kernel.fail_with = with[i];
		create(&b);
		ck_assert_ptr_nonnull(
			strstr(vfio_kernel.failed, "IOAS_MAP_FILE "));
		ck_assert_ptr_nonnull(
			strstr(vfio_kernel.line[5], "IOAS_MAP flags 0x7 "));
		bench_fini(&b);
	}
}
END_TEST

/* All are opened before one is bound. What there is one of is made once. */
START_TEST(two_of_one_smmu)
{
	struct bench b;
	int at = 0;

	bench_init(&b);
	add(&b, 0, 3);
	add(&b, 0, 3);
	create(&b);
	vfio_kernel_expect(&at, "open /dev/vfio/devices/vfio0 0x80002",
			   "open /dev/vfio/devices/vfio1 0x80002",
			   "open /dev/iommu 0x80002", NULL);
	expect_bind(&at);
	expect_bind(&at);
	vfio_kernel_expect(&at, "IOAS_ALLOC", NULL);
	at++;
	vfio_kernel_expect(
		&at, "GET_HW_INFO dev 0x1 len 0x28",
		"HWPT_ALLOC flags 0x1 dev 0x1 pt 0x3 type 0x0 len 0x0:",
		"VIOMMU_ALLOC type 0x1 dev 0x1 hwpt 0x4",
		"HWPT_ALLOC flags 0x0 dev 0x1 pt 0x5 type 0x2 len 0x10: 0x1 0x0",
		"HWPT_ALLOC flags 0x0 dev 0x1 pt 0x5 type 0x2 len 0x10: 0x9 0x0",
		"VEVENTQ_ALLOC viommu 0x5 type 0x1 depth 0x100",
		"VDEVICE_ALLOC viommu 0x5 dev 0x1 id 0x8",
		"ATTACH_IOMMUFD_PT pt 0x7", "GET_HW_INFO dev 0x2 len 0x28",
		"VDEVICE_ALLOC viommu 0x5 dev 0x2 id 0x10",
		"ATTACH_IOMMUFD_PT pt 0x7", NULL);
	vfio_kernel_expect_end(at);
	ck_assert_uint_eq(attached(&b, 0), 7);
	ck_assert_uint_eq(attached(&b, 1), 7);
	lent_destroy(b.l);
	b.l = NULL;
	/* Both detached first, both vDEVICEs before the vIOMMU. */
	vfio_kernel_expect(&at, "DETACH_IOMMUFD_PT", "DETACH_IOMMUFD_PT",
			   "DESTROY id 0x7", "DESTROY id 0x6", "close queue",
			   "DESTROY id 0x8", "DESTROY id 0x9", "DESTROY id 0xa",
			   "DESTROY id 0x5", "DESTROY id 0x4", "DESTROY id 0x3",
			   "close device", "close device", "close iommu", NULL);
	vfio_kernel_expect_end(at);
	ck_assert_int_eq(vfio_kernel_objects(), 0);
	bench_fini(&b);
}
END_TEST

static u32 count(const char *begin)
{
	u32 n = 0;

	for (int i = 0; i < vfio_kernel.lines; i++)
		n += !strncmp(vfio_kernel.line[i], begin, strlen(begin));
	return n;
}

/* What belongs together where: an iommufd and the memory for each space, a
 * stage 2 and a view for each SMMU in it. */
START_TEST(spaces_and_smmus)
{
	struct bench b;

	bench_init(&b);
	add(&b, 1, 0);
	add(&b, 2, 0);
	add(&b, 1, 1);
	add(&b, 2, LENT_NO_SMMU);
	create(&b);
	ck_assert_uint_eq(count("open /dev/iommu "), 2);
	ck_assert_uint_eq(count("IOAS_ALLOC"), 2);
	ck_assert_uint_eq(count("IOAS_MAP "), 2);
	ck_assert_uint_eq(count("HWPT_ALLOC flags 0x1 "), 3);
	ck_assert_uint_eq(count("VIOMMU_ALLOC "), 3);
	ck_assert_uint_eq(count("VEVENTQ_ALLOC "), 3);
	ck_assert_uint_eq(count("VDEVICE_ALLOC "), 3);
	for (u32 i = 0; i < 4; i++)
		for (u32 j = 0; j < i; j++)
			ck_assert_uint_ne(attached(&b, i), attached(&b, j));
	lent_destroy(b.l);
	b.l = NULL;
	ck_assert_int_eq(vfio_kernel_objects(), 0);
	bench_fini(&b);
}
END_TEST

/* It is lent's from then on, and gone with it. */
START_TEST(iommufd_of_others)
{
	struct bench b;
	struct err e;

	bench_init(&b);
	add(&b, 0, LENT_NO_SMMU);
	add(&b, 0, LENT_NO_SMMU);
	b.device[0].iommufd = b.device[1].iommufd = iommufd_open(&e);
	create(&b);
	ck_assert_uint_eq(count("open /dev/iommu "), 1);
	lent_destroy(b.l);
	b.l = NULL;
	ck_assert_int_eq(vfio_kernel_objects(), 0);
	bench_fini(&b);
}
END_TEST

/* --- what is refused, and said --- */

static void refused(struct bench *b, const char *place, const char *what)
{
	vfio_kernel.tell_close = false;
	b->l = lent_create(&b->s, &b->e);
	ck_assert_ptr_null(b->l);
	ck_assert_int_lt(b->e.code, 0);
	ck_assert_msg(!strncmp(b->e.msg, place, strlen(place)), "%s: %s", place,
		      b->e.msg);
	says(&b->e, what);
	ck_assert_uint_lt(strlen(b->e.msg), ERR_MSG_MAX - 1);
	ck_assert_int_eq(vfio_kernel_objects(), 0);
	bench_fini(b);
}

/* The call that begins so fails. */
static void fail_call(struct bench *b, const char *begin, int with)
{
	int at = 0;

	vfio_kernel.tell_close = false;
	create(b);
	while (strncmp(vfio_kernel.line[at], begin, strlen(begin)) != 0)
		ck_assert_int_lt(++at, vfio_kernel.lines);
	lent_destroy(b->l);
	vfio_kernel_reset();
	vfio_kernel.fail_at = at + 1;
	vfio_kernel.fail_with = with;
}

static const struct {
	const char *call;
	int with;
	const char *says[3];
} refusals[] = {
	{ "VIOMMU_ALLOC",
	  EOPNOTSUPP,
	  { "S2FWB", "`belfry doctor 0000:01:00.0`", "\"smmu\": \"off\"" } },
	{ "VIOMMU_ALLOC",
	  ENOTTY,
	  { "Linux 6.15", "`belfry doctor 0000:01:00.0`",
	    "\"smmu\": \"off\"" } },
	{ "HWPT_ALLOC flags 0x1",
	  EOPNOTSUPP,
	  { "both stages", "device 0000:01:00.0: IOMMU_HWPT_ALLOC: stage 2",
	    "\"smmu\": \"off\"" } },
	{ "HWPT_ALLOC flags 0x1", ENOMEM, { "`ulimit -l`", "", "" } },
	{ "VDEVICE_ALLOC",
	  EOPNOTSUPP,
	  { "device 0000:01:00.0: IOMMU_VDEVICE_ALLOC: stream 0x8",
	    "conventional PCI", "\"smmu\": \"off\"" } },
	{ "GET_HW_INFO", EIO, { "device 0000:01:00.0: ", "", "" } },
	{ "ATTACH_IOMMUFD_PT",
	  EBUSY,
	  { "device 0000:01:00.0: ", "being reset", "" } },
	{ "IOAS_MAP", ENOMEM, { "`ulimit -l`", "", "" } },
};

START_TEST(refusals_say_what_to_do)
{
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		bool shared = !strcmp(refusals[i].call, "IOAS_MAP");
		struct bench b;

		bench_init(&b);
		add(&b, 0, 0);
		fail_call(&b, refusals[i].call, refusals[i].with);
		refused(&b, shared ? "IOMMU_IOAS_MAP" : places[0],
			refusals[i].says[0]);
		says(&b.e, refusals[i].says[1]);
		says(&b.e, refusals[i].says[2]);
		ck_assert_int_eq(b.e.code, -refusals[i].with);
	}
}
END_TEST

/* The kernel makes a page table then, and locks all memory for that. */
START_TEST(memory_that_cannot_be_locked)
{
	struct bench b;

	bench_init(&b);
	add(&b, 0, LENT_NO_SMMU);
	fail_call(&b, "ATTACH_IOMMUFD_PT", ENOMEM);
	refused(&b, places[0], "`ulimit -l`");
}
END_TEST

START_TEST(no_such_device)
{
	struct bench b;

	bench_init(&b);
	add(&b, 0, LENT_NO_SMMU);
	add(&b, 0, LENT_NO_SMMU);
	tree_remove("bus/pci/devices/0000:02:00.0");
	refused(&b, places[1], "device 0000:02:00.0: ");
	ck_assert_int_eq(count("BIND_IOMMUFD"), 0);
}
END_TEST

START_TEST(not_the_functions_own)
{
	struct bench b;
	int fd;

	bench_init(&b);
	fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
	add(&b, 0, LENT_NO_SMMU);
	b.device[0].fd = fd;
	b.held = vfio_kernel_held();
	refused(&b, places[0], "device 0000:01:00.0: descriptor ");
	ck_assert_int_eq(count("open "), 0);
	close(fd);
}
END_TEST

START_TEST(other_iommus)
{
	struct bench b;

	bench_init(&b);
	add(&b, 0, 0);
	vfio_kernel.hw_type = 1;
	refused(&b, places[0], "no SMMUv3");
	says(&b.e, "\"smmu\": \"off\"");

	/* Without one of the guest's it may be any. */
	bench_init(&b);
	add(&b, 0, LENT_NO_SMMU);
	vfio_kernel.hw_type = 1;
	create(&b);
	bench_fini(&b);
}
END_TEST

START_TEST(different_smmus)
{
	struct bench b;

	bench_init(&b);
	add(&b, 0, 0);
	add(&b, 0, 0);
	vfio_kernel.hw_other = 2;
	refused(&b, places[1], "another kind than that of device 0000:01:00.0");

	/* The guest can have two. */
	bench_init(&b);
	add(&b, 0, 0);
	add(&b, 0, 1);
	vfio_kernel.hw_other = 2;
	create(&b);
	ck_assert_uint_ne(lent_idrs(b.l, 0)[0], lent_idrs(b.l, 1)[0]);
	bench_fini(&b);
}
END_TEST

/* --- every call may fail --- */

static void all_kinds(struct bench *b)
{
	bench_init(b);
	b->s.ram_fd = 77;
	add(b, 1, 0);
	add(b, 1, 0);
	add(b, 2, 0);
	add(b, 2, LENT_NO_SMMU);
}

/* The kernel could not map a file, or every call is refused in turn. */
START_TEST(nothing_is_left)
{
	static const int with[] = { EIO, ENOMEM, EOPNOTSUPP, EBUSY };
	struct bench b;
	bool failed;

	hush();
	for (size_t i = 0; i < ARRAY_SIZE(with); i++) {
		int n = 0;

		do {
			all_kinds(&b);
			vfio_kernel.tell_close = false;
			vfio_kernel.fail_at = ++n;
			vfio_kernel.fail_with = with[i];
			b.l = lent_create(&b.s, &b.e);
			failed = *vfio_kernel.failed;
			ck_assert_msg(b.l || b.e.code == -with[i], "%s: %s",
				      vfio_kernel.failed, b.e.msg);
			ck_assert_msg(!b.l || !failed ||
					      strstr(vfio_kernel.failed,
						     "IOAS_MAP_FILE"),
				      "%s", vfio_kernel.failed);
			if (!b.l)
				ck_assert_int_eq(vfio_kernel_objects(), 0);
			vfio_kernel.fail_at = 0;
			bench_fini(&b);
			ck_assert_int_eq(vfio_kernel_objects(), 0);
		} while (failed);
		/* Four opened, two spaces, four bound; memory, views and
		 * devices in them. */
		ck_assert_int_ge(n, 4 + 2 + 4 + 4 + 2 * 5 + 3 * 3 + 1);
	}
}
END_TEST

START_TEST(no_memory)
{
	struct bench b;

	all_kinds(&b);
	memory_ends_at(1);
	b.l = lent_create(&b.s, &b.e);
	memory_ends_at(0);
	ck_assert_ptr_null(b.l);
	ck_assert_int_eq(b.e.code, -ENOMEM);
	vfio_kernel_expect_end(0);
	bench_fini(&b);
}
END_TEST

/* What fails on the way out keeps nothing else from going. */
START_TEST(the_way_out)
{
	struct bench b;
	bool failed;
	int n = 0;

	hush();
	do {
		all_kinds(&b);
		create(&b);
		vfio_kernel_forget();
		vfio_kernel.fail_at = ++n;
		bench_fini(&b);
		failed = *vfio_kernel.failed;
		ck_assert_uint_eq(count("close device"), 4);
		ck_assert_uint_eq(count("close iommu"), 2);
		ck_assert_uint_eq(count("close queue"), 2);
	} while (failed);
	ck_assert_int_eq(n, 4 + 2 * 5 + 3 + 2 + 1);
}
END_TEST

/* --- tables of streams --- */

#define ABORT                                    \
	{                                        \
		.kind = SMMU_ABORT, .ste = { 1 } \
	}
#define BYPASS                                    \
	{                                         \
		.kind = SMMU_BYPASS, .ste = { 9 } \
	}
#define S1(cd)                                                   \
	{                                                        \
		.kind = SMMU_STAGE1, .ste = { 0xb | (cd), 0xd4 } \
	}

static const struct smmu_plan aborts = ABORT, bypasses = BYPASS,
			      s1 = S1(0x40010000), other_s1 = S1(0x40020000);

/* One device, of SMMU 0; 5 is the abort table, 6 the bypass, 9 is next. */
static struct smmu_backend one_stream(struct bench *b)
{
	bench_init(b);
	add(b, 0, 0);
	create(b);
	vfio_kernel_forget();
	return lent_backend(b->l, 0);
}

static bool attach(const struct smmu_backend *k, u32 stream,
		   const struct smmu_plan *p)
{
	return k->attach(k->ctx, stream, p);
}

START_TEST(follows_the_guest)
{
	struct bench b;
	struct smmu_backend k = one_stream(&b);
	int at = 0;

	/* It has that. */
	ck_assert(attach(&k, 8, &bypasses));
	vfio_kernel_expect_end(at);
	ck_assert(attach(&k, 8, &aborts));
	vfio_kernel_expect(&at, "ATTACH_IOMMUFD_PT pt 0x5", NULL);
	ck_assert(attach(&k, 8, &aborts));
	vfio_kernel_expect_end(at);
	ck_assert(attach(&k, 8, &s1));
	vfio_kernel_expect(
		&at,
		"HWPT_ALLOC flags 0x0 dev 0x1 pt 0x4 type 0x2 len 0x10: 0x4001000b 0xd4",
		"ATTACH_IOMMUFD_PT pt 0x9", NULL);
	ck_assert(attach(&k, 8, &s1));
	vfio_kernel_expect_end(at);
	/* The new one before the old goes: nothing in between. */
	ck_assert(attach(&k, 8, &other_s1));
	vfio_kernel_expect(
		&at,
		"HWPT_ALLOC flags 0x0 dev 0x1 pt 0x4 type 0x2 len 0x10: 0x4002000b 0xd4",
		"ATTACH_IOMMUFD_PT pt 0xa", "DESTROY id 0x9", NULL);
	ck_assert(attach(&k, 8, &bypasses));
	vfio_kernel_expect(&at, "ATTACH_IOMMUFD_PT pt 0x6", "DESTROY id 0xa",
			   NULL);
	/* And one that is left when all goes. */
	ck_assert(attach(&k, 8, &s1));
	at += 2;
	lent_destroy(b.l);
	b.l = NULL;
	vfio_kernel_expect(&at, "DETACH_IOMMUFD_PT", "DESTROY id 0xb",
			   "DESTROY id 0x6", NULL);
	ck_assert_int_eq(vfio_kernel_objects(), 0);
	bench_fini(&b);
}
END_TEST

/* Word 1 tells tables apart, too. */
START_TEST(tables_that_differ_in_word_1)
{
	struct smmu_plan p = s1;
	struct bench b;
	struct smmu_backend k = one_stream(&b);

	ck_assert(attach(&k, 8, &s1));
	p.ste[1] ^= 4;
	ck_assert(attach(&k, 8, &p));
	ck_assert_uint_eq(attached(&b, 0), 10);
	bench_fini(&b);
}
END_TEST

/* Streams are one SMMU's, and each has a table of its own. */
START_TEST(several_streams)
{
	struct smmu_backend k, other;
	struct bench b;

	bench_init(&b);
	add(&b, 0, 0);
	add(&b, 0, 0);
	add(&b, 0, 1);
	b.device[2].sid = 8;
	create(&b);
	k = lent_backend(b.l, 0);
	other = lent_backend(b.l, 1);
	ck_assert(attach(&k, 16, &s1));
	ck_assert_uint_ne(attached(&b, 1), attached(&b, 0));
	ck_assert(attach(&other, 8, &aborts));
	ck_assert_uint_ne(attached(&b, 2), attached(&b, 1));
	vfio_kernel_forget();
	ck_assert(attach(&k, 8, &bypasses));
	ck_assert(attach(&other, 8, &aborts));
	vfio_kernel_expect_end(0);
	bench_fini(&b);
}
END_TEST

/* Whichever call fails: nothing passes, nothing is left, and what is asked
 * next is done. */
START_TEST(tables_that_are_refused)
{
	static const struct smmu_plan *const before[] = { &bypasses, &other_s1,
							  &aborts };
	static const struct smmu_plan *const plans[] = { &s1, &bypasses };

	hush();
	for (u32 i = 0; i < 6; i++) {
		const struct smmu_plan *plan = plans[i & 1];
		struct bench b;
		bool failed;
		int n = 0;

		if (plan == before[i / 2])
			continue;
		do {
			struct smmu_backend k = one_stream(&b);
			bool done;

			ck_assert(attach(&k, 8, before[i / 2]));
			vfio_kernel_forget();
			vfio_kernel.fail_at = ++n;
			done = attach(&k, 8, plan);
			failed = *vfio_kernel.failed;
			/* That an old table stays is no refusal. */
			ck_assert(done == (!failed || strstr(vfio_kernel.failed,
							     "DESTROY")));
			if (!done)
				ck_assert_uint_eq(attached(&b, 0), 5);
			ck_assert(attach(&k, 8, plan));
			ck_assert_uint_ne(attached(&b, 0), 5);
			ck_assert_uint_ne(attached(&b, 0), 0);
			vfio_kernel.fail_at = 0;
			lent_destroy(b.l);
			b.l = NULL;
			if (!failed || !done)
				ck_assert_int_eq(vfio_kernel_objects(), 0);
			bench_fini(&b);
		} while (failed);
		ck_assert_int_gt(n, 1);
	}
}
END_TEST

/* A device that takes no table at all: by the fake, while it has none that the
 * calls may fail for, the kernel refuses each of them. */
static void refuse_tables(int calls)
{
	vfio_kernel_forget();
	vfio_kernel.fail_at = 1;
	vfio_kernel.fail_for = calls;
}

START_TEST(streams_that_cannot_abort)
{
	struct bench b;
	struct smmu_backend k = one_stream(&b);
	int at = 0;

	hush();
	ck_assert(attach(&k, 8, &s1));
	/* Table, abort; then it is detached. */
	refuse_tables(2);
	ck_assert(!attach(&k, 8, &other_s1));
	vfio_kernel_expect(
		&at,
		"HWPT_ALLOC flags 0x0 dev 0x1 pt 0x4 type 0x2 len 0x10: 0x4002000b 0xd4",
		"ATTACH_IOMMUFD_PT pt 0x5", "DETACH_IOMMUFD_PT",
		"DESTROY id 0x9", NULL);
	vfio_kernel_expect_end(at);
	ck_assert_uint_eq(attached(&b, 0), 0);
	/* It is detached: not again. */
	refuse_tables(2);
	ck_assert(!attach(&k, 8, &bypasses));
	ck_assert_uint_eq(count("DETACH"), 0);
	/* And what it had it has no longer. */
	vfio_kernel.fail_at = 0;
	ck_assert(attach(&k, 8, &s1));
	ck_assert_uint_eq(attached(&b, 0), 10);

	/* Nothing goes: it has what it had, and that is not destroyed. */
	refuse_tables(3);
	ck_assert(!attach(&k, 8, &other_s1));
	ck_assert_uint_eq(count("DETACH"), 1);
	ck_assert_uint_eq(count("DESTROY"), 0);
	ck_assert_uint_eq(attached(&b, 0), 10);
	vfio_kernel.fail_at = 0;
	ck_assert(attach(&k, 8, &aborts));
	ck_assert_uint_eq(attached(&b, 0), 5);
	lent_destroy(b.l);
	b.l = NULL;
	ck_assert_int_eq(vfio_kernel_objects(), 0);
	bench_fini(&b);
}
END_TEST

/* --- invalidations --- */

#define TLBI(addr)                          \
	{                                   \
		{                           \
			TLBI_NH_VAA, (addr) \
		}                           \
	}
#define CD(stream)                         \
	{                                  \
		{                          \
			CFGI_CD(stream), 1 \
		}                          \
	}
#define CDS(stream)                            \
	{                                      \
		{                              \
			CFGI_CD_ALL(stream), 0 \
		}                              \
	}

/* By the host, at the last one. */
static bool host_failed;

static u32 invalidate(const struct smmu_backend *k, const struct smmu_cmd *c,
		      u32 nr)
{
	vfio_kernel_forget();
	host_failed = false;
	return k->invalidate(k->ctx, c, nr, &host_failed);
}

START_TEST(invalidates)
{
	static const struct smmu_cmd cmds[] = { TLBI(0x1000), CD(8), CDS(8) };
	static const char line[] =
		"HWPT_INVALIDATE hwpt 0x4 type 0x1 each 0x10 nr 0x3: 0x13 0x1000 0x800000005 0x1 0x800000006 0x0";
	struct bench b;
	struct smmu_backend k = one_stream(&b);
	int at = 0;

	/* Twice, since this SMMU has the erratum. */
	ck_assert_uint_eq(invalidate(&k, cmds, 3), 3);
	vfio_kernel_expect(&at, line, line, NULL);
	vfio_kernel_expect_end(at);
	bench_fini(&b);

	bench_init(&b);
	add(&b, 0, 0);
	vfio_kernel.hw_flags = 0;
	create(&b);
	k = lent_backend(b.l, 0);
	ck_assert_uint_eq(invalidate(&k, cmds, 3), 3);
	at = 0;
	vfio_kernel_expect(&at, line, NULL);
	vfio_kernel_expect_end(at);
	bench_fini(&b);
}
END_TEST

/* Without the erratum, for less to read. */
static struct smmu_backend two_spaces(struct bench *b)
{
	bench_init(b);
	add(b, 0, 0);
	add(b, 1, 0);
	add(b, 1, 1);
	vfio_kernel.hw_flags = 0;
	create(b);
	return lent_backend(b->l, 0);
}

#define TO(nr, words) "HWPT_INVALIDATE hwpt " nr " type 0x1 each 0x10 nr " words

/* 7 is the view of SMMU 0 in the first space, 13 in the second, 19 that of SMMU
 * 1, which is not told. */
START_TEST(invalidates_in_two_spaces)
{
	static const struct smmu_cmd cmds[] = { CD(16), TLBI(0x1000), CD(8),
						CDS(16) };
	struct bench b;
	struct smmu_backend k = two_spaces(&b);
	int at = 0;

	ck_assert_uint_eq(invalidate(&k, cmds, 4), 4);
	vfio_kernel_expect(
		&at, TO("0x7", "0x2: 0x13 0x1000 0x800000005 0x1"),
		TO("0xd", "0x3: 0x1000000005 0x1 0x13 0x1000 0x1000000006 0x0"),
		NULL);
	vfio_kernel_expect_end(at);
	/* One has nothing to do. */
	ck_assert_uint_eq(invalidate(&k, cmds, 1), 1);
	at = 0;
	vfio_kernel_expect(&at, TO("0xd", "0x1: 0x1000000005 0x1"), NULL);
	vfio_kernel_expect_end(at);
	bench_fini(&b);
}
END_TEST

/* Those before it go again, and those behind it to nobody else. */
START_TEST(commands_that_are_refused)
{
	static const struct smmu_cmd cmds[] = { TLBI(0x1000), CD(16),
						TLBI(0x2000), CD(8),
						TLBI(0x3000) };
	struct bench b;
	struct smmu_backend k = two_spaces(&b);
	int at = 0;

	/* In the first space. */
	vfio_kernel.refuse = CFGI_CD(8);
	ck_assert_uint_eq(invalidate(&k, cmds, 5), 3);
	ck_assert(!host_failed);
	vfio_kernel_expect(
		&at,
		TO("0x7",
		   "0x4: 0x13 0x1000 0x13 0x2000 0x800000005 0x1 0x13 0x3000"),
		TO("0x7", "0x2: 0x13 0x1000 0x13 0x2000"),
		TO("0xd", "0x3: 0x13 0x1000 0x1000000005 0x1 0x13 0x2000"),
		NULL);
	vfio_kernel_expect_end(at);
	/* In the second: the first has done more, which is no matter. */
	vfio_kernel.refuse = CFGI_CD(16);
	ck_assert_uint_eq(invalidate(&k, cmds, 5), 1);
	/* The very first; nothing to be done again. */
	ck_assert_uint_eq(invalidate(&k, cmds + 1, 4), 0);
	at = 0;
	vfio_kernel_expect(
		&at, TO("0x7", "0x3: 0x13 0x2000 0x800000005 0x1 0x13 0x3000"),
		TO("0xd", "0x3: 0x1000000005 0x1 0x13 0x2000 0x13 0x3000"),
		NULL);
	vfio_kernel_expect_end(at);
	/* In both. */
	vfio_kernel.refuse = TLBI_NH_VAA;
	ck_assert_uint_eq(invalidate(&k, cmds, 5), 0);
	/* Nobody's: the kernel is to say. */
	vfio_kernel.refuse = CFGI_CD(24);
	ck_assert_uint_eq(invalidate(&k, (const struct smmu_cmd[]) { CD(24) },
				     1),
			  0);
	vfio_kernel.refuse = 0;
	ck_assert_uint_eq(invalidate(&k, cmds, 5), 5);
	bench_fini(&b);
}
END_TEST

/* The SMMU's second time counts as well as its first, and what fails without a
 * word of how far it got, has got nowhere. */
START_TEST(hosts_that_fail)
{
	static const struct smmu_cmd cmds[] = { TLBI(0x1000), TLBI(0x2000),
						TLBI(0x3000), TLBI(0x4000) };
	/* The call that fails, what it says it did, and what that comes to. */
	static const struct {
		int at, said, with;
		u32 done;
		int calls;
	} rows[] = {
		{ 1, 3, EIO, 3, 3 },    { 2, 3, EIO, 3, 4 },
		{ 1, -1, EIO, 0, 1 },   { 2, -1, ENOMEM, 0, 2 },
		{ 1, 0, ENOMEM, 0, 1 }, { 1, 2, ETIMEDOUT, 2, 3 },
	};

	hush();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bench b;
		struct smmu_backend k = one_stream(&b);

		vfio_kernel.fail_at = rows[i].at;
		vfio_kernel.fail_with = rows[i].with;
		vfio_kernel.invalidated = rows[i].said;
		ck_assert_uint_eq(invalidate(&k, cmds, 4), rows[i].done);
		ck_assert_int_eq(vfio_kernel.calls, rows[i].calls);
		ck_assert_int_eq(host_failed, rows[i].with != EIO);
		bench_fini(&b);
	}
}
END_TEST

/* They are refused the second time: none counts, and it ends there. */
START_TEST(hosts_that_fail_again)
{
	static const struct smmu_cmd cmds[] = { TLBI(0x1000), TLBI(0x2000),
						TLBI(0x3000), TLBI(0x4000) };
	struct bench b;
	struct smmu_backend k = one_stream(&b);

	hush();
	vfio_kernel.fail_at = 1;
	vfio_kernel.fail_for = 1000;
	vfio_kernel.invalidated = 2;
	ck_assert_uint_eq(invalidate(&k, cmds, 4), 0);
	ck_assert_int_eq(vfio_kernel.calls, 2);
	bench_fini(&b);
}
END_TEST

/* More than one call takes. */
START_TEST(many)
{
	struct smmu_cmd cmds[600] = { { { 0 } } };
	struct bench b;
	struct smmu_backend k = two_spaces(&b);

	for (u32 i = 0; i < ARRAY_SIZE(cmds); i++)
		cmds[i] = (struct smmu_cmd)TLBI(i << 12);
	ck_assert_uint_eq(invalidate(&k, cmds, 600), 600);
	ck_assert_uint_eq(count("HWPT_INVALIDATE"), 6);
	ck_assert_uint_eq(count(TO("0x7", "0x100:")), 2);
	ck_assert_uint_eq(count(TO("0xd", "0x58:")), 1);
	cmds[300] = (struct smmu_cmd)CD(8);
	vfio_kernel.refuse = CFGI_CD(8);
	ck_assert_uint_eq(invalidate(&k, cmds, 600), 300);
	ck_assert_uint_eq(count(TO("0xd", "0x2c:")), 1);
	ck_assert_uint_eq(count("HWPT_INVALIDATE"), 5);
	/* None, at a boundary. */
	cmds[256] = (struct smmu_cmd)CD(8);
	ck_assert_uint_eq(invalidate(&k, cmds, 600), 256);
	bench_fini(&b);
}
END_TEST

/* --- with a guest's SMMU --- */

struct guest {
	struct bench b;
	struct smmu_stand stand;
	struct smmu *none;
	struct loop *loop;
	int pipe[2];
};

/* Its one stream is SID_A; the kernel's queue is a pipe. */
static void guest_init(struct guest *g)
{
	struct smmu_setup s = { .addr_bits = 40 };
	struct err e;

	bench_init(&g->b);
	g->loop = loop_create(&e);
	ck_assert_msg(g->loop != NULL, "%s", e.msg);
	g->b.s.loop = g->loop;
	add(&g->b, 0, 0);
	create(&g->b);
	ck_assert_int_eq(pipe2(g->pipe, O_CLOEXEC | O_NONBLOCK), 0);
	ck_assert_int_ge(dup3(g->pipe[0], vfio_kernel.queue_fd, O_CLOEXEC), 0);
	stand_init(&g->stand, NULL);
	g->none = g->stand.smmu;
	s.host = lent_idrs(g->b.l, 0);
	s.dma = dma_plain(&g->stand.mem);
	s.backend = lent_backend(g->b.l, 0);
	g->stand.smmu = smmu_create(&s, &e);
	ck_assert_msg(g->stand.smmu != NULL, "%s", e.msg);
	ck_assert(!smmu_add(g->stand.smmu, SID_A, true, &e));
	stand_ste(&g->stand, SID_A, STE_PASS, 0);
	stand_boot(&g->stand);
	lent_start(g->b.l, 0, g->stand.smmu);
	vfio_kernel_forget();
}

static void guest_fini(struct guest *g)
{
	/* The loop has the queue, and so it is first to go. */
	loop_destroy(g->loop);
	smmu_destroy(g->stand.smmu);
	g->stand.smmu = g->none;
	stand_fini(&g->stand);
	close(g->pipe[0]);
	close(g->pipe[1]);
	bench_fini(&g->b);
}

START_TEST(a_guests_commands)
{
	struct guest g;
	int at = 0;

	guest_init(&g);
	stand_ste(&g.stand, SID_A, STE_S1(STAND_CD), 0xd4);
	stand_run(&g.stand, CFGI_STE(SID_A), 0);
	vfio_kernel_expect(
		&at,
		"HWPT_ALLOC flags 0x0 dev 0x1 pt 0x4 type 0x2 len 0x10: 0x4004000b 0xd4",
		"ATTACH_IOMMUFD_PT pt 0x9", NULL);
	/* The same again is for what the STE leads to. */
	stand_put(&g.stand, CFGI_STE(SID_A), 0);
	stand_put(&g.stand, TLBI_NH_ASID(5), 0);
	stand_run(&g.stand, SYNC, 0);
	vfio_kernel_expect(
		&at, TO("0x4", "0x2: 0x800000006 0x0 0x5000000000011 0x0"),
		TO("0x4", "0x2: 0x800000006 0x0 0x5000000000011 0x0"), NULL);
	smmu_reset(g.stand.smmu);
	vfio_kernel_expect(&at, "ATTACH_IOMMUFD_PT pt 0x6", "DESTROY id 0x9",
			   NULL);
	vfio_kernel_expect_end(at);
	guest_fini(&g);
}
END_TEST

/* As the kernel writes them: flags, number, and a record if none was lost. */
static void event(struct guest *g, u32 number, bool lost, u64 addr)
{
	struct {
		u32 flags, number;
		u64 record[4];
	} ev = { lost, number, { 0x10 | SID_FIELD(SID_A), 0, addr, 0 } };
	size_t len = lost ? 8 : 40;

	ck_assert_int_eq(write(g->pipe[1], &ev, len), len);
}

static void stop_loop(struct loop_op *op, int result)
{
	(void)result;
	loop_stop(op->ctx);
}

/* What waits is passed on. */
static void run(struct guest *g)
{
	struct loop_op end = { .done = stop_loop, .ctx = g->loop };
	struct err e;

	loop_timer(g->loop, &end, 20000000);
	ck_assert_int_eq(loop_run(g->loop, &e), 0);
}

static void expect_event(struct guest *g, u64 addr)
{
	u64 record[4];

	stand_event(&g->stand, record);
	ck_assert_uint_eq(record[0], 0x10 | SID_FIELD(SID_A));
	ck_assert_uint_eq(record[2], addr);
}

static u64 lost(struct guest *g)
{
	return smmu_counters(g->stand.smmu).events_lost;
}

START_TEST(events_reach_the_guest)
{
	struct guest g;

	guest_init(&g);
	event(&g, 0, false, 0x1000);
	event(&g, 1, false, 0x2000);
	run(&g);
	expect_event(&g, 0x1000);
	expect_event(&g, 0x2000);
	/* And again, when there was a pause. */
	event(&g, 2, false, 0x3000);
	run(&g);
	expect_event(&g, 0x3000);
	ck_assert_uint_eq(rd(&g.stand, S_EVENTQ_PROD), 3);
	ck_assert_uint_eq(lost(&g), 0);
	guest_fini(&g);
}
END_TEST

/* A write of the hardware's to the kernel's doorbell, and what is none. */
START_TEST(lost_messages)
{
	static const struct {
		u64 id, rnw, addr;
	} rows[] = {
		{ 0x10, 0, DOORBELL },     { 0x13, 0, DOORBELL },
		{ 0x0a, 0, DOORBELL },     { 0x10, 1, DOORBELL },
		{ 0x10, 0, DOORBELL + 4 },
	};
	struct guest g;

	guest_init(&g);
	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		struct {
			u32 flags, number;
			u64 record[4];
		} ev = { 0,
			 i,
			 { rows[i].id | SID_FIELD(SID_A), rows[i].rnw << 35,
			   rows[i].addr, 0 } };

		ck_assert_int_eq(write(g.pipe[1], &ev, 40), 40);
	}
	run(&g);
	ck_assert_uint_eq(lent_lost(g.b.l, 0), 2);
	ck_assert_uint_eq(rd(&g.stand, S_EVENTQ_PROD), ARRAY_SIZE(rows));
	guest_fini(&g);
}
END_TEST

#define OVFLG (1u << 31)

START_TEST(events_that_were_lost)
{
	struct guest g;

	hush();
	guest_init(&g);
	/* Those from 1 to 3, as the kernel says of the last of them. */
	event(&g, 0, false, 0x1000);
	event(&g, 3, true, 0);
	run(&g);
	expect_event(&g, 0x1000);
	ck_assert_uint_eq(lost(&g), 3);
	ck_assert_uint_eq(rd(&g.stand, S_EVENTQ_PROD), 1 | OVFLG);
	/* None since. */
	event(&g, 4, false, 0x2000);
	run(&g);
	expect_event(&g, 0x2000);
	ck_assert_uint_eq(lost(&g), 3);
	/* A gap, without a word. */
	event(&g, 6, false, 0x3000);
	run(&g);
	expect_event(&g, 0x3000);
	ck_assert_uint_eq(lost(&g), 4);
	guest_fini(&g);
}
END_TEST

/* Numbers have 31 bits. */
START_TEST(numbers_that_wrap)
{
	struct guest g;
	u64 before;

	hush();
	guest_init(&g);
	event(&g, 0x7fffffff, false, 0x1000);
	run(&g);
	before = lost(&g);
	ck_assert_uint_eq(before, 0x7fffffff);
	event(&g, 0, false, 0x2000);
	event(&g, 1, false, 0x2000);
	run(&g);
	ck_assert_uint_eq(lost(&g), before);
	guest_fini(&g);
}
END_TEST

/* More than are taken at once; the guest's queue has room for 8. */
START_TEST(a_flood)
{
	struct guest g;

	guest_init(&g);
	for (u32 i = 0; i < 200; i++)
		event(&g, i, false, i);
	run(&g);
	ck_assert_uint_eq(smmu_counters(g.stand.smmu).events, 8);
	ck_assert_uint_eq(lost(&g), 192);
	guest_fini(&g);
}
END_TEST

/* A queue that cannot be read is not asked again. */
START_TEST(a_queue_that_breaks)
{
	struct guest g;
	int fd;

	hush();
	guest_init(&g);
	fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(dup3(fd, vfio_kernel.queue_fd, O_CLOEXEC), 0);
	close(fd);
	run(&g);
	ck_assert_uint_eq(smmu_counters(g.stand.smmu).events, 0);
	guest_fini(&g);
}
END_TEST

UNIT_MAIN("lent", one_behind_an_smmu, one_behind_none, none_at_all,
	  older_kernels, two_of_one_smmu, spaces_and_smmus, iommufd_of_others,
	  refusals_say_what_to_do, memory_that_cannot_be_locked, no_such_device,
	  not_the_functions_own, other_iommus, different_smmus, nothing_is_left,
	  no_memory, the_way_out, follows_the_guest,
	  tables_that_differ_in_word_1, several_streams,
	  tables_that_are_refused, streams_that_cannot_abort, invalidates,
	  invalidates_in_two_spaces, commands_that_are_refused, hosts_that_fail,
	  hosts_that_fail_again, many, a_guests_commands,
	  events_reach_the_guest, lost_messages, events_that_were_lost,
	  numbers_that_wrap, a_flood, a_queue_that_breaks)
