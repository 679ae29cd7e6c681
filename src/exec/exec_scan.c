/*
 * exec_scan.c
 *	  LakehouseScan: the sequential scan that knows its columns and quals.
 *
 * It differs from SeqScan over the access method in what it leaves out:
 * columns that neither quals nor the target list name (the slot shows NULL
 * for them), row groups that statistics rule out, and rows that the
 * vectorised filter rules out.  The quals are evaluated on every row that
 * remains, so leaving out is only ever an optimisation.
 *
 * The slot is the table's own kind, for system columns and because
 * EvalPlanQual puts the table's slots in its place.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/sysattr.h"
#include "access/tableam.h"
#include "executor/executor.h"
#include "executor/instrument.h"
#include "optimizer/optimizer.h"
#include "pgstat.h"
#include "storage/predicate.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "exec/exec_int.h"
#include "types/pg_compat.h"

#include LH_EXPLAIN_HEADER

static TupleTableSlot *next_row(ScanState *ss);
static bool recheck_row(ScanState *ss, TupleTableSlot *slot);

/* ---- begin ---- */

/*
 * nodeCustom.c has prepared for a virtual slot; the table's own needs the
 * expressions to be made again for it.
 */
static void
use_table_slot(CustomScanState *css)
{
	Relation	rel = css->ss.ss_currentRelation;
	ScanState  *ss = &css->ss;

	ss->ps.subPlan = NIL;
	ExecInitScanTupleSlot(ss->ps.state, ss, RelationGetDescr(rel), table_slot_callbacks(rel));
	ExecAssignScanProjectionInfo(ss);
	ss->ps.qual = ExecInitQual(ss->ps.plan->qual, &ss->ps);
}

/* The columns that somebody will look at: of quals and target list. */
static void
find_columns(LhScanState *state)
{
	Scan	   *plan = (Scan *) state->css.ss.ps.plan;
	TupleDesc	desc = RelationGetDescr(state->css.ss.ss_currentRelation);
	Bitmapset  *attrs = NULL;
	bool		whole_row;

	pull_varattnos((Node *) plan->plan.targetlist, plan->scanrelid, &attrs);
	pull_varattnos((Node *) plan->plan.qual, plan->scanrelid, &attrs);
	whole_row = bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, attrs);
	state->hints.columns = palloc(sizeof(AttrNumber) * Max(desc->natts, 1));
	for (int i = 1; i <= desc->natts; i++)
		if (!TupleDescAttr(desc, i - 1)->attisdropped &&
			(whole_row || bms_is_member(i - FirstLowInvalidHeapAttributeNumber, attrs)))
			state->hints.columns[state->hints.n_columns++] = i;
}

static void
begin_scan(CustomScanState *css, EState *estate, int eflags)
{
	LhScanState *state = (LhScanState *) css;
	Scan	   *plan = (Scan *) css->ss.ps.plan;
	Relation	rel = css->ss.ss_currentRelation;
	TupleDesc	desc = RelationGetDescr(rel);
	TupleTableSlot *slot;

	use_table_slot(css);
	find_columns(state);
	state->hints.row_ids = true;	/* WHERE CURRENT OF asks for the TID unannounced */
	state->values = palloc(sizeof(Datum *) * Max(state->hints.n_columns, 1));
	state->isnull = palloc(sizeof(bool *) * Max(state->hints.n_columns, 1));
	state->delta_values = palloc(sizeof(Datum) * Max(desc->natts, 1));
	state->delta_isnull = palloc(sizeof(bool) * Max(desc->natts, 1));

	/* columns that are not read stay null */
	slot = css->ss.ss_ScanTupleSlot;
	memset(slot->tts_isnull, true, desc->natts);
	memset(slot->tts_values, 0, sizeof(Datum) * desc->natts);

	state->clauses = lh_clauses_create(&css->ss.ps, plan->plan.qual, plan->scanrelid, desc);
	if (state->clauses->clauses != NIL && lh_enable_pruning)
	{
		state->hints.group_wanted = lh_prune_group_wanted;
		state->hints.arg = state->clauses;
	}
	state->filter = lh_filter_create(state->clauses);

	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;

	/*
	 * What this transaction wrote before is ended now: in a parallel plan it
	 * could not be later.
	 */
	lh_statement_sync(rel, estate->es_snapshot);
	PredicateLockRelation(rel, estate->es_snapshot);
}

static void
begin_rows(LhScanState *state)
{
	EState	   *estate = state->css.ss.ps.state;
	Relation	rel = state->css.ss.ss_currentRelation;
	MemoryContext old = MemoryContextSwitchTo(estate->es_query_cxt);

	state->rows = lh_row_scan_begin(rel, estate->es_snapshot,
									state->shared != NULL ? &state->shared->rows : NULL);
	lh_row_scan_set_hints(state->rows, &state->hints);
	pgstat_count_heap_scan(rel);
	MemoryContextSwitchTo(old);
}

/* ---- rows ---- */

/* Which rows of the batch may pass: the live ones that the vectorised filter lets through. */
static void
select_rows(LhScanState *state, const LhBatch *batch)
{
	int			n = lh_filter_run(state->filter, batch->reader, batch->n_rows, state->selected);

	state->filtered = n >= 0;
	if (state->filtered)
	{
		state->n_selected = n;
		state->masked = true;
	}
	if (batch->live != NULL)
	{
		if (state->filtered)
		{
			state->n_selected = 0;
			for (int i = 0; i < batch->n_rows; i++)
				state->n_selected += (state->selected[i] &= batch->live[i]);
		}
		else
			memcpy(state->selected, batch->live, batch->n_rows);
	}
	if (state->n_selected < batch->n_rows)
		lh_file_reader_select(batch->reader, state->selected);
}

bool
lh_scan_next_batch(LhScanState *state, ScanDirection direction)
{
	TupleDesc	desc = state->css.ss.ss_ScanTupleSlot->tts_tupleDescriptor;
	LhBatch    *batch = &state->batch;

	/* the slot may point into the batch that is about to go */
	ExecClearTuple(state->css.ss.ss_ScanTupleSlot);
	if (state->rows == NULL)
		begin_rows(state);
	for (;;)
	{
		if (!lh_row_scan_batch(state->rows, desc, direction, batch))
		{
			batch->n_rows = 0;
			return false;
		}
		state->decoded = state->filtered = false;
		state->masked = batch->live != NULL;
		state->n_selected = batch->n_live;
		/* the counter of tuples returned is the same for tables and indexes */
		pgstat_count_index_tuples(state->css.ss.ss_currentRelation, batch->n_live);
		if (batch->reader == NULL)
			return true;
		select_rows(state, batch);
		InstrCountFiltered1(&state->css, batch->n_live - state->n_selected);
		if (state->n_selected > 0)
			return true;
	}
}

static void
store_delta_row(LhScanState *state, TupleTableSlot *slot)
{
	MinimalTuple tuple = state->batch.tuple;
	HeapTupleData htup;

	htup.t_len = tuple->t_len + MINIMAL_TUPLE_OFFSET;
	htup.t_data = (HeapTupleHeader) ((char *) tuple - MINIMAL_TUPLE_OFFSET);
	heap_deform_tuple(&htup, slot->tts_tupleDescriptor, state->delta_values, state->delta_isnull);
	for (int i = 0; i < state->hints.n_columns; i++)
	{
		int			c = state->hints.columns[i] - 1;

		slot->tts_values[c] = state->delta_values[c];
		slot->tts_isnull[c] = state->delta_isnull[c];
	}
}

static void
store_file_row(LhScanState *state, TupleTableSlot *slot, int row)
{
	int			n = state->hints.n_columns;
	const AttrNumber *columns = state->hints.columns;

	if (!state->decoded)
	{
		for (int i = 0; i < n; i++)
			lh_file_reader_column(state->batch.reader, columns[i], &state->values[i], &state->isnull[i]);
		state->decoded = true;
	}
	for (int i = 0; i < n; i++)
	{
		slot->tts_values[columns[i] - 1] = state->values[i][row];
		slot->tts_isnull[columns[i] - 1] = state->isnull[i][row];
	}
}

void
lh_scan_store(LhScanState *state, int row)
{
	TupleTableSlot *slot = state->css.ss.ss_ScanTupleSlot;
	uint64		row_id;

	ExecClearTuple(slot);
	if (state->batch.reader == NULL)
	{
		store_delta_row(state, slot);
		row_id = state->batch.row_id;
	}
	else
	{
		store_file_row(state, slot, row);
		row_id = lh_file_reader_row_id(state->batch.reader, row);
	}
	ExecStoreVirtualTuple(slot);
	if (state->batch.reader == NULL)
		lh_slot_set_origin(slot, state->batch.xmin, state->batch.cmin);
	else
		lh_slot_set_place(slot, state->batch.reader, row);
	lh_row_id_to_tid(row_id, &slot->tts_tid);
	slot->tts_tableOid = RelationGetRelid(state->css.ss.ss_currentRelation);
}

static TupleTableSlot *
next_row(ScanState *ss)
{
	LhScanState *state = (LhScanState *) ss;
	ScanDirection direction = ss->ps.state->es_direction;
	int			step = ScanDirectionIsBackward(direction) ? -1 : 1;

	for (;;)
	{
		state->row += step;
		if (state->row < 0 || state->row >= state->batch.n_rows)
		{
			if (!lh_scan_next_batch(state, direction))
			{
				state->row = 0;
				return ss->ss_ScanTupleSlot;
			}
			state->row = step > 0 ? 0 : state->batch.n_rows - 1;
		}
		if (!state->masked || state->selected[state->row])
			break;
	}
	lh_scan_store(state, state->row);
	return ss->ss_ScanTupleSlot;
}

/* For EvalPlanQual: nothing is decided here that the quals do not decide. */
static bool
recheck_row(ScanState *ss, TupleTableSlot *slot)
{
	return true;
}

static TupleTableSlot *
exec_scan(CustomScanState *css)
{
	return ExecScan(&css->ss, next_row, recheck_row);
}

/* ---- end, again, in parallel ---- */

/* Ends the row scan but keeps its counters. */
static void
end_rows(LhScanState *state)
{
	if (state->rows != NULL)
	{
		const LhScanCounters *counters = lh_row_scan_counters(state->rows);

		state->others.groups += counters->groups;
		state->others.groups_skipped += counters->groups_skipped;
		state->others.bytes += counters->bytes;
		ExecClearTuple(state->css.ss.ss_ScanTupleSlot);
		lh_row_scan_end(state->rows);
	}
	state->rows = NULL;
	state->batch.n_rows = state->row = 0;
}

static void
end_scan(CustomScanState *css)
{
	end_rows((LhScanState *) css);
}

static void
rescan(CustomScanState *css)
{
	LhScanState *state = (LhScanState *) css;

	ExecScanReScan(&css->ss);
	if (state->rows != NULL)
	{
		lh_row_scan_rescan(state->rows);
		pgstat_count_heap_scan(css->ss.ss_currentRelation);
	}
	state->batch.n_rows = state->row = 0;
	lh_clauses_reset(state->clauses);
}

static Size
estimate_dsm(CustomScanState *css, ParallelContext *pcxt)
{
	return sizeof(LhScanShared);
}

static void
initialize_dsm(CustomScanState *css, ParallelContext *pcxt, void *coordinate)
{
	LhScanState *state = (LhScanState *) css;

	end_rows(state);
	state->shared = coordinate;
	pg_atomic_init_u32(&state->shared->rows.next_unit, 0);
	pg_atomic_init_u64(&state->shared->groups, 0);
	pg_atomic_init_u64(&state->shared->groups_skipped, 0);
	pg_atomic_init_u64(&state->shared->bytes, 0);
}

static void
reinitialize_dsm(CustomScanState *css, ParallelContext *pcxt, void *coordinate)
{
	pg_atomic_write_u32(&((LhScanShared *) coordinate)->rows.next_unit, 0);
}

static void
initialize_worker(CustomScanState *css, shm_toc *toc, void *coordinate)
{
	((LhScanState *) css)->shared = coordinate;
}

/* A worker hands in its counters, the leader collects them: the memory goes away. */
static void
shutdown_scan(CustomScanState *css)
{
	LhScanState *state = (LhScanState *) css;
	LhScanShared *shared = state->shared;

	if (shared == NULL)
		return;
	end_rows(state);
	if (IsParallelWorker())
	{
		pg_atomic_fetch_add_u64(&shared->groups, state->others.groups);
		pg_atomic_fetch_add_u64(&shared->groups_skipped, state->others.groups_skipped);
		pg_atomic_fetch_add_u64(&shared->bytes, state->others.bytes);
		memset(&state->others, 0, sizeof(state->others));
	}
	else
	{
		state->others.groups += pg_atomic_exchange_u64(&shared->groups, 0);
		state->others.groups_skipped += pg_atomic_exchange_u64(&shared->groups_skipped, 0);
		state->others.bytes += pg_atomic_exchange_u64(&shared->bytes, 0);
		state->shared = NULL;
	}
}

/* ---- EXPLAIN ---- */

static void
explain_scan(CustomScanState *css, List *ancestors, ExplainState *es)
{
	LhScanState *state = (LhScanState *) css;
	TupleDesc	desc = RelationGetDescr(css->ss.ss_currentRelation);
	LhScanCounters counters = state->others;
	List	   *names = NIL;

	for (int i = 0; i < state->hints.n_columns; i++)
		names = lappend(names, NameStr(TupleDescAttr(desc, state->hints.columns[i] - 1)->attname));
	if (names != NIL)
		ExplainPropertyList("Columns", names, es);
	else
		ExplainPropertyText("Columns", "none", es);
	if (!es->analyze)
		return;
	if (state->rows != NULL)
	{
		const LhScanCounters *own = lh_row_scan_counters(state->rows);

		counters.groups += own->groups;
		counters.groups_skipped += own->groups_skipped;
		counters.bytes += own->bytes;
	}
	ExplainPropertyInteger("Row Groups", NULL, counters.groups, es);
	ExplainPropertyInteger("Row Groups Pruned", NULL, counters.groups_skipped, es);
	ExplainPropertyInteger("Bytes Read", NULL, counters.bytes, es);
}

static const CustomExecMethods exec_methods = {
	.CustomName = "LakehouseScan",
	.BeginCustomScan = begin_scan,
	.ExecCustomScan = exec_scan,
	.EndCustomScan = end_scan,
	.ReScanCustomScan = rescan,
	.EstimateDSMCustomScan = estimate_dsm,
	.InitializeDSMCustomScan = initialize_dsm,
	.ReInitializeDSMCustomScan = reinitialize_dsm,
	.InitializeWorkerCustomScan = initialize_worker,
	.ShutdownCustomScan = shutdown_scan,
	.ExplainCustomScan = explain_scan,
};

static Node *
create_state(CustomScan *plan)
{
	LhScanState *state = palloc0(sizeof(LhScanState));

	NodeSetTag(state, T_CustomScanState);
	state->css.methods = &exec_methods;
	return (Node *) state;
}

const CustomScanMethods lh_scan_methods = {"LakehouseScan", create_state};
