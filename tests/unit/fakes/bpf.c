/*
 * Classic BPF, as far as libseccomp's output goes: loads of words of struct
 * seccomp_data, comparisons, masks, jumps, returns. seccomp_filter.rst.
 */
#include "bpf.h"

#include <check.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <string.h>

#ifdef __aarch64__
#define THIS_ARCH AUDIT_ARCH_AARCH64
#else
#define THIS_ARCH AUDIT_ARCH_X86_64
#endif

struct state {
	u32 a; /* the accumulator */
	u32 m[BPF_MEMWORDS];
};

static bool jumps(const struct sock_filter *f, u32 a)
{
	switch (BPF_OP(f->code)) {
	case BPF_JEQ:
		return a == f->k;
	case BPF_JGT:
		return a > f->k;
	case BPF_JGE:
		return a >= f->k;
	case BPF_JSET:
		return a & f->k;
	}
	ck_abort_msg("jump 0x%x", f->code);
}

/* One instruction that is neither a jump nor a return. */
static void compute(struct state *s, const struct sock_filter *f,
		    const struct seccomp_data *data)
{
	switch (f->code) {
	case BPF_LD | BPF_W | BPF_ABS:
		ck_assert(f->k % 4 == 0 && range_fits(f->k, 4, sizeof(*data)));
		memcpy(&s->a, (const u8 *)data + f->k, 4);
		break;
	case BPF_LD | BPF_MEM:
		s->a = s->m[f->k % BPF_MEMWORDS];
		break;
	case BPF_ST:
		s->m[f->k % BPF_MEMWORDS] = s->a;
		break;
	case BPF_ALU | BPF_AND | BPF_K:
		s->a &= f->k;
		break;
	default:
		ck_abort_msg("instruction 0x%x", f->code);
	}
}

u32 bpf_verdict(const struct sock_filter *program, size_t len, int nr,
		const u64 args[6])
{
	struct seccomp_data data = { .nr = nr, .arch = THIS_ARCH };
	struct state s = { 0 };

	memcpy(data.args, args, sizeof(data.args));
	for (size_t pc = 0; pc < len; pc++) {
		const struct sock_filter *f = &program[pc];

		if (BPF_CLASS(f->code) == BPF_RET)
			return f->k;
		if (f->code == (BPF_JMP | BPF_JA))
			pc += f->k;
		else if (BPF_CLASS(f->code) == BPF_JMP)
			pc += jumps(f, s.a) ? f->jt : f->jf;
		else
			compute(&s, f, &data);
	}
	ck_abort_msg("ran off the end");
}
