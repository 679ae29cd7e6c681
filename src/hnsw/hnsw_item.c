/*
 * hnsw_item.c
 *	  Items: what an element has besides code and links, the heap rows it
 *	  stands for and its exact value where the code is not exact.  They follow
 *	  each other in a stream of pages; a value may go on over several pages, its
 *	  head stands on one.  Knows nothing of graphs.
 *
 * An item of several pages is read with all of them locked, first page first,
 * so its head and its value are of one moment.
 */
#include "postgres.h"

#include "hnsw/hnsw_int.h"

/* A page with less room than this gets no further item. */
#define MIN_START		(sizeof(HnswItem) + 64)

/* Pages that a rewritten item may have: those of one WAL record, but one. */
#define MAX_REUSE_PAGES	(MAX_GENERIC_XLOG_PAGES - 1)

static int
free_space(Page page)
{
	return HNSW_PAGE_END - ((PageHeader) page)->pd_lower;
}

HnswItem *
hnsw_item_on(HnswGraph *g, Page page, uint16 offset)
{
	if (offset < HNSW_PAGE_START || offset > HNSW_PAGE_END - sizeof(HnswItem) || offset % 4 != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INDEX_CORRUPTED),
				 errmsg("index \"%s\" has a corrupted pointer to an item", RelationGetRelationName(g->index)),
				 errhint("Please REINDEX it.")));
	return (HnswItem *) ((char *) page + offset);
}

/* ---- reading ---- */

#define MAX_ITEM_PAGES	16

/* An item's value where it stands, on pages that are locked. */
typedef struct Parts
{
	int			n;
	Buffer		buffers[MAX_ITEM_PAGES];
	const char *at[MAX_ITEM_PAGES];
	uint32		bytes[MAX_ITEM_PAGES];
} Parts;

/*
 * Locks the item of a node, with all pages of its value if that is wanted, and
 * copies its head; false if the item belongs to another node by now.
 */
static bool
lock_item(HnswGraph *g, BlockNumber block, uint16 offset, uint32 node, bool want_value, HnswItem *item, Parts *parts)
{
	Page		page;
	uint32		left,
				at = offset + sizeof(HnswItem);
	bool		found;

	parts->buffers[0] = hnsw_read_page(g, block, HNSW_PAGE_ITEM, BUFFER_LOCK_SHARE);
	parts->n = 1;
	page = BufferGetPage(parts->buffers[0]);
	*item = *hnsw_item_on(g, page, offset);
	found = item->node == node && item->size <= g->scratch_bytes && item->n_tids <= HNSW_TIDS;
	left = found && want_value ? item->size : 0;
	for (int i = 0;; i++)
	{
		parts->at[i] = (char *) page + at;
		parts->bytes[i] = Min(left, HNSW_PAGE_END - at);
		left -= parts->bytes[i];
		if (left == 0 || parts->n == MAX_ITEM_PAGES)
			break;
		parts->buffers[parts->n] = hnsw_read_page(g, HnswTail(page)->next, HNSW_PAGE_ITEM, BUFFER_LOCK_SHARE);
		page = BufferGetPage(parts->buffers[parts->n]);
		parts->n++;
		at = HNSW_PAGE_START;
	}
	return found && left == 0;
}

static void
unlock_item(Parts *parts)
{
	while (parts->n > 0)
		UnlockReleaseBuffer(parts->buffers[--parts->n]);
}

static void
copy_parts(const Parts *parts, char *value)
{
	for (int i = 0; i < parts->n; value += parts->bytes[i++])
		memcpy(value, parts->at[i], parts->bytes[i]);
}

/*
 * The item of a node; false if the item belongs to another one by now.  The
 * value is copied where it is wanted and there is one.
 */
bool
hnsw_item_read(HnswGraph *g, BlockNumber block, uint16 offset, uint32 node, HnswItem *item, void *value)
{
	Parts		parts;
	bool		found = lock_item(g, block, offset, node, value != NULL, item, &parts);

	if (found && value)
		copy_parts(&parts, value);
	unlock_item(&parts);
	return found;
}

/* The same, and how far its value is from a query's. */
bool
hnsw_item_distance(HnswGraph *g, const HnswQuery *query, BlockNumber block, uint16 offset, uint32 node,
				   HnswItem *item, float *distance)
{
	Parts		parts;
	bool		found = lock_item(g, block, offset, node, true, item, &parts);

	if (found && g->codec.sums_up && item->size == g->codec.value_bytes)
	{
		uint32		at = 0;

		*distance = 0;
		for (int i = 0; i < parts.n; at += parts.bytes[i++])
			*distance += hnsw_codec_part(&g->codec, query, at, parts.at[i], parts.bytes[i]);
	}
	else if (found)
	{
		copy_parts(&parts, g->scratch);
		*distance = hnsw_codec_exact(&g->codec, query, g->scratch, item->size);
	}
	unlock_item(&parts);
	return found;
}

/* ---- appending ---- */

static BlockNumber
item_tail(HnswGraph *g)
{
	Buffer		buffer;
	BlockNumber tail;

	if (g->building)
		return g->build_item_tail;
	buffer = hnsw_read_page(g, HNSW_META_BLOCK, HNSW_PAGE_META, BUFFER_LOCK_SHARE);
	tail = HnswPageMeta(BufferGetPage(buffer))->item_tail;
	UnlockReleaseBuffer(buffer);
	return tail;
}

/*
 * The page that the next item starts on, locked, and whether it is new.  While
 * it is locked nobody else makes a new tail.
 */
static Buffer
start_page(HnswGraph *g, uint32 bytes, bool *fresh)
{
	BlockNumber tail = item_tail(g);

	*fresh = false;
	while (tail != 0)
	{
		Buffer		buffer = hnsw_read_page(g, tail, HNSW_PAGE_ITEM, BUFFER_LOCK_EXCLUSIVE);
		int			space = free_space(BufferGetPage(buffer));
		BlockNumber now;

		if (space >= (int) Min(MIN_START, sizeof(HnswItem) + bytes))
			return buffer;
		UnlockReleaseBuffer(buffer);
		now = item_tail(g);
		if (now == tail)
			break;
		tail = now;
	}
	*fresh = true;
	return hnsw_new_page(g, HNSW_PAGE_ITEM);
}

/* Writes the pages behind the first; returns the last of them, 0 if there is none. */
static BlockNumber
append_rest(HnswGraph *g, const char *value, uint32 bytes, BlockNumber *next)
{
	Buffer		buffers[MAX_ITEM_PAGES];
	int			n = (bytes + HNSW_PAGE_SPACE - 1) / HNSW_PAGE_SPACE;
	BlockNumber last = 0;

	*next = 0;
	if (n > MAX_ITEM_PAGES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("value of %u bytes is too large for an hnsw index", bytes)));
	for (int i = 0; i < n; i++)
		buffers[i] = hnsw_new_page(g, HNSW_PAGE_ITEM);
	for (int i = n - 1; i >= 0; i--)
	{
		uint32		at = i * HNSW_PAGE_SPACE;
		uint32		part = Min(bytes - at, HNSW_PAGE_SPACE);
		HnswWrite	w;
		Page		page;

		hnsw_write_begin(&w, g);
		page = hnsw_write_page(&w, buffers[i], true);
		hnsw_init_page(page, HNSW_PAGE_ITEM);
		memcpy((char *) page + HNSW_PAGE_START, value + at, part);
		((PageHeader) page)->pd_lower = HNSW_PAGE_START + TYPEALIGN(4, part);
		HnswTail(page)->next = *next;
		hnsw_write_end(&w);
		*next = BufferGetBlockNumber(buffers[i]);
		if (i == n - 1)
			last = *next;
		UnlockReleaseBuffer(buffers[i]);
	}
	return last;
}

/*
 * Appends an item that is nobody's yet (node 0) and tells where.  tid may be
 * NULL.
 */
void
hnsw_item_append(HnswGraph *g, ItemPointer tid, const void *value, uint32 bytes, uint32 *block, uint16 *offset)
{
	bool		fresh;
	Buffer		buffer = start_page(g, bytes, &fresh);
	Buffer		meta = InvalidBuffer;
	uint32		start = fresh ? HNSW_PAGE_START : ((PageHeader) BufferGetPage(buffer))->pd_lower;
	uint32		here = Min(bytes, HNSW_PAGE_END - start - sizeof(HnswItem));
	BlockNumber next,
				last = append_rest(g, (const char *) value + here, bytes - here, &next);
	HnswWrite	w;
	Page		page;
	HnswItem   *item;

	*block = BufferGetBlockNumber(buffer);
	*offset = start;
	if (last == 0 && fresh)
		last = *block;
	if (last != 0 && !g->building)
		meta = hnsw_read_page(g, HNSW_META_BLOCK, HNSW_PAGE_META, BUFFER_LOCK_EXCLUSIVE);
	hnsw_write_begin(&w, g);
	page = hnsw_write_page(&w, buffer, fresh);
	if (fresh)
		hnsw_init_page(page, HNSW_PAGE_ITEM);
	item = (HnswItem *) ((char *) page + start);
	memset(item, 0, sizeof(HnswItem));
	item->size = bytes;
	if (tid)
		item->tids[item->n_tids++] = *tid;
	memcpy(item + 1, value, here);
	((PageHeader) page)->pd_lower = start + sizeof(HnswItem) + TYPEALIGN(4, here);
	HnswTail(page)->next = next;
	if (HnswTail(page)->first == 0)
		HnswTail(page)->first = start;
	if (meta != InvalidBuffer)
		HnswPageMeta(hnsw_write_page(&w, meta, false))->item_tail = last;
	hnsw_write_end(&w);
	if (meta != InvalidBuffer)
		UnlockReleaseBuffer(meta);
	UnlockReleaseBuffer(buffer);
	if (g->building && last != 0)
		g->build_item_tail = last;
}

/* ---- changing ---- */

/*
 * One more heap row for the element; false if the item is another's, dying or
 * full.  The caller has seen that the value is the same.
 */
bool
hnsw_item_add_tid(HnswGraph *g, BlockNumber block, uint16 offset, uint32 node, ItemPointer tid)
{
	Buffer		buffer = hnsw_read_page(g, block, HNSW_PAGE_ITEM, BUFFER_LOCK_EXCLUSIVE);
	HnswItem   *item = hnsw_item_on(g, BufferGetPage(buffer), offset);
	bool		ok = item->node == node && !(item->flags & HNSW_NODE_DEAD) && item->n_tids < HNSW_TIDS;

	if (ok)
	{
		HnswWrite	w;

		hnsw_write_begin(&w, g);
		item = hnsw_item_on(g, hnsw_write_page(&w, buffer, false), offset);
		item->tids[item->n_tids++] = *tid;
		hnsw_write_end(&w);
	}
	UnlockReleaseBuffer(buffer);
	return ok;
}

/*
 * Gives the item of a freed node a new value and row; false if it does not fit
 * there.  The caller has the node's page locked.
 */
bool
hnsw_item_reuse(HnswGraph *g, BlockNumber block, uint16 offset, uint32 node, ItemPointer tid,
				const void *value, uint32 bytes)
{
	Buffer		buffers[MAX_REUSE_PAGES];
	int			n = 0;
	HnswItem   *item;
	HnswItem	head;
	Size		space;
	uint32		at = offset + sizeof(HnswItem);
	uint32		left = bytes;
	HnswWrite	w;

	buffers[n++] = hnsw_read_page(g, block, HNSW_PAGE_ITEM, BUFFER_LOCK_EXCLUSIVE);
	item = hnsw_item_on(g, BufferGetPage(buffers[0]), offset);
	space = HnswItemSpan(item) - sizeof(HnswItem);
	head = *item;
	if (head.node != node || bytes > space ||
		bytes > (HNSW_PAGE_END - at) + (MAX_REUSE_PAGES - 1) * HNSW_PAGE_SPACE)
	{
		UnlockReleaseBuffer(buffers[0]);
		return false;
	}
	for (uint32 covered = HNSW_PAGE_END - at; covered < bytes; covered += HNSW_PAGE_SPACE, n++)
		buffers[n] = hnsw_read_page(g, HnswTail(BufferGetPage(buffers[n - 1]))->next, HNSW_PAGE_ITEM,
									BUFFER_LOCK_EXCLUSIVE);
	head.flags = 0;
	head.n_tids = 1;
	head.tids[0] = *tid;
	head.size = bytes;
	head.room = (space - TYPEALIGN(4, bytes)) / 4;
	hnsw_write_begin(&w, g);
	for (int i = 0; i < n; i++)
	{
		Page		page = hnsw_write_page(&w, buffers[i], false);
		uint32		part = Min(left, HNSW_PAGE_END - at);

		if (i == 0)
			memcpy((char *) page + offset, &head, sizeof(head));
		memcpy((char *) page + at, (const char *) value + (bytes - left), part);
		left -= part;
		at = HNSW_PAGE_START;
	}
	hnsw_write_end(&w);
	while (n > 0)
		UnlockReleaseBuffer(buffers[--n]);
	return true;
}
