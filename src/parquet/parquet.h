/*
 * parquet.h
 *	  Public interface of the Parquet layer: schema, file metadata, writer,
 *	  reader.  Pure C: no I/O (the caller brings and takes bytes), no Postgres.
 *
 * Ownership: every object created here is freed by its own *_free / *_close
 * function and allocates only through the LhAlloc given at creation, which
 * must outlive it.
 */
#ifndef LH_PARQUET_H
#define LH_PARQUET_H

#include "base/base.h"

/* ---- schema ---- */

typedef enum LhPqType			/* values of the format's enum Type */
{
	LH_PQ_BOOLEAN = 0,
	LH_PQ_INT32 = 1,
	LH_PQ_INT64 = 2,
	LH_PQ_INT96 = 3,
	LH_PQ_FLOAT = 4,
	LH_PQ_DOUBLE = 5,
	LH_PQ_BYTE_ARRAY = 6,
	LH_PQ_FLBA = 7				/* FIXED_LEN_BYTE_ARRAY */
} LhPqType;

typedef enum LhPqRep
{
	LH_PQ_REQUIRED = 0,
	LH_PQ_OPTIONAL = 1,
	LH_PQ_REPEATED = 2
} LhPqRep;

/* What the bytes mean.  Legacy converted types are mapped onto these. */
typedef enum LhPqLogical
{
	LH_PQ_NONE = 0,
	LH_PQ_STRING,
	LH_PQ_MAP,
	LH_PQ_LIST,
	LH_PQ_ENUM,
	LH_PQ_DECIMAL,				/* precision, scale */
	LH_PQ_DATE,
	LH_PQ_TIME,					/* unit, utc */
	LH_PQ_TIMESTAMP,			/* unit, utc */
	LH_PQ_INTEGER,				/* bit_width, is_signed */
	LH_PQ_UNKNOWN,
	LH_PQ_JSON,
	LH_PQ_BSON,
	LH_PQ_UUID,
	LH_PQ_FLOAT16,
	LH_PQ_INTERVAL,				/* converted type only, 12 bytes */
	LH_PQ_OTHER					/* an annotation we do not know: read as plain */
} LhPqLogical;

typedef enum LhPqUnit
{
	LH_PQ_MILLIS,
	LH_PQ_MICROS,
	LH_PQ_NANOS
} LhPqUnit;

typedef struct LhPqNode LhPqNode;

/*
 * One schema element.  The caller (or the footer parser) fills the first
 * block; lh_pq_schema_finish() computes the second.
 */
struct LhPqNode
{
	const char *name;
	LhPqRep		rep;			/* ignored for the root */
	bool		is_group;
	LhPqType	type;			/* leaves */
	int			type_length;	/* FLBA bytes */
	LhPqLogical logical;
	int			precision;
	int			scale;
	LhPqUnit	unit;
	bool		utc;
	int			bit_width;
	bool		is_signed;
	int			field_id;		/* -1: none */
	int			n_children;
	LhPqNode  **children;

	int			max_def;
	int			max_rep;
	int			first_leaf;		/* number of this subtree's first leaf */
	int			n_leaves;		/* leaves in this subtree (1 for a leaf) */
};

typedef struct LhPqSchema
{
	LhPqNode   *root;
	int			n_leaves;
	LhPqNode  **leaves;			/* depth-first, the order of column chunks */
} LhPqSchema;

/* Checks the tree (depth, names, lengths) and computes levels and leaves in `arena`. */
extern LhStatus lh_pq_schema_finish(LhPqSchema *schema, LhArena *arena, LhError *err);

/*
 * The element of a LIST group (or of a repeated node that stands alone),
 * after the format's rules for old writers; NULL when the shape is not a
 * list's.  *has_middle tells whether a repeated group stands between the list
 * and the element; without one the element is itself the repeated node.
 */
extern const LhPqNode *lh_pq_list_element(const LhPqNode *list, bool *has_middle);

/* ---- file metadata, as written or as parsed from a footer ---- */

typedef enum LhPqCodec			/* values of the format's CompressionCodec */
{
	LH_PQ_UNCOMPRESSED = 0,
	LH_PQ_SNAPPY = 1,
	LH_PQ_GZIP = 2,
	LH_PQ_LZO = 3,
	LH_PQ_BROTLI = 4,
	LH_PQ_LZ4 = 5,				/* deprecated Hadoop framing */
	LH_PQ_ZSTD = 6,
	LH_PQ_LZ4_RAW = 7
} LhPqCodec;

typedef struct LhPqBytes
{
	const uint8_t *data;
	int32_t		len;
} LhPqBytes;

/*
 * Statistics of one leaf in one row group.  min/max are PLAIN-encoded values
 * without a length prefix; data == NULL when unknown.  They are only set when
 * trustworthy: the parser drops deprecated, NaN and wrongly ordered ones.
 * Counts are -1 when unknown.
 */
typedef struct LhPqStats
{
	int64_t		null_count;
	int64_t		nan_count;
	LhPqBytes	min;
	LhPqBytes	max;
	bool		min_exact;
	bool		max_exact;
} LhPqStats;

typedef struct LhPqChunk
{
	LhPqCodec	codec;
	int64_t		num_values;		/* including nulls: levels, not rows */
	int64_t		total_uncompressed;
	int64_t		total_compressed;	/* page headers and dictionary page included */
	int64_t		start;			/* file offset of the first page (dictionary if any) */
	int64_t		data_page_offset;
	int64_t		dictionary_page_offset; /* -1: none */
	int64_t		offset_index_offset;	/* -1: none */
	int32_t		offset_index_length;
	int64_t		column_index_offset;	/* -1: none */
	int32_t		column_index_length;
	int64_t		bloom_offset;	/* -1: none */
	int32_t		bloom_length;	/* -1: unknown */
	LhPqStats	stats;
	uint32_t	encodings;		/* bit n: the format's encoding n occurs */
	int32_t		dictionary_pages;	/* data pages coded by the dictionary, */
	int32_t		other_pages;	/* and otherwise; both 0 when unknown */
} LhPqChunk;

typedef struct LhPqRowGroup
{
	int64_t		num_rows;
	int64_t		total_compressed;
	LhPqChunk  *chunks;			/* schema.n_leaves of them */
} LhPqRowGroup;

typedef struct LhPqFileMeta
{
	LhArena		arena;			/* owns everything below */
	LhPqSchema	schema;
	int64_t		num_rows;
	int			n_row_groups;
	LhPqRowGroup *row_groups;
	int			n_kv;
	const char **kv_keys;
	const char **kv_values;		/* a value may be NULL */
	const char *created_by;		/* may be NULL */
} LhPqFileMeta;

/* The last 8 bytes of a file: footer length and magic.  *footer_len excludes these 8. */
#define LH_PQ_TAIL_BYTES	8
extern LhStatus lh_pq_tail_parse(const uint8_t tail[LH_PQ_TAIL_BYTES], int64_t file_size,
								 int64_t *footer_len, LhError *err);

/*
 * Parses a footer of `len` bytes that starts at file_size - 8 - len, and
 * checks every offset in it against file_size.  Nothing in *meta points into
 * `footer`.
 */
extern LhStatus lh_pq_footer_parse(const uint8_t *footer, size_t len, int64_t file_size,
								   const LhAlloc *alloc, LhPqFileMeta **meta, LhError *err);
extern void lh_pq_meta_free(LhPqFileMeta *meta);

/*
 * Compares two statistics values (or PLAIN bytes) of a leaf in the order its
 * statistics have: < 0, 0, > 0.  Only for leaves for which lh_pq_has_order().
 */
extern bool lh_pq_has_order(const LhPqNode *leaf);
extern int	lh_pq_compare(const LhPqNode *leaf, LhPqBytes a, LhPqBytes b);

/* ---- writer ---- */

typedef struct LhPqWriterOptions
{
	LhPqCodec	codec;			/* ZSTD or UNCOMPRESSED */
	int			zstd_level;		/* 1..22 */
	int64_t		page_rows;		/* most rows in a data page */
	int64_t		page_bytes;		/* target of a page's uncompressed bytes */
	int64_t		dictionary_bytes;	/* a larger dictionary falls back to PLAIN */
	const bool *bloom;			/* per leaf: write a bloom filter; NULL: none.  Never written
								 * for BOOLEAN and for bytes without annotation. */
	const bool *delta;			/* per leaf (INT32/INT64): DELTA_BINARY_PACKED; NULL: none */
	const char *created_by;
	int			n_kv;
	const char *const *kv_keys;
	const char *const *kv_values;
} LhPqWriterOptions;

extern void lh_pq_writer_defaults(LhPqWriterOptions *opts);

/* Takes all `len` bytes or fails (status LH_ERR_IO). Called in file order. */
typedef LhStatus (*LhPqSink) (void *ctx, const uint8_t *data, size_t len, LhError *err);

typedef struct LhPqWriter LhPqWriter;

/*
 * `schema` (finished) and the strings of `opts` are used until close.  The
 * header goes to the sink with the first row group.
 *
 * After a failed call the writer only takes lh_pq_writer_free().
 */
extern LhStatus lh_pq_writer_open(const LhPqSchema *schema, const LhPqWriterOptions *opts,
								  const LhAlloc *alloc, LhPqSink sink, void *sink_ctx,
								  LhPqWriter **writer, LhError *err);

/*
 * Appends one level (and its value, when def equals the leaf's max_def) to a
 * leaf.  For a flat optional leaf: put_null(w, leaf, 0, 0) or
 * put_x(w, leaf, 0, v).  Every leaf gets, for each row, one level with
 * rep == 0 first.  Bytes are copied.  A row is complete with end_row().
 * put_bytes serves BYTE_ARRAY and FLBA (len must be type_length there).
 */
extern LhStatus lh_pq_put_null(LhPqWriter *w, int leaf, int rep, int def, LhError *err);
extern LhStatus lh_pq_put_bool(LhPqWriter *w, int leaf, int rep, bool v, LhError *err);
extern LhStatus lh_pq_put_i32(LhPqWriter *w, int leaf, int rep, int32_t v, LhError *err);
extern LhStatus lh_pq_put_i64(LhPqWriter *w, int leaf, int rep, int64_t v, LhError *err);
extern LhStatus lh_pq_put_float(LhPqWriter *w, int leaf, int rep, float v, LhError *err);
extern LhStatus lh_pq_put_double(LhPqWriter *w, int leaf, int rep, double v, LhError *err);
extern LhStatus lh_pq_put_bytes(LhPqWriter *w, int leaf, int rep, const void *data, size_t len, LhError *err);
extern LhStatus lh_pq_end_row(LhPqWriter *w, LhError *err);

extern int64_t lh_pq_writer_rows(const LhPqWriter *w);	/* in the open row group */
extern int64_t lh_pq_writer_buffered(const LhPqWriter *w);	/* bytes of memory held */
extern int64_t lh_pq_writer_written(const LhPqWriter *w);	/* bytes given to the sink */

/* Ends the open row group; a no-op when it has no rows. */
extern LhStatus lh_pq_writer_flush(LhPqWriter *w, LhError *err);

/*
 * Flushes and writes indexes, bloom filters and footer.  *meta (with all
 * statistics, owned by the caller) describes the file just written.
 */
extern LhStatus lh_pq_writer_close(LhPqWriter *w, LhPqFileMeta **meta, LhError *err);
extern void lh_pq_writer_free(LhPqWriter *w);	/* also without close; NULL allowed */

/* ---- reader: one column chunk ---- */

/*
 * A decoded run of rows of one leaf.  Valid until the next call on the same
 * column reader.
 *
 * max_rep == 0: `values` is spaced, one slot a row, and nulls[i] != 0 where
 * row i has no value (nulls == NULL: none has); n_levels == n_rows, and def
 * is set when max_def > 1.  max_rep > 0: `values` is packed, one slot for
 * each level with def == max_def; def and rep are set.
 */
typedef struct LhPqVector
{
	int64_t		n_rows;
	int64_t		n_levels;
	int64_t		n_values;		/* slots in values */
	const uint8_t *def;
	const uint8_t *rep;
	const uint8_t *nulls;
	union
	{
		const void *any;
		const uint8_t *b;		/* BOOLEAN: 0 or 1 */
		const int32_t *i32;
		const int64_t *i64;
		const float *f32;
		const double *f64;
		const LhPqBytes *bytes; /* BYTE_ARRAY, FLBA, INT96 (12 bytes) */
	}			values;
} LhPqVector;

typedef struct LhPqColumnReader LhPqColumnReader;

/* What decompressing takes, for column readers to share.  NULL: out of memory. */
typedef struct LhPqDecompressor LhPqDecompressor;

extern LhPqDecompressor *lh_pq_decompressor_make(const LhAlloc *alloc);
extern void lh_pq_decompressor_free(LhPqDecompressor *d);	/* NULL allowed */

/*
 * Opens a whole column chunk: `chunk` holds its total_compressed bytes, read
 * from chunk->start, and must stay valid until close.
 */
extern LhStatus lh_pq_column_open(const LhPqFileMeta *meta, int row_group, int leaf,
								  const uint8_t *chunk, size_t len, const LhAlloc *alloc,
								  LhPqColumnReader **reader, LhError *err);

/*
 * The next `max_rows` rows (fewer only at the end of the chunk; 0 rows: at
 * the end).  skip moves on without decoding pages that lie wholly behind it.
 */
extern LhStatus lh_pq_column_read(LhPqColumnReader *r, int64_t max_rows, LhPqVector *out, LhError *err);
extern LhStatus lh_pq_column_skip(LhPqColumnReader *r, int64_t rows, LhError *err);
/*
 * Gives a reader opened on pages others of the same chunk, from row boundary to
 * row boundary.  The last vector is no longer valid.
 */
extern LhStatus lh_pq_column_set_pages(LhPqColumnReader *reader, const uint8_t *pages, size_t pages_len,
									   int64_t n_rows, LhError *err);
extern void lh_pq_column_close(LhPqColumnReader *r);	/* NULL allowed */

/* ---- reader: page index, for reading a few rows of a chunk ---- */

typedef struct LhPqPageLocation
{
	int64_t		offset;			/* file offset of the page header */
	int32_t		size;			/* header included */
	int64_t		first_row;		/* in the row group */
} LhPqPageLocation;

typedef struct LhPqOffsetIndex
{
	int			n_pages;
	LhPqPageLocation *pages;
} LhPqOffsetIndex;

typedef struct LhPqColumnIndex
{
	int			n_pages;
	bool	   *null_pages;
	LhPqBytes  *min;			/* data == NULL: unknown */
	LhPqBytes  *max;
	int64_t    *null_counts;	/* NULL: unknown */
} LhPqColumnIndex;

extern LhStatus lh_pq_offset_index_parse(const uint8_t *data, size_t len,
										 const LhPqFileMeta *meta, int row_group, int leaf,
										 LhArena *arena, LhPqOffsetIndex *index, LhError *err);
extern LhStatus lh_pq_column_index_parse(const uint8_t *data, size_t len,
										 const LhPqFileMeta *meta, int row_group, int leaf,
										 LhArena *arena, LhPqColumnIndex *index, LhError *err);

/*
 * Opens a run of pages of a chunk: `dict` is the dictionary page (its header
 * included; len 0 when the chunk has none), `pages` the bytes of consecutive
 * data pages, the first of which starts with row `first_row`.  lh_pq_column_skip
 * and _read then count from first_row.  `shared` (or NULL) outlives the reader.
 */
extern LhStatus lh_pq_column_open_pages(const LhPqFileMeta *meta, int row_group, int leaf,
										const uint8_t *dict, size_t dict_len,
										const uint8_t *pages, size_t pages_len, int64_t n_rows,
										LhPqDecompressor *shared, const LhAlloc *alloc,
										LhPqColumnReader **reader, LhError *err);

/* ---- reader: bloom filter ---- */

/*
 * `data` starts at bloom_offset.  *maybe is false only when no value of the
 * chunk equals the PLAIN bytes `value` (without length prefix).
 */
extern LhStatus lh_pq_bloom_check(const uint8_t *data, size_t len, const void *value, size_t value_len,
								  bool *maybe, LhError *err);

#endif							/* LH_PARQUET_H */
