#include <belfry/ctl.h>

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : NULL;
	const struct command *cmd = name ? command_find(name) : NULL;

	if (!cmd)
		return command_refuse(name);
	return command_run(cmd, argc - 2, argv + 2);
}
