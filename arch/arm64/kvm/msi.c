/*
 * Messages and doorbells in the kernel: lines are irqfds, each a GSI with a
 * route that names the message, or the SPI whose end it tells; doorbells are
 * ioeventfds. GSIs are few, and guests use few of a device's vectors, so a line
 * has one from when it is first aimed.
 *
 * KVM takes the routes of all lines at once and waits for its readers each
 * time, so a route is only set when it changes. Between being opened and aimed
 * a line has neither route nor irqfd, and none while its route changes: a GICv4
 * host looks for the interrupt's mapping, and finds it, only when the irqfd is
 * assigned.
 */
#include "vm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SPI_FIRST 32 /* IHI 0069, 2.2 */

/* What the guest calls @addr, if it is the doorbell of an ITS of ours, is the
 * hidden one's. */
static u64 doorbell(const struct kvm *k, u64 addr)
{
	return k->setup.stop && addr == k->setup.translater
		       ? k->setup.its + ITS_TRANSLATER
		       : addr;
}

static bool msi_send(void *ctx, u32 devid, u64 addr, u32 data)
{
	struct kvm *k = ctx;
	u64 at = doorbell(k, addr);
	struct kvm_msi m = {
		.address_lo = (u32)at,
		.address_hi = (u32)(at >> 32),
		.data = data,
		.flags = KVM_MSI_VALID_DEVID,
		.devid = devid,
	};

	return ioctl(k->vm_fd, KVM_SIGNAL_MSI, &m) > 0;
}

/* Room for one more line, and for its route in what KVM is told. */
static bool grow(struct kvm *k)
{
	struct msi_table *t = &k->msi;
	size_t nr = t->nr + 1;
	struct msi_route *routes;
	struct kvm_irq_routing *told;

	routes = reallocarray(t->routes, nr, sizeof(*routes));
	if (!routes)
		return false;
	t->routes = routes;
	told = realloc(t->told, sizeof(*told) + nr * sizeof(told->entries[0]));
	if (!told)
		return false;
	t->told = told;
	return true;
}

static int line_open(void *ctx, struct msi_line *l, struct err *e)
{
	struct kvm *k = ctx;
	struct msi_table *t = &k->msi;
	int fd;

	l->fd = -1;
	if (!grow(k))
		return err_set(e, -ENOMEM, "out of memory");
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return err_set(
			e, -errno,
			"eventfd: %s: raise `ulimit -n`, or give the devices fewer queues",
			strerror(errno));
	t->routes[t->nr] = (struct msi_route) { .fd = fd };
	*l = (struct msi_line) { .fd = fd, .id = t->nr++ };
	return 0;
}

static int irqfd(struct kvm *k, u32 id, u32 flags, int ended)
{
	struct kvm_irqfd q = {
		.fd = (u32)k->msi.routes[id].fd,
		.gsi = k->msi.routes[id].gsi,
		.flags = flags,
		.resamplefd = (u32)ended,
	};

	return ioctl(k->vm_fd, KVM_IRQFD, &q) < 0 ? -errno : 0;
}

/* What its eventfd counts stays there until it is assigned again. */
static void deassign(struct kvm *k, u32 id)
{
	struct msi_route *r = &k->msi.routes[id];

	/* Can fail only for what is not assigned. */
	if (r->assigned)
		(void)irqfd(k, id, KVM_IRQFD_FLAG_DEASSIGN, 0);
	r->assigned = false;
}

static void line_close(void *ctx, struct msi_line *l)
{
	struct kvm *k = ctx;
	struct msi_route *r;

	if (l->fd < 0)
		return;
	r = &k->msi.routes[l->id];
	deassign(k, l->id);
	close(r->fd);
	*r = (struct msi_route) { .fd = -1 };
	l->fd = -1;
}

static struct kvm_irq_routing_entry route_entry(const struct msi_route *r)
{
	if (r->intid)
		return (struct kvm_irq_routing_entry) {
			.gsi = r->gsi,
			.type = KVM_IRQ_ROUTING_IRQCHIP,
			.u.irqchip.pin = r->intid - SPI_FIRST,
		};
	return (struct kvm_irq_routing_entry) {
		.gsi = r->gsi,
		.type = KVM_IRQ_ROUTING_MSI,
		.flags = KVM_MSI_VALID_DEVID,
		.u.msi = { .address_lo = (u32)r->addr,
			   .address_hi = (u32)(r->addr >> 32),
			   .data = r->data,
			   .devid = r->devid },
	};
}

static int tell_routes(struct kvm *k)
{
	struct msi_table *t = &k->msi;

	t->told->nr = 0;
	t->told->flags = 0;
	for (u32 i = 0; i < t->nr; i++)
		if (t->routes[i].aimed)
			t->told->entries[t->told->nr++] =
				route_entry(&t->routes[i]);
	return ioctl(k->vm_fd, KVM_SET_GSI_ROUTING, t->told) < 0 ? -errno : 0;
}

/* Does the kernel know the line's route as @to? */
static bool routed(const struct msi_route *r, const struct msi_route *to)
{
	return r->aimed && r->devid == to->devid && r->addr == to->addr &&
	       r->data == to->data;
}

static int number(struct msi_table *t, struct msi_route *r)
{
	if (r->numbered)
		return 0;
	if (t->gsis == MSI_GSIS_MAX)
		return -ENOSPC;
	r->gsi = t->gsis++;
	r->numbered = true;
	return 0;
}

static int route(struct kvm *k, u32 id, const struct msi_route *to)
{
	struct msi_route *r = &k->msi.routes[id], old;
	int err;

	if (routed(r, to))
		return 0;
	err = number(&k->msi, r);
	if (err)
		return err;
	deassign(k, id);
	old = *r;
	r->devid = to->devid;
	r->addr = to->addr;
	r->data = to->data;
	r->aimed = true;
	err = tell_routes(k);
	if (err)
		*r = old;
	return err;
}

static int aim_locked(struct kvm *k, u32 id, const struct msi_route *to)
{
	struct msi_route *r = &k->msi.routes[id];
	int err = route(k, id, to);

	if (err || r->assigned)
		return err;
	err = irqfd(k, id, 0, 0);
	r->assigned = !err;
	return err;
}

static int line_aim(void *ctx, struct msi_line *l, u32 devid, u64 addr,
		    u32 data)
{
	struct kvm *k = ctx;
	struct msi_route to = {
		.devid = devid,
		.addr = doorbell(k, addr),
		.data = data,
	};
	int err;

	lock_take(&k->msi.lock);
	err = aim_locked(k, l->id, &to);
	lock_drop(&k->msi.lock);
	return err;
}

static void line_rest(void *ctx, struct msi_line *l)
{
	struct kvm *k = ctx;

	lock_take(&k->msi.lock);
	deassign(k, l->id);
	lock_drop(&k->msi.lock);
}

struct msi_sink kvm_msi_sink(struct kvm *k)
{
	return (struct msi_sink) {
		.send = msi_send,
		.open = line_open,
		.close = line_close,
		.aim = line_aim,
		.rest = line_rest,
		.ctx = k,
	};
}

/*
 * An irqfd that resamples tells of the end whoever raised the SPI. It is never
 * signalled itself: VFIO would do so in its interrupt handler, and KVM (Linux
 * 7.3) then sends to the CPUs of all vCPUs, which may deadlock from there.
 */
int kvm_irq_ended(struct kvm *k, u32 intid, int ended, struct err *e)
{
	struct msi_table *t = &k->msi;
	struct msi_line l;
	int err = line_open(k, &l, e);

	if (err)
		return err;
	t->routes[l.id].intid = intid;
	t->routes[l.id].aimed = true;
	err = number(t, &t->routes[l.id]);
	if (!err)
		err = tell_routes(k);
	if (err)
		return err_set(e, err, "KVM_SET_GSI_ROUTING: %s",
			       strerror(-err));
	err = irqfd(k, l.id, KVM_IRQFD_FLAG_RESAMPLE, ended);
	return err ? err_set(e, err, "KVM_IRQFD: %s", strerror(-err)) : 0;
}

void msi_destroy(struct kvm *k)
{
	for (u32 i = 0; i < k->msi.nr; i++)
		if (k->msi.routes[i].fd >= 0)
			close(k->msi.routes[i].fd);
	free(k->msi.routes);
	free(k->msi.told);
}

/* Of any length: KVM then looks at nothing but the address. */
static int ioeventfd(struct kvm *k, gpa_t at, int fd, u32 flags)
{
	struct kvm_ioeventfd q = { .addr = at, .fd = fd, .flags = flags };

	return ioctl(k->vm_fd, KVM_IOEVENTFD, &q) < 0 ? -errno : 0;
}

static int doorbell_attach(void *ctx, gpa_t at, int fd)
{
	return ioeventfd(ctx, at, fd, 0);
}

static void doorbell_detach(void *ctx, gpa_t at, int fd)
{
	/* Can fail only for what was never attached. */
	(void)ioeventfd(ctx, at, fd, KVM_IOEVENTFD_FLAG_DEASSIGN);
}

struct doorbells kvm_doorbells(struct kvm *k)
{
	return (struct doorbells) {
		.attach = doorbell_attach,
		.detach = doorbell_detach,
		.ctx = k,
	};
}
