/*
 * vector.h
 *	  Public interface of the vector layer: how values of the types vector,
 *	  halfvec and sparsevec look in memory and on disk, and the checks that
 *	  everything working on them makes.
 *
 * The layouts are pgvector's, byte for byte, so a table's pages need no
 * rewrite when either library takes over.
 */
#ifndef LH_VECTOR_H
#define LH_VECTOR_H

#include "postgres.h"

#include "fmgr.h"

#include "kernels/kernels.h"
#include "types/pg_compat.h"

#define LH_VECTOR_MAX_DIM		16000
#define LH_HALFVEC_MAX_DIM		16000
#define LH_SPARSEVEC_MAX_DIM	1000000000
#define LH_SPARSEVEC_MAX_NNZ	16000

/* ---- layouts ---- */

typedef struct LhVector
{
	int32		vl_len_;		/* varlena header (do not touch directly!) */
	int16		dim;
	int16		unused;			/* always zero */
	float		x[FLEXIBLE_ARRAY_MEMBER];
} LhVector;

typedef struct LhHalfvec
{
	int32		vl_len_;
	int16		dim;
	int16		unused;			/* always zero */
	LhHalf		x[FLEXIBLE_ARRAY_MEMBER];
} LhHalfvec;

/* nnz ascending indices that count from 0, then nnz values, none zero. */
typedef struct LhSparsevec
{
	int32		vl_len_;
	int32		dim;
	int32		nnz;
	int32		unused;			/* always zero */
	int32		indices[FLEXIBLE_ARRAY_MEMBER];
} LhSparsevec;

StaticAssertDecl(offsetof(LhVector, x) == 8, "vector's header has 8 bytes");
StaticAssertDecl(offsetof(LhHalfvec, x) == 8, "halfvec's header has 8 bytes");
StaticAssertDecl(offsetof(LhSparsevec, indices) == 16, "sparsevec's header has 16 bytes");

#define LH_VECTOR_SIZE(dim)		(offsetof(LhVector, x) + sizeof(float) * (Size) (dim))
#define LH_HALFVEC_SIZE(dim)	(offsetof(LhHalfvec, x) + sizeof(LhHalf) * (Size) (dim))
#define LH_SPARSEVEC_SIZE(nnz) \
	(offsetof(LhSparsevec, indices) + (sizeof(int32) + sizeof(float)) * (Size) (nnz))

static inline float *
lh_sparsevec_values(const LhSparsevec *v)
{
	return (float *) (v->indices + v->nnz);
}

static inline LhSparse
lh_sparsevec_kern(const LhSparsevec *v)
{
	LhSparse	s = {(size_t) v->nnz, v->indices, lh_sparsevec_values(v)};

	return s;
}

/* Detoasted if need be. */
#define DatumGetLhVector(d)		((LhVector *) PG_DETOAST_DATUM(d))
#define DatumGetLhHalfvec(d)	((LhHalfvec *) PG_DETOAST_DATUM(d))
#define DatumGetLhSparsevec(d)	((LhSparsevec *) PG_DETOAST_DATUM(d))
#define LH_GETARG_VECTOR(n)		DatumGetLhVector(PG_GETARG_DATUM(n))
#define LH_GETARG_HALFVEC(n)	DatumGetLhHalfvec(PG_GETARG_DATUM(n))
#define LH_GETARG_SPARSEVEC(n)	DatumGetLhSparsevec(PG_GETARG_DATUM(n))

/* New values with everything zero but the header; the caller has checked the size. */
extern LhVector *lh_vector_new(int dim);
extern LhHalfvec *lh_halfvec_new(int dim);
extern LhSparsevec *lh_sparsevec_new(int dim, int nnz);

/* ---- checks, each an ereport(ERROR) in pgvector's words ---- */

/* "different vector dimensions 2 and 1"; the type names itself. */
extern void lh_vector_check_dims(const LhVector *a, const LhVector *b);
extern void lh_halfvec_check_dims(const LhHalfvec *a, const LhHalfvec *b);
extern void lh_sparsevec_check_dims(const LhSparsevec *a, const LhSparsevec *b);
extern void lh_bit_check_lengths(int32 a, int32 b);

/* ---- kernels ---- */

/* The distances for this processor, filled by lh_vector_init(). */
extern LhKernels lh_kern;

/* ---- one value against many ---- */

/*
 * A distance function of vector or halfvec with one argument given: gives what
 * the function would, to the bit, without the detour of a function call.
 */
typedef struct LhProbe
{
	int			kind;
	LhPair		pair;
	int			dim;
	const void *x;				/* the elements given */
	float		square;			/* their inner product with themselves */
} LhProbe;

/* False if it is no such function.  The value is not toasted and must stay. */
extern bool lh_probe_init(LhProbe *probe, PGFunction function, const void *value);

/* Of a value that is not toasted and has the same dimensions. */
extern double lh_probe_distance(const LhProbe *probe, const void *value);

static inline bool
lh_probe_fits(const LhProbe *probe, const void *value)
{
	return VARATT_IS_4B_U(value) && ((const LhVector *) value)->dim == probe->dim;
}

/* Called by _PG_init. */
extern void lh_vector_init(void);

#endif							/* LH_VECTOR_H */
