/*
 * Register banks: every size at every offset of a frame, handlers and lint.
 */
#include "unit.h"

#include <belfry/regbank.h>

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A device that remembers the last call made of it. */
struct probe {
	u64 word[4];
	u32 reads, writes;
	u32 i;
	u64 val, mask;
};

static u64 probe_read(void *dev, u32 i)
{
	struct probe *p = dev;

	p->reads++;
	p->i = i;
	return p->word[i];
}

static void probe_write(void *dev, u32 i, u64 val, u64 mask)
{
	struct probe *p = dev;

	p->writes++;
	p->i = i;
	p->val = val;
	p->mask = mask;
	p->word[i] = reg_merge(p->word[i], val, mask);
}

static struct guest_faults faults = { .who = "probe" };

/* Is the access one that is allowed? */
static bool may_read(const struct regbank *b, struct probe *p, u64 off,
		     u32 size, u64 *val)
{
	u64 before = faults.count;

	*val = regbank_read(b, p, off, size, &faults);
	return faults.count == before;
}

static bool may_write(const struct regbank *b, struct probe *p, u64 off,
		      u32 size, u64 val)
{
	u64 before = faults.count;

	regbank_write(b, p, off, size, val, &faults);
	return faults.count == before;
}

#define ANY32 (REG_8 | REG_16 | REG_32)

static const struct reg regs[] = {
	{ "ONLY32", 0x08, 1, 4, REG_32, probe_read, probe_write },
	{ "RO", 0x0c, 1, 4, ANY32, probe_read, NULL },
	{ "WO", 0x10, 1, 4, ANY32, NULL, probe_write },
	{ "WIDE", 0x18, 1, 8, REG_32 | REG_64, probe_read, probe_write },
	{ "MANY", 0x20, 4, 4, ANY32, probe_read, probe_write },
};

static const struct regbank bank = { "the frame", regs, ARRAY_SIZE(regs),
				     0x40 };

static const char frame[0x40 / 4][8] = {
	/* 0x00 */ "-",    "-",    "ONLY32", "RO",
	/* 0x10 */ "WO",   "-",    "WIDE",   "WIDE",
	/* 0x20 */ "MANY", "MANY", "MANY",   "MANY",
	/* 0x30 */ "-",    "-",    "-",      "-",
};

static const struct reg *reg_named(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(regs); i++)
		if (!strcmp(regs[i].name, name))
			return &regs[i];
	return NULL;
}

/* What the specification of the frame above says, word by word. */
static bool allowed(u32 off, u32 size)
{
	const struct reg *r;

	if (off % size || off + size > bank.len)
		return false;
	for (u32 word = off / 4; word <= (off + size - 1) / 4; word++) {
		r = reg_named(frame[word]);
		if (r && !(r->access & size))
			return false;
	}
	return true;
}

START_TEST(every_access)
{
	static const u32 sizes[] = { 1, 2, 4, 8 };
	struct probe p = { .word = { ~0ull, ~0ull, ~0ull, ~0ull } };

	for (u32 off = 0; off < bank.len + 16; off++)
		for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
			u32 calls = p.reads + p.writes;
			u64 val = 1;
			bool ok = allowed(off, sizes[s]);

			ck_assert_msg(may_read(&bank, &p, off, sizes[s],
					       &val) == ok,
				      "read of %u at %#x", sizes[s], off);
			ck_assert_int_eq(may_write(&bank, &p, off, sizes[s],
						   ~0ull),
					 ok);
			if (!ok) {
				ck_assert_uint_eq(val, 0);
				ck_assert_uint_eq(p.reads + p.writes, calls);
			}
		}
}
END_TEST

START_TEST(strange_sizes)
{
	static const u32 sizes[] = { 0, 3, 5, 6, 7, 16, 32, 0x80000000 };
	struct probe p = { 0 };
	u64 val;

	for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
		ck_assert(!may_read(&bank, &p, 0x18, sizes[s], &val));
		ck_assert(!may_write(&bank, &p, 0x18, sizes[s], 0));
	}
	ck_assert(!may_read(&bank, &p, 0xfffffff8, 8, &val));
	ck_assert(!may_read(&bank, &p, 0x100000018, 8, &val));
	ck_assert(!may_write(&bank, &p, 0x100000018, 8, 0));
	ck_assert_uint_eq(p.reads + p.writes, 0);
}
END_TEST

/* Once for each, with the device's name in front. */
START_TEST(faults_told)
{
	int fd = memfd_create("log", MFD_CLOEXEC);
	struct probe p = { 0 };
	char said[256] = "";

	dup2(fd, STDERR_FILENO);
	ck_assert_uint_eq(regbank_read(&bank, &p, 0x19, 2, &faults), 0);
	regbank_write(&bank, &p, 0x40, 4, 0, &faults);
	ck_assert_uint_eq(faults.count, 2);
	ck_assert_int_gt(pread(fd, said, sizeof(said) - 1, 0), 0);
	ck_assert_str_eq(
		said,
		"belfry: guest: probe: read of 2 bytes at 0x19 of the frame\n"
		"belfry: guest: probe: write of 4 bytes at 0x40 of the frame\n");
	close(fd);
}
END_TEST

START_TEST(lanes)
{
	struct probe p = { .word = { 0x1122334455667788 } };
	u64 val;

	ck_assert(may_read(&bank, &p, 0x18, 8, &val));
	ck_assert_uint_eq(val, 0x1122334455667788);
	ck_assert(may_read(&bank, &p, 0x18, 4, &val));
	ck_assert_uint_eq(val, 0x55667788);
	ck_assert(may_read(&bank, &p, 0x1c, 4, &val));
	ck_assert_uint_eq(val, 0x11223344);
	ck_assert(may_write(&bank, &p, 0x1c, 4, 0xffffffffaabbccdd));
	ck_assert_uint_eq(p.mask, 0xffffffff00000000);
	ck_assert_uint_eq(p.val, 0xaabbccdd00000000);
	ck_assert_uint_eq(p.word[0], 0xaabbccdd55667788);

	ck_assert(may_write(&bank, &p, 0x2e, 2, 0xdef012));
	ck_assert_uint_eq(p.i, 3);
	ck_assert_uint_eq(p.mask, 0xffff0000);
	ck_assert_uint_eq(p.val, 0xf0120000);
	ck_assert(may_read(&bank, &p, 0x2f, 1, &val));
	ck_assert_uint_eq(p.i, 3);
	ck_assert_uint_eq(val, 0xf0);
}
END_TEST

START_TEST(reserved_is_raz_wi)
{
	struct probe p = { .word = { 5, 5, 5, 5 } };
	u64 val = 1;

	ck_assert(may_read(&bank, &p, 0x30, 4, &val));
	ck_assert_uint_eq(val, 0);
	ck_assert(may_write(&bank, &p, 0x30, 4, ~0ull));
	ck_assert(may_read(&bank, &p, 0x10, 4, &val));
	ck_assert_uint_eq(val, 0);
	ck_assert(may_write(&bank, &p, 0x0c, 4, ~0ull));
	ck_assert_uint_eq(p.reads + p.writes, 0);
}
END_TEST

/* Bytes and halves side by side, as virtio has them. */
START_TEST(small_registers)
{
	static const struct reg rows[] = {
		{ "A", 0, 1, 2, REG_16, probe_read, probe_write },
		{ "B", 2, 1, 1, REG_8, probe_read, probe_write },
		{ "C", 3, 1, 1, REG_8, probe_read, probe_write },
	};
	const struct regbank b = { "it", rows, ARRAY_SIZE(rows), 4 };
	struct probe p = { .word = { 0x1234 } };
	u64 val;

	ck_assert_int_eq(regbank_lint(&b), -1);
	ck_assert(may_read(&b, &p, 0, 2, &val));
	ck_assert_uint_eq(val, 0x1234);
	ck_assert(may_read(&b, &p, 3, 1, &val));
	ck_assert_uint_eq(val, 0x34);
	ck_assert(!may_read(&b, &p, 0, 4, &val));
	ck_assert(!may_read(&b, &p, 2, 2, &val));
	ck_assert(!may_write(&b, &p, 0, 1, 0));
	ck_assert_uint_eq(p.writes, 0);
}
END_TEST

START_TEST(lint)
{
	struct reg bad[] = {
		{ "A", 0, 1, 4, REG_32, NULL, NULL },
		{ "B", 8, 2, 8, REG_64, NULL, NULL },
		{ "C", 0x18, 1, 4, REG_32, NULL, NULL },
	};
	const struct regbank b = { "it", bad, ARRAY_SIZE(bad), 0x1c };
	static const struct reg malformed[] = {
		{ NULL, 8, 2, 8, REG_64, NULL, NULL }, /* no name */
		{ "B", 8, 0, 8, REG_64, NULL, NULL },  /* none */
		{ "B", 8, 4, 3, REG_16, NULL, NULL },  /* size */
		{ "B", 4, 1, 8, REG_64, NULL, NULL },  /* alignment */
		{ "B", 0, 1, 8, REG_64, NULL, NULL },  /* overlap */
		{ "B", 8, 2, 8, 0, NULL, NULL },       /* no access */
		{ "B", 8, 2, 4, REG_64, NULL, NULL },  /* too wide */
		{ "B", 8, 2, 1, REG_16, NULL, NULL },  /* likewise */
		{ "B", 8, 2, 8, 16, NULL, NULL },      /* no size */
		{ "B", 8, 3, 8, REG_64, NULL, NULL },  /* past the end */
		{ "B", 0xfffffff8, 2, 8, REG_64, NULL, NULL }, /* wraps */
	};

	ck_assert_int_eq(regbank_lint(&b), -1);
	ck_assert_int_eq(regbank_lint(&bank), -1);
	for (size_t i = 0; i < ARRAY_SIZE(malformed); i++) {
		bad[1] = malformed[i];
		ck_assert_msg(regbank_lint(&b) == 1, "fault %zu", i);
	}
	/* Overlap is the fault of the later row. */
	bad[1] = (struct reg) { "B", 8, 1, 8, REG_64, NULL, NULL };
	bad[2].off = 0x0c;
	ck_assert_int_eq(regbank_lint(&b), 2);
}
END_TEST

UNIT_MAIN("regbank", every_access, strange_sizes, faults_told, lanes,
	  reserved_is_raz_wi, small_registers, lint)
