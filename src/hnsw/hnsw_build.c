/*
 * hnsw_build.c
 *	  CREATE INDEX: alone or with workers, in memory as long as the graph fits
 *	  there, on pages from then on.
 */
#include "postgres.h"

#include <sys/mman.h>

#include "access/parallel.h"
#include "access/tableam.h"
#include "commands/progress.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/backend_progress.h"
#include "utils/memutils.h"

#include "hnsw/hnsw_int.h"

#define PHASE_LOAD			2		/* hnsw_phase_name() in hnsw_handler.c */

/* Its own parts of the segment that workers share. */
#define KEY_PROGRESS		1
#define KEY_ARENA			2

/* What the graph in shared memory leaves of maintenance_work_mem to the rest. */
#define SHARED_RESERVE		(3 * 1024 * 1024)

/* Rows that the mean is taken from, and the places they are read at. */
#define SAMPLE_ROWS			4000
#define SAMPLE_PLACES		16

PGDLLEXPORT void lh_hnsw_build_main(dsm_segment *segment, shm_toc *toc);

/* What workers and leader share of how far they are. */
typedef struct Shared
{
	LWLock		flush_lock;		/* shared while inserting into memory */
	LWLock		entry_lock;
	pg_atomic_uint64 n_indexed;
	slock_t		mutex;			/* of the next */
	BlockNumber item_tail;		/* of whoever flushed or finished last */
} Shared;

typedef struct Build
{
	Relation	heap;
	Relation	index;
	IndexInfo  *info;
	HnswGraph  *g;
	Shared	   *shared;			/* NULL: alone */
	HnswArena	own_arena;
	double		index_rows;
	MemoryContext row_context;
} Build;

/* ---- the mean ---- */

typedef struct Sample
{
	HnswGraph  *g;
	MemoryContext context;
	double	   *sum;
	float	   *x;
	int			n;
	int			max;
} Sample;

static void
sample_row(Relation index, ItemPointer tid, Datum *values, bool *isnull, bool alive, void *state)
{
	Sample	   *sample = state;
	HnswCodec  *codec = &sample->g->codec;
	MemoryContext old;
	void	   *value;
	uint32		bytes;

	if (isnull[0] || sample->n >= sample->max)
		return;
	old = MemoryContextSwitchTo(sample->context);
	if (hnsw_codec_value(codec, values[0], true, &value, &bytes))
	{
		hnsw_codec_floats(codec, value, sample->x);
		for (uint32 i = 0; i < codec->dims; i++)
			sample->sum[i] += sample->x[i];
		sample->n++;
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(sample->context);
}

/* The mean of some rows from all over the table; NULL if there are none. */
static float *
sample_mean(Build *build)
{
	HnswGraph  *g = build->g;
	BlockNumber n_blocks = RelationGetNumberOfBlocks(build->heap);
	uint32		dims = g->codec.dims;
	Sample		sample = {0};
	float	   *mean;

	sample.g = g;
	sample.context = AllocSetContextCreate(g->context, "hnsw sample", ALLOCSET_DEFAULT_SIZES);
	sample.sum = MemoryContextAllocZero(g->context, sizeof(double) * dims);
	sample.x = MemoryContextAlloc(g->context, sizeof(float) * dims);
	for (int place = 0; place < SAMPLE_PLACES && n_blocks > 0; place++)
	{
		BlockNumber from = (uint64) n_blocks * place / SAMPLE_PLACES;
		BlockNumber to = (uint64) n_blocks * (place + 1) / SAMPLE_PLACES;

		sample.max = sample.n + SAMPLE_ROWS / SAMPLE_PLACES;
		for (BlockNumber block = from; block < to && sample.n < sample.max; block++)
			table_index_build_range_scan(build->heap, build->index, build->info, false,
										 !build->info->ii_Concurrent, false, block, 1,
										 sample_row, &sample, NULL);
	}
	MemoryContextDelete(sample.context);
	if (sample.n == 0)
		return NULL;
	mean = MemoryContextAlloc(g->context, sizeof(float) * dims);
	for (uint32 i = 0; i < dims; i++)
		mean[i] = (float) (sample.sum[i] / sample.n);
	return mean;
}

/* Puts the mean into the index; it is part of every code from then on. */
static void
store_mean(Build *build, HnswMeta *meta)
{
	HnswGraph  *g = build->g;
	float	   *mean;
	Buffer		buffer;
	double		square = 0;
	uint16		offset;

	if (g->codec.coding == HNSW_RAW)
		return;
	mean = sample_mean(build);
	if (mean == NULL)
		return;
	for (uint32 i = 0; i < meta->dims; i++)
		square += (double) mean[i] * mean[i];
	meta->mean_square = (float) square;
	hnsw_item_append(g, NULL, mean, sizeof(float) * meta->dims, &meta->mean_block, &offset);
	meta->mean_offset = offset;
	buffer = hnsw_read_page(g, HNSW_META_BLOCK, HNSW_PAGE_META, BUFFER_LOCK_EXCLUSIVE);
	*HnswPageMeta(BufferGetPage(buffer)) = *meta;
	MarkBufferDirty(buffer);
	UnlockReleaseBuffer(buffer);
}

/* ---- rows ---- */

static void
report_full(Build *build)
{
	ereport(NOTICE,
			(errmsg("hnsw graph no longer fits into maintenance_work_mem after " INT64_FORMAT " tuples",
					build->shared ? (int64) pg_atomic_read_u64(&build->shared->n_indexed) : (int64) build->index_rows),
			 errdetail("Building will take significantly more time."),
			 errhint("Increase maintenance_work_mem to speed up builds.")));
}

/* Into memory if the graph is there and has room. */
static bool
insert_in_memory(Build *build, ItemPointer tid, const void *value, uint32 bytes)
{
	HnswGraph  *g = build->g;
	Shared	   *shared = build->shared;
	bool		done;

	if (g->arena == NULL)
		return false;
	if (shared)
		LWLockAcquire(&shared->flush_lock, LW_SHARED);
	done = !g->arena->flushed && hnsw_memory_insert(g, tid, value, bytes, shared ? &shared->entry_lock : NULL);
	if (shared)
		LWLockRelease(&shared->flush_lock);
	if (done)
		return true;
	if (shared)
		LWLockAcquire(&shared->flush_lock, LW_EXCLUSIVE);
	if (!g->arena->flushed)
	{
		report_full(build);
		hnsw_memory_flush(g);
	}
	g->arena = NULL;
	if (shared)
		LWLockRelease(&shared->flush_lock);
	return false;
}

static void
build_row(Relation index, ItemPointer tid, Datum *values, bool *isnull, bool alive, void *state)
{
	Build	   *build = state;
	MemoryContext old;
	void	   *value;
	uint32		bytes;

	if (isnull[0])
		return;
	old = MemoryContextSwitchTo(build->row_context);
	if (hnsw_codec_value(&build->g->codec, values[0], true, &value, &bytes))
	{
		uint64		n;

		if (!insert_in_memory(build, tid, value, bytes))
			hnsw_insert_value(build->g, tid, value, bytes);
		build->index_rows++;
		n = build->shared ? pg_atomic_add_fetch_u64(&build->shared->n_indexed, 1) : (uint64) build->index_rows;
		pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, n);
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(build->row_context);
}

/* ---- memory ---- */

static double
bytes_per_node(HnswGraph *g)
{
	return g->node_bytes + 2.0 * g->m * sizeof(float) + 1.1 * g->upper_bytes / (g->m - 1);
}

static void
size_arena(HnswGraph *g, HnswArena *arena, Size bytes)
{
	double		nodes = bytes / bytes_per_node(g);

	memset(arena, 0, sizeof(*arena));
	pg_atomic_init_u32(&arena->n_nodes, 0);
	pg_atomic_init_u32(&arena->n_uppers, 0);
	arena->max_nodes = (uint32) Min(nodes, HNSW_MAX_NODE >> 1);
	arena->max_uppers = (uint32) (arena->max_nodes * 1.1 / (g->m - 1)) + 2048;
}

static Size
nodes_size(HnswGraph *g, const HnswArena *arena)
{
	return MAXALIGN(((Size) arena->max_nodes + 1) * g->node_bytes);
}

static Size
uppers_size(HnswGraph *g, const HnswArena *arena)
{
	return MAXALIGN(((Size) arena->max_uppers + 1) * g->upper_bytes);
}

static Size
memory_size(HnswGraph *g, const HnswArena *arena)
{
	return nodes_size(g, arena) + uppers_size(g, arena) +
		((Size) arena->max_nodes + 1) * 2 * g->m * sizeof(float);
}

static void
open_arena(HnswGraph *g, HnswArena *arena, char *memory)
{
	g->arena = arena;
	g->nodes = memory;
	g->uppers = g->nodes + nodes_size(g, arena);
	g->distances = (float *) (g->uppers + uppers_size(g, arena));
}

/* Nodes are read all over the place: large pages spare the processor looking for most of them. */
static void
want_large_pages(char *memory, Size bytes)
{
#ifdef MADV_HUGEPAGE
	const Size	large = 2 * 1024 * 1024;
	char	   *start = (char *) TYPEALIGN(large, memory);

	if (bytes > 2 * large)
		(void) madvise(start, TYPEALIGN_DOWN(large, memory + bytes - start), MADV_HUGEPAGE);
#endif
}

/* ---- with workers ---- */

static void
build_init(Build *build, Relation heap, Relation index, IndexInfo *info)
{
	memset(build, 0, sizeof(*build));
	build->heap = heap;
	build->index = index;
	build->info = info;
	build->row_context = AllocSetContextCreate(CurrentMemoryContext, "hnsw build row", ALLOCSET_DEFAULT_SIZES);
}

/* The leader's and each worker's share of the rows. */
static void
scan_share(Build *build, LhVindexShared *sums, ParallelTableScanDesc scan_desc, bool progress)
{
	TableScanDesc scan = table_beginscan_parallel(build->heap, scan_desc);
	double		rows = table_index_build_scan(build->heap, build->index, build->info, true, progress,
											  build_row, build, scan);
	Shared	   *shared = build->shared;

	lh_vindex_add_rows(sums, rows, build->index_rows);
	if (build->g->build_item_tail)
	{
		SpinLockAcquire(&shared->mutex);
		shared->item_tail = build->g->build_item_tail;
		SpinLockRelease(&shared->mutex);
	}
}

void
lh_hnsw_build_main(dsm_segment *segment, shm_toc *toc)
{
	HnswArena  *arena = shm_toc_lookup(toc, KEY_ARENA, false);
	LhVindexWorker worker;
	Build		build;

	lh_vindex_worker_begin(&worker, toc);
	build_init(&build, worker.heap, worker.index, worker.info);
	build.shared = shm_toc_lookup(toc, KEY_PROGRESS, false);
	build.g = hnsw_open(worker.index, CurrentMemoryContext);
	build.g->building = true;
	open_arena(build.g, arena, (char *) arena + MAXALIGN(sizeof(HnswArena)));
	scan_share(&build, worker.shared, worker.scan, false);
	lh_vindex_worker_end(&worker);
}

static void
init_shared(Shared *shared)
{
	int			tranche = LWLockNewTrancheId();

	memset(shared, 0, sizeof(*shared));
	LWLockInitialize(&shared->flush_lock, tranche);
	LWLockInitialize(&shared->entry_lock, tranche);
	pg_atomic_init_u64(&shared->n_indexed, 0);
	SpinLockInit(&shared->mutex);
}

/* Memory for the graph: what is allowed, and not much more than the table can need. */
static void
size_shared_arena(Build *build, HnswArena *arena)
{
	Size		bytes = (Size) maintenance_work_mem * 1024;
	BlockNumber pages;
	double		rows,
				visible;

	bytes = bytes > SHARED_RESERVE + 64 * 1024 ? bytes - SHARED_RESERVE : 64 * 1024;
	size_arena(build->g, arena, bytes);
	table_relation_estimate_size(build->heap, NULL, &pages, &rows, &visible);
	rows = rows * 1.5 + 10000;
	if (arena->max_nodes > rows)
		size_arena(build->g, arena, (Size) (rows * bytes_per_node(build->g)));
}

/* Builds with workers; false if there are none to be had. */
static bool
build_parallel(Build *build, int n_workers, double *heap_rows, BlockNumber *item_tail)
{
	HnswGraph  *g = build->g;
	LhVindexPart parts[] = {{sizeof(Shared)}, {0}};
	LhVindexLeader leader;
	HnswArena	size;
	HnswArena  *arena;

	size_shared_arena(build, &size);
	parts[KEY_ARENA - 1].bytes = MAXALIGN(sizeof(HnswArena)) + memory_size(g, &size);
	if (!lh_vindex_leader_begin(&leader, build->heap, build->index, build->info, "lh_hnsw_build_main",
								n_workers, parts, lengthof(parts)))
		return false;
	init_shared(parts[KEY_PROGRESS - 1].memory);
	arena = parts[KEY_ARENA - 1].memory;
	*arena = size;
	if (!lh_vindex_leader_launch(&leader))
		return false;
	build->shared = parts[KEY_PROGRESS - 1].memory;
	open_arena(g, arena, (char *) arena + MAXALIGN(sizeof(HnswArena)));
	scan_share(build, leader.shared, leader.scan, true);
	WaitForParallelWorkersToFinish(leader.context);
	if (!arena->flushed)
	{
		g->arena = arena;
		hnsw_memory_flush(g);
	}
	g->arena = NULL;
	*heap_rows = leader.shared->heap_rows;
	*item_tail = build->shared->item_tail;
	build->index_rows = leader.shared->index_rows;
	build->shared = NULL;
	lh_vindex_leader_end(&leader);
	return true;
}

/* ---- alone ---- */

static double
build_serial(Build *build)
{
	HnswGraph  *g = build->g;
	double		rows;
	char	   *memory;

	size_arena(g, &build->own_arena, (Size) maintenance_work_mem * 1024);
	memory = MemoryContextAllocHuge(g->context, memory_size(g, &build->own_arena));
	want_large_pages(memory, memory_size(g, &build->own_arena));
	open_arena(g, &build->own_arena, memory);
	rows = table_index_build_scan(build->heap, build->index, build->info, true, true, build_row, build, NULL);
	if (g->arena)
		hnsw_memory_flush(g);
	return rows;
}

/* ---- the callbacks ---- */

/* While building each process has its own tail; the next insert goes on behind the last. */
static void
store_item_tail(HnswGraph *g, BlockNumber tail)
{
	Buffer		buffer = hnsw_read_page(g, HNSW_META_BLOCK, HNSW_PAGE_META, BUFFER_LOCK_EXCLUSIVE);

	HnswPageMeta(BufferGetPage(buffer))->item_tail = tail;
	MarkBufferDirty(buffer);
	UnlockReleaseBuffer(buffer);
}

IndexBuildResult *
hnsw_build(Relation heap, Relation index, IndexInfo *info)
{
	IndexBuildResult *result = palloc0(sizeof(IndexBuildResult));
	Build		build;
	HnswMeta	meta;
	BlockNumber item_tail;
	int			n_workers;

	hnsw_meta_for(index, &meta);
	build_init(&build, heap, index, info);
	hnsw_create_meta(index, MAIN_FORKNUM, &meta);
	build.g = hnsw_open(index, CurrentMemoryContext);
	build.g->building = true;
	store_mean(&build, &meta);
	if (meta.mean_block)
	{
		/* again, now with the mean */
		BlockNumber tail = build.g->build_item_tail;

		hnsw_graph_free(build.g);
		if (index->rd_amcache)
			pfree(index->rd_amcache);
		index->rd_amcache = NULL;
		build.g = hnsw_open(index, CurrentMemoryContext);
		build.g->building = true;
		build.g->build_item_tail = tail;
	}
	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, PHASE_LOAD);
	n_workers = lh_vindex_plan_workers(heap, index);
	if (n_workers == 0 || !build_parallel(&build, n_workers, &result->heap_tuples, &item_tail))
	{
		result->heap_tuples = build_serial(&build);
		item_tail = build.g->build_item_tail;
	}
	store_item_tail(build.g, item_tail);
	result->index_tuples = build.index_rows;
	hnsw_graph_free(build.g);
	MemoryContextDelete(build.row_context);
	if (RelationNeedsWAL(index))
		lh_vindex_log(index, MAIN_FORKNUM);
	return result;
}

/* The empty index that an unlogged one starts with after a crash. */
void
hnsw_build_empty(Relation index)
{
	HnswMeta	meta;

	hnsw_meta_for(index, &meta);
	hnsw_create_meta(index, INIT_FORKNUM, &meta);
	lh_vindex_log(index, INIT_FORKNUM);
}
