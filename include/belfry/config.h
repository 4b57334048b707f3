/*
 * What the operator wants: one plain struct, filled from a JSON file, from the
 * command line, or both (the command line wins).
 *
 * One table (config_keys.c) describes every key: its name, type, limits, help
 * and default. The file's key `memory-backing` and the option
 * `--memory-backing` are the same row, so neither can say what the other
 * cannot. Of drives, networks and passed-through devices there may be many:
 * each is a group of keys with a table of its own. Nothing here opens the files
 * for use, or knows KVM.
 */
#ifndef BELFRY_CONFIG_H
#define BELFRY_CONFIG_H

#include <belfry/base.h>

#include <stdio.h>

/* "on" insists (the run is refused where the host lacks it), "auto" takes it
 * where the host has it. */
enum config_switch {
	SWITCH_AUTO,
	SWITCH_ON,
	SWITCH_OFF,
};

enum config_backing {
	BACKING_THP,     /* anonymous memory, transparent huge pages */
	BACKING_MEMFD,   /* shared memory other processes can map */
	BACKING_HUGETLB, /* the host's default huge page size */
	BACKING_HUGETLB_2M,
	BACKING_HUGETLB_1G,
};

enum config_seccomp {
	SECCOMP_ON,
	SECCOMP_LOG,
	SECCOMP_OFF,
};

/*
 * Where on PCI bus 0 the operator wants a device: device << 3 | function, or
 * anywhere. Where it really is, config.devices says.
 */
#define CONFIG_BDF_AUTO   0xffffffffu

/* Bytes; with less no kernel begins. */
#define CONFIG_MEMORY_MIN (32 * MIB)

#define CONFIG_DRIVES_MAX 32
#define CONFIG_NETS_MAX   16
#define CONFIG_VFIOS_MAX  32
#define CONFIG_QUEUES_MAX 16
#define CONFIG_SERIAL_MAX 20
#define CONFIG_NAME_MAX   20 /* "drive[31]" */

/*
 * What is named @place is where a value stands, "vm.json:3:9: drive[0].path",
 * for messages of what only using it shows: made by config_load.
 */
struct config_drive {
	char *path, *place;
	bool readonly;
	bool direct; /* O_DIRECT: past the host's page cache */
	u32 queues;  /* 1..16; by default as many as vCPUs, up to 4 */
	char *serial;
	bool discard;
	u32 bdf; /* wanted */
};

struct config_net {
	char *tap;                  /* an interface's name; or: */
	int fds[CONFIG_QUEUES_MAX]; /* open TAP queues */
	char *place;
	u32 fds_nr;
	u8 mac[6]; /* by default made from the interface's name and the index */
	u32 mtu;   /* 0: as the interface's own */
	u32 queues; /* pairs, 1..16; by default as many as fds, or 1 */
	bool offload;
	u32 bdf; /* wanted */
};

/*
 * How messages of a passed-through device get past the guest's SMMU: to the
 * address that the guest gave it, or to one that the guest is told to map as it
 * is. auto: the first, where the device and the host can do it.
 */
enum config_doorbell {
	DOORBELL_AUTO,
	DOORBELL_DIRECT,
	DOORBELL_RMR,
};

struct config_vfio {
	char *host, *place; /* a function's name, as Linux writes it */
	int fd, iommufd;    /* opened by whoever started us; 0: not */
	enum config_doorbell doorbell;
	u32 bdf; /* wanted */
};

/* Which of the guest's PCI functions are behind an SMMUv3 of its own. */
enum config_smmu {
	SMMU_FOR_VFIO, /* those that are passed through */
	SMMU_FOR_ALL,
	SMMU_FOR_NONE,
};

/* Whose the interrupt controller is: KVM's, KVM's with an ITS of ours in front
 * of it, or all ours. */
enum config_irqchip {
	IRQCHIP_KERNEL,
	IRQCHIP_SPLIT,
	IRQCHIP_USER,
};

/* hvc0, and what is at its other end. */
enum config_hvc {
	HVC_OFF,
	HVC_STDIO, /* the terminal's input goes there instead of to the UART */
	HVC_PTY,   /* a pseudo-terminal, which is named on standard error */
};

/* Devices on PCI, in the order in which they are given places. */
enum config_kind {
	CONFIG_HVC,
	CONFIG_RNG,
	CONFIG_DRIVE,
	CONFIG_NET,
	CONFIG_VFIO,
};

struct config_device {
	enum config_kind kind;
	u32 index;                  /* into drives, nets or vfios */
	u32 bdf;                    /* device << 3 | function */
	char name[CONFIG_NAME_MAX]; /* for messages: "rng", "drive[0]" */
};

#define CONFIG_DEVICES_MAX \
	(2 + CONFIG_DRIVES_MAX + CONFIG_NETS_MAX + CONFIG_VFIOS_MAX)

/* @bdf as lspci prints it: "00:1f.7". */
#define CONFIG_BDF_TEXT 8
void config_print_bdf(char buf[static CONFIG_BDF_TEXT], u32 bdf);

/* Strings are owned by the config; NULL where not given. */
struct config {
	/* The guest. */
	char *kernel; /* path; required to run */
	char *initrd; /* path */
	char *kernel_place, *initrd_place;
	char *cmdline; /* never NULL */
	u32 cpus;      /* 1..512 */
	u64 memory;    /* bytes, a multiple of 2 MiB */
	enum config_backing memory_backing;
	bool memory_prefault;
	enum config_switch sve, pauth, pmu, steal_time;
	enum config_irqchip irqchip;

	/* Its devices on PCI. */
	struct config_drive drives[CONFIG_DRIVES_MAX];
	u32 drives_nr;
	struct config_net nets[CONFIG_NETS_MAX];
	u32 nets_nr;
	struct config_vfio vfios[CONFIG_VFIOS_MAX];
	u32 vfios_nr;
	enum config_smmu smmu;
	enum config_hvc hvc;
	bool rng;
	/* These in places, lowest first: made by config_load. */
	struct config_device devices[CONFIG_DEVICES_MAX];
	u32 devices_nr;

	/* The run. */
	char *console;  /* path: the guest's console is written there too */
	char *expect;   /* POSIX extended regex: seeing it ends the run well */
	u64 timeout_ms; /* 0: none */
	bool no_reboot; /* a guest reset ends the run */
	bool json_status;
	enum config_seccomp seccomp;
};

/*
 * Faults found so far, each one line, finished, with its place in front
 * ("vm.json:3:9: cpus: ..."). Grows with what the operator wrote.
 */
struct faults {
	char **msg;
	size_t nr;
};

/* Control characters become '?', so that a fault stays one line. */
PRINTF_LIKE(2, 3) void faults_add(struct faults *f, const char *fmt, ...);
void faults_fini(struct faults *f);

/* Defaults for everything. Cannot fail; config_fini is safe from here on. */
void config_init(struct config *c);
void config_fini(struct config *c);

/*
 * What a command line says into @c, fresh from config_init:
 *
 *	[FILE] [--key value | --key=value | --flag | --flag=false]...
 *
 * FILE, wherever it stands, is the JSON configuration ("-": standard input);
 * options override it, but drives, networks and passed-through devices of the
 * command line come after those of FILE. A relative path in FILE starts at
 * FILE's directory. The files named are there and readable when this returns
 * true, and none that is written to stands for two things. Adds every fault it
 * finds to @f; false if there is one.
 */
MUST_CHECK bool config_load(struct config *c, int argc, char **argv,
			    struct faults *f);

/* Every key as an option, with what it allows and its default; then those of
 * each group. */
void config_print_help(FILE *out);

#endif
