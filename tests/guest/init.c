/*
 * The guest's first and only program. The kernel's command line says what it
 * does: belfry.test=NAME[,ARGUMENT]. It ends with the line "NAME: ok" or
 * "NAME: FAILED", and the guest powers off.
 */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

bool wrong(const char *fmt, ...)
{
	va_list ap;

	printf("wrong: ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	return false;
}

bool file_get(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, buf, size - 1);
	close(fd);
	if (n < 0)
		return false;
	if (n > 0 && buf[n - 1] == '\n')
		n--;
	buf[n] = '\0';
	return true;
}

bool file_put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t len = (ssize_t)strlen(text);
	bool done;

	if (fd < 0)
		return false;
	done = write(fd, text, (size_t)len) == len;
	close(fd);
	return done;
}

bool kernel_said(const char *text)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	bool found = false;
	char record[8192];
	ssize_t n = 1;

	if (fd < 0)
		return wrong("/dev/kmsg: %s", strerror(errno));
	while (!found && n > 0) {
		n = read(fd, record, sizeof(record) - 1);
		record[n > 0 ? n : 0] = '\0';
		found = strstr(record, text);
	}
	close(fd);
	return found;
}

static bool test_hello(const char *arg)
{
	say("hello from the guest%s%s", *arg ? ", " : "", arg);
	return true;
}

/* A guest does not remember its earlier boots, so it asks. */
static bool test_reboot(const char *arg)
{
	char answer[16] = "";

	say("reboot: shall I?");
	if (!fgets(answer, sizeof(answer), stdin))
		return wrong("no answer: %s", strerror(errno));
	if (!strcmp(answer, "yes\n"))
		reboot(RB_AUTOBOOT);
	return !strcmp(answer, "no\n") || wrong("answer: %s", answer);
}

/* The kernel panics when its first process ends. */
static bool test_panic(const char *arg)
{
	_exit(3);
}

static bool test_hang(const char *arg)
{
	say("hanging");
	pause();
	return wrong("woken");
}

static const struct {
	const char *name;
	bool (*run)(const char *arg);
} tests[] = {
	{ "hello", test_hello },   /* say so */
	{ "reboot", test_reboot }, /* as often as one answers yes */
	{ "panic", test_panic },
	{ "hang", test_hang },
	{ "echo", test_echo },   /* give back lines, up to "quit" */
	{ "count", test_count }, /* the same, only counting them */
	{ "spew", test_spew },   /* N lines of 64 characters */
	{ "cpus", test_cpus },   /* there are N, and each works */
	{ "interrupts", test_interrupts },
	{ "features", test_features }, /* say what the CPUs can do */
	{ "pmu", test_pmu },
	{ "mem", test_mem },           /* there are N MiB */
	{ "scribble", test_scribble }, /* over addresses with nothing there */
	{ "rtc", test_rtc },           /* it is N seconds since 1970 */
	{ "suspend", test_suspend },   /* deep or s2idle */
};

static void mount_all(void)
{
	static const char *const fs[][2] = { { "proc", "/proc" },
					     { "sysfs", "/sys" },
					     { "devtmpfs", "/dev" } };

	for (size_t i = 0; i < ARRAY_SIZE(fs); i++) {
		mkdir(fs[i][1], 0755);
		if (mount(fs[i][0], fs[i][1], fs[i][0], 0, NULL))
			wrong("mount %s: %s", fs[i][1], strerror(errno));
	}
}

/* What the command line asks for, as NAME and ARGUMENT. */
static void chosen_test(char *buf, size_t size, char **arg)
{
	static const char key[] = "belfry.test=";
	char *word;

	*arg = "";
	if (!file_get("/proc/cmdline", buf, size)) {
		strcpy(buf, "no /proc/cmdline");
		return;
	}
	word = strstr(buf, key);
	if (!word) {
		strcpy(buf, "hello");
		return;
	}
	memmove(buf, word + strlen(key), strlen(word + strlen(key)) + 1);
	buf[strcspn(buf, " ")] = '\0';
	word = strchr(buf, ',');
	if (word) {
		*word = '\0';
		*arg = word + 1;
	}
}

static bool run_test(const char *name, const char *arg)
{
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
		if (!strcmp(tests[i].name, name))
			return tests[i].run(arg);
	return wrong("there is no such test");
}

int main(void)
{
	char name[4096], *arg;
	bool ok;

	mount_all();
	chosen_test(name, sizeof(name), &arg);
	ok = run_test(name, arg);
	say("%s: %s", name, ok ? "ok" : "FAILED");
	/* A power-off does not wait for what the UART has not sent. */
	tcdrain(STDOUT_FILENO);
	reboot(RB_POWER_OFF);
	return 1;
}
