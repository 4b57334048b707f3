/*
 * A function's pin, INTx. VFIO masks it when it comes and signals; that raises
 * a line of the guest's interrupt controller, and when the guest has ended the
 * interrupt VFIO is signalled to unmask. None of it comes this way.
 *
 * VFIO has one kind of interrupts on at a time, so the pin is for while there
 * are neither MSI-X nor MSI.
 */
#include "vfio_priv.h"

int vfio_pin_init(struct vfio_pin *p, const struct vfio_pci_setup *s,
		  struct err *e)
{
	struct vfio_irq have;
	int err = s->pin ? vfio_get_irq(s->dev, VFIO_INTX, &have, e) : 0;

	if (err || !s->pin || !have.count)
		return err;
	p->dev = s->dev;
	p->irq = *s->pin;
	p->refused.who = s->name;
	return 0;
}

static void switch_off(struct vfio_pin *p)
{
	struct err e;

	if (vfio_irq_disable(p->dev, VFIO_INTX, &e))
		guest_fault(&p->refused, "%s", e.msg);
}

void vfio_pin_on(struct vfio_pin *p)
{
	struct err e;

	p->on = !vfio_irq_trigger(p->dev, VFIO_INTX, 0, &p->irq.raise, 1, &e);
	if (p->on && vfio_intx_unmask_by(p->dev, p->irq.ended, &e)) {
		switch_off(p);
		p->on = false;
	}
	if (!p->on)
		guest_fault(&p->refused, "%s", e.msg);
}

/* What it had raised is no longer. */
void vfio_pin_off(struct vfio_pin *p)
{
	if (!p->on)
		return;
	switch_off(p);
	p->on = false;
	p->irq.drop(p->irq.ctx, p->irq.intid);
}
