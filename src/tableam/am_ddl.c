/*
 * am_ddl.c
 *	  Storage of a table as DDL sees it: create, truncate, rewrite, sizes.
 *
 * Each relation file node has its own metapage, and with it its own storage
 * id: TRUNCATE and rewrites get a new one and leave the old one's files to
 * the versions that have them.  The table uuid goes along.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/heaptoast.h"
#include "access/multixact.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "catalog/storage.h"
#include "catalog/storage_xlog.h"
#include "commands/progress.h"
#include "miscadmin.h"
#include "optimizer/plancat.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "storage/smgr.h"
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

void
lh_set_new_filenode(Relation rel, const RelFileNode *newrnode, char persistence,
					TransactionId *freeze_xid, MultiXactId *minmulti)
{
	LhIdentity	old;
	bool		is_new = RelFileNodeEquals(*newrnode, rel->rd_node);

	lh_require_preload(rel);
	if (persistence != RELPERSISTENCE_PERMANENT)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("access method \"lakehouse\" does not store temporary or unlogged tables"),
				 errdetail("Table \"%s\" would have to be published, yet not survive a crash.",
						   RelationGetRelationName(rel)),
				 errhint("Create it with USING heap.")));
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

/* The relation file is of this transaction: an abort drops it as a whole. */
void
lh_nontransactional_truncate(Relation rel)
{
	lh_statement_end(rel);
	lh_metapage_renew(rel);
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

/*
 * VACUUM FULL and CLUSTER.  There are no dead rows and no indexes to order
 * by: rows move as they are, into files of the target size.
 */
void
lh_copy_for_cluster(Relation old_rel, Relation new_rel, Relation old_index, bool use_sort,
					TransactionId oldest_xmin, TransactionId *xid_cutoff,
					MultiXactId *multi_cutoff, double *num_tuples, double *tups_vacuumed,
					double *tups_recently_dead)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	LhRowScan  *scan;
	TupleTableSlot *slot;
	LhRow		row;
	CommandId	cid = GetCurrentCommandId(true);

	lh_statement_end(old_rel);
	scan = lh_row_scan_begin(old_rel, snapshot, NULL);
	slot = MakeSingleTupleTableSlot(RelationGetDescr(old_rel), lh_slot_callbacks(old_rel));
	*num_tuples = *tups_vacuumed = *tups_recently_dead = 0;
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		ExecClearTuple(slot);
		if (!lh_row_scan_next(scan, slot->tts_tupleDescriptor, ForwardScanDirection, &row))
			break;
		lh_slot_store(slot, &row, RelationGetRelid(old_rel));
		lh_statement_insert(new_rel, slot, cid, true);
		*num_tuples += 1;
	}
	ExecDropSingleTupleTableSlot(slot);
	lh_row_scan_end(scan);
	lh_statement_end(new_rel);
	lh_metapage_set_rewriter(new_rel);
	UnregisterSnapshot(snapshot);
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

/* Exact for files; the delta is judged by its pages. */
void
lh_estimate_size(Relation rel, int32 *attr_widths, BlockNumber *pages,
				 double *tuples, double *allvisfrac)
{
	Snapshot	snapshot = RegisterSnapshot(ActiveSnapshotSet() ? GetActiveSnapshot() : GetLatestSnapshot());
	LhIdentity	identity;
	LhFileTotals totals;
	double		delta_pages = 0;

	lh_metapage_read(rel, &identity);
	lh_file_totals_estimate(identity.storage_id, snapshot, &totals);
	UnregisterSnapshot(snapshot);
	*tuples = (double) totals.rows;
	*pages = 1 + (BlockNumber) Min(totals.bytes / BLCKSZ, MaxBlockNumber / 2);
	*allvisfrac = 0;

	if (lh_delta_exists(rel))
	{
		Relation	toast = table_open(rel->rd_rel->reltoastrelid, AccessShareLock);
		int32		width = get_rel_data_width(rel, attr_widths);

		delta_pages = RelationGetNumberOfBlocks(toast);
		table_close(toast, AccessShareLock);
		/* tuple header, line pointer, key, chunk and row headers */
		*tuples += delta_pages * (BLCKSZ - SizeOfPageHeaderData) /
			Min(width + 64, TOAST_MAX_CHUNK_SIZE);
	}
	*pages += (BlockNumber) delta_pages;
}
