/*
 * What reading a configuration remembers beside the values: where each stood,
 * so that late faults have a place too. Private to config.
 */
#ifndef BELFRY_CONFIG_READER_H
#define BELFRY_CONFIG_READER_H

#include <belfry/config.h>
#include <belfry/json.h>

#include "config_keys.h"

/* Where the value of a key came from: an option if at.line is 0. */
struct origin {
	bool given, refused;
	struct json_place at;
};

/* The whole configuration, or one drive, net or vfio of it. */
struct scope {
	struct reader *r;
	const struct config_key *keys;
	void *base;                 /* the struct of these keys */
	char name[CONFIG_NAME_MAX]; /* "drive[0]"; "": the whole */
	struct json_place at;       /* as in an origin */
	bool refused;               /* it is no group of keys */
	struct origin from[CONFIG_KEYS_MAX];
};

/* An option as it was given. */
struct option {
	const struct config_key *key;
	const char *value;
};

struct reader {
	struct config *c;
	struct faults *f;
	const char *path; /* of the file; NULL without one */
	const char *name; /* the same, for messages */
	bool parsed;      /* the file is JSON */
	struct option *options;
	size_t options_nr;
	/* The whole first, then the others as they were read. */
	struct scope scopes[1 + CONFIG_DRIVES_MAX + CONFIG_NETS_MAX +
			    CONFIG_VFIOS_MAX];
	u32 scopes_nr;
};

static inline struct origin *origin(struct scope *s, const struct config_key *k)
{
	return &s->from[k - s->keys];
}

/* How much of a wrong value a message repeats. */
#define GIVEN_MAX 60

/* The row of @s's keys that has this name, which there is. */
const struct config_key *key_called(const struct scope *s, const char *name);

/* "vm.json:3:9: drive[0].path" or "--drive[0].path"; owned. */
char *place_of(const struct scope *s, const struct json_place *at,
	       const char *key);

/* A fault of @k's value in @s (NULL: of @s itself), with the place that it
 * came from. */
PRINTF_LIKE(3, 4)
void key_fault(struct scope *s, const struct config_key *k, const char *fmt,
	       ...);

/* @given @why: "\"0\" is too small". Of a group, the fault is @s's. */
void value_fault(struct scope *s, const struct config_key *k, const char *given,
		 const char *quote, const char *why);

/* @name at @at is no key of @s; it resembles @near (NULL: none). */
void unknown_key(const struct scope *s, const char *name,
		 const struct json_place *at, const struct config_key *near);

/* The next of the group @k, as yet with defaults only; NULL, and a fault, if
 * there are too many. */
struct scope *add_element(struct reader *r, const struct config_key *k,
			  const struct json_place *at);

/* config_file.c: all that @r->path holds. */
void config_read_file(struct reader *r);

/* config_options.c: what is the file, and what are options; and their values,
 * over those of the file. */
void config_read_args(struct reader *r, int argc, char **argv);
void config_apply_options(struct reader *r);

/* config_check.c: what only the whole can show. */
void config_check(struct reader *r);

/* config_settle.c: decide what the operator left to us: numbers of queues, MAC
 * addresses, places on the bus. Pure. */
void config_settle(struct config *c);

#endif
