#include <belfry/ram.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "reserve.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif
#ifndef MFD_HUGE_SHIFT
#define MFD_HUGE_SHIFT 26
#endif

/* One entry of the page middle directory: a page table of 8-byte entries. */
static u64 huge_page_size(void)
{
	u64 page = (u64)sysconf(_SC_PAGESIZE);

	return page * (page / 8);
}

static int too_little(u64 size, int err, struct err *e)
{
	struct sysinfo si = { 0 };

	sysinfo(&si);
	return err_set(
		e, -err,
		"memory: the host does not give %llu MiB (%s; it has %llu MiB, %llu MiB of them free): give the guest less",
		(unsigned long long)(size / MIB), strerror(err),
		(unsigned long long)si.totalram * si.mem_unit / MIB,
		(unsigned long long)si.freeram * si.mem_unit / MIB);
}

static int no_huge_pages(u64 size, u64 page, int err, struct err *e)
{
	if (!page)
		return err_set(
			e, -err,
			"memory-backing: no %llu MiB of huge pages free (%s): reserve them in /proc/sys/vm/nr_hugepages",
			(unsigned long long)(size / MIB), strerror(err));
	return err_set(
		e, -err,
		"memory-backing: no %llu MiB of %llu MiB huge pages free (%s): reserve them in /sys/kernel/mm/hugepages/hugepages-%llukB/nr_hugepages",
		(unsigned long long)(size / MIB),
		(unsigned long long)(page / MIB), strerror(err),
		(unsigned long long)(page / KIB));
}

static int map_private(struct ram *r, struct err *e)
{
	r->host = reserve(r->size, huge_page_size(), 0);
	if (r->host &&
	    mmap(r->host, r->size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED)
		return 0;
	return too_little(r->size, errno, e);
}

static int check_multiple(u64 size, u64 page, struct err *e)
{
	if (!page || size % page == 0)
		return 0;
	return err_set(
		e, -EINVAL,
		"memory: must be a multiple of %llu MiB with this memory-backing",
		(unsigned long long)(page / MIB));
}

static int map_shared(struct ram *r, bool huge, u64 page, struct err *e)
{
	unsigned flags = MFD_CLOEXEC;
	struct stat st;

	if (check_multiple(r->size, page, e))
		return e->code;
	if (huge)
		flags |= MFD_HUGETLB;
	if (page)
		flags |= (unsigned)__builtin_ctzll(page) << MFD_HUGE_SHIFT;
	r->fd = memfd_create("guest-ram", flags);
	if (r->fd < 0 && page)
		return err_set(
			e, -errno,
			"memory-backing: this host has no huge pages of %llu MiB (%s)",
			(unsigned long long)(page / MIB), strerror(errno));
	/* Only now is the host's default known. */
	if (r->fd >= 0 && huge && !fstat(r->fd, &st))
		page = (u64)st.st_blksize;
	if (check_multiple(r->size, page, e))
		return e->code;
	if (r->fd >= 0 && !ftruncate(r->fd, (off_t)r->size))
		r->host = mmap(NULL, r->size, PROT_READ | PROT_WRITE,
			       MAP_SHARED, r->fd, 0);
	if (r->host && r->host != MAP_FAILED)
		return 0;
	r->host = NULL;
	return huge ? no_huge_pages(r->size, page, errno, e)
		    : too_little(r->size, errno, e);
}

int ram_map(struct ram *r, u64 size, enum ram_backing backing, u64 huge_page,
	    bool prefault, struct err *e)
{
	int err;

	*r = (struct ram) { .size = size, .fd = -1 };
	if (backing == RAM_THP)
		err = map_private(r, e);
	else
		err = map_shared(r, backing == RAM_HUGETLB, huge_page, e);
	if (err)
		goto out;
	/* Hints: a host without huge pages, or an older one, goes without. */
	(void)madvise(r->host, size, MADV_HUGEPAGE);
	(void)madvise(r->host, size, MADV_DONTDUMP);
	if (!prefault || !madvise(r->host, size, MADV_POPULATE_WRITE))
		return 0;
	if (errno == EINVAL)
		err = err_set(
			e, -ENOTSUP,
			"memory-prefault: this host's kernel cannot (it came with Linux 5.14)");
	else
		err = too_little(size, errno, e);
out:
	ram_unmap(r);
	return err;
}

void ram_unmap(struct ram *r)
{
	if (r->host)
		munmap(r->host, r->size);
	if (r->fd >= 0)
		close(r->fd);
	r->host = NULL;
	r->fd = -1;
}
