/*
 * What the two kinds of threads may do while a guest runs: calls tried against
 * the filters, and real work done under them.
 */
#include "fakes/bpf.h"
#include "unit.h"

#include "policy.h"

#include <belfry/console.h>
#include <belfry/kvm.h>
#include <belfry/log.h>
#include <belfry/tty.h>

#include <assert.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utmp.h>

#define STATUS 42

/* A sanitizer makes calls of its own: under one, real work is only logged. */
#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
	__has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MODE SECCOMP_LOG
#else
#define MODE SECCOMP_ON
#endif

static void compile(struct policy *p, enum config_seccomp mode)
{
	struct config c = { .seccomp = mode };
	struct err e = { 0 };

	ck_assert_msg(!policy_compile(p, &c, &e), "%s", e.msg);
}

START_TEST(verdicts)
{
	const u64 me = (u64)getpid();
	const struct {
		int nr;
		u64 args[3];
		bool vcpu, loop;
	} rows[] = {
		{ SYS_futex, { 0 }, true, true },
		{ SYS_write, { 1 }, true, true },
		{ SYS_exit_group, { 0 }, true, true },
		{ SYS_rt_sigreturn, { 0 }, true, true },
		{ SYS_timerfd_settime, { 0 }, true, true },
		{ SYS_tgkill, { me, 5, SIGUSR1 }, true, true },
		{ SYS_tgkill, { me + 1, 5, SIGUSR1 }, false, false },
		{ SYS_tgkill, { 1, me, SIGKILL }, false, false },
		{ SYS_kill, { me, SIGKILL }, false, false },
		/* Only the loop waits on the ring and reads files. */
		{ SYS_io_uring_enter, { 0 }, false, true },
		{ SYS_io_uring_setup, { 0 }, false, false },
		{ SYS_io_uring_register, { 0 }, false, false },
		{ SYS_pread64, { 0 }, false, true },
		{ SYS_read, { 0 }, false, false },
		{ SYS_lseek, { 1, 0, SEEK_CUR }, false, true },
		{ SYS_lseek, { 1, 0, SEEK_SET }, false, true },
		{ SYS_lseek, { 1, 0, SEEK_END }, false, false },
		{ SYS_brk, { 0 }, false, true },
		{ SYS_mmap, { 0, 1, PROT_READ | PROT_WRITE }, true, true },
		{ SYS_mmap, { 0, 1, PROT_READ | PROT_EXEC }, false, false },
		{ SYS_mprotect, { 0, 1, PROT_READ }, true, true },
		{ SYS_mprotect, { 0, 1, PROT_EXEC }, false, false },
		/* No new things, no other programs, no other processes. */
		{ SYS_openat, { 0 }, false, false },
		{ SYS_socket, { 0 }, false, false },
		{ SYS_clone, { 0 }, false, false },
		{ SYS_clone3, { 0 }, false, false },
		{ SYS_execve, { 0 }, false, false },
		{ SYS_ptrace, { 0 }, false, false },
		{ SYS_process_vm_writev, { 0 }, false, false },
		{ SYS_memfd_create, { 0 }, false, false },
		{ SYS_prctl, { 0 }, false, false },
		{ SYS_seccomp, { 0 }, false, false },
		/* A guest runs on its vCPUs only. */
		{ SYS_ioctl, { 9, KVM_RUN }, true, false },
		{ SYS_ioctl, { 9, KVM_IRQ_LINE }, true, true },
		{ SYS_ioctl, { 9, KVM_SIGNAL_MSI }, true, true },
		{ SYS_ioctl, { 9, KVM_SET_VCPU_EVENTS }, true, false },
		{ SYS_ioctl, { 9, KVM_SET_DEVICE_ATTR }, false, true },
		{ SYS_ioctl, { 9, KVM_CREATE_VM }, false, false },
		{ SYS_ioctl, { 9, KVM_CREATE_VCPU }, false, false },
		{ SYS_ioctl, { 9, KVM_SET_USER_MEMORY_REGION }, false, false },
		{ SYS_ioctl, { 9, KVM_CREATE_DEVICE }, false, false },
		/* The terminal may be restored, not typed into. */
		{ SYS_ioctl, { 0, TCSETSW }, true, true },
		{ SYS_ioctl, { 0, TIOCSTI }, false, false },
	};
	struct policy p;

	compile(&p, SECCOMP_ON);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		u64 args[6] = { rows[i].args[0], rows[i].args[1],
				rows[i].args[2] };

		ck_assert_msg((bpf_verdict(p.vcpu.program, p.vcpu.len,
					   rows[i].nr, args) ==
			       SECCOMP_RET_ALLOW) == rows[i].vcpu,
			      "row %zu, vCPU", i);
		ck_assert_msg((bpf_verdict(p.loop.program, p.loop.len,
					   rows[i].nr, args) ==
			       SECCOMP_RET_ALLOW) == rows[i].loop,
			      "row %zu, loop", i);
	}
	policy_fini(&p);
	policy_fini(&p);
}
END_TEST

/* What devices need, the loop may do where there are such devices. */
START_TEST(verdicts_of_devices)
{
	static const struct {
		int nr;
		u64 args[3];
		bool drives, nets;
	} rows[] = {
		{ SYS_lseek, { 5, 0, SEEK_END }, true, false },
		{ SYS_readv, { 5 }, false, true },
		{ SYS_writev, { 5 }, false, true },
		{ SYS_ioctl, { 5, TUNSETOFFLOAD }, false, true },
		{ SYS_ioctl, { 5, TUNSETIFF }, false, false },
	};
	static const struct config configs[] = {
		{ .drives_nr = 1 },
		{ .nets_nr = 1 },
	};

	for (size_t c = 0; c < ARRAY_SIZE(configs); c++) {
		struct err e = { 0 };
		struct policy p;

		ck_assert(!policy_compile(&p, &configs[c], &e));
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
			u64 args[6] = { rows[i].args[0], rows[i].args[1],
					rows[i].args[2] };
			bool allowed = c ? rows[i].nets : rows[i].drives;

			ck_assert_uint_ne(bpf_verdict(p.vcpu.program,
						      p.vcpu.len, rows[i].nr,
						      args),
					  SECCOMP_RET_ALLOW);
			ck_assert_msg((bpf_verdict(p.loop.program, p.loop.len,
						   rows[i].nr, args) ==
				       SECCOMP_RET_ALLOW) == allowed,
				      "row %zu, configuration %zu", i, c);
		}
		policy_fini(&p);
	}
}
END_TEST

/* Any thread may bring a guest's commands to the kernel's ITS, if it is behind
 * one of ours; vCPUs watch themselves, if there is no GIC in the kernel; and
 * with both, any thread waits until the others are out of the guest. */
START_TEST(verdicts_by_irqchip)
{
	static const char words[] = "ksu"; /* kernel, split, user */
	static const enum config_irqchip irqchips[] = { IRQCHIP_KERNEL,
							IRQCHIP_SPLIT,
							IRQCHIP_USER };
	static const struct {
		int nr;
		u64 args[3];
		const char *vcpu, *loop; /* by what words it is allowed */
	} rows[] = {
		{ SYS_ioctl, { 9, KVM_SET_DEVICE_ATTR }, "s", "ksu" },
		{ SYS_ioctl, { 9, KVM_SET_GUEST_DEBUG }, "u", "" },
		{ SYS_sched_yield, { 0 }, "su", "su" },
		{ SYS_ioctl, { 9, KVM_RUN }, "ksu", "" },
		{ SYS_ioctl, { 9, KVM_IRQ_LINE }, "ksu", "ksu" },
		{ SYS_ioctl, { 9, KVM_GET_ONE_REG }, "ksu", "" },
		{ SYS_ioctl, { 9, KVM_SET_ONE_REG }, "ksu", "ksu" },
		{ SYS_ioctl, { 9, KVM_GET_DEVICE_ATTR }, "", "ksu" },
		{ SYS_ioctl, { 9, KVM_CREATE_DEVICE }, "", "" },
		{ SYS_ioctl, { 9, KVM_SET_USER_MEMORY_REGION }, "", "" },
	};

	for (size_t w = 0; w < ARRAY_SIZE(irqchips); w++) {
		const struct config c = { .irqchip = irqchips[w] };
		struct err e = { 0 };
		struct policy p;

		ck_assert_msg(!policy_compile(&p, &c, &e), "%s", e.msg);
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
			u64 args[6] = { rows[i].args[0], rows[i].args[1],
					rows[i].args[2] };

			ck_assert_msg((bpf_verdict(p.vcpu.program, p.vcpu.len,
						   rows[i].nr, args) ==
				       SECCOMP_RET_ALLOW) ==
					      !!strchr(rows[i].vcpu, words[w]),
				      "row %zu, vCPU, %c", i, words[w]);
			ck_assert_msg((bpf_verdict(p.loop.program, p.loop.len,
						   rows[i].nr, args) ==
				       SECCOMP_RET_ALLOW) ==
					      !!strchr(rows[i].loop, words[w]),
				      "row %zu, loop, %c", i, words[w]);
		}
		policy_fini(&p);
	}
}
END_TEST

START_TEST(refusals_by_mode)
{
	static const struct {
		enum config_seccomp mode;
		u32 refusal;
	} rows[] = {
		{ SECCOMP_ON, SECCOMP_RET_TRAP },
		{ SECCOMP_LOG, SECCOMP_RET_LOG },
	};
	static const u64 none[6];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct policy p;

		compile(&p, rows[i].mode);
		ck_assert_uint_eq(bpf_verdict(p.vcpu.program, p.vcpu.len,
					      SYS_execve, none),
				  rows[i].refusal);
		ck_assert_uint_eq(bpf_verdict(p.loop.program, p.loop.len,
					      SYS_execve, none),
				  rows[i].refusal);
		policy_fini(&p);
	}
}
END_TEST

/* --- real work --- */

static void enter(const struct sandbox *s)
{
	struct err e = { 0 };

	if (sandbox_enter(s, &e)) {
		log_error("%s", e.msg);
		_exit(1);
	}
}

/* What @child, a process of its own, says on standard error; its status. */
static int in_child(void (*child)(const struct policy *p), char *said,
		    size_t size)
{
	const struct rlimit no_core = { 0 };
	struct policy p;
	size_t len = 0;
	ssize_t n;
	int fd[2], status;
	pid_t pid;

	ck_assert_int_eq(pipe(fd), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid) {
		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGABRT, SIG_DFL);
		dup2(fd[1], STDERR_FILENO);
		close(fd[0]);
		/* The policy names its process. */
		compile(&p, MODE);
		sandbox_on_violation(STATUS, tty_restore);
		child(&p);
		_exit(0);
	}
	close(fd[1]);
	while ((n = read(fd[0], said + len, size - 1 - len)) > 0)
		len += (size_t)n;
	said[len] = '\0';
	close(fd[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

/* A ring of entries is not enough to see that malloc works: much, and freed. */
static void allocate(void)
{
	for (size_t size = 16; size < 64 * MIB; size *= 4) {
		char *p = malloc(size);

		if (!p)
			_exit(2);
		memset(p, 1, size);
		p = realloc(p, 2 * size);
		free(p);
	}
}

struct work {
	struct loop *loop;
	struct loop_event event;
	struct loop_op timer;
	const struct sandbox *vcpu;
};

static void timer_done(struct loop_op *op, int result)
{
	(void)op;
	if (result)
		_exit(3);
}

static void event_fired(void *ctx)
{
	struct work *w = ctx;

	loop_stop(w->loop);
}

/* A vCPU thread: confines itself, calls the loop, says something, ends. */
static void *vcpu_work(void *arg)
{
	struct work *w = arg;

	enter(w->vcpu);
	log_info("from a vCPU");
	loop_event_fire(&w->event);
	return NULL;
}

static void run_and_take_down(const struct policy *p)
{
	struct work w = { .vcpu = &p->vcpu, .timer = { .done = timer_done } };
	struct err e = { 0 };
	pthread_t t;

	w.loop = loop_create(&e);
	if (!w.loop || loop_event_init(&w.event, w.loop, event_fired, &w, &e) ||
	    pthread_create(&t, NULL, vcpu_work, &w))
		_exit(4);
	enter(&p->loop);
	loop_timer(w.loop, &w.timer, 1000000);
	if (loop_run(w.loop, &e))
		_exit(5);
	pthread_join(t, NULL);
	allocate();
	loop_event_fini(&w.event);
	loop_destroy(w.loop);
	log_info("from the loop");
	exit(0);
}

START_TEST(a_run_and_its_end)
{
	char said[2048];
	int status = in_child(run_and_take_down, said, sizeof(said));

	ck_assert_msg(status == 0, "status 0x%x: %s", status, said);
	ck_assert_msg(strstr(said, "belfry: from a vCPU\n") &&
			      strstr(said, "belfry: from the loop\n"),
		      "%s", said);
}
END_TEST

static void assert_in_loop(const struct policy *p)
{
	enter(&p->loop);
	assert(p == NULL && "the loop is right");
}

static void *assert_in_thread(void *vcpu)
{
	enter(vcpu);
	assert(vcpu == NULL && "the vCPU is right");
	return NULL;
}

static void assert_in_vcpu(const struct policy *p)
{
	struct sandbox vcpu = p->vcpu;
	pthread_t t;

	if (!pthread_create(&t, NULL, assert_in_thread, &vcpu))
		pthread_join(t, NULL);
}

/* Our own bugs are reported as such, not as what abort() oversteps. */
static void check_assertion(void (*child)(const struct policy *p),
			    const char *what)
{
	char said[2048];
	int status = in_child(child, said, sizeof(said));

	ck_assert_msg(strstr(said, "Assertion") && strstr(said, what), "%s",
		      said);
	ck_assert_msg(!strstr(said, "sandbox"), "%s", said);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT,
		      "status 0x%x", status);
}

START_TEST(assertions_in_the_loop)
{
	check_assertion(assert_in_loop, "the loop is right");
}
END_TEST

START_TEST(assertions_in_a_vcpu)
{
	check_assertion(assert_in_vcpu, "the vCPU is right");
}
END_TEST

/* --- the terminal --- */

static int slave;

static void take_terminal(const struct policy *p)
{
	if (login_tty(dup(slave)) || !tty_raw(STDIN_FILENO))
		_exit(6);
	enter(&p->loop);
}

static void end_with_terminal(const struct policy *p)
{
	take_terminal(p);
	exit(0);
}

static void overstep_with_terminal(const struct policy *p)
{
	take_terminal(p);
	syscall(SYS_openat, -1, "", 0);
	exit(7);
}

static void *vcpu_oversteps(void *vcpu)
{
	enter(vcpu);
	syscall(SYS_openat, -1, "", 0);
	exit(7);
}

static void *vcpu_aborts(void *vcpu)
{
	enter(vcpu);
	abort();
}

static void with_vcpu(const struct policy *p, void *(*does)(void *vcpu))
{
	struct sandbox vcpu = p->vcpu;
	pthread_t t;

	if (login_tty(dup(slave)) || !tty_raw(STDIN_FILENO) ||
	    pthread_create(&t, NULL, does, &vcpu))
		_exit(6);
	pthread_join(t, NULL);
}

static void overstep_in_vcpu(const struct policy *p)
{
	with_vcpu(p, vcpu_oversteps);
}

static void abort_in_vcpu(const struct policy *p)
{
	with_vcpu(p, vcpu_aborts);
}

static void abort_with_terminal(const struct policy *p)
{
	take_terminal(p);
	abort();
}

START_TEST(the_terminal_is_restored)
{
	void (*const ends[])(const struct policy *p) = {
		end_with_terminal, overstep_with_terminal, abort_with_terminal,
		overstep_in_vcpu, abort_in_vcpu
	};

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		struct termios before, after;
		char said[2048];
		int master;

		ck_assert_int_eq(openpty(&master, &slave, NULL, NULL, NULL), 0);
		ck_assert_int_eq(tcgetattr(slave, &before), 0);
		in_child(ends[i], said, sizeof(said));
		ck_assert_int_eq(tcgetattr(slave, &after), 0);
		ck_assert_msg(after.c_lflag == before.c_lflag &&
				      after.c_iflag == before.c_iflag,
			      "row %zu: %s", i, said);
		close(master);
		close(slave);
	}
}
END_TEST

UNIT_MAIN("policy", verdicts, verdicts_of_devices, verdicts_by_irqchip,
	  refusals_by_mode, a_run_and_its_end, assertions_in_the_loop,
	  assertions_in_a_vcpu, the_terminal_is_restored)
