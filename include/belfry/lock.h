/*
 * A mutex that knows whether it is held, so that "caller holds the lock" can
 * be asserted instead of hoped.
 *
 * Lock order, outermost first; a thread may skip levels, never go back:
 *
 *	machine > bus > device > msix > smmu > its > gic > console
 *
 * Signals travel downwards only: a device raises its interrupt line while it
 * holds its own lock, never the other way round. So do accesses to memory: a
 * device's, and the message of one, go through an SMMU, which raises lines of
 * its own.
 */
#ifndef BELFRY_LOCK_H
#define BELFRY_LOCK_H

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>

struct lock {
	pthread_mutex_t mutex;
	bool held;
};

#define LOCK_INIT ((struct lock) { .mutex = PTHREAD_MUTEX_INITIALIZER })

static inline void lock_take(struct lock *l)
{
	pthread_mutex_lock(&l->mutex);
	l->held = true;
}

static inline void lock_drop(struct lock *l)
{
	l->held = false;
	pthread_mutex_unlock(&l->mutex);
}

/* Someone holds it; that it is the caller is what tests with threads show. */
static inline void assert_held(const struct lock *l)
{
	assert(l->held);
}

#endif
