/*
 * Physical functions on the guest's bus, against a kernel and a device of ours:
 * what the kernel is asked when one is made, what the guest reaches and by
 * which way, what is in the physical MSI-X table after each thing that the
 * guest does, sleep and resets, and that every call may fail without a trace.
 */
#include "fakes/pci_bench.h"
#include "fakes/sysfs_tree.h"
#include "fakes/vfio_kernel.h"
#include "unit.h"
#include "vfio_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define FUNCTION "0000:01:00.0"
#define DEVFN    PCI_DEVFN(4, 0)
#define VECTORS  10
#define DOORBELL 0x08000040ull
#define ADDR(v)  (0xfff00040ull + 0x10000ull * (v))
#define DATA(v)  (0x40u + (v))
#define NO_FD    (-2)

/* The device: a 64-bit BAR, a small one that cannot be mapped, one of I/O, one
 * with the MSI-X table in its third page and the pending bits in its fourth, a
 * ROM. */
#define PAGE     ((u64)sysconf(_SC_PAGESIZE))
#define BAR_SIZE (16 * PAGE)
#define SMALL    (16 * KIB)
#define ROM_SIZE (64 * KIB)
#define TABLE    (2 * PAGE)
#define PBA      (3 * PAGE)
#define BAR0     (BENCH_MEM64 + 16 * MIB)
#define BAR2     0x10100000ull
#define BAR4     (BENCH_MEM64 + 32 * MIB)
#define ROM      0x10200000ull

/* Its capabilities. */
#define PM   0x40u
#define AF   0x58u
#define MSIX 0x70u
#define EXP  0xa0u
#define MSI  0xc0u
#define DSN  0x140u
#define VSEC 0x150u

static struct world {
	struct vfio_device dev;
	struct vfio_pci_setup setup;
	struct bench *b;
	struct vfio_pci *p;
	struct err e;
	u8 *config, *bar[PCI_BARS];
	struct vfio_kernel_device device;
	/* The kernel's: where it maps the ITS, and whom vectors signal. */
	u64 kernel_at;
	int fds[VECTORS], msi[VFIO_MSI_MAX], event[2];
	bool stays_awake, stays_asleep, asleep;
	struct irq_pin pin;
	u32 drops;
	/* What the guest reaches without us. */
	struct window {
		gpa_t at;
		u64 len;
		void *host;
	} window[32];
	u32 windows;
	bool refuse;
} w;

/* --- memory that runs out --- */

static int allocations; /* the how many'th fails; 0: none */

void *__real_calloc(size_t nr, size_t size);
void *__wrap_calloc(size_t nr, size_t size);

void *__wrap_calloc(size_t nr, size_t size)
{
	bool fails = allocations && !--allocations;

	return fails ? NULL : __real_calloc(nr, size);
}

/* --- the device and its kernel --- */

static u8 *entry(u32 v)
{
	return w.bar[4] + TABLE + 16ull * v;
}

static u64 entry_addr(u32 v)
{
	return field_get(entry(v), 8);
}

static bool entry_sends(u32 v)
{
	return !(entry(v)[12] & 1);
}

/* What it writes into an entry, when it gives out the vector and whenever it
 * restores it. */
static void write_message(u32 v)
{
	field_put(entry(v), 8, w.kernel_at);
	field_put(entry(v) + 8, 4, 0x1000 + v);
	field_put(entry(v) + 12, 4, 0);
}

static void write_messages(void)
{
	for (u32 v = 0; v < VECTORS; v++)
		if (w.fds[v] >= 0)
			write_message(v);
}

/* The kernel writes to the table. */
static void set_msix(u32 start, const int *fds, u32 nr)
{
	ck_assert(!w.asleep);
	for (u32 v = 0; !nr && v < VECTORS; v++) {
		entry(v)[12] |= 1;
		w.fds[v] = -1;
	}
	for (u32 i = 0; i < nr; i++) {
		ck_assert_uint_lt(start + i, VECTORS);
		w.fds[start + i] = fds[i];
		if (fds[i] >= 0)
			write_message(start + i);
	}
}

static void set_irqs(u32 index, u32 start, const int *fds, u32 nr)
{
	if (index == VFIO_MSIX)
		set_msix(start, fds, nr);
	if (index == VFIO_MSI)
		for (u32 v = 0; v < VFIO_MSI_MAX; v++)
			w.msi[v] = v < nr ? fds[v] : -1;
	if (index >= VFIO_ERR)
		w.event[index - VFIO_ERR] = fds[0];
}

/* Its pages cannot be touched then: that is SIGBUS. */
static void fall_asleep(bool asleep)
{
	for (u32 i = 0; i < PCI_BARS; i++)
		if (vfio_kernel.mapped[i].at)
			ck_assert(!mprotect(vfio_kernel.mapped[i].at,
					    vfio_kernel.mapped[i].len,
					    asleep ? PROT_NONE
						   : PROT_READ | PROT_WRITE));
	if (w.asleep && !asleep)
		write_messages();
	w.asleep = asleep;
}

static void reset_device(void)
{
	w.config[PM + 4] = 0;
	fall_asleep(false);
	write_messages();
}

static void config_written(u32 off)
{
	u8 *state = &w.config[PM + 4];

	ck_assert_msg(w.config[4] & 2, "memory is not decoded");
	ck_assert(!(w.config[EXP + 9] & 0x80) && !(w.config[AF + 4] & 1));
	if (off != PM + 4)
		return;
	if (w.stays_awake)
		*state = 0;
	if (w.stays_asleep && w.asleep)
		*state = 3;
	if (w.asleep != (*state & 3))
		fall_asleep(*state & 3);
}

static void put_cap(u32 at, u32 id, u32 next)
{
	field_put(w.config + at, 2, id | next << 8);
}

static void put_extended(u32 at, u32 id, u32 next)
{
	field_put(w.config + at, 4, id | 1 << 16 | next << 20);
}

static void write_config(void)
{
	u8 *c = w.config;

	memset(c, 0, CONFIG_SIZE);
	field_put(c + 0x00, 4, 0x10c98086);
	field_put(c + 0x06, 2, 0x10);
	field_put(c + 0x08, 4, 0x02000001);
	c[0x10] = 0xc;
	c[0x1c] = 1;
	c[0x20] = 4;
	c[0x34] = PM;
	put_cap(PM, 0x01, AF);
	put_cap(AF, 0x13, MSIX);
	field_put(c + AF + 2, 2, 0x0306);
	put_cap(MSIX, 0x11, EXP);
	field_put(c + MSIX + 2, 2, VECTORS - 1);
	field_put(c + MSIX + 4, 4, TABLE | 4);
	field_put(c + MSIX + 8, 4, PBA | 4);
	put_cap(EXP, 0x10, 0);
	field_put(c + EXP + 2, 2, 0x0002);
	field_put(c + EXP + 4, 4, BIT(28));
	put_extended(0x100, 0x01, DSN);
	put_extended(DSN, 0x03, VSEC);
	put_extended(VSEC, 0x0b, 0);
	field_put(c + VSEC + 4, 4, 16 << 20);
	memset(entry(0), 0xff, 16ull * VECTORS);
}

/* --- windows --- */

static u32 window_open(void *ctx)
{
	ck_assert_uint_lt(w.windows, ARRAY_SIZE(w.window));
	return w.windows++;
}

static int window_show(void *ctx, u32 i, gpa_t at, u64 len, void *host)
{
	ck_assert_uint_lt(i, w.windows);
	ck_assert(!w.window[i].len && len && !w.asleep);
	ck_assert(IS_ALIGNED(at | len | (uintptr_t)host, PAGE));
	if (w.refuse)
		return -EEXIST;
	w.window[i] = (struct window) { at, len, host };
	return 0;
}

static void window_hide(void *ctx, u32 i)
{
	ck_assert(i < w.windows && w.window[i].len && !w.asleep);
	w.window[i] = (struct window) { 0 };
}

/* Where guest-physical @at leads without us, or NULL. */
static u8 *reach(gpa_t at)
{
	for (u32 i = 0; i < w.windows; i++)
		if (at >= w.window[i].at &&
		    at - w.window[i].at < w.window[i].len)
			return (u8 *)w.window[i].host + (at - w.window[i].at);
	return NULL;
}

/* --- the stand --- */

static void init(void)
{
	vfio_kernel_reset();
	memset(&w, 0, sizeof(w));
	w.kernel_at = DOORBELL;
	memset(w.fds, 0xff, sizeof(w.fds));
	w.device = (struct vfio_kernel_device) {
		.flags = 3,
		.region = { [0] = { BAR_SIZE, BAR_SIZE },
			    [2] = { SMALL, 0 },
			    [3] = { 256, 0 },
			    [4] = { BAR_SIZE, BAR_SIZE },
			    [6] = { ROM_SIZE, 0 },
			    [7] = { CONFIG_SIZE, 0 } },
		.irq = { { 1, 7 },
			 { 1, 9 },
			 { VECTORS, 1 },
			 { 1, 9 },
			 { 1, 9 } },
		.set_irqs = set_irqs,
		.reset = reset_device,
		.config_written = config_written,
	};
	tree_init();
	tree_put("bus/pci/drivers/vfio-pci/bind", "");
	tree_function("", FUNCTION, 3, "vfio-pci");
	tree_lend(FUNCTION, "vfio7");
	ck_assert(!vfio_open(&w.dev, tree(), FUNCTION, &w.e));
	w.config = vfio_kernel_region(w.dev.fd, 7, CONFIG_SIZE);
	for (u32 i = 0; i < PCI_BARS; i++)
		w.bar[i] = vfio_kernel_region(w.dev.fd, i, BAR_SIZE);
	write_config();
	w.b = bench_init(0);
	w.setup = (struct vfio_pci_setup) {
		.name = "vfio[0]",
		.dev = &w.dev,
		.loop = loop_create(&w.e),
		.windows = { window_open, window_show, window_hide, NULL },
		.msi = sink_ops(&w.b->sink),
		.translater = DOORBELL,
		.mode = DOORBELL_MODE_DIRECT,
	};
	ck_assert_msg(w.setup.loop != NULL, "%s", w.e.msg);
	vfio_kernel.device = &w.device;
	vfio_kernel.untold_reads = true;
	vfio_kernel_forget();
}

static void make(void)
{
	w.p = vfio_pci_create(&w.setup, &w.e);
	ck_assert_msg(w.p != NULL, "%s", w.e.msg);
	ck_assert(
		!pci_host_add(w.b->host, vfio_pci_function(w.p), DEVFN, &w.e));
	vfio_kernel_forget();
}

static void fini(void)
{
	loop_destroy(w.setup.loop);
	vfio_pci_destroy(w.p);
	bench_fini(w.b);
	munmap(w.config, CONFIG_SIZE);
	for (u32 i = 0; i < PCI_BARS; i++)
		munmap(w.bar[i], BAR_SIZE);
	vfio_close(&w.dev);
	tree_fini();
}

/* --- the guest --- */

static u32 cfg(u32 off, u32 size)
{
	return config_rd(w.b, DEVFN, off, size);
}

static void set_cfg(u32 off, u32 size, u32 val)
{
	config_wr(w.b, DEVFN, off, size, val);
}

static void place(void)
{
	static const u64 at[] = { BAR0, BAR0 >> 32, BAR2, 0, BAR4, BAR4 >> 32 };

	for (u32 i = 0; i < PCI_BARS; i++)
		set_cfg(PCI_BAR(i), 4, (u32)at[i]);
	set_cfg(PCI_COMMAND, 2, (u32)(PCI_COMMAND_MSE | PCI_COMMAND_BME));
}

static void msix(u64 control)
{
	set_cfg(MSIX + 2, 2, (u32)control);
}

static void set_addr(u32 v, u64 addr)
{
	mmio_write(&w.b->bus, BAR4 + TABLE + 16ull * v, 8, addr);
}

static void set_data(u32 v, u32 data, bool masked)
{
	mmio_write(&w.b->bus, BAR4 + TABLE + 16ull * v + 8, 8,
		   data | (u64)masked << 32);
}

static void set_vector(u32 v, bool masked)
{
	set_addr(v, ADDR(v));
	set_data(v, DATA(v), masked);
}

static void running(void)
{
	make();
	place();
	msix(MSIX_CONTROL_ON | MSIX_CONTROL_MASK);
	for (u32 v = 0; v < 3; v++)
		set_vector(v, false);
	msix(MSIX_CONTROL_ON);
	vfio_kernel_forget();
}

static void expect_entry(u32 v, u64 addr, bool sends)
{
	ck_assert_msg(entry_addr(v) == addr, "vector %u: 0x%llx", v,
		      (unsigned long long)entry_addr(v));
	ck_assert_msg(entry_sends(v) == sends, "vector %u", v);
	ck_assert_uint_eq(field_get(entry(v) + 8, 4), 0x1000 + v);
}

static void expect_running(void)
{
	for (u32 v = 0; v < 3; v++)
		expect_entry(v, ADDR(v), true);
}

/* The hardware's message comes to whom the kernel was told. */
static void expect_arrives(u32 v, u64 addr, u32 data)
{
	struct message m;
	u64 one = 1;

	ck_assert_int_ge(w.fds[v], 0);
	ck_assert_int_eq(write(w.fds[v], &one, 8), 8);
	ck_assert_uint_eq(sink_take(&w.b->sink, &m, 1), 1);
	ck_assert(m.devid == DEVFN && m.addr == addr && m.data == data);
}

/* Calls that begin with these words, and no others. */
static void expect_calls(const char *const *want, size_t nr)
{
	ck_assert_int_eq(vfio_kernel.lines, nr);
	for (size_t i = 0; i < nr; i++)
		ck_assert_msg(!strncmp(vfio_kernel.line[i], want[i],
				       strlen(want[i])),
			      "\"%s\", not \"%s\"", vfio_kernel.line[i],
			      want[i]);
	vfio_kernel_forget();
}

#define EXPECT_CALLS(...)                                            \
	expect_calls((const char *const[]) { __VA_ARGS__ },          \
		     sizeof((const char *const[]) { __VA_ARGS__ }) / \
			     sizeof(const char *))

static struct vfio_pci_status status(void)
{
	return vfio_pci_status(w.p);
}

/* --- making it --- */

START_TEST(made)
{
	char mmap0[64], mmap4[64];

	init();
	snprintf(mmap0, sizeof(mmap0), "mmap of 0 at 0x0 len 0x%llx prot 3",
		 (unsigned long long)BAR_SIZE);
	snprintf(mmap4, sizeof(mmap4), "mmap of 4 at 0x0 len 0x%llx prot 3",
		 (unsigned long long)BAR_SIZE);
	w.p = vfio_pci_create(&w.setup, &w.e);
	ck_assert_msg(w.p != NULL, "%s", w.e.msg);
	EXPECT_CALLS("GET_INFO", "GET_REGION_INFO index 0x7",
		     "pwrite of 7 at 0x4 len 2", "GET_REGION_INFO index 0x0",
		     "GET_REGION_INFO index 0x1", "GET_REGION_INFO index 0x2",
		     "GET_REGION_INFO index 0x3", "GET_REGION_INFO index 0x4",
		     "GET_REGION_INFO index 0x5", "GET_REGION_INFO index 0x6",
		     mmap0, mmap4, "GET_IRQ_INFO index 0x2",
		     /* One vector, to see where the ITS is. */
		     "SET_IRQS flags 0x24 index 0x2 start 0x0 count 0x1",
		     "SET_IRQS flags 0x21 index 0x2 start 0x0 count 0x0",
		     "GET_IRQ_INFO index 0x3",
		     "SET_IRQS flags 0x24 index 0x3 start 0x0 count 0x1",
		     "GET_IRQ_INFO index 0x4",
		     "SET_IRQS flags 0x24 index 0x4 start 0x0 count 0x1");
	/* It masters no bus, has no pin, and decodes memory. */
	ck_assert_uint_eq(field_get(w.config + 4, 2), 0x0402);
	ck_assert_int_eq(vfio_pci_doorbell(w.p), DOORBELL_MODE_DIRECT);
	ck_assert_uint_eq(w.b->sink.opened, VECTORS);
	ck_assert_uint_eq(status().vectors, VECTORS);
	ck_assert_uint_eq(status().armed | status().rewrites | status().strays |
				  status().faults,
			  0);
	fini();
}
END_TEST

START_TEST(guest_sees)
{
	init();
	make();
	ck_assert_uint_eq(cfg(0x00, 4), 0x10c98086);
	ck_assert_uint_eq(cfg(0x08, 4), 0x02000001);
	ck_assert_uint_eq(config_find(w.b, DEVFN, 0x11), MSIX);
	ck_assert_uint_eq(cfg(MSIX + 4, 4), TABLE | 4);
	ck_assert_uint_eq(cfg(PCI_BAR(0), 4), 0xc);
	ck_assert_uint_eq(cfg(PCI_BAR(2), 4), 0);
	ck_assert_uint_eq(cfg(PCI_BAR(4), 4), 4);
	for (u32 i = 0; i < PCI_BARS; i++)
		set_cfg(PCI_BAR(i), 4, ~0u);
	ck_assert_uint_eq(cfg(PCI_BAR(0), 4), (u32) ~(BAR_SIZE - 1) | 0xc);
	ck_assert_uint_eq(cfg(PCI_BAR(1), 4), ~0u);
	ck_assert_uint_eq(cfg(PCI_BAR(2), 4), ~(SMALL - 1) & ~0u);
	ck_assert_uint_eq(cfg(PCI_BAR(3), 4), 0); /* I/O */
	ck_assert_uint_eq(cfg(PCI_BAR(4), 4), (u32) ~(BAR_SIZE - 1) | 4);
	set_cfg(PCI_ROM_REG, 4, ~0u);
	ck_assert_uint_eq(cfg(PCI_ROM_REG, 4), 0xffff0001);
	/* An integrated endpoint, with FLR. */
	ck_assert_uint_eq(cfg(EXP + 2, 2), 0x0092);
	ck_assert_uint_eq(cfg(EXP + 4, 4), BIT(28));
	fini();
}
END_TEST

/* --- BARs --- */

START_TEST(windows)
{
	init();
	make();
	place();
	for (u64 off = 0; off < BAR_SIZE; off += PAGE) {
		bool ours = off == TABLE || off == PBA;

		ck_assert(reach(BAR0 + off) ==
			  (u8 *)vfio_kernel.mapped[0].at + off);
		ck_assert(reach(BAR4 + off) ==
			  (ours ? NULL : (u8 *)vfio_kernel.mapped[4].at + off));
	}
	ck_assert_ptr_null(reach(BAR0 - 1));
	ck_assert_ptr_null(reach(BAR0 + BAR_SIZE));
	ck_assert_ptr_null(reach(BAR4 + BAR_SIZE));
	ck_assert_ptr_null(reach(BAR2));

	/* Moved, and gone. */
	set_cfg(PCI_BAR(0), 4, (u32)(BAR0 + 32 * MIB));
	ck_assert_ptr_null(reach(BAR0));
	ck_assert_ptr_nonnull(reach(BAR0 + 32 * MIB));
	set_cfg(PCI_COMMAND, 2, 0);
	ck_assert_ptr_null(reach(BAR0 + 32 * MIB));
	ck_assert_ptr_null(reach(BAR4));
	fini();
}
END_TEST

/* What no window shows is read and written by the kernel. */
static void check_by_access(u32 bar, gpa_t at, u64 off)
{
	vfio_kernel_forget();
	field_put(w.bar[bar] + off, 8, 0x8877665544332211);
	ck_assert_ptr_null(reach(at + off));
	for (u32 size = 1; size <= 8; size *= 2)
		ck_assert_uint_eq(mmio_read(&w.b->bus, at + off, size),
				  0x8877665544332211 &
					  (~0ull >> (64 - 8 * size)));
	mmio_write(&w.b->bus, at + off + 4, 4, 0xabcdef01);
	ck_assert_uint_eq(field_get(w.bar[bar] + off, 8), 0xabcdef0144332211);
	ck_assert_int_eq(vfio_kernel.calls, 5);
}

START_TEST(by_access)
{
	init();
	make();
	place();
	check_by_access(2, BAR2, 0x10);
	check_by_access(2, BAR2, SMALL - 8);
	check_by_access(4, BAR4, TABLE + 16 * VECTORS);
	check_by_access(4, BAR4, PBA + 8);
	check_by_access(4, BAR4, PBA + PAGE - 8);

	/* And all, if the host refuses to show it. */
	w.refuse = true;
	set_cfg(PCI_COMMAND, 2, 0);
	set_cfg(PCI_COMMAND, 2, (u32)PCI_COMMAND_MSE);
	check_by_access(0, BAR0, 0);
	check_by_access(4, BAR4, PAGE);
	ck_assert_uint_eq(status().faults, 0);
	fini();
}
END_TEST

/* What the kernel refuses reads as all ones, and is counted if written. */
START_TEST(access_refused)
{
	init();
	hush();
	make();
	place();
	vfio_kernel_forget();
	vfio_kernel.fail_at = 1;
	ck_assert_uint_eq(mmio_read(&w.b->bus, BAR2, 4), ~0u);
	ck_assert_uint_eq(status().faults, 0);
	vfio_kernel.fail_at = 2;
	mmio_write(&w.b->bus, BAR2, 4, 1);
	ck_assert_uint_eq(status().faults, 1);
	vfio_kernel.fail_at = 3;
	set_cfg(EXP + 8, 2, 0x2810);
	ck_assert_uint_eq(status().faults, 2);
	vfio_kernel.fail_at = 4;
	ck_assert_uint_eq(cfg(EXP + 8, 2), 0xffff);
	fini();
}
END_TEST

/* A BAR of less than a page is mapped, for us alone. */
START_TEST(less_than_a_page)
{
	init();
	w.device.region[0].size = w.device.region[0].mapped = 256;
	w.device.region[4].size = w.device.region[4].mapped = 1024;
	field_put(w.config + MSIX + 4, 4, 4);
	field_put(w.config + MSIX + 8, 4, 0x200 | 4);
	w.bar[4] -= TABLE; /* it is where entry() looks */
	make();
	w.bar[4] += TABLE;
	place();
	ck_assert_uint_eq(vfio_kernel.mapped[0].len, PAGE);
	ck_assert_uint_eq(vfio_kernel.mapped[4].len, PAGE);
	ck_assert_ptr_null(reach(BAR0));
	ck_assert_ptr_null(reach(BAR4));
	check_by_access(0, BAR0, 0xf8);
	check_by_access(4, BAR4, 0x3f8);

	w.bar[4] -= TABLE;
	msix(MSIX_CONTROL_ON);
	mmio_write(&w.b->bus, BAR4 + 16, 8, ADDR(1));
	mmio_write(&w.b->bus, BAR4 + 24, 8, DATA(1));
	expect_entry(1, ADDR(1), true);
	w.bar[4] += TABLE;
	fini();
}
END_TEST

/* A table that cannot be mapped with the rest: the part that can is. */
START_TEST(mapped_in_part)
{
	init();
	w.device.region[4].mapped = TABLE;
	make();
	place();
	ck_assert_int_eq(vfio_pci_doorbell(w.p), DOORBELL_MODE_RMR);
	ck_assert_ptr_nonnull(reach(BAR4 + TABLE - 1));
	ck_assert_ptr_null(reach(BAR4 + TABLE));
	check_by_access(4, BAR4, PBA + PAGE);
	fini();
}
END_TEST

/* There may be more behind what cannot be. */
START_TEST(mapped_with_a_gap)
{
	int held = vfio_kernel_held();

	init();
	w.device.region[0].mapped = PAGE;
	w.device.region[0].again = 3 * PAGE;
	w.device.region[4].mapped = TABLE - PAGE;
	w.device.region[4].again = TABLE;
	make();
	place();
	ck_assert_int_eq(vfio_pci_doorbell(w.p), DOORBELL_MODE_DIRECT);
	ck_assert_ptr_nonnull(reach(BAR0 + PAGE - 1));
	check_by_access(0, BAR0, PAGE);
	check_by_access(0, BAR0, 3 * PAGE - 8);
	field_put(w.bar[0] + 3 * PAGE + 8, 8, 0x1234);
	ck_assert_uint_eq(field_get(reach(BAR0 + 3 * PAGE + 8), 8), 0x1234);
	check_by_access(4, BAR4, TABLE - 8);
	check_by_access(4, BAR4, TABLE + 16 * VECTORS);
	fini();
	ck_assert_int_eq(vfio_kernel_held(), held);
}
END_TEST

START_TEST(rom)
{
	init();
	make();
	place();
	set_cfg(PCI_ROM_REG, 4, (u32)ROM | 1);
	vfio_kernel.untold_reads = false;
	vfio_kernel_forget();
	ck_assert_uint_eq(mmio_read(&w.b->bus, ROM + 0x100, 4), 0);
	EXPECT_CALLS("pread of 6 at 0x100 len 4");
	fini();
}
END_TEST

/* --- MSI-X --- */

START_TEST(vectors)
{
	init();
	make();
	place();
	vfio_kernel_forget();
	/* Nothing while it is off, nor before there is an address. */
	set_vector(2, true);
	msix(MSIX_CONTROL_ON | MSIX_CONTROL_MASK);
	EXPECT_CALLS("SET_IRQS flags 0x24 index 0x2 start 0x2 count 0x1");
	expect_entry(2, DOORBELL, false);
	set_addr(0, ADDR(0));
	EXPECT_CALLS("SET_IRQS flags 0x24 index 0x2 start 0x0 count 0x1");
	set_data(0, DATA(0), false);
	set_addr(0, ADDR(0));
	EXPECT_CALLS();
	expect_entry(0, DOORBELL, false);
	ck_assert_uint_eq(status().armed, 2);
	ck_assert_uint_eq(status().rewrites, 0);

	msix(MSIX_CONTROL_ON);
	expect_entry(0, ADDR(0), true);
	expect_entry(2, DOORBELL, false);
	expect_arrives(0, DOORBELL, DATA(0));
	ck_assert_uint_eq(status().rewrites, 1);
	ck_assert_uint_eq(status().verified, 1);

	/* Masks are the hardware's. */
	set_data(0, DATA(0), true);
	expect_entry(0, ADDR(0), false);
	set_addr(0, ADDR(7));
	expect_entry(0, ADDR(0), false);
	set_data(0, DATA(7), false);
	expect_entry(0, ADDR(7), true);
	expect_arrives(0, DOORBELL, DATA(7));
	msix(MSIX_CONTROL_ON | MSIX_CONTROL_MASK);
	expect_entry(0, ADDR(7), false);
	EXPECT_CALLS();

	msix(0);
	EXPECT_CALLS("SET_IRQS flags 0x21 index 0x2 start 0x0 count 0x0");
	ck_assert_uint_eq(status().armed, 0);
	/* The addresses are there already. */
	msix(MSIX_CONTROL_ON);
	EXPECT_CALLS("SET_IRQS flags 0x24 index 0x2 start 0x0 count 0x1",
		     "SET_IRQS flags 0x24 index 0x2 start 0x2 count 0x1");
	expect_entry(0, ADDR(7), true);
	expect_entry(2, DOORBELL, false);
	ck_assert_uint_eq(status().faults, 0);
	fini();
}
END_TEST

START_TEST(vector_status)
{
	struct vfio_pci_vector v;

	init();
	running();
	v = vfio_pci_vector(w.p, 1);
	ck_assert(v.armed && v.open && v.guest == ADDR(1) && v.is == ADDR(1) &&
		  v.kernel == DOORBELL);
	v = vfio_pci_vector(w.p, VECTORS - 1);
	ck_assert(!v.armed && !v.open && !v.guest && !v.is && !v.kernel);
	fini();
}
END_TEST

/* Where vectors cannot be added, there is room for all with the first; each is
 * had when it is used, none for nothing. */
START_TEST(room_for_all)
{
	init();
	w.device.irq[VFIO_MSIX].flags = 9;
	make();
	place();
	set_vector(5, false);
	vfio_kernel_forget();
	msix(MSIX_CONTROL_ON | MSIX_CONTROL_MASK);
	EXPECT_CALLS(
		"SET_IRQS flags 0x24 index 0x2 start 0x0 count 0xa: -1 -1 -1 -1 -1 ");
	set_vector(3, false);
	EXPECT_CALLS("SET_IRQS flags 0x24 index 0x2 start 0x3 count 0x1");
	ck_assert_uint_eq(status().armed, 2);
	for (u32 v = 0; v < VECTORS; v++)
		ck_assert_int_eq(w.fds[v] >= 0, v == 3 || v == 5);
	ck_assert_int_ne(w.fds[3], w.fds[5]);
	expect_entry(3, DOORBELL, false);
	expect_entry(5, DOORBELL, false);
	msix(MSIX_CONTROL_ON);
	expect_entry(3, ADDR(3), true);
	expect_entry(5, ADDR(5), true);
	expect_arrives(3, DOORBELL, DATA(3));
	expect_arrives(5, DOORBELL, DATA(5));
	fini();
}
END_TEST

/* The host has none to give, and then it has: what was open by then is. */
START_TEST(armed_late)
{
	for (int all = 0; all < 2; all++) {
		init();
		hush();
		if (all)
			w.device.irq[VFIO_MSIX].flags = 9;
		make();
		place();
		msix(MSIX_CONTROL_ON);
		vfio_kernel.irqs_result = 1;
		set_vector(1, false);
		set_vector(2, false);
		ck_assert_uint_ge(status().faults, 2);
		ck_assert_uint_eq(status().armed, 0);
		vfio_kernel.irqs_result = 0;
		set_data(1, DATA(1), false);
		expect_entry(1, ADDR(1), true);
		set_data(2, DATA(2), false);
		expect_entry(2, ADDR(2), true);
		expect_arrives(2, DOORBELL, DATA(2));
		fini();
	}
}
END_TEST

START_TEST(pending_bits)
{
	init();
	running();
	field_put(w.bar[4] + PBA, 8, 0x2a5);
	ck_assert_uint_eq(mmio_read(&w.b->bus, BAR4 + PBA, 8), 0x2a5);
	vfio_kernel.fail_at = vfio_kernel.calls + 1;
	ck_assert_uint_eq(mmio_read(&w.b->bus, BAR4 + PBA, 8), 0);
	fini();
}
END_TEST

/* Without a table to mask in, lines hold what comes. */
START_TEST(no_table)
{
	u64 one = 1;

	init();
	w.device.region[4].mapped = 0;
	make();
	ck_assert_int_eq(vfio_pci_doorbell(w.p), DOORBELL_MODE_RMR);
	place();
	msix(MSIX_CONTROL_ON);
	set_vector(1, false);
	expect_entry(1, DOORBELL, true);
	expect_arrives(1, DOORBELL, DATA(1));
	set_data(1, DATA(6), true);
	expect_entry(1, DOORBELL, true);
	ck_assert_int_eq(write(w.fds[1], &one, 8), 8);
	ck_assert_uint_eq(sink_count(&w.b->sink), 0);
	ck_assert_uint_eq(mmio_read(&w.b->bus, BAR4 + PBA, 8), BIT(1));
	set_data(1, DATA(6), false);
	ck_assert_uint_eq(sink_count(&w.b->sink), 1);
	ck_assert_uint_eq(mmio_read(&w.b->bus, BAR4 + PBA, 8), 0);
	sink_take(&w.b->sink, NULL, 0);
	ck_assert_uint_eq(status().rewrites, 0);
	fini();
}
END_TEST

/* --- which doorbell --- */

static void cannot(int code, const char *says)
{
	ck_assert_ptr_null(vfio_pci_create(&w.setup, &w.e));
	ck_assert_int_eq(w.e.code, code);
	ck_assert_msg(strstr(w.e.msg, says), "not \"%s\": %s", says, w.e.msg);
	ck_assert_uint_eq(w.b->sink.opened, 0);
	for (u32 v = 0; v < VECTORS; v++)
		ck_assert_int_eq(w.fds[v], -1);
	fini();
}

START_TEST(doorbells)
{
	static const struct {
		enum doorbell_mode wanted, got;
		u64 kernel_at;
		u64 there;
		u32 tries;
	} rows[] = {
		{ DOORBELL_MODE_HOST, DOORBELL_MODE_HOST, DOORBELL, DOORBELL,
		  0 },
		{ DOORBELL_MODE_HOST, DOORBELL_MODE_HOST, DOORBELL + 0x1000,
		  DOORBELL + 0x1000, 0 },
		{ DOORBELL_MODE_RMR, DOORBELL_MODE_RMR, DOORBELL, DOORBELL, 0 },
		{ DOORBELL_MODE_DIRECT, DOORBELL_MODE_DIRECT, DOORBELL, ADDR(1),
		  2 },
		{ DOORBELL_MODE_DIRECT, DOORBELL_MODE_RMR, DOORBELL + 0x1000,
		  DOORBELL + 0x1000, 2 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		u32 tries = 0;

		init();
		w.setup.mode = rows[i].wanted;
		w.kernel_at = rows[i].kernel_at;
		w.p = vfio_pci_create(&w.setup, &w.e);
		ck_assert_msg(w.p != NULL, "%s", w.e.msg);
		for (int l = 0; l < vfio_kernel.lines; l++)
			tries +=
				strstr(vfio_kernel.line[l], "SET_IRQS") != NULL;
		ck_assert_uint_eq(tries, rows[i].tries + 2);
		ck_assert(!pci_host_add(w.b->host, vfio_pci_function(w.p),
					DEVFN, &w.e));
		ck_assert_int_eq(vfio_pci_doorbell(w.p), rows[i].got);
		ck_assert_int_eq(status().mode, rows[i].got);
		place();
		msix(MSIX_CONTROL_ON);
		set_vector(1, false);
		expect_entry(1, rows[i].there, true);
		/* Wherever the guest wrote, the line is aimed at its ITS. */
		expect_arrives(1, DOORBELL, DATA(1));
		ck_assert_uint_eq(status().strays, 0);
		ck_assert_uint_eq(status().faults, 0);
		fini();
	}
}
END_TEST

START_TEST(strictly)
{
	init();
	w.setup.strict = true;
	w.kernel_at = DOORBELL + 0x1000;
	cannot(-ENOTSUP, "elsewhere than at the start of its MSI window");
	init();
	w.setup.strict = true;
	w.device.region[4].mapped = 0;
	cannot(-ENOTSUP, "shares a page with other devices");
	init();
	w.setup.strict = true;
	make();
	ck_assert_int_eq(vfio_pci_doorbell(w.p), DOORBELL_MODE_DIRECT);
	fini();
}
END_TEST

/* Later than at the try: another device of the same host's took the slot. */
START_TEST(strays)
{
	init();
	hush();
	make();
	place();
	msix(MSIX_CONTROL_ON);
	w.kernel_at = DOORBELL + 0x1000;
	set_vector(1, false);
	ck_assert_uint_eq(status().strays, 1);
	ck_assert_uint_eq(status().faults, 1);
	fini();
}
END_TEST

START_TEST(refused)
{
	init();
	w.device.flags = 1;
	cannot(-ENOTSUP, "is no PCI function");
	init();
	put_cap(PM, 0x01, EXP);
	cannot(-ENOTSUP, "no interrupts that the host's VFIO offers");
	init();
	w.device.irq[VFIO_MSIX].count = VECTORS - 1;
	cannot(-ENOTSUP, "9 of its 10 vectors");
	for (u32 i = 0; i < 6; i++) {
		const u64 at[][2] = {
			{ BAR_SIZE | 4, PBA | 4 },
			{ TABLE | 4, BAR_SIZE | 4 },
			{ (BAR_SIZE - 16 * (VECTORS - 1)) | 4, PBA | 4 },
			{ TABLE | 6, PBA | 4 },
			{ TABLE | 4, PBA | 5 },
			{ 0 | 3, PBA | 4 }, /* of I/O */
		};

		init();
		field_put(w.config + MSIX + 4, 4, at[i][0]);
		field_put(w.config + MSIX + 8, 4, at[i][1]);
		cannot(-EINVAL, "lies outside of its BARs");
	}
}
END_TEST

/* --- configuration space --- */

START_TEST(config_passed)
{
	static const struct {
		u32 off, size;
		const char *call; /* NULL: none */
	} rows[] = {
		{ EXP + 8, 4, "pwrite of 7 at 0xa8 len 4" },
		{ EXP + 8, 2, "pwrite of 7 at 0xa8 len 2" },
		{ EXP + 11, 1, "pwrite of 7 at 0xab len 1" },
		{ EXP, 4, NULL },
		{ EXP + 4, 4, NULL },
		{ EXP + 12, 4, NULL },
		{ MSIX + 4, 4, NULL },
		{ PM + 5, 1, "pwrite of 7 at 0x45 len 1" },
		{ PM, 4, NULL },
		{ 0x0c, 4, NULL },
		{ 0x3c, 1, NULL },
		{ PCI_BAR(0), 4, NULL },
		{ DSN + 4, 4, NULL },
		{ VSEC, 4, NULL },
		{ VSEC + 4, 4, "pwrite of 7 at 0x154 len 4" },
		{ VSEC + 14, 2, "pwrite of 7 at 0x15e len 2" },
		{ VSEC + 16, 4, NULL },
		{ 0x100, 4, NULL },
		{ 0xffc, 4, NULL },
	};

	init();
	make();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const u32 ones = 0x11111111u & (~0u >> (32 - 8 * rows[i].size));

		set_cfg(rows[i].off, rows[i].size, ones);
		ck_assert_msg(vfio_kernel.lines == !!rows[i].call, "0x%x: %s",
			      rows[i].off, vfio_kernel.line[0]);
		if (rows[i].call) {
			ck_assert_str_eq(vfio_kernel.line[0], rows[i].call);
			ck_assert_uint_eq(field_get(w.config + rows[i].off,
						    rows[i].size),
					  ones);
			ck_assert_uint_eq(cfg(rows[i].off, rows[i].size), ones);
		}
		vfio_kernel_forget();
	}
	/* What the hardware says now is what is read. */
	field_put(w.config + EXP + 10, 2, 0x1234);
	ck_assert_uint_eq(cfg(EXP + 8, 4) >> 16, 0x1234);
	field_put(w.config + VSEC + 8, 4, 0x56789abc);
	ck_assert_uint_eq(cfg(VSEC + 8, 4), 0x56789abc);
	fini();
}
END_TEST

START_TEST(command)
{
	static const struct {
		u32 guest, hardware;
	} rows[] = {
		{ 0x0000, 0x0402 }, { 0x0002, 0x0402 }, { 0x0006, 0x0406 },
		{ 0x0400, 0x0402 }, { 0xffff, 0x0546 }, { 0x0001, 0x0402 },
	};

	init();
	make();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		set_cfg(PCI_COMMAND, 2, rows[i].guest);
		ck_assert_uint_eq(field_get(w.config + PCI_COMMAND, 2),
				  rows[i].hardware);
		ck_assert_uint_eq(cfg(PCI_COMMAND, 2), rows[i].guest & 0x0546);
	}
	vfio_kernel_forget();
	set_cfg(PCI_STATUS, 2, 0xffff);
	EXPECT_CALLS();
	fini();
}
END_TEST

/* --- resets --- */

static void expect_reset(void)
{
	ck_assert_uint_eq(status().resets, 1);
	ck_assert_uint_eq(status().armed, 0);
	ck_assert_uint_eq(cfg(PCI_COMMAND, 2), 0);
	ck_assert_uint_eq(cfg(PCI_BAR(4), 4), 4);
	ck_assert_uint_eq(cfg(MSIX + 2, 2), VECTORS - 1);
	ck_assert_ptr_null(reach(BAR0));
	ck_assert_uint_eq(field_get(w.config + 4, 2), 0x0402);
	/* And all once more. */
	place();
	ck_assert_ptr_nonnull(reach(BAR0));
	for (u32 v = 0; v < 3; v++)
		ck_assert_uint_eq(mmio_read(&w.b->bus, BAR4 + TABLE + 16 * v,
					    8),
				  0);
	msix(MSIX_CONTROL_ON);
	for (u32 v = 0; v < 3; v++)
		set_vector(v, false);
	expect_running();
}

START_TEST(flr)
{
	static const struct {
		u32 off, size, val;
	} rows[] = { { EXP + 8, 2, 0xa810 },
		     { EXP + 8, 4, 0x8000 },
		     { EXP + 9, 1, 0x80 },
		     { AF + 4, 1, 1 },
		     { AF + 4, 2, 1 } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int resets = 0;

		init();
		running();
		set_cfg(rows[i].off, rows[i].size, rows[i].val);
		for (int l = 0; l < vfio_kernel.lines; l++)
			resets += !strcmp(vfio_kernel.line[l], "RESET");
		ck_assert_int_eq(resets, 1);
		expect_reset();
		ck_assert_uint_eq(status().faults, 0);
		fini();
	}
}
END_TEST

/* Neither of a device that has none, nor where the host says that. */
START_TEST(no_flr)
{
	for (int host = 0; host < 2; host++) {
		init();
		if (host) {
			w.device.flags = 2;
		} else {
			field_put(w.config + EXP + 4, 4, 0);
			w.config[AF + 3] = 1;
		}
		running();
		ck_assert_uint_eq(cfg(EXP + 4, 4), 0);
		ck_assert_uint_eq(cfg(AF + 3, 1), 1);
		set_cfg(EXP + 8, 2, 0xffff);
		set_cfg(AF + 4, 1, 1);
		for (int l = 0; l < vfio_kernel.lines; l++)
			ck_assert_str_ne(vfio_kernel.line[l], "RESET");
		expect_running();
		ck_assert_uint_eq(status().resets | status().faults, 0);
		fini();
	}
}
END_TEST

START_TEST(flr_that_fails)
{
	init();
	hush();
	running();
	/* Others come before it. */
	for (int n = 1; strcmp(vfio_kernel.failed, "RESET") != 0; n++) {
		ck_assert_int_lt(n, 20);
		vfio_kernel_forget();
		vfio_kernel.fail_at = n;
		set_cfg(EXP + 8, 2, 0x8000);
	}
	ck_assert_uint_ge(status().faults, 1);
	vfio_kernel.fail_at = 0;
	place();
	msix(MSIX_CONTROL_ON);
	for (u32 v = 0; v < 3; v++)
		set_vector(v, false);
	expect_running();
	fini();
}
END_TEST

static void reset_machine(void)
{
	vfio_pci_reset(w.p);
	ck_assert(!(w.config[4] & 4));
	pci_host_reset(w.b->host);
}

static int asked(const char *call)
{
	int times = 0;

	for (int i = 0; i < vfio_kernel.lines; i++)
		times += !strcmp(vfio_kernel.line[i], call);
	return times;
}

START_TEST(machine_reset)
{
	init();
	running();
	reset_machine();
	ck_assert_uint_eq(status().armed, 0);
	for (u32 v = 0; v < VECTORS; v++)
		ck_assert(!entry_sends(v));
	ck_assert_ptr_null(reach(BAR0));
	place();
	msix(MSIX_CONTROL_ON);
	for (u32 v = 0; v < 3; v++)
		set_vector(v, false);
	expect_running();
	ck_assert_uint_eq(status().resets, 0);
	fini();
}
END_TEST

/* What cannot be reset alone is with all on its bus, if the guest has those. */
START_TEST(machine_reset_by_bus)
{
	for (int ours = 0; ours < 2; ours++) {
		init();
		hush();
		w.device.flags = 2;
		vfio_kernel.devid[1] = ours ? 1 : ~0u;
		running();
		vfio_kernel_forget();
		reset_machine();
		ck_assert_int_eq(asked("PCI_HOT_RESET"), ours);
		ck_assert_int_eq(asked("RESET"), 0);
		ck_assert_uint_eq(status().faults, !ours);
		fini();
	}
}
END_TEST

/* --- sleep --- */

static void sleep_in(u32 state)
{
	set_cfg(PM + 4, 2, state);
}

/* The fake windows and pages die of being touched while it sleeps. */
START_TEST(sleeps)
{
	for (u32 state = 1; state <= 3; state++) {
		init();
		running();
		sleep_in(state);
		ck_assert(w.asleep);
		ck_assert_ptr_null(reach(BAR0));
		ck_assert_uint_eq(cfg(PM + 4, 2), state);
		hush();
		ck_assert_uint_eq(mmio_read(&w.b->bus, BAR0, 4), ~0u);
		/* What a driver may do meanwhile, if not by BARs. */
		msix(MSIX_CONTROL_ON | MSIX_CONTROL_MASK);
		set_cfg(PCI_COMMAND, 2, 0);
		set_cfg(PCI_COMMAND, 2,
			(u32)(PCI_COMMAND_MSE | PCI_COMMAND_BME));
		msix(MSIX_CONTROL_ON);
		sleep_in(state);
		sleep_in(0);
		ck_assert(!w.asleep);
		ck_assert_ptr_nonnull(reach(BAR0));
		expect_running();
		ck_assert_uint_eq(status().faults, 0);
		fini();
	}
}
END_TEST

/* MSI-X goes off and on: when it wakes, vectors are had and are as they were.
 */
START_TEST(switched_while_asleep)
{
	init();
	running();
	sleep_in(3);
	msix(0);
	msix(MSIX_CONTROL_ON);
	EXPECT_CALLS("pwrite of 7 at 0x44 len 2");
	sleep_in(0);
	expect_running();
	ck_assert_uint_eq(status().armed, 3);
	expect_arrives(1, DOORBELL, DATA(1));
	fini();
}
END_TEST

/* And when it goes off, the kernel is told when it wakes. */
START_TEST(switched_off_while_asleep)
{
	init();
	running();
	sleep_in(3);
	msix(0);
	EXPECT_CALLS("pwrite of 7 at 0x44 len 2");
	sleep_in(0);
	ck_assert_uint_eq(status().armed, 0);
	ck_assert_int_eq(w.fds[1], -1);
	msix(MSIX_CONTROL_ON);
	for (u32 v = 0; v < 3; v++)
		set_vector(v, false);
	expect_running();
	/* It is taken away as it sleeps: so it is closed. */
	sleep_in(3);
	fini();
}
END_TEST

/* A state that it does not have: it is as awake as before. */
START_TEST(does_not_sleep)
{
	init();
	running();
	w.stays_awake = true;
	sleep_in(1);
	ck_assert_uint_eq(cfg(PM + 4, 2), 0);
	ck_assert_ptr_nonnull(reach(BAR0));
	expect_running();
	set_data(1, DATA(1), true);
	expect_entry(1, ADDR(1), false);
	fini();
}
END_TEST

/* It does not wake: nobody touches it. */
START_TEST(does_not_wake)
{
	init();
	running();
	w.stays_asleep = true;
	sleep_in(3);
	sleep_in(0);
	ck_assert_ptr_null(reach(BAR0));
	msix(0);
	msix(MSIX_CONTROL_ON);
	w.device.flags = 2;
	reset_machine();
	fini();
}
END_TEST

/* Of the control word only what the guest wrote is written. */
START_TEST(control_by_bytes)
{
	init();
	make();
	w.config[PM + 5] = 0x12;
	set_cfg(PM + 4, 1, 0);
	EXPECT_CALLS("pwrite of 7 at 0x44 len 1");
	ck_assert_uint_eq(w.config[PM + 5], 0x12);
	set_cfg(PM + 4, 4, 0xff001300);
	EXPECT_CALLS("pwrite of 7 at 0x44 len 2");
	ck_assert_uint_eq(field_get(w.config + PM + 4, 4), 0x1300);
	fini();
}
END_TEST

START_TEST(reset_asleep)
{
	init();
	running();
	sleep_in(3);
	set_cfg(EXP + 8, 2, 0x8000);
	ck_assert(!w.asleep);
	ck_assert_uint_eq(cfg(PM + 4, 2), 0);
	expect_reset();
	fini();
}
END_TEST

/* Where it can be reset, and where it can only be woken. */
START_TEST(machine_reset_asleep)
{
	for (u32 flags = 2; flags <= 3; flags++) {
		init();
		hush();
		w.device.flags = flags;
		running();
		sleep_in(3);
		reset_machine();
		ck_assert(!w.asleep);
		place();
		ck_assert_ptr_nonnull(reach(BAR0));
		msix(MSIX_CONTROL_ON);
		for (u32 v = 0; v < 3; v++)
			set_vector(v, false);
		expect_running();
		fini();
	}
}
END_TEST

/* --- MSI --- */

#define MSI_ON    BIT(0)
#define MSI_NR(x) ((x) << 4) /* 2^x are on */
#define MSI_DATA  (MSI + 12)
#define MSI_MASK  (MSI + 16)
#define MSI_BITS  (MSI + 20)

/* Eight vectors that can be masked, and no MSI-X. */
static void init_msi(void)
{
	init();
	put_cap(AF, 0x13, MSI);
	put_cap(MSI, 0x05, EXP);
	field_put(w.config + MSI + 2, 2, 3 << 1 | BIT(7) | BIT(8));
	w.device.irq[VFIO_MSI].count = 8;
	memset(w.msi, 0xff, sizeof(w.msi));
}

static void running_msi(void)
{
	make();
	place();
	set_cfg(MSI + 4, 4, (u32)ADDR(0));
	set_cfg(MSI + 8, 4, 0);
	set_cfg(MSI_DATA, 2, 0x5643);
	vfio_kernel_forget();
	set_cfg(MSI + 2, 2, (u32)(MSI_ON | MSI_NR(2)));
}

static void send_msi(u32 v)
{
	u64 one = 1;

	ck_assert_int_ge(w.msi[v], 0);
	ck_assert_int_eq(write(w.msi[v], &one, 8), 8);
}

static void expect_message(u32 data)
{
	struct message m;

	ck_assert_uint_eq(sink_take(&w.b->sink, &m, 1), 1);
	ck_assert(m.devid == DEVFN && m.addr == DOORBELL && m.data == data);
}

START_TEST(msi)
{
	init_msi();
	running_msi();
	EXPECT_CALLS("SET_IRQS flags 0x24 index 0x1 start 0x0 count 0x4");
	ck_assert_int_eq(vfio_pci_doorbell(w.p), DOORBELL_MODE_RMR);
	ck_assert_uint_eq(status().vectors, 8);
	ck_assert_uint_eq(status().armed, 4);
	for (u32 v = 0; v < 4; v++) {
		send_msi(v);
		expect_message(0x5640 + v);
	}

	/* Lines are aimed when there is cause to. */
	ck_assert_uint_eq(w.b->sink.aims, 4);
	set_cfg(EXP + 8, 2, 0x2810);
	set_cfg(MSI_MASK, 4, 0);
	ck_assert_uint_eq(w.b->sink.aims, 4);
	set_cfg(MSI_DATA, 2, 0x0080);
	send_msi(3);
	expect_message(0x83);
	vfio_kernel_forget();

	set_cfg(MSI + 2, 2, MSI_ON);
	EXPECT_CALLS("SET_IRQS flags 0x21 index 0x1 start 0x0 count 0x0",
		     "SET_IRQS flags 0x24 index 0x1 start 0x0 count 0x1");
	send_msi(0);
	expect_message(0x80);
	set_cfg(MSI + 2, 2, 0);
	EXPECT_CALLS("SET_IRQS flags 0x21 index 0x1 start 0x0 count 0x0");
	set_cfg(MSI + 2, 2, 0);
	EXPECT_CALLS();
	/* More than there are is all. */
	set_cfg(MSI + 2, 2, (u32)(MSI_ON | MSI_NR(7)));
	EXPECT_CALLS("SET_IRQS flags 0x24 index 0x1 start 0x0 count 0x8");
	ck_assert_uint_eq(status().faults, 0);
	fini();
}
END_TEST

START_TEST(msi_masked)
{
	init_msi();
	running_msi();
	set_cfg(MSI_MASK, 4, 0x2);
	send_msi(1);
	send_msi(2);
	expect_message(0x5642);
	ck_assert_uint_eq(cfg(MSI_BITS, 4), 0x2);
	set_cfg(MSI_DATA, 2, 0x1230);
	set_cfg(MSI_MASK, 4, 0x4);
	expect_message(0x1231);
	ck_assert_uint_eq(cfg(MSI_BITS, 4), 0);
	fini();
}
END_TEST

START_TEST(msi_reset)
{
	for (int machine = 0; machine < 2; machine++) {
		init_msi();
		running_msi();
		if (machine)
			reset_machine();
		else
			set_cfg(EXP + 8, 2, 0x8000);
		ck_assert_int_eq(w.msi[0], -1);
		ck_assert_uint_eq(status().armed, 0);
		ck_assert_uint_eq(w.b->sink.rests, 4);
		ck_assert_uint_eq(cfg(MSI + 2, 2), 0x186);
		set_cfg(MSI + 2, 2, MSI_ON);
		send_msi(0);
		expect_message(0);
		fini();
	}
}
END_TEST

START_TEST(msi_refused)
{
	init_msi();
	w.setup.strict = true;
	cannot(-ENOTSUP, "MSI without MSI-X");
	init_msi();
	w.device.irq[VFIO_MSI].count = 0;
	cannot(-ENOTSUP, "none of its MSI vectors");

	/* Only later: the guest's vectors stay off, or are had when tried anew.
	 */
	init_msi();
	hush();
	vfio_kernel.irqs_result = 0;
	make();
	place();
	vfio_kernel.irqs_result = 1;
	set_cfg(MSI + 2, 2, MSI_ON);
	ck_assert_uint_eq(status().armed, 0);
	ck_assert_uint_eq(status().faults, 1);
	vfio_kernel.irqs_result = 0;
	set_cfg(MSI + 2, 2, MSI_ON);
	ck_assert_uint_eq(status().armed, 1);
	ck_assert_uint_eq(status().faults, 1);
	fini();
}
END_TEST

/* --- the pin --- */

#define PIN_ON                                                            \
	"SET_IRQS flags 0x24 index 0x0 start 0x0 count 0x1: 201",         \
		"SET_IRQS flags 0x14 index 0x0 start 0x0 count 0x1: 202", \
		"pwrite of 7 at 0x4 len 2"
#define PIN_OFF                     \
	"pwrite of 7 at 0x4 len 2", \
		"SET_IRQS flags 0x21 index 0x0 start 0x0 count 0x0"

static void drop(void *ctx, u32 intid)
{
	ck_assert(ctx == &w && intid == 36);
	w.drops++;
}

static void give_pin(void)
{
	w.pin = (struct irq_pin) { 201, 202, 36, drop, &w };
	w.setup.pin = &w.pin;
}

static void expect_pin(bool on, u32 drops)
{
	ck_assert(!(field_get(w.config + 4, 2) & PCI_COMMAND_INTX) == on);
	ck_assert_uint_eq(w.drops, drops);
}

static void running_pin(void)
{
	give_pin();
	make();
	place();
	expect_pin(true, 0);
	vfio_kernel_forget();
}

/* It is the guest's while memory is on and it is not switched off. */
START_TEST(pin)
{
	static const struct {
		u32 command;
		bool on;
	} rows[] = {
		{ 0x0002, true },  { 0x0402, false }, { 0x0006, true },
		{ 0x0000, false }, { 0x0404, false }, { 0x0546, false },
		{ 0x0146, true },
	};
	u32 drops = 0;

	init();
	give_pin();
	make();
	ck_assert_uint_eq(cfg(0x3c, 2), 0x0100);
	set_cfg(0x3c, 2, 0xffff);
	ck_assert_uint_eq(cfg(0x3c, 2), 0x01ff);
	expect_pin(false, 0);
	set_cfg(PCI_COMMAND, 2, 0x0006);
	EXPECT_CALLS("pwrite of 7 at 0x4 len 2", PIN_ON);
	ck_assert_uint_eq(field_get(w.config + 4, 2), 0x0006);
	set_cfg(PCI_COMMAND, 2, 0x0007);
	EXPECT_CALLS("pwrite of 7 at 0x4 len 2");
	set_cfg(PCI_COMMAND, 2, 0x0406);
	EXPECT_CALLS(PIN_OFF, "pwrite of 7 at 0x4 len 2");
	ck_assert_uint_eq(field_get(w.config + 4, 2), 0x0406);
	expect_pin(false, ++drops);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		drops += i && rows[i - 1].on && !rows[i].on;
		set_cfg(PCI_COMMAND, 2, rows[i].command);
		expect_pin(rows[i].on, drops);
	}
	ck_assert_uint_eq(status().faults, 0);
	fini();
}
END_TEST

/* VFIO has one kind on at a time: the pin goes first, and comes last. */
START_TEST(pin_or_msix)
{
	init();
	running_pin();
	set_vector(1, false);
	msix(MSIX_CONTROL_ON);
	EXPECT_CALLS(PIN_OFF,
		     "SET_IRQS flags 0x24 index 0x2 start 0x1 count 0x1");
	expect_pin(false, 1);
	expect_arrives(1, DOORBELL, DATA(1));
	vfio_kernel_forget();
	set_cfg(PCI_COMMAND, 2, 0x0006);
	EXPECT_CALLS("pwrite of 7 at 0x4 len 2");
	expect_pin(false, 1);
	msix(0);
	EXPECT_CALLS("SET_IRQS flags 0x21 index 0x2 start 0x0 count 0x0",
		     PIN_ON);
	expect_pin(true, 1);
	ck_assert_uint_eq(status().faults, 0);
	fini();
}
END_TEST

START_TEST(pin_or_msi)
{
	init_msi();
	running_pin();
	set_cfg(MSI + 2, 2, MSI_ON);
	EXPECT_CALLS(PIN_OFF,
		     "SET_IRQS flags 0x24 index 0x1 start 0x0 count 0x1");
	expect_pin(false, 1);
	set_cfg(MSI + 2, 2, 0);
	EXPECT_CALLS("SET_IRQS flags 0x21 index 0x1 start 0x0 count 0x0",
		     PIN_ON);
	expect_pin(true, 1);
	ck_assert_uint_eq(status().faults, 0);
	fini();
}
END_TEST

START_TEST(pin_alone)
{
	init();
	put_cap(PM, 0x01, EXP);
	running_pin();
	ck_assert_int_eq(vfio_pci_doorbell(w.p), DOORBELL_MODE_HOST);
	ck_assert_uint_eq(status().vectors | status().armed, 0);
	ck_assert_uint_eq(w.b->sink.opened, 0);
	sleep_in(3);
	sleep_in(0);
	reset_machine();
	ck_assert_uint_eq(status().faults, 0);
	fini();
}
END_TEST

/* Interrupt Status is the hardware's. */
START_TEST(pin_status)
{
	for (int has = 0; has < 2; has++) {
		init();
		if (has)
			give_pin();
		make();
		w.config[PCI_STATUS] = 0x88;
		ck_assert_uint_eq(cfg(PCI_STATUS, 2), has ? 0x18 : 0x10);
		ck_assert_uint_eq(cfg(PCI_COMMAND, 4) >> 16, has ? 0x18 : 0x10);
		w.config[PCI_STATUS] = 0x80;
		ck_assert_uint_eq(cfg(PCI_STATUS, 1), 0x10);
		fini();
	}
}
END_TEST

/* The first that begins so. */
static int line_of(const char *words)
{
	int i = 0;

	while (strncmp(vfio_kernel.line[i], words, strlen(words)) != 0)
		ck_assert_int_lt(++i, vfio_kernel.lines);
	return i;
}

START_TEST(pin_reset)
{
	for (int machine = 0; machine < 2; machine++) {
		init();
		running_pin();
		if (machine)
			reset_machine();
		else
			set_cfg(EXP + 8, 2, 0x8000);
		ck_assert_int_lt(line_of("SET_IRQS flags 0x21 index 0x0"),
				 line_of("RESET"));
		expect_pin(false, 1);
		ck_assert_uint_eq(cfg(0x3c, 2), 0x0100);
		place();
		expect_pin(true, 1);
		ck_assert_uint_eq(status().faults, 0);
		fini();
	}
}
END_TEST

/* What goes with the function takes the line down, too. */
START_TEST(pin_ends_with_it)
{
	init();
	running_pin();
	vfio_pci_destroy(w.p);
	w.p = NULL;
	EXPECT_CALLS("SET_IRQS flags 0x21 index 0x0 start 0x0 count 0x0");
	ck_assert_uint_eq(w.drops, 1);
	fini();
}
END_TEST

START_TEST(pin_refused)
{
	init();
	put_cap(PM, 0x01, EXP);
	give_pin();
	w.setup.strict = true;
	cannot(-ENOTSUP, "by a pin alone");
	init();
	put_cap(PM, 0x01, EXP);
	give_pin();
	w.device.irq[VFIO_INTX].count = 0;
	cannot(-ENOTSUP, "no interrupts that the host's VFIO offers");
	init();
	give_pin();
	w.device.irq[VFIO_INTX].count = 0;
	make();
	place();
	ck_assert_uint_eq(cfg(0x3d, 1), 0);
	expect_pin(false, 0);
	fini();

	/* Only later: it stays off, all of it, until it is tried anew. */
	for (int n = 2; n <= 3; n++) {
		init();
		hush();
		give_pin();
		make();
		vfio_kernel.fail_at = n;
		set_cfg(PCI_COMMAND, 2, 0x0006);
		if (n == 2)
			EXPECT_CALLS("pwrite of 7 at 0x4 len 2",
				     "SET_IRQS flags 0x24 index 0x0");
		else
			EXPECT_CALLS("pwrite of 7 at 0x4 len 2",
				     "SET_IRQS flags 0x24 index 0x0",
				     "SET_IRQS flags 0x14 index 0x0",
				     "SET_IRQS flags 0x21 index 0x0");
		expect_pin(false, 0);
		ck_assert_uint_eq(status().faults, 1);
		vfio_kernel.fail_at = 0;
		set_cfg(0x3c, 1, 5);
		EXPECT_CALLS(PIN_ON);
		expect_pin(true, 0);
		ck_assert_uint_eq(status().faults, 1);
		fini();
	}
}
END_TEST

/* --- what the host says --- */

static void stop(struct loop_op *op, int result)
{
	loop_stop(op->ctx);
}

static void run_a_while(void)
{
	struct loop_op op = { .done = stop, .ctx = w.setup.loop };

	loop_timer(w.setup.loop, &op, 20 * 1000 * 1000);
	ck_assert(!loop_run(w.setup.loop, &w.e));
}

START_TEST(events)
{
	u64 one = 1;

	init();
	hush();
	running();
	ck_assert_int_ne(w.event[0], w.event[1]);
	run_a_while();
	ck_assert_uint_eq(status().errors, 0);
	ck_assert_int_eq(write(w.event[0], &one, 8), 8);
	run_a_while();
	ck_assert_uint_eq(status().errors, 1);
	ck_assert_int_eq(write(w.event[1], &one, 8), 8);
	run_a_while();
	ck_assert_uint_eq(status().errors, 1);
	ck_assert_int_eq(write(w.event[0], &one, 8), 8);
	run_a_while();
	ck_assert_uint_eq(status().errors, 2);
	fini();
}
END_TEST

/* The kernel asks every ten seconds. */
START_TEST(wanted_back)
{
	FILE *f = tmpfile();
	char said[512];
	u64 one = 1;
	size_t len;

	init();
	running();
	dup2(fileno(f), STDERR_FILENO);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(write(w.event[1], &one, 8), 8);
		run_a_while();
	}
	rewind(f);
	len = fread(said, 1, sizeof(said), f);
	ck_assert_uint_gt(len, 0);
	ck_assert_ptr_eq(memchr(said, '\n', len), said + len - 1);
	fini();
	fclose(f);
}
END_TEST

/* A conventional function has no such errors: none, or the kernel knows of no
 * such interrupt. */
START_TEST(no_events)
{
	for (int unknown = 0; unknown < 2; unknown++) {
		init();
		for (u32 i = VFIO_ERR; i <= VFIO_REQ; i++) {
			w.device.irq[i].count = 0;
			w.device.irq[i].unknown = unknown;
		}
		w.event[0] = w.event[1] = NO_FD;
		running();
		ck_assert(w.event[0] == NO_FD && w.event[1] == NO_FD);
		fini();
	}
}
END_TEST

/* --- all of it --- */

/* One after the other, each of what may fail does; what is not made is gone,
 * and some things it can do without. */
static bool try(int *failed)
{
	int held = vfio_kernel_held();

	w.e = (struct err) { 0 };
	w.windows = 0;
	w.p = vfio_pci_create(&w.setup, &w.e);
	allocations = 0;
	if (!w.p) {
		ck_assert_int_lt(w.e.code, 0);
		ck_assert_msg(w.e.msg[0], "%s", vfio_kernel.failed);
		++*failed;
	}
	vfio_kernel.fail_at = 0;
	vfio_pci_destroy(w.p);
	ck_assert_uint_eq(w.b->sink.opened, 0);
	ck_assert_msg(vfio_kernel_held() == held, "%s", vfio_kernel.failed);
	return w.p;
}

START_TEST(every_call_may_fail)
{
	int failed = 0, reads = 256 / 4, n = 1;

	init();
	hush();
	give_pin();
	w.device.region[7].size = 256;
	for (;; n++) {
		vfio_kernel_forget();
		vfio_kernel.fail_at = n;
		try(&failed);
		if (!vfio_kernel.failed[0])
			break;
	}
	/* 20 calls: all but the write of the command. */
	ck_assert_int_eq(n, reads + 20 + 1);
	ck_assert_int_eq(failed, reads + 19);
	w.p = NULL;
	fini();
}
END_TEST

START_TEST(every_line_may_fail)
{
	int failed = 0;

	init();
	for (u32 n = 1; n <= VECTORS; n++) {
		vfio_kernel_forget();
		w.b->sink.open_fails_at = n;
		ck_assert(!try(&failed));
		ck_assert_int_eq(w.e.code, -ENOSPC);
	}
	w.p = NULL;
	fini();
}
END_TEST

START_TEST(every_line_of_msi_may_fail)
{
	int failed = 0;

	init_msi();
	for (u32 n = 1; n <= 8; n++) {
		vfio_kernel_forget();
		w.b->sink.open_fails_at = n;
		ck_assert(!try(&failed));
		ck_assert_int_eq(w.e.code, -ENOSPC);
	}
	ck_assert(try(&failed));
	w.p = NULL;
	fini();
}
END_TEST

START_TEST(memory_may_run_out)
{
	int failed = 0;

	init();
	for (int n = 1;; n++) {
		vfio_kernel_forget();
		allocations = n;
		if (try(&failed))
			break;
		ck_assert_int_eq(w.e.code, -ENOMEM);
	}
	/* Itself, vectors, descriptors, MSI-X. */
	ck_assert_int_eq(failed, 4);
	w.p = NULL;
	fini();
}
END_TEST

UNIT_MAIN("vfio_pci", pin, pin_or_msix, pin_or_msi, pin_alone, pin_status,
	  pin_reset, pin_ends_with_it, pin_refused, msi, msi_masked, msi_reset,
	  msi_refused, made, guest_sees, windows, by_access, access_refused,
	  less_than_a_page, mapped_in_part, mapped_with_a_gap, rom, vectors,
	  vector_status, room_for_all, armed_late, pending_bits, no_table,
	  doorbells, strictly, strays, refused, config_passed, command, flr,
	  no_flr, flr_that_fails, machine_reset, machine_reset_by_bus, sleeps,
	  switched_while_asleep, switched_off_while_asleep, does_not_sleep,
	  does_not_wake, control_by_bytes, reset_asleep, machine_reset_asleep,
	  events, wanted_back, no_events, every_call_may_fail,
	  every_line_may_fail, every_line_of_msi_may_fail, memory_may_run_out)
