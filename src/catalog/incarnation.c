/*
 * incarnation.c
 *	  Who we are: a random id of this cluster on this timeline.  It stands in
 *	  the names of the objects that it writes.
 *
 * A cluster made from a copy of another (a promoted standby, a restored backup,
 * a copied directory) has its transaction ids, OIDs and system identifier, and
 * goes on counting like it.  Where both write to shared storage, only what is
 * drawn after the copy tells them apart.
 *
 * $PGDATA/pg_lakehouse/incarnation holds the id with the timeline and the
 * file's own inode number.  If either is another, the file has been copied or
 * the timeline has ended: a new id is drawn.  The file does not travel by WAL.
 * What does is an empty file was-<id> for each id drawn, so that everybody
 * knows his ancestors.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/lwlock.h"

#include "catalog/lake_rows_int.h"
#include "catalog/lh_catalog.h"

#define INCARNATION_FILE	LAKE_MARKER_DIR "/incarnation"

static uint64 incarnation = 0;	/* 0: not known yet in this process */

/* The id in the file, if the file is ours; otherwise 0. */
static uint64
read_id(void)
{
	unsigned long long inode;
	unsigned int timeline;
	char		id[32];
	struct stat st;
	FILE	   *file = AllocateFile(INCARNATION_FILE, "r");
	uint64		result = 0;

	if (file == NULL)
	{
		if (errno != ENOENT)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not open file \"%s\": %m", INCARNATION_FILE)));
		return 0;
	}
	if (fstat(fileno(file), &st) == 0 &&
		fscanf(file, "%u %llu %31s", &timeline, &inode, id) == 3 &&
		timeline == GetWALInsertionTimeLine() && inode == (unsigned long long) st.st_ino &&
		!lh_incarnation_parse(id, &result))
		result = 0;
	FreeFile(file);
	return result;
}

static void
write_failed(const char *path)
{
	ereport(ERROR,
			(errcode_for_file_access(),
			 errmsg("could not write file \"%s\": %m", path)));
}

/* Renaming keeps the inode number. */
static void
write_id(uint64 id)
{
	char		path[MAXPGPATH];
	struct stat st;
	FILE	   *file;

	snprintf(path, sizeof(path), INCARNATION_FILE ".%d", MyProcPid);
	file = AllocateFile(path, "w");
	if (file == NULL || fstat(fileno(file), &st) != 0 ||
		fprintf(file, "%u %llu %s\n", GetWALInsertionTimeLine(),
				(unsigned long long) st.st_ino, lh_incarnation_text(id)) < 0)
		write_failed(path);
	if (FreeFile(file) != 0)
		write_failed(path);
	(void) durable_rename(path, INCARNATION_FILE, ERROR);
}

uint64
lh_incarnation(void)
{
	uint64		id;

	if (incarnation != 0)
		return incarnation;
	lake_make_marker_dir();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	id = read_id();
	if (id == 0)
	{
		id = (uint64) lh_random_id() % LH_INCARNATIONS;
		lake_marker_create(psprintf("was-%s", lh_incarnation_text(id)));
		write_id(id);
	}
	LWLockRelease(AddinShmemInitLock);
	incarnation = id;
	return id;
}

/* Is it our own id, or that of a cluster that we are a copy of? */
bool
lh_incarnation_is_ancestor(uint64 id)
{
	char		path[MAXPGPATH];
	struct stat st;

	snprintf(path, sizeof(path), LAKE_MARKER_DIR "/was-%s", lh_incarnation_text(id));
	return stat(path, &st) == 0;
}
