/*
 * hnsw_graph.c
 *	  Searching the graph, in memory while it is built and on pages.
 *
 * On pages nothing is pinned or locked while searching: a shared buffer's
 * memory is always there, a block's last known buffer is checked against the
 * buffer's tag, at the latest when it has been read, and what is read is taken
 * for a hint.  A wrong code or link
 * costs at most a detour, since node numbers are checked before use and every
 * result is read again, locked, before anybody sees it.  README.md has the
 * argument.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/buf_internals.h"

#include "hnsw/hnsw_int.h"
#include "types/pg_compat.h"

/* So much of an item is asked for before it is read; the processor fetches the rest in time. */
#define ITEM_AHEAD	512

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
 * Where the node was seen last, and both it and what tells whether it still is
 * there are asked for: who reads it must look at still_there() then.
 */
static inline HnswNode *
expect_node(HnswGraph *g, uint32 id)
{
	BlockNumber block = id >> g->id_shift;
	uint32		slot = id & g->slot_mask;
	HnswNode   *node = NULL;

	if (!g->arena && likely(block < g->hints->n_blocks) && !g->local && likely(slot < (uint32) g->nodes_per_page))
	{
		Buffer		buffer = g->hints->buffers[block];

		if (likely(buffer > 0))
		{
			__builtin_prefetch(GetBufferDescriptor(buffer - 1));
			node = (HnswNode *) ((char *) BufferGetPage(buffer) + HNSW_PAGE_START + slot * g->node_bytes);
		}
	}
	if (node == NULL)
		node = peek_node(g, id);
	if (likely(node != NULL))
		hnsw_prefetch(node, g->links_at);
	return node;
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
	float		distance;

	/* items of nodes that are still in memory only belong to nobody */
	if (!hnsw_item_of(g, id, &block, &offset) ||
		!hnsw_item_distance(g, query, block, offset, g->arena ? 0 : id, &item, &distance))
		return get_float4_infinity();
	return distance;
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

/* Asks for what is read first of a page with items, where it is in a buffer already: some of its lines, and its tail. */
static void
prefetch_items(HnswGraph *g, BlockNumber block, uint32 from, uint32 bytes)
{
	Page		page;

	if (block >= g->hints->n_blocks || g->hints->buffers[block] <= 0)
		return;
	page = BufferGetPage(g->hints->buffers[block]);
	__builtin_prefetch(GetBufferDescriptor(g->hints->buffers[block] - 1));
	__builtin_prefetch(HnswTail(page));
	hnsw_prefetch((char *) page + from, Min(bytes, ITEM_AHEAD));
}

/*
 * Asks for the memory of an item that will be read soon.  Where a long one goes
 * on is not known before it is read; mostly on the next block.
 */
void
hnsw_prefetch_item(HnswGraph *g, uint32 id)
{
	HnswNode   *node = peek_node(g, id);
	uint32		bytes = sizeof(HnswItem) + g->codec.value_bytes;
	uint32		room;

	if (node == NULL || node->item_block == 0 || g->local)
		return;
	room = HNSW_PAGE_END - Min(node->item_offset, HNSW_PAGE_END);
	prefetch_items(g, node->item_block, HNSW_PAGE_END - room, Min(bytes, room));
	if (bytes > room)
		prefetch_items(g, node->item_block + 1, HNSW_PAGE_START, bytes - room);
}

/* ---- nodes seen ---- */

/*
 * Forgets what the last search has seen; without as many bits as there are
 * nodes, makes them.  Number 0 is of no node: it counts as seen.
 */
void
hnsw_visited_reset(HnswGraph *g)
{
	HnswVisited *v = &g->visited;

	if (v->n > v->max)
		memset(v->bits, 0, v->limit / 8);
	else
		for (uint32 i = 0; i < v->n; i++)
			v->bits[v->ids[i] / 64] = 0;
	v->n = 0;
	if (v->limit > 0)
		v->bits[0] = 1;
	if (v->remember)
		memset(v->known, 0, sizeof(HnswKnown) << HNSW_KNOWN_BITS);
}

/* Makes room for a number beyond the bits; false if it is of no node. */
static bool
visited_grow(HnswGraph *g, uint32 id)
{
	HnswVisited *v = &g->visited;
	Size		limit = g->arena ? (Size) g->arena->max_nodes + 1 :
		((Size) RelationGetNumberOfBlocks(g->index) + 64) << g->id_shift;

	if (id >= limit)
		return false;
	limit = TYPEALIGN(512, limit);
	v->bits = v->bits ? repalloc_huge(v->bits, limit / 8) : MemoryContextAllocHuge(g->context, limit / 8);
	memset((char *) v->bits + v->limit / 8, 0, limit / 8 - v->limit / 8);
	v->limit = limit;
	v->bits[0] |= 1;
	return true;
}

/*
 * Leaves those of n links that were not seen yet, without their marks; now they
 * are.  Without a branch that depends on it: it would mostly be guessed wrong.
 */
static inline int
visit(HnswGraph *g, uint32 *links, int n)
{
	HnswVisited *v = &g->visited;
	int			n_new = 0;

	for (int i = 0; i < n; i++)
	{
		uint32		id = HNSW_LINK_NODE(links[i]);
		uint64		bit = UINT64CONST(1) << (id % 64);

		if (unlikely(id >= v->limit) && !visited_grow(g, id))
			continue;
		links[n_new] = id;
		n_new += (v->bits[id / 64] & bit) == 0;
		v->bits[id / 64] |= bit;
	}
	if (v->n + n_new <= v->max)
	{
		memcpy(v->ids + v->n, links, sizeof(uint32) * n_new);
		v->n += n_new;
	}
	else						/* and so it stays */
		v->n = v->max + 1;
	return n_new;
}

static inline HnswKnown *
known_slot(const HnswVisited *v, uint32 id)
{
	return &v->known[(id * 0x9e3779b1U) >> (32 - HNSW_KNOWN_BITS)];
}

/* Remembers how far a node is, where it will be asked for. */
static inline void
know(HnswGraph *g, uint32 id, float distance)
{
	if (g->visited.remember)
	{
		HnswKnown  *known = known_slot(&g->visited, id);

		known->id = id;
		known->distance = distance;
	}
}

/* From now on searches remember distances, as far as there is room. */
void
hnsw_remember(HnswGraph *g)
{
	HnswVisited *v = &g->visited;

	if (v->known == NULL)
		v->known = MemoryContextAllocZero(g->context, sizeof(HnswKnown) << HNSW_KNOWN_BITS);
	v->remember = true;
}

/* How far a node is from what the last search was for. */
float
hnsw_known_distance(HnswGraph *g, const HnswQuery *query, uint32 id)
{
	const HnswKnown *known = known_slot(&g->visited, id);

	return likely(known->id == id) ? known->distance : hnsw_distance(g, query, id);
}

/* ---- searching ---- */

/*
 * Distances of nodes, by their numbers; leaves out numbers of no node and
 * returns how many are left.  Works in passes over all of them, so that the
 * memory they need comes in at once.
 */
static int
score(HnswGraph *g, const HnswQuery *query, uint32 *ids, int n, float *distances)
{
	HnswNode   *nodes[HNSW_MAX_LINKS];
	int			n_nodes = 0;

	for (int i = 0; i < n; i++)
	{
		nodes[n_nodes] = expect_node(g, ids[i]);
		ids[n_nodes] = ids[i];
		n_nodes += nodes[n_nodes] != NULL;
	}
	if (n_nodes == 0)
		return 0;
	if (g->codec.coding == HNSW_RAW)
		for (int i = 0; i < n_nodes; i++)
			distances[i] = node_distance(g, query, nodes[i], ids[i]);
	else
	{
		hnsw_codec_scores(&g->codec, query, nodes, n_nodes, distances);
		for (int i = 0; i < n_nodes; i++)
			if (unlikely(!still_there(g, ids[i] >> g->id_shift, nodes[i])))
				distances[i] = hnsw_distance(g, query, ids[i]);
	}
	g->counters.scored += n_nodes;
	return n_nodes;
}

/* Reads the links of a node and puts those not seen yet into the pool. */
static void
hop(HnswGraph *g, const HnswQuery *query, uint32 id, int level, HnswPool *pool, HnswRest *rest)
{
	uint32		links[HNSW_MAX_LINKS];
	float		distances[HNSW_MAX_LINKS];
	HnswKey		keys[HNSW_MAX_LINKS];
	HnswKey		limit = pool->n == pool->max && rest == NULL ? pool->keys[pool->n - 1] : ~UINT64CONST(0);
	int			n = hnsw_links(g, id, level, links),
				n_keys = 0;

	g->counters.hops++;
	n = score(g, query, links, visit(g, links, n), distances);
	for (int i = 0; i < n; i++)
	{
		know(g, links[i], distances[i]);
		keys[n_keys] = hnsw_key(distances[i], links[i]);
		n_keys += keys[n_keys] < limit;
	}
	for (int i = 0; i < n_keys; i++)
		hnsw_pool_add(pool, rest, keys[i]);
}

/* Asks for the links of the node that is the next to be read, unless the hop before finds a nearer one. */
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
	if (rest && !rest->keep)
		rest = NULL;
	while (pool->next < pool->n)
	{
		HnswKey	   *key = &pool->keys[pool->next++];

		if (*key & HNSW_KEY_DONE)
			continue;
		*key |= HNSW_KEY_DONE;
		CHECK_FOR_INTERRUPTS();
		touch(g, HnswKeyNode(*key) >> g->id_shift);
		prefetch_next(g, pool);
		hop(g, query, HnswKeyNode(*key), level, pool, rest);
	}
}

/* Starts a pool with one node. */
void
hnsw_seed(HnswGraph *g, const HnswQuery *query, HnswPool *pool, uint32 entry)
{
	float		distance = hnsw_distance(g, query, entry);

	hnsw_visited_reset(g);
	(void) visit(g, &entry, 1);
	know(g, entry, distance);
	pool->n = 0;
	pool->next = 0;
	hnsw_pool_add(pool, NULL, hnsw_key(distance, entry));
}

/* Puts a live node that was not seen yet into the pool; `dead` has a bit for each node below n_blocks. */
void
hnsw_consider(HnswGraph *g, const HnswQuery *query, HnswPool *pool, uint32 id,
			  const uint64 *dead, BlockNumber n_blocks)
{
	HnswNode   *node;

	if (visit(g, &id, 1) == 0 || (id >> g->id_shift < n_blocks && (dead[id / 64] >> (id % 64) & 1)))
		return;
	node = peek_node(g, id);
	if (node && (node->flags & (HNSW_NODE_USED | HNSW_NODE_DEAD)) == HNSW_NODE_USED)
		hnsw_pool_add(pool, NULL, hnsw_key(node_distance(g, query, node, id), id));
}

/* Takes the pool of one layer as the start of the next. */
void
hnsw_reseed(HnswGraph *g, HnswPool *pool)
{
	hnsw_visited_reset(g);
	for (int i = 0; i < pool->n; i++)
	{
		uint32		id = HnswKeyNode(pool->keys[i]);

		pool->keys[i] &= ~HNSW_KEY_DONE;
		(void) visit(g, &id, 1);
		know(g, id, hnsw_key_distance(pool->keys[i]));
	}
	pool->next = 0;
}

/* Greedily down the layers from..to (exclusive); the nearest node found. */
uint32
hnsw_descend(HnswGraph *g, const HnswQuery *query, uint32 entry, int from, int to)
{
	float		best = hnsw_distance(g, query, entry);

	hnsw_visited_reset(g);
	for (int level = from; level > to; level--)
		for (bool moved = true; moved;)
		{
			uint32		links[HNSW_MAX_LINKS];
			float		distances[HNSW_MAX_LINKS];
			int			n;

			moved = false;
			CHECK_FOR_INTERRUPTS();
			touch(g, entry >> g->id_shift);
			g->counters.hops++;
			n = hnsw_links(g, entry, level, links);
			n = score(g, query, links, visit(g, links, n), distances);
			for (int i = 0; i < n; i++)
				if (distances[i] < best)
				{
					best = distances[i];
					entry = links[i];
					moved = true;
				}
		}
	return entry;
}
