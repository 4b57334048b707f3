/*
 * Random accesses to the interrupt controllers, and tables and commands in
 * memory for them that are made up: by all CPUs side by side, while the devices
 * have work. It is the guest itself that this harms.
 *
 * Needs iomem=relaxed on the kernel's command line, as the registers are in
 * use.
 *
 * Arm IHI 0069H, chapters 5 and 12.
 */
#include "guest.h"
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#define FRAME        (64 * KIB)
#define TRANSLATER   (FRAME + 0x40)

#define GITS_CTLR    0x0000
#define GITS_CBASER  0x0080
#define GITS_CWRITER 0x0088
#define GITS_BASER   0x0100 /* eight; the devices' and the collections' first */
#define BASER_VALID  BIT(63)
#define BASER_64K    FIELD_PREP(GENMASK(9, 8), 2)

#define GICR_CTLR    0x0000
#define GICR_PROP    0x0070
#define GICR_PEND    0x0078
#define GICR_SIZE    (2 * FRAME)

#define LPI_FIRST    8192
#define COMMAND_SIZE 32

struct range {
	u8 *at;
	size_t size;
};

/* Of our own memory: first the command queue, then what may be any table. */
#define OWN_SIZE   (2 * MIB)
#define QUEUE_SIZE FRAME

/* What all CPUs write to. */
struct target {
	struct range its, gicr, gicd; /* registers */
	struct range own; /* memory that is in one piece, at @own_phys */
	u64 own_phys;
	struct range untold; /* memory that the kernel was not told of */
	u64 start, ticks; /* of CNTVCT_EL0: when it began, how long it takes */
	_Atomic u32 written; /* commands */
};

struct scribbler {
	pthread_t thread;
	struct target *t;
	int cpu;
	u64 random, acts;
};

/* The timer may be the first to go; this goes on. */
static u64 now(void)
{
	u64 n;

	asm volatile("isb; mrs %0, cntvct_el0" : "=r"(n));
	return n;
}

static u64 frequency(void)
{
	u64 n;

	asm volatile("mrs %0, cntfrq_el0" : "=r"(n));
	return n;
}

/* xorshift64* */
static u64 next(struct scribbler *s)
{
	s->random ^= s->random >> 12;
	s->random ^= s->random << 25;
	s->random ^= s->random >> 27;
	return s->random * 0x2545f4914f6cdd1dull;
}

static u64 below(struct scribbler *s, u64 n)
{
	return (next(s) >> 16) % n;
}

static bool one_in(struct scribbler *s, u64 n)
{
	return !below(s, n);
}

/* A value of a kind that decides something more often than noise does. */
static u64 value(struct scribbler *s)
{
	switch (below(s, 5)) {
	case 0:
		return 0;
	case 1:
		return ~0ull;
	case 2:
		return BIT(below(s, 64));
	case 3:
		return below(s, 64);
	default:
		return next(s);
	}
}

/* --- registers --- */

/* In assembly, for forms that the hardware describes to a monitor. */
static void put(volatile void *p, u64 val, size_t size)
{
	switch (size) {
	case 1:
		asm volatile("strb %w0, [%1]" : : "r"(val), "r"(p) : "memory");
		break;
	case 2:
		asm volatile("strh %w0, [%1]" : : "r"(val), "r"(p) : "memory");
		break;
	case 4:
		asm volatile("str %w0, [%1]" : : "r"(val), "r"(p) : "memory");
		break;
	default:
		asm volatile("str %0, [%1]" : : "r"(val), "r"(p) : "memory");
	}
}

static void get(volatile void *p, size_t size)
{
	u64 val;

	switch (size) {
	case 1:
		asm volatile("ldrb %w0, [%1]" : "=r"(val) : "r"(p));
		break;
	case 2:
		asm volatile("ldrh %w0, [%1]" : "=r"(val) : "r"(p));
		break;
	case 4:
		asm volatile("ldr %w0, [%1]" : "=r"(val) : "r"(p));
		break;
	default:
		asm volatile("ldr %0, [%1]" : "=r"(val) : "r"(p));
	}
}

/* Where blocks of registers begin, of any of the frames. */
static const u16 blocks[] = { 0x0000, 0x0040, 0x0070, 0x0080, 0x0100, 0x0180,
			      0x0200, 0x0280, 0x0300, 0x0380, 0x0400, 0x0800,
			      0x0c00, 0x0d00, 0x0e00, 0x0f00, 0x6100, 0xffc0 };

static void scribble(struct scribbler *s, const struct range *r)
{
	u64 off = blocks[below(s, ARRAY_SIZE(blocks))] + below(s, 64);
	size_t size = BIT(below(s, 4));
	u8 *p;

	if (one_in(s, 8))
		off = below(s, FRAME);
	p = r->at + below(s, r->size / FRAME) * FRAME + ALIGN_DOWN(off, size);
	if (one_in(s, 3))
		get(p, size);
	else
		put(p, value(s), size);
}

/* --- tables and commands --- */

static u64 own_place(struct scribbler *s, u64 align)
{
	return s->t->own_phys + ALIGN_DOWN(below(s, OWN_SIZE), align);
}

/* Tables that may be used, of any size, or nearly. */
static void place_tables(struct scribbler *s)
{
	u8 *its = s->t->its.at;
	u64 noise = one_in(s, 4) ? BIT(below(s, 64)) : 0;

	put(its + GITS_CTLR, 0, 4);
	put(its + GITS_BASER + 8 * below(s, 2),
	    (BASER_VALID | BASER_64K | own_place(s, FRAME) | below(s, 8)) ^
		    noise,
	    8);
	if (one_in(s, 4))
		put(its + GITS_CBASER,
		    BASER_VALID | s->t->own_phys | (QUEUE_SIZE / 4096 - 1), 8);
	put(its + GITS_CTLR, !one_in(s, 8), 4);
}

static void make_command(struct scribbler *s, u64 *c)
{
	static const u8 opcodes[] = { 0x01, 0x03, 0x04, 0x05, 0x08, 0x08,
				      0x08, 0x09, 0x09, 0x0a, 0x0a, 0x0a,
				      0x0b, 0x0c, 0x0d, 0x0e, 0x0f };
	u64 dev = one_in(s, 16) ? next(s) : below(s, 16) << 3;
	u64 event = one_in(s, 16) ? next(s) : below(s, 8);

	c[0] = opcodes[below(s, sizeof(opcodes))] | dev << 32;
	/* MAPD's size, or an event and its LPI. */
	c[1] = (u32)event | (LPI_FIRST + below(s, 64)) << 32;
	if ((c[0] & 0xff) == 0x08) {
		c[1] = below(s, one_in(s, 8) ? 32 : 6);
		c[2] = own_place(s, 256) | (one_in(s, 4) ? 0 : BIT(63));
	} else {
		/* A collection, and the CPU it is at. */
		c[2] = below(s, 16) | below(s, 10) << 16 |
		       (one_in(s, 4) ? 0 : BIT(63));
	}
	c[3] = below(s, 10) << 16;
	if (one_in(s, 16))
		c[below(s, 4)] ^= BIT(below(s, 64));
}

/* Behind those of before, whosever they were. */
static void give_commands(struct scribbler *s)
{
	u32 n = (u32)below(s, 64), room = QUEUE_SIZE / COMMAND_SIZE;
	u32 at = atomic_fetch_add(&s->t->written, n);
	u64 c[4];

	for (u32 i = 0; i < n; i++) {
		make_command(s, c);
		memcpy(s->t->own.at + (at + i) % room * COMMAND_SIZE, c,
		       sizeof(c));
	}
	asm volatile("dsb sy" : : : "memory");
	put(s->t->its.at + GITS_CWRITER, (at + n) % room * COMMAND_SIZE, 8);
}

/* As the kernel does it at boot, only elsewhere. */
static void place_lpi_tables(struct scribbler *s)
{
	u8 *r = s->t->gicr.at +
		below(s, s->t->gicr.size / GICR_SIZE) * GICR_SIZE;

	put(r + GICR_CTLR, 0, 4);
	put(r + GICR_PROP, own_place(s, 4096) | below(s, 32), 8);
	put(r + GICR_PEND, own_place(s, FRAME) | (next(s) & BIT(62)), 8);
	put(r + GICR_CTLR, 1, 4);
}

static void scribble_memory(struct scribbler *s, const struct range *r)
{
	if (!r->size)
		return;
	for (int i = 0; i < 64; i++)
		put(r->at + ALIGN_DOWN(below(s, r->size), 8), value(s), 8);
}

static void send_message(struct scribbler *s)
{
	put(s->t->its.at + TRANSLATER, below(s, 8), 4);
}

/* --- all of it --- */

static _Thread_local sigjmp_buf aborted;

static void on_abort(int sig)
{
	siglongjmp(aborted, sig);
}

/* The worse, the later: what brings the interrupts of the timers and of other
 * CPUs comes last. @third of the time: 0, 1 or 2. */
static void act(struct scribbler *s, u64 third)
{
	switch (below(s, 6 + 2 * third)) {
	case 0:
		place_tables(s);
		break;
	case 1:
		give_commands(s);
		break;
	case 2:
		scribble(s, &s->t->its);
		break;
	case 3:
		scribble_memory(s, &s->t->own);
		break;
	case 4:
		scribble_memory(s, &s->t->untold);
		break;
	case 5:
		send_message(s);
		break;
	case 6:
	case 7:
		place_lpi_tables(s);
		break;
	case 8:
		scribble(s, &s->t->gicr);
		break;
	case 9:
		scribble(s, &s->t->gicd);
		break;
	}
}

static void *run(void *arg)
{
	struct scribbler *s = arg;
	const struct target *t = s->t;
	cpu_set_t set;
	u64 gone;

	CPU_ZERO(&set);
	CPU_SET(s->cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	sigsetjmp(aborted, 1);
	while ((gone = now() - t->start) < t->ticks) {
		act(s, gone * 3 / t->ticks);
		s->acts++;
	}
	return NULL;
}

static bool map(int fd, u64 phys, u64 size, struct range *r)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		       (off_t)phys);

	*r = (struct range) { p, size };
	return p != MAP_FAILED ||
	       wrong("/dev/mem at %llx: %s", (unsigned long long)phys,
		     strerror(errno));
}

/* The @nr-th range that the device tree says for a node. */
static bool map_node(int fd, const char *pattern, size_t nr, struct range *r)
{
	u64 reg[16] = { 0 };
	ssize_t n = -1;
	glob_t g;

	if (!glob(pattern, 0, NULL, &g)) {
		int f = open(g.gl_pathv[0], O_RDONLY | O_CLOEXEC);

		n = read(f, reg, sizeof(reg));
		close(f);
	}
	globfree(&g);
	if (n < (ssize_t)((2 * nr + 2) * sizeof(*reg)))
		return wrong("%s does not say enough", pattern);
	return map(fd, be64toh(reg[2 * nr]), be64toh(reg[2 * nr + 1]), r);
}

/* Behind the last of the memory that the kernel knows, up to where more would
 * not be missing to a round size. */
static bool map_untold(int fd, struct range *r)
{
	FILE *f = fopen("/proc/iomem", "re");
	unsigned long long last = 0, n;
	char line[256];
	u64 end;

	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, ": System RAM") &&
		    sscanf(line, "%*x-%llx", &n) == 1)
			last = n;
	if (f)
		fclose(f);
	end = ALIGN_UP(last + 1, 2 * MIB);
	*r = (struct range) { 0 };
	return end == last + 1 || map(fd, last + 1, end - last - 1, r);
}

static u64 phys_of(const void *p)
{
	u64 page = (u64)sysconf(_SC_PAGESIZE), entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (pread(fd, &entry, sizeof(entry),
		  (off_t)((uintptr_t)p / page * sizeof(entry))) !=
	    sizeof(entry))
		wrong("pagemap: %s", strerror(errno));
	close(fd);
	return (entry & GENMASK(54, 0)) * page;
}

/* A huge page is in one piece. */
static bool take_own(struct target *t)
{
	u8 *p;

	file_put("/proc/sys/vm/nr_hugepages", "1");
	p = mmap(NULL, OWN_SIZE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1,
		 0);
	if (p == MAP_FAILED)
		return wrong("a huge page: %s", strerror(errno));
	t->own = (struct range) { p, OWN_SIZE };
	t->own_phys = phys_of(p);
	return t->own_phys || wrong("no address of the huge page");
}

static bool map_all(struct target *t)
{
	int fd = open("/dev/mem", O_RDWR | O_SYNC | O_CLOEXEC);
	bool ok;

	if (fd < 0)
		return wrong("/dev/mem: %s", strerror(errno));
	ok = map_node(fd, "/proc/device-tree/interrupt-controller@*/reg", 0,
		      &t->gicd) &&
	     map_node(fd, "/proc/device-tree/interrupt-controller@*/reg", 1,
		      &t->gicr) &&
	     map_node(
		     fd,
		     "/proc/device-tree/interrupt-controller@*/msi-controller@*/reg",
		     0, &t->its) &&
	     map_untold(fd, &t->untold) && take_own(t);
	close(fd);
	return ok;
}

static u64 choose_seed(const char *arg)
{
	const char *comma = strchr(arg, ',');
	u64 seed = 0;

	if (comma)
		seed = strtoull(comma + 1, NULL, 0);
	else if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		wrong("getrandom: %s", strerror(errno));
	say("scribble-gic: seed %#llx", (unsigned long long)seed);
	return seed;
}

/*
 * For N seconds, with random numbers from SEED on: N[,SEED]. Whether the guest
 * is well after that, it is not the one to ask, so it stays as it is.
 */
bool test_scribble_gic(const char *arg)
{
	int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
	struct scribbler *s = calloc((size_t)cpus, sizeof(*s));
	u64 seed = choose_seed(arg), acts = 0;
	struct target t = { 0 };

	if (!s || !map_all(&t))
		return false;
	load_start(false);
	signal(SIGBUS, on_abort);
	say("scribble-gic: begins");
	t.start = now();
	t.ticks = strtoull(arg, NULL, 10) * frequency();
	for (int i = 0; i < cpus; i++) {
		s[i] = (struct scribbler) { .t = &t, .cpu = i };
		s[i].random = (seed ^ (u64)i << 56) | 1;
		if (pthread_create(&s[i].thread, NULL, run, &s[i]))
			abort();
	}
	for (int i = 0; i < cpus; i++) {
		pthread_join(s[i].thread, NULL);
		acts += s[i].acts;
	}
	say("scribble-gic: over, after %llu acts", (unsigned long long)acts);
	pause();
	return wrong("woken");
}
