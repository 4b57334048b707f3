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
#include <unistd.h>

#define KERNEL    "/proc/self/exe"
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
			"\"expect\": \"login: *$\", \"timeout\": 2.5,"
			"\"no-reboot\": true, \"json-status\": true,"
			"\"seccomp\": \"log\" }",
			ARGS("-"));
	assert_all_keys(NULL,
			ARGS("--kernel", KERNEL, "--initrd", "/proc/self/maps",
			     "--cmdline", "quiet \"x\" --y", "--cpus", "3",
			     "--memory=1.5G", "--memory-backing=memfd",
			     "--memory-prefault", "--sve=on", "--pauth=off",
			     "--pmu=on", "--steal-time", "off", "--console",
			     "/dev/null", "--expect=login: *$", "--timeout",
			     "2.5", "--no-reboot=true", "--json-status",
			     "--seccomp=log"));
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
	assert_faults(NULL, ARGS("--smp", "3", "--kernel", KERNEL),
		      "--smp: no such option; belfry run --help lists them\n");
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

UNIT_MAIN("config", defaults, every_key, accepted, rejected, rejected_options,
	  lengths, empty_cmdline_is_one, keys_and_documents, arguments,
	  kernel_is_required, options_override_the_file,
	  paths_start_beside_the_file, files, no_permission,
	  gigantic_pages_need_gigabytes, all_at_once)
