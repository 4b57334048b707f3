/*
 * The direct MSI doorbell: a passed-through device sends its messages to the
 * address that the guest gave it. doorbell.c has the theory.
 *
 * Pure but for the writes to the table that it is given. One caller at a time
 * for a vector; counters may be read by any thread.
 * PCI Local Bus 3.0, 6.8.2 (MSI-X entries). Arm IHI 0069, 5.1.
 */
#ifndef BELFRY_DOORBELL_H
#define BELFRY_DOORBELL_H

#include <belfry/base.h>

/* How a function's messages reach the physical ITS. */
enum doorbell_mode {
	/* No SMMU of the guest's is before it: the kernel's own address, which
	 * is the guest's, too. */
	DOORBELL_MODE_HOST,
	/* The guest's address, in place of the kernel's. */
	DOORBELL_MODE_DIRECT,
	/* The kernel's address, which the guest maps to itself. */
	DOORBELL_MODE_RMR,
};

/* "host", "direct", "rmr". */
const char *doorbell_mode_name(enum doorbell_mode mode);

struct doorbell {
	enum doorbell_mode mode;
	gpa_t translater; /* the guest's GITS_TRANSLATER */
	/* So far. */
	_Atomic u64 rewrites; /* address words written */
	_Atomic u64 verified; /* of those, read back as written */
	_Atomic u64 strays;   /* messages that the kernel put elsewhere */
};

#define DOORBELL_ENTRY 16 /* bytes of an entry */

/* One vector of the hardware's. Zeroed, it sends nothing. */
struct doorbell_vector {
	volatile void *entry; /* in the mapped table; NULL: it is not */
	bool armed;           /* the kernel has put its message there */
	bool open;            /* the guest lets it send */
	u64 wanted;           /* the guest's address */
	u64 kernel;           /* the kernel's */
	u64 is;               /* what is there */
};

/*
 * The kernel has just put its message into @v and lets it send: mask it, and
 * look. False if the address is not the guest's doorbell: another ITS' slot, an
 * ITS that is not behind the SMMU, another window. Then no address that the
 * guest writes can reach it. Of no interest but in mode direct: in mode rmr the
 * guest maps all of the host's window.
 */
bool doorbell_armed(struct doorbell *d, struct doorbell_vector *v);

/* The kernel has taken its message away. */
void doorbell_disarmed(struct doorbell_vector *v);

/* The guest has written @addr and lets it send, or not. True if the entry says
 * so, or need not; false: it could not be written. */
bool doorbell_set(struct doorbell *d, struct doorbell_vector *v, bool open,
		  u64 addr);

/* After a reset, sleep or an error the kernel has put its own message back:
 * once more. */
bool doorbell_again(struct doorbell *d, struct doorbell_vector *v);

#endif
