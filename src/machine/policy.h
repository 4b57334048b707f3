/*
 * What each kind of thread may ask of the kernel while a guest runs.
 */
#ifndef BELFRY_POLICY_H
#define BELFRY_POLICY_H

#include <belfry/config.h>
#include <belfry/sandbox.h>

struct policy {
	struct sandbox vcpu, loop;
};

/* Compile both roles, for a guest as @c has it. Nothing left behind on
 * failure. */
MUST_CHECK int policy_compile(struct policy *p, const struct config *c,
			      struct err *e);
void policy_fini(struct policy *p);

#endif
