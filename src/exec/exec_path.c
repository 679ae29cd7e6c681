/*
 * exec_path.c
 *	  Planner side of LakehouseScan: settings, hooks, paths and their costs.
 *
 * Sequential scans of lakehouse tables are replaced, not joined by another
 * path: the custom scan does all that they do, and less work.  Tables that a
 * statement modifies keep them, and so do sampling scans, time travel among
 * them.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/plancat.h"
#include "optimizer/planner.h"
#include "optimizer/restrictinfo.h"
#include "optimizer/tlist.h"
#include "parser/parsetree.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/spccache.h"

#include "exec/exec_int.h"
#include "exec/lh_exec.h"

bool		lh_enable_custom_scan = true;
bool		lh_enable_pruning = true;
bool		lh_enable_vector_agg = true;

static set_rel_pathlist_hook_type previous_pathlist = NULL;
static create_upper_paths_hook_type previous_upper = NULL;

/* Decoding a column costs this share of evaluating an operator, per row. */
#define DECODE_COST		0.5

bool
lh_scan_possible(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte)
{
	return lh_enable_custom_scan && lh_preloaded &&
		IS_SIMPLE_REL(rel) && !IS_DUMMY_REL(rel) &&
		rte->rtekind == RTE_RELATION && !rte->inh && rte->tablesample == NULL &&
		(rte->relkind == RELKIND_RELATION || rte->relkind == RELKIND_MATVIEW) &&
		!bms_is_member(rel->relid, root->all_result_relids) &&
		lh_relation_am(rte->relid) == lh_am_oid();
}

/* ---- costs ---- */

static int
column_width(Oid relid, AttrNumber attnum)
{
	int			width = get_attavgwidth(relid, attnum);

	return width > 0 ? width : get_typavgwidth(get_atttype(relid, attnum), -1);
}

/* Which part of a table's bytes the scan reads, by the columns it needs. */
static double
read_fraction(PlannerInfo *root, RelOptInfo *rel, int *n_columns)
{
	Oid			relid = planner_rt_fetch(rel->relid, root)->relid;
	double		all = Max(get_relation_data_width(relid, NULL), 1);
	Bitmapset  *attrs = NULL;
	double		width = 0;
	ListCell   *lc;

	*n_columns = 0;
	pull_varattnos((Node *) rel->reltarget->exprs, rel->relid, &attrs);
	foreach(lc, rel->baserestrictinfo)
		pull_varattnos((Node *) lfirst_node(RestrictInfo, lc)->clause, rel->relid, &attrs);
	if (bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, attrs))
	{
		*n_columns = rel->max_attr;
		return 1.0;
	}
	for (AttrNumber i = 1; i <= rel->max_attr; i++)
	{
		if (!bms_is_member(i - FirstLowInvalidHeapAttributeNumber, attrs))
			continue;
		(*n_columns)++;
		width += column_width(relid, i);
	}
	return Min(1.0, width / all);
}

Cost
lh_scan_io_cost(PlannerInfo *root, RelOptInfo *rel)
{
	double		page_cost;
	int			n_columns;

	get_tablespace_page_costs(rel->reltablespace, NULL, &page_cost);
	return page_cost * rel->pages * read_fraction(root, rel, &n_columns);
}

static void
cost_scan(PlannerInfo *root, RelOptInfo *rel, Path *path)
{
	QualCost	quals = {0, 0};
	double		cpu;
	int			n_columns;

	(void) read_fraction(root, rel, &n_columns);
	path->rows = rel->rows;
	if (path->param_info != NULL)
	{
		path->rows = path->param_info->ppi_rows;
		cost_qual_eval(&quals, path->param_info->ppi_clauses, root);
	}
	quals.startup += rel->baserestrictcost.startup;
	quals.per_tuple += rel->baserestrictcost.per_tuple;

	cpu = rel->tuples * (cpu_tuple_cost / 2 + cpu_operator_cost * DECODE_COST * n_columns + quals.per_tuple);
	cpu += path->rows * path->pathtarget->cost.per_tuple;
	if (path->parallel_workers > 0)
	{
		double		divisor = path->parallel_workers;

		/* as get_parallel_divisor() in costsize.c */
		if (parallel_leader_participation)
			divisor += Max(0, 1.0 - 0.3 * path->parallel_workers);
		cpu /= divisor;
		path->rows = clamp_row_est(path->rows / divisor);
	}
	path->startup_cost = quals.startup + path->pathtarget->cost.startup;
	if (!enable_seqscan)
		path->startup_cost += disable_cost;
	path->total_cost = path->startup_cost + lh_scan_io_cost(root, rel) + cpu;
}

/* ---- paths and plans ---- */

static Plan *
plan_scan(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *tlist, List *clauses, List *children)
{
	CustomScan *scan = makeNode(CustomScan);

	scan->scan.plan.targetlist = tlist;
	scan->scan.plan.qual = extract_actual_clauses(clauses, false);
	scan->scan.scanrelid = rel->relid;
	scan->flags = path->flags;
	scan->methods = &lh_scan_methods;
	return &scan->scan.plan;
}

static const CustomPathMethods scan_path_methods = {
	.CustomName = "LakehouseScan",
	.PlanCustomPath = plan_scan,
};

CustomPath *
lh_scan_path(PlannerInfo *root, RelOptInfo *rel, PathTarget *target, int workers)
{
	CustomPath *path = makeNode(CustomPath);

	path->path.pathtype = T_CustomScan;
	path->path.parent = rel;
	path->path.pathtarget = target;
	path->path.param_info = workers > 0 ? NULL : get_baserel_parampathinfo(root, rel, rel->lateral_relids);
	path->path.parallel_aware = workers > 0;
	path->path.parallel_safe = rel->consider_parallel;
	path->path.parallel_workers = workers;
	path->flags = CUSTOMPATH_SUPPORT_BACKWARD_SCAN | CUSTOMPATH_SUPPORT_PROJECTION;
	path->methods = &scan_path_methods;
	cost_scan(root, rel, &path->path);
	return path;
}

static List *
without_seqscans(List *paths)
{
	ListCell   *lc;

	foreach(lc, paths)
		if (((Path *) lfirst(lc))->pathtype == T_SeqScan)
			paths = foreach_delete_current(paths, lc);
	return paths;
}

/* Work is what rows cost, however few pages they are packed in. */
static int
choose_workers(RelOptInfo *rel)
{
	double		heap_pages = rel->tuples * (rel->reltarget->width + 28) / BLCKSZ;

	return compute_parallel_worker(rel, Max(rel->pages, heap_pages), -1, max_parallel_workers_per_gather);
}

static void
pathlist_hook(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte)
{
	int			workers;

	if (previous_pathlist != NULL)
		previous_pathlist(root, rel, rti, rte);
	if (!lh_scan_possible(root, rel, rte))
		return;
	rel->pathlist = without_seqscans(rel->pathlist);
	rel->partial_pathlist = without_seqscans(rel->partial_pathlist);
	add_path(rel, &lh_scan_path(root, rel, rel->reltarget, 0)->path);
	if (!rel->consider_parallel || rel->lateral_relids != NULL)
		return;
	workers = choose_workers(rel);
	if (workers > 0)
		add_partial_path(rel, &lh_scan_path(root, rel, rel->reltarget, workers)->path);
}

static void
upper_hook(PlannerInfo *root, UpperRelationKind stage, RelOptInfo *input, RelOptInfo *output, void *extra)
{
	if (previous_upper != NULL)
		previous_upper(root, stage, input, output, extra);
	if (stage == UPPERREL_GROUP_AGG && lh_enable_vector_agg)
		lh_agg_paths(root, input, output);
}

/* ---- set-up ---- */

void
lh_exec_init(void)
{
	DefineCustomBoolVariable("lakehouse.enable_custom_scan",
							 "Scans of lakehouse tables read only the columns they need.",
							 "Off, they are plain sequential scans.", &lh_enable_custom_scan, true,
							 PGC_USERSET, GUC_EXPLAIN, NULL, NULL, NULL);
	DefineCustomBoolVariable("lakehouse.enable_pruning",
							 "Scans of lakehouse tables leave out row groups by their statistics.",
							 NULL, &lh_enable_pruning, true,
							 PGC_USERSET, GUC_EXPLAIN, NULL, NULL, NULL);
	DefineCustomBoolVariable("lakehouse.enable_vector_agg",
							 "Aggregates over whole lakehouse tables run on columns as the files have them.",
							 NULL, &lh_enable_vector_agg, true,
							 PGC_USERSET, GUC_EXPLAIN, NULL, NULL, NULL);
	RegisterCustomScanMethods(&lh_scan_methods);
	RegisterCustomScanMethods(&lh_agg_methods);
	previous_pathlist = set_rel_pathlist_hook;
	set_rel_pathlist_hook = pathlist_hook;
	previous_upper = create_upper_paths_hook;
	create_upper_paths_hook = upper_hook;
	lh_lookahead_init();
}
