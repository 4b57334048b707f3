/*
 * The map of events against an array of all there may be.
 */
#include "unit.h"

#include "eventmap.h"

#include <string.h>

static u64 seed = 1;

static u32 dice(u32 sides)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(seed >> 33) % sides;
}

START_TEST(edges)
{
	static const u32 keys[] = { 0,       1,          2,          0xffff,
				    0x10000, 0x7fffffff, 0x80000000, ~0u };
	struct eventmap m;

	ck_assert_int_eq(eventmap_init(&m, ARRAY_SIZE(keys)), 0);
	ck_assert_ptr_null(eventmap_find(&m, 0));
	ck_assert_ptr_null(eventmap_next(&m, 0));
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		struct mapping *e = eventmap_add(&m, keys[i]);

		ck_assert_ptr_nonnull(e);
		ck_assert(e->key == keys[i] && !e->lpi && !e->coll);
	}
	ck_assert_ptr_null(eventmap_add(&m, 77));
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		ck_assert_uint_eq(eventmap_find(&m, keys[i])->key, keys[i]);
		ck_assert_uint_eq(eventmap_next(&m, keys[i])->key, keys[i]);
	}
	ck_assert_uint_eq(eventmap_next(&m, 3)->key, 0xffff);
	ck_assert_uint_eq(eventmap_next(&m, 0x80000001)->key, ~0u);
	eventmap_remove(&m, ~0u);
	ck_assert_ptr_null(eventmap_next(&m, 0x80000001));
	ck_assert_ptr_nonnull(eventmap_add(&m, 77));
	eventmap_clear(&m);
	ck_assert_ptr_null(eventmap_next(&m, 0));
	for (u32 i = 0; i < ARRAY_SIZE(keys); i++)
		ck_assert_ptr_nonnull(eventmap_add(&m, i));
	eventmap_fini(&m);
	eventmap_fini(&m);
}
END_TEST

/* Keys out of a few clusters, so that they share much and little. */
#define KEYS 300

static u32 key_of(u32 i)
{
	static const u32 bases[] = { 0,          0x0000ff80, 0x00010000,
				     0x7fffffc0, 0xffffffa0, 0x12340000 };

	return bases[i / 50] + i % 50;
}

/* The value of each key, 0 if it is not in. */
struct model {
	u32 value[KEYS];
	u32 nr;
};

static void check_next(const struct eventmap *m, const struct model *model,
		       u32 probe)
{
	const struct mapping *next = eventmap_next(m, probe);
	u32 want = KEYS;

	for (u32 i = 0; i < KEYS; i++)
		if (model->value[i] && key_of(i) >= probe &&
		    (want == KEYS || key_of(i) < key_of(want)))
			want = i;
	ck_assert(!next == (want == KEYS));
	ck_assert(!next || (next->key == key_of(want) &&
			    next->lpi == model->value[want]));
}

static void step(struct eventmap *m, struct model *model, u32 n)
{
	u32 i = dice(KEYS), key = key_of(i);
	struct mapping *e = eventmap_find(m, key);

	ck_assert_uint_eq(m->nr, model->nr);
	ck_assert(!e == !model->value[i]);
	ck_assert(!e || e->lpi == model->value[i]);
	if (e && n / 500 % 2) {
		eventmap_remove(m, key);
		model->value[i] = 0;
		model->nr--;
	} else if (!e && model->nr < m->max) {
		e = eventmap_add(m, key);
		ck_assert_ptr_nonnull(e);
		e->lpi = model->value[i] = n + 1;
		model->nr++;
	} else if (!e) {
		ck_assert_ptr_null(eventmap_add(m, key));
	}
}

START_TEST(random_walk)
{
	static const u32 sizes[] = { 1, 2, 7, 100, KEYS, 1000 };

	for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
		struct eventmap m;
		struct model model = { 0 };

		ck_assert_int_eq(eventmap_init(&m, sizes[s]), 0);
		for (u32 n = 0; n < 4000; n++) {
			u32 near = key_of(dice(KEYS));

			step(&m, &model, n);
			check_next(&m, &model, near + dice(3) - 1);
		}
		eventmap_fini(&m);
	}
}
END_TEST

UNIT_MAIN("eventmap", edges, random_walk)
