/*
 * Any input: what reaches the guest is what was typed, less the commands, as
 * a second reading of the rules has it.
 */
#include <belfry/escape.h>

#include <assert.h>

#define CTRL_A 0x01

static enum escape_action command(u8 byte)
{
	switch (byte) {
	case CTRL_A:
		return ESCAPE_PASS;
	case 'x':
		return ESCAPE_QUIT;
	case 'c':
		return ESCAPE_STATUS;
	case 'h':
	case '?':
		return ESCAPE_HELP;
	case 'b':
		return ESCAPE_BREAK;
	}
	return ESCAPE_NONE;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	bool armed = false;

	for (size_t i = 0; i < size; i++) {
		assert(!armed);
		if (data[i] != CTRL_A) {
			assert(escape_feed(&armed, data[i]) == ESCAPE_PASS);
			continue;
		}
		assert(escape_feed(&armed, CTRL_A) == ESCAPE_NONE);
		assert(armed);
		if (++i < size)
			assert(escape_feed(&armed, data[i]) ==
			       command(data[i]));
	}
	return 0;
}
