/*
 * vector_int.h
 *	  What the files of this folder share: a description of each type, its
 *	  checks with soft errors, and reading of text.
 *
 * vector and halfvec differ in the width of an element and in their names, so
 * most code is written once for both, over arrays of float.
 */
#ifndef LH_VECTOR_INT_H
#define LH_VECTOR_INT_H

#include "types/pg_compat.h"

#include "nodes/nodes.h"
#include "utils/array.h"

#include "vector/vector.h"

typedef struct LhVecType
{
	const char *name;
	int			max_dim;
	bool		half;			/* elements are halves */
} LhVecType;

extern const LhVecType lh_type_vector;
extern const LhVecType lh_type_halfvec;
extern const LhVecType lh_type_sparsevec;

/* ---- checks ----
 * With an error context that collects soft errors they return false after one;
 * with NULL, or before PostgreSQL 16, they raise it.
 */
extern bool lh_check_dim(const LhVecType *type, int64 dim, Node *escontext);
extern bool lh_check_typmod(int32 typmod, int64 dim, Node *escontext);
extern bool lh_check_elements(const LhVecType *type, const float *x, int n, Node *escontext);
extern bool lh_check_nnz(int64 nnz, int64 dim, Node *escontext);

/* An operation's result: infinite ones, where no operand is, have overflowed. */
extern void lh_check_overflow(const float *x, int n);

/* ---- dense values, vector and halfvec alike ---- */

typedef struct LhDense
{
	int			dim;
	const float *x;				/* the value's own, or widened */
} LhDense;

static inline LhDense
lh_dense_of_vector(const LhVector *v)
{
	LhDense		d = {v->dim, v->x};

	return d;
}

extern LhDense lh_dense_of_halfvec(const LhHalfvec *v);
extern LhDense lh_getarg_dense(const LhVecType *type, Datum arg);

/*
 * A value of the type with these elements.  A halfvec's that are too large for
 * a half raise "... is out of range", or a soft error and NULL.
 */
extern void *lh_dense_make(const LhVecType *type, const float *x, int n, Node *escontext);

/* ---- reading text ---- */

typedef struct LhVecText
{
	const LhVecType *type;
	const char *start;			/* NUL-terminated */
	const char *pos;
	const char *end;
	Node	   *escontext;
} LhVecText;

extern void lh_text_init(LhVecText *t, const LhVecType *type, char *text, Node *escontext);

/* White space as the input of arrays skips it, whatever the locale. */
static inline void
lh_text_skip(LhVecText *t)
{
	while (unlikely(*t->pos <= ' ' && (*t->pos == ' ' || (*t->pos >= '\t' && *t->pos <= '\r'))))
		t->pos++;
}

/* The syntax error, with the detail if not NULL; always false. */
extern bool lh_text_bad(LhVecText *t, const char *detail);
/* A finite float; tiny says whether numbers below the type's range become zero. */
extern bool lh_text_float(LhVecText *t, bool tiny, float *out);

/* The dimensions in a type modifier's argument list. */
extern int32 lh_typmod_in(const LhVecType *type, ArrayType *args);

/* ---- a three-way comparison and a hash over (index, value) ---- */

extern uint64 lh_hash_step(uint64 hash, int32 index, float value);
extern uint64 lh_hash_end(uint64 hash, int32 dim, int64 seed);

#endif							/* LH_VECTOR_INT_H */
