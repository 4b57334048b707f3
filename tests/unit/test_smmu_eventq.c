/*
 * The event queue: what of a host's records a guest gets to see, positions and
 * their wrap, overflow, a queue where no memory is, wires and messages.
 */
#include "unit.h"

#include "fakes/smmu_stand.h"

#include <fcntl.h>
#include <unistd.h>

#define OVFLG (1u << 31)
#define SIZE  STAND_EVENTS

static void hush(void)
{
	int fd = open("/dev/null", O_WRONLY);

	dup2(fd, STDERR_FILENO);
	close(fd);
}

/* A translation fault at @addr, as a host reports it. */
static void fault(struct smmu_stand *b, u32 sid, u64 addr)
{
	const u64 record[4] = { 0x10 | SID_FIELD(0x1234), 2ull << 40, addr, 0 };

	smmu_event(b->smmu, sid, record);
}

static void expect_counters(struct smmu_stand *b, u64 events, u64 lost)
{
	ck_assert_uint_eq(smmu_counters(b->smmu).events, events);
	ck_assert_uint_eq(smmu_counters(b->smmu).events_lost, lost);
}

/* --- what is shown ----------------------------------------------------- */

#define ACCESS (0xeull << 32 | 3ull << 40) /* PnU, InD, RnW; CLASS */

/* Of each event the bits of words 0 to 3 that a guest sees; word 0 without
 * number and StreamID. */
static const struct {
	u8 id;
	u64 word[4];
} shown[] = {
	{ 0x04, { 0 } },
	{ 0x06, { 0 } },
	{ 0x08, { 0xfffff000 } },
	{ 0x0a, { 0 } },
	{ 0x10, { 0, ACCESS, ~0ull, 0 } },
	{ 0x11, { 0, ACCESS, ~0ull, 0 } },
	{ 0x12, { 0, ACCESS, ~0ull, 0 } },
	{ 0x13, { 0, ACCESS, ~0ull, 0 } },
};

/* Stage 2 is the host's; a fault there is not the guest's to know of. */
#define S2 (1ull << 39)

static int find_shown(u32 id)
{
	for (size_t i = 0; i < ARRAY_SIZE(shown); i++)
		if (shown[i].id == id)
			return (int)i;
	return -1;
}

START_TEST(every_number)
{
	struct smmu_stand b;

	stand_init(&b, stand_host);
	stand_boot(&b);
	for (u32 id = 0; id < 256; id++) {
		const u64 all[4] = { ~0xffull | id, ~S2, ~0ull, ~0ull };
		int i = find_shown(id);
		u64 record[4];

		smmu_event(b.smmu, SID_A, all);
		stand_event(&b, record);
		if (i < 0) {
			ck_assert_msg(!record[0], "%#x", id);
			continue;
		}
		ck_assert_uint_eq(record[0],
				  id | SID_FIELD(SID_A) | shown[i].word[0]);
		for (u32 w = 1; w < 4; w++)
			ck_assert_msg(record[w] == shown[i].word[w],
				      "%#x: word %u: %#llx", id, w,
				      (unsigned long long)record[w]);
	}
	expect_counters(&b, ARRAY_SIZE(shown), 256 - ARRAY_SIZE(shown));
	stand_fini(&b);
}
END_TEST

START_TEST(stage2)
{
	struct smmu_stand b;

	stand_init(&b, stand_host);
	stand_boot(&b);
	for (u64 id = 0x10; id <= 0x13; id++) {
		const u64 record[4] = { id, S2, 0x1000, 0x2000 };

		smmu_event(b.smmu, SID_A, record);
	}
	expect_counters(&b, 0, 4);
	stand_fini(&b);
}
END_TEST

/* Of streams there are only, under their guest's names. */
START_TEST(streams)
{
	struct smmu_stand b;
	u64 record[4];

	stand_init(&b, stand_host);
	stand_boot(&b);
	fault(&b, SID_B, 0x5000);
	stand_event(&b, record);
	ck_assert_uint_eq(record[0], 0x10 | SID_FIELD(SID_B));
	ck_assert_uint_eq(record[2], 0x5000);
	fault(&b, SID_B + 1, 0x5000);
	stand_event(&b, record);
	ck_assert_uint_eq(record[0], 0);
	expect_counters(&b, 1, 1);
	stand_fini(&b);
}
END_TEST

/* --- positions --------------------------------------------------------- */

/* Queues of every size, filled and emptied more than twice round. */
START_TEST(wrapping)
{
	for (u32 bits = 0; bits <= 10; bits++) {
		u32 size = 1u << MIN(bits, 9), mask = 2 * size - 1, prod = 0;
		u64 base = ALIGN_DOWN(STAND_FREE + 0x8000, size * 32u);
		struct smmu_stand b;

		stand_init(&b, stand_host);
		stand_boot(&b);
		wr(&b, S_CR0, SMMUEN);
		wr64(&b, S_EVENTQ_BASE, (base + size / 2 * 32) | bits);
		wr(&b, S_CR0, ALL_ON);
		for (u32 round = 0; round < 5; round++) {
			u32 by = size - size / 3, bad = 0;

			for (u32 i = 0; i < by; i++) {
				fault(&b, SID_A, prod);
				bad |= *stand_word(&b, base + prod % size * 32 +
							       16) != prod;
				prod = (prod + 1) & mask;
			}
			ck_assert_uint_eq(bad, 0);
			ck_assert_uint_eq(rd(&b, S_EVENTQ_PROD), prod);
			/* One edge for as many as came together. */
			ck_assert_uint_eq(b.events, round + 1);
			wr(&b, S_EVENTQ_CONS, prod);
		}
		stand_fini(&b);
	}
}
END_TEST

START_TEST(overflow)
{
	struct smmu_stand b;
	u64 record[4];

	stand_init(&b, stand_host);
	stand_boot(&b);
	for (u32 i = 0; i < SIZE; i++)
		fault(&b, SID_A, i);
	ck_assert_uint_eq(rd(&b, S_EVENTQ_PROD), SIZE);
	/* Full is not too full. */
	fault(&b, SID_A, 100);
	ck_assert_uint_eq(rd(&b, S_EVENTQ_PROD), SIZE | OVFLG);
	fault(&b, SID_A, 101);
	ck_assert_uint_eq(rd(&b, S_EVENTQ_PROD), SIZE | OVFLG);
	expect_counters(&b, SIZE, 2);
	/* Room is made, and nothing acknowledged: events come, and another
	 * overflow is none. */
	wr(&b, S_EVENTQ_CONS, 1);
	fault(&b, SID_A, 102);
	ck_assert_uint_eq(rd(&b, S_EVENTQ_PROD), (SIZE + 1) | OVFLG);
	fault(&b, SID_A, 103);
	ck_assert_uint_eq(rd(&b, S_EVENTQ_PROD), (SIZE + 1) | OVFLG);
	/* Acknowledged, it is told the other way round. */
	wr(&b, S_EVENTQ_CONS, 1 | OVFLG);
	fault(&b, SID_A, 104);
	ck_assert_uint_eq(rd(&b, S_EVENTQ_PROD), SIZE + 1);
	expect_counters(&b, SIZE + 1, 4);
	for (u32 i = 1; i < SIZE; i++) {
		stand_event(&b, record);
		ck_assert_uint_eq(record[2], i);
	}
	stand_event(&b, record);
	ck_assert_uint_eq(record[2], 102);
	stand_event(&b, record);
	ck_assert_uint_eq(record[0], 0);
	/* The wire told of the first only: it was never empty since. */
	ck_assert_uint_eq(b.events, 1);
	fault(&b, SID_A, 105);
	ck_assert_uint_eq(b.events, 2);
	ck_assert_uint_eq(rd(&b, S_GERROR), 0);
	stand_fini(&b);
}
END_TEST

/* What was lost on the way here: as an overflow, once until the guest says that
 * it knows; nothing is written, and no wire moves. */
START_TEST(lost_below)
{
	struct smmu_stand b;

	stand_init(&b, stand_host);
	stand_boot(&b);
	smmu_events_lost(b.smmu, 3);
	ck_assert_uint_eq(rd(&b, S_EVENTQ_PROD), OVFLG);
	expect_counters(&b, 0, 3);
	smmu_events_lost(b.smmu, 1);
	ck_assert_uint_eq(rd(&b, S_EVENTQ_PROD), OVFLG);
	fault(&b, SID_A, 0x1000);
	ck_assert_uint_eq(rd(&b, S_EVENTQ_PROD), 1 | OVFLG);
	wr(&b, S_EVENTQ_CONS, 1 | OVFLG);
	smmu_events_lost(b.smmu, 1);
	ck_assert_uint_eq(rd(&b, S_EVENTQ_PROD), 1);
	expect_counters(&b, 1, 5);
	ck_assert_uint_eq(b.events, 1);
	ck_assert_uint_eq(rd(&b, S_GERROR), 0);
	stand_fini(&b);
}
END_TEST

/* Off, or where no memory is, it does not overflow. */
START_TEST(lost_below_by_no_queue)
{
	struct smmu_stand b;

	hush();
	stand_init(&b, stand_host);
	stand_boot(&b);
	wr(&b, S_CR0, SMMUEN | CMDQEN);
	smmu_events_lost(b.smmu, 1);
	ck_assert_uint_eq(rd(&b, S_EVENTQ_PROD), 0);
	wr64(&b, S_EVENTQ_BASE, (STAND_RAM + STAND_RAM_SIZE) | 3);
	wr(&b, S_CR0, ALL_ON);
	fault(&b, SID_A, 0x1000);
	ck_assert_uint_eq(rd(&b, S_GERROR), EVENTQ_ABT);
	smmu_events_lost(b.smmu, 1);
	ck_assert_uint_eq(rd(&b, S_EVENTQ_PROD), 0);
	expect_counters(&b, 0, 3);
	stand_fini(&b);
}
END_TEST

/* Positions that are no queue's: it is as good as full. */
START_TEST(inconsistent)
{
	for (u32 cons = 0; cons < 2 * SIZE; cons++) {
		/* Entries that are in it then. */
		u32 used = (2 * SIZE - cons) % (2 * SIZE);
		struct smmu_stand b;

		stand_init(&b, stand_host);
		stand_boot(&b);
		wr(&b, S_EVENTQ_CONS, cons);
		fault(&b, SID_A, 0x1000);
		ck_assert_uint_eq(rd(&b, S_EVENTQ_PROD),
				  used < SIZE ? 1 : OVFLG);
		ck_assert_uint_eq(b.events, used == 0);
		stand_fini(&b);
	}
}
END_TEST

/* The guest says where it begins. */
START_TEST(starting_anywhere)
{
	struct smmu_stand b;

	stand_init(&b, stand_host);
	stand_boot(&b);
	wr(&b, S_CR0, 0);
	wr(&b, S_EVENTQ_PROD, 0xfffff | OVFLG);
	wr(&b, S_EVENTQ_CONS, 0xf | OVFLG);
	wr(&b, S_CR0, EVENTQEN);
	fault(&b, SID_A, 0x1000);
	ck_assert_uint_eq(rd(&b, S_EVENTQ_PROD), OVFLG);
	ck_assert_uint_eq(*stand_word(&b, STAND_EVENTQ + 7 * 32 + 16), 0x1000);
	ck_assert_uint_eq(b.events, 1);
	stand_fini(&b);
}
END_TEST

/* --- errors and wires -------------------------------------------------- */

START_TEST(no_memory)
{
	struct smmu_stand b;

	hush();
	stand_init(&b, stand_host);
	stand_boot(&b);
	wr(&b, S_CR0, SMMUEN | CMDQEN);
	wr64(&b, S_EVENTQ_BASE, (STAND_RAM + STAND_RAM_SIZE) | 3);
	wr(&b, S_CR0, ALL_ON);
	fault(&b, SID_A, 0x1000);
	ck_assert_uint_eq(rd(&b, S_GERROR), EVENTQ_ABT);
	ck_assert_uint_eq(rd(&b, S_EVENTQ_PROD), 0);
	ck_assert_uint_eq(b.gerrors, 1);
	ck_assert_uint_eq(b.events, 0);
	/* Not tried again before it is acknowledged; commands go on. */
	fault(&b, SID_A, 0x1000);
	ck_assert_uint_eq(b.gerrors, 1);
	stand_run(&b, SYNC, 0);
	wr(&b, S_GERRORN, EVENTQ_ABT);
	fault(&b, SID_A, 0x1000);
	ck_assert_uint_eq(rd(&b, S_GERROR), 0);
	ck_assert_uint_eq(b.gerrors, 2);
	wr(&b, S_CR0, SMMUEN | CMDQEN);
	wr64(&b, S_EVENTQ_BASE, STAND_EVENTQ | 3);
	wr(&b, S_CR0, ALL_ON);
	fault(&b, SID_A, 0x1000);
	expect_counters(&b, 0, 4);
	wr(&b, S_GERRORN, 0);
	fault(&b, SID_A, 0x1000);
	expect_counters(&b, 1, 4);
	ck_assert_uint_eq(b.gerrors, 2);
	stand_fini(&b);
}
END_TEST

/* Off, events are lost, and that is no overflow. */
START_TEST(off)
{
	struct smmu_stand b;

	stand_init(&b, stand_host);
	stand_boot(&b);
	for (u32 i = 0; i < SIZE; i++)
		fault(&b, SID_A, i);
	wr(&b, S_CR0, SMMUEN | CMDQEN);
	fault(&b, SID_A, 0x1000);
	ck_assert_uint_eq(rd(&b, S_EVENTQ_PROD), SIZE);
	expect_counters(&b, SIZE, 1);
	/* SMMUEN has no say in it. */
	wr(&b, S_EVENTQ_CONS, SIZE);
	wr(&b, S_CR0, EVENTQEN);
	fault(&b, SID_A, 0x1000);
	expect_counters(&b, SIZE + 1, 1);
	stand_fini(&b);
}
END_TEST

START_TEST(wire)
{
	struct smmu_stand b;

	stand_init(&b, stand_host);
	stand_boot(&b);
	wr(&b, S_IRQ_CTRL, 1);
	fault(&b, SID_A, 0x1000);
	ck_assert_uint_eq(b.events, 0);
	/* What came before it was switched on is not told. */
	wr(&b, S_IRQ_CTRL, 4);
	fault(&b, SID_A, 0x1000);
	ck_assert_uint_eq(b.events, 0);
	wr(&b, S_EVENTQ_CONS, 2);
	fault(&b, SID_A, 0x1000);
	ck_assert_uint_eq(b.events, 1);
	stand_fini(&b);
}
END_TEST

/* Messages of events (0x5e) to EVENTQ_AT, of errors (0xe4) to @error_at. */
#define EVENT_AT STAND_FREE
#define ERROR_AT (STAND_FREE + 8)

static void boot_messages(struct smmu_stand *b, u64 event_at, u64 error_at)
{
	stand_init(b, stand_host);
	wr64(b, S_EVENTQ_IRQ_CFG0, event_at);
	wr(b, S_EVENTQ_IRQ_CFG1, 0x5e);
	wr(b, S_EVENTQ_IRQ_CFG2, 0x3f);
	wr64(b, S_GERROR_IRQ_CFG0, error_at);
	wr(b, S_GERROR_IRQ_CFG1, 0xe4);
	wr(b, S_GERROR_IRQ_CFG2, 0x3f);
	stand_boot(b);
}

/* What comes of an event, and of an error: a message, or an abort of it. */
static const struct {
	u64 event_at, error_at;
	u64 event, error; /* what is there then */
	u32 event_gerror, event_gerrors;
	u32 both_gerror, both_gerrors;
} messages[] = {
	{ 0, 0, 0, 0, 0, 0, CMDQ_ERR, 1 },
	{ EVENT_AT, 0, 0x5e, 0, 0, 0, CMDQ_ERR, 1 },
	{ 0, ERROR_AT, 0, 0xe4, 0, 0, CMDQ_ERR, 1 },
	{ EVENT_AT + 4, ERROR_AT, 0x5eull << 32, 0xe4, 0, 0, CMDQ_ERR, 1 },
	/* An abort of the event's is an error. */
	{ 4, 0, 0, 0, MSI_EVENTQ, 1, MSI_EVENTQ | CMDQ_ERR, 2 },
	{ STAND_RAM - 4, ERROR_AT, 0, 0xe4, MSI_EVENTQ, 1,
	  MSI_EVENTQ | CMDQ_ERR, 2 },
	/* One of the error's is one that is not told of. */
	{ EVENT_AT, STAND_RAM + STAND_RAM_SIZE, 0x5e, 0, 0, 0,
	  MSI_GERROR | CMDQ_ERR, 1 },
	{ 4, 4, 0, 0, MSI_EVENTQ | MSI_GERROR, 1,
	  MSI_EVENTQ | MSI_GERROR | CMDQ_ERR, 2 },
};

START_TEST(by_message)
{
	hush();
	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		struct smmu_stand b;

		boot_messages(&b, messages[i].event_at, messages[i].error_at);
		fault(&b, SID_A, 0x1000);
		ck_assert_uint_eq(*stand_word(&b, EVENT_AT), messages[i].event);
		ck_assert_uint_eq(b.events, 1);
		ck_assert_msg(rd(&b, S_GERROR) == messages[i].event_gerror,
			      "%zu: %#llx", i,
			      (unsigned long long)rd(&b, S_GERROR));
		ck_assert_uint_eq(b.gerrors, messages[i].event_gerrors);
		stand_put(&b, 0, 0);
		stand_ring(&b);
		ck_assert_uint_eq(*stand_word(&b, ERROR_AT), messages[i].error);
		ck_assert_msg(rd(&b, S_GERROR) == messages[i].both_gerror,
			      "%zu: %#llx", i,
			      (unsigned long long)rd(&b, S_GERROR));
		ck_assert_uint_eq(b.gerrors, messages[i].both_gerrors);
		expect_counters(&b, 1, 0);
		stand_fini(&b);
	}
}
END_TEST

/* As a wire: for the first event of an empty queue, and if it is asked for. */
START_TEST(no_message)
{
	struct smmu_stand b;

	hush();
	boot_messages(&b, EVENT_AT, ERROR_AT);
	fault(&b, SID_A, 0x1000);
	*stand_word(&b, EVENT_AT) = 0;
	fault(&b, SID_A, 0x1000);
	ck_assert_uint_eq(*stand_word(&b, EVENT_AT), 0);
	wr(&b, S_IRQ_CTRL, 0);
	wr(&b, S_EVENTQ_CONS, 2);
	fault(&b, SID_A, 0x1000);
	stand_put(&b, 0, 0);
	stand_ring(&b);
	ck_assert_uint_eq(rd(&b, S_GERROR), CMDQ_ERR);
	ck_assert_uint_eq(*stand_word(&b, EVENT_AT), 0);
	ck_assert_uint_eq(*stand_word(&b, ERROR_AT), 0);
	stand_fini(&b);
}
END_TEST

/* A wire that is not there. */
START_TEST(no_wires)
{
	struct smmu_setup s = { .addr_bits = 40 };
	struct smmu_stand b;
	struct smmu *whole;
	struct err e;

	hush();
	stand_init(&b, NULL);
	whole = b.smmu;
	s.dma = dma_plain(&b.mem);
	b.smmu = smmu_create(&s, &e);
	ck_assert(!smmu_add(b.smmu, SID_E, false, &e));
	stand_boot(&b);
	stand_run(&b, SYNC_IRQ, 0);
	fault(&b, SID_E, 0);
	stand_put(&b, 0, 0);
	stand_ring(&b);
	ck_assert_uint_eq(rd(&b, S_GERROR), CMDQ_ERR);
	smmu_destroy(b.smmu);
	b.smmu = whole;
	stand_fini(&b);
}
END_TEST

UNIT_MAIN("smmu_eventq", every_number, stage2, streams, wrapping, overflow,
	  lost_below, lost_below_by_no_queue, inconsistent, starting_anywhere,
	  no_memory, off, wire, by_message, no_message, no_wires)
