/*
 * hnsw_sweep.c
 *	  Exact search: the codes of all nodes, one page after the other.
 *
 * A code's distance is off by no more than a known bound, so each node has a
 * least distance that it can have.  A sweep finds the nodes that are least by
 * it, in order; whoever reads their items in this order, until the nearest
 * exact distance is below what comes next, has the true neighbours.  Codes are
 * some tenth of the vectors and stand in one chain of pages, so this takes a
 * fraction of what reading the table takes.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "hnsw/hnsw_int.h"
#include "types/pg_compat.h"

/* Candidates that the first sweep keeps, and how much more each one after it. */
#define FIRST_KEYS		8192
#define MORE_KEYS		8

static int
compare_keys(const void *a, const void *b)
{
	HnswKey		x = *(const HnswKey *) a;
	HnswKey		y = *(const HnswKey *) b;

	return x < y ? -1 : x > y;
}

/* Keeps the nearer half of a full array; nothing beyond it is wanted any more. */
static void
halve(HnswSweep *sweep)
{
	qsort(sweep->keys, sweep->n, sizeof(HnswKey), compare_keys);
	sweep->n = sweep->max / 2;
	sweep->limit = sweep->keys[sweep->n - 1];
	sweep->more = true;
}

static void
take(HnswSweep *sweep, HnswKey key)
{
	if ((sweep->begun && key <= sweep->before) || key > sweep->limit)
		return;
	if (sweep->n == sweep->max)
		halve(sweep);
	if (key <= sweep->limit)
		sweep->keys[sweep->n++] = key;
}

static void
sweep_page(HnswGraph *g, const HnswQuery *query, HnswSweep *sweep, BlockNumber block, Page page)
{
	int			n = (((PageHeader) page)->pd_lower - HNSW_PAGE_START) / g->node_bytes;

	g->counters.hops++;
	for (int slot = 0; slot < Min(n, g->nodes_per_page); slot++)
	{
		HnswNode   *node = (HnswNode *) ((char *) page + HNSW_PAGE_START + slot * g->node_bytes);
		uint32		id = block << g->id_shift | slot;
		float		least;

		if ((node->flags & (HNSW_NODE_USED | HNSW_NODE_DEAD)) != HNSW_NODE_USED)
			continue;
		if (node->flags & HNSW_NODE_PARTIAL)
			least = hnsw_distance(g, query, id);
		else
			least = hnsw_codec_score(&g->codec, query, node) - hnsw_codec_slack(&g->codec, query, node);
		g->counters.scored++;
		take(sweep, hnsw_key(least, id));
	}
}

/* Asks for a page that is probably read next. */
static void
prefetch_page(HnswGraph *g, BlockNumber block)
{
	if (!g->local && block < g->hints->n_blocks && g->hints->buffers[block] > 0)
		hnsw_prefetch(BufferGetPage(g->hints->buffers[block]), 512);
}

/*
 * The nearest nodes by their least distance, after those of the sweep before;
 * false if there are no more.
 */
bool
hnsw_sweep(HnswGraph *g, const HnswQuery *query, HnswSweep *sweep)
{
	HnswMeta	meta;
	BlockNumber block,
				left = RelationGetNumberOfBlocks(g->index);

	if (sweep->keys && !sweep->more)
		return false;
	sweep->begun = sweep->keys != NULL;
	sweep->before = sweep->limit;
	sweep->limit = ~UINT64CONST(0);
	sweep->max = sweep->begun ? sweep->max * MORE_KEYS : FIRST_KEYS;
	if (sweep->begun)
		pfree(sweep->keys);
	sweep->keys = palloc_extended(sizeof(HnswKey) * sweep->max, MCXT_ALLOC_HUGE);
	sweep->n = 0;
	sweep->more = false;
	hnsw_read_meta(g->index, &meta);
	for (block = meta.node_tail; block != 0;)
	{
		Buffer		buffer;

		CHECK_FOR_INTERRUPTS();
		if (left-- == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INDEX_CORRUPTED),
					 errmsg("pages of index \"%s\" go round in circles", RelationGetRelationName(g->index)),
					 errhint("Please REINDEX it.")));
		buffer = hnsw_read_page(g, block, HNSW_PAGE_NODE, BUFFER_LOCK_SHARE);
		prefetch_page(g, block - 1);
		sweep_page(g, query, sweep, block, BufferGetPage(buffer));
		block = HnswTail(BufferGetPage(buffer))->previous;
		UnlockReleaseBuffer(buffer);
	}
	qsort(sweep->keys, sweep->n, sizeof(HnswKey), compare_keys);
	return sweep->n > 0;
}
