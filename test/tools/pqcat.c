/*
 * pqcat.c
 *	  Prints a Parquet file: pqcat [--schema | --meta | --quiet] FILE
 *
 * Rows come as JSON lines (see pq_file.h); --quiet only decodes all columns.
 */
#include "pq_file.h"

static const char *const type_names[] = {
	"boolean", "int32", "int64", "int96", "float", "double", "byte_array", "fixed"
};
static const char *const rep_names[] = {"required", "optional", "repeated"};
static const char *const logical_names[] = {
	"", "string", "map", "list", "enum", "decimal", "date", "time", "timestamp", "integer",
	"unknown", "json", "bson", "uuid", "float16", "interval", "other"
};
static const char *const unit_names[] = {"ms", "us", "ns"};

static void
print_node(const LhPqNode *node, int depth)
{
	printf("%*s%s ", depth * 2, "", rep_names[node->rep]);
	if (node->is_group)
		printf("group");
	else
		printf("%s", type_names[node->type]);
	if (!node->is_group && node->type == LH_PQ_FLBA)
		printf("(%d)", node->type_length);
	printf(" %s", node->name);
	if (node->field_id >= 0)
		printf(" = %d", node->field_id);
	if (node->logical != LH_PQ_NONE)
		printf(" %s", logical_names[node->logical]);
	if (node->logical == LH_PQ_DECIMAL)
		printf("(%d,%d)", node->precision, node->scale);
	if (node->logical == LH_PQ_INTEGER)
		printf("(%d,%s)", node->bit_width, node->is_signed ? "signed" : "unsigned");
	if (node->logical == LH_PQ_TIME || node->logical == LH_PQ_TIMESTAMP)
		printf("(%s,%s)", unit_names[node->unit], node->utc ? "utc" : "local");
	printf("\n");
	for (int i = 0; node->is_group && i < node->n_children; i++)
		print_node(node->children[i], depth + 1);
}

static void
print_bound(const char *what, LhPqBytes b, bool exact)
{
	if (b.data == NULL)
		return;
	printf(" %s%s=", what, exact ? "" : "~");
	for (int32_t i = 0; i < b.len; i++)
		printf("%02x", b.data[i]);
}

static void
print_meta(const LhPqFileMeta *meta)
{
	printf("rows %lld, created by %s\n", (long long) meta->num_rows,
		   meta->created_by != NULL ? meta->created_by : "nobody");
	for (int i = 0; i < meta->n_kv; i++)
		printf("kv %s=%s\n", meta->kv_keys[i], meta->kv_values[i] != NULL ? meta->kv_values[i] : "(null)");
	for (int g = 0; g < meta->n_row_groups; g++)
		for (int i = 0; i < meta->schema.n_leaves; i++)
		{
			const LhPqChunk *c = &meta->row_groups[g].chunks[i];

			printf("group %d leaf %d %s codec %d values %lld bytes %lld/%lld pages %d+%d encodings %x nulls %lld",
				   g, i, meta->schema.leaves[i]->name, (int) c->codec, (long long) c->num_values,
				   (long long) c->total_compressed, (long long) c->total_uncompressed,
				   c->dictionary_pages, c->other_pages, c->encodings, (long long) c->stats.null_count);
			print_bound("min", c->stats.min, c->stats.min_exact);
			print_bound("max", c->stats.max, c->stats.max_exact);
			printf("\n");
		}
}

static LhStatus
decode_all(const PqFile *f, LhError *err)
{
	LhStatus	status = LH_OK;

	for (int g = 0; g < f->meta->n_row_groups; g++)
		for (int i = 0; i < f->meta->schema.n_leaves && status == LH_OK; i++)
		{
			LhPqColumnReader *r;
			LhPqVector	v;

			status = pq_file_column(f, g, i, &r, err);
			do
				if (status == LH_OK)
					status = lh_pq_column_read(r, 8192, &v, err);
			while (status == LH_OK && v.n_rows > 0);
			lh_pq_column_close(r);
		}
	return status;
}

static uint8_t *
read_file(const char *path, size_t *len)
{
	FILE	   *f = fopen(path, "rb");
	uint8_t    *data;
	long		size;

	if (f == NULL || fseek(f, 0, SEEK_END) != 0 || (size = ftell(f)) < 0)
		return NULL;
	rewind(f);
	data = malloc((size_t) size + 1);
	*len = data != NULL ? fread(data, 1, (size_t) size, f) : 0;
	fclose(f);
	return data;
}

int
main(int argc, char **argv)
{
	const char *option = argc == 3 ? argv[1] : "";
	PqFile		f = {0};
	LhError		err = {0};
	size_t		len = 0;
	uint8_t    *data;
	LhStatus	status;

	if (argc < 2 || argc > 3)
	{
		fprintf(stderr, "usage: pqcat [--schema | --meta | --quiet] FILE\n");
		return 2;
	}
	data = read_file(argv[argc - 1], &len);
	if (data == NULL)
	{
		fprintf(stderr, "pqcat: cannot read %s\n", argv[argc - 1]);
		return 2;
	}
	status = pq_file_open(&f, data, len, &err);
	if (status == LH_OK && strcmp(option, "--schema") == 0)
		print_node(f.meta->schema.root, 0);
	else if (status == LH_OK && strcmp(option, "--meta") == 0)
		print_meta(f.meta);
	else if (status == LH_OK && strcmp(option, "--quiet") == 0)
		status = decode_all(&f, &err);
	else
		for (int g = 0; status == LH_OK && g < f.meta->n_row_groups; g++)
		{
			LhBuf		out;

			lh_buf_init(&out, &lh_malloc);
			status = pq_json_row_group(&out, &f, g, 1000, &err);
			if (out.len > 0)
				fwrite(out.data, 1, out.len, stdout);
			lh_buf_free(&out);
		}
	if (status != LH_OK)
		fprintf(stderr, "pqcat: %s\n", err.message);
	lh_pq_meta_free(f.meta);
	free(data);
	return status != LH_OK;
}
