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

#include "catalog/lh_catalog.h"

#define MARKER_DIR "pg_lakehouse"

static bool marked = false;		/* this backend's database */

void
lh_database_mark(void)
{
	char		path[MAXPGPATH];
	int			fd;

	if (marked)
		return;
	if (MakePGDirectory(MARKER_DIR) < 0 && errno != EEXIST)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create directory \"%s\": %m", MARKER_DIR)));
	snprintf(path, sizeof(path), MARKER_DIR "/%u", MyDatabaseId);
	fd = OpenTransientFile(path, O_CREAT | O_WRONLY | PG_BINARY);
	if (fd < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create file \"%s\": %m", path)));
	CloseTransientFile(fd);
	fsync_fname(path, false);
	fsync_fname(MARKER_DIR, true);
	marked = true;
}

void
lh_database_unmark(Oid database)
{
	char		path[MAXPGPATH];

	snprintf(path, sizeof(path), MARKER_DIR "/%u", database);
	if (unlink(path) < 0 && errno != ENOENT)
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not remove file \"%s\": %m", path)));
}

List *
lh_database_marked(void)
{
	DIR		   *dir = AllocateDir(MARKER_DIR);
	struct dirent *entry;
	List	   *databases = NIL;

	if (dir == NULL && errno == ENOENT)
		return NIL;
	while ((entry = ReadDirExtended(dir, MARKER_DIR, LOG)) != NULL)
	{
		char	   *end;
		unsigned long oid = strtoul(entry->d_name, &end, 10);

		if (end != entry->d_name && *end == '\0' && oid != 0 && oid <= PG_UINT32_MAX)
			databases = lappend_oid(databases, (Oid) oid);
	}
	FreeDir(dir);
	return databases;
}
