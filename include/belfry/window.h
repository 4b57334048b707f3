/*
 * Pages of somebody else's, hardware's say, that the guest reaches without us,
 * wherever it has put them.
 */
#ifndef BELFRY_WINDOW_H
#define BELFRY_WINDOW_H

#include <belfry/base.h>

struct windows {
	/* A window that shows nothing yet: its number. While the machine is
	 * built. */
	u32 (*open)(void *ctx);
	/* Guest-physical [@at, @at + @len) is what is mapped at @host from now
	 * on, whole pages; it showed nothing. Any thread. -errno if the host
	 * refuses, as where something else is: accesses go on arriving as MMIO.
	 */
	int (*show)(void *ctx, u32 window, gpa_t at, u64 len, void *host);
	/* Now nothing. When it returns, no vCPU reaches those pages. */
	void (*hide)(void *ctx, u32 window);
	void *ctx;
};

#endif
