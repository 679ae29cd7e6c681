/*
 * tombstone_cache.c
 *	  All dead rows that a snapshot sees, and where rows of the delta lie, for
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
#include "types/types.h"

#define MAX_TABLES	4
#define MAX_BLOCKS	16384		/* of a delta: 128 MB, at most some 16 MB of row ids */
#define FEW_BLOCKS	256			/* read in a millisecond or two */

/* Entries for many rows that a page has room for. */
#define MAX_BULK	(BLCKSZ / sizeof(((LhBulk *) 0)->bits))

/* What a page has. */
typedef struct PageEntries
{
	LhRowRange	rows;			/* in the delta */
	int			n_dead;
	uint64	   *dead;			/* row ids with tombstones */
	int			n_bulk;
	LhBulk	   *bulk;			/* entries for many */
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

/* Room for n more elements of an array. */
static void *
make_room(void *array, int64 used, int n, int64 *max, Size size)
{
	if (used + n <= *max)
		return array;
	*max = *max * 2 + MaxHeapTuplesPerPage;
	return array == NULL ? MemoryContextAllocHuge(CurrentMemoryContext, size * *max) :
		repalloc_huge(array, size * *max);
}

/* Of the arrays of a summary. */
typedef struct Sizes
{
	int64		dead;
	int64		bulk;
} Sizes;

static void
add_entries(LhDeltaSummary *all, const PageEntries *entries, Sizes *max)
{
	widen(&all->rows, &entries->rows);
	if (entries->n_dead > 0)
	{
		all->dead = make_room(all->dead, all->n_dead, entries->n_dead, &max->dead, sizeof(uint64));
		memcpy(all->dead + all->n_dead, entries->dead, sizeof(uint64) * entries->n_dead);
		all->n_dead += entries->n_dead;
	}
	if (entries->n_bulk > 0)
	{
		all->bulk = make_room(all->bulk, all->n_bulk, entries->n_bulk, &max->bulk, sizeof(LhBulk));
		memcpy(all->bulk + all->n_bulk, entries->bulk, sizeof(LhBulk) * entries->n_bulk);
		all->n_bulk += entries->n_bulk;
	}
}

static void
add_entry(PageEntries *entries, Relation toast, HeapTuple tuple, uint64 key)
{
	uint64		row_id = key >> KIND_BITS;

	if ((key & KIND_MASK) == KIND_TOMBSTONE)
		entries->dead[entries->n_dead++] = row_id;
	else if (is_bulk_key(key))
		bulk_read(toast, tuple, &entries->bulk[entries->n_bulk++]);
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
			add_entry(visible, toast, &tuple, key);
		settled = settled && is_settled(tuple.t_data, newest, &there);
		if (settled && there)
			add_entry(standing, toast, &tuple, key);
	}
	return settled;
}

/* A copy of an array that stays; NULL of none. */
static void *
keep(CachedTable *table, const void *array, Size size)
{
	return size == 0 ? NULL : memcpy(MemoryContextAlloc(table->cxt, size), array, size);
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
	if (page->entries.bulk != NULL)
		pfree(page->entries.bulk);
	page->entries = *standing;
	page->entries.dead = NULL;
	page->entries.bulk = NULL;
	if (XLogRecPtrIsInvalid(lsn))
		return;
	page->entries.dead = keep(table, standing->dead, sizeof(uint64) * standing->n_dead);
	page->entries.bulk = keep(table, standing->bulk, sizeof(LhBulk) * standing->n_bulk);
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
add_page(Relation toast, Snapshot snapshot, CachedTable *table, BlockNumber block, LhDeltaSummary *all, Sizes *max)
{
	uint64		dead[2][MaxHeapTuplesPerPage];
	LhBulk		bulk[2][MAX_BULK];
	PageEntries visible = {NO_ROWS, 0, dead[0], 0, bulk[0]};
	PageEntries standing = {NO_ROWS, 0, dead[1], 0, bulk[1]};
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
compare_bulk(const void *a, const void *b)
{
	uint64		x = ((const LhBulk *) a)->first;
	uint64		y = ((const LhBulk *) b)->first;

	return x < y ? -1 : x > y;
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
	Sizes		max = {0, 0};

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
	if (all->n_bulk > 0)
		qsort(all->bulk, all->n_bulk, sizeof(LhBulk), compare_bulk);
}

bool
lh_delta_summarize(Relation rel, Snapshot snapshot, bool thoroughly, LhDeltaSummary *summary)
{
	Relation	toast;
	BlockNumber n_pages;
	bool		possible;

	*summary = (LhDeltaSummary) {NO_ROWS, 0, NULL, 0, NULL};
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

/* ---- both kinds in one order ---- */

void
lh_row_id_array_add(LhRowIdArray *rows, uint64 row_id)
{
	if (rows->n == rows->max)
	{
		rows->max = Max(1024, rows->max * 2);
		rows->ids = rows->ids != NULL ? repalloc_huge(rows->ids, sizeof(uint64) * rows->max) :
			MemoryContextAllocHuge(CurrentMemoryContext, sizeof(uint64) * rows->max);
	}
	rows->ids[rows->n++] = row_id;
}

/* The first of n elements, ascending by a row id at their beginning, that is not below row_id. */
static int64
lower_bound(const void *array, int64 n, Size size, uint64 row_id)
{
	int64		low = 0;
	int64		high = n;

	while (low < high)
	{
		int64		mid = low + (high - low) / 2;

		if (*(const uint64 *) ((const char *) array + size * mid) < row_id)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

void
lh_summary_dead(const LhDeltaSummary *summary, uint64 first, uint64 last, LhRowIdArray *rows)
{
	int64		i = lower_bound(summary->dead, summary->n_dead, sizeof(uint64), first);
	int64		end = i + lower_bound(summary->dead + i, summary->n_dead - i, sizeof(uint64), last + 1);
	int64		j = lower_bound(summary->bulk, summary->n_bulk, sizeof(LhBulk), LH_BULK_FIRST(first));

	rows->n = 0;
	while (j < summary->n_bulk && summary->bulk[j].first <= last)
	{
		LhBulk		block = summary->bulk[j++];

		/* all of the block into one bitmap */
		for (; j < summary->n_bulk && summary->bulk[j].first == block.first; j++)
			for (int w = 0; w < lengthof(block.bits); w++)
				block.bits[w] |= summary->bulk[j].bits[w];
		for (; i < end && summary->dead[i] < block.first; i++)
			lh_row_id_array_add(rows, summary->dead[i]);
		for (; i < end && summary->dead[i] < block.first + LH_BULK_ROWS; i++)
			lh_bulk_set(&block, summary->dead[i]);
		for (uint64 id = Max(first, block.first); lh_bulk_next(&block, &id) && id <= last; id++)
			lh_row_id_array_add(rows, id);
	}
	for (; i < end; i++)
		lh_row_id_array_add(rows, summary->dead[i]);
}

void
lh_summary_add_dead(const LhDeltaSummary *summary, LhRowSet *rows)
{
	for (int64 i = 0; i < summary->n_dead; i++)
		lh_row_set_add(rows, summary->dead[i]);
	for (int64 j = 0; j < summary->n_bulk; j++)
	{
		CHECK_FOR_INTERRUPTS();
		for (uint64 id = summary->bulk[j].first; lh_bulk_next(&summary->bulk[j], &id); id++)
			lh_row_set_add(rows, id);
	}
	lh_check_row_set(rows);
}
