#include <belfry/text.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_LEN 63

/* Digits after the point that are kept exactly; nobody writes more. */
#define DECIMALS_MAX 9

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Digits at @s into @out. How many there were, or -ERANGE. */
static int digits(const char *s, size_t len, u64 *out)
{
	size_t i;

	*out = 0;
	for (i = 0; i < len && is_digit(s[i]); i++)
		if (__builtin_mul_overflow(*out, 10, out) ||
		    __builtin_add_overflow(*out, (u64)(s[i] - '0'), out))
			return -ERANGE;
	return (int)i;
}

/* The digits after the point, as that part of @unit. */
static int fraction(const char *s, size_t len, u64 unit, u64 *out)
{
	unsigned __int128 part;
	u64 num, den = 1;
	int n;

	while (len > 1 && s[len - 1] == '0')
		len--;
	n = digits(s, len, &num);
	if (n == 0 || (n > 0 && (size_t)n != len))
		return -EINVAL;
	if (n < 0 || n > DECIMALS_MAX)
		return -EDOM;
	while (n-- > 0)
		den *= 10;
	part = (unsigned __int128)num * unit;
	if (part % den)
		return -EDOM;
	*out = (u64)(part / den);
	return 0;
}

int text_decimal(const char *s, size_t len, u64 unit, u64 *out)
{
	u64 whole, part = 0;
	int n = digits(s, len, &whole);
	int ret;

	if (n <= 0)
		return n ? n : -EINVAL;
	if ((size_t)n < len) {
		if (s[n] != '.')
			return -EINVAL;
		ret = fraction(s + n + 1, len - (size_t)n - 1, unit, &part);
		if (ret)
			return ret;
	}
	if (__builtin_mul_overflow(whole, unit, &whole) ||
	    __builtin_add_overflow(whole, part, out))
		return -ERANGE;
	return 0;
}

int text_size(const char *s, u64 *out)
{
	static const char units[] = "KkMmGgTt";
	size_t len = strlen(s);
	const char *unit = len ? strchr(units, s[len - 1]) : NULL;

	if (!unit)
		return text_decimal(s, len, 1, out);
	return text_decimal(s, len - 1, KIB << (unit - units) / 2 * 10, out);
}

void text_print_size(char buf[static TEXT_SIZE_MAX], u64 bytes)
{
	static const char *const units[] = { "", "K", "M", "G", "T" };
	size_t unit = 0;

	while (bytes && unit + 1 < ARRAY_SIZE(units) && bytes % KIB == 0) {
		bytes /= KIB;
		unit++;
	}
	snprintf(buf, TEXT_SIZE_MAX, "%llu%s", (unsigned long long)bytes,
		 units[unit]);
}

/* Levenshtein's distance, a row of the matrix at a time. */
size_t text_distance(const char *a, const char *b)
{
	size_t row[NAME_MAX_LEN + 1];
	size_t len = strlen(b);

	if (strlen(a) > NAME_MAX_LEN || len > NAME_MAX_LEN)
		return SIZE_MAX;
	for (size_t j = 0; j <= len; j++)
		row[j] = j;
	for (size_t i = 1; *a; i++, a++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= len; j++) {
			size_t swap = diagonal + (*a != b[j - 1]);
			size_t edit = MIN(row[j], row[j - 1]) + 1;

			diagonal = row[j];
			row[j] = MIN(swap, edit);
		}
	}
	return row[len];
}

void text_nearest_try(struct text_nearest *n, const char *candidate)
{
	size_t distance = text_distance(n->word, candidate);
	size_t len = MAX(strlen(n->word), strlen(candidate));

	/* With more than half of it different, another word was meant. */
	if (distance > len / 2 || (n->best && distance >= n->distance))
		return;
	n->best = candidate;
	n->distance = distance;
}

size_t text_cut(const char *s, size_t max)
{
	size_t len = strnlen(s, max + 1);

	if (len <= max)
		return len;
	while (max && ((u8)s[max] & 0xc0) == 0x80)
		max--;
	return max;
}

char *text_copy(const char *s, size_t len)
{
	char *copy = strndup(s, len);

	if (!copy)
		abort();
	return copy;
}

char *text_format(const char *fmt, ...)
{
	char *text;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		abort();
	return text;
}
