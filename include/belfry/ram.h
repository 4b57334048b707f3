/*
 * Memory for a guest, as the host can back it.
 */
#ifndef BELFRY_RAM_H
#define BELFRY_RAM_H

#include <belfry/base.h>
#include <belfry/err.h>

enum ram_backing {
	RAM_THP,   /* private, transparent huge pages where the host has them */
	RAM_MEMFD, /* shared, through a descriptor others can be given */
	RAM_HUGETLB, /* from the host's pool of huge pages, shared likewise */
};

struct ram {
	void *host;
	u64 size;
	int fd; /* -1 for RAM_THP */
};

/*
 * Map @size bytes of zeroes, aligned so that the host can use its largest
 * transparent pages, and left out of core dumps. @huge_page: for RAM_HUGETLB,
 * the page size in bytes, 0 for the host's default. @prefault takes every page
 * now instead of at first touch. -errno and a message in terms of `memory`,
 * nothing left behind.
 */
MUST_CHECK int ram_map(struct ram *r, u64 size, enum ram_backing backing,
		       u64 huge_page, bool prefault, struct err *e);
void ram_unmap(struct ram *r);

#endif
