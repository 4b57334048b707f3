/*
 * The configuration: every key from the file and from the command line, every
 * kind of fault with its whole message, and all of them at once.
 *
 * The file comes through standard input, so that messages have a fixed name;
 * the kernel is this program, which is there and readable.
 */
#include "unit.h"

#include <belfry/config.h>
#include <belfry/text.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define KERNEL "/proc/self/exe"
/* Two disk images; descriptors in their place are open, too. */
#define DISK      "/proc/self/fd/100"
#define DISK2     "/proc/self/fd/101"
#define DISK_FDS  100, 101
#define ARGS(...) ((char *[]) { __VA_ARGS__ __VA_OPT__(, ) NULL })

static int memory_file(const char *text)
{
	int fd = memfd_create("config", MFD_CLOEXEC);

	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static void give_stdin(const char *text)
{
	int fd = memory_file(text);

	dup2(fd, STDIN_FILENO);
	close(fd);
}

/* All faults, a line each; owned. */
static char *load(struct config *c, const char *json, char **args)
{
	struct faults f = { 0 };
	char *all = text_format("%s", "");
	int argc = 0;
	bool fine;

	if (json)
		give_stdin(json);
	while (args[argc])
		argc++;
	config_init(c);
	fine = config_load(c, argc, args, &f);
	ck_assert_int_eq(fine, f.nr == 0);
	for (size_t i = 0; i < f.nr; i++) {
		char *longer = text_format("%s%s\n", all, f.msg[i]);

		free(all);
		all = longer;
	}
	faults_fini(&f);
	return all;
}

static void assert_faults(const char *json, char **args, const char *expected)
{
	struct config c;
	char *faults = load(&c, json, args);

	ck_assert_str_eq(faults, expected);
	free(faults);
	config_fini(&c);
}

START_TEST(an_its_only_for_devices)
{
	static const struct {
		char *args[3];
		enum config_irqchip irqchip;
	} rows[] = {
		{ { "--rng" }, IRQCHIP_SPLIT },
		{ { "--rng", "--irqchip=split" }, IRQCHIP_SPLIT },
		{ { "--rng", "--irqchip=kernel" }, IRQCHIP_KERNEL },
		{ { "--rng", "--irqchip=user" }, IRQCHIP_USER },
		{ { "--irqchip=split" }, IRQCHIP_KERNEL },
		{ { "--irqchip=user" }, IRQCHIP_USER },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct config c;
		char *faults = load(&c, NULL,
				    ARGS("--kernel", KERNEL, rows[i].args[0],
					 rows[i].args[1], rows[i].args[2]));

		ck_assert_str_eq(faults, "");
		ck_assert_msg(c.irqchip == rows[i].irqchip, "row %zu", i);
		free(faults);
		config_fini(&c);
	}
}
END_TEST

START_TEST(defaults)
{
	struct config c;
	char *faults = load(&c, NULL, ARGS("--kernel", KERNEL));

	ck_assert_str_eq(faults, "");
	ck_assert_str_eq(c.kernel, KERNEL);
	ck_assert_ptr_null(c.initrd);
	ck_assert_str_eq(c.cmdline, "console=ttyAMA0");
	ck_assert_uint_eq(c.cpus, 1);
	ck_assert_uint_eq(c.memory, 512 * MIB);
	ck_assert_int_eq(c.memory_backing, BACKING_THP);
	ck_assert(!c.memory_prefault);
	ck_assert_int_eq(c.sve, SWITCH_AUTO);
	ck_assert_int_eq(c.pauth, SWITCH_AUTO);
	ck_assert_int_eq(c.pmu, SWITCH_AUTO);
	ck_assert_int_eq(c.steal_time, SWITCH_AUTO);
	ck_assert_ptr_null(c.console);
	ck_assert_ptr_null(c.expect);
	ck_assert_uint_eq(c.drives_nr, 0);
	ck_assert_uint_eq(c.nets_nr, 0);
	ck_assert_uint_eq(c.vfios_nr, 0);
	ck_assert_int_eq(c.smmu, SMMU_FOR_VFIO);
	ck_assert_int_eq(c.hvc, HVC_OFF);
	ck_assert(!c.rng);
	/* split, if there were a device */
	ck_assert_int_eq(c.irqchip, IRQCHIP_KERNEL);
	ck_assert_uint_eq(c.devices_nr, 0);
	ck_assert_uint_eq(c.timeout_ms, 0);
	ck_assert(!c.no_reboot);
	ck_assert(!c.json_status);
	ck_assert_int_eq(c.seccomp, SECCOMP_ON);
	free(faults);
	config_fini(&c);
	config_fini(&c);
}
END_TEST

static void assert_all_keys(const char *json, char **args)
{
	struct config c;
	char *faults = load(&c, json, args);

	ck_assert_str_eq(faults, "");
	ck_assert_str_eq(c.kernel, KERNEL);
	ck_assert_str_eq(c.initrd, "/proc/self/maps");
	ck_assert_str_eq(c.cmdline, "quiet \"x\" --y");
	ck_assert_uint_eq(c.cpus, 3);
	ck_assert_uint_eq(c.memory, GIB + GIB / 2);
	ck_assert_int_eq(c.memory_backing, BACKING_MEMFD);
	ck_assert(c.memory_prefault);
	ck_assert_int_eq(c.sve, SWITCH_ON);
	ck_assert_int_eq(c.pauth, SWITCH_OFF);
	ck_assert_int_eq(c.pmu, SWITCH_ON);
	ck_assert_int_eq(c.steal_time, SWITCH_OFF);
	ck_assert_int_eq(c.smmu, SMMU_FOR_ALL);
	ck_assert_int_eq(c.hvc, HVC_PTY);
	ck_assert(c.rng);
	ck_assert_int_eq(c.irqchip, IRQCHIP_USER);
	ck_assert_str_eq(c.console, "/dev/null");
	ck_assert_str_eq(c.expect, "login: *$");
	ck_assert_uint_eq(c.timeout_ms, 2500);
	ck_assert(c.no_reboot);
	ck_assert(c.json_status);
	ck_assert_int_eq(c.seccomp, SECCOMP_LOG);
	free(faults);
	config_fini(&c);
}

/* The file and the command line can say the same. */
START_TEST(every_key)
{
	assert_all_keys("{ \"kernel\": \"" KERNEL "\","
			"\"initrd\": \"/proc/self/maps\","
			"\"cmdline\": \"quiet \\\"x\\\" --y\","
			"\"cpus\": 3, \"memory\": 1610612736,"
			"\"memory-backing\": \"memfd\","
			"\"memory-prefault\": true,"
			"\"sve\": \"on\", \"pauth\": \"off\", \"pmu\": \"on\","
			"\"steal-time\": \"off\", \"console\": \"/dev/null\","
			"\"smmu\": \"all\","
			"\"hvc\": \"pty\", \"rng\": true,"
			"\"irqchip\": \"user\","
			"\"expect\": \"login: *$\", \"timeout\": 2.5,"
			"\"no-reboot\": true, \"json-status\": true,"
			"\"seccomp\": \"log\" }",
			ARGS("-"));
	assert_all_keys(NULL,
			ARGS("--kernel", KERNEL, "--initrd", "/proc/self/maps",
			     "--cmdline", "quiet \"x\" --y", "--cpus", "3",
			     "--memory=1.5G", "--memory-backing=memfd",
			     "--memory-prefault", "--sve=on", "--pauth=off",
			     "--pmu=on", "--steal-time", "off", "--smmu=all",
			     "--hvc", "pty", "--rng", "--irqchip=user",
			     "--console", "/dev/null", "--expect=login: *$",
			     "--timeout", "2.5", "--no-reboot=true",
			     "--json-status", "--seccomp=log"));
}
END_TEST

#define FIELD(m) offsetof(struct config, m), sizeof(((struct config *)0)->m)

/* The last values that are taken, as file and as option. */
START_TEST(accepted)
{
	static const struct {
		const char *key, *json, *option;
		size_t offset, size;
		u64 value;
	} rows[] = {
		{ "cpus", "1", "1", FIELD(cpus), 1 },
		{ "cpus", "512", "0512", FIELD(cpus), 512 },
		{ "memory", "\"32M\"", "32m", FIELD(memory), 32 * MIB },
		{ "memory", "\"1T\"", "1024G", FIELD(memory), 1ull << 40 },
		{ "memory", "33554432", "33554432", FIELD(memory), 32 * MIB },
		{ "memory", "\"34M\"", "34816K", FIELD(memory), 34 * MIB },
		{ "timeout", "0.001", "0.001", FIELD(timeout_ms), 1 },
		{ "timeout", "60", "60.000", FIELD(timeout_ms), 60000 },
		{ "timeout", "1000000000", "1000000000", FIELD(timeout_ms),
		  1000000000000 },
		{ "sve", "\"auto\"", "auto", FIELD(sve), SWITCH_AUTO },
		{ "sve", "\"on\"", "on", FIELD(sve), SWITCH_ON },
		{ "sve", "\"off\"", "off", FIELD(sve), SWITCH_OFF },
		{ "memory-backing", "\"thp\"", "thp", FIELD(memory_backing),
		  BACKING_THP },
		{ "memory-backing", "\"memfd\"", "memfd", FIELD(memory_backing),
		  BACKING_MEMFD },
		{ "memory-backing", "\"hugetlb\"", "hugetlb",
		  FIELD(memory_backing), BACKING_HUGETLB },
		{ "memory-backing", "\"hugetlb-2M\"", "hugetlb-2M",
		  FIELD(memory_backing), BACKING_HUGETLB_2M },
		{ "seccomp", "\"on\"", "on", FIELD(seccomp), SECCOMP_ON },
		{ "seccomp", "\"log\"", "log", FIELD(seccomp), SECCOMP_LOG },
		{ "seccomp", "\"off\"", "off", FIELD(seccomp), SECCOMP_OFF },
		{ "hvc", "\"off\"", "off", FIELD(hvc), HVC_OFF },
		{ "hvc", "\"stdio\"", "stdio", FIELD(hvc), HVC_STDIO },
		{ "hvc", "\"pty\"", "pty", FIELD(hvc), HVC_PTY },
		{ "smmu", "\"vfio\"", "vfio", FIELD(smmu), SMMU_FOR_VFIO },
		{ "smmu", "\"all\"", "all", FIELD(smmu), SMMU_FOR_ALL },
		{ "smmu", "\"off\"", "off", FIELD(smmu), SMMU_FOR_NONE },
		{ "irqchip", "\"kernel\"", "kernel", FIELD(irqchip),
		  IRQCHIP_KERNEL },
		/* There is no device that would need it. */
		{ "irqchip", "\"split\"", "split", FIELD(irqchip),
		  IRQCHIP_KERNEL },
		{ "irqchip", "\"user\"", "user", FIELD(irqchip), IRQCHIP_USER },
		{ "no-reboot", "false", "false", FIELD(no_reboot), false },
		{ "no-reboot", "true", "true", FIELD(no_reboot), true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *json =
			text_format("{\"%s\": %s}", rows[i].key, rows[i].json);
		char *arg = text_format("--%s=%s", rows[i].key, rows[i].option);
		char **ways[] = { ARGS("-", "--kernel", KERNEL),
				  ARGS(arg, "--kernel", KERNEL) };

		for (size_t way = 0; way < ARRAY_SIZE(ways); way++) {
			struct config c;
			u64 value = 0;
			char *faults = load(&c, json, ways[way]);

			ck_assert_str_eq(faults, "");
			memcpy(&value, (char *)&c + rows[i].offset,
			       rows[i].size);
			ck_assert_msg(value == rows[i].value, "%s", arg);
			free(faults);
			config_fini(&c);
		}
		free(json);
		free(arg);
	}
}
END_TEST

#define MEMORY_ALLOWED "; allowed: a multiple of 2M from 32M to 1T"
#define CPUS_ALLOWED   "; allowed: a whole number from 1 to 512"
#define SECONDS_ALLOWED \
	"; allowed: seconds, from 0.001 to 1000000000, to the millisecond"
#define REGEX_ALLOWED \
	"; allowed: a POSIX extended regular expression of 1 to 1023 bytes"

/* The first values that are not, and the wrong types. */
START_TEST(rejected)
{
	static const struct {
		const char *key, *json, *msg;
	} rows[] = {
		{ "cpus", "0", "0 is too small" CPUS_ALLOWED },
		{ "cpus", "513", "513 is too big" CPUS_ALLOWED },
		{ "cpus", "4294967297", "4294967297 is too big" CPUS_ALLOWED },
		{ "cpus", "99999999999999999999",
		  "99999999999999999999 is too big" CPUS_ALLOWED },
		{ "cpus", "-1", "-1 is negative" CPUS_ALLOWED },
		{ "cpus", "1.5", "1.5 is not a whole number" CPUS_ALLOWED },
		{ "cpus", "1e1", "1e1 is not a plain number" CPUS_ALLOWED },
		{ "cpus", "\"2\"", "\"2\" is a string" CPUS_ALLOWED },
		{ "cpus", "true", "true is a boolean" CPUS_ALLOWED },
		{ "cpus", "null", "null is no value" CPUS_ALLOWED },
		{ "cpus", "[2]", "[...] is an array" CPUS_ALLOWED },
		{ "cpus", "{\"a\":2}", "{...} is an object" CPUS_ALLOWED },
		{ "memory", "\"31M\"", "\"31M\" is too small" MEMORY_ALLOWED },
		{ "memory", "\"1026G\"",
		  "\"1026G\" is too big" MEMORY_ALLOWED },
		{ "memory", "\"99999999999T\"",
		  "\"99999999999T\" is too big" MEMORY_ALLOWED },
		{ "memory", "\"33M\"",
		  "\"33M\" is not a multiple of 2M" MEMORY_ALLOWED },
		{ "memory", "536870913",
		  "536870913 is not a multiple of 2M" MEMORY_ALLOWED },
		{ "memory", "512", "512 is too small" MEMORY_ALLOWED },
		{ "memory", "\"0.3K\"",
		  "\"0.3K\" is not a whole number of bytes" MEMORY_ALLOWED },
		{ "memory", "\"512MB\"",
		  "\"512MB\" is not a size such as 512M or 4G" MEMORY_ALLOWED },
		{ "memory", "\"-4G\"", "\"-4G\" is negative" MEMORY_ALLOWED },
		{ "memory", "\"\"",
		  "\"\" is not a size such as 512M or 4G" MEMORY_ALLOWED },
		{ "memory", "false", "false is a boolean" MEMORY_ALLOWED },
		{ "timeout", "0", "0 is too small" SECONDS_ALLOWED },
		{ "timeout", "-0.5", "-0.5 is negative" SECONDS_ALLOWED },
		{ "timeout", "0.0005",
		  "0.0005 is not in whole milliseconds" SECONDS_ALLOWED },
		{ "timeout", "1000000000.001",
		  "1000000000.001 is too big" SECONDS_ALLOWED },
		{ "timeout", "\"60\"", "\"60\" is a string" SECONDS_ALLOWED },
		{ "sve", "\"yes\"",
		  "\"yes\" is unknown; allowed: auto, on, off" },
		{ "sve", "\"\"", "\"\" is unknown; allowed: auto, on, off" },
		{ "sve", "true", "true is a boolean; allowed: auto, on, off" },
		{ "memory-backing", "\"THP\"",
		  "\"THP\" is unknown; allowed: thp, memfd, hugetlb, "
		  "hugetlb-2M, hugetlb-1G" },
		{ "hvc", "\"hvc0\"",
		  "\"hvc0\" is unknown; allowed: off, stdio, pty" },
		{ "smmu", "\"on\"",
		  "\"on\" is unknown; allowed: vfio, all, off" },
		{ "smmu", "false",
		  "false is a boolean; allowed: vfio, all, off" },
		{ "irqchip", "\"users\"",
		  "\"users\" is unknown; allowed: kernel, split, user" },
		{ "irqchip", "true",
		  "true is a boolean; allowed: kernel, split, user" },
		{ "rng", "\"/dev/urandom\"",
		  "\"/dev/urandom\" is a string; allowed: true or false" },
		{ "no-reboot", "1", "1 is a number; allowed: true or false" },
		{ "no-reboot", "\"true\"",
		  "\"true\" is a string; allowed: true or false" },
		{ "cmdline", "5",
		  "5 is a number; allowed: up to 2047 bytes of text" },
		{ "initrd", "\"\"",
		  "\"\" is empty; allowed: the path of a file" },
		{ "initrd", "7", "7 is a number; allowed: the path of a file" },
		{ "expect", "\"\"", "\"\" is empty" REGEX_ALLOWED },
		{ "expect", "\"a(b\"",
		  "\"a(b\" does not compile: Unmatched ( or \\(" REGEX_ALLOWED },
		{ "expect", "\"[a\"",
		  "\"[a\" does not compile: Unmatched [, [^, [:, [., or [=" REGEX_ALLOWED },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *json = text_format("{\n \"%s\": %s}", rows[i].key,
					 rows[i].json);
		char *msg = text_format("<stdin>:2:%zu: %s: %s\n",
					strlen(rows[i].key) + 6, rows[i].key,
					rows[i].msg);

		assert_faults(json, ARGS("-", "--kernel", KERNEL), msg);
		free(json);
		free(msg);
	}
}
END_TEST

START_TEST(rejected_options)
{
	static const struct {
		char *option;
		const char *msg;
	} rows[] = {
		{ "--cpus=0", "--cpus: \"0\" is too small" CPUS_ALLOWED },
		{ "--cpus=",
		  "--cpus: \"\" is not a plain number" CPUS_ALLOWED },
		{ "--cpus=0x2",
		  "--cpus: \"0x2\" is not a plain number" CPUS_ALLOWED },
		{ "--memory=lots",
		  "--memory: \"lots\" is not a size such as 512M or 4G" MEMORY_ALLOWED },
		{ "--timeout=0",
		  "--timeout: \"0\" is too small" SECONDS_ALLOWED },
		{ "--timeout=-1",
		  "--timeout: \"-1\" is negative" SECONDS_ALLOWED },
		{ "--no-reboot=yes",
		  "--no-reboot: \"yes\" is neither; allowed: true or false" },
		{ "--initrd=",
		  "--initrd: \"\" is empty; allowed: the path of a file" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *msg = text_format("%s\n", rows[i].msg);

		assert_faults(NULL, ARGS(rows[i].option, "--kernel", KERNEL),
			      msg);
		free(msg);
	}
}
END_TEST

START_TEST(lengths)
{
	char text[2049], arg[2100];
	struct config c;
	char *faults;

	memset(text, 'x', sizeof(text));
	text[2047] = '\0';
	snprintf(arg, sizeof(arg), "--cmdline=%s", text);
	faults = load(&c, NULL, ARGS(arg, "--kernel", KERNEL));
	ck_assert_str_eq(faults, "");
	ck_assert_str_eq(c.cmdline, text);
	free(faults);
	config_fini(&c);

	text[2047] = 'x';
	text[2048] = '\0';
	snprintf(arg, sizeof(arg), "--cmdline=%s", text);
	text[60] = '\0';
	faults = text_format("--cmdline: \"%s...\" is too long, with 2048 "
			     "bytes; allowed: up to 2047 bytes of text\n",
			     text);
	assert_faults(NULL, ARGS(arg, "--kernel", KERNEL), faults);
	free(faults);
}
END_TEST

START_TEST(empty_cmdline_is_one)
{
	struct config c;
	char *faults = load(&c,
			    "{\"kernel\": \"" KERNEL "\","
			    "\"cmdline\": \"\"}",
			    ARGS("-"));

	ck_assert_str_eq(faults, "");
	ck_assert_str_eq(c.cmdline, "");
	free(faults);
	config_fini(&c);
}
END_TEST

START_TEST(keys_and_documents)
{
	static const struct {
		const char *json, *msg;
	} rows[] = {
		{ "{\"kernal\": 1}",
		  "<stdin>:1:2: kernal: no such key; did you mean \"kernel\"?\n" },
		{ "{\"memory_backing\": 1}",
		  "<stdin>:1:2: memory_backing: no such key; did you mean "
		  "\"memory-backing\"?\n" },
		{ "{\"frobnicate\": {\"frobnicate\": 1}}",
		  "<stdin>:1:2: frobnicate: no such key; belfry run --help "
		  "lists them\n" },
		{ "{\"a\\nb\\u001b\\u007f\": 1}",
		  "<stdin>:1:2: a?b??: no such key; belfry run --help lists "
		  "them\n" },
		{ "{\"cpus\": 1,\n \"cpus\": 1,\n \"cpu\\u0073\": 0}",
		  "<stdin>:2:2: cpus: given again, after line 1; keep one\n"
		  "<stdin>:3:2: cpus: given again, after line 1; keep one\n" },
		{ " []", "<stdin>:1:2: a configuration is an object: "
			 "{ \"kernel\": \"Image\" }\n" },
		{ "5", "<stdin>:1:1: a configuration is an object: "
		       "{ \"kernel\": \"Image\" }\n" },
		{ "{\"cpus\": 1,}",
		  "<stdin>:1:12: a \"key\" or '}' expected near '}'\n" },
		{ "", "<stdin>:1:1: a value is missing before the end of the "
		      "file\n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_faults(rows[i].json, ARGS("-", "--kernel", KERNEL),
			      rows[i].msg);
}
END_TEST

START_TEST(arguments)
{
	assert_faults(NULL, ARGS("--cpu", "3", "--kernel", KERNEL),
		      "--cpu: no such option; did you mean --cpus?\n");
	assert_faults(NULL, ARGS("--ram", "3", "--kernel", KERNEL),
		      "--ram: no such option; belfry run --help lists them\n");
	assert_faults(NULL, ARGS("-kernel", KERNEL, "--kernel", KERNEL),
		      "-kernel: no such option; did you mean --kernel?\n");
	assert_faults(NULL, ARGS("--no-rebot", "--kernel=" KERNEL),
		      "--no-rebot: no such option; did you mean --no-reboot?"
		      "\n");
	/* What follows is the file, not the value of a flag misspelt. */
	assert_faults("{\"kernel\": \"" KERNEL "\"}", ARGS("--no-rebot", "-"),
		      "--no-rebot: no such option; did you mean --no-reboot?"
		      "\n");
	assert_faults(NULL, ARGS("--cpus=1", "--cpus", "1", "--kernel=" KERNEL),
		      "--cpus: given twice; keep one\n");
	assert_faults(NULL, ARGS("--kernel"),
		      "--kernel: has no value; write --kernel PATH, or "
		      "--kernel=PATH if the value begins with --\n");
	assert_faults(NULL, ARGS("--kernel", "--no-reboot"),
		      "--kernel: has no value; write --kernel PATH, or "
		      "--kernel=PATH if the value begins with --\n");
	assert_faults("{\"kernel\": \"" KERNEL "\"}", ARGS("-", "b", "c"),
		      "b: a second file; the configuration is one, <stdin>\n"
		      "c: a second file; the configuration is one, <stdin>\n");
	assert_faults(NULL, ARGS("/nowhere/vm.json"),
		      "/nowhere/vm.json: cannot open: No such file or "
		      "directory\n");
	assert_faults(NULL, ARGS("/"), "/: cannot read: Is a directory\n");
}
END_TEST

START_TEST(kernel_is_required)
{
	assert_faults(NULL, ARGS(NULL),
		      "--kernel: missing; name an arm64 Linux kernel to boot"
		      "\n");
	assert_faults("{}", ARGS("-"),
		      "<stdin>: kernel: missing; name an arm64 Linux kernel to "
		      "boot\n");
	/* Not missing, only wrong. */
	assert_faults("{\"kernel\": 1}", ARGS("-"),
		      "<stdin>:1:12: kernel: 1 is a number; allowed: the path "
		      "of a file\n");
}
END_TEST

START_TEST(options_override_the_file)
{
	struct config c;
	char *faults = load(&c,
			    "{\"kernel\": \"/nowhere\", \"cpus\": 2,"
			    "\"no-reboot\": true, \"pmu\": \"on\"}",
			    ARGS("--cpus", "4", "-", "--no-reboot=false",
				 "--kernel", KERNEL));

	ck_assert_str_eq(faults, "");
	ck_assert_str_eq(c.kernel, KERNEL);
	ck_assert_uint_eq(c.cpus, 4);
	ck_assert(!c.no_reboot);
	ck_assert_int_eq(c.pmu, SWITCH_ON);
	free(faults);
	config_fini(&c);

	/* A file that says nonsense is wrong even where nobody listens. */
	assert_faults("{\"cpus\": 0}",
		      ARGS("-", "--cpus=1", "--kernel", KERNEL),
		      "<stdin>:1:10: cpus: 0 is too small" CPUS_ALLOWED "\n");
	/* The place of an overridden value is the option's. */
	assert_faults("{\"kernel\": \"/nowhere\"}",
		      ARGS("-", "--kernel", "/elsewhere"),
		      "--kernel: cannot find /elsewhere: No such file or "
		      "directory\n");
}
END_TEST

START_TEST(paths_start_beside_the_file)
{
	int fd = memory_file("{\"kernel\": \"../exe\", \"console\": \"../x/y\","
			     "\"initrd\": \"/nowhere\"}");
	char *file = text_format("/proc/self/fd/%d", fd);
	char *expected = text_format(
		"%s:1:52: initrd: cannot find /nowhere: No such file or "
		"directory\n"
		"%s:1:33: console: cannot create /proc/self/fd/../x/y: No such "
		"file or directory\n",
		file, file);

	assert_faults(NULL, ARGS(file), expected);
	/* Those of the command line do not. */
	lseek(fd, 0, SEEK_SET);
	assert_faults(NULL,
		      ARGS(file, "--initrd", "nowhere",
			   "--console=" KERNEL "/x"),
		      "--initrd: cannot find nowhere: No such file or "
		      "directory\n"
		      "--console: cannot write /proc/self/exe/x: Not a "
		      "directory\n");
	close(fd);
	free(file);
	free(expected);
}
END_TEST

START_TEST(files)
{
	assert_faults("{\"kernel\": \"/nowhere\",\n\"initrd\": \"/tmp\"}",
		      ARGS("-"),
		      "<stdin>:1:12: kernel: cannot find /nowhere: No such "
		      "file or directory\n"
		      "<stdin>:2:11: initrd: /tmp is a directory; name a file "
		      "in it\n");
	assert_faults(NULL, ARGS("--kernel", "/dev/null", "--console=/tmp"),
		      "--kernel: /dev/null is no regular file; copy it into "
		      "one\n"
		      "--console: cannot write /tmp: Is a directory\n");
	assert_faults(NULL, ARGS("--kernel", KERNEL "/x"),
		      "--kernel: cannot find /proc/self/exe/x: Not a "
		      "directory\n");
}
END_TEST

START_TEST(no_permission)
{
	/* Each test is a process of its own: what root gives up stays away. */
	if (!geteuid())
		ck_assert_int_eq(setuid(65534), 0);
	assert_faults(NULL,
		      ARGS("--kernel", "/etc/shadow", "--console=/etc/passwd"),
		      "--kernel: cannot read /etc/shadow: Permission denied\n"
		      "--console: cannot write /etc/passwd: Permission "
		      "denied\n");
	assert_faults(NULL,
		      ARGS("--kernel", "/etc/shadow",
			   "--console=/etc/belfry-new"),
		      "--kernel: cannot read /etc/shadow: Permission denied\n"
		      "--console: cannot create /etc/belfry-new: Permission "
		      "denied\n");
	assert_faults(NULL, ARGS("/etc/shadow"),
		      "/etc/shadow: cannot open: Permission denied\n");
}
END_TEST

START_TEST(gigantic_pages_need_gigabytes)
{
	assert_faults("{\"memory-backing\": \"hugetlb-1G\",\n"
		      "\"memory\": \"1.5G\"}",
		      ARGS("-", "--kernel", KERNEL),
		      "<stdin>:2:11: memory: is not a multiple of 1G; "
		      "hugetlb-1G needs that\n");
	assert_faults(NULL,
		      ARGS("--memory-backing=hugetlb-1G", "--kernel", KERNEL),
		      "--memory: is not a multiple of 1G; "
		      "hugetlb-1G needs that\n");
	assert_faults(NULL,
		      ARGS("--memory-backing=hugetlb-1G", "--memory=2G",
			   "--kernel", KERNEL),
		      "");
	/* One fault is enough for one value. */
	assert_faults(
		NULL,
		ARGS("--memory-backing=hugetlb-1G", "--memory=x", "--kernel",
		     KERNEL),
		"--memory: \"x\" is not a size such as 512M or 4G" MEMORY_ALLOWED
		"\n");
}
END_TEST

START_TEST(all_at_once)
{
	assert_faults(
		"{\n"
		"\"kernal\": \"x\",\n"
		"\"cpus\": \"2\",\n"
		"\"cpus\": 3,\n"
		"\"memory\": \"33M\",\n"
		"\"timeout\": -1,\n"
		"\"expect\": \"a(b\",\n"
		"\"initrd\": \"/tmp\",\n"
		"\"no-reboot\": 1,\n"
		"\"sve\": null\n"
		"}\n",
		ARGS("-", "--cpu=3", "--pmu", "--seccomp=1", "x.json"),
		"--cpu: no such option; did you mean --cpus?\n"
		"x.json: a second file; the configuration is one, <stdin>"
		"\n"
		"<stdin>:2:1: kernal: no such key; did you mean "
		"\"kernel\"?\n"
		"<stdin>:3:9: cpus: \"2\" is a string" CPUS_ALLOWED "\n"
		"<stdin>:4:1: cpus: given again, after line 3; keep one\n"
		"<stdin>:5:11: memory: \"33M\" is not a multiple of 2M" MEMORY_ALLOWED
		"\n"
		"<stdin>:6:12: timeout: -1 is negative" SECONDS_ALLOWED "\n"
		"<stdin>:7:11: expect: \"a(b\" does not compile: "
		"Unmatched ( or \\(" REGEX_ALLOWED "\n"
		"<stdin>:9:14: no-reboot: 1 is a number; allowed: true "
		"or false\n"
		"<stdin>:10:8: sve: null is no value; allowed: auto, on, "
		"off\n"
		"--pmu: has no value; write --pmu WORD, or --pmu=WORD if "
		"the value begins with --\n"
		"--seccomp: \"1\" is unknown; allowed: on, log, "
		"off\n"
		"<stdin>: kernel: missing; name an arm64 Linux kernel to "
		"boot\n"
		"<stdin>:8:11: initrd: /tmp is a directory; name a file "
		"in it\n");
}
END_TEST

/* --- drives, nets, vfios --- */

static void give_disks(void)
{
	static const int fds[] = { DISK_FDS };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		int fd = memory_file("disk");

		ck_assert_int_eq(ftruncate(fd, 512), 0);
		dup2(fd, fds[i]);
		close(fd);
	}
}

/* What groups in @json and @args come to, without a fault. */
static void load_groups(struct config *c, const char *json, char **args)
{
	char *faults;

	give_disks();
	faults = load(c, json, args);
	ck_assert_str_eq(faults, "");
	free(faults);
}

static void assert_all_group_keys(const char *json, char **args)
{
	static const u8 mac[] = { 0x52, 0x54, 0, 0x12, 0x34, 0xab };
	struct config c;

	load_groups(&c, json, args);
	ck_assert_uint_eq(c.drives_nr, 2);
	ck_assert_str_eq(c.drives[0].path, DISK);
	ck_assert(!c.drives[0].readonly);
	ck_assert(c.drives[0].direct);
	ck_assert_uint_eq(c.drives[0].queues, 3);
	ck_assert_str_eq(c.drives[0].serial, "a,b=c");
	ck_assert(c.drives[0].discard);
	ck_assert_uint_eq(c.drives[0].bdf, 4 << 3);
	ck_assert_str_eq(c.drives[1].path, DISK2);
	ck_assert(c.drives[1].readonly);
	ck_assert(!c.drives[1].discard);
	ck_assert_uint_eq(c.nets_nr, 2);
	ck_assert_str_eq(c.nets[0].tap, "tap0");
	ck_assert_uint_eq(c.nets[0].fds_nr, 0);
	ck_assert_mem_eq(c.nets[0].mac, mac, sizeof(mac));
	ck_assert_uint_eq(c.nets[0].mtu, 1500);
	ck_assert_uint_eq(c.nets[0].queues, 2);
	ck_assert(!c.nets[0].offload);
	ck_assert_uint_eq(c.nets[0].bdf, 0x1f << 3);
	ck_assert_ptr_null(c.nets[1].tap);
	ck_assert_uint_eq(c.nets[1].fds_nr, 2);
	ck_assert_int_eq(c.nets[1].fds[0], 100);
	ck_assert_int_eq(c.nets[1].fds[1], 101);
	ck_assert_uint_eq(c.nets[1].queues, 2);
	ck_assert(c.nets[1].offload);
	ck_assert_uint_eq(c.vfios_nr, 2);
	ck_assert_str_eq(c.vfios[0].host, "0000:01:00.0");
	ck_assert_int_eq(c.vfios[0].doorbell, DOORBELL_RMR);
	ck_assert_uint_eq(c.vfios[0].bdf, 7 << 3);
	ck_assert_int_eq(c.vfios[0].fd, 0);
	ck_assert_int_eq(c.vfios[0].iommufd, 0);
	ck_assert_int_eq(c.vfios[1].fd, 100);
	ck_assert_int_eq(c.vfios[1].iommufd, 101);
	ck_assert_str_eq(c.vfios[1].host, "0001:ab:1f.7");
	ck_assert_int_eq(c.vfios[1].doorbell, DOORBELL_DIRECT);
	ck_assert_uint_eq(c.vfios[1].bdf, CONFIG_BDF_AUTO);
	config_fini(&c);
}

START_TEST(every_group_key)
{
	assert_all_group_keys(
		"{ \"drive\": [ { \"path\": \"" DISK "\","
		"\"direct\": true, \"queues\": 3, \"serial\": \"a,b=c\","
		"\"discard\": true, \"bdf\": \"00:04.0\" },"
		"{ \"path\": \"" DISK2 "\", \"readonly\": true } ],"
		"\"net\": [ { \"tap\": \"tap0\", \"mac\": \"52:54:00:12:34:ab\","
		"\"mtu\": 1500, \"queues\": 2, \"offload\": false,"
		"\"bdf\": \"1f\" }, { \"fd\": [100, 101] } ],"
		"\"vfio\": [ { \"host\": \"0000:01:00.0\","
		"\"doorbell\": \"rmr\", \"bdf\": \"7\" },"
		"{ \"host\": \"1:AB:1F.7\", \"doorbell\": \"direct\","
		"\"fd\": 100, \"iommufd\": 101,"
		"\"bdf\": \"auto\" } ] }",
		ARGS("-", "--kernel", KERNEL));
	assert_all_group_keys(
		NULL, ARGS("--kernel", KERNEL, "--drive",
			   "path=" DISK ",direct=true,queues=3,"
			   "serial=a,,b=c,discard,bdf=4",
			   "--drive=" DISK2 ",readonly",
			   "--net=tap0,mac=52:54:0:12:34:AB,mtu=1500,queues=2,"
			   "offload=false,bdf=00:1f.0",
			   "--net", "fd=100,fd=101",
			   "--vfio=01:00.0,doorbell=rmr,bdf=7", "--vfio",
			   "host=0001:ab:1f.7,doorbell=direct,fd=100,"
			   "iommufd=101"));
}
END_TEST

START_TEST(group_defaults)
{
	static const struct {
		char *cpus;
		u32 queues;
	} rows[] = { { "1", 1 }, { "3", 3 }, { "4", 4 }, { "5", 4 } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct config c;

		load_groups(&c, NULL,
			    ARGS("--kernel", KERNEL, "--cpus", rows[i].cpus,
				 "--drive", DISK, "--net=t", "--vfio=1:0.0"));
		ck_assert_uint_eq(c.drives[0].queues, rows[i].queues);
		ck_assert(!c.drives[0].readonly);
		ck_assert(!c.drives[0].direct);
		ck_assert(!c.drives[0].discard);
		ck_assert_ptr_null(c.drives[0].serial);
		ck_assert_uint_eq(c.drives[0].bdf, CONFIG_BDF_AUTO);
		ck_assert_uint_eq(c.nets[0].queues, 1);
		ck_assert_uint_eq(c.nets[0].mtu, 0);
		ck_assert(c.nets[0].offload);
		ck_assert_int_eq(c.vfios[0].doorbell, DOORBELL_AUTO);
		ck_assert_uint_eq(c.vfios[0].bdf, CONFIG_BDF_AUTO);
		config_fini(&c);
	}
}
END_TEST

/* A function of the host's has one name, however it was written. */
START_TEST(host_functions)
{
	static const struct {
		char *arg;
		const char *host;
	} rows[] = {
		{ "0000:01:00.0", "0000:01:00.0" },
		{ "host=0000:01:00.0", "0000:01:00.0" },
		{ "01:00.0", "0000:01:00.0" },
		{ "1:0.0", "0000:01:00.0" },
		{ "0:0:0.0", "0000:00:00.0" },
		{ "FF:1F.7", "0000:ff:1f.7" },
		{ "00000002:01:00.0", "0002:01:00.0" },
		{ "ABCDEF01:01:00.0", "abcdef01:01:00.0" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct config c;

		load_groups(&c, NULL,
			    ARGS("--kernel", KERNEL, "--vfio", rows[i].arg));
		ck_assert_str_eq(c.vfios[0].host, rows[i].host);
		config_fini(&c);
	}
}
END_TEST

/* Made ones are locally administered, each net's own, and stay the same. */
START_TEST(made_macs)
{
	static char *const rows[][2] = {
		{ "tap0", "tap1" },
		{ "fd=100", "fd=101" },
		{ "a", "b" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char **args = ARGS("--kernel", KERNEL, "--net", rows[i][0],
				   "--net", rows[i][1]);
		struct config c, again;

		load_groups(&c, NULL, args);
		load_groups(&again, NULL, args);
		for (u32 n = 0; n < 2; n++) {
			ck_assert_uint_eq(c.nets[n].mac[0], 0x02);
			ck_assert_mem_eq(c.nets[n].mac, again.nets[n].mac, 6);
		}
		ck_assert_mem_ne(c.nets[0].mac, c.nets[1].mac, 6);
		config_fini(&c);
		config_fini(&again);
	}
}
END_TEST

START_TEST(group_values_accepted)
{
	static const struct {
		char *arg;
		u32 queues, mtu, bdf;
	} rows[] = {
		{ "t,queues=1", 1, 0, CONFIG_BDF_AUTO },
		{ "t,queues=16", 16, 0, CONFIG_BDF_AUTO },
		{ "t,mtu=68", 1, 68, CONFIG_BDF_AUTO },
		{ "t,mtu=65535", 1, 65535, CONFIG_BDF_AUTO },
		{ "t,bdf=auto", 1, 0, CONFIG_BDF_AUTO },
		{ "t,bdf=0", 1, 0, 0 },
		{ "t,bdf=1F", 1, 0, 31 << 3 },
		{ "t,bdf=10.0", 1, 0, 16 << 3 },
		{ "t,bdf=0:4", 1, 0, 4 << 3 },
		{ "t,bdf=00:1f.0", 1, 0, 31 << 3 },
		{ "tap=exactly15bytes_", 1, 0, CONFIG_BDF_AUTO },
		{ "mtu=70,tap=t", 1, 70, CONFIG_BDF_AUTO },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct config c;

		load_groups(&c, NULL,
			    ARGS("--kernel", KERNEL, "--net", rows[i].arg));
		ck_assert_uint_eq(c.nets[0].queues, rows[i].queues);
		ck_assert_uint_eq(c.nets[0].mtu, rows[i].mtu);
		ck_assert_uint_eq(c.nets[0].bdf, rows[i].bdf);
		config_fini(&c);
	}
}
END_TEST

#define QUEUES_ALLOWED "; allowed: a whole number from 1 to 16"
#define MTU_ALLOWED    "; allowed: a whole number from 68 to 65535"
#define TAP_ALLOWED    "; allowed: a network interface's name of 1 to 15 bytes"
#define FD_ALLOWED     "; allowed: the number of an open descriptor, from 3"
#define MAC_ALLOWED    "; allowed: an address such as 52:54:00:12:34:56"
#define BDF_ALLOWED                                                    \
	"; allowed: as lspci prints it, 00:04.0, or 4.0, or 4; auto: " \
	"the first free"
#define HOST_ALLOWED \
	"; allowed: as lspci -D prints it, 0000:01:00.0, or 01:00.0"
#define SERIAL_ALLOWED \
	"; allowed: 1 to 20 bytes of text without control characters"

START_TEST(group_values_rejected)
{
	static const struct {
		const char *group, *rest, *key, *json, *msg;
	} rows[] = {
#define DRIVE "drive", "\"path\": \"" DISK "\""
#define NET   "net", "\"tap\": \"t\""
#define VFIO  "vfio", "\"host\": \"1:0.0\""
		{ DRIVE, "queues", "0", "0 is too small" QUEUES_ALLOWED },
		{ DRIVE, "queues", "17", "17 is too big" QUEUES_ALLOWED },
		{ DRIVE, "queues", "\"4\"",
		  "\"4\" is a string" QUEUES_ALLOWED },
		{ DRIVE, "queues", "[4]", "[...] is an array" QUEUES_ALLOWED },
		{ DRIVE, "readonly", "1",
		  "1 is a number; allowed: true or false" },
		{ DRIVE, "serial", "\"\"", "\"\" is empty" SERIAL_ALLOWED },
		{ DRIVE, "serial", "\"123456789012345678901\"",
		  "\"123456789012345678901\" is too long, with 21 "
		  "bytes" SERIAL_ALLOWED },
		{ DRIVE, "serial", "\"a\\nb\"",
		  "\"a?b\" has a control character" SERIAL_ALLOWED },
		{ DRIVE, "serial", "\"\\u001f\"",
		  "\"?\" has a control character" SERIAL_ALLOWED },
		{ DRIVE, "serial", "\"a\\u007f\"",
		  "\"a?\" has a control character" SERIAL_ALLOWED },
		{ DRIVE, "bdf", "4", "4 is a number" BDF_ALLOWED },
		{ DRIVE, "bdf", "\"01:04.0\"",
		  "\"01:04.0\" is not on bus 00, the only one" BDF_ALLOWED },
		{ DRIVE, "bdf", "\"20\"",
		  "\"20\" has a device number above 1f" BDF_ALLOWED },
		{ DRIVE, "bdf", "\"4.8\"",
		  "\"4.8\" has a function above 7" BDF_ALLOWED },
		{ DRIVE, "bdf", "\"\"",
		  "\"\" is no place on a bus" BDF_ALLOWED },
		{ DRIVE, "bdf", "\"4.\"",
		  "\"4.\" is no place on a bus" BDF_ALLOWED },
		{ DRIVE, "bdf", "\"00:\"",
		  "\"00:\" is no place on a bus" BDF_ALLOWED },
		{ DRIVE, "bdf", "\"0000:00:04.0\"",
		  "\"0000:00:04.0\" is no place on a bus" BDF_ALLOWED },
		{ DRIVE, "bdf", "\"004\"",
		  "\"004\" is no place on a bus" BDF_ALLOWED },
		{ DRIVE, "bdf", "\"00:04.0 \"",
		  "\"00:04.0 \" is no place on a bus" BDF_ALLOWED },
		{ DRIVE, "bdf", "\"4.g\"",
		  "\"4.g\" is no place on a bus" BDF_ALLOWED },
		{ NET, "mtu", "67", "67 is too small" MTU_ALLOWED },
		{ NET, "mtu", "65536", "65536 is too big" MTU_ALLOWED },
		{ NET, "queues", "0", "0 is too small" QUEUES_ALLOWED },
		{ NET, "queues", "17", "17 is too big" QUEUES_ALLOWED },
		{ NET, "mac", "\"53:54:00:12:34:56\"",
		  "\"53:54:00:12:34:56\" is a multicast address" MAC_ALLOWED },
		{ NET, "mac", "\"ff:ff:ff:ff:ff:ff\"",
		  "\"ff:ff:ff:ff:ff:ff\" is a multicast address" MAC_ALLOWED },
		{ NET, "mac", "\"00:00:00:00:00:00\"",
		  "\"00:00:00:00:00:00\" is all zero" MAC_ALLOWED },
		{ NET, "mac", "\"52:54:00:12:34\"",
		  "\"52:54:00:12:34\" is no MAC address" MAC_ALLOWED },
		{ NET, "mac", "\"52:54:00:12:34:56:78\"",
		  "\"52:54:00:12:34:56:78\" is no MAC address" MAC_ALLOWED },
		{ NET, "mac", "\"52:54:00:12:34:\"",
		  "\"52:54:00:12:34:\" is no MAC address" MAC_ALLOWED },
		{ NET, "mac", "\"52-54-00-12-34-56\"",
		  "\"52-54-00-12-34-56\" is no MAC address" MAC_ALLOWED },
		{ NET, "mac", "\"\"", "\"\" is no MAC address" MAC_ALLOWED },
		{ NET, "mac", "\"52:54:00:12:34:567\"",
		  "\"52:54:00:12:34:567\" is no MAC address" MAC_ALLOWED },
		{ "net", "\"fd\": 100", "tap", "\"\"",
		  "\"\" is empty" TAP_ALLOWED },
		{ "net", "\"fd\": 100", "tap", "\"sixteen_bytes_it\"",
		  "\"sixteen_bytes_it\" is too long, with 16 "
		  "bytes" TAP_ALLOWED },
		{ "net", "\"fd\": 100", "tap", "\"a/b\"",
		  "\"a/b\" is no interface's name" TAP_ALLOWED },
		{ "net", "\"fd\": 100", "tap", "\"tap%d\"",
		  "\"tap%d\" is no interface's name" TAP_ALLOWED },
		{ "net", "\"fd\": 100", "tap", "\"..\"",
		  "\"..\" is no interface's name" TAP_ALLOWED },
		{ "net", "\"fd\": 100", "tap", "\"a b\"",
		  "\"a b\" is no interface's name" TAP_ALLOWED },
		{ NET, "fd", "2", "2 is too small" FD_ALLOWED },
		{ NET, "fd", "-1", "-1 is negative" FD_ALLOWED },
		{ NET, "fd", "2147483648", "2147483648 is too big" FD_ALLOWED },
		{ NET, "fd", "[[3]]", "[...] is an array" FD_ALLOWED },
		{ NET, "fd", "\"3\"", "\"3\" is a string" FD_ALLOWED },
#define HOST(host)                                          \
	{ "vfio", "\"bdf\": \"4\"", "host", "\"" host "\"", \
	  "\"" host "\" is no PCI function's address" HOST_ALLOWED }
		HOST(""),
		HOST("1"),
		HOST("1.0"),
		HOST(":1.0"),
		HOST("1:"),
		HOST("1:0"),
		HOST("1:.0"),
		HOST("1:0."),
		HOST("1:0.00"),
		HOST("1:0.0 "),
		HOST(" 1:0.0"),
		HOST("100:0.0"),
		HOST("1:000.0"),
		HOST(":1:0.0"),
		HOST("0:0:1:0.0"),
		HOST("000000000:1:0.0"),
		HOST("g:0.0"),
		HOST("eth0"),
#undef HOST
		{ "vfio", "\"bdf\": \"4\"", "host", "\"0000:01:20.0\"",
		  "\"0000:01:20.0\" has a device number above "
		  "1f" HOST_ALLOWED },
		{ "vfio", "\"bdf\": \"4\"", "host", "\"0000:01:00.8\"",
		  "\"0000:01:00.8\" has a function above 7" HOST_ALLOWED },
		{ VFIO, "doorbell", "\"host\"",
		  "\"host\" is unknown; allowed: auto, direct, rmr" },
		{ VFIO, "bdf", "\"0000:01:00.0\"",
		  "\"0000:01:00.0\" is no place on a bus" BDF_ALLOWED },
#undef DRIVE
#undef NET
#undef VFIO
	};

	give_disks();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bool many = rows[i].json[0] == '[' && rows[i].json[1] == '[';
		char *json = text_format("{ \"%s\": [ { %s,\n\"%s\": %s } ] }",
					 rows[i].group, rows[i].rest,
					 rows[i].key, rows[i].json);
		char *msg =
			text_format("<stdin>:2:%zu: %s[0].%s: %s\n",
				    strlen(rows[i].key) + 5 + many,
				    rows[i].group, rows[i].key, rows[i].msg);

		assert_faults(json, ARGS("-", "--kernel", KERNEL), msg);
		free(json);
		free(msg);
	}
}
END_TEST

#define DRIVE_ALLOWED                                                     \
	"; allowed: an object such as { \"path\": ... }, or an array of " \
	"up to 32\n"

START_TEST(group_shapes)
{
	static const struct {
		const char *json, *msg;
	} rows[] = {
		{ "{\"drive\": []}", "" },
		{ "{\"drive\": \"root.img\"}",
		  "<stdin>:1:11: drive[0]: \"root.img\" is a string" DRIVE_ALLOWED },
		{ "{\"drive\": [{\"path\": \"" DISK "\"},\n 5, [{}], null]}",
		  "<stdin>:2:2: drive[1]: 5 is a number" DRIVE_ALLOWED
		  "<stdin>:2:5: drive[2]: [...] is an array" DRIVE_ALLOWED
		  "<stdin>:2:11: drive[3]: null is no value" DRIVE_ALLOWED },
		{ "{\"drive\": {\"path\": \"" DISK "\",\n\"read-only\": true,"
		  "\"path\": 1}}",
		  "<stdin>:2:1: drive[0].read-only: no such key; did you mean "
		  "\"readonly\"?\n"
		  "<stdin>:2:19: drive[0].path: given again, after line 1; "
		  "keep one\n" },
		{ "{\"drive\": {\"path\": \"" DISK "\",\n\"frobnicate\": 1}}",
		  "<stdin>:2:1: drive[0].frobnicate: no such key; belfry run "
		  "--help lists them\n" },
		{ "{\"drive\": [],\n\"drive\": {}}",
		  "<stdin>:2:1: drive: given again, after line 1; keep one\n" },
		{ "{\"drives\": []}",
		  "<stdin>:1:2: drives: no such key; did you "
		  "mean \"drive\"?\n" },
		{ "{\"drive\": {}}",
		  "<stdin>:1:11: drive[0].path: missing; name "
		  "a disk image or a block device\n" },
		{ "{\"drive\": {\"path\": 7}}",
		  "<stdin>:1:20: drive[0].path: 7 is a number; allowed: the "
		  "path of a file\n" },
		{ "{\"net\": [\n{}]}",
		  "<stdin>:2:1: net[0].tap: missing; name a TAP interface, or "
		  "give open ones with fd\n" },
		{ "{\"vfio\": [\n\"01:00.0\"]}",
		  "<stdin>:2:1: vfio[0]: \"01:00.0\" is a string; allowed: "
		  "an object such as { \"host\": ... }, or an array of up to "
		  "32\n" },
		{ "{\"vfio\": {\"doorbell\":\n\"rmr\"}}",
		  "<stdin>:1:10: vfio[0].host: missing; name a PCI function "
		  "of this host's (`lspci -D` shows all)\n" },
		{ "{\"net\": {\"fd\": []}}",
		  "<stdin>:1:9: net[0].tap: missing; name a TAP interface, or "
		  "give open ones with fd\n" },
	};

	give_disks();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_faults(rows[i].json, ARGS("-", "--kernel", KERNEL),
			      rows[i].msg);
}
END_TEST

#define NO_KEY                                                             \
	" is no key (belfry run --help lists them); if it is part of the " \
	"value before it, write the comma between them twice"

START_TEST(group_options)
{
	static const struct {
		char *option;
		const char *msg;
	} rows[] = {
		{ "--drive",
		  "--drive: has no value; write --drive PATH,..., or "
		  "--drive=PATH,... if the value begins with --\n" },
		{ "--drive=",
		  "--drive[0].path: \"\" is empty; allowed: the path of a "
		  "file\n" },
		{ "--drive=" DISK ",queues=0",
		  "--drive[0].queues: \"0\" is too small" QUEUES_ALLOWED "\n" },
		{ "--drive=" DISK ",readonly=yes",
		  "--drive[0].readonly: \"yes\" is neither; allowed: true or "
		  "false\n" },
		{ "--drive=" DISK ",readonli",
		  "--drive[0].readonli: no such key; did you mean "
		  "\"readonly\"?\n" },
		{ "--drive=" DISK ",frobnicate=x",
		  "--drive[0].frobnicate: no such key; belfry run --help lists "
		  "them\n" },
		{ "--drive=" DISK ",queues",
		  "--drive[0].queues: has no value; write queues=N\n" },
		{ "--drive=" DISK ",path=" DISK2,
		  "--drive[0].path: given twice; keep one\n" },
		{ "--drive=" DISK ",readonly,readonly=false",
		  "--drive[0].readonly: given twice; keep one\n" },
		{ "--drive=" DISK ",",
		  "--drive[0]: nothing behind the last comma; leave it out\n" },
		{ "--drive=a,,b=c.img",
		  "--drive[0]: nothing between two commas, which makes them "
		  "one that is part of \"a,b\", and that is no key; write one "
		  "comma between keys\n"
		  "--drive[0].path: missing; name a disk image or a block "
		  "device\n" },
		{ "--drive=" DISK ",readonly,,direct",
		  "--drive[0]: nothing between two commas, which makes them "
		  "one that is part of \"readonly,direct\", and that is no "
		  "key; write one comma between keys\n" },
		/* In front only: and a path may look like anything. */
		{ "--drive=readonly," DISK,
		  "--drive[0]: \"" DISK "\"" NO_KEY "\n"
		  "--drive[0].path: missing; name a disk image or a block "
		  "device\n" },
		{ "--drive=" DISK ",b.img",
		  "--drive[0]: \"b.img\"" NO_KEY "\n" },
		{ "--drive=a,,b,,.img",
		  "--drive[0].path: cannot find a,b,.img: No such file or "
		  "directory\n" },
		{ "--drive=path=,,,readonly",
		  "--drive[0].path: cannot find ,: No such file or "
		  "directory\n" },
		{ "--drive=path=a=b",
		  "--drive[0].path: cannot find a=b: No such file or "
		  "directory\n" },
		{ "--drive=" DISK ",discard,readonly",
		  "--drive[0].discard: given with readonly, by which nothing "
		  "can be discarded; leave one of them out\n" },
		{ "--drive=" DISK ",discard=false,readonly", "" },
		{ "--drive=readonly",
		  "--drive[0].path: missing; name a disk image or a block "
		  "device\n" },
		{ "--net=mtu=1500",
		  "--net[0].tap: missing; name a TAP interface, or give open "
		  "ones with fd\n" },
		{ "--net=t,offload=off",
		  "--net[0].offload: \"off\" is neither; allowed: true or "
		  "false\n" },
		{ "--net=fd=x",
		  "--net[0].fd: \"x\" is not a plain number" FD_ALLOWED "\n" },
		{ "--vfio=doorbell=auto",
		  "--vfio[0].host: missing; name a PCI function of this "
		  "host's (`lspci -D` shows all)\n" },
		{ "--vfio", "--vfio: has no value; write --vfio HOST,..., or "
			    "--vfio=HOST,... if the value begins with --\n" },
		{ "--dirve=" DISK,
		  "--dirve: no such option; did you mean --drive?\n" },
	};

	give_disks();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_faults(NULL, ARGS("--kernel", KERNEL, rows[i].option),
			      rows[i].msg);
}
END_TEST

/* Behind those of the file, and counted on from them. */
START_TEST(options_add_to_the_file)
{
	struct config c;

	load_groups(&c,
		    "{\"drive\": {\"path\": \"" DISK "\"},"
		    "\"net\": {\"tap\": \"t0\"}}",
		    ARGS("--net", "t1", "--drive", DISK2, "-", "--net=t2",
			 "--kernel", KERNEL));
	ck_assert_uint_eq(c.drives_nr, 2);
	ck_assert_str_eq(c.drives[0].path, DISK);
	ck_assert_str_eq(c.drives[1].path, DISK2);
	ck_assert_uint_eq(c.nets_nr, 3);
	ck_assert_str_eq(c.nets[0].tap, "t0");
	ck_assert_str_eq(c.nets[1].tap, "t1");
	ck_assert_str_eq(c.nets[2].tap, "t2");
	config_fini(&c);

	assert_faults("{\"drive\": {\"path\": \"" DISK "\"}}",
		      ARGS("-", "--drive", DISK2 ",queues=x", "--kernel",
			   KERNEL),
		      "--drive[1].queues: \"x\" is not a plain "
		      "number" QUEUES_ALLOWED "\n");
}
END_TEST

/* "[\n", then @nr lines of @front, a number from @from up, @back; owned. */
static char *array_of(u32 nr, const char *front, u32 from, const char *back)
{
	char *buf;
	size_t size;
	FILE *f = open_memstream(&buf, &size);

	fprintf(f, "[");
	for (u32 i = 0; i < nr; i++)
		fprintf(f, "%s\n%s%u%s", i ? "," : "", front, from + i, back);
	fprintf(f, "]");
	fclose(f);
	return buf;
}

static void assert_array(const char *before, u32 nr, const char *front,
			 u32 from, const char *back, const char *after,
			 const char *expected)
{
	char *array = array_of(nr, front, from, back);
	char *json = text_format("%s%s%s", before, array, after);

	assert_faults(json, ARGS("-", "--kernel", KERNEL), expected);
	free(array);
	free(json);
}

START_TEST(too_many)
{
	static const char drive[] =
		"{\"path\": \"" DISK "\", \"readonly\": true, \"serial\": \"";
	static const char net[] = "{\"tap\": \"t";
	static const char vfio[] = "{\"host\": \"";
	static const char end[] = "\"}";
	char *nets = array_of(CONFIG_NETS_MAX, net, 0, end);
	char *json = text_format("{\"net\": %s}", nets);

	give_disks();
	for (int fd = 120; fd <= 136; fd++)
		dup2(100, fd);
	assert_array("{\"net\":", 16, net, 0, end, "}", "");
	assert_array("{\"net\":", 17, net, 0, end, "}",
		     "<stdin>:18:1: net: one too many; there may be 16\n");
	assert_faults(json, ARGS("-", "--net=more", "--kernel", KERNEL),
		      "--net: one too many; there may be 16\n");
	assert_array("{\"net\": {\"fd\":", 16, "", 120, "", "}}", "");
	assert_array("{\"net\": {\"fd\":", 17, "", 120, "", "}}",
		     "<stdin>:18:1: net[0].fd: 136 is one too many, after "
		     "16" FD_ALLOWED "\n");
	assert_array("{\"drive\":", 32, drive, 0, end, "}", "");
	assert_array("{\"drive\":", 33, drive, 0, end, "}",
		     "<stdin>:34:1: drive: one too many; there may be 32\n");
	assert_array("{\"vfio\":", 32, vfio, 10, ":0.0\"}", "}", "");
	assert_array("{\"vfio\":", 33, vfio, 10, ":0.0\"}", "}",
		     "<stdin>:34:1: vfio: one too many; there may be 32\n");
	free(nets);
	free(json);
}
END_TEST

START_TEST(disks)
{
	static const struct {
		char *option;
		const char *msg;
	} rows[] = {
		{ "/nowhere",
		  "--drive[0].path: cannot find /nowhere: No such file or "
		  "directory\n" },
		{ "/tmp", "--drive[0].path: /tmp is a directory; name an image "
			  "in it\n" },
		{ "/dev/null",
		  "--drive[0].path: /dev/null is neither a regular file nor a "
		  "block device\n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_faults(NULL,
			      ARGS("--kernel", KERNEL, "--drive",
				   rows[i].option),
			      rows[i].msg);
	give_disks();
	ck_assert_int_eq(fchmod(100, 0444), 0);
	if (!geteuid())
		ck_assert_int_eq(setuid(65534), 0);
	assert_faults(NULL,
		      ARGS("--kernel", KERNEL, "--drive",
			   "/etc/shadow,readonly", "--drive=" DISK),
		      "--drive[0].path: cannot read /etc/shadow: Permission "
		      "denied\n"
		      "--drive[1].path: cannot write " DISK ": Permission "
		      "denied; readonly would do\n");
	assert_faults(NULL,
		      ARGS("--kernel", KERNEL, "--drive=" DISK ",readonly"),
		      "");
}
END_TEST

/* Found beside all else that is wrong. */
START_TEST(disk_sizes)
{
	give_disks();
	ck_assert_int_eq(ftruncate(100, 0), 0);
	ck_assert_int_eq(ftruncate(101, 513), 0);
	assert_faults("{\"drive\": {\"path\": \"" DISK "\"},\n\"cpus\": 0}",
		      ARGS("-", "--kernel", KERNEL,
			   "--drive=" DISK2 ",readonly"),
		      "<stdin>:2:9: cpus: 0 is too small" CPUS_ALLOWED "\n"
		      "<stdin>:1:20: drive[0].path: " DISK " is empty; "
		      "`truncate -s 10G " DISK "` makes it a blank disk\n"
		      "--drive[1].path: " DISK2 " has 513 bytes, no whole "
		      "number of sectors of 512; `truncate -s %512 " DISK2
		      "` adds what is missing\n");
}
END_TEST

/* For who finds a fault later. */
START_TEST(places_of_values)
{
	struct config c;

	load_groups(&c,
		    "{\"kernel\": \"" KERNEL "\",\n"
		    "\"drive\": [{\"path\": \"" DISK "\"}],\n"
		    "\"net\": {\"fd\": [100]},\n"
		    "\"vfio\": {\"bdf\": \"auto\", \"host\": \"1:0.0\"}}",
		    ARGS("-", "--initrd", DISK2, "--net=t", "--drive",
			 "readonly,path=" DISK2, "--vfio=2:0.0"));
	ck_assert_str_eq(c.kernel_place, "<stdin>:1:12: kernel");
	ck_assert_str_eq(c.initrd_place, "--initrd");
	ck_assert_str_eq(c.drives[0].place, "<stdin>:2:20: drive[0].path");
	ck_assert_str_eq(c.drives[1].place, "--drive[1].path");
	ck_assert_str_eq(c.nets[0].place, "<stdin>:3:15: net[0].fd");
	ck_assert_str_eq(c.nets[1].place, "--net[1].tap");
	ck_assert_str_eq(c.vfios[0].place, "<stdin>:4:33: vfio[0].host");
	ck_assert_str_eq(c.vfios[1].place, "--vfio[1].host");
	config_fini(&c);
}
END_TEST

/* A relative path of a drive starts where the file is; no other value does. */
START_TEST(disks_start_beside_the_file)
{
	int fd = memory_file("{\"kernel\": \"../exe\", \"drive\":"
			     "{\"path\": \"nowhere\", \"serial\": \"x\"}}");
	char *file = text_format("/proc/self/fd/%d", fd);
	char *expected = text_format(
		"%s:1:39: drive[0].path: cannot find /proc/self/fd/nowhere: "
		"No such file or directory\n",
		file);

	assert_faults(NULL, ARGS(file), expected);
	close(fd);
	free(file);
	free(expected);
}
END_TEST

#define TOO(option, of)                                      \
	option ": " DISK " is the file of " of ", too, and " \
	       "written to; name another"

START_TEST(files_for_two_things)
{
	static const struct {
		char *args[3];
		const char *msg;
	} rows[] = {
		{ { "--drive=" DISK ",readonly", "--drive=" DISK ",readonly" },
		  "" },
		{ { "--drive=" DISK, "--drive=" DISK2 }, "" },
		{ { "--drive=" DISK, "--drive=" DISK },
		  TOO("--drive[1].path",
		      "drive[0].path") ", or make it readonly\n" },
		{ { "--drive=" DISK ",readonly", "--drive=" DISK },
		  TOO("--drive[1].path",
		      "drive[0].path") ", or make it readonly\n" },
		{ { "--drive=" DISK, "--drive=" DISK ",readonly" },
		  TOO("--drive[1].path",
		      "drive[0].path") ", or make it readonly\n" },
		{ { "--initrd=" DISK, "--drive=" DISK },
		  TOO("--drive[0].path", "initrd") ", or make it readonly\n" },
		{ { "--initrd=" DISK, "--drive=" DISK ",readonly" }, "" },
		{ { "--console=" DISK, "--drive=" DISK ",readonly" },
		  TOO("--drive[0].path", "console") "\n" },
		{ { "--console=" DISK, "--initrd=" DISK },
		  TOO("--console", "initrd") "\n" },
		{ { "--console=/dev/null", "--drive=" DISK }, "" },
		{ { "--console=" DISK2, "--drive=" DISK, "--initrd=" DISK2 },
		  "--console: " DISK2 " is the file of initrd, too, and "
		  "written to; name another\n" },
	};

	give_disks();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_faults(NULL,
			      ARGS("--kernel", KERNEL, rows[i].args[0],
				   rows[i].args[1], rows[i].args[2]),
			      rows[i].msg);
}
END_TEST

START_TEST(serials_of_two_drives)
{
	give_disks();
	assert_faults("{\"drive\": {\"path\": \"" DISK "\",\n"
		      "\"serial\": \"a \u00e9~\"}}",
		      ARGS("-", "--kernel", KERNEL, "--drive",
			   DISK2 ",serial=b", "--net=t"),
		      "");
	assert_faults(
		"{\"drive\": [{\"path\": \"" DISK "\"},\n"
		"{\"path\": \"" DISK2 "\", \"serial\": \"a\"}]}",
		ARGS("-", "--kernel", KERNEL, "--drive",
		     DISK ",readonly,serial=a"),
		TOO("--drive[2].path",
		    "drive[0].path") ", or make it readonly\n"
				     "--drive[2].serial: a is drive[1]'s, too; give "
				     "another\n");
}
END_TEST

START_TEST(nets_in_each_others_way)
{
	static const struct {
		char *args[2];
		const char *msg;
	} rows[] = {
		{ { "t0,fd=100" },
		  "--net[0].fd: given beside tap; keep one of them\n" },
		{ { "fd=100,fd=101,queues=2" }, "" },
		{ { "fd=100,fd=101,queues=3" },
		  "--net[0].queues: 3, but 2 descriptors are given; leave it "
		  "out\n" },
		{ { "fd=100,fd=100" },
		  "--net[0].fd: 100 is given twice; keep one\n" },
		{ { "fd=102" },
		  "--net[0].fd: 102 is not open; whoever starts "
		  "Belfry opens it\n" },
		{ { "fd=100", "fd=101,fd=100" },
		  "--net[1].fd: 100 is net[0]'s, too; give another\n" },
		{ { "t0", "t1" }, "" },
		{ { "t0", "t0" },
		  "--net[1].tap: t0 is net[0]'s, too; name another\n" },
		{ { "t0,mac=52:54:00:00:00:01", "t1,mac=52:54:00:00:00:02" },
		  "" },
		{ { "t0,mac=52:54:00:00:00:01", "t1,mac=52:54:0:0:0:1" },
		  "--net[1].mac: is net[0]'s, too; give another\n" },
	};

	give_disks();
	close(102);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_faults(NULL,
			      ARGS("--kernel", KERNEL, "--net", rows[i].args[0],
				   rows[i].args[1] ? "--net" : NULL,
				   rows[i].args[1]),
			      rows[i].msg);
}
END_TEST

START_TEST(vfios_in_each_others_way)
{
	static const struct {
		char *args[3];
		const char *msg;
	} rows[] = {
		{ { "--vfio=1:0.0", "--vfio=1:0.1" }, "" },
		{ { "--vfio=1:0.0", "--vfio=0001:01:00.0" }, "" },
		{ { "--vfio=1:A.0", "--vfio=2:0.0", "--vfio=0000:01:0a.0" },
		  "--vfio[2].host: 0000:01:0a.0 is vfio[0]'s, too; name "
		  "another\n" },
		{ { "--vfio=1:0.0,bdf=4", "--vfio=1:0.1,bdf=4" },
		  "--vfio[1].bdf: 00:04.0 is vfio[0]'s, too; choose "
		  "another\n" },
		{ { "--vfio=1:0.0,fd=3,iommufd=5",
		    "--vfio=1:0.1,fd=4,iommufd=5" },
		  "" },
		{ { "--vfio=1:0.0,fd=3", "--vfio=1:0.1,fd=3" },
		  "--vfio[1].fd: 3 is vfio[0]'s, too; give another\n" },
		{ { "--vfio=1:0.0", "--smmu=off" }, "" },
		{ { "--vfio=1:0.0,doorbell=auto", "--smmu=off" }, "" },
		{ { "--vfio=1:0.0,doorbell=rmr", "--smmu=all" }, "" },
		{ { "--vfio=1:0.0,doorbell=direct", "--smmu=off" },
		  "--vfio[0].doorbell: direct is a way past the guest's SMMU, "
		  "and smmu is off; leave one of them out\n" },
		{ { "--smmu=off", "--vfio=1:0.0,doorbell=rmr" },
		  "--vfio[0].doorbell: rmr is a way past the guest's SMMU, "
		  "and smmu is off; leave one of them out\n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_faults(NULL,
			      ARGS("--kernel", KERNEL, rows[i].args[0],
				   rows[i].args[1], rows[i].args[2]),
			      rows[i].msg);
}
END_TEST

START_TEST(places_refused)
{
	give_disks();
	assert_faults("{\"drive\": {\"path\": \"" DISK "\", \"bdf\": \"4\"},\n"
		      "\"net\": {\"tap\": \"t\", \"bdf\": \"00:04.0\"}}",
		      ARGS("-", "--kernel", KERNEL),
		      "<stdin>:2:28: net[0].bdf: 00:04.0 is drive[0]'s, too; "
		      "choose another\n");
	assert_faults(NULL,
		      ARGS("--net=t,bdf=1f.7", "--drive=" DISK ",bdf=1e.0",
			   "--kernel", KERNEL),
		      "--net[0].bdf: 00:1f.7 without a function 0, and so no "
		      "guest looks for it; give that to another device\n");
	assert_faults(NULL,
		      ARGS("--net=t,bdf=1f.7", "--drive=" DISK ",bdf=1f",
			   "--kernel", KERNEL),
		      "");
}
END_TEST

/* "hvc 00:01.0, ..." of what was loaded; owned. */
static char *places(const struct config *c)
{
	char *buf;
	size_t size;
	FILE *f = open_memstream(&buf, &size);

	for (u32 i = 0; i < c->devices_nr; i++) {
		char bdf[CONFIG_BDF_TEXT];

		config_print_bdf(bdf, c->devices[i].bdf);
		fprintf(f, "%s%s %s", i ? ", " : "", c->devices[i].name, bdf);
	}
	fclose(f);
	return buf;
}

START_TEST(places_found)
{
	static const struct {
		char *args[4];
		const char *places;
	} rows[] = {
		{ { "--hvc=off", "--rng=false" }, "" },
		{ { "--rng" }, "rng 00:01.0" },
		{ { "--net=t", "--drive=" DISK, "--rng", "--hvc=stdio" },
		  "hvc 00:01.0, rng 00:02.0, drive[0] 00:03.0, net[0] 00:04.0" },
		{ { "--net=t,bdf=1", "--drive=" DISK, "--rng",
		    "--drive=" DISK2 },
		  "net[0] 00:01.0, rng 00:02.0, drive[0] 00:03.0, "
		  "drive[1] 00:04.0" },
		{ { "--net=t,bdf=2.1", "--drive=" DISK ",bdf=2", "--rng",
		    "--drive=" DISK2 },
		  "rng 00:01.0, drive[0] 00:02.0, net[0] 00:02.1, "
		  "drive[1] 00:03.0" },
		{ { "--net=t,bdf=0", "--rng" }, "net[0] 00:00.0, rng 00:01.0" },
		{ { "--vfio=1:0.0", "--vfio=2:0.0,bdf=1", "--net=t", "--rng" },
		  "vfio[1] 00:01.0, rng 00:02.0, net[0] 00:03.0, "
		  "vfio[0] 00:04.0" },
		{ { "--vfio=1:0.0", "--net=t,bdf=1.1", "--vfio=1:0.1,bdf=1" },
		  "vfio[1] 00:01.0, net[0] 00:01.1, vfio[0] 00:02.0" },
		{ { "--net=t,bdf=1f", "--rng" },
		  "rng 00:01.0, net[0] 00:1f.0" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct config c;
		char *found;

		load_groups(&c, NULL,
			    ARGS("--kernel", KERNEL, rows[i].args[0],
				 rows[i].args[1], rows[i].args[2],
				 rows[i].args[3]));
		found = places(&c);
		ck_assert_str_eq(found, rows[i].places);
		for (u32 d = 0; d < c.devices_nr; d++)
			ck_assert_int_eq("hrdnv"[c.devices[d].kind],
					 *c.devices[d].name);
		free(found);
		config_fini(&c);
	}
}
END_TEST

/* All of all kinds there is room for. */
START_TEST(places_for_all)
{
	char *args[4 + CONFIG_DEVICES_MAX] = { "--kernel", KERNEL, "--rng",
					       "--hvc=pty" };
	struct config c;
	u32 nr = 4;

	for (u32 i = 0; i < CONFIG_DRIVES_MAX; i++)
		args[nr++] = text_format("--drive=" DISK ",readonly");
	for (u32 i = 0; i < CONFIG_NETS_MAX; i++)
		args[nr++] = text_format("--net=t%u", i);
	for (u32 i = 0; i < CONFIG_VFIOS_MAX; i++)
		args[nr++] = text_format("--vfio=%x:0.0", i);
	load_groups(&c, NULL, args);
	ck_assert_uint_eq(c.devices_nr, CONFIG_DEVICES_MAX);
	for (u32 i = 1; i < c.devices_nr; i++)
		ck_assert_uint_gt(c.devices[i].bdf, c.devices[i - 1].bdf);
	ck_assert_uint_lt(c.devices[CONFIG_DEVICES_MAX - 1].bdf, 32 * 8);
	ck_assert_str_eq(c.devices[CONFIG_DEVICES_MAX - 1].name, "vfio[31]");
	while (nr > 4)
		free(args[--nr]);
	config_fini(&c);
}
END_TEST

/* A guest with hvc, rng and these many drives, of which the first @wanting want
 * a number each from @from up, and nets. */
static void load_many(struct config *c, u32 drives, u32 wanting, u32 from,
		      u32 nets)
{
	char *args[4 + CONFIG_DRIVES_MAX + CONFIG_NETS_MAX + 1] = {
		"--kernel", KERNEL, "--rng", "--hvc=pty"
	};
	u32 nr = 4;

	for (u32 i = 0; i < drives; i++)
		args[nr++] = i < wanting
				     ? text_format("--drive=" DISK
						   ",readonly,bdf=%x",
						   from + i)
				     : text_format("--drive=" DISK ",readonly");
	for (u32 i = 0; i < nets; i++)
		args[nr++] = text_format("--net=t%u", i);
	load_groups(c, NULL, args);
	while (nr > 4)
		free(args[--nr]);
}

/* Many devices share the last numbers, and guests find them in order. */
START_TEST(places_shared)
{
	static const struct {
		u32 drives, nets, single, last;
	} rows[] = {
		{ 29, 0, 31, 0xf8 }, { 30, 0, 31, 0xf9 }, { 32, 0, 31, 0xfb },
		{ 29, 7, 31, 0xff }, { 29, 8, 30, 0xff }, { 32, 16, 29, 0xff },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct config_device *d;
		struct config c;

		load_many(&c, rows[i].drives, 0, 0, rows[i].nets);
		d = c.devices;
		for (u32 k = 0; k < rows[i].single; k++)
			ck_assert_uint_eq(d[k].bdf, (k + 1) << 3);
		for (u32 k = rows[i].single; k < c.devices_nr; k++)
			ck_assert_msg(d[k].bdf == d[k - 1].bdf + 1 ||
					      d[k].bdf ==
						      (d[k - 1].bdf | 7) + 1,
				      "row %zu: %s at %#x", i, d[k].name,
				      d[k].bdf);
		ck_assert_uint_eq(d[c.devices_nr - 1].bdf, rows[i].last);
		for (u32 k = 1; k < c.devices_nr; k++)
			ck_assert(d[k].kind == d[k - 1].kind
					  ? d[k].index == d[k - 1].index + 1
					  : d[k].kind > d[k - 1].kind);
		config_fini(&c);
	}
}
END_TEST

/* Also beside those who want theirs. */
START_TEST(places_shared_with_wanted)
{
	static const struct {
		u32 wanting, from, nets;
		const char *places[3];
	} rows[] = {
		{ 31,
		  1,
		  0,
		  { "drive[0] 00:01.0, hvc 00:01.1, rng 00:01.2, "
		    "drive[1] 00:02.0" } },
		{ 30,
		  2,
		  7,
		  { "rng 00:01.0, net[0] 00:01.1, ",
		    "net[6] 00:01.7, drive[0] 00:02.0, hvc 00:02.1, " } },
		{ 30,
		  2,
		  8,
		  { "hvc 00:02.1, rng 00:02.2, drive[1]", "net[0] 00:01.0, ",
		    "net[7] 00:01.7" } },
		{ 30,
		  1,
		  7,
		  { "hvc 00:01.1, drive[1]", "rng 00:1f.0",
		    "net[6] 00:1f.7" } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct config c;
		char *found;

		load_many(&c, rows[i].wanting, rows[i].wanting, rows[i].from,
			  rows[i].nets);
		found = places(&c);
		for (int k = 0; k < 3 && rows[i].places[k]; k++)
			ck_assert_msg(strstr(found, rows[i].places[k]),
				      "row %zu: no %s in %s", i,
				      rows[i].places[k], found);
		free(found);
		config_fini(&c);
	}
}
END_TEST

UNIT_MAIN("config", an_its_only_for_devices, defaults, every_key, accepted,
	  rejected, rejected_options, lengths, empty_cmdline_is_one,
	  keys_and_documents, arguments, kernel_is_required,
	  options_override_the_file, paths_start_beside_the_file, files,
	  no_permission, gigantic_pages_need_gigabytes, all_at_once,
	  every_group_key, group_defaults, host_functions, made_macs,
	  group_values_accepted, group_values_rejected, group_shapes,
	  group_options, options_add_to_the_file, too_many, disks, disk_sizes,
	  places_of_values, disks_start_beside_the_file, files_for_two_things,
	  serials_of_two_drives, nets_in_each_others_way,
	  vfios_in_each_others_way, places_refused, places_found,
	  places_for_all, places_shared, places_shared_with_wanted)
