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
#define MAX_OWN_BULKS	20000

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

/* Rows that were deleted together with others. */
typedef struct OwnBulk
{
	OwnDeadKey	key;			/* of the first row of the block */
	CommandId	cid;			/* the last that buried some of them; a trigger's is later than its statement's */
	LhBulk		rows;
} OwnBulk;

/* in TopTransactionContext */
static HTAB *own_dead = NULL;
static HTAB *own_bulks = NULL;

static OwnDeadKey
key_of(Relation rel, uint64 row_id)
{
	return (OwnDeadKey) {row_id, RelationGetRelid(rel), rel->rd_node.relNode};
}

/* The entry of a table that is made, and emptied when it has so many. */
static void *
enter(HTAB **table, Size entry_size, long most, OwnDeadKey key, bool *found)
{
	if (*table != NULL && hash_get_num_entries(*table) >= most)
	{
		hash_destroy(*table);
		*table = NULL;
	}
	if (*table == NULL)
	{
		HASHCTL		info = {0};

		info.keysize = sizeof(OwnDeadKey);
		info.entrysize = entry_size;
		info.hcxt = TopTransactionContext;
		*table = hash_create("lakehouse rows deleted by this transaction", 64, &info,
							 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	return hash_search(*table, &key, HASH_ENTER, found);
}

void
lh_own_dead_add(Relation rel, uint64 row_id, CommandId cid)
{
	OwnDead    *entry = enter(&own_dead, sizeof(OwnDead), MAX_OWN_DEAD, key_of(rel, row_id), NULL);

	entry->cid = cid;
}

void
lh_own_dead_add_bulk(Relation rel, const LhBulk *bulk, CommandId cid)
{
	bool		found;
	OwnBulk    *entry = enter(&own_bulks, sizeof(OwnBulk), MAX_OWN_BULKS, key_of(rel, bulk->first), &found);

	if (!found)
	{
		entry->cid = cid;
		entry->rows = *bulk;
		return;
	}
	entry->cid = Max(entry->cid, cid);
	for (int i = 0; i < lengthof(bulk->bits); i++)
		entry->rows.bits[i] |= bulk->bits[i];
}

static void *
look_up(HTAB *table, OwnDeadKey key)
{
	return table != NULL ? hash_search(table, &key, HASH_FIND, NULL) : NULL;
}

/* Which command buried the row? */
static bool
find_burial(Relation rel, uint64 row_id, CommandId *cid)
{
	OwnDead    *dead = look_up(own_dead, key_of(rel, row_id));
	OwnBulk    *bulk;

	if (dead != NULL)
	{
		*cid = dead->cid;
		return true;
	}
	bulk = look_up(own_bulks, key_of(rel, LH_BULK_FIRST(row_id)));
	if (bulk == NULL || !lh_bulk_has(&bulk->rows, row_id))
		return false;
	*cid = bulk->cid;
	return true;
}

bool
lh_own_dead_to(Relation rel, uint64 row_id, Snapshot snapshot)
{
	CommandId	cid;

	if (!find_burial(rel, row_id, &cid))
		return false;
	switch (snapshot->snapshot_type)
	{
		case SNAPSHOT_MVCC:
			return cid < snapshot->curcid;
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
	if (own_bulks != NULL && !transaction_ends)
		hash_destroy(own_bulks);
	own_dead = own_bulks = NULL;
}
