/*
 * decode_int.h
 *	  Decoders of a page's parts.  None reads past the bytes it was given, and
 *	  none allocates by a count that a file claims.
 */
#ifndef LH_DECODE_INT_H
#define LH_DECODE_INT_H

#include "parquet/schema_int.h"

/* ---- RLE / bit-packing hybrid (pq_hybrid.c) ---- */

typedef struct LhPqHybrid
{
	const uint8_t *pos;			/* behind the current run */
	const uint8_t *end;
	int			width;			/* 0..32 */
	uint32_t	value;			/* of an RLE run */
	uint64_t	rle_left;
	const uint8_t *packed;		/* start of a bit-packed run */
	uint64_t	packed_at;		/* next value in it */
	uint64_t	packed_n;
} LhPqHybrid;

extern void lh_pq_hybrid_init(LhPqHybrid *h, const uint8_t *data, size_t len, int width);

/*
 * The next values in one piece: how many of at most n, and whether they are
 * all *value (else they are packed).  0: malformed or at the end.
 */
extern size_t lh_pq_hybrid_peek(LhPqHybrid *h, size_t n, bool *rle, uint32_t *value);

/* Consumes n values that were peeked at; of a packed piece into out, unless NULL. */
extern void lh_pq_hybrid_take(LhPqHybrid *h, size_t n, uint32_t *out);

/* n levels or booleans, each checked to be at most max. */
extern bool lh_pq_hybrid_bytes(LhPqHybrid *h, size_t n, uint8_t max, uint8_t *out);

/* Bit-unpacks whole groups of 8 values of 0..32 bits; reads only groups * width bytes. */
extern void lh_pq_unpack(const uint8_t *p, size_t groups, int width, uint32_t *out);

/* Spreads n bits, from bit number `from` on, into bytes of 0 and 1. */
extern void lh_pq_unpack_bits(const uint8_t *p, size_t from, size_t n, uint8_t *out);

/* ---- DELTA_BINARY_PACKED (pq_delta.c) ---- */

#define LH_PQ_DELTA_CHUNK	32

typedef struct LhPqDelta
{
	const uint8_t *pos;
	const uint8_t *end;
	uint32_t	minis;			/* miniblocks of a block */
	uint32_t	mini_values;	/* values of a miniblock, a multiple of 32 */
	uint64_t	left;			/* values not yet decoded */
	uint64_t	last;			/* value decoded last */
	bool		first;			/* the first value stands in the header */
	uint64_t	min_delta;
	const uint8_t *widths;		/* of the current block */
	uint32_t	mini;			/* current miniblock */
	uint32_t	mini_left;		/* values of it not yet unpacked */
	uint32_t	chunk_at;
	uint32_t	chunk_len;
	uint64_t	chunk[LH_PQ_DELTA_CHUNK];
} LhPqDelta;

extern bool lh_pq_delta_init(LhPqDelta *d, const uint8_t *data, size_t len);
extern bool lh_pq_delta_read(LhPqDelta *d, size_t n, uint64_t *out);

/* Where the encoded run ends, found by its block headers alone; NULL: malformed. */
extern const uint8_t *lh_pq_delta_end(const LhPqDelta *d);

/* ---- decompression (pq_decompress.c) ---- */

struct LhPqDecompressor
{
	const LhAlloc *alloc;
	void	   *zstd;			/* ZSTD_DCtx, made at first use */
};

extern void lh_pq_decompressor_clear(LhPqDecompressor *d);

/* Could `packed` bytes become `plain` ones at all?  Asked before memory is allocated for them. */
extern bool lh_pq_plausible_size(LhPqCodec codec, size_t packed, size_t plain);

/* Fills exactly `plain_len` bytes, or fails. */
extern LhStatus lh_pq_decompress(LhPqDecompressor *d, LhPqCodec codec, const uint8_t *packed, size_t packed_len,
								 uint8_t *plain, size_t plain_len, LhError *err);

/* ---- values (pq_values.c) ---- */

/* Pieces of memory that stay where they are until all are given up. */
typedef struct LhPqBlock LhPqBlock;

typedef struct LhPqBlocks
{
	const LhAlloc *alloc;
	LhPqBlock  *full;
	LhPqBlock  *open;
	size_t		total;			/* bytes handed out since the reset */
} LhPqBlocks;

extern uint8_t *lh_pq_blocks_take(LhPqBlocks *b, size_t len);
extern void lh_pq_blocks_reset(LhPqBlocks *b);
extern void lh_pq_blocks_free(LhPqBlocks *b);

/* A chunk's dictionary, decoded into slots like a vector's. */
typedef struct LhPqDictValues
{
	const void *slots;
	uint32_t	n;
} LhPqDictValues;

typedef enum LhPqValuesKind
{
	LH_PQ_VALUES_FIXED,			/* PLAIN numbers */
	LH_PQ_VALUES_BYTES,			/* PLAIN BYTE_ARRAY */
	LH_PQ_VALUES_FLBA,			/* PLAIN FLBA, INT96 */
	LH_PQ_VALUES_BITS,			/* PLAIN booleans */
	LH_PQ_VALUES_RUNS,			/* RLE booleans */
	LH_PQ_VALUES_DICT,
	LH_PQ_VALUES_DELTA,
	LH_PQ_VALUES_DELTA_LENGTH,
	LH_PQ_VALUES_DELTA_BYTES,
	LH_PQ_VALUES_SPLIT
} LhPqValuesKind;

/* Decodes the values of one page. */
typedef struct LhPqValues
{
	LhPqValuesKind kind;
	int			width;			/* PLAIN bytes of a value */
	int			slot;			/* bytes of a slot: 1, 4, 8, or sizeof(LhPqBytes) */
	const uint8_t *pos;
	const uint8_t *end;
	size_t		at;				/* BITS, SPLIT: values consumed */
	size_t		n;				/* SPLIT: values of the page */
	LhPqHybrid	hybrid;
	const LhPqDictValues *dict;
	LhPqDelta	delta;			/* values, or lengths */
	LhPqDelta	prefixes;
	LhBuf	   *last;			/* DELTA_BYTES: the value before */
	LhPqBlocks *blocks;			/* where values are put together */
} LhPqValues;

extern int	lh_pq_slot_bytes(const LhPqNode *leaf);

/* `dict`, `last` and `blocks` are the caller's; dict is NULL when the chunk has none. */
extern LhStatus lh_pq_values_init(LhPqValues *v, const LhPqNode *leaf, int encoding,
								  const uint8_t *data, size_t len, const LhPqDictValues *dict,
								  LhBuf *last, LhPqBlocks *blocks, LhError *err);

/* The next n values into packed slots. */
extern LhStatus lh_pq_values_read(LhPqValues *v, size_t n, void *slots, LhError *err);

/* Passes over n values; what lies in `blocks` may go with them. */
extern LhStatus lh_pq_values_skip(LhPqValues *v, size_t n, LhError *err);

#endif							/* LH_DECODE_INT_H */
