/*
 * The PCI host bridge as a guest and a device see it: configuration space,
 * BARs, who is where. MSI-X has test_msix.c.
 */
#include "fakes/pci_bench.h"
#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#define KEPT       PCI_DEVFN(3, 0)
#define COMMAND_RW (PCI_COMMAND_MSE | PCI_COMMAND_BME | PCI_COMMAND_INTX)
#define CAP_VENDOR 0x09

/* A bus with one function, which has no BARs yet. */
static struct bench *one(struct pci_function **f)
{
	struct bench *b = bench_init(1);

	*f = bench_function(b, 0);
	return b;
}

static void set_bar(struct bench *b, u32 i, u64 at)
{
	config_wr(b, KEPT, PCI_BAR(i), 4, (u32)at);
	if (b->probes[0].f.bars[i].mem64)
		config_wr(b, KEPT, PCI_BAR(i + 1), 4, (u32)(at >> 32));
}

/* Nothing answers at @at: all ones, a fault, and no device hears of it. */
static void check_nobody(struct bench *b, gpa_t at)
{
	u32 before = b->probes[0].accesses;
	u64 faults = pci_host_faults(b->host);

	ck_assert_uint_eq(mmio_read(&b->bus, at, 4), 0xffffffff);
	mmio_write(&b->bus, at, 4, 1);
	ck_assert_uint_eq(b->probes[0].accesses, before);
	ck_assert_uint_eq(pci_host_faults(b->host), faults + 2);
}

/* Offset @off of @bar of probe @i answers at @at, in every size. */
static void check_answers(struct bench *b, u32 i, u32 bar, gpa_t at, u64 off)
{
	struct bar_access *last = &b->probes[i].last;
	u64 faults = pci_host_faults(b->host);

	for (u32 size = 1; size <= 8; size *= 2) {
		u64 val = 0x1122334455667788 & (~0ull >> (64 - 8 * size));

		ck_assert_uint_eq(mmio_read(&b->bus, at + off, size),
				  probe_value(bar, off, size));
		ck_assert(!last->write && last->bar == bar &&
			  last->off == off && last->size == size);
		mmio_write(&b->bus, at + off, size, val);
		ck_assert(last->write && last->bar == bar && last->off == off &&
			  last->size == size && last->val == val);
	}
	ck_assert_uint_eq(pci_host_faults(b->host), faults);
}

START_TEST(identity)
{
	static const struct {
		u32 off, size, val;
	} cases[] = {
		{ PCI_VENDOR, 2, 0x1af4 },
		{ PCI_DEVICE, 2, 0x1000 },
		{ PCI_VENDOR, 4, 0x10001af4 },
		{ PCI_REVISION, 4, 0x01800042 },
		{ PCI_REVISION + 1, 1, 0x00 },
		{ PCI_REVISION + 2, 1, 0x80 },
		{ PCI_REVISION + 3, 1, 0x01 },
		{ PCI_HEADER_TYPE, 1, 0 },
		{ PCI_CARDBUS, 4, 0 },
		{ PCI_SUBSYS_VENDOR, 2, 0x1af5 },
		{ PCI_SUBSYS, 2, 0x2000 },
		{ PCI_ROM_REG, 4, 0 },
		{ 0x3d, 1, 0 }, /* Interrupt Pin: no wire */
	};
	struct pci_function *f;
	struct bench *b = one(&f);

	bench_add(b, 0, KEPT);
	ck_assert_uint_eq(f->devfn, KEPT);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (int written = 0; written < 2; written++) {
			u32 val =
				config_rd(b, KEPT, cases[i].off, cases[i].size);

			ck_assert_msg(val == cases[i].val, "%#x: %#x",
				      cases[i].off, val);
			config_wr(b, KEPT, cases[i].off, cases[i].size, ~0u);
		}
	}
	bench_fini(b);
}
END_TEST

/* How a kernel looks for functions is nothing to complain of. */
START_TEST(enumeration)
{
	struct pci_function *f;
	struct bench *b = one(&f);

	bench_add(b, 0, KEPT);
	for (u32 i = 0; i < PCI_FUNCTIONS_MAX; i++) {
		if (i == KEPT)
			continue;
		for (u32 size = 1; size <= 4; size *= 2)
			for (u32 off = 0; off < PCI_ECAM_FUNCTION; off += 0x7c)
				ck_assert_uint_eq(config_rd(b, i, off, size),
						  ~0u >> (32 - 8 * size));
		config_wr(b, i, PCI_COMMAND, 2, 7);
	}
	ck_assert_uint_eq(config_rd(b, KEPT, PCI_COMMAND, 2), 0);
	ck_assert_uint_eq(b->probes[0].config_writes, 0);
	ck_assert_uint_eq(pci_host_faults(b->host), 0);
	ck_assert_uint_eq(b->bus.faults.count, 0);
	bench_fini(b);
}
END_TEST

START_TEST(functions_of_a_device)
{
	static const u32 devfns[] = {
		PCI_DEVFN(2, 0),  PCI_DEVFN(4, 3),  PCI_DEVFN(4, 0),
		PCI_DEVFN(31, 0), PCI_DEVFN(31, 7),
	};
	static const u32 multi[] = { 0, 0, 1, 1, 0 };
	struct bench *b = bench_init(ARRAY_SIZE(devfns));

	for (u32 i = 0; i < ARRAY_SIZE(devfns); i++)
		bench_add(b, i, devfns[i]);
	for (int reset = 0; reset < 2; reset++) {
		for (u32 i = 0; i < ARRAY_SIZE(devfns); i++) {
			u32 type = config_rd(b, devfns[i], PCI_HEADER_TYPE, 1);

			ck_assert_uint_eq(config_rd(b, devfns[i], PCI_DEVICE,
						    2),
					  0x1000 + i);
			ck_assert_uint_eq(type & ~PCI_HEADER_MULTI, 0);
			/* Software looks at function 0 only. */
			if (devfns[i] % 8 == 0)
				ck_assert_uint_eq(!!(type & PCI_HEADER_MULTI),
						  multi[i]);
		}
		pci_host_reset(b->host);
	}
	bench_fini(b);
}
END_TEST

START_TEST(command_and_status)
{
	struct pci_function *f;
	struct bench *b = one(&f);
	u32 status;

	pci_add_cap(f, CAP_VENDOR, "\3", NULL, 1);
	bench_add(b, 0, KEPT);
	ck_assert_uint_eq(config_rd(b, KEPT, PCI_COMMAND, 2), 0);
	status = config_rd(b, KEPT, PCI_STATUS, 2);
	/* No Immediate Readiness, interrupt, 66 MHz, or errors. */
	ck_assert_uint_eq(status & ~0x0600u, PCI_STATUS_CAPS);

	config_wr(b, KEPT, PCI_COMMAND, 4, ~0u);
	ck_assert_uint_eq(config_rd(b, KEPT, PCI_STATUS, 2), status);
	/* SERR and parity response may be there, I/O space may not. */
	ck_assert_uint_eq(config_rd(b, KEPT, PCI_COMMAND, 2) & ~0x0140u,
			  COMMAND_RW);
	ck_assert(pci_bus_master(f));

	config_wr(b, KEPT, PCI_COMMAND, 1, (u32)PCI_COMMAND_MSE);
	ck_assert(!pci_bus_master(f));
	ck_assert_uint_eq(config_rd(b, KEPT, PCI_COMMAND, 2) & COMMAND_RW,
			  PCI_COMMAND_MSE | PCI_COMMAND_INTX);
	config_wr(b, KEPT, PCI_COMMAND + 1, 1, 0);
	config_wr(b, KEPT, PCI_COMMAND, 2, (u32)PCI_COMMAND_BME);
	ck_assert(pci_bus_master(f));
	ck_assert_uint_eq(config_rd(b, KEPT, PCI_COMMAND, 2), PCI_COMMAND_BME);
	bench_fini(b);
}
END_TEST

START_TEST(no_capabilities)
{
	struct pci_function *f;
	struct bench *b = one(&f);

	bench_add(b, 0, KEPT);
	ck_assert_uint_eq(config_rd(b, KEPT, PCI_CAPS, 1), 0);
	ck_assert_uint_eq(config_find(b, KEPT, CAP_VENDOR), 0);
	bench_fini(b);
}
END_TEST

/* Bytes that say where they are, writable or not, from 0x40 on. */
static void fill(struct pci_function *f, u8 writable)
{
	for (u32 i = 0x40; i < PCI_CONFIG_SIZE; i++) {
		f->config[i] = f->initial[i] = (u8)i;
		f->writable[i] = writable;
	}
}

START_TEST(config_sizes)
{
	struct pci_function *f;
	struct bench *b = one(&f);

	fill(f, 0xff);
	bench_add(b, 0, KEPT);
	ck_assert_uint_eq(config_rd(b, KEPT, 0x44, 4), 0x47464544);
	ck_assert_uint_eq(config_rd(b, KEPT, 0x46, 2), 0x4746);
	ck_assert_uint_eq(config_rd(b, KEPT, 0x47, 1), 0x47);
	ck_assert_uint_eq(config_rd(b, KEPT, 0xfc, 4), 0xfffefdfc);

	config_wr(b, KEPT, 0x44, 1, 0xaa);
	ck_assert_uint_eq(config_rd(b, KEPT, 0x44, 4), 0x474645aa);
	config_wr(b, KEPT, 0x46, 2, 0xbbcc);
	ck_assert_uint_eq(config_rd(b, KEPT, 0x44, 4), 0xbbcc45aa);
	config_wr(b, KEPT, 0x44, 4, 0x01020304);
	ck_assert_uint_eq(config_rd(b, KEPT, 0x44, 4), 0x01020304);
	ck_assert_uint_eq(config_rd(b, KEPT, 0x40, 4), 0x43424140);
	ck_assert_uint_eq(config_rd(b, KEPT, 0x48, 4), 0x4b4a4948);
	ck_assert_uint_eq(pci_host_faults(b->host), 0);
	bench_fini(b);
}
END_TEST

/* PCI Express Base 5.0, 7.2.2: a bridge need not take an access that crosses a
 * DWORD's boundary. This one does not. */
START_TEST(config_across_dwords)
{
	static const u32 bad[][2] = { { 0x40, 8 }, { 0x44, 8 }, { 0x41, 4 },
				      { 0x42, 4 }, { 0x43, 4 }, { 0x43, 2 },
				      { 0xfd, 4 }, { 0xff, 2 }, { 0xf8, 8 } };
	struct pci_function *f;
	struct bench *b = one(&f);
	u8 before[PCI_CONFIG_SIZE];

	hush();
	fill(f, 0xff);
	bench_add(b, 0, KEPT);
	memcpy(before, f->config, sizeof(before));
	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		gpa_t at = BENCH_ECAM + KEPT * PCI_ECAM_FUNCTION + bad[i][0];

		ck_assert_uint_eq(mmio_read(&b->bus, at, bad[i][1]),
				  ~0ull >> (64 - 8 * bad[i][1]));
		mmio_write(&b->bus, at, bad[i][1], 0);
		ck_assert_mem_eq(f->config, before, sizeof(before));
		ck_assert_uint_eq(pci_host_faults(b->host), 2 * i + 2);
	}
	ck_assert_uint_eq(b->probes[0].config_reads, 0);
	ck_assert_uint_eq(b->probes[0].config_writes, 0);
	bench_fini(b);
}
END_TEST

START_TEST(extended_space)
{
	struct pci_function *f;
	struct bench *b = one(&f);

	hush();
	fill(f, 0xff);
	bench_add(b, 0, KEPT);
	for (u32 off = PCI_CONFIG_SIZE; off < PCI_ECAM_FUNCTION; off += 4) {
		ck_assert_uint_eq(config_rd(b, KEPT, off, 4), 0);
		config_wr(b, KEPT, off, 4, ~0u);
		ck_assert_uint_eq(config_rd(b, KEPT, off, 4), 0);
	}
	ck_assert_uint_eq(config_rd(b, KEPT, 0xfff, 1), 0);
	ck_assert_uint_eq(config_rd(b, KEPT, 0xffe, 2), 0);
	ck_assert_uint_eq(b->probes[0].config_writes, 0);
	ck_assert_uint_eq(config_rd(b, KEPT, 0xfc, 4), 0xfffefdfc);
	bench_fini(b);
}
END_TEST

START_TEST(masks)
{
	struct pci_function *f;
	struct bench *b = one(&f);

	fill(f, 0);
	memcpy(f->config + 0x80, "\xf0\xf0\xf0\xf0", 4);
	memcpy(f->initial + 0x80, "\xf0\xf0\xf0\xf0", 4);
	memcpy(f->writable + 0x80, "\xff\x0f\x00\x00", 4);
	memcpy(f->w1c + 0x80, "\x00\xc0\xff\x00", 4);
	bench_add(b, 0, KEPT);

	config_wr(b, KEPT, 0x80, 4, 0); /* a 0 clears no w1c bit */
	ck_assert_uint_eq(config_rd(b, KEPT, 0x80, 4), 0xf0f0f000);
	config_wr(b, KEPT, 0x80, 4, 0x00108043);
	ck_assert_uint_eq(config_rd(b, KEPT, 0x80, 4), 0xf0e07043);
	config_wr(b, KEPT, 0x80, 1, 0xff); /* and no byte beside it */
	ck_assert_uint_eq(config_rd(b, KEPT, 0x80, 4), 0xf0e070ff);
	config_wr(b, KEPT, 0x82, 1, 0xff);
	ck_assert_uint_eq(config_rd(b, KEPT, 0x80, 4), 0xf00070ff);
	config_wr(b, KEPT, 0x80, 4, ~0u); /* nor does a 1 set one */
	ck_assert_uint_eq(config_rd(b, KEPT, 0x80, 4), 0xf0003fff);
	config_wr(b, KEPT, 0x84, 4, 0);
	ck_assert_uint_eq(config_rd(b, KEPT, 0x84, 4), 0x87868584);

	pci_host_reset(b->host);
	ck_assert_uint_eq(config_rd(b, KEPT, 0x80, 4), 0xf0f0f0f0);
	bench_fini(b);
}
END_TEST

START_TEST(hooks)
{
	static const u32 cases[][2] = { { 0x00, 4 }, { 0x41, 1 }, { 0x42, 2 },
					{ 0x44, 4 }, { 0xfc, 4 }, { 0xff, 1 },
					{ 0x10, 4 }, { 0x04, 2 } };
	struct pci_function *f;
	struct bench *b = one(&f);
	struct probe *p = &b->probes[0];

	fill(f, 0xff);
	bench_add(b, 0, KEPT);
	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		config_rd(b, KEPT, cases[i][0], cases[i][1]);
		ck_assert_uint_eq(p->config_reads, i + 1);
		ck_assert_uint_eq(p->config_off, cases[i][0]);
		ck_assert_uint_eq(p->config_len, cases[i][1]);
		p->config_len = 0;
		config_wr(b, KEPT, cases[i][0], cases[i][1], 0);
		ck_assert_uint_eq(p->config_writes, i + 1);
		ck_assert_uint_eq(p->config_off, cases[i][0]);
		ck_assert_uint_eq(p->config_len, cases[i][1]);
	}

	/* What the function puts there while it is read is what is read. */
	p->shown = 0x60;
	p->shows = 0xa5;
	ck_assert_uint_eq(config_rd(b, KEPT, 0x60, 4), 0x636261a5);
	bench_fini(b);
}
END_TEST

START_TEST(no_hooks)
{
	const struct pci_ids ids = { 1, 2, 3, 4, 5, 6 };
	const struct pci_ops ops = { .bar_read = probe_ops.bar_read,
				     .bar_write = probe_ops.bar_write };
	struct bench *b = bench_init(1);
	struct pci_function *f = bench_function(b, 0);

	pci_function_fini(f);
	pci_function_init(f, "bare", &ids, &ops, &b->probes[0]);
	pci_add_bar(f, 0, 4 * KIB, false, false);
	bench_add(b, 0, KEPT);
	set_bar(b, 0, BENCH_MEM32);
	config_wr(b, KEPT, PCI_COMMAND, 2, COMMAND_RW);
	check_answers(b, 0, 0, BENCH_MEM32, 8);
	pci_host_reset(b->host);
	ck_assert_uint_eq(config_rd(b, KEPT, PCI_COMMAND, 2), 0);
	bench_fini(b);
}
END_TEST

/* From PCI_CAPS on: each that was added, once, in their order. */
START_TEST(capabilities)
{
	static const u32 lens[] = { 1, 2, 10, 7, 6, 62, 30 };
	struct pci_function *f;
	struct bench *b = one(&f);
	u32 at[ARRAY_SIZE(lens)], walk;
	u8 body[64], writable[64];

	memset(writable, 0x3c, sizeof(writable));
	for (u32 i = 0; i < ARRAY_SIZE(lens); i++) {
		memset(body, (int)(0x11 * (i + 1)), sizeof(body));
		at[i] = pci_add_cap(f, (u8)(0x20 + i), body,
				    i % 2 ? writable : NULL, lens[i]);
	}
	bench_add(b, 0, KEPT);
	ck_assert_uint_eq(config_rd(b, KEPT, PCI_STATUS, 2) & PCI_STATUS_CAPS,
			  PCI_STATUS_CAPS);

	walk = config_rd(b, KEPT, PCI_CAPS, 1);
	for (u32 i = 0; i < ARRAY_SIZE(lens); i++) {
		u8 own = (u8)(0x11 * (i + 1)), ones = (u8)(own | 0x3c);

		ck_assert_uint_eq(walk, at[i]);
		ck_assert_uint_ge(walk, 0x40);
		ck_assert(IS_ALIGNED(walk, 4));
		ck_assert_uint_eq(config_rd(b, KEPT, walk, 1), 0x20 + i);
		for (u32 j = 2; j < 2 + lens[i]; j++) {
			ck_assert_uint_eq(config_rd(b, KEPT, walk + j, 1), own);
			config_wr(b, KEPT, walk + j, 1, 0xff);
			ck_assert_uint_eq(config_rd(b, KEPT, walk + j, 1),
					  i % 2 ? ones : own);
		}
		config_wr(b, KEPT, walk, 2, 0xffff); /* id and next stay */
		walk = config_rd(b, KEPT, walk + 1, 1);
	}
	ck_assert_uint_eq(walk, 0);
	pci_host_reset(b->host);
	ck_assert_uint_eq(config_rd(b, KEPT, at[1] + 2, 1), 0x22);
	bench_fini(b);
}
END_TEST

/* As many as there is room for: the last byte is one of a capability's. */
START_TEST(capabilities_full)
{
	struct pci_function *f;
	struct bench *b = one(&f);
	u8 body[14] = { 0 };
	u32 n, walk;

	for (n = 0; n < (PCI_CONFIG_SIZE - 0x40) / 16; n++) {
		body[13] = (u8)(n + 1);
		pci_add_cap(f, CAP_VENDOR, body, NULL, sizeof(body));
	}
	bench_add(b, 0, KEPT);
	walk = config_rd(b, KEPT, PCI_CAPS, 1);
	for (u32 i = 0; i < n; i++) {
		ck_assert_uint_eq(config_rd(b, KEPT, walk + 15, 1), i + 1);
		walk = config_rd(b, KEPT, walk + 1, 1);
	}
	ck_assert_uint_eq(walk, 0);
	ck_assert_uint_eq(config_rd(b, KEPT, 0xff, 1), n);
	bench_fini(b);
}
END_TEST

/* 6.2.5.1. */
START_TEST(sizing)
{
	static const struct {
		u32 i;
		u64 size;
		bool mem64, prefetch;
		u32 lo, hi; /* read after all ones were written */
	} cases[] = {
		{ 0, 16, false, false, 0xfffffff0, 0 },
		{ 5, 256, false, false, 0xffffff00, 0 },
		{ 1, 4 * KIB, false, true, 0xfffff008, 0 },
		{ 2, MIB, false, false, 0xfff00000, 0 },
		{ 3, 2 * GIB, false, false, 0x80000000, 0 },
		{ 0, 16, true, false, 0xfffffff4, 0xffffffff },
		{ 4, 4 * KIB, true, true, 0xfffff00c, 0xffffffff },
		{ 1, 2 * GIB, true, false, 0x80000004, 0xffffffff },
		{ 2, 4 * GIB, true, true, 0x0000000c, 0xffffffff },
		{ 2, 8 * GIB, true, true, 0x0000000c, 0xfffffffe },
		{ 4, BIT(62), true, false, 0x00000004, 0xc0000000 },
	};

	for (u32 c = 0; c < ARRAY_SIZE(cases); c++) {
		u32 i = cases[c].i, flags = cases[c].lo & 0xf;
		struct pci_function *f;
		struct bench *b = one(&f);
		u32 lo = PCI_BAR(i), hi = PCI_BAR(i + 1);

		pci_add_bar(f, i, cases[c].size, cases[c].mem64,
			    cases[c].prefetch);
		bench_add(b, 0, KEPT);
		ck_assert_uint_eq(config_rd(b, KEPT, lo, 4), flags);

		/* Half by half, low one first. */
		config_wr(b, KEPT, lo, 4, ~0u);
		ck_assert_uint_eq(config_rd(b, KEPT, lo, 4), cases[c].lo);
		config_wr(b, KEPT, lo, 4, 0);
		ck_assert_uint_eq(config_rd(b, KEPT, lo, 4), flags);
		if (cases[c].mem64) {
			ck_assert_uint_eq(config_rd(b, KEPT, hi, 4), 0);
			config_wr(b, KEPT, hi, 4, ~0u);
			ck_assert_uint_eq(config_rd(b, KEPT, hi, 4),
					  cases[c].hi);
			/* Both at a time, high one first. */
			config_wr(b, KEPT, lo, 4, ~0u);
			ck_assert_uint_eq(config_rd(b, KEPT, hi, 4),
					  cases[c].hi);
			ck_assert_uint_eq(config_rd(b, KEPT, lo, 4),
					  cases[c].lo);
			config_wr(b, KEPT, hi, 4, 0);
			ck_assert_uint_eq(config_rd(b, KEPT, lo, 4),
					  cases[c].lo);
		}
		/* What is no BAR is zero and stays it. */
		for (u32 j = 0; j < PCI_BARS; j++) {
			if (j == i || (cases[c].mem64 && j == i + 1))
				continue;
			config_wr(b, KEPT, PCI_BAR(j), 4, ~0u);
			ck_assert_uint_eq(config_rd(b, KEPT, PCI_BAR(j), 4), 0);
		}
		ck_assert_uint_eq(b->probes[0].moves, 0);
		bench_fini(b);
	}
}
END_TEST

START_TEST(bar_by_bytes)
{
	struct pci_function *f;
	struct bench *b = one(&f);
	struct probe *p = &b->probes[0];

	pci_add_bar(f, 0, 64 * KIB, true, true);
	bench_add(b, 0, KEPT);
	for (u32 i = 0; i < 8; i++)
		config_wr(b, KEPT, PCI_BAR(0) + i, 1, 0xff);
	ck_assert_uint_eq(config_rd(b, KEPT, PCI_BAR(0), 4), 0xffff000c);
	ck_assert_uint_eq(config_rd(b, KEPT, PCI_BAR(0) + 1, 1), 0);
	ck_assert_uint_eq(config_rd(b, KEPT, PCI_BAR(0) + 2, 1), 0xff);
	ck_assert_uint_eq(config_rd(b, KEPT, PCI_BAR(1), 4), 0xffffffff);

	config_wr(b, KEPT, PCI_BAR(1), 2, 0x0080);
	config_wr(b, KEPT, PCI_BAR(1) + 2, 2, 0);
	config_wr(b, KEPT, PCI_BAR(0) + 3, 1, 0x12);
	config_wr(b, KEPT, PCI_COMMAND, 1, (u32)PCI_COMMAND_MSE);
	ck_assert_uint_eq(p->at[0], 0x8012ff0000);
	config_wr(b, KEPT, PCI_BAR(0) + 2, 1, 0x34);
	ck_assert_uint_eq(p->at[0], 0x8012340000);
	config_wr(b, KEPT, PCI_BAR(0), 2, 0xffff); /* below the size */
	ck_assert_uint_eq(p->moves, 2);
	check_answers(b, 0, 0, 0x8012340000, 0xfff8);
	bench_fini(b);
}
END_TEST

START_TEST(memory_space_enable)
{
	struct pci_function *f;
	struct bench *b = one(&f);
	struct probe *p = &b->probes[0];
	gpa_t at32 = BENCH_MEM32 + 4 * KIB, at64 = BENCH_MEM64 + GIB;

	hush();
	pci_add_bar(f, 0, 4 * KIB, false, false);
	pci_add_bar(f, 2, MIB, true, true);
	bench_add(b, 0, KEPT);
	set_bar(b, 0, at32);
	set_bar(b, 2, at64);
	ck_assert_uint_eq(p->moves, 0);
	check_nobody(b, at32);
	check_nobody(b, at64);

	config_wr(b, KEPT, PCI_COMMAND, 2, (u32)PCI_COMMAND_MSE);
	ck_assert_uint_eq(p->moves, 2);
	for (int bar = 0; bar <= 2; bar += 2) {
		gpa_t at = bar ? at64 : at32;
		u64 size = f->bars[bar].size;

		ck_assert_uint_eq(p->at[bar], at);
		ck_assert_uint_eq(f->bars[bar].at, at);
		check_answers(b, 0, (u32)bar, at, 0);
		check_answers(b, 0, (u32)bar, at, size - 8);
		check_nobody(b, at - 4);
		check_nobody(b, at + size);
	}
	config_wr(b, KEPT, PCI_COMMAND, 2, (u32)PCI_COMMAND_BME);
	ck_assert_uint_eq(p->at[0] | p->at[2], 0);
	ck_assert_uint_eq(f->bars[0].at | f->bars[2].at, 0);
	ck_assert_uint_eq(p->moves, 4);
	check_nobody(b, at32);
	check_nobody(b, at64);
	bench_fini(b);
}
END_TEST

START_TEST(moved_while_enabled)
{
	struct pci_function *f;
	struct bench *b = one(&f);
	struct probe *p = &b->probes[0];

	hush();
	pci_add_bar(f, 0, 64 * KIB, true, false);
	bench_add(b, 0, KEPT);
	config_wr(b, KEPT, PCI_COMMAND, 2, (u32)PCI_COMMAND_MSE);
	ck_assert_uint_eq(p->moves, 0); /* at address 0 there is no window */

	set_bar(b, 0, BENCH_MEM64);
	check_answers(b, 0, 0, BENCH_MEM64, 0x100);
	set_bar(b, 0, BENCH_MEM64 + 64 * KIB);
	check_nobody(b, BENCH_MEM64 + 0x100);
	check_answers(b, 0, 0, BENCH_MEM64 + 64 * KIB, 0x100);
	ck_assert_uint_eq(p->moves, 2);

	/* Sized where it is: away, and back. */
	config_wr(b, KEPT, PCI_BAR(0), 4, ~0u);
	config_wr(b, KEPT, PCI_BAR(1), 4, ~0u);
	ck_assert_uint_eq(p->at[0], 0);
	check_nobody(b, BENCH_MEM64 + 64 * KIB);
	set_bar(b, 0, BENCH_MEM64 + 64 * KIB);
	check_answers(b, 0, 0, BENCH_MEM64 + 64 * KIB, 0);

	/* Into the other window: a 64-bit BAR may be below 4 GiB. */
	set_bar(b, 0, 0x10100000);
	check_answers(b, 0, 0, 0x10100000, 0xff00);
	bench_fini(b);
}
END_TEST

START_TEST(places)
{
	static const struct {
		u64 size, at, answers;
	} cases[] = {
		{ 4 * KIB, BENCH_MEM32, BENCH_MEM32 },
		{ 4 * KIB, BENCH_MEM32 - 4 * KIB, 0 },
		{ 4 * KIB, BENCH_MEM32 + BENCH_MEM32_SZ - 4 * KIB,
		  BENCH_MEM32 + BENCH_MEM32_SZ - 4 * KIB },
		{ 4 * KIB, BENCH_MEM32 + BENCH_MEM32_SZ, 0 },
		{ 64 * KIB, 0x10000000, 0 }, /* across the low edge */
		{ 64 * KIB, 0x10010000, 0x10010000 },
		{ 64 * KIB, 0x10fe0000, 0x10fe0000 },
		{ 64 * KIB, 0x10ff0000, 0 }, /* across the high edge */
		{ GIB, 0, 0 },               /* holds a whole window */
		{ 4 * KIB, BENCH_ECAM, 0 },
		{ 4 * KIB, 0x40000000, 0 },
		{ 64 * GIB, BENCH_MEM64, BENCH_MEM64 },
		{ 128 * GIB, BENCH_MEM64, 0 },
		{ GIB, BENCH_MEM64 + BENCH_MEM64_SZ - GIB,
		  BENCH_MEM64 + BENCH_MEM64_SZ - GIB },
		{ GIB, BENCH_MEM64 + BENCH_MEM64_SZ, 0 },
		{ GIB, BENCH_MEM64 - GIB, 0 },
		{ 4 * KIB, ~0ull << 12, 0 },
		{ BIT(62), ~0ull << 62, 0 },
		{ BIT(62), 0, 0 },
	};

	hush();
	for (u32 c = 0; c < ARRAY_SIZE(cases); c++) {
		struct pci_function *f;
		struct bench *b = one(&f);
		struct probe *p = &b->probes[0];

		pci_add_bar(f, 0, cases[c].size, true, true);
		bench_add(b, 0, KEPT);
		set_bar(b, 0, cases[c].at);
		config_wr(b, KEPT, PCI_COMMAND, 2, (u32)PCI_COMMAND_MSE);
		ck_assert_msg(p->at[0] == cases[c].answers, "%#lx: %#lx",
			      cases[c].at, p->at[0]);
		ck_assert_uint_eq(f->bars[0].at, cases[c].answers);
		if (p->at[0]) {
			check_answers(b, 0, 0, p->at[0], 0);
			check_answers(b, 0, 0, p->at[0], cases[c].size - 8);
		}
		/* Nor does it answer from where it is not. */
		p->accesses = 0;
		mmio_read(&b->bus, BENCH_MEM32, 4);
		mmio_read(&b->bus, BENCH_MEM32 + BENCH_MEM32_SZ - 8, 8);
		mmio_read(&b->bus, BENCH_MEM64, 4);
		mmio_read(&b->bus, BENCH_MEM64 + BENCH_MEM64_SZ - 8, 8);
		ck_assert(p->at[0] || !p->accesses);
		bench_fini(b);
	}
}
END_TEST

/* Software should not; then one of them answers, and no other place suffers. */
START_TEST(overlap)
{
	struct bench *b = bench_init(2);
	struct probe *p = b->probes;
	u32 devfn[] = { KEPT, PCI_DEVFN(9, 0) };
	gpa_t at = 0x10100000;

	hush();
	for (u32 i = 0; i < 2; i++) {
		pci_add_bar(&p[i].f, 0, i ? 4 * KIB : 64 * KIB, false, false);
		pci_add_bar(&p[i].f, 1, 4 * KIB, false, false);
		bench_add(b, i, devfn[i]);
		config_wr(b, devfn[i], PCI_BAR(0), 4, (u32)at + i * 0x4000);
		config_wr(b, devfn[i], PCI_BAR(1), 4, (u32)at + 0x8000);
		config_wr(b, devfn[i], PCI_COMMAND, 2, (u32)PCI_COMMAND_MSE);
	}
	mmio_read(&b->bus, at + 0x4010, 4);
	ck_assert_uint_eq(p[0].accesses + p[1].accesses, 1);
	mmio_write(&b->bus, at + 0x8010, 4, 1);
	ck_assert_uint_eq(p[0].accesses + p[1].accesses, 2);
	check_answers(b, 0, 0, at, 0x3ff8);
	check_answers(b, 0, 0, at, 0x5000);
	check_answers(b, 0, 0, at, 0x7ff8);
	check_answers(b, 0, 0, at, 0x9000);
	check_answers(b, 0, 0, at, 0xfff8);

	/* What is left alone there has all of it. */
	config_wr(b, devfn[0], PCI_BAR(0), 4, 0x10200000);
	config_wr(b, devfn[0], PCI_BAR(1), 4, 0);
	check_answers(b, 1, 0, at + 0x4000, 0);
	check_answers(b, 1, 1, at + 0x8000, 0xff8);
	check_answers(b, 0, 0, 0x10200000, 0x4000);
	check_nobody(b, at + 0x3ffc);
	bench_fini(b);
}
END_TEST

/* A BAR is naturally aligned, so what is not crosses a device's idea of an
 * access. */
START_TEST(bar_alignment)
{
	struct pci_function *f;
	struct bench *b = one(&f);
	struct probe *p = &b->probes[0];

	hush();
	pci_add_bar(f, 0, 16, false, false);
	bench_add(b, 0, KEPT);
	set_bar(b, 0, BENCH_MEM32);
	config_wr(b, KEPT, PCI_COMMAND, 2, (u32)PCI_COMMAND_MSE);
	for (u32 size = 1; size <= 8; size *= 2) {
		for (u32 off = 0; off <= 16; off++) {
			u64 faults = pci_host_faults(b->host);
			bool bad = off % size || off == 16;

			p->accesses = 0;
			mmio_write(&b->bus, BENCH_MEM32 + off, size, ~0ull);
			mmio_read(&b->bus, BENCH_MEM32 + off, size);
			ck_assert_uint_eq(p->accesses, bad ? 0 : 2);
			ck_assert_uint_eq(pci_host_faults(b->host) - faults,
					  bad ? 2 : 0);
		}
	}
	bench_fini(b);
}
END_TEST

START_TEST(reset)
{
	struct pci_function *f;
	struct bench *b = one(&f);
	struct probe *p = &b->probes[0];
	u8 before[PCI_CONFIG_SIZE];

	hush();
	fill(f, 0xff);
	pci_add_bar(f, 0, 4 * KIB, false, false);
	pci_add_bar(f, 2, 4 * KIB, true, true);
	bench_add(b, 0, KEPT);
	for (u32 i = 0; i < PCI_CONFIG_SIZE; i++)
		before[i] = (u8)config_rd(b, KEPT, i, 1);

	for (u32 i = 0; i < PCI_CONFIG_SIZE; i += 4)
		config_wr(b, KEPT, i, 4, ~0u);
	set_bar(b, 0, BENCH_MEM32);
	ck_assert_uint_eq(p->at[0], BENCH_MEM32);
	pci_host_reset(b->host);
	ck_assert_uint_eq(p->at[0], 0);
	ck_assert_uint_eq(f->bars[0].at, 0);
	ck_assert(!pci_bus_master(f));
	check_nobody(b, BENCH_MEM32);
	for (u32 i = 0; i < PCI_CONFIG_SIZE; i++)
		ck_assert_uint_eq(config_rd(b, KEPT, i, 1), before[i]);
	pci_host_reset(b->host);
	ck_assert_uint_eq(p->moves, 2);
	bench_fini(b);
}
END_TEST

/* The window below has a little less than 16 MiB. */
START_TEST(bars_larger_than_windows)
{
	static const struct {
		u64 size;
		bool mem64;
		int result;
	} cases[] = {
		{ 8 * MIB, false, 0 },
		{ 16 * MIB, false, -ENOSPC },
		{ 16 * MIB, true, 0 },
		{ BENCH_MEM64_SZ, true, 0 },
		{ 2 * BENCH_MEM64_SZ, true, -ENOSPC },
	};

	for (size_t c = 0; c < ARRAY_SIZE(cases); c++) {
		struct bench *b = bench_init(1);
		struct err e = { 0 };

		pci_add_bar(bench_function(b, 0), 2, cases[c].size,
			    cases[c].mem64, false);
		ck_assert_int_eq(pci_host_has_room(b->host,
						   bench_function(b, 0), &e),
				 cases[c].result);
		ck_assert_int_eq(!cases[c].result, !strstr(e.msg, "BAR 2"));
		bench_fini(b);
	}
}
END_TEST

START_TEST(full_bus)
{
	struct bench *b = bench_init(PCI_FUNCTIONS_MAX + 1);
	struct pci_function *extra = bench_function(b, PCI_FUNCTIONS_MAX);

	for (u32 i = 0; i < PCI_FUNCTIONS_MAX; i++) {
		pci_add_bar(bench_function(b, i), 0, 4 * KIB, false, false);
		bench_add(b, i, i ^ 0x55);
	}
	for (u32 i = 0; i < PCI_FUNCTIONS_MAX; i++) {
		struct err e = { 0 };

		ck_assert_int_eq(pci_host_add(b->host, extra, i, &e), -EEXIST);
		ck_assert_int_eq(e.code, -EEXIST);
		ck_assert_str_ne(e.msg, "");
	}
	for (u32 i = 0; i < PCI_FUNCTIONS_MAX; i++) {
		gpa_t at = BENCH_MEM32 + i * 4 * KIB;

		ck_assert_uint_eq(config_rd(b, i ^ 0x55, PCI_DEVICE, 2),
				  0x1000 + i);
		config_wr(b, i ^ 0x55, PCI_BAR(0), 4, (u32)at);
		config_wr(b, i ^ 0x55, PCI_COMMAND, 2, (u32)PCI_COMMAND_MSE);
	}
	for (u32 i = 0; i < PCI_FUNCTIONS_MAX; i++)
		check_answers(b, i, 0, BENCH_MEM32 + i * 4 * KIB, 8);
	bench_fini(b);
}
END_TEST

/* Each window in turn is where something else is. */
START_TEST(create_refused)
{
	static const gpa_t taken[] = { BENCH_ECAM + PCI_ECAM_SIZE - 1,
				       BENCH_MEM32, BENCH_MEM64 };
	static const struct mmio_ops none = { NULL, NULL };
	const struct pci_windows w = { .ecam = BENCH_ECAM,
				       .mem32 = BENCH_MEM32,
				       .mem32_size = BENCH_MEM32_SZ,
				       .mem64 = BENCH_MEM64,
				       .mem64_size = BENCH_MEM64_SZ };

	for (u32 i = 0; i < ARRAY_SIZE(taken); i++) {
		const struct mmio_region r = { "other", taken[i], 1, &none,
					       NULL };
		struct mmio_bus bus;
		struct err e = { 0 };

		mmio_bus_init(&bus);
		ck_assert_int_eq(mmio_bus_add(&bus, &r, &e), 0);
		ck_assert_ptr_null(pci_host_create(&w, &bus, &e));
		ck_assert_int_eq(e.code, -EEXIST);
		ck_assert_ptr_nonnull(strstr(e.msg, "other"));
	}
}
END_TEST

START_TEST(one_window)
{
	const struct pci_windows w[] = {
		{ .ecam = BENCH_ECAM,
		  .mem32 = BENCH_MEM32,
		  .mem32_size = BENCH_MEM32_SZ },
		{ .ecam = BENCH_ECAM,
		  .mem64 = BENCH_MEM64,
		  .mem64_size = BENCH_MEM64_SZ },
	};

	for (u32 i = 0; i < 2; i++) {
		struct bench *b = bench_init_at(1, &w[i]);
		struct probe *p = &b->probes[0];
		gpa_t there = i ? BENCH_MEM64 : BENCH_MEM32;

		pci_add_bar(&p->f, 0, 4 * KIB, true, false);
		bench_add(b, 0, KEPT);
		config_wr(b, KEPT, PCI_COMMAND, 2, (u32)PCI_COMMAND_MSE);
		ck_assert_uint_eq(p->at[0], 0);
		set_bar(b, 0, i ? BENCH_MEM32 : BENCH_MEM64);
		ck_assert_uint_eq(p->at[0], 0);
		set_bar(b, 0, there);
		check_answers(b, 0, 0, there, 0);
		bench_fini(b);
	}
}
END_TEST

#define RACES 20000

static void *race_moves(void *ctx)
{
	struct bench *b = ctx;

	for (u32 i = 0; i < RACES; i++) {
		config_wr(b, 0, PCI_BAR(0), 4,
			  (u32)BENCH_MEM32 + i % 4 * 0x1000);
		config_wr(b, 0, PCI_COMMAND, 2,
			  i % 8 == 7 ? 0 : (u32)PCI_COMMAND_MSE);
	}
	return NULL;
}

static void *race_reads(void *ctx)
{
	struct bench *b = ctx;

	for (u32 i = 0; i < RACES; i++) {
		config_rd(b, i % 3, PCI_BAR(i % 2), 4);
		config_wr(b, 1, PCI_BAR(0), 4, (u32)BENCH_MEM32 + 0x8000);
		config_wr(b, 1, PCI_COMMAND, 1, i & 6);
	}
	return NULL;
}

static u64 race_bar_read(void *dev, u32 bar, u64 off, u32 size)
{
	ck_assert(range_fits(off, size, 4 * KIB));
	return off;
}

static void race_bar_write(void *dev, u32 bar, u64 off, u32 size, u64 val)
{
	ck_assert_uint_eq(off, val);
}

/* vCPUs that move BARs under each other's accesses: an access finds the BAR at
 * its right offset or nobody. */
START_TEST(vcpus)
{
	static const struct pci_ops ops = { .bar_read = race_bar_read,
					    .bar_write = race_bar_write };
	const struct pci_ids ids = { 1, 2, 3, 4, 5, 6 };
	struct bench *b = bench_init(2);
	pthread_t t[2];

	hush();
	for (u32 i = 0; i < 2; i++) {
		struct pci_function *f = bench_function(b, i);

		pci_function_fini(f);
		pci_function_init(f, "race", &ids, &ops, NULL);
		pci_add_bar(f, 0, 4 * KIB, false, false);
		bench_add(b, i, i);
	}
	pthread_create(&t[0], NULL, race_moves, b);
	pthread_create(&t[1], NULL, race_reads, b);
	for (u32 i = 0; i < RACES; i++) {
		u32 off = i % 512 * 8;
		u64 val = mmio_read(&b->bus, BENCH_MEM32 + off, 4);

		ck_assert(val == off % 0x1000 || val == 0xffffffff);
		mmio_write(&b->bus, BENCH_MEM32 + 0x8000 + off, 8, off);
	}
	for (u32 i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	bench_fini(b);
}
END_TEST

/* --- functions that there are already --- */

#define ROM    (64 * KIB)
#define ASLEEP 0x44 /* a byte of the tests': not 0, the function sleeps */
#define AGAIN  0x48 /* written, it is as at power-on */

/* What reached extended space last. */
static struct {
	u32 reads, writes, off, len, val;
} extended;

static u32 extended_read(void *dev, u32 off, u32 len)
{
	ck_assert(off >= PCI_CONFIG_SIZE && off % len == 0 &&
		  range_fits(off, len, PCI_ECAM_FUNCTION));
	extended.reads++;
	extended.off = off;
	extended.len = len;
	return (0xa0b0c0d0 + off) & (~0u >> (32 - 8 * len));
}

static void extended_write(void *dev, u32 off, u32 len, u32 val)
{
	ck_assert(off >= PCI_CONFIG_SIZE && off % len == 0 &&
		  range_fits(off, len, PCI_ECAM_FUNCTION));
	extended.writes++;
	extended.off = off;
	extended.len = len;
	extended.val = val;
}

static void taken_written(void *dev, u32 off, u32 len)
{
	struct probe *p = dev;

	if (off == ASLEEP)
		pci_function_sleep(&p->f, p->f.config[ASLEEP]);
	if (off == AGAIN)
		pci_function_reset(&p->f);
}

/* A BAR of 32 bits, one of 64, a ROM; a capability at 0x40, and what is told
 * to do something. */
static struct bench *taken(void)
{
	static const u8 config[PCI_CONFIG_SIZE] = {
		[0] = 0x86, [1] = 0x80, [2] = 0xc9,    [3] = 0x10,
		[6] = 0x10, [8] = 1,    [11] = 2,      [0x34] = 0x40,
		[0x40] = 9, [0x42] = 4, [0x43] = 0x5a, [0x60] = 0x77,
	};
	static const u8 writable[PCI_CONFIG_SIZE] = {
		[4] = 6,
		[0x43] = 0x0f,
		[ASLEEP] = 0xff,
		[AGAIN] = 0xff,
	};
	static struct pci_ops ops;
	struct bench *b = bench_init(1);
	struct probe *p = &b->probes[0];

	ops = probe_ops;
	ops.config_written = taken_written;
	ops.extended_read = extended_read;
	ops.extended_write = extended_write;
	memset(&extended, 0, sizeof(extended));
	pci_function_init_as(&p->f, "taken", config, writable, &ops, p);
	pci_add_bar(&p->f, 0, 4 * KIB, false, false);
	pci_add_bar(&p->f, 2, 64 * KIB, true, true);
	pci_add_rom(&p->f, ROM);
	bench_add(b, 0, KEPT);
	return b;
}

START_TEST(taken_as_it_is)
{
	struct bench *b = taken();

	for (int round = 0; round < 2; round++) {
		ck_assert_uint_eq(config_rd(b, KEPT, PCI_VENDOR, 4),
				  0x10c98086);
		ck_assert_uint_eq(config_rd(b, KEPT, PCI_COMMAND, 4),
				  0x00100000);
		ck_assert_uint_eq(config_rd(b, KEPT, PCI_REVISION, 4),
				  0x02000001);
		ck_assert_uint_eq(config_find(b, KEPT, CAP_VENDOR), 0x40);
		ck_assert_uint_eq(config_rd(b, KEPT, 0x40, 4), 0x5a040009);
		ck_assert_uint_eq(config_rd(b, KEPT, PCI_BAR(2), 4), 0xc);
		ck_assert_uint_eq(config_rd(b, KEPT, 0x60, 4), 0x77);

		for (u32 off = 0; off < PCI_CONFIG_SIZE; off += 4)
			if (off != ASLEEP && off != AGAIN)
				config_wr(b, KEPT, off, 4, ~0u);
		ck_assert_uint_eq(config_rd(b, KEPT, 0x40, 4), 0x5f040009);
		ck_assert_uint_eq(config_rd(b, KEPT, 0x60, 4), 0x77);
		ck_assert_uint_eq(config_rd(b, KEPT, PCI_COMMAND, 2), 6);
		ck_assert_uint_eq(config_rd(b, KEPT, PCI_BAR(0), 4),
				  0xfffff000);
		pci_host_reset(b->host);
	}
	bench_fini(b);
}
END_TEST

START_TEST(rom)
{
	struct bench *b = taken();
	struct probe *p = &b->probes[0];
	gpa_t at = BENCH_MEM32 + 0xf000;

	hush();
	ck_assert_uint_eq(config_rd(b, KEPT, PCI_ROM_REG, 4), 0);
	config_wr(b, KEPT, PCI_ROM_REG, 4, 0xfffff800);
	ck_assert_uint_eq(config_rd(b, KEPT, PCI_ROM_REG, 4), 0xffff0000);

	/* It answers if its own bit and that of all memory say so. */
	config_wr(b, KEPT, PCI_ROM_REG, 4, (u32)at);
	config_wr(b, KEPT, PCI_COMMAND, 2, (u32)PCI_COMMAND_MSE);
	check_nobody(b, at);
	config_wr(b, KEPT, PCI_ROM_REG, 1, 1);
	ck_assert_uint_eq(p->at[PCI_ROM], at);
	ck_assert_uint_eq(config_rd(b, KEPT, PCI_ROM_REG, 4), at | 1);
	check_answers(b, 0, PCI_ROM, at, 0);
	check_answers(b, 0, PCI_ROM, at, ROM - 8);
	check_nobody(b, at + ROM);
	config_wr(b, KEPT, PCI_COMMAND, 2, 0);
	check_nobody(b, at);
	config_wr(b, KEPT, PCI_COMMAND, 2, (u32)PCI_COMMAND_MSE);
	config_wr(b, KEPT, PCI_ROM_REG, 4, (u32)at);
	check_nobody(b, at);
	ck_assert_uint_eq(p->moves, 4);

	config_wr(b, KEPT, PCI_ROM_REG, 4, (u32)at | 1);
	pci_host_reset(b->host);
	ck_assert_uint_eq(p->at[PCI_ROM], 0);
	ck_assert_uint_eq(config_rd(b, KEPT, PCI_ROM_REG, 4), 0);
	bench_fini(b);
}
END_TEST

START_TEST(rom_sizes)
{
	static const struct {
		u64 size;
		u32 sized;
	} cases[] = { { 2 * KIB, 0xfffff801 },
		      { 128 * KIB, 0xfffe0001 },
		      { 2 * GIB, 0x80000001 } };

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		struct pci_function *f;
		struct bench *b = one(&f);

		pci_add_rom(f, cases[i].size);
		bench_add(b, 0, KEPT);
		config_wr(b, KEPT, PCI_ROM_REG, 4, ~0u);
		ck_assert_uint_eq(config_rd(b, KEPT, PCI_ROM_REG, 4),
				  cases[i].sized);
		bench_fini(b);
	}
}
END_TEST

START_TEST(extended_space_of_its_own)
{
	static const u32 cases[][2] = {
		{ 0x100, 4 }, { 0x100, 1 }, { 0x103, 1 },
		{ 0x102, 2 }, { 0xffc, 4 }, { 0xfff, 1 },
	};
	struct bench *b = taken();

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		u32 off = cases[i][0], len = cases[i][1];
		u32 mask = ~0u >> (32 - 8 * len);

		ck_assert_uint_eq(config_rd(b, KEPT, off, len),
				  (0xa0b0c0d0 + off) & mask);
		ck_assert(extended.off == off && extended.len == len);
		extended.len = 0;
		config_wr(b, KEPT, off, len, 0x12345678 & mask);
		ck_assert(extended.off == off && extended.len == len);
		ck_assert_uint_eq(extended.val, 0x12345678 & mask);
		ck_assert(extended.reads == i + 1 && extended.writes == i + 1);
	}
	config_rd(b, KEPT, 0xfc, 4);
	config_wr(b, KEPT, 0xfc, 4, 0);
	ck_assert_uint_eq(extended.reads, ARRAY_SIZE(cases));
	ck_assert_uint_eq(extended.writes, ARRAY_SIZE(cases));
	bench_fini(b);
}
END_TEST

static void place_all(struct bench *b)
{
	set_bar(b, 0, BENCH_MEM32);
	set_bar(b, 2, BENCH_MEM64);
	config_wr(b, KEPT, PCI_ROM_REG, 4, (u32)BENCH_MEM32 + 0xf001);
	config_wr(b, KEPT, PCI_COMMAND, 2,
		  (u32)(PCI_COMMAND_MSE | PCI_COMMAND_BME));
}

/* Asleep, no BAR answers, wherever it is put; the rest is as it was. */
START_TEST(sleeping)
{
	struct bench *b = taken();
	struct probe *p = &b->probes[0];

	hush();
	place_all(b);
	ck_assert_uint_eq(p->moves, 3);
	config_wr(b, KEPT, ASLEEP, 1, 3);
	ck_assert_uint_eq(p->moves, 6);
	ck_assert_uint_eq(p->at[0] | p->at[2] | p->at[PCI_ROM], 0);
	check_nobody(b, BENCH_MEM32);
	check_nobody(b, BENCH_MEM64);
	check_nobody(b, BENCH_MEM32 + 0xf000);

	set_bar(b, 0, BENCH_MEM32 + 4 * KIB);
	config_wr(b, KEPT, PCI_COMMAND, 2, 0);
	config_wr(b, KEPT, PCI_COMMAND, 2, (u32)PCI_COMMAND_MSE);
	ck_assert_uint_eq(p->moves, 6);
	check_nobody(b, BENCH_MEM32 + 4 * KIB);
	ck_assert_uint_eq(config_rd(b, KEPT, PCI_BAR(0), 4),
			  BENCH_MEM32 + 4 * KIB);

	config_wr(b, KEPT, ASLEEP, 1, 0);
	ck_assert_uint_eq(p->moves, 9);
	check_answers(b, 0, 0, BENCH_MEM32 + 4 * KIB, 0);
	check_answers(b, 0, 2, BENCH_MEM64, 0x100);
	check_answers(b, 0, PCI_ROM, BENCH_MEM32 + 0xf000, 8);
	bench_fini(b);
}
END_TEST

/* As the guest resets it, not the host. */
START_TEST(reset_by_the_guest)
{
	struct bench *b = taken();
	struct probe *p = &b->probes[0];

	hush();
	place_all(b);
	config_wr(b, KEPT, 0x43, 1, 0xff);
	ck_assert(pci_bus_master(&p->f));
	config_wr(b, KEPT, AGAIN, 1, 1);
	ck_assert_uint_eq(config_rd(b, KEPT, 0x43, 1), 0x5a);
	ck_assert_uint_eq(config_rd(b, KEPT, AGAIN, 1), 0);
	ck_assert_uint_eq(config_rd(b, KEPT, PCI_COMMAND, 2), 0);
	ck_assert_uint_eq(config_rd(b, KEPT, PCI_BAR(0), 4), 0);
	ck_assert_uint_eq(p->at[0] | p->at[2] | p->at[PCI_ROM], 0);
	ck_assert(!pci_bus_master(&p->f));
	check_nobody(b, BENCH_MEM32);
	place_all(b);
	check_answers(b, 0, 0, BENCH_MEM32, 0);
	bench_fini(b);
}
END_TEST

UNIT_MAIN("pci", taken_as_it_is, rom, rom_sizes, extended_space_of_its_own,
	  sleeping, reset_by_the_guest, identity, enumeration,
	  functions_of_a_device, command_and_status, no_capabilities,
	  config_sizes, config_across_dwords, extended_space, masks, hooks,
	  no_hooks, capabilities, capabilities_full, sizing, bar_by_bytes,
	  memory_space_enable, moved_while_enabled, places, overlap,
	  bar_alignment, reset, full_bus, bars_larger_than_windows,
	  create_refused, one_window, vcpus)
