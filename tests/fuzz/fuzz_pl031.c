/*
 * Any accesses, any passing of time: the PL031's line follows MIS, a match
 * rings only when the time says so, and nothing trips a sanitizer.
 *
 * Input: records of six bytes - what, offset / 4, four bytes of value.
 */
#include <belfry/pl031.h>

#include <assert.h>
#include <string.h>

#define RECORD 6
#define RTCDR  0x000
#define RTCMR  0x004
#define RTCMIS 0x018

struct bench {
	u64 now, wake;
	bool level;
};

static u64 bench_now(void *ctx)
{
	return ((struct bench *)ctx)->now;
}

static void bench_wake(void *ctx, u64 when)
{
	((struct bench *)ctx)->wake = when;
}

static void bench_irq(void *ctx, u32 intid, bool level)
{
	struct bench *b = ctx;

	assert(level != b->level);
	b->level = level;
}

/* The low two bits choose; the rest of @what is a size or an offset. */
static void step(struct pl031 *d, struct bench *b, const u8 *rec)
{
	u32 off = rec[1] * 4u, val;

	memcpy(&val, rec + 2, sizeof(val));
	if (rec[0] & 4)
		off = 0xfe0 + off % 0x20;
	switch (rec[0] & 3) {
	case 0:
		pl031_mmio.read(d, off + (rec[0] >> 6),
				1u << (rec[0] >> 4 & 3));
		break;
	case 1:
		pl031_mmio.write(d, off, 4, val);
		break;
	case 2:
		b->now += val * 1000000ull;
		break;
	default:
		if (rec[0] & 8)
			pl031_reset(d);
		if (b->wake <= b->now)
			b->wake = 0;
		pl031_alarm(d);
		break;
	}
	assert(pl031_mmio.read(d, RTCMIS, 4) == b->level);
	assert(!b->wake ||
	       (u32)pl031_mmio.read(d, RTCMR, 4) ==
		       (u32)(pl031_mmio.read(d, RTCDR, 4) +
			     b->wake / 1000000000 - b->now / 1000000000));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct bench b = { .now = 1700000000123456789 };
	const struct irq_line irq = { bench_irq, &b, 34 };
	const struct pl031_world world = { bench_now, bench_wake, &b };
	struct pl031 *d = pl031_create(&irq, &world);

	if (!d)
		return 0;
	for (; size >= RECORD; data += RECORD, size -= RECORD)
		step(d, &b, data);
	pl031_destroy(d);
	return 0;
}
