/*
 * exec_accum.c
 *	  count, sum, avg, min and max over columns as the files have them.
 *
 * Results are those of core's aggregates to the last digit: integers and
 * decimals are summed in 128 bits and then divided by core's own numeric
 * functions; sums of floats add in the order of rows, with core's checks for
 * overflow.  Values that come as datums (rows of the delta, exact cells, so
 * also NaN and the infinities of dates) go into the same state.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/int.h"
#include "datatype/timestamp.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datum.h"
#include "utils/float.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "exec/exec_int.h"

typedef enum Op
{
	OP_COUNT_ROWS,
	OP_COUNT,
	OP_SUM,
	OP_AVG,
	OP_MIN,
	OP_MAX
} Op;

static const struct
{
	Oid			aggfnoid;
	Op			op;
	Oid			type;
}			known[] =
{
	{F_SUM_INT2, OP_SUM, INT2OID}, {F_SUM_INT4, OP_SUM, INT4OID}, {F_SUM_INT8, OP_SUM, INT8OID},
	{F_SUM_FLOAT4, OP_SUM, FLOAT4OID}, {F_SUM_FLOAT8, OP_SUM, FLOAT8OID}, {F_SUM_NUMERIC, OP_SUM, NUMERICOID},
	{F_AVG_INT2, OP_AVG, INT2OID}, {F_AVG_INT4, OP_AVG, INT4OID}, {F_AVG_INT8, OP_AVG, INT8OID},
	{F_AVG_FLOAT4, OP_AVG, FLOAT4OID}, {F_AVG_FLOAT8, OP_AVG, FLOAT8OID}, {F_AVG_NUMERIC, OP_AVG, NUMERICOID},
	{F_MIN_INT2, OP_MIN, INT2OID}, {F_MIN_INT4, OP_MIN, INT4OID}, {F_MIN_INT8, OP_MIN, INT8OID},
	{F_MIN_FLOAT4, OP_MIN, FLOAT4OID}, {F_MIN_FLOAT8, OP_MIN, FLOAT8OID}, {F_MIN_NUMERIC, OP_MIN, NUMERICOID},
	{F_MIN_DATE, OP_MIN, DATEOID}, {F_MIN_TIMESTAMP, OP_MIN, TIMESTAMPOID},
	{F_MIN_TIMESTAMPTZ, OP_MIN, TIMESTAMPTZOID},
	{F_MAX_INT2, OP_MAX, INT2OID}, {F_MAX_INT4, OP_MAX, INT4OID}, {F_MAX_INT8, OP_MAX, INT8OID},
	{F_MAX_FLOAT4, OP_MAX, FLOAT4OID}, {F_MAX_FLOAT8, OP_MAX, FLOAT8OID}, {F_MAX_NUMERIC, OP_MAX, NUMERICOID},
	{F_MAX_DATE, OP_MAX, DATEOID}, {F_MAX_TIMESTAMP, OP_MAX, TIMESTAMPOID},
	{F_MAX_TIMESTAMPTZ, OP_MAX, TIMESTAMPTZOID},
};

/* palloc aligns to eight bytes */
typedef __int128 Int128 __attribute__((aligned(MAXIMUM_ALIGNOF)));

struct LhAccum
{
	Op			op;
	AttrNumber	attnum;
	Form_pg_attribute att;
	LhVecKind	kind;
	int			scale;			/* DECIMAL */
	MemoryContext cxt;			/* of the numerics below */

	int64		count;			/* values (or rows), all of them */

	/* integers and decimals from vectors, integers from datums too */
	int64		n_ints;
	Int128		sum;
	int64		best;			/* min or max, in the file's units */

	/* floats */
	double		float_sum;		/* a float4 for sum(float4) */
	double		float_squares;	/* avg: core's overflow check wants it */
	double		float_best;

	/* decimals that came as datums */
	bool		has_numeric;
	Datum		numeric;		/* their sum, min or max */
};

static bool
is_float(LhVecKind kind)
{
	return kind == LH_VEC_FLOAT4 || kind == LH_VEC_FLOAT8;
}

static bool
find_op(Oid aggfnoid, Form_pg_attribute att, Op *op)
{
	if (att == NULL)
	{
		*op = OP_COUNT_ROWS;
		return aggfnoid == F_COUNT_;
	}
	*op = OP_COUNT;
	if (aggfnoid == F_COUNT_ANY)
		return true;
	for (int i = 0; i < lengthof(known); i++)
	{
		*op = known[i].op;
		if (known[i].aggfnoid == aggfnoid)
			return known[i].type == att->atttypid && lh_vec_kind(att) != LH_VEC_NONE;
	}
	return false;
}

bool
lh_accum_supported(Oid aggfnoid, Form_pg_attribute att)
{
	Op			op;

	return find_op(aggfnoid, att, &op);
}

LhAccum *
lh_accum_create(Oid aggfnoid, Form_pg_attribute att)
{
	LhAccum    *accum = palloc0(sizeof(LhAccum));

	if (!find_op(aggfnoid, att, &accum->op))
		elog(ERROR, "unexpected aggregate %u", aggfnoid);
	if (att != NULL)
	{
		accum->attnum = att->attnum;
		accum->att = att;
		accum->kind = lh_vec_kind(att);
		accum->scale = accum->kind == LH_VEC_DECIMAL ? lh_vec_scale(att) : 0;
	}
	accum->cxt = CurrentMemoryContext;
	return accum;
}

void
lh_accum_reset(LhAccum *accum)
{
	accum->count = accum->n_ints = 0;
	accum->sum = 0;
	accum->float_sum = accum->float_squares = 0;
	if (accum->has_numeric)
		pfree(DatumGetPointer(accum->numeric));
	accum->has_numeric = false;
}

AttrNumber
lh_accum_attnum(const LhAccum *accum)
{
	return accum->attnum;
}

bool
lh_accum_takes_leaf(const LhAccum *accum, const LhPqNode *leaf)
{
	return accum->op == OP_COUNT || lh_vec_leaf_fits(accum->att, accum->kind, leaf);
}

void
lh_accum_rows(LhAccum *accum, int64 n)
{
	accum->count += n;
}

/* ---- one value ---- */

/* As float4_accum() and float8_accum(): the sum, and of squares what its check needs. */
static inline void
average_float(LhAccum *accum, double v)
{
	double		n = (double) accum->count;	/* before v */
	double		sum = accum->float_sum;
	double		squares = accum->float_squares;
	double		n_after = n + 1.0;
	double		sum_after = sum + v;

	if (n > 0.0)
	{
		double		d = v * n_after - sum_after;

		squares += d * d / (n_after * n);
		if (isinf(sum_after) || isinf(squares))
		{
			if (!isinf(sum) && !isinf(v))
				float_overflow_error();
			squares = get_float8_nan();
		}
	}
	else if (isnan(v) || isinf(v))
		squares = get_float8_nan();
	accum->float_sum = sum_after;
	accum->float_squares = squares;
	accum->count++;
}

static inline void
add_float(LhAccum *accum, double v)
{
	bool		first = accum->count == 0;

	switch (accum->op)
	{
		case OP_AVG:
			average_float(accum, v);
			return;
		case OP_SUM:
			if (first)
				accum->float_sum = v;
			else if (accum->kind == LH_VEC_FLOAT4)
				accum->float_sum = float4_pl((float4) accum->float_sum, (float4) v);
			else
				accum->float_sum = float8_pl(accum->float_sum, v);
			break;
		case OP_MIN:
			if (first || !float8_lt(accum->float_best, v))
				accum->float_best = v;
			break;
		default:
			if (first || !float8_gt(accum->float_best, v))
				accum->float_best = v;
			break;
	}
	accum->count++;
}

/* n values of sum `sum`, the least and the greatest of which are given. */
static inline void
add_ints(LhAccum *accum, int64 n, Int128 sum, int64 best)
{
	if (n == 0)
		return;
	accum->sum += sum;
	if (accum->n_ints == 0 || (accum->op == OP_MIN ? best < accum->best : best > accum->best))
		accum->best = best;
	accum->n_ints += n;
	accum->count += n;
}

static void
add_numeric(LhAccum *accum, Datum value)
{
	static const PGFunction functions[] = {
		[OP_SUM] = numeric_add,[OP_AVG] = numeric_add,[OP_MIN] = numeric_smaller,[OP_MAX] = numeric_larger
	};
	Datum		result = value;
	MemoryContext old;

	if (accum->has_numeric)
		result = DirectFunctionCall2(functions[accum->op], accum->numeric, value);
	old = MemoryContextSwitchTo(accum->cxt);
	result = datumCopy(result, false, -1);
	MemoryContextSwitchTo(old);
	if (accum->has_numeric)
		pfree(DatumGetPointer(accum->numeric));
	accum->numeric = result;
	accum->has_numeric = true;
	accum->count++;
}

/* Dates keep Postgres's epoch here and in `best`: infinities have no other. */
void
lh_accum_datum(LhAccum *accum, Datum value, bool isnull)
{
	int64		v;

	if (isnull)
		return;
	if (accum->op == OP_COUNT)
	{
		accum->count++;
		return;
	}
	switch (accum->att->atttypid)
	{
		case FLOAT4OID:
			add_float(accum, DatumGetFloat4(value));
			return;
		case FLOAT8OID:
			add_float(accum, DatumGetFloat8(value));
			return;
		case NUMERICOID:
			add_numeric(accum, value);
			return;
		case INT2OID:
			v = DatumGetInt16(value);
			break;
		case INT4OID:
			v = DatumGetInt32(value);
			break;
		case DATEOID:
			v = DatumGetDateADT(value);
			break;
		default:
			v = DatumGetInt64(value);
			break;
	}
	add_ints(accum, 1, v, v);
}

/* ---- vectors ---- */

/* Rows that are selected and not null; NULL: all. */
static const uint8 *
rows_to_use(const uint8 *selected, const uint8 *nulls, int n, uint8 *space)
{
	if (nulls == NULL)
		return selected;
	for (int i = 0; i < n; i++)
		space[i] = !nulls[i];
	if (selected != NULL)
		for (int i = 0; i < n; i++)
			space[i] &= selected[i];
	return space;
}

/*
 * Most rows are used where few are deleted, so loops look at eight at once: a
 * mask has one byte, 0 or 1, for each.
 */
#define ROWS_AT_ONCE	8
#define ALL_USED		UINT64CONST(0x0101010101010101)

static inline uint64
used_word(const uint8 *use)
{
	uint64		word;

	StaticAssertStmt(sizeof(word) == ROWS_AT_ONCE, "a byte of the mask for each row");
	memcpy(&word, use, sizeof(word));
	return word;
}

static int
count_used(const uint8 *use, int n)
{
	int			count = 0;
	int			i = 0;

	if (use == NULL)
		return n;
	for (; i + ROWS_AT_ONCE <= n; i += ROWS_AT_ONCE)
		count += (int) (used_word(use + i) * ALL_USED >> 56);	/* the sum of its bytes */
	for (; i < n; i++)
		count += use[i];
	return count;
}

#define FOR_USED(i) \
	for (int i = 0; i < n; i++) \
		if (use == NULL || use[i])

#define SUM_LOOP(type, element, vector) \
	do { \
		const element *v = (vector); \
		type		s = 0; \
		int			i = 0; \
		for (; i + ROWS_AT_ONCE <= n; i += ROWS_AT_ONCE) \
		{ \
			if (use == NULL || used_word(use + i) == ALL_USED) \
				s += ((type) v[i] + v[i + 1] + v[i + 2] + v[i + 3]) + \
					((type) v[i + 4] + v[i + 5] + v[i + 6] + v[i + 7]); \
			else \
				for (int k = i; k < i + ROWS_AT_ONCE; k++) \
					s += use[k] ? v[k] : 0; \
		} \
		for (; i < n; i++) \
			s += use == NULL || use[i] ? v[i] : 0; \
		sum = s; \
	} while (0)

#define BEST_LOOP(v) \
	do { \
		if (accum->op == OP_MIN) \
		{ \
			FOR_USED(i) best = Min(best, (v)[i]); \
		} \
		else \
		{ \
			FOR_USED(i) best = Max(best, (v)[i]); \
		} \
	} while (0)

/* Days or microseconds since 1970, back to Postgres's epoch. */
static int64
from_unix(const LhAccum *accum, int64 v)
{
	int64		epoch = accum->kind == LH_VEC_DATE ? LH_UNIX_DAYS : LH_UNIX_MICROS;
	int64		result;

	if (accum->kind != LH_VEC_DATE && accum->kind != LH_VEC_TIMESTAMP)
		return v;
	if (pg_sub_s64_overflow(v, epoch, &result) ||
		(accum->kind == LH_VEC_DATE ? !IS_VALID_DATE(result) : !IS_VALID_TIMESTAMP(result)))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("value in a data file is out of range for type %s",
						format_type_be(accum->att->atttypid))));
	return result;
}

static void
add_int_vector(LhAccum *accum, const LhPqNode *leaf, const LhPqVector *vector, const uint8 *use, int n)
{
	int64		best = accum->op == OP_MIN ? PG_INT64_MAX : PG_INT64_MIN;
	Int128		sum = 0;
	int			used = count_used(use, n);
	bool		is_wide = leaf->type == LH_PQ_INT64;

	if (used == 0)
		return;
	if (accum->op == OP_SUM || accum->op == OP_AVG)
	{
		/* a batch of 15-digit decimals adds up in 64 bits */
		StaticAssertStmt(LH_BATCH_ROWS <= 1024, "a batch may overflow");
		if (!is_wide)
			SUM_LOOP(int64, int32, vector->values.i32);
		else if (accum->kind == LH_VEC_DECIMAL && leaf->precision <= 15)
			SUM_LOOP(int64, int64, vector->values.i64);
		else
			SUM_LOOP(Int128, int64, vector->values.i64);
	}
	else
	{
		if (is_wide)
			BEST_LOOP(vector->values.i64);
		else
			BEST_LOOP(vector->values.i32);
		best = from_unix(accum, best);
	}
	add_ints(accum, used, sum, best);
}

void
lh_accum_vector(LhAccum *accum, const LhPqNode *leaf, const LhPqVector *vector,
				const uint8 *selected, int n)
{
	uint8		space[LH_BATCH_ROWS];
	const uint8 *use = rows_to_use(selected, vector->nulls, n, space);

	if (accum->op == OP_COUNT)
		accum->count += count_used(use, n);
	else if (accum->kind == LH_VEC_FLOAT4)
	{
		FOR_USED(i) add_float(accum, vector->values.f32[i]);
	}
	else if (accum->kind == LH_VEC_FLOAT8)
	{
		FOR_USED(i) add_float(accum, vector->values.f64[i]);
	}
	else
		add_int_vector(accum, leaf, vector, use, n);
}

/* ---- results ---- */

static Datum
numeric_of(Int128 value, int scale)
{
	char		digits[64];
	char		text[64];
	unsigned __int128 magnitude = value < 0 ? -(unsigned __int128) value : (unsigned __int128) value;
	char	   *t = text;
	int			n = 0;

	/* the lowest digit first, at least one before the point */
	do
	{
		digits[n++] = '0' + (char) (magnitude % 10);
		magnitude /= 10;
	} while (magnitude != 0 || n <= scale);
	if (value < 0)
		*t++ = '-';
	while (n > 0)
	{
		if (n == scale)
			*t++ = '.';
		*t++ = digits[--n];
	}
	*t = '\0';
	return DirectFunctionCall3(numeric_in, CStringGetDatum(text),
							   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

/* What came as vectors and what came as datums, together. */
static Datum
total_numeric(LhAccum *accum)
{
	Int128		ints = accum->op == OP_MIN || accum->op == OP_MAX ? accum->best : accum->sum;

	if (!accum->has_numeric)
		return numeric_of(ints, accum->scale);
	if (accum->n_ints > 0)
	{
		int64		count = accum->count;
		MemoryContext old = MemoryContextSwitchTo(accum->cxt);

		add_numeric(accum, numeric_of(ints, accum->scale));
		MemoryContextSwitchTo(old);
		accum->count = count;
		accum->n_ints = 0;
	}
	return datumCopy(accum->numeric, false, -1);
}

static Datum
int_result(const LhAccum *accum)
{
	int64		v = accum->best;

	switch (accum->att->atttypid)
	{
		case INT2OID:
			if (v < PG_INT16_MIN || v > PG_INT16_MAX)
				ereport(ERROR,
						(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						 errmsg("value in a data file is out of range for type %s", "smallint")));
			return Int16GetDatum((int16) v);
		case INT4OID:
			return Int32GetDatum((int32) v);
		case DATEOID:
			return DateADTGetDatum((DateADT) v);
		default:
			return Int64GetDatum(v);
	}
}

static Datum
float_result(const LhAccum *accum)
{
	double		v = accum->op == OP_SUM ? accum->float_sum : accum->float_best;

	if (accum->op == OP_AVG)
		return Float8GetDatum(accum->float_sum / (double) accum->count);
	return accum->kind == LH_VEC_FLOAT4 ? Float4GetDatum((float4) v) : Float8GetDatum(v);
}

Datum
lh_accum_result(LhAccum *accum, bool *isnull)
{
	*isnull = false;
	if (accum->op == OP_COUNT_ROWS || accum->op == OP_COUNT)
		return Int64GetDatum(accum->count);
	if (accum->count == 0)
	{
		*isnull = true;
		return (Datum) 0;
	}
	if (is_float(accum->kind))
		return float_result(accum);
	if (accum->op == OP_AVG)
		return DirectFunctionCall2(numeric_div, total_numeric(accum),
								   NumericGetDatum(int64_to_numeric(accum->count)));
	if (accum->kind == LH_VEC_DECIMAL)
		return total_numeric(accum);
	if (accum->op == OP_SUM)
		return accum->att->atttypid == INT8OID ? numeric_of(accum->sum, 0) : Int64GetDatum((int64) accum->sum);
	return int_result(accum);
}
