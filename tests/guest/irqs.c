#include "irqs.h"
#include "guest.h"

#include <fnmatch.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct irqs irqs_find(const char *pattern)
{
	struct irqs s = { 0 };
	char name[128];
	glob_t g;

	if (!glob("/sys/kernel/irq/*/actions", 0, NULL, &g))
		for (size_t i = 0; i < g.gl_pathc; i++)
			if (file_get(g.gl_pathv[i], name, sizeof(name)) &&
			    !fnmatch(pattern, name, 0) &&
			    s.nr < ARRAY_SIZE(s.irq))
				s.irq[s.nr++] =
					atoi(g.gl_pathv[i] +
					     strlen("/sys/kernel/irq/"));
	globfree(&g);
	return s;
}

struct irqs irqs_of_driver(const char *driver, const char *vectors)
{
	struct irqs s = { 0 };
	char pattern[128];
	glob_t g;

	if (strncmp(driver, "virtio", strlen("virtio")))
		return irqs_find(vectors);
	snprintf(pattern, sizeof(pattern), "/sys/bus/virtio/drivers/%s/virtio*",
		 driver);
	if (!glob(pattern, 0, NULL, &g)) {
		snprintf(pattern, sizeof(pattern), "%s-%s",
			 strrchr(g.gl_pathv[0], '/') + 1, vectors);
		s = irqs_find(pattern);
	}
	globfree(&g);
	return s;
}

/* The counts of all CPUs that there can be, with commas between. */
u64 irq_count(int irq, int cpu)
{
	char path[64], text[8192] = "", *at = text;
	u64 sum = 0;

	snprintf(path, sizeof(path), "/sys/kernel/irq/%d/per_cpu_count", irq);
	file_get(path, text, sizeof(text));
	for (int i = 0; *at; i++) {
		u64 n = strtoull(at, &at, 10);

		if (cpu == ANY_CPU || cpu == i)
			sum += n;
		at += *at == ',';
	}
	return sum;
}

u64 irqs_count(const struct irqs *s, int cpu)
{
	u64 sum = 0;

	for (size_t i = 0; i < s->nr; i++)
		sum += irq_count(s->irq[i], cpu);
	return sum;
}

bool irqs_come(const struct irqs *s, int cpu, u64 n)
{
	u64 goal = irqs_count(s, cpu) + n;

	for (int ms = 0; irqs_count(s, cpu) < goal; ms += 10) {
		if (ms > PATIENCE * 1000)
			return false;
		usleep(10000);
	}
	return true;
}

/* The kernel's own count begins anew now and then; when it was, stays. */
u64 irqs_unhandled(const struct irqs *s)
{
	static const char key[] = "last_unhandled ";
	char path[64], text[128] = "", *at;
	u64 sum = 0;

	for (size_t i = 0; i < s->nr; i++) {
		snprintf(path, sizeof(path), "/proc/irq/%d/spurious",
			 s->irq[i]);
		file_get(path, text, sizeof(text));
		at = strstr(text, key);
		sum += at ? strtoull(at + strlen(key), NULL, 10) : 0;
	}
	return sum;
}

bool irq_send(int irq, int cpu)
{
	char path[64], text[16];

	snprintf(path, sizeof(path), "/proc/irq/%d/smp_affinity_list", irq);
	snprintf(text, sizeof(text), "%d", cpu);
	return file_put(path, text);
}

bool irq_goes_to(int irq, int cpu)
{
	char path[64], text[64] = "";

	snprintf(path, sizeof(path), "/proc/irq/%d/effective_affinity_list",
		 irq);
	return file_get(path, text, sizeof(text)) && atoi(text) == cpu &&
	       strspn(text, "0123456789") == strlen(text);
}
