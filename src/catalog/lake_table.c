/*
 * lake_table.c
 *	  Catalog of published tables (lakehouse.lake_table), their versions
 *	  (lakehouse.lake_version) and what dropped ones left (lakehouse.lake_garbage).
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

#include "catalog/lake_rows_int.h"
#include "catalog/lh_catalog.h"

enum
{
	Anum_table_uuid = 1,
	Anum_table_relid,
	Anum_table_database_id,
	Anum_table_storage_id,
	Anum_table_last_seq,
	Anum_table_snapshot_id,
	Anum_table_layout,
	Anum_table_iceberg_uuid,
	Anum_table_location,
	Anum_table_metadata_name,
	Natts_table = Anum_table_metadata_name
};

enum
{
	Anum_version_table_uuid = 1,
	Anum_version_seq,
	Anum_version_snapshot_id,
	Anum_version_valid_from,
	Anum_version_operation,
	Anum_version_total_rows,
	Anum_version_total_files,
	Anum_version_total_bytes,
	Anum_version_added_rows,
	Anum_version_removed_rows,
	Anum_version_location,
	Anum_version_metadata_name,
	Natts_version = Anum_version_metadata_name
};

enum
{
	Anum_garbage_table_uuid = 1,
	Anum_garbage_location,
	Anum_garbage_dropped_at,
	Natts_garbage = Anum_garbage_dropped_at
};

/* ---- lake_table ---- */

static LhTable *
table_from_tuple(HeapTuple tuple, TupleDesc desc)
{
	LhTable    *table = palloc0(sizeof(LhTable));
	Datum		values[Natts_table];
	bool		isnull[Natts_table];

	heap_deform_tuple(tuple, desc, values, isnull);
	table->table_uuid = *DatumGetUUIDP(values[Anum_table_uuid - 1]);
	table->relid = DatumGetObjectId(values[Anum_table_relid - 1]);
	table->database_id = DatumGetObjectId(values[Anum_table_database_id - 1]);
	table->storage_id = DatumGetInt64(values[Anum_table_storage_id - 1]);
	table->last_seq = DatumGetInt64(values[Anum_table_last_seq - 1]);
	table->snapshot_id = DatumGetInt64(values[Anum_table_snapshot_id - 1]);
	table->layout = DatumGetInt64(values[Anum_table_layout - 1]);
	table->iceberg_uuid = *DatumGetUUIDP(values[Anum_table_iceberg_uuid - 1]);
	table->location = lake_location_read(values[Anum_table_location - 1]);
	table->metadata_name = TextDatumGetCString(values[Anum_table_metadata_name - 1]);
	table->tid = tuple->t_self;
	return table;
}

LhTable *
lh_table_get(const pg_uuid_t *table_uuid, Snapshot snapshot)
{
	Relation	rel = lake_open("lake_table", Natts_table, AccessShareLock);
	ScanKeyData key;
	LakeScan   *scan;
	HeapTuple	tuple;
	LhTable    *table = NULL;

	ScanKeyInit(&key, Anum_table_uuid, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(table_uuid));
	scan = lake_scan_begin(rel, "lake_table_uuid", snapshot, 1, &key);
	if (HeapTupleIsValid(tuple = lake_scan_next(scan, ForwardScanDirection)))
		table = table_from_tuple(tuple, RelationGetDescr(rel));
	lake_scan_end(scan);
	table_close(rel, AccessShareLock);
	return table;
}

List *
lh_table_list(Snapshot snapshot)
{
	Relation	rel = lake_open("lake_table", Natts_table, AccessShareLock);
	LakeScan   *scan = lake_scan_begin(rel, NULL, snapshot, 0, NULL);
	List	   *tables = NIL;
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = lake_scan_next(scan, ForwardScanDirection)))
		tables = lappend(tables, table_from_tuple(tuple, RelationGetDescr(rel)));
	lake_scan_end(scan);
	table_close(rel, AccessShareLock);
	return tables;
}

void
lh_table_put(LhTable *table)
{
	Relation	rel = lake_open("lake_table", Natts_table, RowExclusiveLock);
	Datum		values[Natts_table];
	bool		isnull[Natts_table] = {0};
	HeapTuple	tuple;

	values[Anum_table_uuid - 1] = UUIDPGetDatum(&table->table_uuid);
	values[Anum_table_relid - 1] = ObjectIdGetDatum(table->relid);
	values[Anum_table_database_id - 1] = ObjectIdGetDatum(table->database_id);
	values[Anum_table_storage_id - 1] = Int64GetDatum(table->storage_id);
	values[Anum_table_last_seq - 1] = Int64GetDatum(table->last_seq);
	values[Anum_table_snapshot_id - 1] = Int64GetDatum(table->snapshot_id);
	values[Anum_table_layout - 1] = Int64GetDatum(table->layout);
	values[Anum_table_iceberg_uuid - 1] = UUIDPGetDatum(&table->iceberg_uuid);
	values[Anum_table_location - 1] = lake_location_datum(table->location);
	values[Anum_table_metadata_name - 1] = CStringGetTextDatum(table->metadata_name);
	tuple = heap_form_tuple(RelationGetDescr(rel), values, isnull);
	if (ItemPointerIsValid(&table->tid))
		lake_update(rel, &table->tid, tuple);
	else
		lake_insert(rel, tuple, GetCurrentCommandId(true));
	table->tid = tuple->t_self;
	table_close(rel, NoLock);
}

void
lh_table_delete(const LhTable *table)
{
	Relation	rel = lake_open("lake_table", Natts_table, RowExclusiveLock);
	ItemPointerData tid = table->tid;

	CatalogTupleDelete(rel, &tid);
	table_close(rel, NoLock);
}

/* ---- lake_version ---- */

void
lh_version_insert(const LhVersion *version)
{
	Relation	rel = lake_open("lake_version", Natts_version, RowExclusiveLock);
	Datum		values[Natts_version];
	bool		isnull[Natts_version] = {0};

	values[Anum_version_table_uuid - 1] = UUIDPGetDatum(&version->table_uuid);
	values[Anum_version_seq - 1] = Int64GetDatum(version->seq);
	values[Anum_version_snapshot_id - 1] = Int64GetDatum(version->snapshot_id);
	values[Anum_version_valid_from - 1] = TimestampTzGetDatum(version->valid_from);
	values[Anum_version_operation - 1] = CStringGetTextDatum(version->operation);
	values[Anum_version_total_rows - 1] = Int64GetDatum(version->total_rows);
	values[Anum_version_total_files - 1] = Int64GetDatum(version->total_files);
	values[Anum_version_total_bytes - 1] = Int64GetDatum(version->total_bytes);
	values[Anum_version_added_rows - 1] = Int64GetDatum(version->added_rows);
	values[Anum_version_removed_rows - 1] = Int64GetDatum(version->removed_rows);
	values[Anum_version_location - 1] = lake_location_datum(version->location);
	values[Anum_version_metadata_name - 1] = CStringGetTextDatum(version->metadata_name);
	lake_insert(rel, heap_form_tuple(RelationGetDescr(rel), values, isnull), GetCurrentCommandId(true));
	table_close(rel, NoLock);
}

static LhVersion *
version_from_tuple(HeapTuple tuple, TupleDesc desc)
{
	LhVersion  *version = palloc0(sizeof(LhVersion));
	Datum		values[Natts_version];
	bool		isnull[Natts_version];

	heap_deform_tuple(tuple, desc, values, isnull);
	version->table_uuid = *DatumGetUUIDP(values[Anum_version_table_uuid - 1]);
	version->seq = DatumGetInt64(values[Anum_version_seq - 1]);
	version->snapshot_id = DatumGetInt64(values[Anum_version_snapshot_id - 1]);
	version->valid_from = DatumGetTimestampTz(values[Anum_version_valid_from - 1]);
	version->operation = TextDatumGetCString(values[Anum_version_operation - 1]);
	version->total_rows = DatumGetInt64(values[Anum_version_total_rows - 1]);
	version->total_files = DatumGetInt64(values[Anum_version_total_files - 1]);
	version->total_bytes = DatumGetInt64(values[Anum_version_total_bytes - 1]);
	version->added_rows = DatumGetInt64(values[Anum_version_added_rows - 1]);
	version->removed_rows = DatumGetInt64(values[Anum_version_removed_rows - 1]);
	version->location = lake_location_read(values[Anum_version_location - 1]);
	version->metadata_name = TextDatumGetCString(values[Anum_version_metadata_name - 1]);
	return version;
}

static int
compare_versions(const ListCell *a, const ListCell *b)
{
	const LhVersion *va = lfirst(a);
	const LhVersion *vb = lfirst(b);

	return va->seq < vb->seq ? -1 : va->seq > vb->seq;
}

List *
lh_version_list(const pg_uuid_t *table_uuid, Snapshot snapshot)
{
	Relation	rel = lake_open("lake_version", Natts_version, AccessShareLock);
	ScanKeyData key;
	LakeScan   *scan;
	List	   *versions = NIL;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_version_table_uuid, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(table_uuid));
	scan = lake_scan_begin(rel, "lake_version_seq", snapshot, 1, &key);
	while (HeapTupleIsValid(tuple = lake_scan_next(scan, ForwardScanDirection)))
		versions = lappend(versions, version_from_tuple(tuple, RelationGetDescr(rel)));
	lake_scan_end(scan);
	table_close(rel, AccessShareLock);
	list_sort(versions, compare_versions);
	return versions;
}

LhVersion *
lh_version_get(const pg_uuid_t *table_uuid, int64 seq, Snapshot snapshot)
{
	Relation	rel = lake_open("lake_version", Natts_version, AccessShareLock);
	ScanKeyData keys[2];
	LakeScan   *scan;
	HeapTuple	tuple;
	LhVersion  *version = NULL;

	ScanKeyInit(&keys[0], Anum_version_table_uuid, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(table_uuid));
	ScanKeyInit(&keys[1], Anum_version_seq, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(seq));
	scan = lake_scan_begin(rel, "lake_version_seq", snapshot, 2, keys);
	if (HeapTupleIsValid(tuple = lake_scan_next(scan, ForwardScanDirection)))
		version = version_from_tuple(tuple, RelationGetDescr(rel));
	lake_scan_end(scan);
	table_close(rel, AccessShareLock);
	return version;
}

void
lh_version_delete_all(const pg_uuid_t *table_uuid)
{
	Relation	rel = lake_open("lake_version", Natts_version, RowExclusiveLock);
	ScanKeyData key;
	LakeScan   *scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_version_table_uuid, BTEqualStrategyNumber, F_UUID_EQ, UUIDPGetDatum(table_uuid));
	scan = lake_scan_begin(rel, "lake_version_seq", NULL, 1, &key);
	while (HeapTupleIsValid(tuple = lake_scan_next(scan, ForwardScanDirection)))
		CatalogTupleDelete(rel, &tuple->t_self);
	lake_scan_end(scan);
	table_close(rel, NoLock);
}

/* ---- lake_garbage ---- */

void
lh_garbage_insert(const pg_uuid_t *table_uuid, const char *location)
{
	Relation	rel = lake_open("lake_garbage", Natts_garbage, RowExclusiveLock);
	Datum		values[Natts_garbage];
	bool		isnull[Natts_garbage] = {0};

	values[Anum_garbage_table_uuid - 1] = UUIDPGetDatum(table_uuid);
	values[Anum_garbage_location - 1] = lake_location_datum(location);
	values[Anum_garbage_dropped_at - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	lake_insert(rel, heap_form_tuple(RelationGetDescr(rel), values, isnull), GetCurrentCommandId(true));
	table_close(rel, NoLock);
}

List *
lh_garbage_list(Snapshot snapshot)
{
	Relation	rel = lake_open("lake_garbage", Natts_garbage, AccessShareLock);
	LakeScan   *scan = lake_scan_begin(rel, NULL, snapshot, 0, NULL);
	List	   *list = NIL;
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = lake_scan_next(scan, ForwardScanDirection)))
	{
		LhGarbage  *garbage = palloc0(sizeof(LhGarbage));
		bool		isnull;

		garbage->table_uuid = *DatumGetUUIDP(heap_getattr(tuple, Anum_garbage_table_uuid, RelationGetDescr(rel), &isnull));
		garbage->location = lake_location_read(heap_getattr(tuple, Anum_garbage_location, RelationGetDescr(rel), &isnull));
		garbage->tid = tuple->t_self;
		list = lappend(list, garbage);
	}
	lake_scan_end(scan);
	table_close(rel, AccessShareLock);
	return list;
}

void
lh_garbage_delete(const LhGarbage *garbage)
{
	Relation	rel = lake_open("lake_garbage", Natts_garbage, RowExclusiveLock);
	ItemPointerData tid = garbage->tid;

	CatalogTupleDelete(rel, &tid);
	table_close(rel, NoLock);
}
