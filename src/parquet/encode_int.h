/*
 * encode_int.h
 *	  Encoders of a page's parts: hybrid runs, deltas, dictionaries, and the
 *	  compressor.
 */
#ifndef LH_ENCODE_INT_H
#define LH_ENCODE_INT_H

#include "parquet/schema_int.h"

/* Bits that hold every value from 0 to max. */
static inline int
lh_pq_bit_width(uint32_t max)
{
	return max == 0 ? 0 : 32 - __builtin_clz(max);
}

/* ---- RLE / bit-packing hybrid ---- */

extern bool lh_pq_hybrid_levels(LhBuf *buf, const uint8_t *levels, size_t n, int width);
extern bool lh_pq_hybrid_indices(LhBuf *buf, const uint32_t *indices, size_t n, int width);

/* ---- DELTA_BINARY_PACKED, from PLAIN bytes of 4 or 8 each ---- */

extern bool lh_pq_delta_encode(LhBuf *buf, const uint8_t *plain, size_t n, int width);

/* ---- dictionary ---- */

/*
 * The distinct values of a leaf in a row group.  `plain` is the body of the
 * dictionary page; slots hash into it (high half: hash, low half: number + 1).
 */
typedef struct LhPqDict
{
	const LhAlloc *alloc;
	int			width;			/* PLAIN bytes of a value, 0: BYTE_ARRAY */
	uint32_t	n;
	LhBuf		plain;
	LhBuf		starts;			/* BYTE_ARRAY: uint32_t offset of each value */
	LhBuf		seen;			/* uint32_t for each value, for its user; new ones are 0 */
	uint64_t   *slots;
	uint32_t	n_slots;		/* a power of two */
} LhPqDict;

extern void lh_pq_dict_init(LhPqDict *dict, int width, const LhAlloc *alloc);
extern void lh_pq_dict_free(LhPqDict *dict);

/*
 * Finds or adds the n values of a page's PLAIN bytes.  Stops early (*done < n)
 * once the dictionary is larger than max_bytes.  false: no memory.
 */
extern bool lh_pq_dict_map(LhPqDict *dict, const uint8_t *plain, size_t n, size_t max_bytes,
						   uint32_t *indices, size_t *done);

/* Forgets the values after the first n; the dictionary only serves as page body then. */
extern void lh_pq_dict_cut(LhPqDict *dict, uint32_t n);

/*
 * Adds the other zero to floats that have only one; false: no memory.  Nothing
 * may be mapped afterwards.
 */
extern bool lh_pq_dict_pair_zeros(LhPqDict *dict);

/* The value number i, without length prefix. */
static inline LhPqBytes
lh_pq_dict_value(const LhPqDict *dict, uint32_t i)
{
	LhPqBytes	v;

	if (dict->width > 0)
	{
		v.data = dict->plain.data + (size_t) i * (size_t) dict->width;
		v.len = dict->width;
	}
	else
	{
		const uint8_t *p = dict->plain.data + ((const uint32_t *) dict->starts.data)[i];

		v.data = p + 4;
		v.len = (int32_t) lh_get_u32le(p);
	}
	return v;
}

/* ---- compression ---- */

typedef struct LhPqCompressor
{
	LhPqCodec	codec;
	void	   *zstd;			/* ZSTD_CCtx */
} LhPqCompressor;

extern LhStatus lh_pq_compressor_init(LhPqCompressor *c, LhPqCodec codec, int level,
									  const LhAlloc *alloc, LhError *err);
extern void lh_pq_compressor_free(LhPqCompressor *c);
extern size_t lh_pq_compress_bound(const LhPqCompressor *c, size_t len);

/* Compresses into `to`, which holds the bound. */
extern LhStatus lh_pq_compress(LhPqCompressor *c, const uint8_t *from, size_t len,
							   uint8_t *to, size_t cap, size_t *out_len, LhError *err);

extern uint32_t lh_pq_crc32(const uint8_t *data, size_t len);

#endif							/* LH_ENCODE_INT_H */
