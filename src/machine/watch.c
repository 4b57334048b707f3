#include <belfry/watch.h>

#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

/* A line is looked at as a whole up to here; of a longer one, its last half
 * with what follows. */
#define LINE_LEN 1024

/* What panic() of every Linux prints first, and last if it will not reboot. */
static const char panic_text[] = "Kernel panic - not syncing";
static const char hung_text[] = "---[ end Kernel panic - not syncing";

struct watch {
	regex_t expect;
	bool has_expect;
	bool expected, panicked, hung;
	bool cut; /* the line's beginning is gone */
	size_t len;
	size_t seen; /* of the line: already looked at, nothing found */
	char line[LINE_LEN + 1]; /* the regex wants an end */
};

struct watch *watch_create(const char *expect, struct err *e)
{
	struct watch *w = calloc(1, sizeof(*w));
	int bad;

	if (!w) {
		err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	if (!expect)
		return w;
	bad = regcomp(&w->expect, expect, REG_EXTENDED | REG_NOSUB);
	if (bad) {
		char why[128];

		regerror(bad, &w->expect, why, sizeof(why));
		err_set(e, -EINVAL, "expect: %s: %s", expect, why);
		free(w);
		return NULL;
	}
	w->has_expect = true;
	return w;
}

void watch_destroy(struct watch *w)
{
	if (!w)
		return;
	if (w->has_expect)
		regfree(&w->expect);
	free(w);
}

/* Past printk's "[    1.234567] " or, with caller ids, "[    1.234567][    T1]
 * ". */
static const char *skip_stamps(const char *s, const char *end)
{
	while (s < end && *s == '[') {
		const char *close = memchr(s, ']', (size_t)(end - s));

		if (!close)
			break;
		s = close + 1;
		if (s < end && *s == ' ')
			s++;
	}
	return s;
}

/*
 * Did printk put @text into the line? At its start, stamped or not; or behind a
 * stamp in its middle, where a program left a line of its own unfinished.
 */
static bool printed(const struct watch *w, const char *text)
{
	const char *end = w->line + w->len;
	const char *start = skip_stamps(w->line, end);
	const char *at = memmem(w->line, w->len, text, strlen(text));

	if (!at)
		return false;
	return (at == start && !w->cut) ||
	       (at >= w->line + 2 && at[-1] == ' ' && at[-2] == ']');
}

static void look_for_panic(struct watch *w)
{
	if (w->panicked && printed(w, hung_text))
		w->hung = true;
	else if (printed(w, panic_text))
		w->panicked = true;
}

/* The line so far; @whole if its end has come. */
static void look(struct watch *w, bool whole)
{
	if (whole)
		look_for_panic(w);
	if (!w->has_expect || w->expected || (!whole && w->seen == w->len))
		return;
	/* "$" means the end of a line, not wherever the output paused. */
	w->line[w->len] = '\0';
	w->expected =
		!regexec(&w->expect, w->line, 0, NULL,
			 (whole ? 0 : REG_NOTEOL) | (w->cut ? REG_NOTBOL : 0));
	w->seen = w->len;
}

static void newline(struct watch *w)
{
	while (w->len && w->line[w->len - 1] == '\r')
		w->len--;
	look(w, true);
	w->len = w->seen = 0;
	w->cut = false;
}

void watch_feed(struct watch *w, const u8 *buf, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (buf[i] == '\n') {
			newline(w);
			continue;
		}
		if (w->len == LINE_LEN) {
			look(w, false);
			w->len /= 2;
			w->seen = w->len;
			w->cut = true;
			memmove(w->line, w->line + LINE_LEN - w->len, w->len);
		}
		w->line[w->len++] = buf[i] ? (char)buf[i] : ' ';
	}
	look(w, false);
}

void watch_restart(struct watch *w)
{
	w->len = w->seen = 0;
	w->cut = false;
	w->panicked = w->hung = false;
}

bool watch_expected(const struct watch *w)
{
	return w->expected;
}

bool watch_panicked(const struct watch *w)
{
	return w->panicked;
}

bool watch_hung(const struct watch *w)
{
	return w->hung;
}
