/*
 * CPUs that go and come back, and interrupts that are sent elsewhere, while all
 * devices have work.
 */
#include "guest.h"
#include "irqs.h"
#include "load.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* --- CPUs --- */

static bool set_online(int cpu, bool on)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online",
		 cpu);
	return file_put(path, on ? "1" : "0") ||
	       wrong("CPU %d does not %s: %s", cpu, on ? "come back" : "go",
		     strerror(errno));
}

struct spinner {
	pthread_t thread;
	int cpu;
	volatile bool stop;
	bool ok;
};

static void *spin(void *arg)
{
	struct spinner *s = arg;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(s->cpu, &set);
	s->ok = !sched_setaffinity(0, sizeof(set), &set) ||
		wrong("CPU %d: %s", s->cpu, strerror(errno));
	while (!s->stop)
		;
	return NULL;
}

/* A CPU that has work has ticks of its timer. */
static bool ticks(int cpu)
{
	struct spinner s = { .cpu = cpu };
	struct irqs timer = irqs_find("arch_timer");
	bool ok;

	if (pthread_create(&s.thread, NULL, spin, &s))
		abort();
	ok = irqs_come(&timer, cpu, 3) ||
	     wrong("CPU %d has no ticks of its timer", cpu);
	s.stop = true;
	pthread_join(s.thread, NULL);
	return ok && s.ok;
}

/* In turn, all but one CPU go, or one does: each is that one some time. */
static bool goes(int cpu, int round, int cpus)
{
	bool chosen = cpu == round / 2 % cpus;

	return round % 2 ? chosen : !chosen;
}

static bool go_and_come_back(const struct load *l, int round, int cpus)
{
	int left = cpus;

	for (int i = 0; i < cpus; i++) {
		if (!goes(i, round, cpus))
			continue;
		if (!set_online(i, false))
			return false;
		left--;
	}
	if (sysconf(_SC_NPROCESSORS_ONLN) != left)
		return wrong("there are not %d CPUs left", left);
	if (!load_goes_on(l))
		return false;
	for (int i = 0; i < cpus; i++)
		if (goes(i, round, cpus) && (!set_online(i, true) || !ticks(i)))
			return false;
	return load_goes_on(l);
}

bool test_hotplug(const char *arg)
{
	int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN), rounds = atoi(arg);
	struct load *l = load_start(false);
	bool ok = cpus > 1 || wrong("there is no other CPU");

	for (int i = 0; ok && i < rounds; i++)
		ok = go_and_come_back(l, i, cpus);
	return load_end(l) && ok;
}

/* --- interrupts --- */

/* How many of them are looked at one by one. */
#define BUSIEST 4

/* Linux lets nobody send those of a disk's queues elsewhere. */
static struct irqs find_movable(void)
{
	static const char *const names[] = { "virtio*", "nvme*", "eth*-*" };
	size_t nr = 0;
	struct irqs s = { 0 };

	for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
		struct irqs all = irqs_find(names[k]);

		for (size_t i = 0; i < all.nr && s.nr < ARRAY_SIZE(s.irq); i++)
			if (irq_send(all.irq[i], 0))
				s.irq[s.nr++] = all.irq[i];
		nr += all.nr;
	}
	say("affinity: %zu of %zu interrupts can be sent elsewhere", s.nr, nr);
	return s;
}

static bool send_to(int irq, int cpu)
{
	if (!irq_send(irq, cpu))
		return wrong("interrupt %d to CPU %d: %s", irq, cpu,
			     strerror(errno));
	return irq_goes_to(irq, cpu) ||
	       wrong("interrupt %d does not go to CPU %d", irq, cpu);
}

static u64 elsewhere(int irq, int cpu, int cpus)
{
	u64 sum = 0;

	for (int i = 0; i < cpus; i++)
		sum += i == cpu ? 0 : irq_count(irq, i);
	return sum;
}

/* The first time, one may be on its way to where it went before. */
static bool arrives_at(int irq, int cpu, int cpus)
{
	struct irqs s = { .nr = 1, .irq = { irq } };

	if (!send_to(irq, cpu))
		return false;
	for (int tries = 0; tries < 2; tries++) {
		u64 before = elsewhere(irq, cpu, cpus);

		if (!irqs_come(&s, cpu, 5))
			return wrong("interrupt %d does not come to CPU %d",
				     irq, cpu);
		if (elsewhere(irq, cpu, cpus) == before)
			return true;
	}
	return wrong("interrupt %d comes to others than CPU %d", irq, cpu);
}

/* The one that came most since @before, and often, and is not in @known; -1 if
 * there is none. */
static int next_busiest(const struct irqs *s, const u64 *before,
			const struct irqs *known)
{
	u64 most = 100;
	int found = -1;

	for (size_t i = 0; i < s->nr; i++) {
		u64 came = irq_count(s->irq[i], ANY_CPU) - before[i];
		bool old = false;

		for (size_t k = 0; k < known->nr; k++)
			old |= known->irq[k] == s->irq[i];
		if (old || came < most)
			continue;
		most = came;
		found = s->irq[i];
	}
	return found;
}

/* Those that come most come where they are sent; of a card with many queues,
 * some come so seldom that it would take minutes to see. */
static bool busy_arrive(const struct irqs *s, const u64 *before, int cpus)
{
	struct irqs busy = { 0 };
	bool ok = true;
	int irq;

	while (busy.nr < BUSIEST && (irq = next_busiest(s, before, &busy)) >= 0)
		busy.irq[busy.nr++] = irq;
	say("affinity: %zu of them are busy", busy.nr);
	for (size_t i = 0; i < busy.nr; i++)
		for (int cpu = 0; ok && cpu < cpus; cpu++)
			ok = arrives_at(busy.irq[i], cpu, cpus);
	return ok && (busy.nr || wrong("none is busy"));
}

bool test_affinity(const char *arg)
{
	int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN), rounds = atoi(arg);
	struct load *l = load_start(true);
	struct irqs s = find_movable();
	u64 before[ARRAY_SIZE(s.irq)];
	bool ok = s.nr || wrong("no interrupt can be sent elsewhere");

	/* Work goes on beside us, not the other way round. */
	setpriority(PRIO_PROCESS, 0, -20);
	for (size_t i = 0; i < s.nr; i++)
		before[i] = irq_count(s.irq[i], ANY_CPU);
	for (int i = 0; ok && i < rounds; i++)
		ok = send_to(s.irq[(size_t)i % s.nr],
			     (int)((u32)i * 2654435761u >> 16) % cpus);
	ok = ok && load_goes_on(l) && busy_arrive(&s, before, cpus);
	return load_end(l) && ok;
}
