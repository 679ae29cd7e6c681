/*
 * mark.c
 *	  Marks of rows: tombstones (deleted, or superseded by a newer row) and row
 *	  locks.  They stand in the delta (delta_int.h), wherever the row itself is.
 *
 * A tombstone is a positive fact: an entry inserted by the deleting
 * transaction.  It counts as soon as it is there, and no longer when that
 * transaction has aborted.  The publisher may delete it once the row is gone
 * from every place it counted in; who still needs it, because his snapshot is
 * older, finds the dead entry.
 *
 * A row lock is held in the xmax of a tuple that stands for the row: inserted
 * frozen, so that everybody sees it at once and whatever becomes of the
 * transaction that needed it first.  heap_lock_tuple() on it gives the four
 * modes, multixacts, savepoints and prepared transactions.
 *
 * Nobody may see the marks of a row, judge them and leave his own, while
 * another does so: that is a critical section, under a heavyweight lock made
 * from the row's TID, and never held while waiting.  Many rows of a block are
 * buried by one entry (bulk.c) while the block's gate is shut (gate.c), which
 * all critical sections of its rows pass.
 *
 * An update moves no locks: the newer row names its ancestors, and who locks
 * or deletes it asks their lock tuples as well.
 */
#include "postgres.h"

#include "access/multixact.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "storage/procarray.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "storage/delta_int.h"

/* ---- critical sections ---- */

/*
 * The row's TID in the delta's space of tuple locks, beyond all offsets there:
 * heap_lock_tuple() takes those of the delta's own tuples, and waits with them.
 */
static void
set_critical_tag(LOCKTAG *tag, Relation rel, uint64 row_id)
{
	ItemPointerData tid;

	lh_row_id_to_tid(row_id, &tid);
	SET_LOCKTAG_TUPLE(*tag, rel->rd_lockInfo.lockRelId.dbId, rel->rd_rel->reltoastrelid,
					  ItemPointerGetBlockNumber(&tid),
					  MaxOffsetNumber + ItemPointerGetOffsetNumber(&tid));
}

static void
enter_critical(Relation rel, uint64 row_id)
{
	LOCKTAG		tag;

	set_critical_tag(&tag, rel, row_id);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
	gate_pass(rel, row_id);
}

static void
leave_critical(Relation rel, uint64 row_id)
{
	LOCKTAG		tag;

	gate_leave(rel, row_id);
	set_critical_tag(&tag, rel, row_id);
	(void) LockRelease(&tag, ExclusiveLock, false);
}

/* ---- looking ---- */

struct LhMarks
{
	MemoryContext cxt;			/* of these, and of lineages looked up */
	Relation	rel;
	int64		storage_id;
	Delta		delta;
	DeltaIndex	index;
	bool		has_index;		/* it has begun: somebody has looked */
	LOCKMODE	mode;
};

LhMarks *
lh_marks_begin(Relation rel, LOCKMODE mode)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "lakehouse marks", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	LhMarks    *marks = palloc(sizeof(LhMarks));

	marks->cxt = cxt;
	marks->rel = rel;
	marks->storage_id = lh_storage_id(rel);
	marks->mode = mode;
	marks->has_index = false;
	delta_borrow(rel, mode, &marks->delta);
	MemoryContextSwitchTo(old);
	return marks;
}

MemoryContext
lh_marks_context(LhMarks *marks)
{
	return marks->cxt;
}

void
lh_marks_end(LhMarks *marks)
{
	if (marks->has_index)
		delta_index_end(&marks->index);
	delta_close(&marks->delta, marks->mode == AccessShareLock ? marks->mode : NoLock);
	MemoryContextDelete(marks->cxt);
}

static DeltaIndex *
index_of(LhMarks *marks)
{
	if (!marks->has_index)
	{
		MemoryContext old = MemoryContextSwitchTo(marks->cxt);

		delta_index_begin(&marks->index, &marks->delta, SnapshotAny);
		marks->has_index = true;
		MemoryContextSwitchTo(old);
	}
	return &marks->index;
}

static LhWho
who_of(XminState state)
{
	return state == XMIN_OWN ? LH_WHO_SELF : state == XMIN_RUNNING ? LH_WHO_OTHER :
		state == XMIN_COMMITTED ? LH_WHO_COMMITTED : LH_WHO_NOBODY;
}

/*
 * Only the publisher deletes rows of the delta: when they are in a file, or
 * gone for good.  InvalidTransactionId: it has not.
 */
static TransactionId
mover_of(HeapTuple tuple)
{
	HeapTupleHeader header = tuple->t_data;
	TransactionId xmax = HeapTupleHeaderGetRawXmax(header);

	if ((header->t_infomask & HEAP_XMAX_INVALID) || HEAP_XMAX_IS_LOCKED_ONLY(header->t_infomask))
		return InvalidTransactionId;
	if ((header->t_infomask & HEAP_XMAX_COMMITTED) ||
		(!TransactionIdIsInProgress(xmax) && TransactionIdDidCommit(xmax)))
		return xmax;
	return InvalidTransactionId;
}

/* VACUUM deletes, or has deleted, this lock tuple: nobody held a lock in it, and the row is dead. */
static bool
is_swept(HeapTuple tuple)
{
	HeapTupleHeader header = tuple->t_data;
	TransactionId xmax = HeapTupleHeaderGetRawXmax(header);

	if ((header->t_infomask & HEAP_XMAX_INVALID) || HEAP_XMAX_IS_LOCKED_ONLY(header->t_infomask))
		return false;
	return (header->t_infomask & HEAP_XMAX_COMMITTED) ||
		TransactionIdIsInProgress(xmax) || TransactionIdDidCommit(xmax);
}

/* `data` need not be aligned. */
static void
take_lineage(LhMarks *marks, LhRowMarks *m, const char *data, uint32 n)
{
	m->lineage.n = n;
	m->lineage.ancestors = NULL;
	if (n > 0)
		m->lineage.ancestors = memcpy(MemoryContextAlloc(marks->cxt, sizeof(uint64) * n), data, sizeof(uint64) * n);
}

static void
take_first_chunk(LhMarks *marks, uint64 row_id, HeapTuple tuple, XminState state, LhRowMarks *m)
{
	bytea	   *data = delta_data(marks->delta.toast, tuple);
	Size		len = VARSIZE_ANY_EXHDR(data);
	Size		prefix;
	DeltaRowDisk header;

	m->inserter = who_of(state);
	m->insert_xid = HeapTupleHeaderGetRawXmin(tuple->t_data);
	m->insert_cid = state == XMIN_OWN ? HeapTupleHeaderGetCmin(tuple->t_data) : InvalidCommandId;
	m->mover_xid = mover_of(tuple);
	m->in_delta = !TransactionIdIsValid(m->mover_xid);
	if (HeapTupleHeaderIsSpeculative(tuple->t_data))
		m->speculative_token = HeapTupleHeaderGetSpeculativeToken(tuple->t_data);
	memcpy(&header, VARDATA_ANY(data), sizeof(header));
	/* the first chunk has room for more ancestors than anybody has */
	prefix = sizeof(header) + sizeof(uint64) * (Size) header.n_ancestors;
	if (len < prefix)
		return;
	take_lineage(marks, m, VARDATA_ANY(data) + sizeof(header), header.n_ancestors);
	if (len == header.bytes)
		lh_row_memory_put(marks->storage_id, row_id, VARDATA_ANY(data) + prefix, len - prefix,
						  HeapTupleHeaderGetRawXmin(tuple->t_data), HeapTupleHeaderGetRawCommandId(tuple->t_data));
}

static void
take_deleter(LhRowMarks *m, HeapTuple tuple, XminState state, const LhTombstoneDisk *disk)
{
	m->deleter = who_of(state);
	m->delete_xid = HeapTupleHeaderGetXmin(tuple->t_data);
	m->delete_cid = state == XMIN_OWN ? HeapTupleHeaderGetCmin(tuple->t_data) : InvalidCommandId;
	m->successor = disk->successor;
	m->kind = disk->kind;
}

/*
 * Entries for many that bury the row.  The publisher, when he drops some of
 * the rows, writes the others anew; then the old entry, whoever deletes it,
 * tells who has buried the row.
 */
static void
look_at_bulk(LhMarks *marks, uint64 row_id, LhRowMarks *m)
{
	static const LhTombstoneDisk deleted = {0, LH_TOMB_DELETED, 0};
	HeapTuple	tuple;

	bulk_index_range(index_of(marks), row_id);
	while ((tuple = delta_index_next(&marks->index, ForwardScanDirection)) != NULL)
	{
		LhBulk		bulk;
		XminState	state;

		if (!is_bulk_key(delta_key(marks->delta.toast, tuple)))
			continue;
		bulk_read(marks->delta.toast, tuple, &bulk);
		if (bulk.first != LH_BULK_FIRST(row_id) || !lh_bulk_has(&bulk, row_id))
			continue;
		state = delta_xmin_state(tuple);
		if (state != XMIN_ABORTED && m->deleter != LH_WHO_COMMITTED)
			take_deleter(m, tuple, state, &deleted);
	}
}

/*
 * The last look.  All changes of the delta are logged: as long as nobody has
 * begun a record of WAL since before the look, another one would see the same
 * entries.  It is only remembered if they cannot come to mean something else
 * by the end of a transaction.
 */
static struct
{
	int64		storage_id;		/* 0: none */
	uint64		row_id;
	XLogRecPtr	before;			/* where WAL ended */
	LhRowMarks	m;
}			last_look;

/* InvalidXLogRecPtr: WAL does not tell whether the delta has changed. */
static XLogRecPtr
end_of_wal(const LhMarks *marks)
{
	return RelationNeedsWAL(marks->delta.toast) && !RecoveryInProgress() ?
		GetXLogInsertRecPtr() : InvalidXLogRecPtr;
}

static bool
is_settled(const LhRowMarks *m)
{
	return m->inserter != LH_WHO_OTHER && m->deleter == LH_WHO_NOBODY && m->lineage.n == 0;
}

/* Has the entry no xmax that might yet commit, or abort? */
static bool
is_untouched(HeapTuple tuple)
{
	return (tuple->t_data->t_infomask & HEAP_XMAX_INVALID) || HEAP_XMAX_IS_LOCKED_ONLY(tuple->t_data->t_infomask);
}

void
lh_marks_look(LhMarks *marks, uint64 row_id, LhRowMarks *m)
{
	XLogRecPtr	before = end_of_wal(marks);
	bool		untouched = true;
	HeapTuple	tuple;

	if (last_look.storage_id == marks->storage_id && last_look.row_id == row_id &&
		last_look.before == before && !XLogRecPtrIsInvalid(before))
	{
		*m = last_look.m;
		return;
	}
	last_look.storage_id = 0;	/* an error may come */
	memset(m, 0, sizeof(*m));
	ItemPointerSetInvalid(&m->lock_tid);
	delta_index_range(index_of(marks), ROW_KEY(row_id, 0), ROW_KEY(row_id, KIND_MASK));
	while ((tuple = delta_index_next(&marks->index, ForwardScanDirection)) != NULL)
	{
		uint64		kind = delta_key(marks->delta.toast, tuple) & KIND_MASK;
		XminState	state;

		if (kind > 0 && kind < KIND_LINEAGE)
			continue;
		state = delta_xmin_state(tuple);
		if (state == XMIN_ABORTED)
		{
			m->insert_aborted |= kind == 0;
			continue;
		}
		untouched = untouched && is_untouched(tuple);
		if (kind == 0)
			take_first_chunk(marks, row_id, tuple, state, m);
		else if (kind == KIND_LOCK)
		{
			if (!is_swept(tuple))
				m->lock_tid = tuple->t_self;
		}
		else if (kind == KIND_LINEAGE)
		{
			bytea	   *data = delta_data(marks->delta.toast, tuple);

			take_lineage(marks, m, VARDATA_ANY(data), VARSIZE_ANY_EXHDR(data) / sizeof(uint64));
		}
		else
		{
			LhTombstoneDisk disk;

			memcpy(&disk, VARDATA_ANY(delta_data(marks->delta.toast, tuple)), sizeof(disk));
			take_deleter(m, tuple, state, &disk);
		}
	}
	/* rows of the delta are buried one by one */
	if (m->deleter == LH_WHO_NOBODY && !m->in_delta && row_id < lh_metapage_bulk_end(marks->rel))
		look_at_bulk(marks, row_id, m);
	ExecClearTuple(marks->index.slot);
	if (untouched && is_settled(m))
	{
		last_look.storage_id = marks->storage_id;
		last_look.row_id = row_id;
		last_look.before = before;
		last_look.m = *m;
	}
}

/* ---- row locks ---- */

/* The row's lock tuple, its buffer locked for looking; false if it has none. */
static bool
look_at_lock_tuple(LhMarks *marks, const LhRowMarks *m, HeapTuple tuple, Buffer *buffer)
{
	if (!ItemPointerIsValid(&m->lock_tid))
		return false;
	tuple->t_self = m->lock_tid;
	if (!heap_fetch(marks->delta.toast, SnapshotAny, tuple, buffer, false))
		return false;
	LockBuffer(*buffer, BUFFER_LOCK_SHARE);
	return true;
}

static bool
is_multi_locked(MultiXactId multi)
{
	MultiXactMember *members;
	int			n = GetMultiXactIdMembers(multi, &members, false, true);
	bool		locked = false;

	for (int i = 0; i < n && !locked; i++)
		locked = !TransactionIdIsCurrentTransactionId(members[i].xid) &&
			TransactionIdIsInProgress(members[i].xid);
	if (n > 0)
		pfree(members);
	return locked;
}

/*
 * Does another running transaction hold a lock on the row, as far as its lock
 * tuple says?  Our own locks end with our updates' becoming visible.
 */
static bool
is_locked(LhMarks *marks, const LhRowMarks *m)
{
	HeapTupleData tuple;
	Buffer		buffer;
	TransactionId xmax;
	bool		locked;

	if (!look_at_lock_tuple(marks, m, &tuple, &buffer))
		return false;
	xmax = HeapTupleHeaderGetRawXmax(tuple.t_data);
	/* an xmax that is no lock is that of VACUUM */
	if ((tuple.t_data->t_infomask & HEAP_XMAX_INVALID) ||
		!HEAP_XMAX_IS_LOCKED_ONLY(tuple.t_data->t_infomask))
		locked = false;
	else if (tuple.t_data->t_infomask & HEAP_XMAX_IS_MULTI)
		locked = is_multi_locked(xmax);
	else
		locked = !TransactionIdIsCurrentTransactionId(xmax) && TransactionIdIsInProgress(xmax);
	UnlockReleaseBuffer(buffer);
	return locked;
}

static TM_Result
lock_lock_tuple(LhMarks *marks, ItemPointer tid, CommandId cid, LockTupleMode mode, LockWaitPolicy policy)
{
	HeapTupleData tuple;
	TM_FailureData failure;
	Buffer		buffer;
	TM_Result	result;

	tuple.t_self = *tid;
	result = heap_lock_tuple(marks->delta.toast, &tuple, cid, mode, policy, false, &buffer, &failure);
	ReleaseBuffer(buffer);
	return result;
}

/* The lock tuple of a row that has none yet.  In the critical section of the row. */
static void
make_lock_tuple(LhMarks *marks, uint64 row_id, ItemPointer tid)
{
	delta_put(&marks->delta, ROW_KEY(row_id, KIND_LOCK), NULL, 0,
			  GetCurrentCommandId(true), HEAP_INSERT_FROZEN, 0, tid);
}

/* The strength of an xmax that is one transaction's lock. */
static LockTupleMode
lock_mode_of(HeapTupleHeader header)
{
	if (HEAP_XMAX_IS_KEYSHR_LOCKED(header->t_infomask))
		return LockTupleKeyShare;
	if (HEAP_XMAX_IS_SHR_LOCKED(header->t_infomask))
		return LockTupleShare;
	return header->t_infomask2 & HEAP_KEYS_UPDATED ? LockTupleExclusive : LockTupleNoKeyExclusive;
}

/* Does the lock tuple say that we alone hold this lock, or a stronger one? */
static bool
is_locked_by_us(LhMarks *marks, const LhRowMarks *m, LockTupleMode mode)
{
	HeapTupleData tuple;
	Buffer		buffer;
	uint16		infomask;
	bool		ours;

	if (!look_at_lock_tuple(marks, m, &tuple, &buffer))
		return false;
	infomask = tuple.t_data->t_infomask;
	ours = (infomask & (HEAP_XMAX_INVALID | HEAP_XMAX_IS_MULTI)) == 0 && HEAP_XMAX_IS_LOCKED_ONLY(infomask) &&
		TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetRawXmax(tuple.t_data)) &&
		lock_mode_of(tuple.t_data) >= mode;
	UnlockReleaseBuffer(buffer);
	return ours;
}

/*
 * Locks those ancestors that somebody has locked, and forgets the others:
 * nobody begins to lock an ancestor, so these are done for good.
 */
static TM_Result
lock_ancestors(LhMarks *marks, LhRowMarks *m, CommandId cid, LockTupleMode mode, LockWaitPolicy policy)
{
	TM_Result	result = TM_Ok;
	uint32		n = 0;

	for (uint32 i = 0; i < m->lineage.n; i++)
	{
		LhRowMarks	ancestor;

		if (result != TM_WouldBlock)
		{
			lh_marks_look(marks, m->lineage.ancestors[i], &ancestor);
			if (!is_locked(marks, &ancestor))
				continue;
			/* another result: it has been free in between, and VACUUM has swept it away */
			result = lock_lock_tuple(marks, &ancestor.lock_tid, cid, mode, policy);
		}
		m->lineage.ancestors[n++] = m->lineage.ancestors[i];
	}
	m->lineage.n = n;
	m->lineage_asked = result != TM_WouldBlock;
	return result == TM_WouldBlock ? result : TM_Ok;
}

/*
 * Locks the row, or only its ancestors' lock tuples and its own if it has one
 * (!make).  With LockWaitSkip: TM_WouldBlock.  Never waits otherwise, either,
 * when it is called in the critical section.
 */
static TM_Result
lock_all(LhMarks *marks, uint64 row_id, LhRowMarks *m, CommandId cid,
		 LockTupleMode mode, LockWaitPolicy policy, bool make)
{
	/* what was asked then, is still so */
	if (is_locked_by_us(marks, m, mode))
		return TM_Ok;
	if (lock_ancestors(marks, m, cid, mode, policy) == TM_WouldBlock)
		return TM_WouldBlock;
	if (!ItemPointerIsValid(&m->lock_tid))
	{
		if (!make)
			return TM_Ok;
		make_lock_tuple(marks, row_id, &m->lock_tid);
	}
	return lock_lock_tuple(marks, &m->lock_tid, cid, mode, policy);
}

/* A KEY SHARE lock takes no notice of somebody else's update that left the key alone. */
static bool
passes_update(LockTupleMode mode, const LhRowMarks *m)
{
	return mode == LockTupleKeyShare && m->kind == LH_TOMB_UPDATED &&
		(m->deleter == LH_WHO_OTHER || m->deleter == LH_WHO_COMMITTED);
}

/* What an ended or own tombstone means to somebody with this command id. */
static TM_Result
judge_tombstone(const LhRowMarks *m, CommandId cid)
{
	if (m->deleter == LH_WHO_SELF)
		return m->delete_cid >= cid ? TM_SelfModified : TM_Invisible;
	return m->kind == LH_TOMB_DELETED ? TM_Deleted : TM_Updated;
}

static void
fill_failure(uint64 row_id, const LhRowMarks *m, TM_FailureData *failure)
{
	failure->xmax = m->delete_xid;
	failure->cmax = m->deleter == LH_WHO_SELF ? m->delete_cid : InvalidCommandId;
	if (m->kind == LH_TOMB_DELETED)
		lh_row_id_to_tid(row_id, &failure->ctid);
	else if (m->kind == LH_TOMB_MOVED)
		ItemPointerSetMovedPartitions(&failure->ctid);
	else
		lh_row_id_to_tid(m->successor, &failure->ctid);
}

/* Is this xmax, which only locks, ours, alone or among others? */
static bool
is_own_lock(HeapTupleHeader header)
{
	MultiXactMember *members;
	int			n;
	bool		own = false;

	if (header->t_infomask & HEAP_XMAX_INVALID)
		return false;
	if ((header->t_infomask & HEAP_XMAX_IS_MULTI) == 0)
		return TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetRawXmax(header));
	n = GetMultiXactIdMembers(HeapTupleHeaderGetRawXmax(header), &members, false, true);
	for (int i = 0; i < n; i++)
		own = own || TransactionIdIsCurrentTransactionId(members[i].xid);
	if (n > 0)
		pfree(members);
	return own;
}

/* Do we hold a lock in the row's own lock tuple, or (`exclusive`) a FOR UPDATE? */
static bool
holds_lock(LhMarks *marks, const LhRowMarks *m, bool exclusive)
{
	HeapTupleData tuple;
	Buffer		buffer;
	bool		holds;

	if (!look_at_lock_tuple(marks, m, &tuple, &buffer))
		return false;
	holds = (!exclusive || (tuple.t_data->t_infomask2 & HEAP_KEYS_UPDATED)) && is_own_lock(tuple.t_data);
	UnlockReleaseBuffer(buffer);
	return holds;
}

bool
lh_row_held_for_update(LhMarks *marks, const LhRowMarks *m)
{
	return holds_lock(marks, m, true);
}

/* The row, or one that it is a newer version of. */
static bool
holds_any_lock(LhMarks *marks, const LhRowMarks *m)
{
	bool		holds = holds_lock(marks, m, false);

	for (uint32 i = 0; i < m->lineage.n && !holds; i++)
	{
		LhRowMarks	ancestor;

		lh_marks_look(marks, m->lineage.ancestors[i], &ancestor);
		holds = holds_lock(marks, &ancestor, false);
	}
	return holds;
}

/*
 * Waits in the queue that the executor of heap tables would wait in.  As
 * there, who holds a weaker lock on the row passes the queue: its first may
 * have to wait for him.
 */
static bool
wait_for_deleter(LhMarks *marks, uint64 row_id, const LhRowMarks *m, LockWaitPolicy policy,
				 XLTW_Oper oper, bool *have_queue)
{
	Relation	rel = marks->rel;
	ItemPointerData tid;

	lh_row_id_to_tid(row_id, &tid);
	if (policy == LockWaitBlock)
	{
		if (!*have_queue && !holds_any_lock(marks, m))
		{
			LockTuple(rel, &tid, ExclusiveLock);
			*have_queue = true;
		}
		XactLockTableWait(m->delete_xid, rel, &tid, oper);
		return true;
	}
	if (lh_try_wait_for_xact(m->delete_xid))
		return true;
	if (policy == LockWaitError)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("could not obtain lock on row in relation \"%s\"", RelationGetRelationName(rel))));
	return false;
}

static void
leave_queue(Relation rel, uint64 row_id, bool have_queue)
{
	ItemPointerData tid;

	lh_row_id_to_tid(row_id, &tid);
	if (have_queue)
		UnlockTuple(rel, &tid, ExclusiveLock);
}

/*
 * Waits for whoever holds a conflicting lock, outside of the critical section.
 * The lock is ours then, but the row may have been deleted meanwhile.
 */
static TM_Result
wait_for_lockers(LhMarks *marks, uint64 row_id, LhRowMarks *m, CommandId cid,
				 LockTupleMode mode, LockWaitPolicy policy)
{
	if (policy == LockWaitError)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("could not obtain lock on row in relation \"%s\"",
						RelationGetRelationName(marks->rel))));
	return lock_all(marks, row_id, m, cid, mode, policy, false);
}

/*
 * Enters the critical section of a row that nobody else is changing or
 * locking in a way that conflicts with `mode`, waiting for it as `policy`
 * says.  Any other result than TM_Ok comes outside of it.  `lock`: leaves the
 * row locked; else only looks at the locks of others.
 */
static TM_Result
enter_free(LhMarks *marks, uint64 row_id, CommandId cid, LockTupleMode mode, LockWaitPolicy policy,
		   XLTW_Oper oper, bool lock, LhRowMarks *m, TM_FailureData *failure)
{
	Relation	rel = marks->rel;
	bool		have_queue = false;
	TM_Result	result;

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		enter_critical(rel, row_id);
		lh_marks_look(marks, row_id, m);
		if (m->inserter == LH_WHO_SELF && m->insert_cid >= cid)
			result = TM_Invisible;
		else if (passes_update(mode, m))
			result = lock_all(marks, row_id, m, cid, mode, LockWaitSkip, lock);
		else if (m->deleter == LH_WHO_SELF || m->deleter == LH_WHO_COMMITTED)
			result = judge_tombstone(m, cid);
		else if (m->deleter == LH_WHO_OTHER)
			result = TM_BeingModified;
		else
			result = lock_all(marks, row_id, m, cid, mode, LockWaitSkip, lock);
		if (result == TM_Ok)
			break;

		leave_critical(rel, row_id);
		if (result == TM_BeingModified &&
			wait_for_deleter(marks, row_id, m, policy, oper, &have_queue))
			continue;
		if (result == TM_WouldBlock && policy != LockWaitSkip)
		{
			(void) wait_for_lockers(marks, row_id, m, cid, mode, policy);
			continue;
		}
		if (result == TM_BeingModified)
			result = TM_WouldBlock;
		else if (result != TM_WouldBlock && result != TM_Invisible)
			fill_failure(row_id, m, failure);
		break;
	}
	leave_queue(rel, row_id, have_queue);
	return result;
}

static TM_Result
lock_one(LhMarks *marks, uint64 row_id, CommandId cid, LockTupleMode mode,
		 LockWaitPolicy policy, LhRowMarks *m, TM_FailureData *failure)
{
	TM_Result	result = enter_free(marks, row_id, cid, mode, policy, XLTW_Lock, true, m, failure);

	if (result == TM_Ok)
		leave_critical(marks->rel, row_id);
	return result;
}

/*
 * A KEY SHARE lock on a row that has newer versions: it counts for its direct
 * successor, but those after it have not heard of it.  The newest one is
 * locked as well.
 */
static TM_Result
lock_newest(LhMarks *marks, uint64 row_id, const LhRowMarks *m, CommandId cid, LockTupleMode mode,
			LockWaitPolicy policy, TM_FailureData *failure)
{
	uint64		newest = m->successor;
	TM_FailureData newest_failure;
	LhRowMarks	n;
	TM_Result	result;

	for (;;)
	{
		result = lock_one(marks, newest, cid, mode, policy, &n, &newest_failure);
		if (result != TM_Ok || !passes_update(mode, &n))
			break;
		newest = n.successor;
	}
	switch (result)
	{
		case TM_Updated:
		case TM_Deleted:
			fill_failure(row_id, m, failure);
			return result;
		case TM_WouldBlock:
			return result;
		default:
			/* what we have changed ourselves, nobody else will */
			return TM_Ok;
	}
}

TM_Result
lh_row_lock(LhMarks *marks, uint64 row_id, CommandId cid, LockTupleMode mode,
			LockWaitPolicy policy, LhRowMarks *m, TM_FailureData *failure)
{
	TM_Result	result = lock_one(marks, row_id, cid, mode, policy, m, failure);

	if (result == TM_Ok && passes_update(mode, m))
		result = lock_newest(marks, row_id, m, cid, mode, policy, failure);
	return result;
}

/* ---- tombstones ---- */

TM_Result
lh_row_begin_change(LhMarks *marks, uint64 row_id, CommandId cid, LockTupleMode mode, bool wait,
					LhRowMarks *m, TM_FailureData *failure)
{
	TM_Result	result = enter_free(marks, row_id, cid, mode, wait ? LockWaitBlock : LockWaitSkip,
									mode == LockTupleExclusive ? XLTW_Delete : XLTW_Update,
									false, m, failure);

	return result == TM_WouldBlock ? TM_BeingModified : result;
}

void
lh_row_end_change(LhMarks *marks, uint64 row_id)
{
	leave_critical(marks->rel, row_id);
}

/* ---- a lock for the update that follows at once ---- */

/*
 * A lock that is followed by our own update of the row, with nothing between
 * them that could wait for anybody, need not be one: the critical section is
 * not left in between, only the gate.  Who comes along waits for it as he would
 * have for the critical section of the update alone.  An error ends it with
 * the (sub)transaction, as it would end the lock.
 */
static struct
{
	ResourceOwner owner;		/* that the section belongs to; NULL: none */
	int64		storage_id;
	uint64		row_id;
	LockTupleMode mode;
	LhRowMarks	m;				/* which nobody can change */
}			held;

TM_Result
lh_row_hold(LhMarks *marks, uint64 row_id, CommandId cid, LockTupleMode mode,
			LhRowMarks *m, TM_FailureData *failure)
{
	TM_Result	result;

	if (held.owner != NULL)
		return lh_row_lock(marks, row_id, cid, mode, LockWaitBlock, m, failure);
	result = enter_free(marks, row_id, cid, mode, LockWaitBlock, XLTW_Lock, false, m, failure);
	if (result != TM_Ok)
		return result;
	if (m->lineage.n > 0)
	{
		/* it lies in the memory of `marks` */
		leave_critical(marks->rel, row_id);
		return lh_row_lock(marks, row_id, cid, mode, LockWaitBlock, m, failure);
	}
	gate_leave_staying(marks->rel, row_id);
	held.owner = CurrentResourceOwner;
	held.storage_id = marks->storage_id;
	held.row_id = row_id;
	held.mode = mode;
	held.m = *m;
	return TM_Ok;
}

bool
lh_row_take_held(LhMarks *marks, uint64 row_id, LockTupleMode *mode, LhRowMarks *m)
{
	if (held.owner == NULL || held.owner != CurrentResourceOwner ||
		held.row_id != row_id || held.storage_id != marks->storage_id)
		return false;
	gate_return(marks->rel, row_id);
	held.owner = NULL;
	*mode = held.mode;
	*m = held.m;
	return true;
}

void
lh_marks_forget(void)
{
	if (held.owner != NULL)
		gate_forget_stayed();
	held.owner = NULL;
	last_look.storage_id = 0;	/* what we have inserted is not our own any more, or aborted */
}

void
lh_row_bury(LhMarks *marks, uint64 row_id, LhTombstoneKind kind, uint64 successor, CommandId cid)
{
	LhTombstoneDisk disk = {successor, kind, 0};

	delta_put(&marks->delta, ROW_KEY(row_id, KIND_TOMBSTONE), &disk, sizeof(disk), cid, 0, 0, NULL);
	lh_own_dead_add(marks->rel, row_id, cid);
	lh_dead_row_note_own(marks->storage_id, row_id, GetCurrentFullTransactionId());
	lh_own_lock_remove(marks->storage_id, row_id);
}

/* What an entry of the delta means to who wants to delete its row together with others. */
typedef enum InTheWay
{
	NOT_IN_THE_WAY,
	FOR_ONE_BY_ONE,				/* its row is deleted as any other */
	MAY_HAVE_TO_WAIT			/* for who is behind it, and must not have deleted later rows then */
} InTheWay;

static InTheWay
ask_marker(XminState state)
{
	return state == XMIN_ABORTED ? NOT_IN_THE_WAY : state == XMIN_RUNNING ? MAY_HAVE_TO_WAIT : FOR_ONE_BY_ONE;
}

/* Rows that are in the delta for anybody go one by one. */
static InTheWay
ask_first_chunk(LhMarks *marks, HeapTuple tuple)
{
	TransactionId mover = mover_of(tuple);
	DeltaRowDisk header;

	if (TransactionIdIsNormal(mover) && GlobalVisTestIsRemovableXid(GlobalVisTestFor(marks->rel), mover))
		return NOT_IN_THE_WAY;
	memcpy(&header, VARDATA_ANY(delta_data(marks->delta.toast, tuple)), sizeof(header));
	return header.n_ancestors > 0 ? MAY_HAVE_TO_WAIT : FOR_ONE_BY_ONE;
}

static InTheWay
ask_entry(LhMarks *marks, HeapTuple tuple, uint64 kind)
{
	LhRowMarks	m;

	switch (kind)
	{
		case KIND_TOMBSTONE:
			return ask_marker(delta_xmin_state(tuple));
		case KIND_LINEAGE:
			return delta_xmin_state(tuple) == XMIN_ABORTED ? NOT_IN_THE_WAY : MAY_HAVE_TO_WAIT;
		case KIND_LOCK:
			m.lock_tid = tuple->t_self;
			if (is_swept(tuple))
				return NOT_IN_THE_WAY;
			return is_locked(marks, &m) ? MAY_HAVE_TO_WAIT : holds_lock(marks, &m, false) ? FOR_ONE_BY_ONE : NOT_IN_THE_WAY;
		case 0:
			return ask_first_chunk(marks, tuple);
		default:
			return NOT_IN_THE_WAY;	/* what the first chunk says holds for all */
	}
}

static void
move_bits(LhBulk *from, LhBulk *to, const LhBulk *which)
{
	for (int i = 0; i < lengthof(from->bits); i++)
	{
		if (to != NULL)
			to->bits[i] |= from->bits[i] & which->bits[i];
		from->bits[i] &= ~which->bits[i];
	}
}

/* Takes out of `rows` what has to go one by one, and puts those that may have to wait into `waits`. */
static void
leave_free(LhMarks *marks, LhBulk *rows, LhBulk *waits)
{
	uint64		last = rows->first + LH_BULK_ROWS - 1;
	HeapTuple	tuple;

	delta_index_range(index_of(marks), ROW_KEY(rows->first, 0), ROW_KEY(last, KIND_MASK));
	while ((tuple = delta_index_next(&marks->index, ForwardScanDirection)) != NULL)
	{
		uint64		key = delta_key(marks->delta.toast, tuple);
		uint64		row_id = key >> KIND_BITS;
		LhBulk		which = {rows->first};
		InTheWay	answer;

		if (row_id < rows->first || row_id > last)
			continue;
		if (is_bulk_key(key))
		{
			bulk_read(marks->delta.toast, tuple, &which);
			answer = ask_marker(delta_xmin_state(tuple));
		}
		else if (lh_bulk_has(rows, row_id))
		{
			lh_bulk_set(&which, row_id);
			answer = ask_entry(marks, tuple, key & KIND_MASK);
		}
		else
			continue;
		if (answer != NOT_IN_THE_WAY)
			move_bits(rows, answer == MAY_HAVE_TO_WAIT ? waits : NULL, &which);
	}
	ExecClearTuple(marks->index.slot);
}

void
lh_rows_bury(LhMarks *marks, LhBulk *rows, LhBulk *waits, CommandId cid, int least)
{
	LhBulk		left = *rows;

	memset(waits, 0, sizeof(*waits));
	(void) GetCurrentTransactionId();
	gate_shut(marks->rel, rows->first);
	gate_leave_out_stayed(marks->rel, &left, waits);
	leave_free(marks, &left, waits);
	if (lh_bulk_count(waits) == 0)
	{
		if (lh_bulk_count(&left) >= least)
		{
			lh_metapage_note_bulk(marks->rel, rows->first + LH_BULK_ROWS);
			bulk_put(&marks->delta, &left, cid);
			lh_own_dead_add_bulk(marks->rel, &left, cid);
		}
		else
			memset(left.bits, 0, sizeof(left.bits));
		*rows = left;
	}
	gate_leave(marks->rel, rows->first);
}

/* ---- lineage ---- */

bool
lh_row_locked_by_self(LhMarks *marks, const LhRowMarks *m)
{
	HeapTupleData tuple;
	Buffer		buffer;
	bool		locked;

	if (!look_at_lock_tuple(marks, m, &tuple, &buffer))
		return false;
	locked = (tuple.t_data->t_infomask & HEAP_XMAX_INVALID) == 0 &&
		((tuple.t_data->t_infomask & HEAP_XMAX_IS_MULTI) != 0 ||
		 TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetRawXmax(tuple.t_data)));
	UnlockReleaseBuffer(buffer);
	return locked;
}

void
lh_lineage_of_successor(LhMarks *marks, uint64 row_id, const LhRowMarks *m, LhLineage *lineage)
{
	lineage->ancestors = MemoryContextAlloc(marks->cxt, sizeof(uint64) * (m->lineage.n + 1));
	lineage->n = 0;
	for (uint32 i = 0; i < m->lineage.n; i++)
	{
		LhRowMarks	ancestor;

		if (!m->lineage_asked)
			lh_marks_look(marks, m->lineage.ancestors[i], &ancestor);
		if (m->lineage_asked || is_locked(marks, &ancestor))
			lineage->ancestors[lineage->n++] = m->lineage.ancestors[i];
	}
	/* who locks this row from now on, locks the newest one, too: lock_newest() */
	if (is_locked(marks, m))
		lineage->ancestors[lineage->n++] = row_id;
}

void
lh_lineage_keep(LhMarks *marks, uint64 row_id, const LhLineage *lineage)
{
	LhLineage	kept = {0, palloc(sizeof(uint64) * Max(lineage->n, 1))};

	for (uint32 i = 0; i < lineage->n; i++)
	{
		LhRowMarks	ancestor;

		lh_marks_look(marks, lineage->ancestors[i], &ancestor);
		if (is_locked(marks, &ancestor))
			kept.ancestors[kept.n++] = lineage->ancestors[i];
	}
	if (kept.n > 0)
		delta_put(&marks->delta, ROW_KEY(row_id, KIND_LINEAGE), kept.ancestors,
				  sizeof(uint64) * kept.n, GetCurrentCommandId(true), 0, 0, NULL);
	pfree(kept.ancestors);
}

/* ---- upkeep ---- */

/* A lineage is of use as long as one of the ancestors is locked. */
static bool
is_lineage_needed(LhMarks *marks, HeapTuple tuple)
{
	bytea	   *data = delta_data(marks->delta.toast, tuple);
	int			n = VARSIZE_ANY_EXHDR(data) / sizeof(uint64);
	uint64	   *ancestors = palloc(sizeof(uint64) * Max(n, 1));
	bool		needed = false;

	memcpy(ancestors, VARDATA_ANY(data), sizeof(uint64) * n);
	for (int i = 0; i < n && !needed; i++)
	{
		LhRowMarks	m;

		lh_marks_look(marks, ancestors[i], &m);
		needed = is_locked(marks, &m);
	}
	pfree(ancestors);
	return needed;
}

void
lh_marks_sweep(Relation rel, const LhRowIds *needed, uint64 settled)
{
	LhMarks    *marks = lh_marks_begin(rel, RowExclusiveLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = table_beginscan_strat(marks->delta.toast, snapshot, 0, NULL, true, false);
	HeapTuple	tuple;

	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		uint64		key = delta_key(marks->delta.toast, tuple);
		uint64		kind = key & KIND_MASK;

		CHECK_FOR_INTERRUPTS();
		if ((kind == KIND_LOCK && lh_row_ids_gone(needed, settled, key >> KIND_BITS)) ||
			(kind == KIND_LINEAGE && !is_lineage_needed(marks, tuple)))
		{
			/* not while it is locked: a younger row has it for an ancestor */
			TM_FailureData failure;

			(void) heap_delete(marks->delta.toast, &tuple->t_self, GetCurrentCommandId(true),
							   InvalidSnapshot, false, &failure, false);
		}
	}
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	lh_marks_end(marks);
}
