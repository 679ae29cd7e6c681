/*
 * row_scan.c
 *	  One scan over what a snapshot sees of a table: its data files, then its
 *	  delta.
 *
 * The scan is a sequence of units: each row group of each file, then the
 * delta.  A serial scan walks them in either direction; the processes of a
 * parallel scan draw them from a shared counter.  All processes see the same
 * units, because they list files with the same snapshot and sort them.
 *
 * A caller that knows its columns beforehand says so in hints: their chunks
 * are then fetched together, those of the next row group while this one is
 * read (not in a parallel scan, where a unit drawn early is a unit that an
 * idle process cannot take), and row groups are left out by what their
 * statistics say.
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
	const LhScanHints *hints;	/* NULL: none */
	List	   *files;
	bool		with_delta;
	bool		prepared;		/* units are known */
	int			n_units;
	ScanUnit   *units;
	int			unit;			/* current; -1 before the first */
	bool		unit_open;

	LhFileReader *reader;
	const LhFile *reader_file;	/* that it reads; NULL: none */
	int64		group_rows;
	int64		batch_start;
	int			batch_rows;

	int			ahead_unit;		/* wanted next, its chunks under way; -1: none */
	LhFileReader *ahead_reader; /* for it, when in another file; may be NULL */

	LhDeltaScan *delta;

	LhBatch		batch;			/* lh_row_scan_next() stands in it */
	int			row;

	LhScanCounters counters;
	int64		closed_bytes;	/* read by readers that are closed */
};

static LhRowScan *
new_scan(Relation rel)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "lakehouse scan", ALLOCSET_DEFAULT_SIZES);
	LhRowScan  *scan = MemoryContextAllocZero(cxt, sizeof(LhRowScan));

	scan->cxt = cxt;
	scan->rel = rel;
	scan->unit = scan->ahead_unit = -1;
	return scan;
}

LhRowScan *
lh_row_scan_begin(Relation rel, Snapshot snapshot, LhRowScanShared *shared)
{
	LhRowScan  *scan = new_scan(rel);
	MemoryContext old = MemoryContextSwitchTo(scan->cxt);
	LhIdentity	identity;

	lh_metapage_check_snapshot(rel, snapshot);
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

void
lh_row_scan_set_hints(LhRowScan *scan, const LhScanHints *hints)
{
	scan->hints = hints;
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

/* ---- readers of the current unit and of the one ahead ---- */

static void
close_reader(LhRowScan *scan, LhFileReader **reader)
{
	if (*reader == NULL)
		return;
	scan->closed_bytes += lh_file_reader_bytes(*reader);
	lh_file_reader_close(*reader);
	*reader = NULL;
}

/* The reader of a unit's file: one that is open on it already, or a new one in *spare. */
static LhFileReader *
reader_of(LhRowScan *scan, const ScanUnit *unit, TupleDesc desc, LhFileReader **spare)
{
	MemoryContext old;

	if (scan->reader != NULL && scan->reader_file == unit->file)
		return scan->reader;
	if (*spare != NULL && lh_file_reader_file(*spare) == unit->file)
		return *spare;
	close_reader(scan, spare);
	old = MemoryContextSwitchTo(scan->cxt);
	*spare = lh_file_reader_open(unit->file, desc);
	MemoryContextSwitchTo(old);
	return *spare;
}

static void
drop_ahead(LhRowScan *scan)
{
	close_reader(scan, &scan->ahead_reader);
	scan->ahead_unit = -1;
}

/*
 * The next unit after `unit` whose rows may be wanted, or the end.  Reading
 * statistics needs the footer, which is in the catalog: no object is touched.
 */
static int
find_unit(LhRowScan *scan, int unit, TupleDesc desc, bool forward)
{
	for (;;)
	{
		ScanUnit   *candidate;
		LhFileReader *reader;

		CHECK_FOR_INTERRUPTS();
		if (scan->shared != NULL)
		{
			uint32		drawn = pg_atomic_fetch_add_u32(&scan->shared->next_unit, 1);

			unit = (int) Min(drawn, (uint32) scan->n_units);
		}
		else
			unit = forward ? Min(unit + 1, scan->n_units) : Max(unit - 1, -1);
		if (unit < 0 || unit >= scan->n_units)
			return unit;
		candidate = &scan->units[unit];
		if (candidate->file == NULL)
			return unit;
		scan->counters.groups++;
		if (scan->hints == NULL || scan->hints->group_wanted == NULL)
			return unit;
		reader = reader_of(scan, candidate, desc, &scan->ahead_reader);
		if (scan->hints->group_wanted(scan->hints->arg, lh_file_reader_meta(reader), candidate->row_group))
			return unit;
		scan->counters.groups_skipped++;
	}
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
		LhFileReader *reader = reader_of(scan, unit, desc, &scan->ahead_reader);

		if (reader != scan->reader)
		{
			close_reader(scan, &scan->reader);
			scan->reader = reader;
			scan->reader_file = unit->file;
			scan->ahead_reader = NULL;
		}
		lh_file_reader_group(reader, unit->row_group);
		if (scan->hints != NULL)
			lh_file_reader_prefetch(reader, unit->row_group, scan->hints->columns,
									scan->hints->n_columns, scan->hints->row_ids);
		scan->group_rows = lh_file_reader_group_rows(reader);
		scan->batch_rows = 0;
		scan->batch_start = forward ? 0 : scan->group_rows;
	}
	scan->unit_open = true;
	MemoryContextSwitchTo(old);
}

static bool
next_unit(LhRowScan *scan, TupleDesc desc, bool forward)
{
	if (forward && scan->ahead_unit >= 0)
	{
		scan->unit = scan->ahead_unit;
		scan->ahead_unit = -1;
	}
	else
	{
		drop_ahead(scan);
		scan->unit = find_unit(scan, scan->unit, desc, forward);
	}
	if (scan->unit < 0 || scan->unit >= scan->n_units)
		return false;
	open_unit(scan, desc, forward);
	return true;
}

/*
 * Starts fetching the next row group.  Not before the second batch of this
 * one is asked for: a LIMIT may be content with the first.
 */
static void
look_ahead(LhRowScan *scan, TupleDesc desc)
{
	ScanUnit   *unit;

	scan->ahead_unit = find_unit(scan, scan->unit, desc, true);
	if (scan->ahead_unit >= scan->n_units)
		return;
	unit = &scan->units[scan->ahead_unit];
	if (unit->file != NULL)
		lh_file_reader_prefetch(reader_of(scan, unit, desc, &scan->ahead_reader), unit->row_group,
								scan->hints->columns, scan->hints->n_columns, scan->hints->row_ids);
}

/* Moves to the next batch of the open row group; false at its end. */
static bool
next_in_group(LhRowScan *scan, TupleDesc desc, bool forward)
{
	if (forward)
	{
		scan->batch_start += scan->batch_rows;
		scan->batch_rows = (int) Min(LH_BATCH_ROWS, scan->group_rows - scan->batch_start);
	}
	else
	{
		scan->batch_rows = (int) Min(LH_BATCH_ROWS, scan->batch_start);
		scan->batch_start -= scan->batch_rows;
	}
	if (scan->batch_rows <= 0)
	{
		scan->batch_rows = 0;
		return false;
	}
	if (forward && scan->batch_start > 0 && scan->ahead_unit < 0 &&
		scan->hints != NULL && scan->shared == NULL)
		look_ahead(scan, desc);
	lh_file_reader_batch(scan->reader, scan->batch_start, scan->batch_rows);
	return true;
}

bool
lh_row_scan_batch(LhRowScan *scan, TupleDesc desc, ScanDirection direction, LhBatch *batch)
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
								   &batch->row_id, &batch->tuple))
			{
				batch->reader = NULL;
				batch->n_rows = 1;
				return true;
			}
		}
		else if (next_in_group(scan, desc, forward))
		{
			batch->reader = scan->reader;
			batch->n_rows = scan->batch_rows;
			return true;
		}
		close_unit(scan);
	}
}

bool
lh_row_scan_next(LhRowScan *scan, TupleDesc desc, ScanDirection direction, LhRow *row)
{
	bool		forward = !ScanDirectionIsBackward(direction);

	scan->row += forward ? 1 : -1;
	if (scan->row < 0 || scan->row >= scan->batch.n_rows)
	{
		if (!lh_row_scan_batch(scan, desc, direction, &scan->batch))
		{
			scan->batch.n_rows = scan->row = 0;
			return false;
		}
		scan->row = forward ? 0 : scan->batch.n_rows - 1;
	}
	row->reader = scan->batch.reader;
	row->row = scan->row;
	if (row->reader != NULL)
		row->row_id = lh_file_reader_row_id(row->reader, row->row);
	else
	{
		row->row_id = scan->batch.row_id;
		row->tuple = scan->batch.tuple;
	}
	return true;
}

void
lh_row_scan_rescan(LhRowScan *scan)
{
	close_unit(scan);
	drop_ahead(scan);
	scan->unit = -1;
	scan->batch.n_rows = scan->row = 0;
}

const LhScanCounters *
lh_row_scan_counters(LhRowScan *scan)
{
	scan->counters.bytes = scan->closed_bytes;
	if (scan->reader != NULL)
		scan->counters.bytes += lh_file_reader_bytes(scan->reader);
	if (scan->ahead_reader != NULL)
		scan->counters.bytes += lh_file_reader_bytes(scan->ahead_reader);
	return &scan->counters;
}

void
lh_row_scan_end(LhRowScan *scan)
{
	close_unit(scan);
	MemoryContextDelete(scan->cxt);
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
	LhFileTotals totals;

	lh_metapage_check_snapshot(rel, snapshot);
	lh_metapage_read(rel, &identity);
	lh_file_totals(identity.storage_id, snapshot, &totals);
	return totals.rows + lh_delta_count(rel, snapshot);
}
