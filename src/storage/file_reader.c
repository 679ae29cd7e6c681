/*
 * file_reader.c
 *	  One Parquet data file being read: a row group, a batch of rows in it,
 *	  columns of the batch as datums.
 *
 * Nothing is fetched or decoded before it is asked for: a batch of which only
 * one column is looked at costs that column.  Within a row group a column
 * reader moves forward only; going back opens it again.
 *
 * Two row groups are held: the selected one, and one whose chunks are being
 * fetched ahead.  A sparse reader, which reads pages, holds more, as single
 * rows come from anywhere: their page indexes, dictionaries and last pages.
 *
 * Memory contexts: `cxt` for the file, one for the bytes and column readers of
 * each row group, `batch_cxt` for by-reference values of a batch.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "objstore/objstore.h"
#include "storage/lh_storage.h"
#include "types/types.h"

/* One leaf of a row group. */
typedef struct LeafReader
{
	uint8_t    *bytes;			/* of the chunk; NULL: not fetched */
	LhFetch    *fetch;			/* under way */
	LhPqColumnReader *reader;
	int64		next_row;		/* that reader returns next */
	int64		end_row;		/* reader has the rows before it */
	int64		batch;			/* number of the batch that vector holds */

	/* when few rows are looked at: pages instead of the whole chunk */
	bool		has_index;
	LhPqOffsetIndex index;
	uint8_t    *pages;
	LhPqVector	vector;
} LeafReader;

typedef struct GroupState
{
	MemoryContext cxt;
	LhAlloc		alloc;			/* in it */
	LhArena		arena;			/* page indexes */
	int			row_group;		/* -1: none */
	LeafReader *leaves;			/* [meta->schema.n_leaves] */

	/* looking for row ids in their column */
	bool		has_row_id_index;
	LhPqColumnIndex row_id_index;
	int			row_id_page;	/* that row_ids are of; -1: none */
	int64		row_id_first;	/* row of the group that row_ids[0] is of */
	int			n_row_ids;
	int64	   *row_ids;
} GroupState;

typedef struct ColumnState
{
	bool		initialized;
	LhDecoder  *decoder;		/* NULL: the file lacks the column */
	Datum		missing;		/* its value then */
	bool		missing_isnull;
	bool		decoded;		/* for the current batch */
	Datum	   *values;			/* [LH_BATCH_ROWS] */
	bool	   *isnull;
} ColumnState;

#define MAX_SPARSE_GROUPS	64

struct LhFileReader
{
	MemoryContext cxt;
	MemoryContext batch_cxt;
	const LhFile *file;
	LhStore    *store;
	LhPqFileMeta *meta;
	TupleDesc	desc;
	ColumnState *columns;		/* [desc->natts] */
	int			exact_leaf;		/* -1: none */
	int			row_id_leaf;	/* -1: none */
	int			xmin_leaf;		/* -1: none */
	int			n_groups;
	GroupState *groups;
	GroupState *group;			/* the selected one */
	GroupState *ahead;			/* the other, unless the reader is sparse */
	int			next_victim;	/* in a sparse reader */
	int64		batch;			/* number of the current batch, from 1 */
	int64		batch_start;
	int			batch_rows;
	const uint8 *selected;		/* rows of it that are looked at; NULL: all */
	bool		sparse;			/* read pages, not chunks, */
	LhAlloc		alloc;			/* with this, in cxt, and */
	LhPqDecompressor *decompressor; /* this */
	int64		bytes;			/* asked of the store */
	LhPqVector	blank;			/* a batch of nulls; n_rows 0: not made yet */
};

static int
file_leaf(const LhPqFileMeta *meta, int field_id)
{
	LhPqNode   *node = lh_file_column(meta, field_id);

	return node != NULL && !node->is_group ? node->first_leaf : -1;
}

static LhFileReader *
open_reader(const LhFile *file, LhPqFileMeta *meta, TupleDesc desc, int n_groups)
{
	LhFileReader *reader = palloc0(sizeof(LhFileReader));

	reader->cxt = CurrentMemoryContext;
	reader->batch_cxt = AllocSetContextCreate(reader->cxt, "lakehouse batch", ALLOCSET_DEFAULT_SIZES);
	reader->n_groups = n_groups;
	reader->groups = palloc0(sizeof(GroupState) * n_groups);
	for (int i = 0; i < n_groups; i++)
		reader->groups[i].row_group = -1;
	reader->group = &reader->groups[0];
	reader->ahead = &reader->groups[1];
	reader->file = file;
	reader->desc = desc;
	reader->store = lh_store_open(file->location);
	reader->meta = meta;
	reader->columns = palloc0(sizeof(ColumnState) * Max(desc->natts, 1));
	reader->exact_leaf = file_leaf(reader->meta, LH_FIELD_EXACT);
	reader->row_id_leaf = file_leaf(reader->meta, LH_FIELD_ROW_ID);
	reader->xmin_leaf = file_leaf(reader->meta, LH_FIELD_XMIN);
	if (file->n_first_row_ids == 0 && reader->row_id_leaf < 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("data file \"%s\" has no row ids", file->name)));
	return reader;
}

LhFileReader *
lh_file_reader_open(const LhFile *file, TupleDesc desc)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "lakehouse file reader", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	LhFileReader *reader = open_reader(file, lh_file_meta(file), desc, 2);

	MemoryContextSwitchTo(old);
	return reader;
}

LhFileReader *
lh_file_reader_open_sparse(const LhFile *file, const LhFile *kept, TupleDesc desc)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "lakehouse file reader", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	LhPqFileMeta *meta = lh_file_meta(file);
	LhFileReader *reader = open_reader(kept, meta, desc, Max(2, Min(MAX_SPARSE_GROUPS, meta->n_row_groups)));

	reader->sparse = true;
	reader->alloc = lh_palloc_alloc(cxt);
	reader->decompressor = lh_pq_decompressor_make(&reader->alloc);
	MemoryContextSwitchTo(old);
	return reader;
}

const LhPqFileMeta *
lh_file_reader_meta(const LhFileReader *reader)
{
	return reader->meta;
}

const LhFile *
lh_file_reader_file(const LhFileReader *reader)
{
	return reader->file;
}

int64
lh_file_reader_bytes(const LhFileReader *reader)
{
	return reader->bytes;
}

void
lh_file_reader_close(LhFileReader *reader)
{
	MemoryContextDelete(reader->cxt);
}

static void
drop_batch(LhFileReader *reader)
{
	MemoryContextReset(reader->batch_cxt);
	for (int i = 0; i < reader->desc->natts; i++)
		reader->columns[i].decoded = false;
	reader->batch++;			/* what leaves hold is of an older one now */
	reader->batch_rows = 0;
	reader->selected = NULL;
}

/* Bytes, pending fetches and column readers all live in the group's context. */
static void
reset_group(LhFileReader *reader, GroupState *group, int row_group)
{
	if (group->cxt == NULL)
	{
		group->cxt = AllocSetContextCreate(reader->cxt, "lakehouse row group", ALLOCSET_DEFAULT_SIZES);
		group->alloc = lh_palloc_alloc(group->cxt);
	}
	MemoryContextReset(group->cxt);
	lh_arena_init(&group->arena, &group->alloc);
	group->leaves = NULL;
	group->row_group = row_group;
	group->has_row_id_index = false;
	group->row_id_page = -1;
	group->row_ids = NULL;
	if (row_group >= 0)
		group->leaves = MemoryContextAllocZero(group->cxt,
											   sizeof(LeafReader) * reader->meta->schema.n_leaves);
}

static void
select_sparse_group(LhFileReader *reader, int row_group)
{
	for (int i = 0; i < reader->n_groups; i++)
	{
		if (reader->groups[i].row_group == row_group)
		{
			reader->group = &reader->groups[i];
			return;
		}
	}
	reader->group = &reader->groups[reader->next_victim];
	reader->next_victim = (reader->next_victim + 1) % reader->n_groups;
	reset_group(reader, reader->group, row_group);
}

/* Selecting the same row group again keeps what was fetched: a rescan needs it. */
void
lh_file_reader_group(LhFileReader *reader, int row_group)
{
	Assert(row_group >= 0 && row_group < reader->meta->n_row_groups);
	drop_batch(reader);
	if (reader->group->row_group == row_group)
		return;
	if (reader->sparse)
	{
		select_sparse_group(reader, row_group);
		return;
	}
	if (reader->ahead->row_group == row_group)
	{
		GroupState *group = reader->ahead;

		reader->ahead = reader->group;
		reader->group = group;
		reset_group(reader, reader->ahead, -1);
	}
	else
		reset_group(reader, reader->group, row_group);
}

int64
lh_file_reader_group_rows(const LhFileReader *reader)
{
	return reader->meta->row_groups[reader->group->row_group].num_rows;
}

void
lh_file_reader_batch(LhFileReader *reader, int64 start, int n)
{
	Assert(n > 0 && n <= LH_BATCH_ROWS && start + n <= lh_file_reader_group_rows(reader));
	CHECK_FOR_INTERRUPTS();
	drop_batch(reader);
	reader->batch_start = start;
	reader->batch_rows = n;
}

bool
lh_file_reader_stands_on(const LhFileReader *reader, int row_group, int64 place)
{
	return reader->group->row_group == row_group &&
		place >= reader->batch_start && place < reader->batch_start + reader->batch_rows;
}

/*
 * Rows one at a time: a row of the current batch is not decoded again, and
 * who asks for one row after the other gets larger and larger batches.
 */
int
lh_file_reader_row(LhFileReader *reader, int row_group, int64 place)
{
	int64		end = reader->batch_start + reader->batch_rows;
	bool		same_group = reader->group->row_group == row_group;
	int			n = 1;

	if (lh_file_reader_stands_on(reader, row_group, place))
		return (int) (place - reader->batch_start);
	if (same_group && place == end)
		n = Max(1, Min(reader->batch_rows * 2, LH_BATCH_ROWS));
	lh_file_reader_group(reader, row_group);
	lh_file_reader_batch(reader, place, (int) Min(n, lh_file_reader_group_rows(reader) - place));
	return 0;
}

static const LhPqChunk *
leaf_chunk(const LhFileReader *reader, const GroupState *group, int leaf)
{
	return &reader->meta->row_groups[group->row_group].chunks[leaf];
}

/* A chunk whose values are all null needs no bytes. */
static bool
all_null(const LhFileReader *reader, const GroupState *group, int leaf)
{
	const LhPqChunk *chunk = leaf_chunk(reader, group, leaf);

	return chunk->stats.null_count == chunk->num_values;
}

static bool
has_exact(const LhFileReader *reader, const GroupState *group)
{
	return reader->exact_leaf >= 0 && !all_null(reader, group, reader->exact_leaf);
}

static void
submit_leaf(LhFileReader *reader, GroupState *group, int leaf)
{
	LeafReader *lr = &group->leaves[leaf];
	const LhPqChunk *chunk = leaf_chunk(reader, group, leaf);
	MemoryContext old;

	if (lr->bytes != NULL)
		return;
	old = MemoryContextSwitchTo(group->cxt);
	lr->bytes = MemoryContextAllocHuge(group->cxt, Max(chunk->total_compressed, 1));
	lr->fetch = lh_fetch_submit(reader->store, reader->file->name, chunk->start,
								chunk->total_compressed, lr->bytes);
	reader->bytes += chunk->total_compressed;
	MemoryContextSwitchTo(old);
}

/* ---- a few rows: by the page index ---- */

static uint8_t *
read_range(LhFileReader *reader, GroupState *group, int64 offset, int64 len)
{
	uint8_t    *bytes = MemoryContextAllocHuge(group->cxt, Max(len, 1));

	lh_store_read(reader->store, reader->file->name, offset, len, bytes);
	reader->bytes += len;
	return bytes;
}

static void
load_index(LhFileReader *reader, GroupState *group, int leaf)
{
	LeafReader *lr = &group->leaves[leaf];
	const LhPqChunk *chunk = leaf_chunk(reader, group, leaf);
	uint8_t    *bytes = read_range(reader, group, chunk->offset_index_offset, chunk->offset_index_length);
	LhError		error;

	lh_report(lh_pq_offset_index_parse(bytes, chunk->offset_index_length, reader->meta, group->row_group,
									   leaf, &group->arena, &lr->index, &error),
			  &error, reader->file->name);
	pfree(bytes);
	lr->has_index = true;
}

/* Rows of page i end where the next begins. */
static int64
page_end(LhFileReader *reader, const LhPqOffsetIndex *index, int i)
{
	return i + 1 < index->n_pages ? index->pages[i + 1].first_row : lh_file_reader_group_rows(reader);
}

/* The page that has the row. */
static int
find_page(const LhPqOffsetIndex *index, int64 row)
{
	int			low = 0;
	int			high = index->n_pages - 1;

	while (low < high)
	{
		int			mid = (low + high + 1) / 2;

		if (index->pages[mid].first_row <= row)
			low = mid;
		else
			high = mid - 1;
	}
	return low;
}

/* Opens the pages of the current batch; false if the chunk has to be read whole. */
static bool
open_pages(LhFileReader *reader, int leaf)
{
	GroupState *group = reader->group;
	LeafReader *lr = &group->leaves[leaf];
	const LhPqChunk *chunk = leaf_chunk(reader, group, leaf);
	int64		batch_end = reader->batch_start + reader->batch_rows;
	int64		dictionary_len;
	uint8_t    *dictionary = NULL;
	int64		pages_len;
	const LhPqPageLocation *first;
	const LhPqPageLocation *last;
	LhError		error;

	if (!reader->sparse || lr->bytes != NULL || chunk->offset_index_offset < 0)
		return false;
	if (lr->reader != NULL && lr->next_row <= reader->batch_start && batch_end <= lr->end_row)
		return true;
	if (!lr->has_index)
		load_index(reader, group, leaf);
	if (lr->index.n_pages == 0)
		return false;
	if (lr->pages != NULL)
		pfree(lr->pages);
	lr->pages = NULL;
	first = &lr->index.pages[find_page(&lr->index, reader->batch_start)];
	last = &lr->index.pages[find_page(&lr->index, batch_end - 1)];
	lr->end_row = page_end(reader, &lr->index, (int) (last - lr->index.pages));
	lr->next_row = first->first_row;
	pages_len = last->offset + last->size - first->offset;
	lr->pages = read_range(reader, group, first->offset, pages_len);
	if (lr->reader != NULL)
	{
		/* its dictionary stays */
		lh_report(lh_pq_column_set_pages(lr->reader, lr->pages, pages_len, lr->end_row - lr->next_row, &error),
				  &error, reader->file->name);
		return true;
	}
	dictionary_len = chunk->dictionary_page_offset >= 0 ? lr->index.pages[0].offset - chunk->start : 0;
	/* its values may point into what was read: it stays as long as the group does */
	if (dictionary_len > 0)
		dictionary = read_range(reader, group, chunk->start, dictionary_len);
	lh_report(lh_pq_column_open_pages(reader->meta, group->row_group, leaf, dictionary, dictionary_len,
									  lr->pages, pages_len, lr->end_row - lr->next_row,
									  reader->decompressor, &group->alloc, &lr->reader, &error),
			  &error, reader->file->name);
	return true;
}

static void
open_leaf(LhFileReader *reader, int leaf)
{
	GroupState *group = reader->group;
	LeafReader *lr = &group->leaves[leaf];
	LhError		error;

	if (open_pages(reader, leaf))
		return;
	submit_leaf(reader, group, leaf);
	if (lr->fetch != NULL)
	{
		LhFetch    *fetch = lr->fetch;

		lr->fetch = NULL;
		lh_fetch_wait(fetch);
	}
	if (lr->reader != NULL && lr->next_row > reader->batch_start)
	{
		lh_pq_column_close(lr->reader);
		lr->reader = NULL;
	}
	if (lr->reader == NULL)
	{
		lh_report(lh_pq_column_open(reader->meta, group->row_group, leaf, lr->bytes,
									leaf_chunk(reader, group, leaf)->total_compressed,
									&group->alloc, &lr->reader, &error),
				  &error, reader->file->name);
		lr->next_row = 0;
	}
}

/* The current batch of one leaf; valid until the next batch. */
static const LhPqVector *
read_leaf(LhFileReader *reader, int leaf)
{
	LeafReader *lr = &reader->group->leaves[leaf];
	LhError		error;

	if (lr->batch == reader->batch)
		return &lr->vector;
	open_leaf(reader, leaf);
	if (lr->next_row < reader->batch_start)
		lh_report(lh_pq_column_skip(lr->reader, reader->batch_start - lr->next_row, &error),
				  &error, reader->file->name);
	lh_report(lh_pq_column_read(lr->reader, reader->batch_rows, &lr->vector, &error),
			  &error, reader->file->name);
	if (lr->vector.n_rows != reader->batch_rows)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("data file \"%s\" ends early", reader->file->name),
				 errdetail("Row group %d has only " INT64_FORMAT " rows in one of its columns.",
						   reader->group->row_group, reader->batch_start + lr->vector.n_rows)));
	lr->next_row = reader->batch_start + reader->batch_rows;
	lr->batch = reader->batch;
	return &lr->vector;
}

static void
init_column(LhFileReader *reader, int attnum)
{
	ColumnState *column = &reader->columns[attnum - 1];
	Form_pg_attribute att = TupleDescAttr(reader->desc, attnum - 1);
	MemoryContext old = MemoryContextSwitchTo(reader->cxt);

	column->values = palloc(sizeof(Datum) * LH_BATCH_ROWS);
	column->isnull = palloc(sizeof(bool) * LH_BATCH_ROWS);
	column->missing_isnull = true;
	if (!att->attisdropped)
	{
		column->decoder = lh_decoder_create(reader->meta, att);
		if (column->decoder == NULL && att->atthasmissing)
			column->missing = getmissingattr(reader->desc, attnum, &column->missing_isnull);
	}
	column->initialized = true;
	MemoryContextSwitchTo(old);
}

static ColumnState *
get_column(LhFileReader *reader, int attnum)
{
	ColumnState *column = &reader->columns[attnum - 1];

	if (!column->initialized)
		init_column(reader, attnum);
	return column;
}

static void
apply_exact(LhFileReader *reader, ColumnState *column)
{
	if (has_exact(reader, reader->group))
		lh_exact_apply(column->decoder, read_leaf(reader, reader->exact_leaf),
					   column->values, column->isnull);
}

/* To a flat column's decoder, rows that nobody looks at may be null. */
static void
hide_rows(LhFileReader *reader, LhPqVector *vector)
{
	uint8	   *nulls = palloc(reader->batch_rows);

	for (int i = 0; i < reader->batch_rows; i++)
		nulls[i] = !reader->selected[i];
	if (vector->nulls != NULL)
		for (int i = 0; i < reader->batch_rows; i++)
			nulls[i] |= vector->nulls[i];
	vector->nulls = nulls;
}

static void
decode_column(LhFileReader *reader, ColumnState *column)
{
	LhDecoder  *decoder = column->decoder;
	LhPqVector *vectors;
	int			nest;

	if (decoder->flat && all_null(reader, reader->group, decoder->first_leaf))
	{
		memset(column->isnull, true, reader->batch_rows);
		nest = lh_types_begin(decoder->needs_settings);
		apply_exact(reader, column);
		lh_types_end(nest);
		return;
	}
	vectors = palloc(sizeof(LhPqVector) * decoder->n_leaves);
	for (int i = 0; i < decoder->n_leaves; i++)
		vectors[i] = *read_leaf(reader, decoder->first_leaf + i);
	if (reader->selected != NULL && decoder->flat && !has_exact(reader, reader->group))
		hide_rows(reader, &vectors[0]);
	nest = lh_types_begin(decoder->needs_settings);
	lh_decoder_run(decoder, vectors, reader->batch_rows, column->values, column->isnull);
	apply_exact(reader, column);
	lh_types_end(nest);
}

void
lh_file_reader_column(LhFileReader *reader, int attnum, Datum **values, bool **isnull)
{
	ColumnState *column = get_column(reader, attnum);

	if (!column->decoded)
	{
		MemoryContext old = MemoryContextSwitchTo(reader->batch_cxt);

		if (column->decoder != NULL)
			decode_column(reader, column);
		else
		{
			for (int i = 0; i < reader->batch_rows; i++)
			{
				column->values[i] = column->missing;
				column->isnull[i] = column->missing_isnull;
			}
		}
		column->decoded = true;
		MemoryContextSwitchTo(old);
	}
	*values = column->values;
	*isnull = column->isnull;
}

void
lh_file_reader_select(LhFileReader *reader, const uint8 *selected)
{
	reader->selected = selected;
}

/* ---- columns as the file has them ---- */

const LhPqNode *
lh_file_reader_leaf(LhFileReader *reader, int attnum)
{
	ColumnState *column = get_column(reader, attnum);

	if (column->decoder == NULL || !column->decoder->flat)
		return NULL;
	return reader->meta->schema.leaves[column->decoder->first_leaf];
}

bool
lh_file_reader_group_is_exact(const LhFileReader *reader)
{
	return !has_exact(reader, reader->group);
}

static const LhPqVector *
blank_vector(LhFileReader *reader)
{
	LhPqVector *blank = &reader->blank;

	if (blank->nulls == NULL)
	{
		uint8	   *nulls = MemoryContextAlloc(reader->cxt, LH_BATCH_ROWS);

		memset(nulls, 1, LH_BATCH_ROWS);
		blank->nulls = nulls;
		blank->values.any = MemoryContextAllocZero(reader->cxt, sizeof(LhPqBytes) * LH_BATCH_ROWS);
	}
	blank->n_rows = blank->n_levels = blank->n_values = reader->batch_rows;
	return blank;
}

const LhPqVector *
lh_file_reader_vector(LhFileReader *reader, int attnum)
{
	LhDecoder  *decoder = get_column(reader, attnum)->decoder;
	const LhPqVector *vector;

	Assert(decoder != NULL && decoder->flat && lh_file_reader_group_is_exact(reader));
	if (all_null(reader, reader->group, decoder->first_leaf))
		return blank_vector(reader);
	vector = read_leaf(reader, decoder->first_leaf);
	if (vector->n_values < reader->batch_rows)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("data file \"%s\" has fewer values than rows in a column", reader->file->name)));
	return vector;
}

/* ---- fetching ahead of need ---- */

void
lh_file_reader_prefetch(LhFileReader *reader, int row_group,
						const AttrNumber *columns, int n_columns, bool row_ids)
{
	GroupState *group = reader->group;

	if (group->row_group != row_group)
	{
		group = reader->ahead;
		if (group->row_group != row_group)
			reset_group(reader, group, row_group);
	}
	for (int c = 0; c < n_columns; c++)
	{
		LhDecoder  *decoder = get_column(reader, columns[c])->decoder;

		if (decoder == NULL || (decoder->flat && all_null(reader, group, decoder->first_leaf)))
			continue;
		for (int i = 0; i < decoder->n_leaves; i++)
			submit_leaf(reader, group, decoder->first_leaf + i);
	}
	if (n_columns > 0 && has_exact(reader, group))
		submit_leaf(reader, group, reader->exact_leaf);
	if (row_ids && reader->file->n_first_row_ids == 0)
		submit_leaf(reader, group, reader->row_id_leaf);
}

uint64
lh_file_reader_row_id(LhFileReader *reader, int row)
{
	const LhPqVector *row_ids;

	if (reader->file->n_first_row_ids > 0)
		return (uint64) (reader->file->first_row_ids[reader->group->row_group] + reader->batch_start + row);
	row_ids = read_leaf(reader, reader->row_id_leaf);
	if (row_ids->nulls != NULL && row_ids->nulls[row])
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("data file \"%s\" has a row without row id", reader->file->name)));
	return (uint64) row_ids->values.i64[row];
}

TransactionId
lh_file_reader_xmin(LhFileReader *reader, int row)
{
	const LhPqVector *xmins;

	if (reader->xmin_leaf < 0 || all_null(reader, reader->group, reader->xmin_leaf))
		return FrozenTransactionId;
	xmins = read_leaf(reader, reader->xmin_leaf);
	if (xmins->nulls != NULL && xmins->nulls[row])
		return FrozenTransactionId;
	return (TransactionId) xmins->values.i64[row];
}

/* ---- rows by their ids ---- */

static int64
bound(LhPqBytes bytes, int64 unknown)
{
	return bytes.data != NULL && bytes.len == sizeof(int64) ? (int64) lh_get_u64le(bytes.data) : unknown;
}

/* Statistics tell mostly, and never that a row group lacks an id it has. */
static bool
may_hold(const LhFileReader *reader, int row_group, int64 row_id)
{
	const LhPqStats *stats = &reader->meta->row_groups[row_group].chunks[reader->row_id_leaf].stats;

	return bound(stats->min, PG_INT64_MIN) <= row_id && row_id <= bound(stats->max, PG_INT64_MAX);
}

/* False: the file has none that is of use. */
static bool
load_row_id_index(LhFileReader *reader)
{
	GroupState *group = reader->group;
	const LhPqChunk *chunk = leaf_chunk(reader, group, reader->row_id_leaf);
	const LhPqOffsetIndex *pages = &group->leaves[reader->row_id_leaf].index;
	LhError		error;
	uint8_t    *bytes;

	if (chunk->column_index_offset < 0 || chunk->offset_index_offset < 0)
		return false;
	if (!group->leaves[reader->row_id_leaf].has_index)
		load_index(reader, group, reader->row_id_leaf);
	if (!group->has_row_id_index)
	{
		/* its bounds point into the bytes: these stay */
		bytes = read_range(reader, group, chunk->column_index_offset, chunk->column_index_length);
		lh_report(lh_pq_column_index_parse(bytes, chunk->column_index_length, reader->meta, group->row_group,
										   reader->row_id_leaf, &group->arena, &group->row_id_index, &error),
				  &error, reader->file->name);
		group->has_row_id_index = true;
	}
	return pages->n_pages > 0 && pages->n_pages == group->row_id_index.n_pages;
}

/* The last page that does not begin above row_id; ids ascend. */
static int
find_row_id_page(const LhPqColumnIndex *index, int64 row_id)
{
	int			low = 0;
	int			high = index->n_pages - 1;

	while (low < high)
	{
		int			mid = (low + high + 1) / 2;

		if (bound(index->min[mid], PG_INT64_MIN) <= row_id)
			low = mid;
		else
			high = mid - 1;
	}
	return low;
}

/* Decodes rows [first, end) of the row-id column into the group's row_ids. */
static void
load_row_ids(LhFileReader *reader, int page, int64 first, int64 end)
{
	GroupState *group = reader->group;

	if (group->row_id_page == page)
		return;
	group->row_id_page = -1;
	if (group->row_ids != NULL)
		pfree(group->row_ids);
	group->row_ids = MemoryContextAllocHuge(group->cxt, sizeof(int64) * (end - first));
	for (int64 row = first; row < end; row += LH_BATCH_ROWS)
	{
		int			n = (int) Min(LH_BATCH_ROWS, end - row);

		lh_file_reader_batch(reader, row, n);
		memcpy(group->row_ids + (row - first), read_leaf(reader, reader->row_id_leaf)->values.i64,
			   sizeof(int64) * n);
	}
	drop_batch(reader);			/* nobody wants other columns of all these rows */
	group->row_id_first = first;
	group->n_row_ids = (int) (end - first);
	group->row_id_page = page;
}

static bool
find_in_page(const GroupState *group, int64 row_id, int64 *place)
{
	int			low = 0;
	int			high = group->n_row_ids;

	while (low < high)
	{
		int			mid = (low + high) / 2;

		if (group->row_ids[mid] < row_id)
			low = mid + 1;
		else
			high = mid;
	}
	*place = group->row_id_first + low;
	return low < group->n_row_ids && group->row_ids[low] == row_id;
}

bool
lh_file_reader_find(LhFileReader *reader, uint64 row_id, int *row_group, int64 *place)
{
	Assert(reader->sparse && reader->row_id_leaf >= 0);
	for (int g = 0; g < reader->meta->n_row_groups; g++)
	{
		if (!may_hold(reader, g, (int64) row_id))
			continue;
		lh_file_reader_group(reader, g);
		if (load_row_id_index(reader))
		{
			const LhPqOffsetIndex *index = &reader->group->leaves[reader->row_id_leaf].index;
			int			page = find_row_id_page(&reader->group->row_id_index, (int64) row_id);

			load_row_ids(reader, page, index->pages[page].first_row, page_end(reader, index, page));
		}
		else
			load_row_ids(reader, 0, 0, lh_file_reader_group_rows(reader));
		if (find_in_page(reader->group, (int64) row_id, place))
		{
			*row_group = g;
			return true;
		}
	}
	return false;
}
