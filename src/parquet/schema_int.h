/*
 * schema_int.h
 *	  What the parts of the Parquet layer share about leaves: the order of
 *	  their values, copies of a schema.
 */
#ifndef LH_SCHEMA_INT_H
#define LH_SCHEMA_INT_H

#include "parquet/parquet.h"

/* Values of the format's enum Encoding. */
enum
{
	LH_PQ_PLAIN = 0,
	LH_PQ_PLAIN_DICTIONARY = 2,
	LH_PQ_RLE = 3,
	LH_PQ_BIT_PACKED = 4,
	LH_PQ_DELTA_BINARY_PACKED = 5,
	LH_PQ_DELTA_LENGTH_BYTE_ARRAY = 6,
	LH_PQ_DELTA_BYTE_ARRAY = 7,
	LH_PQ_RLE_DICTIONARY = 8,
	LH_PQ_BYTE_STREAM_SPLIT = 9
};

/* Values of the format's enum PageType. */
enum
{
	LH_PQ_DATA_PAGE = 0,
	LH_PQ_INDEX_PAGE = 1,
	LH_PQ_DICTIONARY_PAGE = 2,
	LH_PQ_DATA_PAGE_V2 = 3
};

/* How the values of a leaf compare in statistics. */
typedef enum LhPqOrder
{
	LH_PQ_ORDER_NONE,
	LH_PQ_ORDER_BOOL,
	LH_PQ_ORDER_I32,
	LH_PQ_ORDER_U32,
	LH_PQ_ORDER_I64,
	LH_PQ_ORDER_U64,
	LH_PQ_ORDER_FLOAT,
	LH_PQ_ORDER_DOUBLE,
	LH_PQ_ORDER_FLOAT16,
	LH_PQ_ORDER_BYTES,			/* unsigned, bytewise */
	LH_PQ_ORDER_DECIMAL			/* signed, big-endian */
} LhPqOrder;

extern LhPqOrder lh_pq_order(const LhPqNode *leaf);
extern int	lh_pq_order_compare(LhPqOrder order, LhPqBytes a, LhPqBytes b);

/* Is the value a NaN of a floating point order? */
extern bool lh_pq_order_is_nan(LhPqOrder order, LhPqBytes v);

/* The PLAIN bytes of a floating point zero, of at most 8 bytes. */
extern const uint8_t *lh_pq_zero(size_t width, bool negative);

/*
 * Makes bounds safe to publish and to trust: drops NaN and wrong lengths,
 * turns +0 into -0 as a minimum and -0 into +0 as a maximum, drops both when
 * they contradict each other.
 */
extern void lh_pq_stats_settle(const LhPqNode *leaf, LhPqStats *stats);

/* Bytes of one PLAIN value of a type with a fixed length; 0 for BOOLEAN and BYTE_ARRAY. */
extern int	lh_pq_plain_width(const LhPqNode *leaf);

/* Checks that the annotation fits the physical type. */
extern bool lh_pq_logical_fits(const LhPqNode *node);

/* A deep copy, finished, in `arena`. */
extern LhStatus lh_pq_schema_copy(const LhPqSchema *from, LhPqSchema *to, LhArena *arena, LhError *err);

#endif							/* LH_SCHEMA_INT_H */
