/*
 * lake_rows.c
 *	  Rows of the catalog tables in schema lakehouse: open, insert, update, scan.
 *
 * These are ordinary heaps.  They are never reached through SPI: the access
 * method runs inside other people's queries, where planning is not allowed
 * and search_path is not ours.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/relscan.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "catalog/lake_rows_int.h"
#include "catalog/lh_catalog.h"
#include "objstore/objstore.h"
#include "types/pg_compat.h"

static Oid
lake_relid(const char *name)
{
	Oid			schema = get_namespace_oid("lakehouse", true);
	Oid			relid = OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("catalog table \"lakehouse.%s\" does not exist", name),
				 errhint("Create the extension with CREATE EXTENSION lakehouse.")));
	return relid;
}

bool
lh_catalog_exists(void)
{
	Oid			schema = get_namespace_oid("lakehouse", true);

	return OidIsValid(schema) && OidIsValid(get_relname_relid("lake_garbage", schema));
}

Relation
lake_open(const char *table, int natts, LOCKMODE mode)
{
	Relation	rel = table_open(lake_relid(table), mode);

	if (RelationGetNumberOfAttributes(rel) != natts)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("catalog table \"lakehouse.%s\" is of another version of the extension", table),
				 errdetail("It has %d columns, the library knows %d.",
						   RelationGetNumberOfAttributes(rel), natts),
				 errhint("Run ALTER EXTENSION lakehouse UPDATE.")));
	return rel;
}

Oid
lake_index(const char *index)
{
	return lake_relid(index);
}

static void
insert_index_entries(Relation rel, HeapTuple tuple)
{
	CatalogIndexState indexes = CatalogOpenIndexes(rel);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsHeapTuple);

	ExecStoreHeapTuple(tuple, slot, false);
	for (int i = 0; i < indexes->ri_NumIndices; i++)
	{
		IndexInfo  *info = indexes->ri_IndexRelationInfo[i];
		Relation	index = indexes->ri_IndexRelationDescs[i];
		Datum		values[INDEX_MAX_KEYS];
		bool		isnull[INDEX_MAX_KEYS];

		FormIndexDatum(info, slot, NULL, values, isnull);
		index_insert(index, values, isnull, &tuple->t_self, rel,
					 index->rd_index->indisunique ? UNIQUE_CHECK_YES : UNIQUE_CHECK_NO,
					 false, info);
	}
	ExecDropSingleTupleTableSlot(slot);
	CatalogCloseIndexes(indexes);
}

void
lake_insert(Relation rel, HeapTuple tuple, CommandId cid)
{
	heap_insert(rel, tuple, cid, 0, NULL);
	insert_index_entries(rel, tuple);
}

void
lake_update(Relation rel, ItemPointer tid, HeapTuple tuple)
{
	CatalogTupleUpdate(rel, tid, tuple);
}

/* ---- scans ---- */

struct LakeScan
{
	SysScanDesc scan;			/* NULL: there is nothing */
	Relation	index;			/* an ordered scan's */
	Snapshot	registered;		/* by us, or NULL */
	Snapshot	judge;			/* the scan returns all, this says which are there; or NULL */
};

/* Has the scan judge rows itself if it would otherwise take predicate locks. */
static Snapshot
scan_snapshot(LakeScan *scan, Relation rel, Snapshot snapshot)
{
	if (snapshot == NULL)
		snapshot = scan->registered = RegisterSnapshot(GetCatalogSnapshot(RelationGetRelid(rel)));
	if (!IsolationIsSerializable() || !IsMVCCSnapshot(snapshot))
		return snapshot;
	scan->judge = snapshot;
	return SnapshotAny;
}

/*
 * While pg_upgrade restores the schema, all tables are empty, our catalog is
 * without its indexes, and attached partitions are searched.
 */
LakeScan *
lake_scan_begin(Relation rel, const char *index, Snapshot snapshot, int n_keys, ScanKey keys)
{
	LakeScan   *scan = palloc0(sizeof(LakeScan));

	if (IsBinaryUpgrade)
		return scan;
	snapshot = scan_snapshot(scan, rel, snapshot);
	scan->scan = systable_beginscan(rel, index != NULL ? lake_index(index) : InvalidOid, index != NULL,
									snapshot, n_keys, keys);
	return scan;
}

LakeScan *
lake_scan_begin_ordered(Relation rel, const char *index, Snapshot snapshot, int n_keys, ScanKey keys)
{
	LakeScan   *scan = palloc0(sizeof(LakeScan));

	if (IsBinaryUpgrade)
		return scan;
	snapshot = scan_snapshot(scan, rel, snapshot);
	scan->index = index_open(lake_index(index), AccessShareLock);
	scan->scan = systable_beginscan_ordered(rel, scan->index, snapshot, n_keys, keys);
	return scan;
}

static bool
judge_row(LakeScan *scan)
{
	BufferHeapTupleTableSlot *slot = (BufferHeapTupleTableSlot *) scan->scan->slot;
	bool		visible;

	LockBuffer(slot->buffer, BUFFER_LOCK_SHARE);
	visible = HeapTupleSatisfiesVisibility(slot->base.tuple, scan->judge, slot->buffer);
	HeapCheckForSerializableConflictOut(visible, scan->scan->heap_rel, slot->base.tuple, slot->buffer, scan->judge);
	LockBuffer(slot->buffer, BUFFER_LOCK_UNLOCK);
	return visible;
}

HeapTuple
lake_scan_next(LakeScan *scan, ScanDirection direction)
{
	HeapTuple	tuple;

	if (scan->scan == NULL)
		return NULL;
	do
		tuple = scan->index != NULL ? systable_getnext_ordered(scan->scan, direction) : systable_getnext(scan->scan);
	while (HeapTupleIsValid(tuple) && scan->judge != NULL && !judge_row(scan));
	return tuple;
}

void
lake_scan_end(LakeScan *scan)
{
	if (scan->index != NULL)
	{
		systable_endscan_ordered(scan->scan);
		index_close(scan->index, AccessShareLock);
	}
	else if (scan->scan != NULL)
		systable_endscan(scan->scan);
	if (scan->registered != NULL)
		UnregisterSnapshot(scan->registered);
	pfree(scan);
}

/* A location as catalogs keep it is another string than ours (objstore.h). */
Datum
lake_location_datum(const char *location)
{
	return CStringGetTextDatum(lh_location_to_catalog(location));
}

/* lakehouse.location_uri(): the same for views */
LH_FUNCTION(lh_location_uri);

Datum
lh_location_uri(PG_FUNCTION_ARGS)
{
	char	   *location = lh_location_from_catalog(text_to_cstring(PG_GETARG_TEXT_PP(0)));

	PG_RETURN_TEXT_P(cstring_to_text(location));
}

char *
lake_location_read(Datum stored)
{
	return lh_location_from_catalog(TextDatumGetCString(stored));
}
