/*
 * row_fetch.c
 *	  Single rows by their id: from the delta, or from the file that holds it.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "storage/lh_storage.h"

struct LhRowFetch
{
	MemoryContext cxt;
	Relation	rel;
	int64		storage_id;
	LhDeltaScan *delta;			/* holds the last tuple */
	List	   *files;
	Snapshot	files_snapshot; /* what files were listed for */
	CommandId	files_curcid;
	LhFileReader *reader;
	const LhFile *reader_file;
};

LhRowFetch *
lh_row_fetch_begin(Relation rel)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "lakehouse fetch", ALLOCSET_DEFAULT_SIZES);
	LhRowFetch *fetch = MemoryContextAllocZero(cxt, sizeof(LhRowFetch));
	LhIdentity	identity;

	lh_metapage_read(rel, &identity);
	fetch->cxt = cxt;
	fetch->rel = rel;
	fetch->storage_id = identity.storage_id;
	return fetch;
}

static bool
fetch_from_delta(LhRowFetch *fetch, uint64 row_id, Snapshot snapshot, LhRow *row)
{
	if (fetch->delta != NULL)
		lh_delta_scan_end(fetch->delta);
	fetch->delta = NULL;
	if (!lh_delta_exists(fetch->rel))
		return false;
	fetch->delta = lh_delta_scan_begin(fetch->rel, snapshot, row_id, row_id);
	row->reader = NULL;
	return lh_delta_scan_next(fetch->delta, ForwardScanDirection, &row->row_id, &row->tuple) &&
		row->row_id == row_id;
}

static LhFileReader *
open_file(LhRowFetch *fetch, const LhFile *file, TupleDesc desc)
{
	if (fetch->reader_file != file)
	{
		if (fetch->reader != NULL)
			lh_file_reader_close(fetch->reader);
		fetch->reader = NULL;
		fetch->reader = lh_file_reader_open(file, desc);
		lh_file_reader_sparse(fetch->reader);
		fetch->reader_file = file;
	}
	return fetch->reader;
}

static void
stand_on(LhFileReader *reader, int64 place, LhRow *row)
{
	lh_file_reader_batch(reader, place, 1);
	row->reader = reader;
	row->row = 0;
}

/* A file whose catalog row has the first id of each row group. */
static bool
find_by_range(LhRowFetch *fetch, const LhFile *file, TupleDesc desc, uint64 row_id, LhRow *row)
{
	for (int g = 0; g < file->n_first_row_ids; g++)
	{
		uint64		first = (uint64) file->first_row_ids[g];
		LhFileReader *reader;

		if (row_id < first || row_id >= first + file->row_count)
			continue;
		reader = open_file(fetch, file, desc);
		if (row_id - first >= (uint64) lh_file_reader_meta(reader)->row_groups[g].num_rows)
			continue;
		lh_file_reader_group(reader, g);
		stand_on(reader, (int64) (row_id - first), row);
		return true;
	}
	return false;
}

/* A file with a _row_id column, in which ids ascend. */
static bool
find_by_column(LhRowFetch *fetch, const LhFile *file, TupleDesc desc, uint64 row_id, LhRow *row)
{
	LhFileReader *reader = open_file(fetch, file, desc);
	int			n_groups = lh_file_reader_meta(reader)->n_row_groups;

	for (int g = 0; g < n_groups; g++)
	{
		int64		low = 0;
		int64		high;

		lh_file_reader_group(reader, g);
		high = lh_file_reader_group_rows(reader) - 1;
		stand_on(reader, high, row);
		if (lh_file_reader_row_id(reader, 0) < row_id)
			continue;
		/* the first row whose id is not below */
		while (low < high)
		{
			int64		mid = (low + high) / 2;

			stand_on(reader, mid, row);
			if (lh_file_reader_row_id(reader, 0) < row_id)
				low = mid + 1;
			else
				high = mid;
		}
		stand_on(reader, low, row);
		return lh_file_reader_row_id(reader, 0) == row_id;
	}
	return false;
}

bool
lh_row_fetch(LhRowFetch *fetch, uint64 row_id, TupleDesc desc, Snapshot snapshot, LhRow *row)
{
	MemoryContext old = MemoryContextSwitchTo(fetch->cxt);
	CommandId	curcid = IsMVCCSnapshot(snapshot) ? snapshot->curcid : 0;
	bool		found;
	ListCell   *lc;

	found = fetch_from_delta(fetch, row_id, snapshot, row);
	if (!found && (fetch->files_snapshot != snapshot || fetch->files_curcid != curcid ||
				   !IsMVCCSnapshot(snapshot)))
	{
		if (fetch->reader != NULL)
			lh_file_reader_close(fetch->reader);
		fetch->reader = NULL;
		fetch->reader_file = NULL;
		lh_metapage_check_snapshot(fetch->rel, snapshot);
		fetch->files = lh_file_list(fetch->storage_id, false, snapshot);
		fetch->files_snapshot = snapshot;
		fetch->files_curcid = curcid;
	}
	if (!found)
	{
		foreach(lc, fetch->files)
		{
			LhFile	   *file = lfirst(lc);

			found = file->n_first_row_ids > 0 ?
				find_by_range(fetch, file, desc, row_id, row) :
				find_by_column(fetch, file, desc, row_id, row);
			if (found)
				break;
		}
	}
	row->row_id = row_id;
	MemoryContextSwitchTo(old);
	return found;
}

void
lh_row_fetch_end(LhRowFetch *fetch)
{
	if (fetch->delta != NULL)
		lh_delta_scan_end(fetch->delta);
	MemoryContextDelete(fetch->cxt);
}
