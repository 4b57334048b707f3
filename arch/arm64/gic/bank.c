/*
 * Wired interrupts, 32 at a time: their state machine (IHI 0069H, 4.1) as
 * operations on words.
 */
#include "gic_priv.h"

u32 bank_pending(const struct irq_bank *b)
{
	return b->latch | ((b->line | b->held) & ~b->edge);
}

u32 bank_ready(const struct irq_bank *b)
{
	return bank_pending(b) & b->enabled & ~b->active;
}

u32 bank_read(const struct irq_bank *b, enum bank_reg reg)
{
	switch (reg) {
	case BANK_IGROUPR:
		return b->group;
	case BANK_ISENABLER:
	case BANK_ICENABLER:
		return b->enabled;
	case BANK_ISPENDR:
	case BANK_ICPENDR:
		return bank_pending(b);
	default:
		return b->active;
	}
}

static void write_bits(struct irq_bank *b, enum bank_reg reg, u32 bits)
{
	switch (reg) {
	case BANK_IGROUPR:
		b->group = bits;
		break;
	case BANK_ISENABLER:
		b->enabled |= bits;
		break;
	case BANK_ICENABLER:
		b->enabled &= ~bits;
		break;
	case BANK_ISPENDR:
		b->latch |= bits;
		break;
	case BANK_ICPENDR:
		b->latch &= ~bits;
		break;
	case BANK_ISACTIVER:
		b->active |= bits;
		break;
	default:
		b->active &= ~bits;
		break;
	}
}

u32 bank_write(struct irq_bank *b, enum bank_reg reg, u32 val)
{
	u32 ready = bank_ready(b), group = b->group;

	write_bits(b, reg, val & b->exists);
	return (ready ^ bank_ready(b)) | (ready & (group ^ b->group));
}

/* Two bits an interrupt, of which the upper one says edge. */
u32 bank_config_read(const struct irq_bank *b, u32 half)
{
	u32 val = 0;

	for (u32 i = 0; i < 16; i++)
		if (b->edge & BIT(half * 16 + i))
			val |= 2u << 2 * i;
	return val;
}

void bank_config_write(struct irq_bank *b, u32 half, u32 val)
{
	u32 edge = 0;

	for (u32 i = 0; i < 16; i++)
		if (val & 2u << 2 * i)
			edge |= (u32)BIT(half * 16 + i);
	b->edge = (b->edge & ~(0xffffu << 16 * half)) | (edge & b->exists);
}

void bank_line(struct irq_bank *b, u32 bit, bool level)
{
	if (level && !(b->line & bit))
		b->latch |= bit & b->edge;
	b->line = level ? b->line | bit : b->line & ~bit;
}

/* GICD_SETSPI_NSR and CLRSPI: what they mean depends on the configuration. */
void bank_message(struct irq_bank *b, u32 bit, bool set)
{
	u32 *word = b->edge & bit ? &b->latch : &b->held;

	*word = set ? *word | bit : *word & ~bit;
}

u32 bank_prio_read(const u8 *prio)
{
	return (u32)prio[0] | (u32)prio[1] << 8 | (u32)prio[2] << 16 |
	       (u32)prio[3] << 24;
}

void bank_prio_write(u8 *prio, u32 val, u32 mask)
{
	for (u32 i = 0; i < 4; i++)
		if (mask >> 8 * i & 0xff)
			prio[i] = val >> 8 * i & GIC_PRIO_MASK;
}
