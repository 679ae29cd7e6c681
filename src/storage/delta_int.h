/*
 * delta_int.h
 *	  Keys of the delta: what its files (delta*.c, mark.c) share.
 *
 * The delta is the table's TOAST relation.  A lakehouse table has no use for
 * TOAST proper, since its main fork holds no tuples; what core offers with a
 * TOAST relation is just what a delta needs: an ordinary heap with a unique
 * btree on a 63-bit key, made, swapped, truncated, moved, dropped and vacuumed
 * together with its table, and left out by pg_dump and publications.
 *
 *	  key = row id << 22 | what it is
 *	  chunk_id = key >> 31, chunk_seq = key & 0x7fffffff, chunk_data = bytes
 *
 * Below KIND_BULK "what" is the number of a chunk of the row.  The marks come
 * after all chunks of their row; entries for many deleted rows (bulk.c) stand
 * at the first row of their block.
 */
#ifndef LH_DELTA_INT_H
#define LH_DELTA_INT_H

#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/heaptoast.h"
#include "access/htup_details.h"
#include "executor/tuptable.h"
#include "utils/rel.h"

#include "storage/lh_storage.h"

#define KIND_BITS		22
#define KIND_MASK		((UINT64CONST(1) << KIND_BITS) - 1)
#define SEQ_BITS		31
#define SEQ_MASK		((UINT64CONST(1) << SEQ_BITS) - 1)
#define CHUNK_BYTES		((uint32) TOAST_MAX_CHUNK_SIZE)

#define KIND_TOMBSTONE	KIND_MASK			/* LhTombstoneDisk */
#define KIND_LOCK		(KIND_MASK - 1)		/* no data: its xmax says who locks the row */
#define KIND_LINEAGE	(KIND_MASK - 2)		/* ancestors of a row that is in a file */
#define KIND_BULK		(KIND_MASK - 2047)	/* + number of the first row that it buries: bits of LhBulk */

#define ROW_KEY(row_id, kind)	(((row_id) << KIND_BITS) | (kind))

#define Anum_chunk_id	1
#define Anum_chunk_seq	2
#define Anum_chunk_data 3

/*
 * A row's bytes begin with this, then come the ancestors' row ids, then its
 * MinimalTuple.
 */
typedef struct DeltaRowDisk
{
	uint32		bytes;			/* of it all */
	uint32		n_ancestors;
} DeltaRowDisk;

StaticAssertDecl(sizeof(DeltaRowDisk) == MAXIMUM_ALIGNOF, "the tuple after it must be aligned");

/* offset 0: successor, 8: kind */
typedef struct LhTombstoneDisk
{
	uint64		successor;		/* row id; 0 if none */
	uint32		kind;			/* LhTombstoneKind */
	uint32		unused;
} LhTombstoneDisk;

StaticAssertDecl(sizeof(LhTombstoneDisk) == 16, "tombstones are on disk");

typedef struct OpenDelta OpenDelta;

/* The open delta of a table. */
typedef struct Delta
{
	OpenDelta  *open;			/* it belongs to (delta_cache.c); NULL: to the caller */
	Relation	toast;
	Relation   *indexes;
	int			n_indexes;
	Relation	index;			/* the valid one */
} Delta;

extern void delta_open(Relation rel, LOCKMODE mode, Delta *delta);
extern void delta_close(Delta *delta, LOCKMODE mode);

/*
 * The same for who is done with it, and with all scans of it, before he
 * returns: the delta may stay open until the end of the statement.
 */
extern void delta_borrow(Relation rel, LOCKMODE mode, Delta *delta);

/* Scans of a delta that stays open; _take: false: there is none, make one in _context. */
extern bool delta_cache_take_scan(OpenDelta *open, IndexScanDesc *scan, TupleTableSlot **slot);
extern bool delta_cache_give_scan(OpenDelta *open, IndexScanDesc scan, TupleTableSlot *slot);
extern MemoryContext delta_cache_context(OpenDelta *open);
extern void delta_cache_note_owner(int depth);

/*
 * Entries in the order of their keys, as the snapshot sees them.  What _next
 * returns is valid until it is called again; entries beside the range may come.
 */
typedef struct DeltaIndex
{
	Relation	toast;
	OpenDelta  *open;			/* gets the scan back; NULL: nobody */
	IndexScanDesc scan;
	TupleTableSlot *slot;		/* holds the entry returned last */
	Snapshot	judge;			/* NULL: the scan itself judges */
} DeltaIndex;

extern void delta_index_begin(DeltaIndex *index, const Delta *delta, Snapshot snapshot);
extern void delta_index_range(DeltaIndex *index, uint64 low, uint64 high);
extern HeapTuple delta_index_next(DeltaIndex *index, ScanDirection direction);
extern void delta_index_end(DeltaIndex *index);

/* Inserts an entry; the delta was opened with RowExclusiveLock. */
extern void delta_put(Delta *delta, uint64 key, const void *data, uint32 len,
					  CommandId cid, int options, uint32 token, ItemPointer tid);

extern uint64 delta_key(Relation toast, HeapTuple tuple);
extern bytea *delta_data(Relation toast, HeapTuple tuple);

/* What became of the transaction that inserted an entry. */
typedef enum XminState
{
	XMIN_ABORTED,
	XMIN_OWN,
	XMIN_RUNNING,
	XMIN_COMMITTED
} XminState;

extern XminState delta_xmin_state(HeapTuple tuple);

/* Does the snapshot see the entry that delta_index_next() returned for SnapshotAny? */
extern bool delta_index_judge(DeltaIndex *index, Snapshot snapshot);

/* ---- entries for many deleted rows (bulk.c) ---- */

static inline bool
is_bulk_key(uint64 key)
{
	return (key & KIND_MASK) >= KIND_BULK && (key & KIND_MASK) < KIND_BULK + LH_BULK_ROWS;
}

extern void bulk_read(Relation toast, HeapTuple tuple, LhBulk *bulk);
extern void bulk_put(Delta *delta, const LhBulk *bulk, CommandId cid);

/* The range of keys in which entries that bury the row lie; asks also for others. */
extern void bulk_index_range(DeltaIndex *index, uint64 row_id);

/* ---- gates of blocks of rows (gate.c) ---- */

extern void gate_pass(Relation rel, uint64 row_id);
extern void gate_leave(Relation rel, uint64 row_id);
extern void gate_shut(Relation rel, uint64 row_id);

/* Leaves the gate but stays with the row, in its critical section; _return: is in the gate again. */
extern void gate_leave_staying(Relation rel, uint64 row_id);
extern void gate_return(Relation rel, uint64 row_id);
extern void gate_forget_stayed(void);

/* Puts rows that somebody stays with into `out` instead; in the shut gate. */
extern void gate_leave_out_stayed(Relation rel, LhBulk *rows, LhBulk *out);

#endif							/* LH_DELTA_INT_H */
