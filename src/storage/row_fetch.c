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

/* Finds row_id in the file: its row group and place there. */
static bool
locate(LhRowFetch *fetch, const LhFile *file, TupleDesc desc, uint64 row_id, int *group, int64 *place)
{
	LhPqFileMeta *meta;

	if (file->n_first_row_ids == 0)
		return false;
	if (row_id < (uint64) file->first_row_ids[0])
		return false;
	for (int g = 0; g < file->n_first_row_ids; g++)
	{
		uint64		first = (uint64) file->first_row_ids[g];

		if (row_id < first || row_id >= first + file->row_count)
			continue;
		if (fetch->reader_file != file)
		{
			if (fetch->reader != NULL)
				lh_file_reader_close(fetch->reader);
			fetch->reader = NULL;
			fetch->reader = lh_file_reader_open(file, desc);
			fetch->reader_file = file;
		}
		meta = (LhPqFileMeta *) lh_file_reader_meta(fetch->reader);
		if (row_id < first + meta->row_groups[g].num_rows)
		{
			*group = g;
			*place = (int64) (row_id - first);
			return true;
		}
	}
	return false;
}

/* A file with explicit ids: search its _row_id column. */
static bool
search_ids(LhRowFetch *fetch, const LhFile *file, TupleDesc desc, uint64 row_id, LhRow *row)
{
	int			n_groups;

	if (fetch->reader_file != file)
	{
		if (fetch->reader != NULL)
			lh_file_reader_close(fetch->reader);
		fetch->reader = NULL;
		fetch->reader = lh_file_reader_open(file, desc);
		fetch->reader_file = file;
	}
	n_groups = lh_file_reader_meta(fetch->reader)->n_row_groups;
	for (int g = 0; g < n_groups; g++)
	{
		int64		n_rows;

		lh_file_reader_group(fetch->reader, g);
		n_rows = lh_file_reader_group_rows(fetch->reader);
		for (int64 start = 0; start < n_rows; start += LH_BATCH_ROWS)
		{
			int			n = (int) Min(LH_BATCH_ROWS, n_rows - start);

			lh_file_reader_batch(fetch->reader, start, n);
			/* ids ascend within a file */
			if (lh_file_reader_row_id(fetch->reader, n - 1) < row_id)
				continue;
			for (int i = 0; i < n; i++)
			{
				if (lh_file_reader_row_id(fetch->reader, i) == row_id)
				{
					row->reader = fetch->reader;
					row->row = i;
					return true;
				}
			}
			return false;
		}
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
		fetch->files = lh_file_list(fetch->storage_id, false, snapshot);
		fetch->files_snapshot = snapshot;
		fetch->files_curcid = curcid;
	}
	if (!found)
	{
		foreach(lc, fetch->files)
		{
			LhFile	   *file = lfirst(lc);
			int			group;
			int64		place;

			if (file->n_first_row_ids == 0)
				found = search_ids(fetch, file, desc, row_id, row);
			else if (locate(fetch, file, desc, row_id, &group, &place))
			{
				lh_file_reader_group(fetch->reader, group);
				lh_file_reader_batch(fetch->reader, place, 1);
				row->reader = fetch->reader;
				row->row = 0;
				found = true;
			}
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
