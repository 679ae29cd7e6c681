/*
 * dead_rows.c
 *	  Rows that this session knows to be dead, and since which transaction.
 *
 * Whoever updates a row again and again meets the index entries of its old
 * versions.  An entry can be marked only when nobody sees its row any more,
 * and not always then: not while its index page changes.  Until it is, one
 * look at the row's marks is enough: a row that was deleted, or superseded,
 * by a transaction that has committed is so for good.
 *
 * What the running transaction has deleted is noted as well, and believed
 * once it has committed; until then own_dead.c answers.  Each place remembers
 * the row that came to it last.
 */
#include "postgres.h"

#include "access/transam.h"
#include "storage/procarray.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "storage/lh_storage.h"

#define PLACES	4096			/* a power of two */

typedef struct DeadRow
{
	int64		storage_id;
	uint64		row_id;
	uint64		xid;			/* full id of the transaction; 0: nobody has a snapshot from before it */
	uint64		transaction;	/* number of the session's own, while it may abort; 0: it has committed */
} DeadRow;

static DeadRow places[PLACES];
static uint64 transaction = 1;
static bool any = false;		/* of this transaction */

static DeadRow *
place_of(int64 storage_id, uint64 row_id)
{
	return &places[(row_id ^ (uint64) storage_id) & (PLACES - 1)];
}

void
lh_dead_row_note(Relation rel, uint64 row_id, TransactionId xid)
{
	int64		storage_id = lh_storage_id(rel);

	*place_of(storage_id, row_id) = (DeadRow) {storage_id, row_id,
		TransactionIdIsNormal(xid) ? U64FromFullTransactionId(lh_full_xid(xid)) : 0, 0};
}

void
lh_dead_row_note_own(int64 storage_id, uint64 row_id, FullTransactionId xid)
{
	*place_of(storage_id, row_id) = (DeadRow) {storage_id, row_id, U64FromFullTransactionId(xid), transaction};
	any = true;
}

bool
lh_dead_row_known(Relation rel, uint64 row_id, Snapshot snapshot, bool *all_dead)
{
	int64		storage_id = lh_storage_id(rel);
	DeadRow    *row = place_of(storage_id, row_id);

	*all_dead = false;
	if (row->row_id != row_id || row->storage_id != storage_id || row->transaction == transaction)
		return false;
	if (row->xid != 0 &&
		GlobalVisTestIsRemovableFullXid(GlobalVisTestFor(rel), FullTransactionIdFromU64(row->xid)))
		row->xid = 0;
	if (row->xid == 0)
	{
		*all_dead = true;
		return snapshot->snapshot_type != SNAPSHOT_ANY;
	}
	switch (snapshot->snapshot_type)
	{
		case SNAPSHOT_MVCC:
			return !XidInMVCCSnapshot((TransactionId) row->xid, snapshot);
		case SNAPSHOT_DIRTY:
		case SNAPSHOT_SELF:
			return true;
		default:
			return false;
	}
}

void
lh_dead_rows_end(bool committed)
{
	for (int i = 0; i < PLACES && any && !committed; i++)
		if (places[i].transaction == transaction)
			memset(&places[i], 0, sizeof(DeadRow));
	transaction++;
	any = false;
}
