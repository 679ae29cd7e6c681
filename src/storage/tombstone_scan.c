/*
 * tombstone_scan.c
 *	  Dead rows of a range of row ids, in order: an index scan of the delta that
 *	  merges tombstones with entries for many rows (bulk.c).
 *
 * Entries for many stand at the first row of their block, before all
 * tombstones of its rows.  So the scan begins at the first row of a block, and
 * when it meets a tombstone, it knows all other dead rows of that block.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/snapmgr.h"

#include "storage/delta_int.h"

/* An entry for many rows of the block that the scan is in. */
typedef struct BulkEntry
{
	ItemPointerData tid;
	LhBulk		rows;
	bool		dropped;		/* some have been, */
	LhBulk		rest;			/* and these have not */
} BulkEntry;

struct LhTombstoneScan
{
	Relation	rel;
	Delta		delta;
	DeltaIndex	index;
	uint64		first;
	uint64		last;

	/* the entry that comes next: a tombstone, or one for many rows */
	bool		begun;
	bool		ended;			/* there is none */
	uint64		key;
	HeapTuple	tuple;

	/* the block that the scan is in */
	int			n_entries;
	int			max_entries;
	BulkEntry  *entries;
	uint64		next;			/* rows below have been returned */

	/* what was returned last: a row of one of those, or by a tombstone of its own */
	uint64		row_id;
	BulkEntry  *entry;
	ItemPointerData tid;
};

LhTombstoneScan *
lh_tombstone_scan_begin(Relation rel, Snapshot snapshot, uint64 first, uint64 last)
{
	LhTombstoneScan *scan = palloc0(sizeof(LhTombstoneScan));
	uint64		start = first < lh_metapage_bulk_end(rel) ? LH_BULK_FIRST(first) : first;

	scan->rel = rel;
	scan->first = scan->next = first;
	scan->last = last;
	delta_open(rel, AccessShareLock, &scan->delta);
	delta_index_begin(&scan->index, &scan->delta, snapshot);
	delta_index_range(&scan->index, ROW_KEY(start, 0), ROW_KEY(last, KIND_MASK));
	return scan;
}

/* Moves on to the next entry that says something of rows in the range. */
static void
next_entry(LhTombstoneScan *scan)
{
	scan->begun = true;
	while ((scan->tuple = delta_index_next(&scan->index, ForwardScanDirection)) != NULL)
	{
		uint64		row_id;

		CHECK_FOR_INTERRUPTS();
		scan->key = delta_key(scan->delta.toast, scan->tuple);
		row_id = scan->key >> KIND_BITS;
		if (row_id > scan->last)
			break;
		if (is_bulk_key(scan->key) ? row_id >= LH_BULK_FIRST(scan->first) :
			(scan->key & KIND_MASK) == KIND_TOMBSTONE && row_id >= scan->first)
			return;
	}
	scan->ended = true;
}

/* ---- entries for many ---- */

/* An entry that has lost rows is replaced by one that has the rest. */
static void
drop_rows(LhTombstoneScan *scan, BulkEntry *entry)
{
	Delta		delta;

	simple_heap_delete(scan->delta.toast, &entry->tid);
	if (lh_bulk_count(&entry->rest) == 0)
		return;
	delta_open(scan->rel, RowExclusiveLock, &delta);
	bulk_put(&delta, &entry->rest, GetCurrentCommandId(true));
	delta_close(&delta, NoLock);
}

static void
leave_block(LhTombstoneScan *scan)
{
	for (int i = 0; i < scan->n_entries; i++)
		if (scan->entries[i].dropped)
			drop_rows(scan, &scan->entries[i]);
	scan->n_entries = 0;
	scan->entry = NULL;
}

static void
take_bulk_entry(LhTombstoneScan *scan)
{
	BulkEntry  *entry;

	if (scan->n_entries == scan->max_entries)
	{
		scan->max_entries = Max(4, scan->max_entries * 2);
		scan->entries = scan->entries == NULL ? palloc(sizeof(BulkEntry) * scan->max_entries) :
			repalloc(scan->entries, sizeof(BulkEntry) * scan->max_entries);
	}
	entry = &scan->entries[scan->n_entries++];
	entry->tid = scan->tuple->t_self;
	bulk_read(scan->delta.toast, scan->tuple, &entry->rows);
	entry->dropped = false;
}

/* The next row that an entry of the block has. */
static BulkEntry *
next_in_block(LhTombstoneScan *scan, uint64 *row_id)
{
	BulkEntry  *found = NULL;

	for (int i = 0; i < scan->n_entries; i++)
	{
		uint64		id = scan->next;

		if (lh_bulk_next(&scan->entries[i].rows, &id) && id <= scan->last &&
			(found == NULL || id < *row_id))
		{
			found = &scan->entries[i];
			*row_id = id;
		}
	}
	return found;
}

/* ---- rows ---- */

bool
lh_tombstone_scan_next(LhTombstoneScan *scan, uint64 *row_id)
{
	if (!scan->begun)
		next_entry(scan);
	for (;;)
	{
		uint64		pending = scan->ended ? PG_UINT64_MAX : scan->key >> KIND_BITS;
		uint64		id = 0;
		BulkEntry  *entry = next_in_block(scan, &id);

		/* of a row that has both, the tombstone comes after the other: verify() tells */
		if (entry != NULL && id <= pending && (scan->ended || !is_bulk_key(scan->key) || id < pending))
		{
			scan->entry = entry;
			scan->row_id = id;
			scan->next = id + 1;
			break;
		}
		if (scan->ended)
			return false;
		if (!is_bulk_key(scan->key))
		{
			scan->entry = NULL;
			scan->tid = scan->tuple->t_self;
			scan->row_id = pending;
			next_entry(scan);
			break;
		}
		if (scan->n_entries > 0 && scan->entries[0].rows.first != pending)
			leave_block(scan);
		take_bulk_entry(scan);
		next_entry(scan);
	}
	*row_id = scan->row_id;
	return true;
}

void
lh_tombstone_scan_delete(LhTombstoneScan *scan)
{
	BulkEntry  *entry = scan->entry;

	if (entry == NULL)
	{
		simple_heap_delete(scan->delta.toast, &scan->tid);
		return;
	}
	if (!entry->dropped)
		entry->rest = entry->rows;
	entry->dropped = true;
	lh_bulk_clear(&entry->rest, scan->row_id);
}

void
lh_tombstone_scan_end(LhTombstoneScan *scan)
{
	leave_block(scan);
	delta_index_end(&scan->index);
	delta_close(&scan->delta, AccessShareLock);
	if (scan->entries != NULL)
		pfree(scan->entries);
	pfree(scan);
}
