/*
 * What a context descriptor says.
 *
 * IHI 0070G, 5.4, and 5.4.2 for what is ILLEGAL.
 */
#include "smmu_priv.h"

#define TSZ_MAX      39
#define TSZ_MIN      16
#define TSZ_MIN_WIDE 12

static bool granule_ok(const struct offer *o, u8 shift)
{
	switch (shift) {
	case 12:
		return o->idr[5] & IDR5_GRAN4K;
	case 14:
		return o->idr[5] & IDR5_GRAN16K;
	case 16:
		return o->idr[5] & IDR5_GRAN64K;
	default:
		return false;
	}
}

/* TTB0's half or TTB1's. One that is off is not looked at. */
static bool half_plan(const struct cd *cd, u32 i, const struct offer *o,
		      const struct walk_regime *r, struct walk_half *h)
{
	static const u8 shifts[2][4] = { { 12, 16, 14, 0 }, { 0, 14, 12, 16 } };
	u64 fields = cd->word[0] >> i * CD_0_HALF, table = cd->word[1 + i];
	u32 tsz = (u32)FIELD_GET(CD_0_TSZ, fields);
	bool wide;

	*h = (struct walk_half) {
		.on = !(fields & CD_0_EPD),
		.shift = shifts[i][FIELD_GET(CD_0_TG, fields)],
		.bits = (u8)(64 - tsz),
		.tbi = cd->word[0] & CD_0_TBI << i,
		.flat = (o->idr[3] & IDR3_HAD) && (table & CD_12_HAD),
		.sh = (u8)FIELD_GET(CD_0_SH, fields),
		.table = table & CD_12_TTB,
	};
	if (!h->on)
		return true;
	wide = r->ds || h->shift == 16;
	if (tsz > TSZ_MAX ||
	    tsz < ((o->idr[5] & IDR5_VAX) && wide ? TSZ_MIN_WIDE : TSZ_MIN))
		return false;
	return granule_ok(o, h->shift) &&
	       !(h->table >> (wide ? r->oas : MIN(r->oas, 48)));
}

/* Does hardware update what the descriptor asks for? */
static bool updates_ok(u64 word, const struct offer *o)
{
	u64 httu = FIELD_GET(IDR0_HTTU, o->idr[0]);

	return !(word & (CD_0_HA | CD_0_HD)) || httu >= 2 ||
	       (httu && !(word & CD_0_HD));
}

/* A fault aborts, and never stalls; tables are of VMSAv8-64. */
static bool word_ok(u64 word, const struct offer *o)
{
	if (!(word & CD_0_V) || !(word & CD_0_A) || (word & CD_0_S) ||
	    !(word & CD_0_AA64))
		return false;
	if (!(o->idr[0] & IDR0_ASID16) && FIELD_GET(CD_0_ASID, word) >> 8)
		return false;
	return updates_ok(word, o);
}

bool cd_plan(const struct cd *cd, const struct offer *o, struct cd_plan *p)
{
	struct walk_regime *r = &p->regime;
	u64 word = cd->word[0];

	*p = (struct cd_plan) {
		.asid = (u16)FIELD_GET(CD_0_ASID, word),
		.record = word & CD_0_R,
		.regime = {
			.oas = (u8)MIN(offer_address_bits(
					       FIELD_GET(CD_0_IPS, word)),
				       o->oas),
			.ds = (o->idr[5] & IDR5_DS) &&
			      (cd->word[2] & CD_2_DS),
			.ha = word & CD_0_HA,
			.hd = (word & CD_0_HA) && (word & CD_0_HD),
			.no_af = word & CD_0_AFFD,
			.wxn = word & CD_0_WXN,
			.pan = word & CD_0_PAN,
		},
	};
	if (!word_ok(word, o) || !half_plan(cd, 0, o, r, &r->half[0]) ||
	    !half_plan(cd, 1, o, r, &r->half[1]))
		return false;
	if ((word & CD_0_ENDI) && (r->half[0].on || r->half[1].on))
		return false;
	assert(walk_regime_ok(r));
	return true;
}
