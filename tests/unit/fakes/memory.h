/*
 * Memory that ends: calloc and malloc of the program under test (ld --wrap)
 * fail from a call on. For one file of a program: what the linker looks for is
 * defined here, since an archive may hold others of that name.
 */
#ifndef BELFRY_TESTS_MEMORY_H
#define BELFRY_TESTS_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

static int memory_end, memory_calls;

/* The @nth call from now on and all after it fail; 0: none does. */
static void memory_ends_at(int nth)
{
	memory_end = nth;
	memory_calls = 0;
}

static bool memory_at_an_end(void)
{
	return memory_end && ++memory_calls >= memory_end;
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_calloc(size_t n, size_t size)
{
	return memory_at_an_end() ? NULL : __real_calloc(n, size);
}

void *__wrap_malloc(size_t size)
{
	return memory_at_an_end() ? NULL : __real_malloc(size);
}

#endif
