/*
 * wal_redo.c
 *	  Our WAL resource manager: replays what wal_log.c has logged.
 *
 * Replay keeps nothing in memory.  An object grows under a temporary name and
 * gets its own when it is whole and durable; what was begun before a crash is
 * begun anew or, if it had been finished, left alone.  A record may come for
 * what is already there, or, after a base backup, for what is already gone;
 * neither is an error.  What the disk refuses (no space) is: replay stops, as
 * it does for heap.
 *
 * It runs in the startup process, in the data directory.
 */
#include "postgres.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "access/rmgr.h"
#include "access/xlog_internal.h"
#include "access/xlogreader.h"
#include "access/xlogutils.h"
#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/memutils.h"

#include "objstore/objstore_int.h"
#include "objstore/objstore_wal_int.h"
#include "types/pg_compat.h"

#define COPY_BUFFER		(64 * 1024)

bool		lh_wal_registered = false;

static MemoryContext redo_context = NULL;

/* ---- records ---- */

static uint8
get_info(XLogReaderState *record)
{
	return XLogRecGetInfo(record) & ~XLR_INFO_MASK;
}

/* Copies the path out of a record; ends replay if it cannot be one of ours. */
static void
get_path(const char *from, size_t len, char *path)
{
	if (len == 0 || len >= MAXPGPATH - 32)
		elog(PANIC, "lakehouse WAL record has a path of %zu bytes", len);
	memcpy(path, from, len);
	path[len] = '\0';
}

/* The bytes of the object, as the record has them. */
static const char *
get_write(XLogReaderState *record, LhWalWrite *header, char *path, size_t *len)
{
	char	   *data = XLogRecGetData(record);
	size_t		total = XLogRecGetDataLen(record);

	memcpy(header, data, sizeof(*header));
	get_path(data + sizeof(*header), header->path_len, path);
	data += sizeof(*header) + header->path_len;
	*len = total - sizeof(*header) - header->path_len;
	return data;
}

static void
get_remove(XLogReaderState *record, LhWalRemove *header, char *path)
{
	char	   *data = XLogRecGetData(record);

	memcpy(header, data, sizeof(*header));
	get_path(data + sizeof(*header), XLogRecGetDataLen(record) - sizeof(*header), path);
}

/* ---- files ---- */

/* The CRC-32C of an open file from its start, and whether it has size bytes. */
static bool
has_content(int fd, int64 size, pg_crc32c expected)
{
	char	   *buffer;
	struct stat st;
	pg_crc32c	crc;
	int64		done = 0;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size != size)
		return false;
	buffer = palloc(COPY_BUFFER);
	INIT_CRC32C(crc);
	while (done < size)
	{
		ssize_t		got = pg_pread(fd, buffer, COPY_BUFFER, done);

		if (got <= 0)
			break;
		COMP_CRC32C(crc, buffer, got);
		done += got;
	}
	FIN_CRC32C(crc);
	pfree(buffer);
	return done == size && EQ_CRC32C(crc, expected);
}

static bool
is_whole(const char *path, int64 size, pg_crc32c crc)
{
	int			fd = OpenTransientFile(path, O_RDONLY | O_NOFOLLOW | PG_BINARY);
	bool		whole;

	if (fd < 0)
		return false;
	whole = has_content(fd, size, crc);
	CloseTransientFile(fd);
	return whole;
}

/* Makes the way to path durable, up to the data directory or the root. */
static void
sync_way(const char *path)
{
	char		dir[MAXPGPATH];
	char	   *slash;

	if (!enableFsync)
		return;
	strlcpy(dir, path, MAXPGPATH);
	while ((slash = strrchr(dir, '/')) != NULL && slash != dir)
	{
		*slash = '\0';
		fsync_fname(dir, true);
	}
	if (path[0] != '/')
		fsync_fname(".", true);
}

/* Short, and the same each time (LH_REPLAY_SUFFIX). */
static void
get_temp_path(const char *path, char *temp_path)
{
	const char *slash = strrchr(path, '/');
	int			dir_len = slash != NULL ? slash + 1 - path : 0;
	uint64		hash = hash_bytes_extended((const unsigned char *) path, strlen(path), 0);

	snprintf(temp_path, MAXPGPATH, "%.*s" LH_HEX64 LH_REPLAY_SUFFIX, dir_len, path, hash);
}

static int
open_temp(const char *path, const char *temp_path, bool begin)
{
	int			flags = O_RDWR | O_NOFOLLOW | PG_BINARY | (begin ? O_CREAT | O_TRUNC : 0);
	int			fd = OpenTransientFilePerm(temp_path, flags, S_IRUSR | S_IWUSR);

	if (fd < 0 && errno == ENOENT && begin)
	{
		if (!lh_local_make_parents(path))
			lh_path_error(ERROR, path, "create the directory of");
		fd = OpenTransientFilePerm(temp_path, flags, S_IRUSR | S_IWUSR);
	}
	if (fd < 0 && (errno != ENOENT || begin))
		lh_path_error(ERROR, temp_path, "open");
	return fd;
}

static void
write_at(int fd, const char *temp_path, const char *data, size_t len, int64 offset)
{
	while (len > 0)
	{
		ssize_t		written;

		errno = 0;
		written = pg_pwrite(fd, data, len, offset);
		if (written <= 0)
		{
			if (errno == EINTR)
				continue;
			if (errno == 0)
				errno = ENOSPC;
			lh_path_error(ERROR, temp_path, "write");
		}
		data += written;
		len -= written;
		offset += written;
	}
}

/*
 * The last piece is written.  If the beginning is not there, replay began in
 * the middle of the object: then it was in its place before that, and if it
 * is not there now, its removal follows in the WAL.
 */
static void
finish_object(int fd, const char *path, const char *temp_path, const LhWalWrite *header)
{
	if (!has_content(fd, header->size, header->crc))
	{
		if (!is_whole(path, header->size, header->crc))
			ereport(WARNING,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("object \"%s\" is incomplete in the WAL", path),
					 errdetail("This is harmless if its removal follows.")));
		CloseTransientFile(fd);
		if (unlink(temp_path) != 0)
			lh_path_error(WARNING, temp_path, "remove");
		return;
	}
	if (fchmod(fd, lh_local_file_mode(path)) != 0)
		lh_path_error(WARNING, temp_path, "set permissions of");
	if (pg_fsync(fd) != 0)
		lh_path_error(ERROR, temp_path, "fsync");
	CloseTransientFile(fd);
	if (rename(temp_path, path) != 0)
		lh_path_error(ERROR, path, "rename a file to");
	sync_way(path);
}

/* ---- replay ---- */

static const char *
decompress(const char *packed, size_t packed_len, size_t *len)
{
	char	   *plain = palloc(LH_WAL_CHUNK);

	*len = ZSTD_decompress(plain, LH_WAL_CHUNK, packed, packed_len);
	if (ZSTD_isError(*len))
		elog(PANIC, "lakehouse WAL record has no zstd frame: %s", ZSTD_getErrorName(*len));
	return plain;
}

static void
redo_write(XLogReaderState *record)
{
	char		path[MAXPGPATH];
	char		temp_path[MAXPGPATH];
	LhWalWrite	header;
	size_t		len;
	const char *data = get_write(record, &header, path, &len);
	int			fd;

	get_temp_path(path, temp_path);
	if (header.offset == 0 && is_whole(path, header.size, header.crc))
	{
		/* without the temporary file, what follows of it is passed over */
		if (unlink(temp_path) != 0 && errno != ENOENT)
			lh_path_error(ERROR, temp_path, "remove");
		return;
	}
	fd = open_temp(path, temp_path, header.offset == 0);
	if (fd < 0)
		return;
	if (get_info(record) == LH_WAL_WRITE_ZSTD)
		data = decompress(data, len, &len);
	write_at(fd, temp_path, data, len, header.offset);
	if (header.offset + len == header.size)
		finish_object(fd, path, temp_path, &header);
	else
		CloseTransientFile(fd);
}

static void
remove_file(const char *path)
{
	if (unlink(path) != 0 && errno != ENOENT && errno != ENOTDIR)
		lh_path_error(LOG, path, "remove");
}

static void
redo_remove(XLogReaderState *record)
{
	char		path[MAXPGPATH];
	char		temp_path[MAXPGPATH];
	LhWalRemove header;

	get_remove(record, &header, path);
	if (InHotStandby && TransactionIdIsValid(header.horizon))
		lh_resolve_conflict(header.horizon, header.database);
	remove_file(path);
	/* left by one whose logging ended in the middle */
	get_temp_path(path, temp_path);
	remove_file(temp_path);
}

static void
redo_remove_dirs(XLogReaderState *record)
{
	char		path[MAXPGPATH];
	LhWalRemove header;

	get_remove(record, &header, path);
	(void) lh_local_remove_empty_tree(path, 0, LOG);
}

static void
redo(XLogReaderState *record)
{
	MemoryContext old = MemoryContextSwitchTo(redo_context);

	switch (get_info(record))
	{
		case LH_WAL_WRITE:
		case LH_WAL_WRITE_ZSTD:
			redo_write(record);
			break;
		case LH_WAL_REMOVE:
			redo_remove(record);
			break;
		case LH_WAL_REMOVE_DIRS:
			redo_remove_dirs(record);
			break;
		default:
			elog(PANIC, "unknown lakehouse WAL record %u", get_info(record));
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(redo_context);
}

/* ---- the resource manager ---- */

static void
describe(StringInfo buf, XLogReaderState *record)
{
	char		path[MAXPGPATH];
	uint8		info = get_info(record);

	if (info == LH_WAL_WRITE || info == LH_WAL_WRITE_ZSTD)
	{
		LhWalWrite	header;
		size_t		len;

		(void) get_write(record, &header, path, &len);
		appendStringInfo(buf, "%s offset " INT64_FORMAT " len %zu of " INT64_FORMAT ", crc %08X",
						 path, header.offset, len, header.size, header.crc);
	}
	else
	{
		LhWalRemove header;

		get_remove(record, &header, path);
		appendStringInfo(buf, "%s horizon %u database %u", path, header.horizon, header.database);
	}
}

static const char *
identify(uint8 info)
{
	switch (info & ~XLR_INFO_MASK)
	{
		case LH_WAL_WRITE:
			return "WRITE";
		case LH_WAL_REMOVE:
			return "REMOVE";
		case LH_WAL_REMOVE_DIRS:
			return "REMOVE_DIRS";
		case LH_WAL_WRITE_ZSTD:
			return "WRITE_ZSTD";
	}
	return NULL;
}

static void
startup(void)
{
	redo_context = AllocSetContextCreate(CurrentMemoryContext, "lakehouse replay",
										 ALLOCSET_DEFAULT_SIZES);
}

static void
cleanup(void)
{
	MemoryContextDelete(redo_context);
	redo_context = NULL;
}

/* Only shared_preload_libraries may do this; otherwise nothing is logged. */
void
lh_wal_register(void)
{
	static RmgrData rmgr = {
		.rm_name = "lakehouse",
		.rm_redo = redo,
		.rm_desc = describe,
		.rm_identify = identify,
		.rm_startup = startup,
		.rm_cleanup = cleanup,
	};

	if (!process_shared_preload_libraries_in_progress)
		return;
	RegisterCustomRmgr(LH_RMGR_ID, &rmgr);
	lh_wal_registered = true;
}
