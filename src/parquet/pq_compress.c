/*
 * pq_compress.c
 *	  Compression of pages for the writer: zstd, or none.
 *
 * zstd's context takes its memory from the caller's allocator, so that a
 * caller who frees everything at once (an aborted transaction) leaks nothing.
 */
#define ZSTD_STATIC_LINKING_ONLY	/* ZSTD_createCCtx_advanced */

#include "parquet/encode_int.h"

#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

static void *
zstd_alloc(void *opaque, size_t size)
{
	return lh_alloc(opaque, size);
}

static void
zstd_free(void *opaque, void *ptr)
{
	lh_free(opaque, ptr);
}

LhStatus
lh_pq_compressor_init(LhPqCompressor *c, LhPqCodec codec, int level,
					  const LhAlloc *alloc, LhError *err)
{
	ZSTD_customMem mem = {zstd_alloc, zstd_free, (void *) alloc};

	c->codec = codec;
	c->zstd = NULL;
	if (codec == LH_PQ_UNCOMPRESSED)
		return LH_OK;
	if (codec != LH_PQ_ZSTD)
		return lh_fail(err, LH_ERR_INVALID, -1, "codec %d is not one we write", (int) codec);
	if (level < 1 || level > ZSTD_maxCLevel())
		return lh_fail(err, LH_ERR_INVALID, -1, "zstd level %d is not between 1 and %d",
					   level, ZSTD_maxCLevel());
	c->zstd = ZSTD_createCCtx_advanced(mem);
	if (c->zstd == NULL)
		return lh_fail(err, LH_ERR_NOMEM, -1, "out of memory");
	ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_compressionLevel, level);
	return LH_OK;
}

void
lh_pq_compressor_free(LhPqCompressor *c)
{
	ZSTD_freeCCtx(c->zstd);
	c->zstd = NULL;
}

size_t
lh_pq_compress_bound(const LhPqCompressor *c, size_t len)
{
	return c->codec == LH_PQ_ZSTD ? ZSTD_compressBound(len) : len;
}

LhStatus
lh_pq_compress(LhPqCompressor *c, const uint8_t *from, size_t len,
			   uint8_t *to, size_t cap, size_t *out_len, LhError *err)
{
	if (c->codec == LH_PQ_UNCOMPRESSED)
	{
		memcpy(to, from, len);
		*out_len = len;
		return LH_OK;
	}
	*out_len = ZSTD_compress2(c->zstd, to, cap, from, len);
	if (ZSTD_isError(*out_len))
		return lh_fail(err, ZSTD_getErrorCode(*out_len) == ZSTD_error_memory_allocation ?
					   LH_ERR_NOMEM : LH_ERR_INVALID, -1,
					   "zstd failed: %s", ZSTD_getErrorName(*out_len));
	return LH_OK;
}

uint32_t
lh_pq_crc32(const uint8_t *data, size_t len)
{
	return (uint32_t) crc32_z(0, data, len);
}
