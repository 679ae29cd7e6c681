/*
 * exec_int.h
 *	  Shared inside src/exec: clauses that say something about columns as the
 *	  files have them, batches of the scan, and the two plan nodes.
 */
#ifndef LH_EXEC_INT_H
#define LH_EXEC_INT_H

#include "postgres.h"

#include "access/stratnum.h"
#include "datatype/timestamp.h"
#include "nodes/execnodes.h"
#include "nodes/extensible.h"
#include "nodes/pathnodes.h"

#include "storage/lh_storage.h"
#include "types/types.h"

/* ---- settings (exec_path.c) ---- */

extern bool lh_enable_custom_scan;
extern bool lh_enable_pruning;
extern bool lh_enable_vector_agg;

/* ---- clauses (exec_clause.c) ---- */

typedef enum LhClauseKind
{
	LH_CLAUSE_CMP,				/* column <strategy> value */
	LH_CLAUSE_ANY,				/* column <strategy> any of an array */
	LH_CLAUSE_NULL,				/* column IS NULL */
	LH_CLAUSE_NOT_NULL,
	LH_CLAUSE_AND,
	LH_CLAUSE_OR
} LhClauseKind;

typedef struct LhClause
{
	LhClauseKind kind;
	AttrNumber	attnum;
	StrategyNumber strategy;	/* of the default btree class of the column's type */
	Oid			left_type;		/* the operator's inputs */
	Oid			right_type;
	Oid			collation;		/* that its bounds are compared by */
	bool		bytewise;		/* of text: the clause is as good by bytes */
	FmgrInfo	order;			/* btree order of (left, right) */
	ExprState  *expr;			/* of the value */

	/* set by lh_clauses_evaluate() */
	int			n_values;		/* NULLs left out: no row matches them */
	Datum	   *values;

	List	   *args;			/* AND, OR: LhClauses */
} LhClause;

/*
 * What of a list of quals (an AND) is understood; the rest is left out, so
 * that the set is implied by the quals.
 */
typedef struct LhClauseSet
{
	List	   *clauses;
	TupleDesc	desc;
	ExprContext *econtext;
	MemoryContext values_cxt;
	MemoryContext scratch;
	bool		evaluated;
	uint32		generation;		/* counts evaluations */
} LhClauseSet;

/* ps == NULL: only to see what is understood, in the planner. */
extern LhClauseSet *lh_clauses_create(PlanState *ps, List *quals, Index varno, TupleDesc desc);
extern void lh_clauses_evaluate(LhClauseSet *set);	/* unless it is done */
extern void lh_clauses_reset(LhClauseSet *set); /* parameters may have changed */

/* ---- pruning (exec_prune.c) ---- */

/* For LhScanHints: may a row of the row group satisfy the set (arg)? */
extern bool lh_prune_group_wanted(void *arg, const LhPqFileMeta *meta, int row_group);

/* ---- columns as integers (exec_vector.c) ---- */

/*
 * Values of these kinds are compared as 64-bit keys, whose order is that of
 * the type's default btree class.
 */
typedef enum LhVecKind
{
	LH_VEC_NONE,
	LH_VEC_INT,					/* the number */
	LH_VEC_FLOAT4,				/* its bits, made to ascend */
	LH_VEC_FLOAT8,
	LH_VEC_DECIMAL,				/* unscaled, of at most 18 digits */
	LH_VEC_DATE,				/* days since 1970 */
	LH_VEC_TIMESTAMP			/* microseconds since 1970; with or without time zone */
} LhVecKind;

#define LH_UNIX_DAYS		(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)
#define LH_UNIX_MICROS		((int64) LH_UNIX_DAYS * USECS_PER_DAY)

extern LhVecKind lh_vec_kind(Form_pg_attribute att);
extern int	lh_vec_scale(Form_pg_attribute att);	/* of a DECIMAL */

/* Does the leaf hold the kind's values just as the vector loops take them? */
extern bool lh_vec_leaf_fits(Form_pg_attribute att, LhVecKind kind, const LhPqNode *leaf);

/* All doubles in Postgres's order: -0 is 0, NaN above everything. */
static inline int64
lh_float_key(double v)
{
	int64		bits;

	if (v != v)
		return PG_INT64_MAX;
	if (v == 0)
		return 0;
	memcpy(&bits, &v, sizeof(bits));
	return bits ^ ((bits >> 63) & PG_INT64_MAX);
}

/* Keys that satisfy a clause; empty when lo > hi. */
typedef struct LhKeyRange
{
	int64		lo;
	int64		hi;
} LhKeyRange;

/* False when the clause is not a comparison of such a kind. */
extern bool lh_vec_range(const LhClause *clause, Form_pg_attribute att, LhKeyRange *range);
extern bool lh_vec_clause_fits(const LhClause *clause, Form_pg_attribute att);

/* ---- filter (exec_filter.c) ---- */

typedef struct LhFilter LhFilter;

/* Of those clauses of a set that are ranges of keys. */
extern LhFilter *lh_filter_create(LhClauseSet *set);
extern int	lh_filter_n_clauses(const LhFilter *filter);

/* For the planner: would a filter of these quals be all of them? */
extern bool lh_filter_covers(List *quals, Index varno, TupleDesc desc);

/*
 * Marks rows of the reader's batch that the clauses let pass, and counts
 * them; -1: this batch cannot be filtered so.
 */
extern int	lh_filter_run(LhFilter *filter, LhFileReader *reader, int n_rows, uint8 *selected);

/* ---- scan node (exec_scan.c) ---- */

typedef struct LhScanShared
{
	LhRowScanShared rows;
	pg_atomic_uint64 groups;	/* LhScanCounters of finished workers */
	pg_atomic_uint64 groups_skipped;
	pg_atomic_uint64 bytes;
} LhScanShared;

typedef struct LhScanState
{
	CustomScanState css;
	LhRowScan  *rows;			/* NULL: not begun */
	LhScanShared *shared;		/* NULL: not parallel */
	LhScanCounters others;		/* of workers, and of scans that were ended */
	LhScanHints hints;
	LhClauseSet *clauses;
	LhFilter   *filter;

	LhBatch		batch;
	int			row;
	bool		masked;			/* selected[] is valid for the batch */
	bool		filtered;		/* and the filter has had its say in it */
	int			n_selected;
	uint8		selected[LH_BATCH_ROWS];
	bool		decoded;		/* values and isnull are, for the batch */
	Datum	  **values;			/* [hints.n_columns][row] */
	bool	  **isnull;
	Datum	   *delta_values;	/* [natts] */
	bool	   *delta_isnull;
} LhScanState;

extern const CustomScanMethods lh_scan_methods;

/*
 * For a node above that takes batches: the next batch, filtered, and one row
 * of it in the scan slot.
 */
extern bool lh_scan_next_batch(LhScanState *state, ScanDirection direction);
extern void lh_scan_store(LhScanState *state, int row);

/* ---- aggregate node (exec_agg.c) and its planning (exec_agg_path.c) ---- */

extern const CustomScanMethods lh_agg_methods;

extern bool lh_scan_possible(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte);
extern CustomPath *lh_scan_path(PlannerInfo *root, RelOptInfo *rel, PathTarget *target, int workers);
extern Cost lh_scan_io_cost(PlannerInfo *root, RelOptInfo *rel);
extern void lh_agg_paths(PlannerInfo *root, RelOptInfo *input, RelOptInfo *output);

/* ---- accumulators (exec_accum.c) ---- */

typedef struct LhAccum LhAccum;

/* Can the aggregate run over a column (att, NULL for count(*))? */
extern bool lh_accum_supported(Oid aggfnoid, Form_pg_attribute att);
extern LhAccum *lh_accum_create(Oid aggfnoid, Form_pg_attribute att);
extern void lh_accum_reset(LhAccum *accum);
extern AttrNumber lh_accum_attnum(const LhAccum *accum);	/* 0: count(*) */

/* Takes a batch as the file has it; selected == NULL: all rows. */
extern bool lh_accum_takes_leaf(const LhAccum *accum, const LhPqNode *leaf);
extern void lh_accum_vector(LhAccum *accum, const LhPqNode *leaf, const LhPqVector *vector,
							const uint8 *selected, int n_rows);
extern void lh_accum_datum(LhAccum *accum, Datum value, bool isnull);
extern void lh_accum_rows(LhAccum *accum, int64 n); /* of count(*) */
extern Datum lh_accum_result(LhAccum *accum, bool *isnull);

/* ---- rows that a DELETE is about to delete (exec_lookahead.c) ---- */

extern void lh_lookahead_init(void);

#endif							/* LH_EXEC_INT_H */
