#include <belfry/ctl.h>
#include <belfry/machine.h>
#include <belfry/sandbox.h>
#include <belfry/tty.h>

#include <time.h>

int cmd_run(int argc, char **argv)
{
	struct machine_outcome o;
	struct timespec start;
	struct err e = { 0 };
	struct config c;
	struct plan p;
	int status = STATUS_USAGE;

	clock_gettime(CLOCK_MONOTONIC, &start);
	sandbox_on_violation(STATUS_SANDBOX, tty_restore);
	if (ctl_load(&c, argc, argv))
		status = ctl_open(&c, &p);
	if (status == STATUS_OK) {
		machine_run(&p,
			    (u64)start.tv_sec * 1000000000 + (u64)start.tv_nsec,
			    &o, &e);
		status = outcome_status(&o);
		outcome_say(&o, &c, &e);
		if (c.json_status)
			outcome_print_json(&o, &c);
		machine_outcome_fini(&o);
	}
	config_fini(&c);
	return status;
}
