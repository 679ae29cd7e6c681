/*
 * decode.c
 *	  Turns the slots of a decoded leaf into datums, a batch at a time.
 *
 * By-reference values of a batch share one allocation.  Knows nothing of
 * levels beyond "this slot is null"; assemble.c puts nested values together.
 */
#include "postgres.h"

#include "access/transam.h"
#include "common/int.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/xid8.h"

#include "types/types_int.h"

#define EPOCH_DAYS			(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)
#define EPOCH_MICROS		((int64) EPOCH_DAYS * USECS_PER_DAY)
#define INT96_BYTES			12

/* for (each slot i that has a value) statement; the others become 0 */
#define FOR_SLOTS(i) \
	for (int64 i = 0; i < n; i++) \
		if (nulls != NULL && nulls[i]) \
			out[i] = (Datum) 0; \
		else

static LH_NORETURN void
out_of_range(const LhPgType *type, int code)
{
	ereport(ERROR,
			(errcode(code),
			 errmsg("value in a data file is out of range for type %s",
					format_type_be(type->declared))));
}

/* ---- numbers ---- */

/*
 * oid and int4 are one type to ALTER TYPE (binary coercible), and so is what
 * lies in old files: a value of either's range is taken as its 32 bits.
 */
static Datum
int_datum(const LhPgType *type, int64 v)
{
	switch (type->kind)
	{
		case LH_KIND_INT2:
			if (v < PG_INT16_MIN || v > PG_INT16_MAX)
				break;
			return Int16GetDatum((int16) v);
		case LH_KIND_INT4:
			if (v < PG_INT32_MIN || v > PG_UINT32_MAX)
				break;
			return Int32GetDatum((int32) (uint32) v);
		case LH_KIND_OID:
			if (v < PG_INT32_MIN || v > PG_UINT32_MAX)
				break;
			return ObjectIdGetDatum((Oid) v);
		case LH_KIND_XID8:
			return FullTransactionIdGetDatum(FullTransactionIdFromU64((uint64) v));
		default:
			return Int64GetDatum(v);
	}
	out_of_range(type, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE);
}

static inline bool
is_unsigned(const LhPqNode *leaf)
{
	return leaf->logical == LH_PQ_INTEGER && !leaf->is_signed;
}

/* An integer leaf's slot; an unsigned one beyond int64 shows as negative. */
static inline int64
int_slot(const LhPqNode *leaf, const LhPqVector *v, int64 i)
{
	if (leaf->type == LH_PQ_INT64)
		return v->values.i64[i];
	return is_unsigned(leaf) ? (int64) (uint32) v->values.i32[i] : v->values.i32[i];
}

static void
decode_ints(const LhConv *conv, const LhPqVector *v, int64 n, const uint8 *nulls, Datum *out)
{
	const LhPqNode *leaf = conv->node;
	LhKind		kind = conv->type->kind;

	if (leaf->type == LH_PQ_INT32 && kind == LH_KIND_INT4 && !is_unsigned(leaf))
	{
		FOR_SLOTS(i) out[i] = Int32GetDatum(v->values.i32[i]);
	}
	else if (leaf->type == LH_PQ_INT64 && kind == LH_KIND_INT8 && !is_unsigned(leaf))
	{
		FOR_SLOTS(i) out[i] = Int64GetDatum(v->values.i64[i]);
	}
	else
	{
		bool		no_negatives = is_unsigned(leaf) && kind != LH_KIND_XID8;

		FOR_SLOTS(i)
		{
			int64		x = int_slot(leaf, v, i);

			if (no_negatives && x < 0)
				out_of_range(conv->type, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE);
			out[i] = int_datum(conv->type, x);
		}
	}
}

/* A column's numeric(p,s) shows s digits, whatever the file's scale is. */
static Datum
settle_numeric(const LhConv *conv, Datum value, int file_scale)
{
	if (conv->type->kind != LH_KIND_DECIMAL || conv->type->scale == file_scale)
		return value;
	return DirectFunctionCall2(numeric, value, Int32GetDatum(conv->type->typmod));
}

static LhInt128
numeric_slot(const LhConv *conv, const LhPqVector *v, int64 i)
{
	LhInt128	x;

	if (conv->op == LH_OP_BYTES_NUMERIC)
	{
		if (!lh_int128_from_be(v->values.bytes[i].data, v->values.bytes[i].len, &x))
			out_of_range(conv->type, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE);
		return x;
	}
	x = int_slot(conv->node, v, i);
	return x < 0 && is_unsigned(conv->node) ? x + ((LhInt128) 1 << 64) : x;
}

static void
decode_numerics(const LhConv *conv, const LhPqVector *v, int64 n, const uint8 *nulls, Datum *out)
{
	const LhPqNode *leaf = conv->node;
	int			scale = leaf->logical == LH_PQ_DECIMAL ? leaf->scale : 0;
	char	   *block = MemoryContextAllocHuge(CurrentMemoryContext,
											   Max((Size) n, 1) * LH_NUMERIC_BYTES);

	FOR_SLOTS(i)
	{
		LhInt128	x = numeric_slot(conv, v, i);

		lh_numeric_from_int128(x, scale, block);
		out[i] = settle_numeric(conv, PointerGetDatum(block), scale);
		block += LH_NUMERIC_BYTES;
	}
}

static float4
half_to_float(const uint8 *bytes)
{
	uint32		half = bytes[0] | (uint32) bytes[1] << 8;
	uint32		sign = (half & 0x8000) << 16;
	uint32		exponent = (half >> 10) & 0x1F;
	uint32		fraction = half & 0x3FF;
	uint32		bits;
	float4		v;

	if (exponent == 0)
	{
		v = (float4) fraction / (1 << 24);	/* zero and subnormals */
		return sign ? -v : v;
	}
	if (exponent == 0x1F)
		bits = sign | 0x7F800000 | fraction << 13;
	else
		bits = sign | (exponent + 112) << 23 | fraction << 13;
	memcpy(&v, &bits, sizeof(v));
	return v;
}

/* ---- dates and times ---- */

static Datum
date_datum(const LhPgType *type, int32 days)
{
	int64		date = (int64) days - EPOCH_DAYS;

	if (!IS_VALID_DATE(date))
		out_of_range(type, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE);
	return DateADTGetDatum((DateADT) date);
}

static inline int64
floor_div(int64 a, int64 b)
{
	return a / b - (a % b < 0);
}

/* To microseconds; finer units round down, as everywhere in time. */
static int64
to_micros(const LhPgType *type, LhPqUnit unit, int64 v)
{
	switch (unit)
	{
		case LH_PQ_MILLIS:
			if (pg_mul_s64_overflow(v, 1000, &v))
				out_of_range(type, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE);
			break;
		case LH_PQ_MICROS:
			break;
		case LH_PQ_NANOS:
			v = floor_div(v, 1000);
			break;
	}
	return v;
}

static Datum
time_datum(const LhPgType *type, LhPqUnit unit, int64 v)
{
	v = to_micros(type, unit, v);
	if (v < 0 || v > USECS_PER_DAY)
		out_of_range(type, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE);
	return TimeADTGetDatum(v);
}

static Datum
timestamp_datum(const LhPgType *type, int64 unix_micros)
{
	int64		t;

	if (pg_sub_s64_overflow(unix_micros, EPOCH_MICROS, &t) || !IS_VALID_TIMESTAMP(t))
		out_of_range(type, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE);
	return TimestampGetDatum(t);
}

static Datum
days_timestamp(const LhPgType *type, int64 unix_days, int64 micros)
{
	int64		t;

	if (pg_mul_s64_overflow(unix_days, USECS_PER_DAY, &t) || pg_add_s64_overflow(t, micros, &t))
		out_of_range(type, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE);
	return timestamp_datum(type, t);
}

/* Nanoseconds of the day, then a Julian day number. */
static Datum
int96_datum(const LhPgType *type, LhPqBytes v)
{
	if (v.len != INT96_BYTES)
		out_of_range(type, ERRCODE_DATA_CORRUPTED);
	return days_timestamp(type, (int64) lh_get_u32le(v.data + 8) - UNIX_EPOCH_JDATE,
						  floor_div((int64) lh_get_u64le(v.data), 1000));
}

/* Parquet's own interval: months, days, milliseconds, all unsigned. */
static Datum
interval_datum(const LhPgType *type, LhPqBytes v)
{
	Interval   *span = palloc(sizeof(Interval));

	if (v.len != 12 || lh_get_u32le(v.data) > PG_INT32_MAX || lh_get_u32le(v.data + 4) > PG_INT32_MAX)
		out_of_range(type, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE);
	span->month = (int32) lh_get_u32le(v.data);
	span->day = (int32) lh_get_u32le(v.data + 4);
	span->time = (int64) lh_get_u32le(v.data + 8) * 1000;
	return IntervalPGetDatum(span);
}

/* ---- bytes and text ---- */

Datum
lh_decode_text(const LhPgType *type, const char *text, int len)
{
	char	   *string;
	Datum		value;

	switch (type->kind)
	{
		case LH_KIND_TEXT:
		case LH_KIND_BYTES:
			return PointerGetDatum(cstring_to_text_with_len(text, len));
		case LH_KIND_CHAR:
			return CharGetDatum(len > 0 ? text[0] : '\0');
		case LH_KIND_NAME:
			string = palloc0(NAMEDATALEN);
			memcpy(string, text, pg_mbcliplen(text, len, NAMEDATALEN - 1));
			return PointerGetDatum(string);
		default:
			break;
	}

	string = pnstrdup(text, len);
	if (type->kind == LH_KIND_IO)
		value = InputFunctionCall(unconstify(FmgrInfo *, &type->in), string, type->ioparam, -1);
	else
		value = DirectFunctionCall3(numeric_in, CStringGetDatum(string),
									ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	pfree(string);
	return value;
}

/* Varlena images of all slots in one allocation. */
static void
decode_varlenas(const LhConv *conv, const LhPqVector *v, int64 n, const uint8 *nulls, Datum *out)
{
	const LhPqBytes *bytes = v->values.bytes;
	bool		is_text = conv->op == LH_OP_TEXT;
	Size		total = 0;
	char	   *block;

	FOR_SLOTS(i) total += INTALIGN(VARHDRSZ + (Size) bytes[i].len);
	block = MemoryContextAllocHuge(CurrentMemoryContext, Max(total, 1));

	FOR_SLOTS(i)
	{
		const char *s = (const char *) bytes[i].data;
		int			len = bytes[i].len;

		if ((Size) len > MaxAllocSize - VARHDRSZ)
			out_of_range(conv->type, ERRCODE_PROGRAM_LIMIT_EXCEEDED);
		if (is_text)
			(void) lh_from_utf8(s, len, &len);
		SET_VARSIZE(block, VARHDRSZ + len);
		if (len > 0)
			memcpy(VARDATA(block), s, len);
		out[i] = PointerGetDatum(block);
		block += INTALIGN(VARHDRSZ + len);
	}
}

/* Images of type->len bytes each in one allocation. */
static void
decode_fixed(const LhConv *conv, const LhPqVector *v, int64 n, const uint8 *nulls, Datum *out)
{
	int			len = conv->type->len;
	Size		step = MAXALIGN(len);
	char	   *block = MemoryContextAllocHuge(CurrentMemoryContext, Max((Size) n, 1) * step);

	FOR_SLOTS(i)
	{
		if (v->values.bytes[i].len != len)
			out_of_range(conv->type, ERRCODE_DATA_CORRUPTED);
		memcpy(block, v->values.bytes[i].data, len);
		out[i] = PointerGetDatum(block);
		block += step;
	}
}

static void
decode_texts(const LhConv *conv, const LhPqVector *v, int64 n, const uint8 *nulls, Datum *out)
{
	FOR_SLOTS(i)
	{
		int			len;
		const char *text = lh_from_utf8((const char *) v->values.bytes[i].data,
										v->values.bytes[i].len, &len);

		out[i] = lh_decode_text(conv->type, text, len);
	}
}

static void
decode_rest(const LhConv *conv, const LhPqVector *v, int64 n, const uint8 *nulls, Datum *out)
{
	const LhPgType *type = conv->type;

	switch (conv->op)
	{
		case LH_OP_FLOAT16_FLOAT4:
			FOR_SLOTS(i) out[i] = Float4GetDatum(half_to_float(v->values.bytes[i].data));
			break;
		case LH_OP_FLOAT16_FLOAT8:
			FOR_SLOTS(i) out[i] = Float8GetDatum(half_to_float(v->values.bytes[i].data));
			break;
		case LH_OP_INT96_TIMESTAMP:
			FOR_SLOTS(i) out[i] = int96_datum(type, v->values.bytes[i]);
			break;
		case LH_OP_DATE_TIMESTAMP:
			FOR_SLOTS(i) out[i] = days_timestamp(type, v->values.i32[i], 0);
			break;
		case LH_OP_BYTES_INTERVAL:
			FOR_SLOTS(i) out[i] = interval_datum(type, v->values.bytes[i]);
			break;
		case LH_OP_ENUM:
			FOR_SLOTS(i) out[i] = ObjectIdGetDatum(lh_enum_map_lookup(conv->enums,
																	  v->values.bytes[i].data,
																	  v->values.bytes[i].len));
			break;
		case LH_OP_NOTHING:
			FOR_SLOTS(i) out_of_range(type, ERRCODE_DATA_CORRUPTED);
			break;
		case LH_OP_PRESENT:
			FOR_SLOTS(i) out[i] = lh_make_row(type, NULL, NULL);
			break;
		default:
			decode_texts(conv, v, n, nulls, out);
			break;
	}
}

void
lh_decode_leaf(const LhConv *conv, const LhPqVector *v, int64 n, const uint8 *nulls, Datum *out)
{
	const LhPgType *type = conv->type;
	const LhPqNode *leaf = conv->node;

	switch (conv->op)
	{
		case LH_OP_BOOL:
			FOR_SLOTS(i) out[i] = BoolGetDatum(v->values.b[i] != 0);
			break;
		case LH_OP_INT:
			decode_ints(conv, v, n, nulls, out);
			break;
		case LH_OP_INT_NUMERIC:
		case LH_OP_BYTES_NUMERIC:
			decode_numerics(conv, v, n, nulls, out);
			break;
		case LH_OP_FLOAT4:
			FOR_SLOTS(i) out[i] = Float4GetDatum(v->values.f32[i]);
			break;
		case LH_OP_FLOAT8:
			FOR_SLOTS(i) out[i] = Float8GetDatum(v->values.f64[i]);
			break;
		case LH_OP_FLOAT4_FLOAT8:
			FOR_SLOTS(i) out[i] = Float8GetDatum(v->values.f32[i]);
			break;
		case LH_OP_TEXT:
			if (!lh_server_is_utf8())
			{
				decode_texts(conv, v, n, nulls, out);
				break;
			}
			/* FALLTHROUGH */
		case LH_OP_BYTES:
			decode_varlenas(conv, v, n, nulls, out);
			break;
		case LH_OP_FIXED:
			decode_fixed(conv, v, n, nulls, out);
			break;
		case LH_OP_DATE:
			FOR_SLOTS(i) out[i] = date_datum(type, v->values.i32[i]);
			break;
		case LH_OP_TIME:
			FOR_SLOTS(i) out[i] = time_datum(type, leaf->unit, int_slot(leaf, v, i));
			break;
		case LH_OP_TIMESTAMP:
			FOR_SLOTS(i) out[i] = timestamp_datum(type, to_micros(type, leaf->unit, v->values.i64[i]));
			break;
		default:
			decode_rest(conv, v, n, nulls, out);
			break;
	}
}
