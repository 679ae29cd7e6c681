/*
 * nearest_page.c
 *	  Pages of heap tables: which rows of one are visible, in which buffer it
 *	  is, and which columns stand at the same place in every row.
 *
 * Finding a page that is in memory costs the server a search of its buffer
 * table, which waits for memory four times over.  This process remembers in
 * which buffers it saw the pages of the tables that it scanned last, and looks
 * there first; the server says whether the page still is there.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "nearest/nearest_int.h"
#include "types/pg_compat.h"

/* As many tables are remembered, TOAST tables among them. */
#define MAX_TABLES	8

static NearestSeen tables[MAX_TABLES];
static uint64 n_uses;

static void
remember_table(NearestSeen *seen, Relation rel, BlockNumber n_blocks)
{
	if (seen->buffers)
		pfree(seen->buffers);
	seen->buffers = NULL;
	seen->n_blocks = 0;
	seen->buffers = MemoryContextAllocExtended(TopMemoryContext, sizeof(Buffer) * n_blocks, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	seen->n_blocks = n_blocks;
	seen->file = rel->rd_node;
}

/*
 * Where the table's pages were seen, as far as they are remembered.  What this
 * says may be about another table by the time it is looked at, as all of it may
 * be out of date.
 */
NearestSeen *
lh_nearest_seen(Relation rel)
{
	BlockNumber n_blocks = RelationGetNumberOfBlocks(rel);
	NearestSeen *seen = &tables[0];

	for (int i = 1; i < MAX_TABLES && !RelFileNodeEquals(seen->file, rel->rd_node); i++)
		if (RelFileNodeEquals(tables[i].file, rel->rd_node) || tables[i].used < seen->used)
			seen = &tables[i];
	/* room to grow: a table that does is not forgotten each time */
	if (!RelFileNodeEquals(seen->file, rel->rd_node) || seen->n_blocks < n_blocks)
		remember_table(seen, rel, n_blocks + n_blocks / 8 + 8);
	seen->used = ++n_uses;
	return seen;
}

static void
remember_page(NearestSeen *seen, BlockNumber block, Buffer buffer)
{
	if (block < seen->n_blocks && !BufferIsLocal(buffer))
		seen->buffers[block] = buffer;
}

/* The block in a pinned buffer. */
Buffer
lh_nearest_read_block(NearestSeen *seen, Relation rel, BlockNumber block)
{
	Buffer		buffer = block < seen->n_blocks ? seen->buffers[block] : 0;

	if (buffer != 0 && ReadRecentBuffer(rel->rd_node, MAIN_FORKNUM, block, buffer))
	{
		pgstat_count_buffer_read(rel);
		pgstat_count_buffer_hit(rel);
		return buffer;
	}
	buffer = ReadBuffer(rel, block);
	remember_page(seen, block, buffer);
	return buffer;
}

/*
 * The page that a scan will probably see after this one, for prefetching only:
 * where it was seen last, or in the next buffer; this one if there is no telling.
 */
char *
lh_nearest_next_page(const NearestSeen *seen, BlockNumber block, Buffer buffer)
{
	Buffer		next = 0;

	if (BufferIsLocal(buffer))
		return (char *) BufferGetPage(buffer);
	if (block + 1 < seen->n_blocks)
		next = seen->buffers[block + 1];
	if (next == 0)
		next = buffer < NBuffers ? buffer + 1 : buffer;
	__builtin_prefetch(GetBufferDescriptor(next - 1));
	return (char *) BufferGetPage(next);
}

/* ---- rows ---- */

static inline void
set_row(NearestPage *page, int i, OffsetNumber offset)
{
	page->offsets[i] = offset;
	page->rows[i] = (HeapTupleHeader) PageGetItem((Page) page->data, PageGetItemId((Page) page->data, offset));
}

/* The page that a scan of the server's stands on, with the rows that it has found visible. */
void
lh_nearest_take_page(NearestSeen *seen, HeapScanDesc scan, NearestPage *page)
{
	page->buffer = scan->rs_cbuf;
	page->block = scan->rs_cblock;
	page->data = (char *) BufferGetPage(page->buffer);
	page->n = (int) scan->rs_ntuples;
	for (int i = 0; i < page->n; i++)
		set_row(page, i, scan->rs_vistuples[i]);
	remember_page(seen, page->block, page->buffer);
	page->next = lh_nearest_next_page(seen, page->block, page->buffer);
}

/* The rows that the snapshot sees, as the server's own scans find them. */
static void
find_visible(Relation rel, Snapshot snapshot, NearestPage *page)
{
	Page		data = (Page) page->data;
	OffsetNumber last = PageGetMaxOffsetNumber(data);
	bool		all = PageIsAllVisible(data) && !snapshot->takenDuringRecovery;
	HeapTupleData tuple = {.t_tableOid = RelationGetRelid(rel)};

	page->n = 0;
	for (OffsetNumber offset = FirstOffsetNumber; offset <= last; offset++)
	{
		ItemId		item = PageGetItemId(data, offset);

		if (!ItemIdIsNormal(item))
			continue;
		if (!all)
		{
			tuple.t_data = (HeapTupleHeader) PageGetItem(data, item);
			tuple.t_len = ItemIdGetLength(item);
			ItemPointerSet(&tuple.t_self, page->block, offset);
			if (!HeapTupleSatisfiesVisibility(&tuple, snapshot, page->buffer))
				continue;
		}
		set_row(page, page->n++, offset);
	}
}

/* Any page of the table, pinned, for a snapshot of which no conflicts are looked for. */
void
lh_nearest_read_page(NearestSeen *seen, Relation rel, Snapshot snapshot, BlockNumber block, NearestPage *page)
{
	page->buffer = lh_nearest_read_block(seen, rel, block);
	page->block = block;
	page->data = (char *) BufferGetPage(page->buffer);
	heap_page_prune_opt(rel, page->buffer);
	LockBuffer(page->buffer, BUFFER_LOCK_SHARE);
	lh_test_for_old_snapshot(snapshot, rel, (Page) page->data);
	find_visible(rel, snapshot, page);
	LockBuffer(page->buffer, BUFFER_LOCK_UNLOCK);
	page->next = lh_nearest_next_page(seen, block, page->buffer);
}

/* ---- columns ---- */

/*
 * Where a column stands in the data of plain rows, if all before it have a fixed
 * length; where it may begin, if it has none itself.  Else -1.
 */
int
lh_nearest_column_place(TupleDesc desc, AttrNumber column)
{
	int			at = 0;

	if (column <= 0)
		return -1;
	for (int i = 0; i < column; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		bool		last = i == column - 1;

		if (att->attlen > 0)
			at = att_align_nominal(at, att->attalign) + (last ? 0 : att->attlen);
		else if (!last)
			return -1;
	}
	return at;
}
