/* What the files of this directory share. */
#ifndef BELFRY_KVM_VM_H
#define BELFRY_KVM_VM_H

#include <belfry/kvm.h>
#include <belfry/lock.h>

#include <linux/kvm.h>

/* Where one of the kernel's counters lies in a vCPU's statistics. */
struct stat_at {
	u64 off; /* in the file; 0: this kernel does not count it */
};

/* icc.c: what a vCPU has of a GIC that is not KVM's. */
#define ICC_BASES_MAX 16
#define ICC_SEEN      64
#define ICC_HOT_MAX   4
struct icc {
	/* Its inputs, as they are to be and as KVM knows; under the lock, which
	 * is below a GIC's. */
	struct lock lock;
	u32 wanted, lines;
	bool in_guest;
	/* The rest is the vCPU's own thread's. No new vectors are to be feared
	 * but after an access to a device: */
	bool settled;
	bool look; /* at VBAR_EL1, before entering */
	bool stepping;
	bool watching; /* its breakpoints are those that they should be */
	u64 wires;     /* device_irq_level, as told */
	u64 old_esr;   /* what ESR_EL1 was when we began to look */
	bool fresh;    /* which is to come */
	/* The access being made, by the instruction at @pc; @direct: that has
	 * a breakpoint of its own. */
	u64 pc;
	u32 rt;
	bool read, direct;
	bool at_vector; /* it came by the other kind */
	/* Where instructions were found, and how often they were thrown. */
	struct icc_seen {
		u64 va, pa;
		u32 times;
	} seen[ICC_SEEN];
	/* Those that have breakpoints, by the tables at that address. */
	u64 hot[ICC_HOT_MAX];
	u32 hot_nr;
	u64 hot_table;
};

/* Vector bases that are watched. Changes only while no vCPU runs. */
struct icc_vectors {
	u64 base[ICC_BASES_MAX];
	u32 nr, max, next;
};

struct vcpu {
	int fd;
	int stats_fd; /* -1: not asked for */
	struct kvm_run *run;
	u32 mpidr; /* Aff2:1:0 */
	/* SYSTEM_SUSPEND (DEN 0022, 5.20): where to go when woken. */
	_Atomic bool suspended;
	u64 resume_pc, resume_x0;
	struct icc icc; /* with setup.gic */
};

/* A line's message, and how far the kernel knows of it. */
struct msi_route {
	int fd;    /* -1: closed */
	u32 intid; /* not 0: it has no message, but tells this SPI's end */
	u32 gsi;   /* if it is numbered, as it is from when it is first aimed */
	bool numbered, aimed, assigned;
	u32 devid, data;
	u64 addr;
};

/* The kernel's ITS behind ours (hidden_its.c); under that one's lock. */
struct hidden_its {
	void *host; /* where its memory is for us; borrowed */
	bool enabled;
	bool broken;  /* the kernel refused something */
	bool stopped; /* the vCPUs are, for a batch */
	u32 at, done; /* next free command; first the kernel has not seen */
	_Atomic u64 commands, batches;
};

/* KVM_MAX_IRQ_ROUTES of the kernel. */
#define MSI_GSIS_MAX 4096

/* Lines are opened before the guest runs; what they are aimed at is under
 * @lock, which is a GIC's in the order of locks. */
struct msi_table {
	struct lock lock;
	struct msi_route *routes;     /* by line */
	struct kvm_irq_routing *told; /* with room for as many */
	u32 nr, gsis;                 /* of which so many are numbered */
};

struct kvm {
	struct kvm_setup setup;
	int vm_fd, gic_fd, its_fd;
	size_t run_size;
	u32 slots, windows;        /* how many there are */
	struct kvm_vcpu_init init; /* features every vCPU is made with */
	struct stat_at exits, mmio_exits;
	struct msi_table msi;
	struct hidden_its hidden;   /* with setup.stop */
	struct icc_vectors vectors; /* with setup.gic */
	struct vcpu vcpus[];        /* setup.cpus of them */
};

/* One attribute of a device or a vCPU; 0 or -errno. */
int kvm_attr_set(int fd, u32 group, u64 attr, const void *val);

/* A vCPU's registers. */
#define REG_CORE(field)                                        \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | \
	 KVM_REG_ARM_CORE_REG(field))
#define REG_X(n)             (REG_CORE(regs.regs[0]) + 2 * (n))
#define REG_PC               REG_CORE(regs.pc)
#define REG_PSTATE           REG_CORE(regs.pstate)
#define REG_ELR_EL1          REG_CORE(elr_el1)
#define REG_SPSR_EL1         REG_CORE(spsr[KVM_SPSR_EL1])
#define REG_MPIDR_EL1        ARM64_SYS_REG(3, 0, 0, 0, 5)
#define REG_ID_AA64ISAR2_EL1 ARM64_SYS_REG(3, 0, 0, 6, 2)
#define REG_SCTLR_EL1        ARM64_SYS_REG(3, 0, 1, 0, 0)
#define REG_TTBR0_EL1        ARM64_SYS_REG(3, 0, 2, 0, 0)
#define REG_TTBR1_EL1        ARM64_SYS_REG(3, 0, 2, 0, 1)
#define REG_TCR_EL1          ARM64_SYS_REG(3, 0, 2, 0, 2)
#define REG_ESR_EL1          ARM64_SYS_REG(3, 0, 5, 2, 0)
#define REG_VBAR_EL1         ARM64_SYS_REG(3, 0, 12, 0, 0)
/* 0 or -errno. */
int vcpu_reg_get(const struct vcpu *v, u64 id, u64 *val);
int vcpu_reg_set(const struct vcpu *v, u64 id, u64 val);

int vcpu_create(struct kvm *k, u32 i, struct err *e);
int vcpu_finalize(struct kvm *k, u32 i, struct err *e);
void vcpu_destroy(struct kvm *k, u32 i);
int vcpu_reset(struct kvm *k, u32 i, struct err *e);

int vgic_create(struct kvm *k, struct err *e);
int vgic_init(struct kvm *k, struct err *e);
int vgic_reset(struct kvm *k, struct err *e);
void vgic_destroy(struct kvm *k);

void msi_destroy(struct kvm *k);

/* The hidden ITS as at power-on, ready for commands. No vCPU runs. */
int hidden_its_reset(struct kvm *k);

/* With @breakpoints of the hardware; @wires: KVM tells the levels of a vCPU's
 * private interrupts. */
int icc_create(struct kvm *k, u32 breakpoints, bool wires, struct err *e);
/* Of a vCPU that has not run. */
void icc_finalize(struct vcpu *v);
/* Of vCPU @i, which has just been reset; and of all. No vCPU runs. */
void icc_vcpu_reset(struct kvm *k, u32 i);
void icc_forget(struct kvm *k);
/* Before KVM_RUN: false if it is not to be called, and @x says why. After it:
 * always. And what to make of KVM_EXIT_DEBUG. */
bool icc_enter(struct kvm *k, u32 i, struct kvm_exit *x);
void icc_leave(struct kvm *k, u32 i);
void icc_debug(struct kvm *k, u32 i, struct kvm_exit *x);

int stats_open(struct kvm *k, u32 i, struct err *e);

#endif
