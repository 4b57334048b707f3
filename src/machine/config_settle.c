/*
 * What the operator left open, decided. The same configuration gives the same
 * guest: whoever names a device in it by its place or address finds it there
 * again.
 */
#include "config_reader.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUEUES_DEFAULT 4

static_assert(CONFIG_DEVICES_MAX <= 31 * 8, "all find a place");

/*
 * A locally administered address. Guests that share a network are on different
 * interfaces of it, so their addresses differ, too (FNV-1a).
 */
static void make_mac(struct config_net *n, u32 index)
{
	const u64 prime = 0x100000001b3;
	u64 hash = 0xcbf29ce484222325;

	for (const char *p = n->tap ? n->tap : ""; *p; p++)
		hash = (hash ^ (u8)*p) * prime;
	hash = (hash ^ index) * prime;
	n->mac[0] = 0x02;
	for (u32 i = 1; i < sizeof(n->mac); i++)
		n->mac[i] = (u8)(hash >> 8 * i);
}

static void settle_net(struct config_net *n, u32 index)
{
	static const u8 none[sizeof(n->mac)];

	if (!n->queues)
		n->queues = MAX(n->fds_nr, 1);
	if (!memcmp(n->mac, none, sizeof(none)))
		make_mac(n, index);
}

static void add(struct config *c, enum config_kind kind, u32 index, u32 bdf)
{
	static const char *const names[] = {
		[CONFIG_HVC] = "hvc",     [CONFIG_RNG] = "rng",
		[CONFIG_DRIVE] = "drive", [CONFIG_NET] = "net",
		[CONFIG_VFIO] = "vfio",
	};
	struct config_device *d = &c->devices[c->devices_nr++];

	*d = (struct config_device) { kind, index, bdf, "" };
	snprintf(d->name, sizeof(d->name),
		 kind >= CONFIG_DRIVE ? "%s[%u]" : "%s", names[kind], index);
}

static void list_devices(struct config *c)
{
	c->devices_nr = 0;
	if (c->hvc != HVC_OFF)
		add(c, CONFIG_HVC, 0, CONFIG_BDF_AUTO);
	if (c->rng)
		add(c, CONFIG_RNG, 0, CONFIG_BDF_AUTO);
	for (u32 i = 0; i < c->drives_nr; i++)
		add(c, CONFIG_DRIVE, i, c->drives[i].bdf);
	for (u32 i = 0; i < c->nets_nr; i++)
		add(c, CONFIG_NET, i, c->nets[i].bdf);
	for (u32 i = 0; i < c->vfios_nr; i++)
		add(c, CONFIG_VFIO, i, c->vfios[i].bdf);
}

/* Is a device in [@bdf, @bdf + @nr)? */
static bool taken(const struct config *c, u32 bdf, u32 nr)
{
	for (u32 i = 0; i < c->devices_nr; i++)
		if (c->devices[i].bdf - bdf < nr)
			return true;
	return false;
}

/* The first free place from @bdf on: of a device number that is free, or
 * @beside others. */
static u32 free_place(const struct config *c, u32 bdf, bool beside)
{
	while (taken(c, bdf, 1) || taken(c, bdf & ~7u, 8) != beside)
		bdf++;
	return bdf;
}

/*
 * Each has a device number of its own, as long as those that are left can take
 * the rest, with all their functions; then it is another function beside the
 * one before it. So guests find them in our order, and most places do not
 * depend on how many there are. Number 0 is where a host bridge is looked for,
 * and left to those who ask for it.
 */
static void place_devices(struct config *c)
{
	u32 numbers = 0, rest = 0, last = 0;

	for (u32 dev = 1; dev < 32; dev++)
		numbers += !taken(c, dev << 3, 8);
	for (u32 i = 0; i < c->devices_nr; i++)
		rest += c->devices[i].bdf == CONFIG_BDF_AUTO;
	for (u32 i = 0; i < c->devices_nr; i++) {
		bool beside = rest > 8 * numbers;

		if (c->devices[i].bdf != CONFIG_BDF_AUTO)
			continue;
		last = free_place(c, beside ? MAX(last, 8) : 8, beside);
		c->devices[i].bdf = last;
		numbers -= !beside;
		rest--;
	}
}

static int by_bdf(const void *a, const void *b)
{
	const struct config_device *x = a, *y = b;

	return x->bdf < y->bdf ? -1 : x->bdf > y->bdf;
}

void config_settle(struct config *c)
{
	for (u32 i = 0; i < c->drives_nr; i++)
		if (!c->drives[i].queues)
			c->drives[i].queues = MIN(c->cpus, QUEUES_DEFAULT);
	for (u32 i = 0; i < c->nets_nr; i++)
		settle_net(&c->nets[i], i);
	list_devices(c);
	place_devices(c);
	qsort(c->devices, c->devices_nr, sizeof(*c->devices), by_bdf);
	/* Where nothing sends messages an ITS costs least in the kernel. */
	if (c->irqchip == IRQCHIP_SPLIT && !c->devices_nr)
		c->irqchip = IRQCHIP_KERNEL;
}

void config_print_bdf(char buf[static CONFIG_BDF_TEXT], u32 bdf)
{
	snprintf(buf, CONFIG_BDF_TEXT, "00:%02x.%x", bdf >> 3 & 0x1f, bdf & 7);
}
