/*
 * The PCI functions of this host: what each would be to a guest, and what keeps
 * it from being lent. First all is looked at, then it is printed, briefly or in
 * full.
 */
#include <belfry/hostpci.h>
#include <belfry/text.h>
#include <belfry/vfio.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "doctor.h"

/* Where Linux has its MSI window, which the guests' ITS stands at (memmap.h).
 */
#define WINDOW_START 0x8000000ull
#define WINDOW_LAST  0x80fffffull

/* How a guest's message gets to be the device's. */
enum doorbell {
	BELL_UNKNOWN,
	BELL_NONE,
	BELL_HOST,
	BELL_RMR,
	BELL_DIRECT,
};

static const char *const doorbell_names[] = { "not known", "none", "host",
					      "rmr", "direct" };

struct function {
	struct hostpci h;
	struct hostpci_group group;
	const struct hostpci_region *window; /* in group; NULL: none */
	struct hostpci_interrupts q;
	struct hostpci_bar table; /* where MSI-X has it */
	char its[HOSTPCI_ITS];    /* "": not known */
	enum doorbell doorbell;
	const char *doorbell_why;
	struct err taken; /* why VFIO cannot give it to us; 0: it can */
	u32 held;         /* others of its group that this host uses */
	enum doctor_nesting nesting;
	struct err nesting_why;
};

/* --- looking --- */

/* PCI Code and ID Assignment 1.15, 1.1; a base class alone is its last row. */
static const char *class_word(u32 class)
{
	static const struct {
		u32 mask, class;
		const char *word;
	} rows[] = {
		{ 0xffff00, 0x010100, "IDE controller" },
		{ 0xffff00, 0x010400, "RAID controller" },
		{ 0xffff00, 0x010600, "SATA controller" },
		{ 0xffff00, 0x010700, "SAS controller" },
		{ 0xffff00, 0x010800, "NVMe disk" },
		{ 0xff0000, 0x010000, "storage" },
		{ 0xffff00, 0x020000, "Ethernet" },
		{ 0xffff00, 0x020700, "InfiniBand" },
		{ 0xff0000, 0x020000, "network" },
		{ 0xffff00, 0x030000, "VGA" },
		{ 0xffff00, 0x030200, "GPU" },
		{ 0xff0000, 0x030000, "display" },
		{ 0xffff00, 0x040300, "audio" },
		{ 0xff0000, 0x040000, "multimedia" },
		{ 0xffff00, 0x050200, "CXL memory" },
		{ 0xff0000, 0x050000, "memory" },
		{ 0xffff00, 0x070000, "serial port" },
		{ 0xff0000, 0x070000, "communication" },
		{ 0xffff00, 0x080500, "SD host" },
		{ 0xff0000, 0x060000, "bridge" },
		{ 0xff0000, 0x080000, "system device" },
		{ 0xff0000, 0x090000, "input" },
		{ 0xff0000, 0x0b0000, "processor" },
		{ 0xffff00, 0x0c0300, "USB controller" },
		{ 0xff0000, 0x0c0000, "serial bus" },
		{ 0xff0000, 0x0d0000, "wireless" },
		{ 0xff0000, 0x100000, "encryption" },
		{ 0xff0000, 0x110000, "signal processing" },
		{ 0xff0000, 0x120000, "accelerator" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if ((class & rows[i].mask) == rows[i].class)
			return rows[i].word;
	return "device";
}

static bool is_bridge(const struct hostpci *h)
{
	return h->class >> 16 == 6;
}

/* As vfio-pci maps BARs: in whole pages, which must be its own. */
static bool table_maps(const struct function *f, u64 page)
{
	const struct hostpci_bar *b = &f->table;

	return b->memory &&
	       range_fits(f->q.table_off, 16ull * f->q.msix, b->size) &&
	       (b->size >= page || IS_ALIGNED(b->start, page));
}

static enum doorbell decide(const struct function *f, u64 page,
			    const char **why)
{
	*why = "";
	if (!f->window) {
		*why = "this host has no window that its messages could go through";
		return BELL_NONE;
	}
	if (f->window->start != WINDOW_START ||
	    f->window->last != WINDOW_LAST) {
		*why = "this host's MSI window is not where guests have their ITS";
		return BELL_NONE;
	}
	if (hostpci_other(&f->group, f->h.name)) {
		*why = "its guest has no SMMU in front of it, so its messages keep this host's address";
		return BELL_HOST;
	}
	if (f->q.msix && table_maps(f, page))
		return BELL_DIRECT;
	if (f->q.msix) {
		*why = "its MSI-X table cannot be mapped, so its messages keep this host's address";
		return BELL_RMR;
	}
	if (f->q.cut) {
		*why = "run this as root";
		return BELL_UNKNOWN;
	}
	if (f->q.msi) {
		*why = "the message of MSI keeps this host's address: VFIO lets nobody write it";
		return BELL_RMR;
	}
	*why = "it sends no messages";
	return BELL_NONE;
}

static void look_at_interrupts(struct function *f, const char *sys)
{
	u8 config[HOSTPCI_CONFIG];
	int len = hostpci_config(config, &f->h, sys);

	hostpci_interrupts(&f->q, config, len < 0 ? 0 : (size_t)len);
	if (f->q.msix)
		f->table = hostpci_bar(&f->h, sys, f->q.table_bar);
	f->doorbell = decide(f, (u64)sysconf(_SC_PAGESIZE), &f->doorbell_why);
}

static u32 members(const struct function *f)
{
	return MIN(f->group.nr, HOSTPCI_MEMBERS_MAX);
}

/* Is member @i another one that keeps this from being lent? */
static bool in_the_way(const struct function *f, const char *sys, u32 i,
		       char driver[static 32])
{
	const char *member = f->group.member[i];

	return strcmp(member, f->h.name) != 0 &&
	       hostpci_holds(sys, f->h.group, member, driver);
}

static void look_at_group(struct function *f, const char *sys)
{
	char driver[32];
	struct err e;

	/* Then VFIO says so. */
	if (f->h.group < 0 || hostpci_group(&f->group, sys, f->h.group, &e))
		return;
	f->window = hostpci_msi_window(&f->group);
	for (u32 i = 0; i < members(f); i++)
		f->held += in_the_way(f, sys, i, driver);
}

static void look_at_nesting(struct function *f, const struct doctor *d)
{
	const char *other = hostpci_other(&f->group, f->h.name);

	if (f->taken.code || f->held || !d->iommufd)
		return;
	if (other) {
		f->nesting = NESTING_REFUSED;
		err_set(&f->nesting_why, -ENOTSUP,
			"device %s: this host's IOMMU cannot tell it from %s, and no guest's SMMU could",
			f->h.name, other);
		return;
	}
	f->nesting = doctor_ask_smmu(d->sys, f->h.name, &f->nesting_why);
	if (f->nesting == NESTING_BUSY)
		f->taken = f->nesting_why;
}

static int look_at_function(struct function *f, const struct doctor *d,
			    const char *name, struct err *e)
{
	int err;

	*f = (struct function) { .held = 0 };
	err = hostpci_look(&f->h, d->sys, name, e);
	if (err)
		return err;
	look_at_group(f, d->sys);
	look_at_interrupts(f, d->sys);
	hostpci_its(&f->h, d->sys, f->its);
	f->taken.code = vfio_check(d->sys, name, &f->taken);
	look_at_nesting(f, d);
	return 0;
}

/* --- saying --- */

/* Why interrupts are not known. */
#define CUT \
	"the kernel shows that (config space from 0x40) to root only, and of devices that are on: run this as root"

/* What a message says after "device NAME: ". */
static const char *without_name(const struct function *f, const char *msg)
{
	char prefix[HOSTPCI_NAME + 16];
	int len = snprintf(prefix, sizeof(prefix), "device %s: ", f->h.name);

	return strncmp(msg, prefix, (size_t)len) != 0 ? msg : msg + len;
}

static const char *driver_word(const struct function *f)
{
	return *f->h.driver ? f->h.driver : "no driver";
}

/* What is to be done about member @i, or why nothing can be. */
static void explain_member(const struct function *f, const char *sys, u32 i,
			   const char *driver, struct err *e)
{
	const char *member = f->group.member[i];
	struct hostpci h;

	if (hostpci_look(&h, sys, member, e) || !vfio_check(sys, member, e))
		err_set(e, -EBUSY,
			"%s (driver %s), which is no PCI function: unbind it",
			member, driver);
}

/* --- saying it briefly --- */

static void brief_interrupts(const struct function *f, char text[static 32])
{
	if (f->q.msix)
		snprintf(text, 32, "MSI-X %u", f->q.msix);
	else if (f->q.cut)
		snprintf(text, 32, "interrupts not known");
	else if (f->q.msi)
		snprintf(text, 32, "MSI %u", f->q.msi);
	else
		snprintf(text, 32, f->q.intx ? "INTx" : "no interrupts");
}

static void add_obstacles(const struct function *f, const char *sys)
{
	char driver[32];
	struct err e;

	if (f->taken.code)
		doctor_add("%s", without_name(f, f->taken.msg));
	for (u32 i = 0; i < members(f) && f->held; i++) {
		if (!in_the_way(f, sys, i, driver))
			continue;
		explain_member(f, sys, i, driver, &e);
		doctor_add("in the way, in its IOMMU group: %s", e.msg);
	}
	if (f->nesting == NESTING_REFUSED)
		doctor_add("no SMMU for its guest: %s",
			   without_name(f, f->nesting_why.msg));
	if (f->doorbell == BELL_NONE)
		doctor_add("doorbell none: %s", f->doorbell_why);
}

static void tell_briefly(struct doctor *d, const struct function *f)
{
	bool lent = !f->taken.code && !f->held && d->iommufd;
	char interrupts[32];

	brief_interrupts(f, interrupts);
	doctor_tell(d, lent ? FINE : LACKING, f->h.name,
		    "%s %04x:%04x, %s, group %d, %s, doorbell %s%s",
		    class_word(f->h.class), f->h.vendor, f->h.device,
		    driver_word(f), f->h.group, interrupts,
		    doorbell_names[f->doorbell],
		    f->nesting == NESTING_USABLE ? ", nesting" : "");
	add_obstacles(f, d->sys);
}

/* --- saying it in full --- */

static void tell_driver(struct doctor *d, const struct function *f)
{
	if (f->taken.code)
		doctor_tell(d, FATAL, "driver", "%s",
			    without_name(f, f->taken.msg));
	else
		doctor_tell(d, FINE, "driver",
			    "%s, which lends it as /dev/vfio/devices/%s",
			    f->h.driver, f->h.cdev);
}

static void tell_group(struct doctor *d, const struct function *f)
{
	char driver[32];
	struct err e;

	if (f->h.group < 0)
		return;
	doctor_tell(d, f->held ? FATAL : FINE, "IOMMU group", "%d, %s",
		    f->h.group,
		    f->group.nr > 1 ? "which is lent as one:"
				    : "nothing else in it");
	for (u32 i = 0; i < members(f); i++) {
		if (in_the_way(f, d->sys, i, driver)) {
			explain_member(f, d->sys, i, driver, &e);
			doctor_add("%s", e.msg);
		} else if (strcmp(f->group.member[i], f->h.name) != 0) {
			doctor_add("%s, %s", f->group.member[i],
				   *driver ? driver : "no driver");
		}
	}
	if (f->group.nr > members(f))
		doctor_add("and %u more", f->group.nr - members(f));
}

static void tell_resets(struct doctor *d, const struct function *f)
{
	if (*f->h.resets)
		doctor_tell(d, FINE, "reset", "%s", f->h.resets);
	else
		doctor_tell(
			d, LACKING, "reset",
			"not alone: a guest finds it as the one before left it, and this host too");
}

static void tell_msix(struct doctor *d, const struct function *f)
{
	bool maps = table_maps(f, (u64)sysconf(_SC_PAGESIZE));
	char size[TEXT_SIZE_MAX];

	text_print_size(size, f->table.size);
	doctor_tell(
		d, maps ? FINE : LACKING, "interrupts",
		"MSI-X, %u; their table, in BAR %u (%s), %s", f->q.msix,
		f->q.table_bar, size,
		maps ? "can be mapped"
		     : "cannot be mapped: it is no memory, or shares a page with other devices");
}

static void tell_interrupts(struct doctor *d, const struct function *f)
{
	if (f->q.msix)
		tell_msix(d, f);
	else if (f->q.cut)
		doctor_tell(d, LACKING, "interrupts", "not known: " CUT);
	else if (f->q.msi)
		doctor_tell(d, FINE, "interrupts", "MSI only, %u", f->q.msi);
	else if (f->q.intx)
		doctor_tell(d, FINE, "interrupts", "INTx only");
	else
		doctor_tell(d, LACKING, "interrupts", "it has none");
}

static void tell_nesting(struct doctor *d, const struct function *f)
{
	switch (f->nesting) {
	case NESTING_USABLE:
		doctor_tell(d, FINE, "nesting",
			    "its guest can have an SMMU of its own");
		break;
	case NESTING_REFUSED:
		doctor_tell(d, LACKING, "nesting",
			    "%s (without it: --smmu off)",
			    without_name(f, f->nesting_why.msg));
		break;
	default:
		doctor_tell(
			d, LACKING, "nesting",
			"not known: the SMMU can be asked once VFIO has the function and every NO is mended");
		break;
	}
}

static void tell_window(struct doctor *d, const struct function *f)
{
	if (!f->window)
		doctor_tell(d, LACKING, "MSI window",
			    "this host has none for it");
	else
		doctor_tell(d, f->doorbell == BELL_NONE ? LACKING : FINE,
			    "MSI window", "0x%08llx to 0x%08llx",
			    (unsigned long long)f->window->start,
			    (unsigned long long)f->window->last);
}

static void tell_its(struct doctor *d, const struct function *f)
{
	if (*f->its)
		doctor_tell(d, FINE, "ITS", "%s", f->its);
	else
		doctor_tell(
			d, LACKING, "ITS",
			"not known: the firmware does not tell, or root alone may read it (IORT)");
}

static void tell_in_full(struct doctor *d, const struct function *f)
{
	doctor_tell(d, FINE, f->h.name, "%s, %04x:%04x", class_word(f->h.class),
		    f->h.vendor, f->h.device);
	tell_driver(d, f);
	if (is_bridge(&f->h))
		return;
	tell_group(d, f);
	tell_resets(d, f);
	tell_interrupts(d, f);
	doctor_tell(d, *f->h.iommu ? FINE : LACKING, "SMMU", "%s",
		    *f->h.iommu ? f->h.iommu : "not known");
	tell_nesting(d, f);
	tell_window(d, f);
	tell_its(d, f);
	doctor_tell(d, f->doorbell == BELL_DIRECT ? FINE : LACKING, "doorbell",
		    "%s%s%s", doorbell_names[f->doorbell],
		    *f->doorbell_why ? ": " : "", f->doorbell_why);
}

int doctor_tell_function(struct doctor *d, const char *name, struct err *e)
{
	struct function f;
	int err;

	doctor_look_at_lending(d, FATAL);
	err = look_at_function(&f, d, name, e);
	if (err)
		return err;
	tell_in_full(d, &f);
	return 0;
}

/* Only those that an IOMMU translates for; bridges are not lent. */
static bool could_be_lent(const struct doctor *d, const char *name)
{
	struct hostpci h;
	struct err e;

	return !hostpci_look(&h, d->sys, name, &e) && !is_bridge(&h) &&
	       h.group >= 0;
}

static void tell_what_is_not_known(struct doctor *d)
{
	doctor_tell(
		d, LACKING, "not known",
		"what some of them interrupt with, and so their doorbell: " CUT);
}

void doctor_list_functions(struct doctor *d)
{
	char(*names)[HOSTPCI_NAME] = NULL;
	int nr = hostpci_list(d->sys, &names), lent = 0;
	bool cut = false;
	struct function f;
	struct err e;

	for (int i = 0; i < nr; i++) {
		if (!could_be_lent(d, names[i]))
			continue;
		if (!lent++)
			doctor_look_at_lending(d, LACKING);
		if (look_at_function(&f, d, names[i], &e))
			continue;
		tell_briefly(d, &f);
		cut |= f.q.cut && !f.q.msix;
	}
	free(names);
	if (!lent)
		doctor_tell(
			d, LACKING, "passthrough",
			"no PCI function that an IOMMU translates for: the firmware must tell of an SMMU in front of one, and the kernel have CONFIG_ARM_SMMU_V3");
	if (cut)
		tell_what_is_not_known(d);
}
