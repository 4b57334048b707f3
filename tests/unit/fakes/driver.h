/*
 * What a guest is to a virtio device, for the unit tests of devices: memory, a
 * PCI bus, and on it a driver that does by the book what a kernel's does. The
 * bus, the transport and the event loop are the real ones; interrupts and
 * doorbells are counted and rung by the world made here.
 *
 *	struct world *w = world_create(false);
 *	struct vrng *r = vrng_create("rng", &w->caps, &e);
 *	struct driver *d = driver_create(w, vrng_virtio(r));
 *	struct buffer buf = { world_alloc(w, 64), 64 };
 *
 *	driver_bind(d, ~0ull, 1, 16);
 *	ck_assert_uint_eq(driver_request(&d->queues[0], NULL, 0, &buf, 1), 64);
 *
 *	world_end(w);
 *	vrng_destroy(r);
 *	driver_destroy(d);
 *	world_destroy(w);
 *
 * One thread: the device lives while the test waits for something, and stands
 * still otherwise. What a device must never do, and what does not come in
 * time, fails the test.
 */
#ifndef BELFRY_TESTS_DRIVER_H
#define BELFRY_TESTS_DRIVER_H

#include <belfry/virtio.h>

#define WORLD_RAM      0x40000000ull
#define WORLD_RAM_LEN  (16 * MIB)
#define WORLD_PAGE     4096u
#define WORLD_BELLS    256
#define WORLD_LINES    256
#define WORLD_MESSAGES 64 /* different data that one device may send */

/* The device interrupts by writing a number here: GITS_TRANSLATER. */
#define WORLD_ITS 0x08000040ull

struct world {
	/* What a device is given, and some of what is behind it. */
	struct virtio_caps caps;
	struct gmem mem;
	struct mmio_bus bus;
	struct pci_windows windows;
	struct pci_host *host;

	/* For the test to change. */
	bool no_memory; /* a device that touches memory now fails the test */
	bool no_bells;  /* no doorbell is to be had: notifications are MMIO */
	bool no_aim;    /* no line can be aimed: messages are sent singly */

	/* What came of it. */
	u32 lost;  /* messages that were not to WORLD_ITS, or of odd data */
	u32 bells; /* doorbells attached now */
	u32 lines; /* message lines open now */
	u32 rung;  /* notifications that went to a doorbell */

	/* The world's own. */
	bool scattered;
	u8 *ram;
	struct dma cpu; /* memory as the driver reaches it */
	gpa_t ram_used, mem32_used, mem64_used;
	u32 devices;
	struct {
		gpa_t at;
		int fd;
	} bell[WORLD_BELLS];
	struct world_line {
		struct world *world;
		int fd; /* -1: closed */
		bool aimed;
		u32 devid, data;
		u64 addr;
		struct loop_op op;
	} line[WORLD_LINES];
	u32 messages[PCI_FUNCTIONS_MAX][WORLD_MESSAGES];
	struct loop_op tick;
};

/*
 * Memory, an empty bus, a loop. @scattered: bus addresses are not those of
 * memory, and no two pages are in one piece, as behind an IOMMU; else a buffer
 * is in one piece wherever it lies.
 */
struct world *world_create(bool scattered);
/* Nothing calls a device back from now on: destroy devices next. */
void world_end(struct world *w);
void world_destroy(struct world *w);

/* --- memory; addresses are the bus's --- */

/* @len bytes of zeroes, never taken back; from a page on, at a page's start. */
gpa_t world_alloc(struct world *w, u64 len);
void world_put(struct world *w, gpa_t addr, const void *bytes, u64 len);
void world_get(struct world *w, gpa_t addr, void *bytes, u64 len);

/* --- a vCPU's accesses --- */

u64 world_read(struct world *w, gpa_t addr, u32 size);
/* Where a doorbell is attached, the write rings it and goes no further. */
void world_write(struct world *w, gpa_t addr, u32 size, u64 val);

/* --- time --- */

/* Run the loop until @until says true; ten seconds fail the test. */
void world_wait(struct world *w, bool (*until)(void *ctx), void *ctx);
/* Run it for @ms: for what is not to happen, or to let all settle. */
void world_pass(struct world *w, u32 ms);

/* --- a driver --- */

struct buffer {
	gpa_t addr;
	u32 len;
};

/* The common configuration, VIRTIO 1.2, 4.1.4.3. */
enum {
	DEVICE_FEATURE_SELECT = 0x00,
	DEVICE_FEATURE = 0x04,
	DRIVER_FEATURE_SELECT = 0x08,
	DRIVER_FEATURE = 0x0c,
	CONFIG_MSIX_VECTOR = 0x10,
	NUM_QUEUES = 0x12,
	DEVICE_STATUS = 0x14,
	CONFIG_GENERATION = 0x15,
	QUEUE_SELECT = 0x16,
	QUEUE_SIZE = 0x18,
	QUEUE_MSIX_VECTOR = 0x1a,
	QUEUE_ENABLE = 0x1c,
	QUEUE_NOTIFY_OFF = 0x1e,
	QUEUE_DESC = 0x20,
	QUEUE_DRIVER = 0x28,
	QUEUE_DEVICE = 0x30,
};

/* Device status, 2.1. */
enum {
	ACKNOWLEDGE = 1,
	DRIVER = 2,
	DRIVER_OK = 4,
	FEATURES_OK = 8,
	DEVICE_NEEDS_RESET = 64,
	FAILED = 128,
};

/* Structures that capabilities locate, by cfg_type, 4.1.4. */
enum driver_part {
	COMMON_CFG = 1,
	NOTIFY_CFG,
	ISR_CFG,
	DEVICE_CFG,
	PCI_CFG,
	PARTS,
};

struct driver_queue {
	struct driver *driver;
	u32 index, size;
	u64 desc, avail, used; /* where the areas are */
	gpa_t notify;          /* where notifications go */
	bool event_idx;
	bool quiet;     /* no interrupts are wanted */
	bool indirect;  /* chains go by indirect tables: for the test to set */
	u16 avail_idx;  /* chains added */
	u16 kicked;     /* of those, how many the device was told of */
	u16 used_idx;   /* chains that came back and were taken */
	u32 free;       /* descriptors nobody uses */
	u16 free_first; /* the first of them; the list goes on in next[] */
	u16 next[VIRTQ_SIZE_MAX];
	u16 chain[VIRTQ_SIZE_MAX]; /* by head: descriptors in use; 0: none */
	struct buffer table[VIRTQ_SIZE_MAX]; /* by head: an indirect table */
};

struct driver {
	struct world *world;
	struct virtio *virtio;
	u32 devfn;
	gpa_t bars[PCI_BARS]; /* where they were placed */
	struct {
		u32 cap; /* offset in configuration space; 0: there is none */
		u32 bar;
		u64 off, len;
	} part[PARTS];
	u32 notify_multiplier;
	u32 msix_cap, vectors;
	gpa_t msix_table, msix_pba;
	u64 offered, features; /* accepted */
	struct driver_queue queues[VIRTIO_QUEUES_MAX];
};

/*
 * Put the device on the bus, as a function of its own, and do what a kernel
 * does before any driver: size and place BARs, walk the capabilities. Memory
 * and bus mastering are on then, and MSI-X, where vector v sends data v.
 */
struct driver *driver_create(struct world *w, struct virtio *v);
void driver_destroy(struct driver *d);

/* From reset to a running device: all steps of 3.1.1, with queues 0 to
 * @queues - 1 of @size, each with the vector after its number. */
void driver_bind(struct driver *d, u64 features, u32 queues, u32 size);

/* The steps of it. Up to FEATURES_OK, accepting those of @features that are
 * offered: false if the device refuses. */
MUST_CHECK bool driver_negotiate(struct driver *d, u64 features);
/* Vectors are NO_VECTOR, or the number of one. */
#define NO_VECTOR 0xffff
struct driver_queue *driver_queue_setup(struct driver *d, u32 i, u32 size,
					u16 vector);
void driver_start(struct driver *d);

/* Reset the device and wait until it has. The queues are gone. */
void driver_reset(struct driver *d);

/* Registers: of a part, of the common configuration, of the device's own. */
gpa_t driver_at(const struct driver *d, enum driver_part part, u64 off);
u64 driver_read(struct driver *d, u32 off, u32 size);
void driver_write(struct driver *d, u32 off, u32 size, u64 val);
u8 driver_status(struct driver *d);
/* Several bytes at once, as they were at one moment (2.5.3). */
void driver_config(struct driver *d, u32 off, void *bytes, u32 len);
/* PCI configuration space. */
u32 driver_pci_read(struct driver *d, u32 off, u32 size);
void driver_pci_write(struct driver *d, u32 off, u32 size, u32 val);

/* Messages that vector @v sent so far. */
u32 driver_messages(struct driver *d, u32 v);

/* --- its queues --- */

/* Offer a chain: @out for the device to read, then @in for it to write. There
 * must be room. Returns the head. The device is not told: see driver_kick. */
u16 driver_add(struct driver_queue *q, const struct buffer *out, u32 outs,
	       const struct buffer *in, u32 ins);
/* Tell the device of what was added, if it wants to be told: was it? */
bool driver_kick(struct driver_queue *q);
/* Tell it in any case. */
void driver_notify(struct driver_queue *q);

/* Take back a chain if one is there. */
bool driver_used(struct driver_queue *q, u16 *head, u32 *written);
/* Wait for one, and return its head. */
u16 driver_wait(struct driver_queue *q, u32 *written);
/* Add, kick and wait: for a queue that has nothing else in it. Returns how
 * many bytes the device says it wrote. */
u32 driver_request(struct driver_queue *q, const struct buffer *out, u32 outs,
		   const struct buffer *in, u32 ins);

/* Ask for interrupts, as driver_queue_setup does, from the next chain on that
 * has not been taken back; or for none. */
void driver_want_interrupts(struct driver_queue *q, bool want);

/* Write a raw descriptor or entry: for what a driver must not do. The entry
 * is shown with the next index. */
void driver_put_desc(struct driver_queue *q, u32 i, u64 addr, u32 len,
		     u16 flags, u16 next);
void driver_put_avail(struct driver_queue *q, u16 head);

#endif
