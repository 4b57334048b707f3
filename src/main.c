#include <belfry/ctl.h>

#include <fcntl.h>
#include <unistd.h>

/*
 * A closed standard descriptor would be the next file we open: the guest's
 * kernel read as keyboard input, messages written into its disk.
 */
static void fill_standard_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			_exit(STATUS_FAILED);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : NULL;
	const struct command *cmd = name ? command_find(name) : NULL;

	fill_standard_descriptors();
	if (!cmd)
		return command_refuse(name);
	return command_run(cmd, argc - 2, argv + 2);
}
