/*
 * The function as the guest's bus has it: the pci model holds what the guest
 * sees, and this file tells the hardware what of it is meant.
 *
 * The hardware always decodes memory, at addresses of the host's; whether the
 * guest sees it is a matter of windows alone. So nothing that a guest writes
 * makes a mapped page go away under a vCPU but D3, before which they are
 * hidden.
 */
#include "vfio_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct vfio_pci {
	const char *name;
	struct vfio_device *dev;
	struct windows windows;
	struct pci_function f;
	struct vfio_view view;
	struct vfio_region config;
	struct vfio_bar bars[PCI_ROM + 1];
	struct vfio_irqs irqs; /* it has MSI-X, */
	struct vfio_msi msi;   /* or MSI, or neither; */
	struct vfio_pin pin;   /* and may have a pin */
	bool can_reset;        /* alone */
	bool can_reset_bus; /* or with all on its bus, which are the guest's */
	struct loop_event error, request;
	bool wanted_back; /* and it was said */
	struct guest_faults faults;
	_Atomic u64 resets, errors;
};

/* All ones where nobody answers. */
static u64 get(struct vfio_pci *d, const struct vfio_region *r, u64 off,
	       u32 len)
{
	u64 val;
	int err = vfio_read(d->dev, r, off, len, &val);

	return err ? ~0ull >> (64 - 8 * len) : val;
}

/* --- configuration space; the bus lock is held --- */

static u64 config_get(struct vfio_pci *d, u32 off, u32 len)
{
	return get(d, &d->config, off, len);
}

static void config_put(struct vfio_pci *d, u32 off, u32 len, u64 val)
{
	if (vfio_write(d->dev, &d->config, off, len, val))
		guest_fault(&d->faults,
			    "configuration write of %u bytes at 0x%x refused",
			    len, off);
}

static u64 command_of(const struct vfio_pci *d)
{
	return field_get(d->f.config + COMMAND, 2);
}

/* Memory is always decoded; and it raises no pin that nobody listens to. */
static void put_command(struct vfio_pci *d, u64 guest, bool pin)
{
	u64 passed = COMMAND_MASTER | COMMAND_PARITY | COMMAND_SERR;

	config_put(d, COMMAND, 2,
		   (guest & passed) | COMMAND_MEMORY |
			   (pin ? 0 : COMMAND_INTX_OFF));
}

/* Without memory no driver can have told it to interrupt. */
static bool wants_pin(const struct vfio_pci *d)
{
	return d->pin.dev && command_of(d) & COMMAND_MEMORY &&
	       !(command_of(d) & COMMAND_INTX_OFF) &&
	       !pci_msix_enabled(&d->f) && !vfio_msi_wanted(&d->msi);
}

static void pin_on(struct vfio_pci *d)
{
	if (d->pin.on)
		return;
	vfio_pin_on(&d->pin);
	if (d->pin.on)
		put_command(d, command_of(d), true);
}

static void pin_off(struct vfio_pci *d)
{
	if (!d->pin.on)
		return;
	put_command(d, command_of(d), false);
	vfio_pin_off(&d->pin);
}

static bool any_passed(const struct vfio_pci *d, u32 off, u32 len)
{
	for (u32 i = off; i < off + len; i++)
		if (d->view.passed[i])
			return true;
	return false;
}

static bool all_passed(const struct vfio_pci *d, u32 off, u32 len)
{
	for (u32 i = off; i < off + len; i++)
		if (!d->view.passed[i])
			return false;
	return true;
}

/* What of [@off, @off + @len) is passed, out of the hardware's @raw. */
static void mix(const struct vfio_pci *d, u8 *bytes, u32 off, u32 len, u64 raw)
{
	for (u32 i = 0; i < len; i++, raw >>= 8)
		if (d->view.passed[off + i])
			bytes[i] = (u8)raw;
}

static bool covers(u32 off, u32 len, u32 at)
{
	return off <= at && at < off + len;
}

/* Does it interrupt? */
static void show_pin(struct vfio_pci *d)
{
	u8 *status = d->f.config + STATUS;

	*status = (u8)((*status & ~STATUS_INTX) |
		       (config_get(d, STATUS, 1) & STATUS_INTX));
}

static void config_read(void *dev, u32 off, u32 len)
{
	struct vfio_pci *d = dev;

	if (d->msi.dev && off >= d->msi.cap)
		vfio_msi_show_pending(&d->msi);
	if (d->pin.dev && covers(off, len, STATUS))
		show_pin(d);
	if (any_passed(d, off, len))
		mix(d, d->f.config + off, off, len, config_get(d, off, len));
}

static u32 extended_read(void *dev, u32 off, u32 len)
{
	struct vfio_pci *d = dev;
	u8 bytes[4];

	memcpy(bytes, d->view.config + off, len);
	if (any_passed(d, off, len))
		mix(d, bytes, off, len, config_get(d, off, len));
	return (u32)field_get(bytes, len);
}

/* Pieces of a write that are passed whole, the largest first; the guest's own
 * access if it can be. */
static void write_passed(struct vfio_pci *d, const u8 *bytes, u32 off, u32 len)
{
	for (u32 done = 0, n; done < len; done += n) {
		for (n = len - done; n & (n - 1) || (off + done) % n ||
				     (n > 1 && !all_passed(d, off + done, n));)
			n--;
		if (all_passed(d, off + done, n))
			config_put(d, off + done, n,
				   field_get(bytes + done, n));
	}
}

static void extended_write(void *dev, u32 off, u32 len, u32 val)
{
	u8 bytes[4];

	field_put(bytes, len, val);
	write_passed(dev, bytes, off, len);
}

/* --- what some of it means --- */

/* By its own word: it may be slow, or not there any more. */
static bool is_asleep(struct vfio_pci *d)
{
	u32 pm = d->view.pm;

	return pm && config_get(d, pm + PM_CONTROL, 2) & PM_STATE;
}

/* With others only where no guest runs: it is never the guest's FLR. */
static int ask_reset(struct vfio_pci *d, struct err *e)
{
	if (d->can_reset)
		return vfio_reset(d->dev, e);
	if (d->can_reset_bus)
		return vfio_hot_reset(d->dev, e);
	return err_set(
		e, -ENOTTY,
		"device %s cannot be reset: not alone, and not all on its bus are the guest's",
		d->dev->name);
}

/* What cannot be reset is woken at the least. */
static void reset_hardware(struct vfio_pci *d)
{
	struct err e;

	if (d->f.asleep)
		config_put(d, d->view.pm + PM_CONTROL, 2, 0);
	/* Waking, VFIO may write what was there before. */
	put_command(d, 0, false);
	if (ask_reset(d, &e))
		guest_fault(&d->faults, "%s", e.msg);
}

/* FLR: what the guest sees is as at power-on, too. */
static void reset_function(struct vfio_pci *d)
{
	d->resets++;
	pin_off(d);
	pci_function_reset(&d->f);
	if (d->msi.dev)
		vfio_msi_follow(&d->msi);
	vfio_irqs_sleep(&d->irqs, true);
	reset_hardware(d);
	pci_function_sleep(&d->f, is_asleep(d));
	vfio_irqs_sleep(&d->irqs, d->f.asleep);
}

/* Asleep, no page of it can be touched: before it is told to, and until it says
 * that it is not. */
static void change_power(struct vfio_pci *d, u32 at, u32 len)
{
	if (field_get(d->f.config + at, 2) & PM_STATE) {
		pci_function_sleep(&d->f, true);
		vfio_irqs_sleep(&d->irqs, true);
	}
	config_put(d, at, len, field_get(d->f.config + at, len));
	if (d->f.asleep && !is_asleep(d)) {
		vfio_irqs_sleep(&d->irqs, false);
		pci_function_sleep(&d->f, false);
	}
}

/* Did the guest write the byte at @at, and any of @bits there? The bits are
 * not to be passed. */
static bool asked(struct vfio_pci *d, u32 cap, u32 at, u8 bits, u32 off,
		  u32 len)
{
	u8 *byte = d->f.config + cap + at;

	if (!cap || cap + at < off || cap + at >= off + len || !(*byte & bits))
		return false;
	*byte &= (u8)~bits;
	return true;
}

/* A bit that a device without FLR ignores. */
static bool asked_reset(struct vfio_pci *d, u32 off, u32 len)
{
	const struct vfio_view *v = &d->view;
	bool exp =
		asked(d, v->exp, EXP_DEVCTL + 1, EXP_DEVCTL_FLR >> 8, off, len);
	bool af = asked(d, v->af, AF_CONTROL, AF_FLR, off, len);

	return (exp && field_get(v->config + v->exp + EXP_DEVCAP, 4) &
			       EXP_DEVCAP_FLR) ||
	       (af && v->config[v->af + AF_CAP] & AF_CAP_FLR);
}

static void config_written(void *dev, u32 off, u32 len)
{
	struct vfio_pci *d = dev;
	const struct vfio_view *v = &d->view;
	bool reset = asked_reset(d, off, len);

	if (!wants_pin(d))
		pin_off(d);
	if (off < COMMAND + 2 && off + len > COMMAND)
		put_command(d, command_of(d), d->pin.on);
	if (v->pm && covers(off, len, v->pm + PM_CONTROL))
		change_power(d, v->pm + PM_CONTROL, MIN(len, 2));
	else
		write_passed(d, d->f.config + off, off, len);
	if (d->msi.dev && off + len > d->msi.cap)
		vfio_msi_follow(&d->msi);
	if (reset)
		reset_function(d);
	if (wants_pin(d))
		pin_on(d);
}

/* --- BARs --- */

static u64 bar_read(void *dev, u32 bar, u64 off, u32 size)
{
	struct vfio_pci *d = dev;

	return get(d, &d->bars[bar].region, off, size);
}

static void bar_write(void *dev, u32 bar, u64 off, u32 size, u64 val)
{
	struct vfio_pci *d = dev;

	if (vfio_write(d->dev, &d->bars[bar].region, off, size, val))
		guest_fault(&d->faults,
			    "write of %u bytes at 0x%llx of BAR %u refused",
			    size, (unsigned long long)off, bar);
}

static void bar_moved(void *dev, u32 bar, gpa_t at)
{
	struct vfio_pci *d = dev;

	vfio_bar_move(&d->bars[bar], at, &d->windows);
}

static const struct pci_ops ops = {
	.bar_read = bar_read,
	.bar_write = bar_write,
	.bar_moved = bar_moved,
	.config_read = config_read,
	.config_written = config_written,
	.extended_read = extended_read,
	.extended_write = extended_write,
};

/* --- MSI-X --- */

static void hw_enable(void *dev, bool on)
{
	struct vfio_pci *d = dev;

	if (on)
		pin_off(d);
	vfio_irqs_enable(&d->irqs, on);
}

static bool hw_vector(void *dev, u32 v, int fd, bool open, u64 addr)
{
	struct vfio_pci *d = dev;

	return vfio_irqs_vector(&d->irqs, v, fd, open, addr);
}

static u64 hw_pending(void *dev, u32 first)
{
	struct vfio_pci *d = dev;

	return vfio_irqs_pending(&d->irqs, first);
}

static const struct pci_msix_hw hw = { hw_enable, hw_vector, hw_pending };

/* --- what the host has to say of it --- */

static void error_came(void *ctx)
{
	struct vfio_pci *d = ctx;

	d->errors++;
	log_error(
		"%s: %s reported an error that it cannot correct; what it does from here on is not to be relied on until it is reset",
		d->name, d->dev->name);
}

static void request_came(void *ctx)
{
	struct vfio_pci *d = ctx;

	/* The kernel asks every ten seconds for as long as it waits. */
	if (!d->wanted_back)
		log_warn(
			"%s: the host wants %s back, and waits until this guest ends",
			d->name, d->dev->name);
	d->wanted_back = true;
}

static int listen_to(struct vfio_pci *d, u32 index, struct loop_event *v,
		     struct loop *l, void (*came)(void *ctx), struct err *e)
{
	struct vfio_irq have;
	int err = vfio_get_irq(d->dev, index, &have, e);

	/* Some kernels do not know of one that there cannot be: of errors, for
	 * a function without PCI Express. */
	if (err == -EINVAL || (!err && !have.count))
		return 0;
	if (err)
		return err;
	err = loop_event_init(v, l, came, d, e);
	return err ? err : vfio_irq_trigger(d->dev, index, 0, &v->fd, 1, e);
}

/* --- making it --- */

static int read_config(struct vfio_pci *d, u8 raw[static CONFIG_SIZE],
		       struct err *e)
{
	int err = vfio_get_region(d->dev, VFIO_CONFIG, &d->config, e);
	u64 val;

	if (err)
		return err;
	memset(raw, 0, CONFIG_SIZE);
	for (u32 off = 0; off < MIN(d->config.size, CONFIG_SIZE); off += 4) {
		err = vfio_read(d->dev, &d->config, off, 4, &val);
		if (err)
			return err_set(
				e, err,
				"device %s: configuration space at 0x%x: %s",
				d->dev->name, off, strerror(-err));
		field_put(raw + off, 4, val);
	}
	vfio_view_init(&d->view, raw);
	return 0;
}

static bool can_be(u64 size, bool wide)
{
	return size >= 16 && !(size & (size - 1)) && (wide || size <= 2 * GIB);
}

/* Memory BARs of sizes that there can be; I/O is not for arm64 guests. */
static void add_bars(struct vfio_pci *d, const u8 *raw)
{
	u64 rom = d->bars[PCI_ROM].region.size;

	for (u32 i = 0; i < PCI_BARS; i++) {
		u64 size = d->bars[i].region.size;
		u8 kind = raw[0x10 + 4 * i];
		bool wide = (kind & 7) == 4 && i + 1 < PCI_BARS;

		if (!(kind & 1) && can_be(size, wide))
			pci_add_bar(&d->f, i, size, wide, kind & 8);
		else
			d->bars[i].region.size = 0;
		i += wide;
	}
	if (rom >= 2 * KIB && can_be(rom, false))
		pci_add_rom(&d->f, rom);
}

static int find_msix(const struct vfio_pci *d, struct pci_msix_at *at,
		     struct err *e)
{
	const u8 *cap = d->view.config + d->view.msix;
	u64 nr = (field_get(cap + 2, 2) & 0x7ff) + 1;
	u64 table = field_get(cap + 4, 4), pba = field_get(cap + 8, 4);

	*at = (struct pci_msix_at) {
		.cap = d->view.msix,
		.nr = (u32)nr,
		.table_bar = table & 7,
		.pba_bar = pba & 7,
		.table = table & ~7ull,
		.pba = pba & ~7ull,
	};
	if (at->table_bar < PCI_BARS && at->pba_bar < PCI_BARS &&
	    range_fits(at->table, nr * DOORBELL_ENTRY,
		       d->f.bars[at->table_bar].size) &&
	    range_fits(at->pba, (nr + 63) / 64 * 8,
		       d->f.bars[at->pba_bar].size))
		return 0;
	return err_set(e, -EINVAL,
		       "device %s: its MSI-X table lies outside of its BARs",
		       d->dev->name);
}

static int map_bars(struct vfio_pci *d, const struct pci_msix_at *at,
		    struct err *e)
{
	struct bar_hole table = { at->table, (u64)at->nr * DOORBELL_ENTRY };
	struct bar_hole pba = { at->pba, (at->nr + 63) / 64 * 8 };
	int err = 0;

	for (u32 i = 0; !err && i < PCI_BARS; i++) {
		struct bar_hole holes[2];
		u32 nr = 0;

		if (!d->bars[i].region.size)
			continue;
		if (at->nr && i == at->table_bar)
			holes[nr++] = table;
		if (at->nr && i == at->pba_bar)
			holes[nr++] = pba;
		err = vfio_bar_map(&d->bars[i], d->dev, holes, nr, &d->windows,
				   e);
	}
	return err;
}

/* Where the table is mapped, or NULL. */
static volatile u8 *table_of(const struct vfio_pci *d,
			     const struct pci_msix_at *at)
{
	return vfio_bar_at(&d->bars[at->table_bar], at->table,
			   (u64)at->nr * DOORBELL_ENTRY);
}

static int make_msix(struct vfio_pci *d, const struct vfio_pci_setup *s,
		     const struct pci_msix_at *at, struct err *e)
{
	struct msi_sink sink;
	int err = vfio_irqs_init(&d->irqs, s, at->nr, table_of(d, at),
				 &d->bars[at->pba_bar].region, at->pba, e);

	if (err)
		return err;
	sink = vfio_irqs_sink(&d->irqs);
	return pci_take_msix(&d->f, at, &sink, &hw, e);
}

/* No message, no doorbell. */
static int check_pin_alone(const struct vfio_pci *d,
			   const struct vfio_pci_setup *s, struct err *e)
{
	if (!s->strict)
		return 0;
	return err_set(
		e, -ENOTSUP,
		"doorbell \"direct\" cannot be had for device %s: it interrupts by a pin alone; \"auto\" takes what can",
		d->dev->name);
}

static int make_interrupts(struct vfio_pci *d, const struct vfio_pci_setup *s,
			   struct err *e)
{
	struct pci_msix_at at = { .nr = 0 };
	int err = d->view.msix ? find_msix(d, &at, e) : 0;

	if (!err)
		err = map_bars(d, &at, e);
	if (err)
		return err;
	if (d->view.msix)
		return make_msix(d, s, &at, e);
	if (d->view.msi)
		return vfio_msi_init(&d->msi, s, &d->f, d->view.msi, e);
	return d->pin.dev
		       ? check_pin_alone(d, s, e)
		       : err_set(e, -ENOTSUP,
				 "device %s has no interrupts that the host's VFIO offers (MSI-X, MSI or INTx): it cannot be passed through",
				 d->dev->name);
}

static int make_bars(struct vfio_pci *d, const u8 *raw, struct err *e)
{
	int err = 0;

	for (u32 i = 0; !err && i <= PCI_ROM; i++)
		err = vfio_get_region(d->dev, i, &d->bars[i].region, e);
	if (!err)
		add_bars(d, raw);
	return err;
}

/* All of them are bound by now. */
static bool owns_bus(const struct vfio_pci *d)
{
	struct vfio_neighbours n;
	struct err e;

	return !vfio_get_neighbours(d->dev, &n, &e) && n.ours;
}

/* The host says that there is none, whatever the device does. */
static void hide_flr(struct vfio_view *v)
{
	if (v->exp)
		v->config[v->exp + EXP_DEVCAP + 3] &=
			(u8) ~(EXP_DEVCAP_FLR >> 24);
	if (v->af)
		v->config[v->af + AF_CAP] &= (u8)~AF_CAP_FLR;
}

static int build(struct vfio_pci *d, const struct vfio_pci_setup *s,
		 struct err *e)
{
	u8 raw[CONFIG_SIZE];
	struct vfio_info info;
	int err = vfio_get_info(d->dev, &info, e);

	if (!err && !info.pci)
		return err_set(e, -ENOTSUP, "device %s is no PCI function",
			       d->dev->name);
	if (!err)
		err = read_config(d, raw, e);
	if (err)
		return err;
	err = vfio_pin_init(&d->pin, s, e);
	if (err)
		return err;
	d->can_reset = info.reset;
	if (!d->can_reset) {
		d->can_reset_bus = owns_bus(d);
		hide_flr(&d->view);
	}
	if (d->pin.dev)
		d->view.config[INTERRUPT_PIN] = INTA;
	put_command(d, 0, false);
	pci_function_init_as(&d->f, s->name, d->view.config, d->view.writable,
			     &ops, d);
	err = make_bars(d, raw, e);
	if (!err)
		err = make_interrupts(d, s, e);
	if (!err)
		err = listen_to(d, VFIO_ERR, &d->error, s->loop, error_came, e);
	if (!err)
		err = listen_to(d, VFIO_REQ, &d->request, s->loop, request_came,
				e);
	return err;
}

struct vfio_pci *vfio_pci_create(const struct vfio_pci_setup *s, struct err *e)
{
	struct vfio_pci *d = calloc(1, sizeof(*d));

	if (!d) {
		err_set(e, -ENOMEM, "%s: out of memory", s->name);
		return NULL;
	}
	d->name = s->name;
	d->dev = s->dev;
	d->windows = s->windows;
	d->faults.who = s->name;
	d->error.fd = d->request.fd = -1;
	if (!build(d, s, e))
		return d;
	vfio_pci_destroy(d);
	return NULL;
}

/* Interrupts first: the kernel signals their descriptors. */
void vfio_pci_destroy(struct vfio_pci *d)
{
	if (!d)
		return;
	vfio_pin_off(&d->pin);
	if (d->irqs.vectors)
		vfio_irqs_enable(&d->irqs, false);
	pci_function_fini(&d->f);
	vfio_irqs_fini(&d->irqs);
	vfio_msi_fini(&d->msi);
	loop_event_fini(&d->error);
	loop_event_fini(&d->request);
	for (u32 i = 0; i < PCI_BARS; i++)
		vfio_bar_unmap(&d->bars[i]);
	free(d);
}

struct pci_function *vfio_pci_function(struct vfio_pci *d)
{
	return &d->f;
}

void vfio_pci_reset(struct vfio_pci *d)
{
	pin_off(d);
	vfio_msi_off(&d->msi);
	vfio_irqs_sleep(&d->irqs, true);
	reset_hardware(d);
	d->f.asleep = is_asleep(d);
	vfio_irqs_sleep(&d->irqs, d->f.asleep);
}

enum doorbell_mode vfio_pci_doorbell(const struct vfio_pci *d)
{
	return d->msi.dev ? d->msi.mode : d->irqs.bell.mode;
}

struct vfio_pci_status vfio_pci_status(struct vfio_pci *d)
{
	struct vfio_irqs *q = &d->irqs;
	struct vfio_pci_status s = {
		.mode = vfio_pci_doorbell(d),
		.vectors = d->msi.dev ? d->msi.max : q->nr,
		.rewrites = q->bell.rewrites,
		.verified = q->bell.verified,
		.strays = q->bell.strays,
		.resets = d->resets,
		.errors = d->errors,
		.faults = d->faults.count + q->refused.count +
			  d->msi.refused.count + d->pin.refused.count,
	};

	if (d->msi.dev) {
		s.armed = d->msi.nr;
		return s;
	}
	lock_take(&q->lock);
	for (u32 i = 0; i < q->nr; i++)
		s.armed += q->vectors[i].armed;
	lock_drop(&q->lock);
	return s;
}

struct vfio_pci_vector vfio_pci_vector(struct vfio_pci *d, u32 v)
{
	struct vfio_irqs *q = &d->irqs;
	const struct doorbell_vector *b = q->vectors + v;
	struct vfio_pci_vector out = { .armed = v < d->msi.nr };

	if (d->msi.dev)
		return out;
	lock_take(&q->lock);
	out = (struct vfio_pci_vector) { b->armed, b->open, b->wanted,
					 b->kernel, b->is };
	lock_drop(&q->lock);
	return out;
}
