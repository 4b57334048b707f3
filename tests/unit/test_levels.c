/*
 * Wires of lent functions' pins, with a real loop: what KVM is told where its
 * GIC has them; and where ours has, that is real, too.
 */
#include "unit.h"

#include "levels.h"

#include <belfry/memmap.h>

#include "fakes/gic_world.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static struct {
	struct gic_world w;
	struct loop *loop;
	struct levels *l;
	struct irq_pin pin[3]; /* of 36, 37 and 36 */
	struct err e;
	/* What KVM was told. */
	struct {
		u32 intid;
		int ended;
	} told[INTX_WIRES];
	u32 tolds;
	bool refuses;
	u32 line; /* the SPI whose line was set last, and to what */
	bool level;
} b;

/* --- the kernel's GIC --- */

static struct kvm *const kvm = (struct kvm *)&b;

int kvm_irq_ended(struct kvm *k, u32 intid, int ended, struct err *e)
{
	ck_assert_ptr_eq(k, kvm);
	ck_assert_uint_lt(b.tolds, ARRAY_SIZE(b.told));
	if (b.refuses)
		return err_set(e, -EINVAL, "refused");
	b.told[b.tolds].intid = intid;
	b.told[b.tolds++].ended = ended;
	return 0;
}

static void line_set(void *ctx, u32 intid, bool level)
{
	b.line = intid;
	b.level = level;
}

struct irq_line kvm_irq_line(struct kvm *k, u32 intid)
{
	ck_assert_ptr_eq(k, kvm);
	return (struct irq_line) { .set = line_set, .intid = intid };
}

/* --- ours --- */

static void output(void *ctx, u32 cpu, u32 out)
{
	b.w.out[cpu] = out;
}

static bool ended(void *ctx, u32 intid)
{
	return levels_ended(b.l, intid);
}

/* The world's, but that it has wires that fall. */
static void make_gic(void)
{
	u32 affinity = world_affinity(0);
	struct gic_setup s = {
		.cpus = 1,
		.affinity = &affinity,
		.intid_limit = 64,
		.gicr_cpus = { 1 },
		.output = output,
		.ended = ended,
	};

	world_init(&b.w, 1, 64, 0);
	gic_destroy(b.w.gic);
	b.w.gic = gic_create(&s, &b.e);
	ck_assert_ptr_nonnull(b.w.gic);
	world_boot(&b.w);
	gicd_set(&b.w, D_ISENABLER + 4, ~0u);
}

/* --- the stand --- */

static int open_pin(u32 intid, struct irq_pin *pin)
{
	struct irq_pins pins = levels_pins(b.l);

	return pins.open(pins.ctx, intid, pin, &b.e);
}

static void init(bool user)
{
	memset(&b, 0, sizeof(b));
	if (user) {
		make_gic();
	}
	b.loop = loop_create(&b.e);
	ck_assert_msg(b.loop, "%s", b.e.msg);
	b.l = levels_create(kvm, b.w.gic, b.loop);
	ck_assert_ptr_nonnull(b.l);
	for (u32 i = 0; i < ARRAY_SIZE(b.pin); i++) {
		u32 intid = 36 + i % 2;

		ck_assert_msg(!open_pin(intid, &b.pin[i]), "%s", b.e.msg);
		ck_assert_uint_eq(b.pin[i].intid, intid);
	}
}

static void fini(void)
{
	loop_destroy(b.loop);
	levels_destroy(b.l);
	if (b.w.gic)
		world_fini(&b.w);
}

static void stop(struct loop_op *op, int result)
{
	loop_stop(op->ctx);
}

static void raise_pin(u32 i)
{
	struct loop_op op = { .done = stop, .ctx = b.loop };
	u64 one = 1;

	ck_assert_int_eq(write(b.pin[i].raise, &one, 8), 8);
	loop_timer(b.loop, &op, 20 * 1000 * 1000);
	ck_assert(!loop_run(b.loop, &b.e));
}

/* Was the end of @intid told, and of no other? 0: none. */
static void expect_ended(u32 intid)
{
	u64 count;

	for (u32 i = 0; i < 2; i++)
		ck_assert_msg((read(b.pin[i].ended, &count, 8) == 8) ==
				      (b.pin[i].intid == intid),
			      "pin %u", i);
}

/* Those of one SPI have one wire. */
START_TEST(wires)
{
	for (int user = 0; user < 2; user++) {
		init(user);
		ck_assert(b.pin[0].raise == b.pin[2].raise &&
			  b.pin[0].ended == b.pin[2].ended);
		ck_assert(b.pin[0].raise != b.pin[1].raise &&
			  b.pin[0].ended != b.pin[1].ended);
		fini();
	}
}
END_TEST

START_TEST(by_the_kernel)
{
	init(false);
	ck_assert_uint_eq(b.tolds, 2);
	for (u32 i = 0; i < 2; i++)
		ck_assert(b.told[i].intid == b.pin[i].intid &&
			  b.told[i].ended == b.pin[i].ended);
	for (u32 i = 0; i < 3; i++) {
		u32 intid = b.pin[i].intid;

		raise_pin(i);
		ck_assert(b.line == intid && b.level);
		expect_ended(0);
		b.pin[i].drop(b.pin[i].ctx, intid);
		ck_assert(b.line == intid && !b.level);
		expect_ended(intid);
	}
	fini();
}
END_TEST

START_TEST(by_a_gic_of_ours)
{
	init(true);
	ck_assert_uint_eq(b.tolds, 0);
	for (u32 i = 0; i < 3; i++) {
		u32 intid = b.pin[i].intid;

		raise_pin(i);
		ck_assert_uint_eq(b.w.out[0], GIC_OUT_IRQ);
		ck_assert_uint_eq(icc(&b.w, 0, IAR1), intid);
		/* Once more before its end is the same interrupt. */
		raise_pin(i);
		expect_ended(0);
		icc_set(&b.w, 0, EOIR1, intid);
		expect_ended(intid);
		ck_assert_uint_eq(b.w.out[0], 0);
	}
	fini();
}
END_TEST

START_TEST(dropped_by_a_gic_of_ours)
{
	init(true);
	raise_pin(0);
	b.pin[2].drop(b.pin[2].ctx, 36);
	ck_assert_uint_eq(b.w.out[0], 0);
	expect_ended(36);
	fini();
}
END_TEST

/* Lines of other devices stay as they are. */
START_TEST(others)
{
	static const u32 intids[] = { 33, 35, 38, 40, 63 };

	init(true);
	for (size_t i = 0; i < ARRAY_SIZE(intids); i++) {
		gic_spi_set(b.w.gic, intids[i], true);
		ck_assert_uint_eq(icc(&b.w, 0, IAR1), intids[i]);
		icc_set(&b.w, 0, EOIR1, intids[i]);
		ck_assert_uint_eq(b.w.out[0], GIC_OUT_IRQ);
		gic_spi_set(b.w.gic, intids[i], false);
	}
	expect_ended(0);
	fini();
}
END_TEST

/* --- what may fail --- */

/* How many there are. */
static u32 held(void)
{
	u32 n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* No numbers from @end on. */
static int open_below(rlim_t end)
{
	struct irq_pin pin;
	struct rlimit old, few;
	int err;

	getrlimit(RLIMIT_NOFILE, &old);
	few = (struct rlimit) { end, old.rlim_max };
	setrlimit(RLIMIT_NOFILE, &few);
	err = open_pin(38, &pin);
	setrlimit(RLIMIT_NOFILE, &old);
	return err;
}

/* It takes two. */
START_TEST(no_descriptors)
{
	for (int user = 0; user < 2; user++) {
		u32 failed = 0;
		int err = -EMFILE;

		for (rlim_t end = 0; err; end++) {
			u32 before = held();

			ck_assert_uint_lt(end, 256);
			init(user);
			err = open_below(end);
			ck_assert(!err || err == -EMFILE);
			if (err)
				ck_assert_msg(strstr(b.e.msg, "eventfd"), "%s",
					      b.e.msg);
			failed += err != 0;
			fini();
			ck_assert_uint_eq(held(), before);
		}
		ck_assert_uint_ge(failed, 2);
	}
}
END_TEST

START_TEST(the_kernel_refuses)
{
	u32 before = held();
	struct irq_pin pin;

	init(false);
	b.refuses = true;
	ck_assert_int_eq(open_pin(38, &pin), -EINVAL);
	fini();
	ck_assert_uint_eq(held(), before);
}
END_TEST

UNIT_MAIN("levels", wires, by_the_kernel, by_a_gic_of_ours,
	  dropped_by_a_gic_of_ours, others, no_descriptors, the_kernel_refuses)
