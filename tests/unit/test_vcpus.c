/*
 * The vCPU threads, on a KVM of the test's own: what each exit leads to, and
 * that starting, stopping and asking never lose one.
 */
#include "unit.h"

#include "vcpus.h"

#include <belfry/lock.h>

#include <errno.h>
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
	} cpu[CPUS_MAX];
};

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

struct bench {
	struct kvm kvm;
	struct mmio_bus bus;
	struct vcpus *vcpus;
	struct lock lock; /* several may ask at once */
	atomic_int asked;
	atomic_int in_device;
	enum vcpu_request request;
	u32 cpu;
	struct kvm_exit exit;
	u64 written;
};

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

/* The threads wait when this returns: exits may be set. */
static struct bench *bench_init(u32 nr, const struct sandbox *sandbox)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct mmio_region r = { "device", 0x1000, 0x1000, &device_ops, b };
	struct vcpus_setup s = { .kvm = &b->kvm,
				 .bus = &b->bus,
				 .nr = nr,
				 .sandbox = sandbox,
				 .asked = on_asked,
				 .ctx = b };
	struct err e = { 0 };

	ck_assert_ptr_nonnull(b);
	b->lock = LOCK_INIT;
	mmio_bus_init(&b->bus);
	ck_assert_int_eq(mmio_bus_add(&b->bus, &r, &e), 0);
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
	  requests_of_all, kicks_without_a_reason, threads_are_confined,
	  threads_that_cannot_be_confined)
