/*
 * The test's own address space.
 */
#ifndef BELFRY_TESTS_SPACE_H
#define BELFRY_TESTS_SPACE_H

#include <check.h>
#include <stdio.h>

/* Pages in use. The first look may make buffers of its own. */
static inline unsigned long mapped_pages(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	unsigned long n = 0;

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fscanf(f, "%lu", &n), 1);
	fclose(f);
	return n;
}

#endif
