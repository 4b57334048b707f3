/*
 * Putting a guest together: the only file that names every part. Everything
 * that can fail for the operator's sake fails here, before the guest runs.
 */
#include "parts.h"

#include <belfry/tty.h>

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* --- memory, vCPUs, interrupts --- */

static int add_slot(void *ctx, struct err *e)
{
	struct machine *m = ctx;

	return kvm_map(m->kvm, m->plan->map.ram, m->plan->map.ram_size,
		       m->ram.host, e);
}

static int map_ram(struct machine *m, struct err *e)
{
	static const struct {
		enum ram_backing kind;
		u64 page;
	} backings[] = {
		[BACKING_THP] = { RAM_THP, 0 },
		[BACKING_MEMFD] = { RAM_MEMFD, 0 },
		[BACKING_HUGETLB] = { RAM_HUGETLB, 0 },
		[BACKING_HUGETLB_2M] = { RAM_HUGETLB, 2 * MIB },
		[BACKING_HUGETLB_1G] = { RAM_HUGETLB, GIB },
	};
	enum config_backing b = m->cfg->memory_backing;
	int err = ram_map(&m->ram, m->plan->map.ram_size, backings[b].kind,
			  backings[b].page, m->cfg->memory_prefault, e);

	if (err)
		return err;
	/* What lies beyond is out of reach for the guest's devices. */
	if (gmem_add(&m->mem, m->plan->map.ram, m->plan->map.ram_usable,
		     m->ram.host))
		return err_set(e, -EINVAL, "memory: cannot be placed");
	/* The kernel waits for its readers of the memory slots, milliseconds;
	 * loading needs only our own mapping. */
	m->slot = (struct aside) { .call = add_slot, .ctx = m };
	aside_start(&m->slot);
	return 0;
}

/* One switch of the configuration against what the host has. */
static int resolve(enum config_switch wanted, bool host_has, const char *key,
		   bool *on, struct err *e)
{
	*on = wanted != SWITCH_OFF && host_has;
	if (wanted == SWITCH_ON && !host_has)
		return err_set(
			e, -ENOTSUP,
			"%s: \"on\", but this host's KVM does not offer it; \"auto\" takes it where it is there",
			key);
	return 0;
}

static int resolve_all(struct machine *m, int kvm_fd, struct err *e)
{
	const struct config *c = m->cfg;
	struct host_offer *o = &m->offer;
	struct kvm_caps caps;
	int err;

	kvm_probe(kvm_fd, &caps);
	err = resolve(c->pmu, caps.pmu, "pmu", &o->pmu, e);
	if (!err)
		err = resolve(c->sve, caps.sve, "sve", &o->sve, e);
	if (!err)
		err = resolve(c->pauth, caps.pauth, "pauth", &o->pauth, e);
	if (!err)
		err = resolve(c->steal_time, caps.steal_time, "steal-time",
			      &o->steal_time, e);
	return err;
}

static int make_vm(struct machine *m, int kvm_fd, struct err *e)
{
	struct kvm_setup s = {
		.cpus = m->cfg->cpus,
		.ipa_bits = m->plan->map.ipa_bits,
		.pmu = m->offer.pmu,
		.sve = m->offer.sve,
		.pauth = m->offer.pauth,
		.pmu_intid = INTID_PMU,
		.steal_time = m->plan->map.steal_time,
		.stats = m->cfg->json_status,
		.gicd = m->plan->map.gicd,
		.gicr_nr = m->plan->map.gicr_nr,
		.intid_limit = INTID_LIMIT,
	};

	for (u32 i = 0; i < m->plan->map.gicr_nr; i++) {
		s.gicr[i].base = m->plan->map.gicr[i].base;
		s.gicr[i].cpus = m->plan->map.gicr[i].cpus;
	}
	m->irqchip = irqchip_create(m->cfg, &m->plan->map, &m->mem);
	if (!m->irqchip)
		return err_set(e, -ENOMEM, "out of memory");
	irqchip_setup(m->irqchip, &s);
	m->kvm = kvm_create(kvm_fd, &s, e);
	return m->kvm ? 0 : e->code;
}

/* The VM, its memory, its vCPUs; what the guest is told follows from them. */
static int make_core(struct machine *m, struct err *e)
{
	int fd = kvm_open(e);
	int err = fd < 0 ? fd : resolve_all(m, fd, e);

	if (!err) {
		err = plan_place(m->plan, m->offer.pmu, m->offer.steal_time, e);
		m->out->refused = err;
	}
	if (!err)
		err = make_vm(m, fd, e);
	if (fd >= 0)
		close(fd);
	return err ? err : map_ram(m, e);
}

/* What is left once everything is loaded; the sandbox first, while the slot is
 * waited for. */
static int finish_core(struct machine *m, struct err *e)
{
	int err = 0;

	if (m->cfg->seccomp != SECCOMP_OFF)
		err = policy_compile(&m->policy, m->cfg, e);
	if (!err)
		err = aside_wait(&m->slot, e);
	return err ? err : kvm_finish(m->kvm, e);
}

/* --- devices --- */

/* The guest's log: behind what is there, never in its place. */
static int open_console_file(struct machine *m, struct err *e)
{
	const char *path = m->cfg->console;
	int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY;

	if (!path)
		return 0;
	m->console_fd = open(path, flags, 0666);
	if (m->console_fd < 0)
		return err_set(e, -errno, "console: open %s: %s", path,
			       strerror(errno));
	return 0;
}

static u64 wall_clock(void *ctx)
{
	struct timespec t;

	(void)ctx;
	clock_gettime(CLOCK_REALTIME, &t);
	return (u64)t.tv_sec * NS_PER_S + (u64)t.tv_nsec;
}

/* On a vCPU thread. An all-zero time disarms, as the caller means it. */
static void set_alarm(void *ctx, u64 when)
{
	struct machine *m = ctx;
	struct itimerspec t = { .it_value = { (time_t)(when / NS_PER_S),
					      (long)(when % NS_PER_S) } };

	timerfd_settime(m->alarm_fd, TFD_TIMER_ABSTIME, &t, NULL);
}

static void wait_for_alarm(struct machine *m)
{
	loop_read(m->loop, &m->alarm_op, m->alarm_fd, &m->alarm_count,
		  sizeof(m->alarm_count));
}

static void alarm_done(struct loop_op *op, int result)
{
	struct machine *m = op->ctx;

	if (loop_failed(result))
		return;
	wait_for_alarm(m);
	if (result > 0)
		pl031_alarm(m->rtc);
}

static int add_device(struct machine *m, const char *name, gpa_t at,
		      const struct mmio_ops *ops, void *dev, struct err *e)
{
	struct mmio_region r = { name, at, PL011_SIZE, ops, dev };

	if (!dev)
		return err_set(e, -ENOMEM, "out of memory");
	return mmio_bus_add(&m->bus, &r, e);
}

static int make_rtc(struct machine *m, struct err *e)
{
	struct irq_line irq = irqchip_line(m->irqchip, INTID_RTC);
	struct pl031_world world = { wall_clock, set_alarm, m };

	m->alarm_op = (struct loop_op) { .done = alarm_done, .ctx = m };
	m->alarm_fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC);
	if (m->alarm_fd < 0)
		return err_set(e, -errno, "timerfd: %s", strerror(errno));
	m->rtc = pl031_create(&irq, &world);
	return add_device(m, "PL031", m->plan->map.rtc, &pl031_mmio, m->rtc, e);
}

/* A terminal whose job we are not in the foreground of would stop us. */
static int input_fd(void)
{
	bool background =
		isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) != getpgrp();

	return background ? -1 : STDIN_FILENO;
}

static int make_console(struct machine *m, struct err *e)
{
	struct irq_line irq = irqchip_line(m->irqchip, INTID_UART);
	struct console_setup s = {
		.loop = m->loop,
		.in = input_fd(),
		.out = STDOUT_FILENO,
		.file = m->console_fd,
		.expect = m->cfg->expect,
		.hvc = m->cfg->hvc,
		.event = power_console_event,
		.ctx = m,
	};
	struct chars_wire wire;

	m->console = console_create(&s, e);
	if (!m->console)
		return e->code;
	wire = console_wire(m->console);
	m->uart = pl011_create(&irq, &wire);
	return add_device(m, "PL011", m->plan->map.uart, &pl011_mmio, m->uart,
			  e);
}

static void *at_hidden_its(struct machine *m)
{
	const struct memmap *map = &m->plan->map;

	return map->hidden_its
		       ? (u8 *)m->ram.host + (map->hidden_its - map->ram)
		       : NULL;
}

/* What the host lends, reaching the guest's memory. */
static int borrow(struct machine *m, struct err *e)
{
	struct lent_device wanted[CONFIG_VFIOS_MAX];
	struct lent_setup s = {
		.sys = "/sys",
		.devices = wanted,
		.nr = m->cfg->vfios_nr,
		.ram = m->plan->map.ram,
		.ram_size = m->plan->map.ram_usable,
		.ram_host = m->ram.host,
		.ram_fd = m->ram.fd,
		.translater = m->plan->map.its + ITS_TRANSLATER,
		.loop = m->loop,
	};

	for (u32 i = 0; i < m->cfg->devices_nr; i++) {
		const struct config_device *d = &m->cfg->devices[i];
		const struct plan_vfio *p = &m->plan->vfios[d->index];
		const struct config_vfio *v = &m->cfg->vfios[d->index];

		if (d->kind != CONFIG_VFIO)
			continue;
		wanted[d->index] = (struct lent_device) {
			.host = p->host.name,
			.place = v->place,
			.fd = v->fd,
			.iommufd = v->iommufd,
			.sid = d->bdf,
			.space = p->space,
			.smmu = p->smmu == PLAN_NO_SMMU ? LENT_NO_SMMU
							: p->smmu,
		};
	}
	m->lent = lent_create(&s, e);
	return m->lent ? 0 : e->code;
}

static int make_smmus(struct machine *m, struct err *e)
{
	struct smmus_setup s = {
		.plan = m->plan,
		.lent = m->lent,
		.mem = &m->mem,
		.irqchip = m->irqchip,
		.bus = &m->bus,
		.loop = m->loop,
	};

	m->smmus = smmus_create(&s, e);
	return m->smmus ? 0 : e->code;
}

static int make_devices(struct machine *m, struct err *e)
{
	struct devices_setup s = {
		.plan = m->plan,
		.bus = &m->bus,
		.caps = {
			.loop = m->loop,
			.dma = dma_plain(&m->mem),
			.msi = irqchip_msi(m->irqchip),
			.doorbells = kvm_doorbells(m->kvm),
		},
		.pins = irqchip_pins(m->irqchip),
		.windows = kvm_windows(m->kvm),
	};
	int err = 0;

	if (!m->cfg->devices_nr)
		return 0;
	if (m->cfg->vfios_nr)
		err = borrow(m, e);
	if (!err && m->plan->smmus)
		err = make_smmus(m, e);
	if (err)
		return err;
	s.lent = m->lent;
	s.smmus = m->smmus;
	if (m->cfg->hvc != HVC_OFF)
		s.hvc = console_hvc_wire(m->console);
	m->devices = devices_create(&s, e);
	return m->devices ? 0 : e->code;
}

/* --- the whole --- */

/* A device has a descriptor for each queue and each interrupt. */
static void raise_descriptor_limit(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l))
		return;
	l.rlim_cur = l.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &l);
}

static int build(struct machine *m, struct err *e)
{
	int err;

	raise_descriptor_limit();
	err = open_console_file(m, e);
	m->out->refused = err;
	if (!err)
		err = make_core(m, e);
	if (err)
		return err;
	m->loop = loop_create(e);
	if (!m->loop)
		return e->code;
	err = power_init(m, e);
	if (!err)
		err = irqchip_start(m->irqchip, m->kvm, &m->bus, m->loop,
				    at_hidden_its(m), e);
	if (!err)
		err = make_console(m, e);
	if (!err)
		err = make_rtc(m, e);
	if (!err)
		err = make_devices(m, e);
	if (err)
		return err;
	err = machine_load(m, e);
	m->out->refused = err;
	return err ? err : finish_core(m, e);
}

/* Threads first, then ourselves: what is confined cannot make threads. */
static int confine(struct machine *m, struct err *e)
{
	bool on = m->cfg->seccomp != SECCOMP_OFF;
	struct vcpus_setup s = {
		.kvm = m->kvm,
		.bus = &m->bus,
		.nr = m->cfg->cpus,
		.sandbox = on ? &m->policy.vcpu : NULL,
		.sysreg = irqchip_sysreg,
		.irqs = m->irqchip,
		.asked = power_asked,
		.ctx = m,
	};

	/* What building needed and freed: the guest may run for months. */
	malloc_trim(0);
	m->vcpus = vcpus_create(&s, e);
	if (!m->vcpus)
		return e->code;
	irqchip_run(m->irqchip, m->vcpus);
	return on ? sandbox_enter(&m->policy.loop, e) : 0;
}

static void start_console(struct machine *m)
{
	struct chars_port hvc;

	if (m->devices && devices_hvc(m->devices, &hvc))
		console_hvc_start(m->console, hvc);
	console_start(m->console, pl011_port(m->uart));
}

static int run(struct machine *m, struct err *e)
{
	int err;

	start_console(m);
	wait_for_alarm(m);
	err = confine(m, e);
	if (err)
		return err;
	power_on(m);
	err = loop_run(m->loop, e);
	if (!err)
		power_judge(m);
	return err;
}

static void report(struct machine *m)
{
	struct machine_outcome *o = m->out;

	o->exits = kvm_exits(m->kvm, &o->mmio_exits);
	console_traffic(m->console, &o->console_out, &o->console_in);
	o->guest_faults = guest_faults(m);
	if (m->devices)
		o->losses = devices_losses(m->devices);
	kvm_its_counts(m->kvm, &o->its_commands, &o->its_batches);
	if (m->smmus) {
		struct smmu_counters c = smmus_counters(m->smmus);

		o->smmu_commands = c.commands;
		o->smmu_batches = c.batches;
		o->smmu_events = c.events;
	}
	for (u32 i = 0; i < m->cfg->vfios_nr; i++)
		o->vfio[i] = devices_vfio(m->devices, i);
}

static void take_down(struct machine *m)
{
	aside_fini(&m->slot);
	vcpus_destroy(m->vcpus);
	power_fini(m);
	loop_destroy(m->loop);
	devices_destroy(m->devices);
	smmus_destroy(m->smmus);
	lent_destroy(m->lent);
	pl031_destroy(m->rtc);
	pl011_destroy(m->uart);
	console_destroy(m->console);
	policy_fini(&m->policy);
	irqchip_destroy(m->irqchip);
	kvm_destroy(m->kvm);
	ram_unmap(&m->ram);
	free(m->fdt);
	plan_close(m->plan);
	if (m->alarm_fd >= 0)
		close(m->alarm_fd);
	if (m->console_fd >= 0)
		close(m->console_fd);
}

void machine_run(struct plan *plan, u64 start_ns, struct machine_outcome *o,
		 struct err *e)
{
	struct machine m = {
		.cfg = plan->cfg,
		.plan = plan,
		.out = o,
		.err = e,
		.start_ns = start_ns,
		.ram.fd = -1,
		.console_fd = -1,
		.alarm_fd = -1,
		.signalled.fd = -1,
		.asked.fd = -1,
	};

	*o = (struct machine_outcome) { .end = END_FAILED };
	mmio_bus_init(&m.bus);
	if (!build(&m, e)) {
		power_hear(&m);
		tty_raw(STDIN_FILENO);
		if (run(&m, e))
			o->end = END_FAILED;
		tty_restore();
		if (o->started)
			report(&m);
	}
	take_down(&m);
}

void machine_outcome_fini(struct machine_outcome *o)
{
	for (u32 i = 0; i < ARRAY_SIZE(o->vfio); i++)
		free(o->vfio[i].vector);
}
