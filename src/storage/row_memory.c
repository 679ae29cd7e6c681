/*
 * row_memory.c
 *	  What the row looked at last consists of.
 *
 * A statement that changes or locks a row asks for it several times: to see
 * whether it is there, what its key is, what its new version is made of.  A
 * row never changes under its id, so what was read once needs no second look;
 * who may see it, is for others to say.
 *
 * Only rows of the delta that are one chunk, and only within a transaction,
 * since their xmin goes with them.
 */
#include "postgres.h"

#include "access/heaptoast.h"
#include "access/htup_details.h"

#include "storage/lh_storage.h"

static int64 storage;			/* 0: nothing is remembered */
static LhRow row;
static union
{
	uint64		align;
	char		bytes[TOAST_MAX_CHUNK_SIZE];
}			data;				/* row.tuple */

void
lh_row_memory_put(int64 storage_id, uint64 row_id, const char *tuple, Size len,
				  TransactionId xmin, CommandId cmin)
{
	storage = 0;
	if (len < SizeofMinimalTupleHeader || len > sizeof(data.bytes))
		return;
	memcpy(data.bytes, tuple, len);
	row = (LhRow) {.row_id = row_id, .tuple = (MinimalTuple) data.bytes, .xmin = xmin, .cmin = cmin};
	if (row.tuple->t_len == len)
		storage = storage_id;
}

const LhRow *
lh_row_memory_find(int64 storage_id, uint64 row_id)
{
	return storage != 0 && storage == storage_id && row.row_id == row_id ? &row : NULL;
}

void
lh_row_memory_forget(void)
{
	storage = 0;
}
