/*
 * A network, seen from the guest's programs. At its other end is
 * tests/boot/wire.
 */
#include "guest.h"
#include "data.h"
#include "exchange.h"

#include <arpa/inet.h>
#include <errno.h>
#include <glob.h>
#include <linux/ipv6.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/ip_icmp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CARD  "eth0"
#define SYSFS "/sys/class/net/" CARD "/"
#define PORT  7

/* Bits of what was negotiated. VIRTIO 1.2, 5.1.3. */
#define F_CSUM       0
#define F_GUEST_CSUM 1
#define F_GUEST_TSO4 7
#define F_HOST_TSO4  11
#define F_MRG_RXBUF  15

static const char *const peers[] = { "192.0.2.1", "fd00::1" };

static bool negotiated(int bit)
{
	char bits[80] = "";

	file_get(SYSFS "device/features", bits, sizeof(bits));
	return bits[bit] == '1';
}

static u64 counter(const char *name)
{
	char path[128], text[32] = "";

	snprintf(path, sizeof(path), SYSFS "statistics/%s", name);
	file_get(path, text, sizeof(text));
	return strtoull(text, NULL, 10);
}

static size_t queues(const char *pattern)
{
	glob_t g;
	size_t n = 0;

	if (!glob(pattern, 0, NULL, &g))
		n = g.gl_pathc;
	globfree(&g);
	return n;
}

/* Its driver, as sysfs names it. */
static void driver_of(char *buf, size_t size)
{
	char *path = realpath(SYSFS "device/driver", NULL);

	snprintf(buf, size, "%s", path ? strrchr(path, '/') + 1 : "none");
	free(path);
}

/* Bits are negotiated with virtio's only. */
static void describe(void)
{
	char driver[32], mac[32] = "", mtu[16] = "";

	file_get(SYSFS "address", mac, sizeof(mac));
	file_get(SYSFS "mtu", mtu, sizeof(mtu));
	driver_of(driver, sizeof(driver));
	if (strcmp(driver, "virtio_net")) {
		say(CARD ": %s, mac %s, mtu %s, %zu+%zu queues", driver, mac,
		    mtu, queues(SYSFS "queues/rx-*"),
		    queues(SYSFS "queues/tx-*"));
		return;
	}
	say(CARD
	    ": mac %s, mtu %s, %zu+%zu queues, csum %d%d, tso %d%d, mrg %d",
	    mac, mtu, queues(SYSFS "queues/rx-*"), queues(SYSFS "queues/tx-*"),
	    negotiated(F_CSUM), negotiated(F_GUEST_CSUM),
	    negotiated(F_HOST_TSO4), negotiated(F_GUEST_TSO4),
	    negotiated(F_MRG_RXBUF));
}

/* 192.0.2.2, as the card's index may be any. */
static bool set_ipv4(int sock)
{
	struct ifreq r = { .ifr_name = CARD };
	struct sockaddr_in a = { .sin_family = AF_INET };

	inet_pton(AF_INET, "192.0.2.2", &a.sin_addr);
	memcpy(&r.ifr_addr, &a, sizeof(a));
	if (ioctl(sock, SIOCSIFADDR, &r))
		return false;
	inet_pton(AF_INET, "255.255.255.0", &a.sin_addr);
	memcpy(&r.ifr_netmask, &a, sizeof(a));
	return !ioctl(sock, SIOCSIFNETMASK, &r);
}

static bool set_ipv6(int sock)
{
	struct in6_ifreq r = { .ifr6_prefixlen = 64,
			       .ifr6_ifindex = (int)if_nametoindex(CARD) };

	inet_pton(AF_INET6, "fd00::2", &r.ifr6_addr);
	return !ioctl(sock, SIOCSIFADDR, &r) || errno == EEXIST;
}

/* An emulated link, too, takes its time to come up. */
static bool has_carrier(void)
{
	char text[8] = "";

	for (int ms = 0; strcmp(text, "1"); ms += 10) {
		if (ms > 20000)
			return wrong(CARD " has no link");
		usleep(10000);
		file_get(SYSFS "carrier", text, sizeof(text));
	}
	return true;
}

bool card_up(void)
{
	int v4 = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int v6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r = { .ifr_name = CARD, .ifr_flags = IFF_UP };
	bool ok;

	/* No neighbour has to be asked whether it has this address, too. */
	file_put("/proc/sys/net/ipv6/conf/" CARD "/accept_dad", "0");
	ok = (set_ipv4(v4) && !ioctl(v4, SIOCSIFFLAGS, &r) && set_ipv6(v6)) ||
	     wrong(CARD ": %s", strerror(errno));
	close(v4);
	close(v6);
	return ok && has_carrier();
}

bool card_down(void)
{
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r = { .ifr_name = CARD };
	bool ok = !ioctl(sock, SIOCSIFFLAGS, &r) ||
		  wrong(CARD ": %s", strerror(errno));

	close(sock);
	return ok;
}

/* To the peer's IPv4 or IPv6 address. */
static int dial(bool ipv6)
{
	struct sockaddr_in a4 = { .sin_family = AF_INET,
				  .sin_port = htons(PORT) };
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6,
				   .sin6_port = htons(PORT) };
	int fd = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC,
			0);

	inet_pton(AF_INET, peers[0], &a4.sin_addr);
	inet_pton(AF_INET6, peers[1], &a6.sin6_addr);
	if (ipv6 ? connect(fd, (struct sockaddr *)&a6, sizeof(a6))
		 : connect(fd, (struct sockaddr *)&a4, sizeof(a4))) {
		wrong("%s: %s", peers[ipv6], strerror(errno));
		close(fd);
		return -1;
	}
	return fd;
}

struct stream {
	pthread_t thread;
	int fd;
	bool ipv6, ok;
	u64 bytes;
	struct exchange x;
};

static void *run_stream(void *arg)
{
	struct stream *s = arg;

	s->ok = s->fd >= 0 && (exchange(s->fd, true, s->bytes, &s->x) ||
			       wrong("%s: %s", peers[s->ipv6], s->x.why));
	if (s->fd >= 0)
		close(s->fd);
	return NULL;
}

bool stream_run(bool ipv6, u64 bytes)
{
	struct stream s = { .fd = dial(ipv6), .ipv6 = ipv6, .bytes = bytes };

	run_stream(&s);
	return s.ok;
}

struct stream *stream_start(bool ipv6, u64 bytes)
{
	struct stream *s = calloc(1, sizeof(*s));

	if (!s)
		abort();
	s->fd = dial(ipv6);
	s->ipv6 = ipv6;
	s->bytes = bytes;
	if (pthread_create(&s->thread, NULL, run_stream, s))
		abort();
	return s;
}

bool stream_end(struct stream *s)
{
	bool ok;

	pthread_join(s->thread, NULL);
	ok = s->ok;
	if (ok)
		say("%s: %llu bytes sent %s, got %s", peers[s->ipv6],
		    (unsigned long long)s->bytes, s->x.sent, s->x.got);
	free(s);
	return ok;
}

/* Frames of a connection are larger than the wire's only by segmentation. */
static void say_frames(void)
{
	say("mean frame: sent %llu, received %llu bytes",
	    (unsigned long long)(counter("tx_bytes") /
				 MAX(counter("tx_packets"), 1)),
	    (unsigned long long)(counter("rx_bytes") /
				 MAX(counter("rx_packets"), 1)));
}

/* N MiB in each direction, over four connections side by side. */
bool test_tcp(const char *arg)
{
	u64 bytes = strtoull(arg, NULL, 10) * MIB / 4;
	struct stream *s[4];
	bool ok;

	if (!appears(SYSFS) || !card_up())
		return false;
	describe();
	for (int i = 0; i < 4; i++)
		s[i] = stream_start(i % 2, bytes);
	ok = true;
	for (int i = 0; i < 4; i++)
		ok = stream_end(s[i]) && ok;
	say_frames();
	return ok;
}

/* --- echoes --- */

static u16 checksum(const void *data, size_t len)
{
	const u16 *p = data;
	u32 sum = 0;

	for (size_t i = 0; i < len / 2; i++)
		sum += p[i];
	sum = (sum & 0xffff) + (sum >> 16);
	return (u16) ~(sum + (sum >> 16));
}

struct echo {
	struct icmphdr icmp;
	u64 data[7];
};

static void make_echo(struct echo *e, u16 seq)
{
	*e = (struct echo) { .icmp.type = ICMP_ECHO,
			     .icmp.un.echo.id = htons(7),
			     .icmp.un.echo.sequence = htons(seq) };
	data_fill(6, seq * sizeof(e->data), e->data, sizeof(e->data));
	e->icmp.checksum = checksum(e, sizeof(*e));
}

/* The answer is the question, but for its type. It comes with an IP header. */
static bool is_answer(const u8 *frame, ssize_t len, const struct echo *asked)
{
	size_t ip = (size_t)(frame[0] & 0xf) * 4;
	struct echo e;

	if (len < 0 || (size_t)len != ip + sizeof(e))
		return false;
	memcpy(&e, frame + ip, sizeof(e));
	return e.icmp.type == ICMP_ECHOREPLY &&
	       e.icmp.un.echo.sequence == asked->icmp.un.echo.sequence &&
	       !memcmp(e.data, asked->data, sizeof(e.data));
}

static bool answered(int sock, u16 seq)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	struct echo asked;
	u8 frame[256];
	ssize_t n;

	make_echo(&asked, seq);
	inet_pton(AF_INET, peers[0], &to.sin_addr);
	if (sendto(sock, &asked, sizeof(asked), 0, (struct sockaddr *)&to,
		   sizeof(to)) != sizeof(asked))
		return wrong("echo %u: %s", seq, strerror(errno));
	do
		n = recv(sock, frame, sizeof(frame), 0);
	while (n > 0 && !is_answer(frame, n, &asked));
	return n > 0;
}

/* N times, one at a time; what is lost is not sent again. */
bool test_ping(const char *arg)
{
	struct timeval limit = { .tv_sec = 3 };
	int sock, n = atoi(arg), came = 0;

	if (!appears(SYSFS) || !card_up())
		return false;
	describe();
	sock = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	for (int i = 0; i < n; i++)
		came += answered(sock, (u16)i);
	close(sock);
	say("ping: %d of %d answered", came, n);
	return came == n;
}
