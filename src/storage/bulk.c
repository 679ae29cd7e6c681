/*
 * bulk.c
 *	  Entries of the delta that bury many rows at once: a bitmap of deleted rows
 *	  of one block of consecutive row ids (docs/decisions/0006).
 *
 * Such an entry says of each of its rows what a tombstone without successor
 * says, and is judged as one: by who inserted it.  It is never changed.  A
 * block may have several of them, which have no row in common as far as they
 * count; therefore the first row of an entry, in its key, makes the key unique.
 *
 * Rows that are in the delta for anybody have no such entry: who reads rows of
 * the delta need not look for them.
 */
#include "postgres.h"

#include "port/pg_bitutils.h"

#include "storage/delta_int.h"

StaticAssertDecl(sizeof(((LhBulk *) 0)->bits) == 128, "entries are on disk");

int
lh_bulk_count(const LhBulk *bulk)
{
	return (int) pg_popcount((const char *) bulk->bits, sizeof(bulk->bits));
}

bool
lh_bulk_next(const LhBulk *bulk, uint64 *row_id)
{
	uint64		from = *row_id > bulk->first ? *row_id - bulk->first : 0;

	for (uint64 word = from / 64; word < lengthof(bulk->bits); word++)
	{
		uint64		bits = bulk->bits[word];

		if (word == from / 64)
			bits &= ~UINT64CONST(0) << (from % 64);
		if (bits != 0)
		{
			*row_id = bulk->first + word * 64 + pg_rightmost_one_pos64(bits);
			return true;
		}
	}
	return false;
}

/* ---- entries ---- */

void
bulk_read(Relation toast, HeapTuple tuple, LhBulk *bulk)
{
	bytea	   *data = delta_data(toast, tuple);

	bulk->first = delta_key(toast, tuple) >> KIND_BITS;
	if (VARSIZE_ANY_EXHDR(data) != sizeof(bulk->bits) || bulk->first % LH_BULK_ROWS != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("entry of rows from " UINT64_FORMAT " on in \"%s\" is not valid",
						bulk->first, RelationGetRelationName(toast))));
	memcpy(bulk->bits, VARDATA_ANY(data), sizeof(bulk->bits));
}

void
bulk_put(Delta *delta, const LhBulk *bulk, CommandId cid)
{
	uint64		lowest = bulk->first;
	bool		any = lh_bulk_next(bulk, &lowest);

	Assert(any);
	(void) any;
	delta_put(delta, ROW_KEY(bulk->first, KIND_BULK + (lowest - bulk->first)),
			  bulk->bits, sizeof(bulk->bits), cid, 0, 0, NULL);
}

void
bulk_index_range(DeltaIndex *index, uint64 row_id)
{
	uint64		first = LH_BULK_FIRST(row_id);

	delta_index_range(index, ROW_KEY(first, KIND_BULK), ROW_KEY(first, KIND_BULK + (row_id - first)));
}

/*
 * A serializable reader of a row has a conflict with who deletes it, not with
 * who deletes others of its block: only entries that have the row are judged.
 */
bool
lh_bulk_hides(Relation rel, uint64 row_id, Snapshot snapshot)
{
	Delta		delta;
	DeltaIndex	index;
	HeapTuple	tuple;
	bool		hides = false;

	if (row_id >= lh_metapage_bulk_end(rel))
		return false;
	delta_borrow(rel, AccessShareLock, &delta);
	delta_index_begin(&index, &delta, SnapshotAny);
	bulk_index_range(&index, row_id);
	while (!hides && (tuple = delta_index_next(&index, ForwardScanDirection)) != NULL)
	{
		LhBulk		bulk;

		if (!is_bulk_key(delta_key(delta.toast, tuple)))
			continue;
		bulk_read(delta.toast, tuple, &bulk);
		hides = bulk.first == LH_BULK_FIRST(row_id) && lh_bulk_has(&bulk, row_id) &&
			delta_index_judge(&index, snapshot);
	}
	delta_index_end(&index);
	delta_close(&delta, AccessShareLock);
	return hides;
}
