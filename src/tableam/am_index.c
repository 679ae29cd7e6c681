/*
 * am_index.c
 *	  Building an index over a table, and completing a concurrent build.
 *
 * Rows are scanned with a snapshot taken after the lock.  Rows that it sees as
 * deleted get entries, too, as older snapshots may still see them.  So do rows
 * that have gone from the current files and the delta since the oldest
 * snapshot: a REINDEX leaves no other way to find them.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relscan.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type.h"
#include "commands/progress.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/procarray.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/tuplesort.h"

#include "tableam/lh_tableam_int.h"

typedef struct IndexBuild
{
	EState	   *estate;
	ExprContext *econtext;
	ExprState  *predicate;
	TupleTableSlot *slot;
} IndexBuild;

static void
begin_build(IndexBuild *b, Relation rel, IndexInfo *info)
{
	b->estate = CreateExecutorState();
	b->econtext = GetPerTupleExprContext(b->estate);
	b->slot = table_slot_create(rel, NULL);
	b->econtext->ecxt_scantuple = b->slot;
	b->predicate = ExecPrepareQual(info->ii_Predicate, b->estate);
}

static void
end_build(IndexBuild *b, IndexInfo *info)
{
	ExecDropSingleTupleTableSlot(b->slot);
	FreeExecutorState(b->estate);
	/* these may have been pointing to the now-gone estate */
	info->ii_ExpressionsState = NIL;
	info->ii_PredicateState = NULL;
}

/* Key columns of the row in the slot, if the index has it. */
static bool
form_key(IndexBuild *b, IndexInfo *info, Datum *values, bool *isnull)
{
	if (b->predicate != NULL && !ExecQual(b->predicate, b->econtext))
		return false;
	FormIndexDatum(info, b->slot, b->estate, values, isnull);
	return true;
}

/* The scan of a serial build; that of a parallel or concurrent one is given. */
static TableScanDesc
begin_scan(Relation rel, IndexInfo *info, Snapshot *registered)
{
	*registered = RegisterSnapshot(info->ii_Concurrent ? GetTransactionSnapshot() : GetLatestSnapshot());
	return table_beginscan_strat(rel, *registered, 0, NULL, true, false);
}

/*
 * Rows that the scan has not met, but an older snapshot may see: `met` are
 * those it has.
 */
static void
index_gone_rows(Relation rel, Relation index, IndexInfo *info, IndexBuild *b, Snapshot snapshot,
				LhRowIds *met, IndexBuildCallback callback, void *state)
{
	LhRowIds   *needed = lh_row_ids_create();
	LhRowFetch *fetch = lh_row_fetch_begin(rel);
	Datum		values[INDEX_MAX_KEYS];
	bool		isnull[INDEX_MAX_KEYS];

	lh_survey_rows(rel, snapshot, GetOldestNonRemovableTransactionId(rel), needed);
	lh_row_ids_sort(met);
	for (uint64 row_id = 0; lh_row_ids_next(needed, &row_id); row_id++)
	{
		LhRow		row;

		CHECK_FOR_INTERRUPTS();
		if (lh_row_ids_contain(met, row_id))
			continue;
		ExecClearTuple(b->slot);
		if (!lh_row_fetch(fetch, row_id, b->slot->tts_tupleDescriptor, SnapshotAny, &row))
			continue;
		MemoryContextReset(b->econtext->ecxt_per_tuple_memory);
		lh_slot_store(b->slot, &row, RelationGetRelid(rel));
		if (form_key(b, info, values, isnull))
			callback(index, &b->slot->tts_tid, values, isnull, false, state);
	}
	ExecClearTuple(b->slot);
	lh_row_fetch_end(fetch);
}

double
lh_index_build_range_scan(Relation rel, Relation index, struct IndexInfo *info,
						  bool allow_sync, bool anyvisible, bool progress,
						  BlockNumber start_blockno, BlockNumber numblocks,
						  IndexBuildCallback callback, void *state, TableScanDesc scan)
{
	uint64		first = (uint64) start_blockno * LH_ROWS_PER_BLOCK;
	uint64		end = numblocks == InvalidBlockNumber ? LH_MAX_ROW_ID + 1 : first + (uint64) numblocks * LH_ROWS_PER_BLOCK;
	Snapshot	registered = NULL;
	LhRowIds   *met = NULL;		/* row ids, if some may have gone */
	Datum		values[INDEX_MAX_KEYS];
	bool		isnull[INDEX_MAX_KEYS];
	double		count = 0;
	IndexBuild	b;
	LhRow		row;

	lh_require_preload(rel);
	begin_build(&b, rel, info);
	if (scan == NULL)
		scan = begin_scan(rel, info, &registered);
	if (!info->ii_Concurrent)
	{
		lh_scan_want_dead(scan);
		/* what goes from now on, the snapshot sees */
		if (numblocks == InvalidBlockNumber &&
			lh_metapage_removed_since(rel, GetOldestNonRemovableTransactionId(rel)))
			met = lh_row_ids_create();
	}

	while (lh_scan_next_row(scan, b.slot, &row))
	{
		CHECK_FOR_INTERRUPTS();
		if (row.row_id < first || row.row_id >= end)
			continue;
		if (met != NULL)
			lh_row_ids_add(met, row.row_id, row.row_id);
		MemoryContextReset(b.econtext->ecxt_per_tuple_memory);
		if (!row.dead)
			count += 1;
		if (!form_key(&b, info, values, isnull))
			continue;
		callback(index, &b.slot->tts_tid, values, isnull, !row.dead, state);
	}
	if (met != NULL)
		index_gone_rows(rel, index, info, &b, scan->rs_snapshot, met, callback, state);

	ExecClearTuple(b.slot);
	table_endscan(scan);
	if (registered != NULL)
		UnregisterSnapshot(registered);
	end_build(&b, info);
	return count;
}

/* ---- CREATE INDEX CONCURRENTLY ---- */

/* The next TID that the index has, as a row id; false at the end. */
static bool
next_indexed(Tuplesortstate *sort, uint64 *row_id)
{
	Datum		value;
	bool		isnull;
	ItemPointerData tid;

	if (!lh_tuplesort_getdatum(sort, &value, &isnull))
		return false;
	itemptr_decode(&tid, DatumGetInt64(value));
	*row_id = lh_tid_to_row_id(&tid);
	return true;
}

/*
 * Inserts what the snapshot sees and the index has not.  Rows come in the
 * order of their ids from the sort, whatever order the files have.
 */
void
lh_index_validate_scan(Relation rel, Relation index, struct IndexInfo *info,
					   Snapshot snapshot, struct ValidateIndexState *state)
{
	TableScanDesc scan = table_beginscan_strat(rel, snapshot, 0, NULL, true, false);
	Tuplesortstate *visible = tuplesort_begin_datum(INT8OID, Int8LessOperator, InvalidOid, false,
													maintenance_work_mem / 2, NULL, TUPLESORT_NONE);
	LhRowFetch *fetch;
	IndexBuild	b;
	LhRow		row;
	uint64		indexed = 0;
	bool		more_indexed;
	Datum		value;
	bool		value_isnull;

	if (info->ii_Unique)
		lh_file_hold();
	begin_build(&b, rel, info);
	while (lh_scan_next_row(scan, b.slot, &row))
	{
		CHECK_FOR_INTERRUPTS();
		state->htups += 1;
		tuplesort_putdatum(visible, Int64GetDatum((int64) row.row_id), false);
	}
	ExecClearTuple(b.slot);
	table_endscan(scan);
	tuplesort_performsort(visible);

	fetch = lh_row_fetch_begin(rel);
	more_indexed = next_indexed(state->tuplesort, &indexed);
	while (lh_tuplesort_getdatum(visible, &value, &value_isnull))
	{
		uint64		row_id = (uint64) DatumGetInt64(value);
		Datum		values[INDEX_MAX_KEYS];
		bool		isnull[INDEX_MAX_KEYS];

		CHECK_FOR_INTERRUPTS();
		while (more_indexed && indexed < row_id)
			more_indexed = next_indexed(state->tuplesort, &indexed);
		if (more_indexed && indexed == row_id)
			continue;
		ExecClearTuple(b.slot);
		MemoryContextReset(b.econtext->ecxt_per_tuple_memory);
		if (!lh_row_fetch(fetch, row_id, b.slot->tts_tupleDescriptor, snapshot, &row))
			continue;
		lh_slot_store(b.slot, &row, RelationGetRelid(rel));
		if (!form_key(&b, info, values, isnull))
			continue;
		index_insert(index, values, isnull, &b.slot->tts_tid, rel,
					 info->ii_Unique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO, false, info);
		state->tups_inserted += 1;
	}
	tuplesort_end(visible);
	ExecClearTuple(b.slot);
	lh_row_fetch_end(fetch);
	end_build(&b, info);
}
