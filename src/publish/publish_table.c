/*
 * publish_table.c
 *	  One version of one table: moves the committed delta into files, decides
 *	  what the version adds and removes, has it written as Iceberg metadata,
 *	  and records it; all in one transaction of the publisher.
 *
 * Everything is judged by one snapshot, so that a transaction is published
 * whole or not at all.  The WAL is flushed up to that snapshot first: a
 * commit that a crash could still lose must not be seen outside.
 *
 * Only AccessShareLock is taken on the table.  Nobody else removes delta
 * rows, so moving them conflicts with nothing; DDL waits as for a reader.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "common/hashfn.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/procarray.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "iceberg/iceberg.h"
#include "objstore/objstore.h"
#include "publish/lh_publish_int.h"
#include "storage/lh_storage.h"
#include "types/types.h"

typedef struct DeltaShape
{
	int64		rows;			/* to move */
	int64		breaks;			/* places where ids are not consecutive */
	int64		dead;			/* rows that go for good */
} DeltaShape;

static void
look_at_delta(Relation rel, Snapshot snapshot, const LhRowRange *range, DeltaShape *shape)
{
	LhDeltaScan *scan = lh_delta_scan_begin(rel, snapshot, range->first, range->last, true);
	uint64		expected = 0;
	const LhDeltaRow *row;

	memset(shape, 0, sizeof(*shape));
	while ((row = lh_delta_scan_next(scan, ForwardScanDirection)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (row->dead)
		{
			shape->dead++;
			continue;
		}
		if (shape->rows > 0 && row->row_id != expected)
			shape->breaks++;
		expected = row->row_id + 1;
		shape->rows++;
	}
	lh_delta_scan_end(scan);
}

static List *
end_file(LhFileWriter *writer, List *files)
{
	LhFile	   *file = lh_file_writer_finish(writer);

	lh_file_insert(file, GetCurrentCommandId(true));
	LH_FAULT_POINT("publish-file-cataloged");
	return lappend(files, file);
}

static void
put_delta_row(LhFileWriter *writer, const LhDeltaRow *row, TupleDesc desc, Datum *values, bool *isnull)
{
	HeapTupleData htup;

	htup.t_len = row->tuple->t_len + MINIMAL_TUPLE_OFFSET;
	htup.t_data = (HeapTupleHeader) ((char *) row->tuple - MINIMAL_TUPLE_OFFSET);
	heap_deform_tuple(&htup, desc, values, isnull);
	lh_file_writer_put(writer, values, isnull, row->row_id, row->xmin);
}

/*
 * Moves what snapshot sees of the delta, which has no rows beside `range`, into
 * files, and returns these.  Dead rows go for good, with their tombstones.
 */
static List *
move_delta(Relation rel, const LhIdentity *identity, Snapshot snapshot, const LhRowRange *range)
{
	TupleDesc	desc = RelationGetDescr(rel);
	Datum	   *values = palloc(sizeof(Datum) * Max(desc->natts, 1));
	bool	   *isnull = palloc(sizeof(bool) * Max(desc->natts, 1));
	List	   *files = NIL;
	LhFileWriter *writer = NULL;
	LhMarks    *marks;
	LhOptions	options;
	DeltaShape	shape;
	LhDeltaScan *scan;
	const LhDeltaRow *row;

	if (range->first > range->last)
		return NIL;
	look_at_delta(rel, snapshot, range, &shape);
	if (shape.rows == 0 && shape.dead == 0)
		return NIL;
	if (shape.dead > 0)
		lh_metapage_note_removal(rel);
	lh_options_of(rel, &options);
	marks = lh_marks_begin(rel, RowExclusiveLock);
	scan = lh_delta_scan_begin(rel, snapshot, range->first, range->last, true);
	while ((row = lh_delta_scan_next(scan, ForwardScanDirection)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (!row->dead)
		{
			if (writer == NULL)
				writer = lh_file_writer_begin(rel, desc, &options, &identity->table_uuid,
											  identity->storage_id,
											  lh_wants_row_ids(shape.rows, shape.breaks));
			put_delta_row(writer, row, desc, values, isnull);
			if (row->lineage.n > 0)
				lh_lineage_keep(marks, row->row_id, &row->lineage);
		}
		lh_delta_scan_delete(scan);
		if (writer != NULL && lh_file_writer_is_full(writer))
		{
			files = end_file(writer, files);
			writer = NULL;
		}
	}
	if (writer != NULL)
		files = end_file(writer, files);
	lh_delta_scan_end(scan);
	lh_marks_end(marks);
	CommandCounterIncrement();
	return files;
}

/* The millisecond at or after now: Iceberg counts in milliseconds. */
static TimestampTz
snapshot_time(void)
{
	TimestampTz now = GetCurrentTimestamp();
	int64		rest = now % 1000;

	if (rest < 0)
		rest += 1000;
	return rest == 0 ? now : now + 1000 - rest;
}

static int64
sum_rows(List *files)
{
	int64		rows = 0;
	ListCell   *lc;

	foreach(lc, files)
		rows += ((LhFile *) lfirst(lc))->row_count;
	return rows;
}

/* Living rows of the files, as far as they are published. */
static int64
sum_living_rows(List *files, const LhDeadCounts *dead)
{
	int64		rows = 0;
	ListCell   *lc;

	foreach(lc, files)
	{
		LhFile	   *file = lfirst(lc);

		if (file->added_seq > 0)
			rows += file->row_count - lh_dead_count(dead, file->file_id);
	}
	return rows;
}

/*
 * A file leaves the table: from the metadata that has it, or, if no metadata
 * that is carried on has it, only from the catalog.  Its row and its object
 * stay either way: a running query may still read them.
 */
void
lh_commit_remove(LhIcebergCommit *commit, LhFile *file, bool cloned)
{
	ListCell   *lc;

	if (file->added_seq > 0 && !cloned)
		commit->removed = lappend(commit->removed, file);
	else
		commit->retired = lappend(commit->retired, file);
	foreach(lc, commit->added)
		if (((LhFile *) lfirst(lc))->file_id == file->file_id)
			commit->added = foreach_delete_current(commit->added, lc);
}

/* Changes with whatever can make an old file mean something else. */
static int64
layout_hash(TupleDesc desc)
{
	LhShape    *shape = lh_shape_create(desc, false);
	uint64		hash = desc->natts;

	if (shape->enums_json != NULL)
		hash = hash_combine64(hash, hash_any_extended((const unsigned char *) shape->enums_json,
													  (int) strlen(shape->enums_json), 0));
	lh_shape_free(shape);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		hash = hash_combine64(hash, att->atttypid);
		hash = hash_combine64(hash, (uint32) att->atttypmod);
		hash = hash_combine64(hash, att->attisdropped | att->atthasmissing << 1);
	}
	return (int64) hash;
}

/* Files and delete files of the version, which is the table's newest. */
static void
stamp_files(const LhIcebergCommit *commit, int64 seq)
{
	ListCell   *lc;

	if (commit->removed != NIL || commit->retired != NIL)
		lh_metapage_note_change(commit->rel);
	foreach(lc, commit->added)
		lh_file_stamp(lfirst(lc), seq, 0);
	foreach(lc, commit->removed)
		lh_file_stamp(lfirst(lc), ((LhFile *) lfirst(lc))->added_seq, seq);
	foreach(lc, commit->retired)
	{
		LhFile	   *file = lfirst(lc);

		lh_file_stamp(file, file->added_seq > 0 ? file->added_seq : seq, seq);
	}
	foreach(lc, commit->added_deletes)
		lh_delete_stamp(lfirst(lc), seq, 0);
	foreach(lc, commit->removed_deletes)
		lh_delete_stamp(lfirst(lc), ((LhDeleteFile *) lfirst(lc))->added_seq, seq);
	foreach(lc, commit->retired_deletes)
		lh_delete_stamp(lfirst(lc), ((LhDeleteFile *) lfirst(lc))->added_seq, seq);
}

static void
record_version(LhTable *table, LhIcebergCommit *commit)
{
	const LhIdentity *identity = commit->identity;
	LhVersion  *before = table->last_seq > 0 ?
		lh_version_get(&identity->table_uuid, table->last_seq, GetActiveSnapshot()) : NULL;
	LhVersion	version = {0};

	if (commit->new_version)
	{
		LhDeadCounts *dead = lh_dead_counts(commit->delete_files);

		stamp_files(commit, ++table->last_seq);
		version.table_uuid = identity->table_uuid;
		version.seq = table->last_seq;
		version.snapshot_id = commit->snapshot_id;
		version.valid_from = lh_timestamp_from_ms(commit->timestamp_ms);
		version.operation = commit->operation;
		version.total_files = commit->total_files;
		version.total_bytes = commit->total_bytes;
		version.added_rows = sum_rows(commit->added);
		version.removed_rows = sum_living_rows(commit->removed, dead) +
			sum_living_rows(commit->retired, dead) + commit->dead_rows;
		/* living rows: Iceberg's total-records counts the dead, too */
		version.total_rows = (before != NULL ? before->total_rows : 0) + version.added_rows - version.removed_rows;
		version.location = table->location;
		version.metadata_name = commit->metadata_name;
		lh_version_insert(&version);
	}
	table->relid = RelationGetRelid(commit->rel);
	table->storage_id = identity->storage_id;
	table->layout = layout_hash(commit->desc);
	table->snapshot_id = commit->snapshot_id;
	table->metadata_name = commit->metadata_name;
	lh_table_put(table);
}

/*
 * Replaces files that v2 readers would read differently, or that are not
 * ours: published ones become removed, others just go.
 */
static void
make_files_fit(Relation rel, const LhIdentity *identity, Snapshot snapshot, LhRowSet *dead,
			   bool cloned, bool layout_changed, LhIcebergCommit *commit)
{
	TupleDesc	desc = RelationGetDescr(rel);
	LhRowSet	dropped;
	List	   *misfits = NIL;
	ListCell   *lc;

	foreach(lc, lh_file_list(identity->storage_id, !layout_changed && !cloned, snapshot))
		if (cloned || !lh_file_fits(lfirst(lc), desc))
			misfits = lappend(misfits, lfirst(lc));
	if (misfits == NIL)
		return;
	foreach(lc, misfits)
		lh_commit_remove(commit, lfirst(lc), cloned);
	lh_palloc_row_set(&dropped);
	commit->added = list_concat(commit->added, lh_rewrite_files(rel, identity, misfits, dead, &dropped));
	lh_drop_tombstones(rel, snapshot, &dropped);
}

/* Another table, perhaps of another server, may be published there. */
static void
check_vacant(const char *location)
{
	if (lh_hint_exists(location))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("another table is published at location \"%s\"", location),
				 errhint("Give each table a location of its own.")));
}

/* Where and as what a table begins to be published. */
static void
begin_publication(Relation rel, LhTable *table)
{
	LhOptions	options;

	table->database_id = MyDatabaseId;
	lh_random_uuid(&table->iceberg_uuid);
	lh_options_of(rel, &options);
	table->location = lh_table_location(rel, &options, &table->table_uuid);
	check_vacant(table->location);
}

/*
 * The published state of the table.  In a database made from a template it is
 * the template's, whose location we must leave alone: the table begins anew
 * here, as another Iceberg table with its own files.
 */
static LhTable *
get_table(Relation rel, const LhIdentity *identity, Snapshot snapshot, bool *is_new, bool *cloned)
{
	LhTable    *table = lh_table_get(&identity->table_uuid, snapshot);

	*cloned = table != NULL && table->database_id != MyDatabaseId;
	*is_new = table == NULL || *cloned;
	if (table == NULL)
	{
		table = palloc0(sizeof(LhTable));
		table->table_uuid = identity->table_uuid;
		ItemPointerSetInvalid(&table->tid);
	}
	if (*is_new)
		begin_publication(rel, table);
	return table;
}

static void
commit_version(LhTable *table, bool is_new, LhIcebergCommit *commit, LhPublication *result)
{
	commit->previous = is_new ? NULL : table;
	commit->location = table->location;
	commit->iceberg_uuid = lh_uuid_to_string(&table->iceberg_uuid);
	commit->desc = RelationGetDescr(commit->rel);
	result->previous_name = is_new ? NULL : table->metadata_name;
	lh_iceberg_commit(commit);
	LH_FAULT_POINT("publish-metadata-written");
	if (commit->new_metadata)
		record_version(table, commit);
	result->snapshot_id = commit->snapshot_id;
	result->new_version = commit->new_metadata;
	result->location = table->location;
	result->metadata_name = commit->metadata_name;
	result->table_uuid = commit->identity->table_uuid;
	result->expired = commit->expired;
}

/*
 * Makes durable what has been written up to now.  Right after a page is
 * filled, the insert position lies behind the header of the next page, which
 * is not written yet: the end of the last record is what counts.
 */
static void
flush_wal(void)
{
	XLogRecPtr	end = GetXLogInsertRecPtr();

	if (XLogSegmentOffset(end, wal_segment_size) == SizeOfXLogLongPHD)
		end -= SizeOfXLogLongPHD;
	else if (end % XLOG_BLCKSZ == SizeOfXLogShortPHD)
		end -= SizeOfXLogShortPHD;
	XLogFlush(end);
}

static bool
publish_relation(Relation rel, LhPublication *result)
{
	Snapshot	snapshot = GetActiveSnapshot();
	LhIcebergCommit commit = {0};
	LhIdentity	identity;
	LhTable    *table;
	LhRowSet	dead;
	LhRowRange	delta_rows;		/* of the delta */
	bool		is_new;
	bool		cloned;

	commit.valid_from = snapshot_time();
	flush_wal();
	lh_metapage_read(rel, &identity);
	commit.rel = rel;
	commit.identity = &identity;
	(void) lh_metapage_settle(rel, GetOldestNonRemovableTransactionId(rel));
	table = get_table(rel, &identity, snapshot, &is_new, &cloned);

	/* files and tombstones of the snapshot first: what is written below changes them */
	lh_palloc_row_set(&dead);
	lh_dead_rows(rel, snapshot, &dead, &delta_rows);
	commit.delete_files = lh_delete_list(&identity.table_uuid, snapshot);
	commit.added = lh_file_list(identity.storage_id, true, snapshot);
	if (is_new || table->storage_id != identity.storage_id)
	{
		ListCell   *lc;

		foreach(lc, lh_file_list_replaced(&identity.table_uuid, identity.storage_id, snapshot))
			lh_commit_remove(&commit, lfirst(lc), cloned);
	}
	make_files_fit(rel, &identity, snapshot, &dead, cloned,
				   table->layout != layout_hash(RelationGetDescr(rel)), &commit);
	if (lh_delta_exists(rel))
		commit.added = list_concat(commit.added, move_delta(rel, &identity, snapshot, &delta_rows));
	LH_FAULT_POINT("publish-delta-moved");
	lh_publish_deletes(&commit, snapshot, &dead);
	lh_remove_delete_files(&commit, snapshot, cloned);
	commit_version(table, is_new, &commit, result);
	return true;
}

/* Small data files into one, or without their dead rows. */
static void
rewrite_files(LhIcebergCommit *commit, Snapshot snapshot, List *files)
{
	LhRowSet	dead;
	LhRowSet	dropped;

	lh_palloc_row_set(&dead);
	lh_palloc_row_set(&dropped);
	lh_published_dead_rows(commit->delete_files, files, &dead);
	commit->removed = files;
	commit->added = lh_rewrite_files(commit->rel, commit->identity, files, &dead, &dropped);
	if (dropped.n != dead.n)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("catalog of table \"%s\" has deleted rows that are in none of its files",
						RelationGetRelationName(commit->rel)),
				 errhint("lakehouse.verify() says more.")));
	lh_drop_tombstones(commit->rel, snapshot, &dropped);
	lh_remove_delete_files(commit, snapshot, false);
	LH_FAULT_POINT("compact-rewritten");
}

static bool
compact_relation(Relation rel, LhPublication *result)
{
	Snapshot	snapshot = GetActiveSnapshot();
	LhIcebergCommit commit = {0};
	LhIdentity	identity;
	LhOptions	options;
	LhTable    *table;
	List	   *files;

	commit.valid_from = snapshot_time();
	lh_metapage_read(rel, &identity);
	commit.rel = rel;
	commit.identity = &identity;
	table = lh_table_get(&identity.table_uuid, snapshot);
	if (table == NULL || table->storage_id != identity.storage_id)
		return false;
	lh_options_of(rel, &options);
	commit.replace = true;
	commit.delete_files = lh_delete_list(&identity.table_uuid, snapshot);
	files = lh_files_to_merge(rel, identity.storage_id, options.target_file_size / 2, snapshot);
	if (files == NIL)
		files = lh_files_to_thin(commit.delete_files, snapshot);
	if (files != NIL)
		rewrite_files(&commit, snapshot, files);
	else if ((files = lh_delete_files_to_merge(commit.delete_files)) != NIL)
		lh_merge_delete_files(&commit, snapshot, files);
	else
		return false;
	commit_version(table, false, &commit, result);
	return true;
}

/* Never stands in the way of DDL, nor of who would not wait (publish_hold.c). */
bool
lh_publish_try_lock(Oid relid)
{
	LOCKTAG		tag;

	lh_publish_lock_tag(relid, &tag);
	return LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL &&
		ConditionalLockRelationOid(relid, AccessShareLock);
}

typedef bool (*RelationWork) (Relation rel, LhPublication *result);

/* Opens the table for the publisher; false if it is no lakehouse table (any more). */
static bool
with_relation(Oid relid, RelationWork work, LhPublication *result)
{
	Relation	rel;
	bool		done = false;

	memset(result, 0, sizeof(*result));
	/* the caller tries again later */
	if (!lh_publish_try_lock(relid))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("relation %u is locked", relid)));
	rel = try_relation_open(relid, NoLock);
	if (rel == NULL)
	{
		UnlockRelationOid(relid, AccessShareLock);
		return false;
	}
	if (lh_relation_is_lakehouse(rel))
	{
		Oid			user;
		int			context;
		int			nest;

		/* types may run code of the owner's: not with our rights */
		GetUserIdAndSecContext(&user, &context);
		SetUserIdAndSecContext(rel->rd_rel->relowner, context | SECURITY_RESTRICTED_OPERATION);
		nest = NewGUCNestLevel();
		PushActiveSnapshot(GetTransactionSnapshot());
		done = work(rel, result);
		PopActiveSnapshot();
		AtEOXact_GUC(false, nest);
		SetUserIdAndSecContext(user, context);
	}
	relation_close(rel, NoLock);
	return done;
}

bool
lh_publish_table(Oid relid, LhPublication *result)
{
	return with_relation(relid, publish_relation, result);
}

bool
lh_compact_table(Oid relid, LhPublication *result)
{
	return with_relation(relid, compact_relation, result);
}

/*
 * Metadata is not read by queries, so its removal conflicts with none.  What
 * expired is kept where a copy of this cluster may refer to it.
 */
void
lh_publish_finish(const LhPublication *published)
{
	LhStore    *store = lh_store_open(published->location);
	ListCell   *lc;

	/* synchronous_commit may be off; what others see must not be lost in a crash */
	XLogFlush(XactLastCommitEnd);
	lh_publish_hint(published);
	if (published->expired == NIL || lh_shared_with_others(published->location))
		return;
	foreach(lc, published->expired)
		if (lh_shared_may_remove(published->location, lfirst(lc)))
			lh_store_remove(store, lfirst(lc), true);
}
