/*
 * What it takes of a host to lend devices to guests, beside the devices.
 */
#include <belfry/config.h>
#include <belfry/iommufd.h>
#include <belfry/text.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "doctor.h"

#define LINE_ROOM 4096

/* The first line with @word in it, of a file of /proc. */
static bool find_line(const struct doctor *d, const char *file,
		      const char *word, char line[static LINE_ROOM])
{
	char path[256];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", d->proc, file);
	f = fopen(path, "re");
	while (f && !found && fgets(line, LINE_ROOM, f))
		found = strstr(line, word);
	if (f)
		fclose(f);
	return found;
}

/* --- iommufd and VFIO --- */

/* Event queues of guests' SMMUs came in 6.15, as did interrupts that such
 * guests' devices can send; older kernels do not know the call. */
static bool is_old(int iommufd)
{
	struct iommufd_events q;
	struct err e;
	int err = iommufd_events_alloc(iommufd, 0, 1, &q, &e);

	iommufd_events_free(iommufd, &q);
	return err == -ENOTTY;
}

static void look_at_iommufd(struct doctor *d, enum verdict lack)
{
	struct err e = { 0 };
	int fd = iommufd_open(&e);

	d->iommufd = fd >= 0;
	if (fd < 0)
		doctor_tell(d, lack, "iommufd", "%s", e.msg);
	else if (is_old(fd))
		doctor_tell(
			d, LACKING, "iommufd",
			"usable, but this kernel is too old for guests to have an SMMU of their own: it takes Linux 6.15");
	else
		doctor_tell(d, FINE, "iommufd", "usable");
	if (fd >= 0)
		close(fd);
}

static bool has_module(const struct doctor *d, const char *name)
{
	char path[256];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", d->sys, name);
	return !stat(path, &st);
}

/* A kernel with CONFIG_VFIO_DEVICE_CDEV has numbers set aside for them. */
static void look_at_vfio(struct doctor *d, enum verdict lack)
{
	bool pci = has_module(d, "bus/pci/drivers/vfio-pci");
	char line[LINE_ROOM];

	if (!pci)
		doctor_tell(
			d, lack, "VFIO",
			"nothing here lends PCI functions: `modprobe vfio-pci`, or a kernel with CONFIG_VFIO_PCI and CONFIG_VFIO_DEVICE_CDEV, Linux 6.6 or newer");
	else if (!find_line(d, "devices", " vfio-dev\n", line))
		doctor_tell(
			d, lack, "VFIO",
			"this host's kernel lends devices by VFIO's old way only: it takes Linux 6.6 or newer with CONFIG_VFIO_DEVICE_CDEV");
	else
		doctor_tell(d, FINE, "VFIO",
			    "lends PCI functions by /dev/vfio/devices");
}

/* --- GICv4 --- */

#define PARAMETER "kvm-arm.vgic_v4_enable="

/* Is @what in the kernel's log, if we may read it and it is still there? */
static bool log_has(const char *what)
{
	const int read_all = 3, get_size = 10;
	int size = klogctl(get_size, NULL, 0);
	char *buf = size > 0 ? malloc((size_t)size + 1) : NULL;
	int len = buf ? klogctl(read_all, buf, size) : -1;
	bool found = false;

	if (len > 0) {
		buf[len] = '\0';
		found = strstr(buf, what);
	}
	free(buf);
	return found;
}

static bool log_has_gicv4(const char *state)
{
	char v4[40], v41[40];

	snprintf(v4, sizeof(v4), "GICv4 support %s", state);
	snprintf(v41, sizeof(v41), "GICv4.1 support %s", state);
	return log_has(v4) || log_has(v41);
}

/* As the kernel understands a switch. */
static bool asked_for(const struct doctor *d)
{
	char line[LINE_ROOM];
	const char *value;

	if (!find_line(d, "cmdline", PARAMETER, line))
		return false;
	value = strstr(line, PARAMETER) + strlen(PARAMETER);
	return strspn(value, "1yYtT") || !strncasecmp(value, "on", 2);
}

static void look_at_gicv4(struct doctor *d)
{
	if (log_has_gicv4("enabled"))
		doctor_tell(
			d, FINE, "GICv4",
			"used: interrupts of lent devices reach guests without the host");
	else if (log_has_gicv4("disabled"))
		doctor_tell(
			d, LACKING, "GICv4",
			"there, but not used, so interrupts of lent devices go by way of the host: boot it with " PARAMETER
			"1");
	else if (asked_for(d))
		doctor_tell(
			d, LACKING, "GICv4",
			"asked for (" PARAMETER
			"); whether the interrupt controller is one too, only the kernel's log tells: dmesg | grep GICv4");
	else
		doctor_tell(
			d, LACKING, "GICv4",
			"not used, so interrupts of lent devices go by way of the host: if its interrupt controller is a GICv4, boot it with " PARAMETER
			"1");
}

/* --- memory --- */

#define CAP_IPC_LOCK 14 /* linux/capability.h */

/* Whoever has it locks as much as there is. */
static bool may_lock_all(const struct doctor *d)
{
	char line[LINE_ROOM];

	return find_line(d, "self/status", "CapEff:", line) &&
	       strtoull(line + strlen("CapEff:"), NULL, 16) & BIT(CAP_IPC_LOCK);
}

static void look_at_locking(struct doctor *d, enum verdict lack)
{
	char size[TEXT_SIZE_MAX];
	struct rlimit r = { 0 };

	if (may_lock_all(d) ||
	    (!getrlimit(RLIMIT_MEMLOCK, &r) && r.rlim_cur == RLIM_INFINITY)) {
		doctor_tell(d, FINE, "locked", "any amount of memory can be");
		return;
	}
	text_print_size(size, r.rlim_cur);
	doctor_tell(
		d, r.rlim_cur < CONFIG_MEMORY_MIN ? lack : LACKING, "locked",
		"%s of memory can be, by all programs of this user together, and a guest that is lent a device needs all of its own so: raise `ulimit -l` (memlock in /etc/security/limits.conf, LimitMEMLOCK= of a systemd unit)",
		size);
}

void doctor_look_at_lending(struct doctor *d, enum verdict lack)
{
	look_at_iommufd(d, lack);
	look_at_vfio(d, lack);
	look_at_gicv4(d);
	look_at_locking(d, lack);
}
