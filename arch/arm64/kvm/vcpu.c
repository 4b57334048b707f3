#include "vm.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define MPIDR_AFF 0xffffffu

/* Documentation/virt/kvm/arm/pvtime.rst: one record per vCPU. */
#define STEAL_TIME_STRIDE 64

const struct kvm_request kvm_vcpu_requests[] = {
	{ KVM_RUN, "run the guest" },
	{ KVM_IRQ_LINE, "a device's interrupt line" },
	{ KVM_SIGNAL_MSI, "a device's message" },
	{ KVM_SET_GSI_ROUTING, "a driver sets a message" },
	{ KVM_IRQFD, "likewise, for the first time" },
	{ KVM_IOEVENTFD, "a driver starts, stops or moves a device" },
	{ KVM_SET_VCPU_EVENTS, "an abort for an access nobody can decode" },
	{ KVM_GET_ONE_REG, "SYSTEM_SUSPEND: its arguments" },
	{ KVM_SET_ONE_REG, "SYSTEM_SUSPEND: where to wake" },
	{ KVM_SET_MP_STATE, "SYSTEM_SUSPEND: sleep and wake" },
	{ KVM_ARM_VCPU_INIT, "SYSTEM_SUSPEND: the state on waking" },
	{ 0, NULL },
};

const struct kvm_request kvm_split_requests[] = {
	{ KVM_SET_DEVICE_ATTR, "commands of a guest's ITS, done over again" },
	{ 0, NULL },
};

const struct kvm_request kvm_window_requests[] = {
	{ KVM_SET_USER_MEMORY_REGION, "a guest moves hardware's registers" },
	{ 0, NULL },
};

const struct kvm_request kvm_user_requests[] = {
	{ KVM_SET_GUEST_DEBUG, "watch the guest's vectors, step over one" },
	{ 0, NULL },
};

const struct kvm_request kvm_loop_requests[] = {
	{ KVM_IRQ_LINE, "a device's interrupt line" },
	{ KVM_SIGNAL_MSI, "a device's message" },
	{ KVM_IOEVENTFD, "a device starts, or is reset" },
	{ KVM_IRQFD, "taking the machine down" },
	{ KVM_ARM_VCPU_INIT, "reset of a vCPU" },
	{ KVM_SET_ONE_REG, "reset: the entry point" },
	{ KVM_SET_DEVICE_ATTR, "reset of the GIC" },
	{ KVM_GET_DEVICE_ATTR, "likewise: ICC_CTLR_EL1 is changed, not set" },
	{ 0, NULL },
};

int vcpu_reg_get(const struct vcpu *v, u64 id, u64 *val)
{
	struct kvm_one_reg r = { .id = id, .addr = (uintptr_t)val };

	return ioctl(v->fd, KVM_GET_ONE_REG, &r) < 0 ? -errno : 0;
}

int vcpu_reg_set(const struct vcpu *v, u64 id, u64 val)
{
	struct kvm_one_reg r = { .id = id, .addr = (uintptr_t)&val };

	return ioctl(v->fd, KVM_SET_ONE_REG, &r) < 0 ? -errno : 0;
}

/*
 * Also what resets a vCPU that has run. All but vCPU 0 start powered off; KVM
 * wants the same flags each time.
 */
static int vcpu_init(struct kvm *k, u32 i, struct err *e)
{
	struct kvm_vcpu_init init = k->init;

	if (i > 0)
		init.features[0] |= BIT(KVM_ARM_VCPU_POWER_OFF);
	if (ioctl(k->vcpus[i].fd, KVM_ARM_VCPU_INIT, &init) < 0)
		return err_set(e, -errno, "vCPU %u: KVM_ARM_VCPU_INIT: %s", i,
			       strerror(errno));
	return 0;
}

int vcpu_create(struct kvm *k, u32 i, struct err *e)
{
	struct vcpu *v = &k->vcpus[i];
	u64 mpidr;

	v->fd = ioctl(k->vm_fd, KVM_CREATE_VCPU, (unsigned long)i);
	if (v->fd < 0)
		return err_set(e, -errno, "vCPU %u: KVM_CREATE_VCPU: %s", i,
			       strerror(errno));
	v->run = mmap(NULL, k->run_size, PROT_READ | PROT_WRITE, MAP_SHARED,
		      v->fd, 0);
	if (v->run == MAP_FAILED) {
		v->run = NULL;
		return err_set(e, -errno, "vCPU %u: mmap: %s", i,
			       strerror(errno));
	}
	if (vcpu_init(k, i, e))
		return e->code;
	if (vcpu_reg_get(v, REG_MPIDR_EL1, &mpidr))
		return err_set(e, -EIO, "vCPU %u: cannot read MPIDR_EL1", i);
	v->mpidr = mpidr & MPIDR_AFF;
	return k->setup.stats ? stats_open(k, i, e) : 0;
}

static int pmu_init(struct kvm *k, struct vcpu *v)
{
	int intid = (int)k->setup.pmu_intid;
	int err = 0;

	/* Else it is a level in the run area, and ours to wire. */
	if (!k->setup.gic)
		err = kvm_attr_set(v->fd, KVM_ARM_VCPU_PMU_V3_CTRL,
				   KVM_ARM_VCPU_PMU_V3_IRQ, &intid);

	return err ? err
		   : kvm_attr_set(v->fd, KVM_ARM_VCPU_PMU_V3_CTRL,
				  KVM_ARM_VCPU_PMU_V3_INIT, NULL);
}

/* What a vCPU needs once there are a GIC and memory: the end of its making. */
int vcpu_finalize(struct kvm *k, u32 i, struct err *e)
{
	struct vcpu *v = &k->vcpus[i];
	int sve = KVM_ARM_VCPU_SVE;
	int err;

	if (k->setup.gic)
		icc_finalize(v);
	if (k->setup.sve && ioctl(v->fd, KVM_ARM_VCPU_FINALIZE, &sve) < 0)
		return err_set(e, -errno, "vCPU %u: sve: %s", i,
			       strerror(errno));
	if (k->setup.pmu) {
		err = pmu_init(k, v);
		if (err)
			return err_set(e, err, "vCPU %u: pmu: %s", i,
				       strerror(-err));
	}
	if (k->setup.steal_time) {
		u64 at = k->setup.steal_time + i * STEAL_TIME_STRIDE;

		err = kvm_attr_set(v->fd, KVM_ARM_VCPU_PVTIME_CTRL,
				   KVM_ARM_VCPU_PVTIME_IPA, &at);
		if (err)
			return err_set(e, err, "vCPU %u: steal-time: %s", i,
				       strerror(-err));
	}
	return 0;
}

void vcpu_destroy(struct kvm *k, u32 i)
{
	struct vcpu *v = &k->vcpus[i];

	if (v->run)
		munmap(v->run, k->run_size);
	if (v->stats_fd >= 0)
		close(v->stats_fd);
	if (v->fd >= 0)
		close(v->fd);
}

/* KVM's reset has left x1..x3 zero and PSTATE at EL1h, interrupts masked. */
static int enter_at(struct vcpu *v, u64 pc, u64 x0)
{
	int err = vcpu_reg_set(v, REG_PC, pc);

	return err ? err : vcpu_reg_set(v, REG_X(0), x0);
}

int vcpu_reset(struct kvm *k, u32 i, struct err *e)
{
	k->vcpus[i].suspended = false;
	if (k->setup.gic)
		icc_vcpu_reset(k, i);
	return vcpu_init(k, i, e);
}

int kvm_enter(struct kvm *k, gpa_t pc, u64 x0, struct err *e)
{
	int err = enter_at(&k->vcpus[0], pc, x0);

	return err ? err_set(e, err, "entry point: %s", strerror(-err)) : 0;
}

/*
 * SYSTEM_SUSPEND(entry point, context): let KVM sleep until an interrupt, and
 * remember where the guest wants to wake (DEN 0022, 5.20.1). That all other
 * vCPUs are off is the guest's duty and not checked: only it would suffer, and
 * KVM cannot tell without stopping them.
 */
static void suspend(struct vcpu *v, struct kvm_exit *x)
{
	struct kvm_mp_state state = { KVM_MP_STATE_SUSPENDED };

	if (vcpu_reg_get(v, REG_X(1), &v->resume_pc) ||
	    vcpu_reg_get(v, REG_X(2), &v->resume_x0) ||
	    ioctl(v->fd, KVM_SET_MP_STATE, &state) < 0) {
		x->kind = VCPU_BROKEN;
		x->code = -errno;
		snprintf(x->why, sizeof(x->why), "SYSTEM_SUSPEND");
		return;
	}
	v->suspended = true;
	x->kind = VCPU_SUSPENDED;
}

static void wake(struct kvm *k, u32 i, struct kvm_exit *x)
{
	struct vcpu *v = &k->vcpus[i];
	struct kvm_mp_state state = { KVM_MP_STATE_RUNNABLE };
	struct err e = { 0 };

	x->kind = VCPU_WOKEN;
	if (!v->suspended)
		return;
	if (vcpu_reset(k, i, &e) || enter_at(v, v->resume_pc, v->resume_x0) ||
	    ioctl(v->fd, KVM_SET_MP_STATE, &state) < 0) {
		x->kind = VCPU_BROKEN;
		x->code = e.code ? e.code : -errno;
		snprintf(x->why, sizeof(x->why), "resume after SYSTEM_SUSPEND");
	}
}

static void system_event(struct kvm *k, u32 i, struct kvm_exit *x)
{
	struct vcpu *v = &k->vcpus[i];
	u32 type = v->run->system_event.type;

	switch (type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		x->kind = VCPU_POWER_OFF;
		break;
	case KVM_SYSTEM_EVENT_RESET:
		x->kind = VCPU_RESET;
		break;
	case KVM_SYSTEM_EVENT_SUSPEND:
		suspend(v, x);
		break;
	case KVM_SYSTEM_EVENT_WAKEUP:
		wake(k, i, x);
		break;
	default:
		x->kind = VCPU_BROKEN;
		x->code = -EPROTO;
		snprintf(x->why, sizeof(x->why), "system event %u", type);
	}
}

static void mmio(const struct kvm_run *run, struct kvm_exit *x)
{
	x->kind = run->mmio.is_write ? VCPU_WRITE : VCPU_READ;
	x->addr = run->mmio.phys_addr;
	x->size = run->mmio.len;
	if (run->mmio.is_write && x->size <= sizeof(x->val))
		memcpy(&x->val, run->mmio.data, x->size);
}

/*
 * A load or store the hardware did not describe (a pair, say) to where there
 * is no RAM. On a real machine that is an external abort; so it is here.
 */
static void bad_access(struct vcpu *v, struct kvm_exit *x)
{
	struct kvm_vcpu_events events = { .exception.ext_dabt_pending = 1 };

	x->kind = VCPU_BAD_ACCESS;
	x->addr = v->run->arm_nisv.fault_ipa;
	if (ioctl(v->fd, KVM_SET_VCPU_EVENTS, &events) == 0)
		return;
	x->kind = VCPU_BROKEN;
	x->code = -errno;
	snprintf(x->why, sizeof(x->why), "undecoded access at 0x%llx",
		 (unsigned long long)x->addr);
}

static void run_failed(struct vcpu *v, int err, struct kvm_exit *x)
{
	v->run->immediate_exit = 0;
	if (err == EINTR || err == EAGAIN) {
		x->kind = VCPU_KICKED;
		return;
	}
	x->kind = VCPU_BROKEN;
	x->code = -err;
	snprintf(x->why, sizeof(x->why), "KVM_RUN");
}

static void run(struct kvm *k, u32 i, struct kvm_exit *x)
{
	struct vcpu *v = &k->vcpus[i];

	if (ioctl(v->fd, KVM_RUN, 0) < 0) {
		run_failed(v, errno, x);
		return;
	}
	switch (v->run->exit_reason) {
	case KVM_EXIT_MMIO:
		mmio(v->run, x);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		system_event(k, i, x);
		break;
	case KVM_EXIT_ARM_NISV:
		bad_access(v, x);
		break;
	case KVM_EXIT_INTR:
		x->kind = VCPU_KICKED;
		break;
	case KVM_EXIT_DEBUG:
		icc_debug(k, i, x);
		break;
	default:
		x->kind = VCPU_BROKEN;
		x->code = -EPROTO;
		snprintf(x->why, sizeof(x->why), "KVM exit reason %u",
			 v->run->exit_reason);
	}
}

void kvm_vcpu_run(struct kvm *k, u32 i, struct kvm_exit *x)
{
	x->val = 0;
	if (!k->setup.gic) {
		run(k, i, x);
	} else if (icc_enter(k, i, x)) {
		run(k, i, x);
		icc_leave(k, i);
	}
}

void kvm_vcpu_answer(struct kvm *k, u32 i, u64 val)
{
	memcpy(k->vcpus[i].run->mmio.data, &val, sizeof(val));
}

void kvm_vcpu_interrupt(struct kvm *k, u32 i)
{
	__atomic_store_n(&k->vcpus[i].run->immediate_exit, 1, __ATOMIC_SEQ_CST);
}

u32 kvm_vcpu_affinity(const struct kvm *k, u32 i)
{
	return k->vcpus[i].mpidr;
}
