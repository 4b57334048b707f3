/*
 * The host bridge: who is at which device and function number, and which BAR
 * answers at an address of the memory windows.
 */
#include "pci_priv.h"

#include <belfry/text.h>

#include <errno.h>
#include <stdlib.h>

struct pci_host {
	struct pci_windows win;
	/* A bus's: guards the functions' configuration spaces and where their
	 * BARs are. */
	struct lock lock;
	struct pci_function *functions[PCI_FUNCTIONS_MAX];
	/* Those that are there, by devfn: what looking for a BAR goes through.
	 */
	u8 present[PCI_FUNCTIONS_MAX];
	u32 nr;
	struct guest_faults faults;
};

/* What a read brings that nobody answers: PCI Express Base 5.0, 2.3.2. */
static u64 all_ones(u32 size)
{
	return ~0ull >> (64 - 8 * size);
}

bool host_has_room(const struct pci_host *h, gpa_t at, u64 size)
{
	const struct pci_windows *w = &h->win;

	return (at >= w->mem32 &&
		range_fits(at - w->mem32, size, w->mem32_size)) ||
	       (at >= w->mem64 &&
		range_fits(at - w->mem64, size, w->mem64_size));
}

struct guest_faults *host_faults(struct pci_host *h)
{
	return &h->faults;
}

/* --- configuration space --- */

/* The function an ECAM access goes to, and where in it; NULL if there is none
 * or the access is not of a kind that can be. */
static struct pci_function *ecam_target(struct pci_host *h, u64 off, u32 size,
					u32 *reg)
{
	*reg = off % PCI_ECAM_FUNCTION;
	if (size > 4 || off % size) {
		guest_fault(&h->faults,
			    "configuration access of %u bytes at 0x%llx", size,
			    (unsigned long long)off);
		return NULL;
	}
	return h->functions[off / PCI_ECAM_FUNCTION];
}

static u64 ecam_read(void *dev, u64 off, u32 size)
{
	struct pci_host *h = dev;
	u64 val = 0;
	u32 reg;
	struct pci_function *f = ecam_target(h, off, size, &reg);

	if (!f)
		return all_ones(size);
	lock_take(&h->lock);
	if (reg < PCI_CONFIG_SIZE)
		val = function_config_read(f, reg, size);
	else if (f->ops->extended_read)
		val = f->ops->extended_read(f->dev, reg, size);
	lock_drop(&h->lock);
	return val;
}

static void ecam_write(void *dev, u64 off, u32 size, u64 val)
{
	struct pci_host *h = dev;
	u32 reg;
	struct pci_function *f = ecam_target(h, off, size, &reg);

	if (!f)
		return;
	lock_take(&h->lock);
	if (reg < PCI_CONFIG_SIZE)
		function_config_write(f, reg, size, val);
	else if (f->ops->extended_write)
		f->ops->extended_write(f->dev, reg, size, (u32)val);
	lock_drop(&h->lock);
}

static const struct mmio_ops ecam_ops = { ecam_read, ecam_write };

/* --- memory windows --- */

/* A place in a BAR. */
struct bar_place {
	struct pci_function *f;
	u32 bar;
	u64 off;
};

static bool find_in(struct pci_function *f, gpa_t at, u32 size,
		    struct bar_place *p)
{
	for (u32 i = 0; i < ARRAY_SIZE(f->bars); i++) {
		const struct pci_bar *b = &f->bars[i];

		if (!b->at || at < b->at ||
		    !range_fits(at - b->at, size, b->size))
			continue;
		*p = (struct bar_place) { f, i, at - b->at };
		return true;
	}
	return false;
}

/* Where guests let BARs overlap, the first by number answers. */
static bool find_bar(struct pci_host *h, gpa_t at, u32 size,
		     struct bar_place *p)
{
	bool found = false;

	if (at % size == 0) {
		lock_take(&h->lock);
		for (u32 i = 0; !found && i < h->nr; i++)
			found = find_in(h->functions[h->present[i]], at, size,
					p);
		lock_drop(&h->lock);
	}
	if (!found)
		guest_fault(&h->faults,
			    "access of %u bytes at 0x%llx, where no BAR is",
			    size, (unsigned long long)at);
	return found;
}

static u64 window_read(struct pci_host *h, gpa_t at, u32 size)
{
	struct bar_place p;
	u64 val;

	if (!find_bar(h, at, size, &p))
		return all_ones(size);
	if (msix_read(p.f, p.bar, p.off, size, &val))
		return val;
	return p.f->ops->bar_read(p.f->dev, p.bar, p.off, size);
}

static void window_write(struct pci_host *h, gpa_t at, u32 size, u64 val)
{
	struct bar_place p;

	if (!find_bar(h, at, size, &p) ||
	    msix_write(p.f, p.bar, p.off, size, val))
		return;
	p.f->ops->bar_write(p.f->dev, p.bar, p.off, size, val);
}

static u64 mem32_read(void *dev, u64 off, u32 size)
{
	struct pci_host *h = dev;

	return window_read(h, h->win.mem32 + off, size);
}

static void mem32_write(void *dev, u64 off, u32 size, u64 val)
{
	struct pci_host *h = dev;

	window_write(h, h->win.mem32 + off, size, val);
}

static u64 mem64_read(void *dev, u64 off, u32 size)
{
	struct pci_host *h = dev;

	return window_read(h, h->win.mem64 + off, size);
}

static void mem64_write(void *dev, u64 off, u32 size, u64 val)
{
	struct pci_host *h = dev;

	window_write(h, h->win.mem64 + off, size, val);
}

static const struct mmio_ops mem32_ops = { mem32_read, mem32_write };
static const struct mmio_ops mem64_ops = { mem64_read, mem64_write };

/* --- the whole --- */

struct pci_host *pci_host_create(const struct pci_windows *w,
				 struct mmio_bus *bus, struct err *e)
{
	struct pci_host *h = calloc(1, sizeof(*h));
	const struct mmio_region regions[] = {
		{ "PCI ECAM", w->ecam, PCI_ECAM_SIZE, &ecam_ops, h },
		{ "PCI 32-bit window", w->mem32, w->mem32_size, &mem32_ops, h },
		{ "PCI 64-bit window", w->mem64, w->mem64_size, &mem64_ops, h },
	};

	if (!h) {
		err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	h->win = *w;
	h->lock = LOCK_INIT;
	h->faults.who = "pci";
	for (size_t i = 0; i < ARRAY_SIZE(regions); i++) {
		if (regions[i].len && mmio_bus_add(bus, &regions[i], e)) {
			free(h);
			return NULL;
		}
	}
	return h;
}

void pci_host_destroy(struct pci_host *h)
{
	free(h);
}

/* The devfns that are there, in order. */
static void list_present(struct pci_host *h)
{
	h->nr = 0;
	for (u32 i = 0; i < PCI_FUNCTIONS_MAX; i++)
		if (h->functions[i])
			h->present[h->nr++] = (u8)i;
}

/* A guest looks beyond function 0 only where that says there is more. */
static void mark_multi(struct pci_host *h, u32 devfn)
{
	struct pci_function **slot = &h->functions[devfn & ~7u];
	bool multi = false;

	for (u32 i = 1; i < 8; i++)
		multi |= slot[i] != NULL;
	if (!slot[0] || !multi)
		return;
	slot[0]->config[PCI_HEADER_TYPE] |= HEADER_MULTI;
	slot[0]->initial[PCI_HEADER_TYPE] |= HEADER_MULTI;
}

int pci_host_add(struct pci_host *h, struct pci_function *f, u32 devfn,
		 struct err *e)
{
	if (devfn >= PCI_FUNCTIONS_MAX)
		return err_set(e, -EINVAL, "%s: no PCI function has number %u",
			       f->name, devfn);
	if (h->functions[devfn])
		return err_set(e, -EEXIST, "%s: PCI 00:%02x.%u is taken by %s",
			       f->name, devfn >> 3, devfn & 7,
			       h->functions[devfn]->name);
	h->functions[devfn] = f;
	f->host = h;
	f->devfn = devfn;
	list_present(h);
	mark_multi(h, devfn);
	return 0;
}

int pci_host_has_room(const struct pci_host *h, const struct pci_function *f,
		      struct err *e)
{
	for (u32 i = 0; i <= PCI_ROM; i++) {
		const struct pci_bar *b = &f->bars[i];
		u64 above = b->mem64 ? h->win.mem64_size : 0;
		char size[TEXT_SIZE_MAX];

		if (b->size <= MAX(above, h->win.mem32_size))
			continue;
		text_print_size(size, b->size);
		return err_set(
			e, -ENOSPC,
			"%s: its BAR %u takes %s, and no window of the guest's PCI bus is as large",
			f->name, i, size);
	}
	return 0;
}

void pci_host_reset(struct pci_host *h)
{
	lock_take(&h->lock);
	for (u32 i = 0; i < h->nr; i++)
		pci_function_reset(h->functions[h->present[i]]);
	lock_drop(&h->lock);
}

u64 pci_host_faults(const struct pci_host *h)
{
	return h->faults.count;
}
