/*
 * publish_deletes.c
 *	  Deleted rows, from tombstones to Iceberg's position deletes.
 *
 * A tombstone stays in the delta as long as its row is in a file: that is what
 * queries go by.  The catalog rows of delete files have the ids of the rows
 * that are published as deleted; what is new is the difference.
 *
 * Each version gets one new delete file for a million rows, however many data
 * files have lost them.  Small ones are merged as small data files are (rewrite.c).  A
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
#include "types/types.h"

#define MERGE_DELETE_FILES	8
#define SMALLEST_CLASS		1000	/* rows */

/* Rows that go into one delete file: some 60 bytes of memory each. */
#define MAX_FILE_ROWS		(INT64CONST(1) << 20)

/* ---- sets of data files ---- */

/* Ids of data files, ascending once they are sorted. */
typedef struct FileIds
{
	int			n;
	int			max;
	int64	   *ids;
} FileIds;

static int
compare_ids(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return (x > y) - (x < y);
}

static void
add_files(FileIds *set, List *files)
{
	ListCell   *lc;

	if (files == NIL)
		return;
	set->max = set->n + list_length(files);
	set->ids = set->ids == NULL ? palloc(sizeof(int64) * set->max) : repalloc(set->ids, sizeof(int64) * set->max);
	foreach(lc, files)
		set->ids[set->n++] = ((LhFile *) lfirst(lc))->file_id;
	qsort(set->ids, set->n, sizeof(int64), compare_ids);
}

static bool
has_file(const FileIds *set, int64 file_id)
{
	return set->n > 0 && bsearch(&file_id, set->ids, set->n, sizeof(int64), compare_ids) != NULL;
}

/* ---- tombstones ---- */

void
lh_dead_rows(Relation rel, Snapshot snapshot, LhRowSet *dead, LhRowRange *in_delta)
{
	LhDeltaSummary summary;
	LhTombstoneScan *scan;
	uint64		row_id;

	*in_delta = (LhRowRange) {0, LH_MAX_ROW_ID};
	if (!lh_delta_exists(rel) || lh_delta_is_empty(rel))
		return;
	/* pages that have not changed since the last version are known */
	if (lh_delta_summarize(rel, snapshot, true, &summary))
	{
		*in_delta = summary.rows;
		lh_summary_add_dead(&summary, dead);
		return;
	}
	scan = lh_tombstone_scan_begin(rel, snapshot, 0, LH_MAX_ROW_ID);
	while (lh_tombstone_scan_next(scan, &row_id))
	{
		CHECK_FOR_INTERRUPTS();
		lh_row_set_add(dead, row_id);
	}
	lh_tombstone_scan_end(scan);
	lh_check_row_set(dead);
}

void
lh_drop_tombstones(Relation rel, Snapshot snapshot, LhRowSet *rows)
{
	LhRowSetScan ids = lh_row_set_scan(rows, 0);
	LhTombstoneScan *scan;
	SnapshotData current;
	uint64		row_id;
	int64		dropped = 0;

	if (!lh_row_set_next(&ids, &row_id))
		return;
	lh_metapage_note_removal(rel);
	/* what was dropped before in this transaction may have left entries with the rest of their rows */
	CommandCounterIncrement();
	current = *snapshot;
	current.curcid = GetCurrentCommandId(false);
	scan = lh_tombstone_scan_begin(rel, &current, row_id, LH_MAX_ROW_ID);
	while (dropped < rows->n && lh_tombstone_scan_next(scan, &row_id))
	{
		CHECK_FOR_INTERRUPTS();
		if (!lh_row_set_has(rows, row_id))
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
						   (int64) rows->n, dropped),
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

void
lh_published_dead_rows(List *delete_files, List *files, LhRowSet *rows)
{
	FileIds		wanted = {0};
	ListCell   *lc;

	add_files(&wanted, files);
	foreach(lc, delete_files)
	{
		LhDeleteFile *file = lfirst(lc);
		uint64	   *row_ids = NULL;
		int64		start = 0;

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < file->n_data_files; start += file->dead_counts[i++])
		{
			if (!has_file(&wanted, file->data_file_ids[i]))
				continue;
			if (row_ids == NULL)
				row_ids = lh_delete_row_ids(file);
			for (int64 j = 0; j < file->dead_counts[i]; j++)
				lh_row_set_add(rows, row_ids[start + j]);
		}
		if (row_ids != NULL)
			pfree(row_ids);
	}
	lh_check_row_set(rows);
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
	FileIds		others = {0};
	ListCell   *lc;

	add_files(&others, commit->added);
	add_files(&others, commit->removed);
	add_files(&others, commit->retired);
	foreach(lc, lh_file_list(commit->identity->storage_id, false, snapshot))
		if (!has_file(&others, ((LhFile *) lfirst(lc))->file_id))
			files = lappend(files, lfirst(lc));
	return files;
}

/* Dead rows that are not published as that. */
static void
find_new(const LhIcebergCommit *commit, const LhRowSet *dead, LhRowSet *rows)
{
	LhRowSetScan ids = lh_row_set_scan(dead, 0);
	LhRowSet	published;
	uint64		row_id;

	lh_palloc_row_set(&published);
	lh_delete_add_row_ids(of_storage(commit->delete_files, commit->identity->storage_id), &published);
	while (lh_row_set_next(&ids, &row_id))
		if (!lh_row_set_has(&published, row_id))
			lh_row_set_add(rows, row_id);
	lh_row_set_free(&published);
	lh_check_row_set(rows);
}

/* Places (LhDeadRows) of the next rows, as many as go into a delete file. */
static List *
locate_next(Relation rel, List *files, LhRowSetScan *rows, bool *end)
{
	int64		max = Min(rows->set->n, MAX_FILE_ROWS);
	uint64	   *row_ids = palloc(sizeof(uint64) * max);
	bool	   *found = palloc(max);
	int64		n = lh_row_set_take(rows, row_ids, max);
	List	   *places;

	CHECK_FOR_INTERRUPTS();
	*end = n < MAX_FILE_ROWS;
	/* what is in none of them was in the delta, and has gone from there */
	places = lh_locate_rows(rel, files, row_ids, n, found);
	pfree(found);
	pfree(row_ids);
	return places;
}

/* How many of the new dead rows each file has. */
typedef struct NewlyDead
{
	int64		file_id;		/* hash key */
	LhFile	   *file;
	int64		n;
	bool		survives;		/* with some rows */
} NewlyDead;

static void
count_by_file(HTAB *files, List *places)
{
	ListCell   *lc;

	foreach(lc, places)
	{
		const LhDeadRows *rows = lfirst(lc);
		bool		known;
		NewlyDead  *in_file = hash_search(files, &rows->file_id, HASH_ENTER, &known);

		in_file->file = rows->file;
		in_file->n = rows->n + (known ? in_file->n : 0);
	}
}

/* Files of which no row lives; the others stay in the table. */
static List *
wholly_dead(const LhIcebergCommit *commit, HTAB *counts)
{
	LhDeadCounts *before = lh_dead_counts(of_storage(commit->delete_files, commit->identity->storage_id));
	List	   *files = NIL;
	HASH_SEQ_STATUS all;
	NewlyDead  *in_file;

	hash_seq_init(&all, counts);
	while ((in_file = hash_seq_search(&all)) != NULL)
	{
		in_file->survives = in_file->n + lh_dead_count(before, in_file->file_id) < in_file->file->row_count;
		if (!in_file->survives)
			files = lappend(files, in_file->file);
	}
	return files;
}

/* Of the places those in files that stay; the rows of the others are noted. */
static List *
split_off_gone(LhIcebergCommit *commit, List *places, HTAB *counts, LhRowSet *gone)
{
	List	   *kept = NIL;
	ListCell   *lc;

	foreach(lc, places)
	{
		LhDeadRows *rows = lfirst(lc);
		const NewlyDead *in_file = hash_search(counts, &rows->file_id, HASH_FIND, NULL);

		if (in_file->survives)
		{
			kept = lappend(kept, rows);
			commit->dead_rows += rows->n;
			continue;
		}
		for (int64 i = 0; i < rows->n; i++)
			lh_row_set_add(gone, rows->row_ids[i]);
	}
	lh_check_row_set(gone);
	return kept;
}

/* No row of these files lives: they leave the table, with their tombstones. */
static void
remove_dead_files(LhIcebergCommit *commit, Snapshot snapshot, List *files, LhRowSet *dead)
{
	ListCell   *lc;

	lh_published_dead_rows(commit->delete_files, files, dead);
	foreach(lc, files)
		lh_commit_remove(commit, lfirst(lc), false);
	lh_drop_tombstones(commit->rel, snapshot, dead);
}

/*
 * The rows of one delete file at a time, so that memory does not grow with the
 * number of dead rows, but for a bit each.  Only where they do not fit into
 * one must a file's rows be counted before the first is written.
 */
void
lh_publish_deletes(LhIcebergCommit *commit, Snapshot snapshot, const LhRowSet *dead)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext cxt;
	HASHCTL		hash = {.keysize = sizeof(int64), .entrysize = sizeof(NewlyDead)};
	HTAB	   *counts;
	List	   *files;
	List	   *places;
	List	   *gone;
	LhRowSet	rows;
	LhRowSet	gone_rows;
	LhRowSetScan scan;
	bool		end;

	if (dead->n == 0)
		return;
	lh_palloc_row_set(&rows);
	find_new(commit, dead, &rows);
	if (rows.n == 0)
		return;
	lh_palloc_row_set(&gone_rows);
	files = current_files(commit, snapshot);
	cxt = AllocSetContextCreate(caller, "lakehouse dead rows", ALLOCSET_DEFAULT_SIZES);
	hash.hcxt = caller;
	counts = hash_create("lakehouse newly dead", 64, &hash, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	scan = lh_row_set_scan(&rows, 0);
	do
	{
		MemoryContextReset(cxt);
		MemoryContextSwitchTo(cxt);
		places = locate_next(commit->rel, files, &scan, &end);
		MemoryContextSwitchTo(caller);
		count_by_file(counts, places);
	} while (!end);
	gone = wholly_dead(commit, counts);

	if (rows.n < MAX_FILE_ROWS)
		add_delete_file(commit, split_off_gone(commit, places, counts, &gone_rows));
	else
	{
		scan = lh_row_set_scan(&rows, 0);
		do
		{
			MemoryContextReset(cxt);
			MemoryContextSwitchTo(cxt);
			places = split_off_gone(commit, locate_next(commit->rel, files, &scan, &end), counts, &gone_rows);
			MemoryContextSwitchTo(caller);
			add_delete_file(commit, places);
		} while (!end);
	}
	MemoryContextDelete(cxt);
	hash_destroy(counts);
	remove_dead_files(commit, snapshot, gone, &gone_rows);
}

/* ---- delete files that are no longer needed ---- */

void
lh_remove_delete_files(LhIcebergCommit *commit, Snapshot snapshot, bool cloned)
{
	FileIds		leaving = {0};
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
			affected |= has_file(&leaving, file->data_file_ids[i]);
		if (!affected)
			continue;
		/* some of its data files may have left before */
		for (int i = 0; i < file->n_data_files && !needed; i++)
			needed = !has_file(&leaving, file->data_file_ids[i]) &&
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

/* The first of them that fit into one. */
static List *
fit_into_one(List *delete_files)
{
	List	   *result = NIL;
	int64		rows = 0;
	ListCell   *lc;

	foreach(lc, delete_files)
	{
		rows += ((LhDeleteFile *) lfirst(lc))->row_count;
		if (rows > MAX_FILE_ROWS)
			break;
		result = lappend(result, lfirst(lc));
	}
	return result;
}

List *
lh_delete_files_to_merge(List *delete_files)
{
	List	   *classes[17] = {NIL};
	ListCell   *lc;

	foreach(lc, delete_files)
	{
		int64		rows = ((LhDeleteFile *) lfirst(lc))->row_count;
		int			class = size_class(rows);

		if (rows <= MAX_FILE_ROWS / MERGE_DELETE_FILES)
			classes[class] = lappend(classes[class], lfirst(lc));
	}
	for (int class = 0; class < lengthof(classes); class++)
		if (list_length(classes[class]) >= MERGE_DELETE_FILES)
			return fit_into_one(classes[class]);
	return NIL;
}

/* What a delete file says of data files that stay, under the paths that they have now. */
static List *
read_current(List *dead, const LhDeleteFile *file, const FileIds *leaving, Snapshot snapshot)
{
	ListCell   *lc;

	foreach(lc, lh_delete_file_read(file))
	{
		LhDeadRows *rows = lfirst(lc);
		LhFile	   *data = lh_file_by_id(rows->file_id, snapshot);

		CHECK_FOR_INTERRUPTS();
		if (data == NULL || data->removed_seq != 0 || has_file(leaving, rows->file_id))
			continue;
		rows->path = lh_file_uri(data);
		dead = lappend(dead, rows);
	}
	return dead;
}

void
lh_merge_delete_files(LhIcebergCommit *commit, Snapshot snapshot, List *delete_files)
{
	FileIds		leaving = {0};
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
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext cxt = AllocSetContextCreate(caller, "lakehouse dead rows", ALLOCSET_DEFAULT_SIZES);
	FileIds		leaving = {0};
	ListCell   *lc;

	add_files(&leaving, commit->removed);
	foreach(lc, commit->delete_files)
	{
		LhDeleteFile *file = lfirst(lc);
		List	   *dead;

		if (list_member_ptr(commit->removed_deletes, file) || list_member_ptr(commit->retired_deletes, file))
			continue;
		MemoryContextReset(cxt);
		MemoryContextSwitchTo(cxt);
		dead = read_current(NIL, file, &leaving, GetActiveSnapshot());
		MemoryContextSwitchTo(caller);
		add_delete_file(commit, dead);
		commit->retired_deletes = lappend(commit->retired_deletes, file);
	}
	MemoryContextDelete(cxt);
}
