/*
 * A PCI Express bus as a generic ECAM host bridge shows it: one segment, bus 0,
 * up to 256 functions, each an integrated endpoint.
 *
 * A function's configuration space is data: bytes, which of them the guest may
 * write, which bits a written 1 clears. One dispatcher serves all functions;
 * a function adds what its bytes mean beyond that as calls. The guest may
 * size, move and disable BARs at any time.
 *
 * PCI Local Bus 3.0 chapter 6 and 6.8.2 (MSI-X); PCI Express Base 5.0, 7.2.2
 * (ECAM), 7.5.
 */
#ifndef BELFRY_PCI_H
#define BELFRY_PCI_H

#include <belfry/base.h>
#include <belfry/err.h>
#include <belfry/irq.h>
#include <belfry/lock.h>
#include <belfry/log.h>
#include <belfry/mmio.h>

#define PCI_FUNCTIONS_MAX    256
#define PCI_CONFIG_SIZE      256  /* conventional: an emulated function's all */
#define PCI_ECAM_FUNCTION    4096 /* what each has in ECAM; the rest reads 0 */
#define PCI_ECAM_SIZE        (PCI_FUNCTIONS_MAX * PCI_ECAM_FUNCTION)
#define PCI_BARS             6
#define PCI_ROM              6 /* where a BAR is numbered: the expansion ROM */
#define PCI_MSIX_VECTORS_MAX 2048

/* A function's place: bus 0, device, function; also its RID and DeviceID. */
#define PCI_DEVFN(dev, fn) ((u32)(dev) << 3 | (u32)(fn))

struct pci_function;
struct pci_host;
struct msix;

struct pci_ids {
	u16 vendor, device, subsystem_vendor, subsystem;
	u8 revision;
	u32 class_code; /* class, subclass, programming interface: 24 bits */
};

/* What a function does. All but the BAR accesses may be NULL. */
struct pci_ops {
	/* [@off, @off + @size) is within the BAR; @size is 1, 2, 4 or 8, the
	 * address a multiple of it. A vCPU's thread, no lock of the bus. */
	u64 (*bar_read)(void *dev, u32 bar, u64 off, u32 size);
	void (*bar_write)(void *dev, u32 bar, u64 off, u32 size, u64 val);
	/* The BAR answers at @at from now on, or nowhere (@at 0). A vCPU's
	 * thread, or that which resets the host; the bus lock is held. */
	void (*bar_moved)(void *dev, u32 bar, gpa_t at);
	/* The guest has read or is about to read, or has written (masks
	 * applied) bytes [@off, @off + @len) of configuration space. A vCPU's
	 * thread, the bus lock is held; the bytes may be changed. */
	void (*config_read)(void *dev, u32 off, u32 len);
	void (*config_written)(void *dev, u32 off, u32 len);
	/* Extended configuration space, [@off, @off + @len) being in
	 * [PCI_CONFIG_SIZE, PCI_ECAM_FUNCTION). As the two above; NULL: it is
	 * empty. */
	u32 (*extended_read)(void *dev, u32 off, u32 len);
	void (*extended_write)(void *dev, u32 off, u32 len, u32 val);
};

/*
 * MSI-X of hardware: it has a table and pending bits, and sends for itself what
 * the lines carry on. Called one at a time, on a vCPU's thread or that which
 * resets the host; the bus lock may be held, MSI-X' locks are.
 */
struct pci_msix_hw {
	/* The guest has switched MSI-X on; or off, no vector being open. */
	void (*enable)(void *dev, bool on);
	/* The entry of vector @v says @addr; whoever writes to @fd sends its
	 * message. @open: nothing masks it. False if the hardware cannot be
	 * kept from sending: the line then keeps it until it is open. */
	bool (*vector)(void *dev, u32 v, int fd, bool open, u64 addr);
	/* Pending bits of vector @first and the 63 after it. */
	u64 (*pending)(void *dev, u32 first);
};

/* Where MSI-X is: its capability, @nr vectors, and in which BAR and where in
 * it table and pending bits are. */
struct pci_msix_at {
	u32 cap, nr;
	u32 table_bar, pba_bar;
	u64 table, pba;
};

struct pci_bar {
	u64 size; /* 0: none; a power of two, 16 or more */
	bool mem64, prefetch;
	gpa_t at; /* where it answers; 0: nowhere */
};

struct pci_function {
	const char *name; /* for messages; borrowed, as are @ops and @dev */
	const struct pci_ops *ops;
	void *dev;
	struct pci_host *host; /* NULL until it is on one */
	u32 devfn;
	u8 config[PCI_CONFIG_SIZE];   /* as the guest reads it */
	u8 initial[PCI_CONFIG_SIZE];  /* what a reset restores */
	u8 writable[PCI_CONFIG_SIZE]; /* bits the guest may change */
	u8 w1c[PCI_CONFIG_SIZE];      /* bits that a written 1 clears */
	_Atomic bool master;          /* Command.BME */
	bool asleep;                  /* its BARs do not answer */
	u32 cap_last, cap_end;        /* the chain's end; first free byte */
	struct pci_bar bars[PCI_BARS + 1];
	struct msix *msix; /* owned; NULL: none */
	struct pci_msix_at msix_at;
};

/*
 * A function to be, with an empty capability list. Then add BARs and
 * capabilities, then pci_host_add; in that order, before the guest runs.
 * The owner keeps it until pci_function_fini, which frees its MSI-X.
 */
void pci_function_init(struct pci_function *f, const char *name,
		       const struct pci_ids *ids, const struct pci_ops *ops,
		       void *dev);
void pci_function_fini(struct pci_function *f);

/*
 * Likewise of a function that there is already: its configuration space, with
 * its capabilities, and what the guest may write there, are those given, but
 * for the BARs. They are copied.
 */
void pci_function_init_as(struct pci_function *f, const char *name,
			  const u8 config[static PCI_CONFIG_SIZE],
			  const u8 writable[static PCI_CONFIG_SIZE],
			  const struct pci_ops *ops, void *dev);

/* Memory BAR @i (a 64-bit one takes @i + 1, too). Misuse is a bug: asserted. */
void pci_add_bar(struct pci_function *f, u32 i, u64 size, bool mem64,
		 bool prefetch);
/* The expansion ROM, 2 KiB or more. It answers while the guest enables it. */
void pci_add_rom(struct pci_function *f, u64 size);

/*
 * Append capability @id, whose bytes from its third on are @body[@len], the
 * guest being able to write the bits of @writable[@len] (NULL: none). Returns
 * its offset in configuration space. That they fit is asserted.
 */
u32 pci_add_cap(struct pci_function *f, u8 id, const void *body,
		const void *writable, u32 len);

/*
 * Give the function MSI-X: @nr vectors (1..2048), table and pending bits at
 * these offsets of BAR @bar, which then answers there itself. Opens a line of
 * @sink (copied) per vector. -errno and a message if that fails.
 */
MUST_CHECK int pci_add_msix(struct pci_function *f, u32 nr, u32 bar, u64 table,
			    u64 pba, const struct msi_sink *sink,
			    struct err *e);

/* Likewise of hardware, where all that is @at a place already. */
MUST_CHECK int pci_take_msix(struct pci_function *f,
			     const struct pci_msix_at *at,
			     const struct msi_sink *sink,
			     const struct pci_msix_hw *hw, struct err *e);

/*
 * Vector @v's message is due: sent, or kept pending while it is masked, may not
 * be written (Command.BME) or its line is being aimed; dropped while the guest
 * has MSI-X off, or if there is no such vector. Any thread, also with the
 * device's own lock held: it waits for nothing that takes the host long.
 */
void pci_msix_fire(struct pci_function *f, u32 v);

/* Has the guest switched MSI-X on? Any thread. */
bool pci_msix_enabled(const struct pci_function *f);

/* May the function master the bus (Command.BME)? Any thread. */
bool pci_bus_master(const struct pci_function *f);

/* For a function's own calls, with the bus lock held: as at power-on; and, its
 * BARs do not answer, whatever the guest enables. */
void pci_function_reset(struct pci_function *f);
void pci_function_sleep(struct pci_function *f, bool asleep);

/* Where a guest finds the bus, and what a driver may place BARs in. */
struct pci_windows {
	gpa_t ecam; /* PCI_ECAM_SIZE bytes */
	gpa_t mem32, mem64;
	u64 mem32_size, mem64_size; /* 0: there is no such window */
};

/* A bus without functions, answering on @bus (borrowed) at @w's places.
 * NULL and a message on failure, @bus being of no use then. */
struct pci_host *pci_host_create(const struct pci_windows *w,
				 struct mmio_bus *bus, struct err *e);
/* After, or without, the functions on it. */
void pci_host_destroy(struct pci_host *h);

/* Put a function at @devfn. -EEXIST and a message if that is taken. */
MUST_CHECK int pci_host_add(struct pci_host *h, struct pci_function *f,
			    u32 devfn, struct err *e);

/* -ENOSPC and a message if a BAR is larger than each window that it could be
 * in, so that the guest could not place it. */
MUST_CHECK int pci_host_has_room(const struct pci_host *h,
				 const struct pci_function *f, struct err *e);

/* All functions as at power-on: BARs nowhere, MSI-X off. No vCPU runs. */
void pci_host_reset(struct pci_host *h);

/* Accesses that the specification does not allow, or that nothing answers. */
u64 pci_host_faults(const struct pci_host *h);

#endif
