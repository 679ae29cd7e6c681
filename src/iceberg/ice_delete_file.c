/*
 * ice_delete_file.c
 *	  Position delete files: Parquet files of (data file, position) pairs, and
 *	  what their manifest entry says.
 *
 * Readers match the data file's path byte for byte, and skip a delete file
 * whose bounds do not hold the path they look for: bounds are whole paths,
 * never cut (the Parquet statistics may be).  Spec: "Position Delete Files".
 */
#include "iceberg/ice_int.h"

#include <stdlib.h>
#include <string.h>

/* A row group ends behind the data file with which it has so many rows. */
#define GROUP_ROWS		100000
#define BATCH_ROWS		4096

enum
{
	PATH_LEAF,
	POS_LEAF,
	N_LEAVES
};

/* ---- writing ---- */

static bool
ascend(const LhIceDeletes *d)
{
	for (int64_t i = 1; i < d->n; i++)
	{
		if (d->positions[i] <= d->positions[i - 1])
			return false;
	}
	return true;
}

static LhStatus
check_positions(const LhIceDeletes *d, LhError *err)
{
	if (d->path == NULL || d->path[0] == '\0' || !lh_ice_utf8_valid(d->path, strlen(d->path)))
		return lh_fail(err, LH_ERR_INVALID, -1, "position deletes of a file without a valid path");
	if (d->n < 1 || d->positions[0] < 0)
		return lh_fail(err, LH_ERR_INVALID, -1, "no valid position to delete in \"%.150s\"", d->path);
	if (!ascend(d))
		return lh_fail(err, LH_ERR_INVALID, -1, "positions deleted in \"%.150s\" do not ascend", d->path);
	return LH_OK;
}

static LhStatus
check_deletes(const LhIceDeletes *deletes, int n, LhError *err)
{
	if (n < 1)
		return lh_fail(err, LH_ERR_INVALID, -1, "a delete file must delete something");
	for (int i = 0; i < n; i++)
	{
		ICE_TRY(check_positions(&deletes[i], err));
		if (i > 0 && strcmp(deletes[i - 1].path, deletes[i].path) >= 0)
			return lh_fail(err, LH_ERR_INVALID, -1, "paths in a delete file do not ascend");
	}
	return LH_OK;
}

static LhStatus
make_schema(LhArena *arena, LhPqSchema *schema, LhError *err)
{
	LhPqNode   *nodes = lh_ice_array(arena, N_LEAVES + 1, sizeof(LhPqNode));
	LhPqNode  **children = lh_ice_array(arena, N_LEAVES, sizeof(LhPqNode *));

	if (nodes == NULL || children == NULL)
		return ice_nomem(err);
	nodes[PATH_LEAF] = (LhPqNode) {.name = "file_path", .rep = LH_PQ_REQUIRED, .type = LH_PQ_BYTE_ARRAY,
		.logical = LH_PQ_STRING, .field_id = LH_ICE_DELETE_PATH_ID};
	nodes[POS_LEAF] = (LhPqNode) {.name = "pos", .rep = LH_PQ_REQUIRED, .type = LH_PQ_INT64,
		.field_id = LH_ICE_DELETE_POS_ID};
	children[PATH_LEAF] = &nodes[PATH_LEAF];
	children[POS_LEAF] = &nodes[POS_LEAF];
	nodes[N_LEAVES] = (LhPqNode) {.name = "table", .is_group = true, .field_id = -1,
		.n_children = N_LEAVES, .children = children};
	memset(schema, 0, sizeof(*schema));
	schema->root = &nodes[N_LEAVES];
	return lh_pq_schema_finish(schema, arena, err);
}

static LhStatus
put_rows(LhPqWriter *w, const LhIceDeletes *deletes, int n, LhError *err)
{
	for (int i = 0; i < n; i++)
	{
		const LhIceDeletes *d = &deletes[i];
		size_t		path_len = strlen(d->path);

		for (int64_t j = 0; j < d->n; j++)
		{
			ICE_TRY(lh_pq_put_bytes(w, PATH_LEAF, 0, d->path, path_len, err));
			ICE_TRY(lh_pq_put_i64(w, POS_LEAF, 0, d->positions[j], err));
			ICE_TRY(lh_pq_end_row(w, err));
		}
		if (lh_pq_writer_rows(w) >= GROUP_ROWS)
			ICE_TRY(lh_pq_writer_flush(w, err));
	}
	return LH_OK;
}

static LhStatus
write_rows(const LhPqSchema *schema, const LhIceDeletes *deletes, int n, const char *created_by,
		   const LhAlloc *alloc, LhPqSink sink, void *sink_ctx, LhPqFileMeta **meta, LhError *err)
{
	LhPqWriterOptions options;
	LhPqWriter *w;
	LhStatus	status;

	lh_pq_writer_defaults(&options);
	options.created_by = created_by;
	ICE_TRY(lh_pq_writer_open(schema, &options, alloc, sink, sink_ctx, &w, err));
	status = put_rows(w, deletes, n, err);
	if (status == LH_OK)
		status = lh_pq_writer_close(w, meta, err);
	lh_pq_writer_free(w);
	return status;
}

/* Parquet cuts long paths in its statistics; here they are known. */
static LhStatus
set_path_bounds(const LhIceDeletes *deletes, int n, LhArena *arena, LhIceDataFile *file, LhError *err)
{
	const char *first = deletes[0].path;
	const char *last = deletes[n - 1].path;

	for (int i = 0; i < file->n_columns; i++)
	{
		LhIceColumnStats *column = &file->columns[i];

		if (column->field_id != LH_ICE_DELETE_PATH_ID)
			continue;
		ICE_TRY(lh_ice_copy_bytes(arena, (LhPqBytes) {(const uint8_t *) first, (int32_t) strlen(first)},
								  &column->lower, err));
		ICE_TRY(lh_ice_copy_bytes(arena, (LhPqBytes) {(const uint8_t *) last, (int32_t) strlen(last)},
								  &column->upper, err));
	}
	return LH_OK;
}

LhStatus
lh_ice_deletes_write(const LhIceDeletes *deletes, int n, const char *created_by, LhPqSink sink, void *sink_ctx,
					 LhArena *arena, LhIceDataFile *file, LhError *err)
{
	static const LhIceSchema no_schema = {0};
	LhPqFileMeta *meta;
	LhPqSchema	schema;
	LhStatus	status;

	ICE_TRY(check_deletes(deletes, n, err));
	ICE_TRY(make_schema(arena, &schema, err));
	ICE_TRY(write_rows(&schema, deletes, n, created_by, arena->alloc, sink, sink_ctx, &meta, err));
	lh_ice_data_file_init(file);
	status = lh_ice_metrics_from_parquet(meta, &no_schema, arena, file, err);
	lh_pq_meta_free(meta);
	ICE_TRY(status);
	file->content = LH_ICE_FILE_POSITION_DELETES;
	/* tells readers that it belongs to one data file */
	if (n == 1)
		ICE_TRY(lh_ice_copy_string(arena, deletes[0].path, &file->referenced_data_file, err));
	return set_path_bounds(deletes, n, arena, file, err);
}

/* ---- merging ---- */

static int
compare_paths(const void *a, const void *b)
{
	return strcmp(((const LhIceDeletes *) a)->path, ((const LhIceDeletes *) b)->path);
}

static int
compare_positions(const void *a, const void *b)
{
	int64_t		x = *(const int64_t *) a;
	int64_t		y = *(const int64_t *) b;

	return (x > y) - (x < y);
}

/* The union of parts that have one path. */
static LhStatus
unite(const LhIceDeletes *parts, int n_parts, LhArena *arena, LhIceDeletes *out, LhError *err)
{
	int64_t		total = 0;
	int64_t	   *all;
	size_t		bytes;

	*out = parts[0];
	if (n_parts == 1 && ascend(out))
		return LH_OK;
	for (int i = 0; i < n_parts; i++)
	{
		if (__builtin_add_overflow(total, parts[i].n, &total))
			return lh_fail(err, LH_ERR_LIMIT, -1, "too many positions to merge");
	}
	if (!lh_mul_size((size_t) total, sizeof(int64_t), &bytes))
		return lh_fail(err, LH_ERR_LIMIT, -1, "too many positions to merge");
	all = lh_arena_alloc(arena, bytes);
	if (all == NULL)
		return ice_nomem(err);
	total = 0;
	for (int i = 0; i < n_parts; i++)
	{
		memcpy(all + total, parts[i].positions, (size_t) parts[i].n * sizeof(int64_t));
		total += parts[i].n;
	}
	qsort(all, (size_t) total, sizeof(int64_t), compare_positions);
	out->n = 0;
	for (int64_t i = 0; i < total; i++)
	{
		if (out->n == 0 || all[out->n - 1] != all[i])
			all[out->n++] = all[i];
	}
	out->positions = all;
	return LH_OK;
}

LhStatus
lh_ice_deletes_merge(const LhIceDeletes *parts, int n_parts, LhArena *arena,
					 LhIceDeletes **deletes, int *n, LhError *err)
{
	LhIceDeletes *sorted = lh_ice_array(arena, (size_t) n_parts, sizeof(LhIceDeletes));
	LhIceDeletes *out = lh_ice_array(arena, (size_t) n_parts, sizeof(LhIceDeletes));

	*deletes = out;
	*n = 0;
	if (sorted == NULL || out == NULL)
		return ice_nomem(err);
	if (n_parts == 0)
		return LH_OK;
	memcpy(sorted, parts, (size_t) n_parts * sizeof(LhIceDeletes));
	qsort(sorted, (size_t) n_parts, sizeof(LhIceDeletes), compare_paths);
	for (int i = 0, same; i < n_parts; i += same)
	{
		for (same = 1; i + same < n_parts && compare_paths(&sorted[i], &sorted[i + same]) == 0;)
			same++;
		ICE_TRY(unite(&sorted[i], same, arena, &out[*n], err));
		++*n;
	}
	return LH_OK;
}

/* ---- reading ---- */

typedef struct DeleteRows
{
	LhArena    *arena;
	LhIceDeletes *files;
	int			n_files;
	int64_t    *positions;		/* of all files, one after the other */
	int64_t		n_positions;
	int64_t		max_positions;
} DeleteRows;

static LhStatus
find_leaves(const LhPqFileMeta *meta, int *path, int *pos, LhError *err)
{
	*path = *pos = -1;
	for (int i = 0; i < meta->schema.n_leaves; i++)
	{
		const LhPqNode *leaf = meta->schema.leaves[i];

		if (leaf->field_id == LH_ICE_DELETE_PATH_ID && leaf->type == LH_PQ_BYTE_ARRAY && leaf->max_rep == 0)
			*path = i;
		if (leaf->field_id == LH_ICE_DELETE_POS_ID && leaf->type == LH_PQ_INT64 && leaf->max_rep == 0)
			*pos = i;
	}
	if (*path < 0 || *pos < 0)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "delete file lacks its column file_path or pos");
	return LH_OK;
}

static LhStatus
begin_file(DeleteRows *rows, LhPqBytes path, LhError *err)
{
	LhIceDeletes *d;

	if (path.len == 0 || memchr(path.data, '\0', (size_t) path.len) != NULL)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "delete file has a row without a valid path");
	if (rows->n_files == INT32_MAX)
		return lh_fail(err, LH_ERR_LIMIT, -1, "delete file names too many data files");
	if (!lh_ice_push(rows->arena, &rows->files, (size_t) rows->n_files, sizeof(LhIceDeletes)))
		return ice_nomem(err);
	d = &rows->files[rows->n_files];
	d->path = lh_arena_strndup(rows->arena, path.data, (size_t) path.len);
	if (d->path == NULL)
		return ice_nomem(err);
	d->n = 0;
	d->positions = &rows->positions[rows->n_positions];
	if (rows->n_files > 0 && strcmp(rows->files[rows->n_files - 1].path, d->path) >= 0)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "delete file is not sorted by path");
	rows->n_files++;
	return LH_OK;
}

static LhStatus
add_row(DeleteRows *rows, LhPqBytes path, int64_t pos, LhError *err)
{
	LhIceDeletes *d = rows->n_files > 0 ? &rows->files[rows->n_files - 1] : NULL;

	if (d == NULL || strlen(d->path) != (size_t) path.len || memcmp(d->path, path.data, (size_t) path.len) != 0)
	{
		ICE_TRY(begin_file(rows, path, err));
		d = &rows->files[rows->n_files - 1];
	}
	if (pos < 0 || (d->n > 0 && pos <= d->positions[d->n - 1]))
		return lh_fail(err, LH_ERR_CORRUPT, -1, "delete file is not sorted by position");
	if (rows->n_positions == rows->max_positions)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "delete file has more rows than its footer says");
	rows->positions[rows->n_positions++] = pos;
	d->n++;
	return LH_OK;
}

static LhStatus
read_batches(LhPqColumnReader *path, LhPqColumnReader *pos, DeleteRows *rows, LhError *err)
{
	LhPqVector	paths;
	LhPqVector	positions;

	for (;;)
	{
		ICE_TRY(lh_pq_column_read(path, BATCH_ROWS, &paths, err));
		ICE_TRY(lh_pq_column_read(pos, BATCH_ROWS, &positions, err));
		if (paths.n_rows != positions.n_rows)
			return lh_fail(err, LH_ERR_CORRUPT, -1, "columns of a delete file differ in length");
		if (paths.n_rows == 0)
			return LH_OK;
		for (int64_t i = 0; i < paths.n_rows; i++)
		{
			if ((paths.nulls != NULL && paths.nulls[i]) || (positions.nulls != NULL && positions.nulls[i]))
				return lh_fail(err, LH_ERR_CORRUPT, -1, "delete file has a null");
			ICE_TRY(add_row(rows, paths.values.bytes[i], positions.values.i64[i], err));
		}
	}
}

static LhStatus
read_group(const uint8_t *data, const LhPqFileMeta *meta, int group, int path_leaf, int pos_leaf,
		   DeleteRows *rows, LhError *err)
{
	const LhPqChunk *path_chunk = &meta->row_groups[group].chunks[path_leaf];
	const LhPqChunk *pos_chunk = &meta->row_groups[group].chunks[pos_leaf];
	const LhAlloc *alloc = rows->arena->alloc;
	LhPqColumnReader *path = NULL;
	LhPqColumnReader *pos = NULL;
	LhStatus	status;

	if (alloc->tick != NULL && alloc->tick(alloc->ctx))
		return lh_fail(err, LH_ERR_CANCELLED, -1, "cancelled");
	status = lh_pq_column_open(meta, group, path_leaf, data + path_chunk->start,
							   (size_t) path_chunk->total_compressed, alloc, &path, err);
	if (status == LH_OK)
		status = lh_pq_column_open(meta, group, pos_leaf, data + pos_chunk->start,
								   (size_t) pos_chunk->total_compressed, alloc, &pos, err);
	if (status == LH_OK)
		status = read_batches(path, pos, rows, err);
	lh_pq_column_close(path);
	lh_pq_column_close(pos);
	return status;
}

static LhStatus
read_rows(const uint8_t *data, const LhPqFileMeta *meta, int64_t max_rows, DeleteRows *rows, LhError *err)
{
	size_t		bytes;
	int			path;
	int			pos;

	ICE_TRY(find_leaves(meta, &path, &pos, err));
	if (meta->num_rows > max_rows)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "delete file has %lld rows, not %lld",
					   (long long) meta->num_rows, (long long) max_rows);
	if (!lh_mul_size((size_t) meta->num_rows, sizeof(int64_t), &bytes))
		return lh_fail(err, LH_ERR_LIMIT, -1, "delete file has too many rows");
	rows->max_positions = meta->num_rows;
	rows->positions = lh_arena_alloc(rows->arena, bytes);
	if (rows->positions == NULL)
		return ice_nomem(err);
	for (int g = 0; g < meta->n_row_groups; g++)
		ICE_TRY(read_group(data, meta, g, path, pos, rows, err));
	return LH_OK;
}

LhStatus
lh_ice_deletes_read(const uint8_t *data, size_t len, int64_t max_rows, LhArena *arena,
					LhIceDeletes **deletes, int *n, LhError *err)
{
	DeleteRows	rows = {.arena = arena};
	LhPqFileMeta *meta;
	int64_t		footer_len;
	LhStatus	status;

	*deletes = NULL;
	*n = 0;
	if (len < LH_PQ_TAIL_BYTES)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "delete file is too short");
	ICE_TRY(lh_pq_tail_parse(data + len - LH_PQ_TAIL_BYTES, (int64_t) len, &footer_len, err));
	ICE_TRY(lh_pq_footer_parse(data + len - LH_PQ_TAIL_BYTES - footer_len, (size_t) footer_len,
							   (int64_t) len, arena->alloc, &meta, err));
	status = read_rows(data, meta, max_rows, &rows, err);
	lh_pq_meta_free(meta);
	*deletes = rows.files;
	*n = rows.n_files;
	return status;
}
