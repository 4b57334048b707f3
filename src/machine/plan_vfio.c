/*
 * The devices that are passed through, as this host has them: found in sysfs,
 * refused where a run would be, and what is in front of each told apart.
 */
#include <belfry/plan.h>

#include <belfry/iommufd.h>
#include <belfry/text.h>
#include <belfry/vfio.h>

#include <string.h>

static_assert(CONFIG_VFIOS_MAX <= DEVTREE_RMRS_MAX, "a region for each");
static_assert(CONFIG_VFIOS_MAX <= DEVTREE_PINS_MAX, "and a pin");
static_assert(2 * CONFIG_VFIOS_MAX + 1 <= DEVTREE_STREAMS_MAX,
	      "each, and what is between them");

/*
 * Room for BARs below 4 GiB, aligned to itself; the rest of the window is for
 * emulated functions. BARs are powers of two, so whatever the order they fit.
 */
#define BARS_BELOW_MAX (256 * MIB)

/* What KVM never has, so that sizes cannot overflow. */
#define BARS_ABOVE_MAX BIT(52)

struct search {
	struct plan *p;
	struct faults *f;
	struct memmap map; /* where RAM is */
	u64 below, above;  /* bytes of BARs, so far */
	u32 pins;          /* likewise */
	char its[CONFIG_VFIOS_MAX][HOSTPCI_ITS];
};

#define refuse(s, i, fmt, ...)                                                 \
	faults_add((s)->f, "%s: device %s: " fmt, (s)->p->cfg->vfios[i].place, \
		   (s)->p->cfg->vfios[i].host __VA_OPT__(, ) __VA_ARGS__)

/* --- what would refuse it --- */

/* The memory map is made for one window. */
static void check_window(struct search *s, u32 i, const struct hostpci_group *g)
{
	const struct hostpci_region *w = hostpci_msi_window(g);
	const gpa_t last = MEMMAP_MSI_WINDOW + MEMMAP_MSI_WINDOW_SIZE - 1;

	if (!w)
		refuse(s, i,
		       "its IOMMU group has no addresses for interrupts (msi in /sys/kernel/iommu_groups/%d/reserved_regions), as it has behind an Arm SMMU: this host cannot pass it through",
		       s->p->vfios[i].host.group);
	else if (w->start != MEMMAP_MSI_WINDOW || w->last != last)
		refuse(s, i,
		       "this host has its interrupts at 0x%llx to 0x%llx, and Belfry's guests have room for that at 0x%llx to 0x%llx only: this host cannot pass it through",
		       (unsigned long long)w->start,
		       (unsigned long long)w->last, MEMMAP_MSI_WINDOW,
		       (unsigned long long)last);
}

/* What can be done about memory at @at: less of it, or nothing. */
static void advise_memory(const struct search *s, u64 at,
			  char advice[static 64])
{
	char size[TEXT_SIZE_MAX];
	u64 left = at > s->map.ram ? ALIGN_DOWN(at - s->map.ram, 2 * MIB) : 0;

	if (left < CONFIG_MEMORY_MIN) {
		strcpy(advice, "this host cannot pass it through");
		return;
	}
	text_print_size(size, left);
	snprintf(advice, 64, "give the guest at most %s of memory", size);
}

/* The kernel overlooks "direct-relaxable" ones; the window is not in RAM. */
static void check_memory(struct search *s, u32 i, const struct hostpci_group *g)
{
	gpa_t last = s->map.ram + s->map.ram_size - 1;

	for (u32 k = 0; k < g->regions; k++) {
		const struct hostpci_region *r = &g->region[k];
		char advice[64];

		if (!strcmp(r->type, "direct-relaxable") ||
		    r->last < s->map.ram || r->start > last)
			continue;
		advise_memory(s, r->start, advice);
		refuse(s, i,
		       "this host reserves 0x%llx to 0x%llx for it (%s), and the guest's memory is at 0x%llx to 0x%llx: %s",
		       (unsigned long long)r->start,
		       (unsigned long long)r->last, r->type,
		       (unsigned long long)s->map.ram, (unsigned long long)last,
		       advice);
	}
}

static void check_group(struct search *s, u32 i)
{
	const struct hostpci *h = &s->p->vfios[i].host;
	char who[HOSTPCI_NAME], driver[32];
	struct hostpci_group g;
	const char *other;
	struct err e;

	if (hostpci_held_by(h, s->p->sys, who, driver))
		refuse(s, i,
		       "the IOMMU cannot tell it from %s, which this host uses (driver %s): give vfio-pci all of /sys/kernel/iommu_groups/%d/devices, or none",
		       who, driver, h->group);
	if (hostpci_group(&g, s->p->sys, h->group, &e)) {
		refuse(s, i, "%s", e.msg);
		return;
	}
	other = hostpci_other(&g, h->name);
	if (other && s->p->cfg->smmu != SMMU_FOR_NONE)
		refuse(s, i,
		       "this host's IOMMU cannot tell it from %s, and no guest's SMMU could: set smmu to off",
		       other);
	check_window(s, i, &g);
	check_memory(s, i, &g);
}

/*
 * Linux gives a BAR of 64 bits a place in the window above 4 GiB, prefetchable
 * or not: on the root bus (pci_bus_alloc_resource) only a window that is
 * prefetchable would refuse one that is not, and ours is none. If that is full
 * it tries the one below, where BARs of 32 bits are.
 */
static void count_bars(struct search *s, u32 i)
{
	char size[TEXT_SIZE_MAX], most[TEXT_SIZE_MAX];
	u64 before = s->below;

	for (u32 k = 0; k <= HOSTPCI_ROM; k++) {
		struct hostpci_bar b =
			hostpci_bar(&s->p->vfios[i].host, s->p->sys, k);

		if (b.memory)
			*(b.wide ? &s->above : &s->below) +=
				MIN(b.size, BARS_ABOVE_MAX);
	}
	if (s->below <= BARS_BELOW_MAX || before > BARS_BELOW_MAX)
		return;
	text_print_size(size, s->below);
	text_print_size(most, BARS_BELOW_MAX);
	refuse(s, i,
	       "with it and those before it BARs take %s below 4 GiB, where there is room for %s: pass fewer through",
	       size, most);
}

/* A group has one, whatever the firmware says: it cannot be parted. */
static void find_its(struct search *s, u32 i)
{
	struct plan_vfio *v = s->p->vfios;
	u32 k = 0;

	while (k < i && v[k].host.group != v[i].host.group)
		k++;
	if (k < i)
		memcpy(s->its[i], s->its[k], HOSTPCI_ITS);
	else if (!hostpci_its(&v[i].host, s->p->sys, s->its[i]))
		s->its[i][0] = '\0';
}

/* In turn they share what wires there are, as in a host: SPIs are few because a
 * guest clears each at boot. */
static void find_pin(struct search *s, u32 i,
		     const struct hostpci_interrupts *q)
{
	if (q->intx)
		s->p->vfios[i].intid = INTID_INTX + s->pins++ % INTX_WIRES;
}

/* A run may still find that its MSI-X table cannot be mapped. */
static void check_doorbell(struct search *s, u32 i,
			   const struct hostpci_interrupts *q)
{
	if (s->p->cfg->vfios[i].doorbell == DOORBELL_DIRECT && !q->cut &&
	    !q->msix)
		refuse(s, i,
		       "doorbell \"direct\" cannot be had: it has no MSI-X, and the host's kernel alone writes the address of its MSI; \"auto\" takes what can");
}

static void look_at_interrupts(struct search *s, u32 i)
{
	struct hostpci_interrupts q;
	u8 config[HOSTPCI_CONFIG];
	int len = hostpci_config(config, &s->p->vfios[i].host, s->p->sys);

	hostpci_interrupts(&q, config, len < 0 ? 0 : (size_t)len);
	find_pin(s, i, &q);
	check_doorbell(s, i, &q);
}

static void look_at(struct search *s, u32 i)
{
	const struct config_vfio *v = &s->p->cfg->vfios[i];
	struct hostpci *h = &s->p->vfios[i].host;
	struct err e;

	if (hostpci_look(h, s->p->sys, v->host, &e) ||
	    (v->fd ? vfio_check_fd(s->p->sys, v->host, v->fd, &e)
		   : vfio_check(s->p->sys, v->host, &e))) {
		faults_add(s->f, "%s: %s", v->place, e.msg);
		return;
	}
	if (v->iommufd && iommufd_check_fd(v->iommufd, &e))
		faults_add(s->f, "%s: %s", v->place, e.msg);
	check_group(s, i);
	count_bars(s, i);
	find_its(s, i);
	look_at_interrupts(s, i);
}

/* --- what is in front of it --- */

/* Those whose ITS is not known are taken to have the same, unless who gave us
 * an iommufd for each knows more. */
static bool share_its(const struct search *s, u32 i, u32 k)
{
	const struct config_vfio *v = s->p->cfg->vfios;

	return !strcmp(s->its[k], s->its[i]) &&
	       (*s->its[i] || v[k].iommufd == v[i].iommufd);
}

static void find_space(struct search *s, u32 i, u32 *spaces)
{
	struct plan_vfio *v = s->p->vfios;
	u32 k = 0;

	while (k < i && !share_its(s, i, k))
		k++;
	v[i].space = k < i ? v[k].space : (*spaces)++;
}

static void find_smmu(struct search *s, u32 i)
{
	struct plan_vfio *v = s->p->vfios;
	u32 k = 0;

	v[i].smmu = PLAN_NO_SMMU;
	if (s->p->cfg->smmu == SMMU_FOR_NONE)
		return;
	while (k < i && strcmp(v[k].host.iommu, v[i].host.iommu))
		k++;
	v[i].smmu = k < i ? v[k].smmu : s->p->smmus++;
	if (v[i].smmu == MEMMAP_SMMUS_MAX)
		refuse(s, i,
		       "it is behind another SMMU of this host (%s) than those before it, and a guest can have %u: pass fewer through, or set smmu to off",
		       v[i].host.iommu, MEMMAP_SMMUS_MAX);
}

/* The addresses that an iommufd gives to one ITS cannot be another's. */
static void check_iommufd(struct search *s, u32 i)
{
	const struct config_vfio *v = s->p->cfg->vfios;
	const struct plan_vfio *p = s->p->vfios;

	for (u32 k = 0; k < i; k++)
		if (p[k].space == p[i].space && v[k].iommufd != v[i].iommufd) {
			refuse(s, i,
			       "it interrupts by the same ITS of this host as %s (%s): give both the same iommufd, or neither one",
			       v[k].host, v[k].place);
			return;
		} else if (p[k].space != p[i].space && v[i].iommufd &&
			   v[k].iommufd == v[i].iommufd) {
			refuse(s, i,
			       "it interrupts by another ITS of this host than %s (%s): open another iommufd for it",
			       v[k].host, v[k].place);
			return;
		}
}

static void tell_apart(struct search *s)
{
	u32 spaces = 0;

	for (u32 i = 0; i < s->p->cfg->vfios_nr; i++) {
		find_space(s, i, &spaces);
		check_iommufd(s, i);
		find_smmu(s, i);
	}
	/* Those that are emulated are behind the first. */
	if (s->p->cfg->smmu == SMMU_FOR_ALL && s->p->cfg->devices_nr)
		s->p->smmus = MAX(s->p->smmus, 1);
}

/* All of it fits, whatever the order, in what is aligned to itself. */
static u64 window_for(u64 bars)
{
	u64 size = GIB;

	while (size < bars && size < BARS_ABOVE_MAX)
		size *= 2;
	return bars ? size : 0;
}

bool plan_find(struct plan *p, const char *sys, struct faults *f)
{
	struct search s = { .p = p, .f = f };
	size_t before = f->nr;

	p->sys = sys;
	p->smmus = 0;
	memmap_init(&s.map, p->cfg->cpus, p->cfg->memory, false);
	for (u32 i = 0; i < p->cfg->vfios_nr; i++) {
		p->vfios[i] = (struct plan_vfio) {
			.rmr = p->cfg->vfios[i].doorbell == DOORBELL_RMR,
		};
		look_at(&s, i);
	}
	if (f->nr == before)
		tell_apart(&s);
	p->mem64_size = window_for(s.above);
	return f->nr == before;
}

/* --- the device tree --- */

static void add_stream(struct devtree *d, u32 rid, u32 smmu)
{
	struct devtree_streams *last = &d->streams[d->streams_nr];

	if (smmu == PLAN_NO_SMMU)
		return;
	if (d->streams_nr && last[-1].smmu == smmu &&
	    last[-1].rid + last[-1].count == rid) {
		last[-1].count++;
		return;
	}
	*last = (struct devtree_streams) { rid, 1, smmu, rid };
	d->streams_nr++;
}

/* A StreamID is a RID. With all of them behind one there are no gaps, so that
 * it is a few long runs. */
void plan_streams(const struct plan *p, struct devtree *d)
{
	const struct config *c = p->cfg;
	u32 smmu[PCI_FUNCTIONS_MAX];

	for (u32 rid = 0; rid < PCI_FUNCTIONS_MAX; rid++)
		smmu[rid] =
			c->smmu == SMMU_FOR_ALL && p->smmus ? 0 : PLAN_NO_SMMU;
	for (u32 i = 0; i < c->devices_nr; i++) {
		const struct config_device *at = &c->devices[i];

		if (at->kind != CONFIG_VFIO)
			continue;
		smmu[at->bdf] = p->vfios[at->index].smmu;
		if (p->vfios[at->index].rmr)
			d->rmr[d->rmrs++] = at->bdf;
		if (p->vfios[at->index].intid)
			d->pin[d->pins++] = (struct devtree_pin) {
				at->bdf, p->vfios[at->index].intid
			};
	}
	for (u32 rid = 0; rid < PCI_FUNCTIONS_MAX; rid++)
		add_stream(d, rid, smmu[rid]);
}
