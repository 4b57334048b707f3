/*
 * PCI functions, as the guest's programs find and use them.
 */
#ifndef BELFRY_TESTS_PCI_H
#define BELFRY_TESTS_PCI_H

#include <belfry/base.h>

/* The first function that has @driver, as 0000:00:04.0; false without one. */
bool pci_of_driver(const char *driver, char *place, size_t size);
/* The first one of that make; false without one. */
bool pci_of_make(u16 vendor, u16 device, char *place, size_t size);
/* Its StreamID: its bus, device and function. */
u32 pci_stream(const char *place);
/* Where its file of sysfs is. */
void pci_path(const char *place, const char *file, char *buf, size_t size);

/* From its own driver to the guest's VFIO; false, and said, if it will not. */
bool pci_lend(const char *place);

/* Where the MSI-X table is; false, and said, without one. PCI Express 6.0,
 * 7.7.2. */
struct msix {
	unsigned int vectors, bar;
	u32 offset;
};
bool pci_msix(const char *place, struct msix *m);

#endif
