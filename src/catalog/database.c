/*
 * database.c
 *	  Markers of the databases that may have lakehouse tables: empty files in
 *	  $PGDATA/pg_lakehouse, named by database OID.  Beside them, cloned-<OID>:
 *	  a database has been made from that one; which of its transactions may
 *	  have written what the clone reads.
 */
#include "postgres.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/transam.h"
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
	lh_wal_log_marker(path, "");
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
	lh_wal_log_marker(path, NULL);
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
 * name them.  They are those of transactions before the next one, as nobody
 * can work in a database that is being copied.
 */
void
lh_database_mark_cloned(Oid database)
{
	char		path[MAXPGPATH];
	char		temp_path[MAXPGPATH];
	char		text[32];
	FILE	   *file;

	snprintf(path, sizeof(path), "%u", database);
	if (!marker_exists(path))
		return;					/* it has no lakehouse tables */
	snprintf(path, sizeof(path), LAKE_MARKER_DIR "/cloned-%u", database);
	snprintf(temp_path, sizeof(temp_path), "%s.%d", path, MyProcPid);
	snprintf(text, sizeof(text), UINT64_FORMAT "\n", U64FromFullTransactionId(ReadNextFullTransactionId()));
	file = AllocateFile(temp_path, "w");
	if (file == NULL || fputs(text, file) == EOF || FreeFile(file) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not write file \"%s\": %m", temp_path)));
	(void) durable_rename(temp_path, path, ERROR);
	lh_wal_log_marker(path, text);
}

uint64
lh_database_cloned_at(Oid database)
{
	char		path[MAXPGPATH];
	uint64		fxid;
	FILE	   *file;

	snprintf(path, sizeof(path), LAKE_MARKER_DIR "/cloned-%u", database);
	file = AllocateFile(path, "r");
	if (file == NULL && errno == ENOENT)
		return 0;
	if (file == NULL || fscanf(file, UINT64_FORMAT, &fxid) != 1)
		fxid = PG_UINT64_MAX;	/* all may be needed */
	if (file != NULL)
		FreeFile(file);
	return fxid;
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
