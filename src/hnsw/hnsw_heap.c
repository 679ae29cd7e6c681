/*
 * hnsw_heap.c
 *	  The rows of a heap table that a scan returns stand on pages all over it,
 *	  and heap looks up each page's buffer by its number, which costs more than
 *	  all else that it does for the row.  A scan remembers where pages were,
 *	  as it does for those of the index, and leaves a row's page pinned for heap
 *	  to find: heap keeps the page of the last row, and asks first whether the
 *	  next row is on it.  Knows nothing of other table access methods, and does
 *	  nothing for them.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/relscan.h"
#include "storage/buf_internals.h"

#include "hnsw/hnsw_int.h"

/* Where the table's pages were seen; NULL where that cannot be known or is of no use. */
HnswHints *
hnsw_heap_hints(IndexScanDesc scan)
{
	Relation	heap = scan->heapRelation;

	if (heap == NULL || scan->xs_heapfetch == NULL || heap->rd_tableam != GetHeapamTableAmRoutine() ||
		RelationUsesLocalBuffers(heap))
		return NULL;
	return hnsw_hints_of(heap);
}

/* Heap has fetched this row: on what page it found it. */
void
hnsw_heap_learn(HnswHints *h, IndexScanDesc scan, ItemPointer tid)
{
	Buffer		buffer = ((IndexFetchHeapData *) scan->xs_heapfetch)->xs_cbuf;
	BlockNumber block = ItemPointerGetBlockNumber(tid);

	if (!BufferIsValid(buffer) || BufferGetBlockNumber(buffer) != block)
		return;
	if (block >= h->n_blocks)
		hnsw_hints_grow(h, block + 1);
	h->buffers[block] = buffer;
}

/* Asks for what heap will look at first of a row that may be returned soon. */
void
hnsw_heap_prefetch(const HnswHints *h, ItemPointer tid)
{
	BlockNumber block = ItemPointerGetBlockNumber(tid);
	Page		page;

	if (block >= h->n_blocks || h->buffers[block] == InvalidBuffer)
		return;
	page = BufferGetPage(h->buffers[block]);
	__builtin_prefetch(GetBufferDescriptor(h->buffers[block] - 1));
	__builtin_prefetch(page);
	__builtin_prefetch(&((PageHeader) page)->pd_linp[Min(ItemPointerGetOffsetNumber(tid), MaxHeapTuplesPerPage)]);
}

/* Leaves the row's page for heap, unless it is not where it was, or heap may want to tidy it up. */
void
hnsw_heap_hand(const HnswHints *h, IndexScanDesc scan, ItemPointer tid)
{
	IndexFetchHeapData *fetch = (IndexFetchHeapData *) scan->xs_heapfetch;
	BlockNumber block = ItemPointerGetBlockNumber(tid);
	Buffer		buffer = block < h->n_blocks ? h->buffers[block] : InvalidBuffer;

	if (buffer == InvalidBuffer || buffer == fetch->xs_cbuf || !ReadRecentBuffer(h->file, MAIN_FORKNUM, block, buffer))
		return;
	if (TransactionIdIsValid(((PageHeader) BufferGetPage(buffer))->pd_prune_xid))
	{
		ReleaseBuffer(buffer);
		return;
	}
	if (BufferIsValid(fetch->xs_cbuf))
		ReleaseBuffer(fetch->xs_cbuf);
	fetch->xs_cbuf = buffer;
}
