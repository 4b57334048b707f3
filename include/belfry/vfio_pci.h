/*
 * A physical PCI function on the guest's bus.
 *
 * The guest sees a configuration space made from the hardware's by a table
 * (vfio_config.c), its BARs as memory of its own but for the pages of the MSI-X
 * table and pending bits, and vectors that send to where it says: by the
 * doorbell; or, while it uses neither MSI-X nor MSI, a pin. What reaches memory
 * is decided by what the device is attached to, which is not of interest here.
 *
 * PCI Local Bus 3.0; PCI Express Base 5.0, chapter 7.
 */
#ifndef BELFRY_VFIO_PCI_H
#define BELFRY_VFIO_PCI_H

#include <belfry/base.h>
#include <belfry/doorbell.h>
#include <belfry/err.h>
#include <belfry/irq.h>
#include <belfry/loop.h>
#include <belfry/pci.h>
#include <belfry/vfio.h>
#include <belfry/window.h>

struct vfio_pci_setup {
	const char *name;        /* for messages; borrowed, as the next */
	struct vfio_device *dev; /* bound, and attached to what it stays on */
	struct loop *loop;
	struct windows windows;
	struct msi_sink msi;
	/* Its wire, copied; NULL: the guest sees no pin. */
	const struct irq_pin *pin;
	gpa_t translater; /* the guest's GITS_TRANSLATER */
	/* What is wanted: DIRECT becomes RMR where it cannot be had, unless
	 * @strict, which refuses then. */
	enum doorbell_mode mode;
	bool strict;
};

struct vfio_pci;

/* *@s is copied. NULL and a message on failure, nothing left behind. */
struct vfio_pci *vfio_pci_create(const struct vfio_pci_setup *s, struct err *e);
/* It has no part in a bus any more that is used. The loop is gone. */
void vfio_pci_destroy(struct vfio_pci *d);

/* For pci_host_add. */
struct pci_function *vfio_pci_function(struct vfio_pci *d);

/* It touches no memory any more when this returns: reset if it can be, and kept
 * from the bus in any case. No vCPU runs; before pci_host_reset. */
void vfio_pci_reset(struct vfio_pci *d);

/* What became of setup.mode; HOST, if it has a pin alone. */
enum doorbell_mode vfio_pci_doorbell(const struct vfio_pci *d);

struct vfio_pci_vector {
	/* The rest is of MSI-X. */
	bool armed, open;
	u64 guest;  /* the address that the guest wrote */
	u64 kernel; /* that which the host's kernel did */
	u64 is;     /* that which the hardware has; 0: not known */
};

struct vfio_pci_status {
	enum doorbell_mode mode;
	u32 vectors, armed;
	u64 rewrites, verified, strays;
	u64 resets; /* by the guest's driver */
	u64 errors; /* that the device reported */
	u64 faults; /* what the guest's driver did wrong */
};

/* Any thread. */
struct vfio_pci_status vfio_pci_status(struct vfio_pci *d);
/* Vector @v < vectors. */
struct vfio_pci_vector vfio_pci_vector(struct vfio_pci *d, u32 v);

#endif
