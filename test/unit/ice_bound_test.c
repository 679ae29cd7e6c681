/*
 * ice_bound_test.c
 *	  Column bounds against values from the Iceberg spec and ones computed by
 *	  hand; metrics over several row groups.
 */
#include "lh_test.h"

#include "iceberg/iceberg.h"

#include <math.h>
#include <stdlib.h>

static LhArena arena;
static LhError err;

static LhPqBytes
bytes(const void *data, size_t len)
{
	return (LhPqBytes) {data, (int32_t) len};
}

static LhPqBytes
text(const char *s)
{
	return bytes(s, strlen(s));
}

/* The bound as hex, "-" for none. */
static const char *
bound_hex(const LhIceType *type, const LhPqNode *leaf, LhPqBytes value, bool is_upper)
{
	static char hex[256];
	LhPqBytes	out;

	lh_arena_init(&arena, &lh_malloc);
	strcpy(hex, "-");
	if (lh_ice_bound_from_parquet(type, leaf, value, is_upper, LH_ICE_TRUNCATE, &arena, &out, &err) != LH_OK)
		strcpy(hex, "error");
	else if (out.data != NULL)
	{
		hex[0] = '\0';
		for (int i = 0; i < out.len && i < 100; i++)
			sprintf(hex + 2 * i, "%02x", out.data[i]);
	}
	lh_arena_free(&arena);
	return hex;
}

static const char *
lower_of(const LhIceType *type, const LhPqNode *leaf, LhPqBytes value)
{
	return bound_hex(type, leaf, value, false);
}

static const char *
upper_of(const LhIceType *type, const LhPqNode *leaf, LhPqBytes value)
{
	return bound_hex(type, leaf, value, true);
}

/* ---- numbers ---- */

static const char *
decimal_of(int64_t unscaled, LhPqType physical)
{
	LhIceType	type = {.kind = LH_ICE_DECIMAL, .precision = 18, .scale = 2};
	LhPqNode	leaf = {.type = physical, .logical = LH_PQ_DECIMAL, .precision = 18, .scale = 2};
	uint8_t		raw[16];

	if (physical != LH_PQ_FLBA)
	{
		lh_put_u64le(raw, (uint64_t) unscaled);
		return lower_of(&type, &leaf, bytes(raw, physical == LH_PQ_INT32 ? 4 : 8));
	}
	memset(raw, unscaled < 0 ? 0xff : 0, sizeof(raw));
	for (int i = 0; i < 8; i++)
		raw[15 - i] = (uint8_t) ((uint64_t) unscaled >> 8 * i);
	return lower_of(&type, &leaf, bytes(raw, 16));
}

LH_TEST(bounds_of_decimals)
{
	static const struct
	{
		int64_t		unscaled;
		const char *hex;
	}			golden[] = {
		{0, "00"}, {127, "7f"}, {128, "0080"}, {-1, "ff"}, {-128, "80"}, {-129, "ff7f"},
		{1420, "058c"}, {-500, "fe0c"}, {2147483647, "7fffffff"}, {-2147483647 - 1, "80000000"},
	};

	for (size_t i = 0; i < sizeof(golden) / sizeof(golden[0]); i++)
	{
		LH_EQ_STR(decimal_of(golden[i].unscaled, LH_PQ_INT32), golden[i].hex);
		LH_EQ_STR(decimal_of(golden[i].unscaled, LH_PQ_INT64), golden[i].hex);
		LH_EQ_STR(decimal_of(golden[i].unscaled, LH_PQ_FLBA), golden[i].hex);
	}
	LH_EQ_STR(decimal_of(INT64_MIN, LH_PQ_INT64), "8000000000000000");
}

LH_TEST(bounds_of_another_scale_are_dropped)
{
	LhIceType	type = {.kind = LH_ICE_DECIMAL, .precision = 9, .scale = 2};
	LhPqNode	leaf = {.type = LH_PQ_INT32, .logical = LH_PQ_DECIMAL, .precision = 9, .scale = 3};

	LH_EQ_STR(lower_of(&type, &leaf, bytes("\1\0\0\0", 4)), "-");
}

LH_TEST(bounds_of_integers)
{
	LhIceType	t_int = {.kind = LH_ICE_INT};
	LhIceType	t_long = {.kind = LH_ICE_LONG};
	LhIceType	t_date = {.kind = LH_ICE_DATE};
	LhPqNode	i32 = {.type = LH_PQ_INT32};
	LhPqNode	u32 = {.type = LH_PQ_INT32, .logical = LH_PQ_INTEGER, .bit_width = 32};
	LhPqNode	i64 = {.type = LH_PQ_INT64};
	LhPqNode	u64 = {.type = LH_PQ_INT64, .logical = LH_PQ_INTEGER, .bit_width = 64};

	LH_EQ_STR(lower_of(&t_int, &i32, bytes("\xfe\xff\xff\xff", 4)), "feffffff");
	LH_EQ_STR(lower_of(&t_date, &i32, bytes("\xfe\xff\xff\xff", 4)), "feffffff");
	LH_EQ_STR(lower_of(&t_long, &i32, bytes("\xfe\xff\xff\xff", 4)), "feffffffffffffff");
	LH_EQ_STR(lower_of(&t_long, &u32, bytes("\xfe\xff\xff\xff", 4)), "feffffff00000000");
	LH_EQ_STR(lower_of(&t_int, &u32, bytes("\xfe\xff\xff\xff", 4)), "-");
	LH_EQ_STR(lower_of(&t_long, &i64, bytes("\1\2\3\4\5\6\7\x88", 8)), "0102030405060788");
	LH_EQ_STR(lower_of(&t_long, &u64, bytes("\1\2\3\4\5\6\7\x88", 8)), "-");
	LH_EQ_STR(lower_of(&t_int, &i32, bytes("\1\2\3", 3)), "-");
	LH_EQ_STR(lower_of(&t_int, &i64, bytes("\1\2\3\4\5\6\7\x88", 8)), "-");
}

static const char *
time_of(LhPqUnit unit, int64_t v, bool is_upper)
{
	LhIceType	type = {.kind = LH_ICE_TIMESTAMP};
	LhPqNode	leaf = {.type = LH_PQ_INT64, .logical = LH_PQ_TIMESTAMP, .unit = unit};
	uint8_t		raw[8];

	lh_put_u64le(raw, (uint64_t) v);
	return bound_hex(&type, &leaf, bytes(raw, 8), is_upper);
}

LH_TEST(bounds_of_times)
{
	LH_EQ_STR(time_of(LH_PQ_MICROS, 1, false), "0100000000000000");
	LH_EQ_STR(time_of(LH_PQ_MILLIS, -1, false), "18fcffffffffffff");
	LH_EQ_STR(time_of(LH_PQ_MILLIS, INT64_MAX / 10, false), "-");
	LH_EQ_STR(time_of(LH_PQ_NANOS, 1999, false), "0100000000000000");
	LH_EQ_STR(time_of(LH_PQ_NANOS, 1999, true), "0200000000000000");
	LH_EQ_STR(time_of(LH_PQ_NANOS, -1, false), "ffffffffffffffff");
	LH_EQ_STR(time_of(LH_PQ_NANOS, -1, true), "0000000000000000");
	LH_EQ_STR(time_of(LH_PQ_NANOS, 2000, true), "0200000000000000");
}

static LhPqBytes
float_bytes(float v)
{
	static float slot;

	slot = v;
	return bytes(&slot, sizeof(slot));
}

static LhPqBytes
double_bytes(double v)
{
	static double slot;

	slot = v;
	return bytes(&slot, sizeof(slot));
}

LH_TEST(bounds_of_floats)
{
	LhIceType	t_float = {.kind = LH_ICE_FLOAT};
	LhIceType	t_double = {.kind = LH_ICE_DOUBLE};
	LhPqNode	f32 = {.type = LH_PQ_FLOAT};
	LhPqNode	f64 = {.type = LH_PQ_DOUBLE};

	LH_EQ_STR(lower_of(&t_float, &f32, float_bytes(0.0f)), "00000080");
	LH_EQ_STR(upper_of(&t_float, &f32, float_bytes(-0.0f)), "00000000");
	LH_EQ_STR(lower_of(&t_double, &f64, double_bytes(0.0)), "0000000000000080");
	LH_EQ_STR(upper_of(&t_double, &f64, double_bytes(-0.0)), "0000000000000000");
	LH_EQ_STR(lower_of(&t_float, &f32, float_bytes(1.5f)), "0000c03f");
	LH_EQ_STR(lower_of(&t_double, &f32, float_bytes(1.5f)), "000000000000f83f");
	LH_EQ_STR(upper_of(&t_double, &f64, double_bytes(INFINITY)), "000000000000f07f");
	LH_EQ_STR(lower_of(&t_float, &f32, float_bytes(NAN)), "-");
	LH_EQ_STR(upper_of(&t_double, &f64, double_bytes(NAN)), "-");
	LH_EQ_STR(lower_of(&t_float, &f64, double_bytes(1)), "-");
}

/* ---- strings ---- */

static const LhIceType t_string = {.kind = LH_ICE_STRING};
static const LhIceType t_binary = {.kind = LH_ICE_BINARY};
static const LhPqNode raw_leaf = {.type = LH_PQ_BYTE_ARRAY};

/* The upper bound of a string as text. */
static const char *
upper_text(const char *s)
{
	static char out[256];
	const char *hex = upper_of(&t_string, &raw_leaf, text(s));
	size_t		n = strlen(hex) / 2;

	if (strcmp(hex, "-") == 0)
		return hex;
	for (size_t i = 0; i < n; i++)
	{
		char		pair[3] = {hex[2 * i], hex[2 * i + 1], 0};

		out[i] = (char) strtol(pair, NULL, 16);
	}
	out[n] = '\0';
	return out;
}

#define FIFTEEN "0123456789abcde"
#define LAST_CHAR "\xf4\x8f\xbf\xbf"	/* U+10FFFF */

LH_TEST(bounds_of_short_strings_are_exact)
{
	LH_EQ_STR(upper_text(""), "");
	LH_EQ_STR(upper_text(FIFTEEN "f"), FIFTEEN "f");
	LH_EQ_STR(lower_of(&t_string, &raw_leaf, text("")), "");
	LH_EQ_STR(lower_of(&t_string, &raw_leaf, text("ab")), "6162");
	LH_EQ_STR(upper_text("日本語"), "日本語");
}

LH_TEST(bounds_of_long_strings_are_raised)
{
	LH_EQ_STR(lower_of(&t_string, &raw_leaf, text(FIFTEEN "fg")), "30313233343536373839616263646566");
	LH_EQ_STR(upper_text(FIFTEEN "fg"), FIFTEEN "g");
	LH_EQ_STR(upper_text(FIFTEEN "\x7fz"), FIFTEEN "\xc2\x80");
	LH_EQ_STR(upper_text(FIFTEEN "\xdf\xbfz"), FIFTEEN "\xe0\xa0\x80");
	LH_EQ_STR(upper_text(FIFTEEN "\xed\x9f\xbfz"), FIFTEEN "\xee\x80\x80");	/* over the surrogates */
	LH_EQ_STR(upper_text(FIFTEEN "\xef\xbf\xbfz"), FIFTEEN "\xf0\x90\x80\x80");
	LH_EQ_STR(upper_text(FIFTEEN LAST_CHAR "z"), "0123456789abcdf");
	LH_EQ_STR(upper_text("日本語日本語日本語日本語日本語日z"), "日本語日本語日本語日本語日本語" "\xe6\x97\xa6");
	LH_EQ_STR(upper_text(LAST_CHAR LAST_CHAR LAST_CHAR LAST_CHAR LAST_CHAR LAST_CHAR LAST_CHAR LAST_CHAR LAST_CHAR
						 LAST_CHAR LAST_CHAR LAST_CHAR LAST_CHAR LAST_CHAR LAST_CHAR LAST_CHAR "z"), "-");
}

/* Statistics that a writer cut in the middle of a character. */
LH_TEST(bounds_of_cut_strings)
{
	LH_EQ_STR(upper_text("ab\xc3"), "ac");
	LH_EQ_STR(upper_text("\xc3"), "-");
	LH_EQ_STR(lower_of(&t_string, &raw_leaf, text("ab\xc3")), "6162");
	LH_EQ_STR(upper_text("a\xed\xa0\x80"), "b");
}

LH_TEST(bounds_of_binaries)
{
	LH_EQ_STR(upper_of(&t_binary, &raw_leaf, bytes("\xff\xff", 2)), "ffff");
	LH_EQ_STR(upper_of(&t_binary, &raw_leaf, text(FIFTEEN "fg")), "30313233343536373839616263646567");
	LH_EQ_STR(upper_of(&t_binary, &raw_leaf, text(FIFTEEN "\xffg")), "303132333435363738396162636466");
	LH_EQ_STR(upper_of(&t_binary, &raw_leaf,
					   text("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xffg")), "-");
	LH_EQ_STR(lower_of(&t_binary, &raw_leaf, text(FIFTEEN "fg")), "30313233343536373839616263646566");
}

LH_TEST(bounds_never_given)
{
	LhIceType	uuid = {.kind = LH_ICE_UUID};
	LhIceType	list = {.kind = LH_ICE_LIST};
	LhPqNode	flba = {.type = LH_PQ_FLBA, .type_length = 16};

	LH_EQ_STR(lower_of(&uuid, &flba, text("0123456789abcdef")), "-");
	LH_EQ_STR(lower_of(&list, &flba, text("0123456789abcdef")), "-");
	LH_EQ_STR(lower_of(&t_string, &raw_leaf, bytes(NULL, 0)), "-");
}

/* ---- comparing ---- */

static int
order_of(LhIceKind kind, LhPqBytes a, LhPqBytes b)
{
	LhIceType	type = {.kind = kind, .precision = 9};
	int			order;

	return lh_ice_bound_compare(&type, a, b, &order, &err) == LH_OK ? order : 9;
}

LH_TEST(bound_order)
{
	double		one = 1;
	double		nan = NAN;

	LH_EQ_INT(order_of(LH_ICE_INT, bytes("\xff\xff\xff\xff", 4), bytes("\0\0\0\0", 4)), -1);
	LH_EQ_INT(order_of(LH_ICE_LONG, bytes("\xff\xff\xff\xff", 4), bytes("\0\0\0\0\0\0\0\0", 8)), -1);
	LH_EQ_INT(order_of(LH_ICE_INT, bytes("\0\0", 2), bytes("\0\0\0\0", 4)), 9);
	LH_EQ_INT(order_of(LH_ICE_DECIMAL, bytes("\x80", 1), bytes("\xff\x7f", 2)), 1);
	LH_EQ_INT(order_of(LH_ICE_DECIMAL, bytes("\0\x80", 2), bytes("\x7f", 1)), 1);
	LH_EQ_INT(order_of(LH_ICE_DECIMAL, bytes("\0\x7f", 2), bytes("\x7f", 1)), 0);
	LH_EQ_INT(order_of(LH_ICE_STRING, text("a"), text("ab")), -1);
	LH_EQ_INT(order_of(LH_ICE_STRING, text("\xff"), text("a")), 1);
	LH_EQ_INT(order_of(LH_ICE_DOUBLE, bytes("\0\0\0\0\0\0\0\x80", 8), bytes("\0\0\0\0\0\0\0\0", 8)), -1);
	LH_EQ_INT(order_of(LH_ICE_DOUBLE, bytes(&one, 8), bytes("\0\0\x80\x3f", 4)), 0);
	LH_EQ_INT(order_of(LH_ICE_DOUBLE, bytes(&nan, 8), bytes(&one, 8)), 9);
	LH_EQ_INT(order_of(LH_ICE_STRUCT, text("a"), text("a")), 9);
}

/* ---- metrics ---- */

typedef struct FakeFile
{
	LhPqFileMeta meta;
	LhPqNode	nodes[3];
	LhPqNode   *leaves[3];
	LhPqRowGroup groups[2];
	LhPqChunk	chunks[2][3];
} FakeFile;

/* Three leaves, id 2 double, id 1 string, id 7 below a list; two row groups. */
static void
fake_file(FakeFile *f)
{
	memset(f, 0, sizeof(*f));
	f->nodes[0] = (LhPqNode) {.type = LH_PQ_DOUBLE, .field_id = 2, .max_def = 1};
	f->nodes[1] = (LhPqNode) {.type = LH_PQ_BYTE_ARRAY, .field_id = 1};
	f->nodes[2] = (LhPqNode) {.type = LH_PQ_INT32, .field_id = 7, .max_def = 3, .max_rep = 1};
	for (int i = 0; i < 3; i++)
		f->leaves[i] = &f->nodes[i];
	f->meta.schema.n_leaves = 3;
	f->meta.schema.leaves = f->leaves;
	f->meta.num_rows = 30;
	f->meta.n_row_groups = 2;
	f->meta.row_groups = f->groups;
	for (int g = 0; g < 2; g++)
	{
		f->groups[g].chunks = f->chunks[g];
		for (int i = 0; i < 3; i++)
		{
			f->chunks[g][i].num_values = 15;
			f->chunks[g][i].total_compressed = 100 + g;
			f->chunks[g][i].start = 4 + 1000 * g + 100 * i;
			f->chunks[g][i].stats.nan_count = -1;
		}
	}
}

static LhIceType t_double = {.kind = LH_ICE_DOUBLE};
static LhIceType t_int = {.kind = LH_ICE_INT};
static LhIceField element = {7, "element", false, &t_int, NULL, NULL, NULL};
static LhIceType t_list = {.kind = LH_ICE_LIST, .n_fields = 1, .fields = &element};
static LhIceField fields[] = {
	{1, "s", true, (LhIceType *) &t_string, NULL, NULL, NULL},
	{2, "d", false, &t_double, NULL, NULL, NULL},
	{6, "l", false, &t_list, NULL, NULL, NULL},
};
static const LhIceSchema schema = {.n_fields = 3, .fields = fields};

LH_TEST(metrics_over_row_groups)
{
	FakeFile	f;
	LhIceDataFile file;
	double		low = -2;
	double		high = 5;

	fake_file(&f);
	f.chunks[0][0].stats = (LhPqStats) {.null_count = 3, .nan_count = 1, .min = bytes(&high, 8), .max = bytes(&high, 8)};
	f.chunks[1][0].stats = (LhPqStats) {.null_count = 4, .nan_count = 2, .min = bytes(&low, 8), .max = bytes(&low, 8)};
	f.chunks[0][1].stats = (LhPqStats) {.nan_count = -1, .min = text("b"), .max = text("y")};
	f.chunks[1][1].stats = (LhPqStats) {.nan_count = -1, .min = text("c"), .max = text("this is a string that is too long")};

	lh_arena_init(&arena, &lh_malloc);
	lh_ice_data_file_init(&file);
	LH_SUCCEED(lh_ice_metrics_from_parquet(&f.meta, &schema, &arena, &file, &err));
	LH_EQ_INT(file.record_count, 30);
	LH_EQ_INT(file.n_split_offsets, 2);
	LH_EQ_INT(file.split_offsets[1], 1004);
	LH_EQ_INT(file.n_columns, 3);
	LH_EQ_INT(file.columns[0].field_id, 1);
	LH_EQ_INT(file.columns[0].nan_count, LH_ICE_NONE);
	LH_EQ_MEM(file.columns[0].lower.data, "b", 1);
	LH_EQ_MEM(file.columns[0].upper.data, "y", 1);
	LH_EQ_INT(file.columns[1].field_id, 2);
	LH_EQ_INT(file.columns[1].column_size, 201);
	LH_EQ_INT(file.columns[1].value_count, 30);
	LH_EQ_INT(file.columns[1].null_count, 7);
	LH_EQ_INT(file.columns[1].nan_count, 3);
	LH_EQ_MEM(file.columns[1].lower.data, &low, 8);
	LH_EQ_MEM(file.columns[1].upper.data, &high, 8);
	LH_EQ_INT(file.columns[2].field_id, 7);
	LH_EQ_INT(file.columns[2].column_size, 201);
	LH_EQ_INT(file.columns[2].value_count, LH_ICE_NONE);
	LH_CHECK(file.columns[2].lower.data == NULL);
	lh_arena_free(&arena);
}

LH_TEST(metrics_that_one_row_group_lacks)
{
	FakeFile	f;
	LhIceDataFile file;
	double		v = 1;

	fake_file(&f);
	/* all null in one group: says nothing about bounds */
	f.chunks[0][0].stats = (LhPqStats) {.null_count = 15, .nan_count = 0};
	f.chunks[1][0].stats = (LhPqStats) {.null_count = 0, .nan_count = 0, .min = bytes(&v, 8), .max = bytes(&v, 8)};
	/* no bounds in one group: none at all */
	f.chunks[0][1].stats = (LhPqStats) {.null_count = -1, .nan_count = -1};
	f.chunks[1][1].stats = (LhPqStats) {.nan_count = -1, .min = text("a"), .max = text("b")};
	f.chunks[1][0].start = 2;		/* below the first: not a list a reader believes */

	lh_arena_init(&arena, &lh_malloc);
	lh_ice_data_file_init(&file);
	LH_SUCCEED(lh_ice_metrics_from_parquet(&f.meta, &schema, &arena, &file, &err));
	LH_EQ_INT(file.n_split_offsets, 0);
	LH_CHECK(file.columns[0].lower.data == NULL && file.columns[0].upper.data == NULL);
	LH_EQ_INT(file.columns[0].null_count, LH_ICE_NONE);
	LH_EQ_MEM(file.columns[1].lower.data, &v, 8);
	LH_EQ_MEM(file.columns[1].upper.data, &v, 8);
	lh_arena_free(&arena);
}

LH_TEST(metrics_of_position_deletes_are_whole)
{
	FakeFile	f;
	LhIceDataFile file;
	const char *path = "s3://bucket/a/path/of/some/length.parquet";
	int64_t		pos = 7;

	fake_file(&f);
	f.nodes[0] = (LhPqNode) {.type = LH_PQ_BYTE_ARRAY, .field_id = LH_ICE_DELETE_PATH_ID};
	f.nodes[1] = (LhPqNode) {.type = LH_PQ_INT64, .field_id = LH_ICE_DELETE_POS_ID};
	f.meta.schema.n_leaves = 2;
	for (int g = 0; g < 2; g++)
	{
		f.chunks[g][0].stats = (LhPqStats) {.nan_count = -1, .min = text(path), .max = text(path)};
		f.chunks[g][1].stats = (LhPqStats) {.nan_count = -1, .min = bytes(&pos, 8), .max = bytes(&pos, 8)};
	}
	lh_arena_init(&arena, &lh_malloc);
	lh_ice_data_file_init(&file);
	LH_SUCCEED(lh_ice_metrics_from_parquet(&f.meta, &schema, &arena, &file, &err));
	LH_EQ_INT(file.columns[0].field_id, LH_ICE_DELETE_POS_ID);
	LH_EQ_INT(file.columns[1].lower.len, (int) strlen(path));
	LH_EQ_INT(file.columns[1].upper.len, (int) strlen(path));
	LH_EQ_MEM(file.columns[1].upper.data, path, strlen(path));
	LH_EQ_MEM(file.columns[0].upper.data, &pos, 8);
	lh_arena_free(&arena);
}
