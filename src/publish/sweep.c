/*
 * sweep.c
 *	  Removes objects that nothing refers to: those of dropped tables, and what
 *	  aborted transactions and crashes left.
 *
 * Only objects that this database wrote are touched: what lies below its own
 * folder of the default location, and below locations of its own tables.  A
 * data file's name tells cluster, database and transaction that wrote it; when that is over and
 * the catalog has no row of the file, nobody will ever refer to it.
 *
 * A transaction that wrote nothing but a file may leave no trace in the WAL, so
 * after a crash its id is given once more.  Then two transactions' files have
 * it; both are judged when the second one is over.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/procarray.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "objstore/objstore.h"
#include "publish/lh_publish_int.h"
#include "storage/lh_storage.h"

static char *
own_folder(void)
{
	return psprintf("%s/%u", lh_store_default_location(), MyDatabaseId);
}

/* ---- dropped tables ---- */

static void
remove_object(const LhObjectInfo *object, void *arg)
{
	CHECK_FOR_INTERRUPTS();
	lh_store_remove((LhStore *) arg, object->name, true);
}

/*
 * Below our own folder each table has one to itself.  A location of the user's
 * choice may hold files of others: there only what the catalog names is
 * removed, and "metadata", which a published table has to itself.
 */
static void
remove_objects(const LhGarbage *garbage, bool published)
{
	LhStore    *store = lh_store_open(garbage->location);
	bool		own = lh_location_is_under(garbage->location, own_folder());
	ListCell   *lc;

	if (own)
		lh_store_list(store, "data/", remove_object, store);
	else
	{
		foreach(lc, lh_file_list_table(&garbage->table_uuid, GetActiveSnapshot()))
		{
			LhFile	   *file = lfirst(lc);

			CHECK_FOR_INTERRUPTS();
			if (strcmp(file->location, garbage->location) == 0)
				lh_store_remove(store, file->name, true);
		}
	}
	if (own || published)
	{
		lh_store_list(store, "metadata/", remove_object, store);
		lh_store_remove_empty_dirs(store, "metadata/");
	}
	lh_store_remove_empty_dirs(store, "data/");
	if (own)
		lh_store_remove_empty_dirs(store, "");
}

void
lh_sweep_dropped(void)
{
	MemoryContext cxt = CurrentMemoryContext;
	ListCell   *lc;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (lh_catalog_exists())
	{
		foreach(lc, lh_garbage_list(GetActiveSnapshot()))
		{
			LhGarbage  *garbage = lfirst(lc);
			LhTable    *table = lh_table_get(&garbage->table_uuid, GetActiveSnapshot());

			/* a table of another database, cloned into this one, is not ours to remove */
			if (table == NULL || table->database_id == MyDatabaseId)
				remove_objects(garbage, table != NULL);
			lh_file_delete_all(&garbage->table_uuid);
			lh_version_delete_all(&garbage->table_uuid);
			if (table != NULL)
				lh_table_delete(table);
			lh_garbage_delete(garbage);
		}
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(cxt);
}

/* ---- orphans ---- */

typedef struct Orphans
{
	MemoryContext cxt;
	List	   *names;			/* of objects that may be orphans */
	List	   *file_ids;		/* int64 pointers, NULL: a temporary file */
	FullTransactionId horizon;	/* transactions before it are over */
} Orphans;

/* Is it a data file that this database of this cluster wrote? */
static bool
parse_name(const char *name, uint64 *fxid, int64 *file_id)
{
	const char *base = strrchr(name, '/');
	char	   *prefix = lh_file_name_prefix();
	unsigned long long xid;
	unsigned long long id;
	int			len = -1;

	base = base != NULL ? base + 1 : name;
	if (strncmp(base, prefix, strlen(prefix)) != 0 ||
		sscanf(base + strlen(prefix), "%16llx-%16llx.parquet%n", &xid, &id, &len) != 2 ||
		len < 0 || base[strlen(prefix) + len] != '\0')
		return false;
	*fxid = xid;
	*file_id = (int64) id;
	return true;
}

/*
 * Is the transaction over that wrote an object just listed?  It had its id by
 * then, so an id not yet given is one that a crash has taken back.
 */
static bool
is_over(uint64 fxid, FullTransactionId horizon)
{
	return fxid < U64FromFullTransactionId(horizon) ||
		fxid >= U64FromFullTransactionId(ReadNextFullTransactionId()) ||
		!TransactionIdIsInProgress((TransactionId) fxid);
}

static void
note_orphan(const LhObjectInfo *object, void *arg)
{
	Orphans    *orphans = arg;
	MemoryContext old;
	uint64		fxid;
	int64	   *id = NULL;
	int64		file_id = 0;

	if (object->is_temp)
	{
		/* uploads of before this server's start cannot go on */
		if (object->mtime >= PgStartTime)
			return;
	}
	else if (!parse_name(object->name, &fxid, &file_id) || !is_over(fxid, orphans->horizon))
		return;
	old = MemoryContextSwitchTo(orphans->cxt);
	if (!object->is_temp)
	{
		id = palloc(sizeof(int64));
		*id = file_id;
	}
	orphans->names = lappend(orphans->names, pstrdup(object->name));
	orphans->file_ids = lappend(orphans->file_ids, id);
	MemoryContextSwitchTo(old);
}

/* xid is not after the next one, so it is of this epoch or of the one before. */
static FullTransactionId
full_xid_of(TransactionId xid)
{
	FullTransactionId next = ReadNextFullTransactionId();
	uint32		epoch = EpochFromFullTransactionId(next);

	if (xid > XidFromFullTransactionId(next))
		epoch--;
	return FullTransactionIdFromEpochAndXid(epoch, xid);
}

static void
sweep_location(const char *location)
{
	LhStore    *store = lh_store_open(location);
	Orphans		orphans = {0};
	Snapshot	snapshot;
	ListCell   *lc;
	ListCell   *lc2;

	orphans.cxt = CurrentMemoryContext;
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	orphans.horizon = full_xid_of(snapshot->xmin);
	UnregisterSnapshot(snapshot);
	lh_store_list(store, "", note_orphan, &orphans);

	/* newer than the listing: all files of those transactions are in it */
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	forboth(lc, orphans.names, lc2, orphans.file_ids)
	{
		int64	   *file_id = lfirst(lc2);

		CHECK_FOR_INTERRUPTS();
		if (file_id == NULL || !lh_file_exists(*file_id, snapshot))
			lh_store_remove(store, lfirst(lc), true);
	}
	UnregisterSnapshot(snapshot);
}

void
lh_sweep_orphans(void)
{
	MemoryContext cxt = CurrentMemoryContext;
	ListCell   *lc;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (lh_catalog_exists())
	{
		sweep_location(own_folder());
		foreach(lc, lh_table_list(GetActiveSnapshot()))
		{
			LhTable    *table = lfirst(lc);

			if (table->database_id == MyDatabaseId && !lh_location_is_under(table->location, own_folder()))
				sweep_location(table->location);
		}
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(cxt);
}
