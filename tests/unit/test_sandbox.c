/*
 * Sandboxes: what a filter decides, evaluated; and what happens to a process
 * that oversteps one.
 */
#include "fakes/bpf.h"
#include "unit.h"

#include <belfry/sandbox.h>

#include <errno.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATUS 42

static const struct sandbox_allow rows[] = {
	SANDBOX_CALL(write, "messages"),
	SANDBOX_CALL(exit_group, "the end"),
	SANDBOX_CALL(futex, "locks"),
	SANDBOX_CALL(sigaltstack, "a sanitizer, on the way to _exit"),
	SANDBOX_ARG(ioctl, 1, ~0u, TIOCGWINSZ, "one request"),
	SANDBOX_ARG(ioctl, 1, ~0u, 0x8010aeab, "another, of 32 bits"),
	SANDBOX_ARG(mmap, 2, PROT_EXEC, 0, "memory, not code"),
	SANDBOX_ARG(tgkill, 0, ~0u, 77, "one process"),
	/* Said twice, as two parts of a table may. */
	SANDBOX_CALL(write, "other messages"),
};

static void compile(struct sandbox *s, enum sandbox_action action)
{
	struct err e = { 0 };

	ck_assert_msg(!sandbox_compile(s, "test", rows, ARRAY_SIZE(rows),
				       action, &e),
		      "%s", e.msg);
	ck_assert_uint_gt(s->len, 0);
	ck_assert_str_eq(s->role, "test");
}

START_TEST(verdicts)
{
	static const struct {
		int nr;
		u64 args[6];
		bool allowed;
	} cases[] = {
		{ SYS_write, { 0 }, true },
		{ SYS_write, { ~0ull, ~0ull, ~0ull }, true },
		{ SYS_read, { 0 }, false },
		{ SYS_openat, { 0 }, false },
		{ SYS_execve, { 0 }, false },
		{ -1, { 0 }, false },
		{ 100000, { 0 }, false },
		{ SYS_ioctl, { 5, TIOCGWINSZ }, true },
		{ SYS_ioctl, { 5, TIOCSTI }, false },
		{ SYS_ioctl, { TIOCGWINSZ, 0, TIOCGWINSZ }, false },
		{ SYS_ioctl, { 5, 0x8010aeab }, true },
		/* The kernel ignores what is above 32 bits of a request. */
		{ SYS_ioctl, { 5, 0xffffffff8010aeab }, true },
		{ SYS_ioctl, { 5, 0x8010aeaa }, false },
		{ SYS_ioctl, { 5, 0x0010aeab }, false },
		{ SYS_mmap, { 0, 4096, PROT_READ | PROT_WRITE }, true },
		{ SYS_mmap, { 0, 4096, PROT_READ | PROT_EXEC }, false },
		{ SYS_mmap, { 0, 4096, PROT_EXEC }, false },
		{ SYS_mmap, { 0, PROT_EXEC, PROT_NONE }, true },
		{ SYS_tgkill, { 77, 78, 9 }, true },
		{ SYS_tgkill, { 78, 77, 9 }, false },
	};
	struct sandbox s;

	compile(&s, SANDBOX_KILL);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		u32 want =
			cases[i].allowed ? SECCOMP_RET_ALLOW : SECCOMP_RET_TRAP;

		ck_assert_msg(bpf_verdict(s.program, s.len, cases[i].nr,
					  cases[i].args) == want,
			      "case %zu", i);
	}
	sandbox_fini(&s);
	sandbox_fini(&s);
}
END_TEST

START_TEST(verdicts_that_only_log)
{
	static const u64 none[6];
	struct sandbox s;

	compile(&s, SANDBOX_LOG);
	ck_assert_uint_eq(bpf_verdict(s.program, s.len, SYS_write, none),
			  SECCOMP_RET_ALLOW);
	ck_assert_uint_eq(bpf_verdict(s.program, s.len, SYS_openat, none),
			  SECCOMP_RET_LOG);
	sandbox_fini(&s);
}
END_TEST

START_TEST(rows_that_make_no_sense)
{
	/* There is no seventh argument. */
	static const struct sandbox_allow bad[] = {
		SANDBOX_ARG(write, 6, ~0u, 0, "nonsense"),
	};
	struct sandbox s;
	struct err e = { 0 };

	ck_assert_int_lt(sandbox_compile(&s, "odd", bad, 1, SANDBOX_KILL, &e),
			 0);
	ck_assert_int_lt(e.code, 0);
	ck_assert_msg(strstr(e.msg, "the odd thread"), "%s", e.msg);
	ck_assert_ptr_null(s.program);
}
END_TEST

static void cleanup(void)
{
	if (write(STDERR_FILENO, "cleaned up\n", 11) < 0)
		_exit(1);
}

static void confine(const char *role, enum sandbox_action action)
{
	struct sandbox s;
	struct err e = { 0 };

	if (sandbox_compile(&s, role, rows, ARRAY_SIZE(rows), action, &e) ||
	    sandbox_enter(&s, &e)) {
		fprintf(stderr, "%s\n", e.msg);
		_exit(1);
	}
}

/*
 * Run @child in a process of its own that has the violation handler. Its
 * status; what it wrote to standard error in @said.
 */
static int in_child(void (*child)(void), char *said, size_t size)
{
	size_t len = 0;
	ssize_t n;
	int fd[2], status;
	pid_t pid;

	ck_assert_int_eq(pipe(fd), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid) {
		dup2(fd[1], STDERR_FILENO);
		sandbox_on_violation(STATUS, cleanup);
		child();
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

static void oversteps(void)
{
	confine("sinner", SANDBOX_KILL);
	syscall(SYS_getppid);
}

static void oversteps_an_ioctl(void)
{
	confine("sinner", SANDBOX_KILL);
	ioctl(0, 0xabcd1234, 0);
}

static void keeps_to_it(void)
{
	struct winsize size;

	confine("saint", SANDBOX_KILL);
	ioctl(0, TIOCGWINSZ, &size);
	if (write(STDERR_FILENO, "fine\n", 5) < 0)
		_exit(1);
}

static void only_logs(void)
{
	confine("free", SANDBOX_LOG);
	_exit(syscall(SYS_getppid) > 0 ? 7 : 8);
}

START_TEST(a_violation_ends_the_process)
{
	char said[1024];
	int status = in_child(oversteps, said, sizeof(said));

	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == STATUS,
		      "status 0x%x: %s", status, said);
	ck_assert_msg(strstr(said,
			     "the sinner thread made the system call getppid"),
		      "%s", said);
	ck_assert_msg(!strstr(said, "request"), "%s", said);
	/* The message ends its line, and cleanup comes after it. */
	ck_assert_msg(strstr(said, ")\ncleaned up\n"), "%s", said);
}
END_TEST

START_TEST(a_violation_names_the_request)
{
	char said[1024];
	int status = in_child(oversteps_an_ioctl, said, sizeof(said));

	ck_assert_int_eq(WEXITSTATUS(status), STATUS);
	ck_assert_msg(strstr(said, "system call ioctl") &&
			      strstr(said, "request 0xabcd1234"),
		      "%s", said);
}
END_TEST

START_TEST(what_is_allowed_goes_through)
{
	char said[1024];

	ck_assert_int_eq(in_child(keeps_to_it, said, sizeof(said)), 0);
	ck_assert_str_eq(said, "fine\n");
}
END_TEST

START_TEST(logging_lets_pass)
{
	char said[1024];
	int status = in_child(only_logs, said, sizeof(said));

	ck_assert_int_eq(WEXITSTATUS(status), 7);
	ck_assert_str_eq(said, "");
}
END_TEST

/* A confined thread, which then waits until it is told to go on. */
struct inner {
	pthread_mutex_t go;
	int ready[2];
};

static void *inner_main(void *arg)
{
	struct inner *in = arg;

	confine("inner", SANDBOX_KILL);
	if (write(in->ready[1], "", 1) == 1)
		pthread_mutex_lock(&in->go);
	syscall(SYS_getppid);
	return NULL;
}

/* Both are confined before either oversteps. */
static void with_inner_thread(bool inner_sins)
{
	struct inner in = { .go = PTHREAD_MUTEX_INITIALIZER };
	pthread_t t;
	char c;

	pthread_mutex_lock(&in.go);
	if (pipe(in.ready) || pthread_create(&t, NULL, inner_main, &in) ||
	    read(in.ready[0], &c, 1) != 1)
		_exit(1);
	/* Still free: only the other thread is confined. */
	if (syscall(SYS_getppid) < 0)
		_exit(2);
	confine("outer", SANDBOX_KILL);
	if (!inner_sins)
		syscall(SYS_getppid);
	pthread_mutex_unlock(&in.go);
	pthread_join(t, NULL);
}

static void inner_oversteps(void)
{
	with_inner_thread(true);
}

static void outer_oversteps(void)
{
	with_inner_thread(false);
}

START_TEST(each_thread_has_its_role)
{
	char said[1024];
	int status = in_child(inner_oversteps, said, sizeof(said));

	ck_assert_int_eq(WEXITSTATUS(status), STATUS);
	ck_assert_msg(strstr(said, "the inner thread made"), "%s", said);
	status = in_child(outer_oversteps, said, sizeof(said));
	ck_assert_int_eq(WEXITSTATUS(status), STATUS);
	ck_assert_msg(strstr(said, "the outer thread made"), "%s", said);
}
END_TEST

UNIT_MAIN("sandbox", verdicts, verdicts_that_only_log, rows_that_make_no_sense,
	  a_violation_ends_the_process, a_violation_names_the_request,
	  what_is_allowed_goes_through, logging_lets_pass,
	  each_thread_has_its_role)
