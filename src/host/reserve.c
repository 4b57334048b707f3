#include "reserve.h"

#include <sys/mman.h>

/* With room to spare, of which what is before and behind is given back. */
void *reserve(u64 size, u64 align, u64 off)
{
	char *at = mmap(NULL, size + align, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	u64 skip;

	if (at == MAP_FAILED)
		return NULL;
	skip = (off - (uintptr_t)at) & (align - 1);
	if (skip)
		munmap(at, skip);
	munmap(at + skip + size, align - skip);
	return at + skip;
}
