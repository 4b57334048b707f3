#include <belfry/memmap.h>

#define MSI_WINDOW 0x08000000ull
#define GICD       0x08100000ull
#define GICR       0x08120000ull
#define UART       0x09000000ull
#define RTC        0x09010000ull
#define GICR_MORE  0x0a000000ull
#define RAM        0x40000000ull

/* KVM takes no fewer. */
#define IPA_BITS_MIN 32

void memmap_init(struct memmap *m, u32 cpus, u64 ram_size, bool steal_time)
{
	u32 first = (u32)((UART - GICR) / MEMMAP_GICR_SIZE);

	*m = (struct memmap) {
		.its = MSI_WINDOW - MEMMAP_ITS_SIZE / 2,
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
	while (RAM + ram_size > BIT(m->ipa_bits))
		m->ipa_bits++;
}

u32 memmap_mpidr(u32 i)
{
	return (i & 0xf) | ((i >> 4) & 0xff) << 8 | (i >> 12) << 16;
}
