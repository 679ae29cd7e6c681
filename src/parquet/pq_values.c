/*
 * pq_values.c
 *	  Decodes the values of a page, in every encoding, into packed slots.
 *
 * Byte slots point into the page, the dictionary, or (where an encoding
 * shares or scatters bytes) into blocks that live as long as the vector.
 * Spec: parquet-format, Encodings.md.
 */
#include "parquet/decode_int.h"

#include <string.h>

/* Decoded in one go, on the stack. */
#define PIECE	1024

/* ---- blocks ---- */

struct LhPqBlock
{
	LhPqBlock  *next;
	size_t		used;
	size_t		cap;
	uint8_t		data[];
};

#define BLOCK_BYTES		(64 * 1024)

uint8_t *
lh_pq_blocks_take(LhPqBlocks *b, size_t len)
{
	LhPqBlock  *block = b->open;
	uint8_t    *p;

	if (block == NULL || block->cap - block->used < len)
	{
		size_t		cap = len > BLOCK_BYTES ? len : BLOCK_BYTES;

		if (block != NULL)
		{
			block->next = b->full;
			b->full = block;
		}
		b->open = block = lh_alloc(b->alloc, sizeof(LhPqBlock) + cap);
		if (block == NULL)
			return NULL;
		block->next = NULL;
		block->used = 0;
		block->cap = cap;
	}
	p = block->data + block->used;
	block->used += len;
	b->total += len;
	return p;
}

/* Keeps one block, so that a steady reader allocates nothing. */
void
lh_pq_blocks_reset(LhPqBlocks *b)
{
	while (b->full != NULL)
	{
		LhPqBlock  *next = b->full->next;

		lh_free(b->alloc, b->full);
		b->full = next;
	}
	if (b->open != NULL)
		b->open->used = 0;
	b->total = 0;
}

void
lh_pq_blocks_free(LhPqBlocks *b)
{
	lh_pq_blocks_reset(b);
	lh_free(b->alloc, b->open);
	b->open = NULL;
}

/* ---- set-up ---- */

int
lh_pq_slot_bytes(const LhPqNode *leaf)
{
	switch (leaf->type)
	{
		case LH_PQ_BOOLEAN:
			return 1;
		case LH_PQ_INT32:
		case LH_PQ_FLOAT:
			return 4;
		case LH_PQ_INT64:
		case LH_PQ_DOUBLE:
			return 8;
		case LH_PQ_INT96:
		case LH_PQ_BYTE_ARRAY:
		case LH_PQ_FLBA:
			break;
	}
	return (int) sizeof(LhPqBytes);
}

static LhStatus
short_page(LhError *err)
{
	return lh_fail(err, LH_ERR_CORRUPT, -1, "page ends before its values");
}

static LhStatus
wrong_encoding(LhError *err, int encoding, const LhPqNode *leaf)
{
	return lh_fail(err, LH_ERR_CORRUPT, -1, "encoding %d cannot be used for physical type %d",
				   encoding, (int) leaf->type);
}

static LhStatus
init_dict(LhPqValues *v, const uint8_t *data, size_t len, LhError *err)
{
	v->kind = LH_PQ_VALUES_DICT;
	if (v->dict == NULL)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "page needs a dictionary that is not there");
	/* a page of nulls may be empty */
	if (len == 0)
	{
		lh_pq_hybrid_init(&v->hybrid, data, 0, 1);
		return LH_OK;
	}
	if (data[0] > 32)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "dictionary indices of %d bits", data[0]);
	lh_pq_hybrid_init(&v->hybrid, data + 1, len - 1, data[0]);
	return LH_OK;
}

static LhStatus
init_rle_booleans(LhPqValues *v, const uint8_t *data, size_t len, LhError *err)
{
	v->kind = LH_PQ_VALUES_RUNS;
	if (len == 0)
	{
		lh_pq_hybrid_init(&v->hybrid, data, 0, 1);
		return LH_OK;
	}
	if (len < 4 || lh_get_u32le(data) > len - 4)
		return short_page(err);
	lh_pq_hybrid_init(&v->hybrid, data + 4, lh_get_u32le(data), 1);
	return LH_OK;
}

/* The delta-coded lengths (and prefixes before them) stand in front of the bytes. */
static LhStatus
init_delta_bytes(LhPqValues *v, const uint8_t *data, size_t len, bool prefixes, LhError *err)
{
	const uint8_t *end = data + len;

	v->kind = prefixes ? LH_PQ_VALUES_DELTA_BYTES : LH_PQ_VALUES_DELTA_LENGTH;
	if (len == 0)
		return LH_OK;
	if (prefixes)
	{
		v->last->len = 0;
		if (!lh_pq_delta_init(&v->prefixes, data, len) ||
			(data = lh_pq_delta_end(&v->prefixes)) == NULL)
			return lh_fail(err, LH_ERR_CORRUPT, -1, "delta-coded prefix lengths are malformed");
	}
	if (!lh_pq_delta_init(&v->delta, data, (size_t) (end - data)) ||
		(v->pos = lh_pq_delta_end(&v->delta)) == NULL)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "delta-coded lengths are malformed");
	return LH_OK;
}

static LhStatus
init_plain(LhPqValues *v, const LhPqNode *leaf)
{
	if (leaf->type == LH_PQ_BOOLEAN)
		v->kind = LH_PQ_VALUES_BITS;
	else if (leaf->type == LH_PQ_BYTE_ARRAY)
		v->kind = LH_PQ_VALUES_BYTES;
	else if (leaf->type == LH_PQ_FLBA || leaf->type == LH_PQ_INT96)
		v->kind = LH_PQ_VALUES_FLBA;
	else
		v->kind = LH_PQ_VALUES_FIXED;
	return LH_OK;
}

LhStatus
lh_pq_values_init(LhPqValues *v, const LhPqNode *leaf, int encoding,
				  const uint8_t *data, size_t len, const LhPqDictValues *dict,
				  LhBuf *last, LhPqBlocks *blocks, LhError *err)
{
	bool		integer = leaf->type == LH_PQ_INT32 || leaf->type == LH_PQ_INT64;
	bool		bytes = leaf->type == LH_PQ_BYTE_ARRAY;

	memset(v, 0, sizeof(*v));
	v->width = lh_pq_plain_width(leaf);
	v->slot = lh_pq_slot_bytes(leaf);
	v->pos = data;
	v->end = data + len;
	v->dict = dict;
	v->last = last;
	v->blocks = blocks;
	switch (encoding)
	{
		case LH_PQ_PLAIN:
			return init_plain(v, leaf);
		case LH_PQ_PLAIN_DICTIONARY:
		case LH_PQ_RLE_DICTIONARY:
			return init_dict(v, data, len, err);
		case LH_PQ_RLE:
			if (leaf->type != LH_PQ_BOOLEAN)
				return wrong_encoding(err, encoding, leaf);
			return init_rle_booleans(v, data, len, err);
		case LH_PQ_DELTA_BINARY_PACKED:
			if (!integer)
				return wrong_encoding(err, encoding, leaf);
			v->kind = LH_PQ_VALUES_DELTA;
			if (len > 0 && !lh_pq_delta_init(&v->delta, data, len))
				return lh_fail(err, LH_ERR_CORRUPT, -1, "delta-coded values are malformed");
			return LH_OK;
		case LH_PQ_DELTA_LENGTH_BYTE_ARRAY:
			if (!bytes)
				return wrong_encoding(err, encoding, leaf);
			return init_delta_bytes(v, data, len, false, err);
		case LH_PQ_DELTA_BYTE_ARRAY:
			if (!bytes && leaf->type != LH_PQ_FLBA)
				return wrong_encoding(err, encoding, leaf);
			return init_delta_bytes(v, data, len, true, err);
		case LH_PQ_BYTE_STREAM_SPLIT:
			if (v->width == 0 || leaf->type == LH_PQ_INT96)
				return wrong_encoding(err, encoding, leaf);
			if (len % (size_t) v->width != 0)
				return short_page(err);
			v->kind = LH_PQ_VALUES_SPLIT;
			v->n = len / (size_t) v->width;
			return LH_OK;
		default:
			return lh_fail(err, LH_ERR_UNSUPPORTED, -1, "encoding %d is not supported", encoding);
	}
}

/* ---- plain ---- */

static LhStatus
read_fixed(LhPqValues *v, size_t n, void *slots, LhError *err)
{
	size_t		bytes;

	if (!lh_mul_size(n, (size_t) v->width, &bytes) || (size_t) (v->end - v->pos) < bytes)
		return short_page(err);
	if (slots != NULL && bytes > 0)
	{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
		memcpy(slots, v->pos, bytes);
#else
		for (size_t i = 0; i < n; i++)
			if (v->width == 4)
				((uint32_t *) slots)[i] = lh_get_u32le(v->pos + 4 * i);
			else
				((uint64_t *) slots)[i] = lh_get_u64le(v->pos + 8 * i);
#endif
	}
	v->pos += bytes;
	return LH_OK;
}

static LhStatus
read_bytes(LhPqValues *v, size_t n, LhPqBytes *slots, LhError *err)
{
	const uint8_t *p = v->pos;
	const uint8_t *end = v->end;

	for (size_t i = 0; i < n; i++)
	{
		uint32_t	len;

		if (end - p < 4 || (len = lh_get_u32le(p)) > (size_t) (end - p - 4) || len > INT32_MAX)
			return short_page(err);
		if (slots != NULL)
		{
			slots[i].data = p + 4;
			slots[i].len = (int32_t) len;
		}
		p += 4 + len;
	}
	v->pos = p;
	return LH_OK;
}

static LhStatus
read_flba(LhPqValues *v, size_t n, LhPqBytes *slots, LhError *err)
{
	size_t		bytes;

	if (!lh_mul_size(n, (size_t) v->width, &bytes) || (size_t) (v->end - v->pos) < bytes)
		return short_page(err);
	for (size_t i = 0; slots != NULL && i < n; i++)
	{
		slots[i].data = v->pos + i * (size_t) v->width;
		slots[i].len = v->width;
	}
	v->pos += bytes;
	return LH_OK;
}

static LhStatus
read_bits(LhPqValues *v, size_t n, uint8_t *slots, LhError *err)
{
	size_t		have = (size_t) (v->end - v->pos) * 8;

	if (n > have - v->at)
		return short_page(err);
	if (slots != NULL)
		lh_pq_unpack_bits(v->pos, v->at, n, slots);
	v->at += n;
	return LH_OK;
}

static LhStatus
read_runs(LhPqValues *v, size_t n, uint8_t *slots, LhError *err)
{
	uint8_t		scratch[PIECE];

	while (n > 0)
	{
		size_t		k = n < PIECE ? n : PIECE;

		if (!lh_pq_hybrid_bytes(&v->hybrid, k, 1, slots != NULL ? slots : scratch))
			return short_page(err);
		if (slots != NULL)
			slots += k;
		n -= k;
	}
	return LH_OK;
}

/* ---- dictionary ---- */

#define GATHER(type) \
	do { \
		const type *from = dict->slots; \
		type	   *to = slots; \
	\
		for (size_t i = 0; i < n; i++) \
			to[i] = from[indices[i]]; \
	} while (0)

#define REPEAT(type) \
	do { \
		type		value = ((const type *) dict->slots)[index]; \
		type	   *to = slots; \
	\
		for (size_t i = 0; i < n; i++) \
			to[i] = value; \
	} while (0)

static void
gather(const LhPqDictValues *dict, int slot, const uint32_t *indices, size_t n, void *slots)
{
	if (slot == 1)
		GATHER(uint8_t);
	else if (slot == 4)
		GATHER(uint32_t);
	else if (slot == 8)
		GATHER(uint64_t);
	else
		GATHER(LhPqBytes);
}

static void
repeat(const LhPqDictValues *dict, int slot, uint32_t index, size_t n, void *slots)
{
	if (slot == 1)
		REPEAT(uint8_t);
	else if (slot == 4)
		REPEAT(uint32_t);
	else if (slot == 8)
		REPEAT(uint64_t);
	else
		REPEAT(LhPqBytes);
}

static LhStatus
read_dict(LhPqValues *v, size_t n, void *slots, LhError *err)
{
	uint8_t    *to = slots;
	uint32_t	indices[PIECE];

	while (n > 0)
	{
		uint32_t	largest;
		bool		rle;
		size_t		k = lh_pq_hybrid_peek(&v->hybrid, n, &rle, &largest);

		if (k == 0)
			return short_page(err);
		if (!rle)
		{
			k = k < PIECE ? k : PIECE;
			lh_pq_hybrid_take(&v->hybrid, k, indices);
			largest = 0;
			for (size_t i = 0; i < k; i++)
				largest = indices[i] > largest ? indices[i] : largest;
		}
		else
			lh_pq_hybrid_take(&v->hybrid, k, NULL);
		if (largest >= v->dict->n)
			return lh_fail(err, LH_ERR_CORRUPT, -1, "index %u into a dictionary of %u values",
						   largest, v->dict->n);
		if (to != NULL && rle)
			repeat(v->dict, v->slot, largest, k, to);
		else if (to != NULL)
			gather(v->dict, v->slot, indices, k, to);
		if (to != NULL)
			to += k * (size_t) v->slot;
		n -= k;
	}
	return LH_OK;
}

/* ---- deltas ---- */

static LhStatus
read_delta(LhPqValues *v, size_t n, void *slots, LhError *err)
{
	uint64_t	wide[PIECE];
	uint8_t    *to = slots;

	while (n > 0)
	{
		size_t		k = n < PIECE ? n : PIECE;
		bool		direct = to != NULL && v->slot == 8;

		if (!lh_pq_delta_read(&v->delta, k, direct ? (uint64_t *) to : wide))
			return short_page(err);
		for (size_t i = 0; to != NULL && v->slot == 4 && i < k; i++)
			((uint32_t *) to)[i] = (uint32_t) wide[i];
		if (to != NULL)
			to += k * (size_t) v->slot;
		n -= k;
	}
	return LH_OK;
}

/* The next n lengths; each must be a length, and what lies behind them long enough. */
static bool
read_lengths(LhPqDelta *d, size_t n, uint64_t *lengths)
{
	if (!lh_pq_delta_read(d, n, lengths))
		return false;
	for (size_t i = 0; i < n; i++)
	{
		/* 32 bits in the file, so a wrapped sum is as good as the true one */
		lengths[i] = (uint32_t) lengths[i];
		if (lengths[i] > INT32_MAX)
			return false;
	}
	return true;
}

static LhStatus
read_delta_length(LhPqValues *v, size_t n, LhPqBytes *slots, LhError *err)
{
	uint64_t	lengths[PIECE];

	while (n > 0)
	{
		size_t		k = n < PIECE ? n : PIECE;

		if (!read_lengths(&v->delta, k, lengths))
			return short_page(err);
		for (size_t i = 0; i < k; i++)
		{
			if (lengths[i] > (size_t) (v->end - v->pos))
				return short_page(err);
			if (slots != NULL)
			{
				slots->data = v->pos;
				slots->len = (int32_t) lengths[i];
				slots++;
			}
			v->pos += lengths[i];
		}
		n -= k;
	}
	return LH_OK;
}

/* What prefixes may blow a read up to: beyond, a few bytes claim to be gigabytes. */
#define MAX_BUILT	((size_t) 256 * 1024 * 1024)

/* Puts one value together: `prefix` bytes of the one before, then the suffix. */
static LhStatus
build_value(LhPqValues *v, LhPqBytes before, uint64_t prefix, uint64_t suffix,
			LhPqBytes *value, LhError *err)
{
	uint64_t	len = prefix + suffix;
	uint8_t    *p;

	if (prefix > (uint64_t) before.len || suffix > (size_t) (v->end - v->pos) || len > INT32_MAX ||
		(v->width > 0 && len != (uint64_t) v->width))
		return short_page(err);
	value->len = (int32_t) len;
	value->data = v->pos;
	if (prefix > 0)
	{
		if (v->blocks->total + len > MAX_BUILT)
			return lh_fail(err, LH_ERR_LIMIT, -1, "delta-coded bytes expand to more than %zu MB",
						   MAX_BUILT >> 20);
		p = lh_pq_blocks_take(v->blocks, (size_t) len);
		if (p == NULL)
			return lh_fail(err, LH_ERR_NOMEM, -1, "out of memory");
		memcpy(p, before.data, (size_t) prefix);
		if (suffix > 0)
			memcpy(p + prefix, v->pos, (size_t) suffix);
		value->data = p;
	}
	v->pos += suffix;
	return LH_OK;
}

static LhStatus
read_delta_bytes(LhPqValues *v, size_t n, LhPqBytes *slots, LhError *err)
{
	uint64_t	prefixes[PIECE];
	uint64_t	suffixes[PIECE];
	LhPqBytes	before = {v->last->data, (int32_t) v->last->len};
	size_t		first = n;

	while (n > 0)
	{
		size_t		k = n < PIECE ? n : PIECE;

		if (!read_lengths(&v->prefixes, k, prefixes) || !read_lengths(&v->delta, k, suffixes))
			return short_page(err);
		for (size_t i = 0; i < k; i++)
		{
			LhStatus	status = build_value(v, before, prefixes[i], suffixes[i], &before, err);

			if (status != LH_OK)
				return status;
			if (slots != NULL)
				*slots++ = before;
		}
		n -= k;
	}
	/* outlives the blocks, for the next read's first prefix */
	if (first > 0)
	{
		v->last->len = 0;
		if (!lh_buf_append(v->last, before.data, (size_t) before.len))
			return lh_fail(err, LH_ERR_NOMEM, -1, "out of memory");
	}
	return LH_OK;
}

/* ---- byte streams ---- */

static LhStatus
read_split(LhPqValues *v, size_t n, void *slots, LhError *err)
{
	size_t		width = (size_t) v->width;
	uint8_t    *to = slots;
	const uint8_t *from = v->pos + v->at;

	if (n > v->n - v->at)
		return short_page(err);
	v->at += n;
	if (slots == NULL || n == 0)
		return LH_OK;
	if (v->slot == (int) sizeof(LhPqBytes))
	{
		size_t		bytes;
		LhPqBytes  *values = slots;

		/* below the page's size */
		bytes = n * width;
		to = lh_pq_blocks_take(v->blocks, bytes);
		if (to == NULL)
			return lh_fail(err, LH_ERR_NOMEM, -1, "out of memory");
		for (size_t i = 0; i < n; i++)
		{
			values[i].data = to + i * width;
			values[i].len = v->width;
		}
	}
	for (size_t k = 0; k < width; k++)
		for (size_t i = 0; i < n; i++)
			to[i * width + k] = from[k * v->n + i];
	return LH_OK;
}

/* ---- all ---- */

LhStatus
lh_pq_values_read(LhPqValues *v, size_t n, void *slots, LhError *err)
{
	switch (v->kind)
	{
		case LH_PQ_VALUES_FIXED:
			return read_fixed(v, n, slots, err);
		case LH_PQ_VALUES_BYTES:
			return read_bytes(v, n, slots, err);
		case LH_PQ_VALUES_FLBA:
			return read_flba(v, n, slots, err);
		case LH_PQ_VALUES_BITS:
			return read_bits(v, n, slots, err);
		case LH_PQ_VALUES_RUNS:
			return read_runs(v, n, slots, err);
		case LH_PQ_VALUES_DICT:
			return read_dict(v, n, slots, err);
		case LH_PQ_VALUES_DELTA:
			return read_delta(v, n, slots, err);
		case LH_PQ_VALUES_DELTA_LENGTH:
			return read_delta_length(v, n, slots, err);
		case LH_PQ_VALUES_DELTA_BYTES:
			return read_delta_bytes(v, n, slots, err);
		case LH_PQ_VALUES_SPLIT:
			return read_split(v, n, slots, err);
	}
	return LH_ERR_INVALID;
}

LhStatus
lh_pq_values_skip(LhPqValues *v, size_t n, LhError *err)
{
	LhStatus	status = LH_OK;

	/* here alone skipped values take memory: give it back as we go */
	for (; v->kind == LH_PQ_VALUES_DELTA_BYTES && n > PIECE && status == LH_OK; n -= PIECE)
	{
		status = lh_pq_values_read(v, PIECE, NULL, err);
		lh_pq_blocks_reset(v->blocks);
	}
	return status == LH_OK ? lh_pq_values_read(v, n, NULL, err) : status;
}
