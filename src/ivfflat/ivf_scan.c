/*
 * ivf_scan.c
 *	  Index scans: rows of the nearest lists in the order of their distance.
 *
 * All lists' centres are scored, the nearest lists that have rows are read
 * whole.  No pin is held between rows; scans need MVCC snapshots, to which rows
 * that VACUUM takes out meanwhile are invisible.
 */
#include "postgres.h"

#include "access/relscan.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/spccache.h"

#include "hnsw/hnsw.h"
#include "ivfflat/ivf_int.h"

/* Pages of a list that are asked for before they are read. */
#define MAX_AHEAD		32
#define MIN_AHEAD		4

typedef struct Probe
{
	float		distance;
	int			list;
} Probe;

typedef struct IvfScan
{
	Ivf			ivf;
	IvfQuery	query;
	Probe	   *probes;			/* nearest first */
	int			n_probes;
	int			first_probe;	/* of this batch */
	int			next_probe;		/* behind this batch */
	IvfOrder	order;
	int			ahead;
	IvfHints   *hints;
	bool		started;
	bool		filtered;		/* somebody above throws rows away and wants more */
	const void **rows;			/* of a page */
	float	   *distances;
	MemoryContext context;		/* of the query */
} IvfScan;

IndexScanDesc
ivf_begin_scan(Relation index, int n_keys, int n_orderbys)
{
	IndexScanDesc scan = RelationGetIndexScan(index, n_keys, n_orderbys);
	IvfScan    *s = palloc0(sizeof(IvfScan));
	int			concurrency = get_tablespace_io_concurrency(index->rd_rel->reltablespace);

	ivf_open(&s->ivf, index);
	s->ahead = Max(Min(concurrency, MAX_AHEAD), MIN_AHEAD);
	s->filtered = n_orderbys > 0 && lh_hnsw_is_filtered(index);
	s->rows = palloc(sizeof(void *) * IVF_MAX_PAGE_ROWS);
	s->distances = palloc(sizeof(float) * IVF_MAX_PAGE_ROWS);
	s->context = AllocSetContextCreate(CurrentMemoryContext, "ivfflat scan", ALLOCSET_DEFAULT_SIZES);
	scan->opaque = s;
	return scan;
}

void
ivf_rescan(IndexScanDesc scan, ScanKey keys, int n_keys, ScanKey orderbys, int n_orderbys)
{
	IvfScan    *s = scan->opaque;

	s->started = false;
	if (keys && scan->numberOfKeys > 0)
		memmove(scan->keyData, keys, scan->numberOfKeys * sizeof(ScanKeyData));
	if (orderbys && scan->numberOfOrderBys > 0)
		memmove(scan->orderByData, orderbys, scan->numberOfOrderBys * sizeof(ScanKeyData));
}

void
ivf_end_scan(IndexScanDesc scan)
{
	IvfScan    *s = scan->opaque;

	MemoryContextDelete(s->context);
	pfree(s->rows);
	pfree(s->distances);
	pfree(s);
	scan->opaque = NULL;
}

/* ---- which lists ---- */

/* Equally near ones in the order in which rows are given to them. */
static int
compare_probes(const void *a, const void *b)
{
	const Probe *x = a;
	const Probe *y = b;

	if (x->distance != y->distance)
		return x->distance < y->distance ? -1 : 1;
	return x->list - y->list;
}

static void
sift_down(Probe *heap, int n, int at)
{
	Probe		probe = heap[at];

	for (;;)
	{
		int			child = 2 * at + 1;

		if (child >= n)
			break;
		if (child + 1 < n && compare_probes(&heap[child + 1], &heap[child]) > 0)
			child++;
		if (compare_probes(&heap[child], &probe) <= 0)
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = probe;
}

/* Keeps the nearest `max` of all: a heap, once there are so many, the farthest on top. */
static void
consider(IvfScan *s, int max, float distance, int list)
{
	Probe		probe = {distance == distance ? distance : get_float4_infinity(), list};

	if (s->n_probes < max)
	{
		s->probes[s->n_probes++] = probe;
		if (s->n_probes == max)
			for (int i = max / 2 - 1; i >= 0; i--)
				sift_down(s->probes, max, i);
	}
	else if (compare_probes(&probe, &s->probes[0]) < 0)
	{
		s->probes[0] = probe;
		sift_down(s->probes, max, 0);
	}
}

static void
choose_lists(IvfScan *s, int max)
{
	Ivf		   *ivf = &s->ivf;
	int			list = 0;
	const void **centers = palloc(sizeof(void *) * ivf->slots_per_page);
	int		   *lists = palloc(sizeof(int) * ivf->slots_per_page);
	float	   *distances = palloc(sizeof(float) * ivf->slots_per_page);

	s->probes = palloc(sizeof(Probe) * max);
	s->n_probes = 0;
	for (BlockNumber page = 0; page < IvfCenterPages(ivf); page++)
	{
		Buffer		buffer = ivf_hint_read(s->hints, ivf->index, IVF_CENTER_BLOCK + page);
		int			n_slots = ivf_slots_on(ivf, IVF_CENTER_BLOCK + page);
		int			n = 0;

		ivf_lock_page(ivf->index, buffer, IVF_PAGE_CENTER, BUFFER_LOCK_SHARE);
		for (int i = 0; i < n_slots; i++, list++)
		{
			IvfList    *slot = IvfSlot(ivf, BufferGetPage(buffer), i);

			if (slot->first == 0)
				continue;
			lists[n] = list;
			centers[n++] = IvfSlotCenter(slot);
		}
		ivf_score(&ivf->shape, &s->query, centers, n, distances);
		UnlockReleaseBuffer(buffer);
		for (int i = 0; i < n; i++)
			consider(s, max, distances[i], lists[i]);
	}
	qsort(s->probes, s->n_probes, sizeof(Probe), compare_probes);
	pfree(centers);
	pfree(lists);
	pfree(distances);
}

/* ---- reading lists ---- */

static void
read_list(IvfScan *s, int list)
{
	Ivf		   *ivf = &s->ivf;
	IvfList    *slot;
	Buffer		buffer = ivf_read_list(ivf, list, BUFFER_LOCK_SHARE, &slot);
	BlockNumber block = slot->first;
	BlockNumber asked = block;	/* for the blocks before it */
	BlockNumber run_end = block + slot->run;

	UnlockReleaseBuffer(buffer);
	for (BlockNumber steps = 0; block != 0; steps++)
	{
		Page		page;
		int			n;

		CHECK_FOR_INTERRUPTS();
		ivf_check_chain(ivf, steps, block);
		for (; asked < run_end && asked < block + s->ahead; asked++)
			ivf_hint_prefetch(s->hints, ivf->index, asked);
		buffer = ivf_hint_read(s->hints, ivf->index, block);
		ivf_lock_page(ivf->index, buffer, IVF_PAGE_ROWS, BUFFER_LOCK_SHARE);
		page = BufferGetPage(buffer);
		n = ivf_rows_on(ivf, buffer, list);
		for (int i = 0; i < n; i++)
			s->rows[i] = IvfRowValue(page, &ivf->shape, i);
		ivf_score(&ivf->shape, &s->query, s->rows, n, s->distances);
		ivf_order_add(&s->order, s->distances, page, n);
		block = IvfTail(page)->next;
		UnlockReleaseBuffer(buffer);
	}
}

static void
read_batch(IvfScan *s)
{
	MemoryContext old = MemoryContextSwitchTo(s->context);

	for (int i = s->first_probe; i < s->next_probe; i++)
		read_list(s, s->probes[i].list);
	MemoryContextSwitchTo(old);
}

/* The lists behind those that were read; false if there are none. */
static bool
next_batch(IvfScan *s)
{
	IvfEntry   *entries = s->order.entries;
	int			room = s->order.room;

	if (s->next_probe == s->n_probes)
		return false;
	s->first_probe = s->next_probe;
	s->next_probe = Min(s->first_probe + ivf_probes, s->n_probes);
	ivf_order_start(&s->order, s->order.max);
	s->order.entries = entries;
	s->order.room = room;
	read_batch(s);
	return true;
}

/* ---- scanning ---- */

static void
prepare_query(IndexScanDesc scan, IvfScan *s)
{
	const IvfShape *shape = &s->ivf.shape;
	ScanKey		key = &scan->orderByData[0];
	void	   *value;

	memset(&s->query, 0, sizeof(s->query));
	if (key->sk_flags & SK_ISNULL)
	{
		s->query.zero = true;
		return;
	}
	(void) ivf_value(shape, key->sk_argument, &value);
	ivf_query(shape, value, palloc(IvfWorkBytes(shape)), &s->query);
}

static void
start(IndexScanDesc scan, IvfScan *s)
{
	MemoryContext old;
	int			max = ivf_probes;

	ivf_read_settings();
	s->hints = ivf_hints(s->ivf.index);
	MemoryContextReset(s->context);
	old = MemoryContextSwitchTo(s->context);
	if (ivf_iterative_scan != IVF_ITERATIVE_OFF)
		max = Max(ivf_max_probes, ivf_probes);
	else if (s->filtered)
		max = s->ivf.lists;
	max = Min(max, s->ivf.lists);
	prepare_query(scan, s);
	choose_lists(s, max);
	s->first_probe = s->next_probe = 0;
	ivf_order_start(&s->order, (int) Min((Size) work_mem * 1024 / sizeof(IvfEntry), INT_MAX / 64));
	MemoryContextSwitchTo(old);
	s->started = true;
	(void) next_batch(s);
}

bool
ivf_get_tuple(IndexScanDesc scan, ScanDirection direction)
{
	IvfScan    *s = scan->opaque;
	IvfEntry	entry;

	Assert(ScanDirectionIsForward(direction));
	if (!s->started)
	{
		pgstat_count_index_scan(scan->indexRelation);
		if (scan->numberOfOrderBys == 0)
			elog(ERROR, "cannot scan ivfflat index without order");
		if (!IsMVCCSnapshot(scan->xs_snapshot))
			elog(ERROR, "non-MVCC snapshots are not supported with ivfflat");
		start(scan, s);
	}
	while (!ivf_order_next(&s->order, &entry))
	{
		if (s->order.cut)
		{
			ivf_order_restart(&s->order);
			read_batch(s);
		}
		else if (!next_batch(s))
			return false;
	}
	scan->xs_heaptid = entry.tid;
	scan->xs_recheck = false;
	scan->xs_recheckorderby = false;
	return true;
}
