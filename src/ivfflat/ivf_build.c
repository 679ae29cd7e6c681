/*
 * ivf_build.c
 *	  CREATE INDEX: centres from a sample, then every row to the list of its
 *	  nearest centre through a sort, alone or with workers.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/tableam.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type_d.h"
#include "commands/progress.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/backend_progress.h"
#include "utils/memutils.h"
#include "utils/tuplesort.h"

#include "ivfflat/ivf_int.h"

/* Its own parts of the segment that workers share. */
#define KEY_SORT			1
#define KEY_CENTERS			2

PGDLLEXPORT void lh_ivfflat_build_main(dsm_segment *segment, shm_toc *toc);

typedef struct Build
{
	Relation	heap;
	Relation	index;
	IndexInfo  *info;
	Ivf			ivf;
	char	   *centers;		/* as on pages */
	IvfAssign	assign;
	Tuplesortstate *sort;
	TupleTableSlot *slot;		/* list, row address, value */
	int64		index_rows;
	bool		progress;
	MemoryContext row_context;
} Build;

/* ---- sorting rows by their lists ---- */

static TupleDesc
sorted_desc(void)
{
	TupleDesc	desc = CreateTemplateTupleDesc(3);

	TupleDescInitEntry(desc, 1, "list", INT4OID, -1, 0);
	TupleDescInitEntry(desc, 2, "row", TIDOID, -1, 0);
	TupleDescInitEntry(desc, 3, "value", BYTEAOID, -1, 0);
	return desc;
}

static Tuplesortstate *
begin_sort(int memory, SortCoordinate coordinate)
{
	AttrNumber	keys[] = {1};
	Oid			operators[] = {Int4LessOperator};
	Oid			collations[] = {InvalidOid};
	bool		nulls_first[] = {false};

	return tuplesort_begin_heap(sorted_desc(), 1, keys, operators, collations, nulls_first,
								Max(memory, 64), coordinate, TUPLESORT_NONE);
}

static void
build_init(Build *build, Relation heap, Relation index, IndexInfo *info)
{
	memset(build, 0, sizeof(*build));
	build->heap = heap;
	build->index = index;
	build->info = info;
	build->row_context = AllocSetContextCreate(CurrentMemoryContext, "ivfflat build row", ALLOCSET_DEFAULT_SIZES);
}

/* The rows that wait go to the sort. */
static void
flush_rows(Build *build)
{
	IvfAssign  *a = &build->assign;
	TupleTableSlot *slot = build->slot;
	uint32		bytes = build->ivf.shape.value_bytes;
	bytea	   *value = MemoryContextAlloc(build->row_context, VARHDRSZ + bytes);

	ivf_assign_run(a);
	SET_VARSIZE(value, VARHDRSZ + bytes);
	for (int i = 0; i < a->n; i++)
	{
		memcpy(VARDATA(value), a->values + (Size) i * bytes, bytes);
		ExecClearTuple(slot);
		slot->tts_values[0] = Int32GetDatum(a->nearest[i].center);
		slot->tts_values[1] = PointerGetDatum(&a->tids[i]);
		slot->tts_values[2] = PointerGetDatum(value);
		memset(slot->tts_isnull, 0, 3 * sizeof(bool));
		ExecStoreVirtualTuple(slot);
		tuplesort_puttupleslot(build->sort, slot);
	}
	ExecClearTuple(slot);
	pfree(value);
	build->index_rows += a->n;
	if (build->progress)
		pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, build->index_rows);
	a->n = 0;
}

static void
build_row(Relation index, ItemPointer tid, Datum *values, bool *isnull, bool alive, void *state)
{
	Build	   *build = state;
	MemoryContext old;
	void	   *value;

	if (isnull[0])
		return;
	old = MemoryContextSwitchTo(build->row_context);
	if (ivf_value(&build->ivf.shape, values[0], &value) && ivf_assign_add(&build->assign, tid, value))
		flush_rows(build);
	MemoryContextSwitchTo(old);
	MemoryContextReset(build->row_context);
}

/* Sorts this process's share of the table's rows; returns how many it has met. */
static double
sort_rows(Build *build, int memory, SortCoordinate coordinate, TableScanDesc scan)
{
	double		rows;

	ivf_assign_init(&build->assign, &build->ivf.shape, build->centers, build->ivf.lists);
	build->slot = MakeSingleTupleTableSlot(sorted_desc(), &TTSOpsVirtual);
	build->sort = begin_sort(memory, coordinate);
	rows = table_index_build_scan(build->heap, build->index, build->info, true, build->progress,
								  build_row, build, scan);
	flush_rows(build);
	tuplesort_performsort(build->sort);
	ExecDropSingleTupleTableSlot(build->slot);
	return rows;
}

/* ---- writing lists ---- */

/* The page that gets rows while lists are written. */
typedef struct Writer
{
	Build	   *build;
	int			list;			/* -1 none */
	Buffer		buffer;
	IvfList		slot;			/* of this list, so far */
} Writer;

static void
finish_list(Writer *w)
{
	Ivf		   *ivf = &w->build->ivf;
	IvfList    *slot;
	Buffer		buffer;

	if (w->list < 0)
		return;
	w->slot.insert = BufferGetBlockNumber(w->buffer);
	UnlockReleaseBuffer(w->buffer);
	buffer = ivf_read_list(ivf, w->list, BUFFER_LOCK_EXCLUSIVE, &slot);
	*slot = w->slot;
	MarkBufferDirty(buffer);
	UnlockReleaseBuffer(buffer);
}

/* A new page, the list's first or the one behind its last. */
static void
next_page(Writer *w, int list)
{
	Buffer		buffer = lh_vindex_new_page(w->build->index, MAIN_FORKNUM);
	BlockNumber block = BufferGetBlockNumber(buffer);

	if (list == w->list)
	{
		IvfTail(BufferGetPage(w->buffer))->next = block;
		UnlockReleaseBuffer(w->buffer);
	}
	else
	{
		finish_list(w);
		w->list = list;
		memset(&w->slot, 0, sizeof(w->slot));
		w->slot.first = block;
	}
	w->slot.run++;
	w->buffer = buffer;
	ivf_init_page(BufferGetPage(buffer), IVF_PAGE_ROWS, list);
	MarkBufferDirty(buffer);
}

/* Writes the sorted rows: the pages of a list stand behind each other. */
static void
write_lists(Build *build)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(sorted_desc(), &TTSOpsMinimalTuple);
	Writer		w = {.build = build, .list = -1};
	int64		n = 0;

	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, IVF_PHASE_LOAD);
	pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_TOTAL, build->index_rows);
	while (tuplesort_gettupleslot(build->sort, true, false, slot, NULL))
	{
		int			list;
		ItemPointer tid;
		bytea	   *value;

		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		list = DatumGetInt32(slot->tts_values[0]);
		tid = (ItemPointer) DatumGetPointer(slot->tts_values[1]);
		value = DatumGetByteaPP(slot->tts_values[2]);
		if (list != w.list || !ivf_row_add(&build->ivf, BufferGetPage(w.buffer), tid, VARDATA_ANY(value)))
		{
			next_page(&w, list);
			(void) ivf_row_add(&build->ivf, BufferGetPage(w.buffer), tid, VARDATA_ANY(value));
		}
		if (++n % 1000 == 0)
			pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, n);
	}
	finish_list(&w);
	pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, n);
	ExecDropSingleTupleTableSlot(slot);
	tuplesort_end(build->sort);
}

/* ---- with workers ---- */

/* The leader's or a worker's share; `memory` is everybody's. */
static void
sort_share(Build *build, LhVindexShared *shared, Sharedsort *sort, ParallelTableScanDesc scan, int memory)
{
	SortCoordinate coordinate = palloc0(sizeof(SortCoordinateData));
	double		rows;

	coordinate->isWorker = true;
	coordinate->nParticipants = -1;
	coordinate->sharedsort = sort;
	rows = sort_rows(build, memory / shared->n_planned, coordinate, table_beginscan_parallel(build->heap, scan));
	tuplesort_end(build->sort);
	lh_vindex_add_rows(shared, rows, build->index_rows);
}

void
lh_ivfflat_build_main(dsm_segment *segment, shm_toc *toc)
{
	Sharedsort *sort = shm_toc_lookup(toc, KEY_SORT, false);
	LhVindexWorker worker;
	Build		build;

	lh_vindex_worker_begin(&worker, toc);
	build_init(&build, worker.heap, worker.index, worker.info);
	ivf_open(&build.ivf, worker.index);
	build.centers = shm_toc_lookup(toc, KEY_CENTERS, false);
	tuplesort_attach_shared(sort, segment);
	sort_share(&build, worker.shared, sort, worker.scan, maintenance_work_mem);
	lh_vindex_worker_end(&worker);
}

/* Builds with workers; false if there are none to be had. */
static bool
build_parallel(Build *build, int n_workers, double *heap_rows)
{
	Size		center_bytes = (Size) build->ivf.lists * build->ivf.shape.value_bytes;
	LhVindexPart parts[] = {{tuplesort_estimate_shared(n_workers + 1)}, {center_bytes}};
	SortCoordinateData coordinate = {0};
	LhVindexLeader leader;
	Sharedsort *sort;

	if (!lh_vindex_leader_begin(&leader, build->heap, build->index, build->info, "lh_ivfflat_build_main",
								n_workers, parts, lengthof(parts)))
		return false;
	sort = parts[KEY_SORT - 1].memory;
	tuplesort_initialize_shared(sort, n_workers + 1, leader.context->seg);
	memcpy(parts[KEY_CENTERS - 1].memory, build->centers, center_bytes);
	if (!lh_vindex_leader_launch(&leader))
		return false;
	sort_share(build, leader.shared, sort, leader.scan, maintenance_work_mem);
	WaitForParallelWorkersToFinish(leader.context);
	*heap_rows = leader.shared->heap_rows;
	build->index_rows = (int64) leader.shared->index_rows;

	coordinate.nParticipants = leader.context->nworkers_launched + 1;
	coordinate.sharedsort = sort;
	build->sort = begin_sort(maintenance_work_mem, &coordinate);
	tuplesort_performsort(build->sort);
	write_lists(build);
	lh_vindex_leader_end(&leader);
	return true;
}

/* ---- the callbacks ---- */

IndexBuildResult *
ivf_build(Relation heap, Relation index, IndexInfo *info)
{
	IndexBuildResult *result = palloc0(sizeof(IndexBuildResult));
	Build		build;
	IvfMeta		meta;
	int			n_workers;

	ivf_meta_for(index, &meta);
	build_init(&build, heap, index, info);
	build.progress = true;
	ivf_setup(&build.ivf, index, &meta);
	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, IVF_PHASE_KMEANS);
	build.centers = ivf_find_centers(&build.ivf, heap, info);
	ivf_create(&build.ivf, MAIN_FORKNUM, &meta, build.centers);
	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, IVF_PHASE_ASSIGN);
	n_workers = lh_vindex_plan_workers(heap, index);
	if (n_workers == 0 || !build_parallel(&build, n_workers, &result->heap_tuples))
	{
		result->heap_tuples = sort_rows(&build, maintenance_work_mem, NULL, NULL);
		write_lists(&build);
	}
	result->index_tuples = build.index_rows;
	pfree(build.centers);
	MemoryContextDelete(build.row_context);
	if (RelationNeedsWAL(index))
		lh_vindex_log(index, MAIN_FORKNUM);
	return result;
}

/* The empty index that an unlogged one starts with after a crash. */
void
ivf_build_empty(Relation index)
{
	IvfMeta		meta;
	Ivf			ivf;
	char	   *centers;

	ivf_meta_for(index, &meta);
	ivf_setup(&ivf, index, &meta);
	centers = MemoryContextAllocHuge(CurrentMemoryContext, (Size) ivf.lists * ivf.shape.value_bytes);
	ivf_random_centers(&ivf.shape, 0, ivf.lists, centers);
	ivf_create(&ivf, INIT_FORKNUM, &meta, centers);
	pfree(centers);
	lh_vindex_log(index, INIT_FORKNUM);
}
