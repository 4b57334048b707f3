/*
 * Which ITS a PCI function's messages go to. The kernel knows and does not tell
 * before there is an interrupt, so this asks where it asked: the host bridge's
 * msi-map or msi-parent in a device tree, an IORT where there is ACPI.
 *
 * Both know a function by its RID, bus << 8 | device << 3 | function. A
 * function behind a bridge to conventional PCI has another's; it cannot be told
 * here.
 */
#include <belfry/hostpci.h>

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sysfs.h"

/* How deep to look: a device tree, and an IORT's chain of nodes. */
#define DEPTH 8

struct asked {
	const char *sys;
	u32 domain, rid;
	char *its;
};

/* --- device tree --- */

/*
 * The node of the host bridge: /sys/devices/platform/40000000.pcie/pci0000:00/
 * 0000:00:01.0/... is where a function is, ".../40000000.pcie/of_node" leads to
 * the bridge's.
 */
static bool bridge_node(const struct asked *a, const char *name,
			char node[static PATH_MAX])
{
	char path[PATH_MAX], here[PATH_MAX], root[24], *at;

	snprintf(path, sizeof(path), "%s/bus/pci/devices/%s", a->sys, name);
	if (!realpath(path, here))
		return false;
	snprintf(root, sizeof(root), "/pci%04x:", a->domain);
	at = strstr(here, root);
	if (!at)
		return false;
	snprintf(path, sizeof(path), "%.*s/of_node", (int)(at - here), here);
	return realpath(path, node);
}

static u32 cell(const u8 *p)
{
	return (u32)p[0] << 24 | (u32)p[1] << 16 | (u32)p[2] << 8 | p[3];
}

/* Cells of a property: how many, 0 if it is not there. */
static u32 read_cells(u32 *cells, u32 max, const char *node, const char *name)
{
	u8 raw[1024];
	int len = sysfs_bytes(raw, sizeof(raw), "%s/%s", node, name);
	u32 nr = 0;

	for (; len >= 4 && nr < max && (int)(4 * nr + 4) <= len; nr++)
		cells[nr] = cell(raw + 4 * nr);
	return nr;
}

/* pci-msi.txt: rows of (first RID, whose, first there, how many). */
static bool map_rid(u32 rid, const char *node, u32 *phandle)
{
	u32 rows[256], mask = ~0u;
	u32 nr = read_cells(rows, ARRAY_SIZE(rows), node, "msi-map");

	if (!nr)
		return read_cells(phandle, 1, node, "msi-parent") == 1;
	if (read_cells(&mask, 1, node, "msi-map-mask"))
		rid &= mask;
	for (u32 i = 0; i + 4 <= nr; i += 4)
		if (rid >= rows[i] && rid - rows[i] < rows[i + 3]) {
			*phandle = rows[i + 1];
			return true;
		}
	return false;
}

static bool is_its(const char *node, u32 phandle)
{
	char compatible[64];
	u32 ours;

	return sysfs_text(compatible, sizeof(compatible), "%s/compatible",
			  node) > 0 &&
	       !strcmp(compatible, "arm,gic-v3-its") &&
	       read_cells(&ours, 1, node, "phandle") && ours == phandle;
}

/* On success @node is the one below what it was. */
static bool find_its(char node[static PATH_MAX], u32 phandle, u32 depth)
{
	size_t len = strlen(node);
	struct dirent *entry;
	bool found = false;
	DIR *dir = depth ? opendir(node) : NULL;

	while (dir && !found && (entry = readdir(dir))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		snprintf(node + len, PATH_MAX - len, "/%s", entry->d_name);
		found = is_its(node, phandle) ||
			find_its(node, phandle, depth - 1);
	}
	if (dir)
		closedir(dir);
	if (!found)
		node[len] = '\0';
	return found;
}

static bool from_device_tree(const struct asked *a, const char *name)
{
	char node[PATH_MAX];
	size_t base;
	u32 phandle;

	if (!bridge_node(a, name, node) || !map_rid(a->rid, node, &phandle))
		return false;
	base = (size_t)snprintf(node, sizeof(node),
				"%s/firmware/devicetree/base", a->sys);
	if (base >= sizeof(node) || !find_its(node, phandle, DEPTH))
		return false;
	/* One that is so long is still told from others by its end. */
	base = MAX(base + 1, strlen(node) - MIN(strlen(node), HOSTPCI_ITS - 1));
	snprintf(a->its, HOSTPCI_ITS, "%.63s", node + base);
	return true;
}

/* --- IORT: DEN 0049F --- */

enum { ITS_GROUP = 0, ROOT_COMPLEX = 2, SMMU_V3 = 4 };

#define SINGLE_MAPPING BIT(0)

struct iort {
	const u8 *table;
	u32 len;
};

/* Little-endian; what is outside of the table is zero. */
static u32 get(const struct iort *t, u64 at, u32 bytes)
{
	u32 val = 0;

	if (range_fits(at, bytes, t->len))
		for (u32 i = 0; i < bytes; i++)
			val |= (u32)t->table[at + i] << 8 * i;
	return val;
}

/* 3.1, table 2: nodes one after the other, length at 1. 3.1.1.2: a root
 * complex has its segment at 28. 0: there is none. */
static u32 find_root_complex(const struct iort *t, u32 segment)
{
	u64 at = get(t, 40, 4);

	for (u32 n = get(t, 36, 4); n && get(t, at + 1, 2); n--) {
		if (get(t, at, 1) == ROOT_COMPLEX &&
		    get(t, at + 28, 4) == segment)
			return (u32)at;
		at += get(t, at + 1, 2);
	}
	return 0;
}

/*
 * 3.1, table 3: from @id at @node to another at the node that is returned; 0
 * if it leads nowhere. A single mapping of an SMMU is for its own interrupts.
 */
static u32 map_id(const struct iort *t, u32 node, u32 *id)
{
	u64 at = (u64)node + get(t, (u64)node + 12, 4);

	for (u32 n = get(t, (u64)node + 8, 4); n && at < t->len;
	     n--, at += 20) {
		u32 first = get(t, at, 4), span = get(t, at + 4, 4);
		bool single = get(t, at + 16, 4) & SINGLE_MAPPING;

		if (single && get(t, node, 1) == SMMU_V3)
			continue;
		if (!single && (*id < first || *id - first > span))
			continue;
		*id = get(t, at + 8, 4) + (single ? 0 : *id - first);
		return get(t, at + 12, 4);
	}
	return 0;
}

static bool walk(const struct iort *t, const struct asked *a)
{
	u32 node = find_root_complex(t, a->domain), id = a->rid;

	for (u32 i = 0; i < DEPTH && node; i++) {
		/* 3.1.1.1: how many at 16, their numbers after it; a function
		 * uses the first. */
		if (get(t, node, 1) == ITS_GROUP && get(t, (u64)node + 16, 4)) {
			snprintf(a->its, HOSTPCI_ITS, "ITS %u",
				 get(t, (u64)node + 20, 4));
			return true;
		}
		node = map_id(t, node, &id);
	}
	return false;
}

static bool from_iort(const struct asked *a)
{
	const u32 max = 256 * 1024;
	u8 *table = malloc(max);
	bool found = false;
	int len = -1;

	if (table)
		len = sysfs_bytes(table, max, "%s/firmware/acpi/tables/IORT",
				  a->sys);
	if (len >= 48 && !memcmp(table, "IORT", 4))
		found = walk(&(struct iort) { table, (u32)len }, a);
	free(table);
	return found;
}

bool hostpci_its(const struct hostpci *d, const char *sys,
		 char its[static HOSTPCI_ITS])
{
	struct asked a = { .sys = sys, .its = its };
	u32 bus, device, function;

	its[0] = '\0';
	if (sscanf(d->name, "%x:%x:%x.%x", &a.domain, &bus, &device,
		   &function) != 4)
		return false;
	a.rid = bus << 8 | device << 3 | function;
	return from_device_tree(&a, d->name) || from_iort(&a);
}
