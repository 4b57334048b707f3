/*
 * What an ITS asks of redistributors that are ours. Mappings are no concern of
 * theirs.
 */
#include <belfry/gic.h>

/* An event whose collection is not mapped is pending nowhere. */
static void clear(struct gic *g, const struct its_op *op)
{
	if (op->cpu != ITS_NO_CPU)
		gic_lpi_clear(g, op->cpu, op->lpi);
}

static void sink_op(void *ctx, const struct its_op *op)
{
	struct gic *g = ctx;

	switch (op->kind) {
	case ITS_OP_INT:
		(void)gic_lpi_set(g, op->cpu, op->lpi);
		break;
	case ITS_OP_DISCARD:
	case ITS_OP_CLEAR:
		clear(g, op);
		break;
	case ITS_OP_MOVI:
		gic_lpi_move(g, op->cpu, op->to, op->lpi);
		break;
	case ITS_OP_MOVALL:
		gic_lpi_move_all(g, op->cpu, op->to);
		break;
	case ITS_OP_INV:
		gic_lpi_inv(g, op->lpi);
		break;
	case ITS_OP_INVALL:
		gic_lpi_inv_all(g);
		break;
	default:
		break;
	}
}

struct its_sink gic_its_sink(struct gic *g)
{
	return (struct its_sink) { .op = sink_op, .ctx = g };
}
