/*
 * sparsevec_io.c
 *	  Text and binary forms of sparsevec: "{1:1.5,3:2}/5", indices from 1.
 */
#include "postgres.h"

#include <limits.h>
#include <math.h>

#include "common/shortest_dec.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"

#include "vector_int.h"

LH_FUNCTION(lh_sparsevec_in);
LH_FUNCTION(lh_sparsevec_out);
LH_FUNCTION(lh_sparsevec_recv);
LH_FUNCTION(lh_sparsevec_send);
LH_FUNCTION(lh_sparsevec_typmod_in);

typedef struct Element
{
	int32		index;			/* from 0 */
	float		value;
} Element;

/* ---- text ---- */

/* An integer, at the ends of int32 where it lies beyond them. */
static bool
text_integer(LhVecText *t, int64 *out)
{
	char	   *behind;
	long		value;

	errno = 0;
	value = strtol(t->pos, &behind, 10);
	if (behind == t->pos)
		return lh_text_bad(t, NULL);
	t->pos = behind;
	*out = Max(Min(value, (long) INT32_MAX), (long) INT32_MIN);
	return true;
}

/* "1:1.5": the element, its index in the text's counting still. */
static bool
text_element(LhVecText *t, int64 *index, float *value)
{
	lh_text_skip(t);
	if (!text_integer(t, index))
		return false;
	lh_text_skip(t);
	if (*t->pos != ':')
		return lh_text_bad(t, NULL);
	t->pos++;
	lh_text_skip(t);
	return lh_text_float(t, false, value);
}

/* From "{" to "}"; zeros are dropped, bounds not looked at. */
static bool
text_elements(LhVecText *t, Element *elements, int max, int *nnz)
{
	int			n = 0;

	lh_text_skip(t);
	if (*t->pos != '{')
		return lh_text_bad(t, "Vector contents must start with \"{\".");
	t->pos++;
	lh_text_skip(t);
	if (*t->pos != '}')
	{
		for (;;)
		{
			int64		index;
			float		value;

			if (!text_element(t, &index, &value))
				return false;
			if (value != 0 && n < max)
			{
				/* Below every dimension it stays out of bounds. */
				elements[n].index = (int32) Max(index - 1, -1);
				elements[n].value = value;
				n++;
			}
			lh_text_skip(t);
			if (*t->pos == '}')
				break;
			if (*t->pos != ',')
				return lh_text_bad(t, NULL);
			t->pos++;
		}
	}
	t->pos++;
	*nnz = n;
	return true;
}

/* "/5" and the end. */
static bool
text_dim(LhVecText *t, int64 *dim)
{
	lh_text_skip(t);
	if (*t->pos != '/')
		return lh_text_bad(t, "Unexpected end of input.");
	t->pos++;
	lh_text_skip(t);
	if (!text_integer(t, dim))
		return false;
	lh_text_skip(t);
	if (*t->pos != '\0')
		return lh_text_bad(t, "Junk after closing.");
	return true;
}

static int
compare_elements(const void *a, const void *b)
{
	int32		x = ((const Element *) a)->index;
	int32		y = ((const Element *) b)->index;

	return x < y ? -1 : x > y;
}

/* Index i, and how it stands to the one before it. */
static bool
check_index(const int32 *indices, int i, int dim, Node *escontext)
{
	int32		index = indices[i];

	if (index < 0 || index >= dim)
		ereturn(escontext, false,
				(errcode(ERRCODE_DATA_EXCEPTION), errmsg("sparsevec index out of bounds")));
	if (i > 0 && index < indices[i - 1])
		ereturn(escontext, false,
				(errcode(ERRCODE_DATA_EXCEPTION), errmsg("sparsevec indices must be in ascending order")));
	if (i > 0 && index == indices[i - 1])
		ereturn(escontext, false,
				(errcode(ERRCODE_DATA_EXCEPTION), errmsg("sparsevec indices must not contain duplicates")));
	return true;
}

Datum
lh_sparsevec_in(PG_FUNCTION_ARGS)
{
	Node	   *escontext = fcinfo->context;
	LhVecText	t;
	Element    *elements;
	int			max = 1;
	int			nnz = 0;
	int64		dim = 0;
	bool		sorted = true;
	LhSparsevec *v;

	lh_text_init(&t, &lh_type_sparsevec, PG_GETARG_CSTRING(0), escontext);
	for (const char *p = t.pos; p < t.end; p++)
		max += *p == ',';
	if (max > LH_SPARSEVEC_MAX_NNZ)
	{
		lh_check_nnz(max, LH_SPARSEVEC_MAX_DIM, escontext);
		PG_RETURN_NULL();
	}
	elements = palloc(sizeof(Element) * max);
	if (!text_elements(&t, elements, max, &nnz) || !text_dim(&t, &dim) ||
		!lh_check_dim(&lh_type_sparsevec, dim, escontext) ||
		!lh_check_typmod(PG_GETARG_INT32(2), dim, escontext))
		PG_RETURN_NULL();
	for (int i = 1; i < nnz && sorted; i++)
		sorted = elements[i - 1].index < elements[i].index;
	if (!sorted)
		qsort(elements, nnz, sizeof(Element), compare_elements);
	v = lh_sparsevec_new((int) dim, nnz);
	for (int i = 0; i < nnz; i++)
	{
		v->indices[i] = elements[i].index;
		lh_sparsevec_values(v)[i] = elements[i].value;
		if (!check_index(v->indices, i, (int) dim, escontext))
			PG_RETURN_NULL();
	}
	pfree(elements);
	PG_RETURN_POINTER(v);
}

Datum
lh_sparsevec_out(PG_FUNCTION_ARGS)
{
	LhSparsevec *v = LH_GETARG_SPARSEVEC(0);
	const float *values = lh_sparsevec_values(v);
	char	   *buf = palloc((Size) v->nnz * (FLOAT_SHORTEST_DECIMAL_LEN + 12) + 16);
	char	   *p = buf;

	*p++ = '{';
	for (int i = 0; i < v->nnz; i++)
	{
		if (i > 0)
			*p++ = ',';
		p += pg_ltoa(v->indices[i] + 1, p);
		*p++ = ':';
		p += float_to_shortest_decimal_bufn(values[i], p);
	}
	*p++ = '}';
	*p++ = '/';
	pg_ltoa(v->dim, p);
	PG_RETURN_CSTRING(buf);
}

/* ---- binary ---- */

Datum
lh_sparsevec_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int32		dim = (int32) pq_getmsgint(buf, sizeof(int32));
	int32		nnz = (int32) pq_getmsgint(buf, sizeof(int32));
	int32		unused = (int32) pq_getmsgint(buf, sizeof(int32));
	LhSparsevec *v;
	float	   *values;

	lh_check_dim(&lh_type_sparsevec, dim, NULL);
	lh_check_nnz(nnz, dim, NULL);
	lh_check_typmod(PG_GETARG_INT32(2), dim, NULL);
	if (unused != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("expected unused to be 0, not %d", unused)));
	v = lh_sparsevec_new(dim, nnz);
	values = lh_sparsevec_values(v);
	for (int i = 0; i < nnz; i++)
	{
		v->indices[i] = (int32) pq_getmsgint(buf, sizeof(int32));
		check_index(v->indices, i, dim, NULL);
	}
	for (int i = 0; i < nnz; i++)
	{
		values[i] = pq_getmsgfloat4(buf);
		lh_check_elements(&lh_type_sparsevec, &values[i], 1, NULL);
		if (values[i] == 0)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION),
					 errmsg("binary representation of sparsevec cannot contain zero values")));
	}
	PG_RETURN_POINTER(v);
}

Datum
lh_sparsevec_send(PG_FUNCTION_ARGS)
{
	LhSparsevec *v = LH_GETARG_SPARSEVEC(0);
	const float *values = lh_sparsevec_values(v);
	StringInfoData buf;

	pq_begintypsend(&buf);
	enlargeStringInfo(&buf, (int) LH_SPARSEVEC_SIZE(v->nnz));
	pq_sendint32(&buf, v->dim);
	pq_sendint32(&buf, v->nnz);
	pq_sendint32(&buf, v->unused);
	for (int i = 0; i < v->nnz; i++)
		pq_sendint32(&buf, v->indices[i]);
	for (int i = 0; i < v->nnz; i++)
		pq_sendfloat4(&buf, values[i]);
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

Datum
lh_sparsevec_typmod_in(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(lh_typmod_in(&lh_type_sparsevec, PG_GETARG_ARRAYTYPE_P(0)));
}
