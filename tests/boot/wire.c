/*
 * wire QUEUES COMMAND...
 *
 * Runs a command in a network of its own, in which there is the interface tap0
 * with so many queue pairs: for a guest, at whose other end we are 192.0.2.1
 * and fd00::1. On TCP port 7 we exchange streams with it
 * (tests/guest/exchange.h).
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

#define TAP  "tap0"
#define PORT 7

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
	struct ifreq r = { .ifr_name = TAP };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	check(fd >= 0, "/dev/net/tun");
	r.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	if (many)
		r.ifr_flags |= IFF_MULTI_QUEUE;
	check(!ioctl(fd, TUNSETIFF, &r), "TUNSETIFF");
	check(!ioctl(fd, TUNSETPERSIST, 1), "TUNSETPERSIST");
	close(fd);
}

static void set_ipv4(void)
{
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r = { .ifr_name = TAP };
	struct sockaddr_in a = { .sin_family = AF_INET };

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
	int fd = open("/proc/sys/net/ipv6/conf/" TAP "/accept_dad",
		      O_WRONLY | O_CLOEXEC);
	struct in6_ifreq r = { .ifr6_prefixlen = 64,
			       .ifr6_ifindex = (int)if_nametoindex(TAP) };

	check(write(fd, "0", 1) == 1, "accept_dad");
	close(fd);
	inet_pton(AF_INET6, "fd00::1", &r.ifr6_addr);
	check(!ioctl(sock, SIOCSIFADDR, &r), "fd00::1");
	close(sock);
}

static void *serve_one(void *arg)
{
	int fd = (int)(intptr_t)arg;
	struct exchange x;

	if (!exchange(fd, false, 0, &x))
		fprintf(stderr, "wire: %s\n", x.why);
	close(fd);
	return NULL;
}

static void serve(int sock)
{
	pthread_t thread;

	for (;;) {
		int fd = accept4(sock, NULL, NULL, SOCK_CLOEXEC);

		check(fd >= 0, "accept");
		errno = pthread_create(&thread, NULL, serve_one,
				       (void *)(intptr_t)fd);
		check(!errno, "thread");
		pthread_detach(thread);
	}
}

/* Of both families. */
static int listen_all(void)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6,
				    .sin6_port = htons(PORT) };
	int sock = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	check(!bind(sock, (struct sockaddr *)&any, sizeof(any)) &&
		      !listen(sock, 16),
	      "port 7");
	return sock;
}

int main(int argc, char **argv)
{
	int queues = argc > 2 ? atoi(argv[1]) : 0, sock;
	pid_t pid;

	errno = EINVAL;
	check(queues > 0, "usage: wire QUEUES COMMAND...");
	check(!unshare(CLONE_NEWNET), "a network of our own");
	make_tap(queues > 1);
	set_ipv4();
	set_ipv6();
	sock = listen_all();
	pid = fork();
	check(pid >= 0, "fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(sock);
	}
	execvp(argv[2], argv + 2);
	check(false, argv[2]);
	return 99;
}
