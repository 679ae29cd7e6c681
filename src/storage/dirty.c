/*
 * dirty.c
 *	  Tables that the running transaction has written or altered.
 *
 * A superset is enough (a rolled-back savepoint's tables stay): the publisher
 * looks at what is committed.
 */
#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/memutils.h"

#include "storage/lh_storage.h"

static List *dirty = NIL;		/* in TopTransactionContext */

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
lh_dirty_forget(void)
{
	dirty = NIL;
}
