/*
 * objstore.h
 *	  Object stores: named immutable byte strings under a location, written
 *	  once, read by ranges, listed and removed.
 *
 * A location is a URI such as file:///srv/lake/sales.  An object's name is
 * relative to it ("data/0001.parquet"): segments of [A-Za-z0-9._=-] joined by
 * single slashes, so that every reader of the lake spells it the same way.
 * This layer does not know what the bytes mean.
 *
 * Errors are raised with ereport(); each names the object and the location.
 * Structures that these functions return live in CurrentMemoryContext, except
 * LhStore, which lives as long as the backend.  See README.md.
 */
#ifndef LH_OBJSTORE_H
#define LH_OBJSTORE_H

#include "postgres.h"

#include "datatype/timestamp.h"

typedef struct LhStore LhStore;
typedef struct LhUpload LhUpload;
typedef struct LhFetch LhFetch;

/* ---- set-up and settings (call once, from _PG_init) ---- */

/*
 * Defines lakehouse.default_location, lakehouse.allowed_locations and
 * lakehouse.debug_fail_at.  Opens and creates nothing.
 */
extern void lh_objstore_init(void);

/* ---- locations ---- */

/* Where tables go that name no location; palloc'd, normalised. */
extern char *lh_store_default_location(void);

/*
 * The one spelling of a location (palloc'd): a trailing slash is dropped,
 * anything that two readers could take for two places is refused.
 */
extern char *lh_location_normalize(const char *location);

/* Is location the root, or under it on a segment boundary?  Both normalised. */
extern bool lh_location_is_under(const char *location, const char *root);

/*
 * May a table be put at this location?  Under the default location or a root
 * of lakehouse.allowed_locations everybody may; elsewhere only the privileged;
 * in the rest of the data directory nobody.  Raises INSUFFICIENT_PRIVILEGE.
 * lh_store_open() does not call it: who may use a table may read its objects.
 */
extern void lh_location_check(const char *location,
							  bool superuser_or_privileged);

/* ---- stores ---- */

/* Cheap after the first call for a location; does no I/O. */
extern LhStore *lh_store_open(const char *location);

extern const char *lh_store_location(const LhStore *store);

/* Absolute URI of an object; palloc'd. */
extern char *lh_store_uri(const LhStore *store, const char *name);

/*
 * The name of the object that a URI means, or NULL if it is not a proper
 * object of this store.  Every URI found in metadata must come through here:
 * others may have written it.  Points into uri.
 */
extern const char *lh_store_name_of_uri(const LhStore *store, const char *uri);

/* ---- writing ---- */

/*
 * A new object, invisible under its name until lh_upload_finish() returns,
 * then durable.  Names are never reused: if the name exists, finish raises
 * DUPLICATE_OBJECT and the existing object is untouched.
 *
 * The upload belongs to CurrentMemoryContext at begin, which must not outlive
 * the transaction: when it is reset or deleted (ERROR, subtransaction abort,
 * FATAL) an unfinished upload closes its file and removes what it wrote.
 * finish and abort free it.  After an error from write or finish the upload is
 * of no use except for abort.
 */
extern LhUpload *lh_upload_begin(LhStore *store, const char *name);
extern void lh_upload_write(LhUpload *upload, const void *data, size_t len);
extern int64 lh_upload_bytes(const LhUpload *upload);	/* taken so far */
extern void lh_upload_finish(LhUpload *upload);
extern void lh_upload_abort(LhUpload *upload);

/*
 * A small object at once.  With replace, whatever stood under the name is
 * replaced atomically (for version-hint.text only; never fetch such an object
 * by ranges, read it with lh_store_read_all).
 */
extern void lh_store_put(LhStore *store, const char *name,
						 const void *data, size_t len, bool replace);

/* ---- reading ---- */

/*
 * Submit starts a read of [offset, offset + len) into buf; many may be under
 * way.  buf is the caller's and must stay until wait or cancel, both of which
 * free the fetch; buf is not touched after they return.  A fetch forgotten by
 * an ERROR goes with its memory context.
 *
 * Problems are raised by wait, not by submit: UNDEFINED_FILE for a missing
 * object, DATA_CORRUPTED for one that is shorter than the range.  Waiting is
 * interruptible.
 */
extern LhFetch *lh_fetch_submit(LhStore *store, const char *name,
								int64 offset, int64 len, void *buf);
extern void lh_fetch_wait(LhFetch *fetch);
extern void lh_fetch_cancel(LhFetch *fetch);

/* The bytes [offset, offset + len) into buf; errors as of lh_fetch_wait. */
extern void lh_store_read(LhStore *store, const char *name, int64 offset, int64 len, void *buf);

/* Size in bytes; -1 if there is none and missing_ok. */
extern int64 lh_store_size(LhStore *store, const char *name, bool missing_ok);

/*
 * The whole object, palloc'd with a terminating zero byte, or NULL if there is
 * none and missing_ok.  Longer than limit is an error (PROGRAM_LIMIT_EXCEEDED):
 * say how much you are ready to hold.
 */
extern char *lh_store_read_all(LhStore *store, const char *name, int64 limit,
							   bool missing_ok, int64 *len);

/*
 * Closes the files that this backend keeps open for reading.  An open file
 * keeps the disk space of a removed object: call it where the backend learns
 * that objects it has read are gone.
 */
extern void lh_store_release_files(void);

/* ---- listing and removing ---- */

typedef struct LhObjectInfo
{
	const char *name;			/* valid during the callback */
	int64		size;
	TimestampTz mtime;
	bool		is_temp;		/* an upload in progress, or left by a crash */
	int			temp_pid;		/* whose upload; 0: of replay, on a former standby */
} LhObjectInfo;

typedef void (*LhListCallback) (const LhObjectInfo *object, void *arg);

/*
 * Calls back for each object whose name begins with prefix, in no promised
 * order; the callback may remove objects and may raise.  A missing directory
 * is an empty one.  Things that cannot be objects (symbolic links, names out
 * of the charset) are passed over: they are not ours.
 */
extern void lh_store_list(LhStore *store, const char *prefix,
						  LhListCallback callback, void *arg);

/*
 * Returns whether there was one; raises UNDEFINED_FILE if not, unless
 * missing_ok.  Accepts the temporary names that lh_store_list reports.  A
 * crash may bring a removed object back.
 */
extern bool lh_store_remove(LhStore *store, const char *name, bool missing_ok);

/*
 * The same for an object that queries could read: horizon is the transaction
 * that made it invisible.  It must be over for every snapshot of this server
 * (lh_store_may_remove), and standbys end, or wait for, their queries that may
 * still read the object, as they do for what VACUUM removes.
 */
extern bool lh_store_remove_seen(LhStore *store, const char *name,
								 bool missing_ok, TransactionId horizon);
extern bool lh_store_may_remove(TransactionId horizon);

/*
 * Removes empty directories below prefix ("" or "dir/"), deepest first, and
 * the prefix directory itself, at most up to the location.  Uploads that start
 * meanwhile make their directories again, unless this is called in a loop
 * without a pause.
 */
extern void lh_store_remove_empty_dirs(LhStore *store, const char *prefix);

/* ---- what standbys and backups get (README.md, "By WAL") ---- */

/*
 * Is the location in this cluster's data directory?  Then nobody else writes
 * there, and all copies of the cluster have a copy of their own.  Any other may
 * be shared with clusters made from a copy of this one.
 */
extern bool lh_location_is_private(const char *location);

/*
 * How a catalog keeps a location: the data directory is written as such, for it
 * has another path on a standby or after a restore.  Both palloc'd.
 */
extern char *lh_location_to_catalog(const char *location);
extern char *lh_location_from_catalog(const char *stored);

/*
 * Logs that a small file of ours in the data directory, no object, has been
 * written with that text, or is about to be removed (NULL).  path is relative.
 */
extern void lh_wal_log_marker(const char *path, const char *text);

/* ---- counters of this backend, ever growing ---- */

typedef struct LhStoreCounters
{
	int64		reads;			/* ranges and whole objects */
	int64		bytes_read;
	int64		writes;			/* objects published */
	int64		bytes_written;	/* also of uploads that were aborted */
	int64		opens;			/* objects opened for ranges (not found open) */
	int64		heads;			/* size requests */
	int64		lists;			/* directories read */
	int64		removes;
} LhStoreCounters;

extern const LhStoreCounters *lh_store_counters(void);

/* ---- fault points: how tests die, fail and fill the disk at a chosen step ---- */

/*
 * lakehouse.debug_fail_at = 'point[:n[:action]]' makes the n-th pass (1 by
 * default, counted in each process since the setting was made) of a point act,
 * once.  Actions: error (default) raises; kill sends SIGKILL to itself; stop
 * sends SIGSTOP; an errno name such as ENOSPC makes the step fail with it.
 * Every point must stand in the list in fault.c.
 *
 * LH_FAULT_POINT is a statement, for any step.  LH_FAULT_ERRNO stands before a
 * system call: it returns true with errno set if the call must be taken for
 * failed.
 */
#define LH_FAULT_POINT(name) \
	do { \
		if (unlikely(lh_fault_armed)) \
			lh_fault_point(name); \
	} while (0)
#define LH_FAULT_ERRNO(name) (unlikely(lh_fault_armed) && lh_fault_errno(name))

extern bool lh_fault_armed;
extern void lh_fault_point(const char *name);
extern bool lh_fault_errno(const char *name);

#endif							/* LH_OBJSTORE_H */
