/*
 * What a value of each type may be: the only place that turns an operator's
 * text into a number, a word or a path.
 */
#include "config_keys.h"

#include <belfry/json.h>
#include <belfry/text.h>

#include <assert.h>
#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

static int check_bounds(const struct config_key *k, u64 v, struct err *e)
{
	char step[TEXT_SIZE_MAX];

	if (v < k->min)
		return err_set(e, -ERANGE, "is too small");
	if (v > k->max)
		return err_set(e, -ERANGE, "is too big");
	if (v % k->step) {
		text_print_size(step, k->step);
		return err_set(e, -EINVAL, "is not a multiple of %s", step);
	}
	return 0;
}

/* Why text_decimal refused @text, which should be @what, whole @parts of it. */
static int refuse_number(int ret, const char *text, const char *what,
			 const char *parts, struct err *e)
{
	if (*text == '-')
		return err_set(e, -ERANGE, "is negative");
	if (ret == -ERANGE)
		return err_set(e, ret, "is too big");
	return err_set(e, ret, "is not %s", ret == -EDOM ? parts : what);
}

static void replace(char **string, const char *text)
{
	free(*string);
	*string = text_copy(text, strlen(text));
}

static int set_path(const struct config_key *k, void *field, const char *text,
		    struct err *e)
{
	if (!*text)
		return err_set(e, -EINVAL, "is empty");
	replace(field, text);
	return 0;
}

static int set_string(const struct config_key *k, void *field, const char *text,
		      struct err *e)
{
	size_t len = strlen(text);

	if (len < k->min)
		return err_set(e, -EINVAL, "is empty");
	if (len > k->max)
		return err_set(e, -EINVAL, "is too long, with %zu bytes", len);
	replace(field, text);
	return 0;
}

static int set_regex(const struct config_key *k, void *field, const char *text,
		     struct err *e)
{
	char why[160];
	regex_t re;
	int ret;

	/* Its length first: regcomp recurses into what it is given. */
	ret = set_string(k, field, text, e);
	if (ret)
		return ret;
	ret = regcomp(&re, text, REG_EXTENDED | REG_NOSUB);
	if (ret) {
		regerror(ret, &re, why, sizeof(why));
		return err_set(e, -EINVAL, "does not compile: %s", why);
	}
	regfree(&re);
	return 0;
}

static int set_count(const struct config_key *k, void *field, const char *text,
		     struct err *e)
{
	u64 v;
	int ret = text_decimal(text, strlen(text), 1, &v);

	if (ret)
		return refuse_number(ret, text, "a plain number",
				     "a whole number", e);
	ret = check_bounds(k, v, e);
	if (!ret)
		*(u32 *)field = (u32)v;
	return ret;
}

static int set_size(const struct config_key *k, void *field, const char *text,
		    struct err *e)
{
	u64 v;
	int ret = text_size(text, &v);

	if (ret)
		return refuse_number(ret, text, "a size such as 512M or 4G",
				     "a whole number of bytes", e);
	ret = check_bounds(k, v, e);
	if (!ret)
		*(u64 *)field = v;
	return ret;
}

static int set_seconds(const struct config_key *k, void *field,
		       const char *text, struct err *e)
{
	u64 v;
	int ret = text_decimal(text, strlen(text), 1000, &v);

	if (ret)
		return refuse_number(ret, text, "a plain number",
				     "in whole milliseconds", e);
	ret = check_bounds(k, v, e);
	if (!ret)
		*(u64 *)field = v;
	return ret;
}

static int set_word(const struct config_key *k, void *field, const char *text,
		    struct err *e)
{
	for (unsigned i = 0; k->words[i]; i++) {
		if (strcmp(k->words[i], text))
			continue;
		*(unsigned *)field = i;
		return 0;
	}
	return err_set(e, -EINVAL, "is unknown");
}

static int set_flag(const struct config_key *k, void *field, const char *text,
		    struct err *e)
{
	bool v = !strcmp(text, "true");

	if (!v && strcmp(text, "false"))
		return err_set(e, -EINVAL, "is neither");
	*(bool *)field = v;
	return 0;
}

static void allow_path(const struct config_key *k, char *buf)
{
	strcpy(buf, "the path of a file");
}

static void allow_string(const struct config_key *k, char *buf)
{
	snprintf(buf, ALLOWED_MAX, "up to %u bytes of text", (unsigned)k->max);
}

static void allow_regex(const struct config_key *k, char *buf)
{
	snprintf(buf, ALLOWED_MAX,
		 "a POSIX extended regular expression of 1 to %u bytes",
		 (unsigned)k->max);
}

static void allow_count(const struct config_key *k, char *buf)
{
	snprintf(buf, ALLOWED_MAX, "a whole number from %u to %u",
		 (unsigned)k->min, (unsigned)k->max);
}

static void allow_size(const struct config_key *k, char *buf)
{
	char min[TEXT_SIZE_MAX], max[TEXT_SIZE_MAX], step[TEXT_SIZE_MAX];

	text_print_size(min, k->min);
	text_print_size(max, k->max);
	text_print_size(step, k->step);
	snprintf(buf, ALLOWED_MAX, "a multiple of %s from %s to %s", step, min,
		 max);
}

static void allow_seconds(const struct config_key *k, char *buf)
{
	snprintf(buf, ALLOWED_MAX,
		 "seconds, from 0.001 to %llu, to the millisecond",
		 (unsigned long long)k->max / 1000);
}

static void allow_word(const struct config_key *k, char *buf)
{
	size_t len = 0;

	for (unsigned i = 0; k->words[i] && len < ALLOWED_MAX; i++)
		len += (size_t)snprintf(buf + len, ALLOWED_MAX - len, "%s%s",
					i ? ", " : "", k->words[i]);
}

static void allow_flag(const struct config_key *k, char *buf)
{
	strcpy(buf, "true or false");
}

static const struct {
	size_t size;
	unsigned kinds;
	int (*set)(const struct config_key *k, void *field, const char *text,
		   struct err *e);
	void (*allow)(const struct config_key *k, char *buf);
} types[] = {
#define S BIT(JSON_IS_STRING)
#define N BIT(JSON_IS_NUMBER)
#define B BIT(JSON_IS_BOOLEAN)
	[KEY_FILE] = { sizeof(char *), S, set_path, allow_path },
	[KEY_OUTPUT] = { sizeof(char *), S, set_path, allow_path },
	[KEY_STRING] = { sizeof(char *), S, set_string, allow_string },
	[KEY_REGEX] = { sizeof(char *), S, set_regex, allow_regex },
	[KEY_COUNT] = { sizeof(u32), N, set_count, allow_count },
	[KEY_SIZE] = { sizeof(u64), N | S, set_size, allow_size },
	[KEY_SECONDS] = { sizeof(u64), N, set_seconds, allow_seconds },
	[KEY_WORD] = { sizeof(unsigned), S, set_word, allow_word },
	[KEY_FLAG] = { sizeof(bool), B, set_flag, allow_flag },
#undef S
#undef N
#undef B
};

unsigned config_key_kinds(const struct config_key *k)
{
	return types[k->type].kinds;
}

void config_key_allowed(const struct config_key *k,
			char buf[static ALLOWED_MAX])
{
	types[k->type].allow(k, buf);
}

int config_key_set(const struct config_key *k, struct config *c,
		   const char *text, struct err *e)
{
	assert(k->size == types[k->type].size);
	return types[k->type].set(k, (char *)c + k->offset, text, e);
}
