/*
 * The machine's inside, shared by what builds it (machine.c) and what governs
 * it while it runs (power.c).
 */
#ifndef BELFRY_PARTS_H
#define BELFRY_PARTS_H

#include <belfry/aside.h>
#include <belfry/console.h>
#include <belfry/kvm.h>
#include <belfry/loop.h>
#include <belfry/machine.h>
#include <belfry/pl011.h>
#include <belfry/pl031.h>
#include <belfry/plan.h>
#include <belfry/ram.h>

#include "devices.h"
#include "irqchip.h"
#include "lent.h"
#include "policy.h"
#include "smmus.h"
#include "vcpus.h"

#include <signal.h>

#define NS_PER_S 1000000000ull

/* What the configuration's switches come to on this host. */
struct host_offer {
	bool pmu, sve, pauth, steal_time;
};

/* What a vCPU asked of the whole machine. */
struct guest_ask {
	bool pending;
	enum vcpu_request request;
	u32 cpu;
	struct kvm_exit exit;
};

struct machine {
	const struct config *cfg;
	struct machine_outcome *out;
	struct err *err;        /* of a run that failed */
	u64 start_ns, first_ns; /* program start, first guest instruction */

	struct plan *plan;
	void *fdt; /* a buffer of plan->fdt_size bytes */

	struct ram ram;
	struct aside slot; /* adds it to the guest's memory */
	struct gmem mem;
	struct mmio_bus bus;
	struct kvm *kvm;
	struct irqchip *irqchip;
	struct host_offer offer;
	struct policy policy;
	struct vcpus *vcpus;

	struct loop *loop;
	struct console *console;
	int console_fd;
	struct pl011 *uart;
	struct pl031 *rtc;
	int alarm_fd;
	u64 alarm_count;
	struct loop_op alarm_op;
	struct lent *lent;       /* NULL: nothing is */
	struct smmus *smmus;     /* NULL: there are none */
	struct devices *devices; /* NULL: no PCI */

	/* Power: what ended it, or asks to. */
	struct loop_event asked;
	struct lock asked_lock;
	struct guest_ask ask; /* the first one; under asked_lock */
	sigset_t signals;     /* the operator's, which we handle */
	struct loop_event signalled;
	struct loop_op timeout_op, drain_op;
	bool ending;
};

/* load.c: (re)load kernel, initrd and device tree, and aim vCPU 0 at them. */
MUST_CHECK int machine_load(struct machine *m, struct err *e);

/* power.c */
MUST_CHECK int power_init(struct machine *m, struct err *e);
void power_fini(struct machine *m);
/* All is built: from here on the operator's signals are ours to answer. Before,
 * they end the process, which has nothing yet to be put back. */
void power_hear(struct machine *m);
/* Everything is ready and confined: let the guest run. */
void power_on(struct machine *m);
/* For vcpus_setup and console_setup. */
void power_asked(void *machine, u32 cpu, enum vcpu_request request,
		 const struct kvm_exit *exit);
void power_console_event(void *machine, enum console_event event);
/* The guest is gone and its console written: what shall we say happened? */
void power_judge(struct machine *m);

/* Accesses of the guest that nothing answers. */
u64 guest_faults(const struct machine *m);

u64 now_ns(void);

#endif
