/*
 * lh_tableam_int.h
 *	  Callbacks of the access method, by the file that defines them.
 */
#ifndef LH_TABLEAM_INT_H
#define LH_TABLEAM_INT_H

#include "postgres.h"

#include "access/tableam.h"
#include "commands/vacuum.h"
#include "nodes/execnodes.h"

#include "storage/lh_storage.h"
#include "types/pg_compat.h"

/* am_scan.c */
extern TableScanDesc lh_scan_begin(Relation rel, Snapshot snapshot, int nkeys, struct ScanKeyData *key,
								   ParallelTableScanDesc pscan, uint32 flags);
extern void lh_scan_end(TableScanDesc scan);
extern void lh_scan_rescan(TableScanDesc scan, struct ScanKeyData *key, bool set_params,
						   bool allow_strat, bool allow_sync, bool allow_pagemode);
extern void lh_scan_set_tidrange(TableScanDesc scan, ItemPointer mintid, ItemPointer maxtid);
extern bool lh_scan_getnextslot_tidrange(TableScanDesc scan, ScanDirection direction, TupleTableSlot *slot);
extern bool lh_scan_getnextslot(TableScanDesc scan, ScanDirection direction, TupleTableSlot *slot);

/* The next row, forward, also as an LhRow; dead rows only when they are wanted. */
extern void lh_scan_want_dead(TableScanDesc scan);
extern bool lh_scan_next_row(TableScanDesc scan, TupleTableSlot *slot, LhRow *row);
extern Size lh_parallelscan_estimate(Relation rel);
extern Size lh_parallelscan_initialize(Relation rel, ParallelTableScanDesc pscan);
extern void lh_parallelscan_reinitialize(Relation rel, ParallelTableScanDesc pscan);
#if LH_AM_READS_BITMAP
extern bool lh_scan_bitmap_next_tuple(TableScanDesc scan, TupleTableSlot *slot, bool *recheck,
									  uint64 *lossy_pages, uint64 *exact_pages);
#else
extern bool lh_scan_bitmap_next_block(TableScanDesc scan, struct TBMIterateResult *page);
extern bool lh_scan_bitmap_next_tuple(TableScanDesc scan, struct TBMIterateResult *page, TupleTableSlot *slot);
#endif
extern bool lh_scan_sample_next_block(TableScanDesc scan, struct SampleScanState *state);
extern bool lh_scan_sample_next_tuple(TableScanDesc scan, struct SampleScanState *state, TupleTableSlot *slot);
extern bool lh_scan_analyze_next_block(LH_ANALYZE_PARAMS);
extern bool lh_scan_analyze_next_tuple(TableScanDesc scan, TransactionId oldest_xmin,
									   double *liverows, double *deadrows, TupleTableSlot *slot);

/* am_fetch.c */
extern struct IndexFetchTableData *lh_index_fetch_begin(Relation rel);
extern void lh_index_fetch_reset(struct IndexFetchTableData *data);
extern void lh_index_fetch_end(struct IndexFetchTableData *data);
extern bool lh_index_fetch_tuple(struct IndexFetchTableData *data, ItemPointer tid, Snapshot snapshot,
								 TupleTableSlot *slot, bool *call_again, bool *all_dead);
extern bool lh_tuple_fetch_row_version(Relation rel, ItemPointer tid, Snapshot snapshot, TupleTableSlot *slot);
extern bool lh_tuple_tid_valid(TableScanDesc scan, ItemPointer tid);
extern void lh_tuple_get_latest_tid(TableScanDesc scan, ItemPointer tid);
extern bool lh_tuple_satisfies_snapshot(Relation rel, TupleTableSlot *slot, Snapshot snapshot);
extern TransactionId lh_index_delete_tuples(Relation rel, TM_IndexDeleteOp *delstate);

/* am_modify.c */
extern void lh_tuple_insert(Relation rel, TupleTableSlot *slot, CommandId cid, int options,
							struct BulkInsertStateData *bistate);
extern void lh_tuple_insert_speculative(Relation rel, TupleTableSlot *slot, CommandId cid, int options,
										struct BulkInsertStateData *bistate, uint32 token);
extern void lh_tuple_complete_speculative(Relation rel, TupleTableSlot *slot, uint32 token, bool succeeded);
extern void lh_multi_insert(Relation rel, TupleTableSlot **slots, int nslots, CommandId cid, int options,
							struct BulkInsertStateData *bistate);
extern TM_Result lh_tuple_delete(Relation rel, ItemPointer tid, CommandId cid, Snapshot snapshot,
								 Snapshot crosscheck, bool wait, TM_FailureData *tmfd, bool changing_part);
extern TM_Result lh_tuple_update(Relation rel, ItemPointer otid, TupleTableSlot *slot, CommandId cid,
								 Snapshot snapshot, Snapshot crosscheck, bool wait, TM_FailureData *tmfd,
								 LockTupleMode *lockmode, LhUpdateIndexes *update_indexes);
extern TM_Result lh_tuple_lock(Relation rel, ItemPointer tid, Snapshot snapshot, TupleTableSlot *slot,
							   CommandId cid, LockTupleMode mode, LockWaitPolicy wait_policy,
							   uint8 flags, TM_FailureData *tmfd);
extern void lh_finish_bulk_insert(Relation rel, int options);

/* At the start of a plan: what it will do with the rows it locks. */
extern void lh_expect_updates(ModifyTableState *state);

/* am_index.c */
extern double lh_index_build_range_scan(Relation rel, Relation index, struct IndexInfo *info,
										bool allow_sync, bool anyvisible, bool progress,
										BlockNumber start_blockno, BlockNumber numblocks,
										IndexBuildCallback callback, void *state, TableScanDesc scan);
extern void lh_index_validate_scan(Relation rel, Relation index, struct IndexInfo *info,
								   Snapshot snapshot, struct ValidateIndexState *state);

/* am_ddl.c */
extern void lh_set_new_filenode(Relation rel, const RelFileNode *newrnode, char persistence,
								TransactionId *freeze_xid, MultiXactId *minmulti);
extern void lh_nontransactional_truncate(Relation rel);
extern void lh_copy_data(Relation rel, const RelFileNode *newrnode);
extern void lh_copy_for_cluster(Relation old_rel, Relation new_rel, Relation old_index, bool use_sort,
								TransactionId oldest_xmin, TransactionId *xid_cutoff,
								MultiXactId *multi_cutoff, double *num_tuples, double *tups_vacuumed,
								double *tups_recently_dead);
extern void lh_vacuum(Relation rel, struct VacuumParams *params, BufferAccessStrategy bstrategy);
extern uint64 lh_relation_size(Relation rel, ForkNumber fork);
extern bool lh_needs_toast_table(Relation rel);
extern Oid	lh_toast_am(Relation rel);
extern void lh_estimate_size(Relation rel, int32 *attr_widths, BlockNumber *pages,
							 double *tuples, double *allvisfrac);
extern void lh_delta_counted(Relation rel);

/* Raises FEATURE_NOT_SUPPORTED unless the library was preloaded. */
extern void lh_require_preload(Relation rel);

#endif							/* LH_TABLEAM_INT_H */
