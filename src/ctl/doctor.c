/*
 * belfry doctor: what this host offers, a line each, and what to do where it
 * does not. Says what a run would find out, without making a guest.
 */
#include <belfry/ctl.h>
#include <belfry/hostpci.h>
#include <belfry/kvm.h>
#include <belfry/log.h>
#include <belfry/loop.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "doctor.h"

/* A feature every guest may be given by its key, where the host has it. */
static void tell_feature(struct doctor *d, const char *key, bool there)
{
	doctor_tell(d, there ? FINE : LACKING, key, "%s",
		    there ? "offered to guests"
			  : "not offered by this host's KVM");
}

static void look_at_host(struct doctor *d)
{
	struct utsname u;

	uname(&u);
	doctor_tell(d, FINE, "host", "Linux %s, %ld KiB pages, %d CPUs",
		    u.release, sysconf(_SC_PAGESIZE) / 1024, get_nprocs());
}

/* Not in the kernel, but what goes without it. */
static void look_at_own_gic(struct doctor *d, bool usable)
{
	if (usable)
		doctor_tell(d, FINE, "user GIC", "usable (irqchip user)");
	else
		doctor_tell(
			d, LACKING, "user GIC",
			"KVM tells no levels of timers (KVM_CAP_ARM_USER_IRQ) or has no hardware breakpoints, so no irqchip user");
}

/* @without: a guest may have a GIC of ours instead. */
static void look_at_gic(struct doctor *d, int kvm, bool without)
{
	enum verdict lack = without ? LACKING : FATAL;
	int err = kvm_probe_gic(kvm, false);

	if (err) {
		doctor_tell(
			d, lack, "GICv3",
			"KVM cannot give guests one (%s): the host's interrupt controller has no GICv3 virtualisation",
			strerror(-err));
		return;
	}
	doctor_tell(d, FINE, "GICv3", "in the kernel");
	err = kvm_probe_gic(kvm, true);
	if (err)
		doctor_tell(d, lack, "ITS", "KVM cannot give guests one (%s)",
			    strerror(-err));
	else
		doctor_tell(d, FINE, "ITS", "in the kernel");
}

static void look_at_kvm(struct doctor *d)
{
	struct err e = { 0 };
	struct kvm_caps c;
	int kvm = kvm_open(&e);

	if (kvm < 0) {
		doctor_tell(d, FATAL, "KVM", "%s", e.msg);
		return;
	}
	kvm_probe(kvm, &c);
	doctor_tell(d, FINE, "KVM", "up to %u vCPUs, %u-bit guest addresses",
		    c.vcpus_max, c.ipa_bits_max);
	look_at_gic(d, kvm, c.no_gic);
	look_at_own_gic(d, c.no_gic);
	tell_feature(d, "pmu", c.pmu);
	tell_feature(d, "sve", c.sve);
	tell_feature(d, "pauth", c.pauth);
	tell_feature(d, "steal-time", c.steal_time);
	tell_feature(d, "suspend", c.system_suspend);
	close(kvm);
}

static void look_at_io_uring(struct doctor *d)
{
	struct err e = { 0 };
	struct loop *l = loop_create(&e);

	if (l)
		doctor_tell(d, FINE, "io_uring", "usable");
	else
		doctor_tell(d, FATAL, "io_uring", "%s", e.msg);
	loop_destroy(l);
}

static void look_at_tun(struct doctor *d)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd >= 0) {
		close(fd);
		doctor_tell(d, FINE, "tun", "usable");
	} else if (errno == EACCES || errno == EPERM) {
		doctor_tell(
			d, LACKING, "tun",
			"no right to /dev/net/tun, so no net: chmod 666 /dev/net/tun gives it, or use net's fd");
	} else {
		doctor_tell(d, LACKING, "tun",
			    "no /dev/net/tun (%s), so no net: modprobe tun",
			    strerror(errno));
	}
}

static void look_at_seccomp(struct doctor *d)
{
	/* EFAULT: it would have taken a filter, had we given one. */
	if (prctl(PR_SET_SECCOMP, 2, NULL) && errno == EFAULT)
		doctor_tell(d, FINE, "seccomp", "filters usable");
	else
		doctor_tell(
			d, FATAL, "seccomp",
			"the host's kernel takes no filters (CONFIG_SECCOMP_FILTER): only --seccomp off runs");
}

/* The bracketed word of a sysfs choice, or the whole first line. */
static bool read_choice(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);
	char *open_bracket, *close_bracket;

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return false;
	buf[n] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	open_bracket = strchr(buf, '[');
	close_bracket = open_bracket ? strchr(open_bracket, ']') : NULL;
	if (close_bracket) {
		*close_bracket = '\0';
		memmove(buf, open_bracket + 1, strlen(open_bracket + 1) + 1);
	}
	return true;
}

static void look_at_memory(struct doctor *d)
{
	struct sysinfo si = { 0 };
	char thp[64];

	sysinfo(&si);
	doctor_tell(d, FINE, "memory", "%llu MiB, %llu MiB of them free",
		    (unsigned long long)si.totalram * si.mem_unit / MIB,
		    (unsigned long long)si.freeram * si.mem_unit / MIB);
	if (!read_choice("/sys/kernel/mm/transparent_hugepage/enabled", thp,
			 sizeof(thp)) ||
	    !strcmp(thp, "never"))
		doctor_tell(
			d, LACKING, "huge pages",
			"no transparent ones; guests run slower: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled, or reserve some and use memory-backing");
	else
		doctor_tell(d, FINE, "huge pages", "transparent (%s)", thp);
}

static int tell_of_host(struct doctor *d)
{
	look_at_host(d);
	look_at_kvm(d);
	look_at_io_uring(d);
	look_at_tun(d);
	look_at_seccomp(d);
	look_at_memory(d);
	doctor_list_functions(d);
	puts(d->refused ? "this host cannot run guests until every NO is mended"
			: "this host can run guests");
	return d->refused ? STATUS_HOST : STATUS_OK;
}

static int tell_of_function(struct doctor *d, const char *text)
{
	char name[HOSTPCI_NAME];
	struct err e = { 0 };

	if (hostpci_name(text, name, &e)) {
		log_error("%s", e.msg);
		return STATUS_USAGE;
	}
	if (doctor_tell_function(d, name, &e)) {
		log_error("%s", e.msg);
		return STATUS_HOST;
	}
	printf("%s %s\n", name,
	       d->refused ? "cannot be lent until every NO is mended"
			  : "can be lent to a guest");
	return d->refused ? STATUS_HOST : STATUS_OK;
}

int cmd_doctor(int argc, char **argv)
{
	struct doctor d = { .sys = "/sys", .proc = "/proc" };

	if (argc > 1) {
		log_error("doctor: takes one PCI function, not also %s",
			  argv[1]);
		return STATUS_USAGE;
	}
	return argc ? tell_of_function(&d, argv[0]) : tell_of_host(&d);
}
