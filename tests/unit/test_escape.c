/* Ctrl-A commands: what reaches the guest, and what does not. */
#include "unit.h"

#include <belfry/escape.h>

#include <string.h>

#define A "\x01"

START_TEST(sequences)
{
	/* One letter an action, in the order they happen; '.': ESCAPE_NONE. */
	static const struct {
		const char *in, *actions, *passed;
	} rows[] = {
		{ "abc", "ppp", "abc" },
		{ "x", "p", "x" },
		{ A, ".", "" },
		{ A "x", ".q", "" },
		{ A "c", ".s", "" },
		{ A "h", ".h", "" },
		{ A "?", ".h", "" },
		{ A "b", ".b", "" },
		{ A A, ".p", A },
		{ A A "x", ".pp", A "x" },
		{ A A A "x", ".p.q", A },
		{ A A A A "x", ".p.pp", A A "x" },
		{ A "zx", "..p", "x" }, /* no command: both are eaten */
		{ A "X", "..", "" },    /* commands are small letters */
		{ A "xx", ".qp", "x" }, /* one byte only is armed for */
		{ "a" A "cb" A "b", "p.sp.b", "ab" },
		{ "\x81x", "pp", "\x81x" }, /* not Ctrl-A's seven bits */
	};
	static const char letters[] = {
		[ESCAPE_NONE] = '.',   [ESCAPE_PASS] = 'p', [ESCAPE_QUIT] = 'q',
		[ESCAPE_STATUS] = 's', [ESCAPE_HELP] = 'h', [ESCAPE_BREAK] = 'b'
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char actions[16] = "", passed[16] = "";
		bool armed = false;
		size_t n = 0, p = 0;

		for (const char *c = rows[i].in; *c; c++) {
			enum escape_action a = escape_feed(&armed, (u8)*c);

			actions[n++] = letters[a];
			if (a == ESCAPE_PASS)
				passed[p++] = *c;
		}
		ck_assert_msg(!strcmp(actions, rows[i].actions), "row %zu: %s",
			      i, actions);
		ck_assert_str_eq(passed, rows[i].passed);
	}
}
END_TEST

START_TEST(every_byte)
{
	for (int i = 0; i < 256; i++) {
		bool armed = false;

		ck_assert_int_eq(escape_feed(&armed, (u8)i) == ESCAPE_PASS,
				 i != 1);
		ck_assert_int_eq(armed, i == 1);
		armed = true;
		ck_assert_int_eq(escape_feed(&armed, (u8)i) == ESCAPE_PASS,
				 i == 1);
		ck_assert_int_eq(armed, false);
	}
}
END_TEST

START_TEST(help_names_every_command)
{
	static const char *const commands[] = { "Ctrl-A h", "Ctrl-A x",
						"Ctrl-A c", "Ctrl-A b",
						"Ctrl-A Ctrl-A" };

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		ck_assert_msg(strstr(escape_help, commands[i]), "%s",
			      commands[i]);
}
END_TEST

UNIT_MAIN("escape", sequences, every_byte, help_names_every_command)
