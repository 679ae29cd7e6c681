/*
 * delta.c
 *	  The delta of a table: rows of small statements, until the publisher moves
 *	  them into a file.
 *
 * The delta is the table's TOAST relation.  A lakehouse table has no use for
 * TOAST proper, since its main fork holds no tuples; what core offers with a
 * TOAST relation is just what a delta needs: an ordinary heap with a unique
 * btree on a 63-bit key, made, swapped, truncated, moved, dropped and vacuumed
 * together with its table, and left out by pg_dump and publications.
 *
 * A row is one MinimalTuple in the table's own format, cut into chunks:
 *
 *	  key   = row id << 22 | chunk number
 *	  chunk_id = key >> 31, chunk_seq = key & 0x7fffffff, chunk_data = bytes
 *
 * so that the btree orders chunks by row id and then by number.  Values that
 * stand out of line elsewhere are brought in before.
 *
 * Tuples are inserted with HEAP_INSERT_NO_LOGICAL: logical decoding would
 * take them for chunks of TOAST values.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/genam.h"
#include "access/heapam.h"
#include "access/heaptoast.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/toast_internals.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "executor/tuptable.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "storage/lh_storage.h"

#define CHUNK_BITS		22
#define CHUNK_MASK		((UINT64CONST(1) << CHUNK_BITS) - 1)
#define SEQ_BITS		31
#define SEQ_MASK		((UINT64CONST(1) << SEQ_BITS) - 1)
#define CHUNK_BYTES		TOAST_MAX_CHUNK_SIZE

#define Anum_chunk_id	1
#define Anum_chunk_seq	2
#define Anum_chunk_data 3

struct LhDeltaScan
{
	Relation	toast;
	Relation   *indexes;
	int			n_indexes;
	SysScanDesc scan;
	MemoryContext row_cxt;
	uint64		row_id;			/* last returned */
	bool		on_row;
	int			n_tids;			/* heap tuples of that row */
	ItemPointerData *tids;
	int			max_tids;
	ScanKeyData keys[2];
};

bool
lh_delta_exists(Relation rel)
{
	return OidIsValid(rel->rd_rel->reltoastrelid);
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

void
lh_delta_insert(Relation rel, uint64 row_id, TupleTableSlot *slot, CommandId cid)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "lakehouse delta row", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	Relation	toast = table_open(rel->rd_rel->reltoastrelid, RowExclusiveLock);
	Relation   *indexes;
	int			n_indexes;
	MinimalTuple tuple = form_flat_tuple(slot);
	uint64		key = row_id << CHUNK_BITS;
	uint32		done = 0;

	toast_open_indexes(toast, RowExclusiveLock, &indexes, &n_indexes);
	do
	{
		uint32		len = Min(tuple->t_len - done, CHUNK_BYTES);
		bytea	   *chunk = palloc(VARHDRSZ + len);
		Datum		values[3];
		bool		isnull[3] = {false, false, false};
		HeapTuple	htup;

		SET_VARSIZE(chunk, VARHDRSZ + len);
		memcpy(VARDATA(chunk), (char *) tuple + done, len);
		values[0] = ObjectIdGetDatum((Oid) (key >> SEQ_BITS));
		values[1] = Int32GetDatum((int32) (key & SEQ_MASK));
		values[2] = PointerGetDatum(chunk);
		htup = heap_form_tuple(RelationGetDescr(toast), values, isnull);
		heap_insert(toast, htup, cid, HEAP_INSERT_NO_LOGICAL, NULL);

		/* keys are unique by construction: no need to look */
		for (int i = 0; i < n_indexes; i++)
			if (indexes[i]->rd_index->indisready)
				index_insert(indexes[i], values, isnull, &htup->t_self, toast,
							 UNIQUE_CHECK_NO, false, NULL);
		done += len;
		key++;
	} while (done < tuple->t_len);

	toast_close_indexes(indexes, n_indexes, NoLock);
	table_close(toast, NoLock);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
}

LhDeltaScan *
lh_delta_scan_begin(Relation rel, Snapshot snapshot, uint64 first, uint64 last)
{
	LhDeltaScan *scan = palloc0(sizeof(LhDeltaScan));
	uint64		low = first << CHUNK_BITS;
	uint64		high = (last << CHUNK_BITS) | CHUNK_MASK;
	int			valid;

	scan->toast = table_open(rel->rd_rel->reltoastrelid, AccessShareLock);
	valid = toast_open_indexes(scan->toast, AccessShareLock, &scan->indexes, &scan->n_indexes);
	scan->row_cxt = AllocSetContextCreate(CurrentMemoryContext, "lakehouse delta row", ALLOCSET_SMALL_SIZES);

	/* chunk_id bounds the scan; a range within one chunk_id needs no more here */
	ScanKeyInit(&scan->keys[0], Anum_chunk_id, BTGreaterEqualStrategyNumber, F_OIDGE,
				ObjectIdGetDatum((Oid) (low >> SEQ_BITS)));
	ScanKeyInit(&scan->keys[1], Anum_chunk_id, BTLessEqualStrategyNumber, F_OIDLE,
				ObjectIdGetDatum((Oid) (high >> SEQ_BITS)));
	if (first == last)
	{
		/* all chunks of one row share their chunk_id */
		ScanKeyInit(&scan->keys[0], Anum_chunk_id, BTEqualStrategyNumber, F_OIDEQ,
					ObjectIdGetDatum((Oid) (low >> SEQ_BITS)));
		ScanKeyInit(&scan->keys[1], Anum_chunk_seq, BTGreaterEqualStrategyNumber, F_INT4GE,
					Int32GetDatum((int32) (low & SEQ_MASK)));
	}
	scan->scan = systable_beginscan_ordered(scan->toast, scan->indexes[valid], snapshot, 2, scan->keys);
	return scan;
}

static uint64
chunk_key(LhDeltaScan *scan, HeapTuple tuple)
{
	TupleDesc	desc = RelationGetDescr(scan->toast);
	bool		isnull;
	Oid			id = DatumGetObjectId(fastgetattr(tuple, Anum_chunk_id, desc, &isnull));
	int32		seq = DatumGetInt32(fastgetattr(tuple, Anum_chunk_seq, desc, &isnull));

	return ((uint64) id << SEQ_BITS) | (uint32) seq;
}

static bytea *
chunk_data(LhDeltaScan *scan, HeapTuple tuple)
{
	bool		isnull;

	return DatumGetByteaPP(fastgetattr(tuple, Anum_chunk_data, RelationGetDescr(scan->toast), &isnull));
}

static void
remember_tid(LhDeltaScan *scan, ItemPointer tid)
{
	if (scan->n_tids == scan->max_tids)
	{
		scan->max_tids = Max(8, scan->max_tids * 2);
		scan->tids = scan->tids == NULL ?
			MemoryContextAlloc(GetMemoryChunkContext(scan), sizeof(ItemPointerData) * scan->max_tids) :
			repalloc(scan->tids, sizeof(ItemPointerData) * scan->max_tids);
	}
	scan->tids[scan->n_tids++] = *tid;
}

static void
corrupt_row(LhDeltaScan *scan, uint64 row_id)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("delta row " UINT64_FORMAT " in \"%s\" is not complete",
					row_id, RelationGetRelationName(scan->toast))));
}

/*
 * Copies one chunk to its place in the row.  The first chunk (number 0) has
 * the length; going backward the last chunk comes first and tells it too:
 * every chunk but the last is full.
 */
static MinimalTuple
place_chunk(LhDeltaScan *scan, uint64 key, bytea *data, MinimalTuple row, uint32 *row_bytes)
{
	uint32		chunk = (uint32) (key & CHUNK_MASK);
	uint32		len = VARSIZE_ANY_EXHDR(data);
	uint32		offset = chunk * CHUNK_BYTES;

	if (row == NULL)
	{
		if (chunk == 0)
			memcpy(row_bytes, VARDATA_ANY(data), sizeof(uint32));
		else
			*row_bytes = offset + len;
		if (*row_bytes < SizeofMinimalTupleHeader)
			corrupt_row(scan, key >> CHUNK_BITS);
		row = MemoryContextAllocHuge(scan->row_cxt, *row_bytes);
	}
	if (offset + len > *row_bytes)
		corrupt_row(scan, key >> CHUNK_BITS);
	memcpy((char *) row + offset, VARDATA_ANY(data), len);
	return row;
}

/* A btree scan may keep what it allocates: not in a context of the caller's that is reset. */
static HeapTuple
next_chunk(LhDeltaScan *scan, ScanDirection direction)
{
	MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(scan));
	HeapTuple	htup = systable_getnext_ordered(scan->scan, direction);

	MemoryContextSwitchTo(old);
	return htup;
}

bool
lh_delta_scan_next(LhDeltaScan *scan, ScanDirection direction, uint64 *row_id, MinimalTuple *tuple)
{
	MinimalTuple row = NULL;
	uint32		row_bytes = 0;
	uint32		got = 0;
	uint64		current = 0;
	HeapTuple	htup;

	MemoryContextReset(scan->row_cxt);
	scan->n_tids = 0;
	while ((htup = next_chunk(scan, direction)) != NULL)
	{
		uint64		key = chunk_key(scan, htup);
		bytea	   *data;

		/* after a change of direction: the rest of the row we stand on */
		if (row == NULL && scan->on_row && key >> CHUNK_BITS == scan->row_id)
			continue;
		if (row == NULL)
			current = key >> CHUNK_BITS;
		else if (key >> CHUNK_BITS != current)
			corrupt_row(scan, current);

		data = chunk_data(scan, htup);
		row = place_chunk(scan, key, data, row, &row_bytes);
		got += VARSIZE_ANY_EXHDR(data);
		remember_tid(scan, &htup->t_self);
		if (got == row_bytes)
			break;
	}
	if (row == NULL)
	{
		scan->on_row = false;
		return false;
	}
	if (got != row_bytes || row->t_len != row_bytes)
		corrupt_row(scan, current);
	scan->on_row = true;
	scan->row_id = *row_id = current;
	*tuple = row;
	return true;
}

void
lh_delta_scan_delete(LhDeltaScan *scan)
{
	Assert(scan->on_row);
	for (int i = 0; i < scan->n_tids; i++)
		simple_heap_delete(scan->toast, &scan->tids[i]);
}

void
lh_delta_scan_end(LhDeltaScan *scan)
{
	systable_endscan_ordered(scan->scan);
	toast_close_indexes(scan->indexes, scan->n_indexes, AccessShareLock);
	table_close(scan->toast, AccessShareLock);
	MemoryContextDelete(scan->row_cxt);
	pfree(scan);
}

/* Each row has one chunk with number 0. */
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
		bool		isnull;
		int32		seq = DatumGetInt32(fastgetattr(tuple, Anum_chunk_seq, RelationGetDescr(toast), &isnull));

		count += (seq & CHUNK_MASK) == 0;
	}
	table_endscan(scan);
	table_close(toast, AccessShareLock);
	return count;
}
