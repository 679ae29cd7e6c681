/*
 * row_scan.c
 *	  One scan over what a snapshot sees of a table: its data files, then its
 *	  delta.  And the fetch of single rows by id.
 *
 * The scan is a sequence of units: each row group of each file, then the
 * delta.  A serial scan walks them in either direction; the processes of a
 * parallel scan draw them from a shared counter.  All processes see the same
 * units, because they list files with the same snapshot and sort them.
 *
 * A row is in a file or in the delta, never in both: the publisher moves it
 * within one transaction.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "storage/lh_storage.h"

typedef struct ScanUnit
{
	LhFile	   *file;			/* NULL: the delta */
	int			row_group;
} ScanUnit;

struct LhRowScan
{
	MemoryContext cxt;
	Relation	rel;
	Snapshot	snapshot;
	LhRowScanShared *shared;
	List	   *files;
	bool		with_delta;
	bool		prepared;		/* units are known */
	int			n_units;
	ScanUnit   *units;
	int			unit;			/* current; -1 before the first */
	bool		unit_open;

	LhFileReader *reader;		/* of units[unit].file */
	const LhFile *reader_file;
	int64		group_rows;
	int64		batch_start;
	int			batch_rows;
	int			row;			/* in the batch */

	LhDeltaScan *delta;
};

static LhRowScan *
new_scan(Relation rel)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "lakehouse scan", ALLOCSET_DEFAULT_SIZES);
	LhRowScan  *scan = MemoryContextAllocZero(cxt, sizeof(LhRowScan));

	scan->cxt = cxt;
	scan->rel = rel;
	scan->unit = -1;
	return scan;
}

LhRowScan *
lh_row_scan_begin(Relation rel, Snapshot snapshot, LhRowScanShared *shared)
{
	LhRowScan  *scan = new_scan(rel);
	MemoryContext old = MemoryContextSwitchTo(scan->cxt);
	LhIdentity	identity;

	lh_metapage_read(rel, &identity);
	scan->snapshot = snapshot;
	scan->shared = shared;
	scan->files = lh_file_list(identity.storage_id, false, snapshot);
	scan->with_delta = lh_delta_exists(rel);
	MemoryContextSwitchTo(old);
	return scan;
}

LhRowScan *
lh_row_scan_begin_files(Relation rel, List *files)
{
	LhRowScan  *scan = new_scan(rel);

	scan->files = files;
	return scan;
}

/* Row-group counts need no footer where the catalog has first row ids. */
static int
count_row_groups(const LhFile *file)
{
	LhPqFileMeta *meta;

	if (file->n_first_row_ids > 0)
		return file->n_first_row_ids;
	meta = lh_file_meta(file);
	return meta->n_row_groups;
}

static void
prepare_units(LhRowScan *scan)
{
	MemoryContext old = MemoryContextSwitchTo(scan->cxt);
	int			max = list_length(scan->files) + 1;
	ListCell   *lc;

	scan->units = palloc(sizeof(ScanUnit) * max);
	foreach(lc, scan->files)
	{
		LhFile	   *file = lfirst(lc);
		int			n = count_row_groups(file);

		if (scan->n_units + n + 1 > max)
		{
			max = Max(max * 2, scan->n_units + n + 1);
			scan->units = repalloc(scan->units, sizeof(ScanUnit) * max);
		}
		for (int g = 0; g < n; g++)
			scan->units[scan->n_units++] = (ScanUnit) {file, g};
	}
	if (scan->with_delta)
		scan->units[scan->n_units++] = (ScanUnit) {NULL, 0};
	scan->prepared = true;
	MemoryContextSwitchTo(old);
}

static void
close_unit(LhRowScan *scan)
{
	if (scan->delta != NULL)
		lh_delta_scan_end(scan->delta);
	scan->delta = NULL;
	scan->unit_open = false;
}

/* Opens units[unit] at its beginning, or at its end when going backward. */
static void
open_unit(LhRowScan *scan, TupleDesc desc, bool forward)
{
	ScanUnit   *unit = &scan->units[scan->unit];
	MemoryContext old = MemoryContextSwitchTo(scan->cxt);

	if (unit->file == NULL)
		scan->delta = lh_delta_scan_begin(scan->rel, scan->snapshot, 0, LH_MAX_ROW_ID);
	else
	{
		if (scan->reader_file != unit->file)
		{
			if (scan->reader != NULL)
				lh_file_reader_close(scan->reader);
			scan->reader = NULL;
			scan->reader = lh_file_reader_open(unit->file, desc);
			scan->reader_file = unit->file;
		}
		lh_file_reader_group(scan->reader, unit->row_group);
		scan->group_rows = lh_file_reader_group_rows(scan->reader);
		scan->batch_rows = 0;
		scan->batch_start = forward ? 0 : scan->group_rows;
		scan->row = forward ? -1 : 0;
	}
	scan->unit_open = true;
	MemoryContextSwitchTo(old);
}

static bool
next_unit(LhRowScan *scan, TupleDesc desc, bool forward)
{
	close_unit(scan);
	if (scan->shared != NULL)
	{
		uint32		drawn = pg_atomic_fetch_add_u32(&scan->shared->next_unit, 1);

		scan->unit = (int) Min(drawn, (uint32) scan->n_units);
	}
	else
		scan->unit = forward ? Min(scan->unit + 1, scan->n_units) : Max(scan->unit - 1, -1);
	if (scan->unit < 0 || scan->unit >= scan->n_units)
		return false;
	open_unit(scan, desc, forward);
	return true;
}

/* Moves to the next row of the open row group; false at its end. */
static bool
next_in_group(LhRowScan *scan, bool forward)
{
	if (forward)
	{
		if (++scan->row < scan->batch_rows)
			return true;
		scan->batch_start += scan->batch_rows;
		scan->batch_rows = (int) Min(LH_BATCH_ROWS, scan->group_rows - scan->batch_start);
		scan->row = 0;
	}
	else
	{
		if (--scan->row >= 0)
			return true;
		scan->batch_rows = (int) Min(LH_BATCH_ROWS, scan->batch_start);
		scan->batch_start -= scan->batch_rows;
		scan->row = scan->batch_rows - 1;
	}
	if (scan->batch_rows <= 0)
	{
		scan->batch_rows = 0;
		return false;
	}
	lh_file_reader_batch(scan->reader, scan->batch_start, scan->batch_rows);
	return true;
}

bool
lh_row_scan_next(LhRowScan *scan, TupleDesc desc, ScanDirection direction, LhRow *row)
{
	bool		forward = !ScanDirectionIsBackward(direction);

	if (!scan->prepared)
		prepare_units(scan);
	for (;;)
	{
		if (!scan->unit_open && !next_unit(scan, desc, forward))
			return false;
		if (scan->units[scan->unit].file == NULL)
		{
			if (lh_delta_scan_next(scan->delta, forward ? ForwardScanDirection : BackwardScanDirection,
								   &row->row_id, &row->tuple))
			{
				row->reader = NULL;
				return true;
			}
		}
		else if (next_in_group(scan, forward))
		{
			row->reader = scan->reader;
			row->row = scan->row;
			row->row_id = lh_file_reader_row_id(scan->reader, scan->row);
			return true;
		}
		close_unit(scan);
	}
}

void
lh_row_scan_rescan(LhRowScan *scan)
{
	close_unit(scan);
	scan->unit = -1;
}

void
lh_row_scan_end(LhRowScan *scan)
{
	close_unit(scan);
	MemoryContextDelete(scan->cxt);
}

/* ---- single rows ---- */

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

/* Only its address means something: see lh_storage.h. */
BlockNumber
lh_version_sample_block(struct SampleScanState *node, BlockNumber n_blocks)
{
	return InvalidBlockNumber;
}

/* ---- counting ---- */

int64
lh_row_count(Relation rel, Snapshot snapshot)
{
	LhIdentity	identity;
	int64		count = 0;
	ListCell   *lc;

	lh_metapage_read(rel, &identity);
	foreach(lc, lh_file_list(identity.storage_id, false, snapshot))
		count += ((LhFile *) lfirst(lc))->row_count;
	if (lh_delta_exists(rel))
	{
		LhDeltaScan *delta = lh_delta_scan_begin(rel, snapshot, 0, LH_MAX_ROW_ID);
		uint64		row_id;
		MinimalTuple tuple;

		while (lh_delta_scan_next(delta, ForwardScanDirection, &row_id, &tuple))
			count++;
		lh_delta_scan_end(delta);
	}
	return count;
}
