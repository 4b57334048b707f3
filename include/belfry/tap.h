/*
 * A TAP interface: Ethernet frames, each behind a struct virtio_net_hdr_v1 of
 * 12 bytes, to and from the host's network. One descriptor per queue pair,
 * non-blocking.
 *
 * Kernel Documentation/networking/tuntap.rst.
 */
#ifndef BELFRY_TAP_H
#define BELFRY_TAP_H

#include <belfry/base.h>
#include <belfry/err.h>

#define TAP_QUEUES_MAX 16
#define TAP_HEADER_LEN 12

/* What the reader of frames can finish itself (TUN_F_*). */
enum {
	TAP_CSUM = 1,    /* partial checksums */
	TAP_TSO4 = 2,    /* TCP over IPv4, larger than the MTU */
	TAP_TSO6 = 4,    /* over IPv6 */
	TAP_TSO_ECN = 8, /* either, with ECN */
	TAP_UFO = 16,    /* UDP fragmentation */
	TAP_USO = 32,    /* UDP segmentation, both families */
};

struct tap {
	int fds[TAP_QUEUES_MAX]; /* owned */
	u32 queues;
	u32 offloads; /* TAP_*: what this kernel knows */
	u32 mtu;      /* the interface's when opened; 0: not known */
	char name[16];
};

/*
 * Open interface @name with @queues queues, creating it where the caller may
 * and it is not there. Everything the running guest needs is set up here.
 * -errno and a message that says what the operator can do: no /dev/net/tun, no
 * right to it, an interface of another kind, in use, or with fewer queues.
 */
MUST_CHECK int tap_open(struct tap *t, const char *name, u32 queues,
			struct err *e);

/* The same of descriptors that somebody else opened; they become ours if it
 * succeeds. Checked to be queues of one TAP with vnet_hdr (which only who
 * attached them can choose), made non-blocking. */
MUST_CHECK int tap_adopt(struct tap *t, const int *fds, u32 queues,
			 struct err *e);

void tap_close(struct tap *t);

/*
 * Would these two refuse? Opens no interface and changes nothing, so it cannot
 * tell if one is in use, or another user's, or has fewer queues. -errno and the
 * message that they would give.
 */
MUST_CHECK int tap_check(const char *name, u32 queues, struct err *e);
MUST_CHECK int tap_check_fds(const int *fds, u32 queues, struct err *e);

/* What the guest accepts, a subset of @offloads; and whether a queue takes part
 * in distributing frames, as all do at first. While the guest runs: one ioctl
 * each. 0 or -errno, -EINVAL for a queue that is as told already. */
MUST_CHECK int tap_set_offloads(struct tap *t, u32 offloads);
MUST_CHECK int tap_set_queue(struct tap *t, u32 queue, bool attached);

/* Is the interface up? One ppoll: a queue has POLLOUT while it is, so that is
 * also what to wait for. */
bool tap_is_up(const struct tap *t);

/* The ioctls of the calls above that are made while the guest runs, for the
 * sandbox; ends with 0. */
extern const unsigned long tap_requests[];

#endif
