/*
 * hnsw_scan.c
 *	  Index scans: rows in the order of their distance to a value.
 *
 * A search gives candidates by the distances of their codes.  Their items are
 * read, for heap rows and exact distance, only as far as the next result could
 * be among them; results come in the order of exact distances.
 */
#include "postgres.h"

#include "access/relscan.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "hnsw/hnsw.h"
#include "hnsw/hnsw_int.h"

/* Items whose memory is asked for before they are read. */
#define READ_AHEAD		4

/*
 * Candidates for each row below a filter.  The rows that pass lie scattered
 * among those near by, so finding them takes the care of a wider search; the
 * scan goes far anyhow, this adds little.
 */
#define FILTERED_EF(ef)	Min(Max(10 * (ef), 400), HNSW_MAX_EF_SEARCH)

/* Of the errors that a code can have, a search takes fewer deviations for possible than a sweep, which must be exact. */
#define SLACK			0.7f

typedef struct Ready
{
	float		distance;
	int			n_tids;
	ItemPointerData tids[HNSW_TIDS];
} Ready;

typedef struct HnswScan
{
	HnswGraph  *g;
	HnswQuery	query;
	HnswPool	pool;			/* candidates of this batch */
	int			pending;		/* the next of them to be read */
	HnswRest	rest;			/* for the next batches */
	Ready	   *ready;			/* read, not yet returned: a heap, nearest on top */
	int			n_ready;
	int			max_ready;
	Ready		current;		/* rows that are being returned */
	HnswHints  *heap;			/* where the table's pages are; NULL: not known */
	float		last;			/* distance returned last */
	bool		started;
	bool		want_filtered;	/* somebody above throws rows away */
	bool		filtered;		/* goes on until enough rows have passed */
	int64		returned;		/* rows */
	int64		until;			/* pauses after so many, 0 never */
	bool		paused;
	bool		exact;			/* by sweeps over all codes */
	HnswSweep	sweep;
	int64		scored_before;	/* by the scans before the last rescan */
	MemoryContext context;		/* of the query */
} HnswScan;

IndexScanDesc
hnsw_begin_scan(Relation index, int n_keys, int n_orderbys)
{
	IndexScanDesc scan = RelationGetIndexScan(index, n_keys, n_orderbys);
	HnswScan   *s = palloc0(sizeof(HnswScan));

	s->g = hnsw_open(index, CurrentMemoryContext);
	s->want_filtered = n_orderbys > 0 && lh_hnsw_is_filtered(index);
	s->context = AllocSetContextCreate(CurrentMemoryContext, "hnsw scan", ALLOCSET_DEFAULT_SIZES);
	scan->opaque = s;
	return scan;
}

void
hnsw_rescan(IndexScanDesc scan, ScanKey keys, int n_keys, ScanKey orderbys, int n_orderbys)
{
	HnswScan   *s = scan->opaque;

	s->started = s->paused = false;
	if (keys && scan->numberOfKeys > 0)
		memmove(scan->keyData, keys, scan->numberOfKeys * sizeof(ScanKeyData));
	if (orderbys && scan->numberOfOrderBys > 0)
		memmove(scan->orderByData, orderbys, scan->numberOfOrderBys * sizeof(ScanKeyData));
}

void
hnsw_end_scan(IndexScanDesc scan)
{
	HnswScan   *s = scan->opaque;

	hnsw_graph_free(s->g);
	MemoryContextDelete(s->context);
	pfree(s);
	scan->opaque = NULL;
}

/* Is it an index of ours, by whatever access method's name? */
bool
hnsw_is_ours(Relation index)
{
	return index->rd_indam->ambeginscan == hnsw_begin_scan;
}

/* What the scan and its rescans have done so far. */
HnswCounters *
hnsw_scan_counters(IndexScanDesc scan)
{
	return &((HnswScan *) scan->opaque)->g->counters;
}

/* ---- for whoever wants to stop a scan and look how it goes ---- */

/* The scan says that it has ended when it has returned so many rows, and goes on when it may return more. */
void
lh_hnsw_scan_until(IndexScanDesc scan, int64 rows)
{
	HnswScan   *s = scan->opaque;

	s->until = rows;
	s->want_filtered = true;
}

int64
lh_hnsw_scan_rows(IndexScanDesc scan)
{
	return ((HnswScan *) scan->opaque)->returned;
}

bool
lh_hnsw_scan_is_paused(IndexScanDesc scan)
{
	return ((HnswScan *) scan->opaque)->paused;
}

/* ---- results by exact distance ---- */

static void
ready_push(HnswScan *s, const Ready *ready)
{
	int			at;

	if (s->n_ready == s->max_ready)
	{
		s->max_ready = Max(2 * s->max_ready, 64);
		s->ready = s->ready ? repalloc(s->ready, sizeof(Ready) * s->max_ready) :
			MemoryContextAlloc(s->context, sizeof(Ready) * s->max_ready);
	}
	at = s->n_ready++;
	while (at > 0 && s->ready[(at - 1) / 2].distance > ready->distance)
	{
		s->ready[at] = s->ready[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	s->ready[at] = *ready;
}

static void
ready_pop(HnswScan *s, Ready *top)
{
	Ready		last;
	int			at = 0;

	*top = s->ready[0];
	last = s->ready[--s->n_ready];
	for (;;)
	{
		int			child = 2 * at + 1;

		if (child >= s->n_ready)
			break;
		if (child + 1 < s->n_ready && s->ready[child + 1].distance < s->ready[child].distance)
			child++;
		if (last.distance <= s->ready[child].distance)
			break;
		s->ready[at] = s->ready[child];
		at = child;
	}
	s->ready[at] = last;
}

/*
 * Reads a candidate's rows and exact distance, as of one moment; false if the
 * element is gone.  Where the code is the value, the node stays locked until
 * its item has been read.
 */
static bool
read_candidate(HnswScan *s, uint32 id, Ready *ready)
{
	HnswGraph  *g = s->g;
	HnswNode   *node;
	Buffer		buffer = InvalidBuffer;
	HnswItem	item;
	BlockNumber block;
	uint16		offset;
	bool		found;

	g->counters.reranked++;
	if (!hnsw_item_of(g, id, &block, &offset))
		return false;
	if (!g->codec.store_value)
	{
		buffer = hnsw_read_page(g, id >> g->id_shift, HNSW_PAGE_NODE, BUFFER_LOCK_SHARE);
		node = (HnswNode *) (BufferGetPage(buffer) + HNSW_PAGE_START + (id & g->slot_mask) * g->node_bytes);
		ready->distance = hnsw_codec_score(&g->codec, &s->query, node);
		found = node->flags == HNSW_NODE_USED &&
			hnsw_item_read(g, node->item_block, node->item_offset, id, &item, NULL);
		UnlockReleaseBuffer(buffer);
	}
	else
		found = hnsw_item_distance(g, &s->query, block, offset, id, &item, &ready->distance);
	if (!found || (item.flags & HNSW_NODE_DEAD))
		return false;
	ready->n_tids = item.n_tids;
	memcpy(ready->tids, item.tids, sizeof(item.tids));
	return true;
}

/* The least exact distance that a candidate can have. */
static float
least_distance(HnswScan *s, HnswKey key)
{
	HnswNode   *node;

	if (s->exact)
		return hnsw_key_distance(key);
	node = hnsw_peek_node(s->g, HnswKeyNode(key));
	return hnsw_key_distance(key) - (node ? SLACK * hnsw_codec_slack(&s->g->codec, &s->query, node) : 0);
}

/*
 * Below a filter the pool is a window that moves outwards: what has been read
 * makes room for the best of the rest, whose links are followed at once.  So
 * each row is found with as many candidates as the first one.
 */
static void
move_window(HnswScan *s)
{
	HnswPool   *pool = &s->pool;
	MemoryContext old;

	if (s->pending < Max(pool->max / 4, 1) && s->pending < pool->n)
		return;
	old = MemoryContextSwitchTo(s->context);
	pool->n -= s->pending;
	memmove(pool->keys, pool->keys + s->pending, sizeof(HnswKey) * pool->n);
	s->pending = 0;
	while (pool->n < pool->max && s->rest.n > 0)
	{
		pool->keys[pool->n] = hnsw_rest_pop(&s->rest);
		pool->n++;
	}
	pool->next = 0;
	hnsw_search(s->g, &s->query, 0, pool, &s->rest);
	MemoryContextSwitchTo(old);
}

/*
 * The candidates of an exact search are used up: goes on with those after them,
 * unless the nearest row read is nearer than any of them can be.
 */
static bool
sweep_on(HnswScan *s)
{
	MemoryContext old;
	bool		found;

	if (s->n_ready > 0 && s->sweep.keys && (!s->sweep.more || s->ready[0].distance < hnsw_key_distance(s->sweep.limit)))
		return false;
	old = MemoryContextSwitchTo(s->context);
	found = hnsw_sweep(s->g, &s->query, &s->sweep);
	MemoryContextSwitchTo(old);
	s->pool.keys = s->sweep.keys;
	s->pool.n = found ? s->sweep.n : 0;
	s->pending = 0;
	return found;
}

/* Asks for the memory of some candidates' items. */
static void
prefetch_items(HnswScan *s, int from, int n)
{
	for (int i = from; i < Min(from + n, s->pool.n); i++)
		hnsw_prefetch_item(s->g, HnswKeyNode(s->pool.keys[i]));
}

/* The next result of this batch into s->current; false at its end. */
static bool
next_of_batch(HnswScan *s)
{
	for (;;)
	{
		HnswKey		key;
		Ready		ready;

		if (s->filtered && s->rest.keep)
			move_window(s);
		if (s->pending >= s->pool.n && !(s->exact && sweep_on(s)))
			break;
		key = s->pool.keys[s->pending];

		if (s->n_ready > 0 && s->ready[0].distance < least_distance(s, key))
			break;
		if (s->pending == 0)
			prefetch_items(s, 1, READ_AHEAD);
		s->pending++;
		prefetch_items(s, s->pending + READ_AHEAD, 1);
		if (read_candidate(s, HnswKeyNode(key), &ready) && ready.n_tids > 0)
		{
			if (s->heap)
				hnsw_heap_prefetch(s->heap, &ready.tids[ready.n_tids - 1]);
			ready_push(s, &ready);
		}
	}
	if (s->n_ready == 0)
		return false;
	ready_pop(s, &s->current);
	return true;
}

/* ---- batches ---- */

static void
prepare_query(IndexScanDesc scan, HnswScan *s)
{
	HnswCodec  *codec = &s->g->codec;
	ScanKey		key = &scan->orderByData[0];
	void	   *value;
	uint32		bytes;

	memset(&s->query, 0, sizeof(s->query));
	if (key->sk_flags & SK_ISNULL)
		hnsw_codec_zero(codec, &value, &bytes);
	else
		(void) hnsw_codec_value(codec, key->sk_argument, false, &value, &bytes);
	if (codec->coding != HNSW_RAW)
		s->query.code = palloc(2 * codec->code_bytes);
	hnsw_codec_query(codec, value, bytes, &s->query, NULL);
}

static void
first_batch(IndexScanDesc scan, HnswScan *s)
{
	HnswGraph  *g = s->g;
	MemoryContext old;
	uint32		entry;
	int			level;

	hnsw_read_settings();
	MemoryContextReset(s->context);
	old = MemoryContextSwitchTo(s->context);
	s->started = true;
	s->returned = 0;
	s->pending = s->n_ready = s->max_ready = 0;
	s->ready = NULL;
	s->current.n_tids = 0;
	s->heap = hnsw_heap_hints(scan);
	s->last = -get_float4_infinity();
	s->scored_before = g->counters.scored;
	memset(&s->rest, 0, sizeof(s->rest));
	s->exact = hnsw_exact;
	memset(&s->sweep, 0, sizeof(s->sweep));
	s->filtered = !s->exact && s->want_filtered && hnsw_iterative_scan == HNSW_ITERATIVE_OFF;
	s->rest.keep = !s->exact && (s->filtered || hnsw_iterative_scan != HNSW_ITERATIVE_OFF);
	s->pool.max = s->filtered ? FILTERED_EF(hnsw_ef_search) : hnsw_ef_search;
	s->pool.n = s->pool.next = 0;
	s->pool.keys = palloc(sizeof(HnswKey) * s->pool.max);
	prepare_query(scan, s);
	hnsw_entry(g, &entry, &level);
	if (entry != 0 && !s->exact)
	{
		entry = hnsw_descend(g, &s->query, entry, level, 0);
		hnsw_seed(g, &s->query, &s->pool, entry);
		hnsw_search(g, &s->query, 0, &s->pool, &s->rest);
	}
	MemoryContextSwitchTo(old);
}

static bool
at_limit(HnswScan *s)
{
	double		used = (double) s->rest.max * sizeof(HnswKey) + (double) s->g->visited.n * sizeof(uint64);

	return s->g->counters.scored - s->scored_before >= hnsw_max_scan_tuples ||
		used > (double) work_mem * 1024 * hnsw_scan_mem_multiplier;
}

/* Goes on with what the batches before have left over; false if there is nothing. */
static bool
next_batch(HnswScan *s)
{
	MemoryContext old = MemoryContextSwitchTo(s->context);
	bool		search = !at_limit(s);

	s->pool.n = s->pool.next = s->pending = 0;
	while (s->rest.n > 0 && s->pool.n < (search ? s->pool.max : 1))
		s->pool.keys[s->pool.n++] = hnsw_rest_pop(&s->rest);
	if (search)
		hnsw_search(s->g, &s->query, 0, &s->pool, &s->rest);
	MemoryContextSwitchTo(old);
	return s->pool.n > 0;
}

bool
hnsw_get_tuple(IndexScanDesc scan, ScanDirection direction)
{
	HnswScan   *s = scan->opaque;

	Assert(ScanDirectionIsForward(direction));
	if (!s->started)
	{
		pgstat_count_index_scan(scan->indexRelation);
		if (scan->numberOfOrderBys == 0)
			elog(ERROR, "cannot scan hnsw index without order");
		if (!IsMVCCSnapshot(scan->xs_snapshot))
			elog(ERROR, "non-MVCC snapshots are not supported with hnsw");
		first_batch(scan, s);
	}
	else if (s->heap && s->returned > 0)
		hnsw_heap_learn(s->heap, scan, &scan->xs_heaptid);
	s->paused = s->until > 0 && s->returned >= s->until;
	if (s->paused)
		return false;
	while (s->current.n_tids == 0)
	{
		CHECK_FOR_INTERRUPTS();
		if (!next_of_batch(s))
		{
			if (s->filtered || !s->rest.keep || !next_batch(s))
				return false;
			continue;
		}
		if (hnsw_iterative_scan == HNSW_ITERATIVE_STRICT && s->current.distance < s->last)
			s->current.n_tids = 0;
		else
			s->last = s->current.distance;
	}
	s->returned++;
	scan->xs_heaptid = s->current.tids[--s->current.n_tids];
	if (s->heap)
		hnsw_heap_hand(s->heap, scan, &scan->xs_heaptid);
	scan->xs_recheck = false;
	scan->xs_recheckorderby = false;
	return true;
}
