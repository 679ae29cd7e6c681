/*
 * am_modify.c
 *	  INSERT and COPY.  UPDATE, DELETE, row locks and ON CONFLICT are refused.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/predicate.h"
#include "utils/rel.h"

#include "tableam/lh_tableam_int.h"

static void
insert_row(Relation rel, TupleTableSlot *slot, CommandId cid, int options)
{
	/* core skips the free space map where it fills a new relation */
	lh_statement_insert(rel, slot, cid, (options & TABLE_INSERT_SKIP_FSM) != 0);
}

void
lh_tuple_insert(Relation rel, TupleTableSlot *slot, CommandId cid, int options,
				struct BulkInsertStateData *bistate)
{
	lh_require_preload(rel);
	CheckForSerializableConflictIn(rel, NULL, InvalidBlockNumber);
	insert_row(rel, slot, cid, options);
}

void
lh_multi_insert(Relation rel, TupleTableSlot **slots, int nslots, CommandId cid, int options,
				struct BulkInsertStateData *bistate)
{
	lh_require_preload(rel);
	CheckForSerializableConflictIn(rel, NULL, InvalidBlockNumber);
	for (int i = 0; i < nslots; i++)
		insert_row(rel, slots[i], cid, options);
}

void
lh_finish_bulk_insert(Relation rel, int options)
{
	lh_statement_end(rel);
}

static void
refuse(Relation rel, const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("%s is not supported on lakehouse tables", what),
			 errdetail("Table \"%s\" uses access method \"lakehouse\".", RelationGetRelationName(rel)),
			 hint != NULL ? errhint("%s", hint) : 0));
}

TM_Result
lh_tuple_delete(Relation rel, ItemPointer tid, CommandId cid, Snapshot snapshot,
				Snapshot crosscheck, bool wait, TM_FailureData *tmfd, bool changing_part)
{
	refuse(rel, "DELETE", "Use TRUNCATE to remove all rows.");
	return TM_Ok;
}

TM_Result
lh_tuple_update(Relation rel, ItemPointer otid, TupleTableSlot *slot, CommandId cid,
				Snapshot snapshot, Snapshot crosscheck, bool wait, TM_FailureData *tmfd,
				LockTupleMode *lockmode, LhUpdateIndexes *update_indexes)
{
	refuse(rel, "UPDATE", NULL);
	return TM_Ok;
}

TM_Result
lh_tuple_lock(Relation rel, ItemPointer tid, Snapshot snapshot, TupleTableSlot *slot,
			  CommandId cid, LockTupleMode mode, LockWaitPolicy wait_policy,
			  uint8 flags, TM_FailureData *tmfd)
{
	refuse(rel, "row locking", NULL);
	return TM_Ok;
}

void
lh_tuple_insert_speculative(Relation rel, TupleTableSlot *slot, CommandId cid, int options,
							struct BulkInsertStateData *bistate, uint32 token)
{
	refuse(rel, "INSERT ... ON CONFLICT with a conflict target", NULL);
}

void
lh_tuple_complete_speculative(Relation rel, TupleTableSlot *slot, uint32 token, bool succeeded)
{
	refuse(rel, "INSERT ... ON CONFLICT with a conflict target", NULL);
}
