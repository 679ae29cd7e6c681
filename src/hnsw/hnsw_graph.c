/*
 * hnsw_graph.c
 *	  Searching the graph, in memory while it is built and on pages.
 *
 * On pages nothing is pinned or locked while searching: a shared buffer's
 * memory is always there, a block's last known buffer is checked against the
 * buffer's tag, and what is read is taken for a hint.  A wrong code or link
 * costs at most a detour, since node numbers are checked before use and every
 * result is read again, locked, before anybody sees it.  README.md has the
 * argument.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/buf_internals.h"

#include "hnsw/hnsw_int.h"
#include "types/pg_compat.h"

/* ---- access to nodes ---- */

static inline char *
peek_page(HnswGraph *g, BlockNumber block)
{
	if (likely(block < g->hints->n_blocks) && !g->local)
	{
		Buffer		buffer = g->hints->buffers[block];

		if (likely(buffer > 0) && likely(lh_buffer_holds(buffer, &g->file, block)))
			return BufferGetPage(buffer);
	}
	return hnsw_peek_slow(g, block);
}

static inline HnswNode *
peek_node(HnswGraph *g, uint32 id)
{
	uint32		slot;
	char	   *page;

	if (g->arena)
		return (HnswNode *) (g->nodes + (Size) id * g->node_bytes);
	slot = id & g->slot_mask;
	if (unlikely(slot >= (uint32) g->nodes_per_page || id >> g->id_shift == HNSW_META_BLOCK))
		return NULL;
	page = peek_page(g, id >> g->id_shift);
	return unlikely(page == NULL) ? NULL :
		(HnswNode *) (page + HNSW_PAGE_START + slot * g->node_bytes);
}

/*
 * Was the page of this block still where we found it, when we had read it?
 * If not, what was read may have been anything.
 */
static inline bool
still_there(HnswGraph *g, BlockNumber block, const void *address)
{
	Buffer		buffer;

	if (g->arena || g->local)
		return true;
	pg_read_barrier();
	buffer = g->hints->buffers[block];
	return buffer > 0 && lh_buffer_holds(buffer, &g->file, block) &&
		(const char *) address - (char *) BufferGetPage(buffer) < BLCKSZ &&
		(const char *) address >= (char *) BufferGetPage(buffer);
}

/* A node as a hint: NULL if its number is none. */
HnswNode *
hnsw_peek_node(HnswGraph *g, uint32 id)
{
	return peek_node(g, id);
}

/* The same for a slot of a higher layer. */
HnswUpper *
hnsw_peek_upper(HnswGraph *g, uint32 id)
{
	uint32		slot = id & ((1U << HNSW_UPPER_SHIFT) - 1);
	char	   *page;

	if (id == 0)
		return NULL;
	if (g->arena)
		return (HnswUpper *) (g->uppers + (Size) id * g->upper_bytes);
	if (slot >= (uint32) g->uppers_per_page || id >> HNSW_UPPER_SHIFT == HNSW_META_BLOCK)
		return NULL;
	page = peek_page(g, id >> HNSW_UPPER_SHIFT);
	return page == NULL ? NULL : (HnswUpper *) (page + HNSW_PAGE_START + slot * g->upper_bytes);
}

/*
 * Pages that nobody pins would look unused to the clock that looks for buffers
 * to evict: a hop counts as a use, though not every time.
 */
static void
touch(HnswGraph *g, BlockNumber block)
{
	Buffer		buffer;

	if (g->arena || g->local || block >= g->hints->n_blocks)
		return;
	buffer = g->hints->buffers[block];
	if (buffer > 0 && lh_buffer_usage(buffer) < BM_MAX_USAGE_COUNT - 2)
		ReleaseBuffer(ReadBuffer(g->index, block));
}

/* Slot of the topmost higher layer of a node, 0 if it has none. */
static uint32
top_upper(HnswGraph *g, uint32 id)
{
	HnswNode   *node;
	uint32		slot;

	do
	{
		node = peek_node(g, id);
		if (node == NULL)
			return 0;
		slot = node->upper;
	} while (unlikely(!still_there(g, id >> g->id_shift, node)));
	return slot;
}

/* What a slot of a higher layer says: level and the slot below; its links where they are wanted. */
bool
hnsw_upper_of(HnswGraph *g, uint32 slot, int *level, uint32 *next, uint32 *links, int *n_links)
{
	HnswUpper  *upper;

	do
	{
		upper = hnsw_peek_upper(g, slot);
		if (upper == NULL)
			return false;
		*level = upper->level;
		*next = upper->next;
		if (links)
		{
			*n_links = Min(upper->n_links, g->m);
			memcpy(links, upper->links, *n_links * sizeof(uint32));
		}
	} while (unlikely(!still_there(g, slot >> HNSW_UPPER_SHIFT, upper)));
	return true;
}

/* A node's slot of a layer, 0 if it has none there. */
uint32
hnsw_upper_slot(HnswGraph *g, uint32 id, int level)
{
	uint32		slot = top_upper(g, id);

	for (int step = 0; step <= HNSW_MAX_LEVEL; step++)
	{
		int			slot_level;
		uint32		next;

		if (!hnsw_upper_of(g, slot, &slot_level, &next, NULL, NULL))
			return 0;
		if (slot_level == level)
			return slot;
		slot = next;
	}
	return 0;
}

/* Copies the links of a node on a layer; without it on that layer, none. */
int
hnsw_links(HnswGraph *g, uint32 id, int level, uint32 *links)
{
	HnswNode   *node;
	uint32		next;
	int			slot_level,
				n;

	if (level > 0)
		return hnsw_upper_of(g, hnsw_upper_slot(g, id, level), &slot_level, &next, links, &n) && slot_level == level ? n : 0;
	do
	{
		node = peek_node(g, id);
		if (node == NULL)
			return 0;
		n = Min(node->n_links, 2 * g->m);
		memcpy(links, HnswNodeLinks(g, node), n * sizeof(uint32));
	} while (unlikely(!still_there(g, id >> g->id_shift, node)));
	return n;
}

/* ---- distances ---- */

/* Where a node's item is; false if the number is of no node. */
bool
hnsw_item_of(HnswGraph *g, uint32 id, BlockNumber *block, uint16 *offset)
{
	HnswNode   *node;

	do
	{
		node = peek_node(g, id);
		if (node == NULL)
			return false;
		*block = node->item_block;
		*offset = node->item_offset;
	} while (unlikely(!still_there(g, id >> g->id_shift, node)));
	return *block != 0;
}

/* Exact distance to a node whose value is only in its item. */
static float
item_distance(HnswGraph *g, const HnswQuery *query, uint32 id)
{
	HnswItem	item;
	BlockNumber block;
	uint16		offset;

	/* items of nodes that are still in memory only belong to nobody */
	if (!hnsw_item_of(g, id, &block, &offset) ||
		!hnsw_item_read(g, block, offset, g->arena ? 0 : id, &item, g->scratch))
		return get_float4_infinity();
	return hnsw_codec_exact(&g->codec, query, g->scratch, item.size);
}

/* Distance of a node that was just looked up; again if its page has gone while we read it. */
static inline float
node_distance(HnswGraph *g, const HnswQuery *query, const HnswNode *node, uint32 id)
{
	for (;;)
	{
		bool		partial = (node->flags & HNSW_NODE_PARTIAL) != 0;
		float		distance = unlikely(partial) ? 0 : hnsw_codec_score(&g->codec, query, node);

		if (likely(still_there(g, id >> g->id_shift, node)))
			return unlikely(partial) ? item_distance(g, query, id) : distance;
		node = peek_node(g, id);
		if (node == NULL)
			return get_float4_infinity();
	}
}

float
hnsw_distance(HnswGraph *g, const HnswQuery *query, uint32 id)
{
	HnswNode   *node = peek_node(g, id);

	return node ? node_distance(g, query, node, id) : get_float4_infinity();
}

/* Asks for the memory of an item that will be read soon, where it is in a buffer already. */
void
hnsw_prefetch_item(HnswGraph *g, uint32 id)
{
	HnswNode   *node = peek_node(g, id);
	BlockNumber block = node ? node->item_block : 0;

	if (block != 0 && !g->local && block < g->hints->n_blocks && g->hints->buffers[block] > 0)
		hnsw_prefetch(BufferGetPage(g->hints->buffers[block]) + Min(node->item_offset, HNSW_PAGE_END - 512),
					  sizeof(HnswItem) + g->codec.value_bytes);
}

/* ---- nodes seen ---- */

void
hnsw_visited_reset(HnswGraph *g, uint32 expected)
{
	HnswVisited *v = &g->visited;
	uint32		size = 1024;

	while (size < expected * 2 && size < (1U << 24))
		size *= 2;
	if (size > v->mask + 1 || size * 8 <= v->mask + 1)
	{
		pfree(v->slots);
		v->slots = MemoryContextAllocHuge(g->context, sizeof(HnswSeen) * (Size) size);
		v->mask = size - 1;
	}
	memset(v->slots, 0, sizeof(HnswSeen) * ((Size) v->mask + 1));
	v->n = 0;
}

/* The slot of a node, or the free one where it belongs. */
static inline HnswSeen *
seen_slot(const HnswVisited *v, uint32 id)
{
	uint32		at = (id * 0x9e3779b1U) >> 7 & v->mask;

	while (v->slots[at].id != 0 && v->slots[at].id != id)
		at = (at + 1) & v->mask;
	return &v->slots[at];
}

static void
visited_grow(HnswGraph *g)
{
	HnswVisited *v = &g->visited;
	HnswSeen   *old = v->slots;
	uint32		old_size = v->mask + 1;

	v->mask = old_size * 2 - 1;
	v->slots = MemoryContextAllocExtended(g->context, sizeof(HnswSeen) * ((Size) v->mask + 1),
										  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (uint32 i = 0; i < old_size; i++)
		if (old[i].id != 0)
			*seen_slot(v, old[i].id) = old[i];
	pfree(old);
}

/* The node's slot the first time, else NULL. */
static inline HnswSeen *
visit(HnswGraph *g, uint32 id)
{
	HnswSeen   *slot = seen_slot(&g->visited, id);

	if (slot->id != 0)
		return NULL;
	slot->id = id;
	slot->distance = get_float4_infinity();
	g->visited.n++;
	return slot;
}

/* How far a node was in the last search, if it was seen there. */
bool
hnsw_seen(HnswGraph *g, uint32 id, float *distance)
{
	const HnswSeen *slot = seen_slot(&g->visited, id);

	*distance = slot->distance;
	return slot->id != 0;
}

/* ---- candidates ---- */

void
hnsw_rest_push(HnswRest *rest, HnswKey key)
{
	int64		at;

	if (!rest->keep)
		return;
	if (rest->n == rest->max)
	{
		rest->max = Max(rest->max * 2, 1024);
		rest->keys = rest->keys ? repalloc_huge(rest->keys, sizeof(HnswKey) * rest->max) :
			palloc_extended(sizeof(HnswKey) * rest->max, MCXT_ALLOC_HUGE);
	}
	at = rest->n++;
	while (at > 0 && rest->keys[(at - 1) / 2] > key)
	{
		rest->keys[at] = rest->keys[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	rest->keys[at] = key;
}

/* The nearest; the caller knows that there is one. */
HnswKey
hnsw_rest_pop(HnswRest *rest)
{
	HnswKey		top = rest->keys[0];
	HnswKey		last = rest->keys[--rest->n];
	int64		at = 0;

	for (;;)
	{
		int64		child = 2 * at + 1;

		if (child >= rest->n)
			break;
		if (child + 1 < rest->n && rest->keys[child + 1] < rest->keys[child])
			child++;
		if (last <= rest->keys[child])
			break;
		rest->keys[at] = rest->keys[child];
		at = child;
	}
	rest->keys[at] = last;
	return top;
}

/* Puts a candidate where it belongs; what falls out goes to the rest. */
void
hnsw_pool_add(HnswPool *pool, HnswRest *rest, HnswKey key)
{
	int			low = 0,
				high = pool->n;

	if (pool->n == pool->max)
	{
		if (key >= pool->keys[pool->n - 1])
		{
			if (rest)
				hnsw_rest_push(rest, key);
			return;
		}
		if (rest)
			hnsw_rest_push(rest, pool->keys[pool->n - 1]);
		pool->n--;
		high = pool->n;
	}
	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (pool->keys[middle] < key)
			low = middle + 1;
		else
			high = middle;
	}
	memmove(pool->keys + low + 1, pool->keys + low, sizeof(HnswKey) * (pool->n - low));
	pool->keys[low] = key;
	pool->n++;
	pool->next = Min(pool->next, low);
}

/* ---- searching ---- */

/*
 * Reads the links of a node and puts those not seen yet into the pool.  Works
 * in passes over all of them, so that the memory they need comes in at once.
 */
static void
hop(HnswGraph *g, const HnswQuery *query, uint32 id, int level, HnswPool *pool, HnswRest *rest)
{
	uint32		links[HNSW_MAX_LINKS];
	HnswNode   *nodes[HNSW_MAX_LINKS];
	HnswSeen   *seen[HNSW_MAX_LINKS];
	int			n_links = hnsw_links(g, id, level, links);
	int			n = 0;

	g->counters.hops++;
	if (g->visited.n + HNSW_MAX_LINKS > g->visited.mask / 2)
		visited_grow(g);
	for (int i = 0; i < n_links; i++)
	{
		uint32		link = HNSW_LINK_NODE(links[i]);

		if (link == 0 || (seen[n] = visit(g, link)) == NULL)
			continue;
		links[n++] = link;
		if (!g->arena && !g->local && link >> g->id_shift < g->hints->n_blocks)
		{
			Buffer		buffer = g->hints->buffers[link >> g->id_shift];

			if (buffer > 0)
				__builtin_prefetch(GetBufferDescriptor(buffer - 1));
		}
	}
	n_links = n;
	n = 0;
	for (int i = 0; i < n_links; i++)
	{
		HnswNode   *node = peek_node(g, links[i]);

		if (unlikely(node == NULL))
			continue;
		links[n] = links[i];
		seen[n] = seen[i];
		nodes[n++] = node;
		hnsw_prefetch(node, g->links_at);
	}
	for (int i = 0; i < n; i++)
	{
		seen[i]->distance = node_distance(g, query, nodes[i], links[i]);
		hnsw_pool_add(pool, rest, hnsw_key(seen[i]->distance, links[i]));
	}
	g->counters.scored += n;
}

/* The links of the node that is likely the next to be read. */
static void
prefetch_next(HnswGraph *g, const HnswPool *pool)
{
	if (pool->next < pool->n && !(pool->keys[pool->next] & HNSW_KEY_DONE))
	{
		HnswNode   *node = peek_node(g, HnswKeyNode(pool->keys[pool->next]));

		if (node)
			hnsw_prefetch(HnswNodeLinks(g, node), 2 * g->m * sizeof(uint32));
	}
}

/*
 * Follows the links of the pool's candidates on one layer, nearest first,
 * until all that are left in the pool have been followed.
 */
void
hnsw_search(HnswGraph *g, const HnswQuery *query, int level, HnswPool *pool, HnswRest *rest)
{
	while (pool->next < pool->n)
	{
		HnswKey	   *key = &pool->keys[pool->next++];

		if (*key & HNSW_KEY_DONE)
			continue;
		*key |= HNSW_KEY_DONE;
		CHECK_FOR_INTERRUPTS();
		touch(g, HnswKeyNode(*key) >> g->id_shift);
		hop(g, query, HnswKeyNode(*key), level, pool, rest);
		prefetch_next(g, pool);
	}
}

/* Starts a pool with one node. */
void
hnsw_seed(HnswGraph *g, const HnswQuery *query, HnswPool *pool, uint32 entry)
{
	HnswSeen   *seen = visit(g, entry);

	pool->n = 0;
	pool->next = 0;
	seen->distance = hnsw_distance(g, query, entry);
	hnsw_pool_add(pool, NULL, hnsw_key(seen->distance, entry));
}

/* Puts a live node that was not seen yet into the pool; `dead` has a bit for each node below n_blocks. */
void
hnsw_consider(HnswGraph *g, const HnswQuery *query, HnswPool *pool, uint32 id,
			  const uint64 *dead, BlockNumber n_blocks)
{
	HnswNode   *node;

	if (g->visited.n > g->visited.mask / 2)
		visited_grow(g);
	if (id == 0 || !visit(g, id) || (id >> g->id_shift < n_blocks && (dead[id / 64] >> (id % 64) & 1)))
		return;
	node = peek_node(g, id);
	if (node && (node->flags & (HNSW_NODE_USED | HNSW_NODE_DEAD)) == HNSW_NODE_USED)
		hnsw_pool_add(pool, NULL, hnsw_key(node_distance(g, query, node, id), id));
}

/* Takes the pool of one layer as the start of the next. */
void
hnsw_reseed(HnswGraph *g, HnswPool *pool)
{
	for (int i = 0; i < pool->n; i++)
	{
		pool->keys[i] &= ~HNSW_KEY_DONE;
		visit(g, HnswKeyNode(pool->keys[i]))->distance = hnsw_key_distance(pool->keys[i]);
	}
	pool->next = 0;
}

/* Greedily down the layers from..to (exclusive); the nearest node found. */
uint32
hnsw_descend(HnswGraph *g, const HnswQuery *query, uint32 entry, int from, int to)
{
	float		best = hnsw_distance(g, query, entry);

	for (int level = from; level > to; level--)
		for (bool moved = true; moved;)
		{
			uint32		links[HNSW_MAX_LINKS];
			int			n = hnsw_links(g, entry, level, links);

			moved = false;
			CHECK_FOR_INTERRUPTS();
			touch(g, entry >> g->id_shift);
			for (int i = 0; i < n; i++)
			{
				HnswNode   *node = peek_node(g, HNSW_LINK_NODE(links[i]));

				if (node)
					hnsw_prefetch(node, g->links_at);
			}
			g->counters.hops++;
			g->counters.scored += n;
			for (int i = 0; i < n; i++)
			{
				uint32		link = HNSW_LINK_NODE(links[i]);
				float		distance = link ? hnsw_distance(g, query, link) : get_float4_infinity();

				if (distance < best)
				{
					best = distance;
					entry = link;
					moved = true;
				}
			}
		}
	return entry;
}
