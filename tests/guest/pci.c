#include "pci.h"
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PCI "/sys/bus/pci/"

bool pci_of_driver(const char *driver, char *place, size_t size)
{
	char pattern[128];
	bool found;
	glob_t g;

	snprintf(pattern, sizeof(pattern), PCI "drivers/%s/*:*:*.*", driver);
	found = !glob(pattern, 0, NULL, &g);
	if (found)
		snprintf(place, size, "%s", strrchr(g.gl_pathv[0], '/') + 1);
	globfree(&g);
	return found;
}

void pci_path(const char *place, const char *file, char *buf, size_t size)
{
	snprintf(buf, size, PCI "devices/%s/%s", place, file);
}

static u32 number(const char *place, const char *file)
{
	char path[128], text[32] = "";

	pci_path(place, file, path, sizeof(path));
	file_get(path, text, sizeof(text));
	return (u32)strtoul(text, NULL, 16);
}

bool pci_of_make(u16 vendor, u16 device, char *place, size_t size)
{
	bool found = false;
	glob_t g;

	if (!glob(PCI "devices/*", 0, NULL, &g))
		for (size_t i = 0; !found && i < g.gl_pathc; i++) {
			snprintf(place, size, "%s",
				 strrchr(g.gl_pathv[i], '/') + 1);
			found = number(place, "vendor") == vendor &&
				number(place, "device") == device;
		}
	globfree(&g);
	return found;
}

u32 pci_stream(const char *place)
{
	unsigned int bus = 0, slot = 0, function = 0;

	sscanf(place, "%*x:%x:%x.%x", &bus, &slot, &function);
	return bus << 8 | slot << 3 | function;
}

bool pci_lend(const char *place)
{
	char path[128];

	pci_path(place, "driver_override", path, sizeof(path));
	if (!file_put(path, "vfio-pci"))
		return wrong("%s: %s", path, strerror(errno));
	pci_path(place, "driver/unbind", path, sizeof(path));
	file_put(path, place);
	if (!file_put(PCI "drivers_probe", place))
		return wrong("drivers_probe: %s", strerror(errno));
	pci_path(place, "driver", path, sizeof(path));
	return appears(path);
}

static size_t find_capability(const u8 *config, u8 id)
{
	size_t at = config[PCI_CAPABILITY_LIST] & 0xfcu;

	for (int i = 0; i < 48 && at; i++) {
		if (config[at] == id)
			return at;
		at = config[at + 1] & 0xfcu;
	}
	return 0;
}

bool pci_msix(const char *place, struct msix *m)
{
	u8 config[256] = { 0 };
	char path[128];
	size_t at;
	u32 table;
	int fd;

	pci_path(place, "config", path, sizeof(path));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, config, sizeof(config)) != sizeof(config))
		wrong("%s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	at = find_capability(config, PCI_CAP_ID_MSIX);
	if (!at)
		return wrong("%s has no MSI-X", place);
	memcpy(&table, config + at + PCI_MSIX_TABLE, sizeof(table));
	m->vectors = (config[at + PCI_MSIX_FLAGS] |
		      (config[at + PCI_MSIX_FLAGS + 1] & 7u) << 8) +
		     1;
	m->bar = table & PCI_MSIX_TABLE_BIR;
	m->offset = table & PCI_MSIX_TABLE_OFFSET;
	return true;
}
