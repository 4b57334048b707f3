/*
 * What a guest sees of configuration spaces: of devices as they are made, and
 * of some that are not as they should be. All that is said nowhere below is
 * noise in the device's, and 0 in the guest's.
 */
#include "unit.h"
#include "vfio_priv.h"

#include <stdio.h>
#include <string.h>

#define CAPS 12

struct range {
	u32 off, len;
	enum kind {
		HIDDEN,
		COPIED = 1,
		PASSED,
		CHANGED, /* told otherwise */
	} kind;
};

struct cap {
	u32 at, id, next;
};

struct row {
	const char *name;
	/* The device's: where the chain begins, and what is in it. Of extended
	 * ones the first is at 0x100. */
	u32 first;
	struct cap caps[CAPS], extended[CAPS];
	/* The guest's chains. */
	u32 shown[CAPS], extended_shown[CAPS];
	/* Besides the header and ids. */
	struct range parts[20];
	u32 msix, pm, exp, af;
};

static const struct row rows[] = {
	{ .name = "a network card (82576)",
	  .first = 0x40,
	  .caps = { { 0x40, 0x01, 0x50 },
		    { 0x50, 0x05, 0x70 },
		    { 0x70, 0x11, 0xa0 },
		    { 0xa0, 0x10, 0 } },
	  .extended = { { 0x100, 0x01, 0x140 },
			{ 0x140, 0x03, 0x150 },
			{ 0x150, 0x0e, 0x160 },
			{ 0x160, 0x10, 0 } },
	  .shown = { 0x40, 0x70, 0xa0 },
	  .extended_shown = { 0x100, 0x140 },
	  .parts = { { 0x48, 8, PASSED }, /* behind each */
		     { 0x5e, 0x12, PASSED },
		     { 0x7c, 0x24, PASSED },
		     { 0xdc, 0x24, PASSED },
		     { 0x42, 2, COPIED },
		     { 0x44, 2, PASSED },
		     { 0x72, 1, COPIED },
		     { 0x74, 8, COPIED },
		     { 0xa4, 4, COPIED },
		     { 0xa8, 4, PASSED },
		     { 0xc4, 4, COPIED },
		     { 0x144, 8, COPIED } },
	  .msix = 0x70,
	  .pm = 0x40,
	  .exp = 0xa0 },
	{ .name = "a disk (NVMe)",
	  .first = 0x40,
	  .caps = { { 0x40, 0x01, 0x50 },
		    { 0x50, 0x05, 0x70 },
		    { 0x70, 0x10, 0xb0 },
		    { 0xb0, 0x11, 0 } },
	  .extended = { { 0x100, 0x01, 0x168 },
			{ 0x168, 0x03, 0x178 },
			{ 0x178, 0x04, 0x198 },
			{ 0x198, 0x19, 0x1bc },
			{ 0x1bc, 0x18, 0x214 },
			{ 0x214, 0x0b, 0x224 },
			{ 0x224, 0x1e, 0 } },
	  .shown = { 0x40, 0x70, 0xb0 },
	  .extended_shown = { 0x100, 0x168, 0x214 },
	  .parts = { { 0x48, 8, PASSED },
		     { 0x5e, 0x12, PASSED },
		     { 0xac, 4, PASSED },
		     { 0xbc, 0x44, PASSED },
		     { 0x42, 2, COPIED },
		     { 0x44, 2, PASSED },
		     { 0x74, 4, COPIED },
		     { 0x78, 4, PASSED },
		     { 0x94, 4, COPIED },
		     { 0xb2, 1, COPIED },
		     { 0xb4, 8, COPIED },
		     { 0x16c, 8, COPIED },
		     /* Sixteen bytes, says its header. */
		     { 0x218, 12, PASSED } },
	  .msix = 0xb0,
	  .pm = 0x40,
	  .exp = 0x70 },
	{ .name = "a conventional one with FLR",
	  .first = 0xdc,
	  .caps = { { 0xdc, 0x01, 0x98 },
		    { 0x98, 0x13, 0xc0 },
		    { 0xc0, 0x11, 0 } },
	  .shown = { 0xdc, 0x98, 0xc0 },
	  .parts = { { 0x40, 0x58, PASSED }, /* in no capability */
		     { 0x9e, 0x22, PASSED },
		     { 0xcc, 0x10, PASSED },
		     { 0xe4, 0x1c, PASSED },
		     { 0x9a, 2, COPIED },
		     { 0x9c, 2, PASSED },
		     { 0xc2, 1, COPIED },
		     { 0xc4, 8, COPIED },
		     { 0xde, 2, COPIED },
		     { 0xe0, 2, PASSED } },
	  .msix = 0xc0,
	  .pm = 0xdc,
	  .af = 0x98 },
	{ .name = "vendors' own, VPD, and a subsystem",
	  .first = 0x40,
	  .caps = { { 0x40, 0x09, 0x54 },
		    { 0x54, 0x09, 0x60 },
		    { 0x60, 0x03, 0x70 },
		    { 0x70, 0x0d, 0x80 },
		    { 0x80, 0x09, 0 } },
	  .extended = { { 0x100, 0x0b, 0x110 },
			{ 0x110, 0x23, 0x130 },
			{ 0x130, 0x0b, 0 } },
	  .shown = { 0x40, 0x54, 0x60, 0x70, 0x80 },
	  .extended_shown = { 0x100, 0x110, 0x130 },
	  /* Each says that it is of sixteen bytes. */
	  .parts = { { 0x42, 14, PASSED },
		     { 0x50, 4, PASSED },
		     { 0x68, 8, PASSED },
		     { 0x78, 8, PASSED },
		     { 0x90, 0x70, PASSED },
		     { 0x56, 10, PASSED }, /* the next begins there */
		     { 0x62, 6, PASSED },
		     { 0x74, 4, COPIED },
		     { 0x82, 14, PASSED },
		     { 0x104, 12, PASSED },
		     { 0x114, 12, PASSED },
		     { 0x134, 12, PASSED } } },
	{ .name = "all that is hidden",
	  .first = 0x48,
	  .caps = { { 0x48, 0x07, 0x60 },
		    { 0x60, 0x08, 0x70 },
		    { 0x70, 0x14, 0x80 },
		    { 0x80, 0xff, 0x90 },
		    { 0x90, 0x00, 0 } },
	  .extended = { { 0x100, 0x0f, 0x110 },
			{ 0x110, 0x13, 0x120 },
			{ 0x120, 0x1b, 0x130 },
			{ 0x130, 0x15, 0x140 },
			{ 0x140, 0x2a, 0xffc },
			{ 0xffc, 0xffff, 0 } },
	  .parts = { { 0x40, 8, PASSED } } },
	{ .name = "a second one of what there is one of",
	  .first = 0x40,
	  .caps = { { 0x40, 0x01, 0x50 },
		    { 0x50, 0x11, 0x60 },
		    { 0x60, 0x01, 0x70 },
		    { 0x70, 0x11, 0x80 },
		    { 0x80, 0x13, 0x90 },
		    { 0x90, 0x13, 0xa0 },
		    { 0xa0, 0x10, 0xd0 },
		    { 0xd0, 0x10, 0 } },
	  .shown = { 0x40, 0x50, 0x80, 0xa0 },
	  .parts = { { 0x48, 8, PASSED },
		     { 0x5c, 4, PASSED },
		     { 0x68, 8, PASSED },
		     { 0x7c, 4, PASSED },
		     { 0x86, 10, PASSED },
		     { 0x96, 10, PASSED },
		     { 0x42, 2, COPIED },
		     { 0x44, 2, PASSED },
		     { 0x52, 1, COPIED },
		     { 0x54, 8, COPIED },
		     { 0x82, 2, COPIED },
		     { 0x84, 2, PASSED },
		     { 0xa4, 4, COPIED },
		     { 0xa8, 4, PASSED },
		     { 0xc4, 4, COPIED } },
	  .msix = 0x50,
	  .pm = 0x40,
	  .exp = 0xa0,
	  .af = 0x80 },
	{ .name = "too short",
	  .first = 0x40,
	  .caps = { { 0x40, 0x01, 0x44 },
		    { 0x44, 0x10, 0x4c },
		    { 0x4c, 0x11, 0x54 },
		    { 0x54, 0x13, 0x58 },
		    { 0x58, 0x03, 0x5c },
		    { 0x5c, 0x0d, 0x60 },
		    { 0x60, 0x08, 0xfc },
		    { 0xfc, 0x11, 0 } },
	  .extended = { { 0x100, 0x03, 0x108 },
			{ 0x108, 0x0b, 0x10c },
			{ 0x10c, 0x23, 0x110 },
			{ 0x110, 0x01, 0xffc },
			{ 0xffc, 0x0b, 0 } } },
	{ .name = "just long enough",
	  .first = 0x40,
	  .caps = { { 0x40, 0x01, 0x48 },
		    { 0x48, 0x10, 0x54 },
		    { 0x54, 0x11, 0x60 },
		    { 0x60, 0x13, 0x68 },
		    { 0x68, 0x03, 0x70 },
		    { 0x70, 0x0d, 0x78 },
		    { 0x78, 0x09, 0x7c },
		    { 0x7c, 0x08, 0 } },
	  .extended = { { 0x100, 0x03, 0x10c },
			{ 0x10c, 0x0b, 0x114 },
			{ 0x114, 0x23, 0x11c },
			{ 0x11c, 0x01, 0 } },
	  .shown = { 0x40, 0x48, 0x54, 0x60, 0x68, 0x70, 0x78 },
	  .extended_shown = { 0x100, 0x10c, 0x114 },
	  .parts = { { 0x42, 2, COPIED },
		     { 0x44, 2, PASSED },
		     { 0x4c, 4, COPIED },
		     { 0x50, 4, PASSED },
		     { 0x56, 1, COPIED },
		     { 0x58, 8, COPIED },
		     { 0x62, 2, COPIED },
		     { 0x64, 4, PASSED }, /* two of them behind it */
		     { 0x6a, 6, PASSED },
		     { 0x74, 4, COPIED },
		     { 0x7a, 2, PASSED },
		     { 0x104, 8, COPIED },
		     { 0x110, 4, PASSED },
		     { 0x118, 4, PASSED } },
	  .msix = 0x54,
	  .pm = 0x40,
	  .exp = 0x48,
	  .af = 0x60 },
	{ .name = "at the very end",
	  .first = 0xf4,
	  .caps = { { 0xf4, 0x11, 0 } },
	  .extended = { { 0x100, 0x01, 0xff4 }, { 0xff4, 0x03, 0 } },
	  .shown = { 0xf4 },
	  .extended_shown = { 0x100, 0xff4 },
	  .parts = { { 0x40, 0xb4, PASSED },
		     { 0xf6, 1, COPIED },
		     { 0xf8, 8, COPIED },
		     { 0xff8, 8, COPIED } },
	  .msix = 0xf4 },
	{ .name = "chains that are loops",
	  .first = 0x80,
	  .caps = { { 0x80, 0x01, 0x40 }, { 0x40, 0x0d, 0x80 } },
	  .extended = { { 0x100, 0x03, 0x200 }, { 0x200, 0x03, 0x100 } },
	  .shown = { 0x80, 0x40 },
	  .extended_shown = { 0x100, 0x200 },
	  .parts = { { 0x88, 0x78, PASSED },
		     { 0x48, 0x38, PASSED },
		     { 0x82, 2, COPIED },
		     { 0x84, 2, PASSED },
		     { 0x44, 4, COPIED },
		     { 0x104, 8, COPIED },
		     { 0x204, 8, COPIED } },
	  .pm = 0x80 },
	{ .name = "chains of one that are loops",
	  .first = 0x40,
	  .caps = { { 0x40, 0x07, 0x40 } },
	  .extended = { { 0x100, 0x01, 0x100 } } },
	{ .name = "chains that lead into headers, by odd ways",
	  .first = 0x43, /* the low two bits are reserved */
	  .caps = { { 0x40, 0x0d, 0x4a }, { 0x48, 0x0d, 0x3c } },
	  .extended = { { 0x100, 0x03, 0x203 }, { 0x200, 0x03, 0x0fc } },
	  .shown = { 0x40, 0x48 },
	  .extended_shown = { 0x100, 0x200 },
	  .parts = { { 0x50, 0xb0, PASSED },
		     { 0x44, 4, COPIED },
		     { 0x4c, 4, COPIED },
		     { 0x104, 8, COPIED },
		     { 0x204, 8, COPIED } } },
	{ .name = "a chain that begins in the header",
	  .first = 0x3c,
	  .parts = { { 0x40, 0xc0, PASSED } } },
};

static u8 raw[CONFIG_SIZE];
static struct vfio_view view;

/* Nothing in it is 0, so that what is hidden shows. */
static void make_noise(void)
{
	for (u32 i = 0; i < CONFIG_SIZE; i++)
		raw[i] = (u8)(i * 37 + i / 256 * 11) | 1;
	raw[0x2c] = 0xff; /* a byte with all bits, in what is copied */
}

/* Vendors' capabilities say how long they are, those of PCI Express by their
 * version, and MSI by what it has: 64 bits, and no masks. */
static void make_raw(const struct row *r)
{
	make_noise();
	field_put(raw + 0x06, 2, 0xffff);
	raw[0x34] = (u8)r->first;
	for (const struct cap *c = r->caps; c->at; c++) {
		field_put(raw + c->at, 2, c->id | c->next << 8);
		if (c->id == 0x09)
			raw[c->at + 2] = 16;
		if (c->id == 0x10)
			raw[c->at + 2] = (u8)((raw[c->at + 2] & 0xf0) | 2);
		if (c->id == 0x05)
			field_put(raw + c->at + 2, 2, 0x0080);
	}
	field_put(raw + 0x100, 4, 0);
	for (const struct cap *c = r->extended; c->at; c++) {
		field_put(raw + c->at, 4, c->id | 1 << 16 | c->next << 20);
		if ((c->id == 0x0b || c->id == 0x23) && c->at + 8 < CONFIG_SIZE)
			field_put(raw + c->at + 4, 4, 0x00012345 | 16 << 20);
	}
}

/* --- the guest's chains --- */

static const struct cap *cap_at(const struct cap *c, u32 at)
{
	while (c->at && c->at != at)
		c++;
	return c;
}

static void expect_chain(const struct row *r)
{
	u32 at = view.config[0x34];

	for (const u32 *want = r->shown; *want; want++) {
		ck_assert_msg(at == *want, "%s: 0x%x, not 0x%x", r->name, at,
			      *want);
		ck_assert_uint_eq(view.config[at], cap_at(r->caps, at)->id);
		at = view.config[at + 1];
	}
	ck_assert_msg(!at, "%s: 0x%x", r->name, at);
	ck_assert_uint_eq(field_get(view.config + 0x06, 2),
			  *r->shown ? 0x10 : 0);
}

/* Version and id are the device's; of the first that is hidden neither. */
static void expect_extended(const struct row *r)
{
	u32 at = 0x100;

	for (const u32 *want = r->extended_shown; *want; want++) {
		u64 head = field_get(view.config + at, 4);
		u32 id = cap_at(r->extended, at)->id;

		ck_assert_msg(at == *want, "%s: 0x%x, not 0x%x", r->name, at,
			      *want);
		if (at == 0x100 && id != 0x03 && id != 0x0b)
			ck_assert_uint_eq(head & 0xfffff, 0);
		else
			ck_assert_uint_eq(head & 0xfffff, id | 1 << 16);
		at = (u32)(head >> 20);
	}
	ck_assert_msg(!at || at == 0x100, "%s: 0x%x", r->name, at);
}

/* --- every byte --- */

static u8 kinds[CONFIG_SIZE];

static void mark(u32 off, u32 len, enum kind kind)
{
	memset(kinds + off, kind, len);
}

static void mark_all(const struct row *r)
{
	memset(kinds, HIDDEN, sizeof(kinds));
	mark(0x00, 4, COPIED);
	mark(0x06, 2, CHANGED);
	mark(0x08, 4, COPIED);
	mark(0x2c, 4, COPIED);
	mark(0x34, 1, CHANGED);
	for (const u32 *at = r->shown; *at; at++)
		mark(*at, 2, CHANGED);
	for (const u32 *at = r->extended_shown; *at; at++)
		mark(*at, 4, CHANGED);
	for (const struct range *p = r->parts; p->len; p++)
		mark(p->off, p->len, p->kind);
	if (r->msix)
		mark(r->msix + 3, 1, CHANGED);
	if (r->exp)
		mark(r->exp + 2, 2, CHANGED);
}

static u8 writable(const struct row *r, u32 i)
{
	static const struct {
		u32 off;
		u8 bits;
	} header[] = { { 0x04, 0x46 },
		       { 0x05, 0x05 },
		       { 0x0c, 0xff },
		       { 0x0d, 0xff },
		       { 0x3c, 0xff } };

	for (size_t j = 0; j < ARRAY_SIZE(header); j++)
		if (i == header[j].off)
			return header[j].bits;
	if (r->msix && i == r->msix + 3)
		return 0xc0;
	return kinds[i] == PASSED ? 0xff : 0;
}

static void expect_bytes(const struct row *r)
{
	mark_all(r);
	for (u32 i = 0; i < CONFIG_SIZE; i++) {
		ck_assert_msg(view.passed[i] == (kinds[i] == PASSED),
			      "%s: 0x%x", r->name, i);
		if (i < PCI_CONFIG_SIZE)
			ck_assert_msg(view.writable[i] == writable(r, i),
				      "%s: 0x%x: 0x%x", r->name, i,
				      view.writable[i]);
		if (kinds[i] != CHANGED)
			ck_assert_msg(view.config[i] ==
					      (kinds[i] == COPIED ? raw[i] : 0),
				      "%s: 0x%x: 0x%x", r->name, i,
				      view.config[i]);
	}
}

/* MSI-X is off; on this bus a device has no port above it. */
static void expect_changes(const struct row *r)
{
	u32 flags = (u32)field_get(raw + r->exp + 2, 2);

	if (r->msix)
		ck_assert_uint_eq(view.config[r->msix + 3],
				  raw[r->msix + 3] & 0x3f);
	if (r->exp)
		ck_assert_uint_eq(field_get(view.config + r->exp + 2, 2),
				  (flags & 0xff0f) | 0x90);
}

START_TEST(views)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *r = &rows[i];

		make_raw(r);
		memset(&view, 0xa5, sizeof(view));
		vfio_view_init(&view, raw);
		expect_chain(r);
		expect_extended(r);
		expect_bytes(r);
		expect_changes(r);
		ck_assert_msg(view.msix == r->msix && view.pm == r->pm &&
				      view.exp == r->exp && view.af == r->af,
			      "%s", r->name);
	}
}
END_TEST

/* Status says that there is no list, whatever is where one would begin. */
START_TEST(no_list)
{
	make_raw(&rows[0]);
	field_put(raw + 0x06, 2, 0xffef);
	vfio_view_init(&view, raw);
	ck_assert_uint_eq(view.config[0x34] | view.config[0x06], 0);
	ck_assert_uint_eq(view.msix | view.pm | view.exp | view.af, 0);
	for (u32 i = 0x40; i < PCI_CONFIG_SIZE; i++)
		ck_assert(view.passed[i] && !view.config[i]);
}
END_TEST

/* A device that is not there any more, and one that is empty. */
START_TEST(nothing)
{
	for (int ones = 0; ones < 2; ones++) {
		memset(raw, ones ? 0xff : 0, sizeof(raw));
		vfio_view_init(&view, raw);
		ck_assert_uint_eq(view.config[0x34] | view.config[0x06], 0);
		ck_assert_uint_eq(view.msix | view.pm | view.exp | view.af, 0);
		ck_assert_uint_eq(field_get(view.config, 4), ones ? ~0u : 0);
		for (u32 i = 0x40; i < CONFIG_SIZE; i++) {
			/* All ones are a chain, one long, in the last word. */
			bool passed = i < (ones ? 0xfc : PCI_CONFIG_SIZE);

			ck_assert(view.passed[i] == passed);
			ck_assert_uint_eq(view.config[i], 0);
		}
	}
}
END_TEST

/* What is longest and what is shortest that a vendor's can say. Behind a
 * conventional one all is passed anyway. */
START_TEST(lengths)
{
	static const u8 conventional[] = { 0, 2, 3, 16, 32, 33, 255 };
	static const struct {
		u32 says, passed;
	} extended[] = { { 0, 0 },   { 4, 0 },   { 5, 1 },
			 { 32, 28 }, { 33, 28 }, { 4095, 28 } };
	static const struct row both = {
		.first = 0x40,
		.caps = { { 0x40, 0x09, 0x60 }, { 0x60, 0x07, 0 } },
		.extended = { { 0x100, 0x0b, 0x120 }, { 0x120, 0x01, 0 } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(conventional); i++) {
		make_raw(&both);
		raw[0x42] = conventional[i];
		vfio_view_init(&view, raw);
		for (u32 j = 0x40; j < 0x80; j++)
			ck_assert(view.passed[j] == (j >= 0x42 && j < 0x60));
	}
	for (size_t i = 0; i < ARRAY_SIZE(extended); i++) {
		make_raw(&both);
		field_put(raw + 0x104, 4, extended[i].says << 20);
		vfio_view_init(&view, raw);
		for (u32 j = 0x100; j < 0x180; j++)
			ck_assert(
				view.passed[j] ==
				(j >= 0x104 && j < 0x104 + extended[i].passed));
	}
}
END_TEST

/* Without MSI-X: what of MSI the device can, off, and for the guest to write.
 */
START_TEST(msi_alone)
{
	static const struct {
		u16 control;
		u32 next;       /* where the capability behind it begins */
		u16 shows;      /* 0: nothing */
		u32 data, mask; /* where they are; 0: nowhere */
		u32 vectors;    /* that the mask has */
	} msi[] = {
		{ 0x0000, 0x4c, 0x0000, 8, 0, 0 },
		{ 0x0080, 0x50, 0x0080, 12, 0, 0 },
		{ 0x01ff, 0x58, 0x0180, 12, 16, 1 }, /* 7: reserved */
		{ 0x018b, 0x58, 0x018a, 12, 16, 32 },
		{ 0x0103, 0x54, 0x0102, 8, 12, 2 },
		/* Cut short. */
		{ 0x0000, 0x48, 0, 0, 0, 0 },
		{ 0x0080, 0x4c, 0, 0, 0, 0 },
		{ 0x0102, 0x50, 0, 0, 0, 0 },
		{ 0x0182, 0x54, 0, 0, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(msi); i++) {
		struct row r = { .first = 0x40,
				 .caps = { { 0x40, 0x05, msi[i].next },
					   { msi[i].next, 0x07, 0 } } };
		const u8 *w = view.writable + 0x40;
		u32 end = msi[i].next;

		make_raw(&r);
		field_put(raw + 0x42, 2, msi[i].control);
		vfio_view_init(&view, raw);
		ck_assert_uint_eq(view.msi, msi[i].data ? 0x40 : 0);
		ck_assert_uint_eq(view.config[0x34], view.msi);
		ck_assert_uint_eq(field_get(view.config + 0x42, 2),
				  msi[i].shows);
		for (u32 at = 0x44; at < 0x60; at++)
			ck_assert_uint_eq(view.config[at], 0);
		if (msi[i].data)
			end = 0x40 +
			      (msi[i].mask ? msi[i].mask + 8 : msi[i].data + 2);
		for (u32 at = 0x40; at < msi[i].next; at++)
			ck_assert(view.passed[at] == (at >= end));
		ck_assert_uint_eq(field_get(w + 2, 2), view.msi ? 0x71 : 0);
		if (!view.msi)
			continue;
		ck_assert_uint_eq(field_get(w + 4, 4), 0xfffffffc);
		if (msi[i].data == 12)
			ck_assert_uint_eq(field_get(w + 8, 4), 0xffffffff);
		ck_assert_uint_eq(field_get(w + msi[i].data, 2), 0xffff);
		if (msi[i].mask)
			ck_assert_uint_eq(field_get(w + msi[i].mask, 4),
					  GENMASK(msi[i].vectors - 1, 0));
	}
}
END_TEST

UNIT_MAIN("vfio_config", msi_alone, views, no_list, nothing, lengths)
