/*
 * nearest_toast.c
 *	  Values that stand beside the table, one after the other.
 *
 * The server looks up each value by itself: it opens the TOAST table and its
 * index, and searches the index.  Here they stay open, and the place of a value
 * is guessed: numbers are given in the order in which values are stored, so
 * from one value's place and the numbers of both follows about where the other
 * stands, and the pages there tell how far the guess is off.  A chunk names its
 * value and its place in it, and a number is used again only when nothing is
 * left of the old value, so what is found is the value.
 *
 * Whatever is not as usual is left to the server, and its errors with it.
 */
#include "postgres.h"

#include <math.h>

#include "access/detoast.h"
#include "access/genam.h"
#include "access/heapam.h"
#include "access/heaptoast.h"
#include "access/table.h"
#include "access/toast_internals.h"
#include "catalog/pg_am.h"
#include "storage/bufmgr.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "nearest/nearest_int.h"

/* Pages read to find a value by guessing. */
#define GUESSES			4
/* Guessing stops after so many values that were not found by it. */
#define MAX_MISSES		16

static void
open_toast(NearestToast *toast, Oid relid)
{
	MemoryContext old = MemoryContextSwitchTo(toast->context);

	lh_nearest_toast_close(toast);
	toast->rel = table_open(relid, AccessShareLock);
	toast->valid_index = toast_open_indexes(toast->rel, AccessShareLock, &toast->indexes, &toast->n_indexes);
	toast->n_blocks = RelationGetNumberOfBlocks(toast->rel);
	toast->seen = lh_nearest_seen(toast->rel);
	toast->buffer = InvalidBuffer;
	toast->last = InvalidOid;
	toast->misses = 0;
	MemoryContextSwitchTo(old);
}

void
lh_nearest_toast_close(NearestToast *toast)
{
	if (toast->rel)
	{
		if (BufferIsValid(toast->buffer))
			ReleaseBuffer(toast->buffer);
		toast_close_indexes(toast->indexes, toast->n_indexes, AccessShareLock);
		table_close(toast->rel, AccessShareLock);
	}
	if (toast->value)
		pfree(toast->value);
	toast->rel = NULL;
	toast->value = NULL;
	toast->room = 0;
}

/* The bytes of a chunk into the value, if it is the one. */
static bool
take_chunk(NearestToast *toast, HeapTuple tuple, const varatt_external *pointer, int number, bool prefetch)
{
	TupleDesc	desc = RelationGetDescr(toast->rel);
	int32		from = number * TOAST_MAX_CHUNK_SIZE;
	int32		bytes = Min((int32) VARATT_EXTERNAL_GET_EXTSIZE(*pointer) - from, TOAST_MAX_CHUNK_SIZE);
	struct varlena *chunk;
	bool		isnull;

	if (DatumGetObjectId(fastgetattr(tuple, 1, desc, &isnull)) != pointer->va_valueid || isnull ||
		DatumGetInt32(fastgetattr(tuple, 2, desc, &isnull)) != number || isnull)
		return false;
	chunk = (struct varlena *) DatumGetPointer(fastgetattr(tuple, 3, desc, &isnull));
	if (isnull || VARATT_IS_EXTERNAL(chunk) || VARATT_IS_COMPRESSED(chunk) || VARSIZE_ANY_EXHDR(chunk) != bytes)
		return false;
	if (prefetch)
		LH_PREFETCH(toast->next + ((char *) chunk - (char *) BufferGetPage(toast->buffer)), bytes);
	memcpy(VARDATA(toast->value) + from, VARDATA_ANY(chunk), bytes);
	return true;
}

/* The tuple at a place of the locked page in toast->buffer, or NULL. */
static HeapTuple
tuple_at(NearestToast *toast, BlockNumber block, OffsetNumber offset, HeapTuple tuple)
{
	Page		page = BufferGetPage(toast->buffer);
	ItemId		item;

	if (offset > PageGetMaxOffsetNumber(page))
		return NULL;
	item = PageGetItemId(page, offset);
	if (!ItemIdIsNormal(item))
		return NULL;
	tuple->t_data = (HeapTupleHeader) PageGetItem(page, item);
	tuple->t_len = ItemIdGetLength(item);
	tuple->t_tableOid = RelationGetRelid(toast->rel);
	ItemPointerSet(&tuple->t_self, block, offset);
	return tuple;
}

static void
lock_page(NearestToast *toast, BlockNumber block)
{
	if (!BufferIsValid(toast->buffer) || BufferGetBlockNumber(toast->buffer) != block)
	{
		Buffer		buffer = lh_nearest_read_block(toast->seen, toast->rel, block);

		if (BufferIsValid(toast->buffer))
			ReleaseBuffer(toast->buffer);
		toast->buffer = buffer;
		toast->next = lh_nearest_next_page(toast->seen, block, buffer);
	}
	LockBuffer(toast->buffer, BUFFER_LOCK_SHARE);
}

/* Takes the chunks from this place on; will the next value follow? */
static bool
take_chunks_from(NearestToast *toast, BlockNumber block, OffsetNumber offset, const varatt_external *pointer,
				 int n, bool follows)
{
	int			number = 0;
	HeapTupleData data;
	HeapTuple	tuple;

	for (; number < n && block < toast->n_blocks; block++, offset = FirstOffsetNumber)
	{
		bool		other = false;

		lock_page(toast, block);
		for (; number < n && !other && offset <= PageGetMaxOffsetNumber(BufferGetPage(toast->buffer)); offset++)
		{
			tuple = tuple_at(toast, block, offset, &data);
			other = tuple == NULL || !take_chunk(toast, tuple, pointer, number, follows);
			if (other)
				break;
			number++;
			toast->block = block;
			toast->offset = offset;
		}
		LockBuffer(toast->buffer, BUFFER_LOCK_UNLOCK);
		if (other)
			break;
	}
	return number == n;
}

/*
 * Where on the page does the value begin?  If not there: how many numbers
 * before or behind those of the page it is.
 */
static OffsetNumber
find_on_page(NearestToast *toast, BlockNumber block, Oid value, int64 *distance)
{
	TupleDesc	desc = RelationGetDescr(toast->rel);
	OffsetNumber last,
				found = InvalidOffsetNumber;
	HeapTupleData data;
	bool		isnull;

	*distance = 0;
	lock_page(toast, block);
	last = PageGetMaxOffsetNumber(BufferGetPage(toast->buffer));
	for (OffsetNumber offset = FirstOffsetNumber; offset <= last && !found; offset++)
	{
		HeapTuple	tuple = tuple_at(toast, block, offset, &data);
		Oid			id = tuple ? DatumGetObjectId(fastgetattr(tuple, 1, desc, &isnull)) : InvalidOid;

		if (id == value && DatumGetInt32(fastgetattr(tuple, 2, desc, &isnull)) == 0)
			found = offset;
		else if (tuple)
			*distance = (int64) value - id;
	}
	LockBuffer(toast->buffer, BUFFER_LOCK_UNLOCK);
	return found;
}

/* From the place of the value found last, by the difference of numbers. */
static bool
take_all_by_guess(NearestToast *toast, const varatt_external *pointer, int n)
{
	int64		distance = (int64) pointer->va_valueid - toast->last;
	double		block = toast->block;

	if (toast->last == InvalidOid || toast->misses >= MAX_MISSES)
		return false;
	if (distance == 1 && take_chunks_from(toast, toast->block, toast->offset + 1, pointer, n, true))
		return true;
	for (int i = 0; i < GUESSES && distance != 0; i++)
	{
		double		move = distance * toast->step;
		OffsetNumber offset;

		if (fabs(move) < 1)
			move = distance < 0 ? -1 : i > 0;
		block = floor(block + move);
		if (block < 0 || block >= toast->n_blocks)
			return false;
		offset = find_on_page(toast, (BlockNumber) block, pointer->va_valueid, &distance);
		if (offset != InvalidOffsetNumber)
			return take_chunks_from(toast, (BlockNumber) block, offset, pointer, n, false);
	}
	return false;
}

static bool
take_all_by_index(NearestToast *toast, const varatt_external *pointer, int n)
{
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	int			number = 0;

	ScanKeyInit(&key, (AttrNumber) 1, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(pointer->va_valueid));
	scan = systable_beginscan_ordered(toast->rel, toast->indexes[toast->valid_index], SnapshotAny, 1, &key);
	while (number < n && (tuple = systable_getnext_ordered(scan, ForwardScanDirection)) != NULL &&
		   take_chunk(toast, tuple, pointer, number, false))
	{
		toast->block = ItemPointerGetBlockNumber(&tuple->t_self);
		toast->offset = ItemPointerGetOffsetNumber(&tuple->t_self);
		number++;
	}
	systable_endscan_ordered(scan);
	return number == n;
}

/* Room for a value of so many bytes, header included. */
static void
make_room(NearestToast *toast, Size bytes)
{
	if (toast->room >= bytes)
		return;
	if (toast->value)
		pfree(toast->value);
	toast->value = MemoryContextAlloc(toast->context, bytes);
	toast->room = bytes;
}

/* A value has been found: how far from the last one? */
static void
learn_step(NearestToast *toast, const varatt_external *pointer, BlockNumber before)
{
	int64		distance = (int64) pointer->va_valueid - toast->last;
	double		blocks = (double) toast->block - before;

	if (toast->last == InvalidOid)
		toast->step = (double) VARATT_EXTERNAL_GET_EXTSIZE(*pointer) / BLCKSZ;
	else if (distance != 0 && blocks / distance > 0)
		toast->step = toast->step * 0.75 + blocks / distance * 0.25;
	toast->last = pointer->va_valueid;
}

/*
 * The value in one piece, valid until the next call, if it stands uncompressed
 * beside the table; else as it came.
 */
Datum
lh_nearest_fetch(NearestToast *toast, Datum value)
{
	struct varlena *attr = (struct varlena *) DatumGetPointer(value);
	varatt_external pointer;
	Size		bytes;
	BlockNumber before;
	bool		found;
	int			n;

	if (!VARATT_IS_EXTERNAL_ONDISK(attr))
		return value;
	VARATT_EXTERNAL_GET_POINTER(pointer, attr);
	bytes = VARATT_EXTERNAL_GET_EXTSIZE(pointer);
	if (VARATT_EXTERNAL_IS_COMPRESSED(pointer) || bytes == 0)
		return value;
	if (toast->rel == NULL || RelationGetRelid(toast->rel) != pointer.va_toastrelid)
		open_toast(toast, pointer.va_toastrelid);
	if (toast->rel->rd_rel->relam != HEAP_TABLE_AM_OID)
		return value;
	make_room(toast, bytes + VARHDRSZ);
	SET_VARSIZE(toast->value, bytes + VARHDRSZ);
	n = (int) ((bytes - 1) / TOAST_MAX_CHUNK_SIZE + 1);
	before = toast->block;
	found = take_all_by_guess(toast, &pointer, n);
	toast->misses = found ? 0 : toast->misses + 1;
	if (!found && !take_all_by_index(toast, &pointer, n))
	{
		toast->last = InvalidOid;
		return value;
	}
	learn_step(toast, &pointer, before);
	return PointerGetDatum(toast->value);
}
