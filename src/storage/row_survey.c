/*
 * row_survey.c
 *	  Which rows of a table some snapshot, of now or later, may see: what VACUUM
 *	  leaves in the indexes.
 *
 * The delta is read first, then the catalog of files: the publisher moves rows
 * from the one to the other.  Rows that are marked as deleted for everybody,
 * that is by a transaction before the horizon, are left out.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "storage/delta_int.h"

static bool
ended_before(TransactionId xid, TransactionId horizon)
{
	return !TransactionIdIsNormal(xid) || TransactionIdPrecedes(xid, horizon);
}

/* Deleted by the publisher, so long ago that nobody sees it here any more. */
static bool
left_long_ago(HeapTuple tuple, TransactionId horizon)
{
	HeapTupleHeader header = tuple->t_data;
	TransactionId xmax = HeapTupleHeaderGetRawXmax(header);

	if ((header->t_infomask & HEAP_XMAX_INVALID) || HEAP_XMAX_IS_LOCKED_ONLY(header->t_infomask))
		return false;
	return ended_before(xmax, horizon) && TransactionIdDidCommit(xmax);
}

static void
remove_many(Relation toast, HeapTuple tuple, LhRowIds *ids)
{
	LhBulk		bulk;

	bulk_read(toast, tuple, &bulk);
	for (uint64 row_id = bulk.first; lh_bulk_next(&bulk, &row_id); row_id++)
		lh_row_ids_remove(ids, row_id);
}

static void
survey_delta(Relation rel, TransactionId horizon, LhRowIds *ids)
{
	Relation	toast = table_open(rel->rd_rel->reltoastrelid, AccessShareLock);
	TableScanDesc scan = table_beginscan_strat(toast, SnapshotAny, 0, NULL, true, false);
	HeapTuple	tuple;

	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		uint64		key = delta_key(toast, tuple);
		uint64		row_id = key >> KIND_BITS;
		XminState	state;

		CHECK_FOR_INTERRUPTS();
		if ((key & KIND_MASK) != 0 && (key & KIND_MASK) != KIND_TOMBSTONE && !is_bulk_key(key))
			continue;
		state = delta_xmin_state(tuple);
		if ((key & KIND_MASK) == 0)
		{
			if (state != XMIN_ABORTED && !left_long_ago(tuple, horizon))
				lh_row_ids_add(ids, row_id, row_id);
		}
		else if (state == XMIN_COMMITTED && ended_before(HeapTupleHeaderGetXmin(tuple->t_data), horizon))
		{
			if (is_bulk_key(key))
				remove_many(toast, tuple, ids);
			else
				lh_row_ids_remove(ids, row_id);
		}
	}
	table_endscan(scan);
	table_close(toast, AccessShareLock);
}

/* Row ids that only the file itself knows. */
static void
survey_row_id_column(const LhFile *file, TupleDesc desc, LhRowIds *ids)
{
	LhFileReader *reader = lh_file_reader_open(file, desc);
	int			n_groups = lh_file_reader_meta(reader)->n_row_groups;

	for (int g = 0; g < n_groups; g++)
	{
		int64		rows;

		lh_file_reader_group(reader, g);
		rows = lh_file_reader_group_rows(reader);
		for (int64 start = 0; start < rows; start += LH_BATCH_ROWS)
		{
			int			n = (int) Min(LH_BATCH_ROWS, rows - start);

			CHECK_FOR_INTERRUPTS();
			lh_file_reader_batch(reader, start, n);
			for (int i = 0; i < n; i++)
			{
				uint64		row_id = lh_file_reader_row_id(reader, i);

				lh_row_ids_add(ids, row_id, row_id);
			}
		}
	}
	lh_file_reader_close(reader);
}

static void
survey_file(const LhFile *file, TupleDesc desc, LhRowIds *ids)
{
	LhPqFileMeta *meta;

	if (file->n_first_row_ids == 0)
	{
		survey_row_id_column(file, desc, ids);
		return;
	}
	if (file->high_row_id - file->low_row_id + 1 == (uint64) file->row_count)
	{
		lh_row_ids_add(ids, file->low_row_id, file->high_row_id);
		return;
	}
	meta = lh_file_meta(file);
	for (int g = 0; g < file->n_first_row_ids; g++)
		if (meta->row_groups[g].num_rows > 0)
			lh_row_ids_add(ids, (uint64) file->first_row_ids[g],
						   (uint64) file->first_row_ids[g] + meta->row_groups[g].num_rows - 1);
}

typedef struct Survey
{
	TupleDesc	desc;
	TransactionId horizon;
	LhRowIds   *ids;
} Survey;

static void
visit_file(const LhFile *file, void *arg)
{
	Survey	   *survey = arg;

	CHECK_FOR_INTERRUPTS();
	/* its row was written last by who removed it */
	if (file->removed_seq == 0 || !ended_before(file->xmin, survey->horizon))
		survey_file(file, survey->desc, survey->ids);
}

void
lh_survey_rows(Relation rel, Snapshot snapshot, TransactionId horizon, LhRowIds *ids)
{
	Survey		survey = {RelationGetDescr(rel), horizon, ids};
	LhIdentity	identity;

	lh_metapage_read(rel, &identity);
	if (lh_delta_exists(rel))
		survey_delta(rel, horizon, ids);
	lh_file_walk(identity.storage_id, snapshot, visit_file, &survey);
	lh_row_ids_sort(ids);
}
