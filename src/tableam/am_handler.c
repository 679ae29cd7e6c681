/*
 * am_handler.c
 *	  The table access method: its callbacks in one place.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/tableam.h"
#include "fmgr.h"

#include "tableam/lh_tableam.h"
#include "tableam/lh_tableam_int.h"
#include "types/pg_compat.h"

static const TableAmRoutine methods = {
	.type = T_TableAmRoutine,

	.slot_callbacks = lh_slot_callbacks,

	.scan_begin = lh_scan_begin,
	.scan_end = lh_scan_end,
	.scan_rescan = lh_scan_rescan,
	.scan_getnextslot = lh_scan_getnextslot,
	.scan_set_tidrange = lh_scan_set_tidrange,
	.scan_getnextslot_tidrange = lh_scan_getnextslot_tidrange,
	.parallelscan_estimate = lh_parallelscan_estimate,
	.parallelscan_initialize = lh_parallelscan_initialize,
	.parallelscan_reinitialize = lh_parallelscan_reinitialize,

	.index_fetch_begin = lh_index_fetch_begin,
	.index_fetch_reset = lh_index_fetch_reset,
	.index_fetch_end = lh_index_fetch_end,
	.index_fetch_tuple = lh_index_fetch_tuple,

	.tuple_fetch_row_version = lh_tuple_fetch_row_version,
	.tuple_tid_valid = lh_tuple_tid_valid,
	.tuple_get_latest_tid = lh_tuple_get_latest_tid,
	.tuple_satisfies_snapshot = lh_tuple_satisfies_snapshot,
	.index_delete_tuples = lh_index_delete_tuples,

	.tuple_insert = lh_tuple_insert,
	.tuple_insert_speculative = lh_tuple_insert_speculative,
	.tuple_complete_speculative = lh_tuple_complete_speculative,
	.multi_insert = lh_multi_insert,
	.tuple_delete = lh_tuple_delete,
	.tuple_update = lh_tuple_update,
	.tuple_lock = lh_tuple_lock,
	.finish_bulk_insert = lh_finish_bulk_insert,

	.relation_set_new_filenode = lh_set_new_filenode,
	.relation_nontransactional_truncate = lh_nontransactional_truncate,
	.relation_copy_data = lh_copy_data,
	.relation_copy_for_cluster = lh_copy_for_cluster,
	.relation_vacuum = lh_vacuum,
	.scan_analyze_next_block = lh_scan_analyze_next_block,
	.scan_analyze_next_tuple = lh_scan_analyze_next_tuple,
	.index_build_range_scan = lh_index_build_range_scan,
	.index_validate_scan = lh_index_validate_scan,

	.relation_size = lh_relation_size,
	.relation_needs_toast_table = lh_needs_toast_table,
	.relation_toast_am = lh_toast_am,
	.relation_estimate_size = lh_estimate_size,

#if !LH_AM_READS_BITMAP
	.scan_bitmap_next_block = lh_scan_bitmap_next_block,
#endif
	.scan_bitmap_next_tuple = lh_scan_bitmap_next_tuple,
	.scan_sample_next_block = lh_scan_sample_next_block,
	.scan_sample_next_tuple = lh_scan_sample_next_tuple
};

LH_FUNCTION(lh_am_handler);

Datum
lh_am_handler(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(&methods);
}
