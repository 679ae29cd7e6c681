/*
 * row_slot.c
 *	  The slot that scans of lakehouse tables return: columns are decoded when
 *	  somebody looks at them.
 *
 * It is a virtual slot with a row of a file reader's batch behind it.  The
 * first tts_nvalid columns are in tts_values; asking for more decodes them
 * for the whole batch (storage/file_reader.c).  Unlike TTSOpsVirtual it can
 * give system columns, and its copies carry them and the row's TID, which
 * ANALYZE sorts by.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "storage/lh_storage.h"

typedef struct LhSlot
{
	VirtualTupleTableSlot base;
	LhFileReader *reader;		/* of columns beyond tts_nvalid, and of xmin; NULL: all is here */
	int			row;
	Relation	unread;			/* not NULL: the row with tts_tid, of this table */
	const bool *wanted;			/* [natts], columns that are looked at; NULL: all */
	bool		update_follows;
	TransactionId xmin;
	TransactionId xmax;
	CommandId	cmin;			/* raw: of the table's own, possibly a combo */
} LhSlot;

static TupleTableSlotOps slot_ops;

static void lh_slot_materialize(TupleTableSlot *slot);

static void
lh_slot_init(TupleTableSlot *slot)
{
	LhSlot	   *lslot = (LhSlot *) slot;

	TTSOpsVirtual.init(slot);
	lslot->reader = NULL;
	lslot->wanted = NULL;
}

static void
lh_slot_clear(TupleTableSlot *slot)
{
	LhSlot	   *lslot = (LhSlot *) slot;

	lslot->reader = NULL;
	lslot->unread = NULL;
	lslot->xmin = lslot->xmax = InvalidTransactionId;
	lslot->cmin = FirstCommandId;
	TTSOpsVirtual.clear(slot);
}

/* Reads the row that so far was only known to be there. */
static void
read_row(TupleTableSlot *slot)
{
	Relation	rel = ((LhSlot *) slot)->unread;
	uint64		row_id = lh_tid_to_row_id(&slot->tts_tid);
	const LhRow *known;
	LhRowFetch *fetch;
	LhRow		row;

	known = lh_row_memory_find(lh_storage_id(rel), row_id);
	if (known != NULL)
	{
		lh_slot_store(slot, known, RelationGetRelid(rel));
		lh_slot_materialize(slot);
		return;
	}
	fetch = lh_row_fetch_begin_brief(rel);
	if (!lh_row_fetch(fetch, row_id, slot->tts_tupleDescriptor, SnapshotAny, &row))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("row (%u,%u) of table \"%s\" is in no file",
						ItemPointerGetBlockNumber(&slot->tts_tid), ItemPointerGetOffsetNumber(&slot->tts_tid),
						RelationGetRelationName(rel))));
	lh_slot_store(slot, &row, RelationGetRelid(rel));
	lh_slot_materialize(slot);	/* before the row goes with the fetch */
	lh_row_fetch_end(fetch);
}

static void
lh_slot_getsomeattrs(TupleTableSlot *slot, int natts)
{
	LhSlot	   *lslot = (LhSlot *) slot;

	if (lslot->unread != NULL)
	{
		read_row(slot);
		return;
	}
	if (lslot->reader == NULL)
		elog(ERROR, "slot has only %d of %d columns", slot->tts_nvalid, natts);
	for (int i = slot->tts_nvalid; i < natts; i++)
	{
		Datum	   *values;
		bool	   *isnull;

		if (lslot->wanted != NULL && !lslot->wanted[i])
		{
			slot->tts_values[i] = (Datum) 0;
			slot->tts_isnull[i] = true;
			continue;
		}
		lh_file_reader_column(lslot->reader, i + 1, &values, &isnull);
		slot->tts_values[i] = values[lslot->row];
		slot->tts_isnull[i] = isnull[lslot->row];
	}
	slot->tts_nvalid = natts;
}

TransactionId
lh_slot_xmin(TupleTableSlot *slot)
{
	LhSlot	   *lslot = (LhSlot *) slot;

	if (lslot->unread != NULL)
		read_row(slot);
	return lslot->reader == NULL ? lslot->xmin : lh_file_reader_xmin(lslot->reader, lslot->row);
}

/* ctid and tableoid are answered by slot_getsysattr(). */
static Datum
lh_slot_getsysattr(TupleTableSlot *slot, int attnum, bool *isnull)
{
	LhSlot	   *lslot = (LhSlot *) slot;

	if (lslot->unread != NULL)
		read_row(slot);
	*isnull = false;
	switch (attnum)
	{
		case MinTransactionIdAttributeNumber:
			return TransactionIdGetDatum(lh_slot_xmin(slot));
		case MaxTransactionIdAttributeNumber:
			return TransactionIdGetDatum(lslot->xmax);
		case MinCommandIdAttributeNumber:
		case MaxCommandIdAttributeNumber:
			return CommandIdGetDatum(lslot->cmin);
		default:
			elog(ERROR, "unknown system column %d", attnum);
			return (Datum) 0;
	}
}

static void
lh_slot_materialize(TupleTableSlot *slot)
{
	LhSlot	   *lslot = (LhSlot *) slot;

	slot_getallattrs(slot);
	lslot->xmin = lh_slot_xmin(slot);
	TTSOpsVirtual.materialize(slot);
	lslot->reader = NULL;
}

static void
lh_slot_copyslot(TupleTableSlot *dst, TupleTableSlot *src)
{
	lh_slot_clear(dst);
	TTSOpsVirtual.copyslot(dst, src);
	dst->tts_tid = src->tts_tid;
	dst->tts_tableOid = src->tts_tableOid;
	if (lh_slot_is_ours(src))
	{
		((LhSlot *) dst)->xmin = lh_slot_xmin(src);
		((LhSlot *) dst)->xmax = ((LhSlot *) src)->xmax;
		((LhSlot *) dst)->cmin = ((LhSlot *) src)->cmin;
	}
}

/*
 * heap_form_tuple() has made a header for a composite value.  Where heap gives
 * a tuple, its header is that of the table: triggers look there for OLD.xmin.
 */
static void
dress_as_stored(HeapTuple tuple, TupleTableSlot *slot)
{
	HeapTupleHeader header = tuple->t_data;
	LhSlot	   *lslot = (LhSlot *) slot;

	header->t_infomask = (header->t_infomask & ~HEAP_XACT_MASK) | HEAP_XMAX_INVALID;
	header->t_infomask2 &= ~HEAP2_XACT_MASK;
	HeapTupleHeaderSetXmin(header, lh_slot_xmin(slot));
	HeapTupleHeaderSetXmax(header, lslot->xmax);
	HeapTupleHeaderSetCmin(header, lslot->cmin);
	header->t_ctid = tuple->t_self;
}

static HeapTuple
lh_slot_copy_heap_tuple(TupleTableSlot *slot)
{
	HeapTuple	tuple;

	slot_getallattrs(slot);
	tuple = heap_form_tuple(slot->tts_tupleDescriptor, slot->tts_values, slot->tts_isnull);
	tuple->t_self = slot->tts_tid;
	tuple->t_tableOid = slot->tts_tableOid;
	dress_as_stored(tuple, slot);
	return tuple;
}

static MinimalTuple
lh_slot_copy_minimal_tuple(LH_MINIMAL_PARAMS)
{
	slot_getallattrs(slot);
	return lh_form_minimal_tuple(slot->tts_tupleDescriptor, slot->tts_values, slot->tts_isnull, LH_MINIMAL_EXTRA);
}

const TupleTableSlotOps *
lh_slot_callbacks(Relation rel)
{
	return &slot_ops;
}

bool
lh_slot_is_ours(TupleTableSlot *slot)
{
	return slot->tts_ops == &slot_ops;
}

void
lh_slot_want(TupleTableSlot *slot, const bool *wanted)
{
	if (lh_slot_is_ours(slot))
		((LhSlot *) slot)->wanted = wanted;
}

void
lh_slot_store_unread(TupleTableSlot *slot, Relation rel, ItemPointer tid)
{
	ExecClearTuple(slot);
	slot->tts_flags &= ~TTS_FLAG_EMPTY;
	slot->tts_nvalid = 0;
	slot->tts_tid = *tid;
	slot->tts_tableOid = RelationGetRelid(rel);
	if (lh_slot_is_ours(slot))
		((LhSlot *) slot)->unread = rel;
	else
		elog(ERROR, "slot of another kind for a row of a lakehouse table");
}

void
lh_slot_expect_update(TupleTableSlot *slot)
{
	if (lh_slot_is_ours(slot))
		((LhSlot *) slot)->update_follows = true;
}

bool
lh_slot_update_follows(TupleTableSlot *slot)
{
	return lh_slot_is_ours(slot) && ((LhSlot *) slot)->update_follows;
}

void
lh_slot_set_origin(TupleTableSlot *slot, TransactionId xmin, CommandId cmin)
{
	if (!lh_slot_is_ours(slot))
		return;
	((LhSlot *) slot)->xmin = xmin;
	((LhSlot *) slot)->cmin = cmin;
}

void
lh_slot_set_place(TupleTableSlot *slot, LhFileReader *reader, int row)
{
	if (!lh_slot_is_ours(slot))
		return;
	((LhSlot *) slot)->reader = reader;
	((LhSlot *) slot)->row = row;
}

void
lh_slot_set_inserted(TupleTableSlot *slot, CommandId cid)
{
	LhSlot	   *lslot = (LhSlot *) slot;

	if (!lh_slot_is_ours(slot))
		return;
	slot_getallattrs(slot);
	lslot->reader = NULL;
	lslot->xmin = GetCurrentTransactionId();
	lslot->xmax = InvalidTransactionId;
	lslot->cmin = cid;
}

void
lh_slot_set_xmax(TupleTableSlot *slot, TransactionId xmax)
{
	if (lh_slot_is_ours(slot))
		((LhSlot *) slot)->xmax = xmax;
}

void
lh_slot_ops_init(void)
{
	slot_ops = TTSOpsVirtual;
	slot_ops.base_slot_size = sizeof(LhSlot);
	slot_ops.init = lh_slot_init;
	slot_ops.clear = lh_slot_clear;
	slot_ops.getsomeattrs = lh_slot_getsomeattrs;
	slot_ops.getsysattr = lh_slot_getsysattr;
	slot_ops.materialize = lh_slot_materialize;
	slot_ops.copyslot = lh_slot_copyslot;
	slot_ops.copy_heap_tuple = lh_slot_copy_heap_tuple;
	slot_ops.copy_minimal_tuple = lh_slot_copy_minimal_tuple;
	lh_slot_ops_complete(&slot_ops);
}

/* Takes over a delta row: it stays valid as long as the scan stands on it. */
static void
store_tuple(TupleTableSlot *slot, MinimalTuple tuple)
{
	HeapTupleData htup;

	htup.t_len = tuple->t_len + MINIMAL_TUPLE_OFFSET;
	htup.t_data = (HeapTupleHeader) ((char *) tuple - MINIMAL_TUPLE_OFFSET);
	heap_deform_tuple(&htup, slot->tts_tupleDescriptor, slot->tts_values, slot->tts_isnull);
	ExecStoreVirtualTuple(slot);
}

void
lh_slot_store(TupleTableSlot *slot, const LhRow *row, Oid relid)
{
	ExecClearTuple(slot);
	if (row->reader == NULL)
		store_tuple(slot, row->tuple);
	else if (lh_slot_is_ours(slot))
	{
		lh_slot_set_place(slot, row->reader, row->row);
		slot->tts_nvalid = 0;
		slot->tts_flags &= ~TTS_FLAG_EMPTY;
	}
	else
	{
		/* a slot of another kind, given by somebody outside of the executor */
		for (int i = 0; i < slot->tts_tupleDescriptor->natts; i++)
		{
			Datum	   *values;
			bool	   *isnull;

			lh_file_reader_column(row->reader, i + 1, &values, &isnull);
			slot->tts_values[i] = values[row->row];
			slot->tts_isnull[i] = isnull[row->row];
		}
		ExecStoreVirtualTuple(slot);
	}
	if (row->reader == NULL)
		lh_slot_set_origin(slot, row->xmin, row->cmin);
	lh_row_id_to_tid(row->row_id, &slot->tts_tid);
	slot->tts_tableOid = relid;
}
