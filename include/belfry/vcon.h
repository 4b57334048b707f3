/*
 * The virtio console, one port (hvc0). VIRTIO 1.2, 5.3.
 */
#ifndef BELFRY_VCON_H
#define BELFRY_VCON_H

#include <belfry/base.h>
#include <belfry/chars.h>
#include <belfry/err.h>
#include <belfry/virtio.h>

struct vcon_setup {
	const char *name;       /* for messages; borrowed */
	struct chars_wire wire; /* copied */
	struct virtio_caps caps;
};

struct vcon;

/* NULL and a message on failure. */
struct vcon *vcon_create(const struct vcon_setup *s, struct err *e);
void vcon_destroy(struct vcon *c);

struct virtio *vcon_virtio(struct vcon *c);
struct chars_port vcon_port(struct vcon *c);

/* The terminal at the other end has this size (0, 0: unknown). Any thread. */
void vcon_resize(struct vcon *c, u16 columns, u16 rows);

#endif
