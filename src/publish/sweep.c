/*
 * sweep.c
 *	  Removes objects that nothing refers to: those of dropped tables, of a
 *	  dropped extension, and what aborted transactions and crashes left.
 *
 * Only objects that this database wrote are touched: what lies below its own
 * folder of the default location, and below locations of its own tables.  The
 * name of a data or delete file tells incarnation, database and transaction
 * that wrote it; when that is over and the catalog has no row of the file,
 * nobody will ever refer to it.  Outside of the data directory, other
 * incarnations' objects are left alone (shared.c); inside, they are those of
 * our own past.  What was written before this database was last copied to
 * another one (CREATE DATABASE ... TEMPLATE) stays: the copy's catalog names it.
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
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "objstore/objstore.h"
#include "publish/lh_publish_int.h"
#include "storage/lh_storage.h"

static void sweep_without_catalog(void);

static char *
own_folder(void)
{
	return psprintf("%s/%u", lh_store_default_location(), MyDatabaseId);
}

/* ---- dropped tables ---- */

typedef struct Removal
{
	LhStore    *store;
	uint64		cloned_at;		/* lh_database_cloned_at(): no copy is made while we run */
} Removal;

/* Leaves what a database that was made from this one may read. */
static void
remove_unless_cloned(const Removal *removal, const char *name)
{
	uint64		fxid;
	int64		file_id;

	CHECK_FOR_INTERRUPTS();
	if (lh_shared_may_remove(lh_store_location(removal->store), name) &&
		!(lh_data_file_parse(name, &fxid, &file_id) && fxid < removal->cloned_at))
		lh_store_remove(removal->store, name, true);
}

static void
remove_object(const LhObjectInfo *object, void *arg)
{
	remove_unless_cloned(arg, object->name);
}

/* Deeper down, another table may have its location. */
static void
remove_metadata(const LhObjectInfo *object, void *arg)
{
	if (strchr(object->name + strlen("metadata/"), '/') == NULL)
		remove_object(object, arg);
}

/* A file that the catalog names; it may be of the database that this one was made from. */
static void
remove_named(const Removal *removal, const char *name)
{
	uint64		fxid;
	int64		file_id;

	if (lh_data_file_parse(name, &fxid, &file_id))
		remove_unless_cloned(removal, name);
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
	Removal		removal = {store, lh_database_cloned_at(MyDatabaseId)};
	bool		own = lh_location_is_private(garbage->location) &&
		lh_location_is_under(garbage->location, own_folder());
	ListCell   *lc;

	if (lh_shared_with_others(garbage->location))
		return;
	if (own)
		lh_store_list(store, "data/", remove_object, &removal);
	else
	{
		foreach(lc, lh_file_list_table(&garbage->table_uuid, GetActiveSnapshot()))
		{
			LhFile	   *file = lfirst(lc);

			if (strcmp(file->location, garbage->location) == 0)
				remove_named(&removal, file->name);
		}
		foreach(lc, lh_delete_list_table(&garbage->table_uuid, GetActiveSnapshot()))
		{
			LhDeleteFile *file = lfirst(lc);

			if (strcmp(file->location, garbage->location) == 0)
				remove_named(&removal, file->name);
		}
	}
	if (own || published)
	{
		lh_shared_leave(garbage->location);
		lh_store_list(store, "metadata/", remove_metadata, &removal);
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
			lh_delete_delete_all(&garbage->table_uuid);
			lh_version_delete_all(&garbage->table_uuid);
			if (table != NULL)
				lh_table_delete(table);
			lh_garbage_delete(garbage);
		}
	}
	else
		sweep_without_catalog();
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
	uint64		cloned_at;		/* what was written before it, a clone may read */
	bool		is_private;		/* nobody but us and our past writes there */
	bool		metadata_too;
} Orphans;

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

/*
 * Uploads of before the server's start, or start after a crash, cannot go on,
 * nor can replay.  The clock may have been set back since.
 */
static bool
is_abandoned(const LhObjectInfo *temp)
{
	return temp->temp_pid == 0 ||
		(temp->mtime < lh_publish_shared->started_at && BackendPidGetProc(temp->temp_pid) == NULL);
}

static void
note_orphan(const LhObjectInfo *object, void *arg)
{
	Orphans    *orphans = arg;
	MemoryContext old;
	uint64		fxid;
	int64	   *id = NULL;
	int64		file_id = 0;

	if (!orphans->is_private && !lh_object_is_ours(object->name))
		return;
	if (object->is_temp)
	{
		if (!is_abandoned(object))
			return;
	}
	else if (orphans->metadata_too && strstr(object->name, "/metadata/") != NULL)
		;
	else if (!lh_data_file_parse(object->name, &fxid, &file_id) || !is_over(fxid, orphans->horizon) ||
			 fxid < orphans->cloned_at)
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

/*
 * Outside of the data directory, a copy of this cluster may need a file of a
 * table that we have dropped: its claim stands in the table's folder.
 */
static bool
may_be_needed(const char *location, const char *name)
{
	const char *data = strstr(name, "data/");
	int			len = data != NULL && data > name ? data - name - 1 : 0;

	return lh_shared_with_others(psprintf("%s%s%.*s", location, len > 0 ? "/" : "", len, name));
}

static void
list_orphans(LhStore *store, bool metadata_too, Orphans *orphans)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());

	memset(orphans, 0, sizeof(*orphans));
	orphans->cxt = CurrentMemoryContext;
	orphans->is_private = lh_location_is_private(lh_store_location(store));
	orphans->metadata_too = metadata_too;
	orphans->horizon = lh_full_xid(snapshot->xmin);
	orphans->cloned_at = lh_database_cloned_at(MyDatabaseId);
	UnregisterSnapshot(snapshot);
	lh_store_list(store, "", note_orphan, orphans);
}

static void
sweep_location(const char *location)
{
	LhStore    *store = lh_store_open(location);
	Orphans		orphans;
	Snapshot	snapshot;
	ListCell   *lc;
	ListCell   *lc2;

	list_orphans(store, false, &orphans);

	/* newer than the listing: all files of those transactions are in it */
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	forboth(lc, orphans.names, lc2, orphans.file_ids)
	{
		int64	   *file_id = lfirst(lc2);

		CHECK_FOR_INTERRUPTS();
		if ((file_id == NULL || (!lh_file_exists(*file_id, snapshot) && !lh_delete_exists(*file_id, snapshot))) &&
			(orphans.is_private || !may_be_needed(location, lfirst(lc))))
			lh_store_remove(store, lfirst(lc), true);
	}
	UnregisterSnapshot(snapshot);
}

/*
 * DROP EXTENSION takes the notes of dropped tables with the catalog.  Without
 * a catalog, all that is in our folder of the data directory is an orphan,
 * metadata included, as nobody but us publishes; unless a running transaction
 * makes the extension anew, or a database made from this one reads there.
 */
static void
sweep_without_catalog(void)
{
	LhStore    *store = lh_store_open(own_folder());
	Orphans		orphans;
	ListCell   *lc;

	list_orphans(store, true, &orphans);
	/* after the listing, and what has been committed by now */
	InvalidateSystemCaches();
	if (lh_catalog_exists() || orphans.cloned_at != 0 || !orphans.is_private)
		return;
	foreach(lc, orphans.names)
	{
		CHECK_FOR_INTERRUPTS();
		lh_store_remove(store, lfirst(lc), true);
	}
	lh_store_remove_empty_dirs(store, "");
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

/* ---- dropped databases ---- */

static void
note_folder(const LhObjectInfo *object, void *arg)
{
	List	  **databases = arg;
	char	   *end;
	unsigned long oid = strtoul(object->name, &end, 10);

	if (end != object->name && *end == '/' && oid > 0 && oid <= PG_UINT32_MAX)
		*databases = list_append_unique_oid(*databases, (Oid) oid);
}

static void
remove_any(const LhObjectInfo *object, void *arg)
{
	CHECK_FOR_INTERRUPTS();
	lh_store_remove((LhStore *) arg, object->name, true);
}

/*
 * Folders, in the data directory, of databases that are no more, unless one
 * made from them as a template may read there.  A database's folder comes
 * after its row in pg_database: what was listed and has no row had one.
 */
void
lh_sweep_databases(void)
{
	MemoryContext cxt = CurrentMemoryContext;
	List	   *databases = NIL;
	ListCell   *lc;
	char	   *root;

	StartTransactionCommand();
	root = lh_store_default_location();
	if (lh_location_is_private(root))
		lh_store_list(lh_store_open(root), "", note_folder, &databases);
	foreach(lc, databases)
	{
		Oid			database = lfirst_oid(lc);

		if (!SearchSysCacheExists1(DATABASEOID, ObjectIdGetDatum(database)) &&
			lh_database_cloned_at(database) == 0)
		{
			LhStore    *store = lh_store_open(psprintf("%s/%u", root, database));

			lh_store_list(store, "", remove_any, store);
			lh_store_remove_empty_dirs(store, "");
		}
	}
	CommitTransactionCommand();
	MemoryContextSwitchTo(cxt);
}
