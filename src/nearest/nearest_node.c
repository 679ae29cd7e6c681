/*
 * nearest_node.c
 *	  LakehouseNearest: of its child's rows, the few with the least distance.
 *
 * The exact child makes all rows that pass the filter; the node keeps the best
 * of them.  With an index, rows of its scan are taken first, which come nearest
 * first, as long as that promises to be cheaper: how many of them pass the
 * filter is seen only then.
 *
 * Children filter and make columns; the node knows nothing of tables.
 */
#include "postgres.h"

#include <math.h>

#include "access/genam.h"
#include "access/tableam.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "hnsw/hnsw.h"
#include "nearest/nearest_int.h"
#include "types/pg_compat.h"
#include "vector/vector.h"

#include LH_EXPLAIN_HEADER
#include LH_EXPLAIN_STATE_HEADER

/* Rows of the index between two looks at how it goes. */
#define SLICE			64
/* The planner's opinion of the filter weighs as much as this many rows. */
#define PRIOR_ROWS		50
/* This share of the exact child's cost is spent on finding out, before giving up. */
#define TRIAL			0.1
/* When enough rows have been found, this share of the rows read is read once more: the last ones come late. */
#define MARGIN			0.25

typedef struct Row
{
	double		distance;		/* NaN for NULL as well: it sorts last */
	bool		isnull;
	int64		number;			/* of equally near ones the first comes first, as scans find them */
	MinimalTuple tuple;
} Row;

typedef struct NearestState
{
	CustomScanState css;
	PlanState  *exact;
	IndexScanState *search;		/* NULL without an index */
	AttrNumber	key;
	int			key_arg;
	int			limit;
	double		passing;
	double		patience;

	ExprState  *query;
	FmgrInfo	function;
	FunctionCallInfo call;
	bool		query_isnull;
	LhProbe		probe;
	bool		probing;		/* the probe may stand for the function */
	MemoryContext work;			/* of one row */

	MemoryContext context;		/* of the rows kept */
	Row		   *rows;			/* the worst on top; sorted when all have been seen */
	int			n;
	int			next;			/* the one to be returned, -1 before they are known */

	int64		offered;
	int64		tried;			/* rows of the index, for EXPLAIN */
	bool		by_index;
} NearestState;

static Node *create_state(CustomScan *scan);
static void begin(CustomScanState *css, EState *estate, int eflags);
static TupleTableSlot *execute(CustomScanState *css);
static void end(CustomScanState *css);
static void rescan(CustomScanState *css);
static void explain(CustomScanState *css, List *ancestors, ExplainState *es);
static bool recheck_row(ScanState *ss, TupleTableSlot *slot);

const CustomScanMethods lh_nearest_methods = {
	.CustomName = "LakehouseNearest",
	.CreateCustomScanState = create_state,
};

static const CustomExecMethods exec_methods = {
	.CustomName = "LakehouseNearest",
	.BeginCustomScan = begin,
	.ExecCustomScan = execute,
	.EndCustomScan = end,
	.ReScanCustomScan = rescan,
	.ExplainCustomScan = explain,
};

/* ---- sequential scans ---- */

/*
 * Asks for the memory of the rows to come; a macro, since compilers drop calls
 * of functions that only prefetch.  Rows stand on a page in the order in which
 * they came, from its end to its beginning; after the page comes the one that
 * was read after it, often into the next buffer.  All of this is a guess.
 */
#define PREFETCH_ROW(page, row, step, ahead, bytes) \
	do { \
		char	   *at_ = (char *) (row) - (ahead) * (step); \
		char	   *first_ = (char *) (page) + ((PageHeader) (page))->pd_upper; \
		if (at_ < first_) \
			at_ += (char *) (page) + 2 * BLCKSZ - first_; \
		for (Size i_ = 0; i_ < (bytes); i_ += 64) \
			__builtin_prefetch(at_ + i_); \
	} while (0)

/* nodeSeqscan.c's next row.  A sequential scan waits for memory: each row's header is a miss. */
static TupleTableSlot *
next_of_heap(ScanState *ss)
{
	TupleTableSlot *slot = ss->ss_ScanTupleSlot;
	HeapTuple	tuple;
	Page		page;
	Size		step;

	if (ss->ss_currentScanDesc == NULL)
		ss->ss_currentScanDesc = table_beginscan(ss->ss_currentRelation, ss->ps.state->es_snapshot, 0, NULL);
	if (!table_scan_getnextslot(ss->ss_currentScanDesc, ForwardScanDirection, slot))
		return NULL;
	tuple = ((HeapTupleTableSlot *) slot)->tuple;
	page = BufferGetPage(((BufferHeapTupleTableSlot *) slot)->buffer);
	step = MAXALIGN(tuple->t_len);
	if (ss->ps.qual)
		PREFETCH_ROW(page, tuple->t_data, step, 8, 1);
	else
		PREFETCH_ROW(page, tuple->t_data, step, 4, Min(step, 1024));
	return slot;
}

static TupleTableSlot *
scan_heap(PlanState *ps)
{
	return ExecScan((ScanState *) ps, next_of_heap, recheck_row);
}

/* ---- begin and end ---- */

static Node *
create_state(CustomScan *scan)
{
	NearestState *s = palloc0(sizeof(NearestState));

	NodeSetTag(s, T_CustomScanState);
	s->css.methods = &exec_methods;
	return (Node *) s;
}

static void
begin(CustomScanState *css, EState *estate, int eflags)
{
	NearestState *s = (NearestState *) css;
	CustomScan *plan = (CustomScan *) css->ss.ps.plan;
	OpExpr	   *distance = (OpExpr *) llast_node(TargetEntry, plan->custom_scan_tlist)->expr;
	List	   *private = plan->custom_private;
	ListCell   *lc;

	foreach(lc, plan->custom_plans)
		css->custom_ps = lappend(css->custom_ps, ExecInitNode(lfirst(lc), estate, eflags));
	s->exact = llast(css->custom_ps);
	if (IsA(s->exact, SeqScanState) && TTS_IS_BUFFERTUPLE(((ScanState *) s->exact)->ss_ScanTupleSlot))
		ExecSetExecProcNode(s->exact, scan_heap);
	if (boolVal(list_nth(private, NEAREST_INDEXED)))
		s->search = castNode(IndexScanState, linitial(css->custom_ps));
	s->limit = intVal(list_nth(private, NEAREST_LIMIT));
	s->key = intVal(list_nth(private, NEAREST_KEY));
	s->key_arg = intVal(list_nth(private, NEAREST_KEY_ARG));
	s->passing = floatVal(list_nth(private, NEAREST_PASSING));
	s->patience = floatVal(list_nth(private, NEAREST_PATIENCE));
	s->query = ExecInitExpr(linitial(plan->custom_exprs), &css->ss.ps);
	fmgr_info(distance->opfuncid, &s->function);
	fmgr_info_set_expr((Node *) distance, &s->function);
	s->call = palloc0(SizeForFunctionCallInfo(2));
	InitFunctionCallInfoData(*s->call, &s->function, 2, distance->inputcollid, NULL, NULL);
	s->work = AllocSetContextCreate(CurrentMemoryContext, "nearest: a row", ALLOCSET_DEFAULT_SIZES);
	s->context = AllocSetContextCreate(CurrentMemoryContext, "nearest: rows", ALLOCSET_DEFAULT_SIZES);
	s->next = -1;
}

static void
end(CustomScanState *css)
{
	ListCell   *lc;

	foreach(lc, css->custom_ps)
		ExecEndNode(lfirst(lc));
}

static void
rescan(CustomScanState *css)
{
	NearestState *s = (NearestState *) css;
	ListCell   *lc;

	ExecScanReScan(&css->ss);
	foreach(lc, css->custom_ps)
	{
		PlanState  *child = lfirst(lc);

		if (css->ss.ps.chgParam != NULL)
			UpdateChangedParamSet(child, css->ss.ps.chgParam);
		/* else the next ExecProcNode() does it */
		if (child->chgParam == NULL)
			ExecReScan(child);
	}
	s->next = -1;
}

/* ---- the rows kept ---- */

static inline bool
is_after(const Row *a, const Row *b)
{
	if (a->isnull != b->isnull)
		return a->isnull;
	if (isnan(a->distance) != isnan(b->distance))
		return isnan(a->distance);
	/* NaN is not greater, either */
	return a->distance > b->distance || (!(a->distance < b->distance) && a->number > b->number);
}

static void
sift_down(Row *rows, int n, Row row)
{
	int			at = 0;

	for (;;)
	{
		int			child = 2 * at + 1;

		if (child >= n)
			break;
		if (child + 1 < n && is_after(&rows[child + 1], &rows[child]))
			child++;
		if (!is_after(&rows[child], &row))
			break;
		rows[at] = rows[child];
		at = child;
	}
	rows[at] = row;
}

static void
keep(NearestState *s, Row row)
{
	int			at;

	if (s->n == s->limit)
	{
		pfree(s->rows[0].tuple);
		sift_down(s->rows, s->n, row);
		return;
	}
	for (at = s->n++; at > 0 && is_after(&row, &s->rows[(at - 1) / 2]); at = (at - 1) / 2)
		s->rows[at] = s->rows[(at - 1) / 2];
	s->rows[at] = row;
}

/* Nearest first. */
static void
sort_rows(NearestState *s)
{
	for (int n = s->n; n > 1; n--)
	{
		Row			last = s->rows[n - 1];

		s->rows[n - 1] = s->rows[0];
		sift_down(s->rows, n - 1, last);
	}
}

static void
forget_rows(NearestState *s)
{
	MemoryContextReset(s->context);
	s->rows = MemoryContextAlloc(s->context, sizeof(Row) * s->limit);
	s->n = 0;
	s->offered = 0;
}

/* As if none had been offered. */
static void
drop_rows(NearestState *s)
{
	while (s->n > 0)
		pfree(s->rows[--s->n].tuple);
}

/* ---- distances ---- */

static void
evaluate_query(NearestState *s)
{
	ExprContext *econtext = s->css.ss.ps.ps_ExprContext;
	NullableDatum *arg = &s->call->args[1 - s->key_arg];
	MemoryContext old = MemoryContextSwitchTo(s->context);

	arg->value = ExecEvalExpr(s->query, econtext, &arg->isnull);
	if (!arg->isnull)
		arg->value = PointerGetDatum(PG_DETOAST_DATUM_COPY(arg->value));
	s->query_isnull = arg->isnull;
	s->probing = !arg->isnull && lh_probe_init(&s->probe, s->function.fn_addr, DatumGetPointer(arg->value));
	MemoryContextSwitchTo(old);
}

/* Keeps the row if it is among the nearest so far. */
static void
offer(NearestState *s, TupleTableSlot *slot)
{
	Row			row = {.isnull = true,.distance = NAN};
	NullableDatum *arg = &s->call->args[s->key_arg];
	MemoryContext old;

	arg->value = slot_getattr(slot, s->key, &arg->isnull);
	if (arg->isnull || s->query_isnull)
		;
	else if (s->probing && lh_probe_fits(&s->probe, DatumGetPointer(arg->value)))
	{
		row.distance = lh_probe_distance(&s->probe, DatumGetPointer(arg->value));
		row.isnull = false;
	}
	else
	{
		old = MemoryContextSwitchTo(s->work);
		s->call->isnull = false;
		row.distance = DatumGetFloat8(FunctionCallInvoke(s->call));
		row.isnull = s->call->isnull;
		MemoryContextReset(s->work);
		MemoryContextSwitchTo(old);
	}
	row.number = s->offered++;
	if (s->n == s->limit && !is_after(&s->rows[0], &row))
		return;
	old = MemoryContextSwitchTo(s->context);
	row.tuple = ExecCopySlotMinimalTuple(slot);
	MemoryContextSwitchTo(old);
	keep(s, row);
}

/* ---- where rows come from ---- */

/* The index scan as its own node would begin it, but told that it may be stopped. */
static IndexScanDesc
begin_search(IndexScanState *search)
{
	if (search->iss_ScanDesc == NULL)
	{
		search->iss_ScanDesc = lh_index_beginscan_ordered(search, search->ss.ps.state->es_snapshot);
		if (search->iss_NumRuntimeKeys == 0 || search->iss_RuntimeKeysReady)
			index_rescan(search->iss_ScanDesc, search->iss_ScanKeys, search->iss_NumScanKeys,
						 search->iss_OrderByKeys, search->iss_NumOrderByKeys);
	}
	return search->iss_ScanDesc;
}

/*
 * Is it time to give up?  From the rows that have passed so far, and what the
 * planner thought, how many more rows of the index will it take?
 */
static bool
is_hopeless(const NearestState *s, int64 tried, int64 passed)
{
	double		passing = (passed + s->passing * PRIOR_ROWS) / (tried + PRIOR_ROWS);

	if (tried >= s->patience)
		return true;
	return tried >= TRIAL * s->patience && (s->limit - passed) / Max(passing, 1e-9) > s->patience / 2;
}

/*
 * Takes rows from the index until the limit is reached, and some more, since
 * they come nearly in order only.  False if there are too few.
 */
static bool
search_index(NearestState *s)
{
	IndexScanDesc scan = begin_search(s->search);
	int64		enough = PG_INT64_MAX;
	int64		tried = 0;

	for (int64 passed = 0; tried < enough;)
	{
		TupleTableSlot *slot;

		lh_hnsw_scan_until(scan, Min(tried + SLICE, enough));
		slot = ExecProcNode(&s->search->ss.ps);
		tried = s->tried = lh_hnsw_scan_rows(scan);
		if (!TupIsNull(slot))
		{
			offer(s, slot);
			if (++passed == s->limit)
				enough = tried + (int64) (tried * MARGIN);
			continue;
		}
		if (!lh_hnsw_scan_is_paused(scan))
			return passed >= s->limit;
		s->search->iss_ReachedEnd = false;
		if (passed < s->limit && is_hopeless(s, tried, passed))
			return false;
	}
	return true;
}

static void
search_exactly(NearestState *s)
{
	for (;;)
	{
		TupleTableSlot *slot = ExecProcNode(s->exact);

		if (TupIsNull(slot))
			return;
		offer(s, slot);
	}
}

static void
find_rows(NearestState *s)
{
	forget_rows(s);
	evaluate_query(s);
	s->tried = 0;
	s->by_index = s->search && search_index(s);
	if (!s->by_index)
	{
		drop_rows(s);
		search_exactly(s);
	}
	sort_rows(s);
	s->next = 0;
}

/* ---- rows ---- */

static TupleTableSlot *
next_row(ScanState *ss)
{
	NearestState *s = (NearestState *) ss;
	TupleTableSlot *slot = ss->ss_ScanTupleSlot;
	int			distance = slot->tts_tupleDescriptor->natts - 1;
	Row		   *row;

	if (s->next < 0)
		find_rows(s);
	if (s->next >= s->n)
		return ExecClearTuple(slot);
	row = &s->rows[s->next++];
	/* the children's columns; the last one is missing there and comes as NULL */
	ExecForceStoreMinimalTuple(row->tuple, slot, false);
	slot->tts_values[distance] = Float8GetDatum(row->distance);
	slot->tts_isnull[distance] = row->isnull;
	return slot;
}

/* The children have checked all there is. */
static bool
recheck_row(ScanState *ss, TupleTableSlot *slot)
{
	return true;
}

static TupleTableSlot *
execute(CustomScanState *css)
{
	return ExecScan(&css->ss, next_row, recheck_row);
}

/* ---- EXPLAIN ---- */

static void
explain(CustomScanState *css, List *ancestors, ExplainState *es)
{
	NearestState *s = (NearestState *) css;
	CustomScan *plan = (CustomScan *) css->ss.ps.plan;
	List	   *context = set_deparse_context_plan(es->deparse_cxt, &plan->scan.plan, ancestors);
	Node	   *distance = (Node *) llast_node(TargetEntry, plan->custom_scan_tlist)->expr;

	ExplainPropertyText("Order By", deparse_expression(distance, context, es->verbose, false), es);
	if (es->analyze && s->search && s->next >= 0)
	{
		ExplainPropertyInteger("Index Rows", NULL, s->tried, es);
		ExplainPropertyText("Answered By", s->by_index ? "index" : "exact scan", es);
	}
}
