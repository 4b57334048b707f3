/*
 * The kernel's own counters of a vCPU, KVM_GET_STATS_FD: a header, names with
 * offsets, then the numbers (api.rst, 4.133). Found once, read at the end.
 */
#include "vm.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define NAME_MAX_LEN 64

static void note_stat(struct kvm *k, const char *name, u64 off)
{
	if (!strcmp(name, "exits"))
		k->exits.off = off;
	else if (!strcmp(name, "mmio_exit_user"))
		k->mmio_exits.off = off;
}

static bool find_stats(struct kvm *k, int fd)
{
	struct kvm_stats_header h;
	union {
		struct kvm_stats_desc desc;
		char bytes[sizeof(struct kvm_stats_desc) + NAME_MAX_LEN];
	} d;
	size_t stride;

	if (pread(fd, &h, sizeof(h), 0) != sizeof(h) ||
	    h.name_size > NAME_MAX_LEN)
		return false;
	stride = sizeof(d.desc) + h.name_size;
	for (u32 i = 0; i < h.num_desc; i++) {
		off_t at = h.desc_offset + (off_t)(i * stride);

		if (pread(fd, &d, stride, at) != (ssize_t)stride)
			return false;
		d.bytes[stride - 1] = '\0';
		note_stat(k, d.bytes + sizeof(d.desc),
			  h.data_offset + d.desc.offset);
	}
	return true;
}

int stats_open(struct kvm *k, u32 i, struct err *e)
{
	int fd = ioctl(k->vcpus[i].fd, KVM_GET_STATS_FD, 0);

	if (fd < 0 && (errno == ENOTTY || errno == EINVAL))
		return 0; /* before Linux 5.14: the counts stay 0 */
	if (fd < 0)
		return err_set(e, -errno, "KVM_GET_STATS_FD: %s",
			       strerror(errno));
	k->vcpus[i].stats_fd = fd;
	/* The layout is the same for every vCPU of a kernel. */
	if (i == 0 && !find_stats(k, fd))
		return err_set(e, -EPROTO, "KVM_GET_STATS_FD: not understood");
	return 0;
}

static u64 read_stat(const struct vcpu *v, struct stat_at at)
{
	u64 n;

	if (!at.off || v->stats_fd < 0 ||
	    pread(v->stats_fd, &n, sizeof(n), (off_t)at.off) != sizeof(n))
		return 0;
	return n;
}

u64 kvm_exits(const struct kvm *k, u64 *user)
{
	u64 all = 0;

	*user = 0;
	for (u32 i = 0; i < k->setup.cpus; i++) {
		all += read_stat(&k->vcpus[i], k->exits);
		*user += read_stat(&k->vcpus[i], k->mmio_exits);
	}
	return all;
}
