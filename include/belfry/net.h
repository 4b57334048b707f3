/*
 * The virtio network device, over a TAP interface. VIRTIO 1.2, 5.1.
 */
#ifndef BELFRY_NET_H
#define BELFRY_NET_H

#include <belfry/base.h>
#include <belfry/err.h>
#include <belfry/tap.h>
#include <belfry/virtio.h>

struct net_setup {
	const char *name; /* for messages; borrowed */
	struct tap *tap;  /* borrowed; its queues are the queue pairs */
	u8 mac[6];
	u16 mtu;      /* 0: not told */
	bool offload; /* offer checksum and segmentation offloads */
	struct virtio_caps caps;
};

struct net;

/* NULL and a message on failure. */
struct net *net_create(const struct net_setup *s, struct err *e);
void net_destroy(struct net *n);

struct virtio *net_virtio(struct net *n);

/* Frames lost here, so far: those the host or the driver's buffers did not
 * take, and those no frames of the driver's. The loop's thread. */
u64 net_dropped(const struct net *n);

#endif
