/*
 * ice_schema_test.c
 *	  Schemas as JSON and back, comparing, checking, name mapping, names.
 */
#include "lh_test.h"

#include "iceberg/iceberg.h"

static LhArena arena;
static LhError err;

#define NESTED \
	"{\"type\":\"struct\",\"schema-id\":4,\"identifier-field-ids\":[1],\"fields\":[" \
	"{\"id\":1,\"name\":\"id\",\"required\":true,\"type\":\"long\",\"doc\":\"the \\\"key\\\" \\u0001\"}," \
	"{\"id\":2,\"name\":\"d\",\"required\":false,\"type\":\"decimal(9, 2)\"}," \
	"{\"id\":3,\"name\":\"f\",\"required\":false,\"type\":\"fixed[16]\",\"initial-default\":\"00\",\"write-default\":\"01\"}," \
	"{\"id\":4,\"name\":\"l\",\"required\":false,\"type\":{\"type\":\"list\",\"element-id\":5," \
	"\"element\":{\"type\":\"struct\",\"fields\":[{\"id\":6,\"name\":\"x\",\"required\":true,\"type\":\"uuid\"}]}," \
	"\"element-required\":true}}," \
	"{\"id\":7,\"name\":\"m\",\"required\":false,\"type\":{\"type\":\"map\",\"key-id\":8,\"key\":\"string\"," \
	"\"value-id\":9,\"value\":\"timestamptz_ns\",\"value-required\":false}}," \
	"{\"id\":10,\"name\":\"g\",\"required\":false,\"type\":\"geometry(srid:4326)\"}]}"

static LhStatus
parse(const char *json, LhIceSchema *schema)
{
	return lh_ice_schema_from_json(json, strlen(json), &arena, schema, &err);
}

LH_TEST(schema_round_trip)
{
	LhIceSchema schema;
	LhBuf		buf;

	lh_arena_init(&arena, &lh_malloc);
	LH_SUCCEED(parse(NESTED, &schema));
	LH_EQ_INT(schema.schema_id, 4);
	LH_EQ_INT(schema.n_fields, 6);
	LH_EQ_INT(schema.fields[1].type->precision, 9);
	LH_EQ_INT(schema.fields[2].type->length, 16);
	LH_EQ_INT(schema.fields[3].type->fields[0].id, 5);
	LH_EQ_INT(lh_ice_schema_max_id(&schema), 10);
	LH_EQ_STR(lh_ice_schema_find(&schema, 6)->name, "x");
	LH_EQ_STR(lh_ice_schema_find(&schema, 9)->name, "value");
	LH_CHECK(lh_ice_schema_find(&schema, 11) == NULL);
	lh_buf_init(&buf, &lh_malloc);
	LH_SUCCEED(lh_ice_schema_to_json(&schema, &buf, &err));
	lh_buf_u8(&buf, 0);
	LH_EQ_STR((char *) buf.data, NESTED);
	lh_buf_free(&buf);
	lh_arena_free(&arena);
}

#define ONE(fields) "{\"type\":\"struct\",\"fields\":[" fields "]}"
#define FIELD(id, name, type) "{\"id\":" id ",\"name\":\"" name "\",\"required\":false,\"type\":" type "}"

LH_TEST(schema_equality)
{
	static const char *const different[] = {
		ONE(FIELD("2", "a", "\"int\"")),
		ONE(FIELD("1", "b", "\"int\"")),
		ONE(FIELD("1", "a", "\"long\"")),
		ONE(FIELD("1", "a", "\"int\"") "," FIELD("2", "b", "\"int\"")),
		ONE("{\"id\":1,\"name\":\"a\",\"required\":true,\"type\":\"int\"}"),
		ONE("{\"id\":1,\"name\":\"a\",\"required\":false,\"type\":\"int\",\"doc\":\"d\"}"),
		ONE(FIELD("1", "a", "\"decimal(9,2)\"")),
	};
	LhIceSchema a;
	LhIceSchema b;

	lh_arena_init(&arena, &lh_malloc);
	LH_SUCCEED(parse(ONE(FIELD("1", "a", "\"int\"")), &a));
	b = a;
	b.schema_id = 99;
	LH_CHECK(lh_ice_schema_equal(&a, &b));
	for (size_t i = 0; i < sizeof(different) / sizeof(different[0]); i++)
	{
		LH_SUCCEED(parse(different[i], &b));
		LH_CHECK(!lh_ice_schema_equal(&a, &b));
	}
	/* blanks in parameters mean nothing */
	LH_SUCCEED(parse(ONE(FIELD("1", "a", "\"decimal( 9 ,2 )\"")), &a));
	LH_CHECK(lh_ice_schema_equal(&a, &b));
	lh_arena_free(&arena);
}

LH_TEST(schema_refusals)
{
	static const char *const bad[] = {
		"", "[]", "{}", "null", "{\"type\":\"struct\",\"fields\":1}", ONE("1"), "{\"fields\":[]}",
		ONE(FIELD("0", "a", "\"int\"")),
		ONE(FIELD("1", "", "\"int\"")),
		ONE(FIELD("1", "a", "\"int\"") "," FIELD("1", "b", "\"int\"")),
		ONE(FIELD("1", "a", "\"int\"") "," FIELD("2", "a", "\"int\"")),
		ONE(FIELD("1", "a", "\"decimal(39,2)\"")),
		ONE(FIELD("1", "a", "\"decimal(9)\"")),
		ONE(FIELD("1", "a", "\"decimal(9,10)\"")),
		ONE(FIELD("1", "a", "\"fixed[0]\"")),
		ONE(FIELD("1", "a", "\"fixed[-1]\"")),
		ONE(FIELD("1", "a", "\"fixed[99999999999]\"")),
		ONE(FIELD("1", "a", "\"fixed[1]x\"")),
		ONE(FIELD("1", "a", "null")),
		ONE(FIELD("1", "a", "{\"type\":\"list\"}")),
		ONE(FIELD("1", "a", "{\"type\":\"list\",\"element-id\":1,\"element\":\"int\",\"element-required\":true}")),
		ONE(FIELD("99999999999", "a", "\"int\"")),
		"{\"type\":\"struct\",\"identifier-field-ids\":[2],\"fields\":[" FIELD("1", "a", "\"int\"") "]}",
		"{\"type\":\"struct\",\"identifier-field-ids\":[\"1\"],\"fields\":[" FIELD("1", "a", "\"int\"") "]}",
	};
	LhIceSchema schema;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		lh_arena_init(&arena, &lh_malloc);
		if (parse(bad[i], &schema) != LH_ERR_CORRUPT)
			LH_FAIL("accepted %s", bad[i]);
		lh_arena_free(&arena);
	}
}

LH_TEST(schema_too_deep)
{
	LhIceSchema schema;
	LhBuf		buf;

	lh_arena_init(&arena, &lh_malloc);
	lh_buf_init(&buf, &lh_malloc);
	lh_buf_printf(&buf, "{\"type\":\"struct\",\"fields\":[{\"id\":1,\"name\":\"a\",\"required\":true,\"type\":");
	for (int i = 0; i < 500; i++)
		lh_buf_printf(&buf, "{\"type\":\"list\",\"element-id\":%d,\"element-required\":true,\"element\":", i + 2);
	lh_buf_printf(&buf, "\"int\"");
	for (int i = 0; i < 500; i++)
		lh_buf_printf(&buf, "}");
	lh_buf_printf(&buf, "}]}");
	LH_REFUSE(lh_ice_schema_from_json((char *) buf.data, buf.len, &arena, &schema, &err), LH_ERR_LIMIT);
	lh_buf_free(&buf);
	lh_arena_free(&arena);
}

/* A document of brackets would cost jansson a hundred times its size. */
LH_TEST(json_bomb)
{
	LhIceSchema schema;
	LhBuf		buf;

	lh_arena_init(&arena, &lh_malloc);
	lh_buf_init(&buf, &lh_malloc);
	lh_buf_printf(&buf, "[{}");
	for (int i = 0; i < 100000; i++)
		lh_buf_printf(&buf, ",{}");
	lh_buf_printf(&buf, "]");
	LH_REFUSE(lh_ice_schema_from_json((char *) buf.data, buf.len, &arena, &schema, &err), LH_ERR_LIMIT);
	lh_buf_free(&buf);
	lh_arena_free(&arena);
}

LH_TEST(name_mapping)
{
	LhIceSchema schema;
	LhBuf		buf;

	lh_arena_init(&arena, &lh_malloc);
	LH_SUCCEED(parse(ONE(FIELD("1", "a", "\"int\"") ","
						 FIELD("2", "m", "{\"type\":\"map\",\"key-id\":3,\"key\":\"int\",\"value-id\":4,"
							   "\"value\":\"int\",\"value-required\":true}")), &schema));
	lh_buf_init(&buf, &lh_malloc);
	LH_SUCCEED(lh_ice_name_mapping(&schema, &buf, &err));
	lh_buf_u8(&buf, 0);
	LH_EQ_STR((char *) buf.data,
			  "[{\"field-id\":1,\"names\":[\"a\"]},{\"field-id\":2,\"names\":[\"m\"],\"fields\":["
			  "{\"field-id\":3,\"names\":[\"key\"]},{\"field-id\":4,\"names\":[\"value\"]}]}]");
	lh_buf_free(&buf);
	lh_arena_free(&arena);
}

LH_TEST(invalid_utf8_is_not_written)
{
	LhIceType	type = {.kind = LH_ICE_INT};
	LhIceField	field = {1, "a\xc3", false, &type, NULL, NULL, NULL};
	LhIceSchema schema = {.n_fields = 1, .fields = &field};
	LhBuf		buf;

	lh_buf_init(&buf, &lh_malloc);
	LH_REFUSE(lh_ice_schema_to_json(&schema, &buf, &err), LH_ERR_INVALID);
	lh_buf_free(&buf);
}

LH_TEST(decimal_widths)
{
	/* the spec's table of the smallest fixed that holds a precision */
	static const uint8_t bytes[39] = {
		0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 5, 5, 6, 6, 6, 7, 7, 8, 8, 9, 9, 9, 10, 10, 11, 11, 11,
		12, 12, 13, 13, 13, 14, 14, 15, 15, 16, 16, 16
	};

	for (int p = 1; p <= 38; p++)
		LH_EQ_INT(lh_ice_decimal_bytes(p), bytes[p]);
}

LH_TEST(ice_file_names)
{
	static const char uuid[] = "0a0b0c0d-0000-4000-8000-00000000000a";
	char		name[LH_ICE_NAME_BYTES];
	uint8_t		random[16] = {0};

	lh_ice_metadata_name(name, 3, uuid);
	LH_EQ_STR(name, "00003-0a0b0c0d-0000-4000-8000-00000000000a.metadata.json");
	LH_EQ_INT(lh_ice_metadata_version(name), 3);
	LH_EQ_INT(lh_ice_metadata_version("s3://b/t/metadata/123456-x.metadata.json"), 123456);
	LH_EQ_INT(lh_ice_metadata_version("/t/v12.metadata.json"), 12);
	LH_EQ_INT(lh_ice_metadata_version("/t/00007-x.gz.metadata.json"), 7);
	LH_EQ_INT(lh_ice_metadata_version("/1/x.metadata.json"), LH_ICE_NONE);
	LH_EQ_INT(lh_ice_metadata_version("/1/3-x.json"), LH_ICE_NONE);
	LH_EQ_INT(lh_ice_metadata_version("/1/99999999999-x.metadata.json"), LH_ICE_NONE);
	lh_ice_manifest_name(name, uuid, 2);
	LH_EQ_STR(name, "0a0b0c0d-0000-4000-8000-00000000000a-m2.avro");
	lh_ice_manifest_list_name(name, 9223372036854775807, 1, uuid);
	LH_EQ_STR(name, "snap-9223372036854775807-1-0a0b0c0d-0000-4000-8000-00000000000a.avro");
	LH_CHECK(lh_ice_snapshot_id(random) > 0);
	memset(random, 0xff, 8);
	LH_CHECK(lh_ice_snapshot_id(random) == INT64_MAX);
}
