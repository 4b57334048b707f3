/*
 * One call made aside: on a thread of its own, while the caller goes on with
 * what does not depend on it. For calls that wait in the kernel.
 */
#ifndef BELFRY_ASIDE_H
#define BELFRY_ASIDE_H

#include <belfry/base.h>
#include <belfry/err.h>

#include <pthread.h>

struct aside {
	int (*call)(void *ctx, struct err *e);
	void *ctx;
	/* The rest is its own; zero at first. */
	bool running;
	pthread_t thread;
	struct err err;
	int result;
};

/* Begin. Where no thread can be had, the call is made here and now. */
void aside_start(struct aside *a);

/* Wait for its end: what it returned, with its message in @e. 0 if it was
 * never begun. A second time, the same. */
MUST_CHECK int aside_wait(struct aside *a, struct err *e);

/* Wait for its end if nobody has: before what it uses is taken away. */
void aside_fini(struct aside *a);

#endif
