/*
 * A GIC that KVM does not have, against a kernel that writes down what it is
 * asked: which vectors are watched, and from when on; what becomes of the
 * guest's accesses to ICC_*_EL1; wires and lines; and that every call may fail.
 */
#include "fakes/kvm_kernel.h"
#include "unit.h"

#include <belfry/gic.h>
#include <belfry/kvm.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RAM      0x40000000ull
#define RAM_SIZE (2 * MIB)
/* More of it, where addresses have 52 bits. */
#define HIGH   (5ull << 48)

#define VTIMER 27u
#define PTIMER 30u
#define PMU    23u

/* PSTATE, with flags and masks that are not to be looked at. */
#define EL0  0x60000000ull
#define EL1T 0x600003c4ull
#define EL1H 0x600003c5ull

/* ESR_ELx.EC, and IL beside it */
#define EC(ec)     ((u64)(ec) << 26 | BIT(25))
#define BREAKPOINT 0x30
#define SOFTSTEP   0x32

/* A vector base as kernels have it, and what watches it: an exception from EL1
 * arrives 0x200 from there. DBGBCR<n>_EL1 (DDI 0487): E is 1; EL1 only, so PMC
 * is 1, HMC and SSC are 0; all of an instruction, so BAS is 0xf. */
#define BASE       0xffff800080010800ull
#define WATCH      "DEBUG 0x20001"
#define WATCH_BASE WATCH " 0xffff800080010a00/0x1e3"
#define STEP       "DEBUG 0x3"

#define CPUS       3

/* There is one, as there is one kernel. */
static struct bench {
	struct kvm_gic gic;
	struct kvm *k;
	struct gmem mem;
	u8 *ram[2];
	u64 used; /* of the RAM that tables are taken from */
	int at;   /* in what was written down */
	/* What the guest does in KVM_RUN. */
	int err;
	u64 levels;
	void (*meanwhile)(u32 vcpu);
	u32 lines;       /* what is wanted by then */
	u32 wired_lines; /* what a wire that changes makes the GIC want; or 0 */
} b;

/* Written down among the calls: order is what counts. */
PRINTF_LIKE(1, 2) static void note(const char *fmt, ...)
{
	va_list ap;

	ck_assert_int_lt(kvm_kernel.lines, KERNEL_LINES - 1);
	va_start(ap, fmt);
	vsnprintf(kvm_kernel.line[kvm_kernel.lines++], KERNEL_LINE, fmt, ap);
	va_end(ap);
}

static void on_wire(void *ctx, u32 cpu, u32 intid, bool level)
{
	ck_assert_ptr_eq(ctx, &b);
	note("wire %u of vcpu%u is %d", intid, cpu, level);
	if (b.wired_lines)
		kvm_vcpu_lines(b.k, cpu, b.wired_lines);
}

static void on_kick(void *ctx, u32 cpu)
{
	ck_assert_ptr_eq(ctx, &b);
	note("kick vcpu%u", cpu);
}

static int guest(u32 vcpu, struct kvm_run *run)
{
	if (b.meanwhile)
		b.meanwhile(vcpu);
	run->s.regs.device_irq_level = b.levels;
	return b.err;
}

static struct kvm_setup setup(u32 cpus)
{
	return (struct kvm_setup) {
		.cpus = cpus,
		.ipa_bits = 33,
		.pmu_intid = PMU,
		.gic = &b.gic,
	};
}

/* A machine that asks for everything else, too. */
static struct kvm_setup full_setup(void)
{
	struct kvm_setup s = setup(2);

	s.pmu = s.sve = s.pauth = true;
	s.steal_time = 0x5fff0000;
	return s;
}

static void prepare(void)
{
	static const u64 at[2] = { RAM, HIGH };

	b = (struct bench) { .at = 0 };
	for (int i = 0; i < 2; i++) {
		b.ram[i] = calloc(1, RAM_SIZE);
		ck_assert_ptr_nonnull(b.ram[i]);
		ck_assert(!gmem_add(&b.mem, at[i], RAM_SIZE, b.ram[i]));
	}
	b.gic = (struct kvm_gic) {
		.dma = dma_plain(&b.mem),
		.wire = on_wire,
		.vtimer_intid = VTIMER,
		.ptimer_intid = PTIMER,
		.kick = on_kick,
		.ctx = &b,
	};
	kvm_kernel_reset();
	kvm_kernel.run = guest;
}

static int open_kvm(void)
{
	struct err e = { 0 };
	int fd = kvm_open(&e);

	ck_assert_msg(fd >= 0, "%s", e.msg);
	return fd;
}

static void forget(void)
{
	kvm_kernel_forget();
	b.at = 0;
}

static void make(u32 cpus)
{
	struct kvm_setup s = setup(cpus);
	struct err e = { 0 };
	int fd = open_kvm();

	b.k = kvm_create(fd, &s, &e);
	ck_assert_msg(b.k, "%s", e.msg);
	close(fd);
	for (u32 i = 0; i < cpus; i++)
		kvm_kernel.regs[i][REG_PSTATE] = EL1H;
	forget();
}

static void begin(void)
{
	prepare();
	make(CPUS);
}

static void end(void)
{
	kvm_destroy(b.k);
	free(b.ram[0]);
	free(b.ram[1]);
}

/* The next of what was written down, but for registers that are read. */
static const char *next_call(void)
{
	while (strstr(kvm_kernel.line[b.at], " GET "))
		b.at++;
	return b.at < kvm_kernel.lines ? kvm_kernel.line[b.at++] : "nothing";
}

PRINTF_LIKE(1, 2) static void expect(const char *fmt, ...)
{
	char want[KERNEL_LINE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(want, sizeof(want), fmt, ap);
	va_end(ap);
	ck_assert_str_eq(next_call(), want);
}

static void expect_end(void)
{
	ck_assert_str_eq(next_call(), "nothing");
}

/* How many of those written down have @part in them. */
static int count(const char *part)
{
	int n = 0;

	for (int i = 0; i < kvm_kernel.lines; i++)
		n += strstr(kvm_kernel.line[i], part) != NULL;
	return n;
}

/* vCPU @i runs until @reason, or does not. */
static struct kvm_exit run(u32 i, u32 reason)
{
	struct kvm_exit x;

	memset(&x, 0xa5, sizeof(x));
	kvm_kernel_run_area(i)->exit_reason = reason;
	kvm_vcpu_run(b.k, i, &x);
	return x;
}

static struct kvm_exit run_debug(u32 i, u32 ec)
{
	kvm_kernel_run_area(i)->debug.arch.hsr = (u32)EC(ec);
	return run(i, KVM_EXIT_DEBUG);
}

static enum kvm_exit_kind run_on(u32 i)
{
	return run(i, KVM_EXIT_INTR).kind;
}

static void learn(u32 i, u64 vbar)
{
	kvm_kernel.regs[i][REG_VBAR_EL1] = vbar;
	kvm_vectors_learn(b.k, i);
}

/* It has been seen at EL0, and is at EL1 again. */
static void settle(u32 i)
{
	kvm_kernel.regs[i][REG_PSTATE] = EL0;
	ck_assert_int_eq(run_on(i), VCPU_KICKED);
	kvm_kernel.regs[i][REG_PSTATE] = EL1H;
}

/* --- making one --- */

/* api.rst: KVM_CAP_GUEST_DEBUG_HW_BPS is 119, KVM_CAP_ARM_USER_IRQ 144. */
START_TEST(creating)
{
	struct kvm_setup s;
	struct err e = { 0 };
	int fd;

	prepare();
	s = full_setup();
	fd = open_kvm();
	b.k = kvm_create(fd, &s, &e);
	ck_assert_msg(b.k, "%s", e.msg);
	ck_assert_int_eq(count("CHECK_EXTENSION 119"), 1);
	ck_assert_int_eq(count("CHECK_EXTENSION 144"), 1);
	ck_assert_int_eq(count("CREATE_DEVICE"), 0);
	ck_assert_int_eq(count("ATTR"), 0);
	ck_assert_int_eq(count("CREATE_VCPU"), 2);
	for (u32 i = 0; i < 2; i++)
		ck_assert_uint_eq(kvm_vcpu_affinity(b.k, i), i);
	forget();
	/* WFxT is bits 3 to 0; one vCPU's hardware has it. */
	kvm_kernel.regs[1][REG_ID_AA64ISAR2_EL1] = 0x12342;
	ck_assert_int_eq(kvm_finish(b.k, &e), 0);
	/* vcpu.rst: PMU group 0, INIT 1, but not IRQ 0: there is no GIC that
	 * the number would be of. PVTIME group 2, IPA 0. */
	for (u32 i = 0; i < 2; i++) {
		if (i)
			expect("vcpu1 SET ID_ISAR2 = 0x12340");
		expect("vcpu%u FINALIZE 4", i);
		expect("vcpu%u ATTR 0 0x1 = 0x0", i);
		expect("vcpu%u ATTR 2 0x0 = 0x5fff00%u0", i, 4 * i);
	}
	expect_end();
	close(fd);
	end();
}
END_TEST

/* Without either there is no such machine, and the operator is told which. */
START_TEST(a_host_that_lacks_something)
{
	static const struct {
		u32 breakpoints;
		u64 caps; /* BIT(6): KVM_CAP_ARM_USER_IRQ */
		bool can;
		const char *says;
	} rows[] = {
		{ 6, ~0ull, true, NULL },
		{ 1, BIT(6), true, NULL },
		{ 0, ~0ull, false, "hardware breakpoints" },
		{ 6, ~BIT(6), false, "KVM_CAP_ARM_USER_IRQ" },
		{ 0, 0, false, "KVM_CAP_ARM_USER_IRQ" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct kvm_setup s = setup(CPUS);
		struct err e = { 0 };
		struct kvm_caps c;
		int fd, held;

		prepare();
		kvm_kernel.breakpoints = rows[i].breakpoints;
		kvm_kernel.other_caps = rows[i].caps;
		fd = open_kvm();
		held = kvm_kernel_held();
		kvm_probe(fd, &c);
		ck_assert_msg(c.no_gic == rows[i].can, "row %zu", i);
		b.k = kvm_create(fd, &s, &e);
		ck_assert_msg(!b.k == !rows[i].can, "row %zu", i);
		if (!b.k) {
			ck_assert_int_eq(e.code, -ENOTSUP);
			ck_assert_msg(strstr(e.msg, "irqchip: \"user\"") &&
					      strstr(e.msg, rows[i].says),
				      "row %zu: %s", i, e.msg);
			ck_assert_int_eq(kvm_kernel_held(), held);
		}
		close(fd);
		end();
	}
}
END_TEST

/* --- vectors --- */

START_TEST(what_is_learnt)
{
	static const struct {
		u32 reason; /* of the exit before */
		u64 pstate, vbar;
		bool moved;
	} rows[] = {
		{ KVM_EXIT_MMIO, EL1H, BASE, true },
		{ KVM_EXIT_MMIO, EL1T, BASE, true },
		{ KVM_EXIT_MMIO, EL1H, 0x800, true },
		/* What programs run with; what there is at the start; what is
		 * known; where no device was used. */
		{ KVM_EXIT_MMIO, EL0, BASE, false },
		{ KVM_EXIT_MMIO, EL1H, 0, false },
		{ KVM_EXIT_MMIO, EL1H, 0x40001000, false },
		{ KVM_EXIT_INTR, EL1H, BASE, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		begin();
		learn(0, 0x40001000);
		settle(1);
		kvm_kernel.regs[1][REG_VBAR_EL1] = rows[i].vbar;
		kvm_kernel.regs[1][REG_PSTATE] = rows[i].pstate;
		run(1, rows[i].reason);
		forget();
		/* Seen before the guest goes on, each time until it is told. */
		for (int n = 0; rows[i].moved && n < 3; n++)
			ck_assert_int_eq(run_on(1), VCPU_MOVED);
		expect_end();
		if (rows[i].moved)
			kvm_vectors_learn(b.k, 1);
		/* Then never again. */
		for (int n = 0; n < 3; n++)
			ck_assert_int_ne(run(1, rows[i].reason).kind,
					 VCPU_MOVED);
		ck_assert_int_eq(count("vcpu1 RUN"), 3);
		ck_assert_int_eq(count("DEBUG"), rows[i].moved);
		end();
	}
}
END_TEST

START_TEST(every_vcpu_watches)
{
	begin();
	for (u32 i = 0; i < CPUS; i++) {
		run_on(i);
		run_on(i);
		expect("vcpu%u " WATCH, i);
		expect("vcpu%u RUN", i);
		expect("vcpu%u RUN", i);
	}
	learn(1, BASE);
	expect_end();
	for (u32 i = 0; i < CPUS; i++) {
		run_on(i);
		run_on(i);
		expect("vcpu%u " WATCH_BASE, i);
		expect("vcpu%u RUN", i);
		expect("vcpu%u RUN", i);
	}
	/* Two may have seen it at once. */
	learn(2, BASE);
	for (u32 i = 0; i < CPUS; i++) {
		run_on(i);
		expect("vcpu%u RUN", i);
	}
	/* And the next, besides. */
	learn(0, 0x40001000);
	for (u32 i = 0; i < CPUS; i++) {
		run_on(i);
		expect("vcpu%u " WATCH_BASE " 0x40001200/0x1e3", i);
		expect("vcpu%u RUN", i);
	}
	expect_end();
	end();
}
END_TEST

static u64 base(u32 n)
{
	return 0x40000000 + n * 0x800;
}

/* In whatever order, vCPU 0 watches bases @first to @last, and no others. */
static void expect_bases(u32 first, u32 last)
{
	const char *line;
	char want[64];
	u32 n = 0;

	run_on(0);
	line = next_call();
	ck_assert_msg(strstr(line, "vcpu0 " WATCH) == line, "%s", line);
	for (const char *at = line; (at = strstr(at, "/0x1e3")); at++)
		n++;
	ck_assert_uint_eq(n, last - first + 1);
	for (u32 i = first; i <= last; i++) {
		snprintf(want, sizeof(want), " 0x%llx/0x1e3",
			 (unsigned long long)base(i) + 0x200);
		ck_assert_msg(strstr(line, want), "%s not in %s", want, line);
	}
	expect("vcpu0 RUN");
	expect_end();
}

START_TEST(the_oldest_makes_room)
{
	static const struct {
		u32 breakpoints, bases;
	} rows[] = { { 1, 1 }, { 2, 2 }, { 6, 6 }, { 16, 16 }, { 64, 16 } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		u32 max = rows[i].bases;

		prepare();
		kvm_kernel.breakpoints = rows[i].breakpoints;
		make(1);
		for (u32 n = 0; n < 2 * max + 2; n++) {
			learn(0, base(n));
			expect_bases(n < max ? 0 : n - max + 1, n);
		}
		/* One that had to go is as new as any. */
		kvm_kernel.regs[0][REG_VBAR_EL1] = base(0);
		ck_assert_int_eq(run_on(0), VCPU_MOVED);
		end();
	}
}
END_TEST

START_TEST(when_vectors_are_looked_at)
{
	/* One after the other: what happens before, how the vCPU comes out of
	 * its run, whether VBAR_EL1 was looked at before that. */
	static const struct {
		u64 pstate;
		u32 reason;
		bool learn, looked;
	} rows[] = {
		{ EL1H, KVM_EXIT_INTR, false, true },
		{ EL1H, KVM_EXIT_INTR, false, true },
		{ EL1H, KVM_EXIT_MMIO, false, true },
		{ EL0, KVM_EXIT_INTR, false, true },
		/* From now on only after an access to a device. */
		{ EL0, KVM_EXIT_INTR, false, false },
		{ EL1H, KVM_EXIT_INTR, false, false },
		{ EL1H, KVM_EXIT_MMIO, false, false },
		{ EL1H, KVM_EXIT_INTR, false, true },
		{ EL1H, KVM_EXIT_INTR, false, false },
		{ EL1H, KVM_EXIT_MMIO, false, false },
		{ EL1H, KVM_EXIT_MMIO, false, true },
		{ EL1H, KVM_EXIT_INTR, false, true },
		{ EL1H, KVM_EXIT_INTR, false, false },
		/* Another vCPU has moved its vectors. */
		{ EL1H, KVM_EXIT_INTR, true, true },
		{ EL1H, KVM_EXIT_INTR, false, true },
		{ EL0, KVM_EXIT_INTR, false, true },
		{ EL1H, KVM_EXIT_INTR, false, false },
	};

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].learn)
			learn(0, BASE);
		kvm_kernel.regs[1][REG_PSTATE] = rows[i].pstate;
		kvm_kernel_forget();
		run(1, rows[i].reason);
		ck_assert_msg(count("vcpu1 GET VBAR_EL1") == rows[i].looked,
			      "row %zu", i);
		ck_assert_int_eq(count("vcpu1 RUN"), 1);
	}
	end();
}
END_TEST

/* --- accesses --- */

/* Two places for instructions. */
#define CODE    (RAM + 0x1000)
#define OTHER   (RAM + 0x1abc)

#define PMR     GIC_SYSREG(3, 0, 4, 6, 0)
#define SGI1R   GIC_SYSREG(3, 0, 12, 11, 5)
#define IAR1    GIC_SYSREG(3, 0, 12, 12, 0)
#define EOIR1   GIC_SYSREG(3, 0, 12, 12, 1)
#define SRE     GIC_SYSREG(3, 0, 12, 12, 5)
#define IGRPEN0 GIC_SYSREG(3, 0, 12, 12, 6)

static void *at(gpa_t where, u64 len)
{
	void *p = gmem_slice(&b.mem, where, len);

	ck_assert_ptr_nonnull(p);
	return p;
}

static void put_insn(gpa_t where, u32 insn)
{
	*(u32 *)at(where, 4) = htole32(insn);
}

/* vCPU 1 has thrown an exception at @va, and is stopped where it arrives. */
static struct kvm_exit throw(u64 va, u64 esr)
{
	kvm_kernel.regs[1][REG_ELR_EL1] = va;
	kvm_kernel.regs[1][REG_ESR_EL1] = esr;
	kvm_kernel.regs[1][REG_SPSR_EL1] = 0x60000c05;
	kvm_kernel.regs[1][REG_PC] = BASE + 0x200;
	return run_debug(1, BREAKPOINT);
}

/* vCPU 1 watches @BASE, and has been seen at EL0; nothing is written down. */
static void begin_watching(void)
{
	begin();
	learn(1, BASE);
	settle(1);
	forget();
}

/* It was let go on by one instruction, with nothing else set, and watches again
 * behind that; an interruption in between changes nothing. */
static void expect_step(void)
{
	expect("vcpu1 " STEP);
	expect_end();
	b.err = -EINTR;
	ck_assert_int_eq(run_on(1), VCPU_KICKED);
	b.err = 0;
	ck_assert_int_eq(run_debug(1, SOFTSTEP).kind, VCPU_KICKED);
	expect("vcpu1 RUN");
	expect("vcpu1 RUN");
	expect_end();
	run_on(1);
	expect("vcpu1 " WATCH_BASE);
	expect("vcpu1 RUN");
	expect_end();
}

/* C6.2, MRS and MSR (register); as an assembler makes them. */
static const struct {
	u32 insn;
	enum kvm_exit_kind kind;
	u32 reg, rt;
} access_rows[] = {
	/* msr icc_pmr_el1, x3; msr icc_sgi1r_el1, x29 */
	{ 0xd5184603, VCPU_SYSREG_WRITE, PMR, 3 },
	{ 0xd518cbbd, VCPU_SYSREG_WRITE, SGI1R, 29 },
	/* msr icc_eoir1_el1, xzr */
	{ 0xd518cc3f, VCPU_SYSREG_WRITE, EOIR1, 31 },
	/* mrs x0, icc_sre_el1; mrs x30, icc_iar1_el1; mrs xzr, icc_iar1_el1 */
	{ 0xd538cca0, VCPU_SYSREG_READ, SRE, 0 },
	{ 0xd538cc1e, VCPU_SYSREG_READ, IAR1, 30 },
	{ 0xd538cc1f, VCPU_SYSREG_READ, IAR1, 31 },
	/* mrs x17, icc_igrpen0_el1 */
	{ 0xd538ccd1, VCPU_SYSREG_READ, IGRPEN0, 17 },
	/* Not a GIC's, but that is for others to say: mrs x1, mdscr_el1;
	 * mrs x7, s2_0_c0_c0_0; msr s3_7_c15_c15_7, x0 */
	{ 0xd5300241, VCPU_SYSREG_READ, GIC_SYSREG(2, 0, 0, 2, 2), 1 },
	{ 0xd5300007, VCPU_SYSREG_READ, GIC_SYSREG(2, 0, 0, 0, 0), 7 },
	{ 0xd51fffe0, VCPU_SYSREG_WRITE, GIC_SYSREG(3, 7, 15, 15, 7), 0 },
};

#define ANSWER 0x1122334455667788ull

START_TEST(accesses)
{
	for (size_t i = 0; i < ARRAY_SIZE(access_rows); i++) {
		bool read = access_rows[i].kind == VCPU_SYSREG_READ;
		u32 rt = access_rows[i].rt;
		struct kvm_exit x;

		begin_watching();
		for (u32 n = 0; n < 31; n++)
			kvm_kernel.regs[1][n] = 0xa5a5000000000000 + n;
		put_insn(CODE, access_rows[i].insn);
		x = throw(CODE, EC(0));
		ck_assert_msg(x.kind == access_rows[i].kind, "row %zu", i);
		ck_assert_uint_eq(x.addr, access_rows[i].reg);
		ck_assert_uint_eq(x.val, read || rt == 31
						 ? 0
						 : 0xa5a5000000000000 + rt);
		ck_assert_int_eq(kvm_vcpu_sysreg_done(b.k, 1, true, ANSWER), 0);
		expect("vcpu1 RUN");
		/* As it was, but that BTYPE is what no branch leaves. */
		expect("vcpu1 SET pstate = 0x60000005");
		if (read && rt != 31)
			expect("vcpu1 SET x%u = 0x1122334455667788", rt);
		expect("vcpu1 SET pc = 0x40001004");
		/* Where it has just been, it is known to be. */
		kvm_kernel_forget();
		run_on(1);
		ck_assert_int_eq(count("vcpu1 GET VBAR_EL1"), 0);
		ck_assert_int_eq(count("vcpu1 RUN"), 1);
		end();
	}
}
END_TEST

/* What else arrives at the vector, and registers that are nobody's. */
START_TEST(other_exceptions)
{
	static const struct {
		u64 elr, esr;
		u32 insn;
	} rows[] = {
		/* No MRS or MSR (register): nop, isb, msr daifset, msr spsel,
		 * dc, sysl, udf, brk, hvc, ret, b, ldr. */
		{ CODE, EC(0), 0xd503201f },
		{ CODE, EC(0), 0xd5033fdf },
		{ CODE, EC(0), 0xd50342df },
		{ CODE, EC(0), 0xd50041bf },
		{ CODE, EC(0), 0xd50b7e20 },
		{ CODE, EC(0), 0xd52b7420 },
		{ CODE, EC(0), 0x00000000 },
		{ CODE, EC(0), 0xd4200000 },
		{ CODE, EC(0), 0xd4000002 },
		{ CODE, EC(0), 0xd65f03c0 },
		{ CODE, EC(0), 0x14000000 },
		{ CODE, EC(0), 0xf9400020 },
		/* FEAT_SYSREG128's MSRR and MRRS */
		{ CODE, EC(0), 0xd5584602 },
		{ CODE, EC(0), 0xd5784602 },
		/* One, but it is not what was thrown. */
		{ CODE, EC(0x01), 0xd5184603 },
		{ CODE, EC(0x15), 0xd5184603 },
		{ CODE, EC(0x18), 0xd5184603 },
		{ CODE, EC(0x25), 0xd5184603 },
		{ CODE, EC(0x3c), 0xd5184603 },
		/* From where there is no memory. */
		{ RAM - 4, EC(0), 0xd5184603 },
		{ RAM + RAM_SIZE, EC(0), 0xd5184603 },
		{ ~3ull, EC(0), 0xd5184603 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		begin_watching();
		put_insn(CODE, rows[i].insn);
		ck_assert_msg(throw(rows[i].elr, rows[i].esr).kind ==
				      VCPU_KICKED,
			      "row %zu", i);
		expect("vcpu1 RUN");
		expect_step();
		end();
	}
}
END_TEST

START_TEST(registers_that_are_not_there)
{
	for (size_t i = 0; i < ARRAY_SIZE(access_rows); i++) {
		begin_watching();
		put_insn(CODE, access_rows[i].insn);
		ck_assert_int_eq(throw(CODE, EC(0)).kind, access_rows[i].kind);
		ck_assert_int_eq(kvm_vcpu_sysreg_done(b.k, 1, false, ANSWER),
				 0);
		expect("vcpu1 RUN");
		expect_step();
		/* And the one after is again seen. */
		ck_assert_int_eq(throw(CODE, EC(0)).kind, access_rows[i].kind);
		end();
	}
}
END_TEST

/* Vectors that another vCPU moves meanwhile wait for the step, too. */
START_TEST(a_move_during_a_step)
{
	begin_watching();
	throw(CODE, EC(0));
	expect("vcpu1 RUN");
	expect("vcpu1 " STEP);
	learn(0, 0x40001000);
	run_on(1);
	run_debug(1, SOFTSTEP);
	expect("vcpu1 RUN");
	expect("vcpu1 RUN");
	run_on(1);
	expect("vcpu1 " WATCH_BASE " 0x40001200/0x1e3");
	expect("vcpu1 RUN");
	expect_end();
	end();
}
END_TEST

/* --- where instructions are --- */

/* TCR_EL1: TG0 is in [15:14], TG1 in [31:30], IPS in [34:32], EPD0 is 7, EPD1
 * 23, TBI0 37, TBI1 38, DS 59. */
#define TG0(g)  ((u64)(g) << 14)
#define TG1(g)  ((u64)(g) << 30)
#define IPS(n)  ((u64)(n) << 32)
#define EPD0    BIT(7)
#define EPD1    BIT(23)
#define TBI0    BIT(37)
#define TBI1    BIT(38)
#define DS      BIT(59)
#define LOW_4K  TG0(0)
#define LOW_16K TG0(2)
#define LOW_64K TG0(1)
#define UP_4K   TG1(2)
#define UP_16K  TG1(1)
#define UP_64K  TG1(3)

/* A granule's worth of memory, cleared, in the RAM at @from. */
static u64 take(u64 from, u32 shift)
{
	u64 to = from + 64 * KIB + ALIGN_UP(b.used, BIT(shift));

	b.used = to + BIT(shift) - from - 64 * KIB;
	memset(at(to, BIT(shift)), 0, BIT(shift));
	return to;
}

/* An address in a descriptor: its top has a place of its own in those of 64 KiB
 * granules, and with DS. */
static u64 desc(u64 tcr, u32 shift, u64 pa)
{
	if (shift == 16)
		return (pa & GENMASK(47, 0)) | (pa >> 48) << 12;
	return tcr & DS ? (pa & GENMASK(49, 0)) | (pa >> 50) << 8 : pa;
}

/* Let @va be @pa, a page, in the table at @table for @bits, with those below it
 * made. Nobody has set the access flag. */
static void map_page(u64 tcr, u64 table, u32 shift, u32 bits, u64 va, u64 pa)
{
	u32 stride = shift - 3, levels = (bits - shift + stride - 1) / stride;
	u64 in = va & (BIT(bits) - 1), from = table & ~(RAM_SIZE - 1);

	for (u32 l = levels; l-- > 0;) {
		u64 i = in >> (shift + l * stride) & (BIT(stride) - 1);
		u64 *d = (u64 *)at(table, BIT(shift)) + i;

		table = l ? take(from, shift) : ALIGN_DOWN(pa, BIT(shift));
		*d = htole64(desc(tcr, shift, table) | 3);
	}
}

static const struct {
	u64 tcr; /* without T0SZ and T1SZ */
	u32 shift, bits;
	u64 va;
	u64 ram; /* which the tables, and the page, are in */
	bool found;
} regimes[] = {
	/* As Linux has it, with each granule; a program that runs at EL1. */
	{ LOW_4K | UP_4K | IPS(5), 12, 48, 0xffff800080012abc, RAM, true },
	{ LOW_4K | UP_4K | IPS(5), 12, 48, 0x00007fff80012abc, RAM, true },
	{ LOW_4K | UP_4K | IPS(2), 12, 39, 0xffffffc080012abc, RAM, true },
	{ LOW_4K | UP_4K | IPS(2), 12, 39, 0x0000003f80012abc, RAM, true },
	{ LOW_16K | UP_16K | IPS(5), 14, 48, 0xffff800080012abc, RAM, true },
	{ LOW_16K | UP_16K | IPS(5), 14, 48, 0x00007fff80012abc, RAM, true },
	{ LOW_16K | UP_16K | IPS(4), 14, 47, 0xffffc00080012abc, RAM, true },
	{ LOW_16K | UP_16K | IPS(4), 14, 36, 0x0000000f80012abc, RAM, true },
	{ LOW_64K | UP_64K | IPS(5), 16, 48, 0xffff800080012abc, RAM, true },
	{ LOW_64K | UP_64K | IPS(5), 16, 48, 0x00007fff80012abc, RAM, true },
	{ LOW_64K | UP_64K | IPS(3), 16, 42, 0xfffffc0080012abc, RAM, true },
	{ LOW_64K | UP_64K | IPS(3), 16, 42, 0x000003ff80012abc, RAM, true },
	/* 52 bits in, and out. */
	{ LOW_64K | UP_64K | IPS(5), 16, 52, 0xfff8000080012abc, RAM, true },
	{ LOW_64K | UP_64K | IPS(6), 16, 52, 0xfff8000080012abc, RAM, true },
	{ LOW_64K | UP_64K | IPS(6), 16, 52, 0xfff8000080012abc, HIGH, true },
	{ LOW_64K | UP_64K | IPS(6), 16, 52, 0x0007fff080012abc, HIGH, true },
	{ LOW_4K | UP_4K | IPS(6) | DS, 12, 52, 0xfff8000080012abc, HIGH,
	  true },
	{ LOW_4K | UP_4K | IPS(6) | DS, 12, 52, 0x0007fff080012abc, HIGH,
	  true },
	{ LOW_4K | UP_4K | IPS(6) | DS, 12, 48, 0xffff800080012abc, HIGH,
	  true },
	{ LOW_4K | UP_4K | IPS(5) | DS, 12, 52, 0xfff8000080012abc, RAM, true },
	{ LOW_16K | UP_16K | IPS(6) | DS, 14, 52, 0xfff8000080012abc, HIGH,
	  true },
	{ LOW_16K | UP_16K | IPS(6) | DS, 14, 52, 0x0007fff080012abc, HIGH,
	  true },
	/* Two halves that are not alike. */
	{ LOW_16K | UP_4K | IPS(5), 12, 48, 0xffff800080012abc, RAM, true },
	{ LOW_64K | UP_16K | IPS(5), 14, 48, 0xffff800080012abc, RAM, true },
	{ LOW_4K | UP_64K | IPS(5), 16, 48, 0xffff800080012abc, RAM, true },
	{ LOW_4K | UP_16K | IPS(5), 12, 48, 0x00007fff80012abc, RAM, true },
	{ LOW_16K | UP_64K | IPS(5), 14, 48, 0x00007fff80012abc, RAM, true },
	{ LOW_64K | UP_4K | IPS(5), 16, 48, 0x00007fff80012abc, RAM, true },
	/* One that is off has no say, and is nowhere. */
	{ LOW_4K | IPS(5) | EPD1, 12, 48, 0x00007fff80012abc, RAM, true },
	{ UP_4K | IPS(5) | EPD0, 12, 48, 0xffff800080012abc, RAM, true },
	{ LOW_4K | UP_4K | IPS(5) | EPD0, 12, 48, 0x00007fff80012abc, RAM,
	  false },
	{ LOW_4K | UP_4K | IPS(5) | EPD1, 12, 48, 0xffff800080012abc, RAM,
	  false },
	/* Tags. */
	{ LOW_4K | UP_4K | IPS(5) | TBI0, 12, 48, 0x5a007fff80012abc, RAM,
	  true },
	{ LOW_4K | UP_4K | IPS(5) | TBI1, 12, 48, 0x5aff800080012abc, RAM,
	  true },
	{ LOW_4K | UP_4K | IPS(5) | TBI1, 12, 48, 0x5a007fff80012abc, RAM,
	  false },
	{ LOW_4K | UP_4K | IPS(5) | TBI0, 12, 48, 0x5aff800080012abc, RAM,
	  false },
	/* Beyond what goes in, and out. */
	{ LOW_4K | UP_4K | IPS(5), 12, 39, 0xffff800080012abc, RAM, false },
	{ LOW_64K | UP_64K | IPS(5), 16, 52, 0xfff8000080012abc, HIGH, false },
	/* No granule has so many bits, or has this encoding. */
	{ LOW_4K | UP_4K | IPS(6), 12, 52, 0xfff8000080012abc, RAM, false },
	{ LOW_4K | TG1(0) | IPS(5), 12, 48, 0xffff800080012abc, RAM, false },
	{ TG0(3) | UP_4K | IPS(5), 12, 48, 0x00007fff80012abc, RAM, false },
};

/* vCPU 1 translates. @table is that of the half @va is in. */
static void translate(u64 tcr, u32 bits, u64 va, u64 table)
{
	u64 *regs = kvm_kernel.regs[1];
	bool up = va & BIT(55);

	regs[REG_SCTLR_EL1] = 0x30d0199d; /* with M, bit 0 */
	regs[REG_TCR_EL1] = tcr | (64 - bits) | (u64)(64 - bits) << 16;
	/* With what else is in there: an ASID, and CnP. */
	regs[REG_TTBR0_EL1] = regs[REG_TTBR1_EL1] = 0x1234000000000001;
	regs[up ? REG_TTBR1_EL1 : REG_TTBR0_EL1] |=
		(table & GENMASK(47, 0)) | (table >> 48) << 2;
}

/* mrs x0, icc_sre_el1 is what is read at @va, or nothing is. */
static void expect_read(u64 va, bool found, size_t row)
{
	struct kvm_exit x = throw(va, EC(0));

	if (!found) {
		ck_assert_msg(x.kind == VCPU_KICKED, "row %zu", row);
		return;
	}
	ck_assert_msg(x.kind == VCPU_SYSREG_READ && x.addr == SRE, "row %zu",
		      row);
}

START_TEST(translation)
{
	for (size_t i = 0; i < ARRAY_SIZE(regimes); i++) {
		u64 va = regimes[i].va, table, page;
		u32 shift = regimes[i].shift;

		begin_watching();
		table = take(regimes[i].ram, shift);
		page = take(regimes[i].ram, shift);
		map_page(regimes[i].tcr, table, shift, regimes[i].bits, va,
			 page);
		put_insn(page + (va & (BIT(shift) - 1)), 0xd538cca0);
		translate(regimes[i].tcr, regimes[i].bits, va, table);
		expect_read(va, regimes[i].found, i);
		end();
	}
}
END_TEST

/* With the MMU off, addresses are what they are, whatever else is set. */
START_TEST(no_translation)
{
	begin_watching();
	translate(LOW_4K | EPD0 | EPD1, 48, CODE, 0);
	kvm_kernel.regs[1][REG_SCTLR_EL1] &= ~BIT(0);
	put_insn(CODE, 0xd538cca0);
	expect_read(CODE, true, 0);
	end();
}
END_TEST

#define VA 0xffff800080012abcull

/* VA is @page, in a table made for it; or it is nowhere, with 0. */
static void map_va(u64 page)
{
	u64 table = take(RAM, 12);

	if (page)
		map_page(0, table, 12, 48, VA, page);
	translate(LOW_4K | UP_4K | IPS(5), 48, VA, table);
}

/* Kernels patch themselves: tables are not walked each time, but what is there
 * is read. */
START_TEST(a_patched_instruction)
{
	struct kvm_exit x;

	begin_watching();
	map_va(RAM + 0x1000);
	put_insn(OTHER, 0xd503201f);
	expect_read(VA, false, 0);
	run_debug(1, SOFTSTEP);
	ck_assert_int_eq(count("GET TCR_EL1"), 1);
	put_insn(OTHER, 0xd538cca0);
	expect_read(VA, true, 1);
	put_insn(OTHER, 0xd5184603);
	x = throw(VA, EC(0));
	ck_assert_int_eq(x.kind, VCPU_SYSREG_WRITE);
	ck_assert_uint_eq(x.addr, PMR);
	ck_assert_int_eq(count("GET TCR_EL1"), 1);
	end();
}
END_TEST

/* Many places, more than are remembered, and all of their own. */
START_TEST(many_instructions)
{
	begin_watching();
	map_va(RAM + 0x1000);
	for (u32 round = 0; round < 2; round++)
		for (u32 i = 0; i < 0x400; i++) {
			u64 va = (VA & ~0xfffull) + i * 4;
			struct kvm_exit x;

			put_insn(RAM + 0x1000 + i * 4, 0xd5380000 | i << 5);
			forget();
			x = throw(va, EC(0));
			ck_assert_int_eq(x.kind, VCPU_SYSREG_READ);
			ck_assert_uint_eq(x.addr, GIC_SYSREG(3, 0, 0, 0, i));
		}
	end();
}
END_TEST

/* A place is forgotten with new vectors: what moves these moves its code. */
START_TEST(code_that_moves)
{
	begin_watching();
	/* What was not there is looked for again. */
	map_va(0);
	expect_read(VA, false, 0);
	run_debug(1, SOFTSTEP);
	map_va(RAM + 0x1000);
	put_insn(OTHER, 0xd538cca0);
	expect_read(VA, true, 1);
	map_va(RAM + 0x3000);
	learn(0, 0x40001000);
	expect_read(VA, false, 2);
	run_debug(1, SOFTSTEP);
	put_insn(OTHER + 0x2000, 0xd538cca0);
	expect_read(VA, true, 3);
	end();
}
END_TEST

/* --- wires --- */

/* api.rst, KVM_CAP_ARM_USER_IRQ: the virtual timer is bit 0, the physical one
 * bit 1, the PMU bit 2. */
START_TEST(wires)
{
	/* One after the other. */
	static const struct {
		u64 levels;
		int err; /* of KVM_RUN */
		const char *told[3];
	} rows[] = {
		{ 0, 0, { NULL } },
		{ 1, 0, { "wire 27 of vcpu1 is 1" } },
		{ 1, 0, { NULL } },
		{ 3, -EINTR, { "wire 30 of vcpu1 is 1" } },
		{ 6,
		  -EINTR,
		  { "wire 27 of vcpu1 is 0", "wire 23 of vcpu1 is 1" } },
		/* Not known, and nobody's. */
		{ 14, 0, { NULL } },
		{ 6, 0, { NULL } },
		{ 0, 0, { "wire 30 of vcpu1 is 0", "wire 23 of vcpu1 is 0" } },
		{ 7,
		  -EAGAIN,
		  { "wire 27 of vcpu1 is 1", "wire 30 of vcpu1 is 1",
		    "wire 23 of vcpu1 is 1" } },
	};

	begin_watching();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		b.levels = rows[i].levels;
		b.err = rows[i].err;
		ck_assert_int_eq(run_on(1), VCPU_KICKED);
		expect("vcpu1 RUN");
		for (size_t w = 0; w < 3 && rows[i].told[w]; w++)
			expect("%s", rows[i].told[w]);
		expect_end();
	}
	/* Each vCPU has its own. */
	settle(2);
	forget();
	b.levels = 1;
	run_on(2);
	expect("vcpu2 RUN");
	expect("wire 30 of vcpu2 is 0");
	expect("wire 23 of vcpu2 is 0");
	expect_end();
	end();
}
END_TEST

/* What a GIC makes of a wire goes to the vCPU before it runs on; nobody has to
 * be kicked for that. */
START_TEST(a_wire_becomes_a_line)
{
	begin_watching();
	b.levels = 1;
	b.wired_lines = KVM_LINE_IRQ;
	run_on(1);
	expect("vcpu1 RUN");
	expect("wire 27 of vcpu1 is 1");
	expect_end();
	run_on(1);
	expect("vm IRQ_LINE 0x10000 1");
	expect("vcpu1 RUN");
	expect_end();
	end();
}
END_TEST

/* --- lines --- */

#define IRQ  KVM_LINE_IRQ
#define FIQ  KVM_LINE_FIQ
#define WAKE KVM_LINE_WAKE

/* From one to the other: what KVM is asked, of vCPU 1. */
static const struct {
	u32 from, to;
	const char *irq, *fiq; /* NULL: nothing */
} line_rows[] = {
	{ 0, 0, NULL, NULL },
	{ 0, IRQ, "vm IRQ_LINE 0x10000 1", NULL },
	{ 0, FIQ, NULL, "vm IRQ_LINE 0x10001 1" },
	{ 0, IRQ | FIQ, "vm IRQ_LINE 0x10000 1", "vm IRQ_LINE 0x10001 1" },
	{ IRQ, 0, "vm IRQ_LINE 0x10000 0", NULL },
	{ IRQ, IRQ, NULL, NULL },
	{ IRQ, FIQ, "vm IRQ_LINE 0x10000 0", "vm IRQ_LINE 0x10001 1" },
	{ IRQ, IRQ | FIQ, NULL, "vm IRQ_LINE 0x10001 1" },
	{ FIQ, 0, NULL, "vm IRQ_LINE 0x10001 0" },
	{ IRQ | FIQ, 0, "vm IRQ_LINE 0x10000 0", "vm IRQ_LINE 0x10001 0" },
	{ IRQ | FIQ, FIQ, "vm IRQ_LINE 0x10000 0", NULL },
	/* Nothing to one that is awake. */
	{ 0, WAKE, NULL, NULL },
	{ FIQ, IRQ | WAKE, "vm IRQ_LINE 0x10000 1", "vm IRQ_LINE 0x10001 0" },
	{ IRQ | WAKE, WAKE, "vm IRQ_LINE 0x10000 0", NULL },
};

static void expect_row(size_t i)
{
	if (line_rows[i].irq)
		expect("%s", line_rows[i].irq);
	if (line_rows[i].fiq)
		expect("%s", line_rows[i].fiq);
}

/* vCPU 1 has the lines of row @i's beginning. */
static void begin_lines(size_t i, bool settled)
{
	begin();
	learn(1, BASE);
	if (settled)
		settle(1);
	kvm_vcpu_lines(b.k, 1, line_rows[i].from);
	run_on(1);
	forget();
}

START_TEST(lines_before_it_enters)
{
	for (size_t i = 0; i < ARRAY_SIZE(line_rows); i++)
		for (int settled = 0; settled < 2; settled++) {
			begin_lines(i, settled);
			/* What was asked for in between has not been. */
			kvm_vcpu_lines(b.k, 1, IRQ | FIQ);
			kvm_vcpu_lines(b.k, 1, 0);
			kvm_vcpu_lines(b.k, 1, line_rows[i].to);
			expect_end();
			run_on(1);
			run_on(1);
			expect_row(i);
			expect("vcpu1 RUN");
			expect("vcpu1 RUN");
			expect_end();
			end();
		}
}
END_TEST

static void lines_change(u32 vcpu)
{
	kvm_vcpu_lines(b.k, vcpu, b.lines);
}

/* @i's lines, while it is in the guest. */
static void change_inside(u32 i, u32 lines)
{
	b.lines = lines;
	b.meanwhile = lines_change;
	run_on(i);
	b.meanwhile = NULL;
}

/* Nobody else touches its lines: it comes out for what is new, and finds by
 * itself what is gone. */
START_TEST(lines_in_the_guest)
{
	for (size_t i = 0; i < ARRAY_SIZE(line_rows); i++)
		for (int settled = 0; settled < 2; settled++) {
			u32 to = line_rows[i].to & (IRQ | FIQ);

			begin_lines(i, settled);
			change_inside(1, line_rows[i].to);
			expect("vcpu1 RUN");
			if (to & ~line_rows[i].from)
				expect("kick vcpu1");
			expect_end();
			run_on(1);
			expect_row(i);
			expect("vcpu1 RUN");
			expect_end();
			end();
		}
}
END_TEST

static void others_lines_change(u32 vcpu)
{
	kvm_vcpu_lines(b.k, 0, IRQ);
	kvm_vcpu_lines(b.k, 2, FIQ);
}

/* Whether one is in the guest is not another's. */
START_TEST(lines_of_others)
{
	begin_watching();
	settle(0);
	settle(2);
	forget();
	b.meanwhile = others_lines_change;
	run_on(1);
	b.meanwhile = NULL;
	expect("vcpu1 RUN");
	expect_end();
	run_on(0);
	expect("vm IRQ_LINE 0x0 1");
	expect("vcpu0 RUN");
	run_on(2);
	expect("vm IRQ_LINE 0x20001 1");
	expect("vcpu2 RUN");
	expect_end();
	end();
}
END_TEST

/* api.rst, KVM_IRQ_LINE: vcpu2_index is in [31:28], irq_type in [27:24], 0 for
 * a vCPU's own lines, vcpu_index in [23:16]; the vCPU is 256 * vcpu2_index +
 * vcpu_index. */
START_TEST(lines_of_many_vcpus)
{
	static const struct {
		u32 vcpu;
		const char *irq;
	} rows[] = {
		{ 0, "0x0" },          { 1, "0x10000" },
		{ 255, "0xff0000" },   { 256, "0x10000000" },
		{ 300, "0x102c0000" },
	};

	prepare();
	kvm_kernel.vcpus_max = KERNEL_VCPUS_MAX;
	make(301);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		settle(rows[i].vcpu);
		forget();
		kvm_vcpu_lines(b.k, rows[i].vcpu, IRQ);
		run_on(rows[i].vcpu);
		expect("vm IRQ_LINE %s 1", rows[i].irq);
		expect("vcpu%u RUN", rows[i].vcpu);
		expect_end();
	}
	end();
}
END_TEST

/* --- reset --- */

/* vCPU 1 has a line, watches, and is in the middle of a step. */
static void begin_reset(void)
{
	begin_watching();
	kvm_vcpu_lines(b.k, 1, IRQ);
	throw(RAM, EC(0));
	expect("vm IRQ_LINE 0x10000 1");
	expect("vcpu1 RUN");
	expect("vcpu1 " STEP);
	forget();
}

START_TEST(resetting)
{
	struct err e = { 0 };

	begin_reset();
	ck_assert_int_eq(kvm_reset(b.k, &e), 0);
	expect("vcpu0 INIT target 5 features 0x4");
	expect("vcpu1 INIT target 5 features 0x5");
	expect("vcpu2 INIT target 5 features 0x5");
	expect_end();
	/* KVM knows no line of a vCPU that was reset. */
	kvm_kernel.regs[1][REG_VBAR_EL1] = 0;
	run_on(1);
	expect("vcpu1 " WATCH);
	expect("vm IRQ_LINE 0x10000 1");
	expect("vcpu1 RUN");
	/* It boots: looked at each time, and what was known is new. */
	kvm_kernel.regs[1][REG_VBAR_EL1] = BASE;
	ck_assert_int_eq(run_on(1), VCPU_MOVED);
	kvm_vectors_learn(b.k, 1);
	run_on(1);
	expect("vcpu1 " WATCH_BASE);
	expect("vcpu1 RUN");
	expect_end();
	end();
}
END_TEST

static enum kvm_exit_kind run_event(u32 i, u32 event)
{
	kvm_kernel_run_area(i)->system_event.type = event;
	return run(i, KVM_EXIT_SYSTEM_EVENT).kind;
}

/* The others' vectors are theirs still; this one is as after a reset. */
START_TEST(suspending_and_waking)
{
	begin_reset();
	ck_assert_int_eq(run_event(1, KVM_SYSTEM_EVENT_SUSPEND),
			 VCPU_SUSPENDED);
	expect("vcpu1 RUN");
	expect("vcpu1 MP_STATE 10");
	ck_assert_int_eq(run_event(1, KVM_SYSTEM_EVENT_WAKEUP), VCPU_WOKEN);
	expect("vcpu1 RUN");
	expect("vcpu1 INIT target 5 features 0x5");
	expect("vcpu1 SET pc = 0x0");
	expect("vcpu1 SET x0 = 0x0");
	expect("vcpu1 MP_STATE 0");
	expect_end();
	kvm_kernel.regs[1][REG_VBAR_EL1] = 0;
	run_on(1);
	expect("vcpu1 " WATCH_BASE);
	expect("vm IRQ_LINE 0x10000 1");
	expect("vcpu1 RUN");
	kvm_kernel.regs[1][REG_VBAR_EL1] = 0x40001000;
	ck_assert_int_eq(run_on(1), VCPU_MOVED);
	expect_end();
	end();
}
END_TEST

/* What waits for one that the guest has put to sleep in the GIC, too, ends its
 * sleep in KVM; awake, it has no interrupt of that. */
START_TEST(what_wakes)
{
	for (int inside = 0; inside < 2; inside++) {
		begin_watching();
		run_event(1, KVM_SYSTEM_EVENT_SUSPEND);
		expect("vcpu1 RUN");
		expect("vcpu1 MP_STATE 10");
		if (inside) {
			change_inside(1, WAKE);
			expect("vcpu1 RUN");
			expect("kick vcpu1");
		} else {
			kvm_vcpu_lines(b.k, 1, WAKE);
		}
		expect_end();
		run_on(1);
		expect("vm IRQ_LINE 0x10000 1");
		expect("vcpu1 RUN");
		expect_end();
		ck_assert_int_eq(run_event(1, KVM_SYSTEM_EVENT_WAKEUP),
				 VCPU_WOKEN);
		forget();
		run_on(1);
		expect("vcpu1 " WATCH_BASE);
		expect("vcpu1 RUN");
		expect_end();
		end();
	}
}
END_TEST

/* --- failure --- */

/* All of a VM's making, with its @fail_at'th call failing. */
static bool make_and_drop(int fd, int fail_at, struct err *e)
{
	struct kvm_setup s = full_setup();
	bool made;

	*e = (struct err) { 0 };
	kvm_kernel_forget();
	kvm_kernel.fail_at = fail_at;
	kvm_kernel.watching = true;
	b.k = kvm_create(fd, &s, e);
	kvm_kernel.watching = false;
	made = b.k && !kvm_map(b.k, RAM, RAM_SIZE, b.ram[0], e) &&
	       !kvm_finish(b.k, e) && !kvm_reset(b.k, e) &&
	       !kvm_enter(b.k, RAM, 0x48000000, e);
	kvm_destroy(b.k);
	return made;
}

/* What the host may lack without a VM being the worse for it. */
static bool can_do_without(const char *line)
{
	return strstr(line, " ID_ISAR2") ||
	       !strcmp(line, "vm ENABLE_CAP 177") ||
	       !strcmp(line, "vm ENABLE_CAP 216") ||
	       !strcmp(line, "system CHECK_EXTENSION 165");
}

START_TEST(every_call_of_making_may_fail)
{
	struct err e;
	int fd, held, calls;

	prepare();
	fd = open_kvm();
	held = kvm_kernel_held();
	ck_assert_msg(make_and_drop(fd, 0, &e), "%s", e.msg);
	calls = kvm_kernel.calls;
	ck_assert_int_gt(calls, 25);
	for (int i = 1; i <= calls; i++) {
		bool made = make_and_drop(fd, i, &e);

		ck_assert_msg(made == can_do_without(kvm_kernel.failed),
			      "call %d, %s", i, kvm_kernel.failed);
		ck_assert_msg(made || (e.code < 0 && e.msg[0]), "call %d, %s",
			      i, kvm_kernel.failed);
		ck_assert_msg(kvm_kernel_held() == held, "call %d, %s leaks", i,
			      kvm_kernel.failed);
	}
	close(fd);
	b.k = NULL;
	end();
}
END_TEST

/* An exit is seen to, as vcpus.c does it; 1 if it is the end. */
static int see_to(const struct kvm_exit *x, bool there)
{
	switch (x->kind) {
	case VCPU_SYSREG_READ:
	case VCPU_SYSREG_WRITE:
		return kvm_vcpu_sysreg_done(b.k, 1, there, ANSWER) != 0;
	case VCPU_MOVED:
		kvm_vectors_learn(b.k, 1);
		return 0;
	case VCPU_BROKEN:
		ck_assert_int_eq(x->code, -EBUSY);
		ck_assert(x->why[0]);
		return 1;
	default:
		return 0;
	}
}

/* Everything that vCPU 1 comes through, whatever becomes of it. How often it
 * was the end. */
static int live(void)
{
	static const u32 insns[] = { 0xd538cca3, 0xd5184603, 0xd503201f };
	struct kvm_exit x;
	struct err e;
	int ends = 0;

	kvm_kernel.regs[1][REG_VBAR_EL1] = BASE;
	kvm_vcpu_lines(b.k, 1, IRQ);
	for (int i = 0; i < 2; i++) {
		x = run(1, KVM_EXIT_MMIO);
		ends += see_to(&x, true);
	}
	translate(LOW_4K | UP_4K | IPS(5), 48, VA, RAM);
	for (size_t i = 0; i < 2 * ARRAY_SIZE(insns); i++) {
		put_insn(OTHER, insns[i / 2]);
		x = throw(VA, EC(0));
		ends += see_to(&x, i % 2);
		x = run_debug(1, SOFTSTEP);
		ends += see_to(&x, true);
	}
	kvm_kernel_run_area(1)->system_event.type = KVM_SYSTEM_EVENT_SUSPEND;
	x = run(1, KVM_EXIT_SYSTEM_EVENT);
	ends += see_to(&x, true);
	kvm_kernel_run_area(1)->system_event.type = KVM_SYSTEM_EVENT_WAKEUP;
	x = run(1, KVM_EXIT_SYSTEM_EVENT);
	ends += see_to(&x, true);
	ends += kvm_reset(b.k, &e) != 0;
	x = run(1, KVM_EXIT_INTR);
	ends += see_to(&x, true);
	return ends;
}

/* What is not to be read then is nothing to look at, or no access. */
static bool can_live_without(const char *line)
{
	static const char *const calls[] = {
		"GET VBAR_EL1", "GET pstate",    "GET ESR_EL1",
		"GET elr_el1",  "GET x3",        "GET SCTLR_EL1",
		"GET TCR_EL1",  "GET TTBR0_EL1", "GET TTBR1_EL1",
		"IRQ_LINE",
	};

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		if (strstr(line, calls[i]))
			return true;
	return false;
}

START_TEST(every_call_of_a_life_may_fail)
{
	int held = 0, calls = 0;

	for (int i = 0; i <= calls; i++) {
		int ends;

		begin();
		map_page(0, RAM, 12, 48, VA, RAM + 0x1000);
		kvm_kernel_run_area(1);
		held = kvm_kernel_held();
		kvm_kernel.fail_at = i;
		kvm_kernel.fail_with = EBUSY;
		ends = live();
		calls = i ? calls : kvm_kernel.calls;
		ck_assert_msg(!ends == (!i ||
					can_live_without(kvm_kernel.failed)),
			      "call %d, %s: %d", i, kvm_kernel.failed, ends);
		ck_assert_msg(kvm_kernel_held() == held, "call %d, %s leaks", i,
			      kvm_kernel.failed);
		end();
	}
	ck_assert_int_gt(calls, 60);
}
END_TEST

/* --- instructions with breakpoints of their own --- */

/* The access at @va is thrown @times and made. */
static void throw_often(u64 va, int times)
{
	for (int i = 0; i < times; i++) {
		ck_assert_int_eq(throw(va, EC(0)).kind, VCPU_SYSREG_READ);
		ck_assert_int_eq(kvm_vcpu_sysreg_done(b.k, 1, true, 0), 0);
	}
}

/* vCPU 1's next run sets breakpoints, @va's among them or not. */
static void expect_hot(u64 va, bool hot)
{
	char want[64];

	kvm_kernel_forget();
	run_on(1);
	snprintf(want, sizeof(want), " 0x%llx/0x1e3", (unsigned long long)va);
	ck_assert_int_eq(count("vcpu1 " WATCH), 1);
	ck_assert_int_eq(count(want), hot);
}

static struct kvm_exit run_to(u64 pc)
{
	kvm_kernel.regs[1][REG_PC] = pc;
	kvm_kernel_forget();
	return run_debug(1, BREAKPOINT);
}

START_TEST(hot_instructions)
{
	u64 *regs = kvm_kernel.regs[1];
	struct kvm_exit x;

	begin_watching();
	put_insn(CODE, 0xd538cc03);
	throw_often(CODE, 63);
	kvm_kernel_forget();
	run_on(1);
	ck_assert_int_eq(count(WATCH), 0);
	throw_often(CODE, 1);
	expect_hot(CODE, true);

	/* Nothing is thrown: only what an MRS changes does change. */
	regs[REG_PSTATE] = EL1H;
	x = run_to(CODE);
	ck_assert_int_eq(x.kind, VCPU_SYSREG_READ);
	ck_assert_uint_eq(x.addr, IAR1);
	ck_assert_int_eq(kvm_vcpu_sysreg_done(b.k, 1, true, ANSWER), 0);
	ck_assert_int_eq(count(" SET "), 2);
	ck_assert_uint_eq(regs[3], ANSWER);
	ck_assert_uint_eq(regs[REG_PC], CODE + 4);
	ck_assert_uint_eq(regs[REG_PSTATE], EL1H);
	ck_assert_int_eq(count(WATCH), 0);
	end();
}
END_TEST

/* It is executed as it is then, without a breakpoint. */
START_TEST(hot_no_more)
{
	static const struct {
		u32 insn;
		u64 ttbr;
		bool learn;
	} rows[] = {
		{ 0xd503201f, 0, false },          /* patched */
		{ 0xd538cc03, 0x40008000, false }, /* another kernel's tables */
		{ 0xd538cc03, 0, true },           /* and its vectors */
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		begin_watching();
		put_insn(CODE, 0xd538cc03);
		throw_often(CODE, 64);
		expect_hot(CODE, true);
		put_insn(CODE, rows[i].insn);
		kvm_kernel.regs[1][REG_TTBR0_EL1] = rows[i].ttbr;
		if (rows[i].learn)
			learn(1, BASE + 0x10000);
		else
			ck_assert_int_eq(run_to(CODE).kind, VCPU_KICKED);
		ck_assert_uint_eq(kvm_kernel.regs[1][REG_PC],
				  rows[i].learn ? kvm_kernel.regs[1][REG_PC]
						: CODE);
		expect_hot(CODE, false);
		end();
	}
}
END_TEST

/* A register that is not there throws, as it would have. */
START_TEST(hot_and_refused)
{
	begin_watching();
	put_insn(CODE, 0xd538cc03);
	throw_often(CODE, 64);
	expect_hot(CODE, true);
	ck_assert_int_eq(run_to(CODE).kind, VCPU_SYSREG_READ);
	ck_assert_int_eq(kvm_vcpu_sysreg_done(b.k, 1, false, 0), 0);
	ck_assert_uint_eq(kvm_kernel.regs[1][REG_PC], CODE);
	ck_assert_int_eq(count(STEP), 0);
	expect_hot(CODE, false);
	end();
}
END_TEST

static u32 breakpoints_set(const char *line)
{
	u32 n = 0;

	for (; (line = strstr(line, "/0x1e3")); line++)
		n++;
	return n;
}

START_TEST(room_for_hot_ones)
{
	static const struct {
		u32 breakpoints, hot;
	} rows[] = { { 1, 0 }, { 2, 1 }, { 6, 4 } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		u32 set = 0;

		prepare();
		kvm_kernel.breakpoints = rows[i].breakpoints;
		make(2);
		learn(1, BASE);
		for (u64 at = CODE; at < CODE + 6 * 4; at += 4) {
			put_insn(at, 0xd538cc03);
			throw_often(at, 80);
			for (int l = 0; l < kvm_kernel.lines; l++)
				if (strstr(kvm_kernel.line[l], "vcpu1 " WATCH))
					set = breakpoints_set(
						kvm_kernel.line[l]);
			kvm_kernel_forget();
		}
		ck_assert_uint_eq(set, 1 + rows[i].hot);
		end();
	}
}
END_TEST

/* That a program has run shows in ESR_EL1, too, if a kernel before has not
 * left it there. */
START_TEST(signs_of_a_program)
{
	static const struct {
		u64 before, after;
		bool settled;
	} rows[] = {
		{ 0, EC(0x15), true },         { 0, EC(0x20), true },
		{ 0, EC(0x24), true },         { 0, EC(0x25), false },
		{ 0, EC(0x21), false },        { 0, EC(0x3c), false },
		{ EC(0x15), EC(0x15), false }, { EC(0x15), EC(0x24), true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		begin();
		learn(1, BASE);
		kvm_kernel.regs[1][REG_PSTATE] = EL1H;
		kvm_kernel.regs[1][REG_ESR_EL1] = rows[i].before;
		run(1, KVM_EXIT_INTR);
		run(1, KVM_EXIT_INTR);
		kvm_kernel.regs[1][REG_ESR_EL1] = rows[i].after;
		run(1, KVM_EXIT_INTR);
		kvm_kernel_forget();
		run(1, KVM_EXIT_INTR);
		ck_assert_msg(!count("vcpu1 GET VBAR_EL1") == rows[i].settled,
			      "row %zu", i);
		end();
	}
}
END_TEST

/* --- what a guest may do --- */

/* KVM_EXIT_DEBUG is also what a guest's own BRK ends in: while the vCPU is
 * debugged, KVM routes all debug exceptions to EL2 and leaves it to user space
 * to give the guest its own (kvm_handle_guest_debug). */
START_TEST(a_guests_own_brk)
{
	static const struct {
		u64 pstate, vector;
	} rows[] = {
		{ EL1H, 0x200 },
		{ EL1T, 0x000 },
		{ EL0, 0x400 },
		{ EL0 | 0x10, 0x600 }, /* AArch32 */
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		u64 *regs = kvm_kernel.regs[1];

		begin_watching();
		/* As the last access to ICC_*_EL1 has left them. */
		put_insn(CODE, 0xd538cc1e);
		throw(CODE, EC(0));
		ck_assert_int_eq(kvm_vcpu_sysreg_done(b.k, 1, true, 0), 0);
		forget();
		regs[REG_VBAR_EL1] = BASE;
		regs[REG_PSTATE] = rows[i].pstate;
		regs[REG_PC] = OTHER;
		ck_assert_msg(run_debug(1, 0x3c).kind == VCPU_KICKED,
			      "row %zu: an access", i);
		ck_assert_msg(!count(STEP), "row %zu: stepped, for ever", i);
		ck_assert_uint_eq(regs[REG_PC], BASE + rows[i].vector);
		ck_assert_uint_eq(regs[REG_PSTATE] & 0x3df, 0x3c5);
		ck_assert_uint_eq(regs[REG_ELR_EL1], OTHER);
		ck_assert_uint_eq(regs[REG_SPSR_EL1], rows[i].pstate);
		ck_assert_uint_eq(regs[REG_ESR_EL1], EC(0x3c));
		end();
	}
}
END_TEST

/* DDI 0487, AArch64.TakeException: flags and DIT stay, PAN is set unless
 * SCTLR_EL1.SPAN (bit 23) is, SSBS is SCTLR_EL1.DSSBS (bit 44); what is masked
 * is DAIF. BTYPE, SS, IL, UAO and the like are gone. */
START_TEST(the_state_a_brk_is_taken_in)
{
	static const struct {
		u64 pstate, sctlr, taken;
	} rows[] = {
		{ 0x00000000, BIT(23), 0x000003c5 },
		{ 0x00000000, 0, 0x004003c5 },
		{ 0x00000000, BIT(23) | BIT(44), 0x000013c5 },
		{ 0xf0000000, BIT(23), 0xf00003c5 },
		{ 0x014003c5, BIT(23), 0x014003c5 },
		{ 0x00001005, BIT(23), 0x000003c5 },
		{ 0x00b00c05, BIT(23), 0x000003c5 },
		/* AArch32's flags besides: Q, GE, E, T. */
		{ 0x080f0230, BIT(23), 0x000003c5 },
	};
	static const u32 ecs[] = { 0x3c, 0x38 }; /* BRK, BKPT */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (size_t e = 0; e < ARRAY_SIZE(ecs); e++) {
			u64 *regs = kvm_kernel.regs[1];

			begin_watching();
			regs[REG_PSTATE] = rows[i].pstate;
			regs[REG_SCTLR_EL1] = rows[i].sctlr;
			ck_assert_int_eq(run_debug(1, ecs[e]).kind,
					 VCPU_KICKED);
			ck_assert_msg(regs[REG_PSTATE] == rows[i].taken,
				      "row %zu: 0x%llx", i,
				      (unsigned long long)regs[REG_PSTATE]);
			ck_assert_uint_eq(regs[REG_SPSR_EL1], rows[i].pstate);
			ck_assert_uint_eq(regs[REG_ESR_EL1], EC(ecs[e]));
			/* It is not watched less for that. */
			forget();
			run_on(1);
			expect("vcpu1 RUN");
			expect_end();
			end();
		}
}
END_TEST

/* Registers, each of which may be refused; and what no guest can throw. */
START_TEST(debug_exits_that_fail)
{
	static const struct {
		u32 ec;
		int fail_at, code;
	} rows[] = {
		{ 0x3c, 2, -EBUSY }, { 0x3c, 3, -EBUSY },  { 0x3c, 4, -EBUSY },
		{ 0x3c, 5, -EBUSY }, { 0x3c, 6, -EBUSY },  { 0x3c, 7, -EBUSY },
		{ 0x3c, 8, -EBUSY }, { 0x3c, 9, -EBUSY },  { 0x3c, 10, -EBUSY },
		{ 0x3c, 11, 0 },     { 0x34, 0, -EPROTO }, { 0x00, 0, -EPROTO },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct kvm_exit x;

		begin_watching();
		kvm_kernel.fail_at = rows[i].fail_at;
		kvm_kernel.fail_with = EBUSY;
		x = run_debug(1, rows[i].ec);
		ck_assert_msg(x.kind == (rows[i].code ? VCPU_BROKEN
						      : VCPU_KICKED),
			      "row %zu", i);
		ck_assert(!rows[i].code ||
			  (x.code == rows[i].code && x.why[0]));
		end();
	}
}
END_TEST

/* A half that is not used may be set to anything: TG1 of 0 is no granule, and
 * T1SZ is 0, as after a reset. */
START_TEST(half_a_regime)
{
	u64 table;

	begin_watching();
	table = take(RAM, 12);
	map_page(0, table, 12, 39, 0x3f80012abc, RAM + 0x1000);
	put_insn(OTHER, 0xd538cca0);
	translate(LOW_4K | IPS(5), 39, 0x3f80012abc, table);
	kvm_kernel.regs[1][REG_TCR_EL1] &= ~GENMASK(31, 16);
	expect_read(0x3f80012abc, true, 0);
	end();
}
END_TEST

/* TCR_EL1.HPD1 (bit 42): attributes of tables are software's. */
START_TEST(attributes_of_tables)
{
	u64 table;

	begin_watching();
	table = take(RAM, 12);
	map_page(0, table, 12, 48, VA, RAM + 0x1000);
	for (u32 i = 0; i < 512; i++)
		if (((u64 *)at(table, 4096))[i])
			((u64 *)at(table, 4096))[i] |= BIT(59);
	put_insn(OTHER, 0xd538cca0);
	translate(LOW_4K | UP_4K | IPS(5) | BIT(41) | BIT(42), 48, VA, table);
	expect_read(VA, true, 0);
	end();
}
END_TEST

/* TTBR1_EL1.BADDR has 52 bits if TCR_EL1.IPS says so, however many go in. */
START_TEST(a_table_with_52_bits)
{
	u64 va = 0xffff800080012abc, table, page;

	begin_watching();
	table = take(HIGH, 16);
	page = take(HIGH, 16);
	map_page(0, table, 16, 48, va, page);
	put_insn(page + 0x2abc, 0xd538cca0);
	translate(LOW_64K | UP_64K | IPS(6), 48, va, table);
	expect_read(va, true, 0);
	end();
}
END_TEST

/* A guest may say anything in SPSR_EL1, and jump to its vector: KVM refuses to
 * set such a mode. That is the guest's fault, not the host's. */
START_TEST(a_mode_there_is_not)
{
	begin_watching();
	put_insn(CODE, 0xd538cca0);
	throw(CODE, EC(0));
	kvm_kernel.regs[1][REG_SPSR_EL1] = 0x3c9; /* EL2h */
	/* spsr, pstate */
	kvm_kernel.fail_at = kvm_kernel.calls + 2;
	kvm_kernel.fail_with = EINVAL;
	ck_assert_int_eq(kvm_vcpu_sysreg_done(b.k, 1, true, ANSWER), 0);
	ck_assert_str_eq(kvm_kernel.failed, "vcpu1 SET pstate = 0x3c9");
	end();
}
END_TEST

/* It wakes with the MMU off: where code was before is of no use. */
START_TEST(places_after_waking)
{
	u64 table;

	begin_watching();
	table = take(RAM, 12);
	map_page(0, table, 12, 48, OTHER, RAM + 0x3000);
	translate(LOW_4K | UP_4K | IPS(5), 48, OTHER, table);
	put_insn(OTHER + 0x2000, 0xd538cca0);
	put_insn(OTHER, 0xd503201f);
	expect_read(OTHER, true, 0);
	ck_assert_int_eq(run_event(1, KVM_SYSTEM_EVENT_SUSPEND),
			 VCPU_SUSPENDED);
	ck_assert_int_eq(run_event(1, KVM_SYSTEM_EVENT_WAKEUP), VCPU_WOKEN);
	kvm_kernel.regs[1][REG_SCTLR_EL1] = 0;
	expect_read(OTHER, false, 1);
	end();
}
END_TEST

/* A kernel that ends a run so without being asked is broken, not we. */
START_TEST(a_debug_exit_with_a_gic)
{
	struct kvm_setup s = full_setup();
	struct err e;
	struct kvm_exit x;
	int fd;

	prepare();
	s.gic = NULL;
	s.its = 0x7ff0000;
	s.gicd = 0x8100000;
	s.gicr[0].base = 0x8120000;
	s.gicr[0].cpus = 2;
	s.gicr_nr = 1;
	s.intid_limit = 96;
	fd = open_kvm();
	b.k = kvm_create(fd, &s, &e);
	ck_assert(b.k);
	x = run_debug(0, BREAKPOINT);
	ck_assert_int_eq(x.kind, VCPU_BROKEN);
	close(fd);
	end();
}
END_TEST

/* --- the sandbox --- */

START_TEST(requests_for_the_sandbox)
{
	const struct kvm_request *q = kvm_user_requests;

	ck_assert_uint_eq(q->request, KVM_SET_GUEST_DEBUG);
	ck_assert_ptr_nonnull(q->why);
	ck_assert_ptr_null(q[1].why);
}
END_TEST

UNIT_MAIN("icc", creating, a_host_that_lacks_something, what_is_learnt,
	  every_vcpu_watches, the_oldest_makes_room, when_vectors_are_looked_at,
	  accesses, other_exceptions, registers_that_are_not_there,
	  a_move_during_a_step, translation, no_translation,
	  a_patched_instruction, many_instructions, code_that_moves, wires,
	  a_wire_becomes_a_line, lines_before_it_enters, lines_in_the_guest,
	  lines_of_others, lines_of_many_vcpus, resetting,
	  suspending_and_waking, what_wakes, every_call_of_making_may_fail,
	  every_call_of_a_life_may_fail, requests_for_the_sandbox,
	  a_guests_own_brk, the_state_a_brk_is_taken_in, debug_exits_that_fail,
	  half_a_regime, attributes_of_tables, a_table_with_52_bits,
	  a_mode_there_is_not, places_after_waking, a_debug_exit_with_a_gic,
	  hot_instructions, hot_no_more, hot_and_refused, room_for_hot_ones,
	  signs_of_a_program)
