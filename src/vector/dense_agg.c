/*
 * dense_agg.c
 *	  avg() of vector and halfvec.  The state is an array of double: how many
 *	  vectors, then the sum of each dimension.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/float.h"

#include "vector_int.h"

LH_FUNCTION(lh_vector_accum);
LH_FUNCTION(lh_halfvec_accum);
LH_FUNCTION(lh_vector_avg);
LH_FUNCTION(lh_halfvec_avg);
LH_FUNCTION(lh_vector_combine);

/* The state's elements; *n is how many, the count included. */
static float8 *
state_of(ArrayType *array, const char *caller, int *n)
{
	if (ARR_NDIM(array) != 1 || ARR_DIMS(array)[0] < 1 || ARR_HASNULL(array) ||
		ARR_ELEMTYPE(array) != FLOAT8OID)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR), errmsg_internal("%s: expected state array", caller)));
	*n = ARR_DIMS(array)[0];
	return (float8 *) ARR_DATA_PTR(array);
}

static ArrayType *
state_new(int n)
{
	Size		size = ARR_OVERHEAD_NONULLS(1) + sizeof(float8) * n;
	ArrayType  *array = palloc0(size);

	SET_VARSIZE(array, size);
	array->ndim = 1;
	array->elemtype = FLOAT8OID;
	ARR_DIMS(array)[0] = n;
	ARR_LBOUND(array)[0] = 1;
	return array;
}

/* Once an aggregate has its state at full length, it is changed in place. */
static Datum
dense_accum(FunctionCallInfo fcinfo, const LhVecType *type, const char *caller)
{
	ArrayType  *state = PG_GETARG_ARRAYTYPE_P(0);
	LhDense		d = lh_getarg_dense(type, PG_GETARG_DATUM(1));
	bool		in_place = AggCheckCallContext(fcinfo, NULL) != 0;
	int			n;
	float8	   *sums = state_of(state, caller, &n);

	if (sums[0] > 0)
		lh_check_typmod(n - 1, d.dim, NULL);
	if (sums[0] == 0 || !in_place)
	{
		ArrayType  *fresh = state_new(d.dim + 1);
		float8	   *to = (float8 *) ARR_DATA_PTR(fresh);

		memcpy(to, sums, sizeof(float8) * Min(n, sums[0] > 0 ? d.dim + 1 : 1));
		state = fresh;
		sums = to;
	}
	sums[0] += 1;
	for (int i = 0; i < d.dim; i++)
	{
		/* The first one keeps its signs of zero. */
		sums[i + 1] = sums[0] == 1 ? d.x[i] : sums[i + 1] + d.x[i];
		if (unlikely(isinf(sums[i + 1])))
			float_overflow_error();
	}
	PG_RETURN_ARRAYTYPE_P(state);
}

static Datum
dense_avg(FunctionCallInfo fcinfo, const LhVecType *type, const char *caller)
{
	int			n;
	float8	   *sums = state_of(PG_GETARG_ARRAYTYPE_P(0), caller, &n);
	float	   *x;

	if (sums[0] == 0)
		PG_RETURN_NULL();
	lh_check_dim(type, n - 1, NULL);
	x = palloc(sizeof(float) * (n - 1));
	for (int i = 0; i < n - 1; i++)
		x[i] = (float) (sums[i + 1] / sums[0]);
	lh_check_elements(type, x, n - 1, NULL);
	return PointerGetDatum(lh_dense_make(type, x, n - 1, NULL));
}

Datum
lh_vector_accum(PG_FUNCTION_ARGS)
{
	return dense_accum(fcinfo, &lh_type_vector, "vector_accum");
}

Datum
lh_halfvec_accum(PG_FUNCTION_ARGS)
{
	return dense_accum(fcinfo, &lh_type_halfvec, "halfvec_accum");
}

Datum
lh_vector_avg(PG_FUNCTION_ARGS)
{
	return dense_avg(fcinfo, &lh_type_vector, "vector_avg");
}

Datum
lh_halfvec_avg(PG_FUNCTION_ARGS)
{
	return dense_avg(fcinfo, &lh_type_halfvec, "halfvec_avg");
}

Datum
lh_vector_combine(PG_FUNCTION_ARGS)
{
	ArrayType  *a = PG_GETARG_ARRAYTYPE_P(0);
	ArrayType  *b = PG_GETARG_ARRAYTYPE_P(1);
	int			na,
				nb;
	float8	   *x = state_of(a, "vector_combine", &na);
	float8	   *y = state_of(b, "vector_combine", &nb);
	ArrayType  *result;
	float8	   *sums;

	if (x[0] == 0)
		PG_RETURN_ARRAYTYPE_P(PG_GETARG_ARRAYTYPE_P_COPY(1));
	if (y[0] == 0)
		PG_RETURN_ARRAYTYPE_P(PG_GETARG_ARRAYTYPE_P_COPY(0));
	lh_check_typmod(na - 1, nb - 1, NULL);
	result = state_new(na);
	sums = (float8 *) ARR_DATA_PTR(result);
	for (int i = 0; i < na; i++)
	{
		sums[i] = x[i] + y[i];
		if (unlikely(isinf(sums[i])))
			float_overflow_error();
	}
	PG_RETURN_ARRAYTYPE_P(result);
}
