/*
 * file_reader.c
 *	  One Parquet data file being read: a row group, a batch of rows in it,
 *	  columns of the batch as datums.
 *
 * Nothing is fetched or decoded before it is asked for: a batch of which only
 * one column is looked at costs that column.  Within a row group a column
 * reader moves forward only; going back opens it again.
 *
 * Memory contexts: `cxt` for the file, `group_cxt` for the bytes and column
 * readers of a row group, `batch_cxt` for by-reference values of a batch.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "objstore/objstore.h"
#include "storage/lh_storage.h"
#include "types/types.h"

/* One leaf of the selected row group. */
typedef struct LeafReader
{
	uint8_t    *bytes;			/* of the chunk; NULL: not fetched */
	LhFetch    *fetch;			/* under way */
	LhPqColumnReader *reader;
	int64		next_row;		/* that reader returns next */
} LeafReader;

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

struct LhFileReader
{
	MemoryContext cxt;
	MemoryContext group_cxt;
	MemoryContext batch_cxt;
	LhAlloc		group_alloc;
	const LhFile *file;
	LhStore    *store;
	LhPqFileMeta *meta;
	TupleDesc	desc;
	ColumnState *columns;		/* [desc->natts] */
	LeafReader *leaves;			/* [meta->schema.n_leaves], of the row group */
	int			exact_leaf;		/* -1: none */
	int			row_id_leaf;	/* -1: none */
	int			row_group;		/* -1: none selected */
	int64		batch_start;
	int			batch_rows;
	bool		exact_loaded;	/* for the current batch */
	LhPqVector	exact;
	bool		row_ids_loaded;
	LhPqVector	row_ids;
};

static int
file_leaf(const LhPqFileMeta *meta, int field_id)
{
	LhPqNode   *node = lh_file_column(meta, field_id);

	return node != NULL && !node->is_group ? node->first_leaf : -1;
}

LhFileReader *
lh_file_reader_open(const LhFile *file, TupleDesc desc)
{
	MemoryContext cxt = AllocSetContextCreate(CurrentMemoryContext, "lakehouse file reader", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(cxt);
	LhFileReader *reader = palloc0(sizeof(LhFileReader));

	reader->cxt = cxt;
	reader->group_cxt = AllocSetContextCreate(cxt, "lakehouse row group", ALLOCSET_DEFAULT_SIZES);
	reader->batch_cxt = AllocSetContextCreate(cxt, "lakehouse batch", ALLOCSET_DEFAULT_SIZES);
	reader->group_alloc = lh_palloc_alloc(reader->group_cxt);
	reader->file = file;
	reader->desc = desc;
	reader->store = lh_store_open(file->location);
	reader->meta = lh_file_meta(file);
	reader->columns = palloc0(sizeof(ColumnState) * Max(desc->natts, 1));
	reader->exact_leaf = file_leaf(reader->meta, LH_FIELD_EXACT);
	reader->row_id_leaf = file_leaf(reader->meta, LH_FIELD_ROW_ID);
	reader->row_group = -1;
	if (file->n_first_row_ids == 0 && reader->row_id_leaf < 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("data file \"%s\" has no row ids", file->name)));
	MemoryContextSwitchTo(old);
	return reader;
}

const LhPqFileMeta *
lh_file_reader_meta(const LhFileReader *reader)
{
	return reader->meta;
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
	reader->exact_loaded = reader->row_ids_loaded = false;
	reader->batch_rows = 0;
}

void
lh_file_reader_group(LhFileReader *reader, int row_group)
{
	MemoryContext old;

	Assert(row_group >= 0 && row_group < reader->meta->n_row_groups);
	drop_batch(reader);
	/* bytes, pending fetches and column readers all live there */
	MemoryContextReset(reader->group_cxt);
	old = MemoryContextSwitchTo(reader->group_cxt);
	reader->leaves = palloc0(sizeof(LeafReader) * reader->meta->schema.n_leaves);
	MemoryContextSwitchTo(old);
	reader->row_group = row_group;
}

int64
lh_file_reader_group_rows(const LhFileReader *reader)
{
	return reader->meta->row_groups[reader->row_group].num_rows;
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

static const LhPqChunk *
leaf_chunk(LhFileReader *reader, int leaf)
{
	return &reader->meta->row_groups[reader->row_group].chunks[leaf];
}

/* A chunk whose values are all null needs no bytes. */
static bool
all_null(LhFileReader *reader, int leaf)
{
	const LhPqChunk *chunk = leaf_chunk(reader, leaf);

	return chunk->stats.null_count == chunk->num_values;
}

static void
submit_leaf(LhFileReader *reader, int leaf)
{
	LeafReader *lr = &reader->leaves[leaf];
	const LhPqChunk *chunk = leaf_chunk(reader, leaf);
	MemoryContext old;

	if (lr->bytes != NULL)
		return;
	old = MemoryContextSwitchTo(reader->group_cxt);
	lr->bytes = MemoryContextAllocHuge(reader->group_cxt, chunk->total_compressed);
	lr->fetch = lh_fetch_submit(reader->store, reader->file->name, chunk->start,
								chunk->total_compressed, lr->bytes);
	MemoryContextSwitchTo(old);
}

/* The current batch of one leaf; valid until the next batch. */
static void
read_leaf(LhFileReader *reader, int leaf, LhPqVector *vector)
{
	LeafReader *lr = &reader->leaves[leaf];
	const LhPqChunk *chunk = leaf_chunk(reader, leaf);
	LhError		error;

	submit_leaf(reader, leaf);
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
		lh_report(lh_pq_column_open(reader->meta, reader->row_group, leaf, lr->bytes,
									chunk->total_compressed, &reader->group_alloc, &lr->reader, &error),
				  &error, reader->file->name);
		lr->next_row = 0;
	}
	if (lr->next_row < reader->batch_start)
		lh_report(lh_pq_column_skip(lr->reader, reader->batch_start - lr->next_row, &error),
				  &error, reader->file->name);
	lh_report(lh_pq_column_read(lr->reader, reader->batch_rows, vector, &error),
			  &error, reader->file->name);
	if (vector->n_rows != reader->batch_rows)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("data file \"%s\" ends early", reader->file->name),
				 errdetail("Row group %d has only " INT64_FORMAT " rows in one of its columns.",
						   reader->row_group, reader->batch_start + vector->n_rows)));
	lr->next_row = reader->batch_start + reader->batch_rows;
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

static void
apply_exact(LhFileReader *reader, ColumnState *column)
{
	if (reader->exact_leaf < 0 || all_null(reader, reader->exact_leaf))
		return;
	if (!reader->exact_loaded)
	{
		read_leaf(reader, reader->exact_leaf, &reader->exact);
		reader->exact_loaded = true;
	}
	lh_exact_apply(column->decoder, &reader->exact, column->values, column->isnull);
}

static void
decode_column(LhFileReader *reader, ColumnState *column)
{
	LhDecoder  *decoder = column->decoder;
	LhPqVector *vectors;
	int			nest;

	if (decoder->flat && all_null(reader, decoder->first_leaf))
	{
		memset(column->isnull, true, reader->batch_rows);
		nest = lh_types_begin(decoder->needs_settings);
		apply_exact(reader, column);
		lh_types_end(nest);
		return;
	}
	vectors = palloc(sizeof(LhPqVector) * decoder->n_leaves);
	for (int i = 0; i < decoder->n_leaves; i++)
		read_leaf(reader, decoder->first_leaf + i, &vectors[i]);
	nest = lh_types_begin(decoder->needs_settings);
	lh_decoder_run(decoder, vectors, reader->batch_rows, column->values, column->isnull);
	apply_exact(reader, column);
	lh_types_end(nest);
}

void
lh_file_reader_column(LhFileReader *reader, int attnum, Datum **values, bool **isnull)
{
	ColumnState *column = &reader->columns[attnum - 1];

	if (!column->initialized)
		init_column(reader, attnum);
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
lh_file_reader_prefetch(LhFileReader *reader, int attnum)
{
	ColumnState *column = &reader->columns[attnum - 1];

	if (!column->initialized)
		init_column(reader, attnum);
	if (column->decoder == NULL)
		return;
	for (int i = 0; i < column->decoder->n_leaves; i++)
		submit_leaf(reader, column->decoder->first_leaf + i);
}

uint64
lh_file_reader_row_id(LhFileReader *reader, int row)
{
	if (reader->file->n_first_row_ids > 0)
		return (uint64) (reader->file->first_row_ids[reader->row_group] + reader->batch_start + row);
	if (!reader->row_ids_loaded)
	{
		read_leaf(reader, reader->row_id_leaf, &reader->row_ids);
		reader->row_ids_loaded = true;
	}
	if (reader->row_ids.nulls != NULL && reader->row_ids.nulls[row])
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("data file \"%s\" has a row without row id", reader->file->name)));
	return (uint64) reader->row_ids.values.i64[row];
}
