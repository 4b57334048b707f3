/*
 * The theory. A device interrupts by writing a number, the event, to an
 * address, the doorbell: GITS_TRANSLATER of an ITS. Behind an SMMU whose stage
 * 1 is the guest's and whose stage 2 is the host's, that address is translated
 * twice:
 *
 *	guest's driver	writes { gIOVA, guest's event } into its entry, a trap
 *	guest's stage 1	gIOVA -> GPA of the page of *its* GITS_TRANSLATER
 *	host's stage 2	that GPA -> the physical ITS' page
 *	physical entry	{ gIOVA, host's event }
 *
 * The kernel does the third line when it gives out a vector: it maps the
 * physical ITS at an address of its own choice (the base of its MSI window, for
 * the first ITS of an iommufd), and writes { that address + offset of the
 * register, host's event } into the entry. The guest's memory map puts its ITS
 * where its GITS_TRANSLATER *is* that address. So where stage 1 does not
 * translate, the kernel's address and the guest's are one; and where it does,
 * this file puts the guest's in the kernel's place, and the data stays. Nothing
 * is reserved in the guest and no firmware tells it of a window; when it unmaps
 * its doorbell the interrupt stops, and its SMMU says why.
 *
 * Where the entry cannot be reached (no table, or none that can be mapped),
 * the guest must map the kernel's address to itself: mode rmr.
 *
 * Changing the host's affinity does not rewrite an entry: the ITS is told
 * instead. Reset, waking from D3 and error recovery do: the kernel restores
 * what it wrote. Messages sent in between go to the kernel's address; so the
 * entry is masked from the moment the kernel has armed it until the guest lets
 * it send, and its address changes only under the mask.
 */
#include <belfry/doorbell.h>

/* Words of an entry. */
#define ADDR_LO       0
#define ADDR_HI       1
#define CONTROL       3
#define VECTOR_MASKED BIT(0)

const char *doorbell_mode_name(enum doorbell_mode mode)
{
	static const char *const names[] = {
		[DOORBELL_MODE_HOST] = "host",
		[DOORBELL_MODE_DIRECT] = "direct",
		[DOORBELL_MODE_RMR] = "rmr",
	};

	return names[mode];
}

/* Aligned words: a table takes no smaller accesses. */
static u32 get(const struct doorbell_vector *v, u32 word)
{
	return le32toh(((const volatile u32 *)v->entry)[word]);
}

static void put(struct doorbell_vector *v, u32 word, u32 val)
{
	((volatile u32 *)v->entry)[word] = htole32(val);
}

static u64 address(const struct doorbell_vector *v)
{
	return get(v, ADDR_LO) | (u64)get(v, ADDR_HI) << 32;
}

static void mask(struct doorbell_vector *v, bool on)
{
	u32 control = get(v, CONTROL) & ~(u32)VECTOR_MASKED;

	put(v, CONTROL, control | (on ? VECTOR_MASKED : 0));
}

/* Reading back is also what makes posted writes arrive. */
static bool move_to(struct doorbell *d, struct doorbell_vector *v, u64 addr)
{
	put(v, ADDR_LO, (u32)addr);
	put(v, ADDR_HI, (u32)(addr >> 32));
	v->is = address(v);
	d->rewrites++;
	if (v->is != addr)
		return false;
	d->verified++;
	return true;
}

/* Let the entry be what @v says; one that cannot be stays masked. */
static bool apply(struct doorbell *d, struct doorbell_vector *v)
{
	bool done = true;

	mask(v, true);
	if (d->mode == DOORBELL_MODE_DIRECT && v->open && v->is != v->wanted)
		done = move_to(d, v, v->wanted);
	if (v->open && done)
		mask(v, false);
	(void)get(v, CONTROL);
	return done;
}

bool doorbell_armed(struct doorbell *d, struct doorbell_vector *v)
{
	v->armed = true;
	if (!v->entry)
		return true;
	mask(v, true);
	v->kernel = v->is = address(v);
	if (v->kernel == d->translater || d->mode != DOORBELL_MODE_DIRECT)
		return true;
	d->strays++;
	return false;
}

void doorbell_disarmed(struct doorbell_vector *v)
{
	v->armed = v->open = false;
}

bool doorbell_set(struct doorbell *d, struct doorbell_vector *v, bool open,
		  u64 addr)
{
	bool same = v->open == open && (!open || v->wanted == addr);

	v->open = open;
	v->wanted = addr;
	return !v->armed || !v->entry || same || apply(d, v);
}

bool doorbell_again(struct doorbell *d, struct doorbell_vector *v)
{
	if (!v->armed || !v->entry)
		return true;
	mask(v, true);
	v->is = address(v);
	return apply(d, v);
}
