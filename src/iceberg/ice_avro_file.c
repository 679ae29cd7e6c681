/*
 * ice_avro_file.c
 *	  Avro object container files: header, blocks, codecs.
 *
 * Reads the codecs null, deflate, snappy and zstandard; writes deflate, what
 * Java writes and everybody reads.  Knows nothing of what the objects are.
 * Avro spec: "Object Container Files".
 */
#include "iceberg/ice_avro_int.h"

#include <snappy-c.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

/* Objects are compressed together once they are this many bytes. */
#define BLOCK_BYTES			65536
/*
 * What foreign blocks may become: one block, and all together in relation to
 * the file.  Manifests shrink 3 to 20 times, those of wide tables perhaps 100
 * times; deflate's own limit is 1032, for a run of one byte.
 */
#define MAX_BLOCK_BYTES		((size_t) 256 << 20)
#define MAX_RATIO			400
#define RATIO_SLACK			((size_t) 1 << 20)
#define MAX_META			1000
#define DEFLATE_LEVEL		6

enum
{
	CODEC_NULL,
	CODEC_DEFLATE,
	CODEC_SNAPPY,
	CODEC_ZSTANDARD
};

static const uint8_t magic[4] = {'O', 'b', 'j', 1};

/* ---- header ---- */

static LhStatus
truncated(const IceAvroFile *file, LhError *err)
{
	return lh_fail(err, LH_ERR_CORRUPT, lh_reader_offset(&file->in), "Avro file is truncated");
}

static LhStatus
read_long(IceAvroFile *file, int64_t *v, LhError *err)
{
	uint64_t	raw;

	if (!lh_read_varint(&file->in, &raw))
		return truncated(file, err);
	*v = lh_unzigzag(raw);
	return LH_OK;
}

static LhStatus
read_chunk(IceAvroFile *file, const uint8_t **data, size_t *len, LhError *err)
{
	int64_t		n;

	ICE_TRY(read_long(file, &n, err));
	if (n < 0 || !lh_read_bytes(&file->in, (size_t) n, data))
		return truncated(file, err);
	*len = (size_t) n;
	return LH_OK;
}

static LhStatus
read_meta_pair(IceAvroFile *file, LhError *err)
{
	const uint8_t *data;
	size_t		len;
	LhIceKeyValue *pair;

	if (file->n_meta >= MAX_META)
		return lh_fail(err, LH_ERR_LIMIT, -1, "Avro file has more than %d metadata entries", MAX_META);
	if (!lh_ice_push(&file->arena, &file->meta, (size_t) file->n_meta, sizeof(LhIceKeyValue)))
		return ice_nomem(err);
	pair = &file->meta[file->n_meta++];
	ICE_TRY(read_chunk(file, &data, &len, err));
	pair->key = lh_arena_strndup(&file->arena, data, len);
	ICE_TRY(read_chunk(file, &data, &len, err));
	pair->value = lh_arena_strndup(&file->arena, data, len);
	return pair->key != NULL && pair->value != NULL ? LH_OK : ice_nomem(err);
}

/* The metadata map comes in blocks of pairs; a negative count is followed by a byte size. */
static LhStatus
read_meta(IceAvroFile *file, LhError *err)
{
	for (;;)
	{
		int64_t		count;
		int64_t		bytes;

		ICE_TRY(read_long(file, &count, err));
		if (count == 0)
			return LH_OK;
		if (count < 0)
		{
			ICE_TRY(read_long(file, &bytes, err));
			if (count == INT64_MIN)
				return truncated(file, err);
			count = -count;
		}
		for (; count > 0; count--)
			ICE_TRY(read_meta_pair(file, err));
	}
}

static LhStatus
find_codec(IceAvroFile *file, LhError *err)
{
	static const char *const names[] = {"null", "deflate", "snappy", "zstandard"};
	const char *codec = lh_ice_avro_meta(file, "avro.codec");

	if (codec == NULL)
		codec = "null";
	for (int i = 0; i < (int) (sizeof(names) / sizeof(names[0])); i++)
	{
		if (strcmp(codec, names[i]) == 0)
		{
			file->codec = i;
			return LH_OK;
		}
	}
	return lh_fail(err, LH_ERR_UNSUPPORTED, -1, "Avro codec \"%.50s\" is not supported", codec);
}

static LhStatus
open_header(IceAvroFile *file, LhError *err)
{
	const uint8_t *p;
	const char *schema;

	if (!lh_read_bytes(&file->in, sizeof(magic), &p) || memcmp(p, magic, sizeof(magic)) != 0)
		return lh_fail(err, LH_ERR_CORRUPT, 0, "not an Avro file");
	ICE_TRY(read_meta(file, err));
	if (!lh_read_bytes(&file->in, sizeof(file->sync), &p))
		return truncated(file, err);
	memcpy(file->sync, p, sizeof(file->sync));
	ICE_TRY(find_codec(file, err));

	schema = lh_ice_avro_meta(file, "avro.schema");
	if (schema == NULL)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "Avro file has no schema");
	ICE_TRY(lh_ice_avro_schema(schema, strlen(schema), &file->arena, &file->type, err));
	if (file->type->kind != ICE_AVRO_RECORD || file->type->min_bytes == 0)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "Avro file does not hold records");
	return LH_OK;
}

LhStatus
lh_ice_avro_open(IceAvroFile *file, const uint8_t *data, size_t len, const LhAlloc *alloc, LhError *err)
{
	LhStatus	status;

	memset(file, 0, sizeof(*file));
	lh_arena_init(&file->arena, alloc);
	lh_buf_init(&file->block, alloc);
	lh_reader_init(&file->in, data, len);
	status = open_header(file, err);
	if (status != LH_OK)
		lh_ice_avro_close(file);
	return status;
}

void
lh_ice_avro_close(IceAvroFile *file)
{
	lh_buf_free(&file->block);
	lh_arena_free(&file->arena);
}

const char *
lh_ice_avro_meta(const IceAvroFile *file, const char *key)
{
	for (int i = 0; i < file->n_meta; i++)
	{
		if (strcmp(file->meta[i].key, key) == 0)
			return file->meta[i].value;
	}
	return NULL;
}

LhStatus
lh_ice_avro_meta_long(const IceAvroFile *file, const char *key, int64_t *v, LhError *err)
{
	const char *text = lh_ice_avro_meta(file, key);
	char	   *end;
	long long	parsed;

	if (text == NULL || strcmp(text, "null") == 0)
		return LH_OK;
	parsed = strtoll(text, &end, 10);
	if (end == text || *end != '\0')
		return lh_fail(err, LH_ERR_CORRUPT, -1, "\"%s\" in the Avro file's metadata is not a number", key);
	*v = parsed;
	return LH_OK;
}

/* ---- codecs, reading ---- */

static LhStatus
bad_block(const char *codec, LhError *err)
{
	return lh_fail(err, LH_ERR_CORRUPT, -1, "Avro block does not decompress (%s)", codec);
}

/* How large the block just being read may become. */
static size_t
block_limit(const IceAvroFile *file)
{
	size_t		len = (size_t) (file->in.end - file->in.start);
	size_t		all;

	if (!lh_mul_size(len, MAX_RATIO, &all) || all > SIZE_MAX - RATIO_SLACK)
		all = SIZE_MAX - RATIO_SLACK;
	all += RATIO_SLACK - file->expanded;
	return all < MAX_BLOCK_BYTES ? all : MAX_BLOCK_BYTES;
}

static LhStatus
too_large(LhError *err)
{
	return lh_fail(err, LH_ERR_LIMIT, -1, "Avro block is too large when decompressed");
}

static void *
zlib_alloc(void *opaque, uInt items, uInt size)
{
	size_t		bytes;

	return lh_mul_size(items, size, &bytes) ? lh_alloc(opaque, bytes) : NULL;
}

static void
zlib_free(void *opaque, void *p)
{
	lh_free(opaque, p);
}

static void
zlib_init(z_stream *z, const LhAlloc *alloc)
{
	memset(z, 0, sizeof(*z));
	z->zalloc = zlib_alloc;
	z->zfree = zlib_free;
	z->opaque = (void *) alloc;
}

static LhStatus
inflate_block(const uint8_t *src, size_t len, size_t limit, LhBuf *dst, LhError *err)
{
	z_stream	z;
	int			rc = Z_OK;

	zlib_init(&z, dst->alloc);
	if (inflateInit2(&z, -MAX_WBITS) != Z_OK)
		return ice_nomem(err);
	z.next_in = (Bytef *) src;
	z.avail_in = (uInt) len;
	while (rc == Z_OK && dst->len <= limit && lh_buf_reserve(dst, dst->len / 2 + 4096))
	{
		size_t		room = dst->cap - dst->len;

		z.next_out = dst->data + dst->len;
		z.avail_out = (uInt) room;
		rc = inflate(&z, Z_NO_FLUSH);
		dst->len += room - z.avail_out;
	}
	inflateEnd(&z);
	ICE_TRY(ice_buf_status(dst, err));
	if (rc == Z_MEM_ERROR)
		return ice_nomem(err);
	if (dst->len > limit)
		return too_large(err);
	/* Python writers leave bytes of zlib's checksum behind the stream */
	return rc == Z_STREAM_END ? LH_OK : bad_block("deflate", err);
}

static LhStatus
snappy_block(const uint8_t *src, size_t len, size_t limit, LhBuf *dst, LhError *err)
{
	size_t		size;
	uint32_t	crc;

	if (len < 4)
		return bad_block("snappy", err);
	len -= 4;
	if (snappy_uncompressed_length((const char *) src, len, &size) != SNAPPY_OK)
		return bad_block("snappy", err);
	if (size > limit)
		return too_large(err);
	if (!lh_buf_reserve(dst, size))
		return ice_nomem(err);
	if (snappy_uncompress((const char *) src, len, (char *) dst->data, &size) != SNAPPY_OK)
		return bad_block("snappy", err);
	dst->len = size;
	crc = (uint32_t) src[len] << 24 | (uint32_t) src[len + 1] << 16 |
		(uint32_t) src[len + 2] << 8 | src[len + 3];
	if (crc != crc32(0, dst->data, (uInt) size))
		return lh_fail(err, LH_ERR_CORRUPT, -1, "Avro block has a wrong checksum");
	return LH_OK;
}

static LhStatus
zstd_block(const uint8_t *src, size_t len, size_t limit, LhBuf *dst, LhError *err)
{
	ZSTD_DStream *z = ZSTD_createDStream();
	ZSTD_inBuffer in = {src, len, 0};
	size_t		rc = 1;

	if (z == NULL)
		return ice_nomem(err);
	while ((in.pos < in.size || rc != 0) && dst->len <= limit &&
		   lh_buf_reserve(dst, dst->len / 2 + 4096))
	{
		ZSTD_outBuffer out = {dst->data, dst->cap, dst->len};
		size_t		before = in.pos;

		rc = ZSTD_decompressStream(z, &out, &in);
		if (ZSTD_isError(rc) || (out.pos == dst->len && in.pos == before))
		{
			rc = 1;
			break;
		}
		dst->len = out.pos;
	}
	ZSTD_freeDStream(z);
	ICE_TRY(ice_buf_status(dst, err));
	if (dst->len > limit)
		return too_large(err);
	return rc == 0 && in.pos == in.size ? LH_OK : bad_block("zstandard", err);
}

static LhStatus
unpack_block(IceAvroFile *file, const uint8_t *src, size_t len, LhReader *objects, LhError *err)
{
	LhBuf	   *dst = &file->block;
	size_t		limit = block_limit(file);

	if (len > MAX_BLOCK_BYTES)
		return too_large(err);
	dst->len = 0;
	switch (file->codec)
	{
		case CODEC_NULL:
			lh_reader_init(objects, src, len);
			return LH_OK;
		case CODEC_DEFLATE:
			ICE_TRY(inflate_block(src, len, limit, dst, err));
			break;
		case CODEC_SNAPPY:
			ICE_TRY(snappy_block(src, len, limit, dst, err));
			break;
		case CODEC_ZSTANDARD:
			ICE_TRY(zstd_block(src, len, limit, dst, err));
			break;
	}
	file->expanded += dst->len;
	lh_reader_init(objects, dst->data, dst->len);
	return LH_OK;
}

LhStatus
lh_ice_avro_block(IceAvroFile *file, LhReader *objects, int64_t *count, LhError *err)
{
	const uint8_t *src;
	const uint8_t *sync;
	size_t		len;

	*count = 0;
	do
	{
		if (lh_reader_left(&file->in) == 0)
			return LH_OK;
		ICE_TRY(read_long(file, count, err));
		ICE_TRY(read_chunk(file, &src, &len, err));
		if (!lh_read_bytes(&file->in, sizeof(file->sync), &sync))
			return truncated(file, err);
		if (memcmp(sync, file->sync, sizeof(file->sync)) != 0)
			return lh_fail(err, LH_ERR_CORRUPT, lh_reader_offset(&file->in), "Avro block ends without its marker");
	} while (*count == 0 && len == 0);
	ICE_TRY(unpack_block(file, src, len, objects, err));
	if (*count <= 0 || (uint64_t) *count > lh_reader_left(objects) / file->type->min_bytes)
		return lh_fail(err, LH_ERR_CORRUPT, lh_reader_offset(&file->in), "Avro block has a wrong object count");
	return LH_OK;
}

/* ---- writing ---- */

static void
make_sync(uint8_t sync[16], uint64_t seed)
{
	/* splitmix64: any bits will do that differ between files */
	for (int i = 0; i < 2; i++)
	{
		uint64_t	z = (seed += 0x9e3779b97f4a7c15);

		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
		z = (z ^ z >> 27) * 0x94d049bb133111eb;
		lh_put_u64le(sync + 8 * i, z ^ z >> 31);
	}
}

LhStatus
lh_ice_avro_begin(IceAvroOut *o, const LhAlloc *alloc, LhBuf *out, const char *schema_json,
				  const LhIceKeyValue *meta, int n_meta, uint64_t seed, LhError *err)
{
	o->alloc = alloc;
	o->out = out;
	o->block_count = 0;
	lh_buf_init(&o->block, alloc);
	make_sync(o->sync, seed);

	lh_buf_append(out, magic, sizeof(magic));
	lh_ice_avro_put_long(out, n_meta + 2);
	for (int i = 0; i < n_meta; i++)
	{
		lh_ice_avro_put_string(out, meta[i].key);
		lh_ice_avro_put_string(out, meta[i].value);
	}
	lh_ice_avro_put_string(out, "avro.codec");
	lh_ice_avro_put_string(out, "deflate");
	lh_ice_avro_put_string(out, "avro.schema");
	lh_ice_avro_put_string(out, schema_json);
	lh_ice_avro_put_long(out, 0);
	lh_buf_append(out, o->sync, sizeof(o->sync));
	return ice_buf_status(out, err);
}

/* Compresses o->block behind the two numbers that announce it. */
static LhStatus
write_block(IceAvroOut *o, LhError *err)
{
	z_stream	z;
	size_t		bound;
	uint8_t    *packed;
	int			rc;

	if (o->block_count == 0)
		return LH_OK;
	if (o->block.len > MAX_BLOCK_BYTES)
		return lh_fail(err, LH_ERR_LIMIT, -1, "an Avro object is too large");
	zlib_init(&z, o->alloc);
	if (deflateInit2(&z, DEFLATE_LEVEL, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return ice_nomem(err);
	bound = deflateBound(&z, (uLong) o->block.len);
	packed = lh_alloc(o->alloc, bound);
	if (packed == NULL)
	{
		deflateEnd(&z);
		return ice_nomem(err);
	}
	z.next_in = o->block.data;
	z.avail_in = (uInt) o->block.len;
	z.next_out = packed;
	z.avail_out = (uInt) bound;
	rc = deflate(&z, Z_FINISH);
	if (rc == Z_STREAM_END)
	{
		lh_ice_avro_put_long(o->out, o->block_count);
		lh_ice_avro_put_bytes(o->out, packed, bound - z.avail_out);
		lh_buf_append(o->out, o->sync, sizeof(o->sync));
	}
	deflateEnd(&z);
	lh_free(o->alloc, packed);
	o->block.len = 0;
	o->block_count = 0;
	return rc == Z_STREAM_END ? ice_buf_status(o->out, err) : ice_nomem(err);
}

LhStatus
lh_ice_avro_end_object(IceAvroOut *o, LhError *err)
{
	ICE_TRY(ice_buf_status(&o->block, err));
	o->block_count++;
	return o->block.len >= BLOCK_BYTES ? write_block(o, err) : LH_OK;
}

LhStatus
lh_ice_avro_finish(IceAvroOut *o, LhError *err)
{
	LhStatus	status = write_block(o, err);

	lh_ice_avro_discard(o);
	return status;
}

void
lh_ice_avro_discard(IceAvroOut *o)
{
	lh_buf_free(&o->block);
}
