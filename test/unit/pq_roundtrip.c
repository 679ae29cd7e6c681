/*
 * pq_roundtrip.c
 *	  What the writer takes, the reader gives back: every type, coding and
 *	  pattern of nulls, at every length near a boundary; and the statistics,
 *	  page index and bloom filter tell the truth about it.
 */
#include "lh_test.h"
#include "../tools/pq_file.h"

static uint64_t seed = 88172645463325252u;

static uint64_t
next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static LhStatus
to_buffer(void *ctx, const uint8_t *data, size_t len, LhError *err)
{
	return lh_buf_append(ctx, data, len) ? LH_OK : lh_fail(err, LH_ERR_IO, -1, "no memory");
}

/* ---- one flat column ---- */

enum
{
	CONSTANT,
	FEW,
	RUNS,
	UNIQUE,
	N_PATTERNS
};

enum
{
	NO_NULLS,
	ALL_NULLS,
	SOME_NULLS,
	LONG_NULLS,
	N_NULL_PATTERNS
};

typedef struct Column
{
	LhPqNode	leaf;
	LhPqNode	root;
	LhPqNode   *children[1];
	LhPqSchema	schema;
	LhArena		arena;
	int			pattern;
	int			nulls;
	bool		delta;
	bool		bloom;
} Column;

static bool
is_null(const Column *c, int64_t i)
{
	if (c->leaf.rep == LH_PQ_REQUIRED)
		return false;
	switch (c->nulls)
	{
		case ALL_NULLS:
			return true;
		case SOME_NULLS:
			return (uint64_t) i * 2654435761u % 7 < 2;
		case LONG_NULLS:
			return i / 100 % 2 == 1;
		default:
			return false;
	}
}

/* Value i in PLAIN bytes, without a length; *len of them. */
static void
value_of(const Column *c, int64_t i, uint8_t *bytes, size_t *len)
{
	uint64_t	n = c->pattern == CONSTANT ? 5 : c->pattern == FEW ? (uint64_t) (i * i) % 11 :
		c->pattern == RUNS ? (uint64_t) (i / 37) : (uint64_t) i;
	uint64_t	h = n * UINT64_C(0x9e3779b97f4a7c15);

	memset(bytes, 0, 128);
	lh_put_u64le(bytes, h);
	switch (c->leaf.type)
	{
		case LH_PQ_BOOLEAN:
			bytes[0] = h >> 40 & 1;
			*len = 1;
			break;
		case LH_PQ_INT32:
		case LH_PQ_FLOAT:
			*len = 4;
			break;
		case LH_PQ_INT64:
		case LH_PQ_DOUBLE:
			*len = 8;
			break;
		case LH_PQ_FLBA:
			*len = (size_t) c->leaf.type_length;
			break;
		default:
			/* from empty to beyond what bounds keep */
			*len = (size_t) (h >> 32) % 100;
			for (size_t k = 8; k < *len; k++)
				bytes[k] = (uint8_t) ('a' + (h >> (k % 50)) % 26);
	}
}

static LhStatus
put(LhPqWriter *w, const Column *c, const uint8_t *bytes, size_t len, LhError *err)
{
	float		f;
	double		d;

	switch (c->leaf.type)
	{
		case LH_PQ_BOOLEAN:
			return lh_pq_put_bool(w, 0, 0, bytes[0], err);
		case LH_PQ_INT32:
			return lh_pq_put_i32(w, 0, 0, (int32_t) lh_get_u32le(bytes), err);
		case LH_PQ_INT64:
			return lh_pq_put_i64(w, 0, 0, (int64_t) lh_get_u64le(bytes), err);
		case LH_PQ_FLOAT:
			memcpy(&f, bytes, 4);
			return lh_pq_put_float(w, 0, 0, f, err);
		case LH_PQ_DOUBLE:
			memcpy(&d, bytes, 8);
			return lh_pq_put_double(w, 0, 0, d, err);
		default:
			return lh_pq_put_bytes(w, 0, 0, bytes, len, err);
	}
}

static void
make_column(Column *c, LhPqType type, LhPqRep rep)
{
	LhError		err;

	memset(c, 0, sizeof(*c));
	c->leaf = (LhPqNode) {.name = "c",.rep = rep,.type = type,.type_length = 5,.field_id = 1};
	c->children[0] = &c->leaf;
	c->root = (LhPqNode) {.name = "root",.is_group = true,.n_children = 1,.children = c->children,.field_id = -1};
	c->schema.root = &c->root;
	lh_arena_init(&c->arena, &lh_malloc);
	LH_SUCCEED(lh_pq_schema_finish(&c->schema, &c->arena, &err));
}

static void
write_column(const Column *c, int64_t rows, const LhPqWriterOptions *options, int64_t group,
			 LhBuf *file, LhPqFileMeta **meta)
{
	LhPqWriterOptions o = *options;
	LhPqWriter *w;
	LhError		err;
	uint8_t		bytes[128];
	size_t		len;

	o.delta = c->delta ? &c->delta : NULL;
	o.bloom = c->bloom ? &c->bloom : NULL;
	LH_SUCCEED(lh_pq_writer_open(&c->schema, &o, &lh_malloc, to_buffer, file, &w, &err));
	for (int64_t i = 0; i < rows; i++)
	{
		value_of(c, i, bytes, &len);
		if (is_null(c, i))
			LH_SUCCEED(lh_pq_put_null(w, 0, 0, 0, &err));
		else
			LH_SUCCEED(put(w, c, bytes, len, &err));
		LH_SUCCEED(lh_pq_end_row(w, &err));
		if (lh_pq_writer_rows(w) == group)
			LH_SUCCEED(lh_pq_writer_flush(w, &err));
	}
	LH_SUCCEED(lh_pq_writer_close(w, meta, &err));
	LH_EQ_INT(lh_pq_writer_written(w), file->len);
	lh_pq_writer_free(w);
}

static LhPqBytes
slot_bytes(const Column *c, const LhPqVector *v, int64_t i)
{
	switch (c->leaf.type)
	{
		case LH_PQ_BOOLEAN:
			return (LhPqBytes) {v->values.b + i, 1};
		case LH_PQ_INT32:
		case LH_PQ_FLOAT:
			return (LhPqBytes) {(const uint8_t *) (v->values.i32 + i), 4};
		case LH_PQ_INT64:
		case LH_PQ_DOUBLE:
			return (LhPqBytes) {(const uint8_t *) (v->values.i64 + i), 8};
		default:
			return v->values.bytes[i];
	}
}

static void
check_values(const Column *c, const PqFile *f, int64_t batch)
{
	int64_t		row = 0;
	LhError		err;
	uint8_t		bytes[128];
	size_t		len;

	for (int g = 0; g < f->meta->n_row_groups; g++)
	{
		LhPqColumnReader *r;
		LhPqVector	v;

		LH_SUCCEED(pq_file_column(f, g, 0, &r, &err));
		for (;;)
		{
			LH_SUCCEED(lh_pq_column_read(r, batch, &v, &err));
			if (v.n_rows == 0)
				break;
			for (int64_t i = 0; i < v.n_rows; i++, row++)
			{
				bool		null = v.nulls != NULL && v.nulls[i];
				LhPqBytes	got;

				LH_EQ_INT(null, is_null(c, row));
				if (null)
					continue;
				got = slot_bytes(c, &v, i);
				value_of(c, row, bytes, &len);
				LH_EQ_INT(got.len, len);
				if (len > 0)
					LH_EQ_MEM(got.data, bytes, len);
			}
		}
		lh_pq_column_close(r);
	}
	LH_EQ_INT(row, f->meta->num_rows);
}

static bool
is_nan(const Column *c, const uint8_t *bytes)
{
	float		f;
	double		d;

	memcpy(&f, bytes, 4);
	memcpy(&d, bytes, 8);
	return c->leaf.type == LH_PQ_FLOAT ? f != f : c->leaf.type == LH_PQ_DOUBLE ? d != d : false;
}

/* Statistics contain every value, reach one if they say so, and count nulls. */
static void
check_stats(const Column *c, const PqFile *f)
{
	int64_t		row = 0;
	uint8_t		bytes[128];
	size_t		len;

	for (int g = 0; g < f->meta->n_row_groups; g++)
	{
		const LhPqStats *s = &f->meta->row_groups[g].chunks[0].stats;
		int64_t		nulls = 0;
		bool		any = false;
		bool		min_met = false;
		bool		max_met = false;

		for (int64_t i = 0; i < f->meta->row_groups[g].num_rows; i++, row++)
		{
			LhPqBytes	v = {bytes, 0};

			if (is_null(c, row))
			{
				nulls++;
				continue;
			}
			value_of(c, row, bytes, &len);
			v.len = (int32_t) len;
			if (is_nan(c, bytes))
				continue;
			any = true;
			LH_CHECK(s->min.data != NULL && s->max.data != NULL);
			LH_CHECK(lh_pq_compare(&c->leaf, s->min, v) <= 0);
			LH_CHECK(lh_pq_compare(&c->leaf, s->max, v) >= 0);
			min_met |= lh_pq_compare(&c->leaf, s->min, v) == 0;
			max_met |= lh_pq_compare(&c->leaf, s->max, v) == 0;
		}
		LH_EQ_INT(s->null_count, nulls);
		LH_CHECK(!s->min_exact || min_met);
		LH_CHECK(!s->max_exact || max_met);
		LH_CHECK(any || s->min.data == NULL);
	}
}

static void
check_extras(const Column *c, const PqFile *f)
{
	int64_t		row = 0;
	LhError		err;

	for (int g = 0; g < f->meta->n_row_groups; g++)
	{
		const LhPqChunk *chunk = &f->meta->row_groups[g].chunks[0];
		int64_t		rows = f->meta->row_groups[g].num_rows;
		LhPqOffsetIndex offsets;
		LhPqColumnIndex bounds = {0};
		LhArena		arena;
		int			page = 0;
		uint8_t		bytes[128];
		size_t		len;

		lh_arena_init(&arena, &lh_malloc);
		LH_SUCCEED(lh_pq_offset_index_parse(f->data + chunk->offset_index_offset, (size_t) chunk->offset_index_length,
											f->meta, g, 0, &arena, &offsets, &err));
		if (chunk->column_index_offset >= 0)
			LH_SUCCEED(lh_pq_column_index_parse(f->data + chunk->column_index_offset, (size_t) chunk->column_index_length,
												f->meta, g, 0, &arena, &bounds, &err));
		LH_CHECK(bounds.n_pages == 0 || bounds.n_pages == offsets.n_pages);
		for (int64_t i = 0; i < rows; i++, row++)
		{
			LhPqBytes	v = {bytes, 0};
			bool		maybe = true;

			while (page + 1 < offsets.n_pages && offsets.pages[page + 1].first_row <= i)
				page++;
			if (is_null(c, row))
				continue;
			value_of(c, row, bytes, &len);
			v.len = (int32_t) len;
			if (chunk->bloom_offset >= 0)
				LH_SUCCEED(lh_pq_bloom_check(f->data + chunk->bloom_offset, (size_t) chunk->bloom_length,
											 bytes, len, &maybe, &err));
			LH_CHECK(maybe);
			if (bounds.n_pages == 0 || is_nan(c, bytes))
				continue;
			LH_CHECK(!bounds.null_pages[page]);
			LH_CHECK(lh_pq_compare(&c->leaf, bounds.min[page], v) <= 0);
			LH_CHECK(lh_pq_compare(&c->leaf, bounds.max[page], v) >= 0);
		}
		lh_arena_free(&arena);
	}
}

static void
round_trip(const Column *c, int64_t rows, const LhPqWriterOptions *o, int64_t group)
{
	LhBuf		buf;
	PqFile		f;
	LhPqFileMeta *meta = NULL;
	LhError		err;

	lh_buf_init(&buf, &lh_malloc);
	write_column(c, rows, o, group, &buf, &meta);
	LH_GIVE_UP();
	LH_SUCCEED(pq_file_open(&f, buf.data, buf.len, &err));
	LH_EQ_INT(f.meta->num_rows, rows);
	LH_EQ_INT(meta->num_rows, rows);
	LH_EQ_INT(f.meta->schema.leaves[0]->field_id, 1);
	check_values(c, &f, 1 + (int64_t) (next_random() % 50));
	LH_GIVE_UP();
	check_values(c, &f, 100000);
	LH_GIVE_UP();
	check_stats(c, &f);
	LH_GIVE_UP();
	check_extras(c, &f);
	lh_pq_meta_free(f.meta);
	lh_pq_meta_free(meta);
	lh_buf_free(&buf);
}

static const LhPqType types[] = {
	LH_PQ_BOOLEAN, LH_PQ_INT32, LH_PQ_INT64, LH_PQ_FLOAT, LH_PQ_DOUBLE, LH_PQ_BYTE_ARRAY, LH_PQ_FLBA
};

/* Every type, pattern, null pattern and a choice of options, at one length. */
static void
round_trips_of(int64_t rows)
{
	for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++)
		for (int pattern = 0; pattern < N_PATTERNS; pattern++)
			for (int nulls = -1; nulls < N_NULL_PATTERNS; nulls++)
			{
				Column		c;
				LhPqWriterOptions o;
				uint64_t	dice = next_random();

				make_column(&c, types[t], nulls < 0 ? LH_PQ_REQUIRED : LH_PQ_OPTIONAL);
				if (types[t] == LH_PQ_BYTE_ARRAY && dice % 5 > 0)
					c.leaf.logical = LH_PQ_STRING;
				c.pattern = pattern;
				c.nulls = nulls;
				c.delta = (types[t] == LH_PQ_INT32 || types[t] == LH_PQ_INT64) && dice % 2;
				c.bloom = dice / 2 % 2;
				lh_pq_writer_defaults(&o);
				if (dice / 4 % 2)
					o.codec = LH_PQ_UNCOMPRESSED;
				o.zstd_level = 1;
				o.page_rows = dice / 8 % 3 == 0 ? 7 : dice / 8 % 3 == 1 ? 128 : 100000;
				o.page_bytes = dice / 24 % 2 ? 300 : 1 << 20;
				o.dictionary_bytes = dice / 48 % 3 == 0 ? 0 : dice / 48 % 3 == 1 ? 60 : 1 << 20;
				round_trip(&c, rows, &o, dice / 144 % 2 ? 100 : 1 << 20);
				lh_arena_free(&c.arena);
				if (lh_test_failed())
				{
					printf("rows %d, type %d, pattern %d, nulls %d, delta %d, pages of %d rows or %d bytes, dictionary %d\n",
						   (int) rows, (int) types[t], pattern, nulls, c.delta, (int) o.page_rows,
						   (int) o.page_bytes, (int) o.dictionary_bytes);
					return;
				}
			}
}

LH_TEST(round_trips_of_short_lengths)
{
	for (int64_t rows = 0; rows <= 40; rows++)
	{
		round_trips_of(rows);
		LH_GIVE_UP();
	}
}

LH_TEST(round_trips_near_boundaries)
{
	const int64_t lengths[] = {63, 64, 65, 99, 100, 101, 127, 128, 129, 130, 160, 161, 255, 256, 257, 511, 512, 513,
	1023, 1024, 1025, 3000};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
	{
		round_trips_of(lengths[i]);
		LH_GIVE_UP();
	}
}

/* ---- nested columns ---- */

/* Levels of a leaf under three optional lists of an optional value. */
typedef struct Levels
{
	uint8_t    *rep;
	uint8_t    *def;
	int64_t		n;
	int64_t		cap;
} Levels;

static void
add_level(Levels *l, int rep, int def)
{
	if (l->n == l->cap)
	{
		l->cap = l->cap * 2 + 64;
		l->rep = realloc(l->rep, (size_t) l->cap);
		l->def = realloc(l->def, (size_t) l->cap);
	}
	l->rep[l->n] = (uint8_t) rep;
	l->def[l->n++] = (uint8_t) def;
}

/* A random list at `depth` (0 outermost): null, empty, or of such elements. */
static void
random_list(Levels *l, int depth, int rep)
{
	int			n = (int) (next_random() % 5);

	if (depth == 3)
	{
		add_level(l, rep, next_random() % 4 == 0 ? 6 : 7);
		return;
	}
	if (next_random() % 6 == 0 || n == 0)
	{
		add_level(l, rep, 2 * depth + (n == 0));
		return;
	}
	for (int i = 0; i < n; i++)
		random_list(l, depth + 1, i == 0 ? rep : depth + 1);
}

static void
make_nested(LhPqSchema *schema, LhArena *arena, LhPqType type)
{
	LhPqNode   *node = lh_arena_zero(arena, sizeof(LhPqNode));
	LhError		err;

	*node = (LhPqNode) {.name = "element",.rep = LH_PQ_OPTIONAL,.type = type,.field_id = -1};
	for (int i = 0; i < 7; i++)
	{
		LhPqNode   *outer = lh_arena_zero(arena, sizeof(LhPqNode));

		outer->name = i == 6 ? "root" : i % 2 == 0 ? "list" : "element";
		outer->rep = i % 2 == 0 ? LH_PQ_REPEATED : LH_PQ_OPTIONAL;
		outer->logical = i % 2 == 0 ? LH_PQ_NONE : LH_PQ_LIST;
		outer->is_group = true;
		outer->field_id = -1;
		outer->n_children = 1;
		outer->children = lh_arena_zero(arena, sizeof(LhPqNode *));
		outer->children[0] = node;
		node = outer;
	}
	schema->root = node;
	LH_SUCCEED(lh_pq_schema_finish(schema, arena, &err));
}

static void
compare_levels(const Levels *l, const PqFile *f, int64_t batch, int64_t skip)
{
	LhPqColumnReader *r;
	LhError		err;
	int64_t		at = 0;
	int64_t		value = 0;
	char		text[32];

	LH_SUCCEED(pq_file_column(f, 0, 0, &r, &err));
	for (int64_t row = 0; row < f->meta->num_rows;)
	{
		LhPqVector	v;
		int64_t		k = 0;

		LH_SUCCEED(lh_pq_column_read(r, batch, &v, &err));
		for (int64_t i = 0; i < v.n_levels; i++, at++)
		{
			LH_EQ_INT(v.rep[i], l->rep[at]);
			LH_EQ_INT(v.def[i], l->def[at]);
			if (v.def[i] < 7)
				continue;
			snprintf(text, sizeof(text), "%d", (int) (value++ % 50));
			LH_EQ_INT(v.values.bytes[k].len, strlen(text));
			LH_EQ_MEM(v.values.bytes[k].data, text, strlen(text));
			k++;
		}
		LH_EQ_INT(k, v.n_values);
		row += v.n_rows;
		k = skip < f->meta->num_rows - row ? skip : f->meta->num_rows - row;
		LH_SUCCEED(lh_pq_column_skip(r, k, &err));
		row += k;
		/* pass over the levels of the rows skipped */
		for (k++; k > 0 && at < l->n; at++)
		{
			if (l->rep[at] == 0 && --k == 0)
				break;
			value += l->def[at] == 7;
		}
	}
	LH_EQ_INT(at, l->n);
	lh_pq_column_close(r);
}

static void
nested_round_trip(int rows, int64_t page_rows, int64_t page_bytes)
{
	Levels		l = {0};
	LhArena		arena;
	LhPqSchema	schema;
	LhPqWriterOptions o;
	LhPqWriter *w;
	LhPqFileMeta *meta;
	LhBuf		buf;
	PqFile		f;
	LhError		err;
	int			value = 0;

	lh_arena_init(&arena, &lh_malloc);
	lh_buf_init(&buf, &lh_malloc);
	make_nested(&schema, &arena, LH_PQ_BYTE_ARRAY);
	for (int i = 0; i < rows; i++)
		random_list(&l, 0, 0);
	lh_pq_writer_defaults(&o);
	o.page_rows = page_rows;
	o.page_bytes = page_bytes;
	LH_SUCCEED(lh_pq_writer_open(&schema, &o, &lh_malloc, to_buffer, &buf, &w, &err));
	for (int64_t i = 0; i < l.n; i++)
	{
		char		text[32];

		if (i > 0 && l.rep[i] == 0)
			LH_SUCCEED(lh_pq_end_row(w, &err));
		snprintf(text, sizeof(text), "%d", value % 50);
		if (l.def[i] == 7)
			LH_SUCCEED(lh_pq_put_bytes(w, 0, l.rep[i], text, strlen(text), &err));
		else
			LH_SUCCEED(lh_pq_put_null(w, 0, l.rep[i], l.def[i], &err));
		value += l.def[i] == 7;
	}
	LH_SUCCEED(lh_pq_end_row(w, &err));
	LH_SUCCEED(lh_pq_writer_close(w, &meta, &err));
	LH_SUCCEED(pq_file_open(&f, buf.data, buf.len, &err));
	LH_EQ_INT(f.meta->row_groups[0].chunks[0].num_values, l.n);
	for (int64_t batch = 1; batch < 3000 && !lh_test_failed(); batch = batch * 3 + 1)
		for (int64_t skip = 0; skip < 40 && !lh_test_failed(); skip = skip * 5 + 3)
			compare_levels(&l, &f, batch, skip);
	lh_pq_writer_free(w);
	lh_pq_meta_free(f.meta);
	lh_pq_meta_free(meta);
	lh_buf_free(&buf);
	lh_arena_free(&arena);
	free(l.rep);
	free(l.def);
}

LH_TEST(nested_round_trips)
{
	const int64_t pages[] = {1, 3, 50, 100000};

	for (int rows = 1; rows < 600; rows = rows * 2 + 1)
		for (int p = 0; p < 4; p++)
		{
			nested_round_trip(rows, pages[p], p == 2 ? 200 : 1 << 20);
			LH_GIVE_UP();
		}
}

/* ---- misuse ---- */

LH_TEST(writer_refuses_misuse)
{
	Column		c;
	LhPqWriterOptions o;
	LhPqWriter *w;
	LhPqFileMeta *meta;
	LhBuf		buf;
	LhError		err;

	make_column(&c, LH_PQ_INT32, LH_PQ_OPTIONAL);
	lh_buf_init(&buf, &lh_malloc);
	lh_pq_writer_defaults(&o);
	for (int misuse = 0; misuse < 9; misuse++)
	{
		LH_SUCCEED(lh_pq_writer_open(&c.schema, &o, &lh_malloc, to_buffer, &buf, &w, &err));
		LH_SUCCEED(lh_pq_put_i32(w, 0, 0, 1, &err));
		switch (misuse)
		{
			case 0:
				LH_REFUSE(lh_pq_put_i32(w, 0, 0, 1, &err), LH_ERR_INVALID);
				break;
			case 1:
				LH_REFUSE(lh_pq_put_i32(w, 0, 1, 1, &err), LH_ERR_INVALID);
				break;
			case 2:
				LH_REFUSE(lh_pq_put_i64(w, 0, 0, 1, &err), LH_ERR_INVALID);
				break;
			case 3:
				LH_REFUSE(lh_pq_put_i32(w, 1, 0, 1, &err), LH_ERR_INVALID);
				break;
			case 4:
				LH_REFUSE(lh_pq_put_null(w, 0, 0, 1, &err), LH_ERR_INVALID);
				break;
			case 5:
				LH_REFUSE(lh_pq_writer_flush(w, &err), LH_ERR_INVALID);
				break;
			case 6:
				LH_SUCCEED(lh_pq_end_row(w, &err));
				LH_REFUSE(lh_pq_end_row(w, &err), LH_ERR_INVALID);
				break;
			case 7:
				LH_REFUSE(lh_pq_put_bytes(w, 0, 0, "x", 1, &err), LH_ERR_INVALID);
				break;
			case 8:
				LH_REFUSE(lh_pq_writer_close(w, &meta, &err), LH_ERR_INVALID);
				break;
		}
		/* and takes nothing any more */
		LH_REFUSE(lh_pq_put_i32(w, 0, 0, 1, &err), LH_ERR_INVALID);
		lh_pq_writer_free(w);
	}
	lh_buf_free(&buf);
	lh_arena_free(&c.arena);
}

/* ---- bounds of long text ---- */

static void
text_bounds(const char *text, size_t len, const char *max, size_t max_len)
{
	Column		c;
	LhPqWriterOptions o;
	LhPqWriter *w;
	LhPqFileMeta *meta;
	LhBuf		buf;
	LhError		err;
	const LhPqStats *s;

	make_column(&c, LH_PQ_BYTE_ARRAY, LH_PQ_REQUIRED);
	c.leaf.logical = LH_PQ_STRING;
	lh_buf_init(&buf, &lh_malloc);
	lh_pq_writer_defaults(&o);
	LH_SUCCEED(lh_pq_writer_open(&c.schema, &o, &lh_malloc, to_buffer, &buf, &w, &err));
	LH_SUCCEED(lh_pq_put_bytes(w, 0, 0, text, len, &err));
	LH_SUCCEED(lh_pq_end_row(w, &err));
	LH_SUCCEED(lh_pq_writer_close(w, &meta, &err));
	s = &meta->row_groups[0].chunks[0].stats;
	LH_CHECK(!s->min_exact && !s->max_exact);
	LH_CHECK(s->min.len >= 61 && s->min.len <= 64);
	LH_EQ_MEM(s->min.data, text, (size_t) s->min.len);
	if (max == NULL)
		LH_CHECK(s->max.data == NULL);
	else
	{
		LH_EQ_INT(s->max.len, max_len);
		LH_EQ_MEM(s->max.data, max, max_len);
	}
	lh_pq_writer_free(w);
	lh_pq_meta_free(meta);
	lh_buf_free(&buf);
	lh_arena_free(&c.arena);
}

LH_TEST(long_text_is_cut_between_characters)
{
	char		text[200];
	char		max[80];

	memset(text, 'a', sizeof(text));
	memset(max, 'a', sizeof(max));
	max[63] = 'b';
	text_bounds(text, 100, max, 64);
	/* a euro sign across the limit goes as a whole */
	memcpy(text + 62, "\xe2\x82\xac", 3);
	max[61] = 'b';
	text_bounds(text, 100, max, 62);
	/* the last character below the surrogates is followed by the first above */
	memset(text, 'a', sizeof(text));
	memcpy(text + 61, "\xed\x9f\xbf", 3);
	memcpy(max, text, 64);
	memcpy(max + 61, "\xee\x80\x80", 3);
	text_bounds(text, 100, max, 64);
	/* nothing is greater than the greatest: carry to the left */
	memset(text, 'a', sizeof(text));
	for (int i = 0; i < 16; i++)
		memcpy(text + 4 + 4 * i, "\xf4\x8f\xbf\xbf", 4);
	text_bounds(text, 100, "aaab", 4);
	/* and where there is nothing to the left, there is no bound */
	for (int i = 0; i < 25; i++)
		memcpy(text + 4 * i, "\xf4\x8f\xbf\xbf", 4);
	text_bounds(text, 100, NULL, 0);
	/* 7f is followed by a character of two bytes */
	memset(text, 'a', sizeof(text));
	text[63] = 0x7f;
	memset(max, 'a', 64);
	memcpy(max + 63, "\xc2\x80", 2);
	text_bounds(text, 100, max, 65);
}
