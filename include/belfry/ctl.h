/*
 * The commands of the command line, and what their exit statuses say.
 */
#ifndef BELFRY_CTL_H
#define BELFRY_CTL_H

#include <belfry/base.h>
#include <belfry/config.h>
#include <belfry/machine.h>
#include <belfry/plan.h>

#define BELFRY_VERSION "0.1"

/* A promise to scripts: numbers never change their meaning. A signal that
 * ended Belfry is 128 and its number. */
enum status {
	STATUS_OK = 0,      /* guest off or expectation met; nothing wrong */
	STATUS_FAILED = 1,  /* Belfry or the host failed */
	STATUS_USAGE = 2,   /* bad command line or configuration */
	STATUS_HOST = 3,    /* the host lacks something */
	STATUS_RESET = 4,   /* guest reset, with no-reboot */
	STATUS_CRASHED = 5, /* kernel panic, or a state KVM cannot run */
	STATUS_TIMEOUT = 6,
	STATUS_MISSED = 7,  /* guest ended without the expected text */
	STATUS_SANDBOX = 8, /* Belfry made a forbidden system call */
};

/* What --help and the manual say of a status, or NULL. */
const char *status_meaning(unsigned status);

struct command {
	const char *name, *alias; /* alias: an option, or NULL */
	const char *args;         /* as in the synopsis */
	const char *help;
	int (*run)(int argc, char **argv); /* without the command's name */
	bool configured;                   /* takes a file and every key */
};

/* All, ending with one without a name. */
extern const struct command commands[];

/* By name or alias; NULL if there is none. */
const struct command *command_find(const char *name);

/* Say on standard error that there is no command @name (NULL: none was given)
 * and what may have been meant. Returns the exit status. */
int command_refuse(const char *name);

/*
 * Run a command, or print its help if an argument asks for that. Returns the
 * exit status, which is STATUS_FAILED too if standard output was not taken.
 */
int command_run(const struct command *cmd, int argc, char **argv);

/* Each takes what stands behind its name and returns an exit status. */
int cmd_run(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_fdt(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_help(int argc, char **argv);
int cmd_version(int argc, char **argv);

/* Help of one command, on standard output. */
void command_print_help(const struct command *cmd);

/*
 * What every configured command begins with: @c from its arguments. Prints all
 * faults and returns false if there are any; the status is then STATUS_USAGE.
 * The caller does config_fini either way.
 */
MUST_CHECK bool ctl_load(struct config *c, int argc, char **argv);

/* What many go on with: open the files that it names, and find what is passed
 * through. Prints all faults; the status is STATUS_HOST if they are all of what
 * is passed through. The caller does plan_close if it is STATUS_OK. */
MUST_CHECK enum status ctl_open(const struct config *c, struct plan *p);

/* Likewise, and decide where everything goes, as on a host that offers all
 * there is. */
MUST_CHECK enum status ctl_plan(const struct config *c, struct plan *p);

/* The exit status that a run's end is. */
int outcome_status(const struct machine_outcome *o);
/* The last words on standard error, for those who wait for something else. */
void outcome_say(const struct machine_outcome *o, const struct config *c,
		 const struct err *e);
/* One line of JSON, likewise. */
void outcome_print_json(const struct machine_outcome *o,
			const struct config *c);

/* Print all and drop them. True if there are none. */
bool ctl_print_faults(struct faults *f);

#endif
