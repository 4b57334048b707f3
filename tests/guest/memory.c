/*
 * Memory, and where there is none, seen from the guest's programs.
 */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

/* All that the kernel took as its memory, in bytes. */
static u64 system_ram(void)
{
	FILE *f = fopen("/proc/iomem", "re");
	unsigned long long first, last;
	char line[256];
	u64 sum = 0;

	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, ": System RAM") &&
		    sscanf(line, "%llx-%llx", &first, &last) == 2)
			sum += last - first + 1;
	if (f)
		fclose(f);
	return sum;
}

/* No two words in it are equal, and few bits stay. */
static u64 pattern(size_t i)
{
	return (i + 1) * 0x9e3779b97f4a7c15ull;
}

/* Fill @size bytes, then look at them. */
static bool holds(size_t size)
{
	volatile u64 *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t words = size / sizeof(*p);

	if (p == MAP_FAILED)
		return wrong("%zu MiB: %s", (size_t)(size / MIB),
			     strerror(errno));
	for (size_t i = 0; i < words; i++)
		p[i] = pattern(i);
	for (size_t i = 0; i < words; i++)
		if (p[i] != pattern(i))
			return wrong("word %zu is %llx", i,
				     (unsigned long long)p[i]);
	say("%zu MiB hold what was written", (size_t)(size / MIB));
	return true;
}

/* Half of what is free, up to what an emulated host does in seconds. */
bool test_mem(const char *arg)
{
	u64 size = system_ram(), given = strtoull(arg, NULL, 10) * MIB;
	struct sysinfo si;

	say("%llu KiB of memory", (unsigned long long)(size / KIB));
	/* Stolen-time records lie in what is missing. */
	if (size > given || size < given - 64 * KIB)
		return wrong("not %s", arg);
	sysinfo(&si);
	return holds(
		ALIGN_DOWN(MIN(si.freeram * si.mem_unit / 2, 192 * MIB), MIB));
}

static sigjmp_buf aborted;

static void on_abort(int sig)
{
	siglongjmp(aborted, sig);
}

/*
 * In assembly because a compiler may choose forms of loads and stores that the
 * hardware does not describe to a monitor: with writeback, or pairs.
 */
static void read_all_sizes(volatile void *p)
{
	u64 v;

	asm volatile("ldrb %w0, [%1]" : "=&r"(v) : "r"(p));
	asm volatile("ldrh %w0, [%1]" : "=&r"(v) : "r"(p));
	asm volatile("ldr %w0, [%1]" : "=&r"(v) : "r"(p));
	asm volatile("ldr %0, [%1]" : "=&r"(v) : "r"(p));
}

static void write_all_sizes(volatile void *p)
{
	asm volatile("strb %w0, [%1]" : : "r"(~0ull), "r"(p));
	asm volatile("strh %w0, [%1]" : : "r"(~0ull), "r"(p));
	asm volatile("str %w0, [%1]" : : "r"(~0ull), "r"(p));
	asm volatile("str %0, [%1]" : : "r"(~0ull), "r"(p));
}

/* Such a form must abort, as on a machine with nothing there. */
static bool pair_aborts(volatile void *p)
{
	u64 a, b;

	if (sigsetjmp(aborted, 1))
		return true;
	asm volatile("ldp %0, %1, [%2]" : "=r"(a), "=r"(b) : "r"(p) : "memory");
	return wrong("a pair was read where there is nothing");
}

static bool scribble(int fd, off_t at)
{
	volatile u8 *p =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, at);
	bool ok;

	if (p == MAP_FAILED)
		return wrong("/dev/mem at %llx: %s", (unsigned long long)at,
			     strerror(errno));
	for (int off = 0; off < 4096; off += 512) {
		read_all_sizes(p + off);
		write_all_sizes(p + off);
	}
	ok = pair_aborts(p);
	munmap((void *)(uintptr_t)p, 4096);
	return ok;
}

bool test_scribble(const char *arg)
{
	static const off_t holes[] = { 0x1000, 0x09020000, 0x30000000 };
	int fd = open("/dev/mem", O_RDWR | O_SYNC | O_CLOEXEC);
	bool ok = true;

	if (fd < 0)
		return wrong("/dev/mem: %s", strerror(errno));
	signal(SIGBUS, on_abort);
	for (size_t i = 0; ok && i < ARRAY_SIZE(holes); i++)
		ok = scribble(fd, holes[i]);
	close(fd);
	return ok;
}
