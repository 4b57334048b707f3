#include "load.h"
#include "data.h"
#include "guest.h"
#include "irqs.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CARD   "/sys/class/net/eth0"
#define RNG    "/dev/hwrng"
#define BLOCK  4096
#define BLOCKS 64 /* of each writer */

/* --- work --- */

struct job {
	pthread_t thread;
	bool (*step)(struct job *j);
	int cpu;
	int fd;
	u8 *buf;
	volatile bool stop;
	volatile u64 steps;
	bool ok;
};

/* Write a block of our own, and read it back. */
static bool use_disk(struct job *j)
{
	u64 nr = (u64)j->cpu * BLOCKS + j->steps % BLOCKS;
	off_t at = (off_t)(nr * BLOCK);

	data_fill(nr, j->steps * BLOCK, j->buf, BLOCK);
	if (pwrite(j->fd, j->buf, BLOCK, at) != BLOCK)
		return wrong("%s: write: %s", disk_dev(), strerror(errno));
	memset(j->buf, 0, BLOCK);
	if (pread(j->fd, j->buf, BLOCK, at) != BLOCK)
		return wrong("%s: read: %s", disk_dev(), strerror(errno));
	return data_differs(nr, j->steps * BLOCK, j->buf, BLOCK) ==
		       (j->steps + 1) * BLOCK ||
	       wrong("%s: block %llu is another", disk_dev(),
		     (unsigned long long)nr);
}

static bool draw_bytes(struct job *j)
{
	return read(j->fd, j->buf, 64) > 0 ||
	       wrong(RNG ": %s", strerror(errno));
}

static bool use_card(struct job *j)
{
	return stream_run(j->steps % 2, 256 * KIB);
}

static void *run_job(void *arg)
{
	struct job *j = arg;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(j->cpu, &set);
	if (j->step == use_disk)
		sched_setaffinity(0, sizeof(set), &set);
	while (j->ok && !j->stop) {
		j->ok = j->step(j);
		j->steps++;
	}
	return NULL;
}

/* --- the account of interrupts --- */

static u64 disk_requests(void)
{
	unsigned long long n[5] = { 0 };
	char path[64], text[256] = "";

	snprintf(path, sizeof(path), "/sys/block/%s/stat",
		 disk_dev() + strlen("/dev/"));
	file_get(path, text, sizeof(text));
	sscanf(text, "%llu %llu %llu %llu %llu", &n[0], &n[1], &n[2], &n[3],
	       &n[4]);
	return n[0] + n[4];
}

static u64 frames(const char *counter)
{
	char path[64], text[32] = "";

	snprintf(path, sizeof(path), CARD "/statistics/%s", counter);
	file_get(path, text, sizeof(text));
	return strtoull(text, NULL, 10);
}

static u64 frames_received(void)
{
	return frames("rx_packets") + frames("rx_dropped");
}

static u64 frames_sent(void)
{
	return frames("tx_packets");
}

/*
 * A device interrupts for at least one answer each time, so there are never
 * more interrupts than answers. With one request at a time, none comes without
 * one, either; with more, a handler may take an answer before its interrupt.
 */
enum {
	DISK_REQUESTS,
	FRAMES_RECEIVED,
	FRAMES_SENT,
	RNG_REQUESTS,
	NVME_REQUESTS,
	IGB_FRAMES, /* its driver makes it interrupt every two seconds, too */
};

static const struct vectors {
	const char *driver, *names;
	u64 (*answers)(void); /* NULL: nobody counts them */
	enum { MAY_BE_IDLE, IDLE_IF_UNSTEADY, NEVER_IDLE } idle;
} all_vectors[] = {
	[DISK_REQUESTS] = { "virtio_blk", "req.*", disk_requests,
			    IDLE_IF_UNSTEADY },
	[FRAMES_RECEIVED] = { "virtio_net", "input.*", frames_received,
			      MAY_BE_IDLE },
	[FRAMES_SENT] = { "virtio_net", "output.*", frames_sent, MAY_BE_IDLE },
	[RNG_REQUESTS] = { "virtio_rng", "*", NULL, NEVER_IDLE },
	[NVME_REQUESTS] = { "nvme", "nvme*q[1-9]*", disk_requests,
			    IDLE_IF_UNSTEADY },
	[IGB_FRAMES] = { "igb", "eth*-*", NULL, MAY_BE_IDLE },
};

struct account {
	struct irqs irqs;
	u64 came, answers, unhandled;
};

static void take_stock(struct account *a, const struct vectors *v)
{
	a->irqs = irqs_of_driver(v->driver, v->names);
	a->came = irqs_count(&a->irqs, ANY_CPU);
	a->answers = v->answers ? v->answers() : 0;
	a->unhandled = irqs_unhandled(&a->irqs);
}

static bool balance(const struct account *before, const struct vectors *v,
		    bool steady)
{
	struct account now;
	u64 came, answers;

	take_stock(&now, v);
	came = now.came - before->came;
	answers = now.answers - before->answers;
	if (!now.irqs.nr)
		return true;
	say("%s, %s: %llu interrupts", v->driver, v->names,
	    (unsigned long long)came);
	if (v->answers && came > answers)
		return wrong("there were only %llu answers",
			     (unsigned long long)answers);
	if (now.unhandled != before->unhandled &&
	    (v->idle == NEVER_IDLE || (v->idle == IDLE_IF_UNSTEADY && steady)))
		return wrong("an interrupt for nothing");
	return true;
}

/* --- both --- */

struct load {
	bool steady;
	size_t nr;
	struct job *jobs;
	struct account before[ARRAY_SIZE(all_vectors)];
};

static struct job *add_job(struct load *l, bool (*step)(struct job *j))
{
	struct job *j = &l->jobs[l->nr++];

	*j = (struct job) { .step = step, .fd = -1, .ok = true };
	j->buf = aligned_alloc(BLOCK, BLOCK);
	if (!j->buf)
		abort();
	return j;
}

static void open_for(struct job *j, const char *path, int flags)
{
	j->fd = open(path, flags | O_CLOEXEC);
	if (j->fd < 0)
		j->ok = wrong("%s: %s", path, strerror(errno));
}

static void add_jobs(struct load *l, int cpus)
{
	bool disk = l->before[DISK_REQUESTS].irqs.nr ||
		    l->before[NVME_REQUESTS].irqs.nr;
	struct job *j;

	for (int i = 0; disk && i < cpus; i++) {
		j = add_job(l, use_disk);
		j->cpu = i;
		open_for(j, disk_dev(), O_RDWR | O_DIRECT);
	}
	if (l->before[RNG_REQUESTS].irqs.nr)
		open_for(add_job(l, draw_bytes), RNG, O_RDONLY);
	if (!access(CARD, F_OK))
		add_job(l, use_card);
}

struct load *load_start(bool steady)
{
	int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
	struct load *l = calloc(1, sizeof(*l));

	if (!l)
		abort();
	l->steady = steady;
	l->jobs = calloc((size_t)cpus + 2, sizeof(*l->jobs));
	if (!l->jobs)
		abort();
	/* A card may have no interrupts before. */
	if (!access(CARD, F_OK) && !card_up())
		abort();
	for (size_t i = 0; i < ARRAY_SIZE(all_vectors); i++)
		take_stock(&l->before[i], &all_vectors[i]);
	add_jobs(l, cpus);
	for (size_t i = 0; i < l->nr; i++)
		if (pthread_create(&l->jobs[i].thread, NULL, run_job,
				   &l->jobs[i]))
			abort();
	return l;
}

bool load_goes_on(const struct load *l)
{
	for (size_t i = 0; i < l->nr; i++) {
		u64 goal = l->jobs[i].steps + 2;

		for (int ms = 0; l->jobs[i].steps < goal; ms += 10) {
			if (ms > PATIENCE * 1000 || !l->jobs[i].ok)
				return wrong("a request has no answer");
			usleep(10000);
		}
	}
	return true;
}

/* What the kernel says of interrupts that it did not want, or could not have.
 */
static bool kernel_is_content(void)
{
	static const char *const complaints[] = {
		"nobody cared",
		"Unexpected interrupt",
		"ITS queue timeout",
		/* What a driver says that missed an interrupt. */
		"completion polled",
		"NETDEV WATCHDOG",
	};

	for (size_t i = 0; i < ARRAY_SIZE(complaints); i++)
		if (kernel_said(complaints[i]))
			return wrong("the kernel says: %s", complaints[i]);
	return true;
}

/* A request that is never answered keeps its job for ever. */
static bool end_job(struct job *j, const struct timespec *limit)
{
	if (pthread_timedjoin_np(j->thread, NULL, limit))
		return wrong("a request has no answer after %d s", PATIENCE);
	if (j->fd >= 0)
		close(j->fd);
	free(j->buf);
	return j->ok && (j->steps || wrong("no request was answered"));
}

bool load_end(struct load *l)
{
	bool ok = l->nr || wrong("no device to give work to");
	struct timespec limit;

	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += PATIENCE;
	for (size_t i = 0; i < l->nr; i++)
		l->jobs[i].stop = true;
	for (size_t i = 0; i < l->nr; i++)
		ok = end_job(&l->jobs[i], &limit) && ok;
	for (size_t i = 0; i < ARRAY_SIZE(all_vectors); i++)
		ok = balance(&l->before[i], &all_vectors[i], l->steady) && ok;
	ok = kernel_is_content() && ok;
	/* A job that is stuck still uses it. */
	if (ok) {
		free(l->jobs);
		free(l);
	}
	return ok;
}
