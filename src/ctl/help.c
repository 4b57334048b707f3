#include <belfry/ctl.h>
#include <belfry/log.h>

#include <stdio.h>

static const char *const meanings[] = {
	[STATUS_OK] =
		"the guest powered off, showed what was expected, or was quit",
	[STATUS_FAILED] = "Belfry or the host failed",
	[STATUS_USAGE] = "bad command line or configuration",
	[STATUS_HOST] = "the host lacks something that is needed",
	[STATUS_RESET] = "the guest reset, and --no-reboot was given",
	[STATUS_CRASHED] = "the guest crashed",
	[STATUS_TIMEOUT] = "the timeout passed",
	[STATUS_MISSED] = "the guest ended without what was expected",
	[STATUS_SANDBOX] = "Belfry made a system call that its sandbox forbids",
};

const char *status_meaning(unsigned status)
{
	return status < ARRAY_SIZE(meanings) ? meanings[status] : NULL;
}

static void print_statuses(void)
{
	printf("\nExit statuses:\n");
	for (unsigned i = 0; status_meaning(i); i++)
		printf("  %-6u %s\n", i, status_meaning(i));
	printf("  128+N  signal N ended Belfry\n");
}

static void print_escapes(void)
{
	printf("\nIn the input, while the guest runs:\n"
	       "  Ctrl-A x       quit\n"
	       "  Ctrl-A c       status\n"
	       "  Ctrl-A b       break (Magic SysRq)\n"
	       "  Ctrl-A h       help\n"
	       "  Ctrl-A Ctrl-A  send one Ctrl-A to the guest\n");
}

void command_print_help(const struct command *cmd)
{
	printf("usage: belfry %s%s%s\n%s\n", cmd->name, *cmd->args ? " " : "",
	       cmd->args, cmd->help);
	if (!cmd->configured)
		return;
	printf("\nFILE is a JSON object (-: standard input); options override "
	       "it.\nWhat is --memory 512M here is \"memory\": \"512M\" there, "
	       "and --drive a.img,readonly\nis \"drive\": [ { \"path\": "
	       "\"a.img\", \"readonly\": true } ]. Each --drive and --net here\n"
	       "adds one to those of FILE; a comma in a value is written "
	       "twice.\n\n");
	config_print_help(stdout);
	print_escapes();
	print_statuses();
}

int cmd_help(int argc, char **argv)
{
	const struct command *cmd;

	if (argc > 0) {
		cmd = command_find(argv[0]);
		if (!cmd)
			return command_refuse(argv[0]);
		command_print_help(cmd);
		return STATUS_OK;
	}
	printf("usage: belfry COMMAND [ARGUMENT]...\n"
	       "A minimal arm64 microVM monitor.\n\n");
	for (cmd = commands; cmd->name; cmd++)
		printf("  %-8s %-24s %s\n", cmd->name, cmd->args, cmd->help);
	printf("\nbelfry COMMAND --help says more; the manual is belfry(1).\n");
	print_escapes();
	print_statuses();
	return STATUS_OK;
}

int cmd_version(int argc, char **argv)
{
	if (argc > 0) {
		log_error("version: takes no argument, not %s", argv[0]);
		return STATUS_USAGE;
	}
	printf("belfry %s\n", BELFRY_VERSION);
	return STATUS_OK;
}
