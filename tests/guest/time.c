/*
 * The clock, sleep, and the counters, seen from the guest's programs.
 */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <linux/rtc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
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

bool test_suspend(const char *arg)
{
	long long slept;

	if (!file_put("/sys/power/mem_sleep", arg))
		return wrong("%s is not offered", arg);
	if (!file_put("/sys/class/rtc/rtc0/wakealarm", "+3"))
		return wrong("wakealarm: %s", strerror(errno));
	say("going to sleep (%s)", arg);
	slept = -uptime_ms();
	if (!file_put("/sys/power/state", "mem"))
		return wrong("no sleep: %s", strerror(errno));
	slept += uptime_ms();
	say("awake again after %lld ms", slept);
	return slept > 1000 || wrong("that was no sleep");
}

static volatile sig_atomic_t overflows;

static void on_overflow(int sig)
{
	overflows++;
}

static int open_cycles(bool sampling)
{
	struct perf_event_attr a = {
		.type = PERF_TYPE_HARDWARE,
		.size = sizeof(a),
		.config = PERF_COUNT_HW_CPU_CYCLES,
		.pinned = 1,
		.exclude_kernel = 1,
	};

	if (sampling) {
		a.sample_period = 1000000;
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
	int fd = open_cycles(false);
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
	int fd = open_cycles(true);

	if (fd < 0)
		return wrong("perf_event_open: %s", strerror(errno));
	signal(SIGIO, on_overflow);
	fcntl(fd, F_SETFL, O_ASYNC);
	fcntl(fd, F_SETOWN, getpid());
	work();
	close(fd);
	return overflows > 0 || wrong("no overflow interrupt");
}

bool test_pmu(const char *arg)
{
	return cycles_count() && overflows_come();
}
