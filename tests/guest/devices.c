/*
 * Devices that come and go while they are in use, and entropy.
 */
#include "guest.h"
#include "data.h"
#include "pci.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <unistd.h>

#define VIRTIO "/sys/bus/virtio/"
#define PCI    "/sys/bus/pci/"

/* --- entropy --- */

static bool read_hwrng(u8 *buf, size_t len)
{
	int fd = open("/dev/hwrng", O_RDONLY | O_CLOEXEC);
	size_t got = 0;
	ssize_t n = 1;

	while (fd >= 0 && got < len && n > 0) {
		n = read(fd, buf + got, len - got);
		got += (size_t)MAX(n, 0);
	}
	if (got < len)
		wrong("/dev/hwrng: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	return got == len;
}

/* Set bits of random bytes are half of all, within six standard deviations. */
static bool looks_random(const u8 *buf, size_t len)
{
	s64 bits = 0, off;

	for (size_t i = 0; i < len; i++)
		bits += __builtin_popcount(buf[i]);
	off = bits - (s64)len * 4;
	return off * off <= 36 * (s64)len * 2 ||
	       wrong("%lld of %zu bits are set", (long long)bits, len * 8);
}

bool test_rng(const char *arg)
{
	static u8 first[4096], second[4096];
	char name[32] = "";

	file_get("/sys/class/misc/hw_random/rng_current", name, sizeof(name));
	say("rng: %s", name);
	return (!strncmp(name, "virtio_rng", 10) || wrong("not virtio_rng")) &&
	       read_hwrng(first, sizeof(first)) &&
	       read_hwrng(second, sizeof(second)) &&
	       (memcmp(first, second, sizeof(first)) ||
		wrong("the same bytes twice")) &&
	       looks_random(first, sizeof(first)) &&
	       looks_random(second, sizeof(second));
}

/* --- load on a disk --- */

#define BLOCK   4096
#define BLOCKS  2048 /* of the disk, from its beginning */
#define AT_ONCE 64   /* that are read back */
#define WRITERS 4

/* What a block holds: its own number, that of the write, and data of both. */
struct block {
	u64 number, seq;
	u64 data[BLOCK / 8 - 2];
};

struct writer {
	pthread_t thread;
	u32 first; /* of BLOCKS / WRITERS */
	volatile bool stop;
	u64 seq, writes;
	u64 done[BLOCKS / WRITERS];  /* the last write that was completed */
	u64 begun[BLOCKS / WRITERS]; /* the last that was tried */
};

static void make_block(struct block *b, u64 number, u64 seq)
{
	b->number = number;
	b->seq = seq;
	data_fill(number << 12 | 5, seq * sizeof(b->data), b->data,
		  sizeof(b->data));
}

/* A block that was never written is all zeros. */
static bool block_is_whole(const struct block *b, u64 number)
{
	static const struct block zeros;
	struct block want;

	if (!b->seq)
		return !memcmp(b, &zeros, sizeof(*b));
	make_block(&want, number, b->seq);
	return !memcmp(b, &want, sizeof(want));
}

/* Until it is to stop, or the disk is gone. */
static void *run_writer(void *arg)
{
	struct writer *w = arg;
	struct block *b = aligned_alloc(BLOCK, sizeof(*b));
	int fd = open(disk_dev(), O_RDWR | O_DIRECT | O_CLOEXEC);

	while (b && fd >= 0 && !w->stop) {
		u32 i = (u32)(++w->seq * 2654435761u) % (BLOCKS / WRITERS);

		make_block(b, w->first + i, w->seq);
		w->begun[i] = w->seq;
		if (pwrite(fd, b, BLOCK, (off_t)(w->first + i) * BLOCK) !=
		    BLOCK)
			break;
		w->done[i] = w->seq;
		w->writes++;
	}
	close(fd);
	free(b);
	return NULL;
}

static void start_writers(struct writer *w)
{
	for (u32 i = 0; i < WRITERS; i++) {
		w[i].first = i * (BLOCKS / WRITERS);
		w[i].stop = false;
		if (pthread_create(&w[i].thread, NULL, run_writer, &w[i]))
			abort();
	}
}

static void stop_writers(struct writer *w)
{
	for (u32 i = 0; i < WRITERS; i++) {
		w[i].stop = true;
		pthread_join(w[i].thread, NULL);
	}
}

static u64 all_writes(const struct writer *w)
{
	u64 n = 0;

	for (u32 i = 0; i < WRITERS; i++)
		n += w[i].writes;
	return n;
}

/* The block is whole; if @w wrote there, it is what was completed last, or what
 * was begun after that. */
static bool check_block(const struct block *b, u32 i, const struct writer *w)
{
	const struct writer *by = w ? &w[i / (BLOCKS / WRITERS)] : NULL;
	u32 at = i % (BLOCKS / WRITERS);

	if (!block_is_whole(b, i))
		return wrong("block %u is not whole", i);
	if (by && by->done[at] &&
	    (b->seq < by->done[at] || b->seq > by->begun[at]))
		return wrong("block %u is of write %llu, not %llu", i,
			     (unsigned long long)b->seq,
			     (unsigned long long)by->done[at]);
	return true;
}

static bool check_blocks(const struct writer *w)
{
	struct block *b = aligned_alloc(BLOCK, AT_ONCE * sizeof(*b));
	int fd = open(disk_dev(), O_RDONLY | O_DIRECT | O_CLOEXEC);
	bool ok = b && fd >= 0;

	for (u32 i = 0; ok && i < BLOCKS; i++) {
		if (i % AT_ONCE == 0)
			ok = pread(fd, b, AT_ONCE * BLOCK, (off_t)i * BLOCK) ==
				     AT_ONCE * BLOCK ||
			     wrong("block %u: %s", i, strerror(errno));
		ok = ok && check_block(&b[i % AT_ONCE], i, w);
	}
	close(fd);
	free(b);
	return ok;
}

/* Boots again, as often as one answers yes, in the middle of writes. */
bool test_reboot_loaded(const char *arg)
{
	static struct writer w[WRITERS];
	char answer[16] = "";

	if (!check_blocks(NULL))
		return false;
	start_writers(w);
	while (all_writes(w) < 100)
		usleep(1000);
	say("reboot-loaded: all blocks are whole; shall I?");
	if (fgets(answer, sizeof(answer), stdin) && !strcmp(answer, "yes\n"))
		reboot(RB_AUTOBOOT);
	stop_writers(w);
	return check_blocks(w);
}

/* --- drivers that leave and come back --- */

/* A device, by its driver: the PCI function it is. */
static bool find_function(const char *driver, char *pci, size_t size)
{
	char pattern[128], *real, *slash;
	bool found = false;
	glob_t g;

	snprintf(pattern, sizeof(pattern), VIRTIO "drivers/%s/virtio*", driver);
	if (!glob(pattern, 0, NULL, &g)) {
		real = realpath(g.gl_pathv[0], NULL);
		slash = real ? strrchr(real, '/') : NULL;
		if (slash) {
			*slash = '\0';
			snprintf(pci, size, "%s", strrchr(real, '/') + 1);
			found = true;
		}
		free(real);
	}
	globfree(&g);
	return found || wrong("%s has no device", driver);
}

/* Its virtio device, which has another name after each time. */
static bool virtio_name(const char *pci, char *name, size_t size)
{
	char pattern[128];
	bool found;
	glob_t g;

	snprintf(pattern, sizeof(pattern), PCI "devices/%s/virtio*", pci);
	found = !glob(pattern, 0, NULL, &g);
	if (found)
		snprintf(name, size, "%s", strrchr(g.gl_pathv[0], '/') + 1);
	globfree(&g);
	return found || wrong("%s is no virtio device", pci);
}

static bool put(const char *dir, const char *driver, const char *file,
		const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%sdrivers/%s/%s", dir, driver, file);
	return file_put(path, text) ||
	       wrong("%s to %s: %s", text, path, strerror(errno));
}

/* By PCI's own means, where the function has some. */
static bool reset_function(const char *pci)
{
	char path[128];

	snprintf(path, sizeof(path), PCI "devices/%s/reset", pci);
	return access(path, F_OK) || file_put(path, "1") ||
	       wrong("%s: %s", path, strerror(errno));
}

static bool is_virtio(const char *driver)
{
	return !strncmp(driver, "virtio", strlen("virtio"));
}

/*
 * Take the driver from the device and give it back. In turn, its own driver,
 * which resets the device, and the bus's, too, which also takes interrupts and
 * BARs away; then the function is reset as well. Where there is one driver
 * only, it goes, and in turn the function is reset.
 */
static bool leave(const char *driver, const char *pci, int round)
{
	char name[32];

	if (!is_virtio(driver))
		return put(PCI, driver, "unbind", pci) &&
		       (round % 2 == 0 || reset_function(pci));
	if (round % 2)
		return put(PCI, "virtio-pci", "unbind", pci) &&
		       reset_function(pci);
	return virtio_name(pci, name, sizeof(name)) &&
	       put(VIRTIO, driver, "unbind", name);
}

static bool come_back(const char *driver, const char *pci, int round)
{
	char name[32];

	if (!is_virtio(driver))
		return put(PCI, driver, "bind", pci);
	if (round % 2)
		return put(PCI, "virtio-pci", "bind", pci);
	return virtio_name(pci, name, sizeof(name)) &&
	       put(VIRTIO, driver, "bind", name);
}

bool reprobe(const char *driver, long count)
{
	char pci[32];
	bool ok = find_function(driver, pci, sizeof(pci));

	for (; ok && count > 0; count--)
		ok = leave(driver, pci, 0) && come_back(driver, pci, 0);
	return ok;
}

static bool rebind_disk(const char *driver, const char *pci, int rounds)
{
	static struct writer w[WRITERS];
	u64 goal = 0;

	for (int i = 0; i < rounds; i++) {
		start_writers(w);
		for (goal += 50; all_writes(w) < goal;)
			usleep(1000);
		if (!leave(driver, pci, i))
			return false;
		stop_writers(w);
		if (!come_back(driver, pci, i) || !appears(disk_dev()))
			return false;
		goal = all_writes(w);
	}
	say("rebind: %llu writes", (unsigned long long)goal);
	return check_blocks(w);
}

/* A stream that is under way must arrive whole. */
static bool rebind_card(const char *driver, const char *pci, int rounds)
{
	struct stream *s;
	bool ok = card_up();

	s = stream_start(false, (u64)rounds * MIB);
	for (int i = 0; ok && i < rounds; i++) {
		usleep(100000);
		ok = leave(driver, pci, i) && come_back(driver, pci, i) &&
		     appears("/sys/class/net/eth0") && card_up();
	}
	return stream_end(s) && ok;
}

/* While it is in use: its driver is told, and begins anew. */
static bool reset_disk(const char *pci, int rounds)
{
	static struct writer w[WRITERS];
	bool ok = true;

	start_writers(w);
	for (int i = 0; ok && i < rounds; i++) {
		u64 goal = all_writes(w) + 50;

		for (int ms = 0; ok && all_writes(w) < goal; ms++) {
			ok = ms < 60000 || wrong("no write comes to its end");
			usleep(1000);
		}
		ok = ok && reset_function(pci);
	}
	stop_writers(w);
	return ok && check_blocks(w);
}

/* Not while it is: a card's driver does not know. */
static bool reset_card(const char *pci, int rounds)
{
	bool ok = card_up() && stream_run(false, 256 * KIB);

	for (int i = 0; ok && i < rounds; i++)
		ok = card_down() && reset_function(pci) && card_up() &&
		     stream_run(i % 2, 256 * KIB);
	return ok;
}

static volatile bool enough;

/* Reads on, whoever gives the bytes; without a device there are none. */
static void *drain_hwrng(void *arg)
{
	u64 *bytes = arg;
	u8 buf[64];

	while (!enough) {
		int fd = open("/dev/hwrng", O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? 0 : read(fd, buf, sizeof(buf));

		*bytes += (u64)MAX(n, 0);
		if (fd >= 0)
			close(fd);
	}
	return NULL;
}

/* How often the thread with this /proc/N/comm let others run; -1: it is not
 * Linux's own reader of random numbers. */
static int hwrng_switches(const char *comm)
{
	char buf[4096], path[64];
	const char *at;

	if (!file_get(comm, buf, sizeof(buf)) || strcmp(buf, "hwrng"))
		return -1;
	snprintf(path, sizeof(path), "%.*s/status",
		 (int)(strrchr(comm, '/') - comm), comm);
	at = file_get(path, buf, sizeof(buf))
		     ? strstr(buf, "\nvoluntary_ctxt_switches:")
		     : NULL;
	return at ? atoi(strchr(at, ':') + 1) : -1;
}

/* Has it begun, if there is one? The first switch is its creation. */
static bool hwrng_began(void)
{
	bool began = true;
	glob_t g;

	if (!glob("/proc/[0-9]*/comm", 0, NULL, &g))
		for (size_t i = 0; i < g.gl_pathc; i++) {
			int n = hwrng_switches(g.gl_pathv[i]);

			began = began && (n < 0 || n > 1);
		}
	globfree(&g);
	return began;
}

/* Linux takes random numbers from a device by a thread. One that has not begun
 * when the device leaves is stopped again when the next does, and is not there
 * any more: the kernel oopses (6.1 does, 7.3 does not). */
static void await_hwrng(void)
{
	for (int ms = 0; ms < 30000 && !hwrng_began(); ms += 10)
		usleep(10000);
}

static bool rebind_rng(const char *driver, const char *pci, int rounds)
{
	pthread_t reader;
	u64 bytes = 0;
	bool ok = true;

	enough = false;
	if (pthread_create(&reader, NULL, drain_hwrng, &bytes))
		abort();
	for (int i = 0; ok && i < rounds; i++) {
		await_hwrng();
		ok = leave(driver, pci, i) && come_back(driver, pci, i);
	}
	ok = ok && test_rng("");
	enough = true;
	pthread_join(reader, NULL);
	say("rebind: %llu random bytes", (unsigned long long)bytes);
	return ok;
}

static bool write_any_hvc(const char *line)
{
	bool done = false;
	glob_t g;

	if (!glob("/dev/hvc*", 0, NULL, &g))
		for (size_t i = 0; !done && i < g.gl_pathc; i++)
			done = file_put(g.gl_pathv[i], line);
	globfree(&g);
	return done;
}

/* The device may have another of hvc's lines each time, and has it soon. */
static bool write_hvc(int round)
{
	char line[64];

	snprintf(line, sizeof(line), "rebind: line %d\n", round);
	for (int ms = 0; !write_any_hvc(line); ms += 10) {
		if (ms > 10000)
			return wrong("hvc: %s", strerror(errno));
		usleep(10000);
	}
	return true;
}

static bool rebind_console(const char *driver, const char *pci, int rounds)
{
	bool ok = true;

	for (int i = 0; ok && i < rounds; i++)
		ok = write_hvc(i) && leave(driver, pci, i) &&
		     come_back(driver, pci, i);
	return ok && write_hvc(rounds);
}

/* Each device N times, while it has work to do. */
bool test_rebind(const char *arg)
{
	static const struct {
		const char *driver;
		bool (*run)(const char *driver, const char *pci, int rounds);
	} devices[] = {
		{ "virtio_blk", rebind_disk },
		{ "virtio_net", rebind_card },
		{ "virtio_rng", rebind_rng },
		{ "virtio_console", rebind_console },
	};
	bool ok = true;
	char pci[32];

	for (size_t i = 0; ok && i < ARRAY_SIZE(devices); i++) {
		ok = find_function(devices[i].driver, pci, sizeof(pci)) &&
		     devices[i].run(devices[i].driver, pci, atoi(arg));
		say("rebind: %s, %s, %s times: %s", devices[i].driver, pci, arg,
		    ok ? "ok" : "FAILED");
	}
	return ok;
}

/* --- the same, of devices that are the host's own --- */

static const struct passed {
	const char *driver;
	bool (*rebind)(const char *driver, const char *pci, int rounds);
	bool (*reset)(const char *pci, int rounds);
} passed[] = {
	{ "nvme", rebind_disk, reset_disk },
	{ "igb", rebind_card, reset_card },
	{ "e1000e", rebind_card, reset_card },
};

/* A disk of the host's has what was written there before. */
static bool clear_blocks(void)
{
	u64 range[2] = { 0, BLOCKS * BLOCK };
	int fd = open(disk_dev(), O_RDWR | O_CLOEXEC);
	bool ok = (fd >= 0 && !ioctl(fd, BLKZEROOUT, range) && !fsync(fd)) ||
		  wrong("%s: %s", disk_dev(), strerror(errno));

	close(fd);
	return ok;
}

/* Those that are there; one at least. */
static bool each_passed(const char *what, int rounds)
{
	bool ok = true;
	char pci[32];
	int n = 0;

	for (size_t i = 0; ok && i < ARRAY_SIZE(passed); i++) {
		const struct passed *p = &passed[i];

		if (!pci_of_driver(p->driver, pci, sizeof(pci)))
			continue;
		n++;
		if (p->reset == reset_disk && !clear_blocks())
			return false;
		ok = *what == 'f' ? p->reset(pci, rounds)
				  : p->rebind(p->driver, pci, rounds);
		say("%s: %s, %s, %d times: %s", what, p->driver, pci, rounds,
		    ok ? "ok" : "FAILED");
	}
	return ok && (n || wrong("there is no such device"));
}

bool test_rebind_passed(const char *arg)
{
	return each_passed("rebind-passed", atoi(arg));
}

bool test_flr(const char *arg)
{
	return each_passed("flr", atoi(arg));
}

/* --- drivers that are unloaded and loaded --- */

static bool reload(const char *module, const char *path)
{
	return module_remove(module) &&
	       (access(path, F_OK) || wrong("%s is still there", path)) &&
	       module_insert(module) && appears(path);
}

/* A module that is in use stays, so the disk's goes between writes. */
static bool reload_disk(int rounds)
{
	static struct writer w[WRITERS];
	bool ok = true;

	for (int i = 0; ok && i < rounds; i++) {
		u64 goal = all_writes(w) + 50;

		start_writers(w);
		while (all_writes(w) < goal)
			usleep(1000);
		stop_writers(w);
		ok = reload("virtio_blk", disk_dev()) && check_blocks(w);
	}
	return ok;
}

/* A card's does not. A stream that is under way must arrive whole. */
static bool reload_card(int rounds)
{
	struct stream *s;
	bool ok = card_up();

	s = stream_start(false, (u64)rounds * MIB / 4);
	for (int i = 0; ok && i < rounds; i++) {
		usleep(100000);
		ok = reload("virtio_net", "/sys/class/net/eth0") && card_up();
	}
	return stream_end(s) && ok;
}

/* The drivers of the disk, and of the card if there is one, N times. */
bool test_modprobe(const char *arg)
{
	return appears(disk_dev()) && reload_disk(atoi(arg)) &&
	       (access("/sys/class/net/eth0", F_OK) || reload_card(atoi(arg)));
}
