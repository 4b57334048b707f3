/*
 * A configuration read: the file first, options over it, then what only the
 * whole can show. Goes on after every fault, so that all are found at once.
 */
#include <belfry/text.h>

#include "config_reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void faults_add(struct faults *f, const char *fmt, ...)
{
	char **msg = reallocarray(f->msg, f->nr + 1, sizeof(*msg));
	va_list ap;
	int n;

	if (!msg)
		abort();
	f->msg = msg;
	va_start(ap, fmt);
	n = vasprintf(&f->msg[f->nr], fmt, ap);
	va_end(ap);
	if (n < 0)
		abort();
	for (char *p = f->msg[f->nr]; *p; p++)
		if ((u8)*p < ' ' || *p == 0x7f)
			*p = '?';
	f->nr++;
}

void faults_fini(struct faults *f)
{
	for (size_t i = 0; i < f->nr; i++)
		free(f->msg[i]);
	free(f->msg);
	*f = (struct faults) { 0 };
}

void config_init(struct config *c)
{
	*c = (struct config) { 0 };
	config_keys_init(config_keys, c);
}

void config_fini(struct config *c)
{
	config_keys_fini(config_keys, c);
	for (u32 i = 0; i < c->drives_nr; i++)
		free(c->drives[i].place);
	for (u32 i = 0; i < c->nets_nr; i++)
		free(c->nets[i].place);
	for (u32 i = 0; i < c->vfios_nr; i++)
		free(c->vfios[i].place);
	free(c->kernel_place);
	free(c->initrd_place);
	*c = (struct config) { 0 };
}

const struct config_key *key_called(const struct scope *s, const char *name)
{
	const struct config_key *near;

	return config_key_find(s->keys, name, &near);
}

char *place_of(const struct scope *s, const struct json_place *at,
	       const char *key)
{
	const char *dot = *s->name && *key ? "." : "";

	if (at->line)
		return text_format("%s:%u:%u: %s%s%s", s->r->name, at->line,
				   at->column, s->name, dot, key);
	return text_format("--%s%s%s", s->name, dot, key);
}

/* The place of @k's value in @s, or of @s itself (NULL); owned. */
static char *place_of_key(struct scope *s, const struct config_key *k)
{
	const struct json_place *at =
		k && origin(s, k)->given ? &origin(s, k)->at : &s->at;

	return place_of(s, at, k ? k->name : "");
}

void key_fault(struct scope *s, const struct config_key *k, const char *fmt,
	       ...)
{
	char *place = place_of_key(s, k);
	char *what;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&what, fmt, ap) < 0)
		abort();
	va_end(ap);
	faults_add(s->r->f, "%s: %s", place, what);
	free(place);
	free(what);
}

void value_fault(struct scope *s, const struct config_key *k, const char *given,
		 const char *quote, const char *why)
{
	bool group = k->type == KEY_GROUP;
	char allowed[ALLOWED_MAX];
	size_t len = text_cut(given, GIVEN_MAX);

	*(group ? &s->refused : &origin(s, k)->refused) = true;
	config_key_allowed(k, allowed);
	key_fault(s, group ? NULL : k, "%s%.*s%s%s %s; allowed: %s", quote,
		  (int)len, given, given[len] ? "..." : "", quote, why,
		  allowed);
}

void unknown_key(const struct scope *s, const char *name,
		 const struct json_place *at, const struct config_key *near)
{
	char *cut = text_copy(name, text_cut(name, GIVEN_MAX));
	char *place = place_of(s, at, cut);

	faults_add(s->r->f, "%s: no such key; %s%s%s", place,
		   near ? "did you mean \"" : "belfry run --help",
		   near ? near->name : "", near ? "\"?" : " lists them");
	free(place);
	free(cut);
}

struct scope *add_element(struct reader *r, const struct config_key *k,
			  const struct json_place *at)
{
	void *base = config_key_add(k, r->c);
	struct scope *s;
	size_t index;

	if (!base) {
		key_fault(&r->scopes[0], k, "one too many; there may be %u",
			  k->most);
		return NULL;
	}
	s = &r->scopes[r->scopes_nr++];
	*s = (struct scope) { .r = r, .keys = k->keys, .base = base };
	s->at = *at;
	index = (size_t)((char *)base - (char *)config_key_field(k, r->c)) /
		k->size;
	snprintf(s->name, sizeof(s->name), "%s[%u]", k->name, (u32)index);
	config_keys_init(k->keys, base);
	return s;
}

static void keep_place(char **place, struct scope *s, const char *key)
{
	*place = place_of_key(s, key_called(s, key));
}

static void keep_places(struct scope *s)
{
	struct config *c = s->r->c;
	struct config_drive *d = s->base;
	struct config_net *n = s->base;
	struct config_vfio *v = s->base;

	if (s->keys == config_drive_keys) {
		keep_place(&d->place, s, "path");
	} else if (s->keys == config_net_keys) {
		keep_place(&n->place, s, n->tap ? "tap" : "fd");
	} else if (s->keys == config_vfio_keys) {
		keep_place(&v->place, s, "host");
	} else {
		keep_place(&c->kernel_place, s, "kernel");
		keep_place(&c->initrd_place, s, "initrd");
	}
}

bool config_load(struct config *c, int argc, char **argv, struct faults *f)
{
	struct reader *r = calloc(1, sizeof(*r));
	size_t before = f->nr;

	if (!r)
		abort();
	r->c = c;
	r->f = f;
	r->options = calloc((size_t)argc + 1, sizeof(*r->options));
	if (!r->options)
		abort();
	r->scopes[r->scopes_nr++] =
		(struct scope) { .r = r, .keys = config_keys, .base = c };
	config_read_args(r, argc, argv);
	if (r->path)
		config_read_file(r);
	config_apply_options(r);
	config_settle(c);
	config_check(r);
	for (u32 i = 0; i < r->scopes_nr; i++)
		keep_places(&r->scopes[i]);
	free(r->options);
	free(r);
	return f->nr == before;
}
