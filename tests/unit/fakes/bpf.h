/*
 * What a seccomp filter decides, without the kernel and without dying of it.
 */
#ifndef BELFRY_TESTS_BPF_H
#define BELFRY_TESTS_BPF_H

#include <belfry/base.h>

#include <linux/filter.h>

/*
 * The filter's verdict, SECCOMP_RET_*, on system call @nr of this machine's
 * architecture with @args. Fails the test at an instruction that seccomp
 * filters have no use for.
 */
u32 bpf_verdict(const struct sock_filter *program, size_t len, int nr,
		const u64 args[6]);

#endif
