/*
 * What a driver sees of a virtio device: one BAR with the common
 * configuration, the ISR byte, the device's configuration, the notification
 * area and the MSI-X table, and the capabilities that say where each is.
 * VIRTIO 1.2, 4.1.4.
 */
#include "virtio_priv.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define VENDOR_VIRTIO 0x1af4
#define DEVICE_MODERN 0x1040 /* and the device type */

/* Offsets in the BAR. Notifications have a page of their own. */
#define BAR        0
#define BAR_SIZE   0x4000
#define COMMON     0x0000
#define COMMON_LEN 0x40
#define ISR        0x0400
#define DEVICE     0x0800
#define NOTIFY     0x1000
#define MSIX_TABLE 0x2000
#define MSIX_PBA   0x3000
static_assert(VIRTIO_QUEUES_MAX * 4 <= MSIX_TABLE - NOTIFY &&
		      (VIRTIO_QUEUES_MAX + 1) * 16 <= MSIX_PBA - MSIX_TABLE,
	      "no part reaches into the next");

/* Capabilities, 4.1.4: what each type of structure is called there. */
enum {
	CAP_COMMON_CFG = 1,
	CAP_NOTIFY_CFG,
	CAP_ISR_CFG,
	CAP_DEVICE_CFG,
	CAP_PCI_CFG,
};
#define CAP_VENDOR 0x09

/* struct virtio_pci_cap from its third byte on, and what may follow it. */
struct cap_body {
	u8 cap_len, cfg_type, bar, id, padding[2];
	u8 offset[4], length[4];
	u8 more[4]; /* notify_off_multiplier, or pci_cfg_data */
};
static_assert(sizeof(struct cap_body) == 18, "4.1.4");
#define CAP_LEN 16

/* --- common configuration, 4.1.4.3 --- */

/* Which half of 64 bits a select register chooses; others show nothing. */
static u64 half(u64 bits, u32 select)
{
	return select < 2 ? (u32)(bits >> (32 * select)) : 0;
}

static u64 device_feature_select_read(void *dev, u32 i)
{
	return ((struct virtio *)dev)->device_select;
}

static void device_feature_select_write(void *dev, u32 i, u64 val, u64 mask)
{
	((struct virtio *)dev)->device_select = (u32)val;
}

static u64 device_feature_read(void *dev, u32 i)
{
	struct virtio *v = dev;

	return half(v->offered, v->device_select);
}

static u64 driver_feature_select_read(void *dev, u32 i)
{
	return ((struct virtio *)dev)->driver_select;
}

static void driver_feature_select_write(void *dev, u32 i, u64 val, u64 mask)
{
	((struct virtio *)dev)->driver_select = (u32)val;
}

static u64 driver_feature_read(void *dev, u32 i)
{
	struct virtio *v = dev;

	return half(v->accepted, v->driver_select);
}

static void driver_feature_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct virtio *v = dev;
	u32 shift = 32 * v->driver_select;

	if (v->status & STATUS_FEATURES_OK) {
		guest_fault(&v->faults, "features after FEATURES_OK");
		return;
	}
	/* Bits from 64 on: nothing was offered, so any is one too many. */
	if (v->driver_select < 2)
		v->accepted = reg_merge(v->accepted, val << shift,
					0xffffffffull << shift);
	else
		v->excess |= val != 0;
}

/* A vector there is, or none. */
static u16 vector_or_none(const struct virtio *v, u64 val)
{
	return val <= v->setup.queues ? (u16)val : NO_VECTOR;
}

static u64 config_msix_vector_read(void *dev, u32 i)
{
	return ((struct virtio *)dev)->config_vector;
}

static void config_msix_vector_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct virtio *v = dev;

	v->config_vector = vector_or_none(v, val);
}

static u64 num_queues_read(void *dev, u32 i)
{
	return ((struct virtio *)dev)->setup.queues;
}

static u64 device_status_read(void *dev, u32 i)
{
	return ((struct virtio *)dev)->status;
}

/* 3.1.1 and 6.2: only what was offered, and at least VERSION_1. */
static bool features_good(const struct virtio *v)
{
	return !v->excess && !(v->accepted & ~v->offered) &&
	       (v->accepted & VIRTIO_F_VERSION_1);
}

static void device_status_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct virtio *v = dev;
	u8 old = v->status;
	u8 set;

	if (val == 0) {
		virtio_begin_reset(v);
		return;
	}
	if (v->resetting)
		return;
	/* A driver must not clear bits (2.1.1), and cannot clear ours. */
	set = (u8)val & ~old & ~STATUS_NEEDS_RESET;
	if ((set & STATUS_FEATURES_OK) && !features_good(v)) {
		guest_fault(&v->faults, "features 0x%llx of 0x%llx accepted",
			    (unsigned long long)v->accepted,
			    (unsigned long long)v->offered);
		set &= (u8)~STATUS_FEATURES_OK;
	}
	v->status = old | set;
	if (!(set & STATUS_DRIVER_OK))
		return;
	if (!(v->status & STATUS_FEATURES_OK)) {
		guest_fault(&v->faults, "DRIVER_OK without FEATURES_OK");
		v->status &= (u8)~STATUS_DRIVER_OK;
		return;
	}
	v->phase = PHASE_STARTING;
	loop_event_fire(&v->sync);
}

static u64 config_generation_read(void *dev, u32 i)
{
	return ((struct virtio *)dev)->generation;
}

static u64 queue_select_read(void *dev, u32 i)
{
	return ((struct virtio *)dev)->queue_select;
}

static void queue_select_write(void *dev, u32 i, u64 val, u64 mask)
{
	((struct virtio *)dev)->queue_select = (u32)val;
}

/* The queue selected, or NULL. */
static struct queue *selected(struct virtio *v)
{
	return v->queue_select < v->setup.queues ? &v->queues[v->queue_select]
						 : NULL;
}

/* The same, if the driver may set it up still. */
static struct queue *selected_open(struct virtio *v)
{
	struct queue *q = selected(v);

	if (!q || q->set.enabled || (v->status & STATUS_DRIVER_OK) ||
	    v->resetting) {
		guest_fault(&v->faults, "queue %u cannot be set up now",
			    v->queue_select);
		return NULL;
	}
	return q;
}

static u64 queue_size_read(void *dev, u32 i)
{
	struct queue *q = selected(dev);

	return q ? q->set.size : 0;
}

static void queue_size_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct virtio *v = dev;
	struct queue *q = selected_open(v);

	if (!q)
		return;
	if (!val || (val & (val - 1)) || val > v->setup.queue_size) {
		guest_fault(&v->faults, "queue %u of %llu descriptors",
			    v->queue_select, (unsigned long long)val);
		return;
	}
	q->set.size = (u16)val;
}

static u64 queue_msix_vector_read(void *dev, u32 i)
{
	struct queue *q = selected(dev);

	return q ? q->vector : NO_VECTOR;
}

static void queue_msix_vector_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct virtio *v = dev;
	struct queue *q = selected(v);

	if (q)
		q->vector = vector_or_none(v, val);
}

static u64 queue_enable_read(void *dev, u32 i)
{
	struct queue *q = selected(dev);

	return q && q->set.enabled;
}

static void queue_enable_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct virtio *v = dev;
	struct queue *q = selected_open(v);

	if (!q)
		return;
	if (val != 1)
		guest_fault(&v->faults, "%llu written to queue_enable",
			    (unsigned long long)val);
	else
		q->set.enabled = true;
}

/* Each queue has its own address, so that its doorbell is one. */
static u64 queue_notify_off_read(void *dev, u32 i)
{
	struct virtio *v = dev;

	return selected(v) ? v->queue_select : 0;
}

static u64 *area(struct queue *q, u32 i)
{
	return i == 0 ? &q->set.desc : i == 1 ? &q->set.driver : &q->set.device;
}

static u64 queue_area_read(void *dev, u32 i)
{
	struct queue *q = selected(dev);

	return q ? *area(q, i) : 0;
}

static void queue_area_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct queue *q = selected_open(dev);

	if (q)
		*area(q, i) = reg_merge(*area(q, i), val, mask);
}

#define RW(name) name##_read, name##_write
#define RO(name) name##_read, NULL

static const struct reg common_regs[] = {
	{ "device_feature_select", 0x00, 1, 4, REG_32,
	  RW(device_feature_select) },
	{ "device_feature", 0x04, 1, 4, REG_32, RO(device_feature) },
	{ "driver_feature_select", 0x08, 1, 4, REG_32,
	  RW(driver_feature_select) },
	{ "driver_feature", 0x0c, 1, 4, REG_32, RW(driver_feature) },
	{ "config_msix_vector", 0x10, 1, 2, REG_16, RW(config_msix_vector) },
	{ "num_queues", 0x12, 1, 2, REG_16, RO(num_queues) },
	{ "device_status", 0x14, 1, 1, REG_8, RW(device_status) },
	{ "config_generation", 0x15, 1, 1, REG_8, RO(config_generation) },
	{ "queue_select", 0x16, 1, 2, REG_16, RW(queue_select) },
	{ "queue_size", 0x18, 1, 2, REG_16, RW(queue_size) },
	{ "queue_msix_vector", 0x1a, 1, 2, REG_16, RW(queue_msix_vector) },
	{ "queue_enable", 0x1c, 1, 2, REG_16, RW(queue_enable) },
	{ "queue_notify_off", 0x1e, 1, 2, REG_16, RO(queue_notify_off) },
	/* Descriptor, driver and device area. */
	{ "queue_desc", 0x20, 3, 8, REG_32 | REG_64, RW(queue_area) },
	/* No VIRTIO_F_NOTIF_CONFIG_DATA, no VIRTIO_F_RING_RESET. */
	{ "queue_notify_data", 0x38, 1, 2, REG_16, NULL, NULL },
	{ "queue_reset", 0x3a, 1, 2, REG_16, NULL, NULL },
};

const struct regbank virtio_common = { "the common configuration", common_regs,
				       ARRAY_SIZE(common_regs), COMMON_LEN };

void virtio_pci_reset(struct virtio *v)
{
	v->status = 0;
	v->isr = 0;
	v->device_select = 0;
	v->driver_select = 0;
	v->queue_select = 0;
	v->accepted = 0;
	v->excess = false;
	v->config_vector = NO_VECTOR;
	for (u32 i = 0; i < v->setup.queues; i++) {
		v->queues[i].set =
			(struct queue_setup) { .size = v->setup.queue_size };
		v->queues[i].vector = NO_VECTOR;
	}
}

/* --- the BAR --- */

static u64 device_read(struct virtio *v, u64 off, u32 size)
{
	u64 val = 0;

	if (range_fits(off, size, v->setup.config_len))
		memcpy(&val, v->config + off, size);
	return le64toh(val);
}

static void device_write(struct virtio *v, u64 off, u32 size, u64 val)
{
	if (!range_fits(off, size, v->setup.config_len))
		return;
	for (u32 i = 0; i < size; i++)
		v->config[off + i] =
			(u8)((v->config[off + i] & ~v->writable[off + i]) |
			     ((u8)(val >> (8 * i)) & v->writable[off + i]));
	if (v->setup.ops->config_written)
		v->setup.ops->config_written(v->setup.dev, (u32)off, size, val);
}

/* Reading it clears it (4.1.4.5). */
static u64 isr_read(struct virtio *v)
{
	u8 isr = v->isr;

	v->isr = 0;
	return isr;
}

static bool common_access(u64 off)
{
	return off < COMMON + COMMON_LEN;
}

static u64 bar_read(void *dev, u32 bar, u64 off, u32 size)
{
	struct virtio *v = dev;
	u64 val = 0;

	lock_take(&v->lock);
	if (common_access(off)) {
		val = regbank_read(&virtio_common, v, off, size, &v->faults);
	} else if (off >= DEVICE && off < NOTIFY) {
		val = device_read(v, off - DEVICE, size);
	} else if (off == ISR) {
		val = isr_read(v);
	}
	lock_drop(&v->lock);
	return val;
}

/* A notification that KVM did not take for us; @off is its queue's. */
static void notify(struct virtio *v, u64 off)
{
	u64 one = 1;
	u64 i = off / 4;

	if (off % 4 || i >= v->setup.queues)
		guest_fault(&v->faults, "a notification at 0x%llx",
			    (unsigned long long)off);
	else if (write(v->queues[i].kick_fd, &one, sizeof(one)) < 0)
		return; /* 2^64 - 1 of them wait already */
}

static void bar_write(void *dev, u32 bar, u64 off, u32 size, u64 val)
{
	struct virtio *v = dev;

	if (off >= NOTIFY && off < MSIX_TABLE) {
		notify(v, off - NOTIFY);
		return;
	}
	lock_take(&v->lock);
	if (common_access(off)) {
		regbank_write(&virtio_common, v, off, size, val, &v->faults);
	} else if (off >= DEVICE && off < NOTIFY) {
		device_write(v, off - DEVICE, size, val);
	}
	lock_drop(&v->lock);
}

static void bar_moved(void *dev, u32 bar, gpa_t at)
{
	struct virtio *v = dev;

	lock_take(&v->lock);
	v->notify = at ? at + NOTIFY : 0;
	if (v->bells || v->phase == PHASE_RUNNING)
		virtio_attach(v);
	lock_drop(&v->lock);
}

/* --- configuration space --- */

#define COMMAND 0x04

/*
 * The window of the configuration access capability (4.1.4.9): a BAR access
 * for who cannot reach BARs. True, and where, if the bytes [off, off + len) of
 * configuration space are its data and the window is a proper one.
 */
static bool cfg_window(struct virtio *v, u32 off, u32 len, u64 *at, u32 *size)
{
	const struct cap_body *c =
		(const void *)(v->function.config + v->config_cap + 2);
	u32 data = v->config_cap + CAP_LEN;
	u32 offset, length;

	if (off >= data + 4 || off + len <= data || c->bar != BAR)
		return false;
	memcpy(&offset, c->offset, 4);
	memcpy(&length, c->length, 4);
	*at = le32toh(offset);
	*size = le32toh(length);
	return (*size == 1 || *size == 2 || *size == 4) && *at % *size == 0 &&
	       range_fits(*at, *size, MSIX_TABLE);
}

static u8 *cfg_data(struct virtio *v)
{
	return v->function.config + v->config_cap + CAP_LEN;
}

static void config_read(void *dev, u32 off, u32 len)
{
	struct virtio *v = dev;
	u64 at;
	u32 size, val;

	if (!cfg_window(v, off, len, &at, &size))
		return;
	val = htole32((u32)bar_read(v, BAR, at, size));
	memcpy(cfg_data(v), &val, size);
}

/*
 * Bus mastering may be on: what waited for it can go on. Taken away from a
 * device that runs it does not come back before a reset, for who allows it
 * again may be another kernel (kexec), with other things where the queues were.
 */
static void command_written(struct virtio *v)
{
	lock_take(&v->lock);
	if (v->phase != PHASE_STOPPED && !pci_bus_master(&v->function))
		v->cut_off = true;
	lock_drop(&v->lock);
	loop_event_fire(&v->sync);
}

static void config_written(void *dev, u32 off, u32 len)
{
	struct virtio *v = dev;
	u64 at;
	u32 size, val = 0;

	if (off < COMMAND + 2 && off + len > COMMAND)
		command_written(v);
	if (!cfg_window(v, off, len, &at, &size))
		return;
	memcpy(&val, cfg_data(v), size);
	bar_write(v, BAR, at, size, le32toh(val));
}

static const struct pci_ops pci_ops = {
	.bar_read = bar_read,
	.bar_write = bar_write,
	.bar_moved = bar_moved,
	.config_read = config_read,
	.config_written = config_written,
};

/* --- the whole --- */

static u32 add_cap(struct virtio *v, u8 type, u32 offset, u32 length, u32 more,
		   u32 more_len, const struct cap_body *writable)
{
	struct cap_body c = {
		.cap_len = (u8)(CAP_LEN + more_len),
		.cfg_type = type,
		.bar = BAR,
	};

	offset = htole32(offset);
	length = htole32(length);
	more = htole32(more);
	memcpy(c.offset, &offset, 4);
	memcpy(c.length, &length, 4);
	memcpy(c.more, &more, 4);
	return pci_add_cap(&v->function, CAP_VENDOR, &c, writable,
			   CAP_LEN - 2 + more_len);
}

static void add_caps(struct virtio *v)
{
	static const struct cap_body window = {
		.bar = 0xff,
		.offset = { 0xff, 0xff, 0xff, 0xff },
		.length = { 0xff, 0xff, 0xff, 0xff },
		.more = { 0xff, 0xff, 0xff, 0xff },
	};

	add_cap(v, CAP_COMMON_CFG, COMMON, COMMON_LEN, 0, 0, NULL);
	add_cap(v, CAP_NOTIFY_CFG, NOTIFY, 4 * v->setup.queues, 4, 4, NULL);
	add_cap(v, CAP_ISR_CFG, ISR, 1, 0, 0, NULL);
	if (v->setup.config_len)
		add_cap(v, CAP_DEVICE_CFG, DEVICE, v->setup.config_len, 0, 0,
			NULL);
	v->config_cap = add_cap(v, CAP_PCI_CFG, 0, 0, 0, 4, &window);
}

int virtio_pci_init(struct virtio *v, struct err *e)
{
	const struct virtio_setup *s = &v->setup;
	struct pci_ids ids = {
		.vendor = VENDOR_VIRTIO,
		.device = (u16)(DEVICE_MODERN + s->ops->type),
		.subsystem_vendor = VENDOR_VIRTIO,
		.subsystem = DEVICE_MODERN,
		.revision = 1,
		.class_code = s->ops->class_code,
	};

	v->offered = s->features | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX |
		     VIRTIO_F_VERSION_1;
	if (s->caps.dma.translates)
		v->offered |= VIRTIO_F_ACCESS_PLATFORM;
	virtio_pci_reset(v);
	pci_function_init(&v->function, s->name, &ids, &pci_ops, v);
	pci_add_bar(&v->function, BAR, BAR_SIZE, false, false);
	add_caps(v);
	return pci_add_msix(&v->function, s->queues + 1, BAR, MSIX_TABLE,
			    MSIX_PBA, &s->caps.msi, e);
}
