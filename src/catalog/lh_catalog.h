/*
 * lh_catalog.h
 *	  What the lakehouse knows about its tables: identity and row-id counter
 *	  (metapage), options (pg_class.reloptions), and the catalog tables in
 *	  schema lakehouse, read with the caller's snapshot through fixed index
 *	  scans.
 */
#ifndef LH_CATALOG_H
#define LH_CATALOG_H

#include "postgres.h"

#include "access/htup.h"
#include "access/transam.h"
#include "nodes/pg_list.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "parquet/parquet.h"
#include "types/pg_compat.h"

/* Was the library loaded by shared_preload_libraries?  Set by _PG_init. */
extern bool lh_preloaded;

/* ---- row ids ---- */

/*
 * TID = (row id / 291, row id % 291 + 1).  291 is MaxHeapTuplesPerPage with 8
 * kB pages, the largest offset that bitmaps and GIN accept.
 */
#define LH_ROWS_PER_BLOCK	291
#define LH_MAX_ROW_ID		((uint64) (MaxBlockNumber) * LH_ROWS_PER_BLOCK + LH_ROWS_PER_BLOCK - 1)

extern void lh_row_id_to_tid(uint64 row_id, ItemPointer tid);
extern uint64 lh_tid_to_row_id(ItemPointer tid);

/* ---- metapage ---- */

/* Positive, so that it reads well in SQL and 0 can mean none. */
extern int64 lh_random_id(void);
extern void lh_random_uuid(pg_uuid_t *uuid);


typedef struct LhIdentity
{
	int64		storage_id;		/* this incarnation of the contents, > 0 */
	pg_uuid_t	table_uuid;		/* the table through all of them */
} LhIdentity;

extern bool lh_relation_is_lakehouse(Relation rel);
extern Oid	lh_am_oid(void);	/* InvalidOid: the extension is not there */
extern Oid	lh_relation_am(Oid relid);	/* InvalidOid: none, or no such relation */
extern bool lh_catalog_exists(void);	/* not while the extension is being dropped */

/*
 * Makes the main fork with its metapage.  previous != NULL: the table keeps
 * that uuid.
 */
extern void lh_metapage_create(RelFileNode node, char persistence, const pg_uuid_t *table_uuid);
extern void lh_metapage_read(Relation rel, LhIdentity *identity);
extern int64 lh_storage_id(Relation rel);

extern void lh_metapage_set_uuid(Relation rel, const pg_uuid_t *table_uuid);

/*
 * VACUUM FULL and CLUSTER copy what is visible now, under a new storage id.  A
 * snapshot from before must not take that for what it sees: raises
 * T_R_SERIALIZATION_FAILURE.
 */
extern void lh_metapage_set_rewriter(Relation rel);
extern void lh_metapage_check_snapshot(Relation rel, Snapshot snapshot);

/*
 * Dead rows go for good: an index that is built now lacks them, although
 * snapshots older than their removal may see them.
 */
extern void lh_metapage_note_removal(Relation rel);
extern bool lh_metapage_removed_since(Relation rel, TransactionId horizon);

/* Of an id that is not after the next one: it is of this epoch or of the one before. */
extern FullTransactionId lh_full_xid(TransactionId xid);

/*
 * The full transaction id of who last took files out of the table; 0 nobody.
 * He says so before he commits.  Cheap: no lock is taken.
 */
extern uint64 lh_metapage_change(Relation rel);
extern void lh_metapage_note_change(Relation rel);

/*
 * Only rows with ids below may have been deleted in bulk; 0: none ever was.
 * It never goes back.  To be noted before the entry is inserted.
 */
extern uint64 lh_metapage_bulk_end(Relation rel);
extern void lh_metapage_note_bulk(Relation rel, uint64 end);

/*
 * Row ids are settled when all transactions that might have got one below have
 * ended before the horizon: a row that is nowhere then, never will be
 * anywhere.  _settle moves the border on, if it can, and returns it.
 */
extern uint64 lh_metapage_settled(Relation rel, struct GlobalVisState *vistest);
extern uint64 lh_metapage_settle(Relation rel, TransactionId horizon);

/* A new storage id: the contents are another incarnation (in-place TRUNCATE). */
extern void lh_metapage_renew(Relation rel);

/* Reserves n consecutive row ids; gives back the unused tail if nobody came after. */
extern uint64 lh_row_ids_reserve(Relation rel, uint64 n);
extern void lh_row_ids_return(Relation rel, uint64 first_unused, uint64 end);

/* Ids from here on were never given out. */
extern uint64 lh_row_ids_end(Relation rel);

/* ---- options ---- */

typedef struct LhOptions
{
	char	   *location;		/* NULL: below the default location */
	LhPqCodec	codec;
	int			zstd_level;
	int			row_group_rows;
	int64		target_file_size;	/* bytes */
	int			bulk_threshold; /* rows of a statement that go to the delta */
	int			publish_ms;		/* least time between two publications, 0: at once */
	int			format_version;
} LhOptions;

extern void lh_options_init(void);	/* defines the GUCs */

/* Is this the name of an option of ours?  Its value is checked by _validate. */
extern bool lh_option_known(const char *name);
extern void lh_option_validate(const char *name, const char *value);
extern void lh_options_of(Relation rel, LhOptions *options);

extern DefElem *lh_find_option(List *options, const char *name);	/* NULL: not there */
extern bool lh_reloptions_have(Oid relid, const char *name);

/* Takes our options out of pg_class.reloptions and returns them (DefElems). */
extern List *lh_reloptions_take(Oid relid);
extern void lh_reloptions_put(Oid relid, List *set, List *reset);

/* The location of a relation's own objects, and the URI prefix of it. */
extern char *lh_table_location(Relation rel, const LhOptions *options, const pg_uuid_t *table_uuid);
extern char *lh_uuid_to_string(const pg_uuid_t *uuid);

/* ---- databases that may have lakehouse tables (database.c) ---- */

/*
 * Markers on disk, so that the publisher's launcher need not connect to
 * databases without lakehouse tables.  A marker may be there for nothing.
 */
extern void lh_database_mark(void);	/* this database; cheap when repeated */
extern void lh_database_unmark(Oid database);
extern List *lh_database_marked(void);	/* OIDs */
extern void lh_database_mark_cloned(Oid database);	/* others may read its objects */

/* Clones may read what transactions before this one wrote; 0: there is no clone. */
extern uint64 lh_database_cloned_at(Oid database);

/* ---- this cluster among its copies (incarnation.c) ---- */

/* A random id of this cluster on this timeline; draws it when there is none. */
extern uint64 lh_incarnation(void);
extern bool lh_incarnation_is_ancestor(uint64 id);	/* or our own */

#define LH_INCARNATIONS		UINT64CONST(3656158440062976)	/* 36^10 */

/* ---- names of objects (object_name.c) ---- */

extern char *lh_incarnation_text(uint64 incarnation);
extern bool lh_incarnation_parse(const char *text, uint64 *incarnation);

/* Has this incarnation written the object?  Its name tells, also a temporary one. */
extern bool lh_object_is_ours(const char *name);

/* Of a new data or delete file; the transaction gets an id. */
extern char *lh_data_file_name(int64 file_id, bool deletes);
extern bool lh_data_file_parse(const char *name, uint64 *fxid, int64 *file_id); /* false: not of this database */

/* What makes the names of one commit's metadata unique. */
extern char *lh_metadata_unique(void);
extern char *lh_metadata_json_unique(void);	/* of metadata.json */

/* ---- data files ---- */

typedef struct LhFile
{
	int64		file_id;
	int64		storage_id;
	int64		added_seq;		/* 0: not published */
	int64		removed_seq;	/* 0: current */
	pg_uuid_t	table_uuid;
	Oid			relid;			/* of the table; of the original while it is rewritten */
	int64		row_count;
	int64		byte_count;
	uint64		low_row_id;
	uint64		high_row_id;
	int			n_first_row_ids;	/* 0: the file has a _row_id column */
	int64	   *first_row_ids;	/* of each row group */
	char	   *location;
	char	   *name;
	bytea	   *footer;			/* possibly toasted, see lh_file_meta() */
	ItemPointerData tid;		/* of the catalog row, */
	TransactionId xmin;			/* and who inserted it */
} LhFile;

/* Parses (and palloc's in CurrentMemoryContext) the footer of a file. */
extern LhPqFileMeta *lh_file_meta(const LhFile *file);

extern void lh_file_insert(const LhFile *file, CommandId cid);

/*
 * Files of one storage that are not removed, in order of file row id, seen by
 * `snapshot`.  unpublished: only those no version has.
 */
extern List *lh_file_list(int64 storage_id, bool unpublished, Snapshot snapshot);

/*
 * Visits all files of the storage, removed ones too / current ones below a
 * size, in no order.  The file, and CurrentMemoryContext, last for a visit.
 */
typedef void (*LhFileVisit) (const LhFile *file, void *arg);

extern void lh_file_walk(int64 storage_id, Snapshot snapshot, LhFileVisit visit, void *arg);
extern void lh_file_walk_small(int64 storage_id, int64 byte_count, Snapshot snapshot,
							   LhFileVisit visit, void *arg);

/*
 * The file that holds a row: of those in whose range of row ids it lies, the
 * first that `holds` says yes to.  Files that are removed count for SnapshotAny
 * only.  NULL: none.
 */
typedef bool (*LhFileHolds) (const LhFile *file, void *arg);

extern LhFile *lh_file_find(int64 storage_id, uint64 row_id, Snapshot snapshot, LhFileHolds holds, void *arg);

/*
 * Keeps what lh_file_find() opens locked until the transaction ends.  Who
 * inserts into a unique index asks it with an index page locked, and must not
 * wait for anybody then.
 */
extern void lh_file_hold(void);

typedef struct LhFileTotals
{
	int64		files;
	int64		rows;
	int64		bytes;
} LhFileTotals;

extern void lh_file_totals(int64 storage_id, Snapshot snapshot, LhFileTotals *totals);

/* The same, but a few seconds old when the files are many: planning must not cost O(files) each time. */
extern void lh_file_totals_estimate(int64 storage_id, Snapshot snapshot, LhFileTotals *totals);

/* Files of a version, whatever storage they came from. */
extern List *lh_file_list_version(const pg_uuid_t *table_uuid, int64 seq, Snapshot snapshot);

/* Not-removed files of a table that belong to other storages than this one. */
extern List *lh_file_list_replaced(const pg_uuid_t *table_uuid, int64 storage_id, Snapshot snapshot);
extern void lh_file_stamp(const LhFile *file, int64 added_seq, int64 removed_seq);
/* Every file the table ever had. */
extern List *lh_file_list_table(const pg_uuid_t *table_uuid, Snapshot snapshot);
extern void lh_file_delete_all(const pg_uuid_t *table_uuid);
extern bool lh_file_exists(int64 file_id, Snapshot snapshot);
extern LhFile *lh_file_by_id(int64 file_id, Snapshot snapshot); /* or NULL */
extern bool lh_file_is_current(int64 file_id, Snapshot snapshot);

/* ---- delete files (lake_delete.c): rows of published data files that are deleted ---- */

typedef struct LhDeleteFile
{
	int64		file_id;
	int64		storage_id;
	int64		added_seq;
	int64		removed_seq;	/* 0: current */
	pg_uuid_t	table_uuid;
	Oid			relid;
	int64		row_count;		/* rows deleted */
	int64		byte_count;
	int			n_data_files;	/* in the order of their paths in the file */
	int64	   *data_file_ids;
	int64	   *dead_counts;	/* how many rows of each */
	bytea	   *row_ids;		/* which: packed, possibly toasted */
	char	   *location;
	char	   *name;
	struct LhIceDataFile *entry;	/* of one just written: what its manifest entry says */
} LhDeleteFile;

/* Row ids as they are packed: ascending within each data file. */
extern void lh_delete_set_row_ids(LhDeleteFile *file, const uint64 *row_ids);
extern uint64 *lh_delete_row_ids(const LhDeleteFile *file);
extern void lh_delete_add_row_ids(List *files, LhRowSet *rows);

extern void lh_delete_insert(const LhDeleteFile *file, CommandId cid);
/* Current ones; those of a version; all there ever were.  In order of added_seq. */
extern List *lh_delete_list(const pg_uuid_t *table_uuid, Snapshot snapshot);
extern List *lh_delete_list_version(const pg_uuid_t *table_uuid, int64 seq, Snapshot snapshot);
extern List *lh_delete_list_table(const pg_uuid_t *table_uuid, Snapshot snapshot);
extern void lh_delete_stamp(const LhDeleteFile *file, int64 added_seq, int64 removed_seq);
extern void lh_delete_delete_all(const pg_uuid_t *table_uuid);
extern bool lh_delete_exists(int64 file_id, Snapshot snapshot);

/* ---- published tables and versions ---- */

typedef struct LhTable
{
	pg_uuid_t	table_uuid;
	Oid			relid;
	Oid			database_id;
	int64		storage_id;
	int64		last_seq;
	int64		snapshot_id;
	int64		layout;			/* lh_layout_hash() of what was published */
	pg_uuid_t	iceberg_uuid;	/* differs from table_uuid in a cloned database */
	char	   *location;
	char	   *metadata_name;
	ItemPointerData tid;
} LhTable;

typedef struct LhVersion
{
	pg_uuid_t	table_uuid;
	int64		seq;
	int64		snapshot_id;
	TimestampTz valid_from;
	char	   *operation;
	int64		total_rows;
	int64		total_files;
	int64		total_bytes;
	int64		added_rows;
	int64		removed_rows;
	char	   *location;
	char	   *metadata_name;
} LhVersion;

extern LhTable *lh_table_get(const pg_uuid_t *table_uuid, Snapshot snapshot);	/* or NULL */
extern void lh_table_put(LhTable *table);	/* insert, or update by its tid */
extern void lh_table_delete(const LhTable *table);
extern List *lh_table_list(Snapshot snapshot);
extern void lh_version_insert(const LhVersion *version);
extern LhVersion *lh_version_get(const pg_uuid_t *table_uuid, int64 seq, Snapshot snapshot);	/* or NULL */
extern List *lh_version_list(const pg_uuid_t *table_uuid, Snapshot snapshot);	/* by seq */
extern void lh_version_delete_all(const pg_uuid_t *table_uuid);

/* ---- garbage ---- */

typedef struct LhGarbage
{
	pg_uuid_t	table_uuid;
	char	   *location;
	ItemPointerData tid;
} LhGarbage;

extern void lh_garbage_insert(const pg_uuid_t *table_uuid, const char *location);
extern List *lh_garbage_list(Snapshot snapshot);
extern void lh_garbage_delete(const LhGarbage *garbage);

#endif							/* LH_CATALOG_H */
