/*
 * Guest memory from the host: every backing that this machine has, and what
 * is said where it has too little.
 */
#include "fakes/space.h"
#include "unit.h"

#include <belfry/ram.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define SIZE (8 * MIB)

/* One number from a file of the kernel's, 0 if there is none. */
static u64 number_in(const char *path)
{
	FILE *f = fopen(path, "r");
	unsigned long long n = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%llu", &n) != 1)
		n = 0;
	fclose(f);
	return n;
}

static int open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	ck_assert_ptr_nonnull(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* A field of the mapping that holds @at: "Rss" in KiB, "VmFlags" as text. */
static bool smaps_field(const void *at, const char *field, char *value,
			size_t size)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[512];
	bool here = false, found = false;

	ck_assert_ptr_nonnull(f);
	while (!found && fgets(line, sizeof(line), f)) {
		unsigned long long start, end;
		size_t n = strlen(field);

		if (sscanf(line, "%llx-%llx ", &start, &end) == 2)
			here = start <= (uintptr_t)at && (uintptr_t)at < end;
		else if (here && !strncmp(line, field, n) && line[n] == ':') {
			snprintf(value, size, "%s", line + n + 1);
			found = true;
		}
	}
	fclose(f);
	return found;
}

static u64 resident_kib(const struct ram *r)
{
	char rss[64];

	ck_assert(smaps_field(r->host, "Rss", rss, sizeof(rss)));
	return strtoull(rss, NULL, 10);
}

static void check_usable(const struct ram *r, u64 size)
{
	u8 *p = r->host;

	ck_assert_uint_eq(r->size, size);
	ck_assert_uint_eq(p[0], 0);
	ck_assert_uint_eq(p[size - 1], 0);
	p[0] = 1;
	p[size - 1] = 2;
}

static void check_unmapped(struct ram *r, void *was)
{
	unsigned char in_core;

	ck_assert_ptr_null(r->host);
	ck_assert_int_eq(r->fd, -1);
	ck_assert_int_eq(mincore(was, (size_t)sysconf(_SC_PAGESIZE), &in_core),
			 -1);
	ck_assert_int_eq(errno, ENOMEM);
	/* A second time, and of what never was. */
	ram_unmap(r);
}

START_TEST(private_memory)
{
	u64 huge =
		number_in("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size");
	struct ram r;
	struct err e = { 0 };
	char flags[256];
	void *at;

	for (u64 size = 2 * MIB; size <= SIZE; size += 2 * MIB) {
		ck_assert_int_eq(ram_map(&r, size, RAM_THP, 0, false, &e), 0);
		ck_assert_int_eq(r.fd, -1);
		if (huge)
			ck_assert(IS_ALIGNED((uintptr_t)r.host, huge));
		ck_assert_uint_eq(resident_kib(&r), 0);
		ck_assert(smaps_field(r.host, "VmFlags", flags, sizeof(flags)));
		/* Don't dump; huge page advice, where the kernel knows it. */
		ck_assert_msg(strstr(flags, " dd"), "%s", flags);
		ck_assert_msg(!huge || strstr(flags, " hg"), "%s", flags);
		check_usable(&r, size);
		at = r.host;
		ram_unmap(&r);
		check_unmapped(&r, at);
	}
}
END_TEST

/* Aligning takes more for a moment, and gives it back. */
START_TEST(no_more_than_asked_for)
{
	u64 page = (u64)sysconf(_SC_PAGESIZE), before;
	struct ram r;
	struct err e = { 0 };

	mapped_pages();
	before = mapped_pages();
	ck_assert_int_eq(ram_map(&r, SIZE, RAM_THP, 0, false, &e), 0);
	ck_assert_uint_eq(mapped_pages() - before, SIZE / page);
	ram_unmap(&r);
	ck_assert_uint_eq(mapped_pages(), before);
}
END_TEST

START_TEST(shared_memory)
{
	int before = open_descriptors();
	struct ram r;
	struct err e = { 0 };
	struct stat st;
	u8 *again;
	void *at;

	ck_assert_int_eq(ram_map(&r, SIZE, RAM_MEMFD, 0, false, &e), 0);
	ck_assert_int_ge(r.fd, 0);
	ck_assert_int_eq(fstat(r.fd, &st), 0);
	ck_assert_int_eq(st.st_size, SIZE);
	check_usable(&r, SIZE);
	/* Whoever is given the descriptor sees the same bytes. */
	again = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, r.fd, 0);
	ck_assert_ptr_ne(again, MAP_FAILED);
	ck_assert_uint_eq(again[0], 1);
	ck_assert_uint_eq(again[SIZE - 1], 2);
	munmap(again, SIZE);
	at = r.host;
	ram_unmap(&r);
	check_unmapped(&r, at);
	ck_assert_int_eq(open_descriptors(), before);
}
END_TEST

START_TEST(prefaulted_memory)
{
	static const enum ram_backing kinds[] = { RAM_THP, RAM_MEMFD };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct ram r;
		struct err e = { 0 };

		ck_assert_msg(!ram_map(&r, SIZE, kinds[i], 0, true, &e), "%s",
			      e.msg);
		ck_assert_uint_eq(resident_kib(&r), SIZE / KIB);
		check_usable(&r, SIZE);
		ram_unmap(&r);
	}
}
END_TEST

/* Far more than address space: refused at once, with the numbers. */
START_TEST(more_than_there_is)
{
	struct ram r;
	struct err e = { 0 };
	struct sysinfo si;
	char total[64];

	sysinfo(&si);
	snprintf(total, sizeof(total), "it has %llu MiB",
		 (unsigned long long)si.totalram * si.mem_unit / MIB);
	ck_assert_int_eq(ram_map(&r, 1ull << 50, RAM_THP, 0, false, &e),
			 -ENOMEM);
	ck_assert_int_eq(e.code, -ENOMEM);
	ck_assert_msg(strstr(e.msg, "memory: ") &&
			      strstr(e.msg, "1073741824 MiB") &&
			      strstr(e.msg, total),
		      "%s", e.msg);
	ck_assert_ptr_null(r.host);
	ram_unmap(&r);
}
END_TEST

START_TEST(more_shared_than_there_can_be)
{
	int before = open_descriptors();
	struct ram r;
	struct err e = { 0 };

	ck_assert_int_lt(ram_map(&r, 1ull << 50, RAM_MEMFD, 0, false, &e), 0);
	ck_assert_msg(strstr(e.msg, "memory: "), "%s", e.msg);
	ck_assert_int_eq(open_descriptors(), before);
}
END_TEST

/* Where an administrator has reserved some there is nothing to refuse. */
START_TEST(an_empty_pool)
{
	int before = open_descriptors();
	struct ram r;
	struct err e = { 0 };

	if (number_in("/proc/sys/vm/nr_hugepages") ||
	    number_in("/proc/sys/vm/nr_overcommit_hugepages"))
		return;
	ck_assert_int_lt(ram_map(&r, SIZE, RAM_HUGETLB, 0, false, &e), 0);
	ck_assert_msg(strstr(e.msg, "memory-backing: ") &&
			      strstr(e.msg, "nr_hugepages"),
		      "%s", e.msg);
	ck_assert_ptr_null(r.host);

	ck_assert_int_lt(ram_map(&r, SIZE, RAM_HUGETLB, 2 * MIB, false, &e), 0);
	ck_assert_msg(strstr(e.msg, "no 8 MiB of 2 MiB huge pages") &&
			      strstr(e.msg, "hugepages-2048kB/nr_hugepages"),
		      "%s", e.msg);
	ck_assert_int_eq(open_descriptors(), before);
}
END_TEST

START_TEST(a_pool_that_has_some)
{
	u64 page = 2 * MIB;
	struct ram r;
	struct err e = { 0 };

	if (number_in(
		    "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages") <
	    SIZE / page)
		return;
	ck_assert_int_eq(ram_map(&r, SIZE, RAM_HUGETLB, page, false, &e), 0);
	check_usable(&r, SIZE);
	ram_unmap(&r);
}
END_TEST

START_TEST(sizes_that_huge_pages_do_not_divide)
{
	int before = open_descriptors();
	struct ram r;
	struct err e = { 0 };

	ck_assert_int_eq(ram_map(&r, GIB + 2 * MIB, RAM_HUGETLB, GIB, false,
				 &e),
			 -EINVAL);
	ck_assert_msg(strstr(e.msg, "a multiple of 1024 MiB"), "%s", e.msg);
	ck_assert_ptr_null(r.host);
	ck_assert_int_eq(open_descriptors(), before);
}
END_TEST

UNIT_MAIN("ram", private_memory, no_more_than_asked_for, shared_memory,
	  prefaulted_memory, more_than_there_is, more_shared_than_there_can_be,
	  an_empty_pool, a_pool_that_has_some,
	  sizes_that_huge_pages_do_not_divide)
