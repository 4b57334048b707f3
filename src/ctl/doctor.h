/*
 * What the parts of doctor share: rows of what was found, and who prints which.
 */
#ifndef BELFRY_CTL_DOCTOR_H
#define BELFRY_CTL_DOCTOR_H

#include <belfry/base.h>
#include <belfry/err.h>

struct doctor {
	const char *sys, *proc; /* borrowed: where they are ("/sys", "/proc") */
	bool refused;           /* a row said NO */
	bool iommufd;           /* /dev/iommu can be opened */
};

enum verdict {
	FINE,
	LACKING, /* it goes without it */
	FATAL,
};

PRINTF_LIKE(4, 5)
void doctor_tell(struct doctor *d, enum verdict v, const char *what,
		 const char *fmt, ...);

/* One more line of the row before. */
PRINTF_LIKE(1, 2) void doctor_add(const char *fmt, ...);

/* The host, as far as lending devices takes it. @lack: how bad it is if there
 * is no way to lend one. */
void doctor_look_at_lending(struct doctor *d, enum verdict lack);

/* Those, and every PCI function that could be lent, briefly; one line on a host
 * that has none. */
void doctor_list_functions(struct doctor *d);

/* Those, and all of the function @name (hostpci_name): NO for what keeps it
 * from being lent. -ENODEV and a message if there is none. */
MUST_CHECK int doctor_tell_function(struct doctor *d, const char *name,
				    struct err *e);

enum doctor_nesting {
	NESTING_NOT_ASKED, /* it cannot be: VFIO does not have it, say */
	NESTING_BUSY,      /* it could not be taken, @e says why */
	NESTING_REFUSED,   /* @e says why */
	NESTING_USABLE,
};

/*
 * Can guests have an SMMU of their own in front of the function @name? That
 * only the SMMU can tell, by one of its devices: takes it, which VFIO must have
 * and nobody use, asks, and gives all back.
 */
enum doctor_nesting doctor_ask_smmu(const char *sys, const char *name,
				    struct err *e);

#endif
