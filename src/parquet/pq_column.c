/*
 * pq_column.c
 *	  Reads a column chunk, or some of its pages, into vectors of rows.
 *
 * Flat leaves are read a page's rest at a time: levels, then the values that
 * are there, then they are spread over their rows.  Nested leaves look ahead
 * in the levels, because a row ends only where the next begins.
 */
#include "parquet/reader_int.h"

#include <string.h>

static LhStatus
no_memory(LhError *err)
{
	return lh_fail(err, LH_ERR_NOMEM, -1, "out of memory");
}

/* ---- open and close ---- */

static LhPqColumnReader *
make_reader(const LhPqFileMeta *meta, int row_group, int leaf, const LhAlloc *alloc)
{
	LhPqColumnReader *r = lh_alloc(alloc, sizeof(LhPqColumnReader));

	if (r == NULL)
		return NULL;
	/* all but the levels ahead, which are written before they are read */
	memset(r, 0, sizeof(*r));
	r->alloc = alloc;
	r->leaf = meta->schema.leaves[leaf];
	r->slot = lh_pq_slot_bytes(r->leaf);
	r->own.alloc = alloc;
	r->decompressor = &r->own;
	r->codec = meta->row_groups[row_group].chunks[leaf].codec;
	r->blocks.alloc = alloc;
	lh_buf_init(&r->last, alloc);
	lh_buf_init(&r->out_values, alloc);
	lh_buf_init(&r->out_def, alloc);
	lh_buf_init(&r->out_rep, alloc);
	lh_buf_init(&r->out_nulls, alloc);
	return r;
}

static LhStatus
check_place(const LhPqFileMeta *meta, int row_group, int leaf, LhError *err)
{
	if (row_group < 0 || row_group >= meta->n_row_groups || leaf < 0 || leaf >= meta->schema.n_leaves)
		return lh_fail(err, LH_ERR_INVALID, -1, "no column %d in row group %d", leaf, row_group);
	return LH_OK;
}

LhStatus
lh_pq_column_open(const LhPqFileMeta *meta, int row_group, int leaf,
				  const uint8_t *chunk, size_t len, const LhAlloc *alloc,
				  LhPqColumnReader **reader, LhError *err)
{
	const LhPqChunk *c;
	LhPqColumnReader *r;
	LhStatus	status = check_place(meta, row_group, leaf, err);

	*reader = NULL;
	if (status != LH_OK)
		return status;
	c = &meta->row_groups[row_group].chunks[leaf];
	if ((int64_t) len != c->total_compressed)
		return lh_fail(err, LH_ERR_INVALID, c->start, "column chunk has %lld bytes, not %zu",
					   (long long) c->total_compressed, len);
	r = make_reader(meta, row_group, leaf, alloc);
	if (r == NULL)
		return no_memory(err);
	r->start = r->pos = chunk;
	r->end = chunk + len;
	r->file_offset = c->start;
	r->levels_left = c->num_values;
	r->rows_left = meta->row_groups[row_group].num_rows;
	*reader = r;
	return LH_OK;
}

LhStatus
lh_pq_column_open_pages(const LhPqFileMeta *meta, int row_group, int leaf,
						const uint8_t *dict, size_t dict_len,
						const uint8_t *pages, size_t pages_len, int64_t n_rows,
						LhPqDecompressor *shared, const LhAlloc *alloc,
						LhPqColumnReader **reader, LhError *err)
{
	LhPqColumnReader *r;
	LhStatus	status = check_place(meta, row_group, leaf, err);

	*reader = NULL;
	if (status != LH_OK)
		return status;
	if (n_rows < 0 || n_rows > meta->row_groups[row_group].num_rows)
		return lh_fail(err, LH_ERR_INVALID, -1, "row group has no %lld rows", (long long) n_rows);
	r = make_reader(meta, row_group, leaf, alloc);
	if (r == NULL)
		return no_memory(err);
	r->start = r->pos = pages;
	r->end = pages + pages_len;
	r->file_offset = meta->row_groups[row_group].chunks[leaf].start;
	r->levels_left = -1;
	r->rows_left = n_rows;
	if (shared != NULL)
		r->decompressor = shared;
	if (dict_len > 0)
		status = lh_pq_dict_read(r, dict, dict_len, err);
	if (status != LH_OK)
	{
		lh_pq_column_close(r);
		return status;
	}
	*reader = r;
	return LH_OK;
}

LhStatus
lh_pq_column_set_pages(LhPqColumnReader *r, const uint8_t *pages, size_t pages_len, int64_t n_rows,
					   LhError *err)
{
	if (n_rows < 0)
		return lh_fail(err, LH_ERR_INVALID, -1, "pages have no %lld rows", (long long) n_rows);
	r->start = r->pos = pages;
	r->end = pages + pages_len;
	r->levels_left = -1;
	r->rows_left = n_rows;
	r->opened = false;
	r->page_left = 0;
	r->ahead_at = r->ahead_n = 0;
	r->last.len = 0;
	return LH_OK;
}

static void
free_memory(LhPqColumnReader *r, LhPqPageMemory *m)
{
	while (m != NULL)
	{
		LhPqPageMemory *next = m->next;

		lh_free(r->alloc, m);
		m = next;
	}
}

void
lh_pq_column_close(LhPqColumnReader *r)
{
	if (r == NULL)
		return;
	lh_pq_decompressor_clear(&r->own);
	lh_free(r->alloc, r->dict_page);
	lh_free(r->alloc, r->dict_slots);
	lh_free(r->alloc, r->memory);
	free_memory(r, r->retired);
	free_memory(r, r->spare);
	lh_pq_blocks_free(&r->blocks);
	lh_buf_free(&r->last);
	lh_buf_free(&r->out_values);
	lh_buf_free(&r->out_def);
	lh_buf_free(&r->out_rep);
	lh_buf_free(&r->out_nulls);
	lh_free(r->alloc, r);
}

/* ---- vectors ---- */

/* Gives up what the last vector pointed into. */
static void
begin_vector(LhPqColumnReader *r)
{
	while (r->retired != NULL)
	{
		LhPqPageMemory *m = r->retired;

		r->retired = m->next;
		m->next = r->spare;
		r->spare = m;
	}
	r->pinned = false;
	lh_pq_blocks_reset(&r->blocks);
	r->out_values.len = r->out_def.len = r->out_rep.len = r->out_nulls.len = 0;
}

/* Room for n more values and levels.  A page has at most 2^31 of them. */
static bool
reserve(LhPqColumnReader *r, size_t n)
{
	return lh_buf_reserve(&r->out_values, n * (size_t) r->slot) &&
		(r->leaf->max_def == 0 || lh_buf_reserve(&r->out_def, n)) &&
		(r->leaf->max_rep == 0 || lh_buf_reserve(&r->out_rep, n));
}

/* Decodes n values into the end of the vector. */
static LhStatus
append_values(LhPqColumnReader *r, size_t n, LhError *err)
{
	LhStatus	status;

	if (n == 0)
		return LH_OK;
	status = lh_pq_values_read(&r->values, n, r->out_values.data + r->out_values.len, err);
	/* the dictionary stays anyway */
	if (r->slot == (int) sizeof(LhPqBytes) && r->values.kind != LH_PQ_VALUES_DICT)
		r->pinned = true;
	return status;
}

static size_t
count_level(const uint8_t *levels, size_t n, int level)
{
	size_t		count = 0;

	for (size_t i = 0; i < n; i++)
		count += levels[i] == level;
	return count;
}

/* ---- flat leaves ---- */

/*
 * Moves k packed values to the rows that have one, from the last on, so that
 * none is overwritten before it is moved.  Rows without get zeros.
 */
static inline __attribute__((always_inline)) void
spread_one(void *slots, size_t size, const uint8_t *def, uint8_t max, size_t n, size_t k)
{
	uint8_t    *v = slots;

	for (size_t i = n; i-- > 0;)
	{
		/* nulls come as they like: no branch on them.  k <= i, so slot k is there to be read */
		bool		present = def[i] == max;
		uint64_t	keep = -(uint64_t) present;
		uint64_t	words[2] = {0, 0};

		k -= present;
		memcpy(words, v + k * size, size);
		words[0] &= keep;
		words[1] &= keep;
		memcpy(v + i * size, words, size);
	}
}

static void
spread(void *slots, int slot, const uint8_t *def, uint8_t max, size_t n, size_t k)
{
	_Static_assert(sizeof(LhPqBytes) <= 16, "a slot is copied as two words");
	if (slot == 1)
		spread_one(slots, 1, def, max, n, k);
	else if (slot == 4)
		spread_one(slots, 4, def, max, n, k);
	else if (slot == 8)
		spread_one(slots, 8, def, max, n, k);
	else
		spread_one(slots, sizeof(LhPqBytes), def, max, n, k);
}

/* Appends n rows of the page at hand; *nulls is set when one has no value. */
static LhStatus
append_flat(LhPqColumnReader *r, size_t n, bool *nulls, LhError *err)
{
	int			max = r->leaf->max_def;
	uint8_t    *def = NULL;
	size_t		k = n;
	LhStatus	status;

	if (!reserve(r, n))
		return no_memory(err);
	if (max > 0)
	{
		def = r->out_def.data + r->out_def.len;
		status = lh_pq_levels_read(&r->def, n, def, err);
		if (status != LH_OK)
			return status;
		k = count_level(def, n, max);
		r->out_def.len += n;
	}
	status = append_values(r, k, err);
	if (status != LH_OK)
		return status;
	if (k < n)
	{
		spread(r->out_values.data + r->out_values.len, r->slot, def, (uint8_t) max, n, k);
		*nulls = true;
	}
	r->out_values.len += n * (size_t) r->slot;
	r->page_left -= (int64_t) n;
	return LH_OK;
}

static LhStatus
read_flat(LhPqColumnReader *r, int64_t max_rows, LhPqVector *out, LhError *err)
{
	bool		has_nulls = false;
	uint8_t		max = (uint8_t) r->leaf->max_def;
	LhStatus	status = LH_OK;

	while (out->n_rows < max_rows)
	{
		int64_t		n = max_rows - out->n_rows;
		bool		found = true;

		if (r->page_left == 0)
			status = lh_pq_page_next(r, &found, err);
		if (status == LH_OK && found)
			status = lh_pq_page_open(r, err);
		if (status != LH_OK)
			return status;
		if (!found)
			break;
		n = n < r->page_left ? n : r->page_left;
		status = append_flat(r, (size_t) n, &has_nulls, err);
		if (status != LH_OK)
			return status;
		out->n_rows += n;
	}
	out->n_levels = out->n_values = out->n_rows;
	out->def = max > 0 ? r->out_def.data : NULL;
	if (has_nulls)
	{
		uint8_t    *nulls;

		if (!lh_buf_reserve(&r->out_nulls, (size_t) out->n_rows))
			return no_memory(err);
		nulls = r->out_nulls.data;
		for (int64_t i = 0; i < out->n_rows; i++)
			nulls[i] = r->out_def.data[i] != max;
		out->nulls = nulls;
	}
	return LH_OK;
}

/* ---- nested leaves ---- */

/* Looks at the next levels, moving to the next page if need be; *found false: the chunk ends. */
static LhStatus
look_ahead(LhPqColumnReader *r, bool *found, LhError *err)
{
	size_t		n;
	LhStatus	status = LH_OK;

	*found = true;
	if (r->ahead_at < r->ahead_n)
		return LH_OK;
	if (r->page_left == 0)
		status = lh_pq_page_next(r, found, err);
	if (status == LH_OK && *found)
		status = lh_pq_page_open(r, err);
	if (status != LH_OK || !*found)
		return status;
	n = r->page_left < LH_PQ_LOOKAHEAD ? (size_t) r->page_left : LH_PQ_LOOKAHEAD;
	status = lh_pq_levels_read(&r->rep, n, r->ahead_rep, err);
	if (status == LH_OK)
		status = lh_pq_levels_read(&r->def, n, r->ahead_def, err);
	r->page_left -= (int64_t) n;
	r->ahead_at = 0;
	r->ahead_n = n;
	return status;
}

/* How many of the levels ahead belong to the next `rows` rows; counts them in *begun. */
static size_t
levels_of_rows(const LhPqColumnReader *r, int64_t rows, int64_t *begun)
{
	size_t		i = r->ahead_at;

	for (; i < r->ahead_n; i++)
		if (r->ahead_rep[i] == 0)
		{
			if (*begun == rows)
				break;
			(*begun)++;
		}
	return i - r->ahead_at;
}

/* Consumes n levels ahead and their values, into the vector or nowhere. */
static LhStatus
take_levels(LhPqColumnReader *r, size_t n, bool keep, LhPqVector *out, LhError *err)
{
	const uint8_t *def = r->ahead_def + r->ahead_at;
	const uint8_t *rep = r->ahead_rep + r->ahead_at;
	size_t		k = count_level(def, n, r->leaf->max_def);
	LhStatus	status;

	r->ahead_at += n;
	if (!keep)
		return lh_pq_values_skip(&r->values, k, err);
	if (!reserve(r, n))
		return no_memory(err);
	lh_buf_append(&r->out_def, def, n);
	lh_buf_append(&r->out_rep, rep, n);
	status = append_values(r, k, err);
	r->out_values.len += k * (size_t) r->slot;
	out->n_levels += (int64_t) n;
	out->n_values += (int64_t) k;
	return status;
}

/* Moves over `rows` rows; what is kept goes into *out. */
static LhStatus
walk_nested(LhPqColumnReader *r, int64_t rows, bool keep, LhPqVector *out, LhError *err)
{
	int64_t		begun = 0;

	for (;;)
	{
		bool		found;
		size_t		n;
		LhStatus	status = look_ahead(r, &found, err);

		if (status != LH_OK)
			return status;
		if (!found)
			break;
		if (begun == 0 && r->ahead_rep[r->ahead_at] != 0)
			return lh_fail(err, LH_ERR_CORRUPT, -1, "column \"%.80s\" begins within a row", r->leaf->name);
		n = levels_of_rows(r, rows, &begun);
		status = n > 0 ? take_levels(r, n, keep, out, err) : LH_OK;
		if (status != LH_OK)
			return status;
		if (r->ahead_at < r->ahead_n)
			break;
	}
	out->n_rows = begun;
	return LH_OK;
}

/* ---- the interface ---- */

LhStatus
lh_pq_column_read(LhPqColumnReader *r, int64_t max_rows, LhPqVector *out, LhError *err)
{
	LhStatus	status;

	memset(out, 0, sizeof(*out));
	begin_vector(r);
	if (max_rows < 0)
		return lh_fail(err, LH_ERR_INVALID, -1, "cannot read %lld rows", (long long) max_rows);
	if (max_rows > r->rows_left)
		max_rows = r->rows_left;
	if (max_rows == 0)
		return LH_OK;
	if (r->leaf->max_rep == 0)
		status = read_flat(r, max_rows, out, err);
	else
	{
		status = walk_nested(r, max_rows, true, out, err);
		out->def = r->out_def.data;
		out->rep = r->out_rep.data;
	}
	if (status != LH_OK)
		return status;
	if (out->n_rows < max_rows)
		return lh_fail(err, LH_ERR_CORRUPT, -1, "column \"%.80s\" ends before its rows", r->leaf->name);
	out->values.any = r->out_values.data;
	r->rows_left -= out->n_rows;
	return LH_OK;
}

/* Levels and values of n rows of a flat leaf's page at hand, to nowhere. */
static LhStatus
skip_flat(LhPqColumnReader *r, size_t n, LhError *err)
{
	uint8_t		def[LH_PQ_LOOKAHEAD];
	LhStatus	status = lh_pq_page_open(r, err);

	r->page_left -= (int64_t) n;
	if (r->leaf->max_def == 0)
		return status == LH_OK ? lh_pq_values_skip(&r->values, n, err) : status;
	while (n > 0 && status == LH_OK)
	{
		size_t		k = n < LH_PQ_LOOKAHEAD ? n : LH_PQ_LOOKAHEAD;

		status = lh_pq_levels_read(&r->def, k, def, err);
		if (status == LH_OK)
			status = lh_pq_values_skip(&r->values, count_level(def, k, r->leaf->max_def), err);
		n -= k;
	}
	return status;
}

/* The rows of a page that nobody has looked into, or -1 where only its levels tell. */
static int64_t
rows_of_page(const LhPqColumnReader *r)
{
	if (r->opened)
		return -1;
	if (r->leaf->max_rep == 0)
		return r->page.n_values;
	/* pages of version 2 hold whole rows */
	return r->page.type == LH_PQ_DATA_PAGE_V2 && r->page.n_rows > 0 ? r->page.n_rows : -1;
}

LhStatus
lh_pq_column_skip(LhPqColumnReader *r, int64_t rows, LhError *err)
{
	begin_vector(r);
	if (rows < 0 || rows > r->rows_left)
		return lh_fail(err, LH_ERR_INVALID, -1, "cannot skip %lld of %lld rows",
					   (long long) rows, (long long) r->rows_left);
	r->rows_left -= rows;
	while (rows > 0)
	{
		LhPqVector	nowhere = {0};
		LhStatus	status = LH_OK;
		bool		found = true;
		int64_t		whole;
		int64_t		n;

		if (r->page_left == 0 && r->ahead_at == r->ahead_n)
			status = lh_pq_page_next(r, &found, err);
		if (status != LH_OK)
			return status;
		if (!found)
			return lh_fail(err, LH_ERR_CORRUPT, -1, "column \"%.80s\" ends before its rows", r->leaf->name);
		whole = rows_of_page(r);
		if (whole >= 0 && whole <= rows)
		{
			r->page_left = 0;
			rows -= whole;
			continue;
		}
		if (r->leaf->max_rep > 0)
		{
			status = walk_nested(r, rows, false, &nowhere, err);
			if (status == LH_OK && nowhere.n_rows < rows)
				status = lh_fail(err, LH_ERR_CORRUPT, -1, "column \"%.80s\" ends before its rows", r->leaf->name);
			return status;
		}
		n = rows < r->page_left ? rows : r->page_left;
		status = skip_flat(r, (size_t) n, err);
		if (status != LH_OK)
			return status;
		rows -= n;
	}
	return LH_OK;
}
