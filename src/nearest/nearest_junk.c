/*
 * nearest_junk.c
 *	  Distances that nobody looks at are not computed.
 *
 * SELECT id … ORDER BY v <-> $1 LIMIT 10 has the distance as a column that only
 * a Sort would want.  An index scan gives rows in order already, but its target
 * list still computes the distance of each row it returns, and long vectors are
 * read from the TOAST table for that, which takes longer than finding the rows.
 * What stands above the LIMIT never looks at such a column, so it may be NULL.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/plannodes.h"
#include "optimizer/planner.h"

#include "nearest/nearest_int.h"

static planner_hook_type next_planner;

static void
forget_distances(List *targetlist, List *distances)
{
	ListCell   *lc;

	foreach(lc, targetlist)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);

		if (entry->resjunk && IsA(entry->expr, OpExpr) && list_member(distances, entry->expr) &&
			lh_is_distance((OpExpr *) entry->expr))
			entry->expr = (Expr *) makeNullConst(FLOAT8OID, -1, InvalidOid);
	}
}

static void
visit(Plan *plan)
{
	ListCell   *lc;

	if (plan == NULL)
		return;
	if (IsA(plan, Limit) && ((Limit *) plan)->limitOption == LIMIT_OPTION_COUNT && IsA(plan->lefttree, IndexScan))
		forget_distances(plan->lefttree->targetlist, ((IndexScan *) plan->lefttree)->indexorderbyorig);
	if (IsA(plan, Append))
		foreach(lc, ((Append *) plan)->appendplans)
			visit(lfirst(lc));
	if (IsA(plan, SubqueryScan))
		visit(((SubqueryScan *) plan)->subplan);
	visit(plan->lefttree);
	visit(plan->righttree);
}

static PlannedStmt *
plan_query(Query *query, const char *text, int options, ParamListInfo params)
{
	PlannedStmt *stmt = next_planner ? next_planner(query, text, options, params) :
		standard_planner(query, text, options, params);
	ListCell   *lc;

	visit(stmt->planTree);
	foreach(lc, stmt->subplans)
		visit(lfirst(lc));
	return stmt;
}

void
lh_nearest_junk_init(void)
{
	next_planner = planner_hook;
	planner_hook = plan_query;
}
