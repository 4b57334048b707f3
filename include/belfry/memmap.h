/*
 * Where everything is in the guest's physical address space.
 *
 *	0x07ff0000  ITS, control frame (GITS_TRANSLATER's frame follows)
 *	0x08000000  the host's MSI window: the ITS translation frame, then a
 *	            hole that is never mapped and never RAM
 *	0x08100000  GICD    0x08120000  GICR, 128 KiB per vCPU, first 119 vCPUs
 *	0x09000000  PL011   0x09010000  PL031
 *	0x09050000  SMMUv3s, 128 KiB each, up to 8: one for each of the host's
 *	            that passed-through devices are behind
 *	0x0a000000  GICR of the other vCPUs
 *	0x10000000  PCI, 32-bit window         0x3f000000  ECAM, bus 0
 *	0x40000000  RAM; its last 64 KiB hold stolen-time records where there
 *	            are such, and the guest is not told of them as memory
 *	above RAM   PCI, 64-bit window, from 4 GiB up
 *
 * Of PCI there is nothing in a guest without such devices, and of SMMUs nothing
 * where none is behind one.
 *
 * The ITS stands 64 KiB below the MSI window so that its GITS_TRANSLATER, at
 * +0x10040, is the address at which a host's kernel maps the physical one: the
 * doorbell a passed-through device rings is then the guest's own. A guest whose
 * SMMU does not translate, or that maps the window as it is because the device
 * tree says so, reaches it there, too.
 */
#ifndef BELFRY_MEMMAP_H
#define BELFRY_MEMMAP_H

#include <belfry/base.h>
#include <belfry/pci.h>

#define MEMMAP_GICD_SIZE       (64 * KIB)
#define MEMMAP_GICR_SIZE       (128 * KIB) /* one vCPU's two frames */
#define MEMMAP_ITS_SIZE        (128 * KIB)
#define MEMMAP_SMMU_SIZE       (128 * KIB) /* pages 0 and 1 */
#define MEMMAP_SMMUS_MAX       8
#define MEMMAP_STEAL_TIME_SIZE (64 * KIB)
#define MEMMAP_CPUS_MAX        512

/* The host's, for messages of passed-through devices. */
#define MEMMAP_MSI_WINDOW      0x08000000ull
#define MEMMAP_MSI_WINDOW_SIZE (1 * MIB)

/* The interrupts of an SMMU, all of them edges. */
enum {
	SMMU_IRQ_EVENT,  /* the event queue is no longer empty */
	SMMU_IRQ_GERROR, /* a global error */
	SMMU_IRQ_SYNC,   /* a CMD_SYNC is done */
	SMMU_IRQS,
};

/* INTIDs (IHI 0069, 2.2): PPIs by BSA's convention, SPIs ours. */
enum {
	INTID_PMU = 23,
	INTID_TIMER_HYP = 26,
	INTID_TIMER_VIRT = 27,
	INTID_TIMER_SEC = 29,
	INTID_TIMER_PHYS = 30,
	INTID_SPI = 32,
	INTID_UART = INTID_SPI + 1,
	INTID_RTC = INTID_SPI + 2,
	INTID_INTX = INTID_SPI + 4, /* pins of PCI functions, level */
	INTX_WIRES = 4,
	INTID_SMMUS = INTID_SPI + 8,
	/* As few as the GIC allows: a guest clears each at boot, and exits. */
	INTID_LIMIT = 64,
};

/* Of SMMU @i. */
#define INTID_SMMU(i, irq) \
	((u32)INTID_SMMUS + (i) * (u32)SMMU_IRQS + (u32)(irq))

/* Redistributor frames for @cpus vCPUs at @base. */
struct memmap_gicr {
	gpa_t base;
	u32 cpus;
};

struct memmap {
	gpa_t its, gicd, uart, rtc;
	gpa_t smmu[MEMMAP_SMMUS_MAX];
	u32 smmus; /* so many of them there are */
	struct memmap_gicr gicr[2];
	u32 gicr_nr;
	gpa_t ram;
	u64 ram_size;           /* mapped */
	u64 ram_usable;         /* of that, the guest's to use */
	gpa_t steal_time;       /* records of 64 bytes, one per vCPU; 0: none */
	gpa_t hidden_its;       /* behind an ITS of ours; 0: none */
	struct pci_windows pci; /* all zero: no PCI */
	u32 ipa_bits;           /* smallest address size that holds all of it */
};

/* Pure. @cpus 1..MEMMAP_CPUS_MAX; @ram_size in bytes, at most 1 TiB. */
void memmap_init(struct memmap *m, u32 cpus, u64 ram_size, bool steal_time);

/* Set @size bytes aside for it, a multiple of 64 KiB, at the end of RAM. */
void memmap_add_hidden_its(struct memmap *m, u64 size);

/* Give it @nr SMMUs, up to MEMMAP_SMMUS_MAX. */
void memmap_add_smmus(struct memmap *m, u32 nr);

/* Give it PCI, with a 64-bit window of @mem64_size bytes, aligned to itself: a
 * power of two of at least 1 GiB, or 0 where all BARs fit below, which spares
 * the guest address bits. */
void memmap_add_pci(struct memmap *m, u64 mem64_size);

/*
 * The affinity of vCPU @i as KVM numbers it, in MPIDR_EL1's layout (Aff2:1:0):
 * 16 to a cluster, because ICC_SGI1R_EL1's target list has 16 bits.
 */
u32 memmap_mpidr(u32 i);

#endif
