/*
 * What the operator wants: one plain struct, filled from a JSON file, from the
 * command line, or both (the command line wins).
 *
 * One table (config_keys.c) describes every key: its name, type, limits, help
 * and default. The file's key `memory-backing` and the option
 * `--memory-backing` are the same row, so neither can say what the other
 * cannot. Nothing here opens the files it names for use, or knows KVM.
 */
#ifndef BELFRY_CONFIG_H
#define BELFRY_CONFIG_H

#include <belfry/base.h>
#include <belfry/err.h>

/* "on" insists (the run is refused where the host lacks it), "auto" takes it
 * where the host has it. */
enum config_switch {
	SWITCH_AUTO,
	SWITCH_ON,
	SWITCH_OFF,
};

enum config_backing {
	BACKING_THP,	    /* anonymous memory, transparent huge pages */
	BACKING_MEMFD,	    /* shared memory other processes can map */
	BACKING_HUGETLB,    /* the host's default huge page size */
	BACKING_HUGETLB_2M,
	BACKING_HUGETLB_1G,
};

enum config_seccomp {
	SECCOMP_ON,
	SECCOMP_LOG,
	SECCOMP_OFF,
};

/* Strings are owned by the config; NULL where not given. */
struct config {
	/* The guest. */
	char *kernel;	/* path; required to run */
	char *initrd;	/* path */
	char *cmdline;	/* never NULL after config_finish */
	u32 cpus;	/* 1..512 */
	u64 memory;	/* bytes, a multiple of 2 MiB */
	enum config_backing memory_backing;
	bool memory_prefault;
	enum config_switch sve, pauth, pmu, steal_time;

	/* The run. */
	char *console;	/* path: the guest's console is written there too */
	char *expect;	/* POSIX extended regex: seeing it ends the run well */
	u64 timeout_ms;	/* 0: none */
	bool no_reboot;	/* a guest reset ends the run */
	bool json_status;
	enum config_seccomp seccomp;
};

/*
 * Faults found so far, each a finished sentence with its place in front
 * ("vm.json:3:9: cpus: ..."). Grows without bound only in the operator's input.
 */
struct faults {
	char **msg;
	size_t nr;
};

PRINTF_LIKE(2, 3) void faults_add(struct faults *f, const char *fmt, ...);
void faults_fini(struct faults *f);

/* Defaults for everything. Cannot fail; config_fini is safe from here on. */
void config_init(struct config *c);
void config_fini(struct config *c);

/*
 * Read a JSON file into @c. Adds every fault to @f; false if it added one.
 * Paths in the file are taken relative to the file's own directory.
 */
bool config_read_file(struct config *c, const char *path, struct faults *f);

/*
 * Take `--key value`, `--key=value` (and `--key`, `--no-key` for booleans...)
 * from @argv[0..argc). The first non-option argument, if any, is the JSON file:
 * it is read first, whatever its position, so that options override it.
 * Everything after is a fault. False if a fault was added.
 */
bool config_read_args(struct config *c, int argc, char **argv,
		      struct faults *f);

/*
 * What only the whole can show: kernel given, files there and readable, the
 * regex compiles, memory fits. False if it added a fault.
 */
bool config_finish(struct config *c, struct faults *f);

/* The table as text for `--help`: one line or two per key. To @out. */
struct _IO_FILE;
void config_print_help(struct _IO_FILE *out);

#endif
