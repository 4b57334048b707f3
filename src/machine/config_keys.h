/*
 * The table of keys, and what a value of each type may be. Private to config.
 */
#ifndef BELFRY_CONFIG_KEYS_H
#define BELFRY_CONFIG_KEYS_H

#include <belfry/config.h>
#include <belfry/err.h>

#define CONFIG_KEYS 17

enum key_type {
	KEY_FILE,    /* char *: a path to read */
	KEY_OUTPUT,  /* char *: a path to write */
	KEY_STRING,  /* char * */
	KEY_REGEX,   /* char *: POSIX extended */
	KEY_COUNT,   /* u32 */
	KEY_SIZE,    /* u64, bytes */
	KEY_SECONDS, /* u64, milliseconds */
	KEY_WORD,    /* an enum: the index into words */
	KEY_FLAG,    /* bool */
};

struct config_key {
	const char *name;
	enum key_type type;
	size_t offset, size;      /* of the field in struct config */
	u64 min, max, step;       /* of a number, or of a string's length */
	const char *const *words; /* ends with NULL */
	const char *initial;      /* as on the command line; NULL: all zero */
	const char *arg;          /* what help calls the value */
	const char *help;
};

extern const struct config_key config_keys[CONFIG_KEYS];

/* The row called @name, or NULL; then *@near is one it resembles, or NULL. */
const struct config_key *config_key_find(const char *name,
					 const struct config_key **near);

/* The JSON kinds (bits by enum json_kind) that a key takes. */
unsigned config_key_kinds(const struct config_key *k);

/* What a key allows, for "allowed: ...". */
#define ALLOWED_MAX 160
void config_key_allowed(const struct config_key *k,
			char buf[static ALLOWED_MAX]);

/*
 * Set @k's field in @c from text. -errno and "is too small", say, in @e.
 */
MUST_CHECK int config_key_set(const struct config_key *k, struct config *c,
			      const char *text, struct err *e);

#endif
