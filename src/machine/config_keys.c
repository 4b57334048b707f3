#include "config_keys.h"

#include <belfry/text.h>

#include <assert.h>
#include <limits.h>
#include <string.h>

/* In the order of the enums in config.h. */
static const char *const switches[] = { "auto", "on", "off", NULL };
static const char *const backings[] = { "thp",        "memfd",      "hugetlb",
					"hugetlb-2M", "hugetlb-1G", NULL };
static const char *const irqchips[] = { "kernel", "split", "user", NULL };
static const char *const seccomps[] = { "on", "log", "off", NULL };
static const char *const hvcs[] = { "off", "stdio", "pty", NULL };
static const char *const doorbells[] = { "auto", "direct", "rmr", NULL };
static const char *const smmus[] = { "vfio", "all", "off", NULL };

#define FIELD(type, member)                      \
	.offset = offsetof(struct type, member), \
	.size = sizeof(((struct type *)0)->member)

#define FIELDS(type, member, counter)                   \
	.offset = offsetof(struct type, member),        \
	.size = sizeof(*((struct type *)0)->member),    \
	.most = ARRAY_SIZE(((struct type *)0)->member), \
	.count = offsetof(struct type, counter)

/*
 * A key is its row here: the file, the command line, --help and the defaults
 * follow. The manual page is checked against it by test_ctl.
 */
const struct config_key config_drive_keys[] = {
	{ "path", KEY_DISK, FIELD(config_drive, path), .arg = "PATH",
	  .help = "disk image or block device; required" },
	{ "readonly", KEY_FLAG, FIELD(config_drive, readonly),
	  .help = "the guest may not write to it" },
	{ "direct", KEY_FLAG, FIELD(config_drive, direct),
	  .help = "past the host's page cache (O_DIRECT)" },
	{ "queues", KEY_COUNT, FIELD(config_drive, queues), .min = 1,
	  .max = CONFIG_QUEUES_MAX, .step = 1, .arg = "N",
	  .help = "request queues, instead of one per CPU up to 4" },
	{ "serial", KEY_SERIAL, FIELD(config_drive, serial), .min = 1,
	  .max = CONFIG_SERIAL_MAX, .arg = "TEXT",
	  .help = "serial number, which guests name disks by" },
	{ "discard", KEY_FLAG, FIELD(config_drive, discard),
	  .help = "give space that the guest discards back to the host" },
	{ "bdf", KEY_BDF, FIELD(config_drive, bdf), .arg = "PLACE",
	  .initial = "auto", .help = "place on the PCI bus" },
	{ 0 },
};

const struct config_key config_net_keys[] = {
	{ "tap", KEY_NETIF, FIELD(config_net, tap), .min = 1, .max = 15,
	  .arg = "NAME", .help = "TAP interface; this or fd is required" },
	{ "fd", KEY_FD, FIELDS(config_net, fds, fds_nr), .min = 3,
	  .max = INT_MAX, .step = 1, .arg = "N",
	  .help = "open TAP queue; again for each further one" },
	{ "mac", KEY_MAC, FIELD(config_net, mac), .arg = "ADDRESS",
	  .help = "MAC address, instead of one made from the interface's name" },
	{ "mtu", KEY_COUNT, FIELD(config_net, mtu), .min = 68, .max = 65535,
	  .step = 1, .arg = "N", .help = "tell the guest this MTU" },
	{ "queues", KEY_COUNT, FIELD(config_net, queues), .min = 1,
	  .max = CONFIG_QUEUES_MAX, .step = 1, .arg = "N",
	  .help = "queue pairs, instead of 1 or one per fd" },
	{ "offload", KEY_FLAG, FIELD(config_net, offload), .initial = "true",
	  .help = "offer checksum and segmentation offloads" },
	{ "bdf", KEY_BDF, FIELD(config_net, bdf), .arg = "PLACE",
	  .initial = "auto", .help = "place on the PCI bus" },
	{ 0 },
};

const struct config_key config_vfio_keys[] = {
	{ "host", KEY_PCI, FIELD(config_vfio, host), .arg = "ADDRESS",
	  .help = "PCI function of the host's that vfio-pci has; required" },
	{ "fd", KEY_FD, FIELD(config_vfio, fd), .min = 3, .max = INT_MAX,
	  .step = 1, .arg = "N", .help = "VFIO's device for it, open" },
	{ "iommufd", KEY_FD, FIELD(config_vfio, iommufd), .min = 3,
	  .max = INT_MAX, .step = 1, .arg = "N",
	  .help = "/dev/iommu, open; the same for all behind one ITS" },
	{ "doorbell", KEY_WORD, FIELD(config_vfio, doorbell),
	  .words = doorbells, .arg = "WORD", .initial = "auto",
	  .help = "how its interrupts pass the guest's SMMU" },
	{ "bdf", KEY_BDF, FIELD(config_vfio, bdf), .arg = "PLACE",
	  .initial = "auto", .help = "place on the guest's PCI bus" },
	{ 0 },
};

const struct config_key config_keys[] = {
	{ "kernel", KEY_FILE, FIELD(config, kernel), .arg = "PATH",
	  .help = "arm64 Linux kernel: Image, gzip, zstd or EFI zboot; required" },
	{ "initrd", KEY_FILE, FIELD(config, initrd), .arg = "PATH",
	  .help = "initial RAM disk" },
	/* Linux keeps COMMAND_LINE_SIZE (2048 on arm64) with its NUL. */
	{ "cmdline", KEY_STRING, FIELD(config, cmdline), .min = 0, .max = 2047,
	  .arg = "TEXT", .initial = "console=ttyAMA0",
	  .help = "kernel command line, instead of the default" },
	{ "cpus", KEY_COUNT, FIELD(config, cpus), .min = 1, .max = 512,
	  .step = 1, .arg = "N", .initial = "1", .help = "virtual CPUs" },
	{ "memory", KEY_SIZE, FIELD(config, memory), .min = CONFIG_MEMORY_MIN,
	  .max = 1024 * GIB, .step = 2 * MIB, .arg = "SIZE", .initial = "512M",
	  .help = "guest memory" },
	{ "memory-backing", KEY_WORD, FIELD(config, memory_backing),
	  .words = backings, .arg = "WORD", .initial = "thp",
	  .help = "transparent huge pages, shared memfd or reserved huge pages" },
	{ "memory-prefault", KEY_FLAG, FIELD(config, memory_prefault),
	  .help = "take all guest memory from the host before the start" },
	{ "sve", KEY_WORD, FIELD(config, sve), .words = switches, .arg = "WORD",
	  .initial = "auto",
	  .help = "scalable vectors; auto: where the host has them" },
	{ "pauth", KEY_WORD, FIELD(config, pauth), .words = switches,
	  .arg = "WORD", .initial = "auto",
	  .help = "pointer authentication; auto: where the host has it" },
	{ "pmu", KEY_WORD, FIELD(config, pmu), .words = switches, .arg = "WORD",
	  .initial = "auto",
	  .help = "performance counters; auto: where the host has them" },
	{ "steal-time", KEY_WORD, FIELD(config, steal_time), .words = switches,
	  .arg = "WORD", .initial = "auto",
	  .help = "tell the guest when it was kept from running" },
	{ "drive", KEY_GROUP, FIELDS(config, drives, drives_nr),
	  .keys = config_drive_keys, .arg = "PATH,...",
	  .help = "a disk, see below; again for each further one" },
	{ "net", KEY_GROUP, FIELDS(config, nets, nets_nr),
	  .keys = config_net_keys, .arg = "TAP,...",
	  .help = "a network, see below; again for each further one" },
	{ "vfio", KEY_GROUP, FIELDS(config, vfios, vfios_nr),
	  .keys = config_vfio_keys, .arg = "HOST,...",
	  .help = "a device of the host's, see below; again for further ones" },
	{ "smmu", KEY_WORD, FIELD(config, smmu), .words = smmus, .arg = "WORD",
	  .initial = "vfio",
	  .help = "which of its devices the guest has an SMMUv3 for" },
	{ "hvc", KEY_WORD, FIELD(config, hvc), .words = hvcs, .arg = "WORD",
	  .initial = "off",
	  .help = "virtio console hvc0, and what its other end is" },
	{ "rng", KEY_FLAG, FIELD(config, rng),
	  .help = "a source of random numbers" },
	{ "irqchip", KEY_WORD, FIELD(config, irqchip), .words = irqchips,
	  .arg = "WORD", .initial = "split",
	  .help = "KVM's, or Belfry's: the ITS (split), all of it (user)" },
	{ "console", KEY_OUTPUT, FIELD(config, console), .arg = "PATH",
	  .help = "append the guest's console to this file too" },
	{ "expect", KEY_REGEX, FIELD(config, expect), .min = 1, .max = 1023,
	  .arg = "REGEX",
	  .help = "end with status 0 once the console shows this" },
	{ "timeout", KEY_SECONDS, FIELD(config, timeout_ms), .min = 1,
	  .max = 1000000000ull * 1000, .step = 1, .arg = "SECONDS",
	  .help = "end with status 6 after this long" },
	{ "no-reboot", KEY_FLAG, FIELD(config, no_reboot),
	  .help = "end with status 4 when the guest resets" },
	{ "json-status", KEY_FLAG, FIELD(config, json_status),
	  .help = "end with one line of JSON on standard error" },
	{ "seccomp", KEY_WORD, FIELD(config, seccomp), .words = seccomps,
	  .arg = "WORD", .initial = "on",
	  .help = "end at a forbidden system call, or only log it" },
	{ 0 },
};

static_assert(ARRAY_SIZE(config_keys) <= CONFIG_KEYS_MAX, "room in a scope");

const struct config_key *config_key_find(const struct config_key *keys,
					 const char *name,
					 const struct config_key **near)
{
	struct text_nearest n = { .word = name };

	for (const struct config_key *k = keys; k->name; k++)
		if (!strcmp(k->name, name))
			return k;
	*near = NULL;
	for (const struct config_key *k = keys; k->name; k++) {
		text_nearest_try(&n, k->name);
		if (n.best == k->name)
			*near = k;
	}
	return NULL;
}

/* Each key as @before, name, @between and its value; then its limits. */
static void print_keys(FILE *out, const struct config_key *keys,
		       const char *before, const char *between)
{
	for (const struct config_key *k = keys; k->name; k++) {
		char allowed[ALLOWED_MAX];
		int width;

		config_key_allowed(k, allowed);
		width = fprintf(out, "  %s%s%s%s", before, k->name,
				k->arg ? between : "", k->arg ? k->arg : "");
		fprintf(out, "%*s %s\n", MAX(0, 23 - width), "", k->help);
		/* Of a flag, a path or a group there is no more to say. */
		if (k->max || k->words || k->initial || k->type == KEY_MAC)
			fprintf(out, "%24s%s%s%s\n", "", allowed,
				k->initial ? "; default: " : "",
				k->initial ? k->initial : "");
	}
}

void config_print_help(FILE *out)
{
	print_keys(out, config_keys, "--", " ");
	for (const struct config_key *k = config_keys; k->name; k++) {
		if (k->type != KEY_GROUP)
			continue;
		fprintf(out,
			"\n--%s takes these, with commas between; \"%s=\" may be left out in front:\n\n",
			k->name, k->keys->name);
		print_keys(out, k->keys, "", "=");
	}
}
