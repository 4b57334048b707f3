/*
 * What is in memory when a guest begins: at the first boot, and again at every
 * reset, from files that stay open.
 */
#include "parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Fresh seeds for every boot: a guest that resets gets a new layout. */
static int load_devtree(struct machine *m, struct err *e)
{
	struct devtree d;
	int len;

	if (!m->fdt)
		m->fdt = malloc(m->plan->fdt_size);
	if (!m->fdt)
		return err_set(e, -ENOMEM, "out of memory");
	plan_devtree(m->plan, &d);
	if (getrandom(&d.kaslr_seed, sizeof(d.kaslr_seed), 0) !=
		    sizeof(d.kaslr_seed) ||
	    getrandom(d.rng_seed, sizeof(d.rng_seed), 0) != sizeof(d.rng_seed))
		return err_set(e, -EIO, "getrandom: %s", strerror(errno));
	len = devtree_write(&d, m->fdt, m->plan->fdt_size, e);
	if (len < 0)
		return len;
	if (gmem_write(&m->mem, m->plan->layout.fdt, m->fdt, (u64)len))
		return err_set(e, -EFAULT, "device tree: outside of memory");
	return 0;
}

int machine_load(struct machine *m, struct err *e)
{
	const struct image_layout *l = &m->plan->layout;
	int err = image_load(&m->plan->image, &m->mem, l->kernel,
			     l->kernel_end - l->kernel, e);

	if (err)
		return err_prefix(e, "%s", m->cfg->kernel_place);
	if (m->cfg->initrd) {
		err = initrd_load(&m->plan->initrd, &m->mem, l->initrd, e);
		if (err)
			return err_prefix(e, "%s", m->cfg->initrd_place);
	}
	err = load_devtree(m, e);
	return err ? err : kvm_enter(m->kvm, l->kernel, l->fdt, e);
}
