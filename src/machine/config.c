/*
 * Reads a configuration: the file first, options over it, then what only the
 * whole can show. Goes on after every fault, so that all are found at once,
 * and remembers where each value stood, so that late faults have a place too.
 */
#include <belfry/config.h>
#include <belfry/json.h>
#include <belfry/text.h>

#include "config_keys.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* How much of a wrong value a message repeats. */
#define GIVEN_MAX 60

/* Stands for the value of an option that came without one. */
static const char no_value[] = "";

/* Where the value of a key came from: an option if at.line is 0. */
struct origin {
	bool given, refused;
	struct json_place at;
};

struct reader {
	struct config *c;
	struct faults *f;
	const char *path; /* of the file; NULL without one */
	const char *name; /* the same, for messages */
	bool parsed;      /* the file is JSON */
	struct origin from[CONFIG_KEYS];
	const char *options[CONFIG_KEYS]; /* values as given on the way */
};

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
	for (size_t i = 0; i < CONFIG_KEYS; i++) {
		const struct config_key *k = &config_keys[i];
		struct err e = { 0 };

		if (k->initial && config_key_set(k, c, k->initial, &e))
			assert(e.code == 0);
	}
}

void config_fini(struct config *c)
{
	free(c->kernel);
	free(c->initrd);
	free(c->cmdline);
	free(c->console);
	free(c->expect);
	*c = (struct config) { 0 };
}

static struct origin *origin(struct reader *r, const struct config_key *k)
{
	return &r->from[k - config_keys];
}

/* A fault of @k's value, with the place that the value came from. */
PRINTF_LIKE(3, 4)
static void key_fault(struct reader *r, const struct config_key *k,
		      const char *fmt, ...)
{
	const struct json_place *at = &origin(r, k)->at;
	char *what;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&what, fmt, ap) < 0)
		abort();
	va_end(ap);
	if (at->line)
		faults_add(r->f, "%s:%u:%u: %s: %s", r->name, at->line,
			   at->column, k->name, what);
	else
		faults_add(r->f, "--%s: %s", k->name, what);
	free(what);
}

static const struct config_key *key_called(const char *name)
{
	const struct config_key *near;

	return config_key_find(name, &near);
}

/* @given @why: "\"0\" is too small". */
static void value_fault(struct reader *r, const struct config_key *k,
			const char *given, const char *quote, const char *why)
{
	char allowed[ALLOWED_MAX];
	size_t len = text_cut(given, GIVEN_MAX);

	origin(r, k)->refused = true;
	config_key_allowed(k, allowed);
	key_fault(r, k, "%s%.*s%s%s %s; allowed: %s", quote, (int)len, given,
		  given[len] ? "..." : "", quote, why, allowed);
}

/* A relative path in the file starts where the file is. */
static char *beside_file(const struct reader *r, const struct config_key *k,
			 const char *text)
{
	const char *slash = strrchr(r->path, '/');

	if ((k->type != KEY_FILE && k->type != KEY_OUTPUT) || !slash ||
	    *text == '/' || !*text)
		return text_copy(text, strlen(text));
	return text_format("%.*s%s", (int)(slash + 1 - r->path), r->path, text);
}

static void read_value(struct reader *r, const struct config_key *k,
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
		value_fault(r, k, shown, quote, kinds[n->kind].is);
		return;
	}
	text = beside_file(r, k, n->text);
	if (config_key_set(k, r->c, text, &e))
		value_fault(r, k, shown, quote, e.msg);
	free(text);
}

static void read_member(struct reader *r, const struct json_node *n)
{
	const struct config_key *near;
	const struct config_key *k = config_key_find(n->key, &near);
	const struct json_place *at = &n->key_at;
	struct origin *from;

	if (!k) {
		faults_add(r->f, "%s:%u:%u: %.*s: no such key; %s%s%s", r->name,
			   at->line, at->column,
			   (int)text_cut(n->key, GIVEN_MAX), n->key,
			   near ? "did you mean \"" : "belfry run --help",
			   near ? near->name : "",
			   near ? "\"?" : " lists them");
		return;
	}
	from = origin(r, k);
	if (from->given) {
		faults_add(r->f,
			   "%s:%u:%u: %s: given again, after line %u; keep one",
			   r->name, at->line, at->column, k->name,
			   from->at.line);
		return;
	}
	*from = (struct origin) { .given = true, .at = n->at };
	read_value(r, k, n);
}

static void read_tree(struct reader *r, const struct json_node *root)
{
	r->parsed = true;
	if (root->kind != JSON_IS_OBJECT) {
		faults_add(r->f,
			   "%s:%u:%u: a configuration is an object: "
			   "{ \"kernel\": \"Image\" }",
			   r->name, root->at.line, root->at.column);
		return;
	}
	for (const struct json_node *n = root->child; n; n = n->next)
		read_member(r, n);
}

static void read_file(struct reader *r)
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

/* The row of "--key" or "--key=value"; *@value is NULL without one. */
static const struct config_key *
find_option(const char *arg, const struct config_key **near, const char **value)
{
	size_t dashes = strspn(arg, "-");
	size_t len = strcspn(arg + dashes, "=");
	char *name = text_copy(arg + dashes, len);
	const struct config_key *k = config_key_find(name, near);

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

/* Take the option at @argv[0]; returns how many arguments that was. */
static int read_option(struct reader *r, int argc, char **argv)
{
	const struct config_key *near, *k;
	const char *value, **option;
	const char *next =
		argc > 1 && strncmp(argv[1], "--", 2) ? argv[1] : NULL;

	k = find_option(argv[0], &near, &value);
	if (!k) {
		faults_add(r->f, "%.*s: no such option; %s%s%s",
			   (int)strcspn(argv[0], "="), argv[0],
			   near ? "did you mean --" : "belfry run --help",
			   near ? near->name : "", near ? "?" : " lists them");
		return !value && next && belongs(next, near) ? 2 : 1;
	}
	option = &r->options[k - config_keys];
	if (*option)
		faults_add(r->f, "--%s: given twice; keep one", k->name);
	if (k->type == KEY_FLAG || value) {
		*option = value ? value : "true";
		return 1;
	}
	*option = next ? next : no_value;
	return next ? 2 : 1;
}

static void read_args(struct reader *r, int argc, char **argv)
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
	origin(r, k)->refused = true;
	key_fault(r, k,
		  "has no value; write --%s %s, or --%s=%s if the value "
		  "begins with --",
		  k->name, k->arg, k->name, k->arg);
}

static void apply_options(struct reader *r)
{
	for (size_t i = 0; i < CONFIG_KEYS; i++) {
		const struct config_key *k = &config_keys[i];
		const char *value = r->options[i];
		struct err e;

		if (!value)
			continue;
		r->from[i] = (struct origin) { .given = true };
		if (value == no_value)
			missing_value(r, k);
		else if (config_key_set(k, r->c, value, &e))
			value_fault(r, k, value, "\"", e.msg);
	}
}

static void check_file(struct reader *r, const struct config_key *k,
		       const char *path)
{
	struct stat st;

	if (stat(path, &st))
		key_fault(r, k, "cannot find %s: %s", path, strerror(errno));
	else if (S_ISDIR(st.st_mode))
		key_fault(r, k, "%s is a directory; name a file in it", path);
	else if (!S_ISREG(st.st_mode))
		key_fault(r, k, "%s is no regular file; copy it into one",
			  path);
	else if (access(path, R_OK))
		key_fault(r, k, "cannot read %s: %s", path, strerror(errno));
}

/* 0 if a file can be created where @path says, else an errno. */
static int access_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash ? text_copy(path, (size_t)(slash + 1 - path))
			  : text_copy(".", 1);
	int why = access(dir, W_OK | X_OK) ? errno : 0;

	free(dir);
	return why;
}

/* Something that exists and can be written, or a place to create it. */
static void check_output(struct reader *r, const struct config_key *k,
			 const char *path)
{
	struct stat st;
	int why = stat(path, &st) ? errno : 0;

	if (why == ENOENT) {
		why = access_directory(path);
		if (why)
			key_fault(r, k, "cannot create %s: %s", path,
				  strerror(why));
		return;
	}
	if (!why && S_ISDIR(st.st_mode))
		why = EISDIR;
	else if (!why && access(path, W_OK))
		why = errno;
	if (why)
		key_fault(r, k, "cannot write %s: %s", path, strerror(why));
}

static void check_paths(struct reader *r)
{
	for (size_t i = 0; i < CONFIG_KEYS; i++) {
		const struct config_key *k = &config_keys[i];
		const char *path;

		if ((k->type != KEY_FILE && k->type != KEY_OUTPUT) ||
		    origin(r, k)->refused)
			continue;
		path = *(char **)((char *)r->c + k->offset);
		if (path && k->type == KEY_FILE)
			check_file(r, k, path);
		else if (path)
			check_output(r, k, path);
	}
}

/* What only the whole can show. */
static void check_whole(struct reader *r)
{
	const struct config_key *kernel = key_called("kernel");
	const struct config_key *memory = key_called("memory");

	/* In a file that could not be read there may be one. */
	if (!origin(r, kernel)->given && (!r->path || r->parsed))
		faults_add(r->f,
			   "%s%skernel: missing; name an arm64 Linux "
			   "kernel to boot",
			   r->path ? r->name : "--", r->path ? ": " : "");
	check_paths(r);
	if (r->c->memory_backing == BACKING_HUGETLB_1G && r->c->memory % GIB &&
	    !origin(r, memory)->refused)
		key_fault(r, memory,
			  "is not a multiple of 1G; "
			  "hugetlb-1G needs that");
}

bool config_load(struct config *c, int argc, char **argv, struct faults *f)
{
	struct reader r = { .c = c, .f = f };
	size_t before = f->nr;

	read_args(&r, argc, argv);
	if (r.path)
		read_file(&r);
	apply_options(&r);
	check_whole(&r);
	return f->nr == before;
}
