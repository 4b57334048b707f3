/*
 * A function's configuration space: bytes, which of them may be written, and
 * the few whose writing has an effect beyond the byte.
 */
#include "pci_priv.h"

#include <assert.h>
#include <string.h>

u64 pci_get(const u8 *bytes, u32 len)
{
	u64 val = 0;

	for (u32 i = 0; i < len; i++)
		val |= (u64)bytes[i] << (8 * i);
	return val;
}

void pci_put(u8 *bytes, u32 len, u64 val)
{
	for (u32 i = 0; i < len; i++)
		bytes[i] = (u8)(val >> (8 * i));
}

/* A field as it is now and after a reset. */
static void set_both(struct pci_function *f, u32 off, u32 len, u64 val)
{
	pci_put(f->config + off, len, val);
	pci_put(f->initial + off, len, val);
}

void pci_function_init(struct pci_function *f, const char *name,
		       const struct pci_ids *ids, const struct pci_ops *ops,
		       void *dev)
{
	*f = (struct pci_function) {
		.name = name,
		.ops = ops,
		.dev = dev,
		.cap_last = PCI_CAPABILITIES,
		.cap_end = PCI_HEADER_END,
	};
	set_both(f, PCI_VENDOR_ID, 2, ids->vendor);
	set_both(f, PCI_DEVICE_ID, 2, ids->device);
	set_both(f, PCI_REVISION, 1, ids->revision);
	set_both(f, PCI_CLASS, 3, ids->class_code);
	set_both(f, PCI_SUBSYSTEM, 2, ids->subsystem_vendor);
	set_both(f, PCI_SUBSYSTEM + 2, 2, ids->subsystem);
	pci_put(f->writable + PCI_COMMAND, 2,
		COMMAND_MEMORY | COMMAND_MASTER | COMMAND_INTX_OFF);
}

void pci_function_init_as(struct pci_function *f, const char *name,
			  const u8 config[static PCI_CONFIG_SIZE],
			  const u8 writable[static PCI_CONFIG_SIZE],
			  const struct pci_ops *ops, void *dev)
{
	*f = (struct pci_function) { .name = name, .ops = ops, .dev = dev };
	memcpy(f->config, config, PCI_CONFIG_SIZE);
	memcpy(f->initial, config, PCI_CONFIG_SIZE);
	memcpy(f->writable, writable, PCI_CONFIG_SIZE);
}

void pci_function_fini(struct pci_function *f)
{
	msix_destroy(f->msix);
	f->msix = NULL;
}

static u32 bar_at(u32 i)
{
	return i == PCI_ROM ? PCI_ROM_ADDRESS : PCI_BAR0 + 4 * i;
}

void pci_add_bar(struct pci_function *f, u32 i, u64 size, bool mem64,
		 bool prefetch)
{
	u32 len = mem64 ? 8 : 4;

	/* Registers of another BAR, or half of one, can be written already. */
	assert(!f->host && i + len / 4 <= PCI_BARS &&
	       !pci_get(f->writable + bar_at(i), len));
	assert(size >= 16 && !(size & (size - 1)) &&
	       (mem64 || size <= 2 * GIB));
	f->bars[i] = (struct pci_bar) {
		.size = size,
		.mem64 = mem64,
		.prefetch = prefetch,
	};
	/* What a driver finds out by writing ones: the bits that stick. */
	pci_put(f->writable + bar_at(i), len, ~(size - 1));
	set_both(f, bar_at(i), 4,
		 (mem64 ? BAR_64BIT : 0) | (prefetch ? BAR_PREFETCHABLE : 0));
}

void pci_add_rom(struct pci_function *f, u64 size)
{
	assert(!f->host && size >= 2 * KIB && !(size & (size - 1)) &&
	       size <= 2 * GIB);
	f->bars[PCI_ROM] = (struct pci_bar) { .size = size };
	pci_put(f->writable + PCI_ROM_ADDRESS, 4, ~(size - 1) | ROM_ENABLE);
}

u32 pci_add_cap(struct pci_function *f, u8 id, const void *body,
		const void *writable, u32 len)
{
	u32 at = f->cap_end;

	assert(!f->host && at + 2 + len <= PCI_CONFIG_SIZE);
	set_both(f, f->cap_last, 1, at);
	set_both(f, PCI_STATUS, 2, STATUS_CAPS);
	set_both(f, at, 1, id);
	memcpy(f->config + at + 2, body, len);
	memcpy(f->initial + at + 2, body, len);
	if (writable)
		memcpy(f->writable + at + 2, writable, len);
	f->cap_last = at + 1;
	f->cap_end = ALIGN_UP(at + 2 + len, 4);
	return at;
}

bool pci_bus_master(const struct pci_function *f)
{
	return f->master;
}

/* Where the guest has put BAR @i, as far as its register goes. */
static gpa_t bar_address(const struct pci_function *f, u32 i)
{
	const struct pci_bar *b = &f->bars[i];

	return pci_get(f->config + bar_at(i), b->mem64 ? 8 : 4) &
	       ~(b->size - 1);
}

static bool bar_enabled(const struct pci_function *f, u32 i)
{
	bool memory = f->config[PCI_COMMAND] & COMMAND_MEMORY;

	return memory && !f->asleep &&
	       (i != PCI_ROM || f->config[PCI_ROM_ADDRESS] & ROM_ENABLE);
}

static void place_bar(struct pci_function *f, u32 i)
{
	struct pci_bar *b = &f->bars[i];
	gpa_t at = bar_address(f, i);

	if (!bar_enabled(f, i) || !host_has_room(f->host, at, b->size))
		at = 0;
	if (at == b->at)
		return;
	b->at = at;
	if (f->ops->bar_moved)
		f->ops->bar_moved(f->dev, i, at);
}

void function_place_bars(struct pci_function *f)
{
	for (u32 i = 0; i < ARRAY_SIZE(f->bars); i++)
		if (f->bars[i].size)
			place_bar(f, i);
}

void pci_function_sleep(struct pci_function *f, bool asleep)
{
	f->asleep = asleep;
	function_place_bars(f);
}

u64 function_config_read(struct pci_function *f, u32 off, u32 len)
{
	if (f->ops->config_read)
		f->ops->config_read(f->dev, off, len);
	return pci_get(f->config + off, len);
}

/* What the bytes [off, off + len) mean to the bus. */
static void take_effect(struct pci_function *f, u32 off, u32 len)
{
	bool command = pci_touch(off, len, PCI_COMMAND, 2);

	if (command)
		f->master = f->config[PCI_COMMAND] & COMMAND_MASTER;
	if (command || pci_touch(off, len, PCI_BAR0, 4 * PCI_BARS) ||
	    pci_touch(off, len, PCI_ROM_ADDRESS, 4))
		function_place_bars(f);
	if (f->msix && (command || pci_touch(off, len, f->msix_at.cap + 2, 2)))
		msix_control(f->msix);
}

void function_config_write(struct pci_function *f, u32 off, u32 len, u64 val)
{
	for (u32 i = off; i < off + len; i++, val >>= 8) {
		u8 byte = (u8)val;

		f->config[i] = (u8)((f->config[i] & ~f->writable[i]) |
				    (byte & f->writable[i]));
		f->config[i] &= (u8) ~(byte & f->w1c[i]);
	}
	take_effect(f, off, len);
	if (f->ops->config_written)
		f->ops->config_written(f->dev, off, len);
}

void pci_function_reset(struct pci_function *f)
{
	memcpy(f->config, f->initial, sizeof(f->config));
	take_effect(f, 0, PCI_CONFIG_SIZE);
	if (f->msix)
		msix_reset(f->msix);
}
