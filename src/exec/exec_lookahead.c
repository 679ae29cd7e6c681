/*
 * exec_lookahead.c
 *	  LakehouseLookahead: what a DELETE is about to delete, as many rows ahead as
 *	  work_mem has room for.  It stands between ModifyTable and the plan that finds the rows, and
 *	  announces them to the storage before ModifyTable gets the first of them, so
 *	  that rows of one block can be deleted together (storage/bulk_delete.c).
 *
 * Announced rows must all be deleted, and nobody may look at the table with a
 * newer command id before that.  So the plan gets this node only if no code of
 * users runs between two deletions: no row triggers but AFTER ones, which are
 * queued, no volatile functions anywhere in the statement, no other statement
 * within it.  Where the executor may be told to stop after some rows, and in
 * EvalPlanQual, the node hands rows through.
 */
#include "postgres.h"

#include "access/table.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/planner.h"
#include "parser/parsetree.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "exec/exec_int.h"

/*
 * Memory for a row ahead: where it is, and its share of what storage remembers
 * of blocks.  The more rows, the less it matters in which order they come.
 */
#define ROW_MEMORY		64
#define FIRST_ROWS		1024
#define MAX_ROWS		(1024 * 1024)

static planner_hook_type next_planner = NULL;
static const CustomScanMethods lookahead_methods;

/* ---- planning ---- */

/* Does the statement run code of users for each row that it deletes here? */
static bool
has_row_code(Oid relid)
{
	Relation	rel = table_open(relid, NoLock);	/* the planner has locked it */
	TriggerDesc *triggers = rel->trigdesc;
	bool		found = rel->rd_rel->relkind == RELKIND_FOREIGN_TABLE;

	if (triggers != NULL)
	{
		found |= triggers->trig_delete_before_row || triggers->trig_delete_instead_row;
		for (int i = 0; i < triggers->numtriggers; i++)
			if (triggers->triggers[i].tgqual != NULL)
				found |= contain_volatile_functions(stringToNode(triggers->triggers[i].tgqual));
	}
	table_close(rel, NoLock);
	return found;
}

/* Result relations that are ours; NIL also if rows should not be announced. */
static List *
find_tables(const PlannedStmt *stmt, const ModifyTable *modify)
{
	List	   *tables = NIL;
	ListCell   *lc;

	foreach(lc, modify->resultRelations)
	{
		Oid			relid = rt_fetch(lfirst_int(lc), stmt->rtable)->relid;

		if (lh_relation_am(relid) == lh_am_oid())
			tables = lappend_oid(tables, relid);
	}
	foreach(lc, modify->resultRelations)
		if (tables != NIL && has_row_code(rt_fetch(lfirst_int(lc), stmt->rtable)->relid))
			return NIL;
	return tables;
}

/* Columns are the child's, one for one. */
static Plan *
make_lookahead(Plan *child, List *tables)
{
	CustomScan *scan = makeNode(CustomScan);
	Plan	   *plan = &scan->scan.plan;
	ListCell   *lc;

	foreach(lc, child->targetlist)
	{
		TargetEntry *column = lfirst_node(TargetEntry, lc);
		TargetEntry *seen = flatCopyTargetEntry(column);
		TargetEntry *given = flatCopyTargetEntry(column);

		given->expr = (Expr *) makeVarFromTargetEntry(OUTER_VAR, column);
		seen->expr = (Expr *) makeVarFromTargetEntry(INDEX_VAR, column);
		scan->custom_scan_tlist = lappend(scan->custom_scan_tlist, given);
		plan->targetlist = lappend(plan->targetlist, seen);
	}
	plan->startup_cost = child->startup_cost;
	plan->total_cost = child->total_cost;
	plan->plan_rows = child->plan_rows;
	plan->plan_width = child->plan_width;
	plan->plan_node_id = -1;	/* no worker ever runs it */
	plan->extParam = bms_copy(child->extParam);
	plan->allParam = bms_copy(child->allParam);
	plan->lefttree = child;
	scan->custom_private = tables;
	scan->methods = &lookahead_methods;
	return plan;
}

static PlannedStmt *
plan_query(Query *query, const char *text, int options, ParamListInfo params)
{
	bool		possible = lh_preloaded && query->commandType == CMD_DELETE && !contain_volatile_functions((Node *) query);
	PlannedStmt *stmt = next_planner != NULL ? next_planner(query, text, options, params) :
		standard_planner(query, text, options, params);
	ModifyTable *modify = (ModifyTable *) stmt->planTree;
	List	   *tables;

	if (!possible || !IsA(modify, ModifyTable) || stmt->hasModifyingCTE ||
		outerPlan(modify)->plan_rows < lh_bulk_delete_rows)
		return stmt;
	tables = find_tables(stmt, modify);
	if (tables != NIL)
		outerPlan(modify) = make_lookahead(outerPlan(modify), tables);
	return stmt;
}

/* ---- the node ---- */

typedef struct LookaheadState
{
	CustomScanState css;
	List	   *tables;			/* rows of these are announced */
	AttrNumber	ctid;
	AttrNumber	tableoid;		/* 0: there is only one table */
	bool		tids_only;		/* the columns are no others than these */
	bool		begun;
	bool		hands_through;

	/* the rows ahead, in their order */
	MemoryContext batch;		/* of tuples, and of the announcement */
	int			n;
	int			next;
	int			max;
	ItemPointerData *tids;		/* if tids_only, */
	Oid		   *relids;
	MinimalTuple *tuples;		/* or else */
	TupleTableSlot *slot;		/* for one of them */
	bool		ended;			/* the child has no more */

	/* those of them that are announced */
	int			n_ours;
	LhRowAhead *ours;
	Oid			relid;			/* of the row before, */
	bool		is_ours;		/* and whether that is a table of ours */
} LookaheadState;

static void
begin_lookahead(CustomScanState *css, EState *estate, int eflags)
{
	LookaheadState *state = (LookaheadState *) css;
	Plan	   *plan = css->ss.ps.plan;

	outerPlanState(css) = ExecInitNode(outerPlan(plan), estate, eflags);
	/* what is handed through is as the child has it */
	css->ss.ps.resultopsfixed = false;
	state->tables = ((CustomScan *) plan)->custom_private;
	state->ctid = ExecFindJunkAttributeInTlist(plan->targetlist, "ctid");
	state->tableoid = ExecFindJunkAttributeInTlist(plan->targetlist, "tableoid");
	state->tids_only = list_length(plan->targetlist) == (AttributeNumberIsValid(state->tableoid) ? 2 : 1);
	state->hands_through = estate->es_epq_active != NULL || !AttributeNumberIsValid(state->ctid);
}

static void
begin_batches(LookaheadState *state)
{
	EState	   *estate = state->css.ss.ps.state;

	state->begun = true;
	state->hands_through |= !lh_statement_runs_to_end();
	if (state->hands_through)
		return;
	state->batch = AllocSetContextCreate(estate->es_query_cxt, "lakehouse lookahead", ALLOCSET_DEFAULT_SIZES);
	state->slot = ExecInitExtraTupleSlot(estate, state->css.ss.ps.ps_ResultTupleDesc,
										 state->tids_only ? &TTSOpsVirtual : &TTSOpsMinimalTuple);
}

static Datum
junk_of(TupleTableSlot *slot, AttrNumber attnum)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, attnum, &isnull);

	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("row to be deleted has no address")));
	return value;
}

static void *
grown(LookaheadState *state, void *array, Size size)
{
	return array != NULL ? repalloc(array, size * state->max) :
		MemoryContextAlloc(state->css.ss.ps.state->es_query_cxt, size * state->max);
}

/* The arrays stay from batch to batch. */
static void
make_room(LookaheadState *state)
{
	if (state->n < state->max)
		return;
	state->max = Max(FIRST_ROWS, state->max * 2);
	state->ours = grown(state, state->ours, sizeof(LhRowAhead));
	if (state->tids_only)
	{
		state->tids = grown(state, state->tids, sizeof(ItemPointerData));
		state->relids = grown(state, state->relids, sizeof(Oid));
	}
	else
		state->tuples = grown(state, state->tuples, sizeof(MinimalTuple));
}

static bool
has_room(LookaheadState *state)
{
	Size		used = (Size) state->n * ROW_MEMORY;

	if (!state->tids_only)
		used += MemoryContextMemAllocated(state->batch, false);
	return used < work_mem * (Size) 1024 && state->n < MAX_ROWS;
}

static void
add_row(LookaheadState *state, TupleTableSlot *slot)
{
	ItemPointer tid = (ItemPointer) DatumGetPointer(junk_of(slot, state->ctid));
	Oid			relid = AttributeNumberIsValid(state->tableoid) ?
		DatumGetObjectId(junk_of(slot, state->tableoid)) : linitial_oid(state->tables);

	make_room(state);
	if (relid != state->relid)
	{
		state->relid = relid;
		state->is_ours = list_member_oid(state->tables, relid);
	}
	if (state->is_ours)
		state->ours[state->n_ours++] = (LhRowAhead) {relid, lh_tid_to_row_id(tid)};
	if (state->tids_only)
	{
		state->tids[state->n] = *tid;
		state->relids[state->n] = relid;
	}
	else
	{
		MemoryContext old = MemoryContextSwitchTo(state->batch);

		state->tuples[state->n] = ExecCopySlotMinimalTuple(slot);
		MemoryContextSwitchTo(old);
	}
	state->n++;
}

static void
fill_batch(LookaheadState *state)
{
	if (!state->tids_only)
		ExecClearTuple(state->slot);
	MemoryContextReset(state->batch);
	state->n = state->next = state->n_ours = 0;
	while (!state->ended && has_room(state))
	{
		TupleTableSlot *slot = ExecProcNode(outerPlanState(state));

		if (TupIsNull(slot))
			state->ended = true;
		else
			add_row(state, slot);
	}
	if (state->n_ours >= lh_bulk_delete_rows)
		lh_bulk_announce(state->batch, state->css.ss.ps.state->es_output_cid, state->ours, state->n_ours);
}

static TupleTableSlot *
exec_lookahead(CustomScanState *css)
{
	LookaheadState *state = (LookaheadState *) css;
	TupleTableSlot *slot;
	int			i;

	if (!state->begun)
		begin_batches(state);
	if (state->hands_through)
		return ExecProcNode(outerPlanState(css));
	if (state->next == state->n)
		fill_batch(state);
	if (state->n == 0)
		return NULL;
	i = state->next++;
	if (!state->tids_only)
		return ExecStoreMinimalTuple(state->tuples[i], state->slot, false);
	slot = ExecClearTuple(state->slot);
	slot->tts_values[state->ctid - 1] = PointerGetDatum(&state->tids[i]);
	slot->tts_isnull[state->ctid - 1] = false;
	if (AttributeNumberIsValid(state->tableoid))
	{
		slot->tts_values[state->tableoid - 1] = ObjectIdGetDatum(state->relids[i]);
		slot->tts_isnull[state->tableoid - 1] = false;
	}
	return ExecStoreVirtualTuple(slot);
}

static void
end_lookahead(CustomScanState *css)
{
	LookaheadState *state = (LookaheadState *) css;

	if (state->batch != NULL)
		MemoryContextDelete(state->batch);
	ExecEndNode(outerPlanState(css));
}

/* Only EvalPlanQual begins again, and there rows are handed through. */
static void
rescan_lookahead(CustomScanState *css)
{
	if (outerPlanState(css)->chgParam == NULL)
		ExecReScan(outerPlanState(css));
}

static const CustomExecMethods exec_methods = {
	.CustomName = "LakehouseLookahead",
	.BeginCustomScan = begin_lookahead,
	.ExecCustomScan = exec_lookahead,
	.EndCustomScan = end_lookahead,
	.ReScanCustomScan = rescan_lookahead,
};

static Node *
create_state(CustomScan *plan)
{
	LookaheadState *state = palloc0(sizeof(LookaheadState));

	NodeSetTag(state, T_CustomScanState);
	state->css.methods = &exec_methods;
	return (Node *) state;
}

static const CustomScanMethods lookahead_methods = {"LakehouseLookahead", create_state};

void
lh_lookahead_init(void)
{
	DefineCustomIntVariable("lakehouse.bulk_delete_rows",
							"Rows of a block of 1024 that a DELETE deletes together if there are so many.",
							"Fewer are deleted one by one.", &lh_bulk_delete_rows, 8, 2, 1025,
							PGC_USERSET, GUC_EXPLAIN, NULL, NULL, NULL);
	RegisterCustomScanMethods(&lookahead_methods);
	next_planner = planner_hook;
	planner_hook = plan_query;
}
