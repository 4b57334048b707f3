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

bool kernel_word(const char *key, char *buf, size_t size)
{
	char line[4096], *save, *word;
	size_t len = strlen(key);

	if (!file_get("/proc/cmdline", line, sizeof(line)))
		return wrong("no /proc/cmdline");
	for (word = strtok_r(line, " ", &save); word;
	     word = strtok_r(NULL, " ", &save)) {
		if (strncmp(word, key, len) ||
		    (word[len] && key[len - 1] != '='))
			continue;
		if (buf)
			snprintf(buf, size, "%s", word + len);
		return true;
	}
	return false;
}

static bool test_hello(const char *arg)
{
	say("hello from the guest%s%s", *arg ? ", " : "", arg);
	return true;
}

/* A guest does not remember its earlier boots, so it asks; after the test that
 * @arg is, if it is one. */
static bool test_reboot(const char *arg)
{
	char answer[16] = "", first[64];

	snprintf(first, sizeof(first), "%s", arg);
	if (*first && !run_test(first))
		return false;
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

/* A crash that an operator asks for. */
static bool test_sysrq_c(const char *arg)
{
	file_put("/proc/sysrq-trigger", "c");
	return wrong("nothing happened");
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
	{ "sysrq-c", test_sysrq_c },
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
	{ "suspend-loaded", test_suspend_loaded }, /* likewise, at work */
	{ "disk", test_disk },                     /* say what it is */
	{ "disks", test_disks },                   /* there are N */
	{ "root", test_root },                     /* the root is on the disk */
	{ "fill", test_fill },                     /* N MiB of the disk */
	{ "discard", test_discard },               /* half of the disk */
	{ "full", test_full }, /* the host's file system, then not */
	{ "cut", test_cut },   /* the disk's file, to the half */
	{ "grow", test_grow }, /* the disk's file, to N MiB */
	{ "readonly", test_readonly },
	{ "records", test_records },             /* N at a time that last */
	{ "reboot-loaded", test_reboot_loaded }, /* reboot while writing */
	{ "tcp", test_tcp },                     /* N MiB each way */
	{ "rng", test_rng },
	{ "rebind", test_rebind },     /* each device's driver N times */
	{ "tasks", test_tasks },       /* these or all, to be measured */
	{ "hotplug", test_hotplug },   /* CPUs, N times */
	{ "affinity", test_affinity }, /* of interrupts, N times */
	{ "modprobe", test_modprobe }, /* each device's driver N times */
	{ "kexec", test_kexec }, /* the same kernel N times, with a test */
	{ "pmu-irq", test_pmu_irq },
	{ "scribble-gic", test_scribble_gic }, /* for N seconds */
	{ "ping", test_ping },                 /* N times */
	{ "rebind-passed", test_rebind_passed },
	{ "flr", test_flr }, /* of a function in use, N times */
	{ "iommu", test_iommu },
	{ "touch", test_touch },         /* all of a BAR of DRIVER:N */
	{ "doorbells", test_doorbells }, /* of this driver's device */
	{ "unmap", test_unmap },         /* a device's doorbell */
	{ "ring", test_ring },           /* an igb, to be measured */
	{ "unmaps", test_unmaps },       /* likewise */
	{ "smmu-off", test_smmu_off },   /* and on, N times */
	{ "mkfs", test_mkfs },           /* and a file of N MiB */
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

bool run_test(char *text)
{
	char *arg = text + strcspn(text, ",");

	if (*arg)
		*arg++ = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
		if (!strcmp(tests[i].name, text))
			return tests[i].run(arg);
	return wrong("there is no such test");
}

/* The initrd's part; does not come back if the root is on a disk. */
static bool start(void)
{
	char root[64], init[64] = "/init";

	mount_all();
	if (!load_modules())
		return false;
	if (!kernel_word("root=", root, sizeof(root)))
		return true;
	kernel_word("init=", init, sizeof(init));
	return switch_root(root, init);
}

/* Its file system is then clean, as after any orderly end. */
static bool leave_root(void)
{
	sync();
	return !mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL) ||
	       wrong("remount /: %s", strerror(errno));
}

int main(void)
{
	bool on_disk = !access("/proc/self", F_OK), ok;
	char name[4096];

	ok = on_disk || start();
	if (!kernel_word("belfry.test=", name, sizeof(name)))
		strcpy(name, "hello");
	ok = ok && run_test(name);
	if (on_disk)
		ok = leave_root() && ok;
	name[strcspn(name, ",")] = '\0';
	say("%s: %s", name, ok ? "ok" : "FAILED");
	/* A power-off does not wait for what the UART has not sent. */
	tcdrain(STDOUT_FILENO);
	reboot(RB_POWER_OFF);
	return 1;
}
