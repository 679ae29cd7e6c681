/*
 * hnsw_page.c
 *	  Pages of an index: the meta page, reading and extending, writing with
 *	  and without WAL, and the memory of where blocks stand in shared buffers.
 *	  Knows nothing of searching.
 */
#include "postgres.h"

#include "access/relscan.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"

#include "hnsw/hnsw_int.h"
#include "types/pg_compat.h"
#include "vector/vector.h"

/* pgvector's number for its own pages, at the same place. */
#define PGVECTOR_MAGIC	0xA953A953

/* ---- checks ---- */

void
hnsw_check_page(Relation index, Buffer buffer, int kind)
{
	Page		page = BufferGetPage(buffer);

	if (!lh_vindex_page_is_sound(page, HNSW_PAGE_END) ||
		HnswTail(page)->page_id != HNSW_PAGE_ID || HnswTail(page)->kind != kind)
		lh_vindex_corrupted(index, BufferGetBlockNumber(buffer));
}

void
hnsw_init_page(Page page, int kind)
{
	PageInit(page, BLCKSZ, sizeof(HnswPageTail));
	HnswTail(page)->kind = kind;
	HnswTail(page)->page_id = HNSW_PAGE_ID;
}

/* ---- the meta page ---- */

static HnswMetric
metric_of(Relation index, HnswType type)
{
	LhVindexMetric metric = lh_vindex_metric(index);
	bool		of_bits = metric == LH_VINDEX_HAMMING || metric == LH_VINDEX_JACCARD;

	if (metric == LH_VINDEX_NO_METRIC || of_bits != (type == HNSW_BIT))
		lh_vindex_refuse_metric(index, "hnsw");
	return (HnswMetric) metric;
}

static HnswType
type_of(Relation index)
{
	LhVindexType type = lh_vindex_type(index);

	if (type == LH_VINDEX_NO_TYPE)
		lh_vindex_refuse_type("hnsw");
	return (HnswType) type;
}

static int
max_dims(HnswType type)
{
	bool		pgvector = hnsw_dimension_limits;

	switch (type)
	{
		case HNSW_VECTOR:
			return pgvector ? 2000 : LH_VECTOR_MAX_DIM;
		case HNSW_HALFVEC:
			return pgvector ? 4000 : LH_HALFVEC_MAX_DIM;
		case HNSW_BIT:
			return 64000;
		case HNSW_SPARSEVEC:
			break;
	}
	return LH_SPARSEVEC_MAX_DIM;
}

/* What a new index on this relation will be; errors if there cannot be one. */
void
hnsw_meta_for(Relation index, HnswMeta *meta)
{
	HnswOptions *options = (HnswOptions *) index->rd_options;
	HnswType	type = type_of(index);
	uint32		dims = lh_vindex_dims(index, max_dims(type), "hnsw");
	int			per_page;

	memset(meta, 0, sizeof(*meta));
	meta->magic = HNSW_MAGIC;
	meta->version = HNSW_VERSION;
	meta->dims = dims;
	meta->m = options ? options->m : HNSW_DEFAULT_M;
	meta->ef_construction = options ? options->ef_construction : HNSW_DEFAULT_EFC;
	if (meta->ef_construction < 2 * meta->m)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("ef_construction must be greater than or equal to 2 * m")));
	meta->type = type;
	meta->metric = metric_of(index, type);
	hnsw_codec_choose(meta);
	per_page = HNSW_PAGE_SPACE / (sizeof(HnswNode) + meta->code_bytes + 2 * meta->m * sizeof(uint32));
	while ((1 << meta->id_shift) < per_page)
		meta->id_shift++;
}

/* Writes block 0 of a fork that is empty. */
void
hnsw_create_meta(Relation index, ForkNumber fork, HnswMeta *meta)
{
	Buffer		buffer = ReadBufferExtended(index, fork, P_NEW, RBM_NORMAL, NULL);
	Page		page;

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	page = BufferGetPage(buffer);
	hnsw_init_page(page, HNSW_PAGE_META);
	*HnswPageMeta(page) = *meta;
	((PageHeader) page)->pd_lower = HNSW_PAGE_START + sizeof(HnswMeta);
	MarkBufferDirty(buffer);
	UnlockReleaseBuffer(buffer);
}

/* A corrupt meta page must not make anything be computed from it. */
static bool
meta_is_sound(const HnswMeta *meta)
{
	HnswMeta	again = *meta;

	if (meta->magic != HNSW_MAGIC || meta->m < HNSW_MIN_M || meta->m > HNSW_MAX_M ||
		meta->ef_construction < HNSW_MIN_EFC || meta->ef_construction > HNSW_MAX_EFC ||
		meta->type < HNSW_VECTOR || meta->type > HNSW_BIT || meta->id_shift > 10 ||
		meta->metric < HNSW_L2 || meta->metric > HNSW_JACCARD || meta->entry_level > HNSW_MAX_LEVEL)
		return false;
	if (meta->dims < 1 || meta->dims > LH_SPARSEVEC_MAX_DIM || (meta->type != HNSW_SPARSEVEC && meta->dims > 64000))
		return false;
	hnsw_codec_choose(&again);
	return again.coding == meta->coding && again.code_bytes == meta->code_bytes && again.code_dims == meta->code_dims;
}

void
hnsw_read_meta(Relation index, HnswMeta *meta)
{
	Buffer		buffer = ReadBuffer(index, HNSW_META_BLOCK);

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	lh_vindex_refuse_pgvector(index, BufferGetPage(buffer), PGVECTOR_MAGIC);
	hnsw_check_page(index, buffer, HNSW_PAGE_META);
	*meta = *HnswPageMeta(BufferGetPage(buffer));
	UnlockReleaseBuffer(buffer);
	if (meta->version != HNSW_VERSION || !meta_is_sound(meta))
		lh_vindex_refuse_meta(index);
}

/* Where searches start; 0 when the graph is empty. */
void
hnsw_entry(HnswGraph *g, uint32 *entry, int *level)
{
	Buffer		buffer;

	if (g->arena)
	{
		*entry = g->arena->entry;
		*level = g->arena->entry_level;
		return;
	}
	buffer = hnsw_read_page(g, HNSW_META_BLOCK, HNSW_PAGE_META, BUFFER_LOCK_SHARE);
	*entry = HnswPageMeta(BufferGetPage(buffer))->entry;
	*level = Min(HnswPageMeta(BufferGetPage(buffer))->entry_level, HNSW_MAX_LEVEL);
	UnlockReleaseBuffer(buffer);
}

/* ---- where blocks stand in shared buffers ---- */

#define N_HINTS 32

/* Nodes seen that a graph lists; where there are more, it forgets them by clearing all bits. */
#define MAX_VISITED_IDS 8192

static HnswHints hints[N_HINTS];
static uint64 hints_clock;

/* What is remembered of a relation; what is remembered of the one unused longest goes. */
HnswHints *
hnsw_hints_of(Relation relation)
{
	HnswHints  *oldest = &hints[0];

	for (int i = 0; i < N_HINTS; i++)
	{
		if (hints[i].buffers && RelFileNodeEquals(hints[i].file, relation->rd_node))
		{
			hints[i].used = ++hints_clock;
			return &hints[i];
		}
		if (hints[i].used < oldest->used)
			oldest = &hints[i];
	}
	if (oldest->idle)
		MemoryContextDelete(oldest->idle->context);
	oldest->idle = NULL;
	oldest->file = relation->rd_node;
	oldest->n_blocks = 0;
	oldest->used = ++hints_clock;
	return oldest;
}

void
hnsw_hints_grow(HnswHints *h, BlockNumber n_blocks)
{
	BlockNumber n = n_blocks + n_blocks / 8 + 64;
	Size		bytes = sizeof(Buffer) * (Size) n;

	h->buffers = h->buffers ? repalloc_huge(h->buffers, bytes) :
		MemoryContextAllocHuge(TopMemoryContext, bytes);
	memset(h->buffers + h->n_blocks, 0, sizeof(Buffer) * (Size) (n - h->n_blocks));
	h->n_blocks = n;
}

/*
 * A block's page, not pinned: what is read there is a hint, to be checked.
 * NULL if there is no such block.
 */
char *
hnsw_peek_slow(HnswGraph *g, BlockNumber block)
{
	Buffer		buffer;
	char	   *page;

	if (block >= g->hints->n_blocks)
	{
		BlockNumber n_blocks = RelationGetNumberOfBlocks(g->index);

		if (block >= n_blocks)
			return NULL;
		hnsw_hints_grow(g->hints, n_blocks);
	}
	buffer = ReadBuffer(g->index, block);
	if (!g->local)
		g->hints->buffers[block] = buffer;
	page = BufferGetPage(buffer);
	if (PageIsNew(page) || HnswTail(page)->page_id != HNSW_PAGE_ID)
		hnsw_check_page(g->index, buffer, HNSW_PAGE_NODE);
	ReleaseBuffer(buffer);
	return page;
}

/* A pinned and locked page; lock 0 only pins. */
Buffer
hnsw_read_page(HnswGraph *g, BlockNumber block, int kind, int lock)
{
	HnswHints  *h = g->hints;
	Buffer		buffer = InvalidBuffer;

	g->counters.pages++;
	if (!g->local && block < h->n_blocks && h->buffers[block] != InvalidBuffer &&
		ReadRecentBuffer(g->file, MAIN_FORKNUM, block, h->buffers[block]))
		buffer = h->buffers[block];
	if (!BufferIsValid(buffer))
	{
		buffer = ReadBuffer(g->index, block);
		if (!g->local && block < h->n_blocks)
			h->buffers[block] = buffer;
	}
	if (lock)
		LockBuffer(buffer, lock);
	if (unlikely(HnswTail(BufferGetPage(buffer))->kind != kind))
		hnsw_check_page(g->index, buffer, kind);
	return buffer;
}

/* A new page at the end of the index, locked exclusively and not yet initialised. */
Buffer
hnsw_new_page(HnswGraph *g, int kind)
{
	return lh_vindex_new_page(g->index, MAIN_FORKNUM);
}

/* ---- writing ---- */

/*
 * A change of up to MAX_GENERIC_XLOG_PAGES pages, whose buffers the caller has
 * locked exclusively.  While an index is built nothing is logged: the build
 * logs all of it at its end.
 */
void
hnsw_write_begin(HnswWrite *w, HnswGraph *g)
{
	w->g = g;
	w->n = 0;
	w->xlog = g->building ? NULL : GenericXLogStart(g->index);
}

Page
hnsw_write_page(HnswWrite *w, Buffer buffer, bool fresh)
{
	w->buffers[w->n++] = buffer;
	if (w->xlog)
		return GenericXLogRegisterBuffer(w->xlog, buffer, fresh ? GENERIC_XLOG_FULL_IMAGE : 0);
	return BufferGetPage(buffer);
}

void
hnsw_write_end(HnswWrite *w)
{
	if (w->xlog)
		GenericXLogFinish(w->xlog);
	else
		for (int i = 0; i < w->n; i++)
			MarkBufferDirty(w->buffers[i]);
}

/* ---- opening ---- */

static void
setup(HnswGraph *g, const HnswMeta *meta, const float *mean, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);

	memset(g, 0, sizeof(*g));
	g->context = context;
	g->meta = *meta;
	g->m = meta->m;
	g->ef_construction = meta->ef_construction;
	hnsw_codec_init(&g->codec, meta, mean);
	g->links_at = sizeof(HnswNode) + meta->code_bytes;
	g->node_bytes = g->links_at + 2 * g->m * sizeof(uint32);
	g->upper_bytes = offsetof(HnswUpper, links) + g->m * sizeof(uint32);
	g->nodes_per_page = HNSW_PAGE_SPACE / g->node_bytes;
	g->uppers_per_page = HNSW_PAGE_SPACE / g->upper_bytes;
	g->id_shift = meta->id_shift;
	g->slot_mask = (1U << meta->id_shift) - 1;
	g->visited.max = MAX_VISITED_IDS;
	g->visited.ids = palloc(sizeof(uint32) * g->visited.max);
	g->scratch_bytes = Max(g->codec.value_bytes, BLCKSZ);
	g->scratch = palloc(g->scratch_bytes);
	MemoryContextSwitchTo(old);
}

/* What belongs to this use of the graph. */
static void
attach(HnswGraph *g, Relation index)
{
	g->index = index;
	g->file = index->rd_node;
	g->local = RelationUsesLocalBuffers(index);
	g->hints = hnsw_hints_of(index);
	g->visited.remember = false;
	memset(&g->counters, 0, sizeof(g->counters));
}

/* The mean, read from its item into memory of the context. */
static float *
read_mean(Relation index, const HnswMeta *meta, MemoryContext context)
{
	Size		bytes = sizeof(float) * meta->dims;
	float	   *mean = MemoryContextAlloc(context, bytes);
	HnswGraph	g;
	HnswItem	item;

	setup(&g, meta, NULL, context);
	g.scratch_bytes = Max(g.scratch_bytes, bytes);
	attach(&g, index);
	if (!hnsw_item_read(&g, meta->mean_block, meta->mean_offset, 0, &item, mean) || item.size != bytes)
		ereport(ERROR,
				(errcode(ERRCODE_INDEX_CORRUPTED),
				 errmsg("index \"%s\" has lost its mean", RelationGetRelationName(index)),
				 errhint("Please REINDEX it.")));
	return mean;
}

/* Reads what never changes into rd_amcache, so that a scan need not read pages for it: meta and mean. */
static void
fill_cache(Relation index, MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "hnsw meta", ALLOCSET_DEFAULT_SIZES);
	HnswMeta	meta;
	float	   *mean = NULL;
	Size		mean_bytes;
	char	   *cache;

	hnsw_read_meta(index, &meta);
	mean_bytes = meta.mean_block ? sizeof(float) * meta.dims : 0;
	if (meta.mean_block)
		mean = read_mean(index, &meta, context);
	cache = MemoryContextAlloc(index->rd_indexcxt, sizeof(HnswMeta) + mean_bytes);
	memcpy(cache, &meta, sizeof(HnswMeta));
	if (mean)
		memcpy(cache + sizeof(HnswMeta), mean, mean_bytes);
	index->rd_amcache = cache;
	MemoryContextDelete(context);
}

/* Is the graph of this index, and not of one before that had the same file? */
static bool
is_of(const HnswGraph *g, const HnswMeta *meta, const float *mean)
{
	return memcmp(&g->meta, meta, sizeof(*meta)) == 0 &&
		(mean == NULL || g->codec.mean == NULL || memcmp(g->codec.mean, mean, sizeof(float) * meta->dims) == 0);
}

/*
 * The index's graph on its pages, in a context of its own below `parent`.  A
 * scan or insert before may have left one that is ready.
 */
HnswGraph *
hnsw_open(Relation index, MemoryContext parent)
{
	HnswHints  *h;
	HnswGraph  *g;
	const HnswMeta *meta;
	const float *mean;

	if (index->rd_amcache == NULL)
		fill_cache(index, parent);
	meta = index->rd_amcache;
	mean = meta->mean_block ? (const float *) (meta + 1) : NULL;
	h = hnsw_hints_of(index);
	g = h->idle;
	h->idle = NULL;
	if (g && !is_of(g, meta, mean))
	{
		MemoryContextDelete(g->context);
		g = NULL;
	}
	if (g)
		MemoryContextSetParent(g->context, parent);
	else
	{
		MemoryContext context = AllocSetContextCreate(parent, "hnsw graph", ALLOCSET_DEFAULT_SIZES);

		g = MemoryContextAlloc(context, sizeof(HnswGraph));
		setup(g, meta, mean, context);
	}
	attach(g, index);
	return g;
}

/* Leaves the graph for the next one to open it, or frees it. */
void
hnsw_graph_free(HnswGraph *g)
{
	HnswHints  *h = g->hints;

	if (g->building || h->idle || !RelFileNodeEquals(h->file, g->file))
		MemoryContextDelete(g->context);
	else
	{
		g->index = NULL;
		h->idle = g;
		MemoryContextSetParent(g->context, TopMemoryContext);
	}
}

/* The index's m, for the planner. */
int
hnsw_index_m(Relation index)
{
	HnswMeta	meta;

	if (index->rd_amcache)
		return ((HnswMeta *) index->rd_amcache)->m;
	hnsw_read_meta(index, &meta);
	return meta.m;
}
