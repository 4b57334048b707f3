/*
 * Bytes that anyone can make again who knows where they belong: no two places
 * have the same, and nothing compresses or shares them.
 */
#ifndef BELFRY_TESTS_DATA_H
#define BELFRY_TESTS_DATA_H

#include <belfry/base.h>

/* Bytes [@off, @off + @len) of the stream @seed; both multiples of 8. */
void data_fill(u64 seed, u64 off, void *buf, size_t len);
/* The first place from @off on where @buf differs, or @off + @len. */
u64 data_differs(u64 seed, u64 off, const void *buf, size_t len);

#endif
