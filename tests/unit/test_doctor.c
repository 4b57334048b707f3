/*
 * doctor on lending devices: what it says of a host that is a directory tree
 * and of its functions, and what it asks of a kernel that writes it down.
 */
#include "fakes/sysfs_tree.h"
#include "fakes/vfio_kernel.h"
#include "unit.h"

#include "doctor.h"

#include <belfry/config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/resource.h>
#include <unistd.h>

#define FUNCTION "0000:01:00.0"
#define SECOND   "0000:01:00.1"

/* --- the world --- */

static const char *kernel_log; /* NULL: we may not read it */
static bool no_right;          /* to what VFIO lends */

int __wrap_klogctl(int type, char *buf, int len);
int __wrap_klogctl(int type, char *buf, int len)
{
	if (!kernel_log) {
		errno = EPERM;
		return -1;
	}
	if (type == 3)
		memcpy(buf, kernel_log, (size_t)len);
	return (int)strlen(kernel_log);
}

int __real_access(const char *path, int mode);
int __wrap_access(const char *path, int mode);
int __wrap_access(const char *path, int mode)
{
	if (strncmp(path, "/dev/", 5) != 0)
		return __real_access(path, mode);
	errno = EACCES;
	return no_right ? -1 : 0;
}

/* A host that can lend its functions, of which there are none. */
static void new_host(void)
{
	struct rlimit r = { .rlim_cur = 64 * MIB };

	vfio_kernel_reset();
	kernel_log = "[ 0.1] kvm [1]: GICv4.1 support enabled\n";
	no_right = false;
	ck_assert_int_eq(getrlimit(RLIMIT_MEMLOCK, &r), 0);
	r.rlim_cur = MIN(r.rlim_max, 64 * MIB);
	ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &r), 0);
	tree_init();
	tree_put("bus/pci/drivers/vfio-pci/bind", "");
	tree_put("proc/devices", "Character devices:\n  1 mem\n511 vfio-dev\n");
	tree_put("proc/cmdline", "console=ttyAMA0\n");
	tree_put("proc/self/status", "CapInh:\t0\nCapEff:\t0000000000004000\n");
}

#define WINDOW "0x0000000008000000 0x00000000080fffff msi\n"

static void put_file(const char *name, const char *file, const void *bytes,
		     size_t len)
{
	char path[128];

	snprintf(path, sizeof(path), "bus/pci/devices/%s/%s", name, file);
	tree_bytes(path, bytes, len);
}

/* @cap, of the id, is all it has; BARs are two pages large. */
static void put_config(const char *name, u8 id, u64 cap, size_t len)
{
	u8 config[256] = { [0x06] = 0x10, [0x34] = 0x40, [0x3d] = 1 };
	char bars[512] = "";

	cap = htole64(cap << 16 | id);
	memcpy(config + 0x40, &cap, 8);
	put_file(name, "config", config, len);
	for (unsigned long i = 0; i < 6; i++)
		snprintf(bars + strlen(bars), 64, "0x%lx 0x%lx 0x40200\n",
			 0x10000000 + i * 0x100000,
			 0x10000000 + i * 0x100000 +
				 2 * (unsigned long)sysconf(_SC_PAGESIZE) - 1);
	put_file(name, "resource", bars, strlen(bars));
}

#define MSIX_10_BAR_3 0x0000000030009
#define MSI_4         0x0004

/* A network card in a group of its own, with 10 of MSI-X. */
static void add_card(const char *name, int group, const char *driver)
{
	char path[80];

	tree_function("", name, group, driver);
	put_config(name, 0x11, MSIX_10_BAR_3, 256);
	snprintf(path, sizeof(path), "kernel/iommu_groups/%d/reserved_regions",
		 group);
	if (group >= 0)
		tree_put(path, WINDOW);
}

/* And VFIO lends it. */
static void add_lent(void)
{
	add_card(FUNCTION, 3, "vfio-pci");
	tree_lend(FUNCTION, "vfio7");
}

/* --- what is said --- */

static char said[16384];
static struct doctor doctor;

static FILE *listen_in(FILE **to)
{
	FILE *before = stdout;
	char proc[64];

	snprintf(proc, sizeof(proc), "%s/proc", tree());
	doctor = (struct doctor) { .sys = tree(), .proc = strdup(proc) };
	memset(said, 0, sizeof(said));
	*to = fmemopen(said, sizeof(said) - 1, "w");
	stdout = *to;
	return before;
}

static void stop_listening(FILE *to, FILE *before)
{
	stdout = before;
	fclose(to);
	free((char *)(uintptr_t)doctor.proc);
}

static void list(void)
{
	FILE *to, *before = listen_in(&to);

	doctor_list_functions(&doctor);
	stop_listening(to, before);
}

static void tell(void)
{
	FILE *to, *before = listen_in(&to);
	struct err e = { 0 };
	int err = doctor_tell_function(&doctor, FUNCTION, &e);

	stop_listening(to, before);
	ck_assert_msg(!err, "%s", e.msg);
}

static void says(const char *text)
{
	ck_assert_msg(strstr(said, text), "not \"%s\" in:\n%s", text, said);
}

static void says_not(const char *text)
{
	ck_assert_msg(!strstr(said, text), "\"%s\" in:\n%s", text, said);
}

static void listed(const char *text)
{
	list();
	says(text);
	ck_assert(!doctor.refused);
}

static void told(const char *text, bool refused)
{
	tell();
	says(text);
	ck_assert_msg(doctor.refused == refused, "%s", said);
}

/* --- the host --- */

START_TEST(host_that_lends)
{
	new_host();
	add_lent();
	listed("ok  iommufd      usable\n"
	       "ok  VFIO         lends PCI functions by /dev/vfio/devices\n"
	       "ok  GICv4        used: interrupts of lent devices reach guests "
	       "without the host\n"
	       "ok  locked       any amount of memory can be\n");
	tree_fini();
}
END_TEST

START_TEST(host_without_iommufd)
{
	new_host();
	add_lent();
	vfio_kernel.fail_at = 1;
	vfio_kernel.fail_with = ENOENT;
	listed("--  iommufd      /dev/iommu: No such file or directory: this "
	       "host's kernel has no iommufd: it takes Linux 6.15");
	/* The functions are not asked then. */
	ck_assert_int_eq(vfio_kernel.lines, 1);
	says("--  " FUNCTION);
	vfio_kernel_reset();
	vfio_kernel.fail_at = 1;
	vfio_kernel.fail_with = EACCES;
	told("NO  iommufd      /dev/iommu: Permission denied: no right", true);
	says("--  nesting      not known");
	tree_fini();
}
END_TEST

START_TEST(host_that_is_old)
{
	new_host();
	add_lent();
	vfio_kernel.fail_at = 2;
	vfio_kernel.fail_with = ENOTTY;
	listed("--  iommufd      usable, but this kernel is too old");
	says("it takes Linux 6.15\n");
	/* That there is no such SMMU as was asked with is as it should be. */
	vfio_kernel_reset();
	vfio_kernel.fail_at = 2;
	vfio_kernel.fail_with = ENOENT;
	listed("ok  iommufd      usable\n");
	tree_fini();
}
END_TEST

START_TEST(host_without_vfio)
{
	new_host();
	add_card(FUNCTION, 3, "igb");
	tree_put("proc/devices", "Character devices:\n  1 mem\n");
	listed("--  VFIO         this host's kernel lends devices by VFIO's old "
	       "way only: it takes Linux 6.6 or newer with "
	       "CONFIG_VFIO_DEVICE_CDEV\n");
	told("NO  VFIO         this host's kernel", true);
	tree_remove("bus/pci/drivers/vfio-pci");
	listed("--  VFIO         nothing here lends PCI functions: `modprobe "
	       "vfio-pci`");
	tree_fini();
}
END_TEST

START_TEST(gicv4)
{
	static const struct {
		const char *log, *cmdline, *says;
	} rows[] = {
		{ "kvm [1]: GICv4 support enabled\n", "",
		  "ok  GICv4        used:" },
		{ "kvm [1]: GICv4 support disabled\n", "",
		  "--  GICv4        there, but not used" },
		{ "kvm [1]: GICv4.1 support disabled\n", "",
		  "boot it with kvm-arm.vgic_v4_enable=1\n" },
		{ "nothing\n", "x\n", "--  GICv4        not used" },
		{ "nothing\n", "kvm-arm.vgic_v4_enable=0\n", "not used" },
		{ NULL, "x kvm-arm.vgic_v4_enable=1 y\n",
		  "--  GICv4        asked for" },
		{ NULL, "kvm-arm.vgic_v4_enable=on\n", "dmesg | grep GICv4\n" },
		{ NULL, "kvm-arm.vgic_v4_enable=", "not used" },
		{ NULL, "", "--  GICv4        not used" },
	};

	new_host();
	add_card(FUNCTION, 3, "igb");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		kernel_log = rows[i].log;
		tree_put("proc/cmdline", rows[i].cmdline);
		listed(rows[i].says);
	}
	tree_fini();
}
END_TEST

START_TEST(locked_memory)
{
	new_host();
	add_card(FUNCTION, 3, "igb");
	tree_put("proc/self/status", "CapEff:\t000001ffffffbfff\n");
	list();
	says("--  locked       ");
	says(" of memory can be, by all programs of this user together");
	says("raise `ulimit -l`");
	ck_assert(!doctor.refused);
	tree_fini();
}
END_TEST

/* Not even for the smallest guest. */
START_TEST(locked_memory_for_none)
{
	struct rlimit r;

	new_host();
	add_lent();
	told("ok  locked       ", false);
	tree_put("proc/self/status", "CapEff:\t000001ffffffbfff\n");
	ck_assert_int_eq(getrlimit(RLIMIT_MEMLOCK, &r), 0);
	r.rlim_cur = MIN(r.rlim_max, CONFIG_MEMORY_MIN - 1);
	ck_assert_int_eq(setrlimit(RLIMIT_MEMLOCK, &r), 0);
	told("NO  locked       ", true);
	tree_fini();
}
END_TEST

/* --- which functions --- */

START_TEST(no_iommu)
{
	int at = 0;

	new_host();
	add_card(FUNCTION, -1, "igb");
	list();
	ck_assert_str_eq(
		said,
		"--  passthrough  no PCI function that an IOMMU translates "
		"for: the firmware must tell of an SMMU in front of one, and "
		"the kernel have CONFIG_ARM_SMMU_V3\n");
	vfio_kernel_expect_end(at);
	tree_remove("bus");
	listed("--  passthrough  ");
	tree_fini();
}
END_TEST

/* In order, once each; bridges and what no IOMMU is in front of are not. */
START_TEST(list_of_functions)
{
	new_host();
	add_card("0000:02:00.0", 5, "nvme");
	put_file("0000:02:00.0", "class", "0x010802\n", 9);
	add_card(FUNCTION, 4, "igb");
	add_card("0000:03:00.0", -1, "e1000e");
	add_card("0000:00:01.0", 6, "pcieport");
	put_file("0000:00:01.0", "class", "0x060400\n", 9);
	list();
	ck_assert_str_eq(
		strstr(said, "--  0000"),
		"--  " FUNCTION " Ethernet 8086:10c9, igb, group 4, MSI-X 10, "
		"doorbell direct\n"
		"                 this host uses it (driver igb): as root, `echo "
		"vfio-pci >/sys/bus/pci/devices/" FUNCTION "/driver_override; "
		"echo " FUNCTION
		" >/sys/bus/pci/drivers/igb/unbind; echo " FUNCTION
		" >/sys/bus/pci/drivers_probe`\n"
		"--  0000:02:00.0 NVMe disk 8086:10c9, nvme, group 5, MSI-X "
		"10, doorbell direct\n"
		"                 this host uses it (driver nvme): as root, "
		"`echo vfio-pci >/sys/bus/pci/devices/0000:02:00.0/"
		"driver_override; echo 0000:02:00.0 >/sys/bus/pci/drivers/"
		"nvme/unbind; echo 0000:02:00.0 >/sys/bus/pci/drivers_probe`\n");
	tree_fini();
}
END_TEST

START_TEST(classes)
{
	static const struct {
		const char *class, *says;
	} rows[] = {
		{ "0x020000\n", " Ethernet 8086" },
		{ "0x028000\n", " network 8086" },
		{ "0x030200\n", " GPU 8086" },
		{ "0x0c0330\n", " USB controller 8086" },
		{ "0x00ff00\n", " device 8086" },
		{ "0xff0000\n", " device 8086" },
	};

	new_host();
	add_card(FUNCTION, 3, "");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		put_file(FUNCTION, "class", rows[i].class, 9);
		listed(rows[i].says);
	}
	tree_fini();
}
END_TEST

START_TEST(no_such_function)
{
	FILE *to, *before;
	struct err e = { 0 };
	int err;

	new_host();
	before = listen_in(&to);
	err = doctor_tell_function(&doctor, FUNCTION, &e);
	stop_listening(to, before);
	ck_assert_int_eq(err, -ENODEV);
	ck_assert_ptr_nonnull(strstr(e.msg, "device " FUNCTION ": "));
	tree_fini();
}
END_TEST

/* --- one function --- */

START_TEST(function_in_full)
{
	char text[1024], size[24];

	new_host();
	add_lent();
	snprintf(size, sizeof(size), "%ldK", sysconf(_SC_PAGESIZE) / 512);
	snprintf(text, sizeof(text),
		 "ok  " FUNCTION " Ethernet, 8086:10c9\n"
		 "ok  driver       vfio-pci, which lends it as "
		 "/dev/vfio/devices/vfio7\n"
		 "ok  IOMMU group  3, nothing else in it\n"
		 "ok  reset        flr bus\n"
		 "ok  interrupts   MSI-X, 10; their table, in BAR 3 (%s), can "
		 "be mapped\n"
		 "ok  SMMU         smmu3.0x0000000009050000\n"
		 "ok  nesting      its guest can have an SMMU of its own\n"
		 "ok  MSI window   0x08000000 to 0x080fffff\n"
		 "--  ITS          not known: the firmware does not tell, or "
		 "root alone may read it (IORT)\n"
		 "ok  doorbell     direct\n",
		 size);
	tell();
	ck_assert_str_eq(strstr(said, "ok  " FUNCTION), text);
	ck_assert(!doctor.refused);
	listed("ok  " FUNCTION " Ethernet 8086:10c9, vfio-pci, group 3, MSI-X "
	       "10, doorbell direct, nesting\n");
	tree_fini();
}
END_TEST

START_TEST(function_without_a_driver)
{
	new_host();
	add_card(FUNCTION, 3, "");
	told("NO  driver       no driver lends it to guests: as root, `echo ",
	     true);
	says("--  nesting      not known: the SMMU can be asked once");
	listed("--  " FUNCTION " Ethernet 8086:10c9, no driver, group 3");
	tree_fini();
}
END_TEST

/* Of a bridge there is no more to say. */
START_TEST(a_bridge)
{
	new_host();
	add_card(FUNCTION, 3, "pcieport");
	put_file(FUNCTION, "class", "0x060400\n", 9);
	tell();
	ck_assert_str_eq(strstr(said, "ok  " FUNCTION),
			 "ok  " FUNCTION " bridge, 8086:10c9\n"
			 "NO  driver       a bridge; name the functions behind "
			 "it that the guest is to have\n");
	ck_assert(doctor.refused);
	tree_fini();
}
END_TEST

START_TEST(function_of_another_user)
{
	new_host();
	add_lent();
	no_right = true;
	told("NO  driver       no right to open it: as root, `chown ", true);
	says_not("device " FUNCTION ": ");
	tree_fini();
}
END_TEST

START_TEST(function_that_cannot_be_reset)
{
	new_host();
	add_lent();
	tree_remove("bus/pci/devices/" FUNCTION "/reset_method");
	tree_remove("bus/pci/devices/" FUNCTION "/iommu");
	told("--  reset        not alone", false);
	says("--  SMMU         not known\n");
	tree_fini();
}
END_TEST

START_TEST(others_in_the_group)
{
	new_host();
	add_lent();
	add_card(SECOND, 3, "igb");
	add_card("0000:00:01.0", 3, "pcieport");
	told("NO  IOMMU group  3, which is lent as one:\n"
	     "                 0000:00:01.0, pcieport\n"
	     "                 device " SECOND ": this host uses it (driver "
	     "igb): as root, `",
	     true);
	says("--  nesting      not known");
	listed("--  " FUNCTION " Ethernet");
	says("in the way, in its IOMMU group: device " SECOND ": this host "
	     "uses it");
	/* What is not in the way. */
	tree_remove("bus/pci/devices/" SECOND "/driver");
	told("ok  IOMMU group  3, which is lent as one:\n"
	     "                 0000:00:01.0, pcieport\n"
	     "                 " SECOND ", no driver\n",
	     false);
	says("--  nesting      this host's IOMMU cannot tell it from "
	     "0000:00:01.0, and no guest's SMMU could (without it: --smmu "
	     "off)\n");
	says("--  doorbell     host: its guest has no SMMU in front of it");
	listed("ok  " FUNCTION " Ethernet");
	says_not("in the way, in its IOMMU group: device " SECOND);
	/* What is no PCI function. */
	tree_link("kernel/iommu_groups/3/devices/dma", "devices/platform/dma");
	tree_put("devices/platform/dma/modalias", "");
	tree_link("devices/platform/dma/driver", "bus/platform/drivers/pl330");
	told("dma (driver pl330), which is no PCI function: unbind it\n", true);
	tree_fini();
}
END_TEST

START_TEST(doorbells)
{
	u64 page = (u64)sysconf(_SC_PAGESIZE);
	char bars[80];

	new_host();
	add_lent();
	put_config(FUNCTION, 0x05, MSI_4, 256);
	told("ok  interrupts   MSI only, 4\n", false);
	says("--  doorbell     rmr: the message of MSI keeps");
	listed("MSI 4, doorbell rmr, nesting\n");

	put_config(FUNCTION, 0x01, 0, 256);
	told("ok  interrupts   INTx only\n", false);
	says("--  doorbell     none: it sends no messages\n");
	listed("INTx, doorbell none");
	says("                 doorbell none: it sends no messages\n");

	/* As those see it who have no right. */
	put_config(FUNCTION, 0x11, MSIX_10_BAR_3, 64);
	told("--  interrupts   not known: the kernel shows", false);
	says("--  doorbell     not known: run this as root\n");
	listed("interrupts not known, doorbell not known, nesting\n"
	       "--  not known    what some of them interrupt with, and so "
	       "their doorbell: the kernel shows that (config space from 0x40) "
	       "to root only");
	tree_remove("bus/pci/devices/" FUNCTION "/config");
	told("--  interrupts   not known", false);
	put_config(FUNCTION, 0x11, MSIX_10_BAR_3, 256);
	list();
	says_not("not known");

	/* BAR 0 is small: alone in its page, then not; then an I/O port. */
	put_config(FUNCTION, 0x11, 9, 256);
	snprintf(bars, sizeof(bars), "0x%llx 0x%llx 0x40200\n",
		 (unsigned long long)(8 * page),
		 (unsigned long long)(8 * page + 0xff));
	put_file(FUNCTION, "resource", bars, strlen(bars));
	told("in BAR 0 (256), can be mapped\n", false);
	says("ok  doorbell     direct\n");
	snprintf(bars, sizeof(bars), "0x%llx 0x%llx 0x40200\n",
		 (unsigned long long)(8 * page + 0x100),
		 (unsigned long long)(8 * page + 0x1ff));
	put_file(FUNCTION, "resource", bars, strlen(bars));
	told("--  interrupts   MSI-X, 10; their table, in BAR 0 (256), cannot "
	     "be mapped",
	     false);
	says("--  doorbell     rmr: its MSI-X table cannot be mapped");
	put_file(FUNCTION, "resource", "0x0 0xffffff 0x40101\n", 21);
	told("--  doorbell     rmr: its MSI-X table cannot be mapped", false);
	/* A table that goes past its BAR. */
	put_file(FUNCTION, "resource", "0x0 0x9f 0x40200\n", 17);
	told("ok  doorbell     direct\n", false);
	put_file(FUNCTION, "resource", "0x0 0x9e 0x40200\n", 17);
	told("--  doorbell     rmr: its MSI-X table cannot be mapped", false);
	tree_fini();
}
END_TEST

START_TEST(windows)
{
	static const struct {
		const char *regions, *row, *why;
	} rows[] = {
		{ WINDOW, "ok  MSI window   0x08000000 to 0x080fffff\n",
		  "ok  doorbell     direct\n" },
		{ "0x0 0xfff direct\n", "--  MSI window   this host has none",
		  "--  doorbell     none: this host has no window" },
		{ "0x8000000 0x80effff msi\n",
		  "--  MSI window   0x08000000 to 0x080effff\n",
		  "--  doorbell     none: this host's MSI window is not where" },
		{ "0x9000000 0x90fffff msi\n",
		  "--  MSI window   0x09000000 to 0x090fffff\n",
		  "--  doorbell     none: this host's MSI window is not where" },
	};

	new_host();
	add_lent();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		tree_put("kernel/iommu_groups/3/reserved_regions",
			 rows[i].regions);
		told(rows[i].row, false);
		says(rows[i].why);
	}
	tree_fini();
}
END_TEST

/* --- asking the SMMU --- */

/* Everything is made once, and undone last first. */
START_TEST(asks_and_gives_back)
{
	int held, at = 0;
	struct err e = { 0 };

	new_host();
	add_lent();
	held = vfio_kernel_held();
	ck_assert_int_eq(doctor_ask_smmu(tree(), FUNCTION, &e), NESTING_USABLE);
	vfio_kernel_expect(&at, "open /dev/iommu 0x80002",
			   "open /dev/vfio/devices/vfio7 0x80002", NULL);
	ck_assert_str_eq(strtok(vfio_kernel.line[at++], " "), "BIND_IOMMUFD");
	vfio_kernel_expect(
		&at, "GET_HW_INFO dev 0x1 len 0x28", "IOAS_ALLOC",
		"HWPT_ALLOC flags 0x1 dev 0x1 pt 0x2 type 0x0 len 0x0:",
		"VIOMMU_ALLOC type 0x1 dev 0x1 hwpt 0x3", "DESTROY id 0x4",
		"DESTROY id 0x3", "DESTROY id 0x2", NULL);
	vfio_kernel_expect_end(at);
	ck_assert_int_eq(vfio_kernel_held(), held);
	tree_fini();
}
END_TEST

/* Whatever fails: it is told, and nothing stays. */
START_TEST(asking_fails)
{
	int held, made = 0;

	new_host();
	add_lent();
	held = vfio_kernel_held();
	for (int i = 1; i <= 7; i++) {
		enum doctor_nesting n;
		struct err e = { 0 };
		const char *call;

		vfio_kernel_reset();
		vfio_kernel_forget();
		vfio_kernel.fail_at = i;
		vfio_kernel.fail_with = EOPNOTSUPP;
		n = doctor_ask_smmu(tree(), FUNCTION, &e);
		call = vfio_kernel.failed;
		ck_assert_int_eq(vfio_kernel_held(), held);
		ck_assert_msg(n == (i == 1   ? NESTING_NOT_ASKED
				    : i <= 3 ? NESTING_BUSY
					     : NESTING_REFUSED),
			      "%s", call);
		ck_assert_msg(e.code && *e.msg, "%s", call);
		/* An address space, a page table; with i of 6 and 7. */
		for (int l = 0; l < vfio_kernel.lines; l++)
			made += !strncmp(vfio_kernel.line[l], "DESTROY", 7);
		ck_assert_int_eq(made, i < 6 ? 0 : i == 6 ? 1 : 3);
	}
	tree_fini();
}
END_TEST

START_TEST(an_smmu_that_refuses)
{
	new_host();
	add_lent();
	/* Its own seventh call, after three of the host's. */
	vfio_kernel.fail_at = 10;
	vfio_kernel.fail_with = EOPNOTSUPP;
	told("--  nesting      IOMMU_VIOMMU_ALLOC: ", false);
	says("S2FWB or the firmware's word (CANWBS in the IORT)");
	says(" (without it: --smmu off)\n");
	vfio_kernel_reset();
	vfio_kernel_forget();
	vfio_kernel.fail_at = 10;
	vfio_kernel.fail_with = EOPNOTSUPP;
	listed("ok  " FUNCTION);
	says("doorbell direct\n                 no SMMU for its guest: "
	     "IOMMU_VIOMMU_ALLOC: ");

	vfio_kernel_reset();
	vfio_kernel.hw_type = 1;
	told("--  nesting      what translates for it is no SMMUv3", false);
	tree_fini();
}
END_TEST

START_TEST(a_function_in_use)
{
	new_host();
	add_lent();
	vfio_kernel.fail_at = 6;
	vfio_kernel.fail_with = EINVAL;
	told("NO  driver       another program uses it "
	     "(`fuser /dev/vfio/devices/vfio7` names it): end that\n",
	     true);
	says("--  nesting      not known");
	tree_fini();
}
END_TEST

UNIT_MAIN("doctor", host_that_lends, host_without_iommufd, host_that_is_old,
	  host_without_vfio, gicv4, locked_memory, locked_memory_for_none,
	  no_iommu, list_of_functions, classes, no_such_function,
	  function_in_full, function_without_a_driver, a_bridge,
	  function_of_another_user, function_that_cannot_be_reset,
	  others_in_the_group, doorbells, windows, asks_and_gives_back,
	  asking_fails, an_smmu_that_refuses, a_function_in_use)
