#include "unit.h"

#include <belfry/aside.h>

#include <errno.h>
#include <semaphore.h>

struct job {
	sem_t go;
	int result;
	bool done;
};

static int work(void *ctx, struct err *e)
{
	struct job *j = ctx;

	sem_wait(&j->go);
	j->done = true;
	return j->result ? err_set(e, j->result, "it went wrong") : 0;
}

static void begin(struct aside *a, struct job *j, int result)
{
	*j = (struct job) { .result = result };
	sem_init(&j->go, 0, 0);
	*a = (struct aside) { .call = work, .ctx = j };
	aside_start(a);
}

/* The caller goes on: it is the one who lets the call end. */
START_TEST(runs_beside)
{
	struct err e = { 0 };
	struct aside a;
	struct job j;

	begin(&a, &j, 0);
	ck_assert(!j.done);
	sem_post(&j.go);
	ck_assert_int_eq(aside_wait(&a, &e), 0);
	ck_assert(j.done);
	ck_assert_int_eq(e.code, 0);
}
END_TEST

START_TEST(tells_its_failure_each_time)
{
	struct aside a;
	struct job j;

	begin(&a, &j, -EIO);
	sem_post(&j.go);
	for (int i = 0; i < 2; i++) {
		struct err e = { 0 };

		ck_assert_int_eq(aside_wait(&a, &e), -EIO);
		ck_assert_str_eq(e.msg, "it went wrong");
	}
}
END_TEST

START_TEST(fini_waits)
{
	struct aside a;
	struct job j;

	begin(&a, &j, -EIO);
	sem_post(&j.go);
	aside_fini(&a);
	ck_assert(j.done);
	aside_fini(&a);
}
END_TEST

START_TEST(never_begun)
{
	struct aside a = { 0 };
	struct err e = { 0 };

	ck_assert_int_eq(aside_wait(&a, &e), 0);
	aside_fini(&a);
}
END_TEST

UNIT_MAIN("aside", runs_beside, tells_its_failure_each_time, fini_waits,
	  never_begun)
