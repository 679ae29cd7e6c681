/*
 * am_ddl.c
 *	  Storage of a table as DDL sees it: create, truncate, rewrite, sizes.
 *
 * Each relation file node has its own metapage, and with it its own storage
 * id: TRUNCATE and rewrites get a new one and leave the old one's files to
 * the versions that have them.  The table uuid goes along.
 */
#include "postgres.h"

#include <math.h>

#include "access/genam.h"
#include "access/heapam.h"
#include "access/heaptoast.h"
#include "access/multixact.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/heap.h"
#include "catalog/pg_am.h"
#include "catalog/storage.h"
#include "catalog/storage_xlog.h"
#include "commands/progress.h"
#include "miscadmin.h"
#include "optimizer/plancat.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "storage/smgr.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/tuplesort.h"

#include "tableam/lh_tableam_int.h"

void
lh_require_preload(Relation rel)
{
	if (!lh_preloaded)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("lakehouse is not preloaded, so table \"%s\" cannot be used",
						RelationGetRelationName(rel)),
				 errhint("Add this line to postgresql.conf and restart the server: shared_preload_libraries = 'lakehouse'")));
}

/*
 * Temporary and unlogged tables are heap's: they are never published.  What
 * the user creates comes here as heap's already (am_utility.c); this is the
 * transient table of REFRESH MATERIALIZED VIEW CONCURRENTLY, whose access
 * method core takes from the view.  Its pg_class row will be made of the
 * relcache entry.
 */
static void
become_heap(Relation rel, const RelFileNode *newrnode, char persistence,
			TransactionId *freeze_xid, MultiXactId *minmulti)
{
	rel->rd_rel->relam = HEAP_TABLE_AM_OID;
	rel->rd_amhandler = F_HEAP_TABLEAM_HANDLER;
	rel->rd_tableam = GetHeapamTableAmRoutine();
	rel->rd_tableam->relation_set_new_filenode(rel, newrnode, persistence, freeze_xid, minmulti);
}

void
lh_set_new_filenode(Relation rel, const RelFileNode *newrnode, char persistence,
					TransactionId *freeze_xid, MultiXactId *minmulti)
{
	LhIdentity	old;
	bool		is_new = RelFileNodeEquals(*newrnode, rel->rd_node);

	lh_require_preload(rel);
	if (persistence != RELPERSISTENCE_PERMANENT)
	{
		become_heap(rel, newrnode, persistence, freeze_xid, minmulti);
		return;
	}
	if (!is_new)
	{
		lh_statement_end(rel);
		lh_metapage_read(rel, &old);
	}
	lh_database_mark();
	/* no transaction ids in the main fork */
	*freeze_xid = InvalidTransactionId;
	*minmulti = InvalidMultiXactId;
	lh_metapage_create(*newrnode, persistence, is_new ? NULL : &old.table_uuid);
}

/*
 * The relation file is of this transaction: an abort drops it as a whole.  Core
 * empties the delta last, after it has built the indexes anew from what is there.
 */
void
lh_nontransactional_truncate(Relation rel)
{
	lh_statement_end(rel);
	lh_metapage_renew(rel);
	if (OidIsValid(rel->rd_rel->reltoastrelid))
	{
		Relation	delta = table_open(rel->rd_rel->reltoastrelid, AccessExclusiveLock);

		if (RelationGetNumberOfBlocks(delta) > 0)
			heap_truncate_one_rel(delta);
		table_close(delta, NoLock);
	}
}

void
lh_copy_data(Relation rel, const RelFileNode *newrnode)
{
	SMgrRelation dst;

	FlushRelationBuffers(rel);
	dst = RelationCreateStorage(*newrnode, rel->rd_rel->relpersistence, true);
	RelationCopyStorage(RelationGetSmgr(rel), dst, MAIN_FORKNUM, rel->rd_rel->relpersistence);
	RelationDropStorage(rel);
	smgrclose(dst);
}

/* ---- VACUUM FULL and CLUSTER ---- */

typedef struct Copy
{
	Relation	from;
	Relation	to;
	Snapshot	snapshot;
	CommandId	cid;
	TupleTableSlot *slot;
	double		rows;
} Copy;

static void
copy_row(Copy *copy, TransactionId xmin)
{
	lh_statement_copy(copy->to, copy->slot, xmin, copy->cid);
	copy->rows += 1;
}

/* Rows as they come; or into the sort, which gives them back in its order. */
static void
copy_by_scan(Copy *copy, Tuplesortstate *sort)
{
	LhRowScan  *scan = lh_row_scan_begin(copy->from, copy->snapshot, NULL);
	LhRow		row;

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		ExecClearTuple(copy->slot);
		if (!lh_row_scan_next(scan, copy->slot->tts_tupleDescriptor, ForwardScanDirection, &row))
			break;
		lh_slot_store(copy->slot, &row, RelationGetRelid(copy->from));
		if (sort == NULL)
			copy_row(copy, lh_slot_xmin(copy->slot));
		else
		{
			HeapTuple	tuple = ExecCopySlotHeapTuple(copy->slot);

			tuplesort_putheaptuple(sort, tuple);
			heap_freetuple(tuple);
		}
	}
	lh_row_scan_end(scan);
}

static void
copy_by_sort(Copy *copy, Relation index)
{
	Tuplesortstate *sort = tuplesort_begin_cluster(RelationGetDescr(copy->from), index,
												   maintenance_work_mem, NULL, TUPLESORT_NONE);
	HeapTuple	tuple;

	copy_by_scan(copy, sort);
	tuplesort_performsort(sort);
	while ((tuple = tuplesort_getheaptuple(sort, true)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		ExecClearTuple(copy->slot);
		heap_deform_tuple(tuple, copy->slot->tts_tupleDescriptor, copy->slot->tts_values, copy->slot->tts_isnull);
		ExecStoreVirtualTuple(copy->slot);
		copy_row(copy, HeapTupleHeaderGetRawXmin(tuple->t_data));
	}
	tuplesort_end(sort);
}

/* Indexes that cannot be sorted by: row by row, as heap does it. */
static void
copy_by_index(Copy *copy, Relation index)
{
	IndexScanDesc scan = lh_index_beginscan(copy->from, index, copy->snapshot, 0);

	index_rescan(scan, NULL, 0, NULL, 0);
	while (index_getnext_slot(scan, ForwardScanDirection, copy->slot))
	{
		CHECK_FOR_INTERRUPTS();
		copy_row(copy, lh_slot_xmin(copy->slot));
	}
	index_endscan(scan);
}

/*
 * Live rows move into files of the target size, under new row ids.  Dead ones
 * do not: a snapshot that is older gets an error (lh_metapage_check_snapshot).
 */
void
lh_copy_for_cluster(Relation old_rel, Relation new_rel, Relation old_index, bool use_sort,
					TransactionId oldest_xmin, TransactionId *xid_cutoff,
					MultiXactId *multi_cutoff, double *num_tuples, double *tups_vacuumed,
					double *tups_recently_dead)
{
	Copy		copy = {old_rel, new_rel};

	lh_statement_end(old_rel);
	copy.snapshot = RegisterSnapshot(GetLatestSnapshot());
	copy.cid = GetCurrentCommandId(true);
	copy.slot = MakeSingleTupleTableSlot(RelationGetDescr(old_rel), lh_slot_callbacks(old_rel));
	if (old_index == NULL)
		copy_by_scan(&copy, NULL);
	else if (old_index->rd_rel->relam == BTREE_AM_OID)
		copy_by_sort(&copy, old_index);
	else
		copy_by_index(&copy, old_index);
	ExecDropSingleTupleTableSlot(copy.slot);
	lh_statement_end(new_rel);
	lh_metapage_set_rewriter(new_rel);
	UnregisterSnapshot(copy.snapshot);
	*num_tuples = copy.rows;
	*tups_vacuumed = *tups_recently_dead = 0;
	/* the cutoffs stay: core gives them to the new delta, too, whose rows have xids */
}

/* Real bytes: ANALYZE on 15 and 16 prefetches blocks of the main fork by this. */
uint64
lh_relation_size(Relation rel, ForkNumber fork)
{
	uint64		blocks = 0;

	if (fork == InvalidForkNumber)
	{
		for (int i = 0; i < MAX_FORKNUM; i++)
			if (smgrexists(RelationGetSmgr(rel), i))
				blocks += smgrnblocks(RelationGetSmgr(rel), i);
	}
	else
		blocks = smgrnblocks(RelationGetSmgr(rel), fork);
	return blocks * BLCKSZ;
}

/* The delta lives there (storage/delta.c). */
bool
lh_needs_toast_table(Relation rel)
{
	return true;
}

Oid
lh_toast_am(Relation rel)
{
	return HEAP_TABLE_AM_OID;
}

/* What heap answers for a table of ten pages. */
static double
rows_of_ten_pages(Relation rel, int32 *attr_widths)
{
	int32		width = get_rel_data_width(rel, attr_widths) + MAXALIGN(SizeofHeapTupleHeader) + sizeof(ItemIdData);

	return rint(10.0 * ((BLCKSZ - SizeOfPageHeaderData) / width));
}

/* Have most of its rows been superseded or deleted, again and again? */
static bool
is_churned(Relation rel, double tuples)
{
	return (double) lh_row_ids_end(rel) > 1000 + 10 * tuples;
}

/*
 * Files count their rows.  The delta also holds rows that have moved to files
 * or are dead: since the last VACUUM or ANALYZE, which counted the whole
 * table, only the pages that it has grown by mean more rows.
 *
 * A table that was never counted may be growing while plans for it are kept,
 * so it is taken for at least ten pages, as heap's is.  So is one whose few
 * rows are updated all the time: its delta is small only after a VACUUM.
 */
void
lh_estimate_size(Relation rel, int32 *attr_widths, BlockNumber *pages,
				 double *tuples, double *allvisfrac)
{
	Snapshot	snapshot = RegisterSnapshot(ActiveSnapshotSet() ? GetActiveSnapshot() : GetLatestSnapshot());
	bool		counted = rel->rd_rel->reltuples >= 0;
	LhFileTotals totals;
	BlockNumber delta_pages = 0;

	lh_file_totals_estimate(lh_storage_id(rel), snapshot, &totals);
	UnregisterSnapshot(snapshot);
	*tuples = (double) totals.rows;
	if (counted)
		*tuples = Max(*tuples, rel->rd_rel->reltuples);
	*allvisfrac = 0;

	if (lh_delta_exists(rel))
	{
		Relation	toast = table_open(rel->rd_rel->reltoastrelid, AccessShareLock);
		BlockNumber counted_pages = counted ? toast->rd_rel->relpages : 0;
		int32		width = get_rel_data_width(rel, attr_widths);

		delta_pages = RelationGetNumberOfBlocks(toast);
		table_close(toast, AccessShareLock);
		/* tuple header, line pointer, key, chunk and row headers */
		if (delta_pages > counted_pages)
			*tuples += (double) (delta_pages - counted_pages) * (BLCKSZ - SizeOfPageHeaderData) /
				Min(width + 64, TOAST_MAX_CHUNK_SIZE);
	}
	*pages = Max(1, delta_pages + (BlockNumber) Min(totals.bytes / BLCKSZ, MaxBlockNumber / 2));
	if (!counted && !rel->rd_rel->relhassubclass)
	{
		*pages = Max(*pages, 10);
		*tuples = Max(*tuples, rows_of_ten_pages(rel, attr_widths));
	}
	else if (*pages < 10 && is_churned(rel, *tuples))
		*pages = 10;
}

/*
 * The whole table has just been counted: see lh_estimate_size().  Somebody who
 * is vacuuming the delta notes its pages himself.
 */
void
lh_delta_counted(Relation rel)
{
	Relation	toast;

	if (!lh_delta_exists(rel) ||
		!ConditionalLockRelationOid(rel->rd_rel->reltoastrelid, ShareUpdateExclusiveLock))
		return;
	toast = table_open(rel->rd_rel->reltoastrelid, NoLock);
	lh_vac_update_relstats(toast, RelationGetNumberOfBlocks(toast), toast->rd_rel->reltuples,
						   InvalidTransactionId, InvalidMultiXactId);
	table_close(toast, ShareUpdateExclusiveLock);
}
