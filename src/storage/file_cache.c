/*
 * file_cache.c
 *	  Which file holds a row, remembered from one statement to the next.
 *
 * To ask the catalog costs several times what it takes to read the row.  Rows
 * never change under their id, and a file never changes either; what can
 * happen to an answer is that the file is taken out of the table.  Whoever does
 * that writes his transaction id into the metapage before he commits
 * (lh_metapage_note_change).  So an answer that was given while nobody was
 * at it is good until there is another id there: a snapshot that sees the
 * file's removal was taken after the id was written.
 *
 * Nobody who does not see the last removal may answer for others.  And a
 * snapshot that does not see the file yet finds the row where it was before:
 * it has to ask the catalog.  Our own files are remembered, too, for those who
 * ask for what is there right now; an abort and the transaction's end forget them.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "storage/procarray.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "storage/lh_storage.h"

#define MAX_FILES	64
#define MAX_FOOTER	(128 * 1024)

struct LhCachedFile
{
	MemoryContext cxt;			/* NULL: a free place */
	LhFile	   *file;
	uint64		xid;			/* full id of the transaction that wrote its catalog row */
	uint64		change;			/* of the metapage, when the catalog was asked */
	bool		own;			/* file of this transaction, */
	bool		aborted;		/* a subtransaction of which has aborted */
	int			pins;
	uint64		used;			/* tick of the last use */
};

static LhCachedFile cache[MAX_FILES];
static uint64 tick = 0;

static void
drop(LhCachedFile *entry)
{
	MemoryContextDelete(entry->cxt);
	memset(entry, 0, sizeof(*entry));
}

static bool
sees(Snapshot snapshot, const LhCachedFile *entry)
{
	TransactionId xmin = entry->file->xmin;

	if (!IsMVCCSnapshot(snapshot) || entry->own)
		return !IsMVCCSnapshot(snapshot);
	/* the id comes round again only when nobody can have a snapshot from before it */
	return !TransactionIdIsNormal(xmin) || !XidInMVCCSnapshot(xmin, snapshot) ||
		U64FromFullTransactionId(ReadNextFullTransactionId()) - entry->xid >= PG_INT32_MAX;
}

/* A snapshot of a serializable transaction must have the catalog note what it reads. */
static bool
may_use(Snapshot snapshot)
{
	return !IsMVCCSnapshot(snapshot) || !IsolationIsSerializable();
}

LhCachedFile *
lh_file_cache_find(Relation rel, int64 storage_id, uint64 row_id, Snapshot snapshot,
				   LhFileHolds holds, void *arg)
{
	uint64		change = 0;
	bool		asked = false;

	if (!may_use(snapshot))
		return NULL;
	for (int i = 0; i < MAX_FILES; i++)
	{
		LhCachedFile *entry = &cache[i];

		if (entry->cxt == NULL || entry->aborted || entry->file->storage_id != storage_id ||
			row_id < entry->file->low_row_id || row_id > entry->file->high_row_id)
			continue;
		if (!asked)
			change = lh_metapage_change(rel);
		asked = true;
		if (entry->change != change)
		{
			if (entry->pins == 0)
				drop(entry);
			continue;
		}
		if (!sees(snapshot, entry) || !holds(entry->file, arg))
			continue;
		entry->pins++;
		entry->used = ++tick;
		return entry;
	}
	return NULL;
}

const LhFile *
lh_cached_file(const LhCachedFile *entry)
{
	return entry->file;
}

void
lh_file_cache_release(LhCachedFile *entry)
{
	entry->pins--;
}

static LhCachedFile *
find_place(void)
{
	LhCachedFile *place = NULL;

	for (int i = 0; i < MAX_FILES; i++)
	{
		LhCachedFile *entry = &cache[i];

		if (entry->cxt == NULL)
			return entry;
		if (entry->pins == 0 && (place == NULL || entry->used < place->used))
			place = entry;
	}
	if (place != NULL)
		drop(place);
	return place;
}

/* Else the file may be one of those taken out. */
static bool
sees_change(Snapshot snapshot, uint64 change)
{
	TransactionId changer = (TransactionId) change;

	if (change == 0)
		return true;
	if (TransactionIdIsCurrentTransactionId(changer) || TransactionIdIsInProgress(changer))
		return false;
	return !IsMVCCSnapshot(snapshot) || TransactionIdPrecedes(changer, snapshot->xmin) ||
		!XidInMVCCSnapshot(changer, snapshot);
}

void
lh_file_cache_put(const LhFile *file, Snapshot snapshot, uint64 change)
{
	struct varlena *footer;
	MemoryContext cxt;
	MemoryContext old;
	LhCachedFile fresh = {0};
	LhCachedFile *place;

	if (!may_use(snapshot) || !sees_change(snapshot, change))
		return;
	footer = PG_DETOAST_DATUM(PointerGetDatum(file->footer));
	if (VARSIZE(footer) > MAX_FOOTER)
		return;
	cxt = AllocSetContextCreate(CurrentMemoryContext, "lakehouse cached file", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(cxt);
	fresh.cxt = cxt;
	fresh.file = lh_file_copy(file);
	fresh.file->footer = memcpy(palloc(VARSIZE(footer)), footer, VARSIZE(footer));
	fresh.xid = U64FromFullTransactionId(lh_full_xid(file->xmin));
	fresh.change = change;
	fresh.own = TransactionIdIsCurrentTransactionId(file->xmin);
	fresh.used = ++tick;
	MemoryContextSwitchTo(old);
	place = find_place();
	if (place == NULL)
	{
		MemoryContextDelete(cxt);
		return;
	}
	MemoryContextSetParent(cxt, CacheMemoryContext);
	*place = fresh;
}

/* After an error nobody gives back what he has. */
void
lh_file_cache_end(bool transaction)
{
	for (int i = 0; i < MAX_FILES; i++)
	{
		cache[i].pins = transaction ? 0 : cache[i].pins;
		cache[i].aborted = cache[i].own;
		if (cache[i].own && cache[i].pins == 0)
			drop(&cache[i]);
	}
}
