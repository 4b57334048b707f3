#include "irqchip.h"

#include <belfry/its.h>

#include <errno.h>
#include <stdlib.h>

/* LPIs' INTIDs have 16 bits, as KVM's redistributors have it. */
#define LPI_BITS 16

struct irqchip {
	const struct config *cfg;
	const struct memmap *map;
	struct kvm *kvm;
	struct vcpus *vcpus;
	struct its *its;        /* split: ours */
	struct loop_event more; /* it has commands left */
};

struct irqchip *irqchip_create(const struct config *cfg,
			       const struct memmap *map)
{
	struct irqchip *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->cfg = cfg;
	c->map = map;
	c->more.fd = -1;
	return c;
}

void irqchip_destroy(struct irqchip *c)
{
	if (!c)
		return;
	its_destroy(c->its);
	loop_event_fini(&c->more);
	free(c);
}

/* The kernel touches an ITS' registers only while no vCPU runs. Before there
 * are threads, none does. */
static void stop_vcpus(void *ctx, bool stop)
{
	struct irqchip *c = ctx;

	if (c->vcpus)
		vcpus_exclude(c->vcpus, stop);
}

void irqchip_setup(struct irqchip *c, struct kvm_setup *s)
{
	s->its = c->map->its;
	if (c->cfg->irqchip != IRQCHIP_SPLIT)
		return;
	s->its = c->map->hidden_its;
	s->stop = stop_vcpus;
	s->stop_ctx = c;
	s->translater = c->map->its + ITS_TRANSLATER;
}

/* Under the ITS' lock. */
static void more(void *ctx)
{
	struct irqchip *c = ctx;

	loop_event_fire(&c->more);
}

static void run_commands(void *ctx)
{
	struct irqchip *c = ctx;

	if (its_run(c->its))
		loop_event_fire(&c->more);
}

static int start_its(struct irqchip *c, struct gmem *mem, struct mmio_bus *bus,
		     struct its_sink sink, struct err *e)
{
	struct its_setup s = {
		.cpus = c->cfg->cpus,
		.lpi_bits = LPI_BITS,
		.dma = dma_plain(mem),
		.sink = sink,
		.more = more,
		.ctx = c,
	};
	struct mmio_region r = { "ITS", c->map->its, ITS_SIZE, &its_mmio,
				 NULL };

	c->its = its_create(&s, e);
	if (!c->its)
		return e->code;
	r.dev = c->its;
	return mmio_bus_add(bus, &r, e);
}

int irqchip_start(struct irqchip *c, struct kvm *k, struct gmem *mem,
		  struct mmio_bus *bus, struct loop *l, struct err *e)
{
	void *host;

	c->kvm = k;
	if (c->cfg->irqchip != IRQCHIP_SPLIT)
		return 0;
	host = gmem_slice(mem, c->map->hidden_its, KVM_HIDDEN_ITS_SIZE);
	if (!host)
		return err_set(e, -EFAULT, "irqchip: outside of memory");
	if (loop_event_init(&c->more, l, run_commands, c, e))
		return e->code;
	return start_its(c, mem, bus, kvm_its_sink(k, host), e);
}

void irqchip_run(struct irqchip *c, struct vcpus *v)
{
	c->vcpus = v;
}

void irqchip_reset(struct irqchip *c)
{
	if (c->its)
		its_reset(c->its);
}

struct irq_line irqchip_line(struct irqchip *c, u32 intid)
{
	return kvm_irq_line(c->kvm, intid);
}

struct msi_sink irqchip_msi(struct irqchip *c)
{
	return kvm_msi_sink(c->kvm);
}
