/*
 * MSI-X: a table of messages, and bits for those that are due while masked.
 *
 * A vector's message goes to the interrupt controller by a line that was aimed
 * at it; aiming costs the kernel much, so it is done when the vector opens and
 * its message is another than before, never when it is only masked and
 * unmasked. PCI Local Bus 3.0, 6.8.2 and 6.8.3.
 *
 * Hardware that was lent has all of this itself: the table here is then what
 * the guest sees, and hardware is told of it; what it sends comes out of the
 * line.
 *
 * Two locks, so that the one a device's thread takes to fire is never held
 * while the host aims a line: the guest's changes come one after the other
 * under @turn, and what they change is changed under @lock as well.
 */
#include "pci_priv.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Message Control, at offset 2 of the capability. */
#define CONTROL_SIZE   GENMASK(10, 0) /* vectors - 1 */
#define CONTROL_MASK   BIT(14)
#define CONTROL_ENABLE BIT(15)

/* An entry of the table. */
#define ENTRY_SIZE    16
#define ENTRY_DATA    8
#define ENTRY_CONTROL 12
#define VECTOR_MASKED BIT(0)

struct vector {
	u8 entry[ENTRY_SIZE]; /* as the guest reads it */
	/* What is due is sent: nothing masks it, and the host was told of the
	 * message. */
	bool ready;
	struct msi_line line;
	/* What the line is aimed at, if it is; changes while not @ready. */
	bool aimed;
	u64 addr;
	u32 data;
};

struct msix {
	struct pci_function *f;
	struct msi_sink sink;
	const struct pci_msix_hw *hw; /* NULL: emulated */
	u32 nr;
	struct lock turn; /* taken before @lock */
	struct lock lock; /* guards all below; order in lock.h */
	bool on;          /* enabled: what is due is sent or kept */
	bool open;        /* and no mask over the whole function */
	_Atomic bool enabled;
	u64 pending[PCI_MSIX_VECTORS_MAX / 64];
	struct vector vectors[];
};

static u64 pba_len(u32 nr)
{
	return (nr + 63) / 64 * 8;
}

/* --- vectors --- */

static bool has_lines(const struct msix *m)
{
	return m->hw || !m->sink.direct;
}

static bool masked(const struct vector *v)
{
	return v->entry[ENTRY_CONTROL] & VECTOR_MASKED;
}

static bool is_pending(const struct msix *m, u32 i)
{
	return m->pending[i / 64] & BIT(i % 64);
}

static void send(struct msix *m, struct vector *v)
{
	u64 one = 1;

	/* Can fail only at 2^64 - 1 messages that the kernel has not seen. */
	if (v->aimed && write(v->line.fd, &one, sizeof(one)) == sizeof(one))
		return;
	msi_sink_send(&m->sink, m->f->devfn, pci_get(v->entry, 8),
		      (u32)pci_get(v->entry + ENTRY_DATA, 4));
}

static bool aimed_well(const struct vector *v)
{
	return v->aimed && v->addr == pci_get(v->entry, 8) &&
	       v->data == pci_get(v->entry + ENTRY_DATA, 4);
}

/* Let the line send what the entry says. Where the host refuses, messages go
 * one by one. Caller holds @turn, by which the entry stays as it is. */
static void aim(struct msix *m, struct vector *v)
{
	v->addr = pci_get(v->entry, 8);
	v->data = (u32)pci_get(v->entry + ENTRY_DATA, 4);
	v->aimed = has_lines(m) && !m->sink.aim(m->sink.ctx, &v->line,
						m->f->devfn, v->addr, v->data);
}

/* Hardware's vector: told to it with the line ready to take what it sends.
 * Caller holds @turn. */
static void hw_changed(struct msix *m, u32 i)
{
	struct vector *v = &m->vectors[i];
	bool open = m->open && !masked(v);

	if (open && !aimed_well(v))
		aim(m, v);
	if (m->hw->vector(m->f->dev, i, v->line.fd, open,
			  pci_get(v->entry, 8)) ||
	    open || !v->aimed)
		return;
	m->sink.rest(m->sink.ctx, &v->line);
	v->aimed = false;
}

/* It is switched off: the next driver's messages are other ones, even if they
 * are the same. Caller holds @turn. */
static void hw_disable(struct msix *m)
{
	m->hw->enable(m->f->dev, false);
	for (u32 i = 0; i < m->nr; i++) {
		if (m->vectors[i].aimed)
			m->sink.rest(m->sink.ctx, &m->vectors[i].line);
		m->vectors[i].aimed = false;
	}
}

/* A mask or the message may have changed. Caller holds both locks; @lock is let
 * go meanwhile if the line has to be aimed. */
static void vector_changed(struct msix *m, u32 i)
{
	struct vector *v = &m->vectors[i];
	bool open = m->open && !masked(v);

	if (m->hw) {
		lock_drop(&m->lock);
		hw_changed(m, i);
		lock_take(&m->lock);
		return;
	}
	v->ready = open && aimed_well(v);
	if (open && !v->ready) {
		lock_drop(&m->lock);
		aim(m, v);
		lock_take(&m->lock);
		v->ready = true;
	}
	if (!open || !is_pending(m, i))
		return;
	m->pending[i / 64] &= ~BIT(i % 64);
	send(m, v);
}

static void take_both(struct msix *m)
{
	lock_take(&m->turn);
	lock_take(&m->lock);
}

static void drop_both(struct msix *m)
{
	lock_drop(&m->lock);
	lock_drop(&m->turn);
}

void pci_msix_fire(struct pci_function *f, u32 i)
{
	struct msix *m = f->msix;

	if (!m || i >= m->nr)
		return;
	lock_take(&m->lock);
	if (m->vectors[i].ready)
		send(m, &m->vectors[i]);
	else if (m->on)
		m->pending[i / 64] |= BIT(i % 64);
	lock_drop(&m->lock);
}

bool pci_msix_enabled(const struct pci_function *f)
{
	return f->msix && f->msix->enabled;
}

/* A function that may not master the bus cannot write messages: they wait. */
void msix_control(struct msix *m)
{
	u64 control = pci_get(m->f->config + m->f->msix_at.cap + 2, 2);
	bool was;

	take_both(m);
	was = m->on;
	m->on = control & CONTROL_ENABLE;
	m->enabled = m->on;
	if (m->hw && m->on && !was)
		m->hw->enable(m->f->dev, true);
	m->open = m->on && !(control & CONTROL_MASK) && pci_bus_master(m->f);
	for (u32 i = 0; i < m->nr; i++)
		vector_changed(m, i);
	if (m->hw && was && !m->on)
		hw_disable(m);
	drop_both(m);
}

/* Empty entries. */
static void mask_all(struct msix *m)
{
	for (u32 i = 0; i < m->nr; i++) {
		memset(m->vectors[i].entry, 0, ENTRY_SIZE);
		m->vectors[i].entry[ENTRY_CONTROL] = VECTOR_MASKED;
	}
}

void msix_reset(struct msix *m)
{
	take_both(m);
	memset(m->pending, 0, sizeof(m->pending));
	mask_all(m);
	drop_both(m);
}

/* --- what the guest sees of it --- */

static bool in_table(const struct pci_function *f, u32 bar, u64 off)
{
	const struct pci_msix_at *at = &f->msix_at;

	return f->msix && bar == at->table_bar && off >= at->table &&
	       off - at->table < (u64)at->nr * ENTRY_SIZE;
}

static bool in_pba(const struct pci_function *f, u32 bar, u64 off)
{
	const struct pci_msix_at *at = &f->msix_at;

	return f->msix && bar == at->pba_bar && off >= at->pba &&
	       off - at->pba < pba_len(at->nr);
}

/* Of accesses of less than 4 bytes the result is undefined: none. */
static bool allowed(struct pci_function *f, u64 off, u32 size)
{
	if (size >= 4)
		return true;
	guest_fault(host_faults(f->host),
		    "%s: MSI-X access of %u bytes at 0x%llx", f->name, size,
		    (unsigned long long)off);
	return false;
}

static u64 table_read(const struct msix *m, u64 off, u32 size)
{
	return pci_get(m->vectors[off / ENTRY_SIZE].entry + off % ENTRY_SIZE,
		       size);
}

static u64 pba_read(const struct msix *m, u64 off)
{
	u64 bits = m->hw ? m->hw->pending(m->f->dev, (u32)off * 8 & ~63u)
			 : m->pending[off / 8];

	return bits >> (8 * (off % 8));
}

bool msix_read(struct pci_function *f, u32 bar, u64 off, u32 size, u64 *val)
{
	bool table = in_table(f, bar, off);

	if (!table && !in_pba(f, bar, off))
		return false;
	*val = 0;
	if (!allowed(f, off, size))
		return true;
	lock_take(&f->msix->lock);
	*val = table ? table_read(f->msix, off - f->msix_at.table, size)
		     : pba_read(f->msix, off - f->msix_at.pba);
	lock_drop(&f->msix->lock);
	return true;
}

static void table_write(struct msix *m, u64 off, u32 size, u64 val)
{
	u32 i = (u32)(off / ENTRY_SIZE);
	u8 *entry = m->vectors[i].entry;

	take_both(m);
	pci_put(entry + off % ENTRY_SIZE, size, val);
	/* Reserved, and to be read as 0: the low bits of the address and all of
	 * vector control but its mask. */
	entry[0] &= 0xfc;
	pci_put(entry + ENTRY_CONTROL, 4, entry[ENTRY_CONTROL] & VECTOR_MASKED);
	vector_changed(m, i);
	drop_both(m);
}

bool msix_write(struct pci_function *f, u32 bar, u64 off, u32 size, u64 val)
{
	bool table = in_table(f, bar, off);

	if (!table && !in_pba(f, bar, off))
		return false;
	if (!table)
		guest_fault(host_faults(f->host),
			    "%s: write to the pending bits of MSI-X", f->name);
	else if (allowed(f, off, size))
		table_write(f->msix, off - f->msix_at.table, size, val);
	return true;
}

/* --- the whole --- */

static int open_lines(struct msix *m, struct err *e)
{
	for (u32 i = 0; has_lines(m) && i < m->nr; i++) {
		if (m->sink.open(m->sink.ctx, &m->vectors[i].line, e))
			return err_prefix(e, "%s", m->f->name);
	}
	return 0;
}

void msix_destroy(struct msix *m)
{
	if (!m)
		return;
	for (u32 i = 0; i < m->nr; i++)
		m->sink.close(m->sink.ctx, &m->vectors[i].line);
	free(m);
}

static u32 add_cap(struct pci_function *f, const struct pci_msix_at *at)
{
	u8 body[10], writable[10] = { 0 };

	pci_put(body, 2, FIELD_PREP(CONTROL_SIZE, at->nr - 1));
	pci_put(body + 2, 4, at->table | at->table_bar);
	pci_put(body + 6, 4, at->pba | at->pba_bar);
	pci_put(writable, 2, CONTROL_MASK | CONTROL_ENABLE);
	return pci_add_cap(f, CAP_ID_MSIX, body, writable, sizeof(body));
}

int pci_add_msix(struct pci_function *f, u32 nr, u32 bar, u64 table, u64 pba,
		 const struct msi_sink *sink, struct err *e)
{
	struct pci_msix_at at = {
		.nr = nr,
		.table_bar = bar,
		.pba_bar = bar,
		.table = table,
		.pba = pba,
	};
	int err = pci_take_msix(f, &at, sink, NULL, e);

	if (!err)
		f->msix_at.cap = add_cap(f, &at);
	return err;
}

int pci_take_msix(struct pci_function *f, const struct pci_msix_at *at,
		  const struct msi_sink *sink, const struct pci_msix_hw *hw,
		  struct err *e)
{
	u32 nr = at->nr;
	struct msix *m;

	assert(!f->host && !f->msix && nr > 0 && nr <= PCI_MSIX_VECTORS_MAX);
	assert(at->table_bar < PCI_BARS && at->pba_bar < PCI_BARS &&
	       IS_ALIGNED(at->table | at->pba, 8));
	assert(range_fits(at->table, (u64)nr * ENTRY_SIZE,
			  f->bars[at->table_bar].size) &&
	       range_fits(at->pba, pba_len(nr), f->bars[at->pba_bar].size));
	m = calloc(1, sizeof(*m) + nr * sizeof(m->vectors[0]));
	if (!m)
		return err_set(e, -ENOMEM, "%s: out of memory", f->name);
	m->f = f;
	m->sink = *sink;
	m->hw = hw;
	m->nr = nr;
	m->turn = LOCK_INIT;
	m->lock = LOCK_INIT;
	for (u32 i = 0; i < nr; i++)
		m->vectors[i].line.fd = -1;
	mask_all(m);
	if (open_lines(m, e)) {
		msix_destroy(m);
		return e->code;
	}
	f->msix = m;
	f->msix_at = *at;
	return 0;
}
