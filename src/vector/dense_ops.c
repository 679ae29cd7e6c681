/*
 * dense_ops.c
 *	  Arithmetic, comparison and the other functions of vector and halfvec.
 *	  halfvec computes in float and rounds once.
 */
#include "postgres.h"

#include <limits.h>
#include <math.h>

#include "utils/float.h"
#include "utils/varbit.h"

#include "vector_int.h"

/* Defines lh_<type>_<name> for both types as one call. */
#define BOTH(name, body) \
	LH_FUNCTION(lh_vector_##name); \
	LH_FUNCTION(lh_halfvec_##name); \
	Datum \
	lh_vector_##name(PG_FUNCTION_ARGS) \
	{ \
		const LhVecType *type = &lh_type_vector; \
		body; \
	} \
	Datum \
	lh_halfvec_##name(PG_FUNCTION_ARGS) \
	{ \
		const LhVecType *type = &lh_type_halfvec; \
		body; \
	}

#define ARG(n) lh_getarg_dense(type, PG_GETARG_DATUM(n))

static void
check_same_dim(const LhVecType *type, LhDense a, LhDense b)
{
	if (unlikely(a.dim != b.dim))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("different %s dimensions %d and %d", type->name, a.dim, b.dim)));
}

/*
 * The elements as a value of the type; what a half cannot hold is an overflow
 * here, not a number out of range.
 */
static Datum
make_result(const LhVecType *type, const float *x, int dim)
{
	if (type->half)
	{
		LhHalfvec  *v = lh_halfvec_new(dim);

		lh_kern.narrow((size_t) dim, x, v->x);
		for (int i = 0; i < dim; i++)
			if (unlikely((v->x[i] & 0x7fff) == 0x7c00))
				float_overflow_error();
		return PointerGetDatum(v);
	}
	lh_check_overflow(x, dim);
	return PointerGetDatum(lh_dense_make(type, x, dim, NULL));
}

/* ---- arithmetic ---- */

static Datum
dense_add(const LhVecType *type, LhDense a, LhDense b)
{
	float	   *x;

	check_same_dim(type, a, b);
	x = palloc(sizeof(float) * a.dim);
	for (int i = 0; i < a.dim; i++)
		x[i] = a.x[i] + b.x[i];
	return make_result(type, x, a.dim);
}

static Datum
dense_sub(const LhVecType *type, LhDense a, LhDense b)
{
	float	   *x;

	check_same_dim(type, a, b);
	x = palloc(sizeof(float) * a.dim);
	for (int i = 0; i < a.dim; i++)
		x[i] = a.x[i] - b.x[i];
	return make_result(type, x, a.dim);
}

/*
 * A product that became zero, of factors that are not, has underflowed; the
 * first element that goes wrong decides which error it is.
 */
static Datum
dense_mul(const LhVecType *type, LhDense a, LhDense b)
{
	float	   *x;

	check_same_dim(type, a, b);
	x = palloc(sizeof(float) * a.dim);
	for (int i = 0; i < a.dim; i++)
	{
		x[i] = a.x[i] * b.x[i];
		if (type->half)
			x[i] = lh_half_to_float(lh_float_to_half(x[i]));
		if (unlikely(isinf(x[i])))
			float_overflow_error();
		if (unlikely(x[i] == 0 && a.x[i] != 0 && b.x[i] != 0))
			float_underflow_error();
	}
	return make_result(type, x, a.dim);
}

static Datum
dense_concat(const LhVecType *type, LhDense a, LhDense b)
{
	int			dim = a.dim + b.dim;
	float	   *x;

	lh_check_dim(type, dim, NULL);
	x = palloc(sizeof(float) * dim);
	memcpy(x, a.x, sizeof(float) * a.dim);
	memcpy(x + a.dim, b.x, sizeof(float) * b.dim);
	return make_result(type, x, dim);
}

BOTH(add, return dense_add(type, ARG(0), ARG(1)))
BOTH(sub, return dense_sub(type, ARG(0), ARG(1)))
BOTH(mul, return dense_mul(type, ARG(0), ARG(1)))
BOTH(concat, return dense_concat(type, ARG(0), ARG(1)))

/* ---- norms ---- */

/* In double, since squares leave float's range early. */
static double
dense_norm(LhDense d)
{
	double		sums[4] = {0};
	int			i = 0;

	for (; i + 4 <= d.dim; i += 4)
		for (int k = 0; k < 4; k++)
			sums[k] += (double) d.x[i + k] * (double) d.x[i + k];
	for (; i < d.dim; i++)
		sums[0] += (double) d.x[i] * (double) d.x[i];
	return sqrt((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

/* The zero vector stays what it is. */
static Datum
dense_normalize(const LhVecType *type, LhDense d)
{
	float	   *x = palloc0(sizeof(float) * d.dim);
	double		norm = dense_norm(d);

	if (norm > 0)
		for (int i = 0; i < d.dim; i++)
			x[i] = (float) (d.x[i] / norm);
	return make_result(type, x, d.dim);
}

BOTH(norm, PG_RETURN_FLOAT8(dense_norm(ARG(0))))
BOTH(l2_normalize, return dense_normalize(type, ARG(0)))

/* ---- parts ---- */

/* Elements above zero as ones, the first in the highest bit. */
static Datum
dense_binary_quantize(LhDense d)
{
	VarBit	   *result = palloc0(VARBITTOTALLEN(d.dim));
	bits8	   *bits = VARBITS(result);

	SET_VARSIZE(result, VARBITTOTALLEN(d.dim));
	VARBITLEN(result) = d.dim;
	for (int i = 0; i < d.dim; i++)
		bits[i / 8] |= (bits8) ((d.x[i] > 0) << (7 - i % 8));
	PG_RETURN_VARBIT_P(result);
}

/* Of `count` elements from `start`, counted from 1, those that exist. */
static Datum
dense_subvector(const LhVecType *type, LhDense d, int32 start, int32 count)
{
	int64		first = start;
	int64		end = first + count;	/* behind the last */

	if (count < 1)
		lh_check_dim(type, 0, NULL);
	first = Max(first, 1);
	end = Min(end, (int64) d.dim + 1);
	lh_check_dim(type, Max(end - first, 0), NULL);
	return make_result(type, d.x + first - 1, (int) (end - first));
}

/* The header alone is fetched. */
static int
dense_dims(Datum d)
{
	return ((LhVector *) PG_DETOAST_DATUM_SLICE(d, 0, offsetof(LhVector, x) - VARHDRSZ))->dim;
}

BOTH(dims, (void) type; PG_RETURN_INT32(dense_dims(PG_GETARG_DATUM(0))))
BOTH(binary_quantize, return dense_binary_quantize(ARG(0)))
BOTH(subvector, return dense_subvector(type, ARG(0), PG_GETARG_INT32(1), PG_GETARG_INT32(2)))

/* ---- comparison: by the first elements that differ, then by length ---- */

/* Halves in the order of their values; 0 and -0 are one. */
static inline int
half_rank(LhHalf h)
{
	return h & 0x8000 ? -(h & 0x7fff) : h;
}

static int
vector_cmp(const LhVector *a, const LhVector *b)
{
	int			dim = Min(a->dim, b->dim);

	for (int i = 0; i < dim; i++)
		if (a->x[i] != b->x[i])
			return a->x[i] < b->x[i] ? -1 : 1;
	return a->dim < b->dim ? -1 : a->dim > b->dim;
}

static int
halfvec_cmp(const LhHalfvec *a, const LhHalfvec *b)
{
	int			dim = Min(a->dim, b->dim);

	for (int i = 0; i < dim; i++)
	{
		int			x = half_rank(a->x[i]);
		int			y = half_rank(b->x[i]);

		if (x != y)
			return x < y ? -1 : 1;
	}
	return a->dim < b->dim ? -1 : a->dim > b->dim;
}

/* Sorting calls this in one memory context: nothing may be left behind. */
static int
dense_cmp(FunctionCallInfo fcinfo, const LhVecType *type)
{
	void	   *a = PG_DETOAST_DATUM(PG_GETARG_DATUM(0));
	void	   *b = PG_DETOAST_DATUM(PG_GETARG_DATUM(1));
	int			result = type->half ? halfvec_cmp(a, b) : vector_cmp(a, b);

	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	return result;
}

static uint64
dense_hash(LhDense d, int64 seed)
{
	uint64		hash = 0;

	for (int i = 0; i < d.dim; i++)
		hash = lh_hash_step(hash, i, d.x[i]);
	return lh_hash_end(hash, d.dim, seed);
}

BOTH(lt, PG_RETURN_BOOL(dense_cmp(fcinfo, type) < 0))
BOTH(le, PG_RETURN_BOOL(dense_cmp(fcinfo, type) <= 0))
BOTH(eq, PG_RETURN_BOOL(dense_cmp(fcinfo, type) == 0))
BOTH(ne, PG_RETURN_BOOL(dense_cmp(fcinfo, type) != 0))
BOTH(ge, PG_RETURN_BOOL(dense_cmp(fcinfo, type) >= 0))
BOTH(gt, PG_RETURN_BOOL(dense_cmp(fcinfo, type) > 0))
BOTH(cmp, PG_RETURN_INT32(dense_cmp(fcinfo, type)))
BOTH(hash, PG_RETURN_INT32((int32) dense_hash(ARG(0), 0)))
BOTH(hash_extended, PG_RETURN_INT64((int64) dense_hash(ARG(0), PG_GETARG_INT64(1))))
