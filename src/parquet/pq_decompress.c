/*
 * pq_decompress.c
 *	  Decompression of pages, for every codec that files are found with.
 *
 * brotli and LZO are refused by name.  Spec: parquet-format, Compression.md.
 */
#define ZSTD_STATIC_LINKING_ONLY	/* ZSTD_createDCtx_advanced */

#include "parquet/decode_int.h"

#include <lz4.h>
#include <lz4frame.h>
#include <snappy-c.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

LhPqDecompressor *
lh_pq_decompressor_make(const LhAlloc *alloc)
{
	LhPqDecompressor *d = lh_alloc_zero(alloc, sizeof(LhPqDecompressor));

	if (d != NULL)
		d->alloc = alloc;
	return d;
}

void
lh_pq_decompressor_clear(LhPqDecompressor *d)
{
	ZSTD_freeDCtx(d->zstd);
	d->zstd = NULL;
}

void
lh_pq_decompressor_free(LhPqDecompressor *d)
{
	if (d == NULL)
		return;
	lh_pq_decompressor_clear(d);
	lh_free(d->alloc, d);
}

static LhStatus
malformed(LhError *err, const char *codec)
{
	return lh_fail(err, LH_ERR_CORRUPT, -1, "page is no %s data of the size its header tells", codec);
}

bool
lh_pq_plausible_size(LhPqCodec codec, size_t packed, size_t plain)
{
	size_t		factor = 1;		/* what the densest stream of the codec reaches */

	switch (codec)
	{
		case LH_PQ_UNCOMPRESSED:
			return packed == plain;
		case LH_PQ_SNAPPY:
			factor = 64;
			break;
		case LH_PQ_GZIP:
			factor = 1040;
			break;
		case LH_PQ_LZ4:
		case LH_PQ_LZ4_RAW:
			factor = 256;
			break;
		case LH_PQ_ZSTD:
			factor = 64 * 1024;
			break;
		case LH_PQ_LZO:
		case LH_PQ_BROTLI:
			return true;
	}
	return plain / factor <= packed;
}

/* ---- zstd ---- */

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

static LhStatus
unzstd(LhPqDecompressor *d, const uint8_t *packed, size_t packed_len,
	   uint8_t *plain, size_t plain_len, LhError *err)
{
	ZSTD_customMem mem = {zstd_alloc, zstd_free, (void *) d->alloc};

	if (d->zstd == NULL)
		d->zstd = ZSTD_createDCtx_advanced(mem);
	if (d->zstd == NULL)
		return lh_fail(err, LH_ERR_NOMEM, -1, "out of memory");
	/* takes several frames behind each other; an error code is no length */
	if (ZSTD_decompressDCtx(d->zstd, plain, plain_len, packed, packed_len) != plain_len)
		return malformed(err, "zstd");
	return LH_OK;
}

/* ---- gzip ---- */

static voidpf
zlib_alloc(voidpf opaque, uInt items, uInt size)
{
	size_t		bytes;

	return lh_mul_size(items, size, &bytes) ? lh_alloc(opaque, bytes) : NULL;
}

static void
zlib_free(voidpf opaque, voidpf ptr)
{
	lh_free(opaque, ptr);
}

static LhStatus
gunzip(const LhAlloc *alloc, const uint8_t *packed, size_t packed_len,
	   uint8_t *plain, size_t plain_len, LhError *err)
{
	z_stream	z = {.zalloc = zlib_alloc,.zfree = zlib_free,.opaque = (voidpf) alloc};
	int			result;

	z.next_in = (Bytef *) packed;
	z.avail_in = (uInt) packed_len;
	z.next_out = plain;
	z.avail_out = (uInt) plain_len;
	/* 32: a gzip or a zlib header, whichever is there */
	if (inflateInit2(&z, 15 + 32) != Z_OK)
		return lh_fail(err, LH_ERR_NOMEM, -1, "out of memory");
	do
	{
		result = inflate(&z, Z_FINISH);
		/* another member may follow */
	} while (result == Z_STREAM_END && z.avail_in > 0 && inflateReset(&z) == Z_OK);
	inflateEnd(&z);
	if (result == Z_MEM_ERROR)
		return lh_fail(err, LH_ERR_NOMEM, -1, "out of memory");
	if (result != Z_STREAM_END || z.avail_out > 0)
		return malformed(err, "gzip");
	return LH_OK;
}

/* ---- lz4 ---- */

static bool
lz4_block(const uint8_t *packed, size_t packed_len, uint8_t *plain, size_t plain_len)
{
	return packed_len <= INT32_MAX && plain_len <= INT32_MAX &&
		LZ4_decompress_safe((const char *) packed, (char *) plain,
							(int) packed_len, (int) plain_len) == (int) plain_len;
}

static uint32_t
get_u32be(const uint8_t *p)
{
	return (uint32_t) p[0] << 24 | (uint32_t) p[1] << 16 | (uint32_t) p[2] << 8 | p[3];
}

/*
 * Hadoop's framing: for each block its plain length, then pieces, each with
 * its packed length in front, until that many bytes are there.
 */
static bool
lz4_hadoop(const uint8_t *packed, size_t packed_len, uint8_t *plain, size_t plain_len)
{
	const uint8_t *end = packed + packed_len;
	size_t		done = 0;

	while (end - packed >= 8)
	{
		size_t		block = get_u32be(packed);
		size_t		block_end = done + block;

		packed += 4;
		if (block > plain_len - done)
			return false;
		while (done < block_end)
		{
			size_t		piece;
			int			n;

			if (end - packed < 4)
				return false;
			piece = get_u32be(packed);
			packed += 4;
			if (piece > (size_t) (end - packed) || piece > INT32_MAX)
				return false;
			n = LZ4_decompress_safe((const char *) packed, (char *) plain + done,
									(int) piece, (int) (block_end - done));
			if (n <= 0)
				return false;
			packed += piece;
			done += (size_t) n;
		}
	}
	return packed == end && done == plain_len;
}

static bool
lz4_frame(const uint8_t *packed, size_t packed_len, uint8_t *plain, size_t plain_len)
{
	LZ4F_dctx  *ctx;
	size_t		in = packed_len;
	size_t		out = plain_len;
	size_t		result;

	if (packed_len < 4 || lh_get_u32le(packed) != 0x184D2204 ||
		LZ4F_isError(LZ4F_createDecompressionContext(&ctx, LZ4F_VERSION)))
		return false;
	result = LZ4F_decompress(ctx, plain, &out, packed, &in, NULL);
	LZ4F_freeDecompressionContext(ctx);
	return result == 0 && in == packed_len && out == plain_len;
}

/* ---- all ---- */

LhStatus
lh_pq_decompress(LhPqDecompressor *d, LhPqCodec codec, const uint8_t *packed, size_t packed_len,
				 uint8_t *plain, size_t plain_len, LhError *err)
{
	size_t		len = plain_len;

	switch (codec)
	{
		case LH_PQ_UNCOMPRESSED:
			if (packed_len != plain_len)
				return malformed(err, "uncompressed");
			memcpy(plain, packed, plain_len);
			return LH_OK;
		case LH_PQ_ZSTD:
			return unzstd(d, packed, packed_len, plain, plain_len, err);
		case LH_PQ_GZIP:
			return gunzip(d->alloc, packed, packed_len, plain, plain_len, err);
		case LH_PQ_SNAPPY:
			if (snappy_uncompressed_length((const char *) packed, packed_len, &len) != SNAPPY_OK ||
				len != plain_len ||
				snappy_uncompress((const char *) packed, packed_len, (char *) plain, &len) != SNAPPY_OK)
				return malformed(err, "snappy");
			return LH_OK;
		case LH_PQ_LZ4_RAW:
			return lz4_block(packed, packed_len, plain, plain_len) ? LH_OK : malformed(err, "lz4");
		case LH_PQ_LZ4:
			/* the codec's name stood for three things in its time */
			if (lz4_hadoop(packed, packed_len, plain, plain_len) ||
				lz4_frame(packed, packed_len, plain, plain_len) ||
				lz4_block(packed, packed_len, plain, plain_len))
				return LH_OK;
			return malformed(err, "lz4");
		case LH_PQ_LZO:
			return lh_fail(err, LH_ERR_UNSUPPORTED, -1, "codec LZO is not supported");
		case LH_PQ_BROTLI:
			return lh_fail(err, LH_ERR_UNSUPPORTED, -1, "codec brotli is not supported");
	}
	return lh_fail(err, LH_ERR_UNSUPPORTED, -1, "codec %d is not known", (int) codec);
}
