/*
 * The host's PCI functions as sysfs tells of them: who has one, what its IOMMU
 * keeps together with it, what addresses are reserved, and which SMMU and ITS
 * are its. Opens no device and changes nothing; @sys is where sysfs is
 * ("/sys").
 *
 * Linux Documentation/ABI/testing/sysfs-{bus-pci,kernel-iommu_groups,
 * class-iommu}. For the ITS the host's device tree, or its IORT (Arm DEN 0049).
 */
#ifndef BELFRY_HOSTPCI_H
#define BELFRY_HOSTPCI_H

#include <belfry/base.h>
#include <belfry/err.h>

/* "0000:01:00.0", as Linux writes it; domains can have eight digits. */
#define HOSTPCI_NAME 20

/*
 * The name of the function that a person meant: the domain may be left out, as
 * lspci does, and letters be capitals. -EINVAL and a message if it is none.
 */
MUST_CHECK int hostpci_name(const char *text, char name[static HOSTPCI_NAME],
			    struct err *e);

struct hostpci {
	char name[HOSTPCI_NAME];
	u16 vendor, device;
	u32 class;       /* PCI's: 0x020000 is a network card */
	char driver[32]; /* "": none has it */
	/* What VFIO calls it ("vfio0"), "" if it does not have it; and whether
	 * this kernel lends it by that name, in /dev/vfio/devices. */
	char cdev[32];
	bool has_cdev;
	int group;       /* its IOMMU's, -1: no IOMMU translates for it */
	char iommu[64];  /* "smmu3.0x0000000009050000"; "": not known */
	char resets[64]; /* "flr bus", best first; "": not without others */
};

/* -ENODEV and a message if there is no @name, as hostpci_name makes it. */
MUST_CHECK int hostpci_look(struct hostpci *d, const char *sys,
			    const char *name, struct err *e);

/* The names of all there are, in order; an owned array. How many, or -errno. */
MUST_CHECK int hostpci_list(const char *sys, char (**names)[HOSTPCI_NAME]);

/* --- what it interrupts with --- */

/*
 * The beginning of its config space, as far as the kernel shows it: without
 * CAP_SYS_ADMIN that is HOSTPCI_CONFIG_ALL, where no capability is. Bytes
 * read, or -errno.
 */
#define HOSTPCI_CONFIG_ALL 64
#define HOSTPCI_CONFIG     256
MUST_CHECK int hostpci_config(u8 config[static HOSTPCI_CONFIG],
			      const struct hostpci *d, const char *sys);

struct hostpci_interrupts {
	bool cut; /* capabilities were not all shown: there may be more */
	bool intx;
	u32 msi, msix; /* vectors; 0: it has no such interrupts */
	u32 table_bar; /* where those of MSI-X are kept */
	u32 table_off;
};

/* What @len bytes of config space say. Pure; takes any bytes. */
void hostpci_interrupts(struct hostpci_interrupts *q, const u8 *config,
			size_t len);

struct hostpci_bar {
	u64 start, size; /* 0 bytes: there is none */
	bool memory;
	bool wide; /* of 64 bits; the next is its second half, and shown empty
		    */
};

/* @bar: 0 to 5, or HOSTPCI_ROM. */
#define HOSTPCI_ROM 6
struct hostpci_bar hostpci_bar(const struct hostpci *d, const char *sys,
			       u32 bar);

/* --- groups --- */

#define HOSTPCI_MEMBERS_MAX 32
#define HOSTPCI_REGIONS_MAX 32

struct hostpci_region {
	u64 start, last; /* inclusive */
	char type[20];   /* "msi", "direct", "reserved" and others */
};

/* What the IOMMU cannot tell apart, and so goes to one guest or none. */
struct hostpci_group {
	/* In order. There may be more than have room: @nr counts all. */
	u32 nr;
	char member[HOSTPCI_MEMBERS_MAX][HOSTPCI_NAME];
	/* Addresses that the members cannot have memory at. */
	u32 regions;
	struct hostpci_region region[HOSTPCI_REGIONS_MAX];
};

MUST_CHECK int hostpci_group(struct hostpci_group *g, const char *sys,
			     int group, struct err *e);

/* The first member that is not @name; NULL: it is alone. */
const char *hostpci_other(const struct hostpci_group *g, const char *name);

/* The window that interrupts go to, NULL if there is none. sysfs does not tell
 * if it is one that the kernel maps at will, or one of the hardware's. */
const struct hostpci_region *hostpci_msi_window(const struct hostpci_group *g);

/* Does @member keep its group from being lent? Its driver, "" if it has none.
 */
bool hostpci_holds(const char *sys, int group, const char *member,
		   char driver[static 32]);

/*
 * Does something of this host keep @d's group from being lent? A member, @who,
 * whose @driver is neither VFIO's nor one that leaves DMA alone.
 */
bool hostpci_held_by(const struct hostpci *d, const char *sys,
		     char who[static HOSTPCI_NAME], char driver[static 32]);

/*
 * The ITS that @d's messages go to, in the firmware's words: the path of its
 * node ("intc@8000000/its@8080000") or its number ("ITS 0"). Equal names are
 * one ITS. False if the firmware does not tell, or not to us: an IORT is for
 * root alone.
 */
#define HOSTPCI_ITS 64
bool hostpci_its(const struct hostpci *d, const char *sys,
		 char its[static HOSTPCI_ITS]);

#endif
