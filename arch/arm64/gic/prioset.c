#include "prioset.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FAN 64

int prioset_init(struct prioset *s, const u8 *prio, u32 nr)
{
	u32 words = (nr + FAN - 1) / FAN, blocks = (words + FAN - 1) / FAN;

	assert(nr > 0 && nr <= PRIOSET_IDS_MAX);
	*s = (struct prioset) { .prio = prio,
				.words = words,
				.blocks = blocks };
	s->member = calloc(1, words * sizeof(*s->member) + words + blocks);
	if (!s->member)
		return -ENOMEM;
	s->word_best = (u8 *)(s->member + words);
	s->block_best = s->word_best + words;
	prioset_clear(s);
	return 0;
}

void prioset_fini(struct prioset *s)
{
	free(s->member);
	*s = (struct prioset) { 0 };
}

static u8 word_min(const struct prioset *s, u32 word)
{
	const u8 *prio = s->prio + word * FAN;
	u8 best = PRIO_NEVER;

	for (u64 m = s->member[word]; m; m &= m - 1)
		best = MIN(best, prio[__builtin_ctzll(m)]);
	return best;
}

static u8 block_min(const struct prioset *s, u32 block)
{
	u32 end = MIN((block + 1) * FAN, s->words);
	u8 best = PRIO_NEVER;

	for (u32 w = block * FAN; w < end; w++)
		best = MIN(best, s->word_best[w]);
	return best;
}

static void sum_up(struct prioset *s, u32 word)
{
	u8 best = word_min(s, word);

	if (best == s->word_best[word])
		return;
	s->word_best[word] = best;
	s->block_best[word / FAN] = block_min(s, word / FAN);
}

bool prioset_has(const struct prioset *s, u32 id)
{
	return s->member[id / FAN] & BIT(id % FAN);
}

void prioset_put(struct prioset *s, u32 id)
{
	s->member[id / FAN] |= BIT(id % FAN);
	sum_up(s, id / FAN);
}

void prioset_drop(struct prioset *s, u32 id)
{
	s->member[id / FAN] &= ~BIT(id % FAN);
	sum_up(s, id / FAN);
}

void prioset_review(struct prioset *s, u32 id)
{
	sum_up(s, id / FAN);
}

u8 prioset_best(const struct prioset *s, u32 *id)
{
	u32 block = 0, word;
	u8 best;

	for (u32 b = 1; b < s->blocks; b++)
		if (s->block_best[b] < s->block_best[block])
			block = b;
	best = s->block_best[block];
	if (best == PRIO_NEVER)
		return best;
	for (word = block * FAN; s->word_best[word] != best;)
		word++;
	for (u64 m = s->member[word];; m &= m - 1) {
		*id = word * FAN + (u32)__builtin_ctzll(m);
		if (s->prio[*id] == best)
			return best;
	}
}

void prioset_review_all(struct prioset *s)
{
	for (u32 w = 0; w < s->words; w++)
		if (s->member[w])
			sum_up(s, w);
}

void prioset_clear(struct prioset *s)
{
	memset(s->member, 0, s->words * sizeof(*s->member));
	memset(s->word_best, PRIO_NEVER, s->words + s->blocks);
}

void prioset_move_all(struct prioset *from, struct prioset *to, u32 limit)
{
	for (u32 w = 0; w < from->words; w++) {
		if (!from->member[w])
			continue;
		if (w < limit / FAN) {
			to->member[w] |= from->member[w];
			sum_up(to, w);
		}
		from->member[w] = 0;
		sum_up(from, w);
	}
}
