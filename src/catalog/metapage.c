/*
 * metapage.c
 *	  The only page of a lakehouse table's main fork: who the table is, and its
 *	  row-id counter.
 *
 * The counter works as a sequence does: the page in memory counts exactly,
 * the WAL says a number of ids ahead, so that most reservations write no WAL
 * and a crash skips at most LOG_AHEAD ids.  It never goes back below an id
 * that somebody may have seen.  Each WAL record is a full image of the page
 * (some 150 bytes, as the hole is left out): replay must restore the counter
 * of the record even over a page that was flushed after it, with a smaller
 * counter but the same LSN.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "access/xloginsert.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/storage.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/smgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "catalog/lh_catalog.h"
#include "types/pg_compat.h"

/*
 * offset size  meaning
 *      0    4  magic
 *      4    4  format version, 1
 *      8    8  storage id
 *     16   16  table uuid
 *     32    8  next row id to hand out
 *     40    8  row ids below this are covered by WAL
 *     48    8  full transaction id of the VACUUM FULL or CLUSTER that made it; 0 none
 *     56    4  database, and
 *     60    4  relation file that the page was logged for: a copy is logged anew
 *     64    8  full transaction id that last removed dead rows for good; 0 none
 *     72    8  row ids below this are settled, see lh_metapage_settle()
 *     80    8  row ids below this will be when all transactions before
 *     88    8  this full transaction id have ended
 *     96    8  full transaction id that last took files out of the table; 0 none
 *    104    8  row ids from here on have never been deleted in bulk
 */
typedef struct MetaPageDisk
{
	uint32		magic;
	uint32		version;
	int64		storage_id;
	pg_uuid_t	table_uuid;
	uint64		next_row_id;
	uint64		logged_row_id;
	uint64		rewriter;
	uint32		database;
	uint32		file;
	uint64		remover;
	uint64		settled_row_id;
	uint64		pending_row_id;
	uint64		pending_xid;
	uint64		changer;
	uint64		bulk_end;
} MetaPageDisk;

StaticAssertDecl(sizeof(MetaPageDisk) == 112, "metapage layout is on disk");

#define METAPAGE_MAGIC		0x4C4B4831	/* "LKH1" */
#define METAPAGE_VERSION	1
#define METAPAGE_BLKNO		0
#define LOG_AHEAD			4096

#define PageGetMeta(page)	((MetaPageDisk *) PageGetContents(page))

void
lh_row_id_to_tid(uint64 row_id, ItemPointer tid)
{
	Assert(row_id <= LH_MAX_ROW_ID);
	ItemPointerSet(tid, (BlockNumber) (row_id / LH_ROWS_PER_BLOCK),
				   (OffsetNumber) (row_id % LH_ROWS_PER_BLOCK + 1));
}

uint64
lh_tid_to_row_id(ItemPointer tid)
{
	return (uint64) ItemPointerGetBlockNumberNoCheck(tid) * LH_ROWS_PER_BLOCK +
		ItemPointerGetOffsetNumberNoCheck(tid) - 1;
}

Oid
lh_am_oid(void)
{
	return get_table_am_oid("lakehouse", true);
}

Oid
lh_relation_am(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			am;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	am = ((Form_pg_class) GETSTRUCT(tuple))->relam;
	ReleaseSysCache(tuple);
	return am;
}

bool
lh_relation_is_lakehouse(Relation rel)
{
	return (rel->rd_rel->relkind == RELKIND_RELATION ||
			rel->rd_rel->relkind == RELKIND_MATVIEW) &&
		OidIsValid(rel->rd_rel->relam) && rel->rd_rel->relam == lh_am_oid();
}

int64
lh_random_id(void)
{
	int64		id;

	do
	{
		if (!pg_strong_random(&id, sizeof(id)))
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("could not generate random values")));
		id &= PG_INT64_MAX;
	} while (id == 0);
	return id;
}

void
lh_random_uuid(pg_uuid_t *uuid)
{
	if (!pg_strong_random(uuid->data, UUID_LEN))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	/* version 4, RFC 4122 variant */
	uuid->data[6] = (uuid->data[6] & 0x0f) | 0x40;
	uuid->data[8] = (uuid->data[8] & 0x3f) | 0x80;
}

void
lh_metapage_create(RelFileNode node, char persistence, const pg_uuid_t *table_uuid)
{
	SMgrRelation smgr = RelationCreateStorage(node, persistence, true);
	Buffer		buffer = lh_extend_new_file(smgr, node);
	Page		page = BufferGetPage(buffer);
	MetaPageDisk *meta;
	int64		storage_id = lh_random_id();
	pg_uuid_t	uuid;

	if (table_uuid != NULL)
		uuid = *table_uuid;
	else
		lh_random_uuid(&uuid);

	START_CRIT_SECTION();
	PageInit(page, BLCKSZ, 0);
	meta = PageGetMeta(page);
	meta->magic = METAPAGE_MAGIC;
	meta->version = METAPAGE_VERSION;
	meta->storage_id = storage_id;
	meta->table_uuid = uuid;
	meta->database = node.dbNode;
	meta->file = node.relNode;
	((PageHeader) page)->pd_lower = (char *) (meta + 1) - (char *) page;
	MarkBufferDirty(buffer);
	/* with wal_level = minimal, commit syncs or logs the new file as a whole */
	if (XLogIsNeeded())
		log_newpage_buffer(buffer, true);
	END_CRIT_SECTION();
	UnlockReleaseBuffer(buffer);
}

static void
check_metapage(Page page, const char *relation)
{
	MetaPageDisk *meta = PageGetMeta(page);

	if (PageIsNew(page) || meta->magic != METAPAGE_MAGIC || meta->version != METAPAGE_VERSION)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("metapage of lakehouse table \"%s\" is not valid", relation),
				 errdetail("Found magic 0x%08X, version %u.", meta->magic, meta->version)));
}

/*
 * What never changes while the table has this relation file, in
 * rel->rd_amcache, which goes with any invalidation of the table.
 */
typedef struct MetaCache
{
	RelFileNode node;
	LhIdentity	identity;
	uint64		rewriter;
} MetaCache;

static const MetaCache *
valid_cache(Relation rel)
{
	const MetaCache *cache = rel->rd_amcache;

	return cache != NULL && RelFileNodeEquals(cache->node, rel->rd_node) ? cache : NULL;
}

/* Before what it holds is changed, in a relation file that nobody else has seen yet. */
static void
drop_cache(Relation rel)
{
	if (rel->rd_amcache != NULL)
		pfree(rel->rd_amcache);
	rel->rd_amcache = NULL;
}

static Buffer
lock_metapage(Relation rel, int mode)
{
	Buffer		buffer;

	/* to ask for the size is a system call */
	if (valid_cache(rel) == NULL && RelationGetNumberOfBlocks(rel) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("lakehouse table \"%s\" has no metapage", RelationGetRelationName(rel))));
	buffer = ReadBuffer(rel, METAPAGE_BLKNO);
	LockBuffer(buffer, mode);
	check_metapage(BufferGetPage(buffer), RelationGetRelationName(rel));
	return buffer;
}

static const MetaCache *
get_cache(Relation rel)
{
	MetaCache  *cache;
	Buffer		buffer;
	MetaPageDisk *meta;

	if (valid_cache(rel) != NULL)
		return rel->rd_amcache;
	drop_cache(rel);
	cache = MemoryContextAlloc(CacheMemoryContext, sizeof(MetaCache));
	buffer = lock_metapage(rel, BUFFER_LOCK_SHARE);
	meta = PageGetMeta(BufferGetPage(buffer));
	cache->node = rel->rd_node;
	cache->identity.storage_id = meta->storage_id;
	cache->identity.table_uuid = meta->table_uuid;
	cache->rewriter = meta->rewriter;
	UnlockReleaseBuffer(buffer);
	rel->rd_amcache = cache;
	return cache;
}

void
lh_metapage_read(Relation rel, LhIdentity *identity)
{
	*identity = get_cache(rel)->identity;
}

uint64
lh_row_ids_end(Relation rel)
{
	Buffer		buffer = lock_metapage(rel, BUFFER_LOCK_SHARE);
	uint64		end = PageGetMeta(BufferGetPage(buffer))->next_row_id;

	UnlockReleaseBuffer(buffer);
	return end;
}

/*
 * WAL-logs the page as it is, with all ids below logged_row_id used up.  A new
 * file of wal_level = minimal is logged at commit, by others and with the exact
 * counter: then nothing is logged ahead.
 */
static void
log_metapage(Relation rel, Buffer buffer, uint64 next_row_id)
{
	MetaPageDisk *meta = PageGetMeta(BufferGetPage(buffer));
	bool		logged = RelationNeedsWAL(rel);

	START_CRIT_SECTION();
	meta->next_row_id = meta->logged_row_id;
	meta->database = logged ? rel->rd_node.dbNode : InvalidOid;
	meta->file = logged ? rel->rd_node.relNode : InvalidOid;
	/* pages of an earlier version end before the last fields, which are 0 there */
	((PageHeader) BufferGetPage(buffer))->pd_lower = (char *) (meta + 1) - (char *) BufferGetPage(buffer);
	MarkBufferDirty(buffer);
	if (logged)
		log_newpage_buffer(buffer, true);
	meta->next_row_id = next_row_id;
	END_CRIT_SECTION();
}

int64
lh_storage_id(Relation rel)
{
	LhIdentity	identity;

	lh_metapage_read(rel, &identity);
	return identity.storage_id;
}

void
lh_metapage_set_uuid(Relation rel, const pg_uuid_t *table_uuid)
{
	Buffer		buffer = lock_metapage(rel, BUFFER_LOCK_EXCLUSIVE);
	MetaPageDisk *meta = PageGetMeta(BufferGetPage(buffer));

	drop_cache(rel);
	meta->table_uuid = *table_uuid;
	log_metapage(rel, buffer, meta->next_row_id);
	UnlockReleaseBuffer(buffer);
}

void
lh_metapage_renew(Relation rel)
{
	Buffer		buffer = lock_metapage(rel, BUFFER_LOCK_EXCLUSIVE);
	MetaPageDisk *meta = PageGetMeta(BufferGetPage(buffer));

	drop_cache(rel);
	meta->storage_id = lh_random_id();
	log_metapage(rel, buffer, meta->next_row_id);
	UnlockReleaseBuffer(buffer);
}

static bool
is_for(const MetaPageDisk *meta, Relation rel)
{
	return meta->database == rel->rd_node.dbNode && meta->file == rel->rd_node.relNode;
}

void
lh_metapage_set_rewriter(Relation rel)
{
	Buffer		buffer = lock_metapage(rel, BUFFER_LOCK_EXCLUSIVE);
	MetaPageDisk *meta = PageGetMeta(BufferGetPage(buffer));
	FullTransactionId xid = GetCurrentFullTransactionId();

	drop_cache(rel);
	meta->rewriter = U64FromFullTransactionId(xid);
	log_metapage(rel, buffer, meta->next_row_id);
	UnlockReleaseBuffer(buffer);
}

void
lh_metapage_note_removal(Relation rel)
{
	Buffer		buffer = lock_metapage(rel, BUFFER_LOCK_EXCLUSIVE);
	MetaPageDisk *meta = PageGetMeta(BufferGetPage(buffer));

	meta->remover = U64FromFullTransactionId(GetCurrentFullTransactionId());
	log_metapage(rel, buffer, meta->next_row_id);
	UnlockReleaseBuffer(buffer);
}

void
lh_metapage_note_change(Relation rel)
{
	Buffer		buffer = lock_metapage(rel, BUFFER_LOCK_EXCLUSIVE);
	MetaPageDisk *meta = PageGetMeta(BufferGetPage(buffer));

	meta->changer = U64FromFullTransactionId(GetCurrentFullTransactionId());
	log_metapage(rel, buffer, meta->next_row_id);
	UnlockReleaseBuffer(buffer);
}

/* One aligned word of the page, read without a lock: see the callers. */
static uint64
read_word(Relation rel, size_t offset)
{
	Buffer		buffer = ReadBuffer(rel, METAPAGE_BLKNO);
	uint64		word = *(volatile uint64 *) (PageGetContents(BufferGetPage(buffer)) + offset);

	ReleaseBuffer(buffer);
	return word;
}

FullTransactionId
lh_full_xid(TransactionId xid)
{
	FullTransactionId next = ReadNextFullTransactionId();
	uint32		epoch = EpochFromFullTransactionId(next);

	if (xid > XidFromFullTransactionId(next))
		epoch--;
	return FullTransactionIdFromEpochAndXid(epoch, xid);
}

/* Whose commit we have seen has written it before. */
uint64
lh_metapage_change(Relation rel)
{
	return read_word(rel, offsetof(MetaPageDisk, changer));
}

/* Whose gate we have passed has written it before (storage/gate.c). */
uint64
lh_metapage_bulk_end(Relation rel)
{
	return read_word(rel, offsetof(MetaPageDisk, bulk_end));
}

void
lh_metapage_note_bulk(Relation rel, uint64 end)
{
	Buffer		buffer;
	MetaPageDisk *meta;

	if (lh_metapage_bulk_end(rel) >= end)
		return;
	buffer = lock_metapage(rel, BUFFER_LOCK_EXCLUSIVE);
	meta = PageGetMeta(BufferGetPage(buffer));
	if (meta->bulk_end < end)
	{
		meta->bulk_end = end;
		log_metapage(rel, buffer, meta->next_row_id);
	}
	UnlockReleaseBuffer(buffer);
}

bool
lh_metapage_removed_since(Relation rel, TransactionId horizon)
{
	Buffer		buffer = lock_metapage(rel, BUFFER_LOCK_SHARE);
	uint64		remover = PageGetMeta(BufferGetPage(buffer))->remover;

	UnlockReleaseBuffer(buffer);
	return remover != 0 &&
		U64FromFullTransactionId(ReadNextFullTransactionId()) - remover < PG_INT32_MAX &&
		TransactionIdFollowsOrEquals((TransactionId) remover, horizon);
}

uint64
lh_metapage_settled(Relation rel, GlobalVisState *vistest)
{
	Buffer		buffer = lock_metapage(rel, BUFFER_LOCK_SHARE);
	MetaPageDisk *meta = PageGetMeta(BufferGetPage(buffer));
	uint64		settled = meta->settled_row_id;
	uint64		pending = meta->pending_row_id;
	uint64		xid = meta->pending_xid;

	UnlockReleaseBuffer(buffer);
	/* what the next lh_metapage_settle() will find */
	if (pending > settled && GlobalVisTestIsRemovableFullXid(vistest, FullTransactionIdFromU64(xid)))
		settled = pending;
	return settled;
}

uint64
lh_metapage_settle(Relation rel, TransactionId horizon)
{
	Buffer		buffer = lock_metapage(rel, BUFFER_LOCK_EXCLUSIVE);
	MetaPageDisk *meta = PageGetMeta(BufferGetPage(buffer));
	uint64		next = U64FromFullTransactionId(ReadNextFullTransactionId());
	uint64		settled;

	/* far enough from wraparound, or it would be the horizon that holds everything up */
	if (meta->pending_row_id > meta->settled_row_id &&
		(next - meta->pending_xid >= PG_INT32_MAX ||
		 !TransactionIdFollows((TransactionId) meta->pending_xid, horizon)))
		meta->settled_row_id = meta->pending_row_id;
	settled = meta->settled_row_id;
	if (meta->pending_row_id == settled && meta->next_row_id > settled)
	{
		meta->pending_row_id = meta->next_row_id;
		meta->pending_xid = next;
		log_metapage(rel, buffer, meta->next_row_id);
	}
	UnlockReleaseBuffer(buffer);
	return settled;
}

void
lh_metapage_check_snapshot(Relation rel, Snapshot snapshot)
{
	uint64		rewriter = get_cache(rel)->rewriter;
	uint64		next;

	if (rewriter == 0 || !IsMVCCSnapshot(snapshot))
		return;
	next = U64FromFullTransactionId(ReadNextFullTransactionId());
	if (next - rewriter < PG_INT32_MAX &&
		!TransactionIdIsCurrentTransactionId((TransactionId) rewriter) &&
		XidInMVCCSnapshot((TransactionId) rewriter, snapshot))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not read table \"%s\" with a snapshot from before its rewrite",
						RelationGetRelationName(rel)),
				 errdetail("VACUUM FULL or CLUSTER has moved its rows since."),
				 errhint("The transaction might succeed if retried.")));
}

uint64
lh_row_ids_reserve(Relation rel, uint64 n)
{
	Buffer		buffer;
	Page		page;
	MetaPageDisk *meta;
	uint64		first;
	uint64		next;

	/* so that VACUUM knows by transaction ids which row ids are undecided */
	(void) GetCurrentTransactionId();
	buffer = lock_metapage(rel, BUFFER_LOCK_EXCLUSIVE);
	page = BufferGetPage(buffer);
	meta = PageGetMeta(page);
	first = meta->next_row_id;
	next = first + n;
	if (next > LH_MAX_ROW_ID || next < first)
	{
		UnlockReleaseBuffer(buffer);
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("lakehouse table \"%s\" has no row ids left",
						RelationGetRelationName(rel)),
				 errdetail("A table can have " UINT64_FORMAT " rows in its lifetime.",
						   (uint64) LH_MAX_ROW_ID),
				 errhint("VACUUM FULL gives its rows new ones.")));
	}

	/*
	 * After a checkpoint has begun, the last record may be before its redo
	 * point and not be replayed: log again.  Likewise in a copy of the page (SET
	 * TABLESPACE, CREATE DATABASE) and in what a commit has logged, as those
	 * WAL records have the exact counter.
	 */
	if (next > meta->logged_row_id || !is_for(meta, rel) ||
		(RelationNeedsWAL(rel) && PageGetLSN(page) <= GetRedoRecPtr()))
	{
		meta->logged_row_id = next + LOG_AHEAD;
		log_metapage(rel, buffer, next);
	}
	else
	{
		meta->next_row_id = next;
		MarkBufferDirty(buffer);
	}
	UnlockReleaseBuffer(buffer);
	return first;
}

void
lh_row_ids_return(Relation rel, uint64 first_unused, uint64 end)
{
	Buffer		buffer;
	MetaPageDisk *meta;

	if (first_unused >= end)
		return;
	buffer = lock_metapage(rel, BUFFER_LOCK_EXCLUSIVE);
	meta = PageGetMeta(BufferGetPage(buffer));
	/* ids that lh_metapage_settle() has counted on may belong to nobody later */
	first_unused = Max(first_unused, meta->pending_row_id);
	if (meta->next_row_id == end && first_unused < end)
	{
		meta->next_row_id = first_unused;
		MarkBufferDirty(buffer);
	}
	UnlockReleaseBuffer(buffer);
}
