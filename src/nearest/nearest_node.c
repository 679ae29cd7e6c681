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

/* The planner's opinion of the filter weighs as much as this many rows. */
#define PRIOR_ROWS		50
/* And so many where some rows have been looked at before. */
#define SAMPLED_ROWS	400
/* Patience of somebody who must not take the exact child. */
#define NEVER			1e17
/* When enough rows have been found, this share of the rows read is read once more: the last ones come late. */
#define MARGIN			0.5

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
	if (boolVal(list_nth(private, NEAREST_INDEXED)))
		s->search = castNode(IndexScanState, linitial(css->custom_ps));
	s->key = intVal(list_nth(private, NEAREST_KEY));
	s->key_arg = intVal(list_nth(private, NEAREST_KEY_ARG));
	s->planned = floatVal(list_nth(private, NEAREST_PASSING));
	s->patience = floatVal(list_nth(private, NEAREST_PATIENCE));
	s->per_passing = floatVal(list_nth(private, NEAREST_PER_PASSING));
	s->covered = floatVal(list_nth(private, NEAREST_COVERED));
	s->query = ExecInitExpr(linitial(plan->custom_exprs), &css->ss.ps);
	s->limit_count = ExecInitExpr(lsecond(plan->custom_exprs), &css->ss.ps);
	s->limit_offset = ExecInitExpr(lthird(plan->custom_exprs), &css->ss.ps);
	fmgr_info(distance->opfuncid, &s->function);
	fmgr_info_set_expr((Node *) distance, &s->function);
	s->call = palloc0(SizeForFunctionCallInfo(2));
	InitFunctionCallInfoData(*s->call, &s->function, 2, distance->inputcollid, NULL, NULL);
	s->work = AllocSetContextCreate(CurrentMemoryContext, "nearest: a row", ALLOCSET_DEFAULT_SIZES);
	s->context = AllocSetContextCreate(CurrentMemoryContext, "nearest: rows", ALLOCSET_DEFAULT_SIZES);
	s->toast.context = s->context;
	if (!lh_nearest_is_heap(s->exact))
		return;
	s->qual = lh_nearest_qual_compile((ScanState *) s->exact);
	if (s->qual == NULL || !lh_nearest_qual_is_complete(s->qual))
		s->patience += floatVal(list_nth(private, NEAREST_EXECUTOR));
}

static void
end(CustomScanState *css)
{
	NearestState *s = (NearestState *) css;
	ListCell   *lc;

	lh_nearest_end_rows(s);
	if (s->sorted)
		ExecDropSingleTupleTableSlot(s->sorted);
	lh_nearest_toast_close(&s->toast);
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
	s->ready = false;
}

/* ---- the query's value ---- */

static void
evaluate_query(NearestState *s)
{
	NullableDatum *arg = &s->call->args[1 - s->key_arg];
	MemoryContext old = MemoryContextSwitchTo(s->context);

	arg->value = ExecEvalExpr(s->query, s->css.ss.ps.ps_ExprContext, &arg->isnull);
	if (!arg->isnull)
		arg->value = PointerGetDatum(PG_DETOAST_DATUM_COPY(arg->value));
	s->query_isnull = arg->isnull;
	s->probing = !arg->isnull && lh_probe_init(&s->probe, s->function.fn_addr, DatumGetPointer(arg->value));
	MemoryContextSwitchTo(old);
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

/* The exact child's cost in rows of the index, if such a share of the rows passes. */
static double
patience(const NearestState *s, double passing)
{
	return s->patience + s->per_passing * passing;
}

/*
 * Is it time to give up?  From the rows that have passed so far, and what was
 * known of the filter, how many more rows of the index will it take?
 */
static bool
is_hopeless(const NearestState *s, int64 tried, int64 passed)
{
	double		passing = (passed + s->passing * s->prior_rows) / (tried + s->prior_rows);
	double		exact = patience(s, passing);

	tried += NEAREST_FIRST_ROW;
	return tried >= exact ||
		(tried >= NEAREST_TRIAL * exact && (s->limit - passed) * (1 + MARGIN) / Max(passing, 1e-9) > exact);
}

/* Is it so certain that the index is dearer that not even a try is worth it? */
static bool
is_dear(NearestState *s)
{
	double		exact;

	s->passing = s->planned;
	s->prior_rows = PRIOR_ROWS;
	if (!lh_nearest_is_heap(s->exact) || ((ScanState *) s->exact)->ps.qual == NULL || s->patience > NEVER)
		return false;
	s->passing = lh_nearest_sample(s);
	s->prior_rows = SAMPLED_ROWS;
	exact = patience(s, s->passing);
	return NEAREST_FIRST_ROW + NEAREST_SLICE > NEAREST_TRIAL * exact && NEAREST_FIRST_ROW + s->limit * (1 + MARGIN) / Max(s->passing, 1e-9) > exact;
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

		lh_hnsw_scan_until(scan, Min(tried + NEAREST_SLICE, enough));
		slot = ExecProcNode(&s->search->ss.ps);
		tried = s->tried = lh_hnsw_scan_rows(scan);
		if (!TupIsNull(slot))
		{
			lh_nearest_offer(s, slot);
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
		lh_nearest_offer(s, slot);
	}
}

static void
find_rows(NearestState *s)
{
	lh_nearest_begin_rows(s);
	evaluate_query(s);
	s->tried = 0;
	s->by_index = s->search && !s->sort && s->limit > 0 && !is_dear(s) && search_index(s);
	if (!s->by_index && s->limit > 0)
	{
		if (!s->sort)
			lh_nearest_drop_rows(s);
		if (lh_nearest_is_heap(s->exact))
			lh_nearest_search_heap(s);
		else
			search_exactly(s);
	}
	lh_nearest_toast_close(&s->toast);
	lh_nearest_sort_rows(s);
	s->ready = true;
}

/* ---- rows ---- */

static TupleTableSlot *
next_row(ScanState *ss)
{
	NearestState *s = (NearestState *) ss;
	TupleTableSlot *slot = ss->ss_ScanTupleSlot;

	if (!s->ready)
		find_rows(s);
	return lh_nearest_next_row(s, slot) ? slot : ExecClearTuple(slot);
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
	if (es->analyze && s->search && s->ready)
	{
		ExplainPropertyInteger("Index Rows", NULL, s->tried, es);
		ExplainPropertyText("Answered By", s->by_index ? "index" : "exact scan", es);
		if (s->search->iss_ScanDesc)
			lh_hnsw_explain_scan(s->search->iss_ScanDesc, es);
	}
}
