/*
 * A disk, seen from the guest's programs: what it says of itself, and whether
 * it gives back what was written.
 */
#include "guest.h"
#include "data.h"
#include "sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/fs.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char disk[32];

static void find_disk(void)
{
	if (!kernel_word("belfry.disk=", disk, sizeof(disk)))
		strcpy(disk, "vda");
}

static const char *disk_name(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, find_disk);
	return disk;
}

const char *disk_dev(void)
{
	static _Thread_local char path[64];

	snprintf(path, sizeof(path), "/dev/%s", disk_name());
	return path;
}

/* A file of sysfs about it. */
static const char *about(const char *file)
{
	static _Thread_local char path[128];

	snprintf(path, sizeof(path), "/sys/block/%s/%s", disk_name(), file);
	return path;
}

/* A number in a file of sysfs, or 0. */
static u64 sysfs_number(const char *path)
{
	char text[32] = "";

	file_get(path, text, sizeof(text));
	return strtoull(text, NULL, 10);
}

static u64 disk_size(void)
{
	return sysfs_number(about("size")) * 512;
}

static size_t hardware_queues(void)
{
	glob_t g;
	size_t n = 0;

	if (!glob(about("mq/*"), 0, NULL, &g))
		n = g.gl_pathc;
	globfree(&g);
	return n;
}

static int open_disk(int flags)
{
	int fd = open(disk_dev(), flags | O_CLOEXEC);

	if (fd < 0)
		wrong("%s: %s", disk_dev(), strerror(errno));
	return fd;
}

/* Aligned as O_DIRECT wants it; ends the guest if there is none. */
static void *buffer(size_t size)
{
	void *p = aligned_alloc(4096, size);

	if (!p)
		abort();
	memset(p, 0, size);
	return p;
}

/* What the guest reads from now on comes from the disk. */
static bool drop_caches(void)
{
	return file_put("/proc/sys/vm/drop_caches", "3") ||
	       wrong("drop_caches: %s", strerror(errno));
}

/* The PCI function that it is. */
static void disk_place(char *buf, size_t size)
{
	/* .../0000:00:04.0/virtio0/block/vda */
	char *path = realpath(about(""), NULL), *at = path;

	snprintf(buf, size, "none");
	while (at && (at = strchr(at, '/')) && *++at)
		if (strlen(at) > 12 && at[12] == '/' && at[10] == '.')
			snprintf(buf, size, "%.12s", at);
	free(path);
}

bool test_disk(const char *arg)
{
	char serial[32] = "", place[32];

	disk_place(place, sizeof(place));
	file_get(about("serial"), serial, sizeof(serial));
	say("%s: %llu KiB, %s, %zu queues, serial %s, discard %s, blocks %llu, at %s",
	    disk_name(), (unsigned long long)disk_size() / KIB,
	    sysfs_number(about("ro")) ? "read-only" : "writable",
	    hardware_queues(), *serial ? serial : "none",
	    sysfs_number(about("queue/discard_max_bytes")) ? "on" : "off",
	    (unsigned long long)sysfs_number(about("queue/logical_block_size")),
	    place);
	return true;
}

/* There are N disks, the first of 1 MiB, the second of 2, and so on. */
bool test_disks(const char *arg)
{
	int n = atoi(arg);
	char path[64];
	u64 size;

	for (int i = 1; i <= n; i++) {
		/* vdz is followed by vdaa. */
		snprintf(path, sizeof(path), "/sys/block/vd%s%c/size",
			 i > 26 ? "a" : "", 'a' + (i - 1) % 26);
		size = sysfs_number(path) * 512;
		if (size != (u64)i * MIB)
			return wrong("%s says %llu bytes", path,
				     (unsigned long long)size);
	}
	return true;
}

static bool mounted(const char *what)
{
	FILE *f = fopen("/proc/mounts", "re");
	bool found = false;
	char line[256];

	while (f && !found && fgets(line, sizeof(line), f))
		found = !strncmp(line, what, strlen(what));
	if (f)
		fclose(f);
	return found || wrong("not mounted: %s", what);
}

/* The file system that this runs from is the one on the disk. */
bool test_root(const char *arg)
{
	static const char text[] = "what was written before the cache went";
	char back[128];
	FILE *f;

	snprintf(back, sizeof(back), "%s / ext4 ", disk_dev());
	if (!mounted(back))
		return false;
	f = fopen("/written", "we");
	if (!f || fputs(text, f) < 0 || fclose(f))
		return wrong("/written: %s", strerror(errno));
	sync();
	if (!drop_caches() || !file_get("/written", back, sizeof(back)) ||
	    strcmp(back, text))
		return wrong("/written is not what was written");
	say("root: on %s", disk_dev());
	return true;
}

/* --- much data --- */

#define PIECE (256 * KIB)

/* One of the threads that each do every @of-th piece of the disk, on a CPU, so
 * on a queue, of its own. */
struct worker {
	pthread_t thread;
	int cpu, of;
	u64 size; /* of what is written, from the disk's beginning */
	u32 block;
	bool (*piece)(const struct worker *w, int fd, u8 *buf, u64 at);
	bool ok;
};

/* Writes from one block up to a piece, so requests of many shapes. */
static bool write_piece(const struct worker *w, int fd, u8 *buf, u64 at)
{
	size_t n, block = w->block;
	size_t steps[] = { block, 8 * block, 24 * block, PIECE };

	data_fill(1, at, buf, PIECE);
	for (size_t off = 0, i = at / PIECE; off < PIECE; off += n, i++) {
		n = MIN(steps[i % ARRAY_SIZE(steps)], PIECE - off);
		if (pwrite(fd, buf + off, n, (off_t)(at + off)) != (ssize_t)n)
			return wrong("write at %llu: %s",
				     (unsigned long long)(at + off),
				     strerror(errno));
	}
	return true;
}

static bool check_piece(const struct worker *w, int fd, u8 *buf, u64 at)
{
	u64 bad;

	if (pread(fd, buf, PIECE, (off_t)at) != (ssize_t)PIECE)
		return wrong("read at %llu: %s", (unsigned long long)at,
			     strerror(errno));
	bad = data_differs(1, at, buf, PIECE);
	return bad == at + PIECE ||
	       wrong("read back otherwise at %llu", (unsigned long long)bad);
}

/* Some pieces go through the guest's page cache, some do not. */
static void *work(void *arg)
{
	struct worker *w = arg;
	int fds[] = { open_disk(O_RDWR), open_disk(O_RDWR | O_DIRECT) };
	u8 *buf = buffer(PIECE);
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(w->cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	w->ok = fds[0] >= 0 && fds[1] >= 0;
	for (u64 i = (u64)w->cpu; w->ok && i * PIECE < w->size; i += (u64)w->of)
		w->ok = w->piece(w, fds[i / (u64)w->of % 2], buf, i * PIECE);
	if (w->ok && fsync(fds[0]))
		w->ok = wrong("fsync: %s", strerror(errno));
	close(fds[0]);
	close(fds[1]);
	free(buf);
	return NULL;
}

static bool all_cpus(u64 size, bool (*piece)(const struct worker *w, int fd,
					     u8 *buf, u64 at))
{
	int n = (int)sysconf(_SC_NPROCESSORS_ONLN);
	struct worker *workers = calloc((size_t)n, sizeof(*workers));
	u32 block = (u32)sysfs_number(about("queue/logical_block_size"));
	bool ok = true;

	for (int i = 0; i < n; i++) {
		workers[i] = (struct worker) { .cpu = i,
					       .of = n,
					       .size = size,
					       .block = block,
					       .piece = piece };
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			abort();
	}
	for (int i = 0; i < n; i++) {
		pthread_join(workers[i].thread, NULL);
		ok = ok && workers[i].ok;
	}
	free(workers);
	return ok;
}

/* The digest of the first @size bytes, as they are read one after the other. */
static bool digest(u64 size, char hex[static SHA256_HEX])
{
	int fd = open_disk(O_RDONLY);
	u8 *buf = buffer(MIB);
	struct sha256 s;
	u64 at = 0;

	sha256_init(&s);
	while (at < size) {
		ssize_t n = read(fd, buf, MIB);

		if (n <= 0)
			break;
		sha256_add(&s, buf, (size_t)n);
		at += (u64)n;
	}
	sha256_end(&s, hex);
	close(fd);
	free(buf);
	return at == size || wrong("read ends at %llu: %s",
				   (unsigned long long)at, strerror(errno));
}

/* N MiB, written by all CPUs, read back by all, and read back in order. */
bool test_fill(const char *arg)
{
	u64 size = strtoull(arg, NULL, 10) * MIB;
	char hex[SHA256_HEX];

	if (!appears(disk_dev()))
		return false;
	test_disk("");
	if (disk_size() < size)
		return wrong("the disk is too small");
	if (!all_cpus(size, write_piece) || !drop_caches() ||
	    !all_cpus(size, check_piece) || !drop_caches() ||
	    !digest(size, hex))
		return false;
	say("fill: %s", hex);
	return true;
}

/* The first @size bytes are what was written. */
static bool still_there(int fd, u64 size)
{
	u8 *buf = buffer(PIECE);
	bool ok = true;

	for (u64 at = 0; ok && at < size; at += PIECE)
		ok = check_piece(NULL, fd, buf, at);
	free(buf);
	return ok;
}

/* --- a file system that is made in here --- */

#define MADE "/made"
#define BIG  MADE "/big"

/* Debian's, with what it loads, as tests/guest/pack has put them there. */
static bool run_mke2fs(void)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		execl("/mke2fs/ld-linux-aarch64.so.1", "ld.so",
		      "--library-path", "/mke2fs", "/mke2fs/mke2fs", "-q", "-F",
		      "-t", "ext4", disk_dev(), NULL);
		_exit(127);
	}
	return (pid > 0 && waitpid(pid, &status, 0) == pid && !status) ||
	       wrong("mke2fs: status %x", (unsigned int)status);
}

static bool write_file(u64 size, char hex[static SHA256_HEX])
{
	int fd = open(BIG, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	u8 *buf = buffer(PIECE);
	struct sha256 s;
	bool ok = fd >= 0;

	sha256_init(&s);
	for (u64 at = 0; ok && at < size; at += PIECE) {
		data_fill(1, at, buf, PIECE);
		sha256_add(&s, buf, PIECE);
		ok = write(fd, buf, PIECE) == (ssize_t)PIECE;
	}
	sha256_end(&s, hex);
	ok = (ok && !fsync(fd)) || wrong(BIG ": %s", strerror(errno));
	close(fd);
	free(buf);
	return ok;
}

static bool check_file(u64 size)
{
	int fd = open(BIG, O_RDONLY | O_CLOEXEC);
	bool ok = fd >= 0 && still_there(fd, size);

	close(fd);
	return ok;
}

static bool mount_made(void)
{
	return !mount(disk_dev(), MADE, "ext4", 0, NULL) ||
	       wrong("mount: %s", strerror(errno));
}

static bool unmount_made(void)
{
	return !umount(MADE) || wrong("umount: %s", strerror(errno));
}

/* A file of N MiB is read back after the file system was away. */
bool test_mkfs(const char *arg)
{
	u64 size = strtoull(arg, NULL, 10) * MIB;
	char hex[SHA256_HEX];
	bool ok;

	mkdir(MADE, 0755);
	ok = appears(disk_dev()) && test_disk("") && run_mke2fs() &&
	     mount_made() && write_file(size, hex) && unmount_made() &&
	     drop_caches() && mount_made() && check_file(size) &&
	     unmount_made();
	if (ok)
		say("mkfs: big has %s", hex);
	return ok;
}

/* --- a disk that changes, or cannot --- */

static bool range_ioctl(int fd, unsigned long request, const char *name,
			u64 start, u64 len)
{
	u64 range[2] = { start, len };

	return !ioctl(fd, request, range) ||
	       wrong("%s: %s", name, strerror(errno));
}

/* The first half is let go, a quarter is zeroed; the rest stays. */
bool test_discard(const char *arg)
{
	u64 size = disk_size(), quarter = size / 4;
	int fd = open_disk(O_RDWR);
	u8 *buf = buffer(PIECE);
	bool ok;

	ok = fd >= 0 && all_cpus(size, write_piece) &&
	     range_ioctl(fd, BLKDISCARD, "BLKDISCARD", 0, 2 * quarter) &&
	     range_ioctl(fd, BLKZEROOUT, "BLKZEROOUT", 2 * quarter, quarter) &&
	     !fsync(fd) && drop_caches();
	for (u64 at = 2 * quarter; ok && at < size; at += PIECE) {
		if (at >= 3 * quarter) {
			ok = check_piece(NULL, fd, buf, at);
			continue;
		}
		ok = pread(fd, buf, PIECE, (off_t)at) == (ssize_t)PIECE;
		for (size_t i = 0; ok && i < PIECE; i++)
			ok = !buf[i] || wrong("no zero at %llu",
					      (unsigned long long)(at + i));
	}
	close(fd);
	free(buf);
	return ok;
}

/* How far the disk can be filled from its beginning, by writes that are on it
 * when they return. */
static u64 fill_up(int fd, u64 size)
{
	u8 *buf = buffer(PIECE);
	u64 at = 0;

	for (; at < size; at += PIECE) {
		data_fill(1, at, buf, PIECE);
		if (pwrite(fd, buf, PIECE, (off_t)at) != (ssize_t)PIECE)
			break;
	}
	free(buf);
	return at;
}

static bool told_to_go_on(void)
{
	char line[16];

	return fgets(line, sizeof(line), stdin) ||
	       wrong("no more input: %s", strerror(errno));
}

/* The host's file system is too small. What was written stays; once there is
 * room again, the rest can be written. */
bool test_full(const char *arg)
{
	int fd = open_disk(O_RDWR | O_DIRECT | O_SYNC);
	u64 size = disk_size(), full = fill_up(fd, size);
	bool ok;

	say("full: at %llu KiB: %s", (unsigned long long)full / KIB,
	    full < size ? strerror(errno) : "not full");
	ok = full && full < size && still_there(fd, full);
	say("full: make room");
	ok = ok && told_to_go_on();
	if (ok && fill_up(fd, size) != size)
		ok = wrong("no write with room again: %s", strerror(errno));
	ok = ok && still_there(fd, size);
	close(fd);
	return ok;
}

/* The host cuts the file to its half. */
bool test_cut(const char *arg)
{
	int fd = open_disk(O_RDWR | O_DIRECT | O_SYNC);
	u64 size = disk_size(), half = size / 2;
	u8 *buf = buffer(PIECE);
	ssize_t n;
	bool ok;

	ok = fill_up(fd, size) == size || wrong("write: %s", strerror(errno));
	say("cut: do it");
	ok = ok && told_to_go_on() && still_there(fd, half);
	n = pread(fd, buf, PIECE, (off_t)(size - PIECE));
	say("cut: a read of what is gone: %s", n < 0 ? strerror(errno)
					       : n   ? "data"
						     : "the end");
	if (n > 0)
		ok = wrong("there is no such data");
	ok = ok && fill_up(fd, half) == half && still_there(fd, half);
	close(fd);
	free(buf);
	return ok;
}

/* Wait for the kernel's word that the disk has another size. */
static bool resize_event(int sock)
{
	struct timeval limit = { .tv_sec = 30 };
	char text[4096];
	ssize_t n;

	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	while ((n = recv(sock, text, sizeof(text), 0)) > 0)
		if (memmem(text, (size_t)n, "/block/vda", 10) &&
		    memmem(text, (size_t)n, "RESIZE=1", 8))
			return true;
	return wrong("no event: %s", strerror(errno));
}

static int open_events(void)
{
	struct sockaddr_nl to = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	int sock = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC,
			  NETLINK_KOBJECT_UEVENT);

	if (bind(sock, (struct sockaddr *)&to, sizeof(to)))
		wrong("uevents: %s", strerror(errno));
	return sock;
}

/* The host makes the file N MiB; the new part can be used. */
bool test_grow(const char *arg)
{
	u64 size = strtoull(arg, NULL, 10) * MIB, before = disk_size();
	int events = open_events();
	bool ok;

	say("grow: from %llu MiB", (unsigned long long)(before / MIB));
	ok = resize_event(events);
	close(events);
	if (ok && disk_size() != size)
		ok = wrong("it has %llu bytes",
			   (unsigned long long)disk_size());
	return ok && all_cpus(size, write_piece) && drop_caches() &&
	       all_cpus(size, check_piece);
}

/* No way to write leads anywhere. */
bool test_readonly(const char *arg)
{
	static const char text[512] = "this must not arrive";
	int fd = open(disk_dev(), O_RDWR | O_CLOEXEC), no = 0;
	bool ok;

	test_disk("");
	if (fd < 0) {
		say("readonly: open: %s", strerror(errno));
		fd = open_disk(O_RDONLY);
	}
	ioctl(fd, BLKROSET, &no);
	ok = pwrite(fd, text, sizeof(text), 0) < 0 || fsync(fd);
	say("readonly: %s", ok ? strerror(errno) : "written");
	close(fd);
	return ok;
}

/* --- records that must last --- */

#define RECORDS "/records"

struct record {
	u64 number;
	u64 data[63];
};

static void make_record(struct record *r, u64 number)
{
	r->number = number;
	data_fill(2, number * sizeof(r->data), r->data, sizeof(r->data));
}

/* How many there are, one after the other and right; or -1. */
static s64 count_records(int fd)
{
	struct record got, want;
	s64 n = 0;

	while (read(fd, &got, sizeof(got)) == sizeof(got)) {
		make_record(&want, (u64)n + 1);
		if (memcmp(&got, &want, sizeof(got)))
			return -1;
		n++;
	}
	return n;
}

static bool append(int fd, u64 number)
{
	struct record r;

	make_record(&r, number);
	if (write(fd, &r, sizeof(r)) != sizeof(r) || fsync(fd))
		return wrong("record %llu: %s", (unsigned long long)number,
			     strerror(errno));
	say("records: %llu durable", (unsigned long long)number);
	return true;
}

/*
 * Says what is there; then, as often as one answers yes, writes N more, a
 * record being durable once it is said to be. A file that is made and renamed
 * for each keeps the journal busy.
 */
bool test_records(const char *arg)
{
	int fd = open(RECORDS, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	s64 n = fd < 0 ? -1 : count_records(fd);
	char answer[16] = "", name[32];
	bool ok = n >= 0 || wrong("a record is not right");

	/* The last may have been cut short. */
	ok = ok && !ftruncate(fd, n * (s64)sizeof(struct record));
	while (ok) {
		say("records: %lld found; more?", (long long)n);
		if (!fgets(answer, sizeof(answer), stdin) ||
		    strcmp(answer, "yes\n"))
			break;
		for (int i = 0; ok && i < atoi(arg); i++) {
			ok = append(fd, (u64)++n);
			snprintf(name, sizeof(name), "/name%lld",
				 (long long)n % 64);
			close(open("/new", O_WRONLY | O_CREAT | O_CLOEXEC,
				   0600));
			rename("/new", name);
		}
	}
	close(fd);
	return ok;
}
