/*
 * ice_hostile_test.c
 *	  Bytes that no writer made: every truncation of real files, a flipped bit
 *	  in every byte (all of them with LH_ALL_BITS set, a minute), bombs, and
 *	  memory that runs out anywhere.  Nothing may crash, leak or allocate out of
 *	  proportion.
 */
#include "lh_test.h"

#include "iceberg/iceberg.h"

#include <stdlib.h>
#include <zlib.h>

static LhError err;

/* ---- an allocator that counts, and fails when told ---- */

typedef struct Meter
{
	size_t		bytes;			/* asked for so far */
	size_t		limit;
	int			fail_at;		/* the how-manieth call fails; 0: none */
	int			calls;
} Meter;

static bool
refuse(Meter *meter, size_t size)
{
	meter->calls++;
	meter->bytes += size;
	return meter->bytes > meter->limit || meter->calls == meter->fail_at;
}

static void *
meter_alloc(void *ctx, size_t size)
{
	return refuse(ctx, size) ? NULL : malloc(size);
}

static void *
meter_realloc(void *ctx, void *p, size_t size)
{
	return refuse(ctx, size) ? NULL : realloc(p, size);
}

static void
meter_free(void *ctx, void *p)
{
	(void) ctx;
	free(p);
}

/* Tries all that can read `data`; the worst status but "corrupt". */
static LhStatus
read_anything(const uint8_t *data, size_t len, Meter *meter)
{
	LhAlloc		alloc = {meter_alloc, meter_realloc, meter_free, NULL, meter};
	LhArena		arena;
	LhIceManifestList list;
	LhIceMetadata m;
	LhIceManifest row = {.sequence_number = 3, .added_snapshot_id = 4, .first_row_id = 5};
	LhIceEntry *entries;
	int			n;
	LhStatus	status;

	lh_arena_init(&arena, &alloc);
	if (len == 0 || data[0] != 'O')
		status = lh_ice_metadata_read((const char *) data, len, &arena, &m, &err);
	else
	{
		status = lh_ice_manifest_list_read(data, len, &arena, &list, &err);
		if (status == LH_ERR_CORRUPT)
		{
			status = lh_ice_manifest_read(data, len, NULL, &arena, &entries, &n, &err);
			if (status == LH_OK)
				status = lh_ice_manifest_read(data, len, &row, &arena, &entries, &n, &err);
		}
	}
	lh_arena_free(&arena);
	return status;
}

static LhStatus
read_metered(const uint8_t *data, size_t len)
{
	Meter		meter = {.limit = ((size_t) 4 << 20) + 64 * len};

	return read_anything(data, len, &meter);
}

/* Exactly `len` bytes on the heap, so that a sanitizer sees reads behind them. */
static LhStatus
read_exact(const uint8_t *data, size_t len)
{
	uint8_t    *copy = malloc(len > 0 ? len : 1);
	LhStatus	status;

	memcpy(copy, data, len);
	status = read_metered(copy, len);
	free(copy);
	return status;
}

static bool
is_clean(LhStatus status)
{
	return status == LH_OK || status == LH_ERR_CORRUPT || status == LH_ERR_UNSUPPORTED || status == LH_ERR_LIMIT;
}

static void
abuse(const char *name)
{
	char		path[200];
	size_t		len;
	uint8_t    *data;
	bool		is_avro;
	int			n_headers = 0;

	snprintf(path, sizeof(path), "iceberg/pyiceberg/%s", name);
	data = lh_test_read_file(lh_test_data(path), &len);
	LH_GIVE_UP();
	is_avro = data[0] == 'O';
	for (size_t n = 0; n < len; n++)
	{
		LhStatus	status = read_exact(data, n);
		bool		header_only = is_avro && status == LH_OK && n < len - 16;

		/* a cut right behind the header leaves a file without objects */
		if (status != LH_ERR_CORRUPT && status != LH_ERR_LIMIT && !header_only)
			LH_FAIL("%s cut to %zu bytes: status %d", name, n, (int) status);
		n_headers += header_only;
	}
	LH_CHECK(n_headers <= 1);
	for (size_t n = 0; n < len; n++)
	{
		for (int bit = 0; bit < 8; bit++)
		{
			LhStatus	status;

			if (bit != (int) (n % 8) && getenv("LH_ALL_BITS") == NULL)
				continue;
			data[n] ^= (uint8_t) (1 << bit);
			status = read_metered(data, len);
			data[n] ^= (uint8_t) (1 << bit);
			if (!is_clean(status))
				LH_FAIL("%s with bit %d of byte %zu flipped: status %d", name, bit, n, (int) status);
		}
	}
	free(data);
}

LH_TEST(abuse_list)
{
	abuse("parted.list.avro");
}

LH_TEST(abuse_manifest)
{
	abuse("types.m2.null.avro");
}

LH_TEST(abuse_packed_manifest)
{
	abuse("types.m2.snappy.avro");
}

LH_TEST(abuse_metadata)
{
	abuse("types.metadata.json");
}

/* ---- memory runs out ---- */

static void
starve(const char *name)
{
	char		path[200];
	size_t		len;
	uint8_t    *data;
	LhStatus	status = LH_ERR_NOMEM;

	snprintf(path, sizeof(path), "iceberg/pyiceberg/%s", name);
	data = lh_test_read_file(lh_test_data(path), &len);
	LH_GIVE_UP();
	for (int n = 1; status != LH_OK; n++)
	{
		Meter		meter = {.limit = SIZE_MAX, .fail_at = n};

		status = read_anything(data, len, &meter);
		if (status != LH_ERR_NOMEM && meter.calls >= n)
			LH_FAIL("%s without allocation %d: status %d", name, n, (int) status);
		if (n > 100000)
			LH_FAIL("%s never read", name);
	}
	free(data);
}

LH_TEST(starved_readers)
{
	starve("types.list.avro");
	starve("types.metadata.json");
}

LH_TEST(starved_writer)
{
	LhIceType	type = {.kind = LH_ICE_INT};
	LhIceField	field = {1, "a", true, &type, NULL, NULL, NULL};
	LhIceSchema schema = {.n_fields = 1, .fields = &field};
	LhIceManifestOptions options = {.schema = &schema, .format_version = 2, .snapshot_id = 1};
	LhIceEntry	e = {LH_ICE_ADDED, LH_ICE_NONE, LH_ICE_NONE, LH_ICE_NONE, {0}};
	LhStatus	status = LH_ERR_NOMEM;

	lh_ice_data_file_init(&e.file);
	e.file.path = "s3://b/1";
	e.file.record_count = e.file.file_size = 1;
	for (int n = 1; status != LH_OK; n++)
	{
		Meter		meter = {.limit = SIZE_MAX, .fail_at = n};
		LhAlloc		alloc = {meter_alloc, meter_realloc, meter_free, NULL, &meter};
		LhIceManifest row;
		LhBuf		buf;

		lh_buf_init(&buf, &alloc);
		status = lh_ice_manifest_write(&options, &e, 1, &alloc, &buf, &row, &err);
		lh_buf_free(&buf);
		if (status != LH_ERR_NOMEM && meter.calls >= n)
			LH_FAIL("writer without allocation %d: status %d", n, (int) status);
	}
}

/* ---- other codecs, bombs ---- */

LH_TEST(all_codecs)
{
	static const char *const names[] = {"types.m2.avro", "types.m2.null.avro", "types.m2.snappy.avro", "types.m2.zstandard.avro"};

	for (int i = 0; i < 4; i++)
	{
		char		path[200];
		size_t		len;
		uint8_t    *data;
		LhArena		arena;
		LhIceEntry *entries;
		int			n;

		snprintf(path, sizeof(path), "iceberg/pyiceberg/%s", names[i]);
		data = lh_test_read_file(lh_test_data(path), &len);
		LH_GIVE_UP();
		lh_arena_init(&arena, &lh_malloc);
		LH_SUCCEED(lh_ice_manifest_read(data, len, NULL, &arena, &entries, &n, &err));
		LH_EQ_INT(n, 1);
		LH_EQ_INT(entries[0].file.record_count, 5);
		lh_arena_free(&arena);
		free(data);
	}
}

static void
put_text(LhBuf *buf, const char *s)
{
	lh_buf_varint(buf, lh_zigzag((int64_t) strlen(s)));
	lh_buf_append(buf, s, strlen(s));
}

/* An Avro file of one block, up to where its payload stands. */
static void
begin_avro(LhBuf *buf, const char *codec, const char *schema)
{
	lh_buf_init(buf, &lh_malloc);
	lh_buf_append(buf, "Obj\1", 4);
	lh_buf_varint(buf, lh_zigzag(2));
	put_text(buf, "avro.codec");
	put_text(buf, codec);
	put_text(buf, "avro.schema");
	put_text(buf, schema);
	lh_buf_varint(buf, 0);
	lh_buf_append(buf, "0123456789abcdef", 16);
}

#define ENTRY(fields) "{\"type\":\"record\",\"name\":\"e\",\"fields\":[" fields "]}"

LH_TEST(deflate_bomb)
{
	size_t		zeros_len = (size_t) 100 << 20;
	uint8_t    *zeros = calloc(1, zeros_len);
	z_stream	z;
	size_t		packed_len = 400000;
	uint8_t    *packed = malloc(packed_len);
	LhBuf		buf;

	memset(&z, 0, sizeof(z));
	LH_EQ_INT(deflateInit2(&z, 9, Z_DEFLATED, -15, 8, 0), Z_OK);
	z.next_in = zeros, z.avail_in = (uInt) zeros_len;
	z.next_out = packed, z.avail_out = (uInt) packed_len;
	deflate(&z, Z_FINISH);
	packed_len -= z.avail_out;
	deflateEnd(&z);
	free(zeros);

	begin_avro(&buf, "deflate", ENTRY("{\"name\":\"status\",\"type\":\"int\",\"field-id\":0}"));
	lh_buf_varint(&buf, lh_zigzag(10));
	lh_buf_varint(&buf, lh_zigzag((int64_t) packed_len));
	lh_buf_append(&buf, packed, packed_len);
	lh_buf_append(&buf, "0123456789abcdef", 16);
	LH_REFUSE(read_anything(buf.data, buf.len, &(Meter) {.limit = SIZE_MAX}), LH_ERR_LIMIT);
	lh_buf_free(&buf);
	free(packed);
}

static void
refuse_schema(const char *schema)
{
	LhBuf		buf;
	LhStatus	status;

	begin_avro(&buf, "null", schema);
	lh_buf_varint(&buf, lh_zigzag(1));
	lh_buf_varint(&buf, lh_zigzag(1));
	lh_buf_u8(&buf, 0);
	lh_buf_append(&buf, "0123456789abcdef", 16);
	status = read_metered(buf.data, buf.len);
	lh_buf_free(&buf);
	if (status != LH_ERR_CORRUPT && status != LH_ERR_LIMIT)
		LH_FAIL("status %d for schema %s", (int) status, schema);
}

LH_TEST(bad_avro_schemas)
{
	refuse_schema("");
	refuse_schema("\"int\"");
	refuse_schema("{}");
	refuse_schema("{\"type\":{}}");
	refuse_schema(ENTRY(""));		/* objects without bytes */
	refuse_schema(ENTRY("{\"name\":\"a\",\"type\":\"unknown\"}"));
	refuse_schema(ENTRY("{\"name\":\"a\",\"type\":\"e\"}"));	/* recursive */
	refuse_schema(ENTRY("{\"name\":\"a\",\"type\":{\"type\":\"array\",\"items\":\"null\"}}"));
	refuse_schema(ENTRY("{\"name\":\"a\",\"type\":[\"null\",[\"null\",\"int\"]]}"));
	refuse_schema(ENTRY("{\"name\":\"a\",\"type\":{\"type\":\"fixed\",\"name\":\"f\",\"size\":-1}}"));
	refuse_schema(ENTRY("{\"name\":\"a\",\"type\":{\"type\":\"fixed\",\"name\":\"f\",\"size\":2147483647}}"));
	refuse_schema(ENTRY("{\"name\":\"status\",\"type\":\"string\",\"field-id\":0}"));
	refuse_schema(ENTRY("{\"name\":\"status\",\"type\":\"int\",\"field-id\":0}"));	/* no data file */
}

/* Each record holds the one before twice: 2^60 values without a byte. */
LH_TEST(exponential_avro_schema)
{
	LhBuf		schema;

	lh_buf_init(&schema, &lh_malloc);
	lh_buf_printf(&schema, "{\"type\":\"record\",\"name\":\"e\",\"fields\":[{\"name\":\"status\",\"type\":\"int\","
				  "\"field-id\":0},{\"name\":\"f0\",\"type\":{\"type\":\"record\",\"name\":\"r0\",\"fields\":[]}}");
	for (int i = 1; i <= 60; i++)
		lh_buf_printf(&schema, ",{\"name\":\"f%d\",\"type\":{\"type\":\"record\",\"name\":\"r%d\",\"fields\":["
					  "{\"name\":\"a\",\"type\":\"r%d\"},{\"name\":\"b\",\"type\":\"r%d\"}]}}", i, i, i - 1, i - 1);
	lh_buf_printf(&schema, "]}");
	lh_buf_u8(&schema, 0);
	refuse_schema((char *) schema.data);
	lh_buf_free(&schema);
}
