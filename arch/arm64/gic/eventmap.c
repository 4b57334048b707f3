#include "eventmap.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* A reference: a leaf's index with this bit, or a branch's without. */
#define LEAF    BIT(31)
#define NOTHING (~0u)

int eventmap_init(struct eventmap *m, u32 max)
{
	*m = (struct eventmap) { .max = max };
	m->leaves = calloc(max, sizeof(*m->leaves));
	m->branches = calloc(max, sizeof(*m->branches));
	if (!m->leaves || !m->branches) {
		eventmap_fini(m);
		return -ENOMEM;
	}
	eventmap_clear(m);
	return 0;
}

void eventmap_fini(struct eventmap *m)
{
	free(m->leaves);
	free(m->branches);
	*m = (struct eventmap) { 0 };
}

void eventmap_clear(struct eventmap *m)
{
	m->nr = 0;
	m->root = NOTHING;
	m->fresh_leaf = m->fresh_branch = 0;
	m->free_leaf = m->free_branch = NOTHING;
}

static struct mapping *leaf(const struct eventmap *m, u32 ref)
{
	return &m->leaves[ref & ~(u32)LEAF];
}

static bool is_branch(u32 ref)
{
	return !(ref & LEAF);
}

static u32 side(u32 key, u32 bit)
{
	return key >> bit & 1;
}

/* The highest bit in which two different keys differ. */
static u32 top_bit(u32 diff)
{
	return 31 - (u32)__builtin_clz(diff);
}

/* The leaf that @key would be at, of a map that is not empty. */
static struct mapping *closest(const struct eventmap *m, u32 key)
{
	u32 ref = m->root;

	while (is_branch(ref))
		ref = m->branches[ref].child[side(key, m->branches[ref].bit)];
	return leaf(m, ref);
}

struct mapping *eventmap_find(const struct eventmap *m, u32 key)
{
	struct mapping *e;

	if (m->root == NOTHING)
		return NULL;
	e = closest(m, key);
	return e->key == key ? e : NULL;
}

static struct mapping *least(const struct eventmap *m, u32 ref)
{
	while (is_branch(ref))
		ref = m->branches[ref].child[0];
	return leaf(m, ref);
}

/*
 * Down to where @key would branch off. All below there are on one side of it;
 * if they are before it, the next is the least to the right of the last turn to
 * the left.
 */
struct mapping *eventmap_next(const struct eventmap *m, u32 key)
{
	u32 ref = m->root, right = NOTHING, bit, diff;

	if (ref == NOTHING)
		return NULL;
	diff = closest(m, key)->key ^ key;
	if (!diff)
		return closest(m, key);
	bit = top_bit(diff);
	while (is_branch(ref) && m->branches[ref].bit > bit) {
		const struct eventmap_branch *b = &m->branches[ref];

		if (!side(key, b->bit))
			right = b->child[1];
		ref = b->child[side(key, b->bit)];
	}
	if (!side(key, bit))
		return least(m, ref);
	return right == NOTHING ? NULL : least(m, right);
}

static u32 take_leaf(struct eventmap *m)
{
	u32 i = m->free_leaf;

	if (i != NOTHING) {
		m->free_leaf = m->leaves[i].key;
		return i;
	}
	return m->fresh_leaf < m->max ? m->fresh_leaf++ : NOTHING;
}

/* There is one fewer of these than of leaves, so one is left. */
static u32 take_branch(struct eventmap *m)
{
	u32 i = m->free_branch;

	if (i == NOTHING)
		return m->fresh_branch++;
	m->free_branch = m->branches[i].child[0];
	return i;
}

static void branch_off(struct eventmap *m, u32 key, u32 ref)
{
	u32 bit = top_bit(closest(m, key)->key ^ key), new = take_branch(m);
	u32 *at = &m->root;

	while (is_branch(*at) && m->branches[*at].bit > bit)
		at = &m->branches[*at].child[side(key, m->branches[*at].bit)];
	m->branches[new].bit = bit;
	m->branches[new].child[side(key, bit)] = ref;
	m->branches[new].child[!side(key, bit)] = *at;
	*at = new;
}

struct mapping *eventmap_add(struct eventmap *m, u32 key)
{
	u32 i = take_leaf(m);

	if (i == NOTHING)
		return NULL;
	m->nr++;
	m->leaves[i] = (struct mapping) { .key = key };
	if (m->root == NOTHING)
		m->root = i | (u32)LEAF;
	else
		branch_off(m, key, i | (u32)LEAF);
	return &m->leaves[i];
}

static void free_leaf(struct eventmap *m, u32 ref)
{
	leaf(m, ref)->key = m->free_leaf;
	m->free_leaf = ref & ~(u32)LEAF;
}

static void free_branch(struct eventmap *m, u32 ref)
{
	m->branches[ref].child[0] = m->free_branch;
	m->free_branch = ref;
}

void eventmap_remove(struct eventmap *m, u32 key)
{
	u32 *at = &m->root, *above = NULL, ref, branch;

	for (; is_branch(*at);
	     at = &m->branches[*at].child[side(key, m->branches[*at].bit)])
		above = at;
	ref = *at;
	assert(leaf(m, ref)->key == key);
	if (above) {
		branch = *above;
		*above = m->branches[branch]
				 .child[!side(key, m->branches[branch].bit)];
		free_branch(m, branch);
	} else {
		m->root = NOTHING;
	}
	free_leaf(m, ref);
	m->nr--;
}
