/*
 * The virtio console, one port (hvc0), with its terminal's size and emergency
 * writes. VIRTIO 1.2, 5.3.
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

/*
 * The console's end of the wire: its calls are the loop's thread's, except
 * resize, which is for any. What the wire does not take stays in the queue; a
 * driver that has none, or no more buffers in it, lets input wait.
 *
 * wire.send is called on the loop's thread, and on a vCPU's for an emergency
 * write, which is lost where the wire has no room: a register cannot wait.
 */
struct chars_port vcon_port(struct vcon *c);

#endif
