/*
 * verify_rows.c
 *	  lakehouse.verify(): rows as queries see them. Each is somewhere once, they
 *	  are as many as the catalog says, and tombstones belong to rows.
 */
#include "postgres.h"

#include "access/tableam.h"
#include "miscadmin.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "storage/lh_storage.h"
#include "types/types.h"
#include "version/verify_int.h"

/* Rows whose places are looked for together: some 40 bytes of memory each. */
#define LOCATED_ROWS	(INT64CONST(1) << 20)

/* ---- rows ---- */

void
lh_verify_rows(LhVerify *v, void *unused)
{
	const char *name = RelationGetRelationName(v->rel);
	TupleTableSlot *slot = table_slot_create(v->rel, NULL);
	TableScanDesc scan = table_beginscan_strat(v->rel, v->snapshot, 0, NULL, true, false);
	int64		expected = lh_row_count(v->rel, v->snapshot);
	int64		twice = 0;
	int64		found = 0;
	uint64		last = 0;
	LhRowSet	ids;

	lh_palloc_row_set(&ids);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		uint64		row_id;

		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		row_id = lh_tid_to_row_id(&slot->tts_tid);
		last = Max(last, row_id);
		found++;
		if (!lh_row_set_add(&ids, row_id) && twice++ == 0)
			lh_finding(v, "row id", name, "row id " UINT64_FORMAT " occurs more than once", row_id);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	lh_check_row_set(&ids);
	/* the counter never goes back, so now is as good as then */
	if (found > 0 && last >= lh_row_ids_end(v->rel))
		lh_finding(v, "row id", name, "row id " UINT64_FORMAT " has yet to be given: the next one is " UINT64_FORMAT,
				   last, lh_row_ids_end(v->rel));
	if (found != expected)
		lh_finding(v, "count", name, "a scan finds " INT64_FORMAT " rows, catalog and delta count " INT64_FORMAT,
				   found, expected);
}

/* ---- tombstones ---- */

static void
find_tombstones(LhVerify *v, LhRowSet *dead)
{
	LhTombstoneScan *scan = lh_tombstone_scan_begin(v->rel, v->snapshot, 0, LH_MAX_ROW_ID);
	uint64		row_id;

	while (lh_tombstone_scan_next(scan, &row_id))
	{
		CHECK_FOR_INTERRUPTS();
		if (!lh_row_set_add(dead, row_id))
			lh_finding(v, "tombstone", RelationGetRelationName(v->rel), "row " UINT64_FORMAT " has more than one",
					   row_id);
	}
	lh_tombstone_scan_end(scan);
	lh_check_row_set(dead);
}

static void
find_dead_in_delta(LhVerify *v, LhRowSet *dead)
{
	LhDeltaScan *scan = lh_delta_scan_begin(v->rel, v->snapshot, 0, LH_MAX_ROW_ID, true);
	const LhDeltaRow *row;

	while ((row = lh_delta_scan_next(scan, ForwardScanDirection)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (row->dead)
			lh_row_set_add(dead, row->row_id);
	}
	lh_delta_scan_end(scan);
	lh_check_row_set(dead);
}

/* Rows published as deleted, of files that the table still has, are deleted here. */
static void
check_published(LhVerify *v, const LhDeleteFile *file, LhRowSet *dead)
{
	uint64	   *row_ids = lh_delete_row_ids(file);
	int64		alive = 0;
	int64		start = 0;

	for (int i = 0; i < file->n_data_files; start += file->dead_counts[i++])
	{
		const LhFile *data = lh_verify_file_by_id(v, file->data_file_ids[i]);

		if (data == NULL || data->removed_seq != 0 || data->storage_id != v->identity.storage_id)
			continue;
		for (int64 j = 0; j < file->dead_counts[i]; j++)
			alive += !lh_row_set_has(dead, row_ids[start + j]);
	}
	if (alive > 0)
		lh_finding(v, "tombstone", file->name, INT64_FORMAT " rows are published as deleted and have no tombstone", alive);
	pfree(row_ids);
}

/* Each row that has a tombstone is in a file or in the delta. */
static void
check_tombstones(LhVerify *v, const LhRowSet *dead, LhRowSet *in_delta)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "lakehouse verify tombstones", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	LhRowSetScan scan = lh_row_set_scan(dead, 0);
	int64		max = Min(dead->n, LOCATED_ROWS);
	int64		lost = 0;
	int64		n;

	do
	{
		uint64	   *ids = palloc(sizeof(uint64) * max);
		bool	   *found = palloc(max);

		n = lh_row_set_take(&scan, ids, max);
		(void) lh_locate_rows(v->rel, v->current, ids, n, found);
		for (int64 i = 0; i < n; i++)
			if (!found[i] && !lh_row_set_has(in_delta, ids[i]) && lost++ == 0)
				lh_finding(v, "tombstone", RelationGetRelationName(v->rel),
						   "row " UINT64_FORMAT " has one, but is in no file and not in the delta", ids[i]);
		MemoryContextReset(cxt);
	} while (n == LOCATED_ROWS);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
}

void
lh_verify_tombstones(LhVerify *v, void *unused)
{
	LhRowSet	dead;
	LhRowSet	in_delta;
	ListCell   *lc;

	lh_palloc_row_set(&dead);
	lh_palloc_row_set(&in_delta);
	if (lh_delta_exists(v->rel))
	{
		find_tombstones(v, &dead);
		find_dead_in_delta(v, &in_delta);
	}
	if (dead.n > 0)
		check_tombstones(v, &dead, &in_delta);
	foreach(lc, v->delete_files)
		if (((LhDeleteFile *) lfirst(lc))->removed_seq == 0 && ((LhDeleteFile *) lfirst(lc))->added_seq > 0)
			check_published(v, lfirst(lc), &dead);
}
