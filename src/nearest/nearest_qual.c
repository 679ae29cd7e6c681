/*
 * nearest_qual.c
 *	  The filter of a sequential scan, for all rows of a page at once.
 *
 * Conditions on columns that stand at the same place in every row, made of
 * comparisons, integer arithmetic, AND, OR, NOT and IS NULL, become a short
 * program: each step computes one value of each row of the page in a loop.  A row for which that would not be exactly what the executor does
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
#include "utils/uuid.h"

#include "nearest/nearest_int.h"

/* Longer filters are left to the executor, and so are longer lists behind IN. */
#define MAX_STEPS	40
#define MAX_IN		12

/* What a step computes; an operator's name in the server's functions says the same. */
typedef enum StepCode
{
	INPUT,						/* nothing: the value is the same for all rows */
	COLUMN,
	EQ, NE, LT, LE, GT, GE,
	REAL_EQ, REAL_NE, REAL_LT, REAL_LE, REAL_GT, REAL_GE,
	UUID_EQ, UUID_NE,
	TEXT_EQ, TEXT_NE,
	PL, MI, MUL, DIV, MOD,
	AND, OR, NOT
} StepCode;

/* What it computes it from. */
typedef enum Kind
{
	INTEGER,					/* or what is one inside: a date, a bool */
	REAL,
	UUID,
	TEXT
} Kind;

/* Of one row. */
typedef union Value
{
	int64		i;
	double		r;
	const char *p;				/* to a uuid or text */
} Value;

typedef struct Step
{
	StepCode	code;
	Kind		kind;			/* of a column or an input */
	int16		bytes;			/* of them, or of an integer result */
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
	{F_UUID_EQ, UUID_EQ}, {F_UUID_NE, UUID_NE}, {F_TEXTEQ, TEXT_EQ}, {F_TEXTNE, TEXT_NE},
	ARITHMETIC(F_INT2, 2), ARITHMETIC(F_INT24, 4), ARITHMETIC(F_INT28, 8),
	ARITHMETIC(F_INT42, 4), ARITHMETIC(F_INT4, 4), ARITHMETIC(F_INT48, 8),
	ARITHMETIC(F_INT82, 8), ARITHMETIC(F_INT84, 8), ARITHMETIC(F_INT8, 8),
	{F_INT2MOD, MOD, 2}, {F_INT4MOD, MOD, 4}, {F_INT8MOD, MOD, 8},
};

static Kind
kind_taken(StepCode code)
{
	return code >= REAL_EQ && code <= REAL_GE ? REAL :
		code == UUID_EQ || code == UUID_NE ? UUID : code == TEXT_EQ || code == TEXT_NE ? TEXT : INTEGER;
}

/* Can values of a type that is stored so be taken as this kind? */
static bool
is_of_kind(Kind kind, int bytes, bool byval)
{
	switch (kind)
	{
		case INTEGER: return byval;
		case REAL: return byval && bytes >= (int) sizeof(float4);
		case UUID: return bytes == UUID_LEN;
		default: return bytes == -1;
	}
}

/* Conversions that change nothing but the width. */
static bool
is_widening(Oid function)
{
	return function == F_INT4_INT2 || function == F_INT8_INT2 || function == F_INT8_INT4 || function == F_FLOAT8_FLOAT4;
}

/* ---- making the program: the step's number, or -1 ---- */

static int compile(NearestQual *q, Expr *expr, Kind kind);

/* A step that is there already is not made again. */
static int
add_step(NearestQual *q, Step step)
{
	for (int i = 0; i < q->n_steps && step.code != INPUT; i++)
		if (q->steps[i].code == step.code && q->steps[i].kind == step.kind && q->steps[i].bytes == step.bytes &&
			q->steps[i].at == step.at && q->steps[i].a == step.a && q->steps[i].b == step.b)
			return i;
	if (q->n_steps == MAX_STEPS)
		return -1;
	q->steps[q->n_steps] = step;
	return q->n_steps++;
}

static int
compile_column(NearestQual *q, const Var *var, Kind kind)
{
	int			at = lh_nearest_column_place(q->desc, var->varattno);
	Form_pg_attribute att;

	if (at < 0 || at > PG_INT16_MAX)
		return -1;
	att = TupleDescAttr(q->desc, var->varattno - 1);
	if (!is_of_kind(kind, att->attlen, att->attbyval) || (kind == TEXT && att->attalign != TYPALIGN_INT))
		return -1;
	q->n_leading = Max(q->n_leading, var->varattno);
	return add_step(q, (Step) {.code = COLUMN,.kind = kind,.bytes = att->attlen,.at = at});
}

static int
compile_input(NearestQual *q, Expr *expr, Kind kind)
{
	int16		bytes;
	bool		byval;

	get_typlenbyval(exprType((Node *) expr), &bytes, &byval);
	if (!is_of_kind(kind, bytes, byval))
		return -1;
	return add_step(q, (Step) {.code = INPUT,.kind = kind,.bytes = bytes,.input = ExecInitExpr(expr, q->parent)});
}

static int
compile_operator(NearestQual *q, Oid function, Oid collation, Expr *left, Expr *right)
{
	for (int i = 0; i < lengthof(operators); i++)
	{
		Kind		kind = kind_taken(operators[i].code);
		int			a,
					b;

		if (operators[i].function != function)
			continue;
		if (kind == TEXT && !get_collation_isdeterministic(collation))
			return -1;
		a = compile(q, left, kind);
		b = a < 0 ? -1 : compile(q, right, kind);
		return b < 0 ? -1 : add_step(q, (Step) {.code = operators[i].code,.bytes = operators[i].bytes,.a = a,.b = b});
	}
	return -1;
}

static int
compile_call(NearestQual *q, Oid function, Oid collation, List *args, Kind kind)
{
	if (list_length(args) == 2)
		return compile_operator(q, function, collation, linitial(args), lsecond(args));
	return is_widening(function) ? compile(q, linitial(args), kind) : -1;
}

static int
compile_bool(NearestQual *q, const BoolExpr *expr)
{
	int			result = -1;
	ListCell   *lc;

	foreach(lc, expr->args)
	{
		int			arg = compile(q, lfirst(lc), INTEGER);

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
	return compile_input(q, (Expr *) makeBoolConst(test->nulltesttype == IS_NOT_NULL, false), INTEGER);
}

/* The step that computes the expression, as this kind. */
static int
compile(NearestQual *q, Expr *expr, Kind kind)
{
	const OpExpr *op = (const OpExpr *) expr;
	const FuncExpr *call = (const FuncExpr *) expr;

	switch (nodeTag(expr))
	{
		case T_Var:
			return compile_column(q, (Var *) expr, kind);
		case T_Const:
		case T_Param:
			return compile_input(q, expr, kind);
		case T_RelabelType:
			return compile(q, ((RelabelType *) expr)->arg, kind);
		case T_OpExpr:
			return compile_call(q, op->opfuncid, op->inputcollid, op->args, kind);
		case T_FuncExpr:
			return compile_call(q, call->funcid, call->inputcollid, call->args, kind);
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
	q->result = -1;
	q->complete = true;
	foreach(lc, ss->ps.plan->qual)
	{
		int			before = q->n_steps;
		int			leading = q->n_leading;
		int			step = compile(q, lfirst(lc), INTEGER);

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

/* Is it a parameter whose subquery has not run?  The executor may not need it. */
static bool
is_pending(const Expr *expr, const ExprContext *econtext)
{
	const Param *param = (const Param *) expr;

	return IsA(expr, Param) && param->paramkind == PARAM_EXEC &&
		econtext->ecxt_param_exec_vals[param->paramid].execPlan != NULL;
}

/* A text that stands elsewhere, or compressed, is left to the executor. */
static inline bool
is_text_here(const char *p)
{
	return !VARATT_IS_EXTERNAL(p) && !VARATT_IS_COMPRESSED(p);
}

static Value
value_of(const Step *step, Datum datum)
{
	Value		value;

	if (step->kind == REAL)
		value.r = step->bytes == sizeof(float4) ? DatumGetFloat4(datum) : DatumGetFloat8(datum);
	else if (step->kind == INTEGER)
		value.i = step->bytes == 1 ? DatumGetChar(datum) : step->bytes == 2 ? DatumGetInt16(datum) :
			step->bytes == 4 ? DatumGetInt32(datum) : DatumGetInt64(datum);
	else
		value.p = DatumGetPointer(datum);
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
		bool		isnull = true;
		Datum		datum = 0;
		Value		value;

		if (step->code != INPUT)
			continue;
		if (!is_pending(step->input->expr, econtext))
			datum = ExecEvalExprSwitchContext(step->input, econtext, &isnull);
		q->usable = !isnull && (step->kind != TEXT || is_text_here(DatumGetPointer(datum)));
		if (!q->usable)
			break;
		value = value_of(step, datum);
		for (int row = 0; row < MaxHeapTuplesPerPage; row++)
			q->values[i][row] = value;
	}
}

/* The column's value of each row. */
static void
load(const Step *step, const NearestPage *page, bool *odd, Value *out)
{
#define LOAD(member, expression) \
	for (int i = 0; i < page->n; i++) \
		if (!odd[i]) \
		{ \
			const char *at = lh_nearest_row_data(page->rows[i]) + step->at; \
			out[i].member = (expression); \
		} \
	break

	switch (step->kind)
	{
		case INTEGER:
			switch (step->bytes)
			{
				case 1: LOAD(i, *at);
				case 2: LOAD(i, *(const int16 *) at);
				case 4: LOAD(i, *(const int32 *) at);
				case 8: LOAD(i, *(const int64 *) at);
			}
			break;
		case REAL: LOAD(r, step->bytes == sizeof(float4) ? *(const float4 *) at : *(const float8 *) at);
		case UUID: LOAD(p, at);
		case TEXT:
			for (int i = 0; i < page->n; i++)
				if (!odd[i])
				{
					const char *at = lh_nearest_row_data(page->rows[i]) + step->at;

					out[i].p = (const char *) att_align_pointer(at, TYPALIGN_INT, -1, at);
					odd[i] = !is_text_here(out[i].p);
				}
	}
#undef LOAD
}

static inline bool
same_text(const char *a, const char *b)
{
	return VARSIZE_ANY_EXHDR(a) == VARSIZE_ANY_EXHDR(b) &&
		memcmp(VARDATA_ANY(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(a)) == 0;
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
	bool		is_checked = step->code >= PL && step->code <= MUL;
	int64		max = is_checked ? PG_INT64_MAX >> (64 - 8 * step->bytes) : 0;

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
		case COLUMN: load(step, page, odd, out); break;
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
		/* pointers of odd rows may point anywhere */
		case UUID_EQ: EACH(!odd[i] && memcmp(a[i].p, b[i].p, UUID_LEN) == 0);
		case UUID_NE: EACH(!odd[i] && memcmp(a[i].p, b[i].p, UUID_LEN) != 0);
		case TEXT_EQ: EACH(!odd[i] && same_text(a[i].p, b[i].p));
		case TEXT_NE: EACH(!odd[i] && !same_text(a[i].p, b[i].p));
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
