/*
 * dense_io.c
 *	  Text and binary forms of vector and halfvec.
 */
#include "postgres.h"

#include <math.h>

#include "common/shortest_dec.h"
#include "libpq/pqformat.h"
#include "port/pg_bswap.h"

#include "vector_int.h"

LH_FUNCTION(lh_vector_in);
LH_FUNCTION(lh_vector_out);
LH_FUNCTION(lh_vector_recv);
LH_FUNCTION(lh_vector_send);
LH_FUNCTION(lh_vector_typmod_in);
LH_FUNCTION(lh_halfvec_in);
LH_FUNCTION(lh_halfvec_out);
LH_FUNCTION(lh_halfvec_recv);
LH_FUNCTION(lh_halfvec_send);
LH_FUNCTION(lh_halfvec_typmod_in);

/* ---- text ---- */

/* Will none of them be too large for a half, however it is rounded? */
static bool
all_fit_half(const float *x, int n)
{
	for (int i = 0; i < n; i++)
		if (!(fabsf(x[i]) <= 65504))
			return false;
	return true;
}

/* The number from `token` to pos; its own text stands in the error. */
static bool
check_half(LhVecText *t, const char *token, float f)
{
	if ((lh_float_to_half(f) & 0x7fff) == 0x7c00)
		ereturn(t->escontext, false,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("\"%s\" is out of range for type %s",
						pnstrdup(token, t->pos - token), t->type->name)));
	return true;
}

/* Most elements are plain numbers, and the kernel takes them in one go; how many. */
static int
parse_plain(LhVecText *t, float *x)
{
	const char *start = t->pos;
	int			n = (int) lh_kern.decimals(&t->pos, t->end, x, t->type->max_dim);

	if (t->type->half && !all_fit_half(x, n))
	{
		t->pos = start;			/* one by one, for the error */
		n = 0;
	}
	return n;
}

/* "[1,2,3]" into x, which has room for the type's maximum; false: a soft error. */
static bool
parse_dense(LhVecText *t, float *x, int *dim)
{
	int			n;

	lh_text_skip(t);
	if (*t->pos != '[')
		return lh_text_bad(t, "Vector contents must start with \"[\".");
	t->pos++;
	lh_text_skip(t);
	if (*t->pos == ']')
		return lh_check_dim(t->type, 0, t->escontext);
	n = parse_plain(t, x);
	for (;;)
	{
		const char *token;

		if (n == t->type->max_dim)
			return lh_check_dim(t->type, (int64) n + 1, t->escontext);
		lh_text_skip(t);
		if (*t->pos == '\0')
			return lh_text_bad(t, NULL);
		token = t->pos;
		if (!lh_text_float(t, true, &x[n]))
			return false;
		if (t->type->half && !check_half(t, token, x[n]))
			return false;
		n++;
		lh_text_skip(t);
		if (*t->pos == ']')
			break;
		if (*t->pos != ',')
			return lh_text_bad(t, NULL);
		t->pos++;
	}
	t->pos++;
	lh_text_skip(t);
	if (*t->pos != '\0')
		return lh_text_bad(t, "Junk after closing right brace.");
	*dim = n;
	return true;
}

static Datum
dense_in(FunctionCallInfo fcinfo, const LhVecType *type)
{
	Node	   *escontext = fcinfo->context;
	int32		typmod = PG_GETARG_INT32(2);
	float		x[LH_VECTOR_MAX_DIM];
	LhVecText	t;
	int			dim = 0;
	void	   *result;

	lh_text_init(&t, type, PG_GETARG_CSTRING(0), escontext);
	if (!parse_dense(&t, x, &dim) || !lh_check_typmod(typmod, dim, escontext))
		PG_RETURN_NULL();
	result = lh_dense_make(type, x, dim, escontext);
	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(result);
}

static Datum
dense_out(LhDense d)
{
	char	   *buf = palloc((Size) d.dim * FLOAT_SHORTEST_DECIMAL_LEN + 3);
	char	   *p = buf;

	*p++ = '[';
	for (int i = 0; i < d.dim; i++)
	{
		if (i > 0)
			*p++ = ',';
		p += float_to_shortest_decimal_bufn(d.x[i], p);
	}
	*p++ = ']';
	*p = '\0';
	PG_RETURN_CSTRING(buf);
}

Datum
lh_vector_in(PG_FUNCTION_ARGS)
{
	return dense_in(fcinfo, &lh_type_vector);
}

Datum
lh_halfvec_in(PG_FUNCTION_ARGS)
{
	return dense_in(fcinfo, &lh_type_halfvec);
}

Datum
lh_vector_out(PG_FUNCTION_ARGS)
{
	return dense_out(lh_dense_of_vector(LH_GETARG_VECTOR(0)));
}

Datum
lh_halfvec_out(PG_FUNCTION_ARGS)
{
	return dense_out(lh_dense_of_halfvec(LH_GETARG_HALFVEC(0)));
}

/* ---- binary ---- */

/* The header of both types: dimensions, and a field that is zero. */
static int
recv_header(StringInfo buf, const LhVecType *type, int32 typmod)
{
	int			dim = (int16) pq_getmsgint(buf, sizeof(int16));
	int			unused = (int16) pq_getmsgint(buf, sizeof(int16));

	lh_check_dim(type, dim, NULL);
	lh_check_typmod(typmod, dim, NULL);
	if (unused != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("expected unused to be 0, not %d", unused)));
	return dim;
}

Datum
lh_vector_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int			dim = recv_header(buf, &lh_type_vector, PG_GETARG_INT32(2));
	LhVector   *v = lh_vector_new(dim);
	uint32	   *bits = (uint32 *) v->x;
	bool		finite = true;

	pq_copymsgbytes(buf, (char *) bits, dim * (int) sizeof(uint32));
	for (int i = 0; i < dim; i++)
	{
		bits[i] = pg_ntoh32(bits[i]);
		finite &= (bits[i] & 0x7f800000) != 0x7f800000;
	}
	if (unlikely(!finite))
		lh_check_elements(&lh_type_vector, v->x, dim, NULL);
	PG_RETURN_POINTER(v);
}

Datum
lh_halfvec_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	int			dim = recv_header(buf, &lh_type_halfvec, PG_GETARG_INT32(2));
	LhHalfvec  *v = lh_halfvec_new(dim);

	for (int i = 0; i < dim; i++)
		v->x[i] = (LhHalf) pq_getmsgint(buf, sizeof(LhHalf));
	lh_check_elements(&lh_type_halfvec, lh_dense_of_halfvec(v).x, dim, NULL);
	PG_RETURN_POINTER(v);
}

Datum
lh_vector_send(PG_FUNCTION_ARGS)
{
	LhVector   *v = LH_GETARG_VECTOR(0);
	StringInfoData buf;

	pq_begintypsend(&buf);
	enlargeStringInfo(&buf, (int) LH_VECTOR_SIZE(v->dim));
	pq_sendint16(&buf, v->dim);
	pq_sendint16(&buf, v->unused);
	for (int i = 0; i < v->dim; i++)
		pq_sendfloat4(&buf, v->x[i]);
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

Datum
lh_halfvec_send(PG_FUNCTION_ARGS)
{
	LhHalfvec  *v = LH_GETARG_HALFVEC(0);
	StringInfoData buf;

	pq_begintypsend(&buf);
	enlargeStringInfo(&buf, (int) LH_HALFVEC_SIZE(v->dim));
	pq_sendint16(&buf, v->dim);
	pq_sendint16(&buf, v->unused);
	for (int i = 0; i < v->dim; i++)
		pq_sendint16(&buf, v->x[i]);
	PG_RETURN_BYTEA_P(pq_endtypsend(&buf));
}

/* ---- type modifiers ---- */

Datum
lh_vector_typmod_in(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(lh_typmod_in(&lh_type_vector, PG_GETARG_ARRAYTYPE_P(0)));
}

Datum
lh_halfvec_typmod_in(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(lh_typmod_in(&lh_type_halfvec, PG_GETARG_ARRAYTYPE_P(0)));
}
