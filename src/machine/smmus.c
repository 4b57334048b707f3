#include "smmus.h"

#include <errno.h>
#include <stdlib.h>

/* One SMMU, and who runs its commands when a turn was not enough. */
struct one {
	struct smmu *smmu;
	struct loop_event more;
};

/* An emulated device's messages, on their way through. */
struct front {
	struct smmu *smmu;
	u32 sid;
	struct msi_sink sink;
};

struct smmus {
	struct smmus_setup setup;
	u32 nr;
	struct one one[MEMMAP_SMMUS_MAX];
	struct front front[CONFIG_DEVICES_MAX];
	u32 fronts;
};

/* --- commands --- */

/* With the SMMU's lock held. */
static void more(void *ctx)
{
	struct one *o = ctx;

	loop_event_fire(&o->more);
}

static void run_commands(void *ctx)
{
	struct one *o = ctx;

	if (smmu_run(o->smmu))
		loop_event_fire(&o->more);
}

/* --- making them --- */

static struct smmu *create(struct smmus *s, u32 i, struct err *e)
{
	const struct smmus_setup *with = &s->setup;
	struct smmu_setup setup = {
		.host = with->lent ? lent_idrs(with->lent, i) : NULL,
		.addr_bits = with->plan->map.ipa_bits,
		.dma = dma_plain(with->mem),
		.event = irqchip_line(with->irqchip,
				      INTID_SMMU(i, SMMU_IRQ_EVENT)),
		.gerror = irqchip_line(with->irqchip,
				       INTID_SMMU(i, SMMU_IRQ_GERROR)),
		.sync = irqchip_line(with->irqchip,
				     INTID_SMMU(i, SMMU_IRQ_SYNC)),
		.more = more,
		.ctx = &s->one[i],
	};

	if (setup.host)
		setup.backend = lent_backend(with->lent, i);
	return smmu_create(&setup, e);
}

static int add(struct smmus *s, struct err *e)
{
	struct one *o = &s->one[s->nr];
	struct mmio_region r = { "SMMU", s->setup.plan->map.smmu[s->nr],
				 SMMU_SIZE, &smmu_mmio, NULL };
	int err;

	o->more.fd = -1;
	s->nr++;
	err = loop_event_init(&o->more, s->setup.loop, run_commands, o, e);
	if (err)
		return err;
	o->smmu = r.dev = create(s, s->nr - 1, e);
	return o->smmu ? mmio_bus_add(s->setup.bus, &r, e) : e->code;
}

/* Which SMMU the device is behind, or PLAN_NO_SMMU. */
static u32 which(const struct plan *p, const struct config_device *d)
{
	if (d->kind == CONFIG_VFIO)
		return p->vfios[d->index].smmu;
	return p->cfg->smmu == SMMU_FOR_ALL ? 0 : PLAN_NO_SMMU;
}

static int add_streams(struct smmus *s, struct err *e)
{
	const struct plan *p = s->setup.plan;

	for (u32 i = 0; i < p->cfg->devices_nr; i++) {
		const struct config_device *d = &p->cfg->devices[i];
		u32 n = which(p, d);

		if (n != PLAN_NO_SMMU &&
		    smmu_add(s->one[n].smmu, d->bdf, d->kind == CONFIG_VFIO, e))
			return err_prefix(e, "%s", d->name);
	}
	return 0;
}

struct smmus *smmus_create(const struct smmus_setup *setup, struct err *e)
{
	struct smmus *s = calloc(1, sizeof(*s));
	int err = s ? 0 : err_set(e, -ENOMEM, "out of memory");

	if (err)
		return NULL;
	s->setup = *setup;
	while (!err && s->nr < setup->plan->smmus)
		err = add(s, e);
	if (!err)
		err = add_streams(s, e);
	for (u32 i = 0; !err && i < s->nr; i++)
		if (setup->lent && lent_idrs(setup->lent, i))
			lent_start(setup->lent, i, s->one[i].smmu);
	if (!err)
		return s;
	smmus_destroy(s);
	return NULL;
}

void smmus_destroy(struct smmus *s)
{
	if (!s)
		return;
	for (u32 i = 0; i < s->nr; i++) {
		loop_event_fini(&s->one[i].more);
		smmu_destroy(s->one[i].smmu);
	}
	free(s);
}

void smmus_reset(struct smmus *s)
{
	for (u32 i = 0; i < s->nr; i++)
		smmu_reset(s->one[i].smmu);
}

/* --- messages of emulated devices --- */

static bool front_send(void *ctx, u32 devid, u64 addr, u32 data)
{
	struct front *f = ctx;
	u64 to;

	return smmu_translate(f->smmu, f->sid, addr, &to) &&
	       msi_sink_send(&f->sink, devid, to, data);
}

static int front_open(void *ctx, struct msi_line *l, struct err *e)
{
	struct front *f = ctx;

	return f->sink.open(f->sink.ctx, l, e);
}

static void front_close(void *ctx, struct msi_line *l)
{
	struct front *f = ctx;

	f->sink.close(f->sink.ctx, l);
}

/* Where the address leads when the line is aimed. Drivers map a doorbell before
 * they let a vector send to it, and for as long as it may. */
static int front_aim(void *ctx, struct msi_line *l, u32 devid, u64 addr,
		     u32 data)
{
	struct front *f = ctx;
	u64 to;

	if (!smmu_translate(f->smmu, f->sid, addr, &to))
		return -EFAULT;
	return f->sink.aim(f->sink.ctx, l, devid, to, data);
}

static void front_rest(void *ctx, struct msi_line *l)
{
	struct front *f = ctx;

	f->sink.rest(f->sink.ctx, l);
}

void smmus_front(struct smmus *s, u32 bdf, struct dma *dma,
		 struct msi_sink *msi)
{
	struct front *f;

	if (s->setup.plan->cfg->smmu != SMMU_FOR_ALL)
		return;
	f = &s->front[s->fronts++];
	*f = (struct front) { s->one[0].smmu, bdf, *msi };
	*dma = smmu_dma(f->smmu, bdf);
	*msi = (struct msi_sink) {
		.send = front_send,
		.open = front_open,
		.close = front_close,
		.aim = front_aim,
		.rest = front_rest,
		.direct = f->sink.direct,
		.ctx = f,
	};
}

struct smmu_counters smmus_counters(struct smmus *s)
{
	struct smmu_counters sum = { 0 };

	for (u32 i = 0; i < s->nr; i++) {
		struct smmu_counters c = smmu_counters(s->one[i].smmu);

		sum.commands += c.commands;
		sum.batches += c.batches;
		sum.invalidations += c.invalidations;
		sum.attaches += c.attaches;
		sum.walks += c.walks;
		sum.events += c.events;
		sum.events_lost += c.events_lost;
		sum.faults += c.faults;
	}
	return sum;
}
