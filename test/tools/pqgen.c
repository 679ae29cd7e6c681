/*
 * pqgen.c
 *	  Writes Parquet files whose contents test/interop/pq_roundtrip.py can
 *	  compute for itself: pqgen KIND ROWS FILE [option ...]
 *
 * Kinds: types (every type, optional and required), nested (lists three deep,
 * structs, maps), copy (the rows of another file: copy SOURCE FILE).
 * Options: plain (no compression), delta, bloom, pages=N, group=N, dict=BYTES,
 * level=N.
 */
#include "pq_file.h"

#include <errno.h>
#include <stdarg.h>

typedef struct Options
{
	int64_t		group_rows;
	bool		delta;
	bool		bloom;
	LhPqWriterOptions w;
} Options;

static LhError err;

static void
check(LhStatus status)
{
	if (status == LH_OK)
		return;
	fprintf(stderr, "pqgen: %s\n", err.message);
	exit(1);
}

static LhStatus
to_file(void *ctx, const uint8_t *data, size_t len, LhError *e)
{
	if (fwrite(data, 1, len, ctx) != len)
		return lh_fail(e, LH_ERR_IO, -1, "cannot write: %s", strerror(errno));
	return LH_OK;
}

/* ---- schema ---- */

static LhArena arena;
static int	next_id = 1;

static LhPqNode *
node(const char *name, LhPqRep rep, LhPqType type, LhPqLogical logical)
{
	LhPqNode   *n = lh_arena_zero(&arena, sizeof(LhPqNode));

	n->name = name;
	n->rep = rep;
	n->type = type;
	n->logical = logical;
	n->field_id = next_id++;
	return n;
}

static LhPqNode *
group(const char *name, LhPqRep rep, LhPqLogical logical, int n_children, ...)
{
	LhPqNode   *n = node(name, rep, LH_PQ_BOOLEAN, logical);
	va_list		args;

	n->is_group = true;
	n->n_children = n_children;
	n->children = lh_arena_zero(&arena, sizeof(LhPqNode *) * (size_t) n_children);
	va_start(args, n_children);
	for (int i = 0; i < n_children; i++)
		n->children[i] = va_arg(args, LhPqNode *);
	va_end(args);
	return n;
}

static LhPqNode *
list(const char *name, LhPqRep rep, LhPqNode *element)
{
	LhPqNode   *middle = group("list", LH_PQ_REPEATED, LH_PQ_NONE, 1, element);

	middle->field_id = -1;
	return group(name, rep, LH_PQ_LIST, 1, middle);
}

/* ---- every type ---- */

enum
{
	N_TYPES = 21
};

static LhPqNode *
type_node(int i, const char *name, LhPqRep rep)
{
	LhPqNode   *n = node(name, rep, LH_PQ_INT32, LH_PQ_NONE);

	switch (i)
	{
		case 0:
			n->type = LH_PQ_BOOLEAN;
			break;
		case 1:
			break;
		case 2:
			n->type = LH_PQ_INT64;
			break;
		case 3:
			n->type = LH_PQ_FLOAT;
			break;
		case 4:
			n->type = LH_PQ_DOUBLE;
			break;
		case 5:
			n->type = LH_PQ_BYTE_ARRAY;
			n->logical = LH_PQ_STRING;
			break;
		case 6:
			n->type = LH_PQ_BYTE_ARRAY;
			break;
		case 7:
			n->type = LH_PQ_FLBA;
			n->type_length = 16;
			n->logical = LH_PQ_UUID;
			break;
		case 8:
			n->logical = LH_PQ_DATE;
			break;
		case 9:
			n->type = LH_PQ_INT64;
			n->logical = LH_PQ_TIME;
			n->unit = LH_PQ_MICROS;
			break;
		case 10:
		case 11:
			n->type = LH_PQ_INT64;
			n->logical = LH_PQ_TIMESTAMP;
			n->unit = LH_PQ_MICROS;
			n->utc = i == 11;
			break;
		case 12:
		case 13:
		case 14:
			n->type = i == 12 ? LH_PQ_INT32 : i == 13 ? LH_PQ_INT64 : LH_PQ_FLBA;
			n->type_length = 13;
			n->logical = LH_PQ_DECIMAL;
			n->precision = i == 12 ? 9 : i == 13 ? 18 : 30;
			n->scale = 2;
			break;
		case 15:
		case 16:
			n->logical = LH_PQ_INTEGER;
			n->bit_width = 16;
			n->is_signed = i == 15;
			break;
		case 17:
			n->type = LH_PQ_INT64;
			n->logical = LH_PQ_INTEGER;
			n->bit_width = 64;
			break;
		case 18:
			n->type = LH_PQ_FLBA;
			n->type_length = 5;
			break;
		case 19:
			n->type = LH_PQ_INT64;
			n->logical = LH_PQ_TIMESTAMP;
			n->unit = LH_PQ_NANOS;
			break;
		case 20:
			n->type = LH_PQ_BYTE_ARRAY;
			n->logical = LH_PQ_STRING;
			break;
	}
	return n;
}

/* The value of row r, as pq_roundtrip.py has it too. */
static void
put_typed(LhPqWriter *w, int leaf, int i, int64_t r)
{
	char		text[400];
	uint8_t		bytes[16];
	uint64_t	h = (uint64_t) r * UINT64_C(2654435761) % 1000003;

	switch (i)
	{
		case 0:
			check(lh_pq_put_bool(w, leaf, 0, r % 3 == 0, &err));
			break;
		case 1:
		case 8:
		case 12:
			check(lh_pq_put_i32(w, leaf, 0, (int32_t) h - 500000, &err));
			break;
		case 2:
		case 13:
			check(lh_pq_put_i64(w, leaf, 0, (int64_t) h * 1000003 - r, &err));
			break;
		case 3:
			check(lh_pq_put_float(w, leaf, 0, r % 50 == 7 ? __builtin_nanf("") : (float) (r % 100) / 4 - 5, &err));
			break;
		case 4:
			check(lh_pq_put_double(w, leaf, 0, r % 40 == 3 ? -0.0 : (double) h / 8, &err));
			break;
		case 5:
			snprintf(text, sizeof(text), "name %d \xc3\xa4\xe2\x82\xac", (int) (r % 17));
			check(lh_pq_put_bytes(w, leaf, 0, text, strlen(text), &err));
			break;
		case 6:
			lh_put_u64le(bytes, h * UINT64_C(0x9e3779b97f4a7c15));
			check(lh_pq_put_bytes(w, leaf, 0, bytes, (size_t) (r % 9), &err));
			break;
		case 7:
			lh_put_u64le(bytes, h);
			lh_put_u64le(bytes + 8, (uint64_t) r);
			check(lh_pq_put_bytes(w, leaf, 0, bytes, 16, &err));
			break;
		case 9:
			check(lh_pq_put_i64(w, leaf, 0, (int64_t) h * 80000, &err));
			break;
		case 10:
		case 11:
		case 19:
			check(lh_pq_put_i64(w, leaf, 0, (int64_t) h * 1000000007 - 300000000, &err));
			break;
		case 14:
			memset(bytes, h % 2 ? 0xff : 0, 13);
			for (int k = 0; k < 6; k++)
				bytes[12 - k] = (uint8_t) (h * 977 >> (8 * k));
			check(lh_pq_put_bytes(w, leaf, 0, bytes, 13, &err));
			break;
		case 15:
			check(lh_pq_put_i32(w, leaf, 0, (int32_t) (h % 60000) - 30000, &err));
			break;
		case 16:
			check(lh_pq_put_i32(w, leaf, 0, (int32_t) (h % 65536), &err));
			break;
		case 17:
			check(lh_pq_put_i64(w, leaf, 0, (int64_t) (h * UINT64_C(18000000000000)), &err));
			break;
		case 18:
			snprintf(text, sizeof(text), "%05d", (int) (h % 100000));
			check(lh_pq_put_bytes(w, leaf, 0, text, 5, &err));
			break;
		case 20:
			/* longer than bounds may be, and different only behind */
			memset(text, 'x', 100);
			snprintf(text + 100, 40, "%lld", (long long) r);
			check(lh_pq_put_bytes(w, leaf, 0, text, strlen(text), &err));
			break;
	}
}

/* ---- writing ---- */

static LhPqWriter *
open_writer(const LhPqSchema *schema, Options *o, FILE *out)
{
	LhPqWriter *w;
	bool	   *delta = lh_arena_zero(&arena, (size_t) schema->n_leaves);
	bool	   *bloom = lh_arena_zero(&arena, (size_t) schema->n_leaves);

	for (int i = 0; i < schema->n_leaves; i++)
	{
		LhPqType	t = schema->leaves[i]->type;

		delta[i] = o->delta && (t == LH_PQ_INT32 || t == LH_PQ_INT64);
		bloom[i] = o->bloom;
	}
	o->w.delta = delta;
	o->w.bloom = bloom;
	check(lh_pq_writer_open(schema, &o->w, &lh_malloc, to_file, out, &w, &err));
	return w;
}

static void
end_row(LhPqWriter *w, const Options *o)
{
	check(lh_pq_end_row(w, &err));
	if (lh_pq_writer_rows(w) >= o->group_rows)
		check(lh_pq_writer_flush(w, &err));
}

static void
write_types(int64_t rows, Options *o, FILE *out)
{
	LhPqNode   *children[2 * N_TYPES];
	LhPqNode	root = {.name = "schema",.is_group = true,.field_id = -1};
	LhPqSchema	schema = {.root = &root};
	LhPqFileMeta *meta;
	LhPqWriter *w;

	for (int i = 0; i < 2 * N_TYPES; i++)
	{
		char	   *name = lh_arena_alloc(&arena, 8);

		snprintf(name, 8, "%c%02d", i < N_TYPES ? 'r' : 'o', i % N_TYPES);
		children[i] = type_node(i % N_TYPES, name, i < N_TYPES ? LH_PQ_REQUIRED : LH_PQ_OPTIONAL);
	}
	root.n_children = 2 * N_TYPES;
	root.children = children;
	check(lh_pq_schema_finish(&schema, &arena, &err));
	w = open_writer(&schema, o, out);
	for (int64_t r = 0; r < rows; r++)
	{
		for (int i = 0; i < 2 * N_TYPES; i++)
			if (i >= N_TYPES && (r + i) % 5 == 0)
				check(lh_pq_put_null(w, i, 0, 0, &err));
			else
				put_typed(w, i, i % N_TYPES, r);
		end_row(w, o);
	}
	check(lh_pq_writer_close(w, &meta, &err));
	lh_pq_meta_free(meta);
	lh_pq_writer_free(w);
}

/*
 * deep: list of list of list of optional int; st: struct of (optional int a,
 * list l of string); m: map of string to optional double.
 */
static void
put_deep(LhPqWriter *w, int64_t r)
{
	int			n1 = (int) (r % 4);
	int			rep = 0;

	if (r % 7 == 0)
	{
		check(lh_pq_put_null(w, 0, 0, 0, &err));
		return;
	}
	if (n1 == 0)
		check(lh_pq_put_null(w, 0, 0, 1, &err));
	for (int a = 0; a < n1; a++)
	{
		int			n2 = (int) ((r + a) % 3);

		if ((r + a) % 5 == 0)
			check(lh_pq_put_null(w, 0, rep, 2, &err));
		else if (n2 == 0)
			check(lh_pq_put_null(w, 0, rep, 3, &err));
		else
			for (int b = 0; b < n2; b++)
			{
				int			n3 = (int) ((r + b) % 3);
				int			outer = b > 0 ? 2 : rep;

				if ((r + b) % 6 == 0)
					check(lh_pq_put_null(w, 0, outer, 4, &err));
				else if (n3 == 0)
					check(lh_pq_put_null(w, 0, outer, 5, &err));
				for (int c = 0; (r + b) % 6 != 0 && c < n3; c++)
					if ((r + c) % 4 == 0)
						check(lh_pq_put_null(w, 0, c > 0 ? 3 : outer, 6, &err));
					else
						check(lh_pq_put_i32(w, 0, c > 0 ? 3 : outer, (int32_t) (r * 100 + a * 10 + c), &err));
			}
		rep = 1;
	}
}

static void
put_struct(LhPqWriter *w, int64_t r)
{
	int			n = (int) (r % 3);
	char		text[32];

	if (r % 9 == 0)
	{
		check(lh_pq_put_null(w, 1, 0, 0, &err));
		check(lh_pq_put_null(w, 2, 0, 0, &err));
		return;
	}
	if (r % 2 == 0)
		check(lh_pq_put_null(w, 1, 0, 1, &err));
	else
		check(lh_pq_put_i32(w, 1, 0, (int32_t) r, &err));
	if (n == 0)
		check(lh_pq_put_null(w, 2, 0, 1, &err));
	for (int i = 0; i < n; i++)
	{
		snprintf(text, sizeof(text), "s%d", (int) ((r + i) % 23));
		check(lh_pq_put_bytes(w, 2, i > 0, text, strlen(text), &err));
	}
}

static void
put_map(LhPqWriter *w, int64_t r)
{
	int			n = (int) (r % 4);
	char		text[32];

	if (n == 3)
	{
		/* no map at all */
		check(lh_pq_put_null(w, 3, 0, 0, &err));
		check(lh_pq_put_null(w, 4, 0, 0, &err));
		return;
	}
	if (n == 0)
	{
		check(lh_pq_put_null(w, 3, 0, 1, &err));
		check(lh_pq_put_null(w, 4, 0, 1, &err));
	}
	for (int i = 0; i < n; i++)
	{
		snprintf(text, sizeof(text), "k%d", i);
		check(lh_pq_put_bytes(w, 3, i > 0, text, strlen(text), &err));
		if ((r + i) % 3 == 0)
			check(lh_pq_put_null(w, 4, i > 0, 2, &err));
		else
			check(lh_pq_put_double(w, 4, i > 0, (double) r / 2, &err));
	}
}

static void
write_nested(int64_t rows, Options *o, FILE *out)
{
	LhPqNode   *leaf = node("element", LH_PQ_OPTIONAL, LH_PQ_INT32, LH_PQ_NONE);
	LhPqNode   *inner = list("element", LH_PQ_OPTIONAL, leaf);
	LhPqNode   *deep = list("deep", LH_PQ_OPTIONAL, list("element", LH_PQ_OPTIONAL, inner));
	LhPqNode   *a = node("a", LH_PQ_OPTIONAL, LH_PQ_INT32, LH_PQ_NONE);
	LhPqNode   *l = list("l", LH_PQ_REQUIRED, node("element", LH_PQ_REQUIRED, LH_PQ_BYTE_ARRAY, LH_PQ_STRING));
	LhPqNode   *st = group("st", LH_PQ_OPTIONAL, LH_PQ_NONE, 2, a, l);
	LhPqNode   *kv = group("key_value", LH_PQ_REPEATED, LH_PQ_NONE, 2,
							node("key", LH_PQ_REQUIRED, LH_PQ_BYTE_ARRAY, LH_PQ_STRING),
							node("value", LH_PQ_OPTIONAL, LH_PQ_DOUBLE, LH_PQ_NONE));
	LhPqNode   *root = group("schema", LH_PQ_REQUIRED, LH_PQ_NONE, 3, deep, st,
							  group("m", LH_PQ_OPTIONAL, LH_PQ_MAP, 1, kv));
	LhPqSchema	schema = {.root = root};
	LhPqFileMeta *meta;
	LhPqWriter *w;

	kv->field_id = root->field_id = -1;
	check(lh_pq_schema_finish(&schema, &arena, &err));
	w = open_writer(&schema, o, out);
	for (int64_t r = 0; r < rows; r++)
	{
		put_deep(w, r);
		put_struct(w, r);
		put_map(w, r);
		end_row(w, o);
	}
	check(lh_pq_writer_close(w, &meta, &err));
	lh_pq_meta_free(meta);
	lh_pq_writer_free(w);
}

/* ---- copying another file ---- */

static void
copy_value(LhPqWriter *w, int leaf, LhPqType type, int rep, const LhPqVector *v, int64_t at)
{
	switch (type)
	{
		case LH_PQ_BOOLEAN:
			check(lh_pq_put_bool(w, leaf, rep, v->values.b[at], &err));
			break;
		case LH_PQ_INT32:
			check(lh_pq_put_i32(w, leaf, rep, v->values.i32[at], &err));
			break;
		case LH_PQ_INT64:
			check(lh_pq_put_i64(w, leaf, rep, v->values.i64[at], &err));
			break;
		case LH_PQ_FLOAT:
			check(lh_pq_put_float(w, leaf, rep, v->values.f32[at], &err));
			break;
		case LH_PQ_DOUBLE:
			check(lh_pq_put_double(w, leaf, rep, v->values.f64[at], &err));
			break;
		default:
			check(lh_pq_put_bytes(w, leaf, rep, v->values.bytes[at].data, (size_t) v->values.bytes[at].len, &err));
	}
}

/* The levels and value of the cursor's row. */
static void
copy_row(LhPqWriter *w, int leaf, PqCursor *c)
{
	int			rep = 0;

	do
	{
		int			def = pq_def(c);

		if (def < c->leaf->max_def)
			check(lh_pq_put_null(w, leaf, rep, def, &err));
		else
			copy_value(w, leaf, c->leaf->type, rep, &c->v, c->value);
		pq_step(c);
		rep = c->v.rep != NULL && c->level < c->v.n_levels ? c->v.rep[c->level] : 0;
	} while (rep > 0);
}

static void
copy_group(const PqFile *f, int g, LhPqWriter *w, const Options *o)
{
	int			n = f->meta->schema.n_leaves;
	LhPqColumnReader **readers = calloc((size_t) n, sizeof(*readers));
	PqCursor   *cursors = calloc((size_t) n, sizeof(*cursors));
	int64_t		left = f->meta->row_groups[g].num_rows;

	for (int i = 0; i < n; i++)
		check(pq_file_column(f, g, i, &readers[i], &err));
	while (left > 0)
	{
		int64_t		rows = left < 1024 ? left : 1024;

		for (int i = 0; i < n; i++)
		{
			cursors[i] = (PqCursor) {.leaf = f->meta->schema.leaves[i]};
			check(lh_pq_column_read(readers[i], rows, &cursors[i].v, &err));
		}
		for (int64_t r = 0; r < rows; r++)
		{
			for (int i = 0; i < n; i++)
				copy_row(w, i, &cursors[i]);
			end_row(w, o);
		}
		left -= rows;
	}
	for (int i = 0; i < n; i++)
		lh_pq_column_close(readers[i]);
	free(readers);
	free(cursors);
}

static void
write_copy(const char *source, Options *o, FILE *out)
{
	FILE	   *in = fopen(source, "rb");
	PqFile		f;
	uint8_t    *data;
	long		size;
	LhPqFileMeta *meta;
	LhPqWriter *w;

	if (in == NULL || fseek(in, 0, SEEK_END) != 0 || (size = ftell(in)) < 0)
	{
		fprintf(stderr, "pqgen: cannot read %s\n", source);
		exit(1);
	}
	rewind(in);
	data = malloc((size_t) size);
	if (fread(data, 1, (size_t) size, in) != (size_t) size)
		exit(1);
	fclose(in);
	check(pq_file_open(&f, data, (size_t) size, &err));
	w = open_writer(&f.meta->schema, o, out);
	for (int g = 0; g < f.meta->n_row_groups; g++)
		copy_group(&f, g, w, o);
	check(lh_pq_writer_close(w, &meta, &err));
	lh_pq_meta_free(meta);
	lh_pq_writer_free(w);
	lh_pq_meta_free(f.meta);
	free(data);
}

static void
parse_option(Options *o, const char *arg)
{
	long long	n = strchr(arg, '=') != NULL ? atoll(strchr(arg, '=') + 1) : 0;

	if (strcmp(arg, "plain") == 0)
		o->w.codec = LH_PQ_UNCOMPRESSED;
	else if (strcmp(arg, "delta") == 0)
		o->delta = true;
	else if (strcmp(arg, "bloom") == 0)
		o->bloom = true;
	else if (strncmp(arg, "pages=", 6) == 0)
		o->w.page_rows = n;
	else if (strncmp(arg, "group=", 6) == 0)
		o->group_rows = n;
	else if (strncmp(arg, "dict=", 5) == 0)
		o->w.dictionary_bytes = n;
	else if (strncmp(arg, "level=", 6) == 0)
		o->w.zstd_level = (int) n;
	else
	{
		fprintf(stderr, "pqgen: unknown option %s\n", arg);
		exit(2);
	}
}

int
main(int argc, char **argv)
{
	Options		o = {.group_rows = 1000000};
	FILE	   *out;

	if (argc < 4)
	{
		fprintf(stderr, "usage: pqgen types|nested ROWS FILE [option ...]\n"
				"       pqgen copy SOURCE FILE [option ...]\n");
		return 2;
	}
	lh_pq_writer_defaults(&o.w);
	for (int i = 4; i < argc; i++)
		parse_option(&o, argv[i]);
	lh_arena_init(&arena, &lh_malloc);
	out = fopen(argv[3], "wb");
	if (out == NULL)
	{
		fprintf(stderr, "pqgen: cannot write %s\n", argv[3]);
		return 1;
	}
	if (strcmp(argv[1], "types") == 0)
		write_types(atoll(argv[2]), &o, out);
	else if (strcmp(argv[1], "nested") == 0)
		write_nested(atoll(argv[2]), &o, out);
	else if (strcmp(argv[1], "copy") == 0)
		write_copy(argv[2], &o, out);
	else
		return 2;
	lh_arena_free(&arena);
	return fclose(out) != 0;
}
