/*
 * Runs a command and prints figures of it on standard output. In the lab host,
 * where an instruction takes a nanosecond, so that times are counts.
 *
 *	measure time COMMAND...		nanoseconds from exec to its end
 *	measure exits COMMAND...	KVM exits, and those of them that went
 *					to user space for MMIO, of all its vCPUs
 *	measure lines COMMAND...	each line of its output, behind the
 *					nanoseconds since exec and the whole
 *					machine's instructions meanwhile, which
 *					are fewer, as waiting is none
 *	measure memory SIZE COMMAND...	peak resident bytes outside of mappings
 *					of at least SIZE bytes (the guest's RAM)
 *	measure tasks COMMAND...	of each task of its guest's
 *					(tests/guest/tasks.c), a line: name,
 *					count, interrupts, and what came beyond
 *					doing nothing: instructions of the whole
 *					machine, of the guest, of the command's
 *					own code; KVM exits, and those for MMIO
 *					in user space
 *	measure calls COMMAND...	likewise: returns from KVM_RUN by
 *					reason, and KVM's ioctls by name
 *	measure smmu COMMAND...		likewise: writes to CMDQ_PROD of the
 *					guest's SMMU, and the ioctls that
 *					invalidate what the host's remembers
 *
 * The last three print a line first that names the columns. One of all these at
 * a time, because counting exits and calls and looking at memory take time of
 * their own. Exits and calls come from the kernel's tracepoints, so they mean
 * the same whatever made the VM (for smmu as text, which even a kernel
 * without histograms has); the exits of tasks from KVM's counters, which count
 * in any case, as the PMU does instructions. The command's standard input is
 * empty, or what the tasks wait for; its output is ours on standard error.
 * Status 1 if it failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TRACING   "/sys/kernel/tracing/"
#define EVENTS    TRACING "events/"
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

/* With these as its standard input and output; it ends when we do. */
static pid_t start_with(int in, int out, char **argv)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
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

/* True if the kernel took it. */
static bool file_write(const char *path, const char *word)
{
	int fd = open(path, O_WRONLY);
	bool good;

	if (fd < 0)
		return false;
	good = write(fd, word, strlen(word)) == (ssize_t)strlen(word);
	close(fd);
	return good;
}

/* Write a word to an event's file, likewise. */
static bool event_write(const char *event, const char *file, const char *word)
{
	char path[256];

	snprintf(path, sizeof(path), EVENTS "%s/%s", event, file);
	return file_write(path, word);
}

/* A histogram that the kernel keeps of an event. */
struct trigger {
	const char *event, *text;
};

static void trigger_set(const struct trigger *t)
{
	if (!event_write(t->event, "trigger", t->text))
		die("trigger of %s", t->event);
}

static void trigger_undo(const struct trigger *t)
{
	char undo[64];

	snprintf(undo, sizeof(undo), "!%s", t->text);
	event_write(t->event, "trigger", undo);
}

/* Call @each for every key that it has counted. */
static void event_hits(const struct trigger *t,
		       void (*each)(void *ctx, unsigned long long key,
				    unsigned long long hits),
		       void *ctx)
{
	unsigned long long key, hits;
	char path[256], line[256];
	FILE *f;

	snprintf(path, sizeof(path), EVENTS "%s/hist", t->event);
	f = fopen(path, "r");
	if (!f)
		die("%s", path);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "{ %*[^:]: %llu } hitcount: %llu", &key,
			   &hits) == 2)
			each(ctx, key, hits);
	fclose(f);
}

static void add_hits(void *ctx, unsigned long long key, unsigned long long hits)
{
	*(unsigned long long *)ctx += hits;
}

static void measure_exits(char **argv)
{
	/* KVM_EXIT_MMIO is 6 */
	static const struct trigger counters[] = {
		{ "kvm/kvm_exit", "hist:keys=ret" },
		{ "kvm/kvm_userspace_exit", "hist:keys=reason if reason == 6" },
	};
	unsigned long long hits[2] = { 0 };

	for (int i = 0; i < 2; i++)
		trigger_set(&counters[i]);
	ended(start(argv), 0);
	for (int i = 0; i < 2; i++) {
		event_hits(&counters[i], add_hits, &hits[i]);
		trigger_undo(&counters[i]);
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

#define FIGURES_MAX 16

struct figures {
	unsigned long long n[FIGURES_MAX];
};

/* What is counted while tasks run. */
struct column {
	const char *name;
	unsigned key; /* of a histogram; 0: none */
};

struct meters {
	const struct column *columns;
	size_t nr;
	void (*start)(void);
	void (*stop)(void);
	struct figures (*read)(void);
};

/* --- what tasks cost --- */

enum { WHOLE, GUEST, MONITOR, EXITS, MMIO, COSTS };

static const struct column cost_columns[COSTS] = {
	[WHOLE] = { "whole", 0 },     [GUEST] = { "guest", 0 },
	[MONITOR] = { "monitor", 0 }, [EXITS] = { "exits", 0 },
	[MMIO] = { "mmio", 0 },
};

static int cost_fds[MONITOR + 1];

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

/* Counted is what comes after us: our child and its threads. */
static void start_costs(void)
{
	cost_fds[WHOLE] = open_meter(-1, false, false);
	cost_fds[GUEST] = open_meter(-1, false, true);
	cost_fds[MONITOR] = open_meter(0, true, false);
}

static unsigned long long read_meter(int fd)
{
	unsigned long long n;

	if (read(fd, &n, sizeof(n)) != sizeof(n))
		die("a counter of instructions");
	return n;
}

static void measure_lines(char **argv)
{
	int in = open("/dev/null", O_RDONLY | O_CLOEXEC), out[2], meter;
	unsigned long long begin;
	char line[512];
	pid_t pid;
	FILE *says;

	if (pipe2(out, O_CLOEXEC))
		die("pipe");
	meter = open_meter(-1, false, false);
	begin = now();
	pid = start_with(in, out[1], argv);
	close(in);
	close(out[1]);
	says = fdopen(out[0], "r");
	while (fgets(line, sizeof(line), says))
		printf("%llu %llu %s", now() - begin, read_meter(meter), line);
	fclose(says);
	ended(pid, 0);
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

static struct figures read_costs(void)
{
	struct figures f = { { 0 } };

	f.n[EXITS] = read_counter("exits");
	f.n[MMIO] = read_counter("mmio_exit_user");
	for (int i = MONITOR; i >= WHOLE; i--)
		f.n[i] = read_meter(cost_fds[i]);
	return f;
}

static void stop_costs(void)
{
	for (int i = WHOLE; i <= MONITOR; i++)
		close(cost_fds[i]);
}

static const struct meters costs = { cost_columns, COSTS, start_costs,
				     stop_costs, read_costs };

/* --- what tasks have called --- */

static const struct column call_columns[] = {
	{ "returns:debug", KVM_EXIT_DEBUG },
	{ "returns:MMIO", KVM_EXIT_MMIO },
	{ "returns:interrupted", KVM_EXIT_INTR },
	{ "returns:others", 0 },
	{ "KVM_RUN", KVM_RUN },
	{ "KVM_GET_ONE_REG", KVM_GET_ONE_REG },
	{ "KVM_SET_ONE_REG", KVM_SET_ONE_REG },
	{ "KVM_SET_GUEST_DEBUG", KVM_SET_GUEST_DEBUG },
	{ "KVM_IRQ_LINE", KVM_IRQ_LINE },
	{ "KVM_SET_DEVICE_ATTR", KVM_SET_DEVICE_ATTR },
	{ "KVM_SET_GSI_ROUTING", KVM_SET_GSI_ROUTING },
	{ "KVM_IRQFD", KVM_IRQFD },
	{ "KVM_IOEVENTFD", KVM_IOEVENTFD },
	{ "ioctls:others", 0 },
};
#define OTHER_RETURNS 3
#define CALLS         (sizeof(call_columns) / sizeof(call_columns[0]))

static const struct trigger returns = { "kvm/kvm_userspace_exit",
					"hist:keys=reason" };
static const struct trigger ioctls = { "syscalls/sys_enter_ioctl",
				       "hist:keys=cmd" };

static void start_calls(void)
{
	trigger_set(&returns);
	trigger_set(&ioctls);
}

static void stop_calls(void)
{
	trigger_undo(&returns);
	trigger_undo(&ioctls);
}

/* To one of the columns from @from on, or else to @others, which is behind. */
static void add_call(struct figures *f, size_t from, size_t others,
		     unsigned long long key, unsigned long long hits)
{
	while (from < others && call_columns[from].key != key)
		from++;
	f->n[from] += hits;
}

static void add_return(void *ctx, unsigned long long key,
		       unsigned long long hits)
{
	add_call(ctx, 0, OTHER_RETURNS, key, hits);
}

static void add_ioctl(void *ctx, unsigned long long key,
		      unsigned long long hits)
{
	if (_IOC_TYPE(key) == KVMIO)
		add_call(ctx, OTHER_RETURNS + 1, CALLS - 1, key, hits);
}

static struct figures read_calls(void)
{
	struct figures f = { { 0 } };

	event_hits(&returns, add_return, &f);
	event_hits(&ioctls, add_ioctl, &f);
	return f;
}

static const struct meters calls = { call_columns, CALLS, start_calls,
				     stop_calls, read_calls };

/* --- what tasks have the SMMU forget --- */

enum { CMDQ_PROD_WRITES, INVALIDATIONS, SMMU_FIGURES };

static const struct column smmu_columns[SMMU_FIGURES] = {
	[CMDQ_PROD_WRITES] = { "prod", 0 },
	[INVALIDATIONS] = { "invalidate", 0 },
};

/* An SMMU's registers begin at 64 KiB, of whichever guest. IHI 0070G, 6.2. */
#define SMMU_FRAME 0x10000
#define CMDQ_PROD  0x98
/* Of linux/iommufd.h. */
#define IOMMU_HWPT_INVALIDATE 0x3b8d

static FILE *trace_pipe;
static struct figures smmu_figures;

static void trace_set(const char *event, const char *filter)
{
	if (!event_write(event, "filter", filter) ||
	    !event_write(event, "enable", "1"))
		die("%s", event);
}

static void start_smmu(void)
{
	char filter[32];
	int fd = open(TRACING "trace_pipe", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	/* What was left there by others, if anything. */
	close(open(TRACING "trace", O_WRONLY | O_TRUNC | O_CLOEXEC));
	trace_pipe = fd < 0 ? NULL : fdopen(fd, "r");
	if (!trace_pipe || !file_write(TRACING "buffer_size_kb", "16384"))
		die("trace_pipe");
	snprintf(filter, sizeof(filter), "id == %d", SYS_ioctl);
	trace_set("raw_syscalls/sys_enter", filter);
	trace_set("kvm/kvm_mmio", "type == 2"); /* writes */
}

static void stop_smmu(void)
{
	event_write("raw_syscalls/sys_enter", "enable", "0");
	event_write("kvm/kvm_mmio", "enable", "0");
	fclose(trace_pipe);
}

static void add_event(const char *line)
{
	const char *call = strstr(line, ": NR "), *mmio = strstr(line, " gpa ");
	unsigned long long n;

	if (strstr(line, "[LOST ")) {
		errno = EOVERFLOW;
		die("trace_pipe");
	}
	if (call && sscanf(call, ": NR %*d (%*x, %llx", &n) == 1)
		smmu_figures.n[INVALIDATIONS] += n == IOMMU_HWPT_INVALIDATE;
	else if (mmio && sscanf(mmio, " gpa %llx", &n) == 1)
		smmu_figures.n[CMDQ_PROD_WRITES] += n % SMMU_FRAME == CMDQ_PROD;
}

/* Until there is nothing left to read. */
static struct figures read_smmu(void)
{
	char line[512];

	while (fgets(line, sizeof(line), trace_pipe))
		add_event(line);
	clearerr(trace_pipe);
	return smmu_figures;
}

static const struct meters smmu = { smmu_columns, SMMU_FIGURES, start_smmu,
				    stop_smmu, read_smmu };

/* --- the tasks --- */

static struct figures minus(struct figures a, struct figures b)
{
	for (size_t i = 0; i < FIGURES_MAX; i++)
		a.n[i] -= b.n[i];
	return a;
}

/* Firmware clears the screen in front of a guest's first line. */
static const char *without_escapes(const char *line)
{
	while (*line == '\033')
		line += strcspn(line, "HJh") + 1;
	return line;
}

static void go_on(int to)
{
	if (write(to, "\n", 1) != 1)
		die("its standard input");
}

/* Its guest begins a task when it gets a line, and waits for one when that is
 * done. */
static void follow_tasks(const struct meters *m, FILE *says, int to)
{
	struct figures begin, task, nothing = { { 0 } };
	char line[512], name[32], word[8];
	unsigned long long count, irqs;

	while (fgets(line, sizeof(line), says)) {
		fputs(line, stderr);
		if (sscanf(without_escapes(line),
			   "%31[a-z0-9-]: %7[a-z], %llu, %llu", name, word,
			   &count, &irqs) < 2)
			continue;
		if (!strcmp(word, "ready")) {
			begin = m->read();
			go_on(to);
		} else if (!strcmp(word, "done")) {
			task = minus(m->read(), begin);
			go_on(to);
			if (!strcmp(name, "nothing")) {
				nothing = task;
				continue;
			}
			task = minus(task, nothing);
			printf("%s %llu %llu", name, count, irqs);
			for (size_t i = 0; i < m->nr; i++)
				printf(" %lld", (long long)task.n[i]);
			printf("\n");
		}
	}
}

static void measure_tasks(const struct meters *m, char **argv)
{
	int in[2], out[2];
	pid_t pid;

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		die("pipe");
	m->start();
	printf("task count interrupts");
	for (size_t i = 0; i < m->nr; i++)
		printf(" %s", m->columns[i].name);
	printf("\n");
	/* The child would print it, too. */
	fflush(stdout);
	pid = start_with(in[0], out[1], argv);
	close(in[0]);
	close(out[1]);
	follow_tasks(m, fdopen(out[0], "r"), in[1]);
	m->stop();
	ended(pid, 0);
}

int main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "time")) {
		measure_time(argv + 2);
	} else if (argc > 2 && !strcmp(argv[1], "exits")) {
		measure_exits(argv + 2);
	} else if (argc > 2 && !strcmp(argv[1], "lines")) {
		measure_lines(argv + 2);
	} else if (argc > 3 && !strcmp(argv[1], "memory")) {
		measure_memory(strtoull(argv[2], NULL, 10), argv + 3);
	} else if (argc > 2 && !strcmp(argv[1], "tasks")) {
		measure_tasks(&costs, argv + 2);
	} else if (argc > 2 && !strcmp(argv[1], "calls")) {
		measure_tasks(&calls, argv + 2);
	} else if (argc > 2 && !strcmp(argv[1], "smmu")) {
		measure_tasks(&smmu, argv + 2);
	} else {
		fprintf(stderr, "measure: see its first lines for its use\n");
		return 1;
	}
	return 0;
}
