/*
 * Disks: files without a name and loop devices, opened by what is a path to
 * them; locks by processes of their own.
 */
#include "unit.h"

#include <belfry/disk.h>
#include <belfry/loop.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Sleep is counted, not slept (ld --wrap), unless a test needs it. */
static u64 slept_ns;
static bool sleep_really;
static int wakes_left; /* then the lock held by @release is let go; 0: never */
static int release_fd;

int __real_nanosleep(const struct timespec *ts, struct timespec *left);
int __wrap_nanosleep(const struct timespec *ts, struct timespec *left);
int __wrap_nanosleep(const struct timespec *ts, struct timespec *left)
{
	struct flock l = { .l_type = F_UNLCK };

	slept_ns += (u64)ts->tv_sec * 1000000000 + (u64)ts->tv_nsec;
	if (wakes_left && !--wakes_left)
		ck_assert_int_eq(fcntl(release_fd, F_OFD_SETLK, &l), 0);
	return sleep_really ? __real_nanosleep(ts, left) : 0;
}

struct path {
	char name[32];
};

static struct path path_of(int fd)
{
	struct path p;

	snprintf(p.name, sizeof(p.name), "/proc/self/fd/%d", fd);
	return p;
}

static int new_file(u64 size)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static int open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	ck_assert_ptr_nonnull(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void open_well(struct disk *d, const char *path, bool readonly,
		      bool direct)
{
	struct err e = { 0 };

	ck_assert_msg(disk_open(d, path, readonly, direct, &e) == 0, "%s",
		      e.msg);
}

/* Refused with @code, saying @path and @says, and nothing left open. */
static void check_refused(const char *path, bool readonly, bool direct,
			  int code, const char *says)
{
	int before = open_descriptors();
	struct err e = { 0 };
	struct disk d;

	ck_assert_int_eq(disk_open(&d, path, readonly, direct, &e), code);
	ck_assert_int_eq(e.code, code);
	ck_assert_msg(strstr(e.msg, path) && strstr(e.msg, says), "%s", e.msg);
	ck_assert_int_eq(d.fd, -1);
	ck_assert_int_eq(open_descriptors(), before);
	disk_close(&d);
}

START_TEST(sizes)
{
	static const struct {
		u64 size;
		bool ok;
	} cases[] = {
		{ 0, true },
		{ 1, false },
		{ 511, false },
		{ 512, true },
		{ 513, false },
		{ 1024, true },
		{ 1 * GIB, true },
		{ GIB + 4095, false },
		{ 3 * GIB + 512, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int fd = new_file(cases[i].size);
		struct path p = path_of(fd);
		struct disk d;

		if (cases[i].ok) {
			open_well(&d, p.name, false, false);
			ck_assert_uint_eq(d.size, cases[i].size);
			disk_close(&d);
			disk_close(&d);
		} else {
			check_refused(p.name, false, false, -EINVAL,
				      "truncate -s %512 ");
		}
		close(fd);
	}
}
END_TEST

START_TEST(what_a_file_is)
{
	int fd = new_file(MIB);
	struct path p = path_of(fd);
	struct stat st;
	struct disk d;

	open_well(&d, p.name, false, false);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert(!d.block_device && !d.readonly && !d.direct);
	ck_assert_uint_eq(d.logical_block, 512);
	ck_assert_uint_eq(d.physical_block, st.st_blksize);
	ck_assert_uint_eq(d.discard_block, st.st_blksize);
	ck_assert_uint_eq(d.align, 1);
	ck_assert_int_eq(pwrite(d.fd, "x", 1, 0), 1);
	disk_close(&d);

	open_well(&d, p.name, true, false);
	ck_assert(d.readonly);
	ck_assert_int_eq(pwrite(d.fd, "x", 1, 0), -1);
	disk_close(&d);
}
END_TEST

START_TEST(what_is_no_disk)
{
	static const struct {
		const char *path, *says;
		int code;
	} cases[] = {
		{ "/tmp", "a directory", -EISDIR },
		{ "/dev/null", "neither a file nor a block device", -EINVAL },
		{ "/nonexistent/disk", "No such file", -ENOENT },
		{ "", "No such file", -ENOENT },
	};
	int fd[2];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		check_refused(cases[i].path, false, false, cases[i].code,
			      cases[i].says);
		check_refused(cases[i].path, true, true, cases[i].code,
			      cases[i].says);
	}
	/* One that nobody writes would be waited for. */
	ck_assert_int_eq(pipe(fd), 0);
	check_refused(path_of(fd[0]).name, true, false, -EINVAL, "neither");
}
END_TEST

START_TEST(images_of_other_formats)
{
	int fd = new_file(64 * KIB);
	struct path p = path_of(fd);
	struct disk d;

	ck_assert_int_eq(pwrite(fd, "QFI\xfb\0\0\0\3", 8, 0), 8);
	check_refused(p.name, false, false, -EINVAL, "a qcow2 image");
	check_refused(p.name, true, true, -EINVAL, "`qemu-img convert -O raw ");
	ck_assert_int_eq(pwrite(fd, "QFI\xfa", 4, 0), 4);
	open_well(&d, p.name, false, false);
	disk_close(&d);
	close(fd);
}
END_TEST

/* Nobody: root may do everything. */
START_TEST(a_file_we_may_only_read)
{
	int fd = new_file(512);
	struct path p = path_of(fd);
	uid_t us = geteuid();
	struct disk d;

	ck_assert_int_eq(fchmod(fd, 0444), 0);
	if (!us)
		ck_assert_int_eq(seteuid(65534), 0);
	check_refused(p.name, false, false, -EACCES, "readonly");
	open_well(&d, p.name, true, false);
	disk_close(&d);
	ck_assert_int_eq(seteuid(us), 0);
}
END_TEST

START_TEST(measured_again)
{
	int fd = new_file(MIB);
	struct disk d;

	open_well(&d, path_of(fd).name, false, false);
	ck_assert_int_eq(ftruncate(fd, 2 * MIB), 0);
	ck_assert_uint_eq(d.size, MIB);
	ck_assert(disk_measure(&d));
	ck_assert_uint_eq(d.size, 2 * MIB);
	/* What becomes of a part of a sector is not ours to say. */
	ck_assert_int_eq(ftruncate(fd, 1000), 0);
	ck_assert(disk_measure(&d));
	ck_assert_uint_eq(d.size, 1000);
	disk_close(&d);
	ck_assert(!disk_measure(&d));
	ck_assert_uint_eq(d.size, 1000);
}
END_TEST

/* How somebody holds a disk, and whether we get it then. */
enum holder {
	WE_WRITE,
	WE_READ,
	QEMU_WRITES,        /* -drive */
	QEMU_SHARES_WRITES, /* share-rw=on */
	QEMU_READS,         /* -drive readonly=on */
	FCNTL_WRITES,       /* the process's own lock, as of old */
	FCNTL_READS,
	WE_RUN, /* with a loop */
};

static void lock_bytes(int fd, int cmd, short type, off_t start, off_t len)
{
	struct flock l = { .l_type = type, .l_start = start, .l_len = len };

	ck_assert_int_eq(fcntl(fd, cmd, &l), 0);
}

static void hold(const char *path, enum holder how)
{
	bool reads = how == WE_READ || how == QEMU_READS || how == FCNTL_READS;
	int fd = open(path, reads ? O_RDONLY : O_RDWR);
	struct err e = { 0 };
	struct loop_file f;
	struct loop *l;
	struct disk d;

	switch (how) {
	case WE_WRITE:
	case WE_READ:
		open_well(&d, path, reads, false);
		break;
	case WE_RUN:
		open_well(&d, path, false, false);
		l = loop_create(&e);
		ck_assert_ptr_nonnull(l);
		ck_assert_int_eq(loop_file_add(l, &f, d.fd, &e), 0);
		break;
	case QEMU_WRITES:
		lock_bytes(fd, F_OFD_SETLK, F_RDLCK, 100, 2);
		lock_bytes(fd, F_OFD_SETLK, F_RDLCK, 201, 1);
		break;
	case QEMU_SHARES_WRITES:
		lock_bytes(fd, F_OFD_SETLK, F_RDLCK, 100, 2);
		break;
	case QEMU_READS:
		lock_bytes(fd, F_OFD_SETLK, F_RDLCK, 100, 1);
		lock_bytes(fd, F_OFD_SETLK, F_RDLCK, 201, 1);
		lock_bytes(fd, F_OFD_SETLK, F_RDLCK, 203, 1);
		break;
	case FCNTL_WRITES:
		lock_bytes(fd, F_SETLK, F_WRLCK, 0, 0);
		break;
	case FCNTL_READS:
		lock_bytes(fd, F_SETLK, F_RDLCK, 0, 0);
		break;
	}
}

/* A process that has the disk, until it is killed. */
static pid_t holder_start(const char *path, enum holder how)
{
	int ready[2];
	char c;
	pid_t pid;

	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid) {
		hold(path, how);
		if (write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &c, 1), 1);
	close(ready[0]);
	return pid;
}

static const struct {
	enum holder holder;
	bool can_write, can_read;
} holders[] = {
	{ WE_WRITE, false, false },    { WE_READ, false, true },
	{ QEMU_WRITES, false, false }, { QEMU_SHARES_WRITES, false, false },
	{ QEMU_READS, false, true },   { FCNTL_WRITES, false, false },
	{ FCNTL_READS, false, false },
};

static void try_open(const char *path, bool readonly, bool can)
{
	struct disk d;

	if (can) {
		open_well(&d, path, readonly, false);
		disk_close(&d);
	} else {
		check_refused(path, readonly, false, -EBUSY, "lsof");
	}
}

START_TEST(others_have_it)
{
	int fd = new_file(MIB);
	struct path p = path_of(fd);

	for (size_t i = 0; i < ARRAY_SIZE(holders); i++) {
		pid_t pid = holder_start(p.name, holders[i].holder);

		try_open(p.name, false, holders[i].can_write);
		try_open(p.name, true, holders[i].can_read);
		/* However the holder ends. */
		kill(pid, SIGKILL);
		ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
		try_open(p.name, false, true);
		try_open(p.name, true, true);
	}
}
END_TEST

/* What QEMU and fcntl's users ask before they take a disk of ours. */
static bool byte_is_free(int fd, short type, off_t at)
{
	struct flock l = { .l_type = type, .l_start = at, .l_len = 1 };

	ck_assert_int_eq(fcntl(fd, F_OFD_GETLK, &l), 0);
	return l.l_type == F_UNLCK;
}

START_TEST(others_see_that_we_have_it)
{
	int fd = new_file(MIB);
	struct path p = path_of(fd);
	struct disk d;

	open_well(&d, p.name, false, false);
	ck_assert(!byte_is_free(fd, F_RDLCK, 0));
	ck_assert(!byte_is_free(fd, F_RDLCK, 100));
	ck_assert(!byte_is_free(fd, F_RDLCK, 1ll << 40));
	disk_close(&d);
	ck_assert(byte_is_free(fd, F_WRLCK, 0));

	open_well(&d, p.name, true, false);
	/* QEMU to write: does nobody mind a writer? To read: may I? */
	ck_assert(!byte_is_free(fd, F_WRLCK, 201));
	ck_assert(byte_is_free(fd, F_WRLCK, 200));
	ck_assert(byte_is_free(fd, F_WRLCK, 101));
	ck_assert(byte_is_free(fd, F_RDLCK, 201));
	disk_close(&d);
}
END_TEST

/* The same file as two drives of one guest: no process's own lock would see
 * that. */
START_TEST(twice_in_one_process)
{
	int fd = new_file(MIB);
	struct path p = path_of(fd);
	struct disk a, b;

	open_well(&a, p.name, false, false);
	check_refused(p.name, false, false, -EBUSY, "another guest");
	check_refused(p.name, true, false, -EBUSY, "that writes it");
	disk_close(&a);

	open_well(&a, p.name, true, false);
	open_well(&b, p.name, true, false);
	check_refused(p.name, false, false, -EBUSY, "another guest");
	disk_close(&a);
	check_refused(p.name, false, false, -EBUSY, "another guest");
	disk_close(&b);
	open_well(&a, p.name, false, false);
	disk_close(&a);
}
END_TEST

/* A lock is waited for, but not for long. */
START_TEST(a_lock_that_is_let_go)
{
	int fd = new_file(MIB);
	struct path p = path_of(fd);
	struct disk a, b;

	open_well(&a, p.name, false, false);
	slept_ns = 0;
	check_refused(p.name, false, false, -EBUSY, "lsof");
	ck_assert_uint_eq(slept_ns, 1000000000);
	for (int readonly = 0; readonly < 2; readonly++) {
		struct flock l = { .l_type = F_WRLCK };

		ck_assert_int_eq(fcntl(a.fd, F_OFD_SETLK, &l), 0);
		release_fd = a.fd;
		wakes_left = 3;
		slept_ns = 0;
		open_well(&b, p.name, readonly, false);
		ck_assert_uint_eq(slept_ns, 30000000);
		disk_close(&b);
	}
	disk_close(&a);

	/* What cannot be had is not waited for. */
	slept_ns = 0;
	check_refused("/proc/version", true, true, -EINVAL, "O_DIRECT");
	ck_assert_uint_eq(slept_ns, 0);
}
END_TEST

/* Its ring lives on a little. */
START_TEST(a_guest_that_is_killed_and_begun_again)
{
	int fd = new_file(MIB);
	struct path p = path_of(fd);

	sleep_really = true;
	for (int i = 0; i < 3; i++) {
		pid_t pid = holder_start(p.name, WE_RUN);

		kill(pid, SIGKILL);
		ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
		try_open(p.name, i & 1, true);
	}
}
END_TEST

/* Where O_DIRECT works, what is said of it must be true. */
static void check_direct(int fd)
{
	struct path p = path_of(fd);
	int probe = open(p.name, O_RDWR | O_DIRECT);
	struct disk d;
	u8 *buf;

	if (probe < 0) {
		check_refused(p.name, false, true, -EINVAL, "O_DIRECT");
		return;
	}
	close(probe);
	open_well(&d, p.name, false, true);
	ck_assert_uint_ge(d.align, 2);
	ck_assert_uint_eq(d.align & (d.align - 1), 0);
	ck_assert_uint_ge(d.logical_block, 512);
	ck_assert_uint_ge(d.physical_block, d.logical_block);
	buf = aligned_alloc(65536, 2 * 65536);
	ck_assert_ptr_nonnull(buf);
	memset(buf, 0x5a, 2 * 65536);
	ck_assert_int_eq(pwrite(d.fd, buf + d.align, d.logical_block,
				d.logical_block),
			 d.logical_block);
	ck_assert_int_eq(pread(d.fd, buf + 65536 + d.align, d.logical_block,
			       d.logical_block),
			 d.logical_block);
	ck_assert_mem_eq(buf + d.align, buf + 65536 + d.align, d.logical_block);
	free(buf);
	disk_close(&d);
}

START_TEST(past_the_page_cache)
{
	int memory = memfd_create("disk", 0);

	ck_assert_int_eq(ftruncate(memory, MIB), 0);
	check_direct(new_file(MIB));
	check_direct(memory);
}
END_TEST

START_TEST(a_file_system_without_o_direct)
{
	check_refused("/proc/version", true, true, -EINVAL,
		      "leave `direct` out");
}
END_TEST

/*
 * A loop device on @fd with blocks of @block, or -1 where there is none to be
 * had: not root, or a container.
 */
static int new_loop_device(int fd, u32 block, u32 flags, char *path,
			   size_t size)
{
	struct loop_config c = { .fd = (u32)fd,
				 .block_size = block,
				 .info.lo_flags = flags | LO_FLAGS_AUTOCLEAR };
	int ctl = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int n, dev;

	if (ctl < 0)
		return -1;
	n = ioctl(ctl, LOOP_CTL_GET_FREE);
	close(ctl);
	if (n < 0)
		return -1;
	snprintf(path, size, "/dev/loop%d", n);
	dev = open(path, O_RDWR | O_CLOEXEC);
	if (dev >= 0 && ioctl(dev, LOOP_CONFIGURE, &c)) {
		close(dev);
		return -1;
	}
	return dev;
}

START_TEST(block_devices)
{
	int fd = new_file(MIB), dev, mounted;
	struct disk d, other;
	char path[32];

	dev = new_loop_device(fd, 4096, 0, path, sizeof(path));
	if (dev < 0)
		return;
	open_well(&d, path, false, false);
	ck_assert(d.block_device);
	ck_assert_uint_eq(d.size, MIB);
	ck_assert_uint_eq(d.logical_block, 4096);
	ck_assert_uint_ge(d.physical_block, 4096);
	ck_assert_uint_ge(d.discard_block, 4096);

	/* Others are kept out, and it may grow under us. */
	check_refused(path, false, false, -EBUSY, path);
	check_refused(path, true, false, -EBUSY, "lsof");
	ck_assert_int_eq(ftruncate(fd, 3 * MIB), 0);
	ck_assert_int_eq(ioctl(dev, LOOP_SET_CAPACITY), 0);
	ck_assert(disk_measure(&d));
	ck_assert_uint_eq(d.size, 3 * MIB);
	disk_close(&d);

	open_well(&d, path, true, false);
	open_well(&other, path, true, false);
	disk_close(&other);
	disk_close(&d);

	open_well(&d, path, false, true);
	ck_assert_uint_eq(d.logical_block, 4096);
	ck_assert_uint_ge(d.align, 2);
	disk_close(&d);

	/* As a mount has it. */
	mounted = open(path, O_RDWR | O_EXCL);
	ck_assert_int_ge(mounted, 0);
	check_refused(path, false, false, -EBUSY, "mounted");
	open_well(&d, path, true, false);
	disk_close(&d);
	close(mounted);
	close(dev);
}
END_TEST

START_TEST(a_block_device_that_is_read_only)
{
	char path[32];
	struct disk d;
	int dev = new_loop_device(new_file(MIB), 512, LO_FLAGS_READ_ONLY, path,
				  sizeof(path));

	if (dev < 0)
		return;
	check_refused(path, false, false, -EROFS, "readonly");
	open_well(&d, path, true, false);
	ck_assert_uint_eq(d.logical_block, 512);
	disk_close(&d);
	close(dev);
}
END_TEST

UNIT_MAIN("disk", sizes, what_a_file_is, what_is_no_disk,
	  images_of_other_formats, a_file_we_may_only_read, measured_again,
	  others_have_it, others_see_that_we_have_it, twice_in_one_process,
	  a_lock_that_is_let_go, a_guest_that_is_killed_and_begun_again,
	  past_the_page_cache, a_file_system_without_o_direct, block_devices,
	  a_block_device_that_is_read_only)
