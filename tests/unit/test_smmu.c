/*
 * The SMMU as a whole: how it is made, what it offers, its registers and what
 * guards them, and its streams while it is off.
 */
#include "unit.h"

#include "smmu_priv.h"

#include "fakes/memory.h"
#include "fakes/smmu_stand.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static void hush(void)
{
	int fd = open("/dev/null", O_WRONLY);

	dup2(fd, STDERR_FILENO);
	close(fd);
}

START_TEST(lint)
{
	ck_assert_int_eq(regbank_lint(&smmu_bank), -1);
}
END_TEST

/* --- what is offered --------------------------------------------------- */

/* The fields of a host that count, in their places: TTF, TTENDIAN, STALL_MODEL,
 * ASID16; granules, DS, VAX. */
#define TTF64     (2u << 2)
#define TTF32     (1u << 2)
#define LITTLE    (2u << 21)
#define BIG       (3u << 21)
#define STALL_NO  (1u << 24)
#define STALL_ALL (2u << 24)
#define ASID16    (1u << 12)
#define G4K       (1u << 4)
#define G16K      (1u << 5)
#define G64K      (1u << 6)
#define DS        (1u << 7)
#define VAX       (1u << 10)

/* What every guest gets of IDR0: S1P, TTF, COHACC, MSI, TTENDIAN, STALL_MODEL,
 * TERM_MODEL, ST_LEVEL. */
#define IDR0_ALWAYS 0x0d40201au

static const struct {
	u32 idr0, idr3, idr5, addr_bits;
	u32 offer0, offer3, offer5;
	bool stalld;
	const char *complaint;
} offers[] = {
	/* The lab's: 44 bits of its own, 40 of the guest's. */
	{ 0x0d44101b, 0x1414, 0x74, 40, IDR0_ALWAYS | ASID16, 0x1404, 0x72,
	  false, NULL },
	/* All ones that may be, and what is not to be believed: nothing. */
	{ ~(3u << 21 | 3u << 24), ~0u, ~0u, 48, IDR0_ALWAYS | ASID16, 0x1404,
	  0x475, true, NULL },
	/* As little as may be. */
	{ TTF64 | LITTLE | STALL_NO, 0, G4K, 32, IDR0_ALWAYS, 4, 0x10, false,
	  NULL },
	{ TTF64, 0x0800, G64K, 36, IDR0_ALWAYS, 0x0804, 0x41, true, NULL },
	/* 52 bits: with 64 KiB only. DS is not to be believed. */
	{ TTF64 | STALL_NO, 0, G64K | VAX, 52, IDR0_ALWAYS, 4, 0x446, false,
	  NULL },
	{ TTF64 | STALL_NO, 0, G4K | DS | VAX, 52, IDR0_ALWAYS, 4, 0x15, false,
	  NULL },
	{ TTF64 | STALL_NO, 0, G4K | VAX, 52, IDR0_ALWAYS, 4, 0x15, false,
	  NULL },
	{ TTF64 | STALL_NO, 0, G4K | G64K | DS, 49, IDR0_ALWAYS, 4, 0x56, false,
	  NULL },
	{ TTF64 | STALL_NO, 0, G64K | DS | VAX, 42, IDR0_ALWAYS, 4, 0x443,
	  false, NULL },
	/* A VAX of 56 bits is one of 52 to us. */
	{ TTF64 | STALL_NO, 0, G16K | G64K | 2u << 10, 43, IDR0_ALWAYS, 4,
	  0x464, false, NULL },
	{ TTF32 | STALL_NO, 0, G4K, 40, 0, 0, 0, false, "VMSAv8-64" },
	{ TTF64 | BIG, 0, G4K, 40, 0, 0, 0, false, "little-endian" },
	{ TTF64 | 1u << 21, 0, G4K, 40, 0, 0, 0, false, "little-endian" },
	{ TTF64 | STALL_ALL, 0, G4K, 40, 0, 0, 0, false, "stalls" },
	{ TTF64, 0, 0, 40, 0, 0, 0, false, "granule" },
	{ TTF64, 0, G4K, 31, 0, 0, 0, false, "31 bits" },
	{ TTF64, 0, G4K, 53, 0, 0, 0, false, "53 bits" },
};

START_TEST(offering)
{
	for (size_t i = 0; i < ARRAY_SIZE(offers); i++) {
		const u32 host[6] = { offers[i].idr0, ~0u, ~0u,
				      offers[i].idr3, ~0u, offers[i].idr5 };
		struct err e = { 0 };
		struct offer o;
		int err = offer_make(&o, host, offers[i].addr_bits, &e);

		if (offers[i].complaint) {
			ck_assert_int_eq(err, -EINVAL);
			ck_assert_msg(strstr(e.msg, offers[i].complaint), "%zu",
				      i);
			continue;
		}
		ck_assert_msg(!err, "%zu: %s", i, e.msg);
		ck_assert_msg(o.idr[0] == offers[i].offer0, "%zu: %#x", i,
			      o.idr[0]);
		ck_assert_msg(o.idr[3] == offers[i].offer3, "%zu: %#x", i,
			      o.idr[3]);
		ck_assert_msg(o.idr[5] == offers[i].offer5, "%zu: %#x", i,
			      o.idr[5]);
		ck_assert_uint_eq(o.idr[1], 10u << 21 | 9u << 16 | 16);
		ck_assert_uint_eq(o.idr[2] | o.idr[4], 0);
		ck_assert(o.s1stalld == offers[i].stalld);
	}
}
END_TEST

/* Sizes are rounded up to one that can be told. */
START_TEST(output_sizes)
{
	static const u8 sizes[] = { 32, 36, 40, 42, 44, 48, 52 };
	struct offer o;
	struct err e;

	for (u32 bits = 32, want = 0; bits <= 52; bits++) {
		want += bits > sizes[want];
		ck_assert(!offer_make(&o, NULL, bits, &e));
		ck_assert_uint_eq(o.oas, sizes[want]);
		ck_assert_uint_eq(o.idr[5] & 7, want);
		ck_assert_uint_eq(offer_address_bits(want), sizes[want]);
	}
	ck_assert_uint_eq(offer_address_bits(7), 52);
}
END_TEST

/* All that the walk in software knows. */
START_TEST(nothing_below)
{
	struct offer o;
	struct err e;

	ck_assert(!offer_make(&o, NULL, 48, &e));
	ck_assert_uint_eq(o.idr[0], IDR0_ALWAYS | ASID16 | 2u << 6);
	ck_assert_uint_eq(o.idr[3], 0x1404);
	ck_assert_uint_eq(o.idr[5], 0x4f5);
	ck_assert(!o.s1stalld);
}
END_TEST

/* --- making it --------------------------------------------------------- */

START_TEST(making)
{
	const u32 host[6] = { TTF32, 0, 0, 0, 0, G4K };
	struct smmu_stand b;
	struct smmu_setup s = { .addr_bits = 53 };
	struct err e = { 0 };

	ck_assert_ptr_null(smmu_create(&s, &e));
	ck_assert_int_eq(e.code, -EINVAL);
	s.addr_bits = 40;
	stand_init(&b, stand_host);
	/* A backend that is never called. */
	s.backend.attach = (bool (*)(void *, u32, const struct smmu_plan *))1;
	s.backend.invalidate =
		(u32(*)(void *, const struct smmu_cmd *, u32, bool *))1;
	s.host = host;
	ck_assert_ptr_null(smmu_create(&s, &e));
	ck_assert_ptr_nonnull(strstr(e.msg, "VMSAv8-64"));
	stand_fini(&b);
	smmu_destroy(NULL);
}
END_TEST

START_TEST(making_short_of_memory)
{
	struct smmu_setup s = { .addr_bits = 40 };
	struct err e = { 0 }, e2 = { 0 };
	struct smmu *none, *smmu;
	int added;

	memory_ends_at(1);
	none = smmu_create(&s, &e);
	memory_ends_at(2);
	smmu = smmu_create(&s, &e2);
	added = smmu ? smmu_add(smmu, 1, false, &e2) : 0;
	memory_ends_at(0);
	ck_assert_ptr_null(none);
	ck_assert_int_eq(e.code, -ENOMEM);
	ck_assert_ptr_nonnull(smmu);
	ck_assert_int_eq(added, -ENOMEM);
	ck_assert_int_eq(e2.code, -ENOMEM);
	ck_assert_int_eq(smmu_add(smmu, 1, false, &e), 0);
	smmu_destroy(smmu);
}
END_TEST

START_TEST(adding)
{
	struct smmu_stand b;
	struct err e = { 0 };

	stand_init(&b, stand_host);
	ck_assert_int_eq(smmu_add(b.smmu, 0x10000, false, &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.msg, "0x10000"));
	ck_assert_int_eq(smmu_add(b.smmu, SID_A, false, &e), -EEXIST);
	ck_assert_int_eq(smmu_add(b.smmu, SID_E, true, &e), -EEXIST);
	for (u32 i = 3; i < SMMU_STREAMS_MAX; i++)
		ck_assert_int_eq(smmu_add(b.smmu, 0xffff - i, i % 2, &e), 0);
	ck_assert_int_eq(smmu_add(b.smmu, 0, false, &e), -ENOSPC);
	ck_assert_uint_eq(b.attaches, 2 + 127);
	stand_fini(&b);
}
END_TEST

/* --- registers --------------------------------------------------------- */

static const struct {
	u32 off;
	u32 reset, bits; /* bits that keep what is written while all is off */
} regs[] = {
	{ S_IDR0, IDR0_ALWAYS | ASID16, 0 },
	{ S_IDR1, 10u << 21 | 9u << 16 | 16, 0 },
	{ S_IDR2, 0, 0 },
	{ S_IDR3, 0x1404, 0 },
	{ S_IDR4, 0, 0 },
	{ S_IDR5, 0x72, 0 },
	{ S_IIDR, 0x0420043b, 0 },
	{ S_AIDR, 1, 0 },
	{ S_CR0ACK, 0, 0 },
	{ S_CR1, 0, 0xfff },
	{ S_CR2, 0, 2 },
	{ S_STATUSR, 0, 0 },
	{ 0x48, 0, 0 }, /* AGBPA */
	{ S_IRQ_CTRL, 0, 5 },
	{ S_IRQ_CTRLACK, 0, 0 },
	{ S_GERROR, 0, 0 },
	{ S_GERRORN, 0, 0xb5 },
	/* Of an address 40 bits, as OAS says. */
	{ S_GERROR_IRQ_CFG0, 0, 0xfffffffc },
	{ S_GERROR_IRQ_CFG0 + 4, 0, 0xff },
	{ S_GERROR_IRQ_CFG1, 0, ~0u },
	{ S_GERROR_IRQ_CFG2, 0, 0x3f },
	{ S_STRTAB_BASE, 0, 0xffffffc0 },
	{ S_STRTAB_BASE + 4, 0, 0x400fffff },
	{ S_STRTAB_BASE_CFG, 0, 0x307ff },
	{ S_CMDQ_BASE, 0, 0xffffffff },
	{ S_CMDQ_BASE + 4, 0, 0x400fffff },
	{ S_CMDQ_PROD, 0, 0xfffff },
	{ S_CMDQ_CONS, 0, 1 }, /* of the one entry of a queue of size 0 */
	{ S_EVENTQ_BASE, 0, 0xffffffff },
	{ S_EVENTQ_BASE + 4, 0, 0x400fffff },
	{ 0xa8, 0, 0 }, /* page 1's are not here */
	{ 0xac, 0, 0 },
	{ S_EVENTQ_IRQ_CFG0, 0, 0xfffffffc },
	{ S_EVENTQ_IRQ_CFG0 + 4, 0, 0xff },
	{ S_EVENTQ_IRQ_CFG1, 0, ~0u },
	{ S_EVENTQ_IRQ_CFG2, 0, 0x3f },
	{ 0xc0, 0, 0 }, /* PRIQ_BASE */
	{ 0xd0, 0, 0 }, /* PRIQ_IRQ_CFG0 to 2 */
	{ 0xd4, 0, 0 },
	{ 0xd8, 0, 0 },
	{ 0xdc, 0, 0 },
	{ 0x100c8, 0, 0 },
	{ S_EVENTQ_PROD, 0, 0x800fffff },
	{ S_EVENTQ_CONS, 0, 0x800fffff },
	{ 0x8000, 0, 0 }, /* S_IDR0 */
	{ 0x190, 0, 0 },  /* IDR6 */
	{ 0x1fffc, 0, 0 },
};

START_TEST(registers)
{
	for (size_t i = 0; i < ARRAY_SIZE(regs); i++) {
		u32 off = regs[i].off, reset = regs[i].reset;
		struct smmu_stand b;

		stand_init(&b, stand_host);
		ck_assert_msg(rd(&b, off) == reset, "%#x: %#llx", off,
			      (unsigned long long)rd(&b, off));
		wr(&b, off, ~0u);
		ck_assert_msg(rd(&b, off) == (reset | regs[i].bits),
			      "%#x: %#llx", off,
			      (unsigned long long)rd(&b, off));
		wr(&b, off, 0);
		ck_assert_msg(rd(&b, off) == reset, "%#x", off);
		stand_fini(&b);
	}
}
END_TEST

/* In one piece and in halves, and no other way. */
START_TEST(access_sizes)
{
	static const u32 wide[] = { S_STRTAB_BASE, S_CMDQ_BASE, S_EVENTQ_BASE };
	static const u32 irq[] = { S_GERROR_IRQ_CFG0, S_EVENTQ_IRQ_CFG0 };
	struct smmu_stand b;

	hush();
	stand_init(&b, stand_host);
	for (size_t i = 0; i < ARRAY_SIZE(wide); i++) {
		wr64(&b, wide[i], 0x400123456789abc0);
		ck_assert_uint_eq(rd64(&b, wide[i]), 0x400123456789abc0);
		ck_assert_uint_eq(rd(&b, wide[i]), 0x6789abc0);
		wr(&b, wide[i] + 4, 0x40000000);
		ck_assert_uint_eq(rd64(&b, wide[i]), 0x400000006789abc0);
		wr(&b, wide[i], 0x1000);
		ck_assert_uint_eq(rd64(&b, wide[i]), 0x4000000000001000);
		smmu_mmio.write(b.smmu, wide[i], 2, 0xffff);
		ck_assert_uint_eq(smmu_mmio.read(b.smmu, wide[i], 2), 0);
		ck_assert_uint_eq(rd(&b, wide[i]), 0x1000);
	}
	for (size_t i = 0; i < ARRAY_SIZE(irq); i++) {
		wr64(&b, irq[i], ~0ull);
		ck_assert_uint_eq(rd64(&b, irq[i]), 0xfffffffffc);
		wr(&b, irq[i], 0x1000);
		ck_assert_uint_eq(rd64(&b, irq[i]), 0xff00001000);
		/* Data and attributes. */
		wr64(&b, irq[i] + 8, ~0ull);
		ck_assert_uint_eq(rd(&b, irq[i] + 8) | rd(&b, irq[i] + 12), 0);
	}
	/* Two registers at once, or a part of one. */
	wr64(&b, S_CMDQ_PROD, ~0ull);
	ck_assert_uint_eq(rd(&b, S_CMDQ_PROD), 0);
	ck_assert_uint_eq(rd64(&b, S_IDR0), 0);
	/* But for the positions of a queue. */
	wr(&b, S_CMDQ_PROD, 5);
	ck_assert_uint_eq(rd64(&b, S_CMDQ_PROD), 5);
	wr(&b, S_EVENTQ_PROD, 3);
	wr(&b, S_EVENTQ_CONS, 2);
	ck_assert_uint_eq(rd64(&b, S_EVENTQ_PROD), 2ull << 32 | 3);
	smmu_mmio.write(b.smmu, S_CR1, 1, 0xff);
	ck_assert_uint_eq(rd(&b, S_CR1), 0);
	ck_assert_uint_eq(smmu_mmio.read(b.smmu, S_IDR0 + 2, 4), 0);
	stand_fini(&b);
}
END_TEST

/* What a switch guards stays as it is while that is on. */
static const struct {
	u32 off, cr0, kept, changed;
} guarded[] = {
	{ S_CR1, SMMUEN, 0xfc0, 0x3f },
	{ S_CR1, CMDQEN, 0x3f, 0xfc0 },
	{ S_CR1, EVENTQEN, 0x3f, 0xfc0 },
	{ S_CR2, SMMUEN, 2, 0 },
	{ S_CR2, CMDQEN | EVENTQEN, 0, 2 },
	{ S_STRTAB_BASE, SMMUEN, 0xffffffc0, 0 },
	{ S_STRTAB_BASE, CMDQEN | EVENTQEN, 0, 0xffffffc0 },
	{ S_STRTAB_BASE_CFG, SMMUEN, 0x307ff, 0 },
	{ S_CMDQ_BASE, CMDQEN, 0xffffffff, 0 },
	{ S_CMDQ_BASE, SMMUEN | EVENTQEN, 0, 0xffffffff },
	{ S_CMDQ_CONS, CMDQEN, 1, 0 },
	{ S_CMDQ_CONS, SMMUEN | EVENTQEN, 0, 1 },
	{ S_CMDQ_PROD, ALL_ON, 0, 0xfffff },
	{ S_EVENTQ_BASE, EVENTQEN, 0xffffffff, 0 },
	{ S_EVENTQ_BASE, SMMUEN | CMDQEN, 0, 0xffffffff },
	{ S_EVENTQ_PROD, EVENTQEN, 0x800fffff, 0 },
	{ S_EVENTQ_PROD, SMMUEN | CMDQEN, 0, 0x800fffff },
	{ S_EVENTQ_CONS, ALL_ON, 0, 0x800fffff },
	{ S_IRQ_CTRL, ALL_ON, 0, 5 },
};

START_TEST(guards)
{
	hush();
	for (size_t i = 0; i < ARRAY_SIZE(guarded); i++) {
		u32 off = guarded[i].off,
		    all = guarded[i].kept | guarded[i].changed;
		struct smmu_stand b;

		stand_init(&b, stand_host);
		wr(&b, off, all);
		/* Positions that are no queue's keep it from running. */
		if (off == S_CMDQ_CONS)
			wr(&b, S_CMDQ_PROD, 1);
		ck_assert_uint_eq(rd(&b, off), all);
		wr(&b, S_CR0, guarded[i].cr0);
		wr(&b, off, 0);
		ck_assert_msg(rd(&b, off) == guarded[i].kept, "%zu: %#llx", i,
			      (unsigned long long)rd(&b, off));
		wr(&b, S_CR0, 0);
		wr(&b, off, 0);
		ck_assert_uint_eq(rd(&b, off), 0);
		stand_fini(&b);
	}
}
END_TEST

/* And what an interrupt's enable bit guards. */
static const struct {
	u32 off, irqen, bits;
} irq_guarded[] = {
	{ S_GERROR_IRQ_CFG0, 1, 0xfffffffc },
	{ S_GERROR_IRQ_CFG0 + 4, 1, 0xff },
	{ S_GERROR_IRQ_CFG1, 1, ~0u },
	{ S_GERROR_IRQ_CFG2, 1, 0x3f },
	{ S_EVENTQ_IRQ_CFG0, 4, 0xfffffffc },
	{ S_EVENTQ_IRQ_CFG0 + 4, 4, 0xff },
	{ S_EVENTQ_IRQ_CFG1, 4, ~0u },
	{ S_EVENTQ_IRQ_CFG2, 4, 0x3f },
};

START_TEST(irq_guards)
{
	for (size_t i = 0; i < ARRAY_SIZE(irq_guarded); i++) {
		u32 off = irq_guarded[i].off, irqen = irq_guarded[i].irqen;
		struct smmu_stand b;

		stand_init(&b, stand_host);
		wr(&b, S_CR0, ALL_ON);
		wr(&b, S_IRQ_CTRL, irqen);
		wr(&b, off, ~0u);
		ck_assert_msg(!rd(&b, off), "%#x", off);
		/* The other's does not guard it. */
		wr(&b, S_IRQ_CTRL, 5 & ~irqen);
		wr(&b, off, ~0u);
		ck_assert_uint_eq(rd(&b, off), irq_guarded[i].bits);
		wr(&b, S_IRQ_CTRL, 5);
		wr(&b, off, 0);
		ck_assert_msg(rd(&b, off) == irq_guarded[i].bits, "%#x", off);
		wr(&b, S_IRQ_CTRL, 0);
		wr(&b, off, 0);
		ck_assert_msg(!rd(&b, off), "%#x", off);
		stand_fini(&b);
	}
}
END_TEST

START_TEST(switches)
{
	struct smmu_stand b;

	stand_init(&b, stand_host);
	wr(&b, S_CR0, ~0u & ~CMDQEN);
	ck_assert_uint_eq(rd(&b, S_CR0), SMMUEN | EVENTQEN);
	ck_assert_uint_eq(rd(&b, S_CR0ACK), SMMUEN | EVENTQEN);
	wr(&b, S_IRQ_CTRL, 4);
	ck_assert_uint_eq(rd(&b, S_IRQ_CTRLACK), 4);
	/* Not without Update, which is over at once. */
	wr(&b, S_GBPA, 1u << 20);
	ck_assert_uint_eq(rd(&b, S_GBPA), 0);
	wr(&b, S_GBPA, ~0u);
	ck_assert_uint_eq(rd(&b, S_GBPA), 1u << 20);
	wr(&b, S_GBPA, 1u << 31);
	ck_assert_uint_eq(rd(&b, S_GBPA), 0);
	stand_fini(&b);
}
END_TEST

/* --- streams while it is off ------------------------------------------- */

static void expect_attach(struct smmu_stand *b, u32 i, u32 sid,
			  enum smmu_kind kind, u64 ste0)
{
	ck_assert_uint_lt(i, b->attaches);
	ck_assert_uint_eq(b->attached[i].sid, sid);
	ck_assert_uint_eq(b->attached[i].plan.kind, kind);
	ck_assert_uint_eq(b->attached[i].plan.ste[0], ste0);
	ck_assert_uint_eq(b->attached[i].plan.ste[1], 0);
}

START_TEST(off)
{
	struct smmu_stand b;

	stand_init(&b, stand_host);
	ck_assert_uint_eq(b.attaches, 2);
	expect_attach(&b, 0, SID_A, SMMU_BYPASS, STE_PASS);
	expect_attach(&b, 1, SID_B, SMMU_BYPASS, STE_PASS);
	wr(&b, S_GBPA, GBPA_ABORT_);
	ck_assert_uint_eq(b.attaches, 4);
	expect_attach(&b, 2, SID_A, SMMU_ABORT, STE_ABORT);
	expect_attach(&b, 3, SID_B, SMMU_ABORT, STE_ABORT);
	/* Nothing new. */
	wr(&b, S_GBPA, GBPA_ABORT_);
	ck_assert_uint_eq(b.attaches, 4);
	wr(&b, S_GBPA, GBPA_PASS);
	ck_assert_uint_eq(b.attaches, 6);
	expect_attach(&b, 5, SID_B, SMMU_BYPASS, STE_PASS);
	ck_assert_uint_eq(smmu_counters(b.smmu).attaches, 6);
	stand_fini(&b);
}
END_TEST

START_TEST(reset)
{
	struct smmu_stand b;

	hush();
	stand_init(&b, stand_host);
	stand_boot(&b);
	wr(&b, S_GBPA, GBPA_ABORT_);
	wr(&b, S_CR0, 0);
	wr(&b, S_GERRORN, 0xb5);
	wr(&b, S_IRQ_CTRL, 0);
	for (size_t i = 0; i < ARRAY_SIZE(irq_guarded); i++)
		wr(&b, irq_guarded[i].off, ~0u);
	wr(&b, S_CR1, 0xfff);
	wr(&b, S_CMDQ_PROD, 3);
	wr(&b, S_EVENTQ_CONS, 3);
	b.attaches = 0;
	smmu_reset(b.smmu);
	for (size_t i = 0; i < ARRAY_SIZE(regs); i++)
		ck_assert_msg(rd(&b, regs[i].off) == regs[i].reset, "%#x",
			      regs[i].off);
	ck_assert_uint_eq(rd(&b, S_GBPA) | rd(&b, S_CR0), 0);
	ck_assert_uint_eq(b.attaches, 2);
	expect_attach(&b, 0, SID_A, SMMU_BYPASS, STE_PASS);
	expect_attach(&b, 1, SID_B, SMMU_BYPASS, STE_PASS);
	stand_fini(&b);
}
END_TEST

UNIT_MAIN("smmu", lint, offering, output_sizes, nothing_below, making,
	  making_short_of_memory, adding, registers, access_sizes, guards,
	  irq_guards, switches, off, reset)
