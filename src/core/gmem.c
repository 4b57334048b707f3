#include <belfry/gmem.h>

#include <errno.h>
#include <string.h>

static bool overlap(const struct gmem_region *r, gpa_t start, u64 len)
{
	return start < r->start + r->len && r->start < start + len;
}

int gmem_add(struct gmem *m, gpa_t start, u64 len, void *host)
{
	/* The end of a region is a gpa_t too, so the very last byte of the
	 * address space is out of reach: nothing has RAM there. */
	if (!len || start + len < start)
		return -EINVAL;
	for (size_t i = 0; i < m->nr; i++)
		if (overlap(&m->regions[i], start, len))
			return -EINVAL;
	if (m->nr == ARRAY_SIZE(m->regions))
		return -ENOSPC;

	m->regions[m->nr++] = (struct gmem_region) { start, len, host };
	return 0;
}

void *gmem_slice(const struct gmem *m, gpa_t addr, u64 len)
{
	for (size_t i = 0; i < m->nr; i++) {
		const struct gmem_region *r = &m->regions[i];

		if (addr >= r->start &&
		    range_fits(addr - r->start, len, r->len))
			return (u8 *)r->host + (addr - r->start);
	}
	return NULL;
}

void *gmem_span(const struct gmem *m, gpa_t addr, u64 *len)
{
	for (size_t i = 0; i < m->nr; i++) {
		const struct gmem_region *r = &m->regions[i];

		if (addr < r->start || addr - r->start >= r->len)
			continue;
		*len = MIN(*len, r->len - (addr - r->start));
		return (u8 *)r->host + (addr - r->start);
	}
	return NULL;
}

int gmem_read(const struct gmem *m, gpa_t addr, void *buf, u64 len)
{
	const void *from = gmem_slice(m, addr, len);

	if (!from)
		return -EFAULT;
	memcpy(buf, from, len);
	return 0;
}

int gmem_write(const struct gmem *m, gpa_t addr, const void *buf, u64 len)
{
	void *to = gmem_slice(m, addr, len);

	if (!to)
		return -EFAULT;
	memcpy(to, buf, len);
	return 0;
}
