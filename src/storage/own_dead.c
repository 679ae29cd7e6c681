/*
 * own_dead.c
 *	  Rows that the running transaction has deleted or superseded itself.
 *
 * As long as it runs, nobody can take their entries out of the indexes: who
 * updates one row again and again meets all its versions each time.  Here they
 * are known without a look at the delta.
 *
 * A row that is not found here may be dead nevertheless: the memory is
 * bounded, and a rollback to a savepoint forgets everything.
 */
#include "postgres.h"

#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "storage/lh_storage.h"
#include "types/pg_compat.h"

#define MAX_OWN_DEAD	50000

/* Without padding, as it is hashed as bytes. */
typedef struct OwnDeadKey
{
	uint64		row_id;
	Oid			relid;
	uint32		file;			/* a rewritten table begins with other row ids */
} OwnDeadKey;

typedef struct OwnDead
{
	OwnDeadKey	key;
	CommandId	cid;			/* that buried it */
} OwnDead;

static HTAB *own_dead = NULL;	/* in TopTransactionContext */

static OwnDeadKey
key_of(Relation rel, uint64 row_id)
{
	return (OwnDeadKey) {row_id, RelationGetRelid(rel), rel->rd_node.relNode};
}

void
lh_own_dead_add(Relation rel, uint64 row_id, CommandId cid)
{
	OwnDeadKey	key = key_of(rel, row_id);
	OwnDead    *entry;

	if (own_dead != NULL && hash_get_num_entries(own_dead) >= MAX_OWN_DEAD)
	{
		hash_destroy(own_dead);
		own_dead = NULL;
	}
	if (own_dead == NULL)
	{
		HASHCTL		info = {0};

		info.keysize = sizeof(OwnDeadKey);
		info.entrysize = sizeof(OwnDead);
		info.hcxt = TopTransactionContext;
		own_dead = hash_create("lakehouse rows deleted by this transaction", 64, &info,
							   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	entry = hash_search(own_dead, &key, HASH_ENTER, NULL);
	entry->cid = cid;
}

bool
lh_own_dead_to(Relation rel, uint64 row_id, Snapshot snapshot)
{
	OwnDeadKey	key = key_of(rel, row_id);
	OwnDead    *entry;

	if (own_dead == NULL || (entry = hash_search(own_dead, &key, HASH_FIND, NULL)) == NULL)
		return false;
	switch (snapshot->snapshot_type)
	{
		case SNAPSHOT_MVCC:
			return entry->cid < snapshot->curcid;
		case SNAPSHOT_DIRTY:
		case SNAPSHOT_SELF:
			return true;
		default:
			return false;
	}
}

void
lh_own_dead_forget(bool transaction_ends)
{
	/* the memory goes with the transaction */
	if (own_dead != NULL && !transaction_ends)
		hash_destroy(own_dead);
	own_dead = NULL;
}
