/*
 * hnsw_filter.c
 *	  Will rows of an index scan be thrown away above it?  Then the scan must
 *	  not end with its candidates: with LIMIT 10, ten rows that pass the filter
 *	  are wanted.
 *
 * The access method is not told by whom it is asked.  So we remember which
 * query runs, and look in its plan for the scan that is about to begin.
 */
#include "postgres.h"

#include "executor/execdesc.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"

#include "hnsw/hnsw.h"
#include "hnsw/hnsw_int.h"
#include "types/pg_compat.h"

bool		hnsw_fill_limit = true;

static ExecutorRun_hook_type next_run;
static QueryDesc *running;

static void
run(QueryDesc *query, LH_RUN_PARAMS)
{
	QueryDesc  *outer = running;

	running = query;
	PG_TRY();
	{
		if (next_run)
			next_run(query, LH_RUN_ARGS);
		else
			standard_ExecutorRun(query, LH_RUN_ARGS);
	}
	PG_FINALLY();
	{
		running = outer;
	}
	PG_END_TRY();
}

QueryDesc *
hnsw_running_query(void)
{
	return running;
}

void
hnsw_filter_init(void)
{
	next_run = ExecutorRun_hook;
	ExecutorRun_hook = run;
}

typedef struct Search
{
	Oid			index;
	bool		limited;		/* below a LIMIT */
	bool		dropping;		/* below something that may drop rows */
	bool		found;
} Search;

static bool
drops_rows(PlanState *node)
{
	switch (nodeTag(node))
	{
		case T_NestLoopState:
		case T_HashJoinState:
		case T_MergeJoinState:
		case T_LockRowsState:
		case T_UniqueState:
		case T_GroupState:
		case T_AggState:
		case T_SetOpState:
		case T_ProjectSetState:
			return true;
		default:
			return node->qual != NULL;
	}
}

static bool
look_for_scan(PlanState *node, void *context)
{
	Search	   *search = context;
	Search		below = *search;

	if (node == NULL)
		return false;
	if (IsA(node, IndexScanState))
	{
		IndexScanState *scan = (IndexScanState *) node;

		if (scan->iss_ScanDesc == NULL && scan->iss_RelationDesc &&
			RelationGetRelid(scan->iss_RelationDesc) == search->index &&
			search->limited && (search->dropping || node->qual != NULL))
			search->found = true;
		return search->found;
	}
	below.limited |= IsA(node, LimitState);
	below.dropping = IsA(node, LimitState) ? false : search->dropping || drops_rows(node);
	search->found = planstate_tree_walker(node, look_for_scan, &below);
	return search->found;
}

/* Does a LIMIT wait for rows of this index that are filtered above the scan? */
bool
lh_hnsw_is_filtered(Relation index)
{
	Search		search = {RelationGetRelid(index), false, false, false};

	return hnsw_fill_limit && running && running->planstate && look_for_scan(running->planstate, &search);
}
