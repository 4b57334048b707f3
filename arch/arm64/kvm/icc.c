/*
 * A GIC that KVM does not have: the guest's accesses to ICC_*_EL1.
 *
 * Without a GIC in the kernel such an access is undefined to the guest: KVM
 * puts it to VBAR_EL1 + 0x200, where exceptions from EL1 itself arrive. There,
 * a hardware breakpoint hands the vCPU to us. We read the instruction at
 * ELR_EL1, have the access done and send the guest on behind it, as though
 * nothing had been thrown. What else arrives at that vector is stepped over.
 * Instructions that come again and again get breakpoints of their own, as far
 * as there are: nothing is thrown then, and half of the way is saved.
 *
 * A vector base is learnt when a vCPU leaves the guest at EL1 and VBAR_EL1 is
 * none we know, and is watched on all vCPUs from then on: one that comes up
 * touches ICC_SRE_EL1 before anything else that we see. There are as many as
 * the hardware has breakpoints, usually six; the oldest makes room. We look
 * after each access to a device, of which a kernel makes some (GICD) before it
 * first turns to the CPU interface; and each time until there are signs of a
 * program, because a kernel may move its vectors once more while it boots.
 *
 * What this does not give, so that it is for tests and for hosts whose GIC has
 * no virtualisation: a guest that moves its vectors and touches ICC_*_EL1
 * before it leaves the guest for any reason gets an exception that it did not
 * earn, as does one at EL1 with SP_EL0; ELR_EL1, SPSR_EL1 and ESR_EL1 do not
 * survive an access to ICC_*_EL1; and the guest's own breakpoints, watchpoints
 * and single steps do nothing. BRK works: KVM ends a run with it, and we give
 * the guest its exception. Linux is content with that.
 *
 * Arm DDI 0487J, D1.3 (vectors), C5.1 (MRS, MSR); IHI 0069H, 12.2;
 * Documentation/virt/kvm/api.rst (KVM_SET_GUEST_DEBUG, KVM_CAP_ARM_USER_IRQ).
 */
#include "vm.h"

#include <belfry/walk.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#define VECTOR_SYNC_EL1 0x200

/* DBGBCR<n>_EL1: enabled, at EL1, all four bytes of the instruction */
#define BCR_EL1 (BIT(0) | FIELD_PREP(GENMASK(2, 1), 1) | GENMASK(8, 5))

/* ESR_EL1.EC, and of what took us out of the guest */
#define ESR_EC        GENMASK(31, 26)
#define EC_UNKNOWN    0x00
#define EC_SVC64      0x15
#define EC_INSN_ABORT 0x20 /* of a lower exception level, as is the next */
#define EC_DATA_ABORT 0x24
#define EC_BREAKPOINT 0x30
#define EC_SOFTSTEP   0x32
#define EC_BKPT32     0x38
#define EC_BRK64      0x3c

/* PSTATE, C5.2 and D1.3 */
#define PSTATE_AARCH32 BIT(4)
#define PSTATE_EL      GENMASK(3, 2)
#define PSTATE_EL1     FIELD_PREP(PSTATE_EL, 1)
#define PSTATE_SP      BIT(0)
#define PSTATE_DAIF    GENMASK(9, 6)
#define PSTATE_BTYPE   GENMASK(11, 10)
#define PSTATE_SSBS    BIT(12)
#define PSTATE_PAN     BIT(22)
#define PSTATE_DIT     BIT(24)
#define PSTATE_NZCV    GENMASK(31, 28)

/* MRS and MSR (register), C6.2 */
#define SYSREG_MASK 0xffd00000u
#define SYSREG_INSN 0xd5100000u
#define SYSREG_READ BIT(21)
#define SYSREG_REG  GENMASK(20, 5)
#define SYSREG_RT   GENMASK(4, 0)
#define RT_ZERO     31

/* An instruction that was thrown so often gets a breakpoint. */
#define HOT_TIMES   64

#define SCTLR_M     BIT(0)
#define SCTLR_SPAN  BIT(23)
#define SCTLR_DSSBS BIT(44)

/* ID_AA64ISAR2_EL1 */
#define ISAR2_WFXT GENMASK(3, 0)

/* TCR_EL1 */
#define TCR_T0SZ GENMASK(5, 0)
#define TCR_EPD0 BIT(7)
#define TCR_TG0  GENMASK(15, 14)
#define TCR_T1SZ GENMASK(21, 16)
#define TCR_EPD1 BIT(23)
#define TCR_TG1  GENMASK(31, 30)
#define TCR_IPS  GENMASK(34, 32)
#define TCR_TBI0 BIT(37)
#define TCR_TBI1 BIT(38)
#define TCR_DS   BIT(59)
#define TTBR_PA  GENMASK(47, 1)
/* With 52 bits, TTBR<n>_EL1[5:2] are the address' highest. */
#define TTBR_PA_TOP GENMASK(5, 2)

/* KVM_IRQ_LINE of a vCPU's own two inputs. */
#define CPU_LINE(vcpu, which)                                                \
	((u32)KVM_ARM_IRQ_TYPE_CPU << KVM_ARM_IRQ_TYPE_SHIFT |               \
	 ((vcpu) >> 8 & KVM_ARM_IRQ_VCPU2_MASK) << KVM_ARM_IRQ_VCPU2_SHIFT | \
	 ((vcpu)&KVM_ARM_IRQ_VCPU_MASK) << KVM_ARM_IRQ_VCPU_SHIFT | (which))

int icc_create(struct kvm *k, u32 breakpoints, bool wires, struct err *e)
{
	if (!wires)
		return err_set(
			e, -ENOTSUP,
			"irqchip: \"user\": this host's KVM does not tell levels of timers (KVM_CAP_ARM_USER_IRQ); take \"kernel\" or \"split\"");
	if (!breakpoints)
		return err_set(
			e, -ENOTSUP,
			"irqchip: \"user\": this host's KVM has no hardware breakpoints; take \"kernel\" or \"split\"");
	k->vectors.max = MIN(breakpoints, ICC_BASES_MAX);
	for (u32 i = 0; i < k->setup.cpus; i++) {
		k->vcpus[i].icc.lock = LOCK_INIT;
		k->vcpus[i].icc.look = true;
	}
	return 0;
}

/*
 * WFIT ends at a time or with an interrupt that is signalled. In the handler of
 * one, an interrupt of no higher priority is not; KVM, with the syndrome of
 * hardware that does not say which register has the time, waits for it all the
 * same, for ever (kvm_handle_wfx), and else wakes over and over because of a
 * timer that we have long been told of. Linux delays by WFIT in handlers, where
 * it has it. So the guest has none, if KVM lets us say so (Linux 6.7).
 */
void icc_finalize(struct vcpu *v)
{
	u64 features;

	if (!vcpu_reg_get(v, REG_ID_AA64ISAR2_EL1, &features) &&
	    features & ISAR2_WFXT)
		(void)vcpu_reg_set(v, REG_ID_AA64ISAR2_EL1,
				   features & ~ISAR2_WFXT);
}

/* --- vectors --- */

static bool known(const struct icc_vectors *t, u64 base)
{
	for (u32 i = 0; i < t->nr; i++)
		if (t->base[i] == base)
			return true;
	return false;
}

/* The last exception to EL1 was a program's, and not left by an earlier
 * kernel. */
static bool after_a_program(struct icc *c, u64 esr)
{
	u64 ec = FIELD_GET(ESR_EC, esr);

	if (c->fresh)
		c->old_esr = esr;
	c->fresh = false;
	return esr != c->old_esr &&
	       (ec == EC_SVC64 || ec == EC_INSN_ABORT || ec == EC_DATA_ABORT);
}

/* Is VBAR_EL1 what we should know and do not? */
static bool moved(struct kvm *k, struct vcpu *v)
{
	u64 vbar, pstate, esr;

	if (vcpu_reg_get(v, REG_VBAR_EL1, &vbar))
		return false;
	if (v->icc.settled && known(&k->vectors, vbar))
		return false;
	if (vcpu_reg_get(v, REG_PSTATE, &pstate) ||
	    vcpu_reg_get(v, REG_ESR_EL1, &esr))
		return false;
	/* A kernel may have other vectors while programs run. */
	if ((pstate & PSTATE_EL) != PSTATE_EL1) {
		v->icc.settled = true;
		return false;
	}
	if (vbar && !known(&k->vectors, vbar))
		return true;
	if (after_a_program(&v->icc, esr))
		v->icc.settled = true;
	return false;
}

/* Code may not be what it was: find it anew, and set breakpoints anew. */
static void cool(struct icc *c)
{
	c->hot_nr = 0;
	memset(c->seen, 0, sizeof(c->seen));
	c->watching = false;
}

/* What was found out by running no longer counts. */
static void start_anew(struct icc *c)
{
	cool(c);
	c->look = c->fresh = true;
}

static void changed(struct kvm *k)
{
	for (u32 i = 0; i < k->setup.cpus; i++) {
		k->vcpus[i].icc.settled = false;
		start_anew(&k->vcpus[i].icc);
	}
}

void kvm_vectors_learn(struct kvm *k, u32 i)
{
	struct icc_vectors *t = &k->vectors;
	u64 vbar;

	/* Another vCPU may have been faster. */
	if (vcpu_reg_get(&k->vcpus[i], REG_VBAR_EL1, &vbar) || known(t, vbar))
		return;
	t->base[t->next] = vbar;
	t->next = (t->next + 1) % t->max;
	t->nr = MIN(t->nr + 1, t->max);
	changed(k);
}

void icc_forget(struct kvm *k)
{
	k->vectors.nr = k->vectors.next = 0;
	changed(k);
}

static int watch(struct kvm *k, struct vcpu *v)
{
	struct kvm_guest_debug d = { .control = KVM_GUESTDBG_ENABLE |
						KVM_GUESTDBG_USE_HW };
	u32 n = 0;

	for (u32 i = 0; i < k->vectors.nr; i++)
		d.arch.dbg_bvr[n++] = k->vectors.base[i] + VECTOR_SYNC_EL1;
	/* Another vCPU may have learnt a base since this one found it hot. */
	for (u32 i = 0; i < v->icc.hot_nr && n < k->vectors.max; i++)
		d.arch.dbg_bvr[n++] = v->icc.hot[i];
	for (u32 i = 0; i < n; i++)
		d.arch.dbg_bcr[i] = BCR_EL1;
	if (ioctl(v->fd, KVM_SET_GUEST_DEBUG, &d) < 0)
		return -errno;
	v->icc.watching = true;
	return 0;
}

/* One instruction, with no breakpoint; until it is done. */
static int step(struct vcpu *v)
{
	struct kvm_guest_debug d = { .control = KVM_GUESTDBG_ENABLE |
						KVM_GUESTDBG_SINGLESTEP };

	if (ioctl(v->fd, KVM_SET_GUEST_DEBUG, &d) < 0)
		return -errno;
	v->icc.stepping = true;
	return 0;
}

/* --- the lines to a vCPU --- */

static void line_set(struct kvm *k, u32 i, u32 which, bool level)
{
	struct kvm_irq_level l = { .irq = CPU_LINE(i, which), .level = level };

	/* Cannot fail for a vCPU that there is. */
	(void)ioctl(k->vm_fd, KVM_IRQ_LINE, &l);
}

/* As KVM is to have them. It ends SYSTEM_SUSPEND for nothing but a line. */
static u32 lines_now(const struct vcpu *v)
{
	u32 lines = v->icc.wanted & (KVM_LINE_IRQ | KVM_LINE_FIQ);

	if (v->suspended && (v->icc.wanted & KVM_LINE_WAKE))
		lines |= KVM_LINE_IRQ;
	return lines;
}

/*
 * Under the lock, and on the vCPU's own thread alone: a line is a bit of
 * HCR_EL2, whose others KVM changes without care for it whenever that thread
 * begins to run (kvm_arch_vcpu_load, Linux 7.3), so that what another sets at
 * the same time may be lost.
 */
static void lines_apply(struct kvm *k, u32 i)
{
	struct icc *c = &k->vcpus[i].icc;
	u32 to = lines_now(&k->vcpus[i]), change = c->lines ^ to;

	if (change & KVM_LINE_IRQ)
		line_set(k, i, KVM_ARM_IRQ_CPU_IRQ, to & KVM_LINE_IRQ);
	if (change & KVM_LINE_FIQ)
		line_set(k, i, KVM_ARM_IRQ_CPU_FIQ, to & KVM_LINE_FIQ);
	c->lines = to;
}

void kvm_vcpu_lines(struct kvm *k, u32 i, u32 lines)
{
	struct icc *c = &k->vcpus[i].icc;
	bool kick;

	lock_take(&c->lock);
	c->wanted = lines;
	/* One that is not in the guest looks before it enters; one that is may
	 * as well find that there is nothing any more. */
	kick = c->in_guest && (lines_now(&k->vcpus[i]) & ~c->lines);
	lock_drop(&c->lock);
	if (kick)
		k->setup.gic->kick(k->setup.gic->ctx, i);
}

/* --- in and out --- */

static bool broken(struct kvm_exit *x, int err, const char *what)
{
	x->kind = VCPU_BROKEN;
	x->code = err;
	snprintf(x->why, sizeof(x->why), "%s", what);
	return false;
}

bool icc_enter(struct kvm *k, u32 i, struct kvm_exit *x)
{
	struct vcpu *v = &k->vcpus[i];
	struct icc *c = &v->icc;
	int err;

	if (!c->watching && !c->stepping) {
		err = watch(k, v);
		if (err)
			return broken(x, err, "KVM_SET_GUEST_DEBUG");
	}
	if (c->look && moved(k, v)) {
		x->kind = VCPU_MOVED;
		return false;
	}
	c->look = false;
	lock_take(&c->lock);
	lines_apply(k, i);
	c->in_guest = true;
	lock_drop(&c->lock);
	return true;
}

static void tell_wires(struct kvm *k, u32 i)
{
	const struct kvm_gic *g = k->setup.gic;
	const struct {
		u64 bit;
		u32 intid;
	} wires[] = {
		{ KVM_ARM_DEV_EL1_VTIMER, g->vtimer_intid },
		{ KVM_ARM_DEV_EL1_PTIMER, g->ptimer_intid },
		{ KVM_ARM_DEV_PMU, k->setup.pmu_intid },
	};
	struct vcpu *v = &k->vcpus[i];
	u64 now = v->run->s.regs.device_irq_level;
	u64 change = now ^ v->icc.wires;

	v->icc.wires = now;
	for (size_t w = 0; w < ARRAY_SIZE(wires); w++)
		if (change & wires[w].bit)
			g->wire(g->ctx, i, wires[w].intid, now & wires[w].bit);
}

void icc_leave(struct kvm *k, u32 i)
{
	struct icc *c = &k->vcpus[i].icc;
	bool mmio = k->vcpus[i].run->exit_reason == KVM_EXIT_MMIO;

	lock_take(&c->lock);
	c->in_guest = false;
	lock_drop(&c->lock);
	/* Whose exception has just arrived at a vector, has one we know. */
	c->look = mmio || (!c->settled && !c->at_vector);
	c->at_vector = false;
	tell_wires(k, i);
}

void icc_vcpu_reset(struct kvm *k, u32 i)
{
	struct icc *c = &k->vcpus[i].icc;

	/* KVM has reset its part of the lines. Breakpoints are set anew. */
	lock_take(&c->lock);
	c->lines = 0;
	c->settled = false;
	lock_drop(&c->lock);
	c->stepping = false;
	start_anew(c);
}

/* --- an access --- */

static u64 ttbr_of(u64 va)
{
	return va & BIT(55) ? REG_TTBR1_EL1 : REG_TTBR0_EL1;
}

/* What translates @va at EL1. The other half may be set to anything. */
static bool regime(const struct vcpu *v, u64 va, struct walk_regime *r)
{
	static const u8 shift0[] = { 12, 16, 14, 0 };
	static const u8 shift1[] = { 0, 14, 12, 16 };
	static const u8 bits[] = { 32, 36, 40, 42, 44, 48, 52, 52 };
	bool up = va & BIT(55);
	struct walk_half *h = &r->half[up];
	u64 tcr, ttbr;

	if (vcpu_reg_get(v, REG_TCR_EL1, &tcr) ||
	    vcpu_reg_get(v, ttbr_of(va), &ttbr))
		return false;
	*r = (struct walk_regime) {
		.oas = bits[FIELD_GET(TCR_IPS, tcr)],
		.ds = tcr & TCR_DS,
		.no_af = true,
	};
	h->on = !(tcr & (up ? TCR_EPD1 : TCR_EPD0));
	h->tbi = tcr & (up ? TCR_TBI1 : TCR_TBI0);
	h->bits = (u8)(64 - (up ? FIELD_GET(TCR_T1SZ, tcr)
				: FIELD_GET(TCR_T0SZ, tcr)));
	h->shift = up ? shift1[FIELD_GET(TCR_TG1, tcr)]
		      : shift0[FIELD_GET(TCR_TG0, tcr)];
	h->table = ttbr & TTBR_PA;
	if (r->oas > 48 && (h->shift == 16 || r->ds))
		h->table = (h->table & ~GENMASK(5, 0)) |
			   FIELD_GET(TTBR_PA_TOP, ttbr) << 48;
	return walk_regime_ok(r);
}

static bool translate(struct kvm *k, const struct vcpu *v, u64 va, u64 *pa)
{
	struct walk_regime r;
	struct walk w;
	u64 sctlr;

	if (vcpu_reg_get(v, REG_SCTLR_EL1, &sctlr))
		return false;
	*pa = va;
	if (!(sctlr & SCTLR_M))
		return true;
	if (!regime(v, va, &r))
		return false;
	/* The guest has just run from there: that it may is not asked. */
	w = walk(&k->setup.gic->dma, &r, va, 0);
	*pa = w.pa;
	return w.fault == WALK_OK;
}

/*
 * The instruction at @va. Where it lies is remembered, not what it is: kernels
 * patch themselves. One that moves its own code without moving its vectors has
 * the old place read, which hurts only itself.
 */
static bool fetch(struct kvm *k, struct vcpu *v, u64 va, u32 *insn)
{
	struct icc_seen *s = &v->icc.seen[va / 4 % ICC_SEEN];
	const u32 *at;

	if (!s->va || s->va != va) {
		if (!translate(k, v, va, &s->pa)) {
			s->va = 0;
			return false;
		}
		s->va = va;
		s->times = 0;
	}
	at = dma_piece(&k->setup.gic->dma, s->pa & ~3ull, sizeof(*insn), false);
	if (at)
		*insn = le32toh(__atomic_load_n(at, __ATOMIC_RELAXED));
	return at;
}

/* The access that the instruction at @pc is; false if it is none. */
static bool decode(struct kvm *k, struct vcpu *v, u64 pc, struct kvm_exit *x)
{
	struct icc *c = &v->icc;
	u32 insn;

	if (!fetch(k, v, pc, &insn) || (insn & SYSREG_MASK) != SYSREG_INSN)
		return false;
	c->pc = pc;
	c->rt = (u32)FIELD_GET(SYSREG_RT, insn);
	c->read = insn & SYSREG_READ;
	x->val = 0;
	if (!c->read && c->rt != RT_ZERO &&
	    vcpu_reg_get(v, REG_X(c->rt), &x->val))
		return false;
	x->kind = c->read ? VCPU_SYSREG_READ : VCPU_SYSREG_WRITE;
	x->addr = FIELD_GET(SYSREG_REG, insn);
	return true;
}

/* True if an access was thrown that the caller is to make. */
static bool thrown(struct kvm *k, struct vcpu *v, struct kvm_exit *x)
{
	u64 esr, elr;

	return !vcpu_reg_get(v, REG_ESR_EL1, &esr) &&
	       FIELD_GET(ESR_EC, esr) == EC_UNKNOWN &&
	       !vcpu_reg_get(v, REG_ELR_EL1, &elr) && decode(k, v, elr, x);
}

static bool is_hot(const struct icc *c, u64 pc)
{
	for (u32 i = 0; i < c->hot_nr; i++)
		if (c->hot[i] == pc)
			return true;
	return false;
}

/* Once more: is it worth a breakpoint, and is there one left? */
static void warm(struct kvm *k, struct vcpu *v)
{
	struct icc *c = &v->icc;
	u32 room = MIN(k->vectors.max - k->vectors.nr, ICC_HOT_MAX);
	u64 ttbr;

	if (c->hot_nr >= room ||
	    ++c->seen[c->pc / 4 % ICC_SEEN].times < HOT_TIMES ||
	    vcpu_reg_get(v, ttbr_of(c->pc), &ttbr))
		return;
	c->hot_table = ttbr & TTBR_PA;
	c->hot[c->hot_nr++] = c->pc;
	c->watching = false;
}

/* Is @pc still where it was when it was found? Another kernel, which has not
 * been seen yet, has its own tables. */
static bool still_there(const struct vcpu *v, u64 pc)
{
	u64 ttbr;

	return !vcpu_reg_get(v, ttbr_of(pc), &ttbr) &&
	       v->icc.hot_table == (ttbr & TTBR_PA);
}

static int breakpoint(struct kvm *k, struct vcpu *v, struct kvm_exit *x)
{
	u64 pc;
	int err = vcpu_reg_get(v, REG_PC, &pc);

	if (err)
		return err;
	v->icc.direct = is_hot(&v->icc, pc);
	v->icc.at_vector = !v->icc.direct;
	if (v->icc.direct && (!still_there(v, pc) || !decode(k, v, pc, x)))
		cool(&v->icc);
	if (v->icc.direct || thrown(k, v, x))
		return 0;
	return step(v);
}

/*
 * What a BRK throws, which KVM takes away from the guest while it is debugged:
 * D1.3.1, AArch64.TakeException, to EL1.
 */
static int take_brk(struct vcpu *v)
{
	u64 pc, old, vbar, sctlr, to, vector;
	int err = vcpu_reg_get(v, REG_PC, &pc);

	if (!err)
		err = vcpu_reg_get(v, REG_PSTATE, &old);
	if (!err)
		err = vcpu_reg_get(v, REG_VBAR_EL1, &vbar);
	if (!err)
		err = vcpu_reg_get(v, REG_SCTLR_EL1, &sctlr);
	if (err)
		return err;
	vector = old & PSTATE_AARCH32 ? 0x600 : 0x400;
	if ((old & (PSTATE_AARCH32 | PSTATE_EL)) == PSTATE_EL1)
		vector = old & PSTATE_SP ? VECTOR_SYNC_EL1 : 0;
	to = (old & (PSTATE_NZCV | PSTATE_DIT | PSTATE_PAN)) | PSTATE_DAIF |
	     PSTATE_EL1 | PSTATE_SP;
	if (!(sctlr & SCTLR_SPAN))
		to |= PSTATE_PAN;
	if (sctlr & SCTLR_DSSBS)
		to |= PSTATE_SSBS;
	err = vcpu_reg_set(v, REG_ELR_EL1, pc);
	if (!err)
		err = vcpu_reg_set(v, REG_SPSR_EL1, old);
	if (!err)
		err = vcpu_reg_set(v, REG_ESR_EL1, v->run->debug.arch.hsr);
	if (!err)
		err = vcpu_reg_set(v, REG_PSTATE, to);
	return err ? err : vcpu_reg_set(v, REG_PC, vbar + vector);
}

void icc_debug(struct kvm *k, u32 i, struct kvm_exit *x)
{
	struct vcpu *v = &k->vcpus[i];
	int err = 0;

	x->kind = VCPU_KICKED;
	/* Nobody debugs a vCPU that has KVM's GIC. */
	switch (k->setup.gic ? FIELD_GET(ESR_EC, v->run->debug.arch.hsr) : 0) {
	case EC_BREAKPOINT:
		err = breakpoint(k, v, x);
		break;
	case EC_BRK64:
	case EC_BKPT32:
		err = take_brk(v);
		break;
	case EC_SOFTSTEP:
		v->icc.stepping = false;
		v->icc.watching = false;
		break;
	default:
		err = -EPROTO;
	}
	if (err)
		broken(x, err, "a debug exception");
}

/* As it was when the exception was thrown. -EINVAL for a mode there is not: a
 * guest that jumped to its own vector may have put anything there. */
static int restore_pstate(struct vcpu *v)
{
	u64 spsr;
	int err = vcpu_reg_get(v, REG_SPSR_EL1, &spsr);

	return err ? err : vcpu_reg_set(v, REG_PSTATE, spsr & ~PSTATE_BTYPE);
}

/* Behind the instruction, as though it had been executed. */
static int resume(struct kvm *k, struct vcpu *v, u64 val)
{
	struct icc *c = &v->icc;
	int err = c->direct ? 0 : restore_pstate(v);

	if (err == -EINVAL)
		return step(v);
	if (!err && c->read && c->rt != RT_ZERO)
		err = vcpu_reg_set(v, REG_X(c->rt), val);
	if (!err)
		err = vcpu_reg_set(v, REG_PC, c->pc + 4);
	if (!err && !c->direct)
		warm(k, v);
	return err;
}

int kvm_vcpu_sysreg_done(struct kvm *k, u32 i, bool there, u64 val)
{
	struct vcpu *v = &k->vcpus[i];

	if (there)
		return resume(k, v, val);
	if (!v->icc.direct)
		return step(v);
	cool(&v->icc);
	return 0;
}
