#include "kvm_kernel.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define RUN_SIZE 8192
#define FDS_MAX  1024

struct kvm_kernel kvm_kernel;

enum kind {
	NOT_OURS,
	SYSTEM,
	VM,
	VCPU,
	GIC,
	ITS,
};

/* By descriptor: what stands behind it. */
static struct {
	enum kind kind;
	u32 index;
} behind[FDS_MAX];
static struct {
	int fd;
	struct kvm_run *area; /* mapped once it is asked for */
} vcpus[KERNEL_VCPUS_MAX];

int __wrap_ioctl(int fd, unsigned long request, ...);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off);
int __wrap_open(const char *path, int flags, ...);
void *__wrap_calloc(size_t nr, size_t size);
int __real_ioctl(int fd, unsigned long request, ...);
void *__real_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off);
int __real_open(const char *path, int flags, ...);
void *__real_calloc(size_t nr, size_t size);

void kvm_kernel_reset(void)
{
	memset(&kvm_kernel, 0, sizeof(kvm_kernel));
	kvm_kernel.ipa_bits_max = 48;
	kvm_kernel.vcpus_max = KERNEL_VCPUS;
	kvm_kernel.breakpoints = 6;
	kvm_kernel.other_caps = ~0ull;
	kvm_kernel.api_version = KVM_API_VERSION;
	kvm_kernel.fail_with = EIO;
	memset(behind, 0, sizeof(behind));
	for (u32 i = 0; i < KERNEL_VCPUS_MAX; i++) {
		/* As KVM makes it: bit 31 is RES1. */
		kvm_kernel.regs[i][REG_MPIDR_EL1] =
			BIT(31) | (i & 0xf) | (u64)(i >> 4) << 8;
		if (vcpus[i].area)
			munmap(vcpus[i].area, RUN_SIZE);
		vcpus[i].area = NULL;
	}
}

void kvm_kernel_forget(void)
{
	memset(kvm_kernel.line, 0, sizeof(kvm_kernel.line));
	kvm_kernel.lines = kvm_kernel.calls = 0;
	kvm_kernel.failed[0] = '\0';
}

/* Write a call down; -1 with errno set if it is the one to fail. */
PRINTF_LIKE(1, 2) static int call(const char *fmt, ...)
{
	char *line = kvm_kernel.line[kvm_kernel.lines];
	va_list ap;

	ck_assert_int_lt(kvm_kernel.lines, KERNEL_LINES - 1);
	kvm_kernel.lines++;
	va_start(ap, fmt);
	vsnprintf(line, KERNEL_LINE, fmt, ap);
	va_end(ap);
	if (++kvm_kernel.calls != kvm_kernel.fail_at)
		return 0;
	memcpy(kvm_kernel.failed, line, KERNEL_LINE);
	errno = kvm_kernel.fail_with;
	return -1;
}

static int new_fd(enum kind kind, u32 index, const char *name, off_t size)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_lt(fd, FDS_MAX);
	ck_assert_int_eq(ftruncate(fd, size), 0);
	behind[fd].kind = kind;
	behind[fd].index = index;
	return fd;
}

struct kvm_run *kvm_kernel_run_area(u32 i)
{
	if (!vcpus[i].area)
		vcpus[i].area =
			__real_mmap(NULL, RUN_SIZE, PROT_READ | PROT_WRITE,
				    MAP_SHARED, vcpus[i].fd, 0);
	ck_assert_ptr_ne(vcpus[i].area, MAP_FAILED);
	return vcpus[i].area;
}

int kvm_kernel_held(void)
{
	DIR *d = opendir("/proc/self/fd");
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	int n = 0;

	ck_assert(d && maps);
	while (readdir(d))
		n++;
	while (fgets(line, sizeof(line), maps))
		n += strstr(line, "fake-vcpu") != NULL;
	closedir(d);
	fclose(maps);
	return n;
}

/* --- the system --- */

static int capability(unsigned long cap)
{
	static const u32 others[] = {
		KVM_CAP_ARM_PMU_V3,          KVM_CAP_ARM_SVE,
		KVM_CAP_ARM_PTRAUTH_ADDRESS, KVM_CAP_ARM_PTRAUTH_GENERIC,
		KVM_CAP_STEAL_TIME,          KVM_CAP_ARM_SYSTEM_SUSPEND,
		KVM_CAP_ARM_USER_IRQ,
	};

	if (call("system CHECK_EXTENSION %lu", cap))
		return -1;
	if (cap == KVM_CAP_ARM_VM_IPA_SIZE)
		return (int)kvm_kernel.ipa_bits_max;
	if (cap == KVM_CAP_MAX_VCPUS)
		return (int)kvm_kernel.vcpus_max;
	if (cap == KVM_CAP_GUEST_DEBUG_HW_BPS)
		return (int)kvm_kernel.breakpoints;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (cap == others[i])
			return kvm_kernel.other_caps >> i & 1;
	return 0;
}

static int system_ioctl(unsigned long request, unsigned long arg)
{
	switch (request) {
	case KVM_GET_API_VERSION:
		return call("system GET_API_VERSION") ? -1
						      : kvm_kernel.api_version;
	case KVM_CHECK_EXTENSION:
		return capability(arg);
	case KVM_GET_VCPU_MMAP_SIZE:
		return call("system GET_VCPU_MMAP_SIZE") ? -1 : RUN_SIZE;
	case KVM_CREATE_VM:
		return call("system CREATE_VM %lu", arg)
			       ? -1
			       : new_fd(VM, 0, "fake-vm", 0);
	}
	ck_abort_msg("system ioctl 0x%lx", request);
}

/* --- a VM --- */

static int create_device(struct kvm_create_device *d)
{
	bool test = d->flags & KVM_CREATE_DEVICE_TEST;
	enum kind kind = d->type == KVM_DEV_TYPE_ARM_VGIC_V3 ? GIC : ITS;

	ck_assert(d->type == KVM_DEV_TYPE_ARM_VGIC_V3 ||
		  d->type == KVM_DEV_TYPE_ARM_VGIC_ITS);
	if (call("vm CREATE_DEVICE %s%s", kind == GIC ? "gic" : "its",
		 test ? " test" : ""))
		return -1;
	if (!test)
		d->fd = (u32)new_fd(kind, 0, "fake-device", 0);
	return 0;
}

static int create_vcpu(unsigned long i)
{
	ck_assert_uint_lt(i, KERNEL_VCPUS_MAX);
	if (call("vm CREATE_VCPU %lu", i))
		return -1;
	vcpus[i].fd = new_fd(VCPU, (u32)i, "fake-vcpu", RUN_SIZE);
	return vcpus[i].fd;
}

static int preferred_target(struct kvm_vcpu_init *init)
{
	if (call("vm ARM_PREFERRED_TARGET"))
		return -1;
	*init = (struct kvm_vcpu_init) { .target = KVM_ARM_TARGET_GENERIC_V8 };
	return 0;
}

static int signal_msi(const struct kvm_msi *m)
{
	return call("vm SIGNAL_MSI flags %u devid 0x%x addr 0x%x%08x data %u",
		    m->flags, m->devid, m->address_hi, m->address_lo, m->data)
		       ? -1
		       : (int)(m->data & 1);
}

static size_t route_text(char *text, size_t size,
			 const struct kvm_irq_routing_entry *e)
{
	if (e->type == KVM_IRQ_ROUTING_IRQCHIP) {
		ck_assert(!e->flags && !e->u.irqchip.irqchip);
		return (size_t)snprintf(text, size, " %u: pin %u", e->gsi,
					e->u.irqchip.pin);
	}
	ck_assert_uint_eq(e->type, KVM_IRQ_ROUTING_MSI);
	ck_assert_uint_eq(e->flags, KVM_MSI_VALID_DEVID);
	return (size_t)snprintf(text, size, " %u: 0x%x 0x%x%08x %u", e->gsi,
				e->u.msi.devid, e->u.msi.address_hi,
				e->u.msi.address_lo, e->u.msi.data);
}

/* The routes in one line: "vm ROUTES 1: devid addr data 2: pin 4". */
static int set_routing(const struct kvm_irq_routing *r)
{
	char text[KERNEL_LINE] = "";
	size_t len = 0;

	for (u32 i = 0; i < r->nr; i++) {
		const struct kvm_irq_routing_entry *e = &r->entries[i];

		len += route_text(text + len, sizeof(text) - len, e);
		ck_assert_uint_lt(len, sizeof(text));
	}
	return call("vm ROUTES%s", text);
}

static int irqfd(const struct kvm_irqfd *q)
{
	if (q->flags & KVM_IRQFD_FLAG_RESAMPLE)
		return call("vm IRQFD gsi %u flags %u resamples %d", q->gsi,
			    q->flags, (int)q->resamplefd);
	ck_assert_uint_eq(q->resamplefd, 0);
	return call("vm IRQFD gsi %u flags %u", q->gsi, q->flags);
}

static int ioeventfd(const struct kvm_ioeventfd *q)
{
	return call("vm IOEVENTFD 0x%llx len %u fd %d flags %u", q->addr,
		    q->len, q->fd, q->flags);
}

static int vm_ioctl(unsigned long request, void *arg)
{
	const struct kvm_userspace_memory_region *mem = arg;
	const struct kvm_enable_cap *cap = arg;
	const struct kvm_irq_level *line = arg;

	switch (request) {
	case KVM_ENABLE_CAP:
		return call("vm ENABLE_CAP %u", cap->cap);
	case KVM_ARM_PREFERRED_TARGET:
		return preferred_target(arg);
	case KVM_CREATE_DEVICE:
		return create_device(arg);
	case KVM_CREATE_VCPU:
		return create_vcpu((unsigned long)arg);
	case KVM_SET_USER_MEMORY_REGION:
		return call(
			"vm MEMORY slot %u flags %u gpa 0x%llx len 0x%llx host 0x%llx",
			mem->slot, mem->flags, mem->guest_phys_addr,
			mem->memory_size, mem->userspace_addr);
	case KVM_IRQ_LINE:
		return call("vm IRQ_LINE 0x%x %u", line->irq, line->level);
	case KVM_SIGNAL_MSI:
		return signal_msi(arg);
	case KVM_SET_GSI_ROUTING:
		return set_routing(arg);
	case KVM_IRQFD:
		return irqfd(arg);
	case KVM_IOEVENTFD:
		return ioeventfd(arg);
	}
	ck_abort_msg("VM ioctl 0x%lx", request);
}

/* --- devices and vCPUs --- */

/* How wide a value is that an attribute takes (arm-vgic-v3.rst). */
static u64 attribute_value(enum kind kind, const struct kvm_device_attr *a)
{
	const void *at = (const void *)(uintptr_t)a->addr;
	bool narrow =
		kind == VCPU
			? a->group == KVM_ARM_VCPU_PMU_V3_CTRL
			: a->group == KVM_DEV_ARM_VGIC_GRP_NR_IRQS ||
				  a->group == KVM_DEV_ARM_VGIC_GRP_DIST_REGS ||
				  a->group == KVM_DEV_ARM_VGIC_GRP_REDIST_REGS;

	return !at ? 0 : narrow ? *(const u32 *)at : *(const u64 *)at;
}

static int set_attribute(enum kind kind, u32 index, const char *who,
			 const struct kvm_device_attr *a)
{
	return call("%s%.*u ATTR %u 0x%llx = 0x%llx", who, kind == VCPU, index,
		    a->group, a->attr,
		    (unsigned long long)attribute_value(kind, a));
}

/* Every register reads as the one that is read: ICC_CTLR_EL1 of a host with 5
 * bits of priority, both modes set. */
static int get_attribute(const struct kvm_device_attr *a)
{
	if (call("gic GET %u 0x%llx", a->group, a->attr))
		return -1;
	*(u64 *)(uintptr_t)a->addr = 0x403;
	return 0;
}

#define CORE(field)                                           \
	KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | \
		KVM_REG_ARM_CORE_REG(field)

/* By the id that user space knows it by; and a name to write down. */
static enum kernel_reg reg_by_id(u64 id, char name[static 16])
{
	static const struct {
		u64 id;
		enum kernel_reg reg;
		const char *name;
	} others[] = {
		{ CORE(regs.pc), REG_PC, "pc" },
		{ CORE(regs.pstate), REG_PSTATE, "pstate" },
		{ CORE(elr_el1), REG_ELR_EL1, "elr_el1" },
		{ CORE(spsr[KVM_SPSR_EL1]), REG_SPSR_EL1, "spsr" },
		{ ARM64_SYS_REG(3, 0, 0, 0, 5), REG_MPIDR_EL1, "MPIDR_EL1" },
		{ ARM64_SYS_REG(3, 0, 1, 0, 0), REG_SCTLR_EL1, "SCTLR_EL1" },
		{ ARM64_SYS_REG(3, 0, 2, 0, 0), REG_TTBR0_EL1, "TTBR0_EL1" },
		{ ARM64_SYS_REG(3, 0, 2, 0, 1), REG_TTBR1_EL1, "TTBR1_EL1" },
		{ ARM64_SYS_REG(3, 0, 2, 0, 2), REG_TCR_EL1, "TCR_EL1" },
		{ ARM64_SYS_REG(3, 0, 5, 2, 0), REG_ESR_EL1, "ESR_EL1" },
		{ ARM64_SYS_REG(3, 0, 12, 0, 0), REG_VBAR_EL1, "VBAR_EL1" },
		{ ARM64_SYS_REG(3, 0, 0, 6, 2), REG_ID_AA64ISAR2_EL1,
		  "ID_ISAR2" },
	};

	/* Core registers count in halves of 64 bits. */
	for (u32 n = 0; n <= 30; n++)
		if (id == (CORE(regs.regs[0])) + 2 * n) {
			snprintf(name, 16, "x%u", n);
			return (enum kernel_reg)n;
		}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (others[i].id == id) {
			snprintf(name, 16, "%s", others[i].name);
			return others[i].reg;
		}
	ck_abort_msg("register 0x%llx", (unsigned long long)id);
}

static int get_reg(u32 i, const struct kvm_one_reg *r)
{
	char name[16];
	enum kernel_reg reg = reg_by_id(r->id, name);

	if (call("vcpu%u GET %s", i, name))
		return -1;
	*(u64 *)(uintptr_t)r->addr = kvm_kernel.regs[i][reg];
	return 0;
}

static int set_reg(u32 i, const struct kvm_one_reg *r)
{
	char name[16];
	enum kernel_reg reg = reg_by_id(r->id, name);
	u64 val = *(u64 *)(uintptr_t)r->addr;

	if (call("vcpu%u SET %s = 0x%llx", i, name, (unsigned long long)val))
		return -1;
	kvm_kernel.regs[i][reg] = val;
	return 0;
}

/* The control word, and the breakpoints that are on: "where/how". */
static int set_guest_debug(u32 i, const struct kvm_guest_debug *d)
{
	char text[KERNEL_LINE] = "";
	size_t len = 0;

	for (u32 n = 0; n < KVM_ARM_MAX_DBG_REGS; n++) {
		if (!(d->arch.dbg_bcr[n] & 1))
			continue;
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					" 0x%llx/0x%llx", d->arch.dbg_bvr[n],
					d->arch.dbg_bcr[n]);
		ck_assert_uint_lt(len, sizeof(text));
	}
	return call("vcpu%u DEBUG 0x%x%s", i, d->control, text);
}

#define STAT_NAME 48

/* One counter's description, and its number: 1000 * vCPU + 1, 2, ... */
static void write_stat(int fd, const struct kvm_stats_header *h, u32 vcpu,
		       const char *name, size_t len)
{
	struct kvm_stats_desc d = { .offset = h->num_desc * 8, .size = 1 };
	char padded[STAT_NAME] = "";
	u64 value = 1000ull * vcpu + h->num_desc + 1;
	off_t at =
		(off_t)(h->desc_offset + h->num_desc * (sizeof(d) + STAT_NAME));

	memcpy(padded, name, len);
	ck_assert(pwrite(fd, &d, sizeof(d), at) == sizeof(d));
	ck_assert(pwrite(fd, padded, STAT_NAME, at + (off_t)sizeof(d)) ==
		  STAT_NAME);
	ck_assert(pwrite(fd, &value, 8, h->data_offset + d.offset) == 8);
}

/* api.rst, 4.133: a header, the descriptions, the numbers. */
static int stats_fd(u32 i)
{
	struct kvm_stats_header h = { .name_size = STAT_NAME,
				      .id_offset = sizeof(h),
				      .desc_offset = sizeof(h) + STAT_NAME,
				      .data_offset = 4096 };
	const char *name = kvm_kernel.stats;
	int fd;

	if (call("vcpu%u GET_STATS_FD", i))
		return -1;
	fd = new_fd(NOT_OURS, 0, "fake-stats", 0);
	for (const char *end; (end = strchr(name, '\n')); name = end + 1) {
		write_stat(fd, &h, i, name, (size_t)(end - name));
		h.num_desc++;
	}
	ck_assert(pwrite(fd, &h, sizeof(h), 0) == sizeof(h));
	return fd;
}

static int run_vcpu(u32 i)
{
	int err;

	if (call("vcpu%u RUN", i))
		return -1;
	err = kvm_kernel.run ? kvm_kernel.run(i, kvm_kernel_run_area(i)) : 0;
	errno = -err;
	return err ? -1 : 0;
}

static int vcpu_ioctl(u32 i, unsigned long request, void *arg)
{
	const struct kvm_vcpu_init *init = arg;
	const struct kvm_vcpu_events *events = arg;

	switch (request) {
	case KVM_ARM_VCPU_INIT:
		return call("vcpu%u INIT target %u features 0x%x", i,
			    init->target, init->features[0]);
	case KVM_ARM_VCPU_FINALIZE:
		return call("vcpu%u FINALIZE %d", i, *(int *)arg);
	case KVM_GET_ONE_REG:
		return get_reg(i, arg);
	case KVM_SET_ONE_REG:
		return set_reg(i, arg);
	case KVM_SET_GUEST_DEBUG:
		return set_guest_debug(i, arg);
	case KVM_SET_DEVICE_ATTR:
		return set_attribute(VCPU, i, "vcpu", arg);
	case KVM_SET_MP_STATE:
		return call("vcpu%u MP_STATE %u", i,
			    ((struct kvm_mp_state *)arg)->mp_state);
	case KVM_SET_VCPU_EVENTS:
		return call("vcpu%u EVENTS serror %u dabt %u", i,
			    events->exception.serror_pending,
			    events->exception.ext_dabt_pending);
	case KVM_GET_STATS_FD:
		return stats_fd(i);
	case KVM_RUN:
		return run_vcpu(i);
	}
	ck_abort_msg("vCPU ioctl 0x%lx", request);
}

/* --- what ld --wrap leads here --- */

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	enum kind kind = fd >= 0 && fd < FDS_MAX ? behind[fd].kind : NOT_OURS;
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	switch (kind) {
	case SYSTEM:
		return system_ioctl(request, (unsigned long)arg);
	case VM:
		return vm_ioctl(request, arg);
	case VCPU:
		return vcpu_ioctl(behind[fd].index, request, arg);
	case GIC:
	case ITS:
		if (request == KVM_GET_DEVICE_ATTR)
			return get_attribute(arg);
		ck_assert_uint_eq(request, KVM_SET_DEVICE_ATTR);
		return set_attribute(kind, 0, kind == GIC ? "gic" : "its", arg);
	case NOT_OURS:
		break;
	}
	return __real_ioctl(fd, request, arg);
}

void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off)
{
	if (fd >= 0 && fd < FDS_MAX && behind[fd].kind == VCPU &&
	    call("vcpu%u mmap 0x%zx", behind[fd].index, len))
		return MAP_FAILED;
	return __real_mmap(at, len, prot, flags, fd, off);
}

int __wrap_open(const char *path, int flags, ...)
{
	if (strcmp(path, "/dev/kvm") != 0) {
		ck_assert(!(flags & O_CREAT));
		return __real_open(path, flags);
	}
	if (call("open 0x%x", flags))
		return -1;
	return new_fd(SYSTEM, 0, "fake-kvm", 0);
}

void *__wrap_calloc(size_t nr, size_t size)
{
	if (kvm_kernel.watching && call("calloc")) {
		errno = ENOMEM;
		return NULL;
	}
	return __real_calloc(nr, size);
}
