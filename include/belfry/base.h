/*
 * The words every file uses: integer types, bit fields, byte order, small
 * arithmetic. Nothing here has state or can fail.
 */
#ifndef BELFRY_BASE_H
#define BELFRY_BASE_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int64_t s64;

/* A guest-physical address. */
typedef u64 gpa_t;

#define KIB    (1ull << 10)
#define MIB    (1ull << 20)
#define GIB    (1ull << 30)

#define BIT(n) (1ull << (n))
/* Bits @hi down to @lo set, as the specifications write fields. */
#define GENMASK(hi, lo) ((~0ull >> (63 - (hi))) & (~0ull << (lo)))
/* One mask names a field; its shift follows from it. */
#define FIELD_GET(mask, word) (((word) & (mask)) >> __builtin_ctzll(mask))
#define FIELD_PREP(mask, val) (((u64)(val) << __builtin_ctzll(mask)) & (mask))

#define ARRAY_SIZE(a)         (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)             ((a) < (b) ? (a) : (b))
#define MAX(a, b)             ((a) > (b) ? (a) : (b))

/* @to is a power of two. ALIGN_UP wraps to 0 past the top of the type. */
#define ALIGN_DOWN(v, to) ((v) & ~((__typeof__(v))(to)-1))
#define ALIGN_UP(v, to)   ALIGN_DOWN((v) + ((__typeof__(v))(to)-1), to)
#define IS_ALIGNED(v, to) (((v) & ((__typeof__(v))(to)-1)) == 0)

#define container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define MUST_CHECK        __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

/* Does [start, start + len) lie within [0, limit)? Never overflows. */
static inline bool range_fits(u64 start, u64 len, u64 limit)
{
	return start <= limit && len <= limit - start;
}

#endif
