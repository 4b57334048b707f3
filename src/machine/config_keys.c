#include "config_keys.h"

#include <belfry/text.h>

#include <string.h>

/* In the order of the enums in config.h. */
static const char *const switches[] = { "auto", "on", "off", NULL };
static const char *const backings[] = { "thp",        "memfd",      "hugetlb",
					"hugetlb-2M", "hugetlb-1G", NULL };
static const char *const seccomps[] = { "on", "log", "off", NULL };

#define FIELD(member)                              \
	.offset = offsetof(struct config, member), \
	.size = sizeof(((struct config *)0)->member)

/*
 * A key is its row here: the file, the command line, --help and the defaults
 * follow. The manual page is checked against it by test_ctl.
 */
const struct config_key config_keys[] = {
	{ "kernel", KEY_FILE, FIELD(kernel), .arg = "PATH",
	  .help = "arm64 Linux kernel: Image, gzip, zstd or EFI zboot; required" },
	{ "initrd", KEY_FILE, FIELD(initrd), .arg = "PATH",
	  .help = "initial RAM disk" },
	/* Linux keeps COMMAND_LINE_SIZE (2048 on arm64) with its NUL. */
	{ "cmdline", KEY_STRING, FIELD(cmdline), .min = 0, .max = 2047,
	  .arg = "TEXT", .initial = "console=ttyAMA0",
	  .help = "kernel command line, instead of the default" },
	{ "cpus", KEY_COUNT, FIELD(cpus), .min = 1, .max = 512, .step = 1,
	  .arg = "N", .initial = "1", .help = "virtual CPUs" },
	{ "memory", KEY_SIZE, FIELD(memory), .min = 32 * MIB, .max = 1024 * GIB,
	  .step = 2 * MIB, .arg = "SIZE", .initial = "512M",
	  .help = "guest memory" },
	{ "memory-backing", KEY_WORD, FIELD(memory_backing), .words = backings,
	  .arg = "WORD", .initial = "thp",
	  .help = "transparent huge pages, shared memfd or reserved huge pages" },
	{ "memory-prefault", KEY_FLAG, FIELD(memory_prefault),
	  .help = "take all guest memory from the host before the start" },
	{ "sve", KEY_WORD, FIELD(sve), .words = switches, .arg = "WORD",
	  .initial = "auto",
	  .help = "scalable vectors; auto: where the host has them" },
	{ "pauth", KEY_WORD, FIELD(pauth), .words = switches, .arg = "WORD",
	  .initial = "auto",
	  .help = "pointer authentication; auto: where the host has it" },
	{ "pmu", KEY_WORD, FIELD(pmu), .words = switches, .arg = "WORD",
	  .initial = "auto",
	  .help = "performance counters; auto: where the host has them" },
	{ "steal-time", KEY_WORD, FIELD(steal_time), .words = switches,
	  .arg = "WORD", .initial = "auto",
	  .help = "tell the guest when it was kept from running" },
	{ "console", KEY_OUTPUT, FIELD(console), .arg = "PATH",
	  .help = "append the guest's console to this file too" },
	{ "expect", KEY_REGEX, FIELD(expect), .min = 1, .max = 1023,
	  .arg = "REGEX",
	  .help = "end with status 0 once the console shows this" },
	{ "timeout", KEY_SECONDS, FIELD(timeout_ms), .min = 1,
	  .max = 1000000000ull * 1000, .step = 1, .arg = "SECONDS",
	  .help = "end with status 6 after this long" },
	{ "no-reboot", KEY_FLAG, FIELD(no_reboot),
	  .help = "end with status 4 when the guest resets" },
	{ "json-status", KEY_FLAG, FIELD(json_status),
	  .help = "end with one line of JSON on standard error" },
	{ "seccomp", KEY_WORD, FIELD(seccomp), .words = seccomps, .arg = "WORD",
	  .initial = "on",
	  .help = "end at a forbidden system call, or only log it" },
};

const struct config_key *config_key_find(const char *name,
					 const struct config_key **near)
{
	struct text_nearest n = { .word = name };

	for (size_t i = 0; i < CONFIG_KEYS; i++)
		if (!strcmp(config_keys[i].name, name))
			return &config_keys[i];
	*near = NULL;
	for (size_t i = 0; i < CONFIG_KEYS; i++) {
		text_nearest_try(&n, config_keys[i].name);
		if (n.best == config_keys[i].name)
			*near = &config_keys[i];
	}
	return NULL;
}

void config_print_help(FILE *out)
{
	for (size_t i = 0; i < CONFIG_KEYS; i++) {
		const struct config_key *k = &config_keys[i];
		char allowed[ALLOWED_MAX];
		int width;

		config_key_allowed(k, allowed);
		width = fprintf(out, "  --%s%s%s", k->name, k->arg ? " " : "",
				k->arg ? k->arg : "");
		fprintf(out, "%*s %s\n", MAX(0, 23 - width), "", k->help);
		/* Of a flag or a path there is no more to say. */
		if (k->max || k->words)
			fprintf(out, "%24s%s%s%s\n", "", allowed,
				k->initial ? "; default: " : "",
				k->initial ? k->initial : "");
	}
}
