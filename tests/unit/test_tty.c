/*
 * The terminal, on a pseudo-terminal: raw while it should be, and itself again
 * however the process ends.
 */
#include "unit.h"

#include <belfry/base.h>
#include <belfry/tty.h>

#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

struct bench {
	int master, slave;
	struct termios before;
};

/* A terminal with unusual settings, so that restoring defaults would show. */
static void bench_init(struct bench *b)
{
	ck_assert_int_eq(openpty(&b->master, &b->slave, NULL, NULL, NULL), 0);
	ck_assert_int_eq(tcgetattr(b->slave, &b->before), 0);
	b->before.c_cc[VINTR] = 'q';
	b->before.c_iflag |= ISTRIP | INLCR;
	b->before.c_lflag |= ECHONL;
	ck_assert_int_eq(tcsetattr(b->slave, TCSANOW, &b->before), 0);
	ck_assert_int_eq(tcgetattr(b->slave, &b->before), 0);
}

static void bench_fini(struct bench *b)
{
	close(b->master);
	close(b->slave);
}

static bool is_raw(const struct bench *b)
{
	struct termios t;

	ck_assert_int_eq(tcgetattr(b->slave, &t), 0);
	return !(t.c_lflag & (ECHO | ECHONL | ICANON | ISIG | IEXTEN)) &&
	       !(t.c_iflag &
		 (ICRNL | INLCR | IGNCR | IXON | ISTRIP | BRKINT)) &&
	       (t.c_cflag & CSIZE) == CS8 && t.c_cc[VMIN] == 1 &&
	       t.c_cc[VTIME] == 0;
}

static bool is_as_before(const struct bench *b)
{
	struct termios t;

	ck_assert_int_eq(tcgetattr(b->slave, &t), 0);
	return t.c_iflag == b->before.c_iflag &&
	       t.c_oflag == b->before.c_oflag &&
	       t.c_cflag == b->before.c_cflag &&
	       t.c_lflag == b->before.c_lflag &&
	       !memcmp(t.c_cc, b->before.c_cc, sizeof(t.c_cc));
}

enum ending {
	BY_RESTORE,
	BY_RESTORE_TWICE,
	BY_EXIT,
	BY_SIGNAL,
};

/* What a process with the terminal as its own does. Exits 0 if all is well. */
static void use_terminal(struct bench *b, enum ending how, int sig)
{
	struct rlimit no_core = { 0 };

	setrlimit(RLIMIT_CORE, &no_core);
	if (login_tty(dup(b->slave)) < 0)
		_exit(10);
	if (!tty_raw(STDIN_FILENO) || !is_raw(b))
		_exit(11);
	switch (how) {
	case BY_EXIT:
		exit(0);
	case BY_SIGNAL:
		raise(sig);
		_exit(12);
	case BY_RESTORE_TWICE:
		tty_restore();
		if (!is_as_before(b))
			_exit(13);
		/* The second must not undo what the operator has set since. */
		b->before.c_cc[VINTR] = 'r';
		tcsetattr(b->slave, TCSANOW, &b->before);
		__attribute__((fallthrough));
	case BY_RESTORE:
		tty_restore();
		_exit(is_as_before(b) ? 0 : 14);
	}
}

static int in_child(struct bench *b, enum ending how, int sig)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (!pid) {
		/* libcheck's and a sanitizer's own handlers are not ours. */
		signal(SIGABRT, SIG_DFL);
		use_terminal(b, how, sig);
		_exit(15);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

START_TEST(restored_when_asked)
{
	struct bench b;

	bench_init(&b);
	ck_assert_int_eq(in_child(&b, BY_RESTORE, 0), 0);
	ck_assert(is_as_before(&b));
	ck_assert_int_eq(in_child(&b, BY_RESTORE_TWICE, 0), 0);
	bench_fini(&b);
}
END_TEST

START_TEST(restored_at_exit)
{
	struct bench b;

	bench_init(&b);
	ck_assert_int_eq(in_child(&b, BY_EXIT, 0), 0);
	ck_assert(is_as_before(&b));
	bench_fini(&b);
}
END_TEST

/* And the process dies of that signal, for whoever waits for it. */
START_TEST(restored_by_a_fatal_signal)
{
	static const int fatal[] = { SIGSEGV, SIGBUS,  SIGILL,  SIGFPE,
				     SIGABRT, SIGQUIT, SIGTRAP, SIGXCPU };

	for (size_t i = 0; i < ARRAY_SIZE(fatal); i++) {
		struct bench b;
		int status;

		bench_init(&b);
		status = in_child(&b, BY_SIGNAL, fatal[i]);
		ck_assert_msg(WIFSIGNALED(status) &&
				      WTERMSIG(status) == fatal[i],
			      "signal %d: status 0x%x", fatal[i], status);
		ck_assert_msg(is_as_before(&b), "signal %d", fatal[i]);
		bench_fini(&b);
	}
}
END_TEST

/* Messages of ours still begin at the left. */
START_TEST(output_is_processed)
{
	struct bench b;
	char got[8] = "";
	int status;
	pid_t pid;

	bench_init(&b);
	pid = fork();
	if (!pid) {
		if (login_tty(dup(b.slave)) < 0 || !tty_raw(STDIN_FILENO) ||
		    write(STDOUT_FILENO, "a\nb", 3) != 3)
			_exit(1);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(read(b.master, got, sizeof(got) - 1), 4);
	ck_assert_str_eq(got, "a\r\nb");
	bench_fini(&b);
}
END_TEST

START_TEST(what_is_no_terminal)
{
	int fd[2];

	ck_assert_int_eq(pipe(fd), 0);
	ck_assert(!tty_raw(fd[0]));
	ck_assert(!tty_raw(-1));
	tty_restore();
	close(fd[0]);
	close(fd[1]);
}
END_TEST

/* A child in a group of its own that is not the terminal's foreground. */
static void be_in_background(struct bench *b)
{
	pid_t pid;
	int status;

	if (login_tty(dup(b->slave)) < 0)
		_exit(20);
	pid = fork();
	if (!pid) {
		setpgid(0, 0);
		if (tty_raw(STDIN_FILENO))
			_exit(21);
		tty_restore();
		_exit(0);
	}
	/* Stopped, it would have touched the terminal. */
	if (waitpid(pid, &status, WUNTRACED) != pid)
		_exit(22);
	if (WIFSTOPPED(status)) {
		kill(pid, SIGKILL);
		_exit(23);
	}
	_exit(WEXITSTATUS(status));
}

START_TEST(in_the_background)
{
	struct bench b;
	int status;
	pid_t pid;

	bench_init(&b);
	pid = fork();
	if (!pid)
		be_in_background(&b);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert(is_as_before(&b));
	bench_fini(&b);
}
END_TEST

/* Somebody else's terminal, even one we may open, is not ours to change. */
START_TEST(a_terminal_that_is_not_ours)
{
	struct bench b;

	bench_init(&b);
	ck_assert(!tty_raw(b.slave));
	ck_assert(is_as_before(&b));
	bench_fini(&b);
}
END_TEST

UNIT_MAIN("tty", restored_when_asked, restored_at_exit,
	  restored_by_a_fatal_signal, output_is_processed, what_is_no_terminal,
	  in_the_background, a_terminal_that_is_not_ours)
