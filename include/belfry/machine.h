/*
 * A whole guest: built from a configuration, run to its end, taken down.
 */
#ifndef BELFRY_MACHINE_H
#define BELFRY_MACHINE_H

#include <belfry/base.h>
#include <belfry/config.h>
#include <belfry/err.h>
#include <belfry/plan.h>

/* How a run ended. */
enum machine_end {
	END_FAILED,   /* it could not begin, or go on: the error says why */
	END_OFF,      /* the guest powered off */
	END_RESET,    /* the guest reset, and was not to be restarted */
	END_CRASHED,  /* kernel panic, or a state that cannot be run */
	END_EXPECTED, /* the expected text came */
	END_MISSED,   /* the guest ended before the expected text came */
	END_TIMEOUT,
	END_QUIT,   /* the operator's Ctrl-A x, nothing expected */
	END_SIGNAL, /* SIGINT, SIGTERM or SIGHUP */
};

/* What was lost so far, each by its index in the configuration. */
struct machine_losses {
	u64 drive_errors[CONFIG_DRIVES_MAX]; /* requests the host failed */
	u64 net_dropped[CONFIG_NETS_MAX];    /* frames */
};

/* A vector that the host's kernel has put a message for into a device. */
struct machine_vector {
	u32 vector;
	u64 guest;  /* the address that the guest wrote; 0: none */
	u64 kernel; /* that which the kernel did */
	u64 is;     /* that which the device had last */
};

/* A passed-through device at the end of a run. */
struct machine_vfio {
	const char *doorbell; /* the mode's name */
	u32 vectors;          /* that it has */
	u64 rewrites, verified, strays, lost, resets, errors;
	/* Owned by the outcome; NULL: none, or no memory for it. */
	struct machine_vector *vector;
	u32 vector_nr;
};

struct machine_outcome {
	enum machine_end end;
	bool refused; /* END_FAILED because of what the operator gave */
	bool started; /* the guest ran at all: a failure came later */
	int signal;   /* END_SIGNAL */
	u64 setup_ns; /* program start to the guest's first instruction */
	u64 boot_ns;  /* from there to the expected text; 0 if none came */
	u64 run_ns;   /* from there to the end */
	u64 resets;
	u64 exits, mmio_exits;       /* with config json_status; else 0 */
	u64 console_out, console_in; /* bytes */
	u64 guest_faults; /* what the guest did that nothing answers */
	struct machine_losses losses;
	u64 its_commands, its_batches; /* kvm_its_counts */
	/* Of the guest's SMMUs: commands, and calls of the host's for them. */
	u64 smmu_commands, smmu_batches, smmu_events;
	struct machine_vfio vfio[CONFIG_VFIOS_MAX];
};

/*
 * Run an opened plan; closes it. The calling thread becomes the event loop, and
 * stays sandboxed if the configuration says so: call once, then only report and
 * exit. @start_ns: CLOCK_MONOTONIC when the program began.
 * END_FAILED comes with @e.
 */
void machine_run(struct plan *plan, u64 start_ns, struct machine_outcome *o,
		 struct err *e);
/* Free what it owns. */
void machine_outcome_fini(struct machine_outcome *o);

#endif
