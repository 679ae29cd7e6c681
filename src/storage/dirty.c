/*
 * dirty.c
 *	  What the running transaction leaves to the publisher: tables that it has
 *	  written or altered, and files that nobody will know.
 *
 * A superset is enough (a rolled-back savepoint's tables stay): the publisher
 * looks at what is committed.
 */
#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/memutils.h"

#include "storage/lh_storage.h"

static List *dirty = NIL;		/* in TopTransactionContext */
static bool files_written = false;
static bool files_lost = false; /* by a subtransaction that aborted */

void
lh_dirty_add(Oid relid)
{
	MemoryContext old;

	/* the last one is most often the same again */
	if (dirty != NIL && llast_oid(dirty) == relid)
		return;
	old = MemoryContextSwitchTo(TopTransactionContext);
	dirty = list_append_unique_oid(dirty, relid);
	MemoryContextSwitchTo(old);
}

bool
lh_dirty_any(void)
{
	return dirty != NIL;
}

List *
lh_dirty_relations(void)
{
	return dirty;
}

void
lh_dirty_file_written(void)
{
	files_written = true;
}

void
lh_dirty_subxact_aborted(void)
{
	files_lost |= files_written;
}

bool
lh_dirty_files_lost(bool committed)
{
	return committed ? files_lost : files_written;
}

void
lh_dirty_forget(void)
{
	dirty = NIL;
	files_written = files_lost = false;
}
