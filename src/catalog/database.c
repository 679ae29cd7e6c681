/*
 * database.c
 *	  Markers of the databases that may have lakehouse tables: empty files in
 *	  $PGDATA/pg_lakehouse, named by database OID.
 */
#include "postgres.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file_perm.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/memutils.h"

#include "catalog/lake_rows_int.h"
#include "catalog/lh_catalog.h"
#include "objstore/objstore.h"

static bool marked = false;		/* this backend's database */

void
lake_make_marker_dir(void)
{
	if (MakePGDirectory(LAKE_MARKER_DIR) < 0 && errno != EEXIST)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create directory \"%s\": %m", LAKE_MARKER_DIR)));
}

/* Durable before it is logged, as objects are (objstore/README.md). */
void
lake_marker_create(const char *name)
{
	char		path[MAXPGPATH];
	int			fd;

	lake_make_marker_dir();
	snprintf(path, sizeof(path), LAKE_MARKER_DIR "/%s", name);
	fd = OpenTransientFile(path, O_CREAT | O_WRONLY | PG_BINARY);
	if (fd < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create file \"%s\": %m", path)));
	CloseTransientFile(fd);
	fsync_fname(path, false);
	fsync_fname(LAKE_MARKER_DIR, true);
	lh_wal_log_marker(path, true);
}

/* Logged even if it is there: whoever made it may have died before that. */
void
lh_database_mark(void)
{
	char		name[16];

	if (marked)
		return;
	snprintf(name, sizeof(name), "%u", MyDatabaseId);
	lake_marker_create(name);
	marked = true;
}

void
lh_database_unmark(Oid database)
{
	char		path[MAXPGPATH];

	snprintf(path, sizeof(path), LAKE_MARKER_DIR "/%u", database);
	lh_wal_log_marker(path, false);
	if (unlink(path) < 0 && errno != ENOENT)
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not remove file \"%s\": %m", path)));
}

static bool
marker_exists(const char *name)
{
	char		path[MAXPGPATH];
	struct stat st;

	snprintf(path, sizeof(path), LAKE_MARKER_DIR "/%s", name);
	return stat(path, &st) == 0;
}

/*
 * A database made from this one reads its objects for ever: older versions
 * name them.
 */
void
lh_database_mark_cloned(Oid database)
{
	char		name[32];

	snprintf(name, sizeof(name), "%u", database);
	if (!marker_exists(name))
		return;					/* it has no lakehouse tables */
	snprintf(name, sizeof(name), "cloned-%u", database);
	lake_marker_create(name);
}

bool
lh_database_was_cloned(Oid database)
{
	char		name[32];

	snprintf(name, sizeof(name), "cloned-%u", database);
	return marker_exists(name);
}

List *
lh_database_marked(void)
{
	DIR		   *dir = AllocateDir(LAKE_MARKER_DIR);
	struct dirent *entry;
	List	   *databases = NIL;

	if (dir == NULL && errno == ENOENT)
		return NIL;
	while ((entry = ReadDirExtended(dir, LAKE_MARKER_DIR, LOG)) != NULL)
	{
		char	   *end;
		unsigned long oid = strtoul(entry->d_name, &end, 10);

		if (end != entry->d_name && *end == '\0' && oid != 0 && oid <= PG_UINT32_MAX)
			databases = lappend_oid(databases, (Oid) oid);
	}
	FreeDir(dir);
	return databases;
}
