#include <belfry/ctl.h>
#include <belfry/log.h>
#include <belfry/text.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/*
 * Load what a run would, into memory of no guest: a compressed kernel shows
 * only then that it is whole.
 */
static int try_loading(const struct plan *p, struct err *e)
{
	const struct image_layout *l = &p->layout;
	u64 size = MAX(l->kernel_end, l->initrd_end) - p->map.ram;
	struct gmem mem = { .nr = 0 };
	void *ram = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int err;

	if (ram == MAP_FAILED)
		return err_set(e, -errno, "memory to try it in: %s",
			       strerror(errno));
	err = gmem_add(&mem, p->map.ram, size, ram);
	if (err)
		err_set(e, err, "memory to try it in");
	else if (image_load(&p->image, &mem, l->kernel,
			    l->kernel_end - l->kernel, e))
		err = err_prefix(e, "%s", p->cfg->kernel_place);
	else if (p->initrd.size && initrd_load(&p->initrd, &mem, l->initrd, e))
		err = err_prefix(e, "%s", p->cfg->initrd_place);
	munmap(ram, size);
	return err;
}

static void print_drive(const struct plan *p, u32 i)
{
	const struct config_drive *d = &p->cfg->drives[i];
	char size[TEXT_SIZE_MAX];

	text_print_size(size, p->disks[i].size);
	printf("%s, %s%s%s%s", d->path, size, d->readonly ? ", readonly" : "",
	       d->direct ? ", direct" : "", d->discard ? ", discard" : "");
	if (d->serial)
		printf(", serial %s", d->serial);
	printf(", %u queue%s", d->queues, d->queues == 1 ? "" : "s");
}

static void print_net(const struct plan *p, u32 i)
{
	const struct config_net *n = &p->cfg->nets[i];

	if (n->tap)
		printf("%s", n->tap);
	for (u32 q = 0; q < n->fds_nr; q++)
		printf("%s%d", q ? "+" : "descriptor ", n->fds[q]);
	printf(", %02x:%02x:%02x:%02x:%02x:%02x", n->mac[0], n->mac[1],
	       n->mac[2], n->mac[3], n->mac[4], n->mac[5]);
	if (n->mtu)
		printf(", mtu %u", n->mtu);
	printf("%s, %u queue pair%s", n->offload ? "" : ", no offload",
	       n->queues, n->queues == 1 ? "" : "s");
}

static void print_vfio(const struct plan *p, u32 i)
{
	enum config_doorbell doorbell = p->cfg->vfios[i].doorbell;
	const struct plan_vfio *v = &p->vfios[i];
	static const char *const ways[] = {
		[DOORBELL_AUTO] = "",
		[DOORBELL_DIRECT] = ", doorbell direct",
		[DOORBELL_RMR] = ", doorbell rmr",
	};

	printf("%s, %04x:%04x", v->host.name, v->host.vendor, v->host.device);
	if (v->smmu != PLAN_NO_SMMU)
		printf(", SMMU %u (%s)", v->smmu, v->host.iommu);
	printf("%s", ways[doorbell]);
}

static void print_devices(const struct plan *p)
{
	for (u32 i = 0; i < p->cfg->devices_nr; i++) {
		const struct config_device *d = &p->cfg->devices[i];
		char bdf[CONFIG_BDF_TEXT];

		config_print_bdf(bdf, d->bdf);
		printf("  %s  %-9s ", bdf, d->name);
		switch (d->kind) {
		case CONFIG_HVC:
			printf("hvc0 on %s", p->cfg->hvc == HVC_PTY
						     ? "a pseudo-terminal"
						     : "the terminal");
			break;
		case CONFIG_RNG:
			printf("the host's random numbers");
			break;
		case CONFIG_DRIVE:
			print_drive(p, d->index);
			break;
		case CONFIG_NET:
			print_net(p, d->index);
			break;
		case CONFIG_VFIO:
			print_vfio(p, d->index);
			break;
		}
		putchar('\n');
	}
}

static void print_guest(const struct plan *p)
{
	const struct config *c = p->cfg;
	char memory[TEXT_SIZE_MAX];

	text_print_size(memory, c->memory);
	printf("fine: %u CPU%s, %s of memory, kernel %s\n", c->cpus,
	       c->cpus == 1 ? "" : "s", memory, c->kernel);
	print_devices(p);
}

/* A network that is not there is the host's lack, as in a run; so is a device
 * to pass through. */
static int check(const struct config *c)
{
	struct faults f = { 0 };
	enum status planned;
	struct plan p;
	struct err e;
	int status = STATUS_OK;

	plan_check_nets(c, &f);
	if (!ctl_print_faults(&f))
		status = STATUS_HOST;
	planned = ctl_plan(c, &p);
	if (planned != STATUS_OK)
		return planned;
	if (try_loading(&p, &e)) {
		log_error("%s", e.msg);
		status = STATUS_USAGE;
	}
	if (status == STATUS_OK)
		print_guest(&p);
	plan_close(&p);
	return status;
}

int cmd_check(int argc, char **argv)
{
	struct config c;
	int status = STATUS_USAGE;

	if (ctl_load(&c, argc, argv))
		status = check(&c);
	config_fini(&c);
	return status;
}
