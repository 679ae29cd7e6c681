/*
 * objstore_wal_int.h
 *	  What the WAL records of our resource manager look like.
 *
 * A path is relative to the data directory, or absolute; it has no terminating
 * zero.
 *
 *	WRITE		LhWalWrite (24 bytes), path, bytes of the object from offset on.
 *				The record that ends at size is the object's last one.
 *	WRITE_ZSTD	the same, the bytes compressed as one zstd frame
 *	REMOVE		LhWalRemove (8 bytes), path
 *	REMOVE_DIRS	LhWalRemove (8 bytes), path: empty directories at and below it
 */
#ifndef LH_OBJSTORE_WAL_INT_H
#define LH_OBJSTORE_WAL_INT_H

#include "postgres.h"

#include "port/pg_crc32c.h"

/*
 * Identifies our records in the WAL for ever.  To be reserved at
 * https://wiki.postgresql.org/wiki/CustomWALResourceManagers
 */
#define LH_RMGR_ID			200

#define LH_WAL_WRITE		0x00
#define LH_WAL_REMOVE		0x10
#define LH_WAL_REMOVE_DIRS	0x20
#define LH_WAL_WRITE_ZSTD	0x30

#define LH_WAL_CHUNK		(128 * 1024)

typedef struct LhWalWrite
{
	int64		offset;
	int64		size;			/* of the whole object */
	pg_crc32c	crc;			/* CRC-32C of the whole object */
	uint32		path_len;
} LhWalWrite;

StaticAssertDecl(sizeof(LhWalWrite) == 24, "size of a WAL record's header");

typedef struct LhWalRemove
{
	TransactionId horizon;		/* made it invisible; invalid: nobody could see it */
	Oid			database;		/* whose queries may have seen it */
} LhWalRemove;

StaticAssertDecl(sizeof(LhWalRemove) == 8, "size of a WAL record's header");

#endif							/* LH_OBJSTORE_WAL_INT_H */
