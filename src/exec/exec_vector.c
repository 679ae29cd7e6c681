/*
 * exec_vector.c
 *	  Which columns vector loops can take from a file as they are, and
 *	  comparisons with a value as ranges of 64-bit keys.
 *
 * What does not fit here (other types, decimals of more than 18 digits, leaves
 * that another writer made otherwise) goes the way of datums; nothing here
 * decides a result that Postgres's operator would decide otherwise.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "datatype/timestamp.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "exec/exec_int.h"

#define MAX_DIGITS		18		/* of a decimal in 64 bits */

static int
decimal_precision(int32 typmod)
{
	return ((typmod - VARHDRSZ) >> 16) & 0xFFFF;
}

int
lh_vec_scale(Form_pg_attribute att)
{
	return (((att->atttypmod - VARHDRSZ) & 0x7FF) ^ 1024) - 1024;
}

LhVecKind
lh_vec_kind(Form_pg_attribute att)
{
	switch (att->atttypid)
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
			return LH_VEC_INT;
		case FLOAT4OID:
			return LH_VEC_FLOAT4;
		case FLOAT8OID:
			return LH_VEC_FLOAT8;
		case DATEOID:
			return LH_VEC_DATE;
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return LH_VEC_TIMESTAMP;
		case NUMERICOID:
			if (att->atttypmod >= VARHDRSZ && decimal_precision(att->atttypmod) <= MAX_DIGITS &&
				lh_vec_scale(att) >= 0 && lh_vec_scale(att) <= decimal_precision(att->atttypmod))
				return LH_VEC_DECIMAL;
			return LH_VEC_NONE;
		default:
			return LH_VEC_NONE;
	}
}

bool
lh_vec_leaf_fits(Form_pg_attribute att, LhVecKind kind, const LhPqNode *leaf)
{
	switch (kind)
	{
		case LH_VEC_INT:
			return leaf->type == (att->atttypid == INT8OID ? LH_PQ_INT64 : LH_PQ_INT32) &&
				(leaf->logical == LH_PQ_NONE || (leaf->logical == LH_PQ_INTEGER && leaf->is_signed));
		case LH_VEC_FLOAT4:
			return leaf->type == LH_PQ_FLOAT;
		case LH_VEC_FLOAT8:
			return leaf->type == LH_PQ_DOUBLE;
		case LH_VEC_DATE:
			return leaf->type == LH_PQ_INT32 && leaf->logical == LH_PQ_DATE;
		case LH_VEC_TIMESTAMP:
			return leaf->type == LH_PQ_INT64 && leaf->logical == LH_PQ_TIMESTAMP && leaf->unit == LH_PQ_MICROS;
		case LH_VEC_DECIMAL:
			return (leaf->type == LH_PQ_INT32 || leaf->type == LH_PQ_INT64) &&
				leaf->logical == LH_PQ_DECIMAL && leaf->scale == lh_vec_scale(att);
		default:
			return false;
	}
}

/* ---- a value as a key ---- */

/*
 * Where a value lies among the keys: at `key`, or above it and below key + 1
 * (!exact), or beside them all (beyond -1 or 1).
 */
typedef struct KeyPlace
{
	int64		key;
	bool		exact;
	int			beyond;
} KeyPlace;

static KeyPlace
at_key(int64 key)
{
	return (KeyPlace) {key, true, 0};
}

static KeyPlace
beside(int beyond)
{
	return (KeyPlace) {0, false, beyond};
}

static KeyPlace
place_date(DateADT date)
{
	if (DATE_NOT_FINITE(date))
		return beside(DATE_IS_NOEND(date) ? 1 : -1);
	return at_key((int64) date + LH_UNIX_DAYS);
}

static KeyPlace
place_timestamp(Timestamp t)
{
	int64		key;

	if (TIMESTAMP_NOT_FINITE(t))
		return beside(TIMESTAMP_IS_NOEND(t) ? 1 : -1);
	if (pg_add_s64_overflow(t, LH_UNIX_MICROS, &key))
		return beside(1);
	return at_key(key);
}

static KeyPlace
place_decimal(Datum value, int scale)
{
	Datum		unit = DirectFunctionCall3(numeric_in, CStringGetDatum(psprintf("1e%d", scale)),
										   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	Datum		limit = NumericGetDatum(int64_to_numeric(INT64CONST(1000000000000000000)));
	Datum		scaled;
	Datum		floor;

	/* NaN compares as the greatest; no key is an infinity */
	if (DatumGetBool(DirectFunctionCall2(numeric_ge, value, limit)))
		return beside(1);
	if (DatumGetBool(DirectFunctionCall2(numeric_le, value, DirectFunctionCall1(numeric_uminus, limit))))
		return beside(-1);
	scaled = DirectFunctionCall2(numeric_mul, value, unit);
	if (DatumGetBool(DirectFunctionCall2(numeric_ge, scaled, limit)))
		return beside(1);
	if (DatumGetBool(DirectFunctionCall2(numeric_le, scaled, DirectFunctionCall1(numeric_uminus, limit))))
		return beside(-1);
	floor = DirectFunctionCall1(numeric_floor, scaled);
	return (KeyPlace) {
		DatumGetInt64(DirectFunctionCall1(numeric_int8, floor)),
		DatumGetBool(DirectFunctionCall2(numeric_eq, floor, scaled)),
		0
	};
}

static KeyPlace
place_value(Oid type, Datum value, Form_pg_attribute att)
{
	switch (type)
	{
		case INT2OID:
			return at_key(DatumGetInt16(value));
		case INT4OID:
			return at_key(DatumGetInt32(value));
		case INT8OID:
			return at_key(DatumGetInt64(value));
		case FLOAT4OID:
			return at_key(lh_float_key(DatumGetFloat4(value)));
		case FLOAT8OID:
			return at_key(lh_float_key(DatumGetFloat8(value)));
		case DATEOID:
			return place_date(DatumGetDateADT(value));
		case NUMERICOID:
			return place_decimal(value, lh_vec_scale(att));
		default:
			return place_timestamp(DatumGetTimestamp(value));
	}
}

static LhKeyRange
range_of(StrategyNumber strategy, KeyPlace place)
{
	static const LhKeyRange all = {PG_INT64_MIN, PG_INT64_MAX};
	static const LhKeyRange none = {1, 0};
	int64		key = place.key;
	bool		exact = place.exact;

	switch (strategy)
	{
		case BTLessStrategyNumber:
		case BTLessEqualStrategyNumber:
			if (place.beyond != 0)
				return place.beyond > 0 ? all : none;
			if (!exact || strategy == BTLessEqualStrategyNumber)
				return (LhKeyRange) {PG_INT64_MIN, key};
			return key == PG_INT64_MIN ? none : (LhKeyRange) {PG_INT64_MIN, key - 1};
		case BTGreaterStrategyNumber:
		case BTGreaterEqualStrategyNumber:
			if (place.beyond != 0)
				return place.beyond < 0 ? all : none;
			if (exact && strategy == BTGreaterEqualStrategyNumber)
				return (LhKeyRange) {key, PG_INT64_MAX};
			return key == PG_INT64_MAX ? none : (LhKeyRange) {key + 1, PG_INT64_MAX};
		default:
			return place.beyond == 0 && exact ? (LhKeyRange) {key, key} : none;
	}
}

static bool
is_int(Oid type)
{
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

static bool
is_float(Oid type)
{
	return type == FLOAT4OID || type == FLOAT8OID;
}

bool
lh_vec_clause_fits(const LhClause *clause, Form_pg_attribute att)
{
	LhVecKind	kind = lh_vec_kind(att);

	if (clause->kind == LH_CLAUSE_NOT_NULL)
		return kind != LH_VEC_NONE;
	if (clause->kind != LH_CLAUSE_CMP || kind == LH_VEC_NONE || clause->left_type != att->atttypid)
		return false;
	if (kind == LH_VEC_INT)
		return is_int(clause->right_type);
	if (kind == LH_VEC_FLOAT4 || kind == LH_VEC_FLOAT8)
		return is_float(clause->right_type);
	return clause->right_type == clause->left_type;
}

bool
lh_vec_range(const LhClause *clause, Form_pg_attribute att, LhKeyRange *range)
{
	if (!lh_vec_clause_fits(clause, att))
		return false;
	if (clause->kind == LH_CLAUSE_NOT_NULL)
		*range = (LhKeyRange) {PG_INT64_MIN, PG_INT64_MAX};
	else if (clause->n_values == 0)
		*range = (LhKeyRange) {1, 0};
	else
		*range = range_of(clause->strategy, place_value(clause->right_type, clause->values[0], att));
	return true;
}
