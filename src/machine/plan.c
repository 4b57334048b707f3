#include <belfry/plan.h>

#include <sys/stat.h>

/* Is @path, if it is there at all, the very file behind @fd? */
static bool same_file(const char *path, int fd)
{
	struct stat a, b;

	return fd >= 0 && !stat(path, &a) && !fstat(fd, &b) &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

bool plan_open(struct plan *p, const struct config *c, struct faults *f)
{
	size_t before = f->nr;
	struct err e;

	*p = (struct plan) { .cfg = c, .image.fd = -1, .initrd.fd = -1 };
	if (image_open(&p->image, c->kernel, &e))
		faults_add(f, "kernel: %s", e.msg);
	if (c->initrd && initrd_open(&p->initrd, c->initrd, &e))
		faults_add(f, "initrd: %s", e.msg);
	if (c->console && (same_file(c->console, p->image.fd) ||
			   same_file(c->console, p->initrd.fd)))
		faults_add(
			f,
			"console: %s is a file the guest is booted from; name another",
			c->console);
	if (f->nr == before)
		return true;
	plan_close(p);
	return false;
}

void plan_close(struct plan *p)
{
	initrd_close(&p->initrd);
	image_close(&p->image);
}

int plan_place(struct plan *p, bool pmu, bool steal_time, struct err *e)
{
	struct devtree d;
	int err;

	p->pmu = pmu;
	memmap_init(&p->map, p->cfg->cpus, p->cfg->memory, steal_time);
	plan_devtree(p, &d);
	p->fdt_size = devtree_size(&d);
	err = image_place(&p->image.header, p->initrd.size, p->fdt_size,
			  p->map.ram, p->map.ram_usable, &p->layout, e);
	return err ? err_prefix(e, "memory") : 0;
}

void plan_devtree(const struct plan *p, struct devtree *d)
{
	*d = (struct devtree) {
		.map = &p->map,
		.cpus = p->cfg->cpus,
		.pmu = p->pmu,
		.cmdline = p->cfg->cmdline,
		.initrd = p->layout.initrd,
		.initrd_end = p->layout.initrd_end,
	};
}
