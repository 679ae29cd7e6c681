/*
 * am_hooks.c
 *	  Ends of statements, transactions and tables.
 *
 * Statements that write files end them in ExecutorFinish, before AFTER
 * triggers look at the rows, and once more after it: data-modifying WITH
 * queries run to their end there.  Nesting is counted, so that a function
 * called for each row of an INSERT does not end the INSERT's file.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/plancat.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"
#include "utils/spccache.h"
#include "utils/syscache.h"

#include "exec/lh_exec.h"
#include "tableam/lh_tableam.h"
#include "tableam/lh_tableam_hooks_int.h"
#include "tableam/lh_tableam_int.h"

static get_relation_info_hook_type previous_relation_info = NULL;
static ExecutorStart_hook_type previous_start = NULL;
static ExecutorRun_hook_type previous_run = NULL;
static ExecutorFinish_hook_type previous_finish = NULL;
static object_access_hook_type previous_access = NULL;

/* ---- plans ---- */

/*
 * Does a bitmap scan prefetch whatever effective_io_concurrency says?  Where
 * reads_bitmaps_again() applies, that could not be stopped.
 */
static bool
tablespace_prefetches(Oid tablespace)
{
	int			concurrency = effective_io_concurrency;
	bool		prefetches;

	effective_io_concurrency = 0;
	prefetches = get_tablespace_io_concurrency(tablespace) > 0;
	effective_io_concurrency = concurrency;
	return LH_EXECUTOR_PREFETCHES && prefetches;
}

/*
 * BRIN indexes are accepted, because applications and extensions make them,
 * but left alone: their block ranges mean nothing here, where statistics of
 * row groups do their work.
 *
 * CREATE INDEX asks the planner for workers with a query that has no join
 * tree.  They would each list the files for themselves, while the publisher
 * moves rows.
 */
static void
relation_info_hook(PlannerInfo *root, Oid relid, bool inhparent, RelOptInfo *rel)
{
	ListCell   *lc;

	if (previous_relation_info != NULL)
		previous_relation_info(root, relid, inhparent, rel);
	if (lh_relation_am(relid) != lh_am_oid())
		return;
	foreach(lc, rel->indexlist)
		if (lfirst_node(IndexOptInfo, lc)->relam == BRIN_AM_OID)
			rel->indexlist = foreach_delete_current(rel->indexlist, lc);
	if (root->parse->jointree == NULL)
		rel->rel_parallel_workers = 0;
	if (root->query_level > 1 && tablespace_prefetches(rel->reltablespace))
		foreach(lc, rel->indexlist)
			lfirst_node(IndexOptInfo, lc)->amhasgetbitmap = false;
}

static bool
is_bitmap_scan_of_ours(PlanState *state)
{
	return IsA(state, BitmapHeapScanState) &&
		lh_relation_is_lakehouse(((BitmapHeapScanState *) state)->ss.ss_currentRelation);
}

/*
 * Up to version 17 the executor prefetches blocks of the main fork for a
 * bitmap scan, which are not there.
 */
static bool
prepare_plan(PlanState *state, void *context)
{
	lh_exec_want_columns(state);
	if (is_bitmap_scan_of_ours(state))
		lh_stop_bitmap_prefetch((BitmapHeapScanState *) state);
	if (IsA(state, ModifyTableState))
		lh_expect_updates((ModifyTableState *) state);
	return planstate_tree_walker(state, prepare_plan, context);
}

static void
start_hook(QueryDesc *query, int eflags)
{
	if (previous_start != NULL)
		previous_start(query, eflags);
	else
		standard_ExecutorStart(query, eflags);
	if (query->planstate != NULL)
		(void) prepare_plan(query->planstate, NULL);
}

static bool
has_bitmap_scan(PlanState *state, void *context)
{
	return is_bitmap_scan_of_ours(state) || planstate_tree_walker(state, has_bitmap_scan, context);
}

/*
 * For a row that somebody has changed meanwhile the executor makes a second
 * state of the plan while the statement runs (EvalPlanQual), where start_hook
 * is not asked.  Only correlated subqueries read tables there.  As long as
 * one that reads our bitmaps runs, nobody prefetches.
 */
static bool
reads_bitmaps_again(QueryDesc *query)
{
	ListCell   *lc;

	if (query->plannedstmt->rowMarks == NIL && query->plannedstmt->resultRelations == NIL)
		return false;
	foreach(lc, query->estate->es_subplanstates)
		if (lfirst(lc) != NULL && has_bitmap_scan(lfirst(lc), NULL))
			return true;
	return false;
}

/* ---- statements ---- */

static void
run_hook(QueryDesc *query, LH_RUN_PARAMS)
{
	int			depth = lh_statement_depth();
	int			concurrency = effective_io_concurrency;
	bool		to_end = lh_statement_set_runs_to_end(count == 0);

	lh_statement_set_depth(depth + 1);
	PG_TRY();
	{
		if (reads_bitmaps_again(query))
			effective_io_concurrency = 0;
		if (previous_run != NULL)
			previous_run(query, LH_RUN_ARGS);
		else
			standard_ExecutorRun(query, LH_RUN_ARGS);
	}
	PG_FINALLY();
	{
		/* unless a function has set it */
		if (effective_io_concurrency == 0)
			effective_io_concurrency = concurrency;
		lh_statement_set_depth(depth);
		(void) lh_statement_set_runs_to_end(to_end);
	}
	PG_END_TRY();
	lh_deltas_close(depth);
}

static void
finish_hook(QueryDesc *query)
{
	int			depth = lh_statement_depth();

	lh_statement_end_deeper(depth);
	lh_statement_set_depth(depth + 1);
	PG_TRY();
	{
		if (previous_finish != NULL)
			previous_finish(query);
		else
			standard_ExecutorFinish(query);
	}
	PG_FINALLY();
	{
		lh_statement_set_depth(depth);
	}
	PG_END_TRY();
	lh_deltas_close(depth);
	lh_statement_end_deeper(depth);
}

/* ---- transactions ---- */

static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			lh_statement_end_all();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			lh_statement_forget();
			lh_reader_forget_lent();
			lh_file_cache_end(true);
			lh_deltas_forget(InvalidSubTransactionId);
			lh_own_dead_forget(true);
			lh_own_lock_forget(InvalidSubTransactionId);
			lh_dead_rows_end(event == XACT_EVENT_COMMIT);
			lh_row_memory_forget();
			lh_marks_forget();
			break;
		default:
			break;
	}
}

static void
subxact_callback(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_COMMIT_SUB)
		lh_statement_subxact_end(subid, parent, true);
	else if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		lh_statement_subxact_end(subid, parent, false);
		lh_dirty_subxact_aborted();
		lh_deltas_forget(subid);
		lh_file_cache_end(false);
		lh_own_dead_forget(false);
		lh_dead_rows_end(false);
		lh_own_lock_forget(subid);
		lh_marks_forget();
	}
}

/* ---- dropped tables ---- */

/*
 * Leaves a note for the publisher to remove the table's objects.  The
 * transient relation of a rewrite ends with the table's old contents, which
 * older versions still need: it counts only when the table itself is no
 * longer ours.
 */
static void
note_drop(Oid relid)
{
	Relation	rel;
	LhIdentity	identity;
	LhTable    *table;
	LhOptions	options;

	if (lh_relation_am(relid) != lh_am_oid() || !lh_catalog_exists())
		return;
	rel = relation_open(relid, NoLock);
	if (lh_relation_is_lakehouse(rel) &&
		(!OidIsValid(rel->rd_rel->relrewrite) ||
		 lh_relation_am(rel->rd_rel->relrewrite) != lh_am_oid()))
	{
		lh_metapage_read(rel, &identity);
		table = lh_table_get(&identity.table_uuid, NULL);
		lh_options_of(rel, &options);
		lh_garbage_insert(&identity.table_uuid,
						  table != NULL ? table->location :
						  lh_table_location(rel, &options, &identity.table_uuid));
		lh_dirty_add(relid);
	}
	relation_close(rel, NoLock);
}

/*
 * The transient relation of a rewrite keeps the identity of its table.  Its
 * pg_class row is not visible yet, but its relcache entry is there.
 */
static void
note_creation(Oid relid)
{
	Relation	rel = RelationIdGetRelation(relid);

	if (rel == NULL)
		return;
	if (lh_relation_is_lakehouse(rel))
		lh_adopt_identity(rel);
	RelationClose(rel);
}

static void
access_hook(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void *arg)
{
	if (previous_access != NULL)
		previous_access(access, class_id, object_id, sub_id, arg);
	if (class_id != RelationRelationId || IsBinaryUpgrade)
		return;
	if (access == OAT_DROP && sub_id == 0)
		note_drop(object_id);
	else if (access == OAT_POST_CREATE && sub_id == 0)
		note_creation(object_id);
	else if (access == OAT_POST_ALTER)
	{
		Oid			relam = lh_relation_am(object_id);

		if (OidIsValid(relam) && relam == lh_am_oid())
			lh_dirty_add(object_id);
	}
	if (sub_id != 0)
		lh_attribute_changed(object_id);
}

void
lh_hooks_init(void)
{
	previous_relation_info = get_relation_info_hook;
	get_relation_info_hook = relation_info_hook;
	previous_start = ExecutorStart_hook;
	ExecutorStart_hook = start_hook;
	previous_run = ExecutorRun_hook;
	ExecutorRun_hook = run_hook;
	previous_finish = ExecutorFinish_hook;
	ExecutorFinish_hook = finish_hook;
	previous_access = object_access_hook;
	object_access_hook = access_hook;
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}

void
lh_tableam_init(void)
{
	lh_slot_ops_init();
	lh_gate_init();
	lh_utility_init();
	lh_hooks_init();
}
