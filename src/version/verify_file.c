/*
 * verify_file.c
 *	  lakehouse.verify(): data files and delete files against the catalog.
 *
 * Every page of a data file is decoded, and what footer and catalog say of it
 * (counts, bounds, row ids) compared with what is there.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "objstore/objstore.h"
#include "storage/lh_storage.h"
#include "types/types.h"
#include "version/verify_int.h"

#define BATCH_ROWS	4096

/* ---- one column chunk ---- */

typedef struct ChunkCheck
{
	const LhPqNode *leaf;
	const LhPqChunk *chunk;
	int64		rows;
	int64		values;			/* nulls included */
	int64		nulls;
	int64		below;			/* values outside of the bounds */
	int64		above;
} ChunkCheck;

/* A value as statistics have it; NaN has no place in them. */
static bool
plain_value(const ChunkCheck *c, const LhPqVector *vector, int64 i, uint8_t *scratch, LhPqBytes *value)
{
	value->data = scratch;
	switch (c->leaf->type)
	{
		case LH_PQ_BOOLEAN:
			scratch[0] = vector->values.b[i];
			value->len = 1;
			return true;
		case LH_PQ_INT32:
			lh_put_u32le(scratch, (uint32_t) vector->values.i32[i]);
			value->len = 4;
			return true;
		case LH_PQ_INT64:
			lh_put_u64le(scratch, (uint64_t) vector->values.i64[i]);
			value->len = 8;
			return true;
		case LH_PQ_FLOAT:
			memcpy(scratch, &vector->values.f32[i], 4);
			value->len = 4;
			return !isnan(vector->values.f32[i]);
		case LH_PQ_DOUBLE:
			memcpy(scratch, &vector->values.f64[i], 8);
			value->len = 8;
			return !isnan(vector->values.f64[i]);
		default:
			*value = vector->values.bytes[i];
			return true;
	}
}

static void
check_values(ChunkCheck *c, const LhPqVector *vector)
{
	const LhPqStats *stats = &c->chunk->stats;
	bool		flat = c->leaf->max_rep == 0;
	uint8_t		scratch[8];

	c->rows += vector->n_rows;
	c->values += vector->n_levels;
	if (!flat)
	{
		for (int64 i = 0; i < vector->n_levels; i++)
			c->nulls += vector->def[i] < c->leaf->max_def;
	}
	for (int64 i = 0; i < vector->n_values; i++)
	{
		LhPqBytes	value;

		if (flat && vector->nulls != NULL && vector->nulls[i])
		{
			c->nulls++;
			continue;
		}
		if (!plain_value(c, vector, i, scratch, &value) || !lh_pq_has_order(c->leaf))
			continue;
		if (stats->min.data != NULL && lh_pq_compare(c->leaf, value, stats->min) < 0)
			c->below++;
		if (stats->max.data != NULL && lh_pq_compare(c->leaf, value, stats->max) > 0)
			c->above++;
	}
}

static void
report_chunk(LhVerify *v, const LhFile *file, int group, int64 group_rows, const ChunkCheck *c)
{
	const char *name = c->leaf->name;

	if (c->rows != group_rows || c->values != c->chunk->num_values)
		lh_finding(v, "footer", file->name,
				   "column \"%s\" of row group %d has " INT64_FORMAT " rows and " INT64_FORMAT " values, not " INT64_FORMAT " and " INT64_FORMAT,
				   name, group, c->rows, c->values, group_rows, c->chunk->num_values);
	if (c->chunk->stats.null_count >= 0 && c->chunk->stats.null_count != c->nulls)
		lh_finding(v, "bounds", file->name,
				   "column \"%s\" of row group %d has " INT64_FORMAT " nulls, not " INT64_FORMAT,
				   name, group, c->nulls, c->chunk->stats.null_count);
	if (c->below + c->above > 0)
		lh_finding(v, "bounds", file->name,
				   "column \"%s\" of row group %d has " INT64_FORMAT " values below its minimum and " INT64_FORMAT " above its maximum",
				   name, group, c->below, c->above);
}

static void
check_chunk(LhVerify *v, const LhFile *file, const LhPqFileMeta *meta, int group, int leaf, const LhAlloc *alloc)
{
	const LhPqChunk *chunk = &meta->row_groups[group].chunks[leaf];
	ChunkCheck	c = {meta->schema.leaves[leaf], chunk};
	uint8	   *bytes = MemoryContextAllocHuge(CurrentMemoryContext, Max(chunk->total_compressed, 1));
	LhPqColumnReader *reader;
	LhPqVector	vector;
	LhError		error;

	lh_store_read(lh_store_open(file->location), file->name, chunk->start, chunk->total_compressed, bytes);
	lh_report(lh_pq_column_open(meta, group, leaf, bytes, chunk->total_compressed, alloc, &reader, &error),
			  &error, file->name);
	do
	{
		CHECK_FOR_INTERRUPTS();
		lh_report(lh_pq_column_read(reader, BATCH_ROWS, &vector, &error), &error, file->name);
		check_values(&c, &vector);
	} while (vector.n_rows > 0);
	lh_pq_column_close(reader);
	pfree(bytes);
	report_chunk(v, file, group, meta->row_groups[group].num_rows, &c);
}

/* ---- a data file ---- */

/* The object, as far as the catalog knows it; false if it is not worth reading on. */
static bool
check_object(LhVerify *v, const char *location, const char *name, int64 byte_count)
{
	int64		size = lh_store_size(lh_store_open(location), name, true);

	if (size == byte_count)
		return true;
	if (size < 0)
		lh_finding(v, "file", name, "there is no such object in \"%s\"", location);
	else
		lh_finding(v, "file", name, "it has " INT64_FORMAT " bytes, not " INT64_FORMAT, size, byte_count);
	return false;
}

static void
check_footer(LhVerify *v, const LhFile *file)
{
	bytea	   *footer = (bytea *) PG_DETOAST_DATUM_PACKED(PointerGetDatum(file->footer));
	int64		len = VARSIZE_ANY_EXHDR(footer);
	char	   *bytes;

	if (len + LH_PQ_TAIL_BYTES > file->byte_count)
	{
		lh_finding(v, "footer", file->name, "the catalog's footer is longer than the file");
		return;
	}
	bytes = palloc(len);
	lh_store_read(lh_store_open(file->location), file->name, file->byte_count - LH_PQ_TAIL_BYTES - len,
				  len, bytes);
	if (memcmp(bytes, VARDATA_ANY(footer), len) != 0)
		lh_finding(v, "footer", file->name, "the file's footer is not the one in the catalog");
	pfree(bytes);
}

/* Row ids ascend, within the catalog's range. */
static void
check_row_ids(LhVerify *v, const LhFile *file, const LhPqFileMeta *meta)
{
	LhFileReader *reader = lh_file_reader_open(file, RelationGetDescr(v->rel));
	uint64		next = file->low_row_id;
	bool		first = true;

	for (int g = 0; g < meta->n_row_groups; g++)
	{
		lh_file_reader_group(reader, g);
		for (int64 start = 0; start < meta->row_groups[g].num_rows; start += LH_BATCH_ROWS)
		{
			int			n = (int) Min(LH_BATCH_ROWS, meta->row_groups[g].num_rows - start);

			lh_file_reader_batch(reader, start, n);
			for (int i = 0; i < n; i++)
			{
				uint64		row_id = lh_file_reader_row_id(reader, i);

				if (row_id < next || row_id > file->high_row_id || (first && row_id != file->low_row_id))
				{
					lh_finding(v, "row id", file->name,
							   "row " INT64_FORMAT " of row group %d has id " UINT64_FORMAT ", out of order or of the range " UINT64_FORMAT " to " UINT64_FORMAT,
							   start + i, g, row_id, file->low_row_id, file->high_row_id);
					return;
				}
				first = false;
				next = row_id + 1;
			}
		}
	}
	if (!first && next != file->high_row_id + 1)
		lh_finding(v, "row id", file->name, "its last row id is " UINT64_FORMAT ", not " UINT64_FORMAT,
				   next - 1, file->high_row_id);
	lh_file_reader_close(reader);
}

void
lh_verify_data_file(LhVerify *v, void *arg)
{
	const LhFile *file = arg;
	LhAlloc		alloc = lh_palloc_alloc(CurrentMemoryContext);
	LhPqFileMeta *meta;

	if (!check_object(v, file->location, file->name, file->byte_count))
		return;
	check_footer(v, file);
	meta = lh_file_meta(file);
	for (int g = 0; g < meta->n_row_groups; g++)
		for (int leaf = 0; leaf < meta->schema.n_leaves; leaf++)
			check_chunk(v, file, meta, g, leaf, &alloc);
	check_row_ids(v, file, meta);
}

/* ---- a delete file ---- */

/* Do places in the object and row ids in the catalog mean the same rows? */
static void
check_places(LhVerify *v, const LhDeleteFile *file, const LhDeadRows *rows, const LhFile *data)
{
	bool	   *found = palloc(rows->n);
	List	   *located = lh_locate_rows(v->rel, list_make1((void *) data), rows->row_ids, rows->n, found);
	const LhDeadRows *there = located != NIL ? linitial(located) : NULL;

	if (there == NULL || there->n != rows->n ||
		memcmp(there->places, rows->places, sizeof(int64) * rows->n) != 0)
		lh_finding(v, "delete file", file->name, "places in data file \"%s\" are not those of the row ids in the catalog",
				   data->name);
}

void
lh_verify_delete_file(LhVerify *v, void *arg)
{
	const LhDeleteFile *file = arg;
	ListCell   *lc;

	if (!check_object(v, file->location, file->name, file->byte_count))
		return;
	foreach(lc, lh_delete_file_read(file))
	{
		const LhDeadRows *rows = lfirst(lc);
		const LhFile *data = lh_verify_file_by_id(v, rows->file_id);

		CHECK_FOR_INTERRUPTS();
		if (data == NULL)
			lh_finding(v, "delete file", file->name, "data file " INT64_FORMAT " is not in the catalog", rows->file_id);
		else
		{
			/* what left the table keeps the path of its day */
			if (!v->moved && file->removed_seq == 0 && data->removed_seq == 0 && strcmp(rows->path, lh_file_uri(data)) != 0)
				lh_finding(v, "delete file", file->name, "it names \"%s\", not \"%s\"", rows->path, lh_file_uri(data));
			check_places(v, file, rows, data);
		}
	}
}
