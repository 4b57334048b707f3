#include "sha256.h"

#include <stdio.h>
#include <string.h>

static const u32 k[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1,
	0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
	0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
	0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
	0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
	0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
	0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
	0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static u32 ror(u32 x, int n)
{
	return x >> n | x << (32 - n);
}

/* 6.2.2, with the working variables in turn, so that none has to move. */
static inline void step(u32 a, u32 b, u32 c, u32 *d, u32 e, u32 f, u32 g,
			u32 *h, u32 kw)
{
	*h += (ror(e, 6) ^ ror(e, 11) ^ ror(e, 25)) + (g ^ (e & (f ^ g))) + kw;
	*d += *h;
	*h += (ror(a, 2) ^ ror(a, 13) ^ ror(a, 22)) + ((a & b) | (c & (a | b)));
}

/* The next 16 words of the schedule in the place of the last 16. */
static void extend(u32 w[16])
{
	for (int t = 0; t < 16; t++) {
		u32 w2 = w[(t + 14) & 15], w15 = w[(t + 1) & 15];

		w[t] += (ror(w15, 7) ^ ror(w15, 18) ^ w15 >> 3) +
			w[(t + 9) & 15] +
			(ror(w2, 17) ^ ror(w2, 19) ^ w2 >> 10);
	}
}

static void compress(u32 h[8], const u8 *block)
{
	u32 s0 = h[0], s1 = h[1], s2 = h[2], s3 = h[3];
	u32 s4 = h[4], s5 = h[5], s6 = h[6], s7 = h[7];
	u32 w[16];

	memcpy(w, block, sizeof(w));
	for (int t = 0; t < 16; t++)
		w[t] = be32toh(w[t]);
	for (int t = 0; t < 64; t += 8) {
		const u32 *kt = k + t, *wt = w + t % 16;

		if (t && t % 16 == 0)
			extend(w);
		step(s0, s1, s2, &s3, s4, s5, s6, &s7, kt[0] + wt[0]);
		step(s7, s0, s1, &s2, s3, s4, s5, &s6, kt[1] + wt[1]);
		step(s6, s7, s0, &s1, s2, s3, s4, &s5, kt[2] + wt[2]);
		step(s5, s6, s7, &s0, s1, s2, s3, &s4, kt[3] + wt[3]);
		step(s4, s5, s6, &s7, s0, s1, s2, &s3, kt[4] + wt[4]);
		step(s3, s4, s5, &s6, s7, s0, s1, &s2, kt[5] + wt[5]);
		step(s2, s3, s4, &s5, s6, s7, s0, &s1, kt[6] + wt[6]);
		step(s1, s2, s3, &s4, s5, s6, s7, &s0, kt[7] + wt[7]);
	}
	h[0] += s0;
	h[1] += s1;
	h[2] += s2;
	h[3] += s3;
	h[4] += s4;
	h[5] += s5;
	h[6] += s6;
	h[7] += s7;
}

void sha256_init(struct sha256 *s)
{
	static const u32 initial[8] = {
		0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
		0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
	};

	memset(s, 0, sizeof(*s));
	memcpy(s->h, initial, sizeof(initial));
}

void sha256_add(struct sha256 *s, const void *buf, size_t len)
{
	const u8 *p = buf;

	while (len) {
		size_t at = s->len % sizeof(s->block);
		size_t n = MIN(len, sizeof(s->block) - at);

		if (n == sizeof(s->block)) {
			compress(s->h, p);
		} else {
			memcpy(s->block + at, p, n);
			if (at + n == sizeof(s->block))
				compress(s->h, s->block);
		}
		s->len += n;
		p += n;
		len -= n;
	}
}

void sha256_end(struct sha256 *s, char hex[static SHA256_HEX])
{
	u64 bits = htobe64(s->len * 8);
	static const u8 zeros[64];

	sha256_add(s, "\x80", 1);
	sha256_add(s, zeros, (64 + 56 - s->len % 64) % 64);
	sha256_add(s, &bits, sizeof(bits));
	for (int i = 0; i < 8; i++)
		snprintf(hex + i * 8, 9, "%08x", s->h[i]);
}
