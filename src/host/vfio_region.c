/*
 * VFIO devices: their regions, BARs and config space.
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "reserve.h"
#include "vfio_call.h"

/* What the kernel answers, and room for the chain of capabilities that follows:
 * each is at an offset from the start. */
struct answer {
	struct vfio_region_info info;
	u8 rest[992];
};

/* False if that is not in the answer. */
static bool copy_out(void *to, size_t len, const struct answer *a, u32 at)
{
	if (!range_fits(at, len, sizeof(*a)))
		return false;
	memcpy(to, (const u8 *)a + at, len);
	return true;
}

static void add_area(struct vfio_region *r, u64 off, u64 size)
{
	if (r->areas == VFIO_AREAS_MAX || !range_fits(off, size, r->size))
		return;
	r->area[r->areas].off = off;
	r->area[r->areas++].size = size;
}

static void add_areas(struct vfio_region *r, const struct answer *a, u32 at)
{
	struct vfio_region_info_cap_sparse_mmap cap;
	struct vfio_region_sparse_mmap_area area;

	if (!copy_out(&cap, sizeof(cap), a, at))
		return;
	at += sizeof(cap);
	for (u32 i = 0;
	     i < cap.nr_areas && copy_out(&area, sizeof(area), a, at);
	     i++, at += sizeof(area))
		add_area(r, area.offset, area.size);
}

/* Where in the answer its first capability of kind @id is, or 0. One is behind
 * the other, or this would not end. */
static u32 capability(const struct answer *a, u16 id)
{
	struct vfio_info_cap_header h;
	u32 at = 0;

	if (a->info.flags & VFIO_REGION_INFO_FLAG_CAPS)
		at = a->info.cap_offset;
	while (at && copy_out(&h, sizeof(h), a, at)) {
		if (h.id == id)
			return at;
		at = h.next > at ? h.next : 0;
	}
	return 0;
}

/* What of it can be mapped. */
static void find_areas(struct vfio_region *r, const struct answer *a)
{
	u32 sparse = capability(a, VFIO_REGION_INFO_CAP_SPARSE_MMAP);

	r->msix_mappable = capability(a, VFIO_REGION_INFO_CAP_MSIX_MAPPABLE);
	if (!(a->info.flags & VFIO_REGION_INFO_FLAG_MMAP))
		return;
	if (sparse)
		add_areas(r, a, sparse);
	else
		add_area(r, 0, r->size);
}

int vfio_get_region(const struct vfio_device *d, u32 index,
		    struct vfio_region *r, struct err *e)
{
	struct answer a = {
		.info = { .argsz = sizeof(a), .index = index },
	};
	int err = kernel_ask(d->fd, VFIO_DEVICE_GET_REGION_INFO, &a);

	/* Then it left out what it had no room for. */
	if (!err && a.info.argsz > sizeof(a))
		err = -E2BIG;
	if (err)
		return vfio_refused(d, err, NULL, "VFIO_DEVICE_GET_REGION_INFO",
				    e);
	*r = (struct vfio_region) {
		.size = a.info.size,
		.at = a.info.offset,
		.readable = a.info.flags & VFIO_REGION_INFO_FLAG_READ,
		.writable = a.info.flags & VFIO_REGION_INFO_FLAG_WRITE,
	};
	find_areas(r, &a);
	return 0;
}

int vfio_read(const struct vfio_device *d, const struct vfio_region *r, u64 off,
	      u32 width, u64 *val)
{
	u64 raw = 0;
	ssize_t n;

	assert(width && width <= sizeof(raw));
	*val = ~0ull >> (64 - 8 * width);
	if (!range_fits(off, width, r->size))
		return -EINVAL;
	n = pread(d->fd, &raw, width, (off_t)(r->at + off));
	if (n < 0)
		return -errno;
	if (n != width)
		return -EIO;
	*val = le64toh(raw);
	return 0;
}

int vfio_write(const struct vfio_device *d, const struct vfio_region *r,
	       u64 off, u32 width, u64 val)
{
	u64 raw = htole64(val);
	ssize_t n;

	assert(width && width <= sizeof(raw));
	if (!range_fits(off, width, r->size))
		return -EINVAL;
	n = pwrite(d->fd, &raw, width, (off_t)(r->at + off));
	if (n < 0)
		return -errno;
	return n == width ? 0 : -EIO;
}

/*
 * A BAR is aligned to its size in the host's addresses, and in the guest's; KVM
 * maps it in blocks only where our address agrees with them. A GiB is the
 * largest there is.
 */
static void *reserve_for(const struct vfio_region *r, u64 off, u64 len)
{
	u64 size = BIT(63 - __builtin_clzll(r->size));
	u64 page = (u64)sysconf(_SC_PAGESIZE);

	return reserve(len, MIN(MAX(size, page), GIB), off);
}

int vfio_map(const struct vfio_device *d, const struct vfio_region *r, u64 off,
	     u64 len, void **at, struct err *e)
{
	int prot =
		(r->readable ? PROT_READ : 0) | (r->writable ? PROT_WRITE : 0);
	void *p = reserve_for(r, off, len);
	int err;

	if (p && mmap(p, len, prot, MAP_SHARED | MAP_FIXED, d->fd,
		      (off_t)(r->at + off)) != MAP_FAILED) {
		*at = p;
		return 0;
	}
	err = -errno;
	if (p)
		munmap(p, len);
	return advise(e, err, NULL,
		      "device %s: mapping 0x%llx bytes at 0x%llx of a BAR",
		      d->name, (unsigned long long)len,
		      (unsigned long long)off);
}

void vfio_unmap(void *at, u64 len)
{
	munmap(at, len);
}
