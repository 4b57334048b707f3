/*
 * KVM on arm64: a VM, its vCPUs, the kernel's GICv3 and ITS.
 *
 * One function per thing the machine asks for; no policy and no threads of its
 * own. Everything that opens, maps or allocates happens in kvm_create; what is
 * called while the guest runs needs only ioctls on descriptors it holds.
 *
 * Kernel Documentation/virt/kvm/api.rst and devices/{arm-vgic-v3,
 * arm-vgic-its,vcpu}.rst.
 */
#ifndef BELFRY_KVM_H
#define BELFRY_KVM_H

#include <belfry/base.h>
#include <belfry/dma.h>
#include <belfry/err.h>
#include <belfry/irq.h>
#include <belfry/its.h>
#include <belfry/window.h>

/* What this host's KVM offers. */
struct kvm_caps {
	u32 vcpus_max;
	u32 ipa_bits_max;
	bool pmu, sve, pauth, steal_time, system_suspend;
	bool no_gic; /* it can do without one: setup.gic */
};

/*
 * Open /dev/kvm. An owned descriptor, or -errno and a message that says what
 * the operator can do about it.
 */
MUST_CHECK int kvm_open(struct err *e);

/* Ask an opened /dev/kvm what it can do. Makes no VM; cannot fail. */
void kvm_probe(int kvm_fd, struct kvm_caps *caps);

/*
 * Can this host give a guest a GICv3 (an ITS)? Makes a VM of no memory and no
 * vCPU and drops it: for doctor, not for the boot path. 0 or -errno.
 */
int kvm_probe_gic(int kvm_fd, bool its);

#define KVM_GICR_REGIONS_MAX 2
/* A multiple of 64 KiB. */
#define KVM_HIDDEN_ITS_SIZE (128 * KIB + MIB + 64 * KIB)

/*
 * A GIC that KVM has no part in. The guest's accesses to ICC_*_EL1 come as
 * exits, as far as icc.c says; what goes to a vCPU, by kvm_vcpu_lines. No
 * function of a GIC or an ITS here may be called then but kvm_doorbells.
 */
struct kvm_gic {
	struct dma dma; /* to the guest's instructions and tables */
	/* A private interrupt's wire has another level. On the vCPU's thread,
	 * in kvm_vcpu_run. */
	void (*wire)(void *ctx, u32 cpu, u32 intid, bool level);
	u32 vtimer_intid, ptimer_intid; /* and kvm_setup.pmu_intid */
	/* Make the vCPU's kvm_vcpu_run return, as kvm_vcpu_interrupt and a
	 * signal do. Any thread. */
	void (*kick)(void *ctx, u32 cpu);
	void *ctx;
};

struct kvm_setup {
	u32 cpus;
	u32 ipa_bits; /* guest-physical address size, 32 and up */
	bool pmu, sve, pauth;
	u32 pmu_intid;
	gpa_t steal_time; /* base of the records, 64 bytes each; 0: none */
	bool stats;       /* open the kernel's counters for kvm_exits */

	gpa_t gicd, its;
	/*
	 * Not NULL: the guest's ITS is not KVM's, but has its @translater (the
	 * address of GITS_TRANSLATER) and kvm_its_sink; KVM's own is behind it,
	 * with @its the first of KVM_HIDDEN_ITS_SIZE bytes in the guest's
	 * memory that it is not told of. Called to stop all vCPUs but the
	 * caller's, on the thread that uses the sink, and to let them go on.
	 */
	void (*stop)(void *ctx, bool stop);
	void *stop_ctx;
	gpa_t translater;
	struct {
		gpa_t base;
		u32 cpus;
	} gicr[KVM_GICR_REGIONS_MAX];
	u32 gicr_nr;
	u32 intid_limit; /* INTIDs below this exist: 64, 96 .. 1024 */
	/* Not NULL: all of these are somebody else's. Borrowed. */
	const struct kvm_gic *gic;
};

struct kvm;

/*
 * A VM with all its vCPUs, GIC and ITS, stopped. @kvm_fd is borrowed for the
 * call. NULL and @e on failure, nothing left behind.
 */
struct kvm *kvm_create(int kvm_fd, const struct kvm_setup *s, struct err *e);
void kvm_destroy(struct kvm *k);

/* Guest-physical [gpa, gpa + len) is @host from now on. Page-aligned. */
MUST_CHECK int kvm_map(struct kvm *k, gpa_t gpa, u64 len, void *host,
		       struct err *e);

/* After the last kvm_map, before the guest runs: what needs both memory and a
 * GIC (stolen time, the PMU, the size of SVE registers). */
MUST_CHECK int kvm_finish(struct kvm *k, struct err *e);

/* With setup.stop: what the guest's ITS does its work by; @host is where the
 * hidden one's memory is mapped. And how many commands it was given so far, in
 * how many batches, for each of which all vCPUs were stopped. */
struct its_sink kvm_its_sink(struct kvm *k, void *host);
void kvm_its_counts(const struct kvm *k, u64 *commands, u64 *batches);

/* A wired SPI through the kernel's GIC. Valid while @k lives; any thread. */
struct irq_line kvm_irq_line(struct kvm *k, u32 intid);
/* Messages through the kernel's ITS; up to 4096 lines. Likewise. */
struct msi_sink kvm_msi_sink(struct kvm *k);
struct doorbells kvm_doorbells(struct kvm *k);
/* Memory slots of their own, beside kvm_map's. Likewise. */
struct windows kvm_windows(struct kvm *k);
/* From now on SPI @intid falls when the guest has ended it, and the eventfd
 * @ended is written to. Before the guest runs, once for each. */
MUST_CHECK int kvm_irq_ended(struct kvm *k, u32 intid, int ended,
			     struct err *e);

/*
 * All vCPUs, the GIC and the ITS as at power-on: vCPU 0 on, the others off
 * until PSCI CPU_ON. No vCPU may be in kvm_vcpu_run. A fresh VM is like that.
 */
MUST_CHECK int kvm_reset(struct kvm *k, struct err *e);

/* Let vCPU 0 begin at @pc with @x0 (booting.rst: the device tree). */
MUST_CHECK int kvm_enter(struct kvm *k, gpa_t pc, u64 x0, struct err *e);

enum kvm_exit_kind {
	VCPU_KICKED, /* a signal or kvm_vcpu_interrupt */
	VCPU_READ,   /* answer with kvm_vcpu_answer before running on */
	VCPU_WRITE,
	VCPU_POWER_OFF,  /* DEN 0022: SYSTEM_OFF */
	VCPU_RESET,      /* SYSTEM_RESET, SYSTEM_RESET2 */
	VCPU_SUSPENDED,  /* SYSTEM_SUSPEND granted: run on, it sleeps */
	VCPU_WOKEN,      /* and this is its end: run on */
	VCPU_BAD_ACCESS, /* an access KVM could not decode; the guest was given
			    an external abort */
	/* With setup.gic: MRS or MSR of register @addr, bits [20:5] of the
	 * instruction; call kvm_vcpu_sysreg_done before running on. */
	VCPU_SYSREG_READ,
	VCPU_SYSREG_WRITE,
	VCPU_MOVED,  /* likewise: call kvm_vectors_learn */
	VCPU_BROKEN, /* KVM cannot run it: @code is -errno, @why says more */
};

struct kvm_exit {
	enum kvm_exit_kind kind;
	gpa_t addr; /* READ, WRITE, BAD_ACCESS, SYSREG_* */
	u32 size;
	u64 val;
	int code;
	char why[64];
};

/* Run vCPU @i until something needs us. Its own thread only. */
void kvm_vcpu_run(struct kvm *k, u32 i, struct kvm_exit *x);
/* The value of the read that VCPU_READ reported. */
void kvm_vcpu_answer(struct kvm *k, u32 i, u64 val);

/* The access was made, and what was read is @val; or @there is no such
 * register, and the guest gets the exception. -errno if KVM refuses. On the
 * vCPU's thread, as the next. */
MUST_CHECK int kvm_vcpu_sysreg_done(struct kvm *k, u32 i, bool there, u64 val);
/* Watch the exception vectors that vCPU @i has. No vCPU is in kvm_vcpu_run. */
void kvm_vectors_learn(struct kvm *k, u32 i);

/* With setup.gic: what goes to vCPU @i from now on, ored. Any thread, which may
 * hold a GIC's lock. */
#define KVM_LINE_IRQ  BIT(0)
#define KVM_LINE_FIQ  BIT(1)
#define KVM_LINE_WAKE BIT(2) /* out of SYSTEM_SUSPEND, if it is there */
void kvm_vcpu_lines(struct kvm *k, u32 i, u32 lines);

/* Aff3.2.1.0 of vCPU @i. */
u32 kvm_vcpu_affinity(const struct kvm *k, u32 i);

/*
 * Make vCPU @i's current or next kvm_vcpu_run return VCPU_KICKED. Any thread.
 * Whoever calls it also signals the thread, which may sleep in the kernel.
 */
void kvm_vcpu_interrupt(struct kvm *k, u32 i);

/*
 * The ioctls that calls made while the guest runs need, for the sandbox: those
 * of vCPU threads, and those of the thread that resets and ends it. Each ends
 * with a row without a reason.
 */
struct kvm_request {
	unsigned long request;
	const char *why;
};
extern const struct kvm_request kvm_vcpu_requests[], kvm_loop_requests[];
/* And what both need besides with setup.stop. */
extern const struct kvm_request kvm_split_requests[];
/* And what both need besides for kvm_windows. */
extern const struct kvm_request kvm_window_requests[];
/* And what vCPU threads do with setup.gic. */
extern const struct kvm_request kvm_user_requests[];

/* All exits of all vCPUs so far, as the kernel counts them; 0 if not asked
 * for in the setup, or by a kernel that does not count (before 5.14). *@user:
 * those that came to us for MMIO. */
u64 kvm_exits(const struct kvm *k, u64 *user);

#endif
