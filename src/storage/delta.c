/*
 * delta.c
 *	  The delta of a table: entries by key, and rows going in.
 *
 * It holds rows of small statements until the publisher moves them into a
 * file, and the marks of deleted and locked rows (mark.c), wherever those rows
 * are.  delta_int.h says how it is laid out.
 *
 * A row is one MinimalTuple in the table's own format, cut into chunks.
 * Values that stand out of line elsewhere are brought in before.
 *
 * Tuples are inserted with HEAP_INSERT_NO_LOGICAL: logical decoding would
 * take them for chunks of TOAST values.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/table.h"
#include "access/toast_internals.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "storage/bufmgr.h"
#include "storage/procarray.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "storage/delta_int.h"

bool
lh_delta_exists(Relation rel)
{
	return OidIsValid(rel->rd_rel->reltoastrelid);
}

void
delta_open(Relation rel, LOCKMODE mode, Delta *delta)
{
	int			valid;

	delta->open = NULL;
	delta->toast = table_open(rel->rd_rel->reltoastrelid, mode);
	valid = toast_open_indexes(delta->toast, mode, &delta->indexes, &delta->n_indexes);
	delta->index = delta->indexes[valid];
}

void
delta_close(Delta *delta, LOCKMODE mode)
{
	if (delta->open != NULL)
		return;
	toast_close_indexes(delta->indexes, delta->n_indexes, mode);
	table_close(delta->toast, mode);
}

/* ---- keys ---- */

uint64
delta_key(Relation toast, HeapTuple tuple)
{
	TupleDesc	desc = RelationGetDescr(toast);
	bool		isnull;
	Oid			id = DatumGetObjectId(fastgetattr(tuple, Anum_chunk_id, desc, &isnull));
	int32		seq = DatumGetInt32(fastgetattr(tuple, Anum_chunk_seq, desc, &isnull));

	return ((uint64) id << SEQ_BITS) | (uint32) seq;
}

bytea *
delta_data(Relation toast, HeapTuple tuple)
{
	bool		isnull;

	return DatumGetByteaPP(fastgetattr(tuple, Anum_chunk_data, RelationGetDescr(toast), &isnull));
}

/* ---- entries by key ---- */

/*
 * A serializable transaction reads rows of the table, not entries of the
 * delta: whom it conflicts with must not depend on which rows are in the
 * delta, nor on which share a page of its index.  There the scan takes no
 * predicate locks, and what an entry says is judged here.
 */
void
delta_index_begin(DeltaIndex *index, const Delta *delta, Snapshot snapshot)
{
	MemoryContext old;

	index->toast = delta->toast;
	index->open = delta->open;
	index->judge = IsolationIsSerializable() && IsMVCCSnapshot(snapshot) ? snapshot : NULL;
	if (index->judge != NULL)
		snapshot = SnapshotAny;
	if (index->open != NULL && delta_cache_take_scan(index->open, &index->scan, &index->slot))
	{
		index->scan->xs_snapshot = snapshot;
		return;
	}
	old = MemoryContextSwitchTo(index->open != NULL ? delta_cache_context(index->open) : CurrentMemoryContext);
	index->slot = MakeSingleTupleTableSlot(RelationGetDescr(delta->toast), &TTSOpsBufferHeapTuple);
	index->scan = lh_index_beginscan(delta->toast, delta->index, snapshot, 3);
	MemoryContextSwitchTo(old);
}

void
delta_index_range(DeltaIndex *index, uint64 low, uint64 high)
{
	ScanKeyData keys[3];
	Oid			low_id = (Oid) (low >> SEQ_BITS);
	Oid			high_id = (Oid) (high >> SEQ_BITS);

	if (low_id == high_id)
	{
		ScanKeyInit(&keys[0], Anum_chunk_id, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(low_id));
		ScanKeyInit(&keys[1], Anum_chunk_seq, BTGreaterEqualStrategyNumber, F_INT4GE,
					Int32GetDatum((int32) (low & SEQ_MASK)));
		ScanKeyInit(&keys[2], Anum_chunk_seq, BTLessEqualStrategyNumber, F_INT4LE,
					Int32GetDatum((int32) (high & SEQ_MASK)));
	}
	else
	{
		ScanKeyInit(&keys[0], Anum_chunk_id, BTGreaterEqualStrategyNumber, F_OIDGE, ObjectIdGetDatum(low_id));
		ScanKeyInit(&keys[1], Anum_chunk_id, BTLessEqualStrategyNumber, F_OIDLE, ObjectIdGetDatum(high_id));
		ScanKeyInit(&keys[2], Anum_chunk_seq, BTGreaterEqualStrategyNumber, F_INT4GE, Int32GetDatum(0));
	}
	ExecClearTuple(index->slot);
	index_rescan(index->scan, keys, 3, NULL, 0);
}

bool
delta_index_judge(DeltaIndex *index, Snapshot snapshot)
{
	BufferHeapTupleTableSlot *slot = (BufferHeapTupleTableSlot *) index->slot;
	bool		visible;

	LockBuffer(slot->buffer, BUFFER_LOCK_SHARE);
	visible = HeapTupleSatisfiesVisibility(slot->base.tuple, snapshot, slot->buffer);
	HeapCheckForSerializableConflictOut(visible, index->toast, slot->base.tuple, slot->buffer, snapshot);
	LockBuffer(slot->buffer, BUFFER_LOCK_UNLOCK);
	return visible;
}

/* A btree scan may keep what it allocates: not in a context of the caller's that is reset. */
HeapTuple
delta_index_next(DeltaIndex *index, ScanDirection direction)
{
	MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(index->scan));
	bool		found;

	do
		found = index_getnext_slot(index->scan, direction, index->slot);
	while (found && index->judge != NULL && !delta_index_judge(index, index->judge));
	MemoryContextSwitchTo(old);
	return found ? ((BufferHeapTupleTableSlot *) index->slot)->base.tuple : NULL;
}

void
delta_index_end(DeltaIndex *index)
{
	if (index->open != NULL && delta_cache_give_scan(index->open, index->scan, index->slot))
		return;
	index_endscan(index->scan);
	ExecDropSingleTupleTableSlot(index->slot);
}

/* ---- who inserted an entry ---- */

XminState
delta_xmin_state(HeapTuple tuple)
{
	HeapTupleHeader header = tuple->t_data;
	TransactionId xmin = HeapTupleHeaderGetRawXmin(header);

	if (HeapTupleHeaderXminCommitted(header))
		return XMIN_COMMITTED;
	if (HeapTupleHeaderXminInvalid(header) || !TransactionIdIsValid(xmin))
		return XMIN_ABORTED;	/* or a speculative insertion taken back */
	if (TransactionIdIsCurrentTransactionId(xmin))
		return XMIN_OWN;
	/* before pg_xact is asked: see the comment on top of heapam_visibility.c */
	if (TransactionIdIsInProgress(xmin))
		return XMIN_RUNNING;
	return TransactionIdDidCommit(xmin) ? XMIN_COMMITTED : XMIN_ABORTED;
}

/* ---- entries in ---- */

void
delta_put(Delta *delta, uint64 key, const void *data, uint32 len,
		  CommandId cid, int options, uint32 token, ItemPointer tid)
{
	bytea	   *bytes = palloc(VARHDRSZ + len);
	Datum		values[3];
	bool		isnull[3] = {false, false, false};
	HeapTuple	tuple;

	SET_VARSIZE(bytes, VARHDRSZ + len);
	memcpy(VARDATA(bytes), data, len);
	values[0] = ObjectIdGetDatum((Oid) (key >> SEQ_BITS));
	values[1] = Int32GetDatum((int32) (key & SEQ_MASK));
	values[2] = PointerGetDatum(bytes);
	tuple = heap_form_tuple(RelationGetDescr(delta->toast), values, isnull);
	if (options & HEAP_INSERT_SPECULATIVE)
		HeapTupleHeaderSetSpeculativeToken(tuple->t_data, token);
	heap_insert(delta->toast, tuple, cid, options | HEAP_INSERT_NO_LOGICAL, NULL);

	/* who needs keys to be unique, sees to it himself */
	for (int i = 0; i < delta->n_indexes; i++)
		if (delta->indexes[i]->rd_index->indisready)
			index_insert(delta->indexes[i], values, isnull, &tuple->t_self, delta->toast,
						 UNIQUE_CHECK_NO, false, NULL);
	if (tid != NULL)
		*tid = tuple->t_self;
	heap_freetuple(tuple);
	pfree(bytes);
}

/* The slot's row with nothing out of line. */
static MinimalTuple
form_flat_tuple(TupleTableSlot *slot)
{
	TupleDesc	desc = slot->tts_tupleDescriptor;
	Datum	   *values = slot->tts_values;
	Datum	   *flat = NULL;

	slot_getallattrs(slot);
	for (int i = 0; i < desc->natts; i++)
	{
		if (slot->tts_isnull[i] || TupleDescAttr(desc, i)->attlen != -1 ||
			!VARATT_IS_EXTERNAL(DatumGetPointer(values[i])))
			continue;
		if (flat == NULL)
		{
			flat = palloc(sizeof(Datum) * desc->natts);
			memcpy(flat, values, sizeof(Datum) * desc->natts);
		}
		flat[i] = PointerGetDatum(detoast_external_attr((struct varlena *) DatumGetPointer(values[i])));
	}
	return lh_form_minimal_tuple(desc, flat != NULL ? flat : values, slot->tts_isnull, 0);
}

/* Header, ancestors and tuple in one piece. */
static char *
form_row(TupleTableSlot *slot, const LhLineage *lineage, uint32 *bytes)
{
	MinimalTuple tuple = form_flat_tuple(slot);
	uint32		n = lineage != NULL ? lineage->n : 0;
	Size		len = sizeof(DeltaRowDisk) + sizeof(uint64) * n + tuple->t_len;
	char	   *row;
	DeltaRowDisk *header;

	if (!AllocSizeIsValid(len))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("row is too big: %zu bytes, maximum size %zu bytes", len, (Size) MaxAllocSize)));
	row = palloc(len);
	header = (DeltaRowDisk *) row;
	header->bytes = (uint32) len;
	header->n_ancestors = n;
	if (n > 0)
		memcpy(row + sizeof(DeltaRowDisk), lineage->ancestors, sizeof(uint64) * n);
	memcpy(row + sizeof(DeltaRowDisk) + sizeof(uint64) * n, tuple, tuple->t_len);
	*bytes = (uint32) len;
	return row;
}

void
lh_delta_insert(Relation rel, uint64 row_id, TupleTableSlot *slot, const LhLineage *lineage,
				CommandId cid, uint32 token)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "lakehouse delta row", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	uint64		key = ROW_KEY(row_id, 0);
	int			options = token != 0 ? HEAP_INSERT_SPECULATIVE : 0;
	uint32		done = 0;
	uint32		bytes;
	char	   *row;
	Delta		delta;

	row = form_row(slot, lineage, &bytes);
	delta_borrow(rel, RowExclusiveLock, &delta);
	while (done < bytes)
	{
		uint32		len = Min(bytes - done, CHUNK_BYTES);

		delta_put(&delta, key++, row + done, len, cid, options, token, NULL);
		done += len;
	}
	delta_close(&delta, NoLock);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
}

/*
 * Ends a speculative insertion.  An index scan finds the chunks, which are our
 * own and therefore there.
 */
void
lh_delta_complete_speculative(Relation rel, uint64 row_id, bool succeeded)
{
	Delta		delta;
	DeltaIndex	index;
	HeapTuple	tuple;

	delta_borrow(rel, RowExclusiveLock, &delta);
	delta_index_begin(&index, &delta, SnapshotAny);
	delta_index_range(&index, ROW_KEY(row_id, 0), ROW_KEY(row_id, KIND_BULK - 1));
	while ((tuple = delta_index_next(&index, ForwardScanDirection)) != NULL)
	{
		ItemPointerData tid = tuple->t_self;

		if (!HeapTupleHeaderIsSpeculative(tuple->t_data) ||
			!TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetRawXmin(tuple->t_data)))
			continue;
		ExecClearTuple(index.slot);
		if (succeeded)
			heap_finish_speculative(delta.toast, &tid);
		else
			heap_abort_speculative(delta.toast, &tid);
	}
	delta_index_end(&index);
	delta_close(&delta, NoLock);
}

/* Does it have any entries, visible or not?  Cheap. */
bool
lh_delta_is_empty(Relation rel)
{
	Relation	toast;
	BlockNumber blocks;

	if (!lh_delta_exists(rel))
		return true;
	toast = table_open(rel->rd_rel->reltoastrelid, AccessShareLock);
	blocks = RelationGetNumberOfBlocks(toast);
	table_close(toast, AccessShareLock);
	return blocks == 0;
}

/* Each row has one chunk with number 0, each deleted row one mark. */
int64
lh_delta_count(Relation rel, Snapshot snapshot)
{
	Relation	toast;
	TableScanDesc scan;
	HeapTuple	tuple;
	int64		count = 0;

	if (!lh_delta_exists(rel))
		return 0;
	toast = table_open(rel->rd_rel->reltoastrelid, AccessShareLock);
	scan = table_beginscan_strat(toast, snapshot, 0, NULL, true, false);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		uint64		key = delta_key(toast, tuple);
		uint64		kind = key & KIND_MASK;
		LhBulk		bulk;

		if (kind == 0)
			count++;
		else if (kind == KIND_TOMBSTONE)
			count--;
		else if (is_bulk_key(key))
		{
			bulk_read(toast, tuple, &bulk);
			count -= lh_bulk_count(&bulk);
		}
	}
	table_endscan(scan);
	table_close(toast, AccessShareLock);
	return count;
}
