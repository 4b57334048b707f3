#include <belfry/devtree.h>

#include <belfry/dt.h>

#include <stdio.h>
#include <string.h>

/* The first cell of a GIC interrupt specifier, and the numbers it counts. */
enum { GIC_SPI, GIC_PPI };
#define SPI(intid)  GIC_SPI, (intid)-32
#define PPI(intid)  GIC_PPI, (intid)-16
#define EDGE_RISING 1
#define LEVEL_HIGH  4

enum {
	PHANDLE_GIC = 1,
	PHANDLE_ITS,
	PHANDLE_CLOCK,
	PHANDLE_WINDOW,
	PHANDLE_SMMU,
	PHANDLE_FUNCTION = PHANDLE_SMMU + MEMMAP_SMMUS_MAX, /* plus the RID */
};

/*
 * What the AMBA bus would read from the ID registers of each device, eight
 * exits a device: told here instead (bindings/arm/primecell.yaml).
 */
#define PERIPHID_PL011 0x00341011
#define PERIPHID_PL031 0x00041031

static void chosen(struct dt *t, const struct devtree *d)
{
	char uart[32];

	snprintf(uart, sizeof(uart), "/serial@%llx",
		 (unsigned long long)d->map->uart);
	dt_node(t, "chosen");
	dt_str(t, "bootargs", d->cmdline);
	dt_str(t, "stdout-path", uart);
	if (d->initrd_end > d->initrd) {
		dt_u64(t, "linux,initrd-start", d->initrd);
		dt_u64(t, "linux,initrd-end", d->initrd_end);
	}
	dt_u64(t, "kaslr-seed", d->kaslr_seed);
	dt_bytes(t, "rng-seed", d->rng_seed, sizeof(d->rng_seed));
	dt_node_end(t);
}

static void cpus(struct dt *t, const struct devtree *d)
{
	dt_node(t, "cpus");
	dt_u32(t, "#address-cells", 1);
	dt_u32(t, "#size-cells", 0);
	for (u32 i = 0; i < d->cpus; i++) {
		u32 mpidr = memmap_mpidr(i);

		dt_node(t, "cpu@%x", mpidr);
		dt_str(t, "device_type", "cpu");
		dt_str(t, "compatible", "arm,armv8");
		dt_u32(t, "reg", mpidr);
		dt_str(t, "enable-method", "psci");
		dt_node_end(t);
	}
	dt_node_end(t);
}

static void core_devices(struct dt *t, const struct devtree *d)
{
	dt_node(t, "psci");
	dt_strs(t, "compatible", "arm,psci-1.0\0arm,psci-0.2");
	dt_str(t, "method", "hvc");
	dt_node_end(t);

	dt_node(t, "timer");
	dt_str(t, "compatible", "arm,armv8-timer");
	dt_u32(t, "interrupts", PPI(INTID_TIMER_SEC), LEVEL_HIGH,
	       PPI(INTID_TIMER_PHYS), LEVEL_HIGH, PPI(INTID_TIMER_VIRT),
	       LEVEL_HIGH, PPI(INTID_TIMER_HYP), LEVEL_HIGH);
	dt_empty(t, "always-on");
	dt_node_end(t);

	if (!d->pmu)
		return;
	dt_node(t, "pmu");
	dt_str(t, "compatible", "arm,armv8-pmuv3");
	dt_u32(t, "interrupts", PPI(INTID_PMU), LEVEL_HIGH);
	dt_node_end(t);
}

static void gic(struct dt *t, const struct memmap *m)
{
	u64 reg[2 + 2 * ARRAY_SIZE(m->gicr)] = { m->gicd, MEMMAP_GICD_SIZE };
	size_t n = 2;

	for (u32 i = 0; i < m->gicr_nr; i++) {
		reg[n++] = m->gicr[i].base;
		reg[n++] = m->gicr[i].cpus * MEMMAP_GICR_SIZE;
	}

	dt_node(t, "interrupt-controller@%llx", (unsigned long long)m->gicd);
	dt_str(t, "compatible", "arm,gic-v3");
	dt_wide(t, "reg", reg, n);
	dt_u32(t, "#redistributor-regions", m->gicr_nr);
	dt_u32(t, "#interrupt-cells", 3);
	dt_empty(t, "interrupt-controller");
	dt_u32(t, "#address-cells", 2);
	dt_u32(t, "#size-cells", 2);
	dt_empty(t, "ranges");
	dt_u32(t, "phandle", PHANDLE_GIC);

	dt_node(t, "msi-controller@%llx", (unsigned long long)m->its);
	dt_str(t, "compatible", "arm,gic-v3-its");
	dt_u64(t, "reg", m->its, MEMMAP_ITS_SIZE);
	dt_empty(t, "msi-controller");
	dt_u32(t, "#msi-cells", 1);
	dt_u32(t, "phandle", PHANDLE_ITS);
	dt_node_end(t);
	dt_node_end(t);
}

static void amba(struct dt *t, const struct memmap *m)
{
	dt_node(t, "apb-pclk");
	dt_str(t, "compatible", "fixed-clock");
	dt_u32(t, "#clock-cells", 0);
	dt_u32(t, "clock-frequency", 24000000);
	dt_u32(t, "phandle", PHANDLE_CLOCK);
	dt_node_end(t);

	dt_node(t, "serial@%llx", (unsigned long long)m->uart);
	dt_strs(t, "compatible", "arm,pl011\0arm,primecell");
	dt_u64(t, "reg", m->uart, 0x1000);
	dt_u32(t, "interrupts", SPI(INTID_UART), LEVEL_HIGH);
	dt_u32(t, "clocks", PHANDLE_CLOCK, PHANDLE_CLOCK);
	dt_strs(t, "clock-names", "uartclk\0apb_pclk");
	dt_u32(t, "arm,primecell-periphid", PERIPHID_PL011);
	dt_node_end(t);

	dt_node(t, "rtc@%llx", (unsigned long long)m->rtc);
	dt_strs(t, "compatible", "arm,pl031\0arm,primecell");
	dt_u64(t, "reg", m->rtc, 0x1000);
	dt_u32(t, "interrupts", SPI(INTID_RTC), LEVEL_HIGH);
	dt_u32(t, "clocks", PHANDLE_CLOCK);
	dt_str(t, "clock-names", "apb_pclk");
	dt_u32(t, "arm,primecell-periphid", PERIPHID_PL031);
	dt_node_end(t);
}

static void smmus(struct dt *t, const struct memmap *m)
{
	for (u32 i = 0; i < m->smmus; i++) {
		dt_node(t, "iommu@%llx", (unsigned long long)m->smmu[i]);
		dt_str(t, "compatible", "arm,smmu-v3");
		dt_u64(t, "reg", m->smmu[i], MEMMAP_SMMU_SIZE);
		dt_u32(t, "interrupts", SPI(INTID_SMMU(i, SMMU_IRQ_EVENT)),
		       EDGE_RISING, SPI(INTID_SMMU(i, SMMU_IRQ_GERROR)),
		       EDGE_RISING, SPI(INTID_SMMU(i, SMMU_IRQ_SYNC)),
		       EDGE_RISING);
		dt_strs(t, "interrupt-names", "eventq\0gerror\0cmdq-sync");
		dt_u32(t, "#iommu-cells", 1);
		dt_empty(t, "dma-coherent");
		dt_u32(t, "phandle", PHANDLE_SMMU + i);
		dt_node_end(t);
	}
}

/* The space code of an address in bindings/pci (IEEE 1275 PCI
 * binding, 2.2.1.1). */
#define SPACE_MEM32 0x02000000
#define SPACE_MEM64 0x03000000

/* One entry of ranges: the bus sees the addresses that the CPUs do. */
#define RANGE(space, at, size)                                               \
	(space), (u32)((at) >> 32), (u32)(at), (u32)((at) >> 32), (u32)(at), \
		(u32)((size) >> 32), (u32)(size)

/*
 * The MSI window as something that some functions must find where it is. Linux
 * (of_iommu_get_resv_regions) maps it for those whose node names it by
 * memory-region and which it names by iommu-addresses; as it is, because reg
 * says the same. Those are addresses of the function's bus, so three cells. It
 * looks at every cell of another function's as if it were a phandle: none is.
 */
static void reserved_memory(struct dt *t, const struct devtree *d)
{
	u32 cells[6 * DEVTREE_RMRS_MAX];
	size_t n = 0;

	if (!d->rmrs)
		return;
	for (u32 i = 0; i < d->rmrs; i++) {
		cells[n++] = PHANDLE_FUNCTION + d->rmr[i];
		cells[n++] = SPACE_MEM32;
		cells[n++] = 0;
		cells[n++] = (u32)MEMMAP_MSI_WINDOW;
		cells[n++] = 0;
		cells[n++] = (u32)MEMMAP_MSI_WINDOW_SIZE;
	}
	dt_node(t, "reserved-memory");
	dt_u32(t, "#address-cells", 2);
	dt_u32(t, "#size-cells", 2);
	dt_empty(t, "ranges");
	dt_node(t, "msi@%llx", MEMMAP_MSI_WINDOW);
	dt_u64(t, "reg", MEMMAP_MSI_WINDOW, MEMMAP_MSI_WINDOW_SIZE);
	dt_empty(t, "no-map");
	dt_cells(t, "iommu-addresses", cells, n);
	dt_u32(t, "phandle", PHANDLE_WINDOW);
	dt_node_end(t);
	dt_node_end(t);
}

/* bindings/pci/pci-iommu.txt: first RID, whose, first stream, how many. */
static void iommu_map(struct dt *t, const struct devtree *d)
{
	u32 cells[4 * DEVTREE_STREAMS_MAX];
	size_t n = 0;

	for (u32 i = 0; i < d->streams_nr; i++) {
		cells[n++] = d->streams[i].rid;
		cells[n++] = PHANDLE_SMMU + d->streams[i].smmu;
		cells[n++] = d->streams[i].stream;
		cells[n++] = d->streams[i].count;
	}
	if (n)
		dt_cells(t, "iommu-map", cells, n);
}

/* Devicetree Specification 0.4, 2.4.3: a function's INTA, whose interrupt that
 * is, the address there, which. */
static void interrupt_map(struct dt *t, const struct devtree *d)
{
	u32 cells[10 * DEVTREE_PINS_MAX];
	size_t n = 0;

	for (u32 i = 0; i < d->pins; i++) {
		const u32 entry[] = {
			d->pin[i].rid << 8, 0, 0, 1,
			PHANDLE_GIC,        0, 0, SPI(d->pin[i].intid),
			LEVEL_HIGH
		};

		memcpy(cells + n, entry, sizeof(entry));
		n += ARRAY_SIZE(entry);
	}
	if (!n)
		return;
	dt_u32(t, "#interrupt-cells", 1);
	dt_u32(t, "interrupt-map-mask", 0xff00, 0, 0, 7);
	dt_cells(t, "interrupt-map", cells, n);
}

/* Others a guest finds by itself. */
static void functions(struct dt *t, const struct devtree *d)
{
	for (u32 i = 0; i < d->rmrs; i++) {
		u32 rid = d->rmr[i];

		dt_node(t, "device@%x,%x", rid >> 3, rid & 7);
		dt_u32(t, "reg", rid << 8, 0, 0, 0, 0);
		dt_u32(t, "memory-region", PHANDLE_WINDOW);
		dt_u32(t, "phandle", PHANDLE_FUNCTION + rid);
		dt_node_end(t);
	}
}

/* Each RID is its own DeviceID: msi-map is one to one. */
static void pci(struct dt *t, const struct devtree *d)
{
	const struct pci_windows *w = &d->map->pci;
	const u32 ranges[] = {
		RANGE(SPACE_MEM32, w->mem32, w->mem32_size),
		RANGE(SPACE_MEM64, w->mem64, w->mem64_size),
	};
	size_t nr = ARRAY_SIZE(ranges);

	if (!w->ecam)
		return;
	dt_node(t, "pcie@%llx", (unsigned long long)w->ecam);
	dt_str(t, "compatible", "pci-host-ecam-generic");
	dt_str(t, "device_type", "pci");
	dt_u64(t, "reg", w->ecam, PCI_ECAM_SIZE);
	dt_u32(t, "bus-range", 0, 0);
	dt_u32(t, "linux,pci-domain", 0);
	dt_u32(t, "#address-cells", 3);
	dt_u32(t, "#size-cells", 2);
	dt_cells(t, "ranges", ranges, w->mem64_size ? nr : nr / 2);
	dt_u32(t, "msi-map", 0, PHANDLE_ITS, 0, PCI_FUNCTIONS_MAX);
	iommu_map(t, d);
	interrupt_map(t, d);
	dt_empty(t, "dma-coherent");
	functions(t, d);
	dt_node_end(t);
}

size_t devtree_size(const struct devtree *d)
{
	size_t size = 4 * KIB + strlen(d->cmdline) + d->cpus * 160ull;

	/* For the first of them also strings, and what holds the rmrs. */
	if (d->map->smmus)
		size += 512 + d->map->smmus * 256ull + d->streams_nr * 16ull +
			DEVTREE_RMRS_MAX * 128ull;
	if (d->pins)
		size += 128 + d->pins * 40ull;
	return size;
}

int devtree_write(const struct devtree *d, void *buf, size_t size,
		  struct err *e)
{
	struct dt t;

	dt_begin(&t, buf, size);
	dt_u32(&t, "#address-cells", 2);
	dt_u32(&t, "#size-cells", 2);
	dt_str(&t, "compatible", "linux,dummy-virt");
	dt_str(&t, "model", "Belfry");
	dt_u32(&t, "interrupt-parent", PHANDLE_GIC);

	chosen(&t, d);
	dt_node(&t, "memory@%llx", (unsigned long long)d->map->ram);
	dt_str(&t, "device_type", "memory");
	dt_u64(&t, "reg", d->map->ram, d->map->ram_usable);
	dt_node_end(&t);
	cpus(&t, d);
	core_devices(&t, d);
	gic(&t, d->map);
	amba(&t, d->map);
	smmus(&t, d->map);
	pci(&t, d);
	reserved_memory(&t, d);
	return dt_finish(&t, e);
}
