/*
 * nearest_qual.c
 *	  The filter of a sequential scan, for all rows of a page at once.
 *
 * Conditions on columns of fixed length that stand at the same place in every
 * row, made of comparisons, integer arithmetic, AND, OR, NOT and IS NULL,
 * become a short program: each step computes one value of each row of the page
 * in a loop.  A row for which that would not be exactly what the executor does
 * (a NULL, an overflow, a division by zero) is marked and left to the executor,
 * which gives the answer, or the error.  So a step never fails, no step needs
 * to know of NULL, and in which order they run cannot be seen.
 *
 * Conditions are taken in the executor's order up to the first one that is not
 * simple; the executor looks at the rows that pass those.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/float.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "nearest/nearest_int.h"

/* Longer filters are left to the executor, and so are longer lists behind IN. */
#define MAX_STEPS	40
#define MAX_IN		12

/* What a step computes; an operator's name in the server's functions says the same. */
typedef enum StepCode
{
	INPUT,						/* nothing: the value is the same for all rows */
	COLUMN, REAL_COLUMN,
	EQ, NE, LT, LE, GT, GE,
	REAL_EQ, REAL_NE, REAL_LT, REAL_LE, REAL_GT, REAL_GE,
	PL, MI, MUL, DIV, MOD,
	AND, OR, NOT
} StepCode;

/* Of one row: an integer, what is one inside (date, bool), or a float. */
typedef union Value
{
	int64		i;
	double		r;
} Value;

typedef struct Step
{
	StepCode	code;
	int16		bytes;			/* of a column, or of an integer result */
	int16		at;				/* the column's place in the row */
	int16		a;				/* the steps whose values are looked at */
	int16		b;
	ExprState  *input;
} Step;

struct NearestQual
{
	int			n_steps;
	Step		steps[MAX_STEPS];
	int			result;			/* the step that says whether a row passes */
	int			n_leading;		/* the row's columns up to the last that is looked at */
	bool		complete;		/* no condition is left to the executor */
	bool		usable;			/* by the inputs that this scan has */
	PlanState  *parent;
	TupleDesc	desc;
	MemoryContext context;
	Value	   *values[MAX_STEPS];	/* of all rows of a page */
};

/* ---- the server's operators ---- */

#define COMPARISONS(prefix, real) \
	{prefix##EQ, real##EQ}, {prefix##NE, real##NE}, {prefix##LT, real##LT}, \
	{prefix##LE, real##LE}, {prefix##GT, real##GT}, {prefix##GE, real##GE}
#define ARITHMETIC(prefix, bytes) \
	{prefix##PL, PL, bytes}, {prefix##MI, MI, bytes}, {prefix##MUL, MUL, bytes}, {prefix##DIV, DIV, bytes}

static const struct
{
	Oid			function;
	StepCode	code;
	int			bytes;			/* of an integer result */
}			operators[] = {
	COMPARISONS(F_INT2,), COMPARISONS(F_INT24,), COMPARISONS(F_INT28,),
	COMPARISONS(F_INT42,), COMPARISONS(F_INT4,), COMPARISONS(F_INT48,),
	COMPARISONS(F_INT82,), COMPARISONS(F_INT84,), COMPARISONS(F_INT8,),
	COMPARISONS(F_BOOL,), COMPARISONS(F_DATE_,), COMPARISONS(F_TIMESTAMP_,), COMPARISONS(F_TIMESTAMPTZ_,),
	COMPARISONS(F_FLOAT4, REAL_), COMPARISONS(F_FLOAT48, REAL_),
	COMPARISONS(F_FLOAT84, REAL_), COMPARISONS(F_FLOAT8, REAL_),
	{F_OIDEQ, EQ}, {F_OIDNE, NE}, {F_ENUM_EQ, EQ}, {F_ENUM_NE, NE},
	ARITHMETIC(F_INT2, 2), ARITHMETIC(F_INT24, 4), ARITHMETIC(F_INT28, 8),
	ARITHMETIC(F_INT42, 4), ARITHMETIC(F_INT4, 4), ARITHMETIC(F_INT48, 8),
	ARITHMETIC(F_INT82, 8), ARITHMETIC(F_INT84, 8), ARITHMETIC(F_INT8, 8),
	{F_INT2MOD, MOD, 2}, {F_INT4MOD, MOD, 4}, {F_INT8MOD, MOD, 8},
};

/* Conversions that change nothing but the width. */
static bool
is_widening(Oid function)
{
	return function == F_INT4_INT2 || function == F_INT8_INT2 || function == F_INT8_INT4 || function == F_FLOAT8_FLOAT4;
}

/* ---- making the program: the step's number, or -1 ---- */

static int compile(NearestQual *q, Expr *expr, bool real);

/* A step that is there already is not made again. */
static int
add_step(NearestQual *q, Step step)
{
	for (int i = 0; i < q->n_steps && step.code != INPUT; i++)
		if (q->steps[i].code == step.code && q->steps[i].bytes == step.bytes && q->steps[i].at == step.at &&
			q->steps[i].a == step.a && q->steps[i].b == step.b)
			return i;
	if (q->n_steps == MAX_STEPS)
		return -1;
	q->steps[q->n_steps] = step;
	return q->n_steps++;
}

static int
compile_column(NearestQual *q, const Var *var, bool real)
{
	int			at = lh_nearest_column_place(q->desc, var->varattno);
	Form_pg_attribute att;

	if (at < 0 || at > PG_INT16_MAX)
		return -1;
	att = TupleDescAttr(q->desc, var->varattno - 1);
	if (!att->attbyval || (real && att->attlen < (int) sizeof(float4)))
		return -1;
	q->n_leading = Max(q->n_leading, var->varattno);
	return add_step(q, (Step) {.code = real ? REAL_COLUMN : COLUMN,.bytes = att->attlen,.at = at});
}

/* Params that a subquery has still to find are left to the executor, which may not need them. */
static int
compile_input(NearestQual *q, Expr *expr, bool real)
{
	int16		bytes;
	bool		byval;

	get_typlenbyval(exprType((Node *) expr), &bytes, &byval);
	if (!byval)
		return -1;
	return add_step(q, (Step) {.code = INPUT,.bytes = bytes,.at = real,.input = ExecInitExpr(expr, q->parent)});
}

static int
compile_operator(NearestQual *q, Oid function, Expr *left, Expr *right)
{
	for (int i = 0; i < lengthof(operators); i++)
	{
		StepCode	code = operators[i].code;
		bool		real = code >= REAL_EQ && code <= REAL_GE;
		int			a,
					b;

		if (operators[i].function != function)
			continue;
		a = compile(q, left, real);
		b = a < 0 ? -1 : compile(q, right, real);
		return b < 0 ? -1 : add_step(q, (Step) {.code = code,.bytes = operators[i].bytes,.a = a,.b = b});
	}
	return -1;
}

static int
compile_call(NearestQual *q, Oid function, List *args, bool real)
{
	if (list_length(args) == 2)
		return compile_operator(q, function, linitial(args), lsecond(args));
	return is_widening(function) ? compile(q, linitial(args), real) : -1;
}

static int
compile_bool(NearestQual *q, const BoolExpr *expr)
{
	int			result = -1;
	ListCell   *lc;

	foreach(lc, expr->args)
	{
		int			arg = compile(q, lfirst(lc), false);

		if (arg < 0)
			return -1;
		if (expr->boolop == NOT_EXPR)
			return add_step(q, (Step) {.code = NOT,.a = arg});
		result = result < 0 ? arg : add_step(q, (Step) {.code = expr->boolop == AND_EXPR ? AND : OR,.a = result,.b = arg});
		if (result < 0)
			return -1;
	}
	return result;
}

/* x IN (1, 2) is x = 1 OR x = 2, x NOT IN (1, 2) is x <> 1 AND x <> 2. */
static int
compile_list(NearestQual *q, const ScalarArrayOpExpr *expr)
{
	const Const *list = lsecond(expr->args);
	Oid			type;
	Datum	   *values;
	bool	   *nulls;
	int16		bytes;
	bool		byval;
	char		align;
	int			n;
	BoolExpr   *all = makeNode(BoolExpr);

	if (!IsA(list, Const) || list->constisnull)
		return -1;
	type = ARR_ELEMTYPE(DatumGetArrayTypeP(list->constvalue));
	get_typlenbyvalalign(type, &bytes, &byval, &align);
	deconstruct_array(DatumGetArrayTypeP(list->constvalue), type, bytes, byval, align, &values, &nulls, &n);
	if (n == 0 || n > MAX_IN)
		return -1;
	all->boolop = expr->useOr ? OR_EXPR : AND_EXPR;
	for (int i = 0; i < n; i++)
	{
		Const	   *value = makeConst(type, -1, InvalidOid, bytes, values[i], nulls[i], byval);
		OpExpr	   *op = (OpExpr *) make_opclause(expr->opno, BOOLOID, false, linitial(expr->args), (Expr *) value,
												  InvalidOid, expr->inputcollid);

		op->opfuncid = expr->opfuncid;
		all->args = lappend(all->args, op);
	}
	return compile_bool(q, all);
}

/* Rows that are looked at have no NULL in leading columns. */
static int
compile_null_test(NearestQual *q, const NullTest *test)
{
	const Var  *var = (const Var *) test->arg;

	if (!IsA(var, Var) || var->varattno <= 0 || test->argisrow)
		return -1;
	q->n_leading = Max(q->n_leading, var->varattno);
	return compile_input(q, (Expr *) makeBoolConst(test->nulltesttype == IS_NOT_NULL, false), false);
}

/* The step that computes the expression, for who takes it as a float or as an integer. */
static int
compile(NearestQual *q, Expr *expr, bool real)
{
	switch (nodeTag(expr))
	{
		case T_Var:
			return compile_column(q, (Var *) expr, real);
		case T_Const:
		case T_Param:
			return compile_input(q, expr, real);
		case T_RelabelType:
			return compile(q, ((RelabelType *) expr)->arg, real);
		case T_OpExpr:
			return compile_call(q, ((OpExpr *) expr)->opfuncid, ((OpExpr *) expr)->args, real);
		case T_FuncExpr:
			return compile_call(q, ((FuncExpr *) expr)->funcid, ((FuncExpr *) expr)->args, real);
		case T_BoolExpr:
			return compile_bool(q, (BoolExpr *) expr);
		case T_ScalarArrayOpExpr:
			return compile_list(q, (ScalarArrayOpExpr *) expr);
		case T_NullTest:
			return compile_null_test(q, (NullTest *) expr);
		default:
			return -1;
	}
}

/* The program of a scan's conditions; NULL if not even the first one is simple. */
NearestQual *
lh_nearest_qual_compile(ScanState *ss)
{
	NearestQual *q = palloc0(sizeof(NearestQual));
	ListCell   *lc;

	q->parent = &ss->ps;
	q->desc = RelationGetDescr(ss->ss_currentRelation);
	q->context = CurrentMemoryContext;
	q->result = -1;
	q->complete = true;
	foreach(lc, ss->ps.plan->qual)
	{
		int			before = q->n_steps;
		int			leading = q->n_leading;
		int			step = compile(q, lfirst(lc), false);

		if (step >= 0 && q->result >= 0)
			step = add_step(q, (Step) {.code = AND,.a = q->result,.b = step});
		if (step < 0)
		{
			q->n_steps = before;
			q->n_leading = leading;
			q->complete = false;
			break;
		}
		q->result = step;
	}
	for (int i = 0; i < q->n_steps; i++)
		q->values[i] = palloc0(sizeof(Value) * MaxHeapTuplesPerPage);
	return q->result >= 0 ? q : NULL;
}

/* Is nothing left to the executor but a few rows? */
bool
lh_nearest_qual_is_complete(const NearestQual *q)
{
	return q->complete;
}

/* ---- running it ---- */

/* Is it a parameter whose subquery has not run? */
static bool
is_pending(const Expr *expr, const ExprContext *econtext)
{
	const Param *param = (const Param *) expr;

	return IsA(expr, Param) && param->paramkind == PARAM_EXEC &&
		econtext->ecxt_param_exec_vals[param->paramid].execPlan != NULL;
}

static Value
value_of(Datum datum, int bytes, bool real)
{
	Value		value;

	if (real)
		value.r = bytes == sizeof(float4) ? DatumGetFloat4(datum) : DatumGetFloat8(datum);
	else
		value.i = bytes == 1 ? DatumGetChar(datum) : bytes == 2 ? DatumGetInt16(datum) :
			bytes == 4 ? DatumGetInt32(datum) : DatumGetInt64(datum);
	return value;
}

/* A scan begins: what are the parameters now? */
void
lh_nearest_qual_begin(NearestQual *q)
{
	ExprContext *econtext = q->parent->ps_ExprContext;

	q->usable = true;
	for (int i = 0; i < q->n_steps && q->usable; i++)
	{
		const Step *step = &q->steps[i];
		bool		isnull;
		Value		value;

		if (step->code != INPUT)
			continue;
		q->usable = !is_pending(step->input->expr, econtext);
		if (!q->usable)
			break;
		value = value_of(ExecEvalExprSwitchContext(step->input, econtext, &isnull), step->bytes, step->at);
		q->usable = !isnull;
		for (int row = 0; row < MaxHeapTuplesPerPage; row++)
			q->values[i][row] = value;
	}
}

/* The column's value of each row. */
static void
load(const Step *step, const NearestPage *page, const bool *odd, Value *out)
{
#define LOAD(member, type) \
	for (int i = 0; i < page->n; i++) \
		if (!odd[i]) \
			out[i].member = *(const type *) (lh_nearest_row_data(page->rows[i]) + step->at); \
	break

	switch (step->code == COLUMN ? step->bytes : -step->bytes)
	{
		case 1: LOAD(i, char);
		case 2: LOAD(i, int16);
		case 4: LOAD(i, int32);
		case 8: LOAD(i, int64);
		case -4: LOAD(r, float4);
		case -8: LOAD(r, float8);
	}
#undef LOAD
}

static inline int64
quotient(int64 a, int64 b)
{
	/* the processor is much quicker with short ones */
	return ((a | b) >> 31) == 0 ? (uint32) a / (uint32) b : a / b;
}

/* One step, for all rows of the page. */
static void
run_step(const NearestQual *q, const Step *step, const NearestPage *page, bool *odd, Value *out)
{
	const Value *a = q->values[step->a];
	const Value *b = q->values[step->b];
	int			n = page->n;
	int64		max = step->bytes > 0 ? PG_INT64_MAX >> (64 - 8 * step->bytes) : 0;

#define EACH(expression) \
	for (int i = 0; i < n; i++) \
		out[i].i = (expression); \
	break
	/* what does not fit is the executor's to complain of; so is all that divides by 0 or -1 */
#define CHECKED(overflows) \
	for (int i = 0; i < n; i++) \
		odd[i] |= (overflows) || out[i].i > max || out[i].i < -max - 1; \
	break
#define DIVIDED(expression) \
	for (int i = 0; i < n; i++) \
		if (b[i].i == 0 || b[i].i == -1) \
			odd[i] = true; \
		else \
			out[i].i = (expression); \
	break

	switch (step->code)
	{
		case INPUT: break;
		case COLUMN:
		case REAL_COLUMN: load(step, page, odd, out); break;
		case EQ: EACH(a[i].i == b[i].i);
		case NE: EACH(a[i].i != b[i].i);
		case LT: EACH(a[i].i < b[i].i);
		case LE: EACH(a[i].i <= b[i].i);
		case GT: EACH(a[i].i > b[i].i);
		case GE: EACH(a[i].i >= b[i].i);
		case REAL_EQ: EACH(float8_eq(a[i].r, b[i].r));
		case REAL_NE: EACH(float8_ne(a[i].r, b[i].r));
		case REAL_LT: EACH(float8_lt(a[i].r, b[i].r));
		case REAL_LE: EACH(float8_le(a[i].r, b[i].r));
		case REAL_GT: EACH(float8_gt(a[i].r, b[i].r));
		case REAL_GE: EACH(float8_ge(a[i].r, b[i].r));
		case PL: CHECKED(pg_add_s64_overflow(a[i].i, b[i].i, &out[i].i));
		case MI: CHECKED(pg_sub_s64_overflow(a[i].i, b[i].i, &out[i].i));
		case MUL: CHECKED(pg_mul_s64_overflow(a[i].i, b[i].i, &out[i].i));
		case DIV: DIVIDED(quotient(a[i].i, b[i].i));
		case MOD: DIVIDED(a[i].i - quotient(a[i].i, b[i].i) * b[i].i);
		case AND: EACH(a[i].i & b[i].i);
		case OR: EACH(a[i].i | b[i].i);
		case NOT: EACH(!a[i].i);
	}
#undef EACH
#undef CHECKED
#undef DIVIDED
}

/* What becomes of each row of the page? */
void
lh_nearest_qual_page(const NearestQual *q, const NearestPage *page, uint8 *verdicts)
{
	bool		odd[MaxHeapTuplesPerPage];
	const Value *passes = q->values[q->result];

	if (!q->usable)
	{
		memset(verdicts, NEAREST_ASK, page->n);
		return;
	}
	for (int i = 0; i < page->n; i++)
		odd[i] = !lh_nearest_row_is_plain(page->rows[i], q->n_leading);
	for (int i = 0; i < q->n_steps; i++)
		run_step(q, &q->steps[i], page, odd, q->values[i]);
	for (int i = 0; i < page->n; i++)
		verdicts[i] = odd[i] ? NEAREST_ASK : !passes[i].i ? NEAREST_DROP : q->complete ? NEAREST_PASS : NEAREST_ASK;
}
