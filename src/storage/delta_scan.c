/*
 * delta_scan.c
 *	  Rows of the delta by row id.
 *
 * One ordered scan of the delta's index gives the chunks of a row and then its
 * marks, or the other way round.  The scan looks one entry ahead to know that
 * it has them all, and keeps what belongs to the next row.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "storage/delta_int.h"

struct LhDeltaScan
{
	Delta		delta;
	MemoryContext cxt;
	DeltaIndex	index;
	uint64		low;			/* keys of the range */
	uint64		high;
	bool		with_dead;
	bool		with_gone;		/* SnapshotAny: of a row that has gone some chunks may be pruned away */
	bool		saw_tombstone;	/* in the range so far */
	ScanDirection ended;		/* no more entries this way; NoMovement: unknown */
	ScanDirection pending;		/* this way, slot holds an entry not looked at yet */
	bool		on_row;			/* row.row_id is the row we stand on */
	MemoryContext row_cxt;
	LhDeltaRow	row;
	int			n_tids;			/* heap tuples of that row and its tombstone */
	ItemPointerData *tids;
	int			max_tids;
};

static LhDeltaScan *
begin_scan(const Delta *delta, Snapshot snapshot, uint64 first, uint64 last, bool with_dead)
{
	LhDeltaScan *scan = palloc0(sizeof(LhDeltaScan));

	scan->delta = *delta;
	scan->cxt = CurrentMemoryContext;
	scan->row_cxt = AllocSetContextCreate(CurrentMemoryContext, "lakehouse delta row", ALLOCSET_SMALL_SIZES);
	delta_index_begin(&scan->index, &scan->delta, snapshot);
	scan->with_dead = with_dead;
	scan->with_gone = snapshot == SnapshotAny;
	lh_delta_scan_range(scan, first, last);
	return scan;
}

LhDeltaScan *
lh_delta_scan_begin(Relation rel, Snapshot snapshot, uint64 first, uint64 last, bool with_dead)
{
	Delta		delta;

	delta_open(rel, AccessShareLock, &delta);
	return begin_scan(&delta, snapshot, first, last, with_dead);
}

LhDeltaScan *
lh_delta_scan_begin_brief(Relation rel, Snapshot snapshot, uint64 first, uint64 last, bool with_dead)
{
	Delta		delta;

	delta_borrow(rel, AccessShareLock, &delta);
	return begin_scan(&delta, snapshot, first, last, with_dead);
}

void
lh_delta_scan_range(LhDeltaScan *scan, uint64 first, uint64 last)
{
	scan->low = ROW_KEY(first, 0);
	scan->high = ROW_KEY(last, KIND_MASK);
	scan->ended = scan->pending = NoMovementScanDirection;
	scan->on_row = scan->saw_tombstone = false;
	delta_index_range(&scan->index, scan->low, scan->high);
}

static void
corrupt_row(LhDeltaScan *scan, uint64 row_id)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("delta row " UINT64_FORMAT " in \"%s\" is not complete",
					row_id, RelationGetRelationName(scan->delta.toast))));
}

/* ---- entries ---- */

/* The next entry within the range, in the slot. */
static HeapTuple
next_entry(LhDeltaScan *scan, ScanDirection direction, uint64 *key)
{
	HeapTuple	tuple;

	if (scan->pending == direction)
	{
		scan->pending = NoMovementScanDirection;
		tuple = ((BufferHeapTupleTableSlot *) scan->index.slot)->base.tuple;
		*key = delta_key(scan->delta.toast, tuple);
		return tuple;
	}
	/* an index scan that is asked once more after its end begins anew */
	if (scan->ended == direction)
		return NULL;
	scan->ended = NoMovementScanDirection;
	while ((tuple = delta_index_next(&scan->index, direction)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		*key = delta_key(scan->delta.toast, tuple);
		if (*key >= scan->low && *key <= scan->high)
			return tuple;
		/* past the range: the rest of its chunk_id is not wanted */
		if (ScanDirectionIsForward(direction) ? *key > scan->high : *key < scan->low)
			break;
	}
	scan->ended = direction;
	return NULL;
}

static void
remember_tid(LhDeltaScan *scan, ItemPointer tid)
{
	if (scan->n_tids == scan->max_tids)
	{
		scan->max_tids = Max(8, scan->max_tids * 2);
		scan->tids = scan->tids == NULL ?
			MemoryContextAlloc(scan->cxt, sizeof(ItemPointerData) * scan->max_tids) :
			repalloc(scan->tids, sizeof(ItemPointerData) * scan->max_tids);
	}
	scan->tids[scan->n_tids++] = *tid;
}

/* ---- rows ---- */

typedef struct Assembly
{
	char	   *bytes;			/* NULL before the first chunk */
	uint32		len;
	uint32		got;
} Assembly;

/*
 * Copies one chunk to its place in the row.  The first chunk (number 0) has
 * the length; going backward the last chunk comes first and tells it too:
 * every chunk but the last is full.
 */
static void
place_chunk(LhDeltaScan *scan, uint64 key, HeapTuple tuple, Assembly *a)
{
	bytea	   *data = delta_data(scan->delta.toast, tuple);
	uint32		chunk = (uint32) (key & KIND_MASK);
	uint32		len = VARSIZE_ANY_EXHDR(data);
	uint64		offset = (uint64) chunk * CHUNK_BYTES;

	if (a->bytes == NULL)
	{
		if (chunk != 0 && scan->with_gone)
			return;
		if (chunk == 0 && len >= sizeof(DeltaRowDisk))
			a->len = ((DeltaRowDisk *) memcpy(palloc(sizeof(DeltaRowDisk)), VARDATA_ANY(data),
											  sizeof(DeltaRowDisk)))->bytes;
		else
			a->len = (uint32) (offset + len);
		if (a->len < sizeof(DeltaRowDisk) + SizeofMinimalTupleHeader)
			corrupt_row(scan, key >> KIND_BITS);
		a->bytes = palloc(a->len);
	}
	if (offset + len > a->len)
		corrupt_row(scan, key >> KIND_BITS);
	memcpy(a->bytes + offset, VARDATA_ANY(data), len);
	a->got += len;
	if (chunk == 0)
	{
		scan->row.xmin = HeapTupleHeaderGetRawXmin(tuple->t_data);
		scan->row.cmin = HeapTupleHeaderGetRawCommandId(tuple->t_data);
	}
	remember_tid(scan, &tuple->t_self);
}

/* False: the row has gone, and parts of it are pruned away. */
static bool
take_row(LhDeltaScan *scan, const Assembly *a)
{
	LhDeltaRow *row = &scan->row;
	DeltaRowDisk *header = (DeltaRowDisk *) a->bytes;
	Size		prefix;

	if (a->got < a->len && scan->with_gone)
		return false;
	if (a->got != a->len || header->bytes != a->len)
		corrupt_row(scan, row->row_id);
	prefix = sizeof(DeltaRowDisk) + sizeof(uint64) * (Size) header->n_ancestors;
	if (header->n_ancestors > a->len / sizeof(uint64) || prefix + SizeofMinimalTupleHeader > a->len)
		corrupt_row(scan, row->row_id);
	row->lineage.n = header->n_ancestors;
	row->lineage.ancestors = (uint64 *) (a->bytes + sizeof(DeltaRowDisk));
	row->tuple = (MinimalTuple) (a->bytes + prefix);
	if (row->tuple->t_len != a->len - prefix)
		corrupt_row(scan, row->row_id);
	return true;
}

/* Reads all entries of one row id; false if there is none in the range. */
static bool
next_row_id(LhDeltaScan *scan, ScanDirection direction, Assembly *a)
{
	uint64		stood_on = scan->row.row_id;
	bool		was_on_row = scan->on_row;
	bool		started = false;
	HeapTuple	tuple;
	uint64		key;

	memset(a, 0, sizeof(*a));
	scan->row.dead = false;
	scan->n_tids = 0;
	while ((tuple = next_entry(scan, direction, &key)) != NULL)
	{
		uint64		row_id = key >> KIND_BITS;
		uint64		kind = key & KIND_MASK;

		/* after a change of direction: the rest of the row we stand on */
		if (!started && was_on_row && row_id == stood_on)
			continue;
		if (started && row_id != scan->row.row_id)
		{
			scan->pending = direction;
			break;
		}
		started = true;
		scan->row.row_id = row_id;
		if (kind == KIND_TOMBSTONE)
		{
			scan->row.dead = scan->saw_tombstone = true;
			remember_tid(scan, &tuple->t_self);
		}
		else if (kind < KIND_BULK)
			place_chunk(scan, key, tuple, a);
	}
	scan->on_row = started;
	return started;
}

const LhDeltaRow *
lh_delta_scan_next(LhDeltaScan *scan, ScanDirection direction)
{
	MemoryContext old;
	Assembly	a;
	bool		more;
	bool		there;

	/* what was looked at ahead the other way lies beyond the row we stand on */
	if (scan->pending != direction)
		scan->pending = NoMovementScanDirection;
	do
	{
		MemoryContextReset(scan->row_cxt);
		old = MemoryContextSwitchTo(scan->row_cxt);
		more = next_row_id(scan, direction, &a);
		there = more && a.bytes != NULL && take_row(scan, &a);
		MemoryContextSwitchTo(old);
	} while (more && (!there || (scan->row.dead && !scan->with_dead)));
	return more ? &scan->row : NULL;
}

bool
lh_delta_scan_saw_tombstone(const LhDeltaScan *scan)
{
	return scan->saw_tombstone;
}

void
lh_delta_scan_delete(LhDeltaScan *scan)
{
	Assert(scan->on_row);
	for (int i = 0; i < scan->n_tids; i++)
		simple_heap_delete(scan->delta.toast, &scan->tids[i]);
}

void
lh_delta_scan_end(LhDeltaScan *scan)
{
	delta_index_end(&scan->index);
	delta_close(&scan->delta, AccessShareLock);
	MemoryContextDelete(scan->row_cxt);
	if (scan->tids != NULL)
		pfree(scan->tids);
	pfree(scan);
}
