/*
 * exec_columns.c
 *	  Columns that core's own scans of a lakehouse table look at.
 *
 * Core asks a slot for all columns up to the last it needs: of a row in a
 * file, each is a page to read and to decompress.  What the node's expressions
 * name, its slot is told when the executor starts.  EvalPlanQual's nodes have
 * slots of their own, which are told nothing and read all.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_am.h"
#include "nodes/execnodes.h"
#include "optimizer/optimizer.h"
#include "utils/rel.h"

#include "catalog/lh_catalog.h"
#include "exec/lh_exec.h"
#include "storage/lh_storage.h"

/*
 * Expressions beside target list and quals that a node may evaluate on its
 * slot.  Those of an index are rechecked where the index may be wrong, which
 * a btree never is.
 */
static bool
other_expressions(PlanState *state, List **exprs)
{
	Plan	   *plan = state->plan;

	*exprs = NIL;
	switch (nodeTag(state))
	{
		case T_IndexScanState:
			if (((IndexScanState *) state)->iss_RelationDesc == NULL)
				return false;
			if (((IndexScanState *) state)->iss_RelationDesc->rd_rel->relam != BTREE_AM_OID)
				*exprs = list_concat_copy(((IndexScan *) plan)->indexqualorig,
										  ((IndexScan *) plan)->indexorderbyorig);
			return true;
		case T_BitmapHeapScanState:
			*exprs = ((BitmapHeapScan *) plan)->bitmapqualorig;
			return true;
		case T_TidScanState:
			*exprs = ((TidScan *) plan)->tidquals;
			return true;
		case T_TidRangeScanState:
			*exprs = ((TidRangeScan *) plan)->tidrangequals;
			return true;
		case T_SeqScanState:
		case T_SampleScanState:
			return true;
		default:
			return false;
	}
}

void
lh_exec_want_columns(PlanState *state)
{
	TupleTableSlot *slot;
	Index		relid;
	List	   *others;
	Bitmapset  *attrs = NULL;
	bool	   *wanted;
	int			natts;

	if (!other_expressions(state, &others))
		return;
	slot = ((ScanState *) state)->ss_ScanTupleSlot;
	if (slot == NULL || !lh_slot_is_ours(slot))
		return;
	relid = ((Scan *) state->plan)->scanrelid;
	pull_varattnos((Node *) state->plan->targetlist, relid, &attrs);
	pull_varattnos((Node *) state->plan->qual, relid, &attrs);
	pull_varattnos((Node *) others, relid, &attrs);
	if (bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, attrs))
		return;
	natts = slot->tts_tupleDescriptor->natts;
	wanted = MemoryContextAllocZero(state->state->es_query_cxt, sizeof(bool) * natts);
	for (int i = 0; i < natts; i++)
		wanted[i] = bms_is_member(i + 1 - FirstLowInvalidHeapAttributeNumber, attrs);
	lh_slot_want(slot, wanted);
	bms_free(attrs);
}
