/*
 * The vCPU threads, on a KVM of the test's own: what each exit leads to, and
 * that starting, stopping and asking never lose one.
 */
#include "unit.h"

#include "vcpus.h"

#include <belfry/lock.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define CPUS_MAX 8

/* What stands in for KVM: each vCPU runs until it is interrupted, or until
 * its next exit is due. */
struct kvm {
	struct {
		atomic_bool interrupted; /* as kvm_run's immediate_exit */
		atomic_bool inside;
		struct kvm_exit next[8]; /* set while it waits */
		int nr, at;
		u64 answer;
		atomic_ulong runs;
		/* Of accesses to system registers. */
		atomic_int accesses;
		bool there;
		u64 val;
		int refusal; /* what KVM says to it */
	} cpu[CPUS_MAX];
	atomic_int learnt, learning;
	atomic_int violations; /* of what is promised to who learns */
};

/* 0.2 ms, in which the vCPU is in the guest still, whoever kicks it. */
static void leave_slowly(void)
{
	struct timespec left = { .tv_nsec = 200000 };

	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

void kvm_vcpu_run(struct kvm *k, u32 i, struct kvm_exit *x)
{
	k->cpu[i].runs++;
	k->cpu[i].inside = true;
	if (k->cpu[i].at < k->cpu[i].nr) {
		*x = k->cpu[i].next[k->cpu[i].at++];
	} else {
		/* A lost kick would leave it here; 1 ms a look. */
		while (!k->cpu[i].interrupted)
			nanosleep(&(struct timespec) { .tv_nsec = 1000000 },
				  NULL);
		leave_slowly();
		*x = (struct kvm_exit) { .kind = VCPU_KICKED };
	}
	if (x->kind == VCPU_KICKED)
		k->cpu[i].interrupted = false;
	k->cpu[i].inside = false;
}

void kvm_vcpu_answer(struct kvm *k, u32 i, u64 val)
{
	k->cpu[i].answer = val;
}

void kvm_vcpu_interrupt(struct kvm *k, u32 i)
{
	k->cpu[i].interrupted = true;
}

int kvm_vcpu_sysreg_done(struct kvm *k, u32 i, bool there, u64 val)
{
	k->cpu[i].there = there;
	k->cpu[i].val = val;
	k->cpu[i].accesses++;
	return k->cpu[i].refusal;
}

static void pass_ms(long ms)
{
	nanosleep(&(struct timespec) { .tv_nsec = ms * 1000000 }, NULL);
}

/* One at a time, while none is in KVM, and none enters. */
void kvm_vectors_learn(struct kvm *k, u32 i)
{
	u64 runs[CPUS_MAX];

	(void)i;
	k->violations += ++k->learning != 1;
	for (int n = 0; n < CPUS_MAX; n++)
		runs[n] = k->cpu[n].runs;
	pass_ms(1);
	for (int n = 0; n < CPUS_MAX; n++)
		k->violations += k->cpu[n].inside || k->cpu[n].runs != runs[n];
	k->learning--;
	k->learnt++;
}

struct bench {
	struct kvm kvm;
	struct mmio_bus bus;
	struct vcpus *vcpus;
	struct lock lock; /* several may ask at once */
	atomic_int asked;
	atomic_int in_device;
	atomic_int excluding, exclusions;
	atomic_int violations; /* of what excluding promises */
	atomic_bool enough;
	enum vcpu_request request;
	u32 cpu;
	struct kvm_exit exit;
	u64 written;
	/* The access to a system register that was made last. */
	struct access {
		u32 cpu, reg;
		bool write;
		u64 val;
	} access;
};

/* Register 7 is there; it reads as what was written, and one more. */
static bool on_sysreg(void *irqs, u32 cpu, u32 reg, bool write, u64 *val)
{
	struct bench *b = irqs;

	b->access = (struct access) { cpu, reg, write, *val };
	*val += !write;
	return reg == 7;
}

static void on_asked(void *ctx, u32 cpu, enum vcpu_request request,
		     const struct kvm_exit *exit)
{
	struct bench *b = ctx;

	lock_take(&b->lock);
	b->cpu = cpu;
	b->request = request;
	b->exit = *exit;
	b->asked++;
	lock_drop(&b->lock);
}

static u64 device_read(void *dev, u64 off, u32 size)
{
	(void)dev;
	return 0x1100 + off + size;
}

static void device_write(void *dev, u64 off, u32 size, u64 val)
{
	struct bench *b = dev;

	b->in_device++;
	nanosleep(&(struct timespec) { .tv_nsec = 20000000 }, NULL);
	b->written = val + off + size;
	b->in_device--;
}

static const struct mmio_ops device_ops = { device_read, device_write };

/* Alone from beginning to end, and nobody starts meanwhile. */
static void exclude_and_look(struct bench *b, long ms)
{
	u64 runs[CPUS_MAX];

	vcpus_exclude(b->vcpus, true);
	b->violations += ++b->excluding != 1;
	for (int i = 0; i < CPUS_MAX; i++)
		runs[i] = b->kvm.cpu[i].runs;
	pass_ms(ms);
	for (int i = 0; i < CPUS_MAX; i++)
		b->violations +=
			b->kvm.cpu[i].inside || b->kvm.cpu[i].runs != runs[i];
	b->excluding--;
	b->exclusions++;
	vcpus_exclude(b->vcpus, false);
}

static void excluder_write(void *dev, u64 off, u32 size, u64 val)
{
	(void)off;
	(void)size;
	exclude_and_look(dev, (long)val);
}

static const struct mmio_ops excluder_ops = { device_read, excluder_write };

/* The threads wait when this returns: exits may be set. */
static struct bench *bench_init(u32 nr, const struct sandbox *sandbox)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct mmio_region r = { "device", 0x1000, 0x1000, &device_ops, b };
	struct mmio_region x = { "excluder", 0x2000, 0x1000, &excluder_ops, b };
	struct vcpus_setup s = { .kvm = &b->kvm,
				 .bus = &b->bus,
				 .nr = nr,
				 .sandbox = sandbox,
				 .sysreg = on_sysreg,
				 .irqs = b,
				 .asked = on_asked,
				 .ctx = b };
	struct err e = { 0 };

	ck_assert_ptr_nonnull(b);
	b->lock = LOCK_INIT;
	mmio_bus_init(&b->bus);
	ck_assert_int_eq(mmio_bus_add(&b->bus, &r, &e), 0);
	ck_assert_int_eq(mmio_bus_add(&b->bus, &x, &e), 0);
	b->vcpus = vcpus_create(&s, &e);
	ck_assert_msg(b->vcpus, "%s", e.msg);
	return b;
}

static void bench_fini(struct bench *b)
{
	vcpus_destroy(b->vcpus);
	free(b);
}

static void next_exit(struct bench *b, u32 cpu, struct kvm_exit x)
{
	b->kvm.cpu[cpu].next[b->kvm.cpu[cpu].nr++] = x;
}

/* Until @counter is @least: 10 s, then it never will be. */
static void wait_for(atomic_int *counter, int least)
{
	for (int i = 0; i < 10000 && *counter < least; i++)
		nanosleep(&(struct timespec) { .tv_nsec = 1000000 }, NULL);
	ck_assert_int_ge(*counter, least);
}

static void wait_until_inside(struct bench *b, u32 nr)
{
	for (u32 i = 0; i < nr; i++)
		while (!b->kvm.cpu[i].inside)
			sched_yield();
}

START_TEST(none_runs_before_it_is_let)
{
	struct bench *b = bench_init(CPUS_MAX, NULL);

	for (int i = 0; i < CPUS_MAX; i++)
		ck_assert_uint_eq(b->kvm.cpu[i].runs, 0);
	vcpus_run(b->vcpus);
	wait_until_inside(b, CPUS_MAX);
	bench_fini(b);
	vcpus_destroy(NULL);
}
END_TEST

START_TEST(none_runs_after_a_pause)
{
	struct bench *b = bench_init(CPUS_MAX, NULL);
	u64 runs[CPUS_MAX];

	for (int round = 0; round < 200; round++) {
		vcpus_run(b->vcpus);
		/* Some rounds catch them on their way in. */
		if (round % 2)
			wait_until_inside(b, CPUS_MAX);
		vcpus_pause(b->vcpus);
		for (int i = 0; i < CPUS_MAX; i++) {
			ck_assert(!b->kvm.cpu[i].inside);
			runs[i] = b->kvm.cpu[i].runs;
		}
		sched_yield();
		for (int i = 0; i < CPUS_MAX; i++)
			ck_assert_uint_eq(b->kvm.cpu[i].runs, runs[i]);
	}
	/* Twice is once. */
	vcpus_pause(b->vcpus);
	bench_fini(b);
}
END_TEST

START_TEST(accesses_reach_devices)
{
	struct bench *b = bench_init(1, NULL);

	next_exit(b, 0,
		  (struct kvm_exit) {
			  .kind = VCPU_READ, .addr = 0x1010, .size = 4 });
	next_exit(b, 0,
		  (struct kvm_exit) { .kind = VCPU_WRITE,
				      .addr = 0x1020,
				      .size = 8,
				      .val = 0x5500 });
	next_exit(b, 0,
		  (struct kvm_exit) { .kind = VCPU_BAD_ACCESS,
				      .addr = 0x9000 });
	next_exit(b, 0, (struct kvm_exit) { .kind = VCPU_SUSPENDED });
	next_exit(b, 0, (struct kvm_exit) { .kind = VCPU_WOKEN });
	next_exit(b, 0, (struct kvm_exit) { .kind = VCPU_KICKED });
	next_exit(b, 0, (struct kvm_exit) { .kind = VCPU_POWER_OFF });
	vcpus_run(b->vcpus);
	wait_for(&b->asked, 1);
	vcpus_pause(b->vcpus);
	/* It went through all of them, and no further. */
	ck_assert_uint_eq(b->kvm.cpu[0].runs, 7);
	ck_assert_uint_eq(b->kvm.cpu[0].answer, 0x1114);
	ck_assert_uint_eq(b->written, 0x5528);
	ck_assert_int_eq(b->request, GUEST_OFF);
	bench_fini(b);
}
END_TEST

START_TEST(a_pause_waits_for_a_device)
{
	struct bench *b = bench_init(2, NULL);

	next_exit(b, 1,
		  (struct kvm_exit) { .kind = VCPU_WRITE,
				      .addr = 0x1000,
				      .size = 4,
				      .val = 1 });
	vcpus_run(b->vcpus);
	wait_for(&b->in_device, 1);
	vcpus_pause(b->vcpus);
	ck_assert_int_eq(b->in_device, 0);
	ck_assert_uint_eq(b->written, 5);
	bench_fini(b);
}
END_TEST

START_TEST(requests)
{
	static const struct {
		enum kvm_exit_kind kind;
		enum vcpu_request request;
	} rows[] = {
		{ VCPU_POWER_OFF, GUEST_OFF },
		{ VCPU_RESET, GUEST_RESET },
		{ VCPU_BROKEN, GUEST_BROKEN },
	};
	struct bench *b = bench_init(3, NULL);

	for (int i = 0; i < (int)ARRAY_SIZE(rows); i++) {
		next_exit(b, 1,
			  (struct kvm_exit) { .kind = rows[i].kind,
					      .code = -EIO,
					      .why = "test" });
		vcpus_run(b->vcpus);
		wait_for(&b->asked, i + 1);
		vcpus_pause(b->vcpus);
		ck_assert_int_eq(b->asked, i + 1);
		ck_assert_int_eq(b->request, rows[i].request);
		ck_assert_uint_eq(b->cpu, 1);
		ck_assert_int_eq(b->exit.code, -EIO);
		ck_assert_str_eq(b->exit.why, "test");
	}
	bench_fini(b);
}
END_TEST

/* One that asks keeps those behind it from starting: none is lost by that. */
START_TEST(requests_of_all)
{
	struct bench *b = bench_init(CPUS_MAX, NULL);

	for (u32 i = 0; i < CPUS_MAX; i++)
		next_exit(b, i, (struct kvm_exit) { .kind = VCPU_RESET });
	for (int before = 0; before < CPUS_MAX; before = b->asked) {
		vcpus_run(b->vcpus);
		wait_for(&b->asked, before + 1);
		vcpus_pause(b->vcpus);
	}
	ck_assert_int_eq(b->asked, CPUS_MAX);
	for (u32 i = 0; i < CPUS_MAX; i++)
		ck_assert_int_eq(b->kvm.cpu[i].at, 1);
	bench_fini(b);
}
END_TEST

/* A stray signal, or an interrupt nobody asked for, is no reason to stop. */
START_TEST(kicks_without_a_reason)
{
	struct bench *b = bench_init(1, NULL);
	u64 runs;

	vcpus_run(b->vcpus);
	wait_until_inside(b, 1);
	runs = b->kvm.cpu[0].runs;
	kvm_vcpu_interrupt(&b->kvm, 0);
	while (b->kvm.cpu[0].runs == runs)
		sched_yield();
	bench_fini(b);
}
END_TEST

/* --- excluding --- */

static void next_exclusion(struct bench *b, u32 cpu, u64 ms)
{
	next_exit(b, cpu,
		  (struct kvm_exit) { .kind = VCPU_WRITE,
				      .addr = 0x2000,
				      .size = 4,
				      .val = ms });
}

/* All are in the guest once more. */
static void wait_for_another_run(struct bench *b, const u64 *runs)
{
	for (int i = 0; i < CPUS_MAX; i++)
		while (b->kvm.cpu[i].runs == runs[i])
			sched_yield();
	wait_until_inside(b, CPUS_MAX);
}

START_TEST(none_runs_while_excluded)
{
	struct bench *b = bench_init(CPUS_MAX, NULL);

	vcpus_run(b->vcpus);
	for (int round = 0; round < 100; round++) {
		u64 runs[CPUS_MAX];

		for (int i = 0; i < CPUS_MAX; i++)
			runs[i] = b->kvm.cpu[i].runs;
		/* Some rounds catch them on their way in. */
		if (round % 2)
			wait_until_inside(b, CPUS_MAX);
		exclude_and_look(b, round % 3);
		if (round % 2)
			wait_for_another_run(b, runs);
	}
	wait_until_inside(b, CPUS_MAX);
	ck_assert_int_eq(b->violations, 0);
	bench_fini(b);
}
END_TEST

START_TEST(a_vcpu_excludes_the_others)
{
	struct bench *b = bench_init(CPUS_MAX, NULL);

	for (int i = 0; i < 8; i++)
		next_exclusion(b, 3, (u64)i % 3);
	vcpus_run(b->vcpus);
	wait_for(&b->exclusions, 8);
	/* It goes on, too. */
	wait_until_inside(b, CPUS_MAX);
	ck_assert_int_eq(b->violations, 0);
	ck_assert_int_eq(b->kvm.cpu[3].at, 8);
	bench_fini(b);
}
END_TEST

START_TEST(several_exclude_at_once)
{
	struct bench *b = bench_init(CPUS_MAX, NULL);

	for (u32 cpu = 0; cpu < CPUS_MAX; cpu += 2)
		for (int i = 0; i < 8; i++)
			next_exclusion(b, cpu, (u64)i % 2);
	vcpus_run(b->vcpus);
	for (int i = 0; i < 20; i++)
		exclude_and_look(b, i % 2);
	wait_for(&b->exclusions, 20 + CPUS_MAX / 2 * 8);
	wait_until_inside(b, CPUS_MAX);
	ck_assert_int_eq(b->violations, 0);
	bench_fini(b);
}
END_TEST

static void *exclude_until_enough(void *arg)
{
	struct bench *b = arg;

	while (!b->enough) {
		exclude_and_look(b, b->exclusions % 2);
		/* A mutex is nobody's in turn: let others have it. */
		pass_ms(1);
	}
	return NULL;
}

/* Neither makes the other forget what it asked for. */
START_TEST(excluding_and_pausing)
{
	struct bench *b = bench_init(CPUS_MAX, NULL);
	pthread_t other;

	ck_assert_int_eq(pthread_create(&other, NULL, exclude_until_enough, b),
			 0);
	for (int round = 0; round < 100; round++) {
		vcpus_run(b->vcpus);
		if (round % 2)
			wait_until_inside(b, CPUS_MAX);
		vcpus_pause(b->vcpus);
		for (int i = 0; i < CPUS_MAX; i++)
			ck_assert(!b->kvm.cpu[i].inside);
	}
	vcpus_run(b->vcpus);
	b->enough = true;
	pthread_join(other, NULL);
	wait_until_inside(b, CPUS_MAX);
	ck_assert_int_gt(b->exclusions, 0);
	ck_assert_int_eq(b->violations, 0);
	bench_fini(b);
}
END_TEST

START_TEST(none_starts_while_excluded)
{
	struct bench *b = bench_init(CPUS_MAX, NULL);

	vcpus_exclude(b->vcpus, true);
	vcpus_run(b->vcpus);
	pass_ms(20);
	for (int i = 0; i < CPUS_MAX; i++)
		ck_assert_uint_eq(b->kvm.cpu[i].runs, 0);
	vcpus_exclude(b->vcpus, false);
	wait_until_inside(b, CPUS_MAX);
	bench_fini(b);
}
END_TEST

/* --- without a GIC in the kernel --- */

START_TEST(accesses_to_system_registers)
{
	static const struct {
		enum kvm_exit_kind kind;
		u32 reg;
		bool there;
		u64 val; /* 0x50 is the guest's */
	} rows[] = {
		{ VCPU_SYSREG_WRITE, 7, true, 0x50 },
		{ VCPU_SYSREG_READ, 7, true, 0x51 },
		{ VCPU_SYSREG_WRITE, 8, false, 0x50 },
		{ VCPU_SYSREG_READ, 8, false, 0x51 },
	};
	struct bench *b = bench_init(3, NULL);

	for (int i = 0; i < (int)ARRAY_SIZE(rows); i++) {
		next_exit(b, 1,
			  (struct kvm_exit) { .kind = rows[i].kind,
					      .addr = rows[i].reg,
					      .val = 0x50 });
		/* It runs on by itself. */
		vcpus_run(b->vcpus);
		wait_for(&b->kvm.cpu[1].accesses, i + 1);
		wait_until_inside(b, 3);
		vcpus_pause(b->vcpus);
		ck_assert_int_eq(b->kvm.cpu[1].accesses, i + 1);
		ck_assert_uint_eq(b->access.cpu, 1);
		ck_assert_uint_eq(b->access.reg, rows[i].reg);
		ck_assert(b->access.write ==
			  (rows[i].kind == VCPU_SYSREG_WRITE));
		ck_assert_uint_eq(b->access.val, 0x50);
		ck_assert(b->kvm.cpu[1].there == rows[i].there);
		ck_assert_uint_eq(b->kvm.cpu[1].val, rows[i].val);
	}
	ck_assert_int_eq(b->asked, 0);
	ck_assert_int_eq(b->kvm.cpu[0].accesses + b->kvm.cpu[2].accesses, 0);
	bench_fini(b);
}
END_TEST

START_TEST(an_access_that_kvm_refuses)
{
	struct bench *b = bench_init(2, NULL);

	b->kvm.cpu[1].refusal = -EBUSY;
	next_exit(b, 1,
		  (struct kvm_exit) { .kind = VCPU_SYSREG_READ, .addr = 7 });
	vcpus_run(b->vcpus);
	wait_for(&b->asked, 1);
	vcpus_pause(b->vcpus);
	ck_assert_uint_eq(b->kvm.cpu[1].runs, 1);
	ck_assert_int_eq(b->request, GUEST_BROKEN);
	ck_assert_uint_eq(b->cpu, 1);
	ck_assert_int_eq(b->exit.kind, VCPU_BROKEN);
	ck_assert_int_eq(b->exit.code, -EBUSY);
	ck_assert_msg(strstr(b->exit.why, "system register"), "%s",
		      b->exit.why);
	bench_fini(b);
}
END_TEST

START_TEST(vectors_are_learnt_alone)
{
	struct bench *b = bench_init(CPUS_MAX, NULL);

	for (int i = 0; i < 8; i++)
		next_exit(b, 3, (struct kvm_exit) { .kind = VCPU_MOVED });
	vcpus_run(b->vcpus);
	wait_for(&b->kvm.learnt, 8);
	/* It goes on, too. */
	wait_until_inside(b, CPUS_MAX);
	ck_assert_int_eq(b->kvm.violations, 0);
	ck_assert_int_eq(b->kvm.learnt, 8);
	ck_assert_int_eq(b->asked, 0);
	bench_fini(b);
}
END_TEST

/* Neither waits for the other while that waits for it. */
START_TEST(several_learn_at_once)
{
	struct bench *b = bench_init(CPUS_MAX, NULL);

	for (u32 cpu = 0; cpu < CPUS_MAX; cpu++)
		for (int i = 0; i < 8; i++)
			next_exit(b, cpu,
				  (struct kvm_exit) { .kind = VCPU_MOVED });
	vcpus_run(b->vcpus);
	/* Nor for a pause, that may come at any time. */
	for (int i = 0; i < 20; i++) {
		vcpus_pause(b->vcpus);
		ck_assert_int_eq(b->kvm.learning, 0);
		vcpus_run(b->vcpus);
	}
	wait_for(&b->kvm.learnt, CPUS_MAX * 8);
	wait_until_inside(b, CPUS_MAX);
	ck_assert_int_eq(b->kvm.violations, 0);
	bench_fini(b);
}
END_TEST

START_TEST(a_kick_is_for_one)
{
	struct bench *b = bench_init(CPUS_MAX, NULL);

	vcpus_run(b->vcpus);
	wait_until_inside(b, CPUS_MAX);
	for (u32 cpu = 0; cpu < CPUS_MAX; cpu++) {
		u64 runs[CPUS_MAX];

		for (int i = 0; i < CPUS_MAX; i++)
			runs[i] = b->kvm.cpu[i].runs;
		vcpus_kick(b->vcpus, cpu);
		/* Out, and in again without being let. */
		while (b->kvm.cpu[cpu].runs == runs[cpu])
			sched_yield();
		wait_until_inside(b, CPUS_MAX);
		for (u32 i = 0; i < CPUS_MAX; i++)
			ck_assert_uint_eq(b->kvm.cpu[i].runs,
					  runs[i] + (i == cpu));
	}
	ck_assert_int_eq(b->asked, 0);
	bench_fini(b);
}
END_TEST

/* --- the sandbox --- */

/* Which threads of this process have a filter: /proc's Seccomp is 2. */
static int confined_threads(void)
{
	int n = 0;
	char path[64], line[128];

	for (int tid = getpid(); tid < getpid() + 50; tid++) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
		f = fopen(path, "r");
		while (f && fgets(line, sizeof(line), f))
			n += !strcmp(line, "Seccomp:\t2\n");
		if (f)
			fclose(f);
	}
	return n;
}

START_TEST(threads_are_confined)
{
	/* That it kills is another test: here a sanitizer may be at work. */
	static const struct sandbox_allow rows[] = {
		SANDBOX_CALL(futex, "locks"),
	};
	struct sandbox s;
	struct err e = { 0 };
	struct bench *b;

	ck_assert_int_eq(sandbox_compile(&s, "vCPU", rows, 1, SANDBOX_LOG, &e),
			 0);
	b = bench_init(3, &s);
	/* Before the first instruction of the guest; not who made them. */
	ck_assert_int_eq(confined_threads(), 3);
	vcpus_run(b->vcpus);
	wait_until_inside(b, 3);
	bench_fini(b);
	sandbox_fini(&s);
}
END_TEST

START_TEST(threads_that_cannot_be_confined)
{
	struct sandbox broken = { .role = "vCPU" }; /* no program */
	struct kvm *k = calloc(1, sizeof(*k));
	struct vcpus_setup s = {
		.kvm = k, .nr = 4, .sandbox = &broken, .asked = on_asked
	};
	struct err e = { 0 };

	ck_assert_ptr_nonnull(k);
	ck_assert_ptr_null(vcpus_create(&s, &e));
	ck_assert_int_lt(e.code, 0);
	ck_assert_msg(strstr(e.msg, "seccomp"), "%s", e.msg);
	for (int i = 0; i < 4; i++)
		ck_assert_uint_eq(k->cpu[i].runs, 0);
	free(k);
}
END_TEST

UNIT_MAIN("vcpus", none_runs_before_it_is_let, none_runs_after_a_pause,
	  accesses_reach_devices, a_pause_waits_for_a_device, requests,
	  requests_of_all, kicks_without_a_reason, none_runs_while_excluded,
	  a_vcpu_excludes_the_others, several_exclude_at_once,
	  excluding_and_pausing, none_starts_while_excluded,
	  accesses_to_system_registers, an_access_that_kvm_refuses,
	  vectors_are_learnt_alone, several_learn_at_once, a_kick_is_for_one,
	  threads_are_confined, threads_that_cannot_be_confined)
