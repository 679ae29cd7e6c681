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
#include "types/pg_compat.h"

#define INCARNATION_FILE	LAKE_MARKER_DIR "/incarnation"

#define ID_BYTES			8

static uint64 incarnation = 0;	/* 0: not known yet in this process */

/* The id in the file, if the file is ours; otherwise 0. */
static uint64
read_id(void)
{
	unsigned long long inode;
	unsigned long long id;
	unsigned int timeline;
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
		fscanf(file, "%u %llu %llx", &timeline, &inode, &id) == 3 &&
		timeline == GetWALInsertionTimeLine() && inode == (unsigned long long) st.st_ino)
		result = id;
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
		fprintf(file, "%u %llu %016llx\n", GetWALInsertionTimeLine(),
				(unsigned long long) st.st_ino, (unsigned long long) id) < 0)
		write_failed(path);
	if (FreeFile(file) != 0)
		write_failed(path);
	(void) durable_rename(path, INCARNATION_FILE, ERROR);
}

/* In the form of the first half of a random (version 4) UUID. */
static uint64
draw_id(void)
{
	pg_uuid_t	uuid;
	uint64		id = 0;

	lh_random_uuid(&uuid);
	for (int i = 0; i < ID_BYTES; i++)
		id = id << 8 | uuid.data[i];
	return id;
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
		char		marker[64];

		id = draw_id();
		snprintf(marker, sizeof(marker), "was-" LH_HEX64, id);
		lake_marker_create(marker);
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

	snprintf(path, sizeof(path), LAKE_MARKER_DIR "/was-" LH_HEX64, id);
	return stat(path, &st) == 0;
}

void
lh_incarnation_uuid(pg_uuid_t *uuid)
{
	uint64		id = lh_incarnation();

	lh_random_uuid(uuid);
	for (int i = 0; i < ID_BYTES; i++)
		uuid->data[i] = (unsigned char) (id >> (8 * (ID_BYTES - 1 - i)));
}

/*
 * Data files begin with the id; metadata has it as the first half of a UUID
 * somewhere in the name.
 */
bool
lh_object_is_ours(const char *name)
{
	uint64		id = lh_incarnation();
	const char *base = strrchr(name, '/');
	char		plain[32];
	char		dashed[32];

	base = base != NULL ? base + 1 : name;
	snprintf(plain, sizeof(plain), LH_HEX64 "-", id);
	snprintf(dashed, sizeof(dashed), "%08x-%04x-%04x-", (uint32) (id >> 32),
			 (uint32) (id >> 16) & 0xffff, (uint32) id & 0xffff);
	return strncmp(base, plain, strlen(plain)) == 0 || strstr(base, dashed) != NULL;
}
