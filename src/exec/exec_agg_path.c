/*
 * exec_agg_path.c
 *	  Planner side of LakehouseAggregate: which queries it can answer, its
 *	  path and plan.
 *
 * It stands in for Aggregate over one table without GROUP BY, when each
 * aggregate is one that accumulators know over a plain column (exec_accum.c),
 * and each qual one that the vectorised filter decides (exec_filter.c).
 * FILTER, DISTINCT, ORDER BY, expressions and everything else fall back to
 * core's Aggregate here, at plan time.
 *
 * Its child is an ordinary LakehouseScan, from which it takes batches.
 */
#include "postgres.h"

#include "access/table.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/planner.h"
#include "optimizer/restrictinfo.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

#include "exec/exec_int.h"

/* An aggregate's transition, or a comparison, per row: this share of an operator's. */
#define VECTOR_COST		0.2

/* The column that an aggregate is over, NULL: it is over rows. */
static Var *
argument(const Aggref *aggref)
{
	return aggref->args == NIL ? NULL : (Var *) linitial_node(TargetEntry, aggref->args)->expr;
}

static bool
is_supported(const Aggref *aggref, Index varno, TupleDesc desc)
{
	Var		   *var = argument(aggref);

	if (aggref->aggfilter != NULL || aggref->aggdistinct != NIL || aggref->aggorder != NIL ||
		aggref->aggdirectargs != NIL || aggref->aggvariadic || aggref->aggsplit != AGGSPLIT_SIMPLE ||
		list_length(aggref->args) > 1)
		return false;
	if (var == NULL)
		return lh_accum_supported(aggref->aggfnoid, NULL);
	return IsA(var, Var) && var->varno == varno && var->varlevelsup == 0 && var->varattno > 0 &&
		lh_accum_supported(aggref->aggfnoid, TupleDescAttr(desc, var->varattno - 1));
}

/* The query's aggregates, each once; NIL: there is something else too. */
static List *
collect_aggregates(PlannerInfo *root, RelOptInfo *output, Index varno, TupleDesc desc)
{
	List	   *exprs = list_concat(pull_var_clause((Node *) output->reltarget->exprs, PVC_INCLUDE_AGGREGATES |
													PVC_RECURSE_WINDOWFUNCS | PVC_INCLUDE_PLACEHOLDERS),
									pull_var_clause(root->parse->havingQual, PVC_INCLUDE_AGGREGATES |
													PVC_INCLUDE_PLACEHOLDERS));
	List	   *aggregates = NIL;
	ListCell   *lc;

	foreach(lc, exprs)
	{
		if (!IsA(lfirst(lc), Aggref) || !is_supported(lfirst(lc), varno, desc))
			return NIL;
		aggregates = list_append_unique(aggregates, lfirst(lc));
	}
	return aggregates;
}

/* The quals of the table, if the filter decides them all. */
static bool
get_quals(RelOptInfo *rel, TupleDesc desc, List **quals)
{
	ListCell   *lc;

	foreach(lc, rel->baserestrictinfo)
		if (lfirst_node(RestrictInfo, lc)->pseudoconstant)
			return false;
	*quals = extract_actual_clauses(rel->baserestrictinfo, false);
	return lh_filter_covers(*quals, rel->relid, desc);
}

static bool
counts_rows_only(List *aggregates, List *quals)
{
	ListCell   *lc;

	foreach(lc, aggregates)
		if (argument(lfirst(lc)) != NULL)
			return false;
	return quals == NIL;
}

/* ---- plan ---- */

static Plan *
plan_agg(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *tlist, List *clauses, List *children)
{
	CustomScan *scan = makeNode(CustomScan);
	ListCell   *lc;

	foreach(lc, linitial(path->custom_private))
		scan->custom_scan_tlist = lappend(scan->custom_scan_tlist,
										  makeTargetEntry(lfirst(lc), list_length(scan->custom_scan_tlist) + 1,
														  NULL, false));
	scan->scan.plan.targetlist = tlist;
	scan->scan.plan.qual = (List *) root->parse->havingQual;
	scan->custom_plans = children;
	scan->custom_private = list_make1_int(list_length(path->custom_private) > 1);
	scan->flags = path->flags;
	scan->methods = &lh_agg_methods;
	return &scan->scan.plan;
}

static const CustomPathMethods agg_path_methods = {
	.CustomName = "LakehouseAggregate",
	.PlanCustomPath = plan_agg,
};

/* ---- path ---- */

/* The columns that the child must give when rows are taken one by one. */
static PathTarget *
child_target(PlannerInfo *root, List *aggregates)
{
	PathTarget *target = create_empty_pathtarget();
	ListCell   *lc;

	foreach(lc, aggregates)
		if (argument(lfirst(lc)) != NULL)
			add_new_column_to_pathtarget(target, (Expr *) argument(lfirst(lc)));
	return set_pathtarget_cost_width(root, target);
}

static void
add_agg_path(PlannerInfo *root, RelOptInfo *input, RelOptInfo *output, List *aggregates, List *quals)
{
	bool		rows_only = counts_rows_only(aggregates, quals);
	CustomPath *child = lh_scan_path(root, input, child_target(root, aggregates), 0);
	CustomPath *path = makeNode(CustomPath);
	Cost		cost = seq_page_cost;

	if (!rows_only)
		cost += lh_scan_io_cost(root, input) +
			input->tuples * cpu_operator_cost * VECTOR_COST * (list_length(aggregates) + list_length(quals));
	path->path.pathtype = T_CustomScan;
	path->path.parent = output;
	path->path.pathtarget = output->reltarget;
	path->path.parallel_safe = input->consider_parallel && output->consider_parallel;
	path->path.rows = 1;
	if (!enable_seqscan)
		cost += disable_cost;
	path->path.startup_cost = cost + output->reltarget->cost.startup;
	path->path.total_cost = path->path.startup_cost + output->reltarget->cost.per_tuple;
	path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
	path->custom_paths = list_make1(child);

	/* the aggregates; a second member says that the catalog can answer */
	path->custom_private = list_make1(aggregates);
	if (rows_only)
		path->custom_private = lappend(path->custom_private, NIL);
	path->methods = &agg_path_methods;
	add_path(output, &path->path);
}

void
lh_agg_paths(PlannerInfo *root, RelOptInfo *input, RelOptInfo *output)
{
	Query	   *parse = root->parse;
	RangeTblEntry *rte;
	Relation	rel;
	List	   *aggregates;
	List	   *quals;

	if (!parse->hasAggs || parse->groupClause != NIL || parse->groupingSets != NIL ||
		input->reloptkind != RELOPT_BASEREL || input->lateral_relids != NULL)
		return;
	rte = planner_rt_fetch(input->relid, root);
	if (!lh_scan_possible(root, input, rte))
		return;
	rel = table_open(rte->relid, NoLock);
	aggregates = collect_aggregates(root, output, input->relid, RelationGetDescr(rel));
	if (aggregates != NIL && get_quals(input, RelationGetDescr(rel), &quals))
		add_agg_path(root, input, output, aggregates, quals);
	table_close(rel, NoLock);
}
