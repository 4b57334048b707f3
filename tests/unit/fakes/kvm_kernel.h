/*
 * The kernel's side of KVM, as the unit tests of our side see it: ioctl, mmap,
 * open and calloc of the program under test end here (ld --wrap), are written
 * down, answered, and fail when told to.
 *
 * There is one, as there is one kernel. Descriptors are real, so what leaks
 * shows in /proc.
 */
#ifndef BELFRY_TESTS_KVM_KERNEL_H
#define BELFRY_TESTS_KVM_KERNEL_H

#include <belfry/base.h>

#include <linux/kvm.h>

#define KERNEL_LINES     2048
#define KERNEL_LINE      512
#define KERNEL_VCPUS     8 /* vcpus_max, if not said otherwise */
#define KERNEL_VCPUS_MAX 512

/* A vCPU's registers that there are; x0 to x30 are the first. */
enum kernel_reg {
	REG_PC = 31,
	REG_PSTATE,
	REG_ELR_EL1,
	REG_SPSR_EL1,
	REG_MPIDR_EL1,
	REG_SCTLR_EL1,
	REG_TTBR0_EL1,
	REG_TTBR1_EL1,
	REG_TCR_EL1,
	REG_ESR_EL1,
	REG_VBAR_EL1,
	REG_ID_AA64ISAR2_EL1,
	KERNEL_REGS,
};

struct kvm_kernel {
	/* To be set before a call. */
	u32 ipa_bits_max; /* 0: KVM_CAP_ARM_VM_IPA_SIZE is not known */
	u32 vcpus_max;
	u32 breakpoints; /* KVM_CAP_GUEST_DEBUG_HW_BPS */
	u64 other_caps;  /* bits of the capabilities below, by others[] */
	int api_version;
	int fail_at;       /* the how many'th call that can fail does, from 1 */
	int fail_with;     /* errno */
	const char *stats; /* names of counters, each ended by '\n'; or NULL */
	/* KVM_RUN: fills in @run, returns 0 or -errno. */
	int (*run)(u32 vcpu, struct kvm_run *run);
	u64 regs[KERNEL_VCPUS_MAX][KERNEL_REGS];

	/* What came of it. */
	int calls;                            /* that can fail, so far */
	char failed[KERNEL_LINE];             /* the one that did */
	char line[KERNEL_LINES][KERNEL_LINE]; /* every call, as text */
	int lines;
	bool watching; /* calloc and open are anybody's otherwise */
};

extern struct kvm_kernel kvm_kernel;

/* A new kernel: all capabilities, nothing fails, nothing written down. */
void kvm_kernel_reset(void);
/* Forget what was written down. */
void kvm_kernel_forget(void);
/* The run area of vCPU @i, as the kernel sees it. */
struct kvm_run *kvm_kernel_run_area(u32 i);
/* Descriptors this process has, plus mappings of run areas. */
int kvm_kernel_held(void);

#endif
