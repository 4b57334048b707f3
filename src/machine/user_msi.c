#include "user_msi.h"

#include <belfry/lock.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct message {
	u32 devid, data;
	u64 addr;
};

struct line {
	struct user_msi *owner;
	struct loop_event event;
	bool aimed;
	struct message to; /* under the owner's lock, as is aimed */
};

struct user_msi {
	struct loop *loop;
	struct its *its;
	gpa_t translater;
	struct lock lock; /* an ITS' in the order of locks; not held with one */
	struct line **lines; /* by id; kept when closed, for the loop's sake */
	u32 nr;
};

struct user_msi *user_msi_create(struct loop *l, struct its *its,
				 gpa_t translater)
{
	struct user_msi *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	u->loop = l;
	u->its = its;
	u->translater = translater;
	u->lock = LOCK_INIT;
	return u;
}

void user_msi_destroy(struct user_msi *u)
{
	if (!u)
		return;
	for (u32 i = 0; i < u->nr; i++)
		free(u->lines[i]);
	free(u->lines);
	free(u);
}

static bool message_send(void *ctx, u32 devid, u64 addr, u32 data)
{
	struct user_msi *u = ctx;

	return addr == u->translater && its_send(u->its, devid, data);
}

static void line_fired(void *ctx)
{
	struct line *l = ctx;
	struct message to;
	bool aimed;

	lock_take(&l->owner->lock);
	aimed = l->aimed;
	to = l->to;
	lock_drop(&l->owner->lock);
	if (aimed)
		(void)message_send(l->owner, to.devid, to.addr, to.data);
}

static int line_open(void *ctx, struct msi_line *line, struct err *e)
{
	struct user_msi *u = ctx;
	struct line **lines =
		reallocarray(u->lines, u->nr + 1, sizeof(*u->lines));
	struct line *l = calloc(1, sizeof(*l));

	line->fd = -1;
	if (lines)
		u->lines = lines;
	if (!lines || !l) {
		free(l);
		return err_set(e, -ENOMEM, "out of memory");
	}
	l->owner = u;
	if (loop_event_init(&l->event, u->loop, line_fired, l, e)) {
		free(l);
		return err_set(
			e, e->code,
			"eventfd: %s: raise `ulimit -n`, or give the devices fewer queues",
			strerror(-e->code));
	}
	u->lines[u->nr] = l;
	*line = (struct msi_line) { .fd = l->event.fd, .id = u->nr++ };
	return 0;
}

static void line_close(void *ctx, struct msi_line *line)
{
	struct user_msi *u = ctx;

	if (line->fd < 0)
		return;
	loop_event_fini(&u->lines[line->id]->event);
	line->fd = -1;
}

static int line_aim(void *ctx, struct msi_line *line, u32 devid, u64 addr,
		    u32 data)
{
	struct user_msi *u = ctx;
	struct line *l = u->lines[line->id];

	lock_take(&u->lock);
	l->to = (struct message) { devid, data, addr };
	l->aimed = true;
	lock_drop(&u->lock);
	return 0;
}

static void line_rest(void *ctx, struct msi_line *line)
{
	struct user_msi *u = ctx;

	lock_take(&u->lock);
	u->lines[line->id]->aimed = false;
	lock_drop(&u->lock);
}

struct msi_sink user_msi_sink(struct user_msi *u)
{
	return (struct msi_sink) {
		.send = message_send,
		.open = line_open,
		.close = line_close,
		.aim = line_aim,
		.rest = line_rest,
		.direct = true,
		.ctx = u,
	};
}
