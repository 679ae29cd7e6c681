/*
 * exec_clause.c
 *	  The part of a scan's quals that compares a column with a value known
 *	  before the rows are read.
 *
 * Understood are: column <btree operator> value, also with the sides changed;
 * column <operator> ANY (array); IS [NOT] NULL; boolean columns; and AND and
 * OR of these.  A value is any expression without columns, subplans and
 * volatile functions, so that it is the same for all rows of a scan.  It is
 * evaluated when the first row group is looked at, as the first row would.
 *
 * The set is used to leave rows out early (pruning, vectorised filter); all
 * quals are evaluated on what remains.
 */
#include "postgres.h"

#include "access/nbtree.h"
#include "catalog/pg_am.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "exec/exec_int.h"
#include "types/pg_compat.h"

/* An array with more elements says too little to be worth the loop. */
#define MAX_ANY_VALUES	1000

typedef struct Builder
{
	PlanState  *ps;
	Index		varno;
	TupleDesc	desc;
} Builder;

static bool
is_subplan(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubPlan) || IsA(node, AlternativeSubPlan))
		return true;
	return expression_tree_walker(node, is_subplan, arg);
}

static bool
is_value(Node *node)
{
	return !contain_var_clause(node) && !is_subplan(node, NULL) && !contain_volatile_functions(node);
}

/* A column of the scanned table below relabelings, or NULL. */
static Var *
column_of(const Builder *b, Node *node)
{
	while (node != NULL && IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	if (node != NULL && IsA(node, Var) && ((Var *) node)->varno == b->varno &&
		((Var *) node)->varlevelsup == 0 && ((Var *) node)->varattno > 0)
		return (Var *) node;
	return NULL;
}

/*
 * Bounds of text are in byte order, whatever the column's collation: of use
 * where the clause compares bytes too, and for equality also where its
 * collation holds equal only what is byte for byte.
 */
static bool
choose_collation(LhClause *clause, Oid collation)
{
	clause->collation = collation;
	if (!OidIsValid(collation))
		return true;
	clause->bytewise = lh_collation_is_c(collation) ||
		(clause->strategy == BTEqualStrategyNumber && get_collation_isdeterministic(collation));
	clause->collation = C_COLLATION_OID;
	return clause->bytewise;
}

/* Is `op` a comparison of the default btree class of the column's type? */
static bool
choose_operator(LhClause *clause, const Var *var, Oid op, Oid collation)
{
	Oid			opclass = GetDefaultOpClass(getBaseType(var->vartype), BTREE_AM_OID);
	Oid			family;
	Oid			proc;
	int			strategy;

	if (!OidIsValid(op) || !OidIsValid(opclass))
		return false;
	family = get_opclass_family(opclass);
	if (!op_in_opfamily(op, family))
		return false;
	get_op_opfamily_properties(op, family, false, &strategy, &clause->left_type, &clause->right_type);
	proc = get_opfamily_proc(family, clause->left_type, clause->right_type, BTORDER_PROC);
	if (!OidIsValid(proc))
		return false;
	clause->strategy = strategy;
	fmgr_info(proc, &clause->order);
	return choose_collation(clause, collation);
}

static LhClause *
new_clause(LhClauseKind kind, AttrNumber attnum)
{
	LhClause   *clause = palloc0(sizeof(LhClause));

	clause->kind = kind;
	clause->attnum = attnum;
	return clause;
}

static void
init_value(const Builder *b, LhClause *clause, Node *value)
{
	if (b->ps != NULL)
		clause->expr = ExecInitExpr((Expr *) value, b->ps);
}

static LhClause *
build_compare(const Builder *b, OpExpr *expr)
{
	Node	   *left;
	Node	   *right;
	Oid			op = expr->opno;
	Var		   *var;
	LhClause   *clause;

	if (list_length(expr->args) != 2)
		return NULL;
	left = linitial(expr->args);
	right = lsecond(expr->args);
	var = column_of(b, left);
	if (var == NULL)
	{
		var = column_of(b, right);
		right = left;
		op = get_commutator(op);
	}
	if (var == NULL || !is_value(right))
		return NULL;
	clause = new_clause(LH_CLAUSE_CMP, var->varattno);
	if (!choose_operator(clause, var, op, expr->inputcollid))
		return NULL;
	init_value(b, clause, right);
	return clause;
}

static LhClause *
build_any(const Builder *b, ScalarArrayOpExpr *expr)
{
	Var		   *var = column_of(b, linitial(expr->args));
	LhClause   *clause;

	if (!expr->useOr || var == NULL || !is_value(lsecond(expr->args)))
		return NULL;
	clause = new_clause(LH_CLAUSE_ANY, var->varattno);
	if (!choose_operator(clause, var, expr->opno, expr->inputcollid))
		return NULL;
	init_value(b, clause, lsecond(expr->args));
	return clause;
}

static LhClause *
build_null(const Builder *b, NullTest *test)
{
	Var		   *var = column_of(b, (Node *) test->arg);

	/* a row value IS NULL also when its fields are */
	if (var == NULL || test->argisrow || type_is_rowtype(var->vartype))
		return NULL;
	return new_clause(test->nulltesttype == IS_NULL ? LH_CLAUSE_NULL : LH_CLAUSE_NOT_NULL, var->varattno);
}

/* WHERE flag, WHERE NOT flag */
static LhClause *
build_flag(const Builder *b, Node *node, bool value)
{
	Var		   *var = column_of(b, node);
	LhClause   *clause;

	if (var == NULL || var->vartype != BOOLOID)
		return NULL;
	clause = new_clause(LH_CLAUSE_CMP, var->varattno);
	if (!choose_operator(clause, var, BooleanEqualOperator, InvalidOid))
		return NULL;
	init_value(b, clause, makeBoolConst(value, false));
	return clause;
}

static LhClause *build(const Builder *b, Node *node);

/* An arm that is not understood makes an OR useless, an AND weaker. */
static LhClause *
build_bool(const Builder *b, BoolExpr *expr)
{
	LhClause   *clause;
	ListCell   *lc;

	if (expr->boolop == NOT_EXPR)
		return build_flag(b, linitial(expr->args), false);
	clause = new_clause(expr->boolop == OR_EXPR ? LH_CLAUSE_OR : LH_CLAUSE_AND, 0);
	foreach(lc, expr->args)
	{
		LhClause   *arg = build(b, lfirst(lc));

		if (arg != NULL)
			clause->args = lappend(clause->args, arg);
		else if (clause->kind == LH_CLAUSE_OR)
			return NULL;
	}
	return clause->args != NIL ? clause : NULL;
}

static LhClause *
build(const Builder *b, Node *node)
{
	switch (nodeTag(node))
	{
		case T_OpExpr:
			return build_compare(b, (OpExpr *) node);
		case T_ScalarArrayOpExpr:
			return build_any(b, (ScalarArrayOpExpr *) node);
		case T_NullTest:
			return build_null(b, (NullTest *) node);
		case T_BoolExpr:
			return build_bool(b, (BoolExpr *) node);
		case T_Var:
			return build_flag(b, node, true);
		default:
			return NULL;
	}
}

LhClauseSet *
lh_clauses_create(PlanState *ps, List *quals, Index varno, TupleDesc desc)
{
	LhClauseSet *set = palloc0(sizeof(LhClauseSet));
	Builder		b = {ps, varno, desc};
	ListCell   *lc;

	set->desc = desc;
	set->econtext = ps != NULL ? ps->ps_ExprContext : NULL;
	set->values_cxt = AllocSetContextCreate(CurrentMemoryContext, "lakehouse clause values", ALLOCSET_SMALL_SIZES);
	set->scratch = AllocSetContextCreate(CurrentMemoryContext, "lakehouse statistics", ALLOCSET_SMALL_SIZES);
	foreach(lc, quals)
	{
		LhClause   *clause = build(&b, lfirst(lc));

		if (clause != NULL)
			set->clauses = lappend(set->clauses, clause);
	}
	return set;
}

/* ---- values ---- */

static void
evaluate_array(LhClause *clause, Datum value)
{
	ArrayType  *array = DatumGetArrayTypeP(value);
	int16		len;
	bool		byval;
	char		align;
	bool	   *nulls;
	int			n = 0;

	get_typlenbyvalalign(ARR_ELEMTYPE(array), &len, &byval, &align);
	deconstruct_array(array, ARR_ELEMTYPE(array), len, byval, align,
					  &clause->values, &nulls, &clause->n_values);
	for (int i = 0; i < clause->n_values; i++)
		if (!nulls[i])
			clause->values[n++] = clause->values[i];
	clause->n_values = n;
	if (n > MAX_ANY_VALUES)
		clause->n_values = -1;
}

static void
evaluate(LhClauseSet *set, LhClause *clause)
{
	ListCell   *lc;
	Datum		value;
	bool		isnull;

	foreach(lc, clause->args)
		evaluate(set, lfirst(lc));
	if (clause->expr == NULL)
		return;
	clause->n_values = 0;
	value = ExecEvalExpr(clause->expr, set->econtext, &isnull);
	if (isnull)
		return;
	if (clause->kind == LH_CLAUSE_ANY)
		evaluate_array(clause, value);
	else
	{
		clause->n_values = 1;
		clause->values = palloc(sizeof(Datum));
		clause->values[0] = value;
	}
}

void
lh_clauses_evaluate(LhClauseSet *set)
{
	MemoryContext old;
	ListCell   *lc;

	if (set->evaluated)
		return;
	MemoryContextReset(set->values_cxt);
	old = MemoryContextSwitchTo(set->values_cxt);
	foreach(lc, set->clauses)
		evaluate(set, lfirst(lc));
	MemoryContextSwitchTo(old);
	set->evaluated = true;
	set->generation++;
}

void
lh_clauses_reset(LhClauseSet *set)
{
	set->evaluated = false;
}
