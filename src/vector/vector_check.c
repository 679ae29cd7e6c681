/*
 * vector_check.c
 *	  The types' limits, with pgvector's error texts, and values of vector and
 *	  halfvec as arrays of float.
 */
#include "postgres.h"

#include <math.h>

#include "common/hashfn.h"
#include "common/shortest_dec.h"
#include "utils/float.h"

#include "vector_int.h"

const LhVecType lh_type_vector = {"vector", LH_VECTOR_MAX_DIM, false};
const LhVecType lh_type_halfvec = {"halfvec", LH_HALFVEC_MAX_DIM, true};
const LhVecType lh_type_sparsevec = {"sparsevec", LH_SPARSEVEC_MAX_DIM, false};

bool
lh_check_dim(const LhVecType *type, int64 dim, Node *escontext)
{
	if (dim < 1)
		ereturn(escontext, false,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("%s must have at least 1 dimension", type->name)));
	if (dim > type->max_dim)
		ereturn(escontext, false,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("%s cannot have more than %d dimensions", type->name, type->max_dim)));
	return true;
}

bool
lh_check_typmod(int32 typmod, int64 dim, Node *escontext)
{
	if (typmod != -1 && typmod != dim)
		ereturn(escontext, false,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("expected %d dimensions, not %d", typmod, (int) dim)));
	return true;
}

bool
lh_check_nnz(int64 nnz, int64 dim, Node *escontext)
{
	if (nnz < 0)
		ereturn(escontext, false,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("sparsevec cannot have negative number of elements")));
	if (nnz > LH_SPARSEVEC_MAX_NNZ)
		ereturn(escontext, false,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("sparsevec cannot have more than %d non-zero elements", LH_SPARSEVEC_MAX_NNZ)));
	if (nnz > dim)
		ereturn(escontext, false,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("sparsevec cannot have more elements than dimensions")));
	return true;
}

bool
lh_check_elements(const LhVecType *type, const float *x, int n, Node *escontext)
{
	for (int i = 0; i < n; i++)
	{
		if (unlikely(!isfinite(x[i])))
			ereturn(escontext, false,
					(errcode(ERRCODE_DATA_EXCEPTION),
					 errmsg("%s not allowed in %s", isnan(x[i]) ? "NaN" : "infinite value", type->name)));
	}
	return true;
}

void
lh_check_overflow(const float *x, int n)
{
	for (int i = 0; i < n; i++)
		if (unlikely(isinf(x[i])))
			float_overflow_error();
}

/* ---- values ---- */

LhDense
lh_dense_of_halfvec(const LhHalfvec *v)
{
	float	   *x = palloc(sizeof(float) * Max(v->dim, 1));
	LhDense		d = {v->dim, x};

	lh_kern.widen((size_t) v->dim, v->x, x);
	return d;
}

LhDense
lh_getarg_dense(const LhVecType *type, Datum arg)
{
	if (type->half)
		return lh_dense_of_halfvec(DatumGetLhHalfvec(arg));
	return lh_dense_of_vector(DatumGetLhVector(arg));
}

/* Which element was finite and is no more? */
static bool
report_narrowed(const LhHalf *h, const float *x, int n, Node *escontext)
{
	for (int i = 0; i < n; i++)
	{
		if ((h[i] & 0x7fff) == 0x7c00 && !isinf(x[i]))
		{
			char		buf[FLOAT_SHORTEST_DECIMAL_LEN];

			float_to_shortest_decimal_buf(x[i], buf);
			ereturn(escontext, false,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("\"%s\" is out of range for type halfvec", buf)));
		}
	}
	return true;
}

void *
lh_dense_make(const LhVecType *type, const float *x, int n, Node *escontext)
{
	if (type->half)
	{
		LhHalfvec  *v = lh_halfvec_new(n);

		lh_kern.narrow((size_t) n, x, v->x);
		if (!report_narrowed(v->x, x, n, escontext))
			return NULL;
		return v;
	}
	else
	{
		LhVector   *v = palloc(LH_VECTOR_SIZE(n));	/* no zeros that are written over */

		SET_VARSIZE(v, LH_VECTOR_SIZE(n));
		v->dim = (int16) n;
		v->unused = 0;
		memcpy(v->x, x, sizeof(float) * n);
		return v;
	}
}

/* ---- hashing ---- */

/* Zeros are left out, so that dense and sparse, 0 and -0 agree. */
uint64
lh_hash_step(uint64 hash, int32 index, float value)
{
	uint32		bits;

	if (value == 0)
		return hash;
	memcpy(&bits, &value, sizeof(bits));
	hash = (hash ^ ((uint64) (uint32) index << 32 | bits)) * UINT64CONST(0x9e3779b97f4a7c15);
	return hash ^ (hash >> 29);
}

uint64
lh_hash_end(uint64 hash, int32 dim, int64 seed)
{
	hash ^= (uint64) (uint32) dim;
	return DatumGetUInt64(hash_any_extended((const unsigned char *) &hash, sizeof(hash), (uint64) seed));
}
