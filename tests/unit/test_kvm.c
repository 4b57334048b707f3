/*
 * KVM, against a kernel that writes down what it is asked: the calls and their
 * order, what becomes of exits, and that every call may fail without a trace.
 */
#include "fakes/kvm_kernel.h"
#include "unit.h"

#include <belfry/kvm.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
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
static bool make_and_drop(int fd, int fail_at, struct err *e)
{
	struct kvm *k;
	bool made;

	*e = (struct err) { 0 };
	kvm_kernel_forget();
	kvm_kernel.fail_at = fail_at;
	kvm_kernel.watching = true;
	k = kvm_create(fd, &full_setup, e);
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

START_TEST(every_call_may_fail)
{
	struct err e;
	int fd, held, calls;

	kvm_kernel_reset();
	kvm_kernel.stats = STATS;
	fd = open_kvm();
	held = kvm_kernel_held();
	ck_assert_msg(make_and_drop(fd, 0, &e), "%s", e.msg);
	calls = kvm_kernel.calls;
	ck_assert_int_gt(calls, 100);
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
	sink.close(k, &l[1]);
	sink.close(k, &l[1]);
	sink.close(k, &l[2]);
	expect_lines(&at, "vm ROUTES 1: 0x8 0x1208000040 5",
		     "vm IRQFD gsi 1 flags 0",
		     "vm ROUTES 0: 0x8 0x008000040 6 1: 0x8 0x1208000040 5",
		     "vm IRQFD gsi 0 flags 0",
		     "vm ROUTES 0: 0x8 0x008000040 6 1: 0x8 0x1208000040 7",
		     "vm IRQFD gsi 1 flags 1", NULL);
	expect_end(at);
	/* A line nobody closed goes with the VM. */
	kvm_destroy(k);
	ck_assert_int_eq(kvm_kernel_held(), held);
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

	kvm_kernel.regs[1] = 0x40001000;
	kvm_kernel.regs[2] = 0x77;
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
	}
	ck_assert(!listed(kvm_loop_requests, KVM_RUN));
}
END_TEST

UNIT_MAIN("kvm", opening, a_kvm_of_another_version, probing, probing_the_gic,
	  creating, a_plain_vcpu, finishing, mapping, limits_of_the_host,
	  a_host_without_gicv3, every_call_may_fail, resetting, entering,
	  interrupts, lines_are_irqfds, a_refused_aim_is_tried_again,
	  lines_have_an_end, doorbells_are_ioeventfds, accesses, power,
	  suspending_and_waking, suspending_that_fails, undecoded_accesses,
	  exits_nobody_knows, kicks, exits_are_counted,
	  counters_that_are_missing, requests_for_the_sandbox)
