/*
 * row_fetch.c
 *	  Single rows by their id: from the delta, or from the file that holds it.
 *
 * A fetch keeps the file it found last open: an index scan tends to come back
 * to it.  It asks the catalog again whenever the row may be elsewhere, or the
 * snapshot is another.
 */
#include "postgres.h"

#include "access/transam.h"
#include "storage/procarray.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "storage/lh_storage.h"

struct LhRowFetch
{
	MemoryContext cxt;
	MemoryContext file_cxt;		/* of the file */
	Relation	rel;
	int64		storage_id;
	bool		has_delta;
	bool		brief;
	LhDeltaScan *delta;			/* holds the last tuple */
	MinimalTuple copy;			/* or this does, from memory; NULL: none */
	Snapshot	delta_snapshot; /* of that scan */
	const LhFile *file;			/* NULL: none */
	LhCachedFile *cached;		/* that file is of; NULL: it is in file_cxt */
	LhFileReader *reader;		/* borrowed; NULL: not read yet */
	Snapshot	file_snapshot;	/* that saw the file */
	CommandId	file_curcid;
};

LhRowFetch *
lh_row_fetch_begin(Relation rel)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "lakehouse fetch", ALLOCSET_SMALL_SIZES);
	LhRowFetch *fetch = MemoryContextAllocZero(cxt, sizeof(LhRowFetch));
	LhIdentity	identity;

	lh_metapage_read(rel, &identity);
	fetch->cxt = cxt;
	fetch->file_cxt = AllocSetContextCreate(cxt, "lakehouse fetched file", ALLOCSET_SMALL_SIZES);
	fetch->rel = rel;
	fetch->storage_id = identity.storage_id;
	fetch->has_delta = lh_delta_exists(rel);
	return fetch;
}

LhRowFetch *
lh_row_fetch_begin_brief(Relation rel)
{
	LhRowFetch *fetch = lh_row_fetch_begin(rel);

	fetch->brief = true;
	return fetch;
}

/* ---- the delta ---- */

static bool
fetch_from_delta(LhRowFetch *fetch, uint64 row_id, Snapshot snapshot, LhRow *row, bool *buried)
{
	const LhDeltaRow *found;

	*buried = false;
	if (!fetch->has_delta)
		return false;
	if (fetch->delta != NULL && fetch->delta_snapshot != snapshot)
	{
		lh_delta_scan_end(fetch->delta);
		fetch->delta = NULL;
	}
	if (fetch->delta == NULL)
		fetch->delta = (fetch->brief ? lh_delta_scan_begin_brief : lh_delta_scan_begin)
			(fetch->rel, snapshot, row_id, row_id, snapshot == SnapshotAny);
	else
		lh_delta_scan_range(fetch->delta, row_id, row_id);
	fetch->delta_snapshot = snapshot;
	found = lh_delta_scan_next(fetch->delta, ForwardScanDirection);
	if (found == NULL)
	{
		*buried = lh_delta_scan_saw_tombstone(fetch->delta) ||
			(snapshot != SnapshotAny && lh_bulk_hides(fetch->rel, row_id, snapshot));
		return false;
	}
	lh_row_memory_put(fetch->storage_id, row_id, (char *) found->tuple, found->tuple->t_len, found->xmin, found->cmin);
	row->reader = NULL;
	row->tuple = found->tuple;
	row->xmin = found->xmin;
	row->cmin = found->cmin;
	return true;
}

/* ---- files ---- */

typedef struct Holds
{
	LhRowFetch *fetch;
	uint64		row_id;
	TupleDesc	desc;
} Holds;

static void
return_reader(LhRowFetch *fetch)
{
	if (fetch->reader != NULL)
		lh_reader_return(fetch->reader);
	fetch->reader = NULL;
}

static void
forget_file(LhRowFetch *fetch)
{
	return_reader(fetch);
	if (fetch->cached != NULL)
		lh_file_cache_release(fetch->cached);
	fetch->cached = NULL;
	fetch->file = NULL;
	MemoryContextReset(fetch->file_cxt);
}

static LhFileReader *
open_reader(LhRowFetch *fetch, const LhFile *file, TupleDesc desc)
{
	MemoryContext old;

	if (fetch->reader != NULL && lh_file_reader_file(fetch->reader)->file_id == file->file_id)
		return fetch->reader;
	return_reader(fetch);
	old = MemoryContextSwitchTo(fetch->cxt);
	fetch->reader = lh_reader_borrow(file, desc);
	MemoryContextSwitchTo(old);
	return fetch->reader;
}

/* In a file whose catalog row has the first id of each row group. */
static bool
place_by_range(LhRowFetch *fetch, const LhFile *file, TupleDesc desc, uint64 row_id,
			   int *row_group, int64 *place)
{
	int			g;

	for (g = file->n_first_row_ids - 1; g > 0 && row_id < (uint64) file->first_row_ids[g]; g--)
		;
	*row_group = g;
	*place = (int64) (row_id - (uint64) file->first_row_ids[g]);
	/* the file's ids have gaps? then the footer knows how many the group has */
	return file->high_row_id - file->low_row_id + 1 == (uint64) file->row_count ||
		*place < lh_file_reader_meta(open_reader(fetch, file, desc))->row_groups[g].num_rows;
}

static bool
holds(const LhFile *file, void *arg)
{
	Holds	   *h = arg;
	int			row_group;
	int64		place;

	if (file->n_first_row_ids > 0)
		return place_by_range(h->fetch, file, h->desc, h->row_id, &row_group, &place);
	return lh_file_reader_find(open_reader(h->fetch, file, h->desc), h->row_id, &row_group, &place);
}

/* Asks the catalog. */
static const LhFile *
look_up_file(LhRowFetch *fetch, Holds *h, Snapshot snapshot)
{
	uint64		change = lh_metapage_change(fetch->rel);
	bool		current = IsMVCCSnapshot(snapshot) || snapshot->snapshot_type == SNAPSHOT_SELF;
	LhFile	   *file = NULL;

	/* who wants any place of the row, is best served with the current one */
	if (snapshot == SnapshotAny)
		file = lh_file_find(fetch->storage_id, h->row_id, SnapshotSelf, holds, h);
	if (file != NULL)
		current = true;
	else
		file = lh_file_find(fetch->storage_id, h->row_id, snapshot, holds, h);
	if (file != NULL && current)
		lh_file_cache_put(file, snapshot, change);
	return file;
}

static bool
find_file(LhRowFetch *fetch, uint64 row_id, TupleDesc desc, Snapshot snapshot)
{
	Holds		h = {fetch, row_id, desc};
	CommandId	curcid = IsMVCCSnapshot(snapshot) ? snapshot->curcid : 0;
	MemoryContext old;

	if (fetch->file != NULL && fetch->file_snapshot == snapshot && fetch->file_curcid == curcid &&
		IsMVCCSnapshot(snapshot) &&
		row_id >= fetch->file->low_row_id && row_id <= fetch->file->high_row_id &&
		holds(fetch->file, &h))
		return true;
	forget_file(fetch);
	lh_metapage_check_snapshot(fetch->rel, snapshot);
	old = MemoryContextSwitchTo(fetch->file_cxt);
	fetch->cached = lh_file_cache_find(fetch->rel, fetch->storage_id, row_id, snapshot, holds, &h);
	fetch->file = fetch->cached != NULL ? lh_cached_file(fetch->cached) : look_up_file(fetch, &h, snapshot);
	MemoryContextSwitchTo(old);
	fetch->file_snapshot = snapshot;
	fetch->file_curcid = curcid;
	return fetch->file != NULL;
}

static void
fetch_from_file(LhRowFetch *fetch, uint64 row_id, TupleDesc desc, LhRow *row)
{
	MemoryContext old = MemoryContextSwitchTo(fetch->file_cxt);
	LhFileReader *reader = NULL;
	int			row_group;
	int64		place;
	bool		there;

	if (fetch->file->n_first_row_ids > 0)
	{
		there = place_by_range(fetch, fetch->file, desc, row_id, &row_group, &place);
		if (fetch->brief)
			reader = lh_reader_standing_on(fetch->file, desc, row_group, place);
		if (reader == NULL)
			reader = open_reader(fetch, fetch->file, desc);
	}
	else
	{
		reader = open_reader(fetch, fetch->file, desc);
		there = lh_file_reader_find(reader, row_id, &row_group, &place);
	}
	Assert(there);
	(void) there;
	row->reader = reader;
	row->row = lh_file_reader_row(reader, row_group, place);
	MemoryContextSwitchTo(old);
}

/*
 * The row read last from a file: an update asks for the same row several
 * times.  It does not go back to the delta, and is not sought there.
 */
static int64 filed_storage_id;
static uint64 filed_row_id;

static void
look_once(Relation rel, uint64 row_id, LhRowMarks *m)
{
	LhMarks    *marks = lh_marks_begin(rel, AccessShareLock);

	lh_marks_look(marks, row_id, m);
	lh_marks_end(marks);
}

static bool
fetch_from_memory(LhRowFetch *fetch, uint64 row_id, LhRow *row)
{
	const LhRow *known = lh_row_memory_find(fetch->storage_id, row_id);

	if (known == NULL)
		return false;
	if (fetch->copy != NULL)
		pfree(fetch->copy);
	fetch->copy = memcpy(palloc(known->tuple->t_len), known->tuple, known->tuple->t_len);
	*row = *known;
	row->tuple = fetch->copy;
	return true;
}

/*
 * The row, whoever sees it, for who is going to ask for its marks: one look
 * gives both.
 */
static bool
fetch_with_marks(LhRowFetch *fetch, uint64 row_id, LhRow *row)
{
	LhRowMarks	m;
	bool		buried;

	if (!fetch->has_delta)
		return false;
	look_once(fetch->rel, row_id, &m);
	if (m.inserter == LH_WHO_NOBODY && !m.insert_aborted)
		return false;
	/* more than one chunk are for the scan to put together */
	return fetch_from_memory(fetch, row_id, row) || fetch_from_delta(fetch, row_id, SnapshotAny, row, &buried);
}

bool
lh_row_fetch(LhRowFetch *fetch, uint64 row_id, TupleDesc desc, Snapshot snapshot, LhRow *row)
{
	MemoryContext old = MemoryContextSwitchTo(fetch->cxt);
	bool		buried = false;
	bool		found = false;

	memset(row, 0, sizeof(*row));
	row->row_id = row_id;
	if (snapshot == SnapshotAny && fetch_from_memory(fetch, row_id, row))
		found = true;
	else if (snapshot == SnapshotAny && row_id == filed_row_id && fetch->storage_id == filed_storage_id)
		found = false;
	else if (snapshot == SnapshotAny && fetch->brief)
		found = fetch_with_marks(fetch, row_id, row);
	else
		found = fetch_from_delta(fetch, row_id, snapshot, row, &buried);
	if (!found && (!buried || snapshot == SnapshotAny) &&
		find_file(fetch, row_id, desc, snapshot))
	{
		fetch_from_file(fetch, row_id, desc, row);
		found = true;
		filed_storage_id = fetch->storage_id;
		filed_row_id = row_id;
	}
	MemoryContextSwitchTo(old);
	return found;
}

void
lh_row_fetch_end(LhRowFetch *fetch)
{
	if (fetch->delta != NULL)
		lh_delta_scan_end(fetch->delta);
	forget_file(fetch);
	MemoryContextDelete(fetch->cxt);
}

/* ---- liveness ---- */

/*
 * A scan with a snapshot that is none misses a catalog row while the publisher
 * replaces it, or compacts files: both have changed when it comes along.
 */
static bool
is_in_committed_file(LhRowFetch *fetch, uint64 row_id)
{
	Snapshot	latest = RegisterSnapshot(GetLatestSnapshot());
	bool		found = find_file(fetch, row_id, RelationGetDescr(fetch->rel), latest);

	UnregisterSnapshot(latest);
	return found;
}

/*
 * Is it in a file that `snapshot`, not an MVCC snapshot, sees?  A file that is
 * being written must be waited for; one that the publisher is just stamping
 * must not.
 */
static bool
is_in_file(Relation rel, uint64 row_id, Snapshot snapshot)
{
	LhRowFetch *fetch = lh_row_fetch_begin(rel);
	MemoryContext old = MemoryContextSwitchTo(fetch->cxt);
	Holds		h = {fetch, row_id, RelationGetDescr(rel)};
	SnapshotData dirty;
	bool		found;

	fetch->cached = lh_file_cache_find(rel, fetch->storage_id, row_id, SnapshotAny, holds, &h);
	if (fetch->cached != NULL)
		found = true;
	else if (snapshot->snapshot_type == SNAPSHOT_DIRTY || snapshot->snapshot_type == SNAPSHOT_SELF)
		found = is_in_committed_file(fetch, row_id);
	else
		found = find_file(fetch, row_id, RelationGetDescr(rel), snapshot);
	if (!found && snapshot->snapshot_type == SNAPSHOT_SELF)
		found = find_file(fetch, row_id, RelationGetDescr(rel), snapshot);
	else if (!found && snapshot->snapshot_type == SNAPSHOT_DIRTY)
	{
		InitDirtySnapshot(dirty);
		found = find_file(fetch, row_id, RelationGetDescr(rel), &dirty);
		if (found)
			snapshot->xmin = dirty.xmin;
	}
	MemoryContextSwitchTo(old);
	lh_row_fetch_end(fetch);
	return found;
}

/* Takes the inserter's view of a row of the delta. */
static bool
judge_inserter(const LhRowMarks *m, Snapshot snapshot)
{
	if (m->inserter != LH_WHO_OTHER)
		return true;
	switch (snapshot->snapshot_type)
	{
		case SNAPSHOT_DIRTY:
			snapshot->xmin = m->insert_xid;
			snapshot->speculativeToken = m->speculative_token;
			return true;
		case SNAPSHOT_NON_VACUUMABLE:
			return true;
		default:
			return false;
	}
}

static bool
judge_deleter(const LhRowMarks *m, Snapshot snapshot)
{
	switch (m->deleter)
	{
		case LH_WHO_NOBODY:
			return true;
		case LH_WHO_OTHER:
			if (snapshot->snapshot_type == SNAPSHOT_DIRTY)
				snapshot->xmax = m->delete_xid;
			return true;
		default:
			return false;
	}
}

bool
lh_marks_dead_to_all(const LhRowMarks *m, GlobalVisState *vistest)
{
	if (m->deleter == LH_WHO_COMMITTED)
		return !TransactionIdIsNormal(m->delete_xid) || /* frozen */
			GlobalVisTestIsRemovableXid(vistest, m->delete_xid);
	return m->inserter == LH_WHO_NOBODY && m->insert_aborted;
}

static bool
judge_liveness(Relation rel, uint64 row_id, const LhRowMarks *m, Snapshot snapshot)
{
	if (snapshot->snapshot_type == SNAPSHOT_ANY)
		return m->inserter != LH_WHO_NOBODY || is_in_file(rel, row_id, snapshot);
	if (!judge_deleter(m, snapshot))
		return false;
	if (m->inserter != LH_WHO_NOBODY && (m->in_delta || m->inserter != LH_WHO_COMMITTED))
		return judge_inserter(m, snapshot);
	return is_in_file(rel, row_id, snapshot);
}

/* ---- dead rows ---- */

/* A file that is not committed yet may end up without its object. */
static bool
may_hold(const LhFile *file, void *arg)
{
	return (TransactionIdIsNormal(file->xmin) && !TransactionIdDidCommit(file->xmin)) || holds(file, arg);
}

/* Is the row in a file that any snapshot may see? */
static bool
is_in_any_file(Relation rel, uint64 row_id, GlobalVisState *vistest)
{
	LhRowFetch *fetch = lh_row_fetch_begin(rel);
	MemoryContext old = MemoryContextSwitchTo(fetch->cxt);
	Holds		h = {fetch, row_id, RelationGetDescr(rel)};
	SnapshotData anybody;
	bool		found;

	fetch->cached = lh_file_cache_find(rel, fetch->storage_id, row_id, SnapshotAny, holds, &h);
	InitNonVacuumableSnapshot(anybody, vistest);
	found = fetch->cached != NULL ||
		lh_file_find(fetch->storage_id, row_id, &anybody, may_hold, &h) != NULL;
	MemoryContextSwitchTo(old);
	lh_row_fetch_end(fetch);
	return found;
}

/*
 * Is the row, whose marks have just been looked at, dead to everybody?  One
 * that is nowhere is, if it was settled: if the transaction that got its id
 * has ended, as far as the oldest snapshot is concerned, and might have left
 * it in a file that this snapshot sees.
 */
static bool
is_dead_to_all(Relation rel, uint64 row_id, const LhRowMarks *m)
{
	GlobalVisState *vistest = GlobalVisTestFor(rel);
	bool		dead;

	if (m->deleter != LH_WHO_NOBODY || m->insert_aborted)
		dead = lh_marks_dead_to_all(m, vistest);
	else
		dead = (m->inserter == LH_WHO_NOBODY ||
				(!m->in_delta && GlobalVisTestIsRemovableXid(vistest, m->mover_xid))) &&
			row_id < lh_metapage_settled(rel, vistest) && !is_in_any_file(rel, row_id, vistest);
	if (dead)
		lh_dead_row_note(rel, row_id, InvalidTransactionId);
	else if (m->deleter == LH_WHO_COMMITTED)
		lh_dead_row_note(rel, row_id, m->delete_xid);
	return dead;
}

bool
lh_row_is_dead_to_all(Relation rel, uint64 row_id)
{
	LhRowMarks	m;

	if (!lh_delta_exists(rel))
		return false;
	look_once(rel, row_id, &m);
	return is_dead_to_all(rel, row_id, &m);
}

bool
lh_row_is_live(Relation rel, uint64 row_id, Snapshot snapshot, bool *all_dead)
{
	LhRowMarks	m;
	bool		live;

	Assert(!IsMVCCSnapshot(snapshot));
	if (snapshot->snapshot_type == SNAPSHOT_DIRTY)
	{
		snapshot->xmin = snapshot->xmax = InvalidTransactionId;
		snapshot->speculativeToken = 0;
	}
	if (!lh_delta_exists(rel))
		return is_in_file(rel, row_id, snapshot);
	look_once(rel, row_id, &m);
	if (all_dead == NULL)
		return judge_liveness(rel, row_id, &m, snapshot);
	/* what is not in the delta is more often nowhere than in a file with the same key */
	*all_dead = m.inserter == LH_WHO_NOBODY && is_dead_to_all(rel, row_id, &m);
	if (*all_dead)
		return false;
	live = judge_liveness(rel, row_id, &m, snapshot);
	*all_dead = !live && m.inserter != LH_WHO_NOBODY && is_dead_to_all(rel, row_id, &m);
	return live;
}
