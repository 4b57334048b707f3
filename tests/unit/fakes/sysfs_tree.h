/*
 * A directory that looks like a host's /sys, for what is told where that is.
 * One per test; paths are relative to it.
 */
#ifndef BELFRY_TESTS_SYSFS_TREE_H
#define BELFRY_TESTS_SYSFS_TREE_H

#include <belfry/base.h>

/* Make it, and remove it with all that is in it. */
void tree_init(void);
void tree_fini(void);
const char *tree(void);

/* A file, a link; directories on the way are made, what is there goes. */
void tree_bytes(const char *path, const void *bytes, size_t len);
void tree_put(const char *path, const char *text);
void tree_link(const char *path, const char *target);
void tree_remove(const char *path);

/*
 * A PCI function, a network card, on the host bridge @bridge ("platform/
 * 40000000.pcie"; "": ACPI's) in IOMMU group @group (-1: none) and with
 * @driver ("": none).
 */
void tree_function(const char *bridge, const char *name, int group,
		   const char *driver);
/* And what VFIO adds to it. */
void tree_lend(const char *name, const char *cdev);

#endif
