/*
 * vector_cast.c
 *	  Casts between the vector types, and from and to arrays.  Each has the
 *	  target's type modifier as second argument.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"

#include "vector_int.h"

LH_FUNCTION(lh_vector);
LH_FUNCTION(lh_halfvec);
LH_FUNCTION(lh_sparsevec);
LH_FUNCTION(lh_array_to_vector);
LH_FUNCTION(lh_array_to_halfvec);
LH_FUNCTION(lh_array_to_sparsevec);
LH_FUNCTION(lh_vector_to_float4);
LH_FUNCTION(lh_halfvec_to_float4);
LH_FUNCTION(lh_vector_to_halfvec);
LH_FUNCTION(lh_halfvec_to_vector);
LH_FUNCTION(lh_vector_to_sparsevec);
LH_FUNCTION(lh_halfvec_to_sparsevec);
LH_FUNCTION(lh_sparsevec_to_vector);
LH_FUNCTION(lh_sparsevec_to_halfvec);

/* ---- to the same type: only the dimensions are checked ---- */

Datum
lh_vector(PG_FUNCTION_ARGS)
{
	LhVector   *v = LH_GETARG_VECTOR(0);

	lh_check_typmod(PG_GETARG_INT32(1), v->dim, NULL);
	PG_RETURN_POINTER(v);
}

Datum
lh_halfvec(PG_FUNCTION_ARGS)
{
	LhHalfvec  *v = LH_GETARG_HALFVEC(0);

	lh_check_typmod(PG_GETARG_INT32(1), v->dim, NULL);
	PG_RETURN_POINTER(v);
}

Datum
lh_sparsevec(PG_FUNCTION_ARGS)
{
	LhSparsevec *v = LH_GETARG_SPARSEVEC(0);

	lh_check_typmod(PG_GETARG_INT32(1), v->dim, NULL);
	PG_RETURN_POINTER(v);
}

/* ---- arrays ---- */

/* The element as float; what float cannot hold becomes infinite, and is refused later. */
static float
element_to_float(Datum d, Oid type)
{
	switch (type)
	{
		case INT4OID:
			return (float) DatumGetInt32(d);
		case FLOAT4OID:
			return DatumGetFloat4(d);
		case FLOAT8OID:
			return (float) DatumGetFloat8(d);
		case NUMERICOID:
			return DatumGetFloat4(DirectFunctionCall1(numeric_float4, d));
		default:
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION), errmsg("unsupported array type")));
	}
}

/* A one-dimensional array without nulls as floats that the type may hold. */
static float *
array_to_floats(const LhVecType *type, ArrayType *array, int32 typmod, int *n)
{
	Oid			element = ARR_ELEMTYPE(array);
	int16		typlen;
	bool		typbyval;
	char		typalign;
	Datum	   *datums;
	float	   *x;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION), errmsg("array must be 1-D")));
	if (ARR_HASNULL(array) && array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("array must not contain nulls")));
	get_typlenbyvalalign(element, &typlen, &typbyval, &typalign);
	deconstruct_array(array, element, typlen, typbyval, typalign, &datums, NULL, n);
	lh_check_dim(type, *n, NULL);
	lh_check_typmod(typmod, *n, NULL);
	x = palloc(sizeof(float) * *n);
	for (int i = 0; i < *n; i++)
		x[i] = element_to_float(datums[i], element);
	pfree(datums);
	lh_check_elements(type, x, *n, NULL);
	return x;
}

static Datum
array_to_dense(FunctionCallInfo fcinfo, const LhVecType *type)
{
	int			n;
	float	   *x = array_to_floats(type, PG_GETARG_ARRAYTYPE_P(0), PG_GETARG_INT32(1), &n);

	return PointerGetDatum(lh_dense_make(type, x, n, NULL));
}

Datum
lh_array_to_vector(PG_FUNCTION_ARGS)
{
	return array_to_dense(fcinfo, &lh_type_vector);
}

Datum
lh_array_to_halfvec(PG_FUNCTION_ARGS)
{
	return array_to_dense(fcinfo, &lh_type_halfvec);
}

static Datum
dense_to_array(LhDense d)
{
	Size		size = ARR_OVERHEAD_NONULLS(1) + sizeof(float4) * d.dim;
	ArrayType  *array = palloc0(size);

	SET_VARSIZE(array, size);
	array->ndim = 1;
	array->elemtype = FLOAT4OID;
	ARR_DIMS(array)[0] = d.dim;
	ARR_LBOUND(array)[0] = 1;
	memcpy(ARR_DATA_PTR(array), d.x, sizeof(float4) * d.dim);
	PG_RETURN_ARRAYTYPE_P(array);
}

Datum
lh_vector_to_float4(PG_FUNCTION_ARGS)
{
	return dense_to_array(lh_dense_of_vector(LH_GETARG_VECTOR(0)));
}

Datum
lh_halfvec_to_float4(PG_FUNCTION_ARGS)
{
	return dense_to_array(lh_dense_of_halfvec(LH_GETARG_HALFVEC(0)));
}

/* ---- between vector and halfvec ---- */

Datum
lh_vector_to_halfvec(PG_FUNCTION_ARGS)
{
	LhVector   *v = LH_GETARG_VECTOR(0);

	lh_check_dim(&lh_type_halfvec, v->dim, NULL);
	lh_check_typmod(PG_GETARG_INT32(1), v->dim, NULL);
	PG_RETURN_POINTER(lh_dense_make(&lh_type_halfvec, v->x, v->dim, NULL));
}

Datum
lh_halfvec_to_vector(PG_FUNCTION_ARGS)
{
	LhHalfvec  *h = LH_GETARG_HALFVEC(0);
	LhVector   *v;

	lh_check_dim(&lh_type_vector, h->dim, NULL);
	lh_check_typmod(PG_GETARG_INT32(1), h->dim, NULL);
	v = lh_vector_new(h->dim);
	lh_kern.widen((size_t) h->dim, h->x, v->x);
	PG_RETURN_POINTER(v);
}

/* ---- sparsevec ---- */

static Datum
floats_to_sparse(const float *x, int dim, int32 typmod)
{
	LhSparsevec *v;
	int			n = 0;

	lh_check_dim(&lh_type_sparsevec, dim, NULL);
	lh_check_typmod(typmod, dim, NULL);
	for (int i = 0; i < dim; i++)
		n += x[i] != 0;
	lh_check_nnz(n, dim, NULL);
	v = lh_sparsevec_new(dim, n);
	n = 0;
	for (int i = 0; i < dim; i++)
	{
		if (x[i] != 0)
		{
			v->indices[n] = i;
			lh_sparsevec_values(v)[n++] = x[i];
		}
	}
	PG_RETURN_POINTER(v);
}

Datum
lh_array_to_sparsevec(PG_FUNCTION_ARGS)
{
	int32		typmod = PG_GETARG_INT32(1);
	int			n;
	float	   *x = array_to_floats(&lh_type_sparsevec, PG_GETARG_ARRAYTYPE_P(0), typmod, &n);

	return floats_to_sparse(x, n, typmod);
}

Datum
lh_vector_to_sparsevec(PG_FUNCTION_ARGS)
{
	LhVector   *v = LH_GETARG_VECTOR(0);

	return floats_to_sparse(v->x, v->dim, PG_GETARG_INT32(1));
}

Datum
lh_halfvec_to_sparsevec(PG_FUNCTION_ARGS)
{
	LhDense		d = lh_dense_of_halfvec(LH_GETARG_HALFVEC(0));

	return floats_to_sparse(d.x, d.dim, PG_GETARG_INT32(1));
}

static Datum
sparse_to_dense(FunctionCallInfo fcinfo, const LhVecType *type)
{
	LhSparsevec *v = LH_GETARG_SPARSEVEC(0);
	float	   *x;

	lh_check_dim(type, v->dim, NULL);
	lh_check_typmod(PG_GETARG_INT32(1), v->dim, NULL);
	x = palloc0(sizeof(float) * v->dim);
	for (int i = 0; i < v->nnz; i++)
		x[v->indices[i]] = lh_sparsevec_values(v)[i];
	return PointerGetDatum(lh_dense_make(type, x, v->dim, NULL));
}

Datum
lh_sparsevec_to_vector(PG_FUNCTION_ARGS)
{
	return sparse_to_dense(fcinfo, &lh_type_vector);
}

Datum
lh_sparsevec_to_halfvec(PG_FUNCTION_ARGS)
{
	return sparse_to_dense(fcinfo, &lh_type_halfvec);
}
