/*
 * Small work on text that a person wrote: numbers with units, the nearest
 * known word, owned copies.
 */
#ifndef BELFRY_TEXT_H
#define BELFRY_TEXT_H

#include <belfry/base.h>

/*
 * The exact value of @s[0..len), a plain decimal ("12", "1.5": no sign, no
 * exponent), counted in @unit. -EINVAL if it is no such number, -EDOM if it is
 * not a whole number of units' parts, -ERANGE if it does not fit.
 */
MUST_CHECK int text_decimal(const char *s, size_t len, u64 unit, u64 *out);

/* As text_decimal, for "512M": K, M, G and T are powers of 1024. */
MUST_CHECK int text_size(const char *s, u64 *out);

/* The shortest spelling that text_size reads back, e.g. "512M". */
#define TEXT_SIZE_MAX 24
void text_print_size(char buf[static TEXT_SIZE_MAX], u64 bytes);

/* How many single-character edits make @b of @a. Only names are this short:
 * SIZE_MAX if either has more than 63 characters. */
size_t text_distance(const char *a, const char *b);

/* The known word nearest to what was written: set @word, try each candidate. */
struct text_nearest {
	const char *word;
	const char *best; /* NULL while none is near enough to be meant */
	size_t distance;
};

void text_nearest_try(struct text_nearest *n, const char *candidate);

/* Bytes of @s that make at most @max, never cutting a UTF-8 sequence. */
size_t text_cut(const char *s, size_t max);

/*
 * Owned text, never NULL. These are lines and file names at start-up, before
 * anything needs undoing: without memory for them the program aborts.
 */
char *text_copy(const char *s, size_t len);
PRINTF_LIKE(1, 2) char *text_format(const char *fmt, ...);

#endif
