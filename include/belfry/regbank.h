/*
 * A frame of memory-mapped registers described by a table.
 *
 * Access size, alignment, halves of 64-bit registers and reserved space are
 * handled here, once; a device supplies only what each register means.
 */
#ifndef BELFRY_REGBANK_H
#define BELFRY_REGBANK_H

#include <belfry/base.h>

/* The access sizes a register takes, in bytes, ored. */
#define REG_8  1
#define REG_16 2
#define REG_32 4
#define REG_64 8

/* One register, or @count equal ones side by side. */
struct reg {
	const char *name; /* as the specification spells it */
	u32 off;
	u16 count;
	u8 size;   /* bytes in one register: 4 or 8 */
	u8 access; /* REG_*: access sizes the guest may use */
	/* Register @i of @count. NULL: RAZ. */
	u64 (*read)(void *dev, u32 i);
	/* Only the bits in @mask were written. NULL: WI. */
	void (*write)(void *dev, u32 i, u64 val, u64 mask);
};

struct regbank {
	const struct reg *regs; /* ascending by @off, not overlapping */
	size_t nr;
	u32 len; /* bytes in the frame */
};

/*
 * One guest access of @size bytes at @off. False if the access is not one the
 * specification allows (*@val is then 0, nothing was written); space without a
 * register is RAZ/WI. Calls the handler on the caller's thread.
 */
bool regbank_read(const struct regbank *b, void *dev, u32 off, u32 size,
		  u64 *val);
bool regbank_write(const struct regbank *b, void *dev, u32 off, u32 size,
		   u64 val);

/* Index of the first malformed row, or -1. For tests. */
int regbank_lint(const struct regbank *b);

/* The value of a register after the bits in @mask were written. */
static inline u64 reg_merge(u64 old, u64 val, u64 mask)
{
	return (old & ~mask) | (val & mask);
}

#endif
