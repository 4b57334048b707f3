/*
 * wire QUEUES|CARD COMMAND...
 *
 * Runs a command in a network of its own, in which there is the interface tap0
 * with so many queue pairs: for a guest, at whose other end we are 192.0.2.1
 * and fd00::1. Or in the host's network, whose interface CARD leads to the
 * guest. There,
 *
 *	TCP port 7	exchanges streams (tests/guest/exchange.h),
 *	TCP port 8	is told how many bytes to take and to give, and does,
 *	UDP port 9	sends back as many datagrams as the first byte of one
 *			says.
 *
 * Ends as the command does; status 99 and a word why, if there is no network.
 */
#include "exchange.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHUNK (64 * KIB)

static const char *card = "tap0";

static void check(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "wire: %s: %s\n", what, strerror(errno));
	exit(99);
}

/* It stays when we close it. One of several queues is of another kind. */
static void make_tap(bool many)
{
	struct ifreq r = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	check(fd >= 0, "/dev/net/tun");
	strcpy(r.ifr_name, card);
	if (many)
		r.ifr_flags |= IFF_MULTI_QUEUE;
	check(!ioctl(fd, TUNSETIFF, &r), "TUNSETIFF");
	check(!ioctl(fd, TUNSETPERSIST, 1), "TUNSETPERSIST");
	close(fd);
}

static void set_ipv4(void)
{
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in a = { .sin_family = AF_INET };
	struct ifreq r = { 0 };

	strcpy(r.ifr_name, card);
	inet_pton(AF_INET, "192.0.2.1", &a.sin_addr);
	memcpy(&r.ifr_addr, &a, sizeof(a));
	check(!ioctl(sock, SIOCSIFADDR, &r), "192.0.2.1");
	inet_pton(AF_INET, "255.255.255.0", &a.sin_addr);
	memcpy(&r.ifr_netmask, &a, sizeof(a));
	check(!ioctl(sock, SIOCSIFNETMASK, &r), "255.255.255.0");
	r.ifr_flags = IFF_UP;
	check(!ioctl(sock, SIOCSIFFLAGS, &r), "up");
	close(sock);
}

/* At once, not after asking the neighbours whether they have it, too. */
static void set_ipv6(void)
{
	int sock = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct in6_ifreq r = { .ifr6_prefixlen = 64,
			       .ifr6_ifindex = (int)if_nametoindex(card) };
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/accept_dad",
		 card);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	check(write(fd, "0", 1) == 1, "accept_dad");
	close(fd);
	inet_pton(AF_INET6, "fd00::1", &r.ifr6_addr);
	check(!ioctl(sock, SIOCSIFADDR, &r) || errno == EEXIST, "fd00::1");
	close(sock);
}

static void exchange_one(int fd)
{
	struct exchange x;

	if (!exchange(fd, false, 0, &x))
		fprintf(stderr, "wire: %s\n", x.why);
}

/* Take, then give; closing tells the other end that all was taken. */
static void transfer_one(int fd)
{
	static const u8 zeros[CHUNK];
	u8 buf[CHUNK];
	u64 order[2] = { 0, 0 }, n;
	ssize_t done;

	if (recv(fd, order, sizeof(order), MSG_WAITALL) != sizeof(order))
		return;
	for (n = be64toh(order[0]); n; n -= (u64)done) {
		done = recv(fd, buf, sizeof(buf), 0);
		if (done <= 0)
			return;
	}
	for (n = be64toh(order[1]); n; n -= (u64)done) {
		done = send(fd, zeros, MIN(n, sizeof(zeros)), MSG_NOSIGNAL);
		if (done <= 0)
			return;
	}
}

/* A connection, or the socket that takes them, on a thread of its own. */
struct service {
	int fd;
	void (*one)(int fd);
};

static void in_thread(void *(*run)(void *), int fd, void (*one)(int fd))
{
	struct service *s = malloc(sizeof(*s));
	pthread_t thread;

	check(s, "memory");
	*s = (struct service) { .fd = fd, .one = one };
	errno = pthread_create(&thread, NULL, run, s);
	check(!errno, "thread");
	pthread_detach(thread);
}

static void *serve_one(void *arg)
{
	struct service *s = arg;

	s->one(s->fd);
	close(s->fd);
	free(s);
	return NULL;
}

static void *serve_tcp(void *arg)
{
	struct service *s = arg;

	for (;;) {
		int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);

		check(fd >= 0, "accept");
		in_thread(serve_one, fd, s->one);
	}
	return NULL;
}

static void serve_udp(int fd)
{
	struct sockaddr_storage from;
	u8 frame[1472];

	for (;;) {
		socklen_t len = sizeof(from);

		check(recvfrom(fd, frame, sizeof(frame), 0,
			       (struct sockaddr *)&from, &len) > 0,
		      "receive");
		for (int n = frame[0]; n > 0; n--)
			sendto(fd, frame, sizeof(frame), 0,
			       (struct sockaddr *)&from, len);
	}
}

/* Of both families. */
static int bound(int type, u16 port)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6,
				    .sin6_port = htons(port) };
	int sock = socket(AF_INET6, type | SOCK_CLOEXEC, 0), on = 1;

	/* The last case's connections may linger. */
	setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	check(!bind(sock, (struct sockaddr *)&any, sizeof(any)), "bind");
	if (type == SOCK_STREAM)
		check(!listen(sock, 16), "listen");
	return sock;
}

int main(int argc, char **argv)
{
	int streams, transfers, echo;
	pid_t pid;

	errno = EINVAL;
	check(argc > 2 && strlen(argv[1]) < IFNAMSIZ,
	      "usage: wire QUEUES|CARD COMMAND...");
	if (atoi(argv[1]) > 0) {
		check(!unshare(CLONE_NEWNET), "a network of our own");
		make_tap(atoi(argv[1]) > 1);
	} else {
		card = argv[1];
	}
	set_ipv4();
	set_ipv6();
	streams = bound(SOCK_STREAM, 7);
	transfers = bound(SOCK_STREAM, 8);
	echo = bound(SOCK_DGRAM, 9);
	pid = fork();
	check(pid >= 0, "fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		in_thread(serve_tcp, streams, exchange_one);
		in_thread(serve_tcp, transfers, transfer_one);
		serve_udp(echo);
	}
	execvp(argv[2], argv + 2);
	check(false, argv[2]);
	return 99;
}
