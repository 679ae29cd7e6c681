/*
 * am_modify.c
 *	  INSERT, UPDATE, DELETE and row locks.
 *
 * An update buries the old row under a tombstone that names the new one, whose
 * TID is another: all indexes get an entry.  Who waits for whom, and who may
 * go on, is decided in storage/mark.c; here its answers become what the
 * executor expects of a table.
 *
 * Serializable transactions: a reader locks first and then reads, a writer
 * writes first and then looks for such locks.  So one of them meets the other,
 * with no page in common that they would have to lock.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "pgstat.h"
#include "storage/predicate.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "tableam/lh_tableam_int.h"

/* ---- INSERT ---- */

static void
insert_row(Relation rel, TupleTableSlot *slot, CommandId cid, int options)
{
	/* core skips the free space map where it fills a new relation */
	lh_statement_insert(rel, slot, cid, (options & TABLE_INSERT_SKIP_FSM) != 0);
	lh_slot_set_inserted(slot, cid);
	pgstat_count_heap_insert(rel, 1);
}

void
lh_tuple_insert(Relation rel, TupleTableSlot *slot, CommandId cid, int options,
				struct BulkInsertStateData *bistate)
{
	lh_require_preload(rel);
	insert_row(rel, slot, cid, options);
	CheckForSerializableConflictIn(rel, NULL, InvalidBlockNumber);
}

void
lh_multi_insert(Relation rel, TupleTableSlot **slots, int nslots, CommandId cid, int options,
				struct BulkInsertStateData *bistate)
{
	lh_require_preload(rel);
	for (int i = 0; i < nslots; i++)
		insert_row(rel, slots[i], cid, options);
	CheckForSerializableConflictIn(rel, NULL, InvalidBlockNumber);
}

void
lh_finish_bulk_insert(Relation rel, int options)
{
	lh_statement_end(rel);
}

/* Only a table without columns worth storing has no delta: it has no index either. */
void
lh_tuple_insert_speculative(Relation rel, TupleTableSlot *slot, CommandId cid, int options,
							struct BulkInsertStateData *bistate, uint32 token)
{
	lh_require_preload(rel);
	(void) lh_statement_insert_delta(rel, slot, NULL, cid, token);
	lh_slot_set_inserted(slot, cid);
	CheckForSerializableConflictIn(rel, NULL, InvalidBlockNumber);
	pgstat_count_heap_insert(rel, 1);
}

void
lh_tuple_complete_speculative(Relation rel, TupleTableSlot *slot, uint32 token, bool succeeded)
{
	lh_delta_complete_speculative(rel, lh_tid_to_row_id(&slot->tts_tid), succeeded);
	if (!succeeded)
		pgstat_count_heap_delete(rel);
}

/* ---- UPDATE and DELETE ---- */

/*
 * RI checks in a transaction with one snapshot give their own to see whether
 * the row is still the one the transaction knows.
 */
static bool
fails_crosscheck(Relation rel, uint64 row_id, Snapshot crosscheck)
{
	LhRowFetch *fetch;
	LhRow		row;
	bool		found;

	if (crosscheck == InvalidSnapshot)
		return false;
	fetch = lh_row_fetch_begin_brief(rel);
	found = lh_row_fetch(fetch, row_id, RelationGetDescr(rel), crosscheck, &row);
	lh_row_fetch_end(fetch);
	return !found;
}

static void
fill_crosscheck_failure(uint64 row_id, TM_FailureData *tmfd)
{
	lh_row_id_to_tid(row_id, &tmfd->ctid);
	tmfd->xmax = InvalidTransactionId;
	tmfd->cmax = InvalidCommandId;
}

TM_Result
lh_tuple_delete(Relation rel, ItemPointer tid, CommandId cid, Snapshot snapshot,
				Snapshot crosscheck, bool wait, TM_FailureData *tmfd, bool changing_part)
{
	uint64		row_id = lh_tid_to_row_id(tid);
	LhMarks    *marks;
	LhRowMarks	m;
	MemoryContext old;
	TM_Result	result;

	lh_require_preload(rel);
	if (crosscheck == InvalidSnapshot && !changing_part && lh_bulk_delete_row(rel, row_id, cid))
	{
		CheckForSerializableConflictIn(rel, tid, ItemPointerGetBlockNumber(tid));
		pgstat_count_heap_delete(rel);
		return TM_Ok;
	}
	marks = lh_marks_begin(rel, RowExclusiveLock);
	old = MemoryContextSwitchTo(lh_marks_context(marks));
	result = lh_row_begin_change(marks, row_id, cid, LockTupleExclusive, wait, &m, tmfd);
	if (result == TM_Ok)
	{
		if (fails_crosscheck(rel, row_id, crosscheck))
		{
			fill_crosscheck_failure(row_id, tmfd);
			result = TM_Updated;
		}
		else
		{
			lh_row_bury(marks, row_id, changing_part ? LH_TOMB_MOVED : LH_TOMB_DELETED, 0, cid);
			CheckForSerializableConflictIn(rel, tid, ItemPointerGetBlockNumber(tid));
		}
		lh_row_end_change(marks, row_id);
	}
	MemoryContextSwitchTo(old);
	lh_marks_end(marks);
	if (result == TM_Ok)
	{
		lh_dirty_add(RelationGetRelid(rel));
		lh_database_mark();
		pgstat_count_heap_delete(rel);
	}
	return result;
}

/* Has a column of `attrs` another value in the slot than in the row? */
static bool
columns_differ(Relation rel, Bitmapset *attrs, const LhRow *row, TupleTableSlot *slot)
{
	TupleDesc	desc = RelationGetDescr(rel);
	TupleTableSlot *old = MakeSingleTupleTableSlot(desc, lh_slot_callbacks(rel));
	bool		differ = false;
	int			i = -1;

	lh_slot_store(old, row, RelationGetRelid(rel));
	while (!differ && (i = bms_next_member(attrs, i)) >= 0)
	{
		AttrNumber	attnum = i + FirstLowInvalidHeapAttributeNumber;
		Form_pg_attribute att;
		Datum		a;
		Datum		b;
		bool		a_null;
		bool		b_null;

		/* a whole-row reference or a system column: as heap, take it for changed */
		if (attnum <= 0)
		{
			differ = true;
			break;
		}
		att = TupleDescAttr(desc, attnum - 1);
		if (att->attisdropped)
			continue;
		a = slot_getattr(old, attnum, &a_null);
		b = slot_getattr(slot, attnum, &b_null);
		differ = a_null != b_null || (!a_null && !datum_image_eq(a, b, att->attbyval, att->attlen));
	}
	ExecDropSingleTupleTableSlot(old);
	return differ;
}

/* As heap: a key that stays leaves KEY SHARE locks alone. */
static LockTupleMode
update_lock_mode(Relation rel, uint64 row_id, TupleTableSlot *slot)
{
	Bitmapset  *keys = RelationGetIndexAttrBitmap(rel, INDEX_ATTR_BITMAP_KEY);
	LockTupleMode mode = LockTupleNoKeyExclusive;
	LhRowFetch *fetch;
	LhRow		row;

	if (bms_is_empty(keys))
		return mode;
	fetch = lh_row_fetch_begin_brief(rel);
	if (!lh_row_fetch(fetch, row_id, RelationGetDescr(rel), SnapshotAny, &row) ||
		columns_differ(rel, keys, &row, slot))
		mode = LockTupleExclusive;
	lh_row_fetch_end(fetch);
	bms_free(keys);
	return mode;
}

TM_Result
lh_tuple_update(Relation rel, ItemPointer otid, TupleTableSlot *slot, CommandId cid,
				Snapshot snapshot, Snapshot crosscheck, bool wait, TM_FailureData *tmfd,
				LockTupleMode *lockmode, LhUpdateIndexes *update_indexes)
{
	uint64		row_id = lh_tid_to_row_id(otid);
	LhMarks    *marks;
	LhRowMarks	m;
	MemoryContext old;
	TM_Result	result = TM_Ok;
	bool		was_held;

	lh_require_preload(rel);
	*update_indexes = LH_UPDATE_NO_INDEXES;
	lh_statement_prepare(rel, cid);
	marks = lh_marks_begin(rel, RowExclusiveLock);
	old = MemoryContextSwitchTo(lh_marks_context(marks));
	was_held = lh_row_take_held(marks, row_id, lockmode, &m);
	if (!was_held)
	{
		*lockmode = update_lock_mode(rel, row_id, slot);
		result = lh_row_begin_change(marks, row_id, cid, *lockmode, wait, &m, tmfd);
	}
	if (result == TM_Ok)
	{
		if (fails_crosscheck(rel, row_id, crosscheck))
		{
			fill_crosscheck_failure(row_id, tmfd);
			result = TM_Updated;
		}
		else
		{
			LhLineage	lineage;
			uint64		successor;
			bool		keeps_key;

			lh_lineage_of_successor(marks, row_id, &m, &lineage);
			successor = lh_statement_insert_delta(rel, slot, &lineage, cid, 0);
			/* as heap: who waited for FOR UPDATE finds the newer row, though the key has stayed */
			keeps_key = *lockmode != LockTupleExclusive && !lh_row_held_for_update(marks, &m);
			lh_row_bury(marks, row_id, keeps_key ? LH_TOMB_UPDATED : LH_TOMB_UPDATED_KEY, successor, cid);
			CheckForSerializableConflictIn(rel, otid, ItemPointerGetBlockNumber(otid));
			lh_slot_set_inserted(slot, cid);
			if (was_held || lh_row_locked_by_self(marks, &m))
				lh_slot_set_xmax(slot, GetCurrentTransactionId());
		}
		lh_row_end_change(marks, row_id);
	}
	MemoryContextSwitchTo(old);
	lh_marks_end(marks);
	if (result == TM_Ok)
	{
		*update_indexes = LH_UPDATE_ALL_INDEXES;
		lh_count_update(rel);
	}
	return result;
}

/* ---- row locks ---- */

/* May it wait for somebody, or run anything that does? */
static bool
is_involved_function(Oid function, void *context)
{
	return function >= FirstNormalObjectId || func_volatile(function) == PROVOLATILE_VOLATILE;
}

static bool
is_involved(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubPlan) || IsA(node, AlternativeSubPlan) || IsA(node, CoerceToDomain) ||
		(IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXEC) ||
		check_functions_in_node(node, is_involved_function, context))
		return true;
	return expression_tree_walker(node, is_involved, context);
}

static bool
has_involved_constraint(Relation rel)
{
	TupleConstr *constr = RelationGetDescr(rel)->constr;

	if (constr == NULL)
		return false;
	for (int i = 0; i < constr->num_check; i++)
		if (is_involved(stringToNode(constr->check[i].ccbin), NULL))
			return true;
	return constr->has_generated_stored;
}

/*
 * INSERT … ON CONFLICT DO UPDATE locks a row and then updates it.  Where it
 * cannot but do so (no WHERE, no trigger that may say no), and between the two
 * nothing runs but plain expressions, storage is told: it need not write the
 * lock down (lh_row_hold()).
 */
void
lh_expect_updates(ModifyTableState *state)
{
	ModifyTable *plan = (ModifyTable *) state->ps.plan;
	ResultRelInfo *target = state->resultRelInfo;
	Relation	rel = target->ri_RelationDesc;

	if (plan->onConflictAction == ONCONFLICT_UPDATE && plan->onConflictWhere == NULL &&
		lh_relation_is_lakehouse(rel) && !rel->rd_rel->relispartition &&
		(target->ri_TrigDesc == NULL || !target->ri_TrigDesc->trig_update_before_row) &&
		target->ri_WithCheckOptions == NIL &&
		!is_involved((Node *) plan->onConflictSet, NULL) && !has_involved_constraint(rel))
		lh_slot_expect_update(target->ri_onConflict->oc_Existing);
}

/* The row as it is, whoever sees it; into the slot. */
static void
store_row(Relation rel, uint64 row_id, TupleTableSlot *slot)
{
	LhRowFetch *fetch;
	LhRow		row;

	if (lh_slot_is_ours(slot))
	{
		ItemPointerData tid;

		lh_row_id_to_tid(row_id, &tid);
		lh_slot_store_unread(slot, rel, &tid);
		return;
	}
	fetch = lh_row_fetch_begin_brief(rel);
	ExecClearTuple(slot);
	if (!lh_row_fetch(fetch, row_id, slot->tts_tupleDescriptor, SnapshotAny, &row))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("row " UINT64_FORMAT " of table \"%s\" is in no file",
						row_id, RelationGetRelationName(rel))));
	lh_slot_store(slot, &row, RelationGetRelid(rel));
	ExecMaterializeSlot(slot);	/* the row goes with the fetch */
	lh_row_fetch_end(fetch);
}

/*
 * The newest version of a row that this transaction has changed itself, found
 * from an older one that somebody else had changed before.  If that was a
 * later command, the caller must know which: he may have to complain.
 */
static TM_Result
find_own_newest(LhMarks *marks, CommandId cid, uint64 *row_id, LhRowMarks *m, TM_FailureData *tmfd)
{
	CommandId	changed = InvalidCommandId;

	while (m->deleter == LH_WHO_SELF && (m->kind == LH_TOMB_UPDATED || m->kind == LH_TOMB_UPDATED_KEY))
	{
		changed = m->delete_cid;
		tmfd->xmax = m->delete_xid;
		*row_id = m->successor;
		lh_marks_look(marks, *row_id, m);
	}
	if (m->deleter == LH_WHO_SELF)
		return TM_Deleted;
	tmfd->cmax = changed;
	return changed >= cid ? TM_SelfModified : TM_Ok;
}

TM_Result
lh_tuple_lock(Relation rel, ItemPointer tid, Snapshot snapshot, TupleTableSlot *slot,
			  CommandId cid, LockTupleMode mode, LockWaitPolicy wait_policy,
			  uint8 flags, TM_FailureData *tmfd)
{
	uint64		row_id = lh_tid_to_row_id(tid);
	int64		storage_id;
	LhMarks    *marks;
	LhRowMarks	m;
	TM_Result	result;

	lh_require_preload(rel);
	tmfd->traversed = false;
	storage_id = lh_storage_id(rel);
	if (mode == LockTupleKeyShare && lh_own_lock_known(storage_id, row_id))
	{
		store_row(rel, row_id, slot);
		return TM_Ok;
	}
	marks = lh_marks_begin(rel, RowExclusiveLock);
	if (lh_slot_update_follows(slot))
	{
		result = lh_row_hold(marks, row_id, cid, mode, &m, tmfd);
		lh_marks_end(marks);
		if (result == TM_Ok || result == TM_Invisible || result == TM_SelfModified)
			store_row(rel, row_id, slot);
		return result;
	}
	for (;;)
	{
		result = lh_row_lock(marks, row_id, cid, mode, wait_policy, &m, tmfd);
		if (tmfd->traversed && m.deleter == LH_WHO_SELF)
		{
			result = find_own_newest(marks, cid, &row_id, &m, tmfd);
			if (result == TM_Ok)
				continue;
			break;
		}
		if (result != TM_Updated || (flags & TUPLE_LOCK_FLAG_FIND_LAST_VERSION) == 0)
			break;
		if (m.kind == LH_TOMB_MOVED)
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("tuple to be locked was already moved to another partition due to concurrent update")));
		row_id = m.successor;
		tmfd->traversed = true;
	}
	lh_marks_end(marks);
	lh_row_id_to_tid(row_id, tid);
	if (result == TM_Ok)
		lh_own_lock_add(storage_id, row_id);
	if (result == TM_Ok || result == TM_Invisible || result == TM_SelfModified)
		store_row(rel, row_id, slot);
	return result;
}
