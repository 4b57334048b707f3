/*
 * The command line of a configuration: options, what groups of keys look like
 * in one, and the name of the file.
 */
#include <belfry/text.h>

#include "config_reader.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Stands for the value of an option that came without one. */
static const char no_value[] = "";

/* Where what has no line came from. */
static const struct json_place command_line;

/* The row of "--key" or "--key=value"; *@value is NULL without one. */
static const struct config_key *
find_option(const char *arg, const struct config_key **near, const char **value)
{
	size_t dashes = strspn(arg, "-");
	size_t len = strcspn(arg + dashes, "=");
	char *name = text_copy(arg + dashes, len);
	const struct config_key *k = config_key_find(config_keys, name, near);

	free(name);
	*value = arg[dashes + len] ? arg + dashes + len + 1 : NULL;
	if (k && dashes != 2) {
		*near = k;
		return NULL;
	}
	return k;
}

/*
 * Is @next the value of the unknown option before it? If it is, it should not
 * be taken for a file and make a second fault.
 */
static bool belongs(const char *next, const struct config_key *near)
{
	if (near)
		return near->type != KEY_FLAG;
	return access(next, F_OK) != 0;
}

static bool is_given(const struct reader *r, const struct config_key *k)
{
	for (size_t i = 0; i < r->options_nr; i++)
		if (r->options[i].key == k)
			return true;
	return false;
}

/* Take the option at @argv[0]; returns how many arguments that was. */
static int read_option(struct reader *r, int argc, char **argv)
{
	const struct config_key *near, *k;
	const char *value;
	const char *next =
		argc > 1 && strncmp(argv[1], "--", 2) ? argv[1] : NULL;
	struct option *o;

	k = find_option(argv[0], &near, &value);
	if (!k) {
		faults_add(r->f, "%.*s: no such option; %s%s%s",
			   (int)strcspn(argv[0], "="), argv[0],
			   near ? "did you mean --" : "belfry run --help",
			   near ? near->name : "", near ? "?" : " lists them");
		return !value && next && belongs(next, near) ? 2 : 1;
	}
	if (!k->most && is_given(r, k))
		faults_add(r->f, "--%s: given twice; keep one", k->name);
	o = &r->options[r->options_nr++];
	o->key = k;
	if (k->type == KEY_FLAG || value) {
		o->value = value ? value : "true";
		return 1;
	}
	o->value = next ? next : no_value;
	return next ? 2 : 1;
}

void config_read_args(struct reader *r, int argc, char **argv)
{
	for (int i = 0; i < argc;) {
		if (argv[i][0] == '-' && argv[i][1]) {
			i += read_option(r, argc - i, argv + i);
			continue;
		}
		if (r->path)
			faults_add(r->f,
				   "%s: a second file; the configuration "
				   "is one, %s",
				   argv[i], r->name);
		else
			r->path = argv[i];
		r->name = strcmp(r->path, "-") ? r->path : "<stdin>";
		i++;
	}
}

static void missing_value(struct reader *r, const struct config_key *k)
{
	struct scope *s = &r->scopes[0];

	*origin(s, k) = (struct origin) { .given = true, .refused = true };
	key_fault(s, k,
		  "has no value; write --%s %s, or --%s=%s if the value "
		  "begins with --",
		  k->name, k->arg, k->name, k->arg);
}

static void apply(struct scope *s, const struct config_key *k,
		  const char *value)
{
	struct err e;

	*origin(s, k) = (struct origin) { .given = true };
	if (config_key_set(k, s->base, value, &e))
		value_fault(s, k, value, "\"", e.msg);
}

/* One part of a group's option: KEY=VALUE, FLAG or, in front, the bare value
 * of the first key. */
static void apply_part(struct scope *s, char *part, bool front)
{
	const struct config_key *near, *k;
	char *value = strchr(part, '=');

	if (value)
		*value++ = '\0';
	k = config_key_find(s->keys, part, &near);
	if (!k && !value && front) {
		k = s->keys;
		value = part;
	}
	if (!k && !*part)
		key_fault(s, NULL,
			  "nothing behind the last comma; leave it out");
	else if (!k && strchr(part, ','))
		key_fault(
			s, NULL,
			"nothing between two commas, which makes them one that is part of \"%.*s\", and that is no key; write one comma between keys",
			(int)text_cut(part, GIVEN_MAX), part);
	else if (!k && !near && !value)
		key_fault(
			s, NULL,
			"\"%.*s\" is no key (belfry run --help lists them); if it is part of the value before it, write the comma between them twice",
			(int)text_cut(part, GIVEN_MAX), part);
	else if (!k)
		unknown_key(s, part, &command_line, near);
	else if (!value && k->type != KEY_FLAG)
		key_fault(s, k, "has no value; write %s=%s", k->name, k->arg);
	else if (origin(s, k)->given && !k->most)
		key_fault(s, k, "given twice; keep one");
	else
		apply(s, k, value ? value : "true");
}

/* Cut off what stands before a comma, two of which are one that does not
 * count. *@rest is then behind it, or NULL at the end. */
static char *next_part(char **rest)
{
	char *part = *rest, *from = part, *to = part;

	while (*from && (*from != ',' || from[1] == ',')) {
		from += *from == ',';
		*to++ = *from++;
	}
	*rest = *from ? from + 1 : NULL;
	*to = '\0';
	return part;
}

static void apply_group(struct reader *r, const struct config_key *k,
			const char *value)
{
	struct scope *s;
	char *text, *rest;
	bool front = true;

	*origin(&r->scopes[0], k) = (struct origin) { .given = true };
	s = add_element(r, k, &command_line);
	if (!s)
		return;
	text = text_copy(value, strlen(value));
	for (rest = text; rest; front = false)
		apply_part(s, next_part(&rest), front);
	free(text);
}

void config_apply_options(struct reader *r)
{
	for (size_t i = 0; i < r->options_nr; i++) {
		const struct option *o = &r->options[i];

		if (o->value == no_value)
			missing_value(r, o->key);
		else if (o->key->type == KEY_GROUP)
			apply_group(r, o->key, o->value);
		else
			apply(&r->scopes[0], o->key, o->value);
	}
}
