/*
 * nearest_int.h
 *	  What the files of LakehouseNearest share: the plan's private list, the
 *	  node's state, the rows it keeps.
 */
#ifndef LH_NEAREST_INT_H
#define LH_NEAREST_INT_H

#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "fmgr.h"
#include "nodes/execnodes.h"
#include "nodes/extensible.h"
#include "nodes/primnodes.h"
#include "utils/tuplesort.h"

#include "types/pg_compat.h"
#include "vector/vector.h"

extern const CustomScanMethods lh_nearest_methods;

/*
 * The plan's custom_private, in this order.  custom_exprs holds the value that
 * distances are to, LIMIT and OFFSET; the last column of custom_scan_tlist is
 * the distance, the others are the children's.
 */
enum
{
	NEAREST_KEY,				/* Integer: the children's column that is compared */
	NEAREST_KEY_ARG,			/* Integer: which argument of the distance it is */
	NEAREST_INDEXED,			/* Boolean: the first child scans an index */
	NEAREST_PASSING,			/* Float: share of the index's rows that the planner thinks pass the filter */
	NEAREST_PATIENCE,			/* Float: rows of the index that cost as much as the exact child's scan */
	NEAREST_PER_PASSING,		/* Float: and as much as the distances of all rows of the index */
	NEAREST_COVERED,			/* Float: share of the table's rows that is in the index */
	NEAREST_EXECUTOR			/* Float: rows of the index that the executor's filter costs, if the node asks it of each row */
};

/* ---- trying an index ---- */

/* Rows of the index between two looks at how it goes. */
#define NEAREST_SLICE		64
/* The first row of an index scan costs as much as so many others. */
#define NEAREST_FIRST_ROW	100
/* This share of the exact child's cost is spent on finding out, before giving up. */
#define NEAREST_TRIAL		0.05

/* ---- memory ---- */

/* Asks for so many bytes.  A macro, since compilers drop calls of functions that only prefetch. */
#define LH_PREFETCH(from, bytes) \
	do { \
		const char *from_ = (const char *) (from); \
		const char *last_ = from_ + (bytes) - 1; \
		for (; from_ < last_; from_ += 64) \
			__builtin_prefetch(from_); \
		__builtin_prefetch(last_); \
	} while (0)

/* ---- pages of heap tables ---- */

/* In which buffers this process saw the pages of a table; 0: not yet. */
typedef struct NearestSeen
{
	RelFileNode file;
	BlockNumber n_blocks;
	Buffer	   *buffers;
	uint64		used;
} NearestSeen;

/* A page with its visible rows, pinned by whoever asked for it. */
typedef struct NearestPage
{
	Buffer		buffer;
	BlockNumber block;
	char	   *data;
	char	   *next;			/* probably the page that follows, to be prefetched only; or this one */
	int			n;
	OffsetNumber offsets[MaxHeapTuplesPerPage];
	HeapTupleHeader rows[MaxHeapTuplesPerPage];
} NearestPage;

/* Is everything in the first so many columns where lh_nearest_column_place() says? */
static inline bool
lh_nearest_row_is_plain(HeapTupleHeader row, int n_columns)
{
	if (HeapTupleHeaderGetNatts(row) < n_columns)
		return false;
	if (row->t_infomask & HEAP_HASNULL)
		for (int i = 0; i < n_columns; i++)
			if (att_isnull(i, row->t_bits))
				return false;
	return true;
}

static inline char *
lh_nearest_row_data(HeapTupleHeader row)
{
	return (char *) row + row->t_hoff;
}

/* What a filter says of a row: ask the executor. */
enum
{
	NEAREST_DROP,
	NEAREST_PASS,
	NEAREST_ASK
};

typedef struct NearestQual NearestQual;

/* ---- long values ---- */

/* Where values beside the table were found: see nearest_toast.c. */
typedef struct NearestToast
{
	MemoryContext context;
	Relation	rel;			/* NULL: none is open */
	Relation   *indexes;
	int			n_indexes;
	int			valid_index;
	BlockNumber n_blocks;
	NearestSeen *seen;
	Buffer		buffer;			/* the page read last */
	char	   *next;			/* probably the page behind it, to be prefetched */
	BlockNumber block;			/* the last chunk's place */
	OffsetNumber offset;
	Oid			last;			/* the value found last, InvalidOid none */
	double		step;			/* blocks from one value's number to the next */
	int			misses;			/* values in a row that were not where they were guessed */
	struct varlena *value;
	Size		room;
} NearestToast;

/* ---- the node ---- */

typedef struct NearestRow
{
	double		distance;		/* NaN for NULL as well: it sorts last */
	bool		isnull;
	int64		number;			/* of equally near ones the first comes first, as scans find them */
	MinimalTuple tuple;
} NearestRow;

typedef struct NearestState
{
	CustomScanState css;
	PlanState  *exact;
	IndexScanState *search;		/* NULL without an index */
	AttrNumber	key;
	int			key_arg;
	double		planned;		/* share of rows that pass: the planner's opinion */
	double		passing;		/* and what is known better, which */
	double		prior_rows;		/* weighs as much as so many rows of the index */
	double		patience;
	double		per_passing;
	double		covered;

	ExprState  *query;
	ExprState  *limit_count;
	ExprState  *limit_offset;
	FmgrInfo	function;
	FunctionCallInfo call;
	bool		query_isnull;
	LhProbe		probe;
	bool		probing;		/* the probe may stand for the function */
	MemoryContext work;			/* of one row */
	NearestToast toast;
	NearestQual *qual;			/* the exact child's, if it scans a heap table and has a simple one */

	MemoryContext context;		/* of the rows kept */
	int64		limit;
	NearestRow *rows;			/* the worst on top; sorted when all have been seen */
	int			n;
	int			max;
	Tuplesortstate *sort;		/* instead, where there are too many to be kept in memory */
	TupleTableSlot *sorted;
	bool		ready;			/* all have been seen */
	int			next;			/* the one to be returned */

	int64		offered;
	int64		tried;			/* rows of the index, for EXPLAIN */
	bool		by_index;
} NearestState;

/* nearest_path.c */
extern bool lh_is_distance(const OpExpr *op);

/* nearest_rows.c */
extern void lh_nearest_begin_rows(NearestState *s);
extern double lh_nearest_distance(NearestState *s, Datum value, bool *isnull);
extern bool lh_nearest_is_kept(const NearestState *s, double distance, bool isnull);
extern void lh_nearest_keep(NearestState *s, double distance, bool isnull, TupleTableSlot *slot);
extern void lh_nearest_offer(NearestState *s, TupleTableSlot *slot);
extern void lh_nearest_drop_rows(NearestState *s);
extern void lh_nearest_sort_rows(NearestState *s);
extern bool lh_nearest_next_row(NearestState *s, TupleTableSlot *slot);
extern void lh_nearest_end_rows(NearestState *s);

/* nearest_page.c */
extern NearestSeen *lh_nearest_seen(Relation rel);
extern Buffer lh_nearest_read_block(NearestSeen *seen, Relation rel, BlockNumber block);
extern char *lh_nearest_next_page(const NearestSeen *seen, BlockNumber block, Buffer buffer);
extern void lh_nearest_take_page(NearestSeen *seen, HeapScanDesc scan, NearestPage *page);
extern void lh_nearest_read_page(NearestSeen *seen, Relation rel, Snapshot snapshot, BlockNumber block, NearestPage *page);
extern int	lh_nearest_column_place(TupleDesc desc, AttrNumber column);

/* nearest_qual.c */
extern NearestQual *lh_nearest_qual_compile(ScanState *ss);
extern bool lh_nearest_qual_is_complete(const NearestQual *qual);
extern void lh_nearest_qual_begin(NearestQual *qual);
extern void lh_nearest_qual_page(const NearestQual *qual, const NearestPage *page, uint8 *verdicts);

/* nearest_heap.c */
extern bool lh_nearest_is_heap(const PlanState *child);
extern void lh_nearest_search_heap(NearestState *s);
extern double lh_nearest_sample(NearestState *s);

/* nearest_toast.c */
extern Datum lh_nearest_fetch(NearestToast *toast, Datum value);
extern void lh_nearest_toast_close(NearestToast *toast);

/* nearest_junk.c */
extern void lh_nearest_junk_init(void);

#endif							/* LH_NEAREST_INT_H */
