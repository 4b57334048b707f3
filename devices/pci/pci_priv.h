/* What the files of this directory share. */
#ifndef BELFRY_PCI_PRIV_H
#define BELFRY_PCI_PRIV_H

#include <belfry/pci.h>

/* The type 0 header (PCI Local Bus 3.0, 6.1). */
#define PCI_VENDOR_ID    0x00
#define PCI_DEVICE_ID    0x02
#define PCI_COMMAND      0x04
#define PCI_STATUS       0x06
#define PCI_REVISION     0x08
#define PCI_CLASS        0x09
#define PCI_HEADER_TYPE  0x0e
#define PCI_BAR0         0x10
#define PCI_SUBSYSTEM    0x2c
#define PCI_ROM_ADDRESS  0x30
#define PCI_CAPABILITIES 0x34
#define PCI_HEADER_END   0x40

#define COMMAND_MEMORY   BIT(1)
#define COMMAND_MASTER   BIT(2)
#define COMMAND_INTX_OFF BIT(10)
#define STATUS_CAPS      BIT(4)
#define HEADER_MULTI     BIT(7)

#define BAR_64BIT        BIT(2)
#define BAR_PREFETCHABLE BIT(3)
#define ROM_ENABLE       BIT(0)

#define CAP_ID_MSIX      0x11

/* Little-endian fields of configuration space. */
u64 pci_get(const u8 *bytes, u32 len);
void pci_put(u8 *bytes, u32 len, u64 val);

/* Do [a, a + a_len) and [b, b + b_len) share a byte? For config space. */
static inline bool pci_touch(u32 a, u32 a_len, u32 b, u32 b_len)
{
	return a < b + b_len && b < a + a_len;
}

/* function.c: one access to a function's configuration space; the bus lock is
 * held, [off, off + len) lies in it. */
u64 function_config_read(struct pci_function *f, u32 off, u32 len);
void function_config_write(struct pci_function *f, u32 off, u32 len, u64 val);
/* Tell its BARs where they are: nowhere unless they lie in a window and are
 * enabled. The bus lock is held. */
void function_place_bars(struct pci_function *f);

/* host.c: does a BAR of @size bytes fit at @at? */
bool host_has_room(const struct pci_host *h, gpa_t at, u64 size);
/* Where what a guest did wrong is counted. */
struct guest_faults *host_faults(struct pci_host *h);

/* msix.c */
void msix_destroy(struct msix *m);
void msix_reset(struct msix *m);
/* The guest wrote the capability's control word, or the command register. */
void msix_control(struct msix *m);
/* An access at @off of BAR @bar: true if it was one to the table or the pending
 * bits. */
bool msix_read(struct pci_function *f, u32 bar, u64 off, u32 size, u64 *val);
bool msix_write(struct pci_function *f, u32 bar, u64 off, u32 size, u64 val);

#endif
