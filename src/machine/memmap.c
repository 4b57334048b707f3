#include <belfry/memmap.h>

#define GICD      0x08100000ull
#define GICR      0x08120000ull
#define UART      0x09000000ull
#define RTC       0x09010000ull
#define SMMU      0x09050000ull
#define GICR_MORE 0x0a000000ull
#define PCI_MEM32 0x10000000ull
#define PCI_ECAM  0x3f000000ull
#define RAM       0x40000000ull

/* KVM takes no fewer. */
#define IPA_BITS_MIN 32

/* Let addresses below @end exist. */
static void reach(struct memmap *m, gpa_t end)
{
	while (end > BIT(m->ipa_bits))
		m->ipa_bits++;
}

void memmap_init(struct memmap *m, u32 cpus, u64 ram_size, bool steal_time)
{
	u32 first = (u32)((UART - GICR) / MEMMAP_GICR_SIZE);

	*m = (struct memmap) {
		.its = MEMMAP_MSI_WINDOW - MEMMAP_ITS_SIZE / 2,
		.gicd = GICD,
		.gicr = { { GICR, MIN(cpus, first) } },
		.gicr_nr = 1,
		.uart = UART,
		.rtc = RTC,
		.ram = RAM,
		.ram_size = ram_size,
		.ram_usable = ram_size,
		.ipa_bits = IPA_BITS_MIN,
	};
	if (cpus > first)
		m->gicr[m->gicr_nr++] =
			(struct memmap_gicr) { GICR_MORE, cpus - first };
	/* In RAM's own slot: the kernel takes milliseconds to add another. */
	if (steal_time) {
		m->ram_usable -= MEMMAP_STEAL_TIME_SIZE;
		m->steal_time = RAM + m->ram_usable;
	}
	reach(m, RAM + ram_size);
}

/* In RAM's own slot, as the stolen-time records are. */
void memmap_add_hidden_its(struct memmap *m, u64 size)
{
	m->ram_usable -= size;
	m->hidden_its = m->ram + m->ram_usable;
}

void memmap_add_smmus(struct memmap *m, u32 nr)
{
	for (; m->smmus < nr; m->smmus++)
		m->smmu[m->smmus] = SMMU + m->smmus * MEMMAP_SMMU_SIZE;
}

void memmap_add_pci(struct memmap *m, u64 mem64_size)
{
	m->pci = (struct pci_windows) {
		.ecam = PCI_ECAM,
		.mem32 = PCI_MEM32,
		.mem32_size = PCI_ECAM - PCI_MEM32,
	};
	if (!mem64_size)
		return;
	m->pci.mem64 = ALIGN_UP(MAX(4 * GIB, m->ram + m->ram_size), mem64_size);
	m->pci.mem64_size = mem64_size;
	reach(m, m->pci.mem64 + mem64_size);
}

u32 memmap_mpidr(u32 i)
{
	return (i & 0xf) | ((i >> 4) & 0xff) << 8 | (i >> 12) << 16;
}
