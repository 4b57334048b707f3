/*
 * What an initrd does before the guest's own work begins: load the modules that
 * its devices need, and change over to a root file system on a disk.
 */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MODULE_INIT_COMPRESSED_FILE 4

static bool any(const char *pattern)
{
	glob_t g;
	bool found = !glob(pattern, 0, NULL, &g);

	globfree(&g);
	return found;
}

static bool load_module(const char *path)
{
	bool packed = strcmp(path + strlen(path) - strlen(".ko"), ".ko");
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool done;

	if (fd < 0)
		return wrong("%s: %s", path, strerror(errno));
	done = !syscall(SYS_finit_module, fd, "",
			packed ? MODULE_INIT_COMPRESSED_FILE : 0);
	if (!done)
		wrong("%s: %s", path, strerror(errno));
	close(fd);
	return done;
}

/* tests/guest/pack numbered them in the order to load them. */
bool load_modules(void)
{
	bool ok = true;
	glob_t g;

	if (!any("/sys/bus/pci/devices/*"))
		return true;
	if (!glob("/modules/*", 0, NULL, &g))
		for (size_t i = 0; ok && i < g.gl_pathc; i++)
			ok = load_module(g.gl_pathv[i]);
	globfree(&g);
	return ok;
}

bool module_insert(const char *name)
{
	char pattern[64];
	bool ok;
	glob_t g;

	snprintf(pattern, sizeof(pattern), "/modules/*-%s.ko*", name);
	ok = glob(pattern, 0, NULL, &g) ? wrong("no module %s", name)
					: load_module(g.gl_pathv[0]);
	globfree(&g);
	return ok;
}

/* What used it may be leaving only now. */
bool module_remove(const char *name)
{
	for (int ms = 0; syscall(SYS_delete_module, name, O_NONBLOCK);
	     ms += 10) {
		if (errno != EAGAIN || ms > 10000)
			return wrong("%s: %s", name, strerror(errno));
		usleep(10000);
	}
	return true;
}

bool appears(const char *path)
{
	for (int ms = 0; access(path, F_OK); ms += 10) {
		if (ms > 10000)
			return wrong("there is no %s", path);
		usleep(10000);
	}
	return true;
}

/* Does the new root have its own work to do, as Linux's init= says? */
bool switch_root(const char *device, const char *init)
{
	static const char *const kept[] = { "/proc", "/sys", "/dev" };
	static const char *const to[] = { "/root/proc", "/root/sys",
					  "/root/dev" };
	unsigned long flags = kernel_word("ro", NULL, 0) ? MS_RDONLY : 0;

	mkdir("/root", 0755);
	if (!appears(device))
		return false;
	if (mount(device, "/root", "ext4", flags, NULL))
		return wrong("mount %s: %s", device, strerror(errno));
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		if (mount(kept[i], to[i], NULL, MS_MOVE, NULL))
			return wrong("mount %s: %s", to[i], strerror(errno));
	if (chdir("/root") || mount(".", "/", NULL, MS_MOVE, NULL) ||
	    chroot("."))
		return wrong("%s as /: %s", device, strerror(errno));
	execl(init, init, NULL);
	return wrong("%s: %s", init, strerror(errno));
}
