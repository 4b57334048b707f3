/*
 * Commands: found or refused, what they print and return; and the manual page
 * says what the tables say. Runs at the top of the source tree.
 */
#include "fakes/sysfs_tree.h"
#include "unit.h"

#include <belfry/ctl.h>
#include <belfry/tap.h>
#include <belfry/text.h>
#include <belfry/vfio.h>

#include <errno.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define KERNEL "/proc/self/exe"
#define MANUAL "src/ctl/belfry.1"

/* --- the host's networks --- */

static bool no_taps;

int __wrap_tap_check(const char *name, u32 queues, struct err *e);
int __wrap_tap_check(const char *name, u32 queues, struct err *e)
{
	return no_taps ? err_set(e, -EPERM, "no %s with %u", name, queues) : 0;
}

int __wrap_tap_check_fds(const int *fds, u32 queues, struct err *e);
int __wrap_tap_check_fds(const int *fds, u32 queues, struct err *e)
{
	return no_taps ? err_set(e, -EINVAL, "none of %u at %d", queues, *fds)
		       : 0;
}

/* --- the host's devices --- */

/* Where they are looked for; and /dev/vfio has what it should. */
static const char *sys = "/nowhere";

bool __real_plan_find(struct plan *p, const char *where, struct faults *f);
bool __wrap_plan_find(struct plan *p, const char *where, struct faults *f);
bool __wrap_plan_find(struct plan *p, const char *where, struct faults *f)
{
	ck_assert_str_eq(where, "/sys");
	return __real_plan_find(p, sys, f);
}

int __real_vfio_check(const char *where, const char *name, struct err *e);
int __wrap_vfio_check(const char *where, const char *name, struct err *e);
int __wrap_vfio_check(const char *where, const char *name, struct err *e)
{
	int err = __real_vfio_check(where, name, e);

	return err == -ENOENT ? 0 : err;
}

/* A host with a network card that it lends, in group 1. */
static void make_host(void)
{
	tree_init();
	sys = tree();
	tree_function("", "0000:01:00.0", 1, "vfio-pci");
	tree_lend("0000:01:00.0", "vfio0");
	tree_put("bus/pci/devices/0000:01:00.0/resource", "");
	tree_put("kernel/iommu_groups/1/reserved_regions",
		 "0x08000000 0x080fffff msi\n");
}

/* --- running commands --- */

/* What was written to standard output and standard error. */
struct said {
	char out[16384], err[2048];
};

static int redirect(int fd)
{
	int to = memfd_create("said", MFD_CLOEXEC);
	int saved = dup(fd);

	dup2(to, fd);
	close(to);
	return saved;
}

/* Back to @saved, and what was written meanwhile into @buf. */
static void take_back(int fd, int saved, char *buf, size_t size)
{
	ssize_t len = pread(fd, buf, size - 1, 0);

	ck_assert_int_ge(len, 0);
	buf[len] = '\0';
	dup2(saved, fd);
	close(saved);
}

/* The status of "belfry @args", as main has it. */
static int belfry(struct said *said, char **args)
{
	const struct command *cmd = args[0] ? command_find(args[0]) : NULL;
	int argc = 0, out, err, status;

	fflush(stdout);
	out = redirect(STDOUT_FILENO);
	err = redirect(STDERR_FILENO);
	while (args[argc])
		argc++;
	status = cmd ? command_run(cmd, argc - 1, args + 1)
		     : command_refuse(args[0]);
	take_back(STDERR_FILENO, err, said->err, sizeof(said->err));
	take_back(STDOUT_FILENO, out, said->out, sizeof(said->out));
	return status;
}

#define BELFRY(said, ...) \
	belfry(said, (char *[]) { __VA_ARGS__ __VA_OPT__(, ) NULL })

START_TEST(refusals)
{
	static const struct {
		char *name;
		const char *msg;
	} rows[] = {
		{ NULL, "belfry: error: no command; belfry help lists them\n" },
		{ "chek", "belfry: error: chek: no such command; did you mean "
			  "belfry check?\n" },
		{ "frobnicate", "belfry: error: frobnicate: no such command; "
				"belfry help lists them\n" },
		{ KERNEL, "belfry: error: " KERNEL ": no command but a file; "
			  "did you mean belfry run " KERNEL "?\n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct said said;

		ck_assert_int_eq(BELFRY(&said, rows[i].name), STATUS_USAGE);
		ck_assert_str_eq(said.err, rows[i].msg);
		ck_assert_str_eq(said.out, "");
	}
}
END_TEST

START_TEST(version)
{
	struct said said;

	ck_assert_int_eq(BELFRY(&said, "--version"), STATUS_OK);
	ck_assert_str_eq(said.out, "belfry " BELFRY_VERSION "\n");
	ck_assert_int_eq(BELFRY(&said, "version", "x"), STATUS_USAGE);
	ck_assert_str_eq(said.err, "belfry: error: version: takes no argument, "
				   "not x\n");
}
END_TEST

START_TEST(help)
{
	struct said by_name, by_option;

	ck_assert_int_eq(BELFRY(&by_name, "help"), STATUS_OK);
	for (const struct command *cmd = commands; cmd->name; cmd++)
		ck_assert_ptr_nonnull(strstr(by_name.out, cmd->help));
	ck_assert_int_eq(BELFRY(&by_option, "--help"), STATUS_OK);
	ck_assert_str_eq(by_name.out, by_option.out);

	ck_assert_int_eq(BELFRY(&by_name, "help", "check"), STATUS_OK);
	ck_assert_ptr_nonnull(strstr(by_name.out, "usage: belfry check ["));
	ck_assert_ptr_nonnull(strstr(by_name.out, "  --kernel PATH "));
	ck_assert_int_eq(BELFRY(&by_option, "check", "x.json", "--help"),
			 STATUS_OK);
	ck_assert_str_eq(by_name.out, by_option.out);

	ck_assert_int_eq(BELFRY(&by_name, "help", "chek"), STATUS_USAGE);
	ck_assert_str_eq(by_name.out, "");
}
END_TEST

/* Output that nobody took is no success. */
START_TEST(full_output)
{
	ck_assert_ptr_nonnull(freopen("/dev/full", "w", stdout));
	ck_assert_int_eq(command_run(command_find("version"), 0, NULL),
			 STATUS_FAILED);
}
END_TEST

/* The smallest thing that a check takes for a kernel. */
#define IMAGE_FD 100
#define IMAGE    "/proc/self/fd/100"

static void make_image(void)
{
	static const struct {
		u32 code[2];
		u64 text_offset, image_size, flags, reserved[3];
		char magic[4];
		u32 pe;
	} header = { .image_size = 65536, .flags = 10, .magic = "ARM\x64" };
	int fd = memfd_create("image", 0);

	ck_assert_int_eq(write(fd, &header, sizeof(header)), sizeof(header));
	ck_assert_int_eq(dup2(fd, IMAGE_FD), IMAGE_FD);
}

START_TEST(check)
{
	struct said said;

	make_image();
	ck_assert_int_eq(BELFRY(&said, "check", "--kernel", IMAGE, "--cpus=2",
				"--memory=1.5G"),
			 STATUS_OK);
	ck_assert_str_eq(said.out,
			 "fine: 2 CPUs, 1536M of memory, kernel " IMAGE "\n");
	ck_assert_str_eq(said.err, "");

	ck_assert_int_eq(BELFRY(&said, "check", "--cpu", "2"), STATUS_USAGE);
	ck_assert_str_eq(said.out, "");
	ck_assert_str_eq(
		said.err,
		"belfry: error: --cpu: no such option; did you mean "
		"--cpus?\n"
		"belfry: error: --kernel: missing; name an arm64 Linux "
		"kernel to boot\n");
}
END_TEST

#define DISK_FD  101
#define DISK     "/proc/self/fd/101"
#define DISK2_FD 102
#define DISK2    "/proc/self/fd/102"

static void make_disk_at(int at, off_t size)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, size), 0);
	ck_assert_int_eq(dup2(fd, at), at);
	close(fd);
}

static void make_disk(off_t size)
{
	make_disk_at(DISK_FD, size);
}

START_TEST(check_prints_devices)
{
	struct said said;

	make_image();
	make_disk(3 * 4096);
	make_disk_at(DISK2_FD, 512);
	ck_assert_int_eq(BELFRY(&said, "check", "--kernel", IMAGE, "--rng",
				"--hvc=pty", "--drive",
				DISK ",discard,serial=bell 7,direct", "--drive",
				DISK2 ",readonly",
				"--net=tap0,mac=52:54:00:12:34:56,bdf=1f,"
				"offload=false,mtu=9000",
				"--net=fd=100,fd=101,mac=52:54:00:12:34:57"),
			 STATUS_OK);
	ck_assert_str_eq(
		said.out,
		"fine: 1 CPU, 512M of memory, kernel " IMAGE "\n"
		"  00:01.0  hvc       hvc0 on a pseudo-terminal\n"
		"  00:02.0  rng       the host's random numbers\n"
		"  00:03.0  drive[0]  " DISK ", 12K, direct, discard, "
		"serial bell 7, 1 queue\n"
		"  00:04.0  drive[1]  " DISK2 ", 512, readonly, 1 queue\n"
		"  00:05.0  net[1]    descriptor 100+101, 52:54:00:12:34:57, "
		"2 queue pairs\n"
		"  00:1f.0  net[0]    tap0, 52:54:00:12:34:56, mtu 9000, "
		"no offload, 1 queue pair\n");
	ck_assert_str_eq(said.err, "");
}
END_TEST

/* What only opening a disk shows; every one of them, and the kernel's. */
START_TEST(check_opens_disks)
{
	struct flock all = { .l_type = F_WRLCK };
	struct said said;

	make_image();
	make_disk(512);
	ck_assert_int_eq(fcntl(DISK_FD, F_OFD_SETLK, &all), 0);
	ck_assert_int_eq(BELFRY(&said, "check", "--kernel", KERNEL, "--drive",
				DISK),
			 STATUS_USAGE);
	ck_assert_str_eq(said.out, "");
	ck_assert_ptr_nonnull(
		strstr(said.err, "belfry: error: --kernel: " KERNEL));
	ck_assert_ptr_nonnull(strstr(said.err,
				     "\nbelfry: error: --drive[0].path: " DISK
				     ": locked by another guest "));
	/* And let go of again. */
	make_disk(512);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(BELFRY(&said, "check", "--kernel", IMAGE,
					"--drive", DISK),
				 STATUS_OK);
}
END_TEST

/* Of networks as much as can be told, beside what opening files shows. */
START_TEST(check_looks_at_networks)
{
	static const char nets[] =
		"belfry: error: --net[0].tap: no tap0 with 2\n"
		"belfry: error: --net[1].fd: none of 2 at 100\n";
	struct said said;

	make_image();
	make_disk(512);
	no_taps = true;
	ck_assert_int_eq(BELFRY(&said, "check", "--kernel", IMAGE, "--net",
				"tap0,queues=2", "--net=fd=100,fd=101"),
			 STATUS_HOST);
	ck_assert_str_eq(said.out, "");
	ck_assert_str_eq(said.err, nets);

	ck_assert_int_eq(BELFRY(&said, "check", "--kernel", KERNEL, "--net",
				"tap0,queues=2", "--net=fd=100,fd=101"),
			 STATUS_USAGE);
	ck_assert_str_eq(said.out, "");
	ck_assert_ptr_eq(strstr(said.err, nets), said.err);
	ck_assert_ptr_nonnull(strstr(said.err, "\nbelfry: error: --kernel: "));

	/* Whoever wants the tree may be elsewhere. */
	ck_assert_int_eq(BELFRY(&said, "fdt", "--kernel", IMAGE, "--net=tap0"),
			 STATUS_OK);
}
END_TEST

START_TEST(check_looks_at_devices)
{
	static const char absent[] =
		"belfry: error: --vfio[0].host: device 0000:02:00.0: this host "
		"has none at that address (`lspci -D` shows all)\n";
	struct said said;

	make_image();
	make_host();
	ck_assert_int_eq(BELFRY(&said, "check", "--kernel", IMAGE,
				"--vfio=1:0.0,doorbell=rmr"),
			 STATUS_OK);
	ck_assert_str_eq(said.out,
			 "fine: 1 CPU, 512M of memory, kernel " IMAGE "\n"
			 "  00:01.0  vfio[0]   0000:01:00.0, 8086:10c9, SMMU 0 "
			 "(smmu3.0x0000000009050000), doorbell rmr\n");
	ck_assert_int_eq(BELFRY(&said, "check", "--kernel", IMAGE,
				"--vfio=1:0.0,bdf=3", "--smmu=off"),
			 STATUS_OK);
	ck_assert_str_eq(said.out,
			 "fine: 1 CPU, 512M of memory, kernel " IMAGE "\n"
			 "  00:03.0  vfio[0]   0000:01:00.0, 8086:10c9\n");

	ck_assert_int_eq(BELFRY(&said, "check", "--kernel", IMAGE,
				"--vfio=2:0.0"),
			 STATUS_HOST);
	ck_assert_str_eq(said.out, "");
	ck_assert_str_eq(said.err, absent);
	ck_assert_int_eq(BELFRY(&said, "fdt", "--kernel", IMAGE,
				"--vfio=2:0.0"),
			 STATUS_HOST);
	ck_assert_str_eq(said.err, absent);
	/* The operator's fault comes first, and is the status. */
	ck_assert_int_eq(BELFRY(&said, "check", "--kernel", KERNEL,
				"--vfio=2:0.0"),
			 STATUS_USAGE);
	ck_assert_ptr_nonnull(
		strstr(said.err, "belfry: error: --kernel: " KERNEL));
	ck_assert_ptr_nonnull(strstr(said.err, absent));
	tree_fini();
}
END_TEST

/* Where something is behind one. */
START_TEST(fdt_has_smmus)
{
	static const struct {
		char *option, *smmu;
		bool has, window;
	} rows[] = {
		{ "--rng", "--smmu=vfio", false, false },
		{ "--rng", "--smmu=all", true, false },
		{ "--rng=false", "--smmu=all", false, false },
		{ "--vfio=1:0.0", "--smmu=off", false, false },
		{ "--vfio=1:0.0", "--smmu=vfio", true, false },
		{ "--vfio=1:0.0,doorbell=rmr", "--smmu=vfio", true, true },
	};

	make_image();
	make_host();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		static const char node[] = "arm,smmu-v3", map[] = "iommu-map",
				  window[] = "iommu-addresses";
		struct said said = { .out = "" };

		ck_assert_int_eq(BELFRY(&said, "fdt", "--kernel", IMAGE,
					rows[i].option, rows[i].smmu),
				 STATUS_OK);
		ck_assert_msg(!memmem(said.out, sizeof(said.out), node,
				      sizeof(node)) == !rows[i].has,
			      "row %zu", i);
		ck_assert_msg(!memmem(said.out, sizeof(said.out), map,
				      sizeof(map)) == !rows[i].has,
			      "row %zu", i);
		ck_assert_msg(!memmem(said.out, sizeof(said.out), window,
				      sizeof(window)) == !rows[i].window,
			      "row %zu", i);
	}
	tree_fini();
}
END_TEST

/* There is a bus for those who have something on it. */
START_TEST(fdt_has_pci_for_devices)
{
	static const struct {
		char *option;
		bool pci;
	} rows[] = {
		{ "--rng=false", false },  { "--rng", true },
		{ "--hvc=stdio", true },   { "--net=tap0", true },
		{ "--drive=" DISK, true }, { "--hvc=off", false },
	};

	make_image();
	make_disk(512);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		static const char node[] = "pci-host-ecam-generic";
		struct said said = { .out = "" };

		ck_assert_int_eq(BELFRY(&said, "fdt", "--kernel", IMAGE,
					rows[i].option),
				 STATUS_OK);
		ck_assert_msg(!memmem(said.out, sizeof(said.out), node,
				      sizeof(node)) == !rows[i].pci,
			      "%s", rows[i].option);
	}
}
END_TEST

/* What is behind an ITS of ours is no memory of the guest's: of 512 MiB, with
 * stolen time's 64 KiB or without. */
START_TEST(fdt_has_no_memory_for_a_hidden_its)
{
	static const struct {
		char *irqchip, *steal_time, *rng;
		u32 size;
	} rows[] = {
		{ "--irqchip=kernel", "--steal-time=off", "--rng", 0x20000000 },
		{ "--irqchip=split", "--steal-time=off", "--rng", 0x1fed0000 },
		{ "--irqchip=user", "--steal-time=off", "--rng", 0x20000000 },
		{ "--irqchip=kernel", "--steal-time=on", "--rng", 0x1fff0000 },
		{ "--irqchip=split", "--steal-time=on", "--rng", 0x1fec0000 },
		/* Nor is there one where no device could use it. */
		{ "--irqchip=split", "--steal-time=off", "--rng=false",
		  0x20000000 },
	};

	make_image();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		static const char its[] = "arm,gic-v3-its";
		const u32 reg[] = { 0, htobe32(0x40000000), 0,
				    htobe32(rows[i].size) };
		struct said said = { .out = "" };

		ck_assert_int_eq(BELFRY(&said, "fdt", "--kernel", IMAGE,
					rows[i].irqchip, rows[i].steal_time,
					rows[i].rng),
				 STATUS_OK);
		ck_assert_msg(memmem(said.out, sizeof(said.out), reg,
				     sizeof(reg)),
			      "row %zu", i);
		ck_assert_ptr_nonnull(
			memmem(said.out, sizeof(said.out), its, sizeof(its)));
	}
}
END_TEST

#ifndef __aarch64__
START_TEST(elsewhere)
{
	struct said said;

	ck_assert_int_eq(BELFRY(&said, "run", "--kernel", KERNEL, "--cmdline",
				"it's $x", "--console="),
			 STATUS_USAGE);
	ck_assert_ptr_null(strstr(said.err, "tests/lab"));

	ck_assert_int_eq(BELFRY(&said, "run", "--kernel", KERNEL, "--cmdline",
				"it's $x"),
			 STATUS_HOST);
	ck_assert_ptr_nonnull(
		strstr(said.err, "run needs an arm64 host with KVM"));
	ck_assert_ptr_nonnull(strstr(said.err,
				     "\ntests/lab/belfry run --kernel " KERNEL
				     " --cmdline 'it'\\''s $x'\n"));

	ck_assert_int_eq(BELFRY(&said, "run", "--kernel", KERNEL, "--cmdline",
				""),
			 STATUS_HOST);
	ck_assert_ptr_nonnull(strstr(said.err, " --cmdline ''\n"));

	ck_assert_int_eq(BELFRY(&said, "doctor"), STATUS_HOST);
	ck_assert_ptr_nonnull(strstr(said.err, "\ntests/lab/belfry doctor\n"));
	ck_assert_int_eq(BELFRY(&said, "doctor", "01:00.0"), STATUS_HOST);
	ck_assert_ptr_nonnull(
		strstr(said.err, "\ntests/lab/belfry doctor 01:00.0\n"));
}
END_TEST
#endif

/* --- how a run ended --- */

START_TEST(statuses)
{
	static const struct {
		struct machine_outcome o;
		int status;
	} rows[] = {
		{ { .end = END_FAILED }, STATUS_HOST },
		{ { .end = END_FAILED, .refused = true }, STATUS_USAGE },
		{ { .end = END_FAILED, .started = true }, STATUS_FAILED },
		{ { .end = END_OFF }, STATUS_OK },
		{ { .end = END_RESET }, STATUS_RESET },
		{ { .end = END_CRASHED }, STATUS_CRASHED },
		{ { .end = END_EXPECTED }, STATUS_OK },
		{ { .end = END_MISSED }, STATUS_MISSED },
		{ { .end = END_TIMEOUT }, STATUS_TIMEOUT },
		{ { .end = END_QUIT }, STATUS_OK },
		{ { .end = END_SIGNAL, .signal = 15 }, 128 + 15 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		ck_assert_msg(outcome_status(&rows[i].o) == rows[i].status,
			      "row %zu", i);
}
END_TEST

/* The whole line but its end, which is how much memory this test had. */
static void check_json(const struct machine_outcome *o, u32 drives, u32 nets,
		       const char *expected)
{
	const struct config c = { .drives_nr = drives, .nets_nr = nets };
	static const char memory[] = ",\"max_rss_kib\":";
	char line[1024], *end;
	int saved = redirect(STDERR_FILENO);

	outcome_print_json(o, &c);
	take_back(STDERR_FILENO, saved, line, sizeof(line));
	end = strstr(line, memory);
	ck_assert_msg(end, "%s", line);
	ck_assert_uint_gt(strtoul(end + strlen(memory), NULL, 10), 0);
	ck_assert_str_eq(strchr(end, '}'), "}\n");
	*end = '\0';
	ck_assert_str_eq(line, expected);
}

START_TEST(json)
{
	struct machine_outcome o = {
		.end = END_EXPECTED,
		.setup_ns = 1234567890,
		.boot_ns = 2000000,
		.run_ns = 3999999,
		.resets = 1,
		.exits = 2,
		.mmio_exits = 3,
		.console_out = 4,
		.console_in = 5,
		.guest_faults = 6,
		.losses = { { 7, 0, 8 }, { 9 } },
		.its_commands = 10,
		.its_batches = 11,
	};

	check_json(&o, 3, 1,
		   "{\"end\":\"expected\",\"status\":0,"
		   "\"setup_ms\":1234.567,\"boot_ms\":2.000,"
		   "\"run_ms\":3.999,\"resets\":1,\"exits\":2,"
		   "\"mmio_exits\":3,\"its_commands\":10,"
		   "\"its_batches\":11,\"guest_faults\":6,"
		   "\"drive_errors\":[7,0,8],\"net_dropped\":[9],"
		   "\"console_out\":4,\"console_in\":5");
	o = (struct machine_outcome) { .end = END_SIGNAL, .signal = 2 };
	check_json(&o, 0, 0,
		   "{\"end\":\"signal\",\"status\":130,\"signal\":2,"
		   "\"setup_ms\":0.000,\"run_ms\":0.000,\"resets\":0,"
		   "\"exits\":0,\"mmio_exits\":0,\"guest_faults\":0,"
		   "\"console_out\":0,\"console_in\":0");
}
END_TEST

/* --- the manual page --- */

/* A whole file with a newline in front, so that "\nX" finds a line; owned. */
static char *manual(void)
{
	FILE *f = fopen(MANUAL, "re");
	char *text = calloc(1, 65536);

	ck_assert_msg(f, "no " MANUAL ": run this at the top of the source");
	text[0] = '\n';
	ck_assert_uint_gt(fread(text + 1, 1, 65534, f), 0);
	fclose(f);
	return text;
}

/*
 * "  --key ARG  " or "  key=ARG  " as a line of the manual page would have it:
 * what its items begin with, and what stands before the argument.
 */
static void print_key(FILE *out, const char *text, const char *item,
		      const char *before_arg)
{
	char name[64] = "", between[2] = "", arg[64] = "";

	sscanf(text, "%63[a-z0-9-]%1[ =]%63[A-Z,.]", name, between, arg);
	fprintf(out, ".It %s%s", item, name);
	if (*arg)
		fprintf(out, " %sAr %s", before_arg, arg);
	fputc('\n', out);
}

static void print_keys(FILE *out, const char *text)
{
	while ((text = strstr(text, "\n  --"))) {
		text += strlen("\n  --");
		print_key(out, text, "Fl -", "");
	}
}

static void print_man_keys(FILE *out, const char *text)
{
	while ((text = strstr(text, "\n.It Fl -"))) {
		text++;
		fprintf(out, "%.*s", (int)strcspn(text, "\n") + 1, text);
	}
}

/* Of a text that begins at a group's heading, up to the empty line. */
static void print_group(FILE *out, const char *text)
{
	const char *end;

	text = strstr(text, "\n\n") + 1;
	end = strstr(text + 1, "\n\n");
	while ((text = strstr(text, "\n  ")) && text < end) {
		text += strlen("\n  ");
		if (*text != ' ')
			print_key(out, text, "Cm ", "Ns = Ns ");
	}
}

/* Of a page that begins at a group's item, up to the next such item. */
static void print_man_group(FILE *out, const char *text)
{
	const char *end = strstr(text, "\n.It Fl -");

	while ((text = strstr(text, "\n.It Cm ")) && text < end) {
		text++;
		fprintf(out, "%.*s", (int)strcspn(text, "\n") + 1, text);
	}
}

/* What @print writes of @from; owned. */
static char *printed(void (*print)(FILE *, const char *), const char *from)
{
	char *buf;
	size_t size;
	FILE *f = open_memstream(&buf, &size);

	print(f, from);
	fclose(f);
	return buf;
}

START_TEST(manual_has_every_key)
{
	char *page = manual();
	struct said said;
	char *known, *told;

	ck_assert_int_eq(BELFRY(&said, "run", "--help"), STATUS_OK);
	known = printed(print_keys, said.out);
	told = printed(print_man_keys, page);
	ck_assert_ptr_nonnull(strstr(known, ".It Fl -kernel Ar PATH\n"));
	ck_assert_str_eq(told, known);
	free(known);
	free(told);
	free(page);
}
END_TEST

/* In the table's order, each group below its own key. */
START_TEST(manual_has_every_key_of_groups)
{
	static const struct {
		const char *heading, *item, *first;
	} rows[] = {
		{ "\n--drive takes", "\n.It Fl -drive ",
		  ".It Cm path Ns = Ns Ar PATH\n.It Cm readonly\n" },
		{ "\n--net takes", "\n.It Fl -net ",
		  ".It Cm tap Ns = Ns Ar NAME\n.It Cm fd Ns = Ns Ar N\n" },
		{ "\n--vfio takes", "\n.It Fl -vfio ",
		  ".It Cm host Ns = Ns Ar ADDRESS\n" },
	};
	char *page = manual();
	struct said said;

	ck_assert_int_eq(BELFRY(&said, "run", "--help"), STATUS_OK);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const char *heading = strstr(said.out, rows[i].heading);
		const char *item = strstr(page, rows[i].item);
		char *known, *told;

		ck_assert(heading && item);
		known = printed(print_group, heading);
		told = printed(print_man_group, item + 1);
		ck_assert_ptr_eq(strstr(known, rows[i].first), known);
		ck_assert_str_eq(told, known);
		free(known);
		free(told);
	}
	free(page);
}
END_TEST

START_TEST(manual_has_every_status)
{
	char *page = manual();
	unsigned i = 0;

	do {
		char *item = text_format("\n.It %u\n", i);

		ck_assert_msg(!strstr(page, item) == !status_meaning(i),
			      "status %u", i);
		free(item);
	} while (status_meaning(i++));
	ck_assert_uint_gt(i, STATUS_SANDBOX + 1);
	free(page);
}
END_TEST

START_TEST(manual_has_every_command)
{
	char *page = manual();

	for (const struct command *cmd = commands; cmd->name; cmd++) {
		char *use = text_format("\n.Nm\n.Cm %s\n", cmd->name);
		char *item = text_format("\n.It Cm %s\n", cmd->name);

		ck_assert_msg(strstr(page, use) && strstr(page, item), "%s",
			      cmd->name);
		free(use);
		free(item);
	}
	free(page);
}
END_TEST

UNIT_MAIN("ctl", refusals, version, help, full_output, check,
	  check_prints_devices, check_opens_disks, check_looks_at_networks,
	  check_looks_at_devices, fdt_has_smmus, fdt_has_pci_for_devices,
	  fdt_has_no_memory_for_a_hidden_its,
#ifndef __aarch64__
	  elsewhere,
#endif
	  statuses, json, manual_has_every_key, manual_has_every_key_of_groups,
	  manual_has_every_status, manual_has_every_command)
