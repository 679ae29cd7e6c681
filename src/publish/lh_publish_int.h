/*
 * lh_publish_int.h
 *	  The publisher's shared memory, and its parts.
 */
#ifndef LH_PUBLISH_INT_H
#define LH_PUBLISH_INT_H

#include "postgres.h"

#include "access/tupdesc.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "storage/lwlock.h"
#include "utils/relcache.h"
#include "utils/timestamp.h"

#include "catalog/lh_catalog.h"
#include "iceberg/iceberg.h"
#include "objstore/objstore.h"
#include "storage/lh_storage.h"

#define LH_MAX_DATABASES	64
#define LH_MAX_PENDING		128
#define LH_MAX_REQUESTS		256
#define LH_MAX_FAILURES		64
#define LH_ERROR_BYTES		256

/* One database that has, or had, something to publish. */
typedef struct LhDatabaseSlot
{
	Oid			database;		/* InvalidOid: free */
	pid_t		worker_pid;		/* 0: none runs */
	Latch	   *worker_latch;
	bool		starting;		/* registered, not there yet */
	int64		started_at;		/* when it was registered, by lh_publish_clock() */
	int			held;			/* >0: no worker may be started */
	int64		start_after;	/* no worker before: the last one failed */
	int			failed_starts;	/* since one came up */
	bool		look_at_all;	/* every table may have something to publish */
	bool		log_hints;		/* then: who wrote them may have died before he logged them */
	bool		sweep;			/* there may be files of aborted transactions */
	int			n_pending;
	Oid			pending[LH_MAX_PENDING];
} LhDatabaseSlot;

typedef enum LhRequestState
{
	LH_REQUEST_FREE = 0,
	LH_REQUEST_WAITING,
	LH_REQUEST_RUNNING,
	LH_REQUEST_DONE,
	LH_REQUEST_FAILED
} LhRequestState;

/* A backend in lakehouse.publish(). */
typedef struct LhRequest
{
	LhRequestState state;
	Oid			database;
	Oid			relid;
	int64		snapshot_id;
	int			sqlerrcode;
	char		error[LH_ERROR_BYTES];
} LhRequest;

/* A table whose publication failed and will be tried again. */
typedef struct LhFailure
{
	Oid			database;		/* InvalidOid: free */
	Oid			relid;
	int			failures;
	TimestampTz retry_at;
	char		error[LH_ERROR_BYTES];
} LhFailure;

typedef struct LhPublishShared
{
	TimestampTz started_at;		/* never changes */
	LWLock	   *lock;			/* protects everything below */
	ConditionVariable changed;	/* a request or a worker changed its state */
	Latch	   *launcher_latch; /* NULL: no launcher */
	LhDatabaseSlot databases[LH_MAX_DATABASES];
	LhRequest	requests[LH_MAX_REQUESTS];
	LhFailure	failures[LH_MAX_FAILURES];
} LhPublishShared;

extern LhPublishShared *lh_publish_shared;

/* publish_shmem.c; the lock must be held where said */
extern int64 lh_publish_clock(void);	/* milliseconds; nobody sets it back */
extern void lh_publish_shmem_init(void);
extern LhDatabaseSlot *lh_database_slot(Oid database, bool create); /* exclusive lock */
extern bool lh_slot_has_work(const LhDatabaseSlot *slot);	/* lock */
extern void lh_slot_add(LhDatabaseSlot *slot, Oid relid);	/* exclusive lock */
extern void lh_publish_wake(LhDatabaseSlot *slot);	/* lock */
extern void lh_publish_ask_to_sweep(void);
extern void lh_failure_set(Oid relid, int failures, TimestampTz retry_at, const char *error);
extern void lh_failure_clear(Oid relid);

/* publish_table.c: one version, within the caller's transaction */
typedef struct LhPublication
{
	int64		snapshot_id;
	bool		new_version;
	char	   *location;		/* of what was published, for the hint */
	char	   *metadata_name;
	char	   *previous_name;	/* metadata that it follows; NULL: none */
	bool		log_hint;		/* even if it is right */
	pg_uuid_t	table_uuid;
	List	   *expired;		/* objects that it made superfluous */
} LhPublication;

/* InvalidOid-safe: false if relid is no lakehouse table (any more). */
extern bool lh_publish_table(Oid relid, LhPublication *result);

/*
 * Locks a table for the publisher's transaction, unless somebody has it or
 * does not want to meet the publisher (publish_hold.c).
 */
extern bool lh_publish_try_lock(Oid relid);
extern void lh_publish_lock_tag(Oid relid, LOCKTAG *tag);

/* What follows the commit: points readers to the new metadata, removes what expired. */
extern void lh_publish_finish(const LhPublication *published);

/* shared.c: locations that other clusters may use, too */
extern void lh_publish_hint(const LhPublication *published);
extern bool lh_hint_exists(const char *location);
extern void lh_shared_claim(const char *location);
extern bool lh_shared_with_others(const char *location);
extern bool lh_shared_may_remove(const char *location, const char *name);
extern void lh_shared_leave(const char *location);

/*
 * Merges small files of a published table into a version of their own;
 * false if there is nothing to merge.
 */
extern bool lh_compact_table(Oid relid, LhPublication *result);

typedef struct LhIcebergCommit LhIcebergCommit;

/* publish_table.c: a file leaves the table, from the metadata that has it or only from the catalog */
extern void lh_commit_remove(LhIcebergCommit *commit, LhFile *file, bool cloned);

/* publish_deletes.c: rows that are deleted */

/* All that snapshot sees tombstones of, wherever they are; the delta has no rows beside *in_delta. */
extern void lh_dead_rows(Relation rel, Snapshot snapshot, LhRowSet *dead, LhRowRange *in_delta);

/* Rows are gone from all files: raises if one has no tombstone. */
extern void lh_drop_tombstones(Relation rel, Snapshot snapshot, LhRowSet *rows);

/*
 * Adds to the commit what the dead rows mean for others: delete files for those
 * that are not published as dead yet, and files that leave as no row of them
 * lives.
 */
extern void lh_publish_deletes(LhIcebergCommit *commit, Snapshot snapshot, const LhRowSet *dead);

/* What is published as deleted: how many rows of a data file; which rows of some. */
typedef struct LhDeadCounts LhDeadCounts;

extern LhDeadCounts *lh_dead_counts(List *delete_files);
extern int64 lh_dead_count(const LhDeadCounts *counts, int64 file_id);
extern void lh_published_dead_rows(List *delete_files, List *files, LhRowSet *rows);

/* Delete files leave with the last of their data files. */
extern void lh_remove_delete_files(LhIcebergCommit *commit, Snapshot snapshot, bool cloned);

/* Of the current ones, those to merge into one now; or NIL. */
extern List *lh_delete_files_to_merge(List *delete_files);
extern void lh_merge_delete_files(LhIcebergCommit *commit, Snapshot snapshot, List *delete_files);

/* All current ones anew: the paths of data files are others now. */
extern void lh_respell_delete_files(LhIcebergCommit *commit);

/* rewrite.c: files written anew, with the same rows and row ids */

/* Does the file mean to an Iceberg reader of desc what it means to us? */
extern bool lh_file_fits(const LhFile *file, TupleDesc desc);

/*
 * Without the dead rows: *dropped are those of them that the files had.  Catalog
 * rows of the new files are inserted; those of the old are the caller's.
 */
extern List *lh_rewrite_files(Relation rel, const LhIdentity *identity, List *files,
							  LhRowSet *dead, LhRowSet *dropped);

/* Of published files of less than `below` bytes, those to merge into one now; or NIL. */
extern List *lh_files_to_merge(Relation rel, int64 storage_id, int64 below, Snapshot snapshot);

/* Files of which so much is deleted that they are better written anew; or NIL. */
extern List *lh_files_to_thin(List *delete_files, Snapshot snapshot);

/* Do row ids with so many gaps need a column of their own? */
extern bool lh_wants_row_ids(int64 rows, int64 breaks);

/* sweep.c: removes what nothing refers to any more; each in a transaction of its own */
extern void lh_sweep_dropped(void);
extern void lh_sweep_orphans(void);
extern void lh_sweep_databases(void);

/* publish_iceberg.c: from file lists to objects */
struct LhIcebergCommit
{
	/* in */
	Relation	rel;
	const LhIdentity *identity;
	List	   *delete_files;	/* LhDeleteFile: the current ones so far */
	const LhTable *previous;	/* NULL: first version */
	const char *location;
	const char *iceberg_uuid;
	TupleDesc	desc;
	List	   *added;			/* LhFile */
	List	   *removed;		/* LhFile */
	List	   *retired;		/* LhFile: removed, but of metadata that is not carried on */
	List	   *added_deletes;	/* LhDeleteFile, just written */
	List	   *removed_deletes;	/* LhDeleteFile */
	List	   *retired_deletes;	/* LhDeleteFile, likewise */
	bool		replace;		/* same rows in other files */
	TimestampTz valid_from;
	/* out */
	bool		new_version;	/* false: only the schema changed, or nothing */
	bool		new_metadata;
	int64		snapshot_id;
	int64		timestamp_ms;
	char	   *operation;
	char	   *metadata_name;
	int64		total_files;
	int64		total_bytes;
	List	   *expired;		/* names of metadata objects to remove after commit */

	/* for the catalog only */
	int64		dead_rows;		/* that added_deletes are new for */
};

extern void lh_iceberg_commit(LhIcebergCommit *commit);

/* expire.c: keeps metadata.json bounded; returns names of objects that no kept snapshot needs */
extern List *lh_expire_metadata(LhIceMetadata *metadata, LhStore *store, int64 now_ms);

/* publish_worker.c, publish_launcher.c, publish_hold.c */
extern void lh_launcher_register(void);
extern void lh_hold_init(void);

#endif							/* LH_PUBLISH_INT_H */
