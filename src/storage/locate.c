/*
 * locate.c
 *	  Where rows are: from row ids to places in data files, for many ids at
 *	  once.
 *
 * A place counts the rows of a file from its beginning, over all row groups,
 * as Iceberg's position deletes do.  Row ids ascend within a file, so places
 * found in the order of ids ascend, too.  Files that the ids cannot be in cost no
 * footer; those with a _row_id column cost that column of the row groups
 * whose statistics admit an id.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "storage/lh_storage.h"
#include "types/types.h"

typedef struct Search
{
	TupleDesc	desc;
	const uint64 *row_ids;		/* ascending */
	int64		n;
	bool	   *found;
	int64	   *places;			/* in the file being searched */
	uint64	   *place_ids;		/* row ids there */
	int64		n_places;
} Search;

/* The first of the ids that is not below `row_id`. */
static int64
lower_bound(const Search *search, uint64 row_id)
{
	int64		low = 0;
	int64		high = search->n;

	while (low < high)
	{
		int64		mid = low + (high - low) / 2;

		if (search->row_ids[mid] < row_id)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void
add_place(Search *search, int64 i, int64 place)
{
	search->found[i] = true;
	search->places[search->n_places] = place;
	search->place_ids[search->n_places++] = search->row_ids[i];
}

static void
search_ranges(Search *search, const LhFile *file)
{
	LhPqFileMeta *meta = NULL;
	int64		group_start = 0;

	for (int g = 0; g < file->n_first_row_ids; g++)
	{
		uint64		first = (uint64) file->first_row_ids[g];
		int64		i = lower_bound(search, first);

		/* without a footer a group is at most as long as the file */
		if (meta == NULL && (i == search->n || search->row_ids[i] - first >= (uint64) file->row_count))
			continue;
		if (meta == NULL)
		{
			meta = lh_file_meta(file);
			for (int k = 0; k < g; k++)
				group_start += meta->row_groups[k].num_rows;
		}
		for (; i < search->n && search->row_ids[i] - first < (uint64) meta->row_groups[g].num_rows; i++)
			add_place(search, i, group_start + (int64) (search->row_ids[i] - first));
		group_start += meta->row_groups[g].num_rows;
	}
}

/* Can the row group have one of the ids, by its statistics? */
static bool
group_may_have(const Search *search, const LhPqChunk *chunk)
{
	int64		i;

	if (chunk->stats.min.data == NULL || chunk->stats.max.data == NULL)
		return true;
	i = lower_bound(search, lh_get_u64le(chunk->stats.min.data));
	return i < search->n && search->row_ids[i] <= lh_get_u64le(chunk->stats.max.data);
}

/* Ids ascend within a file: a merge of two sorted lists. */
static void
search_group(Search *search, LhFileReader *reader, int group, int64 group_start)
{
	int64		rows;
	int64		i = 0;

	lh_file_reader_group(reader, group);
	rows = lh_file_reader_group_rows(reader);
	for (int64 start = 0; start < rows && i < search->n; start += LH_BATCH_ROWS)
	{
		int			n = (int) Min(LH_BATCH_ROWS, rows - start);

		lh_file_reader_batch(reader, start, n);
		if (start == 0)
			i = lower_bound(search, lh_file_reader_row_id(reader, 0));
		for (int row = 0; row < n && i < search->n;)
		{
			uint64		row_id = lh_file_reader_row_id(reader, row);

			if (row_id < search->row_ids[i])
				row++;
			else if (row_id > search->row_ids[i])
				i++;
			else
				add_place(search, i++, group_start + start + row++);
		}
	}
}

static void
search_column(Search *search, const LhFile *file)
{
	LhFileReader *reader = lh_file_reader_open(file, search->desc);
	const LhPqFileMeta *meta = lh_file_reader_meta(reader);
	int64		group_start = 0;
	int			leaf = 0;

	while (meta->schema.leaves[leaf]->field_id != LH_FIELD_ROW_ID)
		leaf++;
	for (int g = 0; g < meta->n_row_groups; g++)
	{
		CHECK_FOR_INTERRUPTS();
		if (group_may_have(search, &meta->row_groups[g].chunks[leaf]))
			search_group(search, reader, g, group_start);
		group_start += meta->row_groups[g].num_rows;
	}
	lh_file_reader_close(reader);
}

List *
lh_locate_rows(Relation rel, List *files, const uint64 *row_ids, int64 n, bool *found)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext cxt = AllocSetContextCreate(caller, "lakehouse locate", ALLOCSET_DEFAULT_SIZES);
	MemoryContext file_cxt = AllocSetContextCreate(cxt, "lakehouse locate file", ALLOCSET_DEFAULT_SIZES);
	Search		search = {RelationGetDescr(rel), row_ids, n, found};
	List	   *result = NIL;
	ListCell   *lc;

	memset(found, false, n);
	search.places = MemoryContextAllocHuge(cxt, sizeof(int64) * Max(n, 1));
	search.place_ids = MemoryContextAllocHuge(cxt, sizeof(uint64) * Max(n, 1));
	foreach(lc, files)
	{
		const LhFile *file = lfirst(lc);
		LhDeadRows *rows;

		CHECK_FOR_INTERRUPTS();
		search.n_places = 0;
		MemoryContextSwitchTo(file_cxt);
		if (file->n_first_row_ids > 0)
			search_ranges(&search, file);
		else
			search_column(&search, file);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(file_cxt);
		if (search.n_places == 0)
			continue;
		rows = palloc(sizeof(LhDeadRows));
		rows->file_id = file->file_id;
		rows->file = lfirst(lc);
		rows->path = lh_file_uri(file);
		rows->n = search.n_places;
		rows->places = MemoryContextAllocHuge(caller, sizeof(int64) * search.n_places);
		memcpy(rows->places, search.places, sizeof(int64) * search.n_places);
		rows->row_ids = MemoryContextAllocHuge(caller, sizeof(uint64) * search.n_places);
		memcpy(rows->row_ids, search.place_ids, sizeof(uint64) * search.n_places);
		result = lappend(result, rows);
	}
	MemoryContextDelete(cxt);
	return result;
}
