/*
 * hnsw_link.c
 *	  Which nodes a node is linked to: pruning of candidates, and of a full
 *	  list that gets one more.  Works on distances between codes; knows neither
 *	  pages nor locks.
 *
 * A link is kept if no kept link is nearer to it than the node itself: links
 * that go in different directions.  Where room is left the nearest of the
 * others fill it, marked as fillers, which are the first to go.
 */
#include "postgres.h"

#include <math.h>

#include "common/hashfn.h"

#include "hnsw/hnsw_int.h"

/* The i-th query made from a code, with room for its bytes. */
static HnswQuery *
side_query(HnswGraph *g, int i)
{
	Size		bytes = TYPEALIGN(64, 2 * g->codec.code_bytes);

	if (g->side_codes == NULL)
	{
		Size		n = lengthof(g->side);

		g->side_codes = MemoryContextAllocHuge(g->context, n * bytes);
		for (Size k = 0; k < n; k++)
			g->side[k].code = g->side_codes + k * bytes;
	}
	return &g->side[i];
}

/*
 * A node as one side of many distances.  Values of partial nodes are fetched;
 * NULL if that fails, such a node gets no links.
 */
static HnswQuery *
query_of(HnswGraph *g, int i, const HnswNode *node, uint32 id)
{
	HnswQuery  *query = side_query(g, i);

	query->fetched = false;
	if (unlikely(node->flags & HNSW_NODE_PARTIAL))
	{
		HnswItem	item;
		BlockNumber block;
		uint16		offset;
		char	   *value = MemoryContextAlloc(g->context, g->scratch_bytes);

		if (!hnsw_item_of(g, id, &block, &offset) ||
			!hnsw_item_read(g, block, offset, g->arena ? 0 : id, &item, value))
		{
			pfree(value);
			return NULL;
		}
		query->value = value;
		query->value_bytes = item.size;
		query->fetched = true;
		return query;
	}
	hnsw_codec_requery(&g->codec, node, query);
	return query;
}

/* The node is not asked again: its page may have gone meanwhile. */
static void
query_done(HnswQuery *query)
{
	if (query && unlikely(query->fetched))
		pfree(unconstify(void *, query->value));
}

/* The same for other files: a query that stays until it is done with. */
HnswQuery *
hnsw_node_query(HnswGraph *g, const HnswNode *node, uint32 id)
{
	return query_of(g, HNSW_MAX_LINKS + 1, node, id);
}

void
hnsw_node_query_done(HnswQuery *query)
{
	query_done(query);
}

/*
 * Equal values are no way to anywhere else: what is nearer to the node's equal
 * than to the node is no more than as near.  So an equal keeps only other equals
 * out of a list, or those of many would link to nothing but each other.  Codes
 * that are not the value never say so.
 */
static inline bool
is_equal(const HnswGraph *g, float distance)
{
	return distance == 0 && g->codec.coding == HNSW_RAW && g->codec.metric != HNSW_IP;
}

/* Does a link so far from its node keep out one that is farther, and so far from it? */
static inline bool
keeps_out(const HnswGraph *g, float link, float candidate, float between)
{
	return between <= candidate && !(is_equal(g, link) && candidate > 0);
}

/*
 * Picks up to max links among the candidates found, nearest first and with
 * their distances; returns how many, in the same order.
 */
int
hnsw_select(HnswGraph *g, const HnswKey *found, int n, uint32 *links, int max)
{
	HnswQuery  *kept[HNSW_MAX_LINKS];
	float		kept_distance[HNSW_MAX_LINKS];
	bool		is_kept[HNSW_MAX_EFC + HNSW_MAX_LINKS + 1];
	int			n_kept = 0,
				n_links = 0,
				room;

	Assert(n < (int) lengthof(is_kept));
	for (int i = 0; i < n; i++)
	{
		uint32		id = HnswKeyNode(found[i]);
		float		distance = hnsw_key_distance(found[i]);
		HnswNode   *node = hnsw_peek_node(g, id);

		is_kept[i] = node != NULL && n_kept < max;
		for (int k = 0; k < n_kept && is_kept[i]; k++)
			if (keeps_out(g, kept_distance[k], distance, hnsw_distance(g, kept[k], id)))
				is_kept[i] = false;
		if (is_kept[i])
		{
			kept[n_kept] = query_of(g, n_kept, node, id);
			if (kept[n_kept] == NULL)
				is_kept[i] = false;
			else
				kept_distance[n_kept++] = distance;
		}
	}
	for (int k = 0; k < n_kept; k++)
		query_done(kept[k]);
	room = max - n_kept;
	for (int i = 0; i < n; i++)
	{
		if (is_kept[i])
			links[n_links++] = HnswKeyNode(found[i]);
		else if (room-- > 0)
			links[n_links++] = HnswKeyNode(found[i]) | HNSW_LINK_FILLER;
	}
	return n_links;
}

/*
 * The place in a full list that a new link takes: that of the farthest filler,
 * or of the farthest; n if the new link itself is that.
 */
static int
victim(const uint32 *links, const float *to_node, int n, uint32 filler, float distance)
{
	int			farthest = n;
	bool		only_fillers = filler != 0;
	float		most = distance;

	for (int i = 0; i < n; i++)
	{
		bool		is_filler = (links[i] & HNSW_LINK_FILLER) != 0;

		if (is_filler == only_fillers ? to_node[i] > most : is_filler)
		{
			farthest = i;
			most = to_node[i];
			only_fillers = is_filler;
		}
	}
	return farthest;
}

/* Distances of the links to their node, where nobody has kept them. */
static bool
distances_to_node(HnswGraph *g, const HnswNode *node, uint32 node_id, const uint32 *links, int n, float *to_node)
{
	HnswQuery  *own;

	for (int i = 0; i < n; i++)
	{
		HnswNode   *other = hnsw_peek_node(g, HNSW_LINK_NODE(links[i]));

		if (other)
			hnsw_prefetch(other, g->links_at);
	}
	own = query_of(g, HNSW_MAX_LINKS, node, node_id);
	if (own == NULL)
		return false;
	for (int i = 0; i < n; i++)
		to_node[i] = hnsw_distance(g, own, HNSW_LINK_NODE(links[i]));
	query_done(own);
	return true;
}

/*
 * The links of a node with one more, in no order: false if they stay as they
 * are.  `query` and `id` are the new one's.  What does not change keeps its
 * place, so that little is logged.  `known` are the distances of the links to
 * the node and gets that of the new one; NULL: nobody keeps them.
 */
bool
hnsw_link_add(HnswGraph *g, const HnswNode *node, uint32 node_id, const uint32 *links, int n, int max,
			  const HnswQuery *query, uint32 id, float *known, uint32 *result, int *n_result)
{
	float		computed[HNSW_MAX_LINKS];
	float	   *to_node = known ? known : computed;
	float		distance;
	uint32		filler = 0;
	int			at = n;

	for (int i = 0; i < n; i++)
		if (HNSW_LINK_NODE(links[i]) == id)
			return false;
	if (!known && !distances_to_node(g, node, node_id, links, n, computed))
		return false;
	distance = hnsw_known_distance(g, query, node_id);
	/* fillers change nothing, so only the others' distances to the new one are asked for */
	for (int i = 0; i < n && !filler; i++)
		if (!(links[i] & HNSW_LINK_FILLER) && to_node[i] <= distance &&
			keeps_out(g, to_node[i], distance, hnsw_known_distance(g, query, links[i])))
			filler = HNSW_LINK_FILLER;
	memcpy(result, links, sizeof(uint32) * n);
	for (int i = 0; i < n && !filler; i++)
		if (!(links[i] & HNSW_LINK_FILLER) && to_node[i] > distance &&
			keeps_out(g, distance, to_node[i], hnsw_known_distance(g, query, links[i])))
			result[i] |= HNSW_LINK_FILLER;
	if (n == max)
		at = victim(result, to_node, n, filler, distance);
	if (at == max)
		return false;
	result[at] = id | filler;
	if (known)
		known[at] = distance;
	*n_result = Max(n, at + 1);
	return true;
}

/*
 * The layer up to which an element goes, drawn by its heap row: the same rows
 * make the same graph.
 */
int
hnsw_level(HnswGraph *g, ItemPointer tid)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) tid, sizeof(ItemPointerData), 0);
	double		uniform = ((double) (hash >> 11) + 0.5) / (double) (UINT64CONST(1) << 53);
	int			level = (int) (-log(uniform) / log(g->m));

	return Min(level, HNSW_MAX_LEVEL);
}
