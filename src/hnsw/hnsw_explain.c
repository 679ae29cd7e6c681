/*
 * hnsw_explain.c
 *	  EXPLAIN (ANALYZE) shows what scans of vector indexes have done.
 *
 * An access method cannot add to its node's lines.  But EXPLAIN ends the query
 * that it has run before it closes its own output, so there, behind the plan,
 * each scan of one of our indexes gets a line, or a group in other formats.
 * EXPLAIN EXECUTE shows nobody its state: there the lines are collected, and
 * sent when it closes its output, if that is text.  Nodes of our own show their
 * scans themselves.
 */
#include "postgres.h"

#include "access/relscan.h"
#include "executor/execdesc.h"
#include "executor/executor.h"
#include "commands/defrem.h"
#include "nodes/nodeFuncs.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/builtins.h"

#include "hnsw/hnsw.h"
#include "hnsw/hnsw_int.h"
#include "types/pg_compat.h"

#include LH_EXPLAIN_HEADER
#include LH_EXPLAIN_HOOK_HEADER
#include LH_EXPLAIN_STATE_HEADER

static ExplainOneQuery_hook_type next_explain;
static ExecutorEnd_hook_type next_end;
static ProcessUtility_hook_type next_utility;

/*
 * The EXPLAIN that is at work, or what EXPLAIN EXECUTE will be told, and the
 * query that was running when it began.
 */
static ExplainState *explaining;
static QueryDesc *running_then;

/* ---- output ---- */

/* In text a line, indented as the lines around it. */
static void
show(const char *index, const HnswCounters *c, ExplainState *es)
{
	if (es->format == EXPLAIN_FORMAT_TEXT)
	{
		appendStringInfoSpaces(es->str, es->indent * 2);
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

void
lh_hnsw_explain_scan(IndexScanDesc scan, ExplainState *es)
{
	HnswCounters *counters = hnsw_scan_counters(scan);

	show(RelationGetRelationName(scan->indexRelation), counters, es);
	counters->shown = true;
}

/* The scan that the node is, if it is to be shown here. */
static IndexScanDesc
scan_of(PlanState *node)
{
	IndexScanState *scan = (IndexScanState *) node;

	if (!IsA(node, IndexScanState) || scan->iss_ScanDesc == NULL || !hnsw_is_ours(scan->iss_RelationDesc) ||
		hnsw_scan_counters(scan->iss_ScanDesc)->shown)
		return NULL;
	return scan->iss_ScanDesc;
}

static bool
show_scans(PlanState *node, void *context)
{
	IndexScanDesc scan = scan_of(node);

	if (scan)
		show(RelationGetRelationName(scan->indexRelation), hnsw_scan_counters(scan), context);
	return planstate_tree_walker(node, show_scans, context);
}

static bool
has_scans(PlanState *node, void *context)
{
	return scan_of(node) || planstate_tree_walker(node, has_scans, context);
}

/* ---- EXPLAIN EXECUTE ---- */

/* A receiver that passes on what it gets, and at the end what was collected. */
typedef struct Appending
{
	DestReceiver pub;
	DestReceiver *dest;
	TupleDesc	desc;
	ExplainState *collected;
} Appending;

static void
append_startup(DestReceiver *self, int operation, TupleDesc desc)
{
	Appending  *a = (Appending *) self;

	a->desc = desc;
	a->dest->rStartup(a->dest, operation, desc);
}

static bool
append_receive(TupleTableSlot *slot, DestReceiver *self)
{
	Appending  *a = (Appending *) self;

	return a->dest->receiveSlot(slot, a->dest);
}

static void
append_shutdown(DestReceiver *self)
{
	Appending  *a = (Appending *) self;
	TupleTableSlot *slot = MakeSingleTupleTableSlot(a->desc, &TTSOpsVirtual);
	char	   *rest = a->collected->str->data;

	for (char *line = strsep(&rest, "\n"); line && *line; line = strsep(&rest, "\n"))
	{
		slot->tts_values[0] = CStringGetTextDatum(line);
		slot->tts_isnull[0] = false;
		ExecStoreVirtualTuple(slot);
		(void) a->dest->receiveSlot(slot, a->dest);
		ExecClearTuple(slot);
	}
	ExecDropSingleTupleTableSlot(slot);
	a->dest->rShutdown(a->dest);
}

static void
append_destroy(DestReceiver *self)
{
}

/* Does it explain a prepared statement, as text? */
static bool
explains_execute(Node *statement)
{
	ExplainStmt *stmt = (ExplainStmt *) statement;
	Query	   *query = IsA(stmt, ExplainStmt) ? (Query *) stmt->query : NULL;
	bool		text = true;
	ListCell   *lc;

	if (query == NULL || !IsA(query, Query) || query->commandType != CMD_UTILITY || !IsA(query->utilityStmt, ExecuteStmt))
		return false;
	foreach(lc, stmt->options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		if (strcmp(option->defname, "format") == 0)
			text = pg_strcasecmp(defGetString(option), "text") == 0;
	}
	return text;
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

/* Until the call of it is over, `es` is told what ended queries have done. */
#define WHILE_EXPLAINING(es, call) \
	do { \
		ExplainState *outer_ = explaining; \
		QueryDesc  *outer_running_ = running_then; \
		explaining = (es); \
		running_then = hnsw_running_query(); \
		PG_TRY(); \
		{ \
			call; \
		} \
		PG_FINALLY(); \
		{ \
			explaining = outer_; \
			running_then = outer_running_; \
		} \
		PG_END_TRY(); \
	} while (0)

static void
explain_query(Query *query, int options, IntoClause *into, ExplainState *es, const char *text,
			  ParamListInfo params, QueryEnvironment *env)
{
	if (next_explain)
		WHILE_EXPLAINING(es, next_explain(query, options, into, es, text, params, env));
	else
		WHILE_EXPLAINING(es, lh_explain_one_query(query, options, into, es, text, params, env));
}

static void
utility(PlannedStmt *stmt, const char *text, bool read_only, ProcessUtilityContext context, ParamListInfo params,
		QueryEnvironment *env, DestReceiver *dest, QueryCompletion *completion)
{
	ProcessUtility_hook_type next = next_utility ? next_utility : standard_ProcessUtility;
	Appending	appending = {{append_receive, append_startup, append_shutdown, append_destroy, DestNone}, dest};

	if (!explains_execute(stmt->utilityStmt))
	{
		next(stmt, text, read_only, context, params, env, dest, completion);
		return;
	}
	appending.pub.mydest = dest->mydest;
	appending.collected = NewExplainState();
	appending.collected->analyze = true;	/* shows nothing of what was not run */
	WHILE_EXPLAINING(appending.collected,
					 next(stmt, text, read_only, context, params, env, &appending.pub, completion));
}

void
hnsw_explain_init(void)
{
	next_explain = ExplainOneQuery_hook;
	ExplainOneQuery_hook = explain_query;
	next_end = ExecutorEnd_hook;
	ExecutorEnd_hook = end_query;
	next_utility = ProcessUtility_hook;
	ProcessUtility_hook = utility;
}
