/*
 * Writing a flattened device tree, without an error check at every line: the
 * first failure sticks and dt_finish reports it. The only user of libfdt.
 *
 * Devicetree Specification v0.4.
 */
#ifndef BELFRY_DT_H
#define BELFRY_DT_H

#include <belfry/base.h>
#include <belfry/err.h>

struct dt {
	void *buf; /* borrowed */
	size_t size;
	int failed; /* libfdt's error, 0 while all is well */
};

/* Start a tree in @buf of @size bytes, in its root node. */
void dt_begin(struct dt *t, void *buf, size_t size);

/* Open a node below the current one; "name@unit-address" is printf-like. */
PRINTF_LIKE(2, 3) void dt_node(struct dt *t, const char *fmt, ...);
void dt_node_end(struct dt *t);

/* Properties of the current node, before its first child. */
void dt_empty(struct dt *t, const char *name);
void dt_str(struct dt *t, const char *name, const char *value);
void dt_bytes(struct dt *t, const char *name, const void *value, size_t len);
void dt_cells(struct dt *t, const char *name, const u32 *cells, size_t nr);
/* The usual: 32-bit cells listed in place. */
#define dt_u32(t, name, ...)                             \
	dt_cells(t, name, (const u32[]) { __VA_ARGS__ }, \
		 sizeof((const u32[]) { __VA_ARGS__ }) / sizeof(u32))
/* 64-bit numbers, two cells each: addresses and sizes. */
void dt_wide(struct dt *t, const char *name, const u64 *values, size_t nr);
#define dt_u64(t, name, ...)                            \
	dt_wide(t, name, (const u64[]) { __VA_ARGS__ }, \
		sizeof((const u64[]) { __VA_ARGS__ }) / sizeof(u64))
/* Strings separated by NUL: dt_strs(t, "compatible", "a\0b"). */
#define dt_strs(t, name, literal) dt_bytes(t, name, literal, sizeof(literal))

/*
 * Close the tree. Returns its length in bytes, at most @size, or -ENOSPC if it
 * did not fit, -EINVAL for what else libfdt refused. That nodes end where they
 * should is the caller's to see to.
 */
MUST_CHECK int dt_finish(struct dt *t, struct err *e);

#endif
