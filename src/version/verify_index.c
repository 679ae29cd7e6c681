/*
 * verify_index.c
 *	  lakehouse.verify(): an index against the rows.
 *
 * A scan of the table says which rows the index must have; a walk over the
 * whole index then has to find each of them once.
 * Entries of rows that the snapshot does not see may be there: indexes have
 * them until VACUUM.  In a btree, entries also must have the row's key, come in
 * order and be found by a descent from the root, and a unique key has one row.
 *
 * Access methods that cannot be walked without a condition give bitmaps
 * instead, which only say which rows are there; hash indexes are asked for
 * each key.  Others (BRIN, HNSW) are left out: what they miss is no error.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/itup.h"
#include "access/nbtree.h"
#include "access/relscan.h"
#include "access/stratnum.h"
#include "access/tableam.h"
#include "catalog/index.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_type_d.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/tidbitmap.h"
#include "utils/datum.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "storage/lh_storage.h"
#include "types/pg_compat.h"
#include "version/verify_int.h"

/* A row that the index must have. */
typedef struct IndexedRow
{
	uint64		row_id;			/* hash key */
	uint32		key;			/* hash of its key columns */
	bool		seen;
} IndexedRow;

typedef struct IndexCheck
{
	LhVerify   *v;
	Relation	index;
	const char *name;
	IndexInfo  *info;
	HTAB	   *rows;
	int64		missing;		/* rows without an entry, */
	uint64		missing_id;		/* and one of them */
	int64		twice;			/* entries for one row */
	int64		wrong;			/* entries with another key */
	int64		misplaced;		/* entries out of order */
	int64		lost;			/* keys that a descent does not find */
	int64		duplicates;		/* of a unique key */
} IndexCheck;

/* ---- keys ---- */

/*
 * The values themselves, whatever form (toasted, compressed) they are in.  Only
 * btrees have in their entries what the row has; others make something of it.
 */
static uint32
hash_key(const IndexCheck *c, const Datum *values, const bool *isnull)
{
	TupleDesc	desc = RelationGetDescr(c->index);
	uint32		hash = 0;

	if (c->index->rd_rel->relam != BTREE_AM_OID)
		return 0;
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		hash = hash * 31 + (isnull[i] ? 7 : datum_image_hash(values[i], att->attbyval, att->attlen));
	}
	return hash;
}

static void
hash_entry(const IndexCheck *c, IndexTuple tuple, uint32 *hash)
{
	Datum		values[INDEX_MAX_KEYS];
	bool		isnull[INDEX_MAX_KEYS];

	index_deform_tuple(tuple, RelationGetDescr(c->index), values, isnull);
	*hash = hash_key(c, values, isnull);
}

/* ---- rows ---- */

typedef void (*RowVisitor) (IndexCheck *c, uint64 row_id, Datum *values, bool *isnull);

/* Calls `visit` for each row that the index must have. */
static void
visit_rows(IndexCheck *c, RowVisitor visit)
{
	EState	   *estate = CreateExecutorState();
	ExprContext *econtext = GetPerTupleExprContext(estate);
	TupleTableSlot *slot = table_slot_create(c->v->rel, NULL);
	ExprState  *predicate = ExecPrepareQual(c->info->ii_Predicate, estate);
	TableScanDesc scan = table_beginscan_strat(c->v->rel, c->v->snapshot, 0, NULL, true, false);
	Datum		values[INDEX_MAX_KEYS];
	bool		isnull[INDEX_MAX_KEYS];

	econtext->ecxt_scantuple = slot;
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		ResetExprContext(econtext);
		if (predicate != NULL && !ExecQual(predicate, econtext))
			continue;
		FormIndexDatum(c->info, slot, estate, values, isnull);
		visit(c, lh_tid_to_row_id(&slot->tts_tid), values, isnull);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	FreeExecutorState(estate);
	c->info->ii_ExpressionsState = NIL;
	c->info->ii_PredicateState = NULL;
}

static void
remember_row(IndexCheck *c, uint64 row_id, Datum *values, bool *isnull)
{
	IndexedRow *row = hash_search(c->rows, &row_id, HASH_ENTER, NULL);

	row->key = hash_key(c, values, isnull);
	row->seen = false;
}

static void
remember_rows(IndexCheck *c)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(uint64);
	ctl.entrysize = sizeof(IndexedRow);
	ctl.hcxt = CurrentMemoryContext;
	c->rows = hash_create("lakehouse verify index", 10000, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	visit_rows(c, remember_row);
}

static IndexedRow *
row_of(IndexCheck *c, ItemPointer tid)
{
	uint64		row_id = lh_tid_to_row_id(tid);

	return hash_search(c->rows, &row_id, HASH_FIND, NULL);
}

static void
note_missing(IndexCheck *c, uint64 row_id)
{
	c->missing++;
	c->missing_id = row_id;
}

static void
count_missing(IndexCheck *c)
{
	HASH_SEQ_STATUS status;
	IndexedRow *row;

	hash_seq_init(&status, c->rows);
	while ((row = hash_seq_search(&status)) != NULL)
		if (!row->seen)
			note_missing(c, row->row_id);
}

/* ---- btrees ---- */

/* -1, 0, 1 in the order of the index, over its key columns; *has_null if they have one. */
static int
compare_entries(Relation index, IndexTuple a, IndexTuple b, bool *has_null)
{
	TupleDesc	desc = RelationGetDescr(index);

	*has_null = false;
	for (int i = 0; i < IndexRelationGetNumberOfKeyAttributes(index); i++)
	{
		bool		a_null;
		bool		b_null;
		Datum		x = index_getattr(a, i + 1, desc, &a_null);
		Datum		y = index_getattr(b, i + 1, desc, &b_null);
		int			options = index->rd_indoption[i];
		int			order;

		*has_null |= a_null;
		if (a_null || b_null)
			order = a_null == b_null ? 0 :
				(a_null ? 1 : -1) * ((options & INDOPTION_NULLS_FIRST) ? -1 : 1);
		else
		{
			order = DatumGetInt32(FunctionCall2Coll(index_getprocinfo(index, i + 1, BTORDER_PROC),
													index->rd_indcollation[i], x, y));
			if (options & INDOPTION_DESC)
				order = order < 0 ? 1 : order > 0 ? -1 : 0;
		}
		if (order != 0)
			return order;
	}
	return 0;
}

/* Does a descent from the root arrive at this entry?  It is of a living row, so nobody removes it. */
static bool
is_found(IndexCheck *c, IndexScanDesc probe, IndexTuple tuple)
{
	TupleDesc	desc = RelationGetDescr(c->index);
	ScanKeyData keys[INDEX_MAX_KEYS];
	int			n = IndexRelationGetNumberOfKeyAttributes(c->index);
	ItemPointer tid;

	for (int i = 0; i < n; i++)
	{
		Oid			opfamily = c->index->rd_opfamily[i];
		Oid			type = c->index->rd_opcintype[i];
		Oid			op = get_opfamily_member(opfamily, type, type, BTEqualStrategyNumber);
		bool		isnull;
		Datum		value = index_getattr(tuple, i + 1, desc, &isnull);

		ScanKeyEntryInitialize(&keys[i], isnull ? SK_ISNULL | SK_SEARCHNULL : 0, i + 1,
							   isnull ? InvalidStrategy : BTEqualStrategyNumber, InvalidOid,
							   c->index->rd_indcollation[i], isnull ? InvalidOid : get_opcode(op), value);
	}
	index_rescan(probe, keys, n, NULL, 0);
	while ((tid = index_getnext_tid(probe, ForwardScanDirection)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (ItemPointerEquals(tid, &tuple->t_tid))
			return true;
	}
	return false;
}

/* An entry of the walk; `last` is the one before, NULL at the beginning. */
static void
check_entry(IndexCheck *c, IndexScanDesc probe, IndexTuple tuple, IndexTuple last, bool *last_visible)
{
	IndexedRow *row = row_of(c, &tuple->t_tid);
	bool		has_null = false;
	int			order = last != NULL ? compare_entries(c->index, last, tuple, &has_null) : -1;
	uint32		hash;

	if (order > 0 || (order == 0 && ItemPointerCompare(&last->t_tid, &tuple->t_tid) >= 0))
		c->misplaced++;
	if (order != 0)
		*last_visible = false;
	if (row == NULL)
		return;
	/* once for each key */
	if (!*last_visible)
		c->lost += !is_found(c, probe, tuple);
	hash_entry(c, tuple, &hash);
	c->twice += row->seen;
	c->wrong += hash != row->key;
	row->seen = true;
	if (c->info->ii_Unique && c->index->rd_index->indimmediate && *last_visible &&
		(!has_null || c->info->ii_NullsNotDistinct))
		c->duplicates++;
	*last_visible = true;
}

static void
walk_btree(IndexCheck *c)
{
	IndexScanDesc scan = lh_index_beginscan(c->v->rel, c->index, c->v->snapshot, 0);
	IndexScanDesc probe = lh_index_beginscan(c->v->rel, c->index, c->v->snapshot,
											 IndexRelationGetNumberOfKeyAttributes(c->index));
	IndexTuple	last = NULL;
	bool		last_visible = false;
	ItemPointer tid;

	scan->xs_want_itup = true;
	index_rescan(scan, NULL, 0, NULL, 0);
	while ((tid = index_getnext_tid(scan, ForwardScanDirection)) != NULL)
	{
		IndexTuple	tuple = CopyIndexTuple(scan->xs_itup);

		CHECK_FOR_INTERRUPTS();
		/* the entry of a list of duplicates has the list's TID */
		tuple->t_tid = *tid;
		check_entry(c, probe, tuple, last, &last_visible);
		if (last != NULL)
			pfree(last);
		last = tuple;
	}
	index_endscan(probe);
	index_endscan(scan);
	count_missing(c);
}

/* ---- others ---- */

/* GiST, SP-GiST: all entries, in no order. */
static void
walk_unordered(IndexCheck *c)
{
	IndexScanDesc scan = lh_index_beginscan(c->v->rel, c->index, c->v->snapshot, 0);
	ItemPointer tid;

	index_rescan(scan, NULL, 0, NULL, 0);
	while ((tid = index_getnext_tid(scan, ForwardScanDirection)) != NULL)
	{
		IndexedRow *row = row_of(c, tid);

		CHECK_FOR_INTERRUPTS();
		if (row == NULL)
			continue;
		c->twice += row->seen;
		row->seen = true;
	}
	index_endscan(scan);
	count_missing(c);
}

/* GIN: a bitmap of all rows that have an entry. */
static void
walk_bitmap(IndexCheck *c)
{
	IndexScanDesc scan = lh_index_beginscan_bitmap(c->index, c->v->snapshot, 0);
	TIDBitmap  *bitmap = tbm_create((Size) work_mem * 1024, NULL);
	TIDBitmap  *rows;
	HASH_SEQ_STATUS status;
	IndexedRow *row;

	index_rescan(scan, NULL, 0, NULL, 0);
	(void) index_getbitmap(scan, bitmap);
	index_endscan(scan);
	hash_seq_init(&status, c->rows);
	while ((row = hash_seq_search(&status)) != NULL)
	{
		ItemPointerData tid;

		CHECK_FOR_INTERRUPTS();
		lh_row_id_to_tid(row->row_id, &tid);
		rows = tbm_create(1024 * 1024, NULL);
		tbm_add_tuples(rows, &tid, 1, false);
		tbm_intersect(rows, bitmap);
		if (tbm_is_empty(rows))
			note_missing(c, row->row_id);
		tbm_free(rows);
	}
	tbm_free(bitmap);
}

/* Hash: asks for the row's key. */
static void
ask_hash(IndexCheck *c, uint64 row_id, Datum *values, bool *isnull)
{
	Oid			type = c->index->rd_opcintype[0];
	Oid			op = get_opfamily_member(c->index->rd_opfamily[0], type, type, HTEqualStrategyNumber);
	IndexScanDesc scan;
	ScanKeyData key;
	ItemPointer tid;
	bool		found = false;

	if (isnull[0])
		return;
	ScanKeyEntryInitialize(&key, 0, 1, HTEqualStrategyNumber, InvalidOid, c->index->rd_indcollation[0],
						   get_opcode(op), values[0]);
	scan = lh_index_beginscan(c->v->rel, c->index, c->v->snapshot, 1);
	index_rescan(scan, &key, 1, NULL, 0);
	while (!found && (tid = index_getnext_tid(scan, ForwardScanDirection)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		found = lh_tid_to_row_id(tid) == row_id;
	}
	index_endscan(scan);
	if (!found)
		note_missing(c, row_id);
}

/* ---- an index ---- */

static void
report(IndexCheck *c)
{
	if (c->missing > 0)
		lh_finding(c->v, "index", c->name, INT64_FORMAT " rows are not in it, such as that with id " UINT64_FORMAT,
				   c->missing, c->missing_id);
	if (c->twice > 0)
		lh_finding(c->v, "index", c->name, INT64_FORMAT " rows have more than one entry", c->twice);
	if (c->wrong > 0)
		lh_finding(c->v, "index", c->name, INT64_FORMAT " rows have entries with other keys than theirs", c->wrong);
	if (c->misplaced > 0)
		lh_finding(c->v, "index", c->name, INT64_FORMAT " entries are out of order", c->misplaced);
	if (c->lost > 0)
		lh_finding(c->v, "index", c->name, INT64_FORMAT " keys are not found from the root", c->lost);
	if (c->duplicates > 0)
		lh_finding(c->v, "index", c->name, INT64_FORMAT " rows have a unique key that another row has, too", c->duplicates);
}

void
lh_verify_index(LhVerify *v, void *index_oid)
{
	Relation	index = index_open(*(Oid *) index_oid, AccessShareLock);
	IndexCheck	c = {v, index, RelationGetRelationName(index)};
	Oid			am = index->rd_rel->relam;

	/* older transactions may see rows that an index made since does not have */
	if (index->rd_index->indisvalid && index->rd_index->indisready &&
		!(index->rd_index->indcheckxmin &&
		  !TransactionIdPrecedes(HeapTupleHeaderGetXmin(index->rd_indextuple->t_data), v->snapshot->xmin)))
	{
		c.info = BuildIndexInfo(index);
		if (am == HASH_AM_OID)
			visit_rows(&c, ask_hash);
		else if (am == BTREE_AM_OID || am == GIST_AM_OID || am == SPGIST_AM_OID || am == GIN_AM_OID)
		{
			remember_rows(&c);
			if (am == BTREE_AM_OID)
				walk_btree(&c);
			else if (am == GIN_AM_OID)
				walk_bitmap(&c);
			else
				walk_unordered(&c);
		}
		report(&c);
	}
	index_close(index, AccessShareLock);
}
