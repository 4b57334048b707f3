/*
 * The set that knows its most urgent member, against an array that is searched
 * from end to end.
 */
#include "unit.h"

#include "prioset.h"

#include <string.h>

static u32 seed = 1;

static u32 dice(u32 sides)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % sides;
}

struct model {
	u32 nr;
	u8 prio[PRIOSET_IDS_MAX];
	bool in[PRIOSET_IDS_MAX];
};

static void compare(const struct prioset *s, const struct model *m)
{
	u32 found = 12345, want = 12345;
	u8 best = PRIO_NEVER;

	for (u32 i = 0; i < m->nr; i++)
		if (m->in[i] && m->prio[i] < best) {
			best = m->prio[i];
			want = i;
		}
	ck_assert_uint_eq(prioset_best(s, &found), best);
	ck_assert_uint_eq(found, want);
}

static const u32 sizes[] = { 1,    2,    63,   64,    65,    988,
			     4095, 4096, 4097, 57344, 65535, PRIOSET_IDS_MAX };

START_TEST(edges)
{
	static struct model m;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct prioset s;
		u32 id = 77;

		m.nr = sizes[i];
		memset(m.prio, 0x10, sizeof(m.prio));
		ck_assert_int_eq(prioset_init(&s, m.prio, m.nr), 0);
		ck_assert_uint_eq(prioset_best(&s, &id), PRIO_NEVER);
		ck_assert_uint_eq(id, 77);
		prioset_put(&s, m.nr - 1);
		ck_assert(prioset_has(&s, m.nr - 1));
		ck_assert_uint_eq(prioset_best(&s, &id), 0x10);
		ck_assert_uint_eq(id, m.nr - 1);
		prioset_put(&s, 0);
		ck_assert_uint_eq(prioset_best(&s, &id), 0x10);
		ck_assert_uint_eq(id, 0);
		m.prio[0] = PRIO_NEVER;
		prioset_review(&s, 0);
		ck_assert_uint_eq(prioset_best(&s, &id),
				  m.nr > 1 ? 0x10 : PRIO_NEVER);
		prioset_drop(&s, m.nr - 1);
		ck_assert_uint_eq(prioset_best(&s, &id), PRIO_NEVER);
		ck_assert(prioset_has(&s, 0) == (m.nr > 1));
		prioset_fini(&s);
	}
}
END_TEST

static void step(struct prioset *s, struct model *m)
{
	u32 id = dice(2) ? dice(m->nr) : dice(MIN(m->nr, 200u));

	switch (dice(3)) {
	case 0:
		prioset_put(s, id);
		m->in[id] = true;
		break;
	case 1:
		prioset_drop(s, id);
		m->in[id] = false;
		break;
	default:
		m->prio[id] = (u8)(dice(8) ? dice(32) << 3 : PRIO_NEVER);
		prioset_review(s, id);
		break;
	}
	ck_assert(prioset_has(s, id) == m->in[id]);
}

START_TEST(random_walk)
{
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		static struct model m;
		struct prioset s;

		memset(&m, 0, sizeof(m));
		m.nr = sizes[i];
		ck_assert_int_eq(prioset_init(&s, m.prio, m.nr), 0);
		for (u32 n = 0; n < 2000; n++) {
			step(&s, &m);
			compare(&s, &m);
		}
		prioset_fini(&s);
	}
}
END_TEST

START_TEST(all_at_once)
{
	static struct model a, b;
	struct prioset from, to;

	a.nr = b.nr = 5000;
	ck_assert_int_eq(prioset_init(&from, a.prio, a.nr), 0);
	ck_assert_int_eq(prioset_init(&to, a.prio, b.nr), 0);
	for (u32 n = 0; n < 200; n++) {
		u32 id = dice(a.nr), other = dice(a.nr);

		prioset_put(&from, id);
		prioset_put(&to, other);
		b.in[id] = b.in[other] = true;
	}
	for (u32 i = 0; i < a.nr; i++)
		a.prio[i] = b.prio[i] = (u8)(dice(32) << 3);
	prioset_review_all(&from);
	prioset_review_all(&to);
	prioset_move_all(&from, &to, ALIGN_UP(a.nr, 64));
	compare(&from, &a);
	compare(&to, &b);
	for (u32 i = 0; i < a.nr; i++) {
		ck_assert(!prioset_has(&from, i));
		ck_assert(prioset_has(&to, i) == b.in[i]);
	}
	/* What is from the limit on is lost. */
	prioset_move_all(&to, &from, 64);
	for (u32 i = 0; i < a.nr; i++) {
		ck_assert(!prioset_has(&to, i));
		ck_assert(prioset_has(&from, i) == (i < 64 && b.in[i]));
	}
	compare(&to, &a);
	prioset_clear(&from);
	compare(&from, &a);
	prioset_fini(&from);
	prioset_fini(&to);
}
END_TEST

UNIT_MAIN("prioset", edges, random_walk, all_at_once)
