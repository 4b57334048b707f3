/*
 * Address space for a mapping that is to lie on boundaries of the host's larger
 * pages: KVM's page tables then have few entries for it, and the host's too.
 */
#ifndef BELFRY_HOST_RESERVE_H
#define BELFRY_HOST_RESERVE_H

#include <belfry/base.h>

/*
 * @size bytes of address space, whole pages, that nothing is in, at an address
 * that is @off beyond a multiple of @align, a power of two and whole pages. To
 * map over with MAP_FIXED; munmap(2) gives it back. NULL with errno.
 */
void *reserve(u64 size, u64 align, u64 off);

#endif
