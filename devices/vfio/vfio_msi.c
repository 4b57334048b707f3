/*
 * MSI, for functions that have no MSI-X. Its message is in configuration space,
 * where only the kernel writes it: so it is the kernel's, whatever the guest
 * says, and where an SMMU of the guest's translates the guest must map the
 * kernel's address to itself. What the guest wrote is where lines are aimed.
 *
 * PCI Local Bus 3.0, 6.8.1.
 */
#include "vfio_priv.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

/* Message Control. */
#define CONTROL_ENABLE  BIT(0)
#define CONTROL_CAPABLE GENMASK(3, 1)
#define CONTROL_ENABLED GENMASK(6, 4)
#define CONTROL_64BIT   BIT(7)
#define CONTROL_MASKS   BIT(8)

#define CONTROL         2
#define ADDRESS         4

static u64 control_of(const u8 *cap)
{
	return field_get(cap + CONTROL, 2);
}

/* Where its parts are depends upon whether addresses have 64 bits. */
static u32 data_at(const u8 *cap)
{
	return control_of(cap) & CONTROL_64BIT ? 12 : 8;
}

static u32 mask_at(const u8 *cap)
{
	return data_at(cap) + 4;
}

static u32 pending_at(const u8 *cap)
{
	return mask_at(cap) + 4;
}

u32 vfio_msi_length(const u8 *cap)
{
	return control_of(cap) & CONTROL_MASKS ? pending_at(cap) + 4
					       : data_at(cap) + 2;
}

void vfio_msi_show(u8 *cap, u8 *writable)
{
	u64 kept = CONTROL_CAPABLE | CONTROL_64BIT | CONTROL_MASKS;
	u32 nr;

	/* 6 and 7 are reserved. */
	if (FIELD_GET(CONTROL_CAPABLE, control_of(cap)) > 5)
		kept &= ~CONTROL_CAPABLE;
	field_put(cap + CONTROL, 2, control_of(cap) & kept);
	memset(cap + ADDRESS, 0, vfio_msi_length(cap) - ADDRESS);
	nr = vfio_msi_vectors(cap);
	field_put(writable + CONTROL, 2, CONTROL_ENABLE | CONTROL_ENABLED);
	field_put(writable + ADDRESS, 4, ~3u);
	if (control_of(cap) & CONTROL_64BIT)
		field_put(writable + ADDRESS + 4, 4, ~0u);
	field_put(writable + data_at(cap), 2, 0xffff);
	if (control_of(cap) & CONTROL_MASKS)
		field_put(writable + mask_at(cap), 4, GENMASK(nr - 1, 0));
}

u32 vfio_msi_vectors(const u8 *cap)
{
	return 1u << FIELD_GET(CONTROL_CAPABLE, control_of(cap));
}

/* --- what the guest wants --- */

static bool masked(const u8 *cap, u32 v)
{
	return control_of(cap) & CONTROL_MASKS &&
	       field_get(cap + mask_at(cap), 4) & BIT(v);
}

static void rest(struct vfio_msi *m, u32 v)
{
	if (m->aimed[v])
		m->sink.rest(m->sink.ctx, &m->line[v]);
	m->aimed[v] = false;
}

/* A vector's data is the guest's with its number in the low bits. A line that
 * is aimed well is left alone: to aim costs the host much. */
static void aim(struct vfio_msi *m, const u8 *cap, u32 v)
{
	u32 data = (u32)field_get(cap + data_at(cap), 2) & ~(m->nr - 1);

	data |= v;
	if (m->aimed[v] && m->data[v] == data)
		return;
	m->data[v] = data;
	m->aimed[v] = !m->sink.aim(m->sink.ctx, &m->line[v], m->f->devfn,
				   m->translater, data);
	if (!m->aimed[v])
		guest_fault(&m->refused,
			    "vector %u: the host refuses its route", v);
}

void vfio_msi_off(struct vfio_msi *m)
{
	struct err e;

	if (m->nr && vfio_irq_disable(m->dev, VFIO_MSI, &e))
		guest_fault(&m->refused, "%s", e.msg);
	for (u32 v = 0; v < m->nr; v++)
		rest(m, v);
	m->nr = 0;
}

static void switch_on(struct vfio_msi *m, u32 nr)
{
	int fds[VFIO_MSI_MAX];
	struct err e;

	for (u32 v = 0; v < nr; v++)
		fds[v] = m->line[v].fd;
	if (vfio_irq_trigger(m->dev, VFIO_MSI, 0, fds, nr, &e)) {
		guest_fault(&m->refused, "%s", e.msg);
		return;
	}
	m->nr = nr;
}

bool vfio_msi_wanted(const struct vfio_msi *m)
{
	return m->dev && control_of(m->f->config + m->cap) & CONTROL_ENABLE;
}

void vfio_msi_follow(struct vfio_msi *m)
{
	const u8 *cap = m->f->config + m->cap;
	u32 nr = 1u << FIELD_GET(CONTROL_ENABLED, control_of(cap));

	nr = vfio_msi_wanted(m) ? MIN(nr, m->max) : 0;
	if (m->nr != nr) {
		vfio_msi_off(m);
		if (nr)
			switch_on(m, nr);
	}
	for (u32 v = 0; v < m->nr; v++) {
		if (masked(cap, v))
			rest(m, v);
		else
			aim(m, cap, v);
	}
}

/* What came while it was masked is in the lines. */
void vfio_msi_show_pending(struct vfio_msi *m)
{
	u8 *cap = m->f->config + m->cap;
	u64 bits = 0;

	if (!(control_of(cap) & CONTROL_MASKS))
		return;
	for (u32 v = 0; v < m->nr; v++) {
		struct pollfd p = { .fd = m->line[v].fd, .events = POLLIN };

		if (!m->aimed[v] && poll(&p, 1, 0) == 1)
			bits |= BIT(v);
	}
	field_put(cap + pending_at(cap), 4, bits);
}

/* --- making it --- */

int vfio_msi_init(struct vfio_msi *m, const struct vfio_pci_setup *s,
		  struct pci_function *f, u32 cap, struct err *e)
{
	struct vfio_irq have;
	int err = vfio_get_irq(s->dev, VFIO_MSI, &have, e);

	if (err)
		return err;
	if (!have.count)
		return err_set(
			e, -ENOTSUP,
			"device %s: the host's VFIO offers none of its MSI vectors",
			s->dev->name);
	if (s->strict && s->mode == DOORBELL_MODE_DIRECT)
		return err_set(
			e, -ENOTSUP,
			"doorbell \"direct\" cannot be had for device %s: it has MSI without MSI-X, and its address is written by the host's kernel alone; \"auto\" takes what can",
			s->dev->name);
	m->dev = s->dev;
	m->sink = s->msi;
	m->translater = s->translater;
	m->f = f;
	m->cap = cap;
	m->mode = s->mode == DOORBELL_MODE_HOST ? s->mode : DOORBELL_MODE_RMR;
	m->refused.who = s->name;
	m->max = MIN(vfio_msi_vectors(f->config + cap),
		     MIN(have.count, VFIO_MSI_MAX));
	for (u32 v = 0; v < m->max; v++)
		m->line[v].fd = -1;
	for (u32 v = 0; !err && v < m->max; v++)
		err = m->sink.open(m->sink.ctx, &m->line[v], e);
	return err;
}

void vfio_msi_fini(struct vfio_msi *m)
{
	if (!m->dev)
		return;
	vfio_msi_off(m);
	for (u32 v = 0; v < m->max; v++)
		m->sink.close(m->sink.ctx, &m->line[v]);
}
