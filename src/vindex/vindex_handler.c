/*
 * vindex_handler.c
 *	  What does not differ between the access methods: what they can do, cost,
 *	  opening an index by its number.
 */
#include "postgres.h"

#include "access/amapi.h"
#include "access/relation.h"
#include "commands/vacuum.h"
#include "fmgr.h"
#include "utils/float.h"
#include "utils/selfuncs.h"
#include "utils/spccache.h"

#include "vindex/vindex.h"

static bool
validate(Oid opclass)
{
	return true;
}

IndexAmRoutine *
lh_vindex_routine(int n_support_functions)
{
	IndexAmRoutine *am = makeNode(IndexAmRoutine);

	am->amsupport = n_support_functions;
	am->amcanorderbyop = true;
	am->amoptionalkey = true;
	am->amparallelvacuumoptions = VACUUM_OPTION_PARALLEL_BULKDEL;
	am->amkeytype = InvalidOid;
	am->amvalidate = validate;
	lh_am_can_build_parallel(am);
	return am;
}

/* Plans are chosen as pgvector's are. */
void
lh_vindex_estimate_cost(PlannerInfo *root, IndexPath *path, double loop_count, LhVindexShare share_of,
						double sequential, const LhVindexCost *cost)
{
	GenericCosts costs = {0};
	Relation	index;
	double		share,
				startup_pages,
				seq_page_cost,
				saving;

	/* one distance to order by, or none of our business */
	if (list_length(path->indexorderbys) != 1)
	{
		*cost->startup = *cost->total = get_float8_infinity();
		*cost->selectivity = *cost->correlation = *cost->pages = 0;
		lh_path_disable(&path->path);
		return;
	}
	genericcostestimate(root, path, loop_count, &costs);
	index = index_open(path->indexinfo->indexoid, NoLock);
	share = share_of(path->indexinfo, index);
	index_close(index, NoLock);

	get_tablespace_page_costs(path->indexinfo->reltablespace, NULL, &seq_page_cost);
	saving = costs.spc_random_page_cost - seq_page_cost;
	costs.indexTotalCost -= sequential * costs.numIndexPages * saving;
	costs.indexStartupCost = costs.indexTotalCost * share;

	/* a sequential scan does not count the pages of its TOAST table: be fair */
	startup_pages = costs.numIndexPages * share;
	if (startup_pages > path->indexinfo->rel->pages && share < 0.5)
	{
		costs.indexStartupCost -= (1 - sequential) * startup_pages * saving;
		costs.indexStartupCost -= (startup_pages - path->indexinfo->rel->pages) * seq_page_cost;
	}
	*cost->startup = costs.indexStartupCost;
	*cost->total = costs.indexTotalCost;
	*cost->selectivity = costs.indexSelectivity;
	*cost->correlation = costs.indexCorrelation;
	*cost->pages = costs.numIndexPages;
}

/*
 * What pgvector's operator classes name as the support function of a type.  We
 * know a type by its name and need nothing from it.
 */
LH_FUNCTION(lh_vindex_type_support);

Datum
lh_vindex_type_support(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(NULL);
}

Relation
lh_vindex_open(Oid oid, ambeginscan_function begin_scan, const char *method)
{
	Relation	index = relation_open(oid, AccessShareLock);

	if (index->rd_rel->relkind != RELKIND_INDEX || index->rd_indam->ambeginscan != begin_scan)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not an %s index of lakehouse", RelationGetRelationName(index), method)));
	if (RELATION_IS_OTHER_TEMP(index))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot read temporary indexes of other sessions")));
	return index;
}
