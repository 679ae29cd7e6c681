/*
 * vindex_build.c
 *	  CREATE INDEX with workers: the segment that leader and workers share, the
 *	  scan of the table, starting and ending them.  Knows nothing of what the
 *	  access methods keep in the segment, but its size.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "optimizer/optimizer.h"
#include "pgstat.h"
#include "tcop/tcopprot.h"
#include "utils/backend_progress.h"
#include "utils/snapmgr.h"

#include "vindex/vindex.h"

/* Above the keys of the access methods' parts, which count from 1. */
#define KEY_SHARED			UINT64CONST(0x4c56000000000001)
#define KEY_SCAN			UINT64CONST(0x4c56000000000002)
#define KEY_QUERY			UINT64CONST(0x4c56000000000003)

/* How many are worth it. */
int
lh_vindex_plan_workers(Relation heap, Relation index)
{
	if (RelationUsesLocalBuffers(index))
		return 0;
	return plan_create_index_workers(RelationGetRelid(heap), RelationGetRelid(index));
}

/* ---- the leader ---- */

static void
estimate(ParallelContext *context, Size bytes)
{
	shm_toc_estimate_chunk(&context->estimator, bytes);
	shm_toc_estimate_keys(&context->estimator, 1);
}

/* Room in the segment, under its key. */
static void *
allocate(ParallelContext *context, uint64 key, Size bytes)
{
	void	   *memory = shm_toc_allocate(context->toc, bytes);

	shm_toc_insert(context->toc, key, memory);
	return memory;
}

static void
init_shared(LhVindexShared *shared, Relation heap, Relation index, IndexInfo *info, int n_planned)
{
	memset(shared, 0, sizeof(*shared));
	shared->heap = RelationGetRelid(heap);
	shared->index = RelationGetRelid(index);
	shared->concurrent = info->ii_Concurrent;
	shared->n_planned = n_planned;
	SpinLockInit(&shared->mutex);
}

/*
 * A segment with all that workers need; the caller fills its parts, and
 * launches them.  False if there can be none.
 */
bool
lh_vindex_leader_begin(LhVindexLeader *leader, Relation heap, Relation index, IndexInfo *info,
					   const char *worker_main, int n_workers, LhVindexPart *parts, int n_parts)
{
	Size		query_bytes = debug_query_string ? strlen(debug_query_string) + 1 : 0;
	Size		scan_bytes;
	ParallelContext *context;

	EnterParallelMode();
	leader->snapshot = info->ii_Concurrent ? RegisterSnapshot(GetTransactionSnapshot()) : SnapshotAny;
	leader->context = context = CreateParallelContext("lakehouse", worker_main, n_workers);
	scan_bytes = table_parallelscan_estimate(heap, leader->snapshot);
	estimate(context, sizeof(LhVindexShared));
	estimate(context, scan_bytes);
	for (int i = 0; i < n_parts; i++)
		estimate(context, parts[i].bytes);
	if (query_bytes > 0)
		estimate(context, query_bytes);
	InitializeParallelDSM(context);
	if (context->seg == NULL)
	{
		lh_vindex_leader_end(leader);
		return false;
	}
	leader->shared = allocate(context, KEY_SHARED, sizeof(LhVindexShared));
	init_shared(leader->shared, heap, index, info, n_workers + 1);
	leader->scan = allocate(context, KEY_SCAN, scan_bytes);
	table_parallelscan_initialize(heap, leader->scan, leader->snapshot);
	for (int i = 0; i < n_parts; i++)
		parts[i].memory = allocate(context, i + 1, parts[i].bytes);
	if (query_bytes > 0)
		memcpy(allocate(context, KEY_QUERY, query_bytes), debug_query_string, query_bytes);
	return true;
}

/* False, and the end, if there are no workers to be had. */
bool
lh_vindex_leader_launch(LhVindexLeader *leader)
{
	ParallelContext *context = leader->context;

	LaunchParallelWorkers(context);
	ereport(DEBUG1, (errmsg("using %d parallel workers", context->nworkers_launched)));
	if (context->nworkers_launched > 0)
	{
		WaitForParallelWorkersToAttach(context);
		return true;
	}
	WaitForParallelWorkersToFinish(context);
	lh_vindex_leader_end(leader);
	return false;
}

/* The segment goes. */
void
lh_vindex_leader_end(LhVindexLeader *leader)
{
	DestroyParallelContext(leader->context);
	if (IsMVCCSnapshot(leader->snapshot))
		UnregisterSnapshot(leader->snapshot);
	ExitParallelMode();
}

/* ---- a worker ---- */

void
lh_vindex_worker_begin(LhVindexWorker *worker, shm_toc *toc)
{
	LhVindexShared *shared = shm_toc_lookup(toc, KEY_SHARED, false);

	debug_query_string = shm_toc_lookup(toc, KEY_QUERY, true);
	pgstat_report_activity(STATE_RUNNING, debug_query_string);
	worker->shared = shared;
	worker->scan = shm_toc_lookup(toc, KEY_SCAN, false);
	worker->heap_lock = shared->concurrent ? ShareUpdateExclusiveLock : ShareLock;
	worker->index_lock = shared->concurrent ? RowExclusiveLock : AccessExclusiveLock;
	worker->heap = table_open(shared->heap, worker->heap_lock);
	worker->index = index_open(shared->index, worker->index_lock);
	worker->info = BuildIndexInfo(worker->index);
	worker->info->ii_Concurrent = shared->concurrent;
}

void
lh_vindex_worker_end(LhVindexWorker *worker)
{
	index_close(worker->index, worker->index_lock);
	table_close(worker->heap, worker->heap_lock);
}

/* The leader's and a worker's share. */
void
lh_vindex_add_rows(LhVindexShared *shared, double heap_rows, double index_rows)
{
	SpinLockAcquire(&shared->mutex);
	shared->heap_rows += heap_rows;
	shared->index_rows += index_rows;
	SpinLockRelease(&shared->mutex);
}
