#include <belfry/tty.h>

#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

/* File scope because signal handlers and atexit have nothing else. */
static struct {
	volatile sig_atomic_t raw;
	int fd;
	struct termios before;
} tty;

void tty_restore(void)
{
	if (!tty.raw)
		return;
	tty.raw = 0;
	tcsetattr(tty.fd, TCSADRAIN, &tty.before);
}

static void on_fatal(int sig)
{
	tty_restore();
	/* SA_RESETHAND put the default back: die of it properly. */
	raise(sig);
}

static void restore_when_fatal(void)
{
	/* Those that end a process with a core dump. */
	static const int fatal[] = { SIGSEGV, SIGBUS,  SIGILL,  SIGFPE,
				     SIGABRT, SIGQUIT, SIGTRAP, SIGXCPU };
	struct sigaction sa = { .sa_handler = on_fatal,
				.sa_flags = (int)SA_RESETHAND };

	for (size_t i = 0; i < ARRAY_SIZE(fatal); i++)
		sigaction(fatal[i], &sa, NULL);
}

bool tty_raw(int fd)
{
	struct termios t;

	if (!isatty(fd) || tcgetpgrp(fd) != getpgrp() ||
	    tcgetattr(fd, &tty.before))
		return false;
	t = tty.before;
	t.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR |
				 IGNCR | ICRNL | IXON);
	t.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
	t.c_cflag = (t.c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8;
	t.c_cc[VMIN] = 1;
	t.c_cc[VTIME] = 0;
	tty.fd = fd;
	tty.raw = 1;
	if (tcsetattr(fd, TCSADRAIN, &t)) {
		tty.raw = 0;
		return false;
	}
	restore_when_fatal();
	atexit(tty_restore);
	return true;
}
