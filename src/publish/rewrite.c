/*
 * rewrite.c
 *	  Data files written anew with the same rows and row ids: because there are
 *	  too many small ones, because too many of their rows are dead, or because
 *	  Iceberg v2 cannot say what Postgres means by an old one.
 *
 * Small files are merged by size class, each eight times the one below: a
 * class with MERGE_FILES files becomes one file of a higher class.  So a row
 * is rewritten about log8(target size / first size) times, and a table has a
 * number of files that grows with the logarithm of its size.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "access/xact.h"

#include "publish/lh_publish_int.h"
#include "storage/lh_storage.h"
#include "types/pg_compat.h"
#include "types/types.h"

#define MERGE_FILES			8
#define MAX_MERGE_FILES		64
#define MAX_TINY_BYTES		(4 * 1024 * 1024)	/* of more files than that: no more bytes, */
#define MAX_TINY_COLUMNS	4096	/* nor columns open at a time, which take 10 kB each */
#define SMALLEST_CLASS		(64 * 1024)

/* A file is written anew when more than one in so many rows is dead; so many at a time. */
#define MOST_DEAD			4
#define MAX_THIN_FILES		8

/* A gap in the row ids every so many rows pays for a _row_id column. */
#define ROWS_PER_BREAK		50000

bool
lh_wants_row_ids(int64 rows, int64 breaks)
{
	return breaks > rows / ROWS_PER_BREAK;
}

/* ---- does a file mean outside what it means here? ---- */

static bool
is_promotion(const LhPqNode *from, const LhPqNode *to)
{
	if (from->logical == LH_PQ_DECIMAL && to->logical == LH_PQ_DECIMAL)
		return from->scale == to->scale && from->precision <= to->precision;
	if (from->type == LH_PQ_INT32 && to->type == LH_PQ_INT64)
		return from->logical == to->logical &&
			(to->logical == LH_PQ_NONE || to->logical == LH_PQ_INTEGER);
	return from->type == LH_PQ_FLOAT && to->type == LH_PQ_DOUBLE;
}

static bool
same_meaning(const LhPqNode *file, const LhPqNode *now)
{
	if (file->is_group != now->is_group || file->field_id != now->field_id)
		return false;
	if (file->is_group)
	{
		if (file->n_children != now->n_children || file->logical != now->logical)
			return false;
		for (int i = 0; i < file->n_children; i++)
			if (!same_meaning(file->children[i], now->children[i]))
				return false;
		return true;
	}
	if (is_promotion(file, now))
		return true;
	return file->type == now->type && file->logical == now->logical &&
		file->utc == now->utc && file->type_length == now->type_length;
}

bool
lh_file_fits(const LhFile *file, TupleDesc desc)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "lakehouse file check", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	LhPqFileMeta *meta = lh_file_meta(file);
	LhShape    *shape = lh_shape_create(desc, false);
	bool		fits = lh_enums_fit(meta);

	for (int i = 0; i < desc->natts && fits; i++)
	{
		LhPqNode   *node;

		if (!shape->atts[i].live)
			continue;
		node = lh_file_column(meta, i + 1);
		if (node == NULL)
			fits = !TupleDescAttr(desc, i)->atthasmissing;
		else
			fits = same_meaning(node, shape->atts[i].node);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
	return fits;
}

/* ---- writing anew ---- */

/* One file being read in row-id order. */
typedef struct Source
{
	LhFileReader *reader;
	LhRowSet   *dead;
	LhRowSet   *dropped;
	int			n_groups;
	int			group;
	int64		group_rows;
	int64		start;			/* of the batch */
	int			n;
	int			row;
	uint64		row_id;			/* of that row */
} Source;

/* Moves on; false at the end of the file. */
static bool
next_row_of_any(Source *source)
{
	while (++source->row >= source->n)
	{
		source->start += source->n;
		if (source->group < 0 || source->start >= source->group_rows)
		{
			if (++source->group >= source->n_groups)
				return false;
			lh_file_reader_group(source->reader, source->group);
			source->group_rows = lh_file_reader_group_rows(source->reader);
			source->start = 0;
		}
		source->n = (int) Min(LH_BATCH_ROWS, source->group_rows - source->start);
		if (source->n > 0)
			lh_file_reader_batch(source->reader, source->start, source->n);
		source->row = -1;
	}
	source->row_id = lh_file_reader_row_id(source->reader, source->row);
	return true;
}

/* The same, to a row that lives. */
static bool
next_row(Source *source)
{
	while (next_row_of_any(source))
	{
		if (!lh_row_set_has(source->dead, source->row_id))
			return true;
		lh_row_set_add(source->dropped, source->row_id);
	}
	return false;
}

static int
compare_ranges(const void *a, const void *b)
{
	int64		x = ((const int64 *) a)[0];
	int64		y = ((const int64 *) b)[0];

	return x < y ? -1 : x > y;
}

/* Gaps in the union of the files' row ids, as far as the catalog tells; each dead row makes one. */
static bool
ids_are_scattered(List *files, const LhRowSet *dead)
{
	int			n = 0;
	int			max = 0;
	int64		rows = 0;
	int64		breaks = 0;
	int64	  (*ranges)[2];
	ListCell   *lc;

	foreach(lc, files)
	{
		LhFile	   *file = lfirst(lc);

		if (file->n_first_row_ids == 0)
			return true;
		rows += file->row_count;
		max += file->n_first_row_ids;
	}
	ranges = palloc(sizeof(*ranges) * Max(max, 1));
	foreach(lc, files)
	{
		LhFile	   *file = lfirst(lc);
		LhPqFileMeta *meta = lh_file_meta(file);

		for (int g = 0; g < file->n_first_row_ids; g++)
		{
			ranges[n][0] = file->first_row_ids[g];
			ranges[n++][1] = file->first_row_ids[g] + meta->row_groups[g].num_rows;
		}
		lh_pq_meta_free(meta);
	}
	qsort(ranges, n, sizeof(*ranges), compare_ranges);
	for (int i = 1; i < n; i++)
		breaks += ranges[i][0] != ranges[i - 1][1];
	return lh_wants_row_ids(rows, breaks + dead->n);
}

static void
copy_row(Source *source, TupleDesc desc, LhFileWriter *writer, Datum *values, bool *isnull)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Datum	   *column;
		bool	   *nulls;

		if (!lh_att_is_stored(TupleDescAttr(desc, i)))
			continue;
		lh_file_reader_column(source->reader, i + 1, &column, &nulls);
		values[i] = column[source->row];
		isnull[i] = nulls[source->row];
	}
	lh_file_writer_put(writer, values, isnull, source->row_id,
					   lh_file_reader_xmin(source->reader, source->row));
}

List *
lh_rewrite_files(Relation rel, const LhIdentity *identity, List *files,
				 LhRowSet *dead, LhRowSet *dropped)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext cxt = AllocSetContextCreate(caller, "lakehouse rewrite", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	TupleDesc	desc = RelationGetDescr(rel);
	Datum	   *values = palloc0(sizeof(Datum) * Max(desc->natts, 1));
	bool	   *isnull = palloc0(sizeof(bool) * Max(desc->natts, 1));
	Source	   *sources = palloc0(sizeof(Source) * list_length(files));
	int			n_sources = 0;
	bool		scattered = ids_are_scattered(files, dead);
	LhFileWriter *writer = NULL;
	LhOptions	options;
	List	   *result = NIL;
	ListCell   *lc;

	lh_options_of(rel, &options);
	foreach(lc, files)
	{
		Source	   *source = &sources[n_sources];

		/* the file before may have had it, and no living row */
		memset(source, 0, sizeof(*source));
		source->reader = lh_file_reader_open(lfirst(lc), desc);
		source->n_groups = lh_file_reader_meta(source->reader)->n_row_groups;
		source->group = source->row = -1;
		source->dead = dead;
		source->dropped = dropped;
		if (next_row(source))
			n_sources++;
		else
			lh_file_reader_close(source->reader);
	}
	while (n_sources > 0 || writer != NULL)
	{
		Source	   *least = &sources[0];

		CHECK_FOR_INTERRUPTS();
		if (writer != NULL &&
			(n_sources == 0 || lh_file_writer_is_full(writer)))
		{
			LhFile	   *file;

			MemoryContextSwitchTo(caller);
			file = lh_file_writer_finish(writer);
			lh_file_insert(file, GetCurrentCommandId(true));
			result = lappend(result, file);
			MemoryContextSwitchTo(cxt);
			writer = NULL;
			continue;
		}
		if (writer == NULL)
			writer = lh_file_writer_begin(rel, desc, &options, &identity->table_uuid,
										  identity->storage_id, scattered);
		for (int i = 1; i < n_sources; i++)
			if (sources[i].row_id < least->row_id)
				least = &sources[i];
		copy_row(least, desc, writer, values, isnull);
		if (!next_row(least))
		{
			lh_file_reader_close(least->reader);
			*least = sources[--n_sources];
		}
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(cxt);
	lh_check_row_set(dropped);
	CommandCounterIncrement();
	return result;
}

/* ---- which files to write anew ---- */

List *
lh_files_to_thin(List *delete_files, Snapshot snapshot)
{
	LhDeadCounts *counts = lh_dead_counts(delete_files);
	List	   *files = NIL;
	ListCell   *lc;

	foreach(lc, delete_files)
	{
		LhDeleteFile *deletes = lfirst(lc);

		for (int i = 0; i < deletes->n_data_files && list_length(files) < MAX_THIN_FILES; i++)
		{
			int64		id = deletes->data_file_ids[i];
			LhFile	   *file = lh_file_by_id(id, snapshot);
			bool		known = file == NULL || file->removed_seq != 0;
			ListCell   *lc2;

			foreach(lc2, files)
				known |= ((LhFile *) lfirst(lc2))->file_id == id;
			if (!known && lh_dead_count(counts, id) > file->row_count / MOST_DEAD)
				files = lappend(files, file);
		}
	}
	return files;
}

#define CLASSES		17

static int
size_class(int64 bytes)
{
	int			class = 0;

	for (int64 limit = SMALLEST_CLASS; bytes > limit && class < CLASSES - 1; limit *= 8)
		class++;
	return class;
}

/* Small files that might be merged, without what is known of them. */
typedef struct Candidate
{
	int64		file_id;
	int64		bytes;
	uint64		low_row_id;
} Candidate;

typedef struct Candidates
{
	MemoryContext cxt;
	int			n;
	int			max;
	Candidate  *files;
} Candidates;

static void
visit_small(const LhFile *file, void *arg)
{
	Candidates *c = arg;

	CHECK_FOR_INTERRUPTS();
	if (file->added_seq == 0)
		return;
	if (c->n == c->max)
	{
		c->max = Max(64, c->max * 2);
		c->files = c->files == NULL ? MemoryContextAllocHuge(c->cxt, sizeof(Candidate) * c->max) :
			repalloc_huge(c->files, sizeof(Candidate) * c->max);
	}
	c->files[c->n++] = (Candidate) {file->file_id, file->byte_count, file->low_row_id};
}

/* As scans sort files: neighbours come together. */
static int
compare_candidates(const void *a, const void *b)
{
	const Candidate *x = a;
	const Candidate *y = b;

	if (x->low_row_id != y->low_row_id)
		return x->low_row_id < y->low_row_id ? -1 : 1;
	return x->file_id < y->file_id ? -1 : x->file_id > y->file_id;
}

List *
lh_files_to_merge(Relation rel, int64 storage_id, int64 below, Snapshot snapshot)
{
	int			n_of_class[CLASSES] = {0};
	Candidates	c = {CurrentMemoryContext};
	List	   *files = NIL;
	int			most = MAX_TINY_COLUMNS / Max(RelationGetNumberOfAttributes(rel), 1);
	int			chosen = 0;
	int64		bytes = 0;

	lh_file_walk_small(storage_id, below, snapshot, visit_small, &c);
	for (int i = 0; i < c.n; i++)
		n_of_class[size_class(c.files[i].bytes)]++;
	while (chosen < CLASSES && n_of_class[chosen] < MERGE_FILES)
		chosen++;
	if (chosen == CLASSES)
		return NIL;
	qsort(c.files, c.n, sizeof(Candidate), compare_candidates);
	for (int i = 0; i < c.n; i++)
	{
		if (size_class(c.files[i].bytes) != chosen)
			continue;
		bytes += c.files[i].bytes;
		/* tiny ones by the thousand: each merge looks at all that there are */
		if (list_length(files) >= MAX_MERGE_FILES &&
			(list_length(files) >= most || bytes > MAX_TINY_BYTES))
			break;
		files = lappend(files, lh_file_by_id(c.files[i].file_id, snapshot));
	}
	pfree(c.files);
	return files;
}
