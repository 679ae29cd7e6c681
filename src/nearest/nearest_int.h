/*
 * nearest_int.h
 *	  What the files of LakehouseNearest share: the plan's private list, the
 *	  node's state, the rows it keeps.
 */
#ifndef LH_NEAREST_INT_H
#define LH_NEAREST_INT_H

#include "postgres.h"

#include "access/relscan.h"
#include "fmgr.h"
#include "nodes/execnodes.h"
#include "nodes/extensible.h"
#include "nodes/primnodes.h"
#include "utils/tuplesort.h"

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
	NEAREST_COVERED				/* Float: share of the table's rows that is in the index */
};

/* ---- trying an index ---- */

/* Rows of the index between two looks at how it goes. */
#define NEAREST_SLICE		64
/* The first row of an index scan costs as much as so many others. */
#define NEAREST_FIRST_ROW	150
/* This share of the exact child's cost is spent on finding out, before giving up. */
#define NEAREST_TRIAL		0.05

/* ---- memory ---- */

/* Is there a shared buffer behind this one? */
#define lh_buffer_has_next(buffer)	(!BufferIsLocal(buffer) && (buffer) < NBuffers)

/*
 * Asks for the memory of what stands on another page, so many bytes behind this
 * one, where this stands on its page.  A macro, since compilers drop calls of
 * functions that only prefetch.
 */
#define LH_PREFETCH_AHEAD(row, ahead, bytes) \
	do { \
		for (int i_ = 0; i_ < (bytes); i_ += 64) \
			__builtin_prefetch((const char *) (row) + (ahead) + i_); \
	} while (0)

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
	Buffer		buffer;			/* the page read last */
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
