/*
 * vector_value.c
 *	  New values, the checks that two values fit together, and the table of
 *	  kernels.  Knows nothing of text forms and SQL functions.
 */
#include "postgres.h"

#include "vector/vector.h"

LhKernels	lh_kern;

void
lh_vector_init(void)
{
	lh_kernels_init(&lh_kern, lh_cpu_detect());
}

LhVector *
lh_vector_new(int dim)
{
	LhVector   *v = palloc0(LH_VECTOR_SIZE(dim));

	SET_VARSIZE(v, LH_VECTOR_SIZE(dim));
	v->dim = (int16) dim;
	return v;
}

LhHalfvec *
lh_halfvec_new(int dim)
{
	LhHalfvec  *v = palloc0(LH_HALFVEC_SIZE(dim));

	SET_VARSIZE(v, LH_HALFVEC_SIZE(dim));
	v->dim = (int16) dim;
	return v;
}

LhSparsevec *
lh_sparsevec_new(int dim, int nnz)
{
	LhSparsevec *v = palloc0(LH_SPARSEVEC_SIZE(nnz));

	SET_VARSIZE(v, LH_SPARSEVEC_SIZE(nnz));
	v->dim = dim;
	v->nnz = nnz;
	return v;
}

static void
check_dims(const char *type, int a, int b)
{
	if (unlikely(a != b))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("different %s dimensions %d and %d", type, a, b)));
}

void
lh_vector_check_dims(const LhVector *a, const LhVector *b)
{
	check_dims("vector", a->dim, b->dim);
}

void
lh_halfvec_check_dims(const LhHalfvec *a, const LhHalfvec *b)
{
	check_dims("halfvec", a->dim, b->dim);
}

void
lh_sparsevec_check_dims(const LhSparsevec *a, const LhSparsevec *b)
{
	check_dims("sparsevec", a->dim, b->dim);
}

void
lh_bit_check_lengths(int32 a, int32 b)
{
	if (unlikely(a != b))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("different bit lengths %u and %u", (unsigned) a, (unsigned) b)));
}
