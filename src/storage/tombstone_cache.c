/*
 * tombstone_cache.c
 *	  All tombstones that a snapshot sees, and where rows of the delta lie, for
 *	  scans of a whole table: read page by page of the delta, and remembered
 *	  from one scan to the next.
 *
 * A page is remembered with its LSN once everything in it is settled: whoever
 * inserted or removed its entries has committed or aborted.  A scan that
 * finds the page with the same LSN, and whose snapshot is newer than all of
 * them, takes what is remembered: whatever changes an entry is WAL-logged,
 * hints are not, and hints change no answer.  Other pages are read.
 *
 * Serializable transactions report conflicts for each entry, and very large
 * deltas cost memory: those scans ask the delta's index for each row group.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "storage/delta_int.h"

#define MAX_TABLES	4
#define MAX_BLOCKS	16384		/* of a delta: 128 MB, at most some 16 MB of row ids */
#define FEW_BLOCKS	256			/* read in a millisecond or two */

/* What a page has. */
typedef struct PageEntries
{
	LhRowRange	rows;			/* in the delta */
	int			n_dead;
	uint64	   *dead;			/* row ids with tombstones */
} PageEntries;

#define NO_ROWS		((LhRowRange) {PG_UINT64_MAX, 0})

typedef struct CachedPage
{
	XLogRecPtr	lsn;			/* 0: not remembered */
	TransactionId newest;		/* that inserted or removed an entry; a permanent one: nobody who matters */
	PageEntries entries;
} CachedPage;

typedef struct CachedTable
{
	MemoryContext cxt;			/* NULL: a free place */
	RelFileNode file;			/* of the delta */
	BlockNumber n_pages;
	CachedPage *pages;
	bool		sorted_valid;	/* all of these pages are remembered, and */
	uint64	   *sorted;			/* these are their row ids, ascending */
	uint64		used;
} CachedTable;

static CachedTable tables[MAX_TABLES];
static uint64 tick = 0;

static void
forget_table(CachedTable *table)
{
	if (table->cxt != NULL)
		MemoryContextDelete(table->cxt);
	memset(table, 0, sizeof(*table));
}

/* What is remembered of the delta, with room for so many pages. */
static CachedTable *
find_table(const RelFileNode *file, BlockNumber n_pages)
{
	CachedTable *table = &tables[0];

	for (int i = 0; i < MAX_TABLES; i++)
	{
		if (tables[i].cxt != NULL && RelFileNodeEquals(tables[i].file, *file))
		{
			table = &tables[i];
			break;
		}
		if (tables[i].used < table->used)
			table = &tables[i];
	}
	if (table->cxt == NULL || !RelFileNodeEquals(table->file, *file) || table->n_pages > n_pages)
	{
		MemoryContext cxt = AllocSetContextCreate(CacheMemoryContext, "lakehouse tombstones", ALLOCSET_DEFAULT_SIZES);

		forget_table(table);
		table->cxt = cxt;
		table->file = *file;
	}
	if (table->n_pages < n_pages)
	{
		CachedPage *pages = MemoryContextAllocZero(table->cxt, sizeof(CachedPage) * n_pages);

		if (table->n_pages > 0)
		{
			memcpy(pages, table->pages, sizeof(CachedPage) * table->n_pages);
			pfree(table->pages);
		}
		table->pages = pages;
		table->n_pages = n_pages;
		table->sorted_valid = false;
	}
	table->used = ++tick;
	return table;
}

/* ---- pages ---- */

static void
widen(LhRowRange *range, const LhRowRange *by)
{
	range->first = Min(range->first, by->first);
	range->last = Max(range->last, by->last);
}

static void
add_entries(LhDeltaSummary *all, const PageEntries *entries, int64 *max)
{
	widen(&all->rows, &entries->rows);
	if (entries->n_dead == 0)
		return;
	if (all->n_dead + entries->n_dead > *max)
	{
		*max = *max * 2 + MaxHeapTuplesPerPage;
		all->dead = all->dead == NULL ?
			MemoryContextAllocHuge(CurrentMemoryContext, sizeof(uint64) * *max) :
			repalloc_huge(all->dead, sizeof(uint64) * *max);
	}
	memcpy(all->dead + all->n_dead, entries->dead, sizeof(uint64) * entries->n_dead);
	all->n_dead += entries->n_dead;
}

static void
add_entry(PageEntries *entries, uint64 key)
{
	uint64		row_id = key >> KIND_BITS;

	if ((key & KIND_MASK) == KIND_TOMBSTONE)
		entries->dead[entries->n_dead++] = row_id;
	else
		widen(&entries->rows, &(LhRowRange) {row_id, row_id});
}

/*
 * Takes note of who inserted and removed an entry that has just been judged,
 * as its hints tell; false if that is not settled.  *there: it stands.
 */
static bool
is_settled(HeapTupleHeader header, TransactionId *newest, bool *there)
{
	*there = false;
	if (HeapTupleHeaderXminInvalid(header))
		return true;
	if (!HeapTupleHeaderXminCommitted(header) || (header->t_infomask & HEAP_XMAX_IS_MULTI))
		return false;
	if (!HeapTupleHeaderXminFrozen(header) &&
		TransactionIdFollows(HeapTupleHeaderGetRawXmin(header), *newest))
		*newest = HeapTupleHeaderGetRawXmin(header);
	if (header->t_infomask & HEAP_XMAX_INVALID)
	{
		*there = true;
		return true;
	}
	if (!(header->t_infomask & HEAP_XMAX_COMMITTED))
		return false;
	if (TransactionIdFollows(HeapTupleHeaderGetRawXmax(header), *newest))
		*newest = HeapTupleHeaderGetRawXmax(header);
	return true;
}

/*
 * Reads a locked page: what the snapshot sees into `visible`, and into
 * `standing`, if it is settled (see the result), what everybody does who comes later.
 */
static bool
read_page(Relation toast, Buffer buffer, Snapshot snapshot, PageEntries *visible,
		  PageEntries *standing, TransactionId *newest)
{
	Page		page = BufferGetPage(buffer);
	bool		settled = true;

	*newest = FrozenTransactionId;
	for (OffsetNumber i = FirstOffsetNumber; i <= PageGetMaxOffsetNumber(page); i++)
	{
		ItemId		item = PageGetItemId(page, i);
		HeapTupleData tuple;
		uint64		key;
		bool		there;

		if (!ItemIdIsNormal(item))
			continue;
		tuple.t_data = (HeapTupleHeader) PageGetItem(page, item);
		tuple.t_len = ItemIdGetLength(item);
		tuple.t_tableOid = RelationGetRelid(toast);
		ItemPointerSet(&tuple.t_self, BufferGetBlockNumber(buffer), i);
		key = delta_key(toast, &tuple);
		if ((key & KIND_MASK) == KIND_LOCK || (key & KIND_MASK) == KIND_LINEAGE)
			continue;
		if (HeapTupleSatisfiesVisibility(&tuple, snapshot, buffer))
			add_entry(visible, key);
		settled = settled && is_settled(tuple.t_data, newest, &there);
		if (settled && there)
			add_entry(standing, key);
	}
	return settled;
}

static void
remember_page(CachedTable *table, BlockNumber block, const PageEntries *standing,
			  TransactionId newest, XLogRecPtr lsn)
{
	CachedPage *page = &table->pages[block];

	table->sorted_valid = false;
	page->lsn = InvalidXLogRecPtr;
	if (page->entries.dead != NULL)
		pfree(page->entries.dead);
	page->entries = *standing;
	page->entries.dead = NULL;
	if (XLogRecPtrIsInvalid(lsn))
		return;
	if (standing->n_dead > 0)
	{
		page->entries.dead = MemoryContextAlloc(table->cxt, sizeof(uint64) * standing->n_dead);
		memcpy(page->entries.dead, standing->dead, sizeof(uint64) * standing->n_dead);
	}
	page->newest = newest;
	page->lsn = lsn;
}

static bool
is_remembered(const CachedPage *page, XLogRecPtr lsn, Snapshot snapshot)
{
	return page->lsn == lsn && !XLogRecPtrIsInvalid(lsn) &&
		(!TransactionIdIsNormal(page->newest) || TransactionIdPrecedes(page->newest, snapshot->xmin));
}

/* Returns whether the page was remembered. */
static bool
add_page(Relation toast, Snapshot snapshot, CachedTable *table, BlockNumber block, LhDeltaSummary *all, int64 *max)
{
	uint64		dead[2][MaxHeapTuplesPerPage];
	PageEntries visible = {NO_ROWS, 0, dead[0]};
	PageEntries standing = {NO_ROWS, 0, dead[1]};
	TransactionId newest;
	Buffer		buffer = ReadBuffer(toast, block);
	XLogRecPtr	lsn;
	bool		remembered;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	lh_test_for_old_snapshot(snapshot, toast, BufferGetPage(buffer));
	lsn = BufferGetLSNAtomic(buffer);
	remembered = is_remembered(&table->pages[block], lsn, snapshot);
	if (!remembered && !read_page(toast, buffer, snapshot, &visible, &standing, &newest))
		lsn = InvalidXLogRecPtr;
	UnlockReleaseBuffer(buffer);
	if (!remembered)
		remember_page(table, block, &standing, newest, lsn);
	add_entries(all, remembered ? &table->pages[block].entries : &visible, max);
	return remembered;
}

static int
compare_ids(const void *a, const void *b)
{
	uint64		x = *(const uint64 *) a;
	uint64		y = *(const uint64 *) b;

	return x < y ? -1 : x > y;
}

/* Keeps the order, if it can be used again: where every page is remembered. */
static void
remember_sorted(CachedTable *table, const LhDeltaSummary *all)
{
	if (table->sorted != NULL)
		pfree(table->sorted);
	table->sorted = NULL;
	if (all->n_dead > 0)
	{
		table->sorted = MemoryContextAllocHuge(table->cxt, sizeof(uint64) * all->n_dead);
		memcpy(table->sorted, all->dead, sizeof(uint64) * all->n_dead);
	}
	table->sorted_valid = true;
}

static void
summarize(Relation toast, Snapshot snapshot, BlockNumber n_pages, LhDeltaSummary *all)
{
	CachedTable *table = find_table(&toast->rd_node, n_pages);
	bool		as_before = true;
	int64		max = 0;

	for (BlockNumber block = 0; block < n_pages; block++)
	{
		CHECK_FOR_INTERRUPTS();
		as_before &= add_page(toast, snapshot, table, block, all, &max);
	}
	if (all->n_dead > 0 && as_before && table->sorted_valid)
		memcpy(all->dead, table->sorted, sizeof(uint64) * all->n_dead);
	else if (all->n_dead > 0)
		qsort(all->dead, all->n_dead, sizeof(uint64), compare_ids);
	if (as_before && !table->sorted_valid)
		remember_sorted(table, all);
}

bool
lh_delta_summarize(Relation rel, Snapshot snapshot, bool thoroughly, LhDeltaSummary *summary)
{
	Relation	toast;
	BlockNumber n_pages;
	bool		possible;

	*summary = (LhDeltaSummary) {NO_ROWS, 0, NULL};
	if (!IsMVCCSnapshot(snapshot) || IsolationIsSerializable())
		return false;
	toast = table_open(rel->rd_rel->reltoastrelid, AccessShareLock);
	n_pages = RelationGetNumberOfBlocks(toast);
	possible = n_pages <= (thoroughly ? MAX_BLOCKS : FEW_BLOCKS) && RelationNeedsWAL(toast);
	if (possible)
		summarize(toast, snapshot, n_pages, summary);
	table_close(toast, AccessShareLock);
	return possible;
}
