#include <belfry/escape.h>

#define CTRL_A 0x01

const char escape_help[] = "Ctrl-A h  this help\n"
			   "Ctrl-A x  end the guest at once\n"
			   "Ctrl-A c  show the guest's status\n"
			   "Ctrl-A b  send a break (Magic SysRq)\n"
			   "Ctrl-A Ctrl-A  send Ctrl-A\n";

enum escape_action escape_feed(bool *armed, u8 byte)
{
	if (!*armed) {
		*armed = byte == CTRL_A;
		return *armed ? ESCAPE_NONE : ESCAPE_PASS;
	}
	*armed = false;
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
	default:
		return ESCAPE_NONE;
	}
}
