/*
 * am_slot.c
 *	  The slot that scans of lakehouse tables return: columns are decoded when
 *	  somebody looks at them.
 *
 * It is a virtual slot with a row of a file reader's batch behind it.  The
 * first tts_nvalid columns are in tts_values; asking for more decodes them
 * for the whole batch (storage/file_reader.c).  Unlike TTSOpsVirtual it can
 * give system columns, and its copies carry the row's TID, which ANALYZE
 * sorts by.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"

#include "tableam/lh_tableam_int.h"

typedef struct LhSlot
{
	VirtualTupleTableSlot base;
	LhFileReader *reader;		/* NULL: all columns are in tts_values */
	int			row;
} LhSlot;

static TupleTableSlotOps slot_ops;

static void
lh_slot_init(TupleTableSlot *slot)
{
	LhSlot	   *lslot = (LhSlot *) slot;

	TTSOpsVirtual.init(slot);
	lslot->reader = NULL;
}

static void
lh_slot_clear(TupleTableSlot *slot)
{
	((LhSlot *) slot)->reader = NULL;
	TTSOpsVirtual.clear(slot);
}

static void
lh_slot_getsomeattrs(TupleTableSlot *slot, int natts)
{
	LhSlot	   *lslot = (LhSlot *) slot;

	if (lslot->reader == NULL)
		elog(ERROR, "slot has only %d of %d columns", slot->tts_nvalid, natts);
	for (int i = slot->tts_nvalid; i < natts; i++)
	{
		Datum	   *values;
		bool	   *isnull;

		lh_file_reader_column(lslot->reader, i + 1, &values, &isnull);
		slot->tts_values[i] = values[lslot->row];
		slot->tts_isnull[i] = isnull[lslot->row];
	}
	slot->tts_nvalid = natts;
}

/*
 * ctid and tableoid are answered by slot_getsysattr().  Rows that a scan
 * returns are committed or our own, so xmin can say "frozen"; nothing
 * deletes rows in place.
 */
static Datum
lh_slot_getsysattr(TupleTableSlot *slot, int attnum, bool *isnull)
{
	*isnull = false;
	switch (attnum)
	{
		case MinTransactionIdAttributeNumber:
			return TransactionIdGetDatum(FrozenTransactionId);
		case MaxTransactionIdAttributeNumber:
			return TransactionIdGetDatum(InvalidTransactionId);
		case MinCommandIdAttributeNumber:
		case MaxCommandIdAttributeNumber:
			return CommandIdGetDatum(FirstCommandId);
		default:
			elog(ERROR, "unknown system column %d", attnum);
			return (Datum) 0;
	}
}

static void
lh_slot_materialize(TupleTableSlot *slot)
{
	slot_getallattrs(slot);
	TTSOpsVirtual.materialize(slot);
	((LhSlot *) slot)->reader = NULL;
}

static void
lh_slot_copyslot(TupleTableSlot *dst, TupleTableSlot *src)
{
	lh_slot_clear(dst);
	TTSOpsVirtual.copyslot(dst, src);
	dst->tts_tid = src->tts_tid;
	dst->tts_tableOid = src->tts_tableOid;
}

static HeapTuple
lh_slot_copy_heap_tuple(TupleTableSlot *slot)
{
	HeapTuple	tuple;

	slot_getallattrs(slot);
	tuple = heap_form_tuple(slot->tts_tupleDescriptor, slot->tts_values, slot->tts_isnull);
	tuple->t_self = slot->tts_tid;
	tuple->t_tableOid = slot->tts_tableOid;
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
		LhSlot	   *lslot = (LhSlot *) slot;

		lslot->reader = row->reader;
		lslot->row = row->row;
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
	lh_row_id_to_tid(row->row_id, &slot->tts_tid);
	slot->tts_tableOid = relid;
}
