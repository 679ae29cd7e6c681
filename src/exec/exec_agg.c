/*
 * exec_agg.c
 *	  LakehouseAggregate: aggregates over a whole table, on columns as the
 *	  files have them.
 *
 * It takes batches from its LakehouseScan.  A batch whose columns the
 * accumulators take as they are is never turned into datums; rows of the
 * delta, and row groups with exact cells, go through the scan's slot into the
 * same accumulators.  Rows come in the order of the scan, so sums of floats
 * are those of a serial Aggregate.
 *
 * When only rows are counted, and all of them, the catalog answers.
 */
#include "postgres.h"

#include "executor/executor.h"
#include "executor/instrument.h"
#include "pgstat.h"
#include "utils/rel.h"

#include "exec/exec_int.h"

typedef struct LhAggState
{
	CustomScanState css;
	LhScanState *scan;
	bool		rows_only;
	bool		filter_decides; /* the vectorised filter is all of the quals */
	bool		done;
	int			n_accums;
	LhAccum   **accums;
	const LhPqNode **leaves;	/* [n_accums], of the batch */
} LhAggState;

static LhScanState *
init_child(CustomScanState *css, EState *estate, int eflags)
{
	CustomScan *plan = (CustomScan *) css->ss.ps.plan;
	CustomScan *child = linitial_node(CustomScan, plan->custom_plans);
	PlanState  *state;

	if (child->methods != &lh_scan_methods)
		elog(ERROR, "unexpected plan below LakehouseAggregate");
	state = ExecInitNode(&child->scan.plan, estate, eflags);
	css->custom_ps = list_make1(state);
	return (LhScanState *) state;
}

static void
begin_agg(CustomScanState *css, EState *estate, int eflags)
{
	LhAggState *state = (LhAggState *) css;
	CustomScan *plan = (CustomScan *) css->ss.ps.plan;
	TupleDesc	desc;
	ListCell   *lc;

	state->scan = init_child(css, estate, eflags);
	state->scan->hints.row_ids = false;	/* nobody sees rows */
	state->rows_only = linitial_int(plan->custom_private) != 0;
	state->filter_decides = lh_filter_n_clauses(state->scan->filter) ==
		list_length(state->scan->css.ss.ps.plan->qual);
	state->accums = palloc(sizeof(LhAccum *) * list_length(plan->custom_scan_tlist));
	state->leaves = palloc(sizeof(LhPqNode *) * list_length(plan->custom_scan_tlist));
	desc = RelationGetDescr(state->scan->css.ss.ss_currentRelation);
	foreach(lc, plan->custom_scan_tlist)
	{
		Aggref	   *aggref = (Aggref *) lfirst_node(TargetEntry, lc)->expr;
		Form_pg_attribute att = NULL;

		if (aggref->args != NIL)
			att = TupleDescAttr(desc, ((Var *) linitial_node(TargetEntry, aggref->args)->expr)->varattno - 1);
		state->accums[state->n_accums++] = lh_accum_create(aggref->aggfnoid, att);
	}
}

/* ---- rows in ---- */

/* Do all accumulators take the batch as the file has it? */
static bool
find_leaves(LhAggState *state)
{
	LhScanState *scan = state->scan;
	LhFileReader *reader = scan->batch.reader;

	if (reader == NULL || !lh_file_reader_group_is_exact(reader))
		return false;
	if (scan->css.ss.ps.qual != NULL && !(scan->filtered && state->filter_decides))
		return false;
	for (int i = 0; i < state->n_accums; i++)
	{
		AttrNumber	attnum = lh_accum_attnum(state->accums[i]);

		if (attnum == 0)
			continue;
		state->leaves[i] = lh_file_reader_leaf(reader, attnum);
		if (state->leaves[i] == NULL || !lh_accum_takes_leaf(state->accums[i], state->leaves[i]))
			return false;
	}
	return true;
}

static void
add_vectors(LhAggState *state)
{
	LhScanState *scan = state->scan;
	int			n = scan->batch.n_rows;
	const uint8 *selected = scan->n_selected < n ? scan->selected : NULL;

	for (int i = 0; i < state->n_accums; i++)
	{
		LhAccum    *accum = state->accums[i];
		AttrNumber	attnum = lh_accum_attnum(accum);

		if (attnum == 0)
			lh_accum_rows(accum, scan->n_selected);
		else
			lh_accum_vector(accum, state->leaves[i], lh_file_reader_vector(scan->batch.reader, attnum),
							selected, n);
	}
}

/* The row in the scan's slot, if the quals let it pass. */
static bool
add_row(LhAggState *state)
{
	ScanState  *ss = &state->scan->css.ss;
	ExprContext *econtext = ss->ps.ps_ExprContext;
	TupleTableSlot *slot = ss->ss_ScanTupleSlot;
	MemoryContext old;

	ResetExprContext(econtext);
	econtext->ecxt_scantuple = slot;
	if (!ExecQual(ss->ps.qual, econtext))
	{
		InstrCountFiltered1(ss, 1);
		return false;
	}
	old = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	for (int i = 0; i < state->n_accums; i++)
	{
		AttrNumber	attnum = lh_accum_attnum(state->accums[i]);

		if (attnum == 0)
			lh_accum_rows(state->accums[i], 1);
		else
			lh_accum_datum(state->accums[i], slot->tts_values[attnum - 1], slot->tts_isnull[attnum - 1]);
	}
	MemoryContextSwitchTo(old);
	return true;
}

static int64
add_rows(LhAggState *state)
{
	LhScanState *scan = state->scan;
	int64		taken = 0;

	for (int row = 0; row < scan->batch.n_rows; row++)
	{
		if (scan->masked && !scan->selected[row])
			continue;
		lh_scan_store(scan, row);
		taken += add_row(state);
	}
	return taken;
}

static void
aggregate(LhAggState *state)
{
	Instrumentation *instrument = state->scan->css.ss.ps.instrument;
	int64		taken = 0;

	if (instrument != NULL)
		InstrStartNode(instrument);
	while (lh_scan_next_batch(state->scan, ForwardScanDirection))
	{
		if (find_leaves(state))
		{
			add_vectors(state);
			taken += state->scan->n_selected;
		}
		else
			taken += add_rows(state);
	}
	if (instrument != NULL)
		InstrStopNode(instrument, (double) taken);
}

static void
count_rows(LhAggState *state)
{
	Relation	rel = state->scan->css.ss.ss_currentRelation;
	int64		count = lh_row_count(rel, state->css.ss.ps.state->es_snapshot);

	/* for the statistics of use this is a scan like any other */
	pgstat_count_heap_scan(rel);
	pgstat_count_index_tuples(rel, count);
	for (int i = 0; i < state->n_accums; i++)
		lh_accum_rows(state->accums[i], count);
}

/* ---- the row out ---- */

static TupleTableSlot *
exec_agg(CustomScanState *css)
{
	LhAggState *state = (LhAggState *) css;
	ExprContext *econtext = css->ss.ps.ps_ExprContext;
	TupleTableSlot *slot = css->ss.ss_ScanTupleSlot;
	MemoryContext old;

	if (state->done)
		return NULL;
	state->done = true;
	for (int i = 0; i < state->n_accums; i++)
		lh_accum_reset(state->accums[i]);
	if (state->rows_only)
		count_rows(state);
	else
		aggregate(state);

	ResetExprContext(econtext);
	ExecClearTuple(slot);
	old = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	for (int i = 0; i < state->n_accums; i++)
		slot->tts_values[i] = lh_accum_result(state->accums[i], &slot->tts_isnull[i]);
	MemoryContextSwitchTo(old);
	ExecStoreVirtualTuple(slot);

	econtext->ecxt_scantuple = slot;
	if (!ExecQual(css->ss.ps.qual, econtext))
	{
		InstrCountFiltered1(css, 1);
		return NULL;
	}
	return css->ss.ps.ps_ProjInfo != NULL ? ExecProject(css->ss.ps.ps_ProjInfo) : slot;
}

static void
end_agg(CustomScanState *css)
{
	ExecEndNode(&((LhAggState *) css)->scan->css.ss.ps);
}

static void
rescan_agg(CustomScanState *css)
{
	LhAggState *state = (LhAggState *) css;
	PlanState  *child = &state->scan->css.ss.ps;

	state->done = false;
	if (css->ss.ps.chgParam != NULL)
		UpdateChangedParamSet(child, css->ss.ps.chgParam);
	ExecReScan(child);
}

static const CustomExecMethods exec_methods = {
	.CustomName = "LakehouseAggregate",
	.BeginCustomScan = begin_agg,
	.ExecCustomScan = exec_agg,
	.EndCustomScan = end_agg,
	.ReScanCustomScan = rescan_agg,
};

static Node *
create_state(CustomScan *plan)
{
	LhAggState *state = palloc0(sizeof(LhAggState));

	NodeSetTag(state, T_CustomScanState);
	state->css.methods = &exec_methods;
	return (Node *) state;
}

const CustomScanMethods lh_agg_methods = {"LakehouseAggregate", create_state};
