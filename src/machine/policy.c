#include "policy.h"

#include <belfry/kvm.h>

#include <assert.h>
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ROWS_MAX 64

/* The C library's headers hide struct termios2, so spelled out. */
#define TCGETS2_REQUEST  0x802c542a
#define TCSETSW2_REQUEST 0x402c542c

/* Memory may be had, but never to run code from. */
#define NOT_EXECUTABLE(call, why) SANDBOX_ARG(call, 2, PROT_EXEC, 0, why)

/* Both roles: locks, the end of a thread, and the last words of an assert. */
static const struct sandbox_allow common[] = {
	SANDBOX_CALL(futex, "locks and condition variables"),
	SANDBOX_CALL(rt_sigreturn, "end of a signal handler"),
	SANDBOX_CALL(rt_sigprocmask, "glibc: end of a thread, abort"),
	SANDBOX_CALL(write, "eventfd to the loop; messages on stderr"),
	SANDBOX_CALL(timerfd_settime, "console burst, RTC alarm"),
	SANDBOX_CALL(clock_gettime, "where the vDSO cannot tell"),
	SANDBOX_CALL(madvise, "glibc: a thread's stack when it ends"),
	SANDBOX_CALL(munmap, "glibc: likewise"),
	NOT_EXECUTABLE(mmap, "malloc: in assert, and on a reset"),
	NOT_EXECUTABLE(mprotect, "malloc: a heap that grows"),
	SANDBOX_ARG(ioctl, 1, ~0u, TCSETSW2_REQUEST,
		    "restore the terminal, glibc 2.42 and newer"),
	SANDBOX_ARG(ioctl, 1, ~0u, TCGETS2_REQUEST, "likewise"),
	SANDBOX_ARG(ioctl, 1, ~0u, TCSETSW, "restore the terminal, dying too"),
	SANDBOX_ARG(ioctl, 1, ~0u, TCGETS, "glibc: likewise; stdio"),
	SANDBOX_CALL(exit, "end of a thread"),
	SANDBOX_CALL(exit_group, "end of the process"),
	SANDBOX_CALL(gettid, "glibc: abort"),
	SANDBOX_CALL(getpid, "glibc: abort"),
	SANDBOX_CALL(restart_syscall, "a wait that a debugger interrupted"),
};

static const struct sandbox_allow loop_only[] = {
	SANDBOX_CALL(io_uring_enter, "the event loop itself"),
	SANDBOX_CALL(pread64, "a reset loads the kernel again; statistics"),
	SANDBOX_CALL(getrandom, "a reset draws new seeds"),
	SANDBOX_CALL(brk, "malloc: a reset unpacks the kernel"),
	SANDBOX_CALL(mremap, "malloc: likewise"),
	SANDBOX_CALL(close, "taking the machine down"),
	SANDBOX_CALL(getrusage, "peak memory for --json-status"),
	SANDBOX_CALL(fstat, "glibc: stdio"),
#ifdef SYS_newfstatat
	SANDBOX_CALL(newfstatat, "glibc: stdio"),
#endif
};

struct rows {
	struct sandbox_allow row[ROWS_MAX];
	size_t nr;
};

static void add(struct rows *r, const struct sandbox_allow *from, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		assert(r->nr < ROWS_MAX);
		r->row[r->nr++] = from[i];
	}
}

/* Requests are 32 bits wide; the kernel ignores what is above. */
static void add_requests(struct rows *r, const struct kvm_request *q)
{
	for (; q->why; q++) {
		struct sandbox_allow a =
			SANDBOX_ARG(ioctl, 1, ~0u, q->request, q->why);

		add(r, &a, 1);
	}
}

/* Signals only to ourselves: to interrupt a vCPU, and for abort. */
static void add_own_signals(struct rows *r)
{
	struct sandbox_allow a = SANDBOX_ARG(tgkill, 0, ~0u, (u32)getpid(),
					     "interrupt a vCPU; abort");

	add(r, &a, 1);
}

static int compile(struct sandbox *s, const char *role,
		   const struct sandbox_allow *own, size_t nr,
		   const struct kvm_request *requests,
		   enum sandbox_action action, struct err *e)
{
	struct rows r = { .nr = 0 };

	add_requests(&r, requests);
	add_own_signals(&r);
	add(&r, common, ARRAY_SIZE(common));
	add(&r, own, nr);
	return sandbox_compile(s, role, r.row, r.nr, action, e);
}

int policy_compile(struct policy *p, enum config_seccomp mode, struct err *e)
{
	enum sandbox_action action =
		mode == SECCOMP_LOG ? SANDBOX_LOG : SANDBOX_KILL;
	int err;

	*p = (struct policy) { .vcpu = { .role = NULL } };
	err = compile(&p->vcpu, "vCPU", NULL, 0, kvm_vcpu_requests, action, e);
	if (!err)
		err = compile(&p->loop, "event loop", loop_only,
			      ARRAY_SIZE(loop_only), kvm_loop_requests, action,
			      e);
	if (err)
		policy_fini(p);
	return err;
}

void policy_fini(struct policy *p)
{
	sandbox_fini(&p->vcpu);
	sandbox_fini(&p->loop);
}
