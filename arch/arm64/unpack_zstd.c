#include "unpack.h"

#include <assert.h>
#include <errno.h>
/* For ZSTD_d_stableOutBuffer. */
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>
#include <zstd_errors.h>

/*
 * A kernel is compressed with a window as large as itself, which zstd would
 * allocate beside the output and copy from. Told that the output stays where
 * it is, it looks back there instead; but then all of it must fit, so not for
 * a look at the first bytes. (Those touch little of the window.)
 */
static int zstd_init(struct unpack *u, struct err *e)
{
	ZSTD_DCtx *d = ZSTD_createDCtx();
	size_t r;

	if (!d)
		return unpack_no_memory(e);
	r = ZSTD_DCtx_setParameter(d, ZSTD_d_stableOutBuffer, u->whole);
	assert(!ZSTD_isError(r));
	u->state = d;
	return 0;
}

static int zstd_step(struct unpack *u, struct err *e)
{
	ZSTD_inBuffer in = { u->in, u->in_len, u->in_pos };
	ZSTD_outBuffer out = { u->out, u->out_len, u->out_pos };
	size_t r = ZSTD_decompressStream(u->state, &out, &in);

	u->in_pos = in.pos;
	u->out_pos = out.pos;
	if (!ZSTD_isError(r))
		return r ? UNPACK_MORE : UNPACK_END;

	switch (ZSTD_getErrorCode(r)) {
	case ZSTD_error_dstSize_tooSmall:
		return unpack_too_long(u, e);
	case ZSTD_error_memory_allocation:
		return unpack_no_memory(e);
	case ZSTD_error_frameParameter_windowTooLarge:
		return err_set(e, -ENOEXEC,
			       "was compressed with a window of more than "
			       "128 MiB; compress it without --long");
	default:
		return unpack_corrupt(e, ZSTD_getErrorName(r));
	}
}

static void zstd_fini(struct unpack *u)
{
	ZSTD_freeDCtx(u->state);
}

const struct unpack_codec unpack_zstd = { zstd_init, zstd_step, zstd_fini };
