/*
 * PCI functions in sysfs. Everything here may be gone the next moment, and what
 * is not there reads as empty.
 */
#include <belfry/hostpci.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sysfs.h"

#define DEVICES "bus/pci/devices"

/* --- names --- */

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 'a' ^ 'A';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One to @digits hexadecimal digits, and @end after them. */
static bool take_hex(const char **s, u32 digits, char end, u32 *val)
{
	u32 n = 0;

	for (*val = 0; n < digits && digit(**s) >= 0; n++, (*s)++)
		*val = *val << 4 | (u32)digit(**s);
	if (!n || **s != end)
		return false;
	if (end)
		(*s)++;
	return true;
}

static bool parse(const char *s, u32 *domain, u32 *bus, u32 *device,
		  u32 *function)
{
	const char *first = strchr(s, ':');

	*domain = 0;
	if (first && strchr(first + 1, ':') && !take_hex(&s, 8, ':', domain))
		return false;
	return take_hex(&s, 2, ':', bus) && take_hex(&s, 2, '.', device) &&
	       take_hex(&s, 1, '\0', function) && *device < 32 && *function < 8;
}

int hostpci_name(const char *text, char name[static HOSTPCI_NAME],
		 struct err *e)
{
	u32 domain, bus, device, function;

	if (!parse(text, &domain, &bus, &device, &function))
		return err_set(
			e, -EINVAL,
			"device %s: not the address of a PCI function, such as 0000:01:00.0 (`lspci -D` shows all)",
			text);
	snprintf(name, HOSTPCI_NAME, "%04x:%02x:%02x.%x", domain, bus, device,
		 function);
	return 0;
}

/* --- functions --- */

static u32 number(const char *sys, const char *name, const char *file)
{
	char text[32];

	if (sysfs_text(text, sizeof(text), "%s/" DEVICES "/%s/%s", sys, name,
		       file) <= 0)
		return 0;
	return (u32)strtoul(text, NULL, 16);
}

/* The one entry of the directory that VFIO makes below a function of its. */
static void find_cdev(struct hostpci *d, const char *sys)
{
	char path[256];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/" DEVICES "/%s/vfio-dev", sys,
		 d->name);
	dir = opendir(path);
	while (dir && !*d->cdev && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			snprintf(d->cdev, sizeof(d->cdev), "%.31s",
				 entry->d_name);
	if (dir)
		closedir(dir);
	/* Without CONFIG_VFIO_DEVICE_CDEV it has no device number. */
	d->has_cdev = *d->cdev && sysfs_has("%s/%s/dev", path, d->cdev);
}

int hostpci_look(struct hostpci *d, const char *sys, const char *name,
		 struct err *e)
{
	char group[16];

	*d = (struct hostpci) { .group = -1 };
	snprintf(d->name, sizeof(d->name), "%s", name);
	if (!sysfs_has("%s/" DEVICES "/%s", sys, name))
		return err_set(
			e, -ENODEV,
			"device %s: this host has none at that address (`lspci -D` shows all)",
			name);
	d->vendor = (u16)number(sys, name, "vendor");
	d->device = (u16)number(sys, name, "device");
	d->class = number(sys, name, "class");
	sysfs_link(d->driver, sizeof(d->driver), "%s/" DEVICES "/%s/driver",
		   sys, name);
	sysfs_link(d->iommu, sizeof(d->iommu), "%s/" DEVICES "/%s/iommu", sys,
		   name);
	sysfs_link(group, sizeof(group), "%s/" DEVICES "/%s/iommu_group", sys,
		   name);
	if (*group)
		d->group = atoi(group);
	find_cdev(d, sys);
	if (sysfs_text(d->resets, sizeof(d->resets),
		       "%s/" DEVICES "/%s/reset_method", sys, name) < 0)
		d->resets[0] = '\0';
	return 0;
}

/* --- lists --- */

static int is_entry(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

int hostpci_list(const char *sys, char (**names)[HOSTPCI_NAME])
{
	struct dirent **entries;
	char path[256];
	int nr;

	snprintf(path, sizeof(path), "%s/" DEVICES, sys);
	nr = scandir(path, &entries, is_entry, alphasort);
	if (nr < 0)
		return -errno;
	*names = calloc((size_t)nr + 1, sizeof(**names));
	for (int i = 0; i < nr; i++) {
		if (*names)
			snprintf((*names)[i], HOSTPCI_NAME, "%.19s",
				 entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return *names ? nr : -ENOMEM;
}

/* --- groups --- */

static int list_members(struct hostpci_group *g, const char *path)
{
	struct dirent **entries;
	int nr = scandir(path, &entries, is_entry, alphasort);

	if (nr < 0)
		return -errno;
	for (int i = 0; i < nr; i++) {
		if (i < HOSTPCI_MEMBERS_MAX)
			snprintf(g->member[i], HOSTPCI_NAME, "%.19s",
				 entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	g->nr = (u32)nr;
	return 0;
}

static void read_regions(struct hostpci_group *g, const char *text)
{
	const char *line = text;

	while (line && g->regions < HOSTPCI_REGIONS_MAX) {
		struct hostpci_region *r = &g->region[g->regions];
		unsigned long long start, last;

		if (sscanf(line, "0x%llx 0x%llx %19s", &start, &last,
			   r->type) == 3) {
			r->start = start;
			r->last = last;
			g->regions++;
		}
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
}

int hostpci_group(struct hostpci_group *g, const char *sys, int group,
		  struct err *e)
{
	char path[256], text[4096];
	int err;

	*g = (struct hostpci_group) { .nr = 0 };
	snprintf(path, sizeof(path), "%s/kernel/iommu_groups/%d/devices", sys,
		 group);
	err = list_members(g, path);
	if (err)
		return err_set(e, err, "%s: %s", path, strerror(-err));
	if (sysfs_text(text, sizeof(text),
		       "%s/kernel/iommu_groups/%d/reserved_regions", sys,
		       group) > 0)
		read_regions(g, text);
	return 0;
}

const char *hostpci_other(const struct hostpci_group *g, const char *name)
{
	for (u32 i = 0; i < MIN(g->nr, HOSTPCI_MEMBERS_MAX); i++)
		if (strcmp(g->member[i], name) != 0)
			return g->member[i];
	return NULL;
}

const struct hostpci_region *hostpci_msi_window(const struct hostpci_group *g)
{
	for (u32 i = 0; i < g->regions; i++)
		if (!strcmp(g->region[i].type, "msi"))
			return &g->region[i];
	return NULL;
}

/* Those that mark themselves as leaving DMA to others; VFIO's are several
 * (mlx5_vfio_pci, nvgrace-gpu-vfio-pci). */
static bool leaves_dma_alone(const char *driver)
{
	return !*driver || strstr(driver, "vfio") ||
	       !strcmp(driver, "pcieport") || !strcmp(driver, "pci-stub");
}

bool hostpci_holds(const char *sys, int group, const char *member,
		   char driver[static 32])
{
	/* A platform device has no place among PCI's. */
	sysfs_link(driver, 32, "%s/kernel/iommu_groups/%d/devices/%s/driver",
		   sys, group, member);
	return !leaves_dma_alone(driver);
}

bool hostpci_held_by(const struct hostpci *d, const char *sys,
		     char who[static HOSTPCI_NAME], char driver[static 32])
{
	struct hostpci_group g;
	struct err e;

	if (d->group < 0 || hostpci_group(&g, sys, d->group, &e))
		return false;
	for (u32 i = 0; i < MIN(g.nr, HOSTPCI_MEMBERS_MAX); i++) {
		if (hostpci_holds(sys, d->group, g.member[i], driver)) {
			memcpy(who, g.member[i], HOSTPCI_NAME);
			return true;
		}
	}
	return false;
}
