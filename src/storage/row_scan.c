/*
 * row_scan.c
 *	  One scan over what a snapshot sees of a table: its data files and its
 *	  delta, less the rows that have tombstones.
 *
 * The scan is a sequence of units: row groups of files, and ranges of the
 * delta in between, so that rows come in the order of their ids, which is that
 * of their insertion.  (Files whose ranges of ids overlap break the order.)  A
 * serial scan walks the units in either direction; the processes of a parallel
 * scan draw them from a shared counter.  All processes see the same units,
 * because they list files with the same snapshot and sort them; and none asks
 * whether the delta is empty, as somebody may be writing to it.
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
#include "access/transam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "storage/lh_storage.h"

/* Gaps between files that get a unit of the delta each; a scan of it costs microseconds. */
#define MAX_DELTA_UNITS	1000

typedef struct ScanUnit
{
	LhFile	   *file;			/* NULL: the delta */
	int			row_group;
	uint64		first;			/* row ids; of a row group with explicit ids, the file's */
	uint64		last;
} ScanUnit;

struct LhRowScan
{
	MemoryContext cxt;
	Relation	rel;
	Snapshot	snapshot;
	LhRowScanShared *shared;
	const LhScanHints *hints;	/* NULL: none */
	List	   *files;
	bool		with_delta;		/* it has entries, or had when the scan began; or it may */
	bool		want_dead;
	LhRowRange	range;			/* no other rows are wanted */
	bool		prepared;		/* units are known */
	int			n_units;
	ScanUnit   *units;
	bool		begun;			/* a row has been asked for */
	int			unit;			/* current; -1 before the first */
	bool		unit_open;

	LhFileReader *reader;
	const LhFile *reader_file;	/* that it reads; NULL: none */
	int64		group_start;	/* rows of the open row group that may be in the range */
	int64		group_end;
	int64		batch_start;
	int			batch_rows;

	int			ahead_unit;		/* wanted next, its chunks under way; -1: none */
	LhFileReader *ahead_reader; /* for it, when in another file; may be NULL */

	LhDeltaScan *delta;

	/* dead rows of all files: of a version, or those that the delta buries */
	const LhRowSet *version_dead;
	LhDeltaSummary known;
	bool		dead_known;		/* the latter */
	int			opened_units;

	/* those of the open row group: row ids, ascending */
	int64		n_tombstones;
	const uint64 *tombstones;	/* into known.dead, or */
	LhRowIdArray group_dead;	/* here */
	uint8	   *live;			/* [LH_BATCH_ROWS], of the batch */

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
	scan->range = (LhRowRange) {0, LH_MAX_ROW_ID};
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
	/* by what no other process can find different: units are drawn by their number */
	scan->with_delta = shared != NULL ? lh_delta_exists(rel) : !lh_delta_is_empty(rel);
	MemoryContextSwitchTo(old);
	return scan;
}

LhRowScan *
lh_row_scan_begin_files(Relation rel, List *files, const LhRowSet *dead)
{
	LhRowScan  *scan = new_scan(rel);

	scan->files = files;
	scan->version_dead = dead;
	return scan;
}

void
lh_row_scan_want_dead(LhRowScan *scan)
{
	scan->want_dead = true;
}

void
lh_row_scan_set_range(LhRowScan *scan, uint64 first, uint64 last)
{
	scan->range = (LhRowRange) {first, last};
	lh_row_scan_rescan(scan);
	if (scan->prepared)
		pfree(scan->units);
	scan->prepared = false;
	scan->n_units = 0;
}

void
lh_row_scan_set_hints(LhRowScan *scan, const LhScanHints *hints)
{
	scan->hints = hints;
}

/* ---- units ---- */

static ScanUnit *
add_unit(LhRowScan *scan, int *max)
{
	if (scan->n_units == *max)
	{
		*max *= 2;
		scan->units = repalloc_huge(scan->units, sizeof(ScanUnit) * *max);
	}
	return &scan->units[scan->n_units++];
}

/* Row groups need no footer where the catalog has first row ids. */
static void
add_file(LhRowScan *scan, LhFile *file, int *max)
{
	int			n = file->n_first_row_ids > 0 ? file->n_first_row_ids : lh_file_meta(file)->n_row_groups;

	for (int g = 0; g < n; g++)
	{
		ScanUnit   *unit = add_unit(scan, max);

		unit->file = file;
		unit->row_group = g;
		unit->first = file->low_row_id;
		unit->last = file->high_row_id;
		if (file->n_first_row_ids > 0)
		{
			unit->first = (uint64) file->first_row_ids[g];
			if (g + 1 < n)
				unit->last = (uint64) file->first_row_ids[g + 1] - 1;
		}
	}
}

static int
compare_units(const void *a, const void *b)
{
	const ScanUnit *x = a;
	const ScanUnit *y = b;

	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	if (x->file->file_id != y->file->file_id)
		return x->file->file_id < y->file->file_id ? -1 : 1;
	return x->row_group - y->row_group;
}

/*
 * Puts ranges of the delta between the row groups.  Each row id lies in one of
 * them, whether row groups have it or not: where they overlap or have gaps
 * inside, the range after them begins where the one before ended.
 */
static void
add_delta(LhRowScan *scan, int max)
{
	int			n_groups = scan->n_units;
	ScanUnit   *groups = scan->units;
	uint64		next = 0;		/* row ids below have a unit */
	int			n_gaps = 0;

	scan->units = MemoryContextAllocHuge(scan->cxt, sizeof(ScanUnit) * max);
	scan->n_units = 0;
	for (int i = 0; i < n_groups; i++)
	{
		/* the delta's rows up to the group's first: those of the group before are there, too */
		if (groups[i].first > next && n_gaps < MAX_DELTA_UNITS)
		{
			*add_unit(scan, &max) = (ScanUnit) {NULL, 0, next, groups[i].first - 1};
			next = groups[i].first;
			n_gaps++;
		}
		*add_unit(scan, &max) = groups[i];
	}
	*add_unit(scan, &max) = (ScanUnit) {NULL, 0, next, LH_MAX_ROW_ID};
	pfree(groups);
}

/* Leaves out what is not in the range. */
static void
clip_units(LhRowScan *scan)
{
	int			n = 0;

	for (int i = 0; i < scan->n_units; i++)
	{
		ScanUnit	unit = scan->units[i];

		if (unit.last < scan->range.first || unit.first > scan->range.last)
			continue;
		if (unit.file == NULL)
		{
			unit.first = Max(unit.first, scan->range.first);
			unit.last = Min(unit.last, scan->range.last);
		}
		scan->units[n++] = unit;
	}
	scan->n_units = n;
}

static void
prepare_units(LhRowScan *scan)
{
	MemoryContext old = MemoryContextSwitchTo(scan->cxt);
	int			max = list_length(scan->files) + 1;
	ListCell   *lc;

	scan->units = palloc(sizeof(ScanUnit) * max);
	foreach(lc, scan->files)
		add_file(scan, lfirst(lc), &max);
	qsort(scan->units, scan->n_units, sizeof(ScanUnit), compare_units);
	if (scan->with_delta)
		add_delta(scan, max + 1);
	clip_units(scan);
	scan->prepared = true;
	MemoryContextSwitchTo(old);
}

/* ---- tombstones ---- */

/* The first of n ascending row ids that is not below row_id. */
static int64
lower_bound(const uint64 *row_ids, int64 n, uint64 row_id)
{
	int64		low = 0;
	int64		high = n;

	while (low < high)
	{
		int64		mid = low + (high - low) / 2;

		if (row_ids[mid] < row_id)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Those of one row group, by the delta's index. */
static void
scan_tombstones(LhRowScan *scan, const ScanUnit *unit, LhRowIdArray *dead)
{
	LhTombstoneScan *tombs = lh_tombstone_scan_begin(scan->rel, scan->snapshot, unit->first, unit->last);
	uint64		row_id;

	while (lh_tombstone_scan_next(tombs, &row_id))
		lh_row_id_array_add(dead, row_id);
	lh_tombstone_scan_end(tombs);
}

static void
pick_version_dead(const LhRowSet *all, const ScanUnit *unit, LhRowIdArray *dead)
{
	LhRowSetScan ids = lh_row_set_scan(all, unit->first);
	uint64		row_id;

	while (lh_row_set_next(&ids, &row_id) && row_id <= unit->last)
		lh_row_id_array_add(dead, row_id);
}

/*
 * All of the delta at once is cheaper than a part for each unit, but not for a
 * LIMIT that is content with the first.
 */
static void
summarize_delta(LhRowScan *scan)
{
	if (scan->dead_known || !scan->with_delta || scan->opened_units++ > 1)
		return;
	scan->dead_known = lh_delta_summarize(scan->rel, scan->snapshot, scan->opened_units > 1, &scan->known);
}

static void
load_tombstones(LhRowScan *scan, const ScanUnit *unit)
{
	const LhDeltaSummary *known = &scan->known;
	LhRowIdArray *dead = &scan->group_dead;

	dead->n = 0;
	if (scan->version_dead != NULL)
		pick_version_dead(scan->version_dead, unit, dead);
	else if (scan->dead_known && known->n_bulk == 0)
	{
		int64		first = lower_bound(known->dead, known->n_dead, unit->first);

		scan->tombstones = known->dead + first;
		scan->n_tombstones = lower_bound(scan->tombstones, known->n_dead - first, unit->last + 1);
		return;
	}
	else if (scan->dead_known)
		lh_summary_dead(known, unit->first, unit->last, dead);
	else if (scan->with_delta)
		scan_tombstones(scan, unit, dead);
	scan->tombstones = dead->ids;
	scan->n_tombstones = dead->n;
}

static void
bury_row(LhRowScan *scan, LhBatch *batch, int row)
{
	if (batch->live == NULL)
	{
		if (scan->live == NULL)
			scan->live = MemoryContextAlloc(scan->cxt, LH_BATCH_ROWS);
		memset(scan->live, 1, batch->n_rows);
		batch->live = scan->live;
	}
	scan->live[row] = 0;
}

/* Marks dead rows of the batch; returns how many are left. */
static int
bury_batch(LhRowScan *scan, LhBatch *batch)
{
	bool		consecutive = scan->reader_file->n_first_row_ids > 0;
	uint64		first;
	int			dead = 0;
	int			i = 0;

	batch->live = NULL;
	if (scan->n_tombstones == 0)
		return batch->n_rows;
	first = lh_file_reader_row_id(batch->reader, 0);
	for (int64 t = lower_bound(scan->tombstones, scan->n_tombstones, first); t < scan->n_tombstones; t++)
	{
		uint64		row_id = scan->tombstones[t];

		if (consecutive)
			i = (int) Min(row_id - first, (uint64) batch->n_rows);
		else
			while (i < batch->n_rows && lh_file_reader_row_id(batch->reader, i) < row_id)
				i++;
		if (i == batch->n_rows)
			break;
		if (!consecutive && lh_file_reader_row_id(batch->reader, i) != row_id)
			continue;
		bury_row(scan, batch, i);
		dead++;
	}
	return batch->n_rows - dead;
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

/* Where ids are consecutive, rows beside the range are not even decoded. */
static void
limit_group(LhRowScan *scan, const ScanUnit *unit, int64 rows)
{
	scan->group_start = 0;
	scan->group_end = rows;
	if (unit->file->n_first_row_ids == 0)
		return;
	if (scan->range.first > unit->first)
		scan->group_start = (int64) Min(scan->range.first - unit->first, (uint64) rows);
	if (scan->range.last - unit->first < (uint64) rows)
		scan->group_end = (int64) (scan->range.last - unit->first) + 1;
}

/* Opens units[unit] at its beginning, or at its end when going backward. */
static void
open_unit(LhRowScan *scan, TupleDesc desc, bool forward)
{
	ScanUnit   *unit = &scan->units[scan->unit];
	MemoryContext old = MemoryContextSwitchTo(scan->cxt);

	summarize_delta(scan);
	if (unit->file == NULL)
	{
		if (!scan->dead_known || (unit->first <= scan->known.rows.last && scan->known.rows.first <= unit->last))
			scan->delta = lh_delta_scan_begin(scan->rel, scan->snapshot, unit->first, unit->last, scan->want_dead);
	}
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
		load_tombstones(scan, unit);
		limit_group(scan, unit, lh_file_reader_group_rows(reader));
		scan->batch_rows = 0;
		scan->batch_start = forward ? scan->group_start : scan->group_end;
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
		scan->batch_rows = (int) Min(LH_BATCH_ROWS, scan->group_end - scan->batch_start);
	}
	else
	{
		scan->batch_rows = (int) Min(LH_BATCH_ROWS, scan->batch_start - scan->group_start);
		scan->batch_start -= scan->batch_rows;
	}
	if (scan->batch_rows <= 0)
	{
		scan->batch_rows = 0;
		return false;
	}
	if (forward && scan->batch_start > scan->group_start && scan->ahead_unit < 0 &&
		scan->hints != NULL && scan->shared == NULL)
		look_ahead(scan, desc);
	lh_file_reader_batch(scan->reader, scan->batch_start, scan->batch_rows);
	return true;
}

static void
take_delta_row(LhRowScan *scan, const LhDeltaRow *row, LhBatch *batch)
{
	static const uint8 dead[1] = {0};

	batch->reader = NULL;
	batch->n_rows = 1;
	batch->n_live = row->dead ? 0 : 1;
	batch->live = row->dead ? dead : NULL;
	batch->row_id = row->row_id;
	batch->tuple = row->tuple;
	batch->xmin = row->xmin;
	batch->cmin = row->cmin;
}

bool
lh_row_scan_batch(LhRowScan *scan, TupleDesc desc, ScanDirection direction, LhBatch *batch)
{
	bool		forward = !ScanDirectionIsBackward(direction);

	if (!scan->prepared)
		prepare_units(scan);
	/* core begins a TID range anew when it turns round at its end */
	if (!scan->begun && !forward)
		scan->unit = scan->n_units;
	scan->begun = true;
	for (;;)
	{
		if (!scan->unit_open && !next_unit(scan, desc, forward))
			return false;
		if (scan->units[scan->unit].file == NULL)
		{
			const LhDeltaRow *row = scan->delta == NULL ? NULL :
				lh_delta_scan_next(scan->delta, forward ? ForwardScanDirection : BackwardScanDirection);

			if (row != NULL)
			{
				take_delta_row(scan, row, batch);
				return true;
			}
		}
		else if (next_in_group(scan, desc, forward))
		{
			batch->reader = scan->reader;
			batch->n_rows = scan->batch_rows;
			batch->n_live = bury_batch(scan, batch);
			if (batch->n_live > 0 || scan->want_dead)
				return true;
			continue;
		}
		close_unit(scan);
	}
}

/* Row ids of a column have gaps: some of its rows may lie beside the range. */
static bool
in_range(const LhRowScan *scan)
{
	uint64		row_id;

	if (scan->batch.reader == NULL || scan->reader_file->n_first_row_ids > 0 ||
		(scan->range.first == 0 && scan->range.last == LH_MAX_ROW_ID))
		return true;
	row_id = lh_file_reader_row_id(scan->batch.reader, scan->row);
	return row_id >= scan->range.first && row_id <= scan->range.last;
}

bool
lh_row_scan_next(LhRowScan *scan, TupleDesc desc, ScanDirection direction, LhRow *row)
{
	bool		forward = !ScanDirectionIsBackward(direction);

	do
	{
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
		row->dead = scan->batch.live != NULL && !scan->batch.live[scan->row];
	} while ((row->dead && !scan->want_dead) || !in_range(scan));
	row->reader = scan->batch.reader;
	row->row = scan->row;
	if (row->reader != NULL)
	{
		row->row_id = lh_file_reader_row_id(row->reader, row->row);
	}
	else
	{
		row->row_id = scan->batch.row_id;
		row->tuple = scan->batch.tuple;
		row->xmin = scan->batch.xmin;
		row->cmin = scan->batch.cmin;
	}
	return true;
}

void
lh_row_scan_rescan(LhRowScan *scan)
{
	close_unit(scan);
	drop_ahead(scan);
	scan->unit = -1;
	scan->begun = false;
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
	LhFileTotals totals;

	lh_metapage_check_snapshot(rel, snapshot);
	lh_file_totals(lh_storage_id(rel), snapshot, &totals);
	return totals.rows + lh_delta_count(rel, snapshot);
}
