/*
 * The doorbell: what is in an entry of a physical MSI-X table after each thing
 * that the kernel and the guest do to it.
 */
#include "unit.h"

#include <belfry/doorbell.h>

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define GUEST 0x08000040ull /* its GITS_TRANSLATER */
#define OTHER 0x08001040ull /* another ITS' slot */
#define A     0x123456780040ull
#define B     0x0fffe0040ull
#define DATA  0x5eedu

/* Words of an entry. */
enum { LO, HI, WHAT, CONTROL };
#define RESERVED 0xabcd0000u /* steering tags, say: not ours */

struct stand {
	struct doorbell d;
	struct doorbell_vector v;
	u32 entry[4];
};

/* What the kernel does when it gives out the vector, or restores what it wrote:
 * its message, unmasked. */
static void kernel_writes(struct stand *s, u64 addr)
{
	s->entry[LO] = htole32((u32)addr);
	s->entry[HI] = htole32((u32)(addr >> 32));
	s->entry[WHAT] = htole32(DATA);
	s->entry[CONTROL] = htole32(RESERVED);
}

static void init(struct stand *s, enum doorbell_mode mode)
{
	*s = (struct stand) { .d = { .mode = mode, .translater = GUEST } };
	s->v.entry = s->entry;
	s->entry[CONTROL] = htole32(RESERVED | 1);
}

static void armed_at(struct stand *s, enum doorbell_mode mode, u64 addr)
{
	init(s, mode);
	kernel_writes(s, addr);
	ck_assert_int_eq(doorbell_armed(&s->d, &s->v),
			 mode != DOORBELL_MODE_DIRECT || addr == GUEST);
}

static u64 address(const struct stand *s)
{
	return le32toh(s->entry[LO]) | (u64)le32toh(s->entry[HI]) << 32;
}

static bool sends(const struct stand *s)
{
	return !(le32toh(s->entry[CONTROL]) & 1);
}

/* Data and what is reserved are never ours to change. */
static void expect(const struct stand *s, u64 addr, bool open)
{
	ck_assert_uint_eq(address(s), addr);
	ck_assert_int_eq(sends(s), open);
	ck_assert_uint_eq(le32toh(s->entry[WHAT]), DATA);
	ck_assert_uint_eq(le32toh(s->entry[CONTROL]) & ~1u, RESERVED);
}

static void expect_counts(const struct stand *s, u64 rewrites, u64 verified,
			  u64 strays)
{
	ck_assert_uint_eq(s->d.rewrites, rewrites);
	ck_assert_uint_eq(s->d.verified, verified);
	ck_assert_uint_eq(s->d.strays, strays);
}

START_TEST(names)
{
	ck_assert_str_eq(doorbell_mode_name(DOORBELL_MODE_HOST), "host");
	ck_assert_str_eq(doorbell_mode_name(DOORBELL_MODE_DIRECT), "direct");
	ck_assert_str_eq(doorbell_mode_name(DOORBELL_MODE_RMR), "rmr");
}
END_TEST

/* Masked from the moment that it is armed; and is the address the guest's? */
START_TEST(arming)
{
	static const struct {
		enum doorbell_mode mode;
		u64 kernel;
		bool ours;
	} rows[] = {
		{ DOORBELL_MODE_HOST, GUEST, true },
		{ DOORBELL_MODE_HOST, OTHER, true },
		{ DOORBELL_MODE_RMR, GUEST, true },
		/* The guest maps all of the window to itself. */
		{ DOORBELL_MODE_RMR, OTHER, true },
		{ DOORBELL_MODE_DIRECT, GUEST, true },
		{ DOORBELL_MODE_DIRECT, OTHER, false },
		{ DOORBELL_MODE_DIRECT, GUEST | BIT(32), false },
		{ DOORBELL_MODE_DIRECT, 0, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct stand s;

		init(&s, rows[i].mode);
		kernel_writes(&s, rows[i].kernel);
		ck_assert_msg(doorbell_armed(&s.d, &s.v) == rows[i].ours,
			      "row %zu", i);
		expect(&s, rows[i].kernel, false);
		expect_counts(&s, 0, 0, !rows[i].ours);
		ck_assert(s.v.armed && !s.v.open);
		ck_assert_uint_eq(s.v.kernel, rows[i].kernel);
		ck_assert_uint_eq(s.v.is, rows[i].kernel);
	}
}
END_TEST

/* What the guest does, one after the other, in each mode. The kernel's address
 * stays but where it is to be the guest's. */
START_TEST(guest_sets)
{
	static const struct {
		bool open;
		u64 addr, there;
		u32 rewrites;
	} steps[] = {
		{ false, A, GUEST, 0 }, /* while masked it is only noted */
		{ true, A, A, 1 },
		{ true, A, A, 1 },
		{ false, A, A, 1 },
		{ false, B, A, 1 },
		{ true, B, B, 2 },
		{ true, GUEST, GUEST, 3 },
		{ false, 0, GUEST, 3 },
		{ true, GUEST, GUEST, 3 },
		{ true, A, A, 4 },
		{ true, BIT(32) | GUEST, BIT(32) | GUEST, 5 },
		{ true, A & ~BIT(40), A & ~BIT(40), 6 },
	};

	for (u32 mode = DOORBELL_MODE_HOST; mode <= DOORBELL_MODE_RMR; mode++) {
		bool direct = mode == DOORBELL_MODE_DIRECT;
		struct stand s;

		armed_at(&s, mode, GUEST);
		for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
			u32 n = direct ? steps[i].rewrites : 0;

			ck_assert(doorbell_set(&s.d, &s.v, steps[i].open,
					       steps[i].addr));
			expect(&s, direct ? steps[i].there : GUEST,
			       steps[i].open);
			expect_counts(&s, n, n, 0);
			ck_assert_uint_eq(s.v.is, address(&s));
			ck_assert_uint_eq(s.v.wanted, steps[i].addr);
			ck_assert_uint_eq(s.v.kernel, GUEST);
		}
	}
}
END_TEST

/* Without stage 1 both addresses are one: nothing is written. */
START_TEST(same_address)
{
	struct stand s;

	armed_at(&s, DOORBELL_MODE_DIRECT, GUEST);
	ck_assert(doorbell_set(&s.d, &s.v, true, GUEST));
	expect(&s, GUEST, true);
	expect_counts(&s, 0, 0, 0);
}
END_TEST

/* A reset, or waking up: the kernel's message is back, and lets it send. */
START_TEST(again)
{
	struct stand s;

	for (int open = 0; open < 2; open++) {
		armed_at(&s, DOORBELL_MODE_DIRECT, GUEST);
		ck_assert(doorbell_set(&s.d, &s.v, open, A));
		kernel_writes(&s, GUEST);
		ck_assert(doorbell_again(&s.d, &s.v));
		expect(&s, open ? A : GUEST, open);
		expect_counts(&s, open ? 2 : 0, open ? 2 : 0, 0);
		/* Nothing was restored: it is as it was, and stays. */
		ck_assert(doorbell_again(&s.d, &s.v));
		expect(&s, open ? A : GUEST, open);
		expect_counts(&s, open ? 2 : 0, open ? 2 : 0, 0);
	}
	/* All of it is the kernel's in the other modes, but for the mask. */
	for (int open = 0; open < 2; open++) {
		armed_at(&s, DOORBELL_MODE_RMR, OTHER);
		ck_assert(doorbell_set(&s.d, &s.v, open, A));
		kernel_writes(&s, OTHER);
		ck_assert(doorbell_again(&s.d, &s.v));
		expect(&s, OTHER, open);
		expect_counts(&s, 0, 0, 0);
	}
}
END_TEST

/* A guest may write before there is a vector: it is noted, and done when the
 * kernel has armed it. */
START_TEST(set_before_armed)
{
	struct stand s;

	init(&s, DOORBELL_MODE_DIRECT);
	ck_assert(doorbell_set(&s.d, &s.v, true, A));
	ck_assert(doorbell_again(&s.d, &s.v));
	ck_assert_uint_eq(address(&s), 0);
	ck_assert(!sends(&s));

	kernel_writes(&s, GUEST);
	ck_assert(doorbell_armed(&s.d, &s.v));
	expect(&s, GUEST, false);
	ck_assert(doorbell_again(&s.d, &s.v));
	expect(&s, A, true);
	expect_counts(&s, 1, 1, 0);
}
END_TEST

/* What the kernel takes away it masks itself; the entry is not touched. */
START_TEST(disarming)
{
	struct stand s;

	armed_at(&s, DOORBELL_MODE_DIRECT, GUEST);
	ck_assert(doorbell_set(&s.d, &s.v, true, A));
	doorbell_disarmed(&s.v);
	memset(s.entry, 0x77, sizeof(s.entry));
	ck_assert(!s.v.armed && !s.v.open);
	ck_assert(doorbell_set(&s.d, &s.v, true, B));
	ck_assert(doorbell_set(&s.d, &s.v, false, B));
	ck_assert(doorbell_again(&s.d, &s.v));
	for (int i = 0; i < 4; i++)
		ck_assert_uint_eq(s.entry[i], 0x77777777);

	/* And once more from the beginning. */
	kernel_writes(&s, GUEST);
	ck_assert(doorbell_armed(&s.d, &s.v));
	expect(&s, GUEST, false);
	ck_assert(doorbell_set(&s.d, &s.v, true, B));
	expect(&s, B, true);
}
END_TEST

/* No table, or none that can be mapped: what is wanted is known, no more. */
START_TEST(no_table)
{
	struct stand s;

	init(&s, DOORBELL_MODE_RMR);
	s.v.entry = NULL;
	ck_assert(doorbell_armed(&s.d, &s.v));
	ck_assert(s.v.armed);
	ck_assert(doorbell_set(&s.d, &s.v, true, A));
	ck_assert(s.v.open && s.v.wanted == A);
	ck_assert(doorbell_again(&s.d, &s.v));
	ck_assert(doorbell_set(&s.d, &s.v, false, A));
	ck_assert(!s.v.open);
	expect_counts(&s, 0, 0, 0);
}
END_TEST

/* To be stopped, and watched word by word. */
static void set_watched(struct stand *s, bool *kept)
{
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		_exit(2);
	kill(getpid(), SIGSTOP);
	*kept = doorbell_set(&s->d, &s->v, true, A);
	_exit(0);
}

static bool stopped(pid_t child)
{
	int status;

	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSTOPPED(status) || WIFEXITED(status));
	return WIFSTOPPED(status);
}

/* A table that does not keep what is written: as soon as word @lost is another
 * it is what it was. */
static bool set_in_vain(struct stand *s, u32 lost, bool *kept)
{
	u32 was = s->entry[lost];
	pid_t child = fork();

	if (!child)
		set_watched(s, kept);
	ck_assert_int_gt(child, 0);
	while (stopped(child)) {
		bool now = s->entry[lost] != was;

		s->entry[lost] = was;
		ck_assert(!ptrace(now ? PTRACE_CONT : PTRACE_SINGLESTEP, child,
				  NULL, NULL));
	}
	return *kept;
}

START_TEST(table_that_does_not_keep)
{
	struct {
		struct stand s;
		bool kept;
	} *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct stand *s = &shared->s;

	ck_assert_ptr_ne(shared, MAP_FAILED);
	for (u32 lost = LO; lost <= HI; lost++) {
		armed_at(s, DOORBELL_MODE_DIRECT, OTHER);
		s->d.strays = 0;
		shared->kept = true;
		ck_assert(!set_in_vain(s, lost, &shared->kept));
		/* Neither to where the guest said, nor to anywhere else. */
		expect(s,
		       lost == LO ? (A & ~0xffffffffull) | (u32)OTHER : (u32)A,
		       false);
		ck_assert_uint_eq(s->v.is, address(s));
		expect_counts(s, 1, 0, 0);

		/* When it does, it is as if nothing had been. */
		ck_assert(doorbell_set(&s->d, &s->v, false, A));
		ck_assert(doorbell_set(&s->d, &s->v, true, A));
		expect(s, A, true);
		expect_counts(s, 2, 1, 0);
	}
	munmap(shared, sizeof(*shared));
}
END_TEST

UNIT_MAIN("doorbell", names, arming, guest_sets, same_address, again,
	  set_before_armed, disarming, no_table, table_that_does_not_keep)
