/*
 * pq_bloom.c
 *	  Split-block bloom filters: made for a chunk's hashes, asked for a value.
 *
 * Spec: parquet-format, BloomFilter.md.
 */
#include "parquet/thrift_int.h"
#include "parquet/writer_int.h"

#include <string.h>

#define BLOCK_BYTES		32
#define MAX_BLOCKS		(128 * 1024 * 1024 / BLOCK_BYTES)

/* Bits a distinct value takes for about one false answer in a hundred. */
#define BITS_PER_VALUE	11

static const uint32_t salts[8] = {
	0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d, 0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31
};

static inline size_t
block_of(uint64_t hash, size_t n_blocks)
{
	return (size_t) (((hash >> 32) * n_blocks) >> 32);
}

static void
insert(uint8_t *bits, size_t n_blocks, uint64_t hash)
{
	uint8_t    *block = bits + block_of(hash, n_blocks) * BLOCK_BYTES;

	for (int i = 0; i < 8; i++)
	{
		uint32_t	bit = ((uint32_t) hash * salts[i]) >> 27;

		block[4 * i + (int) (bit / 8)] |= (uint8_t) (1 << (bit % 8));
	}
}

static size_t
count_bits(const uint8_t *p, size_t len)
{
	size_t		n = 0;

	for (size_t i = 0; i < len; i += 8)
		n += (size_t) __builtin_popcountll(lh_get_u64le(p + i));
	return n;
}

/*
 * Halves the filter as long as it stays at most half full: there were fewer
 * distinct values than hashes.  A block's number are the leading bits of the
 * hash, so neighbours become one.
 */
static size_t
fold(uint8_t *bits, size_t n_blocks)
{
	/* a merged filter has at most as many bits set as the two halves together */
	while (n_blocks > 1 && count_bits(bits, n_blocks * BLOCK_BYTES) <= n_blocks * BLOCK_BYTES * 8 / 4)
	{
		n_blocks /= 2;
		for (size_t b = 0; b < n_blocks; b++)
			for (size_t i = 0; i < BLOCK_BYTES; i++)
				bits[b * BLOCK_BYTES + i] = bits[2 * b * BLOCK_BYTES + i] | bits[(2 * b + 1) * BLOCK_BYTES + i];
	}
	return n_blocks;
}

static bool
add_hash(LhBuf *hashes, const void *value, size_t len)
{
	uint64_t	hash = lh_xxh64(value, len, 0);

	return lh_buf_append(hashes, &hash, sizeof(hash));
}

/*
 * A filter knows bytes only, but -0 equals +0, and to SQL all NaN are equal:
 * whichever is asked for must be found.
 */
static bool
add_equals(LhBuf *hashes, LhPqType type, const uint8_t *plain)
{
	static const uint8_t nan64[8] = {0, 0, 0, 0, 0, 0, 0xf8, 0x7f};
	static const uint8_t nan32[4] = {0, 0, 0xc0, 0x7f};
	size_t		len = type == LH_PQ_FLOAT ? 4 : 8;
	LhPqBytes	v = {plain, (int32_t) len};
	LhPqBytes	zero = {lh_pq_zero(len, false), (int32_t) len};
	LhPqOrder	order = type == LH_PQ_FLOAT ? LH_PQ_ORDER_FLOAT : LH_PQ_ORDER_DOUBLE;

	if (lh_pq_order_is_nan(order, v))
		return add_hash(hashes, type == LH_PQ_FLOAT ? nan32 : nan64, len);
	if (lh_pq_order_compare(order, v, zero) == 0)
		return add_hash(hashes, zero.data, len) && add_hash(hashes, lh_pq_zero(len, true), len);
	return true;
}

bool
lh_pq_bloom_hash(LhBuf *hashes, const uint8_t *plain, size_t n, const LhPqNode *leaf)
{
	bool		is_float = leaf->type == LH_PQ_FLOAT || leaf->type == LH_PQ_DOUBLE;
	int			width = lh_pq_plain_width(leaf);

	for (size_t i = 0; i < n; i++)
	{
		size_t		len = (size_t) width;

		if (width == 0)
		{
			len = lh_get_u32le(plain);
			plain += 4;
		}
		if (!add_hash(hashes, plain, len) || (is_float && !add_equals(hashes, leaf->type, plain)))
			return false;
		plain += len;
	}
	return true;
}

bool
lh_pq_bloom_is_useful(const LhPqNode *leaf)
{
	bool		bytes = leaf->type == LH_PQ_BYTE_ARRAY || leaf->type == LH_PQ_FLBA;

	/* DuckDB 1.5.5 asks for bytes by their escaped text, and then loses rows */
	return leaf->type != LH_PQ_BOOLEAN && !(bytes && leaf->logical == LH_PQ_NONE);
}

static void
write_header(LhBuf *buf, size_t n_bytes)
{
	LhThriftWriter t;

	lh_tw_init(&t, buf);
	lh_tw_i32(&t, 1, (int32_t) n_bytes);
	/* algorithm BLOCK, hash XXHASH, compression UNCOMPRESSED: unions of one member each */
	for (int id = 2; id <= 4; id++)
	{
		int			outer = lh_tw_struct(&t, id);

		lh_tw_empty(&t, 1);
		lh_tw_end(&t, outer);
	}
	lh_buf_u8(buf, LH_TT_STOP);
}

bool
lh_pq_bloom_write(const uint64_t *hashes, size_t n, LhBuf *buf)
{
	size_t		n_blocks = 1;
	uint8_t    *bits;

	while (n_blocks < MAX_BLOCKS && n_blocks * BLOCK_BYTES * 8 / BITS_PER_VALUE < n)
		n_blocks *= 2;
	bits = lh_alloc_zero(buf->alloc, n_blocks * BLOCK_BYTES);
	if (bits == NULL)
		return false;
	for (size_t i = 0; i < n; i++)
		insert(bits, n_blocks, hashes[i]);
	n_blocks = fold(bits, n_blocks);
	write_header(buf, n_blocks * BLOCK_BYTES);
	lh_buf_append(buf, bits, n_blocks * BLOCK_BYTES);
	lh_free(buf->alloc, bits);
	return !buf->failed;
}

/* ---- asking ---- */

/* Reads a union and tells whether its member is the one we know, number 1. */
static bool
is_first_member(LhThriftReader *t, const LhThriftField *field)
{
	LhThriftField f = {0};
	bool		first = false;

	if (!lh_tr_struct(t, field))
		return false;
	while (lh_tr_field(t, &f))
	{
		first = f.id == 1;
		lh_tr_skip(t, &f);
	}
	return first;
}

LhStatus
lh_pq_bloom_check(const uint8_t *data, size_t len, const void *value, size_t value_len,
				  bool *maybe, LhError *err)
{
	LhThriftReader t;
	LhThriftField f = {0};
	int32_t		n_bytes = 0;
	int			known = 0;
	uint64_t	hash = lh_xxh64(value, value_len, 0);
	const uint8_t *block;

	*maybe = true;
	lh_tr_init(&t, data, len);
	while (lh_tr_field(&t, &f))
	{
		if (f.id == 1)
			n_bytes = lh_tr_i32(&t, &f);
		else if (f.id >= 2 && f.id <= 4)
			known += is_first_member(&t, &f);
		else
			lh_tr_skip(&t, &f);
	}
	if (t.failed || n_bytes <= 0 || n_bytes % BLOCK_BYTES != 0 ||
		(size_t) n_bytes > lh_reader_left(&t.r))
		return lh_fail(err, LH_ERR_CORRUPT, -1, "bloom filter is malformed");
	if (known != 3)
		return lh_fail(err, LH_ERR_UNSUPPORTED, -1, "bloom filter is of an unknown kind");
	block = t.r.pos + block_of(hash, (size_t) n_bytes / BLOCK_BYTES) * BLOCK_BYTES;
	for (int i = 0; i < 8 && *maybe; i++)
		*maybe = lh_get_u32le(block + 4 * i) >> (((uint32_t) hash * salts[i]) >> 27) & 1;
	return LH_OK;
}
