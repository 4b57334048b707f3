#include "vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Slots below are kvm_map's, the others windows. */
#define MAP_SLOTS 8

int kvm_attr_set(int fd, u32 group, u64 attr, const void *val)
{
	struct kvm_device_attr a = {
		.group = group,
		.attr = attr,
		.addr = (uintptr_t)val,
	};

	return ioctl(fd, KVM_SET_DEVICE_ATTR, &a) < 0 ? -errno : 0;
}

int kvm_open(struct err *e)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int version;

	if (fd < 0 && (errno == EACCES || errno == EPERM))
		return err_set(
			e, -errno,
			"/dev/kvm: no permission: join the group that owns it (often `kvm`) or run as root");
	if (fd < 0)
		return err_set(
			e, -errno,
			"/dev/kvm: %s: this machine offers no KVM (a kernel without it, or firmware that starts Linux at EL1); `belfry doctor` tells more",
			strerror(errno));
	version = ioctl(fd, KVM_GET_API_VERSION, 0);
	if (version == KVM_API_VERSION)
		return fd;
	close(fd);
	return err_set(e, -ENOTSUP, "/dev/kvm: API version %d, need %d",
		       version, KVM_API_VERSION);
}

static u32 capability(int fd, u32 cap)
{
	int n = ioctl(fd, KVM_CHECK_EXTENSION, cap);

	return n < 0 ? 0 : (u32)n;
}

void kvm_probe(int kvm_fd, struct kvm_caps *c)
{
	u32 ipa = capability(kvm_fd, KVM_CAP_ARM_VM_IPA_SIZE);

	*c = (struct kvm_caps) {
		.vcpus_max = capability(kvm_fd, KVM_CAP_MAX_VCPUS),
		.ipa_bits_max = ipa ? ipa : 40,
		.pmu = capability(kvm_fd, KVM_CAP_ARM_PMU_V3),
		.sve = capability(kvm_fd, KVM_CAP_ARM_SVE),
		.pauth = capability(kvm_fd, KVM_CAP_ARM_PTRAUTH_ADDRESS) &&
			 capability(kvm_fd, KVM_CAP_ARM_PTRAUTH_GENERIC),
		.steal_time = capability(kvm_fd, KVM_CAP_STEAL_TIME),
		.system_suspend =
			capability(kvm_fd, KVM_CAP_ARM_SYSTEM_SUSPEND),
		.no_gic = capability(kvm_fd, KVM_CAP_ARM_USER_IRQ) &&
			  capability(kvm_fd, KVM_CAP_GUEST_DEBUG_HW_BPS),
	};
}

int kvm_probe_gic(int kvm_fd, bool its)
{
	struct kvm_create_device d = {
		.type = its ? KVM_DEV_TYPE_ARM_VGIC_ITS
			    : KVM_DEV_TYPE_ARM_VGIC_V3,
		.flags = KVM_CREATE_DEVICE_TEST,
	};
	/* The default, 40 bits, is more than some hosts have. */
	bool choose = capability(kvm_fd, KVM_CAP_ARM_VM_IPA_SIZE);
	int vm = ioctl(kvm_fd, KVM_CREATE_VM, choose ? 32 : 0);
	int err;

	if (vm < 0)
		return -errno;
	err = ioctl(vm, KVM_CREATE_DEVICE, &d) < 0 ? -errno : 0;
	close(vm);
	return err;
}

/* KVM takes the size as given, or only its default of 40 bits where it
 * cannot choose. */
static int vm_create(struct kvm *k, int kvm_fd, struct err *e)
{
	u32 max = capability(kvm_fd, KVM_CAP_ARM_VM_IPA_SIZE);

	if (max && k->setup.ipa_bits > max)
		return err_set(
			e, -E2BIG,
			"memory: the guest needs %u address bits, this host's KVM has %u: give it less memory",
			k->setup.ipa_bits, max);
	k->vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, max ? k->setup.ipa_bits : 0);
	if (k->vm_fd < 0)
		return err_set(e, -errno, "KVM_CREATE_VM: %s", strerror(errno));
	return 0;
}

/*
 * Capabilities that change what the guest sees. Older kernels lack them, and
 * the guest then sees what they always did.
 */
static void enable_capabilities(struct kvm *k)
{
	static const u32 wanted[] = {
		KVM_CAP_ARM_NISV_TO_USER,
		KVM_CAP_ARM_SYSTEM_SUSPEND,
	};

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		struct kvm_enable_cap c = { .cap = wanted[i] };

		(void)ioctl(k->vm_fd, KVM_ENABLE_CAP, &c);
	}
}

/* The features every vCPU gets: what the setup asks for. */
static int features(struct kvm *k, struct err *e)
{
	u32 *f = k->init.features;

	if (ioctl(k->vm_fd, KVM_ARM_PREFERRED_TARGET, &k->init) < 0)
		return err_set(e, -errno, "KVM_ARM_PREFERRED_TARGET: %s",
			       strerror(errno));
	f[0] |= BIT(KVM_ARM_VCPU_PSCI_0_2);
	if (k->setup.pmu)
		f[0] |= BIT(KVM_ARM_VCPU_PMU_V3);
	if (k->setup.sve)
		f[0] |= BIT(KVM_ARM_VCPU_SVE);
	if (k->setup.pauth)
		f[0] |= BIT(KVM_ARM_VCPU_PTRAUTH_ADDRESS) |
			BIT(KVM_ARM_VCPU_PTRAUTH_GENERIC);
	return 0;
}

static int gic_create(struct kvm *k, int kvm_fd, struct err *e)
{
	return k->setup.gic
		       ? icc_create(k,
				    capability(kvm_fd,
					       KVM_CAP_GUEST_DEBUG_HW_BPS),
				    capability(kvm_fd, KVM_CAP_ARM_USER_IRQ), e)
		       : vgic_create(k, e);
}

static struct kvm *alloc(const struct kvm_setup *s)
{
	struct kvm *k = calloc(1, sizeof(*k) + s->cpus * sizeof(k->vcpus[0]));

	if (!k)
		return NULL;
	k->setup = *s;
	k->msi.lock = LOCK_INIT;
	k->vm_fd = k->gic_fd = k->its_fd = -1;
	for (u32 i = 0; i < s->cpus; i++)
		k->vcpus[i].fd = k->vcpus[i].stats_fd = -1;
	return k;
}

struct kvm *kvm_create(int kvm_fd, const struct kvm_setup *s, struct err *e)
{
	u32 max = capability(kvm_fd, KVM_CAP_MAX_VCPUS);
	struct kvm *k;
	int size;

	if (s->cpus > max) {
		err_set(e, -E2BIG, "cpus: %u, this host's KVM allows %u",
			s->cpus, max);
		return NULL;
	}
	k = alloc(s);
	if (!k) {
		err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	size = ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	k->run_size = size > 0 ? (size_t)size : 0;
	if (vm_create(k, kvm_fd, e))
		goto out;
	enable_capabilities(k);
	if (features(k, e) || gic_create(k, kvm_fd, e))
		goto out;
	for (u32 i = 0; i < s->cpus; i++)
		if (vcpu_create(k, i, e))
			goto out;
	if (k->setup.gic || !vgic_init(k, e))
		return k;
out:
	kvm_destroy(k);
	return NULL;
}

void kvm_destroy(struct kvm *k)
{
	if (!k)
		return;
	for (u32 i = 0; i < k->setup.cpus; i++)
		vcpu_destroy(k, i);
	msi_destroy(k);
	vgic_destroy(k);
	if (k->vm_fd >= 0)
		close(k->vm_fd);
	free(k);
}

/* @len 0: there is no such slot any more. 0 or -errno. */
static int set_slot(struct kvm *k, u32 slot, gpa_t gpa, u64 len, void *host)
{
	struct kvm_userspace_memory_region r = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = len,
		.userspace_addr = (uintptr_t)host,
	};

	return ioctl(k->vm_fd, KVM_SET_USER_MEMORY_REGION, &r) < 0 ? -errno : 0;
}

int kvm_map(struct kvm *k, gpa_t gpa, u64 len, void *host, struct err *e)
{
	int err = k->slots == MAP_SLOTS ? -ENOSPC
					: set_slot(k, k->slots, gpa, len, host);

	if (err)
		return err_set(e, err,
			       "KVM_SET_USER_MEMORY_REGION 0x%llx +0x%llx: %s",
			       (unsigned long long)gpa, (unsigned long long)len,
			       strerror(-err));
	k->slots++;
	return 0;
}

/* Memory is mapped on another thread meanwhile. */
static u32 window_open(void *ctx)
{
	struct kvm *k = ctx;

	return MAP_SLOTS + k->windows++;
}

static int window_show(void *ctx, u32 slot, gpa_t at, u64 len, void *host)
{
	return set_slot(ctx, slot, at, len, host);
}

static void window_hide(void *ctx, u32 slot)
{
	/* Can fail only for one that shows nothing. */
	(void)set_slot(ctx, slot, 0, 0, NULL);
}

struct windows kvm_windows(struct kvm *k)
{
	return (struct windows) {
		.open = window_open,
		.show = window_show,
		.hide = window_hide,
		.ctx = k,
	};
}

int kvm_finish(struct kvm *k, struct err *e)
{
	for (u32 i = 0; i < k->setup.cpus; i++)
		if (vcpu_finalize(k, i, e))
			return e->code;
	return 0;
}

int kvm_reset(struct kvm *k, struct err *e)
{
	int err = 0;

	for (u32 i = 0; !err && i < k->setup.cpus; i++)
		err = vcpu_reset(k, i, e);
	if (err || !k->setup.gic)
		return err ? err : vgic_reset(k, e);
	icc_forget(k);
	return 0;
}
