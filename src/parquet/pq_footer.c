/*
 * pq_footer.c
 *	  Reads a file's footer: row groups, column chunks, statistics (the schema
 *	  is read in pq_footer_schema.c).
 *
 * Every offset is checked against the file's size and every count against
 * the bytes that hold it, so that the readers above only see ranges that lie
 * in the file.  Spec: parquet-format, parquet.thrift (FileMetaData).
 */
#include "parquet/footer_int.h"

#include <string.h>

LhStatus
lh_pq_tail_parse(const uint8_t tail[LH_PQ_TAIL_BYTES], int64_t file_size,
				 int64_t *footer_len, LhError *err)
{
	int64_t		len = lh_get_u32le(tail);

	if (memcmp(tail + 4, "PARE", 4) == 0)
		return lh_fail(err, LH_ERR_UNSUPPORTED, file_size - 4, "file has an encrypted footer");
	if (memcmp(tail + 4, "PAR1", 4) != 0)
		return lh_fail(err, LH_ERR_CORRUPT, file_size - 4, "file does not end like a Parquet file");
	/* 4 bytes of magic stand at the front */
	if (len > file_size - LH_PQ_TAIL_BYTES - 4)
		return lh_fail(err, LH_ERR_CORRUPT, file_size - LH_PQ_TAIL_BYTES,
					   "footer of %lld bytes does not fit into a file of %lld bytes",
					   (long long) len, (long long) file_size);
	*footer_len = len;
	return LH_OK;
}

/* ---- column chunks ---- */

static LhPqBytes
parse_bytes(LhPqParse *p, const LhThriftField *f)
{
	LhPqBytes	v = {NULL, 0};
	size_t		len;
	const uint8_t *data = lh_tr_binary(&p->t, f, &len);

	if (p->t.failed || len > INT32_MAX)
		return v;
	v.data = (const uint8_t *) lh_arena_strndup(&p->meta->arena, data, len);
	v.len = (int32_t) len;
	if (v.data == NULL)
		lh_pq_parse_no_memory(p);
	return v;
}

static void
parse_stats(LhPqParse *p, const LhThriftField *field, const LhPqNode *leaf, LhPqStats *stats)
{
	LhThriftField f = {0};
	/* a fixed-width value is not cut by any writer; bytes may be */
	bool		whole = leaf->type != LH_PQ_BYTE_ARRAY && leaf->type != LH_PQ_FLBA;

	stats->min_exact = stats->max_exact = whole;
	if (!lh_tr_struct(&p->t, field))
		return;
	while (lh_tr_field(&p->t, &f))
	{
		switch (f.id)
		{
			case 3:
				stats->null_count = lh_tr_i64(&p->t, &f);
				break;
			case 5:
				stats->max = parse_bytes(p, &f);
				break;
			case 6:
				stats->min = parse_bytes(p, &f);
				break;
			case 7:
				stats->max_exact = lh_tr_bool(&p->t, &f);
				break;
			case 8:
				stats->min_exact = lh_tr_bool(&p->t, &f);
				break;
			case 9:
				stats->nan_count = lh_tr_i64(&p->t, &f);
				break;
			default:
				/* 1 and 2 are the deprecated bounds, of undefined order */
				lh_tr_skip(&p->t, &f);
		}
	}
}

/* The path names the leaf; a chunk in another place would be read as another column. */
static void
check_path(LhPqParse *p, const LhThriftField *field, const LhPqSchema *schema, int leaf)
{
	LhThriftField elem;
	size_t		n = lh_tr_list(&p->t, field, &elem);
	const LhPqNode *node = schema->root;

	for (size_t i = 0; i < n && !p->t.failed; i++)
	{
		size_t		len;
		const uint8_t *name = lh_tr_binary(&p->t, &elem, &len);

		/* the child that this leaf lies in */
		for (int k = 0; node != NULL && k < node->n_children; k++)
		{
			const LhPqNode *child = node->children[k];

			if (leaf < child->first_leaf + child->n_leaves)
			{
				if (name == NULL || strlen(child->name) != len || memcmp(child->name, name, len) != 0)
					child = NULL;
				node = child;
				break;
			}
		}
	}
	if (!p->t.failed && node != schema->leaves[leaf])
		lh_pq_give_up(p, LH_ERR_CORRUPT, "column chunk stands in another column's place");
}

static void
parse_encodings(LhPqParse *p, const LhThriftField *field, LhPqChunk *chunk)
{
	LhThriftField elem;
	size_t		n = lh_tr_list(&p->t, field, &elem);

	for (size_t i = 0; i < n && !p->t.failed; i++)
	{
		int32_t		encoding = lh_tr_i32(&p->t, &elem);

		if (encoding >= 0 && encoding < 32)
			chunk->encodings |= UINT32_C(1) << encoding;
	}
}

static void
parse_encoding_stats(LhPqParse *p, const LhThriftField *field, LhPqChunk *chunk)
{
	LhThriftField elem;
	size_t		n = lh_tr_list(&p->t, field, &elem);

	for (size_t i = 0; i < n && lh_tr_struct(&p->t, &elem); i++)
	{
		LhThriftField f = {0};
		int32_t		v[4] = {-1, -1, -1, 0};

		while (lh_tr_field(&p->t, &f))
		{
			if (f.id >= 1 && f.id <= 3)
				v[f.id] = lh_tr_i32(&p->t, &f);
			else
				lh_tr_skip(&p->t, &f);
		}
		if (v[3] < 0 || (v[1] != LH_PQ_DATA_PAGE && v[1] != LH_PQ_DATA_PAGE_V2))
			continue;
		if (v[2] == LH_PQ_RLE_DICTIONARY || v[2] == LH_PQ_PLAIN_DICTIONARY)
			chunk->dictionary_pages = v[3];
		else
			chunk->other_pages = v[3];
	}
}

static bool
in_file(const LhPqParse *p, int64_t offset, int64_t len)
{
	return offset >= 4 && len >= 0 && offset <= p->data_end && len <= p->data_end - offset;
}

static bool
check_chunk(LhPqParse *p, LhPqChunk *chunk, const LhPqNode *leaf, int32_t type)
{
	if (type != (int32_t) leaf->type)
		return lh_pq_give_up(p, LH_ERR_CORRUPT, "column chunk and schema differ in type");
	if ((int) chunk->codec < LH_PQ_UNCOMPRESSED || chunk->codec > LH_PQ_LZ4_RAW)
		return lh_pq_give_up(p, LH_ERR_UNSUPPORTED, "column chunk has an unknown codec");
	/* 0 is how some writers say that there is no dictionary */
	if (chunk->dictionary_page_offset <= 0)
		chunk->dictionary_page_offset = -1;
	chunk->start = chunk->data_page_offset;
	if (chunk->dictionary_page_offset > 0 && chunk->dictionary_page_offset < chunk->start)
		chunk->start = chunk->dictionary_page_offset;
	/* a chunk of nothing lies nowhere */
	if (chunk->num_values == 0)
	{
		chunk->start = chunk->data_page_offset = 4;
		chunk->total_compressed = 0;
		chunk->dictionary_page_offset = -1;
	}
	if (chunk->num_values < 0 || chunk->total_uncompressed < 0 ||
		!in_file(p, chunk->start, chunk->total_compressed) ||
		chunk->data_page_offset - chunk->start > chunk->total_compressed)
		return lh_pq_give_up(p, LH_ERR_CORRUPT, "column chunk lies outside its file");
	return true;
}

/* Indexes and filters are optional: what lies outside the file is not there. */
static void
check_extras(const LhPqParse *p, LhPqChunk *chunk)
{
	if (!in_file(p, chunk->offset_index_offset, chunk->offset_index_length))
		chunk->offset_index_offset = -1;
	if (!in_file(p, chunk->column_index_offset, chunk->column_index_length))
		chunk->column_index_offset = -1;
	if (chunk->bloom_length <= 0)
		chunk->bloom_length = -1;
	if (!in_file(p, chunk->bloom_offset, chunk->bloom_length < 0 ? 0 : chunk->bloom_length))
		chunk->bloom_offset = chunk->bloom_length = -1;
	if (chunk->stats.null_count < 0 || chunk->stats.null_count > chunk->num_values)
		chunk->stats.null_count = -1;
	if (chunk->stats.nan_count < 0 || chunk->stats.nan_count > chunk->num_values)
		chunk->stats.nan_count = -1;
}

static void
parse_chunk_meta(LhPqParse *p, const LhThriftField *field, LhPqChunk *chunk, int leaf, int32_t *type)
{
	const LhPqSchema *schema = &p->meta->schema;
	LhThriftField f = {0};

	if (!lh_tr_struct(&p->t, field))
		return;
	while (lh_tr_field(&p->t, &f))
	{
		switch (f.id)
		{
			case 1:
				*type = lh_tr_i32(&p->t, &f);
				break;
			case 2:
				parse_encodings(p, &f, chunk);
				break;
			case 3:
				check_path(p, &f, schema, leaf);
				break;
			case 4:
				chunk->codec = (LhPqCodec) lh_tr_i32(&p->t, &f);
				break;
			case 5:
				chunk->num_values = lh_tr_i64(&p->t, &f);
				break;
			case 6:
				chunk->total_uncompressed = lh_tr_i64(&p->t, &f);
				break;
			case 7:
				chunk->total_compressed = lh_tr_i64(&p->t, &f);
				break;
			case 9:
				chunk->data_page_offset = lh_tr_i64(&p->t, &f);
				break;
			case 11:
				chunk->dictionary_page_offset = lh_tr_i64(&p->t, &f);
				break;
			case 12:
				parse_stats(p, &f, schema->leaves[leaf], &chunk->stats);
				break;
			case 13:
				parse_encoding_stats(p, &f, chunk);
				break;
			case 14:
				chunk->bloom_offset = lh_tr_i64(&p->t, &f);
				break;
			case 15:
				chunk->bloom_length = lh_tr_i32(&p->t, &f);
				break;
			default:
				lh_tr_skip(&p->t, &f);
		}
	}
}

static bool
parse_chunk(LhPqParse *p, const LhThriftField *elem, LhPqChunk *chunk, int leaf)
{
	LhThriftField f = {0};
	int32_t		type = -1;
	size_t		path_len;

	chunk->num_values = chunk->total_compressed = chunk->data_page_offset = -1;
	chunk->dictionary_page_offset = -1;
	chunk->offset_index_offset = chunk->column_index_offset = -1;
	chunk->bloom_offset = chunk->bloom_length = -1;
	chunk->stats.null_count = chunk->stats.nan_count = -1;
	if (!lh_tr_struct(&p->t, elem))
		return false;
	while (lh_tr_field(&p->t, &f))
	{
		switch (f.id)
		{
			case 1:
				lh_tr_binary(&p->t, &f, &path_len);
				if (path_len > 0)
					lh_pq_give_up(p, LH_ERR_UNSUPPORTED, "column chunk lies in another file");
				break;
			case 3:
				parse_chunk_meta(p, &f, chunk, leaf, &type);
				break;
			case 4:
				chunk->offset_index_offset = lh_tr_i64(&p->t, &f);
				break;
			case 5:
				chunk->offset_index_length = lh_tr_i32(&p->t, &f);
				break;
			case 6:
				chunk->column_index_offset = lh_tr_i64(&p->t, &f);
				break;
			case 7:
				chunk->column_index_length = lh_tr_i32(&p->t, &f);
				break;
			case 8:
				lh_pq_give_up(p, LH_ERR_UNSUPPORTED, "column chunk is encrypted");
				break;
			default:
				lh_tr_skip(&p->t, &f);
		}
	}
	if (p->t.failed || !check_chunk(p, chunk, p->meta->schema.leaves[leaf], type))
		return false;
	check_extras(p, chunk);
	return true;
}

/* ---- row groups ---- */

static bool
parse_chunks(LhPqParse *p, const LhThriftField *field, LhPqRowGroup *group)
{
	int			n_leaves = p->meta->schema.n_leaves;
	LhThriftField elem;
	size_t		n = lh_tr_list(&p->t, field, &elem);

	if (p->t.failed)
		return false;
	if (n != (size_t) n_leaves || group->chunks != NULL)
		return lh_pq_give_up(p, LH_ERR_CORRUPT, "row group and schema differ in their number of columns");
	group->chunks = lh_arena_zero(&p->meta->arena, sizeof(LhPqChunk) * n);
	if (group->chunks == NULL)
		return lh_pq_parse_no_memory(p);
	for (int i = 0; i < n_leaves; i++)
		if (!parse_chunk(p, &elem, &group->chunks[i], i))
			return false;
	return true;
}

static bool
parse_row_group(LhPqParse *p, const LhThriftField *elem, LhPqRowGroup *group)
{
	int			n_leaves = p->meta->schema.n_leaves;
	LhThriftField f = {0};
	int64_t		total = 0;

	group->num_rows = -1;
	if (!lh_tr_struct(&p->t, elem))
		return false;
	while (lh_tr_field(&p->t, &f))
	{
		if (f.id == 1)
			parse_chunks(p, &f, group);
		else if (f.id == 3)
			group->num_rows = lh_tr_i64(&p->t, &f);
		else
			lh_tr_skip(&p->t, &f);
	}
	if (p->t.failed)
		return false;
	if (group->num_rows < 0 || (group->chunks == NULL && n_leaves > 0))
		return lh_pq_give_up(p, LH_ERR_CORRUPT, "row group without rows or columns");
	for (int i = 0; i < n_leaves; i++)
	{
		const LhPqNode *leaf = p->meta->schema.leaves[i];
		int64_t		n = group->chunks[i].num_values;

		if (leaf->max_rep == 0 ? n != group->num_rows : n < group->num_rows)
			return lh_pq_give_up(p, LH_ERR_CORRUPT, "column chunk and row group differ in their number of rows");
		/* each term is below the file's size: no overflow within 2^20 leaves of 2^43 bytes */
		if (__builtin_add_overflow(total, group->chunks[i].total_compressed, &total))
			return lh_pq_give_up(p, LH_ERR_CORRUPT, "row group is larger than any file");
	}
	group->total_compressed = total;
	return true;
}

static bool
parse_row_groups(LhPqParse *p, const LhThriftField *field)
{
	LhPqFileMeta *meta = p->meta;
	LhThriftField elem;
	size_t		n = lh_tr_list(&p->t, field, &elem);

	if (p->t.failed)
		return false;
	/* the format orders the schema before; a footer that does not cannot be checked as it is read */
	if (meta->schema.root == NULL || meta->row_groups != NULL || n > INT32_MAX)
		return lh_pq_give_up(p, LH_ERR_CORRUPT, "row groups stand before the schema, or twice");
	meta->row_groups = lh_arena_zero(&meta->arena, sizeof(LhPqRowGroup) * n);
	if (meta->row_groups == NULL)
		return lh_pq_parse_no_memory(p);
	meta->n_row_groups = (int) n;
	for (size_t i = 0; i < n; i++)
		if (!parse_row_group(p, &elem, &meta->row_groups[i]))
			return false;
	return true;
}

/* ---- the rest of the footer ---- */

static char *
parse_string(LhPqParse *p, const LhThriftField *f)
{
	size_t		len;
	const uint8_t *s = lh_tr_binary(&p->t, f, &len);
	char	   *copy;

	if (p->t.failed)
		return NULL;
	copy = lh_arena_strndup(&p->meta->arena, s, len);
	if (copy == NULL)
		lh_pq_parse_no_memory(p);
	return copy;
}

static void
parse_key_values(LhPqParse *p, const LhThriftField *field)
{
	LhPqFileMeta *meta = p->meta;
	LhThriftField elem;
	size_t		n = lh_tr_list(&p->t, field, &elem);

	if (p->t.failed || n > INT32_MAX)
		return;
	meta->kv_keys = lh_arena_zero(&meta->arena, sizeof(char *) * n);
	meta->kv_values = lh_arena_zero(&meta->arena, sizeof(char *) * n);
	if (meta->kv_keys == NULL || meta->kv_values == NULL)
	{
		lh_pq_parse_no_memory(p);
		return;
	}
	meta->n_kv = (int) n;
	for (size_t i = 0; i < n && lh_tr_struct(&p->t, &elem); i++)
	{
		LhThriftField f = {0};

		while (lh_tr_field(&p->t, &f))
		{
			if (f.id == 1)
				meta->kv_keys[i] = parse_string(p, &f);
			else if (f.id == 2)
				meta->kv_values[i] = parse_string(p, &f);
			else
				lh_tr_skip(&p->t, &f);
		}
		if (!p->t.failed && meta->kv_keys[i] == NULL)
			lh_pq_give_up(p, LH_ERR_CORRUPT, "key-value metadata without a key");
	}
}

static void
parse_column_orders(LhPqParse *p, const LhThriftField *field)
{
	LhThriftField elem;
	size_t		n = lh_tr_list(&p->t, field, &elem);

	if (p->ordered == NULL)
	{
		lh_pq_give_up(p, LH_ERR_CORRUPT, "column orders stand before the schema");
		return;
	}
	for (size_t i = 0; i < n && lh_tr_struct(&p->t, &elem); i++)
	{
		LhThriftField f = {0};

		while (lh_tr_field(&p->t, &f))
		{
			if (i < (size_t) p->meta->schema.n_leaves)
				p->ordered[i] = f.id == 1;
			lh_tr_skip(&p->t, &f);
		}
	}
}

/* Bounds of leaves without a known order are worth nothing. */
static void
settle_stats(LhPqParse *p)
{
	const LhPqSchema *schema = &p->meta->schema;

	for (int g = 0; g < p->meta->n_row_groups; g++)
		for (int i = 0; i < schema->n_leaves; i++)
		{
			LhPqStats  *stats = &p->meta->row_groups[g].chunks[i].stats;

			if (!p->ordered[i])
				stats->min.data = stats->max.data = NULL;
			lh_pq_stats_settle(schema->leaves[i], stats);
		}
}

static void
parse_file_meta(LhPqParse *p)
{
	LhThriftField f = {0};
	int64_t		rows = 0;

	p->meta->num_rows = -1;
	while (lh_tr_field(&p->t, &f))
	{
		switch (f.id)
		{
			case 2:
				lh_pq_schema_parse(p, &f);
				break;
			case 3:
				p->meta->num_rows = lh_tr_i64(&p->t, &f);
				break;
			case 4:
				parse_row_groups(p, &f);
				break;
			case 5:
				parse_key_values(p, &f);
				break;
			case 6:
				p->meta->created_by = parse_string(p, &f);
				break;
			case 7:
				parse_column_orders(p, &f);
				break;
			case 8:
				lh_pq_give_up(p, LH_ERR_UNSUPPORTED, "file is encrypted");
				break;
			default:
				lh_tr_skip(&p->t, &f);
		}
	}
	if (p->t.failed)
		return;
	for (int g = 0; g < p->meta->n_row_groups; g++)
		if (__builtin_add_overflow(rows, p->meta->row_groups[g].num_rows, &rows))
			rows = -2;
	if (p->meta->schema.root == NULL || rows != p->meta->num_rows)
		lh_pq_give_up(p, LH_ERR_CORRUPT, "footer has no schema, or another number of rows than its row groups");
	else
		settle_stats(p);
}

LhStatus
lh_pq_footer_parse(const uint8_t *footer, size_t len, int64_t file_size,
				   const LhAlloc *alloc, LhPqFileMeta **meta, LhError *err)
{
	LhPqParse	p = {.err = err};

	*meta = NULL;
	p.data_end = file_size - LH_PQ_TAIL_BYTES - (int64_t) len;
	if (len > INT32_MAX || p.data_end < 4)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "footer does not fit into its file");
	p.meta = lh_alloc_zero(alloc, sizeof(LhPqFileMeta));
	if (p.meta == NULL)
		return lh_fail(err, LH_ERR_NOMEM, -1, "out of memory");
	lh_arena_init(&p.meta->arena, alloc);
	lh_tr_init(&p.t, footer, len);
	parse_file_meta(&p);
	if (p.status == LH_OK && p.t.failed)
		p.status = lh_fail(err, LH_ERR_CORRUPT, p.data_end, "footer is malformed");
	if (p.status != LH_OK)
	{
		lh_pq_meta_free(p.meta);
		return p.status;
	}
	*meta = p.meta;
	return LH_OK;
}

void
lh_pq_meta_free(LhPqFileMeta *meta)
{
	const LhAlloc *alloc;

	if (meta == NULL)
		return;
	alloc = meta->arena.alloc;
	lh_arena_free(&meta->arena);
	lh_free(alloc, meta);
}
