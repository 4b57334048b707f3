/*
 * What a guest is offered: an allow-list of fields of IDR0 to IDR5.
 *
 * Of the SMMU below only those fields are looked at that the kernel says may be
 * (struct iommu_hw_info_arm_smmuv3 in linux/iommufd.h). What is not in the
 * table is 0.
 *
 * IHI 0070G, 6.3.1 to 6.3.6.
 */
#include "smmu_priv.h"

#include <errno.h>

enum source {
	OURS,  /* the value, whatever is below */
	BOTH,  /* what is below has, up to the value */
	ALONE, /* the value, if nothing is below */
};

static const struct field {
	u8 reg;
	u8 from; /* enum source */
	u8 val;
	u64 mask;
} fields[] = {
	/* What is there because nesting works at all. */
	{ 0, OURS, 1, IDR0_S1P },
	{ 0, OURS, 2, IDR0_TTF },
	{ 0, OURS, 1, IDR0_COHACC },
	/* The kernel does not nest it. */
	{ 0, ALONE, 2, IDR0_HTTU },
	{ 0, BOTH, 1, IDR0_ASID16 },
	/* Messages are stores of ours. */
	{ 0, OURS, 1, IDR0_MSI },
	/* Little endian: the walk in software knows no other. */
	{ 0, OURS, 2, IDR0_TTENDIAN },
	/* An emulated device cannot stall, nor be told that it read zeros. */
	{ 0, OURS, 1, IDR0_STALL_MODEL },
	{ 0, OURS, 1, IDR0_TERM_MODEL },
	/* The stream table is read here. */
	{ 0, OURS, 1, IDR0_ST_LEVEL },
	{ 1, OURS, SMMU_SID_BITS, IDR1_SIDSIZE },
	{ 1, OURS, SMMU_EVENTQ_BITS, IDR1_EVENTQS },
	{ 1, OURS, SMMU_CMDQ_BITS, IDR1_CMDQS },
	/* Every SMMU of the version that AIDR names has it. */
	{ 3, OURS, 1, IDR3_HAD },
	{ 3, BOTH, 1, IDR3_RIL },
	{ 3, BOTH, 2, IDR3_BBML },
	{ 5, BOTH, 1, IDR5_GRAN4K },
	{ 5, BOTH, 1, IDR5_GRAN16K },
	{ 5, BOTH, 1, IDR5_GRAN64K },
	/* Not among those that may be looked at. */
	{ 5, ALONE, 1, IDR5_DS },
	{ 5, BOTH, 1, IDR5_VAX },
	/* OAS is the size of the guest's own addresses: a host whose SMMU had
	 * less would not have given it so many. */
};

/* Bits, by IDR5.OAS and CD.IPS. */
static const u8 address_bits[] = { 32, 36, 40, 42, 44, 48, 52 };

u32 offer_address_bits(u64 encoded)
{
	return address_bits[MIN(encoded, ARRAY_SIZE(address_bits) - 1)];
}

static u64 value(const struct field *f, const u32 *host)
{
	u64 below = host ? FIELD_GET(f->mask, host[f->reg]) : f->val;

	switch (f->from) {
	case BOTH:
		return MIN(f->val, below);
	case ALONE:
		return host ? 0 : f->val;
	default:
		return f->val;
	}
}

static int check_host(const u32 *host, struct err *e)
{
	u64 ttf = FIELD_GET(IDR0_TTF, host[0]);
	u64 endian = FIELD_GET(IDR0_TTENDIAN, host[0]);

	if (!(ttf & 2))
		return err_set(e, -EINVAL,
			       "SMMU: the host's has no VMSAv8-64 tables");
	if (endian != 0 && endian != 2)
		return err_set(e, -EINVAL,
			       "SMMU: the host's has no little-endian tables");
	if (FIELD_GET(IDR0_STALL_MODEL, host[0]) > 1)
		return err_set(e, -EINVAL,
			       "SMMU: the host's stalls every fault");
	if (!(host[5] & (IDR5_GRAN4K | IDR5_GRAN16K | IDR5_GRAN64K)))
		return err_set(e, -EINVAL,
			       "SMMU: the host's has no granule, of 4, 16 or "
			       "64 KiB");
	return 0;
}

/* Addresses of 52 bits are there with 64 KiB, or else with DS, and DS is
 * nothing without them or without a smaller granule. */
static void make_wide(struct offer *o, u32 addr_bits)
{
	u32 *idr5 = &o->idr[5];
	u64 oas = 0;

	if (!(*idr5 & IDR5_VAX) || !(*idr5 & (IDR5_GRAN4K | IDR5_GRAN16K)))
		*idr5 &= (u32)~IDR5_DS;
	if (!(*idr5 & (IDR5_GRAN64K | IDR5_DS))) {
		*idr5 &= (u32)~IDR5_VAX;
		addr_bits = MIN(addr_bits, 48);
	}
	while (address_bits[oas] < addr_bits)
		oas++;
	*idr5 |= (u32)FIELD_PREP(IDR5_OAS, oas);
	o->oas = address_bits[oas];
}

int offer_make(struct offer *o, const u32 *host, u32 addr_bits, struct err *e)
{
	*o = (struct offer) { 0 };
	if (addr_bits < 32 || addr_bits > 52)
		return err_set(e, -EINVAL,
			       "SMMU: addresses of %u bits: they have 32 to 52",
			       addr_bits);
	if (host && check_host(host, e))
		return e->code;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		o->idr[fields[i].reg] |=
			(u32)FIELD_PREP(fields[i].mask,
					value(&fields[i], host));
	make_wide(o, addr_bits);
	o->s1stalld =
		host && FIELD_GET(IDR0_STALL_MODEL, host[0]) == STALL_MODEL_MAY;
	return 0;
}
