/*
 * System calls a thread may make, as a table; anything else ends the process
 * and names the thread's role and the call.
 *
 * A role's filter is compiled once, before its threads run, and then only
 * installed: threads of one role share it. seccomp(2).
 */
#ifndef BELFRY_SANDBOX_H
#define BELFRY_SANDBOX_H

#include <belfry/base.h>
#include <belfry/err.h>

/* One thing a role may do. */
struct sandbox_allow {
	int nr;          /* SYS_*; rows of one call are alternatives */
	const char *why; /* the reason it is needed */
	/* If @checked: only when (argument @arg & @mask) == @value. */
	bool checked;
	u8 arg;
	u64 mask, value;
};

/* Any arguments; and only with a given one. */
#define SANDBOX_CALL(call, reason)                \
	{                                         \
		.nr = SYS_##call, .why = (reason) \
	}
#define SANDBOX_ARG(call, a, m, v, reason)                          \
	{                                                           \
		.nr = SYS_##call, .why = (reason), .checked = true, \
		.arg = (a), .mask = (m), .value = (v),              \
	}

enum sandbox_action {
	SANDBOX_KILL, /* say what was tried, end the process */
	SANDBOX_LOG,  /* the kernel's audit log; the call goes through */
};

/* A compiled role. */
struct sandbox {
	const char *role; /* borrowed */
	void *program;    /* owned: cBPF instructions */
	u16 len;          /* how many */
};

/*
 * What a violation does besides its message: the process ends with
 * @exit_status after @cleanup (async-signal-safe; may be NULL). Once per
 * process, before the first sandbox_enter.
 */
void sandbox_on_violation(int exit_status, void (*cleanup)(void));

/* Compile the rows of a role. -errno and a message, nothing left behind. */
MUST_CHECK int sandbox_compile(struct sandbox *s, const char *role,
			       const struct sandbox_allow *rows, size_t nr,
			       enum sandbox_action action, struct err *e);
void sandbox_fini(struct sandbox *s);

/*
 * Confine the calling thread, and what it starts, for good. Makes no other
 * call than the ones that do it.
 */
MUST_CHECK int sandbox_enter(const struct sandbox *s, struct err *e);

#endif
