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

struct vcpu {
	int fd;
	int stats_fd; /* -1: not asked for */
	struct kvm_run *run;
	u32 mpidr; /* Aff2:1:0 */
	/* SYSTEM_SUSPEND (DEN 0022, 5.20): where to go when woken. */
	bool suspended;
	u64 resume_pc, resume_x0;
};

/* A line's message, and how far the kernel knows of it. */
struct msi_route {
	int fd; /* -1: closed */
	bool aimed, assigned;
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
#define MSI_LINES_MAX 4096

/* Lines are opened before the guest runs; what they are aimed at is under
 * @lock, which is a GIC's in the order of locks. */
struct msi_table {
	struct lock lock;
	struct msi_route *routes;     /* by line */
	struct kvm_irq_routing *told; /* with room for as many */
	u32 nr;
};

struct kvm {
	struct kvm_setup setup;
	int vm_fd, gic_fd, its_fd;
	size_t run_size;
	u32 slots;
	struct kvm_vcpu_init init; /* features every vCPU is made with */
	struct stat_at exits, mmio_exits;
	struct msi_table msi;
	struct hidden_its hidden; /* with setup.stop */
	struct vcpu vcpus[];      /* setup.cpus of them */
};

/* One attribute of a device or a vCPU; 0 or -errno. */
int kvm_attr_set(int fd, u32 group, u64 attr, const void *val);

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

int stats_open(struct kvm *k, u32 i, struct err *e);

#endif
