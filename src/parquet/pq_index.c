/*
 * pq_index.c
 *	  The page index: where each page of a chunk lies, and between which
 *	  bounds its values do.
 *
 * Spec: parquet-format, PageIndex.md.
 */
#include "parquet/thrift_int.h"
#include "parquet/writer_int.h"

#include <string.h>

/* ---- writing ---- */

static LhPqBytes
page_min(const LhPqPage *page)
{
	return (LhPqBytes) {page->data + page->size, page->min_len};
}

static LhPqBytes
page_max(const LhPqPage *page)
{
	return (LhPqBytes) {page->data + page->size + page->min_len, page->max_len};
}

/* 0 unordered, 1 ascending, 2 descending, null pages left out. */
static int
boundary_order(const LhPqLeaf *leaf)
{
	bool		ascending = true;
	bool		descending = true;
	const LhPqPage *last = NULL;

	for (const LhPqPage *page = leaf->first_page; page != NULL; page = page->next)
	{
		int			min_cmp;
		int			max_cmp;

		if (page->n_values == 0)
			continue;
		if (last != NULL)
		{
			min_cmp = lh_pq_order_compare(leaf->order, page_min(last), page_min(page));
			max_cmp = lh_pq_order_compare(leaf->order, page_max(last), page_max(page));
			ascending &= min_cmp <= 0 && max_cmp <= 0;
			descending &= min_cmp >= 0 && max_cmp >= 0;
		}
		last = page;
	}
	return ascending ? 1 : descending ? 2 : 0;
}

bool
lh_pq_column_index_write(const LhPqLeaf *leaf, LhBuf *buf)
{
	const LhPqPage *page;
	LhThriftWriter t;

	/* one page without bounds, and the index would lie about it */
	for (page = leaf->first_page; page != NULL; page = page->next)
		if (page->n_values > 0 && !page->has_bounds)
			return true;
	lh_tw_init(&t, buf);
	lh_tw_list(&t, 1, LH_TT_TRUE, leaf->n_pages);
	for (page = leaf->first_page; page != NULL; page = page->next)
		lh_tw_elem_bool(&t, page->n_values == 0);
	lh_tw_list(&t, 2, LH_TT_BINARY, leaf->n_pages);
	for (page = leaf->first_page; page != NULL; page = page->next)
		lh_tw_elem_binary(&t, page_min(page).data, (size_t) page_min(page).len);
	lh_tw_list(&t, 3, LH_TT_BINARY, leaf->n_pages);
	for (page = leaf->first_page; page != NULL; page = page->next)
		lh_tw_elem_binary(&t, page_max(page).data, (size_t) page_max(page).len);
	lh_tw_i32(&t, 4, boundary_order(leaf));
	lh_tw_list(&t, 5, LH_TT_I64, leaf->n_pages);
	for (page = leaf->first_page; page != NULL; page = page->next)
		lh_tw_elem_i64(&t, page->n_nulls);
	return lh_buf_u8(buf, LH_TT_STOP);
}

bool
lh_pq_offset_index_write(const LhPqLeaf *leaf, int64_t offset, LhBuf *buf)
{
	LhThriftWriter t;
	int64_t		first_row = 0;

	lh_tw_init(&t, buf);
	lh_tw_list(&t, 1, LH_TT_STRUCT, leaf->n_pages);
	for (const LhPqPage *page = leaf->first_page; page != NULL; page = page->next)
	{
		int			outer = lh_tw_struct(&t, 0);

		lh_tw_i64(&t, 1, offset);
		lh_tw_i32(&t, 2, (int32_t) page->size);
		lh_tw_i64(&t, 3, first_row);
		lh_tw_end(&t, outer);
		offset += (int64_t) page->size;
		first_row += page->n_rows;
	}
	return lh_buf_u8(buf, LH_TT_STOP);
}

/* ---- reading ---- */

static LhStatus
malformed(LhError *err, const char *what)
{
	return lh_fail(err, LH_ERR_CORRUPT, -1, "%s is malformed", what);
}

static void
parse_location(LhThriftReader *t, const LhThriftField *elem, LhPqPageLocation *page)
{
	LhThriftField f = {0};

	page->offset = page->size = -1;
	page->first_row = -1;
	if (!lh_tr_struct(t, elem))
		return;
	while (lh_tr_field(t, &f))
	{
		if (f.id == 1)
			page->offset = lh_tr_i64(t, &f);
		else if (f.id == 2)
			page->size = lh_tr_i32(t, &f);
		else if (f.id == 3)
			page->first_row = lh_tr_i64(t, &f);
		else
			lh_tr_skip(t, &f);
	}
}

/* Pages lie one behind the other within their chunk and cover its rows in order. */
static bool
locations_fit(const LhPqOffsetIndex *index, const LhPqChunk *chunk, int64_t num_rows)
{
	int64_t		end = chunk->start + chunk->total_compressed;

	for (int i = 0; i < index->n_pages; i++)
	{
		const LhPqPageLocation *page = &index->pages[i];
		int64_t		from = i == 0 ? chunk->start : page[-1].offset + page[-1].size;

		if (page->offset < from || page->size <= 0 || page->offset > end ||
			page->size > end - page->offset)
			return false;
		if (i == 0 ? page->first_row != 0 : page->first_row < page[-1].first_row)
			return false;
		if (page->first_row > num_rows)
			return false;
	}
	return index->n_pages > 0;
}

LhStatus
lh_pq_offset_index_parse(const uint8_t *data, size_t len,
						 const LhPqFileMeta *meta, int row_group, int leaf,
						 LhArena *arena, LhPqOffsetIndex *index, LhError *err)
{
	const LhPqRowGroup *group = &meta->row_groups[row_group];
	LhThriftReader t;
	LhThriftField f = {0};

	memset(index, 0, sizeof(*index));
	lh_tr_init(&t, data, len);
	while (lh_tr_field(&t, &f))
	{
		LhThriftField elem;
		size_t		n;

		if (f.id != 1)
		{
			lh_tr_skip(&t, &f);
			continue;
		}
		n = lh_tr_list(&t, &f, &elem);
		if (t.failed || n > INT32_MAX || index->pages != NULL)
			return malformed(err, "offset index");
		index->pages = lh_arena_alloc(arena, n * sizeof(LhPqPageLocation));
		if (index->pages == NULL)
			return lh_pq_no_memory(err);
		index->n_pages = (int) n;
		for (size_t i = 0; i < n && !t.failed; i++)
			parse_location(&t, &elem, &index->pages[i]);
	}
	if (t.failed || !locations_fit(index, &group->chunks[leaf], group->num_rows))
		return malformed(err, "offset index");
	return LH_OK;
}

/* A column index in the making: the lists may come in any order. */
typedef struct Lists
{
	LhThriftReader t;
	LhArena    *arena;
	LhPqColumnIndex *index;
	bool		no_memory;
} Lists;

/* Steps into a list, whose length all lists of the index share; its array, or NULL. */
static void *
begin_list(Lists *l, const LhThriftField *f, LhThriftField *elem, size_t elem_size)
{
	size_t		n = lh_tr_list(&l->t, f, elem);
	void	   *array;

	if (l->index->n_pages < 0)
		l->index->n_pages = n <= INT32_MAX ? (int) n : 0;
	if (l->t.failed || n != (size_t) l->index->n_pages)
	{
		l->t.failed = true;
		return NULL;
	}
	array = lh_arena_zero(l->arena, n * elem_size);
	if (array == NULL)
		l->no_memory = l->t.failed = true;
	return array;
}

static LhPqBytes *
parse_values(Lists *l, const LhThriftField *f)
{
	LhThriftField elem;
	LhPqBytes  *values = begin_list(l, f, &elem, sizeof(LhPqBytes));

	for (int i = 0; values != NULL && i < l->index->n_pages && !l->t.failed; i++)
	{
		size_t		len;
		const uint8_t *data = lh_tr_binary(&l->t, &elem, &len);

		if (l->t.failed)
			break;
		values[i].data = (const uint8_t *) lh_arena_strndup(l->arena, data, len);
		values[i].len = (int32_t) len;
		if (values[i].data == NULL)
			l->no_memory = l->t.failed = true;
	}
	return values;
}

static void
parse_lists(Lists *l)
{
	LhThriftField f = {0};
	LhPqColumnIndex *index = l->index;

	while (lh_tr_field(&l->t, &f))
	{
		LhThriftField elem;

		switch (f.id)
		{
			case 1:
				index->null_pages = begin_list(l, &f, &elem, sizeof(bool));
				for (int i = 0; i < index->n_pages && !l->t.failed; i++)
					index->null_pages[i] = lh_tr_bool(&l->t, &elem);
				break;
			case 2:
				index->min = parse_values(l, &f);
				break;
			case 3:
				index->max = parse_values(l, &f);
				break;
			case 5:
				index->null_counts = begin_list(l, &f, &elem, sizeof(int64_t));
				for (int i = 0; i < index->n_pages && !l->t.failed; i++)
					index->null_counts[i] = lh_tr_i64(&l->t, &elem);
				break;
			default:
				lh_tr_skip(&l->t, &f);
		}
	}
}

LhStatus
lh_pq_column_index_parse(const uint8_t *data, size_t len,
						 const LhPqFileMeta *meta, int row_group, int leaf,
						 LhArena *arena, LhPqColumnIndex *index, LhError *err)
{
	const LhPqNode *node = meta->schema.leaves[leaf];
	Lists		l = {.arena = arena,.index = index};

	(void) row_group;
	memset(index, 0, sizeof(*index));
	index->n_pages = -1;
	lh_tr_init(&l.t, data, len);
	parse_lists(&l);
	if (l.no_memory)
		return lh_pq_no_memory(err);
	if (l.t.failed || index->null_pages == NULL || index->min == NULL || index->max == NULL)
		return malformed(err, "column index");
	for (int i = 0; i < index->n_pages; i++)
	{
		LhPqStats	stats = {.min = index->min[i],.max = index->max[i]};

		if (index->null_pages[i])
			stats.min.data = stats.max.data = NULL;
		lh_pq_stats_settle(node, &stats);
		index->min[i] = stats.min;
		index->max[i] = stats.max;
	}
	return LH_OK;
}
