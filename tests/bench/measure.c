/*
 * Runs a command and prints one figure of it on standard output. In the lab
 * host, where an instruction takes a nanosecond, so that times are counts.
 *
 *	measure time COMMAND...		nanoseconds from exec to its end
 *	measure exits COMMAND...	KVM exits, and those of them that went
 *to user space for MMIO, of all its vCPUs measure memory SIZE COMMAND...
 *peak resident bytes outside of mappings of at least SIZE bytes (the guest's
 *RAM)
 *
 * One figure at a time, because counting exits and looking at memory take time
 * of their own. Exits come from the kernel's tracepoints, so they mean the same
 * whatever made the VM. The command's standard input is empty, its output ours
 * on standard error. Status 1 if it failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EVENTS    "/sys/kernel/tracing/events/kvm/"
#define SAMPLE_US 2000

static void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "measure: ");
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, ": %s\n", strerror(errno));
	va_end(ap);
	exit(1);
}

static unsigned long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (unsigned long long)t.tv_sec * 1000000000 +
	       (unsigned long long)t.tv_nsec;
}

static pid_t start(char **argv)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid > 0)
		return pid;
	dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	execv(argv[0], argv);
	die("%s", argv[0]);
	return -1;
}

/* True once it has ended; it must have ended well. */
static bool ended(pid_t pid, int flags)
{
	int status;
	pid_t got = waitpid(pid, &status, flags);

	if (got == 0)
		return false;
	if (got != pid || !WIFEXITED(status) || WEXITSTATUS(status)) {
		errno = ECHILD;
		die("the command failed (wait status 0x%x)", status);
	}
	return true;
}

static void measure_time(char **argv)
{
	unsigned long long begin = now();

	ended(start(argv), 0);
	printf("%llu\n", now() - begin);
}

/* Write a word to an event's file; true if the kernel took it. */
static bool event_write(const char *event, const char *file, const char *word)
{
	char path[256];
	int fd;
	bool good;

	snprintf(path, sizeof(path), EVENTS "%s/%s", event, file);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return false;
	good = write(fd, word, strlen(word)) == (ssize_t)strlen(word);
	close(fd);
	return good;
}

/* All hits that an event's histogram has counted. */
static unsigned long long event_hits(const char *event)
{
	char path[256], line[256];
	unsigned long long hits, all = 0;
	FILE *f;

	snprintf(path, sizeof(path), EVENTS "%s/hist", event);
	f = fopen(path, "r");
	if (!f)
		die("%s", path);
	while (fgets(line, sizeof(line), f)) {
		char *at = strstr(line, "hitcount:");

		if (at && sscanf(at, "hitcount: %llu", &hits) == 1)
			all += hits;
	}
	fclose(f);
	return all;
}

static void measure_exits(char **argv)
{
	/* KVM_EXIT_MMIO is 6 */
	static const char *const counters[][2] = {
		{ "kvm_exit", "hist:keys=ret" },
		{ "kvm_userspace_exit", "hist:keys=reason if reason == 6" },
	};
	unsigned long long hits[2];
	char undo[64];

	for (int i = 0; i < 2; i++)
		if (!event_write(counters[i][0], "trigger", counters[i][1]))
			die("trigger of %s", counters[i][0]);
	ended(start(argv), 0);
	for (int i = 0; i < 2; i++) {
		hits[i] = event_hits(counters[i][0]);
		snprintf(undo, sizeof(undo), "!%s", counters[i][1]);
		event_write(counters[i][0], "trigger", undo);
	}
	printf("%llu %llu\n", hits[0], hits[1]);
}

/* Resident KiB of @pid outside of mappings of @size KiB and more. */
static unsigned long long resident(pid_t pid, unsigned long long size)
{
	unsigned long long kib, mapping = 0, all = 0;
	char path[64], line[512];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Size: %llu kB", &kib) == 1)
			mapping = kib;
		else if (sscanf(line, "Rss: %llu kB", &kib) == 1 &&
			 mapping < size)
			all += kib;
	}
	if (f)
		fclose(f);
	return all;
}

static void measure_memory(unsigned long long size, char **argv)
{
	unsigned long long peak = 0;
	pid_t pid = start(argv);

	while (!ended(pid, WNOHANG)) {
		unsigned long long kib = resident(pid, size / 1024);

		if (kib > peak)
			peak = kib;
		usleep(SAMPLE_US);
	}
	printf("%llu\n", peak * 1024);
}

int main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "time")) {
		measure_time(argv + 2);
	} else if (argc > 2 && !strcmp(argv[1], "exits")) {
		measure_exits(argv + 2);
	} else if (argc > 3 && !strcmp(argv[1], "memory")) {
		measure_memory(strtoull(argv[2], NULL, 10), argv + 3);
	} else {
		fprintf(stderr, "measure: see its first lines for its use\n");
		return 1;
	}
	return 0;
}
