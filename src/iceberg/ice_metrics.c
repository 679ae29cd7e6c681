/*
 * ice_metrics.c
 *	  A manifest entry's statistics, gathered from a Parquet footer.
 *
 * Only columns that a reader could prune on get counts and bounds: leaves
 * below a list or a map have several values a row, for which nobody agrees
 * on the meaning.  Spec: "Data File Fields"; facts: wrong counts prune data
 * silently, missing ones do not.
 */
#include "iceberg/ice_int.h"

#include <stdlib.h>
#include <string.h>

/* The columns of position delete files, which no table schema holds. */
static const LhIceType *
reserved_type(int field_id)
{
	static const LhIceType path_type = {.kind = LH_ICE_STRING};
	static const LhIceType pos_type = {.kind = LH_ICE_LONG};

	if (field_id == LH_ICE_DELETE_PATH_ID)
		return &path_type;
	if (field_id == LH_ICE_DELETE_POS_ID)
		return &pos_type;
	return NULL;
}

typedef struct Bound
{
	LhPqBytes	value;
	bool		unknown;		/* some row group cannot tell */
} Bound;

static LhStatus
widen_bound(Bound *bound, const LhIceType *type, const LhPqNode *leaf, LhPqBytes stat, bool is_upper,
			int truncate, LhArena *arena, LhError *err)
{
	LhPqBytes	value;
	int			order = is_upper ? 1 : -1;

	if (bound->unknown)
		return LH_OK;
	ICE_TRY(lh_ice_bound_from_parquet(type, leaf, stat, is_upper, truncate, arena, &value, err));
	if (value.data == NULL)
		bound->unknown = true;
	else if (bound->value.data != NULL)
		ICE_TRY(lh_ice_bound_compare(type, value, bound->value, &order, err));
	if (is_upper ? order > 0 : order < 0)
		bound->value = value;
	return LH_OK;
}

/* A sum that stays unknown once a part was. */
static bool
add_count(int64_t *sum, int64_t part, LhError *err, LhStatus *status)
{
	if (*sum == LH_ICE_NONE || part < 0)
		*sum = LH_ICE_NONE;
	else if (__builtin_add_overflow(*sum, part, sum))
	{
		*status = lh_fail(err, LH_ERR_CORRUPT, -1, "Parquet counts are out of range");
		return false;
	}
	return true;
}

/* Values of a chunk that bounds must cover: not null, not NaN; unknown counts as some. */
static bool
has_comparable(const LhPqChunk *chunk)
{
	int64_t		nulls = chunk->stats.null_count > 0 ? chunk->stats.null_count : 0;
	int64_t		nans = chunk->stats.nan_count > 0 ? chunk->stats.nan_count : 0;

	return chunk->num_values - nulls - nans > 0;
}

static LhStatus
column_metrics(const LhPqFileMeta *meta, int leaf_no, const LhIceType *type, LhArena *arena,
			   LhIceColumnStats *column, LhError *err)
{
	const LhPqNode *leaf = meta->schema.leaves[leaf_no];
	bool		counted = type != NULL && leaf->max_rep == 0;
	bool		is_float = counted && (type->kind == LH_ICE_FLOAT || type->kind == LH_ICE_DOUBLE);
	int			truncate = reserved_type(leaf->field_id) != NULL ? 0 : LH_ICE_TRUNCATE;
	Bound		lower = {{NULL, 0}, !counted};
	Bound		upper = {{NULL, 0}, !counted};
	LhStatus	status = LH_OK;

	memset(column, 0, sizeof(*column));
	column->field_id = leaf->field_id;
	if (!counted)
		column->value_count = column->null_count = LH_ICE_NONE;
	if (!is_float)
		column->nan_count = LH_ICE_NONE;
	for (int g = 0; g < meta->n_row_groups; g++)
	{
		const LhPqChunk *chunk = &meta->row_groups[g].chunks[leaf_no];

		if (!add_count(&column->column_size, chunk->total_compressed, err, &status) ||
			!add_count(&column->value_count, chunk->num_values, err, &status) ||
			!add_count(&column->null_count, chunk->stats.null_count, err, &status) ||
			!add_count(&column->nan_count, chunk->stats.nan_count, err, &status))
			return status;
		if (!counted || !has_comparable(chunk))
			continue;
		ICE_TRY(widen_bound(&lower, type, leaf, chunk->stats.min, false, truncate, arena, err));
		ICE_TRY(widen_bound(&upper, type, leaf, chunk->stats.max, true, truncate, arena, err));
	}
	if (!lower.unknown)
		column->lower = lower.value;
	if (!upper.unknown)
		column->upper = upper.value;
	return LH_OK;
}

/* Where row groups start; left out when a reader would not believe them. */
static LhStatus
split_offsets(const LhPqFileMeta *meta, LhArena *arena, LhIceDataFile *file, LhError *err)
{
	int64_t		last = -1;

	file->n_split_offsets = 0;
	file->split_offsets = lh_ice_array(arena, (size_t) meta->n_row_groups, sizeof(int64_t));
	if (file->split_offsets == NULL)
		return ice_nomem(err);
	if (meta->schema.n_leaves == 0)
		return LH_OK;
	for (int g = 0; g < meta->n_row_groups; g++)
	{
		int64_t		start = meta->row_groups[g].chunks[0].start;

		if (start <= last)
			return LH_OK;
		file->split_offsets[g] = last = start;
	}
	file->n_split_offsets = meta->n_row_groups;
	return LH_OK;
}

static int
compare_columns(const void *a, const void *b)
{
	int			x = ((const LhIceColumnStats *) a)->field_id;
	int			y = ((const LhIceColumnStats *) b)->field_id;

	return (x > y) - (x < y);
}

LhStatus
lh_ice_metrics_from_parquet(const LhPqFileMeta *meta, const LhIceSchema *schema, LhArena *arena,
							LhIceDataFile *file, LhError *err)
{
	file->record_count = meta->num_rows;
	ICE_TRY(split_offsets(meta, arena, file, err));
	file->n_columns = 0;
	file->columns = lh_ice_array(arena, (size_t) meta->schema.n_leaves, sizeof(LhIceColumnStats));
	if (file->columns == NULL)
		return ice_nomem(err);
	for (int i = 0; i < meta->schema.n_leaves; i++)
	{
		int			id = meta->schema.leaves[i]->field_id;
		const LhIceField *field = lh_ice_schema_find(schema, id);
		const LhIceType *type = field != NULL ? field->type : reserved_type(id);

		if (id < 0)
			continue;
		ICE_TRY(column_metrics(meta, i, type, arena, &file->columns[file->n_columns], err));
		file->n_columns++;
	}
	if (file->n_columns > 1)
		qsort(file->columns, (size_t) file->n_columns, sizeof(LhIceColumnStats), compare_columns);
	for (int i = 1; i < file->n_columns; i++)
	{
		if (file->columns[i].field_id == file->columns[i - 1].field_id)
			return lh_fail(err, LH_ERR_CORRUPT, -1, "field id %d occurs twice in a Parquet file",
						   file->columns[i].field_id);
	}
	return LH_OK;
}
