/*
 * The tables of keys, and what a value of each type may be. Private to config.
 */
#ifndef BELFRY_CONFIG_KEYS_H
#define BELFRY_CONFIG_KEYS_H

#include <belfry/config.h>
#include <belfry/err.h>

enum key_type {
	KEY_FILE,    /* char *: a path to read */
	KEY_OUTPUT,  /* char *: a path to write */
	KEY_DISK,    /* char *: a path to read and, unless told not to, write */
	KEY_STRING,  /* char * */
	KEY_SERIAL,  /* char *: without control characters */
	KEY_REGEX,   /* char *: POSIX extended */
	KEY_NETIF,   /* char *: a network interface's name */
	KEY_COUNT,   /* u32 */
	KEY_FD,      /* int */
	KEY_SIZE,    /* u64, bytes */
	KEY_SECONDS, /* u64, milliseconds */
	KEY_WORD,    /* an enum: the index into words */
	KEY_FLAG,    /* bool */
	KEY_MAC,     /* u8[6] */
	KEY_BDF,     /* u32 */
	KEY_PCI,     /* char *: a PCI function of the host's, its full name */
	KEY_GROUP,   /* a struct with a table of its own */
};

/* A table of keys ends with a row that has no name. */
struct config_key {
	const char *name;
	enum key_type type;
	size_t offset, size; /* of the field in its struct; of one of many */
	u32 most;     /* how many values may stand in a row; 0: it is single */
	size_t count; /* offset of the u32 that says how many do */
	u64 min, max, step;       /* of a number, or of a string's length */
	const char *const *words; /* ends with NULL */
	const struct config_key *keys; /* of a group */
	const char *initial; /* as on the command line; NULL: all zero */
	const char *arg;     /* what help calls the value */
	const char *help;
};

/* No table has more rows. */
#define CONFIG_KEYS_MAX 26

/* In struct config, config_drive and so on. A group may begin with the bare
 * value of the first row. */
extern const struct config_key config_keys[];
extern const struct config_key config_drive_keys[];
extern const struct config_key config_net_keys[];
extern const struct config_key config_vfio_keys[];

/* The row of @keys called @name, or NULL; then *@near is one it resembles, or
 * NULL. */
const struct config_key *config_key_find(const struct config_key *keys,
					 const char *name,
					 const struct config_key **near);

/* @k's field in @base, which is the struct of its table; its first of many. */
static inline void *config_key_field(const struct config_key *k, void *base)
{
	return (char *)base + k->offset;
}

/* The next of many, counted from now on and all zero; NULL if there is no room.
 */
void *config_key_add(const struct config_key *k, void *base);

/* Does the value name a file? */
bool config_key_is_path(const struct config_key *k);

/* The JSON kinds (bits by enum json_kind) that a value may have. */
unsigned config_key_kinds(const struct config_key *k);

/* What a key allows, for "allowed: ...". */
#define ALLOWED_MAX 160
void config_key_allowed(const struct config_key *k,
			char buf[static ALLOWED_MAX]);

/*
 * Set @k's field in @base from text; of many, the next. -errno and "is too
 * small", say, in @e. Groups have no text.
 */
MUST_CHECK int config_key_set(const struct config_key *k, void *base,
			      const char *text, struct err *e);

/* Defaults of all @keys into @base, which is zero. */
void config_keys_init(const struct config_key *keys, void *base);
/* Free what they own. */
void config_keys_fini(const struct config_key *keys, void *base);

#endif
