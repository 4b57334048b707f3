/*
 * One row per kind says how it is made; the rest is the same for all.
 */
#include "devices.h"

#include <belfry/blk.h>
#include <belfry/log.h>
#include <belfry/net.h>
#include <belfry/its.h>
#include <belfry/tap.h>
#include <belfry/vcon.h>
#include <belfry/vfio_pci.h>
#include <belfry/vrng.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct device {
	const struct config_device *at; /* borrowed: kind, index, place, name */
	/* Borrowed from the part below; NULL: it is a physical one. */
	struct virtio *virtio;
	struct tap tap;
	union {
		struct blk *blk;
		struct net *net;
		struct vcon *vcon;
		struct vrng *vrng;
		struct vfio_pci *vfio;
	};
};

struct devices {
	struct pci_host *host;
	/* Of a reset under way: who has not answered, and who waits. */
	u32 resetting;
	void (*reset_done)(void *ctx);
	void *reset_ctx;
	struct lent *lent; /* borrowed */

	u32 nr;
	struct device device[];
};

/* --- drives --- */

static int make_drive(struct device *d, const struct devices_setup *s,
		      struct err *e)
{
	const struct config_drive *c = &s->plan->cfg->drives[d->at->index];
	struct blk_setup setup = {
		.name = d->at->name,
		.disk = &s->plan->disks[d->at->index],
		.queues = c->queues,
		.serial = c->serial,
		.discard = c->discard,
		.caps = s->caps,
	};

	d->blk = blk_create(&setup, e);
	if (!d->blk)
		return e->code;
	d->virtio = blk_virtio(d->blk);
	return 0;
}

static void drop_drive(struct device *d)
{
	blk_destroy(d->blk);
}

/* --- networks --- */

static int open_tap(struct device *d, const struct config_net *c, struct err *e)
{
	int err = c->fds_nr ? tap_adopt(&d->tap, c->fds, c->fds_nr, e)
			    : tap_open(&d->tap, c->tap, c->queues, e);

	return err ? err_prefix(e, "%s", c->place) : 0;
}

static int make_net(struct device *d, const struct devices_setup *s,
		    struct err *e)
{
	const struct config_net *c = &s->plan->cfg->nets[d->at->index];
	struct net_setup setup = {
		.name = d->at->name,
		.tap = &d->tap,
		.offload = c->offload,
		.caps = s->caps,
	};

	if (open_tap(d, c, e))
		return e->code;
	memcpy(setup.mac, c->mac, sizeof(setup.mac));
	setup.mtu = (u16)(c->mtu ? c->mtu : d->tap.mtu);
	d->net = net_create(&setup, e);
	if (!d->net)
		return e->code;
	d->virtio = net_virtio(d->net);
	return 0;
}

static void drop_net(struct device *d)
{
	net_destroy(d->net);
	tap_close(&d->tap);
}

/* --- console and entropy --- */

static int make_hvc(struct device *d, const struct devices_setup *s,
		    struct err *e)
{
	struct vcon_setup setup = {
		.name = d->at->name,
		.wire = s->hvc,
		.caps = s->caps,
	};

	d->vcon = vcon_create(&setup, e);
	if (!d->vcon)
		return e->code;
	d->virtio = vcon_virtio(d->vcon);
	return 0;
}

static void drop_hvc(struct device *d)
{
	vcon_destroy(d->vcon);
}

static int make_rng(struct device *d, const struct devices_setup *s,
		    struct err *e)
{
	d->vrng = vrng_create(d->at->name, &s->caps, e);
	if (!d->vrng)
		return e->code;
	d->virtio = vrng_virtio(d->vrng);
	return 0;
}

static void drop_rng(struct device *d)
{
	vrng_destroy(d->vrng);
}

/* --- passed-through devices --- */

/* Without an SMMU of the guest's in front nothing is between its address and
 * the ITS. */
static enum doorbell_mode wanted_mode(const struct config_vfio *c, bool smmu)
{
	if (!smmu)
		return DOORBELL_MODE_HOST;
	return c->doorbell == DOORBELL_RMR ? DOORBELL_MODE_RMR
					   : DOORBELL_MODE_DIRECT;
}

static int make_vfio(struct device *d, const struct devices_setup *s,
		     struct err *e)
{
	const struct config_vfio *c = &s->plan->cfg->vfios[d->at->index];
	struct plan_vfio *p = &s->plan->vfios[d->at->index];
	struct vfio_pci_setup setup = {
		.name = d->at->name,
		.dev = lent_vfio(s->lent, d->at->index),
		.loop = s->caps.loop,
		.windows = s->windows,
		.msi = s->caps.msi,
		.translater = s->plan->map.its + ITS_TRANSLATER,
		.mode = wanted_mode(c, p->smmu != PLAN_NO_SMMU),
		.strict = c->doorbell == DOORBELL_DIRECT,
	};
	struct irq_pin pin;

	if (p->intid) {
		if (s->pins.open(s->pins.ctx, p->intid, &pin, e))
			return err_prefix(e, "%s", c->place);
		setup.pin = &pin;
	}
	d->vfio = vfio_pci_create(&setup, e);
	if (!d->vfio)
		return err_prefix(e, "%s", c->place);
	p->rmr = vfio_pci_doorbell(d->vfio) == DOORBELL_MODE_RMR;
	return 0;
}

static void drop_vfio(struct device *d)
{
	vfio_pci_destroy(d->vfio);
}

/* --- all of them --- */

static const struct {
	int (*make)(struct device *d, const struct devices_setup *s,
		    struct err *e);
	void (*drop)(struct device *d);
} kinds[] = {
	[CONFIG_HVC] = { make_hvc, drop_hvc },
	[CONFIG_RNG] = { make_rng, drop_rng },
	[CONFIG_DRIVE] = { make_drive, drop_drive },
	[CONFIG_NET] = { make_net, drop_net },
	[CONFIG_VFIO] = { make_vfio, drop_vfio },
};

static struct pci_function *function_of(struct device *d)
{
	return d->virtio ? virtio_function(d->virtio)
			 : vfio_pci_function(d->vfio);
}

static int add(struct devices *all, struct device *d,
	       const struct devices_setup *s, struct err *e)
{
	struct devices_setup own = *s;
	int err;

	if (s->smmus && d->at->kind != CONFIG_VFIO)
		smmus_front(s->smmus, d->at->bdf, &own.caps.dma, &own.caps.msi);
	err = kinds[d->at->kind].make(d, &own, e);
	/* The windows are for what sysfs says; VFIO may say more. */
	if (!err)
		err = pci_host_has_room(all->host, function_of(d), e);
	return err ? err
		   : pci_host_add(all->host, function_of(d), d->at->bdf, e);
}

struct devices *devices_create(const struct devices_setup *s, struct err *e)
{
	const struct config *c = s->plan->cfg;
	struct devices *all =
		calloc(1,
		       sizeof(*all) + c->devices_nr * sizeof(all->device[0]));

	if (!all) {
		err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	all->lent = s->lent;
	all->host = pci_host_create(&s->plan->map.pci, s->bus, e);
	if (!all->host)
		goto out;
	while (all->nr < c->devices_nr) {
		struct device *d = &all->device[all->nr];

		d->at = &c->devices[all->nr++];
		if (add(all, d, s, e))
			goto out;
	}
	return all;
out:
	devices_destroy(all);
	return NULL;
}

void devices_destroy(struct devices *all)
{
	if (!all)
		return;
	for (u32 i = 0; i < all->nr; i++)
		kinds[all->device[i].at->kind].drop(&all->device[i]);
	pci_host_destroy(all->host);
	free(all);
}

bool devices_hvc(struct devices *all, struct chars_port *port)
{
	for (u32 i = 0; i < all->nr; i++) {
		if (all->device[i].at->kind != CONFIG_HVC)
			continue;
		*port = vcon_port(all->device[i].vcon);
		return true;
	}
	return false;
}

static void one_reset(void *ctx)
{
	struct devices *all = ctx;

	if (--all->resetting)
		return;
	pci_host_reset(all->host);
	all->reset_done(all->reset_ctx);
}

static void reset_device(struct devices *all, struct device *d)
{
	if (d->virtio) {
		virtio_reset(d->virtio, one_reset, all);
		return;
	}
	vfio_pci_reset(d->vfio);
	one_reset(all);
}

/* The count begins one too high, so that it does not reach 0 before all have
 * been asked. */
void devices_reset(struct devices *all, void (*done)(void *ctx), void *ctx)
{
	all->reset_done = done;
	all->reset_ctx = ctx;
	all->resetting = all->nr + 1;
	for (u32 i = 0; i < all->nr; i++)
		reset_device(all, &all->device[i]);
	one_reset(all);
}

static u64 faults_of(const struct device *d)
{
	return d->virtio ? virtio_faults(d->virtio)
			 : vfio_pci_status(d->vfio).faults;
}

u64 devices_faults(const struct devices *all)
{
	u64 sum = pci_host_faults(all->host);

	for (u32 i = 0; i < all->nr; i++)
		sum += faults_of(&all->device[i]);
	return sum;
}

struct machine_losses devices_losses(const struct devices *all)
{
	struct machine_losses l = { .drive_errors = { 0 } };

	for (u32 i = 0; i < all->nr; i++) {
		const struct device *d = &all->device[i];

		if (d->at->kind == CONFIG_DRIVE)
			l.drive_errors[d->at->index] = blk_errors(d->blk);
		else if (d->at->kind == CONFIG_NET)
			l.net_dropped[d->at->index] = net_dropped(d->net);
	}
	return l;
}

static void log_losses(const char *what, const u64 *lost, u32 nr,
		       const char *of)
{
	for (u32 i = 0; i < nr; i++)
		if (lost[i])
			log_info("%s[%u]: %llu %s", what, i,
				 (unsigned long long)lost[i], of);
}

void devices_log_losses(const struct devices *all)
{
	struct machine_losses l = devices_losses(all);

	log_losses("drive", l.drive_errors, ARRAY_SIZE(l.drive_errors),
		   "requests failed by the host");
	log_losses("net", l.net_dropped, ARRAY_SIZE(l.net_dropped),
		   "frames dropped");
}

/* --- passed-through devices' state --- */

static struct vfio_pci *find_vfio(const struct devices *all, u32 index)
{
	for (u32 i = 0; i < all->nr; i++) {
		const struct device *d = &all->device[i];

		if (d->at->kind == CONFIG_VFIO && d->at->index == index)
			return d->vfio;
	}
	return NULL;
}

struct machine_vfio devices_vfio(const struct devices *all, u32 i)
{
	struct vfio_pci *d = find_vfio(all, i);
	struct vfio_pci_status s = vfio_pci_status(d);
	struct machine_vfio out = {
		.doorbell = doorbell_mode_name(s.mode),
		.vectors = s.vectors,
		.rewrites = s.rewrites,
		.verified = s.verified,
		.strays = s.strays,
		.lost = lent_lost(all->lent, i),
		.resets = s.resets,
		.errors = s.errors,
		.vector = calloc(s.vectors, sizeof(*out.vector)),
	};

	for (u32 v = 0; out.vector && v < s.vectors; v++) {
		struct vfio_pci_vector is = vfio_pci_vector(d, v);

		if (is.kernel)
			out.vector[out.vector_nr++] =
				(struct machine_vector) { v, is.guest,
							  is.kernel, is.is };
	}
	return out;
}

static void log_vfio(const char *name, const struct machine_vfio *d)
{
	log_info(
		"%s: doorbell %s, %u vectors, addresses written %llu times (%llu read back), %llu messages lost, %llu resets, %llu errors",
		name, d->doorbell, d->vectors, (unsigned long long)d->rewrites,
		(unsigned long long)d->verified, (unsigned long long)d->lost,
		(unsigned long long)d->resets, (unsigned long long)d->errors);
	for (u32 i = 0; i < d->vector_nr; i++)
		log_info(
			"%s: vector %u: guest 0x%llx, device 0x%llx, host 0x%llx",
			name, d->vector[i].vector,
			(unsigned long long)d->vector[i].guest,
			(unsigned long long)d->vector[i].is,
			(unsigned long long)d->vector[i].kernel);
}

void devices_log_vfio(const struct devices *all)
{
	for (u32 i = 0; i < all->nr; i++) {
		struct machine_vfio d;

		if (all->device[i].at->kind != CONFIG_VFIO)
			continue;
		d = devices_vfio(all, all->device[i].at->index);
		log_vfio(all->device[i].at->name, &d);
		free(d.vector);
	}
}
