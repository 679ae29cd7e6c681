/*
 * own_lock.c
 *	  Rows that the running transaction has locked, as far as it remembers.
 *
 * A foreign key check locks the same parent for each of its children.  Who
 * knows that he holds the weakest lock already, KEY SHARE or more, need not
 * look at the row's marks again.
 *
 * A place remembers the row that came to it last.  A rollback to a savepoint
 * forgets the rows locked since, and the transaction's end all.
 */
#include "postgres.h"

#include "access/xact.h"

#include "storage/lh_storage.h"

#define PLACES	4096			/* a power of two */

typedef struct OwnLock
{
	int64		storage_id;
	uint64		row_id;
	uint64		transaction;	/* number of the transaction in this session */
	SubTransactionId subid;
} OwnLock;

static OwnLock places[PLACES];
static uint64 transaction = 1;
static bool any = false;		/* of this transaction */

static OwnLock *
place_of(int64 storage_id, uint64 row_id)
{
	return &places[(row_id ^ (uint64) storage_id) & (PLACES - 1)];
}

static bool
holds(const OwnLock *place, int64 storage_id, uint64 row_id)
{
	return place->transaction == transaction && place->row_id == row_id && place->storage_id == storage_id;
}

void
lh_own_lock_add(int64 storage_id, uint64 row_id)
{
	OwnLock    *place = place_of(storage_id, row_id);

	/* the older one lasts longer */
	if (holds(place, storage_id, row_id))
		return;
	*place = (OwnLock) {storage_id, row_id, transaction, GetCurrentSubTransactionId()};
	any = true;
}

bool
lh_own_lock_known(int64 storage_id, uint64 row_id)
{
	return any && holds(place_of(storage_id, row_id), storage_id, row_id);
}

void
lh_own_lock_remove(int64 storage_id, uint64 row_id)
{
	OwnLock    *place = place_of(storage_id, row_id);

	if (any && holds(place, storage_id, row_id))
		place->transaction = 0;
}

void
lh_own_lock_forget(SubTransactionId subid)
{
	if (subid == InvalidSubTransactionId)
	{
		transaction++;
		any = false;
	}
	for (int i = 0; i < PLACES && any; i++)
		if (places[i].transaction == transaction && places[i].subid >= subid)
			places[i].transaction = 0;
}
