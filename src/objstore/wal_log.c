/*
 * wal_log.c
 *	  Objects into the WAL, so that standbys, base backups and point-in-time
 *	  recovery have them.
 *
 * Nothing here is needed for crash recovery: objects are durable before they
 * are logged.  So with wal_level = minimal nothing is logged.
 *
 * Replay begins at a checkpoint's redo pointer, and whatever was logged before
 * must by then be on disk, here and on a standby.  Here it is, since objects
 * are logged last.  On a standby an object is on disk when its last record has
 * been replayed; so no checkpoint may complete whose redo pointer lies between
 * the first and the last record of an object.  That is what delayChkptFlags is
 * for.  README.md, "By WAL", has the whole argument.
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>
#include <zstd.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "access/xloginsert.h"
#include "common/string.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/proc.h"

#include "objstore/objstore_int.h"
#include "objstore/objstore_wal_int.h"

/*
 * Does what lies at an absolute path travel?  Then wal_path, if not NULL, is
 * how the WAL calls it: relative to the data directory where it can be.
 */
bool
lh_wal_path(const char *path, char *wal_path)
{
	size_t		len = strlen(DataDir);

	if (!lh_wal_registered || !XLogIsNeeded() || !lh_location_travels(path))
		return false;
	if (wal_path != NULL)
	{
		if (strncmp(path, DataDir, len) == 0 && path[len] == '/')
			path += len + 1;
		strlcpy(wal_path, path, MAXPGPATH);
	}
	return true;
}

static void
insert_record(uint8 info, void *header, size_t header_len, const char *wal_path,
			  const char *data, size_t len)
{
	XLogBeginInsert();
	XLogRegisterData((char *) header, header_len);
	XLogRegisterData(unconstify(char *, wal_path), strlen(wal_path));
	if (len > 0)
		XLogRegisterData(unconstify(char *, data), len);
	(void) XLogInsert(LH_RMGR_ID, info);
}

/* One piece, compressed if that saves an eighth; packed has room for the worst. */
static void
insert_piece(LhWalWrite *header, const char *wal_path, const char *piece, size_t len, char *packed)
{
	size_t		packed_len = 0;

	if (packed != NULL)
		packed_len = ZSTD_compress(packed, ZSTD_COMPRESSBOUND(LH_WAL_CHUNK), piece, len, 1);
	/* an error code is more than any length */
	if (packed != NULL && packed_len < len - len / 8)
		insert_record(LH_WAL_WRITE_ZSTD, header, sizeof(*header), wal_path, packed, packed_len);
	else
		insert_record(LH_WAL_WRITE, header, sizeof(*header), wal_path, piece, len);
}

static void
insert_chunks(int fd, const char *path, const char *wal_path, int64 size, uint32 crc)
{
	char	   *buffer = palloc(LH_WAL_CHUNK);
	/* metadata repeat themselves, Parquet's pages are compressed */
	char	   *packed = pg_str_endswith(path, ".parquet") ? NULL : palloc(ZSTD_COMPRESSBOUND(LH_WAL_CHUNK));
	LhWalWrite	header = {0};

	header.size = size;
	header.crc = crc;
	header.path_len = strlen(wal_path);
	do
	{
		size_t		len = Min(size - header.offset, LH_WAL_CHUNK);

		CHECK_FOR_INTERRUPTS();
		LH_FAULT_POINT("upload.log_chunk");
		if (len > 0 && pg_pread(fd, buffer, len, header.offset) != len)
			lh_path_error(ERROR, path, "read");
		insert_piece(&header, wal_path, buffer, len, packed);
		header.offset += len;
	} while (header.offset < size);
	pfree(buffer);
	if (packed != NULL)
		pfree(packed);
}

/* The object at path, which is whole and durable, if it travels. */
void
lh_wal_log_object(const char *path, int64 size, uint32 crc)
{
	char		wal_path[MAXPGPATH];
	bool		many = size > LH_WAL_CHUNK;
	int			fd;

	if (!lh_wal_path(path, wal_path))
		return;
	fd = OpenTransientFile(path, O_RDONLY | PG_BINARY);
	if (fd < 0)
		lh_path_error(ERROR, path, "open");

	/* the checkpointer waits only for processes in a transaction */
	Assert(!many || IsTransactionState());
	Assert((MyProc->delayChkptFlags & DELAY_CHKPT_START) == 0);
	if (many)
		MyProc->delayChkptFlags |= DELAY_CHKPT_START;
	PG_TRY();
	{
		insert_chunks(fd, path, wal_path, size, crc);
	}
	PG_FINALLY();
	{
		if (many)
			MyProc->delayChkptFlags &= ~DELAY_CHKPT_START;
	}
	PG_END_TRY();
	CloseTransientFile(fd);
}

static void
insert_remove(const char *wal_path, TransactionId horizon)
{
	LhWalRemove header = {0};

	header.horizon = horizon;
	header.database = MyDatabaseId;
	insert_record(LH_WAL_REMOVE, &header, sizeof(header), wal_path, NULL, 0);
}

void
lh_wal_log_remove(const char *path, TransactionId horizon)
{
	char		wal_path[MAXPGPATH];

	if (lh_wal_path(path, wal_path))
		insert_remove(wal_path, horizon);
}

void
lh_wal_log_remove_dirs(const char *path)
{
	char		wal_path[MAXPGPATH];
	LhWalRemove header = {0};

	if (lh_wal_path(path, wal_path))
		insert_record(LH_WAL_REMOVE_DIRS, &header, sizeof(header), wal_path, NULL, 0);
}

/* Markers travel whatever the settings say of objects. */
void
lh_wal_log_marker(const char *path, const char *text)
{
	LhWalWrite	header = {0};
	pg_crc32c	crc;

	if (!lh_wal_registered || !XLogIsNeeded())
		return;
	if (text == NULL)
	{
		insert_remove(path, InvalidTransactionId);
		return;
	}
	header.size = strlen(text);
	INIT_CRC32C(crc);
	COMP_CRC32C(crc, text, header.size);
	FIN_CRC32C(crc);
	header.crc = crc;
	header.path_len = strlen(path);
	insert_record(LH_WAL_WRITE, &header, sizeof(header), path, text, header.size);
}
