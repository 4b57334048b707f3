/*
 * The virtio entropy device: the host's getrandom(2). VIRTIO 1.2, 5.4.
 */
#ifndef BELFRY_VRNG_H
#define BELFRY_VRNG_H

#include <belfry/base.h>
#include <belfry/err.h>
#include <belfry/virtio.h>

struct vrng;

/* NULL and a message on failure. @name is borrowed. */
struct vrng *vrng_create(const char *name, const struct virtio_caps *caps,
			 struct err *e);
void vrng_destroy(struct vrng *r);

struct virtio *vrng_virtio(struct vrng *r);

#endif
