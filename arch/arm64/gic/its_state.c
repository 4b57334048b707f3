/*
 * An ITS as data, and back.
 *
 * What is mapped is mapped again as its commands would, so that the sink hears
 * of it. What is then saved has to be what was given, or it was no state of
 * such an ITS.
 */
#include "its_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* There is no big-endian host; fields are copied as they are. */
static_assert(__BYTE_ORDER == __LITTLE_ENDIAN, "state is little endian");
static_assert(sizeof(struct its_state) == 72, "no holes");

/* The parts, one behind the other. */
struct parts {
	struct its_state *head;
	struct its_dev_state *devs;
	struct its_coll_state *colls;
	struct its_event_state *events;
};

static struct parts parts_of(void *state)
{
	struct parts p = { .head = state };

	p.devs = (struct its_dev_state *)(p.head + 1);
	p.colls = (struct its_coll_state *)(p.devs + p.head->devs);
	p.events = (struct its_event_state *)(p.colls + p.head->colls);
	return p;
}

static size_t size_of(const struct its_state *s)
{
	return sizeof(*s) + s->devs * sizeof(struct its_dev_state) +
	       s->colls * sizeof(struct its_coll_state) +
	       s->events * sizeof(struct its_event_state);
}

static struct its_state head_of(const struct its *its)
{
	struct its_state s = {
		.version = ITS_STATE_VERSION,
		.cpus = its->setup.cpus,
		.lpi_bits = its->setup.lpi_bits,
		.enabled = its->enabled,
		.cbaser = its->cbaser,
		.cwriter = its->cwriter,
		.creadr = its->creadr,
		.baser = { its->baser[ITS_DEV_TABLE],
			   its->baser[ITS_COLL_TABLE] },
		.last_error = its->last_error,
	};

	for (u32 i = 0; i < ITS_DEVS; i++)
		s.devs += its->dev_bits[i] != 0;
	for (u32 i = 0; i < ITS_COLLS; i++)
		s.colls += its->coll_target[i] != 0;
	s.events = its->events.nr;
	return s;
}

size_t its_state_size(struct its *its)
{
	struct its_state s;

	its_lock(its);
	s = head_of(its);
	its_unlock(its);
	return size_of(&s);
}

static struct its_event_state event_state(const struct mapping *m)
{
	return (struct its_event_state) { .dev = m->key >> ITS_BITS,
					  .event = m->key & 0xffff,
					  .lpi = m->lpi,
					  .coll = m->coll };
}

static void save(const struct its *its, void *to)
{
	const struct mapping *m = eventmap_next(&its->events, 0);
	struct its_state head = head_of(its);
	struct parts p;

	memcpy(to, &head, sizeof(head));
	p = parts_of(to);
	for (u32 i = 0; i < ITS_DEVS; i++)
		if (its->dev_bits[i])
			*p.devs++ =
				(struct its_dev_state) { i, its->dev_bits[i] };
	for (u32 i = 0; i < ITS_COLLS; i++)
		if (its->coll_target[i])
			*p.colls++ = (struct its_coll_state) {
				i, its->coll_target[i] - 1u
			};
	for (u32 i = 0; i < head.events; i++) {
		p.events[i] = event_state(m);
		m = eventmap_next(&its->events, m->key + 1);
	}
}

void its_save(struct its *its, void *to)
{
	its_lock(its);
	save(its, to);
	its_unlock(its);
}

static bool load_registers(struct its *its, const struct its_state *s)
{
	its->cbaser = s->cbaser & GITS_CBASER_BITS;
	its->cwriter = s->cwriter & GITS_CMD_OFFSET;
	its->creadr = s->creadr & GITS_CMD_OFFSET;
	its->last_error = s->last_error;
	for (u32 i = 0; i < ITS_TABLES; i++) {
		its->baser[i] = s->baser[i] & GITS_BASER_BITS;
		if (FIELD_GET(GITS_BASER_PAGE, s->baser[i]) >
		    GITS_BASER_PAGE_64K)
			return false;
	}
	return its->cwriter < its_queue_size(its) &&
	       its->creadr < its_queue_size(its);
}

static bool load_dev(struct its *its, const struct its_dev_state *s)
{
	if (!its_table_covers(its, ITS_DEV_TABLE, s->dev) || !s->bits ||
	    s->bits > ITS_BITS)
		return false;
	its_map_dev(its, s->dev, s->bits);
	return true;
}

static bool load_coll(struct its *its, const struct its_coll_state *s)
{
	if (!its_table_covers(its, ITS_COLL_TABLE, s->coll) ||
	    s->cpu >= its->setup.cpus)
		return false;
	its_map_coll(its, s->coll, s->cpu);
	return true;
}

/* It may be in a collection that was in a table which is gone. */
static bool load_event(struct its *its, const struct its_event_state *s)
{
	return s->coll < ITS_COLLS &&
	       !its_map_event(its, s->dev, s->event, s->lpi, s->coll);
}

static bool load_all(struct its *its, void *from)
{
	struct parts p = parts_of(from);
	bool ok = load_registers(its, p.head);

	for (u32 i = 0; ok && i < p.head->devs; i++)
		ok = load_dev(its, &p.devs[i]);
	for (u32 i = 0; ok && i < p.head->colls; i++)
		ok = load_coll(its, &p.colls[i]);
	for (u32 i = 0; ok && i < p.head->events; i++)
		ok = load_event(its, &p.events[i]);
	if (ok)
		its_enable(its, p.head->enabled & 1);
	return ok;
}

/* Is it as long as it says? */
static bool long_enough(const struct its *its, const struct its_state *s,
			size_t len)
{
	return len >= sizeof(*s) && s->devs <= ITS_DEVS &&
	       s->colls <= ITS_COLLS && s->events <= its->events.max &&
	       len == size_of(s);
}

/* @given is our copy, and @back as large: no more is mapped than is in it. */
static bool try_load(struct its *its, void *given, void *back, size_t len)
{
	its_reset_locked(its);
	if (!load_all(its, given))
		return false;
	save(its, back);
	return !memcmp(given, back, len);
}

/* Be as given, or as before; @old has room for that. */
static bool load_or_not(struct its *its, void *given, void *back, void *old,
			size_t len)
{
	bool there;

	if (!long_enough(its, given, len))
		return false;
	save(its, old);
	if (try_load(its, given, back, len))
		return true;
	its_reset_locked(its);
	there = load_all(its, old);
	assert(there);
	return false;
}

int its_restore(struct its *its, const void *from, size_t len, struct err *e)
{
	size_t room = ALIGN_UP(MAX(len, sizeof(struct its_state)), 8);
	struct its_state head;
	bool ok = false;
	u8 *given;

	its_lock(its);
	head = head_of(its);
	given = calloc(1, 2 * room + size_of(&head));
	if (given) {
		memcpy(given, from, len);
		ok = load_or_not(its, given, given + room, given + 2 * room,
				 len);
	}
	if (ok && its_commands_left(its))
		its->setup.more(its->setup.ctx);
	its_unlock(its);
	free(given);
	if (!given)
		return err_set(e, -ENOMEM, "ITS: out of memory");
	return ok ? 0
		  : err_set(e, -EINVAL,
			    "ITS: what was saved is no state of this one");
}
