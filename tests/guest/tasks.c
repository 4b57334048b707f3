/*
 * Work to be measured from outside: tests/bench/measure says when each task
 * begins. For each, "NAME: ready" is said, a line awaited, the work done,
 * "NAME: done, N, M" said, and another line awaited: N is what it consisted of,
 * M how many interrupts of its device came meanwhile.
 */
#include "guest.h"
#include "irqs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- the disk: blocks at random places --- */

#define DISK_SIZE (32 * MIB)
#define BLOCK     4096
#define LARGE     (2 * MIB)
#define DEPTH_MAX 32

struct aio {
	int fd;
	aio_context_t ctx;
	u32 random;
	bool write;
	u64 size; /* of a block */
	u8 *buf;
	struct iocb cb[DEPTH_MAX];
};

static void prepare(struct aio *a, u32 i)
{
	a->random = a->random * 1664525 + 1013904223;
	a->cb[i] = (struct iocb) {
		.aio_data = i,
		.aio_lio_opcode = a->write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
		.aio_fildes = (u32)a->fd,
		.aio_buf = (uintptr_t)(a->buf + i * a->size),
		.aio_nbytes = a->size,
		.aio_offset = (s64)((a->random >> 8) % (DISK_SIZE / a->size) *
				    a->size),
	};
}

static bool submit(struct aio *a, struct iocb **list, long n)
{
	return syscall(SYS_io_submit, a->ctx, n, list) == n ||
	       wrong("io_submit: %s", strerror(errno));
}

/* Wait for at least one; what is done is begun anew, up to @more of them. */
static long turn(struct aio *a, long more)
{
	struct io_event done[DEPTH_MAX];
	struct iocb *list[DEPTH_MAX];
	long n = syscall(SYS_io_getevents, a->ctx, 1, DEPTH_MAX, done, NULL);

	for (long i = 0; i < n; i++) {
		if ((u64)done[i].res != a->size)
			return wrong("request: %lld", (long long)done[i].res);
		prepare(a, (u32)done[i].data);
		list[i] = &a->cb[done[i].data];
	}
	if (n > 0 && more > 0 && !submit(a, list, MIN(n, more)))
		return 0;
	return n;
}

static bool run_blocks(struct aio *a, long count, u32 depth)
{
	struct iocb *list[DEPTH_MAX];
	long done = 0, begun = depth, n = 0;

	for (u32 i = 0; i < depth; i++) {
		prepare(a, i);
		list[i] = &a->cb[i];
	}
	if (!submit(a, list, depth))
		return false;
	for (; done < count; done += n) {
		n = turn(a, count - begun);
		if (n <= 0)
			return wrong("io_getevents: %s", strerror(errno));
		begun += n;
	}
	return true;
}

static bool blocks(long count, u32 depth, bool write, u64 size)
{
	struct aio a = { .fd = open(disk_dev(), O_RDWR | O_DIRECT | O_CLOEXEC),
			 .random = 1,
			 .write = write,
			 .size = size,
			 .buf = aligned_alloc(BLOCK, depth * size) };
	bool ok;

	if (a.fd < 0 || !a.buf || syscall(SYS_io_setup, DEPTH_MAX, &a.ctx))
		return wrong("%s: %s", disk_dev(), strerror(errno));
	memset(a.buf, 1, depth * size);
	ok = run_blocks(&a, count, depth);
	syscall(SYS_io_destroy, a.ctx);
	free(a.buf);
	close(a.fd);
	return ok;
}

static bool read_1(long count)
{
	return blocks(count, 1, false, BLOCK);
}

static bool write_1(long count)
{
	return blocks(count, 1, true, BLOCK);
}

static bool read_32(long count)
{
	return blocks(count, DEPTH_MAX, false, BLOCK);
}

static bool write_32(long count)
{
	return blocks(count, DEPTH_MAX, true, BLOCK);
}

static bool read_2m(long count)
{
	return blocks(count, 1, false, LARGE);
}

static bool probe(long count)
{
	return reprobe("virtio_blk", count);
}

/* --- the network: tests/boot/wire is at the other end --- */

#define FRAME    1472 /* and headers: 1500 bytes */
#define BATCH    64   /* datagrams in flight, at most */
#define UDP_PORT 9
#define TCP_PORT 8
#define CHUNK    (64 * KIB)

static int dial(int type, u16 port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(port) };
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, "192.0.2.1", &a.sin_addr);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)))
		wrong("192.0.2.1: %s", strerror(errno));
	return fd;
}

/* A datagram's first byte says how many the other end is to send back. */
static bool datagrams(long count, int out, int back)
{
	u8 frame[FRAME] = { 0 };
	int fd = dial(SOCK_DGRAM, UDP_PORT);
	bool ok = true;

	for (long n = 0; ok && n < count; n += BATCH) {
		for (int i = 1; ok && i <= out; i++) {
			frame[0] = i == out ? (u8)back : 0;
			ok = send(fd, frame, out > 1 ? FRAME : 1, 0) > 0;
		}
		for (int i = 0; ok && i < back; i++)
			ok = recv(fd, frame, FRAME, 0) > 0;
	}
	close(fd);
	return ok || wrong("datagrams: %s", strerror(errno));
}

static bool udp_out(long count)
{
	return datagrams(count, BATCH, 1);
}

static bool udp_in(long count)
{
	return datagrams(count, 1, BATCH);
}

/* Tell the other end to take, then give, so many bytes; do the same. */
static bool stream(u64 out, u64 in)
{
	static u8 chunk[CHUNK];
	u64 order[] = { htobe64(out), htobe64(in) };
	int fd = dial(SOCK_STREAM, TCP_PORT);
	bool ok = send(fd, order, sizeof(order), 0) == sizeof(order);
	ssize_t n;

	for (; ok && out; out -= CHUNK)
		ok = send(fd, chunk, CHUNK, 0) == (ssize_t)CHUNK;
	for (; ok && in; in -= (u64)n) {
		n = recv(fd, chunk, CHUNK, 0);
		ok = n > 0;
	}
	/* The other end closes when it has all. */
	ok = ok && recv(fd, chunk, 1, 0) == 0;
	close(fd);
	return ok || wrong("stream: %s", strerror(errno));
}

static bool tcp_out(long count)
{
	return stream((u64)count * CHUNK, 0);
}

static bool tcp_in(long count)
{
	return stream(0, (u64)count * CHUNK);
}

/* --- all of it --- */

/* What beginning and ending cost, to be subtracted. */
static bool nothing(long count)
{
	return true;
}

bool run_task(const char *name, bool (*run)(long count), long count,
	      const char *pattern)
{
	struct irqs irqs = irqs_find(pattern);
	u64 before = irqs_count(&irqs, ANY_CPU), after;
	char line[16];

	say("%s: ready", name);
	if (!fgets(line, sizeof(line), stdin) || !run(count))
		return wrong("%s failed", name);
	after = irqs_count(&irqs, ANY_CPU);
	/* A driver that came back counts anew. */
	say("%s: done, %ld, %llu", name, count,
	    (unsigned long long)(after - MIN(before, after)));
	return fgets(line, sizeof(line), stdin) ||
	       wrong("%s: nobody has looked", name);
}

/* Is @name in @list, between commas? All are in an empty one. */
static bool listed(const char *list, const char *name)
{
	char all[256], one[64];

	snprintf(all, sizeof(all), ",%s,", list);
	snprintf(one, sizeof(one), ",%s,", name);
	return !*list || strstr(all, one);
}

bool test_tasks(const char *arg)
{
	const char *disk = disk_dev();
	const char *irqs = strstr(disk, "nvme") ? "nvme*" : "virtio*";
	const struct {
		const char *name;
		bool (*run)(long count);
		long count;
		const char *needs;
	} tasks[] = {
		{ "nothing", nothing, 1, "/" },
		{ "read-1", read_1, 4096, disk },
		{ "read-2m", read_2m, 128, "/dev/nvme0n1" },
		{ "read-32", read_32, 8192, disk },
		{ "write-1", write_1, 4096, disk },
		{ "write-32", write_32, 8192, disk },
		{ "probe", probe, 256, disk },
		{ "udp-out", udp_out, 8192, "/sys/class/net/eth0" },
		{ "udp-in", udp_in, 8192, "/sys/class/net/eth0" },
		{ "tcp-out", tcp_out, 1024, "/sys/class/net/eth0" },
		{ "tcp-in", tcp_in, 1024, "/sys/class/net/eth0" },
	};
	bool ok = true;

	/* One that is named may take its time. */
	if (kernel_word("belfry.disk=", NULL, 0) && !appears(disk))
		return false;
	if (!access("/sys/class/net/eth0", F_OK) && !card_up())
		return false;
	for (size_t i = 0; ok && i < ARRAY_SIZE(tasks); i++) {
		/* The first is always to be subtracted. */
		if (access(tasks[i].needs, F_OK) ||
		    (i > 0 && !listed(arg, tasks[i].name)))
			continue;
		/* The first time, caches are filled and routes found. */
		ok = tasks[i].run(64) && run_task(tasks[i].name, tasks[i].run,
						  tasks[i].count, irqs);
	}
	return ok;
}
