/*
 * SMMUv3 registers, structures in memory, commands and events. Arm IHI 0070G,
 * chapters 4 to 7. Fields of what is not offered are left out.
 */
#ifndef BELFRY_SMMU_REGS_H
#define BELFRY_SMMU_REGS_H

#include <belfry/base.h>

#include <assert.h>

/* Page 0 */
#define SMMU_IDR0            0x0000 /* to IDR5 */
#define SMMU_IIDR            0x0018
#define SMMU_AIDR            0x001c
#define SMMU_CR0             0x0020
#define SMMU_CR0ACK          0x0024
#define SMMU_CR1             0x0028
#define SMMU_CR2             0x002c
#define SMMU_STATUSR         0x0040
#define SMMU_GBPA            0x0044
#define SMMU_IRQ_CTRL        0x0050
#define SMMU_IRQ_CTRLACK     0x0054
#define SMMU_GERROR          0x0060
#define SMMU_GERRORN         0x0064
#define SMMU_GERROR_IRQ_CFG0 0x0068
#define SMMU_GERROR_IRQ_CFG1 0x0070 /* and CFG2 */
#define SMMU_STRTAB_BASE     0x0080
#define SMMU_STRTAB_BASE_CFG 0x0088
#define SMMU_CMDQ_BASE       0x0090
#define SMMU_CMDQ_PROD       0x0098
#define SMMU_CMDQ_CONS       0x009c
#define SMMU_EVENTQ_BASE     0x00a0
#define SMMU_EVENTQ_IRQ_CFG0 0x00b0
#define SMMU_EVENTQ_IRQ_CFG1 0x00b8 /* and CFG2 */
/* Page 1 */
#define SMMU_EVENTQ_PROD 0x100a8
#define SMMU_EVENTQ_CONS 0x100ac

/* SMMU_IDR0 */
#define IDR0_S1P         BIT(1)
#define IDR0_TTF         GENMASK(3, 2) /* bit 1 of it: VMSAv8-64 */
#define IDR0_COHACC      BIT(4)
#define IDR0_HTTU        GENMASK(7, 6) /* 1: access flag, 2: dirty state, too */
#define IDR0_ASID16      BIT(12)
#define IDR0_MSI         BIT(13)
#define IDR0_TTENDIAN    GENMASK(22, 21) /* 0: mixed, 2: little */
#define IDR0_STALL_MODEL GENMASK(25, 24) /* 0: may, 1: none, 2: all */
#define IDR0_TERM_MODEL  BIT(26)         /* with abort only */
#define IDR0_ST_LEVEL    GENMASK(28, 27)
#define STALL_MODEL_MAY  0

/* SMMU_IDR1 */
#define IDR1_SIDSIZE GENMASK(5, 0)
#define IDR1_EVENTQS GENMASK(20, 16)
#define IDR1_CMDQS   GENMASK(25, 21)

/* SMMU_IDR3 */
#define IDR3_HAD  BIT(2)
#define IDR3_RIL  BIT(10)
#define IDR3_BBML GENMASK(12, 11)

/* SMMU_IDR5 */
#define IDR5_OAS     GENMASK(2, 0)
#define IDR5_GRAN4K  BIT(4)
#define IDR5_GRAN16K BIT(5)
#define IDR5_GRAN64K BIT(6)
#define IDR5_DS      BIT(7)
#define IDR5_VAX     GENMASK(11, 10)

/* Of Arm's form; a product that is none of Arm's, and no revision. */
#define IIDR 0x0420043b
#define AIDR 0x01 /* SMMUv3.1 */

/* SMMU_CR0 */
#define CR0_SMMUEN   BIT(0)
#define CR0_EVENTQEN BIT(2)
#define CR0_CMDQEN   BIT(3)
#define CR0_BITS     (CR0_SMMUEN | CR0_EVENTQEN | CR0_CMDQEN)

/* SMMU_CR1 */
#define CR1_QUEUE GENMASK(5, 0)
#define CR1_TABLE GENMASK(11, 6)

/* SMMU_CR2 */
#define CR2_RECINVSID BIT(1)

/* SMMU_GBPA */
#define GBPA_ABORT  BIT(20)
#define GBPA_UPDATE BIT(31)

/* SMMU_IRQ_CTRL */
#define IRQ_CTRL_GERROR BIT(0)
#define IRQ_CTRL_EVENTQ BIT(2)

/* SMMU_GERROR, SMMU_GERRORN */
#define GERROR_CMDQ           BIT(0)
#define GERROR_EVENTQ_ABT     BIT(2)
#define GERROR_MSI_CMDQ_ABT   BIT(4)
#define GERROR_MSI_EVENTQ_ABT BIT(5)
#define GERROR_MSI_GERROR_ABT BIT(7)
#define GERROR_BITS                                              \
	(GERROR_CMDQ | GERROR_EVENTQ_ABT | GERROR_MSI_CMDQ_ABT | \
	 GERROR_MSI_EVENTQ_ABT | GERROR_MSI_GERROR_ABT)

/* SMMU_*_IRQ_CFG0 and 2; CFG1 is all of it data. */
#define IRQ_CFG0_ADDR GENMASK(55, 2)
#define IRQ_CFG2_ATTR GENMASK(5, 0) /* SH, MemAttr */

/* SMMU_STRTAB_BASE, SMMU_STRTAB_BASE_CFG */
#define STRTAB_BASE_RA      BIT(62)
#define STRTAB_BASE_ADDR    GENMASK(51, 6)
#define STRTAB_CFG_LOG2SIZE GENMASK(5, 0)
#define STRTAB_CFG_SPLIT    GENMASK(10, 6)
#define STRTAB_CFG_FMT      GENMASK(17, 16)
#define STRTAB_2LEVEL       1

/* SMMU_CMDQ_BASE, SMMU_EVENTQ_BASE */
#define Q_BASE_ALLOC    BIT(62)
#define Q_BASE_ADDR     GENMASK(51, 5)
#define Q_BASE_LOG2SIZE GENMASK(4, 0)

/* SMMU_*Q_PROD, SMMU_*Q_CONS; a wrap flag is above the index */
#define Q_INDEX       GENMASK(19, 0)
#define CMDQ_CONS_ERR GENMASK(30, 24)
#define EVENTQ_OVFLG  BIT(31) /* in CONS: OVACKFLG */

enum {
	CERROR_NONE = 0,
	CERROR_ILL = 1,
	CERROR_ABT = 2,
};

/* Level 1 stream table descriptor, 5.1. */
#define L1STD_SPAN  GENMASK(4, 0)
#define L1STD_L2PTR GENMASK(55, 6)

/* Stream table entry, 5.2. */
struct ste {
	u64 word[8]; /* little endian in memory */
};
static_assert(sizeof(struct ste) == 64, "IHI 0070G, 5.2");

#define STE_0_V            BIT(0)
#define STE_0_CONFIG       GENMASK(3, 1)
#define STE_0_S1CTXPTR     GENMASK(55, 6)
#define STE_1_S1CIR        GENMASK(3, 2)
#define STE_1_S1COR        GENMASK(5, 4)
#define STE_1_S1CSH        GENMASK(7, 6)
#define STE_1_S1STALLD     BIT(27)
#define STE_CONFIG_TRAFFIC 4 /* without this bit: abort */
#define STE_CONFIG_S2      2
#define STE_CONFIG_S1      1

/* Context descriptor, 5.4. */
struct cd {
	u64 word[8]; /* little endian in memory */
};
static_assert(sizeof(struct cd) == 64, "IHI 0070G, 5.4");

/* Word 0; T1SZ, TG1, SH1 and EPD1 are as those of 0, so many bits up. */
#define CD_0_HALF 16
#define CD_0_TSZ  GENMASK(5, 0)
#define CD_0_TG   GENMASK(7, 6)
#define CD_0_SH   GENMASK(13, 12)
#define CD_0_EPD  BIT(14)
#define CD_0_ENDI BIT(15)
#define CD_0_V    BIT(31)
#define CD_0_IPS  GENMASK(34, 32)
#define CD_0_AFFD BIT(35)
#define CD_0_WXN  BIT(36)
#define CD_0_TBI  BIT(38) /* TBI1 is the next */
#define CD_0_PAN  BIT(40)
#define CD_0_AA64 BIT(41)
#define CD_0_HD   BIT(42)
#define CD_0_HA   BIT(43)
#define CD_0_S    BIT(44)
#define CD_0_R    BIT(45)
#define CD_0_A    BIT(46)
#define CD_0_ASID GENMASK(63, 48)
/* Words 1 and 2: of TTB0, of TTB1 */
#define CD_12_HAD BIT(1)
#define CD_12_TTB GENMASK(51, 4)
#define CD_2_DS   BIT(58)

/* Commands, 4. */
enum {
	CMD_PREFETCH_CONFIG = 0x01,
	CMD_PREFETCH_ADDR = 0x02,
	CMD_CFGI_STE = 0x03,
	CMD_CFGI_STE_RANGE = 0x04, /* CFGI_ALL, too */
	CMD_CFGI_CD = 0x05,
	CMD_CFGI_CD_ALL = 0x06,
	CMD_TLBI_NH_ALL = 0x10,
	CMD_TLBI_NH_ASID = 0x11,
	CMD_TLBI_NH_VA = 0x12,
	CMD_TLBI_NH_VAA = 0x13,
	CMD_TLBI_NSNH_ALL = 0x30,
	CMD_SYNC = 0x46,
};

#define CMD_0_OPCODE     GENMASK(7, 0)
#define CMD_0_SSEC       BIT(10)
#define CMD_0_SID        GENMASK(63, 32)
#define CFGI_1_LEAF      BIT(0)
#define CFGI_1_RANGE     GENMASK(4, 0) /* bits of StreamIDs, less one */
#define TLBI_0_NUM       GENMASK(16, 12)
#define TLBI_0_SCALE     GENMASK(25, 20)
#define TLBI_0_SCALE_TOP BIT(25) /* with IDR5.DS */
#define TLBI_0_ASID      GENMASK(63, 48)
#define TLBI_0_ASID_TOP  GENMASK(63, 56) /* with IDR0.ASID16 */
#define TLBI_1_LEAF      BIT(0)
#define TLBI_1_TTL       GENMASK(9, 8)
#define TLBI_1_TG        GENMASK(11, 10) /* 1, 2, 3: 4, 16, 64 KiB */
#define TLBI_1_ADDR      GENMASK(63, 12)
#define SYNC_0_CS        GENMASK(13, 12) /* 0: none, 2: SEV, of which is none */
#define SYNC_0_MSIDATA   GENMASK(63, 32)
#define SYNC_1_MSIADDR   GENMASK(55, 2)
#define SYNC_CS_IRQ      1
#define SYNC_CS_RESERVED 3

/* Events, 7.3. */
struct smmu_record {
	u64 word[4]; /* little endian in memory */
};
static_assert(sizeof(struct smmu_record) == 32, "IHI 0070G, 7.3");

enum {
	C_BAD_STREAMID = 0x02,
	F_STE_FETCH = 0x03,
	C_BAD_STE = 0x04,
	F_STREAM_DISABLED = 0x06,
	C_BAD_SUBSTREAMID = 0x08,
	F_CD_FETCH = 0x09,
	C_BAD_CD = 0x0a,
	F_WALK_EABT = 0x0b,
	F_TRANSLATION = 0x10,
	F_ADDR_SIZE = 0x11,
	F_ACCESS = 0x12,
	F_PERMISSION = 0x13,
};

#define EVENT_0_ID     GENMASK(7, 0)
#define EVENT_0_SSID   GENMASK(31, 12)
#define EVENT_0_SID    GENMASK(63, 32)
#define EVENT_1_PNU    BIT(33)
#define EVENT_1_IND    BIT(34)
#define EVENT_1_RNW    BIT(35)
#define EVENT_1_S2     BIT(39)
#define EVENT_1_CLASS  GENMASK(41, 40)
#define EVENT_CLASS_TT 1
#define EVENT_CLASS_IN 2
#define EVENT_3_FETCH  GENMASK(55, 3)

#endif
