/*
 * delete_file.c
 *	  Position delete files as objects: written with their catalog row, read
 *	  back whole.
 *
 * Knows data files by their ids and paths only; which rows are deleted, and
 * when a delete file is worth writing anew, is the publisher's affair.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "iceberg/iceberg.h"
#include "objstore/objstore.h"
#include "storage/lh_storage.h"
#include "types/types.h"

static LhStatus
sink(void *ctx, const uint8_t *data, size_t len, LhError *err)
{
	lh_upload_write((LhUpload *) ctx, data, len);
	return LH_OK;
}

char *
lh_file_uri(const LhFile *file)
{
	return lh_store_uri(lh_store_open(file->location), file->name);
}

static int
compare_row_ids(const void *a, const void *b)
{
	uint64		x = *(const uint64 *) a;
	uint64		y = *(const uint64 *) b;

	return (x > y) - (x < y);
}

/* The data file of a path; paths ascend. */
static int
find_path(const LhIceDeletes *deletes, int n, const char *path)
{
	int			low = 0;
	int			high = n - 1;

	while (low < high)
	{
		int			mid = (low + high) / 2;

		if (strcmp(deletes[mid].path, path) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Fills in which rows of which data files: ids go in the order of places. */
static void
describe(List *dead, const LhIceDeletes *deletes, LhDeleteFile *file)
{
	int			n = file->n_data_files;
	int64	   *filled = palloc0(sizeof(int64) * n);
	int64	   *starts = palloc(sizeof(int64) * n);
	uint64	   *row_ids;
	ListCell   *lc;

	file->data_file_ids = palloc0(sizeof(int64) * n);
	file->dead_counts = palloc(sizeof(int64) * n);
	for (int i = 0; i < n; i++)
	{
		starts[i] = file->row_count;
		file->dead_counts[i] = deletes[i].n;
		file->row_count += deletes[i].n;
	}
	row_ids = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(uint64) * file->row_count);
	foreach(lc, dead)
	{
		const LhDeadRows *rows = lfirst(lc);
		int			i = find_path(deletes, n, rows->path);

		if (rows->n > file->dead_counts[i] - filled[i])
			elog(ERROR, "a row of data file " INT64_FORMAT " is deleted twice", rows->file_id);
		file->data_file_ids[i] = rows->file_id;
		memcpy(row_ids + starts[i] + filled[i], rows->row_ids, sizeof(uint64) * rows->n);
		filled[i] += rows->n;
	}
	for (int i = 0; i < n; i++)
		qsort(row_ids + starts[i], file->dead_counts[i], sizeof(uint64), compare_row_ids);
	lh_delete_set_row_ids(file, row_ids);
	pfree(row_ids);
}

static LhIceDeletes *
merge(List *dead, LhArena *arena, int *n)
{
	LhIceDeletes *parts = palloc(sizeof(LhIceDeletes) * list_length(dead));
	LhIceDeletes *deletes;
	int			n_parts = 0;
	LhError		error;
	ListCell   *lc;

	foreach(lc, dead)
	{
		const LhDeadRows *rows = lfirst(lc);

		parts[n_parts++] = (LhIceDeletes) {rows->path, rows->n, rows->places};
	}
	lh_report(lh_ice_deletes_merge(parts, n_parts, arena, &deletes, n, &error), &error, "delete file");
	return deletes;
}

LhDeleteFile *
lh_delete_file_write(Relation rel, const LhIdentity *identity, List *dead)
{
	MemoryContext scratch_cxt = AllocSetContextCreate(CurrentMemoryContext, "lakehouse delete file", ALLOCSET_DEFAULT_SIZES);
	LhDeleteFile *file = palloc0(sizeof(LhDeleteFile));
	LhAlloc		scratch_alloc = lh_palloc_alloc(scratch_cxt);
	LhAlloc    *alloc = palloc(sizeof(LhAlloc));	/* the arena keeps a pointer */
	LhIceDeletes *deletes;
	LhOptions	options;
	LhUpload   *upload;
	LhArena		scratch;
	LhArena		arena;
	LhError		error;

	*alloc = lh_palloc_alloc(CurrentMemoryContext);
	lh_arena_init(&arena, alloc);
	lh_arena_init(&scratch, &scratch_alloc);
	deletes = merge(dead, &scratch, &file->n_data_files);
	describe(dead, deletes, file);
	lh_options_of(rel, &options);
	file->file_id = lh_random_id();
	file->table_uuid = identity->table_uuid;
	file->storage_id = identity->storage_id;
	file->relid = RelationGetRelid(rel);
	file->location = lh_table_location(rel, &options, &identity->table_uuid);
	file->name = lh_data_file_name(file->file_id, true);
	file->entry = palloc(sizeof(LhIceDataFile));
	upload = lh_upload_begin(lh_store_open(file->location), file->name);
	lh_report(lh_ice_deletes_write(deletes, file->n_data_files,
								   "lakehouse version " LH_VERSION " (build release)",
								   sink, upload, &arena, file->entry, &error),
			  &error, file->name);
	MemoryContextDelete(scratch_cxt);
	file->byte_count = lh_upload_bytes(upload);
	lh_dirty_file_written();
	lh_upload_finish(upload);
	file->entry->path = lh_store_uri(lh_store_open(file->location), file->name);
	file->entry->file_size = file->byte_count;
	return file;
}

List *
lh_delete_file_read(const LhDeleteFile *file)
{
	LhAlloc    *alloc = palloc(sizeof(LhAlloc));
	LhIceDeletes *deletes;
	uint64	   *row_ids = lh_delete_row_ids(file);
	List	   *dead = NIL;
	LhArena		arena;
	LhError		error;
	int64		len;
	char	   *data;
	int			n;
	bool		agrees;

	*alloc = lh_palloc_alloc(CurrentMemoryContext);
	lh_arena_init(&arena, alloc);
	data = lh_store_read_all(lh_store_open(file->location), file->name, file->byte_count, false, &len);
	lh_report(lh_ice_deletes_read((const uint8_t *) data, len, file->row_count, &arena, &deletes, &n, &error),
			  &error, file->name);
	pfree(data);
	agrees = n == file->n_data_files;
	for (int i = 0; agrees && i < n; i++)
	{
		LhDeadRows *rows = palloc(sizeof(LhDeadRows));

		rows->file_id = file->data_file_ids[i];
		rows->file = NULL;
		rows->path = (char *) deletes[i].path;
		rows->n = deletes[i].n;
		rows->places = (int64 *) deletes[i].positions;
		rows->row_ids = row_ids;
		row_ids += file->dead_counts[i];
		dead = lappend(dead, rows);
		agrees = rows->n == file->dead_counts[i];
	}
	if (!agrees)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("delete file \"%s\" is not what the catalog says", file->name),
				 errdetail("The catalog has " INT64_FORMAT " deleted rows of %d data files.",
						   file->row_count, file->n_data_files)));
	return dead;
}
