/*
 * publish_deletes.c
 *	  Deleted rows, from tombstones to Iceberg's position deletes.
 *
 * A tombstone stays in the delta as long as its row is in a file: that is what
 * queries go by.  The catalog rows of delete files have the ids of the rows
 * that are published as deleted; what is new is the difference.
 *
 * Each version gets at most one new delete file, however many data files have
 * lost rows.  Small ones are merged as small data files are (rewrite.c).  A
 * data file without a living row leaves the table at once, one that has lost
 * more than a quarter of its rows is written anew; then the tombstones of its
 * dead rows go as well, in the same transaction.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "publish/lh_publish_int.h"
#include "storage/lh_storage.h"

#define MERGE_DELETE_FILES	8
#define SMALLEST_CLASS		1000	/* rows */

/* ---- sets of row ids, ascending ---- */

void
lh_id_set_add(LhIdSet *set, uint64 row_id)
{
	if (set->n == set->max)
	{
		set->max = Max(1024, set->max * 2);
		set->ids = set->ids != NULL ? repalloc_huge(set->ids, sizeof(uint64) * set->max) :
			MemoryContextAllocHuge(set->cxt != NULL ? set->cxt : CurrentMemoryContext, sizeof(uint64) * set->max);
	}
	set->ids[set->n++] = row_id;
}

static int
compare_row_ids(const void *a, const void *b)
{
	uint64		x = *(const uint64 *) a;
	uint64		y = *(const uint64 *) b;

	return (x > y) - (x < y);
}

void
lh_id_set_sort(LhIdSet *set)
{
	if (set->n > 1)
		qsort(set->ids, set->n, sizeof(uint64), compare_row_ids);
}

static LhIdSet
subtract(const LhIdSet *a, const LhIdSet *b)
{
	LhIdSet	rest = {0};
	int64		j = 0;

	for (int64 i = 0; i < a->n; i++)
	{
		while (j < b->n && b->ids[j] < a->ids[i])
			j++;
		if (j == b->n || b->ids[j] != a->ids[i])
			lh_id_set_add(&rest, a->ids[i]);
	}
	return rest;
}

/* ---- tombstones ---- */

LhIdSet
lh_dead_rows(Relation rel, Snapshot snapshot)
{
	LhIdSet	dead = {0};
	LhTombstoneScan *scan;
	const LhTombstone *tombstone;

	if (!lh_delta_exists(rel) || lh_delta_is_empty(rel))
		return dead;
	scan = lh_tombstone_scan_begin(rel, snapshot, 0, LH_MAX_ROW_ID);
	while ((tombstone = lh_tombstone_scan_next(scan)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		lh_id_set_add(&dead, tombstone->row_id);
	}
	lh_tombstone_scan_end(scan);
	return dead;
}

void
lh_drop_tombstones(Relation rel, Snapshot snapshot, const LhIdSet *rows)
{
	LhTombstoneScan *scan;
	const LhTombstone *tombstone;
	int64		i = 0;
	int64		dropped = 0;

	if (rows->n == 0)
		return;
	lh_metapage_note_removal(rel);
	scan = lh_tombstone_scan_begin(rel, snapshot, rows->ids[0], rows->ids[rows->n - 1]);
	while ((tombstone = lh_tombstone_scan_next(scan)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		while (i < rows->n && rows->ids[i] < tombstone->row_id)
			i++;
		if (i == rows->n || rows->ids[i] != tombstone->row_id)
			continue;
		lh_tombstone_scan_delete(scan);
		dropped++;
	}
	lh_tombstone_scan_end(scan);
	if (dropped != rows->n)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("tombstones of table \"%s\" are missing", RelationGetRelationName(rel)),
				 errdetail("Of " INT64_FORMAT " rows published as deleted, " INT64_FORMAT " have a tombstone.",
						   rows->n, dropped),
				 errhint("lakehouse.verify() says more.")));
}

/* ---- what is published as deleted ---- */

/* Of the storage: row ids of another one mean other rows. */
static List *
of_storage(List *delete_files, int64 storage_id)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, delete_files)
		if (((LhDeleteFile *) lfirst(lc))->storage_id == storage_id)
			result = lappend(result, lfirst(lc));
	return result;
}

static LhIdSet
published_rows(List *delete_files, int64 storage_id)
{
	LhIdSet	rows = {0};

	rows.ids = lh_delete_all_row_ids(of_storage(delete_files, storage_id), &rows.n);
	rows.max = rows.n;
	return rows;
}

static bool
has_file(List *files, int64 file_id)
{
	ListCell   *lc;

	foreach(lc, files)
		if (((LhFile *) lfirst(lc))->file_id == file_id)
			return true;
	return false;
}

int64
lh_published_dead(List *delete_files, int64 file_id)
{
	int64		dead = 0;
	ListCell   *lc;

	foreach(lc, delete_files)
	{
		LhDeleteFile *file = lfirst(lc);

		for (int i = 0; i < file->n_data_files; i++)
			if (file->data_file_ids[i] == file_id)
				dead += file->dead_counts[i];
	}
	return dead;
}

LhIdSet
lh_published_dead_rows(List *delete_files, List *files)
{
	LhIdSet	rows = {0};
	ListCell   *lc;

	foreach(lc, delete_files)
	{
		LhDeleteFile *file = lfirst(lc);
		uint64	   *row_ids = NULL;
		int64		start = 0;

		for (int i = 0; i < file->n_data_files; start += file->dead_counts[i++])
		{
			if (!has_file(files, file->data_file_ids[i]))
				continue;
			if (row_ids == NULL)
				row_ids = lh_delete_row_ids(file);
			for (int64 j = 0; j < file->dead_counts[i]; j++)
				lh_id_set_add(&rows, row_ids[start + j]);
		}
		if (row_ids != NULL)
			pfree(row_ids);
	}
	lh_id_set_sort(&rows);
	return rows;
}

/* ---- a version's new deletes ---- */

/* Of LhDeadRows; none if there are none. */
static void
add_delete_file(LhIcebergCommit *commit, List *dead)
{
	LhDeleteFile *file;

	if (dead == NIL)
		return;
	file = lh_delete_file_write(commit->rel, commit->identity, dead);
	lh_delete_insert(file, GetCurrentCommandId(true));
	commit->added_deletes = lappend(commit->added_deletes, file);
	CommandCounterIncrement();
}

/* Files that rows can be in: of the snapshot and of this version, less what leaves. */
static List *
current_files(const LhIcebergCommit *commit, Snapshot snapshot)
{
	List	   *files = list_copy(commit->added);
	ListCell   *lc;

	foreach(lc, lh_file_list(commit->identity->storage_id, false, snapshot))
	{
		LhFile	   *file = lfirst(lc);

		if (!has_file(commit->added, file->file_id) && !has_file(commit->removed, file->file_id) &&
			!has_file(commit->retired, file->file_id))
			files = lappend(files, file);
	}
	return files;
}

/* No row of the file lives: it leaves the table, with its tombstones. */
static void
remove_dead_file(LhIcebergCommit *commit, Snapshot snapshot, LhFile *file, const LhDeadRows *rows)
{
	LhIdSet	dead = lh_published_dead_rows(commit->delete_files, list_make1(file));

	for (int64 i = 0; i < rows->n; i++)
		lh_id_set_add(&dead, rows->row_ids[i]);
	lh_id_set_sort(&dead);
	lh_drop_tombstones(commit->rel, snapshot, &dead);
	if (dead.ids != NULL)
		pfree(dead.ids);
	lh_commit_remove(commit, file, false);
}

void
lh_publish_deletes(LhIcebergCommit *commit, Snapshot snapshot, const LhIdSet *dead)
{
	Relation	rel = commit->rel;
	const LhIdentity *identity = commit->identity;
	List	   *delete_files;
	LhIdSet	published;
	LhIdSet	rows;
	List	   *files;
	List	   *kept = NIL;
	ListCell   *lc;

	if (dead->n == 0)
		return;
	delete_files = of_storage(commit->delete_files, identity->storage_id);
	published = published_rows(delete_files, identity->storage_id);
	rows = subtract(dead, &published);
	if (rows.n == 0)
		return;
	files = current_files(commit, snapshot);
	/* what is in none of them was in the delta, and has gone from there */
	foreach(lc, lh_locate_rows(rel, files, rows.ids, rows.n, palloc(Max(rows.n, 1))))
	{
		LhDeadRows *in_file = lfirst(lc);
		LhFile	   *file = in_file->file;

		if (in_file->n + lh_published_dead(delete_files, in_file->file_id) == file->row_count)
			remove_dead_file(commit, snapshot, file, in_file);
		else
		{
			kept = lappend(kept, in_file);
			commit->dead_rows += in_file->n;
		}
	}
	add_delete_file(commit, kept);
}

/* ---- delete files that are no longer needed ---- */

static bool
names_any(const LhDeleteFile *file, List *files)
{
	for (int i = 0; i < file->n_data_files; i++)
		if (has_file(files, file->data_file_ids[i]))
			return true;
	return false;
}

/* Has a data file that is in the table after this commit? */
static bool
is_needed(const LhDeleteFile *file, const LhIcebergCommit *commit, Snapshot snapshot)
{
	for (int i = 0; i < file->n_data_files; i++)
	{
		int64		id = file->data_file_ids[i];

		if (!has_file(commit->removed, id) && !has_file(commit->retired, id) && lh_file_is_current(id, snapshot))
			return true;
	}
	return false;
}

void
lh_remove_delete_files(LhIcebergCommit *commit, Snapshot snapshot, bool cloned)
{
	ListCell   *lc;

	if (commit->removed == NIL && commit->retired == NIL)
		return;
	foreach(lc, commit->delete_files)
	{
		LhDeleteFile *file = lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		if ((!names_any(file, commit->removed) && !names_any(file, commit->retired)) ||
			is_needed(file, commit, snapshot))
			continue;
		if (cloned)
			commit->retired_deletes = lappend(commit->retired_deletes, file);
		else
			commit->removed_deletes = lappend(commit->removed_deletes, file);
	}
}

/* ---- merging delete files ---- */

static int
size_class(int64 rows)
{
	int			class = 0;

	for (int64 limit = SMALLEST_CLASS; rows > limit && class < 16; limit *= 8)
		class++;
	return class;
}

List *
lh_delete_files_to_merge(List *delete_files)
{
	List	   *classes[17] = {NIL};
	ListCell   *lc;

	foreach(lc, delete_files)
	{
		int			class = size_class(((LhDeleteFile *) lfirst(lc))->row_count);

		classes[class] = lappend(classes[class], lfirst(lc));
	}
	for (int class = 0; class < lengthof(classes); class++)
		if (list_length(classes[class]) >= MERGE_DELETE_FILES)
			return classes[class];
	return NIL;
}

void
lh_merge_delete_files(LhIcebergCommit *commit, Snapshot snapshot, List *delete_files)
{
	List	   *dead = NIL;
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, delete_files)
	{
		CHECK_FOR_INTERRUPTS();
		foreach(lc2, lh_delete_file_read(lfirst(lc)))
			if (lh_file_is_current(((LhDeadRows *) lfirst(lc2))->file_id, snapshot))
				dead = lappend(dead, lfirst(lc2));
	}
	commit->removed_deletes = list_concat(commit->removed_deletes, delete_files);
	add_delete_file(commit, dead);
}

/* ---- a lake that has moved ---- */

void
lh_respell_delete_files(LhIcebergCommit *commit)
{
	List	   *dead = NIL;
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, commit->delete_files)
	{
		LhDeleteFile *file = lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		if (list_member_ptr(commit->removed_deletes, file) || list_member_ptr(commit->retired_deletes, file))
			continue;
		foreach(lc2, lh_delete_file_read(file))
		{
			LhDeadRows *rows = lfirst(lc2);
			LhFile	   *data = lh_file_by_id(rows->file_id, GetActiveSnapshot());

			if (data == NULL || data->removed_seq != 0 || has_file(commit->removed, rows->file_id))
				continue;
			rows->path = lh_file_uri(data);
			dead = lappend(dead, rows);
		}
		commit->retired_deletes = lappend(commit->retired_deletes, file);
	}
	add_delete_file(commit, dead);
}
