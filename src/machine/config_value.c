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

static int check_length(const struct config_key *k, const char *text,
			struct err *e)
{
	size_t len = strlen(text);

	if (len < k->min)
		return err_set(e, -EINVAL, "is empty");
	if (len > k->max)
		return err_set(e, -EINVAL, "is too long, with %zu bytes", len);
	return 0;
}

static int set_string(const struct config_key *k, void *field, const char *text,
		      struct err *e)
{
	int ret = check_length(k, text, e);

	if (!ret)
		replace(field, text);
	return ret;
}

static int set_serial(const struct config_key *k, void *field, const char *text,
		      struct err *e)
{
	for (const char *p = text; *p; p++)
		if ((u8)*p < ' ' || *p == 0x7f)
			return err_set(e, -EINVAL, "has a control character");
	return set_string(k, field, text, e);
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

/* What the kernel takes (dev_valid_name), but no pattern that it fills in. */
static int set_netif(const struct config_key *k, void *field, const char *text,
		     struct err *e)
{
	int ret = check_length(k, text, e);

	if (ret)
		return ret;
	if (!strcmp(text, ".") || !strcmp(text, "..") ||
	    strpbrk(text, "/:% \t\n\v\f\r"))
		return err_set(e, -EINVAL, "is no interface's name");
	replace(field, text);
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

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One or two hexadecimal digits at *@text, and step over them; or -1. */
static int hex_byte(const char **text)
{
	int v = hex_digit(**text);
	int low;

	if (v < 0)
		return -1;
	low = hex_digit(*++*text);
	if (low < 0)
		return v;
	++*text;
	return v << 4 | low;
}

static int set_mac(const struct config_key *k, void *field, const char *text,
		   struct err *e)
{
	static const u8 zero[6];
	u8 mac[6];

	for (size_t i = 0; i < sizeof(mac); i++) {
		int v = hex_byte(&text);

		if (v < 0 || *text != (i + 1 < sizeof(mac) ? ':' : '\0'))
			return err_set(e, -EINVAL, "is no MAC address");
		mac[i] = (u8)v;
		text++;
	}
	if (mac[0] & 1)
		return err_set(e, -EINVAL, "is a multicast address");
	if (!memcmp(mac, zero, sizeof(mac)))
		return err_set(e, -EINVAL, "is all zero");
	memcpy(field, mac, sizeof(mac));
	return 0;
}

/* "[BUS:]DEV[.FN]", or "auto". */
static int set_bdf(const struct config_key *k, void *field, const char *text,
		   struct err *e)
{
	int bus = 0, dev, fn = 0;

	if (!strcmp(text, "auto")) {
		*(u32 *)field = CONFIG_BDF_AUTO;
		return 0;
	}
	dev = hex_byte(&text);
	if (*text == ':') {
		text++;
		bus = dev;
		dev = hex_byte(&text);
	}
	if (*text == '.') {
		text++;
		fn = hex_byte(&text);
	}
	if (*text || bus < 0 || dev < 0 || fn < 0)
		return err_set(e, -EINVAL, "is no place on a bus");
	if (bus)
		return err_set(e, -ERANGE, "is not on bus 00, the only one");
	if (dev > 31)
		return err_set(e, -ERANGE, "has a device number above 1f");
	if (fn > 7)
		return err_set(e, -ERANGE, "has a function above 7");
	*(u32 *)field = (u32)(dev << 3 | fn);
	return 0;
}

/* One to @digits hexadecimal digits and @end at *@text, and step over them. */
static bool take_hex(const char **text, u32 digits, char end, u32 *v)
{
	const char *p = *text;

	for (*v = 0; hex_digit(*p) >= 0 && p - *text < digits; p++)
		*v = *v << 4 | (u32)hex_digit(*p);
	if (p == *text || *p != end)
		return false;
	*text = p + 1;
	return true;
}

/* "[DOMAIN:]BUS:DEV.FN", kept as Linux writes it: one function, one name. */
static int set_pci(const struct config_key *k, void *field, const char *text,
		   struct err *e)
{
	const char *colon = strchr(text, ':');
	bool has_domain = colon && strchr(colon + 1, ':');
	u32 domain = 0, bus, dev, fn;
	char *name;

	if ((has_domain && !take_hex(&text, 8, ':', &domain)) ||
	    !take_hex(&text, 2, ':', &bus) || !take_hex(&text, 2, '.', &dev) ||
	    !take_hex(&text, 1, '\0', &fn))
		return err_set(e, -EINVAL, "is no PCI function's address");
	if (dev > 31)
		return err_set(e, -ERANGE, "has a device number above 1f");
	if (fn > 7)
		return err_set(e, -ERANGE, "has a function above 7");
	name = text_format("%04x:%02x:%02x.%x", domain, bus, dev, fn);
	replace(field, name);
	free(name);
	return 0;
}

static void allow_path(const struct config_key *k, char *buf)
{
	strcpy(buf, "the path of a file");
}

static void allow_string(const struct config_key *k, char *buf)
{
	if (k->min)
		snprintf(buf, ALLOWED_MAX, "%u to %u bytes of text",
			 (unsigned)k->min, (unsigned)k->max);
	else
		snprintf(buf, ALLOWED_MAX, "up to %u bytes of text",
			 (unsigned)k->max);
}

static void allow_serial(const struct config_key *k, char *buf)
{
	snprintf(buf, ALLOWED_MAX,
		 "%u to %u bytes of text without control characters",
		 (unsigned)k->min, (unsigned)k->max);
}

static void allow_regex(const struct config_key *k, char *buf)
{
	snprintf(buf, ALLOWED_MAX,
		 "a POSIX extended regular expression of 1 to %u bytes",
		 (unsigned)k->max);
}

static void allow_netif(const struct config_key *k, char *buf)
{
	snprintf(buf, ALLOWED_MAX,
		 "a network interface's name of %u to %u bytes",
		 (unsigned)k->min, (unsigned)k->max);
}

static void allow_count(const struct config_key *k, char *buf)
{
	snprintf(buf, ALLOWED_MAX, "a whole number from %u to %u",
		 (unsigned)k->min, (unsigned)k->max);
}

static void allow_fd(const struct config_key *k, char *buf)
{
	snprintf(buf, ALLOWED_MAX, "the number of an open descriptor, from %u",
		 (unsigned)k->min);
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

static void allow_mac(const struct config_key *k, char *buf)
{
	strcpy(buf, "an address such as 52:54:00:12:34:56");
}

static void allow_bdf(const struct config_key *k, char *buf)
{
	strcpy(buf,
	       "as lspci prints it, 00:04.0, or 4.0, or 4; auto: the first free");
}

static void allow_pci(const struct config_key *k, char *buf)
{
	strcpy(buf, "as lspci -D prints it, 0000:01:00.0, or 01:00.0");
}

static void allow_group(const struct config_key *k, char *buf)
{
	snprintf(buf, ALLOWED_MAX,
		 "an object such as { \"%s\": ... }, or an array of up to %u",
		 k->keys->name, k->most);
}

static const struct {
	size_t size;
	unsigned kinds;
	int (*set)(const struct config_key *k, void *field, const char *text,
		   struct err *e);
	void (*allow)(const struct config_key *k, char *buf);
	bool owned; /* the field is a string of ours */
} types[] = {
#define S BIT(JSON_IS_STRING)
#define N BIT(JSON_IS_NUMBER)
#define B BIT(JSON_IS_BOOLEAN)
#define O BIT(JSON_IS_OBJECT)
	[KEY_FILE] = { sizeof(char *), S, set_path, allow_path, true },
	[KEY_OUTPUT] = { sizeof(char *), S, set_path, allow_path, true },
	[KEY_DISK] = { sizeof(char *), S, set_path, allow_path, true },
	[KEY_STRING] = { sizeof(char *), S, set_string, allow_string, true },
	[KEY_SERIAL] = { sizeof(char *), S, set_serial, allow_serial, true },
	[KEY_REGEX] = { sizeof(char *), S, set_regex, allow_regex, true },
	[KEY_NETIF] = { sizeof(char *), S, set_netif, allow_netif, true },
	[KEY_COUNT] = { sizeof(u32), N, set_count, allow_count, false },
	[KEY_FD] = { sizeof(int), N, set_count, allow_fd, false },
	[KEY_SIZE] = { sizeof(u64), N | S, set_size, allow_size, false },
	[KEY_SECONDS] = { sizeof(u64), N, set_seconds, allow_seconds, false },
	[KEY_WORD] = { sizeof(unsigned), S, set_word, allow_word, false },
	[KEY_FLAG] = { sizeof(bool), B, set_flag, allow_flag, false },
	[KEY_MAC] = { 6, S, set_mac, allow_mac, false },
	[KEY_BDF] = { sizeof(u32), S, set_bdf, allow_bdf, false },
	[KEY_PCI] = { sizeof(char *), S, set_pci, allow_pci, true },
	[KEY_GROUP] = { 0, O, NULL, allow_group, false },
#undef O
#undef S
#undef N
#undef B
};

bool config_key_is_path(const struct config_key *k)
{
	return types[k->type].set == set_path;
}

unsigned config_key_kinds(const struct config_key *k)
{
	return types[k->type].kinds;
}

void config_key_allowed(const struct config_key *k,
			char buf[static ALLOWED_MAX])
{
	types[k->type].allow(k, buf);
}

static u32 *count_of(const struct config_key *k, void *base)
{
	return (void *)((char *)base + k->count);
}

void *config_key_add(const struct config_key *k, void *base)
{
	u32 *count = count_of(k, base);
	char *first = config_key_field(k, base);

	if (*count == k->most)
		return NULL;
	return memset(first + (*count)++ * k->size, 0, k->size);
}

int config_key_set(const struct config_key *k, void *base, const char *text,
		   struct err *e)
{
	void *field = config_key_field(k, base);
	int ret;

	assert(k->size == types[k->type].size);
	if (k->most) {
		field = config_key_add(k, base);
		if (!field)
			return err_set(e, -ENOSPC, "is one too many, after %u",
				       k->most);
	}
	ret = types[k->type].set(k, field, text, e);
	if (ret && k->most)
		--*count_of(k, base);
	return ret;
}

void config_keys_init(const struct config_key *keys, void *base)
{
	for (const struct config_key *k = keys; k->name; k++) {
		struct err e = { 0 };

		if (k->initial && config_key_set(k, base, k->initial, &e))
			assert(e.code == 0);
	}
}

static void free_group(const struct config_key *k, void *base)
{
	char *element = config_key_field(k, base);

	for (u32 i = 0; i < *count_of(k, base); i++)
		config_keys_fini(k->keys, element + i * k->size);
}

void config_keys_fini(const struct config_key *keys, void *base)
{
	for (const struct config_key *k = keys; k->name; k++)
		if (k->type == KEY_GROUP)
			free_group(k, base);
		else if (types[k->type].owned)
			free(*(char **)config_key_field(k, base));
}
