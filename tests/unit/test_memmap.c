/* The memory map: nothing overlaps, and it is as small as can be. */
#include "unit.h"

#include <belfry/memmap.h>

#define MSI_WINDOW     0x08000000ull
#define MSI_WINDOW_END 0x08100000ull

struct span {
	const char *name;
	u64 start, end;
};

#define SPANS_MAX (13 + MEMMAP_SMMUS_MAX)

/* Everything of a map, and the window that must stay the host's. */
static size_t spans_of(const struct memmap *m, struct span *s)
{
	size_t n = 0;

	s[n++] = (struct span) { "its", m->its, m->its + MEMMAP_ITS_SIZE };
	s[n++] = (struct span) { "rest of the window", m->its + MEMMAP_ITS_SIZE,
				 MSI_WINDOW_END };
	s[n++] = (struct span) { "gicd", m->gicd, m->gicd + MEMMAP_GICD_SIZE };
	for (u32 i = 0; i < m->gicr_nr; i++)
		s[n++] = (struct span) {
			"gicr", m->gicr[i].base,
			m->gicr[i].base + m->gicr[i].cpus * MEMMAP_GICR_SIZE
		};
	s[n++] = (struct span) { "uart", m->uart, m->uart + 64 * KIB };
	s[n++] = (struct span) { "rtc", m->rtc, m->rtc + 64 * KIB };
	for (u32 i = 0; i < m->smmus; i++)
		s[n++] = (struct span) { "smmu", m->smmu[i],
					 m->smmu[i] + MEMMAP_SMMU_SIZE };
	s[n++] = (struct span) { "ram", m->ram, m->ram + m->ram_size };
	s[n++] = (struct span) { "ecam", m->pci.ecam,
				 m->pci.ecam + PCI_ECAM_SIZE };
	s[n++] = (struct span) { "mem32", m->pci.mem32,
				 m->pci.mem32 + m->pci.mem32_size };
	s[n++] = (struct span) { "mem64", m->pci.mem64,
				 m->pci.mem64 + m->pci.mem64_size };
	return n;
}

static void check_map(u32 cpus, u64 ram)
{
	struct memmap m;
	struct span s[SPANS_MAX];
	size_t n;
	u32 frames = 0;

	memmap_init(&m, cpus, ram, false);
	memmap_add_smmus(&m, MEMMAP_SMMUS_MAX);
	memmap_add_pci(&m, 64 * GIB);
	n = spans_of(&m, s);
	for (size_t i = 0; i < n; i++) {
		ck_assert_msg(IS_ALIGNED(s[i].start, 64 * KIB),
			      "%s is not aligned for 64 KiB pages", s[i].name);
		ck_assert_uint_le(s[i].end, BIT(m.ipa_bits));
		for (size_t j = 0; j < i; j++)
			ck_assert_msg(s[i].end <= s[j].start ||
					      s[j].end <= s[i].start,
				      "%u cpus: %s overlaps %s", cpus,
				      s[i].name, s[j].name);
	}
	for (u32 i = 0; i < m.gicr_nr; i++) {
		ck_assert_uint_gt(m.gicr[i].cpus, 0);
		frames += m.gicr[i].cpus;
	}
	ck_assert_uint_eq(frames, cpus);
	ck_assert_uint_eq(m.ram_size, ram);
}

START_TEST(nothing_overlaps)
{
	static const u64 sizes[] = {
		2 * MIB, 128 * MIB, GIB,       3 * GIB,
		4 * GIB, 63 * GIB,  512 * GIB, 1024 * GIB
	};

	for (u32 cpus = 1; cpus <= MEMMAP_CPUS_MAX; cpus++)
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
			check_map(cpus, sizes[i]);
}
END_TEST

/* One region of redistributors for as long as it fits below the UART. */
START_TEST(a_second_region_from_120_cpus)
{
	static const struct {
		u32 cpus, regions, first, second;
	} rows[] = {
		{ 1, 1, 1, 0 },     { 8, 1, 8, 0 },       { 119, 1, 119, 0 },
		{ 120, 2, 119, 1 }, { 512, 2, 119, 393 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct memmap m;

		memmap_init(&m, rows[i].cpus, GIB, false);
		ck_assert_uint_eq(m.gicr_nr, rows[i].regions);
		ck_assert_uint_eq(m.gicr[0].cpus, rows[i].first);
		ck_assert_uint_eq(m.gicr[1].cpus, rows[i].second);
	}
}
END_TEST

START_TEST(the_smallest_address_size)
{
	static const struct {
		u64 ram;
		u32 bits;
	} rows[] = {
		{ 2 * MIB, 32 },
		{ 3 * GIB, 32 },
		{ 3 * GIB + 2 * MIB, 33 },
		{ 7 * GIB, 33 },
		{ 7 * GIB + 2 * MIB, 34 },
		{ 63 * GIB, 36 },
		{ 63 * GIB + 2 * MIB, 37 },
		{ 511 * GIB, 39 },
		{ 512 * GIB, 40 },
		{ 1023 * GIB, 40 },
		{ 1024 * GIB, 41 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct memmap m;

		memmap_init(&m, 1, rows[i].ram, false);
		ck_assert_msg(m.ipa_bits == rows[i].bits, "row %zu: %u bits", i,
			      m.ipa_bits);
	}
}
END_TEST

/* PCI's windows are where each kind of BAR can be: below 4 GiB, and above. */
START_TEST(pci_windows)
{
	static const struct {
		u64 ram, mem64, size;
		u32 bits;
	} rows[] = {
		{ 32 * MIB, 0, 0, 32 },
		{ 32 * MIB, 4 * GIB, GIB, 33 },
		{ 3 * GIB, 4 * GIB, GIB, 33 },
		{ 3 * GIB + 2 * MIB, 5 * GIB, GIB, 33 },
		{ 7 * GIB, 8 * GIB, 8 * GIB, 34 },
		{ 1024 * GIB, 1025 * GIB, GIB, 41 },
		{ 32 * MIB, 4 * GIB, 4 * GIB, 33 },
		{ 32 * MIB, 8 * GIB, 8 * GIB, 34 },
		{ 8 * GIB, 16 * GIB, 16 * GIB, 35 },
		{ 32 * MIB, 256 * GIB, 256 * GIB, 39 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct memmap m;

		memmap_init(&m, 1, rows[i].ram, false);
		ck_assert_uint_eq(m.pci.ecam, 0);
		memmap_add_pci(&m, rows[i].size);
		ck_assert_uint_le(m.pci.mem32 + m.pci.mem32_size, 4 * GIB);
		ck_assert_uint_eq(m.pci.mem64, rows[i].mem64);
		ck_assert_uint_eq(m.pci.mem64_size, rows[i].size);
		/* A BAR as large as it fits. */
		if (rows[i].size)
			ck_assert(IS_ALIGNED(m.pci.mem64, rows[i].size));
		ck_assert_msg(m.ipa_bits == rows[i].bits, "row %zu: %u bits", i,
			      m.ipa_bits);
	}
}
END_TEST

/* They are at RAM's end, in none of what the guest may use. */
START_TEST(stolen_time_records)
{
	struct memmap m;

	memmap_init(&m, MEMMAP_CPUS_MAX, GIB, false);
	ck_assert_uint_eq(m.steal_time, 0);
	ck_assert_uint_eq(m.ram_usable, GIB);

	memmap_init(&m, MEMMAP_CPUS_MAX, GIB, true);
	ck_assert_uint_eq(m.ram_size, GIB);
	ck_assert_uint_eq(m.steal_time, m.ram + m.ram_usable);
	/* pvtime.rst: 64 bytes a vCPU, so aligned. */
	ck_assert_uint_eq(m.steal_time % 64, 0);
	ck_assert_uint_ge(m.ram_size - m.ram_usable, MEMMAP_CPUS_MAX * 64);
}
END_TEST

/* In RAM's slot, in none of what the guest may use, apart from stolen time. */
START_TEST(a_hidden_its)
{
	static const u64 sizes[] = { 64 * KIB, MIB + 192 * KIB, 2 * MIB };
	static const u64 rams[] = { 32 * MIB, 34 * MIB, 1024 * GIB };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		for (size_t j = 0; j < 2 * ARRAY_SIZE(rams); j++) {
			struct memmap m, plain;
			u64 ram = rams[j / 2];
			gpa_t end;

			memmap_init(&plain, 4, ram, j % 2);
			ck_assert_uint_eq(plain.hidden_its, 0);
			m = plain;
			memmap_add_hidden_its(&m, sizes[i]);
			end = m.hidden_its + sizes[i];
			ck_assert(IS_ALIGNED(m.hidden_its, 64 * KIB));
			ck_assert_uint_eq(m.hidden_its, m.ram + m.ram_usable);
			ck_assert_uint_eq(end, m.steal_time ? m.steal_time
							    : m.ram + ram);
			/* Nothing else moves. */
			ck_assert_uint_eq(m.ram_size, ram);
			ck_assert_uint_eq(m.steal_time, plain.steal_time);
			ck_assert_uint_eq(m.its, plain.its);
			ck_assert_uint_eq(m.ipa_bits, plain.ipa_bits);
		}
}
END_TEST

START_TEST(smmus)
{
	struct memmap m, plain;

	memmap_init(&plain, 1, GIB, false);
	ck_assert_uint_eq(plain.smmus, 0);
	for (u32 nr = 0; nr <= MEMMAP_SMMUS_MAX; nr++) {
		m = plain;
		memmap_add_smmus(&m, nr);
		ck_assert_uint_eq(m.smmus, nr);
		for (u32 i = 0; i < MEMMAP_SMMUS_MAX; i++)
			ck_assert_uint_eq(m.smmu[i],
					  i < nr ? 0x09050000 + i * 0x20000ull
						 : 0);
		/* Nothing else moves. */
		ck_assert_uint_eq(m.ipa_bits, plain.ipa_bits);
		ck_assert_uint_eq(m.ram_usable, plain.ram_usable);
	}
}
END_TEST

/*
 * The guest writes its doorbell's page offset; the host's kernel adds that to
 * the window's base. Both must be the same register (IHI 0069, 12.20).
 */
START_TEST(the_doorbell_is_where_the_host_maps_its_own)
{
	struct memmap m;

	memmap_init(&m, 1, GIB, false);
	ck_assert_uint_eq(m.its + 0x10040, MSI_WINDOW + 0x40);
}
END_TEST

/* As KVM makes MPIDR_EL1 of a vCPU's number: 16, then 256, to a level. */
START_TEST(affinities)
{
	static const struct {
		u32 i, mpidr;
	} rows[] = {
		{ 0, 0 },          { 1, 1 },        { 15, 15 },
		{ 16, 0x100 },     { 17, 0x101 },   { 31, 0x10f },
		{ 119, 0x707 },    { 511, 0x1f0f }, { 4095, 0xff0f },
		{ 4096, 0x10000 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		ck_assert_uint_eq(memmap_mpidr(rows[i].i), rows[i].mpidr);
}
END_TEST

/* Each of its own, all of them SPIs that there are. */
START_TEST(interrupts_exist)
{
	bool taken[INTID_LIMIT] = { false };
	u32 spis[2 + INTX_WIRES + MEMMAP_SMMUS_MAX * SMMU_IRQS], nr = 0;

	spis[nr++] = INTID_UART;
	spis[nr++] = INTID_RTC;
	for (u32 i = 0; i < INTX_WIRES; i++)
		spis[nr++] = INTID_INTX + i;
	for (u32 i = 0; i < MEMMAP_SMMUS_MAX; i++)
		for (u32 irq = 0; irq < SMMU_IRQS; irq++)
			spis[nr++] = INTID_SMMU(i, irq);
	ck_assert_uint_eq(nr, ARRAY_SIZE(spis));
	for (u32 i = 0; i < nr; i++) {
		ck_assert_uint_ge(spis[i], INTID_SPI);
		ck_assert_uint_lt(spis[i], INTID_LIMIT);
		ck_assert_msg(!taken[spis[i]], "%u twice", spis[i]);
		taken[spis[i]] = true;
	}
	/* arm-vgic-v3.rst: 64 to 1024 in steps of 32. */
	ck_assert_uint_ge(INTID_LIMIT, 64);
	ck_assert_uint_eq(INTID_LIMIT % 32, 0);
}
END_TEST

UNIT_MAIN("memmap", nothing_overlaps, a_second_region_from_120_cpus,
	  the_smallest_address_size, pci_windows, stolen_time_records,
	  a_hidden_its, smmus, the_doorbell_is_where_the_host_maps_its_own,
	  affinities, interrupts_exist)
