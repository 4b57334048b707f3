/* Where kernel, device tree and initrd go. Arithmetic only. */
#include <belfry/image.h>

#include <assert.h>
#include <errno.h>

/* Physical addresses have at most 52 bits (Arm DDI 0487, FEAT_LPA), so sums of
 * a few sizes below this limit cannot wrap. */
#define SIZE_LIMIT BIT(52)

#define BLOCK      (2 * MIB)
#define PAGE_MAX   (64 * KIB)

/* booting.rst, "Setup the device tree" and the window around the initrd. */
#define FDT_SIZE_MAX              (2 * MIB)
#define INITRD_WINDOW             (32 * GIB)
#define INITRD_WINDOW_TOP(kernel) (ALIGN_DOWN(kernel, GIB) + INITRD_WINDOW)

/*
 * Distribution kernels take 64 MiB for CMA (CONFIG_CMA_SIZE_MBYTES) where they
 * find them in one piece, however little that leaves for the rest: Debian's
 * 7.3 then dies in a guest of 128 MiB. Where no such piece exists they go
 * without, and boot.
 */
#define CMA_SIZE (64 * MIB)

/*
 * The first place from @at on where the tree stays in one 2 MiB block: kernels
 * before 4.2 map no more than the block it begins in.
 */
static gpa_t place_fdt(gpa_t at, u64 size)
{
	at = ALIGN_UP(at, PAGE_MAX);
	if (ALIGN_DOWN(at, BLOCK) != ALIGN_DOWN(at + size - 1, BLOCK))
		at = ALIGN_UP(at, BLOCK);
	return at;
}

static u64 in_mib(u64 bytes)
{
	return ALIGN_UP(bytes, MIB) / MIB;
}

/* Refuse what no machine can hold or no kernel take, before adding it up. */
static int check_sizes(const struct image_header *h, u64 initrd_size,
		       u64 fdt_size, struct err *e)
{
	if (h->text_offset >= SIZE_LIMIT || h->image_size >= SIZE_LIMIT)
		return err_set(e, -ENOSPC,
			       "the kernel's header asks for %#lx bytes at "
			       "offset %#lx, more than any machine has: the "
			       "file is damaged",
			       h->image_size, h->text_offset);
	if (initrd_size > INITRD_WINDOW)
		return err_set(e, -E2BIG,
			       "the initrd is %lu MiB long; the kernel takes "
			       "at most %lu MiB, less its own size",
			       in_mib(initrd_size), in_mib(INITRD_WINDOW));
	if (fdt_size > FDT_SIZE_MAX)
		return err_set(e, -E2BIG,
			       "the device tree is %lu bytes long; the kernel "
			       "takes at most %lu MiB",
			       fdt_size, in_mib(FDT_SIZE_MAX));
	return 0;
}

static int check_fit(const struct image_layout *l, gpa_t ram, u64 ram_size,
		     u64 need, struct err *e)
{
	u64 kernel = in_mib(l->kernel_end - l->kernel);
	u64 initrd = in_mib(l->initrd_end - l->initrd);

	if (need > ram_size)
		return err_set(e, -ENOSPC,
			       "kernel (%lu MiB) and initrd (%lu MiB) do not "
			       "fit into %lu MiB of memory: give the guest at "
			       "least %lu MiB, and what it needs to run",
			       kernel, initrd, in_mib(ram_size),
			       in_mib(ALIGN_UP(need, BLOCK)));
	if (l->initrd_end > INITRD_WINDOW_TOP(l->kernel))
		return err_set(e, -E2BIG,
			       "the initrd (%lu MiB) ends more than %lu MiB "
			       "above the kernel, out of its reach",
			       initrd, in_mib(INITRD_WINDOW));
	return 0;
}

/* The device tree and the initrd from @at on. Returns where they end. */
static gpa_t place_behind(struct image_layout *l, gpa_t at, u64 fdt_size,
			  u64 initrd_size)
{
	if (fdt_size) {
		l->fdt = place_fdt(at, fdt_size);
		at = l->fdt_end = l->fdt + fdt_size;
	}
	if (initrd_size) {
		l->initrd = ALIGN_UP(at, PAGE_MAX);
		at = l->initrd_end = l->initrd + initrd_size;
	}
	return at;
}

int image_place(const struct image_header *h, u64 initrd_size, u64 fdt_size,
		gpa_t ram, u64 ram_size, struct image_layout *out,
		struct err *e)
{
	struct image_layout l = { .kernel = ram + h->text_offset };
	gpa_t end, half, top = ram + ram_size;

	assert(IS_ALIGNED(ram, BLOCK) && range_fits(ram, ram_size, SIZE_LIMIT));
	if (check_sizes(h, initrd_size, fdt_size, e))
		return e->code;

	l.kernel_end = l.kernel + h->image_size;
	end = place_behind(&l, l.kernel_end, fdt_size, initrd_size);
	if (check_fit(&l, ram, ram_size, end - ram, e))
		return e->code;

	/* Little room: halve what is free, so that no half holds CMA_SIZE. */
	half = ALIGN_DOWN(l.kernel_end + (top - end) / 2, BLOCK);
	if (top - l.kernel_end < 2 * (CMA_SIZE - BLOCK) && half > l.kernel_end)
		place_behind(&l, half, fdt_size, initrd_size);
	*out = l;
	return 0;
}
