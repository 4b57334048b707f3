/*
 * The SMMU's registers.
 *
 * Whatever is switched is switched when the write is done, so CR0ACK and
 * IRQ_CTRLACK read as what they acknowledge, and GBPA.Update as 0. What a
 * switch guards does not change while it is on, as from SMMUv3.2 on.
 *
 * IHI 0070G, 6.
 */
#include "smmu_priv.h"

static u64 idr_read(void *dev, u32 i)
{
	return ((const struct smmu *)dev)->offer.idr[i];
}

static u64 iidr_read(void *dev, u32 i)
{
	return IIDR;
}

static u64 aidr_read(void *dev, u32 i)
{
	return AIDR;
}

/* Commands run on the thread that lets them; what is more than one turn's is
 * somebody else's. */
static void run(struct smmu *s)
{
	if (smmu_turn(s))
		s->setup.more(s->setup.ctx);
}

static u64 cr0_read(void *dev, u32 i)
{
	return ((const struct smmu *)dev)->cr0;
}

static void cr0_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct smmu *s = dev;
	u32 was = s->cr0;

	s->cr0 = (u32)(val & CR0_BITS);
	if ((s->cr0 ^ was) & CR0_SMMUEN)
		smmu_settle_all(s);
	run(s);
}

static u64 cr1_read(void *dev, u32 i)
{
	return ((const struct smmu *)dev)->cr1;
}

static void cr1_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct smmu *s = dev;
	u64 may = 0;

	if (!(s->cr0 & CR0_SMMUEN))
		may |= CR1_TABLE;
	if (!(s->cr0 & (CR0_CMDQEN | CR0_EVENTQEN)))
		may |= CR1_QUEUE;
	s->cr1 = (u32)reg_merge(s->cr1, val, may);
}

static u64 cr2_read(void *dev, u32 i)
{
	return ((const struct smmu *)dev)->cr2;
}

static void cr2_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct smmu *s = dev;

	if (!(s->cr0 & CR0_SMMUEN))
		s->cr2 = (u32)(val & CR2_RECINVSID);
}

static u64 gbpa_read(void *dev, u32 i)
{
	return ((const struct smmu *)dev)->gbpa;
}

static void gbpa_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct smmu *s = dev;

	if (!(val & GBPA_UPDATE))
		return;
	s->gbpa = (u32)(val & GBPA_ABORT);
	if (!(s->cr0 & CR0_SMMUEN))
		smmu_settle_all(s);
}

static u64 irq_ctrl_read(void *dev, u32 i)
{
	return ((const struct smmu *)dev)->irq_ctrl;
}

static void irq_ctrl_write(void *dev, u32 i, u64 val, u64 mask)
{
	((struct smmu *)dev)->irq_ctrl =
		(u32)(val & (IRQ_CTRL_GERROR | IRQ_CTRL_EVENTQ));
}

static u64 gerror_read(void *dev, u32 i)
{
	return ((const struct smmu *)dev)->gerror;
}

static u64 gerrorn_read(void *dev, u32 i)
{
	return ((const struct smmu *)dev)->gerrorn;
}

/* Who acknowledges what is not there stops the queue himself. */
static void gerrorn_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct smmu *s = dev;

	s->gerrorn = (u32)(val & GERROR_BITS);
	run(s);
}

/* IRQ_CFG0 of an interrupt, and 1 and 2, guarded by its enable bit. */
static void irq_addr_write(const struct smmu *s, struct irq_cfg *c, u32 guard,
			   u64 val, u64 mask)
{
	if (!(s->irq_ctrl & guard))
		c->addr = smmu_output_address(s, reg_merge(c->addr, val, mask) &
							 IRQ_CFG0_ADDR);
}

static void irq_word_write(const struct smmu *s, struct irq_cfg *c, u32 guard,
			   u32 i, u64 val)
{
	if (!(s->irq_ctrl & guard))
		c->word[i] = (u32)(i ? val & IRQ_CFG2_ATTR : val);
}

static u64 gerror_irq_addr_read(void *dev, u32 i)
{
	return ((const struct smmu *)dev)->gerror_irq.addr;
}

static void gerror_irq_addr_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct smmu *s = dev;

	irq_addr_write(s, &s->gerror_irq, IRQ_CTRL_GERROR, val, mask);
}

static u64 gerror_irq_word_read(void *dev, u32 i)
{
	return ((const struct smmu *)dev)->gerror_irq.word[i];
}

static void gerror_irq_word_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct smmu *s = dev;

	irq_word_write(s, &s->gerror_irq, IRQ_CTRL_GERROR, i, val);
}

static u64 eventq_irq_addr_read(void *dev, u32 i)
{
	return ((const struct smmu *)dev)->eventq_irq.addr;
}

static void eventq_irq_addr_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct smmu *s = dev;

	irq_addr_write(s, &s->eventq_irq, IRQ_CTRL_EVENTQ, val, mask);
}

static u64 eventq_irq_word_read(void *dev, u32 i)
{
	return ((const struct smmu *)dev)->eventq_irq.word[i];
}

static void eventq_irq_word_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct smmu *s = dev;

	irq_word_write(s, &s->eventq_irq, IRQ_CTRL_EVENTQ, i, val);
}

static u64 strtab_base_read(void *dev, u32 i)
{
	return ((const struct smmu *)dev)->strtab_base;
}

static void strtab_base_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct smmu *s = dev;

	if (!(s->cr0 & CR0_SMMUEN))
		s->strtab_base = reg_merge(s->strtab_base, val, mask) &
				 (STRTAB_BASE_RA | STRTAB_BASE_ADDR);
}

static u64 strtab_cfg_read(void *dev, u32 i)
{
	return ((const struct smmu *)dev)->strtab_cfg;
}

static void strtab_cfg_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct smmu *s = dev;

	if (!(s->cr0 & CR0_SMMUEN))
		s->strtab_cfg =
			(u32)(val & (STRTAB_CFG_LOG2SIZE | STRTAB_CFG_SPLIT |
				     STRTAB_CFG_FMT));
}

static void queue_base_write(struct queue *q, u64 val, u64 mask)
{
	q->base = reg_merge(q->base, val, mask) &
		  (Q_BASE_ALLOC | Q_BASE_ADDR | Q_BASE_LOG2SIZE);
}

static u64 cmdq_base_read(void *dev, u32 i)
{
	return ((const struct smmu *)dev)->cmdq.base;
}

static void cmdq_base_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct smmu *s = dev;

	if (!(s->cr0 & CR0_CMDQEN))
		queue_base_write(&s->cmdq, val, mask);
}

static u64 cmdq_prod_read(void *dev, u32 i)
{
	return ((const struct smmu *)dev)->cmdq.prod;
}

static void cmdq_prod_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct smmu *s = dev;

	s->cmdq.prod = (u32)(val & Q_INDEX);
	if ((s->cr0 & CR0_CMDQEN) &&
	    queue_used(&s->cmdq) > queue_size(&s->cmdq))
		guest_fault(&s->faults, "CMDQ_PROD beyond CMDQ_CONS: %#x",
			    s->cmdq.prod);
	run(s);
}

static u64 cmdq_cons_read(void *dev, u32 i)
{
	const struct smmu *s = dev;

	return queue_position(&s->cmdq, s->cmdq.cons) |
	       FIELD_PREP(CMDQ_CONS_ERR, s->cmdq_error);
}

static void cmdq_cons_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct smmu *s = dev;

	if (!(s->cr0 & CR0_CMDQEN))
		s->cmdq.cons = (u32)(val & Q_INDEX);
}

static u64 eventq_base_read(void *dev, u32 i)
{
	return ((const struct smmu *)dev)->eventq.base;
}

static void eventq_base_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct smmu *s = dev;

	if (!(s->cr0 & CR0_EVENTQEN))
		queue_base_write(&s->eventq, val, mask);
}

static u64 eventq_prod_read(void *dev, u32 i)
{
	return ((const struct smmu *)dev)->eventq.prod;
}

static void eventq_prod_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct smmu *s = dev;

	if (!(s->cr0 & CR0_EVENTQEN))
		s->eventq.prod = (u32)(val & (Q_INDEX | EVENTQ_OVFLG));
}

static u64 eventq_cons_read(void *dev, u32 i)
{
	return ((const struct smmu *)dev)->eventq.cons;
}

static void eventq_cons_write(void *dev, u32 i, u64 val, u64 mask)
{
	((struct smmu *)dev)->eventq.cons =
		(u32)(val & (Q_INDEX | EVENTQ_OVFLG));
}

#define WIDE (REG_32 | REG_64)

static const struct reg regs[] = {
	{ "SMMU_IDR", SMMU_IDR0, 6, 4, REG_32, idr_read, NULL },
	{ "SMMU_IIDR", SMMU_IIDR, 1, 4, REG_32, iidr_read, NULL },
	{ "SMMU_AIDR", SMMU_AIDR, 1, 4, REG_32, aidr_read, NULL },
	{ "SMMU_CR0", SMMU_CR0, 1, 4, REG_32, cr0_read, cr0_write },
	{ "SMMU_CR0ACK", SMMU_CR0ACK, 1, 4, REG_32, cr0_read, NULL },
	{ "SMMU_CR1", SMMU_CR1, 1, 4, REG_32, cr1_read, cr1_write },
	{ "SMMU_CR2", SMMU_CR2, 1, 4, REG_32, cr2_read, cr2_write },
	{ "SMMU_STATUSR", SMMU_STATUSR, 1, 4, REG_32, NULL, NULL },
	{ "SMMU_GBPA", SMMU_GBPA, 1, 4, REG_32, gbpa_read, gbpa_write },
	{ "SMMU_IRQ_CTRL", SMMU_IRQ_CTRL, 1, 4, REG_32, irq_ctrl_read,
	  irq_ctrl_write },
	{ "SMMU_IRQ_CTRLACK", SMMU_IRQ_CTRLACK, 1, 4, REG_32, irq_ctrl_read,
	  NULL },
	{ "SMMU_GERROR", SMMU_GERROR, 1, 4, REG_32, gerror_read, NULL },
	{ "SMMU_GERRORN", SMMU_GERRORN, 1, 4, REG_32, gerrorn_read,
	  gerrorn_write },
	{ "SMMU_GERROR_IRQ_CFG0", SMMU_GERROR_IRQ_CFG0, 1, 8, WIDE,
	  gerror_irq_addr_read, gerror_irq_addr_write },
	{ "SMMU_GERROR_IRQ_CFG", SMMU_GERROR_IRQ_CFG1, 2, 4, REG_32,
	  gerror_irq_word_read, gerror_irq_word_write },
	{ "SMMU_STRTAB_BASE", SMMU_STRTAB_BASE, 1, 8, WIDE, strtab_base_read,
	  strtab_base_write },
	{ "SMMU_STRTAB_BASE_CFG", SMMU_STRTAB_BASE_CFG, 1, 4, REG_32,
	  strtab_cfg_read, strtab_cfg_write },
	{ "SMMU_CMDQ_BASE", SMMU_CMDQ_BASE, 1, 8, WIDE, cmdq_base_read,
	  cmdq_base_write },
	{ "SMMU_CMDQ_PROD", SMMU_CMDQ_PROD, 1, 4, REG_32, cmdq_prod_read,
	  cmdq_prod_write },
	{ "SMMU_CMDQ_CONS", SMMU_CMDQ_CONS, 1, 4, REG_32, cmdq_cons_read,
	  cmdq_cons_write },
	{ "SMMU_EVENTQ_BASE", SMMU_EVENTQ_BASE, 1, 8, WIDE, eventq_base_read,
	  eventq_base_write },
	{ "SMMU_EVENTQ_IRQ_CFG0", SMMU_EVENTQ_IRQ_CFG0, 1, 8, WIDE,
	  eventq_irq_addr_read, eventq_irq_addr_write },
	{ "SMMU_EVENTQ_IRQ_CFG", SMMU_EVENTQ_IRQ_CFG1, 2, 4, REG_32,
	  eventq_irq_word_read, eventq_irq_word_write },
	{ "SMMU_EVENTQ_PROD", SMMU_EVENTQ_PROD, 1, 4, REG_32, eventq_prod_read,
	  eventq_prod_write },
	{ "SMMU_EVENTQ_CONS", SMMU_EVENTQ_CONS, 1, 4, REG_32, eventq_cons_read,
	  eventq_cons_write },
};

const struct regbank smmu_bank = { "the registers", regs, ARRAY_SIZE(regs),
				   SMMU_SIZE };

/* Both positions of a queue by one access, as FreeBSD reads them: 6.2 lets that
 * be two. */
static bool is_pair(u64 off, u32 size)
{
	return size == 8 && (off == SMMU_CMDQ_PROD || off == SMMU_EVENTQ_PROD);
}

static u64 bank_read(void *dev, u64 off, u32 size)
{
	u32 part = is_pair(off, size) ? 4 : size;
	struct smmu *s = dev;
	u64 val;

	lock_take(&s->lock);
	val = regbank_read(&smmu_bank, s, off, part, &s->faults);
	if (part < size)
		val |= regbank_read(&smmu_bank, s, off + part, part, &s->faults)
		       << 32;
	lock_drop(&s->lock);
	return val;
}

static void bank_write(void *dev, u64 off, u32 size, u64 val)
{
	struct smmu *s = dev;

	lock_take(&s->lock);
	regbank_write(&smmu_bank, s, off, size, val, &s->faults);
	lock_drop(&s->lock);
}

const struct mmio_ops smmu_mmio = { bank_read, bank_write };
