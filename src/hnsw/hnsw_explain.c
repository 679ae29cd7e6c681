/*
 * hnsw_explain.c
 *	  EXPLAIN (ANALYZE) shows what scans of vector indexes have done.
 *
 * An access method cannot add to its node's lines.  But EXPLAIN ends the query
 * that it has run before it closes its own output, so there, behind the plan,
 * each scan of one of our indexes gets a line, or a group in other formats.
 */
#include "postgres.h"

#include "access/relscan.h"
#include "executor/execdesc.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "tcop/tcopprot.h"

#include "hnsw/hnsw.h"
#include "hnsw/hnsw_int.h"
#include "types/pg_compat.h"

#include LH_EXPLAIN_HEADER
#include LH_EXPLAIN_HOOK_HEADER
#include LH_EXPLAIN_STATE_HEADER

static ExplainOneQuery_hook_type next_explain;
static ExecutorEnd_hook_type next_end;

/* The EXPLAIN that is at work, and the query that was running when it began. */
static ExplainState *explaining;
static QueryDesc *running_then;

/* ---- output ---- */

static void
show(const char *index, const HnswCounters *c, ExplainState *es)
{
	if (es->format == EXPLAIN_FORMAT_TEXT)
	{
		appendStringInfo(es->str, "Vector Index %s: hops=" INT64_FORMAT " scored=" INT64_FORMAT
						 " reranked=" INT64_FORMAT " pages=" INT64_FORMAT "\n",
						 index, c->hops, c->scored, c->reranked, c->hops + c->scored + c->pages);
		return;
	}
	ExplainOpenGroup("Vector Index", NULL, true, es);
	ExplainPropertyText("Index Name", index, es);
	ExplainPropertyInteger("Hops", NULL, c->hops, es);
	ExplainPropertyInteger("Codes Scored", NULL, c->scored, es);
	ExplainPropertyInteger("Reranked", NULL, c->reranked, es);
	ExplainPropertyInteger("Pages", NULL, c->hops + c->scored + c->pages, es);
	ExplainCloseGroup("Vector Index", NULL, true, es);
}

static bool
show_scans(PlanState *node, void *context)
{
	IndexScanState *scan = (IndexScanState *) node;

	if (IsA(node, IndexScanState) && scan->iss_ScanDesc && hnsw_is_ours(scan->iss_RelationDesc))
		show(RelationGetRelationName(scan->iss_RelationDesc), hnsw_scan_counters(scan->iss_ScanDesc), context);
	return planstate_tree_walker(node, show_scans, context);
}

static bool
has_scans(PlanState *node, void *context)
{
	IndexScanState *scan = (IndexScanState *) node;

	return (IsA(node, IndexScanState) && scan->iss_ScanDesc && hnsw_is_ours(scan->iss_RelationDesc)) ||
		planstate_tree_walker(node, has_scans, context);
}

/* ---- hooks ---- */

static void
end_query(QueryDesc *query)
{
	ExplainState *es = explaining;

	if (es && es->analyze && query->instrument_options != 0 && query->planstate &&
		hnsw_running_query() == running_then && has_scans(query->planstate, NULL))
	{
		ExplainOpenGroup("Vector Indexes", "Vector Indexes", false, es);
		show_scans(query->planstate, es);
		ExplainCloseGroup("Vector Indexes", "Vector Indexes", false, es);
	}
	if (next_end)
		next_end(query);
	else
		standard_ExecutorEnd(query);
}

static void
explain_query(Query *query, int options, IntoClause *into, ExplainState *es, const char *text,
			  ParamListInfo params, QueryEnvironment *env)
{
	ExplainState *outer = explaining;
	QueryDesc  *outer_running = running_then;

	explaining = es;
	running_then = hnsw_running_query();
	PG_TRY();
	{
		if (next_explain)
			next_explain(query, options, into, es, text, params, env);
		else
			lh_explain_one_query(query, options, into, es, text, params, env);
	}
	PG_FINALLY();
	{
		explaining = outer;
		running_then = outer_running;
	}
	PG_END_TRY();
}

void
hnsw_explain_init(void)
{
	next_explain = ExplainOneQuery_hook;
	ExplainOneQuery_hook = explain_query;
	next_end = ExecutorEnd_hook;
	ExecutorEnd_hook = end_query;
}
