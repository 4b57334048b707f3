/*
 * Configuration spaces of any bytes: both of the guest's chains end, name what
 * is allowed and nothing else, and of capabilities nothing is the hardware's
 * own but where a table says so.
 *
 * Input: the space from its beginning, up to 4096 bytes; the rest is 0.
 */
#include "vfio_priv.h"

#include <assert.h>
#include <string.h>

#define CAP_PM   0x01
#define CAP_MSI  0x05
#define CAP_EXP  0x10
#define CAP_MSIX 0x11
#define CAP_AF   0x13

/* The device's own chains: where capabilities begin. */
struct model {
	bool begins[CONFIG_SIZE];
	bool shown[CONFIG_SIZE]; /* in the guest's */
	/* Whose a byte is, or 0. */
	u32 owner[CONFIG_SIZE];
};

static void walk(struct model *m, const u8 *raw)
{
	u32 at = raw[0x34] & 0xfcu;

	while ((raw[0x06] & 0x10) && at >= 0x40 && !m->begins[at]) {
		m->begins[at] = true;
		at = raw[at + 1] & 0xfcu;
	}
	at = 0x100;
	while (at >= 0x100 && !m->begins[at]) {
		u64 head = field_get(raw + at, 4);

		if (!head || head == UINT32_MAX)
			break;
		m->begins[at] = true;
		at = (u32)(head >> 20) & 0xffcu;
	}
}

/* How long the conventional capability at @at is. */
static u32 length(const u8 *raw, u32 at)
{
	u64 control = field_get(raw + at + 2, 2);
	u32 data = control & 0x80 ? 12 : 8;

	switch (raw[at]) {
	case CAP_PM:
	case 0x03:
	case 0x0d:
		return 8;
	case CAP_AF:
		return 6;
	case CAP_MSIX:
		return 12;
	case CAP_EXP:
		return (control & 0xf) > 1 ? 60 : 20;
	case CAP_MSI:
		return control & 0x100 ? data + 12 : data + 2;
	default:
		return CONFIG_SIZE;
	}
}

/* What is behind the end of a conventional one is nobody's. */
static void find_owners(struct model *m, const u8 *raw)
{
	u32 at = 0;

	for (u32 i = 0; i < CONFIG_SIZE; i++) {
		if (i == 0x100 ||
		    (at && i < 0x100 && i - at == length(raw, at)))
			at = 0;
		if (m->begins[i])
			at = i;
		m->owner[i] = at;
	}
}

static bool allowed(u32 id)
{
	return id == CAP_PM || id == 0x03 || id == CAP_MSI || id == 0x09 ||
	       id == 0x0d || id == CAP_EXP || id == CAP_MSIX || id == CAP_AF;
}

/* One of these there is once. */
static void check_place(const struct vfio_view *v, u32 id, u32 at)
{
	assert(id != CAP_PM || v->pm == at);
	assert(id != CAP_EXP || v->exp == at);
	assert(id != CAP_MSI || (v->msi == at && !v->msix));
	assert(id != CAP_MSIX || v->msix == at);
	assert(id != CAP_AF || v->af == at);
}

static void check_chain(struct model *m, const struct vfio_view *v,
			const u8 *raw)
{
	u32 at = v->config[0x34];

	assert(v->config[0x06] == (at ? 0x10 : 0) && !v->config[0x07]);
	for (; at; at = v->config[at + 1]) {
		assert(at >= 0x40 && at % 4 == 0);
		assert(m->begins[at] && !m->shown[at]);
		assert(v->config[at] == raw[at] && allowed(raw[at]));
		check_place(v, raw[at], at);
		m->shown[at] = true;
	}
	assert(!v->pm || m->shown[v->pm]);
	assert(!v->exp || m->shown[v->exp]);
	assert(!v->msi || m->shown[v->msi]);
	assert(!v->msix || m->shown[v->msix]);
	assert(!v->af || m->shown[v->af]);
}

static void check_extended(struct model *m, const struct vfio_view *v,
			   const u8 *raw)
{
	u32 at = 0x100;

	while (at) {
		u64 head = field_get(v->config + at, 4);
		u32 id = head & 0xffff;

		assert(at >= 0x100 && at % 4 == 0 && !m->shown[at]);
		if (head & 0xfffff) {
			assert(m->begins[at]);
			assert((head & 0xfffff) ==
			       (field_get(raw + at, 4) & 0xfffff));
			assert(id == 0x03 || id == 0x0b || id == 0x23);
			m->shown[at] = true;
		} else {
			assert(at == 0x100);
		}
		at = (u32)(head >> 20);
	}
}

/* May the guest reach the hardware's byte @off of capability @at? */
static bool may_pass(const u8 *raw, u32 at, u32 off)
{
	if (at >= 0x100)
		return off >= 4 && raw[at] != 0x03 &&
		       off < field_get(raw + at + 4, 4) >> 20;
	switch (raw[at]) {
	case CAP_PM:
	case CAP_AF:
		return off == 4 || off == 5;
	case CAP_EXP:
		return off >= 8 && off < 12;
	case 0x03:
		return off >= 2 && off < 8;
	case 0x09:
		return off >= 2;
	default:
		return false;
	}
}

static void check_passed(const struct model *m, const struct vfio_view *v,
			 const u8 *raw)
{
	for (u32 i = 0; i < CONFIG_SIZE; i++) {
		u32 at = m->owner[i];

		if (!v->passed[i])
			continue;
		assert(i >= 0x40);
		if (at)
			assert(m->shown[at] && may_pass(raw, at, i - at));
		else
			assert(i < 0x100);
	}
}

/* Of MSI's the guest writes all but what says how it is made. */
static u8 msi_writable(const u8 *cap, u32 off)
{
	u32 control = (u32)field_get(cap + 2, 2), nr = control >> 1 & 7;
	u32 data = control & 0x80 ? 12 : 8;

	if (off == 2)
		return 0x71;
	if (off >= 4 && off < data)
		return off == 4 ? 0xfc : 0xff;
	if (off == data || off == data + 1)
		return 0xff;
	if (!(control & 0x100) || off < data + 4 || off >= data + 8)
		return 0;
	nr = nr > 5 ? 1 : 1 << nr;
	return (u8)((BIT(nr) - 1) >> 8 * (off - data - 4));
}

static u8 msi_shown(const u8 *cap, u32 off)
{
	if (off == 2)
		return cap[2] & ((cap[2] & 0xc) == 0xc ? 0x80 : 0x8e);
	return off == 3 ? cap[3] & 1 : 0;
}

static void check_msi(const struct model *m, const struct vfio_view *v,
		      const u8 *raw)
{
	u32 at = v->msi;

	for (u32 i = at + 2; at && i < PCI_CONFIG_SIZE; i++) {
		if (m->owner[i] != at)
			break;
		assert(v->writable[i] == msi_writable(raw + at, i - at));
		assert(v->config[i] == msi_shown(raw + at, i - at));
	}
}

static void check_writable(const struct model *m, const struct vfio_view *v)
{
	static const u8 header[0x40] = {
		[0x04] = 0x46, [0x05] = 0x05, [0x0c] = 0xff,
		[0x0d] = 0xff, [0x3c] = 0xff,
	};

	for (u32 i = 0; i < PCI_CONFIG_SIZE; i++) {
		if (i < 0x40)
			assert(v->writable[i] == header[i]);
		else if (v->msi && m->owner[i] == v->msi)
			assert(!v->passed[i]);
		else if (v->msix && i == v->msix + 3)
			assert(v->writable[i] == 0xc0);
		else
			assert(v->writable[i] == (v->passed[i] ? 0xff : 0));
	}
}

/* A byte is the device's, or 0, or one of those that are told otherwise. */
static void check_bytes(const struct model *m, const struct vfio_view *v,
			const u8 *raw)
{
	for (u32 i = 0; i < CONFIG_SIZE; i++) {
		u32 at = m->owner[i], off = i - at;

		if (!v->config[i] || v->config[i] == raw[i])
			continue;
		if (at)
			assert(m->shown[at] || at == 0x100);
		if (at >= 0x100 || (!at && i >= 0x100))
			assert(off < 4 || i - 0x100 < 4);
		else if (at)
			assert(off == 1 || i == v->msix + 3 ||
			       i == v->exp + 2 || at == v->msi);
		else
			assert(i == 0x34 || i == 0x06);
	}
	assert(!v->msix || !(v->config[v->msix + 3] & 0xc0));
	assert(!v->exp || (v->config[v->exp + 2] & 0xf0) == 0x90);
	for (u32 i = 0x10; i < 0x28; i++)
		assert(!v->config[i] && !v->writable[i]);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	u8 raw[CONFIG_SIZE] = { 0 };
	struct vfio_view v;
	struct model m = { 0 };

	memcpy(raw, data, MIN(size, sizeof(raw)));
	vfio_view_init(&v, raw);
	walk(&m, raw);
	find_owners(&m, raw);
	check_chain(&m, &v, raw);
	check_extended(&m, &v, raw);
	check_passed(&m, &v, raw);
	check_msi(&m, &v, raw);
	check_writable(&m, &v);
	check_bytes(&m, &v, raw);
	return 0;
}
