/*
 * vector_text.c
 *	  What reading the three types' text forms has in common: white space,
 *	  numbers, syntax errors, type modifiers.
 */
#include "postgres.h"

#include <math.h>

#include "utils/array.h"

#include "vector_int.h"

void
lh_text_init(LhVecText *t, const LhVecType *type, char *text, Node *escontext)
{
	t->type = type;
	t->start = t->pos = text;
	t->end = text + strlen(text);
	t->escontext = escontext;
}

bool
lh_text_bad(LhVecText *t, const char *detail)
{
	ereturn(t->escontext, false,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("invalid input syntax for type %s: \"%s\"", t->type->name, t->start),
			 detail ? errdetail("%s", detail) : 0));
}

/* What is no plain number to the kernel, or in doubt. */
static bool
text_float_slow(LhVecText *t, bool tiny, float *out)
{
	char	   *behind;

	errno = 0;
	*out = strtof(t->pos, &behind);
	if (behind == t->pos)
		return lh_text_bad(t, NULL);
	if (errno == ERANGE && (isinf(*out) || (*out == 0 && !tiny)))
		ereturn(t->escontext, false,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("\"%s\" is out of range for type %s",
						pnstrdup(t->pos, behind - t->pos), t->type->name)));
	if (!lh_check_elements(t->type, out, 1, t->escontext))
		return false;
	t->pos = behind;
	return true;
}

bool
lh_text_float(LhVecText *t, bool tiny, float *out)
{
	const char *next;

	if (likely(lh_decimal_to_float(t->pos, t->end, &next, out)))
	{
		t->pos = next;
		return true;
	}
	return text_float_slow(t, tiny, out);
}

int32
lh_typmod_in(const LhVecType *type, ArrayType *args)
{
	int			n;
	int32	   *typmods = ArrayGetIntegerTypmods(args, &n);

	if (n != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid type modifier")));
	if (*typmods < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("dimensions for type %s must be at least 1", type->name)));
	if (*typmods > type->max_dim)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("dimensions for type %s cannot exceed %d", type->name, type->max_dim)));
	return *typmods;
}
