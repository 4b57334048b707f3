/*
 * Any output, cut into any pieces: what is seen in it does not depend on the
 * pieces, and a hang is only ever seen after a panic.
 *
 * Input: which expression, how long the pieces are, the output.
 */
#include <belfry/watch.h>

#include <assert.h>
#include <string.h>

/* Of a longer line only parts are looked at, and pieces decide which. */
#define LINE_MAX_LEN 1024

static const char *const expressions[] = {
	NULL,  "login: ",    "^ok$", "(a|b)+c",
	"# $", "[0-9]{2,4}", "^x*y", "Kernel panic",
};

struct verdict {
	bool expected, panicked, hung;
};

static struct verdict verdict(const char *expect, const u8 *data, size_t size,
			      size_t piece)
{
	struct err e = { 0 };
	struct watch *w = watch_create(expect, &e);
	struct verdict v = { 0 };

	assert(w);
	for (size_t at = 0; at < size; at += piece) {
		watch_feed(w, data + at, MIN(piece, size - at));
		/* What was seen stays seen. */
		assert(watch_expected(w) >= v.expected);
		assert(watch_panicked(w) >= v.panicked);
		v = (struct verdict) { watch_expected(w), watch_panicked(w),
				       watch_hung(w) };
		assert(v.panicked || !v.hung);
	}
	watch_destroy(w);
	return v;
}

static bool has_long_line(const u8 *data, size_t size)
{
	size_t len = 0;

	for (size_t i = 0; i < size && len <= LINE_MAX_LEN; i++)
		len = data[i] == '\n' ? 0 : len + 1;
	return len > LINE_MAX_LEN;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	const char *expect;
	struct verdict pieces, whole;

	if (size < 3)
		return 0;
	expect = expressions[data[0] % ARRAY_SIZE(expressions)];
	pieces = verdict(expect, data + 2, size - 2, data[1] + 1u);
	whole = verdict(expect, data + 2, size - 2, size);
	if (has_long_line(data + 2, size - 2))
		return 0;
	assert(pieces.expected == whole.expected);
	assert(pieces.panicked == whole.panicked);
	assert(pieces.hung == whole.hung);
	return 0;
}
