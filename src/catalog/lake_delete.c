/*
 * lake_delete.c
 *	  Catalog of position delete files (lakehouse.lake_delete).
 *
 * As with data files, the object never changes, and its row at most twice:
 * when a version adds it and when one removes it.  The row says of which data
 * files which rows are deleted, by their ids, so that nobody but other engines
 * has to read the object: time travel goes by ids as every other scan does.
 *
 * row_ids: for each data file, in the order of data_file_ids, the ascending
 * ids as differences, each a varint; the first of each file from 0.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

#include "catalog/lake_rows_int.h"
#include "catalog/lh_catalog.h"
#include "types/types.h"

enum
{
	Anum_delete_file_id = 1,
	Anum_delete_storage_id,
	Anum_delete_removed_seq,
	Anum_delete_added_seq,
	Anum_delete_table_uuid,
	Anum_delete_relid,
	Anum_delete_row_count,
	Anum_delete_byte_count,
	Anum_delete_data_file_ids,
	Anum_delete_dead_counts,
	Anum_delete_row_ids,
	Anum_delete_location,
	Anum_delete_name,
	Natts_delete = Anum_delete_name
};

static int64 *
array_values(Datum datum, int *n)
{
	ArrayType  *array = DatumGetArrayTypePCopy(datum);

	*n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	return (int64 *) ARR_DATA_PTR(array);
}

static Datum
values_array(const int64 *values, int n)
{
	Datum	   *elems = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		elems[i] = Int64GetDatum(values[i]);
	return PointerGetDatum(construct_array(elems, n, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

static LhDeleteFile *
delete_from_tuple(HeapTuple tuple, TupleDesc desc)
{
	LhDeleteFile *file = palloc0(sizeof(LhDeleteFile));
	Datum		values[Natts_delete];
	bool		isnull[Natts_delete];
	int			n_counts;

	heap_deform_tuple(tuple, desc, values, isnull);
	file->file_id = DatumGetInt64(values[Anum_delete_file_id - 1]);
	file->storage_id = DatumGetInt64(values[Anum_delete_storage_id - 1]);
	file->removed_seq = DatumGetInt64(values[Anum_delete_removed_seq - 1]);
	file->added_seq = DatumGetInt64(values[Anum_delete_added_seq - 1]);
	file->table_uuid = *DatumGetUUIDP(values[Anum_delete_table_uuid - 1]);
	file->relid = DatumGetObjectId(values[Anum_delete_relid - 1]);
	file->row_count = DatumGetInt64(values[Anum_delete_row_count - 1]);
	file->byte_count = DatumGetInt64(values[Anum_delete_byte_count - 1]);
	file->data_file_ids = array_values(values[Anum_delete_data_file_ids - 1], &file->n_data_files);
	file->dead_counts = array_values(values[Anum_delete_dead_counts - 1], &n_counts);
	/* kept as it is stored: who only counts needs no ids */
	file->row_ids = (bytea *) DatumGetPointer(datumCopy(values[Anum_delete_row_ids - 1], false, -1));
	file->location = lake_location_read(values[Anum_delete_location - 1]);
	file->name = TextDatumGetCString(values[Anum_delete_name - 1]);
	if (n_counts != file->n_data_files)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("catalog row of delete file \"%s\" contradicts itself", file->name)));
	return file;
}

/* ---- row ids ---- */

static void
report_row_ids(const LhDeleteFile *file)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("catalog row of delete file \"%s\" has broken row ids", file->name)));
}

void
lh_delete_set_row_ids(LhDeleteFile *file, const uint64 *row_ids)
{
	LhAlloc		alloc = lh_palloc_alloc(CurrentMemoryContext);
	int64		i = 0;
	LhBuf		buf;

	lh_buf_init(&buf, &alloc);
	for (int f = 0; f < file->n_data_files; f++)
	{
		uint64		last = 0;

		for (int64 end = i + file->dead_counts[f]; i < end; last = row_ids[i++])
			lh_buf_varint(&buf, row_ids[i] - last);
	}
	file->row_ids = palloc(VARHDRSZ + buf.len);
	SET_VARSIZE(file->row_ids, VARHDRSZ + buf.len);
	memcpy(VARDATA(file->row_ids), buf.data, buf.len);
	lh_buf_free(&buf);
}

uint64 *
lh_delete_row_ids(const LhDeleteFile *file)
{
	bytea	   *packed = (bytea *) PG_DETOAST_DATUM_PACKED(PointerGetDatum(file->row_ids));
	uint64	   *row_ids;
	int64		i = 0;
	LhReader	in;

	if (file->row_count < 0 || file->row_count > VARSIZE_ANY_EXHDR(packed))
		report_row_ids(file);
	row_ids = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(uint64) * Max(file->row_count, 1));
	lh_reader_init(&in, VARDATA_ANY(packed), VARSIZE_ANY_EXHDR(packed));
	for (int f = 0; f < file->n_data_files; f++)
	{
		uint64		last = 0;

		if (file->dead_counts[f] < 1 || file->dead_counts[f] > file->row_count - i)
			report_row_ids(file);
		for (int64 end = i + file->dead_counts[f]; i < end; i++)
		{
			uint64		step;

			if (!lh_read_varint(&in, &step) || step > LH_MAX_ROW_ID - last)
				report_row_ids(file);
			row_ids[i] = last += step;
		}
	}
	if (i != file->row_count || lh_reader_left(&in) != 0)
		report_row_ids(file);
	if ((void *) packed != (void *) file->row_ids)
		pfree(packed);
	return row_ids;
}

void
lh_delete_add_row_ids(List *files, LhRowSet *rows)
{
	ListCell   *lc;

	foreach(lc, files)
	{
		const LhDeleteFile *file = lfirst(lc);
		uint64	   *row_ids = lh_delete_row_ids(file);

		CHECK_FOR_INTERRUPTS();
		for (int64 i = 0; i < file->row_count; i++)
			lh_row_set_add(rows, row_ids[i]);
		pfree(row_ids);
	}
	lh_check_row_set(rows);
}

/* ---- rows of the catalog ---- */

void
lh_delete_insert(const LhDeleteFile *file, CommandId cid)
{
	Relation	rel = lake_open("lake_delete", Natts_delete, RowExclusiveLock);
	Datum		values[Natts_delete];
	bool		isnull[Natts_delete] = {0};
	HeapTuple	tuple;

	values[Anum_delete_file_id - 1] = Int64GetDatum(file->file_id);
	values[Anum_delete_storage_id - 1] = Int64GetDatum(file->storage_id);
	values[Anum_delete_removed_seq - 1] = Int64GetDatum(file->removed_seq);
	values[Anum_delete_added_seq - 1] = Int64GetDatum(file->added_seq);
	values[Anum_delete_table_uuid - 1] = UUIDPGetDatum(&file->table_uuid);
	values[Anum_delete_relid - 1] = ObjectIdGetDatum(file->relid);
	values[Anum_delete_row_count - 1] = Int64GetDatum(file->row_count);
	values[Anum_delete_byte_count - 1] = Int64GetDatum(file->byte_count);
	values[Anum_delete_data_file_ids - 1] = values_array(file->data_file_ids, file->n_data_files);
	values[Anum_delete_dead_counts - 1] = values_array(file->dead_counts, file->n_data_files);
	values[Anum_delete_row_ids - 1] = PointerGetDatum(file->row_ids);
	values[Anum_delete_location - 1] = lake_location_datum(file->location);
	values[Anum_delete_name - 1] = CStringGetTextDatum(file->name);
	tuple = heap_form_tuple(RelationGetDescr(rel), values, isnull);
	lake_insert(rel, tuple, cid);
	heap_freetuple(tuple);
	table_close(rel, NoLock);
}

static int
compare_deletes(const ListCell *a, const ListCell *b)
{
	const LhDeleteFile *fa = lfirst(a);
	const LhDeleteFile *fb = lfirst(b);

	if (fa->added_seq != fb->added_seq)
		return fa->added_seq < fb->added_seq ? -1 : 1;
	return fa->file_id < fb->file_id ? -1 : fa->file_id > fb->file_id;
}

/* seq: those of that version; 0: all. */
static List *
scan_deletes(int n_keys, ScanKey keys, int64 seq, Snapshot snapshot)
{
	Relation	rel = lake_open("lake_delete", Natts_delete, AccessShareLock);
	LakeScan   *scan = lake_scan_begin(rel, "lake_delete_table", snapshot, n_keys, keys);
	List	   *files = NIL;
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = lake_scan_next(scan, ForwardScanDirection)))
	{
		LhDeleteFile *file = delete_from_tuple(tuple, RelationGetDescr(rel));

		if (seq == 0 || (file->added_seq > 0 && file->added_seq <= seq &&
						 (file->removed_seq == 0 || seq < file->removed_seq)))
			files = lappend(files, file);
	}
	lake_scan_end(scan);
	table_close(rel, AccessShareLock);
	list_sort(files, compare_deletes);
	return files;
}

List *
lh_delete_list(const pg_uuid_t *table_uuid, Snapshot snapshot)
{
	ScanKeyData keys[2];

	ScanKeyInit(&keys[0], Anum_delete_table_uuid, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(table_uuid));
	ScanKeyInit(&keys[1], Anum_delete_removed_seq, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(0));
	return scan_deletes(2, keys, 0, snapshot);
}

List *
lh_delete_list_version(const pg_uuid_t *table_uuid, int64 seq, Snapshot snapshot)
{
	ScanKeyData key;

	ScanKeyInit(&key, Anum_delete_table_uuid, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(table_uuid));
	return scan_deletes(1, &key, seq, snapshot);
}

List *
lh_delete_list_table(const pg_uuid_t *table_uuid, Snapshot snapshot)
{
	ScanKeyData key;

	ScanKeyInit(&key, Anum_delete_table_uuid, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(table_uuid));
	return scan_deletes(1, &key, 0, snapshot);
}

void
lh_delete_stamp(const LhDeleteFile *file, int64 added_seq, int64 removed_seq)
{
	Relation	rel = lake_open("lake_delete", Natts_delete, RowExclusiveLock);
	ScanKeyData key;
	LakeScan   *scan;
	HeapTuple	tuple;
	Datum		values[Natts_delete];
	bool		isnull[Natts_delete] = {0};
	bool		replace[Natts_delete] = {0};

	ScanKeyInit(&key, Anum_delete_file_id, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(file->file_id));
	scan = lake_scan_begin(rel, "lake_delete_id", NULL, 1, &key);
	tuple = lake_scan_next(scan, ForwardScanDirection);
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "delete file " INT64_FORMAT " is not in the catalog", file->file_id);
	values[Anum_delete_added_seq - 1] = Int64GetDatum(added_seq);
	values[Anum_delete_removed_seq - 1] = Int64GetDatum(removed_seq);
	replace[Anum_delete_added_seq - 1] = replace[Anum_delete_removed_seq - 1] = true;
	tuple = heap_modify_tuple(tuple, RelationGetDescr(rel), values, isnull, replace);
	lake_update(rel, &tuple->t_self, tuple);
	lake_scan_end(scan);
	table_close(rel, NoLock);
}

void
lh_delete_delete_all(const pg_uuid_t *table_uuid)
{
	Relation	rel = lake_open("lake_delete", Natts_delete, RowExclusiveLock);
	ScanKeyData key;
	LakeScan   *scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_delete_table_uuid, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(table_uuid));
	scan = lake_scan_begin(rel, "lake_delete_table", NULL, 1, &key);
	while (HeapTupleIsValid(tuple = lake_scan_next(scan, ForwardScanDirection)))
		CatalogTupleDelete(rel, &tuple->t_self);
	lake_scan_end(scan);
	table_close(rel, NoLock);
}

bool
lh_delete_exists(int64 file_id, Snapshot snapshot)
{
	Relation	rel = lake_open("lake_delete", Natts_delete, AccessShareLock);
	ScanKeyData key;
	LakeScan   *scan;
	bool		found;

	ScanKeyInit(&key, Anum_delete_file_id, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(file_id));
	scan = lake_scan_begin(rel, "lake_delete_id", snapshot, 1, &key);
	found = HeapTupleIsValid(lake_scan_next(scan, ForwardScanDirection));
	lake_scan_end(scan);
	table_close(rel, AccessShareLock);
	return found;
}
