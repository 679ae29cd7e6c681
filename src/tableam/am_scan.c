/*
 * am_scan.c
 *	  Sequential, parallel, TID range, sampling and ANALYZE scans.
 */
#include "postgres.h"

#include "access/relscan.h"
#include "access/tsmapi.h"
#include "access/xact.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "nodes/tidbitmap.h"
#include "pgstat.h"
#include "storage/predicate.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "tableam/lh_tableam_int.h"

/* Rows that TABLESAMPLE takes for one block: a run in scan order. */
#define SAMPLE_BLOCK_ROWS	LH_ROWS_PER_BLOCK

/* ANALYZE looks at no more than about this many rows. */
#define ANALYZE_ROWS		300000

typedef struct LhScanDescData
{
	TableScanDescData base;
	MemoryContext cxt;
	LhRowScan  *rows;			/* NULL until the first row is asked for, when sampling */

	bool		tid_range_empty;

	/* TABLESAMPLE */
	TupleDesc	version_desc;	/* time travel: what rows are read as */
	int64		sample_rows;	/* in the table, -1 unknown */
	int64		sample_pos;		/* rows passed */
	BlockNumber sample_block;	/* InvalidBlockNumber before the first */
	OffsetNumber sample_max;	/* rows in it */
	OffsetNumber sample_offset; /* passed in it */

	/* bitmap scan */
	LhRowFetch *fetch;			/* NULL before the first block */
	BlockNumber bitmap_block;
	int			n_bitmap_rows;	/* of the block */
	int			bitmap_row;		/* passed of them */
	OffsetNumber bitmap_offsets[LH_ROWS_PER_BLOCK];

	/* ANALYZE */
	int64		analyze_rows;	/* live, -1 before the first */
	double		analyze_fraction;	/* of batches that are looked at */
} LhScanDescData;

typedef LhScanDescData *LhScanDesc;

typedef struct LhParallelScanDescData
{
	ParallelTableScanDescData base;
	LhRowScanShared shared;
} LhParallelScanDescData;

static void
begin_rows(LhScanDesc scan)
{
	MemoryContext old = MemoryContextSwitchTo(scan->cxt);
	LhParallelScanDescData *pscan = (LhParallelScanDescData *) scan->base.rs_parallel;

	scan->rows = lh_row_scan_begin(scan->base.rs_rd, scan->base.rs_snapshot,
								   pscan != NULL ? &pscan->shared : NULL);
	MemoryContextSwitchTo(old);
}

TableScanDesc
lh_scan_begin(Relation rel, Snapshot snapshot, int nkeys, struct ScanKeyData *key,
			  ParallelTableScanDesc pscan, uint32 flags)
{
	LhScanDesc	scan = palloc0(sizeof(LhScanDescData));

	lh_require_preload(rel);
	RelationIncrementReferenceCount(rel);
	if (snapshot == SnapshotAny)
	{
		/* files are listed as somebody sees them: as they are now */
		snapshot = RegisterSnapshot(GetLatestSnapshot());
		flags |= SO_TEMP_SNAPSHOT;
	}
	scan->base.rs_rd = rel;
	scan->base.rs_snapshot = snapshot;
	scan->base.rs_nkeys = nkeys;
	scan->base.rs_flags = flags;
	scan->base.rs_parallel = pscan;
	scan->cxt = AllocSetContextCreate(CurrentMemoryContext, "lakehouse table scan", ALLOCSET_SMALL_SIZES);
	scan->sample_rows = scan->analyze_rows = -1;
	scan->sample_block = InvalidBlockNumber;

	lh_statement_sync(rel, snapshot);
	if (flags & (SO_TYPE_SEQSCAN | SO_TYPE_SAMPLESCAN | SO_TYPE_TIDRANGESCAN))
		PredicateLockRelation(rel, snapshot);

	/*
	 * The files are listed now, not with the first row: a cursor shows what
	 * was there when it was opened.  Only a time-travel scan does not know
	 * yet what it will read.
	 */
	if (flags & SO_TYPE_SEQSCAN)
		pgstat_count_heap_scan(rel);
	if (flags & (SO_TYPE_SEQSCAN | SO_TYPE_TIDRANGESCAN))
		begin_rows(scan);
	return (TableScanDesc) scan;
}

void
lh_scan_end(TableScanDesc sscan)
{
	LhScanDesc	scan = (LhScanDesc) sscan;

	if (scan->rows != NULL)
		lh_row_scan_end(scan->rows);
	if (scan->fetch != NULL)
		lh_row_fetch_end(scan->fetch);
	RelationDecrementReferenceCount(sscan->rs_rd);
	if (sscan->rs_flags & SO_TEMP_SNAPSHOT)
		UnregisterSnapshot(sscan->rs_snapshot);
	MemoryContextDelete(scan->cxt);
	pfree(scan);
}

void
lh_scan_rescan(TableScanDesc sscan, struct ScanKeyData *key, bool set_params,
			   bool allow_strat, bool allow_sync, bool allow_pagemode)
{
	LhScanDesc	scan = (LhScanDesc) sscan;

	scan->n_bitmap_rows = 0;
	if (sscan->rs_flags & SO_TYPE_SAMPLESCAN)
	{
		/* parameters, and with them the version, may have changed */
		if (scan->rows != NULL)
			lh_row_scan_end(scan->rows);
		scan->rows = NULL;
		scan->sample_rows = -1;
		scan->sample_pos = 0;
		scan->sample_block = InvalidBlockNumber;
	}
	else if (scan->rows != NULL)
		lh_row_scan_rescan(scan->rows);
	if (sscan->rs_flags & SO_TYPE_SEQSCAN)
		pgstat_count_heap_scan(sscan->rs_rd);
}

static bool
next_row(LhScanDesc scan, ScanDirection direction, TupleTableSlot *slot, LhRow *row)
{
	/* the slot may point into the batch that is about to go */
	ExecClearTuple(slot);
	if (scan->rows == NULL)
		begin_rows(scan);
	if (!lh_row_scan_next(scan->rows, scan->version_desc != NULL ? scan->version_desc : slot->tts_tupleDescriptor,
						  direction, row))
		return false;
	lh_slot_store(slot, row, RelationGetRelid(scan->base.rs_rd));
	pgstat_count_heap_getnext(scan->base.rs_rd);
	return true;
}

bool
lh_scan_getnextslot(TableScanDesc sscan, ScanDirection direction, TupleTableSlot *slot)
{
	LhRow		row;

	return next_row((LhScanDesc) sscan, direction, slot, &row);
}

/* ---- TID range scan ---- */

/* Offsets that no row has are allowed: 0, and those beyond a block's rows. */
void
lh_scan_set_tidrange(TableScanDesc sscan, ItemPointer mintid, ItemPointer maxtid)
{
	LhScanDesc	scan = (LhScanDesc) sscan;
	uint64		first = (uint64) ItemPointerGetBlockNumberNoCheck(mintid) * LH_ROWS_PER_BLOCK;
	uint64		end = (uint64) ItemPointerGetBlockNumberNoCheck(maxtid) * LH_ROWS_PER_BLOCK;
	OffsetNumber min_offset = ItemPointerGetOffsetNumberNoCheck(mintid);

	if (min_offset > FirstOffsetNumber)
		first += Min(min_offset - FirstOffsetNumber, LH_ROWS_PER_BLOCK);
	end += Min(ItemPointerGetOffsetNumberNoCheck(maxtid), LH_ROWS_PER_BLOCK);
	scan->tid_range_empty = first >= end;
	if (!scan->tid_range_empty)
		lh_row_scan_set_range(scan->rows, first, Min(end - 1, LH_MAX_ROW_ID));
}

bool
lh_scan_getnextslot_tidrange(TableScanDesc sscan, ScanDirection direction, TupleTableSlot *slot)
{
	LhRow		row;

	if (((LhScanDesc) sscan)->tid_range_empty)
	{
		ExecClearTuple(slot);
		return false;
	}
	return next_row((LhScanDesc) sscan, direction, slot, &row);
}

void
lh_scan_want_dead(TableScanDesc sscan)
{
	LhScanDesc	scan = (LhScanDesc) sscan;

	if (scan->rows == NULL)
		begin_rows(scan);
	lh_row_scan_want_dead(scan->rows);
}

bool
lh_scan_next_row(TableScanDesc sscan, TupleTableSlot *slot, LhRow *row)
{
	return next_row((LhScanDesc) sscan, ForwardScanDirection, slot, row);
}

/* ---- parallel scan ---- */

Size
lh_parallelscan_estimate(Relation rel)
{
	return sizeof(LhParallelScanDescData);
}

Size
lh_parallelscan_initialize(Relation rel, ParallelTableScanDesc pscan)
{
	LhParallelScanDescData *lscan = (LhParallelScanDescData *) pscan;

	lh_parallel_scan_of(&lscan->base, rel);
	lscan->base.phs_syncscan = false;
	pg_atomic_init_u32(&lscan->shared.next_unit, 0);
	return sizeof(LhParallelScanDescData);
}

void
lh_parallelscan_reinitialize(Relation rel, ParallelTableScanDesc pscan)
{
	pg_atomic_write_u32(&((LhParallelScanDescData *) pscan)->shared.next_unit, 0);
}

/* ---- bitmap scan ---- */

/*
 * A block is LH_ROWS_PER_BLOCK row ids.  Without exact offsets each of them is
 * tried; the quals are rechecked then.
 */
static bool
begin_bitmap_block(LhScanDesc scan, TBMIterateResult *page)
{
	scan->bitmap_block = page->blockno;
	scan->bitmap_row = 0;
	scan->n_bitmap_rows = lh_bitmap_offsets(page, scan->bitmap_offsets);
	if (scan->n_bitmap_rows < 0)
	{
		scan->n_bitmap_rows = LH_ROWS_PER_BLOCK;
		for (int i = 0; i < LH_ROWS_PER_BLOCK; i++)
			scan->bitmap_offsets[i] = (OffsetNumber) (i + 1);
	}
	return scan->n_bitmap_rows > 0;
}

/* The next row of the block, if there is one. */
static bool
next_of_bitmap_block(LhScanDesc scan, TupleTableSlot *slot)
{
	Relation	rel = scan->base.rs_rd;
	Snapshot	snapshot = scan->base.rs_snapshot;

	ExecClearTuple(slot);
	if (scan->fetch == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(scan->cxt);

		scan->fetch = lh_row_fetch_begin(rel);
		MemoryContextSwitchTo(old);
	}
	while (scan->bitmap_row < scan->n_bitmap_rows)
	{
		ItemPointerData tid;
		LhRow		row;

		CHECK_FOR_INTERRUPTS();
		ItemPointerSet(&tid, scan->bitmap_block, scan->bitmap_offsets[scan->bitmap_row++]);
		PredicateLockTID(rel, &tid, snapshot, InvalidTransactionId);
		if (!lh_row_fetch(scan->fetch, lh_tid_to_row_id(&tid), slot->tts_tupleDescriptor, snapshot, &row))
			continue;
		lh_slot_store(slot, &row, RelationGetRelid(rel));
		pgstat_count_heap_fetch(rel);
		return true;
	}
	return false;
}

#if LH_AM_READS_BITMAP
bool
lh_scan_bitmap_next_tuple(TableScanDesc sscan, TupleTableSlot *slot, bool *recheck,
						  uint64 *lossy_pages, uint64 *exact_pages)
{
	LhScanDesc	scan = (LhScanDesc) sscan;
	TBMIterateResult page;

	while (!next_of_bitmap_block(scan, slot))
	{
		if (!tbm_iterate(&sscan->st.rs_tbmiterator, &page))
			return false;
		begin_bitmap_block(scan, &page);
		*recheck = page.recheck;
		++*(page.lossy ? lossy_pages : exact_pages);
	}
	return true;
}
#else
bool
lh_scan_bitmap_next_block(TableScanDesc sscan, TBMIterateResult *page)
{
	return begin_bitmap_block((LhScanDesc) sscan, page);
}

bool
lh_scan_bitmap_next_tuple(TableScanDesc sscan, TBMIterateResult *page, TupleTableSlot *slot)
{
	return next_of_bitmap_block((LhScanDesc) sscan, slot);
}
#endif

/* ---- TABLESAMPLE ---- */

static bool
is_version_scan(struct SampleScanState *state)
{
	return state->tsmroutine->NextSampleBlock == lh_version_sample_block;
}

static void
begin_version(LhScanDesc scan, struct SampleScanState *state)
{
	MemoryContext old = MemoryContextSwitchTo(scan->cxt);
	LhVersionSample *sample = state->tsm_state;

	scan->rows = lh_row_scan_begin_files(scan->base.rs_rd, sample->files, &sample->dead);

	/*
	 * A copy has no defaults for columns that a file does not have.  A version
	 * that had them has them in its files, for other readers' sake; in an older
	 * one they are null.
	 */
	scan->version_desc = CreateTupleDescCopy(RelationGetDescr(scan->base.rs_rd));
	MemoryContextSwitchTo(old);
}

/* Moves the scan on to row number `pos`. */
static void
skip_to(LhScanDesc scan, TupleDesc desc, int64 pos)
{
	LhRow		row;

	if (pos < scan->sample_pos)
	{
		lh_row_scan_rescan(scan->rows);
		scan->sample_pos = 0;
	}
	while (scan->sample_pos < pos && lh_row_scan_next(scan->rows, desc, ForwardScanDirection, &row))
		scan->sample_pos++;
}

bool
lh_scan_sample_next_block(TableScanDesc sscan, struct SampleScanState *state)
{
	LhScanDesc	scan = (LhScanDesc) sscan;
	TsmRoutine *tsm = state->tsmroutine;
	BlockNumber n_blocks;
	int64		first;

	if (is_version_scan(state))
	{
		/* one block: the version */
		if (scan->rows != NULL)
			return false;
		begin_version(scan, state);
		return true;
	}
	if (scan->rows == NULL)
		begin_rows(scan);
	if (scan->sample_rows < 0)
		scan->sample_rows = lh_row_count(sscan->rs_rd, sscan->rs_snapshot);
	n_blocks = (BlockNumber) ((scan->sample_rows + SAMPLE_BLOCK_ROWS - 1) / SAMPLE_BLOCK_ROWS);
	if (n_blocks == 0)
		return false;
	if (tsm->NextSampleBlock != NULL)
		scan->sample_block = tsm->NextSampleBlock(state, n_blocks);
	else if (scan->sample_block == InvalidBlockNumber)
		scan->sample_block = 0;
	else
		scan->sample_block++;
	if (scan->sample_block == InvalidBlockNumber || scan->sample_block >= n_blocks)
		return false;
	first = (int64) scan->sample_block * SAMPLE_BLOCK_ROWS;
	scan->sample_max = (OffsetNumber) Min(SAMPLE_BLOCK_ROWS, scan->sample_rows - first);
	scan->sample_offset = 0;
	skip_to(scan, RelationGetDescr(sscan->rs_rd), first);
	return true;
}

bool
lh_scan_sample_next_tuple(TableScanDesc sscan, struct SampleScanState *state, TupleTableSlot *slot)
{
	LhScanDesc	scan = (LhScanDesc) sscan;
	OffsetNumber offset;
	LhRow		row;

	if (is_version_scan(state))
		return lh_scan_getnextslot(sscan, ForwardScanDirection, slot);

	ExecClearTuple(slot);
	offset = state->tsmroutine->NextSampleTuple(state, scan->sample_block, scan->sample_max);
	if (!OffsetNumberIsValid(offset))
		return false;
	skip_to(scan, slot->tts_tupleDescriptor,
			(int64) scan->sample_block * SAMPLE_BLOCK_ROWS + offset - 1);
	if (!lh_row_scan_next(scan->rows, slot->tts_tupleDescriptor, ForwardScanDirection, &row))
		return false;
	scan->sample_pos++;
	lh_slot_store(slot, &row, RelationGetRelid(sscan->rs_rd));
	return true;
}

/* ---- ANALYZE ---- */

/*
 * Core samples blocks of the main fork, which has one; the whole sample is
 * returned for it.
 */
bool
lh_scan_analyze_next_block(LH_ANALYZE_PARAMS)
{
	LhScanDesc	scan = (LhScanDesc) sscan;

	if (scan->rows == NULL)
	{
		/* the scan of ANALYZE has no snapshot */
		MemoryContext old = MemoryContextSwitchTo(scan->cxt);

		sscan->rs_snapshot = RegisterSnapshot(GetLatestSnapshot());
		sscan->rs_flags |= SO_TEMP_SNAPSHOT;
		MemoryContextSwitchTo(old);
		scan->analyze_rows = lh_row_count(sscan->rs_rd, sscan->rs_snapshot);
		scan->analyze_fraction = Min(1.0, (double) ANALYZE_ROWS / Max(scan->analyze_rows, 1));
		begin_rows(scan);
		scan->sample_offset = 0;
	}
	return lh_analyze_has_block();
}

bool
lh_scan_analyze_next_tuple(TableScanDesc sscan, TransactionId oldest_xmin,
						   double *liverows, double *deadrows, TupleTableSlot *slot)
{
	LhScanDesc	scan = (LhScanDesc) sscan;
	LhRow		row;

	ExecClearTuple(slot);
	for (;;)
	{
		if (!lh_row_scan_next(scan->rows, slot->tts_tupleDescriptor, ForwardScanDirection, &row))
		{
			/* the exact number, once, whatever was looked at */
			if (scan->analyze_rows >= 0)
			{
				*liverows += (double) scan->analyze_rows;
				lh_delta_counted(sscan->rs_rd);
			}
			scan->analyze_rows = -1;
			return false;
		}

		/* decide by runs of rows, as a decoded batch costs the same for one row */
		if (scan->sample_pos % LH_BATCH_ROWS == 0)
			scan->sample_offset = pg_prng_double(&pg_global_prng_state) < scan->analyze_fraction;
		scan->sample_pos++;
		if (scan->sample_offset)
			break;
	}
	lh_slot_store(slot, &row, RelationGetRelid(sscan->rs_rd));
	return true;
}
