/*
 * What the guest's stream table says of a stream.
 *
 * Fields of what is not offered do not count, as the architecture has it, and
 * are not passed on: the SMMU below may well know them.
 *
 * IHI 0070G, 3.3.1, 5.1 and 5.2.
 */
#include "smmu_priv.h"

static struct ste_plan plan_of_kind(enum smmu_kind kind, u64 config)
{
	return (struct ste_plan) {
		.to = { .kind = kind,
			.ste = { STE_0_V | FIELD_PREP(STE_0_CONFIG, config) } }
	};
}

static struct ste_plan plan_abort(void)
{
	return plan_of_kind(SMMU_ABORT, 0);
}

static struct ste_plan plan_bypass(void)
{
	return plan_of_kind(SMMU_BYPASS, STE_CONFIG_TRAFFIC);
}

static struct ste_plan plan_bad(u8 event, u64 fetch)
{
	struct ste_plan p = plan_abort();

	p.event = event;
	p.fetch = fetch;
	return p;
}

static struct ste_plan plan_stage1(const struct ste *ste, const struct offer *o)
{
	struct ste_plan p =
		plan_of_kind(SMMU_STAGE1, STE_CONFIG_TRAFFIC | STE_CONFIG_S1);
	u64 context = ste->word[0] & STE_0_S1CTXPTR;

	/* No stalls: it is illegal to forbid them. */
	if (context >> o->oas || (ste->word[1] & STE_1_S1STALLD))
		return plan_bad(C_BAD_STE, 0);
	p.to.ste[0] |= context;
	p.to.ste[1] = ste->word[1] & (STE_1_S1CIR | STE_1_S1COR | STE_1_S1CSH);
	if (o->s1stalld)
		p.to.ste[1] |= STE_1_S1STALLD;
	return p;
}

struct ste_plan ste_plan(const struct ste *ste, const struct offer *o)
{
	u64 config = FIELD_GET(STE_0_CONFIG, ste->word[0]);

	if (!(ste->word[0] & STE_0_V))
		return plan_bad(C_BAD_STE, 0);
	if (!(config & STE_CONFIG_TRAFFIC))
		return plan_abort();
	if (config & STE_CONFIG_S2)
		return plan_bad(C_BAD_STE, 0);
	return config & STE_CONFIG_S1 ? plan_stage1(ste, o) : plan_bypass();
}

/* A table is aligned to its size, and to no less than 64 bytes. */
static u64 table_base(const struct smmu *s, int size_bits)
{
	return s->strtab_base & STRTAB_BASE_ADDR &
	       ~GENMASK(MIN(MAX(size_bits, 6), 63) - 1, 0);
}

static u32 log2size(const struct smmu *s)
{
	return (u32)FIELD_GET(STRTAB_CFG_LOG2SIZE, s->strtab_cfg);
}

static u32 split(const struct smmu *s)
{
	u32 bits = (u32)FIELD_GET(STRTAB_CFG_SPLIT, s->strtab_cfg);

	return bits == 8 || bits == 10 ? bits : 6;
}

/* Where the second level is that has @sid; or what is wrong. */
static u8 second_level(struct smmu *s, u32 sid, u64 *at)
{
	u32 low = sid & (u32)(BIT(split(s)) - 1), span;
	u64 desc;

	*at = table_base(s, (int)(log2size(s) - split(s)) + 3) +
	      (sid >> split(s)) * sizeof(desc);
	if (!smmu_load(s, *at, &desc, 1))
		return F_STE_FETCH;
	span = (u32)FIELD_GET(L1STD_SPAN, desc);
	if (!span || span > split(s) + 1 || low >> (span - 1))
		return C_BAD_STREAMID;
	*at = (desc & L1STD_L2PTR & ~GENMASK(4 + span, 0)) +
	      low * sizeof(struct ste);
	return 0;
}

static u8 find_ste(struct smmu *s, u32 sid, u64 *at)
{
	if (sid >> MIN(log2size(s), SMMU_SID_BITS))
		return C_BAD_STREAMID;
	if (FIELD_GET(STRTAB_CFG_FMT, s->strtab_cfg) == STRTAB_2LEVEL)
		return second_level(s, sid, at);
	*at = table_base(s, (int)log2size(s) + 6) + sid * sizeof(struct ste);
	return 0;
}

static struct ste_plan plan_of_table(struct smmu *s, u32 sid)
{
	struct ste ste;
	u64 at = 0;
	u8 bad = find_ste(s, sid, &at);

	if (!bad && !smmu_load(s, at, ste.word, ARRAY_SIZE(ste.word)))
		bad = F_STE_FETCH;
	return bad ? plan_bad(bad, at) : ste_plan(&ste, &s->offer);
}

struct ste_plan smmu_plan_of(struct smmu *s, u32 sid)
{
	if (s->cr0 & CR0_SMMUEN)
		return plan_of_table(s, sid);
	return s->gbpa & GBPA_ABORT ? plan_abort() : plan_bypass();
}
