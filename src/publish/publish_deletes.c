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

static bool
has_id(const LhIdSet *set, uint64 id)
{
	return set->n > 0 && bsearch(&id, set->ids, set->n, sizeof(uint64), compare_row_ids) != NULL;
}

/* Ids of files, which are sets of the same kind. */
static void
add_files(LhIdSet *set, List *files)
{
	ListCell   *lc;

	foreach(lc, files)
		lh_id_set_add(set, (uint64) ((LhFile *) lfirst(lc))->file_id);
	lh_id_set_sort(set);
}

static LhIdSet
subtract(const LhIdSet *a, const LhIdSet *b)
{
	LhIdSet		rest = {0};
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
lh_dead_rows(Relation rel, Snapshot snapshot, LhRowRange *rows)
{
	LhDeltaSummary summary;
	LhIdSet		dead = {0};
	LhRowIdArray all = {0};
	LhTombstoneScan *scan;
	uint64		row_id;

	*rows = (LhRowRange) {0, LH_MAX_ROW_ID};
	if (!lh_delta_exists(rel) || lh_delta_is_empty(rel))
		return dead;
	/* pages that have not changed since the last version are known */
	if (lh_delta_summarize(rel, snapshot, true, &summary))
	{
		*rows = summary.rows;
		lh_summary_dead(&summary, 0, LH_MAX_ROW_ID, &all);
		dead.ids = all.ids;
		dead.n = all.n;
		dead.max = all.max;
		return dead;
	}
	scan = lh_tombstone_scan_begin(rel, snapshot, 0, LH_MAX_ROW_ID);
	while (lh_tombstone_scan_next(scan, &row_id))
	{
		CHECK_FOR_INTERRUPTS();
		lh_id_set_add(&dead, row_id);
	}
	lh_tombstone_scan_end(scan);
	return dead;
}

void
lh_drop_tombstones(Relation rel, Snapshot snapshot, const LhIdSet *rows)
{
	LhTombstoneScan *scan;
	SnapshotData current;
	uint64		row_id;
	int64		i = 0;
	int64		dropped = 0;

	if (rows->n == 0)
		return;
	lh_metapage_note_removal(rel);
	/* what was dropped before in this transaction may have left entries with the rest of their rows */
	CommandCounterIncrement();
	current = *snapshot;
	current.curcid = GetCurrentCommandId(false);
	scan = lh_tombstone_scan_begin(rel, &current, rows->ids[0], rows->ids[rows->n - 1]);
	while (lh_tombstone_scan_next(scan, &row_id))
	{
		CHECK_FOR_INTERRUPTS();
		while (i < rows->n && rows->ids[i] < row_id)
			i++;
		if (i == rows->n || rows->ids[i] != row_id)
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
published_rows(List *delete_files)
{
	LhIdSet		rows = {0};

	rows.ids = lh_delete_all_row_ids(delete_files, &rows.n);
	rows.max = rows.n;
	return rows;
}

/* How many rows of a data file are dead. */
typedef struct DeadCount
{
	int64		file_id;
	int64		dead;
} DeadCount;

struct LhDeadCounts
{
	int			n;
	DeadCount  *counts;			/* by file_id, each once */
};

static int
compare_counts(const void *a, const void *b)
{
	int64		x = ((const DeadCount *) a)->file_id;
	int64		y = ((const DeadCount *) b)->file_id;

	return (x > y) - (x < y);
}

LhDeadCounts *
lh_dead_counts(List *delete_files)
{
	LhDeadCounts *result = palloc0(sizeof(LhDeadCounts));
	int64		total = 0;
	DeadCount  *all;
	ListCell   *lc;

	foreach(lc, delete_files)
		total += ((LhDeleteFile *) lfirst(lc))->n_data_files;
	result->counts = all = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(DeadCount) * Max(total, 1));
	total = 0;
	foreach(lc, delete_files)
	{
		LhDeleteFile *file = lfirst(lc);

		for (int i = 0; i < file->n_data_files; i++)
			all[total++] = (DeadCount) {file->data_file_ids[i], file->dead_counts[i]};
	}
	qsort(all, total, sizeof(DeadCount), compare_counts);
	for (int64 i = 0; i < total; i++)
	{
		if (result->n > 0 && all[result->n - 1].file_id == all[i].file_id)
			all[result->n - 1].dead += all[i].dead;
		else
			all[result->n++] = all[i];
	}
	return result;
}

int64
lh_dead_count(const LhDeadCounts *counts, int64 file_id)
{
	DeadCount	key = {file_id, 0};
	DeadCount  *found = bsearch(&key, counts->counts, counts->n, sizeof(DeadCount), compare_counts);

	return found != NULL ? found->dead : 0;
}

LhIdSet
lh_published_dead_rows(List *delete_files, List *files)
{
	LhIdSet		rows = {0};
	LhIdSet		wanted = {0};
	ListCell   *lc;

	add_files(&wanted, files);
	foreach(lc, delete_files)
	{
		LhDeleteFile *file = lfirst(lc);
		uint64	   *row_ids = NULL;
		int64		start = 0;

		for (int i = 0; i < file->n_data_files; start += file->dead_counts[i++])
		{
			if (!has_id(&wanted, (uint64) file->data_file_ids[i]))
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
	LhIdSet		others = {0};
	ListCell   *lc;

	add_files(&others, commit->added);
	add_files(&others, commit->removed);
	add_files(&others, commit->retired);
	foreach(lc, lh_file_list(commit->identity->storage_id, false, snapshot))
		if (!has_id(&others, (uint64) ((LhFile *) lfirst(lc))->file_id))
			files = lappend(files, lfirst(lc));
	return files;
}

/* No row of these files lives: they leave the table, with their tombstones. */
static void
remove_dead_files(LhIcebergCommit *commit, Snapshot snapshot, List *rows_of_files)
{
	List	   *files = NIL;
	LhIdSet		dead;
	ListCell   *lc;

	if (rows_of_files == NIL)
		return;
	foreach(lc, rows_of_files)
		files = lappend(files, ((LhDeadRows *) lfirst(lc))->file);
	dead = lh_published_dead_rows(commit->delete_files, files);
	foreach(lc, rows_of_files)
	{
		const LhDeadRows *rows = lfirst(lc);

		for (int64 i = 0; i < rows->n; i++)
			lh_id_set_add(&dead, rows->row_ids[i]);
		lh_commit_remove(commit, rows->file, false);
	}
	lh_id_set_sort(&dead);
	lh_drop_tombstones(commit->rel, snapshot, &dead);
}

void
lh_publish_deletes(LhIcebergCommit *commit, Snapshot snapshot, const LhIdSet *dead)
{
	List	   *delete_files;
	LhDeadCounts *counts;
	LhIdSet		published;
	LhIdSet		rows;
	List	   *kept = NIL;
	List	   *gone = NIL;
	bool	   *found;
	ListCell   *lc;

	if (dead->n == 0)
		return;
	delete_files = of_storage(commit->delete_files, commit->identity->storage_id);
	published = published_rows(delete_files);
	rows = subtract(dead, &published);
	if (rows.n == 0)
		return;
	counts = lh_dead_counts(delete_files);
	found = MemoryContextAllocHuge(CurrentMemoryContext, rows.n);
	/* what is in none of them was in the delta, and has gone from there */
	foreach(lc, lh_locate_rows(commit->rel, current_files(commit, snapshot), rows.ids, rows.n, found))
	{
		LhDeadRows *in_file = lfirst(lc);

		if (in_file->n + lh_dead_count(counts, in_file->file_id) == in_file->file->row_count)
			gone = lappend(gone, in_file);
		else
		{
			kept = lappend(kept, in_file);
			commit->dead_rows += in_file->n;
		}
	}
	remove_dead_files(commit, snapshot, gone);
	add_delete_file(commit, kept);
}

/* ---- delete files that are no longer needed ---- */

void
lh_remove_delete_files(LhIcebergCommit *commit, Snapshot snapshot, bool cloned)
{
	LhIdSet		leaving = {0};
	ListCell   *lc;

	add_files(&leaving, commit->removed);
	add_files(&leaving, commit->retired);
	if (leaving.n == 0)
		return;
	foreach(lc, commit->delete_files)
	{
		LhDeleteFile *file = lfirst(lc);
		bool		affected = false;
		bool		needed = false;

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < file->n_data_files; i++)
			affected |= has_id(&leaving, (uint64) file->data_file_ids[i]);
		if (!affected)
			continue;
		/* some of its data files may have left before */
		for (int i = 0; i < file->n_data_files && !needed; i++)
			needed = !has_id(&leaving, (uint64) file->data_file_ids[i]) &&
				lh_file_is_current(file->data_file_ids[i], snapshot);
		if (needed)
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

/* What a delete file says of data files that stay, under the paths that they have now. */
static List *
read_current(List *dead, const LhDeleteFile *file, const LhIdSet *leaving, Snapshot snapshot)
{
	ListCell   *lc;

	foreach(lc, lh_delete_file_read(file))
	{
		LhDeadRows *rows = lfirst(lc);
		LhFile	   *data = lh_file_by_id(rows->file_id, snapshot);

		CHECK_FOR_INTERRUPTS();
		if (data == NULL || data->removed_seq != 0 || has_id(leaving, (uint64) rows->file_id))
			continue;
		rows->path = lh_file_uri(data);
		dead = lappend(dead, rows);
	}
	return dead;
}

void
lh_merge_delete_files(LhIcebergCommit *commit, Snapshot snapshot, List *delete_files)
{
	LhIdSet		leaving = {0};
	List	   *dead = NIL;
	ListCell   *lc;

	foreach(lc, delete_files)
		dead = read_current(dead, lfirst(lc), &leaving, snapshot);
	commit->removed_deletes = list_concat(commit->removed_deletes, delete_files);
	add_delete_file(commit, dead);
}

/* ---- a lake that has moved ---- */

void
lh_respell_delete_files(LhIcebergCommit *commit)
{
	LhIdSet		leaving = {0};
	List	   *dead = NIL;
	ListCell   *lc;

	add_files(&leaving, commit->removed);
	foreach(lc, commit->delete_files)
	{
		LhDeleteFile *file = lfirst(lc);

		if (list_member_ptr(commit->removed_deletes, file) || list_member_ptr(commit->retired_deletes, file))
			continue;
		dead = read_current(dead, file, &leaving, GetActiveSnapshot());
		commit->retired_deletes = lappend(commit->retired_deletes, file);
	}
	add_delete_file(commit, dead);
}
