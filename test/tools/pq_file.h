/*
 * pq_file.h
 *	  A Parquet file in memory, and its rows as JSON: for tools and tests.
 *
 * Numbers are printed as they are stored (a date as its days, a decimal as
 * its unscaled integer), strings as strings, other bytes as "0x...".  A list
 * is an array, a map an array of [key, value], a struct an object.
 */
#ifndef PQ_FILE_H
#define PQ_FILE_H

#include "parquet/parquet.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct PqFile
{
	const uint8_t *data;
	size_t		len;
	LhPqFileMeta *meta;
} PqFile;

static inline LhStatus
pq_file_open_with(PqFile *f, const uint8_t *data, size_t len, const LhAlloc *alloc, LhError *err)
{
	int64_t		footer_len;
	LhStatus	status;

	f->data = data;
	f->len = len;
	f->meta = NULL;
	if (len < 12)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "file is too short");
	status = lh_pq_tail_parse(data + len - LH_PQ_TAIL_BYTES, (int64_t) len, &footer_len, err);
	if (status != LH_OK)
		return status;
	return lh_pq_footer_parse(data + len - LH_PQ_TAIL_BYTES - footer_len, (size_t) footer_len,
							  (int64_t) len, alloc, &f->meta, err);
}

static inline LhStatus
pq_file_open(PqFile *f, const uint8_t *data, size_t len, LhError *err)
{
	return pq_file_open_with(f, data, len, &lh_malloc, err);
}

static inline LhStatus
pq_file_column(const PqFile *f, int row_group, int leaf, LhPqColumnReader **r, LhError *err)
{
	const LhPqChunk *c = &f->meta->row_groups[row_group].chunks[leaf];

	return lh_pq_column_open(f->meta, row_group, leaf, f->data + c->start,
							 (size_t) c->total_compressed, f->meta->arena.alloc, r, err);
}

/* ---- hostile files ---- */

/* Reads up to max_rows rows of a column, through skips too, and touches every byte. */
static inline LhStatus
pq_touch_column(const PqFile *f, int g, int leaf, int64_t max_rows, uint64_t *sum, LhError *err)
{
	LhPqColumnReader *r;
	LhPqVector	v;
	int64_t		rows = 0;
	LhStatus	status = pq_file_column(f, g, leaf, &r, err);
	LhPqType	type = f->meta->schema.leaves[leaf]->type;

	while (status == LH_OK && rows < max_rows)
	{
		status = lh_pq_column_read(r, 500, &v, err);
		if (status != LH_OK || v.n_rows == 0)
			break;
		rows += v.n_rows;
		for (int64_t i = 0; i < v.n_levels; i++)
			*sum += (uint64_t) (v.def != NULL ? v.def[i] : 0) + (v.rep != NULL ? v.rep[i] : 0);
		for (int64_t i = 0; i < v.n_values; i++)
			if (type == LH_PQ_BOOLEAN)
				*sum += v.values.b[i];
			else if (type == LH_PQ_INT32 || type == LH_PQ_FLOAT)
				*sum += (uint32_t) v.values.i32[i];
			else if (type == LH_PQ_INT64 || type == LH_PQ_DOUBLE)
				*sum += (uint64_t) v.values.i64[i];
			else
				for (int32_t k = 0; k < v.values.bytes[i].len; k++)
					*sum += v.values.bytes[i].data[k];
		if (rows % 3 == 0 && lh_pq_column_skip(r, 10, err) != LH_OK)
			break;
	}
	lh_pq_column_close(r);
	return status;
}

static inline LhStatus
pq_touch_extras(const PqFile *f, int g, int leaf, LhError *err)
{
	const LhPqChunk *c = &f->meta->row_groups[g].chunks[leaf];
	LhArena		arena;
	LhPqOffsetIndex offsets;
	LhPqColumnIndex bounds;
	bool		maybe;
	LhStatus	status = LH_OK;

	lh_arena_init(&arena, f->meta->arena.alloc);
	if (c->offset_index_offset >= 0)
		status = lh_pq_offset_index_parse(f->data + c->offset_index_offset, (size_t) c->offset_index_length,
										  f->meta, g, leaf, &arena, &offsets, err);
	if (c->column_index_offset >= 0)
		status = lh_pq_column_index_parse(f->data + c->column_index_offset, (size_t) c->column_index_length,
										  f->meta, g, leaf, &arena, &bounds, err);
	if (c->bloom_offset >= 0)
		status = lh_pq_bloom_check(f->data + c->bloom_offset, f->len - (size_t) c->bloom_offset, "abc", 3, &maybe, err);
	lh_arena_free(&arena);
	return status;
}

/* Reads everything there is in a file that may be anything; the first failure, or LH_OK. */
static inline LhStatus
pq_touch(const uint8_t *data, size_t len, const LhAlloc *alloc, int64_t max_rows, LhError *err)
{
	PqFile		f;
	uint64_t	sum = 0;
	LhStatus	first = pq_file_open_with(&f, data, len, alloc, err);

	for (int g = 0; f.meta != NULL && g < f.meta->n_row_groups; g++)
		for (int i = 0; i < f.meta->schema.n_leaves; i++)
		{
			LhStatus	status = pq_touch_column(&f, g, i, max_rows, &sum, err);

			if (status == LH_OK)
				status = pq_touch_extras(&f, g, i, err);
			if (first == LH_OK)
				first = status;
		}
	lh_pq_meta_free(f.meta);
	return first;
}

/* ---- rows ---- */

/* One leaf's levels and values of the rows at hand. */
typedef struct PqCursor
{
	const LhPqNode *leaf;
	LhPqVector	v;
	int64_t		level;
	int64_t		value;
} PqCursor;

static inline int
pq_def(const PqCursor *c)
{
	if (c->v.def != NULL)
		return c->v.def[c->level];
	return c->v.nulls != NULL && c->v.nulls[c->level] ? c->leaf->max_def - 1 : c->leaf->max_def;
}

static inline void
pq_step(PqCursor *c)
{
	/* flat values have a slot for every row, others only where there is one */
	if (c->leaf->max_rep == 0 || pq_def(c) == c->leaf->max_def)
		c->value++;
	c->level++;
}

static inline void
pq_json_string(LhBuf *out, const uint8_t *s, int32_t len)
{
	lh_buf_u8(out, '"');
	for (int32_t i = 0; i < len; i++)
	{
		if (s[i] == '"' || s[i] == '\\')
			lh_buf_printf(out, "\\%c", s[i]);
		else if (s[i] < 0x20)
			lh_buf_printf(out, "\\u%04x", s[i]);
		else
			lh_buf_u8(out, s[i]);
	}
	lh_buf_u8(out, '"');
}

static inline void
pq_json_decimal(LhBuf *out, LhPqBytes b)
{
	__int128	v = b.len > 0 && (b.data[0] & 0x80) ? -1 : 0;
	unsigned __int128 u;
	char		digits[48];
	int			n = 0;

	for (int32_t i = 0; i < b.len; i++)
		v = (__int128) ((unsigned __int128) v << 8 | b.data[i]);
	u = v < 0 ? -(unsigned __int128) v : (unsigned __int128) v;
	do
		digits[n++] = (char) ('0' + (int) (u % 10));
	while ((u /= 10) > 0);
	if (v < 0)
		lh_buf_u8(out, '-');
	while (n > 0)
		lh_buf_u8(out, (uint8_t) digits[--n]);
}

static inline void
pq_json_bytes(LhBuf *out, const LhPqNode *leaf, LhPqBytes b)
{
	if (leaf->logical == LH_PQ_DECIMAL && b.len <= 16)
		pq_json_decimal(out, b);
	else if (leaf->logical == LH_PQ_STRING || leaf->logical == LH_PQ_ENUM || leaf->logical == LH_PQ_JSON)
		pq_json_string(out, b.data, b.len);
	else
	{
		lh_buf_printf(out, "\"0x");
		for (int32_t i = 0; i < b.len; i++)
			lh_buf_printf(out, "%02x", b.data[i]);
		lh_buf_u8(out, '"');
	}
}

static inline void
pq_json_float(LhBuf *out, double v, int digits)
{
	if (v != v)
		lh_buf_printf(out, "\"NaN\"");
	else if (v - v != 0)
		lh_buf_printf(out, v > 0 ? "\"Infinity\"" : "\"-Infinity\"");
	else
		lh_buf_printf(out, "%.*g", digits, v);
}

static inline void
pq_json_value(LhBuf *out, const PqCursor *c)
{
	const LhPqNode *leaf = c->leaf;
	int64_t		i = c->value;
	bool		is_unsigned = leaf->logical == LH_PQ_INTEGER && !leaf->is_signed;

	switch (leaf->type)
	{
		case LH_PQ_BOOLEAN:
			lh_buf_printf(out, c->v.values.b[i] ? "true" : "false");
			break;
		case LH_PQ_INT32:
			if (is_unsigned)
				lh_buf_printf(out, "%" PRIu32, (uint32_t) c->v.values.i32[i]);
			else
				lh_buf_printf(out, "%" PRId32, c->v.values.i32[i]);
			break;
		case LH_PQ_INT64:
			if (is_unsigned)
				lh_buf_printf(out, "%" PRIu64, (uint64_t) c->v.values.i64[i]);
			else
				lh_buf_printf(out, "%" PRId64, c->v.values.i64[i]);
			break;
		case LH_PQ_FLOAT:
			pq_json_float(out, (double) c->v.values.f32[i], 9);
			break;
		case LH_PQ_DOUBLE:
			pq_json_float(out, c->v.values.f64[i], 17);
			break;
		case LH_PQ_INT96:
		case LH_PQ_BYTE_ARRAY:
		case LH_PQ_FLBA:
			pq_json_bytes(out, leaf, c->v.values.bytes[i]);
			break;
	}
}

static inline void pq_json_content(LhBuf *out, const LhPqNode *node, PqCursor *cursors);

/* Passes over the one level that says that `node` is not there. */
static inline void
pq_absent(const LhPqNode *node, PqCursor *cursors)
{
	for (int i = 0; i < node->n_leaves; i++)
		pq_step(&cursors[node->first_leaf + i]);
}

static inline void
pq_json_node(LhBuf *out, const LhPqNode *node, PqCursor *cursors)
{
	PqCursor   *first = &cursors[node->first_leaf];

	if (node->rep == LH_PQ_REPEATED)
	{
		lh_buf_u8(out, '[');
		if (pq_def(first) < node->max_def)
			pq_absent(node, cursors);
		else
			for (bool more = true; more;)
			{
				pq_json_content(out, node, cursors);
				more = first->level < first->v.n_levels && first->v.rep[first->level] == node->max_rep;
				if (more)
					lh_buf_u8(out, ',');
			}
		lh_buf_u8(out, ']');
	}
	else if (node->rep == LH_PQ_OPTIONAL && pq_def(first) < node->max_def)
	{
		lh_buf_printf(out, "null");
		pq_absent(node, cursors);
	}
	else
		pq_json_content(out, node, cursors);
}

/* The elements of an annotated list, each through its middle group if there is one. */
static inline void
pq_json_list(LhBuf *out, const LhPqNode *list, const LhPqNode *element, bool has_middle, PqCursor *cursors)
{
	const LhPqNode *repeated = list->children[0];
	PqCursor   *first = &cursors[list->first_leaf];

	if (!has_middle)
	{
		pq_json_node(out, element, cursors);
		return;
	}
	lh_buf_u8(out, '[');
	if (pq_def(first) < repeated->max_def)
		pq_absent(list, cursors);
	else
		for (bool more = true; more;)
		{
			pq_json_node(out, element, cursors);
			more = first->level < first->v.n_levels && first->v.rep[first->level] == repeated->max_rep;
			if (more)
				lh_buf_u8(out, ',');
		}
	lh_buf_u8(out, ']');
}

static inline void
pq_json_content(LhBuf *out, const LhPqNode *node, PqCursor *cursors)
{
	bool		has_middle;
	const LhPqNode *element = NULL;
	bool		pair = node->rep == LH_PQ_REPEATED && node->is_group && node->n_children == 2 &&
		strcmp(node->children[0]->name, "key") == 0;

	if (!node->is_group)
	{
		pq_json_value(out, &cursors[node->first_leaf]);
		pq_step(&cursors[node->first_leaf]);
		return;
	}
	if (node->logical == LH_PQ_LIST)
		element = lh_pq_list_element(node, &has_middle);
	if (element != NULL)
	{
		pq_json_list(out, node, element, has_middle, cursors);
		return;
	}
	if (node->logical == LH_PQ_MAP && node->n_children == 1)
	{
		pq_json_node(out, node->children[0], cursors);
		return;
	}
	lh_buf_u8(out, pair ? '[' : '{');
	for (int i = 0; i < node->n_children; i++)
	{
		const LhPqNode *child = node->children[i];

		if (i > 0)
			lh_buf_u8(out, ',');
		if (!pair)
		{
			pq_json_string(out, (const uint8_t *) child->name, (int32_t) strlen(child->name));
			lh_buf_u8(out, ':');
		}
		pq_json_node(out, child, cursors);
	}
	lh_buf_u8(out, pair ? ']' : '}');
}

/* Appends all rows of a row group as JSON lines, read `batch` rows at a time. */
static inline LhStatus
pq_json_row_group(LhBuf *out, const PqFile *f, int row_group, int64_t batch, LhError *err)
{
	int			n = f->meta->schema.n_leaves;
	LhPqColumnReader **readers = calloc((size_t) n, sizeof(*readers));
	PqCursor   *cursors = calloc((size_t) n, sizeof(*cursors));
	int64_t		left = f->meta->row_groups[row_group].num_rows;
	LhStatus	status = LH_OK;

	for (int i = 0; i < n && status == LH_OK; i++)
	{
		cursors[i].leaf = f->meta->schema.leaves[i];
		status = pq_file_column(f, row_group, i, &readers[i], err);
	}
	while (left > 0 && status == LH_OK)
	{
		int64_t		rows = left < batch ? left : batch;

		for (int i = 0; i < n && status == LH_OK; i++)
		{
			status = lh_pq_column_read(readers[i], rows, &cursors[i].v, err);
			cursors[i].level = cursors[i].value = 0;
		}
		for (int64_t row = 0; row < rows && status == LH_OK; row++)
		{
			pq_json_content(out, f->meta->schema.root, cursors);
			lh_buf_u8(out, '\n');
		}
		left -= rows;
	}
	for (int i = 0; i < n; i++)
		lh_pq_column_close(readers[i]);
	free(readers);
	free(cursors);
	return status;
}

#endif							/* PQ_FILE_H */
