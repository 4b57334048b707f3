/*
 * Runs a command and prints figures of it on standard output. In the lab host,
 * where an instruction takes a nanosecond, so that times are counts.
 *
 *	measure time COMMAND...		nanoseconds from exec to its end
 *	measure exits COMMAND...	KVM exits, and those of them that went
 *					to user space for MMIO, of all its vCPUs
 *	measure memory SIZE COMMAND...	peak resident bytes outside of mappings
 *					of at least SIZE bytes (the guest's RAM)
 *	measure tasks COMMAND...	of each task of its guest's
 *					(tests/guest/tasks.c), a line: name,
 *					count, instructions of the whole
 *					machine, of the guest, of the command's
 *					own code; KVM exits, and those for MMIO
 *					in user space
 *
 * One of the first three at a time, because counting exits and looking at
 * memory take time of their own. Exits come from the kernel's tracepoints, so
 * they mean the same whatever made the VM; those of tasks from KVM's counters,
 * which count in any case, as the PMU does instructions. The command's standard
 * input is empty, or what the tasks wait for; its output is ours on standard
 * error. Status 1 if it failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EVENTS    "/sys/kernel/tracing/events/kvm/"
#define COUNTERS  "/sys/kernel/debug/kvm/"
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

/* With these as its standard input and output. */
static pid_t start_with(int in, int out, char **argv)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid > 0)
		return pid;
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	execv(argv[0], argv);
	die("%s", argv[0]);
	return -1;
}

static pid_t start(char **argv)
{
	int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
	pid_t pid = start_with(in, STDERR_FILENO, argv);

	close(in);
	return pid;
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

/* What is counted of a task. */
struct figures {
	unsigned long long whole, guest, own, exits, mmio;
};

struct meters {
	int whole, guest, own;
};

static int open_meter(pid_t pid, bool own, bool guest)
{
	struct perf_event_attr a = {
		.type = PERF_TYPE_HARDWARE,
		.size = sizeof(a),
		.config = PERF_COUNT_HW_INSTRUCTIONS,
		.exclude_kernel = own,
		.exclude_guest = own,
		.exclude_host = guest,
		.inherit = own,
	};
	int fd = (int)syscall(SYS_perf_event_open, &a, pid, pid < 0 ? 0 : -1,
			      -1, PERF_FLAG_FD_CLOEXEC);

	if (fd < 0)
		die("perf_event_open");
	return fd;
}

static unsigned long long read_meter(int fd)
{
	unsigned long long n;

	if (read(fd, &n, sizeof(n)) != sizeof(n))
		die("a counter of instructions");
	return n;
}

static unsigned long long read_counter(const char *name)
{
	char path[128];
	unsigned long long n;
	FILE *f;

	snprintf(path, sizeof(path), COUNTERS "%s", name);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%llu", &n) != 1)
		die("%s", path);
	fclose(f);
	return n;
}

static struct figures read_all(const struct meters *m)
{
	return (struct figures) { .exits = read_counter("exits"),
				  .mmio = read_counter("mmio_exit_user"),
				  .own = read_meter(m->own),
				  .guest = read_meter(m->guest),
				  .whole = read_meter(m->whole) };
}

static struct figures minus(struct figures a, struct figures b)
{
	return (struct figures) { .whole = a.whole - b.whole,
				  .guest = a.guest - b.guest,
				  .own = a.own - b.own,
				  .exits = a.exits - b.exits,
				  .mmio = a.mmio - b.mmio };
}

/* Its guest begins a task when it gets a line. */
static void follow_tasks(const struct meters *m, FILE *says, int to)
{
	struct figures begin, task, nothing = { 0 };
	char line[512], name[32], word[8];
	unsigned long long count;

	while (fgets(line, sizeof(line), says)) {
		fputs(line, stderr);
		if (sscanf(line, "%31[a-z0-9-]: %7[a-z], %llu", name, word,
			   &count) < 2)
			continue;
		if (!strcmp(word, "ready")) {
			begin = read_all(m);
			if (write(to, "\n", 1) != 1)
				die("its standard input");
		} else if (!strcmp(word, "done")) {
			task = minus(read_all(m), begin);
			/* The first: what every beginning and end costs. */
			if (!strcmp(name, "nothing"))
				nothing = task;
			task = minus(task, nothing);
			printf("%s %llu %llu %llu %llu %llu %llu\n", name,
			       count, task.whole, task.guest, task.own,
			       task.exits, task.mmio);
		}
	}
}

static void measure_tasks(char **argv)
{
	int in[2], out[2];
	struct meters m;
	pid_t pid;

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		die("pipe");
	/* Counted is what comes after us: our child and its threads. */
	m = (struct meters) { .whole = open_meter(-1, false, false),
			      .guest = open_meter(-1, false, true),
			      .own = open_meter(0, true, false) };
	pid = start_with(in[0], out[1], argv);
	close(in[0]);
	close(out[1]);
	follow_tasks(&m, fdopen(out[0], "r"), in[1]);
	ended(pid, 0);
}

int main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "time")) {
		measure_time(argv + 2);
	} else if (argc > 2 && !strcmp(argv[1], "exits")) {
		measure_exits(argv + 2);
	} else if (argc > 3 && !strcmp(argv[1], "memory")) {
		measure_memory(strtoull(argv[2], NULL, 10), argv + 3);
	} else if (argc > 2 && !strcmp(argv[1], "tasks")) {
		measure_tasks(argv + 2);
	} else {
		fprintf(stderr, "measure: see its first lines for its use\n");
		return 1;
	}
	return 0;
}
