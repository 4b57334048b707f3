/*
 * Where kernel, device tree and initrd go. What must hold is written down once
 * (check_layout), apart from how the code gets there, and asked of sizes around
 * every limit and of many random ones.
 */
#include "unit.h"

#include <belfry/image.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define RAM   0x40000000ull
#define BLOCK (2 * MIB)
#define PAGE  (64 * KIB)

struct ask {
	struct image_header h;
	u64 initrd, fdt;
	gpa_t ram;
	u64 ram_size;
};

static int place(const struct ask *a, struct image_layout *l, struct err *e)
{
	*e = (struct err) { 0 };
	return image_place(&a->h, a->initrd, a->fdt, a->ram, a->ram_size, l, e);
}

/* Check writes to a pipe for every assertion it makes; there are millions. */
#define HOLDS(what)                         \
	do {                                \
		if (!(what))                \
			fails(#what, a, l); \
	} while (0)

static void fails(const char *what, const struct ask *a,
		  const struct image_layout *l)
{
	ck_abort_msg("%s: kernel %#lx+%#lx initrd %#lx fdt %#lx in %#lx+%#lx: "
		     "kernel at %#lx fdt %#lx initrd %#lx",
		     what, a->h.text_offset, a->h.image_size, a->initrd, a->fdt,
		     a->ram, a->ram_size, l->kernel, l->fdt, l->initrd);
}

static bool apart(gpa_t a, gpa_t a_end, gpa_t b, gpa_t b_end)
{
	return a == a_end || b == b_end ||
	       ALIGN_UP(a_end, PAGE) <= ALIGN_DOWN(b, PAGE) ||
	       ALIGN_UP(b_end, PAGE) <= ALIGN_DOWN(a, PAGE);
}

static bool inside(gpa_t start, gpa_t end, gpa_t lo, gpa_t hi)
{
	return start == end || (lo <= start && start < end && end <= hi);
}

/* Everything booting.rst asks for, and that no guest page is shared. */
static void check_layout(const struct ask *a, const struct image_layout *l)
{
	gpa_t top = a->ram + a->ram_size;
	gpa_t window = ALIGN_DOWN(l->kernel, GIB);

	HOLDS(l->kernel_end - l->kernel == a->h.image_size);
	HOLDS(l->fdt_end - l->fdt == a->fdt);
	HOLDS(l->initrd_end - l->initrd == a->initrd);
	HOLDS(a->fdt || !l->fdt);
	HOLDS(a->initrd || !l->initrd);

	HOLDS(inside(l->kernel, l->kernel_end, a->ram, top));
	HOLDS(inside(l->fdt, l->fdt_end, a->ram, top));
	HOLDS(inside(l->initrd, l->initrd_end, a->ram, top));

	HOLDS(apart(l->kernel, l->kernel_end, l->fdt, l->fdt_end));
	HOLDS(apart(l->kernel, l->kernel_end, l->initrd, l->initrd_end));
	HOLDS(apart(l->fdt, l->fdt_end, l->initrd, l->initrd_end));

	HOLDS(IS_ALIGNED(l->kernel - a->h.text_offset, BLOCK));
	HOLDS(IS_ALIGNED(l->fdt, PAGE));
	HOLDS(IS_ALIGNED(l->initrd, PAGE));
	HOLDS(!a->fdt || l->fdt / BLOCK == (l->fdt_end - 1) / BLOCK);
	HOLDS(l->initrd_end <= window + 32 * GIB);

	/* CMA takes 64 MiB only where 60 MiB remain. */
	if (top - l->kernel_end < 124 * MIB) {
		gpa_t low = a->fdt ? l->fdt : l->initrd;
		gpa_t high = MAX(l->fdt_end, l->initrd_end);

		HOLDS(low == high || low - l->kernel_end < 64 * MIB);
		HOLDS(low == high || top - high < 64 * MIB);
	}
}

/* The places are right, or the refusal is true: what it asks for is enough
 * and 2 MiB less is not. */
static void check_ask(const struct ask *a)
{
	struct image_layout layout = { 0 }, *l = &layout;
	struct ask more = *a;
	struct err e;
	int r = place(a, l, &e);
	const char *least;
	u64 mib = 0;

	if (!r) {
		check_layout(a, l);
		return;
	}
	HOLDS(r == e.code);
	HOLDS(!l->kernel && !l->kernel_end);
	if (r == -E2BIG)
		return;
	HOLDS(r == -ENOSPC);
	least = strstr(e.msg, "at least ");
	HOLDS(least && sscanf(least, "at least %lu MiB", &mib) == 1);

	more.ram_size = mib * MIB;
	HOLDS(more.ram_size > a->ram_size);
	if (range_fits(more.ram, more.ram_size, BIT(52))) {
		r = place(&more, l, &e);
		HOLDS(r == 0 || r == -E2BIG);
	}
	more.ram_size -= BLOCK;
	HOLDS(place(&more, l, &e) == -ENOSPC);
}

static const u64 ram_sizes[] = { 2 * MIB,   32 * MIB,  64 * MIB,  128 * MIB,
				 144 * MIB, 192 * MIB, 512 * MIB, GIB,
				 4 * GIB,   31 * GIB,  33 * GIB,  64 * GIB };

START_TEST(sizes_around_every_limit)
{
	static const u64 marks[] = { 0,        8,        4 * KIB,   PAGE,
				     2 * PAGE, BLOCK,    2 * BLOCK, 26 * MIB,
				     31 * MIB, 32 * MIB, 128 * MIB };
	static const int nudges[] = { -65536, -4096, -8, -1, 0, 1, 8, 4096 };
	const size_t nr = ARRAY_SIZE(marks) * ARRAY_SIZE(nudges);

	for (size_t i = 0; i < nr * nr; i++) {
		size_t k = i / nr, d = i % nr;
		u64 kernel = marks[k / 8] + (u64)nudges[k % 8];
		u64 initrd = marks[d / 8] + (u64)nudges[d % 8];

		if (!kernel || kernel > GIB || initrd > GIB)
			continue;
		for (size_t r = 0; r < ARRAY_SIZE(ram_sizes); r++)
			for (u64 fdt = 0; fdt <= BLOCK; fdt += PAGE - 8)
				check_ask(&(struct ask) {
					{ .image_size = kernel },
					initrd,
					fdt,
					RAM,
					ram_sizes[r] });
	}
}
END_TEST

START_TEST(every_fdt_size)
{
	for (u64 fdt = 0; fdt <= BLOCK; fdt += 8)
		check_ask(&(struct ask) { { .image_size = 27 * MIB + 512 },
					  MIB,
					  fdt,
					  RAM,
					  128 * MIB });
}
END_TEST

static u64 next_random(u64 *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* Any magnitude up to 2^bits is as likely as any other. */
static u64 random_size(u64 *s, u32 bits)
{
	return next_random(s) >> (64 - bits) >> (next_random(s) % bits);
}

START_TEST(random_sizes)
{
	u64 s = 0x9e3779b97f4a7c15ull;

	for (int i = 0; i < 400000; i++) {
		struct ask a = {
			.h.text_offset = random_size(&s, 21),
			.h.image_size = 1 + random_size(&s, 36),
			.initrd = random_size(&s, 36),
			.fdt = random_size(&s, 21),
			.ram = ALIGN_DOWN(random_size(&s, 40), BLOCK),
			.ram_size = random_size(&s, 40),
		};
		check_ask(&a);
	}
}
END_TEST

START_TEST(hostile_headers_do_not_wrap)
{
	static const u64 big[] = { 0,       1,       BIT(51),       BIT(52) - 1,
				   BIT(52), BIT(63), ~0ull - BLOCK, ~0ull };

	for (size_t i = 0; i < ARRAY_SIZE(big) * ARRAY_SIZE(big); i++) {
		struct ask a = { { .text_offset = big[i % 8],
				   .image_size = big[i / 8] },
				 MIB,
				 PAGE,
				 RAM,
				 64 * GIB };
		struct image_layout l;
		struct err e;

		if (i % 8 < 2 && i / 8 < 2)
			continue;
		ck_assert_int_eq(place(&a, &l, &e), -ENOSPC);
	}
}
END_TEST

START_TEST(limits_of_the_boot_protocol)
{
	struct ask a = { { .image_size = 16 * MIB }, 0, BLOCK, RAM, 64 * GIB };
	struct image_layout l;
	struct err e;

	ck_assert_int_eq(place(&a, &l, &e), 0);
	a.fdt = BLOCK + 1;
	ck_assert_int_eq(place(&a, &l, &e), -E2BIG);
	ck_assert_ptr_nonnull(strstr(e.msg, "device tree"));

	/* The window begins at the kernel's own GiB: 32 GiB less 16 MiB. */
	a.fdt = 0;
	a.initrd = 32 * GIB - 16 * MIB;
	ck_assert_int_eq(place(&a, &l, &e), 0);
	a.initrd++;
	ck_assert_int_eq(place(&a, &l, &e), -E2BIG);
	a.initrd = ~0ull;
	ck_assert_int_eq(place(&a, &l, &e), -E2BIG);
	ck_assert_ptr_nonnull(strstr(e.msg, "initrd"));
}
END_TEST

/* The point of it: no block is touched for the device tree or a small initrd
 * that the kernel's tail does not touch anyway. */
START_TEST(small_things_share_the_kernels_last_block)
{
	struct ask a = {
		{ .image_size = 0x1aa0000 }, MIB, 8 * KIB, RAM, 256 * MIB
	};
	struct image_layout l;
	struct err e;

	ck_assert_int_eq(place(&a, &l, &e), 0);
	ck_assert_uint_eq(l.kernel, RAM);
	ck_assert_uint_eq(l.fdt, RAM + 0x1aa0000);
	ck_assert_uint_eq(l.initrd, RAM + 0x1ab0000);
	ck_assert_uint_eq((l.initrd_end - 1) / BLOCK,
			  (l.kernel_end - 1) / BLOCK);
}
END_TEST

/* Debian's 7.3: 50 MiB, and 64 MiB for CMA if 128 MiB let it. */
START_TEST(little_room_is_halved)
{
	struct ask a = {
		{ .image_size = 0x3240000 }, 300 * KIB, 8 * KIB, RAM, 128 * MIB
	};
	struct image_layout l;
	struct err e;

	ck_assert_int_eq(place(&a, &l, &e), 0);
	ck_assert_uint_eq(l.fdt, RAM + 88 * MIB);
	ck_assert_uint_eq(l.initrd, RAM + 88 * MIB + PAGE);
	a.ram_size = 0x3240000 + 124 * MIB;
	ck_assert_int_eq(place(&a, &l, &e), 0);
	ck_assert_uint_eq(l.fdt, l.kernel_end);
}
END_TEST

START_TEST(a_tree_that_just_fills_the_block_stays)
{
	struct ask a = { { .image_size = PAGE }, 0, BLOCK - PAGE, RAM, BLOCK };
	struct image_layout l;
	struct err e;

	ck_assert_int_eq(place(&a, &l, &e), 0);
	ck_assert_uint_eq(l.fdt, RAM + PAGE);
	a.fdt += 8;
	a.ram_size = 2 * BLOCK;
	ck_assert_int_eq(place(&a, &l, &e), 0);
	ck_assert_uint_eq(l.fdt, RAM + BLOCK);
}
END_TEST

START_TEST(too_little_memory_says_how_much_would_do)
{
	struct ask a = {
		{ .image_size = 27 * MIB }, 6 * MIB, PAGE, RAM, 32 * MIB
	};
	struct image_layout l;
	struct err e;

	ck_assert_int_eq(place(&a, &l, &e), -ENOSPC);
	ck_assert_str_eq(e.msg, "kernel (27 MiB) and initrd (6 MiB) do not fit "
				"into 32 MiB of memory: give the guest at "
				"least 34 MiB, and what it needs to run");
}
END_TEST

UNIT_MAIN("image placement", sizes_around_every_limit, every_fdt_size,
	  random_sizes, hostile_headers_do_not_wrap,
	  limits_of_the_boot_protocol,
	  small_things_share_the_kernels_last_block, little_room_is_halved,
	  a_tree_that_just_fills_the_block_stays,
	  too_little_memory_says_how_much_would_do)
