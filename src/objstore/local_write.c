/*
 * local_write.c
 *	  Uploads to a local directory: a temporary file beside the target, fsync,
 *	  create-only publish, fsync of the directories.
 *
 * The file is a virtual one of Postgres's, so that a statement that writes to
 * a thousand partitions keeps within the limit of open files.  It is new and
 * nobody else's, so a failed fsync only loses this upload: no PANIC, and no
 * second fsync, which would not tell the truth.
 */
#include "postgres.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/transam.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "port/pg_crc32c.h"
#include "storage/fd.h"
#include "utils/wait_event.h"

#include "objstore/objstore_int.h"

/* How often to begin again when directories vanish or names are taken. */
#define MAX_CREATE_TRIES	100

#define TEMP_STEM_BYTES		30

typedef struct LocalUpload
{
	LhStore    *store;
	const char *name;
	char		path[MAXPGPATH];
	char		temp_path[MAXPGPATH];
	bool		temp_exists;
	File		file;			/* 0 if not open */
	off_t		size;
	pg_crc32c	crc;			/* of all that was appended, if it travels by WAL */
	bool		travels;
} LocalUpload;

/*
 * Two processes, one making directories and one removing them, can keep in
 * step with each other for long; up to a millisecond of sleep ends that.
 */
static void
fall_out_of_step(void)
{
	int			save_errno = errno;

	CHECK_FOR_INTERRUPTS();
	pg_usleep((long) (pg_prng_double(&pg_global_prng_state) * 1000));
	errno = save_errno;
}

/* A temporary name begins as the object's does, but must not be longer. */
static int
temp_stem_len(const char *path)
{
	const char *base = strrchr(path, '/') + 1;

	return base - path + Min(strlen(base), TEMP_STEM_BYTES);
}

/*
 * Makes the temporary file.  Its directory may be missing, or go away under
 * us when somebody removes empty ones.  Its name may be taken, by a crashed
 * process with our pid: that happens when a container starts anew.
 */
static void
create_temp(LocalUpload *upload)
{
	static uint64 counter = 0;

	for (int tries = 0; tries < MAX_CREATE_TRIES; tries++)
	{
		snprintf(upload->temp_path, MAXPGPATH, "%.*s.tmp-%d-" UINT64_FORMAT,
				 temp_stem_len(upload->path), upload->path, MyProcPid, ++counter);
		upload->file = -1;
		if (!LH_FAULT_ERRNO("upload.create"))
			upload->file = PathNameOpenFilePerm(upload->temp_path,
												O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | PG_BINARY,
												S_IRUSR | S_IWUSR);
		if (upload->file >= 0)
			return;
		upload->file = 0;
		/* Making the parents may meet ENOENT as well: somebody removes them. */
		if (errno == ENOENT && lh_local_make_parents(upload->path))
			errno = ENOENT;
		if (errno != ENOENT && errno != EEXIST)
			break;
		if (tries > 2)
			fall_out_of_step();
	}
	lh_object_error(upload->store, upload->name, "create");
}

void
lh_local_upload_begin(LhStore *store, const char *name, void **state)
{
	LocalUpload *upload = palloc0(sizeof(LocalUpload));

	upload->store = store;
	upload->name = name;
	lh_local_path(store, name, upload->path);
	if (strlen(upload->path) > lh_local_path_limit(upload->path))
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("name of object \"%s\" is too long", name),
				 errdetail("Base backups take paths of at most %d bytes in the data directory.  The location is \"%s\".",
						   LH_BACKUP_PATH_MAX, store->location)));
	upload->travels = lh_wal_path(upload->path, NULL);
	INIT_CRC32C(upload->crc);
	*state = upload;

	create_temp(upload);
	upload->temp_exists = true;
	if (chmod(upload->temp_path, lh_local_file_mode(upload->path)) != 0)
		lh_object_error(store, name, "set permissions of");
}

void
lh_local_upload_append(void *state, const void *data, size_t len)
{
	LocalUpload *upload = (LocalUpload *) state;
	char	   *bytes = unconstify(char *, (const char *) data);
	off_t		start = upload->size;

	if (upload->travels)
		COMP_CRC32C(upload->crc, data, len);
	while (len > 0)
	{
		int			amount = (int) Min(len, 1024 * 1024);
		int64		written = -1;

		if (!LH_FAULT_ERRNO("upload.write"))
		{
			errno = 0;
			written = FileWrite(upload->file, bytes, amount, upload->size,
								PG_WAIT_EXTENSION);
			/* Less than asked for without a reason: no space, as core has it. */
			if (written == 0 && errno == 0)
				errno = ENOSPC;
		}
		if (written <= 0)
			lh_object_error(upload->store, upload->name, "write");
		bytes += written;
		len -= written;
		upload->size += written;
	}

	/* Begin writing it back, so that the fsync at the end finds little left. */
	FileWriteback(upload->file, start, upload->size - start, PG_WAIT_EXTENSION);
}

/*
 * Gives the temporary file its name, if that is free.  rename without
 * replacing is one step and leaves no second name; file systems that do not
 * know it (NFS) know link.
 */
static bool
rename_if_free(const char *from, const char *to)
{
	struct stat before;
	struct stat after;

#ifdef RENAME_NOREPLACE
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
		return true;
	if (errno != EINVAL && errno != ENOSYS)
		return false;
#endif
	if (link(from, to) != 0)
	{
		int			save_errno = errno;

		/* NFS may repeat a link whose answer got lost, and find it done. */
		if (errno != EEXIST ||
			lstat(from, &before) != 0 || lstat(to, &after) != 0 ||
			before.st_dev != after.st_dev || before.st_ino != after.st_ino)
		{
			errno = save_errno;
			return false;
		}
	}
	/* A second name left by a crash here is a temporary file like any other. */
	(void) unlink(from);
	return true;
}

static bool
give_name(LocalUpload *upload, bool replace)
{
	bool		done;

	pgstat_report_wait_start(PG_WAIT_EXTENSION);
	if (replace)
		done = (rename(upload->temp_path, upload->path) == 0);
	else
		done = rename_if_free(upload->temp_path, upload->path);
	pgstat_report_wait_end();
	return done;
}

/*
 * The object is in its place and durable before the WAL tells of it: see "By
 * WAL" in README.md.  Whoever cancels us meanwhile leaves nothing behind, as
 * nobody has been told the name yet.
 */
static void
log_object(LocalUpload *upload, bool replace)
{
	FIN_CRC32C(upload->crc);
	PG_TRY();
	{
		LH_FAULT_POINT("upload.log");
		lh_wal_log_object(upload->path, upload->size, upload->crc);
	}
	PG_CATCH();
	{
		if (!replace)
		{
			lh_wal_log_remove(upload->path, InvalidTransactionId);
			(void) unlink(upload->path);
		}
		PG_RE_THROW();
	}
	PG_END_TRY();
}

void
lh_local_upload_publish(void *state, bool replace)
{
	LocalUpload *upload = (LocalUpload *) state;

	if (LH_FAULT_ERRNO("upload.sync") ||
		FileSync(upload->file, PG_WAIT_EXTENSION) != 0)
		lh_object_error(upload->store, upload->name, "fsync");
	FileClose(upload->file);
	upload->file = 0;

	if (LH_FAULT_ERRNO("upload.publish") || !give_name(upload, replace))
	{
		if (errno == EEXIST)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("object \"%s\" already exists", upload->name),
					 errdetail("The location is \"%s\".",
							   upload->store->location)));
		lh_object_error(upload->store, upload->name, "publish");
	}

	/* From here on the object is there, and an error leaves it there. */
	upload->temp_exists = false;
	if (replace)
		lh_local_forget(upload->path);
	LH_FAULT_POINT("upload.published");
	lh_local_sync_parents(upload->store, upload->name);
	if (upload->travels)
		log_object(upload, replace);
}

/* Runs while a transaction is being torn down: reports, but never raises. */
void
lh_local_upload_discard(void *state)
{
	LocalUpload *upload = (LocalUpload *) state;

	if (upload->file > 0)
		FileClose(upload->file);
	upload->file = 0;
	if (upload->temp_exists && unlink(upload->temp_path) != 0 && errno != ENOENT)
		lh_path_error(LOG, upload->temp_path, "remove temporary file");
	upload->temp_exists = false;
}
