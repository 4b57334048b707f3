/*
 * TAP queues: opened, checked, and told what the guest accepts.
 *
 * What goes wrong here is almost always for the operator to put right, and the
 * kernel says little of it (EINVAL for five different things), so a failure
 * looks at the interface and says what it is.
 */
#include <belfry/tap.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20 /* Linux 6.2 */
#define TUN_F_USO6 0x40
#endif

#define DEVICE "/dev/net/tun"

static_assert(IFNAMSIZ == sizeof(((struct tap *)0)->name), "of the kernel's");

const unsigned long tap_requests[] = { TUNSETOFFLOAD, TUNSETQUEUE, 0 };

/* --- what to tell the operator --- */

/* What is there under a name, of the network namespace we are in. */
enum kind { KIND_NONE, KIND_OTHER, KIND_TAP };

static int ask(const struct tap *t, unsigned long request, struct ifreq *r)
{
	/* Any socket will do. */
	int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err;

	if (s < 0)
		return -errno;
	memcpy(r->ifr_name, t->name, sizeof(t->name));
	err = ioctl(s, request, r) ? -errno : 0;
	close(s);
	return err;
}

static enum kind kind_of(const struct tap *t)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	struct ifreq r = { .ifr_data = (void *)&info };
	int err = ask(t, SIOCETHTOOL, &r);

	if (err == -ENODEV)
		return KIND_NONE;
	return !err && !strcmp(info.driver, "tun") &&
			       !strcmp(info.bus_info, "tap")
		       ? KIND_TAP
		       : KIND_OTHER;
}

static int no_device(int err, struct err *e)
{
	switch (err) {
	case -ENOENT:
	case -ENODEV:
	case -ENXIO:
		return err_set(
			e, err,
			DEVICE
			": this host has no TAP interfaces: `modprobe tun`, and in a container pass the device in");
	case -EACCES:
	case -EPERM:
		return err_set(e, err,
			       DEVICE
			       ": no right to open it: `chmod 666 " DEVICE
			       "` is the usual, or pass open queues (fds)");
	default:
		return err_set(e, err, DEVICE ": %s", strerror(-err));
	}
}

/* What ends most messages; @first: what to do before. */
static int make_it(const struct tap *t, u32 queues, const char *why,
		   const char *first, int err, struct err *e)
{
	return err_set(
		e, err,
		"interface %s: %s: as root, %s`ip tuntap add %s mode tap user %u%s`",
		t->name, why, first, t->name, getuid(),
		queues > 1 ? " multi_queue" : "");
}

static int no_right(const struct tap *t, u32 queues, int err, struct err *e)
{
	if (kind_of(t) == KIND_NONE)
		return make_it(
			t, queues,
			"there is none, and making one takes CAP_NET_ADMIN", "",
			err, e);
	return make_it(t, queues, "it was made for another user",
		       "remove it and ", err, e);
}

static int not_fit(const struct tap *t, u32 queues, int err, struct err *e)
{
	switch (kind_of(t)) {
	case KIND_NONE:
		return err_set(e, err,
			       "interface %s: not a name that one can have",
			       t->name);
	case KIND_TAP:
		return make_it(t, queues, "it was made with one queue",
			       "remove it and ", err, e);
	default:
		return err_set(
			e, err,
			"interface %s: not a TAP: name one that `ip tuntap list` shows as tap, perhaps on a bridge with this",
			t->name);
	}
}

static int not_attached(const struct tap *t, u32 queues, int err, struct err *e)
{
	switch (err) {
	case -EPERM:
		return no_right(t, queues, err, e);
	case -EINVAL:
		return not_fit(t, queues, err, e);
	case -EBUSY:
		return err_set(
			e, err,
			"interface %s: in use by another program: end that, or make an interface for each",
			t->name);
	default:
		return err_set(e, err, "interface %s: %s", t->name,
			       strerror(-err));
	}
}

/* --- opening --- */

static int attach(struct tap *t, int fd, bool multi_queue)
{
	struct ifreq r = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };

	if (multi_queue)
		r.ifr_flags |= IFF_MULTI_QUEUE;
	memcpy(r.ifr_name, t->name, sizeof(t->name));
	if (ioctl(fd, TUNSETIFF, &r))
		return -errno;
	/* The kernel numbers "tap%d" itself. */
	memcpy(t->name, r.ifr_name, sizeof(t->name));
	return 0;
}

static int open_queue(struct tap *t, u32 queues, struct err *e)
{
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	int err;

	if (fd < 0)
		return no_device(-errno, e);
	t->fds[t->queues++] = fd;
	err = attach(t, fd, queues > 1);
	/* Of an interface made for several, one will do. */
	if (err == -EINVAL && queues == 1)
		err = attach(t, fd, true);
	return err ? not_attached(t, queues, err, e) : 0;
}

/*
 * The header of VIRTIO 1: 12 bytes, little-endian. Interfaces that outlive
 * their programs keep what an earlier one set.
 */
static int set_header(const struct tap *t, struct err *e)
{
	int len = TAP_HEADER_LEN, little_endian = 1;

	for (u32 i = 0; i < t->queues; i++)
		if (ioctl(t->fds[i], TUNSETVNETHDRSZ, &len) ||
		    ioctl(t->fds[i], TUNSETVNETLE, &little_endian))
			return err_set(
				e, -errno,
				"interface %s: does not take virtio's headers: %s",
				t->name, strerror(errno));
	return 0;
}

/* --- offloads --- */

static const struct {
	u32 ours, kernels;
} offloads[] = {
	{ TAP_CSUM, TUN_F_CSUM }, { TAP_TSO4, TUN_F_TSO4 },
	{ TAP_TSO6, TUN_F_TSO6 }, { TAP_TSO_ECN, TUN_F_TSO_ECN },
	{ TAP_UFO, TUN_F_UFO },   { TAP_USO, TUN_F_USO4 | TUN_F_USO6 },
};

/* The kernel wants nothing without checksums, and ECN not on its own. */
static unsigned long to_kernel(u32 ours)
{
	unsigned long bits = 0;

	if (!(ours & TAP_CSUM))
		return 0;
	if (!(ours & (TAP_TSO4 | TAP_TSO6)))
		ours &= ~(u32)TAP_TSO_ECN;
	for (size_t i = 0; i < ARRAY_SIZE(offloads); i++)
		if (ours & offloads[i].ours)
			bits |= offloads[i].kernels;
	return bits;
}

int tap_set_offloads(struct tap *t, u32 ours)
{
	return ioctl(t->fds[0], TUNSETOFFLOAD, to_kernel(ours)) ? -errno : 0;
}

/*
 * The kernel refuses a set with one it does not know. They came to it in this
 * order, so the first set it takes is all it knows; none of them is wanted
 * before a guest says so.
 */
static int probe_offloads(struct tap *t, struct err *e)
{
	static const u32 tso = TAP_CSUM | TAP_TSO4 | TAP_TSO6 | TAP_TSO_ECN;
	static const u32 sets[] = { tso | TAP_UFO | TAP_USO, tso | TAP_UFO, tso,
				    TAP_CSUM };
	int err;

	for (size_t i = 0; !t->offloads && i < ARRAY_SIZE(sets); i++)
		if (!tap_set_offloads(t, sets[i]))
			t->offloads = sets[i];
	err = tap_set_offloads(t, 0);
	return err ? err_set(e, err, "interface %s: offloads: %s", t->name,
			     strerror(-err))
		   : 0;
}

/* --- the whole --- */

static int set_name(struct tap *t, const char *name, struct err *e)
{
	*t = (struct tap) { .queues = 0 };
	if (!*name || strlen(name) >= sizeof(t->name))
		return err_set(
			e, -ENAMETOOLONG,
			"interface %s: the name of one has 1 to %zu characters",
			name, sizeof(t->name) - 1);
	strcpy(t->name, name);
	return 0;
}

int tap_open(struct tap *t, const char *name, u32 queues, struct err *e)
{
	struct ifreq r = { .ifr_mtu = 0 };
	int err = set_name(t, name, e);

	assert(queues && queues <= TAP_QUEUES_MAX);
	while (!err && t->queues < queues)
		err = open_queue(t, queues, e);
	if (!err)
		err = set_header(t, e);
	if (!err)
		err = probe_offloads(t, e);
	if (err) {
		tap_close(t);
		return err;
	}
	if (!ask(t, SIOCGIFMTU, &r))
		t->mtu = (u32)r.ifr_mtu;
	return 0;
}

/*
 * Is @fd queue @t->queues of the interface? IFF_NO_PI is needed as well, but
 * the kernel does not tell: its bit means "no filter" when read.
 */
static int check_queue(struct tap *t, int fd, u32 queues, struct err *e)
{
	static const int needed = IFF_TAP | IFF_VNET_HDR;
	struct ifreq r = { .ifr_flags = 0 };

	if (ioctl(fd, TUNGETIFF, &r))
		return err_set(
			e, -errno,
			"descriptor %d: not a queue of a TAP interface (%s): open " DEVICE
			" and attach it (TUNSETIFF) before passing it on",
			fd, strerror(errno));
	if ((r.ifr_flags & needed) != needed)
		return err_set(
			e, -EINVAL,
			"descriptor %d: attach it (TUNSETIFF) with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR",
			fd);
	if (queues > 1 && !(r.ifr_flags & IFF_MULTI_QUEUE))
		return err_set(
			e, -EINVAL,
			"descriptor %d: interface %s has one queue: attach each (TUNSETIFF) with IFF_MULTI_QUEUE",
			fd, r.ifr_name);
	if (t->queues && strncmp(t->name, r.ifr_name, sizeof(t->name)))
		return err_set(
			e, -EINVAL,
			"descriptor %d: a queue of interface %s, those before it of %s: pass queues of one",
			fd, r.ifr_name, t->name);
	memcpy(t->name, r.ifr_name, sizeof(t->name));
	t->fds[t->queues++] = fd;
	return 0;
}

static int check_queues(struct tap *t, const int *fds, u32 queues,
			struct err *e)
{
	int err = 0;

	assert(queues && queues <= TAP_QUEUES_MAX);
	*t = (struct tap) { .queues = 0 };
	for (u32 i = 0; !err && i < queues; i++)
		err = check_queue(t, fds[i], queues, e);
	return err;
}

static int set_descriptor(int fd, struct err *e)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC))
		return err_set(e, -errno, "descriptor %d: %s", fd,
			       strerror(errno));
	return 0;
}

int tap_adopt(struct tap *t, const int *fds, u32 queues, struct err *e)
{
	int err = check_queues(t, fds, queues, e);

	for (u32 i = 0; !err && i < queues; i++)
		err = set_descriptor(fds[i], e);
	if (!err)
		err = set_header(t, e);
	if (!err)
		err = probe_offloads(t, e);
	if (err)
		t->queues = 0; /* they stay the caller's */
	return err;
}

void tap_close(struct tap *t)
{
	while (t->queues)
		close(t->fds[--t->queues]);
}

/* --- looking only --- */

/* Whether we may is what the kernel looks at first, and then whether there is
 * such an interface: of one that is not there nothing is changed. */
static bool may_make(const struct tap *t)
{
	struct ifreq r = { .ifr_mtu = -1 };

	return ask(t, SIOCSIFMTU, &r) != -EPERM;
}

int tap_check(const char *name, u32 queues, struct err *e)
{
	struct tap t;
	int fd, err = set_name(&t, name, e);

	if (err)
		return err;
	fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return no_device(-errno, e);
	close(fd);
	switch (kind_of(&t)) {
	case KIND_NONE:
		return may_make(&t) ? 0 : no_right(&t, queues, -EPERM, e);
	case KIND_OTHER:
		return not_fit(&t, queues, -EINVAL, e);
	case KIND_TAP:
		break;
	}
	return 0;
}

int tap_check_fds(const int *fds, u32 queues, struct err *e)
{
	struct tap t;

	return check_queues(&t, fds, queues, e);
}

/* --- while the guest runs --- */

int tap_set_queue(struct tap *t, u32 queue, bool attached)
{
	struct ifreq r = { .ifr_flags = attached ? IFF_ATTACH_QUEUE
						 : IFF_DETACH_QUEUE };

	return ioctl(t->fds[queue], TUNSETQUEUE, &r) ? -errno : 0;
}

/* A TAP can be written to while it is up. Unlike asking by its name this sees
 * one that was passed to us out of another network namespace, too. */
bool tap_is_up(const struct tap *t)
{
	static const struct timespec now;
	struct pollfd p = { .fd = t->fds[0], .events = POLLOUT };

	return ppoll(&p, 1, &now, NULL) == 1 && (p.revents & POLLOUT);
}
