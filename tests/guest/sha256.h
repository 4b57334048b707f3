/*
 * SHA-256, so that what a guest has seen and what its host has can be compared
 * with any sha256sum. FIPS 180-4, 6.2.
 */
#ifndef BELFRY_TESTS_SHA256_H
#define BELFRY_TESTS_SHA256_H

#include <belfry/base.h>

#define SHA256_HEX (64 + 1)

struct sha256 {
	u32 h[8];
	u64 len; /* bytes so far */
	u8 block[64];
};

void sha256_init(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *buf, size_t len);
void sha256_end(struct sha256 *s, char hex[static SHA256_HEX]);

#endif
