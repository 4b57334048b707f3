/*
 * What is passed through, on paper: found on a host that is a directory tree or
 * refused with a place and a reason, told apart by SMMU and ITS, given room and
 * a line of the device tree.
 */
#include "fakes/sysfs_tree.h"
#include "unit.h"

#include <belfry/plan.h>
#include <belfry/vfio.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* /dev/vfio is the one thing that no directory can stand for. */
int __real_vfio_check(const char *sys, const char *name, struct err *e);
int __wrap_vfio_check(const char *sys, const char *name, struct err *e);
int __wrap_vfio_check(const char *sys, const char *name, struct err *e)
{
	int err = __real_vfio_check(sys, name, e);

	return err == -ENOENT ? 0 : err;
}

#define NOT_IOMMUFD 99

int __wrap_iommufd_check_fd(int fd, struct err *e);
int __wrap_iommufd_check_fd(int fd, struct err *e)
{
	return fd == NOT_IOMMUFD ? err_set(e, -ENOTTY, "none of that") : 0;
}

/* A configuration as config_load would leave it, and what comes of it. */
struct bench {
	struct config c;
	struct plan p;
	struct faults f;
	char host[CONFIG_VFIOS_MAX][HOSTPCI_NAME];
	char place[CONFIG_VFIOS_MAX][CONFIG_NAME_MAX + 16];
};

static struct bench *bench_create(void)
{
	struct bench *b = calloc(1, sizeof(*b));

	ck_assert_ptr_nonnull(b);
	b->c.cpus = 1;
	b->c.memory = 512 * MIB;
	b->c.cmdline = "";
	b->p.cfg = &b->c;
	tree_init();
	return b;
}

static void bench_destroy(struct bench *b)
{
	faults_fini(&b->f);
	tree_fini();
	free(b);
}

static void add_device(struct bench *b, enum config_kind kind, u32 index,
		       u32 bdf)
{
	b->c.devices[b->c.devices_nr++] = (struct config_device) {
		.kind = kind,
		.index = index,
		.bdf = bdf,
	};
}

/* The configuration asks for @host to be the guest's @bdf. */
static struct config_vfio *ask(struct bench *b, const char *host, u32 bdf)
{
	u32 i = b->c.vfios_nr++;

	snprintf(b->host[i], sizeof(b->host[i]), "%s", host);
	snprintf(b->place[i], sizeof(b->place[i]), "vm.json:3:9: vfio[%u].host",
		 i);
	b->c.vfios[i] = (struct config_vfio) {
		.host = b->host[i],
		.place = b->place[i],
	};
	add_device(b, CONFIG_VFIO, i, bdf);
	return &b->c.vfios[i];
}

static void put(const char *name, const char *file, const char *text)
{
	char path[96];

	snprintf(path, sizeof(path), "bus/pci/devices/%s/%s", name, file);
	tree_put(path, text);
}

#define WINDOW "0x0000000008000000 0x00000000080fffff msi\n"

static void put_regions(int group, const char *text)
{
	char path[64];

	snprintf(path, sizeof(path), "kernel/iommu_groups/%d/reserved_regions",
		 group);
	tree_put(path, text);
}

/* The host has it, in a group and behind an SMMU, and lends it. */
static void offer(const char *name, int group, const char *smmu)
{
	char path[96], target[96];

	tree_function("", name, group, "vfio-pci");
	tree_lend(name, "vfio0");
	snprintf(path, sizeof(path), "bus/pci/devices/%s/iommu", name);
	snprintf(target, sizeof(target), "devices/virtual/iommu/%s", smmu);
	tree_link(path, target);
	put(name, "resource", "");
	put_regions(group, WINDOW);
}

/* All faults, a line each; owned. */
static char *find(struct bench *b)
{
	char *buf;
	size_t size;
	FILE *f = open_memstream(&buf, &size);
	bool fine = plan_find(&b->p, tree(), &b->f);

	ck_assert_int_eq(fine, b->f.nr == 0);
	for (size_t i = 0; i < b->f.nr; i++)
		fprintf(f, "%s\n", b->f.msg[i]);
	fclose(f);
	faults_fini(&b->f);
	return buf;
}

static void finds(struct bench *b)
{
	char *faults = find(b);

	ck_assert_str_eq(faults, "");
	free(faults);
}

/* A line of what is wrong with vfio[@i] is or, with "...", begins with @says.
 */
static void refused(struct bench *b, u32 i, const char *says)
{
	char *faults = find(b), *line = faults, place[64];
	size_t len = strlen(says);
	bool found = false, open = len > 3 && !strcmp(says + len - 3, "...");

	snprintf(place, sizeof(place), "vm.json:3:9: vfio[%u].host: device ",
		 i);
	for (; (line = strstr(line, place)) && !found; line++) {
		const char *at = line + strlen(place);

		found = open ? !strncmp(at, says, len - 3)
			     : !strncmp(at, says, len) && at[len] == '\n';
	}
	ck_assert_msg(found, "not \"%s\": %s", says, faults);
	free(faults);
}

#define A "0000:01:00.0"
#define B "0000:02:00.0"
#define C "0001:01:00.0"

START_TEST(nothing_to_find)
{
	struct bench *b = bench_create();

	finds(b);
	ck_assert_uint_eq(b->p.smmus, 0);
	ck_assert_uint_eq(b->p.mem64_size, 0);
	add_device(b, CONFIG_RNG, 0, 8);
	finds(b);
	ck_assert_uint_eq(b->p.smmus, 0);
	bench_destroy(b);
}
END_TEST

START_TEST(one_found)
{
	struct bench *b = bench_create();

	offer(A, 7, "smmu3.0x1000");
	ask(b, A, 8);
	finds(b);
	ck_assert_str_eq(b->p.sys, tree());
	ck_assert_str_eq(b->p.vfios[0].host.name, A);
	ck_assert_uint_eq(b->p.vfios[0].host.vendor, 0x8086);
	ck_assert_int_eq(b->p.vfios[0].host.group, 7);
	ck_assert_uint_eq(b->p.vfios[0].smmu, 0);
	ck_assert_uint_eq(b->p.smmus, 1);
	ck_assert(!b->p.vfios[0].rmr);

	b->c.smmu = SMMU_FOR_NONE;
	finds(b);
	ck_assert_uint_eq(b->p.vfios[0].smmu, PLAN_NO_SMMU);
	ck_assert_uint_eq(b->p.smmus, 0);

	b->c.smmu = SMMU_FOR_ALL;
	b->c.vfios[0].doorbell = DOORBELL_RMR;
	finds(b);
	ck_assert_uint_eq(b->p.vfios[0].smmu, 0);
	ck_assert_uint_eq(b->p.smmus, 1);
	ck_assert(b->p.vfios[0].rmr);
	bench_destroy(b);
}
END_TEST

/* One of the guest's for each of the host's, in the order of the devices. */
START_TEST(smmus_told_apart)
{
	struct bench *b = bench_create();

	offer(A, 1, "smmu3.0x2000");
	offer(B, 2, "smmu3.0x1000");
	offer(C, 3, "smmu3.0x2000");
	ask(b, A, 8);
	ask(b, B, 16);
	ask(b, C, 24);
	finds(b);
	ck_assert_uint_eq(b->p.vfios[0].smmu, 0);
	ck_assert_uint_eq(b->p.vfios[1].smmu, 1);
	ck_assert_uint_eq(b->p.vfios[2].smmu, 0);
	ck_assert_uint_eq(b->p.smmus, 2);
	bench_destroy(b);
}
END_TEST

START_TEST(too_many_smmus)
{
	struct bench *b = bench_create();
	char *faults;

	for (u32 i = 0; i <= MEMMAP_SMMUS_MAX + 1; i++) {
		char name[HOSTPCI_NAME], smmu[24];

		snprintf(name, sizeof(name), "0000:%02x:00.0", i);
		snprintf(smmu, sizeof(smmu), "smmu3.0x%x000", i);
		offer(name, (int)i, smmu);
		if (i == MEMMAP_SMMUS_MAX)
			finds(b);
		ask(b, name, 8 * i);
	}
	faults = find(b);
	ck_assert_str_eq(
		faults,
		"vm.json:3:9: vfio[8].host: device 0000:08:00.0: it is behind "
		"another SMMU of this host (smmu3.0x8000) than those before "
		"it, and a guest can have 8: pass fewer through, or set smmu "
		"to off\n");
	free(faults);
	b->c.smmu = SMMU_FOR_NONE;
	finds(b);
	bench_destroy(b);
}
END_TEST

static void put_cells(const char *path, u32 nr, const u32 *cells)
{
	u32 raw[16];

	for (u32 i = 0; i < nr; i++)
		raw[i] = htobe32(cells[i]);
	tree_bytes(path, raw, 4 * nr);
}

/* A host bridge's functions [@first, @first + 256) have messages at ITS @its.
 */
static void bridge(u32 its)
{
	const u32 map[] = { 0x100, 1, 0, 0x100, 0x200, 2, 0, 0x100 };
	char path[96];

	for (u32 i = 1; i <= its; i++) {
		snprintf(path, sizeof(path),
			 "firmware/devicetree/base/its@%u/compatible", i);
		tree_bytes(path, "arm,gic-v3-its", 15);
		snprintf(path, sizeof(path),
			 "firmware/devicetree/base/its@%u/phandle", i);
		put_cells(path, 1, &i);
	}
	put_cells("firmware/devicetree/base/pcie/msi-map", 8, map);
	tree_link("devices/of_node", "firmware/devicetree/base/pcie");
}

/* Of each that has one, in turn. */
START_TEST(pins)
{
	struct bench *b = bench_create();
	u8 config[HOSTPCI_CONFIG_ALL] = { 0 };
	struct devtree d = { .pins = 0 };
	char name[HOSTPCI_NAME], path[64];

	for (u32 i = 0; i < INTX_WIRES + 3; i++) {
		snprintf(name, sizeof(name), "0000:%02x:00.0", i);
		snprintf(path, sizeof(path), "bus/pci/devices/%s/config", name);
		offer(name, (int)i, "smmu3.0x1000");
		config[0x3d] = i != 1;
		if (i != 2)
			tree_bytes(path, config, sizeof(config));
		ask(b, name, 8 * i);
	}
	finds(b);
	finds(b);
	plan_streams(&b->p, &d);
	ck_assert_uint_eq(d.pins, INTX_WIRES + 1);
	for (u32 i = 0, n = 0; i < INTX_WIRES + 3; i++) {
		if (i == 1 || i == 2) {
			ck_assert_uint_eq(b->p.vfios[i].intid, 0);
			continue;
		}
		ck_assert_uint_eq(b->p.vfios[i].intid,
				  INTID_INTX + n % INTX_WIRES);
		ck_assert_uint_eq(d.pin[n].rid, 8 * i);
		ck_assert_uint_eq(d.pin[n].intid, b->p.vfios[i].intid);
		n++;
	}
	bench_destroy(b);
}
END_TEST

/* As far as it can be seen: the user may not, and who sleeps does not tell. */
START_TEST(no_messages_for_a_doorbell)
{
	static const struct {
		u8 id; /* of its capability */
		size_t len;
		u8 status;
		bool wrong;
	} rows[] = {
		{ 0x05, HOSTPCI_CONFIG, 0x10, true }, /* MSI */
		{ 0x11, HOSTPCI_CONFIG, 0x10, false },
		{ 0x05, HOSTPCI_CONFIG_ALL, 0x10, false },
		{ 0x05, HOSTPCI_CONFIG_ALL, 0x00, true }, /* none */
		{ 0x05, 0, 0x10, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bench *b = bench_create();
		u8 config[HOSTPCI_CONFIG] = { [0x06] = rows[i].status,
					      [0x34] = 0x40,
					      [0x40] = rows[i].id };

		offer(A, 1, "smmu3.0x1000");
		tree_bytes("bus/pci/devices/" A "/config", config, rows[i].len);
		ask(b, A, 8);
		finds(b);
		b->c.vfios[0].doorbell = DOORBELL_DIRECT;
		if (rows[i].wrong)
			refused(b, 0,
				A ": doorbell \"direct\" cannot be had: ...");
		else
			finds(b);
		bench_destroy(b);
	}
}
END_TEST

START_TEST(its_told_apart)
{
	static const struct {
		int group[4];
		u32 its, space[4];
	} rows[] = {
		/* None is known. */
		{ { 1, 2, 3, 4 }, 0, { 0, 0, 0, 0 } },
		{ { 1, 2, 3, 4 }, 2, { 0, 1, 0, 2 } },
		/* Only that of the first is. */
		{ { 1, 2, 3, 4 }, 1, { 0, 1, 0, 1 } },
		/* What is of one group stays together. */
		{ { 1, 1, 3, 4 }, 2, { 0, 0, 0, 1 } },
		{ { 1, 2, 3, 2 }, 2, { 0, 1, 0, 1 } },
	};
	/* Bus 3 has no ITS. */
	static const char *const names[] = { A, B, "0000:01:00.1",
					     "0000:03:00.0" };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bench *b = bench_create();

		b->c.smmu = SMMU_FOR_NONE;
		bridge(rows[i].its);
		for (u32 k = 0; k < ARRAY_SIZE(names); k++) {
			offer(names[k], rows[i].group[k], "smmu3.0x1000");
			ask(b, names[k], 8 * k);
		}
		finds(b);
		for (u32 k = 0; k < ARRAY_SIZE(names); k++)
			ck_assert_msg(b->p.vfios[k].space == rows[i].space[k],
				      "row %zu: %u in %u", i, k,
				      b->p.vfios[k].space);
		bench_destroy(b);
	}
}
END_TEST

/* Who gave us iommufds may know ITSes that we do not. */
START_TEST(iommufds)
{
	static const char *const names[] = { A, "0000:01:00.1", B };
	static const struct {
		u32 its, wrong; /* 0: none is */
		int iommufd[3];
		u32 space[3];
		const char *says;
	} rows[] = {
		{ 2, 0, { 5, 5, 6 }, { 0, 0, 1 }, NULL },
		{ 2, 0, { 5, 5, 0 }, { 0, 0, 1 }, NULL },
		{ 2, 0, { 0, 0, 6 }, { 0, 0, 1 }, NULL },
		{ 2, 1, { 5, 6, 7 }, { 0 }, "it interrupts by the same ITS" },
		{ 2, 1, { 5, 0, 7 }, { 0 }, "it interrupts by the same ITS" },
		{ 2, 1, { 0, 5, 7 }, { 0 }, "it interrupts by the same ITS" },
		{ 2, 2, { 5, 5, 5 }, { 0 }, "it interrupts by another ITS" },
		{ 0, 0, { 5, 5, 5 }, { 0, 0, 0 }, NULL },
		{ 0, 0, { 5, 5, 6 }, { 0, 0, 1 }, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bench *b = bench_create();
		char says[80];

		if (rows[i].its)
			bridge(rows[i].its);
		for (u32 k = 0; k < ARRAY_SIZE(names); k++) {
			offer(names[k], (int)k, "smmu3.0x1000");
			ask(b, names[k], 8 * k);
			b->c.vfios[k].iommufd = rows[i].iommufd[k];
		}
		if (rows[i].wrong) {
			snprintf(says, sizeof(says), "%s: %s...",
				 names[rows[i].wrong], rows[i].says);
			refused(b, rows[i].wrong, says);
		} else {
			finds(b);
		}
		for (u32 k = 0; !rows[i].wrong && k < ARRAY_SIZE(names); k++)
			ck_assert_msg(b->p.vfios[k].space == rows[i].space[k],
				      "row %zu: %u in %u", i, k,
				      b->p.vfios[k].space);
		bench_destroy(b);
	}
}
END_TEST

START_TEST(not_the_functions_own)
{
	struct bench *b = bench_create();
	int fd = eventfd(0, EFD_CLOEXEC);
	char *faults;

	offer(A, 1, "smmu3.0x1000");
	ask(b, A, 8);
	b->c.vfios[0].fd = fd;
	refused(b, 0, A ": descriptor ...");
	b->c.vfios[0].fd = 0;
	b->c.vfios[0].iommufd = NOT_IOMMUFD;
	faults = find(b);
	ck_assert_ptr_nonnull(strstr(faults, "vfio[0].host: none of that"));
	free(faults);
	close(fd);
	bench_destroy(b);
}
END_TEST

START_TEST(refusals)
{
	struct bench *b = bench_create();

	ask(b, A, 8);
	refused(b, 0, A ": this host has none at that address ...");
	offer(A, 1, "smmu3.0x1000");
	finds(b);
	ask(b, B, 16);
	refused(b, 1, B ": this host has none at that address ...");
	tree_function("", B, 2, "igb");
	refused(b, 1, B ": this host uses it (driver igb): ...");
	offer(B, 2, "smmu3.0x1000");
	finds(b);
	/* One that the host keeps goes with what cannot be told from it. */
	tree_function("", C, 2, "nvme");
	refused(b, 1,
		B ": the IOMMU cannot tell it from " C ", which this host uses "
		  "(driver nvme): give vfio-pci all of "
		  "/sys/kernel/iommu_groups/2/devices, or none");
	bench_destroy(b);
}
END_TEST

/* Then it is no guest's SMMU that tells them apart. */
START_TEST(not_alone)
{
	struct bench *b = bench_create();

	offer(A, 1, "smmu3.0x1000");
	offer(B, 1, "smmu3.0x1000");
	ask(b, A, 8);
	refused(b, 0,
		A ": this host's IOMMU cannot tell it from " B
		  ", and no guest's "
		  "SMMU could: set smmu to off");
	ask(b, B, 16);
	refused(b, 1,
		B ": this host's IOMMU cannot tell it from " A ", and no ...");
	b->c.smmu = SMMU_FOR_NONE;
	finds(b);
	bench_destroy(b);
}
END_TEST

START_TEST(no_group)
{
	struct bench *b = bench_create();

	offer(A, 1, "smmu3.0x1000");
	ask(b, A, 8);
	tree_remove("kernel/iommu_groups/1");
	refused(b, 0, A ": ...");
	bench_destroy(b);
}
END_TEST

#define OTHER_WINDOW(at)                                                   \
	A ": this host has its interrupts at " at ", and Belfry's guests " \
	  "have room for that at 0x8000000 to 0x80fffff only: this host "  \
	  "cannot pass it through"
#define RESERVED(at, what)                                                  \
	A ": this host reserves " at " for it (" what "), and the guest's " \
	  "memory is at 0x40000000 to 0x5fffffff: "

/* Of 512 MiB of memory, from 0x40000000 on. */
START_TEST(reserved_regions)
{
	static const struct {
		const char *regions, *says;
	} rows[] = {
		{ WINDOW, NULL },
		{ "",
		  A ": its IOMMU group has no addresses for interrupts (msi in "
		    "/sys/kernel/iommu_groups/1/reserved_regions), as it has "
		    "behind an Arm SMMU: this host cannot pass it through" },
		{ "0xfee00000 0xfeefffff msi\n",
		  OTHER_WINDOW("0xfee00000 to 0xfeefffff") },
		{ "0x8000000 0x81fffff msi\n",
		  OTHER_WINDOW("0x8000000 to 0x81fffff") },
		{ "0x8010000 0x80fffff msi\n",
		  OTHER_WINDOW("0x8010000 to 0x80fffff") },
		{ WINDOW "0x0 0x3fffffff reserved\n", NULL },
		{ WINDOW "0x60000000 0xffffffffffffffff reserved\n", NULL },
		{ WINDOW "0x3fff0000 0x40000000 reserved\n",
		  RESERVED("0x3fff0000 to 0x40000000",
			   "reserved") "this host "
				       "cannot pass it through" },
		{ WINDOW "0x5fffffff 0x6fffffff direct\n",
		  RESERVED("0x5fffffff to 0x6fffffff",
			   "direct") "give the guest at most 510M of memory" },
		{ WINDOW "0x42000000 0x420fffff direct\n",
		  RESERVED("0x42000000 to 0x420fffff",
			   "direct") "give the guest at most 32M of memory" },
		{ WINDOW "0x41ffffff 0x420fffff direct\n",
		  RESERVED("0x41ffffff to 0x420fffff",
			   "direct") "this host "
				     "cannot pass it through" },
		/* The kernel lets such be used for other things. */
		{ WINDOW "0x42000000 0x420fffff direct-relaxable\n", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bench *b = bench_create();

		offer(A, 1, "smmu3.0x1000");
		ask(b, A, 8);
		put_regions(1, rows[i].regions);
		if (rows[i].says)
			refused(b, 0, rows[i].says);
		else
			finds(b);
		bench_destroy(b);
	}
}
END_TEST

/* --- room for BARs --- */

#define MEM32 0x200ull
#define MEM64 0x100204ull
#define PREF  0x2008ull

/* The function @name has these; up to two. */
static void put_bars(const char *name, u64 size0, u64 flags0, u64 size1,
		     u64 flags1)
{
	char text[160];

	snprintf(text, sizeof(text),
		 "0x%llx 0x%llx 0x%llx\n0x0 0x0 0x0\n0x%llx 0x%llx 0x%llx\n",
		 (unsigned long long)size0, (unsigned long long)(2 * size0 - 1),
		 (unsigned long long)(size0 ? flags0 : 0),
		 (unsigned long long)size1, (unsigned long long)(2 * size1 - 1),
		 (unsigned long long)(size1 ? flags1 : 0));
	put(name, "resource", text);
}

START_TEST(windows)
{
	static const struct {
		u64 size0, flags0, size1, flags1, window;
	} rows[] = {
		{ 0, 0, 0, 0, 0 },
		{ 256 * MIB, MEM32, 0, 0, 0 },
		{ 128 * MIB, MEM32 | PREF, 128 * MIB, MEM32, 0 },
		{ 16 * KIB, MEM64, 0, 0, GIB },
		{ 16 * KIB, MEM64 | PREF, 0, 0, GIB },
		{ GIB, MEM64, 0, 0, GIB },
		{ GIB, MEM64, 16, MEM64, 2 * GIB },
		{ 32 * GIB, MEM64 | PREF, 64 * MIB, MEM32, 32 * GIB },
		{ 32 * GIB, MEM64 | PREF, 32 * MIB, MEM64, 64 * GIB },
		{ BIT(62), MEM64, BIT(62), MEM64, BIT(52) },
		{ 512 * MIB, 0x101, GIB, 0x101, 0 }, /* I/O ports */
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bench *b = bench_create();

		offer(A, 1, "smmu3.0x1000");
		put_bars(A, rows[i].size0, rows[i].flags0, rows[i].size1,
			 rows[i].flags1);
		ask(b, A, 8);
		finds(b);
		ck_assert_msg(b->p.mem64_size == rows[i].window,
			      "row %zu: 0x%llx", i,
			      (unsigned long long)b->p.mem64_size);
		bench_destroy(b);
	}
}
END_TEST

/* Of all of them together. */
START_TEST(windows_of_many)
{
	struct bench *b = bench_create();
	char *faults;

	offer(A, 1, "smmu3.0x1000");
	offer(B, 2, "smmu3.0x1000");
	offer(C, 3, "smmu3.0x1000");
	put_bars(A, 2 * GIB, MEM64, 128 * MIB, MEM32);
	put_bars(B, 2 * GIB, MEM64 | PREF, 128 * MIB, MEM32 | PREF);
	put_bars(C, 2 * GIB, MEM64, 0, 0);
	ask(b, A, 8);
	ask(b, B, 16);
	finds(b);
	ck_assert_uint_eq(b->p.mem64_size, 4 * GIB);
	ask(b, C, 24);
	finds(b);
	ck_assert_uint_eq(b->p.mem64_size, 8 * GIB);
	put_bars(B, 16 * KIB, MEM32, 128 * MIB, MEM32);
	put_bars(C, 16 * KIB, MEM32, 0, 0);
	faults = find(b);
	ck_assert_str_eq(faults,
			 "vm.json:3:9: vfio[1].host: device " B ": with it and "
			 "those before it BARs take 262160K below 4 GiB, where "
			 "there is room for 256M: pass fewer through\n");
	free(faults);
	bench_destroy(b);
}
END_TEST

/* --- the device tree --- */

/* "08+1:0 10+f0:1" of what a found plan's tree says; owned. */
static char *streams(const struct bench *b)
{
	struct devtree d = { .streams_nr = 0 };
	char *buf;
	size_t size;
	FILE *f = open_memstream(&buf, &size);

	plan_streams(&b->p, &d);
	for (u32 i = 0; i < d.streams_nr; i++) {
		const struct devtree_streams *s = &d.streams[i];

		ck_assert_uint_eq(s->stream, s->rid);
		fprintf(f, "%s%x+%x:%u", i ? " " : "", s->rid, s->count,
			s->smmu);
	}
	for (u32 i = 0; i < d.rmrs; i++)
		fprintf(f, " rmr %x", d.rmr[i]);
	fclose(f);
	return buf;
}

static void check_streams(struct bench *b, enum config_smmu smmu,
			  const char *expected)
{
	char *found;

	b->c.smmu = smmu;
	finds(b);
	found = streams(b);
	ck_assert_str_eq(found, expected);
	free(found);
}

START_TEST(streams_of_functions)
{
	struct bench *b = bench_create();

	check_streams(b, SMMU_FOR_ALL, "");
	add_device(b, CONFIG_DRIVE, 0, 0x18);
	check_streams(b, SMMU_FOR_VFIO, "");
	check_streams(b, SMMU_FOR_NONE, "");
	/* One that is all emulated. */
	check_streams(b, SMMU_FOR_ALL, "0+100:0");
	ck_assert_uint_eq(b->p.smmus, 1);

	offer(A, 1, "smmu3.0x1000");
	offer(B, 2, "smmu3.0x2000");
	offer(C, 3, "smmu3.0x2000");
	ask(b, A, 0x08);
	ask(b, B, 0x20);
	ask(b, C, 0x21)->doorbell = DOORBELL_RMR;
	check_streams(b, SMMU_FOR_VFIO, "8+1:0 20+2:1 rmr 21");
	check_streams(b, SMMU_FOR_ALL, "0+20:0 20+2:1 22+de:0 rmr 21");
	b->c.vfios[2].doorbell = DOORBELL_AUTO;
	check_streams(b, SMMU_FOR_NONE, "");
	/* By who finds out. */
	check_streams(b, SMMU_FOR_VFIO, "8+1:0 20+2:1");
	b->p.vfios[0].rmr = true;
	{
		char *found = streams(b);

		ck_assert_str_eq(found, "8+1:0 20+2:1 rmr 8");
		free(found);
	}
	bench_destroy(b);
}
END_TEST

/* As many as there can be, none beside another: all have room. */
START_TEST(streams_of_many)
{
	struct bench *b = bench_create();
	struct devtree d = { .streams_nr = 0 };

	offer("0000:ff:00.0", 100, "smmu3.0x1000");
	ask(b, "0000:ff:00.0", 0x80);
	for (u32 i = 1; i < CONFIG_VFIOS_MAX; i++) {
		char name[HOSTPCI_NAME];

		snprintf(name, sizeof(name), "0000:%02x:00.0", i);
		offer(name, (int)i, "smmu3.0x2000");
		ask(b, name, 4 * i + 1)->doorbell = DOORBELL_RMR;
	}
	b->c.smmu = SMMU_FOR_ALL;
	finds(b);
	plan_streams(&b->p, &d);
	ck_assert_uint_eq(d.streams_nr, 2 * (CONFIG_VFIOS_MAX - 1) + 1);
	ck_assert_uint_eq(d.rmrs, CONFIG_VFIOS_MAX - 1);
	bench_destroy(b);
}
END_TEST

UNIT_MAIN("plan", nothing_to_find, one_found, pins, no_messages_for_a_doorbell,
	  smmus_told_apart, too_many_smmus, its_told_apart, iommufds,
	  not_the_functions_own, refusals, not_alone, no_group,
	  reserved_regions, windows, windows_of_many, streams_of_functions,
	  streams_of_many)
