#include <belfry/plan.h>

#include <belfry/blk.h>
#include <belfry/kvm.h>
#include <belfry/tap.h>

#include <assert.h>

/* What a configuration allows, the devices take. */
static_assert(CONFIG_QUEUES_MAX <= BLK_QUEUES_MAX, "drive.queues");
static_assert(CONFIG_SERIAL_MAX <= BLK_SERIAL_MAX, "drive.serial");
static_assert(CONFIG_QUEUES_MAX <= TAP_QUEUES_MAX, "net.queues");

static void open_disks(struct plan *p, struct faults *f)
{
	for (u32 i = 0; i < p->cfg->drives_nr; i++) {
		const struct config_drive *d = &p->cfg->drives[i];
		struct err e;

		if (disk_open(&p->disks[i], d->path, d->readonly, d->direct,
			      &e))
			faults_add(f, "%s: %s", d->place, e.msg);
		else if (!p->disks[i].size)
			faults_add(
				f,
				"%s: %s has a size of 0; put a medium in, or name another",
				d->place, d->path);
	}
}

void plan_check_nets(const struct config *c, struct faults *f)
{
	for (u32 i = 0; i < c->nets_nr; i++) {
		const struct config_net *n = &c->nets[i];
		struct err e;

		if (n->fds_nr ? tap_check_fds(n->fds, n->fds_nr, &e)
			      : tap_check(n->tap, n->queues, &e))
			faults_add(f, "%s: %s", n->place, e.msg);
	}
}

bool plan_open(struct plan *p, const struct config *c, struct faults *f)
{
	size_t before = f->nr;
	struct err e;

	*p = (struct plan) { .cfg = c, .image.fd = -1, .initrd.fd = -1 };
	for (u32 i = 0; i < ARRAY_SIZE(p->disks); i++)
		p->disks[i].fd = -1;
	if (image_open(&p->image, c->kernel, &e))
		faults_add(f, "%s: %s", c->kernel_place, e.msg);
	if (c->initrd && initrd_open(&p->initrd, c->initrd, &e))
		faults_add(f, "%s: %s", c->initrd_place, e.msg);
	open_disks(p, f);
	if (f->nr == before)
		return true;
	plan_close(p);
	return false;
}

void plan_close(struct plan *p)
{
	for (u32 i = 0; i < ARRAY_SIZE(p->disks); i++)
		disk_close(&p->disks[i]);
	initrd_close(&p->initrd);
	image_close(&p->image);
}

int plan_place(struct plan *p, bool pmu, bool steal_time, struct err *e)
{
	struct devtree d;
	int err;

	p->pmu = pmu;
	memmap_init(&p->map, p->cfg->cpus, p->cfg->memory, steal_time);
	if (p->cfg->irqchip == IRQCHIP_SPLIT)
		memmap_add_hidden_its(&p->map, KVM_HIDDEN_ITS_SIZE);
	memmap_add_smmus(&p->map, p->smmus);
	/* BARs of virtio devices are small: the 32-bit window has room. */
	if (p->cfg->devices_nr)
		memmap_add_pci(&p->map, p->mem64_size);
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
	plan_streams(p, d);
}
