/*
 * pq_golden.c
 *	  Files of foreign writers, read in every way and compared with what
 *	  PyArrow found in them (test/data/parquet/README.md).
 */
#include "lh_test.h"
#include "../tools/pq_file.h"

/* Calls `check` for each file of files.txt. */
static void
each_file(void (*check) (const char *name, const PqFile *f, const char *rows))
{
	size_t		len;
	char	   *list = (char *) lh_test_read_file(lh_test_data("parquet/files.txt"), &len);
	char	   *save = NULL;

	LH_CHECK(list != NULL);
	for (char *line = strtok_r(list, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save))
	{
		char		path[300];
		char	   *rows_name = strchr(line, ' ') + 1;
		size_t		rows_len;
		size_t		file_len;
		uint8_t    *rows;
		uint8_t    *data;
		PqFile		f;
		LhError		err;

		rows_name[-1] = '\0';
		snprintf(path, sizeof(path), "parquet/%s", rows_name);
		rows = lh_test_read_file(lh_test_data(path), &rows_len);
		snprintf(path, sizeof(path), "parquet/%s", line);
		data = lh_test_read_file(lh_test_data(path), &file_len);
		if (rows == NULL || data == NULL)
			break;
		if (pq_file_open(&f, data, file_len, &err) != LH_OK)
			lh_test_fail(__FILE__, __LINE__, "%s: %s", line, err.message);
		else
			check(line, &f, (const char *) rows);
		lh_pq_meta_free(f.meta);
		free(rows);
		free(data);
	}
	free(list);
}

static void
compare_rows(const char *name, const PqFile *f, const char *expected, int64_t batch)
{
	LhBuf		out;
	LhError		err;
	LhStatus	status = LH_OK;
	size_t		at = 0;

	lh_buf_init(&out, &lh_malloc);
	for (int g = 0; g < f->meta->n_row_groups && status == LH_OK; g++)
		status = pq_json_row_group(&out, f, g, batch, &err);
	lh_buf_u8(&out, '\0');
	if (strstr(name, "brotli") != NULL)
	{
		if (status != LH_ERR_UNSUPPORTED || strstr(err.message, "brotli") == NULL)
			lh_test_fail(__FILE__, __LINE__, "%s is not refused by name", name);
	}
	else if (status != LH_OK)
		lh_test_fail(__FILE__, __LINE__, "%s: %s", name, err.message);
	else
	{
		while (out.data[at] != '\0' && out.data[at] == (uint8_t) expected[at])
			at++;
		if (out.data[at] != (uint8_t) expected[at])
			lh_test_fail(__FILE__, __LINE__, "%s differs at byte %zu: \"%.60s\" instead of \"%.60s\"",
						 name, at, (char *) out.data + at, expected + at);
	}
	lh_buf_free(&out);
}

static void
check_rows(const char *name, const PqFile *f, const char *expected)
{
	const int64_t batches[] = {1, 7, 64, 100000};

	for (int i = 0; i < 4; i++)
		compare_rows(name, f, expected, batches[i]);
}

LH_TEST(golden_files_read_as_pyarrow_reads_them)
{
	each_file(check_rows);
}

/* ---- skipping ---- */

/* Appends one row of a leaf: its levels and values. */
static void
row_text(LhBuf *out, PqCursor *c)
{
	int			rep = 0;

	do
	{
		int			def = pq_def(c);

		lh_buf_printf(out, "%d,%d:", rep, def);
		if (def == c->leaf->max_def)
			pq_json_value(out, c);
		pq_step(c);
		rep = c->v.rep != NULL && c->level < c->v.n_levels ? c->v.rep[c->level] : 0;
	} while (rep > 0);
	lh_buf_u8(out, '\n');
}

/* Appends all rows of a vector; starts[i] is where row i begins, when not NULL. */
static void
vector_text(LhBuf *out, const LhPqNode *leaf, const LhPqVector *v, size_t *starts)
{
	PqCursor	c = {.leaf = leaf,.v = *v};

	for (int64_t i = 0; i < v->n_rows; i++)
	{
		if (starts != NULL)
			starts[i] = out->len;
		row_text(out, &c);
	}
}

/* A reader that jumps about sees the rows that one without jumps saw there. */
static void
compare_jumps(const PqFile *f, int g, int leaf, const LhBuf *all, const size_t *starts, unsigned seed)
{
	int64_t		rows = f->meta->row_groups[g].num_rows;
	LhPqColumnReader *r;
	LhBuf		some;
	LhError		err;

	lh_buf_init(&some, &lh_malloc);
	LH_SUCCEED(pq_file_column(f, g, leaf, &r, &err));
	for (int64_t at = 0; at < rows;)
	{
		LhPqVector	v;
		int64_t		skip;
		int64_t		n;

		seed = seed * 1103515245 + 12345;
		skip = (int64_t) (seed >> 16) % 90;
		skip = skip < rows - at ? skip : rows - at;
		n = (int64_t) (seed >> 24) % 40;
		LH_SUCCEED(lh_pq_column_skip(r, skip, &err));
		at += skip;
		LH_SUCCEED(lh_pq_column_read(r, n, &v, &err));
		LH_EQ_INT(v.n_rows, n < rows - at ? n : rows - at);
		some.len = 0;
		vector_text(&some, f->meta->schema.leaves[leaf], &v, NULL);
		if (v.n_rows > 0)
			LH_EQ_MEM(some.data, all->data + starts[at], some.len);
		at += v.n_rows;
	}
	lh_pq_column_close(r);
	lh_buf_free(&some);
}

static void
check_leaf_jumps(const PqFile *f, int g, int leaf)
{
	int64_t		rows = f->meta->row_groups[g].num_rows;
	size_t	   *starts = malloc(sizeof(size_t) * (size_t) (rows + 1));
	LhPqColumnReader *r;
	LhPqVector	v;
	LhBuf		all;
	LhError		err;

	lh_buf_init(&all, &lh_malloc);
	LH_SUCCEED(pq_file_column(f, g, leaf, &r, &err));
	LH_SUCCEED(lh_pq_column_read(r, rows, &v, &err));
	LH_EQ_INT(v.n_rows, rows);
	vector_text(&all, f->meta->schema.leaves[leaf], &v, starts);
	for (unsigned seed = 1; seed <= 5 && !lh_test_failed(); seed++)
		compare_jumps(f, g, leaf, &all, starts, seed);
	lh_pq_column_close(r);
	lh_buf_free(&all);
	free(starts);
}

static void
check_jumps(const char *name, const PqFile *f, const char *expected)
{
	(void) expected;
	if (strstr(name, "brotli") != NULL)
		return;
	for (int g = 0; g < f->meta->n_row_groups; g++)
		for (int i = 0; i < f->meta->schema.n_leaves && !lh_test_failed(); i++)
			check_leaf_jumps(f, g, i);
	if (lh_test_failed())
		printf("in %s\n", name);
}

LH_TEST(golden_files_read_the_same_with_skips)
{
	each_file(check_jumps);
}

/* ---- page index ---- */

/* Each page read alone holds the rows its location tells, within its bounds. */
static void
check_pages(const PqFile *f, int g, int leaf)
{
	const LhPqChunk *c = &f->meta->row_groups[g].chunks[leaf];
	const LhPqNode *node = f->meta->schema.leaves[leaf];
	int64_t		rows = f->meta->row_groups[g].num_rows;
	size_t	   *starts = malloc(sizeof(size_t) * (size_t) (rows + 1));
	LhPqColumnReader *r;
	LhPqOffsetIndex index;
	LhPqVector	v;
	LhArena		arena;
	LhBuf		all;
	LhBuf		some;
	LhError		err;
	LhPqDecompressor *shared = lh_pq_decompressor_make(&lh_malloc);

	lh_arena_init(&arena, &lh_malloc);
	lh_buf_init(&all, &lh_malloc);
	lh_buf_init(&some, &lh_malloc);
	LH_CHECK(c->offset_index_offset > 0);
	LH_SUCCEED(lh_pq_offset_index_parse(f->data + c->offset_index_offset, (size_t) c->offset_index_length,
										f->meta, g, leaf, &arena, &index, &err));
	LH_CHECK(index.n_pages > 1);
	LH_SUCCEED(pq_file_column(f, g, leaf, &r, &err));
	LH_SUCCEED(lh_pq_column_read(r, rows, &v, &err));
	vector_text(&all, node, &v, starts);
	lh_pq_column_close(r);
	for (int p = 0; p < index.n_pages; p++)
	{
		const LhPqPageLocation *page = &index.pages[p];
		int64_t		end = p + 1 < index.n_pages ? page[1].first_row : rows;
		size_t		dict_len = (size_t) (index.pages[0].offset - c->start);

		LH_SUCCEED(lh_pq_column_open_pages(f->meta, g, leaf, f->data + c->start, dict_len, f->data + page->offset,
										   (size_t) page->size, end - page->first_row, p % 2 ? shared : NULL,
										   &lh_malloc, &r, &err));
		LH_SUCCEED(lh_pq_column_read(r, rows, &v, &err));
		LH_EQ_INT(v.n_rows, end - page->first_row);
		some.len = 0;
		vector_text(&some, node, &v, NULL);
		LH_EQ_MEM(some.data, all.data + starts[page->first_row], some.len);
		lh_pq_column_close(r);
	}
	lh_pq_decompressor_free(shared);
	lh_buf_free(&all);
	lh_buf_free(&some);
	lh_arena_free(&arena);
	free(starts);
}

static void
check_index(const char *name, const PqFile *f, const char *expected)
{
	(void) expected;
	if (strcmp(name, "arrow_page_index.parquet") != 0)
		return;
	for (int g = 0; g < f->meta->n_row_groups; g++)
		for (int i = 0; i < f->meta->schema.n_leaves; i++)
			check_pages(f, g, i);
}

LH_TEST(pages_found_by_a_foreign_offset_index)
{
	each_file(check_index);
}
