#include <belfry/ctl.h>
#include <belfry/log.h>
#include <belfry/text.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const struct command commands[] = {
	{ "run", NULL, "[FILE] [--KEY VALUE]...", "boot a guest", cmd_run,
	  true },
	{ "check", NULL, "[FILE] [--KEY VALUE]...",
	  "find all that is wrong with a configuration", cmd_check, true },
	{ "fdt", NULL, "[FILE] [--KEY VALUE]...",
	  "write the guest's device tree to standard output", cmd_fdt, true },
	{ "doctor", NULL, "[PCI-FUNCTION]",
	  "say what this host offers, or what keeps a function from a guest",
	  cmd_doctor, false },
	{ "help", "--help", "[COMMAND]", "print this, or help of a command",
	  cmd_help, false },
	{ "version", "--version", "", "print the version", cmd_version, false },
	{ 0 },
};

const struct command *command_find(const char *name)
{
	for (const struct command *cmd = commands; cmd->name; cmd++)
		if (!strcmp(cmd->name, name) ||
		    (cmd->alias && !strcmp(cmd->alias, name)))
			return cmd;
	return NULL;
}

int command_refuse(const char *name)
{
	struct text_nearest n = { .word = name };

	if (!name) {
		log_error("no command; belfry help lists them");
		return STATUS_USAGE;
	}
	for (const struct command *cmd = commands; cmd->name; cmd++)
		text_nearest_try(&n, cmd->name);
	if (n.best)
		log_error("%s: no such command; did you mean belfry %s?", name,
			  n.best);
	else if (!access(name, F_OK))
		log_error("%s: no command but a file; did you mean belfry run "
			  "%s?",
			  name, name);
	else
		log_error("%s: no such command; belfry help lists them", name);
	return STATUS_USAGE;
}

static bool wants_help(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return true;
	return false;
}

int command_run(const struct command *cmd, int argc, char **argv)
{
	int status = STATUS_OK;

	if (wants_help(argc, argv))
		command_print_help(cmd);
	else
		status = cmd->run(argc, argv);
	if (!fflush(stdout) && !ferror(stdout))
		return status;
	log_error("standard output: %s", strerror(errno));
	return status ? status : STATUS_FAILED;
}

bool ctl_print_faults(struct faults *f)
{
	bool none = !f->nr;

	for (size_t i = 0; i < f->nr; i++)
		log_error("%s", f->msg[i]);
	faults_fini(f);
	return none;
}

bool ctl_load(struct config *c, int argc, char **argv)
{
	struct faults f = { 0 };

	config_init(c);
	(void)!config_load(c, argc, argv, &f);
	return ctl_print_faults(&f);
}

enum status ctl_open(const struct config *c, struct plan *p)
{
	struct faults f = { 0 };
	enum status status = STATUS_OK;

	if (!plan_open(p, c, &f))
		status = STATUS_USAGE;
	if (!plan_find(p, "/sys", &f) && status == STATUS_OK) {
		status = STATUS_HOST;
		plan_close(p);
	}
	(void)!ctl_print_faults(&f);
	return status;
}

enum status ctl_plan(const struct config *c, struct plan *p)
{
	enum status status = ctl_open(c, p);
	struct err e = { 0 };

	if (status != STATUS_OK)
		return status;
	if (!plan_place(p, c->pmu != SWITCH_OFF, c->steal_time != SWITCH_OFF,
			&e))
		return STATUS_OK;
	plan_close(p);
	log_error("%s", e.msg);
	return STATUS_USAGE;
}
