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
#include "version/verify_int.h"

/* ---- arrays of row ids ---- */

typedef struct IdList
{
	int64		n;
	int64		max;
	uint64	   *ids;
} IdList;

static void
add_id(IdList *list, uint64 id)
{
	if (list->n == list->max)
	{
		list->max = Max(1024, list->max * 2);
		list->ids = list->ids != NULL ? repalloc_huge(list->ids, sizeof(uint64) * list->max) :
			MemoryContextAllocHuge(CurrentMemoryContext, sizeof(uint64) * list->max);
	}
	list->ids[list->n++] = id;
}

static int
compare_ids(const void *a, const void *b)
{
	uint64		x = *(const uint64 *) a;
	uint64		y = *(const uint64 *) b;

	return (x > y) - (x < y);
}

static bool
has_id(const IdList *list, uint64 id)
{
	return list->n > 0 && bsearch(&id, list->ids, list->n, sizeof(uint64), compare_ids) != NULL;
}

/* ---- rows ---- */

void
lh_verify_rows(LhVerify *v, void *unused)
{
	const char *name = RelationGetRelationName(v->rel);
	TupleTableSlot *slot = table_slot_create(v->rel, NULL);
	TableScanDesc scan = table_beginscan_strat(v->rel, v->snapshot, 0, NULL, true, false);
	int64		expected = lh_row_count(v->rel, v->snapshot);
	int64		twice = 0;
	IdList		ids = {0};

	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		add_id(&ids, lh_tid_to_row_id(&slot->tts_tid));
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	if (ids.n != expected)
		lh_finding(v, "count", name, "a scan finds " INT64_FORMAT " rows, catalog and delta count " INT64_FORMAT,
				   ids.n, expected);
	if (ids.n > 1)
		qsort(ids.ids, ids.n, sizeof(uint64), compare_ids);
	for (int64 i = 1; i < ids.n; i++)
		if (ids.ids[i] == ids.ids[i - 1] && twice++ == 0)
			lh_finding(v, "row id", name, "row id " UINT64_FORMAT " occurs more than once", ids.ids[i]);
}

/* ---- tombstones ---- */

static IdList
tombstones(LhVerify *v)
{
	IdList		list = {0};
	LhTombstoneScan *scan = lh_tombstone_scan_begin(v->rel, v->snapshot, 0, LH_MAX_ROW_ID);
	uint64		row_id;

	while (lh_tombstone_scan_next(scan, &row_id))
	{
		CHECK_FOR_INTERRUPTS();
		if (list.n > 0 && list.ids[list.n - 1] >= row_id)
			lh_finding(v, "tombstone", RelationGetRelationName(v->rel), "row " UINT64_FORMAT " has more than one",
					   row_id);
		else
			add_id(&list, row_id);
	}
	lh_tombstone_scan_end(scan);
	return list;
}

static IdList
dead_in_delta(LhVerify *v)
{
	IdList		list = {0};
	LhDeltaScan *scan = lh_delta_scan_begin(v->rel, v->snapshot, 0, LH_MAX_ROW_ID, true);
	const LhDeltaRow *row;

	while ((row = lh_delta_scan_next(scan, ForwardScanDirection)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (row->dead)
			add_id(&list, row->row_id);
	}
	lh_delta_scan_end(scan);
	return list;
}

/* Rows published as deleted, of files that the table still has, are deleted here. */
static void
check_published(LhVerify *v, const LhDeleteFile *file, const IdList *dead)
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
			alive += !has_id(dead, row_ids[start + j]);
	}
	if (alive > 0)
		lh_finding(v, "tombstone", file->name, INT64_FORMAT " rows are published as deleted and have no tombstone", alive);
	pfree(row_ids);
}

void
lh_verify_tombstones(LhVerify *v, void *unused)
{
	IdList		dead = {0};
	IdList		in_delta = {0};
	ListCell   *lc;

	if (lh_delta_exists(v->rel))
	{
		dead = tombstones(v);
		in_delta = dead_in_delta(v);
	}
	if (dead.n > 0)
	{
		bool	   *found = MemoryContextAllocHuge(CurrentMemoryContext, dead.n);
		int64		lost = 0;

		(void) lh_locate_rows(v->rel, v->current, dead.ids, dead.n, found);
		for (int64 i = 0; i < dead.n; i++)
			if (!found[i] && !has_id(&in_delta, dead.ids[i]) && lost++ == 0)
				lh_finding(v, "tombstone", RelationGetRelationName(v->rel),
						   "row " UINT64_FORMAT " has one, but is in no file and not in the delta", dead.ids[i]);
	}
	foreach(lc, v->delete_files)
		if (((LhDeleteFile *) lfirst(lc))->removed_seq == 0 && ((LhDeleteFile *) lfirst(lc))->added_seq > 0)
			check_published(v, lfirst(lc), &dead);
}
