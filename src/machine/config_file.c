/*
 * The JSON file of a configuration.
 */
#include <belfry/text.h>

#include "config_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A relative path in the file starts where the file is. */
static char *beside_file(const struct reader *r, const struct config_key *k,
			 const char *text)
{
	const char *slash = strrchr(r->path, '/');

	if (!config_key_is_path(k) || !slash || *text == '/' || !*text)
		return text_copy(text, strlen(text));
	return text_format("%.*s%s", (int)(slash + 1 - r->path), r->path, text);
}

static void read_members(struct scope *s, const struct json_node *object);

/* Set @k of @s, or, if that is a group, its element @s. */
static void read_one(struct scope *s, const struct config_key *k,
		     const struct json_node *n)
{
	static const struct {
		const char *is, *shown;
	} kinds[] = {
		[JSON_IS_NULL] = { "is no value", NULL },
		[JSON_IS_BOOLEAN] = { "is a boolean", NULL },
		[JSON_IS_NUMBER] = { "is a number", NULL },
		[JSON_IS_STRING] = { "is a string", NULL },
		[JSON_IS_ARRAY] = { "is an array", "[...]" },
		[JSON_IS_OBJECT] = { "is an object", "{...}" },
	};
	const char *quote = n->kind == JSON_IS_STRING ? "\"" : "";
	const char *shown = n->text ? n->text : kinds[n->kind].shown;
	struct err e;
	char *text;

	if (!(config_key_kinds(k) & BIT(n->kind))) {
		value_fault(s, k, shown, quote, kinds[n->kind].is);
		return;
	}
	if (k->type == KEY_GROUP) {
		read_members(s, n);
		return;
	}
	text = beside_file(s->r, k, n->text);
	if (config_key_set(k, s->base, text, &e))
		value_fault(s, k, shown, quote, e.msg);
	free(text);
}

static void read_value(struct scope *s, const struct config_key *k,
		       const struct json_node *n)
{
	origin(s, k)->at = n->at;
	if (k->type == KEY_GROUP)
		s = add_element(s->r, k, &n->at);
	if (s)
		read_one(s, k, n);
}

static void read_member(struct scope *s, const struct json_node *n)
{
	const struct config_key *near;
	const struct config_key *k = config_key_find(s->keys, n->key, &near);
	struct origin *from;

	if (!k) {
		unknown_key(s, n->key, &n->key_at, near);
		return;
	}
	from = origin(s, k);
	if (from->given) {
		char *place = place_of(s, &n->key_at, k->name);

		faults_add(s->r->f, "%s: given again, after line %u; keep one",
			   place, from->at.line);
		free(place);
		return;
	}
	from->given = true;
	if (k->most && n->kind == JSON_IS_ARRAY)
		for (const struct json_node *i = n->child; i; i = i->next)
			read_value(s, k, i);
	else
		read_value(s, k, n);
	from->at = n->at;
}

/* No deeper than groups go, which have none inside. */
static void read_members(struct scope *s, const struct json_node *object)
{
	for (const struct json_node *n = object->child; n; n = n->next)
		read_member(s, n);
}

static void read_tree(struct reader *r, const struct json_node *root)
{
	r->parsed = true;
	if (root->kind == JSON_IS_OBJECT)
		read_members(&r->scopes[0], root);
	else
		faults_add(r->f,
			   "%s:%u:%u: a configuration is an object: "
			   "{ \"kernel\": \"Image\" }",
			   r->name, root->at.line, root->at.column);
}

void config_read_file(struct reader *r)
{
	bool is_stdin = !strcmp(r->path, "-");
	int fd = is_stdin ? STDIN_FILENO : open(r->path, O_RDONLY | O_CLOEXEC);
	struct json_node *root;
	struct err e;

	if (fd < 0) {
		faults_add(r->f, "%s: cannot open: %s", r->name,
			   strerror(errno));
		return;
	}
	if (json_read(fd, r->name, &root, &e)) {
		faults_add(r->f, "%s", e.msg);
	} else {
		read_tree(r, root);
		json_free(root);
	}
	if (!is_stdin)
		close(fd);
}
