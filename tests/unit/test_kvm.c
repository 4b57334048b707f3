/*
 * KVM, against a kernel that writes down what it is asked: the calls and their
 * order, what becomes of exits and of commands for a hidden ITS, and that every
 * call may fail without a trace.
 */
#include "fakes/kvm_kernel.h"
#include "unit.h"

#include <belfry/kvm.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* A machine that asks for everything, with two vCPUs. */
static const struct kvm_setup full_setup = {
	.cpus = 2,
	.ipa_bits = 33,
	.pmu = true,
	.sve = true,
	.pauth = true,
	.pmu_intid = 23,
	.steal_time = 0x5fff0000,
	.stats = true,
	.gicd = 0x8100000,
	.its = 0x7ff0000,
	.gicr = { { 0x8120000, 1 }, { 0xa000000, 1 } },
	.gicr_nr = 2,
	.intid_limit = 96,
};

#define STATS "exits\nhalt\nmmio_exit_user\n"

/* Written down among the calls: order is what counts. */
static void on_stop(void *ctx, bool stop)
{
	ck_assert_ptr_eq(ctx, &kvm_kernel);
	ck_assert_int_lt(kvm_kernel.lines, KERNEL_LINES - 1);
	snprintf(kvm_kernel.line[kvm_kernel.lines++], KERNEL_LINE, "%s",
		 stop ? "stop" : "go");
}

/* The same behind an ITS that is not KVM's. */
static struct kvm_setup split_setup(void)
{
	struct kvm_setup s = full_setup;

	s.its = 0x50000000;
	s.stop = on_stop;
	s.stop_ctx = &kvm_kernel;
	s.translater = full_setup.its + ITS_TRANSLATER;
	return s;
}

static int open_kvm(void)
{
	struct err e = { 0 };
	int fd = kvm_open(&e);

	ck_assert_msg(fd >= 0, "%s", e.msg);
	return fd;
}

/* A VM on a fresh kernel, which then has nothing written down. */
static struct kvm *new_vm(const struct kvm_setup *s)
{
	struct err e = { 0 };
	struct kvm *k;
	int fd;

	kvm_kernel_reset();
	kvm_kernel.stats = STATS;
	fd = open_kvm();
	k = kvm_create(fd, s, &e);
	ck_assert_msg(k, "%s", e.msg);
	close(fd);
	kvm_kernel_forget();
	return k;
}

/* The lines written down since, from *@at, are those listed up to NULL. */
static void expect_lines(int *at, ...)
{
	const char *want;
	va_list ap;

	va_start(ap, at);
	while ((want = va_arg(ap, const char *))) {
		ck_assert_str_eq(kvm_kernel.line[*at], want);
		(*at)++;
	}
	va_end(ap);
}

static void expect_end(int at)
{
	ck_assert_msg(at == kvm_kernel.lines, "unexpected: %s",
		      kvm_kernel.line[at]);
}

START_TEST(opening)
{
	static const struct {
		int with;
		const char *says;
	} rows[] = {
		{ EACCES, "no permission" },
		{ EPERM, "no permission" },
		{ ENOENT, "offers no KVM" },
		{ ENXIO, "offers no KVM" },
	};
	struct err e = { 0 };
	int fd, at = 0;

	kvm_kernel_reset();
	fd = open_kvm();
	close(fd);
	expect_lines(&at, "open 0x80002", "system GET_API_VERSION", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		kvm_kernel_reset();
		kvm_kernel.fail_at = 1;
		kvm_kernel.fail_with = rows[i].with;
		ck_assert_int_eq(kvm_open(&e), -rows[i].with);
		ck_assert_msg(strstr(e.msg, "/dev/kvm") &&
				      strstr(e.msg, rows[i].says),
			      "%s", e.msg);
	}
}
END_TEST

START_TEST(a_kvm_of_another_version)
{
	int held = kvm_kernel_held();
	struct err e = { 0 };

	kvm_kernel_reset();
	kvm_kernel.api_version = 11;
	ck_assert_int_lt(kvm_open(&e), 0);
	ck_assert_msg(strstr(e.msg, "11") && strstr(e.msg, "12"), "%s", e.msg);
	ck_assert_int_eq(kvm_kernel_held(), held);
}
END_TEST

START_TEST(probing)
{
	struct kvm_caps c;
	int fd;

	kvm_kernel_reset();
	fd = open_kvm();
	kvm_probe(fd, &c);
	ck_assert_uint_eq(c.vcpus_max, KERNEL_VCPUS);
	ck_assert_uint_eq(c.ipa_bits_max, 48);
	ck_assert(c.pmu && c.sve && c.pauth && c.steal_time &&
		  c.system_suspend);

	/* One of two address keys is not pointer authentication. */
	kvm_kernel.other_caps = BIT(2);
	kvm_kernel.ipa_bits_max = 0;
	kvm_probe(fd, &c);
	ck_assert_uint_eq(c.ipa_bits_max, 40);
	ck_assert(!c.pmu && !c.sve && !c.pauth && !c.steal_time &&
		  !c.system_suspend);
	kvm_kernel.other_caps = BIT(0);
	kvm_probe(fd, &c);
	ck_assert(c.pmu && !c.sve);
	close(fd);
}
END_TEST

START_TEST(probing_the_gic)
{
	int fd, held, at = 0;

	kvm_kernel_reset();
	fd = open_kvm();
	held = kvm_kernel_held();
	kvm_kernel_forget();
	ck_assert_int_eq(kvm_probe_gic(fd, false), 0);
	ck_assert_int_eq(kvm_probe_gic(fd, true), 0);
	expect_lines(&at, "system CHECK_EXTENSION 165", "system CREATE_VM 32",
		     "vm CREATE_DEVICE gic test", "system CHECK_EXTENSION 165",
		     "system CREATE_VM 32", "vm CREATE_DEVICE its test", NULL);
	kvm_kernel_forget();
	kvm_kernel.fail_with = ENODEV;
	for (kvm_kernel.fail_at = 2; kvm_kernel.fail_at <= 3;
	     kvm_kernel.fail_at++) {
		kvm_kernel_forget();
		ck_assert_int_eq(kvm_probe_gic(fd, true), -ENODEV);
	}
	ck_assert_int_eq(kvm_kernel_held(), held);
	close(fd);
}
END_TEST

/* arm-vgic-v3.rst: GIC before vCPUs is allowed, its INIT must be after; vCPU
 * features: PSCI 0.2 (bit 2), PMU 3, SVE 4, pointer authentication 5 and 6;
 * off (bit 0) for all but the first. */
START_TEST(creating)
{
	struct err e = { 0 };
	struct kvm *k;
	int fd, at = 0;

	kvm_kernel_reset();
	kvm_kernel.stats = STATS;
	fd = open_kvm();
	kvm_kernel_forget();
	k = kvm_create(fd, &full_setup, &e);
	ck_assert_msg(k, "%s", e.msg);
	expect_lines(&at, "system CHECK_EXTENSION 66", /* MAX_VCPUS */
		     "system GET_VCPU_MMAP_SIZE",
		     "system CHECK_EXTENSION 165", /* ARM_VM_IPA_SIZE */
		     "system CREATE_VM 33",
		     "vm ENABLE_CAP 177", /* ARM_NISV_TO_USER */
		     "vm ENABLE_CAP 216", /* ARM_SYSTEM_SUSPEND */
		     "vm ARM_PREFERRED_TARGET", "vm CREATE_DEVICE gic",
		     "vm CREATE_DEVICE its", NULL);
	expect_lines(&at, "vm CREATE_VCPU 0", "vcpu0 mmap 0x2000",
		     "vcpu0 INIT target 5 features 0x7c", "vcpu0 GET MPIDR_EL1",
		     "vcpu0 GET_STATS_FD", "vm CREATE_VCPU 1",
		     "vcpu1 mmap 0x2000", "vcpu1 INIT target 5 features 0x7d",
		     "vcpu1 GET MPIDR_EL1", "vcpu1 GET_STATS_FD", NULL);
	/* GRP_ADDR: distributor 2, redistributors 5 (count, base, index), ITS
	 * 4; GRP_NR_IRQS 3; GRP_CTRL 4, INIT 0. */
	expect_lines(&at, "gic ATTR 0 0x2 = 0x8100000",
		     "gic ATTR 0 0x5 = 0x10000008120000",
		     "gic ATTR 0 0x5 = 0x1000000a000001",
		     "gic ATTR 3 0x0 = 0x60", "its ATTR 0 0x4 = 0x7ff0000",
		     "gic ATTR 4 0x0 = 0x0", "its ATTR 4 0x0 = 0x0", NULL);
	expect_end(at);
	kvm_destroy(k);
	close(fd);
}
END_TEST

START_TEST(a_plain_vcpu)
{
	struct kvm_setup s = full_setup;
	struct err e = { 0 };
	struct kvm *k;
	int at = 0;

	s.pmu = s.sve = s.pauth = s.stats = false;
	s.steal_time = 0;
	k = new_vm(&s);
	ck_assert_int_eq(kvm_finish(k, &e), 0);
	expect_end(at);
	ck_assert_int_eq(kvm_reset(k, &e), 0);
	expect_lines(&at, "vcpu0 INIT target 5 features 0x4",
		     "vcpu1 INIT target 5 features 0x5", NULL);
	kvm_destroy(k);
}
END_TEST

START_TEST(finishing)
{
	struct kvm *k = new_vm(&full_setup);
	struct err e = { 0 };
	int at = 0;

	ck_assert_int_eq(kvm_finish(k, &e), 0);
	/* vcpu.rst: PMU group 0, IRQ 0, INIT 1; PVTIME group 2, IPA 0. */
	expect_lines(&at, "vcpu0 FINALIZE 4", "vcpu0 ATTR 0 0x0 = 0x17",
		     "vcpu0 ATTR 0 0x1 = 0x0", "vcpu0 ATTR 2 0x0 = 0x5fff0000",
		     "vcpu1 FINALIZE 4", "vcpu1 ATTR 0 0x0 = 0x17",
		     "vcpu1 ATTR 0 0x1 = 0x0", "vcpu1 ATTR 2 0x0 = 0x5fff0040",
		     NULL);
	expect_end(at);
	kvm_destroy(k);
}
END_TEST

START_TEST(mapping)
{
	struct kvm *k = new_vm(&full_setup);
	struct err e = { 0 };
	int at = 0;

	ck_assert_int_eq(kvm_map(k, 0x40000000, 0x200000, (void *)0x1000, &e),
			 0);
	ck_assert_int_eq(kvm_map(k, 0x80000000, 0x10000, (void *)0x2000, &e),
			 0);
	expect_lines(
		&at,
		"vm MEMORY slot 0 flags 0 gpa 0x40000000 len 0x200000 host 0x1000",
		"vm MEMORY slot 1 flags 0 gpa 0x80000000 len 0x10000 host 0x2000",
		NULL);
	/* A slot that was refused is not used up. */
	kvm_kernel_forget();
	kvm_kernel.fail_at = 1;
	kvm_kernel.fail_with = EEXIST;
	ck_assert_int_eq(kvm_map(k, 0x80000000, 0x10000, (void *)0x2000, &e),
			 -EEXIST);
	ck_assert_msg(strstr(e.msg, "0x80000000 +0x10000"), "%s", e.msg);
	kvm_kernel_forget();
	kvm_kernel.fail_at = at = 0;
	ck_assert_int_eq(kvm_map(k, 0x90000000, 0x10000, (void *)0x3000, &e),
			 0);
	expect_lines(
		&at,
		"vm MEMORY slot 2 flags 0 gpa 0x90000000 len 0x10000 host 0x3000",
		NULL);
	kvm_destroy(k);
}
END_TEST

START_TEST(limits_of_the_host)
{
	struct kvm_setup s = full_setup;
	struct err e = { 0 };
	int fd, held;

	kvm_kernel_reset();
	fd = open_kvm();
	held = kvm_kernel_held();
	s.cpus = KERNEL_VCPUS + 1;
	ck_assert_ptr_null(kvm_create(fd, &s, &e));
	ck_assert_int_eq(e.code, -E2BIG);
	ck_assert_msg(strstr(e.msg, "cpus: 9") && strstr(e.msg, "allows 8"),
		      "%s", e.msg);

	s = full_setup;
	s.ipa_bits = 49;
	ck_assert_ptr_null(kvm_create(fd, &s, &e));
	ck_assert_int_eq(e.code, -E2BIG);
	ck_assert_msg(strstr(e.msg, "memory: ") && strstr(e.msg, "49") &&
			      strstr(e.msg, "48"),
		      "%s", e.msg);
	ck_assert_int_eq(kvm_kernel_held(), held);
	close(fd);
	kvm_destroy(NULL);
}
END_TEST

/* What a host without GICv3 virtualisation answers. */
START_TEST(a_host_without_gicv3)
{
	struct err e = { 0 };
	int fd, held;

	kvm_kernel_reset();
	fd = open_kvm();
	held = kvm_kernel_held();
	kvm_kernel_forget();
	kvm_kernel.fail_with = ENODEV;
	kvm_kernel.fail_at = 8; /* CREATE_DEVICE gic */
	ck_assert_ptr_null(kvm_create(fd, &full_setup, &e));
	ck_assert_str_eq(kvm_kernel.failed, "vm CREATE_DEVICE gic");
	ck_assert_msg(strstr(e.msg, "cannot give guests a GICv3"), "%s", e.msg);
	ck_assert_int_eq(kvm_kernel_held(), held);
	close(fd);
}
END_TEST

/*
 * All of a VM's making, with its @fail_at'th call failing. True if a VM came
 * out of it all the same. Whatever came, it is gone at the end.
 */
static bool make_and_drop(int fd, const struct kvm_setup *s, int fail_at,
			  struct err *e)
{
	struct kvm *k;
	bool made;

	*e = (struct err) { 0 };
	kvm_kernel_forget();
	kvm_kernel.fail_at = fail_at;
	kvm_kernel.watching = true;
	k = kvm_create(fd, s, e);
	kvm_kernel.watching = false;
	made = k && !kvm_map(k, 0x40000000, 0x200000, (void *)0x1000, e) &&
	       !kvm_finish(k, e) && !kvm_reset(k, e) &&
	       !kvm_enter(k, 0x40000000, 0x48000000, e);
	kvm_destroy(k);
	return made;
}

/* What the host may lack without a VM being the worse for it. */
static bool can_do_without(const char *line)
{
	/* ICC_AP0R1..3 and AP1R1..3 */
	static const char *const extra[] = { "c645 ", "c646 ", "c647 ",
					     "c649 ", "c64a ", "c64b " };

	for (size_t i = 0; i < ARRAY_SIZE(extra); i++)
		if (!strncmp(line, "gic ATTR 6 ", 11) && strstr(line, extra[i]))
			return true;
	return !strcmp(line, "vm ENABLE_CAP 177") ||
	       !strcmp(line, "vm ENABLE_CAP 216") ||
	       !strcmp(line, "system CHECK_EXTENSION 165");
}

static void each_call_fails(const struct kvm_setup *s)
{
	struct err e;
	int fd, held, calls;

	kvm_kernel_reset();
	kvm_kernel.stats = STATS;
	fd = open_kvm();
	held = kvm_kernel_held();
	ck_assert_msg(make_and_drop(fd, s, 0, &e), "%s", e.msg);
	calls = kvm_kernel.calls;
	ck_assert_int_gt(calls, 100);
	for (int i = 1; i <= calls; i++) {
		bool made = make_and_drop(fd, s, i, &e);

		ck_assert_msg(made == can_do_without(kvm_kernel.failed),
			      "call %d, %s", i, kvm_kernel.failed);
		ck_assert_msg(made || (e.code < 0 && e.msg[0]), "call %d, %s",
			      i, kvm_kernel.failed);
		ck_assert_msg(kvm_kernel_held() == held, "call %d, %s leaks", i,
			      kvm_kernel.failed);
	}
	close(fd);
}

START_TEST(every_call_may_fail)
{
	struct kvm_setup split = split_setup();

	each_call_fails(&full_setup);
	each_call_fails(&split);
}
END_TEST

/* --- reset --- */

static void expect_words(int *at, u32 group, u64 mpidr, u32 from, u32 to,
			 u32 val)
{
	char want[KERNEL_LINE];

	for (u32 off = from; off < to; off += 4) {
		snprintf(want, sizeof(want), "gic ATTR %u 0x%llx = 0x%x", group,
			 (unsigned long long)(mpidr << 32 | off), val);
		ck_assert_str_eq(kvm_kernel.line[(*at)++], want);
	}
}

/* IHI 0069, 12.8: the words of 64 SPIs; those of SGIs and PPIs are the
 * redistributors'. */
static void expect_distributor(int *at)
{
	static const struct {
		u32 from, to, val;
	} rows[] = {
		{ 0x0000, 0x0004, 0 },   /* CTLR */
		{ 0x0084, 0x008c, ~0u }, /* IGROUPR */
		{ 0x0184, 0x018c, ~0u }, /* ICENABLER */
		{ 0x0204, 0x020c, 0 },   /* ISPENDR */
		{ 0x0384, 0x038c, ~0u }, /* ICACTIVER */
		{ 0x0420, 0x0460, 0 },   /* IPRIORITYR */
		{ 0x0c08, 0x0c18, 0 },   /* ICFGR */
		{ 0x6100, 0x6300, 0 },   /* IROUTER */
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		expect_words(at, 1, 0, rows[i].from, rows[i].to, rows[i].val);
}

static void expect_redistributor(int *at, u64 mpidr)
{
	static const struct {
		u32 from, to, val;
	} rows[] = {
		{ 0x00000, 0x00004, 0 },   /* CTLR */
		{ 0x00070, 0x00078, 0 },   /* PROPBASER */
		{ 0x00078, 0x00080, 0 },   /* PENDBASER */
		{ 0x10080, 0x10084, ~0u }, /* IGROUPR0 */
		{ 0x10180, 0x10184, ~0u }, /* ICENABLER0 */
		{ 0x10200, 0x10204, 0 },   /* ISPENDR0 */
		{ 0x10380, 0x10384, ~0u }, /* ICACTIVER0 */
		{ 0x10400, 0x10420, 0 },   /* IPRIORITYR */
	};
	/* ICC_PMR, BPR0, AP0R0..3, AP1R0..3, BPR1, IGRPEN0, IGRPEN1 as op0:op1:
	 * CRn:CRm:op2. */
	static const u32 icc[] = { 0xc230, 0xc643, 0xc644, 0xc645, 0xc646,
				   0xc647, 0xc648, 0xc649, 0xc64a, 0xc64b,
				   0xc663, 0xc666, 0xc667 };
	char want[KERNEL_LINE];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		expect_words(at, 5, mpidr, rows[i].from, rows[i].to,
			     rows[i].val);
	/* ICC_CTLR: as read, without CBPR and EOImode. */
	snprintf(want, sizeof(want), "gic GET 6 0x%llx",
		 (unsigned long long)(mpidr << 32 | 0xc664));
	ck_assert_str_eq(kvm_kernel.line[(*at)++], want);
	expect_words(at, 6, mpidr, 0xc664, 0xc665, 0x400);
	for (size_t i = 0; i < ARRAY_SIZE(icc); i++)
		expect_words(at, 6, mpidr, icc[i], icc[i] + 1, 0);
}

START_TEST(resetting)
{
	struct kvm *k = new_vm(&full_setup);
	struct err e = { 0 };
	int at = 0;

	ck_assert_int_eq(kvm_reset(k, &e), 0);
	expect_lines(&at, "vcpu0 INIT target 5 features 0x7c",
		     "vcpu1 INIT target 5 features 0x7d",
		     "its ATTR 4 0x4 = 0x0", NULL);
	expect_distributor(&at);
	expect_redistributor(&at, 0);
	expect_redistributor(&at, 1);
	expect_end(at);
	kvm_destroy(k);
}
END_TEST

/*
 * IHI 0069, 12.19: off (CTLR, 0x0), then the tables of devices (BASER0, 0x100)
 * and collections (BASER1, 0x108), 8 pages of 64 KiB each, and the queue
 * (CBASER, 0x80), 16 pages of 4 KiB. Group 8 is ITS_REGS.
 */
#define HIDDEN_ITS_LINES                                                 \
	"its ATTR 8 0x0 = 0x0", "its ATTR 8 0x100 = 0x8000000050020207", \
		"its ATTR 8 0x108 = 0x80000000500a0207",                 \
		"its ATTR 8 0x80 = 0x800000005012000f"
#define QUEUE_AT 0x120000

START_TEST(a_hidden_its_from_the_start)
{
	struct kvm_setup s = split_setup();
	struct err e = { 0 };
	struct kvm *k;
	int fd, at;

	kvm_kernel_reset();
	kvm_kernel.stats = STATS;
	fd = open_kvm();
	k = kvm_create(fd, &s, &e);
	ck_assert_msg(k, "%s", e.msg);
	/* Once there is an ITS: nothing else comes after. */
	at = kvm_kernel.lines - 7;
	expect_lines(&at, "its ATTR 0 0x4 = 0x50000000", "gic ATTR 4 0x0 = 0x0",
		     "its ATTR 4 0x0 = 0x0", HIDDEN_ITS_LINES, NULL);
	expect_end(at);
	kvm_kernel_forget();
	at = 0;
	ck_assert_int_eq(kvm_reset(k, &e), 0);
	expect_lines(&at, "vcpu0 INIT target 5 features 0x7c",
		     "vcpu1 INIT target 5 features 0x7d",
		     "its ATTR 4 0x4 = 0x0", HIDDEN_ITS_LINES, NULL);
	expect_distributor(&at);
	expect_redistributor(&at, 0);
	expect_redistributor(&at, 1);
	expect_end(at);
	kvm_destroy(k);
	close(fd);
}
END_TEST

START_TEST(entering)
{
	struct kvm *k = new_vm(&full_setup);
	struct err e = { 0 };
	int at = 0;

	ck_assert_int_eq(kvm_enter(k, 0x40200000, 0x48000000, &e), 0);
	expect_lines(&at, "vcpu0 SET pc = 0x40200000",
		     "vcpu0 SET x0 = 0x48000000", NULL);
	expect_end(at);
	kvm_destroy(k);
}
END_TEST

/* --- interrupts --- */

START_TEST(interrupts)
{
	struct kvm *k = new_vm(&full_setup);
	struct irq_line line = kvm_irq_line(k, 33);
	struct msi_sink sink = kvm_msi_sink(k);
	int at = 0;

	irq_line_set(&line, true);
	irq_line_set(&line, false);
	/* An odd number is what the fake says is mapped. */
	ck_assert(msi_sink_send(&sink, 0x108, 0x1208000040, 7));
	ck_assert(!msi_sink_send(&sink, 0x108, 0x8000040, 6));
	expect_lines(
		&at, "vm IRQ_LINE 0x1000021 1", "vm IRQ_LINE 0x1000021 0",
		"vm SIGNAL_MSI flags 1 devid 0x108 addr 0x1208000040 data 7",
		"vm SIGNAL_MSI flags 1 devid 0x108 addr 0x008000040 data 6",
		NULL);
	kvm_kernel.fail_at = kvm_kernel.calls + 1;
	ck_assert(!msi_sink_send(&sink, 0x108, 0x8000040, 7));
	kvm_destroy(k);
}
END_TEST

static void open_line(const struct msi_sink *sink, struct msi_line *l)
{
	struct err e = { 0 };

	ck_assert_msg(!sink->open(sink->ctx, l, &e), "%s", e.msg);
}

START_TEST(lines_are_irqfds)
{
	int held = kvm_kernel_held();
	struct kvm *k = new_vm(&full_setup);
	struct msi_sink sink = kvm_msi_sink(k);
	struct msi_line l[3];
	int at = 0;

	for (size_t i = 0; i < ARRAY_SIZE(l); i++)
		open_line(&sink, &l[i]);
	expect_end(at);
	ck_assert_int_eq(sink.aim(k, &l[1], 8, 0x1208000040, 5), 0);
	ck_assert_int_eq(sink.aim(k, &l[0], 8, 0x8000040, 6), 0);
	/* The same again, and then something else. */
	ck_assert_int_eq(sink.aim(k, &l[1], 8, 0x1208000040, 5), 0);
	ck_assert_int_eq(sink.aim(k, &l[1], 8, 0x1208000040, 7), 0);
	/* At rest it keeps its route. */
	sink.rest(k, &l[0]);
	sink.rest(k, &l[0]);
	ck_assert_int_eq(sink.aim(k, &l[0], 8, 0x8000040, 6), 0);
	sink.close(k, &l[1]);
	sink.close(k, &l[1]);
	sink.close(k, &l[2]);
	/* Numbered as they are aimed. */
	expect_lines(&at, "vm ROUTES 0: 0x8 0x1208000040 5",
		     "vm IRQFD gsi 0 flags 0",
		     "vm ROUTES 1: 0x8 0x008000040 6 0: 0x8 0x1208000040 5",
		     "vm IRQFD gsi 1 flags 0", "vm IRQFD gsi 0 flags 1",
		     "vm ROUTES 1: 0x8 0x008000040 6 0: 0x8 0x1208000040 7",
		     "vm IRQFD gsi 0 flags 0", "vm IRQFD gsi 1 flags 1",
		     "vm IRQFD gsi 1 flags 0", "vm IRQFD gsi 0 flags 1", NULL);
	expect_end(at);
	/* A line nobody closed goes with the VM. */
	kvm_destroy(k);
	ck_assert_int_eq(kvm_kernel_held(), held);
}
END_TEST

/* By irqfds that resample, whose routes are told with the others. */
START_TEST(ends_are_told)
{
	int held = kvm_kernel_held();
	struct kvm *k = new_vm(&full_setup);
	struct msi_sink sink = kvm_msi_sink(k);
	struct err e = { 0 };
	struct msi_line l;
	int at = 0;

	ck_assert(!kvm_irq_ended(k, 36, 201, &e));
	open_line(&sink, &l);
	ck_assert(!kvm_irq_ended(k, 39, 202, &e));
	ck_assert(!sink.aim(k, &l, 8, 0x8000040, 6));
	expect_lines(&at, "vm ROUTES 0: pin 4",
		     "vm IRQFD gsi 0 flags 2 resamples 201",
		     "vm ROUTES 0: pin 4 1: pin 7",
		     "vm IRQFD gsi 1 flags 2 resamples 202",
		     "vm ROUTES 0: pin 4 2: 0x8 0x008000040 6 1: pin 7",
		     "vm IRQFD gsi 2 flags 0", NULL);
	expect_end(at);
	kvm_destroy(k);
	ck_assert_int_eq(kvm_kernel_held(), held);
}
END_TEST

START_TEST(ends_may_be_refused)
{
	int held = kvm_kernel_held();

	for (int fail = 1; fail <= 2; fail++) {
		struct kvm *k = new_vm(&full_setup);
		struct err e = { 0 };

		kvm_kernel.fail_with = EINVAL;
		kvm_kernel.fail_at = kvm_kernel.calls + fail;
		ck_assert_int_eq(kvm_irq_ended(k, 36, 201, &e), -EINVAL);
		ck_assert_msg(strstr(e.msg, fail == 1 ? "ROUTING" : "IRQFD"),
			      "%s", e.msg);
		kvm_destroy(k);
		ck_assert_int_eq(kvm_kernel_held(), held);
	}
}
END_TEST

START_TEST(a_refused_aim_is_tried_again)
{
	struct kvm *k = new_vm(&full_setup);
	struct msi_sink sink = kvm_msi_sink(k);
	struct msi_line l;
	int at = 0;

	open_line(&sink, &l);
	for (int fail = 1; fail <= 2; fail++) {
		kvm_kernel.fail_at = kvm_kernel.calls + fail;
		kvm_kernel.fail_with = ENOMEM;
		ck_assert_int_eq(sink.aim(k, &l, 8, 0x8000040, 5), -ENOMEM);
	}
	kvm_kernel_forget();
	ck_assert_int_eq(sink.aim(k, &l, 8, 0x8000040, 5), 0);
	expect_lines(&at, "vm IRQFD gsi 0 flags 0", NULL);
	expect_end(at);
	kvm_destroy(k);
}
END_TEST

START_TEST(lines_have_an_end)
{
	struct kvm *k = new_vm(&full_setup);
	struct msi_sink sink = kvm_msi_sink(k);
	struct rlimit old, few;
	struct msi_line l = { .fd = 0 };
	struct err e = { 0 };
	int err = 0;

	getrlimit(RLIMIT_NOFILE, &old);
	few = (struct rlimit) { 100, old.rlim_max };
	setrlimit(RLIMIT_NOFILE, &few);
	for (int i = 0; !err && i < 100; i++)
		err = sink.open(k, &l, &e);
	setrlimit(RLIMIT_NOFILE, &old);
	ck_assert_int_eq(err, -EMFILE);
	ck_assert_int_eq(l.fd, -1);
	ck_assert_msg(strstr(e.msg, "ulimit -n"), "%s", e.msg);
	sink.close(k, &l);
	kvm_destroy(k);
}
END_TEST

/* Of what is aimed there are 4096. A line that was not took none. */
START_TEST(gsis_have_an_end)
{
	struct kvm *k = new_vm(&full_setup);
	struct msi_sink sink = kvm_msi_sink(k);
	struct msi_line idle, l;

	open_line(&sink, &idle);
	for (int i = 0; i <= 4096; i++) {
		open_line(&sink, &l);
		kvm_kernel_forget();
		ck_assert_int_eq(sink.aim(k, &l, 8, 0x8000040, 5),
				 i < 4096 ? 0 : -ENOSPC);
		sink.close(k, &l);
	}
	kvm_destroy(k);
}
END_TEST

START_TEST(windows_are_slots)
{
	struct kvm *k = new_vm(&full_setup);
	struct windows w = kvm_windows(k);
	u32 a = w.open(w.ctx), b = w.open(w.ctx);
	struct err e;
	int at = 0;

	/* Memory can be mapped after that. */
	ck_assert_int_eq(kvm_map(k, 0x40000000, 0x200000, (void *)0x1000, &e),
			 0);
	ck_assert_int_eq(w.show(w.ctx, b, 0x10000000, 0x4000, (void *)0x2000),
			 0);
	w.hide(w.ctx, b);
	ck_assert_int_eq(w.show(w.ctx, a, 0x10000000, 0x4000, (void *)0x3000),
			 0);
	expect_lines(
		&at,
		"vm MEMORY slot 0 flags 0 gpa 0x40000000 len 0x200000 host 0x1000",
		"vm MEMORY slot 9 flags 0 gpa 0x10000000 len 0x4000 host 0x2000",
		"vm MEMORY slot 9 flags 0 gpa 0x0 len 0x0 host 0x0",
		"vm MEMORY slot 8 flags 0 gpa 0x10000000 len 0x4000 host 0x3000",
		NULL);
	expect_end(at);
	kvm_kernel.fail_at = kvm_kernel.calls + 1;
	kvm_kernel.fail_with = EEXIST;
	ck_assert_int_eq(w.show(w.ctx, b, 0x10000000, 0x4000, (void *)0x2000),
			 -EEXIST);
	kvm_destroy(k);
}
END_TEST

START_TEST(doorbells_are_ioeventfds)
{
	struct kvm *k = new_vm(&full_setup);
	struct doorbells d = kvm_doorbells(k);
	int at = 0;

	ck_assert_int_eq(d.attach(d.ctx, 0x100003000, 7), 0);
	d.detach(d.ctx, 0x100003000, 7);
	expect_lines(&at, "vm IOEVENTFD 0x100003000 len 0 fd 7 flags 0",
		     "vm IOEVENTFD 0x100003000 len 0 fd 7 flags 4", NULL);
	expect_end(at);
	kvm_kernel.fail_at = kvm_kernel.calls + 1;
	kvm_kernel.fail_with = ENOSPC;
	ck_assert_int_eq(d.attach(d.ctx, 0x100003000, 7), -ENOSPC);
	kvm_destroy(k);
}
END_TEST

/* --- the hidden ITS --- */

#define COMMANDS 2048 /* 64 KiB of 32 bytes */

struct hidden {
	struct kvm *k;
	struct its_sink sink;
	u64 *host;
	int at; /* in what was written down */
	/* The kernel's side of the queue. */
	u32 read; /* its CREADR, in commands */
	int seen; /* of the lines */
	u32 next; /* the event that is due */
};

static void hidden_init(struct hidden *h)
{
	struct kvm_setup s = split_setup();

	*h = (struct hidden) { .k = new_vm(&s) };
	h->host = calloc(1, KVM_HIDDEN_ITS_SIZE);
	ck_assert_ptr_nonnull(h->host);
	h->sink = kvm_its_sink(h->k, h->host);
}

static void hidden_fini(struct hidden *h)
{
	kvm_destroy(h->k);
	free(h->host);
}

static void op(struct hidden *h, struct its_op o)
{
	h->sink.op(h->sink.ctx, &o);
}

/* As the ITS does it. */
static void begin(struct hidden *h)
{
	if (h->sink.begin)
		h->sink.begin(h->sink.ctx);
}

static void end(struct hidden *h)
{
	h->sink.end(h->sink.ctx);
}

static void expect_command(const struct hidden *h, u32 i, const u64 *want)
{
	const u64 *c = h->host + QUEUE_AT / 8 + i * 4;

	for (int w = 0; w < 4; w++)
		ck_assert_msg(le64toh(c[w]) == want[w],
			      "command %u, word %d: 0x%llx, not 0x%llx", i, w,
			      (unsigned long long)le64toh(c[w]),
			      (unsigned long long)want[w]);
}

static void expect_counts(const struct hidden *h, u64 commands, u64 batches)
{
	u64 c, b;

	kvm_its_counts(h->k, &c, &b);
	ck_assert_uint_eq(c, commands);
	ck_assert_uint_eq(b, batches);
}

/* IHI 0069, 5.3. An ITT is in the first table's memory, never in the queue's:
 * kernels clear an event's entry, up to 512 KiB from there on. */
static const struct {
	struct its_op op;
	u64 words[4];
} encodings[] = {
	{ { ITS_OP_MAPD, .dev = 0x1234, .bits = 16 },
	  { 0x123400000008, 15, 0x8000000050020000 } },
	{ { ITS_OP_MAPD, .dev = 0xffff, .bits = 1 },
	  { 0xffff00000008, 0, 0x8000000050020000 } },
	{ { ITS_OP_MAPD, .dev = 8 }, { 0x800000008 } },
	{ { ITS_OP_MAPC, .coll = 0xffff, .cpu = 511 },
	  { 0x9, 0, 0x8000000001ffffff } },
	{ { ITS_OP_MAPC, .coll = 2, .cpu = 0 },
	  { 0x9, 0, 0x8000000000000002 } },
	{ { ITS_OP_MAPC, .coll = 3, .cpu = ITS_NO_CPU }, { 0x9, 0, 3 } },
	{ { ITS_OP_MAPTI, .dev = 8, .event = 0xffff, .lpi = 0xfffe, .coll = 5 },
	  { 0x80000000a, 0xfffe0000ffff, 5 } },
	{ { ITS_OP_MOVI, .dev = 9, .event = 3, .lpi = 8192, .coll = 0xffff,
	    .cpu = 1, .to = 2 },
	  { 0x900000001, 3, 0xffff } },
	{ { ITS_OP_MOVALL, .cpu = 1, .to = 511 },
	  { 0xe, 0, 0x10000, 0x1ff0000 } },
	{ { ITS_OP_DISCARD, .dev = 9, .event = 3, .lpi = 8192, .cpu = 1 },
	  { 0x90000000f, 3 } },
	{ { ITS_OP_CLEAR, .dev = 9, .event = 3, .lpi = 8192,
	    .cpu = ITS_NO_CPU },
	  { 0x900000004, 3 } },
	{ { ITS_OP_INV, .dev = 9, .event = 3, .lpi = 8192, .cpu = 1 },
	  { 0x90000000c, 3 } },
	{ { ITS_OP_INT, .dev = 9, .event = 3, .lpi = 8192, .cpu = 1 },
	  { 0x900000003, 3 } },
	{ { ITS_OP_INVALL, .coll = 7, .cpu = 1 }, { 0xd, 0, 7 } },
};

START_TEST(commands_by_table)
{
	struct hidden h;
	u32 n = ARRAY_SIZE(encodings);
	char want[KERNEL_LINE];

	hidden_init(&h);
	/* What a slot held before is all gone. */
	memset(h.host, 0xa5, KVM_HIDDEN_ITS_SIZE);
	begin(&h);
	for (u32 i = 0; i < n; i++)
		op(&h, encodings[i].op);
	/* Nothing is done before they all are there. */
	expect_lines(&h.at, "stop", NULL);
	expect_end(h.at);
	end(&h);
	snprintf(want, sizeof(want), "its ATTR 8 0x88 = 0x%x", n * 32);
	expect_lines(&h.at, want, "go", NULL);
	expect_end(h.at);
	for (u32 i = 0; i < n; i++)
		expect_command(&h, i, encodings[i].words);
	/* Memory around the commands is left alone. */
	ck_assert_uint_eq(h.host[QUEUE_AT / 8 - 1], 0xa5a5a5a5a5a5a5a5);
	ck_assert_uint_eq(h.host[QUEUE_AT / 8 + n * 4], 0xa5a5a5a5a5a5a5a5);
	expect_counts(&h, n, 1);
	hidden_fini(&h);
}
END_TEST

static const struct its_op enable = { .kind = ITS_OP_ENABLE };
static const struct its_op disable = { .kind = ITS_OP_DISABLE };
static const struct its_op forget_devices = { .kind = ITS_OP_FORGET_DEVICES };
static const struct its_op forget_collections = {
	.kind = ITS_OP_FORGET_COLLECTIONS
};

static struct its_op inv(u32 event)
{
	return (struct its_op) {
		.kind = ITS_OP_INV, .dev = 1, .event = event, .lpi = 8192
	};
}

#define CTLR(to)    "its ATTR 8 0x0 = 0x" #to
#define CWRITER(to) "its ATTR 8 0x88 = 0x" #to
#define DROP(reg)   "its ATTR 8 0x" #reg " = 0x0"
#define DEVICES     "its ATTR 8 0x100 = 0x8000000050020207"
#define COLLECTIONS "its ATTR 8 0x108 = 0x80000000500a0207"

START_TEST(batches)
{
	struct hidden h;

	hidden_init(&h);
	expect_counts(&h, 0, 0);
	begin(&h);
	end(&h);
	expect_end(h.at);
	expect_counts(&h, 0, 0);
	for (u32 i = 0; i < 2; i++) {
		begin(&h);
		op(&h, inv(2 * i));
		op(&h, inv(2 * i + 1));
		end(&h);
	}
	begin(&h);
	end(&h);
	expect_lines(&h.at, "stop", CWRITER(40), "go", "stop", CWRITER(80),
		     "go", NULL);
	expect_end(h.at);
	expect_counts(&h, 4, 2);
	hidden_fini(&h);
}
END_TEST

/* What is no command is done in its place among them. */
START_TEST(registers_among_commands)
{
	struct hidden h;

	hidden_init(&h);
	begin(&h);
	op(&h, enable);
	op(&h, inv(0));
	op(&h, forget_devices);
	op(&h, forget_collections);
	op(&h, inv(1));
	op(&h, inv(2));
	op(&h, disable);
	op(&h, forget_devices);
	end(&h);
	expect_lines(&h.at, "stop", CTLR(1), CWRITER(20), CTLR(0), DROP(100),
		     DEVICES, CTLR(1), CTLR(0), DROP(108), COLLECTIONS, CTLR(1),
		     CWRITER(60), CTLR(0), CTLR(0), DROP(100), DEVICES, "go",
		     NULL);
	expect_end(h.at);
	expect_counts(&h, 3, 1);
	hidden_fini(&h);
}
END_TEST

/* The kernel: at each CWRITER written, reads what there is; these are INVs of
 * events in order. */
static void read_queue(struct hidden *h)
{
	for (; h->seen < kvm_kernel.lines; h->seen++) {
		const char *line = kvm_kernel.line[h->seen];
		unsigned long long to;

		if (sscanf(line, "its ATTR 8 0x88 = 0x%llx", &to) != 1)
			continue;
		ck_assert_uint_eq(to % 32, 0);
		ck_assert_uint_lt(to / 32, COMMANDS);
		for (; h->read != to / 32; h->read = (h->read + 1) % COMMANDS) {
			const u64 want[4] = { 0x10000000c, h->next++ };

			expect_command(h, h->read, want);
		}
	}
}

/* @nr commands in one batch, read as they come. */
static void batch_of(struct hidden *h, u32 from, u32 nr)
{
	kvm_kernel_forget();
	h->seen = 0;
	begin(h);
	for (u32 i = 0; i < nr; i++) {
		op(h, inv(from + i));
		read_queue(h);
	}
	end(h);
	read_queue(h);
	ck_assert_uint_eq(h->next, from + nr);
	ck_assert_str_eq(kvm_kernel.line[0], "stop");
	ck_assert_str_eq(kvm_kernel.line[kvm_kernel.lines - 1], "go");
}

START_TEST(the_queue_wraps_around)
{
	struct hidden h;
	u32 at = 0;

	hidden_init(&h);
	/* One slot is always free: so many fit, wherever it begins. */
	for (int i = 0; i < 5; i++, at += COMMANDS - 1) {
		batch_of(&h, at, COMMANDS - 1);
		ck_assert_int_eq(kvm_kernel.lines, 3);
	}
	/* To the very end, which is the beginning. */
	batch_of(&h, at, COMMANDS - at % COMMANDS);
	ck_assert_str_eq(kvm_kernel.line[1], CWRITER(0));
	hidden_fini(&h);
}
END_TEST

START_TEST(a_batch_longer_than_the_queue)
{
	static const struct {
		u32 nr;
		int writes;
	} rows[] = {
		{ COMMANDS, 2 },
		{ 2 * COMMANDS - 2, 2 },
		{ 2 * COMMANDS - 1, 3 },
		{ 10000, 5 },
	};
	struct hidden h;
	u32 at = 0;

	hidden_init(&h);
	for (size_t i = 0; i < ARRAY_SIZE(rows); at += rows[i].nr, i++) {
		batch_of(&h, at, rows[i].nr);
		ck_assert_int_eq(kvm_kernel.lines, 2 + rows[i].writes);
	}
	expect_counts(&h, at, ARRAY_SIZE(rows));
	hidden_fini(&h);
}
END_TEST

/* The queue is empty after a reset, and begins where the kernel's does. Again
 * with as many commands as there were before it. */
START_TEST(the_queue_after_a_reset)
{
	struct hidden h;
	struct err e;

	hidden_init(&h);
	for (u32 nr = 1; nr <= 5; nr++) {
		batch_of(&h, h.next, 3);
		ck_assert_int_eq(kvm_reset(h.k, &e), 0);
		h.read = 0;
		/* As the ITS that is reset itself says; nothing is due. */
		kvm_kernel_forget();
		begin(&h);
		op(&h, disable);
		op(&h, forget_devices);
		end(&h);
		h.at = 0;
		expect_lines(&h.at, "stop", CTLR(0), CTLR(0), DROP(100),
			     DEVICES, "go", NULL);
		expect_end(h.at);
		batch_of(&h, h.next, nr);
		ck_assert_int_eq(kvm_reset(h.k, &e), 0);
		h.read = 0;
	}
	hidden_fini(&h);
}
END_TEST

/* Off from then on, until the guest's is enabled again. */
START_TEST(a_reset_disables)
{
	struct hidden h;
	struct err e;

	hidden_init(&h);
	begin(&h);
	op(&h, enable);
	end(&h);
	ck_assert_int_eq(kvm_reset(h.k, &e), 0);
	kvm_kernel_forget();
	begin(&h);
	op(&h, forget_collections);
	end(&h);
	expect_lines(&h.at, "stop", CTLR(0), DROP(108), COLLECTIONS, "go",
		     NULL);
	expect_end(h.at);
	hidden_fini(&h);
}
END_TEST

/* Everything of one batch, with its @fail_at'th register write failing. */
static void all_kinds(struct hidden *h, int fail_at)
{
	kvm_kernel_forget();
	kvm_kernel.fail_at = fail_at;
	kvm_kernel.fail_with = EBUSY;
	begin(h);
	op(h, enable);
	op(h, inv(0));
	op(h, forget_devices);
	op(h, forget_collections);
	op(h, inv(1));
	end(h);
	kvm_kernel.fail_at = 0;
}

/* What standard error, a file now, says; and no more. */
static void expect_said(const char *want)
{
	char said[512];
	ssize_t n = pread(STDERR_FILENO, said, sizeof(said) - 1, 0);

	ck_assert_int_ge(n, 0);
	said[n] = '\0';
	ck_assert_str_eq(said, want);
	ck_assert_int_eq(ftruncate(STDERR_FILENO, 0), 0);
	lseek(STDERR_FILENO, 0, SEEK_SET);
}

START_TEST(a_kernel_that_refuses)
{
	static const char complaint[] =
		"belfry: error: ITS: the kernel refuses its part of it: Device or resource busy; the guest may lose interrupts\n";
	int before = dup(STDERR_FILENO), said = memfd_create("said", 0);
	struct hidden h;
	int calls;

	ck_assert_int_ge(dup2(said, STDERR_FILENO), 0);
	hidden_init(&h);
	all_kinds(&h, 0);
	calls = kvm_kernel.calls;
	ck_assert_int_eq(calls, 11);
	expect_said("");
	hidden_fini(&h);
	for (int i = 1; i <= calls; i++) {
		hidden_init(&h);
		all_kinds(&h, i);
		expect_said(complaint);
		/* What comes after is done, and the vCPUs go on. */
		ck_assert_str_eq(kvm_kernel.line[kvm_kernel.lines - 2],
				 CWRITER(40));
		ck_assert_str_eq(kvm_kernel.line[kvm_kernel.lines - 1], "go");
		/* Said once. */
		all_kinds(&h, i);
		expect_said("");
		hidden_fini(&h);
	}
	dup2(before, STDERR_FILENO);
	close(before);
	close(said);
}
END_TEST

/* What the guest takes for its ITS' doorbell is the hidden one's; no other
 * address is changed, and none without a hidden one. */
START_TEST(messages_for_a_hidden_its)
{
	struct hidden h;
	struct msi_sink sink;
	struct msi_line l[2];
	struct kvm *plain;

	hidden_init(&h);
	sink = kvm_msi_sink(h.k);
	ck_assert(msi_sink_send(&sink, 8, 0x8000040, 7));
	ck_assert(msi_sink_send(&sink, 8, 0x8000044, 7));
	ck_assert(msi_sink_send(&sink, 8, 0x1208000040, 7));
	open_line(&sink, &l[0]);
	open_line(&sink, &l[1]);
	ck_assert_int_eq(sink.aim(h.k, &l[0], 8, 0x8000040, 5), 0);
	ck_assert_int_eq(sink.aim(h.k, &l[1], 8, 0x800003c, 6), 0);
	/* The same again is nothing new. */
	ck_assert_int_eq(sink.aim(h.k, &l[0], 8, 0x8000040, 5), 0);
	expect_lines(&h.at,
		     "vm SIGNAL_MSI flags 1 devid 0x8 addr 0x050010040 data 7",
		     "vm SIGNAL_MSI flags 1 devid 0x8 addr 0x008000044 data 7",
		     "vm SIGNAL_MSI flags 1 devid 0x8 addr 0x1208000040 data 7",
		     "vm ROUTES 0: 0x8 0x050010040 5", "vm IRQFD gsi 0 flags 0",
		     "vm ROUTES 0: 0x8 0x050010040 5 1: 0x8 0x00800003c 6",
		     "vm IRQFD gsi 1 flags 0", NULL);
	expect_end(h.at);
	hidden_fini(&h);

	plain = new_vm(&full_setup);
	sink = kvm_msi_sink(plain);
	ck_assert(msi_sink_send(&sink, 8, 0x8000040, 7));
	h.at = 0;
	expect_lines(&h.at,
		     "vm SIGNAL_MSI flags 1 devid 0x8 addr 0x008000040 data 7",
		     NULL);
	/* An address that is 0 is nobody's doorbell either. */
	ck_assert(msi_sink_send(&sink, 8, 0, 7));
	expect_lines(&h.at,
		     "vm SIGNAL_MSI flags 1 devid 0x8 addr 0x000000000 data 7",
		     NULL);
	kvm_destroy(plain);
}
END_TEST

/* --- exits --- */

static int run_nothing(u32 vcpu, struct kvm_run *run)
{
	(void)vcpu;
	(void)run;
	return 0;
}

static int run_interrupted(u32 vcpu, struct kvm_run *run)
{
	(void)vcpu;
	ck_assert_uint_eq(run->immediate_exit, 1);
	return -EINTR;
}

static int run_fails(u32 vcpu, struct kvm_run *run)
{
	(void)vcpu;
	(void)run;
	return -EFAULT;
}

/* Run vCPU @i of @k after its run area says @reason. */
static struct kvm_exit exit_with(struct kvm *k, u32 i, u32 reason)
{
	struct kvm_exit x = { 0 };

	memset(&x, 0xa5, sizeof(x));
	kvm_kernel.run = run_nothing;
	kvm_kernel_run_area(i)->exit_reason = reason;
	kvm_vcpu_run(k, i, &x);
	return x;
}

START_TEST(accesses)
{
	struct kvm *k = new_vm(&full_setup);
	struct kvm_run *run = kvm_kernel_run_area(1);
	struct kvm_exit x;
	u64 answer = 0;

	for (u32 size = 1; size <= 8; size *= 2) {
		u64 all = 0x8877665544332211;

		run->mmio.phys_addr = 0x9000018;
		run->mmio.len = size;
		run->mmio.is_write = 1;
		/* What the access did not write is not what the guest wrote. */
		memcpy(run->mmio.data, &all, 8);
		x = exit_with(k, 1, KVM_EXIT_MMIO);
		ck_assert_int_eq(x.kind, VCPU_WRITE);
		ck_assert_uint_eq(x.addr, 0x9000018);
		ck_assert_uint_eq(x.size, size);
		ck_assert_uint_eq(x.val, all & (~0ull >> (64 - 8 * size)));

		run->mmio.is_write = 0;
		x = exit_with(k, 1, KVM_EXIT_MMIO);
		ck_assert_int_eq(x.kind, VCPU_READ);
		ck_assert_uint_eq(x.addr, 0x9000018);
		ck_assert_uint_eq(x.size, size);
		kvm_vcpu_answer(k, 1, 0x123456789abcdef0);
		memcpy(&answer, run->mmio.data, 8);
		ck_assert_uint_eq(answer, 0x123456789abcdef0);
	}
	kvm_destroy(k);
}
END_TEST

START_TEST(power)
{
	struct kvm *k = new_vm(&full_setup);
	struct kvm_run *run = kvm_kernel_run_area(0);

	run->system_event.type = KVM_SYSTEM_EVENT_SHUTDOWN;
	ck_assert_int_eq(exit_with(k, 0, KVM_EXIT_SYSTEM_EVENT).kind,
			 VCPU_POWER_OFF);
	run->system_event.type = KVM_SYSTEM_EVENT_RESET;
	ck_assert_int_eq(exit_with(k, 0, KVM_EXIT_SYSTEM_EVENT).kind,
			 VCPU_RESET);
	kvm_destroy(k);
}
END_TEST

/* vCPU 1, so that its being off after a reset is seen to be undone. */
START_TEST(suspending_and_waking)
{
	struct kvm *k = new_vm(&full_setup);
	struct kvm_run *run = kvm_kernel_run_area(1);
	int at = 0;

	kvm_kernel.regs[1][1] = 0x40001000;
	kvm_kernel.regs[1][2] = 0x77;
	run->system_event.type = KVM_SYSTEM_EVENT_SUSPEND;
	ck_assert_int_eq(exit_with(k, 1, KVM_EXIT_SYSTEM_EVENT).kind,
			 VCPU_SUSPENDED);
	expect_lines(&at, "vcpu1 RUN", "vcpu1 GET x1", "vcpu1 GET x2",
		     "vcpu1 MP_STATE 10", NULL);
	run->system_event.type = KVM_SYSTEM_EVENT_WAKEUP;
	ck_assert_int_eq(exit_with(k, 1, KVM_EXIT_SYSTEM_EVENT).kind,
			 VCPU_WOKEN);
	expect_lines(&at, "vcpu1 RUN", "vcpu1 INIT target 5 features 0x7d",
		     "vcpu1 SET pc = 0x40001000", "vcpu1 SET x0 = 0x77",
		     "vcpu1 MP_STATE 0", NULL);
	/* One that did not suspend is not sent anywhere. */
	ck_assert_int_eq(exit_with(k, 1, KVM_EXIT_SYSTEM_EVENT).kind,
			 VCPU_WOKEN);
	expect_lines(&at, "vcpu1 RUN", NULL);
	expect_end(at);
	kvm_destroy(k);
}
END_TEST

/* Each of the calls above may fail: then the vCPU cannot run. */
START_TEST(suspending_that_fails)
{
	static const struct {
		u32 event;
		int calls;
	} rows[] = { { KVM_SYSTEM_EVENT_SUSPEND, 3 },
		     { KVM_SYSTEM_EVENT_WAKEUP, 4 } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		for (int n = 1; n <= rows[i].calls; n++) {
			struct kvm *k = new_vm(&full_setup);
			struct kvm_run *run = kvm_kernel_run_area(1);
			struct kvm_exit x;

			run->system_event.type = KVM_SYSTEM_EVENT_SUSPEND;
			if (rows[i].event == KVM_SYSTEM_EVENT_WAKEUP)
				exit_with(k, 1, KVM_EXIT_SYSTEM_EVENT);
			run->system_event.type = rows[i].event;
			/* After KVM_RUN itself. */
			kvm_kernel.fail_at = kvm_kernel.calls + 1 + n;
			kvm_kernel.fail_with = EINVAL;
			x = exit_with(k, 1, KVM_EXIT_SYSTEM_EVENT);
			ck_assert_msg(x.kind == VCPU_BROKEN &&
					      x.code == -EINVAL &&
					      strstr(x.why, "SYSTEM_SUSPEND"),
				      "event %u, call %d", rows[i].event, n);
			kvm_destroy(k);
		}
}
END_TEST

START_TEST(undecoded_accesses)
{
	struct kvm *k = new_vm(&full_setup);
	struct kvm_exit x;
	int at = 0;

	kvm_kernel_run_area(0)->arm_nisv.fault_ipa = 0x9000000;
	x = exit_with(k, 0, KVM_EXIT_ARM_NISV);
	ck_assert_int_eq(x.kind, VCPU_BAD_ACCESS);
	ck_assert_uint_eq(x.addr, 0x9000000);
	expect_lines(&at, "vcpu0 RUN", "vcpu0 EVENTS serror 0 dabt 1", NULL);

	kvm_kernel.fail_at = kvm_kernel.calls + 2;
	kvm_kernel.fail_with = EINVAL;
	x = exit_with(k, 0, KVM_EXIT_ARM_NISV);
	ck_assert_int_eq(x.kind, VCPU_BROKEN);
	ck_assert_int_eq(x.code, -EINVAL);
	ck_assert_msg(strstr(x.why, "0x9000000"), "%s", x.why);
	kvm_destroy(k);
}
END_TEST

START_TEST(exits_nobody_knows)
{
	struct kvm *k = new_vm(&full_setup);
	struct kvm_exit x = exit_with(k, 0, KVM_EXIT_INTERNAL_ERROR);

	ck_assert_int_eq(x.kind, VCPU_BROKEN);
	ck_assert_int_lt(x.code, 0);
	ck_assert_str_eq(x.why, "KVM exit reason 17");
	kvm_kernel_run_area(0)->system_event.type = 99;
	x = exit_with(k, 0, KVM_EXIT_SYSTEM_EVENT);
	ck_assert_int_eq(x.kind, VCPU_BROKEN);
	ck_assert_str_eq(x.why, "system event 99");
	kvm_destroy(k);
}
END_TEST

START_TEST(kicks)
{
	struct kvm *k = new_vm(&full_setup);
	struct kvm_exit x = { 0 };

	ck_assert_int_eq(exit_with(k, 0, KVM_EXIT_INTR).kind, VCPU_KICKED);
	/* Asked for once, it happens once. */
	kvm_kernel.run = run_interrupted;
	kvm_vcpu_interrupt(k, 0);
	kvm_vcpu_run(k, 0, &x);
	ck_assert_int_eq(x.kind, VCPU_KICKED);
	ck_assert_uint_eq(kvm_kernel_run_area(0)->immediate_exit, 0);
	ck_assert_uint_eq(kvm_kernel_run_area(1)->immediate_exit, 0);

	kvm_kernel.run = run_fails;
	kvm_vcpu_run(k, 0, &x);
	ck_assert_int_eq(x.kind, VCPU_BROKEN);
	ck_assert_int_eq(x.code, -EFAULT);
	ck_assert_str_eq(x.why, "KVM_RUN");
	kvm_destroy(k);
}
END_TEST

/* --- statistics and the sandbox --- */

START_TEST(exits_are_counted)
{
	struct kvm *k = new_vm(&full_setup);
	struct kvm_setup s = full_setup;
	u64 user;

	/* First of three on vCPU 0 and on vCPU 1; and the third. */
	ck_assert_uint_eq(kvm_exits(k, &user), 1 + 1001);
	ck_assert_uint_eq(user, 3 + 1003);
	kvm_destroy(k);

	s.stats = false;
	k = new_vm(&s);
	ck_assert_uint_eq(kvm_exits(k, &user), 0);
	ck_assert_uint_eq(user, 0);
	kvm_destroy(k);
}
END_TEST

/* A kernel that counts no such thing: nothing, instead of something else. */
START_TEST(counters_that_are_missing)
{
	struct err e = { 0 };
	struct kvm *k;
	u64 user;
	int fd;

	kvm_kernel_reset();
	kvm_kernel.stats = "halt\nexits_of_another_kind\n";
	fd = open_kvm();
	k = kvm_create(fd, &full_setup, &e);
	ck_assert_msg(k, "%s", e.msg);
	ck_assert_uint_eq(kvm_exits(k, &user), 0);
	ck_assert_uint_eq(user, 0);
	kvm_destroy(k);
	close(fd);
}
END_TEST

static bool listed(const struct kvm_request *q, unsigned long request)
{
	for (; q->why; q++)
		if (q->request == request)
			return true;
	return false;
}

START_TEST(requests_for_the_sandbox)
{
	static const unsigned long vcpu[] = {
		KVM_RUN,           KVM_IRQ_LINE,        KVM_SIGNAL_MSI,
		KVM_ARM_VCPU_INIT, KVM_GET_ONE_REG,     KVM_SET_ONE_REG,
		KVM_SET_MP_STATE,  KVM_SET_VCPU_EVENTS,
	};
	static const unsigned long loop[] = {
		KVM_IRQ_LINE,    KVM_SIGNAL_MSI,      KVM_ARM_VCPU_INIT,
		KVM_SET_ONE_REG, KVM_SET_DEVICE_ATTR,
	};
	/* What would let an attacker make new things. */
	static const unsigned long never[] = {
		KVM_CREATE_VM,
		KVM_CREATE_VCPU,
		KVM_CREATE_DEVICE,
		KVM_SET_USER_MEMORY_REGION,
	};

	for (size_t i = 0; i < ARRAY_SIZE(vcpu); i++)
		ck_assert(listed(kvm_vcpu_requests, vcpu[i]));
	for (size_t i = 0; i < ARRAY_SIZE(loop); i++)
		ck_assert(listed(kvm_loop_requests, loop[i]));
	for (size_t i = 0; i < ARRAY_SIZE(never); i++) {
		ck_assert(!listed(kvm_vcpu_requests, never[i]));
		ck_assert(!listed(kvm_loop_requests, never[i]));
		ck_assert(!listed(kvm_split_requests, never[i]));
	}
	ck_assert(!listed(kvm_loop_requests, KVM_RUN));
	/* Both do a guest's commands over again, if that is to be done. */
	ck_assert(!listed(kvm_vcpu_requests, KVM_SET_DEVICE_ATTR));
	ck_assert(listed(kvm_split_requests, KVM_SET_DEVICE_ATTR));
	ck_assert(listed(kvm_window_requests, KVM_SET_USER_MEMORY_REGION));
}
END_TEST

UNIT_MAIN("kvm", opening, a_kvm_of_another_version, probing, probing_the_gic,
	  creating, a_plain_vcpu, finishing, mapping, limits_of_the_host,
	  a_host_without_gicv3, every_call_may_fail, resetting,
	  a_hidden_its_from_the_start, entering, commands_by_table, batches,
	  registers_among_commands, the_queue_wraps_around,
	  a_batch_longer_than_the_queue, the_queue_after_a_reset,
	  a_reset_disables, a_kernel_that_refuses, messages_for_a_hidden_its,
	  interrupts, lines_are_irqfds, ends_are_told, ends_may_be_refused,
	  a_refused_aim_is_tried_again, lines_have_an_end, gsis_have_an_end,
	  windows_are_slots, doorbells_are_ioeventfds, accesses, power,
	  suspending_and_waking, suspending_that_fails, undecoded_accesses,
	  exits_nobody_knows, kicks, exits_are_counted,
	  counters_that_are_missing, requests_for_the_sandbox)
