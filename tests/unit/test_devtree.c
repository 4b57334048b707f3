/*
 * The guest's device tree, parsed back: every property a kernel acts on, for
 * machines of all sizes, and not a word of complaint from dtc.
 */
#include "unit.h"

#include <belfry/devtree.h>
#include <belfry/pl011.h>
#include <belfry/pl031.h>

#include <errno.h>
#include <libfdt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A machine and its tree, in a buffer of exactly devtree_size() bytes. */
struct bench {
	struct memmap map;
	struct devtree d;
	void *fdt;
};

static void bench_write(struct bench *b)
{
	size_t size = devtree_size(&b->d);
	struct err e = { 0 };
	int len;

	b->fdt = malloc(size);
	ck_assert_ptr_nonnull(b->fdt);
	/* What a buffer held before must not show. */
	memset(b->fdt, 0xa5, size);
	len = devtree_write(&b->d, b->fdt, size, &e);
	ck_assert_msg(len > 0, "%s", e.msg);
	ck_assert_uint_le((size_t)len, size);
	ck_assert_int_eq((int)fdt_totalsize(b->fdt), len);
	ck_assert_int_eq(fdt_check_full(b->fdt, (size_t)len), 0);
}

static void bench_init(struct bench *b, u32 cpus, bool steal_time)
{
	*b = (struct bench) { 0 };
	memmap_init(&b->map, cpus, 512 * MIB, steal_time);
	b->d = (struct devtree) {
		.map = &b->map,
		.cpus = cpus,
		.cmdline = "console=ttyAMA0 root=/dev/vda",
		.kaslr_seed = 0x1122334455667788,
	};
	for (u8 i = 0; i < DEVTREE_RNG_SEED; i++)
		b->d.rng_seed[i] = i;
}

static int node_at(const struct bench *b, const char *path)
{
	int node = fdt_path_offset(b->fdt, path);

	ck_assert_msg(node >= 0, "%s: %s", path, fdt_strerror(node));
	return node;
}

static void has_bytes(const struct bench *b, const char *path, const char *name,
		      const void *want, size_t want_len)
{
	int len;
	const void *got = fdt_getprop(b->fdt, node_at(b, path), name, &len);

	ck_assert_msg(got && len == (int)want_len, "%s: %s: length %d", path,
		      name, len);
	ck_assert_msg(!memcmp(got, want, want_len), "%s: %s differs", path,
		      name);
}

static void has_str(const struct bench *b, const char *path, const char *name,
		    const char *want)
{
	has_bytes(b, path, name, want, strlen(want) + 1);
}

static void has_none(const struct bench *b, const char *path, const char *name)
{
	int len;

	ck_assert_msg(!fdt_getprop(b->fdt, node_at(b, path), name, &len),
		      "%s: %s is there", path, name);
}

/* @nr cells of 32 bits follow. */
static void has_cells(const struct bench *b, const char *path, const char *name,
		      int nr, ...)
{
	fdt32_t want[32];
	va_list ap;

	ck_assert_int_le(nr, (int)ARRAY_SIZE(want));
	va_start(ap, nr);
	for (int i = 0; i < nr; i++)
		want[i] = cpu_to_fdt32(va_arg(ap, u32));
	va_end(ap);
	has_bytes(b, path, name, want, (size_t)nr * sizeof(want[0]));
}

#define HI(v)   ((u32)((u64)(v) >> 32))
#define LO(v)   ((u32)(v))
#define WIDE(v) HI(v), LO(v)

static void check_cpus(const struct bench *b)
{
	int cpus = node_at(b, "/cpus"), node;
	u32 i = 0;

	has_cells(b, "/cpus", "#address-cells", 1, 1u);
	has_cells(b, "/cpus", "#size-cells", 1, 0u);
	fdt_for_each_subnode(node, b->fdt, cpus)
	{
		char path[64];
		u32 mpidr = memmap_mpidr(i++);

		snprintf(path, sizeof(path), "/cpus/cpu@%x", mpidr);
		ck_assert_int_eq(node_at(b, path), node);
		has_str(b, path, "device_type", "cpu");
		has_str(b, path, "compatible", "arm,armv8");
		has_cells(b, path, "reg", 1, mpidr);
		has_str(b, path, "enable-method", "psci");
	}
	ck_assert_uint_eq(i, b->d.cpus);
}

static void check_gic(const struct bench *b)
{
	const char *gic = "/interrupt-controller@8100000";
	const char *its =
		"/interrupt-controller@8100000/msi-controller@7ff0000";
	u32 first = MIN(b->d.cpus, 119u);

	has_str(b, gic, "compatible", "arm,gic-v3");
	has_bytes(b, gic, "interrupt-controller", "", 0);
	has_cells(b, gic, "#interrupt-cells", 1, 3u);
	if (b->d.cpus <= 119)
		has_cells(b, gic, "reg", 8, WIDE(0x8100000), WIDE(0x10000),
			  WIDE(0x8120000), WIDE(first * 0x20000ull));
	else
		has_cells(b, gic, "reg", 12, WIDE(0x8100000), WIDE(0x10000),
			  WIDE(0x8120000), WIDE(first * 0x20000ull),
			  WIDE(0xa000000),
			  WIDE((b->d.cpus - 119) * 0x20000ull));
	has_cells(b, gic, "#redistributor-regions", 1,
		  b->d.cpus <= 119 ? 1u : 2u);
	/* The ITS is a child: its bus must be the root's. */
	has_bytes(b, gic, "ranges", "", 0);
	has_cells(b, gic, "#address-cells", 1, 2u);
	has_cells(b, gic, "#size-cells", 1, 2u);
	ck_assert_uint_eq(fdt_get_phandle(b->fdt, node_at(b, gic)),
			  fdt32_to_cpu(*(const fdt32_t *)fdt_getprop(
				  b->fdt, 0, "interrupt-parent", NULL)));

	has_str(b, its, "compatible", "arm,gic-v3-its");
	has_bytes(b, its, "msi-controller", "", 0);
	has_cells(b, its, "#msi-cells", 1, 1u);
	has_cells(b, its, "reg", 4, WIDE(0x7ff0000), WIDE(0x20000));
	ck_assert_uint_ne(fdt_get_phandle(b->fdt, node_at(b, its)), 0);
}

/* PPIs by BSA's convention less 16, all level: INTIDs 29, 30, 27, 26. */
static void check_core(const struct bench *b)
{
	has_cells(b, "/", "#address-cells", 1, 2u);
	has_cells(b, "/", "#size-cells", 1, 2u);
	has_str(b, "/memory@40000000", "device_type", "memory");
	has_cells(b, "/memory@40000000", "reg", 4, WIDE(0x40000000),
		  WIDE(b->map.ram_usable));
	has_bytes(b, "/psci", "compatible", "arm,psci-1.0\0arm,psci-0.2", 26);
	has_str(b, "/psci", "method", "hvc");
	has_str(b, "/timer", "compatible", "arm,armv8-timer");
	has_cells(b, "/timer", "interrupts", 12, 1u, 13u, 4u, 1u, 14u, 4u, 1u,
		  11u, 4u, 1u, 10u, 4u);
	has_bytes(b, "/timer", "always-on", "", 0);
}

static void check_amba(const struct bench *b)
{
	u32 clock = fdt_get_phandle(b->fdt, node_at(b, "/apb-pclk"));

	ck_assert_uint_ne(clock, 0);
	has_str(b, "/apb-pclk", "compatible", "fixed-clock");
	has_cells(b, "/apb-pclk", "#clock-cells", 1, 0u);
	has_cells(b, "/apb-pclk", "clock-frequency", 1, 24000000u);

	has_bytes(b, "/serial@9000000", "compatible",
		  "arm,pl011\0arm,primecell", 24);
	has_cells(b, "/serial@9000000", "reg", 4, WIDE(0x9000000),
		  WIDE(0x1000));
	has_cells(b, "/serial@9000000", "interrupts", 3, 0u, 1u, 4u);
	has_cells(b, "/serial@9000000", "clocks", 2, clock, clock);
	has_bytes(b, "/serial@9000000", "clock-names", "uartclk\0apb_pclk", 17);

	has_bytes(b, "/rtc@9010000", "compatible", "arm,pl031\0arm,primecell",
		  24);
	has_cells(b, "/rtc@9010000", "reg", 4, WIDE(0x9010000), WIDE(0x1000));
	has_cells(b, "/rtc@9010000", "interrupts", 3, 0u, 2u, 4u);
	has_cells(b, "/rtc@9010000", "clocks", 1, clock);
	has_str(b, "/rtc@9010000", "clock-names", "apb_pclk");
}

static void check_chosen(const struct bench *b)
{
	has_str(b, "/chosen", "bootargs", b->d.cmdline);
	has_str(b, "/chosen", "stdout-path", "/serial@9000000");
	has_cells(b, "/chosen", "kaslr-seed", 2, WIDE(b->d.kaslr_seed));
	has_bytes(b, "/chosen", "rng-seed", b->d.rng_seed, DEVTREE_RNG_SEED);
}

static const u32 cpu_counts[] = { 1, 8, 17, 119, 120, 512 };

static void check_tree(u32 cpus, bool steal_time)
{
	struct bench b;

	bench_init(&b, cpus, steal_time);
	bench_write(&b);
	check_core(&b);
	check_cpus(&b);
	check_gic(&b);
	check_amba(&b);
	check_chosen(&b);
	has_none(&b, "/chosen", "linux,initrd-start");
	has_none(&b, "/chosen", "linux,initrd-end");
	ck_assert_int_lt(fdt_path_offset(b.fdt, "/pmu"), 0);
	free(b.fdt);
}

START_TEST(trees_of_all_sizes)
{
	for (size_t i = 0; i < ARRAY_SIZE(cpu_counts); i++) {
		check_tree(cpu_counts[i], false);
		check_tree(cpu_counts[i], true);
	}
}
END_TEST

START_TEST(an_initrd_and_a_pmu)
{
	struct bench b;

	bench_init(&b, 2, true);
	b.d.pmu = true;
	/* Above 4 GiB, as it is in large guests. */
	b.d.initrd = 0x1234567000;
	b.d.initrd_end = 0x1239999123;
	bench_write(&b);
	has_cells(&b, "/chosen", "linux,initrd-start", 2, 0x12u, 0x34567000u);
	has_cells(&b, "/chosen", "linux,initrd-end", 2, 0x12u, 0x39999123u);
	has_str(&b, "/pmu", "compatible", "arm,armv8-pmuv3");
	has_cells(&b, "/pmu", "interrupts", 3, 1u, 7u, 4u);
	free(b.fdt);
}
END_TEST

START_TEST(a_pci_bus)
{
	struct bench b;
	const char *node = "/pcie@3f000000";
	const char *its =
		"/interrupt-controller@8100000/msi-controller@7ff0000";

	bench_init(&b, 1, false);
	bench_write(&b);
	ck_assert_int_lt(fdt_path_offset(b.fdt, node), 0);
	free(b.fdt);

	memmap_add_pci(&b.map, 2 * GIB);
	bench_write(&b);
	has_str(&b, node, "compatible", "pci-host-ecam-generic");
	has_str(&b, node, "device_type", "pci");
	has_cells(&b, node, "reg", 4, 0u, 0x3f000000u, 0u, 0x100000u);
	has_cells(&b, node, "bus-range", 2, 0u, 0u);
	has_cells(&b, node, "ranges", 14, 0x02000000u, 0u, 0x10000000u, 0u,
		  0x10000000u, 0u, 0x2f000000u, 0x03000000u, 1u, 0u, 1u, 0u, 0u,
		  0x80000000u);
	/* DeviceID is RID, at the ITS. */
	has_cells(&b, node, "msi-map", 4, 0u,
		  fdt_get_phandle(b.fdt, node_at(&b, its)), 0u, 0x100u);
	/* What devices write, the guest's caches see. */
	has_bytes(&b, node, "dma-coherent", "", 0);
	free(b.fdt);

	/* Without a window above 4 GiB. */
	bench_init(&b, 1, false);
	memmap_add_pci(&b.map, 0);
	bench_write(&b);
	has_cells(&b, node, "ranges", 7, 0x02000000u, 0u, 0x10000000u, 0u,
		  0x10000000u, 0u, 0x2f000000u);
	free(b.fdt);
}
END_TEST

/* As memmap.h and the key smmu have it. */
static void add_smmus(struct bench *b, u32 nr)
{
	memmap_add_smmus(&b->map, nr);
	memmap_add_pci(&b->map, 0);
}

static void add_streams(struct bench *b, u32 rid, u32 count, u32 smmu)
{
	b->d.streams[b->d.streams_nr++] =
		(struct devtree_streams) { rid, count, smmu, rid };
}

static u32 phandle_at(const struct bench *b, const char *path)
{
	u32 phandle = fdt_get_phandle(b->fdt, node_at(b, path));

	ck_assert_uint_ne(phandle, 0);
	return phandle;
}

START_TEST(smmus)
{
	struct bench b;
	u32 phandles[MEMMAP_SMMUS_MAX];

	bench_init(&b, 1, false);
	add_smmus(&b, MEMMAP_SMMUS_MAX);
	bench_write(&b);
	for (u32 i = 0; i < MEMMAP_SMMUS_MAX; i++) {
		u32 at = 0x9050000 + i * 0x20000, spi = 8 + 3 * i;
		char path[64];

		snprintf(path, sizeof(path), "/iommu@%x", at);
		has_str(&b, path, "compatible", "arm,smmu-v3");
		has_cells(&b, path, "reg", 4, 0u, at, 0u, 0x20000u);
		has_cells(&b, path, "interrupts", 9, 0u, spi, 1u, 0u, spi + 1,
			  1u, 0u, spi + 2, 1u);
		has_bytes(&b, path, "interrupt-names",
			  "eventq\0gerror\0cmdq-sync", 24);
		has_cells(&b, path, "#iommu-cells", 1, 1u);
		has_bytes(&b, path, "dma-coherent", "", 0);
		phandles[i] = phandle_at(&b, path);
		for (u32 k = 0; k < i; k++)
			ck_assert_uint_ne(phandles[i], phandles[k]);
	}
	free(b.fdt);

	bench_init(&b, 1, false);
	memmap_add_pci(&b.map, 0);
	bench_write(&b);
	ck_assert_int_lt(fdt_path_offset(b.fdt, "/iommu@9050000"), 0);
	has_none(&b, "/pcie@3f000000", "iommu-map");
	free(b.fdt);
}
END_TEST

START_TEST(streams)
{
	struct bench b;

	bench_init(&b, 1, false);
	add_smmus(&b, 2);
	add_streams(&b, 0x08, 1, 1);
	add_streams(&b, 0x10, 0xf0, 0);
	bench_write(&b);
	has_cells(&b, "/pcie@3f000000", "iommu-map", 8, 0x08u,
		  phandle_at(&b, "/iommu@9070000"), 0x08u, 1u, 0x10u,
		  phandle_at(&b, "/iommu@9050000"), 0x10u, 0xf0u);
	ck_assert_int_lt(fdt_path_offset(b.fdt, "/reserved-memory"), 0);
	free(b.fdt);
}
END_TEST

/* Levels of the GIC's, which has addresses of two cells; and without such
 * functions not a word of it. */
START_TEST(pins)
{
	const char *node = "/pcie@3f000000", *gic;
	u32 whose;
	struct bench b;

	bench_init(&b, 1, false);
	memmap_add_pci(&b.map, 0);
	b.d.pin[b.d.pins++] = (struct devtree_pin) { 0x08, 36 };
	b.d.pin[b.d.pins++] = (struct devtree_pin) { 0xff, 39 };
	bench_write(&b);
	gic = "/interrupt-controller@8100000";
	whose = phandle_at(&b, gic);
	has_cells(&b, gic, "#address-cells", 1, 2u);
	has_cells(&b, node, "#interrupt-cells", 1, 1u);
	has_cells(&b, node, "interrupt-map-mask", 4, 0xff00u, 0u, 0u, 7u);
	has_cells(&b, node, "interrupt-map", 20, 0x0800u, 0u, 0u, 1u, whose, 0u,
		  0u, 0u, 4u, 4u, 0xff00u, 0u, 0u, 1u, whose, 0u, 0u, 0u, 7u,
		  4u);
	free(b.fdt);

	bench_init(&b, 1, false);
	memmap_add_pci(&b.map, 0);
	bench_write(&b);
	has_none(&b, node, "interrupt-map");
	has_none(&b, node, "interrupt-map-mask");
	has_none(&b, node, "#interrupt-cells");
	free(b.fdt);
}
END_TEST

static u64 read_cells(const fdt32_t *cell, u32 nr)
{
	u64 val = 0;

	while (nr--)
		val = val << 32 | fdt32_to_cpu(*cell++);
	return val;
}

struct area {
	u64 start, size;
};

/*
 * What Linux's of_iommu_get_resv_regions makes of the node @function: areas
 * that are mapped as they are, up to two; how many.
 */
static u32 resv_regions(const struct bench *b, int function,
			struct area areas[static 2])
{
	int len, region = fdt_node_offset_by_phandle(
			 b->fdt,
			 (u32)read_cells(fdt_getprop(b->fdt, function,
						     "memory-region", NULL),
					 1));
	const fdt32_t *reg = fdt_getprop(b->fdt, region, "reg", NULL);
	const fdt32_t *p = fdt_getprop(b->fdt, region, "iommu-addresses", &len);
	const fdt32_t *end = p + len / 4;
	u32 nr = 0;

	ck_assert(reg && p);
	while (p < end) {
		u32 phandle = fdt32_to_cpu(*p++);

		if (fdt_node_offset_by_phandle(b->fdt, phandle) != function)
			continue;
		/* of_translate_dma_region: the cells of its parent, of which
		 * the first falls off the top. */
		ck_assert(end - p >= 5 && nr < 2);
		areas[nr].start = read_cells(p, 3);
		areas[nr].size = read_cells(p + 3, 2);
		ck_assert_uint_eq(areas[nr].start, read_cells(reg, 2));
		ck_assert_uint_eq(areas[nr].size, read_cells(reg + 2, 2));
		nr++;
		p += 5;
	}
	return nr;
}

/* A function that finds the MSI window where it is, and others that do not. */
START_TEST(a_window_mapped_as_it_is)
{
	static const struct {
		u32 rid;
		const char *path;
	} rows[] = {
		{ 0x08, "/pcie@3f000000/device@1,0" },
		{ 0xff, "/pcie@3f000000/device@1f,7" },
		{ 0x00, "/pcie@3f000000/device@0,0" },
	};
	struct bench b;

	for (u32 nr = 1; nr <= ARRAY_SIZE(rows); nr++) {
		bench_init(&b, 1, false);
		add_smmus(&b, 1);
		add_streams(&b, 0, 256, 0);
		for (u32 i = 0; i < nr; i++)
			b.d.rmr[b.d.rmrs++] = rows[i].rid;
		bench_write(&b);
		has_cells(&b, "/reserved-memory", "#address-cells", 1, 2u);
		has_cells(&b, "/reserved-memory", "#size-cells", 1, 2u);
		has_bytes(&b, "/reserved-memory", "ranges", "", 0);
		/* No memory that a kernel could use or map. */
		has_bytes(&b, "/reserved-memory/msi@8000000", "no-map", "", 0);
		for (u32 i = 0; i < nr; i++) {
			struct area areas[2];

			/* of_pci_get_devfn: bits 15 to 8. */
			has_cells(&b, rows[i].path, "reg", 5, rows[i].rid << 8,
				  0u, 0u, 0u, 0u);
			ck_assert_uint_eq(
				resv_regions(&b, node_at(&b, rows[i].path),
					     areas),
				1);
			ck_assert_uint_eq(areas[0].start, 0x08000000);
			ck_assert_uint_eq(areas[0].size, 0x100000);
		}
		if (nr == 1)
			ck_assert_int_lt(fdt_path_offset(b.fdt, rows[1].path),
					 0);
		free(b.fdt);
	}
}
END_TEST

/* As much of everything as there can be, in devtree_size() bytes. */
static void fill(struct bench *b)
{
	b->d.pmu = true;
	memmap_add_smmus(&b->map, MEMMAP_SMMUS_MAX);
	memmap_add_pci(&b->map, GIB);
	for (u32 i = 0; i < DEVTREE_STREAMS_MAX; i++)
		add_streams(b, 2 * i, 1, i % MEMMAP_SMMUS_MAX);
	for (u32 i = 0; i < DEVTREE_RMRS_MAX; i++)
		b->d.rmr[b->d.rmrs++] = 4 * i + 128;
	for (u32 i = 0; i < DEVTREE_PINS_MAX; i++)
		b->d.pin[b->d.pins++] = (struct devtree_pin) { 8 * i, 36 };
	b->d.initrd = b->map.ram;
	b->d.initrd_end = b->map.ram + 4096;
}

START_TEST(room_for_all)
{
	for (size_t i = 0; i < ARRAY_SIZE(cpu_counts); i++) {
		size_t size;
		struct bench b;

		bench_init(&b, cpu_counts[i], true);
		fill(&b);
		bench_write(&b);
		/* Whether a function needs one is known later. */
		size = devtree_size(&b.d);
		b.d.rmrs = 0;
		ck_assert_uint_eq(devtree_size(&b.d), size);
		free(b.fdt);
		/* And with next to nothing else. */
		bench_init(&b, cpu_counts[i], false);
		b.d.cmdline = "";
		add_smmus(&b, 1);
		add_streams(&b, 8, 1, 0);
		for (u32 k = 0; k < DEVTREE_RMRS_MAX; k++)
			b.d.rmr[b.d.rmrs++] = k;
		bench_write(&b);
		free(b.fdt);
		/* Nor an SMMU. */
		for (u32 nr = 1; nr <= DEVTREE_PINS_MAX; nr++) {
			bench_init(&b, cpu_counts[i], false);
			b.d.cmdline = "";
			memmap_add_pci(&b.map, 0);
			for (u32 k = 0; k < nr; k++)
				b.d.pin[b.d.pins++] =
					(struct devtree_pin) { 8 * k, 36 };
			bench_write(&b);
			free(b.fdt);
		}
	}
}
END_TEST

static void no_irq(void *ctx, u32 intid, bool level)
{
	(void)ctx;
	(void)intid;
	(void)level;
}

/* PeriphID0 to 3, a byte each, as the device itself would give them. */
static u32 periphid(const struct mmio_ops *ops, void *dev)
{
	u32 id = 0;

	ck_assert_ptr_nonnull(dev);
	for (u32 i = 0; i < 4; i++)
		id |= (u32)ops->read(dev, 0xfe0 + 4 * i, 4) << (8 * i);
	return id;
}

/* The kernel takes our word instead of reading the device: it must be true. */
START_TEST(peripheral_ids)
{
	const struct irq_line irq = { .set = no_irq };
	const struct chars_wire wire = { 0 };
	const struct pl031_world world = { 0 };
	struct pl011 *uart = pl011_create(&irq, &wire);
	struct pl031 *rtc = pl031_create(&irq, &world);
	struct bench b;

	bench_init(&b, 1, false);
	bench_write(&b);
	has_cells(&b, "/serial@9000000", "arm,primecell-periphid", 1,
		  periphid(&pl011_mmio, uart));
	has_cells(&b, "/rtc@9010000", "arm,primecell-periphid", 1,
		  periphid(&pl031_mmio, rtc));
	free(b.fdt);
	pl031_destroy(rtc);
	pl011_destroy(uart);
}
END_TEST

START_TEST(a_long_command_line)
{
	static char cmdline[60000];
	struct bench b;

	memset(cmdline, 'x', sizeof(cmdline) - 1);
	for (u32 cpus = 1; cpus <= MEMMAP_CPUS_MAX; cpus += 73) {
		bench_init(&b, cpus, true);
		b.d.cmdline = cmdline;
		b.d.pmu = true;
		b.d.initrd_end = 4096;
		bench_write(&b);
		check_chosen(&b);
		free(b.fdt);
	}
}
END_TEST

START_TEST(the_same_input_the_same_bytes)
{
	struct bench a, b;

	bench_init(&a, 4, false);
	bench_write(&a);
	bench_init(&b, 4, false);
	bench_write(&b);
	ck_assert_uint_eq(fdt_totalsize(a.fdt), fdt_totalsize(b.fdt));
	ck_assert_mem_eq(a.fdt, b.fdt, fdt_totalsize(a.fdt));
	free(a.fdt);
	free(b.fdt);
}
END_TEST

START_TEST(a_buffer_too_small)
{
	struct bench b;
	struct err e = { 0 };
	char buf[512];

	bench_init(&b, 1, false);
	ck_assert_int_eq(devtree_write(&b.d, buf, sizeof(buf), &e), -ENOSPC);
	ck_assert_int_eq(e.code, -ENOSPC);
}
END_TEST

/* What dtc says of the tree, into @said; false if there is no dtc. */
static bool ask_dtc(const struct bench *b, char *said, size_t size)
{
	char path[] = "/tmp/belfry-devtree-XXXXXX", command[128];
	int fd = mkstemp(path);
	ssize_t len = (ssize_t)fdt_totalsize(b->fdt);
	FILE *out;
	size_t n;
	int status;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, b->fdt, (size_t)len), len);
	close(fd);
	snprintf(command, sizeof(command),
		 "dtc -I dtb -O dts -o /dev/null %s 2>&1", path);
	out = popen(command, "r");
	ck_assert_ptr_nonnull(out);
	n = fread(said, 1, size - 1, out);
	said[n] = '\0';
	status = pclose(out);
	unlink(path);
	if (status >> 8 == 127)
		return false;
	ck_assert_msg(status == 0, "%s", said);
	return true;
}

START_TEST(dtc_has_nothing_to_say)
{
	char said[4096];
	struct bench b;

	for (size_t i = 0; i < ARRAY_SIZE(cpu_counts); i++) {
		bench_init(&b, cpu_counts[i], true);
		b.d.pmu = true;
		memmap_add_pci(&b.map, GIB);
		b.d.initrd = b.map.ram;
		b.d.initrd_end = b.map.ram + 4096;
		bench_write(&b);
		if (ask_dtc(&b, said, sizeof(said)))
			ck_assert_str_eq(said, "");
		free(b.fdt);
		bench_init(&b, cpu_counts[i], true);
		fill(&b);
		bench_write(&b);
		if (ask_dtc(&b, said, sizeof(said)))
			ck_assert_str_eq(said, "");
		free(b.fdt);
	}
}
END_TEST

UNIT_MAIN("devtree", trees_of_all_sizes, an_initrd_and_a_pmu, a_pci_bus, smmus,
	  streams, pins, a_window_mapped_as_it_is, room_for_all, peripheral_ids,
	  a_long_command_line, the_same_input_the_same_bytes,
	  a_buffer_too_small, dtc_has_nothing_to_say)
