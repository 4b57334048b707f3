/*
 * Processors and interrupts, seen from the guest's programs.
 */
#include "guest.h"

#include <errno.h>
#include <glob.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <asm/hwcap.h>
#include <unistd.h>

bool interrupts_of(const char *name, char *buf, size_t size)
{
	FILE *f = fopen("/proc/interrupts", "re");
	bool found = false;

	if (!f)
		return wrong("/proc/interrupts: %s", strerror(errno));
	while (!found && fgets(buf, (int)size, f)) {
		buf[strcspn(buf, "\n")] = '\0';
		found = strlen(buf) > strlen(name) &&
			!strcmp(buf + strlen(buf) - strlen(name), name);
	}
	fclose(f);
	return found || wrong("no interrupt is called %s", name);
}

/* The device tree describes @n of them, with these affinities. */
static bool described(int n)
{
	glob_t g;
	bool ok;

	ok = !glob("/proc/device-tree/cpus/cpu@*", 0, NULL, &g) &&
	     g.gl_pathc == (size_t)n;
	if (!ok)
		wrong("the device tree does not have %d CPUs", n);
	globfree(&g);
	for (int i = 0; ok && i < n; i++) {
		/* A GICv3 sends to at most 16 CPUs of equal Aff1. */
		u32 reg = 0, want = (u32)(i % 16 | (i / 16) << 8);
		char path[80];
		FILE *f;

		snprintf(path, sizeof(path),
			 "/proc/device-tree/cpus/cpu@%x/reg", want);
		f = fopen(path, "re");
		if (!f || fread(&reg, sizeof(reg), 1, f) != 1 ||
		    be32toh(reg) != want)
			ok = wrong("CPU %d is not at %x", i, want);
		if (f)
			fclose(f);
	}
	return ok;
}

struct worker {
	pthread_t thread;
	pthread_barrier_t *all;
	int cpu;
	int ran_on;
};

static void *work(void *arg)
{
	struct worker *w = arg;

	/* Nobody leaves before all have come: they run side by side. */
	pthread_barrier_wait(w->all);
	w->ran_on = sched_getcpu();
	return NULL;
}

static bool start(struct worker *w)
{
	pthread_attr_t attr;
	cpu_set_t set;
	int err;

	CPU_ZERO(&set);
	CPU_SET(w->cpu, &set);
	pthread_attr_init(&attr);
	pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
	err = pthread_create(&w->thread, &attr, work, w);
	pthread_attr_destroy(&attr);
	return !err || wrong("CPU %d: %s", w->cpu, strerror(err));
}

static bool each_runs_a_thread(int n)
{
	struct worker *workers = calloc((size_t)n, sizeof(*workers));
	pthread_barrier_t all;
	bool ok = true;

	pthread_barrier_init(&all, NULL, (unsigned)n);
	for (int i = 0; ok && i < n; i++) {
		workers[i] = (struct worker) { .all = &all, .cpu = i };
		ok = start(&workers[i]);
	}
	for (int i = 0; ok && i < n; i++) {
		pthread_join(workers[i].thread, NULL);
		if (workers[i].ran_on != i)
			ok = wrong("thread %d ran on CPU %d", i,
				   workers[i].ran_on);
	}
	free(workers);
	return ok;
}

/* Every CPU has had a tick of its own. */
static bool each_has_ticks(int n)
{
	char line[8192], *at, *end;

	if (!interrupts_of("arch_timer", line, sizeof(line)))
		return false;
	at = strchr(line, ':');
	for (int i = 0; i < n; i++) {
		unsigned long ticks = strtoul(at + 1, &end, 10);

		if (end == at + 1 || !ticks)
			return wrong("no timer interrupt on CPU %d", i);
		at = end - 1;
		at++;
	}
	return true;
}

/* Off and on again, by PSCI. */
static bool last_comes_back(int n)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online",
		 n - 1);
	if (!file_put(path, "0"))
		return wrong("CPU %d does not go: %s", n - 1, strerror(errno));
	if (sysconf(_SC_NPROCESSORS_ONLN) != n - 1)
		return wrong("CPU %d is still there", n - 1);
	if (!file_put(path, "1"))
		return wrong("CPU %d does not come back: %s", n - 1,
			     strerror(errno));
	return each_runs_a_thread(n);
}

bool test_cpus(const char *arg)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	say("%ld CPUs online", n);
	if (n != atoi(arg))
		return wrong("not %s", arg);
	return described((int)n) && each_runs_a_thread((int)n) &&
	       each_has_ticks((int)n) && (n == 1 || last_comes_back((int)n));
}

/* The devices' are known, the UART's comes, and there is an ITS. */
bool test_interrupts(const char *arg)
{
	static const char *const names[] = { "arch_timer", "uart-pl011",
					     "rtc-pl031" };
	char line[8192];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!interrupts_of(names[i], line, sizeof(line)))
			return false;
		say("%s", line);
	}
	if (!kernel_said("ITS [mem 0x07ff0000-0x0800ffff]"))
		return wrong("the kernel found no ITS");
	return true;
}

bool test_features(const char *arg)
{
	unsigned long caps = getauxval(AT_HWCAP);
	bool pmu = !access("/sys/bus/event_source/devices/armv8_pmuv3", F_OK) ||
		   !access("/sys/bus/event_source/devices/armv8_pmuv3_0", F_OK);

	say("sve %s, pauth %s, pmu %s, steal-time %s",
	    caps & HWCAP_SVE ? "on" : "off", caps & HWCAP_PACA ? "on" : "off",
	    pmu ? "on" : "off",
	    kernel_said("using stolen time PV") ? "on" : "off");
	return true;
}
