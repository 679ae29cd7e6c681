/*
 * nearest_path.c
 *	  Planner side of LakehouseNearest: which queries it answers, from which
 *	  scans, and what it costs.
 *
 * The query is one table, or the partitions of one, ordered by one distance,
 * with a LIMIT that nothing but the scan's own quals stands below of: so nobody
 * will ever ask the node for more than that many rows.
 */
#include "postgres.h"

#include <math.h>

#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/tlist.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/spccache.h"
#include "utils/syscache.h"

#include "hnsw/hnsw.h"
#include "nearest/nearest.h"
#include "nearest/nearest_int.h"
#include "types/pg_compat.h"

static bool enable_nearest = true;
static set_rel_pathlist_hook_type previous_pathlist = NULL;

/*
 * What a row of an index scan below a filter costs: links and codes around it,
 * and pages.  Of three it visits none may be beside another; where the exact
 * scan's pages are not, either, they are counted alike, else as pages in memory.
 */
#define INDEX_ROW_COST		(800 * cpu_operator_cost)
#define INDEX_ROW_PAGES		3
/* What fetching a value beside the table costs, and a distance. */
#define TOASTED_COST		(250 * cpu_operator_cost)
#define DISTANCE_COST		(20 * cpu_operator_cost)
/* A heap table's pages in memory, read in sequence, cost this share of what the planner thinks. */
#define PAGE_IN_MEMORY		0.125
/* And a filter that the node cannot compute by itself costs so much more for each row. */
#define EXECUTOR_COST		(10 * cpu_operator_cost)
/* Values longer than this stand beside the table: some pages of two more relations. */
#define TOASTED_BYTES		2000
/*
 * An index scan so much dearer than the exact one is not even tried, if a try
 * is no trifle: an exact scan by other indexes has statistics; conditions on
 * columns of a lakehouse table may have none.  Of the rows of a heap table the
 * node looks at some itself.
 */
#define HOPELESS			1.0
#define HOPELESS_IF_GUESSED	8.0

/* The limit that is expected where a parameter will tell. */
#define UNKNOWN_LIMIT		10

typedef struct Wanted
{
	OpExpr	   *distance;
	int			key_arg;		/* the argument that is the table's */
	double		limit;
	bool		limit_is_known;
	bool		parallel_safe;
} Wanted;

/* ---- which queries ---- */

/* Is it a distance between vectors, ours or pgvector's? */
bool
lh_is_distance(const OpExpr *op)
{
	static const char *const names[] = {"<->", "<#>", "<=>", "<+>", "<~>", "<%>"};
	static const char *const types[] = {"vector", "halfvec", "sparsevec", "bit"};
	char	   *name;
	HeapTuple	tuple;
	bool		known = false;

	if (op->opresulttype != FLOAT8OID || list_length(op->args) != 2)
		return false;
	name = get_opname(op->opno);
	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(exprType(linitial(op->args))));
	if (!HeapTupleIsValid(tuple))
		return false;
	for (int i = 0; i < lengthof(types); i++)
		known |= strcmp(NameStr(((Form_pg_type) GETSTRUCT(tuple))->typname), types[i]) == 0;
	ReleaseSysCache(tuple);
	if (!known || name == NULL)
		return false;
	for (int i = 0; i < lengthof(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* Is the query ordered by a distance between something of the table and something that stays the same? */
static bool
find_distance(PlannerInfo *root, RelOptInfo *rel, Wanted *wanted)
{
	PathKey    *key = linitial(root->query_pathkeys);
	EquivalenceMember *member;
	OpExpr	   *op;
	Relids		left,
				right;

	if (!lh_pathkey_ascends(key) || key->pk_nulls_first || key->pk_eclass->ec_has_volatile)
		return false;
	member = find_computable_ec_member(root, key->pk_eclass, rel->reltarget->exprs, rel->relids, false);
	if (member == NULL || !IsA(member->em_expr, OpExpr))
		return false;
	op = (OpExpr *) member->em_expr;
	if (!lh_is_distance(op) || contain_volatile_functions((Node *) op) || contain_subplans((Node *) op))
		return false;
	left = pull_varnos(root, linitial(op->args));
	right = pull_varnos(root, lsecond(op->args));
	wanted->distance = op;
	wanted->key_arg = bms_is_empty(left) ? 1 : 0;
	return bms_is_empty(left) != bms_is_empty(right);
}

static bool
is_known(Node *limit)
{
	return limit == NULL || (IsA(limit, Const) && !((Const *) limit)->constisnull);
}

/* Can the node itself find out what the LIMIT will be? */
static bool
is_stable(Node *limit)
{
	return !contain_volatile_functions(limit) && !contain_subplans(limit);
}

/* Does the LIMIT take the rows as the FROM clause makes them? */
static bool
is_plain_query(PlannerInfo *root)
{
	Query	   *query = root->parse;

	return query->commandType == CMD_SELECT && query->rowMarks == NIL && query->setOperations == NULL &&
		query->groupClause == NIL && query->groupingSets == NIL && query->distinctClause == NIL &&
		!query->hasAggs && !query->hasWindowFuncs && !query->hasTargetSRFs && !root->hasHavingQual &&
		query->limitOption == LIMIT_OPTION_COUNT && query->limitCount != NULL &&
		is_stable(query->limitCount) && is_stable(query->limitOffset) &&
		list_length(root->query_pathkeys) == 1 && !root->hasPseudoConstantQuals;
}

/* Is the table all of the FROM clause, or a partition of what is? */
static bool
is_plain_table(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte)
{
	Relids		all = rel->reloptkind == RELOPT_OTHER_MEMBER_REL ? rel->top_parent_relids : rel->relids;

	return (rel->reloptkind == RELOPT_BASEREL || rel->reloptkind == RELOPT_OTHER_MEMBER_REL) &&
		bms_equal(all, root->all_baserels) && bms_is_empty(rel->lateral_relids) && !IS_DUMMY_REL(rel) &&
		rte->rtekind == RTE_RELATION && !rte->inh && rte->tablesample == NULL &&
		(rte->relkind == RELKIND_RELATION || rte->relkind == RELKIND_MATVIEW);
}

/* LIMIT and OFFSET, where the planner knows them. */
static void
find_limit(PlannerInfo *root, Wanted *wanted)
{
	Query	   *query = root->parse;

	wanted->limit_is_known = is_known(query->limitCount) && is_known(query->limitOffset);
	wanted->limit = wanted->limit_is_known ? root->limit_tuples : UNKNOWN_LIMIT;
	wanted->parallel_safe = is_parallel_safe(root, query->limitCount) && is_parallel_safe(root, query->limitOffset);
}

static bool
only_columns(PathTarget *target)
{
	ListCell   *lc;

	foreach(lc, target->exprs)
		if (!IsA(lfirst(lc), Var))
			return false;
	return true;
}

static bool
is_wanted(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte, Wanted *wanted)
{
	if (!enable_nearest || !is_plain_query(root) || !is_plain_table(root, rel, rte) ||
		!only_columns(rel->reltarget) || !find_distance(root, rel, wanted))
		return false;
	find_limit(root, wanted);
	/* rows that do not fit memory are better sorted by the server */
	return wanted->limit >= 1 && wanted->limit * (rel->reltarget->width + 100) <= (double) work_mem * 1024;
}

/* ---- from which scans ---- */

/* Scans that make rows of all that the quals let through, in any order. */
static bool
is_plain_scan(Path *path)
{
	if (path->param_info != NULL)
		return false;
	switch (path->pathtype)
	{
		case T_SeqScan:
		case T_BitmapHeapScan:
		case T_TidScan:
		case T_TidRangeScan:
			return true;
		case T_IndexScan:
		case T_IndexOnlyScan:
			return ((IndexPath *) path)->indexorderbys == NIL;
		case T_CustomScan:
			return strcmp(((CustomPath *) path)->methods->CustomName, "LakehouseScan") == 0;
		default:
			return false;
	}
}

/* A path of our own: add_path() frees those that it thinks nobody needs any more. */
static Path *
copy_of(const Path *path)
{
	Size		size = sizeof(Path);
	Path	   *copy;

	if (IsA(path, IndexPath))
		size = sizeof(IndexPath);
	else if (IsA(path, BitmapHeapPath))
		size = sizeof(BitmapHeapPath);
	else if (IsA(path, TidPath))
		size = sizeof(TidPath);
	else if (IsA(path, TidRangePath))
		size = sizeof(TidRangePath);
	else if (IsA(path, CustomPath))
		size = sizeof(CustomPath);
	copy = palloc(size);
	memcpy(copy, path, size);
	return copy;
}

static Path *
cheapest_scan(List *paths)
{
	Path	   *best = NULL;
	ListCell   *lc;

	foreach(lc, paths)
	{
		Path	   *path = lfirst(lc);

		if (is_plain_scan(path) && (best == NULL || lh_path_is_cheaper(path, best)))
			best = path;
	}
	return best;
}

/* The scan of a vector index, if there is one; best of one that has the filter in its predicate. */
static IndexPath *
search_of(List *paths)
{
	IndexPath  *found = NULL;
	ListCell   *lc;

	foreach(lc, paths)
	{
		IndexPath  *path = lfirst(lc);

		if (IsA(path, IndexPath) && path->path.pathtype == T_IndexScan && path->path.param_info == NULL &&
			list_length(path->indexorderbys) == 1 && lh_hnsw_is_index(path->indexinfo) &&
			(found == NULL || list_length(path->indexinfo->indrestrictinfo) < list_length(found->indexinfo->indrestrictinfo)))
			found = path;
	}
	return found;
}

/* ---- costs ---- */

/*
 * What the choice of an index knows of the table.  Sorting pays for values
 * beside the table as well, and its estimate does not know.
 */
typedef struct Facts
{
	bool		is_heap;
	bool		is_toasted;
} Facts;

static Facts
facts_of(RangeTblEntry *rte, const Wanted *wanted)
{
	Node	   *key = list_nth(wanted->distance->args, wanted->key_arg);
	Relation	rel = table_open(rte->relid, NoLock);
	Facts		facts = {
		.is_heap = rel->rd_rel->relam == HEAP_TABLE_AM_OID,
		.is_toasted = OidIsValid(rel->rd_rel->reltoastrelid) &&
		get_typavgwidth(exprType(key), -1) < TOASTED_BYTES && exprTypmod(key) * (int) sizeof(float) > TOASTED_BYTES
	};

	table_close(rel, NoLock);
	return facts;
}

/* What the exact child's scan costs in memory. */
static Cost
scan_cost(const RelOptInfo *rel, const Path *scan, Facts facts)
{
	double		page_cost;

	if (scan->pathtype != T_SeqScan || !facts.is_heap)
		return scan->total_cost;
	get_tablespace_page_costs(rel->reltablespace, NULL, &page_cost);
	return scan->total_cost - rel->pages * page_cost * (1 - PAGE_IN_MEMORY);
}

/*
 * What a scan and a bounded sort would cost: to others the node shall look
 * hardly better than what it replaces, so that indexes are chosen where
 * pgvector's are.
 */
static Cost
exact_cost(const Wanted *wanted, const Path *scan)
{
	double		kept = Max(Min(2.0 * wanted->limit, scan->rows), 2);

	return scan->total_cost + scan->rows * 2 * cpu_operator_cost * log2(kept);
}

/* ---- paths and plans ---- */

/*
 * The children must make rows of the same columns, the compared one among
 * them.  Scans do so by themselves where all columns are asked for, and all of
 * them can be told to.
 */
static int
common_columns(const PathTarget *columns, const Wanted *wanted, List *children)
{
	Expr	   *key = list_nth(wanted->distance->args, wanted->key_arg);
	Plan	   *first = linitial(children);
	TargetEntry *found = tlist_member(key, first->targetlist);
	bool		same = true;
	List	   *tlist = NIL;
	ListCell   *lc;

	foreach(lc, children)
		same &= equal(((Plan *) lfirst(lc))->targetlist, first->targetlist);
	if (found && same)
		return found->resno;
	foreach(lc, columns->exprs)
		tlist = lappend(tlist, makeTargetEntry(copyObject(lfirst(lc)), list_length(tlist) + 1, NULL, false));
	found = tlist_member(key, tlist);
	if (found == NULL)
	{
		found = makeTargetEntry(copyObject(key), list_length(tlist) + 1, NULL, false);
		tlist = lappend(tlist, found);
	}
	foreach(lc, children)
		((Plan *) lfirst(lc))->targetlist = copyObject(tlist);
	return found->resno;
}

static Plan *
plan_nearest(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *tlist, List *clauses, List *children)
{
	CustomScan *scan = makeNode(CustomScan);
	Query	   *query = root->parse;
	Wanted		wanted = {linitial(path->custom_private), intVal(lsecond(path->custom_private))};
	int			key = common_columns(((Path *) linitial(path->custom_paths))->pathtarget, &wanted, children);

	scan->scan.plan.targetlist = tlist;
	scan->scan.scanrelid = rel->relid;
	scan->flags = path->flags;
	scan->custom_plans = children;
	scan->custom_exprs = list_make3(list_nth(wanted.distance->args, 1 - wanted.key_arg), query->limitCount,
									query->limitOffset ? query->limitOffset : (Node *) makeNullConst(INT8OID, -1, InvalidOid));
	scan->custom_scan_tlist = copyObject(((Plan *) linitial(children))->targetlist);
	scan->custom_scan_tlist = lappend(scan->custom_scan_tlist,
									  makeTargetEntry(copyObject((Expr *) wanted.distance),
													  list_length(scan->custom_scan_tlist) + 1, NULL, false));
	scan->custom_private = lcons(makeInteger(key), list_copy_tail(path->custom_private, 1));
	scan->methods = &lh_nearest_methods;
	return &scan->scan.plan;
}

static const CustomPathMethods path_methods = {
	.CustomName = "LakehouseNearest",
	.PlanCustomPath = plan_nearest,
};

static CustomPath *
nearest_path(PlannerInfo *root, RelOptInfo *rel, const Wanted *wanted, List *children, Cost cost, List *private)
{
	CustomPath *path = makeNode(CustomPath);
	Path	   *exact = llast(children);

	path->path.pathtype = T_CustomScan;
	path->path.parent = rel;
	path->path.pathtarget = rel->reltarget;
	path->path.parallel_safe = rel->consider_parallel && exact->parallel_safe && wanted->parallel_safe;
	path->path.parallel_workers = exact->parallel_workers;
	path->path.pathkeys = root->query_pathkeys;
	path->path.rows = Min(wanted->limit, exact->rows);
	path->path.startup_cost = cost;
	path->path.total_cost = cost + cpu_operator_cost * path->path.rows;
	path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
	path->custom_paths = children;
	path->custom_private = lcons(wanted->distance, lcons(makeInteger(wanted->key_arg), private));
	path->methods = &path_methods;
	return path;
}

/* With an exponent, or it would be an Integer when a parallel worker has read it. */
static Node *
number(double x)
{
	return (Node *) makeFloat(psprintf("%.9e", x));
}

static Path *
exact_path(PlannerInfo *root, RelOptInfo *rel, const Wanted *wanted, Path *scan)
{
	CustomPath *path = nearest_path(root, rel, wanted, list_make1(scan), exact_cost(wanted, scan),
									lappend(list_make5(makeBoolean(false), number(1), number(0), number(0), number(1)), number(0)));

	lh_path_inherit_disabled(&path->path, scan);
	return &path->path;
}

static Cost
index_row_cost(const Path *scan)
{
	bool		in_order = scan->pathtype == T_SeqScan || scan->pathtype == T_CustomScan;

	return INDEX_ROW_COST + (in_order ? Max(random_page_cost / 4, seq_page_cost) : INDEX_ROW_PAGES * random_page_cost);
}

/* Would it be a waste to try an index scan of this cost before the exact one, in rows of the index? */
static bool
is_waste(const Path *scan, double by_index, double exact)
{
	if (scan->pathtype == T_SeqScan || NEAREST_FIRST_ROW + NEAREST_SLICE < NEAREST_TRIAL * exact)
		return false;
	return by_index > (scan->pathtype == T_CustomScan ? HOPELESS_IF_GUESSED : HOPELESS) * exact;
}

/*
 * An index scan below a filter whose estimate may be wrong: it may give up and
 * let the exact child go on.  NULL if trying it would be a waste.
 */
static Path *
filtered_path(PlannerInfo *root, RelOptInfo *rel, RangeTblEntry *rte, const Wanted *wanted, IndexPath *search, Path *scan)
{
	double		tuples = Max(Min(search->indexinfo->tuples, rel->tuples), 1);
	double		passing = Min(rel->rows / tuples, 1);
	double		tries = Min(wanted->limit / Max(passing, 1e-9), tuples);
	Cost		row_cost = index_row_cost(scan);
	Cost		by_index = search->path.startup_cost + tries * row_cost;
	Facts		facts = facts_of(rte, wanted);
	Cost		distance = facts.is_toasted ? TOASTED_COST : DISTANCE_COST;
	Cost		all = scan_cost(rel, scan, facts);
	Cost		exact = all + scan->rows * distance;
	Cost		alone;
	bool		forbidden = lh_path_is_disabled(scan);
	CustomPath *path;

	if (!forbidden &&
		(lh_path_is_disabled(&search->path) || is_waste(scan, by_index / row_cost, exact / row_cost)))
		return NULL;
	/* to others it is no dearer than what it has in it: the index scan by itself, the exact scan */
	alone = search->path.startup_cost +
		(search->path.total_cost - search->path.startup_cost) * Min(wanted->limit / Max(rel->rows, 1), 1);
	path = nearest_path(root, rel, wanted, list_make2(search, scan), Min(alone, Min(by_index, exact_cost(wanted, scan))),
						lappend(list_make5(makeBoolean(true), number(passing),
										   number(forbidden ? 1e18 : all / row_cost),
										   number(tuples * distance / row_cost), number(tuples / Max(rel->tuples, 1))),
								number(rel->tuples * EXECUTOR_COST / row_cost)));
	path->path.parallel_safe &= search->path.parallel_safe;
	path->path.parallel_workers = 0;
	lh_path_inherit_disabled(&path->path, &search->path);
	return &path->path;
}

static void
pathlist_hook(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte)
{
	Wanted		wanted;
	IndexPath  *search;
	Path	   *scan,
			   *partial,
			   *filtered = NULL;

	if (previous_pathlist != NULL)
		previous_pathlist(root, rel, rti, rte);
	if (!is_wanted(root, rel, rte, &wanted))
		return;
	/* an index scan may have driven out all others */
	scan = cheapest_scan(rel->pathlist);
	scan = scan ? copy_of(scan) : create_seqscan_path(root, rel, NULL, 0);
	partial = rel->consider_parallel && wanted.parallel_safe ? cheapest_scan(rel->partial_pathlist) : NULL;
	search = search_of(rel->pathlist);
	if (search && search->indexinfo->indrestrictinfo != NIL && lh_hnsw_fills_limit())
	{
		/* by itself it would go on to its end, whatever that costs */
		filtered = filtered_path(root, rel, rte, &wanted, search, scan);
		rel->pathlist = list_delete_ptr(rel->pathlist, search);
	}
	if (filtered)
	{
		add_path(rel, filtered);
		return;
	}
	/* left to the server, which mostly plans it anew with the LIMIT known */
	if (search && !wanted.limit_is_known && search->indexinfo->indrestrictinfo == NIL)
		return;
	add_path(rel, exact_path(root, rel, &wanted, scan));
	if (partial)
		add_partial_path(rel, exact_path(root, rel, &wanted, copy_of(partial)));
}

void
lh_nearest_init(void)
{
	DefineCustomBoolVariable("lakehouse.enable_nearest",
							 "Answers ORDER BY distance LIMIT by a scan that keeps the nearest rows.",
							 "Off, rows are sorted, and index scans below a filter do not change their mind.",
							 &enable_nearest, true, PGC_USERSET, GUC_EXPLAIN, NULL, NULL, NULL);
	RegisterCustomScanMethods(&lh_nearest_methods);
	lh_nearest_junk_init();
	previous_pathlist = set_rel_pathlist_hook;
	set_rel_pathlist_hook = pathlist_hook;
}
