/*
 * PCI functions of a host that is a directory tree: names, who has them, their
 * groups, and which ITS is theirs by a device tree and by an IORT.
 */
#include "fakes/sysfs_tree.h"
#include "unit.h"

#include <belfry/hostpci.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUNCTION "0000:01:00.0"

START_TEST(names)
{
	static const struct {
		const char *text, *name;
	} rows[] = {
		{ "0000:01:00.0", "0000:01:00.0" },
		{ "01:00.0", "0000:01:00.0" },
		{ "1:2.7", "0000:01:02.7" },
		{ "aBc:fE:1f.3", "0abc:fe:1f.3" },
		{ "10000:e1:00.0", "10000:e1:00.0" },
		{ "ffffffff:ff:1f.7", "ffffffff:ff:1f.7" },
		{ "", NULL },
		{ "igb", NULL },
		{ "01:00", NULL },
		{ "01:00.", NULL },
		{ ":00.0", NULL },
		{ "01:20.0", NULL },
		{ "01:00.8", NULL },
		{ "01:00.00", NULL },
		{ "01:00.0 ", NULL },
		{ " 01:00.0", NULL },
		{ "100:00.0", NULL },
		{ "123456789:01:00.0", NULL },
		{ "0:0000:01:00.0", NULL },
		{ "0\x11:00.0", NULL },
		{ "0000:01:00.g", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char name[HOSTPCI_NAME] = "";
		struct err e = { 0 };
		int err = hostpci_name(rows[i].text, name, &e);

		if (rows[i].name) {
			ck_assert_msg(!err, "%s", e.msg);
			ck_assert_str_eq(name, rows[i].name);
		} else {
			ck_assert_int_eq(err, -EINVAL);
			ck_assert_ptr_nonnull(strstr(e.msg, "`lspci -D`"));
		}
	}
}
END_TEST

static void look(struct hostpci *d, const char *name)
{
	struct err e = { 0 };

	ck_assert_msg(!hostpci_look(d, tree(), name, &e), "%s", e.msg);
}

START_TEST(functions)
{
	struct err e = { 0 };
	struct hostpci d;

	tree_init();
	tree_function("", FUNCTION, 17, "vfio-pci");
	tree_lend(FUNCTION, "vfio3");
	look(&d, FUNCTION);
	ck_assert_str_eq(d.name, FUNCTION);
	ck_assert_uint_eq(d.vendor, 0x8086);
	ck_assert_uint_eq(d.device, 0x10c9);
	ck_assert_uint_eq(d.class, 0x020000);
	ck_assert_str_eq(d.driver, "vfio-pci");
	ck_assert_str_eq(d.cdev, "vfio3");
	ck_assert(d.has_cdev);
	ck_assert_int_eq(d.group, 17);
	ck_assert_str_eq(d.iommu, "smmu3.0x0000000009050000");
	ck_assert_str_eq(d.resets, "flr bus");

	tree_remove("bus/pci/devices/" FUNCTION "/vfio-dev/vfio3/dev");
	look(&d, FUNCTION);
	ck_assert_str_eq(d.cdev, "vfio3");
	ck_assert(!d.has_cdev);

	ck_assert_int_eq(hostpci_look(&d, tree(), "0000:02:00.0", &e), -ENODEV);
	ck_assert_ptr_nonnull(strstr(e.msg, "device 0000:02:00.0: "));
	tree_fini();
}
END_TEST

/* What is not there is empty. */
START_TEST(a_function_with_nothing)
{
	struct hostpci d;

	tree_init();
	tree_put("bus/pci/devices/" FUNCTION "/vendor", "");
	memset(&d, 0xff, sizeof(d));
	look(&d, FUNCTION);
	ck_assert(!d.vendor && !d.device && !d.class);
	ck_assert(!*d.driver && !*d.cdev && !*d.iommu && !*d.resets);
	ck_assert(!d.has_cdev);
	ck_assert_int_eq(d.group, -1);
	tree_fini();
}
END_TEST

START_TEST(lists)
{
	char(*list)[HOSTPCI_NAME];

	tree_init();
	ck_assert_int_eq(hostpci_list(tree(), &list), -ENOENT);
	tree_function("", "0000:02:00.0", 3, "");
	tree_function("", "0001:01:00.0", -1, "");
	tree_function("", "0000:01:00.1", 3, "");
	tree_function("", "0000:01:00.0", 3, "");
	ck_assert_int_eq(hostpci_list(tree(), &list), 4);
	ck_assert_str_eq(list[0], "0000:01:00.0");
	ck_assert_str_eq(list[1], "0000:01:00.1");
	ck_assert_str_eq(list[2], "0000:02:00.0");
	ck_assert_str_eq(list[3], "0001:01:00.0");
	free(list);
	tree_fini();
}
END_TEST

/* --- what it interrupts with --- */

static const u8 *config_of(const char *name, const void *bytes, size_t len,
			   int *read)
{
	static u8 config[HOSTPCI_CONFIG];
	struct hostpci d;

	if (bytes)
		tree_bytes("bus/pci/devices/" FUNCTION "/config", bytes, len);
	look(&d, name);
	memset(config, 0xa5, sizeof(config));
	*read = hostpci_config(config, &d, tree());
	return config;
}

START_TEST(config_space)
{
	u8 bytes[4096];
	int n;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (u8)i;
	tree_init();
	tree_function("", FUNCTION, 3, "");
	config_of(FUNCTION, NULL, 0, &n);
	ck_assert_int_eq(n, -ENOENT);
	ck_assert_mem_eq(config_of(FUNCTION, bytes, 64, &n), bytes, 64);
	ck_assert_int_eq(n, HOSTPCI_CONFIG_ALL);
	ck_assert_mem_eq(config_of(FUNCTION, bytes, 4096, &n), bytes, 256);
	ck_assert_int_eq(n, HOSTPCI_CONFIG);
	tree_fini();
}
END_TEST

/* A function with INTx and a chain that begins at 0x40. */
static void make_config(u8 config[static HOSTPCI_CONFIG])
{
	memset(config, 0, HOSTPCI_CONFIG);
	config[0x06] = 0x10;
	config[0x34] = 0x40;
	config[0x3d] = 1;
}

/* @bytes at @at, of which @id and the next one's place come first. */
static void put_cap(u8 *config, u32 at, u8 id, u8 next, u64 bytes)
{
	bytes = htole64(bytes << 16 | next << 8 | id);
	memcpy(config + at, &bytes, 8);
}

static struct hostpci_interrupts read_config(const u8 *config, size_t len)
{
	struct hostpci_interrupts q;

	memset(&q, 0xff, sizeof(q));
	hostpci_interrupts(&q, config, len);
	return q;
}

START_TEST(interrupts)
{
	u8 config[HOSTPCI_CONFIG];
	struct hostpci_interrupts q;

	/* Power management, MSI of 8, PCIe, MSI-X of 10 at BAR 3, 0x2000. */
	make_config(config);
	put_cap(config, 0x40, 0x01, 0x53, 0xffffffff);
	put_cap(config, 0x50, 0x05, 0xa0, 0xff86);
	put_cap(config, 0xa0, 0x10, 0x70, 0xffffffff);
	put_cap(config, 0x70, 0x11, 0, 0x2003c009);
	q = read_config(config, sizeof(config));
	ck_assert(q.intx && !q.cut);
	ck_assert_uint_eq(q.msi, 8);
	ck_assert_uint_eq(q.msix, 10);
	ck_assert_uint_eq(q.table_bar, 3);
	ck_assert_uint_eq(q.table_off, 0x2000);

	/* The largest there are, and what is reserved. */
	put_cap(config, 0x50, 0x05, 0xa0, 0x000e);
	put_cap(config, 0x70, 0x11, 0, 0xfffffff807ffull & ~0xfff00000000000);
	q = read_config(config, sizeof(config));
	ck_assert_uint_eq(q.msi, 32);
	ck_assert_uint_eq(q.msix, 2048);
	put_cap(config, 0x50, 0x05, 0xa0, 0);
	put_cap(config, 0x70, 0x11, 0, 0x6 << 16);
	q = read_config(config, sizeof(config));
	ck_assert_uint_eq(q.msi, 1);
	ck_assert_uint_eq(q.msix, 0);
	put_cap(config, 0x70, 0x11, 0, 0x5 << 16);
	q = read_config(config, sizeof(config));
	ck_assert_uint_eq(q.msix, 1);
	ck_assert_uint_eq(q.table_bar, 5);
}
END_TEST

START_TEST(few_interrupts)
{
	u8 config[HOSTPCI_CONFIG];
	struct hostpci_interrupts q;

	/* Its status says that there is no chain, so there is none. */
	make_config(config);
	put_cap(config, 0x40, 0x05, 0, 0);
	config[0x06] = 0;
	q = read_config(config, sizeof(config));
	ck_assert(q.intx && !q.cut && !q.msi && !q.msix);
	config[0x06] = 0x10;
	config[0x3d] = 0;
	q = read_config(config, sizeof(config));
	ck_assert(!q.intx && !q.cut && q.msi == 1 && !q.msix);
	config[0x34] = 0;
	q = read_config(config, sizeof(config));
	ck_assert(!q.intx && !q.cut && !q.msi && !q.msix);
}
END_TEST

/* What has no right sees 64 bytes: that there is more is all that it sees. */
START_TEST(config_space_in_part)
{
	u8 config[HOSTPCI_CONFIG];
	struct hostpci_interrupts q;

	make_config(config);
	put_cap(config, 0x40, 0x05, 0x50, 0);
	put_cap(config, 0x50, 0x11, 0, 0);
	q = read_config(config, 63);
	ck_assert(q.cut && !q.intx);
	q = read_config(config, 64);
	ck_assert(q.cut && q.intx && !q.msi && !q.msix);
	q = read_config(config, 67);
	ck_assert(q.cut && !q.msi && !q.msix);
	q = read_config(config, 0x57);
	ck_assert(q.cut && q.msi == 1 && !q.msix);
	q = read_config(config, 0x58);
	ck_assert(!q.cut && q.msi == 1 && q.msix == 1);
	/* Without capabilities, 64 bytes are all. */
	config[0x06] = 0;
	q = read_config(config, 64);
	ck_assert(!q.cut && q.intx);
	/* Gone, or asleep. */
	memset(config, 0xff, sizeof(config));
	q = read_config(config, sizeof(config));
	ck_assert(q.cut && !q.intx && !q.msi && !q.msix);
}
END_TEST

/* Chains that go nowhere end, and nothing past the end is read. */
START_TEST(bad_config_space)
{
	u8 config[HOSTPCI_CONFIG];
	struct hostpci_interrupts q;

	make_config(config);
	put_cap(config, 0x40, 0x01, 0x40, 0);
	q = read_config(config, sizeof(config));
	ck_assert(!q.cut && !q.msix);
	put_cap(config, 0x40, 0x01, 0x20, 0);
	q = read_config(config, sizeof(config));
	ck_assert(!q.cut && !q.msix);
	config[0x41] = 0xfc;
	config[0xfc] = 0x11;
	q = read_config(config, sizeof(config));
	ck_assert(q.cut && !q.msix);

	for (u32 seed = 1; seed < 2000; seed++) {
		size_t len = seed % (HOSTPCI_CONFIG + 1);
		u8 *end = malloc(MAX(len, 1));
		u32 x = seed;

		for (size_t i = 0; i < len; i++)
			end[i] = (u8)((x = x * 1664525 + 1013904223) >> 24);
		q = read_config(end, len);
		ck_assert(q.msi <= 32 && q.msix <= 2048 && q.table_bar < 6);
		free(end);
	}
}
END_TEST

START_TEST(bars)
{
	struct hostpci_bar b;
	struct hostpci d;

	tree_init();
	tree_function("", FUNCTION, 3, "");
	look(&d, FUNCTION);
	ck_assert_uint_eq(hostpci_bar(&d, tree(), 0).size, 0);
	tree_put("bus/pci/devices/" FUNCTION "/resource",
		 "0x0000000010000000 0x000000001001ffff 0x0000000000040200\n"
		 "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
		 "0x0000000000001000 0x000000000000101f 0x0000000000040101\n"
		 "0x0000008000000000 0x0000008000003fff 0x000000000014220c\n"
		 "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
		 "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
		 "0x0000000010020000 0x000000001003ffff 0x0000000000046200\n"
		 "0x0000008800000000 0x00000088000fffff 0x0000000000140204\n");
	b = hostpci_bar(&d, tree(), 0);
	ck_assert(b.start == 0x10000000 && b.size == 0x20000 && b.memory);
	ck_assert(!b.wide);
	b = hostpci_bar(&d, tree(), 1);
	ck_assert(!b.size && !b.memory);
	b = hostpci_bar(&d, tree(), 2);
	ck_assert(b.start == 0x1000 && b.size == 32 && !b.memory);
	b = hostpci_bar(&d, tree(), 3);
	ck_assert(b.start == 0x8000000000 && b.size == 0x4000 && b.memory);
	ck_assert(b.wide);
	ck_assert_uint_eq(hostpci_bar(&d, tree(), 4).size, 0);
	ck_assert_uint_eq(hostpci_bar(&d, tree(), 5).size, 0);
	b = hostpci_bar(&d, tree(), HOSTPCI_ROM);
	ck_assert(b.start == 0x10020000 && b.size == 0x20000 && b.memory);
	ck_assert(!b.wide);
	tree_fini();
}
END_TEST

/* --- groups --- */

START_TEST(groups)
{
	const struct hostpci_region *msi;
	struct err e = { 0 };
	struct hostpci_group g;

	tree_init();
	tree_function("", "0000:02:00.1", 3, "");
	tree_function("", "0000:02:00.0", 3, "");
	tree_function("", FUNCTION, 4, "");
	tree_put("kernel/iommu_groups/3/reserved_regions",
		 "0x0000000000000000 0x0000000000000fff direct\n"
		 "0x0000000008000000 0x00000000080fffff msi\n"
		 "nonsense\n"
		 "0x000000fffd000000 0xffffffffffffffff reserved\n");
	ck_assert_int_eq(hostpci_group(&g, tree(), 3, &e), 0);
	ck_assert_uint_eq(g.nr, 2);
	ck_assert_str_eq(g.member[0], "0000:02:00.0");
	ck_assert_str_eq(g.member[1], "0000:02:00.1");
	ck_assert_uint_eq(g.regions, 3);
	ck_assert_str_eq(g.region[0].type, "direct");
	ck_assert_uint_eq(g.region[0].last, 0xfff);
	ck_assert_uint_eq(g.region[2].start, 0xfffd000000);
	ck_assert_uint_eq(g.region[2].last, ~0ull);
	msi = hostpci_msi_window(&g);
	ck_assert(msi && msi->start == 0x8000000 && msi->last == 0x80fffff);

	ck_assert_int_eq(hostpci_group(&g, tree(), 4, &e), 0);
	ck_assert(g.nr == 1 && !g.regions && !hostpci_msi_window(&g));
	ck_assert_int_eq(hostpci_group(&g, tree(), 5, &e), -ENOENT);
	ck_assert_ptr_nonnull(strstr(e.msg, "kernel/iommu_groups/5/devices: "));
	tree_fini();
}
END_TEST

/* More than have room: all are counted, and none of them is written. */
START_TEST(large_groups)
{
	struct {
		struct hostpci_group g;
		u64 after;
	} room = { .after = 0x123456789abcdef0 };
	char regions[HOSTPCI_REGIONS_MAX * 40 + 80] = "", name[HOSTPCI_NAME];
	struct err e = { 0 };

	tree_init();
	for (int i = 0; i < HOSTPCI_MEMBERS_MAX + 3; i++) {
		snprintf(name, sizeof(name), "0000:01:%02x.%x", i / 8, i % 8);
		tree_function("", name, 3, "");
		if (i <= HOSTPCI_REGIONS_MAX)
			snprintf(regions + strlen(regions), 40,
				 "0x%x 0x%x reserved\n", i * 2, i * 2 + 1);
	}
	tree_put("kernel/iommu_groups/3/reserved_regions", regions);
	ck_assert_int_eq(hostpci_group(&room.g, tree(), 3, &e), 0);
	ck_assert_uint_eq(room.g.nr, HOSTPCI_MEMBERS_MAX + 3);
	ck_assert_str_eq(room.g.member[HOSTPCI_MEMBERS_MAX - 1],
			 "0000:01:03.7");
	ck_assert_uint_eq(room.g.regions, HOSTPCI_REGIONS_MAX);
	ck_assert_uint_eq(room.after, 0x123456789abcdef0);
	tree_fini();
}
END_TEST

START_TEST(who_holds_a_group)
{
	static const struct {
		const char *driver;
		bool holds;
	} rows[] = {
		{ "", false },
		{ "vfio-pci", false },
		{ "mlx5_vfio_pci", false },
		{ "pcieport", false },
		{ "pci-stub", false },
		{ "igb", true },
		{ "nvme", true },
	};
	char who[HOSTPCI_NAME], driver[32];
	struct hostpci d;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		tree_init();
		tree_function("", FUNCTION, 3, "vfio-pci");
		tree_function("", "0000:01:00.1", 3, rows[i].driver);
		tree_function("", "0000:02:00.0", 4, "igb");
		look(&d, FUNCTION);
		ck_assert_int_eq(hostpci_held_by(&d, tree(), who, driver),
				 rows[i].holds);
		if (rows[i].holds) {
			ck_assert_str_eq(who, "0000:01:00.1");
			ck_assert_str_eq(driver, rows[i].driver);
		}
		d.group = -1;
		ck_assert(!hostpci_held_by(&d, tree(), who, driver));
		tree_fini();
	}
}
END_TEST

/* --- which ITS: device tree --- */

static void put_cells(const char *path, u32 nr, const u32 *cells)
{
	u32 raw[16];

	for (u32 i = 0; i < nr; i++)
		raw[i] = htobe32(cells[i]);
	tree_bytes(path, raw, 4 * nr);
}

#define CELLS(path, ...)                               \
	put_cells("firmware/devicetree/base/" path,    \
		  sizeof((u32[]) { __VA_ARGS__ }) / 4, \
		  (const u32[]) { __VA_ARGS__ })

static void put_its(const char *node, u32 phandle)
{
	char path[256];

	snprintf(path, sizeof(path), "firmware/devicetree/base/%s/compatible",
		 node);
	tree_bytes(path, "arm,gic-v3-its", 15);
	snprintf(path, sizeof(path), "firmware/devicetree/base/%s/phandle",
		 node);
	put_cells(path, 1, &phandle);
}

static void device_tree_host(void)
{
	tree_init();
	tree_function("platform/40000000.pcie", FUNCTION, 3, "");
	tree_function("platform/50000000.pcie", "0001:02:00.1", 4, "");
	tree_link("devices/platform/40000000.pcie/of_node",
		  "firmware/devicetree/base/soc/pcie@40000000");
	tree_link("devices/platform/50000000.pcie/of_node",
		  "firmware/devicetree/base/pcie@50000000");
	put_its("intc@8000000/its@8080000", 0x8002);
	put_its("intc@8000000/its@80a0000", 0x8003);
	/* Not an ITS, whatever it is numbered. */
	tree_put("firmware/devicetree/base/chosen/compatible", "other");
	CELLS("chosen/phandle", 0x8002);
}

static const char *its_of(const char *name)
{
	static char its[HOSTPCI_ITS];
	struct hostpci d;

	look(&d, name);
	if (hostpci_its(&d, tree(), its))
		return its;
	ck_assert_str_eq(its, "");
	return NULL;
}

START_TEST(its_by_msi_map)
{
	device_tree_host();
	CELLS("soc/pcie@40000000/msi-map", 0, 0x8003, 0, 0x100, /**/
	      0x100, 0x8002, 0x100, 0x100);
	CELLS("pcie@50000000/msi-map", 0, 0x8003, 0, 0x201);
	ck_assert_str_eq(its_of(FUNCTION), "intc@8000000/its@8080000");
	/* 02:00.1 is RID 0x201, the first one past the map. */
	ck_assert_ptr_null(its_of("0001:02:00.1"));
	CELLS("pcie@50000000/msi-map-mask", 0xff);
	ck_assert_str_eq(its_of("0001:02:00.1"), "intc@8000000/its@80a0000");
	/* A phandle that nobody has. */
	CELLS("pcie@50000000/msi-map", 0, 0x8004, 0, 0x10000);
	ck_assert_ptr_null(its_of("0001:02:00.1"));
	tree_fini();
}
END_TEST

START_TEST(its_by_msi_parent)
{
	device_tree_host();
	CELLS("soc/pcie@40000000/msi-parent", 0x8003);
	CELLS("pcie@50000000/msi-parent", 0x8002);
	ck_assert_str_eq(its_of(FUNCTION), "intc@8000000/its@80a0000");
	ck_assert_str_eq(its_of("0001:02:00.1"), "intc@8000000/its@8080000");
	tree_remove("devices/platform/40000000.pcie/of_node");
	ck_assert_ptr_null(its_of(FUNCTION));
	tree_fini();
}
END_TEST

/* Names that have no room keep the end, where they differ. */
START_TEST(its_with_a_long_name)
{
	static const char node[] =
		"a-long-name-of-a-bus@100000000/and-of-another@1000000/interrupt-controller@8000000/its@8080000";

	device_tree_host();
	put_its(node, 0x9000);
	CELLS("pcie@50000000/msi-parent", 0x9000);
	ck_assert_str_eq(its_of("0001:02:00.1"),
			 node + sizeof(node) - HOSTPCI_ITS);
	tree_fini();
}
END_TEST

/* --- which ITS: IORT --- */

/* A table as it grows: the header, then nodes. DEN 0049F, 3.1. */
struct table {
	u8 bytes[1024];
	u32 len;
};

static void put(struct table *t, u32 at, u32 bytes, u32 val)
{
	memcpy(t->bytes + at, &val, bytes);
}

static void begin(struct table *t)
{
	*t = (struct table) { .bytes = "IORT", .len = 48 };
	put(t, 40, 4, 48);
}

/* @size: of the node, without the mappings that follow it. */
static u32 add_node(struct table *t, u8 type, u32 size, u32 mappings)
{
	u32 at = t->len, count;

	memcpy(&count, t->bytes + 36, 4);
	put(t, 36, 4, count + 1);
	put(t, at, 1, type);
	put(t, at + 1, 2, size + 20 * mappings);
	put(t, at + 8, 4, mappings);
	put(t, at + 12, 4, mappings ? size : 0);
	t->len += size + 20 * mappings;
	return at;
}

static u32 add_its(struct table *t, u32 number)
{
	u32 at = add_node(t, 0, 24, 0);

	put(t, at + 16, 4, 1);
	put(t, at + 20, 4, number);
	return at;
}

struct mapping {
	u32 first, span, to, node, flags;
};

static void put_mapping(struct table *t, u32 node, u32 size, u32 i,
			struct mapping m)
{
	u32 at = node + size + 20 * i;

	put(t, at, 4, m.first);
	put(t, at + 4, 4, m.span);
	put(t, at + 8, 4, m.to);
	put(t, at + 12, 4, m.node);
	put(t, at + 16, 4, m.flags);
}

#define SMMU 68 /* bytes of a node: revision E's SMMUv3 */
#define ROOT 40

/* Two root complexes; the first has an SMMU for its bus 1, whose own interrupts
 * go to ITS 9. */
static void make_iort(struct table *t)
{
	u32 its0, its5, its9, smmu, root;

	begin(t);
	its0 = add_its(t, 0);
	its5 = add_its(t, 5);
	its9 = add_its(t, 9);
	smmu = add_node(t, 4, SMMU, 3);
	put_mapping(t, smmu, SMMU, 0, (struct mapping) { 0, 0, 0x77, its9, 1 });
	put_mapping(t, smmu, SMMU, 1,
		    (struct mapping) { 0x10000, 0xff, 0x10000, its0, 0 });
	put_mapping(t, smmu, SMMU, 2,
		    (struct mapping) { 0x10100, 0xff, 0x10100, its5, 0 });
	root = add_node(t, 2, ROOT, 2);
	put_mapping(t, root, ROOT, 0,
		    (struct mapping) { 0x100, 0xff, 0x10100, smmu, 0 });
	put_mapping(t, root, ROOT, 1,
		    (struct mapping) { 0x200, 0, 0x200, its0, 0 });
	root = add_node(t, 2, ROOT, 1);
	put(t, root + 28, 4, 1);
	put_mapping(t, root, ROOT, 0,
		    (struct mapping) { 0, 0xffff, 0, its9, 0 });
}

static void iort_host(const struct table *t, u32 len)
{
	tree_bytes("firmware/acpi/tables/IORT", t->bytes, len);
}

START_TEST(its_by_iort)
{
	struct table t;

	tree_init();
	tree_function("", FUNCTION, 3, "");
	tree_function("", "0000:02:00.0", 3, "");
	tree_function("", "0000:02:00.1", 3, "");
	tree_function("", "0001:02:00.1", 4, "");
	tree_function("", "0002:01:00.0", 5, "");
	ck_assert_ptr_null(its_of(FUNCTION));
	make_iort(&t);
	iort_host(&t, t.len);
	ck_assert_str_eq(its_of(FUNCTION), "ITS 5");
	ck_assert_str_eq(its_of("0000:02:00.0"), "ITS 0");
	ck_assert_ptr_null(its_of("0000:02:00.1"));
	ck_assert_str_eq(its_of("0001:02:00.1"), "ITS 9");
	ck_assert_ptr_null(its_of("0002:01:00.0"));
	tree_fini();
}
END_TEST

/* The lab's host: QEMU 10.0's virt machine, with an SMMUv3 for buses 0 to 2. */
static const u8 qemu_iort[] = {
	0x49, 0x4f, 0x52, 0x54, 0xec, 0x00, 0x00, 0x00, 0x03, 0x4e, 0x42, 0x4f,
	0x43, 0x48, 0x53, 0x20, 0x42, 0x58, 0x50, 0x43, 0x20, 0x20, 0x20, 0x20,
	0x02, 0x00, 0x00, 0x00, 0x42, 0x58, 0x50, 0x43, 0x01, 0x00, 0x00, 0x00,
	0x03, 0x00, 0x00, 0x00, 0x30, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x18, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x04, 0x58, 0x00, 0x04, 0x01, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00,
	0x44, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x09, 0x00, 0x00, 0x00, 0x00,
	0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x6a, 0x00, 0x00, 0x00,
	0x6b, 0x00, 0x00, 0x00, 0x6d, 0x00, 0x00, 0x00, 0x6c, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x30, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x02, 0x4c, 0x00, 0x03, 0x02, 0x00, 0x00, 0x00,
	0x02, 0x00, 0x00, 0x00, 0x24, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x40, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0x02, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x48, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x03, 0x00, 0x00, 0xff, 0xfc, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00,
	0x30, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
};

START_TEST(its_by_a_real_iort)
{
	tree_init();
	tree_function("", FUNCTION, 3, "");
	tree_function("", "0000:ff:1f.7", 4, "");
	tree_bytes("firmware/acpi/tables/IORT", qemu_iort, sizeof(qemu_iort));
	ck_assert_str_eq(its_of(FUNCTION), "ITS 0");
	ck_assert_str_eq(its_of("0000:ff:1f.7"), "ITS 0");
	tree_fini();
}
END_TEST

/* Nothing outside of a table is looked at, and none is walked for ever. */
START_TEST(bad_iorts)
{
	struct table t;
	u32 root;

	tree_init();
	tree_function("", FUNCTION, 3, "");
	make_iort(&t);
	for (u32 len = 0; len < t.len; len++) {
		const char *its;

		iort_host(&t, len);
		its = its_of(FUNCTION);
		ck_assert(!its || !strcmp(its, "ITS 5"));
	}
	put(&t, 0, 1, 'X');
	iort_host(&t, t.len);
	ck_assert_ptr_null(its_of(FUNCTION));

	begin(&t);
	root = add_node(&t, 2, ROOT, 1);
	put_mapping(&t, root, ROOT, 0, (struct mapping) { 0, ~0u, 0, root, 0 });
	iort_host(&t, t.len);
	ck_assert_ptr_null(its_of(FUNCTION));
	put(&t, root + 8, 4, ~0u);
	put(&t, root + 12, 4, ~0u);
	put(&t, 36, 4, ~0u);
	iort_host(&t, t.len);
	ck_assert_ptr_null(its_of(FUNCTION));
	put(&t, 40, 4, ~0u);
	iort_host(&t, t.len);
	ck_assert_ptr_null(its_of(FUNCTION));
	tree_fini();
}
END_TEST

UNIT_MAIN("hostpci", names, functions, a_function_with_nothing, lists,
	  config_space, interrupts, few_interrupts, config_space_in_part,
	  bad_config_space, bars, groups, large_groups, who_holds_a_group,
	  its_by_msi_map, its_by_msi_parent, its_with_a_long_name, its_by_iort,
	  its_by_a_real_iort, bad_iorts)
