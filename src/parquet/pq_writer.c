/*
 * pq_writer.c
 *	  The writer: takes values row by row, a row group at a time, and gives
 *	  finished bytes to the sink.
 *
 * Knows where a page ends but not how one is made (pq_page_write.c).  What is
 * held in memory: the compressed pages of the open row group, and for each
 * leaf one open page and its dictionary.  Spec: parquet-format, README.
 */
#include "parquet/footer_int.h"
#include "parquet/writer_int.h"

#include <string.h>

static LhStatus
spoil(LhPqWriter *w, LhStatus status)
{
	w->n_open = 0;
	return status;
}

/* ---- open and free ---- */

void
lh_pq_writer_defaults(LhPqWriterOptions *opts)
{
	memset(opts, 0, sizeof(*opts));
	opts->codec = LH_PQ_ZSTD;
	opts->zstd_level = 3;

	/*
	 * One row is read by reading its page: to check and decompress text costs
	 * about a microsecond a kilobyte.  In pages of 8 kB a table takes a tenth
	 * more space, in pages of 24 kB a twentieth less.
	 */
	opts->page_rows = 4096;
	opts->page_bytes = 12 * 1024;
	opts->dictionary_bytes = 1024 * 1024;
	opts->created_by = "lakehouse version 0.1.0 (build unknown)";
}

static void
reset_leaf(LhPqLeaf *leaf, const LhAlloc *alloc)
{
	LhPqType	type = leaf->node->type;
	LhPqPage   *page = leaf->first_page;

	while (page != NULL)
	{
		LhPqPage   *next = page->next;

		lh_free(alloc, page);
		page = next;
	}
	leaf->first_page = leaf->last_page = NULL;
	leaf->n_pages = leaf->dict_pages = 0;
	lh_pq_dict_free(&leaf->dict);
	leaf->try_dict = !leaf->delta && type != LH_PQ_BOOLEAN;
	leaf->rows = leaf->levels = leaf->nulls = leaf->nans = 0;
	leaf->uncompressed = leaf->compressed = 0;
	leaf->held = 0;
	leaf->min_lost = leaf->max_lost = false;
	memset(&leaf->bounds, 0, sizeof(leaf->bounds));
	leaf->hashes.len = 0;
}

static LhStatus
open_leaf(LhPqWriter *w, int i, LhError *err)
{
	LhPqLeaf   *leaf = &w->leaves[i];
	const LhPqNode *node = w->schema->leaves[i];

	leaf->node = node;
	leaf->order = lh_pq_order(node);
	leaf->width = node->type == LH_PQ_BOOLEAN ? 1 : lh_pq_plain_width(node);
	leaf->max_def = node->max_def;
	leaf->max_rep = node->max_rep;
	leaf->delta = w->opts.delta != NULL && w->opts.delta[i];
	leaf->bloom = w->opts.bloom != NULL && w->opts.bloom[i] && lh_pq_bloom_is_useful(node);
	lh_buf_init(&leaf->plain, w->alloc);
	lh_buf_init(&leaf->def, w->alloc);
	lh_buf_init(&leaf->rep, w->alloc);
	lh_buf_init(&leaf->hashes, w->alloc);
	lh_pq_dict_init(&leaf->dict, leaf->width, w->alloc);
	reset_leaf(leaf, w->alloc);
	if (leaf->delta && node->type != LH_PQ_INT32 && node->type != LH_PQ_INT64)
		return lh_fail(err, LH_ERR_INVALID, -1, "column \"%.80s\" is no integer to be delta-coded", node->name);
	if (node->type == LH_PQ_INT96)
		return lh_fail(err, LH_ERR_INVALID, -1, "column \"%.80s\": INT96 is deprecated and not written", node->name);
	return LH_OK;
}

static LhStatus
check_annotations(const LhPqNode *node, LhError *err)
{
	if (!lh_pq_logical_fits(node))
		return lh_fail(err, LH_ERR_INVALID, -1, "annotation of \"%.80s\" does not fit its type", node->name);
	for (int i = 0; node->is_group && i < node->n_children; i++)
		if (check_annotations(node->children[i], err) != LH_OK)
			return LH_ERR_INVALID;
	return LH_OK;
}

static LhStatus
open_meta(LhPqWriter *w, LhError *err)
{
	LhPqFileMeta *meta = lh_alloc_zero(w->alloc, sizeof(LhPqFileMeta));
	const LhPqWriterOptions *opts = &w->opts;

	w->meta = meta;
	if (meta == NULL)
		return lh_pq_no_memory(err);
	lh_arena_init(&meta->arena, w->alloc);
	if (opts->created_by != NULL)
		meta->created_by = lh_arena_strndup(&meta->arena, opts->created_by, strlen(opts->created_by));
	meta->n_kv = opts->n_kv;
	meta->kv_keys = lh_arena_zero(&meta->arena, sizeof(char *) * (size_t) opts->n_kv);
	meta->kv_values = lh_arena_zero(&meta->arena, sizeof(char *) * (size_t) opts->n_kv);
	if (meta->kv_keys == NULL || meta->kv_values == NULL)
		return lh_pq_no_memory(err);
	for (int i = 0; i < opts->n_kv; i++)
	{
		const char *value = opts->kv_values[i];

		meta->kv_keys[i] = lh_arena_strndup(&meta->arena, opts->kv_keys[i], strlen(opts->kv_keys[i]));
		if (value != NULL)
			meta->kv_values[i] = lh_arena_strndup(&meta->arena, value, strlen(value));
		if (meta->kv_keys[i] == NULL || (value != NULL && meta->kv_values[i] == NULL))
			return lh_pq_no_memory(err);
	}
	return lh_pq_schema_copy(w->schema, &meta->schema, &meta->arena, err);
}

static LhStatus
open_parts(LhPqWriter *w, LhError *err)
{
	const LhPqWriterOptions *opts = &w->opts;
	LhStatus	status;

	if (opts->page_rows < 1 || opts->page_bytes < 1 || opts->dictionary_bytes < 0 ||
		w->n_leaves < 1)
		return lh_fail(err, LH_ERR_INVALID, -1, "writer options are out of range");
	w->leaves = lh_alloc_zero(w->alloc, sizeof(LhPqLeaf) * (size_t) w->n_leaves);
	if (w->leaves == NULL)
		return lh_pq_no_memory(err);
	/* all leaves before any failure is returned: free goes over all */
	for (int i = 0; i < w->n_leaves; i++)
		if ((status = open_leaf(w, i, err)) != LH_OK)
		{
			w->n_leaves = i + 1;
			return status;
		}
	status = check_annotations(w->schema->root, err);
	if (status == LH_OK)
		status = lh_pq_compressor_init(&w->compressor, opts->codec, opts->zstd_level, w->alloc, err);
	if (status == LH_OK)
		status = open_meta(w, err);
	return status;
}

LhStatus
lh_pq_writer_open(const LhPqSchema *schema, const LhPqWriterOptions *opts,
				  const LhAlloc *alloc, LhPqSink sink, void *sink_ctx,
				  LhPqWriter **writer, LhError *err)
{
	LhPqWriter *w = lh_alloc_zero(alloc, sizeof(LhPqWriter));
	LhStatus	status;

	*writer = NULL;
	if (w == NULL)
		return lh_pq_no_memory(err);
	w->alloc = alloc;
	w->opts = *opts;
	w->schema = schema;
	w->sink = sink;
	w->sink_ctx = sink_ctx;
	w->n_leaves = schema->n_leaves;
	lh_buf_init(&w->body, alloc);
	lh_buf_init(&w->packed, alloc);
	lh_buf_init(&w->indices, alloc);
	lh_buf_init(&w->header, alloc);
	lh_buf_init(&w->groups, alloc);
	lh_buf_init(&w->column_indexes, alloc);
	lh_buf_init(&w->offset_indexes, alloc);
	status = open_parts(w, err);
	if (status != LH_OK)
	{
		lh_pq_writer_free(w);
		return status;
	}
	w->n_open = w->n_leaves;
	*writer = w;
	return LH_OK;
}

void
lh_pq_writer_free(LhPqWriter *w)
{
	if (w == NULL)
		return;
	for (int i = 0; w->leaves != NULL && i < w->n_leaves; i++)
	{
		LhPqLeaf   *leaf = &w->leaves[i];

		reset_leaf(leaf, w->alloc);
		lh_buf_free(&leaf->plain);
		lh_buf_free(&leaf->def);
		lh_buf_free(&leaf->rep);
		lh_buf_free(&leaf->hashes);
	}
	lh_free(w->alloc, w->leaves);
	lh_pq_compressor_free(&w->compressor);
	lh_buf_free(&w->body);
	lh_buf_free(&w->packed);
	lh_buf_free(&w->indices);
	lh_buf_free(&w->header);
	lh_buf_free(&w->groups);
	lh_buf_free(&w->column_indexes);
	lh_buf_free(&w->offset_indexes);
	lh_pq_meta_free(w->meta);
	lh_free(w->alloc, w);
}

/* ---- putting values ---- */

static LhStatus
refuse(LhPqWriter *w, int leaf, LhError *err)
{
	if (w->n_open == 0)
		return lh_fail(err, LH_ERR_INVALID, -1, "writer has failed before, or is closed");
	return lh_fail(err, LH_ERR_INVALID, -1, "column %d does not take this value or level here", leaf);
}

/*
 * Notes a level; *status tells why there is no leaf.  A page ends before the
 * row that would start behind its limits, so that pages hold whole rows.
 */
static inline LhPqLeaf *
begin_level(LhPqWriter *w, int i, int rep, int def, LhStatus *status, LhError *err)
{
	LhPqLeaf   *leaf;

	if ((unsigned) i >= (unsigned) w->n_open)
		goto refused;
	leaf = &w->leaves[i];
	if (rep == 0)
	{
		if (leaf->rows != w->rows)
			goto refused;
		if (leaf->page_rows >= w->opts.page_rows ||
			(int64_t) leaf->plain.len + leaf->page_levels >= w->opts.page_bytes)
		{
			/* a page without rows is not full, however small the limits are */
			if (leaf->page_rows > 0 && (*status = lh_pq_page_finish(w, leaf, err)) != LH_OK)
				goto failed;
		}
		leaf->rows++;
		leaf->page_rows++;
		w->begun++;
	}
	else if (rep < 0 || rep > leaf->max_rep || leaf->rows != w->rows + 1)
		goto refused;
	if (leaf->max_rep > 0 && !lh_buf_u8(&leaf->rep, (uint8_t) rep))
		goto no_memory;
	if (leaf->max_def > 0 && !lh_buf_u8(&leaf->def, (uint8_t) def))
		goto no_memory;
	leaf->page_levels++;
	return leaf;

refused:
	*status = refuse(w, i, err);
	goto failed;
no_memory:
	*status = lh_pq_no_memory(err);
failed:
	spoil(w, *status);
	return NULL;
}

/* Notes the level of a value of the given type, and the value. */
static inline LhStatus
put_value(LhPqWriter *w, int i, LhPqType type, int rep, const void *v, size_t len, LhError *err)
{
	LhPqLeaf   *leaf;
	LhStatus	status;

	if ((unsigned) i >= (unsigned) w->n_open || w->leaves[i].node->type != type)
		return spoil(w, refuse(w, i, err));
	leaf = begin_level(w, i, rep, w->leaves[i].max_def, &status, err);
	if (leaf == NULL)
		return status;
	if (leaf->plain.cap - leaf->plain.len < len && !lh_buf_reserve(&leaf->plain, len))
		return spoil(w, lh_pq_no_memory(err));
	memcpy(leaf->plain.data + leaf->plain.len, v, len);
	leaf->plain.len += len;
	leaf->page_values++;
	return LH_OK;
}

LhStatus
lh_pq_put_null(LhPqWriter *w, int leaf, int rep, int def, LhError *err)
{
	LhStatus	status;

	if ((unsigned) leaf >= (unsigned) w->n_open || def < 0 || def >= w->leaves[leaf].max_def)
		return spoil(w, refuse(w, leaf, err));
	return begin_level(w, leaf, rep, def, &status, err) != NULL ? LH_OK : status;
}

LhStatus
lh_pq_put_bool(LhPqWriter *w, int leaf, int rep, bool v, LhError *err)
{
	uint8_t		b = v;

	return put_value(w, leaf, LH_PQ_BOOLEAN, rep, &b, 1, err);
}

LhStatus
lh_pq_put_i32(LhPqWriter *w, int leaf, int rep, int32_t v, LhError *err)
{
	return put_value(w, leaf, LH_PQ_INT32, rep, &v, 4, err);
}

LhStatus
lh_pq_put_i64(LhPqWriter *w, int leaf, int rep, int64_t v, LhError *err)
{
	return put_value(w, leaf, LH_PQ_INT64, rep, &v, 8, err);
}

LhStatus
lh_pq_put_float(LhPqWriter *w, int leaf, int rep, float v, LhError *err)
{
	return put_value(w, leaf, LH_PQ_FLOAT, rep, &v, 4, err);
}

LhStatus
lh_pq_put_double(LhPqWriter *w, int leaf, int rep, double v, LhError *err)
{
	return put_value(w, leaf, LH_PQ_DOUBLE, rep, &v, 8, err);
}

LhStatus
lh_pq_put_bytes(LhPqWriter *w, int leaf, int rep, const void *data, size_t len, LhError *err)
{
	LhPqLeaf   *l;
	LhStatus	status;
	uint8_t    *to;

	if ((unsigned) leaf >= (unsigned) w->n_open)
		return spoil(w, refuse(w, leaf, err));
	l = &w->leaves[leaf];
	if (l->node->type == LH_PQ_FLBA && len == (size_t) l->node->type_length)
		return put_value(w, leaf, LH_PQ_FLBA, rep, data, len, err);
	if (l->node->type != LH_PQ_BYTE_ARRAY)
		return spoil(w, refuse(w, leaf, err));
	if (len > INT32_MAX / 2)
		return spoil(w, lh_fail(err, LH_ERR_LIMIT, -1, "a value of %zu bytes is too long for a page", len));
	if (begin_level(w, leaf, rep, l->max_def, &status, err) == NULL)
		return status;
	if (l->plain.cap - l->plain.len < len + 4 && !lh_buf_reserve(&l->plain, len + 4))
		return spoil(w, lh_pq_no_memory(err));
	to = l->plain.data + l->plain.len;
	lh_put_u32le(to, (uint32_t) len);
	if (len > 0)
		memcpy(to + 4, data, len);
	l->plain.len += len + 4;
	l->page_values++;
	return LH_OK;
}

LhStatus
lh_pq_end_row(LhPqWriter *w, LhError *err)
{
	if (w->begun != w->n_leaves || w->n_open == 0)
		return spoil(w, lh_fail(err, LH_ERR_INVALID, -1, "row %lld has %d of %d columns",
								(long long) w->rows, w->begun, w->n_leaves));
	w->begun = 0;
	w->rows++;
	return LH_OK;
}

int64_t
lh_pq_writer_rows(const LhPqWriter *w)
{
	return w->rows;
}

int64_t
lh_pq_writer_buffered(const LhPqWriter *w)
{
	size_t		held = w->body.cap + w->packed.cap + w->indices.cap +
		w->column_indexes.cap + w->offset_indexes.cap;

	for (int i = 0; i < w->n_leaves; i++)
	{
		const LhPqLeaf *leaf = &w->leaves[i];

		held += leaf->held + leaf->plain.cap + leaf->def.cap + leaf->rep.cap + leaf->hashes.cap +
			leaf->dict.plain.cap + leaf->dict.starts.cap + leaf->dict.seen.cap +
			leaf->dict.n_slots * sizeof(uint64_t);
	}
	return (int64_t) held;
}

int64_t
lh_pq_writer_written(const LhPqWriter *w)
{
	return w->written;
}

/* ---- row groups ---- */

static LhStatus
emit(LhPqWriter *w, const uint8_t *data, size_t len, LhError *err)
{
	LhStatus	status = len > 0 ? w->sink(w->sink_ctx, data, len, err) : LH_OK;

	if (status == LH_OK)
		w->written += (int64_t) len;
	return status;
}

static LhStatus
emit_magic(LhPqWriter *w, LhError *err)
{
	return w->written == 0 ? emit(w, (const uint8_t *) "PAR1", 4, err) : LH_OK;
}

static LhStatus
emit_dictionary(LhPqWriter *w, LhPqLeaf *leaf, LhPqChunk *chunk, LhError *err)
{
	const LhBuf *plain = &leaf->dict.plain;
	LhPqType	type = leaf->node->type;
	LhStatus	status;

	chunk->dictionary_page_offset = -1;
	if (leaf->dict_pages == 0)
		return LH_OK;
	if ((type == LH_PQ_FLOAT || type == LH_PQ_DOUBLE) && !lh_pq_dict_pair_zeros(&leaf->dict))
		return lh_pq_no_memory(err);
	chunk->dictionary_page_offset = w->written;
	status = lh_pq_page_pack(w, plain->data, plain->len, true, LH_PQ_PLAIN, leaf->dict.n, err);
	if (status == LH_OK)
		status = emit(w, w->header.data, w->header.len, err);
	if (status == LH_OK)
		status = emit(w, w->packed.data, w->packed.len, err);
	leaf->uncompressed += (int64_t) (w->header.len + plain->len);
	leaf->compressed += (int64_t) (w->header.len + w->packed.len);
	return status;
}

static bool
copy_bound(LhArena *arena, const uint8_t *data, size_t len, LhPqBytes *to)
{
	to->data = (const uint8_t *) lh_arena_strndup(arena, data, len);
	to->len = (int32_t) len;
	return to->data != NULL;
}

static bool
fill_stats(LhPqWriter *w, const LhPqLeaf *leaf, LhPqStats *stats)
{
	const LhPqBounds *b = &leaf->bounds;
	bool		is_float = leaf->order == LH_PQ_ORDER_FLOAT || leaf->order == LH_PQ_ORDER_DOUBLE ||
		leaf->order == LH_PQ_ORDER_FLOAT16;

	stats->null_count = leaf->nulls;
	stats->nan_count = is_float ? leaf->nans : -1;
	stats->min_exact = stats->max_exact = false;
	if (b->has_min && !leaf->min_lost)
	{
		stats->min_exact = b->min_exact;
		if (!copy_bound(&w->meta->arena, b->min, b->min_len, &stats->min))
			return false;
	}
	if (b->has_max && !leaf->max_lost)
	{
		stats->max_exact = b->max_exact;
		if (!copy_bound(&w->meta->arena, b->max, b->max_len, &stats->max))
			return false;
	}
	return true;
}

static bool
add_page_index(LhPqWriter *w, const LhPqLeaf *leaf, LhPqChunk *chunk)
{
	size_t		column_start = w->column_indexes.len;
	size_t		offset_start = w->offset_indexes.len;

	if (!lh_pq_column_index_write(leaf, &w->column_indexes) ||
		!lh_pq_offset_index_write(leaf, chunk->data_page_offset, &w->offset_indexes))
		return false;
	/* relative to their section, whose place is known at close */
	chunk->column_index_length = (int32_t) (w->column_indexes.len - column_start);
	chunk->column_index_offset = chunk->column_index_length > 0 ? (int64_t) column_start : -1;
	chunk->offset_index_length = (int32_t) (w->offset_indexes.len - offset_start);
	chunk->offset_index_offset = (int64_t) offset_start;
	return true;
}

static LhStatus
emit_chunk(LhPqWriter *w, LhPqLeaf *leaf, LhPqChunk *chunk, LhError *err)
{
	LhStatus	status;

	chunk->codec = w->opts.codec;
	chunk->start = w->written;
	status = emit_dictionary(w, leaf, chunk, err);
	chunk->data_page_offset = w->written;
	for (const LhPqPage *page = leaf->first_page; page != NULL && status == LH_OK; page = page->next)
		status = emit(w, page->data, page->size, err);
	if (status != LH_OK)
		return status;
	chunk->num_values = leaf->levels;
	chunk->total_uncompressed = leaf->uncompressed;
	chunk->total_compressed = leaf->compressed;
	chunk->bloom_offset = chunk->bloom_length = -1;
	chunk->dictionary_pages = (int32_t) leaf->dict_pages;
	chunk->other_pages = (int32_t) (leaf->n_pages - leaf->dict_pages);
	chunk->encodings = 1u << LH_PQ_RLE;
	if (chunk->dictionary_pages > 0)
		chunk->encodings |= 1u << LH_PQ_RLE_DICTIONARY | 1u << LH_PQ_PLAIN;
	if (chunk->other_pages > 0)
		chunk->encodings |= 1u << (leaf->delta ? LH_PQ_DELTA_BINARY_PACKED : LH_PQ_PLAIN);
	if (!fill_stats(w, leaf, &chunk->stats) || !add_page_index(w, leaf, chunk))
		return lh_pq_no_memory(err);
	return LH_OK;
}

/* Filters stand right behind their row group: none is kept in memory. */
static LhStatus
emit_bloom(LhPqWriter *w, LhPqLeaf *leaf, LhPqChunk *chunk, LhError *err)
{
	if (!leaf->bloom)
		return LH_OK;
	/* pages left their hashes unless the dictionary holds their values */
	if (leaf->dict_pages > 0 &&
		!lh_pq_bloom_hash(&leaf->hashes, leaf->dict.plain.data, leaf->dict.n, leaf->node))
		return lh_pq_no_memory(err);
	w->body.len = 0;
	if (!lh_pq_bloom_write((const uint64_t *) leaf->hashes.data, leaf->hashes.len / sizeof(uint64_t), &w->body))
		return lh_pq_no_memory(err);
	chunk->bloom_offset = w->written;
	chunk->bloom_length = (int32_t) w->body.len;
	return emit(w, w->body.data, w->body.len, err);
}

static LhStatus
emit_row_group(LhPqWriter *w, LhPqRowGroup *group, LhError *err)
{
	LhStatus	status = emit_magic(w, err);

	for (int i = 0; i < w->n_leaves && status == LH_OK; i++)
		if (w->leaves[i].page_levels > 0)
			status = lh_pq_page_finish(w, &w->leaves[i], err);
	for (int i = 0; i < w->n_leaves && status == LH_OK; i++)
	{
		status = emit_chunk(w, &w->leaves[i], &group->chunks[i], err);
		group->total_compressed += group->chunks[i].total_compressed;
	}
	for (int i = 0; i < w->n_leaves && status == LH_OK; i++)
		status = emit_bloom(w, &w->leaves[i], &group->chunks[i], err);
	return status;
}

LhStatus
lh_pq_writer_flush(LhPqWriter *w, LhError *err)
{
	LhPqRowGroup group = {.num_rows = w->rows};
	LhStatus	status;

	if (w->n_open == 0 || w->begun > 0)
		return spoil(w, lh_fail(err, LH_ERR_INVALID, -1, "writer has failed, is closed, or is within a row"));
	if (w->rows == 0)
		return LH_OK;
	group.chunks = lh_arena_zero(&w->meta->arena, sizeof(LhPqChunk) * (size_t) w->n_leaves);
	if (group.chunks == NULL)
		return spoil(w, lh_pq_no_memory(err));
	status = emit_row_group(w, &group, err);
	if (status != LH_OK)
		return spoil(w, status);
	if (!lh_buf_append(&w->groups, &group, sizeof(group)))
		return spoil(w, lh_pq_no_memory(err));
	w->meta->num_rows += w->rows;
	w->rows = 0;
	for (int i = 0; i < w->n_leaves; i++)
		reset_leaf(&w->leaves[i], w->alloc);
	return LH_OK;
}

/* ---- close ---- */

static LhStatus
emit_page_indexes(LhPqWriter *w, LhError *err)
{
	LhPqFileMeta *meta = w->meta;
	int64_t		column_base = w->written;
	int64_t		offset_base;
	LhStatus	status = emit(w, w->column_indexes.data, w->column_indexes.len, err);

	if (status != LH_OK)
		return status;
	offset_base = w->written;
	for (int g = 0; g < meta->n_row_groups; g++)
		for (int i = 0; i < w->n_leaves; i++)
		{
			LhPqChunk  *chunk = &meta->row_groups[g].chunks[i];

			if (chunk->column_index_offset >= 0)
				chunk->column_index_offset += column_base;
			chunk->offset_index_offset += offset_base;
		}
	return emit(w, w->offset_indexes.data, w->offset_indexes.len, err);
}

static LhStatus
emit_footer(LhPqWriter *w, LhError *err)
{
	w->body.len = 0;
	lh_pq_footer_write(w->meta, &w->body);
	if (w->body.failed)
		return lh_pq_no_memory(err);
	if (w->body.len > INT32_MAX)
		return lh_fail(err, LH_ERR_LIMIT, -1, "footer of %zu bytes is too large", w->body.len);
	lh_buf_append(&w->body, "\0\0\0\0PAR1", 8);
	if (w->body.failed)
		return lh_pq_no_memory(err);
	lh_put_u32le(w->body.data + w->body.len - 8, (uint32_t) (w->body.len - 8));
	return emit(w, w->body.data, w->body.len, err);
}

LhStatus
lh_pq_writer_close(LhPqWriter *w, LhPqFileMeta **meta, LhError *err)
{
	LhStatus	status = lh_pq_writer_flush(w, err);

	*meta = NULL;
	if (status != LH_OK)
		return status;
	w->meta->n_row_groups = (int) (w->groups.len / sizeof(LhPqRowGroup));
	w->meta->row_groups = lh_arena_alloc(&w->meta->arena, w->groups.len);
	if (w->meta->row_groups == NULL)
		return spoil(w, lh_pq_no_memory(err));
	if (w->groups.len > 0)
		memcpy(w->meta->row_groups, w->groups.data, w->groups.len);
	status = emit_magic(w, err);
	if (status == LH_OK)
		status = emit_page_indexes(w, err);
	if (status == LH_OK)
		status = emit_footer(w, err);
	spoil(w, status);
	if (status != LH_OK)
		return status;
	*meta = w->meta;
	w->meta = NULL;
	return LH_OK;
}
