/*
 * Belfry's own words, on standard error: the console is the guest's.
 *
 * One write per line, so lines of several threads do not mix. No state:
 * any thread, also under the sandbox, also while the terminal is raw.
 */
#ifndef BELFRY_LOG_H
#define BELFRY_LOG_H

#include <belfry/base.h>

/* "belfry: error: ..." for what ends a run or refuses a command. */
PRINTF_LIKE(1, 2) void log_error(const char *fmt, ...);
/* "belfry: warning: ..." for what the operator should know. */
PRINTF_LIKE(1, 2) void log_warn(const char *fmt, ...);
/* "belfry: ..." for plain statements. */
PRINTF_LIKE(1, 2) void log_info(const char *fmt, ...);

/*
 * What a guest did wrong. Every occurrence counts; the log gets the first few
 * and then each power of two, so no guest can flood it.
 */
struct guest_faults {
	const char *who; /* "pl011", "mmio": set once by the owner */
	_Atomic u64 count;
};

/* Count one fault and perhaps log it, with @who in front. Any thread. */
PRINTF_LIKE(2, 3)
void guest_fault(struct guest_faults *f, const char *fmt, ...);

#endif
