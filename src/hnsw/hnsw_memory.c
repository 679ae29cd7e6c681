/*
 * hnsw_memory.c
 *	  The graph while it is built in memory, by one process or by several in
 *	  shared memory, and writing it to pages.
 *
 * Nodes are the same bytes as on pages, numbered from 1.  Readers take no
 * locks: a list of links is read while another process may write it, which
 * gives old or new links.  Writers of a list hold its lock byte.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/spin.h"

#include "hnsw/hnsw_int.h"

/* Lists that are asked for before one of them changes. */
#define LISTS_AHEAD		4

/* Slots kept free for the other processes' next elements. */
#define RESERVE			64

static void
lock_list(uint8 *lock)
{
	SpinDelayStatus delay;

	init_local_spin_delay(&delay);
	while (__atomic_test_and_set(lock, __ATOMIC_ACQUIRE))
		perform_spin_delay(&delay);
	finish_spin_delay(&delay);
}

static void
unlock_list(uint8 *lock)
{
	__atomic_clear(lock, __ATOMIC_RELEASE);
}

static HnswUpper *
find_upper(HnswGraph *g, HnswNode *node, int level)
{
	HnswUpper  *upper = hnsw_peek_upper(g, node->upper);

	while (upper && upper->level != level)
		upper = hnsw_peek_upper(g, upper->next);
	return upper;
}

/* Asks for the list of a node on layer 0, and what belongs to it. */
static void
prefetch_list(HnswGraph *g, uint32 id)
{
	HnswNode   *node = hnsw_peek_node(g, id);

	hnsw_prefetch(node, sizeof(HnswNode));
	hnsw_prefetch(HnswNodeLinks(g, node), 2 * g->m * sizeof(uint32));
	hnsw_prefetch(g->distances + (Size) id * 2 * g->m, 2 * g->m * sizeof(float));
}

static void
link_back(HnswGraph *g, HnswElement *e, uint32 id, int level)
{
	for (int i = 0; i < e->n_links[level]; i++)
	{
		uint32		other = HNSW_LINK_NODE(e->links[level][i]);
		HnswNode   *node = hnsw_peek_node(g, other);
		HnswUpper  *upper = level > 0 ? find_upper(g, node, level) : NULL;
		uint32	   *links = upper ? upper->links : HnswNodeLinks(g, node);
		uint8	   *n_links = upper ? &upper->n_links : &node->n_links;
		uint8	   *lock = upper ? &upper->lock : &node->lock;
		float	   *known = upper ? NULL : g->distances + (Size) other * 2 * g->m;
		uint32		result[HNSW_MAX_LINKS];
		int			n;

		if (level == 0 && i + LISTS_AHEAD < e->n_links[0])
			prefetch_list(g, HNSW_LINK_NODE(e->links[0][i + LISTS_AHEAD]));
		if (level > 0 && upper == NULL)
			continue;
		lock_list(lock);
		if (hnsw_link_add(g, node, other, links, *n_links, HnswMaxLinks(g, level), &e->query, id,
						  known, result, &n))
		{
			memcpy(links, result, n * sizeof(uint32));
			*n_links = n;
		}
		unlock_list(lock);
	}
}

static uint32
store(HnswGraph *g, HnswElement *e, ItemPointer tid)
{
	uint32		id = pg_atomic_fetch_add_u32(&g->arena->n_nodes, 1) + 1;
	HnswNode   *node = hnsw_peek_node(g, id);

	hnsw_item_append(g, tid, e->value, g->codec.store_value ? e->bytes : 0,
					 &e->node->item_block, &e->node->item_offset);
	for (int level = 1; level <= e->level; level++)
	{
		uint32		slot = pg_atomic_fetch_add_u32(&g->arena->n_uppers, 1) + 1;
		HnswUpper  *upper = hnsw_peek_upper(g, slot);

		memset(upper, 0, g->upper_bytes);
		upper->level = level;
		upper->next = e->node->upper;
		upper->n_links = e->n_links[level];
		memcpy(upper->links, e->links[level], e->n_links[level] * sizeof(uint32));
		e->node->upper = slot;
	}
	e->node->n_links = e->n_links[0];
	memcpy(HnswNodeLinks(g, e->node), e->links[0], e->n_links[0] * sizeof(uint32));
	memcpy(node, e->node, g->node_bytes);
	for (int i = 0; i < e->n_links[0]; i++)
		g->distances[(Size) id * 2 * g->m + i] = hnsw_known_distance(g, &e->query, HNSW_LINK_NODE(e->links[0][i]));
	pg_write_barrier();
	return id;
}

/*
 * Puts a row into the graph in memory; false if there is no room for it.
 * entry_lock is NULL when nobody else builds.
 */
bool
hnsw_memory_insert(HnswGraph *g, ItemPointer tid, const void *value, uint32 bytes, LWLock *entry_lock)
{
	HnswArena  *arena = g->arena;
	HnswElement e;
	uint32		entry,
				id;
	int			entry_level;

	if (pg_atomic_read_u32(&arena->n_nodes) + RESERVE > arena->max_nodes ||
		pg_atomic_read_u32(&arena->n_uppers) + RESERVE * (HNSW_MAX_LEVEL + 1) > arena->max_uppers)
		return false;
	hnsw_element(g, tid, value, bytes, &e);
	if (entry_lock)
		LWLockAcquire(entry_lock, LW_SHARED);
	hnsw_entry(g, &entry, &entry_level);
	if (entry_lock && (entry == 0 || e.level > entry_level))
	{
		LWLockRelease(entry_lock);
		LWLockAcquire(entry_lock, LW_EXCLUSIVE);
		hnsw_entry(g, &entry, &entry_level);
	}
	if (entry != 0)
		hnsw_find_links(g, &e, entry, entry_level);
	if (entry == 0 || !hnsw_add_duplicate(g, &e, tid))
	{
		id = store(g, &e, tid);
		for (int level = 0; level <= e.level; level++)
			link_back(g, &e, id, level);
		if (entry == 0 || e.level > entry_level)
		{
			arena->entry_level = e.level;
			arena->entry = id;
		}
	}
	if (entry_lock)
		LWLockRelease(entry_lock);
	return true;
}

/* ---- writing the graph to pages ---- */

typedef struct Layout
{
	BlockNumber first_node;
	BlockNumber first_upper;
} Layout;

static uint32
page_node(HnswGraph *g, const Layout *layout, uint32 id)
{
	uint32		i = id - 1;

	return (layout->first_node + i / g->nodes_per_page) << g->id_shift | i % g->nodes_per_page;
}

static uint32
page_upper(HnswGraph *g, const Layout *layout, uint32 slot)
{
	uint32		i = slot - 1;

	return slot == 0 ? 0 :
		(layout->first_upper + i / g->uppers_per_page) << HNSW_UPPER_SHIFT | i % g->uppers_per_page;
}

static void
translate_links(HnswGraph *g, const Layout *layout, uint32 *links, int n)
{
	for (int i = 0; i < n; i++)
		links[i] = page_node(g, layout, HNSW_LINK_NODE(links[i])) | (links[i] & HNSW_LINK_FILLER);
}

/* Writes n slots of one kind to new pages; returns the last block. */
static BlockNumber
write_slots(HnswGraph *g, const Layout *layout, int kind, uint32 n)
{
	bool		nodes = kind == HNSW_PAGE_NODE;
	int			bytes = nodes ? g->node_bytes : g->upper_bytes;
	uint32		per_page = nodes ? g->nodes_per_page : g->uppers_per_page;
	BlockNumber block = 0;

	for (uint32 done = 0; done < n; done += per_page)
	{
		uint32		part = Min(per_page, n - done);
		Buffer		buffer = hnsw_new_page(g, kind);
		Page		page = BufferGetPage(buffer);
		char	   *slots = (char *) page + HNSW_PAGE_START;

		CHECK_FOR_INTERRUPTS();
		block = BufferGetBlockNumber(buffer);
		if (block != (nodes ? layout->first_node : layout->first_upper) + done / per_page)
			elog(ERROR, "block %u of index \"%s\" came out of turn", block, RelationGetRelationName(g->index));
		hnsw_init_page(page, kind);
		if (nodes && done > 0)
			HnswTail(page)->previous = block - 1;
		memcpy(slots, (nodes ? g->nodes : g->uppers) + (Size) (done + 1) * bytes, (Size) part * bytes);
		for (uint32 i = 0; i < part; i++)
			if (nodes)
			{
				HnswNode   *node = (HnswNode *) (slots + i * bytes);

				node->upper = page_upper(g, layout, node->upper);
				translate_links(g, layout, HnswNodeLinks(g, node), node->n_links);
			}
			else
			{
				HnswUpper  *upper = (HnswUpper *) (slots + i * bytes);

				upper->next = page_upper(g, layout, upper->next);
				translate_links(g, layout, upper->links, upper->n_links);
			}
		((PageHeader) page)->pd_lower = HNSW_PAGE_START + part * bytes;
		MarkBufferDirty(buffer);
		UnlockReleaseBuffer(buffer);
	}
	return block;
}

/* Tells the items whose they are; nodes that follow each other mostly have items that do. */
static void
own_items(HnswGraph *g, const Layout *layout, uint32 n)
{
	Buffer		buffer = InvalidBuffer;

	for (uint32 id = 1; id <= n; id++)
	{
		HnswNode   *node = (HnswNode *) (g->nodes + (Size) id * g->node_bytes);

		if (!BufferIsValid(buffer) || BufferGetBlockNumber(buffer) != node->item_block)
		{
			if (BufferIsValid(buffer))
				UnlockReleaseBuffer(buffer);
			CHECK_FOR_INTERRUPTS();
			buffer = hnsw_read_page(g, node->item_block, HNSW_PAGE_ITEM, BUFFER_LOCK_EXCLUSIVE);
			MarkBufferDirty(buffer);
		}
		hnsw_item_on(g, BufferGetPage(buffer), node->item_offset)->node = page_node(g, layout, id);
	}
	if (BufferIsValid(buffer))
		UnlockReleaseBuffer(buffer);
}

/* Writes the graph in memory to pages; from then on it is there.  Nobody else works on it. */
void
hnsw_memory_flush(HnswGraph *g)
{
	HnswArena  *arena = g->arena;
	uint32		n_nodes = pg_atomic_read_u32(&arena->n_nodes);
	uint32		n_uppers = pg_atomic_read_u32(&arena->n_uppers);
	Layout		layout;
	BlockNumber node_tail,
				upper_tail;
	Buffer		buffer;
	HnswMeta   *meta;

	layout.first_node = RelationGetNumberOfBlocks(g->index);
	layout.first_upper = layout.first_node + (n_nodes + g->nodes_per_page - 1) / g->nodes_per_page;
	if (layout.first_upper > HNSW_MAX_NODE >> g->id_shift || layout.first_upper > PG_UINT32_MAX >> (HNSW_UPPER_SHIFT + 1))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("index \"%s\" cannot have more blocks", RelationGetRelationName(g->index))));
	own_items(g, &layout, n_nodes);
	node_tail = write_slots(g, &layout, HNSW_PAGE_NODE, n_nodes);
	upper_tail = write_slots(g, &layout, HNSW_PAGE_UPPER, n_uppers);

	g->arena = NULL;
	buffer = hnsw_read_page(g, HNSW_META_BLOCK, HNSW_PAGE_META, BUFFER_LOCK_EXCLUSIVE);
	meta = HnswPageMeta(BufferGetPage(buffer));
	meta->entry = arena->entry ? page_node(g, &layout, arena->entry) : 0;
	meta->entry_level = arena->entry_level;
	meta->node_tail = node_tail;
	meta->upper_tail = upper_tail;
	MarkBufferDirty(buffer);
	UnlockReleaseBuffer(buffer);
	arena->flushed = true;
}
