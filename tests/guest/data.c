#include "data.h"

/* The finalizer of splitmix64. */
static u64 word(u64 seed, u64 i)
{
	u64 z = (seed << 40 ^ i) + 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

void data_fill(u64 seed, u64 off, void *buf, size_t len)
{
	u64 *p = buf;

	for (size_t i = 0; i < len / sizeof(*p); i++)
		p[i] = word(seed, off / sizeof(*p) + i);
}

u64 data_differs(u64 seed, u64 off, const void *buf, size_t len)
{
	const u64 *p = buf;

	for (size_t i = 0; i < len / sizeof(*p); i++)
		if (p[i] != word(seed, off / sizeof(*p) + i))
			return off + i * sizeof(*p);
	return off + len;
}
