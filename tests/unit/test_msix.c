/*
 * MSI-X as a guest's driver and a device see it, against a sink that counts
 * what arrives. PCI Local Bus 3.0, 6.8.2 and 6.8.3.
 */
#include "fakes/pci_bench.h"
#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define KEPT  PCI_DEVFN(5, 2)
#define BAR   2
#define TABLE 0x1000
#define PBA   0x800
#define PLACE (BENCH_MEM64 + 16 * MIB)

/* What vector @v's message is in these tests, unless they say otherwise. */
#define ADDR(v) (0x1100008000040ull + 0x10000ull * (v))
#define DATA(v) (0xabc00000u + (v))

/* A bus whose one function has @nr vectors; the guest has placed its BAR and
 * has touched nothing else. */
static struct bench *bench_msix_at(u32 nr, bool direct)
{
	struct bench *b = bench_init(1);
	struct pci_function *f = bench_function(b, 0);
	struct msi_sink sink;
	struct err e = { 0 };

	b->sink.direct = direct;
	sink = sink_ops(&b->sink);
	pci_add_cap(f, 9, "\3", NULL, 1);
	pci_add_bar(f, BAR, 64 * KIB, true, true);
	ck_assert_msg(!pci_add_msix(f, nr, BAR, TABLE, PBA, &sink, &e), "%s",
		      e.msg);
	bench_add(b, 0, KEPT);
	config_wr(b, KEPT, PCI_BAR(BAR), 4, (u32)PLACE);
	config_wr(b, KEPT, PCI_BAR(BAR + 1), 4, (u32)(PLACE >> 32));
	config_wr(b, KEPT, PCI_COMMAND, 2,
		  (u32)(PCI_COMMAND_MSE | PCI_COMMAND_BME));
	return b;
}

static struct bench *bench_msix(u32 nr)
{
	return bench_msix_at(nr, false);
}

/* Word @word, MSIX_ADDR and so on, of entry @v. */
static void entry_wr(struct bench *b, u32 v, u32 word, u32 val)
{
	mmio_write(&b->bus, PLACE + TABLE + v * MSIX_ENTRY + word, 4, val);
}

static u32 entry_rd(struct bench *b, u32 v, u32 word)
{
	return (u32)mmio_read(&b->bus, PLACE + TABLE + v * MSIX_ENTRY + word,
			      4);
}

static void set_message(struct bench *b, u32 v, u64 addr, u32 data)
{
	entry_wr(b, v, MSIX_ADDR, (u32)addr);
	entry_wr(b, v, MSIX_ADDR_HI, (u32)(addr >> 32));
	entry_wr(b, v, MSIX_DATA, data);
}

static void mask(struct bench *b, u32 v, bool masked)
{
	entry_wr(b, v, MSIX_VECTOR, masked);
}

static u64 pending(struct bench *b, u32 word)
{
	return mmio_read(&b->bus, PLACE + PBA + 8 * word, 8);
}

static u32 control_at(struct bench *b)
{
	return config_find(b, KEPT, MSIX_CAP_ID) + MSIX_CONTROL;
}

static void control(struct bench *b, u64 bits)
{
	config_wr(b, KEPT, control_at(b), 2, (u32)bits);
}

static void fire(struct bench *b, u32 v)
{
	pci_msix_fire(bench_function(b, 0), v);
}

/* As a driver does it: on with all masked, messages, then unmask. */
static struct bench *run_bench(struct bench *b, u32 nr)
{
	control(b, MSIX_CONTROL_ON | MSIX_CONTROL_MASK);
	for (u32 v = 0; v < nr; v++) {
		set_message(b, v, ADDR(v), DATA(v));
		mask(b, v, false);
	}
	control(b, MSIX_CONTROL_ON);
	ck_assert_uint_eq(sink_count(&b->sink), 0);
	return b;
}

static struct bench *bench_running(u32 nr)
{
	return run_bench(bench_msix(nr), nr);
}

static void bench_end(struct bench *b)
{
	ck_assert_uint_eq(sink_count(&b->sink), 0);
	ck_assert_uint_eq(b->sink.lost, 0);
	bench_fini(b);
}

static void expect(struct bench *b, u64 addr, u32 data)
{
	struct message m;

	ck_assert_uint_eq(sink_take(&b->sink, &m, 1), 1);
	ck_assert_uint_eq(m.devid, KEPT);
	ck_assert_uint_eq(m.addr, addr);
	ck_assert_uint_eq(m.data, data);
}

static void expect_own(struct bench *b, u32 v)
{
	expect(b, ADDR(v), DATA(v));
}

static void expect_silence(struct bench *b)
{
	ck_assert_uint_eq(sink_count(&b->sink), 0);
}

START_TEST(capability)
{
	static const u32 nrs[] = { 1, 2, 33, 64, 65, 2000 };

	for (u32 i = 0; i < ARRAY_SIZE(nrs); i++) {
		struct bench *b = bench_msix(nrs[i]);
		u32 at = config_find(b, KEPT, MSIX_CAP_ID);

		ck_assert_uint_ne(at, 0);
		ck_assert_uint_eq(config_rd(b, KEPT, at + MSIX_CONTROL, 2),
				  nrs[i] - 1);
		ck_assert_uint_eq(config_rd(b, KEPT, at + MSIX_TABLE, 4),
				  TABLE | BAR);
		ck_assert_uint_eq(config_rd(b, KEPT, at + MSIX_PBA, 4),
				  PBA | BAR);
		for (u32 off = 0; off < 12; off += 4)
			config_wr(b, KEPT, at + off, 4, ~0u);
		ck_assert_uint_eq(config_rd(b, KEPT, at + MSIX_CONTROL, 2),
				  (nrs[i] - 1) | 0xc000);
		ck_assert_uint_eq(config_rd(b, KEPT, at + MSIX_TABLE, 4),
				  TABLE | BAR);
		ck_assert_uint_eq(config_rd(b, KEPT, at + MSIX_PBA, 4),
				  PBA | BAR);
		ck_assert_uint_eq(b->sink.opened, nrs[i]);
		bench_end(b);
	}
}
END_TEST

/* On and off, whichever bytes of the capability are written. */
START_TEST(enabled)
{
	static const struct {
		u32 off, size, val;
		bool on;
	} cases[] = {
		{ 2, 2, 0x8000, true }, { 2, 2, 0x0000, false },
		{ 3, 1, 0xc0, true },   { 3, 1, 0x40, false },
		{ 0, 4, ~0u, true },    { 2, 1, 0, true },
		{ 0, 2, 0, true },      { 0, 4, 0x7fffffff, false },
	};
	struct bench *b = bench_msix(2);
	u32 at = config_find(b, KEPT, MSIX_CAP_ID);

	ck_assert(!pci_msix_enabled(bench_function(b, 0)));
	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		config_wr(b, KEPT, at + cases[i].off, cases[i].size,
			  cases[i].val);
		ck_assert_msg(pci_msix_enabled(bench_function(b, 0)) ==
				      cases[i].on,
			      "case %u", i);
	}
	bench_end(b);
}
END_TEST

static void check_initial(struct bench *b, u32 nr)
{
	for (u32 v = 0; v < nr; v++)
		ck_assert_uint_eq(entry_rd(b, v, MSIX_VECTOR),
				  MSIX_VECTOR_MASKED);
	for (u32 i = 0; i < (nr + 63) / 64; i++)
		ck_assert_uint_eq(pending(b, i), 0);
}

START_TEST(initial)
{
	struct bench *b = bench_msix(70);

	check_initial(b, 70);
	for (u32 v = 0; v < 70; v++)
		fire(b, v);
	expect_silence(b);
	/* Off: dropped, not kept. */
	check_initial(b, 70);
	control(b, MSIX_CONTROL_ON);
	check_initial(b, 70);
	bench_end(b);
}
END_TEST

/* Aligned DWORDs and QWORDs, 6.8.2. */
START_TEST(table_access)
{
	struct bench *b = bench_msix(3);
	gpa_t at = PLACE + TABLE + MSIX_ENTRY;

	mmio_write(&b->bus, at, 8, 0x1122334455667788);
	mmio_write(&b->bus, at + 8, 8, 0x1aabbccdd);
	ck_assert_uint_eq(entry_rd(b, 1, MSIX_ADDR), 0x55667788);
	ck_assert_uint_eq(entry_rd(b, 1, MSIX_ADDR_HI), 0x11223344);
	ck_assert_uint_eq(entry_rd(b, 1, MSIX_DATA), 0xaabbccdd);
	ck_assert_uint_eq(entry_rd(b, 1, MSIX_VECTOR), 1);
	set_message(b, 1, 0xffeeddccbbaa9988, 0x01020304);
	mask(b, 1, false);
	ck_assert_uint_eq(mmio_read(&b->bus, at, 8), 0xffeeddccbbaa9988);
	ck_assert_uint_eq(mmio_read(&b->bus, at + 8, 8), 0x01020304);

	/* Address bits 1:0 may be read-only but must not be sent; reserved
	 * bits of Vector Control must not be taken for the mask. */
	entry_wr(b, 1, MSIX_VECTOR, 0xfffffffe);
	ck_assert_uint_eq(entry_rd(b, 1, MSIX_VECTOR) & MSIX_VECTOR_MASKED, 0);
	entry_wr(b, 1, MSIX_VECTOR, 0xffffffff);
	ck_assert_uint_eq(entry_rd(b, 1, MSIX_VECTOR) & MSIX_VECTOR_MASKED, 1);

	/* Nothing of it is the neighbours'. */
	for (u32 v = 0; v <= 2; v += 2)
		ck_assert_uint_eq(entry_rd(b, v, MSIX_VECTOR), 1);
	ck_assert_uint_eq(b->probes[0].accesses, 0);
	ck_assert_uint_eq(pci_host_faults(b->host), 0);
	bench_end(b);
}
END_TEST

START_TEST(table_access_refused)
{
	static const u32 bad[][2] = { { 0, 1 },  { 3, 1 },  { 0, 2 }, { 2, 2 },
				      { 12, 1 }, { 12, 2 }, { 4, 8 }, { 12, 8 },
				      { 1, 4 },  { 2, 4 },  { 1, 2 } };
	struct bench *b = bench_msix(3);

	hush();
	set_message(b, 1, ADDR(1), DATA(1));
	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		gpa_t off = MSIX_ENTRY + bad[i][0];

		mmio_write(&b->bus, PLACE + TABLE + off, bad[i][1], 0);
		mmio_read(&b->bus, PLACE + TABLE + off, bad[i][1]);
		ck_assert_uint_eq(pci_host_faults(b->host), 2 * i + 2);
		ck_assert_uint_eq(entry_rd(b, 1, MSIX_ADDR), (u32)ADDR(1));
		ck_assert_uint_eq(entry_rd(b, 1, MSIX_ADDR_HI), ADDR(1) >> 32);
		ck_assert_uint_eq(entry_rd(b, 1, MSIX_DATA), DATA(1));
		ck_assert_uint_eq(entry_rd(b, 1, MSIX_VECTOR), 1);
		ck_assert_uint_eq(entry_rd(b, 2, MSIX_VECTOR), 1);
	}
	mmio_read(&b->bus, PLACE + PBA, 1);
	mmio_read(&b->bus, PLACE + PBA + 2, 2);
	mmio_read(&b->bus, PLACE + PBA + 4, 8);
	ck_assert_uint_eq(pci_host_faults(b->host), 2 * ARRAY_SIZE(bad) + 3);
	ck_assert_uint_eq(b->probes[0].accesses, 0);
	bench_end(b);
}
END_TEST

/* What else is in the BAR is the device's, up to the last byte. */
START_TEST(neighbours)
{
	static const u32 nrs[] = { 1, 64, 65 };

	for (u32 n = 0; n < ARRAY_SIZE(nrs); n++) {
		struct bench *b = bench_msix(nrs[n]);
		struct probe *p = &b->probes[0];
		const u64 offs[] = {
			0,
			PBA - 8,
			PBA + (nrs[n] + 63) / 64 * 8,
			TABLE - 8,
			TABLE + nrs[n] * MSIX_ENTRY,
			64 * KIB - 8,
		};

		for (u32 i = 0; i < ARRAY_SIZE(offs); i++) {
			ck_assert_uint_eq(mmio_read(&b->bus, PLACE + offs[i],
						    8),
					  probe_value(BAR, offs[i], 8));
			mmio_write(&b->bus, PLACE + offs[i] + 4, 2, 7);
			ck_assert_uint_eq(p->last.off, offs[i] + 4);
		}
		ck_assert_uint_eq(p->accesses, 2 * ARRAY_SIZE(offs));
		bench_end(b);
	}
}
END_TEST

START_TEST(sent)
{
	struct bench *b = bench_running(3);

	for (u32 round = 0; round < 3; round++) {
		for (u32 v = 0; v < 3; v++) {
			fire(b, v);
			expect_own(b, v);
		}
	}
	ck_assert_uint_eq(pending(b, 0), 0);
	bench_end(b);
}
END_TEST

START_TEST(vector_mask)
{
	struct bench *b = bench_running(3);

	mask(b, 1, true);
	fire(b, 1);
	fire(b, 1);
	fire(b, 2);
	expect_own(b, 2);
	ck_assert_uint_eq(pending(b, 0), 2);
	mask(b, 1, true);
	expect_silence(b);
	mask(b, 1, false);
	expect_own(b, 1); /* once, however often it was due */
	ck_assert_uint_eq(pending(b, 0), 0);
	mask(b, 1, false);
	mask(b, 1, true);
	mask(b, 1, false);
	expect_silence(b);
	fire(b, 1);
	expect_own(b, 1);
	bench_end(b);
}
END_TEST

START_TEST(function_mask)
{
	struct bench *b = bench_running(70);
	struct message came[70];
	u64 seen[2] = { 0 };

	mask(b, 69, true);
	control(b, MSIX_CONTROL_ON | MSIX_CONTROL_MASK);
	ck_assert_uint_eq(entry_rd(b, 0, MSIX_VECTOR), 0);
	for (u32 v = 0; v < 70; v++)
		if (v != 3)
			fire(b, v);
	expect_silence(b);
	ck_assert_uint_eq(pending(b, 0), ~0ull ^ BIT(3));
	ck_assert_uint_eq(pending(b, 1), GENMASK(5, 0));

	/* A vector's own mask makes no difference now. */
	mask(b, 5, true);
	mask(b, 5, false);
	expect_silence(b);

	control(b, MSIX_CONTROL_ON);
	ck_assert_uint_eq(sink_take(&b->sink, came, 70), 68);
	for (u32 i = 0; i < 68; i++) {
		u32 v = came[i].data - DATA(0);

		ck_assert_uint_lt(v, 69);
		ck_assert_uint_eq(came[i].addr, ADDR(v));
		ck_assert_uint_eq(seen[v / 64] & BIT(v % 64), 0);
		seen[v / 64] |= BIT(v % 64);
	}
	ck_assert_uint_eq(pending(b, 0), 0);
	ck_assert_uint_eq(pending(b, 1), BIT(5));
	mask(b, 69, false);
	expect_own(b, 69);
	bench_end(b);
}
END_TEST

START_TEST(pending_bits)
{
	struct bench *b = bench_running(70);

	hush();
	control(b, MSIX_CONTROL_ON | MSIX_CONTROL_MASK);
	fire(b, 1);
	fire(b, 33);
	fire(b, 69);
	ck_assert_uint_eq(pending(b, 0), BIT(33) | BIT(1));
	ck_assert_uint_eq(pending(b, 1), BIT(5));
	ck_assert_uint_eq(mmio_read(&b->bus, PLACE + PBA, 4), 2);
	ck_assert_uint_eq(mmio_read(&b->bus, PLACE + PBA + 4, 4), 2);
	ck_assert_uint_eq(mmio_read(&b->bus, PLACE + PBA + 8, 4), BIT(5));
	ck_assert_uint_eq(mmio_read(&b->bus, PLACE + PBA + 12, 4), 0);

	mmio_write(&b->bus, PLACE + PBA, 8, ~0ull);
	mmio_write(&b->bus, PLACE + PBA, 4, 0);
	mmio_write(&b->bus, PLACE + PBA + 8, 8, 0);
	mmio_write(&b->bus, PLACE + PBA + 12, 4, ~0u);
	ck_assert_uint_eq(pci_host_faults(b->host), 4);
	ck_assert_uint_eq(pending(b, 0), BIT(33) | BIT(1));
	ck_assert_uint_eq(pending(b, 1), BIT(5));
	control(b, MSIX_CONTROL_ON);
	ck_assert_uint_eq(sink_count(&b->sink), 3);
	ck_assert_uint_eq(pending(b, 0) | pending(b, 1), 0);
	ck_assert_uint_eq(b->probes[0].accesses, 0);
	sink_take(&b->sink, NULL, 0);
	bench_end(b);
}
END_TEST

START_TEST(message_changed_masked)
{
	struct bench *b = bench_running(2);

	fire(b, 0);
	expect_own(b, 0);

	/* The pending message is the one that is there when it is sent. */
	mask(b, 0, true);
	fire(b, 0);
	set_message(b, 0, ADDR(8), DATA(8));
	mask(b, 0, false);
	expect_own(b, 8);
	fire(b, 0);
	expect_own(b, 8);

	/* The same under the function's mask, halves in the other order. */
	control(b, MSIX_CONTROL_ON | MSIX_CONTROL_MASK);
	fire(b, 0);
	entry_wr(b, 0, MSIX_DATA, DATA(9));
	entry_wr(b, 0, MSIX_ADDR_HI, (u32)(ADDR(9) >> 32));
	entry_wr(b, 0, MSIX_ADDR, (u32)ADDR(9));
	control(b, MSIX_CONTROL_ON);
	expect_own(b, 9);
	fire(b, 0);
	expect_own(b, 9);

	/* Data and unmasking in one write. */
	mask(b, 0, true);
	fire(b, 0);
	mmio_write(&b->bus, PLACE + TABLE, 8, ADDR(10));
	mmio_write(&b->bus, PLACE + TABLE + 8, 8, DATA(10));
	expect_own(b, 10);
	fire(b, 0);
	expect_own(b, 10);

	/* Each part alone. */
	mask(b, 0, true);
	entry_wr(b, 0, MSIX_DATA, 1);
	mask(b, 0, false);
	fire(b, 0);
	expect(b, ADDR(10), 1);
	mask(b, 0, true);
	entry_wr(b, 0, MSIX_ADDR_HI, 0xdead);
	mask(b, 0, false);
	fire(b, 0);
	expect(b, (ADDR(10) & 0xffffffff) | 0xdeadull << 32, 1);
	mask(b, 0, true);
	entry_wr(b, 0, MSIX_ADDR, 0x40);
	mask(b, 0, false);
	fire(b, 0);
	expect(b, 0xdead00000040, 1);
	bench_end(b);
}
END_TEST

/* Undefined until the next unmasking; from then on the new one. */
START_TEST(message_changed_unmasked)
{
	struct bench *b = bench_running(1);
	struct message m;

	set_message(b, 0, ADDR(4), DATA(4));
	fire(b, 0);
	ck_assert_uint_eq(sink_take(&b->sink, &m, 1), 1);
	ck_assert_uint_eq(m.devid, KEPT);
	mask(b, 0, true);
	mask(b, 0, false);
	fire(b, 0);
	expect_own(b, 4);

	set_message(b, 0, ADDR(5), DATA(5));
	control(b, MSIX_CONTROL_ON | MSIX_CONTROL_MASK);
	control(b, MSIX_CONTROL_ON);
	fire(b, 0);
	expect_own(b, 5);
	bench_end(b);
}
END_TEST

/* The two low bits of an address are no address; a host may refuse them. */
START_TEST(address_alignment)
{
	struct bench *b = bench_running(1);

	mask(b, 0, true);
	entry_wr(b, 0, MSIX_ADDR, (u32)ADDR(0) | 3);
	mask(b, 0, false);
	fire(b, 0);
	expect_own(b, 0);
	bench_end(b);
}
END_TEST

START_TEST(disabled)
{
	struct bench *b = bench_running(2);
	bool kept;

	mask(b, 0, true);
	fire(b, 0);
	control(b, 0);
	fire(b, 1);
	expect_silence(b);
	ck_assert_uint_eq(entry_rd(b, 0, MSIX_VECTOR), 1);
	ck_assert_uint_eq(entry_rd(b, 1, MSIX_VECTOR), 0);
	ck_assert_uint_eq(entry_rd(b, 1, MSIX_DATA), DATA(1));

	/* Unmasked while off: nothing can be sent before it is on again. What
	 * happens to the pending bit is not said; it must tell the truth. */
	mask(b, 0, false);
	expect_silence(b);
	kept = pending(b, 0) & 1;
	ck_assert_uint_eq(pending(b, 0) & ~1ull, 0);
	control(b, MSIX_CONTROL_ON);
	if (kept)
		expect_own(b, 0);
	expect_silence(b);
	fire(b, 1);
	expect_own(b, 1);
	bench_end(b);
}
END_TEST

/* A message is a write: it needs Bus Master Enable, 7.5.1.1.3. */
START_TEST(bus_master)
{
	struct bench *b = bench_running(2);
	struct message m;
	u64 kept;

	config_wr(b, KEPT, PCI_COMMAND, 2, (u32)PCI_COMMAND_MSE);
	fire(b, 0);
	expect_silence(b);
	mask(b, 1, true);
	fire(b, 1);
	mask(b, 1, false);
	expect_silence(b);
	kept = pending(b, 0);
	config_wr(b, KEPT, PCI_COMMAND, 2,
		  (u32)(PCI_COMMAND_MSE | PCI_COMMAND_BME));
	ck_assert_uint_eq(sink_take(&b->sink, &m, 1),
			  (u32)__builtin_popcountll(kept));
	fire(b, 0);
	expect_own(b, 0);
	bench_end(b);
}
END_TEST

START_TEST(no_such_vector)
{
	struct bench *b = bench_running(65);

	control(b, MSIX_CONTROL_ON | MSIX_CONTROL_MASK);
	fire(b, 65);
	fire(b, 127);
	fire(b, 128);
	fire(b, 2048);
	fire(b, 0xffff); /* VIRTIO_MSI_NO_VECTOR */
	fire(b, ~0u);
	ck_assert_uint_eq(pending(b, 0), 0);
	ck_assert_uint_eq(pending(b, 1), 0);
	control(b, MSIX_CONTROL_ON);
	fire(b, 65);
	fire(b, 0xffff);
	bench_end(b);
}
END_TEST

START_TEST(no_msix)
{
	struct bench *b = bench_init(1);

	fire(b, 0);
	ck_assert(!pci_msix_enabled(bench_function(b, 0)));
	bench_add(b, 0, KEPT);
	fire(b, 0);
	ck_assert(!pci_msix_enabled(bench_function(b, 0)));
	bench_end(b);
}
END_TEST

/* Aiming costs the host a look at all its routes. */
START_TEST(aimed_when_it_changes)
{
	struct bench *b = bench_running(8);

	ck_assert_uint_le(b->sink.aims, 8);
	for (u32 v = 0; v < 8; v++) {
		fire(b, v);
		expect_own(b, v);
	}
	ck_assert_uint_le(b->sink.aims, 8);
	ck_assert_uint_eq(b->sink.sends, 0); /* else there is no use in lines */
	b->sink.aims = 0;
	for (u32 i = 0; i < 10; i++) {
		mask(b, 3, true);
		set_message(b, 3, ADDR(3), DATA(3)); /* as it was */
		fire(b, 3);
		mask(b, 3, false);
		expect_own(b, 3);
		control(b, MSIX_CONTROL_ON | MSIX_CONTROL_MASK);
		control(b, MSIX_CONTROL_ON);
		control(b, 0);
		control(b, MSIX_CONTROL_ON);
	}
	ck_assert_uint_eq(b->sink.aims, 0);

	mask(b, 3, true);
	set_message(b, 3, ADDR(4), DATA(5));
	mask(b, 3, false);
	fire(b, 3);
	expect(b, ADDR(4), DATA(5));
	ck_assert_uint_eq(b->sink.aims, 1);
	bench_end(b);
}
END_TEST

START_TEST(aim_fails)
{
	struct bench *b = bench_running(2);

	fire(b, 0);
	expect_own(b, 0);

	b->sink.aims_fail = true;
	mask(b, 0, true);
	set_message(b, 0, ADDR(6), DATA(6));
	fire(b, 0);
	mask(b, 0, false);
	expect_own(b, 6);
	fire(b, 0);
	expect_own(b, 6);
	fire(b, 1); /* whose line is as good as it was */
	expect_own(b, 1);

	/* Back to a message that the line had once, but has no more. */
	mask(b, 0, true);
	set_message(b, 0, ADDR(0), DATA(0));
	mask(b, 0, false);
	fire(b, 0);
	expect_own(b, 0);
	ck_assert_uint_eq(b->sink.lost, 0);

	/* The host may have room again: tried anew when the vector opens. */
	b->sink.aims_fail = false;
	b->sink.sends = 0;
	mask(b, 0, true);
	mask(b, 0, false);
	fire(b, 0);
	expect_own(b, 0);
	ck_assert_uint_eq(b->sink.sends, 0);
	bench_end(b);
}
END_TEST

/* To one that has no use for lines. */
START_TEST(direct)
{
	struct bench *b = run_bench(bench_msix_at(2, true), 2);

	for (u32 v = 0; v < 2; v++) {
		fire(b, v);
		expect_own(b, v);
	}
	mask(b, 0, true);
	set_message(b, 0, ADDR(6), DATA(6));
	fire(b, 0);
	ck_assert_uint_eq(sink_count(&b->sink), 0);
	mask(b, 0, false);
	expect_own(b, 6);
	ck_assert_uint_eq(b->sink.sends, 3);
	ck_assert_uint_eq(b->sink.nr, 0);
	ck_assert_uint_eq(b->sink.aims, 0);
	bench_end(b);
}
END_TEST

/* Whichever aim it is that fails, all messages come. */
START_TEST(aim_fails_in_turn)
{
	for (u32 at = 1; at <= 6; at++) {
		struct bench *b = bench_msix(3);

		b->sink.aim_fails_at = at;
		for (u32 round = 0; round < 2; round++) {
			control(b, MSIX_CONTROL_ON | MSIX_CONTROL_MASK);
			for (u32 v = 0; v < 3; v++) {
				u32 m = v + 3 * round;

				set_message(b, v, ADDR(m), DATA(m));
				mask(b, v, false);
			}
			control(b, MSIX_CONTROL_ON);
			for (u32 v = 0; v < 3; v++) {
				fire(b, v);
				expect_own(b, v + 3 * round);
			}
		}
		ck_assert_uint_eq(b->sink.aim_fails_at, 0);
		bench_end(b);
	}
}
END_TEST

/* A message for which the guest has no interrupt is gone, as it would be. */
START_TEST(unmapped)
{
	struct bench *b = bench_running(1);

	hush();
	b->sink.aims_fail = b->sink.unmapped = true;
	mask(b, 0, true);
	set_message(b, 0, ADDR(1), DATA(1));
	mask(b, 0, false);
	fire(b, 0);
	expect_silence(b);
	ck_assert_uint_eq(pending(b, 0), 0);
	b->sink.unmapped = false;
	fire(b, 0);
	expect_own(b, 1);
	bench_end(b);
}
END_TEST

START_TEST(all_vectors)
{
	enum { NR = PCI_MSIX_VECTORS_MAX };
	static struct message came[NR];
	static bool seen[NR];
	struct bench *b = bench_running(NR);
	u32 at = config_find(b, KEPT, MSIX_CAP_ID);

	ck_assert_uint_eq(config_rd(b, KEPT, at + 2, 2) & MSIX_CONTROL_SIZE,
			  NR - 1);
	ck_assert_uint_le(b->sink.aims, NR);
	for (int held = 0; held < 2; held++) {
		if (held)
			control(b, MSIX_CONTROL_ON | MSIX_CONTROL_MASK);
		for (u32 v = 0; v < NR; v++)
			fire(b, v);
		for (u32 i = 0; i < NR / 64; i++)
			ck_assert_uint_eq(pending(b, i), held ? ~0ull : 0);
		control(b, MSIX_CONTROL_ON);
		memset(seen, 0, sizeof(seen));
		ck_assert_uint_eq(sink_take(&b->sink, came, NR), NR);
		for (u32 i = 0; i < NR; i++) {
			u32 v = came[i].data - DATA(0);

			ck_assert_uint_lt(v, NR);
			ck_assert_uint_eq(came[i].addr, ADDR(v));
			ck_assert(!seen[v]);
			seen[v] = true;
		}
	}
	bench_end(b);
}
END_TEST

START_TEST(reset)
{
	struct bench *b = bench_running(70);
	u32 opened = b->sink.opened;

	control(b, MSIX_CONTROL_ON | MSIX_CONTROL_MASK);
	fire(b, 1);
	fire(b, 69);
	pci_host_reset(b->host);
	ck_assert(!pci_msix_enabled(bench_function(b, 0)));
	ck_assert_uint_eq(config_rd(b, KEPT, control_at(b), 2), 69);
	fire(b, 2);
	expect_silence(b);
	ck_assert_uint_eq(b->sink.opened, opened);

	config_wr(b, KEPT, PCI_BAR(BAR), 4, (u32)PLACE);
	config_wr(b, KEPT, PCI_BAR(BAR + 1), 4, (u32)(PLACE >> 32));
	config_wr(b, KEPT, PCI_COMMAND, 2,
		  (u32)(PCI_COMMAND_MSE | PCI_COMMAND_BME));
	check_initial(b, 70);
	control(b, MSIX_CONTROL_ON);
	check_initial(b, 70);
	set_message(b, 1, ADDR(3), DATA(3));
	mask(b, 1, false);
	expect_silence(b);
	fire(b, 1);
	expect_own(b, 3);
	bench_end(b);
}
END_TEST

/* The table goes where the BAR goes. */
START_TEST(moved)
{
	struct bench *b = bench_running(1);
	gpa_t at = BENCH_MEM32 + 0xf000;

	hush();
	config_wr(b, KEPT, PCI_BAR(BAR), 4, (u32)at);
	config_wr(b, KEPT, PCI_BAR(BAR + 1), 4, 0);
	ck_assert_uint_eq(mmio_read(&b->bus, at + TABLE + MSIX_DATA, 4),
			  DATA(0));
	mmio_write(&b->bus, PLACE + TABLE + MSIX_VECTOR, 4, 1);
	fire(b, 0);
	expect_own(b, 0);
	mmio_write(&b->bus, at + TABLE + MSIX_VECTOR, 4, 1);
	fire(b, 0);
	ck_assert_uint_eq(mmio_read(&b->bus, at + PBA, 8), 1);
	config_wr(b, KEPT, PCI_COMMAND, 2, (u32)PCI_COMMAND_BME);
	mmio_write(&b->bus, at + TABLE + MSIX_VECTOR, 4, 0);
	bench_end(b);
}
END_TEST

START_TEST(open_fails)
{
	for (u32 at = 1; at <= 8; at++) {
		struct bench *b = bench_init(1);
		struct pci_function *f = bench_function(b, 0);
		struct msi_sink sink = sink_ops(&b->sink);
		struct err e = { 0 };

		pci_add_bar(f, BAR, 64 * KIB, true, true);
		b->sink.open_fails_at = at;
		ck_assert_int_eq(pci_add_msix(f, 8, BAR, TABLE, PBA, &sink, &e),
				 -ENOSPC);
		ck_assert_int_eq(e.code, -ENOSPC);
		ck_assert_ptr_nonnull(strstr(e.msg, "no more lines"));
		ck_assert_uint_eq(b->sink.opened, 0);
		ck_assert_ptr_null(f->msix);

		/* Nothing stayed: it can be done without, or again. */
		bench_add(b, 0, KEPT);
		ck_assert_uint_eq(config_find(b, KEPT, MSIX_CAP_ID), 0);
		fire(b, 0);
		pci_function_fini(f);
		ck_assert_uint_eq(b->sink.opened, 0);
		bench_end(b);
	}
}
END_TEST

/* A machine's worth of functions, each line of which fails once. */
static bool build(struct bench *b, u32 fail_at)
{
	struct msi_sink sink = sink_ops(&b->sink);
	struct err e = { 0 };

	b->sink.open_fails_at = fail_at;
	for (u32 i = 0; i < b->nr; i++) {
		struct pci_function *f = bench_function(b, i);

		pci_add_bar(f, 0, 4 * KIB, false, false);
		if (pci_add_msix(f, 2, 0, 0, 0x800, &sink, &e)) {
			ck_assert_uint_eq(b->sink.opened, 2 * i);
			return false;
		}
		bench_add(b, i, i);
	}
	return true;
}

START_TEST(open_fails_on_a_full_bus)
{
	enum { NR = PCI_FUNCTIONS_MAX };
	struct message m;
	struct bench *b;

	for (u32 at = 1; at <= 2 * NR; at++) {
		b = bench_init(NR);
		ck_assert(!build(b, at));
		bench_end(b); /* asserts that all lines are closed */
	}

	/* Every function's messages have its own DeviceID. */
	b = bench_init(NR);
	ck_assert(build(b, 0));
	for (u32 i = 0; i < NR; i++) {
		gpa_t at = BENCH_MEM32 + i * 4 * KIB;
		u32 cap = config_find(b, i, MSIX_CAP_ID);

		config_wr(b, i, PCI_BAR(0), 4, (u32)at);
		config_wr(b, i, PCI_COMMAND, 2,
			  (u32)(PCI_COMMAND_MSE | PCI_COMMAND_BME));
		config_wr(b, i, cap + 2, 2, (u32)MSIX_CONTROL_ON);
		mmio_write(&b->bus, at + 16, 8, ADDR(0));
		mmio_write(&b->bus, at + 24, 8, 7);
	}
	for (u32 i = 0; i < NR; i++) {
		pci_msix_fire(bench_function(b, i), 1);
		ck_assert_uint_eq(sink_take(&b->sink, &m, 1), 1);
		ck_assert_uint_eq(m.devid, i);
		ck_assert_uint_eq(m.addr, ADDR(0));
		ck_assert_uint_eq(m.data, 7);
	}
	bench_end(b);
}
END_TEST

START_TEST(fini_twice)
{
	struct bench *b = bench_running(4);

	pci_function_fini(bench_function(b, 0));
	ck_assert_uint_eq(b->sink.opened, 0);
	bench_end(b);
}
END_TEST

/* --- a device's thread against the guest's --- */

#define ROUNDS 5000

/* Rounds that begin together: one fire against what the guest does. */
struct race {
	struct bench *b;
	_Atomic u32 begun, fired; /* round numbers */
};

static void *race_fire(void *ctx)
{
	struct race *r = ctx;

	for (u32 i = 1; i <= ROUNDS; i++) {
		while (atomic_load(&r->begun) < i)
			sched_yield();
		fire(r->b, 0);
		atomic_store(&r->fired, i);
	}
	return NULL;
}

static void race_vector(struct bench *b, u32 i)
{
	mask(b, 0, true);
	mask(b, 0, false);
}

static void race_function(struct bench *b, u32 i)
{
	u32 at = control_at(b);

	config_wr(b, KEPT, at, 2, (u32)(MSIX_CONTROL_ON | MSIX_CONTROL_MASK));
	config_wr(b, KEPT, at, 2, (u32)MSIX_CONTROL_ON);
}

/* Between one message and another; what is sent is one of them. */
static void race_retarget(struct bench *b, u32 i)
{
	mask(b, 0, true);
	mmio_write(&b->bus, PLACE + TABLE, 8, ADDR(i % 2));
	mmio_write(&b->bus, PLACE + TABLE + 8, 8, DATA(i % 2));
}

static void race_enable(struct bench *b, u32 i)
{
	u32 at = control_at(b);

	config_wr(b, KEPT, at, 2, 0);
	config_wr(b, KEPT, at, 2, (u32)MSIX_CONTROL_ON);
}

/* @least of the messages of each round arrives at least, and never two. */
static void race_run(u32 nr, void (*guest)(struct bench *b, u32 i), u32 least)
{
	struct race r = { .b = bench_running(nr) };
	pthread_t t;

	ck_assert_int_eq(pthread_create(&t, NULL, race_fire, &r), 0);
	for (u32 i = 1; i <= ROUNDS; i++) {
		struct message m;
		u32 n;

		atomic_store(&r.begun, i);
		for (u32 spin = 0; spin < i % 64; spin++)
			atomic_load(&r.fired);
		guest(r.b, i);
		while (atomic_load(&r.fired) < i)
			sched_yield();
		n = sink_take(&r.b->sink, &m, 1);
		ck_assert_msg(n >= least && n <= 1, "round %u: %u", i, n);
		if (n) {
			u32 which = m.data - DATA(0);

			ck_assert_uint_le(which, 1);
			ck_assert_uint_eq(m.addr, ADDR(which));
		}
	}
	pthread_join(t, NULL);
	ck_assert_uint_eq(pending(r.b, 0), 0);
	bench_end(r.b);
}

START_TEST(race_with_vector_mask)
{
	race_run(1, race_vector, 1);
}
END_TEST

START_TEST(race_with_function_mask)
{
	race_run(1, race_function, 1);
}
END_TEST

START_TEST(race_with_new_message)
{
	race_run(1, race_retarget, 1);
}
END_TEST

START_TEST(race_with_enable)
{
	race_run(1, race_enable, 0);
}
END_TEST

struct storm {
	struct bench *b;
	_Atomic bool over;
	_Atomic u64 fired;
};

static void *storm_fire(void *ctx)
{
	struct storm *s = ctx;

	while (!atomic_load(&s->over)) {
		fire(s->b, (u32)(atomic_load(&s->fired) % 3));
		atomic_fetch_add(&s->fired, 1);
	}
	return NULL;
}

/* Masked, and seen by a read to be masked, nothing comes: the read's answer
 * pushes out what went before it. */
START_TEST(mask_is_tight)
{
	struct storm s = { .b = bench_running(3) };
	struct sink *sink = &s.b->sink;
	u32 at = control_at(s.b);
	u64 came = 0;
	pthread_t t[2];

	for (u32 i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, storm_fire, &s),
				 0);
	for (u32 i = 0; i < 300; i++) {
		u32 before;

		config_wr(s.b, KEPT, at, 2,
			  (u32)(MSIX_CONTROL_ON | MSIX_CONTROL_MASK));
		config_rd(s.b, KEPT, at, 2);
		before = sink_count(sink);
		for (u64 n = s.fired + 10; s.fired < n;)
			sched_yield();
		ck_assert_uint_eq(sink_count(sink), before);
		came += sink_take(sink, NULL, 0);
		config_wr(s.b, KEPT, at, 2, (u32)MSIX_CONTROL_ON);

		for (u32 v = 0; v < 3; v++)
			mask(s.b, v, true);
		entry_rd(s.b, 2, MSIX_VECTOR);
		before = sink_count(sink);
		for (u64 n = s.fired + 10; s.fired < n;)
			sched_yield();
		ck_assert_uint_eq(sink_count(sink), before);
		for (u32 v = 0; v < 3; v++)
			mask(s.b, v, false);
	}
	atomic_store(&s.over, true);
	for (u32 i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	came += sink_take(sink, NULL, 0);
	ck_assert_uint_ge(came, 1);
	ck_assert_uint_le(came, s.fired);
	ck_assert_uint_eq(pending(s.b, 0), 0);
	bench_end(s.b);
}
END_TEST

static void *unmask_all(void *ctx)
{
	control(ctx, MSIX_CONTROL_ON);
	return NULL;
}

/* Aiming takes the host its time, which is not the device's thread's: what is
 * due meanwhile is pending, and is never sent by what a line was aimed at. */
START_TEST(fire_while_aiming)
{
	enum { NR = 3 };
	struct bench *b = bench_running(NR);
	struct message came[NR];
	bool seen[NR] = { false };
	sem_t begun, go;
	pthread_t t;

	sem_init(&begun, 0, 0);
	sem_init(&go, 0, 0);
	control(b, MSIX_CONTROL_ON | MSIX_CONTROL_MASK);
	for (u32 v = 0; v < NR; v++)
		set_message(b, v, ADDR(v + 10), DATA(v + 10));
	b->sink.aim_begun = &begun;
	b->sink.aim_go = &go;
	ck_assert_int_eq(pthread_create(&t, NULL, unmask_all, b), 0);
	for (u32 v = 0; v < NR; v++) {
		sem_wait(&begun);
		for (u32 i = v; i < NR; i++)
			fire(b, i);
		/* Those before it have sent theirs already. */
		ck_assert_uint_eq(sink_count(&b->sink), v);
		sem_post(&go);
	}
	pthread_join(t, NULL);
	ck_assert_uint_eq(pending(b, 0), 0);
	ck_assert_uint_eq(sink_take(&b->sink, came, NR), NR);
	for (u32 i = 0; i < NR; i++) {
		u32 v = came[i].data - DATA(10);

		ck_assert_uint_lt(v, NR);
		ck_assert_uint_eq(came[i].addr, ADDR(v + 10));
		ck_assert(!seen[v]);
		seen[v] = true;
	}
	b->sink.aim_begun = NULL;
	bench_end(b);
}
END_TEST

/* --- hardware's --- */

#define HW_CAP       0x50
#define HW_TABLE_BAR 0
#define HW_PBA_BAR   2
#define HW_VECTORS   66
#define HW_PLACE(i)  (BENCH_MEM64 + (i)*MIB)
#define NO_ADDR      "0"

/* What the hardware and the lines are told, in words: "on", "aim3", "v3+A7":
 * vector 3 is open and its address is ADDR(7). */
static struct hw {
	struct msi_sink sink;
	bool cannot_mask;
	u64 pending[2];
	char said[512];
	int fds[HW_VECTORS];
} hw;

PRINTF_LIKE(1, 2) static void say(const char *fmt, ...)
{
	size_t len = strlen(hw.said);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(hw.said + len, sizeof(hw.said) - len, fmt, ap);
	va_end(ap);
}

static void expect_said(const char *what)
{
	ck_assert_str_eq(hw.said, what);
	hw.said[0] = '\0';
}

static void hw_enable(void *dev, bool on)
{
	say(on ? "on " : "off ");
}

static bool hw_vector(void *dev, u32 v, int fd, bool open, u64 addr)
{
	ck_assert_uint_lt(v, HW_VECTORS);
	ck_assert(hw.fds[v] == fd || hw.fds[v] < 0);
	hw.fds[v] = fd;
	if (addr)
		say("v%u%cA%llu ", v, open ? '+' : '-',
		    (unsigned long long)(addr - ADDR(0)) / 0x10000);
	else
		say("v%u%c" NO_ADDR " ", v, open ? '+' : '-');
	return !hw.cannot_mask;
}

static u64 hw_pending(void *dev, u32 first)
{
	ck_assert(first % 64 == 0 && first < HW_VECTORS);
	return hw.pending[first / 64];
}

static const struct pci_msix_hw hw_ops = { hw_enable, hw_vector, hw_pending };

static int line_of(const struct msi_line *l)
{
	for (int v = 0; v < HW_VECTORS; v++)
		if (hw.fds[v] == l->fd)
			return v;
	ck_abort_msg("no vector has the line");
}

static int hw_open(void *ctx, struct msi_line *l, struct err *e)
{
	return hw.sink.open(ctx, l, e);
}

static void hw_close(void *ctx, struct msi_line *l)
{
	hw.sink.close(ctx, l);
}

static int hw_aim(void *ctx, struct msi_line *l, u32 devid, u64 addr, u32 data)
{
	say("aim%d ", line_of(l));
	return hw.sink.aim(ctx, l, devid, addr, data);
}

static void hw_rest(void *ctx, struct msi_line *l)
{
	say("rest%d ", line_of(l));
	hw.sink.rest(ctx, l);
}

static struct msi_sink hw_sink(struct bench *b)
{
	hw.sink = sink_ops(&b->sink);
	return (struct msi_sink) { .send = hw.sink.send,
				   .open = hw_open,
				   .close = hw_close,
				   .aim = hw_aim,
				   .rest = hw_rest,
				   .direct = hw.sink.direct,
				   .ctx = hw.sink.ctx };
}

/* A function that there is already: @nr vectors, table and pending bits in a
 * BAR each. */
static struct bench *bench_taken(u32 nr, bool sends,
				 const struct pci_msix_hw *ops)
{
	const struct pci_msix_at at = { .cap = HW_CAP,
					.nr = nr,
					.table_bar = HW_TABLE_BAR,
					.pba_bar = HW_PBA_BAR,
					.table = TABLE,
					.pba = PBA };
	u8 config[PCI_CONFIG_SIZE] = { [PCI_STATUS] = PCI_STATUS_CAPS,
				       [PCI_CAPS] = HW_CAP,
				       [HW_CAP] = MSIX_CAP_ID,
				       [HW_CAP + 2] = (u8)(nr - 1) };
	u8 writable[PCI_CONFIG_SIZE] = { [PCI_COMMAND] = 6,
					 [HW_CAP + 3] = 0xc0 };
	struct bench *b = bench_init(1);
	struct pci_function *f = bench_function(b, 0);
	struct msi_sink sink;
	struct err e = { 0 };

	hw = (struct hw) { .cannot_mask = false };
	memset(hw.fds, 0xff, sizeof(hw.fds));
	b->sink.direct = sends;
	sink = hw_sink(b);
	pci_function_init_as(f, "taken", config, writable, &probe_ops,
			     &b->probes[0]);
	pci_add_bar(f, HW_TABLE_BAR, 64 * KIB, true, false);
	pci_add_bar(f, HW_PBA_BAR, 64 * KIB, true, true);
	ck_assert_msg(!pci_take_msix(f, &at, &sink, ops, &e), "%s", e.msg);
	bench_add(b, 0, KEPT);
	return b;
}

static void hw_place(struct bench *b)
{
	for (u32 i = 0; i <= HW_PBA_BAR; i += 2) {
		config_wr(b, KEPT, PCI_BAR(i), 4, (u32)HW_PLACE(i));
		config_wr(b, KEPT, PCI_BAR(i + 1), 4, (u32)(HW_PLACE(i) >> 32));
	}
	config_wr(b, KEPT, PCI_COMMAND, 2,
		  (u32)(PCI_COMMAND_MSE | PCI_COMMAND_BME));
}

static struct bench *bench_hw(u32 nr)
{
	struct bench *b = bench_taken(nr, false, &hw_ops);

	hw.said[0] = '\0';
	hw_place(b);
	hw.said[0] = '\0';
	return b;
}

static gpa_t hw_entry(u32 v)
{
	return HW_PLACE(HW_TABLE_BAR) + TABLE + v * MSIX_ENTRY;
}

/* Message @m for vector @v, in two writes. */
static void hw_write(struct bench *b, u32 v, u32 m, bool masked)
{
	mmio_write(&b->bus, hw_entry(v), 8, ADDR(m));
	mmio_write(&b->bus, hw_entry(v) + 8, 8, DATA(m) | (u64)masked << 32);
}

static void hw_mask(struct bench *b, u32 v, bool masked)
{
	mmio_write(&b->bus, hw_entry(v) + MSIX_VECTOR, 4, masked);
}

/* As Linux does it. */
static struct bench *bench_hw_running(u32 nr)
{
	struct bench *b = bench_hw(nr);

	control(b, MSIX_CONTROL_ON | MSIX_CONTROL_MASK);
	for (u32 v = 0; v < nr; v++)
		hw_write(b, v, v, false);
	control(b, MSIX_CONTROL_ON);
	hw.said[0] = '\0';
	return b;
}

/* The hardware sends vector @v: its message comes out of the line. */
static void hw_send(u32 v)
{
	u64 one = 1;

	ck_assert_int_eq(write(hw.fds[v], &one, sizeof(one)), sizeof(one));
}

START_TEST(hw_order)
{
	struct bench *b = bench_hw(2);

	/* What is written before it is on is told, too. */
	hw_write(b, 1, 5, true);
	expect_said("v1-A5 v1-A5 ");
	control(b, MSIX_CONTROL_ON | MSIX_CONTROL_MASK);
	expect_said("on v0-0 v1-A5 ");
	hw_write(b, 0, 0, false);
	expect_said("v0-A0 v0-A0 ");
	hw_write(b, 1, 1, false);
	expect_said("v1-A1 v1-A1 ");
	/* A line is ready to take it before the hardware sends. */
	control(b, MSIX_CONTROL_ON);
	expect_said("aim0 v0+A0 aim1 v1+A1 ");
	for (u32 v = 0; v < 2; v++) {
		hw_send(v);
		expect_own(b, v);
	}

	hw_mask(b, 0, true);
	expect_said("v0-A0 ");
	hw_mask(b, 0, false);
	expect_said("v0+A0 ");
	hw_send(0);
	expect_own(b, 0);

	/* Another message, masked; and another yet, not. */
	hw_mask(b, 0, true);
	hw_write(b, 0, 3, true);
	expect_said("v0-A0 v0-A3 v0-A3 ");
	hw_mask(b, 0, false);
	expect_said("aim0 v0+A3 ");
	mmio_write(&b->bus, hw_entry(0) + MSIX_DATA, 4, DATA(4));
	expect_said("aim0 v0+A3 ");
	hw_send(0);
	expect(b, ADDR(3), DATA(4));
	bench_end(b);
}
END_TEST

/* Off: first all vectors, then the whole; then nothing comes of lines. The same
 * messages are others when it is on again. */
START_TEST(hw_disabled)
{
	struct bench *b = bench_hw_running(2);

	hw_mask(b, 1, true);
	expect_said("v1-A1 ");
	control(b, 0);
	expect_said("v0-A0 v1-A1 off rest0 rest1 ");
	control(b, 0);
	expect_said("v0-A0 v1-A1 ");
	control(b, MSIX_CONTROL_ON);
	expect_said("on aim0 v0+A0 v1-A1 ");
	control(b, 0);
	expect_said("v0-A0 v1-A1 off rest0 ");
	bench_end(b);
}
END_TEST

START_TEST(hw_bus_master)
{
	struct bench *b = bench_hw_running(2);

	config_wr(b, KEPT, PCI_COMMAND, 2, (u32)PCI_COMMAND_MSE);
	expect_said("v0-A0 v1-A1 ");
	config_wr(b, KEPT, PCI_COMMAND, 2,
		  (u32)(PCI_COMMAND_MSE | PCI_COMMAND_BME));
	expect_said("v0+A0 v1+A1 ");
	bench_end(b);
}
END_TEST

START_TEST(hw_reset)
{
	struct bench *b = bench_hw_running(2);

	pci_host_reset(b->host);
	expect_said("v0-A0 v1-A1 off rest0 rest1 ");
	hw_place(b);
	expect_said("v0-0 v1-0 ");
	for (u32 v = 0; v < 2; v++) {
		ck_assert_uint_eq(mmio_read(&b->bus, hw_entry(v), 8), 0);
		ck_assert_uint_eq(mmio_read(&b->bus, hw_entry(v) + 8, 8),
				  1ull << 32);
	}
	control(b, MSIX_CONTROL_ON);
	expect_said("on v0-0 v1-0 ");
	pci_host_reset(b->host);
	expect_said("v0-0 v1-0 off ");
	bench_end(b);
}
END_TEST

/* What cannot be masked goes on to send: the line keeps it meanwhile. */
START_TEST(hw_that_cannot_mask)
{
	struct bench *b = bench_hw_running(2);

	hw.cannot_mask = true;
	hw_mask(b, 0, true);
	expect_said("v0-A0 rest0 ");
	hw_send(0);
	hw_send(1);
	expect_own(b, 1);
	hw_mask(b, 0, true);
	expect_said("v0-A0 ");
	hw_mask(b, 0, false);
	expect_said("aim0 v0+A0 ");
	expect_own(b, 0);

	/* With another message than before, too. */
	control(b, MSIX_CONTROL_ON | MSIX_CONTROL_MASK);
	expect_said("v0-A0 rest0 v1-A1 rest1 ");
	hw_send(1);
	expect_silence(b);
	hw_write(b, 1, 6, false);
	control(b, MSIX_CONTROL_ON);
	expect_said("v1-A6 v1-A6 aim0 v0+A0 aim1 v1+A6 ");
	expect_own(b, 6);
	bench_end(b);
}
END_TEST

/* Whoever sends for itself needs lines, be they ever so direct. */
START_TEST(hw_direct)
{
	struct bench *b = bench_taken(2, true, &hw_ops);

	ck_assert_uint_eq(b->sink.opened, 2);
	hw_place(b);
	control(b, MSIX_CONTROL_ON);
	hw.said[0] = '\0';
	hw_write(b, 1, 1, false);
	expect_said("v1-A1 aim1 v1+A1 ");
	hw_send(1);
	expect_own(b, 1);
	ck_assert_uint_eq(b->sink.sends, 0);
	bench_end(b);
}
END_TEST

/* Tried anew whenever the vector is looked at. */
START_TEST(hw_aim_fails)
{
	struct bench *b = bench_hw(1);

	b->sink.aims_fail = true;
	control(b, MSIX_CONTROL_ON);
	hw_write(b, 0, 0, false);
	expect_said("on v0-0 v0-A0 aim0 v0+A0 ");
	hw_mask(b, 0, true);
	expect_said("v0-A0 ");
	hw.cannot_mask = true;
	hw_mask(b, 0, true);
	expect_said("v0-A0 "); /* nothing to rest */
	b->sink.aims_fail = false;
	hw_mask(b, 0, false);
	expect_said("aim0 v0+A0 ");
	hw_send(0);
	expect_own(b, 0);
	bench_end(b);
}
END_TEST

START_TEST(hw_pending_bits)
{
	struct bench *b = bench_hw_running(HW_VECTORS);
	gpa_t at = HW_PLACE(HW_PBA_BAR) + PBA;

	hw.pending[0] = 0x1122334455667788;
	hw.pending[1] = 3;
	ck_assert_uint_eq(mmio_read(&b->bus, at, 8), 0x1122334455667788);
	ck_assert_uint_eq(mmio_read(&b->bus, at, 4), 0x55667788);
	ck_assert_uint_eq(mmio_read(&b->bus, at + 4, 4), 0x11223344);
	ck_assert_uint_eq(mmio_read(&b->bus, at + 8, 8), 3);
	ck_assert_uint_eq(mmio_read(&b->bus, at + 12, 4), 0);
	ck_assert_uint_eq(b->probes[0].accesses, 0);
	expect_said("");
	bench_end(b);
}
END_TEST

static void check_device(struct bench *b, u32 bar, u64 off)
{
	u32 before = b->probes[0].accesses;

	ck_assert_uint_eq(mmio_read(&b->bus, HW_PLACE(bar) + off, 8),
			  probe_value(bar, off, 8));
	ck_assert_uint_eq(b->probes[0].accesses, before + 1);
	ck_assert_uint_eq(b->probes[0].last.bar, bar);
}

/* Each answers in its own BAR only; of hardware's and of emulated ones. */
START_TEST(bars_of_their_own)
{
	for (int emulated = 0; emulated < 2; emulated++) {
		struct bench *b =
			bench_taken(3, false, emulated ? NULL : &hw_ops);

		hw_place(b);
		hw_write(b, 2, 2, true);
		ck_assert_uint_eq(mmio_read(&b->bus, hw_entry(2), 8), ADDR(2));
		ck_assert_uint_eq(mmio_read(&b->bus, HW_PLACE(HW_PBA_BAR) + PBA,
					    8),
				  0);
		ck_assert_uint_eq(b->probes[0].accesses, 0);
		check_device(b, HW_TABLE_BAR, PBA);
		check_device(b, HW_PBA_BAR, TABLE + 2 * MSIX_ENTRY);
		check_device(b, HW_TABLE_BAR, TABLE - 8);
		check_device(b, HW_TABLE_BAR, TABLE + 3 * MSIX_ENTRY);
		check_device(b, HW_PBA_BAR, PBA + 8);
		bench_end(b);
	}
}
END_TEST

UNIT_MAIN("msix", hw_order, hw_disabled, hw_bus_master, hw_reset,
	  hw_that_cannot_mask, hw_direct, hw_aim_fails, hw_pending_bits,
	  bars_of_their_own, direct, capability, enabled, initial, table_access,
	  table_access_refused, neighbours, sent, vector_mask, function_mask,
	  pending_bits, message_changed_masked, message_changed_unmasked,
	  address_alignment, disabled, bus_master, no_such_vector, no_msix,
	  aimed_when_it_changes, aim_fails, aim_fails_in_turn, unmapped,
	  all_vectors, reset, moved, open_fails, open_fails_on_a_full_bus,
	  fini_twice, race_with_vector_mask, race_with_function_mask,
	  race_with_new_message, race_with_enable, mask_is_tight,
	  fire_while_aiming)
