/*
 * A frame of memory-mapped registers described by a table.
 *
 * Access size, alignment, halves of 64-bit registers and reserved space are
 * handled here, once; a device supplies only what each register means.
 */
#ifndef BELFRY_REGBANK_H
#define BELFRY_REGBANK_H

#include <belfry/base.h>
#include <belfry/log.h>

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
	u8 size;   /* bytes in one register: 1, 2, 4 or 8 */
	u8 access; /* REG_*: access sizes the guest may use, none above @size */
	/* The whole register @i of @count. NULL: RAZ. */
	u64 (*read)(void *dev, u32 i);
	/* Only the bits in @mask were written; @val is 0 outside. NULL: WI. */
	void (*write)(void *dev, u32 i, u64 val, u64 mask);
};

struct regbank {
	const char *of;         /* what, for messages: "the distributor" */
	const struct reg *regs; /* ascending by @off, not overlapping */
	size_t nr;
	u32 len; /* bytes in the frame */
};

/*
 * One guest access of @size bytes at @off. Space without a register is RAZ/WI.
 * So is an access that the specification does not allow, and it is a fault: not
 * naturally aligned, outside the frame, of a size the register does not take,
 * or across the edge of one. A read of part of a register is a read of it, side
 * effects included, as on a bus without byte lanes. Calls the handler on the
 * caller's thread; the caller holds what guards the device.
 */
u64 regbank_read(const struct regbank *b, void *dev, u64 off, u32 size,
		 struct guest_faults *f);
void regbank_write(const struct regbank *b, void *dev, u64 off, u32 size,
		   u64 val, struct guest_faults *f);

/*
 * Index of the first malformed row, or -1. A table is never checked while the
 * guest runs; the unit test of every device calls this once.
 */
int regbank_lint(const struct regbank *b);

/* The value of a register after the bits in @mask were written. */
static inline u64 reg_merge(u64 old, u64 val, u64 mask)
{
	return (old & ~mask) | (val & mask);
}

#endif
