/* The lock excludes, and an assertion about it can fail. */
#include "unit.h"

#include <belfry/base.h>
#include <belfry/lock.h>

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 4
#define ROUNDS  20000

static struct shared {
	struct lock lock;
	u64 count;
} shared;

static void *count_up(void *arg)
{
	u64 count;

	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		lock_take(&shared.lock);
		assert_held(&shared.lock);
		count = shared.count;
		/* Long enough that whoever is not kept out gets in. */
		if (i % 100 == 0)
			sched_yield();
		shared.count = count + 1;
		lock_drop(&shared.lock);
	}
	return NULL;
}

START_TEST(one_at_a_time)
{
	pthread_t t[THREADS];

	shared.lock = LOCK_INIT;
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, count_up, NULL),
				 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	ck_assert_uint_eq(shared.count, (u64)THREADS * ROUNDS);
}
END_TEST

/* In a child, since an assertion ends the process. */
static bool aborts(bool take_first)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		struct lock l = LOCK_INIT;

		signal(SIGABRT, SIG_DFL);
		if (!freopen("/dev/null", "w", stderr))
			_exit(2);
		lock_take(&l);
		if (!take_first)
			lock_drop(&l);
		assert_held(&l);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

START_TEST(an_assertion_tells)
{
	ck_assert(!aborts(true));
	ck_assert(aborts(false));
}
END_TEST

UNIT_MAIN("lock", one_at_a_time, an_assertion_tells)
