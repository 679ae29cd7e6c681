/*
 * pq_malformed.c
 *	  Files that are cut short or have flipped bytes: whatever they are read
 *	  as, it ends with a status, without reading or allocating out of bounds.
 */
#include "lh_test.h"
#include "../tools/pq_file.h"

#include <dirent.h>

/* Memory at hand and at most, for the bound on what a hostile file can make us allocate. */
typedef struct Meter
{
	size_t		now;
	size_t		peak;
} Meter;

static void *
meter_alloc(void *ctx, size_t size)
{
	Meter	   *m = ctx;
	size_t	   *p = malloc(size + 16);

	if (p == NULL)
		return NULL;
	*p = size;
	m->now += size;
	m->peak = m->now > m->peak ? m->now : m->peak;
	return (char *) p + 16;
}

static void
meter_free(void *ctx, void *ptr)
{
	Meter	   *m = ctx;
	size_t	   *p;

	if (ptr == NULL)
		return;
	p = (size_t *) (void *) ((char *) ptr - 16);
	m->now -= *p;
	free(p);
}

static void *
meter_realloc(void *ctx, void *ptr, size_t size)
{
	void	   *p = meter_alloc(ctx, size);
	size_t		old = *(size_t *) (void *) ((char *) ptr - 16);

	if (p != NULL)
	{
		memcpy(p, ptr, old < size ? old : size);
		meter_free(ctx, ptr);
	}
	return p;
}

/* Reads a hostile file; fails the test when memory leaks or grows out of proportion. */
static void
survive(const uint8_t *data, size_t len)
{
	Meter		meter = {0};
	LhAlloc		alloc = {meter_alloc, meter_realloc, meter_free, NULL, &meter};
	LhError		err = {0};
	LhStatus	status;
	uint8_t    *exact = malloc(len > 0 ? len : 1);

	/* of exactly this size, so that the sanitizer sees a byte too far */
	memcpy(exact, data, len);
	status = pq_touch(exact, len, &alloc, 2000, &err);
	free(exact);
	LH_CHECK(status == LH_OK || err.message[0] != '\0');
	LH_EQ_INT(meter.now, 0);
	LH_CHECK(meter.peak < 300 * len + (1 << 20));
}

static void
survive_flips(const uint8_t *data, size_t len, size_t step)
{
	uint8_t    *copy = malloc(len);

	memcpy(copy, data, len);
	for (size_t i = 0; i < len && !lh_test_failed(); i += 1 + (i * 2654435761u >> 7) % (2 * step))
	{
		const uint8_t flips[] = {0x01, 0x80, 0xff, 0x10};

		copy[i] ^= flips[i % 4];
		survive(copy, len);
		copy[i] = data[i];
	}
	free(copy);
}

/* Cuts within the footer leave a file that ends well but is not whole. */
static void
survive_cuts(const uint8_t *data, size_t len, size_t step)
{
	LhPqFileMeta *meta;
	LhError		err;
	size_t		footer_len = lh_get_u32le(data + len - 8);
	const uint8_t *footer = data + len - 8 - footer_len;

	for (size_t cut = 0; cut < footer_len; cut += step)
	{
		uint8_t    *exact = malloc(cut > 0 ? cut : 1);

		memcpy(exact, footer, cut);
		LH_CHECK(lh_pq_footer_parse(exact, cut, (int64_t) len, &lh_malloc, &meta, &err) == LH_ERR_CORRUPT);
		free(exact);
	}
	for (size_t cut = 0; cut < len; cut += step * 4)
		survive(data, cut);
}

/* Files of the golden set whose pages have no checksums, so that flips reach the decoders. */
LH_TEST(golden_files_damaged)
{
	const char *const names[] = {
		"arrow_deltas_v1", "arrow_deltas_v2", "arrow_streams", "arrow_nested_v1", "arrow_nested_v2", "arrow_int96",
		"arrow_dictionary", "arrow_plain_dictionary", "arrow_half", "arrow_list_item", "arrow_rs_nation", "polars",
		"polars_nested", "duckdb_v2", "duckdb_lz4", "duckdb_gzip", "duckdb_zstd", "fastparquet"
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		char		path[200];
		size_t		len;
		uint8_t    *data;

		snprintf(path, sizeof(path), "parquet/%s.parquet", names[i]);
		data = lh_test_read_file(lh_test_data(path), &len);
		LH_CHECK(data != NULL);
		survive_flips(data, len, 1 + len / 250);
		LH_GIVE_UP();
		survive_cuts(data, len, 1 + len / 400);
		LH_GIVE_UP();
		free(data);
	}
}

/* Small files byte by byte: the fuzzer's seeds and findings. */
LH_TEST(fuzzing_corpus)
{
	char		dir_path[1024];
	DIR		   *dir;
	struct dirent *entry;

	snprintf(dir_path, sizeof(dir_path), "%s", lh_test_data("../fuzz/corpus/parquet"));
	dir = opendir(dir_path);
	LH_CHECK(dir != NULL);
	while ((entry = readdir(dir)) != NULL && !lh_test_failed())
	{
		char		path[2048];
		size_t		len;
		uint8_t    *data;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir_path, entry->d_name);
		data = lh_test_read_file(path, &len);
		LH_CHECK(data != NULL);
		survive(data, len);
		if (len < 3000 && len > 12)
			survive_flips(data, len, 3);
		free(data);
	}
	closedir(dir);
}

/* ---- missing memory ---- */

/* Fails every allocation after the first `left`. */
typedef struct Rationed
{
	Meter		meter;
	long		left;
} Rationed;

static void *
rationed_alloc(void *ctx, size_t size)
{
	Rationed   *r = ctx;

	return r->left-- > 0 ? meter_alloc(&r->meter, size) : NULL;
}

static void *
rationed_realloc(void *ctx, void *ptr, size_t size)
{
	Rationed   *r = ctx;

	return r->left-- > 0 ? meter_realloc(&r->meter, ptr, size) : NULL;
}

static void
rationed_free(void *ctx, void *ptr)
{
	Rationed   *r = ctx;

	meter_free(&r->meter, ptr);
}

static LhStatus
to_buffer(void *ctx, const uint8_t *data, size_t len, LhError *err)
{
	return lh_buf_append(ctx, data, len) ? LH_OK : lh_fail(err, LH_ERR_IO, -1, "no memory");
}

/* Writes the rows of a file of flat columns again: the first status that is not LH_OK. */
static LhStatus
write_again(const PqFile *f, const LhAlloc *alloc, LhBuf *out, LhError *err)
{
	const LhPqSchema *schema = &f->meta->schema;
	bool		bloom[64];
	LhPqWriterOptions o;
	LhPqWriter *w;
	LhPqFileMeta *meta = NULL;
	LhStatus	status;

	memset(bloom, true, sizeof(bloom));
	lh_pq_writer_defaults(&o);
	o.bloom = bloom;
	o.page_rows = 20;
	o.n_kv = 1;
	o.kv_keys = o.kv_values = (const char *const[]) {"key"};
	status = lh_pq_writer_open(schema, &o, alloc, to_buffer, out, &w, err);
	for (int row = 0; status == LH_OK && row < 100; row++)
	{
		for (int i = 0; status == LH_OK && i < schema->n_leaves; i++)
			if (schema->leaves[i]->max_def > 0 && row % 3 == 0)
				status = lh_pq_put_null(w, i, 0, 0, err);
			else if (schema->leaves[i]->type == LH_PQ_BYTE_ARRAY)
				status = lh_pq_put_bytes(w, i, 0, "some text", (size_t) (row % 10), err);
			else
				status = lh_pq_put_i32(w, i, 0, row % 7, err);
		if (status == LH_OK)
			status = lh_pq_end_row(w, err);
	}
	if (status == LH_OK)
		status = lh_pq_writer_close(w, &meta, err);
	lh_pq_writer_free(w);
	lh_pq_meta_free(meta);
	return status;
}

LH_TEST(memory_that_ends_at_any_allocation)
{
	size_t		len;
	uint8_t    *data = lh_test_read_file(lh_test_data("../fuzz/corpus/parquet/flat_none"), &len);
	PqFile		f;
	LhError		err = {0};
	LhStatus	status = LH_ERR_NOMEM;

	LH_CHECK(data != NULL);
	LH_SUCCEED(pq_file_open(&f, data, len, &err));
	for (long ration = 0; status != LH_OK; ration++)
	{
		Rationed	r = {.left = ration};
		LhAlloc		alloc = {rationed_alloc, rationed_realloc, rationed_free, NULL, &r};
		LhBuf		out;

		lh_buf_init(&out, &lh_malloc);
		status = write_again(&f, &alloc, &out, &err);
		LH_CHECK(status == LH_OK || status == LH_ERR_NOMEM);
		LH_EQ_INT(r.meter.now, 0);
		if (status == LH_OK)
			LH_SUCCEED(pq_touch(out.data, out.len, &lh_malloc, 1000, &err));
		lh_buf_free(&out);
	}
	lh_pq_meta_free(f.meta);
	free(data);
}

LH_TEST(reading_with_memory_that_ends)
{
	const char *const names[] = {"arrow_zstd_v1", "arrow_gzip_v2", "arrow_deltas_v2", "arrow_nested_v1"};

	for (int i = 0; i < 4; i++)
	{
		char		path[200];
		size_t		len;
		uint8_t    *data;
		LhError		err;
		LhStatus	status = LH_ERR_NOMEM;

		snprintf(path, sizeof(path), "parquet/%s.parquet", names[i]);
		data = lh_test_read_file(lh_test_data(path), &len);
		LH_CHECK(data != NULL);
		for (long ration = 0; status != LH_OK; ration += 1 + ration / 40)
		{
			Rationed	r = {.left = ration};
			LhAlloc		alloc = {rationed_alloc, rationed_realloc, rationed_free, NULL, &r};

			status = pq_touch(data, len, &alloc, 1000, &err);
			LH_CHECK(status == LH_OK || status == LH_ERR_NOMEM);
			LH_EQ_INT(r.meter.now, 0);
		}
		free(data);
	}
}
