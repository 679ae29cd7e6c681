/*
 * lake_file.c
 *	  Catalog of data files (lakehouse.lake_file).
 *
 * A data file never changes; its row changes at most twice, when the
 * publisher stamps the version that adds it and the one that removes it.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_type.h"
#include "storage/lmgr.h"
#include "storage/procarray.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "catalog/lake_rows_int.h"
#include "catalog/lh_catalog.h"
#include "types/types.h"

enum
{
	Anum_file_id = 1,
	Anum_file_storage_id,
	Anum_file_removed_seq,
	Anum_file_added_seq,
	Anum_file_table_uuid,
	Anum_file_relid,
	Anum_file_row_count,
	Anum_file_byte_count,
	Anum_file_low_row_id,
	Anum_file_high_row_id,
	Anum_file_row_id_span,
	Anum_file_first_row_ids,
	Anum_file_location,
	Anum_file_name,
	Anum_file_footer,
	Natts_file = Anum_file_footer
};

static LhFile *
file_from_tuple(HeapTuple tuple, TupleDesc desc)
{
	LhFile	   *file = palloc0(sizeof(LhFile));
	Datum		values[Natts_file];
	bool		isnull[Natts_file];

	heap_deform_tuple(tuple, desc, values, isnull);
	file->file_id = DatumGetInt64(values[Anum_file_id - 1]);
	file->storage_id = DatumGetInt64(values[Anum_file_storage_id - 1]);
	file->removed_seq = DatumGetInt64(values[Anum_file_removed_seq - 1]);
	file->added_seq = DatumGetInt64(values[Anum_file_added_seq - 1]);
	file->table_uuid = *DatumGetUUIDP(values[Anum_file_table_uuid - 1]);
	file->relid = DatumGetObjectId(values[Anum_file_relid - 1]);
	file->row_count = DatumGetInt64(values[Anum_file_row_count - 1]);
	file->byte_count = DatumGetInt64(values[Anum_file_byte_count - 1]);
	file->low_row_id = (uint64) DatumGetInt64(values[Anum_file_low_row_id - 1]);
	file->high_row_id = (uint64) DatumGetInt64(values[Anum_file_high_row_id - 1]);
	if (!isnull[Anum_file_first_row_ids - 1])
	{
		ArrayType  *array = DatumGetArrayTypePCopy(values[Anum_file_first_row_ids - 1]);

		file->n_first_row_ids = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
		file->first_row_ids = (int64 *) ARR_DATA_PTR(array);
	}
	file->location = lake_location_read(values[Anum_file_location - 1]);
	file->name = TextDatumGetCString(values[Anum_file_name - 1]);

	/* kept as it is stored: most scans of many files need few footers */
	file->footer = (bytea *) DatumGetPointer(datumCopy(values[Anum_file_footer - 1], false, -1));
	file->tid = tuple->t_self;
	file->xmin = HeapTupleHeaderGetXmin(tuple->t_data);
	return file;
}

LhPqFileMeta *
lh_file_meta(const LhFile *file)
{
	bytea	   *footer = (bytea *) PG_DETOAST_DATUM_PACKED(PointerGetDatum(file->footer));
	LhPqFileMeta *meta;
	LhError		error;
	LhAlloc    *alloc = palloc(sizeof(LhAlloc));	/* the arena keeps a pointer */

	*alloc = lh_palloc_alloc(CurrentMemoryContext);
	lh_report(lh_pq_footer_parse((const uint8_t *) VARDATA_ANY(footer), VARSIZE_ANY_EXHDR(footer),
								 file->byte_count, alloc, &meta, &error),
			  &error, file->name);
	if (meta->num_rows != file->row_count ||
		(file->n_first_row_ids > 0 && file->n_first_row_ids != meta->n_row_groups))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("catalog and footer of data file \"%s\" disagree", file->name),
				 errdetail("The catalog has " INT64_FORMAT " rows, the footer " INT64_FORMAT " in %d row groups.",
						   file->row_count, meta->num_rows, meta->n_row_groups)));
	if ((void *) footer != (void *) file->footer)
		pfree(footer);
	return meta;
}

void
lh_file_insert(const LhFile *file, CommandId cid)
{
	Relation	rel = lake_open("lake_file", Natts_file, RowExclusiveLock);
	Datum		values[Natts_file];
	bool		isnull[Natts_file] = {0};
	HeapTuple	tuple;

	values[Anum_file_id - 1] = Int64GetDatum(file->file_id);
	values[Anum_file_storage_id - 1] = Int64GetDatum(file->storage_id);
	values[Anum_file_removed_seq - 1] = Int64GetDatum(file->removed_seq);
	values[Anum_file_added_seq - 1] = Int64GetDatum(file->added_seq);
	values[Anum_file_table_uuid - 1] = UUIDPGetDatum(&file->table_uuid);
	values[Anum_file_relid - 1] = ObjectIdGetDatum(file->relid);
	values[Anum_file_row_count - 1] = Int64GetDatum(file->row_count);
	values[Anum_file_byte_count - 1] = Int64GetDatum(file->byte_count);
	values[Anum_file_low_row_id - 1] = Int64GetDatum((int64) file->low_row_id);
	values[Anum_file_high_row_id - 1] = Int64GetDatum((int64) file->high_row_id);
	values[Anum_file_row_id_span - 1] = Int64GetDatum((int64) (file->high_row_id - file->low_row_id));
	if (file->n_first_row_ids == 0)
		isnull[Anum_file_first_row_ids - 1] = true;
	else
	{
		Datum	   *elems = palloc(sizeof(Datum) * file->n_first_row_ids);

		for (int i = 0; i < file->n_first_row_ids; i++)
			elems[i] = Int64GetDatum(file->first_row_ids[i]);
		values[Anum_file_first_row_ids - 1] =
			PointerGetDatum(construct_array(elems, file->n_first_row_ids, INT8OID,
											sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	}
	values[Anum_file_location - 1] = lake_location_datum(file->location);
	values[Anum_file_name - 1] = CStringGetTextDatum(file->name);
	values[Anum_file_footer - 1] = PointerGetDatum(file->footer);
	tuple = heap_form_tuple(RelationGetDescr(rel), values, isnull);
	lake_insert(rel, tuple, cid);
	heap_freetuple(tuple);
	table_close(rel, NoLock);
}

static int
compare_files(const ListCell *a, const ListCell *b)
{
	const LhFile *fa = lfirst(a);
	const LhFile *fb = lfirst(b);

	if (fa->low_row_id != fb->low_row_id)
		return fa->low_row_id < fb->low_row_id ? -1 : 1;
	return fa->file_id < fb->file_id ? -1 : fa->file_id > fb->file_id;
}

typedef bool (*FileFilter) (const LhFile *file, void *arg);

static List *
scan_files(const char *index, int n_keys, ScanKey keys, Snapshot snapshot,
		   FileFilter filter, void *arg)
{
	Relation	rel = lake_open("lake_file", Natts_file, AccessShareLock);
	LakeScan   *scan = lake_scan_begin(rel, index, snapshot, n_keys, keys);
	List	   *files = NIL;
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = lake_scan_next(scan, ForwardScanDirection)))
	{
		LhFile	   *file = file_from_tuple(tuple, RelationGetDescr(rel));

		if (filter == NULL || filter(file, arg))
			files = lappend(files, file);
	}
	lake_scan_end(scan);
	table_close(rel, AccessShareLock);
	list_sort(files, compare_files);
	return files;
}

List *
lh_file_list(int64 storage_id, bool unpublished, Snapshot snapshot)
{
	ScanKeyData keys[3];

	ScanKeyInit(&keys[0], Anum_file_storage_id, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(storage_id));
	ScanKeyInit(&keys[1], Anum_file_removed_seq, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(0));
	ScanKeyInit(&keys[2], Anum_file_added_seq, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(0));
	return scan_files("lake_file_storage", unpublished ? 3 : 2, keys, snapshot, NULL, NULL);
}

/* Visits files in no order, without a list of them. */
static void
walk_files(const char *index, int n_keys, ScanKey keys, Snapshot snapshot, LhFileVisit visit, void *arg)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "lakehouse visited file", ALLOCSET_DEFAULT_SIZES);
	Relation	rel = lake_open("lake_file", Natts_file, AccessShareLock);
	LakeScan   *scan = lake_scan_begin(rel, index, snapshot, n_keys, keys);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = lake_scan_next(scan, ForwardScanDirection)))
	{
		MemoryContext old = MemoryContextSwitchTo(cxt);

		visit(file_from_tuple(tuple, RelationGetDescr(rel)), arg);
		MemoryContextSwitchTo(old);
		MemoryContextReset(cxt);
	}
	lake_scan_end(scan);
	table_close(rel, AccessShareLock);
	MemoryContextDelete(cxt);
}

void
lh_file_walk(int64 storage_id, Snapshot snapshot, LhFileVisit visit, void *arg)
{
	ScanKeyData key;

	ScanKeyInit(&key, Anum_file_storage_id, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(storage_id));
	walk_files("lake_file_storage", 1, &key, snapshot, visit, arg);
}

void
lh_file_walk_small(int64 storage_id, int64 byte_count, Snapshot snapshot, LhFileVisit visit, void *arg)
{
	ScanKeyData keys[3];

	ScanKeyInit(&keys[0], Anum_file_storage_id, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(storage_id));
	ScanKeyInit(&keys[1], Anum_file_removed_seq, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(0));
	ScanKeyInit(&keys[2], Anum_file_byte_count, BTLessStrategyNumber, F_INT8LT, Int64GetDatum(byte_count));
	walk_files("lake_file_size", 3, keys, snapshot, visit, arg);
}

/* No file of the storage has a wider range of row ids. */
static uint64
widest_span(Relation rel, int64 storage_id)
{
	ScanKeyData key;
	LakeScan   *scan;
	HeapTuple	tuple;
	uint64		span = 0;
	bool		isnull;

	ScanKeyInit(&key, Anum_file_storage_id, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(storage_id));
	scan = lake_scan_begin_ordered(rel, "lake_file_span", SnapshotAny, 1, &key);
	tuple = lake_scan_next(scan, BackwardScanDirection);
	if (HeapTupleIsValid(tuple))
		span = (uint64) DatumGetInt64(heap_getattr(tuple, Anum_file_row_id_span, RelationGetDescr(rel), &isnull));
	lake_scan_end(scan);
	return span;
}

void
lh_file_hold(void)
{
	Oid			indexes[] = {lake_index("lake_file_row"), lake_index("lake_file_span")};
	Relation	rel = lake_open("lake_file", Natts_file, AccessShareLock);

	for (int i = 0; i < lengthof(indexes); i++)
		LockRelationOid(indexes[i], AccessShareLock);
	if (OidIsValid(rel->rd_rel->reltoastrelid))
	{
		Relation	toast = table_open(rel->rd_rel->reltoastrelid, AccessShareLock);
		ListCell   *lc;

		foreach(lc, RelationGetIndexList(toast))
			LockRelationOid(lfirst_oid(lc), AccessShareLock);
		table_close(toast, NoLock);
	}
	table_close(rel, NoLock);
}

/* What SnapshotAny sees of a transaction that has aborted may have no object any more. */
static bool
has_aborted(HeapTuple tuple)
{
	TransactionId xmin = HeapTupleHeaderGetXmin(tuple->t_data);

	return !TransactionIdIsCurrentTransactionId(xmin) && !TransactionIdIsInProgress(xmin) &&
		!TransactionIdDidCommit(xmin);
}

/*
 * Files in the order of their highest row ids, from the one that could hold
 * the row on.  Mostly it is the first.  When it is not, the widest range of
 * any file says where to stop.
 */
LhFile *
lh_file_find(int64 storage_id, uint64 row_id, Snapshot snapshot, LhFileHolds holds, void *arg)
{
	Relation	rel = lake_open("lake_file", Natts_file, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	ScanKeyData keys[2];
	LakeScan   *scan;
	HeapTuple	tuple;
	uint64		last = PG_UINT64_MAX;	/* that is worth looking at */
	LhFile	   *found = NULL;

	ScanKeyInit(&keys[0], Anum_file_storage_id, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(storage_id));
	ScanKeyInit(&keys[1], Anum_file_high_row_id, BTGreaterEqualStrategyNumber, F_INT8GE, Int64GetDatum((int64) row_id));
	scan = lake_scan_begin_ordered(rel, "lake_file_row", snapshot, 2, keys);
	while (found == NULL && HeapTupleIsValid(tuple = lake_scan_next(scan, ForwardScanDirection)))
	{
		bool		isnull;
		uint64		low = (uint64) DatumGetInt64(heap_getattr(tuple, Anum_file_low_row_id, desc, &isnull));
		uint64		high = (uint64) DatumGetInt64(heap_getattr(tuple, Anum_file_high_row_id, desc, &isnull));

		if (high > last)
			break;
		if (low <= row_id &&
			(snapshot == SnapshotAny ? !has_aborted(tuple) :
			 DatumGetInt64(heap_getattr(tuple, Anum_file_removed_seq, desc, &isnull)) == 0))
		{
			LhFile	   *file = file_from_tuple(tuple, desc);

			if (holds(file, arg))
				found = file;
		}
		else if (last == PG_UINT64_MAX)
			last = row_id + widest_span(rel, storage_id);
	}
	lake_scan_end(scan);
	table_close(rel, AccessShareLock);
	return found;
}

void
lh_file_totals(int64 storage_id, Snapshot snapshot, LhFileTotals *totals)
{
	Relation	rel = lake_open("lake_file", Natts_file, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	ScanKeyData keys[2];
	LakeScan   *scan;
	HeapTuple	tuple;
	bool		isnull;

	memset(totals, 0, sizeof(*totals));
	ScanKeyInit(&keys[0], Anum_file_storage_id, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(storage_id));
	ScanKeyInit(&keys[1], Anum_file_removed_seq, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(0));
	scan = lake_scan_begin(rel, "lake_file_storage", snapshot, 2, keys);
	while (HeapTupleIsValid(tuple = lake_scan_next(scan, ForwardScanDirection)))
	{
		totals->files++;
		totals->rows += DatumGetInt64(heap_getattr(tuple, Anum_file_row_count, desc, &isnull));
		totals->bytes += DatumGetInt64(heap_getattr(tuple, Anum_file_byte_count, desc, &isnull));
	}
	lake_scan_end(scan);
	table_close(rel, AccessShareLock);
}

/* One entry is enough for a loop of queries on one table. */
#define TOTALS_KEPT_FROM	1000	/* files */
#define TOTALS_KEPT_MS		10000

void
lh_file_totals_estimate(int64 storage_id, Snapshot snapshot, LhFileTotals *totals)
{
	static int64 kept_storage_id = 0;
	static TimestampTz kept_at;
	static LhFileTotals kept;

	if (kept_storage_id == storage_id &&
		!TimestampDifferenceExceeds(kept_at, GetCurrentTimestamp(), TOTALS_KEPT_MS))
	{
		*totals = kept;
		return;
	}
	lh_file_totals(storage_id, snapshot, totals);
	if (totals->files >= TOTALS_KEPT_FROM)
	{
		kept = *totals;
		kept_at = GetCurrentTimestamp();
		kept_storage_id = storage_id;
	}
}

static bool
in_version(const LhFile *file, void *arg)
{
	int64		seq = *(int64 *) arg;

	return file->added_seq > 0 && file->added_seq <= seq &&
		(file->removed_seq == 0 || seq < file->removed_seq);
}

List *
lh_file_list_version(const pg_uuid_t *table_uuid, int64 seq, Snapshot snapshot)
{
	ScanKeyData keys[1];

	ScanKeyInit(&keys[0], Anum_file_table_uuid, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(table_uuid));
	return scan_files("lake_file_table", 1, keys, snapshot, in_version, &seq);
}

static bool
of_other_storage(const LhFile *file, void *arg)
{
	return file->storage_id != *(int64 *) arg;
}

List *
lh_file_list_replaced(const pg_uuid_t *table_uuid, int64 storage_id, Snapshot snapshot)
{
	ScanKeyData keys[2];

	ScanKeyInit(&keys[0], Anum_file_table_uuid, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(table_uuid));
	ScanKeyInit(&keys[1], Anum_file_removed_seq, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(0));
	return scan_files("lake_file_table", 2, keys, snapshot, of_other_storage, &storage_id);
}

void
lh_file_stamp(const LhFile *file, int64 added_seq, int64 removed_seq)
{
	Relation	rel = lake_open("lake_file", Natts_file, RowExclusiveLock);
	ScanKeyData key;
	LakeScan   *scan;
	HeapTuple	tuple;
	Datum		values[Natts_file];
	bool		isnull[Natts_file] = {0};
	bool		replace[Natts_file] = {0};

	ScanKeyInit(&key, Anum_file_id, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(file->file_id));
	scan = lake_scan_begin(rel, "lake_file_id", NULL, 1, &key);
	tuple = lake_scan_next(scan, ForwardScanDirection);
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "data file " INT64_FORMAT " is not in the catalog", file->file_id);
	values[Anum_file_added_seq - 1] = Int64GetDatum(added_seq);
	values[Anum_file_removed_seq - 1] = Int64GetDatum(removed_seq);
	replace[Anum_file_added_seq - 1] = replace[Anum_file_removed_seq - 1] = true;
	tuple = heap_modify_tuple(tuple, RelationGetDescr(rel), values, isnull, replace);
	lake_update(rel, &tuple->t_self, tuple);
	lake_scan_end(scan);
	table_close(rel, NoLock);
}

List *
lh_file_list_table(const pg_uuid_t *table_uuid, Snapshot snapshot)
{
	ScanKeyData keys[1];

	ScanKeyInit(&keys[0], Anum_file_table_uuid, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(table_uuid));
	return scan_files("lake_file_table", 1, keys, snapshot, NULL, NULL);
}

void
lh_file_delete_all(const pg_uuid_t *table_uuid)
{
	Relation	rel = lake_open("lake_file", Natts_file, RowExclusiveLock);
	ScanKeyData key;
	LakeScan   *scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_file_table_uuid, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(table_uuid));
	scan = lake_scan_begin(rel, "lake_file_table", NULL, 1, &key);
	while (HeapTupleIsValid(tuple = lake_scan_next(scan, ForwardScanDirection)))
		CatalogTupleDelete(rel, &tuple->t_self);
	lake_scan_end(scan);
	table_close(rel, NoLock);
}

LhFile *
lh_file_by_id(int64 file_id, Snapshot snapshot)
{
	ScanKeyData key;
	List	   *files;

	ScanKeyInit(&key, Anum_file_id, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(file_id));
	files = scan_files("lake_file_id", 1, &key, snapshot, NULL, NULL);
	return files != NIL ? linitial(files) : NULL;
}

bool
lh_file_is_current(int64 file_id, Snapshot snapshot)
{
	LhFile	   *file = lh_file_by_id(file_id, snapshot);

	return file != NULL && file->removed_seq == 0;
}

bool
lh_file_exists(int64 file_id, Snapshot snapshot)
{
	Relation	rel = lake_open("lake_file", Natts_file, AccessShareLock);
	ScanKeyData key;
	LakeScan   *scan;
	bool		found;

	ScanKeyInit(&key, Anum_file_id, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(file_id));
	scan = lake_scan_begin(rel, "lake_file_id", snapshot, 1, &key);
	found = HeapTupleIsValid(lake_scan_next(scan, ForwardScanDirection));
	lake_scan_end(scan);
	table_close(rel, AccessShareLock);
	return found;
}
