/*
 * am_fetch.c
 *	  Rows by TID: for AFTER triggers, RETURNING and TID scans.
 */
#include "postgres.h"

#include "access/relscan.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "tableam/lh_tableam_int.h"

bool
lh_tuple_fetch_row_version(Relation rel, ItemPointer tid, Snapshot snapshot, TupleTableSlot *slot)
{
	LhRowFetch *fetch;
	LhRow		row;
	bool		found;

	ExecClearTuple(slot);
	if (!ItemPointerIsValid(tid) || ItemPointerGetOffsetNumber(tid) > LH_ROWS_PER_BLOCK)
		return false;
	lh_statement_sync(rel, snapshot);
	fetch = lh_row_fetch_begin(rel);
	found = lh_row_fetch(fetch, lh_tid_to_row_id(tid), slot->tts_tupleDescriptor, snapshot, &row);
	if (found)
	{
		lh_slot_store(slot, &row, RelationGetRelid(rel));
		ExecMaterializeSlot(slot);	/* the row goes with the fetch */
	}
	lh_row_fetch_end(fetch);
	return found;
}

bool
lh_tuple_tid_valid(TableScanDesc scan, ItemPointer tid)
{
	return ItemPointerIsValid(tid) && ItemPointerGetOffsetNumber(tid) <= LH_ROWS_PER_BLOCK;
}

/* Rows have no newer versions: there is no UPDATE. */
void
lh_tuple_get_latest_tid(TableScanDesc scan, ItemPointer tid)
{
}

bool
lh_tuple_satisfies_snapshot(Relation rel, TupleTableSlot *slot, Snapshot snapshot)
{
	LhRowFetch *fetch = lh_row_fetch_begin(rel);
	LhRow		row;
	bool		found = lh_row_fetch(fetch, lh_tid_to_row_id(&slot->tts_tid),
									 slot->tts_tupleDescriptor, snapshot, &row);

	lh_row_fetch_end(fetch);
	return found;
}

/* ---- indexes: refused when they are created, so nothing comes here ---- */

struct IndexFetchTableData *
lh_index_fetch_begin(Relation rel)
{
	elog(ERROR, "lakehouse table \"%s\" has no index", RelationGetRelationName(rel));
	return NULL;
}

void
lh_index_fetch_reset(struct IndexFetchTableData *data)
{
}

void
lh_index_fetch_end(struct IndexFetchTableData *data)
{
}

bool
lh_index_fetch_tuple(struct IndexFetchTableData *data, ItemPointer tid, Snapshot snapshot,
					 TupleTableSlot *slot, bool *call_again, bool *all_dead)
{
	elog(ERROR, "lakehouse table \"%s\" has no index", RelationGetRelationName(data->rel));
	return false;
}

TransactionId
lh_index_delete_tuples(Relation rel, TM_IndexDeleteOp *delstate)
{
	elog(ERROR, "lakehouse table \"%s\" has no index", RelationGetRelationName(rel));
	return InvalidTransactionId;
}
