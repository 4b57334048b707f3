/*
 * talk [-t] STEP ARGUMENT... -- COMMAND...
 *
 * Runs a command and talks to it: by pipes, or with -t on a terminal of its
 * own. What the command prints is printed; its stderr is ours. The steps, in
 * order:
 *
 *	wait REGEX	until it has printed this (after what was waited for
 *			before)
 *	send TEXT	as printf(1) understands it: \n, \r, \001
 *	eof -		close its stdin
 *	pause MS	do nothing for so long
 *	kill SIGNAL	by number
 *	sh COMMANDS	done by the shell, well; its output is ours
 *	mode raw	its terminal is in this mode, or "cooked": checked
 *
 * Ends as the command does: with its status, or 128 and the signal. With
 * status 99 and a word why, if a step failed or the command left its terminal
 * otherwise than it found it.
 */
#include <belfry/base.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define SEEN_MAX (1 << 20)

struct talk {
	bool tty;
	int in, out; /* our ends of its stdin and stdout */
	int slave;   /* its terminal, or -1 */
	struct termios before;
	pid_t pid;
	int pidfd;
	bool ended; /* the command has ended, and all it said is here */
	char seen[SEEN_MAX]; /* all that it printed */
	size_t len, from;    /* from: not yet waited for */
};

static void die(const char *why, const char *what)
{
	fprintf(stderr, "talk: %s%s\n", why, what);
	exit(99);
}

static void check(bool good, const char *what)
{
	if (!good)
		die(what, strerror(errno));
}

/* --- the command --- */

static void child(struct talk *t, int in, int out, char **command)
{
	setsid();
	if (t->tty)
		check(!ioctl(in, TIOCSCTTY, 0), "TIOCSCTTY: ");
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	closefrom(3);
	/* A shell has its background jobs ignore it. */
	signal(SIGINT, SIG_DFL);
	execvp(command[0], command);
	die("cannot run ", command[0]);
}

static void launch(struct talk *t, char **command)
{
	int in[2], out[2];

	t->slave = -1;
	if (t->tty) {
		check(!openpty(&t->in, &t->slave, NULL, NULL, NULL),
		      "openpty: ");
		check(!tcgetattr(t->slave, &t->before), "tcgetattr: ");
		t->out = t->in;
		in[0] = out[1] = t->slave;
	} else {
		check(!pipe(in) && !pipe(out), "pipe: ");
		t->in = in[1];
		t->out = out[0];
	}
	t->pid = fork();
	check(t->pid >= 0, "fork: ");
	if (!t->pid)
		child(t, in[0], out[1], command);
	if (!t->tty) {
		close(in[0]);
		close(out[1]);
	}
	t->pidfd = (int)syscall(SYS_pidfd_open, t->pid, 0);
	check(t->pidfd >= 0, "pidfd_open: ");
	fcntl(t->out, F_SETFL, O_NONBLOCK);
}

/* Take what it printed; false if there is nothing more now. */
static bool take_output(struct talk *t)
{
	size_t room = sizeof(t->seen) - 1 - t->len;
	ssize_t n = read(t->out, t->seen + t->len, room);

	if (!room)
		die("the command prints too much", "");
	if (n <= 0)
		return false;
	/* A regular expression ends at a zero. */
	for (char *c = t->seen + t->len; c < t->seen + t->len + n; c++)
		if (!*c)
			*c = '?';
	check(write(STDOUT_FILENO, t->seen + t->len, (size_t)n) == n,
	      "stdout: ");
	t->len += (size_t)n;
	t->seen[t->len] = '\0';
	return true;
}

/* Follow the command for @ms, or until something happens if that is -1. */
static void follow(struct talk *t, int ms)
{
	struct pollfd p[] = { { .fd = t->out, .events = POLLIN },
			      { .fd = t->pidfd, .events = POLLIN } };

	if (poll(p, ARRAY_SIZE(p), ms) < 0 && errno != EINTR)
		check(false, "poll: ");
	while (take_output(t))
		;
	t->ended = p[1].revents;
}

/* --- the steps --- */

static void do_wait(struct talk *t, const char *arg)
{
	regmatch_t m;
	regex_t re;

	if (regcomp(&re, arg, REG_EXTENDED | REG_NEWLINE))
		die("no regular expression: ", arg);
	while (regexec(&re, t->seen + t->from, 1, &m, 0)) {
		if (t->ended)
			die("the command ended without ", arg);
		follow(t, -1);
	}
	t->from += (size_t)m.rm_eo;
	regfree(&re);
}

/* The byte that @s begins with, perhaps escaped; @s moves behind it. */
static char next_byte(const char **s)
{
	char c = *(*s)++;

	if (c != '\\')
		return c;
	c = *(*s)++;
	switch (c) {
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case '0':
		return (char)strtol(*s - 1, (char **)(uintptr_t)s, 8);
	default:
		return c;
	}
}

static void do_send(struct talk *t, const char *arg)
{
	while (*arg) {
		char c = next_byte(&arg);

		while (write(t->in, &c, 1) != 1) {
			check(errno == EAGAIN, "its stdin: ");
			follow(t, 100);
		}
	}
}

static void do_eof(struct talk *t, const char *arg)
{
	close(t->in);
	t->in = -1;
}

static void do_pause(struct talk *t, const char *arg)
{
	int ms = atoi(arg);
	struct timespec start, now;
	int left = ms;

	clock_gettime(CLOCK_MONOTONIC, &start);
	while (left > 0 && !t->ended) {
		follow(t, left);
		clock_gettime(CLOCK_MONOTONIC, &now);
		left = ms - (int)((now.tv_sec - start.tv_sec) * 1000 +
				  (now.tv_nsec - start.tv_nsec) / 1000000);
	}
}

static void do_kill(struct talk *t, const char *arg)
{
	check(!kill(t->pid, atoi(arg)), "kill: ");
}

static void do_sh(struct talk *t, const char *arg)
{
	if (system(arg))
		die("this failed: ", arg);
}

static void do_mode(struct talk *t, const char *arg)
{
	struct termios now;
	bool raw;

	check(!tcgetattr(t->slave, &now), "tcgetattr: ");
	raw = !(now.c_lflag & (ICANON | ECHO | ISIG));
	if (raw != !strcmp(arg, "raw"))
		die("the terminal is not ", arg);
}

static const struct {
	const char *name;
	void (*run)(struct talk *t, const char *arg);
} steps[] = {
	{ "wait", do_wait },   { "send", do_send }, { "eof", do_eof },
	{ "pause", do_pause }, { "kill", do_kill }, { "sh", do_sh },
	{ "mode", do_mode },
};

static void run_step(struct talk *t, const char *name, const char *arg)
{
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		if (!strcmp(steps[i].name, name)) {
			steps[i].run(t, arg);
			return;
		}
	die("there is no step ", name);
}

static bool alike(const struct termios *a, const struct termios *b)
{
	return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag &&
	       a->c_cflag == b->c_cflag && a->c_lflag == b->c_lflag &&
	       !memcmp(a->c_cc, b->c_cc, sizeof(a->c_cc));
}

static int finish(struct talk *t)
{
	struct termios now;
	int status;

	while (!t->ended)
		follow(t, -1);
	check(waitpid(t->pid, &status, 0) == t->pid, "waitpid: ");
	if (t->tty) {
		check(!tcgetattr(t->slave, &now), "tcgetattr: ");
		if (!alike(&now, &t->before))
			die("the terminal is not as it was", "");
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
	static struct talk t;
	char **command = argv + 1;

	while (*command && strcmp(*command, "--"))
		command++;
	if (!*command || !*++command)
		die("usage: talk [-t] STEP ARGUMENT... -- COMMAND...", "");
	signal(SIGPIPE, SIG_IGN);
	argv++;
	if (!strcmp(*argv, "-t")) {
		t.tty = true;
		argv++;
	}
	launch(&t, command);
	for (; argv + 2 < command; argv += 2)
		run_step(&t, argv[0], argv[1]);
	return finish(&t);
}
