/*
 * am_fetch.c
 *	  Rows by TID: for indexes, triggers, RETURNING and TID scans.
 */
#include "postgres.h"

#include "access/relscan.h"
#include "access/transam.h"
#include "storage/predicate.h"
#include "storage/procarray.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "tableam/lh_tableam_int.h"

static bool
is_valid_tid(ItemPointer tid)
{
	return ItemPointerIsValid(tid) && ItemPointerGetOffsetNumber(tid) <= LH_ROWS_PER_BLOCK;
}

bool
lh_tuple_tid_valid(TableScanDesc scan, ItemPointer tid)
{
	return is_valid_tid(tid) && lh_tid_to_row_id(tid) < lh_row_ids_end(scan->rs_rd);
}

/* Snapshots that answer what is there right now are asked by row, not by entry. */
static bool
asks_for_liveness(Snapshot snapshot)
{
	return !IsMVCCSnapshot(snapshot) && snapshot != SnapshotAny;
}

static bool
fetch_row(LhRowFetch *fetch, Relation rel, ItemPointer tid, Snapshot snapshot, TupleTableSlot *slot, LhRow *row)
{
	uint64		row_id = lh_tid_to_row_id(tid);

	if (asks_for_liveness(snapshot))
	{
		if (!lh_row_is_live(rel, row_id, snapshot, NULL))
			return false;
		snapshot = SnapshotAny;
	}
	return lh_row_fetch(fetch, row_id, slot->tts_tupleDescriptor, snapshot, row);
}

bool
lh_tuple_fetch_row_version(Relation rel, ItemPointer tid, Snapshot snapshot, TupleTableSlot *slot)
{
	LhRowFetch *fetch;
	LhRow		row;
	bool		found;

	ExecClearTuple(slot);
	if (!is_valid_tid(tid))
		return false;
	lh_statement_sync(rel, snapshot);
	fetch = lh_row_fetch_begin_brief(rel);
	PredicateLockTID(rel, tid, snapshot, InvalidTransactionId);
	found = fetch_row(fetch, rel, tid, snapshot, slot, &row);
	if (found)
	{
		lh_slot_store(slot, &row, RelationGetRelid(rel));
		ExecMaterializeSlot(slot);	/* the row goes with the fetch */
	}
	lh_row_fetch_end(fetch);
	return found;
}

static bool
is_visible(Relation rel, uint64 row_id, Snapshot snapshot)
{
	LhRowFetch *fetch;
	LhRow		row;
	bool		found;

	if (asks_for_liveness(snapshot))
		return lh_row_is_live(rel, row_id, snapshot, NULL);
	fetch = lh_row_fetch_begin(rel);
	found = lh_row_fetch(fetch, row_id, RelationGetDescr(rel), snapshot, &row);
	lh_row_fetch_end(fetch);
	return found;
}

bool
lh_tuple_satisfies_snapshot(Relation rel, TupleTableSlot *slot, Snapshot snapshot)
{
	return is_visible(rel, lh_tid_to_row_id(&slot->tts_tid), snapshot);
}

/* The newest version of the row that the scan's snapshot sees. */
void
lh_tuple_get_latest_tid(TableScanDesc scan, ItemPointer tid)
{
	Relation	rel = scan->rs_rd;
	uint64		row_id = lh_tid_to_row_id(tid);
	LhMarks    *marks;
	LhRowMarks	m;

	if (!lh_delta_exists(rel))
		return;
	marks = lh_marks_begin(rel, AccessShareLock);
	for (;;)
	{
		if (is_visible(rel, row_id, scan->rs_snapshot))
			lh_row_id_to_tid(row_id, tid);
		lh_marks_look(marks, row_id, &m);
		if (m.deleter == LH_WHO_NOBODY || (m.kind != LH_TOMB_UPDATED && m.kind != LH_TOMB_UPDATED_KEY))
			break;
		row_id = m.successor;
	}
	lh_marks_end(marks);
}

/* ---- indexes ---- */

typedef struct IndexFetch
{
	IndexFetchTableData base;
	LhRowFetch *fetch;			/* NULL until a row is wanted, not only whether it is there */
} IndexFetch;

struct IndexFetchTableData *
lh_index_fetch_begin(Relation rel)
{
	IndexFetch *data = palloc0(sizeof(IndexFetch));

	lh_require_preload(rel);
	data->base.rel = rel;
	return &data->base;
}

/* Keeps what it has open: an index scan in a join is reset for each outer row. */
void
lh_index_fetch_reset(struct IndexFetchTableData *data)
{
}

void
lh_index_fetch_end(struct IndexFetchTableData *data)
{
	IndexFetch *fetch = (IndexFetch *) data;

	if (fetch->fetch != NULL)
		lh_row_fetch_end(fetch->fetch);
	pfree(fetch);
}

/*
 * For unique checks (SnapshotDirty and SnapshotSelf) this runs with an index
 * page locked: the answer comes without reading the row, which they do not
 * look at.  Exclusion checks do, and are called without a lock; they cannot
 * be told apart by the snapshot, so the row is read when the slot is asked
 * for it.
 */
bool
lh_index_fetch_tuple(struct IndexFetchTableData *data, ItemPointer tid, Snapshot snapshot,
					 TupleTableSlot *slot, bool *call_again, bool *all_dead)
{
	IndexFetch *fetch = (IndexFetch *) data;
	Relation	rel = data->rel;
	bool		known_dead;
	bool		known_all_dead;
	LhRow		row;

	*call_again = false;
	if (all_dead != NULL)
		*all_dead = false;
	ExecClearTuple(slot);
	if (!is_valid_tid(tid))
		return false;
	known_dead = lh_dead_row_known(rel, lh_tid_to_row_id(tid), snapshot, &known_all_dead);
	if (known_dead || lh_own_dead_to(rel, lh_tid_to_row_id(tid), snapshot))
	{
		if (all_dead != NULL)
			*all_dead = known_dead && known_all_dead;
		/* answers of an earlier check must not stay */
		if (snapshot->snapshot_type == SNAPSHOT_DIRTY)
		{
			snapshot->xmin = snapshot->xmax = InvalidTransactionId;
			snapshot->speculativeToken = 0;
		}
		return false;
	}
	if (asks_for_liveness(snapshot))
	{
		if (!lh_row_is_live(rel, lh_tid_to_row_id(tid), snapshot, all_dead))
			return false;
		lh_slot_store_unread(slot, rel, tid);
		return true;
	}
	if (fetch->fetch == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(fetch));

		lh_statement_sync(rel, snapshot);
		fetch->fetch = lh_row_fetch_begin(rel);
		MemoryContextSwitchTo(old);
	}
	PredicateLockTID(rel, tid, snapshot, InvalidTransactionId);
	if (!lh_row_fetch(fetch->fetch, lh_tid_to_row_id(tid), slot->tts_tupleDescriptor, snapshot, &row))
	{
		if (all_dead != NULL)
			*all_dead = lh_row_is_dead_to_all(rel, lh_tid_to_row_id(tid));
		return false;
	}
	lh_slot_store(slot, &row, RelationGetRelid(rel));
	return true;
}

/* So many entries in a row that are not dead say enough of the page. */
#define MAX_MISSES	8

/*
 * Marks entries that the rows' marks show to be dead, until the page has the
 * room that btree asks for; returns whether there are any.  Only entries that
 * btree holds for old versions of a row are looked at, and where none of them
 * is dead, a transaction is still at it: the page must be split.
 */
static bool
find_deletable(Relation rel, TM_IndexDeleteOp *delstate)
{
	GlobalVisState *vistest = GlobalVisTestFor(rel);
	LhMarks    *marks;
	bool		found = false;
	int			misses = 0;
	int			room = 0;

	if (!lh_delta_exists(rel))
		return false;
	marks = lh_marks_begin(rel, AccessShareLock);
	for (int i = 0; i < delstate->ndeltids && misses < MAX_MISSES && room < delstate->bottomupfreespace; i++)
	{
		TM_IndexDelete *entry = &delstate->deltids[i];
		TM_IndexStatus *status = &delstate->status[entry->id];
		LhRowMarks	m;

		if (!status->knowndeletable && status->promising)
		{
			lh_marks_look(marks, lh_tid_to_row_id(&entry->tid), &m);
			status->knowndeletable = lh_marks_dead_to_all(&m, vistest);
			misses = status->knowndeletable ? 0 : misses + 1;
		}
		found |= status->knowndeletable;
		room += status->knowndeletable ? status->freespace : 0;
	}
	lh_marks_end(marks);
	return found;
}

/*
 * An index page is full, and write-locked: nothing is asked but the delta.
 * Which entries a scan has found dead, is known; of a page that would have to
 * be split (bottomup) some are looked at.  What was dead to everybody at any
 * time is so with the horizon of now: standbys are told about that one.
 */
TransactionId
lh_index_delete_tuples(Relation rel, TM_IndexDeleteOp *delstate)
{
	TransactionId newest = GetOldestNonRemovableTransactionId(rel);

	if (delstate->bottomup && !find_deletable(rel, delstate))
	{
		delstate->ndeltids = 0;
		return InvalidTransactionId;
	}
	TransactionIdRetreat(newest);
	return newest;
}
