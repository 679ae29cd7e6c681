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
