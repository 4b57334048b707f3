/*
 * How a PCI function of the host can interrupt. PCI 3.0, 6.1, 6.7 and 6.8; PCIe
 * 6.0, 7.7.1 (MSI) and 7.7.2 (MSI-X).
 */
#include <belfry/hostpci.h>

#include <stdio.h>
#include <string.h>

#include "sysfs.h"

int hostpci_config(u8 config[static HOSTPCI_CONFIG], const struct hostpci *d,
		   const char *sys)
{
	return sysfs_bytes(config, HOSTPCI_CONFIG,
			   "%s/bus/pci/devices/%s/config", sys, d->name);
}

/* --- capabilities --- */

enum {
	STATUS = 0x06,
	CAPABILITIES = 0x34,
	INTERRUPT_PIN = 0x3d,
	CAP_MSI = 0x05,
	CAP_MSIX = 0x11,
};

#define STATUS_CAPABILITIES BIT(4)
#define MSI_CAPABLE         GENMASK(3, 1) /* of 2^n vectors; 6.8.1.3 */
#define MSI_CAPABLE_MAX     5
#define MSIX_SIZE           GENMASK(10, 0) /* less one; 6.8.2.3 */
#define MSIX_BIR            GENMASK(2, 0)
#define BARS                6

/* As many as have room, so that a chain without end has one. */
#define CHAIN_MAX ((HOSTPCI_CONFIG - HOSTPCI_CONFIG_ALL) / 4)

static u32 get(const u8 *p, u32 bytes)
{
	u32 val = 0;

	for (u32 i = 0; i < bytes; i++)
		val |= (u32)p[i] << 8 * i;
	return val;
}

static void take_msi(struct hostpci_interrupts *q, const u8 *cap)
{
	u32 capable = (u32)FIELD_GET(MSI_CAPABLE, get(cap + 2, 2));

	q->msi = 1u << MIN(capable, MSI_CAPABLE_MAX);
}

/* A table in a BAR that there cannot be is none. */
static void take_msix(struct hostpci_interrupts *q, const u8 *cap)
{
	u32 table = get(cap + 4, 4);

	if ((table & MSIX_BIR) >= BARS)
		return;
	q->msix = (u32)FIELD_GET(MSIX_SIZE, get(cap + 2, 2)) + 1;
	q->table_bar = (u32)(table & MSIX_BIR);
	q->table_off = (u32)(table & ~MSIX_BIR);
}

/* False if it is not all there. What is of no use here has two bytes or more.
 */
static bool take_capability(struct hostpci_interrupts *q, const u8 *config,
			    size_t len, u32 at)
{
	u32 id, size;

	if (!range_fits(at, 2, len))
		return false;
	id = config[at];
	size = id == CAP_MSI ? 4 : id == CAP_MSIX ? 8 : 2;
	if (!range_fits(at, size, len))
		return false;
	if (id == CAP_MSI)
		take_msi(q, config + at);
	else if (id == CAP_MSIX)
		take_msix(q, config + at);
	return true;
}

void hostpci_interrupts(struct hostpci_interrupts *q, const u8 *config,
			size_t len)
{
	u32 at;

	*q = (struct hostpci_interrupts) { .cut = true };
	/* Nobody answers at all: what is asleep or gone reads as ones. */
	if (len < HOSTPCI_CONFIG_ALL || get(config + STATUS, 2) == 0xffff)
		return;
	q->cut = false;
	q->intx = config[INTERRUPT_PIN];
	at = get(config + STATUS, 2) & STATUS_CAPABILITIES
		     ? config[CAPABILITIES] & ~3u
		     : 0;
	for (u32 n = 0; at >= HOSTPCI_CONFIG_ALL && n < CHAIN_MAX; n++) {
		if (!take_capability(q, config, len, at)) {
			q->cut = true;
			return;
		}
		at = config[at + 1] & ~3u;
	}
}

/* --- BARs --- */

/* linux/ioport.h */
#define RESOURCE_MEM    0x200
#define RESOURCE_MEM_64 0x100000

/* A line for each: first, last, flags; zeroes for what is not there. */
struct hostpci_bar hostpci_bar(const struct hostpci *d, const char *sys,
			       u32 bar)
{
	unsigned long long start, last, flags;
	char text[2048];
	const char *line = text;

	if (sysfs_text(text, sizeof(text), "%s/bus/pci/devices/%s/resource",
		       sys, d->name) <= 0)
		return (struct hostpci_bar) { .size = 0 };
	while (bar-- && line) {
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	if (!line || sscanf(line, "%llx %llx %llx", &start, &last, &flags) != 3)
		return (struct hostpci_bar) { .size = 0 };
	return (struct hostpci_bar) {
		.start = start,
		.size = last ? last - start + 1 : 0,
		.memory = flags & RESOURCE_MEM,
		.wide = flags & RESOURCE_MEM_64,
	};
}
