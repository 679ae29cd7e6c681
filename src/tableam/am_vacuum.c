/*
 * am_vacuum.c
 *	  VACUUM: takes entries of rows that nobody can see out of the indexes, and
 *	  lock tuples that nobody needs out of the delta.
 *
 * The main fork has nothing to clean, and core vacuums the delta after this.
 * Folding deletes into files and merging files is the publisher's work, all
 * the time.
 *
 * A row id that is neither in the delta nor in a file may belong to a
 * statement that is still writing its file.  Only settled ids
 * (lh_metapage_settle) are taken for dead because they are nowhere.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/multixact.h"
#include "access/transam.h"
#include "access/xact.h"
#include "commands/progress.h"
#include "commands/vacuum.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/autovacuum.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "tableam/lh_tableam_int.h"

/*
 * Horizons of other sessions leave out a lazy VACUUM's snapshot, as it reads
 * no rows by it.  While we read the catalog they must not.
 */
static void
set_in_vacuum(bool in_vacuum)
{
	LWLockAcquire(ProcArrayLock, LW_EXCLUSIVE);
	if (in_vacuum)
		MyProc->statusFlags |= PROC_IN_VACUUM;
	else
		MyProc->statusFlags &= ~PROC_IN_VACUUM;
	ProcGlobal->statusFlags[MyProc->pgxactoff] = MyProc->statusFlags;
	LWLockRelease(ProcArrayLock);
}

typedef struct IndexCleaning
{
	LhRowIds   *needed;
	uint64		settled;		/* ids from here on may yet appear */
} IndexCleaning;

static bool
is_dead(ItemPointer tid, void *state)
{
	IndexCleaning *cleaning = state;

	return lh_row_ids_gone(cleaning->needed, cleaning->settled, lh_tid_to_row_id(tid));
}

static void
clean_index(Relation rel, Relation index, IndexCleaning *cleaning, double rows,
			BufferAccessStrategy strategy)
{
	IndexBulkDeleteResult *stats;
	IndexVacuumInfo info = {0};

	info.index = index;
	lh_set_heap_of_vacuum(&info, rel);
	info.report_progress = false;
	info.message_level = DEBUG2;
	info.num_heap_tuples = rows;
	info.estimated_count = false;
	info.strategy = strategy;
	stats = index_bulk_delete(&info, NULL, is_dead, cleaning);
	stats = index_vacuum_cleanup(&info, stats);
	if (stats == NULL)
		return;
	if (!stats->estimated_count)
		lh_vac_update_relstats(index, stats->num_pages, stats->num_index_tuples,
							   InvalidTransactionId, InvalidMultiXactId);
	pfree(stats);
}

static void
clean_indexes(Relation rel, IndexCleaning *cleaning, double rows, BufferAccessStrategy strategy)
{
	Relation   *indexes;
	int			n_indexes;

	vac_open_indexes(rel, RowExclusiveLock, &n_indexes, &indexes);
	pgstat_progress_update_param(PROGRESS_VACUUM_PHASE, PROGRESS_VACUUM_PHASE_VACUUM_INDEX);
	for (int i = 0; i < n_indexes; i++)
	{
		clean_index(rel, indexes[i], cleaning, rows, strategy);
		pgstat_progress_update_param(PROGRESS_VACUUM_NUM_INDEX_VACUUMS, i + 1);
	}
	vac_close_indexes(n_indexes, indexes, NoLock);
}

/*
 * A rewrite leaves the table with a relfrozenxid, which it does not need: it
 * must not hold back the database's.
 */
static void
update_statistics(Relation rel, double rows)
{
	double		tuples;
	double		allvisfrac;
	BlockNumber pages;

	lh_estimate_size(rel, NULL, &pages, &tuples, &allvisfrac);
	lh_vac_update_relstats(rel, pages, rows,
						   TransactionIdIsValid(rel->rd_rel->relfrozenxid) ?
						   ReadNextTransactionId() : InvalidTransactionId,
						   MultiXactIdIsValid(rel->rd_rel->relminmxid) ?
						   ReadNextMultiXactId() : InvalidMultiXactId);
	lh_delta_counted(rel);
	lh_report_vacuum(rel, rows, 0);
}

static Size
memory_for_row_ids(void)
{
	int			kilobytes = lh_is_autovacuum() && autovacuum_work_mem != -1 ?
		autovacuum_work_mem : maintenance_work_mem;

	return (Size) kilobytes * 1024;
}

/*
 * Cleans up behind rows from `first` on, as many as memory knows of; returns
 * the last of them.
 */
static uint64
clean_span(Relation rel, struct VacuumParams *params, BufferAccessStrategy strategy,
		   TransactionId horizon, uint64 first, double rows)
{
	IndexCleaning cleaning;
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	uint64		last;

	pgstat_progress_update_param(PROGRESS_VACUUM_PHASE, PROGRESS_VACUUM_PHASE_SCAN_HEAP);
	cleaning.settled = lh_metapage_settle(rel, horizon);
	cleaning.needed = lh_row_ids_create_bounded(first, memory_for_row_ids());
	lh_survey_rows(rel, snapshot, horizon, cleaning.needed);
	UnregisterSnapshot(snapshot);
	if (rel->rd_rel->relhasindex && params->index_cleanup != VACOPTVALUE_DISABLED)
	{
		set_in_vacuum(true);
		clean_indexes(rel, &cleaning, rows, strategy);
		set_in_vacuum(false);
	}
	/* last, as snapshots take no notice of the transaction id of a lazy VACUUM */
	if (lh_delta_exists(rel))
		lh_marks_sweep(rel, cleaning.needed, cleaning.settled);
	CommandCounterIncrement();
	last = lh_row_ids_last(cleaning.needed);
	lh_row_ids_free(cleaning.needed);
	return last;
}

void
lh_vacuum(Relation rel, struct VacuumParams *params, BufferAccessStrategy bstrategy)
{
	TransactionId horizon;
	Snapshot	snapshot;
	double		rows;

	lh_require_preload(rel);
	pgstat_progress_start_command(PROGRESS_COMMAND_VACUUM, RelationGetRelid(rel));
	set_in_vacuum(false);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	horizon = GetOldestNonRemovableTransactionId(rel);
	rows = (double) lh_row_count(rel, snapshot);
	UnregisterSnapshot(snapshot);
	update_statistics(rel, rows);
	if (rel->rd_rel->relhasindex || !lh_delta_is_empty(rel))
	{
		uint64		last;

		for (uint64 first = 0; first <= LH_MAX_ROW_ID; first = last + 1)
			last = clean_span(rel, params, bstrategy, horizon, first, rows);
	}
	pgstat_progress_end_command();
}
