/*
 * writer_int.h
 *	  The writer's state, shared by the parts that put values, build pages,
 *	  and write row groups.
 */
#ifndef LH_WRITER_INT_H
#define LH_WRITER_INT_H

#include "parquet/encode_int.h"

/* Longer bounds are cut in statistics and page index; an incremented one may be a byte longer. */
#define LH_PQ_BOUND_BYTES	64
#define LH_PQ_BOUND_MAX		(LH_PQ_BOUND_BYTES + 4)

/* Bounds of a page or chunk, copied and cut. */
typedef struct LhPqBounds
{
	bool		has_min;
	bool		has_max;
	bool		min_exact;
	bool		max_exact;
	uint8_t		min_len;
	uint8_t		max_len;
	uint8_t		min[LH_PQ_BOUND_MAX];
	uint8_t		max[LH_PQ_BOUND_MAX];
} LhPqBounds;

/* A finished data page, waiting for its row group to end. */
typedef struct LhPqPage
{
	struct LhPqPage *next;
	int64_t		n_rows;
	int64_t		n_nulls;
	int64_t		n_values;
	size_t		size;			/* header and compressed body, in data */
	uint8_t		min_len;		/* bounds follow them there */
	uint8_t		max_len;
	bool		has_bounds;
	uint8_t		data[];
} LhPqPage;

typedef struct LhPqLeaf
{
	const LhPqNode *node;
	LhPqOrder	order;
	int			width;			/* PLAIN bytes of a value; 0: BYTE_ARRAY; 1: BOOLEAN, unpacked */
	int			max_def;
	int			max_rep;
	bool		delta;
	bool		bloom;

	/* the open page: values in PLAIN form (BOOLEAN: a byte each), levels a byte each */
	LhBuf		plain;
	LhBuf		def;
	LhBuf		rep;
	int64_t		page_values;
	int64_t		page_levels;
	int64_t		page_rows;

	/* the open row group */
	int64_t		rows;			/* rows begun */
	bool		try_dict;
	LhPqDict	dict;
	LhPqPage   *first_page;
	LhPqPage   *last_page;
	uint32_t	n_pages;
	uint32_t	dict_pages;
	int64_t		levels;
	int64_t		nulls;
	int64_t		nans;
	int64_t		uncompressed;	/* of all pages, headers included */
	int64_t		compressed;
	size_t		held;			/* memory of pages */
	bool		min_lost;		/* a page with values had no bound */
	bool		max_lost;
	LhPqBounds	bounds;
	LhBuf		hashes;			/* bloom: uint64_t of each value outside the dictionary */
} LhPqLeaf;

struct LhPqWriter
{
	const LhAlloc *alloc;
	LhPqWriterOptions opts;
	const LhPqSchema *schema;
	LhPqSink	sink;
	void	   *sink_ctx;
	int			n_open;			/* leaves that take values: all, or 0 after a failure */
	int			n_leaves;
	LhPqLeaf   *leaves;
	int64_t		rows;			/* complete rows in the open row group */
	int			begun;			/* leaves that have begun the next row */
	int64_t		written;
	LhPqCompressor compressor;

	/* scratch of page building */
	LhBuf		body;
	LhBuf		packed;
	LhBuf		indices;		/* uint32_t */
	LhBuf		header;

	LhPqFileMeta *meta;
	LhBuf		groups;			/* LhPqRowGroup of each written one */
	LhBuf		column_indexes; /* serialised, until close */
	LhBuf		offset_indexes;
};

/* pq_page_write.c: encodes, compresses and keeps the open page of a leaf. */
extern LhStatus lh_pq_page_finish(LhPqWriter *w, LhPqLeaf *leaf, LhError *err);

/* Compresses `body` into w->packed behind its header in w->header. */
extern LhStatus lh_pq_page_pack(LhPqWriter *w, const uint8_t *body, size_t len, bool dictionary,
								int encoding, int64_t n_values, LhError *err);

/* pq_bounds.c: bounds of the open page; indices: its values' numbers in the dictionary, or NULL. */
extern void lh_pq_page_bounds(LhPqLeaf *leaf, const uint32_t *indices, LhPqBounds *bounds, int64_t *nans);
extern void lh_pq_bounds_merge(LhPqOrder order, LhPqBounds *into, const LhPqBounds *from);

/* pq_index.c: appends the page index of a leaf whose first data page lies at `offset`. */
extern bool lh_pq_column_index_write(const LhPqLeaf *leaf, LhBuf *buf);
extern bool lh_pq_offset_index_write(const LhPqLeaf *leaf, int64_t offset, LhBuf *buf);

/*
 * pq_bloom.c: appends the hashes (uint64_t) of n PLAIN values of a leaf, with
 * those of the values that equal them; and header and bit set of a filter.
 */
extern bool lh_pq_bloom_is_useful(const LhPqNode *leaf);
extern bool lh_pq_bloom_hash(LhBuf *hashes, const uint8_t *plain, size_t n, const LhPqNode *leaf);
extern bool lh_pq_bloom_write(const uint64_t *hashes, size_t n, LhBuf *buf);

static inline LhStatus
lh_pq_no_memory(LhError *err)
{
	return lh_fail(err, LH_ERR_NOMEM, -1, "out of memory");
}

#endif							/* LH_WRITER_INT_H */
