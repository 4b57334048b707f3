/*
 * TAP interfaces of the kernel's, each test in a network namespace of its own;
 * and the network device on them, for what no socket does like them. Packet
 * sockets are the host's end. Skipped without root and /dev/net/tun.
 */
#include "unit.h"

#include "fakes/driver.h"

#include <belfry/net.h>
#include <belfry/tap.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define DEVICE   "/dev/net/tun"
#define ETHERNET 14
#define HEADER   TAP_HEADER_LEN
#define LARGEST  (64 * 1024)
#define TYPE     0x88b5 /* for local experiments: nobody else sends it */

/* --- the host --- */

/* Alone with interfaces of our own, or false and it was said why. */
static bool alone(const char *test)
{
	int fd = unshare(CLONE_NEWNET) ? -1 : open(DEVICE, O_RDWR);

	if (fd < 0) {
		printf("skipped: tap: %s: needs root and " DEVICE " (%s)\n",
		       test, strerror(errno));
		fflush(stdout);
		return false;
	}
	close(fd);
	return true;
}

static void set_name(struct ifreq *r, const char *name)
{
	snprintf(r->ifr_name, sizeof(r->ifr_name), "%s", name);
}

/* A queue of an interface as others would open it. */
static int attach(const char *name, int flags)
{
	struct ifreq r = { .ifr_flags = (short)flags };
	int fd = open(DEVICE, O_RDWR);

	ck_assert_int_ge(fd, 0);
	set_name(&r, name);
	ck_assert_msg(!ioctl(fd, TUNSETIFF, &r), "%s: %s", name,
		      strerror(errno));
	return fd;
}

/* An interface that stays, of user @owner (-1: anybody's). */
static void make(const char *name, int flags, int owner)
{
	int fd = attach(name, flags);

	if (owner >= 0)
		ck_assert_int_eq(ioctl(fd, TUNSETOWNER, owner), 0);
	ck_assert_int_eq(ioctl(fd, TUNSETPERSIST, 1), 0);
	close(fd);
}

static int flags_of(int fd)
{
	struct ifreq r = { .ifr_flags = 0 };

	ck_assert_int_eq(ioctl(fd, TUNGETIFF, &r), 0);
	return r.ifr_flags &
	       (IFF_TUN | IFF_TAP | IFF_VNET_HDR | IFF_MULTI_QUEUE);
}

static void set_up(const char *name, bool up)
{
	struct ifreq r = { .ifr_flags = 0 };
	int s = socket(AF_UNIX, SOCK_DGRAM, 0);

	set_name(&r, name);
	ck_assert_int_eq(ioctl(s, SIOCGIFFLAGS, &r), 0);
	r.ifr_flags =
		(short)(up ? r.ifr_flags | IFF_UP : r.ifr_flags & ~IFF_UP);
	ck_assert_int_eq(ioctl(s, SIOCSIFFLAGS, &r), 0);
	close(s);
}

static void set_mtu(const char *name, int mtu)
{
	struct ifreq r = { .ifr_mtu = mtu };
	int s = socket(AF_UNIX, SOCK_DGRAM, 0);

	set_name(&r, name);
	ck_assert_int_eq(ioctl(s, SIOCSIFMTU, &r), 0);
	close(s);
}

/* The kernel's own frames (router solicitations) would come between. */
static void hush(const char *name)
{
	char path[100];
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6",
		 name);
	fd = open(path, O_WRONLY);
	if (fd >= 0 && write(fd, "1", 1) == 1)
		close(fd);
}

static void remove_interface(const char *name)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg i;
	} m = {
		{ .nlmsg_len = sizeof(m),
		  .nlmsg_type = RTM_DELLINK,
		  .nlmsg_flags = NLM_F_REQUEST },
		{ .ifi_index = (int)if_nametoindex(name) },
	};
	int s = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

	ck_assert_int_eq(send(s, &m, sizeof(m), 0), sizeof(m));
	close(s);
	ck_assert_uint_eq(if_nametoindex(name), 0);
}

/* The host's end: frames each behind a header of 10 bytes. */
static int host_end(const char *name)
{
	int s = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0), on = 1;
	struct sockaddr_ll at = {
		.sll_family = AF_PACKET,
		.sll_protocol = htobe16(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex(name),
	};

	ck_assert_int_ge(s, 0);
	ck_assert_int_eq(setsockopt(s, SOL_PACKET, PACKET_VNET_HDR, &on,
				    sizeof(on)),
			 0);
	ck_assert_int_eq(bind(s, (void *)&at, sizeof(at)), 0);
	return s;
}

static void drop_right(int capability)
{
	struct __user_cap_header_struct h = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct d[2];

	ck_assert_int_eq(syscall(SYS_capget, &h, d), 0);
	d[capability / 32].effective &= ~(1u << capability % 32);
	ck_assert_int_eq(syscall(SYS_capset, &h, d), 0);
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

static void opened(struct tap *t, const char *name, u32 queues)
{
	struct err e = { 0 };

	ck_assert_msg(tap_open(t, name, queues, &e) == 0, "%s", e.msg);
}

/* --- opening --- */

START_TEST(opens)
{
	if (!alone("opens"))
		return;
	for (u32 queues = 1; queues <= TAP_QUEUES_MAX; queues += 5) {
		int before = open_descriptors(), len;
		struct tap t;

		opened(&t, "tap7", queues);
		ck_assert_uint_eq(t.queues, queues);
		ck_assert_str_eq(t.name, "tap7");
		ck_assert_uint_eq(t.mtu, 1500);
		for (u32 i = 0; i < queues; i++) {
			ck_assert_int_eq(flags_of(t.fds[i]),
					 IFF_TAP | IFF_VNET_HDR |
						 (queues > 1 ? IFF_MULTI_QUEUE
							     : 0));
			ck_assert(fcntl(t.fds[i], F_GETFL) & O_NONBLOCK);
			ck_assert(fcntl(t.fds[i], F_GETFD) & FD_CLOEXEC);
			ck_assert_int_eq(ioctl(t.fds[i], TUNGETVNETHDRSZ, &len),
					 0);
			ck_assert_int_eq(len, 12);
			ck_assert_int_eq(ioctl(t.fds[i], TUNGETVNETLE, &len),
					 0);
			ck_assert_int_eq(len, 1);
		}
		/* All that kernels with the rest of what we need have. */
		ck_assert_uint_eq(t.offloads & ~TAP_USO, 31);
		tap_close(&t);
		tap_close(&t);
		ck_assert_int_eq(open_descriptors(), before);
		ck_assert_uint_eq(if_nametoindex("tap7"), 0);
	}
}
END_TEST

/* What others made, and what they left behind in it. */
START_TEST(opens_what_is_there)
{
	int ten = 10, big_endian = 1, fd;
	struct tap t;

	if (!alone("opens_what_is_there"))
		return;
	make("tap7", IFF_TAP, -1);
	make("tap8", IFF_TAP | IFF_MULTI_QUEUE, -1);
	set_mtu("tap7", 9000);
	fd = attach("tap7", IFF_TAP | IFF_VNET_HDR);
	ck_assert_int_eq(ioctl(fd, TUNSETVNETHDRSZ, &ten), 0);
	if (ioctl(fd, TUNSETVNETBE, &big_endian))
		ck_assert_int_eq(errno, EINVAL); /* a kernel without */
	ck_assert_int_eq(ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4), 0);
	close(fd);

	opened(&t, "tap7", 1);
	ck_assert_int_eq(flags_of(t.fds[0]), IFF_TAP | IFF_VNET_HDR);
	ck_assert_int_eq(ioctl(t.fds[0], TUNGETVNETHDRSZ, &ten), 0);
	ck_assert_int_eq(ten, 12);
	ck_assert_uint_eq(t.mtu, 9000);
	tap_close(&t);
	ck_assert_uint_ne(if_nametoindex("tap7"), 0);

	for (u32 queues = 1; queues < 4; queues++) {
		opened(&t, "tap8", queues);
		ck_assert_uint_eq(t.queues, queues);
		tap_close(&t);
	}

	opened(&t, "any%d", 2);
	ck_assert_str_eq(t.name, "any0");
	tap_close(&t);
}
END_TEST

static void refused(const char *name, u32 queues, int code, const char *says)
{
	int before = open_descriptors();
	struct err e = { 0 };
	struct tap t;

	ck_assert_int_eq(tap_open(&t, name, queues, &e), code);
	ck_assert_int_eq(e.code, code);
	ck_assert_msg(strstr(e.msg, says), "not \"%s\": %s", says, e.msg);
	ck_assert_int_eq(open_descriptors(), before);
	tap_close(&t);
}

START_TEST(refuses)
{
	int other;

	if (!alone("refuses"))
		return;
	make("tun7", IFF_TUN, -1);
	make("tap7", IFF_TAP, -1);
	make("tap8", IFF_TAP, 1234);
	make("tap9", IFF_TAP | IFF_MULTI_QUEUE, 1234);

	refused("", 1, -ENAMETOOLONG, "1 to 15 characters");
	refused("a123456789012345", 1, -ENAMETOOLONG, "1 to 15 characters");
	refused("a/b", 1, -EINVAL, "a/b: not a name");
	refused("lo", 1, -EINVAL, "lo: not a TAP");
	refused("lo", 2, -EINVAL, "lo: not a TAP");
	refused("tun7", 1, -EINVAL, "tun7: not a TAP");
	refused("tap7", 2, -EINVAL,
		"`ip tuntap add tap7 mode tap user 0 multi_queue`");

	other = attach("tap7", IFF_TAP);
	refused("tap7", 1, -EBUSY, "tap7: in use");
	close(other);

	drop_right(CAP_NET_ADMIN);
	refused("tap8", 1, -EPERM, "tap8: it was made for another user");
	refused("tap9", 4, -EPERM,
		"remove it and `ip tuntap add tap9 mode tap user 0 multi_queue`");
	refused("tap10", 1, -EPERM, "as root, `ip tuntap add tap10 mode tap");
	ck_assert_uint_eq(if_nametoindex("tap10"), 0);
}
END_TEST

/* What a look tells beforehand, in the same words; and nothing is changed. */
static void foreseen(const char *name, u32 queues, int code, const char *says)
{
	int before = open_descriptors();
	struct err e = { 0 };

	ck_assert_int_eq(tap_check(name, queues, &e), code);
	if (code)
		ck_assert_msg(strstr(e.msg, says), "not \"%s\": %s", says,
			      e.msg);
	ck_assert_int_eq(open_descriptors(), before);
}

START_TEST(foresees)
{
	struct ifreq r = { .ifr_mtu = 0 };
	int s;

	if (!alone("foresees"))
		return;
	make("tun7", IFF_TUN, -1);
	make("tap7", IFF_TAP, -1);
	set_mtu("tap7", 9000);
	foreseen("", 1, -ENAMETOOLONG, "1 to 15 characters");
	foreseen("lo", 1, -EINVAL, "lo: not a TAP");
	foreseen("tun7", 1, -EINVAL, "tun7: not a TAP");
	foreseen("tap7", 1, 0, NULL);
	foreseen("tap8", 2, 0, NULL); /* a run would make it */
	ck_assert_uint_eq(if_nametoindex("tap8"), 0);

	drop_right(CAP_NET_ADMIN);
	foreseen("lo", 1, -EINVAL, "lo: not a TAP");
	foreseen("tap7", 1, 0, NULL);
	foreseen("tap8", 2, -EPERM,
		 "tap8: there is none, and making one takes CAP_NET_ADMIN: as "
		 "root, `ip tuntap add tap8 mode tap user 0 multi_queue`");
	set_name(&r, "tap7");
	s = socket(AF_UNIX, SOCK_DGRAM, 0);
	ck_assert_int_eq(ioctl(s, SIOCGIFMTU, &r), 0);
	ck_assert_int_eq(r.ifr_mtu, 9000);
	close(s);
}
END_TEST

START_TEST(refuses_without_device)
{
	if (!alone("refuses_without_device"))
		return;
	ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
	ck_assert_int_eq(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL),
			 0);
	ck_assert_int_eq(mount("none", "/dev", "tmpfs", 0, NULL), 0);
	refused("tap7", 1, -ENOENT, "`modprobe tun`");
	foreseen("tap7", 1, -ENOENT, "`modprobe tun`");

	ck_assert_int_eq(mkdir("/dev/net", 0755), 0);
	ck_assert_int_eq(mknod(DEVICE, S_IFCHR | 0600, makedev(10, 200)), 0);
	ck_assert_int_eq(setresuid(65534, 65534, 65534), 0);
	refused("tap7", 1, -EACCES, "`chmod 666 " DEVICE "`");
	foreseen("tap7", 1, -EACCES, "`chmod 666 " DEVICE "`");
}
END_TEST

/* --- adopting --- */

START_TEST(adopts)
{
	static const int flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	struct err e = { 0 };
	struct tap t;
	int fds[3], len;

	if (!alone("adopts"))
		return;
	for (int i = 0; i < 3; i++)
		fds[i] = attach("tap7", flags | IFF_MULTI_QUEUE);
	ck_assert_int_eq(tap_check_fds(fds, 3, &e), 0);
	ck_assert(!(fcntl(fds[0], F_GETFL) & O_NONBLOCK));
	ck_assert_msg(tap_adopt(&t, fds, 3, &e) == 0, "%s", e.msg);
	ck_assert_uint_eq(t.queues, 3);
	ck_assert_str_eq(t.name, "tap7");
	ck_assert_uint_eq(t.offloads & ~TAP_USO, 31);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(t.fds[i], fds[i]);
		ck_assert(fcntl(fds[i], F_GETFL) & O_NONBLOCK);
		ck_assert(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
		ck_assert_int_eq(ioctl(fds[i], TUNGETVNETHDRSZ, &len), 0);
		ck_assert_int_eq(len, 12);
	}
	tap_close(&t);
	ck_assert_int_lt(fcntl(fds[0], F_GETFL), 0);

	fds[0] = attach("tap7", flags);
	ck_assert_msg(tap_adopt(&t, fds, 1, &e) == 0, "%s", e.msg);
	tap_close(&t);
}
END_TEST

START_TEST(adopts_no_others)
{
	static const int flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	int bare, several, pipes[2];

	if (!alone("adopts_no_others"))
		return;
	bare = open(DEVICE, O_RDWR);
	ck_assert_int_eq(pipe(pipes), 0);
	several = attach("tap5", flags | IFF_MULTI_QUEUE);
	const struct {
		int fds[2];
		u32 queues;
		int code;
		const char *says;
	} rows[] = {
		{ { 9999 }, 1, -EBADF, "not a queue of a TAP" },
		{ { pipes[0] }, 1, -ENOTTY, "not a queue of a TAP" },
		{ { bare }, 1, -EBADFD, "TUNSETIFF" },
		{ { attach("tun0", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR) },
		  1,
		  -EINVAL,
		  "IFF_TAP" },
		{ { attach("tap0", IFF_TAP | IFF_NO_PI) },
		  1,
		  -EINVAL,
		  "IFF_VNET_HDR" },
		{ { attach("tap2", flags), 1 },
		  2,
		  -EINVAL,
		  "tap2 has one queue" },
		{ { several, attach("tap6", flags | IFF_MULTI_QUEUE) },
		  2,
		  -EINVAL,
		  "of interface tap6, those before it of tap5" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e = { 0 }, foreseen = { 0 };
		struct tap t;

		ck_assert_int_eq(tap_check_fds(rows[i].fds, rows[i].queues,
					       &foreseen),
				 rows[i].code);
		ck_assert_int_eq(tap_adopt(&t, rows[i].fds, rows[i].queues, &e),
				 rows[i].code);
		ck_assert_str_eq(foreseen.msg, e.msg);
		ck_assert_msg(strstr(e.msg, rows[i].says), "not \"%s\": %s",
			      rows[i].says, e.msg);
		tap_close(&t);
		/* Still the caller's. */
		if (i)
			ck_assert_int_ge(fcntl(rows[i].fds[0], F_GETFD), 0);
	}
}
END_TEST

/* --- while the guest runs --- */

/* For the sandbox: nothing else is to be called then. */
START_TEST(names_its_requests)
{
	ck_assert_uint_eq(tap_requests[0], TUNSETOFFLOAD);
	ck_assert_uint_eq(tap_requests[1], TUNSETQUEUE);
	ck_assert_uint_eq(tap_requests[2], 0);
}
END_TEST

START_TEST(knows_if_up)
{
	struct tap t;

	if (!alone("knows_if_up"))
		return;
	opened(&t, "tap7", 1);
	for (int i = 0; i < 2; i++) {
		ck_assert(!tap_is_up(&t));
		set_up("tap7", true);
		ck_assert(tap_is_up(&t));
		set_up("tap7", false);
	}
	tap_close(&t);
}
END_TEST

static u32 frames_at(int fd)
{
	u8 frame[2000];
	u32 nr = 0;

	while (read(fd, frame, sizeof(frame)) > 0)
		nr++;
	return nr;
}

static void send_tiny(int s, u32 nr)
{
	u8 frame[10 + 64] = { 0 };

	memset(frame + 10, 0xff, 6);
	frame[10 + 12] = TYPE >> 8;
	frame[10 + 13] = TYPE & 0xff;
	for (u32 i = 0; i < nr; i++)
		ck_assert_int_eq(write(s, frame, sizeof(frame)), sizeof(frame));
}

START_TEST(attaches_queues)
{
	struct tap t;
	int s;

	if (!alone("attaches_queues"))
		return;
	opened(&t, "tap7", 2);
	hush("tap7");
	set_up("tap7", true);
	s = host_end("tap7");
	ck_assert_int_eq(tap_set_queue(&t, 0, true), -EINVAL);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(tap_set_queue(&t, 1, false), 0);
		ck_assert_int_eq(tap_set_queue(&t, 1, false), -EINVAL);
		send_tiny(s, 10);
		ck_assert_uint_eq(frames_at(t.fds[0]), 10);
		ck_assert_int_eq(tap_set_queue(&t, 1, true), 0);
		send_tiny(s, 10);
		ck_assert_uint_eq(frames_at(t.fds[0]) + frames_at(t.fds[1]),
				  10);
	}
	tap_close(&t);
	close(s);
}
END_TEST

/* The sum of RFC 1071 over @len bytes, an even number. */
static u32 add_up(const u8 *bytes, u32 len, u32 sum)
{
	for (u32 i = 0; i < len; i += 2)
		sum += (u32)(bytes[i] << 8 | bytes[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void put16(u8 *at, u32 val)
{
	at[0] = (u8)(val >> 8);
	at[1] = (u8)val;
}

/*
 * TCP over IPv4, @payload bytes for the other end to cut, and to finish the
 * checksum: it has the pseudo header's, RFC 9293, 3.1.
 */
#define TCP_AT   (ETHERNET + 20)
#define TCP_DATA (ETHERNET + 40)
/* Beyond 64 KiB, all told, the kernel cuts it itself. */
#define LARGEST_TCP (65535 - TCP_DATA)

static u32 tcp_frame(u8 *frame, u32 payload)
{
	static const u8 ipv4[] = { 0x45, 0, 0,  0, 0, 0, 0,  0, 64, 6,
				   0,    0, 10, 0, 0, 1, 10, 0, 0,  2 };
	u8 *ip = frame + ETHERNET, *tcp = frame + TCP_AT;

	memset(frame, 0, TCP_DATA);
	memset(frame, 0xff, 6);
	frame[12] = 8;
	memcpy(ip, ipv4, sizeof(ipv4));
	put16(ip + 2, 40 + payload);
	put16(ip + 10, ~add_up(ip, 20, 0));
	tcp[12] = 5 << 4;
	tcp[13] = 0x10; /* ACK */
	put16(tcp + 16, add_up(ip + 12, 8, 6 + 20 + payload));
	for (u32 i = 0; i < payload; i++)
		frame[TCP_DATA + i] = (u8)(i * 7 + (i >> 8));
	return TCP_DATA + payload;
}

static struct virtio_net_hdr tcp_header(void)
{
	return (struct virtio_net_hdr) {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = htole16(TCP_DATA),
		.gso_size = htole16(1448),
		.csum_start = htole16(TCP_AT),
		.csum_offset = htole16(16),
	};
}

static void send_tcp(int s, u32 payload)
{
	static u8 frame[10 + LARGEST + 100];
	struct virtio_net_hdr h = tcp_header();
	u32 len = 10 + tcp_frame(frame + 10, payload);

	memcpy(frame, &h, 10);
	ck_assert_int_eq(write(s, frame, len), len);
}

/* What is offered is what the interface is then given uncut. */
START_TEST(sets_offloads)
{
	static const struct {
		u32 offloads;
		bool whole;
	} rows[] = {
		{ TAP_CSUM | TAP_TSO4, true },
		{ 0, false },
		{ TAP_TSO4, false },
		{ TAP_CSUM, false },
		{ TAP_CSUM | TAP_TSO_ECN, false },
		{ TAP_CSUM | TAP_TSO6 | TAP_TSO_ECN, false },
		{ TAP_CSUM | TAP_UFO, false },
		{ ~0u, true },
	};
	static u8 frame[2 * LARGEST];
	struct tap t;
	int s;

	if (!alone("sets_offloads"))
		return;
	opened(&t, "tap7", 1);
	hush("tap7");
	set_up("tap7", true);
	s = host_end("tap7");
	send_tcp(s, 60000);
	ck_assert_uint_gt(frames_at(t.fds[0]), 40);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		ck_assert_msg(tap_set_offloads(&t, rows[i].offloads &
							   t.offloads) == 0,
			      "row %zu", i);
		send_tcp(s, 60000);
		if (rows[i].whole)
			ck_assert_int_eq(read(t.fds[0], frame, sizeof(frame)),
					 HEADER + TCP_DATA + 60000);
		else
			ck_assert_uint_gt(frames_at(t.fds[0]), 40);
		ck_assert_uint_eq(frames_at(t.fds[0]), 0);
	}
	tap_close(&t);
	close(s);
}
END_TEST

/* --- the device on it --- */

#define ALL    (~0ull)
#define BUFFER 4096u

struct bench {
	struct world *w;
	struct tap tap;
	int host;
	struct net *net;
	struct driver *d;
	gpa_t buffer[256], out;
};

static struct bench *bench_create(u32 queues, u64 features)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct net_setup n = { .name = "net 0",
			       .mac = { 2, 1, 2, 3, 4, 5 },
			       .offload = true };
	struct err e = { 0 };

	opened(&b->tap, "tap7", queues);
	hush("tap7");
	set_up("tap7", true);
	b->host = host_end("tap7");
	b->w = world_create(false);
	n.tap = &b->tap;
	n.caps = b->w->caps;
	b->net = net_create(&n, &e);
	ck_assert_msg(b->net, "%s", e.msg);
	b->d = driver_create(b->w, net_virtio(b->net));
	b->out = world_alloc(b->w, LARGEST + 100);
	for (u32 i = 0; i < ARRAY_SIZE(b->buffer); i++)
		b->buffer[i] = world_alloc(b->w, BUFFER);
	driver_bind(b->d, features, 2 * queues + 1, 256);
	world_pass(b->w, 2);
	return b;
}

static void bench_destroy(struct bench *b)
{
	world_end(b->w);
	net_destroy(b->net);
	driver_destroy(b->d);
	world_destroy(b->w);
	close(b->host);
	tap_close(&b->tap);
	free(b);
}

static void post_all(struct bench *b, struct driver_queue *q)
{
	/* Heads go up from 0 in a new queue. */
	for (u32 i = 0; i < q->size; i++) {
		struct buffer in = { b->buffer[i], BUFFER };

		ck_assert_uint_eq(driver_add(q, NULL, 0, &in, 1), i);
	}
	driver_kick(q);
}

/* The next frame the guest gets on @q. */
static u32 guest_gets(struct bench *b, struct driver_queue *q, u8 *frame)
{
	u32 len = 0, nr = 1, here;

	for (u32 i = 0; i < nr; i++) {
		u16 head = driver_wait(q, &here);

		world_get(b->w, b->buffer[head], frame + len, here);
		len += here;
		nr = frame[10] | frame[11] << 8;
		ck_assert_uint_eq(here, i + 1 < nr ? BUFFER : here);
	}
	ck_assert_uint_eq(nr, (len + BUFFER - 1) / BUFFER);
	return len;
}

START_TEST(receives_uncut)
{
	static u8 got[2 * LARGEST], want[2 * LARGEST];
	struct virtio_net_hdr h = tcp_header();
	struct bench *b;
	u32 len;

	if (!alone("receives_uncut"))
		return;
	b = bench_create(1, ALL);
	post_all(b, &b->d->queues[0]);
	for (u32 i = 0; i < 8; i++) {
		u32 payload = i % 2 ? LARGEST_TCP : 3000;

		send_tcp(b->host, payload);
		len = tcp_frame(want, payload);
		ck_assert_uint_eq(guest_gets(b, &b->d->queues[0], got),
				  HEADER + len);
		/* hdr_len is a hint, and the kernel's own. */
		ck_assert(!memcmp(got, &h, 2) &&
			  !memcmp(got + 4, &h.gso_size, 6));
		ck_assert(!memcmp(got + HEADER, want, len));
	}
	ck_assert_uint_eq(net_dropped(b->net), 0);
	bench_destroy(b);
}
END_TEST

/* Nothing but whole segments with good sums for a driver that knows no more,
 * and no claims of checksums it did not ask for. */
START_TEST(receives_cut)
{
	static u8 got[2 * LARGEST];
	struct bench *b;
	u32 bytes = 0;

	if (!alone("receives_cut"))
		return;
	b = bench_create(1, BIT(32) | BIT(15));
	post_all(b, &b->d->queues[0]);
	send_tcp(b->host, 14480);
	for (u32 i = 0; i < 10; i++) {
		u32 len = guest_gets(b, &b->d->queues[0], got);

		ck_assert_uint_eq(len, HEADER + TCP_DATA + 1448);
		ck_assert_uint_eq(got[0], 0);
		ck_assert_uint_eq(got[1], 0);
		ck_assert_uint_eq(add_up(got + HEADER + ETHERNET + 12,
					 8 + 20 + 1448, 6 + 20 + 1448),
				  0xffff);
		bytes += 1448;
	}
	ck_assert_uint_eq(bytes, 14480);
	bench_destroy(b);
}
END_TEST

static bool host_readable(void *ctx)
{
	struct pollfd p = { .fd = *(int *)ctx, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

START_TEST(sends_uncut)
{
	static u8 sent[2 * LARGEST], got[2 * LARGEST];
	struct virtio_net_hdr h = tcp_header();
	struct bench *b;
	u32 len;

	if (!alone("sends_uncut"))
		return;
	b = bench_create(1, ALL);
	memcpy(sent, &h, 10);
	len = HEADER + tcp_frame(sent + HEADER, LARGEST_TCP);
	world_put(b->w, b->out, sent, len);
	struct buffer out[] = { { b->out, 7 },
				{ b->out + 7, 60 },
				{ b->out + 67, len - 67 } };

	driver_request(&b->d->queues[1], out, 3, NULL, 0);
	world_wait(b->w, host_readable, &b->host);
	ck_assert_int_eq(read(b->host, got, sizeof(got)), len - 2);
	ck_assert_uint_eq(got[1], VIRTIO_NET_HDR_GSO_TCPV4);
	ck_assert(!memcmp(got + 10, sent + HEADER, len - HEADER));

	/* What the kernel refuses: a sum beyond the frame. */
	sent[6] = sent[7] = 0xff;
	world_put(b->w, b->out, sent, 100);
	out[2].len = 33;
	driver_request(&b->d->queues[1], out, 3, NULL, 0);
	ck_assert_uint_eq(net_dropped(b->net), 1);
	bench_destroy(b);
}
END_TEST

static bool link_up(void *ctx)
{
	u8 status;

	driver_config(ctx, 6, &status, 1);
	return status & 1;
}

static bool link_down(void *ctx)
{
	return !link_up(ctx);
}

static void send_one(struct bench *b)
{
	struct buffer out = { b->out, 100 };

	driver_request(&b->d->queues[1], &out, 1, NULL, 0);
}

/* Down shows when the driver sends, up at once. */
START_TEST(follows_the_link)
{
	struct bench *b;

	if (!alone("follows_the_link"))
		return;
	b = bench_create(1, ALL);
	ck_assert(link_up(b->d));
	for (u32 i = 1; i < 4; i++) {
		set_up("tap7", false);
		send_one(b);
		send_one(b);
		world_wait(b->w, link_down, b->d);
		ck_assert_uint_eq(net_dropped(b->net), 2 * i);
		world_pass(b->w, 10);
		ck_assert_uint_eq(driver_messages(b->d, 0), 2 * i - 1);
		set_up("tap7", true);
		world_wait(b->w, link_up, b->d);
		world_pass(b->w, 10);
		ck_assert_uint_eq(driver_messages(b->d, 0), 2 * i);
		send_one(b);
		ck_assert_uint_eq(net_dropped(b->net), 2 * i);
	}

	set_up("tap7", false);
	driver_bind(b->d, ALL, 3, 16);
	world_wait(b->w, link_down, b->d);
	set_up("tap7", true);
	world_wait(b->w, link_up, b->d);
	bench_destroy(b);
}
END_TEST

START_TEST(outlives_the_interface)
{
	struct ifreq r = { .ifr_flags = 0 };
	struct timespec begun, now;
	struct bench *b;

	if (!alone("outlives_the_interface"))
		return;
	b = bench_create(2, ALL);
	post_all(b, &b->d->queues[0]);
	world_pass(b->w, 5);
	close(b->host);
	b->host = -1;
	remove_interface("tap7");
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begun);
	world_wait(b->w, link_down, b->d);
	send_one(b);
	world_pass(b->w, 500);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	ck_assert_int_lt((now.tv_sec - begun.tv_sec) * 1000 +
				 (now.tv_nsec - begun.tv_nsec) / 1000000,
			 250);
	ck_assert_uint_eq(net_dropped(b->net), 1);
	ck_assert_int_lt(ioctl(b->tap.fds[0], TUNGETIFF, &r), 0);

	driver_bind(b->d, ALL, 5, 16);
	world_pass(b->w, 10);
	ck_assert(driver_status(b->d) & DEVICE_NEEDS_RESET);
	bench_destroy(b);
}
END_TEST

/* Frames go to pairs in use, and to none of the others. */
START_TEST(spreads_frames)
{
	static const u8 set[] = { 1, 3, 2, 3, 1 };
	struct bench *b;
	u8 ack;

	if (!alone("spreads_frames"))
		return;
	b = bench_create(3, ALL);
	for (size_t i = 0; i < ARRAY_SIZE(set); i++) {
		u8 c[4] = { 4, 0, set[i] };
		struct buffer out = { b->out, 4 }, in = { b->out + 64, 1 };
		u32 got = 0, written;
		u16 head;

		driver_bind(b->d, ALL, 7, 64);
		for (u32 k = 0; k < 3; k++)
			post_all(b, &b->d->queues[2 * k]);
		world_put(b->w, b->out, c, 4);
		driver_request(&b->d->queues[6], &out, 1, &in, 1);
		world_get(b->w, in.addr, &ack, 1);
		ck_assert_uint_eq(ack, 0);
		send_tiny(b->host, 30);
		world_pass(b->w, 20);
		for (u32 k = 0; k < 3; k++)
			while (driver_used(&b->d->queues[2 * k], &head,
					   &written)) {
				ck_assert_uint_eq(written, HEADER + 64);
				ck_assert_uint_lt(k, set[i]);
				got++;
			}
		ck_assert_uint_eq(got, 30);
	}
	bench_destroy(b);
}
END_TEST

UNIT_MAIN("tap", opens, opens_what_is_there, refuses, foresees,
	  refuses_without_device, adopts, adopts_no_others, names_its_requests,
	  knows_if_up, attaches_queues, sets_offloads, receives_uncut,
	  receives_cut, sends_uncut, follows_the_link, outlives_the_interface,
	  spreads_frames)
