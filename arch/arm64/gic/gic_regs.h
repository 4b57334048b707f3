/*
 * GICv3 registers and fields. Arm IHI 0069H, chapter 12.
 */
#ifndef BELFRY_GIC_REGS_H
#define BELFRY_GIC_REGS_H

#include <belfry/gic.h>

/* Distributor, 12.8 and 12.9 */
#define GICD_CTLR       0x0000
#define GICD_TYPER      0x0004
#define GICD_IIDR       0x0008
#define GICD_SETSPI_NSR 0x0040
#define GICD_CLRSPI_NSR 0x0048
/* Here begin blocks of 32 words, a bit for each interrupt: IGROUPR, ISENABLER,
 * ICENABLER, ISPENDR, ICPENDR, ISACTIVER, ICACTIVER. */
#define GICD_IGROUPR    0x0080
#define GICD_IPRIORITYR 0x0400 /* eight bits each, INTID 0 to 1019 */
#define GICD_ICFGR      0x0c00 /* two bits */
#define GICD_IROUTER32  0x6100 /* INTID 32 to 1019 */
#define GICD_PIDR2      0xffe8

/* GICD_CTLR, one security state */
#define GICD_CTLR_GRP0 BIT(0)
#define GICD_CTLR_GRP1 BIT(1)
#define GICD_CTLR_GRPS (GICD_CTLR_GRP0 | GICD_CTLR_GRP1)
#define GICD_CTLR_ARE  BIT(4)
#define GICD_CTLR_DS   BIT(6)

/* GICD_TYPER */
#define GICD_TYPER_ITLINES GENMASK(4, 0)
#define GICD_TYPER_MBIS    BIT(16)
#define GICD_TYPER_LPIS    BIT(17)
#define GICD_TYPER_IDBITS  GENMASK(23, 19)
#define GICD_TYPER_A3V     BIT(24)
#define GICD_TYPER_RSS     BIT(26)

/* GICD_SETSPI_NSR and GICD_CLRSPI_NSR */
#define GICD_SPI_INTID GENMASK(12, 0)

/* GICD_IROUTER */
#define GICD_IROUTER_AFF3 GENMASK(39, 32)
#define GICD_IROUTER_ANY  BIT(31) /* Interrupt_Routing_Mode: 1 of N */
#define GICD_IROUTER_AFF  GENMASK(23, 0)
#define GICD_IROUTER_BITS \
	(GICD_IROUTER_AFF3 | GICD_IROUTER_ANY | GICD_IROUTER_AFF)

/* GICD_IIDR, GICR_IIDR: product B, revision 0, and Arm as the implementer */
#define GIC_IIDR 0x4200043b
/* PIDR2: GICv3, Arm's JEDEC code */
#define GIC_PIDR2 0x3b

/* Redistributor, 12.10 and 12.11: RD_base, and SGI_base from 0x10000 */
#define GICR_CTLR      0x00000
#define GICR_IIDR      0x00004
#define GICR_TYPER     0x00008
#define GICR_WAKER     0x00014
#define GICR_PROPBASER 0x00070
#define GICR_PENDBASER 0x00078
#define GICR_INVLPIR   0x000a0
#define GICR_INVALLR   0x000b0
#define GICR_SYNCR     0x000c0
#define GICR_PIDR2     0x0ffe8
#define GICR_IGROUPR0                                          \
	0x10080 /* blocks as of GICD_IGROUPR, one word of each \
		 */
#define GICR_IPRIORITYR 0x10400
#define GICR_ICFGR0     0x10c00

/* GICR_CTLR */
#define GICR_CTLR_LPIS BIT(0)
#define GICR_CTLR_CES  BIT(1) /* LPIs may be disabled again */
#define GICR_CTLR_IR   BIT(2) /* GICR_INVLPIR and its like are there */
#define GICR_CTLR_DPG0 BIT(24)
#define GICR_CTLR_DPG1 BIT(25)
#define GICR_CTLR_DPGS (GICR_CTLR_DPG0 | GICR_CTLR_DPG1)

/* GICR_TYPER */
#define GICR_TYPER_PLPIS BIT(0)
#define GICR_TYPER_LAST  BIT(4)
#define GICR_TYPER_DPGS  BIT(5)
#define GICR_TYPER_CPU   GENMASK(23, 8)
#define GICR_TYPER_AFF   GENMASK(63, 32)

/* GICR_WAKER */
#define GICR_WAKER_PROCESSOR_SLEEP BIT(1)
#define GICR_WAKER_CHILDREN_ASLEEP BIT(2)

/* GICR_PROPBASER and GICR_PENDBASER. Memory is coherent
 * whatever cacheability a guest asks for, so all of it is kept. */
#define GICR_PROPBASER_IDBITS GENMASK(4, 0)
#define GICR_PROPBASER_PA     GENMASK(51, 12)
#define GICR_PENDBASER_PA     GENMASK(51, 16)
#define GICR_PENDBASER_PTZ    BIT(62)
#define GICR_BASER_MEMORY     (GENMASK(58, 56) | GENMASK(11, 7))
#define GICR_PROPBASER_BITS \
	(GICR_BASER_MEMORY | GICR_PROPBASER_PA | GICR_PROPBASER_IDBITS)
#define GICR_PENDBASER_BITS (GICR_BASER_MEMORY | GICR_PENDBASER_PA)

/* GICR_INVLPIR */
#define GICR_INVLPIR_INTID GENMASK(31, 0)

/* An entry of the LPI configuration table, 5.1.1 */
#define LPI_CONFIG_PRIO   GENMASK(7, 2)
#define LPI_CONFIG_ENABLE BIT(0)

/* CPU interface, 12.2 */
#define ICC(crn, crm, op2) GIC_SYSREG(3, 0, crn, crm, op2)
#define ICC_PMR_EL1        ICC(4, 6, 0)
#define ICC_IAR0_EL1       ICC(12, 8, 0)
#define ICC_EOIR0_EL1      ICC(12, 8, 1)
#define ICC_HPPIR0_EL1     ICC(12, 8, 2)
#define ICC_BPR0_EL1       ICC(12, 8, 3)
#define ICC_AP0R0_EL1      ICC(12, 8, 4)
#define ICC_AP1R0_EL1      ICC(12, 9, 0)
#define ICC_DIR_EL1        ICC(12, 11, 1)
#define ICC_RPR_EL1        ICC(12, 11, 3)
#define ICC_SGI1R_EL1      ICC(12, 11, 5)
#define ICC_ASGI1R_EL1     ICC(12, 11, 6)
#define ICC_SGI0R_EL1      ICC(12, 11, 7)
#define ICC_IAR1_EL1       ICC(12, 12, 0)
#define ICC_EOIR1_EL1      ICC(12, 12, 1)
#define ICC_HPPIR1_EL1     ICC(12, 12, 2)
#define ICC_BPR1_EL1       ICC(12, 12, 3)
#define ICC_CTLR_EL1       ICC(12, 12, 4)
#define ICC_SRE_EL1        ICC(12, 12, 5)
#define ICC_IGRPEN0_EL1    ICC(12, 12, 6)
#define ICC_IGRPEN1_EL1    ICC(12, 12, 7)

/* ICC_CTLR_EL1 */
#define ICC_CTLR_CBPR    BIT(0)
#define ICC_CTLR_EOIMODE BIT(1)
#define ICC_CTLR_BITS    (ICC_CTLR_CBPR | ICC_CTLR_EOIMODE)
#define ICC_CTLR_PRIBITS GENMASK(10, 8)
#define ICC_CTLR_A3V     BIT(15)
#define ICC_CTLR_RSS     BIT(18)

/* ICC_SRE_EL1: SRE, and no bypass of FIQ or IRQ */
#define ICC_SRE_VALUE 0x7

#define ICC_INTID     GENMASK(23, 0)
#define ICC_BPR_BITS  GENMASK(2, 0)

/* ICC_SGI1R_EL1 and its like */
#define ICC_SGIR_TARGETS GENMASK(15, 0)
#define ICC_SGIR_AFF1    GENMASK(23, 16)
#define ICC_SGIR_INTID   GENMASK(27, 24)
#define ICC_SGIR_AFF2    GENMASK(39, 32)
#define ICC_SGIR_OTHERS  BIT(40) /* IRM */
#define ICC_SGIR_RS      GENMASK(47, 44)
#define ICC_SGIR_AFF3    GENMASK(55, 48)

#endif
