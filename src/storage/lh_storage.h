/*
 * lh_storage.h
 *	  Rows of a lakehouse table: the delta for small writes, Parquet files for
 *	  big ones, and one scan over both.
 */
#ifndef LH_STORAGE_H
#define LH_STORAGE_H

#include "postgres.h"

#include "access/sdir.h"
#include "access/tableam.h"
#include "access/tupdesc.h"
#include "executor/tuptable.h"
#include "port/atomics.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

#include "catalog/lh_catalog.h"

/* ---- delta (delta.c, delta_scan.c): rows of small statements, in the table's TOAST relation ---- */

/*
 * Rows that a row came from by updates, as far as somebody may still hold a
 * lock on them.  Who locks or changes the row asks for their locks, too.
 */
typedef struct LhLineage
{
	uint32		n;
	uint64	   *ancestors;
} LhLineage;

/* A row of the delta; lies in memory of its scan until the next call. */
typedef struct LhDeltaRow
{
	uint64		row_id;
	MinimalTuple tuple;			/* with the attributes the table had when it was written */
	TransactionId xmin;
	CommandId	cmin;			/* raw */
	bool		dead;			/* the snapshot sees its tombstone */
	LhLineage	lineage;
} LhDeltaRow;

typedef struct LhDeltaScan LhDeltaScan;

/* False when the table has no delta: everything is written to files then. */
extern bool lh_delta_exists(Relation rel);
extern bool lh_delta_is_empty(Relation rel);

/* token != 0: speculatively.  lineage may be NULL. */
extern void lh_delta_insert(Relation rel, uint64 row_id, TupleTableSlot *slot, const LhLineage *lineage,
							CommandId cid, uint32 token);
extern void lh_delta_complete_speculative(Relation rel, uint64 row_id, bool succeeded);

/* Scans rows by row id, from `first` to `last`; dead ones only if with_dead. */
extern LhDeltaScan *lh_delta_scan_begin(Relation rel, Snapshot snapshot, uint64 first, uint64 last, bool with_dead);

/* The same, cheaper, for who ends it before he returns to the executor. */
extern LhDeltaScan *lh_delta_scan_begin_brief(Relation rel, Snapshot snapshot, uint64 first, uint64 last,
											  bool with_dead);
extern void lh_delta_scan_range(LhDeltaScan *scan, uint64 first, uint64 last);	/* begins anew */
extern const LhDeltaRow *lh_delta_scan_next(LhDeltaScan *scan, ScanDirection direction);

/* Has it passed any tombstone, be it of a row that is elsewhere? */
extern bool lh_delta_scan_saw_tombstone(const LhDeltaScan *scan);

/* The row last returned, and its tombstone if it is dead.  For the publisher. */
extern void lh_delta_scan_delete(LhDeltaScan *scan);
extern void lh_delta_scan_end(LhDeltaScan *scan);

/*
 * The number of rows in the delta that snapshot sees, less the number of rows
 * with a tombstone, wherever they are.
 */
extern int64 lh_delta_count(Relation rel, Snapshot snapshot);

/* ---- marks of rows (mark.c): tombstones and row locks ---- */

typedef enum LhTombstoneKind
{
	LH_TOMB_DELETED = 1,
	LH_TOMB_UPDATED,			/* no key column changed: lets KEY SHARE locks pass */
	LH_TOMB_UPDATED_KEY,
	LH_TOMB_MOVED				/* to another partition */
} LhTombstoneKind;

/* Some rows of a block of consecutive row ids, which are deleted together (bulk.c). */
#define LH_BULK_ROWS	1024

typedef struct LhBulk
{
	uint64		first;			/* row id of bit 0; a multiple of LH_BULK_ROWS */
	uint64		bits[LH_BULK_ROWS / 64];
} LhBulk;

#define LH_BULK_FIRST(row_id)	((row_id) - (row_id) % LH_BULK_ROWS)

static inline bool
lh_bulk_has(const LhBulk *bulk, uint64 row_id)
{
	return (bulk->bits[row_id % LH_BULK_ROWS / 64] >> (row_id % 64)) & 1;
}

static inline void
lh_bulk_set(LhBulk *bulk, uint64 row_id)
{
	bulk->bits[row_id % LH_BULK_ROWS / 64] |= UINT64CONST(1) << (row_id % 64);
}

static inline void
lh_bulk_clear(LhBulk *bulk, uint64 row_id)
{
	bulk->bits[row_id % LH_BULK_ROWS / 64] &= ~(UINT64CONST(1) << (row_id % 64));
}

extern int	lh_bulk_count(const LhBulk *bulk);

/* Moves *row_id on to the first row in it that is not below; false if there is none. */
extern bool lh_bulk_next(const LhBulk *bulk, uint64 *row_id);

/* Does the snapshot see that a row was deleted together with others? */
extern bool lh_bulk_hides(Relation rel, uint64 row_id, Snapshot snapshot);

/*
 * Dead rows that a snapshot sees, by tombstones and by entries for many, from
 * `first` to `last` in the order of row ids, wherever the rows are.  For every
 * snapshot, a row that is still counted in the delta or in a file, yet dead,
 * has exactly one mark.
 */
typedef struct LhTombstoneScan LhTombstoneScan;

extern LhTombstoneScan *lh_tombstone_scan_begin(Relation rel, Snapshot snapshot, uint64 first, uint64 last);
extern bool lh_tombstone_scan_next(LhTombstoneScan *scan, uint64 *row_id);

/* The mark of the row last returned; takes effect with _end at the latest.  For the publisher. */
extern void lh_tombstone_scan_delete(LhTombstoneScan *scan);
extern void lh_tombstone_scan_end(LhTombstoneScan *scan);

/* From one row id to another; none if first > last. */
typedef struct LhRowRange
{
	uint64		first;
	uint64		last;
} LhRowRange;

/* What a snapshot sees of a delta in all (tombstone_cache.c). */
typedef struct LhDeltaSummary
{
	LhRowRange	rows;			/* the delta has no others, dead ones included */
	int64		n_dead;
	uint64	   *dead;			/* row ids with tombstones, ascending; palloc'd */
	int64		n_bulk;
	LhBulk	   *bulk;			/* and these, by their first row ids; palloc'd */
} LhDeltaSummary;

/* Row ids in ascending order. */
typedef struct LhRowIdArray
{
	int64		n;
	int64		max;
	uint64	   *ids;			/* NULL, or in a context where it grows */
} LhRowIdArray;

extern void lh_row_id_array_add(LhRowIdArray *rows, uint64 row_id);

/* Dead rows from `first` to `last`; `rows` is emptied before. */
extern void lh_summary_dead(const LhDeltaSummary *summary, uint64 first, uint64 last, LhRowIdArray *rows);
/* All of them. */
extern void lh_summary_add_dead(const LhDeltaSummary *summary, LhRowSet *rows);

/* False: not for such a delta, or transaction.  !thoroughly: only where it is cheap. */
extern bool lh_delta_summarize(Relation rel, Snapshot snapshot, bool thoroughly, LhDeltaSummary *summary);

typedef enum LhWho
{
	LH_WHO_NOBODY,				/* or one that has aborted */
	LH_WHO_SELF,
	LH_WHO_OTHER,				/* still running, or prepared */
	LH_WHO_COMMITTED
} LhWho;

/* Everything the delta knows of a row right now, whatever a snapshot sees. */
typedef struct LhRowMarks
{
	LhWho		inserter;		/* of the row's entry in the delta; LH_WHO_NOBODY: no such entry, */
	bool		insert_aborted; /* or there is, but it does not count */
	TransactionId insert_xid;
	CommandId	insert_cid;		/* if LH_WHO_SELF */
	uint32		speculative_token;
	bool		in_delta;		/* the publisher has not moved it away, */
	TransactionId mover_xid;	/* or it did, as this */
	LhLineage	lineage;
	bool		lineage_asked;	/* only ancestors that are locked are left in it */

	LhWho		deleter;		/* LH_WHO_NOBODY: no tombstone */
	TransactionId delete_xid;
	CommandId	delete_cid;		/* if LH_WHO_SELF */
	LhTombstoneKind kind;
	uint64		successor;

	ItemPointerData lock_tid;	/* invalid: nobody has ever locked it */
} LhRowMarks;

typedef struct LhMarks LhMarks;

/* `mode` is AccessShareLock for looking only, else RowExclusiveLock.  Lineages last until _end. */
extern LhMarks *lh_marks_begin(Relation rel, LOCKMODE mode);
extern void lh_marks_look(LhMarks *marks, uint64 row_id, LhRowMarks *m);
extern MemoryContext lh_marks_context(LhMarks *marks);	/* that goes with _end */
extern void lh_marks_end(LhMarks *marks);

/*
 * Locks a row, as table_tuple_lock() does without following updates.  Other
 * results than TM_Ok and TM_WouldBlock fill `failure` (but traversed), TM_Invisible does not.
 */
extern TM_Result lh_row_lock(LhMarks *marks, uint64 row_id, CommandId cid, LockTupleMode mode,
							 LockWaitPolicy policy, LhRowMarks *m, TM_FailureData *failure);

/*
 * Waits until nobody else is changing or locking the row in a way that
 * conflicts with `mode`.  After TM_Ok nobody can do so until _end_change; that
 * must come soon, and lh_row_bury() before it.
 */
extern TM_Result lh_row_begin_change(LhMarks *marks, uint64 row_id, CommandId cid, LockTupleMode mode,
									 bool wait, LhRowMarks *m, TM_FailureData *failure);
extern void lh_row_bury(LhMarks *marks, uint64 row_id, LhTombstoneKind kind, uint64 successor, CommandId cid);
extern void lh_row_end_change(LhMarks *marks, uint64 row_id);

/*
 * Locks the row, waiting for it, for who will update it next and at once: as
 * lh_row_lock() does, or by beginning that change.  _take_held: it has begun,
 * with this mode; goes on as after lh_row_begin_change().
 */
extern TM_Result lh_row_hold(LhMarks *marks, uint64 row_id, CommandId cid, LockTupleMode mode,
							 LhRowMarks *m, TM_FailureData *failure);
extern bool lh_row_take_held(LhMarks *marks, uint64 row_id, LockTupleMode *mode, LhRowMarks *m);
extern void lh_marks_forget(void);	/* a (sub)transaction has ended, its locks are gone */

/*
 * Deletes rows of a block at once, except those that must be deleted one by
 * one, if there are `least` or more.  Leaves in *rows what it has deleted.  If
 * it comes upon rows that may have to wait for another transaction, it puts
 * these into *waits, and does nothing.
 */
extern void lh_rows_bury(LhMarks *marks, LhBulk *rows, LhBulk *waits, CommandId cid, int least);

/* Has this transaction locked the row that m describes FOR UPDATE? */
extern bool lh_row_held_for_update(LhMarks *marks, const LhRowMarks *m);

/* Has this transaction, perhaps among others, a lock on the row that m describes? */
extern bool lh_row_locked_by_self(LhMarks *marks, const LhRowMarks *m);

/* Ancestors of the row that supersedes this one, which m describes. */
extern void lh_lineage_of_successor(LhMarks *marks, uint64 row_id, const LhRowMarks *m, LhLineage *lineage);

/* A row leaves the delta: keeps what of its lineage still matters.  For the publisher. */
extern void lh_lineage_keep(LhMarks *marks, uint64 row_id, const LhLineage *lineage);

/* ---- rows that a statement is about to delete (bulk_delete.c) ---- */

extern int	lh_bulk_delete_rows;

typedef struct LhRowAhead
{
	Oid			relid;
	uint64		row_id;
} LhRowAhead;

/*
 * The statement with this command id will delete these rows one by one, and
 * all of them, before anybody else than the executor has his say.  They are
 * forgotten when `cxt` is reset; the array is sorted.
 */
extern void lh_bulk_announce(MemoryContext cxt, CommandId cid, LhRowAhead *rows, int n);

/* The first deletion of such a row; false: it must be deleted as any other. */
extern bool lh_bulk_delete_row(Relation rel, uint64 row_id, CommandId cid);

extern void lh_gate_init(void);

/* ---- which rows this transaction has locked (own_lock.c) ---- */

/* True: we hold FOR KEY SHARE or more on the row, and have not buried it since. */
extern bool lh_own_lock_known(int64 storage_id, uint64 row_id);
extern void lh_own_lock_add(int64 storage_id, uint64 row_id);
extern void lh_own_lock_remove(int64 storage_id, uint64 row_id);

/* Of a subtransaction that aborts, and later ones; InvalidSubTransactionId: the transaction ends. */
extern void lh_own_lock_forget(SubTransactionId subid);

/* ---- what the row looked at last consists of (row_memory.c) ---- */

struct LhRow;

/* Of this transaction: forget it at the end.  What _find returns is valid until the next _put. */
extern void lh_row_memory_put(int64 storage_id, uint64 row_id, const char *tuple, Size len,
							  TransactionId xmin, CommandId cmin);
extern const struct LhRow *lh_row_memory_find(int64 storage_id, uint64 row_id);
extern void lh_row_memory_forget(void);

/* ---- rows that this session knows to be dead (dead_rows.c) ---- */

/* Deleted, or superseded, by a transaction that has committed; InvalidTransactionId: dead to everybody. */
extern void lh_dead_row_note(Relation rel, uint64 row_id, TransactionId xid);
extern void lh_dead_row_note_own(int64 storage_id, uint64 row_id, FullTransactionId xid);	/* by this one */

/* Does the snapshot not see the row because of that?  False: ask the row's marks. */
extern bool lh_dead_row_known(Relation rel, uint64 row_id, Snapshot snapshot, bool *all_dead);

/* Of a transaction, or if !committed, of a subtransaction. */
extern void lh_dead_rows_end(bool committed);

/* ---- what this transaction has buried itself (own_dead.c) ---- */

extern void lh_own_dead_add(Relation rel, uint64 row_id, CommandId cid);
extern void lh_own_dead_add_bulk(Relation rel, const LhBulk *bulk, CommandId cid);

/* Does the snapshot not see the row because of that?  False: ask the row's marks. */
extern bool lh_own_dead_to(Relation rel, uint64 row_id, Snapshot snapshot);

/* At the end of a transaction, and when a subtransaction rolls back. */
extern void lh_own_dead_forget(bool transaction_ends);

/* ---- sets of row ids (row_ids.c), and those somebody may see (row_survey.c) ---- */

typedef struct LhRowIds LhRowIds;

extern LhRowIds *lh_row_ids_create(void);

/*
 * A set that takes about max_bytes at most, of row ids from `first` on.  It
 * may end before the last there is: it knows nothing of those after _last.
 */
extern LhRowIds *lh_row_ids_create_bounded(uint64 first, Size max_bytes);
extern uint64 lh_row_ids_last(const LhRowIds *ids);
extern void lh_row_ids_free(LhRowIds *ids);
extern void lh_row_ids_add(LhRowIds *ids, uint64 first, uint64 last);
extern void lh_row_ids_remove(LhRowIds *ids, uint64 row_id);	/* whenever it is added */
extern void lh_row_ids_sort(LhRowIds *ids);	/* before asking */
extern bool lh_row_ids_contain(const LhRowIds *ids, uint64 row_id);
extern bool lh_row_ids_removed(const LhRowIds *ids, uint64 row_id);

/* Moves *row_id on to the first id of the set that is not below it; false at the end. */
extern bool lh_row_ids_next(const LhRowIds *ids, uint64 *row_id);

/* Nobody will ever see the row: not `needed` by the survey, and not one that may yet appear. */
extern bool lh_row_ids_gone(const LhRowIds *needed, uint64 settled, uint64 row_id);

/* Adds row ids that a snapshot not older than `horizon` may see, and sorts. */
extern void lh_survey_rows(Relation rel, Snapshot snapshot, TransactionId horizon, LhRowIds *ids);

/* Deletes lock tuples of rows that have gone, and lineages without a locked ancestor.  For VACUUM. */
extern void lh_marks_sweep(Relation rel, const LhRowIds *needed, uint64 settled);

/* ---- one Parquet file being written (file_writer.c) ---- */

typedef struct LhFileWriter LhFileWriter;

/* Lives in a child of CurrentMemoryContext; an error drops the unfinished file with it. */
extern LhFileWriter *lh_file_writer_begin(Relation rel, TupleDesc desc, const LhOptions *options,
										  const pg_uuid_t *table_uuid, int64 storage_id,
										  bool explicit_row_ids);
extern void lh_file_writer_put(LhFileWriter *writer, const Datum *values, const bool *isnull, uint64 row_id,
							   TransactionId xmin);

/* Has the file its target size?  Cheap: looks at it now and then only. */
extern bool lh_file_writer_is_full(const LhFileWriter *writer);

/* Makes the file durable and returns its catalog row, not yet inserted. */
extern LhFile *lh_file_writer_finish(LhFileWriter *writer);
extern void lh_file_writer_abandon(LhFileWriter *writer);

/* ---- one Parquet file being read (file_reader.c) ---- */

#define LH_BATCH_ROWS	1024

typedef struct LhFileReader LhFileReader;

/*
 * Reads rows of `file` as rows of `desc` (kept by reference).  First select a
 * row group, then a batch in it; then fetch columns as they are needed.
 */
extern LhFileReader *lh_file_reader_open(const LhFile *file, TupleDesc desc);
extern const LhPqFileMeta *lh_file_reader_meta(const LhFileReader *reader);
extern const LhFile *lh_file_reader_file(const LhFileReader *reader);
extern int64 lh_file_reader_bytes(const LhFileReader *reader);	/* asked of the store so far */
extern void lh_file_reader_group(LhFileReader *reader, int row_group);
extern int64 lh_file_reader_group_rows(const LhFileReader *reader);

/* Rows [start, start + n) of the row group, n <= LH_BATCH_ROWS. Ends the batch before. */
extern void lh_file_reader_batch(LhFileReader *reader, int64 start, int n);

/* For who wants single rows: makes a batch that has this one, and returns where. */
extern int	lh_file_reader_row(LhFileReader *reader, int row_group, int64 place);
extern bool lh_file_reader_stands_on(const LhFileReader *reader, int row_group, int64 place);	/* the batch has it */

/*
 * Values of a column for the whole batch: arrays of the batch's length, valid
 * until the next batch, as by-reference data is.
 */
extern void lh_file_reader_column(LhFileReader *reader, int attnum, Datum **values, bool **isnull);

/*
 * Only rows i with selected[i] != 0 of the batch will be looked at: others
 * need not be decoded.  Before the batch's columns are asked for; `selected`
 * is used until the next batch.
 */
extern void lh_file_reader_select(LhFileReader *reader, const uint8 *selected);
extern uint64 lh_file_reader_row_id(LhFileReader *reader, int row);

/* Who inserted a row of the batch; FrozenTransactionId: the file, an old one, does not tell. */
extern TransactionId lh_file_reader_xmin(LhFileReader *reader, int row);

/*
 * The leaf of a flat column, NULL when the column is none or not in the file;
 * and its batch as the file has it.  The vector is only for flat columns, and
 * only where the row group is exact: where the file's values are the column's.
 */
extern const LhPqNode *lh_file_reader_leaf(LhFileReader *reader, int attnum);
extern bool lh_file_reader_group_is_exact(const LhFileReader *reader);
extern const LhPqVector *lh_file_reader_vector(LhFileReader *reader, int attnum);

/*
 * Starts fetching columns (and row ids, if they are in a column) of a row
 * group, all together, so that reading need not wait.  Besides the selected
 * row group one other is kept.
 */
extern void lh_file_reader_prefetch(LhFileReader *reader, int row_group,
									const AttrNumber *columns, int n_columns, bool row_ids);

/*
 * A reader of which few rows are looked at: reads pages, by the page index.
 * `kept` is a copy of `file` that lives as long as the reader does.
 */
extern LhFileReader *lh_file_reader_open_sparse(const LhFile *file, const LhFile *kept, TupleDesc desc);

/* Where a row is, in a file with a _row_id column; ends the batch.  For sparse readers. */
extern bool lh_file_reader_find(LhFileReader *reader, uint64 row_id, int *row_group, int64 *place);
extern void lh_file_reader_close(LhFileReader *reader);

/*
 * Sparse readers that stay open between statements (reader_cache.c).  To be
 * returned in the same transaction; after an error, the end of the
 * transaction drops those that were not.
 */
extern LhFileReader *lh_reader_borrow(const LhFile *file, TupleDesc desc);
extern void lh_reader_return(LhFileReader *reader);

/* One that has this row, be it lent or not; to be used at once, for this row.  NULL: none. */
extern LhFileReader *lh_reader_standing_on(const LhFile *file, TupleDesc desc, int row_group, int64 place);
extern void lh_reader_forget_lent(void);

/* ---- scan over files and delta (row_scan.c) ---- */

/* Shared between the processes of a parallel scan; zero to start. */
typedef struct LhRowScanShared
{
	pg_atomic_uint32 next_unit;
} LhRowScanShared;

typedef struct LhRowScan LhRowScan;

/* What a caller knows beforehand. */
typedef struct LhScanHints
{
	int			n_columns;		/* columns it will ask for */
	AttrNumber *columns;
	bool		row_ids;		/* and row ids */

	/* May it want rows of this row group?  NULL: of all. */
	bool		(*group_wanted) (void *arg, const LhPqFileMeta *meta, int row_group);
	void	   *arg;
} LhScanHints;

/* What a scan did so far, in this process. */
typedef struct LhScanCounters
{
	int64		groups;			/* row groups looked at */
	int64		groups_skipped; /* of them not wanted */
	int64		bytes;			/* asked of the store */
} LhScanCounters;

/* Rows that a scan gives together. */
typedef struct LhBatch
{
	int			n_rows;
	int			n_live;			/* > 0 */
	const uint8 *live;			/* [n_rows], 0: the row is dead; NULL: all live */
	LhFileReader *reader;		/* with this batch; NULL: one row of the delta */
	uint64		row_id;
	MinimalTuple tuple;
	TransactionId xmin;			/* of the delta's row */
	CommandId	cmin;
} LhBatch;

/*
 * The row that a scan stands on: either row `row` of reader's batch, or a
 * tuple of the delta.
 */
typedef struct LhRow
{
	uint64		row_id;
	LhFileReader *reader;		/* NULL: from the delta */
	int			row;
	MinimalTuple tuple;
	bool		dead;			/* only where dead rows are asked for */
	TransactionId xmin;			/* of the delta's row */
	CommandId	cmin;			/* raw */
} LhRow;

/*
 * Scans what `snapshot` sees of rel, as near to the order of row ids as its
 * files allow.  The snapshot must stay registered.
 */
extern LhRowScan *lh_row_scan_begin(Relation rel, Snapshot snapshot, LhRowScanShared *shared);

/* Scans these files instead, less the rows with these ids (time travel). */
extern LhRowScan *lh_row_scan_begin_files(Relation rel, List *files, const LhRowSet *dead);

/* Before the first row: dead rows come too, marked, by lh_row_scan_next(). */
extern void lh_row_scan_want_dead(LhRowScan *scan);

/* Begins anew, with row ids from `first` to `last` only.  For scans by rows. */
extern void lh_row_scan_set_range(LhRowScan *scan, uint64 first, uint64 last);

/* Before the first row; `hints` is used until the end. */
extern void lh_row_scan_set_hints(LhRowScan *scan, const LhScanHints *hints);
extern const LhScanCounters *lh_row_scan_counters(LhRowScan *scan);

/*
 * By batches or by rows, not both in one scan.  `desc` is the descriptor that
 * rows are read as; the same in each call.
 */
extern bool lh_row_scan_batch(LhRowScan *scan, TupleDesc desc, ScanDirection direction, LhBatch *batch);
extern bool lh_row_scan_next(LhRowScan *scan, TupleDesc desc, ScanDirection direction, LhRow *row);
extern void lh_row_scan_rescan(LhRowScan *scan);
extern void lh_row_scan_end(LhRowScan *scan);

/*
 * One row by its id, if the snapshot sees it.  The row is valid until the next
 * call or the end.  SnapshotAny finds any row that was ever inserted, dead or
 * not.
 */
typedef struct LhRowFetch LhRowFetch;

extern LhRowFetch *lh_row_fetch_begin(Relation rel);
extern LhRowFetch *lh_row_fetch_begin_brief(Relation rel);	/* ended before the caller returns */
extern bool lh_row_fetch(LhRowFetch *fetch, uint64 row_id, TupleDesc desc, Snapshot snapshot, LhRow *row);
extern void lh_row_fetch_end(LhRowFetch *fetch);

/*
 * Can no snapshot, not even an older one, see the row?  Asked for rows that a
 * snapshot has not found; false is always a right answer.
 */
extern bool lh_row_is_dead_to_all(Relation rel, uint64 row_id);

/* The same as far as the row's marks tell: false for rows that are nowhere. */
extern bool lh_marks_dead_to_all(const LhRowMarks *m, struct GlobalVisState *vistest);

/*
 * Is the row there, for a snapshot that is no MVCC snapshot?  With
 * SnapshotDirty it fills in who must be waited for.  If not, *all_dead, which
 * may be NULL, says whether it is for nobody.  Reads no object but _row_id
 * pages, and takes no lock that the inserting statement does not hold already
 * (lh_file_hold()): unique checks call it with an index page locked.
 */
extern bool lh_row_is_live(Relation rel, uint64 row_id, Snapshot snapshot, bool *all_dead);

/* ---- the slot of scans (row_slot.c): decodes columns when somebody looks at them ---- */

extern void lh_slot_ops_init(void);
extern const TupleTableSlotOps *lh_slot_callbacks(Relation rel);
extern bool lh_slot_is_ours(TupleTableSlot *slot);
extern void lh_slot_store(TupleTableSlot *slot, const LhRow *row, Oid relid);

/*
 * Nobody will look at other columns than wanted[attnum - 1]: they need not be
 * decoded, and are null.  `wanted` is kept by reference.
 */
extern void lh_slot_want(TupleTableSlot *slot, const bool *wanted);

/* A row that is there, to be read when somebody looks at a column.  rel must stay open. */
extern void lh_slot_store_unread(TupleTableSlot *slot, Relation rel, ItemPointer tid);

/* Who locks a row into this slot, updates it next and at once. */
extern void lh_slot_expect_update(TupleTableSlot *slot);
extern bool lh_slot_update_follows(TupleTableSlot *slot);

/* xmin and raw cmin of the row that was stored; or the row of a reader's batch that it is. */
extern void lh_slot_set_origin(TupleTableSlot *slot, TransactionId xmin, CommandId cmin);
extern void lh_slot_set_place(TupleTableSlot *slot, LhFileReader *reader, int row);

/* What `SELECT xmin` shows. */
extern TransactionId lh_slot_xmin(TupleTableSlot *slot);

/* System columns of a row that this transaction has just written. */
extern void lh_slot_set_inserted(TupleTableSlot *slot, CommandId cid);
extern void lh_slot_set_xmax(TupleTableSlot *slot, TransactionId xmax);

/*
 * Time travel: a sampling method whose NextSampleBlock is this function keeps
 * an LhVersionSample in tsm_state, and the scan reads those files instead of
 * sampling.
 */
typedef struct LhVersionSample
{
	List	   *files;			/* LhFile; NIL: an empty version */
	LhRowSet	dead;			/* rows of them that are deleted */
} LhVersionSample;

struct SampleScanState;
extern BlockNumber lh_version_sample_block(struct SampleScanState *node, BlockNumber n_blocks);

/* Exact number of rows that snapshot sees, from the catalog and the delta's index. */
extern int64 lh_row_count(Relation rel, Snapshot snapshot);

/* ---- writing rows by statement (statement.c) ---- */

/*
 * Inserts the slot's row as command cid and sets its tts_tid.  `bulk` says
 * that the statement is known to be a big one.
 */
extern void lh_statement_insert(Relation rel, TupleTableSlot *slot, CommandId cid, bool bulk);

/* The same into a file, as a row that another transaction has inserted. */
extern void lh_statement_copy(Relation rel, TupleTableSlot *slot, TransactionId xmin, CommandId cid);

/*
 * What a row of this statement will need that may have to wait: before the
 * critical section of the row that it supersedes.
 */
extern void lh_statement_prepare(Relation rel, CommandId cid);

/* The same into the delta, as what supersedes another row, or speculatively. */
extern uint64 lh_statement_insert_delta(Relation rel, TupleTableSlot *slot, const LhLineage *lineage,
										CommandId cid, uint32 token);

/* Ends the files of statements on rel / of statements deeper than depth / of all. */
extern void lh_statement_end(Relation rel);
extern void lh_statement_end_deeper(int depth);
extern void lh_statement_end_all(void);

/* Ends open files that hold rows visible to snapshot, before it is used to read rel. */
extern void lh_statement_sync(Relation rel, Snapshot snapshot);

/* A table being rewritten is written through a transient relation: same uuid. */
extern void lh_adopt_identity(Relation rel);
extern void lh_statement_set_depth(int depth);

/* Or is the executor to stop after some rows that it returns?  _set returns what was before. */
extern bool lh_statement_runs_to_end(void);
extern bool lh_statement_set_runs_to_end(bool to_end);
extern int	lh_statement_depth(void);

/*
 * Deltas that stay open for the statements running (delta_cache.c): closes
 * those of deeper nesting / all that nobody is using / forgets those of the
 * subtransaction that aborts, and later ones.
 */
extern void lh_deltas_close(int depth);
extern void lh_deltas_close_idle(void);
extern void lh_deltas_forget(SubTransactionId subid);

extern void lh_statement_forget(void);	/* at the end of a transaction */
extern void lh_statement_subxact_end(SubTransactionId subid, SubTransactionId parent, bool commit);

/* ---- which file holds a row (file_cache.c) ---- */

extern LhFile *lh_file_copy(const LhFile *file);	/* without the footer */

typedef struct LhCachedFile LhCachedFile;

/* NULL: not known, ask lh_file_find() and _put the answer.  What was found must be released. */
extern LhCachedFile *lh_file_cache_find(Relation rel, int64 storage_id, uint64 row_id, Snapshot snapshot,
										LhFileHolds holds, void *arg);
extern const LhFile *lh_cached_file(const LhCachedFile *entry);
extern void lh_file_cache_release(LhCachedFile *entry);

/* `change`: what lh_metapage_change() said before the catalog was asked. */
extern void lh_file_cache_put(const LhFile *file, Snapshot snapshot, uint64 change);
extern void lh_file_cache_end(bool transaction);	/* or, if false, of a subtransaction that aborts */

/* ---- places of rows, and position delete files (locate.c, delete_file.c) ---- */

/* Rows of one data file by their places: counted from its beginning, over all row groups. */
typedef struct LhDeadRows
{
	int64		file_id;		/* of the data file */
	LhFile	   *file;			/* NULL when read from a delete file */
	char	   *path;			/* its URI, as in its manifest entry */
	int64		n;
	int64	   *places;			/* ascending, each once */
	uint64	   *row_ids;		/* of the same rows: ascending, too */
} LhDeadRows;

extern char *lh_file_uri(const LhFile *file);

/*
 * Places (LhDeadRows) of rows with these ids (ascending) in `files`; found[i]
 * says whether row i is in one of them.
 */
extern List *lh_locate_rows(Relation rel, List *files, const uint64 *row_ids, int64 n, bool *found);

/*
 * Makes a delete file durable and returns its catalog row, not yet inserted.
 * A data file may occur more than once in `dead` (LhDeadRows).
 */
extern LhDeleteFile *lh_delete_file_write(Relation rel, const LhIdentity *identity, List *dead);
extern List *lh_delete_file_read(const LhDeleteFile *file);

/* ---- what this transaction changed, for the publisher (dirty.c) ---- */

extern void lh_dirty_add(Oid relid);
extern bool lh_dirty_any(void);
extern List *lh_dirty_relations(void);	/* OIDs, in the transaction's memory */
extern void lh_dirty_file_written(void);	/* a data or delete file */
extern void lh_dirty_subxact_aborted(void);
extern bool lh_dirty_files_lost(bool committed);	/* may there be files without a catalog row? */
extern void lh_dirty_forget(void);

#endif							/* LH_STORAGE_H */
