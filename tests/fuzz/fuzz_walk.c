/*
 * Any contents of memory, any settings, any addresses: no sanitizer trips, a
 * walk ends, what it finds is an address there can be, and nothing is written
 * that was not asked for.
 *
 * Input: a header, struct head, then what memory is filled with, over and over.
 */
#include <belfry/walk.h>

#include <assert.h>
#include <string.h>

#define RAM      0x40000000ull
#define RAM_SIZE (64 * KIB)

struct head {
	u8 shift[2], bits[2], flags[2];
	u8 oas, regime;
	u32 table[2];
	u64 va[4];
};
static_assert(sizeof(struct head) == 48, "no holes");

static u8 ram[RAM_SIZE] __attribute__((aligned(65536))), copy[RAM_SIZE];

/* Tables are in memory, more or less, so that there is something to walk. */
static void set_regime(struct walk_regime *r, const struct head *h)
{
	for (u32 i = 0; i < 2; i++)
		r->half[i] = (struct walk_half) {
			.on = h->flags[i] & 1,
			.tbi = h->flags[i] & 2,
			.flat = h->flags[i] & 4,
			.shift = h->shift[i],
			.bits = h->bits[i],
			.table = RAM + h->table[i] % (RAM_SIZE + 0x1000),
		};
	r->oas = h->oas;
	r->ha = h->regime & 1;
	r->hd = h->regime & 2;
	r->no_af = h->regime & 4;
	r->wxn = h->regime & 8;
	r->pan = h->regime & 16;
	r->ds = h->regime & 32;
}

static void check(const struct walk *w, u64 va, u32 oas)
{
	if (w->fault) {
		assert(walk_fsc(w) < 0x2c);
		return;
	}
	assert(w->level >= 0 && w->level <= 3 && w->shift >= 12 &&
	       w->shift <= 42);
	assert(!(w->pa >> oas));
	assert((w->pa ^ va) << (64 - w->shift) == 0);
	assert(w->may & 0x77);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct gmem mem = { 0 };
	struct dma dma = dma_plain(&mem);
	struct walk_regime r;
	struct head h;

	if (size <= sizeof(h) || gmem_add(&mem, RAM, RAM_SIZE, ram))
		return 0;
	memcpy(&h, data, sizeof(h));
	for (size_t i = 0; i < RAM_SIZE; i++)
		ram[i] = data[sizeof(h) + i % (size - sizeof(h))];
	memcpy(copy, ram, RAM_SIZE);
	set_regime(&r, &h);
	if (!walk_regime_ok(&r))
		return 0;
	for (u32 i = 0; i < 4 * 8; i++) {
		struct walk w = walk(&dma, &r, h.va[i / 8], i % 8);

		check(&w, h.va[i / 8], r.oas);
	}
	assert(r.ha || !memcmp(copy, ram, RAM_SIZE));
	return 0;
}
