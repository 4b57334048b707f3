/*
 * The commands that need arm64 and KVM, on a machine that is something else:
 * they check what they were told and say where it can run.
 */
#include <belfry/ctl.h>
#include <belfry/log.h>

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

/* One argument as a shell reads it back. */
static void print_quoted(FILE *out, const char *arg)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-_./=:,+@%";

	if (*arg && !arg[strspn(arg, plain)]) {
		fputs(arg, out);
		return;
	}
	fputc('\'', out);
	for (; *arg; arg++)
		if (*arg == '\'')
			fputs("'\\''", out);
		else
			fputc(*arg, out);
	fputc('\'', out);
}

static int point_to_lab(const char *command, int argc, char **argv)
{
	struct utsname host;

	uname(&host);
	log_error("%s needs an arm64 host with KVM, and this is %s; in the "
		  "lab, with Belfry's source tree:",
		  command, host.machine);
	fprintf(stderr, "tests/lab/belfry %s", command);
	for (int i = 0; i < argc; i++) {
		fputc(' ', stderr);
		print_quoted(stderr, argv[i]);
	}
	fputc('\n', stderr);
	return STATUS_HOST;
}

int cmd_run(int argc, char **argv)
{
	struct config c;
	int status = STATUS_USAGE;

	if (ctl_load(&c, argc, argv)) {
		status = point_to_lab("run", argc, argv);
		if (c.vfios_nr)
			log_info(
				"README.md says how that lab has devices to pass through");
	}
	config_fini(&c);
	return status;
}

int cmd_doctor(int argc, char **argv)
{
	return point_to_lab("doctor", argc, argv);
}
