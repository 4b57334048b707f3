#include "sysfs_tree.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/belfry-sysfs-XXXXXX";

void tree_init(void)
{
	strcpy(root + sizeof(root) - 7, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	tree_put("kernel/iommu_groups/.keep", "");
}

static int remove_one(const char *path, const struct stat *st, int flag,
		      struct FTW *ftw)
{
	return remove(path);
}

static void remove_all(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void tree_fini(void)
{
	remove_all(root);
}

const char *tree(void)
{
	return root;
}

/* Where @path is, with the directories that lead there. */
static const char *place(const char *path)
{
	static char full[PATH_MAX];

	snprintf(full, sizeof(full), "%s/%s", root, path);
	for (char *slash = full + sizeof(root); (slash = strchr(slash, '/'));
	     slash++) {
		*slash = '\0';
		ck_assert(!mkdir(full, 0755) || errno == EEXIST);
		*slash = '/';
	}
	return full;
}

void tree_bytes(const char *path, const void *bytes, size_t len)
{
	int fd = open(place(path), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, len), len);
	close(fd);
}

void tree_put(const char *path, const char *text)
{
	tree_bytes(path, text, strlen(text));
}

void tree_link(const char *path, const char *target)
{
	char to[PATH_MAX];

	snprintf(to, sizeof(to), "%s/%s", root, target);
	unlink(place(path));
	ck_assert_int_eq(symlink(to, place(path)), 0);
}

void tree_remove(const char *path)
{
	remove_all(place(path));
}

/* The path of @name's file or link @what. */
static const char *of(const char *name, const char *what)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "bus/pci/devices/%s/%s", name, what);
	return path;
}

static void give_group(const char *name, int group, const char *where)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "kernel/iommu_groups/%d", group);
	tree_link(of(name, "iommu_group"), path);
	snprintf(path, sizeof(path), "kernel/iommu_groups/%d/devices/%s", group,
		 name);
	tree_link(path, where);
}

void tree_function(const char *bridge, const char *name, int group,
		   const char *driver)
{
	char where[PATH_MAX - 32], path[PATH_MAX];

	snprintf(where, sizeof(where), "devices/%s%spci%.7s/%.8s00.0/%s",
		 bridge, *bridge ? "/" : "", name, name, name);
	snprintf(path, sizeof(path), "%s/vendor", where);
	tree_put(path, "0x8086\n");
	snprintf(path, sizeof(path), "bus/pci/devices/%s", name);
	tree_link(path, where);
	tree_put(of(name, "device"), "0x10c9\n");
	tree_put(of(name, "class"), "0x020000\n");
	tree_put(of(name, "reset_method"), "flr bus\n");
	tree_link(of(name, "iommu"),
		  "devices/virtual/iommu/smmu3.0x0000000009050000");
	if (*driver) {
		snprintf(path, sizeof(path), "bus/pci/drivers/%s", driver);
		tree_link(of(name, "driver"), path);
	}
	if (group >= 0)
		give_group(name, group, where);
}

void tree_lend(const char *name, const char *cdev)
{
	char path[64];

	snprintf(path, sizeof(path), "vfio-dev/%s/dev", cdev);
	tree_put(of(name, path), "511:0\n");
}
