/*
 * hnsw_vacuum.c
 *	  VACUUM: takes out heap rows that are gone, elements that have none left,
 *	  and the links to them.
 *
 *	1.	Items lose their dead rows; elements without rows are marked dead, in
 *		item and node, and nobody links to them any more.
 *	2.	Inserts that began before are waited for.
 *	3.	Nodes with links to dead ones get new lists, from what the dead ones
 *		were linked to.
 *	4.	Slots of dead nodes are free for new elements.
 */
#include "postgres.h"

#include "commands/vacuum.h"
#include "miscadmin.h"
#include "storage/indexfsm.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"

#include "hnsw/hnsw_int.h"

#define MAX_TRIES		10

typedef struct Vacuum
{
	HnswGraph  *g;
	IndexVacuumInfo *info;
	IndexBulkDeleteResult *stats;
	IndexBulkDeleteCallback callback;
	void	   *callback_state;
	BlockNumber n_blocks;
	uint64	   *dead;			/* bit a node number */
	uint32		n_dead;
	uint32		best;			/* live node of the highest layer */
	int			best_level;
	HnswKey    *found;			/* candidates for a list, and of a search behind them */
	uint32	   *chains;			/* topmost slots of the nodes freed on a page */
	int			n_chains;
} Vacuum;

static bool
is_dead(const Vacuum *v, uint32 id)
{
	return id >> v->g->id_shift < v->n_blocks && (v->dead[id / 64] >> (id % 64) & 1);
}

static Buffer
read_block(Vacuum *v, BlockNumber block, int lock)
{
	Buffer		buffer = ReadBufferExtended(v->g->index, MAIN_FORKNUM, block, RBM_NORMAL, v->info->strategy);

	LockBuffer(buffer, lock);
	return buffer;
}

static int
page_kind(Buffer buffer)
{
	Page		page = BufferGetPage(buffer);

	return PageIsNew(page) ? 0 : HnswTail(page)->kind;
}

/* ---- 1: rows ---- */

/* Takes dead rows out of an item in the image of its page; true if anything changed. */
static bool
prune_item(Vacuum *v, HnswItem *item)
{
	int			n = 0,
				n_before = Min(item->n_tids, HNSW_TIDS);

	for (int i = 0; i < n_before; i++)
		if (v->callback(&item->tids[i], v->callback_state))
			v->stats->tuples_removed++;
		else
			item->tids[n++] = item->tids[i];
	v->stats->num_index_tuples += n;
	item->n_tids = n;
	if (n == 0 && item->node != 0)
	{
		v->dead[item->node / 64] |= UINT64CONST(1) << (item->node % 64);
		v->n_dead++;
		item->flags |= HNSW_NODE_DEAD;
	}
	return n < n_before;
}

static void
prune_items(Vacuum *v, Buffer buffer)
{
	HnswGraph  *g = v->g;
	Page		page = BufferGetPage(buffer);
	PGAlignedBlock copy;
	uint32		end = ((PageHeader) page)->pd_lower;
	bool		changed = false;

	/* the callback is asked on a copy, so that an unchanged page is not registered */
	memcpy(copy.data, page, BLCKSZ);
	for (uint32 at = HnswTail(page)->first; at >= HNSW_PAGE_START && at + sizeof(HnswItem) <= end;)
	{
		HnswItem   *item = hnsw_item_on(g, copy.data, at);

		/* elements on pages that came after the start have no dead rows yet */
		if (item->node >> g->id_shift < v->n_blocks)
			changed |= prune_item(v, item);
		at += HnswItemSpan(item);
	}
	if (changed)
	{
		HnswWrite	w;

		hnsw_write_begin(&w, g);
		page = hnsw_write_page(&w, buffer, false);
		memcpy((char *) page + HNSW_PAGE_START, copy.data + HNSW_PAGE_START, end - HNSW_PAGE_START);
		hnsw_write_end(&w);
	}
}

/* Items that an earlier VACUUM left dead when it was interrupted are dead still. */
static void
prune_page(Vacuum *v, BlockNumber block)
{
	Buffer		buffer = read_block(v, block, BUFFER_LOCK_EXCLUSIVE);

	if (page_kind(buffer) == HNSW_PAGE_ITEM)
		prune_items(v, buffer);
	UnlockReleaseBuffer(buffer);
}

typedef bool (*NodeFn) (Vacuum *v, HnswNode *node, uint32 id);

/* Changes the nodes of a page that fn wants changed, in one record. */
static bool
change_nodes(Vacuum *v, BlockNumber block, NodeFn fn)
{
	HnswGraph  *g = v->g;
	Buffer		buffer = read_block(v, block, BUFFER_LOCK_EXCLUSIVE);
	PGAlignedBlock copy;
	uint32		end;
	bool		changed = false;

	if (page_kind(buffer) == HNSW_PAGE_NODE)
	{
		memcpy(copy.data, BufferGetPage(buffer), BLCKSZ);
		end = Min(((PageHeader) copy.data)->pd_lower, HNSW_PAGE_START + (uint32) (g->nodes_per_page * g->node_bytes));
		for (uint32 slot = 0; HNSW_PAGE_START + (slot + 1) * g->node_bytes <= end; slot++)
			changed |= fn(v, (HnswNode *) (copy.data + HNSW_PAGE_START + slot * g->node_bytes),
						  block << g->id_shift | slot);
		if (changed)
		{
			HnswWrite	w;
			Page		page;

			hnsw_write_begin(&w, g);
			page = hnsw_write_page(&w, buffer, false);
			memcpy((char *) page + HNSW_PAGE_START, copy.data + HNSW_PAGE_START, end - HNSW_PAGE_START);
			hnsw_write_end(&w);
		}
	}
	UnlockReleaseBuffer(buffer);
	return changed;
}

static bool
mark_dead(Vacuum *v, HnswNode *node, uint32 id)
{
	if (!is_dead(v, id) || (node->flags & (HNSW_NODE_USED | HNSW_NODE_DEAD)) != HNSW_NODE_USED)
	{
		/* left so by a VACUUM that was interrupted */
		if (node->flags & HNSW_NODE_DEAD)
			v->dead[id / 64] |= UINT64CONST(1) << (id % 64);
		return false;
	}
	node->flags |= HNSW_NODE_DEAD;
	return true;
}

/* ---- 3: links ---- */

/* What a list keeps of itself, and the live links of its dead ones. */
static int
gather(Vacuum *v, const HnswQuery *query, int level, const uint32 *links, int n)
{
	HnswGraph  *g = v->g;
	HnswPool	pool = {v->found, 0, HNSW_MAX_EFC, 0};

	hnsw_visited_reset(g);
	for (int i = 0; i < n; i++)
		hnsw_consider(g, query, &pool, HNSW_LINK_NODE(links[i]), v->dead, v->n_blocks);
	for (int i = 0; i < n; i++)
	{
		uint32		far_links[HNSW_MAX_LINKS];
		int			n_far;

		if (!is_dead(v, HNSW_LINK_NODE(links[i])))
			continue;
		n_far = hnsw_links(g, HNSW_LINK_NODE(links[i]), level, far_links);
		for (int k = 0; k < n_far; k++)
			hnsw_consider(g, query, &pool, HNSW_LINK_NODE(far_links[k]), v->dead, v->n_blocks);
	}
	return pool.n;
}

/* What the graph finds near the node, behind the first n candidates; returns how many there are then. */
static int
search_again(Vacuum *v, const HnswQuery *query, int level, int n)
{
	HnswGraph  *g = v->g;
	double		dead_a_live = v->n_dead / Max(v->stats->num_index_tuples, 1);
	HnswPool	pool = {v->found + n, 0, 0, 0};
	uint32		entry;
	int			entry_level,
				n_search = n;

	hnsw_entry(g, &entry, &entry_level);
	if (entry == 0 || level > entry_level)
		return n;
	/* as many live ones as an insert has */
	pool.max = (int) Min(g->ef_construction * (1.5 + dead_a_live), HNSW_MAX_EFC);
	entry = hnsw_descend(g, query, entry, entry_level, level);
	hnsw_seed(g, query, &pool, entry);
	hnsw_search(g, query, level, &pool, NULL);
	for (int i = 0; i < pool.n; i++)
	{
		uint32		other = HnswKeyNode(pool.keys[i]);
		HnswNode   *node = hnsw_peek_node(g, other);

		if (!is_dead(v, other) && node && (node->flags & (HNSW_NODE_USED | HNSW_NODE_DEAD)) == HNSW_NODE_USED)
			v->found[n_search++] = pool.keys[i] & ~HNSW_KEY_DONE;
	}
	return n_search;
}

static int
by_key(const void *a, const void *b)
{
	HnswKey		x = *(const HnswKey *) a;
	HnswKey		y = *(const HnswKey *) b;

	return x < y ? -1 : x > y;
}

/*
 * Candidates for a list that loses its dead links, nearest first.  Where many
 * neighbours have died together, or there are few anyhow, the graph is asked
 * again.
 */
static int
candidates(Vacuum *v, const HnswQuery *query, uint32 id, int level, const uint32 *links, int n, int n_dead)
{
	int			n_gathered = gather(v, query, level, links, n);
	int			n_all = n_gathered,
				n_found = 0;

	if (n_dead * 4 >= n || n < 16)
		n_all = search_again(v, query, level, n_gathered);
	if (n_all > n_gathered)
		qsort(v->found, n_all, sizeof(HnswKey), by_key);
	for (int i = 0; i < n_all && n_found < HNSW_MAX_EFC; i++)
		if (HnswKeyNode(v->found[i]) != id && (n_found == 0 || v->found[i] != v->found[n_found - 1]))
			v->found[n_found++] = v->found[i];
	return n_found;
}

/* The list without dead links; false if there are none in it. */
static bool
repair_list(Vacuum *v, const HnswNode *node, uint32 id, int level, const uint32 *links, int n,
			uint32 *result, int *n_result)
{
	HnswGraph  *g = v->g;
	int			max = HnswMaxLinks(g, level);
	int			n_dead = 0,
				n_found;
	HnswQuery  *query;

	for (int i = 0; i < n; i++)
		n_dead += is_dead(v, HNSW_LINK_NODE(links[i]));
	if (n_dead == 0)
		return false;
	*n_result = 0;
	query = hnsw_node_query(g, node, id);
	if (query == NULL)
		return true;
	n_found = candidates(v, query, id, level, links, n, n_dead);
	*n_result = hnsw_select(g, v->found, n_found, result, max);
	hnsw_node_query_done(query);
	return true;
}

static void
repair_upper(Vacuum *v, const HnswNode *node, uint32 id)
{
	HnswGraph  *g = v->g;
	uint32		slot = node->upper;

	for (int step = 0; step <= HNSW_MAX_LEVEL && slot != 0; step++)
	{
		HnswUpper  *upper;
		Buffer		buffer;
		uint32		before[HNSW_MAX_LINKS],
					after[HNSW_MAX_LINKS];
		int			n_before,
					n_after,
					level;
		uint32		next;

		if (!hnsw_upper_of(g, slot, &level, &next, before, &n_before))
			return;
		if (level > 0 && level <= HNSW_MAX_LEVEL &&
			repair_list(v, node, id, level, before, n_before, after, &n_after))
		{
			HnswWrite	w;

			buffer = hnsw_read_page(g, slot >> HNSW_UPPER_SHIFT, HNSW_PAGE_UPPER, BUFFER_LOCK_EXCLUSIVE);
			hnsw_write_begin(&w, g);
			upper = (HnswUpper *) ((char *) hnsw_write_page(&w, buffer, false) + HNSW_PAGE_START +
								   (slot & ((1 << HNSW_UPPER_SHIFT) - 1)) * g->upper_bytes);
			if (upper->n_links != n_before || memcmp(upper->links, before, n_before * sizeof(uint32)) != 0)
			{
				/* an insert was quicker: its link stays, dead ones go */
				n_after = 0;
				for (int i = 0; i < Min(upper->n_links, g->m); i++)
					if (!is_dead(v, HNSW_LINK_NODE(upper->links[i])))
						after[n_after++] = upper->links[i];
			}
			memcpy(upper->links, after, n_after * sizeof(uint32));
			upper->n_links = n_after;
			hnsw_write_end(&w);
			UnlockReleaseBuffer(buffer);
		}
		slot = next;
	}
}

/* New lists of a page's nodes, as they were when the page was copied. */
typedef struct Repaired
{
	int			n_before;
	int			n_after;		/* -1: nothing to do */
	uint32		after[HNSW_MAX_LINKS];
} Repaired;

static void
apply_repairs(Vacuum *v, BlockNumber block, const char *copy, const Repaired *repaired, int n)
{
	HnswGraph  *g = v->g;
	Buffer		buffer = read_block(v, block, BUFFER_LOCK_EXCLUSIVE);
	HnswWrite	w;
	Page		page;

	hnsw_write_begin(&w, g);
	page = hnsw_write_page(&w, buffer, false);
	for (int slot = 0; slot < n; slot++)
	{
		int			at = HNSW_PAGE_START + slot * g->node_bytes;
		HnswNode   *node = (HnswNode *) ((char *) page + at);
		uint32	   *links = HnswNodeLinks(g, node);
		int			n_links = 0;

		if (repaired[slot].n_after < 0)
			continue;
		if (node->n_links == repaired[slot].n_before &&
			memcmp(links, copy + at + g->links_at, node->n_links * sizeof(uint32)) == 0)
		{
			memcpy(links, repaired[slot].after, repaired[slot].n_after * sizeof(uint32));
			node->n_links = repaired[slot].n_after;
			continue;
		}
		/* an insert was quicker: its link stays, dead ones go */
		for (int i = 0; i < node->n_links; i++)
			if (!is_dead(v, HNSW_LINK_NODE(links[i])))
				links[n_links++] = links[i];
		node->n_links = n_links;
	}
	hnsw_write_end(&w);
	UnlockReleaseBuffer(buffer);
}

static void
repair_page(Vacuum *v, BlockNumber block, Repaired *repaired)
{
	HnswGraph  *g = v->g;
	Buffer		buffer = read_block(v, block, BUFFER_LOCK_SHARE);
	PGAlignedBlock copy;
	bool		nodes = page_kind(buffer) == HNSW_PAGE_NODE;
	bool		changed = false;
	int			n = 0;

	if (nodes)
		memcpy(copy.data, BufferGetPage(buffer), BLCKSZ);
	UnlockReleaseBuffer(buffer);
	if (!nodes)
		return;
	for (; n < g->nodes_per_page &&
		 HNSW_PAGE_START + (uint32) ((n + 1) * g->node_bytes) <= ((PageHeader) copy.data)->pd_lower; n++)
	{
		HnswNode   *node = (HnswNode *) (copy.data + HNSW_PAGE_START + n * g->node_bytes);
		uint32		id = block << g->id_shift | n;
		Repaired   *r = &repaired[n];

		r->n_after = -1;
		if ((node->flags & (HNSW_NODE_USED | HNSW_NODE_DEAD)) != HNSW_NODE_USED)
			continue;
		if (node->level >= v->best_level)
		{
			v->best = id;
			v->best_level = node->level;
		}
		r->n_before = Min(node->n_links, 2 * g->m);
		if (!repair_list(v, node, id, 0, HnswNodeLinks(g, node), r->n_before, r->after, &r->n_after))
			r->n_after = -1;
		changed |= r->n_after >= 0;
		if (node->upper != 0)
			repair_upper(v, node, id);
	}
	if (changed)
		apply_repairs(v, block, copy.data, repaired, n);
}

/* The graph must not start at a dead node. */
static void
repair_entry(Vacuum *v)
{
	HnswGraph  *g = v->g;
	Buffer		buffer;
	HnswMeta   *meta;

	LockPage(g->index, HNSW_UPDATE_LOCK, ExclusiveLock);
	buffer = hnsw_read_page(g, HNSW_META_BLOCK, HNSW_PAGE_META, BUFFER_LOCK_EXCLUSIVE);
	if (is_dead(v, HnswPageMeta(BufferGetPage(buffer))->entry))
	{
		HnswWrite	w;

		hnsw_write_begin(&w, g);
		meta = HnswPageMeta(hnsw_write_page(&w, buffer, false));
		meta->entry = v->best;
		meta->entry_level = v->best ? v->best_level : 0;
		hnsw_write_end(&w);
	}
	UnlockReleaseBuffer(buffer);
	UnlockPage(g->index, HNSW_UPDATE_LOCK, ExclusiveLock);
}

/* ---- 4: slots ---- */

/* The item stays with the slot, for the next element. */
static bool
free_node(Vacuum *v, HnswNode *node, uint32 id)
{
	if (!is_dead(v, id) || !(node->flags & HNSW_NODE_DEAD))
		return false;
	node->flags = 0;
	node->n_links = 0;
	node->level = 0;
	if (node->upper != 0)
		v->chains[v->n_chains++] = node->upper;
	node->upper = 0;
	return true;
}

/* Gives a chain of higher layers' slots, which no node has any more, to new elements. */
static void
free_chain(Vacuum *v, uint32 chain)
{
	HnswGraph  *g = v->g;
	uint32		last = chain;
	Buffer		buffer,
				meta;
	HnswWrite	w;
	HnswUpper  *upper;
	HnswMeta   *m;
	uint32		next = chain;
	int			level;

	for (int step = 0; step <= HNSW_MAX_LEVEL && next != 0; step++)
	{
		last = next;
		if (!hnsw_upper_of(g, last, &level, &next, NULL, NULL))
			return;
	}
	buffer = hnsw_read_page(g, last >> HNSW_UPPER_SHIFT, HNSW_PAGE_UPPER, BUFFER_LOCK_EXCLUSIVE);
	meta = hnsw_read_page(g, HNSW_META_BLOCK, HNSW_PAGE_META, BUFFER_LOCK_EXCLUSIVE);
	hnsw_write_begin(&w, g);
	upper = (HnswUpper *) ((char *) hnsw_write_page(&w, buffer, false) + HNSW_PAGE_START +
						   (last & ((1 << HNSW_UPPER_SHIFT) - 1)) * g->upper_bytes);
	m = HnswPageMeta(hnsw_write_page(&w, meta, false));
	upper->next = m->upper_free;
	m->upper_free = chain;
	hnsw_write_end(&w);
	UnlockReleaseBuffer(meta);
	UnlockReleaseBuffer(buffer);
}

/* A crash between the two loses slots, the other way round would give them away twice. */
static void
free_page(Vacuum *v, BlockNumber block)
{
	v->n_chains = 0;
	if (change_nodes(v, block, free_node))
		RecordFreeIndexPage(v->g->index, block);
	for (int i = 0; i < v->n_chains; i++)
		free_chain(v, v->chains[i]);
}

/* ---- the callbacks ---- */

static void
wait_for_inserts(HnswGraph *g)
{
	LockPage(g->index, HNSW_UPDATE_LOCK, ExclusiveLock);
	UnlockPage(g->index, HNSW_UPDATE_LOCK, ExclusiveLock);
}

IndexBulkDeleteResult *
hnsw_bulk_delete(IndexVacuumInfo *info, IndexBulkDeleteResult *stats, IndexBulkDeleteCallback callback, void *state)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "hnsw vacuum", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	Vacuum		v = {0};
	Repaired   *repaired;

	if (stats == NULL)
		stats = palloc0(sizeof(IndexBulkDeleteResult));
	old = MemoryContextSwitchTo(context);
	v.g = hnsw_open(info->index, context);
	v.info = info;
	v.stats = stats;
	v.callback = callback;
	v.callback_state = state;
	v.n_blocks = RelationGetNumberOfBlocks(info->index);
	v.dead = MemoryContextAllocExtended(context, (((Size) v.n_blocks << v.g->id_shift) / 64 + 1) * sizeof(uint64),
										MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	v.found = palloc(sizeof(HnswKey) * 2 * HNSW_MAX_EFC);
	v.chains = palloc(sizeof(uint32) * v.g->nodes_per_page);
	v.best_level = -1;
	stats->num_index_tuples = 0;

	for (BlockNumber block = 1; block < v.n_blocks; block++)
	{
		lh_vacuum_delay_point();
		prune_page(&v, block);
	}
	for (BlockNumber block = 1; block < v.n_blocks; block++)
	{
		lh_vacuum_delay_point();
		change_nodes(&v, block, mark_dead);
	}
	wait_for_inserts(v.g);
	repaired = palloc(sizeof(Repaired) * v.g->nodes_per_page);
	for (BlockNumber block = 1; block < v.n_blocks; block++)
	{
		lh_vacuum_delay_point();
		repair_page(&v, block, repaired);
	}
	repair_entry(&v);
	for (BlockNumber block = 1; block < v.n_blocks; block++)
	{
		lh_vacuum_delay_point();
		free_page(&v, block);
	}
	hnsw_graph_free(v.g);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return stats;
}

IndexBulkDeleteResult *
hnsw_vacuum_cleanup(IndexVacuumInfo *info, IndexBulkDeleteResult *stats)
{
	if (info->analyze_only || stats == NULL)
		return stats;
	IndexFreeSpaceMapVacuum(info->index);
	stats->num_pages = RelationGetNumberOfBlocks(info->index);
	return stats;
}
