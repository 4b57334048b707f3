/*
 * The walk of stage 1 translation tables: from an address as a program or a
 * device knows it to one in the guest's memory. Arm DDI 0487J, D8.
 *
 * VMSAv8-64, the EL1&0 regime, little endian: granules of 4, 16 and 64 KiB,
 * both halves, 48 bits in and out, 52 with 64 KiB or FEAT_LPA2. Not there:
 * permission indirection and overlays, FEAT_D128.
 *
 * What is walked may be a CPU's (TCR_EL1, TTBR0_EL1 and TTBR1_EL1) or a context
 * descriptor's of an SMMU; whoever asks has decoded it. Pure but for memory;
 * any thread.
 */
#ifndef BELFRY_WALK_H
#define BELFRY_WALK_H

#include <belfry/base.h>
#include <belfry/dma.h>

/* Of addresses whose bit 55 is clear, or set. */
struct walk_half {
	bool on;   /* not EPDn; nothing else here counts otherwise */
	u8 shift;  /* granule, as a power of two: 12, 14, 16 (TGn) */
	u8 bits;   /* of an input address: 64 - TnSZ */
	bool tbi;  /* the top byte is ignored */
	bool flat; /* attributes of tables are ignored (HPDn, CD.HADn) */
	u8 sh;     /* shareability with walk_regime.ds (SHn) */
	u64 table; /* address of the first table, from TTBRn */
};

struct walk_regime {
	struct walk_half half[2];
	u8 oas; /* bits of an output address: 32 .. 52 (IPS); more than 48 count
		   with 64 KiB or ds only */
	bool ds;     /* 52 bits with 4 and 16 KiB (TCR.DS, CD.DS) */
	bool ha, hd; /* hardware sets the access flag, and manages dirtiness */
	bool no_af;  /* a clear access flag is no fault (CD.AFFD) */
	bool wxn;    /* what is writable is not executable */
	bool pan;    /* privileged data accesses stay off what users may read */
};

/* What is done, ored; nothing: a privileged read. */
#define WALK_WRITE 1
#define WALK_EXEC  2
#define WALK_USER  4

/* What may be done, ored: these, and the same four bits up for users. */
#define WALK_MAY_READ    1
#define WALK_MAY_WRITE   2
#define WALK_MAY_EXEC    4
#define WALK_MAY_USER(m) ((m) << 4)

enum walk_fault {
	WALK_OK,
	WALK_TRANSLATION,
	WALK_ADDRESS_SIZE,
	WALK_ACCESS_FLAG,
	WALK_PERMISSION,
	WALK_EXTERNAL, /* a descriptor is where no memory is */
};

struct walk {
	enum walk_fault fault;
	s8 level; /* of the descriptor that ended it, -1 .. 3; with a fault, too
		   */
	/* Only if there is no fault: */
	u64 pa;
	u8 shift; /* the page or block has 1 << shift bytes */
	u8 may;   /* WALK_MAY_* */
	u8 attr;  /* AttrIndx: which byte of MAIR */
	u8 sh;    /* shareability: 0 non, 2 outer, 3 inner */
};

/* Are these settings that walk() takes? */
bool walk_regime_ok(const struct walk_regime *r);

/*
 * Translate @va for @access. Reads each descriptor once; writes one only where
 * @r asks for it, and only if the access succeeds. @r is one that
 * walk_regime_ok() likes.
 */
struct walk walk(const struct dma *mem, const struct walk_regime *r, u64 va,
		 u32 access);

/* The fault as ESR_ELx.ISS has it, in DFSC or IFSC. */
u32 walk_fsc(const struct walk *w);

#endif
