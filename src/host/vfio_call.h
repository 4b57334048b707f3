/*
 * What vfio.c and its parts share.
 */
#ifndef BELFRY_HOST_VFIO_CALL_H
#define BELFRY_HOST_VFIO_CALL_H

#include <belfry/vfio.h>

#include "advice.h"
#include "vfio_uapi.h"

/* "device NAME: WHAT: ...", as advise(). */
static inline int vfio_refused(const struct vfio_device *d, int code,
			       const struct advice *table, const char *what,
			       struct err *e)
{
	return advise(e, code, table, "device %s: %s", d->name, what);
}

#endif
