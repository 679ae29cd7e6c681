/*
 * delta_cache.c
 *	  Deltas that stay open while a statement runs.
 *
 * To open a delta and begin a scan of its index costs several times what it
 * takes to look at the entries of one row.  Who does that row after row
 * borrows an open delta, with scans that wait for their next use.
 *
 * An open delta belongs to the resource owner it was opened under, and is
 * closed when the outermost run of the executor under that owner ends.  So it
 * never outlives its owner, and DDL after the statement meets no open relation.
 * Before a utility command inside of a statement all are closed, too.  After
 * an error nothing is closed here: the resource owner has done so.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "storage/delta_int.h"

#define MAX_OPEN	16
#define MAX_DEPTH	64
#define MAX_IDLE	4

typedef struct IdleScan
{
	IndexScanDesc scan;
	TupleTableSlot *slot;
} IdleScan;

struct OpenDelta
{
	MemoryContext cxt;			/* NULL: a free place */
	Delta		delta;
	LOCKMODE	mode;
	ResourceOwner owner;
	SubTransactionId subid;
	int			home;			/* the depth whose end closes it */
	int			lent;			/* scans */
	int			n_idle;
	IdleScan	idle[MAX_IDLE];
};

static OpenDelta cache[MAX_OPEN];
static int	n_open = 0;

/* Of the runs of the executor, one in the other; [depth - 1]. */
static ResourceOwner owners[MAX_DEPTH];

void
delta_cache_note_owner(int depth)
{
	if (depth <= MAX_DEPTH)
		owners[depth - 1] = CurrentResourceOwner;
}

/* The outermost run under the current owner; 0: there is none, so nobody would close anything. */
static int
home_depth(void)
{
	for (int i = 0; i < Min(lh_statement_depth(), MAX_DEPTH); i++)
		if (owners[i] == CurrentResourceOwner)
			return i + 1;
	return 0;
}

/* NULL: it cannot be kept open. */
static OpenDelta *
find_or_open(Relation rel, LOCKMODE mode)
{
	OpenDelta  *place = NULL;
	int			home;
	MemoryContext cxt;
	MemoryContext old;

	for (int i = 0; i < MAX_OPEN; i++)
	{
		OpenDelta  *open = &cache[i];

		if (open->cxt == NULL)
			place = place != NULL ? place : open;
		else if (open->owner == CurrentResourceOwner && open->mode == mode &&
				 RelationGetRelid(open->delta.toast) == rel->rd_rel->reltoastrelid)
			return open;
	}
	home = home_depth();
	if (place == NULL || home == 0)
		return NULL;
	cxt = AllocSetContextCreate(TopTransactionContext, "lakehouse open delta", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(cxt);
	delta_open(rel, mode, &place->delta);
	MemoryContextSwitchTo(old);
	place->cxt = cxt;
	place->delta.open = place;
	place->mode = mode;
	place->owner = CurrentResourceOwner;
	place->subid = GetCurrentSubTransactionId();
	place->home = home;
	place->lent = place->n_idle = 0;
	n_open++;
	return place;
}

void
delta_borrow(Relation rel, LOCKMODE mode, Delta *delta)
{
	OpenDelta  *open = find_or_open(rel, mode);

	if (open != NULL)
		*delta = open->delta;
	else
		delta_open(rel, mode, delta);
}

MemoryContext
delta_cache_context(OpenDelta *open)
{
	return open->cxt;
}

bool
delta_cache_take_scan(OpenDelta *open, IndexScanDesc *scan, TupleTableSlot **slot)
{
	open->lent++;
	if (open->n_idle == 0)
		return false;
	open->n_idle--;
	*scan = open->idle[open->n_idle].scan;
	*slot = open->idle[open->n_idle].slot;
	return true;
}

bool
delta_cache_give_scan(OpenDelta *open, IndexScanDesc scan, TupleTableSlot *slot)
{
	open->lent--;
	if (open->n_idle == MAX_IDLE)
		return false;
	/* without pins: somebody may be waiting for a cleanup lock */
	ExecClearTuple(slot);
	index_rescan(scan, NULL, scan->numberOfKeys, NULL, 0);
	open->idle[open->n_idle++] = (IdleScan) {scan, slot};
	return true;
}

static void
close_open(OpenDelta *open)
{
	ResourceOwner current = CurrentResourceOwner;

	Assert(open->lent == 0);
	CurrentResourceOwner = open->owner;
	for (int i = 0; i < open->n_idle; i++)
	{
		index_endscan(open->idle[i].scan);
		ExecDropSingleTupleTableSlot(open->idle[i].slot);
	}
	open->delta.open = NULL;
	delta_close(&open->delta, open->mode == AccessShareLock ? AccessShareLock : NoLock);
	CurrentResourceOwner = current;
	MemoryContextDelete(open->cxt);
	open->cxt = NULL;
	n_open--;
}

void
lh_deltas_close(int depth)
{
	for (int i = 0; i < MAX_OPEN && n_open > 0; i++)
		if (cache[i].cxt != NULL && cache[i].home > depth)
			close_open(&cache[i]);
}

void
lh_deltas_close_idle(void)
{
	for (int i = 0; i < MAX_OPEN && n_open > 0; i++)
		if (cache[i].cxt != NULL && cache[i].lent == 0)
			close_open(&cache[i]);
}

void
lh_deltas_forget(SubTransactionId subid)
{
	for (int i = 0; i < MAX_OPEN && n_open > 0; i++)
	{
		if (cache[i].cxt == NULL || cache[i].subid < subid)
			continue;
		MemoryContextDelete(cache[i].cxt);
		cache[i].cxt = NULL;
		n_open--;
	}
}
