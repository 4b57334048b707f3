/*
 * What a device that is the host's own looks like in here: what its IOMMU does
 * with it, and the doorbells that its driver gave it.
 */
#include "guest.h"
#include "pci.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define GROUPS "/sys/kernel/iommu_groups/"

/* --- its IOMMU --- */

/* The regions of a group that its kernel leaves out, a line each; "direct" ones
 * are mapped because the firmware asks for it. */
static int say_regions(const char *group, const char *device)
{
	char path[128], text[1024] = "", *save, *line;
	int direct = 0;

	snprintf(path, sizeof(path), GROUPS "%s/reserved_regions", group);
	file_get(path, text, sizeof(text));
	for (line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		say("iommu: %s: region %s", device, line);
		direct += strstr(line, " direct") != NULL;
	}
	return direct;
}

/* A group's devices are in .../iommu_groups/GROUP/devices. */
static int say_device(const char *path)
{
	char group[16], file[128], type[32] = "none";
	const char *device = strrchr(path, '/') + 1;

	snprintf(group, sizeof(group), "%d", atoi(path + strlen(GROUPS)));
	snprintf(file, sizeof(file), GROUPS "%s/type", group);
	file_get(file, type, sizeof(type));
	say("iommu: %s: %s", device, type);
	return say_regions(group, device);
}

/*
 * Says what the IOMMU does with each device. With the argument "free", there
 * must be one, and nothing that the firmware wants kept for it.
 */
bool test_iommu(const char *arg)
{
	bool kept = !access("/proc/device-tree/reserved-memory", F_OK);
	size_t devices = 0;
	int direct = 0;
	glob_t g;

	if (!glob(GROUPS "*/devices/*", 0, NULL, &g)) {
		devices = g.gl_pathc;
		for (size_t i = 0; i < devices; i++)
			direct += say_device(g.gl_pathv[i]);
	}
	globfree(&g);
	say("iommu: %zu devices, %d direct regions, %s reserved memory",
	    devices, direct, kept ? "has" : "no");
	if (strcmp(arg, "free"))
		return true;
	return (devices || wrong("no device is behind an IOMMU")) &&
	       (!direct || wrong("a region is mapped for the firmware")) &&
	       (!kept || wrong("memory is reserved in the device tree"));
}

/* --- its BARs --- */

static void bar_path(const char *place, unsigned int bar, char *buf,
		     size_t size)
{
	char name[16];

	snprintf(name, sizeof(name), "resource%u", bar);
	pci_path(place, name, buf, size);
}

static const volatile u8 *map_bar(const char *place, unsigned int bar,
				  size_t from, size_t len)
{
	char path[128];
	void *at;
	int fd;

	bar_path(place, bar, path, sizeof(path));
	fd = open(path, O_RDWR | O_SYNC | O_CLOEXEC);
	at = fd < 0 ? MAP_FAILED
		    : mmap(NULL, len, PROT_READ, MAP_SHARED, fd, (off_t)from);
	if (at == MAP_FAILED)
		wrong("%s: %s; is there iomem=relaxed?", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return at == MAP_FAILED ? NULL : at;
}

static size_t bar_size(const char *place, unsigned int bar)
{
	char path[128];
	struct stat st;

	bar_path(place, bar, path, sizeof(path));
	return stat(path, &st) ? 0 : (size_t)st.st_size;
}

/* Reads a byte of each page of the BAR @arg (DRIVER:N). */
bool test_touch(const char *arg)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), len;
	char driver[32] = "", place[32];
	const volatile u8 *at;
	unsigned int bar = 0;

	sscanf(arg, "%31[^:]:%u", driver, &bar);
	if (!pci_of_driver(driver, place, sizeof(place)))
		return wrong("%s has no device", driver);
	len = bar_size(place, bar);
	at = map_bar(place, bar, 0, len);
	if (!at)
		return false;
	for (size_t off = 0; off < len; off += page)
		(void)at[off];
	say("touch: %zu pages", len / page);
	return len || wrong("%s: no BAR %u", place, bar);
}

/* --- its doorbells --- */

static const volatile u32 *map_table(const char *place, const struct msix *m)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t from = m->offset / page * page;
	size_t len = m->offset - from + m->vectors * PCI_MSIX_ENTRY_SIZE;
	const volatile u8 *at = map_bar(place, m->bar, from, len);

	return at ? (const volatile u32 *)(at + m->offset - from) : NULL;
}

/* As tests/boot/msix says it. */
static void say_entry(unsigned int i, const volatile u32 *entry)
{
	u32 address = entry[0], high = entry[1], data = entry[2];

	say("%u: address %08x%08x data %08x %s", i, high, address, data,
	    entry[3] & PCI_MSIX_ENTRY_CTRL_MASKBIT ? "masked" : "unmasked");
}

/* What must have been used, for its driver to arm its vectors. */
static bool use(const char *driver)
{
	if (!strcmp(driver, "igb"))
		return test_ping("10");
	return appears(disk_dev()) && test_fill("4");
}

/* Says what the driver @arg put into the MSI-X table, and lets the host look at
 * what is there really. */
bool test_doorbells(const char *arg)
{
	const volatile u32 *table;
	char place[32], answer[16];
	struct msix m;

	if (!use(arg))
		return false;
	if (!pci_of_driver(arg, place, sizeof(place)))
		return wrong("%s has no device", arg);
	if (!pci_msix(place, &m))
		return false;
	table = map_table(place, &m);
	if (!table)
		return false;
	for (unsigned int i = 0; i < m.vectors; i++)
		say_entry(i, table + i * PCI_MSIX_ENTRY_SIZE / 4);
	say("doorbells: of %s, %s; shall I end?", arg, place);
	return (fgets(answer, sizeof(answer), stdin) ||
		wrong("no answer: %s", strerror(errno))) &&
	       use(arg);
}
