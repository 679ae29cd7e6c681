/*
 * sparsevec_ops.c
 *	  Comparison, norm and the like of sparsevec.  In comparisons it stands
 *	  for the dense vector: an index that is missing is a zero.
 */
#include "postgres.h"

#include <limits.h>
#include <math.h>

#include "utils/float.h"

#include "vector_int.h"

LH_FUNCTION(lh_sparsevec_norm);
LH_FUNCTION(lh_sparsevec_l2_normalize);

/* ---- norm ---- */

static double
sparsevec_norm(const LhSparsevec *v)
{
	const float *values = lh_sparsevec_values(v);
	double		sum = 0;

	for (int i = 0; i < v->nnz; i++)
		sum += (double) values[i] * (double) values[i];
	return sqrt(sum);
}

Datum
lh_sparsevec_norm(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(sparsevec_norm(LH_GETARG_SPARSEVEC(0)));
}

/* Values that become zero are left out. */
Datum
lh_sparsevec_l2_normalize(PG_FUNCTION_ARGS)
{
	LhSparsevec *v = LH_GETARG_SPARSEVEC(0);
	const float *values = lh_sparsevec_values(v);
	double		norm = sparsevec_norm(v);
	float	   *x = palloc(sizeof(float) * Max(v->nnz, 1));
	LhSparsevec *result;
	int			n = 0;

	for (int i = 0; i < v->nnz; i++)
	{
		x[i] = norm > 0 ? (float) (values[i] / norm) : 0;
		n += x[i] != 0;
	}
	lh_check_overflow(x, v->nnz);
	result = lh_sparsevec_new(v->dim, n);
	n = 0;
	for (int i = 0; i < v->nnz; i++)
	{
		if (x[i] != 0)
		{
			result->indices[n] = v->indices[i];
			lh_sparsevec_values(result)[n++] = x[i];
		}
	}
	PG_RETURN_POINTER(result);
}

/* ---- comparison ---- */

/* Indices from the shorter one's dimensions on count only by their number. */
static int
sparsevec_cmp(const LhSparsevec *a, const LhSparsevec *b)
{
	const float *va = lh_sparsevec_values(a);
	const float *vb = lh_sparsevec_values(b);
	int			dim = Min(a->dim, b->dim);
	int			i = 0;
	int			k = 0;

	for (;;)
	{
		int32		ia = i < a->nnz ? a->indices[i] : INT_MAX;
		int32		ib = k < b->nnz ? b->indices[k] : INT_MAX;
		float		x;
		float		y;

		if (Min(ia, ib) >= dim)
			break;
		x = ia <= ib ? va[i] : 0;
		y = ib <= ia ? vb[k] : 0;
		if (x != y)
			return x < y ? -1 : 1;
		i += ia <= ib;
		k += ib <= ia;
	}
	return a->dim < b->dim ? -1 : a->dim > b->dim;
}

static int
cmp_args(FunctionCallInfo fcinfo)
{
	LhSparsevec *a = LH_GETARG_SPARSEVEC(0);
	LhSparsevec *b = LH_GETARG_SPARSEVEC(1);
	int			result = sparsevec_cmp(a, b);

	PG_FREE_IF_COPY(a, 0);
	PG_FREE_IF_COPY(b, 1);
	return result;
}

static uint64
hash_arg(FunctionCallInfo fcinfo, int64 seed)
{
	LhSparsevec *v = LH_GETARG_SPARSEVEC(0);
	uint64		hash = 0;

	for (int i = 0; i < v->nnz; i++)
		hash = lh_hash_step(hash, v->indices[i], lh_sparsevec_values(v)[i]);
	return lh_hash_end(hash, v->dim, seed);
}

#define FUNCTION(name, body) \
	LH_FUNCTION(lh_sparsevec_##name); \
	Datum \
	lh_sparsevec_##name(PG_FUNCTION_ARGS) \
	{ \
		body; \
	}

FUNCTION(lt, PG_RETURN_BOOL(cmp_args(fcinfo) < 0))
FUNCTION(le, PG_RETURN_BOOL(cmp_args(fcinfo) <= 0))
FUNCTION(eq, PG_RETURN_BOOL(cmp_args(fcinfo) == 0))
FUNCTION(ne, PG_RETURN_BOOL(cmp_args(fcinfo) != 0))
FUNCTION(ge, PG_RETURN_BOOL(cmp_args(fcinfo) >= 0))
FUNCTION(gt, PG_RETURN_BOOL(cmp_args(fcinfo) > 0))
FUNCTION(cmp, PG_RETURN_INT32(cmp_args(fcinfo)))
FUNCTION(hash, PG_RETURN_INT32((int32) hash_arg(fcinfo, 0)))
FUNCTION(hash_extended, PG_RETURN_INT64((int64) hash_arg(fcinfo, PG_GETARG_INT64(1))))
