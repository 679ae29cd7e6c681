/*
 * hnsw_insert.c
 *	  One more element: finding its links, storing it on pages, linking it
 *	  back.  README.md has the locking.
 */
#include "postgres.h"

#include "access/tableam.h"
#include "storage/indexfsm.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"

#include "hnsw/hnsw_int.h"

/* How often a list of links may change under our hands before we let it be. */
#define MAX_TRIES		10

/* Candidates that are asked whether they are the same value. */
#define MAX_TWINS		32

/* ---- finding links ---- */

/* A new element's code, as node and as query; memory is the current context's. */
void
hnsw_element(HnswGraph *g, ItemPointer tid, const void *value, uint32 bytes, HnswElement *e)
{
	e->value = value;
	e->bytes = bytes;
	e->level = hnsw_level(g, tid);
	memset(e->n_links, 0, sizeof(e->n_links));
	e->node = palloc0(g->node_bytes);
	e->node->flags = HNSW_NODE_USED;
	e->node->level = e->level;
	memset(&e->query, 0, sizeof(e->query));
	if (g->codec.coding != HNSW_RAW)
		e->query.code = palloc(2 * g->codec.code_bytes);
	hnsw_codec_query(&g->codec, value, bytes, &e->query, e->node);
}

/*
 * The element's links on all its layers that the graph has.  Leaves layer 0's
 * candidates in g->pool.
 */
void
hnsw_find_links(HnswGraph *g, HnswElement *e, uint32 entry, int entry_level)
{
	HnswPool   *pool = &g->pool;
	int			top = Min(e->level, entry_level);

	if (pool->keys == NULL)
	{
		pool->max = g->ef_construction;
		pool->keys = MemoryContextAlloc(g->context, sizeof(HnswKey) * pool->max);
	}
	hnsw_remember(g);
	entry = hnsw_descend(g, &e->query, entry, entry_level, top);
	for (int level = top; level >= 0; level--)
	{
		HnswKey		found[HNSW_MAX_EFC];
		int			n = 0;

		if (level == top)
			hnsw_seed(g, &e->query, pool, entry);
		else
			hnsw_reseed(g, pool);
		hnsw_search(g, &e->query, level, pool, NULL);
		for (int i = 0; i < pool->n; i++)
		{
			HnswNode   *node = hnsw_peek_node(g, HnswKeyNode(pool->keys[i]));

			if (node && (node->flags & (HNSW_NODE_USED | HNSW_NODE_DEAD)) == HNSW_NODE_USED)
				found[n++] = pool->keys[i] & ~HNSW_KEY_DONE;
		}
		e->n_links[level] = hnsw_select(g, found, n, e->links[level], HnswMaxLinks(g, level));
	}
}

/* Is the value of this node, whose code is the same, the element's? */
static bool
is_twin(HnswGraph *g, HnswElement *e, uint32 id, BlockNumber block, uint16 offset)
{
	HnswItem	item;

	if (!g->codec.store_value)
		return true;
	return hnsw_item_read(g, block, offset, g->arena ? 0 : id, &item, g->scratch) &&
		item.size == e->bytes && memcmp(g->scratch, e->value, e->bytes) == 0;
}

/*
 * Adds the row to an element of the same value, if there is one with room,
 * among the candidates that finding links has left.
 */
bool
hnsw_add_duplicate(HnswGraph *g, HnswElement *e, ItemPointer tid)
{
	int			n = Min(g->pool.n, g->codec.code_bytes > 0 ? MAX_TWINS : 2);

	for (int i = 0; i < n; i++)
	{
		uint32		id = HnswKeyNode(g->pool.keys[i]);
		HnswNode   *node = hnsw_peek_node(g, id);
		BlockNumber block;
		uint16		offset;

		if (node && node->scale == e->node->scale && !(node->flags & HNSW_NODE_DEAD) &&
			memcmp(hnsw_node_code(node), hnsw_node_code(e->node), g->codec.code_bytes) == 0 &&
			hnsw_item_of(g, id, &block, &offset) && is_twin(g, e, id, block, offset) &&
			hnsw_item_add_tid(g, block, offset, g->arena ? 0 : id, tid))
			return true;
	}
	return false;
}

/* ---- storing ---- */

/* The page that takes the next slot of this kind, locked exclusively, and whether it is new. */
static Buffer
tail_page(HnswGraph *g, int kind, int slot_bytes, int slots, bool *fresh)
{
	BlockNumber tail = InvalidBlockNumber;

	*fresh = false;
	for (;;)
	{
		Buffer		meta = hnsw_read_page(g, HNSW_META_BLOCK, HNSW_PAGE_META, BUFFER_LOCK_SHARE);
		HnswMeta   *m = HnswPageMeta(BufferGetPage(meta));
		BlockNumber now = kind == HNSW_PAGE_NODE ? m->node_tail : m->upper_tail;
		Buffer		buffer;

		UnlockReleaseBuffer(meta);
		if (now == 0 || now == tail)
			break;
		tail = now;
		buffer = hnsw_read_page(g, tail, kind, BUFFER_LOCK_EXCLUSIVE);
		if (((PageHeader) BufferGetPage(buffer))->pd_lower + slot_bytes <=
			HNSW_PAGE_START + (uint32) (slot_bytes * slots))
			return buffer;
		UnlockReleaseBuffer(buffer);
	}
	*fresh = true;
	return hnsw_new_page(g, kind);
}

/*
 * Takes the next slot of a page: returns its address in the image of the page
 * that is being written, and its number.  A new page becomes the tail.
 */
static char *
take_slot(HnswWrite *w, Buffer buffer, int kind, int slot_bytes, bool fresh, Page *image, uint32 *slot)
{
	Page		page = hnsw_write_page(w, buffer, fresh);
	PageHeader	header = (PageHeader) page;
	char	   *address;

	if (fresh)
		hnsw_init_page(page, kind);
	*image = page;
	address = (char *) page + header->pd_lower;
	*slot = (header->pd_lower - HNSW_PAGE_START) / slot_bytes;
	header->pd_lower += slot_bytes;
	return address;
}

/*
 * Registers the meta page, with the new tail, where the page of the slot is
 * new; `page` is its image, which is written with it.
 */
static Buffer
write_tail(HnswWrite *w, HnswGraph *g, int kind, Buffer buffer, Page page, bool fresh)
{
	Buffer		meta;
	HnswMeta   *m;

	if (!fresh)
		return InvalidBuffer;
	meta = hnsw_read_page(g, HNSW_META_BLOCK, HNSW_PAGE_META, BUFFER_LOCK_EXCLUSIVE);
	m = HnswPageMeta(hnsw_write_page(w, meta, false));
	if (kind == HNSW_PAGE_NODE)
	{
		HnswTail(page)->previous = m->node_tail;
		m->node_tail = BufferGetBlockNumber(buffer);
	}
	else
		m->upper_tail = BufferGetBlockNumber(buffer);
	return meta;
}

static uint32
store_upper(HnswGraph *g, int level, const uint32 *links, int n, uint32 next)
{
	bool		fresh;
	Buffer		buffer = tail_page(g, HNSW_PAGE_UPPER, g->upper_bytes, g->uppers_per_page, &fresh);
	Buffer		meta;
	HnswUpper  *upper;
	HnswWrite	w;
	Page		image;
	uint32		slot;

	hnsw_write_begin(&w, g);
	upper = (HnswUpper *) take_slot(&w, buffer, HNSW_PAGE_UPPER, g->upper_bytes, fresh, &image, &slot);
	memset(upper, 0, g->upper_bytes);
	upper->level = level;
	upper->next = next;
	upper->n_links = n;
	memcpy(upper->links, links, n * sizeof(uint32));
	meta = write_tail(&w, g, HNSW_PAGE_UPPER, buffer, image, fresh);
	hnsw_write_end(&w);
	slot |= BufferGetBlockNumber(buffer) << HNSW_UPPER_SHIFT;
	if (meta != InvalidBuffer)
		UnlockReleaseBuffer(meta);
	UnlockReleaseBuffer(buffer);
	return slot;
}

/*
 * Takes a slot that VACUUM has freed and fills it; 0 if there is none.  The slot's
 * page is locked before the meta page, as everywhere.
 */
static uint32
reuse_upper(HnswGraph *g, int level, const uint32 *links, int n, uint32 next)
{
	Buffer		meta = hnsw_read_page(g, HNSW_META_BLOCK, HNSW_PAGE_META, BUFFER_LOCK_SHARE);
	uint32		slot = HnswPageMeta(BufferGetPage(meta))->upper_free;
	Buffer		buffer;

	UnlockReleaseBuffer(meta);
	if (slot == 0 || (slot & ((1 << HNSW_UPPER_SHIFT) - 1)) >= (uint32) g->uppers_per_page)
		return 0;
	buffer = hnsw_read_page(g, slot >> HNSW_UPPER_SHIFT, HNSW_PAGE_UPPER, BUFFER_LOCK_EXCLUSIVE);
	meta = hnsw_read_page(g, HNSW_META_BLOCK, HNSW_PAGE_META, BUFFER_LOCK_EXCLUSIVE);
	if (HnswPageMeta(BufferGetPage(meta))->upper_free == slot)
	{
		HnswWrite	w;
		HnswUpper  *upper;

		hnsw_write_begin(&w, g);
		upper = (HnswUpper *) ((char *) hnsw_write_page(&w, buffer, false) + HNSW_PAGE_START +
							   (slot & ((1 << HNSW_UPPER_SHIFT) - 1)) * g->upper_bytes);
		HnswPageMeta(hnsw_write_page(&w, meta, false))->upper_free = upper->next;
		upper->level = level;
		upper->next = next;
		upper->n_links = n;
		memcpy(upper->links, links, n * sizeof(uint32));
		hnsw_write_end(&w);
	}
	else
		slot = 0;
	UnlockReleaseBuffer(meta);
	UnlockReleaseBuffer(buffer);
	return slot;
}

/* Stores the element's higher layers; returns the topmost one's slot. */
static uint32
store_uppers(HnswGraph *g, HnswElement *e)
{
	uint32		top = 0;

	for (int level = 1; level <= e->level; level++)
	{
		uint32		slot = reuse_upper(g, level, e->links[level], e->n_links[level], top);

		top = slot != 0 ? slot : store_upper(g, level, e->links[level], e->n_links[level], top);
	}
	return top;
}

/* Writes node and the item's owner as one change; the node's page is locked and stays so. */
static void
write_node(HnswGraph *g, HnswWrite *w, HnswNode *to, const HnswNode *node, uint32 id, Buffer *item_buffer)
{
	HnswItem   *item;

	memcpy(to, node, g->node_bytes);
	*item_buffer = hnsw_read_page(g, node->item_block, HNSW_PAGE_ITEM, BUFFER_LOCK_EXCLUSIVE);
	item = hnsw_item_on(g, hnsw_write_page(w, *item_buffer, false), node->item_offset);
	item->node = id;
}

/*
 * Stores the node in a slot that VACUUM has freed; 0 if there is none.  The
 * item of the former element is taken over where the value fits.
 */
static uint32
store_reused(HnswGraph *g, HnswElement *e, ItemPointer tid)
{
	BlockNumber block = g->building ? InvalidBlockNumber : GetFreeIndexPage(g->index);
	Buffer		buffer,
				item_buffer = InvalidBuffer;
	HnswNode   *old = NULL;
	int			slot,
				n_free = 0;
	uint32		id = 0;
	HnswWrite	w;

	if (block == InvalidBlockNumber)
		return 0;
	buffer = hnsw_read_page(g, block, HNSW_PAGE_NODE, BUFFER_LOCK_EXCLUSIVE);
	for (int i = 0; i < g->nodes_per_page; i++)
	{
		HnswNode   *node = (HnswNode *) ((char *) BufferGetPage(buffer) + HNSW_PAGE_START + i * g->node_bytes);

		if ((char *) node >= (char *) BufferGetPage(buffer) + ((PageHeader) BufferGetPage(buffer))->pd_lower)
			break;
		if (node->flags != 0)
			continue;
		if (n_free++ == 0)
		{
			old = node;
			slot = i;
		}
	}
	if (old)
	{
		id = block << g->id_shift | slot;
		e->node->item_block = old->item_block;
		e->node->item_offset = old->item_offset;
		if (old->item_block == 0 ||
			!hnsw_item_reuse(g, old->item_block, old->item_offset, id, tid, e->value,
							 g->codec.store_value ? e->bytes : 0))
			hnsw_item_append(g, tid, e->value, g->codec.store_value ? e->bytes : 0,
							 &e->node->item_block, &e->node->item_offset);
		hnsw_write_begin(&w, g);
		old = (HnswNode *) ((char *) hnsw_write_page(&w, buffer, false) + HNSW_PAGE_START + slot * g->node_bytes);
		write_node(g, &w, old, e->node, id, &item_buffer);
		hnsw_write_end(&w);
		UnlockReleaseBuffer(item_buffer);
	}
	UnlockReleaseBuffer(buffer);
	if (n_free > 1)
		RecordFreeIndexPage(g->index, block);
	return id;
}

static uint32
store_appended(HnswGraph *g, HnswElement *e, ItemPointer tid)
{
	bool		fresh;
	Buffer		buffer,
				item_buffer,
				meta;
	char	   *to;
	HnswWrite	w;
	Page		image;
	uint32		id;

	hnsw_item_append(g, tid, e->value, g->codec.store_value ? e->bytes : 0,
					 &e->node->item_block, &e->node->item_offset);
	buffer = tail_page(g, HNSW_PAGE_NODE, g->node_bytes, g->nodes_per_page, &fresh);
	if (BufferGetBlockNumber(buffer) > HNSW_MAX_NODE >> g->id_shift)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("index \"%s\" cannot have more blocks", RelationGetRelationName(g->index))));
	hnsw_write_begin(&w, g);
	to = take_slot(&w, buffer, HNSW_PAGE_NODE, g->node_bytes, fresh, &image, &id);
	id |= BufferGetBlockNumber(buffer) << g->id_shift;
	write_node(g, &w, (HnswNode *) to, e->node, id, &item_buffer);
	meta = write_tail(&w, g, HNSW_PAGE_NODE, buffer, image, fresh);
	hnsw_write_end(&w);
	if (meta != InvalidBuffer)
		UnlockReleaseBuffer(meta);
	UnlockReleaseBuffer(item_buffer);
	UnlockReleaseBuffer(buffer);
	return id;
}

/* ---- linking back ---- */

/* One list that gets the new link: what it was and what it shall be. */
typedef struct Change
{
	uint32		id;
	BlockNumber block;
	int			n_before;
	int			n_after;
	uint32		before[HNSW_MAX_LINKS];
	uint32		after[HNSW_MAX_LINKS];
} Change;

static int
by_block(const void *a, const void *b)
{
	BlockNumber x = ((const Change *) a)->block;
	BlockNumber y = ((const Change *) b)->block;

	return x < y ? -1 : x > y;
}

static bool
plan_change(HnswGraph *g, HnswElement *e, uint32 id, uint32 other, int level, Change *change)
{
	HnswNode   *node = hnsw_peek_node(g, other);

	if (node == NULL)
		return false;
	change->id = other;
	change->block = other >> g->id_shift;
	change->n_before = hnsw_links(g, other, level, change->before);
	return hnsw_link_add(g, node, other, change->before, change->n_before, HnswMaxLinks(g, level),
						 &e->query, id, NULL, change->after, &change->n_after);
}

/* Writes a change into its page, if the list is still as it was; true if it is done with. */
static bool
apply_change(HnswGraph *g, const Change *change, const HnswNode *now, HnswNode *image)
{
	if ((now->flags & (HNSW_NODE_USED | HNSW_NODE_DEAD)) != HNSW_NODE_USED)
		return true;
	if (now->n_links != change->n_before ||
		memcmp((const char *) now + g->links_at, change->before, change->n_before * sizeof(uint32)) != 0)
		return false;
	memcpy(HnswNodeLinks(g, image), change->after, change->n_after * sizeof(uint32));
	image->n_links = change->n_after;
	return true;
}

/*
 * Applies changes on layer 0, sorted by block: as many pages in one record as
 * it holds, locked in order.  Those whose list has changed meanwhile are moved
 * to the front; returns how many.
 */
static int
apply_changes(HnswGraph *g, Change *changes, int n)
{
	int			n_again = 0;

	for (int i = 0; i < n;)
	{
		Buffer		buffers[MAX_GENERIC_XLOG_PAGES];
		Page		images[MAX_GENERIC_XLOG_PAGES];
		int			n_pages = 0,
					start = i;
		HnswWrite	w;

		while (i < n && n_pages < MAX_GENERIC_XLOG_PAGES)
		{
			BlockNumber block = changes[i].block;

			buffers[n_pages++] = hnsw_read_page(g, block, HNSW_PAGE_NODE, BUFFER_LOCK_EXCLUSIVE);
			while (i < n && changes[i].block == block)
				i++;
		}
		hnsw_write_begin(&w, g);
		for (int k = 0; k < n_pages; k++)
			images[k] = hnsw_write_page(&w, buffers[k], false);
		for (int c = start, k = 0; c < i; c++)
		{
			int			at = HNSW_PAGE_START + (changes[c].id & g->slot_mask) * g->node_bytes;

			while (BufferGetBlockNumber(buffers[k]) != changes[c].block)
				k++;
			if (!apply_change(g, &changes[c], (HnswNode *) (BufferGetPage(buffers[k]) + at),
							  (HnswNode *) (images[k] + at)))
				changes[n_again++] = changes[c];
		}
		hnsw_write_end(&w);
		for (int k = 0; k < n_pages; k++)
			UnlockReleaseBuffer(buffers[k]);
	}
	return n_again;
}

static bool
apply_upper(HnswGraph *g, const Change *change, int level)
{
	uint32		slot = hnsw_upper_slot(g, change->id, level);
	int			at = HNSW_PAGE_START + (slot & ((1 << HNSW_UPPER_SHIFT) - 1)) * g->upper_bytes;
	Buffer		buffer;
	HnswUpper  *upper;
	bool		same;

	if (slot == 0)
		return true;
	buffer = hnsw_read_page(g, slot >> HNSW_UPPER_SHIFT, HNSW_PAGE_UPPER, BUFFER_LOCK_EXCLUSIVE);
	upper = (HnswUpper *) (BufferGetPage(buffer) + at);
	same = upper->level == level && upper->n_links == change->n_before &&
		memcmp(upper->links, change->before, change->n_before * sizeof(uint32)) == 0;
	if (same)
	{
		HnswWrite	w;

		hnsw_write_begin(&w, g);
		upper = (HnswUpper *) (hnsw_write_page(&w, buffer, false) + at);
		memcpy(upper->links, change->after, change->n_after * sizeof(uint32));
		upper->n_links = change->n_after;
		hnsw_write_end(&w);
	}
	UnlockReleaseBuffer(buffer);
	return same;
}

static void
link_back(HnswGraph *g, HnswElement *e, uint32 id, int level)
{
	Change	   *changes = palloc(sizeof(Change) * Max(e->n_links[level], 1));
	uint32		todo[HNSW_MAX_LINKS];
	int			n = e->n_links[level];

	/* distances found on layer 0, the last to be searched, hold for all layers */
	for (int i = 0; i < n; i++)
		todo[i] = HNSW_LINK_NODE(e->links[level][i]);
	for (int tries = 0; n > 0 && tries < MAX_TRIES; tries++)
	{
		int			n_changes = 0,
					n_again = 0;

		for (int i = 0; i < n; i++)
			if (plan_change(g, e, id, todo[i], level, &changes[n_changes]))
				n_changes++;
		if (level == 0)
		{
			qsort(changes, n_changes, sizeof(Change), by_block);
			n_again = apply_changes(g, changes, n_changes);
		}
		else
			for (int i = 0; i < n_changes; i++)
				if (!apply_upper(g, &changes[i], level))
					changes[n_again++] = changes[i];
		n = n_again;
		for (int i = 0; i < n; i++)
			todo[i] = changes[i].id;
	}
	pfree(changes);
}

/* ---- inserting ---- */

/*
 * Links to elements that VACUUM is taking out must not be made: it has looked
 * for them already, or will not again.
 */
static void
drop_dead_links(HnswGraph *g, HnswElement *e, int level)
{
	int			n = 0;

	for (int i = 0; i < e->n_links[level]; i++)
	{
		uint32		id = HNSW_LINK_NODE(e->links[level][i]);
		Buffer		buffer = hnsw_read_page(g, id >> g->id_shift, HNSW_PAGE_NODE, BUFFER_LOCK_SHARE);
		HnswNode   *node = (HnswNode *) (BufferGetPage(buffer) + HNSW_PAGE_START +
										 (id & g->slot_mask) * g->node_bytes);

		if ((node->flags & (HNSW_NODE_USED | HNSW_NODE_DEAD)) == HNSW_NODE_USED)
			e->links[level][n++] = e->links[level][i];
		UnlockReleaseBuffer(buffer);
	}
	e->n_links[level] = n;
}

static void
set_entry(HnswGraph *g, uint32 id, int level)
{
	Buffer		buffer = hnsw_read_page(g, HNSW_META_BLOCK, HNSW_PAGE_META, BUFFER_LOCK_EXCLUSIVE);
	HnswWrite	w;
	HnswMeta   *meta;

	hnsw_write_begin(&w, g);
	meta = HnswPageMeta(hnsw_write_page(&w, buffer, false));
	meta->entry = id;
	meta->entry_level = level;
	hnsw_write_end(&w);
	UnlockReleaseBuffer(buffer);
}

static uint32
store(HnswGraph *g, HnswElement *e, ItemPointer tid)
{
	uint32		id;

	for (int level = 0; level <= e->level; level++)
		drop_dead_links(g, e, level);
	e->node->upper = store_uppers(g, e);
	e->node->n_links = e->n_links[0];
	memcpy(HnswNodeLinks(g, e->node), e->links[0], e->n_links[0] * sizeof(uint32));
	id = store_reused(g, e, tid);
	return id != 0 ? id : store_appended(g, e, tid);
}

/* Puts a row into the graph on pages. */
void
hnsw_insert_value(HnswGraph *g, ItemPointer tid, const void *value, uint32 bytes)
{
	LOCKMODE	mode = ShareLock;
	HnswElement e;
	uint32		entry,
				id;
	int			entry_level;

	hnsw_element(g, tid, value, bytes, &e);
	LockPage(g->index, HNSW_UPDATE_LOCK, mode);
	hnsw_entry(g, &entry, &entry_level);
	if (entry == 0 || e.level > entry_level)
	{
		/* only one at a time may become the entry: others link to it */
		UnlockPage(g->index, HNSW_UPDATE_LOCK, mode);
		mode = ExclusiveLock;
		LockPage(g->index, HNSW_UPDATE_LOCK, mode);
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
			set_entry(g, id, e.level);
	}
	UnlockPage(g->index, HNSW_UPDATE_LOCK, mode);
}

/* ---- the callback ---- */

bool
hnsw_insert(Relation index, Datum *values, bool *isnull, ItemPointer tid, Relation heap,
			IndexUniqueCheck unique, bool unchanged, IndexInfo *info)
{
	MemoryContext context,
				old;
	HnswGraph  *g;
	void	   *value;
	uint32		bytes;

	if (isnull[0])
		return false;
	context = AllocSetContextCreate(CurrentMemoryContext, "hnsw insert", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	g = hnsw_open(index, context);
	if (hnsw_codec_value(&g->codec, values[0], true, &value, &bytes))
		hnsw_insert_value(g, tid, value, bytes);
	MemoryContextSwitchTo(old);
	hnsw_graph_free(g);
	MemoryContextDelete(context);
	return false;
}
