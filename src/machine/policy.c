#include "policy.h"

#include <belfry/iommufd.h>
#include <belfry/kvm.h>
#include <belfry/tap.h>
#include <belfry/vfio.h>

#include <assert.h>
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ROWS_MAX 96

/* The C library's headers hide struct termios2, so spelled out. */
#define TCGETS2_REQUEST  0x802c542a
#define TCSETSW2_REQUEST 0x402c542c

/* Memory may be had, but never to run code from. */
#define NOT_EXECUTABLE(call, why) SANDBOX_ARG(call, 2, PROT_EXEC, 0, why)

/* Both roles: locks, the end of a thread, and the last words of an assert. */
static const struct sandbox_allow common[] = {
	SANDBOX_CALL(futex, "locks and condition variables"),
	SANDBOX_CALL(rt_sigreturn, "end of a signal handler"),
	SANDBOX_CALL(rt_sigprocmask,
		     "hearing signals; glibc: end of a thread, abort"),
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
	SANDBOX_ARG(lseek, 2, ~0u, SEEK_CUR, "a console that is a file"),
	SANDBOX_ARG(lseek, 2, ~0u, SEEK_SET, "likewise"),
	SANDBOX_CALL(fstat, "glibc: stdio"),
#ifdef SYS_newfstatat
	SANDBOX_CALL(newfstatat, "glibc: stdio"),
#endif
};

/* Only where the guest has such devices. */
static const struct sandbox_allow for_drives[] = {
	SANDBOX_ARG(lseek, 2, ~0u, SEEK_END, "a drive's size may change"),
};

static const struct sandbox_allow for_nets[] = {
	SANDBOX_CALL(readv, "frames from the host's network"),
	SANDBOX_CALL(writev, "frames to it"),
	SANDBOX_CALL(ppoll, "is the interface up?"),
};

static const struct sandbox_allow for_vfio[] = {
	SANDBOX_CALL(pread64, "hardware's registers and configuration space"),
	SANDBOX_CALL(pwrite64, "likewise"),
	SANDBOX_CALL(ppoll, "messages held back where no table can be masked"),
};

static const struct sandbox_allow for_vfio_loop[] = {
	SANDBOX_CALL(read, "events of an SMMU of the host's"),
};

static const struct sandbox_allow for_own_irqchip[] = {
	SANDBOX_CALL(sched_yield, "until other vCPUs are out of the guest"),
};

static const struct sandbox_allow for_hvc[] = {
	SANDBOX_ARG(ioctl, 1, ~0u, TIOCGWINSZ, "the size of a terminal"),
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
static void add_request(struct rows *r, unsigned long request, const char *why)
{
	struct sandbox_allow a = SANDBOX_ARG(ioctl, 1, ~0u, request, why);

	add(r, &a, 1);
}

static void add_requests(struct rows *r, const struct kvm_request *q)
{
	for (; q->why; q++)
		add_request(r, q->request, q->why);
}

/* Signals only to ourselves: to interrupt a vCPU, and for abort. */
static void add_own_signals(struct rows *r)
{
	struct sandbox_allow a = SANDBOX_ARG(tgkill, 0, ~0u, (u32)getpid(),
					     "interrupt a vCPU; abort");

	add(r, &a, 1);
}

static void add_devices(struct rows *r, const struct config *c)
{
	if (c->drives_nr)
		add(r, for_drives, ARRAY_SIZE(for_drives));
	if (c->hvc != HVC_OFF)
		add(r, for_hvc, ARRAY_SIZE(for_hvc));
	if (!c->nets_nr)
		return;
	add(r, for_nets, ARRAY_SIZE(for_nets));
	for (const unsigned long *q = tap_requests; *q; q++)
		add_request(r, *q, "what a network driver agrees on");
}

/* Either thread may be the one that a driver's or a reset's doing is on. */
static void add_vfio(struct rows *r)
{
	add_requests(r, kvm_window_requests);
	for (const unsigned long *q = vfio_requests; *q; q++)
		add_request(r, *q, "what a driver does to hardware");
	for (const unsigned long *q = iommufd_requests; *q; q++)
		add_request(r, *q, "what a driver does to its SMMU");
	add(r, for_vfio, ARRAY_SIZE(for_vfio));
}

/* What both roles have. */
static void add_common(struct rows *r, const struct config *c,
		       const struct kvm_request *requests)
{
	add_requests(r, requests);
	if (c->irqchip == IRQCHIP_SPLIT)
		add_requests(r, kvm_split_requests);
	if (c->irqchip != IRQCHIP_KERNEL)
		add(r, for_own_irqchip, ARRAY_SIZE(for_own_irqchip));
	if (c->vfios_nr)
		add_vfio(r);
	add_own_signals(r);
	add(r, common, ARRAY_SIZE(common));
}

int policy_compile(struct policy *p, const struct config *c, struct err *e)
{
	enum sandbox_action action =
		c->seccomp == SECCOMP_LOG ? SANDBOX_LOG : SANDBOX_KILL;
	struct rows vcpu = { .nr = 0 }, loop = { .nr = 0 };
	int err;

	*p = (struct policy) { .vcpu = { .role = NULL } };
	add_common(&vcpu, c, kvm_vcpu_requests);
	if (c->irqchip == IRQCHIP_USER)
		add_requests(&vcpu, kvm_user_requests);
	add_common(&loop, c, kvm_loop_requests);
	add(&loop, loop_only, ARRAY_SIZE(loop_only));
	add_devices(&loop, c);
	if (c->vfios_nr)
		add(&loop, for_vfio_loop, ARRAY_SIZE(for_vfio_loop));
	err = sandbox_compile(&p->vcpu, "vCPU", vcpu.row, vcpu.nr, action, e);
	if (!err)
		err = sandbox_compile(&p->loop, "event loop", loop.row, loop.nr,
				      action, e);
	if (err)
		policy_fini(p);
	return err;
}

void policy_fini(struct policy *p)
{
	sandbox_fini(&p->vcpu);
	sandbox_fini(&p->loop);
}
