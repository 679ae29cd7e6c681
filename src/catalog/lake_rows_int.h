/*
 * lake_rows_int.h
 *	  Rows of the catalog tables in schema lakehouse: open, insert, scan.
 */
#ifndef LH_LAKE_ROWS_INT_H
#define LH_LAKE_ROWS_INT_H

#include "postgres.h"

#include "access/genam.h"
#include "access/htup.h"
#include "storage/lockdefs.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

/*
 * Tables and indexes of schema lakehouse by name; both raise if missing.  A
 * table with another number of columns is of another version of the extension.
 */
extern Relation lake_open(const char *table, int natts, LOCKMODE mode);
extern Oid	lake_index(const char *index);

/*
 * Inserts a row as command `cid`, so that the statement that a file belongs
 * to does not see it, and every later one does.  (CatalogTupleInsert would
 * stamp the current command instead.)
 */
extern void lake_insert(Relation rel, HeapTuple tuple, CommandId cid);
extern void lake_update(Relation rel, ItemPointer tid, HeapTuple tuple);

/*
 * Scans of a catalog table, by the named index (NULL: none).  They take no
 * predicate locks, as scans of Postgres's own catalogs: a serializable
 * transaction reads rows of the user's table and has locked these itself;
 * which tables share a page of an index here must not matter.  But who has
 * written what a scan does not see yet is in conflict with it.
 */
typedef struct LakeScan LakeScan;
extern LakeScan *lake_scan_begin(Relation rel, const char *index, Snapshot snapshot, int n_keys, ScanKey keys);
extern LakeScan *lake_scan_begin_ordered(Relation rel, const char *index, Snapshot snapshot, int n_keys, ScanKey keys);
extern HeapTuple lake_scan_next(LakeScan *scan, ScanDirection direction);
extern void lake_scan_end(LakeScan *scan);

extern Datum lake_location_datum(const char *location);
extern char *lake_location_read(Datum stored);

/* database.c: empty files of ours in the data directory, which travel by WAL */
#define LAKE_MARKER_DIR "pg_lakehouse"
extern void lake_make_marker_dir(void);
extern void lake_marker_create(const char *name);

#endif							/* LH_LAKE_ROWS_INT_H */
