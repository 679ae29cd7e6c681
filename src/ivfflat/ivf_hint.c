/*
 * ivf_hint.c
 *	  Where blocks were last seen in shared buffers, so that reading one again
 *	  needs no look at the table of all buffers.  Local to a backend, and only a
 *	  hint: a buffer's tag is compared under pin.
 */
#include "postgres.h"

#include "storage/bufmgr.h"
#include "utils/memutils.h"

#include "ivfflat/ivf_int.h"
#include "types/pg_compat.h"

#define N_HINTS 8

struct IvfHints
{
	RelFileNode file;
	BlockNumber n_blocks;
	Buffer	   *buffers;
	uint64		used;			/* clock when last used */
};

static IvfHints hints[N_HINTS];
static uint64 hints_clock;

/*
 * Room for the blocks that the index has now; NULL for a temporary one.  While
 * a scan goes on, the place may be given to another index: what the hints say
 * is compared with the index that is read.
 */
IvfHints *
ivf_hints(Relation index)
{
	BlockNumber n_blocks;
	IvfHints   *h = &hints[0];

	if (RelationUsesLocalBuffers(index))
		return NULL;
	for (int i = 0; i < N_HINTS; i++)
	{
		if (hints[i].buffers && RelFileNodeEquals(hints[i].file, index->rd_node))
		{
			h = &hints[i];
			break;
		}
		if (hints[i].used < h->used)
			h = &hints[i];
	}
	n_blocks = RelationGetNumberOfBlocks(index);
	if (n_blocks > h->n_blocks)
	{
		BlockNumber room = n_blocks + n_blocks / 8 + 64;
		Size		bytes = sizeof(Buffer) * (Size) room;

		h->buffers = h->buffers ? repalloc_huge(h->buffers, bytes) : MemoryContextAllocHuge(TopMemoryContext, bytes);
		memset(h->buffers + h->n_blocks, 0, bytes - sizeof(Buffer) * (Size) h->n_blocks);
		h->n_blocks = room;
	}
	h->file = index->rd_node;
	h->used = ++hints_clock;
	return h;
}

/* Asks for a block that will be read soon, if it is not in shared buffers. */
void
ivf_hint_prefetch(IvfHints *h, Relation index, BlockNumber block)
{
	if (h == NULL || block >= h->n_blocks)
		(void) PrefetchBuffer(index, MAIN_FORKNUM, block);
	else if (h->buffers[block] == InvalidBuffer || !lh_buffer_holds(h->buffers[block], &index->rd_node, block))
		h->buffers[block] = PrefetchBuffer(index, MAIN_FORKNUM, block).recent_buffer;
}

/* The block, pinned. */
Buffer
ivf_hint_read(IvfHints *h, Relation index, BlockNumber block)
{
	if (h == NULL || block >= h->n_blocks)
		return ReadBuffer(index, block);
	if (h->buffers[block] == InvalidBuffer || !ReadRecentBuffer(index->rd_node, MAIN_FORKNUM, block, h->buffers[block]))
		h->buffers[block] = ReadBuffer(index, block);
	return h->buffers[block];
}
