/*
 * The vCPU threads: started together, stopped together, each running its vCPU
 * in between. What a guest asks of the whole machine goes to one callback.
 */
#ifndef BELFRY_VCPUS_H
#define BELFRY_VCPUS_H

#include <belfry/kvm.h>
#include <belfry/mmio.h>
#include <belfry/sandbox.h>

enum vcpu_request {
	GUEST_OFF,
	GUEST_RESET,
	GUEST_BROKEN, /* @exit says how */
};

struct vcpus_setup {
	struct kvm *kvm; /* borrowed, as all here */
	struct mmio_bus *bus;
	u32 nr;
	const struct sandbox *sandbox; /* NULL: none */
	/* An access to a register of a GIC that KVM does not have, with @irqs:
	 * false if there is none. On the vCPU's thread. */
	bool (*sysreg)(void *irqs, u32 cpu, u32 reg, bool write, u64 *val);
	void *irqs;
	/* On the vCPU's thread, which then waits; it must not. */
	void (*asked)(void *ctx, u32 cpu, enum vcpu_request request,
		      const struct kvm_exit *exit);
	void *ctx;
};

struct vcpus;

/* Threads made, confined, and waiting. NULL and a message, none left. */
struct vcpus *vcpus_create(const struct vcpus_setup *s, struct err *e);
/* Ends and frees them; they may be running. */
void vcpus_destroy(struct vcpus *v);

/* Let all run; stop all, and return when none is in the guest or a device. */
void vcpus_run(struct vcpus *v);
void vcpus_pause(struct vcpus *v);

/*
 * Keep all threads but the caller's out of KVM, and let them in again: what
 * the kernel does only for a VM that stands still. Returns when they are out.
 * Any thread that is not in the guest; one at a time, others wait. Short.
 */
void vcpus_exclude(struct vcpus *v, bool exclude);

/* Make vCPU @i come out of the guest, if it is there, and go on. Any thread. */
void vcpus_kick(struct vcpus *v, u32 i);

/* Accesses that could not be decoded, so far. Any thread. */
u64 vcpus_faults(const struct vcpus *v);

#endif
