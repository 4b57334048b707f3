#include <belfry/json.h>
#include <belfry/text.h>

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Numbers stay text, so that none is too big here; any value may be a root. */
#define FLAGS (JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL)

/* Where in a text that has no fault we are. */
struct scan {
	const char *p; /* ends with a NUL */
	struct json_place at;
};

static void step(struct scan *s)
{
	if (*s->p++ == '\n')
		s->at = (struct json_place) { s->at.line + 1, 1 };
	else if (((u8)*s->p & 0xc0) != 0x80)
		s->at.column++;
}

/* What separates says nothing that the brackets and keys do not. */
static void skip_separators(struct scan *s)
{
	while (*s->p && strchr(" \t\r\n,:", *s->p))
		step(s);
}

/* Step over a string with its quotes, or a word up to what ends it. */
static void skip_token(struct scan *s)
{
	if (*s->p != '"') {
		while (*s->p && !strchr(" \t\r\n,:]}", *s->p))
			step(s);
		return;
	}
	for (step(s); *s->p != '"'; step(s))
		if (*s->p == '\\')
			step(s);
	step(s);
}

static char *decode_string(const char *token, size_t len)
{
	json_t *j = json_loadb(token, len, FLAGS, NULL);
	char *text;

	if (!j) /* its syntax was judged before: memory is gone */
		abort();
	text = text_copy(json_string_value(j), json_string_length(j));
	json_decref(j);
	return text;
}

static char *take_token(struct scan *s)
{
	const char *start = s->p;

	skip_token(s);
	if (*start == '"')
		return decode_string(start, (size_t)(s->p - start));
	return text_copy(start, (size_t)(s->p - start));
}

static enum json_kind kind_at(const char *p)
{
	switch (*p) {
	case '{':
		return JSON_IS_OBJECT;
	case '[':
		return JSON_IS_ARRAY;
	case '"':
		return JSON_IS_STRING;
	case 't':
	case 'f':
		return JSON_IS_BOOLEAN;
	case 'n':
		return JSON_IS_NULL;
	default:
		return JSON_IS_NUMBER;
	}
}

/* The recursion is as deep as jansson let the text be: 2048. */
static struct json_node *build(struct scan *s, bool has_key)
{
	struct json_node *n = calloc(1, sizeof(*n));
	struct json_node **end;
	char close;

	if (!n)
		abort();
	if (has_key) {
		n->key_at = s->at;
		n->key = take_token(s);
		skip_separators(s);
	}
	n->at = s->at;
	n->kind = kind_at(s->p);
	if (n->kind != JSON_IS_ARRAY && n->kind != JSON_IS_OBJECT) {
		n->text = take_token(s);
		return n;
	}
	close = n->kind == JSON_IS_ARRAY ? ']' : '}';
	end = &n->child;
	step(s);
	for (skip_separators(s); *s->p != close; skip_separators(s)) {
		*end = build(s, n->kind == JSON_IS_OBJECT);
		end = &(*end)->next;
	}
	step(s);
	return n;
}

void json_free(struct json_node *n)
{
	while (n) {
		struct json_node *next = n->next;

		json_free(n->child);
		free(n->key);
		free(n->text);
		free(n);
		n = next;
	}
}

/* jansson's words, where a person needs others. */
static const struct {
	const char *theirs, *ours;
} words[] = {
	{ "string or '}' expected", "a \"key\" or '}' expected" },
	{ "'}' expected", "',' or '}' expected" },
	{ "']' expected", "',' or ']' expected" },
	{ "\\u0000 is not allowed without JSON_ALLOW_NUL",
	  "\\u0000 is not allowed" },
	{ "unexpected token near end of file",
	  "a value is missing before the end of the file" },
	{ "invalid token near '\xef\xbb\xbf'",
	  "a byte order mark; save the file without it" },
};

/*
 * The offset of the token that jansson stumbled over. It counts the bytes it
 * took, the token included, and quotes the token only if it is short.
 */
static size_t fault_offset(const json_error_t *je)
{
	const char *near = strstr(je->text, " near '");
	size_t offset = (size_t)je->position;
	size_t token = near ? strlen(near) - strlen(" near ''") : 1;

	if (json_error_code(je) == json_error_invalid_utf8 ||
	    strstr(je->text, "near end of file") || token > offset)
		return offset;
	return offset - token;
}

static int syntax_fault(const char *text, size_t offset, const char *name,
			const char *what, struct err *e)
{
	struct scan s = { text, { 1, 1 } };
	const char *rest = "";

	while (s.p < text + offset)
		step(&s);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		size_t len = strlen(words[i].theirs);

		if (strncmp(what, words[i].theirs, len))
			continue;
		rest = what + len;
		what = words[i].ours;
		break;
	}
	return err_set(e, -EINVAL, "%s:%u:%u: %s%s", name, s.at.line,
		       s.at.column, what, rest);
}

int json_parse(const char *text, size_t len, const char *name,
	       struct json_node **root, struct err *e)
{
	const char *nul = memchr(text, '\0', len);
	struct scan s = { text, { 1, 1 } };
	json_error_t je;
	json_t *j;

	if (nul)
		return syntax_fault(text, (size_t)(nul - text), name,
				    "a NUL byte: this is no text", e);
	j = json_loadb(text, len, FLAGS, &je);
	if (!j)
		return syntax_fault(text, fault_offset(&je), name, je.text, e);
	json_decref(j);
	skip_separators(&s);
	*root = build(&s, false);
	return 0;
}

/* All of @fd, and a NUL behind it. */
static int read_all(int fd, char *buf, size_t size, size_t *len)
{
	*len = 0;
	while (*len < size) {
		ssize_t n = read(fd, buf + *len, size - *len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0) {
			buf[*len] = '\0';
			return 0;
		}
		*len += (size_t)n;
	}
	return -EFBIG;
}

int json_read(int fd, const char *name, struct json_node **root, struct err *e)
{
	/* Untouched pages cost nothing; a configuration fills the first. */
	char *text = malloc(JSON_FILE_MAX + 1);
	size_t len;
	int ret;

	if (!text)
		return err_set(e, -ENOMEM, "%s: no memory to read it", name);
	ret = read_all(fd, text, JSON_FILE_MAX + 1, &len);
	if (ret == -EFBIG)
		err_set(e, ret, "%s: more than 1 MiB: not a configuration",
			name);
	else if (ret)
		err_set(e, ret, "%s: cannot read: %s", name, strerror(-ret));
	else
		ret = json_parse(text, len, name, root, e);
	free(text);
	return ret;
}
