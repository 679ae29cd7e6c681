/*
 * pq_footer_write.c
 *	  Serialises the footer and page headers.
 *
 * Annotations are written both as logical type and, for older readers, as
 * converted type where that means the same.  Spec: parquet.thrift.
 */
#include "parquet/footer_int.h"

#include <string.h>

/* ---- schema ---- */

/* The converted type of the same meaning, or -1. */
static int
converted_type(const LhPqNode *node)
{
	switch (node->logical)
	{
		case LH_PQ_STRING:
			return 0;
		case LH_PQ_MAP:
			return 1;
		case LH_PQ_LIST:
			return 3;
		case LH_PQ_ENUM:
			return 4;
		case LH_PQ_DECIMAL:
			return 5;
		case LH_PQ_DATE:
			return 6;
		case LH_PQ_TIME:
		case LH_PQ_TIMESTAMP:
			/* the converted types mean instants in UTC */
			if (!node->utc || node->unit == LH_PQ_NANOS)
				return -1;
			return (node->logical == LH_PQ_TIME ? 7 : 9) + (node->unit == LH_PQ_MICROS);
		case LH_PQ_INTEGER:
			for (int i = 0; i < 4; i++)
				if (node->bit_width == 8 << i)
					return (node->is_signed ? 15 : 11) + i;
			return -1;
		case LH_PQ_JSON:
			return 19;
		case LH_PQ_BSON:
			return 20;
		case LH_PQ_INTERVAL:
			return 21;
		case LH_PQ_NONE:
		case LH_PQ_UNKNOWN:
		case LH_PQ_UUID:
		case LH_PQ_FLOAT16:
		case LH_PQ_OTHER:
			break;
	}
	return -1;
}

/* The member of the union LogicalType, or 0. */
static int
logical_member(LhPqLogical logical)
{
	switch (logical)
	{
		case LH_PQ_STRING:
			return 1;
		case LH_PQ_MAP:
			return 2;
		case LH_PQ_LIST:
			return 3;
		case LH_PQ_ENUM:
			return 4;
		case LH_PQ_DECIMAL:
			return 5;
		case LH_PQ_DATE:
			return 6;
		case LH_PQ_TIME:
			return 7;
		case LH_PQ_TIMESTAMP:
			return 8;
		case LH_PQ_INTEGER:
			return 10;
		case LH_PQ_UNKNOWN:
			return 11;
		case LH_PQ_JSON:
			return 12;
		case LH_PQ_BSON:
			return 13;
		case LH_PQ_UUID:
			return 14;
		case LH_PQ_FLOAT16:
			return 15;
		case LH_PQ_NONE:
		case LH_PQ_INTERVAL:
		case LH_PQ_OTHER:
			break;
	}
	return 0;
}

static void
write_logical(LhThriftWriter *t, const LhPqNode *node)
{
	int			member = logical_member(node->logical);
	int			element;
	int			args;
	int			unit;

	if (member == 0)
		return;
	element = lh_tw_struct(t, 10);
	args = lh_tw_struct(t, member);
	if (node->logical == LH_PQ_DECIMAL)
	{
		lh_tw_i32(t, 1, node->scale);
		lh_tw_i32(t, 2, node->precision);
	}
	else if (node->logical == LH_PQ_TIME || node->logical == LH_PQ_TIMESTAMP)
	{
		lh_tw_bool(t, 1, node->utc);
		unit = lh_tw_struct(t, 2);
		lh_tw_empty(t, (int) node->unit + 1);
		lh_tw_end(t, unit);
	}
	else if (node->logical == LH_PQ_INTEGER)
	{
		lh_tw_i8(t, 1, (int8_t) node->bit_width);
		lh_tw_bool(t, 2, node->is_signed);
	}
	lh_tw_end(t, args);
	lh_tw_end(t, element);
}

static void
write_node(LhThriftWriter *t, const LhPqNode *node, bool is_root)
{
	int			outer = lh_tw_struct(t, 0);
	int			converted = converted_type(node);

	if (!node->is_group)
		lh_tw_i32(t, 1, (int32_t) node->type);
	if (!node->is_group && node->type == LH_PQ_FLBA)
		lh_tw_i32(t, 2, node->type_length);
	if (!is_root)
		lh_tw_i32(t, 3, (int32_t) node->rep);
	lh_tw_string(t, 4, node->name);
	if (node->is_group)
		lh_tw_i32(t, 5, node->n_children);
	if (converted >= 0)
		lh_tw_i32(t, 6, converted);
	if (node->logical == LH_PQ_DECIMAL)
	{
		lh_tw_i32(t, 7, node->scale);
		lh_tw_i32(t, 8, node->precision);
	}
	if (node->field_id >= 0)
		lh_tw_i32(t, 9, node->field_id);
	write_logical(t, node);
	lh_tw_end(t, outer);
	for (int i = 0; node->is_group && i < node->n_children; i++)
		write_node(t, node->children[i], false);
}

static size_t
count_nodes(const LhPqNode *node)
{
	size_t		n = 1;

	for (int i = 0; node->is_group && i < node->n_children; i++)
		n += count_nodes(node->children[i]);
	return n;
}

/* ---- column chunks ---- */

static void
write_stats(LhThriftWriter *t, const LhPqStats *stats)
{
	int			outer = lh_tw_struct(t, 12);

	if (stats->null_count >= 0)
		lh_tw_i64(t, 3, stats->null_count);
	if (stats->max.data != NULL)
		lh_tw_binary(t, 5, stats->max.data, (size_t) stats->max.len);
	if (stats->min.data != NULL)
		lh_tw_binary(t, 6, stats->min.data, (size_t) stats->min.len);
	if (stats->max.data != NULL)
		lh_tw_bool(t, 7, stats->max_exact);
	if (stats->min.data != NULL)
		lh_tw_bool(t, 8, stats->min_exact);
	lh_tw_end(t, outer);
}

/* The names from the root's child down to the leaf. */
static void
write_path(LhThriftWriter *t, const LhPqSchema *schema, int leaf)
{
	const LhPqNode *node = schema->root;
	size_t		depth = 0;

	for (int round = 0; round < 2; round++)
	{
		if (round == 1)
			lh_tw_list(t, 3, LH_TT_BINARY, depth);
		for (node = schema->root; node->is_group;)
		{
			int			k = 0;

			while (leaf >= node->children[k]->first_leaf + node->children[k]->n_leaves)
				k++;
			node = node->children[k];
			if (round == 0)
				depth++;
			else
				lh_tw_elem_binary(t, node->name, strlen(node->name));
		}
	}
}

static void
write_encoding_stat(LhThriftWriter *t, int page_type, int encoding, int32_t count)
{
	int			outer = lh_tw_struct(t, 0);

	lh_tw_i32(t, 1, page_type);
	lh_tw_i32(t, 2, encoding);
	lh_tw_i32(t, 3, count);
	lh_tw_end(t, outer);
}

static void
write_encoding_stats(LhThriftWriter *t, const LhPqChunk *chunk)
{
	bool		delta = chunk->encodings & (1u << LH_PQ_DELTA_BINARY_PACKED);
	int			other = delta ? LH_PQ_DELTA_BINARY_PACKED : LH_PQ_PLAIN;

	lh_tw_list(t, 13, LH_TT_STRUCT,
			   (size_t) (2 * (chunk->dictionary_pages > 0) + (chunk->other_pages > 0)));
	if (chunk->dictionary_pages > 0)
	{
		write_encoding_stat(t, LH_PQ_DICTIONARY_PAGE, LH_PQ_PLAIN, 1);
		write_encoding_stat(t, LH_PQ_DATA_PAGE, LH_PQ_RLE_DICTIONARY, chunk->dictionary_pages);
	}
	if (chunk->other_pages > 0)
		write_encoding_stat(t, LH_PQ_DATA_PAGE, other, chunk->other_pages);
}

static void
write_chunk_meta(LhThriftWriter *t, const LhPqSchema *schema, const LhPqChunk *chunk, int leaf)
{
	int			outer = lh_tw_struct(t, 3);
	size_t		n_encodings = (size_t) __builtin_popcount(chunk->encodings);

	lh_tw_i32(t, 1, (int32_t) schema->leaves[leaf]->type);
	lh_tw_list(t, 2, LH_TT_I32, n_encodings);
	for (int i = 0; i < 32; i++)
		if (chunk->encodings & (UINT32_C(1) << i))
			lh_tw_elem_i32(t, i);
	write_path(t, schema, leaf);
	lh_tw_i32(t, 4, (int32_t) chunk->codec);
	lh_tw_i64(t, 5, chunk->num_values);
	lh_tw_i64(t, 6, chunk->total_uncompressed);
	lh_tw_i64(t, 7, chunk->total_compressed);
	lh_tw_i64(t, 9, chunk->data_page_offset);
	if (chunk->dictionary_page_offset >= 0)
		lh_tw_i64(t, 11, chunk->dictionary_page_offset);
	write_stats(t, &chunk->stats);
	write_encoding_stats(t, chunk);
	if (chunk->bloom_offset >= 0)
	{
		lh_tw_i64(t, 14, chunk->bloom_offset);
		lh_tw_i32(t, 15, chunk->bloom_length);
	}
	lh_tw_end(t, outer);
}

static void
write_chunk(LhThriftWriter *t, const LhPqSchema *schema, const LhPqChunk *chunk, int leaf)
{
	int			outer = lh_tw_struct(t, 0);

	lh_tw_i64(t, 2, 0);
	write_chunk_meta(t, schema, chunk, leaf);
	if (chunk->offset_index_offset >= 0)
	{
		lh_tw_i64(t, 4, chunk->offset_index_offset);
		lh_tw_i32(t, 5, chunk->offset_index_length);
	}
	if (chunk->column_index_offset >= 0)
	{
		lh_tw_i64(t, 6, chunk->column_index_offset);
		lh_tw_i32(t, 7, chunk->column_index_length);
	}
	lh_tw_end(t, outer);
}

static void
write_row_group(LhThriftWriter *t, const LhPqFileMeta *meta, int g)
{
	const LhPqRowGroup *group = &meta->row_groups[g];
	int			outer = lh_tw_struct(t, 0);
	int64_t		uncompressed = 0;

	lh_tw_list(t, 1, LH_TT_STRUCT, (size_t) meta->schema.n_leaves);
	for (int i = 0; i < meta->schema.n_leaves; i++)
	{
		write_chunk(t, &meta->schema, &group->chunks[i], i);
		uncompressed += group->chunks[i].total_uncompressed;
	}
	lh_tw_i64(t, 2, uncompressed);
	lh_tw_i64(t, 3, group->num_rows);
	if (meta->schema.n_leaves > 0)
		lh_tw_i64(t, 5, group->chunks[0].start);
	lh_tw_i64(t, 6, group->total_compressed);
	lh_tw_end(t, outer);
}

/* ---- footer ---- */

static void
write_key_values(LhThriftWriter *t, const LhPqFileMeta *meta)
{
	if (meta->n_kv == 0)
		return;
	lh_tw_list(t, 5, LH_TT_STRUCT, (size_t) meta->n_kv);
	for (int i = 0; i < meta->n_kv; i++)
	{
		int			outer = lh_tw_struct(t, 0);

		lh_tw_string(t, 1, meta->kv_keys[i]);
		if (meta->kv_values[i] != NULL)
			lh_tw_string(t, 2, meta->kv_values[i]);
		lh_tw_end(t, outer);
	}
}

void
lh_pq_footer_write(const LhPqFileMeta *meta, LhBuf *buf)
{
	LhThriftWriter t;

	lh_tw_init(&t, buf);
	lh_tw_i32(&t, 1, 2);
	lh_tw_list(&t, 2, LH_TT_STRUCT, count_nodes(meta->schema.root));
	write_node(&t, meta->schema.root, true);
	lh_tw_i64(&t, 3, meta->num_rows);
	lh_tw_list(&t, 4, LH_TT_STRUCT, (size_t) meta->n_row_groups);
	for (int g = 0; g < meta->n_row_groups; g++)
		write_row_group(&t, meta, g);
	write_key_values(&t, meta);
	if (meta->created_by != NULL)
		lh_tw_string(&t, 6, meta->created_by);
	lh_tw_list(&t, 7, LH_TT_STRUCT, (size_t) meta->schema.n_leaves);
	for (int i = 0; i < meta->schema.n_leaves; i++)
	{
		int			order = lh_tw_struct(&t, 0);

		lh_tw_empty(&t, 1);
		lh_tw_end(&t, order);
	}
	lh_buf_u8(buf, LH_TT_STOP);
}

void
lh_pq_page_header_write(const LhPqPageHeader *header, LhBuf *buf)
{
	LhThriftWriter t;
	int			page;

	lh_tw_init(&t, buf);
	lh_tw_i32(&t, 1, header->dictionary ? LH_PQ_DICTIONARY_PAGE : LH_PQ_DATA_PAGE);
	lh_tw_i32(&t, 2, header->uncompressed_size);
	lh_tw_i32(&t, 3, header->compressed_size);
	lh_tw_i32(&t, 4, (int32_t) header->crc);
	page = lh_tw_struct(&t, header->dictionary ? 7 : 5);
	lh_tw_i32(&t, 1, header->num_values);
	lh_tw_i32(&t, 2, header->encoding);
	if (!header->dictionary)
	{
		lh_tw_i32(&t, 3, LH_PQ_RLE);
		lh_tw_i32(&t, 4, LH_PQ_RLE);
	}
	lh_tw_end(&t, page);
	lh_buf_u8(buf, LH_TT_STOP);
}
