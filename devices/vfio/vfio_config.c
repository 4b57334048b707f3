/*
 * What of a function's configuration space the guest sees.
 *
 * The tables say it by capability: the hardware's own, read and written through
 * (what VFIO makes of it: it keeps to itself what would hurt the host); a copy
 * that stays; or nothing, the chain going past it. What is not in a table is
 * hidden, with all that lies between it and the next. What lies behind the end
 * of a conventional one that is in a table is the device's own business, as is
 * all that no capability has: drivers look for registers there.
 */
#include "vfio_priv.h"

#include <string.h>

#define VENDOR_ID       0x00
#define REVISION        0x08
#define CACHE_LINE      0x0c
#define LATENCY         0x0d
#define SUBSYSTEM       0x2c
#define CAPABILITIES    0x34
#define INTERRUPT_LINE  0x3c
#define HEADER_END      0x40
#define STATUS_CAPS     BIT(4)

#define CAP_PM          0x01
#define CAP_VPD         0x03
#define CAP_MSI         0x05
#define CAP_VENDOR      0x09
#define CAP_SUBSYSTEM   0x0d
#define CAP_EXP         0x10
#define CAP_MSIX        0x11
#define CAP_AF          0x13
#define EXTENDED_VENDOR 0x000b
#define EXTENDED_SERIAL 0x0003
#define EXTENDED_DVSEC  0x0023

#define EXP_FLAGS       2
#define EXP_VERSION     GENMASK(3, 0)
#define EXP_DEVCAP2     0x24
#define EXP_TYPE        GENMASK(7, 4)
#define EXP_TYPE_RC_END 9
#define MSIX_SWITCHES   0xc0 /* enable, function mask: control's high byte */

/* Extended capabilities begin with 32 bits: id, version, where the next is. */
#define EXTENDED        PCI_CONFIG_SIZE
#define EXTENDED_ID     GENMASK(15, 0)
#define EXTENDED_NEXT   GENMASK(31, 20)
#define EXTENDED_LENGTH GENMASK(31, 20) /* of the second 32, where known */

/* Part of a capability, by offset in it. */
struct part {
	u8 off, len;
	enum part_kind {
		COPIED = 1, /* it stays as it is */
		PASSED,
	} kind;
};

#define PARTS_MAX 6

struct rule {
	u32 id, least;                /* a shorter one is hidden */
	u32 length;                   /* 0: see length() */
	bool sized;                   /* passed, up to its length */
	struct part parts[PARTS_MAX]; /* the rest reads as 0 */
};

/*
 * Of a PCI Express one there is no link: on this bus it is an integrated
 * endpoint, and the link is the host's.
 */
static const struct rule rules[] = {
	{ CAP_PM, 6, 8,
	  .parts = { { 2, 2, COPIED }, { PM_CONTROL, 2, PASSED } } },
	{ CAP_VPD, 8, 8, .parts = { { 2, 6, PASSED } } },
	{ CAP_MSI, 10, .sized = false }, /* see make_msi */
	{ CAP_VENDOR, 3, .sized = true },
	{ CAP_SUBSYSTEM, 8, 8, .parts = { { 4, 4, COPIED } } },
	{ CAP_EXP, 12,
	  .parts = { { EXP_FLAGS, 2, COPIED },
		     { EXP_DEVCAP, 4, COPIED },
		     { EXP_DEVCTL, 4, PASSED },
		     { EXP_DEVCAP2, 4, COPIED } } },
	{ CAP_MSIX, 12, 12, .parts = { { 2, 10, COPIED } } },
	{ CAP_AF, 6, 6,
	  .parts = { { 2, 2, COPIED }, { AF_CONTROL, 2, PASSED } } },
};

static const struct rule extended_rules[] = {
	{ EXTENDED_SERIAL, 12, .parts = { { 4, 8, COPIED } } },
	{ EXTENDED_VENDOR, 8, .sized = true },
	{ EXTENDED_DVSEC, 8, .sized = true },
};

static const struct rule *find(const struct rule *r, size_t nr, u32 id)
{
	for (size_t i = 0; i < nr; i++)
		if (r[i].id == id)
			return &r[i];
	return NULL;
}

static void copy(struct vfio_view *v, const u8 *raw, u32 off, u32 len)
{
	memcpy(v->config + off, raw + off, len);
}

static void pass(struct vfio_view *v, u32 off, u32 len)
{
	for (u32 i = off; i < off + len; i++) {
		v->passed[i] = true;
		if (i < PCI_CONFIG_SIZE)
			v->writable[i] = 0xff;
	}
}

/* A capability at @at with room up to @end, whose first @head bytes are the
 * chain's. */
static void show(struct vfio_view *v, const u8 *raw, const struct rule *r,
		 u32 at, u32 head, u32 sized, u32 end)
{
	if (r->sized)
		pass(v, at + head, MAX(MIN(sized, end - at), head) - head);
	for (u32 i = 0; i < PARTS_MAX; i++) {
		const struct part *p = &r->parts[i];
		u32 off = at + p->off;
		u32 len = MIN(p->len, end > off ? end - off : 0);

		if (p->kind == PASSED)
			pass(v, off, len);
		else
			copy(v, raw, off, len);
	}
}

/* Where capabilities are, in the chain's order. */
struct chain {
	u32 nr;
	u16 at[CONFIG_SIZE / 4];
	bool begins[CONFIG_SIZE + 1]; /* here, or it is the end of all */
};

/* False if there is one already: a chain that is a loop. */
static bool add(struct chain *c, u32 at)
{
	if (c->begins[at])
		return false;
	c->begins[at] = true;
	c->at[c->nr++] = (u16)at;
	return true;
}

static u32 end_of(const struct chain *c, u32 at)
{
	do
		at++;
	while (!c->begins[at]);
	return at;
}

/* --- the conventional ones --- */

static void walk(struct chain *c, const u8 *raw)
{
	u32 at = raw[CAPABILITIES] & ~3u;

	memset(c, 0, sizeof(*c));
	c->begins[PCI_CONFIG_SIZE] = true;
	if (!(field_get(raw + STATUS, 2) & STATUS_CAPS))
		return;
	while (at >= HEADER_END && add(c, at))
		at = raw[at + 1] & ~3u;
}

/* Where is kept where the capability is, if somebody has to mind it. */
static u32 *place_of(struct vfio_view *v, u32 id)
{
	switch (id) {
	case CAP_PM:
		return &v->pm;
	case CAP_EXP:
		return &v->exp;
	case CAP_MSI:
		return &v->msi;
	case CAP_MSIX:
		return &v->msix;
	case CAP_AF:
		return &v->af;
	default:
		return NULL;
	}
}

/* Of those the first is what the host's kernel goes by; there is to be no way
 * past us by another. With @msix MSI is not needed: that does all it does. */
static bool is_shown(struct vfio_view *v, const struct rule *r, bool msix)
{
	u32 *place = r ? place_of(v, r->id) : NULL;

	return r && !(r->id == CAP_MSI && msix) && !(place && *place);
}

static void make_integrated(struct vfio_view *v)
{
	u8 *flags = v->config + v->exp + EXP_FLAGS;
	u64 is = field_get(flags, 2) & ~EXP_TYPE;

	if (v->exp)
		field_put(flags, 2, is | FIELD_PREP(EXP_TYPE, EXP_TYPE_RC_END));
}

/* Off, and the guest may change that. */
static void make_msix(struct vfio_view *v)
{
	if (!v->msix)
		return;
	v->config[v->msix + 3] &= (u8)~MSIX_SWITCHES;
	v->writable[v->msix + 3] = MSIX_SWITCHES;
}

/* One that is cut short is none. */
static bool fits(const u8 *raw, const struct rule *r, u32 at, u32 end)
{
	return end - at >= r->least &&
	       (r->id != CAP_MSI || end - at >= vfio_msi_length(raw + at));
}

static const struct rule *rule_for(const struct chain *c, const u8 *raw, u32 at)
{
	const struct rule *r = find(rules, ARRAY_SIZE(rules), raw[at]);

	return r && fits(raw, r, at, end_of(c, at)) ? r : NULL;
}

/* How much of the room up to the next is its own. All, of one that is hidden,
 * as we do not know; and of a vendor's, as what follows it is passed, too. */
static u32 length(const struct rule *r, const u8 *cap, u32 room)
{
	u32 own;

	if (!r || r->id == CAP_VENDOR)
		return room;
	if (r->id == CAP_MSI)
		own = vfio_msi_length(cap);
	else if (r->id == CAP_EXP)
		own = (cap[EXP_FLAGS] & EXP_VERSION) > 1 ? 60 : 20;
	else
		own = r->length;
	return MIN(own, room);
}

static bool has_msix(const struct chain *c, const u8 *raw)
{
	for (u32 i = 0; i < c->nr; i++)
		if (raw[c->at[i]] == CAP_MSIX && rule_for(c, raw, c->at[i]))
			return true;
	return false;
}

static void make_msi(struct vfio_view *v, const u8 *raw)
{
	if (!v->msi)
		return;
	copy(v, raw, v->msi + 2, 2);
	vfio_msi_show(v->config + v->msi, v->writable + v->msi);
}

static void capabilities(struct vfio_view *v, const u8 *raw)
{
	u8 *link = v->config + CAPABILITIES;
	struct chain c;
	bool msix;

	walk(&c, raw);
	msix = has_msix(&c, raw);
	for (u32 i = 0; i < c.nr; i++) {
		u32 at = c.at[i], room = end_of(&c, at) - at;
		const struct rule *r = rule_for(&c, raw, at);
		u32 end = at + length(r, raw + at, room);

		for (u32 j = at; j < end; j++) {
			v->passed[j] = false;
			v->writable[j] = 0;
		}
		if (!is_shown(v, r, msix))
			continue;
		v->config[at] = raw[at];
		show(v, raw, r, at, 2, end - at, end);
		if (place_of(v, r->id))
			*place_of(v, r->id) = at;
		*link = (u8)at;
		link = v->config + at + 1;
	}
	if (v->config[CAPABILITIES])
		field_put(v->config + STATUS, 2, STATUS_CAPS);
	make_integrated(v);
	make_msix(v);
	make_msi(v, raw);
}

/* --- the extended ones --- */

static void walk_extended(struct chain *c, const u8 *raw)
{
	u32 at = EXTENDED, head;

	memset(c, 0, sizeof(*c));
	c->begins[CONFIG_SIZE] = true;
	for (;;) {
		head = (u32)field_get(raw + at, 4);
		if (!head || head == UINT32_MAX || !add(c, at))
			return;
		at = FIELD_GET(EXTENDED_NEXT, head) & ~3u;
		if (at < EXTENDED)
			return;
	}
}

/* One that is hidden stays in the chain if it is the first: it has no other
 * beginning. Id 0 is the null capability (PCIe 5.0, 7.9.28). */
static void extended_capabilities(struct vfio_view *v, const u8 *raw)
{
	u32 last = EXTENDED;
	struct chain c;

	walk_extended(&c, raw);
	for (u32 i = 0; i < c.nr; i++) {
		u32 at = c.at[i], end = end_of(&c, at);
		u64 head = field_get(raw + at, 4);
		const struct rule *r =
			find(extended_rules, ARRAY_SIZE(extended_rules),
			     FIELD_GET(EXTENDED_ID, head));

		if (!r || end - at < r->least)
			continue;
		field_put(v->config + at, 4, head & ~EXTENDED_NEXT);
		show(v, raw, r, at, 4,
		     (u32)FIELD_GET(EXTENDED_LENGTH,
				    field_get(raw + at + 4, 4)),
		     end);
		if (at == EXTENDED)
			continue;
		head = field_get(v->config + last, 4);
		field_put(v->config + last, 4,
			  head | FIELD_PREP(EXTENDED_NEXT, at));
		last = at;
	}
}

/* --- the whole --- */

void vfio_view_init(struct vfio_view *v, const u8 raw[static CONFIG_SIZE])
{
	static const struct {
		u32 off, len;
	} copied[] = {
		{ VENDOR_ID, 4 },
		{ REVISION, 4 },
		{ SUBSYSTEM, 4 },
	};

	memset(v, 0, sizeof(*v));
	for (size_t i = 0; i < ARRAY_SIZE(copied); i++)
		copy(v, raw, copied[i].off, copied[i].len);
	field_put(v->writable + COMMAND, 2,
		  COMMAND_MEMORY | COMMAND_MASTER | COMMAND_PARITY |
			  COMMAND_SERR | COMMAND_INTX_OFF);
	v->writable[CACHE_LINE] = v->writable[LATENCY] =
		v->writable[INTERRUPT_LINE] = 0xff;
	/* What is in no capability is the device's own business. */
	pass(v, HEADER_END, PCI_CONFIG_SIZE - HEADER_END);
	capabilities(v, raw);
	extended_capabilities(v, raw);
}
