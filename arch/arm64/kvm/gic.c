/*
 * The kernel's GICv3 and ITS: making, wiring, resetting.
 *
 * KVM has no call that resets a GIC, so vgic_reset writes every register the
 * guest may have changed back to its value at power-on (IHI 0069, chapter 12),
 * through the same attributes that migration uses.
 */
#include "vm.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define REDIST_REGION(count, base, index) \
	((u64)(count) << 52 | (base) | (index))

static int device_create(struct kvm *k, u32 type, int *fd)
{
	struct kvm_create_device d = { .type = type };

	if (ioctl(k->vm_fd, KVM_CREATE_DEVICE, &d) < 0)
		return -errno;
	*fd = (int)d.fd;
	return 0;
}

/* ENODEV and ENXIO are how KVM says that the host's own GIC is no GICv3. */
static int no_gic(int err, const char *what, struct err *e)
{
	if (err == -ENODEV || err == -ENXIO)
		return err_set(
			e, err,
			"this host's interrupt controller cannot give guests a %s (it has no GICv3 virtualisation)",
			what);
	return err_set(e, err, "%s: %s", what, strerror(-err));
}

int vgic_create(struct kvm *k, struct err *e)
{
	int err = device_create(k, KVM_DEV_TYPE_ARM_VGIC_V3, &k->gic_fd);

	if (err)
		return no_gic(err, "GICv3", e);
	err = device_create(k, KVM_DEV_TYPE_ARM_VGIC_ITS, &k->its_fd);
	return err ? no_gic(err, "GICv3 ITS", e) : 0;
}

static int set_addresses(struct kvm *k)
{
	const struct kvm_setup *s = &k->setup;
	int err;

	err = kvm_attr_set(k->gic_fd, KVM_DEV_ARM_VGIC_GRP_ADDR,
			   KVM_VGIC_V3_ADDR_TYPE_DIST, &s->gicd);
	for (u32 i = 0; !err && i < s->gicr_nr; i++) {
		u64 region = REDIST_REGION(s->gicr[i].cpus, s->gicr[i].base, i);

		err = kvm_attr_set(k->gic_fd, KVM_DEV_ARM_VGIC_GRP_ADDR,
				   KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION,
				   &region);
	}
	if (!err)
		err = kvm_attr_set(k->gic_fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0,
				   &s->intid_limit);
	if (!err)
		err = kvm_attr_set(k->its_fd, KVM_DEV_ARM_VGIC_GRP_ADDR,
				   KVM_VGIC_ITS_ADDR_TYPE, &s->its);
	return err;
}

/* After the last vCPU was made. */
int vgic_init(struct kvm *k, struct err *e)
{
	int err = set_addresses(k);

	if (!err)
		err = kvm_attr_set(k->gic_fd, KVM_DEV_ARM_VGIC_GRP_CTRL,
				   KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
	if (!err)
		err = kvm_attr_set(k->its_fd, KVM_DEV_ARM_VGIC_GRP_CTRL,
				   KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
	if (!err && k->setup.stop)
		err = hidden_its_reset(k);
	return err ? err_set(e, err, "GIC: %s", strerror(-err)) : 0;
}

void vgic_destroy(struct kvm *k)
{
	if (k->its_fd >= 0)
		close(k->its_fd);
	if (k->gic_fd >= 0)
		close(k->gic_fd);
}

static void line_set(void *ctx, u32 intid, bool level)
{
	struct kvm *k = ctx;
	struct kvm_irq_level l = {
		.irq = KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | intid,
		.level = level,
	};

	/* Can fail only for an INTID that the machine did not ask for. */
	(void)ioctl(k->vm_fd, KVM_IRQ_LINE, &l);
}

struct irq_line kvm_irq_line(struct kvm *k, u32 intid)
{
	return (struct irq_line) { .set = line_set, .ctx = k, .intid = intid };
}

/* Registers @off, @off + 4 ... of @nr words, all written with @val. */
struct reset_row {
	u32 off;
	u32 nr; /* 0: as many as hold @per_intid bits for every SPI */
	u32 per_intid;
	u32 val;
};

/*
 * GICD (IHI 0069, 12.8). KVM takes ISPENDR as the whole pending state, and
 * its distributor has all interrupts in group 1 until told otherwise.
 */
static const struct reset_row gicd_rows[] = {
	{ 0x0000, 1, 0, 0 },   /* GICD_CTLR */
	{ 0x0080, 0, 1, ~0u }, /* GICD_IGROUPR */
	{ 0x0180, 0, 1, ~0u }, /* GICD_ICENABLER */
	{ 0x0200, 0, 1, 0 },   /* GICD_ISPENDR */
	{ 0x0380, 0, 1, ~0u }, /* GICD_ICACTIVER */
	{ 0x0400, 0, 8, 0 },   /* GICD_IPRIORITYR */
	{ 0x0c00, 0, 2, 0 },   /* GICD_ICFGR */
	{ 0x6000, 0, 64, 0 },  /* GICD_IROUTER */
};

/* GICR, both frames (12.10). KVM fixes what is edge and what is level here. */
static const struct reset_row gicr_rows[] = {
	{ 0x00000, 1, 0, 0 },   /* GICR_CTLR: LPIs off, before their tables */
	{ 0x00070, 2, 0, 0 },   /* GICR_PROPBASER */
	{ 0x00078, 2, 0, 0 },   /* GICR_PENDBASER */
	{ 0x10080, 1, 0, ~0u }, /* GICR_IGROUPR0 */
	{ 0x10180, 1, 0, ~0u }, /* GICR_ICENABLER0 */
	{ 0x10200, 1, 0, 0 },   /* GICR_ISPENDR0 */
	{ 0x10380, 1, 0, ~0u }, /* GICR_ICACTIVER0 */
	{ 0x10400, 8, 0, 0 },   /* GICR_IPRIORITYR */
};

/* The CPU interface (12.2): op0, op1, CRn, CRm, op2 as an attribute. */
#define ICC(crn, crm, op2) (3 << 14 | (crn) << 7 | (crm) << 3 | (op2))
#define ICC_CTLR_CBPR      BIT(0)
#define ICC_CTLR_EOIMODE   BIT(1)
static const struct {
	u16 reg;
	bool may_lack; /* there only with more than 5 bits of priority */
	u64 val;
} icc_rows[] = {
	{ ICC(4, 6, 0), false, 0 },   /* ICC_PMR_EL1 */
	{ ICC(12, 8, 3), false, 0 },  /* ICC_BPR0_EL1 */
	{ ICC(12, 8, 4), false, 0 },  /* ICC_AP0R0_EL1 */
	{ ICC(12, 8, 5), true, 0 },   /* ICC_AP0R1_EL1 */
	{ ICC(12, 8, 6), true, 0 },   /* ICC_AP0R2_EL1 */
	{ ICC(12, 8, 7), true, 0 },   /* ICC_AP0R3_EL1 */
	{ ICC(12, 9, 0), false, 0 },  /* ICC_AP1R0_EL1 */
	{ ICC(12, 9, 1), true, 0 },   /* ICC_AP1R1_EL1 */
	{ ICC(12, 9, 2), true, 0 },   /* ICC_AP1R2_EL1 */
	{ ICC(12, 9, 3), true, 0 },   /* ICC_AP1R3_EL1 */
	{ ICC(12, 12, 3), false, 0 }, /* ICC_BPR1_EL1 */
	{ ICC(12, 12, 6), false, 0 }, /* ICC_IGRPEN0_EL1 */
	{ ICC(12, 12, 7), false, 0 }, /* ICC_IGRPEN1_EL1 */
};

static u32 row_words(const struct kvm *k, const struct reset_row *r)
{
	return r->nr ? r->nr : k->setup.intid_limit * r->per_intid / 32;
}

/* Words that hold private interrupts are the redistributors'. */
static u32 row_first(const struct reset_row *r)
{
	return r->nr ? 0 : 32 * r->per_intid / 32;
}

static int write_rows(struct kvm *k, u32 group, u64 mpidr,
		      const struct reset_row *rows, size_t nr)
{
	int err = 0;

	for (size_t i = 0; !err && i < nr; i++)
		for (u32 w = row_first(&rows[i]);
		     !err && w < row_words(k, &rows[i]); w++)
			err = kvm_attr_set(k->gic_fd, group,
					   mpidr << 32 | (rows[i].off + 4 * w),
					   &rows[i].val);
	return err;
}

/*
 * ICC_CTLR_EL1 also tells what the host's hardware has, and takes only that
 * back: its two modes are cleared in what it reads. First, because while CBPR
 * is set ICC_BPR1_EL1 is not written.
 */
static int icc_ctlr_reset(struct kvm *k, u64 mpidr)
{
	u64 val = 0;
	struct kvm_device_attr a = {
		.group = KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS,
		.attr = mpidr << 32 | ICC(12, 12, 4),
		.addr = (uintptr_t)&val,
	};

	if (ioctl(k->gic_fd, KVM_GET_DEVICE_ATTR, &a) < 0)
		return -errno;
	val &= ~(ICC_CTLR_CBPR | ICC_CTLR_EOIMODE);
	return kvm_attr_set(k->gic_fd, a.group, a.attr, &val);
}

static int icc_reset(struct kvm *k, u64 mpidr)
{
	int err = icc_ctlr_reset(k, mpidr);

	for (size_t i = 0; !err && i < ARRAY_SIZE(icc_rows); i++) {
		err = kvm_attr_set(k->gic_fd, KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS,
				   mpidr << 32 | icc_rows[i].reg,
				   &icc_rows[i].val);
		if (err && icc_rows[i].may_lack)
			err = 0;
	}
	return err;
}

/* An attribute names a vCPU by its affinity, Aff3:2:1:0 in 32 bits. */
int vgic_reset(struct kvm *k, struct err *e)
{
	int err = kvm_attr_set(k->its_fd, KVM_DEV_ARM_VGIC_GRP_CTRL,
			       KVM_DEV_ARM_ITS_CTRL_RESET, NULL);

	if (!err && k->setup.stop)
		err = hidden_its_reset(k);
	if (!err)
		err = write_rows(k, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0,
				 gicd_rows, ARRAY_SIZE(gicd_rows));
	for (u32 i = 0; !err && i < k->setup.cpus; i++) {
		err = write_rows(k, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS,
				 k->vcpus[i].mpidr, gicr_rows,
				 ARRAY_SIZE(gicr_rows));
		if (!err)
			err = icc_reset(k, k->vcpus[i].mpidr);
	}
	return err ? err_set(e, err, "GIC reset: %s", strerror(-err)) : 0;
}
