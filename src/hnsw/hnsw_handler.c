/*
 * hnsw_handler.c
 *	  The access method: what it can do, index options, cost, phases.
 */
#include "postgres.h"

#include <math.h>

#include "access/amapi.h"
#include "access/reloptions.h"
#include "commands/progress.h"
#include "commands/vacuum.h"
#include "fmgr.h"
#include "utils/float.h"
#include "utils/guc.h"
#include "utils/selfuncs.h"
#include "utils/spccache.h"

#include "hnsw/hnsw.h"
#include "hnsw/hnsw_int.h"
#include "types/pg_compat.h"

static relopt_kind option_kind;

static bytea *
index_options(Datum options, bool validate)
{
	static const relopt_parse_elt table[] = {
		{"m", RELOPT_TYPE_INT, offsetof(HnswOptions, m)},
		{"ef_construction", RELOPT_TYPE_INT, offsetof(HnswOptions, ef_construction)},
	};

	return build_reloptions(options, validate, option_kind, sizeof(HnswOptions), table, lengthof(table));
}

static char *
phase_name(int64 phase)
{
	switch (phase)
	{
		case PROGRESS_CREATEIDX_SUBPHASE_INITIALIZE:
			return "initializing";
		case 2:
			return "loading tuples";
	}
	return NULL;
}

static bool
validate(Oid opclass)
{
	return true;
}

/*
 * Share of the index that is looked at before the first row comes: the way down
 * the layers, and on the lowest one ef_search lists of links.  Of those more and
 * more have been seen already the more elements there are to a list of links;
 * the constant was found by pgvector's authors, and plans are chosen as theirs.
 */
static double
startup_share(double tuples, int m, int ef)
{
	double		log_m = log(tuples) / log(m);
	double		looked_at;

	if (tuples <= 0)
		return 1;
	looked_at = (double) (int) log_m * m + 2.0 * m * ef * 0.55 * log_m / (1 + log(ef));
	return Min(looked_at / tuples, 1);
}

static void
estimate_cost(PlannerInfo *root, IndexPath *path, double loop_count, Cost *startup_cost, Cost *total_cost,
			  Selectivity *selectivity, double *correlation, double *pages)
{
	GenericCosts costs = {0};
	Relation	index;
	double		share,
				startup_pages,
				seq_page_cost;

	/* one distance to order by, or none of our business */
	if (list_length(path->indexorderbys) != 1)
	{
		*startup_cost = *total_cost = get_float8_infinity();
		*selectivity = *correlation = *pages = 0;
		lh_path_disable(&path->path);
		return;
	}
	hnsw_read_settings();
	genericcostestimate(root, path, loop_count, &costs);
	index = index_open(path->indexinfo->indexoid, NoLock);
	share = startup_share(path->indexinfo->tuples, hnsw_index_m(index), hnsw_ef_search);
	index_close(index, NoLock);
	costs.indexStartupCost = costs.indexTotalCost * share;

	/* a sequential scan does not count the pages of its TOAST table: be fair */
	startup_pages = costs.numIndexPages * share;
	get_tablespace_page_costs(path->indexinfo->reltablespace, NULL, &seq_page_cost);
	if (startup_pages > path->indexinfo->rel->pages && share < 0.5)
	{
		costs.indexStartupCost -= startup_pages * (costs.spc_random_page_cost - seq_page_cost);
		costs.indexStartupCost -= (startup_pages - path->indexinfo->rel->pages) * seq_page_cost;
	}
	*startup_cost = costs.indexStartupCost;
	*total_cost = costs.indexTotalCost;
	*selectivity = costs.indexSelectivity;
	*correlation = costs.indexCorrelation;
	*pages = costs.numIndexPages;
}

/* Is the index one of ours, whatever its access method is called? */
bool
lh_hnsw_is_index(const IndexOptInfo *index)
{
	return index->amcostestimate == (void (*) ()) estimate_cost;
}

static IndexAmRoutine *
routine(void)
{
	IndexAmRoutine *am = makeNode(IndexAmRoutine);

	am->amsupport = 3;
	am->amcanorderbyop = true;
	am->amoptionalkey = true;
	am->amparallelvacuumoptions = VACUUM_OPTION_PARALLEL_BULKDEL;
	am->amkeytype = InvalidOid;
	lh_am_can_build_parallel(am);

	am->ambuild = hnsw_build;
	am->ambuildempty = hnsw_build_empty;
	am->aminsert = hnsw_insert;
	am->ambulkdelete = hnsw_bulk_delete;
	am->amvacuumcleanup = hnsw_vacuum_cleanup;
	am->amcostestimate = estimate_cost;
	am->amoptions = index_options;
	am->ambuildphasename = phase_name;
	am->amvalidate = validate;
	am->ambeginscan = hnsw_begin_scan;
	am->amrescan = hnsw_rescan;
	am->amgettuple = hnsw_get_tuple;
	am->amendscan = hnsw_end_scan;
	return am;
}

LH_FUNCTION(lh_hnsw_handler);

Datum
lh_hnsw_handler(PG_FUNCTION_ARGS)
{
	hnsw_define_settings();
	PG_RETURN_POINTER(routine());
}

/* Of lakehouse_hnsw, in databases that have pgvector. */
LH_FUNCTION(lh_hnsw_beside_handler);

Datum
lh_hnsw_beside_handler(PG_FUNCTION_ARGS)
{
	hnsw_use_foreign_settings();
	PG_RETURN_POINTER(routine());
}

/*
 * What pgvector's operator classes name as support function 3.  We know a type
 * by its name and need nothing from it.
 */
LH_FUNCTION(lh_hnsw_type_support);

Datum
lh_hnsw_type_support(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(NULL);
}

void
lh_hnsw_init(void)
{
	option_kind = add_reloption_kind();
	add_int_reloption(option_kind, "m", "Max number of connections",
					  HNSW_DEFAULT_M, HNSW_MIN_M, HNSW_MAX_M, AccessExclusiveLock);
	add_int_reloption(option_kind, "ef_construction", "Size of the dynamic candidate list for construction",
					  HNSW_DEFAULT_EFC, HNSW_MIN_EFC, HNSW_MAX_EFC, AccessExclusiveLock);
	hnsw_filter_init();
	hnsw_explain_init();
	DefineCustomBoolVariable("lakehouse.vector_fill_limit",
							 "Lets index scans below a filter and a LIMIT go on until there are enough rows.",
							 NULL, &hnsw_fill_limit, true, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("lakehouse.vector_exact",
							 "Makes scans of hnsw indexes look at all codes, and find the true neighbours.",
							 NULL, &hnsw_exact, false, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("lakehouse.vector_index_limits",
							 "Refuses vector indexes of more dimensions than pgvector allows.",
							 NULL, &hnsw_dimension_limits, true, PGC_USERSET, 0, NULL, NULL, NULL);
}
