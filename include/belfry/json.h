/*
 * JSON as a tree that remembers where everything stood.
 *
 * jansson judges the text (syntax, UTF-8, no NUL, depth) and decodes its
 * strings. The tree is ours because jansson's keeps no positions, drops all but
 * the last of equal keys and rounds numbers; this one holds what was written.
 */
#ifndef BELFRY_JSON_H
#define BELFRY_JSON_H

#include <belfry/base.h>
#include <belfry/err.h>

/* A configuration longer than this is some other file. */
#define JSON_FILE_MAX MIB

enum json_kind {
	JSON_IS_NULL,
	JSON_IS_BOOLEAN,
	JSON_IS_NUMBER,
	JSON_IS_STRING,
	JSON_IS_ARRAY,
	JSON_IS_OBJECT,
};

/* Both count from 1; columns count characters. */
struct json_place {
	unsigned line, column;
};

struct json_node {
	enum json_kind kind;
	struct json_place at;
	char *text; /* a string decoded; a number, boolean or null as written */
	char *key;  /* of an object's member; else NULL */
	struct json_place key_at;
	struct json_node *child; /* first member or element, in written order */
	struct json_node *next;  /* sibling */
};

/*
 * The tree of a whole text, owned by the caller until json_free. Equal keys
 * are all kept. @text[@len] is a NUL. -EINVAL for the first fault of syntax,
 * as "NAME:LINE:COLUMN: what is wrong".
 */
MUST_CHECK int json_parse(const char *text, size_t len, const char *name,
			  struct json_node **root, struct err *e);

/* As json_parse, of all that @fd gives, which may be a pipe. -errno, with NAME
 * in the message, if it cannot be read. */
MUST_CHECK int json_read(int fd, const char *name, struct json_node **root,
			 struct err *e);

void json_free(struct json_node *n);

#endif
