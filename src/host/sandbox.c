#include <belfry/sandbox.h>

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

/* Generated from the headers: a signal handler can look nothing else up. */
static const char *const syscall_names[] = {
#include "syscall_names.h"
};

/* What the SIGSYS handler must find: it is told only what was tried. */
static struct {
	int exit_status;
	void (*cleanup)(void);
} violation;
static _Thread_local const char *my_role;

/* The second argument of the system call that was refused. */
static unsigned long second_argument(const ucontext_t *uc)
{
#ifdef __aarch64__
	return uc->uc_mcontext.regs[1];
#else
	return (unsigned long)uc->uc_mcontext.gregs[REG_RSI];
#endif
}

/* snprintf of plain numbers and strings allocates nothing in glibc. */
static void on_violation(int sig, siginfo_t *info, void *context)
{
	unsigned nr = (unsigned)info->si_syscall;
	const char *name =
		nr < ARRAY_SIZE(syscall_names) ? syscall_names[nr] : NULL;
	char msg[256], request[64] = "";
	int len;

	(void)sig;
	if (nr == SYS_ioctl)
		snprintf(request, sizeof(request), " with request 0x%lx",
			 second_argument(context));
	len = snprintf(
		msg, sizeof(msg),
		"belfry: error: sandbox: the %s thread made the system call %s (%u)%s, which its role does not allow; if this is no attack, please report it (--seccomp log lets it pass)\n",
		my_role ? my_role : "?", name ? name : "?", nr, request);
	if (write(STDERR_FILENO, msg, (size_t)len) < 0)
		len = 0;
	if (violation.cleanup)
		violation.cleanup();
	_exit(violation.exit_status);
}

void sandbox_on_violation(int exit_status, void (*cleanup)(void))
{
	struct sigaction sa = { .sa_sigaction = on_violation,
				.sa_flags = SA_SIGINFO };

	sigset_t sys;

	violation.exit_status = exit_status;
	violation.cleanup = cleanup;
	sigaction(SIGSYS, &sa, NULL);
	/* Whoever started us may have blocked it. */
	sigemptyset(&sys);
	sigaddset(&sys, SIGSYS);
	pthread_sigmask(SIG_UNBLOCK, &sys, NULL);
}

static int add_row(scmp_filter_ctx ctx, const struct sandbox_allow *a)
{
	struct scmp_arg_cmp cmp = { .arg = a->arg,
				    .op = SCMP_CMP_MASKED_EQ,
				    .datum_a = a->mask,
				    .datum_b = a->value };

	return seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, a->nr,
				      a->checked ? 1 : 0, &cmp);
}

/* libseccomp writes to a descriptor only; a memfd takes it. */
static int export(scmp_filter_ctx ctx, struct sandbox *s)
{
	int fd = memfd_create("seccomp", MFD_CLOEXEC);
	struct stat st;
	int err;

	if (fd < 0)
		return -errno;
	err = seccomp_export_bpf(ctx, fd);
	if (err)
		goto out;
	err = -EIO;
	if (fstat(fd, &st))
		goto out;
	s->program = malloc((size_t)st.st_size);
	if (!s->program ||
	    pread(fd, s->program, (size_t)st.st_size, 0) != st.st_size)
		goto out;
	s->len = (u16)((size_t)st.st_size / sizeof(struct sock_filter));
	err = 0;
out:
	close(fd);
	return err;
}

int sandbox_compile(struct sandbox *s, const char *role,
		    const struct sandbox_allow *rows, size_t nr,
		    enum sandbox_action action, struct err *e)
{
	scmp_filter_ctx ctx = seccomp_init(
		action == SANDBOX_LOG ? SCMP_ACT_LOG : SCMP_ACT_TRAP);
	int err = ctx ? 0 : -ENOMEM;

	*s = (struct sandbox) { .role = role };
	for (size_t i = 0; !err && i < nr; i++) {
		err = add_row(ctx, &rows[i]);
		if (err == -EEXIST)
			err = 0;
	}
	/* What a running guest calls most is looked at first. */
	if (!err)
		err = seccomp_syscall_priority(ctx, SCMP_SYS(ioctl), 255);
	if (!err)
		err = export(ctx, s);
	seccomp_release(ctx);
	if (!err)
		return 0;
	sandbox_fini(s);
	return err_set(
		e, err,
		"sandbox: cannot compile the filter of the %s thread: %s", role,
		strerror(-err));
}

void sandbox_fini(struct sandbox *s)
{
	free(s->program);
	s->program = NULL;
}

int sandbox_enter(const struct sandbox *s, struct err *e)
{
	struct sock_fprog prog = { .len = s->len, .filter = s->program };

	my_role = s->role;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog))
		return err_set(
			e, -errno,
			"sandbox: seccomp: %s: the host's kernel lacks CONFIG_SECCOMP_FILTER? --seccomp off runs without",
			strerror(errno));
	return 0;
}
