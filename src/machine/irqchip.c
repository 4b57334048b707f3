#include "irqchip.h"

#include "levels.h"
#include "user_msi.h"

#include <belfry/gic.h>
#include <belfry/its.h>

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* LPIs' INTIDs have 16 bits, as KVM's redistributors have it. */
#define LPI_BITS 16

struct irqchip {
	const struct config *cfg;
	const struct memmap *map;
	struct gmem *mem;
	struct kvm *kvm;
	struct vcpus *vcpus;
	struct its *its;        /* split, user: ours */
	struct loop_event more; /* it has commands left */
	/* user */
	struct kvm_gic kvm_gic;
	struct gic *gic;
	struct user_msi *msi;
	/* all */
	struct levels *levels;
};

struct irqchip *irqchip_create(const struct config *cfg,
			       const struct memmap *map, struct gmem *mem)
{
	struct irqchip *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->cfg = cfg;
	c->map = map;
	c->mem = mem;
	c->more.fd = -1;
	return c;
}

void irqchip_destroy(struct irqchip *c)
{
	if (!c)
		return;
	user_msi_destroy(c->msi);
	levels_destroy(c->levels);
	its_destroy(c->its);
	gic_destroy(c->gic);
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

/* --- a vCPU and a GIC of ours --- */

static void wire(void *ctx, u32 cpu, u32 intid, bool level)
{
	struct irqchip *c = ctx;

	gic_ppi_set(c->gic, cpu, intid, level);
}

static void kick(void *ctx, u32 cpu)
{
	struct irqchip *c = ctx;

	if (c->vcpus)
		vcpus_kick(c->vcpus, cpu);
}

static void output(void *ctx, u32 cpu, u32 out)
{
	struct irqchip *c = ctx;

	static_assert(GIC_OUT_IRQ == KVM_LINE_IRQ &&
			      GIC_OUT_FIQ == KVM_LINE_FIQ &&
			      GIC_OUT_WAKE == KVM_LINE_WAKE,
		      "they are the same lines");
	kvm_vcpu_lines(c->kvm, cpu, out);
}

static bool ended(void *ctx, u32 intid)
{
	struct irqchip *c = ctx;

	return levels_ended(c->levels, intid);
}

bool irqchip_sysreg(void *irqchip, u32 cpu, u32 reg, bool write, u64 *val)
{
	struct irqchip *c = irqchip;

	return write ? gic_sysreg_write(c->gic, cpu, reg, *val)
		     : gic_sysreg_read(c->gic, cpu, reg, val);
}

/* --- making it --- */

void irqchip_setup(struct irqchip *c, struct kvm_setup *s)
{
	s->its = c->map->its;
	switch (c->cfg->irqchip) {
	case IRQCHIP_KERNEL:
		break;
	case IRQCHIP_SPLIT:
		s->its = c->map->hidden_its;
		s->stop = stop_vcpus;
		s->stop_ctx = c;
		s->translater = c->map->its + ITS_TRANSLATER;
		break;
	case IRQCHIP_USER:
		c->kvm_gic = (struct kvm_gic) {
			.dma = dma_plain(c->mem),
			.wire = wire,
			.vtimer_intid = INTID_TIMER_VIRT,
			.ptimer_intid = INTID_TIMER_PHYS,
			.kick = kick,
			.ctx = c,
		};
		s->gic = &c->kvm_gic;
		break;
	}
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

static int start_its(struct irqchip *c, struct mmio_bus *bus, struct loop *l,
		     struct its_sink sink, struct err *e)
{
	struct its_setup s = {
		.cpus = c->cfg->cpus,
		.lpi_bits = LPI_BITS,
		.dma = dma_plain(c->mem),
		.sink = sink,
		.more = more,
		.ctx = c,
	};
	struct mmio_region r = { "ITS", c->map->its, ITS_SIZE, &its_mmio,
				 NULL };

	if (loop_event_init(&c->more, l, run_commands, c, e))
		return e->code;
	c->its = its_create(&s, e);
	if (!c->its)
		return e->code;
	r.dev = c->its;
	return mmio_bus_add(bus, &r, e);
}

static int make_gic(struct irqchip *c, struct err *e)
{
	u32 affinity[GIC_CPUS_MAX];
	struct gic_setup s = {
		.cpus = c->cfg->cpus,
		.affinity = affinity,
		.intid_limit = INTID_LIMIT,
		.lpi_bits = LPI_BITS,
		.dma = dma_plain(c->mem),
		.output = output,
		.ended = ended,
		.ctx = c,
	};

	for (u32 i = 0; i < s.cpus; i++)
		affinity[i] = kvm_vcpu_affinity(c->kvm, i);
	for (u32 i = 0; i < c->map->gicr_nr; i++)
		s.gicr_cpus[i] = c->map->gicr[i].cpus;
	c->gic = gic_create(&s, e);
	return c->gic ? 0 : e->code;
}

static int place_gic(struct irqchip *c, struct mmio_bus *bus, struct err *e)
{
	struct mmio_region d = { "GICD", c->map->gicd, GICD_SIZE, &gicd_mmio,
				 c->gic };
	int err = mmio_bus_add(bus, &d, e);

	for (u32 i = 0; !err && i < c->map->gicr_nr; i++) {
		struct mmio_region r = { "GICR", c->map->gicr[i].base,
					 c->map->gicr[i].cpus * GICR_SIZE,
					 &gicr_mmio, gicr_region(c->gic, i) };

		err = mmio_bus_add(bus, &r, e);
	}
	return err;
}

static int start_user(struct irqchip *c, struct mmio_bus *bus, struct loop *l,
		      struct err *e)
{
	int err = make_gic(c, e);

	if (!err)
		err = place_gic(c, bus, e);
	if (!err)
		err = start_its(c, bus, l, gic_its_sink(c->gic), e);
	if (err)
		return err;
	c->msi = user_msi_create(l, c->its, c->map->its + ITS_TRANSLATER);
	return c->msi ? 0 : err_set(e, -ENOMEM, "out of memory");
}

int irqchip_start(struct irqchip *c, struct kvm *k, struct mmio_bus *bus,
		  struct loop *l, void *hidden_its, struct err *e)
{
	int err = 0;

	c->kvm = k;
	switch (c->cfg->irqchip) {
	case IRQCHIP_KERNEL:
		break;
	case IRQCHIP_SPLIT:
		err = start_its(c, bus, l, kvm_its_sink(k, hidden_its), e);
		break;
	case IRQCHIP_USER:
		err = start_user(c, bus, l, e);
		break;
	}
	if (err)
		return err;
	c->levels = levels_create(k, c->gic, l);
	return c->levels ? 0 : err_set(e, -ENOMEM, "out of memory");
}

void irqchip_run(struct irqchip *c, struct vcpus *v)
{
	c->vcpus = v;
}

u64 irqchip_faults(const struct irqchip *c)
{
	return (c->its ? its_faults(c->its) : 0) +
	       (c->gic ? gic_faults(c->gic) : 0);
}

void irqchip_reset(struct irqchip *c)
{
	if (c->its)
		its_reset(c->its);
	if (c->gic)
		gic_reset(c->gic);
}

struct irq_line irqchip_line(struct irqchip *c, u32 intid)
{
	return c->gic ? gic_irq_line(c->gic, intid)
		      : kvm_irq_line(c->kvm, intid);
}

struct irq_pins irqchip_pins(struct irqchip *c)
{
	return levels_pins(c->levels);
}

struct msi_sink irqchip_msi(struct irqchip *c)
{
	return c->msi ? user_msi_sink(c->msi) : kvm_msi_sink(c->kvm);
}
