/*
 * An SMMU with memory, a backend that writes down what it is told, and wires
 * that are counted: what the tests of the SMMU stand on. Registers, fields and
 * commands by their numbers in IHI 0070G, written down here a second time.
 */
#ifndef BELFRY_TESTS_SMMU_STAND_H
#define BELFRY_TESTS_SMMU_STAND_H

#include <belfry/gmem.h>
#include <belfry/smmu.h>

enum {
	S_IDR0 = 0x00,
	S_IDR1 = 0x04,
	S_IDR2 = 0x08,
	S_IDR3 = 0x0c,
	S_IDR4 = 0x10,
	S_IDR5 = 0x14,
	S_IIDR = 0x18,
	S_AIDR = 0x1c,
	S_CR0 = 0x20,
	S_CR0ACK = 0x24,
	S_CR1 = 0x28,
	S_CR2 = 0x2c,
	S_STATUSR = 0x40,
	S_GBPA = 0x44,
	S_IRQ_CTRL = 0x50,
	S_IRQ_CTRLACK = 0x54,
	S_GERROR = 0x60,
	S_GERRORN = 0x64,
	S_GERROR_IRQ_CFG0 = 0x68,
	S_GERROR_IRQ_CFG1 = 0x70,
	S_GERROR_IRQ_CFG2 = 0x74,
	S_STRTAB_BASE = 0x80,
	S_STRTAB_BASE_CFG = 0x88,
	S_CMDQ_BASE = 0x90,
	S_CMDQ_PROD = 0x98,
	S_CMDQ_CONS = 0x9c,
	S_EVENTQ_BASE = 0xa0,
	S_EVENTQ_IRQ_CFG0 = 0xb0,
	S_EVENTQ_IRQ_CFG1 = 0xb8,
	S_EVENTQ_IRQ_CFG2 = 0xbc,
	S_EVENTQ_PROD = 0x100a8,
	S_EVENTQ_CONS = 0x100ac,
};

#define SMMUEN      1u
#define EVENTQEN    4u
#define CMDQEN      8u
#define ALL_ON      (SMMUEN | EVENTQEN | CMDQEN)
#define GBPA_ABORT_ (1u << 20 | 1u << 31)
#define GBPA_PASS   (1u << 31)
#define CMDQ_ERR    1u
#define EVENTQ_ABT  4u
#define MSI_CMDQ    0x10u
#define MSI_EVENTQ  0x20u
#define MSI_GERROR  0x80u
#define RECINVSID   2u

/* Memory, and where boot() puts things in it. */
#define STAND_RAM      0x40000000ull
#define STAND_RAM_SIZE (1 * MIB)
#define STAND_STRTAB   (STAND_RAM + 0x10000) /* linear, 256 streams */
#define STAND_CMDQ     (STAND_RAM + 0x20000)
#define STAND_CMDS     64
#define STAND_EVENTQ   (STAND_RAM + 0x30000)
#define STAND_EVENTS   8
#define STAND_CD       (STAND_RAM + 0x40000)
#define STAND_FREE     (STAND_RAM + 0x50000)

/* Two devices passed through, and an emulated one. */
#define SID_A 8u
#define SID_B 16u
#define SID_E 24u

/* IDR0 .. IDR5 of an SMMU that Linux nests on, with much else. */
extern const u32 stand_host[6];

#define STAND_TOLD 512

struct smmu_stand {
	struct smmu *smmu;
	struct gmem mem;
	u8 *ram;
	/* Who was told what, ever; the last of them. */
	u32 attaches;
	struct {
		u32 sid;
		struct smmu_plan plan;
	} attached[STAND_TOLD];
	u32 batches, sizes[STAND_TOLD];
	u32 invs;
	struct smmu_cmd inv[STAND_TOLD];
	u32 refuse; /* the command after so many is refused; ~0u: none */
	bool fail;  /* not refused, but failed by the host */
	bool refuse_attach;
	/* A word of memory, if not 0, and what it was at the last batch. */
	u64 watch, watched;
	u32 events, gerrors, syncs; /* edges of the wires */
	bool level[3];
	u32 asked;
	u32 prod; /* the guest's position in its command queue */
};

/* @host NULL: nothing below, and only SID_E. */
void stand_init(struct smmu_stand *b, const u32 *host);
void stand_fini(struct smmu_stand *b);

/* Tables, queues, everything on. */
void stand_boot(struct smmu_stand *b);

u64 rd(struct smmu_stand *b, u32 off);
u64 rd64(struct smmu_stand *b, u32 off);
void wr(struct smmu_stand *b, u32 off, u32 val);
void wr64(struct smmu_stand *b, u32 off, u64 val);

/* Words of memory. */
u64 *stand_word(struct smmu_stand *b, u64 addr);
void stand_ste(struct smmu_stand *b, u32 sid, u64 word0, u64 word1);

/* Into the queue; ring it; both and see it done. */
void stand_put(struct smmu_stand *b, u64 word0, u64 word1);
void stand_ring(struct smmu_stand *b);
void stand_run(struct smmu_stand *b, u64 word0, u64 word1);

/* Take the oldest event, or 0 in word 0 if there is none. */
void stand_event(struct smmu_stand *b, u64 record[4]);

/* STEs, 5.2 */
#define STE_V      1ull
#define STE_CFG(c) ((u64)(c) << 1)
#define STE_ABORT  (STE_V | STE_CFG(0))
#define STE_PASS   (STE_V | STE_CFG(4))
#define STE_S1(cd) (STE_V | STE_CFG(5) | (cd))

/* Commands, 4 */
#define SID_FIELD(sid)     ((u64)(sid) << 32)
#define SYNC               0x46ull
#define SYNC_IRQ           (0x46ull | 1ull << 12)
#define SYNC_SEV           (0x46ull | 2ull << 12)
#define SYNC_MSI(data)     (SYNC_IRQ | (u64)(data) << 32)
#define CFGI_STE(sid)      (0x03ull | SID_FIELD(sid))
#define CFGI_RANGE(sid)    (0x04ull | SID_FIELD(sid))
#define CFGI_CD(sid)       (0x05ull | SID_FIELD(sid))
#define CFGI_CD_ALL(sid)   (0x06ull | SID_FIELD(sid))
#define TLBI_NH_ALL        0x10ull
#define TLBI_NH_ASID(asid) (0x11ull | (u64)(asid) << 48)
#define TLBI_NH_VA(asid)   (0x12ull | (u64)(asid) << 48)
#define TLBI_NH_VAA        0x13ull
#define TLBI_NSNH_ALL      0x30ull

#endif
