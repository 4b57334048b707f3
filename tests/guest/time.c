/*
 * The clock, sleep, and the counters, seen from the guest's programs.
 */
#include "guest.h"
#include "irqs.h"
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <linux/rtc.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Booting takes time, and the lab's clock is not exact. */
static bool close_to(const char *what, long long now, long long given)
{
	say("%s: %lld", what, now);
	if (now < given - 2 || now > given + 120)
		return wrong("the host said %lld when it started", given);
	return true;
}

static bool clock_is_right(int fd, long long given)
{
	struct rtc_time r;
	struct tm t;

	if (ioctl(fd, RTC_RD_TIME, &r))
		return wrong("RTC_RD_TIME: %s", strerror(errno));
	t = (struct tm) { .tm_sec = r.tm_sec,
			  .tm_min = r.tm_min,
			  .tm_hour = r.tm_hour,
			  .tm_mday = r.tm_mday,
			  .tm_mon = r.tm_mon,
			  .tm_year = r.tm_year };
	return close_to("rtc", timegm(&t), given) &&
	       close_to("system", time(NULL), given);
}

/* By interrupt: read() sleeps until it comes. */
static bool alarm_comes(int fd)
{
	struct rtc_wkalrm alarm = { .enabled = 1 };
	unsigned long events;
	time_t when = time(NULL) + 2;
	struct tm *t = gmtime(&when);

	alarm.time = (struct rtc_time) { .tm_sec = t->tm_sec,
					 .tm_min = t->tm_min,
					 .tm_hour = t->tm_hour,
					 .tm_mday = t->tm_mday,
					 .tm_mon = t->tm_mon,
					 .tm_year = t->tm_year };
	if (ioctl(fd, RTC_WKALM_SET, &alarm))
		return wrong("RTC_WKALM_SET: %s", strerror(errno));
	if (read(fd, &events, sizeof(events)) != sizeof(events))
		return wrong("no alarm: %s", strerror(errno));
	/* Linux sets its clock from whole seconds, half a second off. */
	if (!(events & RTC_AF) || time(NULL) + 1 < when)
		return wrong("the alarm came early, or was none (%lx)", events);
	say("the alarm came");
	return true;
}

bool test_rtc(const char *arg)
{
	int fd = open("/dev/rtc0", O_RDONLY | O_CLOEXEC);
	bool ok;

	if (fd < 0)
		return wrong("/dev/rtc0: %s", strerror(errno));
	ok = clock_is_right(fd, atoll(arg)) && alarm_comes(fd);
	close(fd);
	return ok;
}

static long long uptime_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

/* Until an alarm in @seconds. One that comes while we still fall asleep is lost
 * to a sleeper: Linux then stays awake, as it was told how many wake-ups we
 * know of. */
static bool sleep_for(int seconds)
{
	char known[32], wakealarm[16];

	snprintf(wakealarm, sizeof(wakealarm), "+%d", seconds);
	return file_put("/sys/class/rtc/rtc0/wakealarm", "0") &&
	       file_get("/sys/power/wakeup_count", known, sizeof(known)) &&
	       file_put("/sys/power/wakeup_count", known) &&
	       file_put("/sys/class/rtc/rtc0/wakealarm", wakealarm) &&
	       file_put("/sys/power/state", "mem");
}

bool test_suspend(const char *arg)
{
	long long start = 0, slept = 0;
	bool ok = false;

	if (!file_put("/sys/power/mem_sleep", arg))
		return wrong("%s is not offered", arg);
	for (int seconds = 3; !ok && seconds < 60; seconds *= 2) {
		say("going to sleep (%s, %d s)", arg, seconds);
		start = uptime_ms();
		ok = sleep_for(seconds);
		slept = uptime_ms() - start;
	}
	if (!ok)
		return wrong("no sleep: %s", strerror(errno));
	say("awake again after %lld ms", slept);
	return slept > 1000 || wrong("that was no sleep");
}

/* Drivers stop their devices, and start them anew. */
bool test_suspend_loaded(const char *arg)
{
	struct load *l = load_start(false);
	bool ok = load_goes_on(l) && test_suspend(arg) && load_goes_on(l);

	return load_end(l) && ok;
}

static volatile sig_atomic_t overflows;

static void on_overflow(int sig)
{
	overflows++;
}

static int open_cycles(u64 period)
{
	struct perf_event_attr a = {
		.type = PERF_TYPE_HARDWARE,
		.size = sizeof(a),
		.config = PERF_COUNT_HW_CPU_CYCLES,
		.pinned = 1,
		.exclude_kernel = 1,
	};

	if (period) {
		a.disabled = 1;
		a.sample_period = period;
		a.sample_type = PERF_SAMPLE_IP;
		a.wakeup_events = 1;
	}
	return (int)syscall(SYS_perf_event_open, &a, 0, -1, -1,
			    PERF_FLAG_FD_CLOEXEC);
}

static void work(void)
{
	for (volatile int i = 0; i < 20000000; i++)
		;
}

static bool cycles_count(void)
{
	int fd = open_cycles(0);
	u64 n = 0;

	if (fd < 0)
		return wrong("perf_event_open: %s", strerror(errno));
	work();
	if (read(fd, &n, sizeof(n)) != sizeof(n) || n < 1000000)
		return wrong("only %llu cycles", (unsigned long long)n);
	close(fd);
	return true;
}

/* An overflow is an interrupt, and here a signal. */
static bool overflows_come(void)
{
	int fd = open_cycles(1000000);

	if (fd < 0)
		return wrong("perf_event_open: %s", strerror(errno));
	signal(SIGIO, on_overflow);
	fcntl(fd, F_SETFL, O_ASYNC);
	fcntl(fd, F_SETOWN, getpid());
	ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
	work();
	close(fd);
	return overflows > 0 || wrong("no overflow interrupt");
}

bool test_pmu(const char *arg)
{
	return cycles_count() && overflows_come();
}

/* --- interrupts of counters --- */

#define PERIOD  200000ull /* cycles */
#define SAMPLES 64        /* to wait for */
#define PAGES   16        /* of the ring that samples go to; a power of two */

struct ring {
	struct perf_event_mmap_page *page;
	size_t size, page_size;
};

static bool ring_map(struct ring *r, int fd)
{
	void *p;

	r->page_size = (size_t)sysconf(_SC_PAGESIZE);
	r->size = PAGES * r->page_size;
	p = mmap(NULL, r->page_size + r->size, PROT_READ | PROT_WRITE,
		 MAP_SHARED, fd, 0);
	r->page = p;
	return p != MAP_FAILED || wrong("mmap: %s", strerror(errno));
}

/* All samples so far, if nothing was lost. */
static u64 ring_samples(const struct ring *r)
{
	const u8 *data = (const u8 *)r->page + r->page_size;
	u64 end = __atomic_load_n(&r->page->data_head, __ATOMIC_ACQUIRE);
	u64 n = 0;

	for (u64 at = 0; at + 8 <= MIN(end, r->size);) {
		const struct perf_event_header *h = (const void *)(data + at);

		n += h->type == PERF_RECORD_SAMPLE;
		at += MAX(h->size, sizeof(*h));
	}
	return n;
}

static bool work_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return !sched_setaffinity(0, sizeof(set), &set) ||
	       wrong("CPU %d: %s", cpu, strerror(errno));
}

/* Each overflow is an interrupt, and a sample; there are no more of these than
 * cycles allow. An interrupt may find that the kernel has seen to it already.
 */
static bool samples_come(int cpu)
{
	struct irqs pmu = irqs_find("arm-pmu*");
	u64 came, samples = 0, cycles = 0;
	struct ring r = { 0 };
	int fd;

	if (!work_on(cpu))
		return false;
	fd = open_cycles(PERIOD);
	if (fd < 0)
		return wrong("perf_event_open: %s", strerror(errno));
	if (!ring_map(&r, fd))
		return false;
	came = irqs_count(&pmu, cpu);
	ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
	for (int i = 0; i < 100 && samples < SAMPLES; i++) {
		work();
		samples = ring_samples(&r);
	}
	ioctl(fd, PERF_EVENT_IOC_DISABLE, 0);
	came = irqs_count(&pmu, cpu) - came;
	if (read(fd, &cycles, sizeof(cycles)) != sizeof(cycles))
		wrong("read: %s", strerror(errno));
	samples = ring_samples(&r);
	munmap(r.page, r.page_size + r.size);
	close(fd);
	say("CPU %d: %llu cycles, %llu samples, %llu interrupts", cpu,
	    (unsigned long long)cycles, (unsigned long long)samples,
	    (unsigned long long)came);
	return samples >= SAMPLES && samples <= cycles / PERIOD + 1 &&
	       came >= samples && came <= samples + samples / 4;
}

bool test_pmu_irq(const char *arg)
{
	for (int i = 0; i < sysconf(_SC_NPROCESSORS_ONLN); i++)
		if (!samples_come(i))
			return wrong("CPU %d's do not come as they should", i);
	return true;
}
